/* custom_transport.c: the library over an HTTP client of your own. Here it is the curl command; the
 * function `perform` is all that the blocking tier asks for, and everything unary works over it:
 * sessions, lifecycle, files, commands. Without CWSANDBOX_API_KEY it talks to a server on loopback
 * that this program starts.
 *
 *     cc -DCWS_NO_CURL -o custom_transport custom_transport.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"
#include "loopback_server.h"

/* Write what curl is to do, and the body it is to send, into two files of a private directory: so
 * the credential is not in a command line that others can see. */
static bool write_orders(const char *dir, const cws_http_request *request)
{
    char path[256];
    FILE *file;
    size_t i;
    snprintf(path, sizeof(path), "%s/body", dir);
    file = fopen(path, "wb");
    if (!file) return false;
    fwrite(request->body ? request->body : "", 1, request->body_size, file);
    if (fclose(file)) return false;
    snprintf(path, sizeof(path), "%s/config", dir);
    file = fopen(path, "w");
    if (!file) return false;
    fprintf(file, "silent\ninclude\nhttp1.1\nurl = \"%s\"\ndata-binary = \"@%s/body\"\n",
            request->url, dir);
    fprintf(file, "max-time = %lld.%03d\n", (long long)request->timeout_ms / 1000,
            (int)(request->timeout_ms % 1000));
    for (i = 0; i < request->header_count; i++)
        fprintf(file, "header = \"%s: %s\"\n", request->headers[i].name, request->headers[i].value);
    return fclose(file) == 0;
}

/* The whole transport: carry out one request, report head and body, return how it ended. */
static cws_end perform(void *user, const cws_http_request *request, cws_exchange *exchange)
{
    char command[300], lines[64][512], piece[65536];
    cws_header headers[64];
    size_t count = 0, n;
    int status = 0, code;
    FILE *curl;
    snprintf(command, sizeof(command), "curl -q --config %s/config", (const char *)user);
    if (!write_orders(user, request) || !(curl = popen(command, "r"))) return CWS_END_NOT_SENT;
    while (count < 64 && fgets(lines[count], sizeof(lines[0]), curl)) {
        char *line = lines[count], *colon = strchr(line, ':');
        line[strcspn(line, "\r\n")] = '\0';
        if (strncmp(line, "HTTP/", 5) == 0) status = atoi(line + strcspn(line, " ")), count = 0;
        else if (line[0] == '\0' && status >= 200) break; /* not the end of "100 Continue" */
        else if (colon) {
            *colon = '\0';
            headers[count].name = line;
            headers[count++].value = colon + 1 + strspn(colon + 1, " ");
        }
    }
    if (status >= 200) cws_exchange_head(exchange, status, 1, headers, count);
    while ((n = fread(piece, 1, sizeof(piece), curl)) > 0)
        if (!cws_exchange_data(exchange, piece, n)) break; /* the library has enough */
    code = pclose(curl) >> 8;
    if (code) cws_exchange_note(exchange, code, "see the exit codes of the curl command");
    if (code == 6 || code == 7 || code == 127) return CWS_END_NOT_SENT; /* host, connection, curl */
    return code == 28 ? CWS_END_TIMEOUT : code ? CWS_END_LOST : CWS_END_OK;
}

/* The main job over it. */
static int run(const cws_client_opts *client)
{
    const char *argv[] = {"uname", "-s", NULL};
    const cws_session_opts opts = {.client_opts = client};
    const cws_exec_opts check = {.check = true};
    cws_session *session;
    cws_sandbox *box = NULL;
    cws_result *result = NULL;
    cws_error err;
    int failed;
    if (cws_session_open(&opts, &session, &err)) return complain(&err);
    failed = cws_session_sandbox(session, NULL, &box, &err) ||
             cws_exec(box, argv, &check, &result, &err);
    if (failed) complain(&err);
    else printf("the sandbox runs %s", cws_result_stdout(result));
    if (cws_session_close(session, &err)) failed = complain(&err);
    cws_result_free(result);
    cws_sandbox_free(box);
    cws_session_free(session);
    return failed;
}

int main(void)
{
    char dir[] = "/tmp/custom_transport.XXXXXX", text[64];
    cws_transport transport = {.user = dir, .perform = perform};
    cws_client_opts client = {.transport = &transport};
    pid_t server = -1;
    int failed;
    umask(077); /* what this writes is nobody else's business */
    if (!mkdtemp(dir)) return perror(dir), 1;
    if (!getenv("CWSANDBOX_API_KEY")) {
        server = loopback_server_start(text, sizeof(text));
        if (server < 0) return perror("loopback server"), 1;
        client.base_url = text;
        fprintf(stderr, "no CWSANDBOX_API_KEY: talking to %s, a server of this program\n", text);
    }
    failed = run(&client);
    if (server > 0) kill(server, SIGKILL), waitpid(server, NULL, 0);
    snprintf(text, sizeof(text), "rm -rf %s", dir);
    return failed || system(text) != 0;
}
