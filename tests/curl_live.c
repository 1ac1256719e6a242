/* SPDX-License-Identifier: MIT
 *
 * What lives long, over a real server on loopback (tests/gateway) in front of the local backend:
 * files in streams, output that nobody reads, logs whose connection is cut again and again,
 * terminals. curl_wire.c has the short calls and the ways in which a server can misbehave.
 *
 *     curl_live BACKEND-PROGRAM [part of a test's name]
 */
#define _GNU_SOURCE
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "setup.h"

#define MIB (1024u * 1024u)
#define MEMORY_BOUND (8 * MIB) /* of the library, whatever goes through it */

static setup setups[SETUPS];

/* The memory of the library stayed small; say how small. */
static void check_memory(const setup *s)
{
    uint64_t peak = cws_client_memory(s->client).peak_bytes;
    printf("    peak memory %.2f MiB\n", (double)peak / MIB);
    CHECK(peak < MEMORY_BOUND);
}

/* The standard output of a shell command in the sandbox, kept until the next call. */
static const char *say(setup *s, const char *script)
{
    static char text[4096];
    cws_result *result;
    cws_error err;
    text[0] = '\0';
    if (ok(run_in(s->box, script, 60, &result, &err), &err))
        snprintf(text, sizeof text, "%s", cws_result_stdout(result));
    cws_result_free(result);
    return text;
}

/* ---- files of any size: bytes that tell their place, so that each is checked */

enum { PERIOD = 1048573 }; /* a prime: no power of two is in step with it */
static unsigned char pattern[2 * PERIOD];

static void make_pattern(void)
{
    uint32_t x = 1;
    size_t i;
    for (i = 0; i < PERIOD; i++) {
        x = x * 1664525u + 1013904223u;
        pattern[i] = pattern[i + PERIOD] = (unsigned char)(x >> 24);
    }
}

/* So much of the pattern, until the next call. */
static char *some_pattern(size_t size)
{
    static char *data;
    size_t at;
    free(data);
    data = (char *)malloc(size);
    for (at = 0; data && at < size; at += PERIOD)
        memcpy(data + at, pattern, size - at < PERIOD ? size - at : (size_t)PERIOD);
    if (!data) exit(2);
    return data;
}

typedef struct flow { /* a source or a taker of such bytes */
    uint64_t at, size;
    uint64_t cancel_at;  /* 0: never */
    uint64_t cut_at;     /* cut all connections, once; 0: never */
    uint64_t pause_each; /* so many bytes; 0: never */
    uint64_t pause_at;
    cws_op *op; /* known after the begin */
    bool wrong, paused;
    unsigned pauses, told;
    cws_progress last;
} flow;

static cws_flow flow_answer(flow *f)
{
    if (f->cut_at && f->at >= f->cut_at) {
        f->cut_at = 0;
        CHECK(server_cut());
    }
    if (f->cancel_at && f->at >= f->cancel_at) return CWS_FLOW_CANCEL;
    if (!f->pause_each || f->at < f->pause_at + f->pause_each) return CWS_FLOW_CONTINUE;
    f->pause_at = f->at;
    f->pauses++;
    f->paused = true;
    return CWS_FLOW_PAUSE;
}

static cws_flow give(void *buffer, size_t size, size_t *count, void *user)
{
    flow *f = (flow *)user;
    if (size > f->size - f->at) size = (size_t)(f->size - f->at);
    if (size > PERIOD) size = PERIOD;
    memcpy(buffer, pattern + f->at % PERIOD, size);
    *count = size;
    f->at += size;
    return size ? flow_answer(f) : CWS_FLOW_CONTINUE;
}

static void check_piece(flow *f, const void *data, size_t size)
{
    const char *at = (const char *)data;
    while (size) {
        size_t n = size < PERIOD ? size : (size_t)PERIOD;
        if (memcmp(at, pattern + f->at % PERIOD, n) != 0) f->wrong = true;
        f->at += n, at += n, size -= n;
    }
}

static cws_flow take(const cws_item *item, void *user)
{
    flow *f = (flow *)user;
    if (item->offset != f->at) f->wrong = true;
    check_piece(f, item->data, item->size);
    return flow_answer(f);
}

static void tell(const cws_progress *progress, void *user)
{
    flow *f = (flow *)user;
    f->told++;
    f->last = *progress;
}

static cws_status send_file(setup *s, const char *path, flow *f, bool sized, bool atomic,
                            cws_error *err)
{
    cws_upload_opts o = {0};
    o.source = give;
    o.size = sized ? f->size : 0;
    o.write_mode = atomic ? CWS_WRITE_ATOMIC : CWS_WRITE_DEFAULT;
    o.timeout_seconds = 200;
    o.on_progress = tell;
    o.user = f;
    return cws_upload(s->box, path, &o, err);
}

static cws_status fetch_file(setup *s, const char *path, flow *f, cws_error *err)
{
    cws_download_opts o = {0};
    o.on_item = take;
    o.timeout_seconds = 200;
    o.on_progress = tell;
    o.user = f;
    return cws_download(s->box, path, &o, err);
}

/* Up and down again, and what each took. */
static void there_and_back(setup *s, uint64_t size, bool sized, bool atomic)
{
    flow up = {0}, down = {0};
    cws_error err;
    double start = now_s(), mib = (double)size / MIB;
    up.size = down.size = size;
    if (!ok(send_file(s, "/tmp/pattern", &up, sized, atomic, &err), &err)) return;
    CHECK_INT(up.at, size);
    CHECK_INT(up.last.bytes_done, size);
    CHECK_INT(up.last.bytes_total, sized || atomic ? size : 0);
    printf("    %.0f MiB up over %s: %.1f MiB/s\n", mib, s->name, mib / (now_s() - start));
    start = now_s();
    if (!ok(fetch_file(s, "/tmp/pattern", &down, &err), &err)) return;
    CHECK_INT(down.at, size);
    CHECK(!down.wrong);
    CHECK_INT(down.last.bytes_done, size);
    CHECK_INT(down.last.bytes_total, size);
    CHECK(down.told >= 1);
    printf("    %.0f MiB down over %s: %.1f MiB/s\n", mib, s->name, mib / (now_s() - start));
}

static void test_gigabyte(setup *s)
{
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    there_and_back(s, (getenv("CWS_LONG") ? 1024u : 256u) * (uint64_t)MIB, true, true);
    check_memory(s);
    close_setup(s);
}

static void test_large(setup *s)
{
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    there_and_back(s, 64 * MIB, true, false);
    CHECK_STR(say(s, "stat -c %s /tmp/pattern"), "67108864\n");
    check_memory(s);
    close_setup(s);
}

/* Nothing is left of a file that was written beside another. */
static void check_nothing_beside(setup *s)
{
    CHECK_STR(say(s, "ls -a /tmp | grep cwsandbox-"), "");
}

/* How far the command that reads this file is: its place in it, as the kernel knows it. */
static uint64_t read_so_far(setup *s, const char *path)
{
    char script[300];
    snprintf(script, sizeof script,
             "for p in /proc/[0-9]*; do case $(readlink $p/fd/0 2>/dev/null) in *%s)"
             " sed -n 's/^pos:[^0-9]*//p' $p/fdinfo/0;; esac; done",
             path);
    return strtoull(say(s, script), NULL, 10);
}

/* Somebody who is slow holds the command up, over there; and it all comes in the end. */
static void test_slow_taker(setup *s)
{
    cws_download_opts o = {0};
    cws_stream *stream = NULL;
    cws_item item;
    cws_error err;
    flow f = {0}, up = {0};
    uint64_t there;
    unsigned naps = 0;
    bool looked = false;
    up.size = 64 * MIB;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    if (!ok(send_file(s, "/tmp/slow", &up, true, false, &err), &err)) return;
    o.timeout_seconds = 120;
    if (!ok(cws_download_begin(s->box, "/tmp/slow", &o, &stream, &err), &err)) return;
    while (ok(cws_stream_next(stream, 30, &item, &err), &err) && item.data) {
        (void)take(&item, &f);
        if (f.at > (naps + 1) * 8ull * MIB) usleep(100000), naps++;
        if (f.at < MIB || looked) continue;
        looked = true;
        say(s, "sleep 1"); /* the loop turns, and nobody takes */
        there = read_so_far(s, "/tmp/slow");
        printf("    1 MiB taken, %.1f MiB read over there\n", (double)there / MIB);
        CHECK(there >= MIB && there < 48 * MIB);
    }
    CHECK_INT(f.at, up.size);
    CHECK(!f.wrong);
    CHECK_INT(cws_op_status(cws_stream_op(stream), &err), CWS_OK);
    cws_stream_free(stream);
    check_memory(s);
    check_usable(s);
    close_setup(s);
}

