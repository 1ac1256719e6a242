/* SPDX-License-Identifier: MIT
 *
 * The service says anything in its streams: logs, shells, commands that move files. Two of these
 * run side by side in one client; what the service sends, how callbacks answer and what the caller
 * does in between comes from the input. The sandbox itself is always there, so that no input is
 * spent on it. What the items promise (sizes, NUL, lines, offsets, an end that is one) is checked.
 */
#define CWSANDBOX_IMPLEMENTATION
#define CWS_ASSERT(x) ((x) ? (void)0 : abort())
#include "cwsandbox.h"
#include "fuzz_main.h"

typedef struct talk { /* one exchange */
    struct talk *next;
    cws_exchange *exchange;
    bool headed, ended, unary, logs, read;
} talk;

enum { LOGS, SHELL, DOWNLOAD, UPLOAD, READ, WRITE, KINDS };

typedef struct slot { /* one operation of the caller */
    struct world *w;
    int kind;
    cws_op *op; /* borrowed from the two below, if it is one of them */
    cws_stream *stream;
    cws_process *process;
    bool calls_back, over, inside;
    bool raw, split, partial; /* partial: the last item was */
    size_t max_line;
    uint64_t taken;
    cws_item held; /* the item at hand, and what it was */
    char copy[300];
} slot;

typedef struct world {
    const uint8_t *at, *end;
    int64_t now;
    size_t live; /* bytes not given back */
    bool grpc;
    talk *talks;
    cwsi_mem mem; /* its own */
    uint64_t offset;
    cws_client *client;
    slot slots[2];
} world;

#include "fuzz_world.h"

static cwsi_str take_bytes(world *w, size_t most)
{
    cwsi_str s;
    size_t have;
    s.len = take(w) % (most + 1);
    have = (size_t)(w->end - w->at);
    if (s.len > have) s.len = have;
    s.at = (const char *)w->at;
    w->at += s.len;
    return s;
}

/* ---- the service */

static cws_status fuzz_open(void *user, const cws_http_request *request, cws_exchange *exchange,
                            void **handle)
{
    world *w = (world *)user;
    talk *t = (talk *)calloc(1, sizeof(*t));
    if (!t) return CWS_ERR_NO_MEMORY;
    t->exchange = exchange;
    t->logs = strstr(request->url, "StreamLogs") != NULL;
    t->read = strstr(request->url, "ReadFile") != NULL;
    t->unary = strstr(request->url, "Stream") == NULL;
    t->next = w->talks;
    w->talks = t;
    *handle = t;
    return CWS_OK;
}

static size_t fuzz_send(void *user, void *handle, const void *data, size_t size, bool fin)
{
    world *w = (world *)user;
    unsigned how = take(w);
    (void)handle, (void)data, (void)fin;
    return how < 200 ? size : size / 2;
}

static void fuzz_head(world *w, talk *t, int status)
{
    cws_header h[2];
    h[0].name = "content-type";
    h[0].value = status != 200 ? "application/json"
                 : w->grpc     ? "application/grpc"
                 : t->unary    ? "application/proto"
                               : "application/connect+proto";
    h[1].name = "content-encoding";
    h[1].value = "gzip";
    t->headed = true;
    cws_exchange_head(t->exchange, status, 2, h, !t->unary && take(w) == 0xee ? 2 : 1);
}

static void fuzz_envelope(talk *t, unsigned flags, const void *data, size_t size)
{
    char head[CWSI_ENVELOPE];
    cwsi_envelope_head(head, flags, size);
    (void)cws_exchange_data(t->exchange, head, sizeof(head));
    if (size) (void)cws_exchange_data(t->exchange, data, size);
}

static void fuzz_message(world *w, talk *t, cwsi_msg_id id, const void *msg)
{
    cwsi_buf buf;
    cwsi_buf_init(&buf, &w->mem, 1u << 20);
    if (cwsi_encode(&buf, id, msg)) abort();
    if (t->unary && !w->grpc) (void)cws_exchange_data(t->exchange, buf.at, buf.len);
    else fuzz_envelope(t, 0, buf.at, buf.len);
    cwsi_buf_free(&buf);
}

