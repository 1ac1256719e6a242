/* SPDX-License-Identifier: MIT
 *
 * loopback_server.h: a small HTTP/1.1 server around the local backend, in a child process, on a
 * port of 127.0.0.1 that the system gives. It lets an example speak real HTTP without an account.
 * One request at a time; not for anything but examples.
 */

#ifndef CWS_LOOPBACK_SERVER_H
#define CWS_LOOPBACK_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>

typedef struct loopback_reply { /* what the backend answers, collected */
    cws_exchange exchange;
    cwsi_buf out;
    bool ended;
} loopback_reply;

static void loopback_head(cws_exchange *ex, int status, int major, const cws_header *headers,
                          size_t count)
{
    loopback_reply *r = (loopback_reply *)(void *)ex;
    char line[64];
    size_t i;
    (void)major;
    cwsi_put(&r->out, line, cwsi_format(line, sizeof(line), "HTTP/1.1 %d Answer\r\n", status));
    for (i = 0; i < count; i++) {
        cwsi_put_text(&r->out, headers[i].name);
        cwsi_put_text(&r->out, ": ");
        cwsi_put_text(&r->out, headers[i].value);
        cwsi_put_text(&r->out, "\r\n");
    }
    cwsi_put_text(&r->out, "connection: close\r\n\r\n");
}

static bool loopback_data(cws_exchange *ex, const void *data, size_t size)
{
    return cwsi_put(&((loopback_reply *)(void *)ex)->out, data, size);
}

static void loopback_writable(cws_exchange *ex) { (void)ex; }

static void loopback_note(cws_exchange *ex, int32_t code, const char *text)
{
    (void)ex, (void)code, (void)text;
}

static void loopback_end(cws_exchange *ex, cws_end end)
{
    (void)end;
    ((loopback_reply *)(void *)ex)->ended = true;
}

/* Read one request whole: its head, then as many bytes as it announces. */
static bool loopback_read(int fd, cwsi_buf *in, size_t *head_size)
{
    char piece[65536];
    size_t want = SIZE_MAX;
    *head_size = 0;
    while (in->len < want) {
        ssize_t n = read(fd, piece, sizeof(piece));
        const char *end, *length;
        if (n <= 0 || !cwsi_put(in, piece, (size_t)n)) return false;
        if (*head_size || !(end = strstr(in->at, "\r\n\r\n"))) continue;
        *head_size = (size_t)(end - in->at) + 4;
        length = strcasestr(in->at, "\r\ncontent-length:");
        want = *head_size + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    }
    return true;
}

/* One connection: hand the request to the backend, its answer to the peer. */
static void loopback_serve(int fd, cws_transport *backend, cwsi_mem *mem)
{
    static const cwsi_events events = {loopback_head, loopback_data, loopback_writable,
                                       loopback_note, loopback_end,  NULL};
    loopback_reply r = {{&events}, {0}, false};
    cws_http_request request = {0};
    cws_header headers[32];
    cwsi_buf in;
    char *line, *next, *path, *save = NULL;
    size_t head, sent = 0;
    void *handle;
    cwsi_buf_init(&in, mem, 64u << 20);
    cwsi_buf_init(&r.out, mem, 64u << 20);
    if (loopback_read(fd, &in, &head)) {
        in.at[head - 1] = '\0'; /* the head becomes lines, the body stays behind it */
        request.method = strtok_r(in.at, " ", &save);
        path = strtok_r(NULL, " ", &save);
        line = strtok_r(NULL, "\r\n", &save);
        for (line = strtok_r(NULL, "\r\n", &save); line && request.header_count < 32; line = next) {
            char *colon = strchr(line, ':');
            next = strtok_r(NULL, "\r\n", &save);
            if (!colon) continue;
            *colon = '\0';
            headers[request.header_count].name = line;
            headers[request.header_count++].value = colon + 1 + strspn(colon + 1, " ");
        }
        request.headers = headers;
        request.url = path;
        request.body = in.at + head;
        request.body_size = in.len - head;
        request.timeout_ms = 60000;
        if (path && backend->open(backend->user, &request, &r.exchange, &handle) == CWS_OK) {
            while (!r.ended) backend->poll(backend->user, 1000);
            backend->cancel(backend->user, handle);
        }
        while (sent < r.out.len) {
            ssize_t n = write(fd, r.out.at + sent, r.out.len - sent);
            if (n <= 0) break;
            sent += (size_t)n;
        }
    }
    cwsi_buf_free(&in);
    cwsi_buf_free(&r.out);
    close(fd);
}

/* Start it; its address goes to url. Returns the child to be killed, or -1. */
static pid_t loopback_server_start(char *url, size_t size)
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    pid_t child;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 16) ||
        getsockname(fd, (struct sockaddr *)&address, &length))
        return -1;
    cwsi_format(url, size, "http://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    child = fork();
    if (child == 0) {
        cwsi_mem mem = {0};
        cws_transport backend;
        cws_error err;
        mem.allocator.resize = cwsi_default_resize;
        mem.limit = UINT64_MAX;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlive the example */
        if (cws_local_transport_open(NULL, &backend, &err)) _exit(1);
        for (;;) {
            int peer = accept(fd, NULL, NULL);
            if (peer >= 0) loopback_serve(peer, &backend, &mem);
        }
    }
    close(fd);
    return child;
}

#endif
