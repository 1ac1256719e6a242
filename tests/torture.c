/* SPDX-License-Identifier: MIT
 *
 * The main job while everything fails that can: each allocation in turn, each exchange in turn in
 * each way, too little memory, and random calls in random order with random failures.
 *
 *     torture [part of a test's name]      TORTURE_SEED=n: another random sequence
 *
 * A small service in memory answers; its clock moves only when somebody waits, so nothing sleeps.
 * It has memory of its own: only the library's allocations fail.
 */
#include <sys/select.h>
#include <sys/time.h>

static int fake_sleep(const struct timeval *tv);
#ifndef CWS_NO_CURL
#define CWS_NO_CURL
#endif
#define CWSANDBOX_IMPLEMENTATION
#define select(n, r, w, e, tv) fake_sleep(tv) /* the wait of the blocking tier */
#include "cwsandbox.h"
#undef select
#include "test.h"

/* ------------------------------------------------------------------------------------------------
 * The service and its transport, both tiers.
 * --------------------------------------------------------------------------------------------- */

/* X(name, streamed): how an exchange goes wrong, and what a unary call and a stream make of it
 * when nothing is tried again. */
#define FAULTS(X)                                                                                  \
    X(NONE, OK, OK)                                                                                \
    X(REFUSE, ERR_NO_MEMORY, ERR_NO_MEMORY) /* open fails, or perform ends so */                   \
    X(NOT_SENT, ERR_TRANSPORT, ERR_TRANSPORT)                                                      \
    X(TLS, ERR_TRANSPORT, ERR_TRANSPORT)                                                           \
    X(REFUSED, ERR_TRANSPORT, ERR_TRANSPORT)                                                       \
    X(LOST_REQUEST, ERR_TRANSPORT, ERR_TRANSPORT) /* the service never saw it */                   \
    X(LOST_REPLY, ERR_TRANSPORT, ERR_TRANSPORT)   /* it did; no head comes back */                 \
    X(LOST_BODY, ERR_TRANSPORT, ERR_TRANSPORT)    /* only the head comes back */                   \
    X(CUT, ERR_TRANSPORT, ERR_PROTOCOL)           /* `byte` bytes of the body, then a clean end */ \
    X(RESET, ERR_PROTOCOL, ERR_PROTOCOL)                                                           \
    X(RESET_CANCEL, ERR_NOT_RUNNING, ERR_NOT_RUNNING)                                              \
    X(RESET_CALM, ERR_RESOURCE_EXHAUSTED, ERR_RESOURCE_EXHAUSTED)                                  \
    X(RESET_SECURITY, ERR_AUTHENTICATION, ERR_AUTHENTICATION)                                      \
    X(PATIENCE, ERR_TIMEOUT, ERR_TIMEOUT) /* the transport's own */                                \
    X(NO_HTTP, ERR_PROTOCOL, ERR_PROTOCOL)                                                         \
    X(SILENCE, ERR_TIMEOUT, ERR_TIMEOUT)                                                           \
    X(SILENT_BODY, ERR_TIMEOUT, ERR_TIMEOUT)                                                       \
    X(GARBAGE, ERR_PROTOCOL, ERR_PROTOCOL)                                                         \
    X(FLOOD, ERR_LIMIT, ERR_LIMIT)                                                                 \
    X(FLOOD_OF_ERROR, ERR_SANDBOX, ERR_SANDBOX)                                                    \
    X(HTML_200, ERR_PROTOCOL, ERR_PROTOCOL)                                                        \
    X(JSON_200, ERR_PROTOCOL, ERR_PROTOCOL)                                                        \
    X(GZIP, ERR_PROTOCOL, ERR_PROTOCOL)                                                            \
    X(HTML_502, ERR_UNAVAILABLE, ERR_UNAVAILABLE)                                                  \
    X(BAD_ERROR_500, ERR_SANDBOX, ERR_SANDBOX)                                                     \
    X(REDIRECT_302, ERR_SANDBOX, ERR_SANDBOX)                                                      \
    X(UNAUTHENTICATED, ERR_AUTHENTICATION, ERR_AUTHENTICATION)

#define AS_FAULT(name, unary, stream) FAULT_##name,
typedef enum fault { FAULTS(AS_FAULT) FAULT_COUNT } fault;
#define AS_ROW(name, unary, stream) {#name, CWS_##unary, CWS_##stream},
static const struct {
    const char *name;
    cws_status unary, stream;
} faults[] = {FAULTS(AS_ROW){NULL, CWS_OK, CWS_OK}};

#define MAX_BOXES 3000
#define GROUPS 64

typedef struct fake_box {
    char id[24], request_id[40], tag[16];
    bool ended;
    int looks, group; /* group: of the session that must stop it; chaos only */
} fake_box;

typedef struct fake_exchange {
    struct fake_exchange *next;
    cws_exchange *ex;
    fault wrong;
    bool stream, silent, headless, ended, told_to_stop;
    int status, stage;
    const char *type;
    char length[24];
    cwsi_buf body;
    size_t at, flooded;
    cws_end end;
    int32_t note;
} fake_exchange;

static struct fake {
    int64_t now;
    cwsi_mem mem; /* its own */
    fake_box boxes[MAX_BOXES];
    size_t box_count;
    char file[64];
    size_t file_size;
    fake_exchange *open;
    long exchanges, opened, cancelled, closed; /* exchanges: requests seen, refused ones too */
    bool reporting, held; /* held: commands do not end */
    size_t chunk;         /* bytes per poll; 0: all at once */
    fault wrong;
    long wrong_at; /* the exchange that goes wrong; -1: none */
    size_t wrong_byte, flooded, last_size;
    bool last_stream;
    int chaos; /* percent of exchanges that go wrong */
    uint64_t rng;
    size_t idle;
} fake;

static uint64_t fake_random(void)
{
    fake.rng ^= fake.rng << 13;
    fake.rng ^= fake.rng >> 7;
    return fake.rng ^= fake.rng << 17;
}

static int below(int n) { return (int)((fake_random() >> 33) % (uint64_t)n); }

static void fake_wait(int64_t ms)
{
    fake.now += ms;
    if (++fake.idle < 100000) return;
    printf("a wait without end, in: %s\n", test_g.name ? test_g.name : "?");
    abort();
}

static int fake_sleep(const struct timeval *tv)
{
    fake_wait((int64_t)tv->tv_sec * 1000 + tv->tv_usec / 1000);
    return 0;
}

