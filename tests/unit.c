/* SPDX-License-Identifier: MIT
 *
 * Unit tests of the lower layers: memory, buffers, text, JSON and both codecs. They reach into the
 * implementation, so this file is its own implementation file. Usage:
 *
 *     unit [part of a test's name] [mutations] [seed]
 */
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "test.h"

#include <float.h>

static long unit_mutations = 200000;
static uint64_t unit_seed = 20260102;

/* ---- helpers --------------------------------------------------------------------------------- */

/* xorshift64*: the same numbers on every machine. */
static uint64_t unit_random(uint64_t *state)
{
    uint64_t x = *state ? *state : 88172645463325252ULL;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 2685821657736338717ULL;
}

static uint64_t unit_below(uint64_t *state, uint64_t limit)
{
    return unit_random(state) % limit;
}

static cwsi_mem unit_mem(uint64_t limit)
{
    cwsi_mem mem;
    memset(&mem, 0, sizeof(mem));
    mem.allocator = test_allocator;
    mem.limit = limit;
    return mem;
}

static const uint64_t unit_plenty = (uint64_t)1 << 30;

static cwsi_str unit_bytes(const char *at, size_t len)
{
    cwsi_str s;
    s.at = at;
    s.len = len;
    return s;
}

/* A copy in a block of exactly its size, so that a checker sees one byte too far. Never NULL. */
static char *unit_exact(const char *data, size_t len)
{
    char *copy = (char *)malloc(len ? len : 1);
    if (!copy) abort();
    if (len) memcpy(copy, data, len);
    return copy;
}

/* Hexadecimal digits to bytes; spaces are ignored. */
static size_t unit_unhex(const char *hex, char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    while (*hex) {
        const char *high = strchr(digits, hex[0]), *low;
        if (*hex++ == ' ') continue;
        low = *hex ? strchr(digits, *hex++) : NULL;
        if (!high || !low) abort();
        out[n++] = (char)((high - digits) << 4 | (low - digits));
    }
    return n;
}

static void unit_hex(const char *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;
    for (i = 0; i < len; i++) {
        out[2 * i] = digits[(unsigned char)data[i] >> 4];
        out[2 * i + 1] = digits[(unsigned char)data[i] & 15];
    }
    out[2 * len] = '\0';
}

/* What the last unit_decode and unit_json used; ended by unit_done. */
typedef struct unit_case {
    cwsi_mem mem;
    cwsi_arena arena;
    char *input;
    void *msg;
    cws_status status;
} unit_case;

static void unit_open(unit_case *c, const char *data, size_t len, uint64_t limit)
{
    c->mem = unit_mem(limit);
    cwsi_arena_init(&c->arena, &c->mem);
    c->input = unit_exact(data, len);
    c->msg = NULL;
}

static cws_status unit_decode(unit_case *c, cwsi_msg_id id, const char *data, size_t len)
{
    unit_open(c, data, len, unit_plenty);
    return c->status = cwsi_decode(&c->arena, id, unit_bytes(c->input, len), &c->msg);
}

/* The input as hexadecimal digits with spaces wherever they help. */
static cws_status unit_decode_hex(unit_case *c, cwsi_msg_id id, const char *hex)
{
    char data[2048];
    return unit_decode(c, id, data, unit_unhex(hex, data));
}

static cws_status unit_json(unit_case *c, cwsi_msg_id id, const char *text)
{
    unit_open(c, text, strlen(text), unit_plenty);
    return c->status = cwsi_decode_json(&c->arena, id, unit_bytes(c->input, strlen(text)), &c->msg);
}

/* The arena goes away and must leave nothing behind. */
static void unit_done(unit_case *c)
{
    cwsi_arena_clear(&c->arena);
    CHECK_INT(c->mem.used, 0);
    CHECK_INT(test_alloc_live(), 0);
    free(c->input);
    c->input = NULL;
}

/* The message as hexadecimal digits, or the status' name. */
static const char *unit_encoded(unit_case *c, cwsi_msg_id id, char *out, size_t size)
{
    cwsi_buf buf;
    cwsi_buf_init(&buf, &c->mem, size / 2 - 1);
    (void)cwsi_encode(&buf, id, c->msg);
    if (buf.status) (void)snprintf(out, size, "%s", "(not encoded)");
    else unit_hex(buf.at, buf.len, out);
    cwsi_buf_free(&buf);
    return out;
}

static const char *unit_printed(unit_case *c, cwsi_msg_id id, bool redact, char *out, size_t size)
{
    cwsi_buf buf;
    cwsi_buf_init(&buf, &c->mem, size - 1);
    (void)cwsi_encode_json(&buf, &c->arena, id, c->msg, redact);
    (void)snprintf(out, size, "%s", buf.status ? "(not printed)" : buf.at);
    cwsi_buf_free(&buf);
    return out;
}

static char unit_out[16384], unit_out2[16384];

/* Decode, encode: the hexadecimal result. */
static const char *unit_again(cwsi_msg_id id, const char *hex)
{
    unit_case c;
    if (unit_decode_hex(&c, id, hex)) (void)snprintf(unit_out, sizeof(unit_out), "(refused)");
    else (void)unit_encoded(&c, id, unit_out, sizeof(unit_out));
    unit_done(&c);
    return unit_out;
}

/* Binary in hexadecimal digits to JSON. */
static const char *unit_to_json(cwsi_msg_id id, const char *hex)
{
    unit_case c;
    if (unit_decode_hex(&c, id, hex)) (void)snprintf(unit_out, sizeof(unit_out), "(refused)");
    else (void)unit_printed(&c, id, false, unit_out, sizeof(unit_out));
    unit_done(&c);
    return unit_out;
}

/* JSON to binary in hexadecimal digits. */
static const char *unit_from_json(cwsi_msg_id id, const char *text)
{
    unit_case c;
    if (unit_json(&c, id, text)) (void)snprintf(unit_out, sizeof(unit_out), "(refused)");
    else (void)unit_encoded(&c, id, unit_out, sizeof(unit_out));
    unit_done(&c);
    return unit_out;
}

static cws_status unit_status(cwsi_msg_id id, const char *hex)
{
    unit_case c;
    cws_status status = unit_decode_hex(&c, id, hex);
    unit_done(&c);
    return status;
}

static cws_status unit_json_status(cwsi_msg_id id, const char *text)
{
    unit_case c;
    cws_status status = unit_json(&c, id, text);
    unit_done(&c);
    return status;
}

/* ---- memory and buffers ---------------------------------------------------------------------- */

static void test_memory(void)
{
    TEST("checked addition and multiplication refuse what does not fit") {
        size_t r = 7;
        CHECK(cwsi_add(1, 2, &r) && r == 3);
        CHECK(cwsi_add(SIZE_MAX, 0, &r) && r == SIZE_MAX);
        CHECK(cwsi_add(SIZE_MAX - 1, 1, &r) && r == SIZE_MAX);
        r = 7;
        CHECK(!cwsi_add(SIZE_MAX, 1, &r) && r == 7);
        CHECK(!cwsi_add(SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1, &r) && r == 7);
        CHECK(cwsi_mul(0, SIZE_MAX, &r) && r == 0);
        CHECK(cwsi_mul(SIZE_MAX, 0, &r) && r == 0);
        CHECK(cwsi_mul(SIZE_MAX, 1, &r) && r == SIZE_MAX);
        CHECK(cwsi_mul(3, 5, &r) && r == 15);
        r = 7;
        CHECK(!cwsi_mul(SIZE_MAX / 2 + 1, 2, &r) && r == 7);
        CHECK(!cwsi_mul(SIZE_MAX, SIZE_MAX, &r) && r == 7);
    }

    TEST("the memory cap is exact, and used and peak count every byte of a block") {
        const size_t head = sizeof(cwsi_block_head);
        cwsi_mem mem = unit_mem(2 * head + 150);
        char *a = (char *)cwsi_alloc(&mem, 100), *b;
        CHECK(a != NULL);
        CHECK_INT(mem.used, head + 100);
        CHECK_INT(test_alloc_live_bytes(), head + 100);
        CHECK(cwsi_alloc(&mem, 51) == NULL);
        CHECK_INT(mem.used, head + 100);
        b = (char *)cwsi_alloc(&mem, 50);
        CHECK(b != NULL);
        CHECK_INT(mem.used, mem.limit);
        CHECK_INT(mem.peak, mem.limit);
        CHECK(cwsi_alloc(&mem, 0) == NULL);
        cwsi_free(&mem, b);
        CHECK_INT(mem.used, head + 100);
        CHECK_INT(mem.peak, mem.limit);
        a = (char *)cwsi_realloc(&mem, a, 10);
        CHECK(a != NULL);
        CHECK_INT(mem.used, head + 10);
        CHECK(cwsi_realloc(&mem, a, head + 151) == NULL);
        CHECK(cwsi_realloc(&mem, a, SIZE_MAX) == NULL);
        CHECK(cwsi_realloc(&mem, a, SIZE_MAX - head) == NULL);
        CHECK_INT(mem.used, head + 10);
        cwsi_free(&mem, a);
        cwsi_free(&mem, NULL);
        CHECK_INT(mem.used, 0);
        CHECK_INT(test_alloc_live(), 0);
    }

    TEST("a failed allocation leaves block, content and accounts as they were") {
        cwsi_mem mem = unit_mem(unit_plenty);
        char *a = (char *)cwsi_alloc(&mem, 16), *b;
        uint64_t used = mem.used;
        CHECK(a != NULL);
        if (!a) break;
        memcpy(a, "0123456789abcde", 16);
        test_alloc_fail_at(0, false);
        b = (char *)cwsi_realloc(&mem, a, 4000);
        CHECK(b == NULL);
        CHECK(test_alloc_failed());
        CHECK_INT(mem.used, used);
        CHECK_STR(a, "0123456789abcde");
        test_alloc_fail_at(0, false);
        CHECK(cwsi_alloc(&mem, 1) == NULL);
        CHECK_INT(mem.used, used);
        test_alloc_fail_at(-1, false);
        a = (char *)cwsi_realloc(&mem, a, 4000);
        CHECK_STR(a, "0123456789abcde");
        cwsi_free(&mem, a);
        CHECK_INT(test_alloc_live(), 0);
    }

    TEST("new blocks are zeroed") {
        cwsi_mem mem = unit_mem(unit_plenty);
        size_t i, sum = 0;
        char *a = (char *)cwsi_alloc(&mem, 1000);
        for (i = 0; a && i < 1000; i++) sum += (unsigned char)a[i];
        CHECK_INT(sum, 0);
        cwsi_free(&mem, a);
    }

    TEST("an arena gives zeroed, aligned, separate memory and returns all of it") {
        cwsi_mem mem = unit_mem(unit_plenty);
        cwsi_arena arena;
        uint64_t seed = 1;
        unsigned char *last = NULL;
        size_t i, k, last_size = 0;
        cwsi_arena_init(&arena, &mem);
        for (i = 0; i < 2000; i++) {
            size_t size = (size_t)unit_below(&seed, i % 100 == 0 ? 70000 : 300);
            unsigned char *p = (unsigned char *)cwsi_arena_alloc(&arena, size);
            CHECK(p != NULL && (uintptr_t)p % 16 == 0);
            if (!p) break;
            for (k = 0; k < size && p[k] == 0;) k++;
            if (k < size) CHECK(p[k] == 0);
            memset(p, 0xee, size);
            for (k = 0; k < last_size && last[k] == 0xee;) k++;
            if (k < last_size) CHECK(last[k] == 0xee);
            last = p;
            last_size = size;
        }
        CHECK(cwsi_arena_alloc(&arena, SIZE_MAX) == NULL);
        CHECK(cwsi_arena_alloc(&arena, SIZE_MAX - 64) == NULL);
        CHECK_STR(cwsi_arena_copy(&arena, "abcdef", 3), "abc");
        CHECK_STR(cwsi_arena_copy(&arena, NULL, 0), "");
        cwsi_arena_clear(&arena);
        CHECK_INT(mem.used, 0);
        CHECK_INT(test_alloc_live(), 0);
    }

    TEST("an arena survives a failed allocation") {
        cwsi_mem mem = unit_mem(unit_plenty);
        cwsi_arena arena;
        cwsi_arena_init(&arena, &mem);
        test_alloc_fail_at(0, false);
        CHECK(cwsi_arena_alloc(&arena, 10) == NULL);
        CHECK(cwsi_arena_alloc(&arena, 10) != NULL);
        test_alloc_fail_at(0, true);
        CHECK(cwsi_arena_alloc(&arena, 100000) == NULL);
        test_alloc_fail_at(-1, false);
        CHECK_STR(cwsi_arena_copy(&arena, "still", 5), "still");
        cwsi_arena_clear(&arena);
        CHECK_INT(test_alloc_live(), 0);
    }
}

