/* SPDX-License-Identifier: MIT
 *
 * The libcurl transport against a real server on loopback (tests/gateway), over HTTP/1.1, HTTP/2
 * cleartext and TLS: the main job, then each way in which a server can misbehave. After every fault
 * the same client must be able to make the next call, and nothing may be left behind.
 *
 *     wire BACKEND-PROGRAM [part of a test's name]
 */
#define _GNU_SOURCE
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "gateway.h"
#include "test.h"

#include <pthread.h>
#include <time.h>

#define KEY "wire-test-key-4711"

typedef struct setup { /* one client and session at one of the server's addresses */
    const char *name, *url, *ca;
    bool h2; /* streams work */
    cws_http_version version;
    cws_client *client;
    cws_session *session;
    cws_sandbox *box;
    char trace[200000];
    size_t trace_len;
} setup;

static setup setups[3]; /* HTTP/1.1, h2c, TLS */

static void note_trace(const cws_trace_event *event, void *user)
{
    setup *s = (setup *)user;
    const char *text = event->json ? event->json : event->error ? event->error->message : "";
    int n = snprintf(s->trace + s->trace_len, sizeof(s->trace) - s->trace_len, "%s %s\n",
                     event->rpc, text);
    if (n > 0 && s->trace_len + (size_t)n < sizeof(s->trace)) s->trace_len += (size_t)n;
}

static void note_log(cws_log_level level, const char *line, void *user)
{
    setup *s = (setup *)user;
    int n = snprintf(s->trace + s->trace_len, sizeof(s->trace) - s->trace_len, "%d %s\n",
                     (int)level, line);
    if (n > 0 && s->trace_len + (size_t)n < sizeof(s->trace)) s->trace_len += (size_t)n;
}

static bool open_setup(setup *s, double retry_seconds, uint64_t max_memory)
{
    cws_client_opts o = {0};
    cws_session_opts so = {0};
    cws_error err;
    s->trace_len = 0;
    o.base_url = s->url;
    o.http_version = s->version;
    o.ca_file = s->ca;
    o.api_key = KEY;
    o.allocator = &test_allocator;
    o.max_memory_bytes = max_memory;
    o.poll_retry_budget_seconds = retry_seconds;
    o.no_environment = true;
    o.trace = note_trace;
    o.log = note_log;
    o.trace_user = o.log_user = s;
    if (!CHECK(cws_client_open(&o, &s->client, &err) == CWS_OK)) return false;
    so.client = s->client;
    so.close_timeout_seconds = 20;
    return CHECK(cws_session_open(&so, &s->session, &err) == CWS_OK);
}

static bool start_box(setup *s)
{
    cws_error err;
    if (!CHECK(cws_session_sandbox(s->session, NULL, &s->box, &err) == CWS_OK)) return false;
    if (CHECK(cws_sandbox_wait(s->box, 20, &err) == CWS_OK)) return true;
    printf("    %s\n", err.message);
    return false;
}

/* Close everything; the faults are over by then, so it must succeed and leave nothing. */
static void close_setup(setup *s)
{
    cws_error err;
    CHECK(server_faults("[]"));
    if (!CHECK(cws_session_close(s->session, &err) == CWS_OK)) printf("    %s\n", err.message);
    CHECK_INT(cws_session_sandbox_count(s->session), 0);
    cws_sandbox_free(s->box);
    cws_session_free(s->session);
    cws_client_free(s->client);
    s->box = NULL;
    CHECK_INT(test_alloc_live(), 0);
    CHECK(strstr(s->trace, KEY) == NULL);
}

static cws_status run(setup *s, const char *script, cws_result **result, cws_error *err)
{
    const char *argv[] = {"/bin/sh", "-c", NULL, NULL};
    cws_exec_opts o = {0};
    argv[2] = script;
    o.timeout_seconds = 3;
    *result = NULL;
    return cws_exec(s->box, argv, &o, result, err);
}