static void fake_reset(void)
{
    while (fake.open) { /* only after a failed check */
        fake_exchange *next = fake.open->next;
        free(fake.open);
        fake.open = next;
    }
    memset(&fake, 0, sizeof(fake));
    fake.mem.allocator.resize = cwsi_default_resize;
    fake.mem.limit = UINT64_MAX;
    fake.now = 1000;
    fake.rng = 88172645463325252ULL;
    fake.wrong_at = -1;
}

static fake_box *fake_find(cwsi_str id, bool by_request)
{
    size_t i;
    for (i = 0; i < fake.box_count; i++)
        if (cwsi_str_is(id, by_request ? fake.boxes[i].request_id : fake.boxes[i].id))
            return &fake.boxes[i];
    return NULL;
}

static size_t fake_running(void)
{
    size_t i, n = 0;
    for (i = 0; i < fake.box_count; i++) n += !fake.boxes[i].ended;
    return n;
}

static void fake_error(fake_exchange *x, int status, const char *code, const char *reason)
{
    cwsi_rpc_ErrorInfo info = {0};
    cwsi_map_StrStr entry = {0};
    cwsi_buf packed;
    cwsi_buf_init(&packed, &fake.mem, 4096);
    entry.key = cwsi_str_of("filepath");
    entry.value = cwsi_str_of("/tmp/\"none\"");
    info.reason = cwsi_str_of(reason);
    info.domain = cwsi_str_of("cwsandbox.com");
    info.metadata.at = &entry, info.metadata.len = 1;
    (void)cwsi_encode(&packed, CWSI_M_rpc_ErrorInfo, &info);
    x->status = status;
    x->type = "application/json";
    cwsi_put_text(&x->body, "{\"code\":\"");
    cwsi_put_text(&x->body, code);
    cwsi_put_text(&x->body, "\",\"message\":\"it says \\\"no\\\"\",\"details\":[{\"type\":"
                            "\"google.rpc.ErrorInfo\",\"value\":\"");
    cwsi_put_base64(&x->body, packed.at, packed.len);
    cwsi_put_text(&x->body, "\"}]}");
    cwsi_buf_free(&packed);
}

static void fake_describe(const fake_box *box, cwsi_v1_Sandbox *out, cwsi_v1_SandboxStatus *status)
{
    memset(out, 0, sizeof(*out));
    memset(status, 0, sizeof(*status));
    out->sandbox_id = cwsi_str_of(box->id);
    out->status = status;
    status->state = box->ended       ? CWSI_v1_STATE_TERMINATED
                    : box->looks < 2 ? CWSI_v1_STATE_CREATING
                                     : CWSI_v1_STATE_RUNNING;
    status->runner_id = cwsi_str_of("runner-7");
}

static void fake_event(fake_exchange *x, cwsi_v1_ExecStreamResponse *event)
{
    (void)cwsi_put_envelope(&x->body, CWSI_M_v1_ExecStreamResponse, event);
    memset(event, 0, sizeof(*event));
}

/* A command prints its arguments; "false" exits with 1, "broken" ends in an error. */
static void fake_exec(fake_exchange *x, cwsi_list command)
{
    const cwsi_str *words = (const cwsi_str *)command.at;
    cwsi_v1_ExecStreamResponse event = {0};
    cwsi_v1_ExecStreamOutput output = {0};
    cwsi_v1_ExecStreamReady ready = {0};
    cwsi_v1_ExecStreamExit end = {0};
    cwsi_v1_ExecResponse reply = {0};
    char head[CWSI_ENVELOPE];
    cwsi_buf text;
    size_t i;
    cwsi_buf_init(&text, &fake.mem, 1u << 20);
    for (i = 0; i < command.len; i++) {
        if (i) cwsi_put_char(&text, ' ');
        cwsi_put(&text, words[i].at, words[i].len);
    }
    reply.stdout_.at = text.at, reply.stdout_.len = text.len;
    reply.stderr_ = cwsi_str_of("warning");
    reply.exit_code = end.exit_code = cwsi_str_is(words[0], "false");
    if (cwsi_str_is(words[0], "broken")) {
        fake_error(x, 504, "deadline_exceeded", "CWSANDBOX_COMMAND_TIMEOUT");
        if (x->stream) { /* a stream says it in its last message */
            text.len = 0;
            cwsi_put_text(&text, "{\"error\":");
            cwsi_put(&text, x->body.at, x->body.len);
            cwsi_put_char(&text, '}');
            x->status = 200, x->type = "application/connect+proto", x->body.len = 0;
            cwsi_envelope_head(head, CWSI_FLAG_END, text.len);
            cwsi_put(&x->body, head, sizeof(head)), cwsi_put(&x->body, text.at, text.len);
        }
    } else if (!x->stream) {
        (void)cwsi_encode(&x->body, CWSI_M_v1_ExecResponse, &reply);
    } else {
        event.ready = &ready;
        fake_event(x, &event);
        output.stream = CWSI_v1_STREAM_STDOUT, output.data = reply.stdout_;
        event.output = &output;
        fake_event(x, &event);
        output.stream = CWSI_v1_STREAM_STDERR, output.data = reply.stderr_;
        event.output = &output;
        fake_event(x, &event);
        event.exit = &end;
        if (!fake.held) fake_event(x, &event);
        cwsi_envelope_head(head, CWSI_FLAG_END, 2);
        if (!fake.held) cwsi_put(&x->body, head, sizeof(head)), cwsi_put_text(&x->body, "{}");
    }
    cwsi_buf_free(&text);
}

static void fake_create(fake_exchange *x, const cwsi_v1_CreateSandboxRequest *m)
{
    fake_box *box = fake_find(m->request_id, true);
    cwsi_v1_SandboxStatus status;
    cwsi_v1_Sandbox sandbox;
    if (!box) {
        cwsi_str tag = cwsi_str_of("");
        if (fake.box_count == MAX_BOXES) abort();
        box = &fake.boxes[fake.box_count++];
        memset(box, 0, sizeof(*box));
        (void)snprintf(box->id, sizeof(box->id), "box-%d", (int)fake.box_count);
        cwsi_copy_text(box->request_id, 40, m->request_id.at, m->request_id.len);
        if (m->sandbox->spec->tags.len) tag = *(const cwsi_str *)m->sandbox->spec->tags.at;
        cwsi_copy_text(box->tag, sizeof(box->tag), tag.at, tag.len);
        box->group = box->tag[0] == 's' ? atoi(box->tag + 1) : 0;
    }
    fake_describe(box, &sandbox, &status);
    (void)cwsi_encode(&x->body, CWSI_M_v1_Sandbox, &sandbox);
}

