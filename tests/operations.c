/* SPDX-License-Identifier: MIT
 *
 * Errors, operations and the loop that moves them, over the scripted transport: callbacks,
 * cancelling and freeing in every state and order, waiting for many. A scenario is written once and
 * runs in several ways, see harness.h. Numbers are those of the lists of test cases that the
 * service's own clients were written against (L: lifecycle, RW: waiting for many). Usage:
 *
 *     operations [part of a test's name]
 */
#include "harness.h"

/* ---- errors ---------------------------------------------------------------------------------- */

static void api_test_error_record(void)
{
    ONCE("an error record is cleared at the start of each call that takes one") {
        cws_sandbox *sb = api_box(t, NULL);
        memset(&t->err, 0x5a, sizeof(t->err));
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->err.status, CWS_OK);
        CHECK_STR(t->err.message, "");
        memset(&t->err, 0x5a, sizeof(t->err));
        CHECK_INT(cws_sandbox_stop(sb, NULL, &t->err), CWS_OK);
        CHECK_STR(t->err.message, "");
        CHECK_INT(t->err.detail_size, 0);
    }
}

static void api_test_errors(void)
{
    ONCE("L58: families of statuses") {
        static const struct {
            cws_status status, family;
            bool is;
        } table[] = {{CWS_ERR_STREAM_TRUNCATED, CWS_ERR_EXECUTION, true},
                     {CWS_ERR_STREAM_BACKPRESSURE, CWS_ERR_SANDBOX, true},
                     {CWS_ERR_TRANSPORT, CWS_ERR_NOT_RUNNING, true},
                     {CWS_ERR_SNAPSHOT_THROTTLED, CWS_ERR_UNAVAILABLE, true},
                     {CWS_ERR_SANDBOX_VALIDATION, CWS_ERR_VALIDATION, true},
                     {CWS_ERR_SANDBOX_VALIDATION, CWS_ERR_SANDBOX, true},
                     {CWS_ERR_AUTHENTICATION, CWS_ERR_SERVICE, true},
                     {CWS_ERR_AUTHENTICATION, CWS_ERR_SANDBOX, false},
                     {CWS_ERR_INVALID_ARGUMENT, CWS_ERR_SERVICE, false},
                     {CWS_ERR_SANDBOX, CWS_ERR_FAILED, false},
                     {CWS_ERR_REQUEST_TIMEOUT, CWS_ERR_TIMEOUT, true},
                     {CWS_OK, CWS_ERR_SERVICE, false},
                     {CWS_OK, CWS_OK, true}};
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
            CHECK(cws_status_is(table[i].status, table[i].family) == table[i].is);
        CHECK_STR(cws_status_name(CWS_ERR_NOT_FOUND), "CWS_ERR_NOT_FOUND");
        CHECK(cws_status_name((cws_status)9999) != NULL && cws_status_text((cws_status)9999));
    }
    EACH("L60: every reason of the service decides the status, whatever the code") {
        static const struct {
            const char *reason;
            cws_status status;
        } table[] = {{"FILE_NOT_FOUND", CWS_ERR_FILE},
                     {"FILE_IS_DIRECTORY", CWS_ERR_FILE},
                     {"FILE_IO_FAILED", CWS_ERR_FILE},
                     {"FILE_PERMISSION_DENIED", CWS_ERR_FILE},
                     {"FILE_TOO_LARGE", CWS_ERR_FILE},
                     {"FILE_TRUNCATED", CWS_ERR_FILE},
                     {"SANDBOX_NOT_FOUND", CWS_ERR_NOT_FOUND},
                     {"COMMAND_TIMEOUT", CWS_ERR_COMMAND_TIMEOUT},
                     {"RUNNER_UNAVAILABLE", CWS_ERR_UNAVAILABLE},
                     {"BACKEND_UNAVAILABLE", CWS_ERR_UNAVAILABLE},
                     {"FSS_NOT_FOUND", CWS_ERR_SNAPSHOT_NOT_FOUND},
                     {"FSS_NOT_READY", CWS_ERR_SNAPSHOT_NOT_READY},
                     {"FSS_NOT_SUPPORTED", CWS_ERR_SNAPSHOT_NOT_SUPPORTED},
                     {"FSS_SIZE_EXCEEDED", CWS_ERR_SNAPSHOT_SIZE_EXCEEDED},
                     {"FSS_QUOTA_EXCEEDED", CWS_ERR_SNAPSHOT_QUOTA_EXCEEDED},
                     {"FSS_BUCKET_MISMATCH", CWS_ERR_SNAPSHOT_BUCKET_MISMATCH},
                     {"FSS_BUCKET_UNAVAILABLE", CWS_ERR_SNAPSHOT},
                     {"FSS_RESTORE_FAILED", CWS_ERR_SNAPSHOT},
                     {"FSS_CREATE_FAILED", CWS_ERR_SNAPSHOT},
                     {"FSS_CREATE_TIMED_OUT", CWS_ERR_SNAPSHOT},
                     {"FSS_AUTH_FAILED", CWS_ERR_SNAPSHOT},
                     {"FSS_TRANSPORT_FAILED", CWS_ERR_SNAPSHOT},
                     {"FSS_CANCELED", CWS_ERR_SNAPSHOT},
                     {"FSS_WAIT_TIMEOUT", CWS_ERR_SNAPSHOT_WAIT_TIMEOUT},
                     {"FSS_BACKEND_THROTTLED", CWS_ERR_SNAPSHOT_THROTTLED},
                     {"FSS_INFLIGHT_LIMIT", CWS_ERR_SNAPSHOT_THROTTLED},
                     {"RUNNER_NOT_FOUND", CWS_OK},
                     {"PROFILE_NOT_FOUND", CWS_OK},
                     {"PLACEMENT_REJECTED", CWS_OK}};
        static const char *const domains[] = {"cwsandbox.com", "example.com", "",
                                              "xcwsandbox.com"};
        size_t i, k;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
            for (k = 0; k < 4; k++) {
                bool counts = k == 0 && table[i].status;
                char reason[64];
                (void)snprintf(reason, sizeof(reason), "CWSANDBOX_%s", table[i].reason);
                script_error(&t->s, "DeleteSandbox", "data_loss", "text",
                             script_reason(&t->s, reason, domains[k]));
                CHECK_INT(api_delete(t, "x", false), counts ? table[i].status : CWS_ERR_SANDBOX);
                CHECK_STR(t->err.reason, reason); /* shown whoever says it */
                CHECK_STR(t->err.domain, domains[k]);
                CHECK_INT(t->err.rpc_code, 15);
                HAS(t->err.message, reason);
                CHECK(t->err.retryable == cws_status_is(t->err.status, CWS_ERR_UNAVAILABLE));
            }
    }
    EACH("L14.3: every code has its status and its words") {
        static const struct {
            const char *code;
            cws_status status;
            const char *text;
        } table[] = {{"canceled", CWS_ERR_NOT_RUNNING, "Delete sandbox was cancelled: txt"},
                     {"unknown", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"invalid_argument", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"deadline_exceeded", CWS_ERR_REQUEST_TIMEOUT,
                      "Delete sandbox timed out: txt"},
                     {"not_found", CWS_ERR_NOT_FOUND, "Sandbox 'x' not found"},
                     {"already_exists", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"permission_denied", CWS_ERR_AUTHENTICATION, "Permission denied: txt"},
                     {"resource_exhausted", CWS_ERR_RESOURCE_EXHAUSTED,
                      "Delete sandbox resource exhausted: txt"},
                     {"failed_precondition", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"aborted", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"out_of_range", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"unimplemented", CWS_ERR_UNIMPLEMENTED, "Delete sandbox failed: txt"},
                     {"internal", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"unavailable", CWS_ERR_UNAVAILABLE, "Service unavailable: txt"},
                     {"data_loss", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"unauthenticated", CWS_ERR_AUTHENTICATION, "Authentication failed: txt"}};
        size_t i;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < 16; i++) {
            script_error(&t->s, "DeleteSandbox", table[i].code, "txt", NULL);
            CHECK_INT(api_delete(t, "x", false), table[i].status);
            CHECK_INT(t->err.status, table[i].status);
            CHECK_INT(t->err.rpc_code, i + 1);
            if (!CHECK(strstr(t->err.message, table[i].text) != NULL))
                printf("    %s\n", t->err.message);
            script_error(&t->s, "DeleteSandbox", table[i].code, "", NULL);
            CHECK_INT(api_delete(t, "x", false), table[i].status);
            CHECK(strlen(t->err.message) > 10);
        }
    }
    EACH_CONNECT("the HTTP status decides where no code came; every row") {
        static const int rows[][2] = {
            {400, 13}, {401, 16}, {403, 7},  {404, 12}, {429, 14}, {502, 14}, {503, 14}, {504, 14},
            {301, 2},  {302, 2},  {307, 2},  {405, 2},  {408, 2},  {409, 2},  {412, 2},  {413, 2},
            {415, 2},  {418, 2},  {431, 2},  {499, 2},  {500, 2},  {501, 2},  {505, 2},  {800, 2},
            {201, 2},  {204, 2},  {206, 2}};
        static const char *const types[] = {"text/html", NULL, "application/json",
                                            "application/proto"};
        size_t i, k;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
            for (k = 0; k < 4; k++) {
                script_raw(&t->s, "DeleteSandbox", rows[i][0], types[k], "<h1>hello</h1>", 14);
                CHECK(api_delete(t, "x", false) != CWS_OK);
                CHECK_INT(t->err.rpc_code, rows[i][1]);
                CHECK_INT(t->err.http_status, rows[i][0]);
                HAS(t->err.message, "hello"); /* a short body helps to see what answered */
            }
    }
    EACH_CONNECT("malformed error bodies fall back to the HTTP status; a bad code keeps the rest") {
        static const char *const bad[] = {"",
                                          "[]",
                                          "\"x\"",
                                          "{",
                                          "{\"code\":\"not_found\"",
                                          "{\"code\":\"not_found\"}x",
                                          "{\"code\":\"not_found\",}",
                                          "null"};
        static const char *const codeless[] = {"\"code\":null,", "\"code\":5,", "",
                                               "\"code\":\"NOT_FOUND\",", "\"code\":\"ok\",",
                                               "\"x\":{\"y\":[1,{}]},"};
        size_t i;
        char body[600];
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            script_raw(&t->s, "DeleteSandbox", 503, "application/json", bad[i], strlen(bad[i]));
            CHECK_INT(api_delete(t, "x", false), CWS_ERR_UNAVAILABLE);
            CHECK_STR(t->err.reason, "");
        }
        for (i = 0; i < sizeof(codeless) / sizeof(codeless[0]); i++) {
            (void)snprintf(body, sizeof(body), "{%s\"message\":\"kept\",\"details\":[%s]}",
                           codeless[i], script_reason(&t->s, "R", "d"));
            script_raw(&t->s, "DeleteSandbox", 401, "application/json; charset=utf-8", body,
                       strlen(body));
            CHECK_INT(api_delete(t, "x", false), CWS_ERR_AUTHENTICATION);
            HAS(t->err.message, "kept");
            CHECK_STR(t->err.reason, "R");
        }
    }
    EACH("L59: details: the first reason, the first delay; broken ones never hide a good one") {
        char details[3000], body[3600];
        script *s = &t->s;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        (void)snprintf(
            details, sizeof(details), "%s,%s,%s,%s,%s,%s,%s,%s,%s",
            "{\"type\":\"google.rpc.ErrorInfo\"},{\"value\":\"\"},7,\"x\",null,[],{}",
            "{\"type\":\"google.rpc.ErrorInfo\",\"value\":\"!!!\"}",
            "{\"type\":\"google.rpc.ErrorInfo\",\"value\":\"/////w\"}",
            "{\"type\":\"some.other.Type\",\"value\":\"AAAA\",\"debug\":{\"a\":[1]}}",
            script_detail(s, "google.rpc.ErrorInfo", "{\"domain\":\"cwsandbox.com\"}"),
            script_detail(s, "google.rpc.RetryInfo", "{}"),
            "{\"type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"value\":\"CgA\"}",
            script_detail(s, "google.rpc.ErrorInfo",
                          "{\"reason\":\"CWSANDBOX_BACKEND_UNAVAILABLE\","
                          "\"domain\":\"cwsandbox.com\",\"metadata\":{\"k\":\"v\",\"e\":\"\"}}"),
            script_detail(s, "google.rpc.ErrorInfo", "{\"reason\":\"LATE\"}"));
        (void)snprintf(body, sizeof(body),
                       "{\"details\":[%s],\"message\":\"m\",\"code\":\"internal\"}", details);
        script_raw(s, "DeleteSandbox", 500, "Application/JSON", body, strlen(body));
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_UNAVAILABLE);
        CHECK_STR(t->err.reason, "CWSANDBOX_BACKEND_UNAVAILABLE");
        CHECK_STR(cws_error_metadata(&t->err, "k"), "v");
        CHECK_STR(cws_error_metadata(&t->err, "e"), "");
        CHECK(cws_error_metadata(&t->err, "x") == NULL && cws_error_metadata(NULL, "k") == NULL);
        CHECK(t->err.has_retry_after); /* an explicit zero */
        CHECK_INT(t->err.retry_after_ms, 0);
    }
    EACH("L59: RetryInfo: kept, rounded up, negative is zero, out of range is none") {
        static const struct {
            const char *delay;
            bool has;
            uint32_t ms;
        } table[] = {{"1.500s", true, 1500},   {"0.000000001s", true, 1}, {"0s", true, 0},
                     {"-3s", true, 0},         {"4000000s", true, 4000000000u},
                     {"315576000000s", false, 0}};
        size_t i;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            script_error(&t->s, "DeleteSandbox", "internal", "x",
                         script_hint(&t->s, table[i].delay));
            CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX);
            CHECK(t->err.has_retry_after == table[i].has);
            CHECK_INT(t->err.retry_after_ms, table[i].ms);
        }
        script_error(&t->s, "DeleteSandbox", "internal", "x", NULL);
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX);
        CHECK(!t->err.has_retry_after);
    }
    EACH("L61: violations: in order, with their fallbacks, empty ones dropped, in the text too") {
        const char *field, *text;
        script *s = &t->s;
        const char *bad = script_detail(
            s, "google.rpc.BadRequest",
            "{\"fieldViolations\":[{\"field\":\"a\",\"description\":\"d1\"},{},"
            "{\"field\":\"b\",\"localizedMessage\":{\"message\":\"loc\"}},"
            "{\"field\":\"c\",\"reason\":\"R\"},{\"description\":\"d4\"}]}");
        char both[1500];
        script_error(s, "DeleteSandbox", "invalid_argument", "bad", bad);
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX_VALIDATION);
        CHECK(cws_status_is(t->err.status, CWS_ERR_VALIDATION));
        HAS(t->err.message, "Delete sandbox failed: bad; field violations: a: d1; b: loc; c: R");
        CHECK(cws_error_violation_at(&t->err, 1, &field, &text));
        CHECK_STR(field, "b");
        CHECK_STR(text, "loc");
        CHECK(cws_error_violation_at(&t->err, 3, &field, &text));
        CHECK_STR(field, "");
        CHECK_STR(text, "d4");
        CHECK(cws_error_violation_at(&t->err, 2, NULL, NULL));
        CHECK(!cws_error_violation_at(&t->err, 4, &field, &text));
        CHECK(!cws_error_violation_at(NULL, 0, &field, &text));
        (void)snprintf(both, sizeof(both), "%s,%s", script_reason(s, "R", "cwsandbox.com"), bad);
        script_error(s, "DeleteSandbox", "invalid_argument", "", both);
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX_VALIDATION);
        CHECK_STR(t->err.reason, "R");
        script_error(s, "DeleteSandbox", "internal", "x", bad); /* another code: not that class */
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX);
        CHECK(cws_error_violation_at(&t->err, 0, NULL, NULL));
    }
    EACH("an error text longer than the record is cut at a character") {
        char text[1201], body[1400];
        size_t i;
        for (i = 0; i < 1200; i += 2) memcpy(text + i, "\xc3\xa4", 2);
        text[1200] = '\0';
        (void)snprintf(body, sizeof(body), "{\"code\":\"internal\",\"message\":\"%s\"}", text);
        script_raw(&t->s, "DeleteSandbox", 500, "application/json", body, strlen(body));
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX);
        CHECK(strlen(t->err.message) > 300);
        CHECK(cwsi_utf8_valid(t->err.message, strlen(t->err.message)));
    }
    EACH("the server's x-request-id is in the error") {
        script_reply *r = script_error(&t->s, "DeleteSandbox", "internal", "x", NULL);
        script_header(r, "X-Request-Id", "req-7");
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX);
        CHECK_STR(t->err.request_id, "req-7");
    }
}

