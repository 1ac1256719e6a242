/* SPDX-License-Identifier: MIT
 *
 * A client, a session and a sandbox at one of the addresses of tests/gateway, and what the programs
 * that use them have in common. Include it after cwsandbox.h, with its implementation.
 *
 *     setup setups[SETUPS];
 *     if (!begin_setups(argc, argv, setups)) return 1;      // a server; argv[1]: its backend
 *     if (!open_setup(s, 0, 0) || !start_box(s)) return;    // in a test
 *     order_fault("/WriteFile", "\"action\":\"hang\"");     // see gateway/faults.mjs
 *     check_usable(s);                                      // faults off; the next command runs
 *     close_setup(s);                                       // everything was stopped and freed
 */
#ifndef SETUP_H
#define SETUP_H

#include "gateway.h"
#include "test.h"

#include <time.h>

#define KEY "wire-test-key-4711"
#define WANDB_KEY "wandb-test-key-0815"

typedef struct setup { /* one client and session at one of the server's addresses */
    const char *name, *url, *ca, *cert, *key;
    bool h2; /* streams work */
    cws_http_version version;
    cws_protocol protocol;
    cws_api_version api;
    const char *wandb_key; /* instead of the key */
    double status_seconds; /* for a status; 0: the default */
    cws_client *client;
    cws_session *session;
    cws_sandbox *box;
    bool quiet; /* no trace: it would be most of the work */
    char trace[200000];
    size_t trace_len;
} setup;

TEST_FN void note_trace(const cws_trace_event *event, void *user)
{
    setup *s = (setup *)user;
    const char *text = event->json ? event->json : event->error ? event->error->message : "";
    int n = snprintf(s->trace + s->trace_len, sizeof(s->trace) - s->trace_len, "%s %s\n",
                     event->rpc, text);
    if (n > 0 && s->trace_len + (size_t)n < sizeof(s->trace)) s->trace_len += (size_t)n;
}

TEST_FN void note_log(cws_log_level level, const char *line, void *user)
{
    setup *s = (setup *)user;
    int n = snprintf(s->trace + s->trace_len, sizeof(s->trace) - s->trace_len, "%d %s\n",
                     (int)level, line);
    if (n > 0 && s->trace_len + (size_t)n < sizeof(s->trace)) s->trace_len += (size_t)n;
}

/* Is it CWS_OK? If not, the error is shown. */
TEST_FN bool ok(cws_status status, const cws_error *err)
{
    if (CHECK_INT(status, CWS_OK)) return true;
    printf("    %s: %s\n", cws_status_name(err->status), err->message);
    return false;
}

/* Where its clients go, and how. */
TEST_FN cws_client_opts setup_opts(const setup *s)
{
    cws_client_opts o = {0};
    o.base_url = s->url;
    o.http_version = s->version;
    o.protocol = s->protocol;
    o.api_version = s->api;
    o.ca_file = s->ca;
    o.client_cert_file = s->cert;
    o.client_key_file = s->key;
    o.api_key = s->wandb_key ? NULL : KEY;
    o.wandb_api_key = s->wandb_key;
    o.allocator = &test_allocator;
    o.no_environment = true;
    return o;
}

TEST_FN bool open_setup(setup *s, double retry_seconds, uint64_t max_memory)
{
    cws_client_opts o = setup_opts(s);
    cws_session_opts so = {0};
    cws_error err;
    s->trace_len = 0;
    o.max_memory_bytes = max_memory;
    o.poll_retry_budget_seconds = retry_seconds;
    o.poll_rpc_timeout_seconds = s->status_seconds;
    o.trace = s->quiet ? NULL : note_trace;
    o.log = note_log;
    o.trace_user = o.log_user = s;
    if (!CHECK(cws_client_open(&o, &s->client, &err) == CWS_OK)) return false;
    so.client = s->client;
    so.close_timeout_seconds = 20;
    return CHECK(cws_session_open(&so, &s->session, &err) == CWS_OK);
}

TEST_FN bool start_box_with(setup *s, const cws_sandbox_opts *opts)
{
    cws_error err;
    if (!CHECK(cws_session_sandbox(s->session, opts, &s->box, &err) == CWS_OK)) return false;
    return ok(cws_sandbox_wait(s->box, wait_for(20), &err), &err);
}

TEST_FN bool start_box(setup *s) { return start_box_with(s, NULL); }

