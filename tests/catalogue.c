/* SPDX-License-Identifier: MIT
 *
 * The integration catalogue over a real server on loopback (tests/gateway) in front of the local
 * backend: listing, stop and completion (17.5), session and functions (17.7), metrics (17.8). Each
 * row of its tables is a test, in both dialects over Connect; those that are most about the wire
 * are once more, in v1 over gRPC.
 *
 *     catalogue BACKEND-PROGRAM [part of a test's name]
 *
 * Where the rows are about Python or a live service, here is what stands for it:
 *
 *     pickle                  CWS_SERIALIZE_BYTES, with pickles in it (the oldest, textual kind)
 *     closure, global         closure_vars; a global of the source as well
 *     a later change of the   options are copied: the next call of the function does not see it, a
 *     caller's map            function made from the changed options does
 *     from_id, 5 s later      at once: this backend does not forget
 *     the async session       the X_begin functions
 *     the W&B module, faked   a cws_reporter
 *     live training loop      the same loop with a cws_reporter and JSON lines; W&B's own wire
 *                             format is in tests/wandb_wire.py
 *     startup 2, 4, 6         a clock by script, which stands still but for these seconds
 *
 * Python functions need python3 in the sandbox, that is on this machine, else they are skipped.
 */
#define _GNU_SOURCE
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "setup.h"

#define HAS(text, part) has(__LINE__, (text), (part))

static setup setups[SETUPS];
static char tag[32]; /* of all sandboxes of the running test */
static const char *const tags[] = {tag, NULL};

/* ---- what the rows have in common */

static bool has(int line, const char *text, const char *part)
{
    if (CHECK(strstr(text, part) != NULL)) return true;
    printf("    line %d: no \"%s\" in: %.2000s\n", line, part, text);
    return false;
}

/* Instead of the session of the setup, one with these options and the tag of the test. */
static bool session_with(setup *s, const cws_session_opts *opts, const cws_sandbox_opts *defaults)
{
    cws_session_opts so = {0};
    cws_sandbox_opts d = {0};
    cws_error err;
    if (opts) so = *opts;
    if (defaults) d = *defaults;
    d.tags = tags;
    so.client = s->client;
    so.defaults = &d;
    so.close_timeout_seconds = 20;
    CHECK_INT(cws_session_close(s->session, &err), CWS_OK);
    cws_session_free(s->session);
    return ok(cws_session_open(&so, &s->session, &err), &err);
}

/* A second session, that knows nothing of the first. */
static cws_session *other_session(setup *s)
{
    cws_session_opts so = {0};
    cws_session *other = NULL;
    cws_error err;
    so.client = s->client;
    if (!ok(cws_session_open(&so, &other, &err), &err)) exit(1);
    return other;
}

static void end_session(cws_session *session)
{
    cws_error err;
    (void)ok(cws_session_close(session, &err), &err);
    cws_session_free(session);
}

static cws_sandbox *box_of(cws_session *session, const cws_sandbox_opts *opts)
{
    cws_sandbox *box = NULL;
    cws_error err;
    if (!ok(cws_session_sandbox(session, opts, &box, &err), &err)) exit(1);
    return box;
}

/* How many sandboxes with the tag of the test a session finds; if one, its id and state. */
typedef struct found {
    size_t count;
    char id[200];
    cws_state state;
} found;

static found look(cws_session *session, cws_state status, bool stopped, bool by_tag)
{
    cws_session_list_opts o = {0};
    cws_sandboxes *list = NULL;
    cws_error err;
    found f = {0};
    f.count = 1000;
    o.state = status;
    o.include_stopped = stopped;
    o.tags = by_tag ? tags : NULL;
    if (ok(cws_session_list(session, &o, &list, &err), &err)) {
        f.count = cws_sandboxes_count(list);
        if (f.count == 1) {
            cws_sandbox *one = cws_sandboxes_at(list, 0);
            snprintf(f.id, sizeof f.id, "%s", cws_sandbox_id(one));
            f.state = cws_sandbox_state(one);
        }
    }
    cws_sandboxes_free(list);
    return f;
}

/* What the server has of this test, asked by somebody else. */
static found on_server(setup *s, cws_state status, bool stopped)
{
    cws_session *other = other_session(s);
    found f = look(other, status, stopped, true);
    end_session(other);
    return f;
}

static void check_found(found f, const cws_sandbox *box, cws_state state)
{
    if (!CHECK_INT(f.count, 1)) return;
    CHECK_STR(f.id, cws_sandbox_id(box));
    CHECK_STR(cws_state_name(f.state), cws_state_name(state));
}

/* The sandbox of the setup, whose main command runs until let_go. */
static bool start_held(setup *s)
{
    static const char *const args[] = {"-c", "until [ -e go ]; do sleep 0.05; done; sleep 0.1",
                                       NULL};
    cws_sandbox_opts o = {0};
    o.command = "/bin/sh";
    o.args = args;
    return start_box_with(s, &o);
}

static void let_go(setup *s)
{
    cws_wait_opts o = {0};
    cws_error err;
    o.timeout_seconds = 20;
    /* The end may come before the answer. If the file is not there, the wait says so. */
    (void)cws_write_file(s->box, "/workspace/go", "", 0, NULL, &err);
    (void)ok(cws_sandbox_wait_until_complete(s->box, &o, &err), &err);
}

/* Standard output of a command. */
static void check_says(cws_sandbox *box, const char *script, const char *expected)
{
    cws_result *result;
    cws_error err;
    if (ok(run_in(box, script, 20, &result, &err), &err)) {
        CHECK_INT(cws_result_exit_code(result), 0);
        CHECK_STR(cws_result_stdout(result), expected);
    }
    cws_result_free(result);
}

/* ---- 17.5: listing, stop, completion */

