#!/bin/sh
# SPDX-License-Identifier: MIT
# link.sh link|variants: how the header behaves in programs of several translation units, and with
# each of its configuration macros.

. "$(dirname "$0")/lib.sh"
part=${1:-link}
workdir "$part"
HEADER=${HEADER:-$PWD/cwsandbox.h}
flags="-O0 -Wall -Wextra -Werror $CURL_CFLAGS"

# A caller that would crash or fail if the implementation were another one.
body() { # body FUNCTION
    cat <<END
#include <string.h>
int $1(void);
int $1(void)
{
    cws_client *client = 0;
    cws_client_opts opts;
    memset(&opts, 0, sizeof opts);
    opts.must_be_zero = 1; /* refused before anything else happens */
    return strcmp(cws_version(), CWS_VERSION_STRING) == 0 &&
           cws_client_open(&opts, &client, 0) == CWS_ERR_INVALID_ARGUMENT && client == 0;
}
END
}

unit() { # unit FILE FUNCTION HEADER LINE...: a translation unit; the lines go before the include
    file=$work/$1 function=$2 header=$3
    shift 3
    {
        for line in "$@"; do echo "$line"; done
        echo "#include \"$header\""
        echo '#ifdef __cplusplus'
        echo 'extern "C" {'
        echo '#endif'
        body "$function"
        echo '#ifdef __cplusplus'
        echo '}'
        echo '#endif'
    } >"$file"
}

main() { # main FILE FUNCTION...: a program that calls them all; exit code 0 if all are content
    file=$work/$1
    shift
    {
        for f in "$@"; do echo "int $f(void);"; done
        echo 'int main(void)'
        echo '{'
        for f in "$@"; do echo "    if (!$f()) return 1;"; done
        echo '    return 0;'
        echo '}'
    } >"$file"
}

compile() { # compile COMPILER OUTPUT SOURCE FLAGS...
    compiler=$1 output=$2 source=$3
    shift 3
    # shellcheck disable=SC2086
    $compiler $flags "$@" -c -o "$work/$output" "$work/$source" >>"$work/log" 2>&1
}

program() { # program COMPILER OBJECT...: link and run
    compiler=$1
    shift
    objects=
    for o in "$@"; do objects="$objects $work/$o"; done
    # shellcheck disable=SC2086
    $compiler -o "$work/program" $objects $CURL_LIBS >>"$work/log" 2>&1 &&
        "$work/program" >>"$work/log" 2>&1
}

check() { # check NAME COMMAND...
    promise=$1
    shift
    if "$@"; then pass "$promise"; else fail "$promise" "$work/log"; fi
    : >"$work/log"
}

not() { ! "$@"; }

# --- link ----------------------------------------------------------------------------------------

five_units() {
    for n in 1 2 3 4; do unit "use$n.c" "use$n" "$HEADER" && compile "$CC" "use$n.o" "use$n.c" ||
        return 1; done
    unit one.c one "$HEADER" '#define CWSANDBOX_IMPLEMENTATION'
    main main.c use1 use2 use3 use4 one
    compile "$CC" one.o one.c && compile "$CC" main.o main.c &&
        program "$CC" main.o use1.o use2.o use3.o use4.o one.o
}

c_calls_cxx() {
    compile "$CXX" one-cxx.o one.c -x c++ && compile "$CC" use1.o use1.c &&
        main main.c use1 one && compile "$CC" main.o main.c &&
        program "$CXX" main.o use1.o one-cxx.o
}

cxx_calls_c() {
    compile "$CXX" use1-cxx.o use1.c -x c++ && compile "$CC" one.o one.c &&
        main main.c use1 one && compile "$CC" main.o main.c &&
        program "$CXX" main.o use1-cxx.o one.o
}

static_twice() {
    for n in 1 2; do
        unit "static$n.c" "static$n" "$HEADER" '#define CWS_STATIC' \
            '#define CWSANDBOX_IMPLEMENTATION' &&
            compile "$CC" "static$n.o" "static$n.c" || return 1
    done
    main main.c static1 static2 && compile "$CC" main.o main.c &&
        program "$CC" main.o static1.o static2.o
}

implemented_twice() { # must not link: that is why CWS_STATIC exists
    unit two.c two "$HEADER" '#define CWSANDBOX_IMPLEMENTATION'
    main main.c one two && compile "$CC" two.o two.c && compile "$CC" main.o main.c &&
        not program "$CC" main.o one.o two.o
}