/* ---- callbacks ------------------------------------------------------------------------------- */

/* What a callback does: every blocking call, then things that are allowed. */
typedef struct api_inside {
    api *t;
    cws_sandbox *sb;
    cws_op *begun;      /* by the callback */
    cws_process *spare; /* freed by the callback */
    int calls;
} api_inside;

/* Nothing that blocks is possible here, whatever the function. */
static void api_blocked(api_inside *in)
{
    api *t = in->t;
    cws_error e;
    cws_result *result = NULL;
    cws_bytes *bytes = NULL;
    cws_sandboxes *list = NULL;
    cws_sandbox *sb = NULL;
    cws_op *op = NULL;
    size_t pending = cws_client_pending(t->client), done = 0;
    cws_exec_stats stats = cws_sandbox_exec_stats(in->sb);
    CHECK_INT(cws_sandbox_start(in->sb, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_wait(in->sb, NULL, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_wait_until_complete(in->sb, NULL, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_get_state(in->sb, NULL, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_stop(in->sb, NULL, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_delete(t->client, "x", false, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_exec(in->sb, api_true, NULL, &result, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_read_file(in->sb, "/x", NULL, &bytes, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_write_file(in->sb, "/x", "", 0, NULL, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_session_list(t->session, NULL, &list, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_session_from_id(t->session, "x", true, &sb, &e), CWS_ERR_REENTRANT);
    CHECK_INT(e.status, CWS_ERR_REENTRANT);
    CHECK_INT(cws_client_poll(t->client, 0, &e), CWS_ERR_REENTRANT);
    CHECK(!result && !bytes && !list && !sb);
    CHECK_INT(cws_client_pending(t->client), pending); /* and nothing was left behind */
    CHECK_INT(cws_sandbox_exec_stats(in->sb).exec_count, stats.exec_count);
    CHECK_INT(cws_sandbox_get_state_begin(in->sb, &op, &e), CWS_OK);
    CHECK_INT(cws_op_wait(op, 0, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_wait_many(&op, 1, 1, 0, NULL, &done, &e), CWS_ERR_REENTRANT);
    CHECK(cws_op_cancel(op));
    CHECK_INT(cws_op_status(op, &e), CWS_ERR_PENDING);
    cws_op_free(op);
    CHECK_INT(cws_session_close(t->session, &e), CWS_ERR_REENTRANT);
}

static void api_inside_work(api_inside *in)
{
    api *t = in->t;
    cws_sandbox *extra = NULL;
    if (in->calls++) return;
    CHECK_STR(cws_sandbox_id(in->sb), "sb-1");
    api_blocked(in);
    CHECK_INT(cws_session_sandbox(t->session, NULL, &extra, &t->err), CWS_OK);
    cws_sandbox_free(extra);
    CHECK_INT(cws_sandbox_get_state_begin(in->sb, &in->begun, &t->err), CWS_OK);
    if (in->spare) CHECK(cws_process_cancel(in->spare));
    cws_process_free(in->spare);
    cws_client_wakeup(t->client);
}

static void api_inside_done(cws_op *op, void *user)
{
    CHECK(cws_op_done(op));
    api_inside_work((api_inside *)user);
}

static cws_flow api_inside_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    (void)stream, (void)data, (void)size;
    api_inside_work((api_inside *)user);
    return CWS_FLOW_CONTINUE;
}

/* Cancels the process it belongs to, or frees it. */
typedef struct api_own {
    cws_process *p;
    bool free_it;
    int calls;
} api_own;

static cws_flow api_own_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    api_own *own = (api_own *)user;
    (void)stream, (void)data, (void)size;
    own->calls++;
    if (own->free_it) cws_process_free(own->p);
    else CHECK(cws_process_cancel(own->p));
    return CWS_FLOW_CONTINUE;
}

static void api_free_op(cws_op *op, void *user)
{
    ++*(int *)user;
    cws_op_free(op);
}

static void api_free_client(cws_op *op, void *user)
{
    api *t = (api *)user;
    (void)op;
    t->traces = 12345;
    cws_client_free(t->client);
}

/* Begins the same again, for ever. */
static void api_again(cws_op *op, void *user)
{
    api_inside *in = (api_inside *)user;
    cws_op *next = NULL;
    (void)op;
    if (++in->calls > 1000) return;
    if (cws_sandbox_get_state_begin(in->sb, &next, NULL) == CWS_OK) {
        cws_op_on_done(next, api_again, in);
        in->begun = next;
    }
}

static void api_test_callbacks(void)
{
    ONCE("inside on_done: what blocks is refused; begin, cancel, free and accessors work") {
        cws_sandbox *sb = api_running(t);
        cws_op *op;
        api_inside in;
        memset(&in, 0, sizeof(in));
        in.t = t;
        in.sb = sb;
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &in.spare, &t->err), CWS_OK);
        script_never(&t->s, "StreamExec");
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = 2;
        CHECK_INT(cws_sandbox_get_state_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(op, api_inside_done, &in);
        CHECK_INT(in.calls, 0);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        CHECK_INT(in.calls, 1);
        CHECK_INT(cws_op_wait(in.begun, -1, &t->err), CWS_OK);
        cws_op_free(in.begun);
        cws_op_free(op);
        CHECK_INT(cws_session_sandbox_count(t->session), 2);
    }
    ONCE("inside on_output: the same") {
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        api_inside in;
        memset(&in, 0, sizeof(in));
        memset(&o, 0, sizeof(o));
        in.t = t;
        in.sb = sb;
        o.on_output = api_inside_output;
        o.user = &in;
        script_stream(&t->s, "{}", OUT_A, OUT_B, EXIT(0), NULL);
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(cws_exec(sb, api_true, &o, &r, &t->err), CWS_OK);
        CHECK_STR(api_shown(r), "0|abb|");
        CHECK_INT(in.calls, 2);
        cws_result_free(r);
        CHECK_INT(cws_op_wait(in.begun, -1, &t->err), CWS_OK);
        cws_op_free(in.begun);
    }
    ONCE("on_output may cancel or free its own process: it is not called again") {
        cws_sandbox *sb = api_running(t);
        int k;
        for (k = 0; k < 2; k++) {
            cws_exec_opts o;
            api_own own;
            memset(&o, 0, sizeof(o));
            memset(&own, 0, sizeof(own));
            own.free_it = k;
            o.on_output = api_own_output;
            o.user = &own;
            script_stream(&t->s, "{}", OUT_A, OUT_B, EXIT(0), NULL);
            CHECK_INT(cws_exec_begin(sb, api_true, &o, &own.p, &t->err), CWS_OK);
            if (k == 0) {
                CHECK_INT(cws_process_wait(own.p, -1, NULL, &t->err), CWS_ERR_CANCELLED);
                cws_process_free(own.p);
            } else {
                api_settle(t);
            }
            CHECK_INT(own.calls, 1);
        }
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 2);
    }
    ONCE("on_done: set after the end it comes at the next poll, once; it may free its operation") {
        cws_sandbox *sb = api_running(t);
        cws_op *op;
        int called = 0;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = 2;
        CHECK_INT(cws_sandbox_get_state_begin(sb, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        cws_op_on_done(op, api_count, &called);
        CHECK_INT(called, 0);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(called, 1);
        cws_op_on_done(op, api_count, &called);
        cws_op_on_done(op, NULL, NULL);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(called, 1);
        cws_op_free(op);
        called = 0;
        CHECK_INT(cws_sandbox_get_state_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(op, api_free_op, &called);
        api_settle(t);
        CHECK_INT(called, 1);
    }
    ONCE("after cws_op_free no callback comes; a cancelled operation calls back once") {
        cws_sandbox *sb = api_running(t);
        cws_op *op;
        int called = 0;
        CHECK_INT(cws_sandbox_get_state_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(op, api_count, &called);
        cws_op_free(op);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(called, 0);
        CHECK_INT(cws_sandbox_get_state_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(op, api_count, &called);
        CHECK(cws_op_cancel(op));
        CHECK_INT(called, 0); /* not from inside cancel */
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(called, 1);
        cws_op_free(op);
        CHECK_INT(t->s.call_count, 0);
    }
    ONCE("the client may be freed inside a callback; everything else ends as cancelled") {
        cws_sandbox *sb = api_running(t);
        cws_op *op, *late = NULL;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(cws_sandbox_get_state_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(op, api_free_client, t);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        CHECK_INT(t->traces, 12345);
        CHECK_INT(t->s.closes, 1);
        CHECK_INT(cws_client_pending(t->client), 0);
        CHECK_INT(cws_sandbox_get_state_begin(sb, &late, &t->err), CWS_ERR_CLOSED);
        CHECK(late == NULL);
        CHECK_INT(cws_session_sandbox(t->session, NULL, &sb, &t->err), CWS_ERR_CLOSED);
        cws_op_free(op);
        t->client = NULL;
    }
    ONCE("a callback that begins again and again does not keep a client alive") {
        cws_sandbox *sb = api_running(t);
        api_inside in;
        memset(&in, 0, sizeof(in));
        in.sb = sb;
        script_never(&t->s, "GetSandbox");
        CHECK_INT(cws_sandbox_get_state_begin(sb, &in.begun, &t->err), CWS_OK);
        cws_op_on_done(in.begun, api_again, &in);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        cws_client_free(t->client);
        CHECK_INT(in.calls, 1);
        if (in.calls == 1) cws_op_free(in.begun);
        t->client = NULL;
    }
}

/* ---- cancelling and freeing, in every state and order ---------------------------------------- */

/* Begin the k-th kind of operation; false: there is none. */
static bool api_begin_some(api *t, cws_sandbox *sb, size_t k, cws_op **op, cws_process **p)
{
    cws_status status = CWS_OK;
    *op = NULL;
    *p = NULL;
    switch (k) {
    case 0: status = cws_sandbox_start_begin(sb, op, &t->err); break;
    case 1: status = cws_sandbox_wait_begin(sb, NULL, op, &t->err); break;
    case 2: status = cws_sandbox_wait_until_complete_begin(sb, NULL, op, &t->err); break;
    case 3: status = cws_sandbox_stop_begin(sb, NULL, op, &t->err); break;
    case 4: status = cws_read_file_begin(sb, "/x", NULL, op, &t->err); break;
    case 5: status = cws_write_file_begin(sb, "/x", "abc", 3, NULL, op, &t->err); break;
    case 6: status = cws_exec_begin(sb, api_true, NULL, p, &t->err); break;
    case 7: status = cws_session_list_begin(t->session, NULL, op, &t->err); break;
    case 8: status = cws_session_from_id_begin(t->session, "sb-2", true, op, &t->err); break;
    case 9: status = cws_sandbox_delete_begin(t->client, "sb-2", true, op, &t->err); break;
    case 10: status = cws_session_close_begin(t->session, op, &t->err); break;
    case 11: status = cws_exec_begin(sb, api_true, NULL, p, &t->err); break;
    default: return false;
    }
    CHECK_INT(status, CWS_OK);
    if (*p) *op = cws_process_op(*p);
    return true;
}

static void api_everything(api *t)
{
    script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->times = -1;
    t->s.last->delay = 10;
    script_ok(&t->s, "GetSandbox", BOX("PENDING"))->delay = 10;
    script_error(&t->s, "GetSandbox", "unavailable", "", NULL)->delay = 10;
    script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->delay = 10;
    script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->times = -1;
    t->s.last->delay = 10;
    script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"))->times = -1;
    t->s.last->delay = 10;
    script_ok(&t->s, "ReadFile", "{\"content\":\"AAAA\"}")->times = -1;
    script_ok(&t->s, "WriteFile", "{}")->times = -1;
    script_ok(&t->s, "ListSandboxes", "{\"sandboxes\":[" BOX_ID("q", "RUNNING") "]}")->times = -1;
    script_stream(&t->s, "{}", OUT_A, OUT_B, EXIT(0), NULL)->times = -1;
    t->s.last->chunk = 6;
    t->s.last->gap = 3;
}

static void api_test_freeing(void)
{
    ONCE("cancel in every state of every operation: it ends as cancelled, the exchange too") {
        size_t k, turns;
        (void)api_session(t);
        api_everything(t);
        for (k = 0; k < 10; k++)
            for (turns = 0; turns < 30; turns++) {
                cws_sandbox *sb = api_box(t, NULL);
                cws_process *p;
                cws_op *op;
                size_t i;
                bool running;
                script_reply *r;
                for (r = t->s.first; r; r = r->next)
                    if (r->times > 0) r->used = 0;
                CHECK(api_begin_some(t, sb, k, &op, &p));
                for (i = 0; i < turns && !cws_op_done(op); i++)
                    CHECK_INT(cws_client_poll(t->client, 0.005, &t->err), CWS_OK);
                running = !cws_op_done(op);
                CHECK(cws_op_cancel(op) == running);
                CHECK_INT(cws_op_wait(op, -1, &t->err) == CWS_ERR_CANCELLED, running);
                if (p) cws_process_free(p);
                else cws_op_free(op);
                api_settle(t); /* what it shared with others goes on */
                CHECK_INT(t->s.opens, t->s.cancels);
                CHECK(cws_sandbox_exec_stats(sb).exec_count == (k == 6));
                api_drop(t, sb);
            }
        {
            script_reply *r;
            for (r = t->s.first; r; r = r->next) r->times = -1;
        }
    }
    ONCE("handles may be freed in any order, in any state; nothing leaks, nothing comes late") {
        static const char *const orders[] = {"obsc", "cbso", "sobc", "bsoc", "csbo",
                                             "scob", "bcos", "osbc", "cosb", "sbco"};
        size_t k, o, turns, live = test_alloc_live();
        for (k = 0; k < 12; k++)
            for (o = 0; o < sizeof(orders) / sizeof(orders[0]); o++)
                for (turns = 0; turns < 24; turns += k == 6 ? 1 : 3) {
                    script s = t->s;
                    cws_sandbox *sb = NULL;
                    cws_process *p;
                    cws_op *op;
                    const char *at;
                    size_t i;
                    int called = 0;
                    script_init(&t->s, false);
                    t->s.b2 = t->s.v1_words = api_b2;
                    t->copts.transport = &t->s.transport;
                    t->session = NULL;
                    t->client = NULL;
                    CHECK_INT(cws_session_sandbox(api_session(t), NULL, &sb, &t->err), CWS_OK);
                    api_everything(t);
                    CHECK(api_begin_some(t, sb, k, &op, &p));
                    cws_op_on_done(op, api_count, &called);
                    for (i = 0; i < turns; i++)
                        CHECK_INT(cws_client_poll(t->client, 0.005, &t->err), CWS_OK);
                    for (at = orders[o]; *at; at++) {
                        if (*at == 'o' && p) cws_process_free(p);
                        else if (*at == 'o') cws_op_free(op);
                        if (*at == 'b') cws_sandbox_free(sb);
                        if (*at == 's') cws_session_free(t->session);
                        if (*at == 'c') cws_client_free(t->client);
                        if (*at == 'c') CHECK_INT(t->s.opens, t->s.cancels);
                    }
                    CHECK(called <= 1);
                    if (!CHECK_INT(test_alloc_live(), live))
                        printf("    %lu %s %lu\n", (unsigned long)k, orders[o],
                               (unsigned long)turns);
                    live = test_alloc_live();
                    CHECK_INT(t->s.closes, 1);
                    CHECK_INT(t->s.broken, 0);
                    script_free(&t->s);
                    t->s = s;
                    script_now = &t->s;
                    t->copts.transport = &t->s.transport;
                    t->session = NULL;
                    t->client = NULL;
                }
        t->live = live;
    }
    STREAMING("what was taken outlives the client; a dead client's objects answer CLOSED") {
        cws_sandbox *sb = api_running(t);
        cws_result *r = NULL;
        cws_bytes *bytes = NULL;
        cws_sandboxes *list = NULL;
        cws_op *op = NULL;
        api_answer(t, 0, "kept", "");
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
        script_ok(&t->s, "ReadFile", "{\"content\":\"YWJj\"}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        script_ok(&t->s, "ListSandboxes", "{\"sandboxes\":[" BOX_ID("q", "RUNNING") "]}");
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        cws_client_free(t->client);
        t->client = NULL;
        CHECK_STR(api_shown(r), "0|kept|");
        CHECK_STR((const char *)cws_bytes_data(bytes), "abc");
        CHECK_STR(cws_sandbox_id(cws_sandboxes_at(list, 0)), "q");
        CHECK_INT(cws_sandbox_start(sb, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &op, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(cws_session_close(t->session, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        cws_result_free(r);
        cws_bytes_free(bytes);
        cws_sandboxes_free(list);
    }
    STREAMING("cws_client_free ends what is in flight as cancelled, each with its callback") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        cws_op *op;
        int called = 0;
        script_never(&t->s, "StreamExec");
        script_never(&t->s, "GetSandbox");
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_get_state_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(cws_process_op(p), api_count, &called);
        cws_op_on_done(op, api_count, &called);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_client_pending(t->client), 2);
        cws_client_free(t->client);
        t->client = NULL;
        CHECK_INT(called, 2);
        CHECK_INT(cws_op_status(op, &t->err), CWS_ERR_CANCELLED);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_CANCELLED);
        cws_op_free(op);
        cws_process_free(p);
    }
}

/* Found by reading, kept so that they stay found. */
static void api_free_it(cws_op *op, void *user)
{
    (void)user;
    cws_op_free(op);
}

static void api_test_freed_by_another(void)
{
    ONCE("a callback may free what a wait of one turn looks at") {
        cws_sandbox *sb = api_started(t);
        cws_op *op = NULL;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(cws_sandbox_get_state_begin(sb, &op, NULL), CWS_OK);
        cws_op_on_done(op, api_free_it, NULL);
        CHECK_INT(cws_op_wait(op, 0, NULL), CWS_OK);
    }
}

/* ---- waiting for many ------------------------------------------------------------------------ */

static void api_test_many(void)
{
    STREAMING("RW-1 RW-3: all of several kinds; failures are no failure of the wait") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        cws_op *ops[3];
        bool done[3];
        size_t n = 0;
        api_answer(t, 3, "", "");
        script_error(&t->s, "ReadFile", "internal", "x", NULL);
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        ops[0] = cws_process_op(p);
        CHECK_INT(cws_read_file_begin(sb, "/x", NULL, &ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_get_state_begin(sb, &ops[2], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 3, CWS_ALL, -1, done, &n, &t->err), CWS_OK);
        CHECK_INT(n, 3);
        CHECK(done[0] && done[1] && done[2]);
        CHECK_INT(cws_op_status(ops[1], &t->err), CWS_ERR_SANDBOX);
        CHECK_INT(cws_wait_many(ops, 3, 1, 0, done, &n, &t->err), CWS_OK);
        CHECK(n == 1 && done[0] && !done[1] && !done[2]);
        cws_process_free(p);
        cws_op_free(ops[1]);
        cws_op_free(ops[2]);
    }
    STREAMING("RW-2 RW-5: nothing to wait for is done at once; num_returns 0 is refused") {
        size_t n = 9;
        cws_op *op;
        cws_op *none[1] = {NULL};
        (void)api_client(t);
        CHECK_INT(cws_wait_many(NULL, 0, CWS_ALL, -1, NULL, &n, &t->err), CWS_OK);
        CHECK_INT(n, 0);
        CHECK_INT(cws_wait_many(NULL, 0, 0, -1, NULL, &n, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_wait_many(none, 1, 1, 0, NULL, &n, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_wait_many(NULL, 1, 1, 0, NULL, &n, &t->err), CWS_ERR_INVALID_ARGUMENT);
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(cws_sandbox_delete_begin(t->client, "x", false, &op, &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(&op, 1, 0, 0, NULL, &n, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_wait_many(&op, 1, 7, -1, NULL, &n, &t->err), CWS_OK);
        CHECK_INT(n, 1);
        cws_op_free(op);
    }
    STREAMING("RW-4 RW-6 RW-7: some of them, one timeout for the whole call, in the given order") {
        cws_op *ops[4];
        bool done[4];
        size_t i, n = 0;
        int64_t from;
        static const int64_t delays[] = {900, 300, 600, 5000};
        (void)api_client(t);
        from = t->s.now;
        for (i = 0; i < 4; i++) {
            script_ok(&t->s, "DeleteSandbox", "{}")->delay = delays[i];
            CHECK_INT(cws_sandbox_delete_begin(t->client, "x", false, &ops[i], &t->err), CWS_OK);
        }
        CHECK_INT(cws_wait_many(ops, 4, 4, 0, done, &n, &t->err), CWS_OK); /* a poll */
        CHECK_INT(n, 0);
        CHECK_INT(t->s.now, from);
        CHECK_INT(cws_wait_many(ops, 4, CWS_ALL, 0.1, done, &n, &t->err), CWS_OK);
        CHECK_INT(t->s.now - from, 100);
        CHECK(n == 0 && !done[0] && !done[1] && !done[2] && !done[3]);
        CHECK_INT(cws_wait_many(ops, 4, 2, -1, done, &n, &t->err), CWS_OK);
        CHECK_INT(t->s.now - from, 600);
        CHECK(n == 2 && !done[0] && done[1] && done[2] && !done[3]);
        CHECK_INT(cws_wait_many(ops, 4, CWS_ALL, 1, done, &n, &t->err), CWS_OK);
        CHECK_INT(t->s.now - from, 1600);
        CHECK(n == 3 && done[0] && !done[3]);
        CHECK_INT(cws_op_status(ops[3], &t->err), CWS_ERR_PENDING); /* nothing is cancelled */
        CHECK_INT(cws_client_pending(t->client), 1);
        for (i = 0; i < 4; i++) cws_op_free(ops[i]);
    }
    STREAMING("poll: 0 does not wait; without anything in flight it does not hang") {
        int64_t from;
        cws_op *op;
        (void)api_client(t);
        from = t->s.now;
        CHECK_INT(cws_client_poll(t->client, -1, &t->err), CWS_OK);
        script_ok(&t->s, "DeleteSandbox", "{}")->delay = 100;
        CHECK_INT(cws_sandbox_delete_begin(t->client, "x", false, &op, &t->err), CWS_OK);
        CHECK_INT(cws_client_pending(t->client), 1);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->s.now, from);
        CHECK_INT(cws_client_poll(t->client, -1, &t->err), CWS_OK);
        CHECK_INT(t->s.now, from + 100);
        CHECK(cws_op_done(op));
        cws_op_free(op);
    }
}

/* ---- what an operation tells of itself, and waits -------------------------------------------- */

static void api_test_accessors(void)
{
    ONCE("an operation has a name, a client, and a pointer of the caller's") {
        cws_sandbox *sb = api_box(t, NULL);
        int mine = 0;
        cws_op *op = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(cws_sandbox_start_begin(sb, &op, &t->err), CWS_OK);
        CHECK_STR(cws_op_name(op), "Start sandbox");
        CHECK(cws_op_client(op) == t->client);
        CHECK(cws_op_user(op) == NULL);
        cws_op_set_user(op, &mine);
        cws_op_on_done(op, NULL, t); /* that of the callback is another one */
        CHECK(cws_op_user(op) == &mine);
        CHECK_INT(cws_op_wait(op, CWS_FOREVER, &t->err), CWS_OK);
        CHECK(cws_op_user(op) == &mine);
        cws_op_free(op);
        cws_op_set_user(NULL, &mine);
        CHECK(!cws_op_user(NULL) && !cws_op_client(NULL));
        CHECK_STR(cws_op_name(NULL), "");
    }
    ONCE("waits are in seconds: fractions are rounded up, and what is no number is refused") {
        volatile double zero = 0;
        double nan = zero / zero;
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *op = NULL;
        size_t n = 0;
        int64_t from;
        script_never(&t->s, "CreateSandbox");
        CHECK_INT(cws_sandbox_start_begin(sb, &op, &t->err), CWS_OK);
        from = t->s.now;
        CHECK_INT(cws_op_wait(op, 0.0001, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now - from, 1);
        CHECK_INT(cws_op_wait(op, 1.5, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now - from, 1501);
        CHECK_INT(cws_wait_many(&op, 1, 1, 0.25, NULL, &n, &t->err), CWS_OK);
        CHECK_INT(t->s.now - from, 1751);
        CHECK_INT(n, 0);
        CHECK_INT(cws_op_wait(op, nan, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "timeout_seconds");
        CHECK_INT(cws_wait_many(&op, 1, 1, nan, NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_client_poll(t->client, nan, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(t->s.now - from, 1751);
        CHECK(!cws_op_done(op));
        cws_op_free(op);
    }
    ONCE("the metadata of an error can be walked") {
        const char *key = NULL, *value = NULL;
        cws_sandbox *sb = api_box(t, NULL);
        script_error(&t->s, "CreateSandbox", "failed_precondition", "no",
                     script_detail(&t->s, "google.rpc.ErrorInfo",
                                   "{\"reason\":\"CWSANDBOX_X\",\"domain\":\"cwsandbox.com\","
                                   "\"metadata\":{\"a\":\"1\",\"b\":\"2\"}}"));
        CHECK(cws_sandbox_start(sb, &t->err) != CWS_OK);
        CHECK(cws_error_metadata_at(&t->err, 0, &key, &value));
        CHECK_STR(key, "a");
        CHECK_STR(value, "1");
        CHECK(cws_error_metadata_at(&t->err, 1, NULL, &value));
        CHECK_STR(value, "2");
        CHECK(!cws_error_metadata_at(&t->err, 2, &key, &value));
        CHECK(!cws_error_metadata_at(NULL, 0, &key, &value));
        CHECK(!cws_error_violation_at(&t->err, 0, &key, &value));
    }
    ONCE("the version can be asked for before compiling") {
#if !CWS_VERSION_AT_LEAST(0, 2) || CWS_VERSION_AT_LEAST(99, 0)
        CHECK(false);
#endif
        CHECK_INT(CWS_VERSION_AT_LEAST(CWS_VERSION_MAJOR, CWS_VERSION_MINOR), 1);
        CHECK_INT(CWS_VERSION_AT_LEAST(CWS_VERSION_MAJOR, CWS_VERSION_MINOR + 1), 0);
        CHECK_INT(CWS_VERSION_AT_LEAST(CWS_VERSION_MAJOR + 1, 0), 0);
    }
}

static void (*const both[])(void) = {
    api_test_error_record,
    api_test_errors,
    api_test_callbacks,
    api_test_freeing,
    api_test_freed_by_another,
    api_test_many};

int main(int argc, char **argv)
{
    test_init(argc, argv);
    api_test_accessors();
    return api_both_dialects(both, CWSI_COUNT(both));
}