static void fake_list(fake_exchange *x, const cwsi_v1_ListSandboxesRequest *m)
{
    cwsi_v1_ListSandboxesResponse reply = {0};
    cwsi_v1_SandboxStatus status[2];
    cwsi_v1_Sandbox sandbox[2];
    size_t i = m->page_token.len ? (size_t)atoi(m->page_token.at) : 0;
    cwsi_str tag = cwsi_str_of("");
    char next[16];
    if (m->tags.len) tag = *(const cwsi_str *)m->tags.at;
    for (; i < fake.box_count && reply.sandboxes.len < 2; i++) {
        if (fake.boxes[i].ended || (tag.len && !cwsi_str_is(tag, fake.boxes[i].tag))) continue;
        fake_describe(&fake.boxes[i], &sandbox[reply.sandboxes.len], &status[reply.sandboxes.len]);
        reply.sandboxes.len++;
    }
    reply.sandboxes.at = sandbox;
    (void)snprintf(next, sizeof(next), "%d", (int)i);
    if (i < fake.box_count) reply.next_page_token = cwsi_str_of(next);
    (void)cwsi_encode(&x->body, CWSI_M_v1_ListSandboxesResponse, &reply);
}

/* A call about one sandbox that exists (box not NULL) or not. */
static void fake_about(fake_exchange *x, int rpc, const void *msg, fake_box *box)
{
    cwsi_v1_SandboxStatus status;
    cwsi_v1_Sandbox sandbox;
    if (rpc == CWSI_RPC_v1_SandboxService_DeleteSandbox) {
        const cwsi_v1_DeleteSandboxRequest *m = (const cwsi_v1_DeleteSandboxRequest *)msg;
        cwsi_v1_DeleteSandboxResponse reply = {0};
        if ((!box || box->ended) && !m->allow_missing) {
            fake_error(x, 404, "not_found", "CWSANDBOX_SANDBOX_NOT_FOUND");
            return;
        }
        if (box && !box->ended) {
            fake_describe(box, &sandbox, &status);
            status.state = CWSI_v1_STATE_TERMINATING;
            reply.sandbox = &sandbox;
            box->ended = true;
        }
        (void)cwsi_encode(&x->body, CWSI_M_v1_DeleteSandboxResponse, &reply);
    } else if (!box || (box->ended && rpc != CWSI_RPC_v1_SandboxService_GetSandbox)) {
        fake_error(x, 404, "not_found", "CWSANDBOX_SANDBOX_NOT_FOUND");
    } else if (rpc == CWSI_RPC_v1_SandboxService_GetSandbox) {
        box->looks++;
        fake_describe(box, &sandbox, &status);
        (void)cwsi_encode(&x->body, CWSI_M_v1_Sandbox, &sandbox);
    } else if (rpc == CWSI_RPC_v1_SandboxService_Exec) {
        fake_exec(x, ((const cwsi_v1_ExecRequest *)msg)->command);
    } else if (rpc == CWSI_RPC_v1_SandboxService_StreamExec) {
        fake_exec(x, ((const cwsi_v1_ExecStreamRequest *)msg)->init->command);
    } else if (rpc == CWSI_RPC_v1_SandboxService_WriteFile) {
        const cwsi_v1_WriteFileRequest *m = (const cwsi_v1_WriteFileRequest *)msg;
        fake.file_size = m->content.len < sizeof(fake.file) ? m->content.len : sizeof(fake.file);
        memcpy(fake.file, m->content.at, fake.file_size);
    } else {
        const cwsi_v1_ReadFileRequest *m = (const cwsi_v1_ReadFileRequest *)msg;
        cwsi_v1_ReadFileResponse reply = {0};
        reply.content.at = fake.file, reply.content.len = fake.file_size;
        if (cwsi_str_is(m->path, "/none"))
            fake_error(x, 404, "not_found", "CWSANDBOX_FILE_NOT_FOUND");
        else (void)cwsi_encode(&x->body, CWSI_M_v1_ReadFileResponse, &reply);
    }
}

/* The service carries out the request, and the reply stands in x. */
static void fake_serve(fake_exchange *x, int rpc, cwsi_str body)
{
    cwsi_arena arena;
    void *msg = NULL;
    cwsi_arena_init(&arena, &fake.mem);
    if (x->stream) body.at += CWSI_ENVELOPE, body.len -= CWSI_ENVELOPE;
    if (cwsi_decode(&arena, cwsi_rpc_at((cwsi_rpc_id)rpc)->request, body, &msg)) {
        fake_error(x, 400, "invalid_argument", "");
    } else if (rpc == CWSI_RPC_v1_SandboxService_CreateSandbox) {
        fake_create(x, (const cwsi_v1_CreateSandboxRequest *)msg);
    } else if (rpc == CWSI_RPC_v1_SandboxService_ListSandboxes) {
        fake_list(x, (const cwsi_v1_ListSandboxesRequest *)msg);
    } else { /* the sandbox id is the first field of all others */
        cwsi_str id = x->stream ? ((const cwsi_v1_ExecStreamRequest *)msg)->init->sandbox_id
                                : ((const cwsi_v1_GetSandboxRequest *)msg)->sandbox_id;
        fake_about(x, rpc, msg, fake_find(id, false));
    }
    cwsi_arena_clear(&arena);
    if (x->status != 200 && x->stream) x->body.len = 0; /* not looked at */
}