static void list_hides_stopped(setup *s)
{
    double until;
    found f;
    if (!start_held(s)) return;
    check_found(on_server(s, CWS_STATE_NOT_STARTED, false), s->box, CWS_STATE_RUNNING);
    let_go(s);
    until = now_s() + 30;
    do f = on_server(s, CWS_STATE_NOT_STARTED, false);
    while (f.count == 1 && now_s() < until);
    CHECK_INT(f.count, 0);
}

static void list_shows_stopped(setup *s)
{
    if (!start_held(s)) return;
    let_go(s);
    check_found(on_server(s, CWS_STATE_NOT_STARTED, true), s->box, CWS_STATE_COMPLETED);
}

static void terminal_status_filter(setup *s)
{
    if (!start_held(s)) return;
    CHECK_INT(on_server(s, CWS_STATE_COMPLETED, false).count, 0);
    check_found(on_server(s, CWS_STATE_RUNNING, false), s->box, CWS_STATE_RUNNING);
    let_go(s);
    check_found(on_server(s, CWS_STATE_COMPLETED, false), s->box, CWS_STATE_COMPLETED);
    CHECK_INT(on_server(s, CWS_STATE_RUNNING, false).count, 0);
    CHECK_INT(on_server(s, CWS_STATE_FAILED, false).count, 0);
}

static void from_id_of_stopped(setup *s)
{
    cws_session *other;
    cws_sandbox *again = NULL;
    cws_error err;
    if (!start_held(s)) return;
    let_go(s);
    other = other_session(s);
    if (ok(cws_session_from_id(other, cws_sandbox_id(s->box), true, &again, &err), &err)) {
        cws_state state = cws_sandbox_state(again);
        CHECK_STR(cws_sandbox_id(again), cws_sandbox_id(s->box));
        if (!CHECK(cws_state_is_terminal(state) || state == CWS_STATE_UNSPECIFIED))
            printf("    it is %s\n", cws_state_name(state));
    }
    cws_sandbox_free(again);
    end_session(other);
}

static void stop_reaches_terminal(setup *s)
{
    cws_state state;
    cws_error err;
    found f;
    if (!start_box(s)) return;
    CHECK_INT(cws_session_sandbox_count(s->session), 1);
    (void)ok(cws_sandbox_stop(s->box, NULL, &err), &err);
    state = cws_sandbox_state(s->box);
    CHECK(state == CWS_STATE_COMPLETED || state == CWS_STATE_FAILED ||
          state == CWS_STATE_TERMINATED);
    CHECK_INT(cws_session_sandbox_count(s->session), 0);
    f = on_server(s, CWS_STATE_NOT_STARTED, true);
    if (CHECK_INT(f.count, 1)) CHECK(cws_state_is_terminal(f.state));
    CHECK_INT(on_server(s, CWS_STATE_NOT_STARTED, false).count, 0);
    (void)ok(cws_sandbox_stop(s->box, NULL, &err), &err); /* a second stop is none */
}

static void stop_then_wait(setup *s)
{
    cws_wait_opts lenient = {0};
    cws_error err;
    lenient.allow_termination = true;
    if (!start_box(s)) return;
    (void)ok(cws_sandbox_stop(s->box, NULL, &err), &err);
    CHECK_INT(cws_sandbox_wait_until_complete(s->box, NULL, &err), CWS_ERR_TERMINATED);
    CHECK_STR(err.sandbox_id, cws_sandbox_id(s->box));
    (void)ok(cws_sandbox_wait_until_complete(s->box, &lenient, &err), &err);
}

static void natural_exit(setup *s)
{
    static const char *const args[] = {"the end is near", NULL};
    cws_sandbox_opts o = {0};
    cws_wait_opts c = {0};
    cws_error err;
    o.command = "echo";
    o.args = args;
    c.timeout_seconds = 20;
    s->box = box_of(s->session, &o);
    (void)ok(cws_sandbox_wait_until_complete(s->box, &c, &err), &err);
    CHECK_STR(cws_state_name(cws_sandbox_state(s->box)), "completed");
    CHECK(cws_sandbox_last_info(s->box)->has_exit_code);
    CHECK_INT(cws_sandbox_last_info(s->box)->exit_code, 0);
}

