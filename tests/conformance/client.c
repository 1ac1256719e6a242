/* SPDX-License-Identifier: MIT
 *
 * The client under test of the Connect conformance suite: reads ClientCompatRequest messages from
 * standard input, makes each call with the library's call, wire and curl layers, and writes a
 * ClientCompatResponse for each to standard output. Both are preceded by a big-endian u32 length.
 * With --libcurl it only prints the version of libcurl. The messages' field numbers are those of
 * connectrpc.conformance.v1, client_compat.proto.
 *
 * A case is an operation of the library, with a kind of its own. What the library has no use for
 * (headers of a single call, metadata of replies) is added around it: a transport that wraps the
 * library's, and reports that are noted down before they are passed on.
 */
#define _GNU_SOURCE
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 256 /* headers, messages, clients */
#define FILE_NAME 64

enum { HTTP_1 = 1, HTTP_2 = 2 };                               /* HTTPVersion */
enum { CONNECT = 1, GRPC = 2 };                                /* Protocol */
enum { UNARY = 1, CLIENT, SERVER, HALF_DUPLEX, FULL_DUPLEX }; /* StreamType */

typedef struct pairs {
    cws_header at[MOST];
    size_t count;
} pairs;

/* One ClientCompatRequest. */
typedef struct request {
    cwsi_str test_name, host, service, method, ca, cert, key;
    uint64_t http_version, protocol, codec, compression, port, limit, stream_type, get;
    uint64_t timeout_ms, delay_ms, cancel_after_close_ms, cancel_after_responses;
    bool has_timeout, cancel, cancel_before_close, cancel_after_n;
    pairs headers;
    cwsi_str messages[MOST];
    size_t message_count;
} request;

/* A client for each kind of address and limits, kept so that connections are reused. */
typedef struct peer {
    char key[200];
    char files[3][FILE_NAME];
    cws_client *client;
    cws_transport inner; /* the library's; the client has ours around it */
} peer;

/* The call of one case. */
typedef struct test_case {
    cws_op op;
    const request *r;
    peer *peer;
    cwsi_rpc rpc;
    size_t sent, received;
    bool closed, canceled;
    int64_t next_send, closed_at;
    pairs head, trailers; /* of the reply */
    cwsi_buf payloads;    /* encoded, as fields of ClientResponseResult */
    cwsi_buf result;      /* the ClientResponseResult */
} test_case;

static cwsi_arena arena; /* everything that lasts as long as a case */
static cwsi_mem memory;
static peer peers[MOST];
static size_t peer_count;
static char directory[] = "/tmp/cws-conformance-XXXXXX";

static void fail(const char *what)
{
    fprintf(stderr, "conformance client: %s\n", what);
    exit(1);
}

static char *text_of(cwsi_str s)
{
    char *copy = cwsi_arena_copy(&arena, s.at ? s.at : "", s.len);
    if (!copy) fail("out of memory");
    return copy;
}

/* ---- reading a request */

/* The next field: its number, and its value as a number or as bytes. False at the end. */
static bool next_field(cwsi_reader *r, unsigned *number, uint64_t *value, cwsi_str *bytes)
{
    uint64_t tag;
    if (r->at == r->end) return false;
    if (!cwsi_read_varint(r, &tag)) fail("malformed request");
    *number = (unsigned)(tag >> 3);
    *value = 0;
    bytes->at = "";
    bytes->len = 0;
    switch (tag & 7) {
    case 0:
        if (!cwsi_read_varint(r, value)) fail("malformed number");
        break;
    case 2:
        if (!cwsi_read_bytes(r, bytes)) fail("malformed bytes");
        break;
    default:
        if (!cwsi_skip_value(r, tag)) fail("malformed field");
    }
    return true;
}

static cwsi_reader reader_of(cwsi_str s)
{
    cwsi_reader r;
    r.at = s.at;
    r.end = s.at + s.len;
    return r;
}

static void add_pair(pairs *to, const char *name, const char *value)
{
    if (to->count == MOST) fail("too many headers");
    to->at[to->count].name = name;
    to->at[to->count++].value = value;
}