/* What goes wrong with the finished reply. */
static void fake_spoil(fake_exchange *x)
{
    static const char html[] = "<html><body>Bad gateway, or is it?</body></html>";
    fault f = x->wrong;
    x->silent = f == FAULT_SILENCE || f == FAULT_SILENT_BODY;
    x->headless = f <= FAULT_LOST_REPLY || (f >= FAULT_RESET && f <= FAULT_SILENCE);
    x->end = f == FAULT_NOT_SENT                              ? CWS_END_NOT_SENT
             : f == FAULT_REFUSE                              ? CWS_END_NO_MEMORY
             : f == FAULT_TLS                                 ? CWS_END_TLS
             : f == FAULT_REFUSED                             ? CWS_END_REFUSED
             : f >= FAULT_LOST_REQUEST && f <= FAULT_LOST_BODY ? CWS_END_LOST
             : f >= FAULT_RESET && f <= FAULT_RESET_SECURITY  ? CWS_END_RESET
             : f == FAULT_PATIENCE                            ? CWS_END_TIMEOUT
             : f == FAULT_NO_HTTP                             ? CWS_END_PROTOCOL
                                                              : CWS_END_OK;
    x->note = f == FAULT_RESET ? 2 : f == FAULT_RESET_CANCEL ? 8 : f == FAULT_RESET_CALM ? 11
              : f == FAULT_RESET_SECURITY                    ? 12 : 0;
    if (f == FAULT_LOST_BODY || f == FAULT_SILENT_BODY) x->body.len = 0;
    if (f == FAULT_CUT && x->body.len > fake.wrong_byte) x->body.len = fake.wrong_byte;
    if (f < FAULT_GARBAGE || f == FAULT_GZIP) return;
    x->length[0] = '\0';
    x->body.len = 0;
    x->status = f == FAULT_HTML_502                                   ? 502
                : f == FAULT_BAD_ERROR_500 || f == FAULT_FLOOD_OF_ERROR ? 500
                : f == FAULT_REDIRECT_302                             ? 302
                : f == FAULT_UNAUTHENTICATED                          ? 401 : 200;
    if (f == FAULT_HTML_200 || f == FAULT_HTML_502) x->type = "text/html";
    if (f == FAULT_JSON_200 || f == FAULT_BAD_ERROR_500) x->type = "application/json";
    if (f == FAULT_BAD_ERROR_500) cwsi_put_text(&x->body, "{\"code\":\"not_fou");
    else if (f == FAULT_UNAUTHENTICATED) fake_error(x, 401, "unauthenticated", "");
    else if (f == FAULT_GARBAGE) cwsi_put(&x->body, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    else cwsi_put_text(&x->body, html);
}

/* A request came: what happens with it is decided here; how it is told, in fake_report. */
static fake_exchange *fake_receive(const cws_http_request *r, cws_exchange *ex)
{
    fake_exchange *x = (fake_exchange *)calloc(1, sizeof(*x));
    cwsi_str body;
    int rpc = 0;
    const char *path = strchr(r->url + 8, '/');
    if (!x || !path) abort();
    while (strcmp(cwsi_rpc_at((cwsi_rpc_id)rpc)->path, path) != 0) rpc++;
    body.at = (const char *)r->body, body.len = r->body_size;
    cwsi_buf_init(&x->body, &fake.mem, 1u << 24);
    x->ex = ex;
    x->status = 200;
    x->stream = rpc == CWSI_RPC_v1_SandboxService_StreamExec;
    x->type = x->stream ? "application/connect+proto" : "application/proto";
    if (fake.wrong_at == fake.exchanges) x->wrong = fake.wrong;
    if (fake.chaos && below(100) < fake.chaos) x->wrong = (fault)below(FAULT_COUNT);
    fake.exchanges++;
    fake.last_stream = x->stream;
    if (x->wrong == FAULT_NONE || x->wrong >= FAULT_LOST_REPLY) fake_serve(x, rpc, body);
    if (fake.wrong_at == fake.exchanges - 1) fake.last_size = x->body.len;
    if (!x->stream) (void)snprintf(x->length, sizeof(x->length), "%lu", (unsigned long)x->body.len);
    if (x->wrong) fake_spoil(x);
    return x;
}

/* Tell the library some more. True: there was something to tell. */
static bool fake_report(fake_exchange *x, bool perform)
{
    static const char flood[65536] = {0, 0x40}; /* as an envelope: the head of one of 1 GiB */
    cws_header headers[3];
    size_t n = fake.chunk && !perform ? fake.chunk : SIZE_MAX;
    if (x->ended || x->told_to_stop) return false;
    if (x->stage == 0 && x->wrong == FAULT_SILENCE) return false;
    if (x->stage++ == 0 && !x->headless) {
        headers[0].name = "Content-Type", headers[0].value = x->type;
        headers[1].name = "X-Request-Id", headers[1].value = "request-1";
        headers[2].name = x->wrong != FAULT_GZIP ? "Content-Length"
                          : x->stream            ? "Connect-Content-Encoding" : "Content-Encoding";
        headers[2].value = x->wrong == FAULT_GZIP ? "gzip" : x->length;
        cws_exchange_head(x->ex, x->status, 2, headers,
                          x->wrong == FAULT_GZIP || x->length[0] ? 3 : 2);
        if (fake.chunk && !perform) return true;
    }
    if (x->wrong == FAULT_FLOOD || x->wrong == FAULT_FLOOD_OF_ERROR) { /* 10 GB, or as you say */
        while (x->flooded < (size_t)1 << 33 && !x->told_to_stop) {
            x->flooded += sizeof(flood);
            x->told_to_stop = !cws_exchange_data(x->ex, flood, sizeof(flood));
        }
        if (x->flooded > fake.flooded) fake.flooded = x->flooded;
        return true;
    }
    if (!x->headless && x->at < x->body.len) {
        if (n > x->body.len - x->at) n = x->body.len - x->at;
        x->told_to_stop = !cws_exchange_data(x->ex, x->body.at + x->at, n);
        x->at += n;
        if (fake.chunk && !perform) return true;
    }
    if (x->silent || (x->stream && fake.held && !x->wrong)) return x->stage == 1;
    if (x->end) cws_exchange_note(x->ex, x->note, "it was the fake");
    x->ended = true;
    if (!perform) cws_exchange_end(x->ex, x->end);
    return true;
}

static void fake_forget(fake_exchange *x)
{
    cwsi_buf_free(&x->body);
    free(x);
}

static cws_end fake_perform(void *user, const cws_http_request *r, cws_exchange *ex)
{
    fake_exchange *x = fake_receive(r, ex);
    cws_end end = x->silent ? CWS_END_TIMEOUT : x->end;
    (void)user;
    if (x->silent) fake_wait(r->timeout_ms);
    (void)fake_report(x, true);
    fake_forget(x);
    return end;
}

static cws_status fake_open(void *user, const cws_http_request *r, cws_exchange *ex, void **handle)
{
    fake_exchange *x = fake_receive(r, ex);
    (void)user;
    if (fake.reporting) abort();
    *handle = x;
    if (x->wrong == FAULT_REFUSE) {
        *handle = NULL;
        fake_forget(x);
        return CWS_ERR_NO_MEMORY;
    }
    fake.opened++;
    x->next = fake.open;
    fake.open = x;
    return CWS_OK;
}

static size_t fake_send(void *user, void *handle, const void *data, size_t size, bool fin)
{
    (void)user, (void)handle, (void)data, (void)fin;
    return size;
}

static void fake_window(void *user, void *handle, bool open)
{
    (void)user, (void)handle, (void)open;
}

static void fake_cancel(void *user, void *handle)
{
    fake_exchange **link = &fake.open;
    (void)user;
    while (*link && *link != handle) link = &(*link)->next;
    if (!*link || fake.reporting) abort(); /* cancelled twice, or from inside a report */
    *link = (*link)->next;
    fake.cancelled++;
    fake_forget((fake_exchange *)handle);
}

static cws_status fake_poll(void *user, int timeout_ms)
{
    fake_exchange *x;
    bool any = false;
    (void)user;
    fake.reporting = true;
    for (x = fake.open; x; x = x->next) any = fake_report(x, false) || any;
    fake.reporting = false;
    if (!any && timeout_ms > 0) fake_wait(timeout_ms);
    return CWS_OK;
}

static void fake_close(void *user)
{
    (void)user;
    fake.closed++;
    if (fake.open) abort();
}

static int64_t fake_clock(void *user) { return (void)user, fake.now; }

static void fake_random_hook(void *user, void *out, size_t size)
{
    uint64_t bits = fake_random();
    (void)user;
    memcpy(out, &bits, size < sizeof(bits) ? size : sizeof(bits));
}

static size_t most_live; /* of the library, by the allocator's own count */

static void *measured_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    void *result = test_resize(user, block, old_size, new_size);
    if (test_alloc_live_bytes() > most_live) most_live = test_alloc_live_bytes();
    return result;
}

