/* async.c: one thread, many sandboxes in flight. Every step is begun, never waited for; callbacks
 * begin the next one; one poll loop moves everything and could serve a program's other events too.
 *
 *     cc -o async async.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

typedef struct worker { /* one sandbox on its way: command, file, stop */
    int number, *left;  /* left: workers that are not through yet */
    cws_sandbox *box;
    cws_process *process;
    cws_op *op;
    bool failed;
} worker;

static void complain(worker *w, const cws_error *why)
{
    fprintf(stderr, "worker %d: %s\n", w->number, why->message);
    w->failed = true;
}

static void on_stopped(cws_op *op, void *user)
{
    worker *w = user;
    cws_error err;
    if (cws_op_result(op, &err)) complain(w, &err);
    --*w->left;
}

/* Done or failed: the sandbox is stopped in either case. */
static void finish(worker *w, const cws_error *why)
{
    cws_error err;
    if (why) complain(w, why);
    cws_op_free(w->op); /* the operation whose callback we may be in: freed once we return */
    w->op = NULL;
    if (cws_sandbox_stop_begin(w->box, NULL, &w->op, &err)) {
        complain(w, &err);
        --*w->left;
        return;
    }
    cws_op_on_done(w->op, on_stopped, w);
}

static void on_read(cws_op *op, void *user)
{
    worker *w = user;
    cws_error err;
    cws_bytes *file;
    bool read = cws_op_result(op, &err) == CWS_OK;
    if (read) {
        file = cws_op_take_bytes(op);
        printf("worker %2d in %s: %s", w->number, cws_sandbox_id(w->box),
               (const char *)cws_bytes_data(file, NULL));
        cws_bytes_free(file);
    }
    finish(w, read ? NULL : &err);
}

static void on_exit_of_command(cws_op *op, void *user)
{
    worker *w = user;
    cws_error err;
    if (cws_op_result(op, &err) || cws_read_file_begin(w->box, "/tmp/square", NULL, &w->op, &err)) {
        finish(w, &err);
        return;
    }
    cws_op_on_done(w->op, on_read, w);
}

/* Starting the sandbox is part of beginning its first command. */
static bool begin(worker *w, cws_session *session, cws_error *err)
{
    char script[80];
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    cws_exec_opts run = {0};
    run.check = true;
    snprintf(script, sizeof(script), "sleep 1; echo %d squared is $((%d * %d)) > /tmp/square",
             w->number, w->number, w->number);
    if (cws_session_sandbox(session, NULL, &w->box, err) ||
        cws_exec_begin(w->box, argv, &run, &w->process, err))
        return false;
    cws_op_on_done(cws_process_op(w->process), on_exit_of_command, w);
    return true;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 8, left = 0, failed = 0, i;
    worker *workers = calloc(count > 0 ? (size_t)count : 1, sizeof(*workers));
    cws_client_opts client = {0};
    cws_session_opts opts = {0};
    cws_session *session;
    cws_transport local;
    cws_error err;
    opts.client_opts = &client;
    if (!workers || example_client_opts(&client, &local, &err) ||
        cws_session_open(&opts, &session, &err))
        return fprintf(stderr, "%s\n", workers ? err.message : "out of memory"), 1;
    for (i = 0; i < count; i++, left++) {
        workers[i].number = i + 1;
        workers[i].left = &left;
        if (!begin(&workers[i], session, &err)) break;
    }
    while (left > 0 && cws_client_poll(cws_session_client(session), 1000, &err) == CWS_OK) {}
    for (i = 0; i < count; i++) {
        failed += workers[i].failed;
        cws_process_free(workers[i].process);
        cws_op_free(workers[i].op);
    }
    if (cws_session_close(session, &err)) fprintf(stderr, "%s\n", err.message), failed++;
    for (i = 0; i < count; i++) cws_sandbox_free(workers[i].box);
    cws_session_free(session);
    free(workers);
    printf("%d sandboxes on one thread, %d failed\n", count, failed);
    return failed > 0 || left > 0;
}
