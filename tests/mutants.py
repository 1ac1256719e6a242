#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small random mistakes in cwsandbox.h: do the suites that execute their lines notice them?

    mutants.py COVER [COUNT [SEED]]     COVER: the directory that `make cover` has filled

A mutant changes one place in a line that some suite executes: a comparison turned, a number off by
one, && for ||, a negation or a statement left out, true for false, a number of the schema changed.
It is compiled into the programs of suites that execute the line, that of the line's chapter first,
until one fails; the suites over libcurl are asked about lines that no other one executes. Those
that no suite notices are listed: some of them change nothing that could be noticed.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from cover import HEADER, read

# In the order in which they are asked; those behind the scripted ones need what make test needs.
SUITES = ["base", "messages", "operations", "dialects", "client", "options", "metrics", "call",
          "sandbox", "ask", "session", "pool", "exec", "logs", "files", "functions", "local",
          "torture", "schema_tool", "roundtrip", "catalogue", "http2_client", "curl_wire",
          "curl_live"]
GATEWAY = ("roundtrip", "catalogue", "curl_wire", "curl_live")
LIMIT = 60  # seconds for a suite; a mutant that takes longer is noticed, too
LONG = {"functions": 250, "torture": 250, "local": 120, "files": 120, "http2_client": 300,
        "curl_wire": 500, "curl_live": 600}
SLOW = ("http2_client", "curl_wire", "curl_live")  # asked about lines that no other one executes
CC = os.environ.get("MUTANTS_CC") or shutil.which("clang") or "cc"
FLAGS = ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Iexamples",
         "-Itests"]

RULES = [  # (what it is called, pattern, what stands there instead)
    ("comparison", r"(?<![<>=!-])<(?![<=])", "<="), ("comparison", r"<=", "<"),
    ("comparison", r"(?<![<>=!-])>(?![>=])", ">="), ("comparison", r"(?<!>)>=", ">"),
    ("comparison", r"==", "!="), ("comparison", r"!=", "=="),
    ("logic", r"&&", "||"), ("logic", r"\|\|", "&&"), ("negation", r"(?<=[(& |])!(?!=)", ""),
    ("constant", r"\btrue\b", "false"), ("constant", r"\bfalse\b", "true"),
    ("constant", r"(?<![\w.])\d+(?![\w.])", None),
    ("arithmetic", r"(?<=[\w\])]) \+ (?=[\w(])", " - "),
    ("arithmetic", r"(?<=[\w\])]) - (?=[\w(])", " + "),
    ("arithmetic", r"\+\+", "--"), ("arithmetic", r" \+= ", " -= "),
    ("status", r"\breturn CWS_ERR_\w+", "return CWS_OK"),
    ("status", r"\bif \(status\) return", "if (0) return"),
]
WHOLE = [  # statements of one line that are left out
    ("a free left out", r"^\s+\w*(_free|_clear|_unref|_close|_leave)\(.*\);$"),
    ("a statement left out", r"^\s+(\(void\))?[a-z]\w*((->|\.)\w+|\[\w+\])* [|&+-]?= [^;]*;$"),
    ("a call left out", r"^\s+(\(void\))?cwsi_\w+\([^;]*\);$"),
]


def masked(text):
    """The text with comments and strings blanked out, so that positions stay."""
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                  lambda m: re.sub(r"[^\n]", "\x01", m.group()), text, flags=re.S)


def executed(cover):
    """For each line of the header the suites that execute it."""
    lines = {}
    for suite in SUITES:
        notes = os.path.join(cover, "tests", suite + ".gcda")
        for number, _, count, _ in read(notes) if os.path.exists(notes) else ():
            if count and suite not in lines.setdefault(number, []):
                lines[number].append(suite)
    return lines


def candidates(text, lines):
    """All that can be changed: (line, begin, end, instead, kind)."""
    shown, found, at = masked(text).split("\n"), [], 0
    schema = ["messages", "schema_tool", "dialects", "options", "roundtrip"]
    for number, (line, clear) in enumerate(zip(text.split("\n"), shown), 1):
        row = re.match(r"\s+[FV]\(|#define CWSI_F_", clear)
        if row and "(" in clear:
            for m in re.finditer(r"(?<=F\()\d+|(?<=V\()\w+, \w+, \d+(?=\))", clear):
                new = re.sub(r"\d+$", lambda d: str(int(d.group()) + 1), m.group())
                found.append((number, at + m.start(), at + m.end(), new, "schema", schema))
        elif number in lines and not clear.lstrip().startswith("#"):
            for kind, pattern, instead in RULES:
                for m in re.finditer(pattern, clear):
                    new = instead if instead is not None else str(int(m.group()) + 1)
                    found.append((number, at + m.start(), at + m.end(), new, kind, lines[number]))
            for kind, pattern in WHOLE:
                if re.match(pattern, clear):
                    found.append((number, at, at + len(line), "", kind, lines[number]))
        at += len(line) + 1
    return found


