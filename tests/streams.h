/* SPDX-License-Identifier: MIT
 *
 * What the suites of shells, logs and files have in common: what streams bring, callbacks that take
 * it, replies of logs, ways in which a reply is cut. Include it after harness.h or native.h.
 */
#ifndef STREAMS_H
#define STREAMS_H

/* Forget the calls so far. */
TEST_FN void st_reset(api *t)
{
    size_t i;
    for (i = 0; i < t->s.call_count; i++) cwsi_buf_free(&t->s.calls[i].sent);
    t->s.call_count = 0;
}

/* The way of the mode to the end of an operation. */
TEST_FN cws_status st_end(api *t, cws_op *op)
{
    return api_async(t) ? api_drive(t, op) : cws_op_wait(op, -1, &t->err);
}

TEST_FN char *st_out(api *t, const char *text)
{
    return script_output(&t->s, "STDOUT", text, strlen(text));
}

/* Poll until nothing is due for a while. */
TEST_FN void st_turns(api *t, int turns)
{
    while (turns--) CHECK_INT(cws_client_poll(t->client, 0.001, &t->err), CWS_OK);
}

/* Append one output message of `size` bytes, which count up from `from`. */
TEST_FN void st_big(api *t, script_reply *r, size_t from, size_t size)
{
    char *data = (char *)malloc(size);
    size_t i;
    if (!data) abort();
    for (i = 0; i < size; i++) data[i] = (char)((from + i) * 31 + (from + i) / 253);
    script_message(&t->s, r, script_output(&t->s, "STDOUT", data, size));
    free(data);
}

/* ---- callbacks that take bytes --------------------------------------------------------------- */

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

TEST_FN cws_flow st_take(st_taker *k, const void *data, size_t size)
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

TEST_FN cws_flow st_on_output(cws_stream_id stream, const void *data, size_t size, void *user)
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
TEST_FN uint64_t st_sum(uint64_t n)
{
    uint64_t i, sum = 0;
    for (i = 0; i < n; i++) sum = sum * 31 + (unsigned char)(i * 31 + i / 253);
    return sum;
}

/* Run an operation that pauses to its end: whenever nothing moves any more, it is resumed. */
TEST_FN cws_status st_resuming(api *t, cws_op *op, st_taker *k)
{
    size_t calls, idle = 0;
    while (!cws_op_done(op) && idle < 100000) {
        calls = k->calls;
        CHECK_INT(cws_client_poll(t->client, 0.003, NULL), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0.003, NULL), CWS_OK);
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
    return cws_op_status(op, &t->err);
}

/* ---- a reply that is cut --------------------------------------------------------------------- */

/* The bytes of a reply end after n of them in one of these ways. */
typedef enum st_cut { ST_CLEAN, ST_LOST, ST_RESET, ST_NO_HTTP, ST_TIMEOUT, ST_CUTS } st_cut;

TEST_FN void st_cut_reply(script_reply *r, size_t n, st_cut how)
{
    static const cws_end ends[] = {CWS_END_OK, CWS_END_LOST, CWS_END_RESET, CWS_END_PROTOCOL,
                                   CWS_END_TIMEOUT};
    r->size = n;
    r->end = ends[how];
    if (how == ST_RESET) r->note = 2;
}

/* ---- items ----------------------------------------------------------------------------------- */

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

TEST_FN void st_note(st_got *g, const cws_item *item)
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

TEST_FN cws_flow st_note_item(const cws_item *item, void *user)
{
    st_note((st_got *)user, item);
    return CWS_FLOW_CONTINUE;
}

/* Ask for the items of a stream to its end, which must stay what it is. */
TEST_FN cws_status st_pull(api *t, cws_stream *stream, st_got *g)
{
    cws_status status, again;
    cws_error err;
    cws_item item;
    int i;
    for (;;) {
        status = cws_stream_next(stream, (api_async(t) ? 0 : -1) / 1000.0, &item, &t->err);
        if (status == CWS_ERR_WAIT_TIMEOUT && api_async(t)) {
            if (!CHECK_INT(cws_client_poll(t->client, 100, NULL), CWS_OK)) break;
            continue;
        }
        if (status || !item.data) break;
        st_note(g, &item);
    }
    CHECK(!item.data && !item.size);
    for (i = 0; i < 3; i++) {
        again = cws_stream_next(stream, (i - 1) / 1000.0, &item, &err);
        CHECK_INT(again, status);
        CHECK_INT(err.status, status);
        CHECK(!item.data);
    }
    return status;
}

#define BOTH_WAYS for (int how = 0; how < 2; how++)

/* ---- shells and logs ------------------------------------------------------------------------- */

TEST_FN cws_process *st_shell(api *t, cws_sandbox *sb, const cws_shell_opts *o)
{
    cws_process *p = NULL;
    CHECK_INT(cws_shell_begin(sb, NULL, o, &p, &t->err), CWS_OK);
    return p;
}

