# SPDX-License-Identifier: MIT
# Sourced by the check scripts: counting, and where things are.
# pass NAME, fail NAME [LOGFILE], skip NAME WHY; finish prints the counts as the last line.

cd "$(dirname "$0")/.." || exit 2
BUILD=${BUILD:-build}
CC=${CC:-cc}
CXX=${CXX:-c++}
JOBS=${JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}
CURL_CFLAGS=$(pkg-config --cflags libcurl 2>/dev/null)
CURL_LIBS=$(pkg-config --libs libcurl 2>/dev/null || echo -lcurl)
passed=0
failed=0
skipped=0

pass() {
    passed=$((passed + 1))
    [ -z "$VERBOSE" ] || echo "ok $1"
}

fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    [ -z "$2" ] || sed -n 's/^/    /; 1,12p' "$2"
}

skip() {
    skipped=$((skipped + 1))
    echo "SKIPPED $1: $2"
}

have() { command -v "$1" >/dev/null 2>&1; }

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

# workdir NAME: an empty directory below $BUILD, in $work
workdir() {
    work=$BUILD/$1
    rm -rf "$work"
    mkdir -p "$work" || exit 2
}
