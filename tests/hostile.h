/* SPDX-License-Identifier: MIT
 *
 * Doubts about streams, one test each, with a scripted service. For torture.c.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <unistd.h>

#include "script.h"

typedef struct hostile {
    script s;
    cws_session *session;
    cws_client *client;
    cws_sandbox *box;
    cws_stream *stream, *other; /* freed by callbacks */
    cws_op *op;
    cws_process *process;
    cws_error err;
    int calls, pause_at;
    size_t size;
    char bytes[4096];
} hostile;

static void hostile_begin(hostile *h)
{
    cws_client_opts o = {0};
    cws_session_opts so = {0};
    memset(h, 0, sizeof(*h));
    script_init(&h->s, false);
    o.no_environment = true;
    o.transport = &h->s.transport;
    o.allocator = &test_allocator;
    o.api_key = "key";
    o.monotonic_ms = script_monotonic, o.unix_ms = script_unix, o.random = script_random;
    o.hooks_user = &h->s;
    so.client_opts = &o;
    CHECK_INT(cws_session_open(&so, &h->session, &h->err), CWS_OK);
    h->client = cws_session_client(h->session);
    CHECK_INT(cws_session_sandbox(h->session, NULL, &h->box, &h->err), CWS_OK);
    script_ok(&h->s, "CreateSandbox", "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":"
                                      "\"STATE_CREATING\"}}");
    script_ok(&h->s, "GetSandbox", "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":"
                                   "\"STATE_RUNNING\"}}")->times = -1;
    CHECK_INT(cws_sandbox_wait(h->box, NULL, &h->err), CWS_OK);
}

static void hostile_end(hostile *h)
{
    cws_stream_free(h->stream);
    cws_stream_free(h->other);
    cws_process_free(h->process);
    cws_op_free(h->op);
    cws_sandbox_free(h->box);
    cws_session_free(h->session);
    script_verify(&h->s);
    script_free(&h->s);
    CHECK_INT(test_alloc_live(), 0);
    test_g.live = test_g.live_bytes = 0;
}

/* A log stream: entries as JSON, ended by NULL; end: the end-of-stream message or NULL. */
static script_reply *hostile_logs(hostile *h, const char *end, ...)
{
    script_reply *r = script_add(&h->s, "StreamLogs");
    const char *json;
    va_list args;
    r->content_type = "application/connect+proto";
    script_body(&h->s, r, "", 0);
    va_start(args, end);
    while ((json = va_arg(args, const char *)) != NULL) {
        cwsi_str m = script_encode(&h->s, CWSI_M_v1_LogEntry, json);
        script_envelope(&h->s, r, 0, m.at, m.len);
    }
    va_end(args);
    if (end) script_envelope(&h->s, r, 2, end, strlen(end));
    return r;
}

/* An entry of it. */
static const char *hostile_entry(hostile *h, const char *text, const char *session,
                                 const char *offset)
{
    const char *data = grpc_base64(&h->s.arena, cwsi_str_of(text));
    char *json = (char *)cwsi_arena_alloc(&h->s.arena, strlen(data) + strlen(session) + 100);
    (void)sprintf(json, "{\"data\":\"%s\",\"logSessionId\":\"%s\",\"nextLogOffset\":\"%s\"}", data,
                  session, offset);
    return json;
}

/* Take items, and pause with the pause_at-th. */
static cws_flow hostile_item(const cws_item *item, void *user)
{
    hostile *h = (hostile *)user;
    if (h->size + item->size < sizeof(h->bytes))
        memcpy(h->bytes + h->size, item->data, item->size), h->size += item->size;
    return ++h->calls == h->pause_at ? CWS_FLOW_PAUSE : CWS_FLOW_CONTINUE;
}

/* ---- logs */

