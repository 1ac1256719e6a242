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

static int complain(const cws_error *why)
{
    fprintf(stderr, "%s: %s\n", cws_status_name(why->status), why->message);
    return 1;
}

static int work(cws_session *session, bool crash)
{
    cws_sandbox_opts opts = {0};
    cws_sandbox *one = NULL, *two = NULL;
    cws_error err;
    int failed;
    opts.max_lifetime_seconds = 600; /* the last resort, if there is no next run */
    failed = cws_session_sandbox(session, &opts, &one, &err) ||
             cws_session_sandbox(session, &opts, &two, &err) || cws_sandbox_wait(one, 0, &err) ||
             cws_sandbox_wait(two, 0, &err);
    if (failed) complain(&err);
    else printf("running: %s and %s\n", cws_sandbox_id(one), cws_sandbox_id(two));
    fflush(stdout);
    if (crash && !failed) raise(SIGKILL);
    cws_sandbox_free(one);
    cws_sandbox_free(two);
    return failed;
}

int main(int argc, char **argv)
{
    cws_client_opts client = {0};
    cws_session_opts opts = {0};
    cws_transport local;
    cws_session *session = NULL;
    cws_error err;
    size_t stopped = 0;
    int failed;
    if (example_client_opts(&client, &local, &err)) return complain(&err);
    opts.client_opts = &client;
    opts.journal = "example.journal";
    if (cws_session_open(&opts, &session, &err)) return complain(&err);
    failed = cws_session_reap(session, &stopped, &err) != CWS_OK;
    if (failed) complain(&err);
    else printf("left by earlier runs: %d\n", (int)stopped);
    if (!failed) failed = work(session, argc > 1 && strcmp(argv[1], "crash") == 0);
    if (cws_session_close(session, &err)) failed = complain(&err); /* removes the journal */
    cws_session_free(session);
    return failed;
}
