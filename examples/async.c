/* async.c: one thread, many sandboxes in flight. Callbacks begin the next step, none is waited for;
 * one poll loop moves everything, and could serve a program's other events too.
 *
 *     cc -o async async.c -lcurl
 *     ./async [COUNT]
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

typedef struct worker { /* one sandbox on its way: command, file, stop */
    int number, failed;
    cws_sandbox *box;
    cws_process *process;
    cws_op *op;
} worker;

static void on_stopped(cws_op *op, void *user)
{
    worker *w = user;
    cws_error err;
    if (cws_op_status(op, &err)) w->failed = complain(&err);
}

/* The last step, whatever came of those before it. */
static void stop(worker *w, const cws_error *why)
{
    cws_error err;
    if (why) w->failed = complain(why);
    cws_op_free(w->op); /* allowed although this may be its callback */
    w->op = NULL;
    if (cws_sandbox_stop_begin(w->box, NULL, &w->op, &err)) w->failed = complain(&err);
    else cws_op_on_done(w->op, on_stopped, w);
}

static void on_read(cws_op *op, void *user)
{
    worker *w = user;
    cws_error err;
    cws_status status = cws_op_status(op, &err);
    cws_bytes *file = cws_op_take_bytes(op); /* once; NULL if it failed */
    if (file) printf("in %s: %s", cws_sandbox_id(w->box), cws_bytes_data(file));
    cws_bytes_free(file);
    stop(w, status ? &err : NULL);
}

static void on_exit_of_command(cws_op *op, void *user)
{
    worker *w = user;
    cws_error err;
    if (cws_op_status(op, &err) || cws_read_file_begin(w->box, "/tmp/square", NULL, &w->op, &err))
        stop(w, &err);
    else cws_op_on_done(w->op, on_read, w);
}

/* Beginning its first command starts the sandbox, too. */
static cws_status begin(worker *w, cws_session *session, cws_error *err)
{
    const cws_exec_opts run = {.check = true}; /* a non-zero exit code is an error */
    char script[80];
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    cws_status status = cws_session_sandbox(session, NULL, &w->box, err);
    snprintf(script, sizeof(script), "sleep 1; echo %d squared is $((%d * %d)) > /tmp/square",
             w->number, w->number, w->number);
    if (!status) status = cws_exec_begin(w->box, argv, &run, &w->process, err);
    if (!status) cws_op_on_done(cws_process_op(w->process), on_exit_of_command, w);
    return status;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 8, failed = 0, i;
    worker *workers = calloc(count > 0 ? (size_t)count : 1, sizeof(*workers));
    cws_session *session;
    cws_client *client;
    cws_error err;
    if (!workers) return perror("async"), 1;
    if (example_open(NULL, &session, &err)) return complain(&err);
    client = cws_session_client(session);
    for (i = 0; i < count && !failed; i++) {
        workers[i].number = i + 1;
        if (begin(&workers[i], session, &err)) failed = complain(&err);
    }
    while (cws_client_pending(client) > 0 && !failed) /* operations in flight */
        if (cws_client_poll(client, CWS_FOREVER, &err)) failed = complain(&err);
    if (cws_session_close(session, &err)) failed = complain(&err);
    for (i = 0; i < count; i++) {
        failed += workers[i].failed;
        cws_process_free(workers[i].process);
        cws_op_free(workers[i].op);
        cws_sandbox_free(workers[i].box);
    }
    cws_session_free(session);
    free(workers);
    printf("%d sandboxes on one thread, %d failed\n", count, failed);
    return failed > 0;
}