static void hostile_pause_at_the_end(void)
{
    hostile h;
    cws_logs_opts o = {0};
    int i;
    hostile_begin(&h);
    o.on_item = hostile_item, o.user = &h;
    h.pause_at = 2;
    hostile_logs(&h, "{}", hostile_entry(&h, "one\ntw", "a", "6"), NULL);
    CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
    (void)alarm(10); /* it ends the program */
    for (i = 0; i < 10; i++) CHECK_INT(cws_client_poll(h.client, 0.01, &h.err), CWS_OK);
    (void)alarm(0);
    CHECK(!cws_op_done(cws_stream_op(h.stream)));
    cws_op_resume(cws_stream_op(h.stream));
    CHECK_INT(cws_op_wait(cws_stream_op(h.stream), 1, &h.err), CWS_OK);
    CHECK_STR(h.bytes, "one\ntw");
    hostile_end(&h);
}

/* The item at hand stays while other things go on. */
static void hostile_item_at_hand(void)
{
    hostile h;
    cws_logs_opts o = {0};
    cws_item item;
    int i;
    char line[200], more[3000];
    hostile_begin(&h);
    memset(line, 'a', sizeof(line)), memset(more, 'b', sizeof(more));
    line[198] = '\n', line[199] = more[2999] = '\0';
    hostile_logs(&h, "{}", hostile_entry(&h, line, "a", "199"), hostile_entry(&h, "1\n", "b", "2"),
                 hostile_entry(&h, more, "c", "2999"), NULL)->chunk = 240;
    CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK(item.size == 199 && !strcmp(item.data, line) && !strcmp(item.session_id, "a"));
    for (i = 0; i < 20; i++) CHECK_INT(cws_client_poll(h.client, 0.001, &h.err), CWS_OK);
    CHECK(item.size == 199 && memcmp(item.data, line, 199) == 0);
    CHECK(item.data[item.size] == '\0');
    CHECK_STR(item.session_id, "a");
    hostile_end(&h);
}

static void hostile_free_stream(cws_op *op, void *user)
{
    hostile *h = (hostile *)user;
    (void)op;
    cws_stream_free(h->stream);
    h->stream = NULL;
}

/* A callback frees the stream whose next item is waited for. */
static void hostile_freed_while_awaited(void)
{
    hostile h;
    cws_logs_opts o = {0};
    cws_item item;
    cws_status status;
    hostile_begin(&h);
    hostile_logs(&h, NULL, hostile_entry(&h, "one\ntwo\n", "a", "8"), NULL)->hold = true;
    CHECK_INT(cws_sandbox_get_state_begin(h.box, &h.op, &h.err), CWS_OK); /* has its turn last */
    CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
    cws_op_on_done(h.op, hostile_free_stream, &h);
    status = cws_stream_next(h.stream, -1, &item, &h.err);
    CHECK(h.stream == NULL);
    CHECK(status == CWS_ERR_CANCELLED || (!status && item.data && item.data[0] == 'o'));
    hostile_end(&h);
}

/* Where to go on behind an item that stands before a line which is too long. */
static void hostile_offset_before_long_line(void)
{
    hostile h;
    cws_logs_opts o = {0};
    cws_item item;
    hostile_begin(&h);
    o.max_line_bytes = 5, o.long_lines = CWS_LONG_LINES_FAIL;
    hostile_logs(&h, "{}", hostile_entry(&h, "a\nbb\nmuch too long\n", "s", "19"), NULL);
    CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK_INT(item.offset, 2);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK_INT(item.offset, 5);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_ERR_STREAM_TRUNCATED);
    hostile_end(&h);
}

/* A resume that begins further on than where we were. */
static void hostile_gap_behind_resume(void)
{
    hostile h;
    cws_logs_opts o = {0};
    cws_item item;
    hostile_begin(&h);
    o.follow = true;
    hostile_logs(&h, NULL, hostile_entry(&h, "one\n", "s", "4"), NULL)->end = CWS_END_LOST;
    hostile_logs(&h, "{}", hostile_entry(&h, "nine\n", "s", "100"), NULL);
    CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK(!item.restarted);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK(item.data && !strcmp(item.data, "nine\n"));
    CHECK(item.restarted);
    hostile_end(&h);
}

