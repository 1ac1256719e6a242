/* SPDX-License-Identifier: MIT
 *
 * A transport that plays a script, in both tiers, with a clock that only moves when somebody waits.
 * Include it after the implementation and test.h.
 *
 *     script_ok(s, "GetSandbox", "{\"sandboxId\":\"sb-1\",...}");   // replies, first come first
 *     script_error(s, "GetSandbox", "unavailable", "text", NULL);   // served, by RPC name
 *     script_end(s, "CreateSandbox", CWS_END_LOST);                 // the transport fails
 *     script_raw(s, "GetSandbox", 503, "text/html", "<p>", 3);      // any bytes
 *     script_stream(s, "{}", "{\"ready\":{}}", ..., NULL);          // StreamExec; NULL: no end
 *     script_logs(s, "{}", "{\"data\":\"YQ==\"}", ..., NULL);       // StreamLogs
 *     script_never(s, "DeleteSandbox");                             // silence
 * Each returns the reply for adjustment: ->delay (fake ms before the head), ->chunk (bytes per
 * report), ->gap (fake ms between reports), ->times (how often it serves; -1: always, also never),
 * ->headers, ->status, ->end, ->note, ->size (bytes of the body that come before the end), ->loops
 * (how often the bytes from ->loop_from to ->loop_to come once more).
 *
 * Afterwards: script_calls(s) is "CreateSandbox GetSandbox"; script_call_at(s, "GetSandbox", i)
 * tells when the call came, its request as JSON, its headers and its timeout.
 *
 * Requests to W&B are calls of the names "graphql" and "file_stream"; reply with script_raw.
 *
 * With s->b2 all names and messages are those of v1beta2; with s->v1_words as well they are written
 * and read as v1 has them, and played in v1beta2 (words.h).
 *
 * With s->grpc the replies, which are written as Connect has them, are translated: envelopes, and
 * the outcome in trailers, or in the head (every other time) where there is nothing but an outcome.
 *
 * The transport's side of the contract is asserted: one cancel for each open exchange and nothing
 * reported after it, no call of the transport from inside a report, body bytes that stay in place
 * until the end. Broken rules are counted in s->broken, with the first in s->rule.
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "decode_json.h"
#include "grpc.h"
#include "words.h"

#define SCRIPT_MAX_HEADERS 6
#define READY "{\"ready\":{}}" /* the first message of a command's stream */

typedef struct script_reply {
    char rpc[40];
    int status; /* HTTP */
    int http_major;
    const char *content_type; /* NULL: none */
    cws_header headers[SCRIPT_MAX_HEADERS];
    size_t header_count;
    cws_header trailers[GRPC_FIELDS];
    size_t trailer_count;
    bool translated; /* to gRPC */
    bool hold;       /* the end is never reported */
    size_t until_fin; /* bytes of the body that come before the request has ended; 0: all */
    bool deaf;       /* goes on when the library wants no more: a transport with a mistake */
    size_t loop_from, loop_to, loops;
    char *body;
    size_t size, room; /* room: of the block, once something was appended */
    bool never;    /* nothing is ever reported */
    bool headless; /* the end comes without a head */
    cws_end end;
    int32_t note; /* the transport's own code */
    const char *note_text;
    int64_t delay, gap;
    size_t chunk; /* 0: all at once */
    int times;
    int used;
    struct script_reply *next;
} script_reply;

typedef struct script_call {
    char rpc[40];
    int64_t at, timeout_ms, ended_at; /* ended_at: when it was cancelled or released */
    char *json;                       /* the request */
    char *headers;                    /* "name: value\n" for each, in order */
    char *url;
    char *method;
    bool full_duplex, cancelled, reported_end;
    bool more_body; /* the request has not ended with its first message */
    cwsi_buf sent; /* what came through send, envelopes and all */
    size_t sent_bytes;
    bool fin;
    int64_t fin_at;
    size_t closings, openings; /* of the window */
    size_t reported;           /* bytes of the body */
} script_call;

typedef struct script_exchange {
    struct script *s;
    cws_exchange *ex;
    script_reply *reply;
    size_t call; /* index of its record */
    const void *body;
    char *body_copy;
    size_t body_size;
    bool head_done, over, refused; /* refused: the library wants no more data */
    bool more_body, full; /* full: did not take all; reports when there is room */
    bool closed;          /* the window: nothing is reported */
    size_t looped;
    size_t taken;         /* since the last poll */
    size_t sent;
    int64_t next_at;
    struct script_exchange *next;
} script_exchange;