static void fuzz_end(world *w, talk *t, const char *code)
{
    static const char errors[] = "{\"error\":{\"code\":\"unavailable\",\"message\":\"no\"}}";
    if (w->grpc) {
        cws_header h;
        h.name = "grpc-status";
        h.value = code;
        cws_exchange_trailers(t->exchange, &h, 1);
    } else if (!t->unary) {
        if (code[0] == '0') fuzz_envelope(t, CWSI_FLAG_END, "{}", 2);
        else fuzz_envelope(t, CWSI_FLAG_END, errors, sizeof(errors) - 1);
    }
    t->ended = true;
    cws_exchange_end(t->exchange, CWS_END_OK);
}

static void fuzz_log_entry(world *w, talk *t)
{
    static char long_id[300];
    cwsi_v1_LogEntry m = {0};
    cwsi_v1_LogStreamError error = {0};
    cwsi_pb_Timestamp time = {0};
    static const char *const codes[] = {"STREAM_INTERRUPTED", "REPLAY_GAP", "SESSION_NOT_FOUND",
                                        "STREAM_TRUNCATED", "STREAM_BACKPRESSURE", "OTHER", ""};
    unsigned how = take(w);
    m.data = take_bytes(w, how & 0x40 ? 60 : 9);
    memset(long_id, 'x', sizeof(long_id) - 1);
    m.log_session_id = cwsi_str_of(how % 4 == 0 ? "" : how % 4 == 1 ? "one" : how % 4 == 2 ? "two"
                                                                                         : long_id);
    if (how % 4 == 3 && take(w) % 4) m.log_session_id = cwsi_str_of("one");
    w->offset += m.data.len;
    switch (how >> 2 & 3) {
    case 0: m.next_log_offset = w->offset; break;
    case 1: w->offset -= w->offset < 3 ? 0 : 3, m.next_log_offset = w->offset; break;
    case 2: m.next_log_offset = take(w) % 2 ? UINT64_MAX - take(w) : take(w); break;
    default: break;
    }
    time.seconds = how & 0x20 ? -62135596800LL - take(w) : 1;
    if (how & 0x10) m.timestamp = &time;
    error.code = cwsi_str_of(codes[take(w) % 7]);
    if (how & 0x80 && take(w) % 2) m.error = &error;
    fuzz_message(w, t, CWSI_M_v1_LogEntry, &m);
}

static void fuzz_exec_event(world *w, talk *t)
{
    cwsi_v1_ExecStreamResponse m = {0};
    cwsi_v1_ExecStreamReady ready = {0};
    cwsi_v1_ExecStreamOutput output = {0};
    cwsi_v1_ExecStreamExit end = {0};
    cwsi_v1_ExecStreamError error = {0};
    unsigned how = take(w);
    if (how % 8 < 2) m.ready = &ready;
    else if (how % 8 < 6) m.output = &output, output.data = take_bytes(w, 40);
    else if (how % 8 < 7) m.exit = &end, end.exit_code = how & 0x10 ? (int32_t)take(w) % 5 : 0;
    else m.error = &error, error.message = cwsi_str_of("it failed");
    output.stream = how & 0x20 ? CWSI_v1_STREAM_STDERR : CWSI_v1_STREAM_STDOUT;
    fuzz_message(w, t, CWSI_M_v1_ExecStreamResponse, &m);
}