/* The client still works: the next command runs. */
static void check_usable(setup *s)
{
    cws_result *result;
    cws_error err;
    CHECK(server_faults("[]"));
    if (!CHECK(run(s, "echo still here", &result, &err) == CWS_OK)) printf("    %s\n", err.message);
    if (result) CHECK_STR(cws_result_stdout(result, NULL), "still here\n");
    cws_result_free(result);
}

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The name of a test at this address; one at a time, kept until the next. */
static const char *title(const setup *s, const char *text, const char *a, const char *b)
{
    static char names[2][300];
    static int turn;
    size_t n;
    turn = !turn; /* the harness still shows the last one while it takes the next */
    n = (size_t)snprintf(names[turn], sizeof(names[turn]), "%s: ", s->name);
    snprintf(names[turn] + n, sizeof(names[turn]) - n, text, a, b);
    return names[turn];
}

/* ---- everything goes well */

static void test_main_job(setup *s)
{
    static char data[300000];
    cws_result *result;
    cws_bytes *bytes;
    cws_sandbox_list *list;
    cws_error err;
    size_t i;
    for (i = 0; i < sizeof(data); i++) data[i] = (char)(i * 31 + i / 251);
    CHECK(server_forget());
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK_INT(run(s, "echo out; echo err >&2; exit 7", &result, &err), CWS_OK);
    if (result) {
        CHECK_INT(cws_result_exit_code(result), 7);
        CHECK_STR(cws_result_stdout(result, NULL), "out\n");
        CHECK_STR(cws_result_stderr(result, NULL), "err\n");
    }
    cws_result_free(result);
    CHECK_INT(cws_write_file(s->box, "/tmp/data", data, sizeof(data), NULL, &err), CWS_OK);
    CHECK_INT(cws_read_file(s->box, "/tmp/data", NULL, &bytes, &err), CWS_OK);
    CHECK_INT(cws_bytes_size(bytes), sizeof(data));
    if (bytes) CHECK(memcmp(cws_bytes_data(bytes, NULL), data, sizeof(data)) == 0);
    cws_bytes_free(bytes);
    CHECK_INT(cws_read_file(s->box, "/tmp/nothing", NULL, &bytes, &err), CWS_ERR_FILE);
    CHECK_STR(err.reason, "CWSANDBOX_FILE_NOT_FOUND");
    CHECK_STR(err.filepath, "/tmp/nothing");
    CHECK_INT(cws_session_list(s->session, NULL, &list, &err), CWS_OK);
    CHECK_INT(cws_sandbox_list_count(list), 1);
    cws_sandbox_list_free(list);
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
    const char *argv[] = {"sleep", "1", NULL};
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
    CHECK_INT(cws_wait_many(ops, 3, CWS_ALL, 20000, NULL, NULL, &err), CWS_OK);
    CHECK(now_s() - start < 2.5); /* far below the sum, whatever the machine does meanwhile */
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
    if (!ops || !open_setup(s, 0, 0) || !start_box(s)) return;
    for (i = 0; i < CALLS; i++) CHECK(!cws_sandbox_get_status_begin(s->box, &ops[i], &err));
    CHECK_INT(cws_wait_many(ops, CALLS, CWS_ALL, 60000, NULL, &n, &err), CWS_OK);
    CHECK_INT(n, CALLS);
    for (i = n = 0; i < CALLS; i++) {
        n += cws_op_result(ops[i], &err) == CWS_OK;
        cws_op_free(ops[i]);
    }
    CHECK_INT(n, CALLS);
    connections = server_stat("connections") - connections;
    printf("    %d calls in flight over %s: %ld connections\n", CALLS, s->name, connections);
    if (s != &setups[1]) CHECK(connections <= 40); /* h2c needs one each in old libcurl */
    free(ops);
    close_setup(s);
}