static void test_buffers(void)
{
    TEST("a buffer takes exactly its maximum and not one byte more") {
        cwsi_mem mem = unit_mem(unit_plenty);
        size_t max;
        for (max = 0; max <= 300; max++) {
            cwsi_buf buf;
            size_t i;
            cwsi_buf_init(&buf, &mem, max);
            for (i = 0; i < max; i++) CHECK(cwsi_put_char(&buf, 'x'));
            CHECK(!cwsi_put_char(&buf, 'y'));
            CHECK_INT(buf.status, CWS_ERR_LIMIT);
            CHECK_INT(buf.len, max);
            CHECK(max == 0 || buf.at[max] == '\0');
            CHECK(buf.cap <= max + 1);
            cwsi_buf_free(&buf);
        }
        CHECK_INT(test_alloc_live(), 0);
    }

    TEST("a buffer of maximum zero is no unlimited buffer") {
        cwsi_mem mem = unit_mem(unit_plenty);
        cwsi_buf buf;
        cwsi_buf_init(&buf, &mem, 0);
        CHECK(!cwsi_put(&buf, "a", 1));
        CHECK_INT(buf.status, CWS_ERR_LIMIT);
        cwsi_buf_free(&buf);
    }

    TEST("the failure of a buffer sticks and keeps what was there") {
        cwsi_mem mem = unit_mem(unit_plenty);
        cwsi_buf buf;
        cwsi_buf_init(&buf, &mem, 8);
        CHECK(cwsi_put_text(&buf, "12345678"));
        CHECK(!cwsi_put_text(&buf, "9"));
        CHECK(!cwsi_put(&buf, "", 0));
        CHECK(!cwsi_put_base64(&buf, "a", 1));
        CHECK_INT(buf.status, CWS_ERR_LIMIT);
        CHECK_STR(buf.at, "12345678");
        cwsi_buf_free(&buf);
        cwsi_buf_init(&buf, &mem, 100000);
        CHECK(cwsi_put_text(&buf, "kept"));
        test_alloc_fail_at(0, true);
        CHECK(!cwsi_buf_reserve(&buf, 5000));
        test_alloc_fail_at(-1, false);
        CHECK(!cwsi_put_char(&buf, 'x'));
        CHECK_INT(buf.status, CWS_ERR_NO_MEMORY);
        CHECK_STR(buf.at, "kept");
        CHECK_INT(buf.len, 4);
        cwsi_buf_free(&buf);
        CHECK_INT(test_alloc_live(), 0);
    }

    TEST("a buffer short of memory tries the exact size before it gives up") {
        cwsi_mem mem = unit_mem(sizeof(cwsi_block_head) + 129 + 100);
        cwsi_buf buf;
        cwsi_buf_init(&buf, &mem, 100000);
        CHECK(cwsi_buf_reserve(&buf, 100));
        buf.len = 100;
        CHECK(cwsi_buf_reserve(&buf, 100));
        CHECK_INT(buf.cap, 201);
        CHECK_INT(buf.status, CWS_OK);
        cwsi_buf_free(&buf);
    }

    TEST("a buffer refuses sizes that overflow") {
        cwsi_mem mem = unit_mem(unit_plenty);
        cwsi_buf buf;
        cwsi_buf_init(&buf, &mem, SIZE_MAX);
        CHECK(cwsi_put_char(&buf, 'x'));
        CHECK(!cwsi_buf_reserve(&buf, SIZE_MAX));
        CHECK_INT(buf.status, CWS_ERR_LIMIT);
        cwsi_buf_free(&buf);
        cwsi_buf_init(&buf, &mem, SIZE_MAX);
        CHECK(!cwsi_buf_reserve(&buf, SIZE_MAX));
        CHECK_INT(buf.status, CWS_ERR_LIMIT);
        cwsi_buf_free(&buf);
    }

    TEST("bytes leave a buffer at its front") {
        cwsi_mem mem = unit_mem(unit_plenty);
        cwsi_buf buf;
        cwsi_buf_init(&buf, &mem, 100);
        CHECK(cwsi_put_text(&buf, "abcdef"));
        cwsi_buf_eat(&buf, 0);
        CHECK_INT(buf.len, 6);
        cwsi_buf_eat(&buf, 2);
        CHECK(buf.len == 4 && memcmp(buf.at, "cdef", 4) == 0);
        CHECK(cwsi_put_text(&buf, "gh"));
        CHECK_STR(buf.at, "cdefgh");
        cwsi_buf_eat(&buf, 6);
        CHECK_INT(buf.len, 0);
        cwsi_buf_free(&buf);
        CHECK_INT(test_alloc_live(), 0);
    }
}

/* ---- text ------------------------------------------------------------------------------------ */

static const char *unit_copied(size_t size, const char *text)
{
    static char out[64];
    memset(out, '#', sizeof(out));
    cwsi_copy_text(out, size, text, strlen(text));
    CHECK(out[size] == '#');
    return out;
}

static void test_text(void)
{
    TEST("the formatter knows its conversions and cuts at the end of the array") {
        char out[64], tiny[5];
        CHECK_INT(cwsi_format(out, sizeof(out), "%s-%d-%u%%", "a", -5, 7u), 7);
        CHECK_STR(out, "a--5-7%");
        (void)cwsi_format(out, sizeof(out), "%lld|%llu|%zu|%c|%.*s", (long long)INT64_MIN,
                          (unsigned long long)UINT64_MAX, (size_t)12, 'z', 2, "xyz");
        CHECK_STR(out, "-9223372036854775808|18446744073709551615|12|z|xy");
        (void)cwsi_format(out, sizeof(out), "%d %d %d", INT_MAX, INT_MIN, 0);
        CHECK_STR(out, "2147483647 -2147483648 0");
        (void)cwsi_format(out, sizeof(out), "%u %lld", UINT_MAX, 0LL);
        CHECK_STR(out, "4294967295 0");
        (void)cwsi_format(out, sizeof(out), "[%.*s][%.*s]", 0, "abc", 10, "abc");
        CHECK_STR(out, "[][abc]");
        CHECK_INT(cwsi_format(tiny, sizeof(tiny), "%s", "abcdef"), 4);
        CHECK_STR(tiny, "abcd");
        CHECK_INT(cwsi_format(tiny, sizeof(tiny), "ab%s%d", "c", 123), 4);
        CHECK_STR(tiny, "abc1");
        CHECK_INT(cwsi_format(tiny, 1, "%d", 123), 0);
        CHECK_STR(tiny, "");
    }

    TEST("the formatter does not read beyond the precision of a string") {
        char *text = unit_exact("abc", 3); /* not terminated */
        char out[16];
        (void)cwsi_format(out, sizeof(out), "%.*s", 3, text);
        CHECK_STR(out, "abc");
        free(text);
    }

    TEST("valid UTF-8 is accepted and every malformed form is refused") {
        static const char *const good[] = {"",
                                           "a",
                                           "\x7f",
                                           "\xc2\x80",
                                           "\xdf\xbf",
                                           "\xe0\xa0\x80",
                                           "\xed\x9f\xbf",
                                           "\xee\x80\x80",
                                           "\xef\xbf\xbf",
                                           "\xf0\x90\x80\x80",
                                           "\xf4\x8f\xbf\xbf",
                                           "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z"};
        static const char *const bad[] = {"\x80",
                                          "\xbf",
                                          "\xc0\x80",
                                          "\xc1\xbf",
                                          "\xe0\x80\x80",
                                          "\xe0\x9f\xbf",
                                          "\xf0\x80\x80\x80",
                                          "\xf0\x8f\xbf\xbf",
                                          "\xed\xa0\x80",
                                          "\xed\xbf\xbf",
                                          "\xf4\x90\x80\x80",
                                          "\xf5\x80\x80\x80",
                                          "\xf8\x88\x80\x80\x80",
                                          "\xfe",
                                          "\xff",
                                          "\xc3",
                                          "\xc3z",
                                          "\xe2\x82",
                                          "\xe2\x82z",
                                          "\xf0\x9f\x98",
                                          "\xf0\x9f\x98z",
                                          "a\xe2",
                                          "\xc3\xc3\xa4",
                                          "\xe2\x28\xa1",
                                          "\xf0\x28\x8c\xbc"};
        size_t i;
        for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            char *exact = unit_exact(good[i], strlen(good[i]));
            if (!CHECK(cwsi_utf8_valid(exact, strlen(good[i]))))
                printf("    case %u\n", (unsigned)i);
            free(exact);
        }
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            char *exact = unit_exact(bad[i], strlen(bad[i]));
            if (!CHECK(!cwsi_utf8_valid(exact, strlen(bad[i]))))
                printf("    case %u\n", (unsigned)i);
            free(exact);
        }
    }

    TEST("every code point survives UTF-8, and no truncation of one is valid") {
        uint32_t code;
        long wrong = 0;
        for (code = 0; code <= 0x10ffff; code++) {
            char out[4];
            size_t n = cwsi_utf8_write(code, out), cut;
            bool surrogate = code >= 0xd800 && code <= 0xdfff;
            if (cwsi_utf8_char(out, n) != (surrogate ? 0 : n)) wrong++;
            for (cut = 1; cut < n; cut++)
                if (cwsi_utf8_char(out, cut) != 0) wrong++;
        }
        CHECK_INT(wrong, 0);
        CHECK_INT(cwsi_utf8_char("", 0), 0);
        CHECK(cwsi_utf8_valid("a\0b", 3));
    }

    TEST("copied text is cut at a character") {
        CHECK_STR(unit_copied(10, "abc"), "abc");
        CHECK_STR(unit_copied(4, "abc"), "abc");
        CHECK_STR(unit_copied(3, "abc"), "ab");
        CHECK_STR(unit_copied(1, "abc"), "");
        CHECK_STR(unit_copied(5, "ab\xe2\x82\xac"), "ab");
        CHECK_STR(unit_copied(6, "ab\xe2\x82\xac"), "ab\xe2\x82\xac");
        CHECK_STR(unit_copied(4, "\xf0\x9f\x98\x80"), "");
        CHECK_STR(unit_copied(5, "\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80");
        CHECK_STR(unit_copied(3, "a\xc3\xa4"), "a");
    }

    TEST("copied text holds no control characters and no malformed bytes") {
        CHECK_STR(unit_copied(20, "a\nb\tc\rd\x1b[0m\x7f"), "a b c?d?[0m?");
        CHECK_STR(unit_copied(20, "a\xff"
                                  "b\xe2\x82"),
                  "a?b??");
        CHECK_STR(unit_copied(20, "\xed\xa0\x80"), "???");
        CHECK_STR(unit_copied(3, "\xff\xff\xff"), "??");
    }

    TEST("case is ignored in ASCII only") {
        CHECK(cwsi_same_nocase("Content-Type", "content-TYPE"));
        CHECK(!cwsi_same_nocase("a", "ab") && !cwsi_same_nocase("ab", "a"));
        CHECK(cwsi_same_nocase("", ""));
        CHECK(!cwsi_same_nocase("[", "{") && !cwsi_same_nocase("@", "`"));
        CHECK(cwsi_starts_nocase("Application/Proto", "application/"));
        CHECK(!cwsi_starts_nocase("App", "application/"));
        CHECK(cwsi_starts_nocase("x", ""));
    }

    TEST("pieces of text compare by length and content") {
        CHECK(cwsi_str_is(cwsi_str_of("abc"), "abc") && !cwsi_str_is(cwsi_str_of("abc"), "ab"));
        CHECK(cwsi_str_is(cwsi_str_of(NULL), ""));
        CHECK(cwsi_str_same(unit_bytes("a\0b", 3), unit_bytes("a\0b", 3)));
        CHECK(!cwsi_str_same(unit_bytes("a\0b", 3), unit_bytes("a\0c", 3)));
        CHECK(cwsi_str_same(unit_bytes(NULL, 0), cwsi_str_of("")));
    }
}

static const char *unit_base64(const char *data, size_t len)
{
    static char out[128];
    cwsi_mem mem = unit_mem(unit_plenty);
    cwsi_buf buf;
    cwsi_buf_init(&buf, &mem, 100);
    out[0] = '\0';
    if (cwsi_put_base64(&buf, data, len) && len)
        (void)snprintf(out, sizeof(out), "%.*s", (int)buf.len, buf.at);
    CHECK_INT(buf.len, strlen(out));
    cwsi_buf_free(&buf);
    return out;
}

/* Decodes into a block of the documented size. */
static bool unit_unbase64(const char *text, char *out, size_t *n)
{
    size_t len = strlen(text);
    char *in = unit_exact(text, len), *room = (char *)malloc(len / 4 * 3 + 3);
    bool good;
    *n = 0;
    if (!room) abort();
    good = cwsi_base64_decode(in, len, room, n);
    if (good) memcpy(out, room, *n);
    free(room);
    free(in);
    return good;
}

static void test_base64(void)
{
    TEST("base64 gives the vectors of RFC 4648") {
        CHECK_STR(unit_base64("", 0), "");
        CHECK_STR(unit_base64("f", 1), "Zg==");
        CHECK_STR(unit_base64("fo", 2), "Zm8=");
        CHECK_STR(unit_base64("foo", 3), "Zm9v");
        CHECK_STR(unit_base64("foob", 4), "Zm9vYg==");
        CHECK_STR(unit_base64("fooba", 5), "Zm9vYmE=");
        CHECK_STR(unit_base64("foobar", 6), "Zm9vYmFy");
        CHECK_STR(unit_base64("\xfb\xff\xbf", 3), "+/+/");
    }

    TEST("base64 of every length comes back, padded or not, in both alphabets") {
        uint64_t seed = 5;
        size_t len, n, i, round;
        for (len = 0; len <= 20; len++)
            for (round = 0; round < 50; round++) {
                char data[20], text[40], back[64];
                for (i = 0; i < len; i++) data[i] = (char)unit_random(&seed);
                (void)snprintf(text, sizeof(text), "%s", unit_base64(data, len));
                CHECK_INT(strlen(text), (len + 2) / 3 * 4);
                CHECK(unit_unbase64(text, back, &n) && n == len && memcmp(back, data, len) == 0);
                for (i = 0; text[i]; i++)
                    text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
                CHECK(unit_unbase64(text, back, &n) && n == len && memcmp(back, data, len) == 0);
                while (i && text[i - 1] == '=') text[--i] = '\0';
                CHECK(unit_unbase64(text, back, &n) && n == len && memcmp(back, data, len) == 0);
            }
    }

    TEST("malformed base64 is refused") {
        static const char *const bad[] = {
            "A",    "AAAAA", "=",     "==",    "===",   "====",     "A=",        "A==",
            "A===", "AA=",   "AA===", "AAA==", "AAAA=", "AAAA==",   "AA=A",      "A=AA",
            "=AAA", "AA A",  "AAA\n", "AA*A",  "AAA.",  "AA==AA==", "AA\xc3\xa4"};
        size_t i, n;
        char out[64];
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            if (!CHECK(!unit_unbase64(bad[i], out, &n))) printf("    accepted: %s\n", bad[i]);
    }
}

/* ---- numbers and time ------------------------------------------------------------------------ */

static bool unit_i64(const char *text, int64_t *v)
{
    return cwsi_parse_i64(text, strlen(text), v);
}

static bool unit_u64(const char *text, uint64_t *v)
{
    return cwsi_parse_u64(text, strlen(text), v);
}

static void test_integers(void)
{
    TEST("integers are read to the edges of their range and not beyond") {
        int64_t v = 1;
        uint64_t u = 1;
        CHECK(unit_i64("0", &v) && v == 0);
        CHECK(unit_i64("-0", &v) && v == 0);
        CHECK(unit_i64("007", &v) && v == 7);
        CHECK(unit_i64("9223372036854775807", &v) && v == INT64_MAX);
        CHECK(unit_i64("-9223372036854775808", &v) && v == INT64_MIN);
        CHECK(unit_i64("-9223372036854775807", &v) && v == -INT64_MAX);
        CHECK(!unit_i64("9223372036854775808", &v));
        CHECK(!unit_i64("-9223372036854775809", &v));
        CHECK(!unit_i64("18446744073709551616", &v));
        CHECK(!unit_i64("99999999999999999999999999", &v));
        CHECK(unit_u64("18446744073709551615", &u) && u == UINT64_MAX);
        CHECK(unit_u64("0", &u) && u == 0);
        CHECK(!unit_u64("18446744073709551616", &u));
        CHECK(!unit_u64("18446744073709551620", &u));
        CHECK(!unit_u64("184467440737095516150", &u));
    }

    TEST("what is no whole decimal integer is refused") {
        static const char *const bad[] = {"",    "-",   "+1",  " 1", "1 ", "1a",
                                          "0x1", "1.0", "--1", "1-", "-a"};
        size_t i;
        int64_t v;
        uint64_t u;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            if (!CHECK(!unit_i64(bad[i], &v))) printf("    accepted: %s\n", bad[i]);
            if (!CHECK(!unit_u64(bad[i], &u))) printf("    accepted: %s\n", bad[i]);
        }
        CHECK(!unit_u64("-1", &u) && !unit_u64("-0", &u));
        CHECK(!cwsi_parse_i64("1\0", 2, &v));
    }
}

