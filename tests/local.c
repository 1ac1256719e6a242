/* SPDX-License-Identifier: MIT
 *
 * Calls of the local backend, with requests and answers as JSON, without the library's own calls:
 * volumes and snapshots, discovery, several containers, pause and resume. Everything runs with
 * namespaces, if there are any, and without. At the end commands with a working directory, which
 * need a real shell. Usage:
 *
 *     local [part of a test's name]
 */
#define _GNU_SOURCE
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "local_transport.h"

#include "decode_json.h"
#include "test.h"

#include <time.h>

typedef struct exchange {
    cws_exchange base; /* first: the transport knows the exchange by this */
    void *handle;
    cwsi_rpc_id id;
    cwsi_buf request, body;
    int status;
    bool open, ended;
    char text[65536]; /* the answer, once ended: JSON, or "code REASON: message [field]" */
} exchange;

static cws_transport local;
static cwsi_mem mem = {{test_resize, NULL}, 0, 0, SIZE_MAX, 0};
static exchange slots[4]; /* what is said stays readable for some calls */

static void on_head(cws_exchange *base, int status, int http_major, const cws_header *headers,
                    size_t n)
{
    (void)http_major, (void)headers, (void)n;
    ((exchange *)base)->status = status;
}

static bool on_data(cws_exchange *base, const void *data, size_t size)
{
    return cwsi_put(&((exchange *)base)->body, data, size);
}

static void on_writable(cws_exchange *base) { (void)base; }

static void on_note(cws_exchange *base, int32_t code, const char *text)
{
    (void)base;
    printf("    note %d %s\n", (int)code, text);
}

static void on_end(cws_exchange *base, cws_end end)
{
    CHECK_INT(end, CWS_END_OK);
    ((exchange *)base)->ended = true;
}

static const cwsi_events events = {on_head, on_data, on_writable, on_note, on_end, NULL};

static void read_error(exchange *x, cwsi_arena *arena, cwsi_str body)
{
    cwsi_verdict verdict;
    cws_error err;
    size_t i, n;
    const char *field, *why;
    memset(&err, 0, sizeof err);
    cwsi_read_error_body(arena, x->status, "application/json", body, &verdict);
    CHECK(cwsi_read_details(&err, arena, verdict.details));
    n = (size_t)snprintf(x->text, sizeof x->text, "%s %s: %.*s", cwsi_code_names[verdict.code],
                         err.reason, (int)verdict.message.len, verdict.message.at);
    for (i = 0; cws_error_violation_at(&err, i, &field, &why); i++)
        n += (size_t)snprintf(x->text + n, sizeof x->text - n, " [%s]", field);
}

/* Begin a call such as v1.SandboxService/GetSandbox; the request is JSON with ' for ". */
static exchange *begin(const char *rpc, const char *format, ...)
{
    static unsigned turn;
    exchange *x;
    cws_header headers[2] = {{"content-type", "application/proto"},
                             {"connect-protocol-version", "1"}};
    cws_http_request request;
    cwsi_arena arena;
    char json[4096], url[200];
    void *msg;
    va_list args;
    while (slots[turn++ % 4].open) {}
    x = &slots[(turn - 1) % 4];
    va_start(args, format);
    vsnprintf(json, sizeof json, format, args);
    va_end(args);
    (void)test_quotes(json);
    memset(x, 0, sizeof *x);
    memset(&request, 0, sizeof request);
    x->base.events = &events;
    x->open = true;
    snprintf(url, sizeof url, "http://localhost/coreweave.sandbox.%s", rpc);
    while (x->id < CWSI_RPC_COUNT && strcmp(cwsi_rpc_at(x->id)->path, url + 16) != 0)
        x->id = (cwsi_rpc_id)(x->id + 1);
    if (x->id == CWSI_RPC_COUNT) printf("no call %s\n", rpc), abort();
    cwsi_arena_init(&arena, &mem);
    cwsi_buf_init(&x->request, &mem, SIZE_MAX / 4);
    cwsi_buf_init(&x->body, &mem, SIZE_MAX / 4);
    if (cwsi_decode_json(&arena, cwsi_rpc_at(x->id)->request, cwsi_str_of(json), &msg) ||
        cwsi_encode(&x->request, cwsi_rpc_at(x->id)->request, msg))
        printf("bad request %s\n", json), abort();
    request.method = "POST";
    request.url = url;
    request.headers = headers;
    request.header_count = 2;
    request.body = x->request.at;
    request.body_size = x->request.len;
    request.timeout_ms = 60000;
    if (local.open(local.user, &request, &x->base, &x->handle)) abort();
    cwsi_arena_clear(&arena);
    return x;
}

static const char *end(exchange *x)
{
    cwsi_arena arena;
    cwsi_buf json;
    cwsi_str body;
    void *msg;
    while (!x->ended) if (local.poll(local.user, 10000)) abort();
    local.cancel(local.user, x->handle);
    x->open = false;
    cwsi_arena_init(&arena, &mem);
    cwsi_buf_init(&json, &mem, SIZE_MAX / 4);
    body.at = x->body.at, body.len = x->body.len;
    if (x->status != 200) read_error(x, &arena, body);
    else if (!CHECK_INT(cwsi_decode(&arena, cwsi_rpc_at(x->id)->response, body, &msg), CWS_OK) ||
             !CHECK_INT(cwsi_encode_json(&json, &arena, cwsi_rpc_at(x->id)->response, msg, false),
                        CWS_OK))
        abort();
    else snprintf(x->text, sizeof x->text, "%.*s", (int)json.len, json.at);
    cwsi_buf_free(&json);
    cwsi_buf_free(&x->body);
    cwsi_buf_free(&x->request);
    cwsi_arena_clear(&arena);
    return x->text;
}

#define SAY(...) end(begin(__VA_ARGS__))
#define V1(call) "v1.SandboxService/" call
#define B2(call) "v1beta2.GatewayService/" call

/* Does the answer contain that, with ' for "? */
static bool has(const char *answer, const char *part)
{
    char text[1000];
    snprintf(text, sizeof text, "%s", part);
    (void)test_quotes(text);
    if (strstr(answer, text)) return true;
    printf("    no %s in\n    %s\n", part, answer);
    return false;
}

#define HAS(answer, part) CHECK(has(answer, part))

/* The first member of that name, a string or number; "" if there is none. */
static const char *member(const char *answer, const char *name)
{
    static char value[8][200];
    static unsigned turn;
    char key[100];
    char *out = value[turn++ % 8];
    const char *at;
    snprintf(key, sizeof key, "\"%s\":", name);
    at = strstr(answer, key);
    at = at ? at + strlen(key) : "";
    at += *at == '"';
    snprintf(out, sizeof value[0], "%.*s", (int)strcspn(at, "\",}]"), at);
    return out;
}

static int count(const char *answer, const char *part)
{
    int n = 0;
    while ((answer = strstr(answer, part)) != NULL) n++, answer++;
    return n;
}

/* --- Sandboxes -------------------------------------------------------------------------------- */

/* Is the sandbox in that state? */
static bool is(const char *answer, const char *state)
{
    char text[80];
    snprintf(text, sizeof text, "\"status\":{\"state\":\"%s\"", state);
    return strstr(answer, text) != NULL;
}

