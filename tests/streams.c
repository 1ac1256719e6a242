/* SPDX-License-Identifier: MIT
 *
 * Shells, logs, uploads, downloads and files that go through commands, over the scripted transport:
 * what is sent, what is handed out, what is held back, and every way in which a stream may break.
 * Numbers are those of the lists of test cases that the service's own clients were written against
 * (SH: shells, LG: logs, FL: files). Usage:
 *
 *     streams [part of a test's name]
 */
#include "harness.h"

#define READY "{\"ready\":{}}"

/* ---- helpers --------------------------------------------------------------------------------- */

/* Forget the calls so far. */
static void st_reset(api *t)
{
    size_t i;
    for (i = 0; i < t->s.call_count; i++) cwsi_buf_free(&t->s.calls[i].sent);
    t->s.call_count = 0;
}

/* The way of the mode to the end of an operation. */
static cws_status st_end(api *t, cws_op *op)
{
    return api_async(t) ? api_drive(t, op) : cws_op_wait(op, -1, &t->err);
}

static char *st_out(api *t, const char *text)
{
    return script_output(&t->s, "STDOUT", text, strlen(text));
}

/* Poll until nothing is due for a while. */
static void st_turns(api *t, int turns)
{
    while (turns--) CHECK_INT(cws_client_poll(t->client, 1, &t->err), CWS_OK);
}

/* Append one output message of `size` bytes, which count up from `from`. */
static void st_big(api *t, script_reply *r, size_t from, size_t size)
{
    char *data = (char *)malloc(size);
    size_t i;
    if (!data) abort();
    for (i = 0; i < size; i++) data[i] = (char)((from + i) * 31 + (from + i) / 253);
    script_message(&t->s, r, script_output(&t->s, "STDOUT", data, size));
    free(data);
}

/* ---- shells ---------------------------------------------------------------------------------- */

static cws_process *st_shell(api *t, cws_sandbox *sb, const cws_shell_opts *o)
{
    cws_process *p = NULL;
    CHECK_INT(cws_shell_begin(sb, NULL, o, &p, &t->err), CWS_OK);
    return p;
}

/* All output of a process that is to come, as text; the status of the read that ended it. */
static cws_status st_read_all(api *t, cws_process *p, char *text, size_t room)
{
    size_t n = 0, got = 1;
    cws_status status = CWS_OK;
    while (!status && got) {
        status = cws_process_read(p, CWS_STDOUT, text + n, room - 1 - n, api_async(t) ? 0 : -1,
                                  &got, &t->err);
        n += got;
        if (status == CWS_ERR_WAIT_TIMEOUT && api_async(t)) {
            CHECK_INT(cws_client_poll(t->client, 100000, NULL), CWS_OK);
            status = CWS_OK;
            got = 1;
        }
    }
    text[n] = '\0';
    return status;
}

static const char *st_init(api *t, size_t index)
{
    return script_json(&t->s, "StreamExec", index);
}

static void st_test_shell(void)
{
    static const char *const python[] = {"python3", "-q", NULL};
    char text[300];
    STREAMING("SH-1 10: ready, output, exit: raw bytes in order, whatever stream they name") {
        cws_sandbox *sb = api_running(t);
        const cws_result *r = NULL;
        cws_process *p = NULL;
        int32_t code = 0;
        script_stream(&t->s, "{}", READY, script_output(&t->s, "STDOUT", "a\xc3", 2),
                      script_output(&t->s, "STDERR", "\xa4\r\n", 3),
                      script_output(&t->s, "UNSPECIFIED", "z", 1), EXIT(3), NULL);
        CHECK_INT(cws_shell_begin(sb, python, NULL, &p, &t->err), CWS_OK);
        CHECK(!cws_process_poll(p, &code));
        CHECK_INT(st_read_all(t, p, text, sizeof(text)), CWS_OK);
        CHECK_STR(text, "a\xc3\xa4\r\nz");
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK_INT(cws_process_wait(p, -1, &r, &t->err), CWS_OK);
        CHECK(cws_process_poll(p, &code) && code == 3);
        CHECK_STR(api_shown(r), "3||");
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDOUT), 6);
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDERR), 0);
        CHECK(!cws_result_truncated(r, CWS_STDOUT));
        CHECK_STR(cws_result_command(r)[0], "python3");
        CHECK_STR(cws_result_command(r)[1], "-q");
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 1);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_completed_nonzero, 1);
        cws_process_free(p);
    }
    STREAMING("SH-2: an error of the stream fails the shell behind its output; typed by its code") {
        static const struct {
            const char *json;
            cws_status status;
        } rows[] = {
            {"{\"error\":{\"message\":\"no pty\"}}", CWS_ERR_EXECUTION},
            {"{\"error\":{\"message\":\"no pty\",\"code\":\"STREAM_BACKPRESSURE\"}}",
             CWS_ERR_STREAM_BACKPRESSURE},
            {"{\"error\":{\"message\":\"no pty\",\"code\":\"STREAM_TRUNCATED\"}}",
             CWS_ERR_STREAM_TRUNCATED}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            cws_process *p;
            script_stream(&t->s, "{}", READY, st_out(t, "hello"), rows[i].json, NULL);
            p = st_shell(t, sb, NULL);
            CHECK_INT(st_read_all(t, p, text, sizeof(text)), rows[i].status);
            CHECK_STR(text, "hello");
            HAS(t->err.message, "no pty");
            CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), rows[i].status);
            CHECK(cws_status_is(t->err.status, CWS_ERR_EXECUTION));
            CHECK_STR(t->err.reason, "");
            CHECK_STR(t->err.stream_code, i == 0   ? ""
                                          : i == 1 ? "STREAM_BACKPRESSURE"
                                                   : "STREAM_TRUNCATED");
            cws_process_free(p);
        }
    }
    STREAMING("SH-3 11: a failure of the call is typed, and the same for everybody, every time") {
        cws_sandbox *sb = api_running(t);
        const cws_result *r = NULL;
        cws_process *p;
        char c;
        size_t n = 9;
        int i;
        script_stream(&t->s, "{\"error\":{\"code\":\"unavailable\",\"message\":\"away\"}}", READY,
                      st_out(t, "x"), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_UNAVAILABLE);
        for (i = 0; i < 3; i++) {
            CHECK_INT(cws_process_wait(p, -1, &r, &t->err), CWS_ERR_UNAVAILABLE);
            HAS(t->err.message, "away");
            CHECK(r && !cws_result_has_exit_code(r));
            CHECK(!cws_process_poll(p, NULL));
            CHECK_INT(cws_process_read(p, CWS_STDOUT, &c, 1, -1, &n, &t->err),
                      i ? CWS_ERR_UNAVAILABLE : CWS_OK);
            CHECK_INT(n, i ? 0 : 1);
            CHECK_INT(cws_process_read(p, CWS_STDERR, &c, 1, -1, &n, &t->err),
                      CWS_ERR_UNAVAILABLE);
        }
        CHECK_INT(script_count(&t->s, "StreamExec"), 1);
        cws_process_free(p);
    }
    STREAMING("SH-4 12: keys go out behind ready, in order, and the end behind them") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        api_answer_at_eof(t, OUT_A, 0)->delay = 200;
        p = st_shell(t, sb, NULL);
        CHECK_INT(cws_process_write(p, "ls\r", 3, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_process_write(p, "\x03", 1, -1, NULL, &t->err), CWS_OK);
        st_turns(t, 20);
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->sent.len, 0);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), "{\"stdin\":\"bHMNAw==\"}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 1), "{\"close\":{}}");
        CHECK(script_sent(&t->s, "StreamExec", 2) == NULL);
        CHECK(script_call_at(&t->s, "StreamExec", 0)->fin);
        CHECK_INT(cws_process_write(p, "x", 1, 0, NULL, &t->err), CWS_ERR_EXECUTION);
        HAS(t->err.message, "terminal session has ended");
        cws_process_free(p);
        script_never(&t->s, "StreamExec"); /* and ready must come soon, though nothing is written */
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_TIMEOUT);
        HAS(t->err.message, "ready");
        CHECK_INT(t->s.now - script_call_at(&t->s, "StreamExec", 1)->at, 5000);
        cws_process_free(p);
    }
    STREAMING("SH-5: a resize is sent with its numbers, ahead of what waits, the last one only") {
        cws_sandbox *sb = api_running(t);
        cws_shell_opts o;
        cws_process *p;
        memset(&o, 0, sizeof(o));
        o.width = 80;
        o.height = 24;
        api_answer_at_eof(t, NULL, 0)->delay = 100;
        p = st_shell(t, sb, &o);
        st_turns(t, 1);
        CHECK_INT(cws_process_write(p, "x", 1, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_process_resize(p, 100, 30, &t->err), CWS_OK); /* before ready: it waits */
        CHECK_INT(cws_process_resize(p, 101, 31, &t->err), CWS_OK); /* instead */
        st_turns(t, 20);
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->sent.len, 0);
        while (script_call_at(&t->s, "StreamExec", 0)->sent.len == 0) st_turns(t, 10);
        CHECK_INT(cws_process_resize(p, 65535, 1, &t->err), CWS_OK);
        st_turns(t, 5);
        CHECK_INT(cws_process_resize(p, 2, 65535, &t->err), CWS_OK);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(cws_process_resize(p, 7, 7, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        HAS(st_init(t, 0), "\"ttyWidth\":80,\"ttyHeight\":24");
        CHECK_STR(script_sent(&t->s, "StreamExec", 0),
                  "{\"resize\":{\"width\":101,\"height\":31}}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 1), "{\"stdin\":\"eA==\"}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 2),
                  "{\"resize\":{\"width\":65535,\"height\":1}}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 3), "{\"resize\":{\"width\":7,\"height\":7}}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 4), "{\"close\":{}}");
        CHECK(script_sent(&t->s, "StreamExec", 5) == NULL);
        cws_process_free(p);
    }
    STREAMING("no resize behind the end of the input; it is not refused before the end either") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        script_reply *r = script_stream(&t->s, "{}", READY, EXIT(0), NULL);
        r->chunk = 7;
        r->gap = 100;
        p = st_shell(t, sb, NULL);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        while (!script_call_at(&t->s, "StreamExec", 0)->fin) st_turns(t, 1);
        CHECK_INT(cws_process_resize(p, 5, 5, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), "{\"close\":{}}");
        CHECK(script_sent(&t->s, "StreamExec", 1) == NULL);
        cws_process_free(p);
    }
    STREAMING("SH-6: when the sandbox can not be started, reader and wait say so") {
        cws_sandbox *sb = api_box(t, NULL);
        const cws_result *r = NULL;
        cws_process *p;
        script_error(&t->s, "CreateSandbox", "permission_denied", "not you", NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_read_all(t, p, text, sizeof(text)), CWS_ERR_AUTHENTICATION);
        HAS(t->err.message, "not you");
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_AUTHENTICATION);
        CHECK_INT(cws_process_wait(p, -1, &r, &t->err), CWS_ERR_AUTHENTICATION);
        CHECK(r == NULL && cws_process_take_result(p) == NULL);
        CHECK_INT(cws_process_resize(p, 5, 5, &t->err), CWS_ERR_EXECUTION);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
        cws_process_free(p);
    }
    STREAMING("SH-7: cancel ends it on the wire; the reader gets what there was, then how") {
        cws_sandbox *sb = api_running(t);
        const script_call *call;
        cws_process *p;
        script_stream(&t->s, NULL, READY, st_out(t, "before"), NULL)->hold = true;
        p = st_shell(t, sb, NULL);
        st_turns(t, 5);
        CHECK(cws_process_cancel(p));
        CHECK_INT(cws_process_write(p, "x", 1, 0, NULL, &t->err), CWS_ERR_EXECUTION);
        CHECK_INT(cws_process_resize(p, 5, 5, &t->err), CWS_ERR_EXECUTION);
        HAS(t->err.message, "terminal session has ended");
        CHECK_INT(st_read_all(t, p, text, sizeof(text)), CWS_ERR_CANCELLED);
        CHECK_STR(text, "before");
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_CANCELLED);
        call = script_call_at(&t->s, "StreamExec", 0);
        CHECK(call->cancelled && call->ended_at >= call->at);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 1);
        cws_process_free(p);
    }
    STREAMING("SH-8: an ended or draining sandbox has no shell, and nothing is asked of it") {
        static const char *const states[] = {EXITED("COMPLETED", 0), BOX("TERMINATING")};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_found(t, states[i]);
            cws_process *p = st_shell(t, sb, NULL);
            CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_NOT_RUNNING);
            CHECK_INT(st_read_all(t, p, text, sizeof(text)), CWS_ERR_NOT_RUNNING);
            CHECK_INT(t->s.call_count, 0);
            cws_process_free(p);
        }
    }
    STREAMING("SH-9: a resize after the end is refused, and changes nothing") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        script_stream(&t->s, "{}", READY, EXIT(0), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(cws_process_resize(p, 0, 5, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_resize(p, 5, 0, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_resize(p, 65536, 5, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_resize(p, 5, 65536, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_resize(NULL, 5, 5, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK_INT(cws_process_resize(p, 5, 5, &t->err), CWS_ERR_EXECUTION);
        HAS(t->err.message, "terminal session has ended");
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        cws_process_free(p);
        script_stream(&t->s, "{}", EXIT(0), NULL);
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_process_resize(p, 5, 5, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_shell_begin");
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        cws_process_free(p);
    }
    STREAMING("SH-13: /bin/bash, a terminal, and nothing that was not given; no deadline") {
        cws_sandbox *sb = api_running(t);
        const script_call *call;
        cws_process *p;
        script_stream(&t->s, "{}", READY, EXIT(0), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK_STR(st_init(t, 0), "{\"init\":{\"sandboxId\":\"sb-1\",\"command\":[\"/bin/bash\"],"
                                 "\"tty\":true}}");
        call = script_call_at(&t->s, "StreamExec", 0);
        HAS_NOT(call->headers, "timeout");
        CHECK(call->full_duplex);
        cws_process_free(p);
    }
    STREAMING("all options of a shell stand on the wire; its timeout is one for the whole shell") {
        static const cws_pair env[] = {{"TERM", "xterm"}, {NULL, NULL}};
        cws_sandbox *sb = api_running(t);
        cws_shell_opts o;
        cws_process *p = NULL;
        memset(&o, 0, sizeof(o));
        o.width = 1;
        o.height = 65535;
        o.env = env;
        o.container = api_side(t);
        o.timeout_seconds = 20;
        script_stream(&t->s, NULL, READY, NULL)->hold = true;
        CHECK_INT(cws_shell_begin(sb, python, &o, &p, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_TIMEOUT);
        HAS(t->err.message, "timed out after 20 s");
        CHECK_INT(t->s.now - script_call_at(&t->s, "StreamExec", 0)->at, 25000);
        CHECK_STR(st_init(t, 0),
                  api_sided(t, "{\"init\":{\"sandboxId\":\"sb-1\",\"command\":[\"python3\",\"-q\"],"
                               "\"tty\":true,\"ttyWidth\":1,\"ttyHeight\":65535,"
                               "\"env\":{\"TERM\":\"xterm\"}" SIDE "}}"));
        cws_process_free(p);
    }
    STREAMING("a shell without an exit message, or an end, has failed") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        script_stream(&t->s, "{}", READY, st_out(t, "x"), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_EXECUTION);
        HAS(t->err.message, "without exit status");
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_EXECUTION);
        cws_process_free(p);
    }
    STREAMING("exit or error before ready ends the shell at once") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        int32_t code = 0;
        script_stream(&t->s, "{}", EXIT(127), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK(cws_process_poll(p, &code) && code == 127);
        cws_process_free(p);
        script_stream(&t->s, "{}", "{\"error\":{\"message\":\"no\"}}", NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_EXECUTION);
        cws_process_free(p);
    }
    STREAMING("HTTP/1.1 on the way: a shell is unsupported, then and from the start afterwards") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        script_raw(&t->s, "StreamExec", 505, "text/plain", "no", 2);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "HTTP/2");
        cws_process_free(p);
        CHECK_INT(cws_shell_begin(sb, NULL, NULL, &p, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK(p == NULL);
    }
}

typedef struct st_taker {
    char text[300];
    size_t len, calls;
    uint64_t bytes, sum;
    size_t pause_every, cancel_at;
    cws_op *op;
    cws_process *process; /* freed at the first call */
    cws_stream *stream;   /* the same */
    bool resume_inside;
} st_taker;

static cws_flow st_take(st_taker *k, const void *data, size_t size)
{
    size_t n = size < sizeof(k->text) - 1 - k->len ? size : sizeof(k->text) - 1 - k->len, i;
    const unsigned char *p = (const unsigned char *)data;
    k->calls++;
    memcpy(k->text + k->len, data, n);
    k->len += n;
    for (i = 0; i < size; i++) k->sum = k->sum * 31 + p[i];
    k->bytes += size;
    cws_process_free(k->process);
    k->process = NULL;
    cws_stream_free(k->stream);
    k->stream = NULL;
    if (k->cancel_at && k->calls == k->cancel_at) return CWS_FLOW_CANCEL;
    if (!k->pause_every || k->calls % k->pause_every) return CWS_FLOW_CONTINUE;
    if (k->resume_inside) cws_op_resume(k->op);
    return CWS_FLOW_PAUSE;
}

static cws_flow st_on_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    CHECK(stream == CWS_STDOUT || stream == CWS_STDERR);
    return st_take((st_taker *)user, data, size);
}

static cws_flow st_on_item(const cws_item *item, void *user)
{
    CHECK(item->data && item->size && item->data[item->size] == '\0');
    return st_take((st_taker *)user, item->data, item->size);
}

/* What st_take makes of the first n bytes of st_big. */
static uint64_t st_sum(uint64_t n)
{
    uint64_t i, sum = 0;
    for (i = 0; i < n; i++) sum = sum * 31 + (unsigned char)(i * 31 + i / 253);
    return sum;
}

/* Run an operation that pauses to its end: whenever nothing moves any more, it is resumed. */
static cws_status st_resuming(api *t, cws_op *op, st_taker *k)
{
    size_t calls, idle = 0;
    while (!cws_op_done(op) && idle < 100000) {
        calls = k->calls;
        CHECK_INT(cws_client_poll(t->client, 3, NULL), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 3, NULL), CWS_OK);
        if (k->pause_every && !cws_op_done(op)) {
            CHECK(k->calls - calls <= k->pause_every);
            if (k->calls && k->calls % k->pause_every == 0) { /* it stands still now */
                size_t before = k->calls;
                st_turns(t, 4);
                CHECK_INT(k->calls, before);
            }
        }
        cws_op_resume(op);
        idle++;
    }
    return cws_op_result(op, &t->err);
}

static void st_test_shell_flow(void)
{
    STREAMING("a shell's output nobody reads holds the stream up; reading lets it go on") {
        cws_sandbox *sb = api_running(t);
        const script_call *call;
        cws_process *p;
        script_reply *r = script_stream(&t->s, NULL, READY, NULL);
        size_t n = 0, got = 0, calls = 0, i;
        static char block[70000];
        uint64_t sum = 0;
        for (i = 0; i < 64; i++) st_big(t, r, i * 65536, 65536);
        script_message(&t->s, r, EXIT(0));
        script_envelope(&t->s, r, 2, "{}", 2);
        r->chunk = 16384;
        p = st_shell(t, sb, NULL);
        st_turns(t, 600);
        call = script_call_at(&t->s, "StreamExec", 0);
        CHECK_INT(call->closings, 1);
        CHECK_INT(call->openings, 0);
        CHECK(call->reported >= 1u << 20 && call->reported < (1u << 20) + 200000);
        CHECK(cws_client_memory(t->client).peak_bytes < 3u << 20);
        CHECK(!cws_op_done(cws_process_op(p)));
        for (;;) {
            size_t k;
            cws_status status = cws_process_read(p, CWS_STDOUT, block, 1 + calls++ * 7919 % 70000,
                                                 api_async(t) ? 0 : -1, &got, &t->err);
            if (status == CWS_ERR_WAIT_TIMEOUT) {
                CHECK_INT(cws_client_poll(t->client, 1000, NULL), CWS_OK);
                continue;
            }
            if (!CHECK_INT(status, CWS_OK) || got == 0) break;
            for (k = 0; k < got; k++) sum = sum * 31 + (unsigned char)block[k];
            n += got;
        }
        CHECK_INT(n, 64 * 65536);
        CHECK(sum == st_sum(n));
        CHECK_INT(call->openings, call->closings);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK(cws_client_memory(t->client).peak_bytes < 4u << 20);
        cws_process_free(p);
    }
    STREAMING("max_output_bytes of a shell is where it stands still") {
        cws_sandbox *sb = api_running(t);
        cws_shell_opts o;
        cws_process *p;
        char text[100];
        script_reply *r = script_stream(&t->s, "{}", READY, st_out(t, "12345"), st_out(t, "678"),
                                        st_out(t, "90"), EXIT(0), NULL);
        memset(&o, 0, sizeof(o));
        o.max_output_bytes = 6;
        r->chunk = 1;
        p = st_shell(t, sb, &o);
        st_turns(t, 200);
        CHECK(!cws_op_done(cws_process_op(p)));
        CHECK_INT(p->result->out.buf.len, 8); /* it stands still behind a whole message */
        CHECK_INT(st_read_all(t, p, text, sizeof(text)), CWS_OK);
        CHECK_STR(text, "1234567890");
        cws_process_free(p);
    }
    STREAMING("a shell held up is cancelled, freed, timed out like any other") {
        cws_sandbox *sb = api_running(t);
        cws_shell_opts o;
        int i;
        memset(&o, 0, sizeof(o));
        o.max_output_bytes = 1;
        o.timeout_seconds = 30;
        for (i = 0; i < 3; i++) {
            cws_process *p;
            char text[20];
            script_stream(&t->s, NULL, READY, st_out(t, "12"), st_out(t, "34"), NULL)->hold = true;
            p = st_shell(t, sb, &o);
            st_turns(t, 20);
            CHECK(!cws_op_done(cws_process_op(p)));
            if (i == 0) CHECK(cws_process_cancel(p));
            if (i < 2) {
                CHECK_INT(st_end(t, cws_process_op(p)), i ? CWS_ERR_TIMEOUT : CWS_ERR_CANCELLED);
                CHECK_INT(st_read_all(t, p, text, sizeof(text)),
                          i ? CWS_ERR_TIMEOUT : CWS_ERR_CANCELLED);
                CHECK_STR(text, "12");
            }
            cws_process_free(p);
            CHECK(script_call_at(&t->s, "StreamExec", (size_t)i)->cancelled);
        }
    }
    STREAMING("PAUSE from on_output: one piece at a time, nothing lost, little kept") {
        static const size_t every[] = {1, 3};
        size_t e, i;
        cws_sandbox *sb = api_running(t);
        for (e = 0; e < 4; e++) {
            st_taker k;
            cws_process *p = NULL;
            script_reply *r = script_stream(&t->s, NULL, READY, NULL);
            const script_call *call;
            memset(&k, 0, sizeof(k));
            k.pause_every = every[e & 1];
            k.resume_inside = true; /* too early: without effect */
            for (i = 0; i < 60; i++) st_big(t, r, i * 60000, 60000);
            script_message(&t->s, r, EXIT(0));
            script_envelope(&t->s, r, 2, "{}", 2);
            r->chunk = 300000;
            st_reset(t);
            if (e < 2) {
                cws_shell_opts o;
                memset(&o, 0, sizeof(o));
                o.on_output = st_on_output;
                o.user = &k;
                p = st_shell(t, sb, &o);
            } else {
                cws_exec_opts o;
                memset(&o, 0, sizeof(o));
                o.on_output = st_on_output;
                o.user = &k;
                o.max_output_bytes = 10;
                CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
            }
            k.op = cws_process_op(p);
            CHECK_INT(st_resuming(t, cws_process_op(p), &k), CWS_OK);
            CHECK_INT(k.bytes, 60 * 60000);
            CHECK(k.sum == st_sum(k.bytes));
            call = script_call_at(&t->s, "StreamExec", 0);
            CHECK(call->closings > 5);
            CHECK(cws_client_memory(t->client).peak_bytes < 3u << 20);
            cws_process_free(p);
        }
    }
    STREAMING("while paused nothing arrives for long; cancel, free and the deadline still count") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 3; i++) {
            st_taker k;
            cws_exec_opts o;
            cws_process *p = NULL;
            int64_t from;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            k.pause_every = 1;
            o.on_output = st_on_output;
            o.user = &k;
            o.timeout_seconds = 10;
            script_stream(&t->s, "{}", OUT_A, OUT_B, EXIT(0), NULL);
            from = t->s.now;
            CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
            st_turns(t, 20);
            CHECK_INT(k.calls, 1);
            if (i == 0) CHECK(cws_process_cancel(p));
            if (i < 2)
                CHECK_INT(st_end(t, cws_process_op(p)), i ? CWS_ERR_TIMEOUT : CWS_ERR_CANCELLED);
            if (i == 1) CHECK_INT(t->s.now - from, 15000);
            cws_op_resume(cws_process_op(p)); /* harmless */
            cws_process_free(p);
            CHECK_INT(k.calls, 1);
        }
    }
    STREAMING("a callback may cancel the shell, or free it") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 3; i++) {
            st_taker k;
            cws_shell_opts o;
            cws_process *p;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            o.on_output = st_on_output;
            o.user = &k;
            if (i == 0) k.cancel_at = 1;
            if (i == 2) k.pause_every = 1;
            script_stream(&t->s, "{}", READY, OUT_A, OUT_B, EXIT(0), NULL);
            p = st_shell(t, sb, &o);
            if (i) {
                k.process = p;
                api_settle(t);
            } else {
                CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_CANCELLED);
                HAS(t->err.message, "output callback");
                cws_process_free(p);
            }
            CHECK_INT(k.calls, 1);
        }
    }
}