static void on_log(cws_log_level level, const char *line, void *user)
{
    (void)user;
    CHECK(level >= CWS_LOG_ERROR && level <= CWS_LOG_TRACE && line[0] && !strchr(line, '\n'));
}

static void on_trace(const cws_trace_event *event, void *user)
{
    (void)user;
    CHECK(event->rpc && event->sandbox_id && !(event->error && event->json));
}

/* ------------------------------------------------------------------------------------------------
 * The main job, once through blocking calls and once through callbacks.
 * --------------------------------------------------------------------------------------------- */

#define BOXES 3

typedef enum form { BLOCKING, POLLED, PERFORM, FORMS } form;
static const char *const form_names[] = {"blocking calls", "callbacks", "a blocking transport"};

typedef struct job {
    form form;
    bool with_err;        /* give a cws_error to each call */
    bool retries;         /* of reads, by the library */
    uint64_t max_memory;  /* 0: the default */
    uint64_t max_message; /* 0: the default */
    const char *point;    /* for messages: what fails, */
    long at;              /* and which one */
    cws_status also;      /* a failure may be this or of its family; 0: only NO_MEMORY */
    int failures;         /* calls that did not come out as without the fault */
    cws_status first;     /* how the first of them failed */
    int callbacks, expected_callbacks;
    cws_session *session;
    cws_sandbox *box[BOXES];
    char id[BOXES][64];
    cws_status close_status;
    int active;   /* lanes under way */
    bool touched; /* an allocation failed, or an exchange was spoilt */
} job;

static long points; /* runs of a job with something failing at one point */
static int complaints;

static bool complain(const job *j, const char *what, const char *problem, cws_status status)
{
    test_g.bad = true;
    if (++complaints <= 25)
        printf("%s, %s %ld: %s: %s (%s)\n", form_names[j->form], j->point, j->at, what, problem,
               cws_status_name(status));
    return false;
}

/* May a call fail like this here? */
static bool explained(const job *j, cws_status status)
{
    if (j->also && cws_status_is(status, j->also)) return true;
    return !j->also && status == CWS_ERR_NO_MEMORY;
}

/* Judge one call: true if it came out as it does when nothing fails. */
static bool came_out(job *j, const char *what, cws_status got, cws_status wanted,
                     const cws_error *err)
{
    if (err && err->status != got) complain(j, what, "the error has another status", err->status);
    if (err && got && !err->message[0]) complain(j, what, "no message", got);
    if (err && got && !cwsi_utf8_valid(err->message, strlen(err->message)))
        complain(j, what, "a message that is not UTF-8", got);
    if (got == wanted) return true;
    if (j->failures++ == 0) j->first = got;
    if (!explained(j, got)) {
        complain(j, what, "an outcome that the fault does not explain", got);
        if (err && complaints <= 25) printf("    %s\n", err->message);
    }
    return false;
}

static void expect(const job *j, bool good, const char *what)
{
    if (!good) complain(j, what, "does not hold", CWS_OK);
}

static cws_client_opts job_client_opts(const job *j, cws_transport *t, cws_allocator *a)
{
    cws_client_opts o = {0};
    memset(t, 0, sizeof(*t));
    if (j->form == PERFORM) {
        t->perform = fake_perform;
    } else {
        t->open = fake_open, t->send = fake_send, t->window = fake_window;
        t->cancel = fake_cancel, t->poll = fake_poll;
        t->full_duplex = true;
    }
    t->close = fake_close;
    a->resize = measured_resize, a->user = NULL;
    o.transport = t;
    o.allocator = a;
    o.no_environment = true;
    o.api_key = "key-1";
    o.user_agent_suffix = "torture/1";
    o.max_memory_bytes = j->max_memory;
    o.max_message_bytes = j->max_message;
    o.monotonic_ms = fake_clock, o.unix_ms = fake_clock, o.random = fake_random_hook;
    o.log = on_log;
    o.trace = on_trace;
    if (!j->retries) o.poll_retry_budget_seconds = CWS_NONE;
    return o;
}

