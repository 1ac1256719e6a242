/* SPDX-License-Identifier: MIT
 *
 * Snapshots, the stop with snapshots, volumes, discovery, over the scripted transport, in both
 * dialects. What is expected comes from the tables of the specification and the .proto files.
 * Numbers are those of the lists of test cases that the service's own clients were written against.
 * Usage:
 *
 *     ask [part of a test's name]
 */
#include "native.h"

/* ---- helpers --------------------------------------------------------------------------------- */

#define MAKE "CreateFileSystemSnapshot"
#define LOOK "GetFileSystemSnapshot"
#define LIST "ListFileSystemSnapshots"
#define FORGET "DeleteFileSystemSnapshot"
#define RUNNERS "ListAvailableRunners"
#define BUCKET "GetFileSystemSnapshotBucketConfig"

/* An answer to a create of a snapshot. */
static script_reply *sn_made(api *t, const char *id, const char *state)
{
    char json[200];
    (void)snprintf(json, sizeof(json),
                   t->s.b2 ? "{'success':true,'fileSystemSnapshotId':'%s'}"
                           : "{'fileSystemSnapshotId':'%s','state':'SNAPSHOT_STATE_%s'}",
                   id, state);
    return nw_ok(t, MAKE, json);
}

/* A snapshot as it is told to those who ask. */
static script_reply *sn_seen(api *t, const char *id, const char *state, const char *reason)
{
    char json[300];
    (void)snprintf(json, sizeof(json),
                   t->s.b2 ? "{'fileSystemSnapshotId':'%s','status':"
                             "'FILE_SYSTEM_SNAPSHOT_STATUS_%s','statusReason':'%s'}"
                           : "{'fileSystemSnapshotId':'%s','state':'SNAPSHOT_STATE_%s',"
                             "'stateReason':'%s'}",
                   id, state, reason);
    return nw_ok(t, LOOK, json);
}

/* The answer to a stop with snapshots. */
static script_reply *sn_stopped(api *t, const char *ids)
{
    char json[300];
    (void)snprintf(json, sizeof(json),
                   t->s.b2 ? "{'success':true,'fileSystemSnapshotId':'%s'}"
                           : "{'sandbox':{'sandboxId':'sb-1','status':{'state':"
                             "'STATE_TERMINATING'}},'fileSystemSnapshotIds':['%s']}",
                   ids);
    return nw_ok(t, STOP, json);
}

/* One function per operation that goes the way of the mode; the error is in t->err. */

/* One object as the list of one that the checks are written for: it is what owns the object. */
#define SN_DEFINE_ONE(kind)                                                                        \
    static cws_##kind *sn_no_##kind;                                                               \
    static cws_##kind##s *sn_take_##kind(cws_op *op)                                               \
    {                                                                                              \
        cws_##kind *one = cws_op_take_##kind(op);                                                  \
        return one ? (cws_##kind##s *)one->owner : NULL;                                           \
    }                                                                                              \
    static cws_status sn_list_##kind(cws_status status, cws_##kind *const *one,                    \
                                     cws_##kind##s **out)                                          \
    {                                                                                              \
        if (out) *out = *one ? (cws_##kind##s *)(*one)->owner : NULL;                              \
        return status;                                                                             \
    }

SN_DEFINE_ONE(snapshot)
SN_DEFINE_ONE(runner)
SN_DEFINE_ONE(profile)

#define SN_LIST_WAY(kind, taken, others, blocking, begin)                                          \
    cws_op *op = NULL;                                                                             \
    cws_##kind *one = NULL;                                                                        \
    cws_status status;                                                                             \
    (void)one;                                                                                     \
    if (!api_async(t)) return blocking;                                                            \
    *out = NULL;                                                                                   \
    status = begin;                                                                                \
    if (status) {                                                                                  \
        CHECK(!op);                                                                                \
        CHECK_INT(t->err.status, status);                                                          \
        return status;                                                                             \
    }                                                                                              \
    CHECK(!taken(op)); /* not yet */                                                               \
    status = api_drive(t, op);                                                                     \
    CHECK(!others(op) && !cws_op_take_sandboxes(op) && !cws_op_take_sandbox(op));                  \
    *out = taken(op);                                                                              \
    CHECK(!*out == !!status);                                                                      \
    CHECK(!taken(op)); /* only once */                                                             \
    cws_op_free(op);                                                                               \
    return status;

static cws_status sn_create(api *t, cws_sandbox *sb, const cws_snapshot_opts *o,
                            cws_snapshots **out)
{
    SN_LIST_WAY(snapshot, sn_take_snapshot, cws_op_take_snapshots,
                sn_list_snapshot(cws_snapshot_create(sb, o, out ? &one : NULL, &t->err), &one, out),
                cws_snapshot_create_begin(sb, o, &op, &t->err))
}

static cws_status sn_get(api *t, const char *id, cws_snapshots **out)
{
    SN_LIST_WAY(snapshot, sn_take_snapshot, cws_op_take_snapshots,
                sn_list_snapshot(cws_snapshot_get(api_client(t), id, out ? &one : NULL, &t->err),
                                 &one, out),
                cws_snapshot_get_begin(api_client(t), id, &op, &t->err))
}

static cws_status sn_find(api *t, const cws_snapshot_list_opts *o, cws_snapshots **out)
{
    SN_LIST_WAY(snapshot, cws_op_take_snapshots, cws_op_take_snapshot,
                cws_snapshot_list(api_client(t), o, out, &t->err),
                cws_snapshot_list_begin(api_client(t), o, &op, &t->err))
}

static cws_status sn_runners(api *t, const cws_runner_list_opts *o, cws_runners **out)
{
    SN_LIST_WAY(runner, cws_op_take_runners, cws_op_take_snapshots,
                cws_runner_list(api_client(t), o, out, &t->err),
                cws_runner_list_begin(api_client(t), o, &op, &t->err))
}

static cws_status sn_runner(api *t, const char *id, const char *org, cws_runners **out)
{
    SN_LIST_WAY(runner, sn_take_runner, cws_op_take_runners,
                sn_list_runner(cws_runner_get(api_client(t), id, org, out ? &one : NULL, &t->err),
                               &one, out),
                cws_runner_get_begin(api_client(t), id, org, &op, &t->err))
}

static cws_status sn_profiles(api *t, const cws_profile_list_opts *o, cws_profiles **out)
{
    SN_LIST_WAY(profile, cws_op_take_profiles, cws_op_take_runners,
                cws_profile_list(api_client(t), o, out, &t->err),
                cws_profile_list_begin(api_client(t), o, &op, &t->err))
}

static cws_status sn_profile(api *t, const char *name, const char *runner, cws_profiles **out)
{
    SN_LIST_WAY(profile, sn_take_profile, cws_op_take_profiles,
                sn_list_profile(cws_profile_get(api_client(t), name, runner, out ? &one : NULL,
                                                &t->err),
                                &one, out),
                cws_profile_get_begin(api_client(t), name, runner, &op, &t->err))
}

static cws_status sn_delete(api *t, const char *id, bool missing_ok)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_snapshot_delete(api_client(t), id, missing_ok, &t->err);
    begun = cws_snapshot_delete_begin(api_client(t), id, missing_ok, &op, &t->err);
    CHECK(!cws_op_take_snapshots(op));
    return api_finish(t, begun, op);
}

/* The asynchronous end of a question about the bucket. */
static cws_status sn_bucket(api *t, cws_status begun, cws_op *op, cws_snapshot_bucket *out)
{
    if (begun) {
        CHECK(!op);
        return begun;
    }
    CHECK(!cws_op_snapshot_bucket(op, out));
    begun = api_drive(t, op);
    CHECK_INT(cws_op_snapshot_bucket(op, out), begun == CWS_OK);
    CHECK(!cws_op_snapshot_bucket(op, NULL));
    cws_op_free(op);
    return begun;
}

static cws_status sn_bucket_get(api *t, cws_snapshot_bucket *out)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_snapshot_bucket_get(api_client(t), out, &t->err);
    begun = cws_snapshot_bucket_get_begin(api_client(t), &op, &t->err);
    return sn_bucket(t, begun, op, out);
}

static cws_status sn_bucket_set(api *t, const char *name, const char *region,
                                cws_snapshot_bucket *out)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_snapshot_bucket_set(api_client(t), name, region, out, &t->err);
    begun = cws_snapshot_bucket_set_begin(api_client(t), name, region, &op, &t->err);
    return sn_bucket(t, begun, op, out);
}

/* What a list of snapshots holds, "id state reason size sandbox volume trigger token bucket times",
 * and frees it. */
static const char *sn_snapshots(cws_snapshots *list)
{
    static char text[2000];
    size_t i, n = 0;
    text[0] = '\0';
    if (!list) return "(none)";
    for (i = 0; i < cws_snapshots_count(list); i++) {
        const cws_snapshot *s = cws_snapshots_at(list, i);
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "%s%s,%d,%s,%lld,%s,%s,%d,%s,%s,%lld,%lld,%lld", i ? " " : "",
                              s->snapshot_id, (int)s->state, s->state_reason,
                              (long long)s->size_bytes, s->source_sandbox_id,
                              s->source_volume_name, (int)s->trigger, s->request_id,
                              s->object_bucket, (long long)s->create_unix_ms,
                              (long long)s->update_unix_ms, (long long)s->complete_unix_ms);
    }
    CHECK(!cws_snapshots_at(list, i) && !cws_snapshots_at(list, SIZE_MAX));
    cws_snapshots_free(list);
    return text;
}

/* The ids only. */
static const char *sn_ids(cws_snapshots *list)
{
    static char text[1000];
    size_t i, n = 0;
    text[0] = '\0';
    for (i = 0; i < cws_snapshots_count(list); i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "",
                              cws_snapshots_at(list, i)->snapshot_id);
    cws_snapshots_free(list);
    return text;
}

static const char *sn_join(const char *const *list)
{
    static char texts[8][200];
    static int turn;
    char *text = texts[turn = (turn + 1) % 8];
    size_t n = 0;
    text[0] = '\0';
    if (!CHECK(list != NULL)) return "(NULL)";
    for (; *list; list++)
        n += (size_t)snprintf(text + n, 200 - n, "%s%s", n ? "+" : "", *list);
    return text;
}

/* The ids that a stop has taken. */
#define TAKEN(sb) sn_join(cws_sandbox_last_info(sb)->snapshot_ids)

static void sn_release(api *t, cws_op *op)
{
    CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
    cws_op_free(op);
}

/* ---- snapshots: create ----------------------------------------------------------------------- */