/* The bytes of a reply end after n of them in one of these ways. */
typedef enum st_cut { ST_CLEAN, ST_LOST, ST_RESET, ST_NO_HTTP, ST_TIMEOUT, ST_CUTS } st_cut;

static void st_cut_reply(script_reply *r, size_t n, st_cut how)
{
    static const cws_end ends[] = {CWS_END_OK, CWS_END_LOST, CWS_END_RESET, CWS_END_PROTOCOL,
                                   CWS_END_TIMEOUT};
    r->size = n;
    r->end = ends[how];
    if (how == ST_RESET) r->note = 2;
}

static void st_test_shell_cuts(void)
{
    STREAMING("a shell's stream cut at every byte, in each way: never a success without the exit") {
        cws_sandbox *sb = api_running(t);
        size_t n, size = 1000, whole, successes;
        int how;
        for (how = 0; how < ST_CUTS; how++) {
            successes = 0;
            for (n = 0; n < size; n++) {
                cws_process *p;
                char text[100];
                int32_t code = 0;
                cws_status status;
                script_reply *r = script_stream(&t->s, NULL, READY, st_out(t, "hello"),
                                                st_out(t, "there"), EXIT(5), NULL);
                whole = r->size;
                script_envelope(&t->s, r, 2, "{}", 2);
                size = r->size;
                st_cut_reply(r, n, (st_cut)how);
                p = st_shell(t, sb, NULL);
                status = st_read_all(t, p, text, sizeof(text));
                CHECK(strncmp(text, "hellothere", strlen(text)) == 0);
                CHECK_INT(status, cws_op_result(cws_process_op(p), NULL));
                if (status == CWS_OK) {
                    CHECK(n >= whole); /* the exit message is the last word */
                    CHECK_STR(text, "hellothere");
                    CHECK(cws_process_poll(p, &code) && code == 5);
                    successes++;
                } else {
                    CHECK(n < whole);
                    CHECK(!cws_process_poll(p, NULL));
                }
                cws_process_free(p);
                st_reset(t);
            }
            CHECK_INT(successes, size - whole);
        }
    }
}

/* ---- logs: helpers --------------------------------------------------------------------------- */

/* What a stream brought: each item as its text (newline $, NUL 0, CR R), ~ if it is partial, ! in
 * front if restarted, and | behind. */
typedef struct st_got {
    char text[4000];
    size_t len, count, bytes;
    struct st_place {
        char session[20];
        uint64_t offset;
        int64_t unix_ms;
    } at[200];
    uint64_t sum;
} st_got;

static void st_note(st_got *g, const cws_item *item)
{
    size_t i;
    CHECK(item->data && item->size > 0 && item->data[item->size] == '\0' && item->session_id);
    if (g->len + 2 * item->size + 10 < sizeof(g->text)) {
        if (item->restarted) g->text[g->len++] = '!';
        for (i = 0; i < item->size; i++) {
            char c = item->data[i];
            g->text[g->len++] = c == '\n' ? '$' : c == '\0' ? '0' : c == '\r' ? 'R' : c;
        }
        if (item->partial) g->text[g->len++] = '~';
        g->text[g->len++] = '|';
        g->text[g->len] = '\0';
    }
    for (i = 0; i < item->size; i++) g->sum = g->sum * 31 + (unsigned char)item->data[i];
    g->bytes += item->size;
    if (g->count < CWSI_COUNT(g->at)) {
        (void)snprintf(g->at[g->count].session, sizeof(g->at[0].session), "%s", item->session_id);
        g->at[g->count].offset = item->offset;
        g->at[g->count].unix_ms = item->unix_ms;
    }
    g->count++;
}

static cws_flow st_note_item(const cws_item *item, void *user)
{
    st_note((st_got *)user, item);
    return CWS_FLOW_CONTINUE;
}

/* Ask for the items of a stream to its end, which must stay what it is. */
static cws_status st_pull(api *t, cws_stream *stream, st_got *g)
{
    cws_status status, again;
    cws_error err;
    cws_item item;
    int i;
    for (;;) {
        status = cws_stream_next(stream, api_async(t) ? 0 : -1, &item, &t->err);
        if (status == CWS_ERR_WAIT_TIMEOUT && api_async(t)) {
            if (!CHECK_INT(cws_client_poll(t->client, 100000, NULL), CWS_OK)) break;
            continue;
        }
        if (status || !item.data) break;
        st_note(g, &item);
    }
    CHECK(!item.data && !item.size);
    for (i = 0; i < 3; i++) {
        again = cws_stream_next(stream, i - 1, &item, &err);
        CHECK_INT(again, status);
        CHECK_INT(err.status, status);
        CHECK(!item.data);
    }
    return status;
}

#define BOTH_WAYS for (int how = 0; how < 2; how++)

/* The logs with these options, by a callback (how 0) or by asking (1). */
static cws_status st_logs(api *t, cws_sandbox *sb, const cws_logs_opts *opts, int how, st_got *g)
{
    cws_stream *stream = NULL;
    cws_logs_opts o;
    cws_status status;
    memset(&o, 0, sizeof(o));
    if (opts) o = *opts;
    memset(g, 0, sizeof(*g));
    memset(&t->err, 0, sizeof(t->err));
    if (!how) {
        o.on_item = st_note_item;
        o.user = g;
        if (!api_async(t)) return cws_logs(sb, &o, &t->err);
    }
    status = cws_logs_begin(sb, &o, &stream, &t->err);
    if (!CHECK_INT(status, CWS_OK)) return status;
    status = how ? st_pull(t, stream, g) : api_drive(t, cws_stream_op(stream));
    if (how) CHECK_INT(cws_op_result(cws_stream_op(stream), NULL), status);
    cws_stream_free(stream);
    return status;
}

/* A message with data. session NULL: none; offset 0: none. */
static char *st_log_bytes(api *t, const void *data, size_t size, const char *session,
                          uint64_t offset)
{
    cwsi_str in;
    const char *b64;
    char *out, place[80] = "";
    in.at = (const char *)data;
    in.len = size;
    b64 = grpc_base64(&t->s.arena, in);
    out = (char *)cwsi_arena_alloc(&t->s.arena, strlen(b64) + 200);
    if (!out) abort();
    if (session) (void)snprintf(place, sizeof(place), ",\"logSessionId\":\"%s\"", session);
    if (offset)
        (void)snprintf(place + strlen(place), sizeof(place) - strlen(place),
                       ",\"nextLogOffset\":\"%llu\"", (unsigned long long)offset);
    (void)sprintf(out, "{\"data\":\"%s\"%s}", b64, place);
    return out;
}

static char *st_log(api *t, const char *text, const char *session, uint64_t offset)
{
    return st_log_bytes(t, text, strlen(text), session, offset);
}

static char *st_log_error(api *t, const char *code)
{
    char json[200];
    (void)snprintf(json, sizeof(json), "{\"error\":{\"message\":\"why\",\"code\":\"%s\"}}", code);
    return script_text(&t->s, json);
}

#define GONE "{\"error\":{\"code\":\"unavailable\",\"message\":\"gone\"}}"

/* An upload of an empty file. */
static const cws_upload_opts *st_nothing(void)
{
    static cws_upload_opts o;
    o.data = "";
    return &o;
}

static cws_logs_opts st_follow(void)
{
    cws_logs_opts o;
    memset(&o, 0, sizeof(o));
    o.follow = true;
    return o;
}

static const char *st_asked(api *t, size_t index)
{
    return script_json(&t->s, "StreamLogs", index);
}

/* A request for a session from an offset, and nothing else. */
static void st_check_resumed(api *t, size_t index, const char *session, uint64_t offset)
{
    char want[200];
    (void)snprintf(want, sizeof(want),
                   "{\"sandboxId\":\"sb-1\",\"follow\":true,\"resumeLogSessionId\":\"%s\","
                   "\"resumeLogOffset\":\"%llu\"}",
                   session, (unsigned long long)offset);
    CHECK_STR(st_asked(t, index), want);
}

/* ---- logs: what is asked, what is handed out ------------------------------------------------- */

static void st_test_logs(void)
{
    STREAMING("LG-3: lines in order, each with its newline; the last may have none") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        st_got g;
        script_logs(&t->s, "{}", st_log(t, "one\ntw", NULL, 0), st_log(t, "o\n\n\r\n", NULL, 0),
                    st_log(t, "", "s", 0), st_log(t, "end", NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_OK);
        CHECK_STR(g.text, "one$|two$|$|R$|end~|");
        CHECK_STR(st_asked(t, 0), "{\"sandboxId\":\"sb-1\"}");
        CHECK_STR(g.at[0].session, "");
        CHECK_INT(g.at[0].offset, 0);
        CHECK_INT(script_call_at(&t->s, "StreamLogs", 0)->timeout_ms, 300000);
    }
    STREAMING("no logs at all are an end, not an error") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        st_got g;
        script_logs(&t->s, "{}", NULL);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_OK);
        CHECK_STR(g.text, "");
        script_logs(&t->s, "{}", "{}", st_log(t, "", "s", 5), NULL);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_OK);
        CHECK_INT(g.count, 0);
    }
    STREAMING("all options of logs stand on the wire") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        o.timestamps = true;
        o.tail_lines = 2147483647;
        o.since_unix_ms = 1700000000123;
        o.container = api_side(t);
        o.timeout_seconds = 7.5;
        script_logs(&t->s, "{}", NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(st_asked(t, 0),
                  api_sided(t, "{\"sandboxId\":\"sb-1\",\"follow\":true,\"tailLines\":2147483647,"
                               "\"sinceTime\":\"2023-11-14T22:13:20.123Z\"" SIDE ","
                               "\"timestamps\":true}"));
        CHECK_INT(script_call_at(&t->s, "StreamLogs", 0)->timeout_ms, 7500);
        CHECK(script_call_at(&t->s, "StreamLogs", 0)->full_duplex == t->s.b2);
    }
    STREAMING("raw: pieces as they come, nothing is called partial") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o;
        st_got g;
        memset(&o, 0, sizeof(o));
        o.raw = true;
        o.max_line_bytes = 1;
        script_logs(&t->s, "{}", st_log_bytes(t, "a\nb\0", 4, "s", 4), st_log(t, "c", NULL, 5),
                    NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "a$b0|c|");
        CHECK_INT(g.at[0].offset, 4);
        CHECK_INT(g.at[1].offset, 5);
        CHECK_STR(g.at[1].session, "s");
    }
    STREAMING("an item has the time that the service gave to its message") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        st_got g;
        script_logs(&t->s, "{}",
                    "{\"data\":\"YQpiCg==\",\"timestamp\":\"2023-11-14T22:13:20.5Z\"}",
                    st_log(t, "c\n", NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_OK);
        CHECK_STR(g.text, "a$|b$|c$|");
        CHECK(g.at[0].unix_ms == 1700000000500 && g.at[1].unix_ms == 1700000000500);
        CHECK_INT(g.at[2].unix_ms, 0);
    }
    STREAMING("LG-1 2: an ended or draining sandbox: nothing to follow, but logs there may be")
    BOTH_WAYS {
        static const char *const states[] = {EXITED("COMPLETED", 0), BOX("TERMINATING")};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_found(t, states[i]);
            cws_logs_opts o = st_follow();
            st_got g;
            CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_ERR_NOT_RUNNING);
            HAS(t->err.message, "terminating");
            CHECK_INT(t->s.call_count, 0);
            script_logs(&t->s, "{}", st_log(t, "late\n", NULL, 0), NULL);
            CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_OK);
            CHECK_STR(g.text, "late$|");
            CHECK_STR(script_calls(&t->s), "StreamLogs");
            script_logs(&t->s, "{\"error\":{\"code\":\"not_found\"}}", NULL);
            CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_ERR_NOT_FOUND);
        }
    }
    STREAMING("logs start a sandbox that is not, and wait for RUNNING outside of their deadline")
    BOTH_WAYS {
        cws_sandbox *sb = api_box(t, NULL);
        cws_logs_opts o;
        st_got g;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 1;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 5000;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_logs(&t->s, "{}", st_log(t, "x\n", NULL, 0), NULL)->delay = 900;
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "x$|");
        CHECK_STR(script_calls(&t->s), "CreateSandbox GetSandbox StreamLogs");
        st_reset(t);
    }
    STREAMING("LG-15: a failure before the first item comes first and every time, no end")
    BOTH_WAYS {
        cws_sandbox *sb = api_box(t, NULL);
        cws_logs_opts o = st_follow();
        st_got g;
        script_error(&t->s, "CreateSandbox", "permission_denied", "not you", NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_ERR_AUTHENTICATION);
        CHECK_INT(g.count, 0);
        sb = api_running(t);
        script_logs(&t->s, "{\"error\":{\"code\":\"permission_denied\",\"message\":\"no\"}}", NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_ERR_AUTHENTICATION);
        CHECK_STR(script_calls(&t->s), "StreamLogs");
    }
    STREAMING("the deadline is exact without follow; with it there is none, unless it was given")
    BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o;
        int64_t from = t->s.now;
        st_got g;
        int i;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < 3; i++) {
            from = t->s.now;
            o.follow = i == 2;
            o.timeout_seconds = i ? 12.5 : 0;
            script_logs(&t->s, NULL, st_log(t, "x\npart", NULL, 0), NULL)->hold = true;
            CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_ERR_REQUEST_TIMEOUT);
            CHECK_STR(g.text, "x$|");
            CHECK_INT(t->s.now - from, i ? 12500 : 300000);
        }
        o.timeout_seconds = 0;
        script_logs(&t->s, "{}", st_log(t, "x\n", NULL, 0), NULL)->delay = 10000000;
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        HAS_NOT(script_call_at(&t->s, "StreamLogs", 3)->headers, "timeout");
        st_reset(t);
    }
    STREAMING("an unfinished line is delivered at a clean end, dropped at any other") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        st_got g;
        script_logs(&t->s, "{}", st_log(t, "a\nb", NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_OK);
        CHECK_STR(g.text, "a$|b~|");
        script_logs(&t->s, GONE, st_log(t, "a\nb", NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_ERR_UNAVAILABLE);
        CHECK_STR(g.text, "a$|");
        script_logs(&t->s, "{}", st_log(t, "a\nb", NULL, 0), st_log_error(t, "X"), NULL);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_ERR_SANDBOX);
        CHECK_STR(g.text, "a$|");
    }
    STREAMING("a message with data and an error: the data comes first") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        st_got g;
        script_logs(&t->s, "{}",
                    "{\"data\":\"YQpiCg==\",\"error\":{\"message\":\"why\",\"code\":\"NO\"}}",
                    NULL);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_ERR_SANDBOX);
        CHECK_STR(g.text, "a$|b$|");
        HAS(t->err.message, "why");
        CHECK_STR(t->err.stream_code, "NO");
        CHECK_STR(t->err.reason, "NO");
    }
    STREAMING("a code of the service is the reason; some are typed; none at all is an error too")
    BOTH_WAYS {
        static const struct {
            const char *code;
            cws_status status;
        } rows[] = {{"STREAM_TRUNCATED", CWS_ERR_STREAM_TRUNCATED},
                    {"STREAM_BACKPRESSURE", CWS_ERR_STREAM_BACKPRESSURE},
                    {"SANDBOX_NOT_FOUND", CWS_ERR_SANDBOX},
                    {"PERMISSION_DENIED", CWS_ERR_SANDBOX},
                    {"INVALID_RESUME_OFFSET", CWS_ERR_SANDBOX},
                    {"", CWS_ERR_SANDBOX}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < 2 * CWSI_COUNT(rows); i++) {
            cws_logs_opts o = st_follow();
            st_got g;
            o.follow = i % 2;
            script_logs(&t->s, "{}", st_log(t, "a\n", "s", 2), st_log_error(t, rows[i / 2].code),
                        st_log(t, "never\n", "s", 8), NULL);
            CHECK_INT(st_logs(t, sb, &o, how, &g), rows[i / 2].status);
            CHECK_STR(g.text, "a$|");
            HAS(t->err.message, "Log stream error: why");
            CHECK_STR(t->err.reason, rows[i / 2].code);
            CHECK_STR(t->err.stream_code, rows[i / 2].code);
            CHECK_INT(script_count(&t->s, "StreamLogs"), i + 1);
        }
    }
    STREAMING("a malformed message fails the protocol, behind what came before") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        script_reply *r = script_logs(&t->s, NULL, st_log(t, "a\n", NULL, 0), NULL);
        st_got g;
        script_envelope(&t->s, r, 0, "\xff\xff", 2);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_ERR_PROTOCOL);
        CHECK_STR(g.text, "a$|");
    }
    STREAMING("asking with patience, without, and too late") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        cws_stream *stream = NULL;
        cws_item item;
        int64_t from;
        script_reply *r = script_logs(&t->s, "{}", st_log(t, "a\nb\n", NULL, 0), NULL);
        r->delay = 1000;
        CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
        CHECK_INT(cws_stream_next(stream, 0, &item, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(script_count(&t->s, "StreamLogs"), 0); /* nothing was moved */
        from = t->s.now;
        CHECK_INT(cws_stream_next(stream, 300, &item, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now - from, 300);
        CHECK(!item.data);
        CHECK_INT(cws_stream_next(stream, 5000, &item, &t->err), CWS_OK);
        CHECK_STR(item.data, "a\n");
        CHECK_INT(cws_stream_next(stream, 0, &item, &t->err), CWS_OK);
        CHECK_STR(item.data, "b\n");
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        CHECK(!item.data);
        CHECK_INT(cws_op_result(cws_stream_op(stream), NULL), CWS_OK);
        cws_stream_free(stream);
    }
    STREAMING("a wait for the operation ends when all items but those at hand were taken") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL;
        cws_item item;
        int i;
        script_logs(&t->s, "{}", st_log(t, "a\n", NULL, 0), st_log(t, "b\nc\nd", NULL, 0), NULL);
        CHECK_INT(cws_logs_begin(sb, NULL, &stream, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(cws_stream_op(stream), 1000, &t->err), CWS_ERR_WAIT_TIMEOUT);
        for (i = 0; i < 4; i++) {
            CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
            CHECK(item.data && item.data[0] == "abcd"[i]);
        }
        CHECK_INT(cws_op_wait(cws_stream_op(stream), 1000, &t->err), CWS_OK);
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        CHECK(!item.data);
        cws_stream_free(stream);
    }
    STREAMING("items at hand outlive the end, and a cancel") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL;
        cws_item item;
        script_logs(&t->s, NULL, st_log(t, "a\nb\nc", NULL, 0), NULL)->hold = true;
        CHECK_INT(cws_logs_begin(sb, NULL, &stream, &t->err), CWS_OK);
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        CHECK(cws_op_cancel(cws_stream_op(stream)));
        CHECK_INT(cws_op_wait(cws_stream_op(stream), -1, &t->err), CWS_ERR_CANCELLED);
        CHECK_STR(item.data, "a\n");
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        CHECK_STR(item.data, "b\n");
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_ERR_CANCELLED);
        CHECK(script_call_at(&t->s, "StreamLogs", 0)->cancelled);
        cws_stream_free(stream);
    }
    STREAMING("a stream freed at any moment leaves nothing, here or on the wire") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        int i;
        for (i = 0; i < 12; i++) {
            cws_stream *stream = NULL;
            cws_item item;
            st_reset(t);
            script_logs(&t->s, GONE, st_log(t, "a\nb", "s", 3), NULL)->times = -1;
            CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
            if (i > 8) (void)cws_stream_next(stream, -1, &item, &t->err);
            st_turns(t, i);
            cws_stream_free(stream);
            st_turns(t, 2);
            CHECK_INT(cws_client_pending(t->client), 0);
            CHECK(t->s.open == NULL);
        }
    }
}

