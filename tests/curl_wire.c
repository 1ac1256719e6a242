/* SPDX-License-Identifier: MIT
 *
 * The libcurl transport against a real server on loopback (tests/gateway), whose protocol code is
 * not ours: Connect over HTTP/1.1, HTTP/2 cleartext and TLS, gRPC over the latter two. The main
 * job, then each way in which a server can misbehave. After every fault the same client must be
 * able to make the next call, its sandbox must be stoppable, and nothing may be left behind.
 *
 *     curl_wire BACKEND-PROGRAM [part of a test's name]
 */
#define _GNU_SOURCE
#define CWS_EXIT_GUARD
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "setup.h"

#include <pthread.h>

static setup setups[SETUPS];

/* ---- everything goes well */

static void test_main_job(setup *s)
{
    static char data[300000];
    cws_result *result;
    cws_bytes *bytes;
    cws_sandboxes *list;
    cws_error err;
    size_t i;
    for (i = 0; i < sizeof(data); i++) data[i] = (char)(i * 31 + i / 251);
    CHECK(server_forget());
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK_INT(run(s, "echo out; echo err >&2; exit 7", &result, &err), CWS_OK);
    if (result) {
        CHECK_INT(cws_result_exit_code(result), 7);
        CHECK_STR(cws_result_stdout(result), "out\n");
        CHECK_STR(cws_result_stderr(result), "err\n");
    }
    cws_result_free(result);
    CHECK_INT(cws_write_file(s->box, "/tmp/data", data, sizeof(data), NULL, &err), CWS_OK);
    CHECK_INT(cws_read_file(s->box, "/tmp/data", NULL, &bytes, &err), CWS_OK);
    CHECK_INT(cws_bytes_size(bytes), sizeof(data));
    if (bytes) CHECK(memcmp(cws_bytes_data(bytes), data, sizeof(data)) == 0);
    cws_bytes_free(bytes);
    CHECK_INT(cws_read_file(s->box, "/tmp/nothing", NULL, &bytes, &err), CWS_ERR_FILE);
    CHECK_STR(err.reason, "CWSANDBOX_FILE_NOT_FOUND");
    CHECK_STR(err.filepath, "/tmp/nothing");
    CHECK_INT(cws_session_list(s->session, NULL, &list, &err), CWS_OK);
    CHECK_INT(cws_sandboxes_count(list), 1);
    cws_sandboxes_free(list);
    CHECK_INT(run(s, "head -c 20000000 /dev/zero", &result, &err), CWS_OK);
    if (result && s->h2) {
        CHECK_INT(cws_result_bytes_produced(result, CWS_STDOUT), 20000000);
        CHECK(cws_result_truncated(result, CWS_STDOUT));
        CHECK_INT(cws_result_stdout_size(result), 16u << 20);
    }
    cws_result_free(result);
    close_setup(s);
    CHECK_INT(server_count("\"authorization\":\"Bearer (ok)\""), server_count("/coreweave."));
}

static void test_three_at_once(setup *s)
{
    const char *argv[] = {"sleep", "2", NULL};
    cws_process *p[3];
    cws_op *ops[3];
    cws_sandbox *box[3];
    cws_error err;
    double start;
    int i;
    if (!open_setup(s, 0, 0)) return;
    start = now_s();
    for (i = 0; i < 3; i++) {
        CHECK_INT(cws_session_sandbox(s->session, NULL, &box[i], &err), CWS_OK);
        CHECK_INT(cws_exec_begin(box[i], argv, NULL, &p[i], &err), CWS_OK);
        ops[i] = cws_process_op(p[i]);
    }
    CHECK_INT(cws_wait_many(ops, 3, CWS_ALL, 20, NULL, NULL, &err), CWS_OK);
    CHECK(now_s() - start < 5.5); /* below the sum, whatever the machine does meanwhile */
    for (i = 0; i < 3; i++) {
        CHECK(cws_process_poll(p[i], NULL));
        cws_process_free(p[i]);
    }
    CHECK_INT(cws_session_close(s->session, &err), CWS_OK);
    for (i = 0; i < 3; i++) cws_sandbox_free(box[i]);
    close_setup(s);
}

static void test_many_unary(setup *s)
{
    enum { CALLS = 1000 };
    cws_op **ops = (cws_op **)calloc(CALLS, sizeof(*ops));
    cws_error err;
    size_t i, n = 0;
    long connections = server_stat("connections");
    s->status_seconds = 100; /* a busy machine takes its time for 1000 connections */
    if (!ops || !open_setup(s, 0, 0) || !start_box(s)) return;
    s->status_seconds = 0;
    for (i = 0; i < CALLS; i++) CHECK(!cws_sandbox_get_state_begin(s->box, &ops[i], &err));
    CHECK_INT(cws_wait_many(ops, CALLS, CWS_ALL, 120, NULL, &n, &err), CWS_OK);
    CHECK_INT(n, CALLS);
    for (i = n = 0; i < CALLS; i++) {
        if (cws_op_status(ops[i], &err) == CWS_OK) n++;
        else if (n == i) printf("    the first that failed: %s\n", err.message);
        cws_op_free(ops[i]);
    }
    CHECK_INT(n, CALLS);
    connections = server_stat("connections") - connections;
    printf("    %d calls in flight over %s: %ld connections\n", CALLS, s->name, connections);
    if (!one_connection_each(s)) CHECK(connections <= 40);
    free(ops);
    close_setup(s);
}

static void test_many_streams(setup *s)
{
    enum { STREAMS = 200 };
    const char *argv[] = {"/bin/sh", "-c", "echo begin; sleep 1; echo end", NULL};
    cws_process *p[STREAMS];
    cws_op *ops[STREAMS];
    cws_error err;
    size_t i, good = 0;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    for (i = 0; i < STREAMS; i++) {
        CHECK_INT(cws_exec_begin(s->box, argv, NULL, &p[i], &err), CWS_OK);
        ops[i] = cws_process_op(p[i]);
    }
    CHECK_INT(cws_wait_many(ops, STREAMS, CWS_ALL, 60, NULL, NULL, &err), CWS_OK);
    for (i = 0; i < STREAMS; i++) {
        const cws_result *r = NULL;
        if (cws_process_wait(p[i], 0, &r, &err) == CWS_OK &&
            strcmp(cws_result_stdout(r), "begin\nend\n") == 0)
            good++;
        cws_process_free(p[i]);
    }
    CHECK_INT(good, STREAMS);
    close_setup(s);
}

static void *wake_later(void *client)
{
    usleep(150000);
    cws_client_wakeup((cws_client *)client);
    return NULL;
}

static void test_wakeup(setup *s)
{
    const char *argv[] = {"sleep", "20", NULL};
    cws_process *p;
    cws_error err;
    pthread_t thread;
    double start, idle;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK_INT(cws_exec_begin(s->box, argv, NULL, &p, &err), CWS_OK);
    start = now_s();
    while (now_s() - start < 0.3) cws_client_poll(s->client, 0.05, &err); /* the command runs */
    pthread_create(&thread, NULL, wake_later, s->client);
    start = now_s();
    CHECK_INT(cws_client_poll(s->client, 10, &err), CWS_OK);
    idle = now_s() - start;
    CHECK(idle < 8);
    pthread_join(thread, NULL);
    CHECK(cws_process_cancel(p));
    CHECK_INT(cws_process_wait(p, 1, NULL, &err), CWS_ERR_CANCELLED);
    cws_process_free(p);
    check_usable(s);
    close_setup(s);
}

