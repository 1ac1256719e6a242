/* quickstart.c: the main job. A session starts three sandboxes at once, runs commands in them,
 * moves files in and out, lists them, and stops them all.
 *
 *     cc -o quickstart quickstart.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

enum { BOXES = 3 };
static const cws_exec_opts check = {.check = true}; /* a non-zero exit code is an error */

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* One command in each sandbox. Nothing waits but cws_wait_many: beginning a command also starts its
 * sandbox, and all of them move at the same time, on this one thread. */
static cws_status run_commands(cws_session *session, cws_sandbox **boxes, cws_error *err)
{
    static const char work[] = "sleep 1; echo \"$NAME counted $(seq $FROM $TO | wc -l) numbers\"";
    static const char *const names[BOXES] = {"alpha", "beta", "gamma"};
    const char *argv[] = {"/bin/sh", "-c", work, NULL};
    cws_process *runs[BOXES] = {NULL};
    cws_op *ops[BOXES] = {NULL};
    cws_status status = CWS_OK;
    int i;
    for (i = 0; i < BOXES && !status; i++) {
        cws_pair own[] = {{"NAME", names[i]}, {NULL, NULL}};
        cws_sandbox_opts opts = {.environment_variables = own}; /* added to the session's */
        status = cws_session_sandbox(session, &opts, &boxes[i], err);
        if (!status) status = cws_exec_begin(boxes[i], argv, &check, &runs[i], err);
        if (!status) ops[i] = cws_process_op(runs[i]);
    }
    if (!status) status = cws_wait_many(ops, BOXES, CWS_ALL, CWS_FOREVER, NULL, NULL, err);
    for (i = 0; i < BOXES && !status; i++) {
        const cws_result *result; /* lives as long as the process */
        status = cws_process_wait(runs[i], 0, &result, err);
        if (!status) printf("%s: %s", cws_sandbox_id(boxes[i]), cws_result_stdout(result));
    }
    for (i = 0; i < BOXES; i++) cws_process_free(runs[i]);
    return status;
}

/* A file in, a command over it, a file out. */
static cws_status move_files(cws_sandbox *box, cws_error *err)
{
    const char *shout[] = {"/bin/sh", "-c", "tr a-z A-Z < /tmp/note.txt > /tmp/LOUD.txt", NULL};
    cws_result *result = NULL;
    cws_bytes *file = NULL;
    cws_status status = cws_write_file(box, "/tmp/note.txt", "small steps\n", 12, NULL, err);
    if (!status) status = cws_exec(box, shout, &check, &result, err);
    if (!status) status = cws_read_file(box, "/tmp/LOUD.txt", NULL, &file, err);
    if (!status)
        printf("12 bytes in, %zu out: %s", cws_bytes_size(file), cws_bytes_data(file));
    cws_result_free(result);
    cws_bytes_free(file);
    return status;
}

/* What runs under the session's tags, as the service sees it. */
static cws_status list(cws_session *session, cws_error *err)
{
    cws_sandboxes *found = NULL;
    cws_sandbox *box;
    cws_status status = cws_session_list(session, NULL, &found, err);
    size_t i;
    for (i = 0; !status && (box = cws_sandboxes_at(found, i)) != NULL; i++)
        printf("listed %s  %s\n", cws_sandbox_id(box), cws_state_name(cws_sandbox_state(box)));
    cws_sandboxes_free(found);
    return status;
}

int main(void)
{
    const char *tags[] = {"quickstart", NULL};
    const cws_pair variables[] = {{"FROM", "1"}, {"TO", "1000"}, {NULL, NULL}};
    const cws_sandbox_opts defaults = {
        .tags = tags, .environment_variables = variables, .max_lifetime_seconds = 300};
    const cws_session_opts opts = {.defaults = &defaults};
    cws_session *session;
    cws_sandbox *boxes[BOXES] = {NULL};
    cws_error err;
    int i, failed;
    double start = now();
    if (example_open(&opts, &session, &err)) return complain(&err);
    failed = run_commands(session, boxes, &err) != CWS_OK;
    if (!failed) printf("%d sandboxes, a command of 1 s in each: %.2f s\n", BOXES, now() - start);
    failed = failed || move_files(boxes[0], &err) || list(session, &err);
    if (failed) complain(&err);
    if (cws_session_close(session, &err)) failed = complain(&err); /* stops them, all at once */
    for (i = 0; i < BOXES; i++) cws_sandbox_free(boxes[i]);
    cws_session_free(session);
    printf("main job: %s\n", failed ? "failed" : "ok");
    return failed;
}
