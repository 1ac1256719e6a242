/* stdin.c: a command with a live standard input. First a conversation: a line goes in, its answer
 * comes out, and what was said before is remembered. Then a pipe: a megabyte in, its checksum out.
 *
 *     cc -o stdin stdin.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

/* One line of the command's output, without its newline; less at the end of the output. */
static cws_status read_line(cws_process *p, char *line, size_t room, cws_error *err)
{
    size_t n = 0, at = 0;
    cws_status status = CWS_OK;
    while (at + 1 < room && !status) {
        status = cws_process_read(p, CWS_STDOUT, line + at, 1, 10, &n, err); /* 10 s at most */
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
    const cws_exec_opts opts = {.with_stdin = true, .check = true};
    cws_process *shell;
    cws_error err;
    char answer[100];
    int i, failed = 0;
    if (cws_exec_begin(box, argv, &opts, &shell, &err)) return complain(&err);
    for (i = 0; lines[i] && !failed; i++) {
        printf("> %s\n", lines[i]);
        failed = cws_process_write_line(shell, lines[i], 10, &err) != CWS_OK;
        if (failed || strncmp(lines[i], "echo", 4) != 0) continue; /* it says nothing */
        failed = read_line(shell, answer, sizeof(answer), &err) != CWS_OK;
        if (!failed) printf("%s\n", answer);
    }
    failed = failed || cws_process_close_stdin(shell, &err) ||
             cws_process_wait(shell, CWS_FOREVER, NULL, &err);
    if (failed) complain(&err);
    cws_process_free(shell);
    return failed;
}

/* A pipe: writing waits when the command is slower, and moves its output meanwhile. */
static int pipe_through(cws_sandbox *box)
{
    static char data[1 << 20];
    const char *argv[] = {"cksum", NULL};
    const cws_exec_opts opts = {.with_stdin = true, .check = true};
    const cws_result *result;
    cws_process *p;
    cws_error err;
    int failed;
    memset(data, 'x', sizeof(data));
    if (cws_exec_begin(box, argv, &opts, &p, &err)) return complain(&err);
    failed = cws_process_write(p, data, sizeof(data), CWS_FOREVER, NULL, &err) ||
             cws_process_close_stdin(p, &err) || cws_process_wait(p, CWS_FOREVER, &result, &err);
    if (failed) complain(&err);
    else printf("checksum and size: %s", cws_result_stdout(result));
    cws_process_free(p);
    return failed;
}

int main(void)
{
    cws_session *session;
    cws_sandbox *box = NULL;
    cws_error err;
    int failed;
    if (example_open(NULL, &session, &err)) return complain(&err);
    if (cws_session_sandbox(session, NULL, &box, &err)) failed = complain(&err);
    else failed = talk(box) || pipe_through(box);
    if (cws_session_close(session, &err)) failed = complain(&err);
    cws_sandbox_free(box);
    cws_session_free(session);
    return failed;
}
