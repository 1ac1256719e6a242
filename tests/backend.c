/* SPDX-License-Identifier: MIT
 *
 * The local backend as a process of its own, for tests/gateway: exchanges come in on standard
 * input and their replies go out on standard output. Frames, both ways:
 *
 *     u32 length of the rest (big-endian) | u8 type | u32 exchange | payload
 *
 *     in   'O' open: "METHOD path\n", then "name: value\n" for each header    'D' request bytes
 *          'F' end of the request    'C' cancel    'W' reply flow: 1 byte, 1 go on, 0 pause
 *     out  'H' head: u16 status, then "name: value\n" lines    'D' reply bytes
 *          'E' end: 1 byte, a cws_end    'W' request flow, as above
 *
 * A unary request is opened when it has arrived whole, as the library's own calls are; a stream at
 * once. It ends, and with it all sandboxes, when standard input does.
 *
 * Environment: BACKEND_MAX_FILE_BYTES: cap of a file in one message; BACKEND_NO_NAMESPACES.
 */
#define _GNU_SOURCE
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "local_transport.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define QUEUE_HIGH 262144 /* request bytes that wait in here before the server is told to pause */

typedef struct bytes {
    char *at;
    size_t size, room;
} bytes;

typedef struct exchange {
    cws_exchange base; /* first: the transport knows the exchange by this */
    uint32_t id;
    void *handle;
    bool opened, stream, ended, fin, paused;
    bytes head;    /* the 'O' payload, cut up in place */
    bytes pending; /* request bytes that the transport has not taken; all of them if unary */
    struct exchange *next;
} exchange;

static cws_transport local;
static exchange *exchanges;
static bytes input;
static sem_t readable, drained;

