/* SPDX-License-Identifier: MIT
 *
 * What the programs have in common that test the public functions over a scripted transport: the
 * ways to run a scenario, one function per operation that goes the way of the mode, common scripts.
 * Include it first; it includes the implementation.
 *
 *     EACH("a promise") {                       // once per mode: a new client, checked for leaks
 *         cws_sandbox *sb = api_running(t);
 *         script_ok(&t->s, "ReadFile", "{}");   // script.h
 *         CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
 *     }
 *
 * Scripts are written as v1 has them. A program that gives its functions to api_both_dialects runs
 * them in v1beta2, too: t->s.b2 tells where that makes a difference, and what is not there begins
 * with `if (api_v1_only(t, "why")) continue;`.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <sys/select.h>
#include <sys/time.h>

/* The library's only way to sleep; here it moves the clock of the script. */
#define select(n, r, w, e, tv) script_sleep(tv)
static int script_sleep(struct timeval *tv);
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"
#undef select

#include "test.h"

#include "script.h"

/* ---- the three ways to run a scenario -------------------------------------------------------- */

/* Blocking calls, callbacks, the same over gRPC, and a transport with the blocking tier. */
typedef enum api_mode { API_BLOCKING, API_ASYNC, API_GRPC, API_PERFORM, API_MODES } api_mode;

/* The dialect in which scenarios run that are written in v1: all of them twice, see words.h. */
static bool api_b2;
static int api_not_here; /* scenarios that v1beta2 has not */

typedef struct api {
    script s;
    api_mode mode;
    cws_client_opts copts;
    cws_session_opts sopts;
    cws_sandbox_opts defaults;
    cws_client *client;
    cws_session *session;
    cws_sandbox *boxes[300];
    size_t box_count;
    cws_error err;
    char *said; /* log and trace, all of it */
    size_t said_len, said_cap;
    size_t traces;
    size_t live, live_bytes; /* of the allocator, before */
} api;

TEST_FN void api_say(api *t, const char *text)
{
    size_t n = strlen(text);
    if (t->said_len + n + 2 > t->said_cap) {
        t->said_cap = (t->said_len + n + 2) * 2;
        t->said = (char *)realloc(t->said, t->said_cap);
        if (!t->said) abort();
    }
    memcpy(t->said + t->said_len, text, n);
    t->said_len += n;
    t->said[t->said_len++] = '\n';
    t->said[t->said_len] = '\0';
}

TEST_FN void api_log(cws_log_level level, const char *line, void *user)
{
    CHECK(level >= CWS_LOG_ERROR && level <= CWS_LOG_TRACE);
    CHECK(strchr(line, '\n') == NULL);
    api_say((api *)user, line);
}

TEST_FN void api_trace(const cws_trace_event *e, void *user)
{
    api *t = (api *)user;
    t->traces++;
    CHECK(e->rpc && e->rpc[0] == '/' && e->sandbox_id);
    CHECK(!e->error || !e->json);
    api_say(t, e->rpc);
    api_say(t, e->sandbox_id);
    if (e->json) api_say(t, e->json);
    if (e->error) api_say(t, e->error->message);
}

TEST_FN const char *api_name(const char *text, int mode)
{
    static char names[2][300]; /* the former one is still in use when a new one is made */
    static int turn;
    static const char *const modes[] = {"blocking", "async", "gRPC", "blocking transport"};
    turn = !turn;
    (void)snprintf(names[turn], sizeof(names[turn]), "%s%s [%s]", api_b2 ? "v1beta2: " : "", text,
                   modes[mode]);
    return names[turn];
}

TEST_FN bool api_async(const api *t)
{
    return t->mode == API_ASYNC || t->mode == API_GRPC;
}

TEST_FN api *api_new(int mode)
{
    api *t = (api *)calloc(1, sizeof(*t));
    if (!t) abort();
    t->mode = (api_mode)mode;
    t->live = test_alloc_live();
    t->live_bytes = test_alloc_live_bytes();
    script_init(&t->s, mode == API_PERFORM);
    t->s.grpc = mode == API_GRPC;
    t->s.b2 = t->s.v1_words = api_b2;
    t->copts.api_version = api_b2 ? CWS_API_V1BETA2 : CWS_API_DEFAULT;
    t->copts.protocol = mode == API_GRPC ? CWS_PROTOCOL_GRPC : CWS_PROTOCOL_CONNECT;
    t->copts.base_url = "http://localhost:1";
    t->copts.api_key = "the-secret-key";
    t->copts.transport = &t->s.transport;
    t->copts.allocator = &test_allocator;
    t->copts.no_environment = true;
    t->copts.log = api_log;
    t->copts.log_user = t;
    t->copts.trace = api_trace;
    t->copts.trace_user = t;
    t->copts.monotonic_ms = script_monotonic;
    t->copts.unix_ms = script_unix;
    t->copts.random = script_random;
    t->copts.hooks_user = &t->s;
    t->sopts.defaults = &t->defaults;
    return t;
}

