#!/bin/sh
# SPDX-License-Identifier: MIT
# matrix.sh reduced|full: compile the header with many compilers, standards and warnings; a warning
# is a failure. reduced: each compiler, language, translation unit and flag set at least once.
# full: all combinations. HEADER names another header to check.

. "$(dirname "$0")/lib.sh"
mode=${1:-reduced}
workdir matrix
HEADER=${HEADER:-$PWD/cwsandbox.h}

# --- The translation units -----------------------------------------------------------------------

# Something is used, so that a static library is not empty and a declaration is seen as such.
use='CWS_FUNCTION(copied, {
    size_t n = input_size, i;
    for (i = 0; i < n; i++) io->write(io, input + i, 1);
});
const char *use(const cws_c_function **function);
const char *use(const cws_c_function **function)
{
    *function = &copied;
    return cws_version();
}'

cat >"$work/declarations.c" <<END
#include "$HEADER"
$use
END
cat >"$work/implementation.c" <<END
#define CWSANDBOX_IMPLEMENTATION
#include "$HEADER"
$use
END
cat >"$work/twice.c" <<END
#include "$HEADER"
#define CWSANDBOX_IMPLEMENTATION
#include "$HEADER"
#include "$HEADER"
$use
END
cat >"$work/static.c" <<END
#define CWS_STATIC
#define CWSANDBOX_IMPLEMENTATION
#include "$HEADER"
$use
END
cat >"$work/guard.c" <<END
#define CWS_EXIT_GUARD
#define CWSANDBOX_IMPLEMENTATION
#include "$HEADER"
$use
END
cat >"$work/nocurl.c" <<END
#define CWS_NO_CURL
#define CWS_NO_STDIO
#define CWS_NO_PROCESS
#define CWS_ASSERT(x) ((x) ? (void)0 : cws_bytes_free(0))
#define CWSANDBOX_IMPLEMENTATION
#include "$HEADER"
$use
END

# Names that programs, X11, Windows, Arduino, Perl and test frameworks define. Expanding one is an
# error. Where a name is a macro with arguments in the wild it is one here.
{
    for name in A B C D E F G H K L M N O P Q R S T U V W X Y Z \
        ERR ERROR OK FAIL FAILED SUCCESS DONE PENDING TRUE FALSE BOOL BYTE BYTES INFO DEBUG TRACE \
        WARN WARNING NONE None Status Bool Success Always True False Complex near far small huge \
        interface pascal cdecl IN OUT OPTIONAL CONST VOID DELETE GET PUT POST READ WRITE OPEN \
        CLOSED CLOSE RUNNING STOPPED STATE STATUS TIMEOUT RETRY CANCEL ONE REP MAP MSG STR32 I32 \
        I64 U32 U64 F32 F64 ENUM KEY VALUE NAME SIZE LEN MAX_PATH BUFSIZE VERSION PACKAGE UNIX \
        linux unix i386 u8 u16 u32 u64 s8 s32 byte NORMAL Private Public \
        STREAM TEXT BINARY V1; do
        echo "#undef $name"
        echo "#define $name @ hostile_macro_$name @"
    done
    for name in MIN MAX min max ABS abs_ CLAMP LOG log_ CHECK REQUIRE ASSERT VERIFY TEST SECTION \
        EXPECT STR XSTR CAT CONCAT STRINGIFY COUNT COUNTOF ARRAY_SIZE LENGTH UNUSED LIKELY \
        UNLIKELY SWAP ALIGN ROUND BIT FLAG NEW FREE ALLOC ZERO CAST INIT PRINT PRINTF DIE PANIC \
        TRY CATCH THROW RETURN FOREACH FOR_EACH check require verify NUMBER LIST FIELD MESSAGE; do
        echo "#define $name(...) @ hostile_macro_$name @"
    done
} >"$work/hostile_names.h"
# Members of the library's structs that are functions, as tgmath.h, lwIP and others make macros of
# such names. They come behind the system's headers, which declare functions of these names.
{
    for header in curl/curl.h dirent.h errno.h fcntl.h limits.h signal.h spawn.h stdarg.h \
        stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h sys/file.h sys/select.h sys/stat.h \
        sys/time.h sys/wait.h time.h unistd.h; do
        echo "#include <$header>"
    done
    for name in active body call_free cancel data destroy end ended expire fail head log \
        monotonic_ms note on_done on_item on_output on_progress on_ready on_stdin_room perform \
        poll random resize run send source take trace trailers unix_ms wakeup window writable; do
        echo "#undef $name"
        echo "#define $name(...) @ hostile_macro_$name @"
    done
} >"$work/hostile_members.h"
cat >"$work/hostile.c" <<END
#include "hostile_names.h"
#include "hostile_members.h"
#define CWSANDBOX_IMPLEMENTATION
#include "$HEADER"
$use
END

# --- Flags ---------------------------------------------------------------------------------------

common="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-qual \
-Wwrite-strings -Wpointer-arith -Wformat=2 -Wvla -Werror"
c_only="-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wc++-compat"
cxx_only="-Wold-style-cast -Wmissing-declarations"

