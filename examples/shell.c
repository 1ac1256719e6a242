/* shell.c: sit in a sandbox. The terminal becomes that of a shell over there: every key goes in as
 * it is, so ^C, editors and full-screen programs work, and a change of the window's size is passed
 * on.
 *
 *     cc -o shell shell.c -lcurl
 *     ./shell [program [argument...]]        default: /bin/bash
 *
 * Without a terminal (echo ls | ./shell) there is none over there either: a command and its input.
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

static struct termios before; /* how the terminal was */
static volatile sig_atomic_t raw, resized, stopped;

static void restore_terminal(void)
{
    if (raw) (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    raw = 0;
}

static void on_signal(int number)
{
    if (number == SIGWINCH) resized = 1;
    else stopped = 1;
}

/* Keys as they are pressed; and the terminal is put back however this program ends. */
static void prepare_terminal(void)
{
    static const int signals[] = {SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGQUIT};
    const struct sigaction action = {.sa_handler = on_signal};
    struct termios keys;
    size_t i;
    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        (void)sigaction(signals[i], &action, NULL);
    if (tcgetattr(STDIN_FILENO, &before)) return; /* it is no terminal */
    keys = before;
    keys.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
    keys.c_oflag &= ~(tcflag_t)OPOST;
    keys.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    (void)atexit(restore_terminal);
    raw = 1;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &keys); /* keys pressed already are not lost */
}

static bool window_size(uint32_t *width, uint32_t *height)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col || !size.ws_row) return false;
    *width = size.ws_col;
    *height = size.ws_row;
    return true;
}

/* The screen. A callback that can not write gives the shell up. */
static cws_flow show(cws_stream_id stream, const void *data, size_t size, void *user)
{
    const char *at = data;
    int to = stream == CWS_STDERR ? STDERR_FILENO : STDOUT_FILENO;
    (void)user;
    while (size) {
        ssize_t n = write(to, at, size);
        if (n < 0 && errno != EINTR && errno != EAGAIN) return CWS_FLOW_CANCEL;
        if (n > 0) at += n, size -= (size_t)n;
    }
    return CWS_FLOW_CONTINUE;
}

/* Keys that are there now go to the shell. What does not fit waits in keys. */
static cws_status type_keys(cws_process *shell, char *keys, size_t room, size_t *held, bool *end,
                            cws_error *err)
{
    struct pollfd in = {STDIN_FILENO, POLLIN, 0};
    cws_status status;
    size_t n = 0;
    if (*end && *held == 0) return CWS_OK; /* said already */
    if (!*end && *held < room && poll(&in, 1, 0) > 0) {
        ssize_t got = read(STDIN_FILENO, keys + *held, room - *held);
        if (got > 0) *held += (size_t)got;
        else if (got == 0 || errno != EINTR) *end = true;
    }
    status = cws_process_write(shell, keys, *held, 0, &n, err); /* 0: do not wait */
    memmove(keys, keys + n, *held - n);
    *held -= n;
    if (*end && *held == 0 && !status) status = cws_process_close_stdin(shell, err);
    return status == CWS_ERR_WAIT_TIMEOUT ? CWS_OK : status;
}

/* Until the shell has ended: what the sandbox says, what the keyboard says. */
static cws_status converse(cws_process *shell, cws_error *err)
{
    cws_op *op = cws_process_op(shell);
    char keys[4096];
    size_t held = 0;
    bool end = false;
    uint32_t width, height;
    cws_status status = CWS_OK;
    while (!status && !stopped) {
        /* 15 ms, so soon a key is noticed; output ends the wait at once */
        status = cws_client_poll(cws_op_client(op), 0.015, err);
        if (status || cws_op_done(op)) break;
        if (resized) {
            resized = 0; /* first: another one may come meanwhile */
            if (!window_size(&width, &height)) continue;
            status = cws_process_resize(shell, width, height, err);
        }
        if (!status) status = type_keys(shell, keys, sizeof(keys), &held, &end, err);
    }
    if (stopped) cws_process_cancel(shell);
    return status;
}

/* In a terminal like ours, or as a plain command. */
static cws_status begin(cws_sandbox *box, const char *const *argv, cws_process **out,
                        cws_error *err)
{
    static const char *const bash[] = {"/bin/bash", NULL};
    const char *term = getenv("TERM");
    const cws_pair variables[] = {{"TERM", term ? term : "xterm-256color"}, {NULL, NULL}};
    const cws_exec_opts command = {
        .with_stdin = true, .on_output = show, .timeout_seconds = 3600};
    cws_shell_opts shell = {.environment_variables = variables, .on_output = show};
    if (!isatty(STDIN_FILENO)) return cws_exec_begin(box, argv ? argv : bash, &command, out, err);
    (void)window_size(&shell.width, &shell.height);
    return cws_shell_begin(box, argv, &shell, out, err); /* NULL: /bin/bash */
}

static int run_shell(cws_sandbox *box, char **argv)
{
    cws_process *shell;
    cws_error err;
    int32_t code = 1;
    if (begin(box, argv[1] ? (const char *const *)(argv + 1) : NULL, &shell, &err))
        return complain(&err);
    prepare_terminal();
    (void)converse(shell, &err); /* how the shell ended says more */
    if (cws_process_wait(shell, stopped ? 0 : CWS_FOREVER, NULL, &err) && !stopped)
        fprintf(stderr, "\r\nshell: %s\r\n", err.message);
    (void)cws_process_poll(shell, &code);
    cws_process_free(shell);
    restore_terminal();
    return stopped ? 130 : code;
}

int main(int argc, char **argv)
{
    const cws_sandbox_opts opts = {.max_lifetime_seconds = 3600};
    cws_session *session;
    cws_sandbox *box = NULL;
    cws_error err;
    int code;
    (void)argc;
    if (example_open(NULL, &session, &err)) return complain(&err);
    if (cws_session_sandbox(session, &opts, &box, &err) || cws_sandbox_wait(box, NULL, &err))
        code = complain(&err);
    else code = run_shell(box, argv);
    if (cws_session_close(session, &err) && !code) code = complain(&err);
    cws_sandbox_free(box);
    cws_session_free(session);
    return code;
}
