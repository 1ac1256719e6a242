#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compile what the documentation shows: C blocks of README.md, the example in the manual.

A block with "int main" is compiled as it stands (and linked); any other is compiled as the body of
a function that has the usual variables. Also checks that files the README names exist and that
make targets it names are there. Needs python3 and a C compiler.
"""

import os
import re
import shlex
import subprocess
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

BUILD = os.path.join(os.environ.get("BUILD", "build"), "docs")
CC = shlex.split(os.environ.get("CC", "cc"))
counts = {"passed": 0, "failed": 0}

# What a fragment may assume to be there.
AROUND = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

int main(void)
{
    cws_client *client = NULL;
    cws_session *session = NULL;
    cws_sandbox *box = NULL;
    cws_result *result = NULL;
    const char *const argv[] = {"true", NULL};
    cws_op_done_fn on_done = NULL;
    void *my_data = NULL;
    cws_error err;
    (void)argv, (void)on_done, (void)my_data;
    (void)client, (void)session, (void)box, (void)result, (void)err;
    {
%s
    }
    return 0;
}
"""


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def count(promise, ok, text=""):
    counts["passed" if ok else "failed"] += 1
    if not ok:
        print("FAILED: " + promise)
        for line in text.split("\n")[:12]:
            print("    " + line)


def config(option, otherwise):
    try:
        return shlex.split(subprocess.run(["pkg-config", option, "libcurl"], check=True,
                                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                          universal_newlines=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        return otherwise


def compile_block(promise, number, text):
    whole = re.search(r"\bint main\b", text)
    source = os.path.join(BUILD, "block%d.c" % number)
    with open(source, "w", encoding="utf-8") as f:
        f.write(text if whole else AROUND % text.rstrip())
    # A complete program compiles the way the README says: nothing but -lcurl.
    unused = [] if whole else ["-Wno-unused", "-Wno-shadow"]
    done = subprocess.run(CC + ["-O0", "-Wall", "-Wextra", "-Werror"] + unused
                          + ["-I.", "-Iexamples"] + config("--cflags", [])
                          + ["-o", os.path.join(BUILD, "block%d" % number), source]
                          + config("--libs", ["-lcurl"]),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                          check=False)
    count(promise, done.returncode == 0, done.stdout)


def main():
    os.makedirs(BUILD, exist_ok=True)
    number = 0
    readme = read("README.md")
    for m in re.finditer(r"^```c(pp)?\n(.*?)^```", readme, re.M | re.S):
        number += 1
        at = readme.count("\n", 0, m.start()) + 1
        compile_block("README.md:%d compiles" % at, number, m.group(2))
    count("README.md shows a complete program", re.search(r"^```c\n(?:(?!^```).)*int main", readme,
                                                          re.M | re.S))

    header = read("cwsandbox.h")
    manual = header[:header.index("*/")]
    example = re.search(r"QUICK START\n \*\n((?: \*     [^\n]*\n| \*\n)+)", manual)
    text = re.sub(r"^ \* ?", "", example.group(1), flags=re.M) if example else ""
    # The manual's example stands in main() and declares its own variables.
    compile_block("the example in the manual compiles", number + 1, text)

    names = set(re.findall(r"(?:`|\]\()((?:examples|tests|\.ci)/[\w./-]+)", readme))
    names |= set(re.findall(r"\bexamples/\w+\.[ch]\b", header))
    gone = sorted(n for n in names if not os.path.exists(n))
    count("every file that README.md and the header name exists", not gone, "\n".join(gone))
    targets = set(re.findall(r"^([a-z][a-z -]*):", read("Makefile"), re.M))
    targets = {t for line in targets for t in line.split()}
    gone = sorted(set(re.findall(r"`make ([a-z-]+)`", readme)) - targets)
    count("every make target that README.md names exists", not gone, "\n".join(gone))
    declared = set(re.findall(r"\b(cws_\w+|CWS_\w+)\b", header))
    declared |= {"CWS_" + m for m in re.findall(r"X\((\w+), \d+,", header)}
    gone = sorted(set(re.findall(r"\b(cws_[a-z]\w*[a-z]|CWS_[A-Z]\w*)\b", readme)) - declared
                  - set(re.findall(r"\bcws_local_\w+|CWS_NO_INSTALL", readme)))
    count("every name of the API that README.md uses exists", not gone, "\n".join(gone))
    print("%d passed, %d failed, 0 skipped" % (counts["passed"], counts["failed"]))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