/* Client and session with the options as they are now. */
TEST_FN cws_session *api_session(api *t)
{
    if (t->session) return t->session;
    if (!t->client && !CHECK_INT(cws_client_open(&t->copts, &t->client, &t->err), CWS_OK)) {
        printf("    %s\n", t->err.message);
        abort();
    }
    t->sopts.client = t->client;
    if (!CHECK_INT(cws_session_open(&t->sopts, &t->session, &t->err), CWS_OK)) {
        printf("    %s\n", t->err.message);
        abort();
    }
    return t->session;
}

TEST_FN cws_client *api_client(api *t)
{
    (void)api_session(t);
    return t->client;
}

/* Free everything; nothing may be left. */
TEST_FN api *api_end(api *t)
{
    size_t i;
    for (i = 0; i < t->box_count; i++) cws_sandbox_free(t->boxes[i]);
    cws_session_free(t->session);
    if (t->client) {
        CHECK_INT(cws_client_memory(t->client).used_bytes,
                  test_alloc_live_bytes() - t->live_bytes);
        cws_client_free(t->client);
        CHECK_INT(t->s.closes, 1);
    }
    CHECK_INT(test_alloc_live(), t->live);
    CHECK(!t->said || !strstr(t->said, "the-secret-key"));
    script_verify(&t->s);
    script_free(&t->s);
    free(t->said);
    free(t);
    return NULL;
}

#define API_RUN(text, mode)                                                                        \
    TEST(api_name(text, mode)) for (api *t = api_new(mode); t; t = api_end(t))
/* In every mode; where a stream or many exchanges at once are needed; where the mode is nothing. */
#define EACH(text) for (int api_m = 0; api_m < API_MODES; api_m++) API_RUN(text, api_m)
#define STREAMING(text) for (int api_m = 0; api_m < API_PERFORM; api_m++) API_RUN(text, api_m)
#define ONCE(text) API_RUN(text, API_ASYNC)
/* What is about the bytes of one protocol. */
#define API_CONNECT(text, first, end)                                                              \
    for (int api_m = first; api_m < (end); api_m++)                                                \
        if (api_m != API_GRPC) API_RUN(text, api_m)
#define EACH_CONNECT(text) API_CONNECT(text, 0, API_MODES)
#define STREAMING_CONNECT(text) API_CONNECT(text, 0, API_PERFORM)
#define GRPC(text) API_RUN(text, API_GRPC)

/* The running scenario is about something that only v1 has, or that v1beta2 does in another way: it
 * is not run there, nor counted as passed. To be the first thing in it, followed by `continue`. */
TEST_FN bool api_v1_only(const api *t, const char *why)
{
    if (!t->s.b2) return false;
    printf("not in %s: %s\n", test_g.name, why);
    api_not_here++;
    test_forget();
    return true;
}

/* The name of a container for an option; v1beta2 has none. */
TEST_FN const char *api_side(const api *t) { return t->s.b2 ? NULL : "side"; }

/* A request, and the same without that name where it was not given. */
#define SIDE ",\"container\":\"side\""
TEST_FN const char *api_sided(api *t, const char *json)
{
    char *copy = script_text(&t->s, json), *at = strstr(copy, SIDE);
    if (t->s.b2 && at) memmove(at, at + strlen(SIDE), strlen(at + strlen(SIDE)) + 1);
    return copy;
}

/* Runs all scenarios in v1, then in v1beta2; the outcome of main. */
TEST_FN int api_both_dialects(void (*const *tests)(void), size_t count)
{
    size_t i;
    for (i = 0; i < 2 * count; i++) {
        api_b2 = i >= count;
        tests[i % count]();
    }
    test_end();
    printf("%d scenarios are not those of v1beta2: not counted\n", api_not_here);
    return test_summary();
}

TEST_FN void api_count(cws_op *op, void *user)
{
    CHECK(cws_op_done(op));
    ++*(int *)user;
}