/* Header: 1 name, 2 repeated value */
static void read_header(cwsi_str message, pairs *to)
{
    cwsi_reader r = reader_of(message);
    unsigned number;
    uint64_t value;
    cwsi_str bytes;
    const char *name = "";
    while (next_field(&r, &number, &value, &bytes)) {
        if (number == 1) name = text_of(bytes);
        if (number == 2) add_pair(to, name, text_of(bytes));
    }
}

/* The bytes field `want` of a message. */
static cwsi_str read_member(cwsi_str message, unsigned want)
{
    cwsi_reader r = reader_of(message);
    unsigned number;
    uint64_t value;
    cwsi_str bytes, found = cwsi_str_of("");
    while (next_field(&r, &number, &value, &bytes))
        if (number == want) found = bytes;
    return found;
}

static void read_cancel(cwsi_str message, request *q)
{
    cwsi_reader r = reader_of(message);
    unsigned number;
    uint64_t value;
    cwsi_str bytes;
    q->cancel = true;
    while (next_field(&r, &number, &value, &bytes)) {
        if (number == 1) q->cancel_before_close = true;
        if (number == 2) q->cancel_after_close_ms = value;
        if (number == 3) {
            q->cancel_after_n = true;
            q->cancel_after_responses = value;
        }
    }
}

static void read_request(cwsi_str message, request *q)
{
    cwsi_reader r = reader_of(message);
    unsigned number;
    uint64_t value;
    cwsi_str bytes;
    memset(q, 0, sizeof(*q));
    while (next_field(&r, &number, &value, &bytes)) {
        switch (number) {
        case 1: q->test_name = bytes; break;
        case 2: q->http_version = value; break;
        case 3: q->protocol = value; break;
        case 4: q->codec = value; break;
        case 5: q->compression = value; break;
        case 6: q->host = bytes; break;
        case 7: q->port = value; break;
        case 8: q->ca = bytes; break;
        case 9:
            q->cert = read_member(bytes, 1);
            q->key = read_member(bytes, 2);
            break;
        case 10: q->limit = value; break;
        case 11: q->service = bytes; break;
        case 12: q->method = bytes; break;
        case 13: q->stream_type = value; break;
        case 14: q->get = value; break;
        case 15: read_header(bytes, &q->headers); break;
        case 16: /* Any: 1 type_url, 2 value */
            if (q->message_count == MOST) fail("too many messages");
            q->messages[q->message_count++] = read_member(bytes, 2);
            break;
        case 17:
            q->has_timeout = true;
            q->timeout_ms = value;
            break;
        case 18: q->delay_ms = value; break;
        case 19: read_cancel(bytes, q); break;
        case 20: fail("raw requests are not for clients under test"); break;
        default: break;
        }
    }
}

/* ---- writing a response */

static void put_bytes(cwsi_buf *out, unsigned number, const char *data, size_t size)
{
    cwsi_put_varint(out, number << 3 | 2);
    cwsi_put_varint(out, size);
    if (!cwsi_put(out, data, size)) fail("out of memory");
}

static void put_text(cwsi_buf *out, unsigned number, const char *text)
{
    put_bytes(out, number, text, strlen(text));
}

static void put_number(cwsi_buf *out, unsigned number, uint64_t value)
{
    cwsi_put_varint(out, number << 3);
    cwsi_put_varint(out, value);
}

/* One Header for each name, with all of its values. */
static void put_pairs(cwsi_buf *out, unsigned number, const pairs *p)
{
    size_t i, k;
    for (i = 0; i < p->count; i++) {
        cwsi_buf header;
        bool seen = false;
        for (k = 0; k < i && !seen; k++) seen = cwsi_same_nocase(p->at[i].name, p->at[k].name);
        if (seen) continue;
        cwsi_buf_init(&header, &memory, SIZE_MAX / 2);
        put_text(&header, 1, p->at[i].name);
        for (k = i; k < p->count; k++)
            if (cwsi_same_nocase(p->at[i].name, p->at[k].name))
                put_text(&header, 2, p->at[k].value);
        put_bytes(out, number, header.at, header.len);
        cwsi_buf_free(&header);
    }
}

static void write_response(const cwsi_buf *body)
{
    unsigned char length[4];
    size_t i;
    for (i = 0; i < 4; i++) length[i] = (unsigned char)(body->len >> (24 - 8 * i));
    if (fwrite(length, 1, 4, stdout) != 4 || fwrite(body->at, 1, body->len, stdout) != body->len ||
        fflush(stdout) != 0)
        fail("cannot write");
}

