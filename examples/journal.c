/* journal.c: what is left behind by a crash is stopped by the next run. Run it once with the word
 * "crash", then once without: it dies with two sandboxes running, and then finds them.
 *
 *     cc -o journal journal.c -lcurl
 *     ./journal crash; ./journal
 *
 * On the real service, that is: the sandboxes of the local backend end with the process.
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

#include <signal.h>

static cws_status work(cws_session *session, bool crash, cws_error *err)
{
    /* the lifetime is the last resort, if there is no next run */
    const cws_sandbox_opts opts = {.max_lifetime_seconds = 600};
    cws_sandbox *boxes[2] = {NULL, NULL};
    cws_status status = CWS_OK;
    int i;
    for (i = 0; i < 2 && !status; i++) {
        status = cws_session_sandbox(session, &opts, &boxes[i], err);
        if (!status) status = cws_sandbox_wait(boxes[i], NULL, err);
        if (!status) printf("running: %s\n", cws_sandbox_id(boxes[i]));
    }
    fflush(stdout);
    if (crash) raise(SIGKILL);
    for (i = 0; i < 2; i++) cws_sandbox_free(boxes[i]);
    return status;
}

int main(int argc, char **argv)
{
    const cws_session_opts opts = {.journal = "example.journal"};
    bool crash = argc > 1 && strcmp(argv[1], "crash") == 0;
    cws_session *session;
    cws_error err;
    size_t stopped;
    int failed;
    if (example_open(&opts, &session, &err)) return complain(&err);
    failed = cws_session_reap(session, &stopped, &err) != CWS_OK;
    if (!failed) printf("left by earlier runs: %d\n", (int)stopped);
    failed = failed || work(session, crash, &err);
    if (failed) complain(&err);
    if (cws_session_close(session, &err)) failed = complain(&err); /* removes the journal */
    cws_session_free(session);
    return failed;
}
