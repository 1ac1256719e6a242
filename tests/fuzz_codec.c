/* SPDX-License-Identifier: MIT
 *
 * Fuzz target of the codecs. The first two bytes choose the message, the lowest bit of the third
 * the form (0: binary, 1: JSON) and its second bit a small memory limit; the rest is the input.
 * Whatever decodes must encode, decode again and encode to the same, and print to valid JSON.
 *
 *     clang -fsanitize=fuzzer,address,undefined   or   -DFUZZ_MAIN (see fuzz_main.h)
 */
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "decode_json.h"
#include "fuzz_main.h"

static void fuzz_valid_json(const char *text, size_t len)
{
    cwsi_json j;
    cwsi_json_kind kind;
    cwsi_json_init(&j, text, len);
    do kind = cwsi_json_next(&j);
    while (kind != CWSI_JSON_END && kind != CWSI_JSON_ERROR);
    FUZZ_REQUIRE(kind == CWSI_JSON_END);
}

/* Memory ran out, or JSON nests deeper than its binary form may. */
static bool fuzz_gives_up(cws_status status)
{
    FUZZ_REQUIRE(status == CWS_OK || status == CWS_ERR_NO_MEMORY || status == CWS_ERR_LIMIT);
    return status != CWS_OK;
}

static void fuzz_again(cwsi_mem *mem, cwsi_arena *arena, cwsi_msg_id id, const void *msg)
{
    cwsi_buf first, second, json;
    cwsi_str in;
    void *back;
    cws_status status;
    cwsi_buf_init(&first, mem, (size_t)1 << 26);
    cwsi_buf_init(&second, mem, (size_t)1 << 26);
    cwsi_buf_init(&json, mem, (size_t)1 << 26);
    if (!fuzz_gives_up(cwsi_encode_json(&json, arena, id, msg, false)))
        fuzz_valid_json(json.at, json.len);
    cwsi_buf_free(&json);
    cwsi_buf_init(&json, mem, (size_t)1 << 26);
    if (!fuzz_gives_up(cwsi_encode_json(&json, NULL, id, msg, true)))
        fuzz_valid_json(json.at, json.len);
    if (!fuzz_gives_up(cwsi_encode(&first, id, msg))) {
        in.at = first.at;
        in.len = first.len;
        status = cwsi_decode(arena, id, in, &back);
        if (!fuzz_gives_up(status) && !fuzz_gives_up(cwsi_encode(&second, id, back))) {
            FUZZ_REQUIRE(first.len == second.len);
            FUZZ_REQUIRE(first.len == 0 || memcmp(first.at, second.at, first.len) == 0);
        }
    }
    cwsi_buf_free(&first);
    cwsi_buf_free(&second);
    cwsi_buf_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cwsi_mem mem;
    cwsi_arena arena;
    cwsi_msg_id id;
    cwsi_str in;
    cws_status status;
    void *msg = NULL;
    if (size < 3) return 0;
    id = (cwsi_msg_id)(((unsigned)data[0] << 8 | data[1]) % CWSI_MSG_COUNT);
    memset(&mem, 0, sizeof(mem));
    mem.allocator.resize = cwsi_default_resize;
    mem.limit = data[2] & 2 ? 2000 : (uint64_t)1 << 28;
    cwsi_arena_init(&arena, &mem);
    in.at = (const char *)data + 3;
    in.len = size - 3;
    status =
        data[2] & 1 ? cwsi_decode_json(&arena, id, in, &msg) : cwsi_decode(&arena, id, in, &msg);
    FUZZ_REQUIRE(status == CWS_OK || status == CWS_ERR_PROTOCOL || status == CWS_ERR_NO_MEMORY);
    FUZZ_REQUIRE(mem.peak <= mem.limit);
    if (!status) fuzz_again(&mem, &arena, id, msg);
    cwsi_arena_clear(&arena);
    FUZZ_REQUIRE(mem.used == 0);
    return 0;
}