/* A failure of a call about a file, that may say how large it can be. */
static void fuzz_file_error(world *w, talk *t)
{
    cwsi_rpc_ErrorInfo info = {0};
    cwsi_map_StrStr entry[2];
    cwsi_buf packed, body;
    static const char *const numbers[] = {"1", "5", "0", "300000000", "x", "99999999999999999999"};
    memset(entry, 0, sizeof(entry));
    entry[0].key = cwsi_str_of("size_bytes"), entry[1].key = cwsi_str_of("max_size_bytes");
    entry[0].value = cwsi_str_of(numbers[take(w) % 6]);
    entry[1].value = cwsi_str_of(numbers[take(w) % 6]);
    info.reason = cwsi_str_of("CWSANDBOX_FILE_TOO_LARGE");
    info.domain = cwsi_str_of("cwsandbox.com");
    info.metadata.at = entry, info.metadata.len = 2;
    cwsi_buf_init(&packed, &w->mem, 4096);
    cwsi_buf_init(&body, &w->mem, 4096);
    if (cwsi_encode(&packed, CWSI_M_rpc_ErrorInfo, &info)) abort();
    cwsi_put_text(&body, "{\"code\":\"failed_precondition\",\"details\":[{\"type\":"
                         "\"google.rpc.ErrorInfo\",\"value\":\"");
    cwsi_put_base64(&body, packed.at, packed.len);
    cwsi_put_text(&body, "\"}]}");
    if (!t->headed) fuzz_head(w, t, w->grpc ? 200 : 400);
    if (w->grpc) {
        fuzz_end(w, t, "8"); /* resource exhausted */
    } else {
        (void)cws_exchange_data(t->exchange, body.at, body.len);
        t->ended = true;
        cws_exchange_end(t->exchange, CWS_END_OK);
    }
    cwsi_buf_free(&packed);
    cwsi_buf_free(&body);
}

/* Unary calls: the sandbox runs; files as the input says. */
static void fuzz_unary(world *w, talk *t)
{
    cwsi_v1_SandboxStatus status = {0};
    cwsi_v1_Sandbox sandbox = {0};
    cwsi_v1_ReadFileResponse file = {0};
    if (t->read && take(w) % 4) {
        fuzz_file_error(w, t);
        return;
    }
    sandbox.sandbox_id = cwsi_str_of("s");
    sandbox.status = &status;
    status.state = CWSI_v1_STATE_RUNNING;
    fuzz_head(w, t, 200);
    if (t->read) file.content = take_bytes(w, 20);
    if (t->read) fuzz_message(w, t, CWSI_M_v1_ReadFileResponse, &file);
    else fuzz_message(w, t, CWSI_M_v1_Sandbox, &sandbox); /* unknown fields to other replies */
    fuzz_end(w, t, "0");
}

/* One report about this exchange. */
static void fuzz_report(world *w, talk *t)
{
    unsigned what;
    cwsi_str bytes;
    if (t->unary) {
        fuzz_unary(w, t);
        return;
    }
    if (!t->headed) {
        unsigned how = take(w);
        fuzz_head(w, t, how == 0xfe ? 503 : how == 0xfd ? 505 : 200);
        return;
    }
    if (w->at == w->end) { /* nothing more to say */
        t->ended = true;
        cws_exchange_end(t->exchange, CWS_END_LOST);
        return;
    }
    what = take(w);
    switch (what % 16) {
    case 10: fuzz_end(w, t, "0"); break;
    case 11: fuzz_end(w, t, what & 0x10 ? "14" : "5"); break;
    case 12:
        bytes = take_bytes(w, 30);
        (void)cws_exchange_data(t->exchange, bytes.at, bytes.len);
        break;
    case 13:
        bytes = take_bytes(w, 60);
        fuzz_envelope(t, what & 0x80 ? take(w) % 4 : 0, bytes.at, bytes.len);
        break;
    case 14: break;
    case 15:
        t->ended = true;
        cws_exchange_note(t->exchange, (int32_t)take(w), "noted");
        cws_exchange_end(t->exchange, (cws_end)(take(w) % 9));
        break;
    default:
        if (t->logs) fuzz_log_entry(w, t);
        else fuzz_exec_event(w, t);
    }
}

static cws_status fuzz_poll(void *user, int timeout_ms)
{
    world *w = (world *)user;
    talk *t, *next;
    unsigned n;
    w->now += timeout_ms > 0 ? timeout_ms : 1;
    for (t = w->talks; t; t = next) {
        next = t->next; /* reports never free it: cancel comes from outside poll */
        for (n = take(w) % 4 + 1; n > 0 && !t->ended; n--) fuzz_report(w, t);
        if (!t->ended && take(w) % 2) cws_exchange_writable(t->exchange);
    }
    return CWS_OK;
}

