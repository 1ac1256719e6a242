#!/bin/sh
# SPDX-License-Identifier: MIT
# san.sh [TOOL ...]: the test programs under what `make test` does not use: memory and thread
# sanitizer, valgrind, and no sanitizer at all. One count for each program and tool; as many at a
# time as there are processors.

. "$(dirname "$0")/lib.sh"
work=$BUILD/san
flags="-g -I. -Iexamples -fno-omit-frame-pointer $CURL_CFLAGS"
chapters="base messages operations call options dialects client sandbox ask exec logs files metrics
    session pool"

# one TOOL NAME: build tests/NAME.c for the tool and run it; what came of it goes to files
one() {
    tool=$1 name=$2 program=$work/$2-$1 runner=
    case $tool in
    plain) build="$CC -O2" ;;
    memory) build="clang -O1 -fsanitize=memory -fno-sanitize-recover=all" ;;
    thread) build="$CC -O1 -fsanitize=thread" ;;
    valgrind)
        build="$CC -O1"
        runner="valgrind -q --error-exitcode=99 --leak-check=full
            --errors-for-leak-kinds=definite --child-silent-after-fork=yes"
        ;;
    esac
    # shellcheck disable=SC2086
    if ! $build $flags -o "$program" "tests/$name.c" $CURL_LIBS -lpthread \
        >"$program.log" 2>&1; then
        echo "does not build" >"$program.bad"
        return
    fi
    # shellcheck disable=SC2086
    timeout -k 5 1800 $runner "$program" $([ "$name" != curl_wire ] ||
        echo "$BUILD/tests/backend") >"$program.log" 2>&1 </dev/null
    code=$?
    count=$(sed -n 's/^\([0-9]*\) passed, .*/\1/p' "$program.log" | tail -n 1)
    if [ $code -eq 0 ] && [ "${count:-0}" -gt 20 ]; then # not one that ran nothing
        echo "$count tests" >"$program.good"
    else
        { echo "exit code $code (log: $program.log)"; tail -n 12 "$program.log"; } >"$program.bad"
    fi
    rm -f "$program"
}

if [ "$1" = --one ]; then # called by xargs below
    one "$2" "$3"
    exit 0
fi

works() { # works COMPILER FLAG: a program with this sanitizer links and runs
    echo 'int main(void) { return 0; }' |
        "$1" "$2" -x c -o "$work/probe" - 2>/dev/null && "$work/probe" 2>/dev/null
}

workdir san
tools=${*:-plain memory thread valgrind}
wire=
CWS_NO_INSTALL=1 sh tests/need.sh gateway 2>/dev/null && wire=curl_wire
for tool in $tools; do
    names="$chapters $wire"
    case $tool in
    plain) names="$chapters functions torture $wire" ;;
    memory) # not curl_wire: libcurl is not instrumented, its writes would look like missing ones
        names=$chapters
        { have clang && works clang -fsanitize=memory; } ||
            { skip "memory sanitizer" "clang has none here" && continue; } ;;
    thread) works "$CC" -fsanitize=thread ||
        { skip "thread sanitizer" "$CC has none here" && continue; } ;;
    valgrind) have valgrind || { skip "valgrind" "not installed" && continue; } ;;
    esac
    for name in $names; do echo "$tool $name"; done >>"$work/list"
done
xargs -n 2 -P "$JOBS" sh tests/san.sh --one <"$work/list"
while read -r tool name; do
    if [ -e "$work/$name-$tool.good" ]; then
        pass "$name with $tool"
        echo "$name with $tool: $(cat "$work/$name-$tool.good")"
    else
        fail "$name with $tool" "$work/$name-$tool.bad"
    fi
done <"$work/list"
finish