/* Poll until Get shows one of two states; returns the answer. */
static const char *until(const char *id, const char *state, const char *other)
{
    const char *answer = "";
    int round;
    for (round = 0; round < 2000; round++) {
        answer = SAY(V1("GetSandbox"), "{'sandboxId':'%s'}", id);
        if (is(answer, state) || is(answer, other)) break;
        (void)local.poll(local.user, 5);
    }
    return answer;
}

/* A sandbox of v1 with these members of its spec and of its container, once it runs. */
static const char *create(const char *spec, const char *container)
{
    const char *answer = SAY(V1("CreateSandbox"),
                             "{'sandbox':{'spec':{'containers':[{'name':'main','image':'x'%s}]%s}"
                             "}}", container, spec);
    const char *id = member(answer, "sandboxId");
    HAS(answer, "'sandboxId'");
    if (*id) HAS(until(id, "STATE_RUNNING", "STATE_FAILED"), "'state':'STATE_RUNNING'");
    return id;
}

#define ONE_VOLUME ",'volumes':[{'name':'data'}]"
#define ONE_MOUNT ",'volumeMounts':[{'volume':'data','mountPath':'/workspace/data'}]"

static int sh(const char *id, const char *script)
{
    const char *answer = SAY(V1("Exec"), "{'sandboxId':'%s','command':['/bin/sh','-c','%s']}", id,
                             script);
    if (strncmp(answer, "{", 1) != 0) printf("    %s\n", answer);
    return answer[0] == '{' ? atoi(member(answer, "exitCode")) : -1;
}

static void stop(const char *id)
{
    HAS(SAY(V1("DeleteSandbox"), "{'sandboxId':'%s'}", id), "TERMINATING");
    HAS(until(id, "STATE_COMPLETED", "STATE_FAILED"), "COMPLETED");
}

/* Poll until a snapshot is no longer CREATING. */
static const char *settled(const char *id)
{
    const char *answer = "";
    int round;
    for (round = 0; round < 2000; round++) {
        answer = SAY(V1("GetFileSystemSnapshot"), "{'fileSystemSnapshotId':'%s'}", id);
        if (!strstr(answer, "_CREATING")) break;
        (void)local.poll(local.user, 5);
    }
    return answer;
}

#define SNAPSHOT_ID "fileSystemSnapshotId"

static void test_volumes(void)
{
    bool isolated = cws_local_isolated(&local);
    char id[64], snap[64];
    const char *answer;
    TEST("a scratch volume is a directory at its mount path, for commands and for file calls") {
        snprintf(id, sizeof id, "%s", create(ONE_VOLUME, ONE_MOUNT));
        CHECK_INT(sh(id, "test -d data && echo one > data/one"), 0);
        HAS(SAY(V1("ReadFile"), "{'sandboxId':'%s','path':'/workspace/data/one'}", id), "b25lCg==");
        HAS(SAY(V1("WriteFile"), "{'sandboxId':'%s','path':'/workspace/data/two','content':'Mg=='}",
                id), "{}");
        CHECK_INT(sh(id, "test $(cat data/two) = 2"), 0);
        stop(id);
    }
    TEST("a snapshot is CREATING, then READY, and fills volumes of other sandboxes") {
        snprintf(id, sizeof id, "%s", create(ONE_VOLUME, ONE_MOUNT));
        CHECK_INT(sh(id, "mkdir -p data/sub && echo one > data/sub/.one && chmod 600 data/sub/.one "
                         "&& ln -s sub/.one data/link && printf 12345 > data/five"), 0);
        answer = SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s','requestId':'r1'}", id);
        HAS(answer, "'state':'SNAPSHOT_STATE_CREATING'");
        HAS(answer, "'trigger':'SNAPSHOT_TRIGGER_MANUAL'");
        HAS(answer, "'sourceVolumeName':'data'");
        HAS(answer, "'requestId':'r1'");
        CHECK_STR(member(answer, "sourceSandboxId"), id);
        snprintf(snap, sizeof snap, "%s", member(answer, SNAPSHOT_ID));
        answer = settled(snap);
        HAS(answer, "'state':'SNAPSHOT_STATE_READY'");
        HAS(answer, "'sizeBytes':'9'");
        HAS(answer, "'completeTime':");
        answer = SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s','requestId':'r1'}", id);
        CHECK_STR(member(answer, SNAPSHOT_ID), snap);
        HAS(SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s','requestId':'r1',"
                "'scratchVolumeName':'other'}", id),
            "failed_precondition CWSANDBOX_INVALID_REQUEST");
        stop(id);
        {
            char spec[300];
            snprintf(spec, sizeof spec, ",'volumes':[{'name':'copy','scratch':"
                     "{'restoreFromSnapshotId':'%s'}},{'name':'none'}]", snap);
            snprintf(id, sizeof id, "%s",
                     create(spec, ",'volumeMounts':[{'volume':'copy','mountPath':'/home/c'}],"
                                  "'files':[{'path':'/home/c/file','content':'aGk='}],"
                                  "'workingDir':'/home/c'"));
        }
        CHECK_INT(sh(id, "test $(cat link) = one && test $(cat five) = 12345 && "
                         "test $(cat file) = hi && test $(stat -c %a sub/.one) = 600"), 0);
        HAS(SAY(V1("DeleteFileSystemSnapshot"), "{'fileSystemSnapshotId':'%s'}", snap),
            "SNAPSHOT_STATE_DELETING");
        HAS(SAY(V1("GetFileSystemSnapshot"), "{'fileSystemSnapshotId':'%s'}", snap),
            "not_found CWSANDBOX_FSS_NOT_FOUND");
        CHECK_INT(sh(id, "test -e five"), 0);
        stop(id);
    }
    TEST("volumes can be mounted anywhere, more than once, in part and read-only") {
        if (!isolated) {
            HAS(SAY(V1("CreateSandbox"), "{'sandbox':{'spec':{'containers':[{'name':'main','image':"
                    "'x','volumeMounts':[{'volume':'data','mountPath':'/data','readOnly':true}]}]"
                    ONE_VOLUME "}}}"), "unimplemented CWSANDBOX_NOT_IMPLEMENTED");
            break;
        }
        snprintf(id, sizeof id, "%s",
                 create(ONE_VOLUME, ",'volumeMounts':["
                                    "{'volume':'data','mountPath':'/mnt/a/b'},"
                                    "{'volume':'data','mountPath':'/mnt/a/b/ro','readOnly':true},"
                                    "{'volume':'data','mountPath':'/usr/share/zz','subPath':'x/y'},"
                                    "{'volume':'data','mountPath':'/srv'}]"));
        CHECK_INT(sh(id, "echo 1 > /usr/share/zz/one && cat /mnt/a/b/x/y/one /srv/x/y/one "
                         "/mnt/a/b/ro/x/y/one && ls /usr/share | grep -q -v zz"), 0);
        CHECK_INT(sh(id, "! echo 2 > /mnt/a/b/ro/x/y/one && test -d /usr/bin"), 0);
        stop(id);
    }
    TEST("what is wrong with volumes is refused") {
        static const char *const cases[][3] = {
            {",'volumes':[{'name':'v','volumeId':'vol-1'}]", "",
             "not_found CWSANDBOX_VOLUME_NOT_FOUND"},
            {",'volumes':[{'name':'v'},{'name':'v'}]", "", "[sandbox.spec.volumes]"},
            {",'volumes':[{'name':''}]", "", "[sandbox.spec.volumes]"},
            {",'volumes':[{'name':'v','scratch':{'medium':'STORAGE_MEDIUM_MEMORY'}}]", "",
             "needs a size"},
            {",'volumes':[{'name':'v','scratch':{'size':'5%%'}}]", "", "percentage"},
            {",'volumes':[{'name':'v','scratch':{'restoreFromSnapshotId':'no'}}]", "",
             "not_found CWSANDBOX_FSS_NOT_FOUND"},
            {ONE_VOLUME, "{'volume':'other','mountPath':'/x'}", "no such volume"},
            {ONE_VOLUME, "{'volume':'data','mountPath':'x'}", "[sandbox.spec.containers[0].vol"},
            {ONE_VOLUME, "{'volume':'data','mountPath':'/'}", "mount_path must"},
            {ONE_VOLUME, "{'volume':'data','mountPath':'/a/../b'}", "mount_path must"},
            {ONE_VOLUME, "{'volume':'data','mountPath':'/a/'}", "mount_path must"},
            {ONE_VOLUME, "{'volume':'data','mountPath':'/proc/x'}", "mount_path must"},
            {ONE_VOLUME, "{'volume':'data','mountPath':'/x','subPath':'../y'}", "sub_path must"},
            {ONE_VOLUME, "{'volume':'data','mountPath':'/x'},{'volume':'data','mountPath':'/x'}",
             "same mount_path"}};
        size_t i;
        for (i = 0; i < CWSI_COUNT(cases); i++) {
            char spec[300];
            snprintf(spec, sizeof spec, cases[i][0], 0);
            HAS(SAY(V1("CreateSandbox"), "{'sandbox':{'spec':{'containers':[{'name':'main','image':"
                    "'x','volumeMounts':[%s]}]%s}}}", cases[i][1], spec), cases[i][2]);
        }
    }
    TEST("what is wrong with snapshots is refused") {
        snprintf(id, sizeof id, "%s", create("", ""));
        HAS(SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id),
            "failed_precondition CWSANDBOX_FSS_NOT_SUPPORTED");
        HAS(SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'no'}"),
            "not_found CWSANDBOX_SANDBOX_NOT_FOUND");
        HAS(SAY(V1("DeleteSandbox"), "{'sandboxId':'%s','snapshotVolumes':['data']}", id),
            "[snapshot_volumes]");
        stop(id);
        HAS(SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id),
            "failed_precondition CWSANDBOX_SANDBOX_NOT_RUNNING");
        snprintf(id, sizeof id, "%s", create(",'volumes':[{'name':'a'},{'name':'b'}]", ""));
        HAS(SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id),
            "[scratch_volume_name]");
        HAS(SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s','scratchVolumeName':'c'}", id),
            "no such scratch volume");
        HAS(SAY(V1("DeleteSandbox"), "{'sandboxId':'%s','snapshotVolumes':['a','a']}", id),
            "twice the same");
        HAS(SAY(V1("DeleteSandbox"), "{'sandboxId':'%s','snapshotVolumes':['a'],"
                "'gracePeriodSeconds':301}", id), "at most 300");
        HAS(SAY(V1("DeleteFileSystemSnapshot"), "{'fileSystemSnapshotId':'no'}"),
            "not_found CWSANDBOX_FSS_NOT_FOUND");
        HAS(SAY(V1("DeleteFileSystemSnapshot"), "{'fileSystemSnapshotId':'no',"
                "'allowMissing':true}"), "{}");
        HAS(SAY(V1("DeleteFileSystemSnapshot"), "{}"), "is required");
        stop(id);
    }
}