static void test_cancel_reaches_server(setup *s)
{
    const char *argv[] = {"sleep", "30", NULL};
    cws_process *p;
    cws_error err;
    double start;
    const char *rpc = s->h2 ? "/StreamExec\"" : "/Exec\"";
    long before = server_stat("reset_by_client");
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK(server_forget());
    CHECK_INT(cws_exec_begin(s->box, argv, NULL, &p, &err), CWS_OK);
    start = now_s();
    while (now_s() - start < 20 && server_count(rpc) < 1) cws_client_poll(s->client, 0.05, &err);
    CHECK_INT(server_count(rpc), 1);
    cws_process_free(p); /* in mid-flight */
    cws_client_poll(s->client, 0.05, &err);
    CHECK(server_stat_reaches("reset_by_client", before + 1));
    check_usable(s);
    close_setup(s);
}

/* ---- faults: what a call answers when the server does this */

typedef enum ask { WRITE, READ, STREAM } ask;
static const char *const ask_rpc[] = {"/WriteFile", "/ReadFile", "/StreamExec"};
static const char *const ask_name[] = {"a write", "a read", "a command"};

enum { H1 = 1, H2 = 2 };

enum { NOTHING_ELSE = -1 };

/* What must come of it: with Connect, and with gRPC; another one may be all right too. */
typedef struct fault {
    ask ask;
    const char *what, *json;
    cws_status connect, grpc;
    int or_else; /* a status, CWS_OK too, or NOTHING_ELSE */
    int only;    /* over this version of HTTP; 0: both */
} fault;

#define REASON                                                                                     \
    "\"details\":[{\"type\":\"google.rpc.ErrorInfo\",\"value\":{\"reason\":"                       \
    "\"CWSANDBOX_FILE_PERMISSION_DENIED\",\"domain\":\"cwsandbox.com\"}}]"
#define CONNECT_JSON(code)                                                                         \
    "\"headers\":{\"content-type\":\"application/json\"},\"body\":\"{\\\"code\\\":\\\"" code       \
    "\\\",\\\"message\\\":\\\"busy\\\"}\""

