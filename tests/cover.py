#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the programs in a directory, built by gcc with --coverage, have reached of cwsandbox.h.

    cover.py DIRECTORY

Reads what gcov makes of their counters and adds it up: a line or branch counts if any program has
reached it. Prints two lines, and leaves report.txt in the directory: what was not reached.
"""

import glob
import gzip
import json
import os
import subprocess
import sys
import tempfile

HEADER = "cwsandbox.h"


def read(notes):
    """The lines of the header in one program: [(number, count, branch counts)]."""
    with tempfile.TemporaryDirectory() as into:
        subprocess.run(["gcov", "--json-format", "--branch-probabilities", os.path.abspath(notes)],
                       cwd=into, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in os.listdir(into):
            with gzip.open(os.path.join(into, name)) as file:
                for source in json.load(file)["files"]:
                    if os.path.basename(source["file"]) == HEADER:
                        for line in source["lines"]:
                            yield (line["line_number"], line.get("function_name", ""),
                                   line["count"], [b["count"] for b in line["branches"]])


def percent(part, whole):
    return "%.2f %% (%d of %d)" % (100.0 * part / max(1, whole), part, whole)


def main():
    where = sys.argv[1]
    programs = sorted(glob.glob(os.path.join(where, "**", "*.gcda"), recursive=True))
    if not programs:
        print("SKIPPED cover: no counters in %s" % where)
        return 1
    lines, branches = {}, {}
    for notes in programs:
        for number, function, count, taken in read(notes):
            lines[number] = lines.get(number, 0) + count
            # what an #ifdef changes makes another list of branches: it is another entry
            merged = branches.setdefault((number, function, len(taken)), [0] * len(taken))
            for i, n in enumerate(taken):
                merged[i] += n
    best = {}  # of the lists of a line, the one that was taken most
    for (number, function, _), taken in branches.items():
        old = best.get((number, function), [])
        if sum(taken) >= sum(old):
            best[number, function] = taken
    total = [n for taken in best.values() for n in taken]
    with open(HEADER, encoding="utf-8") as file:
        text = file.read().split("\n")
    with open(os.path.join(where, "report.txt"), "w", encoding="utf-8") as report:
        for number in sorted(lines):
            if not lines[number]:
                report.write("line   %6d: %s\n" % (number, text[number - 1]))
        for (number, _), taken in sorted(best.items()):
            if lines[number] and not all(taken):
                report.write("branch %6d: %d of %d: %s\n" % (
                    number, sum(1 for n in taken if not n), len(taken), text[number - 1]))
    print("programs: %d" % len(programs))
    print("lines:    %s" % percent(sum(1 for n in lines.values() if n), len(lines)))
    print("branches: %s" % percent(sum(1 for n in total if n), len(total)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
