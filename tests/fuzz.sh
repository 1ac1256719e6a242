#!/bin/sh
# SPDX-License-Identifier: MIT
# fuzz.sh SECONDS: run each tests/fuzz_*.c with libFuzzer for that long, starting from the inputs in
# tests/corpus/NAME. What breaks a target is left in $BUILD/fuzz/ and shown by name.

. "$(dirname "$0")/lib.sh"
seconds=${1:-10}
work=$BUILD/fuzz
mkdir -p "$work"

if [ -z "$GUIDED" ]; then
    GUIDED=yes
    if ! CWS_NO_INSTALL=1 sh tests/need.sh fuzz >/dev/null 2>&1; then
        GUIDED=no
        skip "coverage-guided fuzzing" "clang has no libFuzzer; random inputs only"
    fi
    export GUIDED
fi

build_one() { # the sanitizers stop at the first finding; a short run is over before -O1 pays
    compiler=clang kind=-fsanitize=fuzzer level=-O1
    [ "$seconds" -ge 60 ] || level=-O0
    [ "$GUIDED" = yes ] || compiler=$CC kind=-DFUZZ_MAIN
    # shellcheck disable=SC2086
    $compiler -g $level $kind -fsanitize=address,undefined -fno-sanitize-recover=all \
        -I. -Iexamples $CURL_CFLAGS -o "$work/$1" "tests/$1.c" $CURL_LIBS -lpthread \
        >"$work/$1.log" 2>&1
}

run_one() {
    mkdir -p "$work/corpus/$1"
    start=tests/corpus/$1
    if [ "$GUIDED" = yes ]; then
        [ -d "$start" ] || start=
        # shellcheck disable=SC2086
        "$work/$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
            -artifact_prefix="$work/$1-" -print_final_stats=1 "$work/corpus/$1" $start
    else
        "$work/$1" -n $((seconds * 20000)) $(ls -d "$start"/* 2>/dev/null)
    fi >"$work/$1.log" 2>&1
}

if [ "$2" = --one ]; then # called by xargs below
    name=$3
    { build_one "$name" && run_one "$name"; } && exec touch "$work/$name.ok"
    exit 0
fi

names=$(for source in tests/fuzz_*.c; do [ -e "$source" ] && basename "$source" .c; done)
for name in $names; do rm -f "$work/$name.ok"; done
echo "$names" | xargs -n 1 -P "$JOBS" sh tests/fuzz.sh "$seconds" --one
for name in $names; do
    if [ -e "$work/$name.ok" ]; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
        pass "$name"
        echo "$name: ${runs:-random} inputs"
    else
        grep -E 'ERROR|SUMMARY|error:|Test unit' "$work/$name.log" >"$work/$name.why"
        fail "$name (log: $work/$name.log)" "$work/$name.why"
    fi
done
finish