/* ---- logs: lines ----------------------------------------------------------------------------- */

/* What the lines of a text look like in st_got, by the rules alone. Returns the status. */
static cws_status st_lines(const char *text, size_t size, size_t cap, bool split, char *out)
{
    size_t at = 0;
    char *p = out;
    while (at < size) {
        const char *newline = (const char *)memchr(text + at, '\n', size - at);
        size_t n = newline ? (size_t)(newline - (text + at)) + 1 : size - at, i;
        if (n > cap && !split) {
            *p = '\0';
            return CWS_ERR_STREAM_TRUNCATED;
        }
        if (n > cap) n = cap;
        for (i = at; i < at + n; i++)
            *p++ = text[i] == '\n' ? '$' : text[i] == '\0' ? '0' : text[i] == '\r' ? 'R' : text[i];
        if (p[-1] != '$') *p++ = '~';
        *p++ = '|';
        at += n;
    }
    *p = '\0';
    return CWS_OK;
}

static void st_test_lines(void)
{
    static const struct {
        const char *text;
        size_t size;
    } texts[] = {{"ab\n\ncde\r\n\0f\nghijkl", 18}, {"\n\n\n", 3}, {"abcdef\nab", 9},
                 {"abcdefghijkl", 12}, {"\r\n\r\rx\n", 7}};
    STREAMING("lines cut by the borders of messages at every place, with caps of every size") {
        cws_sandbox *sb = api_running(t);
        size_t i, a, b, cap, wrong = 0;
        int how, split;
        for (i = 0; i < CWSI_COUNT(texts); i++)
            for (cap = 1; cap <= 8; cap++)
                for (a = 0; a <= texts[i].size; a++)
                    for (b = 0; b < 4; b++) {
                        cws_logs_opts o;
                        char want[200];
                        const char *p = texts[i].text;
                        size_t size = texts[i].size, c = a + (size - a) * b / 3;
                        cws_status status;
                        st_got g;
                        how = (int)(a + b + cap) & 1;
                        split = (int)(b & 1);
                        memset(&o, 0, sizeof(o));
                        o.max_line_bytes = cap;
                        o.long_lines = split ? CWS_LONG_LINES_SPLIT : CWS_LONG_LINES_FAIL;
                        if (split == t->s.b2 && a % 2) o.long_lines = CWS_LONG_LINES_DEFAULT;
                        status = st_lines(p, size, cap, split, want);
                        script_logs(&t->s, "{}", st_log_bytes(t, p, a, NULL, 0),
                                    st_log_bytes(t, p + a, c - a, NULL, 0),
                                    st_log_bytes(t, p + c, size - c, NULL, 0), NULL)
                            ->chunk = b == 3 ? 9 : 0;
                        if (st_logs(t, sb, &o, how, &g) != status || strcmp(g.text, want) != 0) {
                            if (wrong++ < 3)
                                printf("    text %u, cap %u, %u, %u: %s\n    instead of  %s\n",
                                       (unsigned)i, (unsigned)cap, (unsigned)a, (unsigned)c,
                                       g.text, want);
                        }
                        if (status) HAS(t->err.message, "Log line exceeded");
                        st_reset(t);
                    }
        CHECK_INT(wrong, 0);
    }
    STREAMING("LG-24: many short lines in one message of more than 1 MiB") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        size_t n = 1300000, i;
        char *text = (char *)malloc(n);
        st_got g;
        if (!text) abort();
        for (i = 0; i < n; i++) text[i] = i % 13 == 12 ? '\n' : 'x';
        script_logs(&t->s, "{}", st_log_bytes(t, text, n, NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_OK);
        CHECK_INT(g.count, 100000);
        CHECK_INT(g.bytes, n);
        free(text);
    }
    STREAMING("LG-25: a line of 1 MiB is fine, one byte more an error behind those before it")
    {
        cws_sandbox *sb = api_running(t);
        size_t n = (1u << 20) + 4;
        char *text = (char *)malloc(n + 10);
        int i;
        if (!text) abort();
        for (i = 0; i < 8; i++) { /* in one message or two; ended or not; too long or not */
            size_t len = i & 1 ? 1u << 20 : (1u << 20) + 1, cut = i & 4 ? 500000 : len + 2;
            cws_logs_opts o;
            st_got g;
            memset(text, 'y', n + 10);
            memcpy(text, "a\n", 2);
            if (i & 2) text[2 + len - 1] = '\n';
            script_logs(&t->s, "{}", st_log_bytes(t, text, cut, NULL, 0),
                        st_log_bytes(t, text + cut, len + 2 - cut, NULL, 0), NULL);
            memset(&o, 0, sizeof(o));
            if (t->s.b2) o.long_lines = CWS_LONG_LINES_FAIL;
            CHECK_INT(st_logs(t, sb, &o, i / 2 & 1, &g),
                      i & 1 ? CWS_OK : CWS_ERR_STREAM_TRUNCATED);
            CHECK_INT(g.count, i & 1 ? 2 : 1);
            CHECK_INT(g.bytes, i & 1 ? len + 2 : 2);
            if (!(i & 1)) HAS(t->err.message, "1048576");
            CHECK(cws_client_memory(t->client).peak_bytes < 9u << 20);
        }
        free(text);
    }
    STREAMING("a long line is not gathered beyond its cap when it is to be split") {
        cws_sandbox *sb = api_running(t);
        script_reply *r = script_logs(&t->s, NULL, NULL);
        char *block = (char *)malloc(65536);
        cws_logs_opts o;
        st_got g;
        if (!block) abort();
        memset(block, 'z', 65536);
        script_message(&t->s, r, st_log_bytes(t, block, 65536, NULL, 0));
        r->loop_to = r->size;
        r->loops = 199;
        script_envelope(&t->s, r, 2, "{}", 2);
        memset(&o, 0, sizeof(o));
        o.long_lines = CWS_LONG_LINES_SPLIT;
        CHECK_INT(st_logs(t, sb, &o, t->mode == API_ASYNC, &g), CWS_OK);
        CHECK_INT(g.bytes, 200 * 65536);
        CHECK_INT(g.count, 13);
        CHECK(cws_client_memory(t->client).peak_bytes < 5u << 20);
        free(block);
    }
}

/* ---- logs: connections that are lost --------------------------------------------------------- */

static void st_test_resume(void)
{
    STREAMING("LG-4: failures that are followed by another connection, and those that are final")
    BOTH_WAYS {
        static const struct {
            const char *code;
            bool again;
        } rows[] = {{"unavailable", true},          {"internal", true},
                    {"unknown", true},              {"deadline_exceeded", false},
                    {"permission_denied", false},   {"canceled", false},
                    {"not_found", false},           {"invalid_argument", false},
                    {"failed_precondition", false}, {"resource_exhausted", false},
                    {"unimplemented", false},       {"unauthenticated", false},
                    {"aborted", false}};
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            char end[200];
            st_got g;
            (void)snprintf(end, sizeof(end), "{\"error\":{\"code\":\"%s\",\"message\":\"x\"}}",
                           rows[i].code);
            st_reset(t);
            script_logs(&t->s, end, st_log(t, "a\nb", "s", 3), NULL);
            if (rows[i].again) script_logs(&t->s, "{}", st_log(t, "c\n", "s", 5), NULL);
            CHECK((st_logs(t, sb, &o, how, &g) == CWS_OK) == rows[i].again);
            CHECK_STR(g.text, rows[i].again ? "a$|bc$|" : "a$|");
            CHECK_INT(script_count(&t->s, "StreamLogs"), rows[i].again ? 2 : 1);
        }
    }
    STREAMING("LG-5: behind data a lost connection is resumed by session and offset, after 0.5 s")
    BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        o.tail_lines = 10;
        o.since_unix_ms = 5000;
        o.container = api_side(t);
        script_logs(&t->s, GONE, st_log(t, "line1\n", "sess", 6), NULL);
        script_logs(&t->s, "{}", st_log(t, "line2\n", "sess", 12), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "line1$|line2$|");
        CHECK_STR(script_gaps(&t->s, "StreamLogs"), "500");
        HAS(st_asked(t, 0), "\"tailLines\":10");
        CHECK_STR(st_asked(t, 1),
                  api_sided(t, "{\"sandboxId\":\"sb-1\",\"follow\":true" SIDE ","
                               "\"resumeLogSessionId\":\"sess\",\"resumeLogOffset\":\"6\"}"));
        CHECK_STR(g.at[1].session, "sess");
        CHECK_INT(g.at[1].offset, 12);
    }
    STREAMING("LG-6 7 8: the session is lost: the third request is fresh, its first item says so")
    BOTH_WAYS {
        static const char *const codes[] = {"SESSION_NOT_FOUND", "REPLAY_GAP",
                                            "RUNNER_UNAVAILABLE", "RUNNER_DRAINING"};
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        size_t i;
        o.timestamps = true;
        for (i = 0; i < CWSI_COUNT(codes); i++) {
            st_got g;
            st_reset(t);
            script_logs(&t->s, GONE, st_log(t, "one\n", "old", 4), NULL);
            script_logs(&t->s, "{}", st_log_error(t, codes[i]), NULL);
            script_logs(&t->s, "{}", st_log(t, "two\nthree\n", "new", 10), NULL);
            CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
            CHECK_STR(g.text, "one$|!two$|three$|");
            st_check_resumed(t, 1, "old", 4);
            HAS_NOT(st_asked(t, 2), "resume");
            HAS(st_asked(t, 2), "\"timestamps\":true");
            CHECK_STR(script_gaps(&t->s, "StreamLogs"), "500 1000");
            CHECK_STR(g.at[2].session, "new");
            CHECK_INT(g.at[2].offset, 10);
            if (i == 1) HAS(t->said, "lost some output");
        }
    }
    STREAMING("LG-9: INVALID_RESUME_OFFSET is the last word") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        script_logs(&t->s, GONE, st_log(t, "one\n", "s", 4), NULL);
        script_logs(&t->s, "{}", st_log_error(t, "INVALID_RESUME_OFFSET"), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_ERR_SANDBOX);
        CHECK_STR(t->err.reason, "INVALID_RESUME_OFFSET");
        CHECK_INT(script_count(&t->s, "StreamLogs"), 2);
    }
    STREAMING("LG-10: three connections in a row that bring nothing are enough; the cause is told")
    BOTH_WAYS {
        static const char *const gaps[] = {"500 1000", "", "500", "500 1000 2000 4000 4000 4000"};
        static const uint32_t most[] = {0, 1, 2, 7};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < 4; i++) {
            cws_logs_opts o = st_follow();
            int64_t from = t->s.now;
            st_got g;
            st_reset(t);
            o.max_attempts = most[i];
            script_logs(&t->s, GONE, NULL)->times = most[i] ? (int)most[i] : 3;
            CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_ERR_UNAVAILABLE);
            HAS(t->err.message, "could not be resumed");
            HAS(t->err.message, "gone");
            CHECK_INT(t->err.rpc_code, 14);
            CHECK(t->err.retryable);
            CHECK_STR(script_gaps(&t->s, "StreamLogs"), gaps[i]);
            CHECK(t->s.now - from <= 15510); /* no sleep behind the last one */
        }
    }
    STREAMING("LG-11: a fresh request drops the unfinished line") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        script_logs(&t->s, "{}", st_log(t, "one\nhal", "s", 7), st_log_error(t, "REPLAY_GAP"),
                    NULL);
        script_logs(&t->s, "{}", st_log(t, "two\n", "n", 4), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "one$|!two$|");
        script_logs(&t->s, GONE, st_log(t, "one\nhal", NULL, 0), NULL); /* no session: the same */
        script_logs(&t->s, "{}", st_log(t, "two\n", NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "one$|!two$|");
    }
    STREAMING("LG-12 13: without a session, or before the first message, the next request is fresh")
    BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        script_logs(&t->s, GONE, st_log(t, "one\n", NULL, 0), NULL);
        script_logs(&t->s, "{}", st_log(t, "two\n", NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "one$|!two$|");
        HAS_NOT(st_asked(t, 1), "resume");
        st_reset(t);
        script_end(&t->s, "StreamLogs", CWS_END_NOT_SENT);
        script_logs(&t->s, "{}", st_log(t, "one\n", NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "one$|"); /* nothing is missing */
        CHECK_STR(st_asked(t, 0), st_asked(t, 1));
        CHECK_STR(script_gaps(&t->s, "StreamLogs"), "500");
    }
    STREAMING("LG-17: data starts the count of attempts anew") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        script_logs(&t->s, GONE, NULL)->times = 2;
        script_logs(&t->s, GONE, st_log(t, "a\n", "s", 2), NULL);
        script_logs(&t->s, GONE, NULL)->times = 1;
        script_logs(&t->s, GONE, st_log(t, "b\n", "s", 4), NULL);
        script_logs(&t->s, GONE, st_log(t, "b\n", "s", 4), NULL); /* no news: it does not count */
        script_logs(&t->s, GONE, NULL)->times = 1;
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_ERR_UNAVAILABLE);
        CHECK_STR(g.text, "a$|b$|");
        CHECK_STR(script_gaps(&t->s, "StreamLogs"), "500 1000 500 1000 500 1000");
    }
    STREAMING("LG-18 19 27: STREAM_INTERRUPTED resumes without timestamps; three: no cause")
    BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        o.timestamps = true;
        script_logs(&t->s, "{}", st_log(t, "a\n", "s", 2), st_log_error(t, "STREAM_INTERRUPTED"),
                    NULL);
        script_logs(&t->s, "{}", st_log_error(t, "STREAM_INTERRUPTED"), NULL)->times = 2;
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_ERR_UNAVAILABLE);
        CHECK_STR(g.text, "a$|");
        st_check_resumed(t, 1, "s", 2);
        st_check_resumed(t, 2, "s", 2);
        CHECK_INT(t->err.rpc_code, 0);
        CHECK_STR(t->err.reason, "");
        CHECK_INT(script_count(&t->s, "StreamLogs"), 3);
    }
    STREAMING("LG-20: behind data a fresh request begins at the last data, without tail_lines")
    BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        script_reply *r;
        char want[80], when[40];
        time_t seconds;
        o.tail_lines = 5;
        o.since_unix_ms = 1000;
        script_logs(&t->s, GONE,
                    "{\"data\":\"YQo=\",\"timestamp\":\"2023-11-14T22:13:20.5Z\"}", NULL);
        script_logs(&t->s, "{}", NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        HAS(st_asked(t, 0), "\"sinceTime\":\"1970-01-01T00:00:01Z\"");
        HAS(st_asked(t, 0), "\"tailLines\":5");
        HAS(st_asked(t, 1), "\"sinceTime\":\"2023-11-14T22:13:20.500Z\"");
        HAS_NOT(st_asked(t, 1), "tailLines");
        st_reset(t); /* not stamped: our clock when the data came */
        r = script_logs(&t->s, GONE, st_log(t, "a\n", NULL, 0), NULL);
        r->delay = 7000 - t->s.now % 1000;
        seconds = (time_t)((script_unix(&t->s) + r->delay) / 1000);
        r->chunk = r->size - strlen(GONE) - 5;
        r->gap = 90000;
        script_logs(&t->s, "{}", NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK(strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime(&seconds)) > 0);
        (void)snprintf(want, sizeof(want), "\"sinceTime\":\"%s\"", when);
        HAS(st_asked(t, 1), want);
        HAS_NOT(st_asked(t, 1), "tailLines");
    }
    STREAMING("LG-21: before data the caller's window is asked for again, unchanged") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        o.tail_lines = 5;
        o.since_unix_ms = 1000;
        o.timestamps = true;
        script_logs(&t->s, GONE, NULL);
        script_logs(&t->s, "{}", st_log_error(t, "RUNNER_UNAVAILABLE"), NULL);
        script_logs(&t->s, "{}", st_log(t, "a\n", NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "a$|");
        CHECK_STR(st_asked(t, 0), st_asked(t, 1));
        CHECK_STR(st_asked(t, 0), st_asked(t, 2));
    }
    STREAMING("LG-22: without follow not taken up again") BOTH_WAYS {
        static const char *const codes[] = {"STREAM_INTERRUPTED", "SESSION_NOT_FOUND", "REPLAY_GAP",
                                            "RUNNER_UNAVAILABLE", "RUNNER_DRAINING"};
        cws_sandbox *sb = api_running(t);
        st_got g;
        size_t i;
        for (i = 0; i < CWSI_COUNT(codes); i++) {
            script_logs(&t->s, "{}", st_log(t, "a\n", "s", 2), st_log_error(t, codes[i]), NULL);
            CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_ERR_SANDBOX);
            CHECK_STR(g.text, "a$|");
            CHECK_STR(t->err.reason, codes[i]);
        }
        CHECK_INT(script_count(&t->s, "StreamLogs"), i);
        script_logs(&t->s, GONE, st_log(t, "a\n", "s", 2), NULL);
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_ERR_UNAVAILABLE);
        script_logs(&t->s, NULL, st_log(t, "a\n", "s", 2), NULL)->end = CWS_END_LOST;
        CHECK_INT(st_logs(t, sb, NULL, how, &g), CWS_ERR_TRANSPORT);
        CHECK_STR(g.text, "a$|");
        CHECK_INT(script_count(&t->s, "StreamLogs"), i + 2);
    }
    STREAMING("bytes that come twice are dropped; an unfinished line is completed") BOTH_WAYS {
        static const char text[] = "first\nsecond\nthird\n";
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        size_t n, from, cut, size = sizeof(text) - 1;
        for (n = 1; n < size; n += 3)             /* so much came before it was lost */
            for (from = 0; from <= n; from++)     /* the service goes back so far */
                for (cut = from; cut <= size; cut += 2) { /* in two messages */
                    st_got g;
                    script_reply *r;
                    st_reset(t);
                    script_logs(&t->s, GONE, st_log_bytes(t, text, n, "s", n), NULL);
                    r = script_logs(&t->s, NULL, NULL);
                    if (cut > from)
                        script_message(&t->s, r, st_log_bytes(t, text + from, cut - from, "s",
                                                              cut));
                    if (cut < size)
                        script_message(&t->s, r, st_log_bytes(t, text + cut, size - cut, NULL,
                                                              size));
                    script_envelope(&t->s, r, 2, "{}", 2);
                    CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
                    if (!CHECK_STR(g.text, "first$|second$|third$|")) return;
                    CHECK_INT(g.at[2].offset, size);
                }
    }
    STREAMING("where it can not be known whether bytes come twice or are missing, the item says so")
    BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        script_logs(&t->s, GONE, st_log(t, "a\n", "s", 2), NULL);
        script_logs(&t->s, "{}", st_log(t, "b\nc\n", "s", 0), NULL); /* no offset */
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "a$|!b$|c$|");
        script_logs(&t->s, GONE, st_log(t, "a\n", "s", 2), NULL);
        script_logs(&t->s, "{}", st_log(t, "b\nc\n", "other", 4), st_log(t, "d\n", "other", 6),
                    NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "a$|!b$|c$|d$|");
        CHECK_STR(g.at[3].session, "other");
        CHECK_INT(g.at[1].offset, 2);
        CHECK_INT(g.at[3].offset, 6);
    }
    STREAMING("the place of every item, given to a new stream, is exactly behind it") {
        static const char text[] = "one\ntwo\n\nfour and more\nfive";
        cws_sandbox *sb = api_running(t);
        size_t size = sizeof(text) - 1, border, i;
        int kind;
        for (kind = 0; kind < 3; kind++) /* lines, split lines, raw */
            for (border = 1; border < size; border++) {
                st_got g, rest;
                cws_logs_opts o = st_follow();
                size_t from = 0;
                o.raw = kind == 2;
                if (kind == 1) o.max_line_bytes = 5, o.long_lines = CWS_LONG_LINES_SPLIT;
                st_reset(t);
                script_logs(&t->s, "{}", st_log_bytes(t, text, border, "s", 1000 + border),
                            st_log_bytes(t, text + border, size - border, "s", 1000 + size), NULL);
                CHECK_INT(st_logs(t, sb, &o, (int)border & 1, &g), CWS_OK);
                CHECK_INT(g.bytes, size);
                for (i = 0; i < g.count; i++) {
                    size_t at = (size_t)g.at[i].offset - 1000;
                    cws_logs_opts more = o;
                    if (!CHECK(g.at[i].offset > 1000 && at <= size && at > from)) return;
                    CHECK_STR(g.at[i].session, "s");
                    from = at;
                    st_reset(t);
                    more.resume_session_id = g.at[i].session;
                    more.resume_offset = g.at[i].offset;
                    script_logs(&t->s, "{}",
                                st_log_bytes(t, text + at, size - at, "s", 1000 + size), NULL);
                    CHECK_INT(st_logs(t, sb, &more, (int)i & 1, &rest), CWS_OK);
                    st_check_resumed(t, 0, "s", 1000 + at);
                    if (kind != 2) CHECK_STR(rest.text, g.text + strlen(g.text) - rest.len);
                    CHECK_INT(rest.bytes, size - at);
                    CHECK_INT(rest.count, kind == 2 ? at < size : g.count - i - 1);
                }
                CHECK_INT(from, size);
            }
    }
    STREAMING("a place the caller gave: what comes twice is dropped there too; lost, it says so")
    BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        o.resume_session_id = "s";
        o.resume_offset = 6;
        script_logs(&t->s, GONE, NULL);
        script_logs(&t->s, "{}", st_log(t, "ne1\nline2\n", "s", 12), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "line2$|");
        st_check_resumed(t, 0, "s", 6);
        st_check_resumed(t, 1, "s", 6);
        st_reset(t);
        script_logs(&t->s, "{}", st_log_error(t, "SESSION_NOT_FOUND"), NULL);
        script_logs(&t->s, "{}", st_log(t, "x\n", "n", 2), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "!x$|");
        CHECK_STR(st_asked(t, 1), "{\"sandboxId\":\"sb-1\",\"follow\":true}");
    }
}