/* ---- the transport around the library's: headers of one call; half duplex */

static test_case *case_of(cws_exchange *ex)
{
    return CWSI_AS(test_case, cwsi_call_of(ex)->op);
}

static cws_status wrapped_open(void *user, const cws_http_request *plain, cws_exchange *exchange,
                               void **handle)
{
    peer *p = CWSI_AS(peer, user);
    test_case *t = case_of(exchange);
    cws_http_request request = *plain;
    cws_header headers[MOST + 16];
    size_t n = plain->header_count;
    memcpy(headers, plain->headers, n * sizeof(headers[0]));
    memcpy(headers + n, t->r->headers.at, t->r->headers.count * sizeof(headers[0]));
    request.headers = headers;
    request.header_count = n + t->r->headers.count;
    if (t->r->stream_type == HALF_DUPLEX) request.full_duplex = false;
    return p->inner.open(p->inner.user, &request, exchange, handle);
}

static size_t wrapped_send(void *user, void *handle, const void *data, size_t size, bool fin)
{
    peer *p = CWSI_AS(peer, user);
    return p->inner.send(p->inner.user, handle, data, size, fin);
}

static void wrapped_window(void *user, void *handle, bool open)
{
    peer *p = CWSI_AS(peer, user);
    p->inner.window(p->inner.user, handle, open);
}

static void wrapped_cancel(void *user, void *handle)
{
    peer *p = CWSI_AS(peer, user);
    p->inner.cancel(p->inner.user, handle);
}

static cws_status wrapped_poll(void *user, int timeout_ms)
{
    peer *p = CWSI_AS(peer, user);
    return p->inner.poll(p->inner.user, timeout_ms);
}

static void wrapped_close(void *user)
{
    peer *p = CWSI_AS(peer, user);
    p->inner.close(p->inner.user);
}

/* Certificates are given to the library as files; *at takes the name, kept until the end. */
static const char *write_file(char *at, const char *name, cwsi_str content)
{
    FILE *file;
    snprintf(at, FILE_NAME, "%s/%lu-%s", directory, (unsigned long)peer_count, name);
    file = fopen(at, "wb");
    if (!file || fwrite(content.at, 1, content.len, file) != content.len || fclose(file) != 0)
        fail("cannot write a file with a certificate");
    return at;
}

/* The client for a request, made at need. */
static peer *peer_for(const request *q)
{
    char key[sizeof(peers[0].key)], url[300];
    cws_client_opts o = CWSI_ZERO;
    cws_error err;
    peer *p;
    snprintf(key, sizeof(key), "%.80s|%lu|%lu|%lu|%lu|%d|%d", text_of(q->host),
             (unsigned long)q->port, (unsigned long)q->http_version, (unsigned long)q->protocol,
             (unsigned long)q->limit, q->ca.len != 0, q->cert.len != 0);
    for (p = peers; p < peers + peer_count; p++)
        if (strcmp(p->key, key) == 0) return p;
    if (peer_count == MOST) fail("too many servers");
    peer_count++;
    memcpy(p->key, key, sizeof(key));
    snprintf(url, sizeof(url), "http%s://%.200s:%lu", q->ca.len ? "s" : "", text_of(q->host),
             (unsigned long)q->port);
    o.base_url = url;
    o.no_environment = true;
    o.poll_retry_budget_seconds = CWS_NONE;
    o.max_message_bytes = q->limit;
    o.protocol = q->protocol == GRPC ? CWS_PROTOCOL_GRPC : CWS_PROTOCOL_CONNECT;
    o.http_version = q->http_version == HTTP_1 ? CWS_HTTP_1_1 : CWS_HTTP_2;
    if (q->ca.len) o.ca_file = write_file(p->files[0], "ca.pem", q->ca);
    if (q->cert.len) {
        o.client_cert_file = write_file(p->files[1], "cert.pem", q->cert);
        o.client_key_file = write_file(p->files[2], "key.pem", q->key);
    }
    if (cws_client_open(&o, &p->client, &err) != CWS_OK) fail(err.message);
    p->inner = p->client->transport;
    p->client->transport.user = p;
    p->client->transport.open = wrapped_open;
    p->client->transport.send = wrapped_send;
    p->client->transport.window = wrapped_window;
    p->client->transport.cancel = wrapped_cancel;
    p->client->transport.poll = wrapped_poll;
    p->client->transport.close = wrapped_close;
    return p;
}