static const char *unit_time(int64_t seconds, int32_t nanos)
{
    static char out[40];
    out[cwsi_format_time(out, seconds, nanos)] = '\0';
    return out;
}

static bool unit_untime(const char *text, int64_t *seconds, int32_t *nanos)
{
    size_t len = strlen(text);
    char *exact = unit_exact(text, len);
    bool good = cwsi_parse_time(exact, len, seconds, nanos);
    free(exact);
    return good;
}

static void test_time(void)
{
    TEST("times are written as RFC 3339 in UTC with 0, 3, 6 or 9 digits") {
        CHECK_STR(unit_time(0, 0), "1970-01-01T00:00:00Z");
        CHECK_STR(unit_time(-1, 0), "1969-12-31T23:59:59Z");
        CHECK_STR(unit_time(-86400, 0), "1969-12-31T00:00:00Z");
        CHECK_STR(unit_time(-86401, 999999999), "1969-12-30T23:59:59.999999999Z");
        CHECK_STR(unit_time(951782400, 500000000), "2000-02-29T00:00:00.500Z");
        CHECK_STR(unit_time(1767323045, 6000000), "2026-01-02T03:04:05.006Z");
        CHECK_STR(unit_time(1767323045, 1000), "2026-01-02T03:04:05.000001Z");
        CHECK_STR(unit_time(1767323045, 1), "2026-01-02T03:04:05.000000001Z");
        CHECK_STR(unit_time(-62135596800LL, 0), "0001-01-01T00:00:00Z");
        CHECK_STR(unit_time(253402300799LL, 999999999), "9999-12-31T23:59:59.999999999Z");
        CHECK_STR(unit_time(-2203891200LL, 0), "1900-03-01T00:00:00Z");
        CHECK_STR(unit_time(4107542400LL, 0), "2100-03-01T00:00:00Z");
    }

    TEST("a time outside the years 1 to 9999 is not written") {
        CHECK_STR(unit_time(-62135596801LL, 0), "");
        CHECK_STR(unit_time(253402300800LL, 0), "");
        CHECK_STR(unit_time(INT64_MIN, 0), "");
        CHECK_STR(unit_time(INT64_MAX, 0), "");
        CHECK_STR(unit_time(0, -1), "");
        CHECK_STR(unit_time(0, 1000000000), "");
    }

    TEST("times are read with fractions, offsets and leap days") {
        static const struct {
            const char *text;
            int64_t seconds;
            int32_t nanos;
        } good[] = {{"1970-01-01T00:00:00Z", 0, 0},
                    {"1970-01-01t00:00:00z", 0, 0},
                    {"1970-01-01T00:00:00.5Z", 0, 500000000},
                    {"1970-01-01T00:00:00.123456789Z", 0, 123456789},
                    {"1970-01-01T01:00:00+01:00", 0, 0},
                    {"1969-12-31T19:30:00-04:30", 0, 0},
                    {"1970-01-01T00:00:00+00:00", 0, 0},
                    {"1970-01-01T00:00:00.25-00:01", 60, 250000000},
                    {"2000-02-29T00:00:00Z", 951782400, 0},
                    {"2024-02-29T23:59:59Z", 1709251199, 0},
                    {"0001-01-01T00:00:00Z", -62135596800LL, 0},
                    {"9999-12-31T23:59:59.999999999Z", 253402300799LL, 999999999},
                    {"1969-12-31T23:59:59.000000001Z", -1, 1},
                    {"2026-01-02T03:04:05.006Z", 1767323045, 6000000}};
        size_t i;
        for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            int64_t seconds = 0;
            int32_t nanos = 0;
            if (!CHECK(unit_untime(good[i].text, &seconds, &nanos))) puts(good[i].text);
            CHECK_INT(seconds, good[i].seconds);
            CHECK_INT(nanos, good[i].nanos);
        }
    }

    TEST("malformed times are refused") {
        static const char *const bad[] = {"",
                                          "Z",
                                          "1970-01-01",
                                          "1970-01-01T00:00:00",
                                          "1970-01-01 00:00:00Z",
                                          "1970-1-01T00:00:00Z",
                                          "1970-01-01T00:00Z",
                                          "1970-00-01T00:00:00Z",
                                          "1970-13-01T00:00:00Z",
                                          "1970-01-00T00:00:00Z",
                                          "1970-01-32T00:00:00Z",
                                          "1970-04-31T00:00:00Z",
                                          "1970-02-29T00:00:00Z",
                                          "1900-02-29T00:00:00Z",
                                          "2100-02-29T00:00:00Z",
                                          "2024-02-30T00:00:00Z",
                                          "1970-01-01T24:00:00Z",
                                          "1970-01-01T00:60:00Z",
                                          "1970-01-01T00:00:60Z",
                                          "1970-01-01T00:00:00.Z",
                                          "1970-01-01T00:00:00.1234567890Z",
                                          "1970-01-01T00:00:00.5",
                                          "1970-01-01T00:00:00,5Z",
                                          "1970-01-01T00:00:00ZZ",
                                          "1970-01-01T00:00:00Z ",
                                          " 1970-01-01T00:00:00Z",
                                          "1970-01-01T00:00:00+0100",
                                          "1970-01-01T00:00:00+1:00",
                                          "1970-01-01T00:00:00+24:00",
                                          "1970-01-01T00:00:00+01:60",
                                          "1970-01-01T00:00:00+01:00Z",
                                          "1970-01-01T00:00:00+",
                                          "0000-01-01T00:00:00Z",
                                          "-001-01-01T00:00:00Z",
                                          "0001-01-01T00:00:00+00:01",
                                          "9999-12-31T23:59:59-00:01",
                                          "10000-01-01T00:00:00Z",
                                          "197a-01-01T00:00:00Z"};
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            int64_t seconds;
            int32_t nanos;
            if (!CHECK(!unit_untime(bad[i], &seconds, &nanos)))
                printf("    accepted: %s\n", bad[i]);
        }
    }

    TEST("any time comes back from its text") {
        uint64_t seed = unit_seed;
        int i, wrong = 0;
        for (i = 0; i < 100000; i++) {
            int64_t in =
                (int64_t)unit_below(&seed, 253402300800ULL + 62135596800ULL) - 62135596800LL;
            int32_t in_nanos = (int32_t)unit_below(&seed, 1000000000), nanos = 0;
            int64_t out = 0;
            if (i % 4 == 1) in_nanos = in_nanos / 1000000 * 1000000;
            if (i % 4 == 2) in_nanos = in_nanos / 1000 * 1000;
            if (i % 4 == 3) in_nanos = 0;
            if (!unit_untime(unit_time(in, in_nanos), &out, &nanos) || in != out ||
                nanos != in_nanos)
                wrong++;
        }
        CHECK_INT(wrong, 0);
    }

    TEST("dates count every day of four centuries once") {
        int64_t day, year = 0;
        int month = 0, dom = 0, wrong = 0;
        for (day = -719162; day < -719162 + 2 * 146097; day++) { /* from 0001-01-01 on */
            cwsi_date(day, &year, &month, &dom);
            if (cwsi_days(year, month, dom) != day || month < 1 || month > 12 || dom < 1 ||
                dom > 31)
                wrong++;
        }
        CHECK_INT(wrong, 0);
    }
}

static double unit_double(const char *text)
{
    char *exact = unit_exact(text, strlen(text));
    double v = cwsi_parse_double(exact, strlen(text));
    free(exact);
    return v;
}

/* Does v come back from its text, both by our reader and by strtod? */
static bool unit_double_returns(double v)
{
    char text[64];
    size_t n = cwsi_format_double(text, v);
    double ours, theirs;
    if (n >= sizeof(text)) return false;
    text[n] = '\0';
    ours = unit_double(text);
    theirs = strtod(text, NULL);
    if (memcmp(&ours, &v, sizeof(v)) == 0 && memcmp(&theirs, &v, sizeof(v)) == 0) return true;
    printf("    %.17g became %s\n", v, text);
    return false;
}

static bool unit_same_double(const char *text)
{
    double ours = unit_double(text), theirs = strtod(text, NULL);
    if (memcmp(&ours, &theirs, sizeof(ours)) == 0) return true;
    printf("    %s: %.17g instead of %.17g\n", text, ours, theirs);
    return false;
}

/* Not under valgrind, whatever the compiler thinks. */
static bool unit_long_double_is_long(void)
{
    volatile long double one = 1.0L, step = DBL_EPSILON / 4;
    return one + step != one;
}

static void test_doubles(void)
{
    TEST("decimal numbers are read as strtod reads them") {
        static const char *const texts[] = {"0",
                                            "1",
                                            "-1",
                                            "0.25",
                                            "0.1",
                                            "-2.5e-7",
                                            "123456.789",
                                            "1e21",
                                            "1e22",
                                            "1E+2",
                                            "1e-2",
                                            "1.5e3",
                                            "9007199254740993",
                                            "9007199254740991",
                                            "0.000001",
                                            "100000000000000000000",
                                            "1e0",
                                            "0e5",
                                            "0.0",
                                            "12345678901234567",
                                            "3.141592653589793",
                                            "2.718281828459045",
                                            "1e15",
                                            "1e-15",
                                            "1.0000000",
                                            "0.30000000000000004",
                                            "4294967295",
                                            "-9223372036854775808",
                                            "123.456e-10",
                                            "5e-1"};
        size_t i;
        for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) CHECK(unit_same_double(texts[i]));
    }

    TEST("numbers of at most 15 digits are read exactly") {
        if (FLT_EVAL_METHOD != 0) {
            SKIP("this machine rounds doubles twice (x87)");
            break;
        }
        uint64_t seed = unit_seed;
        int i, wrong = 0;
        for (i = 0; i < 100000; i++) {
            char text[64];
            (void)snprintf(text, sizeof(text), "%s%llue%d", i % 2 ? "-" : "",
                           (unsigned long long)unit_below(&seed, 1000000000000000ULL),
                           (int)unit_below(&seed, 45) - 22);
            if (!unit_same_double(text)) wrong++;
        }
        CHECK_INT(wrong, 0);
    }

    TEST("huge and tiny exponents neither hang nor trap") {
        CHECK(unit_double("1e400") > DBL_MAX);
        CHECK(unit_double("-1e999999999999999999999") < -DBL_MAX);
        CHECK(unit_double("1e-400") >= 0 && unit_double("1e-400") < 1e-300);
        CHECK(unit_double("1e-999999999999999999999") < 1e-300);
        CHECK(!(unit_double("0e999999999") > 0));
    }

    TEST("doubles come back from their text") {
        if (FLT_EVAL_METHOD != 0) {
            SKIP("this machine rounds doubles twice (x87)");
            break;
        }
        static const double values[] = {0.0,
                                        1.0,
                                        -1.0,
                                        0.25,
                                        0.1,
                                        -2.5e-7,
                                        123456.789,
                                        1e21,
                                        1e22,
                                        1e-5,
                                        3.0,
                                        100.0,
                                        1e6,
                                        1e7,
                                        123456789012.0,
                                        9007199254740992.0,
                                        2.5,
                                        1e15,
                                        1e16,
                                        1e17,
                                        0.001,
                                        1.0 / 3.0,
                                        2.0 / 3.0,
                                        3.141592653589793,
                                        999999999999999.0,
                                        0.30000000000000004,
                                        4294967296.0,
                                        -9223372036854775808.0};
        uint64_t seed = unit_seed;
        size_t i;
        int wrong = 0;
        if (!unit_long_double_is_long()) {
            SKIP("long double has 64 bits here: the last place may differ");
            break;
        }
        for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
            CHECK(unit_double_returns(values[i]));
        for (i = 0; i < 50000; i++) {
            double v = (double)(int64_t)unit_below(&seed, 1000000000000000ULL);
            double power = 1.0;
            int scale = (int)unit_below(&seed, 16);
            while (scale--) power *= 10.0;
            v /= power; /* the double next to a decimal of 15 digits */
            if (!unit_double_returns(i % 2 ? v : -v)) wrong++;
        }
        CHECK_INT(wrong, 0);
    }

    TEST("whole numbers are written without a point or an exponent") {
        static const double values[] = {0.0, 1.0, -7.0, 42.0, 1000000.0, 123456789.0};
        static const char *const texts[] = {"0", "1", "-7", "42", "1000000", "123456789"};
        size_t i;
        for (i = 0; i < 6; i++) {
            char out[64];
            out[cwsi_format_double(out, values[i])] = '\0';
            CHECK_STR(out, texts[i]);
        }
    }

    TEST("extreme doubles stay within one unit of the last place") {
        static const double values[] = {DBL_MAX, -DBL_MAX, DBL_MIN, 1e300, 1e-300, 1.7e308, 5e-320};
        size_t i;
        for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            char text[64];
            double back, v = values[i], off;
            if (!unit_long_double_is_long() && (v > 1.7e308 || v < -1.7e308)) continue;
            text[cwsi_format_double(text, v)] = '\0';
            back = strtod(text, NULL);
            off = back > v ? back - v : v - back;
            if (!CHECK(off <= (v < 0 ? -v : v) * (unit_long_double_is_long() ? 3e-16 : 9e-16) ||
                       off <= 5e-324))
                printf("    %.17g became %s\n", v, text);
        }
    }
}

/* ---- JSON reader ----------------------------------------------------------------------------- */

/* Reads a whole text; true if it is one well-formed value. */
static bool unit_json_valid(const char *text, size_t len)
{
    char *exact = unit_exact(text, len);
    cwsi_json j;
    cwsi_json_kind kind;
    cwsi_json_init(&j, exact, len);
    do kind = cwsi_json_next(&j);
    while (kind != CWSI_JSON_END && kind != CWSI_JSON_ERROR);
    if (kind == CWSI_JSON_ERROR) {
        CHECK_INT(cwsi_json_next(&j), CWSI_JSON_ERROR); /* sticks */
        CHECK(j.failed);
    }
    free(exact);
    return kind == CWSI_JSON_END;
}

