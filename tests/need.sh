#!/bin/sh
# SPDX-License-Identifier: MIT
# need.sh SET...: see that the tools of these sets are there; install what is missing.
#
# Says nothing when all is there. On a Debian-like system the missing packages are installed with
# apt-get: as root directly, else with sudo if that asks for no password, else the command to run
# is printed. Exit status 0 if everything is there in the end.
# CWS_NO_INSTALL=1: only look. The sets:
#   build    a C compiler, libcurl's headers          matrix  gcc, g++, clang, clang++
#   test     build, python3, the curl command         fuzz    clang with libFuzzer
#   schema   protoc, protobuf for python3            http2   hpack and hyperframe for python3
#   gateway  protoc, openssl, node 18.14.1 or newer, npm and the packages of tests/gateway
#   go       Go 1.24 or newer, to build the conformance runner
#   bench    build, libnghttp2's headers
#   cross    32-bit libraries, a MinGW cross-compiler
#   wandb    python3, the official package of W&B in $BUILD/wandb
#   slow     valgrind

BUILD=${BUILD:-build}
CC=${CC:-cc}
gateway=$(dirname "$0")/gateway

tools() {
    case $1 in
    build) echo cc pkg-config curl ;;
    test) echo cc pkg-config curl python curl-command ;;
    schema) echo python protobuf protoc ;;
    http2) echo cc curl python frames ;;
    matrix) echo gcc g++ clang ;;
    fuzz) echo clang fuzzer ;;
    gateway) echo cc curl protoc openssl node npm npm-packages ;;
    go) echo go ;;
    bench) echo cc pkg-config curl nghttp2 ;;
    cross) echo cc m32 mingw ;;
    wandb) echo python venv wandb ;;
    slow) echo valgrind ;;
    *) echo "need.sh: unknown set $1" >&2 && exit 2 ;;
    esac
}

compiles() { # compiles COMPILER FLAGS...: a program from standard input links
    "$@" -x c -o /dev/null - 2>/dev/null
}

there() {
    case $1 in
    cc) echo '#include <stdlib.h>
              int main(void) { return EXIT_SUCCESS; }' | compiles "$CC" ;;
    curl) echo '#include <curl/curl.h>
              int main(void) { return curl_version() == 0; }' |
        # shellcheck disable=SC2046
        "$CC" $(pkg-config --cflags libcurl 2>/dev/null) -x c -o /dev/null - \
            $(pkg-config --libs libcurl 2>/dev/null || echo -lcurl) 2>/dev/null ;;
    nghttp2) echo '#include <nghttp2/nghttp2.h>
              int main(void) { return nghttp2_version(0) == 0; }' |
        # shellcheck disable=SC2046
        "$CC" $(pkg-config --cflags libnghttp2 2>/dev/null) -x c -o /dev/null - \
            $(pkg-config --libs libnghttp2 2>/dev/null || echo -lnghttp2) 2>/dev/null ;;
    python) "$(sh "$(dirname "$0")/python.sh")" -c pass 2>/dev/null ;;
    protobuf) "$(sh "$(dirname "$0")/python.sh")" -c 'import google.protobuf' 2>/dev/null ;;
    frames) "$(sh "$(dirname "$0")/python.sh")" -c 'import hpack, hyperframe' 2>/dev/null ;;
    node) node -e 'const [a, b, c] = process.versions.node.split(".").map(Number);
                   process.exit(a * 10000 + b * 100 + c >= 181401 ? 0 : 1)' 2>/dev/null ;;
    npm-packages) [ -n "$(find "$gateway/node_modules/.stamp" \
        -newer "$gateway/package-lock.json" 2>/dev/null)" ] ;;
    go) go_minor=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
        [ "${go_minor:-0}" -ge 24 ] ;;
    protoc) mkdir -p "$BUILD" &&
        echo 'syntax = "proto3"; import "google/protobuf/timestamp.proto";' >"$BUILD/need.proto" &&
        protoc -I"$BUILD" -o /dev/null "$BUILD/need.proto" 2>/dev/null ;;
    fuzzer) echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n);
              int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return !p && n; }' |
        compiles clang -fsanitize=fuzzer,address ;;
    m32) echo '#include <stdlib.h>
              int main(void) { return EXIT_SUCCESS; }' | compiles "$CC" -m32 ;;
    curl-command) command -v curl >/dev/null ;;
    venv) "$(sh "$(dirname "$0")/python.sh")" -c 'import venv, ensurepip' 2>/dev/null ;;
    wandb) "$BUILD/wandb/bin/python" -c 'import wandb' 2>/dev/null ;;
    mingw) command -v x86_64-w64-mingw32-gcc >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

