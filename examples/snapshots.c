/* snapshots.c: keep what a sandbox has made, and begin another one from it.
 *
 *     cc -o snapshots snapshots.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

/* A sandbox whose /workspace can be kept; from: NULL, or the snapshot it begins with. */
static cws_status make(cws_session *session, const char *from, cws_sandbox **box, cws_error *err)
{
    const cws_file_system work = {.mount_path = "/workspace", .snapshot_id = from};
    const cws_sandbox_opts opts = {.file_system = &work, .max_lifetime_seconds = 600};
    return cws_session_sandbox(session, &opts, box, err);
}

/* Prepare once ... */
static cws_status prepare(cws_session *session, cws_snapshot **kept, cws_error *err)
{
    const char *argv[] = {"/bin/sh", "-c", "echo expensive > /workspace/result", NULL};
    const cws_exec_opts run = {.check = true};
    cws_sandbox *box = NULL;
    cws_result *result = NULL;
    cws_status status = make(session, NULL, &box, err);
    if (!status) status = cws_exec(box, argv, &run, &result, err);
    if (!status) status = cws_snapshot_create(box, NULL, kept, err); /* waits until it is ready */
    if (!status) printf("kept as %s\n", (*kept)->snapshot_id);
    cws_result_free(result);
    cws_sandbox_free(box); /* the handle only: the session stops the sandbox */
    return status;
}

/* ... and begin from it as often as needed. */
static cws_status begin_from(cws_session *session, const char *snapshot_id, cws_error *err)
{
    cws_sandbox *box = NULL;
    cws_bytes *bytes = NULL;
    cws_status status = make(session, snapshot_id, &box, err);
    if (!status) status = cws_read_file(box, "/workspace/result", NULL, &bytes, err);
    if (!status) printf("another sandbox has: %s", cws_bytes_data(bytes));
    cws_bytes_free(bytes);
    cws_sandbox_free(box);
    return status;
}

/* Snapshots belong to the organization, not to the session: they stay until they are deleted. */
static cws_status clean_up(cws_client *client, const char *snapshot_id, cws_error *err)
{
    cws_snapshot *now = NULL;
    cws_status status = cws_snapshot_get(client, snapshot_id, &now, err);
    if (!status) printf("deleting %lld bytes\n", (long long)now->size_bytes);
    cws_snapshot_free(now);
    return status ? status : cws_snapshot_delete(client, snapshot_id, false, err);
}

int main(void)
{
    cws_session *session;
    cws_snapshot *kept = NULL;
    cws_error err;
    int failed;
    if (example_open(NULL, &session, &err)) return complain(&err);
    failed = prepare(session, &kept, &err) || begin_from(session, kept->snapshot_id, &err);
    if (failed) complain(&err);
    if (kept && clean_up(cws_session_client(session), kept->snapshot_id, &err))
        failed = complain(&err);
    cws_snapshot_free(kept);
    if (cws_session_close(session, &err)) failed = complain(&err);
    cws_session_free(session);
    return failed;
}