/* ---- logs: what is held back ----------------------------------------------------------------- */

/* A reply of 120 messages of 40000 bytes in lines of 100. */
static script_reply *st_long_log(api *t, size_t chunk)
{
    char *block = (char *)malloc(40000);
    size_t i;
    script_reply *r = script_logs(&t->s, NULL, NULL);
    if (!block) abort();
    for (i = 0; i < 40000; i++) block[i] = i % 100 == 99 ? '\n' : (char)('a' + i / 100 % 26);
    for (i = 0; i < 120; i++)
        script_message(&t->s, r, st_log_bytes(t, block, 40000, "s", 40000 * (i + 1)));
    script_envelope(&t->s, r, 2, "{}", 2);
    free(block);
    r->chunk = chunk;
    return r;
}

/* What st_take and st_note make of it. */
static uint64_t st_long_sum(void)
{
    uint64_t sum = 0;
    size_t i;
    for (i = 0; i < 120 * 40000; i++)
        sum = sum * 31 + (i % 100 == 99 ? '\n' : (unsigned char)('a' + i % 40000 / 100 % 26));
    return sum;
}

static void st_test_log_flow(void)
{
    STREAMING("logs nobody asks for wait at the service's side; asking brings them, all and once") {
        cws_sandbox *sb = api_running(t);
        const script_call *call;
        cws_stream *stream = NULL;
        st_got g;
        (void)st_long_log(t, 10000);
        memset(&g, 0, sizeof(g));
        CHECK_INT(cws_logs_begin(sb, NULL, &stream, &t->err), CWS_OK);
        st_turns(t, 1000);
        call = script_call_at(&t->s, "StreamLogs", 0);
        CHECK_INT(call->closings, 1);
        CHECK_INT(call->openings, 0);
        CHECK(call->reported < 160000);
        CHECK_INT(st_pull(t, stream, &g), CWS_OK);
        CHECK_INT(g.count, 48000);
        CHECK(g.sum == st_long_sum());
        CHECK(cws_client_memory(t->client).peak_bytes < 1u << 20);
        cws_stream_free(stream);
    }
    STREAMING("PAUSE from on_item: nothing more until it is resumed; nothing lost, little kept") {
        static const size_t every[] = {1, 7, 399, 400, 1000};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(every); i++) {
            cws_logs_opts o;
            cws_stream *stream = NULL;
            st_taker k;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            k.pause_every = every[i];
            k.resume_inside = i == 1;
            o.raw = i == 0; /* 120 items, else 48000 */
            o.on_item = st_on_item;
            o.user = &k;
            st_reset(t);
            (void)st_long_log(t, 500000);
            CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
            k.op = cws_stream_op(stream);
            CHECK_INT(st_resuming(t, k.op, &k), CWS_OK);
            CHECK_INT(k.bytes, 120 * 40000);
            CHECK(k.sum == st_long_sum());
            CHECK(script_call_at(&t->s, "StreamLogs", 0)->closings > 3);
            CHECK(cws_client_memory(t->client).peak_bytes < 4u << 20);
            cws_stream_free(stream);
        }
    }
    STREAMING("PAUSE on the very last item: the end waits too") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 2; i++) {
            cws_logs_opts o;
            cws_stream *stream = NULL;
            st_taker k;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            k.pause_every = 1;
            o.on_item = st_on_item;
            o.user = &k;
            o.follow = i & 1;
            script_logs(&t->s, "{}", st_log(t, "last\n", "s", 5), NULL); /* without newline: K1 */
            CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
            st_turns(t, 20);
            CHECK_INT(k.calls, 1);
            CHECK_INT(st_resuming(t, cws_stream_op(stream), &k), CWS_OK);
            CHECK_INT(k.calls, 1);
            cws_stream_free(stream);
        }
    }
    STREAMING("while paused: cancel, free and the deadline count; a lost connection waits") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 4; i++) {
            cws_logs_opts o;
            cws_stream *stream = NULL;
            st_taker k;
            int64_t from = t->s.now;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            k.pause_every = 1;
            o.on_item = st_on_item;
            o.user = &k;
            o.follow = i == 3;
            o.timeout_seconds = 30;
            st_reset(t);
            script_logs(&t->s, GONE, st_log(t, "a\nb\n", "s", 4), NULL);
            CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
            st_turns(t, 20);
            CHECK_INT(k.calls, 1);
            if (i == 0) CHECK(cws_op_cancel(cws_stream_op(stream)));
            if (i == 0) CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_ERR_CANCELLED);
            if (i == 1) {
                CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_ERR_REQUEST_TIMEOUT);
                CHECK_INT(t->s.now - from, 30000);
            }
            if (i == 3) {
                script_logs(&t->s, "{}", st_log(t, "c\n", "s", 6), NULL);
                CHECK_INT(st_resuming(t, cws_stream_op(stream), &k), CWS_OK);
                CHECK_STR(k.text, "a\nb\nc\n");
            } else {
                CHECK_INT(k.calls, 1);
            }
            cws_stream_free(stream);
        }
    }
    STREAMING("a callback may cancel the stream, or free it") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 3; i++) {
            cws_logs_opts o;
            cws_stream *stream = NULL;
            st_taker k;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            if (i == 0) k.cancel_at = 1;
            if (i == 2) k.pause_every = 1;
            o.on_item = st_on_item;
            o.user = &k;
            script_logs(&t->s, "{}", st_log(t, "a\nb\nc", NULL, 0), NULL);
            CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
            if (i) {
                k.stream = stream;
                api_settle(t);
            } else {
                CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_ERR_CANCELLED);
                HAS(t->err.message, "item callback");
                cws_stream_free(stream);
            }
            CHECK_INT(k.calls, 1);
        }
    }
    STREAMING("LG-26: a failure gets through although nothing was taken yet, behind all items") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL;
        script_reply *r = st_long_log(t, 0);
        st_got g;
        memset(&g, 0, sizeof(g));
        r->size -= 7; /* the end */
        script_envelope(&t->s, r, 2, "{\"error\":{\"code\":\"data_loss\"}}", 30);
        CHECK_INT(cws_logs_begin(sb, NULL, &stream, &t->err), CWS_OK);
        st_turns(t, 50);
        CHECK(!cws_op_done(cws_stream_op(stream)));
        CHECK_INT(st_pull(t, stream, &g), CWS_ERR_SANDBOX);
        CHECK_INT(g.count, 48000);
        CHECK(g.sum == st_long_sum());
        cws_stream_free(stream);
    }
    STREAMING("items that wait do not keep the deadline from ending the stream") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o;
        cws_stream *stream = NULL;
        st_got g;
        int64_t from = t->s.now;
        memset(&g, 0, sizeof(g));
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 5;
        script_logs(&t->s, "{}", st_log(t, "a\nb\nc", NULL, 0), NULL);
        CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(t->s.now - from, 5000);
        CHECK_INT(st_pull(t, stream, &g), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_STR(g.text, "a$|b$|");
        cws_stream_free(stream);
    }
}

/* ---- logs: cut everywhere -------------------------------------------------------------------- */

#define ST_LOG_TEXT "one\ntwo\n\nthree and a half\nlast"

/* A recorded log: the text in messages of 5 bytes from `at` on. ends: where each message ends. */
static script_reply *st_recorded(api *t, size_t at, size_t *ends, size_t *count)
{
    const size_t size = sizeof(ST_LOG_TEXT) - 1;
    script_reply *r = script_logs(&t->s, NULL, NULL);
    size_t n;
    for (*count = 0; at < size; at += n) {
        n = size - at < 5 ? size - at : 5;
        script_message(&t->s, r, st_log_bytes(t, &ST_LOG_TEXT[at], n, "s", at + n));
        ends[(*count)++] = r->size;
    }
    script_envelope(&t->s, r, 2, "{}", 2);
    return r;
}

static void st_test_log_cuts(void)
{
    const char *whole = "one$|two$|$|three and a half$|last~|";
    size_t ends[20], count = 0, other[20], n, i;
    STREAMING("logs cut at every byte, in each way: without follow a failure behind whole lines") {
        cws_sandbox *sb = api_running(t);
        size_t size = 1000, successes = 0;
        int cut;
        for (cut = 0; cut < ST_CUTS; cut++)
            for (n = 0; n <= size; n++) {
                st_got g;
                script_reply *r = st_recorded(t, 0, ends, &count);
                cws_status status;
                char want[100] = "";
                bool complete;
                size = r->size;
                st_cut_reply(r, n, (st_cut)cut);
                complete = n == size && (cut == ST_CLEAN || t->mode != API_GRPC);
                for (i = 0; i < count && ends[i] <= n; i++) {}
                (void)st_lines(ST_LOG_TEXT, i * 5 < 30 ? i * 5 : 30, 100, false, want);
                if (i < count && strchr(want, '~')) { /* not whole: not delivered */
                    char *end = strchr(want, '~');
                    while (end > want && end[-1] != '|') end--;
                    *end = '\0';
                }
                status = st_logs(t, sb, NULL, (int)n & 1, &g);
                CHECK((status == CWS_OK) == complete);
                if (complete) CHECK_STR(g.text, whole);
                else if (i < count) CHECK_STR(g.text, want);
                else CHECK_STR(g.text, "one$|two$|$|three and a half$|");
                successes += complete;
                st_reset(t);
            }
        CHECK_INT(successes, t->mode == API_GRPC ? 1 : ST_CUTS);
    }
    STREAMING("with follow they are taken up where they were cut: all lines, once and whole") {
        cws_sandbox *sb = api_running(t);
        size_t size = 1000;
        int cut;
        for (cut = 0; cut < ST_NO_HTTP; cut++)
            for (n = 0; n < size; n++) {
                st_got g;
                cws_logs_opts o = st_follow();
                size_t more, overlap = n % 4;
                script_reply *r = st_recorded(t, 0, ends, &count);
                size = r->size;
                st_cut_reply(r, n, (st_cut)cut);
                for (i = 0; i < count && ends[i] <= n; i++) {}
                i = i * 5 < 30 ? i * 5 : 30;
                (void)st_recorded(t, i > overlap ? i - overlap : 0, other, &more);
                CHECK_INT(st_logs(t, sb, &o, (int)n & 1, &g), CWS_OK);
                if (!CHECK_STR(g.text, whole)) return;
                if (i) st_check_resumed(t, 1, "s", i);
                else CHECK_STR(st_asked(t, 1), st_asked(t, 0));
                CHECK_STR(script_gaps(&t->s, "StreamLogs"), "500");
                st_reset(t);
            }
    }
    STREAMING("what can not be taken up fails, typed: no trust, the transport's patience") {
        static const cws_end kinds[] = {CWS_END_TLS, CWS_END_TIMEOUT};
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        for (i = 0; i < CWSI_COUNT(kinds); i++) {
            st_got g;
            st_reset(t);
            script_logs(&t->s, NULL, st_log(t, "a\nb", "s", 3), NULL)->end = kinds[i];
            CHECK(st_logs(t, sb, &o, (int)i, &g) != CWS_OK);
            CHECK(t->err.status != CWS_OK && t->err.message[0]);
            CHECK_STR(g.text, "a$|");
            CHECK_INT(script_count(&t->s, "StreamLogs"), 1);
        }
    }
}

