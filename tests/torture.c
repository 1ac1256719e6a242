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
#include "hostile.h"

/* ------------------------------------------------------------------------------------------------
 * The service and its transport, both tiers.
 * --------------------------------------------------------------------------------------------- */

/* X(name, unary, stream): how an exchange goes wrong, and how a unary call and a command's stream
 * then fail when nothing is tried again. TIMEOUT stands for its family. */
#define FAULTS(X)                                                                                  \
    X(NONE, OK, OK)                                                                                \
    X(REFUSE, ERR_NO_MEMORY, ERR_NO_MEMORY) /* open fails, or perform ends so */                   \
    X(NOT_SENT, ERR_TRANSPORT, ERR_TRANSPORT)                                                      \
    X(TLS, ERR_TRANSPORT, ERR_TRANSPORT)                                                           \
    X(REFUSED, ERR_TRANSPORT, ERR_TRANSPORT)                                                       \
    X(LOST_REQUEST, ERR_TRANSPORT, ERR_TRANSPORT) /* the service never saw it */                   \
    X(LOST_REPLY, ERR_TRANSPORT, ERR_TRANSPORT)   /* it did; no head comes back */                 \
    X(LOST_BODY, ERR_TRANSPORT, ERR_TRANSPORT)    /* only the head comes back */                   \
    X(CUT, ERR_TRANSPORT, ERR_PROTOCOL)     /* wrong_byte bytes of the body, then a clean end */   \
    X(CUT_UNKNOWN, ERR_PROTOCOL, ERR_PROTOCOL) /* the same without a content-length */             \
    X(CUT_LOST, ERR_TRANSPORT, ERR_TRANSPORT)  /* the same, but the connection is lost */          \
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

#define BIG_MOST 100 /* bytes of a file in one message, when its path is /big */

#define MAX_BOXES 3000
#define MAX_GROUPS 1000

typedef struct fake_box {
    char id[24], request_id[40], tag[16];
    bool ended;
    int looks, group; /* group: of the session that must stop it; chaos only */
} fake_box;

