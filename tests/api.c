/* SPDX-License-Identifier: MIT
 *
 * The public functions over a scripted transport and a clock that only moves when somebody waits.
 * A scenario is written once and runs up to three times: blocking calls; X_begin, poll and
 * callback; blocking calls over a blocking transport. The names tell the promise; numbers are those
 * of the lists of test cases that the service's own clients were written against (L: lifecycle,
 * EX RD FL RW: commands and files). Usage:
 *
 *     api [part of a test's name]
 */
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

#include <math.h>

/* ---- the three ways to run a scenario --------------------------------------------------------- */

typedef enum api_mode { API_BLOCKING, API_ASYNC, API_PERFORM, API_MODES } api_mode;

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

static void api_say(api *t, const char *text)
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

static void api_log(cws_log_level level, const char *line, void *user)
{
    CHECK(level >= CWS_LOG_ERROR && level <= CWS_LOG_TRACE);
    CHECK(strchr(line, '\n') == NULL);
    api_say((api *)user, line);
}

static void api_trace(const cws_trace_event *e, void *user)
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

static const char *api_name(const char *text, int mode)
{
    static char names[2][300]; /* the former one is still in use when a new one is made */
    static int turn;
    static const char *const modes[] = {"blocking", "async", "blocking transport"};
    turn = !turn;
    (void)snprintf(names[turn], sizeof(names[turn]), "%s [%s]", text, modes[mode]);
    return names[turn];
}