static void st_test_log_arguments(void)
{
    EACH("logs: bad arguments are refused before anything is sent") {
        static const struct {
            const char *told;
            cws_logs_opts o;
        } rows[] = {
            {"must_be_zero", {.must_be_zero = 1}},
            {"container", {.container = "\xff"}},
            {"tail_lines", {.tail_lines = 2147483648u}},
            {"since_unix_ms", {.since_unix_ms = -1}},
            {"since_unix_ms", {.since_unix_ms = 253402300800000LL}},
            {"long_lines", {.long_lines = (cws_long_lines)3}},
            {"resume_offset", {.resume_offset = 1, .follow = true}},
            {"resume_session_id", {.resume_session_id = "", .follow = true}},
            {"resume_session_id", {.resume_session_id = "\xff", .follow = true}},
            {"follow", {.resume_session_id = "s"}},
            {"excludes", {.resume_session_id = "s", .follow = true, .timestamps = true}},
            {"excludes", {.resume_session_id = "s", .follow = true, .tail_lines = 1}},
            {"excludes", {.resume_session_id = "s", .follow = true, .since_unix_ms = 1}},
            {"timeout_seconds", {.timeout_seconds = -0.1}},
            {"timeout_seconds", {.timeout_seconds = 1.1e9, .follow = true}}};
        cws_sandbox *sb = api_running(t);
        cws_stream *stream;
        cws_logs_opts o;
        cws_item item;
        char id[300];
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            if (t->s.b2 && t->mode == API_PERFORM && rows[i].o.timeout_seconds != 0)
                continue; /* what the transport has not is told first */
            stream = (cws_stream *)t;
            CHECK_INT(cws_logs_begin(sb, &rows[i].o, &stream, &t->err), CWS_ERR_INVALID_ARGUMENT);
            CHECK(stream == NULL);
            HAS(t->err.message, rows[i].told);
            o = rows[i].o;
            o.on_item = st_on_item;
            CHECK_INT(cws_logs(sb, &o, &t->err), CWS_ERR_INVALID_ARGUMENT);
        }
        memset(id, 'x', sizeof(id));
        id[256] = '\0';
        o = st_follow();
        o.resume_session_id = id;
        CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_logs_begin(NULL, NULL, &stream, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_logs_begin(sb, NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_logs(sb, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "on_item");
        CHECK_INT(cws_logs(NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        memset(&item, 1, sizeof(item));
        CHECK_INT(cws_stream_next(NULL, 0, &item, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(item.data == NULL && item.size == 0);
        CHECK(cws_stream_op(NULL) == NULL);
        cws_stream_free(NULL);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
        if (t->mode == API_PERFORM) {
            st_taker k;
            memset(&k, 0, sizeof(k));
            CHECK_INT(cws_logs_begin(sb, NULL, &stream, &t->err), CWS_ERR_UNSUPPORTED);
            CHECK(stream == NULL);
            HAS(t->err.message, "streaming tier");
            memset(&o, 0, sizeof(o));
            o.on_item = st_on_item;
            o.user = &k;
            CHECK_INT(cws_logs(sb, &o, &t->err), CWS_ERR_UNSUPPORTED);
            CHECK_INT(t->s.call_count, 0);
        }
    }
    STREAMING("the largest session id and offset are fine; a stream has one way out of it") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        cws_stream *stream = NULL;
        cws_item item;
        st_taker k;
        char id[256];
        memset(&k, 0, sizeof(k));
        memset(id, 'x', sizeof(id));
        id[255] = '\0';
        o.resume_session_id = id;
        o.resume_offset = UINT64_MAX;
        o.on_item = st_on_item;
        o.user = &k;
        script_logs(&t->s, "{}", NULL);
        CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "on_item");
        CHECK_INT(cws_stream_next(stream, -1, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_OK);
        HAS(st_asked(t, 0), id);
        HAS(st_asked(t, 0), "\"18446744073709551615\"");
        cws_stream_free(stream);
    }
    STREAMING("logs work where streams go one way only") {
        cws_sandbox *sb;
        st_got g;
        if (api_v1_only(t, "the call of v1beta2 goes both ways")) continue;
        t->s.transport.full_duplex = false;
        sb = api_running(t);
        script_logs(&t->s, "{}", st_log(t, "a\n", NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, NULL, 1, &g), CWS_OK);
        CHECK_STR(g.text, "a$|");
    }
}

/* ---- what is refused before anything is sent ------------------------------------------------- */

static void st_test_shell_arguments(void)
{
    EACH("a shell: bad arguments are refused before anything is sent") {
        static const char *const none[] = {NULL}, *const blank[] = {"", NULL},
                                *const bad[] = {"\xff", NULL};
        static const cws_pair no_name[] = {{"", "x"}, {NULL, NULL}};
        cws_sandbox *sb = api_running(t);
        cws_process *p = (cws_process *)t;
        cws_shell_opts o;
        int i;
        CHECK_INT(cws_shell_begin(NULL, NULL, NULL, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(p == NULL);
        CHECK_INT(cws_shell_begin(sb, NULL, NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_shell_begin(sb, none, NULL, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "empty");
        CHECK_INT(cws_shell_begin(sb, blank, NULL, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_shell_begin(sb, bad, NULL, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
        for (i = 0; i < 7; i++) {
            static const char *const told[] = {"width",   "width",     "timeout", "timeout", "env",
                                               "container", "must_be_zero"};
            memset(&o, 0, sizeof(o));
            if (i == 0) o.width = 65536;
            if (i == 1) o.height = UINT32_MAX;
            if (i == 2) o.timeout_seconds = -1;
            if (i == 3) o.timeout_seconds = 2e9;
            if (i == 4) o.env = no_name;
            if (i == 5) o.container = "\xff";
            if (i == 6) o.must_be_zero = 1;
            p = (cws_process *)t;
            CHECK_INT(cws_shell_begin(sb, NULL, &o, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
            CHECK(p == NULL);
            HAS(t->err.message, told[i]);
        }
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        if (t->mode == API_PERFORM) {
            CHECK_INT(cws_shell_begin(sb, NULL, NULL, &p, &t->err), CWS_ERR_UNSUPPORTED);
            HAS(t->err.message, "HTTP/2");
            CHECK_INT(cws_client_pending(t->client), 0);
        }
    }
    ONCE("a transport without streams in both directions has no shell and no transfer") {
        cws_sandbox *sb;
        cws_process *p = NULL;
        cws_stream *stream = NULL;
        t->s.transport.full_duplex = false;
        sb = api_running(t);
        CHECK_INT(cws_shell_begin(sb, NULL, NULL, &p, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_upload(sb, "/x", st_nothing(), &t->err), CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK(!p && !stream);
        CHECK_INT(t->s.call_count, 0);
    }
}

/* ---- files: helpers -------------------------------------------------------------------------- */

/* The input that a call sent, joined and freed by the caller; NULL if it was not one whole input:
 * frames of 1 to 65536 bytes, then one close, then the end. */
static char *st_input(api *t, size_t index, size_t *size)
{
    const script_call *call = script_call_at(&t->s, "StreamExec", index);
    char *out = (char *)malloc(call->sent.len + 1);
    size_t at = 0;
    bool closed = false, bad = false;
    *size = 0;
    if (!out) abort();
    while (!bad && call->sent.len - at >= CWSI_ENVELOPE) {
        cwsi_str body;
        unsigned flags;
        const cwsi_v1_ExecStreamRequest *m;
        body.at = call->sent.at + at + CWSI_ENVELOPE;
        body.len = cwsi_envelope_read(call->sent.at + at, &flags);
        at += CWSI_ENVELOPE + body.len;
        m = closed || flags || at > call->sent.len ? NULL : script_input(&t->s, body);
        bad = !m;
        if (bad) break;
        closed = m->close != NULL;
        bad = !closed && (m->stdin_.len == 0 || m->stdin_.len > 65536);
        if (!closed && !bad) memcpy(out + *size, m->stdin_.at, m->stdin_.len);
        *size += m->stdin_.len;
    }
    if (!bad && closed && call->fin && at == call->sent.len) return out;
    free(out);
    return NULL;
}

/* Check that it was `size` bytes of st_big's, or of text. */
static void st_check_input(api *t, size_t index, const char *text, size_t size)
{
    size_t n = 0, i, wrong = 0;
    char *in = st_input(t, index, &n);
    if (CHECK(in != NULL) && CHECK_INT(n, size))
        for (i = 0; i < n; i++) wrong += in[i] != (text ? text[i] : (char)(i * 31 + i / 253));
    CHECK_INT(wrong, 0);
    free(in);
}

/* The i-th argument of the command that the call began; 3: behind the script. */
static const char *st_arg(api *t, size_t index, size_t i)
{
    static char words[4][200];
    static unsigned turn;
    const char *json = st_init(t, index), *p = strstr(json, "\"command\":["), *end;
    char *out = words[turn++ % 4];
    *out = '\0';
    if (!p) return out;
    for (p += 11; i; i--) {
        for (p++; *p && *p != '"'; p++) p += *p == '\\';
        if (p[0] != '"' || p[1] != ',') return out;
        p += 2;
    }
    end = strchr(p + 1, '"');
    if (end) (void)snprintf(out, sizeof(words[0]), "%.*s", (int)(end - p - 1), p + 1);
    return out;
}

static size_t st_arg_count(api *t, size_t index)
{
    size_t n = 0;
    const char *json = st_init(t, index);
    while (n < 10 && (st_arg(t, index, n)[0] || strstr(json, "\"\""))) n++;
    return n;
}

/* A reply of the command that reads: out, err, exit. */
static script_reply *st_cat(api *t, const char *out, const char *err, int code)
{
    script_reply *r = script_stream(&t->s, NULL, NULL);
    char json[60];
    if (out[0]) script_message(&t->s, r, st_out(t, out));
    if (err[0]) script_message(&t->s, r, script_output(&t->s, "STDERR", err, strlen(err)));
    (void)snprintf(json, sizeof(json), "{\"exit\":{\"exitCode\":%d}}", code);
    script_message(&t->s, r, json);
    script_envelope(&t->s, r, 2, "{}", 2);
    return r;
}

/* The reply of the command that writes, which ends once it has its input. */
static script_reply *st_sink(api *t, const char *err, int code)
{
    return api_answer_at_eof(t, err[0] ? script_output(&t->s, "STDERR", err, strlen(err)) : NULL,
                             code);
}

/* A file is too large for one message. cap, size: as metadata; NULL: none. */
static void st_too_large(api *t, const char *rpc, const char *cap, const char *size)
{
    char json[400];
    (void)snprintf(json, sizeof(json),
                   "{\"reason\":\"CWSANDBOX_FILE_TOO_LARGE\",\"domain\":\"cwsandbox.com\","
                   "\"metadata\":{\"x\":\"y\"%s%s%s%s%s%s}}",
                   cap ? ",\"max_size_bytes\":\"" : "", cap ? cap : "", cap ? "\"" : "",
                   size ? ",\"size_bytes\":\"" : "", size ? size : "", size ? "\"" : "");
    script_error(&t->s, rpc, "internal", "too big",
                 script_detail(&t->s, "google.rpc.ErrorInfo", json));
}

static cws_status st_upload(api *t, cws_sandbox *sb, const char *path, const cws_upload_opts *o)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_upload(sb, path, o, &t->err);
    begun = cws_upload_begin(sb, path, o, &op, &t->err);
    return api_finish(t, begun, op);
}

/* A download by a callback (how 0) or by asking (1). */
static cws_status st_download(api *t, cws_sandbox *sb, const char *path,
                              const cws_download_opts *opts, int how, st_got *g)
{
    cws_stream *stream = NULL;
    cws_download_opts o;
    cws_status status;
    memset(&o, 0, sizeof(o));
    if (opts) o = *opts;
    memset(g, 0, sizeof(*g));
    memset(&t->err, 0, sizeof(t->err));
    if (!how) {
        o.on_item = st_note_item;
        o.user = g;
        if (!api_async(t)) return cws_download(sb, path, &o, &t->err);
    }
    status = cws_download_begin(sb, path, &o, &stream, &t->err);
    if (!CHECK_INT(status, CWS_OK)) return status;
    status = how ? st_pull(t, stream, g) : api_drive(t, cws_stream_op(stream));
    cws_stream_free(stream);
    return status;
}

static char *st_pattern(size_t size)
{
    char *data = (char *)malloc(size ? size : 1);
    size_t i;
    if (!data) abort();
    for (i = 0; i < size; i++) data[i] = (char)(i * 31 + i / 253);
    return data;
}

#define MIB(n) ((size_t)(n) << 20)

/* ---- files: whole ---------------------------------------------------------------------------- */

static void st_test_read(void)
{
    STREAMING("FL-7: a read that fits is one message, and no command") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        script_ok(&t->s, "ReadFile", "{\"content\":\"YQ==\"}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        CHECK_STR(script_calls(&t->s), "ReadFile");
    }
    STREAMING("FL-8 9 15: any exhaustion: read through a command, raw, without input or close") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        cws_file_opts o;
        size_t n = 0;
        const script_call *call;
        memset(&o, 0, sizeof(o));
        o.container = api_side(t);
        script_error(&t->s, "ReadFile", "resource_exhausted", "whatever", NULL);
        script_stream(&t->s, "{}", script_output(&t->s, "STDOUT", "\0\xff", 2),
                      script_output(&t->s, "STDERR", "noise", 5), st_out(t, "rest"), EXIT(0), NULL);
        CHECK_INT(api_read(t, sb, "/a $(b) 'c'", &o, &bytes), CWS_OK);
        CHECK(bytes && memcmp(cws_bytes_data(bytes, &n), "\0\xffrest\0", 7) == 0);
        CHECK_INT(n, 6);
        cws_bytes_free(bytes);
        CHECK_STR(script_calls(&t->s), "ReadFile StreamExec");
        CHECK_STR(st_arg(t, 0, 0), "/bin/sh");
        CHECK_STR(st_arg(t, 0, 1), "-c");
        CHECK_STR(st_arg(t, 0, 3), "cwsandbox-read-file");
        CHECK_STR(st_arg(t, 0, 4), "/a $(b) 'c'");
        CHECK(!strstr(st_init(t, 0), SIDE) == t->s.b2);
        HAS_NOT(st_init(t, 0), "tty");
        call = script_call_at(&t->s, "StreamExec", 0);
        CHECK_INT(call->sent_bytes, 0);
        CHECK(!call->fin);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0); /* no exec in any statistic */
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_completed_ok, 0);
    }
    STREAMING("an empty file is read through a command too") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        script_error(&t->s, "ReadFile", "resource_exhausted", "whatever", NULL);
        st_cat(t, "", "", 0);
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        CHECK_INT(cws_bytes_size(bytes), 0);
        CHECK_STR((const char *)cws_bytes_data(bytes, NULL), "");
        cws_bytes_free(bytes);
    }
    STREAMING("FL-11: what the command says of the file is the reason, with path and text") {
        static const struct {
            int code;
            const char *err, *reason, *told;
        } rows[] = {{2, "File not found: /x\n", "CWSANDBOX_FILE_NOT_FOUND", "File not found: /x"},
                    {3, "Path is a directory: /x", "CWSANDBOX_FILE_IS_DIRECTORY", "a directory"},
                    {1, "cat: read error \n\n", "CWSANDBOX_FILE_IO_FAILED", "cat: read error"},
                    {137, "", "CWSANDBOX_FILE_IO_FAILED", "exit code 137"}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            cws_bytes *bytes = NULL;
            script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
            st_cat(t, i == 2 ? "some bytes" : "", rows[i].err, rows[i].code);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_FILE);
            CHECK(bytes == NULL);
            CHECK_STR(t->err.reason, rows[i].reason);
            CHECK_STR(t->err.filepath, "/x");
            CHECK_STR(cws_error_metadata(&t->err, "operation"), "read_file");
            HAS(t->err.message, rows[i].told);
            CHECK_STR(t->err.sandbox_id, "sb-1");
        }
    }
    STREAMING("FL-12 13 14: fewer bytes than the service told are an error; more are not") {
        static const char *const sizes[] = {"5", "4", "3", "0"};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(sizes); i++) {
            cws_bytes *bytes = NULL;
            st_too_large(t, "ReadFile", NULL, sizes[i]);
            st_cat(t, "abcd", "", 0);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), i ? CWS_OK : CWS_ERR_FILE);
            CHECK_INT(cws_bytes_size(bytes), i ? 4 : 0);
            cws_bytes_free(bytes);
            if (i) continue;
            CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TRUNCATED");
            CHECK_STR(cws_error_metadata(&t->err, "size_bytes"), "5");
            CHECK_STR(cws_error_metadata(&t->err, "bytes_delivered"), "4");
            CHECK_STR(cws_error_metadata(&t->err, "filepath"), "/x");
            HAS(t->err.message, "truncated");
        }
    }
    STREAMING("FL-21 23: a read over 256 MiB, or of a size that is not told, fails as it is") {
        static const char *const sizes[] = {"536870912", "268435457", NULL, "many", "-1",
                                            "99999999999999999999999"};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(sizes); i++) {
            cws_bytes *bytes = NULL;
            st_too_large(t, "ReadFile", "1000", sizes[i]);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_FILE);
            CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TOO_LARGE");
            HAS(t->err.message, "too big");
        }
        CHECK_INT(script_count(&t->s, "StreamExec"), 0);
    }
    STREAMING("a read through a command that fails otherwise fails as that did") {
        static const struct {
            const char *json, *end;
            cws_status status;
        } rows[] = {{"{\"error\":{\"message\":\"lost\",\"code\":\"STREAM_BACKPRESSURE\"}}", "{}",
                     CWS_ERR_STREAM_BACKPRESSURE},
                    {"{\"error\":{\"message\":\"lost\",\"code\":\"STREAM_TRUNCATED\"}}", "{}",
                     CWS_ERR_STREAM_TRUNCATED},
                    {"{\"error\":{\"message\":\"lost\"}}", "{}", CWS_ERR_FILE},
                    {"{}", "{}", CWS_ERR_FILE}, /* no exit */
                    {"{}", GONE, CWS_ERR_UNAVAILABLE},
                    {"{}", "{\"error\":{\"code\":\"permission_denied\"}}", CWS_ERR_AUTHENTICATION}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            cws_bytes *bytes = NULL;
            script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
            script_stream(&t->s, rows[i].end, st_out(t, "abc"), rows[i].json, NULL);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), rows[i].status);
            CHECK(bytes == NULL);
            CHECK_STR(t->err.filepath, "/x");
            if (i < 3) HAS(t->err.message, "lost");
            if (i == 3) HAS(t->err.message, "without exit status");
        }
    }
    STREAMING("one deadline for the message and the command behind it") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        cws_file_opts o;
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 5;
        script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL)->delay = 4000;
        script_stream(&t->s, NULL, OUT_A, NULL)->hold = true;
        CHECK_INT(api_read(t, sb, "/x", &o, &bytes), CWS_ERR_REQUEST_TIMEOUT);
        HAS(t->err.message, "'/x' timed out after 5000 ms");
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->timeout_ms, 1000 + 5000);
        CHECK_INT(t->s.now - from, 10000);
        CHECK(script_call_at(&t->s, "StreamExec", 0)->cancelled);
    }
    EACH("without streams in both directions a file that is too large fails as the service said") {
        cws_sandbox *sb;
        cws_bytes *bytes = NULL;
        t->s.transport.full_duplex = false;
        sb = api_running(t);
        st_too_large(t, "ReadFile", NULL, "1000");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_FILE);
        CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TOO_LARGE");
        script_error(&t->s, "ReadFile", "resource_exhausted", "full", NULL);
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_RESOURCE_EXHAUSTED);
        st_too_large(t, "WriteFile", "2", NULL);
        CHECK_INT(api_write(t, sb, "/x", "abc", 3, NULL), CWS_ERR_FILE);
        CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TOO_LARGE");
    }
    STREAMING("a read through a command cut at every byte is whole or a failure") {
        cws_sandbox *sb = api_running(t);
        size_t n, size = 1000, exit_at = 0;
        int cut, sized;
        for (cut = 0; cut < ST_CUTS; cut++)
            for (n = 0; n <= size; n++) {
                cws_bytes *bytes = NULL;
                script_reply *r;
                cws_status status;
                sized = (int)n & 1;
                if (sized) st_too_large(t, "ReadFile", NULL, "10");
                else script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
                r = script_stream(&t->s, NULL, st_out(t, "hello"), st_out(t, "there"), EXIT(0),
                                  NULL);
                exit_at = r->size;
                script_envelope(&t->s, r, 2, "{}", 2);
                size = r->size;
                st_cut_reply(r, n, (st_cut)cut);
                status = api_read(t, sb, "/x", NULL, &bytes);
                CHECK((status == CWS_OK) == (n >= exit_at));
                if (!status) CHECK_STR((const char *)cws_bytes_data(bytes, NULL), "hellothere");
                else CHECK(bytes == NULL);
                cws_bytes_free(bytes);
                st_reset(t);
            }
    }
    STREAMING("the first file of a sandbox through a command is logged, once") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        const char *first;
        int i;
        for (i = 0; i < 3; i++) {
            script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
            st_cat(t, "x", "", 0);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
            cws_bytes_free(bytes);
        }
        first = strstr(t->said, "go through StreamExec");
        CHECK(first && !strstr(first + 1, "go through StreamExec"));
    }
}