/* Pauses of either side, and a source that says no size. */
static void test_pauses(setup *s)
{
    flow up = {0}, down = {0};
    cws_upload_opts u = {0};
    cws_download_opts d = {0};
    cws_op *op = NULL;
    cws_stream *stream = NULL;
    cws_error err;
    int turn;
    up.size = 5 * MIB + 1;
    up.pause_each = down.pause_each = MIB;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    u.source = give, u.user = &up, u.write_mode = CWS_WRITE_ATOMIC, u.timeout_seconds = 60;
    d.on_item = take, d.user = &down, d.timeout_seconds = 60;
    for (turn = 0; turn < 2; turn++) {
        flow *f = turn ? &down : &up;
        if (turn == 0) ok(cws_upload_begin(s->box, "/tmp/p", &u, &op, &err), &err);
        else if (ok(cws_download_begin(s->box, "/tmp/p", &d, &stream, &err), &err))
            op = cws_stream_op(stream);
        while (op && !cws_op_done(op)) {
            cws_client_poll(s->client, 0.1, &err);
            if (!f->paused) continue;
            CHECK_INT(cws_op_wait(op, 0.05, &err), CWS_ERR_WAIT_TIMEOUT);
            f->paused = false;
            cws_op_resume(op);
        }
        if (op) ok(cws_op_status(op, &err), &err);
        CHECK(f->pauses >= 4);
        CHECK_INT(f->at, up.size);
        if (!turn) cws_op_free(op);
        op = NULL;
    }
    CHECK(!down.wrong);
    cws_stream_free(stream);
    close_setup(s);
}

static void test_cancelled_download(setup *s)
{
    cws_download_opts o = {0};
    cws_stream *stream = NULL;
    cws_item item;
    cws_error err;
    flow f = {0};
    long before;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    say(s, "truncate -s 1G /tmp/big");
    before = server_stat("reset_by_client");
    f.cancel_at = 3 * MIB;
    f.wrong = true;
    CHECK_INT(fetch_file(s, "/tmp/big", &f, &err), CWS_ERR_CANCELLED);
    CHECK(f.at >= 3 * MIB && f.at < 64 * MIB);
    CHECK(server_stat_reaches("reset_by_client", before + 1));
    check_usable(s);
    o.timeout_seconds = 60;
    if (!ok(cws_download_begin(s->box, "/tmp/big", &o, &stream, &err), &err)) return;
    ok(cws_stream_next(stream, 30, &item, &err), &err);
    cws_stream_free(stream);
    CHECK(server_stat_reaches("reset_by_client", before + 2));
    CHECK(server_stat_becomes("backend_exchanges", 0));
    CHECK_STR(say(s, "cat /proc/[0-9]*/comm | grep -c '^cat$'"), "1\n"); /* this one */
    check_usable(s);
    CHECK_INT(cws_client_pending(s->client), 0);
    check_memory(s);
    close_setup(s);
}

/* An upload that ends in the middle leaves the old file as it was, or says that it may not. */
static void test_broken_upload(setup *s)
{
    flow f;
    cws_error err;
    int turn;
    if (!open_setup(s, CWS_NONE, 0) || !start_box(s)) return;
    for (turn = 0; turn < 4; turn++) { /* the caller gives up, or the connection breaks */
        ok(cws_write_file(s->box, "/tmp/old", "the old file", 12, NULL, &err), &err);
        memset(&f, 0, sizeof f);
        f.size = 40 * MIB;
        if (turn < 2) f.cancel_at = 20 * MIB;
        else f.cut_at = 20 * MIB;
        CHECK_INT(send_file(s, "/tmp/old", &f, turn & 1, true, &err),
                  turn < 2 ? CWS_ERR_CANCELLED : CWS_ERR_FILE);
        CHECK_STR(err.filepath, "/tmp/old");
        if (turn >= 2 && !CHECK(strstr(err.message, "as it was"))) printf("    %s\n", err.message);
        CHECK(server_stat_becomes("backend_exchanges", 0));
        CHECK_STR(say(s, "cat /tmp/old"), "the old file");
    }
    memset(&f, 0, sizeof f);
    f.size = 40 * MIB;
    f.cut_at = 20 * MIB;
    CHECK_INT(send_file(s, "/tmp/old", &f, true, false, &err), CWS_ERR_FILE);
    if (!CHECK(strstr(err.message, "partial"))) printf("    %s\n", err.message);
    memset(&f, 0, sizeof f);
    say(s, "truncate -s 1G /tmp/big");
    f.cut_at = 5 * MIB;
    CHECK(cws_status_is(fetch_file(s, "/tmp/big", &f, &err), CWS_ERR_UNAVAILABLE));
    CHECK(f.at < 256 * MIB);
    check_usable(s);
    close_setup(s);
}

static void test_reset_upload(setup *s)
{
    flow f = {0};
    cws_error err;
    cws_status status;
    if (!open_setup(s, CWS_NONE, 0) || !start_box(s)) return;
    f.size = 40 * MIB;
    order_fault("/StreamExec", "\"action\":\"reset_after_bytes\",\"bytes\":9");
    status = send_file(s, "/tmp/old", &f, true, false, &err);
    CHECK(status != CWS_OK);
    CHECK_STR(err.filepath, "/tmp/old");
    check_usable(s);
    close_setup(s);
    CHECK_INT(status, CWS_ERR_FILE);
    CHECK(strstr(err.message, "partial") != NULL);
}

static void test_nothing_beside(setup *s)
{
    flow f = {0};
    cws_error err;
    if (!open_setup(s, CWS_NONE, 0) || !start_box(s)) return;
    f.size = 10 * MIB;
    f.cancel_at = 5 * MIB;
    CHECK_INT(send_file(s, "/tmp/f", &f, true, true, &err), CWS_ERR_CANCELLED);
    CHECK(server_stat_becomes("backend_exchanges", 0));
    /* what was killed in the middle can not clean up: that, and nothing else, stays beside */
    CHECK_STR(say(s, "sleep 0.3; ls -a /tmp | grep -v '^[.]cwsandbox-' | grep -c f"), "0\n");
    CHECK(atoi(say(s, "ls -a /tmp | grep -c '^[.]cwsandbox-'")) <= 1);
    close_setup(s);
}

/* ---- files */

static void read_back(setup *s, const char *path, const void *data, size_t size)
{
    cws_file_opts o = {0};
    cws_bytes *bytes = NULL;
    cws_error err;
    o.timeout_seconds = 60;
    if (ok(cws_write_file(s->box, path, data, size, &o, &err), &err) &&
        ok(cws_read_file(s->box, path, &o, &bytes, &err), &err) &&
        CHECK_INT(cws_bytes_size(bytes), size) && size)
        CHECK(memcmp(cws_bytes_data(bytes), data, size) == 0);
    if (test_g.bad) printf("    at %s\n", path);
    cws_bytes_free(bytes);
}

static void check_missing(setup *s, const char *path, const char *reason)
{
    cws_bytes *bytes = NULL;
    cws_error err;
    CHECK_INT(cws_read_file(s->box, path, NULL, &bytes, &err), CWS_ERR_FILE);
    CHECK_STR(err.reason, reason);
    CHECK_STR(err.domain, "cwsandbox.com");
    CHECK_STR(err.filepath, path);
    CHECK_STR(cws_error_metadata(&err, "filepath"), path);
    CHECK(strstr(err.message, path) != NULL);
    CHECK_STR(err.sandbox_id, cws_sandbox_id(s->box));
}

static void check_download_missing(setup *s, const char *path, const char *reason)
{
    flow f = {0};
    cws_error err;
    CHECK_INT(fetch_file(s, path, &f, &err), CWS_ERR_FILE);
    CHECK_STR(err.reason, reason);
    CHECK_STR(err.filepath, path);
}