/* The same within a line: two halves that do not belong together are no line. */
static void hostile_gap_within_line(void)
{
    hostile h;
    cws_logs_opts o = {0};
    cws_item item;
    hostile_begin(&h);
    o.follow = true;
    hostile_logs(&h, NULL, hostile_entry(&h, "one\ntw", "s", "6"), NULL)->end = CWS_END_LOST;
    hostile_logs(&h, "{}", hostile_entry(&h, "nine\n", "other", "50"), NULL);
    CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK_STR(item.data, "nine\n"); /* not "twnine" */
    CHECK(item.restarted);
    hostile_end(&h);
}

/* A session whose name can not be kept has no place to go on at; least of all another's. */
static void hostile_long_session(void)
{
    hostile h;
    cws_logs_opts o = {0};
    cws_item item;
    char name[301];
    hostile_begin(&h);
    memset(name, 'x', 300);
    name[300] = '\0';
    hostile_logs(&h, "{}", hostile_entry(&h, "one\n", "s", "4"),
                 hostile_entry(&h, "two\n", name, "1000"), NULL);
    CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK(item.data && !strcmp(item.data, "two\n"));
    CHECK(!item.session_id[0] || item.offset != 1000);
    hostile_end(&h);
}

/* An entry that does not say where it ends has no place behind it. */
static void hostile_no_offset(void)
{
    hostile h;
    cws_logs_opts o = {0};
    cws_item item;
    hostile_begin(&h);
    hostile_logs(&h, "{}", hostile_entry(&h, "one\n", "s", "4"),
                 hostile_entry(&h, "two\nthree\n", "s", "0"), NULL);
    CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK_INT(item.offset, 4);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK_STR(item.data, "three\n");
    if (!CHECK(!item.session_id[0])) printf("    offset %d\n", (int)item.offset);
    hostile_end(&h);
}

/* With timestamps the place behind a line whose beginning came before: not in the middle of it. */
static void hostile_offset_with_timestamps(void)
{
    hostile h;
    cws_logs_opts o = {0};
    cws_item item;
    hostile_begin(&h);
    o.timestamps = true;
    hostile_logs(&h, "{}", hostile_entry(&h, "T1 one\nT2 tw", "s", "6"),
                 hostile_entry(&h, "o\nT3 x\n", "s", "10"), NULL);
    CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK_STR(item.data, "T2 two\n");
    if (!CHECK(!item.session_id[0] || item.offset >= 8))
        printf("    offset %d of \"one\\ntwo\\nx\\n\"\n", (int)item.offset);
    hostile_end(&h);
}

/* A big message without a newline, in small pieces: not the square of its size. */
static void hostile_split_speed(void)
{
    hostile h;
    cws_logs_opts o = {0};
    cws_item item;
    size_t size = 4u << 20, items = 0;
    char *text = (char *)malloc(size + 1);
    clock_t from = clock();
    if (!text) abort();
    memset(text, 'x', size);
    text[size] = '\0';
    {
        hostile_begin(&h);
        o.max_line_bytes = 16, o.long_lines = CWS_LONG_LINES_SPLIT;
        hostile_logs(&h, "{}", hostile_entry(&h, text, "s", "4194304"), NULL);
        CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
        while (!cws_stream_next(h.stream, -1, &item, &h.err) && item.data &&
               clock() - from < 3 * CLOCKS_PER_SEC)
            items++;
        if (!CHECK_INT(items, size / 16))
            printf("    so many in %ld s\n", (long)((clock() - from) / CLOCKS_PER_SEC));
        hostile_end(&h);
    }
    free(text);
}

/* An entry without data (a sign of life) is nothing. */
static void hostile_empty_entry(void)
{
    hostile h;
    cws_logs_opts o = {0};
    cws_item item;
    hostile_begin(&h);
    hostile_logs(&h, "{}", "{}", hostile_entry(&h, "one\n", "s", "4"), NULL);
    CHECK_INT(cws_logs_begin(h.box, &o, &h.stream, &h.err), CWS_OK);
    CHECK_INT(cws_stream_next(h.stream, -1, &item, &h.err), CWS_OK);
    CHECK(item.data && !strcmp(item.data, "one\n"));
    hostile_end(&h);
}