typedef struct fake_exchange {
    struct fake_exchange *next;
    void *user; /* of the transport: one for each client */
    cws_exchange *ex;
    fault wrong;
    bool stream, silent, headless, ended, told_to_stop;
    bool more, talking; /* its request goes on; it waits for the end of that */
    bool late;          /* its reply is cut when that is whole */
    bool writes, atomic; /* a command that writes a file; `size` bytes, if that is told */
    bool sized;
    uint64_t size;
    bool full;          /* it did not take all that was sent */
    cwsi_buf in;        /* what was sent */
    int status, stage;
    const char *type;
    char length[24];
    cwsi_buf body;
    cwsi_arena arena; /* gRPC: of the outcome */
    cws_header outcome[GRPC_FIELDS];
    size_t outcome_count;
    bool told_outcome;
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
    size_t clients;
    bool reporting, held; /* held: commands do not end */
    bool grpc;
    size_t chunk;         /* bytes per poll; 0: all at once */
    fault wrong;
    long wrong_at; /* the exchange that goes wrong; -1: none */
    bool wrong_stream, wrong_unsafe; /* what that one was: a stream; nothing to be repeated */
    int wrong_status;                /* the HTTP status it should have had */
    bool wrong_told;                 /* gRPC: its head told the outcome, and nothing else came */
    size_t wrong_byte, wrong_size, flooded, commands;
    char big[1024], beside[1024]; /* a file that is too large for one message; one beside it */
    size_t big_size, beside_size;
    uint32_t width, height;        /* of the terminal */
    bool wrong_write;              /* what went wrong was a command that writes a file */
    bool wrong_forgiven;           /* or something that is made up for */
    long first_stream, first_list; /* exchanges that carry these, and the size of the reply */
    size_t stream_size, list_size;
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
    cwsi_map_StrStr entry[3];
    cwsi_buf packed;
    char size[24], most[24];
    memset(entry, 0, sizeof(entry));
    cwsi_buf_init(&packed, &fake.mem, 4096);
    (void)snprintf(size, sizeof(size), "%lu", (unsigned long)fake.big_size);
    (void)snprintf(most, sizeof(most), "%d", BIG_MOST);
    entry[0].key = cwsi_str_of("filepath");
    entry[0].value = cwsi_str_of("/tmp/\"none\"");
    entry[1].key = cwsi_str_of("size_bytes"), entry[1].value = cwsi_str_of(size);
    entry[2].key = cwsi_str_of("max_size_bytes"), entry[2].value = cwsi_str_of(most);
    info.reason = cwsi_str_of(reason);
    info.domain = cwsi_str_of("cwsandbox.com");
    info.metadata.at = entry;
    info.metadata.len = strcmp(reason, "CWSANDBOX_FILE_TOO_LARGE") ? 1 : 3;
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

static void fake_end_of_stream(fake_exchange *x)
{
    char head[CWSI_ENVELOPE];
    cwsi_envelope_head(head, CWSI_FLAG_END, 2);
    cwsi_put(&x->body, head, sizeof(head));
    cwsi_put_text(&x->body, "{}");
}

static void fake_output(fake_exchange *x, const char *data, size_t size)
{
    cwsi_v1_ExecStreamResponse event = {0};
    cwsi_v1_ExecStreamOutput output = {0};
    output.stream = CWSI_v1_STREAM_STDOUT;
    output.data.at = data, output.data.len = size;
    event.output = &output;
    fake_event(x, &event);
}

static void fake_exit(fake_exchange *x, int code)
{
    cwsi_v1_ExecStreamResponse event = {0};
    cwsi_v1_ExecStreamExit end = {0};
    end.exit_code = code;
    event.exit = &end;
    fake_event(x, &event);
    if (!fake.grpc || !x->talking) { /* else it is translated with the rest */
        fake_end_of_stream(x);
    } else {
        x->outcome[0].name = "grpc-status", x->outcome[0].value = "0";
        x->outcome_count = 1;
    }
}

/* A file beside takes the place of the file, if all of it is there. */
static int fake_commit(uint64_t size)
{
    if (fake.beside_size != size) return 1;
    memcpy(fake.big, fake.beside, fake.beside_size);
    fake.big_size = fake.beside_size;
    return 0;
}

/* The commands that move a file. False: it is none of them. */
static bool fake_bridge(fake_exchange *x, cwsi_list command)
{
    const cwsi_str *words = (const cwsi_str *)command.at;
    char text[24];
    size_t third = fake.big_size / 3;
    if (command.len < 5 || !cwsi_str_is(words[4], "/big")) return false;
    if (cwsi_str_is(words[3], "cwsandbox-stat")) {
        (void)snprintf(text, sizeof(text), "%lu\n", (unsigned long)fake.big_size);
        fake_output(x, text, strlen(text));
        fake_exit(x, 0);
    } else if (cwsi_str_is(words[3], "cwsandbox-read-file")) {
        fake_output(x, fake.big, third);
        fake_output(x, fake.big + third, third);
        fake_output(x, fake.big + 2 * third, fake.big_size - 2 * third);
        fake_exit(x, 0);
    } else if (cwsi_str_is(words[3], "cwsandbox-write-file")) {
        x->writes = true, x->atomic = words[6].len > 0;
        x->sized = cwsi_parse_u64(words[5].at, words[5].len, &x->size);
        if (command.len > 7) fake_exit(x, fake_commit(x->size));
        return command.len > 7;
    }
    return true;
}

/* All bytes of a file have come. */
static int fake_write(fake_exchange *x, const char *data, size_t size)
{
    if (size > sizeof(fake.big)) abort();
    memcpy(x->atomic ? fake.beside : fake.big, data, size);
    if (x->atomic) fake.beside_size = size;
    else fake.big_size = size;
    return !x->sized ? 0 : x->atomic ? fake_commit(x->size) : size != x->size;
}

static const char fake_log[] = "one\ntwo three\n\nfour, five\nsix\nlast";

static void fake_log_piece(fake_exchange *x, size_t from, size_t to, cwsi_v1_LogStreamError *error)
{
    cwsi_v1_LogEntry m = {0};
    m.data.at = fake_log + from, m.data.len = to - from;
    m.log_session_id = cwsi_str_of("log-1");
    m.next_log_offset = to;
    m.error = error;
    (void)cwsi_put_envelope(&x->body, CWSI_M_v1_LogEntry, &m);
}

/* The first connection of those that follow ends within a line; the next one repeats some. */
static void fake_logs(fake_exchange *x, const cwsi_v1_StreamLogsRequest *m)
{
    cwsi_v1_LogStreamError error = {0};
    size_t all = sizeof(fake_log) - 1, from = (size_t)m->resume_log_offset;
    error.code = cwsi_str_of("STREAM_INTERRUPTED"), error.message = cwsi_str_of("once more");
    if (m->follow && !m->resume_log_session_id.len) {
        fake_log_piece(x, 0, 6, NULL);
        fake_log_piece(x, 6, 9, &error);
    } else {
        if (from > all || (m->resume_log_session_id.len && from == 0)) abort();
        from = from < 3 ? 0 : from - 3;
        fake_log_piece(x, from, from + (all - from) / 2, NULL);
        fake_log_piece(x, from + (all - from) / 2, all, NULL);
    }
    fake_end_of_stream(x);
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
    fake.commands++;
    if (fake_bridge(x, command)) return;
    if (x->more) { /* the rest follows when the input has ended */
        x->talking = true;
        event.ready = &ready;
        fake_event(x, &event);
        return;
    }
    cwsi_buf_init(&text, &fake.mem, 1u << 20);
    for (i = 0; i < command.len; i++) {
        if (i) cwsi_put_char(&text, ' ');
        cwsi_put(&text, words[i].at, words[i].len);
    }
    reply.stdout_.at = text.at, reply.stdout_.len = text.len;
    reply.stderr_ = cwsi_str_of("warning");
    reply.exit_code = end.exit_code = cwsi_str_is(words[0], "false");
    if (cwsi_str_is(words[0], "broken")) {
        fake_error(x, 400, "failed_precondition", "CWSANDBOX_FSS_NOT_READY");
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

/* The input has ended: print it or write it, and exit. */
static void fake_echo(fake_exchange *x)
{
    cwsi_arena arena;
    cwsi_buf file;
    cwsi_str body;
    unsigned flags;
    size_t at = 0;
    bool closed = false;
    cwsi_buf_init(&file, &fake.mem, 1u << 24);
    cwsi_arena_init(&arena, &fake.mem);
    for (; at + CWSI_ENVELOPE <= x->in.len; at += CWSI_ENVELOPE + body.len) {
        void *msg = NULL;
        const cwsi_v1_ExecStreamRequest *m;
        body.at = x->in.at + at + CWSI_ENVELOPE;
        body.len = cwsi_envelope_read(x->in.at + at, &flags);
        if (flags || closed || cwsi_decode(&arena, CWSI_M_v1_ExecStreamRequest, body, &msg))
            abort();
        m = (const cwsi_v1_ExecStreamRequest *)msg;
        closed = m->close != NULL;
        if (m->resize) fake.width = m->resize->width, fake.height = m->resize->height;
        if (!m->has_stdin_) continue;
        if (x->writes) (void)cwsi_put(&file, m->stdin_.at, m->stdin_.len);
        else fake_output(x, m->stdin_.at, m->stdin_.len);
    }
    if (at != x->in.len || !closed) abort(); /* half a message, or an end without close */
    fake_exit(x, x->writes ? fake_write(x, file.len ? file.at : "", file.len) : 0);
    cwsi_arena_clear(&arena);
    cwsi_buf_free(&file);
    x->talking = false;
    if (!x->late) return;
    fake.wrong_size = x->body.len;
    x->outcome_count = 0; /* it stands behind */
    if (x->body.len > fake.wrong_byte) x->body.len = fake.wrong_byte;
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
    } else if (rpc == CWSI_RPC_v1_SandboxService_StreamLogs) {
        fake_logs(x, (const cwsi_v1_StreamLogsRequest *)msg);
    } else if (rpc == CWSI_RPC_v1_SandboxService_StreamExec) {
        const cwsi_v1_ExecStreamInit *init = ((const cwsi_v1_ExecStreamRequest *)msg)->init;
        if (init->tty) fake.width = init->tty_width, fake.height = init->tty_height;
        fake_exec(x, ((const cwsi_v1_ExecStreamRequest *)msg)->init->command);
    } else if (rpc == CWSI_RPC_v1_SandboxService_WriteFile) {
        const cwsi_v1_WriteFileRequest *m = (const cwsi_v1_WriteFileRequest *)msg;
        if (cwsi_str_is(m->path, "/big") && m->content.len > BIG_MOST) {
            fake_error(x, 400, "failed_precondition", "CWSANDBOX_FILE_TOO_LARGE");
            return;
        }
        fake.file_size = m->content.len < sizeof(fake.file) ? m->content.len : sizeof(fake.file);
        memcpy(fake.file, m->content.at, fake.file_size);
    } else {
        const cwsi_v1_ReadFileRequest *m = (const cwsi_v1_ReadFileRequest *)msg;
        cwsi_v1_ReadFileResponse reply = {0};
        reply.content.at = fake.file, reply.content.len = fake.file_size;
        if (cwsi_str_is(m->path, "/none"))
            fake_error(x, 404, "not_found", "CWSANDBOX_FILE_NOT_FOUND");
        else if (cwsi_str_is(m->path, "/big") && fake.big_size > BIG_MOST)
            fake_error(x, 400, "failed_precondition", "CWSANDBOX_FILE_TOO_LARGE");
        else (void)cwsi_encode(&x->body, CWSI_M_v1_ReadFileResponse, &reply);
    }
}

/* The service carries out the request, and the reply stands in x. */
static void fake_serve(fake_exchange *x, int rpc, cwsi_str body)
{
    cwsi_arena arena;
    void *msg = NULL;
    cwsi_arena_init(&arena, &fake.mem);
    if (x->stream || fake.grpc) body.at += CWSI_ENVELOPE, body.len -= CWSI_ENVELOPE;
    if (cwsi_decode(&arena, cwsi_rpc_at((cwsi_rpc_id)rpc)->request, body, &msg)) {
        fake_error(x, 400, "invalid_argument", "");
    } else if (rpc == CWSI_RPC_v1_SandboxService_CreateSandbox) {
        fake_create(x, (const cwsi_v1_CreateSandboxRequest *)msg);
    } else if (rpc == CWSI_RPC_v1_SandboxService_ListSandboxes) {
        fake_list(x, (const cwsi_v1_ListSandboxesRequest *)msg);
    } else { /* the sandbox id is the first field of all others */
        cwsi_str id = rpc == CWSI_RPC_v1_SandboxService_StreamExec
                          ? ((const cwsi_v1_ExecStreamRequest *)msg)->init->sandbox_id
                          : ((const cwsi_v1_GetSandboxRequest *)msg)->sandbox_id;
        fake_about(x, rpc, msg, fake_find(id, false));
    }
    cwsi_arena_clear(&arena);
    if (x->status != 200 && x->stream) x->body.len = 0; /* not looked at */
}

/* The finished reply, as gRPC has it. Every other failure is told in the head alone. */
static void fake_to_grpc(fake_exchange *x)
{
    grpc_reply g;
    memset(&g, 0, sizeof(g));
    g.arena = &x->arena;
    g.status = x->status;
    g.type = x->type;
    g.body.at = cwsi_arena_copy(&x->arena, x->body.len ? x->body.at : "", x->body.len);
    g.body.len = x->body.len;
    grpc_translate(&g);
    x->status = g.status;
    x->type = g.type;
    x->body.len = 0;
    cwsi_put(&x->body, g.body.at, g.body.len);
    memcpy(x->outcome, g.fields, sizeof(g.fields));
    x->outcome_count = g.count;
    x->told_outcome = x->body.len == 0 && g.count > 1 && fake.exchanges % 2;
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
             : f == FAULT_CUT_LOST                            ? CWS_END_LOST
             : f >= FAULT_RESET && f <= FAULT_RESET_SECURITY  ? CWS_END_RESET
             : f == FAULT_PATIENCE                            ? CWS_END_TIMEOUT
             : f == FAULT_NO_HTTP                             ? CWS_END_PROTOCOL
                                                              : CWS_END_OK;
    x->note = f == FAULT_RESET ? 2 : f == FAULT_RESET_CANCEL ? 8 : f == FAULT_RESET_CALM ? 11
              : f == FAULT_RESET_SECURITY                    ? 12 : 0;
    if (f >= FAULT_LOST_BODY && f <= FAULT_CUT_LOST) x->outcome_count = 0; /* it stands behind */
    if (f == FAULT_LOST_BODY || f == FAULT_SILENT_BODY) x->body.len = 0;
    x->late = f >= FAULT_CUT && f <= FAULT_CUT_LOST && x->talking && fake.wrong_byte > x->body.len;
    if (f >= FAULT_CUT && f <= FAULT_CUT_LOST && x->body.len > fake.wrong_byte)
        x->body.len = fake.wrong_byte;
    if (f == FAULT_CUT_UNKNOWN) x->length[0] = '\0';
    if (f < FAULT_GARBAGE || f == FAULT_GZIP) return;
    x->length[0] = '\0';
    x->body.len = x->outcome_count = 0;
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

/* What is it that goes wrong? The service need not have seen it. */
static void fake_note_wrong(int rpc, cwsi_str body)
{
    cwsi_arena arena;
    void *msg = NULL;
    bool exec = rpc == CWSI_RPC_v1_SandboxService_StreamExec;
    if (!exec && rpc != CWSI_RPC_v1_SandboxService_StreamLogs) return;
    body.at += CWSI_ENVELOPE, body.len -= CWSI_ENVELOPE;
    cwsi_arena_init(&arena, &fake.mem);
    if (cwsi_decode(&arena, cwsi_rpc_at((cwsi_rpc_id)rpc)->request, body, &msg)) abort();
    if (exec) {
        cwsi_list c = ((const cwsi_v1_ExecStreamRequest *)msg)->init->command;
        const cwsi_str *words = (const cwsi_str *)c.at;
        fake.wrong_write = c.len > 4 && cwsi_str_is(words[3], "cwsandbox-write-file");
        fake.wrong_forgiven = c.len > 4 && cwsi_str_is(words[3], "cwsandbox-stat");
    } else {
        fake.wrong_forgiven = ((const cwsi_v1_StreamLogsRequest *)msg)->follow;
    }
    cwsi_arena_clear(&arena);
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
    cwsi_buf_init(&x->in, &fake.mem, 1u << 24);
    cwsi_arena_init(&x->arena, &fake.mem);
    x->more = r->more_body;
    x->ex = ex;
    x->status = 200;
    x->stream = rpc == CWSI_RPC_v1_SandboxService_StreamExec ||
                rpc == CWSI_RPC_v1_SandboxService_StreamLogs;
    x->type = x->stream ? "application/connect+proto" : "application/proto";
    if (fake.chaos && below(100) < fake.chaos) x->wrong = (fault)below(FAULT_COUNT);
    if (fake.wrong_at == fake.exchanges) {
        x->wrong = fake.wrong;
        fake.wrong_stream = x->stream;
        fake.wrong_unsafe = x->stream || rpc == CWSI_RPC_v1_SandboxService_Exec ||
                            rpc == CWSI_RPC_v1_SandboxService_WriteFile;
    }
    if (x->wrong == FAULT_NONE || (x->wrong >= FAULT_LOST_REPLY && x->wrong != FAULT_REDIRECT_302 &&
                                   x->wrong != FAULT_UNAUTHENTICATED))
        fake_serve(x, rpc, body);
    if (fake.grpc) fake_to_grpc(x);
    if (fake.wrong_at == fake.exchanges)
        fake.wrong_status = x->status, fake.wrong_size = x->body.len,
        fake.wrong_told = x->told_outcome, fake_note_wrong(rpc, body);
    if (x->stream && !x->more && !fake.first_stream)
        fake.first_stream = fake.exchanges, fake.stream_size = x->body.len;
    if (rpc == CWSI_RPC_v1_SandboxService_ListSandboxes && !fake.first_list)
        fake.first_list = fake.exchanges, fake.list_size = x->body.len;
    fake.exchanges++;
    if (!x->stream && !fake.grpc)
        (void)snprintf(x->length, sizeof(x->length), "%lu", (unsigned long)x->body.len);
    if (x->wrong) fake_spoil(x);
    if (fake.grpc && x->wrong == FAULT_UNAUTHENTICATED) fake_to_grpc(x);
    return x;
}

/* Tell the library some more. True: there was something to tell. */
static bool fake_report(fake_exchange *x, bool perform)
{
    static const char flood[65536] = {0, 0x40}; /* as an envelope: the head of one of 1 GiB */
    cws_header headers[2 + GRPC_FIELDS];
    size_t n = fake.chunk && !perform ? fake.chunk : SIZE_MAX, count;
    if (x->ended || x->told_to_stop) return false;
    if (x->full) {
        x->full = false;
        cws_exchange_writable(x->ex);
        return true;
    }
    if (x->stage == 0 && x->wrong == FAULT_SILENCE) return false;
    if (x->stage++ == 0 && !x->headless) {
        headers[0].name = "Content-Type", headers[0].value = x->type;
        headers[1].name = "X-Request-Id", headers[1].value = "request-1";
        headers[2].name = x->wrong != FAULT_GZIP ? "Content-Length"
                          : fake.grpc            ? "grpc-encoding"
                          : x->stream            ? "Connect-Content-Encoding" : "Content-Encoding";
        headers[2].value = x->wrong == FAULT_GZIP ? "gzip" : x->length;
        count = x->wrong == FAULT_GZIP || x->length[0] ? 3 : 2;
        if (x->told_outcome && count == 2) {
            memcpy(headers + 2, x->outcome, sizeof(x->outcome));
            count += x->outcome_count;
        }
        cws_exchange_head(x->ex, x->status, 2, headers, count);
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
    if (x->silent || (x->stream && (fake.held || x->talking) && (!x->wrong || x->late)))
        return x->stage == 1;
    if (x->outcome_count && !x->told_outcome && !x->headless) {
        x->told_outcome = true;
        cws_exchange_trailers(x->ex, x->outcome, x->outcome_count);
        if (fake.chunk && !perform) return true;
    }
    if (x->end) cws_exchange_note(x->ex, x->note, "it was the fake");
    x->ended = true;
    if (!perform) cws_exchange_end(x->ex, x->end);
    return true;
}

static void fake_forget(fake_exchange *x)
{
    cwsi_buf_free(&x->body);
    cwsi_buf_free(&x->in);
    cwsi_arena_clear(&x->arena);
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
    if (fake.reporting) abort();
    x->user = user;
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
    fake_exchange *x = (fake_exchange *)handle;
    size_t n = fake.chunk && size > 700 ? 700 : size;
    (void)user;
    if (!x->more || fake.reporting) abort();
    cwsi_put(&x->in, data, n);
    x->full = n < size;
    if (fin && n == size && x->talking && (!x->wrong || x->late)) fake_echo(x);
    return n;
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
    fake.reporting = true;
    for (x = fake.open; x; x = x->next)
        if (x->user == user) any = fake_report(x, false) || any;
    fake.reporting = false;
    if (!any && timeout_ms > 0) fake_wait(timeout_ms);
    return CWS_OK;
}

static void fake_close(void *user)
{
    const fake_exchange *x;
    fake.closed++;
    for (x = fake.open; x; x = x->next)
        if (x->user == user) abort();
}

static int64_t fake_clock(void *user) { return (void)user, fake.now; }

static void fake_random_hook(void *out, size_t size, void *user)
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

typedef enum form { BLOCKING, POLLED, GRPC, PERFORM, FORMS } form; /* GRPC: callbacks, too */
static const char *const form_names[] = {"blocking calls", "callbacks", "gRPC",
                                         "a blocking transport"};

typedef struct job {
    form form;
    bool with_err;        /* give a cws_error to each call */
    bool retries;         /* of reads, by the library */
    uint64_t max_memory;  /* 0: the default */
    uint64_t max_message; /* 0: the default */
    const char *point;    /* for messages: what fails, */
    long at;              /* and which one */
    bool tight;           /* a call may also fail for lack of memory */
    bool doubtful;        /* a reply may be short without anybody noticing */
    bool streams;         /* the job of logs, files and a shell instead */
    int failures;         /* calls that did not come out as without the fault */
    cws_status first;     /* how the first of them failed */
    int callbacks, expected_callbacks;
    cws_session *session;
    cws_sandbox *box[BOXES];
    char id[BOXES][64];
    cws_status close_status;
    int active;   /* lanes under way */
    bool touched; /* an allocation failed, or an exchange was spoilt */
    cws_memory_info memory;
} job;

static long points; /* runs of a job with something failing at one point */
static int complaints; /* of one test */

/* A check has failed; true if it is to be printed. */
static bool is_news(void)
{
    if (!test_g.bad) complaints = 0;
    test_g.bad = true;
    return ++complaints <= 12;
}

static bool complain(const job *j, const char *what, const char *problem, cws_status status)
{
    if (is_news())
        printf("%s, %s %ld: %s: %s (%s)\n", form_names[j->form], j->point, j->at, what, problem,
               cws_status_name(status));
    return false;
}

/* How a call fails with this fault. gRPC's unary calls are like streams: they have envelopes. */
static cws_status fake_due(fault wrong, bool stream)
{
    if (fake.grpc && (wrong == FAULT_CUT || wrong == FAULT_CUT_UNKNOWN)) return CWS_ERR_TRANSPORT;
    return stream || fake.grpc ? faults[wrong].stream : faults[wrong].unary;
}

/* May a call fail like this here? */
static bool explained(const job *j, cws_status status)
{
    cws_status due = fake_due(fake.wrong, fake.wrong_stream);
    if (!fake.wrong || j->tight)
        if (status == CWS_ERR_NO_MEMORY) return true;
    if (!fake.wrong) return false;
    if (status == CWS_OK) return j->doubtful;
    if (fake.wrong_status != 200 && fake.wrong >= FAULT_CUT && fake.wrong <= FAULT_CUT_UNKNOWN)
        return status == (fake.wrong_status == 404 ? CWS_ERR_UNIMPLEMENTED : CWS_ERR_SANDBOX);
    if (fake.wrong_write && status == CWS_ERR_FILE) /* it says what has become of the file */
        return due != CWS_OK;
    return due == CWS_ERR_TIMEOUT ? cws_status_is(status, due) : status == due;
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
        if (err && complaints <= 12) printf("    %s\n", err->message);
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
        t->full_duplex = t->trailers = true;
    }
    t->close = fake_close;
    o.protocol = fake.grpc ? CWS_PROTOCOL_GRPC : CWS_PROTOCOL_CONNECT;
    t->user = &fake.boxes[++fake.clients % MAX_BOXES]; /* an address of its own */
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
    if (status == CWS_ERR_EXECUTION && o && o->check)
        expect(j, result && cws_result_exit_code(result), "the result of a failed command");
    else
        expect(j, !result == !!status, "a result exactly after success");
    if (!status && !j->doubtful) {
        expect(j, result && cws_result_has_exit_code(result), "a result with an exit code");
        expect(j, result && !strcmp(cws_result_stdout(result), output), "its output");
        expect(j, result && !strcmp(cws_result_stderr(result), "warning"), "its stderr");
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
    else if (written && !j->doubtful)
        expect(j, cws_bytes_size(bytes) == 11 && !strcmp((const char *)cws_bytes_data(bytes),
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
    cws_sandboxes *list = (cws_sandboxes *)&error;
    cws_sandbox *found = (cws_sandbox *)&error, *taken;
    cws_status status = cws_session_list(j->session, NULL, &list, err);
    if (!came_out(j, "cws_session_list", status, CWS_OK, err))
        expect(j, list == NULL, "list is NULL after a failure");
    else if (!j->doubtful)
        expect(j, cws_sandboxes_count(list) == fake_running(), "the list is whole");
    taken = cws_sandboxes_take(list, 0);
    cws_sandboxes_free(list);
    cws_sandbox_free(taken);
    if (!id[0]) return;
    status = cws_session_from_id(j->session, id, true, &found, err);
    if (!came_out(j, "cws_session_from_id", status, CWS_OK, err))
        expect(j, found == NULL, "sandbox is NULL after a failure");
    cws_sandbox_free(found);
}

static const char *const hello[] = {"echo", "hello", NULL};
static const char *const falsity[] = {"false", NULL};
static const char *const broken[] = {"broken", NULL};
static const char *const wrapped = "/bin/sh -c cd \"$0\" && exec \"$@\" /tmp echo hello";

/* A conversation: a few lines in, the same lines out. */
static void job_talk(job *j, cws_sandbox *box)
{
    static const char *const cat[] = {"cat", NULL};
    static char big[3000];
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_exec_opts o = {0};
    cws_process *p = (cws_process *)&o;
    cws_status status;
    char text[10] = "";
    size_t n = 0;
    o.with_stdin = true;
    o.timeout_seconds = 4;
    status = cws_exec_begin(box, cat, &o, &p, err);
    if (!came_out(j, "cws_exec_begin", status, CWS_OK, err)) {
        expect(j, p == NULL, "process is NULL after a failure");
        return;
    }
    status = cws_process_write_line(p, "hello", -1, err);
    if (!status) status = cws_process_write(p, big, sizeof(big), 1, NULL, err);
    (void)cws_process_close_stdin(p, NULL); /* after a failed write, too, so that it ends */
    if (!status) status = cws_process_read(p, CWS_STDOUT, text, 6, -1, &n, err);
    if (!status) expect(j, n == 6 && memcmp(text, "hello\n", 6) == 0, "what went in comes out");
    status = cws_process_wait(p, -1, NULL, err);
    if (came_out(j, "cws_process_wait", status, CWS_OK, err)) {
        cws_result *r = cws_process_take_result(p);
        if (n == 6) expect(j, cws_result_stdout_size(r) == sizeof(big), "so does the rest");
        cws_result_free(r);
    }
    cws_process_free(p);
}

static void job_blocking(job *j)
{
    static const cws_pair env[] = {{"LANG", "C"}, {NULL, NULL}};
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_exec_opts in_tmp = {0}, unary = {0}, check = {0};
    cws_stop_opts stop = {0};
    cws_wait_opts complete = {0};
    cws_process *process[2] = {NULL, NULL};
    cws_op *ops[2];
    cws_status status;
    cws_sandbox **box = j->box;
    size_t n = 0, i;
    in_tmp.cwd = "/tmp", in_tmp.environment_variables = env;
    unary.unary = true;
    check.check = true;
    if (box[0]) {
        came_out(j, "cws_sandbox_start", cws_sandbox_start(box[0], err), CWS_OK, err);
        came_out(j, "cws_sandbox_wait", cws_sandbox_wait(box[0], NULL, err), CWS_OK, err);
        if (cws_sandbox_id(box[0])[0])
            came_out(j, "cws_sandbox_get_state", cws_sandbox_get_state(box[0], NULL, err),
                     CWS_OK, err);
        job_exec(j, box[0], hello, &in_tmp, CWS_OK, wrapped);
        job_exec(j, box[0], falsity, &check, CWS_ERR_EXECUTION, NULL);
        job_exec(j, box[0], broken, NULL, CWS_ERR_SNAPSHOT_NOT_READY, NULL);
        job_exec(j, box[0], broken, &unary, CWS_ERR_SNAPSHOT_NOT_READY, NULL);
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
    cws_status status = cws_op_status(op, err);
    cws_bytes *bytes = cws_op_take_bytes(op);
    cws_sandboxes *list = cws_op_take_sandboxes(op);
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
    if (l->process && !status && !j->doubtful) {
        cws_result *result = cws_process_take_result(l->process);
        expect(j, result && !strcmp(cws_result_stdout(result), "echo hello"), "its output");
        cws_result_free(result);
    }
    cws_bytes_free(bytes);
    cws_sandboxes_free(list);
    cws_sandbox_free(found);
    lane_go_on(l);
}

static cws_status lane_begin(lane *l, cws_error *err)
{
    cws_exec_opts exec = {0};
    cws_session_list_opts adopt = {0};
    adopt.adopt = true;
    exec.unary = l->now == UNARY;
    switch (l->now) {
    case START: return cws_sandbox_start_begin(l->box, &l->op, err);
    case WAIT: return cws_sandbox_wait_begin(l->box, wait_for(20), &l->op, err);
    case STATUS: return cws_sandbox_get_state_begin(l->box, &l->op, err);
    case EXEC:
    case UNARY: return cws_exec_begin(l->box, hello, &exec, &l->process, err);
    case WRITE: return cws_write_file_begin(l->box, "/tmp/note", "steps", 5, NULL, &l->op, err);
    case READ: return cws_read_file_begin(l->box, "/tmp/note", NULL, &l->op, err);
    case READ_NONE: return cws_read_file_begin(l->box, "/none", NULL, &l->op, err);
    case LIST: return cws_session_list_begin(l->j->session, &adopt, &l->op, err);
    case FROM_ID:
        return cws_session_from_id_begin(l->j->session, cws_sandbox_id(l->box), false, &l->op, err);
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
    j->close_status = cws_op_status(op, NULL);
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
    while (j->active) expect(j, cws_client_poll(client, 1, err) == CWS_OK, "a poll goes well");
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
 * The job of streams: logs that are resumed, files that go through commands, a shell. Items are
 * asked for when calls block; otherwise they come to a callback that pauses now and then.
 * --------------------------------------------------------------------------------------------- */

/* What came out of a stream, or goes into an upload. */
typedef struct pipe_end {
    job *j;
    const char *what;
    char bytes[1024];
    size_t size, at; /* at: of an upload, given so far */
    int calls;
    bool paused, file;
} pipe_end;

static void pipe_take(pipe_end *e, const cws_item *item)
{
    expect(e->j, item->size && item->data[item->size] == '\0', "a NUL follows an item");
    expect(e->j, !item->restarted, "nothing is lost by a resume");
    expect(e->j, e->file ? item->offset == e->size : item->offset == e->size + item->size,
           "an item's offset");
    expect(e->j, e->file || !strcmp(item->session_id, "log-1"), "an item's session");
    if (e->size + item->size > sizeof(e->bytes)) abort();
    memcpy(e->bytes + e->size, item->data, item->size);
    e->size += item->size;
}

static cws_flow pipe_flow(pipe_end *e, bool may_pause)
{
    expect(e->j, !e->paused, "nothing is called while paused");
    e->paused = may_pause && ++e->calls % 2 == 0 && e->j->form != BLOCKING;
    return e->paused ? CWS_FLOW_PAUSE : CWS_FLOW_CONTINUE;
}

static cws_flow pipe_item(const cws_item *item, void *user)
{
    pipe_end *e = (pipe_end *)user;
    pipe_take(e, item);
    return pipe_flow(e, !item->partial);
}

static cws_flow pipe_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    pipe_end *e = (pipe_end *)user;
    if (stream != CWS_STDOUT || e->size + size > sizeof(e->bytes)) abort();
    memcpy(e->bytes + e->size, data, size);
    e->size += size;
    return pipe_flow(e, true);
}

static cws_flow pipe_source(void *buffer, size_t size, size_t *count, void *user)
{
    pipe_end *e = (pipe_end *)user;
    *count = e->size - e->at < 120 ? e->size - e->at : 120;
    if (*count > size) abort();
    memcpy(buffer, e->bytes + e->at, *count);
    e->at += *count;
    return pipe_flow(e, true);
}

/* Run an operation to its end, resuming it when it pauses. */
static cws_status pipe_run(pipe_end *e, cws_op *op, cws_error *err)
{
    cws_client *client = cws_session_client(e->j->session);
    while (!cws_op_done(op)) {
        expect(e->j, cws_client_poll(client, (e->paused ? 0 : 1000) / 1000.0, NULL) == CWS_OK,
               "a poll");
        if (!e->paused) continue;
        expect(e->j, !cws_client_poll(client, 0, NULL), "a poll while paused");
        e->paused = false;
        cws_op_resume(op);
    }
    return cws_op_status(op, err);
}

/* A stream to its end: all of it after a success, a beginning of it otherwise. */
static void pipe_drain(pipe_end *e, cws_stream *stream, const char *all, size_t size,
                       cws_error *err)
{
    job *j = e->j;
    cws_item item;
    cws_status status;
    if (j->form == BLOCKING) {
        while (!(status = cws_stream_next(stream, -1, &item, err)) && item.data)
            pipe_take(e, &item);
        expect(j, cws_stream_next(stream, -1, &item, NULL) == status && !item.data,
               "the end stays the end");
    } else {
        status = pipe_run(e, cws_stream_op(stream), err);
    }
    if (came_out(j, e->what, status, CWS_OK, err)) expect(j, e->size == size, "all of it came");
    expect(j, e->size <= size && !memcmp(e->bytes, all, e->size), "the right bytes came");
    cws_stream_free(stream);
}

static void job_logs(job *j, bool follow)
{
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_logs_opts o = {0};
    cws_stream *stream = (cws_stream *)&error;
    pipe_end e;
    memset(&e, 0, sizeof(e));
    e.j = j, e.what = follow ? "logs, followed" : "logs";
    o.follow = follow;
    o.timeout_seconds = 30;
    o.on_item = j->form == BLOCKING ? NULL : pipe_item;
    o.user = &e;
    if (came_out(j, "cws_logs_begin", cws_logs_begin(j->box[0], &o, &stream, err), CWS_OK, err))
        pipe_drain(&e, stream, fake_log, sizeof(fake_log) - 1, err);
    else expect(j, stream == NULL, "stream is NULL after a failure");
}

static void job_download(job *j)
{
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_download_opts o = {0};
    cws_stream *stream = (cws_stream *)&error;
    pipe_end e;
    memset(&e, 0, sizeof(e));
    e.j = j, e.what = "download", e.file = true;
    o.on_item = j->form == BLOCKING ? NULL : pipe_item;
    o.user = &e;
    if (came_out(j, "cws_download_begin", cws_download_begin(j->box[0], "/big", &o, &stream, err),
                 CWS_OK, err))
        pipe_drain(&e, stream, fake.big, fake.big_size, err);
    else expect(j, stream == NULL, "stream is NULL after a failure");
}

/* The file is as it was, or what was written; the latter after a success. */
static void job_judge_file(job *j, const char *what, cws_status status, const pipe_end *e,
                           const char *old, size_t old_size, cws_error *err)
{
    bool is_new = fake.big_size == e->size && !memcmp(fake.big, e->bytes, e->size);
    bool is_old = fake.big_size == old_size && !memcmp(fake.big, old, old_size);
    if (came_out(j, what, status, CWS_OK, err)) expect(j, is_new, "the file is as written");
    else if (err && fake.wrong && status == CWS_ERR_FILE)
        expect(j, !strcmp(err->filepath, "/big"), "the path is told");
    expect(j, is_new || is_old, "the file is never partial");
}

static void job_write_big(job *j, bool upload)
{
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_upload_opts o = {0};
    cws_op *op = (cws_op *)&error;
    cws_status status;
    char old[sizeof(fake.big)];
    size_t old_size = fake.big_size, i;
    pipe_end e;
    memset(&e, 0, sizeof(e));
    memcpy(old, fake.big, old_size);
    e.j = j, e.what = upload ? "upload" : "write_file";
    e.size = upload ? 250 : 170;
    for (i = 0; i < e.size; i++) e.bytes[i] = (char)(upload ? i * 7 : i * 3);
    o.source = pipe_source, o.user = &e;
    o.write_mode = CWS_WRITE_ATOMIC;
    status = upload ? cws_upload_begin(j->box[0], "/big", &o, &op, err)
                    : cws_write_file_begin(j->box[0], "/big", e.bytes, e.size, NULL, &op, err);
    if (!came_out(j, "begin to write", status, CWS_OK, err)) {
        expect(j, op == NULL, "op is NULL after a failure");
        return;
    }
    status = pipe_run(&e, op, err);
    job_judge_file(j, e.what, status, &e, old, old_size, err);
    cws_op_free(op);
}

static void job_read_big(job *j)
{
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_bytes *bytes = (cws_bytes *)&error;
    const char *data;
    if (!came_out(j, "read_file", cws_read_file(j->box[0], "/big", NULL, &bytes, err), CWS_OK,
                  err)) {
        expect(j, bytes == NULL, "bytes is NULL after a failure");
        return;
    }
    data = (const char *)cws_bytes_data(bytes);
    expect(j, cws_bytes_size(bytes) == fake.big_size && !memcmp(data, fake.big, fake.big_size),
           "the whole file was read");
    expect(j, data[fake.big_size] == '\0', "a NUL follows");
    cws_bytes_free(bytes);
}

static void job_shell(job *j)
{
    static const char keys[] = "ls -l\nexit\n";
    cws_error error, *err = j->with_err ? &error : NULL;
    cws_shell_opts o = {0};
    cws_process *p = (cws_process *)&error;
    cws_status status, end;
    pipe_end e;
    size_t n = 1;
    memset(&e, 0, sizeof(e));
    e.j = j;
    o.width = 80, o.height = 25;
    o.timeout_seconds = 40;
    o.on_output = j->form == BLOCKING ? NULL : pipe_output;
    o.user = &e;
    status = cws_shell_begin(j->box[0], NULL, &o, &p, err);
    if (!came_out(j, "cws_shell_begin", status, CWS_OK, err)) {
        expect(j, p == NULL, "process is NULL after a failure");
        return;
    }
    status = cws_process_write(p, keys, 6, -1, NULL, err);
    if (!status) status = cws_process_resize(p, 100, 40, err);
    if (!status) status = cws_process_write(p, keys + 6, 5, -1, NULL, err);
    (void)cws_process_close_stdin(p, NULL);
    while (!status && n && j->form == BLOCKING) {
        status = cws_process_read(p, CWS_STDOUT, e.bytes + e.size, 5, -1, &n, err);
        e.size += n;
        if (status && e.size == 11) expect(j, cws_op_done(cws_process_op(p)), "a failed read");
    }
    end = pipe_run(&e, cws_process_op(p), err);
    expect(j, status == end || status != CWS_OK || j->form != BLOCKING, "a read tells the end");
    if (came_out(j, "a shell", end, CWS_OK, err)) {
        if (status && status != CWS_ERR_NO_MEMORY) complain(j, "a shell", "a step", status);
        if (!status) expect(j, e.size == 11 && !memcmp(e.bytes, keys, 11), "its output");
        if (!status) expect(j, fake.width == 100 && fake.height == 40, "its size");
    }
    if (status == CWS_ERR_NO_MEMORY) j->failures++, j->first = status;
    expect(j, e.size <= 11 && !memcmp(e.bytes, keys, e.size), "its output is never another");
    cws_process_free(p);
}

static void job_streams(job *j)
{
    cws_error error, *err = j->with_err ? &error : NULL;
    memset(fake.big, 'o', 130);
    fake.big_size = 130;
    came_out(j, "cws_sandbox_wait", cws_sandbox_wait(j->box[0], NULL, err), CWS_OK, err);
    job_logs(j, true);
    job_write_big(j, false);
    job_write_big(j, true);
    job_download(j);
    job_logs(j, false);
    job_read_big(j);
    job_shell(j);
    j->close_status = cws_session_close(j->session, err);
}

/* Its session, with one sandbox. */
static bool job_open_streams(job *j)
{
    cws_client_opts client;
    cws_session_opts opts = {0};
    cws_sandbox_opts defaults = {0};
    cws_transport t;
    cws_allocator a;
    cws_error error, *err = j->with_err ? &error : NULL;
    client = job_client_opts(j, &t, &a);
    defaults.request_timeout_seconds = 60;
    opts.client_opts = &client;
    opts.defaults = &defaults;
    if (!came_out(j, "cws_session_open", cws_session_open(&opts, &j->session, err), CWS_OK, err))
        return false;
    came_out(j, "cws_session_sandbox", cws_session_sandbox(j->session, NULL, &j->box[0], err),
             CWS_OK, err);
    return true;
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
    for (i = 0; cws_session_failed_at(session, i, &sandbox, &why); i++)
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
        expect(j, cws_session_failed_at(j->session, 0, NULL, NULL),
               "a failed close names sandboxes");
        for (i = 0; cws_session_failed_at(j->session, i, NULL, &why); i++)
            if (!explained(j, why->status))
                complain(j, "cws_session_failed_at", why->message, why->status);
        for (i = 0; i < fake.box_count; i++)
            expect(j, fake.boxes[i].ended || is_named(j->session, &fake.boxes[i]),
                   "what still runs is named by the close");
    } else {
        came_out(j, "cws_session_close", status, CWS_OK, NULL);
        expect(j, status || fake_running() == 0, "a close that succeeded left nothing running");
    }
    if (status && !j->max_memory) {
        status = cws_session_close(j->session, &error);
        if (status) complain(j, "the second close", error.message, status);
        expect(j, fake_running() == 0, "the second close left nothing running");
    }
    expect(j, status || cws_session_sandbox_count(j->session) == 0, "nothing is tracked any more");
    j->memory = cws_client_memory(cws_session_client(j->session));
    expect(j, cws_client_pending(cws_session_client(j->session)) == 0, "nothing is in flight");
}

/* The job, whole. The caller has set what goes wrong. */
static void job_run(job *j)
{
    int i;
    bool opened = j->streams ? job_open_streams(j) : job_open(j);
    points++;
    if (opened && j->streams) {
        if (j->box[0]) job_streams(j);
        else j->close_status = cws_session_close(j->session, NULL);
        job_account(j);
    } else if (opened) {
        if (j->form != PERFORM && j->box[1]) job_talk(j, j->box[1]);
        if (j->form == POLLED || j->form == GRPC) job_polled(j);
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

static bool jobs_of_streams; /* which job the tests below run */

static job job_of(form f, const char *point, long at)
{
    job j;
    memset(&j, 0, sizeof(j));
    j.form = f, j.point = point, j.at = at;
    j.streams = jobs_of_streams;
    j.with_err = true;
    fake_reset();
    fake.grpc = f == GRPC;
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

static void undisturbed_streams(form f)
{
    static const size_t chunks[] = {0, 1, 2, 3, 7};
    size_t k;
    for (k = 0; k < 5; k++) {
        job j = job_of(f, "nothing", (long)chunks[k]);
        fake.chunk = chunks[k];
        job_run(&j);
        CHECK_INT(j.failures, 0);
        CHECK_INT(fake.commands, 7); /* two uploads are three; a size, two reads, a shell */
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
    CHECK(n > (jobs_of_streams ? 200 : 300) && failed > n / 4);
}

/* ------------------------------------------------------------------------------------------------
 * Exchanges that go wrong, too little memory, many sandboxes.
 * --------------------------------------------------------------------------------------------- */

/* The job with exchange n going wrong; false: there is no such exchange. */
static bool job_spoilt(job *j, fault wrong, long n, size_t byte)
{
    bool retries = j->retries, tight = j->tight, doubtful = j->doubtful;
    uint64_t max_memory = j->max_memory;
    *j = job_of(j->form, faults[wrong].name, n);
    j->retries = retries, j->tight = tight, j->doubtful = doubtful;
    j->max_memory = max_memory;
    j->max_message = 65536;
    fake.wrong = wrong, fake.wrong_at = n, fake.wrong_byte = byte;
    job_run(j);
    expect(j, fake.now < 400000, "deadlines are kept");
    expect(j, j->failures <= 4, "the client is usable after the failure");
    return j->touched;
}

/* Without retries the call fails as it should. With them, only what must not be repeated does. */
static void each_exchange(form f, bool retries)
{
    long n;
    int wrong, failed = 0;
    size_t commands;
    job j = job_of(f, "nothing", 0);
    job_run(&j);
    commands = fake.commands;
    j.retries = retries;
    for (wrong = 1; wrong < FAULT_COUNT; wrong++) {
        j.doubtful = wrong == FAULT_CUT_UNKNOWN && f != GRPC;
        for (n = 0; job_spoilt(&j, (fault)wrong, n, 0); n++) {
            bool unsent = wrong == FAULT_NOT_SENT || wrong == FAULT_REFUSED;
            bool again = unsent || (!fake.wrong_unsafe && cws_status_is(fake_due(wrong, false),
                                                                        CWS_ERR_UNAVAILABLE));
            bool framed = fake.wrong_stream || f == GRPC;
            size_t most = framed && wrong == FAULT_FLOOD ? 65536 + (8u << 20) : 65536;
            failed += j.failures > 0;
            if (retries && again && wrong != FAULT_TLS && fake.wrong_status == 200)
                expect(&j, j.failures == 0, "what may be repeated is");
            if (!retries && !fake.wrong_forgiven && wrong != FAULT_CUT &&
                wrong != FAULT_CUT_UNKNOWN &&
                (wrong != FAULT_GZIP || fake.wrong_status == 200) &&
                (wrong != FAULT_SILENT_BODY || !fake.wrong_told))
                expect(&j, j.failures > 0, "the failure is told");
            expect(&j, fake.commands <= commands, "no command runs twice");
            expect(&j, fake.flooded <= most + 65536, "a flood is stopped at the limit");
            expect(&j, j.memory.peak_bytes < most + (2u << 20), "memory stays near the limit");
        }
    }
    printf("%s, %d kinds of failure at each of %ld exchanges: %d jobs had a failed call\n",
           form_names[f], FAULT_COUNT - 1, n, failed);
    CHECK(n > 15);
}

/* A reply that ends after each of its bytes. */
static void each_byte(form f)
{
    static const fault kinds[] = {FAULT_CUT, FAULT_CUT_UNKNOWN, FAULT_CUT_LOST};
    size_t byte, k, stream_size, list_size, end;
    long stream_at, list_at, at;
    job j = job_of(f, "nothing", 0);
    job_run(&j);
    stream_at = fake.first_stream, stream_size = fake.stream_size;
    list_at = fake.first_list, list_size = fake.list_size;
    if (CHECK(list_at > 0 && list_size > 40))
        for (k = 0; k < 3; k++)
            for (byte = 0; byte <= list_size; byte++) {
                bool whole = byte == list_size && kinds[k] != FAULT_CUT_LOST && f != GRPC;
                j.doubtful = kinds[k] == FAULT_CUT_UNKNOWN && f != GRPC;
                if (!CHECK(job_spoilt(&j, kinds[k], list_at, byte))) return;
                if (whole) CHECK_INT(j.failures, 0);
                else if (!j.doubtful) expect(&j, j.failures > 0, "a list that was cut is no list");
            }
    for (at = 0; f == BLOCKING && job_spoilt(&j, FAULT_CUT, at, 0); at++)
        for (byte = 1; byte < fake.wrong_size; byte++) (void)job_spoilt(&j, FAULT_CUT, at, byte);
    if (f == PERFORM) return; /* it has no streams */
    if (!CHECK(stream_at > 0 && stream_size > 40)) return;
    end = f == GRPC ? 0 : 7; /* the exit decides; Connect's last envelope follows it */
    for (k = 0; k < 3; k++)
        for (byte = 0; byte <= stream_size; byte++) {
            if (!CHECK(job_spoilt(&j, kinds[k], stream_at, byte))) return;
            if (!CHECK_INT(j.failures > 0, byte < stream_size - end))
                printf("    %s after byte %lu\n", faults[kinds[k]].name, (unsigned long)byte);
        }
}

/* The reply of each stream ends after each of its bytes: the job says what was whole. */
static void each_byte_of_streams(form f)
{
    static const fault kinds[] = {FAULT_CUT, FAULT_CUT_LOST};
    long at, cuts = 0, streams = 0;
    size_t byte, k, size;
    job j = job_of(f, "nothing", 0);
    for (at = 0; job_spoilt(&j, FAULT_CUT, at, SIZE_MAX); at++) {
        if (!fake.wrong_stream) continue;
        CHECK(j.failures == 0 || f == GRPC); /* nothing was missing; gRPC's trailers were */
        size = fake.wrong_size;
        streams++;
        for (k = 0; k < 2; k++)
            for (byte = 0; byte < size; byte++, cuts++) {
                if (f == POLLED && k == 1 && byte % 3) continue;
                (void)job_spoilt(&j, kinds[k], at, byte);
            }
    }
    printf("%s: %ld streams, cut at %ld places\n", form_names[f], streams, cuts);
    CHECK(streams >= 8);
}

/* The same for the job of streams, which needs more: each piece of an upload is 64 KiB. */
static void each_limit_of_streams(form f)
{
    uint64_t limit, enough = 0;
    for (limit = 4096; limit < 512 * 1024; limit += limit < 65536 ? 1024 : 8192) {
        job j = job_of(f, "max_memory_bytes", (long)limit);
        j.max_memory = limit;
        most_live = 0;
        job_run(&j);
        expect(&j, j.memory.peak_bytes <= limit && most_live <= limit * 2, "the limit holds");
        if (j.failures || !j.session) enough = 0;
        else if (!enough) enough = limit;
    }
    printf("%s: %lu bytes are enough for the job of streams\n", form_names[f],
           (unsigned long)enough);
    CHECK(enough > 0 && enough <= 256 * 1024);
}

/* With any limit the job ends well or for lack of memory, and the limit holds. */
static void each_limit(form f)
{
    uint64_t limit, enough = 0;
    long left = 0;
    for (limit = 1024; limit < 128 * 1024; limit += limit < 16384 ? 128 : 512) {
        job j = job_of(f, "max_memory_bytes", (long)limit);
        j.max_memory = limit;
        most_live = 0;
        job_run(&j);
        left += fake_running() > 0;
        expect(&j, j.memory.peak_bytes <= limit && most_live <= limit * 2, "the limit holds");
        if (j.failures || !j.session) enough = 0;
        else if (!enough) enough = limit;
    }
    printf("%s: %lu bytes are enough for the main job; with less, %ld closes named what they "
           "could not stop\n", form_names[f], (unsigned long)enough, left);
    CHECK(enough > 0 && enough <= 65536);
    for (limit = 64 * 1024; limit <= 512 * 1024; limit *= 2) {
        long n;
        job j = job_of(f, "", 0);
        j.max_memory = limit;
        j.tight = true;
        for (n = 0; job_spoilt(&j, FAULT_FLOOD, n, 0); n++)
            expect(&j, j.memory.peak_bytes <= limit, "the limit holds in a flood");
    }
}

#define MANY 1000

static uint64_t used_by(cws_session *session)
{
    return cws_client_memory(cws_session_client(session)).used_bytes;
}

static void many_sandboxes(void)
{
    static cws_sandbox *box[MANY];
    static cws_op *op[MANY];
    static cws_process *process[MANY];
    static const char *const argv[] = {"echo", "hello", NULL};
    uint64_t empty, unstarted, running, commands;
    cws_session_opts opts = {0};
    cws_client_opts client;
    cws_transport t;
    cws_allocator a;
    cws_session *session;
    cws_error err;
    int i;
    job j = job_of(BLOCKING, "many", MANY);
    client = job_client_opts(&j, &t, &a);
    client.log = NULL, client.trace = NULL;
    opts.client_opts = &client;
    if (!CHECK(cws_session_open(&opts, &session, &err) == CWS_OK)) return;
    empty = used_by(session);
    for (i = 0; i < MANY; i++)
        if (!CHECK(cws_session_sandbox(session, NULL, &box[i], &err) == CWS_OK)) return;
    unstarted = used_by(session);
    for (i = 0; i < MANY; i++) CHECK_INT(cws_sandbox_wait_begin(box[i], NULL, &op[i], &err),
                                         CWS_OK);
    CHECK_INT(cws_wait_many(op, MANY, CWS_ALL, -1, NULL, NULL, &err), CWS_OK);
    for (i = 0; i < MANY; i++) {
        CHECK_INT(cws_op_status(op[i], &err), CWS_OK);
        cws_op_free(op[i]);
    }
    running = used_by(session);
    fake.held = true;
    for (i = 0; i < MANY; i++) {
        CHECK_INT(cws_exec_begin(box[i], argv, NULL, &process[i], &err), CWS_OK);
        op[i] = cws_process_op(process[i]);
    }
    for (i = 0; i < 20; i++) CHECK_INT(cws_client_poll(cws_session_client(session), 0, &err), 0);
    CHECK_INT(fake.opened - fake.cancelled, MANY);
    commands = used_by(session);
    printf("bytes of each of %d sandboxes: %lu unstarted, %lu running, %lu with a command\n", MANY,
           (unsigned long)((unstarted - empty) / MANY), (unsigned long)((running - empty) / MANY),
           (unsigned long)((commands - empty) / MANY));
    CHECK((unstarted - empty) / MANY < 8192);
    CHECK((running - empty) / MANY < 8192);
    CHECK((commands - empty) / MANY < 16384);
    for (i = 0; i < MANY; i++) cws_process_free(process[i]);
    fake.held = false;
    CHECK_INT(cws_session_close(session, &err), CWS_OK);
    CHECK_INT(fake_running(), 0);
    for (i = 0; i < MANY; i++) cws_sandbox_free(box[i]);
    cws_session_free(session);
    CHECK_INT(fake.opened, fake.cancelled);
    CHECK_INT(test_alloc_live(), 0);
}

/* ------------------------------------------------------------------------------------------------
 * Chaos: random calls on a handful of objects, also from inside callbacks, while exchanges and
 * allocations fail at random. Each session has a group of its own, which its tag tells the service;
 * a group is excused once its session or client was freed without a close.
 * --------------------------------------------------------------------------------------------- */

#define CLIENTS 2
#define SESSIONS 4
#define HANDLES 8
#define OPS 12

typedef struct chaos_op {
    cws_op *op;
    cws_process *process; /* if it is one: op is borrowed from it */
    cws_stream *stream;   /* the same */
    int given;            /* pieces of an upload */
    int serial, calls;    /* serial: tells the users of one slot apart */
    bool watched, busy;   /* busy: inside its callback, so not to be freed */
} chaos_op;

static struct chaos {
    cws_client *client[CLIENTS];
    cws_session *session[SESSIONS];
    cws_client *of_session[SESSIONS]; /* of each session; NULL: its own */
    int group[SESSIONS];
    cws_sandbox *box[HANDLES];
    chaos_op op[OPS];
    bool excused[MAX_GROUPS];
    int groups, serial, inside; /* inside: so many callbacks */
    unsigned long seed, step;
} chaos;

static struct { /* over all runs */
    long exchanges, sandboxes, sessions, begun, callbacks, nested, left, items, flows;
} chaos_sum;

static bool chaos_expect(bool good, const char *what)
{
    if (good) return true;
    if (is_news())
        printf("chaos, seed %lu, step %lu: %s: does not hold\n", chaos.seed, chaos.step, what);
    return false;
}

static void chaos_call(void);

static void chaos_done(cws_op *op, void *user)
{
    chaos_op *slot = &chaos.op[(size_t)(uintptr_t)user % OPS];
    int i, serial = (int)((uintptr_t)user / OPS);
    if (!chaos_expect(slot->serial == serial && slot->op == op, "a callback of a live operation"))
        return;
    chaos_expect(++slot->calls == 1, "one call of each callback");
    chaos_expect(cws_op_status(op, NULL) != CWS_ERR_PENDING, "the operation has a result");
    chaos_sum.callbacks++;
    slot->busy = true;
    chaos.inside++;
    for (i = below(4); i > 0 && chaos.inside < 4; i--) chaos_call();
    chaos.inside--;
    slot->busy = false;
}

/* What a callback of an operation does, and answers. */
static cws_flow chaos_flow(chaos_op *slot, bool may_pause)
{
    bool busy = slot->busy;
    int answer = below(12);
    chaos_sum.flows++;
    slot->busy = true;
    chaos.inside++;
    if (chaos.inside < 4) chaos_call();
    if (slot->op && below(20) == 0) (void)cws_op_cancel(slot->op);
    chaos.inside--;
    slot->busy = busy;
    return answer < 2 ? CWS_FLOW_CANCEL : answer < 6 && may_pause ? CWS_FLOW_PAUSE
                                                                  : CWS_FLOW_CONTINUE;
}

static cws_flow chaos_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    chaos_op *slot = (chaos_op *)user;
    chaos_expect(stream == CWS_STDOUT || stream == CWS_STDERR, "a stream's number");
    chaos_expect(data && size, "output is not empty");
    return chaos_flow(slot, slot->serial % 3 == 0);
}

static cws_flow chaos_item(const cws_item *item, void *user)
{
    char first = item->data[0];
    cws_flow flow;
    chaos_expect(item->size && item->data[item->size] == '\0', "a NUL follows an item");
    flow = chaos_flow((chaos_op *)user, !item->partial);
    chaos_expect(item->data[0] == first && item->data[item->size] == '\0',
                 "an item stays until its callback returns");
    return flow;
}

static cws_flow chaos_source(void *buffer, size_t size, size_t *count, void *user)
{
    chaos_op *slot = (chaos_op *)user;
    cws_flow flow = chaos_flow(slot, true);
    *count = slot->given++ < 4 ? (size_t)below(200) : 0;
    if (*count > size) abort();
    memset(buffer, 'u', *count);
    return flow;
}

static void chaos_progress(const cws_progress *progress, void *user)
{
    chaos_expect(progress->bytes_done <= 1024, "a progress that can be");
    (void)chaos_flow((chaos_op *)user, false);
}

static void chaos_excuse(const cws_client *client, int session)
{
    int i;
    for (i = 0; i < SESSIONS; i++)
        if (i == session || (client && chaos.of_session[i] == client))
            chaos.excused[chaos.group[i]] = true;
}

static void chaos_drop_op(chaos_op *slot)
{
    if (slot->busy) return;
    if (slot->stream) {
        cws_stream_free(slot->stream);
    } else if (slot->process) {
        cws_result_free(cws_process_take_result(slot->process));
        cws_process_free(slot->process);
    } else if (slot->op) {
        cws_bytes_free(cws_op_take_bytes(slot->op));
        cws_sandboxes_free(cws_op_take_sandboxes(slot->op));
        cws_sandbox_free(cws_op_take_sandbox(slot->op));
        cws_op_free(slot->op);
    }
    memset(slot, 0, sizeof(*slot));
}

static void chaos_open_session(void)
{
    char tag[16];
    const char *tags[2] = {tag, NULL};
    cws_sandbox_opts defaults = {0};
    cws_session_opts opts = {0};
    cws_client_opts client_opts;
    cws_transport t;
    cws_allocator a;
    cws_client **client = &chaos.client[below(CLIENTS)];
    int k = below(SESSIONS);
    job j;
    memset(&j, 0, sizeof(j));
    j.form = below(4) ? POLLED : PERFORM;
    j.retries = below(2);
    j.max_memory = below(6) ? 0 : 16384 << below(6);
    j.max_message = below(2) ? 0 : 65536;
    client_opts = job_client_opts(&j, &t, &a);
    if (!*client && below(2)) {
        (void)cws_client_open(&client_opts, client, NULL);
        return;
    }
    if (chaos.session[k] || chaos.groups + 1 >= MAX_GROUPS) return;
    chaos.group[k] = ++chaos.groups;
    (void)snprintf(tag, sizeof(tag), "s%d", chaos.groups);
    defaults.tags = tags;
    defaults.request_timeout_seconds = 1 + below(30);
    opts.defaults = &defaults;
    opts.close_timeout_seconds = 1 + below(100);
    chaos.of_session[k] = *client;
    if (below(3)) opts.client = *client;
    else chaos.of_session[k] = NULL;
    if (!opts.client) opts.client_opts = &client_opts;
    (void)cws_session_open(&opts, &chaos.session[k], NULL);
}

/* Begin a stream. Each has a timeout: who pauses may forget to resume. */
static cws_status chaos_begin_stream(chaos_op *slot, cws_sandbox *box, int what, cws_error *err)
{
    static const char content[300] = "content";
    cws_logs_opts logs = {0};
    cws_upload_opts upload = {0};
    cws_download_opts download = {0};
    cws_shell_opts shell = {0};
    cws_status status = CWS_OK;
    logs.follow = below(3) > 0, logs.raw = below(4) == 0;
    logs.timeout_seconds = upload.timeout_seconds = download.timeout_seconds = 1 + below(30);
    shell.timeout_seconds = 1 + below(30);
    logs.max_line_bytes = below(3) ? 0 : 1 + (uint64_t)below(12);
    logs.long_lines = (cws_long_lines)below(3);
    logs.on_item = download.on_item = below(2) ? chaos_item : NULL;
    shell.on_output = below(2) ? chaos_output : NULL;
    logs.user = upload.user = download.user = shell.user = slot;
    upload.source = chaos_source;
    upload.write_mode = below(2) ? CWS_WRITE_ATOMIC : CWS_WRITE_DIRECT;
    upload.on_progress = download.on_progress = below(2) ? chaos_progress : NULL;
    shell.max_output_bytes = (uint64_t)below(9);
    switch (what) {
    case 0: status = cws_logs_begin(box, &logs, &slot->stream, err); break;
    case 1: status = cws_download_begin(box, "/big", &download, &slot->stream, err); break;
    case 2: status = cws_upload_begin(box, "/big", &upload, &slot->op, err); break;
    case 3:
        status = cws_shell_begin(box, NULL, &shell, &slot->process, err);
        slot->op = cws_process_op(slot->process);
        break;
    case 4: status = cws_read_file_begin(box, "/big", NULL, &slot->op, err); break;
    default: status = cws_write_file_begin(box, "/big", content, 300, NULL, &slot->op, err);
    }
    if (slot->stream) slot->op = cws_stream_op(slot->stream);
    return status;
}

/* Something that only streams know. */
static void chaos_use_stream(void)
{
    int what = below(6), wait = below(2) ? 0 : below(4000), k = below(OPS), i, serial;
    chaos_op *slot = &chaos.op[k];
    char bytes[9];
    cws_item item;
    size_t n;
    cws_status status;
    for (i = 0; i < OPS && !(what < 3 ? slot->stream != NULL : slot->op != NULL); i++)
        slot = &chaos.op[(k + i) % OPS];
    serial = slot->serial;
    if (slot->stream && what < 3) {
        status = cws_stream_next(slot->stream, wait / 1000.0, &item, NULL);
        if (slot->serial == serial && slot->stream && !status && item.data) {
            chaos_expect(item.size && item.data[item.size] == '\0', "a NUL follows an item");
            chaos_sum.items++;
        }
    } else if (slot->process && what == 3) {
        (void)cws_process_write(slot->process, "keys", 4, wait / 1000.0, NULL, NULL);
    } else if (slot->process && what == 4) {
        (void)cws_process_read(slot->process, CWS_STDOUT, bytes, 1 + (size_t)below(9),
                               wait / 1000.0, &n,
                               NULL);
    } else if (slot->process && what == 5) {
        (void)cws_process_resize(slot->process, 1 + (uint32_t)below(99), 9, NULL);
        (void)cws_process_close_stdin(slot->process, NULL);
    } else if (slot->op) {
        cws_op_resume(slot->op);
    }
}

/* Begin something on a random sandbox or session. */
static void chaos_begin(void)
{
    chaos_op *slot = &chaos.op[below(OPS)];
    cws_sandbox *box = chaos.box[below(HANDLES)];
    int k = below(SESSIONS), what = below(21);
    bool about_box = what < 11 || what > 14;
    cws_session *session = chaos.session[k];
    cws_session_list_opts list = {0};
    cws_exec_opts exec = {0};
    cws_wait_opts complete = {0};
    cws_stop_opts stop = {0};
    cws_error err;
    cws_status status = CWS_OK;
    char id[16];
    if (slot->busy || (!box && about_box) || (!session && !about_box)) return;
    if (slot->op && !cws_op_done(slot->op) && below(3)) return;
    chaos_drop_op(slot);
    (void)snprintf(id, sizeof(id), "box-%d", 1 + below((int)fake.box_count + 2));
    list.adopt = below(2);
    exec.unary = below(3) == 0, exec.check = below(2);
    exec.on_output = below(2) ? chaos_output : NULL, exec.user = slot;
    exec.max_output_bytes = (uint64_t)below(20);
    exec.cwd = below(2) ? "/tmp" : NULL;
    complete.timeout_seconds = 1 + below(40), complete.allow_termination = below(2);
    stop.missing_ok = below(2), stop.graceful_shutdown_seconds = below(2) ? CWS_NONE : below(9);
    switch (what) {
    case 0: status = cws_sandbox_start_begin(box, &slot->op, &err); break;
    case 1: status = cws_sandbox_wait_begin(box, wait_for(below(30)), &slot->op, &err); break;
    case 2:
        status = cws_sandbox_wait_until_complete_begin(box, &complete, &slot->op, &err);
        break;
    case 3: status = cws_sandbox_get_state_begin(box, &slot->op, &err); break;
    case 4: status = cws_sandbox_stop_begin(box, &stop, &slot->op, &err); break;
    case 5: status = cws_read_file_begin(box, below(2) ? "/x" : "/none", NULL, &slot->op, &err);
        break;
    case 6: status = cws_write_file_begin(box, "/x", "12345", 5, NULL, &slot->op, &err); break;
    case 7: case 8: case 9: case 10:
        status = cws_exec_begin(box, below(4) ? hello : below(2) ? broken : falsity, &exec,
                                &slot->process, &err);
        slot->op = cws_process_op(slot->process);
        break;
    case 11: status = cws_session_list_begin(session, &list, &slot->op, &err); break;
    case 12: status = cws_session_from_id_begin(session, id, !(below(2)), &slot->op, &err); break;
    case 13:
        if (below(4) == 0) status = cws_session_close_begin(session, &slot->op, &err);
        break;
    case 15: case 16: case 17: case 18: case 19: case 20:
        status = chaos_begin_stream(slot, box, what - 15, &err);
        break;
    default:
        if (below(4) == 0)
            status = cws_sandbox_delete_begin(cws_session_client(session), id, below(2), &slot->op,
                                              &err);
    }
    chaos_expect(!slot->op || !status, "no operation after a failure");
    chaos_expect(!status || err.message[0], "a message with each failure");
    if (!slot->op) return;
    slot->serial = ++chaos.serial;
    chaos_sum.begun++;
    chaos_sum.nested += chaos.inside > 0;
    slot->watched = below(3) > 0;
    if (slot->watched)
        cws_op_on_done(slot->op, chaos_done, (void *)(uintptr_t)(slot->serial * OPS +
                                                                 (int)(slot - chaos.op)));
}

/* A call that waits; inside a callback it must be refused. */
static void chaos_block(void)
{
    chaos_op *slot = &chaos.op[below(OPS)];
    cws_session *session = chaos.session[below(SESSIONS)];
    cws_client *client = chaos.client[below(CLIENTS)];
    cws_sandbox *box = chaos.box[below(HANDLES)];
    cws_result *result = NULL;
    cws_status status = CWS_OK;
    int i, polls = 1 + below(4);
    cws_state state;
    cws_op *ops[2];
    switch (below(9)) {
    case 0:
        if (slot->process) status = cws_process_wait(slot->process, (below(9000)) / 1000.0, NULL,
                                                     NULL);
        else if (slot->op) status = cws_op_wait(slot->op, (below(20000) - 1000) / 1000.0, NULL);
        break;
    case 3:
        ops[0] = slot->op, ops[1] = chaos.op[below(OPS)].op;
        if (ops[0] && ops[1] && ops[0] != ops[1])
            status = cws_wait_many(ops, 2, 1 + (size_t)below(2), (below(5000)) / 1000.0, NULL, NULL,
                                   NULL);
        break;
    case 4:
        if (box) status = cws_sandbox_get_state(box, &state, NULL);
        break;
    case 1:
        if (box) status = cws_exec(box, hello, NULL, &result, NULL);
        break;
    case 2:
        if (box) status = cws_sandbox_stop(box, NULL, NULL);
        break;
    default:
        if (session && below(2)) client = cws_session_client(session);
        for (i = 0; client && i < polls; i++) {
            status = cws_client_poll(client, (below(2) ? 0 : below(3000)) / 1000.0, NULL);
            if (status == CWS_ERR_CLOSED) break; /* freed by a callback */
            if (client != chaos.client[0] && client != chaos.client[1]) break;
        }
    }
    cws_result_free(result);
    chaos_expect(!status || result == NULL, "no result after a failure");
}

static void chaos_free(void)
{
    int k = below(CLIENTS), what = below(40);
    chaos_op *slot = &chaos.op[below(OPS)];
    if (what == 0 && chaos.client[k]) {
        cws_client *client = chaos.client[k];
        chaos_excuse(client, -1);
        chaos.client[k] = NULL;
        cws_client_free(client);
    } else if (what < 3) {
        cws_session *session = chaos.session[k = below(SESSIONS)];
        if (session) chaos_excuse(NULL, k);
        chaos.session[k] = NULL;
        cws_session_free(session);
    } else if (what < 15) {
        cws_sandbox *box = chaos.box[k = below(HANDLES)];
        chaos.box[k] = NULL;
        cws_sandbox_free(box);
    } else if (what < 25) {
        cws_op_cancel(slot->op);
    } else if (what < 28) {
        if (slot->op && !slot->calls) cws_op_on_done(slot->op, NULL, NULL), slot->watched = false;
    } else {
        chaos_drop_op(slot);
    }
}

/* One random call. */
static void chaos_call(void)
{
    int k = below(SESSIONS), b = below(HANDLES), what = below(100);
    if (what < 6) chaos_open_session();
    else if (what < 16 && chaos.session[k] && !chaos.box[b])
        (void)cws_session_sandbox(chaos.session[k], NULL, &chaos.box[b], NULL);
    else if (what < 18 && chaos.session[k] && chaos.box[b]) {
        if (!cws_session_adopt(chaos.session[k], chaos.box[b], NULL)) {
            fake_box *box = fake_find(cwsi_str_of(cws_sandbox_id(chaos.box[b])), false);
            if (box) box->group = chaos.group[k];
        }
    } else if (what < 55) chaos_begin();
    else if (what < 65) chaos_free();
    else if (what < 80) chaos_block();
    else if (what < 92) chaos_use_stream();
    else if (what < 93) test_alloc_fail_at(below(60), below(2));
    else if (what < 96) test_alloc_fail_at(-1, false);
    else if (what < 97) fake.held = below(4) == 0;
    else if (what < 98) fake.chunk = (size_t)below(9) * 10;
    else fake.chaos = below(3) * 10;
}

/* Nothing fails any more: every live session can be closed, and then nothing of it runs. */
static void chaos_settle(void)
{
    int k, tries;
    size_t i;
    cws_error err;
    memset(&err, 0, sizeof(err));
    test_alloc_fail_at(-1, false);
    fake.chaos = 0, fake.held = false, fake.chunk = 0;
    for (i = 0; i < OPS; i++) chaos_drop_op(&chaos.op[i]);
    for (k = 0; k < SESSIONS; k++) {
        cws_status status = CWS_ERR_SANDBOX;
        uint64_t limit;
        if (!chaos.session[k]) continue;
        limit = cws_client_memory(cws_session_client(chaos.session[k])).limit_bytes;
        for (tries = 0; status && status != CWS_ERR_CLOSED && tries < 100; tries++)
            status = cws_session_close(chaos.session[k], &err);
        if (status && (status == CWS_ERR_CLOSED || limit < CWSI_MAX_MEMORY)) chaos_excuse(NULL, k);
        else if (!chaos_expect(status == CWS_OK, "a close succeeds in the end"))
            printf("    %s\n", err.message);
    }
    chaos_sum.exchanges += fake.exchanges;
    chaos_sum.sandboxes += (long)fake.box_count;
    chaos_sum.sessions += chaos.groups;
    chaos_sum.left += (long)fake_running();
    for (i = 0; i < fake.box_count; i++)
        chaos_expect(fake.boxes[i].ended || chaos.excused[fake.boxes[i].group],
                     "a closed session leaves nothing running");
}

static void chaos_run(unsigned long seed, int steps)
{
    int i;
    memset(&chaos, 0, sizeof(chaos));
    fake_reset();
    fake.rng = seed * 0x9e3779b97f4a7c15ULL | 1;
    fake.big_size = 300;
    chaos.seed = seed;
    for (i = 0; i < steps; i++) {
        chaos.step = (unsigned long)i;
        fake.idle = 0;
        chaos_call();
        points++;
    }
    chaos_settle();
    for (i = 0; i < HANDLES + SESSIONS + CLIENTS; i++) {
        int order = (i * 5 + (int)(seed % 14)) % (HANDLES + SESSIONS + CLIENTS);
        if (order < HANDLES) cws_sandbox_free(chaos.box[order]);
        else if (order < HANDLES + SESSIONS) cws_session_free(chaos.session[order - HANDLES]);
        else cws_client_free(chaos.client[order - HANDLES - SESSIONS]);
    }
    chaos_expect(fake.opened == fake.cancelled, "every exchange was cancelled or released once");
    chaos_expect(test_alloc_live() == 0, "no leak");
    test_g.live = test_g.live_bytes = 0;
}

static void chaos_runs(void)
{
    const char *given = getenv("TORTURE_SEED");
    unsigned long seed = given ? strtoul(given, NULL, 10) : 1, last = given ? seed : 250;
    printf("chaos: seeds %lu to %lu\n", seed, last);
    for (; seed <= last; seed++) chaos_run(seed, 1000);
    printf("chaos: %ld sessions, %ld sandboxes (%ld in sessions freed without a close), %ld "
           "operations, %ld of them begun in callbacks, %ld callbacks, %ld more with pieces, %ld "
           "items asked for, %ld exchanges\n",
           chaos_sum.sessions, chaos_sum.sandboxes, chaos_sum.left, chaos_sum.begun,
           chaos_sum.nested, chaos_sum.callbacks, chaos_sum.flows, chaos_sum.items,
           chaos_sum.exchanges);
}

/* ---- the ends of a client, one by one */

static cws_op *again_ops[1000];
static cws_sandbox *again_box;
static int again_calls;

/* A callback that always begins the same again. */
static void again(cws_op *op, void *user)
{
    cws_op **next = &again_ops[again_calls];
    (void)op;
    if (++again_calls == 1000 || cws_sandbox_wait_begin((cws_sandbox *)user, NULL, next,
                                                        NULL)) return;
    cws_op_on_done(*next, again, user);
}

static void ends_of_client(void)
{
    cws_session_opts opts = {0};
    cws_client_opts client;
    cws_transport t;
    cws_allocator a;
    cws_session *session;
    cws_sandbox *box;
    cws_op *op = NULL;
    int i;
    job j = job_of(POLLED, "end", 0);
    client = job_client_opts(&j, &t, &a);
    opts.client_opts = &client;
    again_calls = 0;
    if (!CHECK(!cws_session_open(&opts, &session, NULL))) return;
    if (!CHECK(!cws_session_sandbox(session, NULL, &box, NULL))) return;
    CHECK(!cws_sandbox_wait_begin(box, NULL, &op, NULL));
    cws_op_on_done(op, again, box);
    cws_session_free(session);
    CHECK_INT(again_calls, 1); /* nothing can be begun while the client ends */
    CHECK(cws_op_done(op));
    cws_op_on_done(op, again, box); /* no poll comes any more that could call it */
    cws_op_free(op);
    for (i = 0; i < 1000; i++) cws_op_free(again_ops[i]);
    cws_sandbox_free(box);
    CHECK_INT(test_alloc_live(), 0);
}

static void start_again(cws_op *op, void *user)
{
    (void)op;
    CHECK_INT(cws_sandbox_start_begin((cws_sandbox *)user, &again_ops[0], NULL), CWS_OK);
}

/* The first start fails while a stop waits for it, and another start is begun at that moment. */
static void stop_meets_second_start(void)
{
    cws_session_opts opts = {0};
    cws_client_opts client;
    cws_transport t;
    cws_allocator a;
    cws_session *session;
    cws_sandbox *box, *other;
    cws_op *op[3];
    int i;
    job j = job_of(PERFORM, "race", 0);
    client = job_client_opts(&j, &t, &a);
    opts.client_opts = &client;
    memset(again_ops, 0, sizeof(again_ops));
    if (!CHECK(!cws_session_open(&opts, &session, NULL))) return;
    if (!CHECK(!cws_session_sandbox(session, NULL, &box, NULL))) return;
    if (!CHECK(!cws_session_sandbox(session, NULL, &other, NULL))) return;
    CHECK_INT(cws_sandbox_start(other, NULL), CWS_OK);
    fake.wrong = FAULT_NOT_SENT, fake.wrong_at = 2;
    CHECK_INT(cws_sandbox_start_begin(box, &op[0], NULL), CWS_OK);
    CHECK_INT(cws_sandbox_stop_begin(box, NULL, &op[1], NULL), CWS_OK);
    CHECK_INT(cws_sandbox_get_state_begin(other, &op[2], NULL), CWS_OK);
    cws_op_on_done(op[2], start_again, box);
    CHECK_INT(cws_wait_many(op, 3, CWS_ALL, -1, NULL, NULL, NULL), CWS_OK);
    CHECK_INT(cws_op_status(op[0], NULL), CWS_ERR_TRANSPORT);
    CHECK_INT(cws_op_status(op[1], NULL), CWS_OK);
    CHECK_INT(fake_running(), 1); /* the other one */
    for (i = 0; i < 3; i++) cws_op_free(op[i]);
    cws_op_free(again_ops[0]);
    CHECK_INT(cws_session_close(session, NULL), CWS_OK);
    CHECK_INT(fake_running(), 0);
    cws_sandbox_free(box);
    cws_sandbox_free(other);
    cws_session_free(session);
    CHECK_INT(test_alloc_live(), 0);
}

static void free_others(cws_op *op, void *user)
{
    (void)op;
    cws_op_free(again_ops[0]);
    cws_process_free((cws_process *)user);
    cws_sandbox_free(again_box);
}

/* A callback may free what an outer call waits for: an operation, a process, a sandbox. */
static void freed_while_awaited(int what)
{
    cws_session_opts opts = {0}, second = {0};
    cws_client_opts client;
    cws_transport t;
    cws_allocator a;
    cws_session *session, *other;
    cws_sandbox *box;
    cws_process *process;
    cws_op *first, *both[2];
    const cws_result *result;
    cws_state state;
    cws_status status;
    job j = job_of(POLLED, "freed", what);
    client = job_client_opts(&j, &t, &a);
    opts.client_opts = &client;
    if (!CHECK(!cws_session_open(&opts, &session, NULL))) return;
    if (!CHECK(!cws_session_sandbox(session, NULL, &box, NULL))) return;
    CHECK_INT(cws_sandbox_wait(box, NULL, NULL), CWS_OK);
    second.client = cws_session_client(session);
    if (!CHECK(!cws_session_open(&second, &other, NULL))) return;
    CHECK_INT(cws_session_from_id(other, cws_sandbox_id(box), false, &again_box, NULL), CWS_OK);
    fake.held = true;
    CHECK_INT(cws_exec_begin(again_box, hello, NULL, &process, NULL), CWS_OK);
    CHECK_INT(cws_sandbox_wait_until_complete_begin(again_box, NULL, &again_ops[0], NULL), CWS_OK);
    CHECK_INT(cws_sandbox_get_state_begin(box, &first, NULL), CWS_OK);
    cws_op_on_done(first, free_others, process);
    both[0] = first, both[1] = again_ops[0];
    status = what == 0   ? cws_op_wait(again_ops[0], -1, NULL)
             : what == 1 ? cws_wait_many(both, 2, CWS_ALL, -1, NULL, NULL, NULL)
             : what == 2 ? cws_process_wait(process, -1, &result, NULL)
                         : cws_sandbox_get_state(again_box, &state, NULL);
    CHECK_INT(status, what == 0 || what == 2 ? CWS_ERR_CANCELLED : CWS_OK);
    CHECK(cws_op_done(first));
    cws_op_free(first);
    cws_sandbox_free(box);
    CHECK_INT(cws_session_close(session, NULL), CWS_OK);
    cws_session_free(other);
    cws_session_free(session);
    CHECK_INT(test_alloc_live(), 0);
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
    for (f = 0; f < FORMS; f++) {
        TEST("each exchange fails in each way: typed error, still usable, nothing left running")
            each_exchange((form)f, false);
        TEST("each exchange fails once: what may be repeated is, a command never")
            each_exchange((form)f, true);
        TEST("a reply that ends after any byte is never taken for whole") each_byte((form)f);
        TEST("the memory limit holds, at every value") each_limit((form)f);
    }
    jobs_of_streams = true;
    for (f = 0; f < PERFORM; f++) {
        TEST("streams: the job succeeds when nothing fails") undisturbed_streams((form)f);
        TEST("streams: each allocation fails once: right errors, right bytes, no leak")
            each_allocation((form)f, false, true);
        TEST("streams: every allocation fails from each on: right errors, right bytes, no leak")
            each_allocation((form)f, true, f != POLLED);
        TEST("streams: each exchange fails in each way: typed errors, right bytes, still usable")
            each_exchange((form)f, false);
        TEST("streams: each exchange fails once: what may be repeated is, a command never")
            each_exchange((form)f, true);
        TEST("streams: a reply that ends after any byte is never taken for whole")
            each_byte_of_streams((form)f);
        TEST("streams: the memory limit holds, at every value") each_limit_of_streams((form)f);
    }
    jobs_of_streams = false;
    hostile_tests();
    TEST("a thousand sandboxes take little memory each") many_sandboxes();
    TEST("random calls in random order, also in callbacks, lose nothing") chaos_runs();
    TEST("a callback cannot keep a client alive that is freed") ends_of_client();
    TEST("a start begun while a stop waits for a failing one is stopped too")
        stop_meets_second_start();
    for (f = 0; f < 4; f++)
        TEST("a callback may free what an outer call waits for") freed_while_awaited(f);
    printf("%ld points tested\n", points);
    return test_summary();
}