static api *api_new(int mode)
{
    api *t = (api *)calloc(1, sizeof(*t));
    if (!t) abort();
    t->mode = (api_mode)mode;
    t->live = test_alloc_live();
    t->live_bytes = test_alloc_live_bytes();
    script_init(&t->s, mode == API_PERFORM);
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
static cws_session *api_session(api *t)
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

static cws_client *api_client(api *t)
{
    (void)api_session(t);
    return t->client;
}

/* Free everything; nothing may be left. */
static api *api_end(api *t)
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

static void api_count(cws_op *op, void *user)
{
    CHECK(cws_op_done(op));
    ++*(int *)user;
}

/* The asynchronous way to the end of an operation. */
static cws_status api_drive(api *t, cws_op *op)
{
    int called = 0;
    cws_op_on_done(op, api_count, &called);
    CHECK_INT(called, 0);
    while (!cws_op_done(op)) {
        CHECK_INT(cws_op_result(op, NULL), CWS_ERR_PENDING);
        if (!CHECK_INT(cws_client_poll(t->client, 100000, NULL), CWS_OK)) break;
    }
    CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
    CHECK_INT(called, 1);
    return cws_op_result(op, &t->err);
}

static cws_status api_finish(api *t, cws_status begun, cws_op *op)
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

static cws_status api_start(api *t, cws_sandbox *sb)
{
    cws_op *op = NULL;
    cws_status begun;
    if (t->mode != API_ASYNC) return cws_sandbox_start(sb, &t->err);
    begun = cws_sandbox_start_begin(sb, &op, &t->err);
    return api_finish(t, begun, op);
}

static cws_status api_wait(api *t, cws_sandbox *sb, double seconds)
{
    cws_op *op = NULL;
    cws_status begun;
    if (t->mode != API_ASYNC) return cws_sandbox_wait(sb, seconds, &t->err);
    begun = cws_sandbox_wait_begin(sb, seconds, &op, &t->err);
    return api_finish(t, begun, op);
}

static cws_status api_complete(api *t, cws_sandbox *sb, const cws_complete_opts *o)
{
    cws_op *op = NULL;
    cws_status begun;
    if (t->mode != API_ASYNC) return cws_sandbox_wait_until_complete(sb, o, &t->err);
    begun = cws_sandbox_wait_until_complete_begin(sb, o, &op, &t->err);
    return api_finish(t, begun, op);
}

static cws_status api_status(api *t, cws_sandbox *sb, cws_state *state)
{
    cws_op *op = NULL;
    cws_status begun;
    if (t->mode != API_ASYNC) return cws_sandbox_get_status(sb, state, &t->err);
    begun = cws_sandbox_get_status_begin(sb, &op, &t->err);
    begun = api_finish(t, begun, op);
    if (state) *state = cws_sandbox_state(sb);
    return begun;
}

static cws_status api_stop(api *t, cws_sandbox *sb, const cws_stop_opts *o)
{
    cws_op *op = NULL;
    cws_status begun;
    if (t->mode != API_ASYNC) return cws_sandbox_stop(sb, o, &t->err);
    begun = cws_sandbox_stop_begin(sb, o, &op, &t->err);
    return api_finish(t, begun, op);
}

static cws_status api_delete(api *t, const char *id, bool missing_ok)
{
    cws_op *op = NULL;
    cws_status begun;
    if (t->mode != API_ASYNC) return cws_sandbox_delete(api_client(t), id, missing_ok, &t->err);
    begun = cws_sandbox_delete_begin(api_client(t), id, missing_ok, &op, &t->err);
    return api_finish(t, begun, op);
}

static cws_status api_exec(api *t, cws_sandbox *sb, const char *const *argv, const cws_exec_opts *o,
                           cws_result **out)
{
    cws_process *p = NULL;
    cws_status status;
    if (t->mode != API_ASYNC) return cws_exec(sb, argv, o, out, &t->err);
    *out = NULL;
    status = cws_exec_begin(sb, argv, o, &p, &t->err);
    if (status) {
        CHECK(p == NULL);
        return status;
    }
    CHECK(!cws_process_poll(p, NULL));
    status = api_drive(t, cws_process_op(p));
    *out = cws_process_take_result(p);
    cws_process_free(p);
    return status;
}

static cws_status api_read(api *t, cws_sandbox *sb, const char *path, const cws_file_opts *o,
                           cws_bytes **out)
{
    cws_op *op = NULL;
    cws_status status;
    if (t->mode != API_ASYNC) return cws_read_file(sb, path, o, out, &t->err);
    *out = NULL;
    status = cws_read_file_begin(sb, path, o, &op, &t->err);
    if (status) return status;
    status = api_drive(t, op);
    *out = cws_op_take_bytes(op);
    CHECK(cws_op_take_bytes(op) == NULL);
    cws_op_free(op);
    return status;
}

static cws_status api_write(api *t, cws_sandbox *sb, const char *path, const void *data,
                            size_t size, const cws_file_opts *o)
{
    cws_op *op = NULL;
    cws_status begun;
    if (t->mode != API_ASYNC) return cws_write_file(sb, path, data, size, o, &t->err);
    begun = cws_write_file_begin(sb, path, data, size, o, &op, &t->err);
    return api_finish(t, begun, op);
}

static cws_status api_list(api *t, const cws_list_opts *o, cws_sandbox_list **out)
{
    cws_op *op = NULL;
    cws_status status;
    if (t->mode != API_ASYNC) return cws_session_list(api_session(t), o, out, &t->err);
    *out = NULL;
    status = cws_session_list_begin(api_session(t), o, &op, &t->err);
    if (status) return status;
    status = api_drive(t, op);
    *out = cws_op_take_list(op);
    cws_op_free(op);
    return status;
}

static cws_status api_from_id(api *t, const char *id, bool no_adopt, cws_sandbox **out)
{
    cws_op *op = NULL;
    cws_status status;
    *out = NULL;
    if (t->mode != API_ASYNC) {
        status = cws_session_from_id(api_session(t), id, no_adopt, out, &t->err);
    } else {
        status = cws_session_from_id_begin(api_session(t), id, no_adopt, &op, &t->err);
        if (status) return status;
        status = api_drive(t, op);
        *out = cws_op_take_sandbox(op);
        cws_op_free(op);
    }
    if (*out) t->boxes[t->box_count++] = *out;
    return status;
}

static cws_status api_close(api *t)
{
    cws_op *op = NULL;
    cws_status begun;
    if (t->mode != API_ASYNC) return cws_session_close(api_session(t), &t->err);
    begun = cws_session_close_begin(api_session(t), &op, &t->err);
    return api_finish(t, begun, op);
}

/* ---- common scripts --------------------------------------------------------------------------- */

#define BOX_ID(id, state) "{\"sandboxId\":\"" id "\",\"status\":{\"state\":\"STATE_" state "\"}}"
#define BOX(state) BOX_ID("sb-1", state)
#define DELETED(state) "{\"sandbox\":" BOX(state) "}"
#define EXITED(state, code)                                                                        \
    "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_" state "\",\"exitCode\":" #code "}}"
#define HAS(text, part) CHECK(strstr((text), (part)) != NULL)
#define HAS_NOT(text, part) CHECK(strstr((text), (part)) == NULL)

static const char *const api_true[] = {"true", NULL};

/* An unstarted sandbox of the session; freed at the end. */
static cws_sandbox *api_box(api *t, const cws_sandbox_opts *o)
{
    cws_sandbox *sb = NULL;
    if (!CHECK_INT(cws_session_sandbox(api_session(t), o, &sb, &t->err), CWS_OK)) {
        printf("    %s\n", t->err.message);
        abort();
    }
    t->boxes[t->box_count++] = sb;
    return sb;
}

/* A sandbox that was created, and is not known to run yet; the record of calls is empty. */
static cws_sandbox *api_started(api *t)
{
    cws_sandbox *sb = api_box(t, NULL);
    script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
    CHECK_INT(api_start(t, sb), CWS_OK);
    t->s.call_count = 0;
    return sb;
}

static cws_sandbox *api_running(api *t)
{
    cws_sandbox *sb = api_started(t);
    script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
    CHECK_INT(api_wait(t, sb, 0), CWS_OK);
    t->s.call_count = 0;
    return sb;
}

/* Take a sandbox out of the scenario's hands: it is freed now. */
static void api_drop(api *t, cws_sandbox *sb)
{
    size_t i;
    for (i = 0; i < t->box_count; i++)
        if (t->boxes[i] == sb) t->boxes[i] = t->boxes[--t->box_count];
    cws_sandbox_free(sb);
}

/* Poll until nothing is in flight any more. */
static void api_settle(api *t)
{
    int i;
    for (i = 0; i < 100000 && cws_client_pending(t->client); i++)
        CHECK_INT(cws_client_poll(t->client, 100000, NULL), CWS_OK);
    CHECK_INT(cws_client_pending(t->client), 0);
}

/* The body of an answer to a command, by stream or unary as the mode wants it. */
static void api_answer(api *t, int code, const char *out, const char *err)
{
    char json[600];
    cwsi_str o = cwsi_str_of(out), e = cwsi_str_of(err);
    if (t->mode == API_PERFORM) {
        (void)snprintf(json, sizeof(json),
                       "{\"stdout\":\"%s\",\"stderr\":\"%s\",\"exitCode\":%d,"
                       "\"stdoutBytesProduced\":\"%u\",\"stderrBytesProduced\":\"%u\"}",
                       script_base64(&t->s, o), script_base64(&t->s, e), code, (unsigned)o.len,
                       (unsigned)e.len);
        script_ok(&t->s, "Exec", json);
        return;
    }
    (void)snprintf(json, sizeof(json), "{\"exit\":{\"exitCode\":%d}}", code);
    script_stream(&t->s, "{}", "{\"ready\":{}}", script_output(&t->s, "STDOUT", out, o.len),
                  script_output(&t->s, "STDERR", err, e.len), json, NULL);
}

static const char *api_exec_rpc(const api *t)
{
    return t->mode == API_PERFORM ? "Exec" : "StreamExec";
}

/* ---- options, merging, the create request ----------------------------------------------------- */

/* The create request of a sandbox with these options, as JSON; made by starting it. */
static const char *api_created(api *t, const cws_sandbox_opts *o)
{
    cws_sandbox *sb = api_box(t, o);
    size_t n = script_count(&t->s, "CreateSandbox");
    script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
    CHECK_INT(api_start(t, sb), CWS_OK);
    return script_json(&t->s, "CreateSandbox", n);
}

/* These options are refused with a text that has this in it, and nothing is sent. */
static void api_refused(api *t, const cws_sandbox_opts *o, const char *text)
{
    cws_sandbox *sb = NULL;
    CHECK_INT(cws_session_sandbox(api_session(t), o, &sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
    CHECK(sb == NULL);
    CHECK_INT(t->err.status, CWS_ERR_INVALID_ARGUMENT);
    if (!CHECK(strstr(t->err.message, text) != NULL)) printf("    %s\n", t->err.message);
    CHECK_INT(cws_session_sandbox_count(t->session), 0);
    CHECK_INT(t->s.call_count, 0);
}

static void api_test_defaults(void)
{
    EACH("L1: the built-in defaults stand on the wire, and nothing else") {
        t->s.use_fixed = true;
        CHECK_STR(api_created(t, NULL),
                  "{\"sandbox\":{\"spec\":{\"containers\":[{\"name\":\"main\","
                  "\"image\":\"python:3.11\",\"command\":\"/bin/sh\",\"args\":[\"-c\","
                  "\"trap \\\"exit 0\\\" TERM INT; sleep infinity & wait\"]}]}},"
                  "\"requestId\":\"00000000-0000-4000-8000-000000000000\"}");
        CHECK_STR(script_call_at(&t->s, "CreateSandbox", 0)->url,
                  "http://localhost:1/coreweave.sandbox.v1.SandboxService/CreateSandbox");
        CHECK_STR(script_call_at(&t->s, "CreateSandbox", 0)->method, "POST");
        CHECK_INT(script_call_at(&t->s, "CreateSandbox", 0)->timeout_ms, 300000);
    }
    EACH("L18: every request carries the protocol's headers and the credential") {
        const char *h;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, api_started(t), 0), CWS_OK);
        h = script_call_at(&t->s, "GetSandbox", 0)->headers;
        CHECK_STR(h, "user-agent: cwsandbox.h/" CWS_VERSION_STRING "\n"
                     "x-cwsandbox-client-version: cwsandbox.h/" CWS_VERSION_STRING "\n"
                     "authorization: Bearer the-secret-key\n"
                     "content-type: application/proto\n"
                     "connect-protocol-version: 1\n"
                     "connect-timeout-ms: 15000\n");
    }
    ONCE("L3.3: command and image: explicit if not empty, else the session's") {
        cws_sandbox_opts o;
        const char *json;
        memset(&o, 0, sizeof(o));
        t->defaults.container_image = "img:1";
        t->defaults.command = "/srv";
        json = api_created(t, NULL);
        HAS(json, "\"image\":\"img:1\",\"command\":\"/srv\"}");
        o.container_image = "";
        o.command = "";
        json = api_created(t, &o);
        HAS(json, "\"image\":\"img:1\",\"command\":\"/srv\"}");
        o.container_image = "img:2";
        o.command = "ls";
        json = api_created(t, &o);
        HAS(json, "\"image\":\"img:2\",\"command\":\"ls\"}");
    }
    ONCE("L3.3: arguments are the default's only together with the default's command") {
        static const char *const given[] = {"a", "", "b c", NULL};
        static const char *const empty[] = {NULL};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.args = given;
        HAS(api_created(t, NULL), "\"command\":\"/bin/sh\",\"args\":[\"a\",\"\",\"b c\"]");
        o.command = "ls";
        HAS(api_created(t, &o), "\"command\":\"ls\"}");
        o.args = given;
        HAS(api_created(t, &o), "\"command\":\"ls\",\"args\":[\"a\",\"\",\"b c\"]");
        o.command = NULL;
        o.args = empty;
        HAS(api_created(t, &o), "\"command\":\"/bin/sh\"}");
        o.args = NULL;
        HAS(api_created(t, &o), "\"args\":[\"a\",\"\",\"b c\"]");
    }
    ONCE("L3.3: a command without arguments has none, explicit or as default") {
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.command = "ls";
        HAS_NOT(api_created(t, &o), "args");
    }
    ONCE("L2: tags: the session's first, then the given ones, no duplicate removed") {
        static const char *const first[] = {"a", "b", NULL}, *const second[] = {"b", "c", NULL};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.tags = first;
        HAS(api_created(t, NULL), "\"tags\":[\"a\",\"b\"]");
        o.tags = second;
        HAS(api_created(t, &o), "\"tags\":[\"a\",\"b\",\"b\",\"c\"]");
    }
    ONCE("L2: tags of the sandbox alone") {
        static const char *const tags[] = {"x.y_z-1", NULL};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.tags = tags;
        HAS(api_created(t, &o), "\"tags\":[\"x.y_z-1\"]");
    }
    ONCE("L2: tags the service would refuse are refused") {
        static const char *const bad[][2] = {{"", NULL},   {"a b", NULL}, {"a/", NULL},
                                             {"a-", NULL}, {".", NULL},   {"\xc3\xa4", NULL}};
        char text[61];
        const char *longest[2];
        size_t i;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            o.tags = bad[i];
            api_refused(t, &o, "tags[0]");
        }
        memset(text, 'a', 60);
        text[60] = '\0';
        longest[0] = text;
        longest[1] = NULL;
        o.tags = longest;
        api_refused(t, &o, "tags[0]");
    }
    ONCE("L3: environment and annotations: union, the sandbox's value wins per key") {
        static const cws_pair env1[] = {{"A", "1"}, {"B", "2"}, {NULL, NULL}};
        static const cws_pair env2[] = {{"B", "3"}, {"C", ""}, {NULL, NULL}};
        static const cws_pair note1[] = {{"x", "1"}, {NULL, NULL}};
        static const cws_pair note2[] = {{"x", "2"}, {"y", "3"}, {NULL, NULL}};
        static const cws_pair none[] = {{NULL, NULL}};
        cws_sandbox_opts o;
        const char *json;
        memset(&o, 0, sizeof(o));
        t->defaults.environment_variables = env1;
        t->defaults.annotations = note1;
        json = api_created(t, NULL);
        HAS(json, "\"environmentVariables\":{\"A\":\"1\",\"B\":\"2\"}");
        HAS(json, "\"annotations\":{\"x\":\"1\"}");
        o.environment_variables = env2;
        o.annotations = note2;
        json = api_created(t, &o);
        HAS(json, "\"environmentVariables\":{\"A\":\"1\",\"B\":\"3\",\"C\":\"\"}");
        HAS(json, "\"annotations\":{\"x\":\"2\",\"y\":\"3\"}");
        o.environment_variables = none;
        o.annotations = none;
        json = api_created(t, &o);
        HAS(json, "\"environmentVariables\":{\"A\":\"1\",\"B\":\"2\"}");
    }
    ONCE("L3: without annotations and environment the fields are not sent") {
        const char *json = api_created(t, NULL);
        HAS_NOT(json, "annotations");
        HAS_NOT(json, "environment");
    }
    ONCE("L3: the options are copied: changing them afterwards changes nothing") {
        char key[4] = "KEY", value[4] = "val", tag[4] = "tag";
        const char *tags[2];
        cws_pair env[2];
        cws_sandbox_opts o;
        cws_sandbox *sb;
        memset(&o, 0, sizeof(o));
        memset(env, 0, sizeof(env));
        env[0].key = key;
        env[0].value = value;
        tags[0] = tag;
        tags[1] = NULL;
        o.environment_variables = env;
        o.tags = tags;
        sb = api_box(t, &o);
        memset(key, 'X', 3);
        memset(value, 'X', 3);
        memset(tag, 'X', 3);
        memset(env, 0x5a, sizeof(env));
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        HAS(script_json(&t->s, "CreateSandbox", 0), "{\"KEY\":\"val\"}");
        HAS(script_json(&t->s, "CreateSandbox", 0), "[\"tag\"]");
    }
    ONCE("L3: maps with a bad key or value are refused") {
        static const cws_pair bad[][2] = {{{"", "v"}, {NULL, NULL}},
                                          {{"A=B", "v"}, {NULL, NULL}},
                                          {{"A", NULL}, {NULL, NULL}},
                                          {{"A", "\xff"}, {NULL, NULL}},
                                          {{"\xff", "v"}, {NULL, NULL}}};
        cws_pair many[102];
        char keys[101][8];
        size_t i;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            o.environment_variables = bad[i];
            api_refused(t, &o, "environment_variables");
        }
        o.environment_variables = NULL;
        o.annotations = bad[0];
        api_refused(t, &o, "annotations");
        o.annotations = bad[2];
        api_refused(t, &o, "annotations");
        memset(many, 0, sizeof(many));
        for (i = 0; i < 101; i++) {
            (void)snprintf(keys[i], sizeof(keys[i]), "k%d", (int)i);
            many[i].key = keys[i];
            many[i].value = "v";
        }
        o.annotations = many;
        api_refused(t, &o, "at most 100");
    }
    ONCE("L6: runner_ids: given ones win, empty clears, absent takes the default's; mode is CKS") {
        static const char *const session[] = {"r1", "r2", NULL}, *const own[] = {"r3", NULL};
        static const char *const empty[] = {NULL};
        cws_sandbox_opts o;
        const char *json;
        memset(&o, 0, sizeof(o));
        t->defaults.runner_ids = session;
        json = api_created(t, NULL);
        HAS(json, "\"runnerIds\":[\"r1\",\"r2\"]");
        HAS(json, "\"mode\":\"SANDBOX_MODE_CKS\"");
        o.runner_ids = own;
        json = api_created(t, &o);
        HAS(json, "\"runnerIds\":[\"r3\"]");
        o.runner_ids = empty;
        json = api_created(t, &o);
        HAS_NOT(json, "runnerIds");
        HAS_NOT(json, "mode");
    }
    ONCE("L6: an empty default of runner_ids is none; blank and repeated ids are refused") {
        static const char *const empty[] = {NULL};
        static const char *const blank[] = {"a", "  ", NULL}, *const twice[] = {"a", "a", NULL};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.runner_ids = empty;
        o.runner_ids = blank;
        api_refused(t, &o, "runner_ids[1]");
        o.runner_ids = twice;
        api_refused(t, &o, "runner_ids[1]");
        HAS_NOT(api_created(t, NULL), "runnerIds");
    }
    ONCE("L3.3: the lifetime: given, else the session's, else not sent; bounds") {
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.max_lifetime_seconds = 60;
        o.max_lifetime_seconds = -1;
        api_refused(t, &o, "max_lifetime_seconds");
        o.max_lifetime_seconds = 2592001;
        api_refused(t, &o, "max_lifetime_seconds");
        HAS(api_created(t, NULL), "\"maxLifetimeSeconds\":60");
        o.max_lifetime_seconds = 2592000;
        HAS(api_created(t, &o), "\"maxLifetimeSeconds\":2592000");
    }
    ONCE("L1: without a lifetime the service decides") {
        HAS_NOT(api_created(t, NULL), "axLifetime");
    }
    EACH("L23: the request timeout: given, else the session's, else the client's") {
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->copts.request_timeout_seconds = 50;
        (void)api_created(t, NULL);
        CHECK_INT(script_call_at(&t->s, "CreateSandbox", 0)->timeout_ms, 50000);
        o.request_timeout_seconds = 0.5;
        (void)api_created(t, &o);
        CHECK_INT(script_call_at(&t->s, "CreateSandbox", 1)->timeout_ms, 500);
    }
    ONCE("L23: the session's request timeout") {
        t->defaults.request_timeout_seconds = 7;
        (void)api_created(t, NULL);
        CHECK_INT(script_call_at(&t->s, "CreateSandbox", 0)->timeout_ms, 7000);
        HAS(script_call_at(&t->s, "CreateSandbox", 0)->headers, "connect-timeout-ms: 7000\n");
    }
    ONCE("L28: mounted files: path and bytes, empty files too") {
        static const cws_mounted_file files[] = {{"/a/b", "\0\xff!", 3}, {"/empty", NULL, 0}};
        static const cws_mounted_file bad[] = {
            {NULL, "x", 1}, {"", "x", 1}, {"rel", "x", 1}, {"/dir/", "x", 1}, {"/a", NULL, 1}};
        size_t i;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.mounted_file_count = 1;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            o.mounted_files = &bad[i];
            api_refused(t, &o, "mounted_files[0]");
        }
        o.mounted_files = NULL;
        api_refused(t, &o, "mounted_files");
        o.mounted_files = files;
        o.mounted_file_count = 2;
        HAS(api_created(t, &o),
            "\"files\":[{\"path\":\"/a/b\",\"content\":\"AP8h\"},{\"path\":\"/empty\"}]");
    }
    ONCE("L3.1: mounted files are no session default") {
        static const cws_mounted_file file = {"/a", "x", 1};
        cws_session *other = NULL;
        cws_session_opts so;
        memset(&so, 0, sizeof(so));
        so.client = api_client(t);
        t->defaults.mounted_files = &file;
        t->defaults.mounted_file_count = 1;
        so.defaults = &t->defaults;
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(other == NULL);
        HAS(t->err.message, "mounted_files");
    }
    ONCE("bad text is refused wherever it is sent") {
        static const char *const args[] = {"ok", "\xed\xa0\x80", NULL};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.container_image = "\xc0\x80";
        api_refused(t, &o, "container_image");
        o.container_image = NULL;
        o.command = "\xff";
        api_refused(t, &o, "command");
        o.command = NULL;
        o.args = args;
        api_refused(t, &o, "args[1]");
    }
}