# A header whose minor version is one higher, made the way a release would make it.
other_version() {
    major=$(sed -n 's/^#define CWS_VERSION_MAJOR *//p' "$HEADER")
    minor=$(sed -n 's/^#define CWS_VERSION_MINOR *//p' "$HEADER")
    next=$((minor + 1))
    sed "s/^\(#define CWS_VERSION_MINOR\) .*/\1 $next/
         s/^\(#define cws_[a-z_]*open cws_[a-z_]*_\)${major}_$minor\$/\1${major}_$next/
         s/^\(#define CWS_VERSION_STRING\) .*/\1 \"$major.$next.0\"/" "$HEADER" >"$work/other.h"
    [ "$(grep -c "open cws_.*_open_${major}_$next\$" "$work/other.h")" = 2 ]
}

version_mismatch() {
    other_version && unit old.c old "$HEADER" && compile "$CC" old.o old.c &&
        unit new.c new "$PWD/$work/other.h" '#define CWSANDBOX_IMPLEMENTATION' &&
        compile "$CC" new.o new.c && main main.c old new && compile "$CC" main.o main.c &&
        not program "$CC" main.o old.o new.o &&
        grep -q "undefined reference.*cws_client_open_${major}_$minor" "$work/log" &&
        main main.c new && compile "$CC" main.o main.c && program "$CC" main.o new.o
}

# --- variants ------------------------------------------------------------------------------------

implement() { # implement NAME LINE...: NAME.c, the implementation with these lines before it
    file_name=$1
    shift
    unit "$file_name.c" "use_$file_name" "$HEADER" "$@" '#define CWSANDBOX_IMPLEMENTATION'
}

undefined() { nm -u "$work/$1" | sed 's/^ *[UvwV] //; s/@.*//'; }

no_curl() {
    implement nocurl '#define CWS_NO_CURL' && compile "$CC" nocurl.o nocurl.c &&
        ! nm "$work/nocurl.o" | grep -v use_nocurl | grep -i curl >>"$work/log"
}

no_stdio() {
    implement nostdio '#define CWS_NO_CURL' '#define CWS_NO_STDIO' &&
        compile "$CC" nostdio.o nostdio.c &&
        ! undefined nostdio.o | grep -E 'print|fopen|fread|fwrite|fclose|put|std(in|out|err)$' \
            >>"$work/log"
}

no_process() {
    implement noprocess '#define CWS_NO_PROCESS' && compile "$CC" noprocess.o noprocess.c &&
        ! undefined noprocess.o | grep -E '^(posix_spawn.*|waitpid|kill|fork|exec.*)$' \
            >>"$work/log"
}

static_mode() { # nothing of the library is visible to the linker
    implement static '#define CWS_STATIC' && compile "$CC" static.o static.c &&
        ! nm -g --defined-only "$work/static.o" | grep ' cws' >>"$work/log"
}

api_macro() { # CWS_API decides about visibility
    implement api '#define CWS_API __attribute__((visibility("default")))' &&
        compile "$CC" api.o api.c -fPIC -fvisibility=hidden || return 1
    # shellcheck disable=SC2086
    "$CC" -shared -o "$work/api.so" "$work/api.o" $CURL_LIBS 2>>"$work/log" &&
        nm -D --defined-only "$work/api.so" | grep -q ' T cws_version$' &&
        ! nm -D --defined-only "$work/api.so" | grep -v ' cws_' >>"$work/log"
}

assert_macro() {
    implement assert '#include <stdlib.h>' '#define CWS_ASSERT(x) ((x) ? (void)0 : abort())' &&
        compile "$CC" assert.o assert.c && main main.c use_assert && compile "$CC" main.o main.c &&
        program "$CC" main.o assert.o
}

hidden_by_default() { # a shared library that uses the header inside and shows nothing of it
    implement hidden && compile "$CC" hidden.o hidden.c -fPIC -fvisibility=hidden || return 1
    # shellcheck disable=SC2086
    "$CC" -shared -o "$work/hidden.so" "$work/hidden.o" $CURL_LIBS 2>>"$work/log" &&
        ! nm -D --defined-only "$work/hidden.so" | grep ' cws_' >>"$work/log"
}

fast_and_small() { # optimisers see more: no warning at -O3, with LTO, with -Os
    for opt in -O3 -Os "-O2 -flto"; do
        # shellcheck disable=SC2086
        implement opt && compile "$CC" opt.o opt.c $opt || return 1
    done
}

# A program that reads options as they would be sent: pointers and numbers of other sizes.
resolve_program() { # resolve_program FLAG...
    cat >"$work/resolve.c" <<END
#define CWS_NO_CURL
#define CWSANDBOX_IMPLEMENTATION
#include "$HEADER"
static cws_end perform(void *user, const cws_http_request *request, cws_exchange *exchange)
{
    (void)user, (void)request, (void)exchange;
    return CWS_END_NOT_SENT;
}
int main(void)
{
    cws_volume volume = {0};
    cws_network network = {0};
    cws_sandbox_opts o = {0};
    cws_transport transport = {0};
    cws_client_opts client = {0};
    cws_session_opts so = {0};
    cws_session *session = NULL;
    const cws_sandbox_opts *r = NULL;
    cws_error err;
    int bad;
    transport.perform = perform;
    client.transport = &transport;
    so.client_opts = &client;
    volume.name = "v";
    volume.mount_path = "/v";
    volume.medium = CWS_STORAGE_MEMORY;
    network.deny_ingress = CWS_YES;
    network.allow_dns = CWS_NO;
    o.volumes = &volume;
    o.volume_count = 1;
    o.network = &network;
    o.placement = CWS_PLACEMENT_CKS;
    o.max_lifetime_seconds = 60;
    if (cws_session_open(&so, &session, &err)) return 2;
    if (cws_session_resolve(session, &o, &r, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 3;
    }
    bad = r->placement != CWS_PLACEMENT_CKS || r->max_lifetime_seconds != 60 ||
          r->volumes[0].medium != CWS_STORAGE_MEMORY || r->network->deny_ingress != CWS_YES ||
          r->network->allow_dns != CWS_NO || strcmp(r->volumes[0].name, "v") != 0;
    cws_sandbox_opts_free(r);
    cws_session_close(session, NULL);
    cws_session_free(session);
    return bad;
}
END
    "$CC" $flags -Wall -Wextra "$@" -o "$work/resolve" "$work/resolve.c" >>"$work/log" 2>&1 &&
        "$work/resolve" 2>>"$work/log"
}

bits_32() { # as a program that runs
    large="-m32 -D_FILE_OFFSET_BITS=64"
    implement bits32 '#define CWS_NO_CURL' && main main.c use_bits32 || return 1
    # shellcheck disable=SC2086
    compile "$CC" bits32.o bits32.c $large && compile "$CC" main.o main.c $large || return 1
    # shellcheck disable=SC2086
    "$CC" -m32 -o "$work/program" "$work/main.o" "$work/bits32.o" >>"$work/log" 2>&1 &&
        "$work/program" && resolve_program $large
}

small_files() { # an off_t of 32 bits is refused with a remedy
    implement small '#define CWS_NO_CURL' && ! compile "$CC" small.o small.c -m32 &&
        grep -q FILE_OFFSET_BITS "$work/log"
}

short_enums() { # enums of one byte, as some compilers for small machines have them
    resolve_program && resolve_program -fshort-enums
}

windows() { # a cross compiler must not see the headers of this system
    (
        flags=$(echo "$flags" | sed 's,-I/usr[^ ]*,,g')
        implement windows '#define CWS_NO_CURL' &&
            compile x86_64-w64-mingw32-gcc windows.o windows.c &&
            compile x86_64-w64-mingw32-gcc windows.o windows.c -std=c99 -pedantic
    )
}

old_curl() { # an old libcurl ends in one sentence that says what to do
    mkdir -p "$work/old/curl"
    echo '#define LIBCURL_VERSION_NUM 0x074300' >"$work/old/curl/curl.h"
    implement oldcurl && ! "$CC" -I"$work/old" -c -o "$work/oldcurl.o" "$work/oldcurl.c" \
        2>"$work/message" && grep -q '#error.*libcurl.*CWS_NO_CURL' "$work/message"
}

bad_combination() { # bad_combination LINE...: an #error that names the macros
    implement bad "$@" && ! compile "$CC" bad.o bad.c &&
        grep -q '#error.*CWS_' "$work/log"
}

if [ "$part" = link ]; then
    check "five translation units and one implementation" five_units
    if have "$CXX"; then
        check "a C caller with a C++ implementation" c_calls_cxx
        check "a C++ caller with a C implementation" cxx_calls_c
    else
        skip "link of C with C++" "no C++ compiler"
    fi
    check "two static copies in one program" static_twice
    check "two implementations do not link" implemented_twice
    check "a caller of another version does not link" version_mismatch
else
    check "CWS_NO_CURL leaves nothing of curl" no_curl
    check "CWS_NO_STDIO leaves nothing of stdio" no_stdio
    check "CWS_NO_PROCESS starts none" no_process
    check "CWS_STATIC exports nothing" static_mode
    check "CWS_API sets the visibility" api_macro
    check "-fvisibility=hidden hides the library" hidden_by_default
    check "CWS_ASSERT may be abort" assert_macro
    check "no warning at -O3, -Os, with LTO" fast_and_small
    check "enums may be as small as the compiler makes them" short_enums
    check "an old libcurl is refused with a remedy" old_curl
    if grep -q '#error.*CWS_STATIC.*CWS_API\|#error.*CWS_API.*CWS_STATIC' "$HEADER"; then
        check "CWS_STATIC with CWS_API is refused with a remedy" \
            bad_combination '#define CWS_STATIC' '#define CWS_API extern'
    fi
    if CWS_NO_INSTALL=1 sh tests/need.sh cross 2>&1 | grep -q m32; then
        skip "32 bits" "no 32-bit libraries"
    else
        check "CWS_NO_CURL works with 32 bits" bits_32
        check "files of 2 GiB at most are refused with a remedy" small_files
    fi
    if have x86_64-w64-mingw32-gcc; then
        check "CWS_NO_CURL compiles for Windows" windows
    else
        skip "Windows" "no x86_64-w64-mingw32-gcc"
    fi
fi
finish