/* The asynchronous way to the end of an operation. */
TEST_FN cws_status api_drive(api *t, cws_op *op)
{
    int called = 0;
    cws_op_on_done(op, api_count, &called);
    CHECK_INT(called, 0);
    while (!cws_op_done(op)) {
        CHECK_INT(cws_op_status(op, NULL), CWS_ERR_PENDING);
        if (!CHECK_INT(cws_client_poll(t->client, 100, NULL), CWS_OK)) break;
    }
    CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
    CHECK_INT(called, 1);
    return cws_op_status(op, &t->err);
}

TEST_FN cws_status api_finish(api *t, cws_status begun, cws_op *op)
{
    if (begun) {
        CHECK(op == NULL);
        CHECK_INT(t->err.status, begun);
        return begun;
    }
    begun = api_drive(t, op);
    cws_op_free(op);
    return begun;
}

/* One function per operation; the outcome's error is in t->err. */

TEST_FN cws_status api_start(api *t, cws_sandbox *sb)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_sandbox_start(sb, &t->err);
    begun = cws_sandbox_start_begin(sb, &op, &t->err);
    return api_finish(t, begun, op);
}

TEST_FN cws_status api_wait(api *t, cws_sandbox *sb, double seconds)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_sandbox_wait(sb, wait_for(seconds), &t->err);
    begun = cws_sandbox_wait_begin(sb, wait_for(seconds), &op, &t->err);
    return api_finish(t, begun, op);
}

TEST_FN cws_status api_complete(api *t, cws_sandbox *sb, const cws_wait_opts *o)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_sandbox_wait_until_complete(sb, o, &t->err);
    begun = cws_sandbox_wait_until_complete_begin(sb, o, &op, &t->err);
    return api_finish(t, begun, op);
}

TEST_FN cws_status api_status(api *t, cws_sandbox *sb, cws_state *state)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_sandbox_get_state(sb, state, &t->err);
    begun = cws_sandbox_get_state_begin(sb, &op, &t->err);
    begun = api_finish(t, begun, op);
    if (state) *state = cws_sandbox_state(sb);
    return begun;
}

TEST_FN cws_status api_stop(api *t, cws_sandbox *sb, const cws_stop_opts *o)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_sandbox_stop(sb, o, &t->err);
    begun = cws_sandbox_stop_begin(sb, o, &op, &t->err);
    return api_finish(t, begun, op);
}

TEST_FN cws_status api_delete(api *t, const char *id, bool missing_ok)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_sandbox_delete(api_client(t), id, missing_ok, &t->err);
    begun = cws_sandbox_delete_begin(api_client(t), id, missing_ok, &op, &t->err);
    return api_finish(t, begun, op);
}

TEST_FN cws_status api_exec(api *t, cws_sandbox *sb, const char *const *argv,
                            const cws_exec_opts *o, cws_result **out)
{
    cws_process *p = NULL;
    cws_status status;
    *out = NULL;
    status = cws_exec_begin(sb, argv, o, &p, &t->err);
    if (status) {
        CHECK(p == NULL);
        return status;
    }
    CHECK(!cws_process_poll(p, NULL));
    if (api_async(t)) status = api_drive(t, cws_process_op(p));
    else status = cws_process_wait(p, -1, NULL, &t->err); /* cws_exec gives no partial result */
    *out = cws_process_take_result(p);
    cws_process_free(p);
    return status;
}

TEST_FN cws_status api_read(api *t, cws_sandbox *sb, const char *path, const cws_file_opts *o,
                            cws_bytes **out)
{
    cws_op *op = NULL;
    cws_status status;
    if (!api_async(t)) return cws_read_file(sb, path, o, out, &t->err);
    *out = NULL;
    status = cws_read_file_begin(sb, path, o, &op, &t->err);
    if (status) return status;
    status = api_drive(t, op);
    *out = cws_op_take_bytes(op);
    CHECK(cws_op_take_bytes(op) == NULL);
    cws_op_free(op);
    return status;
}

TEST_FN cws_status api_write(api *t, cws_sandbox *sb, const char *path, const void *data,
                             size_t size, const cws_file_opts *o)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_write_file(sb, path, data, size, o, &t->err);
    begun = cws_write_file_begin(sb, path, data, size, o, &op, &t->err);
    return api_finish(t, begun, op);
}