/* A session with defaults of every kind, and three sandboxes. */
static bool job_open(job *j)
{
    static const char *const tags[] = {"job", "torture", NULL};
    static const char *const none[] = {NULL};
    static const cws_pair env[] = {{"A", "1"}, {"B", "2"}, {NULL, NULL}};
    static const cws_pair more_env[] = {{"B", "3"}, {"C", ""}, {NULL, NULL}};
    static const cws_pair notes[] = {{"owner", "me"}, {NULL, NULL}};
    static const cws_secret secret = {"local", "TOKEN", "field", "MY_TOKEN"};
    static const cws_secret second = {"local", "OTHER", NULL, NULL};
    static const cws_mounted_file file = {"/etc/thing", "content", 7};
    cws_resources flat = {0}, sides = {0};
    cws_client_opts client;
    cws_session_opts opts = {0};
    cws_sandbox_opts defaults = {0}, more = {0};
    cws_transport t;
    cws_allocator a;
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_status status;
    int i;
    client = job_client_opts(j, &t, &a);
    flat.cpu = "500m", flat.memory = "512Mi";
    sides.request_cpu = "1", sides.limit_cpu = "2", sides.gpu_count = 1, sides.gpu_type = "H100";
    defaults.tags = tags, defaults.environment_variables = env, defaults.annotations = notes;
    defaults.secrets = &secret, defaults.secret_count = 1, defaults.resources = &flat;
    defaults.max_lifetime_seconds = 300;
    defaults.request_timeout_seconds = 60;
    opts.client_opts = &client;
    opts.defaults = &defaults;
    j->session = (cws_session *)&j->session; /* must be overwritten */
    status = cws_session_open(&opts, &j->session, err);
    if (!came_out(j, "cws_session_open", status, CWS_OK, err)) {
        expect(j, j->session == NULL, "session is NULL after a failure");
        return false;
    }
    more.environment_variables = more_env, more.secrets = &second, more.secret_count = 1;
    more.resources = &sides, more.args = none, more.command = "/bin/sleep";
    more.mounted_files = &file, more.mounted_file_count = 1;
    for (i = 0; i < BOXES; i++) {
        j->box[i] = (cws_sandbox *)&j->session;
        status = cws_session_sandbox(j->session, i == 1 ? &more : NULL, &j->box[i], err);
        if (!came_out(j, "cws_session_sandbox", status, CWS_OK, err))
            expect(j, j->box[i] == NULL, "sandbox is NULL after a failure");
    }
    return true;
}

/* A command by a blocking call. */
static void job_exec(job *j, cws_sandbox *box, const char *const *argv, const cws_exec_opts *o,
                     cws_status wanted, const char *output)
{
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_result *result = (cws_result *)&error;
    cws_status status = cws_exec(box, argv, o, &result, err);
    came_out(j, "cws_exec", status, wanted, err);
    expect(j, !result == !!status, "a result exactly after success");
    if (!status) {
        expect(j, result && cws_result_has_exit_code(result), "a result with an exit code");
        expect(j, result && !strcmp(cws_result_stdout(result, NULL), output), "its output");
        expect(j, result && !strcmp(cws_result_stderr(result, NULL), "warning"), "its stderr");
    }
    cws_result_free(result);
}

static void job_files(job *j, cws_sandbox *box)
{
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_bytes *bytes = (cws_bytes *)&error;
    cws_status status = cws_write_file(box, "/tmp/note", "small steps", 11, NULL, err);
    bool written = came_out(j, "cws_write_file", status, CWS_OK, err);
    status = cws_read_file(box, "/tmp/note", NULL, &bytes, err);
    if (!came_out(j, "cws_read_file", status, CWS_OK, err))
        expect(j, bytes == NULL, "bytes is NULL after a failure");
    else if (written)
        expect(j, cws_bytes_size(bytes) == 11 && !strcmp((const char *)cws_bytes_data(bytes, NULL),
                                                         "small steps"), "the file's content");
    cws_bytes_free(bytes);
    status = cws_read_file(box, "/none", NULL, &bytes, err);
    if (came_out(j, "cws_read_file of none", status, CWS_ERR_FILE, err) && err)
        expect(j, !strcmp(err->reason, "CWSANDBOX_FILE_NOT_FOUND") &&
                      !strcmp(err->filepath, "/none") && cws_error_metadata(err, "filepath"),
               "all that the service said of the missing file");
    expect(j, bytes == NULL, "bytes is NULL after a failure");
}

static void job_find(job *j, const char *id)
{
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_sandbox_list *list = (cws_sandbox_list *)&error;
    cws_sandbox *found = (cws_sandbox *)&error, *taken;
    cws_status status = cws_session_list(j->session, NULL, &list, err);
    if (!came_out(j, "cws_session_list", status, CWS_OK, err))
        expect(j, list == NULL, "list is NULL after a failure");
    else expect(j, cws_sandbox_list_count(list) == fake_running(), "the list is whole");
    taken = cws_sandbox_list_take(list, 0);
    cws_sandbox_list_free(list);
    cws_sandbox_free(taken);
    if (!id[0]) return;
    status = cws_session_from_id(j->session, id, false, &found, err);
    if (!came_out(j, "cws_session_from_id", status, CWS_OK, err))
        expect(j, found == NULL, "sandbox is NULL after a failure");
    cws_sandbox_free(found);
}

static const char *const hello[] = {"echo", "hello", NULL};
static const char *const falsity[] = {"false", NULL};
static const char *const broken[] = {"broken", NULL};
static const char *const wrapped = "/bin/sh -c cd /tmp && exec echo hello";