/* ---- what the server reports, noted down */

static void note_pairs(pairs *to, const cws_header *fields, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        add_pair(to, text_of(cwsi_str_of(fields[i].name)), text_of(cwsi_str_of(fields[i].value)));
}

static void on_head(cws_exchange *ex, int status, int http_major, const cws_header *headers,
                    size_t header_count)
{
    test_case *t = case_of(ex);
    size_t i;
    for (i = 0; i < header_count && status >= 200; i++) {
        bool trailer = t->op.call->bare && cwsi_starts_nocase(headers[i].name, "trailer-");
        cws_header field = headers[i];
        if (trailer) field.name += 8;
        note_pairs(trailer ? &t->trailers : &t->head, &field, 1);
    }
    cwsi_on_head(ex, status, http_major, headers, header_count);
    if (t->op.call->outcome.in_head) t->trailers = t->head; /* one or the other: told at the end */
}

static void on_trailers(cws_exchange *ex, const cws_header *trailers, size_t trailer_count)
{
    test_case *t = case_of(ex);
    if (t->peer->client->grpc) {
        t->trailers.count = 0;
        note_pairs(&t->trailers, trailers, trailer_count);
    }
    cwsi_on_trailers(ex, trailers, trailer_count);
}

/* ---- the case as an operation */

/* A response message: its field 1 is the payload, passed on as it is. */
static void take_message(test_case *t, cwsi_str message)
{
    cwsi_str payload = read_member(message, 1);
    t->received++;
    put_bytes(&t->payloads, 2, payload.at, payload.len);
}

static void put_message(test_case *t, cwsi_buf *to)
{
    cwsi_str m = t->r->messages[t->sent++];
    if (t->op.call->bare) (void)cwsi_put(to, m.at, m.len);
    else (void)cwsi_put_encoded(to, m);
    if (to->status) fail("out of memory");
}

/* Send what is due. True: something changed, so the call may go on. */
static bool send_more(test_case *t, int64_t now)
{
    const request *q = t->r;
    if (t->closed || t->op.call->ended) return false;
    if (q->stream_type == FULL_DUPLEX && t->received < t->sent) return false; /* turn by turn */
    if (t->sent < q->message_count) {
        if (now < t->next_send) {
            cwsi_op_wake_at(&t->op, t->next_send);
            return false;
        }
        put_message(t, &t->op.call->out);
        t->next_send = now + (int64_t)q->delay_ms;
        return true;
    }
    if (q->cancel_before_close) {
        t->canceled = true;
        return false;
    }
    t->op.call->fin = t->closed = true;
    t->closed_at = now;
    return true;
}

static cwsi_turn run_case(cws_op *op, int64_t now)
{
    test_case *t = CWSI_AS(test_case, op);
    const request *q = t->r;
    cwsi_str message;
    if (op->call->step == CWSI_CALL_OPEN && !op->call->more && now < t->next_send) {
        cwsi_op_wake_at(op, t->next_send); /* the delay before the only message */
        return CWSI_PENDING;
    }
    for (;;) {
        if (cwsi_call_run(op->call, now) == CWSI_READY) {
            if (!cwsi_call_message(op->call, &message)) break;
            take_message(t, message);
        } else if (!send_more(t, now)) {
            bool due = t->closed && q->cancel && !q->cancel_before_close && !q->cancel_after_n;
            int64_t at = t->closed_at + (int64_t)q->cancel_after_close_ms;
            if (due && now >= at) t->canceled = true;
            if (!t->canceled && due) cwsi_op_wake_at(op, at);
            if (!t->canceled) return CWSI_PENDING;
        }
        if (q->cancel_after_n && t->received >= q->cancel_after_responses) t->canceled = true;
        if (t->canceled) {
            cwsi_call_close(op->call);
            break;
        }
    }
    if (!t->canceled && op->call->one && op->call->err.status == CWS_OK)
        take_message(t, cwsi_call_body(op->call));
    return CWSI_READY;
}

/* ---- the result of a case */