typedef struct script {
    int64_t now;
    uint64_t seed; /* of the random hook */
    uint64_t fixed_random; /* what the hook returns if use_fixed */
    bool use_fixed;
    script_reply *first, *last;
    script_exchange *open;
    script_call *calls;
    size_t call_count, call_cap;
    size_t opens, cancels, closes, polls, performs, unexpected;
    cws_status refuse_open; /* what open returns instead of opening */
    bool grpc;
    bool b2; /* the dialect: calls and messages are those of v1beta2 */
    bool v1_words; /* but the script is in v1 */
    size_t send_most; /* bytes that are taken between two polls; 0: any */
    bool forget;      /* what is sent is counted only */
    bool in_report, in_poll;
    size_t broken;
    char rule[160];
    cwsi_mem mem; /* not the one under test */
    cwsi_arena arena;
    char names[4096]; /* script_calls */
    cws_transport transport;
} script;

static script *script_now; /* whose clock the sleep of the blocking tier moves */

TEST_FN void script_break(script *s, const char *rule, const char *what)
{
    if (s->broken++ == 0) (void)snprintf(s->rule, sizeof(s->rule), "%s (%s)", rule, what);
}

/* ---- hooks */

TEST_FN int64_t script_monotonic(void *user) { return ((script *)user)->now; }

TEST_FN int64_t script_unix(void *user) { return 1700000000000 + ((script *)user)->now; }

TEST_FN void script_random(void *out, size_t size, void *user)
{
    script *s = (script *)user;
    unsigned char *p = (unsigned char *)out;
    size_t i;
    if (s->use_fixed) {
        memset(out, 0, size);
        memcpy(out, &s->fixed_random, size < 8 ? size : 8);
        return;
    }
    for (i = 0; i < size; i++) {
        s->seed = s->seed * 6364136223846793005ULL + 1442695040888963407ULL;
        p[i] = (unsigned char)(s->seed >> 56);
    }
}

/* What select() is while the implementation is compiled: the blocking tier's way to wait. */
TEST_FN int script_sleep(struct timeval *tv)
{
    if (!script_now || !tv) abort();
    script_now->now += (int64_t)tv->tv_sec * 1000 + tv->tv_usec / 1000;
    return 0;
}

/* ---- writing the script */

TEST_FN char *script_text(script *s, const char *text)
{
    char *copy = cwsi_arena_copy(&s->arena, text, strlen(text));
    if (!copy) abort();
    return copy;
}

/* The RPC with this name in any service of the dialect. */
TEST_FN const cwsi_rpc *script_rpc_of(const char *name, bool b2)
{
    const char *service = b2 ? "/coreweave.sandbox.v1beta2." : "/coreweave.sandbox.v1.";
    int i;
    for (i = 0; i < CWSI_RPC_COUNT; i++) {
        const cwsi_rpc *rpc = cwsi_rpc_at((cwsi_rpc_id)i);
        const char *slash = strrchr(rpc->path, '/');
        if (strncmp(rpc->path, service, strlen(service)) == 0 && strcmp(slash + 1, name) == 0)
            return rpc;
    }
    printf("script: no such RPC: %s\n", name);
    abort();
}

/* The same in the dialect of the script at hand. */
TEST_FN const cwsi_rpc *script_rpc(const char *name)
{
    bool b2 = script_now && script_now->b2;
    return script_rpc_of(b2 && script_now->v1_words ? words_native(name) : name, b2);
}

TEST_FN void *script_parse(script *s, cwsi_msg_id id, const char *json)
{
    void *msg;
    if (cwsi_decode_json(&s->arena, id, cwsi_str_of(json), &msg)) {
        printf("script: not a %s: %s\n", cwsi_msg_name(id), json);
        abort();
    }
    return msg;
}

TEST_FN cwsi_str script_pack(script *s, cwsi_msg_id id, const void *msg)
{
    cwsi_buf buf;
    cwsi_str out;
    cwsi_buf_init(&buf, &s->mem, SIZE_MAX / 2);
    if (cwsi_encode(&buf, id, msg)) abort();
    out.len = buf.len;
    out.at = cwsi_arena_copy(&s->arena, buf.len ? buf.at : "", buf.len);
    cwsi_buf_free(&buf);
    return out;
}

/* A message as protobuf, from its JSON. */
TEST_FN cwsi_str script_encode(script *s, cwsi_msg_id id, const char *json)
{
    return script_pack(s, id, script_parse(s, id, json));
}

/* A message of a reply. second: what comes behind it in the stream, or empty. */
TEST_FN cwsi_str script_encode_reply(script *s, const char *rpc, const char *json,
                                     cwsi_str *second)
{
    cwsi_msg_id id = script_rpc(rpc)->response, from = id;
    void *msg, *more;
    if (s->v1_words) from = script_rpc_of(rpc, false)->response;
    msg = script_parse(s, from, json);
    more = s->v1_words ? words_second(&s->arena, from, msg) : NULL;
    *second = more ? script_pack(s, id, more) : cwsi_str_of("");
    return script_pack(s, id, s->v1_words ? words_reply(&s->arena, from, msg, id) : msg);
}