static void job_blocking(job *j)
{
    static const cws_pair env[] = {{"LANG", "C"}, {NULL, NULL}};
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_exec_opts in_tmp = {0}, unary = {0}, check = {0};
    cws_stop_opts stop = {0};
    cws_complete_opts complete = {0};
    cws_process *process[2] = {NULL, NULL};
    cws_op *ops[2];
    cws_status status;
    cws_sandbox **box = j->box;
    size_t n = 0, i;
    in_tmp.cwd = "/tmp", in_tmp.env = env;
    unary.unary = true;
    check.check = true;
    if (box[0]) {
        came_out(j, "cws_sandbox_start", cws_sandbox_start(box[0], err), CWS_OK, err);
        came_out(j, "cws_sandbox_wait", cws_sandbox_wait(box[0], 0, err), CWS_OK, err);
        if (cws_sandbox_id(box[0])[0])
            came_out(j, "cws_sandbox_get_status", cws_sandbox_get_status(box[0], NULL, err),
                     CWS_OK, err);
        job_exec(j, box[0], hello, &in_tmp, CWS_OK, wrapped);
        job_exec(j, box[0], falsity, &check, CWS_ERR_EXECUTION, NULL);
        job_exec(j, box[0], broken, NULL, CWS_ERR_COMMAND_TIMEOUT, NULL);
        job_exec(j, box[0], broken, &unary, CWS_ERR_COMMAND_TIMEOUT, NULL);
        job_files(j, box[0]);
    }
    if (box[1]) job_exec(j, box[1], hello, &unary, CWS_OK, "echo hello");
    for (i = 0; i < 2; i++) { /* two at once */
        cws_sandbox *where = box[i + 1];
        process[n] = (cws_process *)&error;
        if (!where) continue;
        status = cws_exec_begin(where, hello, NULL, &process[n], err);
        if (!came_out(j, "cws_exec_begin", status, CWS_OK, err))
            expect(j, process[n] == NULL, "process is NULL after a failure");
        else ops[n] = cws_process_op(process[n]), n++;
    }
    if (n) came_out(j, "cws_wait_many", cws_wait_many(ops, n, CWS_ALL, -1, NULL, NULL, err),
                    CWS_OK, err);
    for (i = 0; i < n; i++) {
        status = cws_process_wait(process[i], 0, NULL, err);
        came_out(j, "cws_process_wait", status, CWS_OK, err);
        cws_process_free(process[i]);
    }
    job_find(j, box[1] ? cws_sandbox_id(box[1]) : "");
    if (box[0]) {
        stop.graceful_shutdown_seconds = 1;
        status = cws_sandbox_stop(box[0], &stop, err);
        complete.allow_termination = true;
        if (came_out(j, "cws_sandbox_stop", status, CWS_OK, err) && cws_sandbox_id(box[0])[0])
            came_out(j, "cws_sandbox_wait_until_complete",
                     cws_sandbox_wait_until_complete(box[0], &complete, err), CWS_OK, err);
    }
    j->close_status = cws_session_close(j->session, err);
}

/* ---- the same with callbacks: three lanes, one for each sandbox, that begin their next step when
 * the last one has ended */

typedef enum step {
    LANE_END, START, WAIT, STATUS, EXEC, UNARY, WRITE, READ, READ_NONE, LIST, FROM_ID, STOP
} step;

typedef struct lane {
    job *j;
    cws_sandbox *box;
    const step *next;
    step now;
    cws_op *op, *last;
    cws_process *process, *last_process;
} lane;

static void lane_go_on(lane *l);

static void lane_done(cws_op *op, void *user)
{
    lane *l = (lane *)user;
    job *j = l->j;
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_status status = cws_op_result(op, err);
    cws_bytes *bytes = cws_op_take_bytes(op);
    cws_sandbox_list *list = cws_op_take_list(op);
    cws_sandbox *found = cws_op_take_sandbox(op);
    j->callbacks++;
    expect(j, cws_op_done(op), "an operation has ended when its callback is called");
    expect(j, (l->process ? cws_process_op(l->process) : l->op) == op, "the callback's operation");
    came_out(j, "an operation", status, l->now == READ_NONE ? CWS_ERR_FILE : CWS_OK, err);
    expect(j, !bytes == !(l->now == READ && !status), "bytes exactly after a read");
    expect(j, !list == !(l->now == LIST && !status), "a list exactly after listing");
    expect(j, !found == !(l->now == FROM_ID && !status), "a sandbox exactly after from_id");
    expect(j, cws_client_poll(cws_session_client(j->session), 0, err) == CWS_ERR_REENTRANT,
           "no poll inside a callback");
    if (l->process && !status) {
        cws_result *result = cws_process_take_result(l->process);
        expect(j, result && !strcmp(cws_result_stdout(result, NULL), "echo hello"), "its output");
        cws_result_free(result);
    }
    cws_bytes_free(bytes);
    cws_sandbox_list_free(list);
    cws_sandbox_free(found);
    lane_go_on(l);
}

static cws_status lane_begin(lane *l, cws_error *err)
{
    cws_exec_opts exec = {0};
    cws_list_opts adopt = {0};
    adopt.adopt = true;
    exec.unary = l->now == UNARY;
    switch (l->now) {
    case START: return cws_sandbox_start_begin(l->box, &l->op, err);
    case WAIT: return cws_sandbox_wait_begin(l->box, 20, &l->op, err);
    case STATUS: return cws_sandbox_get_status_begin(l->box, &l->op, err);
    case EXEC:
    case UNARY: return cws_exec_begin(l->box, hello, &exec, &l->process, err);
    case WRITE: return cws_write_file_begin(l->box, "/tmp/note", "steps", 5, NULL, &l->op, err);
    case READ: return cws_read_file_begin(l->box, "/tmp/note", NULL, &l->op, err);
    case READ_NONE: return cws_read_file_begin(l->box, "/none", NULL, &l->op, err);
    case LIST: return cws_session_list_begin(l->j->session, &adopt, &l->op, err);
    case FROM_ID:
        return cws_session_from_id_begin(l->j->session, cws_sandbox_id(l->box), true, &l->op, err);
    case STOP: return cws_sandbox_stop_begin(l->box, NULL, &l->op, err);
    case LANE_END: break;
    }
    return CWS_ERR_UNSUPPORTED;
}

static void lane_go_on(lane *l)
{
    job *j = l->j;
    cws_error error, *err = j->with_err ? &error : NULL;
    for (;;) {
        cws_status status;
        cws_op_free(l->last);
        cws_process_free(l->last_process);
        l->last = l->op, l->op = NULL; /* its callback may be running: freed after the next one */
        l->last_process = l->process, l->process = NULL;
        l->now = *l->next;
        if (l->now == LANE_END) break;
        l->next++;
        if ((l->now == STATUS || l->now == FROM_ID) && !cws_sandbox_id(l->box)[0]) continue;
        status = lane_begin(l, err);
        if (came_out(j, "a begin", status, CWS_OK, err)) {
            j->expected_callbacks++;
            cws_op_on_done(l->process ? cws_process_op(l->process) : l->op, lane_done, l);
            return;
        }
        expect(j, !l->op && !l->process, "the operation is NULL after a failure");
    }
    j->active--;
}

static void close_done(cws_op *op, void *user)
{
    job *j = (job *)user;
    j->callbacks++;
    j->close_status = cws_op_result(op, NULL);
    j->active--;
}