/* With one attempt nothing is taken up again; with two, each connection that brings something is
 * followed by another. */
static void hostile_attempts(void)
{
    hostile h;
    cws_logs_opts o = {0};
    hostile_begin(&h);
    o.follow = true, o.max_attempts = 1;
    o.on_item = hostile_item, o.user = &h;
    hostile_logs(&h, NULL, hostile_entry(&h, "one\n", "s", "4"), NULL)->end = CWS_END_LOST;
    CHECK_INT(cws_logs(h.box, &o, &h.err), CWS_ERR_UNAVAILABLE);
    CHECK_STR(h.bytes, "one\n");
    o.max_attempts = 2;
    hostile_logs(&h, NULL, hostile_entry(&h, "one\n", "s", "4"), NULL)->end = CWS_END_LOST;
    hostile_logs(&h, NULL, hostile_entry(&h, "two\n", "s", "8"), NULL)->end = CWS_END_LOST;
    hostile_logs(&h, "{}", hostile_entry(&h, "three\n", "s", "14"), NULL);
    CHECK_INT(cws_logs(h.box, &o, &h.err), CWS_OK);
    CHECK_STR(h.bytes, "one\none\ntwo\nthree\n");
    hostile_end(&h);
}

/* A time before 1970 is nothing to begin anew at. */
static void hostile_old_times(void)
{
    hostile h;
    cws_logs_opts o = {0};
    hostile_begin(&h);
    o.follow = true, o.on_item = hostile_item, o.user = &h;
    hostile_logs(&h, NULL, "{\"data\":\"eAo=\",\"timestamp\":\"0001-01-01T00:00:00.5Z\"}", NULL)
        ->end = CWS_END_LOST;
    hostile_logs(&h, "{}", hostile_entry(&h, "two\n", "s", "8"), NULL);
    CHECK_INT(cws_logs(h.box, &o, &h.err), CWS_OK);
    if (!CHECK(!strstr(script_json(&h.s, "StreamLogs", 1), "\"sinceTime\":\"\"")))
        printf("    no time: %s\n", script_json(&h.s, "StreamLogs", 1));
    hostile_end(&h);
}

/* ---- files */

#define EXIT_0 "{\"exit\":{\"exitCode\":0}}"

static script_reply *hostile_no_http2(hostile *h)
{
    return script_raw(&h->s, "StreamExec", 505, "text/plain", "no", 2);
}

/* A bridge that falls back to the unary call, whose reply holds only a part. */
static void hostile_read_cut_by_unary(void)
{
    hostile h;
    cws_bytes *bytes = NULL;
    hostile_begin(&h);
    script_error(&h.s, "ReadFile", "resource_exhausted", "message larger than max", NULL);
    hostile_no_http2(&h);
    script_ok(&h.s, "Exec", "{\"stdout\":\"cGFydA==\",\"stdoutTruncated\":true,"
                            "\"stdoutBytesProduced\":\"60000000\"}")
        ->times = -1; /* it is not asked for */
    CHECK(cws_read_file(h.box, "/f", NULL, &bytes, &h.err) != CWS_OK);
    if (bytes) printf("    \"%s\"\n", (const char *)cws_bytes_data(bytes));
    cws_bytes_free(bytes);
    hostile_end(&h);
}

static void hostile_download_cut_by_unary(void)
{
    hostile h;
    cws_download_opts o = {0};
    hostile_begin(&h);
    o.on_item = hostile_item, o.user = &h;
    script_stream(&h.s, "{}", READY, script_output(&h.s, "STDOUT", "60000000\n", 9), EXIT_0, NULL);
    hostile_no_http2(&h);
    script_ok(&h.s, "Exec", "{\"stdout\":\"cGFydA==\",\"stdoutTruncated\":true,"
                            "\"stdoutBytesProduced\":\"60000000\"}")
        ->times = -1; /* it is not asked for */
    CHECK(cws_download(h.box, "/f", &o, &h.err) != CWS_OK);
    if (h.size) printf("    %lu bytes: \"%s\"\n", (unsigned long)h.size, h.bytes);
    hostile_end(&h);
}