static void sn_test_create(void)
{
    V1_EACH("56: create sends the only volume and the token, then asks until it is ready") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshot_opts o = {.request_id = "tok"};
        cws_snapshots *list = NULL;
        sn_made(t, "fs-1", "CREATING");
        sn_seen(t, "fs-1", "CREATING", "")->times = 8;
        sn_seen(t, "fs-1", "READY", "");
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        CHECK_STR(sn_snapshots(list), "fs-1,2,,0,,,0,,,0,0,0");
        IS(MAKE, 0, "{'sandboxId':'sb-1','requestId':'tok','scratchVolumeName':'workspace'}");
        IS(LOOK, 0, "{'fileSystemSnapshotId':'fs-1'}");
        IS(LOOK, 8, "{'fileSystemSnapshotId':'fs-1'}");
        CHECK_INT(script_call_at(&t->s, MAKE, 0)->timeout_ms, 300000);
        CHECK_INT(script_call_at(&t->s, LOOK, 0)->timeout_ms, 15000);
        CHECK_INT(script_call_at(&t->s, LOOK, 0)->at, script_call_at(&t->s, MAKE, 0)->at);
        CHECK_STR(script_gaps(&t->s, LOOK), "200 300 450 675 1012 1518 2000 2000");
    }
    B2_EACH("56: create waits at the service, which gets 5 s less than the call") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshot_opts o = {.request_id = "tok"};
        cws_snapshots *list = NULL;
        sn_made(t, "fs-1", NULL);
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        CHECK_STR(sn_snapshots(list), "fs-1,2,,0,sb-1,,1,tok,,0,0,0");
        IS(MAKE, 0, "{'sandboxId':'sb-1','idempotencyKey':'tok','waitForReady':true,"
                    "'maxTimeoutSeconds':600}");
        CHECK_INT(script_call_at(&t->s, MAKE, 0)->timeout_ms, 605000);
        CHECK_STR(script_calls(&t->s), MAKE);
        o.timeout_seconds = 60;
        sn_made(t, "fs-2", NULL);
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        cws_snapshots_free(list);
        HAS(script_json(&t->s, MAKE, 1), "\"maxTimeoutSeconds\":55}");
        CHECK_INT(script_call_at(&t->s, MAKE, 1)->timeout_ms, 60000);
        o.timeout_seconds = 0.5;
        sn_made(t, "fs-3", NULL);
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        cws_snapshots_free(list);
        HAS(script_json(&t->s, MAKE, 2), "\"maxTimeoutSeconds\":1}");
        CHECK_INT(script_call_at(&t->s, MAKE, 2)->timeout_ms, 500);
    }
    BOTH("56: create without waiting: one call within the request timeout") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshot_opts o = {.request_id = "tok", .no_wait_for_ready = true};
        cws_snapshots *list = NULL;
        sn_made(t, "fs-1", "CREATING");
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        CHECK_INT(cws_snapshots_count(list), 1);
        CHECK_INT(cws_snapshots_at(list, 0)->state, CWS_SNAPSHOT_CREATING);
        CHECK_STR(sn_ids(list), "fs-1");
        if (t->s.b2)
            IS(MAKE, 0, "{'sandboxId':'sb-1','idempotencyKey':'tok','waitForReady':false}");
        CHECK_INT(script_call_at(&t->s, MAKE, 0)->timeout_ms, 300000);
        CHECK_STR(script_calls(&t->s), MAKE);
        o.timeout_seconds = 7;
        sn_made(t, "fs-1", "CREATING");
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        cws_snapshots_free(list);
        CHECK_INT(script_call_at(&t->s, MAKE, 1)->timeout_ms, 7000);
    }
    V1_EACH("56: create that is answered with a ready one asks no more") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list = NULL;
        sn_made(t, "fs-1", "READY");
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "fs-1");
        CHECK_STR(script_calls(&t->s), MAKE);
    }
    V1_EACH("56: a snapshot that fails is an error with the service's reason") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list = NULL;
        sn_made(t, "fs-1", "CREATING");
        sn_seen(t, "fs-1", "CREATING", "");
        sn_seen(t, "fs-1", "FAILED", "disk on fire");
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_SNAPSHOT);
        CHECK(!list);
        HAS(t->err.message, "disk on fire");
        HAS(t->err.message, "fs-1");
        CHECK(!t->err.retryable);
        sn_made(t, "fs-2", "CREATING");
        sn_seen(t, "fs-2", "FAILED", "");
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_SNAPSHOT);
        HAS(t->err.message, "no reason");
    }
    V1_EACH("56: not ready in time: the id is in the metadata, and the snapshot goes on") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshot_opts o = {.timeout_seconds = 20};
        cws_snapshots *list = NULL;
        int64_t before = t->s.now;
        sn_made(t, "fs-1", "CREATING")->times = -1;
        sn_seen(t, "fs-1", "CREATING", "")->times = -1;
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_SNAPSHOT_WAIT_TIMEOUT);
        CHECK(!list);
        CHECK_INT(t->s.now - before, 605000);
        CHECK_STR(cws_error_metadata(&t->err, "file_system_snapshot_id"), "fs-1");
        HAS(t->err.message, "fs-1");
        CHECK(!t->err.retryable);
        before = t->s.now;
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_ERR_SNAPSHOT_WAIT_TIMEOUT);
        CHECK_INT(t->s.now - before, 20000);
        CHECK_STR(cws_error_metadata(&t->err, "file_system_snapshot_id"), "fs-1");
    }
    V1_EACH("56: whatever fails after it was accepted, the id is in the metadata") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list = NULL;
        sn_made(t, "fs-1", "CREATING")->times = 2;
        nw_fail(t, LOOK, "permission_denied", NULL);
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_AUTHENTICATION);
        CHECK_STR(cws_error_metadata(&t->err, "file_system_snapshot_id"), "fs-1");
        script_never(&t->s, LOOK)->times = -1; /* more than the budget of repetitions */
        CHECK(cws_status_is(sn_create(t, sb, NULL, &list), CWS_ERR_TIMEOUT));
        CHECK_STR(cws_error_metadata(&t->err, "file_system_snapshot_id"), "fs-1");
        CHECK(!list);
    }
    BOTH("56: one that has failed at once is no success, also if nobody waits for it") {
        cws_sandbox *sb;
        cws_snapshot_opts o = {.no_wait_for_ready = true};
        cws_snapshots *list = NULL;
        if (api_v1_only(t, "the state is not told")) continue;
        sb = nw_scratch(t, NULL);
        sn_made(t, "fs-1", "FAILED");
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_ERR_SNAPSHOT);
        HAS(t->err.message, "Snapshot 'fs-1' failed");
        CHECK_STR(cws_error_metadata(&t->err, "file_system_snapshot_id"), "fs-1");
        CHECK(!list);
    }
    BOTH("56: one token for all attempts; a new one for each create") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshot_opts o = {.no_wait_for_ready = true};
        cws_snapshots *list = NULL;
        char first[200];
        nw_fail(t, MAKE, "unavailable", NULL);
        script_end(&t->s, MAKE, CWS_END_LOST);
        nw_fail(t, MAKE, "resource_exhausted", "CWSANDBOX_FSS_BACKEND_THROTTLED");
        nw_fail(t, MAKE, "internal", "CWSANDBOX_FSS_INFLIGHT_LIMIT");
        nw_fail(t, MAKE, "internal", "CWSANDBOX_FSS_BUCKET_PROVISIONING");
        sn_made(t, "fs-1", "CREATING");
        sn_made(t, "fs-2", "CREATING");
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "fs-1");
        CHECK_INT(script_count(&t->s, MAKE), 6);
        (void)snprintf(first, sizeof(first), "%s", script_json(&t->s, MAKE, 0));
        HAS(first, t->s.b2 ? "\"idempotencyKey\":\"" : "\"requestId\":\"");
        CHECK_STR(script_json(&t->s, MAKE, 1), first);
        CHECK_STR(script_json(&t->s, MAKE, 5), first);
        o.request_id = ""; /* is none */
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "fs-2");
        CHECK(strcmp(script_json(&t->s, MAKE, 6), first) != 0);
        HAS(script_json(&t->s, MAKE, 6), t->s.b2 ? "\"idempotencyKey\":\"" : "\"requestId\":\"");
    }
    BOTH("56: what is no use repeating is not repeated, nor anything without a budget") {
        static const struct {
            const char *code, *reason;
            cws_status status;
        } rows[] = {{"failed_precondition", NULL, CWS_ERR_SANDBOX},
                    {"unimplemented", "CWSANDBOX_FSS_NOT_SUPPORTED",
                     CWS_ERR_SNAPSHOT_NOT_SUPPORTED},
                    {"deadline_exceeded", NULL, CWS_ERR_REQUEST_TIMEOUT},
                    {"not_found", NULL, CWS_ERR_NOT_FOUND},
                    {"unauthenticated", NULL, CWS_ERR_AUTHENTICATION}};
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list = NULL;
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            nw_fail(t, MAKE, rows[i].code, rows[i].reason);
            CHECK_INT(sn_create(t, sb, NULL, &list), rows[i].status);
            CHECK(!list);
        }
        CHECK_INT(script_count(&t->s, MAKE), CWSI_COUNT(rows));
    }
    BOTH("56: a create that is never answered is not sent twice") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list = NULL;
        int64_t before = t->s.now;
        script_never(&t->s, MAKE);
        CHECK(cws_status_is(sn_create(t, sb, NULL, &list), CWS_ERR_TIMEOUT));
        CHECK_INT(t->s.now - before, t->s.b2 ? 605000 : 300000);
        CHECK_STR(script_calls(&t->s), MAKE);
        CHECK(t->err.request_id[0]); /* with it the caller may repeat it */
        HAS(script_json(&t->s, MAKE, 0), t->err.request_id);
    }
    BOTH("56: without a budget nothing is repeated") {
        cws_snapshots *list = NULL;
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = nw_scratch(t, NULL);
        nw_fail(t, MAKE, "unavailable", NULL);
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_UNAVAILABLE);
        nw_fail(t, LOOK, "unavailable", NULL);
        CHECK_INT(sn_get(t, "fs-1", &list), CWS_ERR_UNAVAILABLE);
        CHECK_STR(script_calls(&t->s), MAKE " " LOOK);
    }
    V1_EACH("56: transient failures while waiting are repeated; a lost snapshot is not found") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list = NULL;
        sn_made(t, "fs-1", "CREATING");
        nw_fail(t, LOOK, "unavailable", NULL);
        script_end(&t->s, LOOK, CWS_END_LOST);
        script_never(&t->s, LOOK);
        nw_fail(t, LOOK, "resource_exhausted", NULL);
        sn_seen(t, "fs-1", "READY", "");
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "fs-1");
        CHECK_INT(script_count(&t->s, MAKE), 1);
        CHECK_INT(script_count(&t->s, LOOK), 5);
        sn_made(t, "fs-1", "CREATING");
        nw_fail(t, LOOK, "not_found", NULL);
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_SNAPSHOT_NOT_FOUND);
    }
    BOTH("56: an unstarted sandbox is started first, one that has ended is refused") {
        cws_sandbox *sb = nw_unstarted(t, NULL);
        cws_snapshot_opts o = {.no_wait_for_ready = true};
        cws_snapshots *list = NULL;
        script_ok(&t->s, CREATE, nw_box(t, "PENDING"));
        nw_state(t, "PENDING");
        nw_state(t, "RUNNING");
        sn_made(t, "fs-1", "CREATING");
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "fs-1");
        CHECK_INT(t->s.call_count, 4);
        HAS(script_json(&t->s, MAKE, 0), "\"sandboxId\":\"sb-1\"");
        sb = nw_found(t, nw_box(t, "COMPLETED"));
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_ERR_NOT_RUNNING);
        sb = nw_found(t, nw_box(t, "TERMINATING"));
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_ERR_NOT_RUNNING);
        sb = nw_unstarted(t, NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_ERR_NOT_RUNNING);
        CHECK_INT(t->s.call_count, 0);
    }
    BOTH("56: an unstarted sandbox that fails to start has no snapshot") {
        cws_sandbox *sb = nw_unstarted(t, NULL);
        cws_snapshots *list = NULL;
        nw_fail(t, CREATE, "invalid_argument", NULL);
        CHECK(sn_create(t, sb, NULL, &list) != CWS_OK);
        CHECK(!list);
        CHECK_STR(script_calls(&t->s), CREATE);
    }
    V1_EACH("56: several volumes: one must be named, before any network") {
        cws_sandbox_opts own = {.volumes = VOLUMES({.name = "a", .mount_path = "/a"},
                                                   {.name = "b", .mount_path = "/b"}),
                                .volume_count = 2};
        cws_sandbox *sb = nw_unstarted(t, &own);
        cws_snapshot_opts o = {.volume = "b", .no_wait_for_ready = true, .request_id = "r"};
        cws_snapshots *list = NULL;
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_SNAPSHOT);
        HAS(t->err.message, "name one");
        CHECK_INT(t->s.call_count, 0);
        sb = nw_scratch(t, &own);
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_SNAPSHOT);
        CHECK_INT(t->s.call_count, 0);
        sn_made(t, "fs-1", "CREATING");
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "fs-1");
        IS(MAKE, 0, "{'sandboxId':'sb-1','requestId':'r','scratchVolumeName':'b'}");
    }
    V1_EACH("56: the service may tell of more volumes once the sandbox runs") {
        cws_sandbox *sb = nw_unstarted(t, NULL);
        cws_snapshots *list = NULL;
        script_ok(&t->s, CREATE, nw_box(t, "PENDING"));
        nw_ok(t, GET, "{'sandboxId':'sb-1','spec':{'volumes':[{'name':'x','scratch':{}},{'name':"
                      "'y','scratch':{}}]},'status':{'state':'STATE_RUNNING'}}");
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_SNAPSHOT);
        CHECK_INT(script_count(&t->s, MAKE), 0);
    }
    V1_EACH("56: no volume known: the service decides; a registered one does not count") {
        cws_sandbox_opts none = {0};
        cws_sandbox_opts own = {.volumes = VOLUMES({.name = "data", .volume_id = "v-1",
                                                    .mount_path = "/d"},
                                                   {.name = "s", .mount_path = "/s"}),
                                .volume_count = 2};
        cws_snapshot_opts o = {.no_wait_for_ready = true, .request_id = "r"};
        cws_snapshots *list = NULL;
        sn_made(t, "fs-1", "CREATING")->times = 2;
        CHECK_INT(sn_create(t, nw_scratch(t, &none), &o, &list), CWS_OK);
        cws_snapshots_free(list);
        IS(MAKE, 0, "{'sandboxId':'sb-1','requestId':'r'}");
        CHECK_INT(sn_create(t, nw_scratch(t, &own), &o, &list), CWS_OK);
        cws_snapshots_free(list);
        IS(MAKE, 0, "{'sandboxId':'sb-1','requestId':'r','scratchVolumeName':'s'}");
    }
    BOTH("56: replies without an id are no snapshot") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list = NULL;
        nw_ok(t, MAKE, t->s.b2 ? "{'success':true}" : "{'state':'SNAPSHOT_STATE_READY'}");
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_PROTOCOL);
        HAS(t->err.message, "id");
        CHECK_STR(script_calls(&t->s), MAKE);
    }
    B2_EACH("56: success=false is a snapshot error with the server's text") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list = NULL;
        nw_ok(t, MAKE, "{'errorMessage':'no room for it','fileSystemSnapshotId':'fs-1'}");
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_SNAPSHOT);
        HAS(t->err.message, "no room for it");
        nw_ok(t, MAKE, "{}");
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_SNAPSHOT);
        HAS(t->err.message, "unknown error");
        CHECK(!list);
        CHECK_INT(t->s.call_count, 2);
    }
    BOTH("56: options that are wrong, before any network") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        char token[130];
        cws_snapshot_opts bad[] = {{.must_be_zero = 1},
                                   {.request_id = token},
                                   {.request_id = "\xff"},
                                   {.volume = "\xff"},
                                   {.volume = ""},
                                   {.timeout_seconds = -3},
                                   {.timeout_seconds = CWS_NONE}};
        cws_snapshot_opts named = {.volume = "workspace"};
        cws_snapshot_opts longest = {.request_id = token + 1, .no_wait_for_ready = true};
        cws_snapshots *list = NULL;
        size_t i;
        memset(token, 'x', 129);
        token[129] = '\0';
        for (i = 0; i < CWSI_COUNT(bad); i++) {
            cws_status status = sn_create(t, sb, &bad[i], &list);
            CHECK(status == CWS_ERR_INVALID_ARGUMENT ||
                  (t->s.b2 && bad[i].volume && status == CWS_ERR_UNSUPPORTED));
            if (status == CWS_OK) cws_snapshots_free(list);
        }
        CHECK_INT(sn_create(t, NULL, NULL, &list), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_snapshot_create_begin(sb, NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "out");
        if (t->s.b2) {
            CHECK_INT(sn_create(t, sb, &named, &list), CWS_ERR_UNSUPPORTED);
            HAS(t->err.message, "volume");
        }
        CHECK_INT(t->s.call_count, 0);
        CHECK(!list);
        sn_made(t, "fs-1", "CREATING");
        CHECK_INT(sn_create(t, sb, &longest, &list), CWS_OK);
        cws_snapshots_free(list);
        HAS(script_json(&t->s, MAKE, 0), token + 1);
    }
    BOTH("56: nobody has to take the list, or have an error told") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_op *op = NULL;
        sn_made(t, "fs-1", "READY")->times = 2;
        CHECK_INT(cws_snapshot_create(sb, NULL, NULL, NULL), CWS_OK);
        CHECK_INT(cws_snapshot_create_begin(sb, NULL, &op, NULL), CWS_OK);
        CHECK_INT(cws_op_wait(op, -1, NULL), CWS_OK);
        cws_op_free(op);
        nw_fail(t, MAKE, "internal", NULL);
        CHECK_INT(cws_snapshot_create(sb, NULL, NULL, NULL), CWS_ERR_SANDBOX);
    }
}

/* ---- snapshots: the rest --------------------------------------------------------------------- */

#define SNAPS(t) ((t)->s.b2 ? sn_b2_snaps : sn_v1_snaps)

static const char sn_v1_snaps[] =
    "{'fileSystemSnapshots':[{'fileSystemSnapshotId':'a','state':'SNAPSHOT_STATE_READY',"
    "'sourceSandboxId':'s1'},{'fileSystemSnapshotId':'b','state':'SNAPSHOT_STATE_FAILED',"
    "'sourceSandboxId':'s1'},{'fileSystemSnapshotId':'c','state':'SNAPSHOT_STATE_READY',"
    "'sourceSandboxId':'s2'}]}";

static const char sn_b2_snaps[] =
    "{'fileSystemSnapshots':[{'fileSystemSnapshotId':'a','status':"
    "'FILE_SYSTEM_SNAPSHOT_STATUS_READY','sourceSandboxId':'s1'},{'fileSystemSnapshotId':'b',"
    "'status':'FILE_SYSTEM_SNAPSHOT_STATUS_FAILED','sourceSandboxId':'s1'},"
    "{'fileSystemSnapshotId':'c','status':'FILE_SYSTEM_SNAPSHOT_STATUS_READY','sourceSandboxId':"
    "'s2'}]}";

