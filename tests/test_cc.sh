#!/bin/sh
# SPDX-License-Identifier: MIT
# test_cc.sh CC: print the compiler for the tests: clang if it has the sanitizers, else CC. CC says
# what is wanted if it is not cc.
if [ "$1" = cc ] && command -v clang >/dev/null &&
    echo 'int main(void) { return 0; }' |
    clang -fsanitize=address,undefined -x c -o /dev/null - 2>/dev/null; then
    echo clang
else
    echo "$1"
fi
