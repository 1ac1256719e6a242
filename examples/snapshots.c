/* snapshots.c: keep what a sandbox has made, and begin another one from it.
 *
 *     cc -o snapshots snapshots.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

static int complain(const cws_error *why)
{
    fprintf(stderr, "%s: %s\n", cws_status_name(why->status), why->message);
    return 1;
}

/* A sandbox whose /workspace can be kept; from: NULL, or the snapshot it begins with. */
static cws_status make(cws_session *session, const char *from, cws_sandbox **box, cws_error *err)
{
    cws_file_system work = {0};
    cws_sandbox_opts opts = {0};
    work.mount_path = "/workspace";
    work.snapshot_id = from;
    opts.file_system = &work;
    opts.max_lifetime_seconds = 600;
    return cws_session_sandbox(session, &opts, box, err);
}

/* Prepare once ... */
static int prepare(cws_session *session, cws_snapshot_list **kept)
{
    const char *argv[] = {"/bin/sh", "-c", "echo expensive > /workspace/result", NULL};
    cws_sandbox *box = NULL;
    cws_result *result = NULL;
    cws_error err;
    int failed = make(session, NULL, &box, &err) || cws_exec(box, argv, NULL, &result, &err) ||
                 cws_snapshot_create(box, NULL, kept, &err);
    if (failed) complain(&err);
    else printf("kept as %s\n", cws_snapshot_list_at(*kept, 0)->snapshot_id);
    cws_result_free(result);
    cws_sandbox_free(box);
    return failed;
}

/* ... and begin from it as often as needed. */
static int begin_from(cws_session *session, const char *snapshot_id)
{
    cws_sandbox *box = NULL;
    cws_bytes *bytes = NULL;
    cws_error err;
    int failed = make(session, snapshot_id, &box, &err) ||
                 cws_read_file(box, "/workspace/result", NULL, &bytes, &err);
    if (failed) complain(&err);
    else printf("another sandbox has: %s", (const char *)cws_bytes_data(bytes, NULL));
    cws_bytes_free(bytes);
    cws_sandbox_free(box);
    return failed;
}

int main(void)
{
    cws_client_opts client = {0};
    cws_session_opts opts = {0};
    cws_transport local;
    cws_session *session = NULL;
    cws_snapshot_list *kept = NULL;
    cws_error err;
    int failed;
    if (example_client_opts(&client, &local, &err)) return complain(&err);
    opts.client_opts = &client;
    if (cws_session_open(&opts, &session, &err)) return complain(&err);
    failed = prepare(session, &kept);
    if (!failed) failed = begin_from(session, cws_snapshot_list_at(kept, 0)->snapshot_id);
    if (kept && cws_snapshot_delete(cws_session_client(session),
                                    cws_snapshot_list_at(kept, 0)->snapshot_id, true, &err))
        failed = complain(&err);
    cws_snapshot_list_free(kept);
    if (cws_session_close(session, &err)) failed = complain(&err);
    cws_session_free(session);
    return failed;
}