/* The end-of-stream message of a Connect stream: {"metadata": {"name": ["value", ...]}} */
static void read_metadata(cwsi_str body, pairs *to)
{
    cwsi_json j;
    cwsi_str key, value;
    cwsi_json_init(&j, body.at, body.len);
    if (cwsi_json_next(&j) != CWSI_JSON_OBJECT) return;
    while (cwsi_json_next(&j) == CWSI_JSON_KEY) {
        bool metadata = cwsi_str_is(j.text, "metadata");
        if (cwsi_json_next(&j) != CWSI_JSON_OBJECT || !metadata) {
            if (!cwsi_json_skip(&j)) return;
            continue;
        }
        while (cwsi_json_next(&j) == CWSI_JSON_KEY) {
            if (!cwsi_json_string(&j, &arena, &key)) fail("out of memory");
            if (cwsi_json_next(&j) != CWSI_JSON_ARRAY) return;
            while (cwsi_json_next(&j) == CWSI_JSON_STRING) {
                if (!cwsi_json_string(&j, &arena, &value)) fail("out of memory");
                add_pair(to, text_of(key), text_of(value));
            }
        }
    }
}

/* What the server said of the failure, read again by the functions of the wire layer. */
static void read_verdict(test_case *t, cwsi_verdict *verdict)
{
    cwsi_call *call = t->op.call;
    cwsi_str body = CWSI_ZERO;
    memset(verdict, 0, sizeof(*verdict));
    if (call->bare && call->http_status && call->http_status != 200 && call->end == CWS_END_OK) {
        body.at = call->in.at;
        body.len = call->in.len;
        cwsi_read_error_body(&arena, call->http_status, call->content_type, body, verdict);
    } else if (call->stream_over && t->peer->client->grpc) {
        cwsi_read_grpc_outcome(&arena, &call->outcome, verdict);
    } else if (call->stream_over) {
        body.at = call->in.at + call->in_at + CWSI_ENVELOPE;
        body.len = call->in.len - call->in_at - CWSI_ENVELOPE;
        (void)cwsi_read_end_stream(&arena, body, verdict);
    }
    if (verdict->code != call->err.rpc_code) { /* the failure is another one */
        memset(verdict, 0, sizeof(*verdict));
        verdict->code = call->err.rpc_code;
        verdict->message = cwsi_str_of(call->err.message);
    }
}

static void put_error(cwsi_buf *out, const cwsi_verdict *verdict)
{
    cwsi_buf error, any;
    size_t i;
    cwsi_buf_init(&error, &memory, SIZE_MAX / 2);
    put_number(&error, 1, (uint64_t)verdict->code);
    put_bytes(&error, 2, verdict->message.at, verdict->message.len);
    for (i = 0; i < verdict->details.len; i++) {
        const cwsi_pb_Any *detail = CWSI_AT(pb_Any, verdict->details, i);
        cwsi_str type = cwsi_type_of_url(detail->type_url);
        char url[300];
        snprintf(url, sizeof(url), "type.googleapis.com/%.*s", (int)type.len, type.at);
        cwsi_buf_init(&any, &memory, SIZE_MAX / 2);
        put_text(&any, 1, url);
        put_bytes(&any, 2, detail->value.at, detail->value.len);
        put_bytes(&error, 3, any.at, any.len);
        cwsi_buf_free(&any);
    }
    put_bytes(out, 3, error.at, error.len);
    cwsi_buf_free(&error);
}

/* The case has ended; its call is about to be freed. */
static void put_result(cws_op *op)
{
    test_case *t = CWSI_AS(test_case, op);
    cwsi_buf *out = &t->result;
    cwsi_call *call = op->call;
    cwsi_verdict verdict = CWSI_ZERO;
    if (!call->bare && call->stream_over && !t->peer->client->grpc) {
        cwsi_str body;
        body.at = call->in.at + call->in_at + CWSI_ENVELOPE;
        body.len = call->in.len - call->in_at - CWSI_ENVELOPE;
        read_metadata(body, &t->trailers);
    }
    put_pairs(out, 1, &t->head);
    (void)cwsi_put(out, t->payloads.at, t->payloads.len);
    if (t->canceled) verdict.code = CWSI_CODE_CANCELED;
    else if (call->err.status) read_verdict(t, &verdict);
    if (verdict.code) put_error(out, &verdict);
    put_pairs(out, 4, &t->trailers);
    if (t->sent < t->r->message_count) put_number(out, 5, t->r->message_count - t->sent);
}