/* ---- resources and quantities ----------------------------------------------------------------- */

#define SIDES(text) "\"resourceRequirements\":{\"requests\":" text ",\"limits\":" text "}"

static void api_test_resources(void)
{
    ONCE("L11: flat resources stand on both sides; the legacy field is never sent") {
        cws_resources r;
        cws_sandbox_opts o;
        const char *json;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        r.cpu = "500m";
        r.memory = "1Gi";
        json = api_created(t, &o);
        HAS(json, SIDES("{\"cpu\":\"500m\",\"memory\":\"1Gi\"}"));
        HAS_NOT(json, "\"resources\"");
        r.memory = NULL;
        HAS(api_created(t, &o), SIDES("{\"cpu\":\"500m\"}"));
    }
    ONCE("L12: one side is copied to the other; both are kept as given") {
        cws_resources r;
        cws_sandbox_opts o;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        r.request_cpu = "1";
        HAS(api_created(t, &o), SIDES("{\"cpu\":\"1\"}"));
        r.request_cpu = NULL;
        r.limit_memory = "2G";
        HAS(api_created(t, &o), SIDES("{\"memory\":\"2G\"}"));
        r.request_cpu = "1";
        HAS(api_created(t, &o), "\"resourceRequirements\":{\"requests\":{\"cpu\":\"1\"},"
                                "\"limits\":{\"memory\":\"2G\"}}");
        r.limit_cpu = "1000m";
        r.request_memory = "1.5Gi";
        HAS(api_created(t, &o),
            "\"requests\":{\"cpu\":\"1\",\"memory\":\"1.5Gi\"},"
            "\"limits\":{\"cpu\":\"1000m\",\"memory\":\"2G\"}");
    }
    ONCE("L14: a GPU stands on both sides, with a count, a model or a size") {
        cws_resources r;
        cws_sandbox_opts o;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        r.gpu_count = 2;
        HAS(api_created(t, &o), SIDES("{\"gpu\":{\"count\":\"2\"}}"));
        r.gpu_type = "H100";
        HAS(api_created(t, &o), SIDES("{\"gpu\":{\"count\":\"2\",\"type\":\"H100\"}}"));
        r.gpu_type = NULL;
        r.gpu_memory_gb = 40;
        r.cpu = "4";
        HAS(api_created(t, &o),
            SIDES("{\"cpu\":\"4\",\"gpu\":{\"count\":\"2\",\"memoryGb\":\"40\"}}"));
    }
    ONCE("L3.4: resources replace the session's as a whole") {
        cws_resources a, b;
        cws_sandbox_opts o;
        memset(&a, 0, sizeof(a));
        memset(&b, 0, sizeof(b));
        memset(&o, 0, sizeof(o));
        a.cpu = "1";
        a.memory = "1Gi";
        b.cpu = "2";
        t->defaults.resources = &a;
        HAS(api_created(t, NULL), SIDES("{\"cpu\":\"1\",\"memory\":\"1Gi\"}"));
        o.resources = &b;
        HAS(api_created(t, &o), SIDES("{\"cpu\":\"2\"}"));
    }
    ONCE("L11 L12: resources that contradict themselves are refused") {
        cws_resources r;
        cws_sandbox_opts o;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        api_refused(t, &o, "resources: nothing");
        r.cpu = "1";
        r.limit_cpu = "2";
        api_refused(t, &o, "not both");
        r.cpu = NULL;
        r.request_cpu = "2001m";
        api_refused(t, &o, "cpu request '2001m' is above its limit '2'");
        r.request_cpu = NULL;
        r.request_memory = "1025Mi";
        r.limit_memory = "1Gi";
        api_refused(t, &o, "memory request");
        r.request_memory = r.limit_memory = r.limit_cpu = NULL;
        r.gpu_count = -1;
        api_refused(t, &o, "negative");
        r.gpu_count = 1;
        r.gpu_memory_gb = -5;
        api_refused(t, &o, "negative");
        r.gpu_memory_gb = 40;
        r.gpu_type = "A100";
        api_refused(t, &o, "gpu_type or gpu_memory_gb");
    }
    ONCE("L13: quantities that are none are refused, flat and on either side") {
        static const char *const bad[] = {"",     "  ",   "abc", "1.2.3Gi", "abcM", "1e",  "m",
                                          "5e3Mi", "-1",  "1Kii", "1K",     "1mi",  "0x1", "1_0",
                                          "NaN",  "inf",  ".",   "1 Gi",    "1Zi",  "1e3m", "--1"};
        size_t i;
        cws_resources r;
        cws_sandbox_opts o;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            memset(&r, 0, sizeof(r));
            r.memory = bad[i];
            api_refused(t, &o, "memory");
            memset(&r, 0, sizeof(r));
            r.cpu = bad[i];
            api_refused(t, &o, "cpu");
            memset(&r, 0, sizeof(r));
            r.request_cpu = bad[i];
            r.limit_cpu = "1";
            api_refused(t, &o, "cpu");
        }
    }
    ONCE("L13: quantities of every form are taken as they are, and compared exactly") {
        static const char *const good[] = {"100", "0.5", "100m", "1000m", "1Ki", "1Mi", "1Gi",
                                           "1Ti", "1Pi", "1Ei",  "1k",    "1M",  "1G",  "1T",
                                           "1P",  "1E",  "0",    "1e3",   " 1 "};
        static const struct {
            const char *less, *more;
        } order[] = {{"999m", "1"},     {"1k", "1Ki"},       {"1000", "1k"},     {"1e3", "1k"},
                     {"1024", "1Ki"},   {"0.5Gi", "512Mi"},  {"1E", "1Ei"},      {"0", "1m"},
                     {"1.0", "1000m"},  {"9007199254740992", "9007199254740993"}};
        size_t i;
        cws_resources r;
        cws_sandbox_opts o;
        cws_sandbox *sb;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            r.memory = good[i];
            CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err), CWS_OK);
            CHECK_STR(t->err.message, "");
            cws_sandbox_free(sb);
        }
        r.memory = NULL;
        for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
            r.request_memory = order[i].less;
            r.limit_memory = order[i].more;
            CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err), CWS_OK);
            CHECK_STR(t->err.message, "");
            cws_sandbox_free(sb);
        }
        r.request_memory = "9007199254740993";
        r.limit_memory = "9007199254740992";
        CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
    }
}

/* ---- secrets ---------------------------------------------------------------------------------- */

static void api_test_secrets(void)
{
    ONCE("L15: secrets: the session's first, grouped by store in order of first appearance") {
        static const cws_secret first[] = {{"s1", "n1", NULL, NULL}, {"s2", "n2", "f", "V2"}};
        static const cws_secret second[] = {{"s1", "n3", "", NULL}, {"s3", "n4", NULL, "V4"}};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.secrets = first;
        t->defaults.secret_count = 2;
        o.secrets = second;
        o.secret_count = 2;
        HAS(api_created(t, &o),
            "\"secretStores\":[{\"storeName\":\"s1\",\"secrets\":[{\"path\":\"n1\","
            "\"envVar\":\"n1\"},{\"path\":\"n3\",\"envVar\":\"n3\"}]},"
            "{\"storeName\":\"s2\",\"secrets\":[{\"path\":\"n2\",\"field\":\"f\","
            "\"envVar\":\"V2\"}]},"
            "{\"storeName\":\"s3\",\"secrets\":[{\"path\":\"n4\",\"envVar\":\"V4\"}]}]");
    }
    ONCE("L15: identical secrets collapse to one, also across session and sandbox") {
        static const cws_secret first[] = {{"s", "n", NULL, "V"}, {"s", "n", "", "V"}};
        cws_sandbox_opts o;
        const char *json;
        memset(&o, 0, sizeof(o));
        t->defaults.secrets = first;
        t->defaults.secret_count = 2;
        o.secrets = first;
        o.secret_count = 1;
        json = api_created(t, &o);
        HAS(json, "\"secrets\":[{\"path\":\"n\",\"envVar\":\"V\"}]}]");
    }
    ONCE("L15: two secrets for one variable are refused, both named") {
        static const cws_secret first[] = {{"s", "one", NULL, "V"}};
        static const cws_secret other[] = {
            {"s", "two", NULL, "V"}, {"s", "one", "f", "V"}, {"z", "one", NULL, "V"}};
        size_t i;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.secrets = first;
        t->defaults.secret_count = 1;
        o.secret_count = 1;
        for (i = 0; i < 3; i++) {
            o.secrets = &other[i];
            api_refused(t, &o, "'V'");
            HAS(t->err.message, "'one'");
        }
    }
    ONCE("L15: empty members, a missing list, more than 50") {
        static const cws_secret bad[] = {
            {NULL, "n", NULL, NULL}, {"", "n", NULL, NULL}, {"s", NULL, NULL, NULL},
            {"s", "", NULL, NULL},   {"s", "n", NULL, ""}};
        cws_secret many[51];
        char names[51][8];
        size_t i;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.secret_count = 1;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            o.secrets = &bad[i];
            api_refused(t, &o, "secrets[0].");
        }
        o.secrets = NULL;
        api_refused(t, &o, "secrets");
        memset(many, 0, sizeof(many));
        for (i = 0; i < 51; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "n%d", (int)i);
            many[i].store = "s";
            many[i].name = names[i];
        }
        o.secrets = many;
        o.secret_count = 51;
        api_refused(t, &o, "at most 50");
        o.secret_count = 50;
        HAS(api_created(t, &o), "\"n49\"");
    }
}