static void check_upload_refused(setup *s, const char *path, const char *reason)
{
    flow f = {0};
    cws_error err;
    int atomic;
    f.size = 10;
    for (atomic = 0; atomic < 2; atomic++) {
        f.at = 0;
        CHECK_INT(send_file(s, path, &f, true, atomic, &err), CWS_ERR_FILE);
        CHECK_STR(err.reason, reason);
        CHECK_STR(err.filepath, path);
    }
}

static void test_contents(setup *s)
{
    static char all[256], spaces[] = "/tmp/a file with spaces";
    static const char *const names[] = {
        spaces, "/tmp/it's \"quoted\" $HOME `id` \\ *?[a]", "/tmp/new\nline\n", "/tmp/-n",
        "/tmp/\xc3\xa9\xe2\x82\xac", "-rf", "/tmp/;exit 9;", "(", "!"};
    flow f = {0};
    cws_error err;
    size_t i;
    for (i = 0; i < sizeof all; i++) all[i] = (char)i;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    read_back(s, "/tmp/all", all, sizeof all);
    read_back(s, "/tmp/empty", "", 0);
    read_back(s, "/tmp/large", pattern, 2 * PERIOD);
    read_back(s, "/tmp/5MiB", some_pattern(5 * MIB), 5 * MIB);
    for (i = 0; i < CWSI_COUNT(names); i++) {
        read_back(s, names[i], all, sizeof all);
        if (s->h2) {
            memset(&f, 0, sizeof f);
            f.size = 100000 + i;
            ok(send_file(s, names[i], &f, i & 1, !(i & 2), &err), &err);
            memset(&f, 0, sizeof f);
            ok(fetch_file(s, names[i], &f, &err), &err);
            CHECK_INT(f.at, 100000 + i);
            if (!CHECK(!f.wrong)) printf("    at %s\n", names[i]);
        }
    }
    check_missing(s, "/tmp/not there", "CWSANDBOX_FILE_NOT_FOUND");
    check_missing(s, "/tmp", "CWSANDBOX_FILE_IS_DIRECTORY");
    close_setup(s);
}

static void test_stream_places(setup *s)
{
    flow f = {0};
    cws_error err;
    int atomic;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    say(s, "mkdir /tmp/dir");
    check_download_missing(s, "/tmp/not there", "CWSANDBOX_FILE_NOT_FOUND");
    check_download_missing(s, "/tmp/dir", "CWSANDBOX_FILE_IS_DIRECTORY");
    check_upload_refused(s, "/tmp/dir", "CWSANDBOX_FILE_IS_DIRECTORY");
    check_upload_refused(s, "/tmp/no dir/file", "CWSANDBOX_FILE_NOT_FOUND");
    CHECK_STR(say(s, "ls /tmp/dir"), "");
    /* a mode is kept, a link is written through, what is beside is left alone */
    say(s, "echo x >/tmp/mode; chmod 741 /tmp/mode; echo y >/tmp/target; ln -s target /tmp/link");
    for (atomic = 0; atomic < 2; atomic++) {
        memset(&f, 0, sizeof f);
        f.size = 3000 + (unsigned)atomic;
        ok(send_file(s, "/tmp/mode", &f, true, atomic, &err), &err);
        f.at = 0;
        ok(send_file(s, "/tmp/link", &f, !atomic, atomic, &err), &err);
        CHECK_STR(say(s, "stat -c '%a %s' /tmp/mode; stat -c %F /tmp/link; stat -c %s /tmp/target"),
                  atomic ? "741 3001\nsymbolic link\n3001\n" : "741 3000\nsymbolic link\n3000\n");
    }
    check_nothing_beside(s);
    memset(&f, 0, sizeof f); /* nothing at all is a file, too */
    ok(send_file(s, "/tmp/zero", &f, false, true, &err), &err);
    ok(send_file(s, "/tmp/zero2", &f, false, false, &err), &err);
    ok(fetch_file(s, "/tmp/zero", &f, &err), &err);
    CHECK_INT(f.at, 0);
    CHECK_STR(say(s, "stat -c %s /tmp/zero /tmp/zero2"), "0\n0\n");
    memset(&f, 0, sizeof f); /* devices */
    f.size = 100000;
    ok(send_file(s, "/dev/null", &f, false, false, &err), &err);
    memset(&f, 0, sizeof f);
    f.size = 100000;
    CHECK_INT(send_file(s, "/dev/null", &f, false, true, &err), CWS_ERR_FILE); /* can not be */
    CHECK_STR(say(s, "stat -c %F /dev/null"), "character special file\n");
    close_setup(s);
}

static void test_many_files(setup *s)
{
    enum { FILES = 200 };
    cws_op *ops[FILES];
    char path[40], text[40];
    cws_error err;
    size_t i, good = 0;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    for (i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "/tmp/file-%u", (unsigned)i);
        snprintf(text, sizeof text, "content of %u", (unsigned)i);
        ok(cws_write_file_begin(s->box, path, text, strlen(text), NULL, &ops[i], &err), &err);
    }
    ok(cws_wait_many(ops, FILES, CWS_ALL, 60, NULL, NULL, &err), &err);
    for (i = 0; i < FILES; i++) {
        ok(cws_op_status(ops[i], &err), &err);
        cws_op_free(ops[i]);
        snprintf(path, sizeof path, "/tmp/file-%u", (unsigned)i);
        ok(cws_read_file_begin(s->box, path, NULL, &ops[i], &err), &err);
    }
    ok(cws_wait_many(ops, FILES, CWS_ALL, 60, NULL, NULL, &err), &err);
    for (i = 0; i < FILES; i++) {
        cws_bytes *bytes = cws_op_take_bytes(ops[i]);
        snprintf(text, sizeof text, "content of %u", (unsigned)i);
        good += bytes && strcmp((const char *)cws_bytes_data(bytes), text) == 0;
        cws_bytes_free(bytes);
        cws_op_free(ops[i]);
    }
    CHECK_INT(good, FILES);
    close_setup(s);
}

/* More than one message may carry, by the calls for small files. */
static void test_over_the_cap(setup *s)
{
    char *data = some_pattern(40 * MIB);
    cws_error err;
    cws_bytes *bytes = NULL;
    double start = now_s();
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK(server_forget());
    if (s->h2) {
        read_back(s, "/tmp/40MiB", data, 40 * MIB);
        printf("    40 MiB there and back over %s: %.1f s\n", s->name, now_s() - start);
        CHECK_INT(server_count("/WriteFile"), 0); /* it is not tried */
        check_nothing_beside(s);
    } else { /* HTTP/1.1: one message is all there is */
        say(s, "head -c 41943040 /dev/zero >/tmp/40MiB");
        CHECK_INT(cws_write_file(s->box, "/tmp/x", data, 40 * MIB, NULL, &err),
                  CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_read_file(s->box, "/tmp/40MiB", NULL, &bytes, &err), CWS_ERR_FILE);
        CHECK_STR(err.reason, "CWSANDBOX_FILE_TOO_LARGE");
    }
    close_setup(s);
}

/* Each call on a backend that takes no byte in one message. */
static void test_no_cap_at_all(setup *s)
{
    static char all[256];
    size_t i;
    cws_error err;
    for (i = 0; i < sizeof all; i++) all[i] = (char)i;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK(server_forget());
    read_back(s, "/tmp/all", all, sizeof all);
    CHECK_INT(server_count("/WriteFile"), 1);
    read_back(s, "/tmp/again", all, sizeof all);
    CHECK_INT(server_count("/WriteFile"), 1); /* it has learned */
    read_back(s, "/tmp/empty", "", 0);
    read_back(s, "/tmp/one", "1", 1);
    read_back(s, "/tmp/20 MiB", some_pattern(20 * MIB), 20 * MIB);
    read_back(s, "/tmp/it's \"quoted\"\n-x", all, sizeof all);
    read_back(s, "-x", all, sizeof all);
    check_missing(s, "/tmp/not there", "CWSANDBOX_FILE_NOT_FOUND");
    check_missing(s, "/tmp", "CWSANDBOX_FILE_IS_DIRECTORY");
    CHECK_INT(cws_write_file(s->box, "/tmp", all, 9, NULL, &err), CWS_ERR_FILE);
    CHECK_STR(err.reason, "CWSANDBOX_FILE_IS_DIRECTORY");
    CHECK_INT(cws_write_file(s->box, "/tmp/no dir/x", all, 9, NULL, &err), CWS_ERR_FILE);
    CHECK_STR(err.reason, "CWSANDBOX_FILE_NOT_FOUND");
    CHECK_INT(cws_sandbox_exec_stats(s->box).exec_count, 0); /* they are no commands of yours */
    check_nothing_beside(s);
    close_setup(s);
}

