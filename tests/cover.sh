#!/bin/sh
# SPDX-License-Identifier: MIT
# cover.sh DIRECTORY: what the programs in it, built with --coverage, have reached of cwsandbox.h.
# Prints one line, and leaves report.txt there: each line and branch that was not reached.

dir=$1
if ! command -v gcovr >/dev/null; then
    echo "SKIPPED cover: no gcovr"
    exit 0
fi
# a suite that was killed, or a child of fork, leaves counters that do not fit: they are left out
gcovr -r . -f cwsandbox.h --gcov-ignore-parse-errors --exclude-throw-branches -j 2 \
    --json "$dir/cover.json" --txt "$dir/lines.txt" "$dir" >"$dir/gcovr.log" 2>&1 ||
    { tail -n 5 "$dir/gcovr.log"; exit 1; }
gcovr -r . -a "$dir/cover.json" --branches --txt "$dir/branches.txt" --print-summary \
    >"$dir/summary.txt" 2>>"$dir/gcovr.log"
{
    echo "lines that were not reached:"
    cat "$dir/lines.txt"
    echo "branches that were not taken:"
    cat "$dir/branches.txt"
} >"$dir/report.txt"
grep -E '^(lines|branches)' "$dir/summary.txt"