/* ---- the client: address, credentials, limits ------------------------------------------------- */

/* Open a client with the scenario's options and close it; its error is in t->err. */
static cws_status api_try_client(api *t)
{
    cws_client *c = NULL;
    cws_status status = cws_client_open(&t->copts, &c, &t->err);
    CHECK_INT(status, t->err.status);
    CHECK((c != NULL) == (status == CWS_OK));
    cws_client_free(c);
    CHECK_INT(test_alloc_live(), t->live);
    return status;
}

static void api_test_client(void)
{
    ONCE("L16: addresses that are taken; a trailing slash is no path") {
        static const char *const good[][2] = {
            {"https://api.example.com", "https://api.example.com"},
            {"https://api.example.com/", "https://api.example.com"},
            {"HTTPS://h:8443", "HTTPS://h:8443"},
            {"http://localhost", "http://localhost"},
            {"http://LOCALHOST:80/", "http://LOCALHOST:80"},
            {"http://127.0.0.1:1", "http://127.0.0.1:1"},
            {"http://127.8.9.10:65535", "http://127.8.9.10:65535"},
            {"http://[::1]:8080", "http://[::1]:8080"},
            {"https://[2001:db8::1]", "https://[2001:db8::1]"}};
        size_t i;
        for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            cws_client *c = NULL;
            cws_op *op = NULL;
            t->copts.base_url = good[i][0];
            if (!CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_OK)) {
                printf("    %s\n", t->err.message);
                continue;
            }
            script_ok(&t->s, "DeleteSandbox", "{}");
            CHECK_INT(cws_sandbox_delete_begin(c, "x", false, &op, &t->err), CWS_OK);
            CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
            cws_op_free(op);
            cws_client_free(c);
            CHECK(strncmp(script_call_at(&t->s, "DeleteSandbox", i)->url, good[i][1],
                          strlen(good[i][1])) == 0);
            CHECK(strncmp(script_call_at(&t->s, "DeleteSandbox", i)->url + strlen(good[i][1]),
                          "/coreweave.", 11) == 0);
        }
    }
    ONCE("L16: addresses that are refused, each with its reason") {
        static const char *const bad[] = {
            "",
            "api.example.com",
            "ftp://h",
            "https://",
            "https:///x",
            "https://h/v1",
            "https://h/v1/x",
            "https://h?x=1",
            "https://h#f",
            "https://user@h",
            "https://user:pw@h",
            "http://localhost@evil.com",
            "https://h:",
            "https://h:0",
            "https://h:65536",
            "https://h:80x",
            "https://h:-1",
            "https://[::1",
            "https://[::1]x",
            "https://h h",
            "https://h\n",
            "https://h\r\nx: y",
            " https://h",
            "https://:443"};
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            t->copts.base_url = bad[i];
            if (!CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT))
                printf("    %s\n", bad[i]);
            HAS(t->err.message, "base_url");
        }
        CHECK_INT(t->s.opens, 0);
    }
    ONCE("a credential goes over plain http only to this machine, or if it is allowed") {
        static const char *const far[] = {
            "http://h",           "http://127.evil.com",  "http://localhost.evil.com",
            "http://127.0.0.1.x", "http://1270.0.1",      "http://10.0.0.1",
            "http://[::2]",       "http://[fe80::1]",     "http://0.0.0.0",
            "http://128.0.0.1",   "http://notlocalhost:1"};
        size_t i;
        for (i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
            t->copts.base_url = far[i];
            t->copts.api_key = "the-secret-key";
            t->copts.wandb_api_key = NULL;
            t->copts.allow_insecure_credential = false;
            CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "allow_insecure_credential");
            HAS_NOT(t->err.message, "the-secret-key");
            t->copts.api_key = NULL;
            CHECK_INT(api_try_client(t), CWS_OK);
            t->copts.wandb_api_key = "the-secret-key";
            CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
            t->copts.allow_insecure_credential = true;
            CHECK_INT(api_try_client(t), CWS_OK);
        }
    }
    ONCE("L17: a key is trimmed; blank, with a line break or another control character: refused") {
        static const char *const bad[] = {"", " ", "\t\r\n", "a\nb", "a\r\nx: y", "a\x01"
                                                                                  "b",
                                          "k\xc3\xa9y", "a\x7f"};
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            t->copts.api_key = bad[i];
            CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "api_key");
            t->copts.api_key = NULL;
            t->copts.wandb_api_key = bad[i];
            CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "wandb_api_key");
            t->copts.wandb_api_key = NULL;
        }
        t->copts.api_key = " \tthe-secret-key\r\n";
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS(script_call_at(&t->s, "DeleteSandbox", 0)->headers,
            "\nauthorization: Bearer the-secret-key\n");
    }
    EACH("L17: without a key no credential header is sent") {
        t->copts.api_key = NULL;
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS_NOT(script_call_at(&t->s, "DeleteSandbox", 0)->headers, "authorization");
        HAS_NOT(script_call_at(&t->s, "DeleteSandbox", 0)->headers, "wandb");
    }
    ONCE("L17: both kinds of key are a contradiction; routing needs its key") {
        t->copts.wandb_api_key = "w";
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "not both");
        t->copts.wandb_api_key = NULL;
        t->copts.wandb_entity = "e";
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.wandb_entity = NULL;
        t->copts.wandb_project = "p";
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.api_key = NULL;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
    }
    EACH("L4.4: the headers of W&B mode, and no bearer token") {
        const char *h;
        t->copts.api_key = NULL;
        t->copts.wandb_api_key = " the-secret-key ";
        t->copts.wandb_entity = "ent";
        t->copts.wandb_project = "proj";
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        h = script_call_at(&t->s, "DeleteSandbox", 0)->headers;
        HAS(h, "\nx-wandb-api-key: the-secret-key\n");
        HAS(h, "\nx-entity-id: ent\n");
        HAS(h, "\nx-project-name: proj\n");
        HAS(h, "\nx-wandb-sdk-version: ");
        HAS(h, "\nx-cwsandbox-client-version: ");
        HAS_NOT(h, "authorization");
    }
    ONCE("L4.4: entity and project are only sent if given") {
        t->copts.api_key = NULL;
        t->copts.wandb_api_key = "w";
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS_NOT(script_call_at(&t->s, "DeleteSandbox", 0)->headers, "x-entity-id");
        HAS_NOT(script_call_at(&t->s, "DeleteSandbox", 0)->headers, "x-project-name");
    }
    ONCE("the environment: key and address, an option beats it, no_environment ignores it") {
        t->copts.no_environment = false;
        t->copts.api_key = NULL;
        t->copts.base_url = NULL;
        (void)setenv("CWSANDBOX_API_KEY", " the-secret-key\n", 1);
        (void)setenv("CWSANDBOX_BASE_URL", "http://127.0.0.1:7/", 1);
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS(script_call_at(&t->s, "DeleteSandbox", 0)->url, "http://127.0.0.1:7/coreweave");
        HAS(script_call_at(&t->s, "DeleteSandbox", 0)->headers, "Bearer the-secret-key\n");
        (void)setenv("CWSANDBOX_API_KEY", "", 1);
        (void)setenv("CWSANDBOX_BASE_URL", "", 1);
        cws_session_free(t->session);
        cws_client_free(t->client);
        t->s.closes = 0;
        t->session = NULL;
        t->client = NULL;
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS(script_call_at(&t->s, "DeleteSandbox", 1)->url, "https://api.cwsandbox.com/coreweave");
        HAS_NOT(script_call_at(&t->s, "DeleteSandbox", 1)->headers, "authorization");
        (void)setenv("CWSANDBOX_API_KEY", "a\nb", 1);
        {
            cws_client *c = NULL;
            CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "CWSANDBOX_API_KEY");
            t->copts.wandb_api_key = "w"; /* then the variable is not read */
            CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_OK);
            cws_client_free(c);
            t->copts.wandb_api_key = NULL;
            t->copts.no_environment = true;
            CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_OK);
            cws_client_free(c);
            t->copts.no_environment = false;
            (void)unsetenv("CWSANDBOX_API_KEY");
            (void)unsetenv("CWSANDBOX_BASE_URL");
            (void)setenv("CWSANDBOX_API_VERSION", "v9", 1);
            CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_ERR_UNSUPPORTED);
            CHECK(c == NULL);
            t->copts.api_version = CWS_API_V1;
            CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_OK);
            cws_client_free(c);
            (void)unsetenv("CWSANDBOX_API_VERSION");
        }
        t->s.closes = 0;
    }
    ONCE("the suffix of the user agent is sent, and checked") {
        t->copts.user_agent_suffix = "x\ny";
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.user_agent_suffix = "app/1";
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS(script_call_at(&t->s, "DeleteSandbox", 0)->headers,
            "user-agent: cwsandbox.h/" CWS_VERSION_STRING " app/1\n");
    }
    ONCE("L4: durations of the client: not a number, infinite and negative are refused") {
        double *const at[] = {&t->copts.request_timeout_seconds,
                              &t->copts.poll_retry_budget_seconds,
                              &t->copts.poll_rpc_timeout_seconds,
                              &t->copts.connect_timeout_seconds};
        const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -0.5, -2, 1.1e9};
        size_t i, k;
        for (i = 0; i < 4; i++) {
            for (k = 0; k < 6; k++) {
                *at[i] = bad[k];
                CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
                HAS(t->err.message, "_seconds");
            }
            *at[i] = CWS_NONE;
            CHECK_INT(api_try_client(t), i == 1 ? CWS_OK : CWS_ERR_INVALID_ARGUMENT);
            *at[i] = 1e9;
            CHECK_INT(api_try_client(t), CWS_OK);
            *at[i] = 0.0001;
            CHECK_INT(api_try_client(t), CWS_OK);
            *at[i] = 0;
        }
    }
    ONCE("a client's other options: unknown values, half a transport, no allocator function") {
        cws_transport half = t->s.transport;
        cws_allocator none;
        memset(&none, 0, sizeof(none));
        t->copts.must_be_zero = 1;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "must_be_zero");
        t->copts.must_be_zero = 0;
        t->copts.api_version = (cws_api_version)77;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.api_version = CWS_API_DEFAULT;
        t->copts.max_message_bytes = (uint64_t)1 << 31;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.max_message_bytes = 0;
        t->copts.transport = &half;
        half.must_be_zero = 5;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        half.must_be_zero = 0;
        half.poll = NULL;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        memset(&half, 0, sizeof(half));
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.transport = &t->s.transport;
        t->copts.allocator = &none;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_client_open(&t->copts, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_client_open(&t->copts, NULL, NULL), CWS_ERR_INVALID_ARGUMENT);
    }
    ONCE("memory over the cap is refused, not used") {
        t->copts.max_memory_bytes = 100;
        CHECK_INT(api_try_client(t), CWS_ERR_NO_MEMORY);
    }
}