static void sn_test_get(void)
{
    BOTH("56: all that is known of a snapshot") {
        cws_snapshots *list = NULL;
        nw_ok(t, LOOK,
              t->s.b2 ? "{'fileSystemSnapshotId':'fs-1','status':"
                        "'FILE_SYSTEM_SNAPSHOT_STATUS_DELETING','statusReason':'why','sizeBytes':"
                        "'5000000000','createdAt':'2026-01-02T03:04:05.678Z','updatedAt':"
                        "'2026-01-02T03:04:06Z','completedAt':'2026-01-02T03:04:07Z',"
                        "'sourceSandboxId':'sb-7','trigger':'FILE_SYSTEM_SNAPSHOT_TRIGGER_STOP',"
                        "'idempotencyKey':'tok','objectBucket':'buck'}"
                      : "{'fileSystemSnapshotId':'fs-1','state':'SNAPSHOT_STATE_DELETING',"
                        "'stateReason':'why','sizeBytes':'5000000000','createTime':"
                        "'2026-01-02T03:04:05.678Z','updatedAt':'2026-01-02T03:04:06Z',"
                        "'completeTime':'2026-01-02T03:04:07Z','sourceSandboxId':'sb-7',"
                        "'trigger':'SNAPSHOT_TRIGGER_ON_DELETE','requestId':'tok',"
                        "'objectBucket':'buck','sourceVolumeName':'vol'}");
        CHECK_INT(sn_get(t, "fs-1", &list), CWS_OK);
        CHECK_STR(sn_snapshots(list),
                  t->s.b2 ? "fs-1,4,why,5000000000,sb-7,,2,tok,buck,1767323045678,1767323046000,"
                            "1767323047000"
                          : "fs-1,4,why,5000000000,sb-7,vol,2,tok,buck,1767323045678,"
                            "1767323046000,1767323047000");
        IS(LOOK, 0, "{'fileSystemSnapshotId':'fs-1'}");
        CHECK_INT(script_call_at(&t->s, LOOK, 0)->timeout_ms, 300000);
        nw_ok(t, LOOK, t->s.b2 ? "{'fileSystemSnapshotId':'fs-1',"
                                 "'trigger':'FILE_SYSTEM_SNAPSHOT_TRIGGER_MANUAL'}"
                               : "{'fileSystemSnapshotId':'fs-1',"
                                 "'trigger':'SNAPSHOT_TRIGGER_MANUAL'}");
        CHECK_INT(sn_get(t, "fs-1", &list), CWS_OK);
        CHECK_STR(sn_snapshots(list), "fs-1,0,,0,,,1,,,0,0,0");
    }
    BOTH("56: unknown numbers are unspecified, odd values are themselves") {
        cws_snapshots *list = NULL;
        nw_ok(t, LOOK, t->s.b2 ? "{'fileSystemSnapshotId':'x','status':99,'trigger':-7,"
                                 "'sizeBytes':'-5'}"
                               : "{'fileSystemSnapshotId':'x','state':99,'trigger':-7,"
                                 "'sizeBytes':'-5'}");
        CHECK_INT(sn_get(t, "x", &list), CWS_OK);
        CHECK_STR(sn_snapshots(list), "x,0,,-5,,,0,,,0,0,0");
        nw_ok(t, LOOK, t->s.b2 ? "{'fileSystemSnapshotId':'x','status':-1,'trigger':2147483647}"
                               : "{'fileSystemSnapshotId':'x','state':-2147483648,'trigger':3}");
        CHECK_INT(sn_get(t, "x", &list), CWS_OK);
        CHECK_STR(sn_snapshots(list), "x,0,,0,,,0,,,0,0,0");
    }
    BOTH("56: not found, by code and by reason; other failures are themselves") {
        static const struct {
            const char *code, *reason;
            cws_status status;
        } rows[] = {{"not_found", NULL, CWS_ERR_SNAPSHOT_NOT_FOUND},
                    {"internal", "CWSANDBOX_FSS_NOT_FOUND", CWS_ERR_SNAPSHOT_NOT_FOUND},
                    {"internal", "CWSANDBOX_FSS_NOT_READY", CWS_ERR_SNAPSHOT_NOT_READY},
                    {"internal", "CWSANDBOX_FSS_SIZE_EXCEEDED", CWS_ERR_SNAPSHOT_SIZE_EXCEEDED},
                    {"internal", "CWSANDBOX_FSS_QUOTA_EXCEEDED", CWS_ERR_SNAPSHOT_QUOTA_EXCEEDED},
                    {"internal", "CWSANDBOX_FSS_BUCKET_MISMATCH",
                     CWS_ERR_SNAPSHOT_BUCKET_MISMATCH},
                    {"internal", "CWSANDBOX_FSS_BUCKET_UNAVAILABLE", CWS_ERR_SNAPSHOT},
                    {"internal", "CWSANDBOX_FSS_RESTORE_FAILED", CWS_ERR_SNAPSHOT},
                    {"internal", "CWSANDBOX_FSS_CREATE_FAILED", CWS_ERR_SNAPSHOT},
                    {"internal", "CWSANDBOX_FSS_CREATE_TIMED_OUT", CWS_ERR_SNAPSHOT},
                    {"internal", "CWSANDBOX_FSS_AUTH_FAILED", CWS_ERR_SNAPSHOT},
                    {"internal", "CWSANDBOX_FSS_TRANSPORT_FAILED", CWS_ERR_SNAPSHOT},
                    {"internal", "CWSANDBOX_FSS_CANCELED", CWS_ERR_SNAPSHOT},
                    {"internal", "CWSANDBOX_FSS_WAIT_TIMEOUT", CWS_ERR_SNAPSHOT_WAIT_TIMEOUT},
                    {"internal", "CWSANDBOX_RUNNER_NOT_FOUND", CWS_ERR_SANDBOX},
                    {"internal", NULL, CWS_ERR_SANDBOX},
                    {"permission_denied", NULL, CWS_ERR_AUTHENTICATION}};
        cws_snapshots *list = NULL;
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            nw_fail(t, LOOK, rows[i].code, rows[i].reason);
            CHECK_INT(sn_get(t, "fs-1", &list), rows[i].status);
            CHECK(!list);
            CHECK(!t->err.retryable);
        }
        CHECK_INT(t->s.call_count, CWSI_COUNT(rows));
        script_error(&t->s, LOOK, "internal", "x",
                     script_reason(&t->s, "CWSANDBOX_FSS_NOT_FOUND", "example.com"));
        CHECK_INT(sn_get(t, "fs-1", &list), CWS_ERR_SANDBOX);
    }
    BOTH("56: a get is repeated within its deadline") {
        cws_snapshots *list = NULL;
        nw_fail(t, LOOK, "unavailable", NULL);
        nw_fail(t, LOOK, "resource_exhausted", "CWSANDBOX_FSS_BACKEND_THROTTLED");
        sn_seen(t, "fs-1", "READY", "");
        CHECK_INT(sn_get(t, "fs-1", &list), CWS_OK);
        CHECK_STR(sn_ids(list), "fs-1");
        CHECK_INT(t->s.call_count, 3);
    }
    BOTH("56: wrong arguments, before any network") {
        static const char *const blank[] = {NULL, "", "  ", "\t\r\n ", "\xff"};
        cws_snapshot_list_opts bad[] = {{.must_be_zero = 1},
                                        {.state = (cws_snapshot_state)5},
                                        {.state = (cws_snapshot_state)-1},
                                        {.source_sandbox_id = "\xff"},
                                        {.timeout_seconds = -3}};
        cws_snapshots *list = (cws_snapshots *)&list;
        cws_op *op = (cws_op *)&op;
        size_t i;
        for (i = 0; i < CWSI_COUNT(blank); i++) {
            CHECK_INT(sn_get(t, blank[i], &list), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "snapshot_id");
            CHECK_INT(sn_delete(t, blank[i], true), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "snapshot_id");
            CHECK(!list);
        }
        for (i = 0; i < CWSI_COUNT(bad); i++) {
            CHECK_INT(sn_find(t, &bad[i], &list), CWS_ERR_INVALID_ARGUMENT);
            CHECK(!list);
        }
        CHECK_INT(cws_snapshot_get(t->client, "x", NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_snapshot_list(t->client, NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_snapshot_get(NULL, "x", &sn_no_snapshot, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_snapshot_list(NULL, NULL, &list, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_snapshot_delete(NULL, "x", true, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "client");
        CHECK_INT(cws_snapshot_delete_begin(t->client, "x", true, NULL, NULL),
                  CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_snapshot_list_begin(NULL, NULL, &op, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!op && !list);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_snapshots_count(NULL), 0);
        CHECK(!cws_snapshots_at(NULL, 0));
        cws_snapshots_free(NULL);
        CHECK(!cws_op_take_snapshots(NULL) && !cws_op_snapshot_bucket(NULL, NULL));
    }
}

static void sn_test_list(void)
{
    BOTH("56: list: the sandbox is asked for or filtered, the state is filtered here") {
        cws_snapshot_list_opts o = {.source_sandbox_id = "s1"};
        cws_snapshots *list = NULL;
        nw_ok(t, LIST, SNAPS(t))->times = 5;
        CHECK_INT(sn_find(t, NULL, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "a b c");
        IS(LIST, 0, "{}");
        CHECK_INT(script_call_at(&t->s, LIST, 0)->timeout_ms, 300000);
        CHECK_INT(sn_find(t, &o, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "a b"); /* also if the service does not look */
        IS(LIST, 1, t->s.b2 ? "{}" : "{'sourceSandboxId':'s1'}");
        o.state = CWS_SNAPSHOT_READY;
        CHECK_INT(sn_find(t, &o, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "a");
        o.source_sandbox_id = NULL;
        o.timeout_seconds = 3;
        CHECK_INT(sn_find(t, &o, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "a c");
        IS(LIST, 3, "{}");
        CHECK_INT(script_call_at(&t->s, LIST, 3)->timeout_ms, 3000);
        o.state = CWS_SNAPSHOT_CREATING;
        CHECK_INT(sn_find(t, &o, &list), CWS_OK);
        CHECK_INT(cws_snapshots_count(list), 0);
        CHECK(list && !cws_snapshots_at(list, 0));
        cws_snapshots_free(list);
    }
    BOTH("56: list: all pages under one deadline, whatever fails in between is repeated") {
        cws_snapshots *list = NULL;
        cws_snapshot_list_opts o = {.timeout_seconds = 10};
        nw_ok(t, LIST, "{'fileSystemSnapshots':[{'fileSystemSnapshotId':'a'}],'nextPageToken':'p'}")
            ->delay = 4000;
        nw_fail(t, LIST, "unavailable", NULL);
        nw_ok(t, LIST, "{'nextPageToken':'q'}");
        nw_ok(t, LIST, "{'fileSystemSnapshots':[{'fileSystemSnapshotId':'b'}]}");
        CHECK_INT(sn_find(t, &o, &list), CWS_OK);
        CHECK_STR(sn_ids(list), "a b");
        IS(LIST, 1, "{'pageToken':'p'}");
        IS(LIST, 2, "{'pageToken':'p'}");
        IS(LIST, 3, "{'pageToken':'q'}");
        CHECK_INT(script_call_at(&t->s, LIST, 0)->timeout_ms, 10000);
        CHECK_INT(script_call_at(&t->s, LIST, 1)->timeout_ms, 6000);
    }
    BOTH("56: list: out of time between the pages") {
        cws_snapshots *list = NULL;
        cws_snapshot_list_opts o = {.timeout_seconds = 10};
        int64_t before = (api_session(t), t->s.now);
        nw_ok(t, LIST, "{'fileSystemSnapshots':[{'fileSystemSnapshotId':'a'}],'nextPageToken':'p'}")
            ->delay = 7000;
        nw_ok(t, LIST, "{}")->delay = 7000;
        CHECK(cws_status_is(sn_find(t, &o, &list), CWS_ERR_TIMEOUT));
        CHECK(!list);
        CHECK_INT(t->s.now - before, 10000);
    }
    BOTH("56: list: a repeated token and more than 100 pages are errors") {
        cws_snapshots *list = NULL;
        int i;
        nw_ok(t, LIST, "{'nextPageToken':'p'}");
        nw_ok(t, LIST, "{'nextPageToken':'q'}");
        nw_ok(t, LIST, "{'fileSystemSnapshots':[{'fileSystemSnapshotId':'a'}],'nextPageToken':"
                       "'p'}");
        CHECK_INT(sn_find(t, NULL, &list), CWS_ERR_PROTOCOL);
        HAS(t->err.message, "page token");
        CHECK(!list);
        CHECK_INT(t->s.call_count, 3);
        for (i = 0; i < 100; i++) {
            char json[60];
            (void)snprintf(json, sizeof(json), "{'nextPageToken':'%d'}", i);
            nw_ok(t, LIST, json);
        }
        CHECK_INT(sn_find(t, NULL, &list), CWS_ERR_LIMIT);
        CHECK(!list);
        CHECK_INT(t->s.call_count, 103);
        for (i = 0; i < 100; i++) {
            char json[60];
            (void)snprintf(json, sizeof(json), i < 99 ? "{'nextPageToken':'%d'}" : "{}", i);
            nw_ok(t, LIST, json);
        }
        CHECK_INT(sn_find(t, NULL, &list), CWS_OK);
        CHECK_INT(cws_snapshots_count(list), 0);
        cws_snapshots_free(list);
    }
    BOTH("56: list: a page that fails is the end; nothing of the pages before is given") {
        cws_snapshots *list = NULL;
        nw_ok(t, LIST, "{'fileSystemSnapshots':[{'fileSystemSnapshotId':'a'}],'nextPageToken':'p'"
                       "}");
        nw_fail(t, LIST, "internal", NULL);
        CHECK_INT(sn_find(t, NULL, &list), CWS_ERR_SANDBOX);
        CHECK(!list);
        HAS(t->err.message, "List snapshots");
    }
    BOTH("56: delete and its ways not to find it") {
        nw_ok(t, FORGET, t->s.b2 ? "{'success':true}" : "{'fileSystemSnapshotId':'fs-1'}")->times =
            2;
        CHECK_INT(sn_delete(t, "fs-1", false), CWS_OK);
        IS(FORGET, 0, "{'fileSystemSnapshotId':'fs-1'}");
        CHECK_INT(script_call_at(&t->s, FORGET, 0)->timeout_ms, 300000);
        CHECK_INT(sn_delete(t, "fs-1", true), CWS_OK);
        IS(FORGET, 1, t->s.b2 ? "{'fileSystemSnapshotId':'fs-1'}"
                              : "{'fileSystemSnapshotId':'fs-1','allowMissing':true}");
        nw_fail(t, FORGET, "not_found", NULL)->times = 2;
        CHECK_INT(sn_delete(t, "fs-1", false), CWS_ERR_SNAPSHOT_NOT_FOUND);
        CHECK_INT(sn_delete(t, "fs-1", true), CWS_OK);
        nw_fail(t, FORGET, "internal", "CWSANDBOX_FSS_NOT_FOUND")->times = 2;
        CHECK_INT(sn_delete(t, "fs-1", false), CWS_ERR_SNAPSHOT_NOT_FOUND);
        CHECK_INT(sn_delete(t, "fs-1", true), CWS_OK);
        nw_fail(t, FORGET, "failed_precondition", NULL);
        CHECK_INT(sn_delete(t, "fs-1", true), CWS_ERR_SANDBOX);
        CHECK_INT(t->s.call_count, 7);
    }
    BOTH("56: a delete in doubt is repeated; then not found says that it is done") {
        script_end(&t->s, FORGET, CWS_END_LOST);
        nw_fail(t, FORGET, "not_found", NULL);
        CHECK_INT(sn_delete(t, "fs-1", false), CWS_OK);
        CHECK_INT(t->s.call_count, 2);
    }
    B2_EACH("56: a delete that says no") {
        nw_ok(t, FORGET, "{'errorMessage':'in use'}");
        CHECK_INT(sn_delete(t, "fs-1", true), CWS_ERR_SNAPSHOT);
        HAS(t->err.message, "in use");
        nw_ok(t, FORGET, "{}");
        CHECK_INT(sn_delete(t, "fs-1", true), CWS_ERR_SNAPSHOT);
        HAS(t->err.message, "unknown error");
    }
}

static void sn_test_bucket(void)
{
#define SET (t->s.b2 ? "SetFileSystemSnapshotBucketConfig" : "UpdateFileSystemSnapshotBucketConfig")
    BOTH("56: the bucket: get, set, back to the service's") {
        cws_snapshot_bucket b;
        memset(&b, 'x', sizeof(b));
        nw_ok(t, BUCKET,
              "{'bucketName':'mine','region':'US-EAST','mode':"
              "'FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_BRING_YOUR_OWN','effectiveBucketName':'eff'}");
        CHECK_INT(sn_bucket_get(t, &b), CWS_OK);
        CHECK(!b.managed);
        CHECK_STR(b.bucket_name, "mine");
        CHECK_STR(b.region, "US-EAST");
        CHECK_STR(b.effective_bucket_name, "eff");
        IS(BUCKET, 0, "{}");
        CHECK_INT(script_call_at(&t->s, BUCKET, 0)->timeout_ms, 300000);
        memset(&b, 'x', sizeof(b));
        nw_ok(t, SET, "{'mode':'FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_CW_MANAGED',"
                      "'effectiveBucketName':'cw'}")
            ->times = 4;
        CHECK_INT(sn_bucket_set(t, "own", "r", &b), CWS_OK);
        CHECK(b.managed);
        CHECK_STR(b.bucket_name, "");
        CHECK_STR(b.region, "");
        CHECK_STR(b.effective_bucket_name, "cw");
        IS(SET, 0, t->s.b2 ? "{'bucketName':'own','region':'r'}"
                           : "{'fileSystemSnapshotBucketConfig':{'bucketName':'own','region':'r'}"
                             "}");
        CHECK_INT(sn_bucket_set(t, NULL, NULL, &b), CWS_OK);
        IS(SET, 1, t->s.b2 ? "{}" : "{'fileSystemSnapshotBucketConfig':{}}");
        CHECK_INT(sn_bucket_set(t, "", "", &b), CWS_OK);
        IS(SET, 2, t->s.b2 ? "{}" : "{'fileSystemSnapshotBucketConfig':{}}");
        CHECK_INT(cws_snapshot_bucket_set(t->client, NULL, NULL, NULL, NULL), CWS_OK);
        nw_ok(t, BUCKET, "{'mode':77}");
        CHECK_INT(sn_bucket_get(t, &b), CWS_OK);
        CHECK(!b.managed);
        nw_fail(t, BUCKET, "unavailable", NULL);
        nw_ok(t, BUCKET, "{}");
        CHECK_INT(cws_snapshot_bucket_get(t->client, NULL, NULL), CWS_OK);
    }
    BOTH("56: the bucket: wrong arguments, before any network") {
        cws_snapshot_bucket b;
        char longest[300];
        memset(longest, 'n', sizeof(longest));
        longest[256] = '\0';
        CHECK_INT(sn_bucket_set(t, "own", NULL, &b), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(sn_bucket_set(t, "own", "", &b), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(sn_bucket_set(t, NULL, "r", &b), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(sn_bucket_set(t, "\xff", "r", &b), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "bucket_name");
        CHECK_INT(sn_bucket_set(t, "own", "\xff", &b), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "region");
        CHECK_INT(sn_bucket_set(t, longest, "r", &b), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "bucket_name");
        longest[128] = '\0';
        CHECK_INT(sn_bucket_set(t, "own", longest, &b), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "region");
        CHECK_INT(cws_snapshot_bucket_get(NULL, &b, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_snapshot_bucket_set(NULL, NULL, NULL, &b, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_snapshot_bucket_get_begin(t->client, NULL, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(t->s.call_count, 0);
    }
    BOTH("56: the bucket: names that are too long are refused, never cut") {
        cws_snapshot_bucket b;
        char json[600], name[300];
        static const char *const fields[] = {"bucketName", "region", "effectiveBucketName"};
        static const size_t most[] = {255, 127, 255};
        size_t i;
        for (i = 0; i < 3; i++) {
            memset(name, 'n', sizeof(name));
            name[most[i]] = '\0';
            (void)snprintf(json, sizeof(json), "{'%s':'%s'}", fields[i], name);
            nw_ok(t, BUCKET, json);
            CHECK_INT(sn_bucket_get(t, &b), CWS_OK);
            CHECK_INT(strlen(i == 0   ? b.bucket_name
                             : i == 1 ? b.region
                                      : b.effective_bucket_name), most[i]);
            name[most[i]] = 'n';
            name[most[i] + 1] = '\0';
            (void)snprintf(json, sizeof(json), "{'%s':'%s'}", fields[i], name);
            nw_ok(t, BUCKET, json);
            memset(&b, 0, sizeof(b));
            CHECK_INT(sn_bucket_get(t, &b), CWS_ERR_LIMIT);
            CHECK(!b.bucket_name[0] && !b.effective_bucket_name[0]);
        }
    }
#undef SET
}

/* ---- stop with snapshots --------------------------------------------------------------------- */

static void sn_test_stop(void)
{
    static const struct {
        double grace;
        int seconds, b2_deadline; /* above 635 s */
    } graces[] = {{0, 10, 10}, {CWS_NONE, 0, 30}, {0.5, 1, 1}, {10.2, 11, 11}, {300, 300, 300}};
    size_t i;
    for (i = 0; i < CWSI_COUNT(graces); i++)
        BOTH("51: fields, grace, the limit at the service and the deadline; ids are captured") {
            cws_sandbox *sb = nw_scratch(t, NULL);
            cws_stop_opts o = {.snapshot_on_stop = true,
                               .graceful_shutdown_seconds = graces[i].grace,
                               .request_id = i ? NULL : "tok"};
            char json[300], grace[60] = "";
            int s = graces[i].seconds;
            sn_stopped(t, "fs-1");
            if (!t->s.b2) sn_seen(t, "fs-1", "READY", "");
            nw_state(t, "COMPLETED");
            CHECK_STR(TAKEN(sb), "");
            CHECK_INT(api_stop(t, sb, &o), CWS_OK);
            CHECK_STR(TAKEN(sb), "fs-1");
            if (s)
                (void)snprintf(grace, sizeof(grace), ",'%s':%d",
                               t->s.b2 ? "gracefulShutdownSeconds" : "gracePeriodSeconds", s);
            (void)snprintf(json, sizeof(json),
                           t->s.b2 ? "{'sandboxId':'sb-1'%s,'fileSystemSnapshotOnStop':true,"
                                     "'maxTimeoutSeconds':600%s,'waitForReady':true}"
                                   : "{'sandboxId':'sb-1'%s,'snapshotVolumes':['workspace']%s}",
                           grace,
                           i          ? ""
                           : t->s.b2 ? ",'idempotencyKey':'tok'"
                                      : ",'requestId':'tok'");
            IS(STOP, 0, json);
            CHECK_INT(script_call_at(&t->s, STOP, 0)->timeout_ms,
                      (635 + (t->s.b2 ? graces[i].b2_deadline : s)) * 1000);
            CHECK_STR(script_calls(&t->s), t->s.b2 ? "Stop Get"
                                                   : "DeleteSandbox " LOOK " GetSandbox");
            CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
            CHECK_INT(cws_session_sandbox_count(t->session), 0);
        }
    BOTH("51: a plain stop sends nothing of it") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {0}, no[] = {{.request_id = "r"}, {.no_wait_for_ready = true},
                                       {.snapshot_volumes = STRINGS("v")}};
        int i;
        for (i = 0; i < 3; i++) { /* what would be thrown away is not kept by a stop without */
            CHECK_INT(api_stop(t, sb, &no[i]), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "needs snapshot");
        }
        nw_ok(t, STOP, t->s.b2 ? "{'success':true}" : DELETED("COMPLETED"));
        if (t->s.b2) nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        IS(STOP, 0, t->s.b2 ? "{'sandboxId':'sb-1','gracefulShutdownSeconds':10,"
                              "'maxTimeoutSeconds':15}"
                            : "{'sandboxId':'sb-1','gracePeriodSeconds':10}");
        CHECK_INT(script_call_at(&t->s, STOP, 0)->timeout_ms, 20000);
        CHECK_STR(TAKEN(sb), "");
    }
    BOTH("51: without waiting for the snapshots") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true, .no_wait_for_ready = true};
        sn_stopped(t, "fs-1");
        nw_state(t, "TERMINATING");
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        if (t->s.b2) HAS(script_json(&t->s, STOP, 0), "\"waitForReady\":false}");
        CHECK_STR(script_calls(&t->s), t->s.b2 ? "Stop Get Get"
                                               : "DeleteSandbox GetSandbox GetSandbox");
        CHECK_STR(TAKEN(sb), "fs-1");
    }
    V1_EACH("51: the order of steps: each snapshot in turn, whatever else fails; then the end") {
        cws_sandbox_opts own = {.volumes = VOLUMES({.name = "a", .mount_path = "/a"},
                                                   {.name = "r", .volume_id = "v"},
                                                   {.name = "b", .mount_path = "/b"}),
                                .volume_count = 3};
        cws_sandbox *sb = nw_scratch(t, &own);
        cws_stop_opts o = {.snapshot_on_stop = true};
        sn_stopped(t, "fs-1','fs-2");
        sn_seen(t, "fs-1", "CREATING", "");
        nw_fail(t, LOOK, "unavailable", NULL); /* transient, while it is archived */
        script_never(&t->s, LOOK);
        sn_seen(t, "fs-1", "READY", "");
        sn_seen(t, "fs-2", "CREATING", "");
        sn_seen(t, "fs-2", "READY", "");
        nw_state(t, "TERMINATING");
        nw_state(t, "TERMINATED");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        IS("DeleteSandbox", 0, "{'sandboxId':'sb-1','gracePeriodSeconds':10,'snapshotVolumes':"
                               "['a','b']}");
        IS(LOOK, 3, "{'fileSystemSnapshotId':'fs-1'}");
        IS(LOOK, 4, "{'fileSystemSnapshotId':'fs-2'}");
        CHECK_INT(script_call_at(&t->s, LOOK, 0)->timeout_ms, 15000);
        CHECK_STR(script_calls(&t->s), "DeleteSandbox " LOOK " " LOOK " " LOOK " " LOOK " " LOOK
                                       " " LOOK " GetSandbox GetSandbox");
        CHECK_STR(TAKEN(sb), "fs-1+fs-2");
        CHECK(!cws_sandbox_last_info(sb)->snapshot_ids[2]);
    }
    V1_EACH("51: named volumes only, in their order") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true, .no_wait_for_ready = true,
                           .snapshot_volumes = STRINGS("z", "a")};
        sn_stopped(t, "fs-z','fs-a");
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        HAS(script_json(&t->s, "DeleteSandbox", 0), "\"snapshotVolumes\":[\"z\",\"a\"]}");
        CHECK_STR(TAKEN(sb), "fs-z+fs-a");
    }
    V1_EACH("51: no scratch volume known: refused before any network, and nothing is stopped") {
        cws_sandbox_opts none = {0};
        cws_sandbox *sb = nw_scratch(t, &none);
        cws_stop_opts o = {.snapshot_on_stop = true};
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SNAPSHOT);
        o.snapshot_volumes = (const char *const[]){NULL};
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SNAPSHOT);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        o.snapshot_volumes = STRINGS("known-to-me");
        sn_stopped(t, "fs-1");
        sn_seen(t, "fs-1", "READY", "");
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
    }
    B2_EACH("51: no file system known: the service decides") {
        cws_sandbox_opts none = {0};
        cws_sandbox *sb = nw_scratch(t, &none);
        cws_stop_opts o = {.snapshot_on_stop = true};
        nw_fail(t, "Stop", "failed_precondition", "CWSANDBOX_FSS_NOT_SUPPORTED");
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SNAPSHOT_NOT_SUPPORTED);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    BOTH("51: options that are wrong, before any network") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        char token[130];
        cws_stop_opts bad[] = {{.snapshot_on_stop = true, .must_be_zero = 1},
                               {.snapshot_on_stop = true, .request_id = token},
                               {.snapshot_on_stop = true, .request_id = "\xff"},
                               {.snapshot_on_stop = true, .snapshot_volumes = STRINGS("\xff")},
                               {.snapshot_on_stop = true, .graceful_shutdown_seconds = 300.5},
                               {.snapshot_on_stop = true, .timeout_seconds = -3}};
        cws_stop_opts named = {.snapshot_on_stop = true, .snapshot_volumes = STRINGS("workspace")};
        size_t k;
        memset(token, 'x', 129);
        token[129] = '\0';
        for (k = 0; k < CWSI_COUNT(bad); k++)
            CHECK_INT(api_stop(t, sb, &bad[k]), CWS_ERR_INVALID_ARGUMENT);
        if (t->s.b2) CHECK_INT(api_stop(t, sb, &named), CWS_ERR_UNSUPPORTED);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
    }
    BOTH("51: the caller's own limit counts for the whole stop") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true, .timeout_seconds = 20};
        int64_t before = t->s.now;
        script_never(&t->s, STOP);
        CHECK(cws_status_is(api_stop(t, sb, &o), CWS_ERR_TIMEOUT));
        CHECK_INT(t->s.now - before, 20000);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    V1_EACH("51: a snapshot that is not ready in the caller's time is told as that") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true, .timeout_seconds = 20};
        sn_stopped(t, "fs-1");
        sn_seen(t, "fs-1", "CREATING", "")->times = -1;
        nw_state(t, "COMPLETED"); /* which it is at that time */
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SNAPSHOT_WAIT_TIMEOUT);
        CHECK_STR(TAKEN(sb), "fs-1");
    }
    V1_EACH("51: a snapshot that is never ready: the stop goes on without, and tells") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true, .timeout_seconds = 1000};
        int64_t before = t->s.now;
        sn_stopped(t, "fs-1");
        sn_seen(t, "fs-1", "CREATING", "")->times = -1;
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SNAPSHOT_WAIT_TIMEOUT);
        CHECK_STR(cws_error_metadata(&t->err, "file_system_snapshot_id"), "fs-1");
        CHECK_INT(t->s.now - before, 600000);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_STR(TAKEN(sb), "fs-1");
    }
    V1_EACH("51: a snapshot that fails while the sandbox ends: the error is told, the session "
            "forgets") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true};
        sn_stopped(t, "fs-1','fs-2");
        sn_seen(t, "fs-1", "FAILED", "disk on fire");
        sn_seen(t, "fs-2", "READY", "");
        nw_state(t, "TERMINATING");
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SNAPSHOT);
        HAS(t->err.message, "disk on fire");
        CHECK_STR(script_calls(&t->s), "DeleteSandbox " LOOK " " LOOK " GetSandbox GetSandbox");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_STR(TAKEN(sb), "fs-1+fs-2");
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SNAPSHOT_CONFLICT); /* not a success now */
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 5);
        CHECK_INT(api_close(t), CWS_OK);
    }
    BOTH("51: a service that takes none, although asked") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true};
        nw_ok(t, STOP, t->s.b2 ? "{'success':true}" : DELETED("TERMINATING"));
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SNAPSHOT_CONFLICT);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK_STR(TAKEN(sb), "");
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK); /* a plain one waits for the end */
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(script_count(&t->s, STOP), 1);
    }
    V1_EACH("51: an id that is empty is none") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true};
        sn_stopped(t, "");
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_PROTOCOL);
        CHECK_INT(script_count(&t->s, LOOK), 0);
        CHECK_STR(TAKEN(sb), "");
    }
    V1_EACH("51: ids without a sandbox: the stop is accepted") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true, .missing_ok = true};
        nw_ok(t, STOP, "{'fileSystemSnapshotIds':['fs-1']}");
        sn_seen(t, "fs-1", "READY", "");
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        CHECK_STR(TAKEN(sb), "fs-1");
    }
    V1_EACH("51: the sandbox has ended when the stop is answered: its snapshots are awaited") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true};
        nw_ok(t, STOP, "{'sandbox':{'sandboxId':'sb-1','status':{'state':'STATE_COMPLETED'}},"
                       "'fileSystemSnapshotIds':['fs-1']}");
        sn_seen(t, "fs-1", "CREATING", "");
        sn_seen(t, "fs-1", "READY", "");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        CHECK_STR(script_calls(&t->s), "DeleteSandbox " LOOK " " LOOK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    B2_EACH("51: a stop with snapshot that says no") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true};
        nw_ok(t, STOP, "{'errorMessage':'archive broken'}");
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SANDBOX);
        HAS(t->err.message, "archive broken");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_STR(TAKEN(sb), "");
    }
    BOTH("51: what the service tells later does not take the ids away") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true, .no_wait_for_ready = true};
        sn_stopped(t, "fs-1");
        nw_state(t, "TERMINATING")->times = 3;
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        CHECK_STR(TAKEN(sb), "fs-1");
        CHECK_INT(api_status(t, sb, NULL), CWS_OK);
        CHECK_STR(TAKEN(sb), "fs-1");
    }
    BOTH("51: a stop with snapshot in doubt is repeated with the same message") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true, .no_wait_for_ready = true,
                           .request_id = "tok"};
        nw_fail(t, STOP, "unavailable", NULL);
        sn_stopped(t, "fs-1");
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        CHECK_STR(script_json(&t->s, STOP, 1), script_json(&t->s, STOP, 0));
        CHECK_STR(TAKEN(sb), "fs-1");
    }
}