/* In either order, and by another handle too, which has not asked for the end. */
static void concurrent_stop_and_wait(setup *s)
{
    cws_session *other = other_session(s);
    cws_wait_opts c = {0};
    cws_sandbox *same = NULL;
    cws_op *ops[3] = {NULL, NULL, NULL};
    cws_error err;
    size_t done = 0, i;
    int order;
    for (order = 0; order < 2; order++) {
        c.allow_termination = order == 0;
        c.timeout_seconds = 20;
        if (!start_box(s)) break;
        (void)ok(cws_session_from_id(other, cws_sandbox_id(s->box), false, &same, &err), &err);
        if (order == 0) CHECK_INT(cws_sandbox_stop_begin(s->box, NULL, &ops[0], &err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_until_complete_begin(s->box, &c, &ops[1], &err), CWS_OK);
        if (order == 1) CHECK_INT(cws_sandbox_stop_begin(s->box, NULL, &ops[0], &err), CWS_OK);
        c.allow_termination = true;
        CHECK_INT(cws_sandbox_wait_until_complete_begin(same, &c, &ops[2], &err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 3, CWS_ALL, 25, NULL, &done, &err), CWS_OK);
        CHECK_INT(done, 3);
        (void)ok(cws_op_status(ops[0], &err), &err);
        CHECK_INT(cws_op_status(ops[1], &err), order ? CWS_ERR_TERMINATED : CWS_OK);
        (void)ok(cws_op_status(ops[2], &err), &err);
        CHECK(cws_state_is_terminal(cws_sandbox_state(s->box)));
        CHECK_STR(cws_state_name(cws_sandbox_state(same)),
                  cws_state_name(cws_sandbox_state(s->box)));
        for (i = 0; i < 3; i++) cws_op_free(ops[i]);
        cws_sandbox_free(same);
        if (order == 0) cws_sandbox_free(s->box);
        if (order == 0) s->box = NULL;
    }
    end_session(other);
}

/* A service that has forgotten it, as this backend never does. */
static void check_forgotten(setup *s)
{
    cws_stop_opts o = {0};
    cws_error err;
    cws_sandbox_free(s->box);
    s->box = NULL;
    if (!start_box(s)) return;
    order_fault(s->api == CWS_API_V1 ? "SandboxService/DeleteSandbox" : "GatewayService/Stop",
                "\"times\":2,\"action\":\"error\",\"code\":\"not_found\"");
    CHECK_INT(cws_sandbox_stop(s->box, &o, &err), CWS_ERR_NOT_FOUND);
    CHECK_INT(cws_session_sandbox_count(s->session), 1);
    o.missing_ok = true;
    (void)ok(cws_sandbox_stop(s->box, &o, &err), &err);
    CHECK_INT(cws_session_sandbox_count(s->session), 0);
    CHECK(server_faults("[]"));
    (void)ok(cws_sandbox_delete(s->client, cws_sandbox_id(s->box), false, &err), &err);
}

static void stop_of_deleted(setup *s)
{
    cws_stop_opts o = {0};
    cws_error err;
    o.missing_ok = true;
    if (!start_box(s)) return;
    (void)ok(cws_sandbox_delete(s->client, cws_sandbox_id(s->box), false, &err), &err);
    (void)ok(cws_sandbox_stop(s->box, &o, &err), &err);
    CHECK_INT(on_server(s, CWS_STATE_NOT_STARTED, false).count, 0);
    CHECK_INT(cws_sandbox_delete(s->client, "no-such-sandbox", false, &err), CWS_ERR_NOT_FOUND);
    (void)ok(cws_sandbox_delete(s->client, "no-such-sandbox", true, &err), &err);
    check_forgotten(s);
}

/* ---- 17.7: session */

static void session_create(setup *s)
{
    s->box = box_of(s->session, NULL);
    CHECK_INT(cws_session_sandbox_count(s->session), 1);
    check_says(s->box, "echo one", "one\n");
    CHECK_INT(on_server(s, CWS_STATE_RUNNING, false).count, 1);
}

static void session_several(setup *s)
{
    enum { BOXES = 3 };
    cws_sandbox *box[BOXES];
    cws_error err;
    int i, k;
    for (i = 0; i < BOXES; i++) box[i] = box_of(s->session, NULL);
    for (i = 0; i < BOXES; i++) {
        char script[60], expected[20];
        snprintf(script, sizeof script, "echo %d >mine; cat mine; ls | wc -l | tr -d ' '", i);
        snprintf(expected, sizeof expected, "%d\n1\n", i);
        check_says(box[i], script, expected);
        for (k = 0; k < i; k++) CHECK(strcmp(cws_sandbox_id(box[i]), cws_sandbox_id(box[k])) != 0);
    }
    CHECK_INT(cws_session_sandbox_count(s->session), BOXES);
    CHECK_INT(on_server(s, CWS_STATE_RUNNING, false).count, BOXES);
    (void)ok(cws_session_close(s->session, &err), &err);
    for (i = 0; i < BOXES; i++) {
        CHECK(cws_state_is_terminal(cws_sandbox_state(box[i])));
        cws_sandbox_free(box[i]);
    }
    CHECK_INT(on_server(s, CWS_STATE_NOT_STARTED, false).count, 0);
}

/* Run a command without a deadline of its own; the server is told this one, in seconds. */
static void check_deadline(setup *s, cws_sandbox *box, int seconds)
{
    char field[60];
    cws_result *result = NULL;
    const char *const argv[] = {"echo", "in time", NULL};
    cws_error err;
    snprintf(field, sizeof field,
             s->protocol == CWS_PROTOCOL_GRPC ? "\"grpc-timeout\":\"%d000m\""
                                              : "\"connect-timeout-ms\":\"%d000\"", seconds);
    if (!ok(cws_sandbox_wait(box, wait_for(20), &err), &err)) return;
    CHECK(server_forget());
    if (ok(cws_exec(box, argv, NULL, &result, &err), &err))
        CHECK_STR(cws_result_stdout(result), "in time\n");
    cws_result_free(result);
    CHECK_INT(server_count("StreamExec\""), 1);
    CHECK_INT(server_count(field), 1);
}

static void session_request_timeout(setup *s)
{
    cws_sandbox_opts defaults = {0}, o = {0};
    cws_sandbox *plain;
    defaults.request_timeout_seconds = 60;
    o.request_timeout_seconds = 120;
    if (!session_with(s, NULL, &defaults)) return;
    s->box = box_of(s->session, &o);
    plain = box_of(s->session, NULL);
    check_deadline(s, s->box, 120);
    check_deadline(s, plain, 60);
    cws_sandbox_free(plain);
}

static void sandbox_after_close(setup *s)
{
    cws_error err;
    cws_sandbox *box = NULL;
    cws_sandboxes *list = NULL;
    (void)ok(cws_session_close(s->session, &err), &err);
    CHECK_INT(cws_session_sandbox(s->session, NULL, &box, &err), CWS_ERR_CLOSED);
    HAS(err.message, "closed");
    CHECK(box == NULL);
    CHECK_INT(cws_session_list(s->session, NULL, &list, &err), CWS_ERR_CLOSED);
    HAS(err.message, "closed");
    CHECK(list == NULL);
    CHECK_INT(on_server(s, CWS_STATE_NOT_STARTED, true).count, 0);
}

static void close_stops_orphans(setup *s)
{
    cws_error err;
    if (!start_box(s)) return;
    cws_sandbox_free(s->box);
    s->box = NULL;
    CHECK_INT(cws_session_sandbox_count(s->session), 1);
    CHECK_INT(on_server(s, CWS_STATE_RUNNING, false).count, 1);
    (void)ok(cws_session_close(s->session, &err), &err);
    CHECK_INT(cws_session_sandbox_count(s->session), 0);
    CHECK_INT(on_server(s, CWS_STATE_NOT_STARTED, false).count, 0);
    CHECK_INT(on_server(s, CWS_STATE_NOT_STARTED, true).count, 1);
}

static bool drive(cws_op *op)
{
    cws_error err;
    bool good = ok(cws_op_wait(op, 20, &err), &err);
    CHECK(cws_op_done(op));
    return good;
}

static void async_session(setup *s)
{
    static const char *const argv[] = {"echo", "from afar", NULL};
    cws_process *p = NULL;
    cws_op *op = NULL;
    cws_sandboxes *list;
    cws_error err;
    s->box = box_of(s->session, NULL);
    if (!ok(cws_exec_begin(s->box, argv, NULL, &p, &err), &err)) return;
    CHECK_STR(cws_sandbox_id(s->box), ""); /* nothing has moved yet */
    check_output(p, "from afar\n");
    if (!ok(cws_session_list_begin(s->session, NULL, &op, &err), &err)) return;
    CHECK(drive(op));
    list = cws_op_take_sandboxes(op);
    CHECK(list && cws_sandboxes_count(list) >= 1);
    cws_sandboxes_free(list);
    cws_op_free(op);
    if (!ok(cws_session_close_begin(s->session, &op, &err), &err)) return;
    CHECK(drive(op));
    cws_op_free(op);
    CHECK_INT(cws_client_pending(s->client), 0);
    CHECK_INT(on_server(s, CWS_STATE_NOT_STARTED, false).count, 0);
}

/* The session adds its tag by itself; a sandbox of somebody else is not seen. */
static void session_lists(setup *s)
{
    cws_session *other;
    cws_sandbox *foreign;
    cws_error err;
    if (!start_held(s)) return;
    other = other_session(s);
    foreign = box_of(other, NULL);
    (void)ok(cws_sandbox_wait(foreign, wait_for(20), &err), &err);
    check_found(look(s->session, CWS_STATE_NOT_STARTED, false, false), s->box, CWS_STATE_RUNNING);
    CHECK(look(other, CWS_STATE_NOT_STARTED, false, false).count >= 2);
    cws_sandbox_free(foreign);
    end_session(other);
    let_go(s);
    CHECK_INT(look(s->session, CWS_STATE_NOT_STARTED, false, false).count, 0);
    check_found(look(s->session, CWS_STATE_NOT_STARTED, true, false), s->box, CWS_STATE_COMPLETED);
    check_found(look(s->session, CWS_STATE_COMPLETED, false, false), s->box, CWS_STATE_COMPLETED);
    CHECK_INT(look(s->session, CWS_STATE_RUNNING, true, false).count, 0);
}

/* ---- 17.7: functions */

static const char *const python[] = {"python3", NULL};

/* Is Python there? Else the test is skipped. */
static bool has_python(setup *s)
{
    static const char *const argv[] = {"python3", "-c", "import json, linecache, pickle", NULL};
    static int known = -1;
    if (known < 0) {
        cws_result *result = NULL;
        cws_error err;
        cws_sandbox *box = box_of(s->session, NULL);
        if (!ok(cws_exec(box, argv, NULL, &result, &err), &err)) return false;
        known = cws_result_exit_code(result) == 0;
        cws_result_free(result);
        (void)ok(cws_sandbox_stop(box, NULL, &err), &err);
        cws_sandbox_free(box);
    }
    if (!known) SKIP("no python3 in a sandbox of the local backend");
    return known;
}

static cws_function *function_with(setup *s, cws_function_opts *o, const char *source,
                                   const char *name)
{
    cws_function *fn = NULL;
    cws_error err;
    o->source = source;
    o->name = name;
    o->interpreter = python;
    o->timeout_seconds = 30;
    if (!ok(cws_session_function(s->session, o, &fn, &err), &err)) exit(1);
    return fn;
}

static void check_call(cws_function *fn, const char *args, const char *expected)
{
    cws_bytes *out = NULL;
    cws_error err;
    if (ok(cws_function_call(fn, args, NULL, &out, &err), &err))
        CHECK_STR((const char *)cws_bytes_data(out), expected);
    cws_bytes_free(out);
}

/* A whole row: a function, a call, its result; and its sandbox is stopped. */
static void call_once(setup *s, cws_function_opts *o, const char *source, const char *args,
                      const char *expected)
{
    cws_function *fn = function_with(s, o, source, "f");
    check_call(fn, args, expected);
    cws_function_free(fn);
    CHECK_INT(cws_session_sandbox_count(s->session), 0);
}

/* Bytes in, bytes out. */
static void check_bytes(setup *s, const char *source, const char *in, char *out, size_t size)
{
    cws_function_opts o = {0};
    cws_function *fn;
    cws_bytes *bytes = NULL;
    cws_error err;
    o.serialization = CWS_SERIALIZE_BYTES;
    fn = function_with(s, &o, source, "f");
    out[0] = '\0';
    if (ok(cws_function_call_bytes(fn, in, strlen(in), &bytes, &err), &err)) {
        CHECK(cws_bytes_size(bytes) < size);
        snprintf(out, size, "%s", (const char *)cws_bytes_data(bytes));
    }
    cws_bytes_free(bytes);
    cws_function_free(fn);
}

static void function_pickle(setup *s)
{
    char out[100];
    if (!has_python(s)) return;
    check_bytes(s, "import pickle\n"
                   "def f(data):\n"
                   "    a, b = pickle.loads(data)\n"
                   "    return pickle.dumps(a + b, 0)\n",
                "(I2\nI3\nt.", out, sizeof out);
    CHECK_STR(out, "I5\n.");
}

static void function_pickle_complex(setup *s)
{
    char between[1000], out[1000];
    if (!has_python(s)) return;
    check_bytes(s, "import pickle\n"
                   "def f(data):\n"
                   "    d = pickle.loads(data)\n"
                   "    return pickle.dumps({'status': 'processed', 'value': d['value'] * 2,\n"
                   "                         'nested': d['nested'], 'tuple': (1, 2)}, 0)\n",
                "(dS'value'\nI21\nsS'nested'\n(dS'key'\n(lI1\naI2\nass.", between,
                sizeof between);
    check_bytes(s, "import json, pickle\n"
                   "def f(data):\n"
                   "    d = pickle.loads(data)\n"
                   "    assert d['tuple'] == (1, 2)\n"
                   "    return json.dumps(d, sort_keys=True).encode()\n",
                between, out, sizeof out);
    CHECK_STR(out, "{\"nested\": {\"key\": [1, 2]}, \"status\": \"processed\", \"tuple\": [1, 2], "
                   "\"value\": 42}");
}

static void function_json(setup *s)
{
    cws_function_opts o = {0};
    if (!has_python(s)) return;
    call_once(s, &o, "def f(d):\n    return d\n", "[{\"test\": 42}]", "{\"test\": 42}");
}

static void function_closure(setup *s)
{
    cws_function_opts o = {0};
    if (!has_python(s)) return;
    o.closure_vars = "{\"factor\": 10}";
    call_once(s, &o, "def f(x):\n    return x * factor\n", "[5]", "50");
}

static void function_global(setup *s)
{
    cws_function_opts o = {0};
    if (!has_python(s)) return;
    call_once(s, &o, "NUMBER = 42\ndef f():\n    return NUMBER * 2\n", NULL, "84");
}

static void function_raises(setup *s)
{
    static const char source[] = "def f():\n    raise ValueError('not this one')\n";
    cws_function_opts o = {0};
    cws_function *fn;
    cws_op *op = NULL;
    cws_error err;
    if (!has_python(s)) return;
    fn = function_with(s, &o, source, "f");
    if (ok(cws_function_call_begin(fn, NULL, NULL, &op, &err), &err)) {
        const cws_result *result;
        CHECK_INT(cws_op_wait(op, 30, &err), CWS_ERR_EXECUTION);
        CHECK(err.exit_code != 0);
        CHECK_STR(cws_error_metadata(&err, "exception_type"), "ValueError");
        CHECK_STR(cws_error_metadata(&err, "exception_message"), "not this one");
        result = cws_op_function_output(op);
        if (CHECK(result != NULL)) {
            CHECK_INT(cws_result_exit_code(result), err.exit_code);
            HAS(cws_result_stderr(result), "Traceback");
        }
        CHECK(cws_op_take_bytes(op) == NULL);
    }
    cws_op_free(op);
    cws_function_free(fn);
    CHECK_INT(cws_session_sandbox_count(s->session), 0);
    CHECK_INT(on_server(s, CWS_STATE_NOT_STARTED, false).count, 0);
}

static void function_environment(setup *s)
{
    static const char source[] = "import os\n"
                                 "def f():\n"
                                 "    return [os.environ.get(n) for n in 'ABCD']\n";
    const cws_pair defaults[] = {{"A", "session"}, {"B", "session"}, {NULL, NULL}};
    cws_pair own[] = {{"B", "function"}, {"C", "function"}, {NULL, NULL}};
    cws_sandbox_opts d = {0}, f = {0};
    cws_function_opts o = {0};
    cws_function *fn;
    d.environment_variables = defaults;
    f.environment_variables = own;
    o.sandbox = &f;
    if (!has_python(s) || !session_with(s, NULL, &d)) return;
    fn = function_with(s, &o, source, "f");
    own[1].key = "D";
    own[1].value = "later";
    check_call(fn, NULL, "[\"session\", \"function\", \"function\", null]");
    cws_function_free(fn);
    call_once(s, &o, source, NULL, "[\"session\", \"function\", null, \"later\"]");
}

/* ---- 17.8: metrics */

typedef struct report { /* what a reporter was given at once */
    int64_t step;
    size_t count;
    cws_metric values[CWS_METRICS_MAX];
} report;

typedef struct noted {
    bool run;  /* there is one */
    int logs;
    report at[4];
} noted;

static bool noted_active(void *user) { return ((noted *)user)->run; }

static bool noted_log(const cws_metric *values, size_t count, int64_t step, void *user)
{
    noted *n = (noted *)user;
    if (n->logs < 4) {
        report *r = &n->at[n->logs];
        r->step = step;
        r->count = count < CWS_METRICS_MAX ? count : CWS_METRICS_MAX;
        memcpy(r->values, values, r->count * sizeof(*values));
    }
    n->logs++;
    return true;
}

/* A value of a report, by the end of its name; -1: it is not there. */
static double reported(const report *r, const char *name)
{
    size_t i;
    for (i = 0; i < r->count; i++)
        if (strncmp(r->values[i].name, "cwsandbox/", 10) == 0 &&
            strcmp(r->values[i].name + 10, name) == 0)
            return r->values[i].number;
    return -1;
}

static const char *const nowhere[] = {NULL};

/* A session that reports to n. */
static bool report_to(setup *s, noted *n, bool run, const char *path)
{
    cws_session_opts so = {0};
    cws_reporter r = {0};
    memset(n, 0, sizeof *n);
    n->run = run;
    r.active = noted_active;
    r.log = noted_log;
    r.user = n;
    so.report_to = nowhere;
    so.reporter = &r;
    so.metrics_path = path;
    return session_with(s, &so, NULL);
}

static cws_metrics metrics_of(setup *s)
{
    cws_metrics m;
    cws_session_metrics(s->session, &m);
    return m;
}

static bool logged(setup *s, int64_t step, bool keep)
{
    bool taken = false;
    cws_error err;
    (void)ok(cws_session_log_metrics(s->session, step, !keep, &taken, &err), &err);
    return taken;
}

static void metrics_created(setup *s)
{
    static noted n;
    cws_sandbox *box[3];
    int i;
    if (!report_to(s, &n, true, NULL)) return;
    for (i = 0; i < 3; i++) {
        CHECK_INT(metrics_of(s).sandboxes_created, i);
        box[i] = box_of(s->session, NULL);
    }
    CHECK_INT(metrics_of(s).sandboxes_created, 3);
    CHECK(logged(s, CWS_NO_STEP, false));
    CHECK(reported(&n.at[0], "sandboxes_created") == 3);
    for (i = 0; i < 3; i++) cws_sandbox_free(box[i]);
}

/* Run `exit code`; the counters then are these. */
static void metrics_run(setup *s, int code, bool check, const char *expected)
{
    const char *argv[] = {"/bin/sh", "-c", NULL, NULL};
    char script[30], text[100];
    cws_exec_opts o = {0};
    cws_result *result = NULL;
    cws_error err;
    cws_metrics m;
    snprintf(script, sizeof script, "exit %d", code);
    argv[2] = script;
    o.check = check;
    o.timeout_seconds = 20;
    CHECK_INT(cws_exec(s->box, argv, &o, &result, &err),
              check && code ? CWS_ERR_EXECUTION : CWS_OK);
    cws_result_free(result);
    if (!expected) return;
    m = metrics_of(s);
    snprintf(text, sizeof text, "%d = %d ok, %d other, %d failed", (int)m.executions,
             (int)m.exec_completed_ok, (int)m.exec_completed_nonzero, (int)m.exec_failures);
    CHECK_STR(text, expected);
}

static void metrics_exec_ok(setup *s)
{
    static noted n;
    if (!report_to(s, &n, true, NULL) || !start_box(s)) return;
    metrics_run(s, 0, false, "1 = 1 ok, 0 other, 0 failed");
    CHECK(logged(s, CWS_NO_STEP, false));
    CHECK(reported(&n.at[0], "exec_completion_rate") == 1);
    CHECK(reported(&n.at[0], "exec_failure_rate") == 0);
}

static void metrics_exec_nonzero(setup *s)
{
    static noted n;
    if (!report_to(s, &n, true, NULL) || !start_box(s)) return;
    metrics_run(s, 3, false, "1 = 0 ok, 1 other, 0 failed");
    CHECK(logged(s, CWS_NO_STEP, false));
    CHECK(reported(&n.at[0], "exec_completion_rate") == 0);
    CHECK(reported(&n.at[0], "exec_failure_rate") == 0);
}

static void metrics_exec_failure(setup *s)
{
    static noted n;
    if (!report_to(s, &n, true, NULL) || !start_box(s)) return;
    metrics_run(s, 3, true, "1 = 0 ok, 0 other, 1 failed");
    metrics_run(s, 0, true, "2 = 1 ok, 0 other, 1 failed");
    CHECK(logged(s, CWS_NO_STEP, false));
    CHECK(reported(&n.at[0], "exec_completion_rate") == 0.5);
    CHECK(reported(&n.at[0], "exec_failure_rate") == 0.5);
}

static struct script_clock { /* the time of a client */
    bool frozen;
    int64_t at, ahead; /* while it stands; else before the real one */
} script_clock;

static int64_t script_now(void *user)
{
    struct script_clock *c = (struct script_clock *)user;
    return c->frozen ? c->at : (int64_t)(now_s() * 1000) + c->ahead;
}

static void script_freeze(struct script_clock *c, bool frozen)
{
    int64_t now = script_now(c);
    if (frozen) c->at = now;
    else c->ahead = now - (int64_t)(now_s() * 1000);
    c->frozen = frozen;
}

/* Startup takes so many seconds of a clock that stands still otherwise: that it runs is known to
 * somebody else, with the real time, before one poll is enough. */
static void start_in(cws_session *session, cws_session *other, int64_t seconds)
{
    cws_sandbox *box = box_of(session, NULL), *same = NULL;
    cws_metrics before, after;
    cws_error err;
    cws_session_metrics(session, &before);
    script_freeze(&script_clock, true);
    if (ok(cws_sandbox_start(box, &err), &err) &&
        ok(cws_session_from_id(other, cws_sandbox_id(box), false, &same, &err), &err) &&
        ok(cws_sandbox_wait(same, wait_for(20), &err), &err)) {
        script_clock.at += seconds * 1000;
        (void)ok(cws_sandbox_wait(box, wait_for(20), &err), &err);
    }
    script_freeze(&script_clock, false);
    cws_session_metrics(session, &after);
    CHECK_INT(after.startup_count, before.startup_count + 1);
    cws_sandbox_free(same);
    cws_sandbox_free(box);
}

static void metrics_startup(setup *s)
{
    cws_client_opts co = {0};
    cws_session_opts so = {0};
    cws_session *session = NULL;
    cws_metrics m;
    cws_error err;
    co.base_url = s->url;
    co.api_key = KEY;
    co.api_version = s->api;
    co.protocol = s->protocol;
    co.http_version = s->version;
    co.allocator = &test_allocator;
    co.no_environment = true;
    co.monotonic_ms = script_now;
    co.hooks_user = &script_clock;
    so.client_opts = &co;
    if (!ok(cws_session_open(&so, &session, &err), &err)) return;
    start_in(session, s->session, 2);
    start_in(session, s->session, 4);
    start_in(session, s->session, 6);
    cws_session_metrics(session, &m);
    CHECK_INT(m.startup_count, 3);
    CHECK(m.avg_startup_seconds == 4 && m.min_startup_seconds == 2 && m.max_startup_seconds == 6);
    end_session(session);
}

static void metrics_no_run(setup *s)
{
    static noted n;
    if (!report_to(s, &n, false, NULL) || !start_box(s)) return;
    metrics_run(s, 0, false, "1 = 1 ok, 0 other, 0 failed");
    CHECK(!logged(s, 1, false));
    CHECK_INT(n.logs, 0);
    CHECK_INT(metrics_of(s).sandboxes_created, 1); /* kept for a run that comes later */
    n.run = true;
    CHECK(logged(s, 2, false));
    CHECK_INT(n.logs, 1);
    CHECK(reported(&n.at[0], "exec_completed_ok") == 1);
}

/* No reporter: nothing is counted. */
static void check_uncounted(setup *s, const char *const *names)
{
    cws_session_opts so = {0};
    cws_metric values[CWS_METRICS_MAX];
    cws_metrics m;
    cws_error err;
    so.report_to = names;
    if (!session_with(s, &so, NULL) || !start_box(s)) return;
    metrics_run(s, 0, false, "0 = 0 ok, 0 other, 0 failed");
    m = metrics_of(s);
    CHECK(!m.enabled);
    CHECK_INT(m.sandboxes_created, 0);
    CHECK_INT(cws_metrics_values(&m, values, CWS_METRICS_MAX), 0);
    CHECK(!logged(s, 1, false));
    (void)ok(cws_session_close(s->session, &err), &err);
}

static void metrics_report_to_empty(setup *s) { check_uncounted(s, nowhere); }

static void metrics_report_to_other(setup *s)
{
    static const char *const other[] = {"abacus", NULL};
    s->trace_len = 0;
    s->trace[0] = '\0';
    check_uncounted(s, other);
    HAS(s->trace, "abacus"); /* a warning names it */
}

static void metrics_close_logs(setup *s)
{
    static noted n;
    cws_error err;
    if (!report_to(s, &n, true, NULL)) return;
    s->box = box_of(s->session, NULL);
    CHECK_INT(n.logs, 0);
    (void)ok(cws_session_close(s->session, &err), &err);
    (void)ok(cws_session_close(s->session, &err), &err);
    CHECK_INT(n.logs, 1);
    CHECK(reported(&n.at[0], "sandboxes_created") == 1);
    CHECK_INT(n.at[0].step, CWS_NO_STEP);
    CHECK_INT(metrics_of(s).sandboxes_created, 0);
}

static void metrics_step(setup *s)
{
    static noted n;
    if (!report_to(s, &n, true, NULL)) return;
    s->box = box_of(s->session, NULL);
    CHECK(logged(s, 42, false));
    CHECK_INT(n.logs, 1);
    CHECK_INT(n.at[0].step, 42);
}

static void metrics_reset(setup *s)
{
    static noted n;
    if (!report_to(s, &n, true, NULL)) return;
    s->box = box_of(s->session, NULL);
    CHECK(logged(s, CWS_NO_STEP, false));
    CHECK(!logged(s, CWS_NO_STEP, false));
    CHECK_INT(n.logs, 1);
}

static void metrics_keep(setup *s)
{
    static noted n;
    if (!report_to(s, &n, true, NULL)) return;
    s->box = box_of(s->session, NULL);
    CHECK(logged(s, CWS_NO_STEP, true));
    CHECK(logged(s, CWS_NO_STEP, true));
    CHECK_INT(n.logs, 2);
    CHECK(reported(&n.at[1], "sandboxes_created") == 1);
}

/* A file as text; it is removed. */
static void take_file(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "rb");
    size_t n = 0;
    if (CHECK(f != NULL)) n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    if (f) fclose(f);
    (void)remove(path);
}