package() {
    case $1 in
    cc) echo gcc libc6-dev ;;
    curl) echo libcurl4-openssl-dev ;;
    curl-command) echo curl ;;
    nghttp2) echo libnghttp2-dev ;;
    python) echo python3 ;;
    protobuf) echo python3-protobuf ;;
    frames) echo python3-hpack python3-hyperframe ;;
    protoc) echo protobuf-compiler libprotobuf-dev ;;
    npm-packages | wandb) ;; # not Debian's
    venv) echo python3-venv ;;
    node) echo nodejs ;;
    go) echo golang-go ;;
    fuzzer) echo clang; apt-cache depends clang 2>/dev/null |
        sed -n 's/.*Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p' ;;
    m32) echo gcc-multilib ;;
    mingw) echo gcc-mingw-w64-x86-64 ;;
    *) echo "$1" ;;
    esac
}

find_missing() { # tools that are not there, each once
    missing=
    for set in "$@"; do
        for tool in $(tools "$set"); do
            case " $missing " in *" $tool "*) continue ;; esac
            there "$tool" || missing="$missing $tool"
        done
    done
}

npm_packages() { # get those of the lock file, once npm is there
    case " $missing " in *" node "* | *" npm "*) return ;; *" npm-packages "*) ;; *) return ;; esac
    mkdir -p "$BUILD"
    missing=$(echo "$missing" | sed 's/ npm-packages//')
    if (cd "$gateway" && npm ci --ignore-scripts) </dev/null >"$BUILD/npm.log" 2>&1; then
        touch "$gateway/node_modules/.stamp"
    else
        echo "npm ci failed: $(grep -m 1 'npm err' "$BUILD/npm.log") (log in $BUILD/npm.log)" >&2
        missing="$missing npm-packages"
    fi
}

wandb_package() { # from PyPI, once python3 can make an environment for it
    case " $missing " in *" python "* | *" venv "*) return ;; *" wandb "*) ;; *) return ;; esac
    mkdir -p "$BUILD"
    missing=$(echo "$missing" | sed 's/ wandb//')
    if "$(sh "$(dirname "$0")/python.sh")" -m venv "$BUILD/wandb" >"$BUILD/wandb.log" 2>&1 &&
        "$BUILD/wandb/bin/pip" install -q "wandb==0.*" </dev/null >>"$BUILD/wandb.log" 2>&1; then
        there wandb || missing="$missing wandb"
    else
        echo "pip install wandb failed: $(tail -n 1 "$BUILD/wandb.log")" >&2
        missing="$missing wandb"
    fi
}

others() { # what does not come from Debian
    npm_packages
    wandb_package
}

find_missing "$@"
[ -n "$CWS_NO_INSTALL" ] || others
[ -n "$missing" ] || exit 0

if [ -n "$CWS_NO_INSTALL" ] ||
    [ -z "$(echo "$missing" | sed 's/ npm-packages//; s/ wandb//')" ] ||
    ! command -v apt-get >/dev/null; then
    echo "missing:$missing" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    packages=$(for tool in $missing; do package "$tool"; done | sort -u | tr '\n' ' ')
    echo "missing:$missing. Run this, then try again:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $packages" >&2
    exit 1
fi

install() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$@" </dev/null >>"$BUILD/apt.log" 2>&1
}

mkdir -p "$BUILD"
echo "installing what is missing:$missing (log in $BUILD/apt.log)"
$as_root apt-get update </dev/null >"$BUILD/apt.log" 2>&1
packages=$(for tool in $missing; do package "$tool"; done | sort -u)
# shellcheck disable=SC2086
install $packages || for one in $packages; do install "$one"; done

find_missing "$@"
others
[ -n "$missing" ] || exit 0
echo "still missing:$missing; the end of $BUILD/apt.log:" >&2
tail -n 5 "$BUILD/apt.log" >&2
exit 1
