#!/bin/sh
# SPDX-License-Identifier: MIT
# san.sh: the test programs under what `make test` does not use: memory and thread sanitizer,
# valgrind, and no sanitizer at all. One count for each program and tool.

. "$(dirname "$0")/lib.sh"
workdir san
flags="-g -I. -Iexamples -fno-omit-frame-pointer $CURL_CFLAGS"

try() { # try TOOL NAME RUNNER FLAGS...: build and run tests/NAME.c
    tool=$1 name=$2 runner=$3 compiler=$4
    shift 4
    program=$work/$name-$tool
    # shellcheck disable=SC2086
    if ! $compiler $flags "$@" -o "$program" "tests/$name.c" $CURL_LIBS -lpthread \
        >"$program.log" 2>&1; then
        fail "$name with $tool does not build" "$program.log"
        return
    fi
    # shellcheck disable=SC2086
    timeout -k 5 900 $runner "$program" $([ "$name" != curl_wire ] || echo "$BUILD/tests/backend") \
        >"$program.log" 2>&1 </dev/null
    code=$?
    count=$(sed -n 's/^\([0-9]*\) passed, .*/\1/p' "$program.log" | tail -n 1)
    if [ $code -eq 0 ] && [ "${count:-0}" -gt 20 ]; then # not one that ran nothing
        pass "$name with $tool"
        echo "$name with $tool: $count tests"
    else
        tail -n 12 "$program.log" >"$program.why"
        fail "$name with $tool: exit code $code (log: $program.log)" "$program.why"
    fi
}

works() { # works COMPILER FLAG: a program with this sanitizer links and runs
    echo 'int main(void) { return 0; }' |
        "$1" "$2" -x c -o "$work/probe" - 2>/dev/null && "$work/probe" 2>/dev/null
}

chapters="base messages operations call options dialects client sandbox ask exec logs files metrics
    session pool"
wire=
CWS_NO_INSTALL=1 sh tests/need.sh gateway 2>/dev/null && wire=curl_wire

for name in $chapters functions torture $wire; do
    try plain "$name" "" "$CC" -O2
done
# Not curl_wire: libcurl is not instrumented, and its writes would look like missing ones.
if have clang && works clang -fsanitize=memory; then
    for name in $chapters; do
        try memory "$name" "" clang -O1 -fsanitize=memory -fno-sanitize-recover=all
    done
else
    skip "memory sanitizer" "clang has none here"
fi
if works "$CC" -fsanitize=thread; then
    for name in $chapters $wire; do
        try thread "$name" "" "$CC" -O1 -fsanitize=thread
    done
else
    skip "thread sanitizer" "$CC has none here"
fi
if have valgrind; then
    for name in $chapters $wire; do
        try valgrind "$name" "valgrind -q --error-exitcode=99 --leak-check=full
            --errors-for-leak-kinds=definite --child-silent-after-fork=yes" "$CC" -O1
    done
else
    skip "valgrind" "not installed"
fi
finish
