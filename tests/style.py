#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks of cwsandbox.h that no compiler makes: sections, names, widths, banned calls, versions.

style.py [-v]: -v also lists long functions and sections. Needs python3 only.
"""

import fnmatch
import os
import re
import subprocess
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

MAX_COLUMNS = 100
MAX_FUNCTION = 60        # lines; longer ones are listed
MAX_SECTION = 350        # lines that are no comment; longer ones are listed
MAX_LONG_FUNCTIONS = 0   # how many longer ones are tolerated: may only go down
MAX_LONG_SECTIONS = 0    # the same for sections

# Calls into a later chapter that are tolerated: may only get fewer.
UPWARD = {("client", "cwsi_curl_open")}  # the one door to the transport over libcurl

BANNED = """gets strcpy strcat strncpy strncat stpcpy sprintf vsprintf strtok strtok_r atoi atol
    atof strtod strtof strtold sscanf scanf ctime asctime localtime gmtime setlocale alloca system
    popen rand srand longjmp setjmp signal exit abort printf puts perror""".split()

counts = {"passed": 0, "failed": 0}


def check(promise, problems):
    """Count one check; problems is a list of lines to show."""
    problems = list(problems)
    counts["failed" if problems else "passed"] += 1
    if problems:
        print("FAILED: " + promise)
        for line in problems[:12]:
            print("    " + line)
        if len(problems) > 12:
            print("    ... and %d more" % (len(problems) - 12))


def read(path):
    with open(path, encoding="utf-8", newline="") as f:
        return f.read()


def blank(text, strings=True):
    """The text with comments (and the inside of strings) replaced by spaces, same length."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def replace(m):
        s = m.group(0)
        if s[0] in "\"'":
            return s if not strings else s[0] + " " * (len(s) - 2) + s[0]
        return re.sub(r"[^\n]", " ", s)

    return token.sub(replace, text)