static void job_polled(job *j)
{
    static const step plans[BOXES][10] = {
        {START, WAIT, STATUS, EXEC, WRITE, READ, READ_NONE, STOP, LANE_END, LANE_END},
        {UNARY, LIST, EXEC, FROM_ID, LANE_END},
        {WAIT, EXEC, LIST, STOP, LANE_END}};
    lane lanes[BOXES];
    cws_client *client = cws_session_client(j->session);
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_op *op = NULL;
    int i;
    memset(lanes, 0, sizeof(lanes));
    for (i = 0; i < BOXES; i++) {
        if (!j->box[i]) continue;
        lanes[i].j = j, lanes[i].box = j->box[i], lanes[i].next = plans[i];
        j->active++;
        lane_go_on(&lanes[i]);
    }
    while (j->active) expect(j, cws_client_poll(client, 1000, err) == CWS_OK, "a poll goes well");
    for (i = 0; i < BOXES; i++) {
        cws_op_free(lanes[i].last);
        cws_process_free(lanes[i].last_process);
    }
    op = (cws_op *)&op;
    j->close_status = cws_session_close_begin(j->session, &op, err);
    if (j->close_status) {
        expect(j, op == NULL, "op is NULL after a failure");
    } else {
        j->active = 1;
        j->expected_callbacks++;
        cws_op_on_done(op, close_done, j);
        while (j->active)
            expect(j, cws_client_poll(client, -1, err) == CWS_OK, "a poll goes well");
    }
    cws_op_free(op);
    expect(j, j->callbacks == j->expected_callbacks, "each callback is called once");
}

/* ------------------------------------------------------------------------------------------------
 * One run of the job, and the accounts after it.
 * --------------------------------------------------------------------------------------------- */

/* Does the last close name this sandbox of the service? */
static bool is_named(const cws_session *session, const fake_box *box)
{
    const cws_sandbox *sandbox;
    const cws_error *why;
    size_t i;
    for (i = 0; cws_session_failed(session, i, &sandbox, &why); i++)
        if (why->status && why->message[0] &&
            (!strcmp(sandbox->id, box->id) || !strcmp(sandbox->request_id, box->request_id)))
            return true;
    return false;
}

/* From now on nothing fails. */
static void heal(job *j)
{
    j->touched = j->touched || test_alloc_failed() ||
                 (fake.wrong_at >= 0 && fake.exchanges > fake.wrong_at);
    test_alloc_fail_at(-1, false);
    fake.wrong_at = -1;
}

/* Nothing is lost: what runs is named, and a second close, with nothing failing, stops it. */
static void job_account(job *j)
{
    const cws_error *why;
    cws_error error;
    cws_status status = j->close_status;
    size_t i;
    heal(j);
    if (status == CWS_ERR_SANDBOX) { /* of its sandboxes some failed: the fault says why */
        if (j->failures++ == 0) j->first = status;
        expect(j, cws_session_failed(j->session, 0, NULL, NULL), "a failed close names sandboxes");
        for (i = 0; cws_session_failed(j->session, i, NULL, &why); i++)
            if (!explained(j, why->status))
                complain(j, "cws_session_failed", why->message, why->status);
        for (i = 0; i < fake.box_count; i++)
            expect(j, fake.boxes[i].ended || is_named(j->session, &fake.boxes[i]),
                   "what still runs is named by the close");
    } else {
        came_out(j, "cws_session_close", status, CWS_OK, NULL);
        expect(j, status || fake_running() == 0, "a close that succeeded left nothing running");
    }
    if (status) {
        status = cws_session_close(j->session, &error);
        if (status) complain(j, "the second close", error.message, status);
        expect(j, fake_running() == 0, "the second close left nothing running");
    }
    expect(j, cws_session_sandbox_count(j->session) == 0, "nothing is tracked after the close");
    expect(j, cws_client_pending(cws_session_client(j->session)) == 0, "nothing is in flight");
}

/* The job, whole. The caller has set what goes wrong. */
static void job_run(job *j)
{
    int i;
    bool opened = job_open(j);
    points++;
    if (opened) {
        if (j->form == POLLED) job_polled(j);
        else job_blocking(j);
        job_account(j);
    }
    heal(j);
    for (i = 0; i < BOXES; i++) {
        if (!opened) break;
        if (i == 1) cws_session_free(j->session); /* with its client, before two sandboxes */
        cws_sandbox_free(j->box[i]);
    }
    expect(j, fake.opened == fake.cancelled, "every exchange was cancelled or released once");
    expect(j, !opened || fake.closed == 1, "the transport was closed once");
    expect(j, test_alloc_live() == 0, "no leak");
    test_g.live = test_g.live_bytes = 0; /* report a leak once */
}

static job job_of(form f, const char *point, long at)
{
    job j;
    memset(&j, 0, sizeof(j));
    j.form = f, j.point = point, j.at = at;
    j.with_err = true;
    fake_reset();
    return j;
}

static void test_undisturbed(void)
{
    int f;
    size_t chunk;
    for (f = 0; f < FORMS; f++)
        TEST("the main job succeeds when nothing fails, however its bytes are cut") {
            for (chunk = 0; chunk < 4; chunk++) {
                job j = job_of((form)f, "nothing", (long)chunk);
                fake.chunk = chunk;
                j.with_err = chunk != 1;
                job_run(&j);
                CHECK_INT(j.failures, 0);
            }
        }
}

/* Fail allocation 0, 1, 2, ... until the job is not touched any more. */
static void each_allocation(form f, bool persistent, bool with_err)
{
    long n, failed = 0;
    bool touched = true;
    for (n = 0; touched; n++) {
        job j = job_of(f, persistent ? "every allocation from" : "allocation", n);
        j.with_err = with_err;
        j.retries = n % 2 == 0;
        test_alloc_fail_at(n, persistent);
        job_run(&j);
        touched = j.touched;
        failed += j.failures > 0;
    }
    printf("%s, %s: %ld allocations, %ld made a call fail\n", form_names[f],
           persistent ? "from each on" : "each once", n - 1, failed);
    CHECK(n > 300 && failed > n / 4);
}

int main(int argc, char **argv)
{
    int f;
    test_init(argc, argv);
    test_undisturbed();
    for (f = 0; f < FORMS; f++) {
        TEST("each allocation fails once: right errors, no leak, nothing is left running")
            each_allocation((form)f, false, true);
        TEST("every allocation fails from each on: right errors, no leak, nothing left running")
            each_allocation((form)f, true, true);
        TEST("the same without a cws_error to fill") each_allocation((form)f, f == 1, false);
    }
    printf("%ld points tested\n", points);
    return test_summary();
}