static void run_request(const request *q)
{
    static const char *const steps[] = {"CALL", NULL};
    static const cwsi_op_kind kind = {"Conformance case", steps, run_case, NULL, put_result, NULL,
                                      CWSI_GIVES_NOTHING, NULL};
    static const cwsi_rpc_kind kinds[] = {CWSI_UNARY,  CWSI_UNARY, CWSI_CLIENT,
                                          CWSI_SERVER, CWSI_BIDI,  CWSI_BIDI};
    static cwsi_events events;
    peer *p = peer_for(q);
    char path[300];
    cwsi_buf out;
    test_case *t = CWSI_AS(test_case, cwsi_op_new(p->client, sizeof(*t), &kind, NULL));
    int64_t deadline, now = cwsi_now(p->client);
    cws_error err;
    if (!t || q->stream_type > FULL_DUPLEX) fail("a case that cannot be tried");
    cwsi_buf_init(&out, &memory, SIZE_MAX / 2);
    cwsi_buf_init(&t->result, &memory, SIZE_MAX / 2);
    cwsi_buf_init(&t->payloads, &memory, SIZE_MAX / 2);
    snprintf(path, sizeof(path), "/%.140s/%.140s", text_of(q->service), text_of(q->method));
    t->r = q;
    t->peer = p;
    t->rpc.path = path;
    t->rpc.kind = kinds[q->stream_type];
    t->next_send = now + (int64_t)q->delay_ms;
    deadline = q->has_timeout ? now + (int64_t)q->timeout_ms : CWSI_NEVER;
    if (!cwsi_call_new(&t->op, &t->rpc, CWSI_RETRY_UNSENT, CWSI_NEVER, deadline))
        fail(t->op.err.message);
    events = *cwsi_call_events();
    events.head = on_head;
    events.trailers = on_trailers;
    t->op.call->exchange.events = &events;
    t->op.call->more = t->rpc.kind == CWSI_CLIENT || t->rpc.kind == CWSI_BIDI;
    if (!t->op.call->more) {
        if (q->message_count) put_message(t, &t->op.call->request);
        t->closed = true;
        t->closed_at = t->next_send;
    }
    while (!t->op.done)
        if (cwsi_loop_turn(p->client, 20000, &err) != CWS_OK) fail(err.message);
    put_bytes(&out, 1, q->test_name.at, q->test_name.len);
    put_bytes(&out, 2, t->result.at, t->result.len);
    write_response(&out);
    cwsi_buf_free(&out);
    cwsi_buf_free(&t->payloads);
    cwsi_buf_free(&t->result);
    cwsi_op_unref(&t->op);
}

/* ---- the conversation with the runner */

static bool read_all(char *to, size_t size)
{
    return fread(to, 1, size, stdin) == size;
}

static void remove_files(void)
{
    size_t i;
    for (i = 0; i < MOST * 3; i++)
        if (peers[i / 3].files[i % 3][0]) (void)unlink(peers[i / 3].files[i % 3]);
    (void)rmdir(directory);
}

int main(int argc, char **argv)
{
    char length[4];
    static request q;
    if (argc == 2 && strcmp(argv[1], "--libcurl") == 0) {
        puts(curl_version_info(CURLVERSION_NOW)->version);
        return 0;
    }
    if (!mkdtemp(directory)) fail("no temporary directory");
    atexit(remove_files);
    memory.allocator.resize = cwsi_default_resize;
    memory.limit = SIZE_MAX;
    while (read_all(length, sizeof(length))) {
        unsigned flags;
        char envelope[CWSI_ENVELOPE] = {0};
        cwsi_str message;
        char *body;
        memcpy(envelope + 1, length, sizeof(length));
        message.len = cwsi_envelope_read(envelope, &flags);
        cwsi_arena_init(&arena, &memory);
        body = CWSI_AS(char, cwsi_arena_alloc(&arena, message.len + 1));
        if (!body || !read_all(body, message.len)) fail("cut request");
        message.at = body;
        read_request(message, &q);
        run_request(&q);
        cwsi_arena_clear(&arena);
    }
    while (peer_count) cws_client_free(peers[--peer_count].client);
    return 0;
}