def without_directives(text):
    """Preprocessor lines, with their continuations, replaced by empty lines."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group(0).count("\n"), text,
                  flags=re.M)


def check_texts(paths):
    """Checks of every line of every file."""
    wide, space, todo = [], [], []
    for path in paths:
        text = read(path)
        for i, line in enumerate(text.split("\n"), 1):
            where = "%s:%d" % (path, i)
            if len(line) > MAX_COLUMNS:
                wide.append("%s: %d columns" % (where, len(line)))
            if ("\t" in line and path != "Makefile") or "\r" in line or line != line.rstrip():
                space.append(where)
            if re.search(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", line) and "style.py" not in path:
                todo.append("%s: %s" % (where, line.strip()))
        if not text.endswith("\n") or text.endswith("\n\n"):
            space.append(path + ": the end of the file")
    check("lines have at most %d columns" % MAX_COLUMNS, wide)
    check("no tab, carriage return, or space at the end of a line; one newline at the end", space)
    check("a TODO names its issue: TODO(#12)", todo)


BANNER = r"^/\* [=#]+\n \* >>([a-z0-9-]+)\n"  # of a section (=) or a chapter (#)


def sections(header):
    """(name, text) of each section and of each head of a chapter."""
    marks = [(m.start(), m.group(1)) for m in re.finditer(BANNER, header, re.M)]
    ends = [at for at, _ in marks[1:]] + [len(header)]
    return [(name, header[at:end]) for (at, name), end in zip(marks, ends)]


def check_chapters(header):
    """No function uses one that a later chapter defines."""
    contents = header[header.index(">>contents"):header.index("*/", header.index(">>contents"))]
    chapter, order = {}, []
    for mark in re.findall(r">>([a-z0-9-]+)", contents)[1:]:
        if mark.startswith("chapter-"):
            order.append(mark[len("chapter-"):])
        elif order:
            chapter[mark] = order[-1]
    texts = [(chapter[name], blank(text)) for name, text in sections(header) if name in chapter]
    home = {}
    for name, text in texts:
        for m in re.finditer(r"^(?:static|CWS_API)\b[^;{}=#]*?\b(cwsi?_\w+)\([^;{}]*\)\n\{", text,
                             re.M):
            home.setdefault(m.group(1), name)
    found = set()
    for name, text in texts:
        for word in set(re.findall(r"\bcwsi?_\w+\b", text)):
            if word in home and order.index(home[word]) > order.index(name):
                found.add((name, word))
    check("the chapters are there", [] if len(order) > 10 and len(home) > 1000 else order)
    check("no chapter uses a function of a later one",
          sorted("%s uses %s of %s" % (name, word, home[word]) for name, word in found - UPWARD))
    check("the list of exceptions has no more than is needed",
          sorted("%s no longer uses %s" % row for row in UPWARD - found))
    untold = [name for name in order for label in ("Knows:", "Never:")
              if label not in dict(sections(header))["chapter-" + name]]
    check("each chapter says what it knows and never touches", untold)


def public_part(header):
    return header[header.index("#ifndef CWSANDBOX_H"):header.index("/* Editors that parse")]


def check_comments(header):
    """Each declaration of the public part has a comment of its own, and so has each field."""
    api = public_part(header)
    lines = api.split("\n")
    bare, functions_seen, seen = [], 0, set(re.findall(r"^#undef (\w+)", api, re.M))
    for i, line in enumerate(lines):
        name = re.match(r"CWS_API\b.*?\b(cws_\w+)\(|typedef .*?\b(cws_\w+) ?(?:\{|;)|"
                        r"typedef .*?\(\*(cws_\w+)\)|#define (CWS_\w+)", line)
        if not name or lines[i - 1].endswith("\\"):
            continue
        functions_seen += line.startswith("CWS_API")
        word = next(n for n in name.groups() if n)
        if word in seen:  # the other branch of an #if, or a macro that is taken back
            continue
        seen.add(word)
        before = lines[i - 1].strip()
        while before.startswith("#if"):  # what is there for some builds only
            i -= 1
            before = lines[i - 1].strip()
        if "/*" not in line and not before.endswith("*/"):
            bare.append(word)
    check("each public declaration has a comment of its own", bare)
    check("the public functions were found", [] if functions_seen > 150 else [functions_seen])


def check_callbacks(header):
    """The manual's table of what may be called in a callback, against what the functions do."""
    table = header[header.index(" *   IN A CALLBACK:\n"):]
    rows = []
    for line in table.split("\n")[1:]:
        row = re.match(r" \*   (cws_[\w*]+) +(always|zero|never)$", line)
        if not row:
            break
        rows.append(row.groups())
    code = blank(header)
    api = re.findall(r"^CWS_API\s+[^;{]*?\b(cws_\w+)\(", blank(public_part(header)), re.M)
    bodies = {m.group(1): m.group(2) for m in
              re.finditer(r"^CWS_API[^;{]*?\b(cws_\w+)\([^;{]*?\)\n\{\n(.*?)^\}", code,
                          re.M | re.S)}
    blocking = re.compile(r"cwsi_may_block|cwsi_loop_turn|cwsi_run_until|cws_op_wait\(|"
                          r"cwsi_await_turn|cwsi_process_put")
    names = {name: word for name, word in rows if "*" not in name}
    patterns = [row for row in rows if "*" in row[0]]
    problems = ["%s is no function" % name for name in names if name not in api]
    for name in api:
        word = names.get(name) or next((w for p, w in patterns if fnmatch.fnmatchcase(name, p)), "")
        if not word:
            problems.append("%s is not in the table" % name)
        elif (word == "always") == bool(blocking.search(bodies.get(name, ""))):
            problems.append("%s: '%s' is not what it does" % (name, word))
    check("the manual's table of callbacks is what the functions do", problems)