/* Without HTTP/2 there is no stream in both directions, and nothing pretends. */
static void test_http1(setup *s)
{
    cws_process *p = NULL;
    flow f = {0};
    cws_error err;
    f.size = 10;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK_INT(send_file(s, "/tmp/x", &f, true, true, &err), CWS_ERR_UNSUPPORTED);
    CHECK(strstr(err.message, "HTTP/2") != NULL);
    CHECK_INT(fetch_file(s, "/tmp/x", &f, &err), CWS_ERR_UNSUPPORTED);
    CHECK(strstr(err.message, "HTTP/2") != NULL);
    if (!cws_shell_begin(s->box, NULL, NULL, &p, &err))
        CHECK_INT(cws_process_wait(p, 10, NULL, &err), CWS_ERR_UNSUPPORTED);
    else CHECK_INT(err.status, CWS_ERR_UNSUPPORTED);
    CHECK(strstr(err.message, "HTTP/2") != NULL);
    cws_process_free(p);
    check_usable(s);
    close_setup(s);
}

/* ---- commands */

static cws_process *begin(setup *s, const char *script, cws_exec_opts *o)
{
    const char *argv[] = {"/bin/sh", "-c", NULL, NULL};
    cws_process *p = NULL;
    cws_error err;
    argv[2] = script;
    if (!o->timeout_seconds) o->timeout_seconds = 60;
    ok(cws_exec_begin(s->box, argv, o, &p, &err), &err);
    return p;
}

static void test_unread_output(setup *s)
{
    cws_exec_opts o = {0};
    const cws_result *r = NULL;
    cws_process *p;
    cws_error err;
    char line[4096];
    size_t n, got = 0, lines = 0, i;
    cws_status status;
    o.max_output_bytes = MIB;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    p = begin(s, "head -c 10000000 /dev/zero; echo done >/tmp/done; exit 3", &o);
    ok(cws_process_wait(p, 60, &r, &err), &err);
    CHECK_INT(cws_result_exit_code(r), 3);
    CHECK_INT(cws_result_bytes_produced(r, CWS_STDOUT), 10000000);
    CHECK_INT(cws_result_stdout_size(r), MIB);
    CHECK(cws_result_truncated(r, CWS_STDOUT));
    cws_process_free(p);
    CHECK_STR(say(s, "cat /tmp/done"), "done\n");
    /* stderr piles up while only stdout is read */
    p = begin(s, "i=0; while [ $i -lt 50 ]; do head -c 100000 /dev/zero >&2; echo line $i;"
                 " i=$((i+1)); done", &o);
    for (;;) {
        status = cws_process_read(p, CWS_STDOUT, line, sizeof line, 30, &n, &err);
        if (!ok(status, &err) || n == 0) break;
        for (i = 0; i < n; i++) lines += line[i] == '\n';
        got += n;
    }
    CHECK_INT(lines, 50);
    CHECK_INT(got, 10 * 7 + 40 * 8);
    ok(cws_process_wait(p, 30, &r, &err), &err);
    CHECK_INT(cws_result_bytes_produced(r, CWS_STDERR), 5000000);
    CHECK_INT(cws_result_stderr_size(r), MIB);
    cws_process_free(p);
    check_memory(s);
    close_setup(s);
}

typedef struct counter { /* checks the output of seq, in pieces of any size */
    uint64_t next, number, bytes;
    unsigned pauses, pieces;
    uint64_t pause_each, pause_at;
    bool wrong, paused;
    double first, last;
} counter;

static void count_lines(counter *c, const char *at, size_t size)
{
    size_t i;
    for (i = 0; i < size; i++) {
        if (at[i] != '\n') {
            c->number = c->number * 10 + (uint64_t)(at[i] - '0');
            continue;
        }
        if (c->number != ++c->next) c->wrong = true;
        c->number = 0;
    }
    c->bytes += size;
    c->pieces++;
    c->last = now_s();
    if (!c->first) c->first = c->last;
}

static cws_flow count_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    counter *c = (counter *)user;
    if (stream != CWS_STDOUT) return CWS_FLOW_CONTINUE;
    if (c->paused) c->wrong = true;
    count_lines(c, (const char *)data, size);
    if (!c->pause_each || c->bytes < c->pause_at + c->pause_each) return CWS_FLOW_CONTINUE;
    c->pause_at = c->bytes;
    c->pauses++;
    c->paused = true;
    return CWS_FLOW_PAUSE;
}

static void test_paused_output(setup *s)
{
    cws_exec_opts o = {0};
    counter c = {0};
    cws_process *p;
    cws_error err;
    double until;
    o.on_output = count_output;
    o.user = &c;
    c.pause_each = 1000000;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    p = begin(s, "seq 1 2000000", &o); /* 14,888,896 bytes */
    while (p && !cws_op_done(cws_process_op(p))) {
        cws_client_poll(s->client, 1, &err);
        if (!c.paused) continue;
        for (until = now_s() + 0.05; now_s() < until;) cws_client_poll(s->client, 0.01, &err);
        c.paused = false;
        cws_op_resume(cws_process_op(p));
    }
    ok(cws_process_wait(p, 0, NULL, &err), &err);
    CHECK_INT(c.next, 2000000);
    CHECK_INT(c.bytes, 14888896);
    CHECK(!c.wrong);
    CHECK(c.pauses >= 10);
    cws_process_free(p);
    close_setup(s);
}

/* The catalogue of sandbox basics. */
static void test_basics(setup *s)
{
    static const char *const argv[] = {"/bin/sh", "-c", "echo out; exit 42", NULL};
    cws_sandbox_opts box = {0};
    cws_resources resources = {0};
    cws_pair env[] = {{"INHERITED", "one"}, {"OVERRIDDEN", "two"}, {NULL, NULL}};
    cws_pair more[] = {{"OVERRIDDEN", "three"}, {"ADDED", "four"}, {NULL, NULL}};
    cws_exec_opts o = {0};
    counter c = {0};
    cws_result *result = NULL;
    const cws_result *r = NULL;
    cws_process *p;
    cws_error err;
    char text[100];
    size_t n;
    int code;
    box.environment_variables = env;
    box.resources = &resources;
    resources.request_cpu = "500m", resources.limit_cpu = "1";
    resources.request_memory = "512Mi", resources.limit_memory = "1Gi";
    if (!open_setup(s, 0, 0) || !start_box_with(s, &box)) return;
    CHECK_STR(say(s, "python3 -c 'print(2 + 2)'"), "4\n");
    o.check = true; /* a code is a failure, output and command are there */
    CHECK_INT(cws_exec(s->box, argv, &o, &result, &err), CWS_ERR_EXECUTION);
    CHECK_INT(cws_result_exit_code(result), 42);
    CHECK_STR(cws_result_stdout(result), "out\n");
    cws_result_free(result);
    CHECK_INT(err.exit_code, 42);
    p = begin(s, argv[2], &o);
    CHECK_INT(cws_process_wait(p, 20, &r, &err), CWS_ERR_EXECUTION);
    CHECK_INT(cws_result_exit_code(r), 42);
    CHECK_STR(cws_result_stdout(r), "out\n");
    CHECK_STR(cws_result_command(r)[2], argv[2]);
    cws_process_free(p);
    memset(&o, 0, sizeof o); /* reading as it comes; no code before the end */
    p = begin(s, "echo first; sleep 0.3; echo second", &o);
    ok(cws_process_read(p, CWS_STDOUT, text, sizeof text, 20, &n, &err), &err);
    CHECK_INT(n, 6);
    CHECK(!cws_process_poll(p, &code));
    ok(cws_process_read(p, CWS_STDOUT, text, sizeof text, 20, &n, &err), &err);
    CHECK_INT(n, 7);
    ok(cws_process_read(p, CWS_STDOUT, text, sizeof text, 20, &n, &err), &err);
    CHECK_INT(n, 0);
    ok(cws_process_wait(p, 5, NULL, &err), &err);
    CHECK(cws_process_poll(p, &code));
    CHECK_INT(code, 0);
    cws_process_free(p);
    o.on_output = count_output;
    o.user = &c;
    p = begin(s, "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.1; done", &o); /* live */
    ok(cws_process_wait(p, 20, NULL, &err), &err);
    CHECK_INT(c.next, 10);
    CHECK(c.pieces >= 8 && c.last - c.first > 0.6);
    cws_process_free(p);
    memset(&c, 0, sizeof c);
    p = begin(s, "python3 -c 'for i in range(2000): print(i + 1)'", &o);
    ok(cws_process_wait(p, 20, NULL, &err), &err);
    CHECK(c.next == 2000 && !c.wrong);
    cws_process_free(p);
    memset(&o, 0, sizeof o);
    o.environment_variables = more;
    o.cwd = "/tmp/it's a \"dir\" $HOME";
    say(s, "mkdir '/tmp/it'\\''s a \"dir\" $HOME'");
    p = begin(s, "echo $INHERITED $OVERRIDDEN $ADDED; pwd", &o);
    check_output(p, "one three four\n/tmp/it's a \"dir\" $HOME\n");
    close_setup(s);
}