# clang -Weverything less what contradicts itself or C99: padding, declarations between statements,
# "unsafe" pointers, using a feature of the standard that was asked for, and names that are
# reserved because system headers' macros expand to them.
no="padded declaration-after-statement unsafe-buffer-usage disabled-macro-expansion"
no_c="$no c99-compat pre-c11-compat pre-c2x-compat pre-c23-compat c23-compat c2x-compat"
no_cxx="$no c++98-compat c++98-compat-pedantic c++11-compat-pedantic pre-c++14-compat \
pre-c++17-compat pre-c++20-compat-pedantic reserved-identifier reserved-macro-identifier \
zero-as-null-pointer-constant"

known() { # known LANGUAGE WARNING...: those that this clang knows, as -Wno-...
    language=$1
    shift
    for warning in "$@"; do
        clang -x "$language" -Werror -Wunknown-warning-option "-W$warning" -fsyntax-only \
            /dev/null 2>/dev/null && echo "-Wno-$warning"
    done
}

knows_std() { # knows_std COMPILER LANGUAGE STANDARD
    "$1" -x "$2" "-std=$3" -fsyntax-only /dev/null 2>/dev/null
}

# --- The jobs: "name|command", one a line --------------------------------------------------------

jobs=$work/jobs
: >"$jobs"
job() { # job COMPILER LANGUAGE STANDARD UNIT FLAGS...
    compiler=$1 language=$2 std=$3 unit=$4
    shift 4
    case $* in *-Weverything*) kind=" -Weverything" ;; *) kind= ;; esac
    printf '%s|' "$compiler -std=$std $1$kind, $unit" >>"$jobs"
    echo "$compiler -x $language -std=$std $* $CURL_CFLAGS -c -o /dev/null $work/$unit.c" >>"$jobs"
}

units="declarations implementation twice static guard nocurl hostile"
c_standards="c99 c11 c17 c2x gnu99 gnu11 gnu17 gnu2x"
cxx_standards="c++11 c++14 c++17 c++20 gnu++11 gnu++14 gnu++17 gnu++20"

c() { job "$1" c "$2" "$3" "$4" $common $c_only; }
cxx() { job "$1" c++ "$2" "$3" "$4" $common $cxx_only; }

for cc in gcc clang; do
    cxx=$(echo $cc | sed 's/gcc/g++/; s/clang/clang++/')
    if ! have $cc || ! have $cxx; then
        skip "matrix with $cc" "$cc or $cxx is not installed"
        continue
    fi
    if [ "$mode" = full ]; then
        for opt in -O0 -O2 -Os; do
            for unit in $units; do
                for std in $c_standards; do
                    if knows_std $cc c "$std"; then c $cc "$std" "$unit" $opt; fi
                done
                for std in $cxx_standards; do
                    if knows_std $cxx c++ "$std"; then cxx $cxx "$std" "$unit" $opt; fi
                done
            done
        done
    else
        c $cc c99 implementation -O2
        c $cc gnu2x implementation -O0
        c $cc c11 twice -Os
        c $cc c99 hostile -O0
        c $cc gnu17 static -O0
        c $cc c99 nocurl -O2
        c $cc c99 guard -O2
        c $cc gnu17 guard -O0
        cxx $cxx c++11 implementation -O2
        cxx $cxx gnu++14 static -O0
        cxx $cxx c++17 hostile -O0
        cxx $cxx c++20 twice -Os
        cxx $cxx gnu++20 guard -O0
        for std in $c_standards; do c $cc "$std" declarations -O0; done
        for std in $cxx_standards; do cxx $cxx "$std" declarations -O0; done
    fi
done

if have clang; then
    everything_c="-Weverything $(known c $no_c | tr '\n' ' ') -Werror"
    everything_cxx="-Weverything $(known c++ $no_cxx | tr '\n' ' ') -Werror"
    if [ "$mode" = full ]; then
        std_c="c99 c11 c17 c2x" std_cxx="c++11 c++14 c++17 c++20" some=$units
    else
        std_c="c99" std_cxx="c++11" some="declarations implementation guard"
    fi
    for unit in $some; do
        # What the test units themselves do: macros that nobody expands, a static function used.
        case $unit in
        hostile) quiet="-Wno-unused-macros -Wno-keyword-macro" ;;
        nocurl) quiet="-Wno-unused-macros" ;;
        static) quiet="-Wno-used-but-marked-unused" ;;
        *) quiet= ;;
        esac
        for std in $std_c; do job clang c "$std" "$unit" -O0 $everything_c $quiet; done
        for std in $std_cxx; do job clang++ c++ "$std" "$unit" -O0 $everything_cxx $quiet; done
    done
fi

# --- Run them ------------------------------------------------------------------------------------

# Each job leaves a log with its number if it failed.
# shellcheck disable=SC2016
awk '{ print NR "|" $0 }' "$jobs" | tr '\n' '\0' |
    WORK=$work xargs -0 -n 1 -P "$JOBS" sh -c '
        number=${0%%|*}; rest=${0#*|}; name=${rest%%|*}; command=${rest#*|}
        if ! $command >"$WORK/$number.log" 2>&1; then
            { echo "$name"; echo "$command"; } >"$WORK/$number.failed"
        fi'

number=0
while IFS='|' read -r name command; do
    number=$((number + 1))
    if [ -e "$work/$number.failed" ]; then
        fail "$name"
        grep -E 'error|Error' "$work/$number.log" | sed -n 's/^/    /; 1,3p'
    else
        pass "$name"
    fi
done <"$jobs"
finish
