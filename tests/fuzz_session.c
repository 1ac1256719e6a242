/* SPDX-License-Identifier: MIT
 *
 * The server says anything: a whole session over a transport whose every answer (status, type,
 * bytes, where they are cut, how the exchange ends, or silence) comes from the input. Time is fake
 * and moves only while somebody waits. Whatever happens, each call returns within its deadline, and
 * nothing is left behind. tests/fuzz_grpc.c is the same with gRPC.
 */
#define CWSANDBOX_IMPLEMENTATION
#define CWS_ASSERT(x) ((x) ? (void)0 : abort())
#include "cwsandbox.h"

#ifndef FUZZ_GRPC
#define FUZZ_GRPC false
#define FUZZ_TARGET fuzz_session
#endif
#include "fuzz_main.h"

typedef struct talk { /* one exchange */
    struct talk *next;
    cws_exchange *exchange;
    bool headed, ended, stream, told;
    unsigned left; /* pieces still to be delivered */
} talk;

typedef struct world {
    const uint8_t *at, *end;
    int64_t now;
    size_t live; /* bytes not given back */
    talk *talks;
} world;

#include "fuzz_world.h"

static cws_status fuzz_open(void *user, const cws_http_request *request, cws_exchange *exchange,
                            void **handle)
{
    world *w = (world *)user;
    talk *t;
    if (take(w) == 1) return CWS_ERR_NO_MEMORY;
    t = (talk *)calloc(1, sizeof(*t));
    if (!t) return CWS_ERR_NO_MEMORY;
    t->exchange = exchange;
    t->stream = request->full_duplex;
    t->left = take(w) % 6;
    t->next = w->talks;
    w->talks = t;
    *handle = t;
    return CWS_OK;
}

static size_t fuzz_send(void *user, void *handle, const void *data, size_t size, bool fin)
{
    (void)user, (void)handle, (void)data, (void)fin;
    return size;
}

/* A text of the input's, ended by NUL; out has 256 bytes. */
static const char *fuzz_text(world *w, char *out)
{
    size_t size = take(w), have = (size_t)(w->end - w->at);
    if (size > have) size = have;
    memcpy(out, w->at, size);
    out[size] = '\0';
    w->at += size;
    return out;
}

/* The fields of an outcome, as far as the input wants them. */
static size_t fuzz_outcome(world *w, cws_header *fields, char text[3][256])
{
    static const char *const names[] = {"grpc-status", "grpc-message", "grpc-status-details-bin"};
    unsigned i, which = take(w);
    size_t n = 0;
    for (i = 0; i < 3; i++) {
        if (!(which >> i & 1)) continue;
        fields[n].name = names[i];
        fields[n++].value = i == 0 && which & 8 ? "0" : fuzz_text(w, text[i]);
    }
    return n;
}

static void fuzz_head(world *w, talk *t)
{
    static const char *const types[] = {"application/proto", "application/connect+proto",
                                        "application/json", "text/html", "", "application/grpc"};
    static const int statuses[] = {200, 200, 200, 404, 429, 500, 503, 505};
    cws_header headers[5];
    char text[3][256];
    unsigned how = take(w);
    size_t n = how & 0x10 ? 2 : 1;
    headers[0].name = "Content-Type";
    headers[0].value = how & 0x80 ? types[take(w) % 6] : types[FUZZ_GRPC ? 5 : t->stream];
    headers[1].name = how & 0x40 ? "content-length" : FUZZ_GRPC ? "grpc-encoding"
                                                                : "content-encoding";
    headers[1].value = how & 0x20 ? "5" : "gzip";
    if (FUZZ_GRPC && how & 8) n += fuzz_outcome(w, headers + n, text);
    t->headed = true;
    cws_exchange_head(t->exchange, statuses[how % 8], how & 0x20 ? 1 : 2, headers, n);
}

static void fuzz_trailers(world *w, talk *t)
{
    cws_header fields[3];
    char text[3][256];
    size_t n = fuzz_outcome(w, fields, text);
    cws_exchange_trailers(t->exchange, fields, n);
}

/* One report about this exchange. */
static void fuzz_report(world *w, talk *t)
{
    if (!t->headed && take(w) != 2) {
        fuzz_head(w, t);
    } else if (t->left > 0 && t->headed) {
        bool whole = FUZZ_GRPC && take(w) % 2 == 0; /* a message; that is not guessed soon */
        size_t size = take(w), have = (size_t)(w->end - w->at);
        t->left--;
        if (size > have) size = have;
        if (whole) {
            char head[CWSI_ENVELOPE];
            cwsi_envelope_head(head, 0, size);
            (void)cws_exchange_data(t->exchange, head, sizeof(head));
        }
        (void)cws_exchange_data(t->exchange, w->at, size);
        w->at += size;
    } else if (FUZZ_GRPC && t->headed && !t->told && take(w) % 4) {
        t->told = true;
        fuzz_trailers(w, t);
    } else if (take(w) % 8 != 7) { /* else: silence for ever */
        t->ended = true;
        cws_exchange_note(t->exchange, (int32_t)take(w), "noted");
        cws_exchange_end(t->exchange, (cws_end)(take(w) % 2 ? 0 : take(w) % 9));
    }
}

static cws_status fuzz_poll(void *user, int timeout_ms)
{
    world *w = (world *)user;
    talk *t, *next;
    w->now += timeout_ms > 0 ? timeout_ms : 1;
    for (t = w->talks; t; t = next) {
        next = t->next; /* reports never free it: cancel comes from outside poll */
        if (!t->ended) fuzz_report(w, t);
    }
    return CWS_OK;
}

static void fuzz_session_run(cws_session *session)
{
    const char *argv[] = {"a", "b", NULL};
    cws_sandbox *box = NULL, *found = NULL;
    cws_result *result = NULL;
    cws_bytes *bytes = NULL;
    cws_sandboxes *list = NULL;
    cws_exec_opts unary = {0};
    cws_error err;
    unary.unary = true;
    if (cws_session_sandbox(session, NULL, &box, &err)) return;
    (void)cws_exec(box, argv, NULL, &result, &err);
    cws_result_free(result);
    (void)cws_exec(box, argv, &unary, &result, &err);
    cws_result_free(result);
    (void)cws_read_file(box, "/f", NULL, &bytes, &err);
    cws_bytes_free(bytes);
    (void)cws_write_file(box, "/f", "x", 1, NULL, &err);
    (void)cws_session_list(session, NULL, &list, &err);
    cws_sandboxes_free(list);
    (void)cws_session_from_id(session, "other", true, &found, &err);
    cws_sandbox_free(found);
    (void)cws_sandbox_get_state(box, NULL, &err);
    (void)cws_sandbox_stop(box, NULL, &err);
    (void)cws_session_close(session, &err);
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
    allocator.resize = fuzz_resize;
    allocator.user = &w;
    transport.user = &w;
    transport.open = fuzz_open;
    transport.send = fuzz_send;
    transport.window = fuzz_window;
    transport.cancel = fuzz_cancel;
    transport.poll = fuzz_poll;
    transport.full_duplex = transport.trailers = true;
    o.protocol = FUZZ_GRPC ? CWS_PROTOCOL_GRPC : CWS_PROTOCOL_CONNECT;
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
        fuzz_session_run(session);
        cws_session_free(session);
    }
    if (w.live || w.talks) abort(); /* memory, or an exchange, was left behind */
    if (w.now > 3600 * 1000) abort(); /* a deadline was not kept */
    return 0;
}
