/* SPDX-License-Identifier: MIT
 *
 * Starts tests/gateway for a test program and gives it orders.
 *
 *     if (!server_start("build/tests/backend", "key", NULL)) ...   // ends with the program
 *     opts.base_url = server_url_h1;   // "http://127.0.0.1:PORT"; _h2c is the same; _tls with
 *                                      // server_ca; _mtls with server_client_cert, _key too
 *     server_faults("[{\"match\":\"/GetSandbox\",\"action\":\"hang\"}]");   // "[]": none
 *     text = server_requests();                             // JSON lines; free() it
 *     n = server_stat("connections");                       // one counter; -1 if there is none
 *     n = server_count("/StartSandbox");                    // requests whose line contains this
 *     server_forget();                                      // requests so far; faults too
 *     server_cut();                                         // all connections, now
 *
 * The actions of a fault are described in tests/gateway/faults.mjs, what else can be ordered in
 * control.mjs, the counters and the record of a request in exchange.mjs. POSIX.
 */
#ifndef GATEWAY_H
#define GATEWAY_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <limits.h>
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

static char server_url_h1[64], server_url_h2c[64], server_url_tls[64], server_url_mtls[64];
static char server_ca[500], server_client_cert[500], server_client_key[500];
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

/* A member of one line of JSON, as text. */
SERVER_FN bool server_member(const char *json, const char *name, char *out, size_t size)
{
    char key[64];
    const char *at;
    size_t n;
    snprintf(key, sizeof key, "\"%s\":", name);
    at = strstr(json, key);
    if (!at) return false;
    at += strlen(key);
    if (*at == '"') at++;
    n = strcspn(at, "\",}");
    if (n >= size) return false;
    memcpy(out, at, n);
    out[n] = '\0';
    return true;
}

/* What the program says when it listens. */
SERVER_FN bool server_addresses(const char *json)
{
    char port[16], tls[16], mtls[16], control[16];
    if (!server_member(json, "port", port, sizeof port) ||
        !server_member(json, "tls", tls, sizeof tls) ||
        !server_member(json, "mtls", mtls, sizeof mtls) ||
        !server_member(json, "control", control, sizeof control) ||
        !server_member(json, "ca", server_ca, sizeof server_ca) ||
        !server_member(json, "client_cert", server_client_cert, sizeof server_client_cert) ||
        !server_member(json, "client_key", server_client_key, sizeof server_client_key))
        return false;
    snprintf(server_url_h1, sizeof server_url_h1, "http://127.0.0.1:%s", port);
    snprintf(server_url_h2c, sizeof server_url_h2c, "http://127.0.0.1:%s", port);
    snprintf(server_url_tls, sizeof server_url_tls, "https://localhost:%s", tls);
    snprintf(server_url_mtls, sizeof server_url_mtls, "https://localhost:%s", mtls);
    server_control_port = atoi(control);
    return true;
}

SERVER_FN void server_set(const char *name, const char *value)
{
    if (value) setenv(name, value, 1);
    else unsetenv(name);
}

/* Start the gateway with this backend program. It demands the bearer key or the W&B key; both
 * NULL: none. Returns false, with a line on stderr, if that does not work. Call it from the main
 * directory of the repository. */
SERVER_FN bool server_start(const char *backend, const char *key, const char *wandb_key)
{
    int in[2], out[2];
    char line[2048];
    FILE *f;
    if (pipe(in) || pipe(out)) return false;
    server_pid = fork();
    if (server_pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        server_set("GATEWAY_API_KEY", key);
        server_set("GATEWAY_WANDB_KEY", wandb_key);
        unsetenv("GATEWAY_PORT");
        execlp("node", "node", "tests/gateway/gateway.mjs", backend, (char *)NULL);
        perror("node");
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    if (server_pid < 0) return false;
    server_stdin = in[1];
    atexit(server_stop);
    f = fdopen(out[0], "r");
    if (!f || !fgets(line, sizeof line, f) || !server_addresses(line)) {
        fprintf(stderr, "tests/gateway did not start\n");
        if (f) fclose(f);
        server_stop();
        return false;
    }
    fclose(f); /* it prints nothing else there */
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
        perror("tests/gateway is gone");
        exit(1);
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
        fprintf(stderr, "tests/gateway: %s %s: %s\n", method, path, answer ? answer : "no answer");
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

/* What the server has yet to notice: asks until it is so or ten seconds are over. */
SERVER_FN bool server_stat_is(const char *name, long least, long most)
{
    long value = -1;
    int i;
    for (i = 0; i < 500; i++) {
        value = server_stat(name);
        if (value >= least && value <= most) return true;
        usleep(20000);
    }
    printf("    %s is %ld\n", name, value);
    return false;
}

/* A gauge that comes down, a counter that grows. */
SERVER_FN bool server_stat_becomes(const char *name, long value)
{
    return server_stat_is(name, value, value);
}

SERVER_FN bool server_stat_reaches(const char *name, long value)
{
    return server_stat_is(name, value, LONG_MAX);
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

#endif /* GATEWAY_H */
