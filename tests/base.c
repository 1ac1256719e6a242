/* SPDX-License-Identifier: MIT
 *
 * The lowest layer: memory, buffers, text, base64, numbers, time, the JSON reader. The suite
 * reaches into the implementation, so this file is its own implementation file. Usage:
 *
 *     base [part of a test's name] [seed]
 */
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "decode_json.h"
#include "test.h"

#include "bytes.h"

#include <float.h>

static uint64_t unit_seed = 20260102;

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
        uint32_t code, read = 0;
        long wrong = 0;
        for (code = 0; code <= 0x10ffff; code++) {
            char out[4];
            size_t n = cwsi_utf8_write(code, out), cut;
            bool surrogate = code >= 0xd800 && code <= 0xdfff;
            if (cwsi_utf8_char(out, n, &read) != (surrogate ? 0 : n)) wrong++;
            if (!surrogate && read != code) wrong++;
            for (cut = 1; cut < n; cut++)
                if (cwsi_utf8_char(out, cut, NULL) != 0) wrong++;
        }
        CHECK_INT(wrong, 0);
        CHECK_INT(cwsi_utf8_char("", 0, NULL), 0);
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

static void base_test_shown(void)
{
    TEST("text of others is shown without what controls a terminal or hides from the reader") {
        static const struct {
            const char *text, *shown;
        } rows[] = {{"plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
                     "plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
                    {"a\nb\tc", "a b c"},
                    {"\x1b[2J\x07", "?[2J?"},
                    {"\x7f", "?"},
                    {"\xc2\x9b" "31m", "?31m"},                 /* C1: CSI */
                    {"\xc2\xad", "?"},                         /* soft hyphen */
                    {"\xe2\x80\xae" "evil", "?evil"},           /* right-to-left override */
                    {"\xe2\x81\xa6" "x\xe2\x81\xa9", "?x?"},   /* isolates */
                    {"\xe2\x80\x8b\xef\xbb\xbf", "??"},       /* zero width */
                    {"\xe2\x80\xa8", "?"},                     /* line separator */
                    {"\xf3\xa0\x81\x81", "?"},                 /* tag */
                    {"\xe2\x80\xb0", "\xe2\x80\xb0"},         /* per mille, beside them */
                    {"\xc2\xa0", "\xc2\xa0"},
                    {"\xff\xe2\x80", "???"}};
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            char out[64];
            cwsi_copy_text(out, sizeof(out), rows[i].text, strlen(rows[i].text));
            CHECK_STR(out, rows[i].shown);
        }
    }
}

int main(int argc, char **argv)
{
    test_init(argc, argv);
    base_test_shown();
    if (argc > 2) unit_seed = strtoul(argv[2], NULL, 10);
    test_memory();
    test_buffers();
    test_text();
    test_base64();
    test_integers();
    test_time();
    test_doubles();
    test_json();
    return test_summary();
}