class Mutants:
    def __init__(self, cover, count, seed):
        with open(HEADER, encoding="utf-8") as file:
            self.text = file.read()
        self.cover = cover
        self.lines = executed(cover)
        self.random = random.Random(seed)
        found = candidates(self.text, self.lines)
        by_kind = {}
        for one in found:
            by_kind.setdefault(one[4], []).append(one)
        self.todo = []
        kinds = sorted(by_kind)
        while len(self.todo) < count and any(by_kind.values()):  # of each kind alike
            kind = self.random.choice(kinds)
            if by_kind[kind]:
                self.todo.append(by_kind[kind].pop(self.random.randrange(len(by_kind[kind]))))
        self.total = len(self.todo)
        self.killed, self.survived, self.broken = 0, [], 0
        self.lock = threading.Lock()
        print("%d places can be changed in %d executed lines; seed %d" %
              (len(found), len(self.lines), seed), flush=True)

    def chapter(self, line):
        """The suite of the chapter that a line stands in."""
        found = re.findall(r"^ \* >>chapter-(\w+)", "\n".join(self.text.split("\n")[:line]), re.M)
        return found[-1] if found else ""

    def fails(self, suite, into):
        """Does this suite notice the header in this directory? None: it does not compile."""
        program = os.path.join(into, suite)
        build = subprocess.run([CC] + FLAGS + ["-w", "-I" + into, "-o", program,
                                               "tests/%s.c" % suite, "-lcurl", "-lpthread"],
                               check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if build.returncode:
            return None
        words = [program]
        if suite in GATEWAY:
            words.append(os.path.join(self.cover, "tests", "backend"))
        elif suite == "http2_client":
            words = [sys.executable, "tests/http2_wire.py", program]
        elif suite == "schema_tool":
            words = [sys.executable, "tests/schema.py", program]
        try:
            run = subprocess.run(words, check=False, stdin=subprocess.DEVNULL,
                                 timeout=LONG.get(suite, LIMIT),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
        except subprocess.TimeoutExpired:
            return True
        finally:
            os.remove(program)
        return run.returncode != 0

    def one(self, mutant):
        line, begin, end, instead, kind, suites = mutant
        text = self.text[:begin] + instead + self.text[end:]
        old = self.text.split("\n")[line - 1].strip()
        new = text.split("\n")[line - 1].strip()
        since, verdict = time.monotonic(), "SURVIVED"
        with tempfile.TemporaryDirectory() as into:
            with open(os.path.join(into, HEADER), "w", encoding="utf-8") as file:
                file.write(text)
            quick = [suite for suite in suites if suite not in SLOW]
            own = self.chapter(line)  # which notices most, so it is asked first
            for suite in sorted(quick or suites, key=lambda s: (s != own, SUITES.index(s))):
                bad = self.fails(suite, into)
                if bad is None:
                    verdict = "not compiled"
                    break
                if bad:
                    verdict = "killed by " + suite
                    break
        with self.lock:
            if verdict == "SURVIVED":
                self.survived.append(mutant)
            elif verdict == "not compiled":
                self.broken += 1
            else:
                self.killed += 1
            print("%s: %s:%d: %s (%d s)\n    - %s\n    + %s" % (
                verdict, HEADER, line, kind, time.monotonic() - since, old, new), flush=True)

    def work(self):
        while True:
            with self.lock:
                if not self.todo:
                    return
                mutant = self.todo.pop()
            self.one(mutant)

    def run(self):
        workers = [threading.Thread(target=self.work) for _ in range(os.cpu_count() or 1)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        tried = self.killed + len(self.survived)
        print("%d mutants: %d killed (%.1f %%), %d survived, %d did not compile" % (
            self.total, self.killed, 100.0 * self.killed / max(1, tried), len(self.survived),
            self.broken))


def main():
    if len(sys.argv) < 2 or not os.path.isdir(os.path.join(sys.argv[1], "tests")):
        print("SKIPPED mutants: run make cover first")
        return 0
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else int(time.time())
    Mutants(sys.argv[1], count, seed).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
