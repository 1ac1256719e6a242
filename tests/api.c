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
        CHECK_INT(cws_client_memory(t->client).used_bytes, test_alloc_live_bytes());
        cws_client_free(t->client);
        CHECK_INT(t->s.closes, 1);
    }
    CHECK_INT(test_alloc_live(), 0);
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
    begun = api_finish(t, cws_sandbox_get_status_begin(sb, &op, &t->err), op);
    if (state) *state = cws_sandbox_state(sb);
    return begun;
}

static cws_status api_get_status(api *t, cws_sandbox *sb)
{
    cws_op *op = NULL;
    cws_status begun;
    if (t->mode != API_ASYNC) return cws_sandbox_get_status(sb, NULL, &t->err);
    begun = cws_sandbox_get_status_begin(sb, &op, &t->err);
    return api_finish(t, begun, op);
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