/* What the main command does, and how soon its end is known. */
static void test_completion(setup *s)
{
    static const char *const args[] = {"hello", NULL};
    cws_sandbox_opts box = {0};
    cws_error err;
    double start = now_s();
    box.command = "echo";
    box.args = args;
    if (!open_setup(s, 0, 0) || !start_box_with(s, &box)) return;
    ok(cws_sandbox_wait_until_complete(s->box, NULL, &err), &err);
    CHECK(now_s() - start < 20);
    CHECK(cws_sandbox_last_info(s->box)->has_exit_code);
    CHECK_INT(cws_sandbox_last_info(s->box)->exit_code, 0);
    close_setup(s);
}

static void test_binary_input(setup *s)
{
    static const char fruit[] = "cherry\napple\nbanana\n";
    char bytes[1000];
    counter c = {0};
    cws_exec_opts o = {0};
    const cws_result *r = NULL;
    cws_process *p;
    cws_error err;
    size_t i;
    for (i = 0; i < sizeof bytes; i++) bytes[i] = (char)(1 + i % 255);
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    p = begin_input(s, "python3 -c 'import sys; print(len(sys.stdin.buffer.read()))'", 20);
    ok(cws_process_write(p, bytes, sizeof bytes, 5, NULL, &err), &err);
    ok(cws_process_close_stdin(p, &err), &err);
    check_output(p, "1000\n");
    p = begin_input(s, "cat", 20);
    for (i = 0; i < sizeof bytes; i += 100)
        ok(cws_process_write(p, bytes + i, 100, 5, NULL, &err), &err);
    ok(cws_process_close_stdin(p, &err), &err);
    ok(cws_process_wait(p, 20, &r, &err), &err);
    if (CHECK_INT(cws_result_stdout_size(r), sizeof bytes))
        CHECK(memcmp(cws_result_stdout(r), bytes, sizeof bytes) == 0);
    cws_process_free(p);
    p = begin_input(s, "sh", 20); /* a script in pieces */
    ok(cws_process_write_line(p, "echo one", 5, &err), &err);
    ok(cws_process_write(p, "echo t", 6, 5, NULL, &err), &err);
    ok(cws_process_write(p, "wo; exit 5\n", 11, 5, NULL, &err), &err);
    ok(cws_process_wait(p, 20, &r, &err), &err);
    CHECK_STR(cws_result_stdout(r), "one\ntwo\n");
    CHECK_INT(cws_result_exit_code(r), 5);
    cws_process_free(p);
    p = begin_input(s, "sort", 20);
    ok(cws_process_write(p, fruit, strlen(fruit), 5, NULL, &err), &err);
    ok(cws_process_close_stdin(p, &err), &err);
    check_output(p, "apple\nbanana\ncherry\n");
    o.on_output = count_output; /* no input: it is empty, not open */
    o.user = &c;
    p = begin(s, "cat; echo 1", &o);
    ok(cws_process_wait(p, 20, NULL, &err), &err);
    CHECK_INT(c.next, 1);
    cws_process_free(p);
    close_setup(s);
}

/* ---- terminals */

typedef struct screen {
    char text[65536];
    size_t len;
} screen;

/* Read the terminal until this is on it, behind what was seen before. */
static bool see(cws_process *p, screen *t, const char *what)
{
    static char piece[4096];
    double until = now_s() + 30;
    cws_error err;
    size_t n;
    while (!strstr(t->text, what)) {
        cws_status status = cws_process_read(p, CWS_STDOUT, piece, sizeof piece, 1, &n, &err);
        if (status == CWS_ERR_WAIT_TIMEOUT) n = 0;
        else if (status || n == 0 || t->len + n >= sizeof t->text) break;
        memcpy(t->text + t->len, piece, n);
        t->text[t->len += n] = '\0';
        if (now_s() > until) break;
    }
    if (!CHECK(strstr(t->text, what))) {
        printf("    no \"%s\" in: %s\n", what, t->text);
        return false;
    }
    t->len = 0;
    t->text[0] = '\0';
    return true;
}

static void type(cws_process *p, const char *keys)
{
    cws_error err;
    ok(cws_process_write(p, keys, strlen(keys), 5, NULL, &err), &err);
}

static void test_shell(setup *s)
{
    static const char *const sh[] = {"/bin/sh", NULL};
    cws_pair env[] = {{"TERM", "dumb"}, {"PS1", "> "}, {NULL, NULL}};
    cws_shell_opts o = {0};
    const cws_result *r = NULL;
    cws_process *p = NULL;
    screen t = {{0}, 0};
    cws_error err;
    double start;
    char rest[100];
    size_t n;
    int code = 0;
    o.width = 91, o.height = 17, o.environment_variables = env;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    if (!ok(cws_shell_begin(s->box, sh, &o, &p, &err), &err)) return;
    type(p, "stty size; echo $TERM; tty\n");
    see(p, &t, "17 91\r\n");
    type(p, "echo te''rm $TERM\n");
    see(p, &t, "term dumb\r\n");
    ok(cws_process_resize(p, 133, 44, &err), &err);
    type(p, "stty size\n");
    see(p, &t, "44 133\r\n");
    type(p, "trap 'echo ch''anged' WINCH\n");
    type(p, "echo tr''apped\n");
    see(p, &t, "trapped\r\n");
    ok(cws_process_resize(p, 20, 10, &err), &err); /* the signal comes, too */
    type(p, "\n");
    see(p, &t, "changed");
    type(p, "sleep 100\n");
    start = now_s();
    CHECK_INT(cws_process_wait(p, 0.3, NULL, &err), CWS_ERR_WAIT_TIMEOUT);
    type(p, "\3");
    type(p, "echo af''ter $((40 + 2))\n");
    see(p, &t, "after 42");
    CHECK(now_s() - start < 60); /* it was not waited for */
    type(p, "printf '\\033[31m\\377\\n' | od -c\n"); /* bytes go through as they are */
    see(p, &t, "033   [   3   1   m 377");
    type(p, "exit 7\n");
    while (ok(cws_process_read(p, CWS_STDOUT, rest, sizeof rest, 10, &n, &err), &err) && n)
        continue;
    ok(cws_process_wait(p, 10, &r, &err), &err);
    CHECK(cws_process_poll(p, &code));
    CHECK_INT(code, 7);
    CHECK_INT(cws_result_stdout_size(r), 0);
    CHECK_INT(cws_process_resize(p, 10, 10, &err), CWS_ERR_EXECUTION);
    cws_process_free(p);
    close_setup(s);
}

/* Much on the screen while nobody looks waits over there, and nothing of it is lost. */
static void test_shell_flow(setup *s)
{
    static const char *const argv[] = {"/bin/sh", "-c", "stty -opost; seq 1 1000000; exit 4", NULL};
    static char piece[65536];
    cws_shell_opts o = {0};
    counter c = {0};
    cws_process *p = NULL;
    cws_error err;
    size_t n;
    int code = 0;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    if (!ok(cws_shell_begin(s->box, argv, &o, &p, &err), &err)) return;
    CHECK_INT(cws_process_wait(p, 1.5, NULL, &err), CWS_ERR_WAIT_TIMEOUT); /* held up */
    while (ok(cws_process_read(p, CWS_STDOUT, piece, sizeof piece, 30, &n, &err), &err) && n)
        count_lines(&c, piece, n);
    CHECK_INT(c.next, 1000000);
    CHECK(!c.wrong);
    CHECK(cws_process_poll(p, &code));
    CHECK_INT(code, 4);
    cws_process_free(p);
    check_memory(s);
    close_setup(s);
}

