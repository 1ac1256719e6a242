/* SPDX-License-Identifier: MIT
 *
 * What the suites of the lower layers have in common: random numbers, bytes, memory with a limit.
 * They reach into the implementation: include it after that and test.h.
 */
#ifndef BYTES_H
#define BYTES_H

/* xorshift64*: the same numbers on every machine. */
TEST_FN uint64_t unit_random(uint64_t *state)
{
    uint64_t x = *state ? *state : 88172645463325252ULL;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 2685821657736338717ULL;
}

TEST_FN uint64_t unit_below(uint64_t *state, uint64_t limit)
{
    return unit_random(state) % limit;
}

TEST_FN cwsi_mem unit_mem(uint64_t limit)
{
    cwsi_mem mem;
    memset(&mem, 0, sizeof(mem));
    mem.allocator = test_allocator;
    mem.limit = limit;
    return mem;
}

static const uint64_t unit_plenty = (uint64_t)1 << 30;

TEST_FN cwsi_str unit_bytes(const char *at, size_t len)
{
    cwsi_str s;
    s.at = at;
    s.len = len;
    return s;
}

/* A copy in a block of exactly its size, so that a checker sees one byte too far. Never NULL. */
TEST_FN char *unit_exact(const char *data, size_t len)
{
    char *copy = (char *)malloc(len ? len : 1);
    if (!copy) abort();
    if (len) memcpy(copy, data, len);
    return copy;
}

/* Hexadecimal digits to bytes; spaces are ignored. */
TEST_FN size_t unit_unhex(const char *hex, char *out)
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

TEST_FN void unit_hex(const char *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;
    for (i = 0; i < len; i++) {
        out[2 * i] = digits[(unsigned char)data[i] >> 4];
        out[2 * i + 1] = digits[(unsigned char)data[i] & 15];
    }
    out[2 * len] = '\0';
}

/* Reads a whole text; true if it is one well-formed value. */
TEST_FN bool unit_json_valid(const char *text, size_t len)
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

#endif /* BYTES_H */