/* The same where nothing can come behind it. */
TEST_FN cwsi_str script_bytes(script *s, const char *rpc, const char *json)
{
    cwsi_str second;
    return script_encode_reply(s, rpc, json, &second);
}

/* A request, and in *id what message it is in the words of the script; NULL if it is none. */
TEST_FN void *script_unpack(script *s, const cwsi_rpc *rpc, cwsi_str in, cwsi_msg_id *id)
{
    void *msg;
    *id = rpc->request;
    if (cwsi_decode(&s->arena, *id, in, &msg)) return NULL;
    if (!s->v1_words || *id == CWSI_M_b2_StartSandboxRequest) return msg;
    *id = script_rpc_of(words_of(strrchr(rpc->path, '/') + 1), false)->request;
    return words_request(&s->arena, rpc->request, msg, *id);
}

/* The same as JSON. */
TEST_FN char *script_unpack_json(script *s, const cwsi_rpc *rpc, cwsi_str in)
{
    cwsi_msg_id id;
    cwsi_buf text;
    char *out = NULL;
    void *msg = script_unpack(s, rpc, in, &id);
    cwsi_buf_init(&text, &s->mem, SIZE_MAX / 2);
    if (msg && cwsi_encode_json(&text, &s->arena, id, msg, false) == CWS_OK)
        out = cwsi_arena_copy(&s->arena, text.len ? text.at : "", text.len);
    cwsi_buf_free(&text);
    return out;
}

/* A message of a command's input; NULL if it is none. */
TEST_FN const cwsi_v1_ExecStreamRequest *script_input(script *s, cwsi_str body)
{
    cwsi_msg_id id;
    void *msg = script_unpack(s, script_rpc("StreamExec"), body, &id);
    return id == CWSI_M_v1_ExecStreamRequest ? (const cwsi_v1_ExecStreamRequest *)msg : NULL;
}

TEST_FN script_reply *script_add(script *s, const char *rpc)
{
    script_reply *r = (script_reply *)cwsi_arena_alloc(&s->arena, sizeof(*r));
    if (!r) abort();
    (void)snprintf(r->rpc, sizeof(r->rpc), "%s", rpc);
    r->status = 200;
    r->http_major = 2;
    r->times = 1;
    r->content_type = "application/proto";
    if (s->last) s->last->next = r;
    else s->first = r;
    s->last = r;
    return r;
}

TEST_FN void script_body(script *s, script_reply *r, const void *data, size_t size)
{
    r->body = cwsi_arena_copy(&s->arena, size ? (const char *)data : "", size);
    r->size = size;
    r->room = 0;
}

TEST_FN void script_header(script_reply *r, const char *name, const char *value)
{
    if (r->header_count >= SCRIPT_MAX_HEADERS) abort();
    r->headers[r->header_count].name = name;
    r->headers[r->header_count++].value = value;
}

TEST_FN script_reply *script_raw(script *s, const char *rpc, int status, const char *type,
                                 const void *body, size_t size)
{
    script_reply *r = script_add(s, rpc);
    r->status = status;
    r->content_type = type;
    script_body(s, r, body, size);
    return r;
}

TEST_FN script_reply *script_ok(script *s, const char *rpc, const char *json)
{
    script_reply *r = script_add(s, rpc);
    cwsi_str body = script_bytes(s, rpc, json);
    script_body(s, r, body.at, body.len);
    return r;
}

TEST_FN script_reply *script_end(script *s, const char *rpc, cws_end end)
{
    script_reply *r = script_add(s, rpc);
    r->headless = true;
    r->end = end;
    return r;
}

TEST_FN script_reply *script_never(script *s, const char *rpc)
{
    script_reply *r = script_add(s, rpc);
    r->never = true;
    return r;
}

/* One element of "details": a google.rpc message from its JSON. */
TEST_FN char *script_detail(script *s, const char *type, const char *json)
{
    cwsi_msg_id id = cwsi_msg_by_name(cwsi_str_of(type));
    const char *value;
    char *out;
    if (id == CWSI_MSG_COUNT) abort();
    value = grpc_base64(&s->arena, script_encode(s, id, json));
    out = (char *)cwsi_arena_alloc(&s->arena, strlen(value) + strlen(type) + 40);
    (void)sprintf(out, "{\"type\":\"%s\",\"value\":\"%s\"}", type, value);
    return out;
}

TEST_FN char *script_reason(script *s, const char *reason, const char *domain)
{
    char json[400];
    (void)snprintf(json, sizeof(json), "{\"reason\":\"%s\",\"domain\":\"%s\"}", reason, domain);
    return script_detail(s, "google.rpc.ErrorInfo", json);
}

