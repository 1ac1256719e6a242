/* SPDX-License-Identifier: MIT
 *
 * A small test harness and a checking allocator, C99 and C++11. Include it after cwsandbox.h.
 *
 *     int main(int argc, char **argv)
 *     {
 *         test_init(argc, argv);               // argv[1]: run only tests whose name contains it
 *         TEST("an empty list has no element") {
 *             CHECK(list.at == NULL);          // a failing check prints, and the test goes on
 *             CHECK_INT(list.len, 0);          // actual, expected
 *             CHECK_STR(name, "box");          // NULL is allowed on both sides
 *             if (!have_it) { SKIP("needs curl"); break; }   // break leaves a test
 *         }
 *         return test_summary();               // "N passed, N failed, N skipped", counted in tests
 *     }
 *
 * With TEST_LIST in the environment the name of each test is printed as it begins.
 *
 * Checks are expressions, true if they held. test_allocator is a cws_allocator that moves every
 * block, aborts on a wrong old_size or damaged header, and fails on request:
 *     test_alloc_fail_at(n, false)   the n-th allocation from now (0: the next) fails, once
 *     test_alloc_fail_at(n, true)    that one and every later one; n < 0: none fails any more
 *     test_alloc_failed()            has one failed since the last test_alloc_fail_at?
 *     test_alloc_live(), test_alloc_live_bytes()   not yet freed; 0 means no leak
 * Allocations and resizes count alike; frees never fail. Not thread-safe.
 */
#ifndef CWS_TEST_H
#define CWS_TEST_H
#include "cwsandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define TEST_FN static __attribute__((unused))
#else
#define TEST_FN static
#endif
typedef struct test_globals {
    const char *filter, *name; /* name: of the running test, NULL between tests */
    bool bad, skipped, forget; /* of the running test */
    bool list;                 /* say the name of each test as it begins */
    int passed, failed, skips;
    long fail_in; /* allocations until one fails; -1: never */
    bool fail_on, alloc_failed;
    size_t live, live_bytes;
} test_globals;

static test_globals test_g = {NULL, NULL, false, false, false, false, 0,
                              0,    0,    -1,    false, false, 0,     0};

TEST_FN void test_init(int argc, char **argv)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 4096); /* what was said before an abort is not lost */
    test_g.filter = argc > 1 ? argv[1] : NULL;
    test_g.list = getenv("TEST_LIST") != NULL;
}

TEST_FN void test_end(void)
{
    if (!test_g.name) return;
    if (test_g.bad) test_g.failed++, printf("FAILED: %s\n", test_g.name);
    else if (test_g.skipped) test_g.skips++;
    else if (!test_g.forget) test_g.passed++;
    test_g.name = NULL;
}

TEST_FN int test_begin(const char *name)
{
    test_end();
    if (test_g.filter && !strstr(name, test_g.filter)) return 0;
    if (test_g.list) printf("TEST %s\n", name);
    test_g.name = name;
    test_g.bad = test_g.skipped = test_g.forget = false;
    return 1;
}

/* The running test is none here: it is not counted, unless a check of it fails. */
TEST_FN void test_forget(void) { test_g.forget = true; }

TEST_FN bool test_check(bool good, const char *file, int line, const char *text)
{
    if (!good) test_g.bad = true, printf("%s:%d: %s\n", file, line, text);
    return good;
}

TEST_FN bool test_check_int(long long a, long long b, const char *file, int line, const char *text)
{
    if (!test_check(a == b, file, line, text)) printf("    actual %lld, expected %lld\n", a, b);
    return a == b;
}

TEST_FN bool test_check_str(const char *a, const char *b, const char *at, int line, const char *x)
{
    if (test_check(a == b || (a && b && strcmp(a, b) == 0), at, line, x)) return true;
    printf("    actual   %s\n    expected %s\n", a ? a : "(NULL)", b ? b : "(NULL)");
    return false;
}

/* Options of a wait of so many seconds; good until the fourth call from now. */
TEST_FN const cws_wait_opts *wait_for(double seconds)
{
    static cws_wait_opts opts[4];
    static size_t at;
    cws_wait_opts *o = &opts[at++ % 4];
    memset(o, 0, sizeof(*o));
    o->timeout_seconds = seconds;
    return o;
}

TEST_FN int test_summary(void)
{
    test_end();
    printf("%d passed, %d failed, %d skipped\n", test_g.passed, test_g.failed, test_g.skips);
    return test_g.failed ? 1 : 0;
}

/* The text with ' as ", in place: JSON is easier to write so. */
TEST_FN char *test_quotes(char *text)
{
    char *p;
    for (p = text; *p; p++)
        if (*p == '\'') *p = '"';
    return text;
}

#define TEST(name) for (int test_once = test_begin(name); test_once; test_once = 0)
#define CHECK(x) test_check((x) ? true : false, __FILE__, __LINE__, #x)
#define CHECK_INT(a, b)                                                                            \
    test_check_int((long long)(a), (long long)(b), __FILE__, __LINE__, #a " == " #b)
#define CHECK_STR(a, b) test_check_str((a), (b), __FILE__, __LINE__, #a " is " #b)
#define SKIP(why) (test_g.skipped = true, (void)printf("SKIPPED %s: %s\n", test_g.name, (why)))

typedef struct test_head {
    size_t size, canary;
    char align[16 - (sizeof(size_t) < 8 ? 2 * sizeof(size_t) : 0)]; /* 32 or 16 bytes in all */
} test_head;

TEST_FN void *test_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    const size_t canary = (size_t)0x5afec0de;
    test_head *head = block ? (test_head *)block - 1 : NULL, *moved = NULL;
    (void)user;
    if (head ? head->canary != canary || head->size != old_size : old_size != 0) {
        printf("ALLOCATOR: wrong old_size %lu or a damaged header, in: %s\n",
               (unsigned long)old_size, test_g.name ? test_g.name : "(no test)");
        abort();
    }
    if (block && !new_size) { /* the library wipes what it gives back */
        const char *byte = (const char *)block, *end = byte + old_size;
        while (byte < end && *byte == 0) byte++;
        if (byte < end) {
            printf("ALLOCATOR: a block was not wiped, in: %s\n", test_g.name ? test_g.name : "");
            abort();
        }
    }
    if (new_size && test_g.fail_in == 0) {
        test_g.fail_in = test_g.fail_on ? 0 : -1;
        test_g.alloc_failed = true;
        return NULL;
    }
    if (new_size) {
        if (test_g.fail_in > 0) test_g.fail_in--;
        moved = (test_head *)malloc(sizeof(test_head) + new_size);
        if (!moved) return NULL;
        moved->size = new_size, moved->canary = canary;
        if (head) memcpy(moved + 1, head + 1, old_size < new_size ? old_size : new_size);
        test_g.live++, test_g.live_bytes += new_size;
    }
    if (head) {
        head->canary = 0;
        test_g.live--, test_g.live_bytes -= old_size;
        free(head);
    }
    return moved ? moved + 1 : NULL;
}

TEST_FN void test_alloc_fail_at(long n, bool persistent)
{
    test_g.fail_in = n < 0 ? -1 : n;
    test_g.fail_on = persistent;
    test_g.alloc_failed = false;
}

TEST_FN bool test_alloc_failed(void) { return test_g.alloc_failed; }
TEST_FN size_t test_alloc_live(void) { return test_g.live; }
TEST_FN size_t test_alloc_live_bytes(void) { return test_g.live_bytes; }
TEST_FN const cws_allocator test_allocator = {test_resize, NULL};

#endif /* CWS_TEST_H */