/* The first string of a text, unescaped, in hexadecimal digits. */
static const char *unit_json_text(const char *text)
{
    static char out[128];
    cwsi_mem mem = unit_mem(unit_plenty);
    cwsi_arena arena;
    cwsi_json j;
    cwsi_str s;
    char *exact = unit_exact(text, strlen(text));
    cwsi_arena_init(&arena, &mem);
    cwsi_json_init(&j, exact, strlen(text));
    (void)snprintf(out, sizeof(out), "(error)");
    if (cwsi_json_next(&j) == CWSI_JSON_STRING && cwsi_json_string(&j, &arena, &s)) {
        CHECK(cwsi_utf8_valid(s.at, s.len));
        unit_hex(s.at, s.len, out);
    }
    cwsi_arena_clear(&arena);
    free(exact);
    return out;
}

/* `count` times open, then count times close. */
static char *unit_nest(size_t count, const char *open, const char *close)
{
    size_t i, a = strlen(open), b = strlen(close);
    char *text = (char *)malloc(count * (a + b) + 1);
    if (!text) abort();
    for (i = 0; i < count; i++) {
        memcpy(text + i * a, open, a);
        memcpy(text + count * a + i * b, close, b);
    }
    text[count * (a + b)] = '\0';
    return text;
}

static const char unit_rich_json[] =
    "{\"a\":[1,-2.5e+3,{\"b\\u00e4\":null,\"c\":[[],{}]}],\"d\":true,\"e\":false,"
    "\"f\\n\":\"x\\ud83d\\ude00\\\\\\\"y\", \"g\" : \"\xc3\xa4\" }";

static void test_json(void)
{
    TEST("well-formed JSON is accepted") {
        static const char *const good[] = {"0",
                                           "-0",
                                           "1",
                                           "-1",
                                           "10",
                                           "1.5",
                                           "1e5",
                                           "1E5",
                                           "1e+5",
                                           "1e-5",
                                           "0.0",
                                           "-0.0e0",
                                           "1.25E-10",
                                           "true",
                                           "false",
                                           "null",
                                           "\"\"",
                                           "\"a\"",
                                           "[]",
                                           "{}",
                                           "[[]]",
                                           "[{}]",
                                           "{\"a\":{}}",
                                           "[1,2,3]",
                                           " [ 1 , 2 ] ",
                                           "\t\r\n{ \"a\" : 1 , \"b\" : [ ] }\n",
                                           "{\"\":0}",
                                           "{\"a\":1,\"a\":2}",
                                           "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                           "\"\\u0000\"",
                                           "\"\\uAbCd\"",
                                           "\"\\ud83d\\ude00\"",
                                           "\"\\ud83d\"",
                                           "\"\\ude00\"",
                                           "\"\x7f\"",
                                           "\"\xf0\x9f\x98\x80\"",
                                           "[true,false,null]",
                                           "123456789012345678901234567890",
                                           "{\"a\":[{\"b\":[]}]}"};
        size_t i;
        for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
            if (!CHECK(unit_json_valid(good[i], strlen(good[i]))))
                printf("    refused: %s\n", good[i]);
        CHECK(unit_json_valid(unit_rich_json, strlen(unit_rich_json)));
    }

    TEST("malformed JSON is refused") {
        static const char *const bad[] = {"",
                                          " ",
                                          ",",
                                          ":",
                                          "[",
                                          "]",
                                          "{",
                                          "}",
                                          "[1",
                                          "[1,",
                                          "[1,]",
                                          "[,1]",
                                          "[,]",
                                          "[1 2]",
                                          "[1,,2]",
                                          "{,}",
                                          "{\"a\"}",
                                          "{\"a\":}",
                                          "{\"a\":1,}",
                                          "{\"a\" 1}",
                                          "{\"a\":1 \"b\":2}",
                                          "{a:1}",
                                          "{1:1}",
                                          "{'a':1}",
                                          "{\"a\":1]",
                                          "[1}",
                                          "[}",
                                          "{]",
                                          "[1]]",
                                          "{}}",
                                          "1 2",
                                          "{}{}",
                                          "[]1",
                                          "true false",
                                          "nul",
                                          "nulll",
                                          "tru",
                                          "True",
                                          "NULL",
                                          "undefined",
                                          "NaN",
                                          "Infinity",
                                          "-Infinity",
                                          "a",
                                          "01",
                                          "-01",
                                          "00",
                                          "1.",
                                          ".5",
                                          "-",
                                          "+1",
                                          "-a",
                                          "1e",
                                          "1e+",
                                          "1e-",
                                          "1.e5",
                                          "0x1",
                                          "1_0",
                                          "1a",
                                          "--1",
                                          "1.2.3",
                                          "\"",
                                          "\"a",
                                          "'a'",
                                          "\"\\\"",
                                          "\"\\x\"",
                                          "\"\\a\"",
                                          "\"\\u\"",
                                          "\"\\u12\"",
                                          "\"\\u123\"",
                                          "\"\\u123g\"",
                                          "\"\\U0041\"",
                                          "\"\n\"",
                                          "\"\t\"",
                                          "\"\x01\"",
                                          "\"\x1f\"",
                                          "\"\xff\"",
                                          "\"\xc3\"",
                                          "\"\xed\xa0\x80\"",
                                          "\"\xc0\x80\"",
                                          "[\"a\"",
                                          "[\"a\",",
                                          "{\"a\":\"b\"",
                                          "// c\n1",
                                          "/* c */1",
                                          "1//",
                                          "#1",
                                          "\xef\xbb\xbf"
                                          "1",
                                          "\xc2\xa0"
                                          "1",
                                          "\x0b"
                                          "1",
                                          "\x0c"
                                          "1",
                                          "[1;2]",
                                          "{\"a\":1;}",
                                          "{\"a\"::1}",
                                          "{:1}",
                                          "{\"a\",\"b\"}",
                                          "{{}}",
                                          "{[]}",
                                          "\"a\"b",
                                          "[true false]",
                                          "{\"a\":tru}",
                                          "\\u0031",
                                          "\"\\",
                                          "\"\\u00",
                                          "{\"a\\\":1}"};
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            if (!CHECK(!unit_json_valid(bad[i], strlen(bad[i]))))
                printf("    accepted: %s\n", bad[i]);
        CHECK(!unit_json_valid("1\0", 2));
        CHECK(!unit_json_valid("\0", 1));
        CHECK(!unit_json_valid("\"a\0b\"", 5));
        CHECK(!unit_json_valid("\"\\\0\"", 4));
    }

    TEST("every prefix of a document is an error") {
        size_t len = strlen(unit_rich_json), i;
        while (len && unit_rich_json[len - 1] != '}') len--;
        for (i = 0; i < len; i++)
            if (!CHECK(!unit_json_valid(unit_rich_json, i))) printf("    length %u\n", (unsigned)i);
    }

    TEST("escapes become UTF-8, and lone surrogates become U+FFFD") {
        CHECK_STR(unit_json_text("\"abc\""), "616263");
        CHECK_STR(unit_json_text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "225c2f080c0a0d09");
        CHECK_STR(unit_json_text("\"\\u0041\\u00e4\\u20AC\""), "41c3a4e282ac");
        CHECK_STR(unit_json_text("\"\\u0000x\""), "0078");
        CHECK_STR(unit_json_text("\"\\ud83d\\ude00\""), "f09f9880");
        CHECK_STR(unit_json_text("\"\\uDBFF\\uDFFF\""), "f48fbfbf");
        CHECK_STR(unit_json_text("\"\\ud83d\""), "efbfbd");
        CHECK_STR(unit_json_text("\"\\ude00\""), "efbfbd");
        CHECK_STR(unit_json_text("\"\\ude00\\ud83d\""), "efbfbdefbfbd");
        CHECK_STR(unit_json_text("\"\\ud83dx\""), "efbfbd78");
        CHECK_STR(unit_json_text("\"\\ud83d\\n\""), "efbfbd0a");
        CHECK_STR(unit_json_text("\"\\ud83d\\u0041\""), "efbfbd41");
        CHECK_STR(unit_json_text("\"\\ud83d\\ud83d\\ude00\""), "efbfbdf09f9880");
        CHECK_STR(unit_json_text("\"\\ud83d\xc3\xa4\""), "efbfbdc3a4");
    }

    TEST("the reader gives the tokens in order") {
        static const cwsi_json_kind want[] = {
            CWSI_JSON_OBJECT,     CWSI_JSON_KEY,       CWSI_JSON_ARRAY,  CWSI_JSON_NUMBER,
            CWSI_JSON_TRUE,       CWSI_JSON_ARRAY_END, CWSI_JSON_KEY,    CWSI_JSON_OBJECT,
            CWSI_JSON_OBJECT_END, CWSI_JSON_KEY,       CWSI_JSON_STRING, CWSI_JSON_KEY,
            CWSI_JSON_NULL,       CWSI_JSON_KEY,       CWSI_JSON_FALSE,  CWSI_JSON_OBJECT_END,
            CWSI_JSON_END,        CWSI_JSON_END};
        static const char text[] = "{\"a\":[1,true],\"b\":{},\"c\":\"s\",\"d\":null,\"e\":false}";
        cwsi_json j;
        size_t i;
        cwsi_json_init(&j, text, strlen(text));
        for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) CHECK_INT(cwsi_json_next(&j), want[i]);
    }

    TEST("a nesting of 100 is read and a nesting of 101 is an error") {
        static const char *const pairs[][2] = {{"[", "]"}, {"{\"a\":[", "]}"}};
        char *text = unit_nest(100, pairs[0][0], pairs[0][1]);
        CHECK(unit_json_valid(text, strlen(text)));
        free(text);
        text = unit_nest(101, pairs[0][0], pairs[0][1]);
        CHECK(!unit_json_valid(text, strlen(text)));
        free(text);
        text = unit_nest(50, pairs[1][0], pairs[1][1]);
        CHECK(unit_json_valid(text, strlen(text)));
        free(text);
        text = unit_nest(51, pairs[1][0], pairs[1][1]);
        CHECK(!unit_json_valid(text, strlen(text)));
        free(text);
    }

    TEST("ten megabytes of opening brackets are an error, not a crash") {
        const size_t size = 10u * 1024u * 1024u;
        char *text = (char *)malloc(size);
        if (!CHECK(text != NULL)) break;
        memset(text, '[', size);
        CHECK(!unit_json_valid(text, size));
        memset(text, '{', size);
        CHECK(!unit_json_valid(text, size));
        memset(text, ' ', size);
        CHECK(!unit_json_valid(text, size));
        free(text);
    }

    TEST("skipping a value stops right behind it") {
        static const char *const values[] = {"1",
                                             "\"x\"",
                                             "null",
                                             "true",
                                             "[]",
                                             "{}",
                                             "[1,[2],{\"a\":3}]",
                                             "{\"a\":[{\"b\":{}}],\"c\":\"]}\"}"};
        size_t i;
        for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            char text[128];
            cwsi_json j;
            (void)snprintf(text, sizeof(text), "{\"k\":%s,\"next\":7}", values[i]);
            cwsi_json_init(&j, text, strlen(text));
            CHECK_INT(cwsi_json_next(&j), CWSI_JSON_OBJECT);
            CHECK_INT(cwsi_json_next(&j), CWSI_JSON_KEY);
            (void)cwsi_json_next(&j);
            CHECK(cwsi_json_skip(&j));
            CHECK_INT(cwsi_json_next(&j), CWSI_JSON_KEY);
            CHECK(cwsi_str_is(j.text, "next"));
            CHECK_INT(cwsi_json_next(&j), CWSI_JSON_NUMBER);
            CHECK_INT(cwsi_json_next(&j), CWSI_JSON_OBJECT_END);
            CHECK_INT(cwsi_json_next(&j), CWSI_JSON_END);
        }
    }

    TEST("skipping a malformed value fails") {
        static const char *const bad[] = {"[1,", "[1,]", "{\"a\"", "[", "[[[[", "[nul]"};
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            cwsi_json j;
            cwsi_json_init(&j, bad[i], strlen(bad[i]));
            (void)cwsi_json_next(&j);
            CHECK(!cwsi_json_skip(&j));
            CHECK(j.failed);
        }
    }

    TEST("written strings are valid JSON and come back, malformed bytes as U+FFFD") {
        uint64_t seed = unit_seed;
        cwsi_mem mem = unit_mem(unit_plenty);
        int round, wrong = 0;
        for (round = 0; round < 20000; round++) {
            char data[24];
            size_t len = (size_t)unit_below(&seed, sizeof(data)), i;
            cwsi_buf buf;
            cwsi_arena arena;
            cwsi_json j;
            cwsi_str s;
            for (i = 0; i < len; i++)
                data[i] = (char)(round % 2 ? unit_below(&seed, 128) : unit_random(&seed));
            cwsi_arena_init(&arena, &mem);
            cwsi_buf_init(&buf, &mem, 1000);
            CHECK(cwsi_put_json_string(&buf, data, len));
            cwsi_json_init(&j, buf.at, buf.len);
            if (cwsi_json_next(&j) != CWSI_JSON_STRING || !cwsi_json_string(&j, &arena, &s) ||
                cwsi_json_next(&j) != CWSI_JSON_END)
                wrong++;
            else if (cwsi_utf8_valid(data, len) && !cwsi_str_same(s, unit_bytes(data, len)))
                wrong++;
            cwsi_buf_free(&buf);
            cwsi_arena_clear(&arena);
        }
        CHECK_INT(wrong, 0);
        CHECK_INT(test_alloc_live(), 0);
    }
}

/* ---- binary codec ---------------------------------------------------------------------------- */

/* Made with `protoc --encode` and the reference implementation's JSON printer. */
typedef struct unit_golden {
    cwsi_msg_id id;
    const char *hex, *json;
} unit_golden;