static void sn_test_conflict(void)
{
    static const cws_stop_opts with = {.snapshot_on_stop = true};
    BOTH("52: too late: terminating, or ended without a snapshot") {
        static const char *const states[] = {"TERMINATING", "COMPLETED", "FAILED", "TERMINATED"};
        size_t i;
        for (i = 0; i < CWSI_COUNT(states); i++) {
            cws_sandbox *sb = nw_found(t, nw_box(t, states[i]));
            cws_state state = cws_sandbox_state(sb);
            CHECK_INT(api_stop(t, sb, &with), CWS_ERR_SNAPSHOT_CONFLICT);
            CHECK(cws_status_is(t->err.status, CWS_ERR_SNAPSHOT));
            CHECK(!t->err.retryable);
            CHECK_INT(t->s.call_count, 0);
            CHECK_INT(cws_sandbox_state(sb), state);
        }
    }
    BOTH("52: an own plain stop that has ended") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        nw_ok(t, STOP, t->s.b2 ? "{'success':true}" : DELETED("TERMINATING"));
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, &with), CWS_ERR_SNAPSHOT_CONFLICT);
        CHECK_INT(script_count(&t->s, STOP), 1);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK); /* plain: still nothing to do */
    }
    BOTH_STREAMING("52: a plain stop in flight is left alone") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_op *plain = NULL, *late = (cws_op *)sb;
        nw_ok(t, STOP, t->s.b2 ? "{'success':true}" : DELETED("TERMINATING"))->delay = 1000;
        nw_state(t, "COMPLETED");
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &plain, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, &with, &late, &t->err), CWS_ERR_SNAPSHOT_CONFLICT);
        CHECK(!late);
        CHECK_INT(cws_client_poll(t->client, 0.01, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_stop(sb, &with, &t->err), CWS_ERR_SNAPSHOT_CONFLICT);
        CHECK(!cws_op_done(plain));
        CHECK_INT(cws_op_wait(plain, -1, &t->err), CWS_OK);
        CHECK_INT(script_count(&t->s, STOP), 1);
        HAS_NOT(script_json(&t->s, STOP, 0), "napshot");
        CHECK_STR(TAKEN(sb), "");
        cws_op_free(plain);
    }
    BOTH_STREAMING("52: joining: snapshot with snapshot, plain with snapshot, plain with plain") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts first = {.snapshot_on_stop = true, .graceful_shutdown_seconds = 5};
        cws_op *op[4];
        size_t i;
        sn_stopped(t, "fs-1")->delay = 1000;
        if (!t->s.b2) sn_seen(t, "fs-1", "READY", "");
        nw_state(t, "COMPLETED");
        CHECK_INT(cws_sandbox_stop_begin(sb, &first, &op[0], &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, &with, &op[1], &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &op[2], &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0.01, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, &with, &op[3], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(op, 4, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        for (i = 0; i < 4; i++) {
            CHECK_INT(cws_op_status(op[i], &t->err), CWS_OK);
            cws_op_free(op[i]);
        }
        CHECK_INT(script_count(&t->s, STOP), 1);
        HAS(script_json(&t->s, STOP, 0), t->s.b2 ? "\"gracefulShutdownSeconds\":5"
                                                 : "\"gracePeriodSeconds\":5");
        CHECK_STR(TAKEN(sb), "fs-1");
    }
    BOTH("52: with a snapshot of before it is success, and nothing is to do") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        sn_stopped(t, "fs-1");
        if (!t->s.b2) sn_seen(t, "fs-1", "READY", "");
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &with), CWS_OK);
        t->s.call_count = 0;
        CHECK_INT(api_stop(t, sb, &with), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 0);
        CHECK_STR(TAKEN(sb), "fs-1");
    }
    BOTH("52: never started, or cancelled: no call, no conflict") {
        cws_sandbox *sb = nw_unstarted(t, NULL);
        CHECK_INT(api_stop(t, sb, &with), CWS_OK);
        CHECK_INT(api_stop(t, sb, &with), CWS_OK);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        sb = nw_unstarted(t, NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, &with), CWS_OK);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    BOTH_STREAMING("52: a start in flight is awaited, then stopped with its snapshot") {
        cws_sandbox *sb = nw_unstarted(t, NULL);
        cws_op *start, *stop;
        script_ok(&t->s, CREATE, nw_box(t, "PENDING"))->delay = 1000;
        sn_stopped(t, "fs-1");
        if (!t->s.b2) sn_seen(t, "fs-1", "READY", "");
        nw_state(t, "COMPLETED");
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, &with, &stop, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(stop, -1, &t->err), CWS_OK);
        CHECK_STR(TAKEN(sb), "fs-1");
        CHECK_INT(script_count(&t->s, STOP), 1);
        cws_op_free(start);
        cws_op_free(stop);
    }
    BOTH("52: not found with missing_ok is too late; without it is not found") {
        static const char *const reasons[] = {NULL, "CWSANDBOX_SANDBOX_NOT_FOUND"};
        cws_stop_opts o = {.snapshot_on_stop = true};
        int i;
        for (i = 0; i < 4; i++) {
            cws_sandbox *sb = nw_scratch(t, NULL);
            o.missing_ok = i < 2;
            nw_fail(t, STOP, i % 2 ? "internal" : "not_found", reasons[i % 2]);
            CHECK_INT(api_stop(t, sb, &o), i < 2 ? CWS_ERR_SNAPSHOT_CONFLICT : CWS_ERR_NOT_FOUND);
            CHECK_STR(script_calls(&t->s), STOP);
            CHECK_STR(TAKEN(sb), "");
        }
        /* the sandboxes stay tracked; a close finds that they are gone */
        nw_fail(t, STOP, "not_found", NULL)->times = -1;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    V1_EACH("52: INVALID_REQUEST with missing_ok is too late, if the service itself says so") {
        cws_stop_opts o = {.snapshot_on_stop = true, .missing_ok = true};
        cws_sandbox *sb = nw_scratch(t, NULL);
        nw_fail(t, STOP, "invalid_argument", "CWSANDBOX_INVALID_REQUEST");
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SNAPSHOT_CONFLICT);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        script_error(&t->s, STOP, "invalid_argument", "x",
                     script_reason(&t->s, "CWSANDBOX_INVALID_REQUEST", "example.com"));
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SANDBOX);
        o.missing_ok = false;
        nw_fail(t, STOP, "invalid_argument", "CWSANDBOX_INVALID_REQUEST");
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SANDBOX);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
    }
    V1_EACH("52: an empty reply with missing_ok is too late") {
        cws_stop_opts o = {.snapshot_on_stop = true, .missing_ok = true};
        cws_sandbox *sb = nw_scratch(t, NULL);
        nw_ok(t, STOP, "{}");
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_SNAPSHOT_CONFLICT);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 1);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    BOTH_STREAMING("52: a joiner with missing_ok forgives what the first one hears") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.missing_ok = true};
        cws_op *a, *b;
        nw_fail(t, STOP, "not_found", NULL)->delay = 1000;
        CHECK_INT(cws_sandbox_stop_begin(sb, &with, &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, &o, &b, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_NOT_FOUND);
        cws_op_free(a);
        cws_op_free(b);
    }
    BOTH_STREAMING("52: a joiner that wants a snapshot does not take none for success") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true, .missing_ok = true};
        cws_op *a, *b;
        nw_fail(t, STOP, "not_found", NULL)->delay = 1000;
        CHECK_INT(cws_sandbox_stop_begin(sb, &with, &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, &o, &b, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_ERR_NOT_FOUND);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_NOT_FOUND);
        cws_op_free(a);
        cws_op_free(b);
    }
    V1_STREAMING("52: a stop that failed behind its acceptance is taken up again") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        sn_stopped(t, "fs-1");
        sn_seen(t, "fs-1", "READY", "");
        nw_fail(t, GET, "permission_denied", NULL);
        CHECK_INT(api_stop(t, sb, &with), CWS_ERR_AUTHENTICATION);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &with), CWS_OK);
        CHECK_STR(script_calls(&t->s), "DeleteSandbox " LOOK " GetSandbox GetSandbox");
        CHECK_STR(TAKEN(sb), "fs-1");
    }
    BOTH_STREAMING("52: close waits for a stop with snapshot that is under way") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_op *stop;
        sn_stopped(t, "fs-1")->delay = 20000;
        if (!t->s.b2) sn_seen(t, "fs-1", "CREATING", "");
        if (!t->s.b2) sn_seen(t, "fs-1", "READY", "");
        nw_state(t, "COMPLETED");
        CHECK_INT(cws_sandbox_stop_begin(sb, &with, &stop, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_op_wait(stop, -1, &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(script_count(&t->s, STOP), 1);
        CHECK_STR(TAKEN(sb), "fs-1");
        cws_op_free(stop);
    }
    V1_STREAMING("52: close while the snapshot of a stop fails") {
        cws_sandbox *sb = nw_scratch(t, NULL), *other;
        cws_op *stop;
        sn_stopped(t, "fs-1");
        sn_seen(t, "fs-1", "FAILED", "no");
        nw_state(t, "COMPLETED");
        CHECK_INT(cws_sandbox_stop_begin(sb, &with, &stop, &t->err), CWS_OK);
        script_ok(&t->s, CREATE, nw_box(t, "RUNNING"));
        other = nw_unstarted(t, NULL);
        CHECK_INT(api_start(t, other), CWS_OK);
        nw_ok(t, STOP, DELETED("COMPLETED"))->delay = 5000;
        CHECK_INT(api_close(t), CWS_OK); /* both have ended */
        CHECK_INT(cws_op_wait(stop, -1, &t->err), CWS_ERR_SNAPSHOT);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_op_free(stop);
    }
    V1_STREAMING("52: close does not wait longer than it may for snapshots") {
        cws_sandbox *sb;
        cws_op *stop;
        t->sopts.close_timeout_seconds = 30;
        sb = nw_scratch(t, NULL);
        sn_stopped(t, "fs-1");
        sn_seen(t, "fs-1", "CREATING", "")->times = -1;
        CHECK_INT(cws_sandbox_stop_begin(sb, &with, &stop, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        HAS(t->err.message, "sb-1");
        CHECK(!cws_op_done(stop));
        CHECK(cws_session_failed_at(t->session, 0, NULL, NULL));
        cws_op_free(stop);
    }
}

/* ---- discovery ------------------------------------------------------------------------------- */

/* All of a list of runners, which is freed. */
static const char *sn_shown(cws_runners *list)
{
    static char text[3000];
    size_t i, k, n = 0;
    text[0] = '\0';
    if (!list) return "(none)";
    for (i = 0; i < cws_runners_count(list); i++) {
        const cws_runner *r = cws_runners_at(list, i);
        n += (size_t)snprintf(
            text + n, sizeof(text) - n, "%s%s,%s,%s,[%s],%d,%d,%lld max %lld,%lld,%lld "
            "[%s] [%s] %d [%s] [%s] vis",
            i ? " | " : "", r->runner_id, r->runner_group_id, r->organization_id, sn_join(r->tags),
            r->healthy, r->is_shared, (long long)r->connected_unix_ms,
            (long long)r->max_cpu_millicores, (long long)r->max_memory_bytes,
            (long long)r->max_gpu_count, sn_join(r->gpu_types), sn_join(r->architectures),
            r->supports_privileged, sn_join(r->storage_classes), sn_join(r->profile_names));
        for (k = 0; k < r->service_visibility_count; k++)
            n += (size_t)snprintf(text + n, sizeof(text) - n, " %d",
                                  (int)r->service_visibilities[k]);
        n += (size_t)snprintf(text + n, sizeof(text) - n, " free %d,%lld,%lld,%lld,%d",
                              r->has_resources, (long long)r->available_cpu_millicores,
                              (long long)r->available_memory_bytes,
                              (long long)r->available_gpu_count, (int)r->running_sandboxes);
    }
    CHECK(!cws_runners_at(list, i));
    cws_runners_free(list);
    return text;
}

static const char *sn_runner_ids(cws_runners *list)
{
    static char text[1000];
    size_t i, n = 0;
    text[0] = '\0';
    if (!list) return "(none)";
    for (i = 0; i < cws_runners_count(list); i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "",
                              cws_runners_at(list, i)->runner_id);
    cws_runners_free(list);
    return text;
}

static const char *sn_profiles_shown(cws_profiles *list)
{
    static char text[2000];
    size_t i, n = 0;
    text[0] = '\0';
    if (!list) return "(none)";
    for (i = 0; i < cws_profiles_count(list); i++) {
        const cws_profile *p = cws_profiles_at(list, i);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s,%s [%s] [%s] [%s] [%s]",
                              i ? " | " : "", p->profile_name, p->runner_id,
                              sn_join(p->gpu_types), sn_join(p->architectures),
                              sn_join(p->service_exposure_modes), sn_join(p->egress_modes));
    }
    CHECK(!cws_profiles_at(list, i));
    cws_profiles_free(list);
    return text;
}

#define RUNNER_ID(id) "{'runnerId':'" id "'}"
#define RUNNER_FREE(id, cpu, memory, gpu)                                                          \
    "{'runnerId':'" id "','resources':{'availableCpuMillicores':'" cpu "','availableMemoryBytes':" \
    "'" memory "','availableGpuCount':'" gpu "'}}"
#define PROFILE(name, runner, in, out)                                                             \
    "{'profileName':'" name "','runnerId':'" runner "','serviceExposureModes':[{'name':'" in       \
    "'}],'egressModes':[{'name':'" out "'}]}"

static void sn_test_runners(void)
{
    BOTH("57: a runner with all that can be told, and with nothing") {
        cws_runners *list = NULL;
        cws_runner_list_opts o = {.include_resources = true};
        char json[1500];
        (void)snprintf(
            json, sizeof(json),
            "{'runners':[{'runnerId':'r-1','runnerGroupId':'g','tags':['a','b'],'healthy':true,"
            "'isShared':true,'connectedAt':'2026-01-02T03:04:05.678Z',%s,'capabilities':{"
            "'maxCpuMillicores':'128000','maxMemoryBytes':'1099511627776','maxGpuCount':'8',"
            "'supportedGpuTypes':['H100','L40'],'supportedArchitectures':['amd64'],"
            "'supportsPrivileged':true,'availableStorageClasses':['s1','s2']%s},'resources':{"
            "'availableCpuMillicores':'500','availableMemoryBytes':'7','availableGpuCount':'3',"
            "'runningSandboxes':12}},{}]}",
            t->s.b2 ? "'profileNames':['p1','p2']" : "'organizationId':'org-1'",
            t->s.b2 ? "" : ",'supportedServiceVisibilities':['VISIBILITY_PUBLIC',77]");
        nw_ok(t, RUNNERS, json);
        CHECK_INT(sn_runners(t, &o, &list), CWS_OK);
        CHECK_STR(sn_shown(list),
                  t->s.b2 ? "r-1,g,,[a+b],1,1,1767323045678 max 128000,1099511627776,8 [H100+L40] "
                            "[amd64] 1 [s1+s2] [p1+p2] vis free 1,500,7,3,12 | ,,,[],0,0,0 max "
                            "0,0,0 [] [] 0 [] [] vis free 0,0,0,0,0"
                          : "r-1,g,org-1,[a+b],1,1,1767323045678 max 128000,1099511627776,8 "
                            "[H100+L40] [amd64] 1 [s1+s2] [] vis 1 0 free 1,500,7,3,12 | ,,,[],0,"
                            "0,0 max 0,0,0 [] [] 0 [] [] vis free 0,0,0,0,0");
    }
    BOTH("57: what is asked for: view, filters, pages of 100, 30 s") {
        cws_runners *list = NULL;
        cws_runner_list_opts all = {.runner_group_id = "g", .gpu_type = "H100",
                                    .architecture = "arm64",
                               .healthy_only = true};
        nw_ok(t, RUNNERS, "{}")->times = 5;
        CHECK_INT(sn_runners(t, NULL, &list), CWS_OK);
        CHECK_INT(cws_runners_count(list), 0);
        cws_runners_free(list);
        IS(RUNNERS, 0, "{'pageSize':100,'view':'RUNNER_VIEW_BASIC'}");
        CHECK_INT(script_call_at(&t->s, RUNNERS, 0)->timeout_ms, 30000);
        HAS(script_call_at(&t->s, RUNNERS, 0)->url, t->s.b2 ? "v1beta2.DiscoveryService/"
                                                            : "v1.DiscoveryService/");
        CHECK_INT(sn_runners(t, &all, &list), CWS_OK);
        cws_runners_free(list);
        IS(RUNNERS, 1, "{'runnerGroupId':'g','gpuType':'H100','architecture':'arm64',"
                       "'healthyOnly':true,'pageSize':100,'view':'RUNNER_VIEW_BASIC'}");
        memset(&all, 0, sizeof(all));
        all.min_available_gpu_count = 1;
        all.timeout_seconds = 4;
        if (t->s.b2) {
            all.exclude_shared = true;
            all.profile_name = "p";
        } else {
            all.service_visibility = CWS_VISIBILITY_PUBLIC;
        }
        CHECK_INT(sn_runners(t, &all, &list), CWS_OK);
        cws_runners_free(list);
        IS(RUNNERS, 2,
           t->s.b2 ? "{'profileName':'p','excludeShared':true,'pageSize':100,'view':"
                     "'RUNNER_VIEW_FULL'}"
                   : "{'pageSize':100,'view':'RUNNER_VIEW_FULL','serviceVisibility':"
                     "'VISIBILITY_PUBLIC'}");
        CHECK_INT(script_call_at(&t->s, RUNNERS, 2)->timeout_ms, 4000);
        memset(&all, 0, sizeof(all));
        all.min_available_cpu_millicores = 1;
        CHECK_INT(sn_runners(t, &all, &list), CWS_OK);
        cws_runners_free(list);
        HAS(script_json(&t->s, RUNNERS, 3), "RUNNER_VIEW_FULL");
        memset(&all, 0, sizeof(all));
        all.min_available_memory_bytes = 1;
        CHECK_INT(sn_runners(t, &all, &list), CWS_OK);
        cws_runners_free(list);
        HAS(script_json(&t->s, RUNNERS, 4), "RUNNER_VIEW_FULL");
    }
    BOTH("57: what must be free: enough is enough, unknown is not") {
        static const char page[] =
            "{'runners':[" RUNNER_FREE("exact", "100", "200", "3") ","
            RUNNER_ID("unknown") "," RUNNER_FREE("cpu", "99", "200", "3") ","
            RUNNER_FREE("memory", "100", "199", "3") "," RUNNER_FREE("gpu", "100", "200", "2") ","
            RUNNER_FREE("more", "101", "9000000000", "4") ","
            RUNNER_FREE("hostile", "-9223372036854775808", "-1", "-1") "]}";
        cws_runner_list_opts o = {.min_available_cpu_millicores = 100,
                             .min_available_memory_bytes = 200,
                             .min_available_gpu_count = 3};
        cws_runners *list = NULL;
        nw_ok(t, RUNNERS, page)->times = 5;
        CHECK_INT(sn_runners(t, &o, &list), CWS_OK);
        CHECK_STR(sn_runner_ids(list), "exact more");
        o.min_available_cpu_millicores = o.min_available_memory_bytes = 0;
        CHECK_INT(sn_runners(t, &o, &list), CWS_OK);
        CHECK_STR(sn_runner_ids(list), "exact cpu memory more");
        o.min_available_gpu_count = 0;
        o.min_available_memory_bytes = 201;
        CHECK_INT(sn_runners(t, &o, &list), CWS_OK);
        CHECK_STR(sn_runner_ids(list), "more");
        o.min_available_memory_bytes = INT64_MAX;
        CHECK_INT(sn_runners(t, &o, &list), CWS_OK);
        CHECK_STR(sn_runner_ids(list), "");
        CHECK_INT(sn_runners(t, NULL, &list), CWS_OK);
        CHECK_INT(cws_runners_count(list), 7);
        cws_runners_free(list);
    }
    BOTH("57: many pages, one budget; repetitions within it; too many, and a loop") {
        cws_runners *list = NULL;
        int i;
        nw_ok(t, RUNNERS, "{'runners':[" RUNNER_ID("a") "],'nextPageToken':'p'}")->delay = 8000;
        nw_fail(t, RUNNERS, "unavailable", NULL);
        nw_ok(t, RUNNERS, "{'runners':[" RUNNER_ID("b") "," RUNNER_ID("c") "]}");
        CHECK_INT(sn_runners(t, NULL, &list), CWS_OK);
        CHECK_STR(sn_runner_ids(list), "a b c");
        IS(RUNNERS, 2, "{'pageSize':100,'pageToken':'p','view':'RUNNER_VIEW_BASIC'}");
        CHECK_INT(script_call_at(&t->s, RUNNERS, 1)->timeout_ms, 22000);
        nw_ok(t, RUNNERS, "{'nextPageToken':'p'}")->times = 2;
        CHECK_INT(sn_runners(t, NULL, &list), CWS_ERR_DISCOVERY);
        HAS(t->err.message, "page token");
        for (i = 0; i < 100; i++) {
            char json[60];
            (void)snprintf(json, sizeof(json), "{'nextPageToken':'%d'}", i);
            nw_ok(t, RUNNERS, json);
        }
        CHECK_INT(sn_runners(t, NULL, &list), CWS_ERR_DISCOVERY);
        HAS(t->err.message, "pages");
        CHECK(!list);
    }
    BOTH("57: out of time: a discovery error that may go better another time") {
        cws_runners *list = NULL;
        cws_runner_list_opts o = {.timeout_seconds = 3};
        int64_t before = (api_session(t), t->s.now);
        nw_ok(t, RUNNERS, "{'runners':[" RUNNER_ID("a") "],'nextPageToken':'p'}")->delay = 20000;
        script_never(&t->s, RUNNERS);
        CHECK_INT(sn_runners(t, NULL, &list), CWS_ERR_DISCOVERY);
        CHECK(t->err.retryable);
        HAS(t->err.message, "timed out");
        CHECK_INT(t->s.now - before, 30000);
        CHECK(!list);
        script_never(&t->s, RUNNERS);
        CHECK_INT(sn_runners(t, &o, &list), CWS_ERR_DISCOVERY);
        CHECK(t->err.retryable);
        CHECK_INT(t->s.now - before, 33000);
    }
    BOTH("57: get one") {
        cws_runners *list = NULL;
        nw_ok(t, "GetAvailableRunner", RUNNER_FREE("r-1", "1", "2", "3"));
        CHECK_INT(sn_runner(t, "r-1", "org", &list), CWS_OK);
        CHECK_STR(sn_shown(list), "r-1,,,[],0,0,0 max 0,0,0 [] [] 0 [] [] vis free 1,1,2,3,0");
        IS("GetAvailableRunner", 0,
           t->s.b2 ? "{'runnerId':'r-1','view':'RUNNER_VIEW_FULL'}"
                   : "{'runnerId':'r-1','view':'RUNNER_VIEW_FULL','organizationId':'org'}");
        CHECK_INT(script_call_at(&t->s, "GetAvailableRunner", 0)->timeout_ms, 30000);
        if (t->s.b2) {
            nw_ok(t, "GetAvailableRunner", RUNNER_ID("r-1"));
            CHECK_INT(sn_runner(t, "r-1", NULL, &list), CWS_OK);
            CHECK_STR(sn_runner_ids(list), "r-1");
        } else {
            CHECK_INT(sn_runner(t, "r-1", NULL, &list), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "organization_id");
            CHECK_INT(sn_runner(t, "r-1", " ", &list), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(sn_runner(t, "r-1", "\xff", &list), CWS_ERR_INVALID_ARGUMENT);
        }
    }
    BOTH("57: wrong arguments, before any network") {
        static const char *const blank[] = {NULL, "", "  ", "\t\r\n ", "\xff"};
        cws_runner_list_opts bad[] = {{.must_be_zero = 1},
                                 {.min_available_cpu_millicores = -1},
                                 {.min_available_memory_bytes = -1},
                                 {.min_available_gpu_count = INT64_MIN},
                                 {.service_visibility = (cws_visibility)9},
                                 {.runner_group_id = "\xff"},
                                 {.gpu_type = "\xff"},
                                 {.architecture = "\xff"},
                                 {.timeout_seconds = -3}};
        cws_runner_list_opts lacks[4];
        cws_runners *list = (cws_runners *)&list;
        size_t i;
        for (i = 0; i < CWSI_COUNT(bad); i++) {
            CHECK_INT(sn_runners(t, &bad[i], &list), CWS_ERR_INVALID_ARGUMENT);
            CHECK(!list);
        }
        for (i = 0; i < CWSI_COUNT(blank); i++) {
            CHECK_INT(sn_runner(t, blank[i], "org", &list), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "runner_id");
        }
        memset(lacks, 0, sizeof(lacks));
        lacks[0].profile_name = "p";
        lacks[1].service_exposure_mode = "m";
        lacks[2].egress_mode = "m";
        lacks[3].exclude_shared = true;
        for (i = 0; !t->s.b2 && i < 4; i++)
            CHECK_INT(sn_runners(t, &lacks[i], &list), CWS_ERR_UNSUPPORTED);
        memset(lacks, 0, sizeof(lacks));
        lacks[0].service_visibility = CWS_VISIBILITY_PUBLIC;
        lacks[1].profile_name = lacks[2].egress_mode = lacks[3].service_exposure_mode = "\xff";
        if (t->s.b2) CHECK_INT(sn_runners(t, &lacks[0], &list), CWS_ERR_UNSUPPORTED);
        for (i = 1; t->s.b2 && i < 4; i++)
            CHECK_INT(sn_runners(t, &lacks[i], &list), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_runner_list(NULL, NULL, &list, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_runner_list(t->client, NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_runner_get(NULL, "x", "y", &sn_no_runner, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_runner_get(t->client, "x", "y", NULL, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!list && !cws_runners_at(NULL, 0) && !cws_runners_count(NULL));
        cws_runners_free(NULL);
        CHECK_INT(t->s.call_count, 0);
    }
    BOTH("57: how failures of discovery are told") {
        static const struct {
            const char *code, *reason;
            cws_status found, got;
        } rows[] = {{"unauthenticated", NULL, CWS_ERR_AUTHENTICATION, CWS_ERR_AUTHENTICATION},
                    {"permission_denied", NULL, CWS_ERR_AUTHENTICATION, CWS_ERR_AUTHENTICATION},
                    {"not_found", NULL, CWS_ERR_DISCOVERY, CWS_ERR_RUNNER_NOT_FOUND},
                    {"internal", "CWSANDBOX_RUNNER_NOT_FOUND", CWS_ERR_DISCOVERY,
                     CWS_ERR_RUNNER_NOT_FOUND},
                    {"internal", "CWSANDBOX_PROFILE_NOT_FOUND", CWS_ERR_DISCOVERY,
                     CWS_ERR_DISCOVERY},
                    {"internal", "CWSANDBOX_SANDBOX_NOT_FOUND", CWS_ERR_DISCOVERY, CWS_OK},
                    {"invalid_argument", NULL, CWS_ERR_DISCOVERY, CWS_ERR_DISCOVERY},
                    {"internal", NULL, CWS_ERR_DISCOVERY, CWS_ERR_DISCOVERY},
                    {"deadline_exceeded", NULL, CWS_ERR_DISCOVERY, CWS_ERR_DISCOVERY},
                    {"resource_exhausted", NULL, CWS_ERR_DISCOVERY, CWS_ERR_DISCOVERY},
                    {"cancelled", NULL, CWS_ERR_DISCOVERY, CWS_ERR_DISCOVERY},
                    {"unimplemented", NULL, CWS_ERR_DISCOVERY, CWS_ERR_DISCOVERY}};
        const char *violation = script_detail(
            &t->s, "google.rpc.BadRequest",
            "{\"fieldViolations\":[{\"field\":\"gpu_type\",\"description\":\"no such\"}]}");
        cws_runners *list = NULL;
        const char *field = NULL;
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            const char *code = strcmp(rows[i].code, "cancelled") ? rows[i].code : "canceled";
            nw_fail(t, RUNNERS, code, rows[i].reason);
            CHECK_INT(sn_runners(t, NULL, &list), rows[i].found);
            CHECK(!list);
            HAS(t->err.message, "the service's words");
            CHECK(t->err.rpc_code != 0);
            CHECK_STR(t->err.reason, rows[i].reason ? rows[i].reason : "");
            if (!rows[i].got) continue;
            nw_fail(t, "GetAvailableRunner", code, rows[i].reason);
            CHECK_INT(sn_runner(t, "r", "o", &list), rows[i].got);
            CHECK_STR(t->err.reason, rows[i].reason ? rows[i].reason : "");
        }
        script_error(&t->s, RUNNERS, "invalid_argument", "bad", violation);
        CHECK_INT(sn_runners(t, NULL, &list), CWS_ERR_VALIDATION);
        CHECK(!cws_status_is(t->err.status, CWS_ERR_SANDBOX));
        CHECK(cws_error_violation_at(&t->err, 0, &field, NULL));
        CHECK_STR(field, "gpu_type");
        script_raw(&t->s, RUNNERS, 200, "application/proto", "\xff\xff", 2);
        CHECK_INT(sn_runners(t, NULL, &list), CWS_ERR_DISCOVERY);
        script_error(&t->s, "GetAvailableRunner", "internal", "x",
                     script_reason(&t->s, "CWSANDBOX_RUNNER_NOT_FOUND", "example.com"));
        CHECK_INT(sn_runner(t, "r", "o", &list), CWS_ERR_DISCOVERY);
    }
}

static void sn_test_profiles(void)
{
    B2_EACH("57: profiles: conversions, what is asked for, modes filtered here") {
        cws_profiles *list = NULL;
        cws_profile_list_opts o = {.gpu_type = "g", .architecture = "a", .runner_id = "r",
                              .exclude_shared = true};
        nw_ok(t, "ListProfiles",
              "{'profiles':[{'profileName':'p1','runnerId':'r','supportedGpuTypes':['H'],"
              "'supportedArchitectures':['x','y'],'serviceExposureModes':[{'name':'pub'},{'name':"
              "'priv'}],'egressModes':[{'name':'net'}]},{},"
              PROFILE("p2", "r2", "pub", "none") "]}")
            ->times = 5;
        CHECK_INT(sn_profiles(t, NULL, &list), CWS_OK);
        CHECK_STR(sn_profiles_shown(list),
                  "p1,r [H] [x+y] [pub+priv] [net] | , [] [] [] [] | p2,r2 [] [] [pub] [none]");
        IS("ListProfiles", 0, "{'pageSize':100}");
        CHECK_INT(script_call_at(&t->s, "ListProfiles", 0)->timeout_ms, 30000);
        CHECK_INT(sn_profiles(t, &o, &list), CWS_OK);
        cws_profiles_free(list);
        IS("ListProfiles", 1, "{'gpuType':'g','architecture':'a','excludeShared':true,"
                              "'pageSize':100,'runnerId':'r'}");
        memset(&o, 0, sizeof(o));
        o.service_exposure_mode = "pub";
        CHECK_INT(sn_profiles(t, &o, &list), CWS_OK);
        CHECK_INT(cws_profiles_count(list), 2);
        cws_profiles_free(list);
        o.egress_mode = "none";
        CHECK_INT(sn_profiles(t, &o, &list), CWS_OK);
        CHECK_STR(sn_profiles_shown(list), "p2,r2 [] [] [pub] [none]");
        IS("ListProfiles", 3, "{'pageSize':100}");
        o.egress_mode = "PUB";
        CHECK_INT(sn_profiles(t, &o, &list), CWS_OK);
        CHECK_STR(sn_profiles_shown(list), "");
    }
    B2_EACH("57: profiles: many pages") {
        cws_profiles *list = NULL;
        nw_ok(t, "ListProfiles", "{'profiles':[{'profileName':'a'}],'nextPageToken':'p'}");
        nw_ok(t, "ListProfiles", "{'profiles':[{'profileName':'b'}]}");
        CHECK_INT(sn_profiles(t, NULL, &list), CWS_OK);
        CHECK_STR(sn_profiles_shown(list), "a, [] [] [] [] | b, [] [] [] []");
        IS("ListProfiles", 1, "{'pageSize':100,'pageToken':'p'}");
    }
    B2_EACH("57: one profile, and how it is not found") {
        cws_profiles *list = NULL;
        nw_ok(t, "GetProfile", "{'profileName':'p'}")->times = 2;
        CHECK_INT(sn_profile(t, "p", NULL, &list), CWS_OK);
        CHECK_STR(sn_profiles_shown(list), "p, [] [] [] []");
        IS("GetProfile", 0, "{'profileName':'p'}");
        CHECK_INT(sn_profile(t, "p", "r", &list), CWS_OK);
        cws_profiles_free(list);
        IS("GetProfile", 1, "{'profileName':'p','runnerId':'r'}");
        nw_fail(t, "GetProfile", "not_found", NULL);
        CHECK_INT(sn_profile(t, "p", NULL, &list), CWS_ERR_PROFILE_NOT_FOUND);
        script_error(&t->s, "GetProfile", "internal", "x",
                     script_detail(&t->s, "google.rpc.ErrorInfo",
                                   "{\"reason\":\"CWSANDBOX_PROFILE_NOT_FOUND\",\"domain\":"
                                   "\"cwsandbox.com\",\"metadata\":{\"profile\":\"p\"}}"));
        CHECK_INT(sn_profile(t, "p", NULL, &list), CWS_ERR_PROFILE_NOT_FOUND);
        CHECK_STR(cws_error_metadata(&t->err, "profile"), "p"); /* details on not-found */
        CHECK(cws_status_is(t->err.status, CWS_ERR_DISCOVERY));
        nw_fail(t, "GetProfile", "internal", "CWSANDBOX_RUNNER_NOT_FOUND");
        CHECK_INT(sn_profile(t, "p", NULL, &list), CWS_ERR_DISCOVERY);
        nw_fail(t, "ListProfiles", "not_found", NULL);
        CHECK_INT(sn_profiles(t, NULL, &list), CWS_ERR_DISCOVERY);
        CHECK(!list);
    }
    BOTH("57: profiles: wrong arguments; v1 has none") {
        cws_profiles *list = (cws_profiles *)&list;
        cws_profile_list_opts bad[] = {{.must_be_zero = 1}, {.runner_id = "\xff"},
                                       {.gpu_type = "\xff"},
                                  {.architecture = "\xff"}, {.service_exposure_mode = "\xff"},
                                  {.egress_mode = "\xff"}, {.timeout_seconds = -3}};
        size_t i;
        for (i = 0; i < CWSI_COUNT(bad); i++)
            CHECK_INT(sn_profiles(t, &bad[i], &list),
                      t->s.b2 || i == 0 ? CWS_ERR_INVALID_ARGUMENT : CWS_ERR_UNSUPPORTED);
        CHECK_INT(sn_profile(t, "", NULL, &list), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(sn_profile(t, " \t", NULL, &list), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(sn_profile(t, NULL, NULL, &list), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "profile_name");
        CHECK_INT(cws_profile_list(NULL, NULL, &list, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_profile_get(NULL, "p", NULL, &sn_no_profile, NULL), CWS_ERR_INVALID_ARGUMENT);
        if (t->s.b2) {
            CHECK_INT(cws_profile_list(t->client, NULL, NULL, NULL), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(cws_profile_get(t->client, "p", NULL, NULL, NULL), CWS_ERR_INVALID_ARGUMENT);
        } else {
            CHECK_INT(sn_profiles(t, NULL, &list), CWS_ERR_UNSUPPORTED);
            CHECK_INT(sn_profile(t, "p", NULL, &list), CWS_ERR_UNSUPPORTED);
            HAS(t->err.message, "profiles");
        }
        CHECK(!list && !cws_profiles_count(NULL) && !cws_profiles_at(NULL, 0));
        cws_profiles_free(NULL);
        CHECK_INT(t->s.call_count, 0);
    }
    B2_EACH("57: runners by mode: any profile of a runner may offer it, another one the other") {
        static const char runners[] =
            "{'runners':[" RUNNER_ID("both") "," RUNNER_ID("two") "," RUNNER_ID("in") ","
            RUNNER_ID("out") "," RUNNER_ID("none") "]}";
        static const char profiles[] =
            "{'profiles':[" PROFILE("p", "both", "pub", "net") ","
            PROFILE("q", "two", "pub", "x") "," PROFILE("r", "two", "x", "net") ","
            PROFILE("s", "in", "pub", "x") "," PROFILE("t", "out", "x", "net") "]}";
        cws_runner_list_opts o = {.service_exposure_mode = "pub", .profile_name = "z"};
        cws_runners *list = NULL;
        nw_ok(t, RUNNERS, runners)->times = 3;
        nw_ok(t, "ListProfiles", profiles)->times = -1;
        CHECK_INT(sn_runners(t, &o, &list), CWS_OK);
        CHECK_STR(sn_runner_ids(list), "both two in");
        IS(RUNNERS, 0, "{'profileName':'z','pageSize':100,'view':'RUNNER_VIEW_BASIC'}");
        IS("ListProfiles", 0, "{'pageSize':100}");
        o.egress_mode = "net";
        CHECK_INT(sn_runners(t, &o, &list), CWS_OK);
        CHECK_STR(sn_runner_ids(list), "both two");
        o.service_exposure_mode = NULL;
        CHECK_INT(sn_runners(t, &o, &list), CWS_OK);
        CHECK_STR(sn_runner_ids(list), "both two out");
    }
    B2_EACH("57: runners by mode: no runner left, no profiles asked for") {
        cws_runner_list_opts o = {.service_exposure_mode = "pub", .egress_mode = "net",
                             .min_available_gpu_count = 1};
        cws_runners *list = NULL;
        nw_ok(t, RUNNERS, "{'runners':[" RUNNER_ID("a") "]}");
        CHECK_INT(sn_runners(t, &o, &list), CWS_OK);
        CHECK_STR(sn_runner_ids(list), "");
        CHECK_STR(script_calls(&t->s), RUNNERS);
    }
    B2_EACH("57: runners by mode: pages of profiles, and what is left of the budget") {
        cws_runner_list_opts o = {.egress_mode = "net"};
        cws_runners *list = NULL;
        int64_t before = (api_session(t), t->s.now);
        nw_ok(t, RUNNERS, "{'runners':[" RUNNER_ID("a") "]}")->delay = 10000;
        nw_ok(t, "ListProfiles", "{'nextPageToken':'p'}")->delay = 5000;
        nw_ok(t, "ListProfiles", "{'profiles':[" PROFILE("p", "a", "x", "net") "]}");
        CHECK_INT(sn_runners(t, &o, &list), CWS_OK);
        CHECK_STR(sn_runner_ids(list), "a");
        CHECK_INT(script_call_at(&t->s, "ListProfiles", 0)->timeout_ms, 20000);
        CHECK_INT(script_call_at(&t->s, "ListProfiles", 1)->timeout_ms, 15000);
        before = t->s.now;
        nw_ok(t, RUNNERS, "{'runners':[" RUNNER_ID("a") "]}")->delay = 25000;
        script_never(&t->s, "ListProfiles");
        CHECK_INT(sn_runners(t, &o, &list), CWS_ERR_DISCOVERY);
        CHECK(t->err.retryable);
        CHECK_INT(t->s.now - before, 30000);
        nw_ok(t, RUNNERS, "{'runners':[" RUNNER_ID("a") "]}");
        nw_fail(t, "ListProfiles", "permission_denied", NULL);
        CHECK_INT(sn_runners(t, &o, &list), CWS_ERR_AUTHENTICATION);
        CHECK(!list);
    }
}

/* ---- volumes --------------------------------------------------------------------------------- */

static void sn_test_volumes(void)
{
    V1_EACH("volumes: those of the options until the service tells, then its own") {
        cws_file_system f = {.mount_path = "/w", .size = "9Gi", .snapshot_id = "fs-0"};
        cws_sandbox_opts o = {.volumes = VOLUMES({.name = "a", .mount_path = "/a",
                                                  .sub_path = "s", .read_only = true,
                                                  .volume_id = "v-1"},
                                                 {.name = "m", .mount_path = "/m",
                                                  .medium = CWS_STORAGE_MEMORY,
                                                  .size = "1Gi",
                                                  .restore_from_snapshot_id = "fs-9"}),
                              .volume_count = 2, .file_system = &f};
        cws_sandbox *sb = nw_unstarted(t, &o);
        cws_snapshots *list = NULL;
        static const char known[] = "a:v-1:/a:s:-:0:-:1 m:-:/m:-:1Gi:2:fs-9:0 "
                                    "workspace:-:/w:-:9Gi:0:fs-0:0";
        CHECK_STR(nw_volumes(sb), known);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(nw_volumes(sb), known);
        nw_ok(t, GET,
              "{'sandboxId':'sb-1','spec':{'containers':[{'name':'main','volumeMounts':[{'volume':"
              "'x','mountPath':'/x','subPath':'u','readOnly':true}]},{'name':'two','volumeMounts':"
              "[{'volume':'x','mountPath':'/two'},{'volume':'y','mountPath':'/y'}]}],'volumes':[{"
              "'name':'x','scratch':{'size':'5Gi','restoreFromSnapshotId':'fs-5'}},{'name':'y',"
              "'volumeId':'v-2'},{'name':'unset'}]},'status':{'state':'STATE_RUNNING'}}");
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(nw_volumes(sb), "x:-:/x:u:5Gi:0:fs-5:1 y:v-2:/y:-:-:0:-:0 unset:-:-:-:-:0:-:0");
        /* scratch: x, and the one whose source is not told */
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_SNAPSHOT);
        nw_state(t, "RUNNING"); /* says nothing of volumes: they stay */
        CHECK_INT(api_status(t, sb, NULL), CWS_OK);
        CHECK_STR(nw_volumes(sb), "x:-:/x:u:5Gi:0:fs-5:1 y:v-2:/y:-:-:0:-:0 unset:-:-:-:-:0:-:0");
        {
            cws_stop_opts with = {.snapshot_on_stop = true, .no_wait_for_ready = true};
            sn_stopped(t, "fs-1','fs-2");
            nw_state(t, "COMPLETED");
            CHECK_INT(api_stop(t, sb, &with), CWS_OK);
            HAS(script_json(&t->s, "DeleteSandbox", 0), "\"snapshotVolumes\":[\"x\",\"unset\"]");
        }
    }
    V1_EACH("volumes: of a sandbox that was attached to; with one, it is the one") {
        cws_snapshot_opts o = {.no_wait_for_ready = true, .request_id = "r"};
        cws_snapshots *list = NULL;
        cws_sandbox *sb = nw_found(t, "{'sandboxId':'sb-1','spec':{'volumes':[{'name':'x',"
                                      "'volumeId':'v'},{'name':'y'}]},'status':{'state':"
                                      "'STATE_RUNNING'}}");
        CHECK_STR(nw_volumes(sb), "x:v:-:-:-:0:-:0 y:-:-:-:-:0:-:0");
        sn_made(t, "fs-1", "CREATING");
        CHECK_INT(sn_create(t, sb, &o, &list), CWS_OK);
        cws_snapshots_free(list);
        IS(MAKE, 0, "{'sandboxId':'sb-1','requestId':'r','scratchVolumeName':'y'}");
    }
    V1_EACH("volumes: the options may be gone, and hostile answers do not count") {
        cws_volume *v = (cws_volume *)calloc(1, sizeof(*v));
        cws_sandbox_opts o = {.volumes = v, .volume_count = 1};
        cws_sandbox *sb;
        char *name = (char *)malloc(5);
        memcpy(name, "name", 5);
        v->name = name;
        v->mount_path = "/n";
        sb = nw_unstarted(t, &o);
        memset(name, 'x', 4);
        free(name);
        free(v);
        CHECK_STR(nw_volumes(sb), "name:-:/n:-:-:0:-:0");
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        HAS(script_json(&t->s, "CreateSandbox", 0), "\"name\":\"name\"");
        nw_ok(t, GET, "{'sandboxId':'sb-1','spec':{'volumes':[{},{'name':'x','scratch':{'medium':"
                      "-7}},{'name':'x'}]},'status':{'state':'STATE_RUNNING'}}");
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(cws_sandbox_last_info(sb)->volume_count, 3);
        CHECK_INT(cws_sandbox_last_info(sb)->volumes[1].medium, CWS_STORAGE_DEFAULT);
    }
}

/* ---- handles, callbacks, hostile answers ----------------------------------------------------- */

/* Begin each kind of operation; the i-th, or NULL past the last one. */
static cws_op *sn_begin(api *t, cws_sandbox *sb, int i)
{
    static const cws_stop_opts with = {.snapshot_on_stop = true};
    cws_op *op = NULL;
    cws_status status = CWS_OK;
    switch (i) {
    case 0: status = cws_snapshot_create_begin(sb, NULL, &op, &t->err); break;
    case 1: status = cws_snapshot_get_begin(t->client, "fs-1", &op, &t->err); break;
    case 2: status = cws_snapshot_list_begin(t->client, NULL, &op, &t->err); break;
    case 3: status = cws_snapshot_delete_begin(t->client, "fs-1", true, &op, &t->err); break;
    case 4: status = cws_snapshot_bucket_get_begin(t->client, &op, &t->err); break;
    case 5: status = cws_snapshot_bucket_set_begin(t->client, "b", "r", &op, &t->err); break;
    case 6: status = cws_runner_list_begin(t->client, NULL, &op, &t->err); break;
    case 7: status = cws_runner_get_begin(t->client, "r", "o", &op, &t->err); break;
    case 8: status = cws_sandbox_stop_begin(sb, &with, &op, &t->err); break;
    case 9:
        if (t->s.b2) status = cws_profile_list_begin(t->client, NULL, &op, &t->err);
        break;
    case 10:
        if (t->s.b2) status = cws_profile_get_begin(t->client, "p", NULL, &op, &t->err);
        break;
    case 11:
        if (t->s.b2) status = cws_sandbox_pause_begin(sb, &op, &t->err);
        break;
    case 12:
        if (t->s.b2) status = cws_sandbox_resume_begin(sb, &op, &t->err);
        break;
    default: break;
    }
    CHECK_INT(status, CWS_OK);
    return op;
}

/* Everything answers, after a while or never. */
static void sn_answers(api *t, bool never)
{
    static const char *const both[] = {MAKE, LOOK, LIST, FORGET, BUCKET, RUNNERS,
                                       "GetAvailableRunner"};
    static const char *const v1[] = {"UpdateFileSystemSnapshotBucketConfig", "DeleteSandbox",
                                     "GetSandbox"};
    static const char *const b2[] = {"SetFileSystemSnapshotBucketConfig", "Stop", "Get", "Pause",
                                     "Resume", "ListProfiles", "GetProfile"};
    size_t i;
    for (i = 0; i < 7 + (t->s.b2 ? CWSI_COUNT(b2) : CWSI_COUNT(v1)); i++) {
        const char *rpc = i < 7 ? both[i] : t->s.b2 ? b2[i - 7] : v1[i - 7];
        const char *json = strcmp(rpc, LOOK) == 0   ? "{'fileSystemSnapshotId':'x'}"
                           : strstr(rpc, "GetAvail") ? "{'runnerId':'r'}"
                           : strstr(rpc, "GetProf")  ? "{'profileName':'p'}"
                                                     : "{}";
        script_reply *r = never ? script_never(&t->s, rpc) : nw_ok(t, rpc, json);
        r->times = -1;
        r->delay = 100;
    }
}

typedef struct sn_inside {
    api *t;
    cws_sandbox *sb;
    int calls;
} sn_inside;

/* A callback: nothing blocks here, whatever can be begun can be begun. */
static void sn_callback(cws_op *op, void *user)
{
    sn_inside *in = (sn_inside *)user;
    api *t = in->t;
    cws_snapshots *snapshots = NULL;
    cws_runners *runners = NULL;
    cws_profiles *profiles = NULL;
    cws_snapshot *snapshot = NULL;
    cws_runner *runner = NULL;
    cws_profile *profile = NULL;
    cws_snapshot_bucket bucket;
    size_t pending = cws_client_pending(t->client);
    cws_error e;
    int i;
    in->calls++;
    CHECK(cws_op_done(op));
    CHECK_INT(cws_snapshot_create(in->sb, NULL, &snapshot, &e), CWS_ERR_REENTRANT);
    CHECK_INT(e.status, CWS_ERR_REENTRANT);
    CHECK_INT(cws_snapshot_get(t->client, "x", &snapshot, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_snapshot_list(t->client, NULL, &snapshots, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_snapshot_delete(t->client, "x", true, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_snapshot_bucket_get(t->client, &bucket, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_snapshot_bucket_set(t->client, NULL, NULL, &bucket, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_runner_list(t->client, NULL, &runners, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_runner_get(t->client, "x", "y", &runner, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_profile_list(t->client, NULL, &profiles, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_profile_get(t->client, "x", NULL, &profile, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_pause(in->sb, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_resume(in->sb, NULL), CWS_ERR_REENTRANT);
    CHECK(!snapshots && !runners && !profiles && !snapshot && !runner && !profile);
    CHECK_INT(cws_client_pending(t->client), pending);
    snapshots = cws_op_take_snapshots(op); /* taking is allowed */
    CHECK(snapshots != NULL);
    cws_snapshots_free(snapshots);
    for (i = 0; i < 13; i++) cws_op_free(sn_begin(t, in->sb, i));
}

static void sn_test_handles(void)
{
    BOTH_STREAMING("handles freed in mid-flight leave nothing; cancelled ones say so") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        int i, when;
        sn_answers(t, true);
        for (when = 0; when < 3; when++)
            for (i = 0; i < 13; i++) {
                cws_op *op = sn_begin(t, sb, i);
                int k;
                if (!op) continue;
                for (k = 0; k < when; k++) CHECK_INT(cws_client_poll(t->client, 0.05, NULL),
                                                     CWS_OK);
                CHECK(!cws_op_done(op));
                if (i % 2) {
                    CHECK(cws_op_cancel(op));
                    CHECK_INT(cws_op_status(op, &t->err), CWS_ERR_CANCELLED);
                    CHECK(!cws_op_take_snapshots(op) && !cws_op_take_runners(op) &&
                          !cws_op_take_profiles(op) && !cws_op_take_snapshot(op) &&
                          !cws_op_take_runner(op) && !cws_op_take_profile(op));
                }
                cws_op_free(op);
            }
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
    }
    BOTH_ONCE("the sandbox is freed under a snapshot of it, which ends all the same") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list;
        cws_op *op;
        sn_made(t, "fs-1", "READY")->delay = 100;
        CHECK_INT(cws_snapshot_create_begin(sb, NULL, &op, &t->err), CWS_OK);
        api_drop(t, sb);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        list = sn_take_snapshot(op);
        cws_op_free(op);
        CHECK_STR(sn_ids(list), "fs-1");
    }
    BOTH("a list outlives client and session") {
        cws_snapshots *list = NULL;
        cws_runners *runners = NULL;
        nw_ok(t, LIST, SNAPS(t));
        nw_ok(t, RUNNERS, "{'runners':[" RUNNER_ID("a") "]}");
        CHECK_INT(sn_find(t, NULL, &list), CWS_OK);
        CHECK_INT(sn_runners(t, NULL, &runners), CWS_OK);
        cws_session_free(t->session);
        cws_client_free(t->client);
        t->session = NULL;
        t->client = NULL;
        CHECK_STR(sn_ids(list), "a b c");
        CHECK_STR(sn_runner_ids(runners), "a");
        CHECK_INT(t->s.closes, 1);
    }
    BOTH_STREAMING("the client is freed under everything: all end, nothing is left") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_op *op[13];
        int i;
        sn_answers(t, true);
        for (i = 0; i < 13; i++) op[i] = sn_begin(t, sb, i);
        CHECK_INT(cws_client_poll(t->client, 0.01, NULL), CWS_OK);
        cws_session_free(t->session);
        cws_client_free(t->client);
        for (i = 0; i < 13; i++) {
            if (!op[i]) continue;
            CHECK(cws_op_done(op[i]));
            CHECK(cws_op_status(op[i], &t->err) != CWS_OK);
            CHECK(!cws_op_take_snapshots(op[i]) && !cws_op_take_snapshot(op[i]));
            cws_op_free(op[i]);
        }
        CHECK(cws_snapshot_create(sb, NULL, NULL, &t->err) == CWS_ERR_CLOSED);
        api_drop(t, sb);
        t->session = NULL;
        t->client = NULL;
    }
    BOTH_STREAMING("in a callback nothing blocks, and everything can be begun") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        sn_inside in = {t, sb, 0};
        cws_op *op;
        sn_answers(t, false);
        CHECK_INT(cws_snapshot_list_begin(t->client, NULL, &op, &t->err), CWS_OK);
        cws_op_on_done(op, sn_callback, &in);
        while (!in.calls) CHECK_INT(cws_client_poll(t->client, 1, NULL), CWS_OK);
        CHECK_INT(in.calls, 1);
        sn_release(t, op);
    }
    BOTH_STREAMING("everything at once") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_op *op[8];
        int i;
        sn_made(t, "fs-1", "READY")->times = -1;
        sn_answers(t, false);
        for (i = 0; i < 8; i++) op[i] = sn_begin(t, sb, i);
        CHECK_INT(cws_wait_many(op, 8, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        for (i = 0; i < 8; i++) {
            cws_status status = cws_op_status(op[i], &t->err);
            if (t->s.b2 && i == 3) CHECK_INT(status, CWS_ERR_SNAPSHOT); /* success=false */
            else CHECK_INT(status, CWS_OK);
            cws_op_free(op[i]);
        }
    }
}

static void sn_test_hostile(void)
{
    BOTH("hostile: a page with a hundred thousand empty snapshots, or runners with long lists") {
        cws_snapshots *list = NULL;
        cws_runners *runners = NULL;
        const size_t many = 100000;
        char *body = (char *)malloc(2 * many + 10);
        size_t i, n = 0;
        for (i = 0; i < many; i++) {
            body[2 * i] = 0x0a; /* field 1, a message */
            body[2 * i + 1] = 0;
        }
        script_raw(&t->s, LIST, 200, "application/proto", body, 2 * many);
        CHECK_INT(sn_find(t, NULL, &list), CWS_OK);
        CHECK_INT(cws_snapshots_count(list), many);
        CHECK_STR(cws_snapshots_at(list, many - 1)->snapshot_id, "");
        cws_snapshots_free(list);
        /* one runner with as many tags, each empty: field 3 */
        body[n++] = 0x0a;
        body[n++] = (char)(0x80 | (20000 & 0x7f));
        body[n++] = (char)(0x80 | (20000 >> 7 & 0x7f));
        body[n++] = (char)(20000 >> 14);
        for (i = 0; i < 10000; i++) {
            body[n++] = 0x1a;
            body[n++] = 0;
        }
        script_raw(&t->s, RUNNERS, 200, "application/proto", body, n);
        CHECK_INT(sn_runners(t, NULL, &runners), CWS_OK);
        for (i = 0; cws_runners_at(runners, 0)->tags[i]; i++) {}
        CHECK_INT(i, 10000);
        cws_runners_free(runners);
        free(body);
    }
    BOTH("hostile: too much for the memory limit is an error, and nothing is left") {
        cws_snapshots *list = NULL;
        const size_t many = 200000;
        char *body = (char *)malloc(2 * many);
        size_t i;
        t->copts.max_memory_bytes = 3000000;
        for (i = 0; i < many; i++) {
            body[2 * i] = 0x0a;
            body[2 * i + 1] = 0;
        }
        script_raw(&t->s, LIST, 200, "application/proto", body, 2 * many);
        CHECK_INT(sn_find(t, NULL, &list), CWS_ERR_NO_MEMORY);
        CHECK(!list);
        free(body);
    }
    BOTH("hostile: cut, mixed up, and not UTF-8") {
        static const char *const bodies[] = {"\x0a\x05zz", "\x0a", "\xff\xff\xff", "\x08\x01",
                                             "\x0a\x03\x0a\x01\xff", "\x12\x02\xc3\x28"};
        cws_snapshots *list = NULL;
        cws_runners *runners = NULL;
        size_t i;
        for (i = 0; i < CWSI_COUNT(bodies); i++) {
            cws_status status;
            script_raw(&t->s, LIST, 200, "application/proto", bodies[i], strlen(bodies[i]));
            status = sn_find(t, NULL, &list);
            CHECK(status == CWS_ERR_PROTOCOL || status == CWS_OK);
            if (!status) cws_snapshots_free(list);
            script_raw(&t->s, RUNNERS, 200, "application/proto", bodies[i], strlen(bodies[i]));
            status = sn_runners(t, NULL, &runners);
            CHECK(status == CWS_ERR_DISCOVERY || status == CWS_OK);
            if (!status) cws_runners_free(runners);
        }
    }
    BOTH("hostile: times that can not be are unknown") {
        cws_snapshots *list = NULL;
        /* created: seconds 2^62 */
        static const char v1[] = "\x0a\x01x\x3a\x0a\x08\x80\x80\x80\x80\x80\x80\x80\x80\x40";
        static const char b2[] = "\x0a\x01x\x2a\x0a\x08\x80\x80\x80\x80\x80\x80\x80\x80\x40";
        script_raw(&t->s, LOOK, 200, "application/proto", t->s.b2 ? b2 : v1, sizeof(v1) - 1);
        CHECK_INT(sn_get(t, "x", &list), CWS_OK);
        CHECK_STR(sn_snapshots(list), "x,0,,0,,,0,,,0,0,0");
    }
    V1_EACH("hostile: a snapshot that changes its id while it is awaited; one that is being "
            "deleted") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list = NULL;
        cws_snapshot_opts o = {.timeout_seconds = 5};
        sn_made(t, "fs-1", "CREATING")->times = 2;
        sn_seen(t, "other", "CREATING", "");
        sn_seen(t, "other", "READY", "");
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_OK);
        IS(LOOK, 1, "{'fileSystemSnapshotId':'fs-1'}"); /* the first one is asked for */
        cws_snapshots_free(list);
        sn_seen(t, "fs-1", "DELETING", "")->times = -1;
        CHECK(cws_status_is(sn_create(t, sb, &o, &list), CWS_ERR_SANDBOX));
        CHECK(!list);
    }
    V1_EACH("hostile: more snapshots than volumes") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_stop_opts o = {.snapshot_on_stop = true, .no_wait_for_ready = true};
        sn_stopped(t, "a','b','c','d','e");
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        CHECK_STR(TAKEN(sb), "a+b+c+d+e");
    }
}

/* ---- memory that is not there ---------------------------------------------------------------- */

enum { JOB_CREATE, JOB_STOP, JOB_RUNNERS, JOB_CONTAINERS, JOB_COUNT };

/* The answers that a job needs. */
static void sn_job_script(api *t, int job)
{
    if (job == JOB_CREATE) {
        sn_made(t, "fs-1", "CREATING")->times = -1;
        if (!t->s.b2) sn_seen(t, "fs-1", "READY", "")->times = -1;
    } else if (job == JOB_STOP) {
        sn_stopped(t, "fs-1")->times = -1;
        if (!t->s.b2) sn_seen(t, "fs-1", "READY", "")->times = -1;
        nw_state(t, "COMPLETED")->times = -1;
    } else if (job == JOB_RUNNERS && t->s.b2) {
        nw_ok(t, RUNNERS, "{'runners':[" RUNNER_ID("a") "," RUNNER_ID("b") "]}")->times = -1;
        nw_ok(t, "ListProfiles", "{'profiles':[" PROFILE("p", "a", "pub", "x") ","
                                 PROFILE("q", "a", "y", "net") "]}")->times = -1;
    } else if (job == JOB_RUNNERS) {
        nw_ok(t, RUNNERS, "{'runners':[" RUNNER_FREE("a", "1", "1", "1") "]}")->times = -1;
    } else {
        nw_ok(t, CREATE, nw_box(t, "RUNNING"))->times = -1;
    }
}

/* Do a job; what is wrong with a success is checked. */
static cws_status sn_job(api *t, cws_sandbox *sb, int job)
{
    static const cws_stop_opts stop = {.snapshot_on_stop = true, .request_id = "tok"};
    static const cws_snapshot_opts create = {.request_id = "tok"};
    cws_container c = {.name = "c", .image = "i",
                       .mounts = MOUNTS({.volume = "workspace", .mount_path = "/s"}),
                       .mount_count = 1};
    cws_file_system f = {.mount_path = "/w"};
    cws_sandbox_opts o = {.containers = &c, .container_count = 1, .file_system = &f};
    cws_runner_list_opts find = {.min_available_cpu_millicores = 1};
    cws_snapshots *list = NULL;
    cws_runners *runners = NULL;
    cws_sandbox *made = NULL;
    cws_status status;
    if (t->s.b2) {
        memset(&find, 0, sizeof(find));
        find.service_exposure_mode = "pub";
        find.egress_mode = "net";
        o.container_count = 0;
        o.containers = NULL;
    }
    switch (job) {
    case JOB_CREATE:
        status = sn_create(t, sb, &create, &list);
        if (!status) CHECK_STR(sn_ids(list), "fs-1");
        return status;
    case JOB_STOP:
        status = api_stop(t, sb, &stop);
        if (!status) CHECK_STR(TAKEN(sb), "fs-1");
        return status;
    case JOB_RUNNERS:
        status = sn_runners(t, &find, &runners);
        if (!status) CHECK_STR(sn_runner_ids(runners), "a");
        return status;
    default:
        status = cws_session_sandbox(t->session, &o, &made, &t->err);
        if (status) return status;
        CHECK_INT(cws_sandbox_last_info(made)->volume_count, 1);
        status = api_start(t, made);
        cws_sandbox_free(made);
        return status;
    }
}

/* One allocation of a job fails, or all from it on. False: it had so many only. */
static bool sn_point(int mode, int b2, int job, long at, bool persistent)
{
    bool failed = false;
    api *t = nw_new((size_t)mode, b2 != 0);
    cws_sandbox *sb = nw_scratch(t, NULL);
    cws_status status;
    sn_job_script(t, job);
    test_alloc_fail_at(at, persistent);
    status = sn_job(t, sb, job);
    failed = test_alloc_failed();
    test_alloc_fail_at(-1, false);
    if (!CHECK(status == CWS_OK || (failed && status == CWS_ERR_NO_MEMORY)))
        printf("    job %d, allocation %ld: %s, %s\n", job, at, cws_status_name(status),
               t->err.message);
    if (status) CHECK_INT(t->err.status, status);
    if (status && job == JOB_STOP) {
        status = sn_job(t, sb, job); /* the ids may be lost */
        CHECK(status == CWS_OK || status == CWS_ERR_SNAPSHOT_CONFLICT);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
    } else if (status) {
        CHECK_INT(sn_job(t, sb, job), CWS_OK);
    }
    (void)api_end(t);
    return failed;
}

static void sn_test_memory(void)
{
    static const char *const names[] = {"snapshot with wait", "stop with snapshot",
                                        "runners by mode", "containers"};
    int job, mode, b2;
    for (job = 0; job < JOB_COUNT; job++)
        for (b2 = 0; b2 < 2; b2++)
            for (mode = 0; mode < API_MODES; mode++) {
                char name[100];
                (void)snprintf(name, sizeof(name), "each allocation fails, once or from it on: %s",
                               names[job]);
                TEST(nw_name(b2 ? "v1beta2" : "v1", name, (size_t)mode)) {
                    long at = 0;
                    while (sn_point(mode, b2, job, at, false) && at < 5000) at++;
                    CHECK(at > 10 && at < 5000);
                    for (at = 0; sn_point(mode, b2, job, at, true) && at < 5000;) at++;
                    CHECK(at > 10 && at < 5000);
                }
            }
}

static void sn_test_single(void)
{
    BOTH_ONCE("a get gives one object, which outlives the client and is freed alone") {
        cws_snapshot *one = NULL;
        cws_snapshots *list = NULL;
        const cws_snapshot *borrowed;
        sn_seen(t, "fs-1", "READY", "");
        CHECK_INT(cws_snapshot_get(api_client(t), "fs-1", &one, &t->err), CWS_OK);
        if (CHECK(one != NULL)) CHECK_STR(one->snapshot_id, "fs-1");
        cws_snapshot_free(one);
        cws_snapshot_free(NULL);
        cws_runner_free(NULL);
        cws_profile_free(NULL);
        nw_ok(t, LIST, "{'fileSystemSnapshots':[{'fileSystemSnapshotId':'a'}]}");
        CHECK_INT(cws_snapshot_list(t->client, NULL, &list, &t->err), CWS_OK);
        borrowed = cws_snapshots_at(list, 0);
        CHECK(borrowed && !borrowed->owner); /* of a list: not freed alone */
        cws_snapshots_free(list);
    }
    BOTH("a reply that does not say what it is about is no success") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        cws_snapshots *list = NULL;
        cws_runners *runners = NULL;
        cws_profiles *profiles = NULL;
        nw_ok(t, LOOK, "{}");
        CHECK_INT(sn_get(t, "x", &list), CWS_ERR_PROTOCOL);
        HAS(t->err.message, "no id");
        nw_ok(t, "GetAvailableRunner", "{}");
        CHECK(sn_runner(t, "r", "o", &runners) != CWS_OK);
        HAS(t->err.message, "no id");
        if (t->s.b2) {
            nw_ok(t, "GetProfile", "{}");
            CHECK(sn_profile(t, "p", NULL, &profiles) != CWS_OK);
            HAS(t->err.message, "no id");
        }
        nw_ok(t, MAKE, t->s.b2 ? "{'success':true}" : "{}");
        CHECK_INT(sn_create(t, sb, NULL, &list), CWS_ERR_PROTOCOL);
        CHECK(!list && !runners && !profiles);
    }
    BOTH_ONCE("a list for the sandbox \"\" is refused: it must not mean all") {
        cws_snapshot_list_opts o;
        cws_snapshots *list = NULL;
        memset(&o, 0, sizeof(o));
        o.source_sandbox_id = "";
        CHECK_INT(cws_snapshot_list(api_client(t), &o, &list, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "source_sandbox_id");
        CHECK(!list);
        CHECK_INT(t->s.call_count, 0);
    }
}

int main(int argc, char **argv)
{
    test_init(argc, argv);
    sn_test_single();
    sn_test_create();
    sn_test_get();
    sn_test_list();
    sn_test_bucket();
    sn_test_stop();
    sn_test_conflict();
    sn_test_runners();
    sn_test_profiles();
    sn_test_volumes();
    sn_test_handles();
    sn_test_hostile();
    sn_test_memory();
    return test_summary();
}