def check_sections(header):
    """Every marker of the contents is the title of exactly one banner, in that order."""
    contents = header[header.index(">>contents"):header.index("*/", header.index(">>contents"))]
    listed = re.findall(r">>([a-z0-9-]+)", contents)[1:]
    banners = re.findall(BANNER, header, re.M)
    problems = [">>%s is listed but has no banner" % m for m in listed if m not in banners]
    problems += [">>%s has a banner but is not listed" % m for m in banners if m not in listed]
    problems += [">>%s has several banners" % m for m in set(banners) if banners.count(m) > 1]
    if not problems and banners != listed:
        problems = [">>%s stands where >>%s is listed" % (b, m) for b, m in zip(banners, listed)
                    if b != m][:1]
    check("the contents list is the list of sections", problems)
    check("the head has the three parts", (m for m in ("about", "manual", "contents")
                                           if header.count(" * >>%s\n" % m) != 1))
    long = []
    for name, text in sections(header):
        n = re.sub(r"/\*.*?\*/|//[^\n]*", "@", text, flags=re.S)
        n = sum(1 for line in n.split("\n") if line.strip() not in ("", "@"))
        if n > MAX_SECTION and "schema" not in name:  # a schema is one table
            long.append(">>%s has %d lines" % (name, n))
    report("sections over %d lines" % MAX_SECTION, long)
    check("at most %d sections have more than %d lines" % (MAX_LONG_SECTIONS, MAX_SECTION),
          long if len(long) > MAX_LONG_SECTIONS else [])
    untold = [name for name in listed
              if re.search(r"^/\* [=#]+\n \* >>%s\n(?: \* [=#]+ \*/| ?\*/)" % name, header, re.M)]
    check("each section says what it is", untold)


def functions(code):
    """(name, first line, lines) of each function body at file scope; code is blanked."""
    depth, line, found, start, head = 0, 1, [], 0, ""
    last = 0
    for m in re.finditer(r"[{};\n]", code):
        c = m.group(0)
        if c == "\n":
            line += 1
        elif c == "{":
            if depth == 0:
                start, head = line, code[last:m.start()]
            depth += 1
        elif c == "}":
            depth = max(0, depth - 1)
            if depth == 0:
                name = re.search(r"(\w+)\s*\([^{}]*\)\s*$", head)
                if name:
                    found.append((name.group(1), start, line - start + 1))
                last = m.end()
        elif depth == 0:
            last = m.end()
    return found


def report(title, lines):
    if lines and "-v" in sys.argv:
        print("%s: %d" % (title, len(lines)))
        for line in lines:
            print("    " + line)


def check_functions(code):
    long = ["%s: %d lines (at line %d)" % (name, n, at) for name, at, n in functions(code)
            if n > MAX_FUNCTION]
    report("functions over %d lines" % MAX_FUNCTION, long)
    check("at most %d functions have more than %d lines" % (MAX_LONG_FUNCTIONS, MAX_FUNCTION),
          long if len(long) > MAX_LONG_FUNCTIONS else [])


def check_names(code, blanked):
    """Names at file scope have the prefix; code is without directives, blanked is with them."""
    flat = code.replace('extern " " {', "")
    while True:  # remove bodies, innermost first; keep a mark
        less = re.sub(r"\{[^{}]*\}", "@", flat)
        if less == flat:
            break
        flat = less
    bad = []
    pointer = re.compile(r"\(\*\s*(\w+)\)\s*\(")
    plain = re.compile(r"(\w+)\s*"                                   # the name
                       r"(?:\((?:[^()]|\([^()]*\))*\))?\s*"          # parameters
                       r"(?:CWSI_\w+\([^)]*\)\s*)?"                 # an attribute
                       r"(?:\[[^\]]*\]\s*)*(?:=\s*)?[;@]$")         # array, initialiser
    for m in re.finditer(r"^[A-Za-z][^;@]*?[;@]", flat, re.M):
        declaration = m.group(0)
        name = pointer.search(declaration) or plain.search(declaration)
        if re.match(r"(typedef )?(enum|struct|union)\s*@$", declaration):
            continue  # the name follows the mark, or there is none
        if name and not re.match(r"(cwsi?_|CWSI?_)", name.group(1)):
            bad.append(" ".join(declaration.split())[:80])
    for m in re.finditer(r"\b(?:struct|union|enum)\s+(\w+)\s*\{", code):
        if not m.group(1).startswith(("cws_", "cwsi_")):
            bad.append(m.group(0))
    for m in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", blanked, re.M):
        if not re.match(r"(CWSI?_|CWSANDBOX_|cws_\w+_open$)", m.group(1)):
            bad.append("#define " + m.group(1))
    check("every name at file scope has the prefix", bad)
    api = blanked[:blanked.index("#if defined(CWSANDBOX_IMPLEMENTATION)")]
    check("internal names stay out of the API",
          set(re.findall(r"\bcwsi_\w+", api)) - {"cwsi_events"})
    check("no name is reserved for C or C++",
          set(re.findall(r"\b(?:cws\w*__\w*|_cws\w*|CWS\w*__\w*)\b", blanked)))