/* ---- bad arguments: before any network -------------------------------------------------------- */

static void api_test_arguments(void)
{
    EACH("must_be_zero of every option struct is looked at, and nothing is sent") {
        cws_sandbox *sb = api_box(t, NULL), *other = NULL;
        cws_session *session = NULL;
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        cws_sandbox_list *list = NULL;
        cws_session_opts so = t->sopts;
        cws_sandbox_opts bo;
        cws_complete_opts co;
        cws_stop_opts st;
        cws_exec_opts eo;
        cws_file_opts fo;
        cws_list_opts lo;
        memset(&bo, 0, sizeof(bo));
        memset(&co, 0, sizeof(co));
        memset(&st, 0, sizeof(st));
        memset(&eo, 0, sizeof(eo));
        memset(&fo, 0, sizeof(fo));
        memset(&lo, 0, sizeof(lo));
        so.must_be_zero = bo.must_be_zero = co.must_be_zero = 1;
        st.must_be_zero = eo.must_be_zero = fo.must_be_zero = lo.must_be_zero = 0xdeadbeef;
        CHECK_INT(cws_session_open(&so, &session, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_session_opts");
        CHECK(!session);
        CHECK_INT(cws_session_sandbox(t->session, &bo, &other, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_sandbox_opts");
        CHECK(!other);
        so.must_be_zero = 0;
        so.defaults = &bo;
        CHECK_INT(cws_session_open(&so, &session, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_complete(t, sb, &co), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_complete_opts");
        CHECK_INT(api_stop(t, sb, &st), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_stop_opts");
        CHECK_INT(api_exec(t, sb, api_true, &eo, &result), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_exec_opts");
        CHECK_INT(api_read(t, sb, "/x", &fo, &bytes), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_file_opts");
        CHECK_INT(api_write(t, sb, "/x", "", 0, &fo), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_list(t, &lo, &list), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_list_opts");
        CHECK(!result && !bytes && !list);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
    }
    EACH("L4: every duration refuses NaN, infinity and negative numbers, and nothing is sent") {
        const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -0.5, -2.0, 1e300};
        cws_sandbox *sb = api_box(t, NULL), *other = NULL;
        cws_session *session = NULL;
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        cws_sandbox_list *list = NULL;
        cws_session_opts so = t->sopts;
        cws_sandbox_opts bo;
        cws_complete_opts co;
        cws_stop_opts st;
        cws_exec_opts eo;
        cws_file_opts fo;
        cws_list_opts lo;
        size_t i;
        memset(&bo, 0, sizeof(bo));
        memset(&co, 0, sizeof(co));
        memset(&eo, 0, sizeof(eo));
        memset(&fo, 0, sizeof(fo));
        memset(&lo, 0, sizeof(lo));
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            so.close_timeout_seconds = bo.request_timeout_seconds = co.timeout_seconds = bad[i];
            eo.timeout_seconds = fo.timeout_seconds = lo.timeout_seconds = bad[i];
            CHECK_INT(cws_session_open(&so, &session, &t->err), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(cws_session_sandbox(t->session, &bo, &other, &t->err),
                      CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(api_wait(t, sb, bad[i]), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(api_complete(t, sb, &co), CWS_ERR_INVALID_ARGUMENT);
            memset(&st, 0, sizeof(st));
            st.graceful_shutdown_seconds = bad[i];
            CHECK_INT(api_stop(t, sb, &st), CWS_ERR_INVALID_ARGUMENT);
            memset(&st, 0, sizeof(st));
            st.timeout_seconds = bad[i];
            CHECK_INT(api_stop(t, sb, &st), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(api_exec(t, sb, api_true, &eo, &result), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "timeout_seconds");
            CHECK_INT(api_read(t, sb, "/x", &fo, &bytes), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(api_write(t, sb, "/x", "", 0, &fo), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(api_list(t, &lo, &list), CWS_ERR_INVALID_ARGUMENT);
        }
        memset(&st, 0, sizeof(st));
        st.graceful_shutdown_seconds = 86401; /* a day */
        CHECK_INT(api_stop(t, sb, &st), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_wait(t, sb, CWS_NONE), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    EACH("EX-2 EX-7 EX-8: no command, empty or relative cwd: refused at the call, not counted") {
        static const char *const none[] = {NULL}, *const blank[] = {"", NULL};
        static const char *const bad_text[] = {"echo", "\xff", NULL};
        static const char *const cwds[] = {"",          "relative",      "./relative",
                                           "../parent", "relative/path", "\\x"};
        static const cws_pair env[] = {{"A=B", "x"}, {NULL, NULL}};
        cws_sandbox *sb = api_box(t, NULL);
        cws_result *result = NULL;
        cws_exec_opts o;
        size_t i;
        memset(&o, 0, sizeof(o));
        CHECK_INT(api_exec(t, sb, NULL, NULL, &result), CWS_ERR_INVALID_ARGUMENT);
        CHECK_STR(t->err.message, "Command cannot be empty");
        CHECK_INT(api_exec(t, sb, none, NULL, &result), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_exec(t, sb, blank, NULL, &result), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_exec(t, sb, bad_text, NULL, &result), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "argv[1]");
        for (i = 0; i < sizeof(cwds) / sizeof(cwds[0]); i++) {
            o.cwd = cwds[i];
            CHECK_INT(api_exec(t, sb, api_true, &o, &result), CWS_ERR_INVALID_ARGUMENT);
            CHECK_STR(t->err.message, cwds[i][0] ? "cwd must be an absolute path"
                                                 : "cwd cannot be empty string");
        }
        o.cwd = "/\xff";
        CHECK_INT(api_exec(t, sb, api_true, &o, &result), CWS_ERR_INVALID_ARGUMENT);
        o.cwd = NULL;
        o.env = env;
        CHECK_INT(api_exec(t, sb, api_true, &o, &result), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!result);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 0);
        CHECK_INT(t->s.call_count, 0);
    }
    EACH("bad paths, data and ids are refused before any network") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_bytes *bytes = NULL;
        cws_sandbox *found = NULL;
        char id[200];
        CHECK_INT(api_read(t, sb, NULL, NULL, &bytes), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_read(t, sb, "", NULL, &bytes), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_read(t, sb, "/\xff", NULL, &bytes), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_write(t, sb, "", "x", 1, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_write(t, sb, "/x", NULL, 1, NULL), CWS_ERR_INVALID_ARGUMENT);
        memset(id, 'a', sizeof(id));
        id[128] = '\0';
        CHECK_INT(api_delete(t, NULL, false), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_delete(t, "", false), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_delete(t, "a b", false), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_delete(t, id, false), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_from_id(t, "", false, &found), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_from_id(t, "a\n", false, &found), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!bytes && !found);
        CHECK_INT(t->s.call_count, 0);
    }
    ONCE("NULL where an object is needed is an error, where one is freed it is nothing") {
        cws_error e;
        cws_op *op = (cws_op *)&e;
        cws_process *p = (cws_process *)&e;
        CHECK_INT(cws_sandbox_start(NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_sandbox_start_begin(NULL, &op, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK(op == NULL);
        CHECK_INT(cws_sandbox_start_begin(api_box(t, NULL), NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_exec_begin(NULL, api_true, NULL, &p, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK(p == NULL);
        CHECK_INT(cws_exec(t->boxes[0], api_true, NULL, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_read_file(t->boxes[0], "/x", NULL, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_list(t->session, NULL, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_from_id(t->session, "x", false, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_sandbox(t->session, NULL, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_sandbox(NULL, NULL, &t->boxes[1], &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_close(NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_adopt(t->session, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_sandbox_delete(NULL, "x", false, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_client_poll(NULL, 0, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_op_wait(NULL, 0, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_op_result(NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_wait(NULL, 0, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!cws_op_cancel(NULL) && !cws_process_cancel(NULL));
        CHECK(!cws_session_failed(NULL, 0, NULL, NULL));
        CHECK(!cws_op_take_bytes(NULL) && !cws_op_take_list(NULL) && !cws_op_take_sandbox(NULL));
        cws_client_free(NULL);
        cws_session_free(NULL);
        cws_sandbox_free(NULL);
        cws_op_free(NULL);
        cws_process_free(NULL);
        cws_result_free(NULL);
        cws_bytes_free(NULL);
        cws_sandbox_list_free(NULL);
        cws_client_wakeup(NULL);
        CHECK_INT(t->s.call_count, 0);
    }
    ONCE("an error record is cleared at the start of each call that takes one") {
        cws_sandbox *sb = api_box(t, NULL);
        memset(&t->err, 0x5a, sizeof(t->err));
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->err.status, CWS_OK);
        CHECK_STR(t->err.message, "");
        memset(&t->err, 0x5a, sizeof(t->err));
        CHECK_INT(cws_sandbox_stop(sb, NULL, &t->err), CWS_OK);
        CHECK_STR(t->err.message, "");
        CHECK_INT(t->err.detail_size, 0);
    }
}

/* ---- start ------------------------------------------------------------------------------------ */

static void api_test_start(void)
{
    EACH("L26: start gives an id and PENDING, whatever the state of the reply; nothing else is sent") {
        cws_sandbox *sb = api_box(t, NULL);
        CHECK_STR(cws_sandbox_id(sb), "");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        script_ok(&t->s, "CreateSandbox", BOX("RUNNING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PENDING);
        CHECK(cws_sandbox_get_info(sb)->updated_unix_ms == script_unix(&t->s));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    STREAMING("L26: one create, however many callers start it at once") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *ops[5];
        size_t i, done = 0;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 700;
        for (i = 0; i < 5; i++)
            CHECK_INT(cws_sandbox_start_begin(sb, &ops[i], &t->err), CWS_OK);
        CHECK_INT(t->s.opens, 0); /* nothing moves inside a begin */
        CHECK_INT(cws_wait_many(ops, 5, CWS_ALL, -1, NULL, &done, &t->err), CWS_OK);
        CHECK_INT(done, 5);
        for (i = 0; i < 5; i++) {
            CHECK_INT(cws_op_result(ops[i], &t->err), CWS_OK);
            cws_op_free(ops[i]);
        }
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    EACH("L26: a create with a definite failure can be started again, with the same request id") {
        cws_sandbox *sb = api_box(t, NULL);
        char first[800];
        script_error(&t->s, "CreateSandbox", "invalid_argument", "no such image",
                     script_reason(&t->s, "CWSANDBOX_INVALID_REQUEST", "cwsandbox.com"));
        CHECK_INT(api_start(t, sb), CWS_ERR_SANDBOX);
        HAS(t->err.message, "Create sandbox");
        HAS(t->err.message, "no such image");
        CHECK_STR(t->err.reason, "CWSANDBOX_INVALID_REQUEST");
        CHECK_INT(t->err.rpc_code, 3);
        CHECK_INT(t->err.http_status, 400);
        CHECK(strlen(t->err.request_id) == 36);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        (void)snprintf(first, sizeof(first), "%s", script_json(&t->s, "CreateSandbox", 0));
        HAS(first, t->err.request_id);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_json(&t->s, "CreateSandbox", 1), first);
    }
    ONCE("two sandboxes have different request ids, in the form of a version 4 UUID") {
        char a[800];
        const char *at;
        (void)snprintf(a, sizeof(a), "%s", api_created(t, NULL));
        CHECK(strcmp(a, api_created(t, NULL)) != 0);
        at = strstr(a, "\"requestId\":\"");
        if (CHECK(at != NULL)) {
            CHECK(at[13 + 8] == '-' && at[13 + 13] == '-' && at[13 + 14] == '4');
            CHECK(strchr("89ab", at[13 + 19]) != NULL);
        }
    }
    EACH("an ambiguous create is repeated by itself, with the same request id") {
        static const cws_end ends[] = {CWS_END_LOST, CWS_END_NOT_SENT, CWS_END_REFUSED};
        cws_sandbox *sb = api_box(t, NULL);
        size_t i;
        for (i = 0; i < 3; i++) script_end(&t->s, "CreateSandbox", ends[i]);
        script_error(&t->s, "CreateSandbox", "unavailable", "later", NULL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_INT(t->s.call_count, 5);
        for (i = 1; i < 5; i++)
            CHECK_STR(script_json(&t->s, "CreateSandbox", i),
                      script_json(&t->s, "CreateSandbox", 0));
    }
    EACH("an ambiguous create that is given up is repeated, with the same id, by a later start") {
        cws_sandbox *sb = api_box(t, NULL);
        t->err.status = CWS_OK;
        script_end(&t->s, "CreateSandbox", CWS_END_LOST)->times = -1;
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        CHECK(t->err.retryable);
        t->s.first->times = 0;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_json(&t->s, "CreateSandbox", t->s.call_count - 1),
                  script_json(&t->s, "CreateSandbox", 0));
    }
    EACH("a create that the server never answers ends with the request timeout") {
        cws_sandbox *sb = api_box(t, NULL);
        int64_t from = t->s.now;
        script_never(&t->s, "CreateSandbox");
        CHECK_INT(api_start(t, sb), CWS_ERR_REQUEST_TIMEOUT);
        CHECK(cws_status_is(t->err.status, CWS_ERR_TIMEOUT));
        CHECK(t->s.now - from >= 300000 && t->s.now - from <= 300001);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    EACH("L26: CANCELLED by the server is a sandbox that is not running") {
        script_error(&t->s, "CreateSandbox", "canceled", "", NULL);
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "Create sandbox was cancelled");
    }
    EACH("a create reply without a sandbox id is an error, and what it made is stopped later") {
        cws_sandbox *sb = api_box(t, NULL);
        script_ok(&t->s, "CreateSandbox", "{}");
        CHECK_INT(api_start(t, sb), CWS_ERR_PROTOCOL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("a create reply of garbage leaves the outcome open: stop asks again, then deletes") {
        cws_sandbox *sb = api_box(t, NULL);
        script_raw(&t->s, "CreateSandbox", 200, "application/proto", "\x0a\x7fzz", 4);
        CHECK_INT(api_start(t, sb), CWS_ERR_PROTOCOL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("stop of a create with unknown outcome repeats the create to learn the id, then deletes") {
        cws_sandbox *sb = api_box(t, NULL);
        t->copts.poll_retry_budget_seconds = 0;
        script_never(&t->s, "CreateSandbox");
        CHECK_INT(api_start(t, sb), CWS_ERR_REQUEST_TIMEOUT);
        script_ok(&t->s, "CreateSandbox", BOX("RUNNING"));
        script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
        CHECK_STR(script_json(&t->s, "CreateSandbox", 1), script_json(&t->s, "CreateSandbox", 0));
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("stop of an unknown create fails while it stays unknown, and may be repeated") {
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_LOST)->times = 2;
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_TRANSPORT);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        script_error(&t->s, "CreateSandbox", "failed_precondition", "no",
                     script_reason(&t->s, "CWSANDBOX_PLACEMENT_REJECTED", "cwsandbox.com"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK); /* now it is known: there is none */
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
    }
    EACH("doubt about a create stays when a later attempt did not even leave") {
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_LOST);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        script_end(&t->s, "CreateSandbox", CWS_END_NOT_SENT);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("L30: a create that failed without a reason is in doubt; with one it is settled") {
        static const char *const codes[] = {"internal", "unknown"};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_box(t, NULL);
            t->s.call_count = 0;
            script_error(&t->s, "CreateSandbox", codes[i], "oops", NULL);
            CHECK_INT(api_start(t, sb), CWS_ERR_SANDBOX);
            script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
            script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"));
            CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
            CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
            sb = api_box(t, NULL);
            t->s.call_count = 0;
            script_error(&t->s, "CreateSandbox", codes[i], "oops",
                         script_reason(&t->s, "CWSANDBOX_NO_SUITABLE_RUNNER", "cwsandbox.com"));
            CHECK_INT(api_start(t, sb), CWS_ERR_SANDBOX);
            CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
            CHECK_STR(script_calls(&t->s), "CreateSandbox");
        }
    }
    EACH("a create that never left is settled: stop cancels for good without another call") {
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_NOT_SENT);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        HAS(t->err.message, "no connection");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    STREAMING("L48: stop during a start in flight waits for the id and then deletes") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *start = NULL, *stop = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 3000;
        script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"));
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 10, &t->err), CWS_OK);
        CHECK_INT(t->s.opens, 1);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &stop, &t->err), CWS_OK);
        CHECK_INT(api_drive(t, stop), CWS_OK);
        CHECK_INT(cws_op_result(start, &t->err), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox DeleteSandbox");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_op_free(start);
        cws_op_free(stop);
    }
    STREAMING("stop during a start that was cancelled by its only caller still deletes") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *start = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 3000;
        script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"));
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 10, &t->err), CWS_OK);
        CHECK(cws_op_cancel(start));
        CHECK_INT(cws_op_wait(start, -1, &t->err), CWS_ERR_CANCELLED);
        cws_op_free(start);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox DeleteSandbox");
    }
    EACH("L34 L48: stop before start: for good, without a call; everything later says so") {
        cws_sandbox *sb = api_box(t, NULL), *found = NULL;
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        cws_state state = CWS_STATE_RUNNING;
        CHECK_INT(api_status(t, sb, &state), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "not been started");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "stopped before it was started");
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "stopped before it was started");
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "has been stopped");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_write(t, sb, "/x", "", 0, NULL), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_status(t, sb, &state), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "stopped before it was started");
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 1);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 1);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK(!result && !bytes && !found);
    }
    EACH("L26: exec, wait, wait_until_complete and files start an unstarted sandbox") {
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->times = 5;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = 4;
        CHECK_INT(api_wait(t, api_box(t, NULL), 0), CWS_OK);
        api_answer(t, 0, "", "");
        CHECK_INT(api_exec(t, api_box(t, NULL), api_true, NULL, &result), CWS_OK);
        cws_result_free(result);
        script_ok(&t->s, "ReadFile", "{}");
        CHECK_INT(api_read(t, api_box(t, NULL), "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        script_ok(&t->s, "WriteFile", "{}");
        CHECK_INT(api_write(t, api_box(t, NULL), "/x", "", 0, NULL), CWS_OK);
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_complete(t, api_box(t, NULL), NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 13);
    }
}

/* ---- the state machine ------------------------------------------------------------------------ */

/* Attach to a sandbox in this state. */
static cws_sandbox *api_found(api *t, const char *json)
{
    cws_sandbox *sb = NULL;
    script_ok(&t->s, "GetSandbox", json);
    CHECK_INT(api_from_id(t, "sb-1", false, &sb), CWS_OK);
    t->s.call_count = 0;
    if (!sb) abort();
    return sb;
}

static void api_test_states(void)
{
    EACH("L31: each number on the wire is one state; an unknown one is unspecified, and shown") {
        static const struct {
            const char *number;
            cws_state state;
            int32_t shown;
            bool terminal;
        } table[] = {{"0", CWS_STATE_UNSPECIFIED, 0, false}, {"1", CWS_STATE_CREATING, 1, false},
                     {"2", CWS_STATE_RUNNING, 2, false},     {"3", CWS_STATE_COMPLETED, 3, true},
                     {"4", CWS_STATE_FAILED, 4, true},       {"5", CWS_STATE_TERMINATING, 5, false},
                     {"6", CWS_STATE_TERMINATED, 6, true},   {"7", CWS_STATE_PENDING, 7, false},
                     {"8", CWS_STATE_PAUSED, 8, false},      {"9", CWS_STATE_PREPARING, 9, false},
                     {"77", CWS_STATE_UNSPECIFIED, 77, false}, {"-3", CWS_STATE_UNSPECIFIED, -3, false}};
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            char json[100];
            cws_sandbox *sb;
            (void)snprintf(json, sizeof(json), "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":%s}}",
                           table[i].number);
            sb = api_found(t, json);
            CHECK_INT(cws_sandbox_state(sb), table[i].state);
            CHECK_INT(cws_sandbox_get_info(sb)->state, table[i].state);
            CHECK_INT(cws_sandbox_get_info(sb)->state_number, table[i].shown);
            CHECK(cws_state_is_terminal(cws_sandbox_state(sb)) == table[i].terminal);
            CHECK(cws_state_name(cws_sandbox_state(sb))[0] != '\0');
        }
        CHECK_STR(cws_state_name((cws_state)99), "unspecified");
        CHECK_STR(cws_state_name(CWS_STATE_RUNNING), "running");
    }
    EACH("L31: a reply without a status is unspecified") {
        CHECK_INT(cws_sandbox_state(api_found(t, "{\"sandboxId\":\"sb-1\"}")),
                  CWS_STATE_UNSPECIFIED);
    }
    EACH("L7.3: the info of a sandbox: reason, runner, times, exit code of any answer") {
        const cws_sandbox_info *info;
        cws_sandbox *sb = api_found(
            t, "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_FAILED\","
               "\"stateReason\":\"image not found\",\"runnerId\":\"r\",\"runnerGroupId\":\"g\","
               "\"createTime\":\"2026-01-02T03:04:05.678Z\",\"startTime\":\"1970-01-01T00:00:01Z\","
               "\"endTime\":\"1970-01-01T00:00:02Z\",\"exitCode\":0}}");
        info = cws_sandbox_get_info(sb);
        CHECK_STR(info->sandbox_id, "sb-1");
        CHECK_STR(info->status_reason, "image not found");
        CHECK_STR(info->runner_id, "r");
        CHECK_STR(info->runner_group_id, "g");
        CHECK_INT(info->create_unix_ms, 1767323045678);
        CHECK_INT(info->start_unix_ms, 1000);
        CHECK_INT(info->end_unix_ms, 2000);
        CHECK(info->has_exit_code && info->exit_code == 0);
        CHECK_INT(info->updated_unix_ms, script_unix(&t->s));
    }
    EACH("L33: exit code 0, another one, and none are three things") {
        CHECK(cws_sandbox_get_info(api_found(t, EXITED("COMPLETED", 0)))->has_exit_code);
        CHECK_INT(cws_sandbox_get_info(api_found(t, EXITED("COMPLETED", -7)))->exit_code, -7);
        CHECK(!cws_sandbox_get_info(api_found(t, BOX("COMPLETED")))->has_exit_code);
    }
    EACH("L32: a state of nothing is COMPLETED when polling, and stays open when asking") {
        cws_sandbox *sb = api_started(t);
        cws_state state = CWS_STATE_NOT_STARTED;
        script_ok(&t->s, "GetSandbox", "{\"sandboxId\":\"sb-1\",\"status\":{}}")->times = 2;
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_UNSPECIFIED);
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK_STR(script_calls(&t->s), "GetSandbox GetSandbox"); /* and no look for an exit code */
    }
    EACH("L32: a terminal state never changes; asking again sends nothing") {
        cws_sandbox *sb = api_started(t);
        cws_state state;
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 3));
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_COMPLETED);
        CHECK_INT(cws_sandbox_get_info(sb)->exit_code, 3);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        CHECK_STR(script_calls(&t->s), "GetSandbox");
    }
    EACH("L32: a sandbox being stopped stays so until it has ended; its runner is kept") {
        cws_sandbox *sb = api_started(t);
        cws_state state;
        script_ok(&t->s, "GetSandbox",
                  "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_RUNNING\","
                  "\"runnerId\":\"r\"}}");
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_ok(&t->s, "GetSandbox", BOX("PENDING"));
        script_ok(&t->s, "GetSandbox", BOX("FAILED"));
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_RUNNING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_TERMINATING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_TERMINATING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_TERMINATING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_FAILED);
        CHECK_STR(cws_sandbox_get_info(sb)->runner_id, "r");
    }
    EACH("L32: the id never changes") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX_ID("other", "RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
    }
    EACH("L34 L40: a status has the deadline of a poll, and no error of its own is hidden") {
        cws_sandbox *sb = api_started(t);
        script_error(&t->s, "GetSandbox", "internal", "broken", NULL);
        CHECK_INT(api_status(t, sb, NULL), CWS_ERR_SANDBOX);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 15000);
        HAS(t->err.message, "Get status failed: broken");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        script_error(&t->s, "GetSandbox", "not_found", "", NULL);
        CHECK_INT(api_status(t, sb, NULL), CWS_ERR_NOT_FOUND);
        HAS(t->err.message, "'sb-1' not found");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PENDING);
    }
}

/* ---- waiting ---------------------------------------------------------------------------------- */

static void api_test_waiting(void)
{
    EACH("L10.1: polls after 0.2 s, then 1.5 times longer, at most 2 s; creating and unknown go on") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("CREATING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("PREPARING"))->times = 2;
        script_ok(&t->s, "GetSandbox", "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":77}}")
            ->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 300 450 675 1012 1518 2000 2000 2000 2000");
        CHECK_STR(script_json(&t->s, "GetSandbox", 0), "{\"sandboxId\":\"sb-1\"}");
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 15000);
    }
    EACH("L38: outcomes of a wait for RUNNING") {
        static const struct {
            const char *json;
            cws_status status;
            cws_state state;
        } table[] = {
            {BOX("RUNNING"), CWS_OK, CWS_STATE_RUNNING},
            {BOX("PAUSED"), CWS_OK, CWS_STATE_PAUSED},
            {BOX("TERMINATING"), CWS_OK, CWS_STATE_TERMINATING},
            {EXITED("COMPLETED", 5), CWS_OK, CWS_STATE_COMPLETED},
            {"{\"sandboxId\":\"sb-1\"}", CWS_OK, CWS_STATE_COMPLETED},
            {BOX("FAILED"), CWS_ERR_FAILED, CWS_STATE_FAILED},
            {BOX("TERMINATED"), CWS_ERR_TERMINATED, CWS_STATE_TERMINATED}};
        size_t i;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->times = 7;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            cws_sandbox *sb = api_box(t, NULL);
            script_ok(&t->s, "GetSandbox", table[i].json);
            CHECK_INT(api_wait(t, sb, 0), table[i].status);
            CHECK_INT(cws_sandbox_state(sb), table[i].state);
            /* and again, at once and without a call */
            if (i == 2) continue;
            CHECK_INT(api_wait(t, sb, 0), table[i].status);
        }
        CHECK_INT(script_count(&t->s, "GetSandbox"), 7);
    }
    EACH("L38: a failure tells the service's reason") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox",
                  "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_FAILED\","
                  "\"stateReason\":\"no image \\u00e4\"}}");
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_FAILED);
        HAS(t->err.message, "no image \xc3\xa4");
        HAS(t->err.message, "sb-1");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        CHECK_STR(t->err.reason, "");
        CHECK(!t->err.retryable);
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_FAILED);
    }
    EACH("L36: a wait for what is known already sends nothing") {
        static const struct {
            const char *json;
            cws_status wait, complete;
        } table[] = {{BOX("PAUSED"), CWS_OK, CWS_OK},
                     {EXITED("COMPLETED", 0), CWS_OK, CWS_OK},
                     {BOX("FAILED"), CWS_ERR_FAILED, CWS_ERR_FAILED},
                     {BOX("TERMINATED"), CWS_ERR_TERMINATED, CWS_ERR_TERMINATED}};
        size_t i;
        for (i = 0; i < 4; i++) {
            cws_sandbox *sb = api_found(t, table[i].json);
            CHECK_INT(api_wait(t, sb, 0), table[i].wait);
            if (i) CHECK_INT(api_complete(t, sb, NULL), table[i].complete);
            CHECK_INT(t->s.call_count, 0);
        }
    }
    EACH("L10.3: a wait that takes too long names the sandbox and the limit; it may be repeated") {
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        script_reply *r = script_ok(&t->s, "GetSandbox", BOX("PENDING"));
        r->times = -1;
        CHECK_INT(api_wait(t, sb, 3.5), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 3500);
        HAS(t->err.message, "sb-1");
        HAS(t->err.message, "3500 ms");
        HAS(t->err.message, "pending");
        CHECK(t->err.retryable);
        r->times = 0;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 1), CWS_OK);
    }
    EACH("L10.3: without a timeout a wait has the request timeout, counted from the start on") {
        cws_sandbox_opts o;
        cws_sandbox *sb;
        int64_t from;
        memset(&o, 0, sizeof(o));
        o.request_timeout_seconds = 20;
        sb = api_box(t, &o);
        from = t->s.now;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 15000;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = -1;
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 35000);
    }
    STREAMING("L36: many waiters share one poll") {
        cws_sandbox *sb = api_started(t);
        cws_op *ops[10];
        size_t i;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        for (i = 0; i < 10; i++)
            CHECK_INT(cws_sandbox_wait_begin(sb, 0, &ops[i], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 10, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        for (i = 0; i < 10; i++) {
            CHECK_INT(cws_op_result(ops[i], &t->err), CWS_OK);
            cws_op_free(ops[i]);
        }
        CHECK_INT(script_count(&t->s, "GetSandbox"), 4);
    }
    STREAMING("L37: one waiter's timeout and another's cancel do not disturb the third") {
        cws_sandbox *sb = api_started(t);
        cws_op *a, *b, *c;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->delay = 5000;
        CHECK_INT(cws_sandbox_wait_begin(sb, 0.5, &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &b, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &c, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_TIMEOUT);
        CHECK_INT(cws_op_result(b, &t->err), CWS_ERR_PENDING);
        CHECK(cws_op_cancel(b));
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_ERR_CANCELLED);
        CHECK(!cws_op_cancel(b));
        CHECK_INT(cws_op_wait(c, -1, &t->err), CWS_OK);
        CHECK_INT(script_count(&t->s, "GetSandbox"), 4);
        cws_op_free(a);
        cws_op_free(b);
        cws_op_free(c);
    }
    STREAMING("L37: waiters share an error; the next waiter polls afresh") {
        cws_sandbox *sb = api_started(t);
        cws_op *ops[2];
        script_error(&t->s, "GetSandbox", "permission_denied", "no", NULL);
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &ops[0], &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 2, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_op_result(ops[0], &t->err), CWS_ERR_AUTHENTICATION);
        HAS(t->err.message, "Poll sandbox status: Permission denied: no");
        CHECK_INT(cws_op_result(ops[1], &t->err), CWS_ERR_AUTHENTICATION);
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(script_count(&t->s, "GetSandbox"), 2);
        cws_op_free(ops[0]);
        cws_op_free(ops[1]);
    }
    STREAMING("a poll ends when its last waiter leaves") {
        cws_sandbox *sb = api_started(t);
        cws_op *op;
        script_never(&t->s, "GetSandbox");
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &op, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->s.opens - t->s.cancels, 1);
        cws_op_free(op);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->s.opens - t->s.cancels, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
    }
    STREAMING("CWS_ERR_WAIT_TIMEOUT: the operation goes on and may be waited for again") {
        cws_sandbox *sb = api_started(t);
        cws_op *op;
        int64_t from = t->s.now;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->delay = 5000;
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, 0, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now, from);
        CHECK_INT(cws_op_wait(op, 1000, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now, from + 1000);
        CHECK_INT(t->err.status, CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_op_result(op, &t->err), CWS_ERR_PENDING);
        CHECK_INT(cws_op_wait(op, 10000, &t->err), CWS_OK);
        CHECK_INT(t->s.now, from + 5000);
        CHECK_INT(cws_op_wait(op, 0, &t->err), CWS_OK);
        cws_op_free(op);
    }
    EACH("L39: the end: COMPLETED is fine unless this object stopped it; TERMINATED and FAILED") {
        cws_complete_opts lenient;
        cws_sandbox *sb = api_started(t);
        memset(&lenient, 0, sizeof(lenient));
        lenient.allow_termination = true;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 9));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK); /* merely seen TERMINATING */
        CHECK_INT(cws_sandbox_get_info(sb)->exit_code, 9);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 300");
        sb = api_running(t);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_TERMINATED);
        CHECK_INT(api_complete(t, sb, &lenient), CWS_OK);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("TERMINATED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_TERMINATED);
        CHECK_INT(api_complete(t, sb, &lenient), CWS_OK);
        CHECK_STR(t->err.reason, "");
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("FAILED"));
        CHECK_INT(api_complete(t, sb, &lenient), CWS_ERR_FAILED);
        sb = api_found(t, BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
    }
    EACH("L10.4: wait_until_complete that takes too long: the sandbox goes on") {
        cws_complete_opts o;
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 10;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = -1;
        CHECK_INT(api_complete(t, sb, &o), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 10000);
        HAS(t->err.message, "did not end");
    }
    STREAMING("L38: a waiter for RUNNING hears that the sandbox was stopped meanwhile") {
        cws_sandbox *sb = api_started(t);
        cws_op *wait, *stop;
        int k;
        for (k = 0; k < 2; k++) {
            if (k) sb = api_started(t);
            script_ok(&t->s, "GetSandbox", BOX("PENDING"));
            CHECK_INT(cws_sandbox_wait_begin(sb, 0, &wait, &t->err), CWS_OK);
            CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
            CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
            script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
            script_ok(&t->s, "GetSandbox", k ? BOX("TERMINATING") : EXITED("COMPLETED", 0))->times =
                -1;
            CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &stop, &t->err), CWS_OK);
            CHECK_INT(cws_op_wait(wait, -1, &t->err), CWS_ERR_NOT_RUNNING);
            HAS(t->err.message, "has been stopped");
            t->s.last->times = 0;
            script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->times = -1;
            CHECK_INT(cws_op_wait(stop, -1, &t->err), CWS_OK);
            t->s.last->times = 0;
            cws_op_free(wait);
            cws_op_free(stop);
        }
    }
}

/* ---- retries of polls ------------------------------------------------------------------------- */

static void api_test_retries(void)
{
    EACH("L42: unavailable twice, then RUNNING: fine; the pauses are the jitter's") {
        cws_sandbox *sb = api_started(t);
        t->s.use_fixed = true; /* the shortest pauses */
        script_error(&t->s, "GetSandbox", "unavailable", "a", NULL)->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 200");
    }
    ONCE("L43: the jitter lies between 0.2 s and 1.5 times the last pause, at most 2 s") {
        int64_t last = 200, pause;
        size_t i, above = 0;
        cws_sandbox *sb = api_started(t);
        script_error(&t->s, "GetSandbox", "unavailable", "a", NULL)->times = -1;
        t->s.seed = 7;
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_UNAVAILABLE);
        for (i = 1; i + 1 < t->s.call_count; i++) {
            int64_t most = last * 3 / 2 < 2000 ? last * 3 / 2 : 2000;
            pause = t->s.calls[i].at - t->s.calls[i - 1].at;
            CHECK(pause >= 200 && pause <= (most < 200 ? 200 : most));
            if (pause > 200) above++;
            last = pause;
        }
        CHECK(above > 0);
    }
    EACH("L42: the budget of 30 s ends with the last error as it is; the last pause is cut") {
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        script_error(&t->s, "GetSandbox", "unavailable", "still", NULL)->times = -1;
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_UNAVAILABLE);
        HAS(t->err.message, "Service unavailable: still");
        CHECK_INT(t->s.now - from, 30000);
        CHECK(t->err.retryable);
        CHECK(t->s.calls[t->s.call_count - 1].at < from + 30000);
    }
    EACH("L42: no budget: the first error counts") {
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_started(t);
        script_error(&t->s, "GetSandbox", "unavailable", "", NULL);
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_UNAVAILABLE);
        CHECK_INT(t->s.call_count, 1);
        CHECK_INT(t->s.calls[0].timeout_ms, 15000);
    }
    EACH("L41: which failures of a poll are repeated") {
        static const struct {
            const char *code, *reason;
            bool repeated;
            cws_status status;
        } table[] = {
            {"unavailable", NULL, true, CWS_ERR_UNAVAILABLE},
            {"deadline_exceeded", NULL, true, CWS_ERR_REQUEST_TIMEOUT},
            {"resource_exhausted", NULL, true, CWS_ERR_RESOURCE_EXHAUSTED},
            {"internal", "CWSANDBOX_RUNNER_UNAVAILABLE", true, CWS_ERR_UNAVAILABLE},
            {"internal", "CWSANDBOX_FSS_BACKEND_THROTTLED", true, CWS_ERR_SNAPSHOT_THROTTLED},
            {"unavailable", "CWSANDBOX_UNHEARD_OF", true, CWS_ERR_UNAVAILABLE},
            {"not_found", NULL, false, CWS_ERR_NOT_FOUND},
            {"unavailable", "CWSANDBOX_SANDBOX_NOT_FOUND", false, CWS_ERR_NOT_FOUND},
            {"unavailable", "CWSANDBOX_COMMAND_TIMEOUT", false, CWS_ERR_COMMAND_TIMEOUT},
            {"unauthenticated", NULL, false, CWS_ERR_AUTHENTICATION},
            {"permission_denied", NULL, false, CWS_ERR_AUTHENTICATION},
            {"canceled", NULL, false, CWS_ERR_NOT_RUNNING},
            {"invalid_argument", NULL, false, CWS_ERR_SANDBOX},
            {"internal", NULL, false, CWS_ERR_SANDBOX},
            {"unknown", NULL, false, CWS_ERR_SANDBOX},
            {"unimplemented", NULL, false, CWS_ERR_UNIMPLEMENTED},
            {"data_loss", NULL, false, CWS_ERR_SANDBOX}};
        size_t i;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        (void)api_box(t, NULL);
        CHECK_INT(api_start(t, t->boxes[0]), CWS_OK);
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            const char *detail =
                table[i].reason ? script_reason(&t->s, table[i].reason, "cwsandbox.com") : NULL;
            t->s.call_count = 0;
            script_error(&t->s, "GetSandbox", table[i].code, "x", detail);
            if (table[i].repeated) script_error(&t->s, "GetSandbox", "data_loss", "x", NULL);
            CHECK_INT(api_wait(t, t->boxes[0], 0),
                      table[i].repeated ? CWS_ERR_SANDBOX : table[i].status);
            if (!CHECK_INT(t->s.call_count, table[i].repeated ? 2 : 1))
                printf("    %s %s\n", table[i].code, table[i].reason ? table[i].reason : "");
        }
    }
    EACH("L41: transport failures of a poll: all are repeated but TLS and broken protocol") {
        static const struct {
            cws_end end;
            bool repeated;
            cws_status status;
        } table[] = {{CWS_END_NOT_SENT, true, CWS_ERR_TRANSPORT},
                     {CWS_END_REFUSED, true, CWS_ERR_TRANSPORT},
                     {CWS_END_LOST, true, CWS_ERR_TRANSPORT},
                     {CWS_END_TIMEOUT, true, CWS_ERR_REQUEST_TIMEOUT},
                     {CWS_END_TLS, false, CWS_ERR_TRANSPORT},
                     {CWS_END_RESET, false, CWS_ERR_PROTOCOL},
                     {CWS_END_PROTOCOL, false, CWS_ERR_PROTOCOL},
                     {CWS_END_NO_MEMORY, false, CWS_ERR_NO_MEMORY}};
        size_t i;
        cws_sandbox *sb = api_started(t);
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            t->s.call_count = 0;
            script_end(&t->s, "GetSandbox", table[i].end);
            if (table[i].repeated) script_error(&t->s, "GetSandbox", "data_loss", "x", NULL);
            CHECK_INT(api_wait(t, sb, 0), table[i].repeated ? CWS_ERR_SANDBOX : table[i].status);
            CHECK_INT(t->s.call_count, table[i].repeated ? 2 : 1);
        }
    }
    EACH("L40 L43: a poll that is never answered ends after 15 s and is repeated; then the rest") {
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        t->s.use_fixed = true;
        script_never(&t->s, "GetSandbox")->times = -1;
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(t->s.now - from, 45000); /* the budget begins with the first failure */
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 15000);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 1)->timeout_ms, 15000);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 2)->timeout_ms, 30000 - 200 - 15000 - 200);
        CHECK_INT(t->s.call_count, 3);
    }
    EACH("L43: a small budget bounds the first poll too, and 0.1 s is the least") {
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = 3;
        sb = api_started(t);
        t->s.use_fixed = true;
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "2.950s"));
        script_never(&t->s, "GetSandbox");
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 3000);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 1)->timeout_ms, 100);
    }
    EACH("L44: a hint of 5 s is used, 60 s counts as 10, it is bounded by the rest") {
        cws_sandbox *sb = api_started(t);
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "5s"));
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "60s"))->times = 2;
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "10s"));
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_UNAVAILABLE);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "5000 10000 10000");
        CHECK(t->err.has_retry_after);
        CHECK_INT(t->err.retry_after_ms, 10000);
    }
    EACH("L44: a hint of zero or below is none") {
        cws_sandbox *sb = api_started(t);
        t->s.use_fixed = true;
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "0s"));
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "-5s"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 200");
    }
    EACH("L42: an answer in between gives the budget back") {
        cws_sandbox *sb = api_started(t);
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "10s"))->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"));
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "10s"))->times = 2;
        script_never(&t->s, "GetSandbox");
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 100), CWS_ERR_REQUEST_TIMEOUT);
        t->s.call_count = 0;
        CHECK_INT(api_wait(t, sb, 100), CWS_OK);
        CHECK_INT(t->s.calls[0].timeout_ms, 15000); /* nothing of the last burst is left */
    }
    STREAMING("L45: a retry shared by two: the short waiter gives up, the long one succeeds") {
        cws_sandbox *sb = api_started(t);
        cws_op *a, *b, *c;
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "8s"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(cws_sandbox_wait_begin(sb, 2, &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, 60, &b, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, 60, &c, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_TIMEOUT);
        CHECK(cws_op_cancel(c)); /* during the pause before the retry */
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_OK);
        CHECK_INT(cws_op_result(c, &t->err), CWS_ERR_CANCELLED);
        cws_op_free(a);
        cws_op_free(b);
        cws_op_free(c);
    }
    EACH("L47: COMPLETED without an exit code: two more looks, 2 s apart, 2 s each") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"))->times = 3;
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "2000 2000");
        CHECK_INT(t->s.calls[1].timeout_ms, 2000);
        CHECK(!cws_sandbox_get_info(sb)->has_exit_code);
    }
    EACH("L47: the looks end with the code; a stale answer and a failure change nothing") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 7));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_get_info(sb)->exit_code, 7);
        CHECK_INT(t->s.call_count, 2);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_error(&t->s, "GetSandbox", "unavailable", "", NULL);
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK_INT(t->s.call_count, 3);
    }
    EACH("L47: no look for FAILED, TERMINATED, or when a code is there; 0 is a code") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 1);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("FAILED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_FAILED);
        CHECK_INT(t->s.call_count, 1);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("TERMINATED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_TERMINATED);
        CHECK_INT(t->s.call_count, 1);
    }
    EACH("L47: no look after a stop of ours, or once it was stopping") {
        cws_sandbox *sb = api_running(t);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "DeleteSandbox GetSandbox");
        sb = api_found(t, BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 1);
    }
    EACH("L47: a wait that ends during the looks has the completion in hand") {
        cws_complete_opts o;
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 1;
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_complete(t, sb, &o), CWS_OK);
        CHECK_INT(t->s.now - from, 1000);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
    }
}

/* ---- main ------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    test_init(argc, argv);
    api_test_defaults();
    api_test_resources();
    api_test_secrets();
    api_test_client();
    api_test_arguments();
    api_test_start();
    api_test_states();
    api_test_waiting();
    api_test_retries();
    return test_summary();
}