TEST_FN char *script_hint(script *s, const char *delay)
{
    char json[100];
    (void)snprintf(json, sizeof(json), "{\"retryDelay\":\"%s\"}", delay);
    return script_detail(s, "google.rpc.RetryInfo", json);
}

/* The JSON of a Connect error. details: elements separated by commas, or NULL. */
TEST_FN char *script_error_json(script *s, const char *code, const char *text, const char *details)
{
    char *out = (char *)cwsi_arena_alloc(&s->arena, strlen(text) + 200 +
                                                        (details ? strlen(details) : 0));
    (void)sprintf(out, "{\"code\":\"%s\",\"message\":\"%s\"%s%s%s}", code, text,
                  details ? ",\"details\":[" : "", details ? details : "", details ? "]" : "");
    return out;
}

/* A Connect error; unary. The HTTP status is the one servers send with the code. */
TEST_FN script_reply *script_error(script *s, const char *rpc, const char *code, const char *text,
                                   const char *details)
{
    static const int http[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                               400, 409, 400, 501, 500, 503, 500, 401};
    const char *json = script_error_json(s, code, text, details);
    return script_raw(s, rpc, http[cwsi_code_by_name(cwsi_str_of(code))], "application/json", json,
                      strlen(json));
}

/* Append an envelope to a reply's body. */
TEST_FN void script_envelope(script *s, script_reply *r, unsigned flags, const void *data,
                             size_t size)
{
    if (r->room < r->size + 5 + size) {
        size_t room = 2 * r->size + 5 + size;
        char *body = (char *)cwsi_arena_alloc(&s->arena, room);
        if (!body) abort();
        if (r->size) memcpy(body, r->body, r->size);
        r->body = body;
        r->room = room;
    }
    cwsi_envelope_head(r->body + r->size, flags, size);
    if (size) memcpy(r->body + r->size + 5, data, size);
    r->size += 5 + size;
}

TEST_FN void script_message(script *s, script_reply *r, const char *json)
{
    cwsi_str second, m = script_encode_reply(s, r->rpc, json, &second);
    script_envelope(s, r, 0, m.at, m.len);
    if (second.len) script_envelope(s, r, 0, second.at, second.len);
}

TEST_FN script_reply *script_stream_of(script *s, const char *rpc)
{
    script_reply *r = script_add(s, rpc);
    r->content_type = "application/connect+proto";
    script_body(s, r, "", 0);
    return r;
}

TEST_FN script_reply *script_stream_empty(script *s) { return script_stream_of(s, "StreamExec"); }

/* What ends a log in v1beta2, before the stream ends well. */
TEST_FN void script_complete(script *s, script_reply *r)
{
    cwsi_str m;
    if (!s->v1_words || strcmp(r->rpc, "StreamLogs") != 0) return;
    m = script_encode(s, CWSI_M_b2_LogStreamResponse, "{\"complete\":{}}");
    script_envelope(s, r, 0, m.at, m.len);
}

TEST_FN void script_messages(script *s, script_reply *r, const char *end, va_list args)
{
    const char *json;
    while ((json = va_arg(args, const char *)) != NULL) script_message(s, r, json);
    if (end && strcmp(end, "{}") == 0) script_complete(s, r);
    if (end) script_envelope(s, r, 2, end, strlen(end));
}

/* A StreamExec reply: messages as JSON, ended by NULL; end: the end-of-stream message or NULL. */
TEST_FN script_reply *script_stream(script *s, const char *end, ...)
{
    script_reply *r = script_stream_empty(s);
    va_list args;
    va_start(args, end);
    script_messages(s, r, end, args);
    va_end(args);
    return r;
}

/* The same for StreamLogs. */
TEST_FN script_reply *script_logs(script *s, const char *end, ...)
{
    script_reply *r = script_stream_of(s, "StreamLogs");
    va_list args;
    va_start(args, end);
    script_messages(s, r, end, args);
    va_end(args);
    return r;
}

TEST_FN char *script_output(script *s, const char *stream, const void *data, size_t size)
{
    cwsi_str in;
    const char *b64;
    char *out;
    in.at = (const char *)data;
    in.len = size;
    b64 = grpc_base64(&s->arena, in);
    out = (char *)cwsi_arena_alloc(&s->arena, strlen(b64) + 80);
    (void)sprintf(out, "{\"output\":{\"stream\":\"STREAM_%s\",\"data\":\"%s\"}}", stream, b64);
    return out;
}

/* A reply as gRPC has it. The outcome stands behind the body or, if there is none, sometimes in the
 * head. */