TEST_FN cws_status api_list(api *t, const cws_session_list_opts *o, cws_sandboxes **out)
{
    cws_op *op = NULL;
    cws_status status;
    if (!api_async(t)) return cws_session_list(api_session(t), o, out, &t->err);
    *out = NULL;
    status = cws_session_list_begin(api_session(t), o, &op, &t->err);
    if (status) return status;
    status = api_drive(t, op);
    *out = cws_op_take_sandboxes(op);
    cws_op_free(op);
    return status;
}

TEST_FN cws_status api_from_id(api *t, const char *id, bool no_adopt, cws_sandbox **out)
{
    cws_op *op = NULL;
    cws_status status;
    *out = NULL;
    if (!api_async(t)) {
        status = cws_session_from_id(api_session(t), id, !no_adopt, out, &t->err);
    } else {
        status = cws_session_from_id_begin(api_session(t), id, !no_adopt, &op, &t->err);
        if (status) return status;
        status = api_drive(t, op);
        *out = cws_op_take_sandbox(op);
        cws_op_free(op);
    }
    if (*out) t->boxes[t->box_count++] = *out;
    return status;
}

TEST_FN cws_status api_close(api *t)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_session_close(api_session(t), &t->err);
    begun = cws_session_close_begin(api_session(t), &op, &t->err);
    return api_finish(t, begun, op);
}

/* ---- common scripts -------------------------------------------------------------------------- */

#define BOX_ID(id, state) "{\"sandboxId\":\"" id "\",\"status\":{\"state\":\"STATE_" state "\"}}"
#define BOX(state) BOX_ID("sb-1", state)
#define DELETED(state) "{\"sandbox\":" BOX(state) "}"
#define EXITED(state, code)                                                                        \
    "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_" state "\",\"exitCode\":" #code "}}"
#define HAS(text, part) CHECK(strstr((text), (part)) != NULL)
#define HAS_NOT(text, part) CHECK(strstr((text), (part)) == NULL)

/* A stop that is answered with the end. In v1beta2 its answer says nothing: a Get brings it. */
TEST_FN script_reply *api_ended(api *t, const char *id, const char *state)
{
    char box[200], json[240];
    script_reply *r;
    (void)snprintf(box, sizeof(box),
                   "{\"sandboxId\":\"%s\",\"status\":{\"state\":\"STATE_%s\"}}", id, state);
    (void)snprintf(json, sizeof(json), "{\"sandbox\":%s}", box);
    r = script_ok(&t->s, "DeleteSandbox", json);
    if (t->s.b2) script_ok(&t->s, "GetSandbox", box);
    return r;
}

/* The calls, without those Gets. */
TEST_FN const char *api_calls(api *t)
{
    static const char get[] = "DeleteSandbox GetSandbox";
    char *at = (char *)script_calls(&t->s);
    while (t->s.b2 && (at = strstr(at, get)) != NULL)
        memmove(at + 13, at + sizeof(get) - 1, strlen(at + sizeof(get) - 1) + 1);
    return t->s.names;
}

static const char *const api_true[] = {"true", NULL};

/* An unstarted sandbox of the session; freed at the end. */
TEST_FN cws_sandbox *api_box(api *t, const cws_sandbox_opts *o)
{
    cws_sandbox *sb = NULL;
    if (!CHECK_INT(cws_session_sandbox(api_session(t), o, &sb, &t->err), CWS_OK)) {
        printf("    %s\n", t->err.message);
        abort();
    }
    t->boxes[t->box_count++] = sb;
    return sb;
}

/* The create request of a sandbox with these options, as JSON; made by starting it. */
TEST_FN const char *api_created(api *t, const cws_sandbox_opts *o)
{
    cws_sandbox *sb = api_box(t, o);
    size_t n = script_count(&t->s, "CreateSandbox");
    script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
    CHECK_INT(api_start(t, sb), CWS_OK);
    return script_json(&t->s, "CreateSandbox", n);
}

/* A sandbox whose create was answered with this. The record of calls is empty. */
TEST_FN cws_sandbox *api_started_id(api *t, const char *json)
{
    cws_sandbox *sb = api_box(t, NULL);
    script_ok(&t->s, "CreateSandbox", json);
    CHECK_INT(api_start(t, sb), CWS_OK);
    t->s.call_count = 0;
    return sb;
}

/* A sandbox that was created, and is not known to run yet; the record of calls is empty. */
TEST_FN cws_sandbox *api_started(api *t)
{
    return api_started_id(t, BOX("PENDING"));
}