/* A reply that is too large for this client, but for nobody else. */
static void hostile_read_over_own_limit(void)
{
    hostile h;
    cws_bytes *bytes = NULL;
    char *text = (char *)calloc(1, 100001);
    if (!text) abort();
    {
        cwsi_str in;
        const char *json = "{\"content\":\"%s\"}", *data;
        char *reply;
        hostile_begin(&h);
        h.client->max_message = 65536;
        in.at = text, in.len = 100000;
        data = grpc_base64(&h.s.arena, in);
        reply = (char *)cwsi_arena_alloc(&h.s.arena, strlen(data) + 20);
        (void)sprintf(reply, json, data);
        script_ok(&h.s, "ReadFile", reply);
        CHECK_INT(cws_read_file(h.box, "/f", NULL, &bytes, &h.err), CWS_ERR_LIMIT);
        CHECK(strstr(h.err.message, "max_message_bytes") != NULL);
        hostile_end(&h);
    }
    free(text);
}

/* Paused with the last piece: is it over before the caller goes on? */
static void hostile_download_paused_at_the_end(void)
{
    hostile h;
    cws_download_opts o = {0};
    int i;
    hostile_begin(&h);
    o.on_item = hostile_item, o.user = &h;
    h.pause_at = 1;
    script_stream(&h.s, "{}", READY, script_output(&h.s, "STDOUT", "4\n", 2), EXIT_0, NULL);
    script_stream(&h.s, "{}", READY, script_output(&h.s, "STDOUT", "abcd", 4), EXIT_0, NULL);
    CHECK_INT(cws_download_begin(h.box, "/f", &o, &h.stream, &h.err), CWS_OK);
    for (i = 0; i < 20; i++) CHECK_INT(cws_client_poll(h.client, 0.001, &h.err), CWS_OK);
    CHECK_STR(h.bytes, "abcd");
    CHECK(!cws_op_done(cws_stream_op(h.stream)));
    cws_op_resume(cws_stream_op(h.stream));
    CHECK_INT(cws_op_wait(cws_stream_op(h.stream), 1, &h.err), CWS_OK);
    hostile_end(&h);
}

static cws_flow hostile_source(void *buffer, size_t size, size_t *count, void *user)
{
    hostile *h = (hostile *)user;
    *count = h->calls++ < 20 ? size : 0;
    memset(buffer, 'x', *count);
    return CWS_FLOW_CONTINUE;
}

/* The command exits with 0 before all of an upload was sent. */
static void hostile_exit_before_input(void)
{
    hostile h;
    cws_upload_opts o = {0};
    script_reply *r;
    hostile_begin(&h);
    o.source = hostile_source, o.user = &h;
    h.s.send_most = 70000;
    r = script_stream(&h.s, "{}", READY, NULL);
    r->body = NULL, r->size = r->room = 0;
    script_message(&h.s, r, READY);
    script_message(&h.s, r, EXIT_0);
    r->chunk = r->size - 9, r->gap = 8; /* the exit a little later */
    CHECK(cws_upload(h.box, "/f", &o, &h.err) != CWS_OK);
    hostile_end(&h);
}

/* An upload that fails says whether the file may be partial, and is CWS_ERR_FILE unless more
 * is known. */
