/* quickstart.c: a session starts three sandboxes at once, runs commands in them, moves files in and
 * out, lists them, and stops them all. Needs CWSANDBOX_API_KEY for the real service; runs on this
 * machine without.
 *
 *     cc -o quickstart quickstart.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

#define BOXES 3

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Every failure ends here: say what failed, stop what runs. */
static int give_up(const cws_error *err, cws_session *session)
{
    cws_error closing;
    fprintf(stderr, "%s: %s\n", cws_status_name(err->status), err->message);
    if (session && cws_session_close(session, &closing)) fprintf(stderr, "%s\n", closing.message);
    cws_session_free(session);
    return 1;
}

int main(void)
{
    static const char work[] = "sleep 1; echo \"$NAME counted $(seq $FROM $TO | wc -l) numbers\"";
    const char *argv[] = {"/bin/sh", "-c", work, NULL};
    const char *shout[] = {"/bin/sh", "-c", "tr a-z A-Z < /tmp/note.txt > /tmp/LOUD.txt", NULL};
    const char *tags[] = {"quickstart", NULL};
    cws_pair environment[] = {{"FROM", "1"}, {"TO", "1000"}, {NULL, NULL}};
    cws_client_opts client = {0};
    cws_session_opts opts = {0};
    cws_sandbox_opts defaults = {0};
    cws_transport local;
    cws_session *session = NULL;
    cws_sandbox *box[BOXES];
    cws_process *process[BOXES];
    cws_op *ops[BOXES];
    cws_sandbox_list *found;
    cws_result *result = NULL;
    cws_bytes *file;
    cws_error err;
    double start = now(), step;
    size_t i;

    /* A session: defaults for every sandbox, and one close for all of them. */
    defaults.tags = tags;
    defaults.environment_variables = environment;
    defaults.max_lifetime_seconds = 300;
    opts.client_opts = &client;
    opts.defaults = &defaults;
    if (example_client_opts(&client, &local, &err) || cws_session_open(&opts, &session, &err))
        return give_up(&err, NULL);

    /* One command in each of three sandboxes. Nothing waits here: beginning a command also starts
     * its sandbox, and all of it moves in cws_wait_many, on this one thread. */
    step = now();
    for (i = 0; i < BOXES; i++) {
        const char *names[BOXES] = {"alpha", "beta", "gamma"};
        cws_pair own[] = {{"NAME", names[i]}, {NULL, NULL}};
        cws_sandbox_opts more = {0};
        cws_exec_opts run = {0};
        more.environment_variables = own; /* added to the session's */
        run.check = true;                 /* a non-zero exit code is an error */
        if (cws_session_sandbox(session, &more, &box[i], &err) ||
            cws_exec_begin(box[i], argv, &run, &process[i], &err))
            return give_up(&err, session);
        ops[i] = cws_process_op(process[i]);
    }
    if (cws_wait_many(ops, BOXES, CWS_ALL, -1, NULL, NULL, &err)) return give_up(&err, session);
    for (i = 0; i < BOXES; i++) {
        const cws_result *done;
        if (cws_process_wait(process[i], -1, &done, &err)) return give_up(&err, session);
        printf("%s  $ %s\n    %s", cws_sandbox_id(box[i]), work, cws_result_stdout(done, NULL));
        cws_process_free(process[i]);
    }
    printf("%d sandboxes started and ran a command of 1 s: %.2f s\n", BOXES, now() - step);

    /* A file in, a command over it, a file out. */
    step = now();
    if (cws_write_file(box[0], "/tmp/note.txt", "small steps\n", 12, NULL, &err) ||
        cws_exec(box[0], shout, NULL, &result, &err) ||
        cws_read_file(box[0], "/tmp/LOUD.txt", NULL, &file, &err))
        return give_up(&err, session);
    printf("/tmp/note.txt (12 bytes) in, /tmp/LOUD.txt (%zu bytes) out: %s",
           cws_bytes_size(file), (const char *)cws_bytes_data(file, NULL));
    printf("two files moved: %.2f s\n", now() - step);
    cws_result_free(result);
    cws_bytes_free(file);

    /* What runs under the session's tags, as the service sees it. */
    if (cws_session_list(session, NULL, &found, &err)) return give_up(&err, session);
    for (i = 0; i < cws_sandbox_list_count(found); i++) {
        const cws_sandbox_info *info = cws_sandbox_get_info(cws_sandbox_list_at(found, i));
        printf("listed %s  %s\n", info->sandbox_id, cws_state_name(info->state));
    }
    cws_sandbox_list_free(found);

    /* Stop them all, at once. A failure here names what may still run. */
    step = now();
    if (cws_session_close(session, &err)) return give_up(&err, session);
    printf("%d sandboxes stopped: %.2f s; memory of the library at most %llu KiB\n", BOXES,
           now() - step,
           (unsigned long long)cws_client_memory(cws_session_client(session)).peak_bytes / 1024);
    for (i = 0; i < BOXES; i++) cws_sandbox_free(box[i]);
    cws_session_free(session);
    printf("whole run: %.2f s\nmain job: ok\n", now() - start);
    return 0;
}