/* A write is never repeated; reads are not either here. */
static const fault faults[] = {
    {WRITE, "an error with details", "\"action\":\"error\",\"code\":\"aborted\"," REASON,
     CWS_ERR_FILE, CWS_ERR_FILE, NOTHING_ELSE, 0},
    {WRITE, "an error in the head alone",
     "\"action\":\"error\",\"code\":\"aborted\",\"trailers_only\":true," REASON, CWS_ERR_FILE,
     CWS_ERR_FILE, NOTHING_ELSE, 0},
    {READ, "an error after the work was done",
     "\"action\":\"error\",\"code\":\"internal\",\"after\":1", CWS_ERR_SANDBOX, CWS_ERR_SANDBOX,
     NOTHING_ELSE, 0},
    {STREAM, "an error with details", "\"action\":\"error\",\"code\":\"aborted\"," REASON,
     CWS_ERR_FILE, CWS_ERR_FILE, NOTHING_ELSE, H2},
    {STREAM, "an error in the head alone",
     "\"action\":\"error\",\"code\":\"aborted\",\"trailers_only\":true," REASON, CWS_ERR_FILE,
     CWS_ERR_FILE, NOTHING_ELSE, H2},
    {STREAM, "an error after one message",
     "\"action\":\"error\",\"code\":\"unavailable\",\"after\":1", CWS_ERR_UNAVAILABLE,
     CWS_ERR_UNAVAILABLE, NOTHING_ELSE, H2},
    {WRITE, "status 503 with a Connect error",
     "\"action\":\"status\",\"status\":503," CONNECT_JSON("unavailable"), CWS_ERR_UNAVAILABLE,
     CWS_ERR_UNAVAILABLE, NOTHING_ELSE, 0},
    {WRITE, "a 502 with HTML", "\"action\":\"html502\"", CWS_ERR_UNAVAILABLE, CWS_ERR_UNAVAILABLE,
     NOTHING_ELSE, 0},
    {STREAM, "a 502 with HTML", "\"action\":\"html502\"", CWS_ERR_UNAVAILABLE, CWS_ERR_UNAVAILABLE,
     NOTHING_ELSE, H2},
    {WRITE, "a 401 without a body", "\"action\":\"status\",\"status\":401",
     CWS_ERR_AUTHENTICATION, CWS_ERR_AUTHENTICATION, NOTHING_ELSE, 0},
    {WRITE, "a 404 of a server that knows nothing of it", "\"action\":\"status\",\"status\":404",
     CWS_ERR_UNIMPLEMENTED, CWS_ERR_UNIMPLEMENTED, NOTHING_ELSE, 0},
    {WRITE, "a reply of another type", "\"action\":\"wrong_content_type\"", CWS_ERR_PROTOCOL,
     CWS_ERR_PROTOCOL, NOTHING_ELSE, 0},
    {STREAM, "a reply of another type", "\"action\":\"wrong_content_type\"", CWS_ERR_PROTOCOL,
     CWS_ERR_PROTOCOL, NOTHING_ELSE, H2},
    {WRITE, "a reply without a type", "\"action\":\"edit\",\"remove\":[\"content-type\"]",
     CWS_ERR_PROTOCOL, CWS_ERR_PROTOCOL, NOTHING_ELSE, 0},
    {WRITE, "a head and then nothing", "\"action\":\"hang_after_head\"", CWS_ERR_REQUEST_TIMEOUT,
     CWS_ERR_REQUEST_TIMEOUT, NOTHING_ELSE, 0},
    {WRITE, "no answer at all", "\"action\":\"hang\"", CWS_ERR_REQUEST_TIMEOUT,
     CWS_ERR_REQUEST_TIMEOUT, NOTHING_ELSE, 0},
    {WRITE, "nobody who reads", "\"action\":\"hang\",\"read\":false", CWS_ERR_REQUEST_TIMEOUT,
     CWS_ERR_REQUEST_TIMEOUT, NOTHING_ELSE, 0},
    {WRITE, "a head that is too late", "\"action\":\"delay\",\"head\":5000",
     CWS_ERR_REQUEST_TIMEOUT, CWS_ERR_REQUEST_TIMEOUT, NOTHING_ELSE, 0},
    {STREAM, "an end that is too late", "\"action\":\"delay\",\"end\":9000", CWS_OK, CWS_OK,
     NOTHING_ELSE, H2}, /* the exit decides */
    {STREAM, "no answer at all", "\"action\":\"hang\"", CWS_ERR_TIMEOUT, CWS_ERR_TIMEOUT,
     NOTHING_ELSE, H2},
    {STREAM, "a head and then nothing", "\"action\":\"hang_after_head\"", CWS_ERR_TIMEOUT,
     CWS_ERR_TIMEOUT, NOTHING_ELSE, H2},
    {WRITE, "a reset before the head", "\"action\":\"reset_before_head\"", CWS_ERR_TRANSPORT,
     CWS_ERR_PROTOCOL, CWS_ERR_PROTOCOL, 0},
    {WRITE, "a stream that is refused", "\"action\":\"reset_before_head\",\"code\":7",
     CWS_ERR_TRANSPORT, CWS_ERR_TRANSPORT, CWS_OK, 0}, /* it may be repeated */
    {WRITE, "a stream that is cancelled", "\"action\":\"reset_before_head\",\"code\":8",
     CWS_ERR_NOT_RUNNING, CWS_ERR_NOT_RUNNING, CWS_ERR_TRANSPORT, 0},
    {WRITE, "a call to be calm", "\"action\":\"reset_before_head\",\"code\":11",
     CWS_ERR_RESOURCE_EXHAUSTED, CWS_ERR_RESOURCE_EXHAUSTED, CWS_ERR_TRANSPORT, 0},
    {WRITE, "a connection that is closed", "\"action\":\"reset_before_head\",\"connection\":true",
     CWS_ERR_TRANSPORT, CWS_ERR_TRANSPORT, CWS_ERR_PROTOCOL, 0},
    {READ, "a connection that is reset",
     "\"action\":\"reset_after_bytes\",\"connection\":true,\"rst\":true", CWS_ERR_TRANSPORT,
     CWS_ERR_TRANSPORT, CWS_ERR_PROTOCOL, 0},
    {STREAM, "a connection that is reset",
     "\"action\":\"reset_after_bytes\",\"bytes\":9,\"connection\":true,\"rst\":true",
     CWS_ERR_TRANSPORT, CWS_ERR_TRANSPORT, CWS_ERR_PROTOCOL, H2},
    {READ, "200 and garbage", "\"action\":\"garbage\"", CWS_ERR_PROTOCOL, CWS_ERR_PROTOCOL,
     CWS_ERR_LIMIT, 0},
    {READ, "a garbage envelope", "\"action\":\"garbage_envelope\"", CWS_ERR_PROTOCOL,
     CWS_ERR_PROTOCOL, NOTHING_ELSE, 0},
    {READ, "a cut after 100 bytes", "\"action\":\"reset_after_bytes\",\"bytes\":100",
     CWS_ERR_TRANSPORT, CWS_ERR_PROTOCOL, CWS_ERR_PROTOCOL, 0},
    {READ, "a lost connection after 100 bytes",
     "\"action\":\"reset_after_bytes\",\"bytes\":100,\"connection\":true", CWS_ERR_TRANSPORT,
     CWS_ERR_TRANSPORT, CWS_ERR_PROTOCOL, 0},
    {READ, "a clean end after 100 bytes", "\"action\":\"close_after_bytes\",\"bytes\":100",
     CWS_ERR_PROTOCOL, CWS_ERR_TRANSPORT, NOTHING_ELSE, 0},
    {READ, "a head without a body", "\"action\":\"half_close_early\"", CWS_OK, CWS_ERR_TRANSPORT,
     NOTHING_ELSE, 0}, /* Connect: no bytes are the empty message */
    {READ, "no word on the outcome", "\"action\":\"missing_end\"", CWS_OK, CWS_ERR_TRANSPORT,
     NOTHING_ELSE, 0}, /* Connect: HTTP's 200 is that word */
    {READ, "endless zeros", "\"action\":\"huge\",\"gigabytes\":10", CWS_ERR_LIMIT,
     CWS_ERR_PROTOCOL, CWS_ERR_LIMIT, 0},
    {STREAM, "no end-of-stream message and no exit",
     "\"action\":\"close_after_bytes\",\"bytes\":0", CWS_ERR_PROTOCOL, CWS_ERR_PROTOCOL,
     CWS_ERR_TRANSPORT, H2},
    {STREAM, "a cut in mid-stream", "\"action\":\"reset_after_bytes\",\"bytes\":9",
     CWS_ERR_PROTOCOL, CWS_ERR_PROTOCOL, CWS_ERR_TRANSPORT, H2},
    {STREAM, "a garbage envelope", "\"action\":\"garbage_envelope\"", CWS_ERR_PROTOCOL,
     CWS_ERR_PROTOCOL, NOTHING_ELSE, H2},
    {STREAM, "an early end of the server's side", "\"action\":\"half_close_early\"",
     CWS_ERR_PROTOCOL, CWS_ERR_TRANSPORT, CWS_ERR_TIMEOUT, H2}, /* P1: an end may be missed */
    {STREAM, "an early end and a reset", "\"action\":\"half_close_early\",\"code\":0",
     CWS_ERR_PROTOCOL, CWS_ERR_PROTOCOL, CWS_ERR_TRANSPORT, H2},
    {STREAM, "endless empty messages", "\"action\":\"huge\",\"gigabytes\":10", CWS_ERR_PROTOCOL,
     CWS_ERR_TIMEOUT, CWS_ERR_TIMEOUT, H2},
};

/* What may not disturb a call. */
static const struct {
    const char *what, *json;
} oddities[] = {
    {"a reply in pieces of one byte", "\"action\":\"pieces\",\"size\":1"},
    {"a late head", "\"action\":\"delay\",\"head\":300"},
    {"pauses between messages, and before the end",
     "\"action\":\"delay\",\"message\":50,\"end\":300"},
    {"another head before the right one", "\"action\":\"early_hints\""},
    {"fields that nobody asked for",
     "\"action\":\"edit\",\"headers\":{\"x-a\":\"b\",\"grpc-message\":\"no\",\"x-long\":"
     "\"0123456789012345678901234567890123456789012345678901234567890123456789\"},"
     "\"trailers\":{\"x-b\":\"c\"}"},
    {"a connection that takes no more calls", "\"action\":\"goaway\""},
};

/* in_vain: no answer is to come, so it is not waited for long. */
static cws_status ask_for(setup *s, ask what, bool in_vain, cws_error *err)
{
    const char *argv[] = {"/bin/sh", "-c", "echo one; echo two", NULL};
    cws_exec_opts eo = {0};
    cws_file_opts fo = {0};
    cws_result *result = NULL;
    cws_bytes *bytes = NULL;
    cws_status status = CWS_OK;
    fo.timeout_seconds = what == READ ? 20 : in_vain ? 0.7 : 10;
    eo.timeout_seconds = in_vain ? 2 : 15;
    switch (what) {
    case WRITE: status = cws_write_file(s->box, "/tmp/f", "x", 1, &fo, err); break;
    case READ:
        status = cws_read_file(s->box, "/tmp/big", &fo, &bytes, err);
        CHECK((status == CWS_OK) == (bytes != NULL));
        break;
    case STREAM: status = cws_exec(s->box, argv, &eo, &result, err); break;
    }
    if (result) CHECK_STR(cws_result_stdout(result), "one\ntwo\n");
    cws_result_free(result);
    cws_bytes_free(bytes);
    return status;
}