static void hostile_upload_fails(void)
{
    hostile h;
    cws_upload_opts o = {0};
    int kind;
    for (kind = 0; kind < 3; kind++) {
        script_reply *r;
        cws_status status;
        hostile_begin(&h);
        o.source = hostile_source, o.user = &h;
        r = script_stream(&h.s, NULL, READY, NULL);
        if (kind == 1) r->end = CWS_END_RESET, r->note = 2;
        if (kind == 2) script_message(&h.s, r, "{\"error\":{\"message\":\"it broke\","
                                                "\"code\":\"STREAM_TRUNCATED\"}}");
        r->chunk = 7, r->gap = 10;
        status = cws_upload(h.box, "/f", &o, &h.err);
        if (!CHECK(status == (kind == 2 ? CWS_ERR_STREAM_TRUNCATED : CWS_ERR_FILE) &&
                   strstr(h.err.message, "partial")))
            printf("    %s: %s\n", cws_status_name(status), h.err.message);
        hostile_end(&h);
    }
}

/* Callbacks that free their own operation. */

static void hostile_free_own(hostile *h)
{
    cws_stream *stream = h->stream;
    cws_process *process = h->process;
    cws_op *op = h->op;
    h->stream = NULL, h->process = NULL, h->op = NULL;
    cws_stream_free(stream);
    cws_process_free(process);
    cws_op_free(op);
}

static cws_flow hostile_item_frees(const cws_item *item, void *user)
{
    hostile *h = (hostile *)user;
    char first = item->data[0];
    CHECK(++h->calls == 1);
    hostile_free_own(h);
    CHECK(item->data[0] == first && item->data[item->size] == '\0');
    return h->pause_at ? CWS_FLOW_PAUSE : CWS_FLOW_CONTINUE;
}

static cws_flow hostile_output_frees(cws_stream_id stream, const void *data, size_t size,
                                     void *user)
{
    hostile *h = (hostile *)user;
    char bytes[4];
    size_t n;
    (void)stream;
    CHECK(++h->calls == 1 && size);
    (void)cws_process_write(h->process, "x", 1, 0, NULL, NULL);
    (void)cws_process_read(h->process, CWS_STDOUT, bytes, 4, 0, &n, NULL);
    hostile_free_own(h);
    CHECK(*(const char *)data == 'a');
    return CWS_FLOW_CONTINUE;
}

static cws_flow hostile_source_frees(void *buffer, size_t size, size_t *count, void *user)
{
    hostile_free_own((hostile *)user);
    memset(buffer, 'x', size);
    *count = size;
    return CWS_FLOW_CONTINUE;
}

static void hostile_progress_frees(const cws_progress *progress, void *user)
{
    (void)progress;
    hostile_free_own((hostile *)user);
}

static void hostile_free_self(int kind)
{
    hostile h;
    cws_logs_opts logs = {0};
    cws_download_opts download = {0};
    cws_upload_opts upload = {0};
    cws_shell_opts shell = {0};
    int i;
    hostile_begin(&h);
    logs.user = download.user = upload.user = shell.user = &h;
    logs.on_item = download.on_item = hostile_item_frees;
    shell.on_output = hostile_output_frees;
    h.pause_at = kind & 1 && kind != 5;
    if (kind < 2) {
        hostile_logs(&h, "{}", hostile_entry(&h, "a\nb\nc", "s", "5"), NULL);
        CHECK_INT(cws_logs_begin(h.box, &logs, &h.stream, &h.err), CWS_OK);
    } else if (kind == 2) {
        script_stream(&h.s, "{}", READY, script_output(&h.s, "STDOUT", "abc", 3), EXIT_0, NULL);
        CHECK_INT(cws_shell_begin(h.box, NULL, &shell, &h.process, &h.err), CWS_OK);
    } else if (kind < 6) {
        script_stream(&h.s, "{}", READY, script_output(&h.s, "STDOUT", "8\n", 2), EXIT_0, NULL);
        script_stream(&h.s, "{}", READY, script_output(&h.s, "STDOUT", "abcd", 4),
                      script_output(&h.s, "STDOUT", "efgh", 4), EXIT_0, NULL)->gap = 150;
        if (kind == 5) download.on_item = hostile_item;
        if (kind == 5) download.on_progress = hostile_progress_frees;
        CHECK_INT(cws_download_begin(h.box, "/f", &download, &h.stream, &h.err), CWS_OK);
    } else {
        script_reply *r = script_stream(&h.s, NULL, READY, NULL);
        r->hold = true, r->times = -1; /* or it is not begun at all */
        upload.source = kind == 6 ? hostile_source_frees : hostile_source;
        if (kind == 7) upload.on_progress = hostile_progress_frees;
        h.s.send_most = 3000;
        CHECK_INT(cws_upload_begin(h.box, "/f", &upload, &h.op, &h.err), CWS_OK);
    }
    for (i = 0; i < 1000 && (h.stream || h.op || h.process); i++)
        CHECK_INT(cws_client_poll(h.client, 0.1, &h.err), CWS_OK);
    if (!CHECK(!h.stream && !h.op && !h.process)) printf("    kind %d\n", kind);
    CHECK_INT(cws_client_poll(h.client, 0, &h.err), CWS_OK);
    CHECK_INT(cws_client_pending(h.client), 0);
    if (test_g.bad) printf("    kind %d: %s\n", kind, script_calls(&h.s));
    hostile_end(&h);
}