static void test_archives(void)
{
    char id[64], snap[64], other[64];
    const char *answer;
    TEST("a delete takes snapshots of the volumes, in order, before it stops anything") {
        snprintf(id, sizeof id, "%s",
                 create(",'volumes':[{'name':'a'},{'name':'b'}]",
                        ",'volumeMounts':[{'volume':'b','mountPath':'/workspace/b'}],"
                        "'command':'/bin/sh','args':['-c','trap \\'rm -f b/one; exit 3\\' TERM; "
                        "touch b/one; while :; do sleep 0.01; done']"));
        while (sh(id, "test -e b/one") == 1) {}
        answer = SAY(V1("DeleteSandbox"), "{'sandboxId':'%s','snapshotVolumes':['b','a'],"
                     "'requestId':'k','gracePeriodSeconds':20}", id);
        HAS(answer, "'state':'STATE_TERMINATING'");
        HAS(answer, "'fileSystemSnapshotIds':['");
        snprintf(snap, sizeof snap, "%.36s", strstr(answer, "SnapshotIds\":[\"") + 15);
        snprintf(other, sizeof other, "%.36s", strstr(answer, "SnapshotIds\":[\"") + 54);
        HAS(SAY(V1("DeleteSandbox"), "{'sandboxId':'%s','snapshotVolumes':['b','a'],"
                "'requestId':'k','gracePeriodSeconds':20}", id), snap);
        HAS(SAY(V1("DeleteSandbox"), "{'sandboxId':'%s','snapshotVolumes':['a','b'],"
                "'requestId':'k'}", id), "failed_precondition CWSANDBOX_INVALID_REQUEST");
        HAS(SAY(V1("DeleteSandbox"), "{'sandboxId':'%s','snapshotVolumes':['a']}", id),
            "failed_precondition CWSANDBOX_INVALID_REQUEST");
        answer = settled(snap);
        HAS(answer, "'state':'SNAPSHOT_STATE_READY'");
        HAS(answer, "'trigger':'SNAPSHOT_TRIGGER_ON_DELETE'");
        HAS(answer, "'sourceVolumeName':'b'");
        HAS(settled(other), "'sourceVolumeName':'a'");
        answer = until(id, "STATE_COMPLETED", "STATE_FAILED");
        HAS(answer, "COMPLETED");
        HAS(answer, "'exitCode':3");
        {
            char spec[300];
            snprintf(spec, sizeof spec,
                     ",'volumes':[{'name':'data','scratch':{'restoreFromSnapshotId':'%s'}}]", snap);
            snprintf(id, sizeof id, "%s", create(spec, ONE_MOUNT));
        }
        CHECK_INT(sh(id, "test -e data/one"), 0); /* copied before the signal */
        stop(id);
    }
    TEST("lists have pages and know the source") {
        snprintf(id, sizeof id, "%s", create(ONE_VOLUME, ""));
        (void)SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id);
        (void)SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id);
        answer = SAY(V1("ListFileSystemSnapshots"), "{'sourceSandboxId':'%s','pageSize':1}", id);
        CHECK_INT(count(answer, SNAPSHOT_ID), 1);
        snprintf(snap, sizeof snap, "%s", member(answer, SNAPSHOT_ID));
        answer = SAY(V1("ListFileSystemSnapshots"),
                     "{'sourceSandboxId':'%s','pageSize':1,'pageToken':'%s'}", id,
                     member(answer, "nextPageToken"));
        CHECK_INT(count(answer, SNAPSHOT_ID), 1);
        CHECK(strcmp(member(answer, SNAPSHOT_ID), snap) != 0);
        CHECK_STR(member(answer, "nextPageToken"), "");
        CHECK(count(SAY(V1("ListFileSystemSnapshots"), "{}"), SNAPSHOT_ID) >= 4);
        CHECK(count(SAY(B2("ListFileSystemSnapshots"), "{}"), SNAPSHOT_ID) >= 4);
        HAS(SAY(V1("ListFileSystemSnapshots"), "{'pageToken':'x'}"), "[page_token]");
        stop(id);
    }
    TEST("what a test orders comes about, so many times") {
        snprintf(id, sizeof id, "%s",
                 create(ONE_VOLUME,
                        ",'environmentVariables':{'CWSL_TEST_SNAPSHOT':'FAILED@0x2'}"));
        answer = SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id);
        answer = settled(member(answer, SNAPSHOT_ID));
        HAS(answer, "'state':'SNAPSHOT_STATE_FAILED'");
        HAS(answer, "'stateReason':'ordered by the test'");
        {
            char spec[300];
            snprintf(spec, sizeof spec,
                     "{'name':'data','scratch':{'restoreFromSnapshotId':'%s'}}",
                     member(answer, SNAPSHOT_ID));
            HAS(SAY(V1("CreateSandbox"), "{'sandbox':{'spec':{'containers':[{'name':'main','image':"
                    "'x'}],'volumes':[%s]}}}", spec),
                "failed_precondition CWSANDBOX_FSS_NOT_READY");
        }
        answer = SAY(B2("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id);
        HAS(answer, "'errorMessage':'ordered by the test'");
        CHECK(!strstr(answer, "success"));
        HAS(SAY(B2("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id), "'success':true");
        stop(id);
        snprintf(id, sizeof id, "%s",
                 create(ONE_VOLUME, ",'environmentVariables':"
                                    "{'CWSL_TEST_SNAPSHOT':'FSS_BACKEND_THROTTLED@0'}"));
        HAS(SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id),
            "unavailable CWSANDBOX_FSS_BACKEND_THROTTLED");
        HAS(SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id), "_CREATING");
        stop(id);
    }
}

static void test_b2(void)
{
    char id[64], snap[64], again[64];
    const char *answer;
    TEST("v1beta2: a snapshot of the one mount, made, awaited, restored and taken at a stop") {
        answer = SAY(B2("Start"), "{'command':'sleep','args':['1000'],'containerImage':'x',"
                     "'fileSystem':{'mountPath':'/workspace/data'},"
                     "'environmentVariables':{'CWSL_TEST_SNAPSHOT':'READY@200'}}");
        snprintf(id, sizeof id, "%s", member(answer, "sandboxId"));
        HAS(until(id, "STATE_RUNNING", "STATE_FAILED"), "RUNNING");
        CHECK_INT(sh(id, "echo 1 > data/one"), 0);
        answer = SAY(B2("CreateFileSystemSnapshot"), "{'sandboxId':'%s','idempotencyKey':'i',"
                     "'waitForReady':true,'maxTimeoutSeconds':60}", id);
        HAS(answer, "'success':true");
        snprintf(snap, sizeof snap, "%s", member(answer, SNAPSHOT_ID));
        answer = SAY(B2("GetFileSystemSnapshot"), "{'fileSystemSnapshotId':'%s'}", snap);
        HAS(answer, "'status':'FILE_SYSTEM_SNAPSHOT_STATUS_READY'");
        HAS(answer, "'trigger':'FILE_SYSTEM_SNAPSHOT_TRIGGER_MANUAL'");
        HAS(answer, "'idempotencyKey':'i'");
        HAS(answer, "'objectBucket':'cw-managed-local'");
        answer = SAY(B2("Stop"), "{'sandboxId':'%s','fileSystemSnapshotOnStop':true,"
                     "'idempotencyKey':'s','gracefulShutdownSeconds':1}", id);
        HAS(answer, "'success':true");
        snprintf(again, sizeof again, "%s", member(answer, SNAPSHOT_ID));
        HAS(settled(again), "'state':'SNAPSHOT_STATE_READY'");
        answer = SAY(B2("Stop"), "{'sandboxId':'%s','fileSystemSnapshotOnStop':true,"
                     "'idempotencyKey':'s','gracefulShutdownSeconds':1}", id);
        CHECK_STR(member(answer, SNAPSHOT_ID), again);
        HAS(SAY(B2("Stop"), "{'sandboxId':'%s','fileSystemSnapshotOnStop':true}", id),
            "failed_precondition CWSANDBOX_INVALID_REQUEST");
        answer = SAY(B2("Start"), "{'command':'sleep','args':['1000'],'containerImage':'x',"
                     "'fileSystem':{'mountPath':'/home/it','fileSystemSnapshot':"
                     "{'fileSystemSnapshotId':'%s'}}}", again);
        snprintf(id, sizeof id, "%s", member(answer, "sandboxId"));
        HAS(until(id, "STATE_RUNNING", "STATE_FAILED"), "RUNNING");
        HAS(SAY(V1("ReadFile"), "{'sandboxId':'%s','path':'/home/it/one'}", id), "MQo=");
        HAS(SAY(B2("DeleteFileSystemSnapshot"), "{'fileSystemSnapshotId':'%s'}", again),
            "'success':true");
        HAS(SAY(B2("DeleteFileSystemSnapshot"), "{'fileSystemSnapshotId':'%s'}", again),
            "not_found CWSANDBOX_FSS_NOT_FOUND");
        stop(id);
    }
    TEST("v1beta2: a wait has an end, and volumes are not known") {
        answer = SAY(B2("Start"), "{'command':'sleep','args':['1000'],'containerImage':'x',"
                     "'fileSystem':{'mountPath':'/workspace/data'},"
                     "'environmentVariables':{'CWSL_TEST_SNAPSHOT':'READY@60000'}}");
        snprintf(id, sizeof id, "%s", member(answer, "sandboxId"));
        HAS(until(id, "STATE_RUNNING", "STATE_FAILED"), "RUNNING");
        HAS(SAY(B2("CreateFileSystemSnapshot"), "{'sandboxId':'%s','maxTimeoutSeconds':1}", id),
            "deadline_exceeded CWSANDBOX_FSS_WAIT_TIMEOUT");
        HAS(SAY(B2("Start"), "{'command':'a','containerImage':'x','volumes':[{'volumeId':'v'}]}"),
            "not_found CWSANDBOX_VOLUME_NOT_FOUND");
        HAS(SAY(B2("Start"), "{'command':'a','containerImage':'x','fileSystem':{'mountPath':'x'}}"),
            "[file_system.mount_path]");
        stop(id);
    }
    TEST("the bucket can be set and reset in both dialects, and must match at a restore") {
        snprintf(id, sizeof id, "%s", create(ONE_VOLUME, ""));
        answer = SAY(V1("CreateFileSystemSnapshot"), "{'sandboxId':'%s'}", id);
        snprintf(snap, sizeof snap, "%s", member(answer, SNAPSHOT_ID));
        HAS(settled(snap), "'objectBucket':'cw-managed-local'");
        HAS(SAY("v1.SettingsService/GetFileSystemSnapshotBucketConfig", "{}"),
            "'mode':'FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_CW_MANAGED'");
        HAS(SAY("v1.SettingsService/UpdateFileSystemSnapshotBucketConfig",
                "{'fileSystemSnapshotBucketConfig':{'bucketName':'mine'}}"), "[region]");
        answer = SAY("v1.SettingsService/UpdateFileSystemSnapshotBucketConfig",
                     "{'fileSystemSnapshotBucketConfig':{'bucketName':'mine','region':'r'}}");
        HAS(answer, "BRING_YOUR_OWN");
        HAS(answer, "'effectiveBucketName':'mine'");
        answer = SAY("v1.SettingsService/UpdateFileSystemSnapshotBucketConfig",
                     "{'fileSystemSnapshotBucketConfig':{'region':'s'},'updateMask':'region'}");
        HAS(answer, "'bucketName':'mine'");
        HAS(answer, "'region':'s'");
        HAS(SAY("v1.SettingsService/UpdateFileSystemSnapshotBucketConfig",
                "{'fileSystemSnapshotBucketConfig':{},'updateMask':'mode'}"), "[update_mask]");
        HAS(SAY(V1("CreateSandbox"), "{'sandbox':{'spec':{'containers':[{'name':'main','image':'x'}"
                "],'volumes':[{'name':'d','scratch':{'restoreFromSnapshotId':'%s'}}]}}}", snap),
            "failed_precondition CWSANDBOX_FSS_BUCKET_MISMATCH");
        HAS(SAY(B2("GetFileSystemSnapshotBucketConfig"), "{}"), "'region':'s'");
        answer = SAY(B2("SetFileSystemSnapshotBucketConfig"), "{}");
        HAS(answer, "'mode':'FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_CW_MANAGED'");
        CHECK(!strstr(answer, "region"));
        stop(id);
    }
}

/* Exit code of a script in a container. */
static int sh_in(const char *id, const char *container, const char *script)
{
    const char *answer = SAY(V1("Exec"), "{'sandboxId':'%s','container':'%s','command':"
                             "['/bin/sh','-c','%s']}", id, container, script);
    if (answer[0] != '{') printf("    %s\n", answer);
    return answer[0] == '{' ? atoi(member(answer, "exitCode")) : -1;
}

#define TWO(one, other) "{'sandbox':{'spec':{'containers':[{'name':'a','image':'x'" one "},"       \
    "{'name':'b','image':'x'" other "}],'volumes':[{'name':'v'},{'name':'w'}]}}}"

static void test_containers(void)
{
    char id[64];
    const char *answer;
    int i;
    TEST("several containers have their own variables and directories, and share volumes") {
        answer = SAY(V1("CreateSandbox"),
                     TWO(",'environmentVariables':{'WHO':'a'},'volumeMounts':[{'volume':'v',"
                         "'mountPath':'/home/v'}]",
                         ",'primary':true,'environmentVariables':{'WHO':'b'},'workingDir':"
                         "'/home/v','volumeMounts':[{'volume':'v','mountPath':'/home/v'}],"
                         "'files':[{'path':'/home/v/f','content':'aGk='}],'command':'/bin/sh',"
                         "'args':['-c','echo main; while :; do sleep 0.01; done']"));
        snprintf(id, sizeof id, "%s", member(answer, "sandboxId"));
        HAS(until(id, "STATE_RUNNING", "STATE_FAILED"), "{'name':'a','state':'STATE_RUNN");
        CHECK_INT(sh(id, "test $WHO = b && test $(pwd | sed s:.*/::) = v"), 0);
        CHECK_INT(sh_in(id, "a", "test $WHO = a && test $(pwd | sed s:.*/::) = workspace"), 0);
        CHECK_INT(sh_in(id, "a", "test -e ../home/v/f && touch ../home/v/g"), 0);
        CHECK_INT(sh_in(id, "b", "test -e g"), 0);
        HAS(SAY(V1("Exec"), "{'sandboxId':'%s','container':'c','command':['true']}", id),
            "[container]");
        HAS(SAY(V1("ReadFile"), "{'sandboxId':'%s','container':'a','path':'/home/v/f'}", id),
            "aGk=");
        stop(id);
    }
    TEST("a container that is not primary may end, and begins again after a failure") {
        answer = SAY(V1("CreateSandbox"),
                     TWO(",'command':'/bin/sh','args':['-c','echo x >>count; exit 3']",
                         ",'primary':true"));
        snprintf(id, sizeof id, "%s", member(answer, "sandboxId"));
        for (i = 0; i < 2000; i++) {
            answer = SAY(V1("GetSandbox"), "{'sandboxId':'%s'}", id);
            if (strstr(answer, "STATE_FAILED")) break;
            (void)local.poll(local.user, 5);
        }
        HAS(answer, "'name':'a','state':'STATE_FAILED','exitCode':3,'restartCount':6}");
        HAS(answer, "'name':'b','state':'STATE_RUNNING'}");
        CHECK_INT(sh(id, "test $(wc -l <count) = 7"), 0);
        HAS(SAY(V1("Exec"), "{'sandboxId':'%s','container':'a','command':['true']}", id),
            "container a is not running");
        stop(id);
    }
    TEST("what is wrong with several containers is refused") {
        HAS(SAY(V1("CreateSandbox"), TWO("", "")), "exactly one must be primary");
        HAS(SAY(V1("CreateSandbox"), TWO(",'primary':true", ",'args':['x']")),
            "[sandbox.spec.containers[1].args]");
        HAS(SAY(V1("CreateSandbox"), TWO(",'primary':true", ",'volumeMounts':[{'volume':'z',"
                                         "'mountPath':'/z'}]")),
            "[sandbox.spec.containers[1].volume_mounts]");
        HAS(SAY(V1("CreateSandbox"),
                TWO(",'primary':true,'volumeMounts':[{'volume':'v','mountPath':'/home/z'}]",
                    ",'volumeMounts':[{'volume':'w','mountPath':'/home/z'}]")),
            "unimplemented CWSANDBOX_NOT_IMPLEMENTED");
        HAS(SAY(V1("CreateSandbox"), "{'sandbox':{'spec':{'containers':[{'name':'a','image':'x'},"
                "{'name':'a','image':'x','primary':true}]}}}"), "used twice");
    }
}

#define D1(call) "v1.DiscoveryService/" call
#define D2(call) "v1beta2.DiscoveryService/" call

static void test_discovery(void)
{
    const char *answer;
    TEST("v1: there is one runner, with what is free in the full view") {
        answer = SAY(D1("ListAvailableRunners"), "{'pageSize':5}");
        CHECK_INT(count(answer, "runnerId"), 1);
        HAS(answer, "'runnerId':'local'");
        HAS(answer, "'organizationId':'local'");
        HAS(answer, "'healthy':true");
        HAS(answer, "'connectedAt':");
        HAS(answer, "'supportedArchitectures':['");
        HAS(answer, "VISIBILITY_PRIVATE");
        CHECK(!strstr(answer, "availableCpu"));
        HAS(SAY(D1("ListAvailableRunners"), "{'view':'RUNNER_VIEW_FULL'}"), "availableCpuMilli");
        HAS(SAY(D1("ListAvailableRunners"), "{'architecture':'%s','runnerGroupId':'local',"
                "'serviceVisibility':'VISIBILITY_PUBLIC','healthyOnly':true}",
                strstr(answer, "amd64") ? "amd64" : "arm64"), "'runnerId':'local'");
        HAS(SAY(D1("GetAvailableRunner"), "{'runnerId':'local','organizationId':'local'}"),
            "maxCpuMillicores");
    }
    TEST("v1: filters leave it out, and what is unknown is not found") {
        CHECK_STR(SAY(D1("ListAvailableRunners"), "{'gpuType':'H100'}"), "{}");
        CHECK_STR(SAY(D1("ListAvailableRunners"), "{'architecture':'vax'}"), "{}");
        CHECK_STR(SAY(D1("ListAvailableRunners"), "{'runnerGroupId':'x'}"), "{}");
        CHECK_STR(SAY(D1("ListAvailableRunners"), "{'serviceVisibility':'VISIBILITY_CUSTOM'}"),
                  "{}");
        HAS(SAY(D1("ListAvailableRunners"), "{'pageToken':'x'}"), "[page_token]");
        HAS(SAY(D1("ListAvailableRunners"), "{'pageSize':-1}"), "[page_size]");
        HAS(SAY(D1("GetAvailableRunner"), "{'runnerId':'x','organizationId':'local'}"),
            "not_found CWSANDBOX_RUNNER_NOT_FOUND");
        HAS(SAY(D1("GetAvailableRunner"), "{'runnerId':'local','organizationId':'x'}"),
            "not_found CWSANDBOX_RUNNER_NOT_FOUND");
        HAS(SAY(D1("GetAvailableRunner"), "{'runnerId':'local'}"), "[organization_id]");
        HAS(SAY(D1("GetAvailableRunner"), "{'organizationId':'local'}"), "[runner_id]");
    }
    TEST("v1beta2: runners and profiles") {
        answer = SAY(D2("ListAvailableRunners"), "{'view':'RUNNER_VIEW_FULL'}");
        HAS(answer, "'profileNames':['default']");
        HAS(answer, "availableMemoryBytes");
        HAS(answer, "'connectedAt':");
        CHECK_STR(SAY(D2("ListAvailableRunners"), "{'profileName':'x'}"), "{}");
        HAS(SAY(D2("GetAvailableRunner"), "{'runnerId':'local'}"), "supportedArchitectures");
        HAS(SAY(D2("GetAvailableRunner"), "{'runnerId':'x'}"),
            "not_found CWSANDBOX_RUNNER_NOT_FOUND");
        answer = SAY(D2("ListProfiles"), "{}");
        HAS(answer, "'profileName':'default'");
        HAS(answer, "'serviceExposureModes':[{'name':'public'}]");
        HAS(answer, "'egressModes':[{'name':'internet'}]");
        CHECK_STR(SAY(D2("ListProfiles"), "{'gpuType':'H100'}"), "{}");
        CHECK_STR(SAY(D2("ListProfiles"), "{'runnerId':'x'}"), "{}");
        HAS(SAY(D2("ListProfiles"), "{'pageToken':'x'}"), "[page_token]");
        HAS(SAY(D2("GetProfile"), "{'profileName':'default'}"), "supportedArchitectures");
        HAS(SAY(D2("GetProfile"), "{'profileName':'x'}"),
            "not_found CWSANDBOX_PROFILE_NOT_FOUND");
        HAS(SAY(D2("GetProfile"), "{'profileName':'default','runnerId':'x'}"),
            "not_found CWSANDBOX_PROFILE_NOT_FOUND");
    }
}

/* Bytes in the volume of a sandbox, seen from outside. */
static uint64_t size_of(const char *id)
{
    const cwsl_box *box = cwsl_box_find(cwsl_server_of(local.user), cwsi_str_of(id));
    const cwsl_volume *v = box ? (const cwsl_volume *)box->volumes.at : NULL;
    return v ? cwsl_tree_size(open(v->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0) : 0;
}

static void test_pause(void)
{
    char id[64], first[20], snap[64];
    const char *answer;
    exchange *running;
    int i;
    TEST("a paused sandbox stands still and goes on where it was") {
        snprintf(id, sizeof id, "%s",
                 create("", ",'command':'/bin/sh','args':['-c','while :; do echo x >>count; "
                            "sleep 0.01; done']"));
        while (sh(id, "test -e count") == 1) {}
        running = begin(V1("Exec"), "{'sandboxId':'%s','command':['/bin/sh','-c',"
                        "'touch begun; while ! test -e go; do sleep 0.01; done; exit 7']}", id);
        while (sh(id, "test -e begun") == 1) {}
        HAS(SAY(B2("Pause"), "{'sandboxId':'%s'}", id), "'success':true");
        HAS(SAY(V1("GetSandbox"), "{'sandboxId':'%s'}", id), "'state':'STATE_PAUSED'");
        answer = SAY(B2("List"), "{'status':'SANDBOX_STATUS_PAUSED'}");
        CHECK_INT(count(answer, id), 1);
        HAS(SAY(B2("Pause"), "{'sandboxId':'%s'}", id), "'success':true");
        HAS(SAY(V1("Exec"), "{'sandboxId':'%s','command':['true']}", id),
            "failed_precondition CWSANDBOX_SANDBOX_NOT_RUNNING");
        HAS(SAY(V1("ReadFile"), "{'sandboxId':'%s','path':'count'}", id), "is paused");
        for (i = 0; i < 20; i++) (void)local.poll(local.user, 5);
        CHECK(!running->ended);
        HAS(SAY(B2("Resume"), "{'sandboxId':'%s'}", id), "'success':true");
        HAS(SAY(B2("Get"), "{'sandboxId':'%s'}", id), "'SANDBOX_STATUS_RUNNING'");
        HAS(SAY(B2("Resume"), "{'sandboxId':'%s'}", id), "'success':true");
        CHECK_INT(sh(id, "touch go"), 0);
        HAS(end(running), "'exitCode':7");
        stop(id);
        HAS(SAY(B2("Pause"), "{'sandboxId':'%s'}", id), "CWSANDBOX_SANDBOX_NOT_RUNNING");
        HAS(SAY(B2("Resume"), "{'sandboxId':'%s'}", id), "CWSANDBOX_SANDBOX_NOT_RUNNING");
        HAS(SAY(B2("Pause"), "{'sandboxId':'no'}"), "not_found CWSANDBOX_SANDBOX_NOT_FOUND");
        HAS(SAY(B2("Resume"), "{'sandboxId':'no'}"), "not_found CWSANDBOX_SANDBOX_NOT_FOUND");
    }
    TEST("nothing runs while a sandbox is paused") {
        snprintf(id, sizeof id, "%s",
                 create(ONE_VOLUME, ONE_MOUNT ",'command':'/bin/sh','args':['-c','while :; do "
                                              "echo x >>data/count; sleep 0.01; done']"));
        while (sh(id, "test -e data/count") == 1) {}
        for (i = 0; i < 10; i++) (void)local.poll(local.user, 5);
        HAS(SAY(B2("Pause"), "{'sandboxId':'%s'}", id), "'success':true");
        for (i = 0; i < 4; i++) (void)local.poll(local.user, 5);
        snprintf(first, sizeof first, "%llu", (unsigned long long)size_of(id));
        for (i = 0; i < 20; i++) (void)local.poll(local.user, 5);
        CHECK(size_of(id) == strtoull(first, NULL, 10));
        answer = SAY(V1("DeleteSandbox"), "{'sandboxId':'%s','snapshotVolumes':['data'],"
                     "'gracePeriodSeconds':5}", id);
        snprintf(snap, sizeof snap, "%.36s", strstr(answer, "SnapshotIds\":[\"") + 15);
        CHECK_STR(member(settled(snap), "sizeBytes"), first);
        HAS(until(id, "STATE_COMPLETED", "STATE_FAILED"), "COMPLETED");
    }
}

/* ---- with the library's own calls: a session over a transport of its own */

static cws_session *open_session(bool no_namespaces, const char *journal)
{
    static cws_transport transport; /* the client has a copy */
    cws_local_opts opts;
    cws_client_opts copts;
    cws_session_opts sopts;
    cws_session *session = NULL;
    cws_error err;
    memset(&opts, 0, sizeof opts);
    memset(&copts, 0, sizeof copts);
    memset(&sopts, 0, sizeof sopts);
    opts.no_namespaces = no_namespaces;
    copts.transport = &transport;
    copts.base_url = "http://localhost";
    copts.no_environment = true;
    copts.allocator = &test_allocator;
    sopts.client_opts = &copts;
    sopts.journal = journal;
    if (!CHECK_INT(cws_local_transport_open(&opts, &transport, &err), CWS_OK) ||
        !CHECK_INT(cws_session_open(&sopts, &session, &err), CWS_OK))
        puts(err.message), abort();
    return session;
}

/* Run a command; a NUL in its output is shown as a newline. */
static int run(cws_sandbox *box, const char *cwd, const cws_pair *env, const char *const *argv,
               char *out, size_t size)
{
    size_t i, n;
    cws_exec_opts o;
    cws_result *result = NULL;
    cws_error err;
    int code = -1000;
    memset(&o, 0, sizeof o);
    o.cwd = cwd;
    o.environment_variables = env;
    if (!CHECK_INT(cws_exec(box, argv, &o, &result, &err), CWS_OK)) puts(err.message);
    if (result) code = cws_result_exit_code(result);
    n = cws_result_stdout_size(result);
    for (i = 0; i < n && i + 1 < size; i++)
        out[i] = cws_result_stdout(result)[i] ? cws_result_stdout(result)[i] : '\n';
    out[i] = '\0';
    cws_result_free(result);
    return code;
}

/* The same with and without a working directory: exit code, and all of the output. */
static void same(cws_sandbox *box, const char *const *argv, int code)
{
    static char with[200000], without[200000];
    CHECK_INT(run(box, NULL, NULL, argv, without, sizeof without), code);
    CHECK_INT(run(box, "/tmp", NULL, argv, with, sizeof with), code);
    CHECK_STR(with, without);
}

/* Each variable arrives in a command with a working directory. */
static void arrive(cws_sandbox *box, const cws_pair *env)
{
    static const char *const argv[] = {"cat", "/proc/self/environ", NULL};
    static char out[65536];
    char line[300];
    size_t i;
    CHECK_INT(run(box, "/tmp", env, argv, out + 1, sizeof out - 1), 0);
    out[0] = '\n';
    for (i = 0; env[i].key; i++) {
        snprintf(line, sizeof line, "\n%s=%s\n", env[i].key, env[i].value);
        if (!CHECK(strstr(out, line) != NULL)) printf("    %s did not arrive\n", env[i].key);
    }
}

static void test_working_directory(bool no_namespaces)
{
    static char a[50001], q[30001];
    static const char *const three[] = {"/bin/echo", a, a, a, NULL};
    static const char *const quotes[] = {"/bin/echo", q, NULL};
    static const char *const name[] = {"sh", "-c", "cat /proc/$$/cmdline", "it's", "", "$x", "*",
                                       NULL};
    static const char *const code[] = {"sh", "-c", "exit 77", NULL};
    static const char *const killed[] = {"sh", "-c", "kill -TERM $$", NULL};
    static const char *const masks[] = {"grep", "^Sig[BIC]", "/proc/self/status", NULL};
    static const char *const where[] = {"/bin/pwd", NULL};
    static const char *const script[] = {"/bin/sh", "-c", "pwd", NULL};
    static const cws_pair env[] = {
        {"A.B", "1"},     {"A-B", "it's"},  {"1x", ""},       {"BASH_FUNC_f%%", "() { :; }"},
        {"IFS", "x"},     {"OPTIND", "7"},  {"OPTERR", "0"},  {"PPID", "1"},
        {"PS1", "p"},     {"PS2", "q"},     {"PS4", "z"},     {"SHLVL", "33"},
        {"UID", "4"},     {"EUID", "5"},    {"RANDOM", "4"},  {"SECONDS", "5"},
        {"LINENO", "99"}, {"SHELLOPTS", "noexec"},            {"BASH_ENV", "/nowhere"},
        {"ENV", "/x"},    {"PWD", "/q"},    {"OLDPWD", "/r"}, {"plain", "a=b $HOME"},
        {"-i.x", "1"},    {"-u", "2"},
        {"\xc3\xa4", "u"}, {"_", "u"},       {NULL, NULL}};
    static const cws_pair dash[] = {{"-i.x", "1"}, {"a.b", "2"}, {"-u", "3"}, {NULL, NULL}};
    char out[4096];
    cws_session *session = open_session(no_namespaces, NULL);
    cws_sandbox *box;
    cws_error err;
    memset(a, 'a', sizeof a - 1);
    memset(q, '\'', sizeof q - 1);
    if (!CHECK_INT(cws_session_sandbox(session, NULL, &box, &err), CWS_OK)) return;
    TEST("a working directory is where the command begins") {
        CHECK_INT(run(box, "/tmp", NULL, where, out, sizeof out), 0);
        CHECK_STR(out, "/tmp\n");
        CHECK_INT(run(box, "/nowhere/it's", NULL, where, out, sizeof out), 2);
        CHECK_INT(run(box, "/tmp", env, script, out, sizeof out), 0);
        CHECK_STR(out, "/tmp\n");
    }
    TEST("arguments of any size, in sum or with quotes, are the same with a working directory") {
        same(box, three, 0);
        same(box, quotes, 0);
    }
    TEST("argv[0], exit code, signal and masks are the same with a working directory") {
        same(box, name, 0);
        same(box, code, 77);
        same(box, killed, run(box, NULL, NULL, killed, out, sizeof out));
        same(box, masks, 0);
    }
    TEST("variables of any name arrive with a working directory") {
        arrive(box, env);
        arrive(box, dash);
    }
    CHECK_INT(cws_session_close(session, &err), CWS_OK);
    cws_sandbox_free(box);
    cws_session_free(session);
}

/* A tar that archives well, then says this and ends with this code. */
static cws_status download_with(cws_sandbox *box, const char *fake, const char *says, int code,
                                cws_error *err)
{
    static const char *const names[] = {"a", "sub/b"};
    char script[600], out[100], local_dir[] = "/tmp/cwsandbox-test-XXXXXX", path[60];
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    cws_status status;
    int i;
    snprintf(script, sizeof script,
             "mkdir -p %s/dir/sub && cd %s && echo 1 >dir/a && echo 2 >dir/sub/b &&"
             "printf '#!/bin/sh\\n/bin/tar \"$@\"\\n%%s\\nexit %d\\n' 'printf \"%s\" >&2' >tar &&"
             "chmod 755 tar", fake, fake, code, says);
    CHECK_INT(run(box, NULL, NULL, argv, out, sizeof out), 0);
    snprintf(script, sizeof script, "%s/dir", fake);
    if (!mkdtemp(local_dir)) abort();
    status = cws_download_directory(box, script, local_dir, NULL, err);
    for (i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", local_dir, names[i]);
        CHECK(unlink(path) == 0 || status);
    }
    snprintf(path, sizeof path, "%s/sub", local_dir);
    (void)rmdir(path);
    CHECK(rmdir(local_dir) == 0);
    return status;
}

static void test_changing(bool no_namespaces)
{
    static const struct {
        const char *says;
        int code;
        cws_status status;
    } rows[] = {
        {"", 0, CWS_OK},
        {"tar: ./a: some warning\\n", 0, CWS_OK},
        {"tar: ./a: file changed as we read it\\n", 1, CWS_OK},
        {"tar: ./x y*: File removed before we read it\\ntar: ./a: file changed as we read it\\n", 1,
         CWS_OK},
        {"tar: ./s: socket ignored\\ntar: ./a: file changed as we read it\\n", 1, CWS_OK},
        {"", 1, CWS_ERR_FILE},
        {"tar: ./a: file changed as we read it\\n", 2, CWS_ERR_FILE},
        {"tar: ./a: file changed as we read it\\ntar: ./s: Cannot open\\n", 1, CWS_ERR_FILE},
        {"tar: file changed as we read it?\\n", 1, CWS_ERR_FILE}};
    char fake[] = "/tmp/cwsandbox-test-XXXXXX", search[100], out[100];
    const char *clean[] = {"rm", "-rf", fake, NULL};
    cws_pair env[] = {{"PATH", search}, {NULL, NULL}};
    cws_sandbox_opts so;
    cws_session *session = open_session(no_namespaces, NULL);
    cws_sandbox *box;
    cws_error err;
    size_t i;
    memset(&so, 0, sizeof so);
    if (!mkdtemp(fake)) abort();
    snprintf(search, sizeof search, "%s:/usr/bin:/bin", fake);
    so.environment_variables = env;
    if (!CHECK_INT(cws_session_sandbox(session, &so, &box, &err), CWS_OK)) return;
    TEST("a directory that changes while it is read is no failure; what tar can not read is one")
        for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (!CHECK_INT(download_with(box, fake, rows[i].says, rows[i].code, &err),
                           rows[i].status))
                printf("    row %d: %s\n", (int)i, err.message);
    CHECK_INT(run(box, NULL, NULL, clean, out, sizeof out), 0);
    (void)rmdir(fake);
    CHECK_INT(cws_session_close(session, &err), CWS_OK);
    cws_sandbox_free(box);
    cws_session_free(session);
}

/* What a child of fork frees: nothing, the sandbox, all of it, the client without the rest. */
static void child_frees(int how, cws_session *session, cws_sandbox *box, cws_process *p)
{
    if (how == 2) {
        cws_client *client = cws_session_client(session);
        cws_process_free(p); /* what the transport still has */
        if (cws_client_poll(client, 0, NULL) != CWS_ERR_CLOSED) _exit(1);
    }
    if (how > 0 && how < 3) cws_sandbox_free(box);
    if (how >= 2) cws_session_free(session);
    _exit(0);
}

static void test_fork(bool no_namespaces)
{
    static const char *const argv[] = {"/bin/sh", "-c", "sleep 0.5; echo done >d; cat d", NULL};
    char journal[] = "/tmp/cwsandbox-test-XXXXXX";
    int how;
    for (how = 0; how < 4; how++)
        TEST("a child of fork that frees what it inherited does not touch what is its parent's") {
            cws_session *session;
            cws_sandbox *box = NULL;
            cws_process *p = NULL;
            const cws_result *result = NULL;
            cws_error err;
            struct stat st;
            int state = -1, fd;
            pid_t pid;
            memcpy(journal + sizeof journal - 7, "XXXXXX", 6);
            fd = mkstemp(journal);
            close(fd);
            session = open_session(no_namespaces, journal);
            CHECK_INT(cws_session_sandbox(session, NULL, &box, &err), CWS_OK);
            CHECK_INT(cws_sandbox_wait(box, NULL, &err), CWS_OK);
            CHECK_INT(cws_exec_begin(box, argv, NULL, &p, &err), CWS_OK);
            CHECK_INT(cws_client_poll(cws_session_client(session), 0.1, &err), CWS_OK);
            CHECK(stat(journal, &st) == 0);
            fflush(NULL);
            pid = fork();
            if (pid == 0) child_frees(how, session, box, p);
            CHECK(waitpid(pid, &state, 0) == pid && state == 0);
            fd = (int)st.st_size;
            CHECK(stat(journal, &st) == 0 && st.st_size == fd);
            CHECK_INT(cws_process_wait(p, 10, &result, &err), CWS_OK);
            if (result) CHECK_STR(cws_result_stdout(result), "done\n");
            cws_process_free(p);
            CHECK_INT(cws_session_close(session, &err), CWS_OK);
            CHECK(stat(journal, &st) != 0); /* which only the parent may remove */
            cws_sandbox_free(box);
            cws_session_free(session);
        }
}

int main(int argc, char **argv)
{
    cws_local_opts opts;
    cws_error err;
    char root[] = "/tmp/cwsandbox-test-XXXXXX";
    int mode;
    test_init(argc, argv);
    for (mode = 0; mode < 2; mode++) {
        memset(&opts, 0, sizeof opts);
        if (!mkdtemp(root)) return puts("no directory"), 2;
        opts.root = root;
        opts.no_namespaces = mode == 1;
        if (cws_local_transport_open(&opts, &local, &err)) return puts(err.message), 2;
        test_volumes();
        test_archives();
        test_b2();
        test_discovery();
        test_containers();
        test_pause();
        local.close(local.user);
        test_working_directory(mode == 1);
        test_fork(mode == 1);
        test_changing(mode == 1);
        TEST("nothing is left of it") CHECK_INT(rmdir(root), 0);
        memcpy(root + sizeof root - 7, "XXXXXX", 6);
    }
    return test_summary();
}