static const unit_golden unit_goldens[] = {
    {CWSI_M_v1_GetSandboxRequest, "0a0473622d31", "{\"sandboxId\":\"sb-1\"}"},
    {CWSI_M_v1_CreateSandboxRequest,
     "0a5b12540a470a046d61696e120b707974686f6e3a332e31311a072f62696e2f736822022d6322047472"
     "75652a060a014112013132150a043530306d12033147691a080802120448313030700028901c42027431"
     "420070023203626f781203722d31",
     "{\"sandbox\":{\"spec\":{\"containers\":[{\"name\":\"main\",\"image\":\"python:3.11\""
     ",\"command\":\"/bin/sh\",\"args\":[\"-c\",\"true\"],\"environmentVariables\":{\"A\":"
     "\"1\"},\"resources\":{\"cpu\":\"500m\",\"memory\":\"1Gi\",\"gpu\":{\"count\":\"2\","
     "\"type\":\"H100\"}},\"primary\":false}],\"maxLifetimeSeconds\":3600,\"tags\":[\"t1\""
     ",\"\"],\"mode\":\"SANDBOX_MODE_CKS\"},\"displayName\":\"box\"},\"requestId\":\"r-1\""
     "}"},
    {CWSI_M_v1_Sandbox,
     "0a0273621a2408031a0b08a5ebdcca0610809bee02480062110a046d61696e18ffffffffffffffffff01"
     "28ffffffffffffffff7f3a03746f6b",
     "{\"sandboxId\":\"sb\",\"status\":{\"state\":\"STATE_COMPLETED\",\"createTime\":\"202"
     "6-01-02T03:04:05.006Z\",\"exitCode\":0,\"containerStatuses\":[{\"name\":\"main\",\"e"
     "xitCode\":-1}]},\"sourceTemplateRevision\":\"9223372036854775807\",\"endpointShareTo"
     "ken\":\"tok\"}"},
    {CWSI_M_v1_SandboxStatus, "084d2a1108ffffffffffffffffff0110ff93ebdc0348ffffffffffffffffff01",
     "{\"state\":77,\"endTime\":\"1969-12-31T23:59:59.999999999Z\",\"exitCode\":-1}"},
    {CWSI_M_v1_SecurityContext, "080010ffffffff0f18002001",
     "{\"runAsUser\":0,\"runAsGroup\":4294967295,\"privileged\":false,\"allowPrivilegeEsca"
     "lation\":true}"},
    {CWSI_M_v1_Gpu, "08ffffffffffffffffff011800", "{\"count\":\"-1\",\"memoryGb\":\"0\"}"},
    {CWSI_M_v1_Gpu, "1200", "{\"type\":\"\"}"},
    {CWSI_M_v1_ExecRequest,
     "0a017312046563686f120768c3a4f09f98801a060a014b1201562080808080f8ffffffff01",
     "{\"sandboxId\":\"s\",\"command\":[\"echo\",\"h\303\244\360\237\230\200\"],\"env\":{\"K\":"
     "\"V\"},\"maxO"
     "utputBytes\":-2147483648}"},
    {CWSI_M_v1_ExecResponse, "0a0300ff0a188901200130ffffffffffffffff7f3880808080808080808001",
     "{\"stdout\":\"AP8K\",\"exitCode\":137,\"stdoutTruncated\":true,\"stdoutBytesProduced"
     "\":\"9223372036854775807\",\"stderrBytesProduced\":\"-9223372036854775808\"}"},
    {CWSI_M_v1_ExecStreamRequest, "1200", "{\"stdin\":\"\"}"},
    {CWSI_M_v1_ExecStreamRequest, "2200", "{\"close\":{}}"},
    {CWSI_M_v1_ExecStreamRequest,
     "0a1f0a017312027368180120502818320d0a045445524d1205787465726d3a0163",
     "{\"init\":{\"sandboxId\":\"s\",\"command\":[\"sh\"],\"tty\":true,\"ttyWidth\":80,\"t"
     "tyHeight\":24,\"env\":{\"TERM\":\"xterm\"},\"container\":\"c\"}}"},
    {CWSI_M_v1_ExecStreamResponse, "1209080212056f6f70730a",
     "{\"output\":{\"stream\":\"STREAM_STDERR\",\"data\":\"b29wcwo=\"}}"},
    {CWSI_M_v1_ExecStreamResponse, "1a0908031205080110e807",
     "{\"exit\":{\"exitCode\":3,\"completedTime\":\"1970-01-01T00:00:01.000001Z\"}}"},
    {CWSI_M_v1_StreamLogsRequest, "0a01731001180a220040ffffffffffffffffff01",
     "{\"sandboxId\":\"s\",\"follow\":true,\"tailLines\":10,\"sinceTime\":\"1970-01-01T00:"
     "00:00Z\",\"resumeLogOffset\":\"18446744073709551615\"}"},
    {CWSI_M_v1_ConnectSandboxRequest, "0a01731204010203041a0d01ac02ffffffffffffffffff01",
     "{\"sandboxId\":\"s\",\"csrDer\":\"AQIDBA==\",\"requestedPermissions\":[\"SANDBOX_DAT"
     "A_PERMISSION_EXEC\",300,-1]}"},
    {CWSI_M_v1_CreateSandboxFromFileRequest, "08011201782a080a037765621201ff8a01080a016f1203120162",
     "{\"type\":\"SANDBOX_FILE_TYPE_COMPOSE\",\"contents\":\"eA==\",\"buildContexts\":{\"w"
     "eb\":\"/w==\"},\"buildContextObjects\":{\"o\":{\"bucket\":\"b\"}}}"},
    {CWSI_M_v1_NetworkOptions,
     "120220001202180012280a190a0a31302e302e302e302f38120b31302e312e302e302f31362a0b0a0354"
     "4350100118ffff03180120002802",
     "{\"egress\":[{\"any\":false},{\"tenant\":\"TENANT_SCOPE_UNSPECIFIED\"},{\"cidr\":{\""
     "cidr\":\"10.0.0.0/8\",\"except\":[\"10.1.0.0/16\"]},\"ports\":[{\"protocol\":\"TCP\""
     ",\"port\":1,\"endPort\":65535}]}],\"denyEgress\":true,\"denyIngress\":false,\"dnsEgr"
     "ess\":\"DNS_EGRESS_MODE_DENY\"}"},
    {CWSI_M_v1_UpdateVolumeRequest,
     "0a0176120d120b0a0712026e731a016310011a270a10737065632e6465736372697074696f6e0a137370"
     "65632e7076632e636c61696d5f6e616d65",
     "{\"volumeId\":\"v\",\"volume\":{\"spec\":{\"pvc\":{\"namespace\":\"ns\",\"claimName"
     "\":\"c\"},\"readOnly\":true}},\"updateMask\":\"spec.description,spec.pvc.claimName\""
     "}"},
    {CWSI_M_v1_SandboxTemplate,
     "0a0174522b0a290a016c122432220a0911000000000000f03f0a0208000a0220000a051a032278220a02"
     "2a000a023200",
     "{\"sandboxTemplateId\":\"t\",\"attachments\":{\"l\":[1,null,false,\"\\\"x\\\"\",{},["
     "]]}}"},
    {CWSI_M_v1_VolumeStatus, "080218023a0352574f4801",
     "{\"state\":\"VOLUME_STATE_READY\",\"locality\":\"VOLUME_LOCALITY_GLOBAL\",\"accessMo"
     "des\":[\"RWO\"],\"attachedSandboxCount\":1}"},
    {CWSI_M_v1_ListSandboxesResponse, "0a000a030a01610a00120170",
     "{\"sandboxes\":[{},{\"sandboxId\":\"a\"},{}],\"nextPageToken\":\"p\"}"},
    {CWSI_M_v1_SecretStore, "0a016e10015200",
     "{\"name\":\"n\",\"providerType\":\"SECRET_STORE_PROVIDER_TYPE_WANDB\",\"wandb\":{}}"},
    {CWSI_M_b2_StartSandboxRequest,
     "0a01631201611a017422090a01311a04080118502a016932060a01451201763a0908903f120468747470"
     "42090a022f661203616263520f120d50bb03ffffffffffffffffff01b001018a0201709202050a017620"
     "01",
     "{\"command\":\"c\",\"args\":[\"a\"],\"tags\":[\"t\"],\"resources\":{\"cpu\":\"1\",\""
     "gpu\":{\"gpuCount\":\"1\",\"gpuMemoryGb\":\"80\"}},\"containerImage\":\"i\",\"enviro"
     "nmentVariables\":{\"E\":\"v\"},\"ports\":[{\"containerPort\":8080,\"name\":\"http\"}"
     "],\"mountedFiles\":[{\"mountPath\":\"/f\",\"fileContent\":\"YWJj\"}],\"network\":{\""
     "exposedPorts\":[80,443,-1]},\"maxLifetimeSeconds\":1,\"profileNames\":[\"p\"],\"volu"
     "mes\":[{\"volumeId\":\"v\",\"readOnly\":true}]}"},
    {CWSI_M_b2_GetSandboxResponse, "0a017318096800",
     "{\"sandboxId\":\"s\",\"sandboxStatus\":\"SANDBOX_STATUS_TERMINATING\",\"exitCode\":0"
     "}"},
    {CWSI_M_b2_StopSandboxRequest, "0a0173100a18012a016b3000",
     "{\"sandboxId\":\"s\",\"gracefulShutdownSeconds\":10,\"fileSystemSnapshotOnStop\":tru"
     "e,\"idempotencyKey\":\"k\",\"waitForReady\":false}"},
    {CWSI_M_b2_ExecStreamResponse, "22120a0d08ff82d1ffaf0710ff93ebdc03120171",
     "{\"ready\":{\"readyAt\":\"9999-12-31T23:59:59.999999999Z\",\"sessionId\":\"q\"}}"},
    {CWSI_M_b2_LogStreamResponse, "1a00", "{\"complete\":{}}"},
    {CWSI_M_b2_RawSandboxRequest, "0a017310082a0412022f78",
     "{\"sandboxId\":\"s\",\"actionType\":\"ACTION_TYPE_STOP\",\"retrieveFilePayload\":{\""
     "filepath\":\"/x\"}}"},
    {CWSI_M_b2_SecretStore, "0a01695203120174a2010b088092b8c398feffffff01aa0106088098ecc503",
     "{\"id\":\"i\",\"wandb\":{\"team\":\"t\"},\"createdAt\":\"0001-01-01T00:00:00Z\",\"up"
     "datedAt\":\"2000-02-29T00:00:00Z\"}"},
    {CWSI_M_b2_ServiceConfig, "0a1000ffffffff0780808080f8ffffffff01",
     "{\"exposedPorts\":[0,2147483647,-2147483648]}"},
    {CWSI_M_rpc_RetryInfo, "0a1608ffffffffffffffffff011080b6ca91feffffffff01",
     "{\"retryDelay\":\"-1.500s\"}"},
    {CWSI_M_rpc_ErrorInfo, "0a0152120d637773616e64626f782e636f6d1a060a016b120176",
     "{\"reason\":\"R\",\"domain\":\"cwsandbox.com\",\"metadata\":{\"k\":\"v\"}}"},
    {CWSI_M_rpc_BadRequest, "0a0f0a016612016422070a02656e12016d",
     "{\"fieldViolations\":[{\"field\":\"f\",\"description\":\"d\",\"localizedMessage\":{"
     "\"locale\":\"en\",\"message\":\"m\"}}]}"},
    {CWSI_M_pb_Duration, "0880bcaece9709", "\"315576000000s\""},
};
static const size_t unit_golden_count = sizeof(unit_goldens) / sizeof(unit_goldens[0]);

static const cwsi_v1_SandboxStatus *unit_v1_status(const unit_case *c)
{
    return (const cwsi_v1_SandboxStatus *)c->msg;
}