/* What a command says in bytes that are no UTF-8, or cut within a character. */
static void hostile_stderr(void)
{
    hostile h;
    cws_bytes *bytes = NULL;
    char path[400] = "/", text[401] = "a";
    size_t i;
    hostile_begin(&h);
    for (i = 0; i < 120; i++) strcat(path, "\xc3\xa4"), strcat(text, "\xc3\xa4\xff");
    script_error(&h.s, "ReadFile", "resource_exhausted", "too large", NULL);
    script_stream(&h.s, "{}", READY, script_output(&h.s, "STDERR", text, strlen(text)),
                  "{\"exit\":{\"exitCode\":1}}", NULL);
    CHECK_INT(cws_read_file(h.box, path, NULL, &bytes, &h.err), CWS_ERR_FILE);
    CHECK(cwsi_utf8_valid(h.err.message, strlen(h.err.message)));
    CHECK(cwsi_utf8_valid(h.err.filepath, strlen(h.err.filepath)));
    CHECK(strlen(h.err.filepath) > 100);
    hostile_end(&h);
}

static void hostile_next_inside(const cws_progress *progress, void *user)
{
    hostile *h = (hostile *)user;
    cws_item item;
    cws_status status = cws_stream_next(h->stream, 0, &item, NULL);
    (void)progress;
    CHECK(!status || status == CWS_ERR_WAIT_TIMEOUT);
    if (!status && item.data) (void)hostile_item(&item, h);
    CHECK_INT(cws_stream_next(h->stream, 0.005, &item, NULL) == CWS_OK && item.data,
              false); /* nothing is moved here */
}

/* Items asked for inside the progress of the same download. */
static void hostile_next_in_progress(void)
{
    hostile h;
    cws_download_opts o = {0};
    cws_item item;
    cws_status status;
    script_reply *r;
    hostile_begin(&h);
    o.on_progress = hostile_next_inside, o.user = &h;
    script_stream(&h.s, "{}", READY, script_output(&h.s, "STDOUT", "8\n", 2), EXIT_0, NULL);
    r = script_stream(&h.s, "{}", READY, script_output(&h.s, "STDOUT", "abcd", 4),
                      script_output(&h.s, "STDOUT", "efgh", 4), EXIT_0, NULL);
    r->chunk = 7, r->gap = 150;
    CHECK_INT(cws_download_begin(h.box, "/f", &o, &h.stream, &h.err), CWS_OK);
    while (!(status = cws_stream_next(h.stream, -1, &item, &h.err)) && item.data)
        (void)hostile_item(&item, &h);
    CHECK_INT(status, CWS_OK);
    CHECK_STR(h.bytes, "abcdefgh");
    hostile_end(&h);
}

/* ---- shells */