/* ---- the caller */

static void fuzz_act(world *w, slot *from, unsigned what);

/* What holds for each item. */
static void fuzz_check_item(slot *s, const cws_item *item)
{
    const char *newline;
    FUZZ_REQUIRE(!s->over); /* nothing comes behind the end */
    FUZZ_REQUIRE(item->size > 0 && item->session_id);
    FUZZ_REQUIRE(item->data[item->size] == '\0');
    if (s->kind == DOWNLOAD) {
        FUZZ_REQUIRE(item->offset == s->taken && !item->partial && !item->restarted);
        FUZZ_REQUIRE(!item->session_id[0]);
    } else {
        FUZZ_REQUIRE(item->offset || !item->session_id[0]);
        FUZZ_REQUIRE(s->raw || item->size <= s->max_line);
        FUZZ_REQUIRE(!s->raw || !item->partial);
        newline = (const char *)memchr(item->data, '\n', item->size);
        if (!s->raw) {
            FUZZ_REQUIRE(!newline || newline == item->data + item->size - 1);
            FUZZ_REQUIRE(item->partial == !newline);
            FUZZ_REQUIRE(s->split || !s->partial || item->restarted); /* only the last one */
            FUZZ_REQUIRE(!item->partial || !s->split || item->size <= s->max_line);
        }
    }
    s->partial = item->partial;
    s->taken += item->size;
}

/* The item at hand is what it was. */
static void fuzz_check_held(slot *s)
{
    size_t n = s->held.size < sizeof(s->copy) ? s->held.size : sizeof(s->copy);
    bool kept = s->held.data != NULL;
    FUZZ_REQUIRE(!kept || memcmp(s->held.data, s->copy, n) == 0);
    FUZZ_REQUIRE(!kept || s->held.data[s->held.size] == '\0');
    s->held.data = NULL;
}

static cws_flow fuzz_flow(slot *s)
{
    world *w = s->w;
    unsigned how = take(w);
    if (how & 0x40 && !s->inside) {
        s->inside = true;
        fuzz_act(w, s, take(w));
        s->inside = false;
    }
    return how % 16 == 15 ? CWS_FLOW_CANCEL : how % 4 == 1 ? CWS_FLOW_PAUSE : CWS_FLOW_CONTINUE;
}

static cws_flow fuzz_on_item(const cws_item *item, void *user)
{
    slot *s = (slot *)user;
    cws_flow flow;
    fuzz_check_item(s, item);
    flow = fuzz_flow(s);
    FUZZ_REQUIRE(item->data[item->size] == '\0');
    return flow;
}

static cws_flow fuzz_on_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    FUZZ_REQUIRE(stream == CWS_STDOUT && data && size);
    return fuzz_flow((slot *)user);
}

static void fuzz_on_progress(const cws_progress *progress, void *user)
{
    slot *s = (slot *)user;
    FUZZ_REQUIRE(progress->bytes_done < (uint64_t)1 << 40 && progress->bytes_per_second >= 0);
    if (!s->inside && take(s->w) == 0x33) (void)fuzz_flow(s);
}

static cws_flow fuzz_source(void *buffer, size_t size, size_t *count, void *user)
{
    slot *s = (slot *)user;
    size_t n = take(s->w);
    *count = n < size ? n : size;
    memset(buffer, 'b', *count);
    return fuzz_flow(s);
}

