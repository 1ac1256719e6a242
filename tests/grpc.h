/* SPDX-License-Identifier: MIT
 *
 * What a server would have sent with gRPC instead of Connect: translates a whole reply. For the
 * scripted transports, whose replies are written as Connect has them. Include it after the
 * implementation.
 */
#ifndef GRPC_H
#define GRPC_H

#define GRPC_FIELDS 3

typedef struct grpc_reply {
    cwsi_arena *arena; /* keeps everything below */
    int status;        /* HTTP */
    const char *type;
    cwsi_str body;
    cws_header fields[GRPC_FIELDS]; /* out: the outcome */
    size_t count;
} grpc_reply;

static void *grpc_room(cwsi_arena *arena, size_t size)
{
    void *at = cwsi_arena_alloc(arena, size);
    if (!at) abort();
    return at;
}

/* Base64 without line breaks, padded; grpc-message's percent-encoding. */
static const char *grpc_base64(cwsi_arena *arena, cwsi_str in)
{
    cwsi_buf buf;
    const char *out;
    cwsi_buf_init(&buf, arena->mem, SIZE_MAX / 2);
    (void)cwsi_put_base64(&buf, in.at, in.len);
    out = cwsi_arena_copy(arena, buf.len ? buf.at : "", buf.len);
    cwsi_buf_free(&buf);
    if (!out) abort();
    return out;
}

static const char *grpc_percent(cwsi_arena *arena, cwsi_str text)
{
    char *out = (char *)grpc_room(arena, text.len * 3 + 1), *p = out;
    size_t i;
    for (i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 32 || c > 126 || c == '%') p += sprintf(p, "%%%02X", c);
        else *p++ = (char)c;
    }
    *p = '\0';
    return out;
}

static void grpc_outcome(grpc_reply *r, const cwsi_verdict *v)
{
    char *digits = (char *)grpc_room(r->arena, 8);
    r->count = 0;
    (void)sprintf(digits, "%d", v->code);
    r->fields[r->count].name = "grpc-status";
    r->fields[r->count++].value = digits;
    if (v->message.len) {
        r->fields[r->count].name = "grpc-message";
        r->fields[r->count++].value = grpc_percent(r->arena, v->message);
    }
    if (v->details.len) {
        cwsi_rpc_Status more;
        cwsi_buf buf;
        cwsi_str bytes;
        memset(&more, 0, sizeof(more));
        more.code = v->code;
        more.message = v->message;
        more.details = v->details;
        cwsi_buf_init(&buf, r->arena->mem, SIZE_MAX / 2);
        if (cwsi_encode(&buf, CWSI_M_rpc_Status, &more)) abort();
        bytes.at = buf.at;
        bytes.len = buf.len;
        r->fields[r->count].name = "grpc-status-details-bin";
        r->fields[r->count++].value = grpc_base64(r->arena, bytes);
        cwsi_buf_free(&buf);
    }
}

/* The message of a unary reply gets its envelope. */
static void grpc_envelope(grpc_reply *r)
{
    cwsi_buf buf;
    cwsi_buf_init(&buf, r->arena->mem, SIZE_MAX / 2);
    if (cwsi_put_encoded(&buf, r->body)) abort();
    r->body.len = buf.len;
    r->body.at = cwsi_arena_copy(r->arena, buf.at, buf.len);
    cwsi_buf_free(&buf);
}

/* The end-of-stream message becomes the outcome; one that is cut is none. */
static void grpc_end_of_stream(grpc_reply *r)
{
    cwsi_verdict v;
    cwsi_str end;
    unsigned flags = 0;
    size_t at = 0;
    for (; r->body.len - at >= CWSI_ENVELOPE; at += CWSI_ENVELOPE + end.len) {
        end.at = r->body.at + at + CWSI_ENVELOPE;
        end.len = cwsi_envelope_read(r->body.at + at, &flags);
        if (flags == CWSI_FLAG_END || end.len > r->body.len - at - CWSI_ENVELOPE) break;
    }
    if (r->body.len - at < CWSI_ENVELOPE || flags != CWSI_FLAG_END) return;
    if (end.len == r->body.len - at - CWSI_ENVELOPE &&
        cwsi_read_end_stream(r->arena, end, &v))
        grpc_outcome(r, &v);
    r->body.len = at;
}

/* Translate what has a counterpart; anything else (a proxy's page, say) stays as it is. */
static void grpc_translate(grpc_reply *r)
{
    cwsi_verdict v;
    r->count = 0;
    memset(&v, 0, sizeof(v));
    if (r->status == 200 && cwsi_same_nocase(r->type, "application/proto")) {
        grpc_envelope(r);
        grpc_outcome(r, &v);
    } else if (r->status != 200 && cwsi_same_nocase(r->type, "application/json")) {
        cwsi_read_error_body(r->arena, r->status, r->type, r->body, &v);
        r->status = 200;
        r->body.len = 0;
        grpc_outcome(r, &v);
    } else if (r->status == 200 && cwsi_same_nocase(r->type, "application/connect+proto")) {
        grpc_end_of_stream(r);
    } else {
        return;
    }
    r->type = "application/grpc+proto";
}

#endif /* GRPC_H */
