#!/bin/sh
# SPDX-License-Identifier: MIT
# conformance.sh CLIENT: the Connect conformance suite against the client under test.
#
# The runner is built once, from the Go module proxy, into $BUILD/conformance. The last line is
# "conformance: N passed, N failed". There is no list of known failures; what a libcurl version
# cannot do is taken out of the declared features, and said. VERBOSE=1 shows the runner's output.

. "$(dirname "$0")/lib.sh"

RUNNER_VERSION=v1.0.5
client=$1
here=tests/conformance
place=$BUILD/conformance
runner=$place/connectconformance-$RUNNER_VERSION
mkdir -p "$place"

give_up() {
    echo "SKIPPED conformance: $1"
    echo "conformance: 0 passed, 0 failed, 1 skipped"
    exit 0
}

if [ ! -x "$runner" ]; then
    why=$(CWS_NO_INSTALL=1 sh tests/need.sh go 2>&1) || give_up "$why"
    echo "building the conformance runner $RUNNER_VERSION (log in $place/go.log)"
    bin=$(cd "$place" && pwd)
    GOBIN=$bin GOFLAGS=-mod=mod go install \
        "connectrpc.com/conformance/cmd/connectconformance@$RUNNER_VERSION" >"$place/go.log" 2>&1 ||
        give_up "the runner could not be built: $(tail -n 1 "$place/go.log")"
    mv "$place/connectconformance" "$runner"
fi

# features NAME SED-SCRIPT: a variant of all.yaml
features() {
    sed "$2" "$here/all.yaml" >"$place/$1.yaml"
}

# run NAME: one run of the suite with the features of $place/NAME.yaml; counts its cases
run() {
    "$runner" --mode client --conf "$place/$1.yaml" -v -- "$client" >"$place/$1.log" 2>&1
    code=$?
    p=$(sed -n 's/^\([0-9]*\) passed, [0-9]* failed.*/\1/p' "$place/$1.log")
    f=$(sed -n 's/^[0-9]* passed, \([0-9]*\) failed.*/\1/p' "$place/$1.log")
    total=$(sed -n 's/^Total cases: //p' "$place/$1.log")
    passed=$((passed + ${p:-0}))
    if [ -z "$total" ] || [ "${p:-0}" -ne "$total" ] || [ $code -ne 0 ]; then
        [ -n "$total" ] && [ "$((total - ${p:-0}))" -gt 0 ] && f=$((total - ${p:-0}))
        [ "${f:-0}" -gt 0 ] || f=1
        failed=$((failed + f))
    fi
    [ -z "$VERBOSE" ] || cat "$place/$1.log"
    [ "$failed" -eq 0 ] || grep -A 4 '^FAILED' "$place/$1.log" | head -n 60
    echo "$1: ${p:-0} of ${total:-?} cases passed"
}

version=$("$client" --libcurl)
echo "libcurl $version, runner $RUNNER_VERSION"
connect='s/, PROTOCOL_GRPC//'
grpc='s/PROTOCOL_CONNECT, //'
half='/FULL_DUPLEX_BIDI/{/HALF/!d
}'
case $version in
7.* | 8.0.*)
    echo "left out: full-duplex streams over HTTP/2 without TLS. libcurl before 8.1 loses a" \
        "response that arrives in one piece with a reset of its stream"
    features h2c "/HTTP_VERSION_1/s/HTTP_VERSION_1, //
        $half
        s/supportsTls: true/supportsTls: false/
        s/supportsTlsClientCerts: true/supportsTlsClientCerts: false/"
    run h2c
    without_h2c='s/supportsH2c: true/supportsH2c: false/'
    ;;
*) without_h2c= ;;
esac
case $version in
7.6?.* | 7.7[0-7].*)
    echo "left out: gRPC over TLS. libcurl before 7.78 loses trailers there"
    features connect "$connect
        $without_h2c"
    run connect
    ;;
8.[012].*)
    echo "left out: full-duplex streams with gRPC. libcurl 8.0 to 8.2 loses the outcome of a" \
        "stream that the server ends early"
    features connect "$connect
        $without_h2c"
    features grpc "$grpc
        $half
        $without_h2c"
    run connect
    run grpc
    ;;
8.1[23].*)
    echo "left out: gRPC. libcurl 8.12 and 8.13 do not send its header te: trailers"
    features connect "$connect"
    run connect
    ;;
*)
    features all "$without_h2c"
    run all
    ;;
esac
echo "conformance: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
