/* SPDX-License-Identifier: MIT
 *
 * The server of tests/bench.c: a process that answers every request with canned bytes, over
 * HTTP/1.1 and HTTP/2 without TLS on one port of the loopback interface. It knows nothing of
 * cwsandbox.h, so that what it costs does not depend on us; HTTP/2 is libnghttp2's.
 *
 *     bench_server server = {...};          // the replies
 *     if (!bench_server_start(&server)) ... // server.port, server.stats; ends with this program
 *
 * A request whose path ends with "/StreamExec" gets the stream, any other the unary reply. POSIX.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_MOST 1024          /* connections at a time */
#define SERVER_OUT (256u * 1024u) /* bytes of a connection that wait to be sent */
#define SERVER_IN 16384u          /* the longest request over HTTP/1.1 */

typedef struct bench_stats { /* shared with the program that is measured */
    volatile uint64_t connections, requests, received;
} bench_stats;

typedef struct bench_bytes {
    const char *at;
    size_t size;
} bench_bytes;

/* What is served. A stream is `first`, then `message` again and again, then `last`. */
typedef struct bench_server {
    bench_bytes unary, first, message, last;
    size_t messages;
    int port;
    bench_stats *stats;
} bench_server;

typedef struct server_reply { /* a response over HTTP/2 under way */
    bool stream;
    size_t part, at; /* part 0: `first` or the unary reply; then `message` each time; `last` */
} server_reply;

typedef struct server_connection {
    int fd;
    bool known, broken;
    nghttp2_session *h2; /* NULL: HTTP/1.1 */
    char *out;
    size_t out_at, out_size;
    char in[SERVER_IN + 1];
    size_t in_size;
} server_connection;

static const bench_server *served; /* in the server's process: what it serves */

static void server_die(const char *what)
{
    fprintf(stderr, "bench server: %s: %s\n", what, strerror(errno));
    _exit(2);
}

/* ---- HTTP/2 */

static bench_bytes server_part(const server_reply *r)
{
    bench_bytes none = {NULL, 0};
    if (!r->stream) return r->part == 0 ? served->unary : none;
    if (r->part == 0) return served->first;
    if (r->part <= served->messages) return served->message;
    return r->part == served->messages + 1 ? served->last : none;
}

static ssize_t server_read(nghttp2_session *h2, int32_t id, uint8_t *out, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    server_reply *r = (server_reply *)source->ptr;
    size_t put = 0;
    (void)h2, (void)id, (void)user;
    for (;;) {
        bench_bytes part = server_part(r);
        size_t n = part.size - r->at < room - put ? part.size - r->at : room - put;
        if (!part.at) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            return (ssize_t)put;
        }
        memcpy(out + put, part.at + r->at, n);
        put += n;
        r->at += n;
        if (r->at < part.size) return (ssize_t)put;
        r->part++;
        r->at = 0;
    }
}

static int server_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    server_reply *r;
    (void)user;
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    r = (server_reply *)calloc(1, sizeof(*r));
    if (!r) server_die("memory");
    return nghttp2_session_set_stream_user_data(h2, frame->hd.stream_id, r);
}

static int server_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                         size_t name_size, const uint8_t *value, size_t size, uint8_t flags,
                         void *user)
{
    server_reply *r =
        (server_reply *)nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    (void)flags, (void)user;
    if (r && name_size == 5 && !memcmp(name, ":path", 5))
        r->stream = size >= 11 && !memcmp(value + size - 11, "/StreamExec", 11);
    return 0;
}

static nghttp2_nv server_field(const char *name, const char *value)
{
    nghttp2_nv field;
    field.name = (uint8_t *)(uintptr_t)name;
    field.value = (uint8_t *)(uintptr_t)value;
    field.namelen = strlen(name);
    field.valuelen = strlen(value);
    field.flags = NGHTTP2_NV_FLAG_NONE;
    return field;
}

/* A request that is whole is answered. */
static int server_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    int32_t id = frame->hd.stream_id;
    server_reply *r = (server_reply *)nghttp2_session_get_stream_user_data(h2, id);
    nghttp2_data_provider provider;
    nghttp2_nv fields[2];
    (void)user;
    if (!r || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) return 0;
    served->stats->requests++;
    provider.source.ptr = r;
    provider.read_callback = server_read;
    fields[0] = server_field(":status", "200");
    fields[1] = server_field("content-type",
                             r->stream ? "application/connect+proto" : "application/proto");
    return nghttp2_submit_response(h2, id, fields, 2, &provider);
}

static int server_stream_close(nghttp2_session *h2, int32_t id, uint32_t code, void *user)
{
    (void)code, (void)user;
    free(nghttp2_session_get_stream_user_data(h2, id));
    return 0;
}

static void server_begin_h2(server_connection *c)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 256};
    if (nghttp2_session_callbacks_new(&callbacks)) server_die("memory");
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, server_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, server_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, server_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, server_stream_close);
    if (nghttp2_session_server_new(&c->h2, callbacks, NULL) ||
        nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, &entry, 1))
        server_die("memory");
    nghttp2_session_callbacks_del(callbacks);
}

/* ---- HTTP/1.1 */