static void fuzz_begin(world *w, cws_sandbox *box, slot *s)
{
    static const char text[] = "some content";
    unsigned how = take(w);
    cws_error err;
    s->w = w;
    s->kind = (int)(take(w) % KINDS);
    s->calls_back = how & 1;
    if (s->kind == LOGS) {
        cws_logs_opts o = {0};
        o.follow = how & 2;
        o.raw = s->raw = how & 4;
        o.long_lines = how & 8 ? CWS_LONG_LINES_SPLIT : CWS_LONG_LINES_FAIL;
        s->split = how & 8;
        o.max_line_bytes = s->max_line = 1 + take(w) % 9;
        o.timestamps = how & 16;
        if (how & 32 && o.follow && !o.timestamps) o.resume_session_id = "one", o.resume_offset = 3;
        o.timeout_seconds = 20;
        o.max_attempts = how >> 6;
        if (s->calls_back) o.on_item = fuzz_on_item;
        o.user = s;
        if (!cws_logs_begin(box, &o, &s->stream, &err)) s->op = cws_stream_op(s->stream);
    } else if (s->kind == SHELL) {
        cws_shell_opts o = {0};
        o.width = take(w), o.height = take(w);
        o.timeout_seconds = 20;
        o.max_output_bytes = 1 + take(w) % 30;
        if (s->calls_back) o.on_output = fuzz_on_output;
        o.user = s;
        if (!cws_shell_begin(box, NULL, &o, &s->process, &err)) s->op = cws_process_op(s->process);
    } else if (s->kind == DOWNLOAD) {
        cws_download_opts o = {0};
        if (s->calls_back) o.on_item = fuzz_on_item;
        if (how & 2) o.on_progress = fuzz_on_progress;
        o.user = s;
        if (!cws_download_begin(box, "/f", &o, &s->stream, &err)) s->op = cws_stream_op(s->stream);
    } else if (s->kind == UPLOAD) {
        cws_upload_opts o = {0};
        if (s->calls_back) o.source = fuzz_source;
        else o.data = text;
        o.size = how & 2 || !s->calls_back ? take(w) % sizeof(text) : 0;
        o.write_mode = how & 4 ? CWS_WRITE_ATOMIC : CWS_WRITE_DEFAULT;
        if (how & 8) o.on_progress = fuzz_on_progress;
        o.user = s;
        (void)cws_upload_begin(box, "/f", &o, &s->op, &err);
    } else if (s->kind == READ) {
        (void)cws_read_file_begin(box, "/f", NULL, &s->op, &err);
    } else {
        (void)cws_write_file_begin(box, "/f", text, take(w) % sizeof(text), NULL, &s->op, &err);
    }
}

static void fuzz_drop(slot *s)
{
    cws_bytes *bytes = cws_op_take_bytes(s->op);
    const char *data = bytes ? (const char *)cws_bytes_data(bytes) : NULL;
    FUZZ_REQUIRE(!bytes || data[cws_bytes_size(bytes)] == '\0');
    fuzz_check_held(s);
    cws_bytes_free(bytes);
    if (s->stream) cws_stream_free(s->stream);
    else if (s->process) cws_process_free(s->process);
    else cws_op_free(s->op);
    s->op = NULL;
    s->stream = NULL;
    s->process = NULL;
}

static void fuzz_next(slot *s, int64_t timeout_ms)
{
    cws_stream *stream = s->stream;
    cws_status status, later;
    cws_error err;
    cws_item item;
    if (!stream || s->calls_back) return;
    fuzz_check_held(s);
    status = cws_stream_next(stream, timeout_ms / 1000.0, &item, &err);
    if (s->stream != stream) return; /* freed meanwhile */
    if (status == CWS_ERR_WAIT_TIMEOUT || status == CWS_ERR_REENTRANT) {
        FUZZ_REQUIRE(!item.data && !s->over);
        return;
    }
    if (!status && item.data) {
        fuzz_check_item(s, &item);
        s->held = item;
        memcpy(s->copy, item.data, item.size < sizeof(s->copy) ? item.size : sizeof(s->copy));
        return;
    }
    FUZZ_REQUIRE(!item.data && cws_op_done(s->op));
    later = cws_op_status(s->op, NULL);
    FUZZ_REQUIRE(later == status);
    s->over = true;
}