static void test_shell_cancel(setup *s)
{
    static const char *const argv[] = {"/bin/sh", NULL};
    static const char count[] = "sleep 1; cat /proc/[0-9]*/cmdline | tr '\\0' ' ' |"
                                " grep -c 'sleep 98765[4]'; true";
    cws_process *p = NULL;
    screen t = {{0}, 0};
    cws_error err;
    int turn;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    for (turn = 0; turn < 2; turn++) { /* cancelled, freed */
        if (!ok(cws_shell_begin(s->box, argv, NULL, &p, &err), &err)) return;
        type(p, "echo st''arted; sleep 987654\n");
        see(p, &t, "started");
        if (turn == 0) CHECK(cws_process_cancel(p));
        if (turn == 0) CHECK_INT(cws_process_wait(p, 1, NULL, &err), CWS_ERR_CANCELLED);
        cws_process_free(p);
        CHECK(server_stat_becomes("backend_exchanges", 0));
        CHECK_STR(say(s, count), "0\n");
    }
    check_usable(s);
    close_setup(s);
}

/* ---- logs */

typedef struct follower { /* checks lines "line N of the producer" */
    cws_stream *stream;
    cws_op *op;
    unsigned long next, lost, again, restarts, lines;
    uint64_t offset;
    char session_id[300];
    bool stamps, wrong;
} follower;

static cws_flow note_line(const cws_item *item, void *user)
{
    follower *f = (follower *)user;
    const char *at = item->data;
    unsigned long n = 0;
    int used = 0;
    if (f->stamps && strlen(at) > 12 && at[4] == '-' && at[10] == 'T') {
        at = strchr(at, ' ');
        at = at ? at + 1 : "";
    }
    if (sscanf(at, "line %lu of the producer\n%n", &n, &used) != 1 || at[used] || !used) {
        f->wrong = true;
        printf("    no line of ours: %.60s\n", item->data);
    }
    if (item->restarted) f->restarts++;
    if (n > f->next) f->lost += n - f->next;
    if (n < f->next) f->again++;
    f->next = n + 1;
    f->lines++;
    f->offset = item->offset;
    snprintf(f->session_id, sizeof f->session_id, "%s", item->session_id);
    return CWS_FLOW_CONTINUE;
}

/* A sandbox whose main command writes numbered lines, ten of them each `pause` seconds, and ends
 * when it is told to: a follower that is between two connections then can not come back. */
static cws_sandbox *start_producer(setup *s, unsigned lines, const char *pause, const char *fault)
{
    char script[400];
    const char *args[] = {"-c", NULL, NULL};
    cws_pair env[] = {{"CWSL_TEST_LOG_ERROR", NULL}, {NULL, NULL}};
    cws_sandbox_opts o = {0};
    cws_sandbox *box = NULL;
    cws_error err;
    snprintf(script, sizeof script,
             "i=0; while [ $i -lt %u ]; do echo line $i of the producer; i=$((i+1));"
             " case $i in *0) sleep %s;; esac; done; until [ -e $HOME/go ]; do sleep 0.05; done",
             lines, pause);
    args[1] = script;
    env[0].value = fault;
    o.command = "/bin/sh";
    o.args = args;
    if (fault) o.environment_variables = env;
    if (ok(cws_session_sandbox(s->session, &o, &box, &err), &err))
        ok(cws_sandbox_wait(box, wait_for(20), &err), &err);
    return box;
}

static void follow(follower *f, cws_sandbox *box, cws_logs_opts *o)
{
    cws_error err;
    o->follow = true;
    o->on_item = note_line;
    o->user = f;
    f->stamps = o->timestamps;
    if (ok(cws_logs_begin(box, o, &f->stream, &err), &err)) f->op = cws_stream_op(f->stream);
}

/* Let the main command of this sandbox end. */
static void let_end(cws_sandbox *box)
{
    static const char *const argv[] = {"/bin/sh", "-c", "touch $HOME/go", NULL};
    cws_result *result = NULL;
    cws_error err;
    if (cws_exec(box, argv, NULL, &result, &err)) /* the sandbox may have ended first */
        CHECK(strstr(err.message, "ended before the command") != NULL);
    cws_result_free(result);
}

/* All lines come, then the end of the command is the end. */
static void check_followed(setup *s, follower *f, cws_sandbox *box, unsigned long lines)
{
    double until = now_s() + 60;
    cws_error err;
    while (f->lines < lines && !cws_op_done(f->op) && now_s() < until)
        cws_client_poll(s->client, 0.1, &err);
    let_end(box);
    ok(cws_op_wait(f->op, 20, &err), &err);
    CHECK_INT(f->lines, lines);
    CHECK_INT(f->lost, 0);
    CHECK_INT(f->again, 0);
    CHECK(!f->wrong);
    cws_stream_free(f->stream);
}

/* Cut by the server's side of the connection, twenty times; another one is taken up. */
static void test_cut_logs(setup *s)
{
    static const char cuts[] = /* streams, then connections */
        "\"action\":\"reset_after_bytes\",\"bytes\":2000,\"times\":10},"
        "{\"match\":\"/StreamLogs\",\"action\":\"reset_after_bytes\",\"bytes\":1777,"
        "\"connection\":true,\"times\":10";
    cws_logs_opts o = {0};
    follower f = {0};
    long asked;
    if (!open_setup(s, 0, 0)) return;
    CHECK(server_forget());
    s->box = start_producer(s, 2500, "0.04", NULL);
    order_fault("/StreamLogs", cuts);
    follow(&f, s->box, &o);
    if (f.op) check_followed(s, &f, s->box, 2500);
    CHECK_INT(f.restarts, 0);
    asked = server_count("/StreamLogs");
    printf("    %ld connections\n", asked);
    CHECK(asked >= 21);
    close_setup(s);
}

/* Ended by the service, in each of the ways that ask for another connection, twenty times. */
static void test_interrupted_logs(setup *s)
{
    static const char *const ways[] = {"CUT@900x20", "STREAM_INTERRUPTED@900x20",
                                       "unavailable@900x20", "internal@900x20"};
    cws_sandbox *boxes[CWSI_COUNT(ways)];
    follower f[CWSI_COUNT(ways)];
    cws_logs_opts o = {0};
    size_t i;
    memset(f, 0, sizeof f);
    if (!open_setup(s, 0, 0)) return;
    CHECK(server_forget());
    for (i = 0; i < CWSI_COUNT(ways); i++) {
        boxes[i] = start_producer(s, 1000, "0.08", ways[i]);
        follow(&f[i], boxes[i], &o);
    }
    for (i = 0; i < CWSI_COUNT(ways); i++) {
        if (f[i].op) check_followed(s, &f[i], boxes[i], 1000);
        CHECK_INT(f[i].restarts, 0);
        if (test_g.bad) printf("    after %s\n", ways[i]);
        cws_sandbox_free(boxes[i]);
    }
    CHECK_INT(server_count("/StreamLogs"), 21 * CWSI_COUNT(ways));
    close_setup(s);
}

static void test_logs_for_good(setup *s)
{
    static const struct {
        const char *what;
        cws_status status;
    } ends[] = {{"STREAM_BACKPRESSURE@500", CWS_ERR_STREAM_BACKPRESSURE},
                {"STREAM_TRUNCATED@500", CWS_ERR_STREAM_TRUNCATED},
                {"INVALID_RESUME_OFFSET@500", CWS_ERR_SANDBOX},
                {"permission_denied@500", CWS_ERR_AUTHENTICATION}};
    cws_sandbox *box;
    cws_error err;
    size_t i;
    if (!open_setup(s, 0, 0)) return;
    for (i = 0; i < CWSI_COUNT(ends); i++) {
        cws_logs_opts o = {0};
        follower f = {0};
        box = start_producer(s, 100, "0.01", ends[i].what);
        follow(&f, box, &o);
        if (f.op && !CHECK_INT(cws_op_wait(f.op, 20, &err), ends[i].status))
            printf("    %s: %s\n", ends[i].what, err.message);
        CHECK(f.lines >= 15 && f.lost == 0 && f.again == 0 && !f.wrong); /* those before it */
        if (i < 3) CHECK(strncmp(ends[i].what, err.stream_code, strlen(err.stream_code)) == 0);
        if (i < 3) CHECK(err.stream_code[0] != '\0');
        cws_stream_free(f.stream);
        cws_sandbox_free(box);
    }
    close_setup(s);
}