static void test_faults(setup *s)
{
    static char big[100000];
    cws_error err;
    size_t i;
    uint64_t used = 0;
    cws_status status;
    bool grpc = s->protocol == CWS_PROTOCOL_GRPC;
    unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
    bool old = version < 0x080100, in_vain;
    bool vague = grpc && version >> 8 == 0x0801; /* 8.1 may not tell why a stream was reset */
    if (!open_setup(s, CWS_NONE, 400u << 20) || !start_box(s)) return;
    CHECK_INT(cws_write_file(s->box, "/tmp/big", big, sizeof(big), NULL, &err), CWS_OK);
    check_usable(s);
    used = cws_client_memory(s->client).used_bytes;
    for (i = 0; i < CWSI_COUNT(faults); i++) {
        const fault *f = &faults[i];
        cws_status expect = grpc ? f->grpc : f->connect;
        if (f->only && f->only != (s->h2 ? H2 : H1)) continue;
        TEST(title(s, "%s: %s", ask_name[f->ask], f->what))
        {
            double start = now_s();
            order_fault(ask_rpc[f->ask], f->json);
            err.message[0] = '\0';
            in_vain = cws_status_is(expect, CWS_ERR_TIMEOUT) || f->or_else == CWS_ERR_TIMEOUT;
            status = ask_for(s, f->ask, in_vain, &err);
            CHECK(now_s() - start < (f->ask == READ ? 19 : f->ask == WRITE ? 9 : 40));
            if (vague && expect == CWS_ERR_PROTOCOL && status == CWS_ERR_TRANSPORT) expect = status;
            if (old && !s->ca && f->ask == STREAM && strstr(f->json, "\"error\"") &&
                status == CWS_ERR_PROTOCOL)
                expect = status; /* an answer that overtakes the request may be lost */
            if (!CHECK(status == expect || (int)status == f->or_else))
                printf("    %s: %s\n", cws_status_name(status), err.message);
            if (status) CHECK(err.message[0] != '\0');
            if (status) CHECK_STR(err.sandbox_id, cws_sandbox_id(s->box));
            check_usable(s);
            CHECK_INT(cws_client_pending(s->client), 0);
            CHECK(cws_client_memory(s->client).used_bytes <= used);
        }
    }
    CHECK(cws_client_memory(s->client).peak_bytes <= 400u << 20);
    for (i = 0; i < CWSI_COUNT(oddities); i++)
        TEST(title(s, "is not disturbed by %s", oddities[i].what, ""))
        {
            ask what;
            for (what = WRITE; what <= STREAM; what = (ask)(what + 1)) {
                if (what == READ && strstr(oddities[i].json, "pieces")) continue; /* for hours */
                order_fault(what == STREAM && !s->h2 ? "/Exec" : ask_rpc[what], oddities[i].json);
                status = ask_for(s, what, false, &err);
                if (status == CWS_ERR_TRANSPORT && grpc && old && i == CWSI_COUNT(oddities) - 1)
                    continue; /* 7.88 loses trailers where the connection is closed behind them */
                if (!CHECK_INT(status, CWS_OK)) printf("    %s\n", err.message);
            }
        }
    TEST(title(s, "after all of that the sandbox is stopped and nothing is left", "", ""))
    {
        close_setup(s);
    }
    if (s->client) close_setup(s); /* another test was asked for */
}

/* Each code there is, with a text that needs escaping and a hint when to try again. */
static void test_codes(setup *s)
{
    char json[400];
    cws_error err;
    int code, only;
    if (!open_setup(s, CWS_NONE, 0) || !start_box(s)) return;
    for (code = 1; code <= 16; code++)
        for (only = 0; only < 2; only++) {
            snprintf(json, sizeof json,
                     "\"action\":\"error\",\"code\":%d,\"message\":\"100%% \\u00e9\\n\\\"x\\\"\","
                     "\"retry_after\":7,\"trailers_only\":%s," REASON,
                     code, only ? "true" : "false");
            order_fault("/WriteFile", json);
            CHECK(ask_for(s, WRITE, false, &err) != CWS_OK);
            CHECK_INT(err.rpc_code, code);
            CHECK(strstr(err.message, "100% \xc3\xa9") != NULL);
            CHECK_STR(err.reason, "CWSANDBOX_FILE_PERMISSION_DENIED");
            CHECK(err.has_retry_after);
            CHECK_INT(err.retry_after_ms, 7000);
        }
    close_setup(s);
}

/* ---- input */

static void test_input(setup *s)
{
    static char data[204800];
    char text[100];
    cws_process *p;
    cws_error err;
    size_t n = 0;
    int i;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    p = begin_input(s, "wc -c", 20);
    CHECK_INT(cws_process_write(p, data, sizeof(data), 10, NULL, &err), CWS_OK);
    for (i = 0; i < 3; i++) CHECK_INT(cws_process_close_stdin(p, &err), CWS_OK);
    CHECK_INT(cws_process_write(p, data, 1, 1, NULL, &err), CWS_ERR_EXECUTION);
    check_output(p, "204800\n");
    p = begin_input(s, "sort", 20);
    for (i = 9; i >= 0; i--) {
        snprintf(text, sizeof text, "line %d", i);
        CHECK_INT(cws_process_write_line(p, text, 10, &err), CWS_OK);
    }
    CHECK_INT(cws_process_close_stdin(p, &err), CWS_OK);
    check_output(p, "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\nline 6\nline 7\nline 8\n"
                    "line 9\n");
    p = begin_input(s, "while read x; do echo got $x; done", 20); /* a conversation */
    for (i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "%d", i);
        CHECK_INT(cws_process_write_line(p, text, 10, &err), CWS_OK);
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, sizeof text - 1, 10, &n, &err), CWS_OK);
        text[n] = '\0';
        CHECK(strncmp(text, "got ", 4) == 0 && atoi(text + 4) == i);
    }
    CHECK_INT(cws_process_close_stdin(p, &err), CWS_OK);
    check_output(p, "");
    p = begin_input(s, "exit 3", 20);
    while (!cws_process_poll(p, &i)) CHECK_INT(cws_client_poll(s->client, 1, &err), CWS_OK);
    CHECK_INT(i, 3);
    CHECK_INT(cws_process_write(p, "x", 1, 1, NULL, &err), CWS_ERR_EXECUTION);
    cws_process_free(p);
    p = begin_input(s, "cat", 2); /* the local wait is over before the command's time is */
    CHECK_INT(cws_process_wait(p, 0.3, NULL, &err), CWS_ERR_WAIT_TIMEOUT);
    cws_process_free(p);
    check_usable(s);
    close_setup(s);
}

