/* SPDX-License-Identifier: MIT
 *
 * Fuzz target of the JSON reader and of the text parsers that read what a server sends. The reader
 * must end, stick to its errors, give valid UTF-8, and agree with skipping; a document printed from
 * its own tokens must be read as the same tokens.
 *
 *     clang -fsanitize=fuzzer,address,undefined   or   -DFUZZ_MAIN (see fuzz_main.h)
 */
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "decode_json.h"
#include "fuzz_main.h"

/* Reads a document and writes it again, compactly. False: it is malformed. */
static bool fuzz_copy(const char *text, size_t len, cwsi_arena *arena, cwsi_buf *out)
{
    cwsi_json j;
    cwsi_json_kind kind, before = CWSI_JSON_END;
    size_t tokens = 0;
    cwsi_json_init(&j, text, len);
    for (;;) {
        cwsi_str s;
        kind = cwsi_json_next(&j);
        FUZZ_REQUIRE(++tokens <= len + 1);
        FUZZ_REQUIRE(j.at >= text && j.at <= text + len);
        if (kind == CWSI_JSON_END) return true;
        if (kind == CWSI_JSON_ERROR) {
            FUZZ_REQUIRE(cwsi_json_next(&j) == CWSI_JSON_ERROR);
            return false;
        }
        if (before != CWSI_JSON_END && before != CWSI_JSON_OBJECT && before != CWSI_JSON_ARRAY &&
            before != CWSI_JSON_KEY && kind != CWSI_JSON_OBJECT_END && kind != CWSI_JSON_ARRAY_END)
            cwsi_put_char(out, ',');
        before = kind;
        if (kind == CWSI_JSON_OBJECT) cwsi_put_char(out, '{');
        if (kind == CWSI_JSON_OBJECT_END) cwsi_put_char(out, '}');
        if (kind == CWSI_JSON_ARRAY) cwsi_put_char(out, '[');
        if (kind == CWSI_JSON_ARRAY_END) cwsi_put_char(out, ']');
        if (kind == CWSI_JSON_TRUE) cwsi_put_text(out, "true");
        if (kind == CWSI_JSON_FALSE) cwsi_put_text(out, "false");
        if (kind == CWSI_JSON_NULL) cwsi_put_text(out, "null");
        if (kind == CWSI_JSON_NUMBER) cwsi_put(out, j.text.at, j.text.len);
        if (kind == CWSI_JSON_NUMBER) (void)cwsi_parse_double(j.text.at, j.text.len);
        if (kind == CWSI_JSON_STRING || kind == CWSI_JSON_KEY) {
            FUZZ_REQUIRE(cwsi_json_string(&j, arena, &s));
            FUZZ_REQUIRE(cwsi_utf8_valid(s.at, s.len));
            cwsi_put_json_string(out, s.at, s.len);
        }
        if (kind == CWSI_JSON_KEY) cwsi_put_char(out, ':');
    }
}

/* Skipping the outermost value must end where reading it ends. */
static void fuzz_skip(const char *text, size_t len, bool valid)
{
    cwsi_json j;
    bool good;
    cwsi_json_init(&j, text, len);
    good = cwsi_json_next(&j) != CWSI_JSON_ERROR && cwsi_json_skip(&j) &&
           cwsi_json_next(&j) == CWSI_JSON_END;
    FUZZ_REQUIRE(good == valid);
}

static void fuzz_texts(const char *text, size_t len)
{
    char out[64], *decoded = (char *)malloc(len / 4 * 3 + 3);
    size_t n = 0;
    int64_t seconds = 0, v;
    uint64_t u;
    int32_t nanos = 0;
    if (!decoded) abort();
    if (cwsi_base64_decode(text, len, decoded, &n)) FUZZ_REQUIRE(n <= len / 4 * 3 + 3);
    free(decoded);
    if (cwsi_parse_time(text, len, &seconds, &nanos)) {
        int64_t again = 0;
        int32_t again_nanos = 0;
        n = cwsi_format_time(out, seconds, nanos);
        FUZZ_REQUIRE(n > 0 && n <= 30);
        FUZZ_REQUIRE(cwsi_parse_time(out, n, &again, &again_nanos));
        FUZZ_REQUIRE(again == seconds && again_nanos == nanos);
    }
    if (cwsi_parse_u64(text, len, &u) && u <= INT64_MAX)
        FUZZ_REQUIRE(cwsi_parse_i64(text, len, &v) && (uint64_t)v == u);
    cwsi_copy_text(out, sizeof(out), text, len);
    FUZZ_REQUIRE(cwsi_utf8_valid(out, strlen(out)));
    if (len >= 8) {
        double d, back;
        memcpy(&d, text, 8);
        if (d - d >= 0 && d - d <= 0) { /* finite */
            n = cwsi_format_double(out, d);
            FUZZ_REQUIRE(n > 0 && n < sizeof(out));
            back = cwsi_parse_double(out, n);
            FUZZ_REQUIRE((back < 0) == (d < 0) || !(back > 0 || back < 0));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    cwsi_mem mem;
    cwsi_arena arena;
    cwsi_buf first, second;
    bool valid;
    memset(&mem, 0, sizeof(mem));
    mem.allocator.resize = cwsi_default_resize;
    mem.limit = (uint64_t)1 << 28;
    cwsi_arena_init(&arena, &mem);
    cwsi_buf_init(&first, &mem, (size_t)1 << 26);
    cwsi_buf_init(&second, &mem, (size_t)1 << 26);
    valid = fuzz_copy(text, size, &arena, &first);
    fuzz_skip(text, size, valid);
    if (valid) {
        FUZZ_REQUIRE(!first.status && first.len > 0);
        FUZZ_REQUIRE(fuzz_copy(first.at, first.len, &arena, &second));
        FUZZ_REQUIRE(first.len == second.len && memcmp(first.at, second.at, first.len) == 0);
    }
    fuzz_texts(text, size);
    cwsi_buf_free(&first);
    cwsi_buf_free(&second);
    cwsi_arena_clear(&arena);
    FUZZ_REQUIRE(mem.used == 0);
    return 0;
}