static void st_test_write(void)
{
    STREAMING("FL-3 20 22: the service's cap is learnt: one message, a command; then the command") {
        cws_sandbox *sb = api_running(t);
        char *data = st_pattern(200000);
        script_ok(&t->s, "WriteFile", "{}");
        CHECK_INT(api_write(t, sb, "/x", data, 200000, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "WriteFile");
        st_reset(t);
        st_too_large(t, "WriteFile", "150000", NULL);
        st_sink(t, "", 0);
        CHECK_INT(api_write(t, sb, "/x", data, 200000, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "WriteFile StreamExec");
        st_check_input(t, 0, NULL, 200000);
        st_reset(t);
        st_sink(t, "", 0);
        CHECK_INT(api_write(t, sb, "/x", data, 150001, NULL), CWS_OK);
        script_ok(&t->s, "WriteFile", "{}");
        CHECK_INT(api_write(t, sb, "/x", data, 150000, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "StreamExec WriteFile");
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        free(data);
    }
    STREAMING("FL-5 6: an exhaustion means the size of the message only if it says so") {
        static const struct {
            const char *text;
            bool bridged;
        } rows[] = {{"Received Message LARGER than MAX (5 vs. 4)", true},
                    {"over max-file-operation-bytes", true},
                    {"quota: larger than max", false},
                    {"message too long", false},
                    {"", false}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            script_error(&t->s, "WriteFile", "resource_exhausted", rows[i].text, NULL);
            if (rows[i].bridged) st_sink(t, "", 0);
            st_reset(t);
            CHECK_INT(api_write(t, sb, "/x", "abc", 3, NULL),
                      rows[i].bridged ? CWS_OK : CWS_ERR_RESOURCE_EXHAUSTED);
            CHECK_INT(script_count(&t->s, "StreamExec"), rows[i].bridged);
            if (rows[i].bridged) st_check_input(t, 0, "abc", 3);
        }
    }
    STREAMING("FL-10: the command of a write: path, size, a name beside; raw bytes, once") {
        cws_sandbox *sb = api_running(t);
        cws_file_opts o;
        int i;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < 2; i++) {
            st_reset(t);
            o.direct = i == 1;
            st_too_large(t, "WriteFile", NULL, NULL);
            st_sink(t, "", 0);
            CHECK_INT(api_write(t, sb, "/d/$(x)", "\0\xff\n", 3, &o), CWS_OK);
            CHECK_STR(script_calls(&t->s), "WriteFile StreamExec");
            CHECK_STR(st_arg(t, 0, 0), "/bin/sh");
            CHECK_STR(st_arg(t, 0, 3), "cwsandbox-write-file");
            CHECK_STR(st_arg(t, 0, 4), "/d/$(x)");
            CHECK_STR(st_arg(t, 0, 5), "3");
            CHECK_INT(strlen(st_arg(t, 0, 6)), i ? 0 : 36);
            CHECK_INT(st_arg_count(t, 0) >= 7, 1);
            st_check_input(t, 0, "\0\xff\n", 3);
        }
    }
    STREAMING("FL-16: a write that fails says what became of the file") {
        static const struct {
            const char *err;
            int code;
            const char *reason, *told;
        } rows[] = {{"/x: not all of 3 bytes arrived\n", 1, "", "not all of 3 bytes"},
                    {"", 139, "", "exit code 139"},
                    {"File not found: no directory /d", 2, "CWSANDBOX_FILE_NOT_FOUND",
                     "no directory"},
                    {"Path is a directory: /x", 3, "CWSANDBOX_FILE_IS_DIRECTORY", "directory"}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < 2 * CWSI_COUNT(rows); i++) {
            cws_file_opts o;
            memset(&o, 0, sizeof(o));
            o.direct = i & 1;
            st_too_large(t, "WriteFile", NULL, NULL);
            st_sink(t, rows[i / 2].err, rows[i / 2].code);
            CHECK_INT(api_write(t, sb, "/x", "abc", 3, &o), CWS_ERR_FILE);
            CHECK_STR(t->err.reason, rows[i / 2].reason);
            CHECK_STR(t->err.filepath, "/x");
            HAS(t->err.message, rows[i / 2].told);
            if (i < 4) HAS(t->err.message, o.direct ? "partial or truncated" : "the target is ");
            else HAS_NOT(t->err.message, "target");
        }
    }
    STREAMING("a write whose command fails is a failure of the file, but for what has a type") {
        static const struct {
            const char *json, *end;
            cws_status status;
        } rows[] = {{"{\"error\":{\"message\":\"lost\",\"code\":\"STREAM_BACKPRESSURE\"}}", "{}",
                     CWS_ERR_STREAM_BACKPRESSURE},
                    {"{\"error\":{\"message\":\"lost\"}}", "{}", CWS_ERR_FILE},
                    {READY, "{}", CWS_ERR_FILE}, /* no exit */
                    {READY, GONE, CWS_ERR_FILE},
                    {"{}", "{\"error\":{\"code\":\"permission_denied\"}}", CWS_ERR_AUTHENTICATION}};
        cws_sandbox *sb = api_running(t);
        cws_file_opts o;
        size_t i;
        memset(&o, 0, sizeof(o));
        o.direct = true;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            st_too_large(t, "WriteFile", NULL, NULL);
            script_stream(&t->s, rows[i].end, rows[i].json, NULL);
            CHECK_INT(api_write(t, sb, "/x", "abc", 3, &o), rows[i].status);
            CHECK_STR(t->err.filepath, "/x");
            if (rows[i].status == CWS_ERR_FILE) HAS(t->err.message, "partial or truncated");
        }
        st_too_large(t, "WriteFile", NULL, NULL);
        script_never(&t->s, "StreamExec"); /* not even ready */
        CHECK_INT(api_write(t, sb, "/x", "abc", 3, &o), CWS_ERR_REQUEST_TIMEOUT);
        HAS(t->err.message, "ready");
    }
    EACH("FL-18: a write over 256 MiB is refused, with the numbers, before anything is sent") {
        cws_sandbox *sb = api_running(t);
        CHECK_INT(api_write(t, sb, "/x", "", MIB(256) + 1, NULL), CWS_ERR_FILE);
        CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TOO_LARGE");
        CHECK_STR(t->err.filepath, "/x");
        CHECK_STR(cws_error_metadata(&t->err, "size_bytes"), "268435457");
        CHECK_STR(cws_error_metadata(&t->err, "max_size_bytes"), "268435456");
        CHECK_STR(cws_error_metadata(&t->err, "operation"), "write_file");
        CHECK_INT(t->s.call_count, 0);
        if (t->mode != API_PERFORM) continue;
        CHECK_INT(api_write(t, sb, "/x", "", MIB(32) + 1, NULL), CWS_ERR_UNSUPPORTED);
        CHECK_INT(t->s.call_count, 0);
    }
    STREAMING("FL-4: one byte over 32 MiB goes through a command at once") {
        cws_sandbox *sb;
        char *data = st_pattern(MIB(32) + 1);
        t->copts.trace = NULL;
        sb = api_running(t);
        st_sink(t, "", 0);
        CHECK_INT(api_write(t, sb, "/x", data, MIB(32) + 1, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "StreamExec");
        CHECK_STR(st_arg(t, 0, 5), "33554433");
        st_check_input(t, 0, NULL, MIB(32) + 1);
        st_reset(t);
        free(data);
    }
    for (int mode = API_ASYNC; mode < API_MODES; mode += API_PERFORM - API_ASYNC)
        API_RUN("FL-24: 32 MiB are one message", mode) {
            cws_sandbox *sb;
            char *data = st_pattern(MIB(32));
            t->copts.trace = NULL;
            sb = api_running(t);
            script_ok(&t->s, "WriteFile", "{}");
            CHECK_INT(api_write(t, sb, "/x", data, MIB(32), NULL), CWS_OK);
            CHECK_STR(script_calls(&t->s), "WriteFile");
            free(data);
        }
    ONCE("FL-19 24 25: 64 and 256 MiB through a command; 99 MiB are the most for one message") {
        static const size_t sizes[] = {MIB(64), MIB(99) + 1, MIB(256)};
        cws_sandbox *sb;
        char *data = (char *)calloc(1, MIB(256));
        size_t i;
        if (!data) abort();
        t->copts.trace = NULL;
        t->s.forget = true;
        sb = api_running(t);
        for (i = 0; i < 3; i++) {
            if (i == 1) { /* a cap that is larger than what a message can hold */
                st_too_large(t, "WriteFile", "209715200", NULL);
                st_sink(t, "", 0);
                CHECK_INT(api_write(t, sb, "/x", data, 10, NULL), CWS_OK);
            }
            st_reset(t);
            st_sink(t, "", 0);
            CHECK_INT(api_write(t, sb, "/x", data, sizes[i], NULL), CWS_OK);
            CHECK_STR(script_calls(&t->s), "StreamExec");
            CHECK(script_call_at(&t->s, "StreamExec", 0)->sent_bytes > sizes[i]);
        }
        free(data);
    }
    STREAMING("the reply of a writing command cut at every byte: no success without the exit") {
        cws_sandbox *sb = api_running(t);
        size_t n, size = 1000, exit_at = 0;
        int cut;
        for (cut = 0; cut < ST_CUTS; cut++)
            for (n = 0; n <= size; n++) {
                script_reply *r;
                cws_status status;
                st_too_large(t, "WriteFile", NULL, NULL);
                r = st_sink(t, "", 0);
                size = r->size;
                exit_at = size - 7;
                if (n <= r->until_fin) r->until_fin = 0;
                st_cut_reply(r, n, (st_cut)cut);
                status = api_write(t, sb, "/x", "abc", 3, NULL);
                CHECK((status == CWS_OK) == (n >= exit_at));
                if (!status) st_check_input(t, 0, "abc", 3);
                st_reset(t);
            }
    }
}

/* ---- uploads --------------------------------------------------------------------------------- */

typedef struct st_source {
    size_t left, done, most; /* most: of one piece */
    size_t pause_every, calls, cancel_at;
    bool lie; /* says more than there is room for */
    cws_progress last;
    size_t told;
} st_source;

static cws_flow st_give(void *buffer, size_t size, size_t *count, void *user)
{
    st_source *s = (st_source *)user;
    size_t n = s->left < size ? s->left : size, i;
    CHECK_INT(size, 65536);
    s->calls++;
    if (s->most && n > s->most) n = s->most;
    for (i = 0; i < n; i++)
        ((char *)buffer)[i] = (char)((s->done + i) * 31 + (s->done + i) / 253);
    *count = s->lie ? size + 1 : n;
    s->left -= n;
    s->done += n;
    if (s->calls == s->cancel_at) return CWS_FLOW_CANCEL;
    if (n == 0) return CWS_FLOW_CONTINUE; /* the end */
    return s->pause_every && s->calls % s->pause_every == 0 ? CWS_FLOW_PAUSE : CWS_FLOW_CONTINUE;
}

static void st_progress(const cws_progress *p, void *user)
{
    st_source *s = (st_source *)user;
    CHECK(p->bytes_done >= s->last.bytes_done && p->bytes_per_second >= 0);
    CHECK(!p->bytes_total || p->bytes_done <= p->bytes_total);
    s->last = *p;
    s->told++;
}

static cws_upload_opts st_from(st_source *s, size_t size)
{
    cws_upload_opts o;
    memset(s, 0, sizeof(*s));
    memset(&o, 0, sizeof(o));
    s->left = size;
    o.source = st_give;
    o.on_progress = st_progress;
    o.user = s;
    return o;
}

static void st_test_upload(void)
{
    STREAMING("FL-26 27: pieces of a source, of any size, go on in frames of at most 64 KiB") {
        static const size_t most[] = {0, 1, 1000, 65535};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(most); i++) {
            st_source s;
            size_t size = i == 1 ? 3000 : 2500000;
            cws_upload_opts o = st_from(&s, size);
            s.most = most[i];
            t->s.send_most = i == 2 ? 20000 : 0;
            st_reset(t);
            st_sink(t, "", 0);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_OK);
            CHECK_STR(script_calls(&t->s), "StreamExec");
            st_check_input(t, 0, NULL, size);
            CHECK_STR(st_arg(t, 0, 3), "cwsandbox-write-file");
            CHECK_STR(st_arg(t, 0, 4), "/x");
            CHECK_STR(st_arg(t, 0, 5), "");
            CHECK_STR(st_arg(t, 0, 6), "");
            CHECK_INT(s.last.bytes_done, size);
            CHECK_INT(s.last.bytes_total, 0);
            CHECK(cws_client_memory(t->client).peak_bytes < 3u << 20);
        }
    }
    STREAMING("an upload from memory, and one of nothing, have their size with them") {
        cws_sandbox *sb = api_running(t);
        char *data = st_pattern(300000);
        size_t i;
        for (i = 0; i < 4; i++) {
            st_source s;
            cws_upload_opts o = st_from(&s, 0);
            o.source = NULL;
            o.atomic = i & 1;
            o.data = i < 2 ? data : "";
            o.size = i < 2 ? 300000 : 0;
            o.container = api_side(t);
            st_reset(t);
            st_sink(t, "", 0);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_OK);
            CHECK_STR(script_calls(&t->s), "StreamExec");
            st_check_input(t, 0, NULL, i < 2 ? 300000 : 0);
            CHECK_STR(st_arg(t, 0, 5), i < 2 ? "300000" : "0");
            CHECK_INT(strlen(st_arg(t, 0, 6)), i & 1 ? 36 : 0);
            CHECK(!strstr(st_init(t, 0), SIDE) == t->s.b2);
            CHECK_INT(s.last.bytes_done, o.size);
            CHECK_INT(s.last.bytes_total, o.size);
        }
        st_reset(t);
        st_sink(t, "", 0);
        CHECK_INT(st_upload(t, sb, "/x", st_nothing()), CWS_OK); /* an empty file */
        st_check_input(t, 0, NULL, 0);
        free(data);
    }
    STREAMING("atomic and of unknown size: written beside, then counted and put in its place") {
        cws_sandbox *sb = api_running(t);
        st_source s;
        cws_upload_opts o = st_from(&s, 100000);
        char token[40];
        o.atomic = true;
        st_sink(t, "", 0);
        st_cat(t, "", "", 0);
        CHECK_INT(st_upload(t, sb, "/x", &o), CWS_OK);
        CHECK_STR(script_calls(&t->s), "StreamExec StreamExec");
        st_check_input(t, 0, NULL, 100000);
        CHECK_STR(st_arg(t, 0, 5), "");
        (void)snprintf(token, sizeof(token), "%s", st_arg(t, 0, 6));
        CHECK_INT(strlen(token), 36);
        CHECK_STR(st_arg(t, 1, 5), "100000");
        CHECK_STR(st_arg(t, 1, 6), token);
        CHECK_STR(st_arg(t, 1, 7), "commit");
        CHECK_INT(script_call_at(&t->s, "StreamExec", 1)->sent_bytes, 0);
        CHECK_INT(s.last.bytes_done, 100000);
        o = st_from(&s, 10); /* the second step fails */
        o.atomic = true;
        st_sink(t, "", 0);
        st_cat(t, "", "/x: not all of 10 bytes arrived", 1);
        CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_FILE);
        HAS(t->err.message, "not all of 10");
        o = st_from(&s, 10); /* it is lost: who knows */
        o.atomic = true;
        st_sink(t, "", 0);
        script_stream(&t->s, GONE, NULL);
        CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_FILE);
        HAS(t->err.message, "the old file, or whole");
    }
    STREAMING("FL-28: a failed upload says what became of the file; backpressure keeps its type") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 2; i++) {
            st_source s;
            cws_upload_opts o = st_from(&s, 5000000);
            o.atomic = i == 1;
            script_stream(&t->s, "{}", READY, "{\"error\":{\"message\":\"x\"}}", NULL);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_FILE);
            HAS(t->err.message, i ? "the target is as it was" : "partial or truncated");
            o = st_from(&s, 5000000);
            o.atomic = i == 1;
            script_stream(&t->s, "{}", READY,
                          "{\"error\":{\"message\":\"x\",\"code\":\"STREAM_BACKPRESSURE\"}}", NULL);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_STREAM_BACKPRESSURE);
            o = st_from(&s, 5000000);
            o.atomic = i == 1;
            o.timeout_seconds = 3;
            script_stream(&t->s, NULL, READY, NULL)->hold = true;
            t->s.send_most = 1;
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_REQUEST_TIMEOUT);
            HAS(t->err.message, i ? "the target is as it was" : "partial or truncated");
            t->s.send_most = 0;
            o = st_from(&s, 5000000); /* it ended well, but early */
            o.atomic = i == 1;
            script_stream(&t->s, "{}", READY, EXIT(0), NULL);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_FILE);
            HAS(t->err.message, i ? "the target is as it was" : "partial or truncated");
        }
    }
    STREAMING("FL-29: a source that gives up, gives too much, or not what was said") {
        cws_sandbox *sb = api_running(t);
        st_source s;
        int i;
        for (i = 0; i < 5; i++) {
            static const cws_status want[] = {CWS_ERR_CANCELLED, CWS_ERR_CANCELLED,
                                              CWS_ERR_INVALID_ARGUMENT, CWS_ERR_INVALID_ARGUMENT,
                                              CWS_ERR_INVALID_ARGUMENT};
            cws_upload_opts o = st_from(&s, 300000);
            st_reset(t);
            if (i < 2) s.cancel_at = i ? 3 : 1;
            if (i == 2) s.lie = true;
            if (i == 3) o.size = 300001;
            if (i == 4) o.size = 299999;
            script_stream(&t->s, NULL, READY, NULL)->hold = true;
            CHECK_INT(st_upload(t, sb, "/x", &o), want[i]);
            HAS(t->err.message, i < 2 ? "source callback" : "source gave");
            CHECK_STR(t->err.filepath, "/x");
            st_turns(t, 3);
            CHECK_INT(cws_client_pending(t->client), 0); /* nothing stays behind on the wire */
            CHECK(script_call_at(&t->s, "StreamExec", 0)->cancelled ||
                  !script_count(&t->s, "StreamExec"));
            CHECK(t->s.open == NULL);
            if (!script_count(&t->s, "StreamExec")) t->s.last->times = 0;
        }
    }
    STREAMING("PAUSE from a source: not asked again until it is resumed; nothing lost or doubled") {
        static const size_t most[] = {65536, 1000, 0};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < 3; i++) {
            st_source s;
            cws_upload_opts o = st_from(&s, i == 1 ? 50000 : 1000000);
            cws_op *op = NULL;
            size_t calls;
            s.most = most[i];
            s.pause_every = i == 2 ? 3 : 1;
            o.atomic = i == 2;
            st_reset(t);
            st_sink(t, "", 0);
            if (o.atomic) st_cat(t, "", "", 0);
            CHECK_INT(cws_upload_begin(sb, "/x", &o, &op, &t->err), CWS_OK);
            while (!cws_op_done(op) && s.calls < 1000) {
                st_turns(t, 4);
                calls = s.calls;
                st_turns(t, 3);
                CHECK_INT(s.calls, calls);
                cws_op_resume(op);
            }
            CHECK_INT(cws_op_result(op, &t->err), CWS_OK);
            st_check_input(t, 0, NULL, i == 1 ? 50000 : 1000000);
            cws_op_free(op);
        }
    }
    STREAMING("a paused upload: cancel, free, the deadline") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 3; i++) {
            st_source s;
            cws_upload_opts o = st_from(&s, 1000000);
            cws_op *op = NULL;
            int64_t from = t->s.now;
            s.pause_every = 1;
            o.timeout_seconds = 20;
            st_reset(t);
            script_stream(&t->s, NULL, READY, NULL)->hold = true;
            CHECK_INT(cws_upload_begin(sb, "/x", &o, &op, &t->err), CWS_OK);
            st_turns(t, 20);
            CHECK_INT(s.calls, 1);
            if (i == 0) CHECK(cws_op_cancel(op));
            if (i < 2) CHECK_INT(st_end(t, op), i ? CWS_ERR_REQUEST_TIMEOUT : CWS_ERR_CANCELLED);
            if (i == 1) CHECK(t->s.now - from >= 20000 && t->s.now - from <= 30000);
            cws_op_free(op);
            st_turns(t, 2);
            CHECK(t->s.open == NULL);
            CHECK_INT(s.calls, 1);
        }
    }
    STREAMING("progress is told ten times a second at most, and at the end") {
        cws_sandbox *sb = api_running(t);
        st_source s;
        cws_upload_opts o = st_from(&s, 2000000);
        int64_t from = t->s.now;
        t->s.send_most = 1000;
        o.size = 2000000;
        st_sink(t, "", 0);
        CHECK_INT(st_upload(t, sb, "/x", &o), CWS_OK);
        CHECK(s.told > 5 && s.told <= (size_t)(t->s.now - from) / 100 + 1);
        CHECK_INT(s.last.bytes_done, 2000000);
        CHECK_INT(s.last.bytes_total, 2000000);
        CHECK(s.last.bytes_per_second > 100);
    }
    STREAMING("an upload starts the sandbox; an ended one has none; HTTP/1.1 on the way") {
        cws_sandbox *sb = api_box(t, NULL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_raw(&t->s, "StreamExec", 505, "text/plain", "no", 2);
        CHECK_INT(st_upload(t, sb, "/x", st_nothing()), CWS_ERR_UNSUPPORTED);
        CHECK_STR(script_calls(&t->s), "CreateSandbox GetSandbox StreamExec");
        CHECK_INT(st_upload(t, sb, "/x", st_nothing()), CWS_ERR_UNSUPPORTED); /* at once */
        CHECK_INT(t->s.call_count, 3);
    }
    STREAMING("FL-2: an ended or draining sandbox takes and gives no files") {
        static const char *const states[] = {EXITED("COMPLETED", 0), BOX("TERMINATING")};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_found(t, states[i]);
            st_got g;
            CHECK_INT(st_upload(t, sb, "/x", st_nothing()), CWS_ERR_NOT_RUNNING);
            CHECK_INT(st_download(t, sb, "/x", NULL, 0, &g), CWS_ERR_NOT_RUNNING);
            CHECK_INT(st_download(t, sb, "/x", NULL, 1, &g), CWS_ERR_NOT_RUNNING);
            CHECK_INT(t->s.call_count, 0);
        }
    }
}

/* ---- downloads ------------------------------------------------------------------------------- */

/* The reply of the command that asks for the size. NULL: it can not tell. */
static script_reply *st_stat(api *t, const char *size)
{
    return st_cat(t, size ? size : "", "", size ? 0 : 1);
}