TEST_FN void script_to_grpc(script *s, script_reply *r)
{
    grpc_reply g;
    size_t i;
    if (r->translated || r->headless || r->never || !r->content_type) return;
    r->translated = true;
    for (i = 0; i < r->header_count; i++)
        if (cwsi_same_nocase(r->headers[i].name, "content-encoding") ||
            cwsi_same_nocase(r->headers[i].name, "connect-content-encoding"))
            r->headers[i].name = "grpc-encoding";
    memset(&g, 0, sizeof(g));
    g.arena = &s->arena;
    g.status = r->status;
    g.type = r->content_type;
    g.body.at = r->body;
    g.body.len = r->size;
    grpc_translate(&g);
    r->status = g.status;
    r->content_type = g.type;
    script_body(s, r, g.body.at, g.body.len);
    r->trailer_count = g.count;
    memcpy(r->trailers, g.fields, sizeof(g.fields));
    if (r->size || g.count < 2 || s->opens % 2) return;
    for (r->trailer_count = 0; g.count; g.count--)
        script_header(r, g.fields[g.count - 1].name, g.fields[g.count - 1].value);
}

/* ---- reading what happened */

TEST_FN const char *script_calls(script *s)
{
    size_t i, n = 0;
    s->names[0] = '\0';
    for (i = 0; i < s->call_count; i++)
        n += (size_t)snprintf(s->names + n, n < sizeof(s->names) ? sizeof(s->names) - n : 0, "%s%s",
                              i ? " " : "", s->calls[i].rpc);
    return s->names;
}

TEST_FN size_t script_count(const script *s, const char *rpc)
{
    size_t i, n = 0;
    for (i = 0; i < s->call_count; i++) n += strcmp(s->calls[i].rpc, rpc) == 0;
    return n;
}

/* The i-th call of that name; an empty one if there is none. */
TEST_FN const script_call *script_call_at(const script *s, const char *rpc, size_t index)
{
    static const script_call none = {"", -1, -1, -1, (char *)"", (char *)"", (char *)"",
                                     (char *)"", false, false, false, false, {0}, 0, false, -1, 0,
                                     0, 0};
    size_t i;
    for (i = 0; i < s->call_count; i++)
        if (strcmp(s->calls[i].rpc, rpc) == 0 && index-- == 0) return &s->calls[i];
    return &none;
}

TEST_FN const char *script_json(const script *s, const char *rpc, size_t index)
{
    return script_call_at(s, rpc, index)->json;
}

/* Pauses between the starts of calls of that name, "200 300 450". */
TEST_FN const char *script_gaps(script *s, const char *rpc)
{
    size_t i, n = 0;
    int64_t last = -1;
    s->names[0] = '\0';
    for (i = 0; i < s->call_count; i++) {
        if (strcmp(s->calls[i].rpc, rpc) != 0) continue;
        if (last >= 0 && n < sizeof(s->names) - 30)
            n += (size_t)snprintf(s->names + n, sizeof(s->names) - n, "%s%lld", n ? " " : "",
                                  (long long)(s->calls[i].at - last));
        last = s->calls[i].at;
    }
    return s->names;
}

/* ---- the transport */

/* Requests that are no calls: those to W&B, which are recorded as the JSON that they are. */
TEST_FN bool script_is_plain(const char *rpc)
{
    return strcmp(rpc, "graphql") == 0 || strcmp(rpc, "file_stream") == 0;
}

/* NULL if it is no JSON. */
TEST_FN char *script_plain(script *s, cwsi_str in)
{
    return cwsi_json_is_object(in) ? cwsi_arena_copy(&s->arena, in.at, in.len) : NULL;
}