TEST_FN cws_sandbox *api_running(api *t)
{
    cws_sandbox *sb = api_started(t);
    script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
    CHECK_INT(api_wait(t, sb, 0), CWS_OK);
    t->s.call_count = 0;
    return sb;
}

/* Attach to a sandbox in this state. */
TEST_FN cws_sandbox *api_found(api *t, const char *json)
{
    cws_sandbox *sb = NULL;
    script_ok(&t->s, "GetSandbox", json);
    CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
    t->s.call_count = 0;
    if (!sb) abort();
    return sb;
}

/* Take a sandbox out of the scenario's hands: it is freed now. */
TEST_FN void api_drop(api *t, cws_sandbox *sb)
{
    size_t i;
    for (i = 0; i < t->box_count; i++)
        if (t->boxes[i] == sb) t->boxes[i] = t->boxes[--t->box_count];
    cws_sandbox_free(sb);
}

/* Poll until nothing is in flight any more. */
TEST_FN void api_settle(api *t)
{
    int i;
    for (i = 0; i < 100000 && cws_client_pending(t->client); i++)
        CHECK_INT(cws_client_poll(t->client, 100, NULL), CWS_OK);
    CHECK_INT(cws_client_pending(t->client), 0);
}

/* The body of an answer to a command, by stream or unary as the mode wants it. */
TEST_FN void api_answer(api *t, int code, const char *out, const char *err)
{
    char json[600];
    cwsi_str o = cwsi_str_of(out), e = cwsi_str_of(err);
    if (t->mode == API_PERFORM) {
        (void)snprintf(json, sizeof(json),
                       "{\"stdout\":\"%s\",\"stderr\":\"%s\",\"exitCode\":%d,"
                       "\"stdoutBytesProduced\":\"%u\",\"stderrBytesProduced\":\"%u\"}",
                       grpc_base64(&t->s.arena, o), grpc_base64(&t->s.arena, e), code,
                       (unsigned)o.len, (unsigned)e.len);
        script_ok(&t->s, "Exec", json);
        return;
    }
    (void)snprintf(json, sizeof(json), "{\"exit\":{\"exitCode\":%d}}", code);
    script_stream(&t->s, "{}", "{\"ready\":{}}", script_output(&t->s, "STDOUT", out, o.len),
                  script_output(&t->s, "STDERR", err, e.len), json, NULL);
}

TEST_FN const char *api_exec_rpc(const api *t)
{
    return t->mode == API_PERFORM ? "Exec" : "StreamExec";
}

/* ---- commands -------------------------------------------------------------------------------- */

#define OUT_A "{\"output\":{\"stream\":\"STREAM_STDOUT\",\"data\":\"YQ==\"}}"  /* a */
#define OUT_B "{\"output\":{\"stream\":\"STREAM_STDOUT\",\"data\":\"YmI=\"}}"  /* bb */
#define ERR_E "{\"output\":{\"stream\":\"STREAM_STDERR\",\"data\":\"ZQ==\"}}"  /* e */
#define EXIT(code) "{\"exit\":{\"exitCode\":" #code "}}"

/* What the last command brought, as "exit|out|err" or "-|out|err". */
TEST_FN const char *api_shown(const cws_result *r)
{
    static char text[1000];
    char code[16] = "-";
    if (!r) return "(none)";
    if (cws_result_has_exit_code(r))
        (void)snprintf(code, sizeof(code), "%d", (int)cws_result_exit_code(r));
    (void)snprintf(text, sizeof(text), "%s|%s|%s", code, cws_result_stdout(r),
                   cws_result_stderr(r));
    return text;
}

/* A reply that says ready, and the rest once the input has ended. */
TEST_FN script_reply *api_answer_at_eof(api *t, const char *out, int code)
{
    char json[80];
    script_reply *r = script_stream(&t->s, NULL, "{\"ready\":{}}", NULL);
    r->until_fin = r->size;
    if (out) script_message(&t->s, r, out);
    (void)snprintf(json, sizeof(json), "{\"exit\":{\"exitCode\":%d}}", code);
    script_message(&t->s, r, json);
    script_envelope(&t->s, r, 2, "{}", 2);
    return r;
}

/* A file of this machine. */
TEST_FN void put_file(const char *path, const char *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
}

TEST_FN void api_fill(char *data, size_t size)
{
    size_t i;
    for (i = 0; i < size; i++) data[i] = (char)(i * 31 + i / 253);
}

#endif /* HARNESS_H */