static void hostile_shell_without_timeout(void)
{
    hostile h;
    script_reply *r;
    hostile_begin(&h);
    r = script_stream(&h.s, NULL, READY, NULL);
    r->end = CWS_END_TIMEOUT;
    CHECK_INT(cws_shell_begin(h.box, NULL, NULL, &h.process, &h.err), CWS_OK);
    CHECK(cws_status_is(cws_process_wait(h.process, -1, NULL, &h.err), CWS_ERR_TIMEOUT));
    if (!CHECK(!strstr(h.err.message, "9223372036854775"))) printf("    %s\n", h.err.message);
    hostile_end(&h);
}

/* The end of an input into which nothing was written. */
static void hostile_close_at_once(void)
{
    hostile h;
    hostile_begin(&h);
    script_stream(&h.s, "{}", READY, EXIT_0, NULL)->until_fin = 7;
    CHECK_INT(cws_shell_begin(h.box, NULL, NULL, &h.process, &h.err), CWS_OK);
    CHECK_INT(cws_process_close_stdin(h.process, &h.err), CWS_OK);
    CHECK_INT(cws_process_wait(h.process, -1, NULL, &h.err), CWS_OK);
    hostile_end(&h);
}

static void hostile_resizes(void)
{
    hostile h;
    int i;
    size_t waiting;
    hostile_begin(&h);
    script_stream(&h.s, NULL, READY, NULL)->hold = true;
    CHECK_INT(cws_shell_begin(h.box, NULL, NULL, &h.process, &h.err), CWS_OK);
    for (i = 0; i < 20; i++) CHECK_INT(cws_client_poll(h.client, 0.001, &h.err), CWS_OK);
    h.s.send_most = 1;
    for (i = 1; i < 1000; i++) {
        CHECK_INT(cws_process_resize(h.process, (uint32_t)i, 5, &h.err), CWS_OK);
        CHECK_INT(cws_client_poll(h.client, 0, &h.err), CWS_OK);
    }
    waiting = h.process->op.call->out.len - h.process->op.call->out_at;
    if (!CHECK(waiting < 5000)) printf("    %lu bytes wait\n", (unsigned long)waiting);
    hostile_end(&h);
}

static void hostile_tests(void)
{
    int i;
    for (i = 0; i < 8; i++)
        TEST("streams: a callback may free its own operation") hostile_free_self(i);
    TEST("streams: max_attempts counts what is lost without data between") hostile_attempts();
    TEST("streams: entries older than time") hostile_old_times();
    TEST("streams: an upload that fails tells of the file") hostile_upload_fails();
    TEST("streams: a pause with the last item of a log") hostile_pause_at_the_end();
    TEST("streams: an item lives until the next one is taken") hostile_item_at_hand();
    TEST("streams: a callback frees a stream that is waited for") hostile_freed_while_awaited();
    TEST("streams: offsets before a line that is too long") hostile_offset_before_long_line();
    TEST("streams: a resume that leaves something out") hostile_gap_behind_resume();
    TEST("streams: a resume that leaves something out of a line") hostile_gap_within_line();
    TEST("streams: the long name of a session") hostile_long_session();
    TEST("streams: an entry that does not say where it ends") hostile_no_offset();
    TEST("streams: places with timestamps") hostile_offset_with_timestamps();
    TEST("streams: a long line is split in linear time") hostile_split_speed();
    TEST("streams: an entry of a log without data") hostile_empty_entry();
    TEST("streams: a file of which the unary call brings a part") hostile_read_cut_by_unary();
    TEST("streams: a download of which the unary call brings a part")
        hostile_download_cut_by_unary();
    TEST("streams: an upload whose command ends too soon") hostile_exit_before_input();
    TEST("streams: words of a command that are no UTF-8") hostile_stderr();
    TEST("streams: items asked for inside the progress") hostile_next_in_progress();
    TEST("streams: a shell without a timeout times out") hostile_shell_without_timeout();
    TEST("streams: an input that ends at once") hostile_close_at_once();
    TEST("streams: a file larger than a message of this client") hostile_read_over_own_limit();
    TEST("streams: a pause with the last piece of a file") hostile_download_paused_at_the_end();
    TEST("streams: many resizes while nothing is taken") hostile_resizes();
}

#endif /* HOSTILE_H */
