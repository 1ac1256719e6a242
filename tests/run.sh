#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh NAME -- COMMAND...: run one suite and write its counts to $BUILD/results/NAME.
#
# The command prints "N passed, N failed, N skipped" last. A crash, a timeout (TIMEOUT seconds,
# default 300), a missing count or a non-zero exit without a failed test counts as one failed.
# What was skipped is always shown; everything is in $BUILD/results/NAME.log, its end is shown if
# something failed. VERBOSE=1 shows all. With NEED=SET in the environment the suite is skipped when
# tests/need.sh misses a tool of that set.
#
# run.sh --sum NAME...: add up the counts; a suite without a result counts as one failed.

BUILD=${BUILD:-build}
results=$BUILD/results

counts='^[0-9][0-9]* passed, [0-9][0-9]* failed, [0-9][0-9]* skipped$'

if [ "$1" = --sum ]; then
    shift
    p=0 f=0 s=0
    for name in "$@"; do
        if read -r a b c 2>/dev/null <"$results/$name"; then
            p=$((p + a)) f=$((f + b)) s=$((s + c))
        else
            echo "FAILED: $name could not be built or run"
            f=$((f + 1))
        fi
    done
    echo "$p passed, $f failed, $s skipped"
    [ "$f" -eq 0 ]
    exit
fi

name=$1
shift 2
log=$results/$name.log
limit=${TIMEOUT:-300}
mkdir -p "$results"
rm -f "$results/$name"

# An installation may help; it was tried already if all suites run.
if [ -n "$NEED" ] && ! why=$(sh "$(dirname "$0")/need.sh" "$NEED" 2>&1 >/dev/null); then
    echo "SKIPPED $name: $(echo "$why" | head -n 1)"
    echo "0 0 1" >"$results/$name"
    exit 0
fi

# Output goes to a file, not through a pipe: a stray child process must not keep us waiting.
start=$(date +%s)
if command -v timeout >/dev/null; then
    timeout -k 5 "$limit" "$@" >"$log" 2>&1 </dev/null
else
    "$@" >"$log" 2>&1 </dev/null
fi
code=$?
seconds=$(($(date +%s) - start))

line=$(grep "$counts" "$log" | tail -n 1)
p=0 f=0 s=0 why=
if [ -n "$line" ]; then
    # shellcheck disable=SC2046
    set -- $(echo "$line" | tr -cd '0-9 ')
    p=$1 f=$2 s=$3
fi
case $code in
124 | 137) why="did not end within $limit seconds" ;;
*)
    if [ -z "$line" ]; then
        why="ended with exit code $code and without a count"
    elif [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then
        why="ended with exit code $code although no test failed"
    fi
    ;;
esac
[ -z "$why" ] || f=$((f + 1))

if [ -n "$VERBOSE" ]; then
    cat "$log"
elif [ "$f" -ne 0 ]; then
    if [ "$(wc -l <"$log")" -gt 100 ]; then
        grep -E '^(FAILED|SKIPPED)' "$log" | head -n 50
        echo "--- the end of $log:"
    fi
    tail -n 100 "$log"
else
    grep '^SKIPPED' "$log"
fi
[ -z "$why" ] || echo "FAILED: $name $why"
echo "$name: $p passed, $f failed, $s skipped, $seconds s"
[ -n "$MAKELEVEL" ] && [ "$MAKELEVEL" -gt 1 ] || echo "$p passed, $f failed, $s skipped"
echo "$p $f $s" >"$results/$name"
[ "$f" -eq 0 ]
