/* stdin.c: a command with a live standard input. First a conversation: a line goes in, its answer
 * comes out, and what was said before is remembered. Then a pipe: a megabyte in, its checksum out.
 *
 *     cc -o stdin stdin.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

static int complain(const cws_error *why)
{
    fprintf(stderr, "%s: %s\n", cws_status_name(why->status), why->message);
    return 1;
}

/* One line of the command's output, without its newline; less at the end of the output. */
static cws_status read_line(cws_process *p, char *line, size_t room, cws_error *err)
{
    size_t n = 0, at = 0;
    cws_status status = CWS_OK;
    while (at + 1 < room && !status) {
        status = cws_process_read(p, CWS_STDOUT, line + at, 1, 10000, &n, err);
        if (n == 0 || line[at] == '\n') break;
        at++;
    }
    line[at] = '\0';
    return status;
}

/* A shell that stays: each answer depends on the lines before. */
static int talk(cws_sandbox *box)
{
    static const char *const lines[] = {"x=6", "echo $((x * 7))", "x=$((x + 1))",
                                        "echo now x is $x", NULL};
    const char *argv[] = {"/bin/sh", NULL};
    cws_exec_opts o = {0};
    cws_process *shell;
    cws_error err;
    char answer[100];
    int i, code = 0;
    o.with_stdin = true;
    if (cws_exec_begin(box, argv, &o, &shell, &err)) return complain(&err);
    for (i = 0; lines[i] && !code; i++) {
        printf("> %s\n", lines[i]);
        if (cws_process_write_line(shell, lines[i], 10000, &err)) code = complain(&err);
        else if (strncmp(lines[i], "echo", 4) != 0) continue; /* it says nothing */
        else if (read_line(shell, answer, sizeof(answer), &err)) code = complain(&err);
        else printf("%s\n", answer);
    }
    if (cws_process_close_stdin(shell, &err) || cws_process_wait(shell, -1, NULL, &err))
        code = complain(&err);
    cws_process_free(shell);
    return code;
}

/* A pipe: writing waits when the command is slower, and moves its output meanwhile. */
static int pipe_through(cws_sandbox *box)
{
    static char data[1 << 20];
    const char *argv[] = {"cksum", NULL};
    const cws_result *result = NULL;
    cws_exec_opts o = {0};
    cws_process *p;
    cws_error err;
    int code = 0;
    memset(data, 'x', sizeof(data));
    o.with_stdin = true;
    if (cws_exec_begin(box, argv, &o, &p, &err)) return complain(&err);
    if (cws_process_write(p, data, sizeof(data), -1, NULL, &err) ||
        cws_process_close_stdin(p, &err) || cws_process_wait(p, -1, &result, &err))
        code = complain(&err);
    else printf("checksum and size: %s", cws_result_stdout(result, NULL));
    cws_process_free(p);
    return code;
}

int main(void)
{
    cws_client_opts client;
    cws_session_opts opts = {0};
    cws_transport local;
    cws_session *session;
    cws_sandbox *box = NULL;
    cws_error err;
    int code;
    if (example_client_opts(&client, &local, &err)) return complain(&err);
    opts.client_opts = &client;
    if (cws_session_open(&opts, &session, &err)) return complain(&err);
    if (cws_session_sandbox(session, NULL, &box, &err)) code = complain(&err);
    else code = talk(box) || pipe_through(box);
    if (cws_session_close(session, &err)) code = complain(&err);
    cws_sandbox_free(box);
    cws_session_free(session);
    return code;
}