/* Much in and out at once, on one thread, while nobody reads and while somebody does. */
static void test_through(setup *s)
{
    enum { SIZE = 8 << 20 };
    char *in = (char *)malloc(SIZE), *out = (char *)malloc(SIZE);
    cws_process *p;
    cws_error err;
    cws_status status = CWS_OK;
    const cws_result *result = NULL;
    size_t i, n, put = 0, got = 0;
    if (!in || !out || !open_setup(s, 0, 0) || !start_box(s)) return;
    for (i = 0; i < SIZE; i++) in[i] = (char)(i * 7 + i / 251);
    p = begin_input(s, "cat", 60);
    CHECK_INT(cws_process_write(p, in, SIZE, 60, NULL, &err), CWS_OK);
    CHECK_INT(cws_process_close_stdin(p, &err), CWS_OK);
    if (!CHECK_INT(cws_process_wait(p, 60, &result, &err), CWS_OK))
        printf("    %s\n", err.message);
    CHECK_INT(cws_result_stdout_size(result), SIZE);
    if (result && cws_result_stdout_size(result) == SIZE)
        CHECK(memcmp(cws_result_stdout(result), in, SIZE) == 0);
    cws_process_free(p);
    p = begin_input(s, "cat", 60);
    while (status == CWS_OK && got < SIZE) {
        if (put < SIZE) {
            status = cws_process_write(p, in + put, SIZE - put, 0, &n, &err);
            put += n;
            if (status == CWS_ERR_WAIT_TIMEOUT) status = CWS_OK;
            if (put == SIZE) CHECK_INT(cws_process_close_stdin(p, &err), CWS_OK);
        }
        if (!status)
            status = cws_process_read(p, CWS_STDOUT, out + got, SIZE - got, 20, &n, &err);
        got += n;
    }
    if (!CHECK_INT(status, CWS_OK)) printf("    %s\n", err.message);
    CHECK_INT(got, SIZE);
    CHECK(memcmp(in, out, SIZE) == 0);
    check_output(p, "");
    free(in);
    free(out);
    close_setup(s);
}

/* The server ends the stream while the input is open: an answer, not a wait for the deadline. Two
 * things libcurl cannot tell: a response that arrives in one piece with a reset, before 8.1 and
 * without TLS; and trailers, as long as our side is open and the server does not reset the stream
 * (those in Go do, this one does not). */
static void test_input_faults(setup *s)
{
    bool blind = s->protocol == CWS_PROTOCOL_GRPC || one_connection_each(s);
    static const char *const jsons[] = {
        "\"action\":\"error\",\"code\":\"aborted\"," REASON,
        "\"action\":\"error\",\"code\":\"aborted\",\"after\":1," REASON,
        "\"action\":\"html502\"", "\"action\":\"reset_before_head\"",
        "\"action\":\"reset_after_bytes\",\"bytes\":9",
        "\"action\":\"reset_after_bytes\",\"bytes\":0,\"connection\":true",
        "\"action\":\"garbage_envelope\""};
    cws_error err;
    size_t i;
    if (!open_setup(s, CWS_NONE, 0) || !start_box(s)) return;
    for (i = 0; i < CWSI_COUNT(jsons); i++) {
        double start = now_s();
        cws_process *p;
        cws_status status;
        order_fault("/StreamExec", jsons[i]);
        p = begin_input(s, "cat", blind ? 0.2 : 20);
        (void)cws_process_write(p, "x", 1, 0, NULL, &err);
        status = cws_process_wait(p, -1, NULL, &err);
        CHECK(status != CWS_OK);
        if (i < 2 && !blind && !CHECK_INT(status, CWS_ERR_FILE)) printf("    %s\n", err.message);
        if (!CHECK(now_s() - start < (blind ? 12 : 4.8))) /* 5: for want of `ready` */
            printf("    %s: %s\n", jsons[i], err.message);
        CHECK_INT(cws_process_write(p, "x", 1, 0, NULL, &err), CWS_ERR_EXECUTION);
        cws_process_free(p);
        check_usable(s);
    }
    close_setup(s);
}

/* ---- connections */

static void test_reuse(setup *s)
{
    cws_error err;
    cws_state state;
    int i;
    long before;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    before = server_stat("connections");
    for (i = 0; i < 50; i++) CHECK(!cws_sandbox_get_state(s->box, &state, &err));
    before = server_stat("connections") - before;
    if (!one_connection_each(s)) CHECK(before <= 1);
    close_setup(s);
}

/* A server that takes few streams at once, then one with tiny windows. */
static void test_narrow(setup *s)
{
    enum { CALLS = 30 };
    static char data[100000];
    cws_op *ops[CALLS];
    cws_error err;
    cws_bytes *bytes = NULL;
    size_t i, n = 0;
    for (i = 0; i < sizeof(data); i++) data[i] = (char)(i * 7 + i / 256);
    CHECK(server_settings("{\"maxConcurrentStreams\":2}"));
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    for (i = 0; i < CALLS; i++) CHECK(!cws_sandbox_get_state_begin(s->box, &ops[i], &err));
    CHECK_INT(cws_wait_many(ops, CALLS, CWS_ALL, 20, NULL, &n, &err), CWS_OK);
    for (i = 0; i < CALLS; i++) {
        CHECK_INT(cws_op_status(ops[i], &err), CWS_OK);
        cws_op_free(ops[i]);
    }
    close_setup(s);
    CHECK(server_settings("{\"maxConcurrentStreams\":1000,\"initialWindowSize\":100}"));
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK_INT(cws_write_file(s->box, "/tmp/data", data, sizeof(data), NULL, &err), CWS_OK);
    CHECK_INT(cws_read_file(s->box, "/tmp/data", NULL, &bytes, &err), CWS_OK);
    if (CHECK_INT(cws_bytes_size(bytes), sizeof(data)))
        CHECK(memcmp(cws_bytes_data(bytes), data, sizeof(data)) == 0);
    cws_bytes_free(bytes);
    check_usable(s);
    close_setup(s);
    CHECK(server_settings("{\"initialWindowSize\":65535}"));
}

/* A stream that the server did not take, and says so, is safe to repeat, even a write; but libcurl
 * does not always tell. */
static void test_refused(setup *s)
{
    cws_error err;
    cws_status status;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    check_usable(s);
    CHECK(server_forget());
    order_fault("/WriteFile", "\"action\":\"goaway\",\"refuse\":true");
    status = cws_write_file(s->box, "/tmp/f", "x", 1, NULL, &err);
    if (status) CHECK_INT(status, CWS_ERR_TRANSPORT);
    CHECK(server_count("/WriteFile") <= 2);
    close_setup(s);
}

/* Trailers of HTTP/1.1, which Connect has no use for, and long ones. */
static void test_long_trailers(setup *s)
{
    enum { SIZE = 3000 }; /* libcurl 7.88 takes 4 KB */
    char *json = (char *)malloc(SIZE + 200), *at;
    cws_error err;
    if (!json || !open_setup(s, CWS_NONE, 0) || !start_box(s)) return;
    at = json + sprintf(json, "[{\"match\":\"/WriteFile\",\"action\":\"edit\",\"remove\":"
                              "[\"content-length\"],\"trailers\":{\"x-long\":\"");
    memset(at, 'a', SIZE);
    strcpy(at + SIZE, "\"}}]");
    CHECK(server_faults(json));
    if (!CHECK_INT(ask_for(s, WRITE, false, &err), CWS_OK)) printf("    %s\n", err.message);
    check_usable(s);
    close_setup(s);
    free(json);
}

