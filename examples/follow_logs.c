/* follow_logs.c: the output of a sandbox's main command, line by line, as it is written. The stream
 * survives lost connections by itself; here it is also left in the middle and taken up later where
 * it was, as another program could do that has kept the place.
 *
 *     cc -o follow_logs follow_logs.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

typedef struct place { /* enough to go on elsewhere, some other day */
    char session_id[256];
    uint64_t offset;
} place;

/* Show lines, at most `most` of them, from a place on if there is one, and remember where it
 * ended. */
static cws_status show(cws_sandbox *box, int most, place *at, cws_error *err)
{
    cws_logs_opts opts = {.follow = true};
    cws_stream *logs = NULL;
    cws_item line;
    cws_status status;
    if (at->session_id[0]) opts.resume_session_id = at->session_id;
    opts.resume_offset = at->offset;
    status = cws_logs_begin(box, &opts, &logs, err);
    while (!status && most-- > 0) {
        status = cws_stream_next(logs, CWS_FOREVER, &line, err);
        if (status || line.data == NULL) break; /* NULL: the main command has ended */
        if (line.restarted) puts("(some output may be missing, or come twice)");
        printf("%6llu  %s%s", (unsigned long long)line.offset, line.data, line.partial ? "\n" : "");
        snprintf(at->session_id, sizeof(at->session_id), "%s", line.session_id);
        at->offset = line.offset;
    }
    cws_stream_free(logs);
    return status;
}

/* The last lines once more, with their times: what has been written, not what will be. */
static cws_status show_last(cws_sandbox *box, uint32_t lines, cws_error *err)
{
    const cws_logs_opts opts = {
        .tail_lines = lines, .timestamps = true, .on_item = cws_item_to_file, .user = stdout};
    return cws_logs(box, &opts, err);
}

int main(void)
{
    const char *args[] = {
        "-c", "for i in 1 2 3 4 5 6 7 8; do echo building $i of 8; sleep 0.2; done", NULL};
    const cws_sandbox_opts build = {
        .command = "/bin/sh", .args = args, .max_lifetime_seconds = 300};
    cws_session *session;
    cws_sandbox *box = NULL;
    place at = {"", 0};
    cws_error err;
    int failed;
    if (example_open(NULL, &session, &err)) return complain(&err);
    failed = cws_session_sandbox(session, &build, &box, &err) || show(box, 3, &at, &err);
    if (!failed) printf("... left at byte %llu, and back ...\n", (unsigned long long)at.offset);
    failed = failed || show(box, INT_MAX, &at, &err) || show_last(box, 2, &err);
    if (failed) complain(&err);
    if (cws_session_close(session, &err)) failed = complain(&err);
    cws_sandbox_free(box);
    cws_session_free(session);
    return failed;
}