static void test_codec(void)
{
    TEST("messages of the reference encoder decode and encode to the same bytes") {
        size_t i;
        for (i = 0; i < unit_golden_count; i++)
            if (!CHECK_STR(unit_again(unit_goldens[i].id, unit_goldens[i].hex),
                           unit_goldens[i].hex))
                printf("    %s\n", cwsi_msg_name(unit_goldens[i].id));
    }

    TEST("each kind of scalar arrives in its member") {
        unit_case c;
        const cwsi_v1_ExecResponse *r;
        /* 1: 00 ff 0a, 3: 137, 4: true, 6: INT64_MAX, 7: INT64_MIN */
        CHECK_INT(
            unit_decode_hex(&c, CWSI_M_v1_ExecResponse,
                            "0a0300ff0a 188901 2001 30ffffffffffffffff7f 3880808080808080808001"),
            CWS_OK);
        r = (const cwsi_v1_ExecResponse *)c.msg;
        CHECK(r->stdout_.len == 3 && memcmp(r->stdout_.at, "\0\xff\n", 3) == 0);
        CHECK_INT(r->stderr_.len, 0);
        CHECK_INT(r->exit_code, 137);
        CHECK(r->stdout_truncated && !r->stderr_truncated);
        CHECK(r->stdout_bytes_produced == INT64_MAX);
        CHECK(r->stderr_bytes_produced == INT64_MIN);
        CHECK_INT(r->unknown, 0);
        unit_done(&c);
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_StreamLogsRequest, "40ffffffffffffffffff01"),
                  CWS_OK);
        CHECK(((const cwsi_v1_StreamLogsRequest *)c.msg)->resume_log_offset == UINT64_MAX);
        unit_done(&c);
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_SecurityContext, "08ffffffff0f"), CWS_OK);
        CHECK(((const cwsi_v1_SecurityContext *)c.msg)->run_as_user == UINT32_MAX);
        unit_done(&c);
        /* 0.25 is 0x3fd0000000000000 */
        CHECK_INT(unit_decode_hex(&c, CWSI_M_pb_Value, "11000000000000d03f"), CWS_OK);
        CHECK(((const cwsi_pb_Value *)c.msg)->number_value == 0.25);
        unit_done(&c);
    }

    TEST("a negative int32 travels as ten bytes and is read from five or ten") {
        unit_case c;
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "08ffffffffffffffffff01"),
                  "08ffffffffffffffffff01");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "08ffffffff0f"), "08ffffffffffffffffff01");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "0880808080f8ffffffff01"),
                  "0880808080f8ffffffff01");
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_ExecStreamExit, "08ffffffffffffffffff01"), CWS_OK);
        CHECK_INT(((const cwsi_v1_ExecStreamExit *)c.msg)->exit_code, -1);
        unit_done(&c);
    }

    TEST("an optional field with the value 0 is present, and an absent one is not") {
        unit_case c;
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_SandboxStatus, "4800"), CWS_OK);
        CHECK(unit_v1_status(&c)->has_exit_code && unit_v1_status(&c)->exit_code == 0);
        CHECK_STR(unit_encoded(&c, CWSI_M_v1_SandboxStatus, unit_out, sizeof(unit_out)), "4800");
        unit_done(&c);
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_SandboxStatus, ""), CWS_OK);
        CHECK(!unit_v1_status(&c)->has_exit_code);
        CHECK_STR(unit_encoded(&c, CWSI_M_v1_SandboxStatus, unit_out, sizeof(unit_out)), "");
        unit_done(&c);
        CHECK_STR(unit_again(CWSI_M_b2_StopSandboxRequest, "3000"), "3000");
        CHECK_STR(unit_again(CWSI_M_v1_SecurityContext, "080010001800"), "080010001800");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "0800"), ""); /* no presence there */
    }

    TEST("the last member of a oneof wins") {
        unit_case c;
        const cwsi_v1_ExecStreamRequest *r;
        /* stdin "a", then close */
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "120161 2200"), "2200");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "2200 120161"), "120161");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "2200 1200"), "1200");
        CHECK_STR(unit_again(CWSI_M_v1_Gpu, "120161 1800"), "1800");
        CHECK_STR(unit_again(CWSI_M_pb_Value, "1101000000000000f0 2001 0800"), "0800");
        /* init{s}, close, init{c}: the first init is gone, not merged */
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "0a030a0173 2200 0a033a0163"),
                  "0a033a0163");
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_ExecStreamRequest, "0a00 120161"), CWS_OK);
        r = (const cwsi_v1_ExecStreamRequest *)c.msg;
        CHECK(r->init == NULL && r->has_stdin_ && !r->resize && !r->close);
        unit_done(&c);
    }

    TEST("a singular sub-message that comes twice is merged") {
        /* Sandbox.status {state 2}, status {exit_code 3, state 3, runner_id r} */
        CHECK_STR(unit_again(CWSI_M_v1_Sandbox, "1a020802 1a074803 0803 6a0172"), "1a0708034803"
                                                                                  "6a0172");
        /* repeated elements inside are appended: spec.tags a, b */
        CHECK_STR(unit_again(CWSI_M_v1_Sandbox, "1203420161 1203420162"), "1206420161420162");
        /* also within one member of a oneof */
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "0a030a0173 0a033a0163"),
                  "0a060a01733a0163");
    }

    TEST("a singular scalar or string that comes twice keeps the last") {
        CHECK_STR(unit_again(CWSI_M_v1_GetSandboxRequest, "0a0161 0a0162"), "0a0162");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "0801 0802"), "0802");
    }

    TEST("lists of numbers are written packed and read packed, unpacked and mixed") {
        unit_case c;
        const cwsi_b2_ServiceConfig *s;
        CHECK_STR(unit_again(CWSI_M_b2_ServiceConfig, "0a03 01 bb03"), "0a0301bb03");
        CHECK_STR(unit_again(CWSI_M_b2_ServiceConfig, "0801 08bb03"), "0a0301bb03");
        CHECK_STR(unit_again(CWSI_M_b2_ServiceConfig, "0801 0a0102 0803 0a020405"),
                  "0a050102030405");
        CHECK_STR(unit_again(CWSI_M_b2_ServiceConfig, "0a00"), "");
        CHECK_STR(unit_again(CWSI_M_v1_ConnectSandboxRequest, "1801 18ac02"), "1a0301ac02");
        CHECK_INT(unit_decode_hex(&c, CWSI_M_b2_ServiceConfig, "0a0b ffffffffffffffffff01 00"),
                  CWS_OK);
        s = (const cwsi_b2_ServiceConfig *)c.msg;
        CHECK_INT(s->exposed_ports.len, 2);
        CHECK_INT(((const int32_t *)s->exposed_ports.at)[0], -1);
        CHECK_INT(((const int32_t *)s->exposed_ports.at)[1], 0);
        unit_done(&c);
    }

    TEST("packed lists that end inside a number are malformed") {
        CHECK_INT(unit_status(CWSI_M_b2_ServiceConfig, "0a02 0180"), CWS_ERR_PROTOCOL);
        CHECK_INT(unit_status(CWSI_M_b2_ServiceConfig, "0a01 80"), CWS_ERR_PROTOCOL);
        CHECK_INT(unit_status(CWSI_M_b2_ServiceConfig, "0a05 01"), CWS_ERR_PROTOCOL);
        CHECK_INT(unit_status(CWSI_M_b2_ServiceConfig, "0a0b ffffffffffffffffffff01"),
                  CWS_ERR_PROTOCOL);
    }

    TEST("maps are lists of entries whose key and value default to empty") {
        unit_case c;
        const cwsi_v1_ExecRequest *r;
        const cwsi_map_StrStr *e;
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_ExecRequest,
                                  "1a060a014b120156 1a030a0158 1a00 1a0312015a"),
                  CWS_OK);
        r = (const cwsi_v1_ExecRequest *)c.msg;
        e = (const cwsi_map_StrStr *)r->env.at;
        CHECK_INT(r->env.len, 4);
        if (r->env.len != 4) break;
        CHECK(cwsi_str_is(e[0].key, "K") && cwsi_str_is(e[0].value, "V"));
        CHECK(cwsi_str_is(e[1].key, "X") && e[1].value.len == 0);
        CHECK(e[2].key.len == 0 && e[2].value.len == 0);
        CHECK(e[3].key.len == 0 && cwsi_str_is(e[3].value, "Z"));
        unit_done(&c);
        /* value before key */
        CHECK_STR(unit_again(CWSI_M_v1_ExecRequest, "1a06120156 0a014b"), "1a060a014b120156");
    }

    TEST("unknown fields of every wire type are skipped and counted") {
        unit_case c;
        /* 100: varint, fixed64, bytes, group{1: varint, 2: group{}}, fixed32; then sandbox_id "s"
         */
        CHECK_INT(
            unit_decode_hex(
                &c, CWSI_M_v1_GetSandboxRequest,
                "a00605 a1060102030405060708 a2060178 a306 0801 13 14 a406 a50601020304 0a0173"),
            CWS_OK);
        CHECK(cwsi_str_is(((const cwsi_v1_GetSandboxRequest *)c.msg)->sandbox_id, "s"));
        CHECK_INT(((const cwsi_v1_GetSandboxRequest *)c.msg)->unknown, 5);
        CHECK_STR(unit_encoded(&c, CWSI_M_v1_GetSandboxRequest, unit_out, sizeof(unit_out)),
                  "0a0173");
        unit_done(&c);
        /* the largest field number there is */
        CHECK_STR(unit_again(CWSI_M_v1_GetSandboxRequest, "f8ffffff0f01 0a0173"), "0a0173");
    }

    TEST("a known field of a foreign wire type counts as unknown") {
        unit_case c;
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_GetSandboxRequest, "0805 0d01020304 0a0173 0b0c"),
                  CWS_OK);
        CHECK(cwsi_str_is(((const cwsi_v1_GetSandboxRequest *)c.msg)->sandbox_id, "s"));
        CHECK_INT(((const cwsi_v1_GetSandboxRequest *)c.msg)->unknown, 3);
        unit_done(&c);
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "0a0161 0d01020304"), "");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamRequest, "2200 1001"),
                  "2200"); /* does not clear the oneof */
        CHECK_STR(unit_again(CWSI_M_pb_Value, "1001"), "");
    }

    TEST("malformed wire data is refused") {
        static const char *const bad[] = {
            "00", /* field number 0 */
            "0001",
            "02 00",
            "07",
            "06", /* field 0, wire types 6 and 7 */
            "0e",
            "0f",
            "0c",   /* known field: types 6, 7; end of a group never begun */
            "a406", /* the same, unknown field */
            "a306",
            "a306 0801",
            "a306 a306 a406", /* groups that do not end */
            "80",
            "8080808080808080808001", /* a tag that does not end; one of 11 bytes */
            "f8ffffff1f01",           /* field number above 2^29 - 1 */
            "0a",
            "0a02 61",
            "0a80",
            "0affffffff0f 61",
            "0affffffffffffffffff01 61", /* lengths */
            "a106 01020304050607",
            "a506 010203",
            "a206 05 61",
            "a006 80", /* cut unknown ones */
            "a006 ffffffffffffffffff02",
            "a006 ffffffffffffffffffff01", /* over 64 bits */
            "0a02 c328",
            "0a01 ff",
            "0a03 eda080"}; /* a string that is no UTF-8 */
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            if (!CHECK_INT(unit_status(CWSI_M_v1_GetSandboxRequest, bad[i]), CWS_ERR_PROTOCOL))
                printf("    accepted: %s\n", bad[i]);
    }

    TEST("varints longer than they need to be are read") {
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "08 8580808000"), "0805");
        CHECK_STR(unit_again(CWSI_M_v1_ExecStreamExit, "8800 05"), "0805");
        CHECK_STR(unit_again(CWSI_M_v1_ListSandboxesRequest, "28 80808080808080808001"),
                  "2801"); /* bool */
    }

    TEST("bytes may hold anything, strings any UTF-8 with NUL") {
        CHECK_STR(unit_again(CWSI_M_v1_ReadFileResponse, "0a04 00ffc328"), "0a0400ffc328");
        CHECK_STR(unit_again(CWSI_M_v1_GetSandboxRequest, "0a03 610062"), "0a03610062");
        CHECK_STR(unit_again(CWSI_M_v1_GetSandboxRequest, "0a04 f09f9880"), "0a04f09f9880");
    }

    TEST("an unknown enum number is kept") {
        CHECK_STR(unit_again(CWSI_M_v1_SandboxStatus, "08e707"), "08e707");
        CHECK_STR(unit_again(CWSI_M_v1_SandboxStatus, "08ffffffffffffffffff01"),
                  "08ffffffffffffffffff01");
    }

    TEST("message names can be looked up and are unique") {
        int i;
        for (i = 0; i < CWSI_MSG_COUNT; i++)
            CHECK_INT(cwsi_msg_by_name(cwsi_str_of(cwsi_msg_name((cwsi_msg_id)i))), i);
        CHECK_INT(cwsi_msg_by_name(cwsi_str_of("no.such.Message")), CWSI_MSG_COUNT);
        CHECK_INT(cwsi_msg_by_name(cwsi_str_of("")), CWSI_MSG_COUNT);
    }

    TEST("tables are consistent: sizes, offsets, order, one entry form, names that fit") {
        int id, k;
        for (id = 0; id < CWSI_MSG_COUNT; id++) {
            cwsi_msg t = cwsi_msg_table((cwsi_msg_id)id);
            for (k = 0; k < t.field_count; k++) {
                const cwsi_field *f = &t.fields[k];
                bool many = f->label == CWSI_REP || f->label == CWSI_MAP;
                CHECK(f->number > 0 && f->offset >= sizeof(uint32_t));
                CHECK(f->offset + (many                  ? sizeof(cwsi_list)
                                   : f->kind == CWSI_MSG ? sizeof(void *)
                                                         : cwsi_element_size(f)) <=
                      t.size);
                CHECK(strlen(f->name) < 64);
                CHECK((f->label == CWSI_OPT || f->label == CWSI_ONEOF) == (f->has_offset != 0));
                CHECK((f->label == CWSI_ONEOFM) <= (f->kind == CWSI_MSG));
                CHECK(!(f->label == CWSI_ONEOF && f->kind == CWSI_MSG));
                CHECK(
                    !(many && f->kind == CWSI_DOUBLE)); /* the decoder reads packed varints only */
                if (f->label == CWSI_MAP)
                    CHECK(strncmp(cwsi_msg_name((cwsi_msg_id)f->sub), "map.", 4) == 0);
            }
        }
    }
}