/* ---- credentials */

static void test_redirect(setup *s)
{
    char json[300];
    cws_error err;
    static const int statuses[] = {301, 302, 303, 307, 308};
    size_t i;
    if (!open_setup(s, CWS_NONE, 0) || !start_box(s)) return;
    CHECK(server_forget());
    for (i = 0; i < CWSI_COUNT(statuses); i++) {
        snprintf(json, sizeof json,
                 "\"action\":\"redirect\",\"status\":%d,\"location\":\"%s/elsewhere\"", statuses[i],
                 server_url_h1);
        order_fault("/WriteFile", json);
        CHECK_INT(ask_for(s, WRITE, false, &err), CWS_ERR_SANDBOX);
        CHECK_INT(err.http_status, statuses[i]);
    }
    CHECK_INT(server_count("/elsewhere"), 0);
    close_setup(s);
}

static void test_credentials(setup *s)
{
    setup other = {0};
    cws_client_opts o = {0};
    cws_client *c = NULL;
    cws_session_opts so = {0};
    cws_session *session = NULL;
    cws_sandbox *box = NULL;
    cws_error err;
    other.name = s->name, other.url = s->url, other.ca = s->ca, other.h2 = s->h2;
    other.version = s->version, other.protocol = s->protocol;
    other.wandb_key = WANDB_KEY;
    CHECK(server_forget());
    if (!open_setup(&other, 0, 0) || !start_box(&other)) return;
    check_usable(&other);
    close_setup(&other);
    CHECK_INT(server_count("\"x-wandb-api-key\":\"(ok)\""), server_count("/coreweave."));
    CHECK_INT(server_count("\"authorization\""), 0);
    o.base_url = s->url, o.ca_file = s->ca, o.http_version = s->version, o.protocol = s->protocol;
    o.api_key = "not the key";
    o.no_environment = true;
    if (CHECK(!cws_client_open(&o, &c, &err))) {
        so.client = c;
        CHECK(!cws_session_open(&so, &session, &err));
        CHECK(!cws_session_sandbox(session, NULL, &box, &err));
        CHECK_INT(cws_sandbox_start(box, &err), CWS_ERR_AUTHENTICATION);
        CHECK_STR(err.reason, "CWSANDBOX_AUTH_EXPIRED");
        CHECK_INT(cws_session_close(session, &err), CWS_OK);
        cws_sandbox_free(box);
        cws_session_free(session);
        cws_client_free(c);
    }
    o.base_url = "http://sandbox.invalid";
    o.ca_file = NULL;
    CHECK_INT(cws_client_open(&o, &c, &err), CWS_ERR_INVALID_ARGUMENT);
}

static void test_mutual_tls(setup *s)
{
    setup mutual = {0};
    cws_sandboxes *list = NULL;
    cws_error err;
    mutual.name = "mutual TLS", mutual.url = server_url_mtls, mutual.ca = server_ca;
    mutual.protocol = s->protocol;
    mutual.h2 = true;
    if (!open_setup(&mutual, CWS_NONE, 0)) return; /* no certificate of ours */
    CHECK_INT(cws_session_list(mutual.session, NULL, &list, &err), CWS_ERR_TRANSPORT);
    close_setup(&mutual);
    mutual.cert = server_client_cert, mutual.key = server_client_key;
    if (!open_setup(&mutual, 0, 0) || !start_box(&mutual)) return;
    check_usable(&mutual);
    close_setup(&mutual);
}

static void test_retries(setup *s)
{
    cws_error err;
    cws_bytes *bytes;
    long reads;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK_INT(cws_write_file(s->box, "/tmp/f", "hello", 5, NULL, &err), CWS_OK);
    CHECK(server_forget());
    CHECK(server_faults("[{\"match\":\"ReadFile\",\"action\":\"html502\",\"times\":2}]"));
    CHECK_INT(cws_read_file(s->box, "/tmp/f", NULL, &bytes, &err), CWS_OK); /* reads are repeated */
    cws_bytes_free(bytes);
    reads = server_count("/ReadFile");
    CHECK_INT(reads, 3);
    CHECK(server_faults("[{\"match\":\"WriteFile\",\"action\":\"html502\",\"times\":1}]"));
    CHECK_INT(cws_write_file(s->box, "/tmp/f", "x", 1, NULL, &err), CWS_ERR_UNAVAILABLE);
    CHECK_INT(server_count("/WriteFile"), 1); /* writes are not */
    close_setup(s);
}

static void test_create_ambiguous(setup *s)
{
    cws_error err;
    if (!open_setup(s, 0, 0)) return;
    CHECK(server_forget());
    CHECK(server_faults("[{\"match\":\"CreateSandbox\",\"action\":\"reset_after_bytes\","
                        "\"bytes\":3,\"times\":2}]"));
    CHECK_INT(cws_session_sandbox(s->session, NULL, &s->box, &err), CWS_OK);
    CHECK_INT(cws_sandbox_wait(s->box, wait_for(20), &err), CWS_OK);
    CHECK_INT(server_count("/CreateSandbox"), 3); /* with one request id: one sandbox */
    {
        cws_sandboxes *list;
        CHECK_INT(cws_session_list(s->session, NULL, &list, &err), CWS_OK);
        CHECK_INT(cws_sandboxes_count(list), 1);
        cws_sandboxes_free(list);
    }
    close_setup(s);
}

static void test_never_twice(setup *s)
{
    cws_error err;
    cws_result *result;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    check_usable(s); /* the connection is warm */
    CHECK(server_forget());
    CHECK(server_faults("[{\"match\":\"Exec\",\"action\":\"reset_before_head\"}]"));
    CHECK(run(s, "echo once", &result, &err) != CWS_OK); /* P5: not silently sent again */
    cws_result_free(result);
    CHECK_INT(server_count("Exec\""), 1);
    check_usable(s);
    close_setup(s);
}

static void test_cut_connections(setup *s)
{
    cws_error err;
    cws_state state;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK(server_cut());
    CHECK_INT(cws_sandbox_get_state(s->box, &state, &err), CWS_OK);
    CHECK_INT(state, CWS_STATE_RUNNING);
    check_usable(s);
    close_setup(s);
}

static void test_close_names_failures(setup *s)
{
    cws_sandbox *box[3];
    const cws_sandbox *which = NULL;
    const cws_error *why = NULL;
    cws_error err;
    int i;
    if (!open_setup(s, CWS_NONE, 0)) return;
    for (i = 0; i < 3; i++) {
        CHECK_INT(cws_session_sandbox(s->session, NULL, &box[i], &err), CWS_OK);
        CHECK_INT(cws_sandbox_wait(box[i], wait_for(20), &err), CWS_OK);
    }
    CHECK(server_faults("[{\"match\":\"DeleteSandbox\",\"action\":\"status\",\"status\":500,"
                        "\"times\":1}]"));
    CHECK_INT(cws_session_close(s->session, &err), CWS_ERR_SANDBOX);
    CHECK(strncmp(err.message, "1 of", 4) == 0);
    CHECK(cws_session_failed_at(s->session, 0, &which, &why));
    CHECK(which == box[0] || which == box[1] || which == box[2]);
    CHECK(!cws_session_failed_at(s->session, 1, NULL, NULL));
    CHECK_INT(cws_session_sandbox_count(s->session), 1);
    for (i = 0; i < 3; i++) cws_sandbox_free(box[i]);
    close_setup(s); /* the second close stops the one that is left */
}

