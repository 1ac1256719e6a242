/* SPDX-License-Identifier: MIT
 *
 * Starts tests/server for a test program and gives it orders.
 *
 *     if (!server_start("build/tests/backend", NULL)) ...   // ends with the program
 *     opts.base_url = server_url_h1;   // "http://127.0.0.1:PORT"; _h2c; _tls with server_ca
 *     server_faults("[{\"match\":\"/GetSandbox\",\"action\":\"hang\"}]");   // "[]": none
 *     text = server_requests();                             // JSON lines; free() it
 *     n = server_stat("connections");                       // one counter; -1 if there is none
 *     n = server_count("/StartSandbox");                    // requests whose line contains this
 *     server_forget();                                      // requests so far; faults too
 *     server_cut();                                         // all connections, now
 *
 * The actions of a fault and the counters are described in tests/server/server.mjs. POSIX.
 */
#ifndef SERVER_H
#define SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__GNUC__) || defined(__clang__)
#define SERVER_FN static __attribute__((unused))
#else
#define SERVER_FN static
#endif

static char server_url_h1[64], server_url_h2c[64];
static char server_url_tls[64], server_ca[200]; /* "" if there is no TLS */
static int server_control_port;
static pid_t server_pid = -1;
static int server_stdin = -1;

/* End the server; it ends its backend, which ends its sandboxes. */
SERVER_FN void server_stop(void)
{
    int i, status;
    if (server_pid < 0) return;
    close(server_stdin);
    for (i = 0; i < 200 && waitpid(server_pid, &status, WNOHANG) == 0; i++) usleep(50000);
    if (i == 200) {
        kill(server_pid, SIGKILL);
        waitpid(server_pid, &status, 0);
    }
    server_pid = -1;
}

/* Start node with the server and this backend program. key: the bearer token that the backend
 * demands; NULL: any or none. Returns false, with a line on stderr, if that does not work. Call it
 * from the main directory of the repository. */
SERVER_FN bool server_start(const char *backend, const char *key)
{
    int in[2], out[2], h1 = 0, h2c = 0, tls = 0;
    const char *format = "{\"h1\":%d,\"h2c\":%d,\"control\":%d,\"tls\":%d,\"ca\":\"%199[^\"]\"}";
    char line[512];
    FILE *f;
    if (pipe(in) || pipe(out)) return false;
    server_pid = fork();
    if (server_pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        execlp("node", "node", "tests/server/server.mjs", backend, key, (char *)NULL);
        perror("node");
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    if (server_pid < 0) return false;
    server_stdin = in[1];
    atexit(server_stop);
    f = fdopen(out[0], "r");
    if (!f || !fgets(line, sizeof line, f) ||
        sscanf(line, format, &h1, &h2c, &server_control_port, &tls, server_ca) != 5) {
        fprintf(stderr, "tests/server did not start\n");
        if (f) fclose(f);
        server_stop();
        return false;
    }
    fclose(f); /* it prints nothing else there */
    snprintf(server_url_h1, sizeof server_url_h1, "http://127.0.0.1:%d", h1);
    snprintf(server_url_h2c, sizeof server_url_h2c, "http://127.0.0.1:%d", h2c);
    if (tls) snprintf(server_url_tls, sizeof server_url_tls, "https://localhost:%d", tls);
    return true;
}

/* One request to the control port; the body of the answer, NUL-terminated, to be freed. NULL, with
 * a line on stderr, if the answer is not 200. */
SERVER_FN char *server_call(const char *method, const char *path, const char *body)
{
    struct sockaddr_in to;
    char head[512], *answer = NULL, *more, *start;
    size_t size = 0, room = 0;
    ssize_t n = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return NULL;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short)server_control_port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(head, sizeof head, "%s %s HTTP/1.0\r\nContent-Length: %lu\r\n\r\n", method, path,
             (unsigned long)strlen(body));
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        send(fd, head, strlen(head), MSG_NOSIGNAL) != (ssize_t)strlen(head) ||
        send(fd, body, strlen(body), MSG_NOSIGNAL) != (ssize_t)strlen(body)) {
        perror("tests/server");
        close(fd);
        return NULL;
    }
    do {
        size += (size_t)n;
        if (room - size < 4096) {
            room = room * 2 + 16384;
            more = (char *)realloc(answer, room);
            if (!more) break;
            answer = more;
        }
        n = read(fd, answer + size, room - size - 1);
    } while (n > 0);
    close(fd);
    if (answer) answer[size] = 0;
    start = answer ? strstr(answer, "\r\n\r\n") : NULL;
    if (!start || strncmp(answer + 8, " 200 ", 5) != 0) {
        fprintf(stderr, "tests/server: %s %s: %s\n", method, path, answer ? answer : "no answer");
        free(answer);
        return NULL;
    }
    memmove(answer, start + 4, strlen(start + 4) + 1);
    return answer;
}

SERVER_FN bool server_do(const char *method, const char *path, const char *body)
{
    char *answer = server_call(method, path, body);
    bool good = answer != NULL;
    free(answer);
    return good;
}

SERVER_FN bool server_faults(const char *json) { return server_do("PUT", "/faults", json); }
SERVER_FN bool server_settings(const char *json) { return server_do("PUT", "/settings", json); }
SERVER_FN bool server_cut(void) { return server_do("DELETE", "/connections", ""); }
SERVER_FN char *server_requests(void) { return server_call("GET", "/requests", ""); }

SERVER_FN bool server_forget(void)
{
    return server_faults("[]") && server_do("DELETE", "/requests", "");
}

SERVER_FN long server_stat(const char *name)
{
    char *text = server_call("GET", "/stats", ""), key[64], *at;
    long value = -1;
    snprintf(key, sizeof key, "\"%s\":", name);
    at = text ? strstr(text, key) : NULL;
    if (at) value = strtol(at + strlen(key), NULL, 10);
    free(text);
    return value;
}

/* A counter that has yet to arrive at a value: asks until it is there or two seconds are over. */
SERVER_FN bool server_stat_becomes(const char *name, long value)
{
    int i;
    for (i = 0; i < 100; i++) {
        if (server_stat(name) == value) return true;
        usleep(20000);
    }
    return false;
}

/* How many requests were received whose line of JSON contains this text. */
SERVER_FN long server_count(const char *part)
{
    char *text = server_requests(), *line, *next;
    long n = 0;
    if (!text) return -1;
    for (line = text; *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        else next = line + strlen(line);
        if (strstr(line, part)) n++;
    }
    free(text);
    return n;
}

#endif /* SERVER_H */
