#!/bin/sh
# SPDX-License-Identifier: MIT
# symbols.sh: what the compiled implementation exports, imports and keeps.

. "$(dirname "$0")/lib.sh"
workdir symbols
HEADER=${HEADER:-$PWD/cwsandbox.h}
found=$work/found

printf '#define CWSANDBOX_IMPLEMENTATION\n#include "%s"\n' "$HEADER" >"$work/one.c"
# shellcheck disable=SC2086
if ! $CC -O0 $CURL_CFLAGS -c -o "$work/one.o" "$work/one.c" 2>"$work/log"; then
    fail "the implementation compiles" "$work/log"
    finish
fi

expect_none() { # expect_none NAME: nothing was found
    if [ -s "$found" ]; then fail "$1" "$found"; else pass "$1"; fi
}

nm -g --defined-only "$work/one.o" | awk '$3 !~ /^cws_/' >"$found"
expect_none "every exported symbol begins with cws_"

# One exported function for each declared one, and the other way round.
# What is there only if asked for is left out.
sed '/^#ifdef CWS_EXIT_GUARD/,/^#endif/d; /API ends here/q' "$HEADER" | tr '\n' ' ' |
    grep -o 'CWS_API [^;]*(' |
    grep -o 'cws_[a-z0-9_]*(' | tr -d '(' | sort -u >"$work/declared"
version=$(sed -n 's/^#define cws_client_open cws_client_open//p' "$HEADER")
nm -g --defined-only "$work/one.o" | awk '{ print $3 }' | sed "s/$version\$//" |
    sort -u >"$work/exported"
comm -3 "$work/declared" "$work/exported" >"$found"
expect_none "declared and exported functions are the same"

# Objects in a writable section; constants that the loader relocates (.data.rel.ro) are not.
objdump -t "$work/one.o" | awk 'NF > 3 && $(NF - 2) ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ &&
    $(NF - 2) !~ /^\.data\.rel\.ro/ && $NF !~ /^\./ { print $NF }' >"$found"
expect_none "no writable data: no global state"

undefined=$(nm -u "$work/one.o" | sed 's/^ *[A-Za-z] //; s/@.*//')
for bad in printf fprintf vprintf vfprintf puts putchar fputs perror exit _exit abort atexit \
    signal sigaction raise system popen fork setlocale strtok strtok_r sprintf vsprintf strcpy \
    stpcpy strcat strncat gets scanf sscanf atoi atol atof strtod strtof ctime localtime gmtime \
    asctime setenv putenv unsetenv rand srand random srandom pthread_create pthread_mutex_lock \
    alloca longjmp setjmp sleep usleep stdin stdout stderr curl_easy_perform; do
    if echo "$undefined" | grep -qx "$bad"; then echo "$bad"; fi
done >"$found"
expect_none "no forbidden function is imported"

# getenv is read in one place only, so that no_environment can be trusted.
calls=$(sed 's/"[^"]*"//g; s,/\*.*\*/,,; s,//.*,,' "$HEADER" | grep -c '\bgetenv *(')
if [ "$calls" -le 1 ]; then : >"$found"; else echo "$calls calls of getenv" >"$found"; fi
expect_none "getenv is called in one place"

# The header defines no name without the prefix.
echo '#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>' >"$work/std.c"
$CC -dM -E "$work/std.c" | awk '{ print $2 }' | sort >"$work/std.macros"
echo "#include \"$HEADER\"" >"$work/declarations.c"
$CC -dM -E "$work/declarations.c" | awk '{ print $2 }' | sort | comm -13 "$work/std.macros" - |
    grep -v '^CWS_\|^CWSI_\|^CWSANDBOX_H$\|^cws_[a-z]*_open$' >"$found"
expect_none "the declarations define no macro without the prefix"
finish