TEST_FN const char *st_init(api *t, size_t index)
{
    return script_json(&t->s, "StreamExec", index);
}

/* The logs with these options, by a callback (how 0) or by asking (1). */
TEST_FN cws_status st_logs(api *t, cws_sandbox *sb, const cws_logs_opts *opts, int how, st_got *g)
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
    if (how) CHECK_INT(cws_op_status(cws_stream_op(stream), NULL), status);
    cws_stream_free(stream);
    return status;
}

/* A message with data. session NULL: none; offset 0: none. */
TEST_FN char *st_log_bytes(api *t, const void *data, size_t size, const char *session,
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

TEST_FN char *st_log(api *t, const char *text, const char *session, uint64_t offset)
{
    return st_log_bytes(t, text, strlen(text), session, offset);
}

#define GONE "{\"error\":{\"code\":\"unavailable\",\"message\":\"gone\"}}"

/* The input that a call sent, joined and freed by the caller; NULL if it was not one whole input:
 * frames of 1 to 65536 bytes, then one close, then the end. */
TEST_FN char *st_input(api *t, size_t index, size_t *size)
{
    const script_call *call = script_call_at(&t->s, "StreamExec", index);
    char *out = (char *)malloc(call->sent.len + 1);
    size_t at = 0;
    bool closed = false, bad = false;
    *size = 0;
    if (!out) abort();
    while (!bad && script_more_sent(call, at)) {
        cwsi_str body;
        const cwsi_v1_ExecStreamRequest *m;
        bool good = script_next_sent(call, &at, &body);
        m = closed || !good ? NULL : script_input(&t->s, body);
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
TEST_FN void st_check_input(api *t, size_t index, const char *text, size_t size)
{
    size_t n = 0, i, wrong = 0;
    char *in = st_input(t, index, &n);
    if (CHECK(in != NULL) && CHECK_INT(n, size))
        for (i = 0; i < n; i++) wrong += in[i] != (text ? text[i] : (char)(i * 31 + i / 253));
    CHECK_INT(wrong, 0);
    free(in);
}

TEST_FN char *st_pattern(size_t size)
{
    char *data = (char *)malloc(size ? size : 1);
    if (!data) abort();
    api_fill(data, size);
    return data;
}

TEST_FN cws_logs_opts st_follow(void)
{
    cws_logs_opts o;
    memset(&o, 0, sizeof(o));
    o.follow = true;
    return o;
}

TEST_FN void st_room(void *user) { ++*(int *)user; }

/* ---- memory that runs out -------------------------------------------------------------------- */

/* Replies that were not asked for are not missed. */
TEST_FN void st_forgive(api *t)
{
    script_reply *r;
    for (r = t->s.first; r; r = r->next)
        if (r->times > 0) r->times = r->used;
    st_reset(t);
}

/* A scenario while each allocation fails in turn; whole: everything arrived. */
TEST_FN void st_each_allocation(const char *what,
                                cws_status (*scenario)(api *t, cws_sandbox *sb, bool *whole))
{
    int persistent;
    char name[80];
    (void)snprintf(name, sizeof(name), "%s while each allocation fails in turn", what);
    STREAMING(name) {
        for (persistent = 0; persistent < 2; persistent++) {
            cws_sandbox *sb = api_running(t);
            long n;
            for (n = 0; n < 3000; n++) {
                bool whole = false, failed;
                cws_status status;
                test_alloc_fail_at(n, persistent == 1);
                status = scenario(t, sb, &whole);
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

/* ---- streams of v1beta2 in its own words, for native.h --------------------------------------- */

#ifdef NATIVE_H

TEST_FN script_reply *op_stream(api *t, const char *rpc)
{
    return script_stream_of(&t->s, rpc);
}

TEST_FN void op_says(api *t, script_reply *r, const char *json)
{
    script_message(&t->s, r, nw_json(t, json));
}

TEST_FN void op_output(api *t, script_reply *r, const char *stream, const char *text)
{
    char json[300];
    (void)snprintf(json, sizeof(json), "{'output':{'streamType':'STREAM_TYPE_%s','data':'%s'}}",
                   stream, nw_64(t, text));
    op_says(t, r, json);
}

TEST_FN void op_data(api *t, script_reply *r, const char *text, const char *session, int offset)
{
    char json[300];
    (void)snprintf(json, sizeof(json), "{'data':{'data':'%s','sessionId':'%s','offset':'%d'}}",
                   nw_64(t, text), session, offset);
    op_says(t, r, json);
}

TEST_FN void op_over(api *t, script_reply *r)
{
    script_envelope(&t->s, r, 2, "{}", 2);
}

#endif

#endif /* STREAMS_H */
