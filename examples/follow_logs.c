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

static int complain(const cws_error *why)
{
    fprintf(stderr, "%s: %s\n", cws_status_name(why->status), why->message);
    return 1;
}

/* Show lines, at most `most` of them, from a place on if there is one, and remember where it
 * ended. */
static int show(cws_sandbox *box, int most, place *at)
{
    cws_logs_opts o = {0};
    cws_stream *logs;
    cws_item line;
    cws_error err;
    int code = 0;
    o.follow = true;
    if (at->session_id[0]) o.resume_session_id = at->session_id;
    o.resume_offset = at->offset;
    if (cws_logs_begin(box, &o, &logs, &err)) return complain(&err);
    while (most-- != 0) {
        if (cws_stream_next(logs, -1, &line, &err)) {
            code = complain(&err);
            break;
        }
        if (line.data == NULL) break; /* the main command has ended */
        if (line.restarted) puts("(some output may be missing, or come twice)");
        printf("%6llu  %s%s", (unsigned long long)line.offset, line.data,
               line.partial ? "\n" : "");
        snprintf(at->session_id, sizeof(at->session_id), "%s", line.session_id);
        at->offset = line.offset;
    }
    cws_stream_free(logs);
    return code;
}

/* The last lines once more, with their times: what has been written, not what will be. */
static int show_last(cws_sandbox *box, uint32_t lines)
{
    cws_logs_opts o = {0};
    cws_error err;
    o.tail_lines = lines;
    o.timestamps = true;
    o.on_item = cws_item_to_file;
    o.user = stdout;
    return cws_logs(box, &o, &err) ? complain(&err) : 0;
}

int main(void)
{
    const char *args[] = {
        "-c", "for i in 1 2 3 4 5 6 7 8; do echo building $i of 8; sleep 0.2; done", NULL};
    cws_client_opts client;
    cws_session_opts opts = {0};
    cws_sandbox_opts build = {0};
    cws_transport local;
    cws_session *session;
    cws_sandbox *box = NULL;
    place at = {"", 0};
    cws_error err;
    int code;
    build.command = "/bin/sh";
    build.args = args;
    build.max_lifetime_seconds = 300;
    if (example_client_opts(&client, &local, &err)) return complain(&err);
    opts.client_opts = &client;
    if (cws_session_open(&opts, &session, &err)) return complain(&err);
    if (cws_session_sandbox(session, &build, &box, &err)) code = complain(&err);
    else {
        code = show(box, 3, &at);
        printf("... left at byte %llu, and back ...\n", (unsigned long long)at.offset);
        code = code || show(box, -1, &at);
        code = code || show_last(box, 2);
    }
    if (cws_session_close(session, &err)) code = complain(&err);
    cws_sandbox_free(box);
    cws_session_free(session);
    return code;
}