TEST_FN size_t script_record(script *s, const cws_http_request *q)
{
    script_call *call;
    const char *slash = strrchr(q->url, '/');
    const cwsi_rpc *rpc;
    cwsi_buf text;
    cwsi_str in;
    size_t i;
    bool plain;
    if (s->call_count == s->call_cap) {
        s->call_cap = s->call_cap ? s->call_cap * 2 : 32;
        s->calls = (script_call *)realloc(s->calls, s->call_cap * sizeof(*s->calls));
        if (!s->calls) abort();
    }
    call = &s->calls[s->call_count];
    memset(call, 0, sizeof(*call));
    call->at = s->now;
    call->ended_at = -1;
    call->timeout_ms = q->timeout_ms;
    call->full_duplex = q->full_duplex;
    call->more_body = q->more_body;
    call->url = script_text(s, q->url);
    call->method = script_text(s, q->method);
    (void)snprintf(call->rpc, sizeof(call->rpc), "%s", slash ? slash + 1 : "?");
    plain = script_is_plain(call->rpc);
    rpc = plain ? NULL : script_rpc_of(call->rpc, s->b2);
    if (rpc && !strstr(q->url, rpc->path)) script_break(s, "a call is one of the dialect", q->url);
    if (s->v1_words) (void)snprintf(call->rpc, sizeof(call->rpc), "%s", words_of(slash + 1));
    cwsi_buf_init(&text, &s->mem, SIZE_MAX / 2);
    for (i = 0; i < q->header_count; i++) {
        (void)cwsi_put_text(&text, q->headers[i].name);
        (void)cwsi_put_text(&text, ": ");
        (void)cwsi_put_text(&text, q->headers[i].value);
        (void)cwsi_put_char(&text, '\n');
    }
    call->headers = script_text(s, text.at ? text.at : "");
    cwsi_buf_free(&text);
    in.at = (const char *)q->body;
    in.len = q->body_size;
    if (!in.at != !in.len) script_break(s, "body is NULL exactly if it is empty", call->rpc);
    if (q->trailers != (s->grpc && !plain)) script_break(s, "gRPC asks for trailers", call->rpc);
    cwsi_buf_init(&call->sent, &s->mem, SIZE_MAX / 2);
    call->fin_at = -1;
    if (rpc && (rpc->kind != CWSI_UNARY || s->grpc)) {
        unsigned flags = 9;
        if (in.len < 5 || cwsi_envelope_read(in.at, &flags) != in.len - 5 || flags)
            script_break(s, "a stream's request is one whole envelope", call->rpc);
        else in.at += 5, in.len -= 5;
    }
    call->json = rpc ? script_unpack_json(s, rpc, in) : script_plain(s, in);
    if (!call->json) {
        script_break(s, rpc ? "a request can be decoded" : "a request is JSON", call->rpc);
        call->json = script_text(s, "");
    }
    if (q->timeout_ms <= 0) script_break(s, "timeout_ms is above 0", call->rpc);
    return s->call_count++;
}

/* The next reply for this RPC. */
TEST_FN script_reply *script_take(script *s, const char *rpc)
{
    script_reply *r;
    char json[100];
    for (r = s->first; r; r = r->next)
        if (strcmp(r->rpc, rpc) == 0 && (r->times < 0 || r->used < r->times)) break;
    if (!r) {
        s->unexpected++;
        printf("    not in the script: call %lu, %s\n", (unsigned long)s->call_count, rpc);
        (void)snprintf(json, sizeof(json), "{\"code\":\"failed_precondition\",\"message\":\"%s\"}",
                       "not in the script");
        r = script_raw(s, rpc, 400, "application/json", json, strlen(json));
    }
    r->used++;
    if (s->grpc && !script_is_plain(rpc)) script_to_grpc(s, r);
    return r;
}

TEST_FN void script_report_head(script *s, script_reply *r, cws_exchange *ex)
{
    cws_header headers[SCRIPT_MAX_HEADERS + 1];
    size_t n = 0, i;
    if (r->content_type) {
        headers[n].name = "Content-Type";
        headers[n++].value = r->content_type;
    }
    for (i = 0; i < r->header_count; i++) headers[n++] = r->headers[i];
    s->in_report = true;
    cws_exchange_head(ex, r->status, r->http_major, headers, n);
    s->in_report = false;
    memset(headers, 0, sizeof(headers));
}

/* One report of data, from a block that is gone right after it. */
TEST_FN bool script_report_data(script *s, cws_exchange *ex, const char *data, size_t size)
{
    char *copy = (char *)malloc(size ? size : 1);
    bool more;
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    s->in_report = true;
    more = cws_exchange_data(ex, copy, size);
    s->in_report = false;
    free(copy);
    return more;
}

TEST_FN void script_report_note(script *s, script_reply *r, cws_exchange *ex)
{
    if (!r->note && !r->note_text) return;
    s->in_report = true;
    cws_exchange_note(ex, r->note, r->note_text);
    s->in_report = false;
}

TEST_FN cws_status script_open(void *user, const cws_http_request *q, cws_exchange *ex,
                               void **handle)
{
    script *s = (script *)user;
    script_exchange *x;
    size_t call;
    if (s->in_report) script_break(s, "no open inside a report", q->url);
    call = script_record(s, q);
    if (s->refuse_open) return s->refuse_open;
    x = (script_exchange *)calloc(1, sizeof(*x));
    if (!x) abort();
    x->s = s;
    x->ex = ex;
    x->call = call;
    x->reply = script_take(s, s->calls[call].rpc);
    x->more_body = q->more_body;
    x->body = q->body;
    x->body_size = q->body_size;
    x->body_copy = (char *)malloc(q->body_size + 1);
    if (!x->body_copy) abort();
    if (q->body_size) memcpy(x->body_copy, q->body, q->body_size);
    x->next_at = x->reply->never ? INT64_MAX : s->now + x->reply->delay;
    x->next = s->open;
    s->open = x;
    s->opens++;
    *handle = x;
    return CWS_OK;
}

