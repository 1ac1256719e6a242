/* SPDX-License-Identifier: MIT
 *
 * Logs over the scripted transport: what is asked, what is handed out, lines, what is held back,
 * lost connections, every way in which a stream may break. A scenario is written once and runs in
 * several ways, see harness.h. Numbers are those of the lists of test cases that the service's own
 * clients were written against (LG). Usage:
 *
 *     logs [part of a test's name]
 */
#include "native.h"

#include "streams.h"

/* ---- helpers --------------------------------------------------------------------------------- */

static char *st_log_error(api *t, const char *code)
{
    char json[200];
    (void)snprintf(json, sizeof(json), "{\"error\":{\"message\":\"why\",\"code\":\"%s\"}}", code);
    return script_text(&t->s, json);
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

/* ---- what is asked, what is handed out ------------------------------------------------------- */

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
        CHECK_INT(cws_stream_next(stream, 0.3, &item, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now - from, 300);
        CHECK(!item.data);
        CHECK_INT(cws_stream_next(stream, 5, &item, &t->err), CWS_OK);
        CHECK_STR(item.data, "a\n");
        CHECK_INT(cws_stream_next(stream, 0, &item, &t->err), CWS_OK);
        CHECK_STR(item.data, "b\n");
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        CHECK(!item.data);
        CHECK_INT(cws_op_status(cws_stream_op(stream), NULL), CWS_OK);
        cws_stream_free(stream);
    }
    STREAMING("a wait for the operation ends when all items but those at hand were taken") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL;
        cws_item item;
        int i;
        script_logs(&t->s, "{}", st_log(t, "a\n", NULL, 0), st_log(t, "b\nc\nd", NULL, 0), NULL);
        CHECK_INT(cws_logs_begin(sb, NULL, &stream, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(cws_stream_op(stream), 1, &t->err), CWS_ERR_WAIT_TIMEOUT);
        for (i = 0; i < 4; i++) {
            CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
            CHECK(item.data && item.data[0] == "abcd"[i]);
        }
        CHECK_INT(cws_op_wait(cws_stream_op(stream), 1, &t->err), CWS_OK);
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

/* ---- lines ----------------------------------------------------------------------------------- */

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

/* ---- connections that are lost --------------------------------------------------------------- */

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

/* ---- what is held back ----------------------------------------------------------------------- */

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

/* ---- cut everywhere -------------------------------------------------------------------------- */

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
    CHECK_INT(cws_stream_next(st_other, 0.01, &other, &err), CWS_ERR_REENTRANT);
    ++*(int *)user;
    return CWS_FLOW_CONTINUE;
}

static void st_test_several_logs(void)
{
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
}

/* ---- memory that runs out -------------------------------------------------------------------- */

static cws_status st_logs_whole(api *t, cws_sandbox *sb, bool asked, bool *whole)
{
    cws_logs_opts o = st_follow();
    cws_status status;
    st_got g;
    memset(&g, 0, sizeof(g));
    script_logs(&t->s, GONE, st_log(t, "a\nb", "s", 3), NULL);
    script_logs(&t->s, "{}", st_log(t, "c\nd", "s", 6), NULL);
    script_logs(&t->s, "{}", NULL); /* gRPC: no memory for an outcome is a lost connection */
    o.timeout_seconds = 100;
    if (!asked) { /* st_logs would complain */
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
}

static cws_status st_logs_called(api *t, cws_sandbox *sb, bool *whole)
{
    return st_logs_whole(t, sb, false, whole);
}

static cws_status st_logs_asked(api *t, cws_sandbox *sb, bool *whole)
{
    return st_logs_whole(t, sb, true, whole);
}

static void st_test_log_memory(void)
{
    st_each_allocation("logs by callback", st_logs_called);
    st_each_allocation("logs asked for", st_logs_asked);
}

/* ---- mistakes that were made once ------------------------------------------------------------ */

static void st_test_log_known(void)
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
}

/* ---- logs of v1beta2 ------------------------------------------------------------------------- */

typedef struct op_items {
    char text[300];
    size_t restarted;
} op_items;

static cws_flow op_on_item(const cws_item *item, void *user)
{
    op_items *items = (op_items *)user;
    size_t n = strlen(items->text);
    (void)snprintf(items->text + n, sizeof(items->text) - n, "%s|", item->data);
    items->restarted += item->restarted;
    return CWS_FLOW_CONTINUE;
}

static cws_status op_logs(api *t, cws_sandbox *sb, cws_logs_opts *o, op_items *items)
{
    cws_stream *stream = NULL;
    cws_status status;
    memset(items, 0, sizeof(*items));
    o->on_item = op_on_item;
    o->user = items;
    if (!api_async(t)) return cws_logs(sb, o, &t->err);
    status = cws_logs_begin(sb, o, &stream, &t->err);
    if (status) return status;
    status = api_drive(t, cws_stream_op(stream));
    cws_stream_free(stream);
    return status;
}

static void op_test_logs(void)
{
    B2_STREAMING("StreamLogs: without follow our side ends with what is asked") {
        cws_sandbox *sb = nw_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        o.timestamps = true;
        o.tail_lines = 5;
        o.since_unix_ms = 1767323045250;
        op_data(t, r, "a\nb", "s", 3);
        op_data(t, r, "c\n", "s", 5);
        op_says(t, r, "{'complete':{}}");
        op_over(t, r);
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_OK);
        CHECK_STR(items.text, "a\n|bc\n|");
        IS("StreamLogs", 0, "{'init':{'sandboxId':'sb-1','tailLines':5,'sinceTime':"
                            "'2026-01-02T03:04:05.250Z','timestamps':true}}");
        CHECK(!script_call_at(&t->s, "StreamLogs", 0)->more_body);
        HAS(script_call_at(&t->s, "StreamLogs", 0)->url, "v1beta2.GatewayStreamingService/");
    }
    B2_STREAMING("StreamLogs: with follow our side stays open; `complete` is the end") {
        cws_sandbox *sb = nw_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        o.follow = true;
        op_data(t, r, "a\n", "s", 2);
        op_says(t, r, "{'complete':{}}");
        r->hold = true; /* the server does not end its side either */
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_OK);
        CHECK_STR(items.text, "a\n|");
        IS("StreamLogs", 0, "{'init':{'sandboxId':'sb-1','follow':true}}");
        CHECK(script_call_at(&t->s, "StreamLogs", 0)->more_body);
        CHECK_STR(script_calls(&t->s), "StreamLogs");
    }
    B2_STREAMING("StreamLogs: a connection that is lost is taken up where it was") {
        cws_sandbox *sb = nw_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        o.follow = true;
        op_data(t, r, "a\n", "s", 2);
        r->end = CWS_END_LOST;
        r = op_stream(t, "StreamLogs");
        op_data(t, r, "b\n", "s", 4);
        op_says(t, r, "{'complete':{}}");
        op_over(t, r);
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_OK);
        CHECK_STR(items.text, "a\n|b\n|");
        CHECK_INT(items.restarted, 0);
        IS("StreamLogs", 1, "{'init':{'sandboxId':'sb-1','follow':true,'resumeSessionId':'s',"
                            "'resumeOffset':'2'}}");
    }
    B2_STREAMING("StreamLogs: an error in the stream") {
        cws_sandbox *sb = nw_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        op_data(t, r, "a\n", "s", 2);
        op_says(t, r, "{'error':{'message':'not for you','code':'PERMISSION_DENIED'}}");
        op_over(t, r);
        CHECK(op_logs(t, sb, &o, &items) != CWS_OK);
        HAS(t->err.message, "not for you");
        CHECK_STR(t->err.stream_code, "PERMISSION_DENIED");
        CHECK_STR(items.text, "a\n|");
    }
    B2_STREAMING("StreamLogs: a session that is not known any more: from the beginning, and told") {
        cws_sandbox *sb = nw_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        o.follow = true;
        op_data(t, r, "a\n", "s", 2);
        r->end = CWS_END_LOST;
        r = op_stream(t, "StreamLogs");
        op_says(t, r, "{'error':{'message':'who','code':'SESSION_NOT_FOUND'}}");
        op_over(t, r);
        r = op_stream(t, "StreamLogs");
        op_data(t, r, "b\n", "s2", 2);
        op_says(t, r, "{'complete':{}}");
        op_over(t, r);
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_OK);
        CHECK_STR(items.text, "a\n|b\n|");
        CHECK_INT(items.restarted, 1);
        CHECK_INT(script_count(&t->s, "StreamLogs"), 3);
        HAS_NOT(script_json(&t->s, "StreamLogs", 2), "resumeSessionId");
    }
    B2_STREAMING("StreamLogs: long lines are cut in pieces, unless they shall fail") {
        cws_sandbox *sb = nw_running(t);
        cws_logs_opts o;
        op_items items;
        int i;
        memset(&o, 0, sizeof(o));
        o.max_line_bytes = 4;
        for (i = 0; i < 2; i++) {
            script_reply *r = op_stream(t, "StreamLogs");
            op_data(t, r, "abcdefg\nh\n", "s", 10);
            op_says(t, r, "{'complete':{}}");
            op_over(t, r);
            o.long_lines = i ? CWS_LONG_LINES_FAIL : CWS_LONG_LINES_DEFAULT;
            CHECK_INT(op_logs(t, sb, &o, &items), i ? CWS_ERR_STREAM_TRUNCATED : CWS_OK);
            CHECK_STR(items.text, i ? "" : "abcd|efg\n|h\n|");
        }
    }
    B2_STREAMING("StreamLogs: without follow a stream may end without `complete`") {
        cws_sandbox *sb = nw_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        op_data(t, r, "a\n", "s", 2);
        op_over(t, r);
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_OK);
        CHECK_STR(items.text, "a\n|");
    }
    B2_RUN("StreamLogs needs a transport that carries both directions", API_PERFORM) {
        cws_sandbox *sb = nw_running(t);
        cws_logs_opts o;
        op_items items;
        memset(&o, 0, sizeof(o));
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_ERR_UNSUPPORTED);
        CHECK_INT(t->s.call_count, 0);
    }
}

static void (*const both[])(void) = {
    st_test_logs,
    st_test_lines,
    st_test_resume,
    st_test_log_flow,
    st_test_log_cuts,
    st_test_log_arguments,
    st_test_several_logs,
    st_test_log_memory,
    st_test_log_known};

int main(int argc, char **argv)
{
    test_init(argc, argv);
    op_test_logs();
    return api_both_dialects(both, CWSI_COUNT(both));
}