static void test_log_options(setup *s)
{
    cws_logs_opts o = {0};
    follower f = {0}, half = {0};
    cws_stream *stream = NULL;
    cws_item item;
    cws_error err;
    int64_t since = 0;
    unsigned i;
    if (!open_setup(s, 0, 0)) return;
    s->box = start_producer(s, 300, "0.02", NULL);
    follow(&f, s->box, &o); /* until its end */
    if (f.op) check_followed(s, &f, s->box, 300);
    ok(cws_sandbox_wait_until_complete(s->box, NULL, &err), &err);
    memset(&f, 0, sizeof f);
    memset(&o, 0, sizeof o);
    o.on_item = note_line, o.user = &f; /* all of it, afterwards */
    ok(cws_logs(s->box, &o, &err), &err);
    CHECK(f.lines == 300 && !f.wrong && !f.lost);
    memset(&f, 0, sizeof f);
    o.tail_lines = 10;
    ok(cws_logs(s->box, &o, &err), &err);
    CHECK_INT(f.lines, 10);
    CHECK_INT(f.lost, 290);
    CHECK_INT(f.next, 300);
    memset(&f, 0, sizeof f);
    o.timestamps = f.stamps = true;
    ok(cws_logs(s->box, &o, &err), &err);
    CHECK(f.lines == 10 && !f.wrong);
    o.timestamps = f.stamps = false;
    o.tail_lines = 0;
    o.on_item = NULL;
    if (ok(cws_logs_begin(s->box, &o, &stream, &err), &err)) /* where was the middle? */
        for (i = 0; i < 150; i++)
            if (ok(cws_stream_next(stream, 10, &item, &err), &err) && item.data)
                since = item.unix_ms;
    cws_stream_free(stream);
    CHECK(since > 0);
    memset(&f, 0, sizeof f);
    o.since_unix_ms = since;
    o.on_item = note_line;
    ok(cws_logs(s->box, &o, &err), &err);
    CHECK(f.lines > 100 && f.lines < 200 && f.next == 300);
    memset(&o, 0, sizeof o);
    o.follow = true; /* nothing to follow any more */
    o.on_item = note_line, o.user = &half;
    CHECK_INT(cws_logs(s->box, &o, &err), CWS_ERR_NOT_RUNNING);
    close_setup(s);
}

/* Raw pieces: one session, and the offset tells the place; a later stream goes on there. */
static void test_log_places(setup *s)
{
    cws_logs_opts o = {0};
    cws_stream *stream = NULL;
    cws_item item;
    cws_error err;
    follower f = {0};
    char session_id[300] = "";
    uint64_t offset = 0;
    int i;
    o.follow = o.raw = true;
    if (!open_setup(s, 0, 0)) return;
    s->box = start_producer(s, 400, "0.05", NULL);
    if (!ok(cws_logs_begin(s->box, &o, &stream, &err), &err)) return;
    for (i = 0; i < 5; i++) {
        if (!ok(cws_stream_next(stream, 10, &item, &err), &err) || !item.data) break;
        CHECK_INT(item.offset, offset + item.size);
        if (i) CHECK_STR(item.session_id, session_id);
        CHECK(item.session_id[0] != '\0');
        snprintf(session_id, sizeof session_id, "%s", item.session_id);
        offset = item.offset;
    }
    cws_stream_free(stream);
    o.raw = false;
    o.resume_session_id = session_id;
    o.resume_offset = offset;
    o.on_item = NULL;
    if (!ok(cws_logs_begin(s->box, &o, &stream, &err), &err)) return;
    if (ok(cws_stream_next(stream, 10, &item, &err), &err) && item.data) {
        CHECK(!item.restarted);
        CHECK_INT(item.offset, offset + item.size);
    }
    cws_stream_free(stream);
    memset(&o, 0, sizeof o);
    o.resume_session_id = "made-up"; /* refused; it begins anew, and says so */
    o.resume_offset = 5;
    follow(&f, s->box, &o);
    if (f.op) check_followed(s, &f, s->box, 400);
    CHECK_INT(f.restarts, 1);
    close_setup(s);
}

/* With times before the lines, a connection that is lost loses no line. */
static void test_cut_stamps(setup *s)
{
    cws_logs_opts o = {0};
    follower f = {0};
    if (!open_setup(s, 0, 0)) return;
    s->box = start_producer(s, 400, "0.05", "CUT@2000x3");
    o.timestamps = true;
    follow(&f, s->box, &o);
    if (f.op) check_followed(s, &f, s->box, 400);
    CHECK_INT(f.restarts, 0);
    close_setup(s);
}

static void test_silent(setup *s)
{
    cws_logs_opts o = {0};
    follower f = {0};
    cws_error err;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK_STR(say(s, "echo from a command; echo and this >&2; echo seen"),
              "from a command\nseen\n");
    o.tail_lines = 10;
    o.on_item = note_line, o.user = &f;
    ok(cws_logs(s->box, &o, &err), &err);
    CHECK_INT(f.lines, 0);
    close_setup(s);
}

static void test_follow_again(setup *s)
{
    cws_logs_opts o = {0};
    cws_stream *stream = NULL;
    cws_item item;
    cws_error err;
    uint64_t used = 0;
    int i;
    o.follow = true;
    if (!open_setup(s, 0, 0)) return;
    s->box = start_producer(s, 10000, "0.05", NULL);
    for (i = 0; i < 50; i++) {
        if (!ok(cws_logs_begin(s->box, &o, &stream, &err), &err)) break;
        ok(cws_stream_next(stream, 10, &item, &err), &err);
        CHECK(item.data && strcmp(item.data, "line 0 of the producer\n") == 0);
        cws_stream_free(stream);
        if (i == 5) used = cws_client_memory(s->client).used_bytes;
    }
    CHECK(cws_client_memory(s->client).used_bytes <= used + 10000);
    CHECK_INT(cws_client_pending(s->client), 0);
    CHECK(server_stat_becomes("backend_exchanges", 0));
    if (s->h2) check_usable(s);
    close_setup(s);
}

static void test_long_line(setup *s)
{
    static const char *const args[] = {
        "-c", "echo before; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo behind", NULL};
    cws_sandbox_opts box = {0};
    cws_logs_opts o = {0};
    cws_stream *stream = NULL;
    cws_item item;
    cws_error err;
    uint64_t xs = 0;
    unsigned pieces = 0;
    cws_status status;
    box.command = "/bin/sh";
    box.args = args;
    if (!open_setup(s, 0, 0) || !start_box_with(s, &box)) return;
    ok(cws_sandbox_wait_until_complete(s->box, NULL, &err), &err);
    if (!ok(cws_logs_begin(s->box, &o, &stream, &err), &err)) return;
    ok(cws_stream_next(stream, 10, &item, &err), &err);
    CHECK_STR(item.data, "before\n");
    CHECK_INT(cws_stream_next(stream, 10, &item, &err), CWS_ERR_STREAM_TRUNCATED);
    CHECK(strstr(err.message, "1048576") != NULL);
    cws_stream_free(stream);
    o.long_lines = CWS_LONG_LINES_SPLIT;
    o.max_line_bytes = 65536;
    if (!ok(cws_logs_begin(s->box, &o, &stream, &err), &err)) return;
    ok(cws_stream_next(stream, 10, &item, &err), &err);
    while (!(status = cws_stream_next(stream, 10, &item, &err)) && item.data) {
        if (item.data[0] != 'x') break;
        CHECK(item.size <= 65536);
        CHECK(item.partial == (item.data[item.size - 1] != '\n'));
        xs += item.size;
        pieces++;
    }
    ok(status, &err);
    CHECK(xs == 5000001 || xs == 5000000); /* the newline may be a piece of its own */
    CHECK(pieces >= 5000000 / 65536);
    CHECK_STR(item.data, "behind\n");
    ok(cws_stream_next(stream, 10, &item, &err), &err);
    CHECK(item.data == NULL);
    cws_stream_free(stream);
    check_memory(s);
    close_setup(s);
}