TEST_FN size_t script_send(void *user, void *handle, const void *data, size_t size, bool fin)
{
    script *s = (script *)user;
    script_exchange *x = (script_exchange *)handle;
    script_call *call = &s->calls[x->call];
    size_t room = s->send_most ? s->send_most - x->taken : size, n = size < room ? size : room;
    if (!x->more_body) script_break(s, "send is not used without more_body", call->rpc);
    if (s->in_report) script_break(s, "no send inside a report", call->rpc);
    if (call->fin) script_break(s, "nothing is sent behind the end", call->rpc);
    if (n && !s->forget && !cwsi_put(&call->sent, data, n)) abort();
    call->sent_bytes += n;
    x->taken += n;
    x->full = n < size;
    if (fin && n == size) {
        call->fin = true;
        call->fin_at = s->now;
        if (!x->over && x->next_at == INT64_MAX) x->next_at = s->now;
    }
    return n;
}

/* Is there more from `at` on of what came through send? */
TEST_FN bool script_more_sent(const script_call *call, size_t at)
{
    return call->sent.len - at >= CWSI_ENVELOPE;
}

/* The message that begins there; at moves behind it. False: it is not whole, or has flags. */
TEST_FN bool script_next_sent(const script_call *call, size_t *at, cwsi_str *body)
{
    unsigned flags;
    body->at = call->sent.at + *at + CWSI_ENVELOPE;
    body->len = cwsi_envelope_read(call->sent.at + *at, &flags);
    *at += CWSI_ENVELOPE + body->len;
    return flags == 0 && *at <= call->sent.len;
}

/* The i-th message that came through send in a call, as JSON; NULL if there is none. */
TEST_FN const char *script_sent_in(script *s, const script_call *call, size_t index)
{
    size_t at = 0;
    while (script_more_sent(call, at)) {
        cwsi_str body;
        if (!script_next_sent(call, &at, &body)) return NULL;
        if (index--) continue;
        return script_unpack_json(s, script_rpc(call->rpc), body);
    }
    return NULL;
}

/* The same of the first call. */
TEST_FN const char *script_sent(script *s, const char *rpc, size_t index)
{
    return script_sent_in(s, script_call_at(s, rpc, 0), index);
}

TEST_FN void script_window(void *user, void *handle, bool open)
{
    script *s = (script *)user;
    script_exchange *x = (script_exchange *)handle;
    script_call *call = &s->calls[x->call];
    if (open != x->closed) script_break(s, "the window is told of changes", call->rpc);
    if (x->over) script_break(s, "an exchange that has ended has no window", call->rpc);
    x->closed = !open;
    if (open) call->openings++;
    else call->closings++;
}

TEST_FN void script_cancel(void *user, void *handle)
{
    script *s = (script *)user;
    script_exchange *x = (script_exchange *)handle, **link;
    for (link = &s->open; *link && *link != x; link = &(*link)->next) {}
    if (!*link) {
        script_break(s, "cancel comes once for an exchange", "cancel");
        return;
    }
    if (s->in_report) script_break(s, "no cancel inside a report", s->calls[x->call].rpc);
    *link = x->next;
    s->cancels++;
    s->calls[x->call].cancelled = !x->over;
    s->calls[x->call].reported_end = x->over;
    s->calls[x->call].ended_at = s->now;
    free(x->body_copy);
    free(x);
}

/* One step of one exchange: head, then a piece of data per turn, then the end. */
TEST_FN void script_step(script *s, script_exchange *x)
{
    script_reply *r = x->reply;
    size_t left, n;
    if (x->body_size && memcmp(x->body, x->body_copy, x->body_size) != 0)
        script_break(s, "the body stays until the end of the exchange", r->rpc);
    if (!x->head_done && !r->headless) script_report_head(s, r, x->ex);
    x->head_done = true;
    left = r->headless ? 0 : r->size - x->sent;
    if (r->until_fin && !s->calls[x->call].fin) {
        left = x->sent < r->until_fin ? r->until_fin - x->sent : 0;
        if (left == 0) { /* it waits for the end of the request */
            x->next_at = INT64_MAX;
            return;
        }
    }
    n = r->chunk && r->chunk < left ? r->chunk : left;
    if (x->looped < r->loops && n > r->loop_to - x->sent) n = r->loop_to - x->sent;
    if (n && !x->refused) {
        x->sent += n;
        s->calls[x->call].reported += n;
        if (!script_report_data(s, x->ex, r->body + x->sent - n, n)) x->refused = !r->deaf;
        left -= n;
    }
    if (x->looped < r->loops && x->sent == r->loop_to) {
        x->looped++;
        x->sent = r->loop_from;
        left += r->loop_to - r->loop_from;
    }
    x->next_at = s->now + r->gap;
    if (x->closed && !x->refused) return; /* the end waits too */
    if (x->refused) x->next_at = INT64_MAX; /* it must be cancelled now */
    if (left || x->refused) return;
    if (x->sent < r->size && !r->headless) return;
    if (r->hold) {
        x->next_at = INT64_MAX;
        return;
    }
    script_report_note(s, r, x->ex);
    x->over = true;
    x->next_at = INT64_MAX;
    s->in_report = true;
    if (r->trailer_count && (r->end == CWS_END_OK || r->deaf))
        cws_exchange_trailers(x->ex, r->trailers, r->trailer_count);
    cws_exchange_end(x->ex, r->end);
    s->in_report = false;
}

