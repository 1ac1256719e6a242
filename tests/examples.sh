#!/bin/sh
# SPDX-License-Identifier: MIT
# examples.sh PROGRAM...: each example runs offline on the local backend and ends well.

. "$(dirname "$0")/lib.sh"
workdir examples-out
unset CWSANDBOX_API_KEY CWSANDBOX_BASE_URL CWSANDBOX_API_VERSION CWSANDBOX_PROTOCOL WANDB_API_KEY

[ $# -gt 0 ] || fail "there are examples"
here=$PWD
ran=
for program in "$@"; do
    name=$(basename "$program")
    # some leave a file where they run
    (cd "$work" && timeout -k 5 60 "$here/$program") >"$work/$name.out" 2>"$work/$name.err" \
        </dev/null
    code=$?
    if [ $code -eq 0 ]; then
        pass "$name"
        ran="$ran $name"
    else
        tail -n 12 "$work/$name.out" "$work/$name.err" >"$work/$name.why"
        fail "$name ended with exit code $code" "$work/$name.why"
    fi
    # None of them knows which dialect it speaks.
    if (cd "$work" && CWSANDBOX_API_VERSION=v1beta2 timeout -k 5 60 "$here/$program") \
        >"$work/$name.out2" 2>"$work/$name.why" </dev/null; then
        pass "$name in v1beta2"
    else
        fail "$name in v1beta2" "$work/$name.why"
    fi
    if [ "$name" = quickstart ]; then
        if [ "$(tail -n 1 "$work/$name.out")" = "main job: ok" ]; then
            pass "quickstart: its last line"
        else
            fail "quickstart: the last line is 'main job: ok'" "$work/$name.out"
        fi
    fi
    # The first comment of each example has the line that builds it: it must be true.
    line=$(sed -n 's/^ \* *\(cc .*\)$/\1/p' "examples/$name.c" | head -n 1)
    if [ -n "$line" ]; then
        line=$(echo "$line" | sed "s,-o *[^ ]*,-o $PWD/$work/$name,")
        if (cd examples && sh -c "$line") >"$work/$name.why" 2>&1 ||
            sh -c "$line" >"$work/$name.why" 2>&1; then
            pass "$name builds with the line in its comment"
        else
            fail "$name builds with the line in its comment: $line" "$work/$name.why"
        fi
    fi
done
# What README says of the Python client's words is so, and is shown where it says.
# shellcheck disable=SC2086
if "$(sh tests/python.sh)" tests/table.py "$work" $ran >"$work/table" 2>&1; then
    pass "the table of the Python client's Session"
else
    fail "the table of the Python client's Session" "$work/table"
fi
finish
