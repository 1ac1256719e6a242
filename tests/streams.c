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
    STREAMING("SH-2: an error of the stream fails the shell, behind its output; typed by its code") {
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
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), "{\"resize\":{\"width\":101,\"height\":31}}");
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
    STREAMING("SH-6: when the sandbox can not be started, reader and wait say so, and nothing ran") {
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
    STREAMING("SH-7: cancel ends it on the wire; the reader gets what was there, then how it ended") {
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
    st_test_shell_arguments();
    return test_summary();
}