/* Something that a caller may do at any time, also inside a callback (from, else NULL). */
static void fuzz_act(world *w, slot *from, unsigned what)
{
    slot *s = &w->slots[what & 1];
    int64_t wait = from ? 0 : (what & 0x80) ? 40 : 0;
    char buffer[16];
    size_t n;
    int32_t code;
    if (!s->op) return;
    switch (what >> 1 & 7) {
    case 0: (void)cws_client_poll(w->client, ((int)wait) / 1000.0, NULL); break;
    case 1:
    case 2: fuzz_next(s, wait); break;
    case 3: cws_op_resume(s->op); break;
    case 4:
        if (take(w) % 8 == 0) (void)cws_op_cancel(s->op);
        break;
    case 5:
        if (!s->process) break;
        (void)cws_process_write(s->process, "keys", 4, wait / 1000.0, &n, NULL);
        (void)cws_process_resize(s->process, 1 + take(w), 1 + take(w), NULL);
        if (take(w) % 4 == 0) (void)cws_process_close_stdin(s->process, NULL);
        break;
    case 6:
        if (!s->process) break;
        n = 0;
        if (!cws_process_read(s->process, CWS_STDOUT, buffer, 1 + take(w) % 16, wait / 1000.0, &n,
                              NULL))
            FUZZ_REQUIRE(n <= sizeof(buffer) && (n || cws_op_done(s->op)));
        (void)cws_process_poll(s->process, &code);
        break;
    default: /* never its own: it is to look at what it was given */
        if (s != from && !s->inside && take(w) % 8 == 0) fuzz_drop(s);
    }
}

static void fuzz_run_streams(world *w, cws_session *session)
{
    cws_sandbox *box = NULL;
    cws_error err;
    int steps = 0;
    size_t k;
    w->client = cws_session_client(session);
    FUZZ_REQUIRE(cws_session_sandbox(session, NULL, &box, &err) == CWS_OK);
    FUZZ_REQUIRE(cws_sandbox_wait(box, NULL, &err) == CWS_OK);
    for (k = 0; k < 2; k++) fuzz_begin(w, box, &w->slots[k]);
    while (w->at < w->end && steps++ < 300) fuzz_act(w, NULL, take(w));
    for (k = 0; k < 2; k++) { /* to the end, whatever it is */
        slot *s = &w->slots[k];
        for (steps = 0; steps < 1000 && s->op && !cws_op_done(s->op); steps++) {
            cws_op_resume(s->op);
            if (s->stream && !s->calls_back) fuzz_next(s, 1000);
            else if (cws_client_poll(w->client, 1, NULL)) break;
        }
        for (steps = 0; steps < 70000 && s->stream && !s->calls_back && !s->over; steps++)
            fuzz_next(s, 0);
        FUZZ_REQUIRE(!s->op || cws_op_done(s->op));
        FUZZ_REQUIRE(!s->stream || s->calls_back || s->over);
        if (s->op) fuzz_drop(s);
    }
    cws_sandbox_free(box);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world w;
    cws_allocator allocator;
    cws_transport transport = {0};
    cws_client_opts o = {0};
    cws_session_opts so = {0};
    cws_session *session;
    memset(&w, 0, sizeof(w));
    w.at = data;
    w.end = data + size;
    w.mem.allocator.resize = cwsi_default_resize;
    w.mem.limit = SIZE_MAX;
    w.grpc = take(&w) & 1;
    allocator.resize = fuzz_resize;
    allocator.user = &w;
    transport.user = &w;
    transport.open = fuzz_open;
    transport.send = fuzz_send;
    transport.window = fuzz_window;
    transport.cancel = fuzz_cancel;
    transport.poll = fuzz_poll;
    transport.full_duplex = transport.trailers = true;
    o.protocol = w.grpc ? CWS_PROTOCOL_GRPC : CWS_PROTOCOL_CONNECT;
    o.base_url = "http://localhost";
    o.no_environment = true;
    o.transport = &transport;
    o.allocator = &allocator;
    o.max_message_bytes = 1000;
    o.request_timeout_seconds = 60;
    o.monotonic_ms = o.unix_ms = fuzz_now;
    o.random = fuzz_random;
    o.hooks_user = &w;
    so.client_opts = &o;
    if (cws_session_open(&so, &session, NULL) == CWS_OK) {
        fuzz_run_streams(&w, session);
        cws_session_free(session);
    }
    if (w.live || w.talks) abort(); /* memory, or an exchange, was left behind */
    if (w.now > 3600 * 1000) abort(); /* a deadline was not kept */
    return 0;
}