/* Answer the requests that are whole. */
static void server_take_h1(server_connection *c)
{
    for (;;) {
        char *end, *length;
        size_t whole;
        int n;
        c->in[c->in_size] = '\0';
        end = strstr(c->in, "\r\n\r\n");
        if (!end) break;
        length = strcasestr(c->in, "\r\ncontent-length:");
        whole = (size_t)(end - c->in) + 4;
        if (length && length < end) whole += strtoul(length + 17, NULL, 10);
        if (whole > SERVER_IN) c->broken = true;
        if (c->in_size < whole || c->broken) break;
        served->stats->requests++;
        n = snprintf(c->out + c->out_size, SERVER_OUT - c->out_size,
                     "HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\n"
                     "content-length: %zu\r\n\r\n",
                     served->unary.size);
        c->out_size += (size_t)n;
        memcpy(c->out + c->out_size, served->unary.at, served->unary.size);
        c->out_size += served->unary.size;
        c->in_size -= whole;
        memmove(c->in, c->in + whole, c->in_size);
    }
    if (c->in_size == SERVER_IN) c->broken = true;
}

/* ---- the loop */

static void server_take(server_connection *c, const char *data, size_t size)
{
    served->stats->received += size;
    if (!c->known) { /* "PRI * HTTP/2.0", or a request of the older protocol */
        c->known = true;
        if (size >= 2 && !memcmp(data, "PR", 2)) server_begin_h2(c);
    }
    if (c->h2) {
        c->broken = nghttp2_session_mem_recv(c->h2, (const uint8_t *)data, size) != (ssize_t)size;
        return;
    }
    if (size > SERVER_IN - c->in_size) size = SERVER_IN - c->in_size;
    memcpy(c->in + c->in_size, data, size);
    c->in_size += size;
    server_take_h1(c);
}

/* Send what there is and can be sent. Returns whether some is left. */
static bool server_flush(server_connection *c)
{
    for (;;) {
        ssize_t n;
        if (c->out_at == c->out_size) c->out_at = c->out_size = 0;
        while (c->h2 && c->out_at == 0 && c->out_size < SERVER_OUT - 32768) {
            const uint8_t *data;
            n = nghttp2_session_mem_send(c->h2, &data);
            if (n < 0) c->broken = true;
            if (n <= 0) break;
            memcpy(c->out + c->out_size, data, (size_t)n);
            c->out_size += (size_t)n;
        }
        if (c->out_at == c->out_size) return false;
        n = send(c->fd, c->out + c->out_at, c->out_size - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
        if (n < 0) c->broken = true;
        if (n < 0) return false;
        c->out_at += (size_t)n;
    }
}

static server_connection *server_accept(int listener)
{
    server_connection *c;
    int one = 1, fd = accept(listener, NULL, NULL);
    if (fd < 0) return NULL;
    c = (server_connection *)calloc(1, sizeof(*c));
    if (c) c->out = (char *)malloc(SERVER_OUT);
    if (!c || !c->out) server_die("memory");
    c->fd = fd;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    served->stats->connections++;
    return c;
}

static void server_drop(server_connection *c)
{
    nghttp2_session_del(c->h2);
    close(c->fd);
    free(c->out);
    free(c);
}

static void server_serve(server_connection *c, struct pollfd *fd)
{
    static char chunk[65536];
    if (fd->revents & (POLLIN | POLLHUP | POLLERR)) {
        ssize_t n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (n > 0) server_take(c, chunk, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR)) c->broken = true;
    }
    fd->events = POLLIN;
    if (!c->broken && server_flush(c)) fd->events |= POLLOUT;
}

/* Until the other end of `alive` is closed, which the end of the measuring program does. */
static void server_loop(int listener, int alive)
{
    static server_connection *all[SERVER_MOST];
    static struct pollfd fds[SERVER_MOST + 2];
    size_t count = 0, i;
    fds[0].fd = alive;
    fds[1].fd = listener;
    fds[0].events = fds[1].events = POLLIN;
    for (;;) {
        if (poll(fds, (nfds_t)count + 2, -1) < 0 && errno != EINTR) server_die("poll");
        if (fds[0].revents) _exit(0);
        for (i = 0; i < count; i++) {
            if (fds[i + 2].revents) server_serve(all[i], &fds[i + 2]);
            if (!all[i]->broken) continue;
            server_drop(all[i]);
            all[i] = all[--count];
            fds[i + 2] = fds[count + 2];
            i--;
        }
        if ((fds[1].revents & POLLIN) && count < SERVER_MOST &&
            (all[count] = server_accept(listener)) != NULL) {
            fds[count + 2].fd = all[count]->fd;
            fds[count + 2].events = POLLIN;
            fds[count++ + 2].revents = 0;
        }
    }
}

/* Start the server at a port that the system gives. False, with a line on stderr, if it fails. */
static bool bench_server_start(bench_server *server)
{
    struct sockaddr_in at;
    socklen_t size = sizeof(at);
    int alive[2], listener = socket(AF_INET, SOCK_STREAM, 0);
    pid_t pid = -1;
    void *shared = mmap(NULL, sizeof(bench_stats), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(&at, 0, sizeof(at));
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener >= 0 && shared != MAP_FAILED && !pipe(alive) &&
        !bind(listener, (struct sockaddr *)&at, sizeof(at)) && !listen(listener, 1024) &&
        !getsockname(listener, (struct sockaddr *)&at, &size)) {
        server->port = ntohs(at.sin_port);
        server->stats = (bench_stats *)shared;
        pid = fork();
    }
    if (pid < 0) {
        fprintf(stderr, "bench server: %s\n", strerror(errno));
        return false;
    }
    if (pid == 0) {
        close(alive[1]);
        (void)signal(SIGPIPE, SIG_IGN);
        served = server;
        server_loop(listener, alive[0]);
    }
    close(alive[0]); /* alive[1] stays open until this program ends */
    close(listener);
    return true;
}

#endif /* BENCH_SERVER_H */