static void test_untrusted(setup *s)
{
    setup doubtful = {0};
    cws_error err;
    doubtful.name = "no trust";
    doubtful.url = s->url;
    if (!s->ca) return;
    if (!open_setup(&doubtful, 0, 0)) return;
    CHECK_INT(cws_session_sandbox(doubtful.session, NULL, &doubtful.box, &err), CWS_OK);
    CHECK_INT(cws_sandbox_start(doubtful.box, &err), CWS_ERR_TRANSPORT);
    CHECK(!err.retryable);
    CHECK(strstr(err.message, "TLS") != NULL);
    CHECK_INT(cws_session_close(doubtful.session, &err), CWS_OK);
    cws_sandbox_free(doubtful.box);
    cws_session_free(doubtful.session);
    cws_client_free(doubtful.client);
    CHECK_INT(test_alloc_live(), 0);
}

static void test_no_connection(setup *s)
{
    setup dead = {0};
    cws_error err;
    (void)s;
    dead.name = "nobody listens";
    dead.url = "http://127.0.0.1:9";
    if (!open_setup(&dead, CWS_NONE, 0)) return;
    CHECK_INT(cws_session_sandbox(dead.session, NULL, &dead.box, &err), CWS_OK);
    CHECK_INT(cws_sandbox_start(dead.box, &err), CWS_ERR_TRANSPORT);
    CHECK(err.transport_code != 0);
    CHECK(err.retryable);
    CHECK(strstr(err.message, "127.0.0.1:9") != NULL);
    CHECK_INT(cws_session_close(dead.session, &err), CWS_OK); /* nothing was created */
    cws_sandbox_free(dead.box);
    cws_session_free(dead.session);
    cws_client_free(dead.client);
    CHECK_INT(test_alloc_live(), 0);
}

/* ---- a crash and the run after it */

#define STARTS 20

static cws_client *open_dialect(const setup *s, cws_api_version version)
{
    cws_client_opts o = {0};
    cws_client *c = NULL;
    cws_error err;
    o.base_url = s->url;
    o.http_version = s->version;
    o.protocol = s->protocol;
    o.ca_file = s->ca;
    o.api_key = KEY;
    o.no_environment = true;
    o.api_version = version;
    if (!CHECK_INT(cws_client_open(&o, &c, &err), CWS_OK)) printf("    %s\n", err.message);
    return c;
}

/* The process that dies when seven of its starts have ended, and the others are in the air. */
static void die_in_starts(const setup *s, cws_api_version version, const char *path)
{
    cws_session_opts so = {0};
    cws_session *session;
    cws_sandbox *box[STARTS];
    cws_op *start[STARTS];
    size_t i, n = 0;
    (void)alarm(30);
    so.client = open_dialect(s, version);
    so.journal = path;
    if (!so.client || cws_session_open(&so, &session, NULL)) _exit(1);
    for (i = 0; i < STARTS; i++)
        if (cws_session_sandbox(session, NULL, &box[i], NULL) ||
            cws_sandbox_start_begin(box[i], &start[i], NULL))
            _exit(2);
    while (n < 7) {
        if (cws_client_poll(so.client, 1, NULL)) _exit(3);
        for (n = i = 0; i < STARTS; i++) n += cws_op_done(start[i]);
    }
    (void)raise(SIGKILL);
}

static size_t journal_lines(const char *path, const char *kind)
{
    FILE *f = fopen(path, "r");
    char line[500];
    size_t n = 0;
    while (f && fgets(line, sizeof line, f)) n += strncmp(line, kind, strlen(kind)) == 0;
    if (f) fclose(f);
    return n;
}