static void die(const char *what)
{
    fprintf(stderr, "backend: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void bytes_put(bytes *b, const void *data, size_t size)
{
    if (size > b->room - b->size) {
        b->room = (b->size + size) * 2;
        b->at = (char *)realloc(b->at, b->room);
        if (!b->at) die("memory");
    }
    if (size) memcpy(b->at + b->size, data, size);
    b->size += size;
}

static void bytes_drop(bytes *b, size_t size)
{
    b->size -= size;
    if (b->size) memmove(b->at, b->at + size, b->size);
}

static void frame(char type, uint32_t id, const void *data, size_t size)
{
    unsigned long rest = (unsigned long)size + 5;
    unsigned char head[9];
    int i;
    for (i = 0; i < 4; i++) head[i] = (unsigned char)(rest >> (24 - 8 * i));
    head[4] = (unsigned char)type;
    for (i = 0; i < 4; i++) head[5 + i] = (unsigned char)(id >> (24 - 8 * i));
    if (fwrite(head, 1, sizeof head, stdout) != sizeof head ||
        fwrite(data, 1, size, stdout) != size)
        die("write");
}

static void request_flow(exchange *x, bool open)
{
    char byte = open ? 1 : 0;
    if (x->paused == !open) return;
    x->paused = !open;
    frame('W', x->id, &byte, 1);
}

/* --- What the transport reports -------------------------------------------------------------- */

static void on_head(cws_exchange *base, int status, int http_major, const cws_header *headers,
                    size_t n)
{
    exchange *x = (exchange *)base;
    bytes out = {NULL, 0, 0};
    char code[2];
    size_t i;
    (void)http_major;
    code[0] = (char)(status >> 8);
    code[1] = (char)(status & 0xff);
    bytes_put(&out, code, 2);
    for (i = 0; i < n; i++) {
        bytes_put(&out, headers[i].name, strlen(headers[i].name));
        bytes_put(&out, ": ", 2);
        bytes_put(&out, headers[i].value, strlen(headers[i].value));
        bytes_put(&out, "\n", 1);
    }
    frame('H', x->id, out.at, out.size);
    free(out.at);
}

static bool on_data(cws_exchange *base, const void *data, size_t size)
{
    frame('D', ((exchange *)base)->id, data, size);
    return true;
}

/* Give the transport what waits; tell the server when there is room again. */
static void push(exchange *x)
{
    if (!x->opened || !x->stream || x->ended) return;
    if (x->pending.size || x->fin) {
        size_t taken = local.send(local.user, x->handle, x->pending.at, x->pending.size, x->fin);
        if (x->fin && taken == x->pending.size) x->fin = false;
        bytes_drop(&x->pending, taken);
    }
    request_flow(x, x->pending.size < QUEUE_HIGH);
}

static void on_writable(cws_exchange *base)
{
    push((exchange *)base);
}

static void on_note(cws_exchange *base, int32_t code, const char *text)
{
    fprintf(stderr, "backend: exchange %lu: %ld %s\n", (unsigned long)((exchange *)base)->id,
            (long)code, text);
}

static void on_end(cws_exchange *base, cws_end end)
{
    exchange *x = (exchange *)base;
    char byte = (char)end;
    frame('E', x->id, &byte, 1);
    x->ended = true; /* released outside of the transport's poll */
}

static const cwsi_events events = {on_head, on_data, on_writable, on_note, on_end, NULL};

/* --- What the server orders ------------------------------------------------------------------- */

static void release(exchange *x)
{
    exchange **at = &exchanges;
    while (*at != x) at = &(*at)->next;
    *at = x->next;
    if (x->opened) local.cancel(local.user, x->handle);
    free(x->head.at);
    free(x->pending.at);
    free(x);
}

/* Cut the head up into a request and open it. */
static void start(exchange *x)
{
    cws_header headers[64];
    char url[2048];
    cws_http_request request;
    char *line = x->head.at, *path = NULL, *next;
    memset(&request, 0, sizeof request);
    for (; *line; line = next) {
        char *colon;
        next = strchr(line, '\n');
        if (!next) break;
        *next++ = 0;
        if (!request.method) {
            request.method = line;
            path = strchr(line, ' ');
            if (!path) break;
            *path++ = 0;
        } else if ((colon = strstr(line, ": ")) != NULL && request.header_count < 64) {
            *colon = 0;
            headers[request.header_count].name = line;
            headers[request.header_count].value = colon + 2;
            request.header_count++;
        }
    }
    snprintf(url, sizeof url, "http://127.0.0.1%s", path ? path : "/");
    request.url = url;
    request.headers = headers;
    request.body = x->stream || !x->pending.size ? NULL : x->pending.at;
    request.body_size = x->stream ? 0 : x->pending.size;
    request.more_body = request.full_duplex = x->stream;
    request.timeout_ms = 3600000;
    if (local.open(local.user, &request, &x->base, &x->handle) != CWS_OK) {
        on_end(&x->base, CWS_END_NOT_SENT);
        return;
    }
    x->opened = true;
}

static bool is_stream(const exchange *x)
{
    const char *line = x->head.at;
    for (; line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (!strncasecmp(line, "content-type: application/connect+", 34)) return true;
    }
    return false;
}

static void order(char type, uint32_t id, const char *data, size_t size)
{
    exchange *x = exchanges;
    while (x && x->id != id) x = x->next;
    if (type == 'O' && !x) {
        x = (exchange *)calloc(1, sizeof *x);
        if (!x) die("memory");
        x->base.events = &events;
        x->id = id;
        x->next = exchanges;
        exchanges = x;
        bytes_put(&x->head, data, size);
        bytes_put(&x->head, "", 1);
        x->stream = is_stream(x);
        if (x->stream) start(x);
    }
    if (!x || x->ended) return; /* it has ended meanwhile */
    switch (type) {
    case 'D':
        bytes_put(&x->pending, data, size);
        push(x);
        break;
    case 'F':
        x->fin = x->stream;
        if (x->stream) push(x);
        else start(x); /* pending stays: it is the body */
        break;
    case 'C': release(x); break;
    case 'W':
        if (x->opened && size == 1) local.window(local.user, x->handle, data[0] == 1);
        break;
    default: break;
    }
}

/* Read once and obey every whole frame. Returns false at the end of the input. */
static bool take_input(void)
{
    static char chunk[65536];
    size_t at = 0;
    ssize_t n = read(0, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) return true;
    if (n <= 0) return false;
    bytes_put(&input, chunk, (size_t)n);
    while (input.size - at >= 9) {
        const unsigned char *p = (const unsigned char *)input.at + at;
        size_t rest = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        uint32_t id = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8];
        if (rest < 5 || input.size - at - 4 < rest) break;
        order((char)p[4], id, (const char *)p + 9, rest - 5);
        at += 4 + rest;
    }
    bytes_drop(&input, at);
    return true;
}

/* Wakes the transport's poll when there is something to read; reads nothing itself. */
static void *watch(void *unused)
{
    (void)unused;
    for (;;) {
        struct pollfd fd = {0, POLLIN, 0};
        if (poll(&fd, 1, -1) < 0) continue;
        sem_post(&readable);
        if (local.wakeup) local.wakeup(local.user);
        while (sem_wait(&drained) != 0) continue;
    }
    return NULL;
}

static void warn(const char *line, void *unused)
{
    (void)unused;
    fprintf(stderr, "backend: %s\n", line);
}

int main(void)
{
    cws_local_opts opts;
    cws_error err;
    pthread_t thread;
    exchange *x, *next;
    bool more = true;
    signal(SIGPIPE, SIG_IGN);
    memset(&opts, 0, sizeof opts);
    opts.warn = warn;
    if (getenv("BACKEND_MAX_FILE_BYTES"))
        opts.max_file_bytes = strtoull(getenv("BACKEND_MAX_FILE_BYTES"), NULL, 10);
    opts.no_namespaces = getenv("BACKEND_NO_NAMESPACES") != NULL;
    if (cws_local_transport_open(&opts, &local, &err) != CWS_OK) {
        fprintf(stderr, "backend: %s\n", err.message);
        return 2;
    }
    if (sem_init(&readable, 0, 0) || sem_init(&drained, 0, 0) ||
        pthread_create(&thread, NULL, watch, NULL))
        die("thread");
    while (more) {
        if (local.poll(local.user, local.wakeup ? 200 : 2) != CWS_OK) die("poll");
        if (sem_trywait(&readable) == 0) {
            more = take_input();
            if (more) sem_post(&drained);
        }
        for (x = exchanges; x; x = next) {
            next = x->next;
            if (x->ended) release(x);
        }
        if (fflush(stdout) != 0) die("write");
    }
    while (exchanges) release(exchanges);
    if (local.close) local.close(local.user);
    free(input.at);
    return 0;
}