static void test_many_streams(setup *s)
{
    enum { STREAMS = 100 };
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
    CHECK_INT(cws_wait_many(ops, STREAMS, CWS_ALL, 60000, NULL, NULL, &err), CWS_OK);
    for (i = 0; i < STREAMS; i++) {
        const cws_result *r = NULL;
        if (cws_process_wait(p[i], 0, &r, &err) == CWS_OK &&
            strcmp(cws_result_stdout(r, NULL), "begin\nend\n") == 0)
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
    const char *argv[] = {"sleep", "2", NULL};
    cws_process *p;
    cws_error err;
    pthread_t thread;
    double start, idle;
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK_INT(cws_exec_begin(s->box, argv, NULL, &p, &err), CWS_OK);
    start = now_s();
    while (now_s() - start < 0.3) cws_client_poll(s->client, 50, &err); /* the command runs */
    pthread_create(&thread, NULL, wake_later, s->client);
    start = now_s();
    CHECK_INT(cws_client_poll(s->client, 10000, &err), CWS_OK);
    idle = now_s() - start;
    CHECK(idle < 1.5);
    pthread_join(thread, NULL);
    CHECK(cws_process_cancel(p));
    CHECK_INT(cws_process_wait(p, 1000, NULL, &err), CWS_ERR_CANCELLED);
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
    long before = server_stat("reset_by_client");
    if (!open_setup(s, 0, 0) || !start_box(s)) return;
    CHECK_INT(cws_exec_begin(s->box, argv, NULL, &p, &err), CWS_OK);
    start = now_s();
    while (now_s() - start < 0.3) cws_client_poll(s->client, 50, &err);
    cws_process_free(p); /* in mid-flight */
    cws_client_poll(s->client, 50, &err);
    CHECK(server_stat_becomes("reset_by_client", before + 1));
    check_usable(s);
    close_setup(s);
}

/* ---- faults: what a call answers when the server does this */

typedef struct fault {
    const char *what, *json; /* match is the call's path */
    cws_status expect, or_else;
    bool h1_only, h2_only;
} fault;

/* For a unary call that is never repeated by itself: WriteFile. */
static const fault unary_faults[] = {
    {"status 503 with a Connect error",
     "[{\"match\":\"WriteFile\",\"action\":\"status\",\"status\":503,\"headers\":"
     "{\"content-type\":\"application/json\"},"
     "\"body\":\"{\\\"code\\\":\\\"unavailable\\\",\\\"message\\\":\\\"busy\\\"}\"}]",
     CWS_ERR_UNAVAILABLE, CWS_ERR_UNAVAILABLE, false, false},
    {"502 with HTML", "[{\"match\":\"WriteFile\",\"action\":\"html502\"}]", CWS_ERR_UNAVAILABLE,
     CWS_ERR_UNAVAILABLE, false, false},
    {"a head and then nothing", "[{\"match\":\"WriteFile\",\"action\":\"hang_after_head\"}]",
     CWS_ERR_REQUEST_TIMEOUT, CWS_ERR_REQUEST_TIMEOUT, false, false},
    {"no answer at all", "[{\"match\":\"WriteFile\",\"action\":\"hang\"}]", CWS_ERR_REQUEST_TIMEOUT,
     CWS_ERR_REQUEST_TIMEOUT, false, false},
    {"a reset before the head", "[{\"match\":\"WriteFile\",\"action\":\"reset_before_head\"}]",
     CWS_ERR_TRANSPORT, CWS_ERR_PROTOCOL, false, false},
    {"a reply of another type", "[{\"match\":\"WriteFile\",\"action\":\"wrong_content_type\"}]",
     CWS_ERR_PROTOCOL, CWS_ERR_PROTOCOL, false, false},
    {"a redirect",
     "[{\"match\":\"WriteFile\",\"action\":\"redirect\",\"url\":\"http://127.0.0.1:9/\"}]",
     CWS_ERR_SANDBOX, CWS_ERR_SANDBOX, false, false},
};

/* For a read whose reply has a body. */
static const fault read_faults[] = {
    {"200 and garbage", "[{\"match\":\"ReadFile\",\"action\":\"garbage\"}]", CWS_ERR_PROTOCOL,
     CWS_ERR_PROTOCOL, false, false},
    {"a cut after 100 bytes",
     "[{\"match\":\"ReadFile\",\"action\":\"reset_after_bytes\",\"bytes\":100}]", CWS_ERR_TRANSPORT,
     CWS_ERR_PROTOCOL, false, false},
    {"endless zeros", "[{\"match\":\"ReadFile\",\"action\":\"huge\",\"gigabytes\":10}]",
     CWS_ERR_LIMIT, CWS_ERR_LIMIT, false, false},
};

/* For a stream: every one of them is an error, none is a success. */
static const fault stream_faults[] = {
    {"no end-of-stream message and no exit",
     "[{\"match\":\"StreamExec\",\"action\":\"close_after_bytes\",\"bytes\":0}]", CWS_ERR_PROTOCOL,
     CWS_ERR_TRANSPORT, false, true},
    {"a cut in mid-stream",
     "[{\"match\":\"StreamExec\",\"action\":\"reset_after_bytes\",\"bytes\":9}]", CWS_ERR_PROTOCOL,
     CWS_ERR_TRANSPORT, false, true},
    {"a garbage envelope", "[{\"match\":\"StreamExec\",\"action\":\"garbage_envelope\"}]",
     CWS_ERR_PROTOCOL, CWS_ERR_PROTOCOL, false, true},
    {"a stream that is HTML", "[{\"match\":\"StreamExec\",\"action\":\"html502\"}]",
     CWS_ERR_UNAVAILABLE, CWS_ERR_UNAVAILABLE, false, true},
    {"an early end of the server's side",
     "[{\"match\":\"StreamExec\",\"action\":\"half_close_early\"}]", CWS_ERR_PROTOCOL,
     CWS_ERR_TRANSPORT, false, true},
    {"no answer at all", "[{\"match\":\"StreamExec\",\"action\":\"hang\"}]", CWS_ERR_TIMEOUT,
     CWS_ERR_TIMEOUT, false, true},
};

static bool ask_write(setup *s, cws_status *status, cws_error *err)
{
    cws_file_opts o = {0};
    o.timeout_seconds = 2;
    *status = cws_write_file(s->box, "/tmp/f", "x", 1, &o, err);
    return true;
}

static bool ask_read(setup *s, cws_status *status, cws_error *err)
{
    cws_file_opts o = {0};
    cws_bytes *bytes = NULL;
    o.timeout_seconds = 20;
    *status = cws_read_file(s->box, "/tmp/big", &o, &bytes, err);
    if (*status) CHECK(bytes == NULL);
    cws_bytes_free(bytes);
    return true;
}

static bool ask_stream(setup *s, cws_status *status, cws_error *err)
{
    const char *argv[] = {"/bin/sh", "-c", "echo one; echo two", NULL};
    cws_exec_opts o = {0};
    cws_result *result = NULL;
    o.timeout_seconds = 0.5;
    *status = cws_exec(s->box, argv, &o, &result, err);
    cws_result_free(result);
    return true;
}

static void test_faults(setup *s, const fault *faults, size_t count,
                        bool (*ask)(setup *, cws_status *, cws_error *))
{
    static char big[100000];
    size_t i;
    for (i = 0; i < count; i++) {
        const fault *f = &faults[i];
        bool h2 = s->h2;
        if ((f->h1_only && h2) || (f->h2_only && !h2)) continue;
        TEST(title(s, "%s gives %s, in time, and the client stays usable", f->what,
                   cws_status_name(f->expect)))
        {
            cws_status status = CWS_OK;
            cws_error err;
            double start;
            if (!open_setup(s, CWS_NONE, 400u << 20) || !start_box(s)) break;
            CHECK_INT(cws_write_file(s->box, "/tmp/big", big, sizeof(big), NULL, &err), CWS_OK);
            CHECK(server_faults(f->json));
            start = now_s();
            ask(s, &status, &err);
            CHECK(now_s() - start < 19); /* the deadline of the slowest is 5.5 s, of a read 20 s */
            if (!CHECK(status == f->expect || status == f->or_else))
                printf("    %s: %s\n", cws_status_name(status), err.message);
            CHECK(err.message[0] != '\0');
            CHECK_STR(err.sandbox_id, cws_sandbox_id(s->box));
            CHECK(cws_client_memory(s->client).peak_bytes <= 400u << 20);
            check_usable(s);
            close_setup(s);
        }
    }
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
    CHECK_INT(cws_sandbox_wait(s->box, 20, &err), CWS_OK);
    CHECK_INT(server_count("/CreateSandbox"), 3); /* with one request id: one sandbox */
    {
        cws_sandbox_list *list;
        CHECK_INT(cws_session_list(s->session, NULL, &list, &err), CWS_OK);
        CHECK_INT(cws_sandbox_list_count(list), 1);
        cws_sandbox_list_free(list);
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
    CHECK_INT(cws_sandbox_get_status(s->box, &state, &err), CWS_OK);
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
        CHECK_INT(cws_sandbox_wait(box[i], 20, &err), CWS_OK);
    }
    CHECK(server_faults("[{\"match\":\"DeleteSandbox\",\"action\":\"status\",\"status\":500,"
                        "\"times\":1}]"));
    CHECK_INT(cws_session_close(s->session, &err), CWS_ERR_SANDBOX);
    CHECK(strncmp(err.message, "1 of", 4) == 0);
    CHECK(cws_session_failed(s->session, 0, &which, &why));
    CHECK(which == box[0] || which == box[1] || which == box[2]);
    CHECK(!cws_session_failed(s->session, 1, NULL, NULL));
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

typedef struct scenario {
    const char *promise;
    void (*run)(setup *s);
    bool h2_only;
} scenario;

static const scenario scenarios[] = {
    {"the main job, with large output and a 300 KB file", test_main_job, false},
    {"three commands in three sandboxes run at once", test_three_at_once, false},
    {"1000 unary calls in flight all end, over few connections", test_many_unary, false},
    {"100 streams in flight all end whole", test_many_streams, true},
    {"another thread wakes a poll", test_wakeup, false},
    {"a cancelled command's exchange ends on the wire", test_cancel_reaches_server, false},
    {"reads are repeated, writes are not", test_retries, false},
    {"a create whose answers were lost makes one sandbox", test_create_ambiguous, false},
    {"a command whose answer was lost is not sent again", test_never_twice, false},
    {"connections that died while idle are replaced", test_cut_connections, false},
    {"close names the sandbox that did not stop, and stops it when asked again",
     test_close_names_failures, false},
    {"no connection is a transport error that names the address", test_no_connection, false},
    {"a certificate that nobody vouches for ends the call, without a retry", test_untrusted, false},
};

int main(int argc, char **argv)
{
    size_t i, k;
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2 || !server_start(argv[1], KEY, NULL)) {
        printf("FAILED: the gateway did not start\n0 passed, 1 failed, 0 skipped\n");
        return 1;
    }
    test_init(argc - 1, argv + 1);
    printf("libcurl %s\n", curl->version);
    setups[0].name = "HTTP/1.1";
    setups[0].url = server_url_h1;
    setups[1].name = "h2c";
    setups[1].url = server_url_h2c;
    setups[1].version = CWS_HTTP_2_PRIOR_KNOWLEDGE;
    setups[2].name = "TLS";
    setups[2].url = server_url_tls;
    setups[2].ca = server_ca;
    setups[1].h2 = setups[2].h2 = true;
    for (k = 0; k < CWSI_COUNT(setups); k++) {
        setup *s = &setups[k];
        for (i = 0; i < CWSI_COUNT(scenarios); i++) {
            if (scenarios[i].h2_only && !s->h2) continue;
            if (scenarios[i].run == test_untrusted && !s->ca) continue;
            TEST(title(s, "%s", scenarios[i].promise, "")) { scenarios[i].run(s); }
        }
        if (s->ca) continue; /* the faults are those of HTTP/1.1 and HTTP/2 */
        test_faults(s, unary_faults, CWSI_COUNT(unary_faults), ask_write);
        test_faults(s, read_faults, CWSI_COUNT(read_faults), ask_read);
        test_faults(s, stream_faults, CWSI_COUNT(stream_faults), ask_stream);
    }
    TEST("at the end the backend has no exchange left open")
    {
        CHECK(server_stat_becomes("backend_exchanges", 0));
    }
    server_stop();
    return test_summary();
}