/* Every message of the golden table in turn, cut, bent or starved. */
static void test_codec_hard(void)
{
    TEST("every truncation of every message ends as OK or PROTOCOL, without a read beyond it") {
        size_t i, cut;
        for (i = 0; i < unit_golden_count; i++) {
            char data[2048];
            size_t len = unit_unhex(unit_goldens[i].hex, data);
            for (cut = 0; cut <= len; cut++) {
                unit_case c;
                cws_status status = unit_decode(&c, unit_goldens[i].id, data, cut);
                CHECK(status == CWS_OK || status == CWS_ERR_PROTOCOL);
                CHECK(cut < len || status == CWS_OK);
                if (!status) (void)unit_encoded(&c, unit_goldens[i].id, unit_out, sizeof(unit_out));
                unit_done(&c);
            }
        }
    }

    TEST (
        "random mutations never crash, and what decodes encodes to something that decodes equal") {
        uint64_t seed = unit_seed;
        long round, decoded = 0, wrong = 0;
        for (round = 0; round < unit_mutations; round++) {
            const unit_golden *g = &unit_goldens[unit_below(&seed, unit_golden_count)];
            char data[2048];
            size_t len = unit_unhex(g->hex, data), changes = 1 + (size_t)unit_below(&seed, 4);
            unit_case c, again;
            while (changes--) {
                size_t at = len ? (size_t)unit_below(&seed, len) : 0;
                switch (len ? unit_below(&seed, 5) : 3) {
                case 0: data[at] = (char)unit_random(&seed); break;
                case 1: data[at] = (char)(data[at] ^ (1 << unit_below(&seed, 8))); break;
                case 2: memmove(data + at, data + at + 1, --len - at); break;
                case 3:
                    memmove(data + at + 1, data + at, len++ - at);
                    data[at] = (char)unit_random(&seed);
                    break;
                default: len = at; break;
                }
            }
            if (!unit_decode(&c, g->id, data, len)) {
                unit_out[0] = unit_out2[0] = '\0';
                decoded++;
                (void)unit_encoded(&c, g->id, unit_out, sizeof(unit_out));
                if (unit_decode_hex(&again, g->id, unit_out)) wrong++;
                else if (strcmp(unit_encoded(&again, g->id, unit_out2, sizeof(unit_out2)),
                                unit_out))
                    wrong++;
                cwsi_arena_clear(&again.arena);
                free(again.input);
                if (!strcmp(unit_printed(&c, g->id, false, unit_out, sizeof(unit_out)),
                            "(not printed)") ||
                    !unit_json_valid(unit_out, strlen(unit_out)))
                    wrong++;
            } else if (c.status != CWS_ERR_PROTOCOL) wrong++;
            cwsi_arena_clear(&c.arena);
            free(c.input);
            if (wrong) break;
        }
        if (!CHECK_INT(wrong, 0)) printf("    round %ld\n", round);
        CHECK(unit_mutations < 1000 || decoded > unit_mutations / 20);
        CHECK_INT(test_alloc_live(), 0);
        printf("mutations: %ld, seed %llu, decoded %ld\n", unit_mutations,
               (unsigned long long)unit_seed, decoded);
    }

    TEST("random bytes as any message never crash") {
        uint64_t seed = unit_seed + 1;
        long round;
        for (round = 0; round < unit_mutations / 4; round++) {
            char data[64];
            size_t len = (size_t)unit_below(&seed, sizeof(data)), i;
            unit_case c;
            for (i = 0; i < len; i++) data[i] = (char)unit_below(&seed, i % 2 ? 256 : 64);
            (void)unit_decode(&c, (cwsi_msg_id)unit_below(&seed, CWSI_MSG_COUNT), data, len);
            if (c.status) CHECK_INT(c.status, CWS_ERR_PROTOCOL);
            cwsi_arena_clear(&c.arena);
            free(c.input);
        }
        CHECK_INT(test_alloc_live(), 0);
    }

    TEST("failing any allocation of decode, encode or print gives NO_MEMORY and leaks nothing") {
        size_t i;
        for (i = 0; i < unit_golden_count; i++) {
            const unit_golden *g = &unit_goldens[i];
            int persistent, mode;
            for (mode = 0; mode < 2; mode++)
                for (persistent = 0; persistent < 2; persistent++) {
                    long n;
                    for (n = 0; n < 1000; n++) {
                        char data[2048];
                        size_t len = mode ? strlen(g->json) : unit_unhex(g->hex, data);
                        const char *in = mode ? g->json : data;
                        unit_case c;
                        cwsi_buf buf;
                        cws_status status;
                        bool failed;
                        unit_open(&c, in, len, unit_plenty);
                        cwsi_buf_init(&buf, &c.mem, 100000);
                        test_alloc_fail_at(n, persistent == 1);
                        status =
                            mode ? cwsi_decode_json(&c.arena, g->id, unit_bytes(c.input, len),
                                                    &c.msg)
                                 : cwsi_decode(&c.arena, g->id, unit_bytes(c.input, len), &c.msg);
                        if (!status) status = cwsi_encode(&buf, g->id, c.msg);
                        if (!status) status = cwsi_encode_json(&buf, &c.arena, g->id, c.msg, false);
                        failed = test_alloc_failed();
                        test_alloc_fail_at(-1, false);
                        /* a growing buffer may try a second, smaller size after one failure */
                        if (failed && persistent) CHECK_INT(status, CWS_ERR_NO_MEMORY);
                        if (failed && status != CWS_OK) CHECK_INT(status, CWS_ERR_NO_MEMORY);
                        if (!failed) CHECK_INT(status, CWS_OK);
                        cwsi_buf_free(&buf);
                        unit_done(&c);
                        if (!failed) break;
                    }
                    CHECK(n > 0 && n < 1000);
                }
        }
    }

    TEST("a megabyte of empty sub-messages is bounded by the memory limit") {
        const size_t size = 1u << 20;
        char *data = (char *)malloc(size);
        cwsi_mem mem = unit_mem(8u << 20);
        cwsi_arena arena;
        void *msg = NULL;
        size_t i;
        if (!CHECK(data != NULL)) break;
        for (i = 0; i < size; i++) data[i] = (char)(i % 2 ? 0 : 0x0a);
        cwsi_arena_init(&arena, &mem);
        CHECK_INT(
            cwsi_decode(&arena, CWSI_M_v1_ListSandboxesResponse, unit_bytes(data, size), &msg),
            CWS_ERR_NO_MEMORY);
        CHECK(mem.peak <= mem.limit);
        cwsi_arena_clear(&arena);
        CHECK_INT(mem.used, 0);
        /* the same as JSON: [{},{},...] */
        data[0] = '[';
        for (i = 1; i + 3 < size; i += 3) memcpy(data + i, "{},", 3);
        memcpy(data + i - 1, "]", 1);
        CHECK_INT(cwsi_decode_json(&arena, CWSI_M_pb_ListValue, unit_bytes(data, i), &msg),
                  CWS_ERR_NO_MEMORY);
        CHECK(mem.peak <= mem.limit);
        cwsi_arena_clear(&arena);
        CHECK_INT(test_alloc_live(), 0);
        free(data);
    }

    TEST("sub-messages nest 63 deep below the outermost; deeper ones are refused") {
        int levels;
        for (levels = 60; levels < 70; levels++) {
            char data[1024];
            size_t start = sizeof(data), len = 0, k;
            int i;
            unit_case c;
            /* innermost first: Value.list_value (0x32) and ListValue.values (0x0a) in turn */
            for (i = levels; i > 0; i--) {
                char head[3];
                size_t n = 0;
                head[n++] = (char)(i % 2 ? 0x32 : 0x0a);
                if (len > 127) head[n++] = (char)((len & 127) | 128), head[n++] = (char)(len >> 7);
                else head[n++] = (char)len;
                for (k = n; k > 0; k--) data[--start] = head[k - 1];
                len += n;
            }
            CHECK_INT(unit_decode(&c, CWSI_M_pb_Value, data + start, len),
                      levels <= 63 ? CWS_OK : CWS_ERR_PROTOCOL);
            if (!c.status) {
                (void)unit_encoded(&c, CWSI_M_pb_Value, unit_out, sizeof(unit_out));
                unit_hex(data + start, len, unit_out2);
                CHECK_STR(unit_out, unit_out2);
                (void)unit_printed(&c, CWSI_M_pb_Value, false, unit_out, sizeof(unit_out));
                CHECK(unit_json_valid(unit_out, strlen(unit_out)));
            }
            unit_done(&c);
        }
    }

    TEST("ten megabytes of nested groups or messages are refused, not recursed into") {
        const size_t size = 10u << 20;
        char *data = (char *)malloc(size);
        unit_case c;
        if (!CHECK(data != NULL)) break;
        memset(data, 0x7b, size); /* field 15, begin of a group */
        CHECK_INT(unit_decode(&c, CWSI_M_v1_GetSandboxRequest, data, size), CWS_ERR_PROTOCOL);
        unit_done(&c);
        memset(data, '[', size);
        unit_open(&c, data, size, unit_plenty);
        CHECK_INT(cwsi_decode_json(&c.arena, CWSI_M_pb_Value, unit_bytes(c.input, size), &c.msg),
                  CWS_ERR_PROTOCOL);
        unit_done(&c);
        free(data);
    }

    TEST("the encoder respects the maximum of its buffer") {
        unit_case c;
        cwsi_buf buf;
        size_t max;
        CHECK_INT(unit_decode_hex(&c, CWSI_M_v1_GetSandboxRequest, "0a0473622d31"), CWS_OK);
        for (max = 0; max < 8; max++) {
            cwsi_buf_init(&buf, &c.mem, max);
            CHECK_INT(cwsi_encode(&buf, CWSI_M_v1_GetSandboxRequest, c.msg),
                      max < 6 ? CWS_ERR_LIMIT : CWS_OK);
            cwsi_buf_free(&buf);
        }
        cwsi_buf_init(&buf, &c.mem, 10);
        CHECK_INT(cwsi_encode_json(&buf, NULL, CWSI_M_v1_GetSandboxRequest, c.msg, false),
                  CWS_ERR_LIMIT);
        cwsi_buf_free(&buf);
        unit_done(&c);
    }
}

/* ---- JSON codec ------------------------------------------------------------------------------ */