static void st_test_download(void)
{
    STREAMING("FL-31 32: pieces in order, each with its place; one request, no input") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_download_opts o;
        st_source s;
        st_got g;
        size_t i;
        memset(&o, 0, sizeof(o));
        memset(&s, 0, sizeof(s));
        o.container = api_side(t);
        if (how) o.on_progress = st_progress, o.user = &s;
        st_stat(t, "7\n");
        script_stream(&t->s, "{}", script_output(&t->s, "STDOUT", "\0\n", 2), st_out(t, "abc"),
                      script_output(&t->s, "STDERR", "noise", 5), st_out(t, "de"), EXIT(0),
                      NULL)->chunk = 11;
        st_reset(t);
        CHECK_INT(st_download(t, sb, "-x", &o, how, &g), CWS_OK);
        CHECK_INT(g.bytes, 7);
        HAS(g.text, "0$|");
        for (i = 0; i < g.count; i++) CHECK(i == 0 ? g.at[i].offset == 0 : g.at[i].offset > 0);
        CHECK_STR(script_calls(&t->s), "StreamExec StreamExec");
        for (i = 0; i < 2; i++) {
            CHECK_STR(st_arg(t, i, 0), "/bin/sh");
            CHECK_STR(st_arg(t, i, 3), i ? "cwsandbox-read-file" : "cwsandbox-stat");
            CHECK_STR(st_arg(t, i, 4), "-x");
            CHECK(!strstr(st_init(t, i), SIDE) == t->s.b2);
            CHECK_INT(script_call_at(&t->s, "StreamExec", i)->sent_bytes, 0);
        }
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        if (how) CHECK(s.last.bytes_done == 7 && s.last.bytes_total == 7);
        st_reset(t);
    }
    STREAMING("an empty file is an end without an item") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        st_got g;
        st_stat(t, "0\n");
        st_cat(t, "", "", 0);
        CHECK_INT(st_download(t, sb, "/x", NULL, how, &g), CWS_OK);
        CHECK_INT(g.count, 0);
        st_reset(t);
    }
    STREAMING("FL-33: exit codes of the command are reasons; what came before them was delivered")
    BOTH_WAYS {
        static const char *const reasons[] = {"IO_FAILED", "FILE_NOT_FOUND", "FILE_IS_DIRECTORY"};
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 1; i <= 3; i++) {
            st_got g;
            st_stat(t, NULL);
            st_cat(t, i == 1 ? "some" : "", "cat: what it says\n", i);
            CHECK_INT(st_download(t, sb, "/x", NULL, how, &g), CWS_ERR_FILE);
            HAS(t->err.reason, reasons[i - 1]);
            HAS(t->err.message, "cat: what it says");
            CHECK_STR(t->err.filepath, "/x");
            CHECK_STR(cws_error_metadata(&t->err, "operation"), "download");
            CHECK_STR(g.text, i == 1 ? "some|" : "");
        }
    }
    STREAMING("FL-34 35 36: an error, backpressure, no exit, and other ends") BOTH_WAYS {
        static const struct {
            const char *json, *end;
            cws_status status;
            const char *told;
        } rows[] = {{"{\"error\":{\"message\":\"lost\"}}", "{}", CWS_ERR_FILE, "lost"},
                    {"{\"error\":{\"message\":\"lost\",\"code\":\"STREAM_BACKPRESSURE\"}}", "{}",
                     CWS_ERR_STREAM_BACKPRESSURE, "lost"},
                    {"{\"error\":{\"message\":\"lost\",\"code\":\"STREAM_TRUNCATED\"}}", "{}",
                     CWS_ERR_STREAM_TRUNCATED, "lost"},
                    {"{}", "{}", CWS_ERR_FILE, "without exit status"},
                    {"{}", GONE, CWS_ERR_UNAVAILABLE, "gone"}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            st_got g;
            st_stat(t, "4");
            script_stream(&t->s, rows[i].end, st_out(t, "ab"), rows[i].json, NULL);
            CHECK_INT(st_download(t, sb, "/x", NULL, how, &g), rows[i].status);
            HAS(t->err.message, rows[i].told);
            CHECK_STR(t->err.filepath, "/x");
            CHECK_STR(g.text, "ab|");
        }
    }
    STREAMING("FL-37 38 39 40: fewer bytes than the size are an error, from 128 MiB on only") {
        static const struct {
            const char *size;
            size_t mib;
            bool short_;
            cws_status status;
        } rows[] = {{"134217728", 128, true, CWS_ERR_FILE},  {"134217728", 128, false, CWS_OK},
                    {"134217727", 127, false, CWS_OK},       {"0", 1, false, CWS_OK},
                    {"1000000000000", 1, false, CWS_ERR_FILE}, {"much", 1, false, CWS_OK},
                    {NULL, 1, false, CWS_OK}};
        cws_sandbox *sb;
        char *block = (char *)calloc(1, 1 << 20);
        size_t i;
        if (!block) abort();
        t->copts.trace = NULL;
        sb = api_running(t);
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            st_got g;
            script_reply *r;
            st_stat(t, rows[i].size);
            r = script_stream(&t->s, NULL, NULL);
            script_message(&t->s, r, script_output(&t->s, "STDOUT", block, 1 << 20));
            r->loop_to = r->size;
            r->loops = rows[i].mib - 1;
            if (rows[i].short_) r->loops--;
            script_message(&t->s, r, EXIT(0));
            script_envelope(&t->s, r, 2, "{}", 2);
            CHECK_INT(st_download(t, sb, "/x", NULL, (int)i & 1, &g), rows[i].status);
            CHECK_INT(g.bytes, (rows[i].mib - rows[i].short_) << 20);
            CHECK(cws_client_memory(t->client).peak_bytes < 8u << 20);
            if (!rows[i].status) continue;
            CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TRUNCATED");
            CHECK_STR(cws_error_metadata(&t->err, "size_bytes"), rows[i].size);
            CHECK_STR(cws_error_metadata(&t->err, "bytes_delivered"), i ? "1048576" : "133169152");
            CHECK_STR(cws_error_metadata(&t->err, "operation"), "download");
        }
        free(block);
    }
    STREAMING("FL-41 42: one deadline; the size gets at most 10 s of it, and its failure is none")
    BOTH_WAYS {
        static const int64_t probe[] = {15000, 9000, 15000}, rest[] = {605000, 8000, 604000};
        static const double given[] = {600, 4, 600};
        cws_sandbox *sb = api_running(t);
        cws_download_opts o;
        st_got g;
        size_t i;
        int64_t from;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < 3; i++) {
            st_reset(t);
            o.timeout_seconds = given[i];
            if (i == 2) script_error(&t->s, "StreamExec", "internal", "no", NULL)->delay = 1000;
            else st_stat(t, "1")->delay = i ? 1000 : 0;
            st_cat(t, "x", "", 0);
            CHECK_INT(st_download(t, sb, "/x", &o, how, &g), CWS_OK);
            CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->timeout_ms, probe[i]);
            CHECK_INT(script_call_at(&t->s, "StreamExec", 1)->timeout_ms, rest[i]);
        }
        st_reset(t);
        if (how && api_async(t)) continue; /* K2: it would turn for ever */
        from = t->s.now;
        o.timeout_seconds = 3;
        script_never(&t->s, "StreamExec")->times = 2; /* nothing is left, and still not negative */
        CHECK_INT(st_download(t, sb, "/x", &o, how, &g), CWS_ERR_REQUEST_TIMEOUT);
        HAS(t->err.message, "'/x' timed out after 3000 ms");
        CHECK(t->s.now - from >= 8000 && t->s.now - from <= 13001);
        if (script_count(&t->s, "StreamExec") == 1) t->s.last->times = 1;
        else CHECK(script_call_at(&t->s, "StreamExec", 1)->timeout_ms > 0);
    }
    STREAMING("FL-43: a failure gets through although nothing was taken yet, behind all bytes") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL;
        script_reply *r;
        st_got g;
        size_t i;
        memset(&g, 0, sizeof(g));
        st_stat(t, NULL);
        r = script_stream(&t->s, NULL, NULL);
        for (i = 0; i < 40; i++) st_big(t, r, i * 60000, 60000);
        script_message(&t->s, r, "{\"error\":{\"message\":\"in the end\"}}");
        script_envelope(&t->s, r, 2, "{}", 2);
        r->chunk = 20000;
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_OK);
        st_turns(t, 500);
        CHECK(!cws_op_done(cws_stream_op(stream)));
        CHECK_INT(script_call_at(&t->s, "StreamExec", 1)->closings, 1);
        CHECK(script_call_at(&t->s, "StreamExec", 1)->reported < 500000);
        CHECK_INT(st_pull(t, stream, &g), CWS_ERR_FILE);
        HAS(t->err.message, "in the end");
        CHECK_INT(g.bytes, 40 * 60000);
        CHECK(g.sum == st_sum(g.bytes));
        CHECK(script_call_at(&t->s, "StreamExec", 1)->openings >= 1);
        CHECK(cws_client_memory(t->client).peak_bytes < 2u << 20);
        cws_stream_free(stream);
    }
    STREAMING("PAUSE from on_item of a download: one piece at a time, nothing lost, little kept") {
        static const size_t every[] = {1, 2};
        cws_sandbox *sb = api_running(t);
        size_t e, i;
        for (e = 0; e < 2; e++) {
            cws_download_opts o;
            cws_stream *stream = NULL;
            script_reply *r;
            st_taker k;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            k.pause_every = every[e];
            o.on_item = st_on_item;
            o.user = &k;
            st_reset(t);
            st_stat(t, NULL);
            r = script_stream(&t->s, NULL, NULL);
            for (i = 0; i < 40; i++) st_big(t, r, i * 60000, 60000);
            script_message(&t->s, r, EXIT(0));
            script_envelope(&t->s, r, 2, "{}", 2);
            r->chunk = 20000;
            CHECK_INT(cws_download_begin(sb, "/x", &o, &stream, &t->err), CWS_OK);
            CHECK_INT(st_resuming(t, cws_stream_op(stream), &k), CWS_OK);
            CHECK_INT(k.bytes, 40 * 60000);
            CHECK(k.sum == st_sum(k.bytes));
            CHECK(cws_client_memory(t->client).peak_bytes < 2u << 20);
            cws_stream_free(stream);
        }
    }
    STREAMING("a paused download: cancel, free, the deadline; a callback may cancel or free it") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 5; i++) {
            cws_download_opts o;
            cws_stream *stream = NULL;
            st_taker k;
            int64_t from = t->s.now;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            k.pause_every = i < 3;
            k.cancel_at = i == 3;
            o.on_item = st_on_item;
            o.user = &k;
            o.timeout_seconds = 20;
            st_reset(t);
            st_stat(t, NULL);
            script_stream(&t->s, "{}", OUT_A, OUT_B, EXIT(0), NULL)->chunk = 1;
            CHECK_INT(cws_download_begin(sb, "/x", &o, &stream, &t->err), CWS_OK);
            if (i == 4) k.stream = stream;
            st_turns(t, 200);
            CHECK_INT(k.calls, 1);
            if (i == 0) CHECK(cws_op_cancel(cws_stream_op(stream)));
            if (i == 0 || i == 3) CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_ERR_CANCELLED);
            if (i == 1) {
                CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_ERR_REQUEST_TIMEOUT);
                CHECK(t->s.now - from >= 20000 && t->s.now - from <= 30000);
            }
            if (i < 4) cws_stream_free(stream);
            st_turns(t, 2);
            CHECK(t->s.open == NULL);
            CHECK_INT(k.calls, 1);
        }
    }
    STREAMING("items at hand outlive a cancel of the download; a free leaves nothing") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 12; i++) {
            cws_stream *stream = NULL;
            cws_item item;
            memset(&item, 0, sizeof(item));
            st_reset(t);
            script_stream(&t->s, NULL, st_out(t, "5"), EXIT(0), NULL)->times = -1;
            CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_OK);
            if (i > 6) {
                CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
                CHECK(cws_op_cancel(cws_stream_op(stream)));
                CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_ERR_CANCELLED);
            }
            st_turns(t, i);
            cws_stream_free(stream);
            st_turns(t, 2);
            CHECK_INT(cws_client_pending(t->client), 0);
            CHECK(t->s.open == NULL);
        }
    }
    STREAMING("a download cut at every byte, in each way, is whole or a failure") {
        cws_sandbox *sb = api_running(t);
        size_t n, size = 1000, exit_at = 0;
        int cut;
        for (cut = 0; cut < ST_CUTS; cut++)
            for (n = 0; n <= size; n++) {
                script_reply *r;
                cws_status status;
                st_got g;
                st_stat(t, "10");
                r = script_stream(&t->s, NULL, st_out(t, "hello"), st_out(t, "there"), EXIT(0),
                                  NULL);
                exit_at = r->size;
                script_envelope(&t->s, r, 2, "{}", 2);
                size = r->size;
                st_cut_reply(r, n, (st_cut)cut);
                status = st_download(t, sb, "/x", NULL, (int)n & 1, &g);
                CHECK((status == CWS_OK) == (n >= exit_at));
                if (!status) CHECK_INT(g.bytes, 10);
                else CHECK_INT(g.bytes % 5, 0);
                st_reset(t);
            }
    }
    STREAMING("the reply about the size cut at every byte: the download goes on without it") {
        cws_sandbox *sb = api_running(t);
        size_t n, size = 1000;
        for (n = 0; n <= size; n++) {
            script_reply *r = st_stat(t, "10");
            st_got g;
            size = r->size;
            st_cut_reply(r, n, (st_cut)(n % ST_CUTS));
            st_cat(t, "hello", "", 0);
            CHECK_INT(st_download(t, sb, "/x", NULL, (int)n & 1, &g), CWS_OK);
            CHECK_INT(g.bytes, 5);
            st_reset(t);
        }
    }
    STREAMING("from a FILE and to a FILE") {
        cws_sandbox *sb = api_running(t);
        char *data = st_pattern(200000), back[6] = "";
        FILE *f = tmpfile();
        cws_upload_opts up;
        cws_download_opts down;
        cws_logs_opts logs;
        if (!CHECK(f != NULL)) return;
        memset(&up, 0, sizeof(up));
        memset(&down, 0, sizeof(down));
        memset(&logs, 0, sizeof(logs));
        CHECK_INT(fwrite(data, 1, 200000, f), 200000);
        rewind(f);
        up.source = cws_source_from_file;
        up.user = down.user = logs.user = f;
        down.on_item = logs.on_item = cws_item_to_file;
        st_sink(t, "", 0);
        CHECK_INT(cws_upload(sb, "/x", &up, &t->err), CWS_OK);
        st_check_input(t, 0, NULL, 200000);
        rewind(f);
        st_stat(t, NULL);
        script_stream(&t->s, "{}", st_out(t, "ab"), st_out(t, "c"), EXIT(0), NULL);
        CHECK_INT(cws_download(sb, "/x", &down, &t->err), CWS_OK);
        script_logs(&t->s, "{}", st_log(t, "d\n", NULL, 0), NULL);
        CHECK_INT(cws_logs(sb, &logs, &t->err), CWS_OK);
        rewind(f);
        CHECK(fread(back, 1, 5, f) == 5 && strcmp(back, "abcd\n") == 0);
        (void)fclose(f);
        f = fopen("/dev/null", "r"); /* it can not be written to */
        if (CHECK(f != NULL)) {
            (void)setvbuf(f, NULL, _IONBF, 0);
            down.user = f;
            st_stat(t, NULL);
            script_stream(&t->s, "{}", st_out(t, "ab"), EXIT(0), NULL);
            CHECK_INT(cws_download(sb, "/x", &down, &t->err), CWS_ERR_CANCELLED);
            (void)fclose(f);
        }
        free(data);
    }
}

static cws_flow st_inside(const cws_item *item, void *user)
{
    cws_sandbox *sb = (cws_sandbox *)user;
    cws_logs_opts o;
    cws_download_opts d;
    cws_error err;
    (void)item;
    memset(&o, 0, sizeof(o));
    memset(&d, 0, sizeof(d));
    o.on_item = d.on_item = st_inside;
    CHECK_INT(cws_logs(sb, &o, &err), CWS_ERR_REENTRANT);
    CHECK_INT(cws_download(sb, "/x", &d, &err), CWS_ERR_REENTRANT);
    CHECK_INT(cws_upload(sb, "/x", st_nothing(), &err), CWS_ERR_REENTRANT);
    return CWS_FLOW_CONTINUE;
}

static void st_test_file_arguments(void)
{
    EACH("uploads and downloads: bad arguments are refused before anything is sent") {
        static const char *const told[] = {"path", "path",   "path",         "container",
                                           "timeout", "timeout", "must_be_zero", "source or data",
                                           "source or data", "larger than memory"};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(told); i++) {
            const char *path = i == 0 ? NULL : i == 1 ? "" : i == 2 ? "/\xff" : "/x";
            cws_upload_opts up;
            cws_download_opts down;
            st_source s;
            cws_op *op = (cws_op *)t;
            cws_stream *stream = (cws_stream *)t;
            up = st_from(&s, 1);
            memset(&down, 0, sizeof(down));
            if (i == 3) up.container = down.container = "\xff";
            if (i == 4) up.timeout_seconds = down.timeout_seconds = -1;
            if (i == 5) up.timeout_seconds = down.timeout_seconds = 1e10;
            if (i == 6) up.must_be_zero = down.must_be_zero = 9;
            if (i == 7) up.data = "both";
            if (i == 8) up.source = NULL, up.size = 5;
            if (i == 9) up.source = NULL, up.data = "x", up.size = UINT64_MAX;
            CHECK_INT(cws_upload_begin(sb, path, &up, &op, &t->err), CWS_ERR_INVALID_ARGUMENT);
            CHECK(op == NULL);
            HAS(t->err.message, told[i]);
            CHECK_INT(cws_upload(sb, path, &up, &t->err), CWS_ERR_INVALID_ARGUMENT);
            if (i >= 7) continue;
            CHECK_INT(cws_download_begin(sb, path, &down, &stream, &t->err),
                      CWS_ERR_INVALID_ARGUMENT);
            CHECK(stream == NULL);
            HAS(t->err.message, told[i]);
            down.on_item = st_on_item;
            CHECK_INT(cws_download(sb, path, &down, &t->err), CWS_ERR_INVALID_ARGUMENT);
        }
        CHECK_INT(cws_upload_begin(sb, "/x", NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_download_begin(sb, "/x", NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_upload(NULL, "/x", st_nothing(), &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_download(NULL, "/x", NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_download(sb, "/x", NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "on_item");
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
    }
    API_RUN("a blocking transport has no stream in either direction, and says so at once",
            API_PERFORM) {
        cws_sandbox *sb = api_running(t);
        cws_download_opts down;
        cws_stream *stream = NULL;
        cws_op *op = NULL;
        memset(&down, 0, sizeof(down));
        down.on_item = st_on_item;
        CHECK_INT(cws_upload(sb, "/x", st_nothing(), &t->err), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "HTTP/2");
        CHECK_INT(cws_upload_begin(sb, "/x", st_nothing(), &op, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_download(sb, "/x", &down, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK(!op && !stream);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
    }
    ONCE("what blocks is refused inside a callback, and begins nothing") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o;
        memset(&o, 0, sizeof(o));
        o.on_item = st_inside;
        o.user = sb;
        script_logs(&t->s, "{}", st_log(t, "a\n", NULL, 0), NULL);
        CHECK_INT(cws_logs(sb, &o, &t->err), CWS_OK);
        CHECK_STR(script_calls(&t->s), "StreamLogs");
    }
}

/* ---- several at once, and callbacks ---------------------------------------------------------- */

static cws_stream *st_other; /* for the callback below: another stream, with an item at hand */

static cws_flow st_ask_inside(const cws_item *item, void *user)
{
    cws_item other;
    cws_error err;
    CHECK(item->size > 0);
    CHECK_INT(cws_stream_next(st_other, 0, &other, &err), CWS_OK);
    CHECK_STR(other.data, "other\n");
    CHECK_INT(cws_stream_next(st_other, 0, &other, &err), CWS_ERR_WAIT_TIMEOUT);
    CHECK_INT(cws_stream_next(st_other, -1, &other, &err), CWS_ERR_REENTRANT);
    CHECK_INT(cws_stream_next(st_other, 10, &other, &err), CWS_ERR_REENTRANT);
    ++*(int *)user;
    return CWS_FLOW_CONTINUE;
}

static void st_room(void *user) { ++*(int *)user; }

static void st_test_several(void)
{
    STREAMING("FL-30: what is held up, paused or silent holds up nothing else of the client") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL, *down = NULL;
        cws_process *p;
        cws_op *up = NULL;
        cws_result *result = NULL;
        cws_shell_opts shell;
        st_source s;
        cws_upload_opts o = st_from(&s, 1000000);
        int i;
        memset(&shell, 0, sizeof(shell));
        shell.max_output_bytes = 1;
        s.pause_every = 1;
        script_stream(&t->s, NULL, READY, OUT_A, OUT_B, NULL)->hold = true;
        p = st_shell(t, sb, &shell);
        st_turns(t, 5);
        script_logs(&t->s, NULL, st_log(t, "a\nb\n", NULL, 0), NULL)->hold = true;
        CHECK_INT(cws_logs_begin(sb, NULL, &stream, &t->err), CWS_OK);
        script_stream(&t->s, NULL, READY, NULL)->hold = true;
        CHECK_INT(cws_upload_begin(sb, "/x", &o, &up, &t->err), CWS_OK);
        st_turns(t, 5);
        st_stat(t, NULL);
        script_stream(&t->s, NULL, OUT_A, OUT_B, NULL)->hold = true;
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &down, &t->err), CWS_OK);
        st_turns(t, 10);
        for (i = 0; i < 3; i++) {
            int64_t from = t->s.now;
            api_answer(t, i, "out", "");
            CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_OK);
            CHECK_INT(cws_result_exit_code(result), i);
            CHECK_INT(t->s.now - from, 0);
            cws_result_free(result);
        }
        CHECK_INT(s.calls, 1);
        CHECK_INT(cws_client_pending(t->client), 4 + 2); /* and the commands of the transfers */
        cws_stream_free(stream);
        cws_stream_free(down);
        cws_op_free(up);
        cws_process_free(p);
        st_turns(t, 2);
        CHECK(t->s.open == NULL);
        CHECK_INT(cws_client_pending(t->client), 0);
    }
    STREAMING("ten logs at once, each with its own items") {
        cws_sandbox *sb = api_running(t);
        cws_stream *streams[10];
        char line[40];
        int i, k;
        for (i = 0; i < 10; i++) {
            script_reply *r = script_logs(&t->s, NULL, NULL);
            streams[i] = NULL;
            for (k = 0; k < 20; k++) {
                (void)snprintf(line, sizeof(line), "%d %d\n", i, k);
                script_message(&t->s, r, st_log(t, line, NULL, 0));
            }
            script_envelope(&t->s, r, 2, "{}", 2);
            r->chunk = 5 + (size_t)i;
            r->gap = i;
            CHECK_INT(cws_logs_begin(sb, NULL, &streams[i], &t->err), CWS_OK);
            st_turns(t, 1); /* in this order */
        }
        for (k = 0; k <= 20; k++)
            for (i = 9; i >= 0; i--) {
                cws_item item;
                CHECK_INT(cws_stream_next(streams[i], -1, &item, &t->err), CWS_OK);
                (void)snprintf(line, sizeof(line), "%d %d\n", i, k);
                CHECK_STR(item.data, k < 20 ? line : NULL);
            }
        for (i = 0; i < 10; i++) cws_stream_free(streams[i]);
    }
    STREAMING("inside a callback another stream can be asked, without waiting") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o;
        int calls = 0;
        st_other = NULL;
        script_logs(&t->s, NULL, st_log(t, "other\n", NULL, 0), NULL)->hold = true;
        CHECK_INT(cws_logs_begin(sb, NULL, &st_other, &t->err), CWS_OK);
        st_turns(t, 5);
        memset(&o, 0, sizeof(o));
        o.on_item = st_ask_inside;
        o.user = &calls;
        script_logs(&t->s, "{}", st_log(t, "a\n", NULL, 0), NULL);
        CHECK_INT(cws_logs(sb, &o, &t->err), CWS_OK);
        CHECK_INT(calls, 1);
        cws_stream_free(st_other);
    }
    STREAMING("a shell tells of room for input like a command does") {
        cws_sandbox *sb = api_running(t);
        cws_shell_opts o;
        cws_process *p;
        char *data = st_pattern(2 << 20);
        int room = 0;
        size_t n = 0;
        memset(&o, 0, sizeof(o));
        o.on_stdin_room = st_room;
        o.user = &room;
        api_answer_at_eof(t, NULL, 0)->delay = 100;
        p = st_shell(t, sb, &o);
        CHECK_INT(cws_process_write(p, data, 2 << 20, 0, &n, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(n, 1 << 20);
        while (!room) CHECK_INT(cws_client_poll(t->client, 100, &t->err), CWS_OK);
        CHECK_INT(cws_process_write(p, data + n, (2 << 20) - n, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        st_check_input(t, 0, NULL, 2 << 20);
        CHECK_INT(room, 1);
        cws_process_free(p);
        free(data);
    }
    STREAMING("a client that is freed ends its streams: items at hand, then how they ended") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL, *down = NULL;
        cws_op *up = NULL;
        cws_process *p;
        cws_item item;
        st_source s;
        cws_upload_opts o = st_from(&s, 1000000);
        char c[8];
        size_t n = 0;
        cws_status status;
        s.pause_every = 1;
        script_stream(&t->s, NULL, READY, OUT_A, NULL)->hold = true;
        p = st_shell(t, sb, NULL);
        script_logs(&t->s, NULL, st_log(t, "a\nb\n", NULL, 0), NULL)->hold = true;
        CHECK_INT(cws_logs_begin(sb, NULL, &stream, &t->err), CWS_OK);
        st_turns(t, 5);
        script_stream(&t->s, NULL, READY, NULL)->hold = true;
        CHECK_INT(cws_upload_begin(sb, "/x", &o, &up, &t->err), CWS_OK);
        st_turns(t, 5);
        st_stat(t, NULL);
        script_stream(&t->s, NULL, OUT_A, NULL)->hold = true;
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &down, &t->err), CWS_OK);
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        st_turns(t, 10);
        cws_client_free(t->client);
        t->client = NULL;
        CHECK(t->s.open == NULL);
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        CHECK_STR(item.data, "b\n");
        status = cws_stream_next(stream, -1, &item, &t->err);
        CHECK(status == CWS_ERR_CLOSED || status == CWS_ERR_CANCELLED);
        status = cws_stream_next(down, -1, &item, &t->err);
        CHECK(status == CWS_ERR_CLOSED || status == CWS_ERR_CANCELLED || item.data);
        status = cws_op_result(up, &t->err);
        CHECK(status == CWS_ERR_CLOSED || status == CWS_ERR_CANCELLED);
        CHECK(cws_process_read(p, CWS_STDERR, c, sizeof(c), -1, &n, &t->err) != CWS_OK);
        CHECK_INT(n, 0); /* of stdout: K12 */
        CHECK(cws_process_resize(p, 5, 5, &t->err) != CWS_OK);
        cws_op_resume(up);
        cws_stream_free(stream);
        cws_stream_free(down);
        cws_op_free(up);
        cws_process_free(p);
    }
    STREAMING("logs asleep between two connections: cancel, free, deadline") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 3; i++) {
            cws_logs_opts o = st_follow();
            cws_stream *stream = NULL;
            int64_t from;
            o.timeout_seconds = 0.3;
            st_reset(t);
            script_logs(&t->s, GONE, NULL);
            from = t->s.now;
            CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
            st_turns(t, 20);
            if (i == 0) CHECK(cws_op_cancel(cws_stream_op(stream)));
            if (i < 2)
                CHECK_INT(st_end(t, cws_stream_op(stream)),
                          i ? CWS_ERR_REQUEST_TIMEOUT : CWS_ERR_CANCELLED);
            if (i == 1) CHECK_INT(t->s.now - from, 300);
            cws_stream_free(stream);
            st_turns(t, 2);
            CHECK_INT(script_count(&t->s, "StreamLogs"), 1);
        }
    }
    STREAMING("a message over max_message_bytes ends the logs, whatever they follow") BOTH_WAYS {
        cws_sandbox *sb;
        cws_logs_opts o = st_follow();
        char *text = (char *)malloc(70000);
        st_got g;
        if (!text) abort();
        memset(text, 'x', 70000);
        t->copts.max_message_bytes = 65536;
        sb = api_running(t);
        script_logs(&t->s, "{}", st_log(t, "a\n", "s", 2), st_log_bytes(t, text, 70000, "s", 70002),
                    NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_ERR_LIMIT);
        CHECK_STR(g.text, "a$|");
        CHECK_INT(script_count(&t->s, "StreamLogs"), 1);
        free(text);
    }
    STREAMING("a line that is too long ends logs that follow; not taken up again") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        o.max_line_bytes = 4;
        if (t->s.b2) o.long_lines = CWS_LONG_LINES_FAIL;
        script_logs(&t->s, GONE, st_log(t, "abc\nabcd", "s", 8), st_log(t, "\n", "s", 9), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_ERR_STREAM_TRUNCATED);
        CHECK_STR(g.text, "abc$|");
        HAS(t->err.message, "exceeded 4 bytes");
        CHECK_INT(script_count(&t->s, "StreamLogs"), 1);
    }
    STREAMING("input and resizes of a shell go out while its output is held up, or paused") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 2; i++) {
            cws_shell_opts o;
            cws_process *p;
            st_taker k;
            memset(&o, 0, sizeof(o));
            memset(&k, 0, sizeof(k));
            k.pause_every = 1;
            o.max_output_bytes = 1;
            o.user = &k;
            if (i) o.on_output = st_on_output;
            st_reset(t);
            script_stream(&t->s, NULL, READY, OUT_A, OUT_B, NULL)->hold = true;
            p = st_shell(t, sb, &o);
            st_turns(t, 10);
            CHECK_INT(cws_process_write(p, "\x03", 1, 0, NULL, &t->err), CWS_OK);
            CHECK_INT(cws_process_resize(p, 9, 8, &t->err), CWS_OK);
            st_turns(t, 5);
            CHECK_STR(script_sent(&t->s, "StreamExec", 0),
                      "{\"resize\":{\"width\":9,\"height\":8}}");
            CHECK_STR(script_sent(&t->s, "StreamExec", 1), "{\"stdin\":\"Aw==\"}");
            CHECK_INT(k.calls, i);
            cws_process_free(p);
        }
    }
    STREAMING("a download is asked for with patience, and without") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL;
        cws_item item;
        int64_t from;
        st_stat(t, "1");
        st_cat(t, "x", "", 0)->delay = 1000;
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_OK);
        CHECK_INT(cws_stream_next(stream, 0, &item, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(script_count(&t->s, "StreamExec"), 0);
        from = t->s.now;
        CHECK_INT(cws_stream_next(stream, 300, &item, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now - from, 300);
        CHECK_INT(cws_stream_next(stream, 5000, &item, &t->err), CWS_OK);
        CHECK_STR(item.data, "x");
        CHECK(item.size == 1 && item.offset == 0 && !item.partial && !item.restarted);
        CHECK_STR(item.session_id, "");
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        CHECK(!item.data);
        cws_stream_free(stream);
    }
    STREAMING("with timestamps only the last line of a message has a place")
    BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        o.timestamps = true; /* the offsets do not count those */
        script_logs(&t->s, "{}", st_log(t, "T a\nT b\n", "s", 4), st_log(t, "T c\nT d\n", "s", 8),
                    NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "T a$|T b$|T c$|T d$|");
        CHECK_STR(g.at[0].session, ""); /* there is none before the first */
        CHECK_INT(g.at[1].offset, 4);
        CHECK_INT(g.at[2].offset, 0); /* it can not be told */
        CHECK_INT(g.at[3].offset, 8);
    }
    API_RUN("the unary call can not pause: its pieces come, and it ends", API_PERFORM) {
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *result = NULL;
        st_taker k;
        memset(&o, 0, sizeof(o));
        memset(&k, 0, sizeof(k));
        k.pause_every = 1;
        o.on_output = st_on_output;
        o.user = &k;
        api_answer(t, 0, "out", "err");
        CHECK_INT(api_exec(t, sb, api_true, &o, &result), CWS_OK);
        CHECK_STR(k.text, "outerr");
        cws_result_free(result);
    }
}