static void test_crash(setup *s, cws_api_version version)
{
    cws_session_opts so = {0};
    cws_session *session = NULL;
    cws_sandboxes *list = NULL;
    cws_error err;
    char path[100];
    size_t stopped = 0, live;
    int status = 0;
    pid_t child;
    snprintf(path, sizeof path, "/tmp/cws-wire-journal-%ld", (long)getpid());
    (void)remove(path);
    CHECK(server_forget()); /* the first ones are made, but the answers come late */
    CHECK(server_faults("[{\"match\":\"/CreateSandbox\",\"action\":\"delay_head\",\"ms\":3000,"
                        "\"times\":13},{\"match\":\"/Start\",\"action\":\"delay_head\","
                        "\"ms\":3000,\"times\":13}]"));
    fflush(stdout);
    child = fork();
    if (child == 0) {
        die_in_starts(s, version, path);
        _exit(4);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(server_faults("[]"));
    live = journal_lines(path, "live ");
    CHECK_INT(journal_lines(path, "create "), STARTS);
    CHECK(live >= 7 && live < STARTS);
    so.client = open_dialect(s, version);
    so.journal = path;
    so.close_timeout_seconds = 30;
    if (CHECK_INT(cws_session_open(&so, &session, &err), CWS_OK)) {
        if (!CHECK_INT(cws_session_reap(session, &stopped, &err), CWS_OK))
            printf("    %s\n", err.message);
        CHECK(stopped >= live && stopped <= STARTS);
        CHECK_INT(cws_session_list(session, NULL, &list, &err), CWS_OK);
        CHECK_INT(cws_sandboxes_count(list), 0); /* the server has none left */
        cws_sandboxes_free(list);
        CHECK_INT(cws_session_close(session, &err), CWS_OK);
        cws_session_free(session);
    } else {
        printf("    %s\n", err.message);
    }
    cws_client_free(so.client);
    CHECK(access(path, F_OK) != 0);
    (void)remove(path);
    printf("    %lu were known, %lu were left\n", (unsigned long)live, (unsigned long)stopped);
}

/* The guarded process that waits for a command. */
static void wait_guarded(const setup *s, int told)
{
    static const char *const argv[] = {"sleep", "30", NULL};
    cws_session_opts so = {0};
    cws_session *session;
    cws_sandbox *box[3];
    cws_result *result = NULL;
    size_t i;
    (void)alarm(40);
    so.client = open_dialect(s, CWS_API_V1);
    if (!so.client || cws_session_open(&so, &session, NULL) ||
        cws_session_guard(session, true, NULL))
        _exit(1);
    for (i = 0; i < 3; i++)
        if (cws_session_sandbox(session, NULL, &box[i], NULL) ||
            cws_sandbox_wait(box[i], wait_for(20), NULL))
            _exit(2);
    if (write(told, "!", 1) != 1) _exit(3);
    (void)cws_exec(box[0], argv, NULL, &result, NULL);
}

static void test_guard(setup *s)
{
    cws_session_opts so = {0};
    cws_session *session = NULL;
    cws_sandboxes *list = NULL;
    cws_error err;
    char byte = 0;
    int told[2], status = 0;
    double from;
    pid_t child;
    fflush(stdout);
    if (!CHECK(pipe(told) == 0)) return;
    child = fork();
    if (child == 0) {
        wait_guarded(s, told[1]);
        _exit(4);
    }
    close(told[1]);
    CHECK_INT(read(told[0], &byte, 1), 1);
    close(told[0]);
    usleep(300000); /* now it waits for the command */
    from = now_s();
    CHECK_INT(kill(child, SIGTERM), 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(now_s() - from < 12); /* grace of 10 s at most, not the command's time */
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    so.client = open_dialect(s, CWS_API_V1);
    if (CHECK_INT(cws_session_open(&so, &session, &err), CWS_OK)) {
        CHECK_INT(cws_session_list(session, NULL, &list, &err), CWS_OK);
        CHECK_INT(cws_sandboxes_count(list), 0);
        cws_sandboxes_free(list);
        cws_session_free(session);
    }
    cws_client_free(so.client);
}

static void test_crash_v1(setup *s) { test_crash(s, CWS_API_V1); }
static void test_crash_v1beta2(setup *s) { test_crash(s, CWS_API_V1BETA2); }

typedef struct scenario {
    const char *promise;
    void (*run)(setup *s);
    enum { ALWAYS, WITH_HTTP1, WITH_HTTP2, WITH_TLS } when;
} scenario;

/* One call with a client of its own, while the n-th allocation fails. */
static cws_status call_once(setup *s, long n, bool *failed)
{
    cws_client_opts o = setup_opts(s);
    cws_client *c = NULL;
    cws_error err;
    cws_status status;
    test_alloc_fail_at(n, false);
    status = cws_client_open(&o, &c, &err);
    if (!status) status = cws_sandbox_delete(c, "nothing-there", true, &err);
    cws_client_free(c);
    *failed = test_alloc_failed();
    test_alloc_fail_at(-1, false);
    return status;
}

static void test_memory(setup *s)
{
    long n;
    bool failed = true;
    for (n = 0; failed && n < 500; n++) {
        cws_status status = call_once(s, n, &failed);
        if (!CHECK(status == CWS_OK || (failed && status == CWS_ERR_NO_MEMORY)))
            printf("    allocation %ld: %s\n", n, cws_status_name(status));
        CHECK_INT(test_alloc_live(), 0);
    }
    CHECK(n > 20 && n < 500);
}

/* Bytes for a command that was begun, while the n-th allocation fails. */
static void test_input_memory(setup *s)
{
    const char *argv[] = {"cat", NULL};
    static char data[5000];
    long n;
    bool failed = true;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    for (n = 0; failed && n < 300; n++) {
        cws_exec_opts o = {0};
        cws_process *p = NULL;
        cws_error err;
        cws_status status;
        o.with_stdin = true;
        o.timeout_seconds = 20;
        if (!ok(cws_exec_begin(s->box, argv, &o, &p, &err), &err)) break;
        test_alloc_fail_at(n, false);
        status = cws_process_write(p, data, sizeof(data), CWS_FOREVER, NULL, &err);
        if (!status) status = cws_process_close_stdin(p, &err);
        if (!status) status = cws_process_wait(p, CWS_FOREVER, NULL, &err);
        failed = test_alloc_failed();
        test_alloc_fail_at(-1, false);
        if (!CHECK(status == CWS_OK || failed)) printf("    %ld: %s\n", n, err.message);
        cws_process_free(p);
    }
    CHECK(n > 5 && n < 300);
    check_usable(s);
    close_setup(s);
}

static const scenario scenarios[] = {
    {"the main job, with large output and a 300 KB file", test_main_job, ALWAYS},
    {"three commands in three sandboxes run at once", test_three_at_once, ALWAYS},
    {"1000 unary calls in flight all end, over few connections", test_many_unary, ALWAYS},
    {"200 streams in flight all end whole", test_many_streams, WITH_HTTP2},
    {"another thread wakes a poll", test_wakeup, ALWAYS},
    {"a cancelled command's exchange ends on the wire", test_cancel_reaches_server, ALWAYS},
    {"reads are repeated, writes are not", test_retries, ALWAYS},
    {"a create whose answers were lost makes one sandbox", test_create_ambiguous, ALWAYS},
    {"a command whose answer was lost is not sent again", test_never_twice, ALWAYS},
    {"connections that died while idle are replaced", test_cut_connections, ALWAYS},
    {"close names the sandbox that did not stop, and stops it when asked again",
     test_close_names_failures, ALWAYS},
    {"no connection is a transport error that names the address", test_no_connection, ALWAYS},
    {"a certificate that nobody vouches for ends the call, without a retry", test_untrusted,
     WITH_TLS},
    {"a mutual TLS server wants a certificate, and gets it", test_mutual_tls, WITH_TLS},
    {"every code arrives with its text, details and hint", test_codes, ALWAYS},
    {"input: lines, a conversation, its end, and what comes too late", test_input, WITH_HTTP2},
    {"8 MiB through a command, nobody reading, then somebody", test_through, WITH_HTTP2},
    {"a stream that fails while its input is open says so at once", test_input_faults, WITH_HTTP2},
    {"calls one after the other share a connection", test_reuse, ALWAYS},
    {"few streams at once and tiny windows only make it slower", test_narrow, WITH_HTTP2},
    {"a write that the server refused to take is repeated, or fails", test_refused, ALWAYS},
    {"trailers that nobody asked for are passed over", test_long_trailers, WITH_HTTP1},
    {"no redirect is followed", test_redirect, ALWAYS},
    {"a process that was killed in the middle of 20 starts leaves nothing after a reap",
     test_crash_v1, WITH_HTTP1},
    {"likewise in v1beta2", test_crash_v1beta2, WITH_HTTP2},
    {"a guarded process that is ended in the middle of a command leaves no sandbox", test_guard,
     ALWAYS},
    {"a call while each allocation fails in turn: done, or no memory, and nothing is left",
     test_memory, ALWAYS},
    {"input while each allocation fails in turn: the client stays usable", test_input_memory,
     WITH_HTTP2},
    {"either credential is sent, a wrong one is told, none goes in the clear", test_credentials,
     ALWAYS},
};

int main(int argc, char **argv)
{
    size_t i, k;
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    if (!begin_setups(argc, argv, setups)) return 1;
    printf("libcurl %s\n", curl->version);
    for (k = 0; k < SETUPS; k++) {
        setup *s = &setups[k];
        for (i = 0; i < CWSI_COUNT(scenarios); i++) {
            if (scenarios[i].when == WITH_HTTP2 && !s->h2) continue;
            if (scenarios[i].when == WITH_HTTP1 && s->h2) continue;
            if (scenarios[i].when == WITH_TLS && !s->ca) continue;
            TEST(title(s, "%s", scenarios[i].promise, "")) { scenarios[i].run(s); }
        }
        test_faults(s);
    }
    TEST("at the end the backend has no exchange left open")
    {
        CHECK(server_stat_becomes("backend_exchanges", 0));
    }
    server_stop();
    return test_summary();
}