static void test_json_codec(void)
{
    TEST("messages print as the reference implementation prints them") {
        size_t i;
        for (i = 0; i < unit_golden_count; i++)
            if (!CHECK_STR(unit_to_json(unit_goldens[i].id, unit_goldens[i].hex),
                           unit_goldens[i].json))
                printf("    %s\n", cwsi_msg_name(unit_goldens[i].id));
    }

    TEST("what the reference implementation prints is read to the same message") {
        size_t i;
        for (i = 0; i < unit_golden_count; i++)
            if (!CHECK_STR(unit_from_json(unit_goldens[i].id, unit_goldens[i].json),
                           unit_goldens[i].hex))
                printf("    %s\n", cwsi_msg_name(unit_goldens[i].id));
    }

    TEST("every prefix of a JSON message is refused") {
        size_t i, cut;
        for (i = 0; i < unit_golden_count; i++)
            for (cut = 0; cut < strlen(unit_goldens[i].json); cut++) {
                unit_case c;
                unit_open(&c, unit_goldens[i].json, cut, unit_plenty);
                CHECK_INT(cwsi_decode_json(&c.arena, unit_goldens[i].id, unit_bytes(c.input, cut),
                                           &c.msg),
                          CWS_ERR_PROTOCOL);
                unit_done(&c);
            }
    }

    TEST("original field names are read as well as lowerCamelCase ones") {
        CHECK_STR(unit_from_json(CWSI_M_v1_GetSandboxRequest, "{\"sandbox_id\":\"s\"}"), "0a0173");
        CHECK_STR(unit_from_json(CWSI_M_v1_GetSandboxRequest, "{\"sandboxId\":\"s\"}"), "0a0173");
        CHECK_STR(unit_from_json(CWSI_M_v1_GetSandboxRequest, "{\"sandbox\\u0049d\":\"s\"}"),
                  "0a0173");
        CHECK_STR(unit_from_json(CWSI_M_v1_ExecStreamRequest, "{\"stdin\":\"YQ==\"}"), "120161");
        CHECK_STR(unit_from_json(CWSI_M_v1_ExecStreamRequest, "{\"stdin_\":\"YQ==\"}"), "");
    }

    TEST("null members are ignored, whatever their kind") {
        CHECK_STR(
            unit_from_json(
                CWSI_M_v1_Sandbox,
                "{\"sandboxId\":null,\"spec\":null,\"status\":{\"state\":null,\"exitCode\":null,"
                "\"createTime\":null,\"services\":null},\"displayName\":\"d\"}"),
            "1a0032"
            "0164");
        CHECK_STR(unit_from_json(CWSI_M_v1_ExecRequest,
                                 "{\"command\":null,\"env\":null,\"maxOutputBytes\":null}"),
                  "");
        CHECK_STR(unit_from_json(CWSI_M_v1_FileMount, "{\"content\":null}"), "");
        /* an enum of whatever table index */
        CHECK_STR(unit_from_json(CWSI_M_v1_Service, "{\"protocol\":null,\"visibility\":null}"), "");
        CHECK_STR(unit_from_json(CWSI_M_v1_EndpointSpec, "{\"kind\":null,\"auth\":null}"), "");
        CHECK_STR(
            unit_from_json(CWSI_M_v1_EgressRule, "{\"cidr\":null,\"tenant\":null,\"any\":null}"),
            "");
    }

    TEST("a null is accepted for every field of every message but Value") {
        int id, k;
        for (id = 0; id < CWSI_MSG_COUNT; id++) {
            cwsi_msg t = cwsi_msg_table((cwsi_msg_id)id);
            if (cwsi_has_own_json((cwsi_msg_id)id)) continue;
            for (k = 0; k < t.field_count; k++) {
                char text[128];
                if (t.fields[k].kind == CWSI_MSG && t.fields[k].sub == CWSI_M_pb_Value) continue;
                (void)snprintf(text, sizeof(text), "{\"%.*s\":null}",
                               (int)cwsi_field_name_len(&t.fields[k]), t.fields[k].name);
                if (!CHECK_STR(unit_from_json((cwsi_msg_id)id, text), ""))
                    printf("    %s %s\n", t.name, text);
            }
        }
    }

    TEST("unknown members are skipped and counted") {
        unit_case c;
        CHECK_INT(unit_json(&c, CWSI_M_v1_GetSandboxRequest,
                            "{\"new\":{\"a\":[1,{}]},\"sandboxId\":\"s\",\"x\":null,\"y\":[[]]}"),
                  CWS_OK);
        CHECK_INT(((const cwsi_v1_GetSandboxRequest *)c.msg)->unknown, 3);
        CHECK_STR(unit_encoded(&c, CWSI_M_v1_GetSandboxRequest, unit_out, sizeof(unit_out)),
                  "0a0173");
        unit_done(&c);
        CHECK_INT(unit_json_status(CWSI_M_v1_GetSandboxRequest, "{\"new\":[1,}"), CWS_ERR_PROTOCOL);
    }

    TEST("integers are read as numbers or strings and must fit") {
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":5}"), "0805");
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":\"5\"}"), "0805");
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":5.0}"), "0805");
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":1e3}"), "08e807");
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":\"-9223372036854775808\"}"),
                  "0880808080808080808001");
        CHECK_STR(unit_from_json(CWSI_M_v1_Gpu, "{\"count\":-9223372036854775808}"),
                  "0880808080808080808001");
        CHECK_STR(unit_from_json(CWSI_M_v1_ExecStreamExit, "{\"exitCode\":\"-1\"}"),
                  "08ffffffffffffffffff01");
        CHECK_STR(unit_from_json(CWSI_M_v1_StreamLogsRequest,
                                 "{\"resumeLogOffset\":18446744073709551615}"),
                  "40ffffffffffffffffff01");
    }

    TEST("values of the wrong type or range are refused") {
        static const struct {
            cwsi_msg_id id;
            const char *text;
        } bad[] = {{CWSI_M_v1_Gpu, "{\"count\":9223372036854775808}"},
                   {CWSI_M_v1_Gpu, "{\"count\":1.5}"},
                   {CWSI_M_v1_Gpu, "{\"count\":1e30}"},
                   {CWSI_M_v1_Gpu, "{\"count\":true}"},
                   {CWSI_M_v1_Gpu, "{\"count\":\"\"}"},
                   {CWSI_M_v1_Gpu, "{\"count\":\" 1\"}"},
                   {CWSI_M_v1_Gpu, "{\"count\":[]}"},
                   {CWSI_M_v1_Gpu, "{\"count\":{}}"},
                   {CWSI_M_v1_Gpu, "{\"type\":1}"},
                   {CWSI_M_v1_ExecStreamExit, "{\"exitCode\":2147483648}"},
                   {CWSI_M_v1_ExecStreamExit, "{\"exitCode\":-2147483649}"},
                   {CWSI_M_v1_ExecStreamResize, "{\"width\":-1}"},
                   {CWSI_M_v1_ExecStreamResize, "{\"width\":4294967296}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"resumeLogOffset\":-1}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"resumeLogOffset\":18446744073709551616}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"follow\":1}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"follow\":\"true\"}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"sinceTime\":0}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"sinceTime\":\"\"}"},
                   {CWSI_M_v1_StreamLogsRequest, "{\"sinceTime\":{}}"},
                   {CWSI_M_v1_FileMount, "{\"content\":\"*\"}"},
                   {CWSI_M_v1_FileMount, "{\"content\":1}"},
                   {CWSI_M_v1_ExecRequest, "{\"env\":[]}"},
                   {CWSI_M_v1_ExecRequest, "{\"env\":{\"a\":1}}"},
                   {CWSI_M_v1_ExecRequest, "{\"env\":{\"a\":null}}"},
                   {CWSI_M_v1_ExecRequest, "{\"command\":\"a\"}"},
                   {CWSI_M_v1_ExecRequest, "{\"command\":[1]}"},
                   {CWSI_M_v1_ExecRequest, "{\"command\":[null]}"},
                   {CWSI_M_v1_ExecRequest, "[]"},
                   {CWSI_M_v1_ExecRequest, "\"\""},
                   {CWSI_M_v1_ExecRequest, "null"},
                   {CWSI_M_v1_ExecRequest, ""},
                   {CWSI_M_v1_ExecRequest, "{} {}"},
                   {CWSI_M_v1_ExecRequest, "{}x"},
                   {CWSI_M_v1_SandboxStatus, "{\"state\":1.5}"},
                   {CWSI_M_v1_SandboxStatus, "{\"state\":[]}"},
                   {CWSI_M_v1_SandboxStatus, "{\"state\":3000000000}"},
                   {CWSI_M_v1_Sandbox, "{\"status\":1}"},
                   {CWSI_M_v1_Sandbox, "{\"status\":[]}"},
                   {CWSI_M_pb_Duration, "\"1\""},
                   {CWSI_M_pb_Duration, "\"s\""},
                   {CWSI_M_pb_Duration, "\"-s\""},
                   {CWSI_M_pb_Duration, "\"1.s\""},
                   {CWSI_M_pb_Duration, "\".5s\""},
                   {CWSI_M_pb_Duration, "\"1.0000000001s\""},
                   {CWSI_M_pb_Duration, "\"1s \""},
                   {CWSI_M_pb_Duration, "1"},
                   {CWSI_M_pb_Duration, "\"+1s\""},
                   {CWSI_M_pb_Duration, "\"--1s\""},
                   {CWSI_M_pb_Duration, "\"315576000001s\""},
                   {CWSI_M_pb_FieldMask, "[]"},
                   {CWSI_M_pb_Struct, "[]"},
                   {CWSI_M_pb_ListValue, "{}"}};
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            if (!CHECK_INT(unit_json_status(bad[i].id, bad[i].text), CWS_ERR_PROTOCOL))
                printf("    accepted: %s\n", bad[i].text);
    }

    TEST("enums print by name, unknown numbers as numbers, and both are read") {
        CHECK_STR(unit_to_json(CWSI_M_v1_SandboxStatus, "0802"), "{\"state\":\"STATE_RUNNING\"}");
        CHECK_STR(unit_to_json(CWSI_M_v1_SandboxStatus, "08e707"), "{\"state\":999}");
        CHECK_STR(unit_from_json(CWSI_M_v1_SandboxStatus, "{\"state\":\"STATE_RUNNING\"}"), "0802");
        CHECK_STR(unit_from_json(CWSI_M_v1_SandboxStatus, "{\"state\":2}"), "0802");
        CHECK_STR(unit_from_json(CWSI_M_v1_SandboxStatus, "{\"state\":-1}"),
                  "08ffffffffffffffffff01");
        /* a name of the future is no error; the field stays unspecified */
        CHECK_STR(
            unit_from_json(CWSI_M_v1_SandboxStatus, "{\"state\":\"STATE_NEW\",\"runnerId\":\"r\"}"),
            "6a0172");
    }

    TEST("bytes are read in both base64 alphabets") {
        CHECK_STR(unit_from_json(CWSI_M_v1_ReadFileResponse, "{\"content\":\"+/+/\"}"),
                  "0a03fbffbf");
        CHECK_STR(unit_from_json(CWSI_M_v1_ReadFileResponse, "{\"content\":\"-_-_\"}"),
                  "0a03fbffbf");
        CHECK_STR(unit_from_json(CWSI_M_v1_ReadFileResponse, "{\"content\":\"+\\/8\"}"),
                  "0a02fbff");
    }

    TEST("durations print with sign and fraction and are read back") {
        CHECK_STR(unit_to_json(CWSI_M_pb_Duration, ""), "\"0s\"");
        CHECK_STR(unit_to_json(CWSI_M_pb_Duration, "0801 1080cab5ee01"), "\"1.500s\"");
        CHECK_STR(unit_to_json(CWSI_M_pb_Duration, "1080b6ca91feffffffff01"), "\"-0.500s\"");
        CHECK_STR(unit_to_json(CWSI_M_pb_Duration, "08ffffffffffffffffff01 10ffffffffffffffffff01"),
                  "\"-1.000000001s\"");
        CHECK_STR(unit_to_json(CWSI_M_pb_Duration, "1001"), "\"0.000000001s\"");
        CHECK_STR(unit_from_json(CWSI_M_pb_Duration, "\"-0.5s\""), "1080b6ca91feffffffff01");
        CHECK_STR(unit_from_json(CWSI_M_pb_Duration, "\"1.5s\""), "08011080cab5ee01");
        CHECK_STR(unit_from_json(CWSI_M_pb_Duration, "\"-1.000000001s\""),
                  "08ffffffffffffffffff0110ffffffffffffffffff01");
        CHECK_STR(unit_from_json(CWSI_M_pb_Duration, "\"-315576000000s\""),
                  "0880c4d1b1e8f6ffffff01");
    }

    TEST("field masks change between snake_case and lowerCamelCase") {
        CHECK_STR(unit_to_json(CWSI_M_pb_FieldMask, ""), "\"\"");
        CHECK_STR(unit_to_json(CWSI_M_pb_FieldMask, "0a03615f62 0a01 63"), "\"aB,c\"");
        CHECK_STR(unit_from_json(CWSI_M_pb_FieldMask, "\"aB,c\""), "0a03615f620a0163");
        CHECK_STR(unit_from_json(CWSI_M_pb_FieldMask, "\"\""), "");
    }

    TEST("Struct, Value and ListValue print as plain JSON and are read back") {
        static const char text[] = "{\"n\":null,\"t\":true,\"f\":false,\"s\":\"x\",\"i\":-3,\"l\":["
                                   "1,[],{}],\"o\":{\"a\":{\"b\":[null]}}}";
        unit_case c;
        CHECK_INT(unit_json(&c, CWSI_M_pb_Struct, text), CWS_OK);
        CHECK_STR(unit_printed(&c, CWSI_M_pb_Struct, false, unit_out, sizeof(unit_out)), text);
        (void)unit_encoded(&c, CWSI_M_pb_Struct, unit_out2, sizeof(unit_out2));
        unit_done(&c);
        CHECK_STR(unit_to_json(CWSI_M_pb_Struct, unit_out2), text);
        CHECK_STR(unit_from_json(CWSI_M_pb_Value, "null"), "0800");
        CHECK_STR(unit_from_json(CWSI_M_pb_Value, "0.25"), "11000000000000d03f");
        CHECK_STR(unit_from_json(CWSI_M_pb_Value, "\"\\u00e4\""), "1a02c3a4");
        CHECK_STR(unit_from_json(CWSI_M_pb_Value, "[]"), "3200");
        CHECK_STR(unit_from_json(CWSI_M_pb_Value, "{}"), "2a00");
        CHECK_STR(unit_to_json(CWSI_M_pb_Value, ""), "null");
    }

    TEST("a known Any prints its content, another one its bytes") {
        /* Status { code 5, details { type_url ".../google.rpc.RetryInfo", value { retry_delay {
         * seconds 2 } } } } */
        CHECK_STR(
            unit_to_json(CWSI_M_rpc_Status,
                         "0805 1a30 0a28747970652e676f6f676c65617069732e636f6d2f"
                         "676f6f676c652e7270632e5265747279496e666f 12040a020802"),
            "{\"code\":5,\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","
            "\"retryDelay\":\"2s\"}]}");
        /* type_url "x/google.protobuf.Duration": well-known types stand in "value" */
        CHECK_STR(
            unit_to_json(CWSI_M_pb_Any,
                         "0a1a 782f676f6f676c652e70726f746f6275662e4475726174696f6e 12020802"),
            "{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"2s\"}");
        CHECK_STR(unit_to_json(CWSI_M_pb_Any, "0a03 782f79 1202 0802"),
                  "{\"@type\":\"x/y\",\"value\":\"CAI=\"}");
        /* nothing in it at all, and a known type without content */
        CHECK_STR(unit_to_json(CWSI_M_pb_Any, ""), "{}");
        CHECK_STR(unit_to_json(CWSI_M_pb_Any,
                               "0a17 782f676f6f676c652e70726f746f6275662e456d707479"),
                  "{\"@type\":\"x/google.protobuf.Empty\"}");
    }

    TEST("control characters, quotes and astral characters print as valid JSON") {
        CHECK_STR(unit_to_json(CWSI_M_v1_GetSandboxRequest, "0a0b 610a22 5c 00 1f7f f09f9880"),
                  "{\"sandboxId\":\"a\\n\\\"\\\\\\u0000\\u001f\\u007f\xf0\x9f\x98\x80\"}");
    }

    TEST("redaction takes out environment values, share tokens and bytes") {
        static const struct {
            cwsi_msg_id id;
            const char *text, *want;
        } cases[] = {
            {CWSI_M_v1_Container,
             "{\"name\":\"main\",\"environmentVariables\":{\"KEY\":\"SECRET\"},"
             "\"files\":[{\"path\":\"/f\",\"content\":\"U0VDUkVU\"}]}",
             "KEY"},
            {CWSI_M_v1_PartialContainer,
             "{\"environmentVariables\":{\"KEY\":\"SECRET\",\"B\":\"SECRET\"}}", "KEY"},
            {CWSI_M_v1_ExecRequest, "{\"sandboxId\":\"KEY\",\"env\":{\"A\":\"SECRET\"}}", "KEY"},
            {CWSI_M_v1_ExecStreamRequest, "{\"init\":{\"env\":{\"KEY\":\"SECRET\"}}}", "KEY"},
            {CWSI_M_v1_ExecStreamRequest, "{\"stdin\":\"U0VDUkVU\"}", "stdin"},
            {CWSI_M_v1_Sandbox, "{\"sandboxId\":\"KEY\",\"endpointShareToken\":\"SECRET\"}", "KEY"},
            {CWSI_M_v1_ExecResponse, "{\"stdout\":\"U0VDUkVU\",\"exitCode\":77}", "77"},
            {CWSI_M_v1_WriteFileRequest, "{\"path\":\"KEY\",\"content\":\"U0VDUkVU\"}", "KEY"},
            {CWSI_M_v1_ReadFileResponse, "{\"content\":\"U0VDUkVU\"}", "6 bytes"},
            {CWSI_M_v1_LogEntry, "{\"data\":\"U0VDUkVU\"}", "6 bytes"},
            {CWSI_M_v1_CreateSandboxFromFileRequest,
             "{\"contents\":\"U0VDUkVU\",\"buildContexts\":{\"KEY\":\"U0VDUkVU\"}}", "KEY"},
            {CWSI_M_v1_SandboxConnection, "{\"clientCertificateChainPem\":\"U0VDUkVU\"}",
             "6 bytes"},
            {CWSI_M_b2_StartSandboxRequest,
             "{\"environmentVariables\":{\"KEY\":\"SECRET\"},"
             "\"mountedFiles\":[{\"fileContent\":\"U0VDUkVU\"}]}",
             "KEY"},
            {CWSI_M_b2_ExecStreamRequest, "{\"stdin\":{\"data\":\"U0VDUkVU\"}}", "stdin"},
            {CWSI_M_b2_ExecStreamRequest, "{\"init\":{\"env\":{\"KEY\":\"SECRET\"}}}", "KEY"},
            {CWSI_M_b2_ResolvedSecret, "{\"envVar\":\"KEY\",\"value\":\"U0VDUkVU\"}", "KEY"},
            {CWSI_M_b2_AddFileSandboxRequest,
             "{\"filepath\":\"KEY\",\"fileContents\":\"U0VDUkVU\"}", "KEY"},
            {CWSI_M_b2_RetrieveFileSandboxResponse,
             "{\"fileContents\":\"U0VDUkVU\",\"success\":true}", "true"}};
        size_t i;
        for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            unit_case c;
            CHECK_INT(unit_json(&c, cases[i].id, cases[i].text), CWS_OK);
            if (!c.status) {
                (void)unit_printed(&c, cases[i].id, true, unit_out, sizeof(unit_out));
                CHECK(unit_json_valid(unit_out, strlen(unit_out)));
                CHECK(strstr(unit_out, cases[i].want) != NULL);
                if (!CHECK(!strstr(unit_out, "SECRET") && !strstr(unit_out, "U0VDUkVU")))
                    printf("    %s\n", unit_out);
                (void)unit_printed(&c, cases[i].id, false, unit_out, sizeof(unit_out));
                CHECK(strstr(unit_out, "SECRET") || strstr(unit_out, "U0VDUkVU"));
            }
            unit_done(&c);
        }
    }

    TEST("redaction takes out the bytes of an unknown Any") {
        unit_case c;
        int arena;
        for (arena = 0; arena < 2; arena++) {
            cwsi_buf buf;
            /* type_url "x/y" (unknown), value "SECRET" */
            CHECK_INT(unit_decode_hex(&c, CWSI_M_pb_Any, "0a03782f79 1206534543524554"), CWS_OK);
            cwsi_buf_init(&buf, &c.mem, 1000);
            CHECK_INT(cwsi_encode_json(&buf, arena ? &c.arena : NULL, CWSI_M_pb_Any, c.msg, true),
                      CWS_OK);
            CHECK(!buf.at || !strstr(buf.at, "U0VDUkVU"));
            cwsi_buf_free(&buf);
            unit_done(&c);
        }
    }

    TEST("random mutations of JSON messages never crash, and what is read prints to valid JSON") {
        uint64_t seed = unit_seed + 2;
        long round, decoded = 0, wrong = 0;
        for (round = 0; round < unit_mutations; round++) {
            static const char likely[] = "{}[]\",:0123456789-+.eE\\unltrfas ";
            const unit_golden *g = &unit_goldens[unit_below(&seed, unit_golden_count)];
            char text[2048];
            size_t len = strlen(g->json), changes = 1 + (size_t)unit_below(&seed, 3);
            unit_case c;
            memcpy(text, g->json, len);
            while (changes--) {
                size_t at = (size_t)unit_below(&seed, len);
                char fresh =
                    (char)(unit_below(&seed, 4) ? likely[unit_below(&seed, sizeof(likely) - 1)]
                                                : (int)unit_below(&seed, 256));
                switch (unit_below(&seed, 3)) {
                case 0: text[at] = fresh; break;
                case 1:
                    if (len > 1) memmove(text + at, text + at + 1, --len - at);
                    break;
                default:
                    memmove(text + at + 1, text + at, len++ - at);
                    text[at] = fresh;
                    break;
                }
            }
            unit_open(&c, text, len, unit_plenty);
            if (!cwsi_decode_json(&c.arena, g->id, unit_bytes(c.input, len), &c.msg)) {
                decoded++;
                if (!strcmp(unit_printed(&c, g->id, round % 2 == 0, unit_out, sizeof(unit_out)),
                            "(not printed)") ||
                    !unit_json_valid(unit_out, strlen(unit_out)))
                    wrong++;
                if (!strcmp(unit_encoded(&c, g->id, unit_out, sizeof(unit_out)), "(not encoded)"))
                    wrong++;
            }
            cwsi_arena_clear(&c.arena);
            free(c.input);
            if (wrong) break;
        }
        if (!CHECK_INT(wrong, 0)) printf("    round %ld\n", round);
        CHECK(unit_mutations < 1000 || decoded > unit_mutations / 20);
        CHECK_INT(test_alloc_live(), 0);
    }
}

int main(int argc, char **argv)
{
    test_init(argc, argv);
    if (argc > 2) unit_mutations = strtol(argv[2], NULL, 10);
    if (argc > 3) unit_seed = strtoul(argv[3], NULL, 10);
    test_memory();
    test_buffers();
    test_text();
    test_base64();
    test_integers();
    test_time();
    test_doubles();
    test_json();
    test_codec();
    test_codec_hard();
    test_json_codec();
    return test_summary();
}