TEST_FN cws_status script_poll(void *user, int timeout_ms)
{
    script *s = (script *)user;
    script_exchange *x;
    int64_t due = INT64_MAX;
    if (s->in_report || s->in_poll) script_break(s, "no poll inside a poll", "poll");
    if (timeout_ms < 0) script_break(s, "poll has a timeout", "poll");
    if (++s->polls > 3000000) {
        printf("script: the loop does not end in: %s\n", test_g.name ? test_g.name : "?");
        abort();
    }
    for (x = s->open; x; x = x->next) {
        int64_t at = x->closed && !x->over ? INT64_MAX : x->next_at;
        if (x->full && !x->over && at > s->now) at = s->now + 1;
        if (at < due) due = at;
    }
    if (due > s->now + timeout_ms) {
        s->now += timeout_ms;
        return CWS_OK;
    }
    if (due > s->now) s->now = due;
    s->in_poll = true;
    for (x = s->open; x; x = x->next) {
        x->taken = 0;
        if (x->full && !x->over) {
            x->full = false;
            s->in_report = true;
            cws_exchange_writable(x->ex);
            s->in_report = false;
        }
        if (x->next_at <= s->now && (!x->closed || x->over)) script_step(s, x);
    }
    s->in_poll = false;
    return CWS_OK;
}

TEST_FN void script_close(void *user) { ((script *)user)->closes++; }

/* The blocking tier. */
TEST_FN cws_end script_perform(void *user, const cws_http_request *q, cws_exchange *ex)
{
    script *s = (script *)user;
    size_t call = script_record(s, q), at = 0, n;
    script_reply *r = script_take(s, s->calls[call].rpc);
    int64_t until = s->now + q->timeout_ms;
    if (++s->performs > 100000) abort();
    if (q->full_duplex) script_break(s, "the blocking tier carries no stream", q->url);
    if (r->never || s->now + r->delay >= until) {
        s->now = until;
        return CWS_END_TIMEOUT;
    }
    s->now += r->delay;
    if (!r->headless) {
        script_report_head(s, r, ex);
        for (; at < r->size; at += n) {
            n = r->chunk && r->chunk < r->size - at ? r->chunk : r->size - at;
            if (!script_report_data(s, ex, r->body + at, n)) return CWS_END_LOST;
        }
    }
    script_report_note(s, r, ex);
    return r->end;
}

TEST_FN void script_init(script *s, bool blocking_tier)
{
    memset(s, 0, sizeof(*s));
    s->now = 1000000;
    s->seed = 42;
    s->mem.allocator.resize = cwsi_default_resize;
    s->mem.limit = SIZE_MAX;
    cwsi_arena_init(&s->arena, &s->mem);
    s->transport.user = s;
    s->transport.close = script_close;
    if (blocking_tier) {
        s->transport.perform = script_perform;
    } else {
        s->transport.open = script_open;
        s->transport.send = script_send;
        s->transport.window = script_window;
        s->transport.cancel = script_cancel;
        s->transport.poll = script_poll;
        s->transport.full_duplex = s->transport.trailers = true;
    }
    script_now = s;
}

/* After the client is gone: what is wrong, as checks of the running test. */
TEST_FN void script_verify(script *s)
{
    script_reply *r;
    if (!CHECK(s->broken == 0)) printf("    %s\n", s->rule);
    CHECK_INT(s->unexpected, 0);
    CHECK_INT(s->opens, s->cancels);
    CHECK(s->open == NULL);
    for (r = s->first; r; r = r->next)
        if (r->times > 0 && r->used < r->times) {
            CHECK(!"a reply of the script was not asked for");
            printf("    %s, %d of %d\n", r->rpc, r->used, r->times);
        }
}

TEST_FN void script_free(script *s)
{
    size_t i;
    while (s->open) script_cancel(s, s->open);
    for (i = 0; i < s->call_count; i++) cwsi_buf_free(&s->calls[i].sent);
    cwsi_arena_clear(&s->arena);
    free(s->calls);
    script_now = NULL;
}

#endif /* SCRIPT_H */