/* Close everything; the faults are over by then, so it must succeed and leave nothing. */
TEST_FN void close_setup(setup *s)
{
    cws_error err;
    CHECK(server_faults("[]"));
    (void)ok(cws_session_close(s->session, &err), &err);
    CHECK_INT(cws_session_sandbox_count(s->session), 0);
    cws_sandbox_free(s->box);
    cws_session_free(s->session);
    cws_client_free(s->client);
    s->box = NULL;
    s->client = NULL;
    CHECK_INT(test_alloc_live(), 0);
    CHECK(strstr(s->trace, KEY) == NULL && strstr(s->trace, WANDB_KEY) == NULL);
}

TEST_FN cws_status run_in(cws_sandbox *box, const char *script, double timeout_seconds,
                          cws_result **result, cws_error *err)
{
    const char *argv[] = {"/bin/sh", "-c", NULL, NULL};
    cws_exec_opts o = {0};
    argv[2] = script;
    o.timeout_seconds = timeout_seconds;
    *result = NULL;
    return cws_exec(box, argv, &o, result, err);
}

TEST_FN cws_status run(setup *s, const char *script, cws_result **result, cws_error *err)
{
    return run_in(s->box, script, 3, result, err);
}

/* The client still works: the next command runs. */
TEST_FN void check_usable(setup *s)
{
    cws_result *result;
    cws_error err;
    CHECK(server_faults("[]"));
    (void)ok(run(s, "echo still here", &result, &err), &err);
    if (result) CHECK_STR(cws_result_stdout(result), "still here\n");
    cws_result_free(result);
}

TEST_FN double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The name of a test at this address; one at a time, kept until the next. */
TEST_FN const char *title(const setup *s, const char *text, const char *a, const char *b)
{
    static char names[2][300];
    static int turn;
    size_t n;
    turn = !turn; /* the harness still shows the last one while it takes the next */
    n = (size_t)snprintf(names[turn], sizeof(names[turn]), "%s: ", s->name);
    snprintf(names[turn] + n, sizeof(names[turn]) - n, text, a, b);
    return names[turn];
}

/* Before 8.1, the second h2c request on a connection fails; in 8.2, large calls that share one of
 * HTTP/2, so calls use HTTP/1.1 there if they may. */
TEST_FN bool one_connection_each(const setup *s)
{
    unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
    if (version >> 8 == 0x0802)
        return s->version == CWS_HTTP_2 || s->protocol == CWS_PROTOCOL_GRPC;
    return !s->ca && s->h2 && version < 0x080100;
}

TEST_FN void order_fault(const char *match, const char *json)
{
    char text[1000];
    snprintf(text, sizeof text, "[{\"match\":\"%s\",%s}]", match, json);
    CHECK(server_faults(text));
}

TEST_FN cws_process *begin_input(setup *s, const char *script, double timeout_seconds)
{
    const char *argv[] = {"/bin/sh", "-c", NULL, NULL};
    cws_exec_opts o = {0};
    cws_process *p = NULL;
    cws_error err;
    argv[2] = script;
    o.with_stdin = true;
    o.timeout_seconds = timeout_seconds;
    CHECK_INT(cws_exec_begin(s->box, argv, &o, &p, &err), CWS_OK);
    return p;
}

/* The output of a command that ends well. */
TEST_FN void check_output(cws_process *p, const char *expected)
{
    const cws_result *result = NULL;
    cws_error err;
    (void)ok(cws_process_wait(p, 20, &result, &err), &err);
    if (result) CHECK_STR(cws_result_stdout(result), expected);
    cws_process_free(p);
}

enum { SETUPS = 5 };

/* The addresses of the server that runs now. */
TEST_FN void fill_setups(setup *setups)
{
    static const char *const names[SETUPS] = {"HTTP/1.1", "h2c", "TLS", "gRPC h2c", "gRPC TLS"};
    size_t k;
    for (k = 0; k < SETUPS; k++) {
        setup *s = &setups[k];
        bool tls = k == 2 || k == 4;
        s->name = names[k];
        s->url = tls ? server_url_tls : server_url_h1;
        s->ca = tls ? server_ca : NULL;
        s->h2 = k > 0;
        s->version = k == 1 ? CWS_HTTP_2 : CWS_HTTP_AUTO;
        s->protocol = k > 2 ? CWS_PROTOCOL_GRPC : CWS_PROTOCOL_DEFAULT;
    }
}

/* Start a server whose backend is the first argument; the second is the filter of tests. */
TEST_FN bool begin_setups(int argc, char **argv, setup *setups)
{
    if (argc < 2 || !server_start(argv[1], KEY, WANDB_KEY)) {
        printf("FAILED: the gateway did not start\n0 passed, 1 failed, 0 skipped\n");
        return false;
    }
    test_init(argc - 1, argv + 1);
    fill_setups(setups);
    return true;
}

#endif /* SETUP_H */