/* ---- memory that runs out -------------------------------------------------------------------- */

/* Replies that were not asked for are not missed. */
static void st_forgive(api *t)
{
    script_reply *r;
    for (r = t->s.first; r; r = r->next)
        if (r->times > 0) r->times = r->used;
    st_reset(t);
}

/* One scenario; whole: everything arrived. */
static cws_status st_scenario(api *t, cws_sandbox *sb, int which, bool *whole)
{
    cws_logs_opts o = st_follow();
    cws_upload_opts up;
    cws_bytes *bytes = NULL;
    cws_process *p = NULL;
    cws_status status;
    st_source source;
    st_got g;
    char text[100];
    memset(&g, 0, sizeof(g));
    switch (which) {
    case 0:
        api_answer_at_eof(t, OUT_A, 0)->chunk = 20;
        status = cws_shell_begin(sb, NULL, NULL, &p, &t->err);
        if (status) return status;
        status = cws_process_write_line(p, "x", -1, &t->err);
        if (!status) status = cws_process_resize(p, 5, 5, &t->err);
        if (!status) status = cws_process_close_stdin(p, &t->err);
        if (!status) status = st_read_all(t, p, text, sizeof(text));
        *whole = !status && strcmp(text, "a") == 0;
        cws_process_free(p);
        return status;
    case 1:
    case 2:
        script_logs(&t->s, GONE, st_log(t, "a\nb", "s", 3), NULL);
        script_logs(&t->s, "{}", st_log(t, "c\nd", "s", 6), NULL);
        script_logs(&t->s, "{}", NULL); /* gRPC: no memory for an outcome is a lost connection */
        o.timeout_seconds = 100;
        if (which == 1) { /* st_logs would complain */
            o.on_item = st_note_item;
            o.user = &g;
            status = cws_logs(sb, &o, &t->err);
        } else {
            cws_stream *stream = NULL;
            status = cws_logs_begin(sb, &o, &stream, &t->err);
            if (!status) status = st_pull(t, stream, &g);
            cws_stream_free(stream);
        }
        *whole = strcmp(g.text, "a$|bc$|d~|") == 0;
        return status;
    case 3:
        script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
        st_cat(t, "hello", "", 0)->chunk = 9;
        status = api_read(t, sb, "/x", NULL, &bytes);
        *whole = bytes && cws_bytes_size(bytes) == 5;
        cws_bytes_free(bytes);
        return status;
    case 4:
        st_too_large(t, "WriteFile", NULL, NULL);
        st_sink(t, "", 0);
        status = api_write(t, sb, "/x", "abc", 3, NULL);
        break;
    case 5:
        up = st_from(&source, 200000);
        up.atomic = true;
        t->s.send_most = 60000;
        st_sink(t, "", 0);
        st_cat(t, "", "", 0);
        status = st_upload(t, sb, "/x", &up);
        t->s.send_most = 0;
        *whole = source.done == 200000;
        return status;
    default: {
        cws_download_opts down;
        memset(&down, 0, sizeof(down));
        down.on_item = st_note_item;
        down.user = &g;
        st_stat(t, "5");
        st_cat(t, "hello", "", 0)->chunk = 9;
        status = cws_download(sb, "/x", &down, &t->err);
        *whole = g.bytes == 5 || script_count(&t->s, "StreamExec") < 2; /* the size's reply */
        return status;
    }
    }
    *whole = status == CWS_OK;
    return status;
}

static void st_test_memory(void)
{
    static const char *const names[] = {"a shell", "logs by callback", "logs asked for", "a read",
                                        "a write", "an upload", "a download"};
    int which, persistent;
    for (which = 0; which < 7; which++) {
        char name[80];
        (void)snprintf(name, sizeof(name), "%s while each allocation fails in turn", names[which]);
        STREAMING(name) {
            for (persistent = 0; persistent < 2; persistent++) {
                cws_sandbox *sb = api_running(t);
                long n;
                for (n = 0; n < 3000; n++) {
                    bool whole = false, failed;
                    cws_status status;
                    test_alloc_fail_at(n, persistent == 1);
                    status = st_scenario(t, sb, which, &whole);
                    failed = test_alloc_failed();
                    test_alloc_fail_at(-1, false);
                    if (status == CWS_OK) CHECK(whole);
                    if (status && status != CWS_ERR_NO_MEMORY) /* it may come in other words */
                        CHECK(strstr(t->err.message, "memory") != NULL);
                    st_forgive(t);
                    api_settle(t);
                    if (failed) continue;
                    CHECK_INT(status, CWS_OK);
                    break;
                }
                CHECK(n > 5 && n < 3000);
            }
        }
    }
}

/* ---- mistakes that were made once ------------------------------------------------------------ */

static void st_test_known(void)
{
    STREAMING("K1: PAUSE on an unfinished last line: the end waits, and does not loop for ever") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o;
        cws_stream *stream = NULL;
        st_taker k;
        memset(&k, 0, sizeof(k));
        memset(&o, 0, sizeof(o));
        k.pause_every = 1;
        o.on_item = st_on_item;
        o.user = &k;
        script_logs(&t->s, "{}", st_log(t, "last", "s", 5), NULL);
        CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
        CHECK_INT(st_resuming(t, cws_stream_op(stream), &k), CWS_OK);
        CHECK_INT(k.calls, 1);
        cws_stream_free(stream);
    }
    STREAMING("K2: asking for what is not there yet does not keep the next poll from waiting") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL;
        cws_item item;
        size_t polls;
        int i;
        st_stat(t, "1");
        script_stream(&t->s, NULL, NULL)->hold = true; /* silence */
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_OK);
        while (script_count(&t->s, "StreamExec") < 2) st_turns(t, 1);
        st_turns(t, 5);
        polls = t->s.polls;
        for (i = 0; i < 20; i++) {
            int64_t from = t->s.now;
            CHECK_INT(cws_stream_next(stream, 0, &item, &t->err), CWS_ERR_WAIT_TIMEOUT);
            CHECK_INT(cws_client_poll(t->client, 1000, NULL), CWS_OK);
            CHECK(t->s.now - from == 1000);
        }
        CHECK(t->s.polls - polls == 20);
        cws_stream_free(stream);
    }
    STREAMING("K3: a resumed log that goes on too far behind its place says that output is missing")
    BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        script_logs(&t->s, GONE, st_log(t, "a\n", "s", 2), NULL);
        script_logs(&t->s, "{}", st_log(t, "c\n", "s", 6), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "a$|!c$|");
    }
    STREAMING("K4: an unfinished line is not completed with bytes of another place") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        script_logs(&t->s, GONE, st_log(t, "a\nhal", "s", 5), NULL);
        script_logs(&t->s, "{}", st_log(t, "c\n", "other", 2), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "a$|!c$|");
        script_logs(&t->s, GONE, st_log(t, "a\nhal", "s", 5), NULL);
        script_logs(&t->s, "{}", st_log(t, "c\n", "s", 20), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        HAS_NOT(g.text, "halc");
    }
    STREAMING("K5: bytes without an offset leave no place: none is handed out, none is resumed")
    BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        st_got g;
        script_logs(&t->s, "{}", st_log(t, "a\n", "s", 2), st_log(t, "b\n", NULL, 0), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "a$|b$|");
        CHECK(!g.at[1].session[0] || g.at[1].offset == 4);
    }
    STREAMING("K6: an upload whose command ends well before all bytes went out has failed") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 3; i++) {
            st_source s;
            cws_upload_opts o = st_from(&s, 300000);
            if (i == 1) o.size = 300000;
            if (i == 2) s.left = 3;
            t->s.send_most = 1;
            script_stream(&t->s, "{}", READY, EXIT(0), NULL);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_FILE);
        }
    }
    STREAMING("K7: a whole file is not read through the unary call, which cuts it") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
        script_raw(&t->s, "StreamExec", 505, "text/plain", "no", 2);
        script_ok(&t->s, "Exec", "{\"stdout\":\"YWJj\",\"stdoutTruncated\":true,"
                                 "\"stdoutBytesProduced\":\"1000000\"}");
        CHECK(api_read(t, sb, "/x", NULL, &bytes) != CWS_OK);
        CHECK(bytes == NULL);
        cws_bytes_free(bytes);
        if (!script_count(&t->s, "Exec")) t->s.last->times = 0;
    }
    STREAMING("K8: the result of a shell holds just the output that nobody read") {
        cws_sandbox *sb = api_running(t);
        const cws_result *r = NULL;
        cws_process *p;
        script_stream(&t->s, "{}", READY, OUT_A, EXIT(0), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(cws_process_wait(p, -1, &r, &t->err), CWS_OK);
        CHECK_STR(api_shown(r), "0|a|");
        cws_process_free(p);
    }
    STREAMING("K9: a paused download keeps to the deadline of its command") {
        cws_sandbox *sb = api_running(t);
        cws_download_opts o;
        cws_stream *stream = NULL;
        st_taker k;
        int64_t from = t->s.now;
        memset(&k, 0, sizeof(k));
        memset(&o, 0, sizeof(o));
        k.pause_every = 1;
        o.on_item = st_on_item;
        o.user = &k;
        o.timeout_seconds = 20;
        st_stat(t, NULL);
        script_stream(&t->s, NULL, OUT_A, OUT_B, OUT_A, NULL)->hold = true;
        t->s.last->gap = 10;
        t->s.last->chunk = 12;
        CHECK_INT(cws_download_begin(sb, "/x", &o, &stream, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(t->s.now - from, 25000);
        cws_stream_free(stream);
    }
    STREAMING("K10: an item at hand stays what it is while the client is polled") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        cws_stream *stream = NULL;
        cws_item item;
        int i;
        for (i = 0; i < 3; i++) {
            script_reply *r = script_logs(
                &t->s, NULL, st_log(t, i == 1 ? "a\nb\n" : "a\n", "s", i == 1 ? 4 : 2), NULL);
            char *text = (char *)calloc(1, 100000);
            if (!text) abort();
            r->chunk = r->size;
            r->gap = i == 0 ? 1 : 5;
            r->hold = true;
            if (i == 0) script_message(&t->s, r, st_log_bytes(t, text, 100000, "s", 100002));
            if (i == 2) script_message(&t->s, r, st_log(t, "unfinished", "other", 12));
            if (i == 2) script_message(&t->s, r, st_log_error(t, "NO"));
            free(text);
            CHECK_INT(cws_logs_begin(sb, &o, &stream, &t->err), CWS_OK);
            CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
            CHECK_STR(item.data, "a\n");
            st_turns(t, i == 0 ? 9000 : 50);
            CHECK_STR(item.data, "a\n"); /* 0: use after free, 1: the NUL is gone, 2: overwritten */
            CHECK_STR(item.session_id, "s"); /* 2: "other" */
            cws_stream_free(stream);
        }
    }
    STREAMING("K11: no memory for the outcome of a gRPC stream is no lost connection") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        bool failed = true;
        long n;
        for (n = 0; n < 3000 && failed; n++) {
            cws_status status;
            st_got g;
            memset(&g, 0, sizeof(g));
            o.on_item = st_note_item;
            o.user = &g;
            script_logs(&t->s, "{}", st_log(t, "a\n", "s", 2), NULL)->times = 2;
            test_alloc_fail_at(n, false);
            status = cws_logs(sb, &o, &t->err);
            failed = test_alloc_failed();
            test_alloc_fail_at(-1, false);
            CHECK(status == CWS_OK || status == CWS_ERR_NO_MEMORY);
            CHECK(script_count(&t->s, "StreamLogs") <= 1);
            st_forgive(t);
        }
    }
    STREAMING("a follower that comes back when the main command has ended gets what it left") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o = st_follow();
        const char *ended = script_error_json(
            &t->s, "failed_precondition", "ended",
            script_reason(&t->s, "CWSANDBOX_SANDBOX_NOT_RUNNING", "cwsandbox.com"));
        char end[600];
        st_got g;
        snprintf(end, sizeof end, "{\"error\":%s}", ended);
        script_logs(&t->s, GONE, st_log(t, "a\nhal", "s", 5), NULL);
        script_logs(&t->s, end, NULL);
        script_logs(&t->s, "{}", st_log(t, "a\n", "s", 2), st_log(t, "half\nlast\n", "s", 12),
                    NULL);
        CHECK_INT(st_logs(t, sb, &o, 0, &g), CWS_OK);
        CHECK_STR(g.text, "a$|half$|last$|");
        HAS_NOT(script_json(&t->s, "StreamLogs", 2), "follow");
        HAS_NOT(script_json(&t->s, "StreamLogs", 2), "resume");
        script_logs(&t->s, GONE, st_log(t, "a\nhal", "s", 5), NULL);
        script_logs(&t->s, end, NULL);
        script_logs(&t->s, "{}", st_log(t, "other\n", "other", 6), NULL);
        CHECK_INT(st_logs(t, sb, &o, 0, &g), CWS_ERR_NOT_RUNNING);
        CHECK_STR(g.text, "a$|");
    }
    STREAMING("K12: output of a shell that is taken behind the end of its client leaves nothing") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        char c[8];
        size_t n = 0;
        script_stream(&t->s, NULL, READY, OUT_A, NULL)->hold = true;
        p = st_shell(t, sb, NULL);
        st_turns(t, 5);
        cws_client_free(t->client);
        t->client = NULL;
        CHECK_INT(cws_process_read(p, CWS_STDOUT, c, sizeof(c), -1, &n, &t->err), CWS_OK);
        CHECK_INT(n, 1);
        CHECK(cws_process_read(p, CWS_STDOUT, c, sizeof(c), -1, &n, &t->err) != CWS_OK);
        cws_process_free(p);
    }
    STREAMING("K13: nothing is computed from a NULL pointer (clang's sanitizer)") {
        cws_sandbox *sb = api_running(t);
        st_got g;
        st_sink(t, "", 0);
        CHECK_INT(st_upload(t, sb, "/x", st_nothing()), CWS_OK); /* cwsi_stdin_feed */
        script_logs(&t->s, "{}", st_log(t, "", "s", 5), NULL);
        CHECK_INT(st_logs(t, sb, NULL, 1, &g), CWS_OK); /* cwsi_logs_data */
    }
}

static void (*const st_tests[])(void) = {
    st_test_shell,
    st_test_shell_flow,
    st_test_shell_cuts,
    st_test_logs,
    st_test_lines,
    st_test_resume,
    st_test_log_flow,
    st_test_log_cuts,
    st_test_log_arguments,
    st_test_shell_arguments,
    st_test_read,
    st_test_write,
    st_test_upload,
    st_test_download,
    st_test_file_arguments,
    st_test_several,
    st_test_memory,
    st_test_known};

int main(int argc, char **argv)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 4096); /* what was said before an abort is not lost */
    test_init(argc, argv);
    return api_both_dialects(st_tests, CWSI_COUNT(st_tests));
}