def check_banned(blanked):
    # What is compiled only if asked for may touch the process.
    code = without_directives(re.sub(r"^#ifdef CWS_EXIT_GUARD$.*?^#e\w+",
                                     lambda m: "\n" * m.group(0).count("\n"), blanked,
                                     flags=re.S | re.M))
    found = ["line %d: %s" % (code.count("\n", 0, m.start()) + 1, m.group(1)) for m in
             re.finditer(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED), code)]
    check("no banned function", found)
    found = ["line %d: goto" % (code.count("\n", 0, m.start()) + 1) for m in
             re.finditer(r"\bgoto\s+(?!done\b)\w+", code)]
    check("goto only to done", found)
    check("attributes only inside a macro",
          ("line %d" % i for i, line in enumerate(code.split("\n"), 1) if "__attribute__" in line))


def check_version(header):
    major, minor, patch = (re.search(r"^#define CWS_VERSION_%s (\d+)$" % p, header, re.M).group(1)
                           for p in ("MAJOR", "MINOR", "PATCH"))
    version = "%s.%s.%s" % (major, minor, patch)
    problems = []

    def same(what, value):
        if value != version:
            problems.append("%s says %s, the macros say %s" % (what, value, version))

    def first(pattern, text):
        m = re.search(pattern, text, re.M)
        return m.group(1) if m else "nothing"

    same("the first line", first(r"^ \* cwsandbox\.h (\S+):", header))
    same("CWS_VERSION_STRING", first(r'^#define CWS_VERSION_STRING "(.*)"', header))
    number = int(first(r"^#define CWS_VERSION_HEX (0x[0-9a-f]+)", header) or "0", 16)
    same("CWS_VERSION_HEX", "%d.%d.%d" % (number >> 16, number >> 8 & 255, number & 255))
    for name in ("client", "session"):
        same("cws_%s_open" % name,
             first(r"^#define cws_%s_open cws_%s_open_(\w+)$" % (name, name), header)
             .replace("_", ".") + "." + patch)
    same("CHANGELOG.md", first(r"^## (\d\S+)", read("CHANGELOG.md")))
    made = subprocess.run(["make", "-s", "--no-print-directory", "print-pc"],
                          stdout=subprocess.PIPE, universal_newlines=True, check=False)
    same("cwsandbox.pc", first(r"^Version: (\S+)", made.stdout))
    check("all places agree about the version", problems)


def main():
    header = read("cwsandbox.h")
    blanked = blank(header)
    code = without_directives(blanked)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"],
                            stdout=subprocess.PIPE, universal_newlines=True, check=False).stdout
    wanted = re.compile(r"(\.(c|h|sh|py|mjs)|Makefile|\.ci/run)$")
    check_texts(sorted(path for path in set(listed.split("\n")) | {"cwsandbox.h"}
                       if wanted.search(path) and os.path.exists(path)))
    check_sections(header)
    check_chapters(header)
    check_comments(header)
    check_callbacks(header)
    check_functions(code)
    check_names(code, blanked)
    check_banned(blanked)
    check_version(header)
    print("%d passed, %d failed, 0 skipped" % (counts["passed"], counts["failed"]))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
