/* SPDX-License-Identifier: MIT
 *
 * tests/fuzz_session.c with gRPC: heads and trailers with outcomes, messages in envelopes.
 */
#define FUZZ_GRPC true
#define FUZZ_TARGET fuzz_grpc
#include "fuzz_session.c"
