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
        o.container = "side";
        o.timeout_seconds = 20;
        script_stream(&t->s, NULL, READY, NULL)->hold = true;
        CHECK_INT(cws_shell_begin(sb, python, &o, &p, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_TIMEOUT);
        HAS(t->err.message, "timed out after 20 s");
        CHECK_INT(t->s.now - script_call_at(&t->s, "StreamExec", 0)->at, 25000);
        CHECK_STR(st_init(t, 0),
                  "{\"init\":{\"sandboxId\":\"sb-1\",\"command\":[\"python3\",\"-q\"],"
                  "\"tty\":true,\"ttyWidth\":1,\"ttyHeight\":65535,\"env\":{\"TERM\":\"xterm\"},"
                  "\"container\":\"side\"}}");
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

TEST_FN cws_flow st_on_item(const cws_item *item, void *user)
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
            if (k->calls % k->pause_every == 0) { /* it stands still now, however long */
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
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->closings, 1);
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
        o.container = "side";
        o.timeout_seconds = 7.5;
        script_logs(&t->s, "{}", NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(st_asked(t, 0),
                  "{\"sandboxId\":\"sb-1\",\"follow\":true,\"tailLines\":2147483647,"
                  "\"sinceTime\":\"2023-11-14T22:13:20.123Z\",\"container\":\"side\","
                  "\"timestamps\":true}");
        CHECK_INT(script_call_at(&t->s, "StreamLogs", 0)->timeout_ms, 7500);
        CHECK(!script_call_at(&t->s, "StreamLogs", 0)->full_duplex);
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
                        if (!split && a % 2) o.long_lines = CWS_LONG_LINES_DEFAULT;
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
        o.container = "side";
        script_logs(&t->s, GONE, st_log(t, "line1\n", "sess", 6), NULL);
        script_logs(&t->s, "{}", st_log(t, "line2\n", "sess", 12), NULL);
        CHECK_INT(st_logs(t, sb, &o, how, &g), CWS_OK);
        CHECK_STR(g.text, "line1$|line2$|");
        CHECK_STR(script_gaps(&t->s, "StreamLogs"), "500");
        HAS(st_asked(t, 0), "\"tailLines\":10");
        CHECK_STR(st_asked(t, 1),
                  "{\"sandboxId\":\"sb-1\",\"follow\":true,\"container\":\"side\","
                  "\"resumeLogSessionId\":\"sess\",\"resumeLogOffset\":\"6\"}");
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
    STREAMING("LG-22: without follow nothing is taken up again") BOTH_WAYS {
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

/* 4, once PAUSE on an unfinished last line no longer makes the library loop for ever. */
#define ST_PAUSE_AT_END 2

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
        CHECK(call->reported < 70000);
        CHECK_INT(st_pull(t, stream, &g), CWS_OK);
        CHECK_INT(g.count, 48000);
        CHECK(g.sum == st_long_sum());
        CHECK(call->closings > 20);
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
    STREAMING("PAUSE on the very last item, ended by a newline or by the end: the end waits too") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < ST_PAUSE_AT_END; i++) {
            cws_logs_opts o;
            cws_stream *stream = NULL;
            st_taker k;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            k.pause_every = 1;
            o.on_item = st_on_item;
            o.user = &k;
            o.follow = i & 1;
            script_logs(&t->s, "{}", st_log(t, i & 2 ? "last" : "last\n", "s", 5), NULL);
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
        script_message(&t->s, r, st_log_bytes(t, ST_LOG_TEXT + at, n, "s", at + n));
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
        CHECK_INT(cws_upload(sb, "/x", NULL, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK(!p && !stream);
        CHECK_INT(t->s.call_count, 0);
    }
}

int main(int argc, char **argv)
{
    test_init(argc, argv);
    st_test_shell();
    st_test_shell_flow();
    st_test_shell_cuts();
    st_test_logs();
    st_test_lines();
    st_test_resume();
    st_test_log_flow();
    st_test_log_cuts();
    st_test_log_arguments();
    st_test_shell_arguments();
    return test_summary();
}