/* Who does not take lines holds them up at the service's side. */
static void test_slow_follower(setup *s)
{
    static const char *const args[] = {"-c", "seq 1 1000000", NULL};
    cws_sandbox_opts box = {0};
    cws_logs_opts o = {0};
    cws_stream *stream = NULL;
    counter c = {0};
    cws_item item;
    cws_error err;
    double until;
    box.command = "/bin/sh";
    box.args = args;
    o.raw = true;
    if (!open_setup(s, 0, 0) || !start_box_with(s, &box)) return;
    ok(cws_sandbox_wait_until_complete(s->box, NULL, &err), &err);
    if (!ok(cws_logs_begin(s->box, &o, &stream, &err), &err)) return;
    while (ok(cws_stream_next(stream, 20, &item, &err), &err) && item.data) {
        count_lines(&c, item.data, item.size);
        if (c.pieces % 64 == 1)
            for (until = now_s() + 0.1; now_s() < until;) cws_client_poll(s->client, 0.02, &err);
    }
    CHECK_INT(c.next, 1000000);
    CHECK(!c.wrong);
    cws_stream_free(stream);
    check_memory(s);
    close_setup(s);
}

/* ---- errors inside a stream, typed and kept */

static void test_stream_errors(setup *s)
{
    static const struct {
        const char *fault, *code;
        cws_status status;
    } errors[] = {
        {"STREAM_BACKPRESSURE@", "STREAM_BACKPRESSURE", CWS_ERR_STREAM_BACKPRESSURE},
        {"STREAM_TRUNCATED@", "STREAM_TRUNCATED", CWS_ERR_STREAM_TRUNCATED}};
    enum { EXEC, DOWNLOAD, READ, UPLOAD, ASKED };
    cws_pair env[] = {{"CWSL_TEST_EXEC_ERROR", NULL}, {NULL, NULL}};
    cws_sandbox_opts box = {0};
    cws_error err;
    char fault[60];
    int what;
    size_t i;
    box.environment_variables = env;
    env[0].value = fault;
    if (!open_setup(s, 0, 0)) return;
    for (i = 0; i < CWSI_COUNT(errors); i++)
        for (what = EXEC; what < ASKED; what++) {
            cws_exec_opts o = {0};
            const cws_result *r = NULL;
            cws_process *p;
            cws_bytes *bytes = NULL;
            cws_status status = CWS_OK;
            flow f = {0};
            /* a probe of the size and an upload have less output than that, or none */
            snprintf(fault, sizeof fault, "%s%d", errors[i].fault, what == UPLOAD ? 0 : 100000);
            if (!start_box_with(s, &box)) return;
            if (what == EXEC) {
                p = begin(s, "head -c 300000 /dev/zero", &o);
                status = cws_process_wait(p, 20, &r, &err);
                CHECK_INT(cws_result_stdout_size(r), 100000);
                CHECK(!cws_result_has_exit_code(r));
                cws_process_free(p);
            } else if (what == UPLOAD) {
                f.size = 20 * MIB;
                status = send_file(s, "/tmp/f", &f, true, true, &err);
            } else {
                char *data = some_pattern(300000);
                f.size = 300000;
                ok(cws_write_file(s->box, "/tmp/f", data, 300000, NULL, &err), &err);
                if (what == DOWNLOAD) {
                    status = fetch_file(s, "/tmp/f", &f, &err);
                    CHECK_INT(f.at, 100000);
                    CHECK(!f.wrong);
                } else { /* the message is refused: through a command then */
                    order_fault("/ReadFile",
                                "\"action\":\"error\",\"code\":\"resource_exhausted\"");
                    status = cws_read_file(s->box, "/tmp/f", NULL, &bytes, &err);
                    CHECK(bytes == NULL);
                }
            }
            if (!CHECK_INT(status, errors[i].status))
                printf("    %d %s: %s\n", what, fault, err.message);
            CHECK_STR(err.stream_code, errors[i].code);
            CHECK_STR(err.sandbox_id, cws_sandbox_id(s->box));
            if (what != EXEC) CHECK_STR(err.filepath, "/tmp/f");
            check_usable(s);
            cws_sandbox_free(s->box);
            s->box = NULL;
        }
    close_setup(s);
}

/* ---- the table */

enum { H1 = 1, H2C = 2, TLS = 4, GRPC_H2C = 8, GRPC_TLS = 16 };

typedef struct scenario {
    const char *promise;
    void (*run)(setup *s);
    int where; /* at which addresses */
} scenario;

enum {
    THREE = H2C | TLS | GRPC_TLS,
    HTTP2 = H2C | TLS | GRPC_H2C | GRPC_TLS,
    ALL = HTTP2 | H1
};

static const scenario scenarios[] = {
    {"256 MiB (CWS_LONG: 1 GiB) up and down arrive whole, in constant memory", test_gigabyte, TLS},
    {"64 MiB up and down arrive whole, in constant memory", test_large, HTTP2},
    {"who takes slowly holds the command up, and gets all", test_slow_taker, THREE},
    {"a source and a taker may pause", test_pauses, THREE},
    {"a download cancelled in the middle ends on the wire, the sandbox is usable",
     test_cancelled_download, THREE},
    {"an upload that ends in the middle leaves the old file, or says what may be",
     test_broken_upload, THREE},
    {"files of any bytes and any name arrive as they were", test_contents, ALL},
    {"streams of files: directories, missing ones, modes, links, devices", test_stream_places,
     THREE},
    {"200 small files at once", test_many_files, THREE | H1},
    {"a file over the cap of a message goes through a command", test_over_the_cap, THREE | H1},
    {"an upload whose stream is reset is a failure of the file", test_reset_upload, THREE},
    {"an upload that is cancelled leaves just its own file beside", test_nothing_beside, H2C},
    {"output that nobody reads holds nothing up, and is kept to its cap", test_unread_output,
     THREE},
    {"paused and resumed output loses nothing", test_paused_output, THREE},
    {"the catalogue of commands", test_basics, ALL & ~H1},
    {"the end of the main command is known at once", test_completion, ALL},
    {"the catalogue of input", test_binary_input, HTTP2},
    {"a session in a terminal: sizes, ^C, exit code", test_shell, THREE},
    {"a terminal that nobody reads stands still, and loses nothing", test_shell_flow, THREE},
    {"a terminal that is given up ends what ran in it", test_shell_cancel, THREE},
    {"logs that are cut 20 times lose no line and invent none", test_cut_logs, THREE | H1},
    {"logs that the service ends 20 times, in four ways, lose no line", test_interrupted_logs,
     THREE},
    {"logs that end for good say how, behind the lines", test_logs_for_good, THREE},
    {"logs: all, the last, since, with times", test_log_options, ALL},
    {"logs: a session and an offset are a place to go on", test_log_places, THREE},
    {"logs with times lose no line either", test_cut_stamps, THREE},
    {"logs: the default command is silent, commands are not in them", test_silent, ALL},
    {"logs followed and left 50 times leave nothing behind", test_follow_again, THREE | H1},
    {"logs: a very long line is an error or comes in pieces", test_long_line, THREE},
    {"logs that are taken slowly wait, and come whole", test_slow_follower, THREE | H1},
    {"errors inside a stream keep their type", test_stream_errors, THREE},
    {"shell, upload and download need HTTP/2, and say so", test_http1, H1},
};

static const scenario capped[] = {
    {"cap of 1 byte: every file goes through a command", test_no_cap_at_all, THREE},
};

static void run_scenarios(const scenario *list, size_t count)
{
    size_t i, k;
    fill_setups(setups);
    for (k = 0; k < SETUPS; k++) {
        setups[k].quiet = true;
        for (i = 0; i < count; i++) {
            double start = now_s();
            if (!(list[i].where & 1 << k)) continue;
            TEST(title(&setups[k], "%s", list[i].promise, ""))
            {
                list[i].run(&setups[k]);
                if (now_s() - start > 2)
                    printf("    %.1f s: %s\n", now_s() - start, test_g.name);
            }
        }
    }
    TEST("at the end the backend has no exchange left open")
    {
        CHECK(server_stat_becomes("backend_exchanges", 0));
    }
}

int main(int argc, char **argv)
{
    make_pattern();
    if (!begin_setups(argc, argv, setups)) return 1;
    run_scenarios(scenarios, CWSI_COUNT(scenarios));
    setenv("BACKEND_MAX_FILE_BYTES", "1", 1);
    server_stop();
    if (!server_start(argv[1], KEY, WANDB_KEY)) return 1;
    run_scenarios(capped, CWSI_COUNT(capped));
    server_stop();
    return test_summary();
}