static void metrics_training_loop(setup *s)
{
    static noted n;
    char path[200], text[4000], *second;
    cws_error err;
    int epoch;
    snprintf(path, sizeof path, "%s/catalogue-%d.jsonl",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
    (void)remove(path);
    if (!report_to(s, &n, true, path) || !start_box(s)) return;
    for (epoch = 0; epoch < 2; epoch++) {
        metrics_run(s, 0, false, NULL);
        metrics_run(s, 1, false, NULL);
        metrics_run(s, 0, false, "3 = 2 ok, 1 other, 0 failed");
        CHECK(logged(s, epoch, false));
        CHECK_INT(n.at[epoch].step, epoch);
        CHECK(reported(&n.at[epoch], "sandboxes_created") == (epoch ? 0 : 1));
        CHECK(reported(&n.at[epoch], "exec_completed_ok") == 2);
        CHECK(reported(&n.at[epoch], "exec_completed_nonzero") == 1);
    }
    (void)ok(cws_session_close(s->session, &err), &err);
    CHECK_INT(n.logs, 2); /* nothing is left for the close */
    take_file(path, text, sizeof text);
    second = strchr(text, '\n');
    if (!CHECK(second != NULL)) return;
    *second++ = '\0';
    HAS(text, "\"_step\":0,\"cwsandbox/sandboxes_created\":1,\"cwsandbox/executions\":3,"
              "\"cwsandbox/exec_completed_ok\":2,\"cwsandbox/exec_completed_nonzero\":1,");
    HAS(second, "\"_step\":1,\"cwsandbox/sandboxes_created\":0,\"cwsandbox/executions\":3,"
                "\"cwsandbox/exec_completed_ok\":2,\"cwsandbox/exec_completed_nonzero\":1,");
    CHECK(strchr(second, '\n') && strchr(second, '\n')[1] == '\0');
}

/* ---- the tables */

typedef struct row {
    const char *name;
    void (*run)(setup *s);
    bool grpc; /* over gRPC too */
} row;

static const row rows[] = {
    {"17.5: list hides stopped", list_hides_stopped, true},
    {"17.5: list shows stopped", list_shows_stopped, false},
    {"17.5: terminal status filter", terminal_status_filter, true},
    {"17.5: from_id of stopped", from_id_of_stopped, false},
    {"17.5: stop reaches terminal", stop_reaches_terminal, false},
    {"17.5: stop then wait, raising", stop_then_wait, true},
    {"17.5: natural exit does not raise", natural_exit, false},
    {"17.5: concurrent stop and wait", concurrent_stop_and_wait, true},
    {"17.5: stop of a deleted sandbox", stop_of_deleted, true},
    {"17.7: create sandbox", session_create, false},
    {"17.7: several sandboxes", session_several, false},
    {"17.7: request timeout per sandbox", session_request_timeout, true},
    {"17.7: function pickle", function_pickle, false},
    {"17.7: function pickle complex", function_pickle_complex, false},
    {"17.7: function JSON", function_json, true},
    {"17.7: function closure", function_closure, false},
    {"17.7: function global", function_global, false},
    {"17.7: function raises", function_raises, true},
    {"17.7: function environment", function_environment, false},
    {"17.7: sandbox after close", sandbox_after_close, false},
    {"17.7: close stops orphans", close_stops_orphans, false},
    {"17.7: async session", async_session, true},
    {"17.7: list stopped, status filter through the session", session_lists, false},
    {"17.8: three sandboxes made", metrics_created, false},
    {"17.8: exec ok", metrics_exec_ok, false},
    {"17.8: exec non-zero", metrics_exec_nonzero, false},
    {"17.8: exec failure", metrics_exec_failure, true},
    {"17.8: startup 2, 4, 6", metrics_startup, false},
    {"17.8: no active run", metrics_no_run, false},
    {"17.8: report_to empty", metrics_report_to_empty, false},
    {"17.8: report_to another name", metrics_report_to_other, false},
    {"17.8: close logs", metrics_close_logs, false},
    {"17.8: step 42", metrics_step, false},
    {"17.8: reset by default", metrics_reset, false},
    {"17.8: reset off", metrics_keep, false},
    {"17.8: training loop", metrics_training_loop, false},
};

static void test_row(setup *s, const row *r)
{
    static int number;
    snprintf(tag, sizeof tag, "row-%d", number++);
    if (!open_setup(s, 0, 0)) return;
    if (session_with(s, NULL, NULL)) r->run(s);
    close_setup(s);
}

static void test_dialect(setup *s, cws_api_version api)
{
    size_t i;
    s->api = api;
    s->quiet = true;
    for (i = 0; i < CWSI_COUNT(rows); i++) {
        if (s->protocol == CWS_PROTOCOL_GRPC && !rows[i].grpc) continue;
        TEST(title(s, "%s: %s", api == CWS_API_V1 ? "v1" : "v1beta2", rows[i].name))
        {
            double start = now_s();
            test_row(s, &rows[i]);
            if (now_s() - start > 1) printf("    %.1f s: %s\n", now_s() - start, test_g.name);
        }
    }
    TEST(title(s, "%s: in the end no sandbox lives, and no exchange is open%s",
               api == CWS_API_V1 ? "v1" : "v1beta2", ""))
    {
        double until = now_s() + 10;
        found f;
        if (!open_setup(s, 0, 0)) break;
        do f = look(s->session, CWS_STATE_NOT_STARTED, false, false);
        while (f.count > 0 && now_s() < until); /* a delete does not wait for the end */
        CHECK_INT(f.count, 0);
        close_setup(s);
        CHECK(server_stat_becomes("backend_exchanges", 0));
    }
}

static void run_tests(const char *backend, bool b2)
{
    if (!server_start(backend, KEY, WANDB_KEY)) {
        TEST("the gateway starts") CHECK(server_pid > 0);
        return;
    }
    fill_setups(setups);
    test_dialect(&setups[1], b2 ? CWS_API_V1BETA2 : CWS_API_V1); /* Connect, h2c */
    if (!b2) test_dialect(&setups[3], CWS_API_V1);               /* gRPC, h2c */
    server_stop();
}

/* What the other process has printed; its counts are added to those here. */
static void take_over(FILE *f, pid_t pid)
{
    char line[4096];
    int status = -1, passed = 0, failed = 0, skipped = 0;
    bool counted = false;
    waitpid(pid, &status, 0);
    rewind(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%d passed, %d failed, %d skipped", &passed, &failed, &skipped) == 3)
            counted = true;
        else fputs(line, stdout);
    }
    test_end();
    test_g.passed += passed, test_g.failed += failed, test_g.skips += skipped;
    if (counted && WIFEXITED(status) && WEXITSTATUS(status) == (failed ? 1 : 0)) return;
    printf("FAILED: the tests of v1beta2 ended with status %d\n", status);
    test_g.failed++;
}

/* Most of the time is spent on waiting, so each dialect has a process and a server of its own. */
int main(int argc, char **argv)
{
    FILE *other = tmpfile();
    pid_t pid;
    if (argc < 2 || !other) {
        printf("FAILED: no backend program is named, or there is no temporary file\n"
               "0 passed, 1 failed, 0 skipped\n");
        return 1;
    }
    test_init(argc - 1, argv + 1);
    pid = fork();
    if (pid == 0) {
        dup2(fileno(other), 1);
        run_tests(argv[1], true);
        return test_summary();
    }
    run_tests(argv[1], false);
    if (pid > 0) take_over(other, pid);
    else TEST("a process for v1beta2") CHECK(pid > 0);
    return test_summary();
}
