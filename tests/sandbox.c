/* SPDX-License-Identifier: MIT
 *
 * A sandbox over the scripted transport: start, states, waiting, stop, delete, lists, pause and
 * resume, placement that spills over. A scenario is written once and runs in several ways, see
 * harness.h. Numbers are those of the lists of test cases that the service's own clients were
 * written against (L: lifecycle). Usage:
 *
 *     sandbox [part of a test's name]
 */
#include "native.h"

/* ---- start ----------------------------------------------------------------------------------- */

static void api_test_start(void)
{
    EACH("L26: start gives an id and PENDING, whatever the reply's state; nothing else is sent") {
        cws_sandbox *sb = api_box(t, NULL);
        CHECK_STR(cws_sandbox_id(sb), "");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        script_ok(&t->s, "CreateSandbox", BOX("RUNNING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PENDING);
        CHECK(cws_sandbox_last_info(sb)->updated_unix_ms == script_unix(&t->s));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    STREAMING("L26: one create, however many callers start it at once") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *ops[5];
        size_t i, done = 0;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 700;
        for (i = 0; i < 5; i++)
            CHECK_INT(cws_sandbox_start_begin(sb, &ops[i], &t->err), CWS_OK);
        CHECK_INT(t->s.opens, 0); /* nothing moves inside a begin */
        CHECK_INT(cws_wait_many(ops, 5, CWS_ALL, -1, NULL, &done, &t->err), CWS_OK);
        CHECK_INT(done, 5);
        for (i = 0; i < 5; i++) {
            CHECK_INT(cws_op_status(ops[i], &t->err), CWS_OK);
            cws_op_free(ops[i]);
        }
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    EACH("L26: a create with a definite failure can be started again, with the same request id") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        char first[800];
        script_error(&t->s, "CreateSandbox", "invalid_argument", "no such image",
                     script_reason(&t->s, "CWSANDBOX_INVALID_REQUEST", "cwsandbox.com"));
        CHECK_INT(api_start(t, sb), CWS_ERR_SANDBOX);
        HAS(t->err.message, "Create sandbox");
        HAS(t->err.message, "no such image");
        CHECK_STR(t->err.reason, "CWSANDBOX_INVALID_REQUEST");
        CHECK_INT(t->err.rpc_code, 3);
        CHECK_INT(t->err.http_status, t->mode == API_GRPC ? 200 : 400);
        CHECK(strlen(t->err.request_id) == 36);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        (void)snprintf(first, sizeof(first), "%s", script_json(&t->s, "CreateSandbox", 0));
        HAS(first, t->err.request_id);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_json(&t->s, "CreateSandbox", 1), first);
    }
    ONCE("two sandboxes have different request ids, in the form of a version 4 UUID") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        char a[800];
        const char *at;
        (void)snprintf(a, sizeof(a), "%s", api_created(t, NULL));
        CHECK(strcmp(a, api_created(t, NULL)) != 0);
        at = strstr(a, "\"requestId\":\"");
        if (CHECK(at != NULL)) {
            CHECK(at[13 + 8] == '-' && at[13 + 13] == '-' && at[13 + 14] == '4');
            CHECK(strchr("89ab", at[13 + 19]) != NULL);
        }
    }
    EACH("an ambiguous create is repeated by itself, with the same request id") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        static const cws_end ends[] = {CWS_END_LOST, CWS_END_NOT_SENT, CWS_END_REFUSED};
        cws_sandbox *sb = api_box(t, NULL);
        size_t i;
        for (i = 0; i < 3; i++) script_end(&t->s, "CreateSandbox", ends[i]);
        script_error(&t->s, "CreateSandbox", "unavailable", "later", NULL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_INT(t->s.call_count, 5);
        for (i = 1; i < 5; i++)
            CHECK_STR(script_json(&t->s, "CreateSandbox", i),
                      script_json(&t->s, "CreateSandbox", 0));
    }
    EACH("an ambiguous create that is given up is repeated, with the same id, by a later start") {
        cws_sandbox *sb = api_box(t, NULL);
        t->err.status = CWS_OK;
        script_end(&t->s, "CreateSandbox", CWS_END_LOST)->times = -1;
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        CHECK(t->err.retryable);
        t->s.first->times = 0;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_json(&t->s, "CreateSandbox", t->s.call_count - 1),
                  script_json(&t->s, "CreateSandbox", 0));
    }
    EACH("a create that the server never answers ends with the request timeout") {
        cws_sandbox *sb = api_box(t, NULL);
        int64_t from = t->s.now;
        script_never(&t->s, "CreateSandbox");
        CHECK_INT(api_start(t, sb), CWS_ERR_REQUEST_TIMEOUT);
        CHECK(cws_status_is(t->err.status, CWS_ERR_TIMEOUT));
        CHECK(t->s.now - from >= 300000 && t->s.now - from <= 300001);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    EACH("L26: CANCELLED by the server is a sandbox that is not running") {
        script_error(&t->s, "CreateSandbox", "canceled", "", NULL);
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "Create sandbox was cancelled");
    }
    EACH("a create reply without a sandbox id is an error, and what it made is stopped later") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        script_ok(&t->s, "CreateSandbox", "{}");
        CHECK_INT(api_start(t, sb), CWS_ERR_PROTOCOL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("a create reply of garbage leaves the outcome open: stop asks again, then deletes") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        script_raw(&t->s, "CreateSandbox", 200, "application/proto", "\x0a\x7fzz", 4);
        CHECK_INT(api_start(t, sb), CWS_ERR_PROTOCOL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("stop of a create with unknown outcome repeats the create to learn the id, then deletes") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        t->copts.poll_retry_budget_seconds = 0;
        script_never(&t->s, "CreateSandbox");
        CHECK_INT(api_start(t, sb), CWS_ERR_REQUEST_TIMEOUT);
        script_ok(&t->s, "CreateSandbox", BOX("RUNNING"));
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
        CHECK_STR(script_json(&t->s, "CreateSandbox", 1), script_json(&t->s, "CreateSandbox", 0));
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("stop of an unknown create fails while it stays unknown, and may be repeated") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_LOST)->times = 2;
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_TRANSPORT);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        script_error(&t->s, "CreateSandbox", "failed_precondition", "no",
                     script_reason(&t->s, "CWSANDBOX_PLACEMENT_REJECTED", "cwsandbox.com"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK); /* now it is known: there is none */
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
    }
    EACH("doubt about a create stays when a later attempt did not even leave") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_LOST);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        script_end(&t->s, "CreateSandbox", CWS_END_NOT_SENT);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("L30: a create that failed without a reason is in doubt; with one it is settled") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        static const char *const codes[] = {"internal", "unknown"};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_box(t, NULL);
            t->s.call_count = 0;
            script_error(&t->s, "CreateSandbox", codes[i], "oops", NULL);
            CHECK_INT(api_start(t, sb), CWS_ERR_SANDBOX);
            script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
            api_ended(t, "sb-1", "COMPLETED");
            CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
            CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
            sb = api_box(t, NULL);
            t->s.call_count = 0;
            script_error(&t->s, "CreateSandbox", codes[i], "oops",
                         script_reason(&t->s, "CWSANDBOX_NO_SUITABLE_RUNNER", "cwsandbox.com"));
            CHECK_INT(api_start(t, sb), CWS_ERR_SANDBOX);
            CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
            CHECK_STR(script_calls(&t->s), "CreateSandbox");
        }
    }
    EACH("a create that never left is settled: stop cancels for good without another call") {
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_NOT_SENT);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        HAS(t->err.message, "no connection");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    STREAMING("L48: stop during a start in flight waits for the id and then deletes") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *start = NULL, *stop = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 3000;
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0.01, &t->err), CWS_OK);
        CHECK_INT(t->s.opens, 1);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &stop, &t->err), CWS_OK);
        CHECK_INT(api_drive(t, stop), CWS_OK);
        CHECK_INT(cws_op_status(start, &t->err), CWS_OK);
        CHECK_STR(api_calls(t), "CreateSandbox DeleteSandbox");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_op_free(start);
        cws_op_free(stop);
    }
    STREAMING("stop during a start that was cancelled by its only caller still deletes") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *start = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 3000;
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0.01, &t->err), CWS_OK);
        CHECK(cws_op_cancel(start));
        CHECK_INT(cws_op_wait(start, -1, &t->err), CWS_ERR_CANCELLED);
        cws_op_free(start);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(api_calls(t), "CreateSandbox DeleteSandbox");
    }
    EACH("L34 L48: stop before start: for good, without a call; everything later says so") {
        cws_sandbox *sb = api_box(t, NULL), *found = NULL;
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        cws_state state = CWS_STATE_RUNNING;
        CHECK_INT(api_status(t, sb, &state), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "not been started");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "stopped before it was started");
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "stopped before it was started");
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "has been stopped");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_write(t, sb, "/x", "", 0, NULL), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_status(t, sb, &state), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "stopped before it was started");
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 1);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 1);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK(!result && !bytes && !found);
    }
    EACH("L26: exec, wait, wait_until_complete and files start an unstarted sandbox") {
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->times = 5;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = 4;
        CHECK_INT(api_wait(t, api_box(t, NULL), 0), CWS_OK);
        api_answer(t, 0, "", "");
        CHECK_INT(api_exec(t, api_box(t, NULL), api_true, NULL, &result), CWS_OK);
        cws_result_free(result);
        script_ok(&t->s, "ReadFile", "{}");
        CHECK_INT(api_read(t, api_box(t, NULL), "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        script_ok(&t->s, "WriteFile", "{}");
        CHECK_INT(api_write(t, api_box(t, NULL), "/x", "", 0, NULL), CWS_OK);
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_complete(t, api_box(t, NULL), NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 13);
    }
}

static void api_test_lost_start(void)
{
    EACH("a refusal with a reason does not settle an earlier create that was lost") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_LOST);
        script_error(&t->s, "CreateSandbox", "resource_exhausted", "slow down",
                     script_reason(&t->s, "CWSANDBOX_RATE_LIMITED", "cwsandbox.com"));
        CHECK_INT(api_start(t, sb), CWS_ERR_RESOURCE_EXHAUSTED);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox CreateSandbox DeleteSandbox");
    }
}

static void api_test_no_second_start(void)
{
    EACH("where a create can not be repeated, one that was answered without an id is not")
    {
        cws_sandbox *sb;
        if (!t->s.b2) { /* v1 repeats it with its request id, and learns the sandbox's */
            test_forget();
            continue;
        }
        sb = api_box(t, NULL);
        script_ok(&t->s, "CreateSandbox", "{}");
        CHECK_INT(api_start(t, sb), CWS_ERR_PROTOCOL);
        HAS(t->said, "a sandbox may exist until its lifetime ends");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
}

/* ---- the state machine ----------------------------------------------------------------------- */

static void api_test_states(void)
{
    EACH("L31: each number on the wire is one state; an unknown one is unspecified, and shown") {
        if (api_v1_only(t, "the numbers of v1beta2 are in tests/options.c")) continue;
        static const struct {
            const char *number;
            cws_state state;
            int32_t shown;
            bool terminal;
        } table[] = {{"0", CWS_STATE_UNSPECIFIED, 0, false}, {"1", CWS_STATE_CREATING, 1, false},
                     {"2", CWS_STATE_RUNNING, 2, false},     {"3", CWS_STATE_COMPLETED, 3, true},
                     {"4", CWS_STATE_FAILED, 4, true},       {"5", CWS_STATE_TERMINATING, 5, false},
                     {"6", CWS_STATE_TERMINATED, 6, true},   {"7", CWS_STATE_PENDING, 7, false},
                     {"8", CWS_STATE_PAUSED, 8, false},      {"9", CWS_STATE_PREPARING, 9, false},
                     {"77", CWS_STATE_UNSPECIFIED, 77, false},
                     {"-3", CWS_STATE_UNSPECIFIED, -3, false}};
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            char json[100];
            cws_sandbox *sb;
            (void)snprintf(json, sizeof(json), "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":%s}}",
                           table[i].number);
            sb = api_found(t, json);
            CHECK_INT(cws_sandbox_state(sb), table[i].state);
            CHECK_INT(cws_sandbox_last_info(sb)->state, table[i].state);
            CHECK_INT(cws_sandbox_last_info(sb)->state_number, table[i].shown);
            CHECK(cws_state_is_terminal(cws_sandbox_state(sb)) == table[i].terminal);
            CHECK(cws_state_name(cws_sandbox_state(sb))[0] != '\0');
        }
        CHECK_STR(cws_state_name((cws_state)99), "unspecified");
        CHECK_STR(cws_state_name(CWS_STATE_RUNNING), "running");
    }
    EACH("L31: a reply without a status is unspecified") {
        CHECK_INT(cws_sandbox_state(api_found(t, "{\"sandboxId\":\"sb-1\"}")),
                  CWS_STATE_UNSPECIFIED);
    }
    EACH("L7.3: the info of a sandbox: reason, runner, times, exit code of any answer") {
        const cws_sandbox_info *info;
        cws_sandbox *sb = api_found(
            t, "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_FAILED\","
               "\"stateReason\":\"image not found\",\"runnerId\":\"r\",\"runnerGroupId\":\"g\","
               "\"createTime\":\"2026-01-02T03:04:05.678Z\",\"startTime\":\"1970-01-01T00:00:01Z\","
               "\"endTime\":\"1970-01-01T00:00:02Z\",\"exitCode\":0}}");
        info = cws_sandbox_last_info(sb);
        CHECK_STR(info->sandbox_id, "sb-1");
        CHECK_STR(info->state_reason, "image not found");
        CHECK_STR(info->runner_id, "r");
        CHECK_STR(info->runner_group_id, "g");
        CHECK_INT(info->create_unix_ms, t->s.b2 ? 0 : 1767323045678); /* it does not say */
        CHECK_INT(info->start_unix_ms, 1000);
        CHECK_INT(info->end_unix_ms, t->s.b2 ? 0 : 2000);
        CHECK(info->has_exit_code && info->exit_code == 0);
        CHECK_INT(info->updated_unix_ms, script_unix(&t->s));
    }
    EACH("L33: exit code 0, another one, and none are three things") {
        CHECK(cws_sandbox_last_info(api_found(t, EXITED("COMPLETED", 0)))->has_exit_code);
        CHECK_INT(cws_sandbox_last_info(api_found(t, EXITED("COMPLETED", -7)))->exit_code, -7);
        CHECK(!cws_sandbox_last_info(api_found(t, BOX("COMPLETED")))->has_exit_code);
    }
    EACH("L32: a state of nothing is COMPLETED when polling, and stays open when asking") {
        cws_sandbox *sb = api_started(t);
        cws_state state = CWS_STATE_NOT_STARTED;
        script_ok(&t->s, "GetSandbox", "{\"sandboxId\":\"sb-1\",\"status\":{}}")->times = 2;
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_UNSPECIFIED);
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK_STR(script_calls(&t->s), "GetSandbox GetSandbox"); /* and no look for an exit code */
    }
    EACH("an end concluded from a state of nothing is not trusted by a stop: it deletes") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", "{\"sandboxId\":\"sb-1\",\"status\":{}}");
        if (t->s.b2) api_ended(t, "sb-1", "COMPLETED");
        else script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(api_calls(t), "GetSandbox DeleteSandbox");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(api_calls(t), "GetSandbox DeleteSandbox"); /* once is enough */
    }
    EACH("L32: a terminal state never changes; asking again sends nothing") {
        cws_sandbox *sb = api_started(t);
        cws_state state;
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 3));
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_COMPLETED);
        CHECK_INT(cws_sandbox_last_info(sb)->exit_code, 3);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        CHECK_STR(script_calls(&t->s), "GetSandbox");
    }
    EACH("L32: a sandbox being stopped stays so until it has ended; its runner is kept") {
        cws_sandbox *sb = api_started(t);
        cws_state state;
        script_ok(&t->s, "GetSandbox",
                  "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_RUNNING\","
                  "\"runnerId\":\"r\"}}");
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_ok(&t->s, "GetSandbox", BOX("PENDING"));
        script_ok(&t->s, "GetSandbox", BOX("FAILED"));
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_RUNNING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_TERMINATING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_TERMINATING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_TERMINATING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_FAILED);
        CHECK_STR(cws_sandbox_last_info(sb)->runner_id, "r");
    }
    EACH("L32: the id never changes") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX_ID("other", "RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
    }
    EACH("L34 L40: a status has the deadline of a poll, and no error of its own is hidden") {
        cws_sandbox *sb = api_started(t);
        script_error(&t->s, "GetSandbox", "internal", "broken", NULL);
        CHECK_INT(api_status(t, sb, NULL), CWS_ERR_SANDBOX);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 15000);
        HAS(t->err.message, "Get state failed: broken");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        script_error(&t->s, "GetSandbox", "not_found", "", NULL);
        CHECK_INT(api_status(t, sb, NULL), CWS_ERR_NOT_FOUND);
        HAS(t->err.message, "'sb-1' not found");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PENDING);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void api_test_waiting(void)
{
    EACH("L10.1: polls after 0.2 s, then 1.5 times longer, at most 2 s; unknown states go on") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("CREATING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("PREPARING"))->times = 2;
        script_ok(&t->s, "GetSandbox", "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":77}}")
            ->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"),
                  "200 300 450 675 1012 1518 2000 2000 2000 2000");
        CHECK_STR(script_json(&t->s, "GetSandbox", 0), "{\"sandboxId\":\"sb-1\"}");
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 15000);
    }
    EACH("L38: outcomes of a wait for RUNNING") {
        static const struct {
            const char *json;
            cws_status status;
            cws_state state;
        } table[] = {
            {BOX("RUNNING"), CWS_OK, CWS_STATE_RUNNING},
            {BOX("PAUSED"), CWS_OK, CWS_STATE_PAUSED},
            {BOX("TERMINATING"), CWS_OK, CWS_STATE_TERMINATING},
            {EXITED("COMPLETED", 5), CWS_OK, CWS_STATE_COMPLETED},
            {"{\"sandboxId\":\"sb-1\"}", CWS_OK, CWS_STATE_COMPLETED},
            {BOX("FAILED"), CWS_ERR_FAILED, CWS_STATE_FAILED},
            {BOX("TERMINATED"), CWS_ERR_TERMINATED, CWS_STATE_TERMINATED}};
        size_t i;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->times = 7;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            cws_sandbox *sb = api_box(t, NULL);
            script_ok(&t->s, "GetSandbox", table[i].json);
            CHECK_INT(api_wait(t, sb, 0), table[i].status);
            CHECK_INT(cws_sandbox_state(sb), table[i].state);
            /* and again, at once and without a call */
            if (i == 2) continue;
            CHECK_INT(api_wait(t, sb, 0), table[i].status);
        }
        CHECK_INT(script_count(&t->s, "GetSandbox"), 7);
    }
    EACH("L38: a failure tells the service's reason") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox",
                  "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_FAILED\","
                  "\"stateReason\":\"no image \\u00e4\"}}");
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_FAILED);
        HAS(t->err.message, "no image \xc3\xa4");
        HAS(t->err.message, "sb-1");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        CHECK_STR(t->err.reason, "");
        CHECK(!t->err.retryable);
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_FAILED);
    }
    EACH("L36: a wait for what is known already sends nothing") {
        static const struct {
            const char *json;
            cws_status wait, complete;
        } table[] = {{BOX("PAUSED"), CWS_OK, CWS_OK},
                     {EXITED("COMPLETED", 0), CWS_OK, CWS_OK},
                     {BOX("FAILED"), CWS_ERR_FAILED, CWS_ERR_FAILED},
                     {BOX("TERMINATED"), CWS_ERR_TERMINATED, CWS_ERR_TERMINATED}};
        size_t i;
        for (i = 0; i < 4; i++) {
            cws_sandbox *sb = api_found(t, table[i].json);
            CHECK_INT(api_wait(t, sb, 0), table[i].wait);
            if (i) CHECK_INT(api_complete(t, sb, NULL), table[i].complete);
            CHECK_INT(t->s.call_count, 0);
        }
    }
    EACH("L10.3: a wait that takes too long names the sandbox and the limit; it may be repeated") {
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        script_reply *r = script_ok(&t->s, "GetSandbox", BOX("PENDING"));
        r->times = -1;
        CHECK_INT(api_wait(t, sb, 3.5), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 3500);
        HAS(t->err.message, "sb-1");
        HAS(t->err.message, "3500 ms");
        HAS(t->err.message, "pending");
        CHECK(t->err.retryable);
        r->times = 0;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 1), CWS_OK);
    }
    EACH("L10.3: without a timeout a wait has the request timeout, counted from the start on") {
        cws_sandbox_opts o;
        cws_sandbox *sb;
        int64_t from;
        memset(&o, 0, sizeof(o));
        o.request_timeout_seconds = 20;
        sb = api_box(t, &o);
        from = t->s.now;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 15000;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = -1;
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 35000);
    }
    STREAMING("L36: many waiters share one poll") {
        cws_sandbox *sb = api_started(t);
        cws_op *ops[10];
        size_t i;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        for (i = 0; i < 10; i++)
            CHECK_INT(cws_sandbox_wait_begin(sb, NULL, &ops[i], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 10, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        for (i = 0; i < 10; i++) {
            CHECK_INT(cws_op_status(ops[i], &t->err), CWS_OK);
            cws_op_free(ops[i]);
        }
        CHECK_INT(script_count(&t->s, "GetSandbox"), 4);
    }
    STREAMING("L37: one waiter's timeout and another's cancel do not disturb the third") {
        cws_sandbox *sb = api_started(t);
        cws_op *a, *b, *c;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->delay = 5000;
        CHECK_INT(cws_sandbox_wait_begin(sb, wait_for(0.5), &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, NULL, &b, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, NULL, &c, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_TIMEOUT);
        CHECK_INT(cws_op_status(b, &t->err), CWS_ERR_PENDING);
        CHECK(cws_op_cancel(b));
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_ERR_CANCELLED);
        CHECK(!cws_op_cancel(b));
        CHECK_INT(cws_op_wait(c, -1, &t->err), CWS_OK);
        CHECK_INT(script_count(&t->s, "GetSandbox"), 4);
        cws_op_free(a);
        cws_op_free(b);
        cws_op_free(c);
    }
    STREAMING("L37: waiters share an error; the next waiter polls afresh") {
        cws_sandbox *sb = api_started(t);
        cws_op *ops[2];
        script_error(&t->s, "GetSandbox", "permission_denied", "no", NULL);
        CHECK_INT(cws_sandbox_wait_begin(sb, NULL, &ops[0], &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, NULL, &ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 2, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_op_status(ops[0], &t->err), CWS_ERR_AUTHENTICATION);
        HAS(t->err.message, "Poll sandbox status: Permission denied: no");
        CHECK_INT(cws_op_status(ops[1], &t->err), CWS_ERR_AUTHENTICATION);
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(script_count(&t->s, "GetSandbox"), 2);
        cws_op_free(ops[0]);
        cws_op_free(ops[1]);
    }
    STREAMING("a poll ends when its last waiter leaves") {
        cws_sandbox *sb = api_started(t);
        cws_op *op;
        script_never(&t->s, "GetSandbox");
        CHECK_INT(cws_sandbox_wait_begin(sb, NULL, &op, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->s.opens - t->s.cancels, 1);
        cws_op_free(op);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->s.opens - t->s.cancels, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
    }
    STREAMING("CWS_ERR_WAIT_TIMEOUT: the operation goes on and may be waited for again") {
        cws_sandbox *sb = api_started(t);
        cws_op *op;
        int64_t from = t->s.now;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->delay = 5000;
        CHECK_INT(cws_sandbox_wait_begin(sb, NULL, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, 0, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now, from);
        CHECK_INT(cws_op_wait(op, 1, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now, from + 1000);
        CHECK_INT(t->err.status, CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_op_status(op, &t->err), CWS_ERR_PENDING);
        CHECK_INT(cws_op_wait(op, 10, &t->err), CWS_OK);
        CHECK_INT(t->s.now, from + 5000);
        CHECK_INT(cws_op_wait(op, 0, &t->err), CWS_OK);
        cws_op_free(op);
    }
    EACH("L39: the end: COMPLETED is fine unless this object stopped it; TERMINATED and FAILED") {
        cws_wait_opts lenient;
        cws_sandbox *sb = api_started(t);
        memset(&lenient, 0, sizeof(lenient));
        lenient.allow_termination = true;
        CHECK_INT(cws_sandbox_wait(sb, &lenient, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "allow_termination is for cws_sandbox_wait_until_complete");
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 9));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK); /* merely seen TERMINATING */
        CHECK_INT(cws_sandbox_last_info(sb)->exit_code, 9);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 300");
        sb = api_running(t);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_TERMINATED);
        CHECK_INT(api_complete(t, sb, &lenient), CWS_OK);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("TERMINATED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_TERMINATED);
        CHECK_INT(api_complete(t, sb, &lenient), CWS_OK);
        CHECK_STR(t->err.reason, "");
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("FAILED"));
        CHECK_INT(api_complete(t, sb, &lenient), CWS_ERR_FAILED);
        sb = api_found(t, BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
    }
    EACH("L10.4: wait_until_complete that takes too long: the sandbox goes on") {
        cws_wait_opts o;
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 10;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = -1;
        CHECK_INT(api_complete(t, sb, &o), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 10000);
        HAS(t->err.message, "did not end");
    }
    STREAMING("L38: a waiter for RUNNING hears that the sandbox was stopped meanwhile") {
        cws_sandbox *sb = api_started(t);
        cws_op *wait, *stop;
        int k;
        for (k = 0; k < 2; k++) {
            if (k) sb = api_started(t);
            script_ok(&t->s, "GetSandbox", BOX("PENDING"));
            CHECK_INT(cws_sandbox_wait_begin(sb, NULL, &wait, &t->err), CWS_OK);
            CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
            CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
            script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
            script_ok(&t->s, "GetSandbox", k ? BOX("TERMINATING") : EXITED("COMPLETED", 0))->times =
                -1;
            CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &stop, &t->err), CWS_OK);
            CHECK_INT(cws_op_wait(wait, -1, &t->err), CWS_ERR_NOT_RUNNING);
            HAS(t->err.message, "has been stopped");
            t->s.last->times = 0;
            script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->times = -1;
            CHECK_INT(cws_op_wait(stop, -1, &t->err), CWS_OK);
            t->s.last->times = 0;
            cws_op_free(wait);
            cws_op_free(stop);
        }
    }
}

static void api_test_exit_code(void)
{
    EACH("L47: COMPLETED without an exit code: two more looks, 2 s apart, 2 s each") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"))->times = 3;
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "2000 2000");
        CHECK_INT(t->s.calls[1].timeout_ms, 2000);
        CHECK(!cws_sandbox_last_info(sb)->has_exit_code);
    }
    EACH("L47: the looks end with the code; a stale answer and a failure change nothing") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 7));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_last_info(sb)->exit_code, 7);
        CHECK_INT(t->s.call_count, 2);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_error(&t->s, "GetSandbox", "unavailable", "", NULL);
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK_INT(t->s.call_count, 3);
    }
    EACH("L47: no look for FAILED, TERMINATED, or when a code is there; 0 is a code") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 1);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("FAILED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_FAILED);
        CHECK_INT(t->s.call_count, 1);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("TERMINATED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_TERMINATED);
        CHECK_INT(t->s.call_count, 1);
    }
    EACH("L47: no look after a stop of ours, or once it was stopping") {
        cws_sandbox *sb = api_running(t);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "DeleteSandbox GetSandbox");
        sb = api_found(t, BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 1);
    }
    EACH("L47: a wait that ends during the looks has the completion in hand") {
        cws_wait_opts o;
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 1;
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_complete(t, sb, &o), CWS_OK);
        CHECK_INT(t->s.now - from, 1000);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
    }
}

/* ---- stop and delete ------------------------------------------------------------------------- */

static void api_test_stop(void)
{
    EACH("L48 L21: stop: one delete, polls until the end, and the session lets it go") {
        cws_sandbox *sb = api_running(t);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"))->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s),
                  "DeleteSandbox GetSandbox GetSandbox GetSandbox GetSandbox");
        CHECK_STR(script_json(&t->s, "DeleteSandbox", 0),
                  "{\"sandboxId\":\"sb-1\",\"gracePeriodSeconds\":10}");
        CHECK_INT(script_call_at(&t->s, "DeleteSandbox", 0)->timeout_ms, 20000);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 5);
    }
    EACH("L50: the grace: fractions are rounded up, CWS_NONE is none, deadline grace + 10 s") {
        static const struct {
            double grace;
            const char *wire;
            int64_t deadline;
        } table[] = {{0.5, "\"gracePeriodSeconds\":1}", 11000},
                     {2.01, "\"gracePeriodSeconds\":3}", 13000},
                     {30, "\"gracePeriodSeconds\":30}", 40000},
                     {CWS_NONE, "{\"sandboxId\":\"sb-1\"}", 10000}};
        size_t i;
        for (i = 0; i < 4; i++) {
            cws_stop_opts o;
            cws_sandbox *sb = api_running(t);
            memset(&o, 0, sizeof(o));
            o.graceful_shutdown_seconds = table[i].grace;
            api_ended(t, "sb-1", "FAILED");
            CHECK_INT(api_stop(t, sb, &o), CWS_OK); /* FAILED is an end like any other */
            HAS(script_json(&t->s, "DeleteSandbox", 0), table[i].wire);
            CHECK_INT(t->s.calls[0].timeout_ms, table[i].deadline);
        }
    }
    EACH("L50: missing_ok is sent; an empty reply means that it was gone: success without a poll") {
        if (api_v1_only(t, "a Stop has no such member, and no empty answer")) continue;
        cws_stop_opts o;
        cws_sandbox *sb = api_running(t);
        memset(&o, 0, sizeof(o));
        o.missing_ok = true;
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        HAS(script_json(&t->s, "DeleteSandbox", 0), "\"allowMissing\":true");
        CHECK_INT(t->s.call_count, 1);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATED);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("L48: a delete that fails leaves everything as it was, and stop may be called again") {
        cws_sandbox *sb = api_running(t);
        script_error(&t->s, "DeleteSandbox", "internal", "broken", NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_SANDBOX);
        HAS(t->err.message, "Stop sandbox failed: broken");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("L49: not found, however it is said, for stop and delete, with and without missing_ok") {
        static const struct {
            const char *code, *reason;
            bool found;
        } table[] = {{"not_found", NULL, false},
                     {"internal", "CWSANDBOX_SANDBOX_NOT_FOUND", false},
                     {"failed_precondition", "CWSANDBOX_SANDBOX_NOT_FOUND", false},
                     {"internal", NULL, true}};
        size_t i, k;
        for (i = 0; i < 4; i++)
            for (k = 0; k < 2; k++) {
                const char *detail =
                    table[i].reason ? script_reason(&t->s, table[i].reason, "cwsandbox.com") : NULL;
                cws_status expected = table[i].found ? CWS_ERR_SANDBOX
                                      : k            ? CWS_OK
                                                     : CWS_ERR_NOT_FOUND;
                cws_stop_opts o;
                cws_sandbox *sb = api_running(t);
                memset(&o, 0, sizeof(o));
                o.missing_ok = k;
                script_error(&t->s, "DeleteSandbox", table[i].code, "x", detail)->times = 2;
                CHECK_INT(api_stop(t, sb, &o), expected);
                CHECK_INT(cws_sandbox_state(sb),
                          expected ? CWS_STATE_RUNNING : CWS_STATE_TERMINATED);
                CHECK_INT(api_delete(t, "sb-1", k), expected);
                CHECK_INT(t->s.call_count, 2);
                if (expected == CWS_ERR_NOT_FOUND) CHECK_STR(t->err.sandbox_id, "sb-1");
                CHECK_STR(script_json(&t->s, "DeleteSandbox", 1), "{\"sandboxId\":\"sb-1\"}");
            }
    }
    EACH("L55: delete by id: no grace, no wait, the request timeout") {
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        CHECK_INT(api_delete(t, "sb-1", false), CWS_OK);
        CHECK_STR(script_json(&t->s, "DeleteSandbox", 0), "{\"sandboxId\":\"sb-1\"}");
        CHECK_INT(t->s.calls[0].timeout_ms, 300000);
        CHECK_INT(t->s.call_count, 1);
    }
    EACH("a repeated delete that finds nothing any more is a success") {
        cws_sandbox *sb = api_running(t);
        script_end(&t->s, "DeleteSandbox", CWS_END_LOST);
        script_error(&t->s, "DeleteSandbox", "not_found", "", NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATED);
        script_error(&t->s, "DeleteSandbox", "unavailable", "", NULL);
        script_error(&t->s, "DeleteSandbox", "not_found", "", NULL);
        CHECK_INT(api_delete(t, "sb-1", false), CWS_OK);
    }
    STREAMING("L48: stops that overlap join: one delete, the first one's grace, one poll") {
        cws_sandbox *sb = api_running(t);
        cws_stop_opts o;
        cws_op *ops[3];
        size_t i;
        memset(&o, 0, sizeof(o));
        o.graceful_shutdown_seconds = 3;
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"))->delay = 500;
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->delay = 1000;
        CHECK_INT(cws_sandbox_stop_begin(sb, &o, &ops[0], &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_until_complete_begin(sb, NULL, &ops[2], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 3, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_op_status(ops[0], &t->err), CWS_OK);
        CHECK_INT(cws_op_status(ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_op_status(ops[2], &t->err), CWS_ERR_TERMINATED);
        CHECK_INT(script_count(&t->s, "DeleteSandbox"), 1);
        HAS(script_json(&t->s, "DeleteSandbox", 0), "\"gracePeriodSeconds\":3");
        for (i = 0; i < 3; i++) cws_op_free(ops[i]);
    }
    STREAMING("L50: one who joins with missing_ok is content; the first one hears of NOT_FOUND") {
        cws_sandbox *sb = api_running(t);
        cws_stop_opts o;
        cws_op *a, *b;
        memset(&o, 0, sizeof(o));
        o.missing_ok = true;
        script_error(&t->s, "DeleteSandbox", "not_found", "", NULL);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, &o, &b, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_NOT_FOUND);
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATED);
        cws_op_free(a);
        cws_op_free(b);
    }
    STREAMING("a stop whose caller cancels goes on for the others") {
        cws_sandbox *sb = api_running(t);
        cws_op *a, *b;
        api_ended(t, "sb-1", "COMPLETED")->delay = 500;
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &b, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK(cws_op_cancel(a));
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_CANCELLED);
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_OK);
        cws_op_free(a);
        cws_op_free(b);
    }
    EACH("L21: a sandbox that is draining already is not deleted, only awaited") {
        cws_sandbox *sb = api_found(t, BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "GetSandbox");
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK); /* not ours: no termination */
    }
    EACH("L46: NOT_FOUND after our stop is a race: asked again for 2 s, then COMPLETED or FAILED") {
        static const char *const ends[] = {EXITED("COMPLETED", 0), BOX("FAILED")};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_running(t);
            script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
            script_error(&t->s, "GetSandbox", "not_found", "", NULL)->times = 2;
            script_ok(&t->s, "GetSandbox", ends[i]);
            CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
            CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 300");
        }
    }
    EACH("L46: NOT_FOUND that stays is its own error after 2 s; nothing is invented") {
        cws_sandbox *sb = api_running(t);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_error(&t->s, "GetSandbox", "not_found", "", NULL)->times = -1;
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_TERMINAL_STATE_UNAVAILABLE);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATING);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 300 450 675 375");
    }
    EACH("L46: with missing_ok that is success; without a stop NOT_FOUND counts at once") {
        cws_stop_opts o;
        cws_sandbox *sb = api_found(t, BOX("TERMINATING"));
        script_reply *gone;
        memset(&o, 0, sizeof(o));
        o.missing_ok = true;
        gone = script_error(&t->s, "GetSandbox", "not_found", "", NULL);
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_NOT_FOUND);
        CHECK_INT(t->s.call_count, 1);
        gone->times = -1;
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATED);
        gone->times = 0;
        sb = api_found(t, BOX("TERMINATING"));
        script_error(&t->s, "GetSandbox", "not_found", "", NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_NOT_FOUND); /* somebody else's drain, no mercy */
        CHECK_INT(t->s.call_count, 1);
    }
    EACH("a stop is bounded: the time of its options, or grace and a minute") {
        cws_stop_opts o;
        cws_sandbox *sb = api_running(t);
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 5;
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"))->times = -1;
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 5000);
        HAS(t->err.message, "terminating");
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        from = t->s.now;
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 70000);
        CHECK_INT(script_count(&t->s, "DeleteSandbox"), 1); /* it is accepted: only awaited */
    }
    EACH("a delete that is never answered ends after grace and 10 s, and leaves it tracked") {
        cws_sandbox *sb = api_running(t);
        int64_t from = t->s.now;
        script_never(&t->s, "DeleteSandbox");
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(t->s.now - from, 20000);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
}

static void api_test_stop_again(void)
{
    EACH("a stop of ours that ended in a state of nothing is over: no second delete") {
        cws_sandbox *sb = api_running(t);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("UNSPECIFIED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "DeleteSandbox GetSandbox");
    }
    EACH("a stop of a presumed end waits for the real one") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("UNSPECIFIED"));
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"))->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(script_count(&t->s, "GetSandbox"), 4);
    }
    ONCE("a delete that finds nothing is fine once the end was seen") {
        cws_sandbox *sb = api_running(t);
        cws_op *op;
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->delay = 100;
        script_error(&t->s, "DeleteSandbox", "not_found", "gone", NULL)->delay = 500;
        CHECK_INT(cws_sandbox_wait_until_complete_begin(sb, NULL, &op, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_op_status(op, NULL), CWS_OK);
        cws_op_free(op);
    }
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void api_test_list(void)
{
    EACH("L54: without filters an empty request; elements are sandboxes; order as delivered") {
        cws_sandboxes *list = NULL;
        cws_sandbox *taken;
        script_ok(&t->s, "ListSandboxes",
                  "{\"sandboxes\":[" BOX_ID("b", "RUNNING") "," BOX_ID("a", "PENDING") "]}");
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        CHECK_STR(script_json(&t->s, "ListSandboxes", 0), "{}");
        CHECK_INT(cws_sandboxes_count(list), 2);
        CHECK_STR(cws_sandbox_id(cws_sandboxes_at(list, 0)), "b");
        CHECK_INT(cws_sandbox_state(cws_sandboxes_at(list, 1)), CWS_STATE_PENDING);
        CHECK(cws_sandboxes_at(list, 2) == NULL);
        CHECK(cws_sandboxes_take(list, 2) == NULL);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        taken = cws_sandboxes_take(list, 0);
        cws_sandboxes_free(list);
        CHECK_STR(cws_sandbox_id(taken), "b");
        api_ended(t, "b", "COMPLETED");
        CHECK_INT(api_stop(t, taken, NULL), CWS_OK);
        cws_sandbox_free(taken);
    }
    EACH("L22 L54: filters: the session's tags and the given ones; selectors; state; ended ones") {
        static const char *const first[] = {"a", NULL}, *const second[] = {"b", NULL};
        static const char *const runners[] = {"r", NULL}, *const none[] = {NULL};
        cws_sandboxes *list = NULL;
        cws_session_list_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.tags = first;
        t->defaults.runner_ids = runners;
        script_ok(&t->s, "ListSandboxes", "{}")->times = 4;
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        CHECK_INT(cws_sandboxes_count(list), 0);
        cws_sandboxes_free(list);
        CHECK_STR(script_json(&t->s, "ListSandboxes", 0),
                  "{\"tags\":[\"a\"],\"runnerIds\":[\"r\"]}");
        o.tags = second;
        o.runner_ids = none;
        o.state = CWS_STATE_RUNNING;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandboxes_free(list);
        CHECK_STR(script_json(&t->s, "ListSandboxes", 1),
                  "{\"tags\":[\"a\",\"b\"],\"state\":\"STATE_RUNNING\"}");
        o.state = CWS_STATE_FAILED;
        o.runner_ids = second;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandboxes_free(list);
        CHECK_STR(script_json(&t->s, "ListSandboxes", 2),
                  "{\"tags\":[\"a\",\"b\"],\"state\":\"STATE_FAILED\",\"showTerminated\":true,"
                  "\"runnerIds\":[\"b\"]}");
        o.state = CWS_STATE_NOT_STARTED;
        o.include_stopped = true;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandboxes_free(list);
        HAS(script_json(&t->s, "ListSandboxes", 3), "\"showTerminated\":true");
        HAS_NOT(script_json(&t->s, "ListSandboxes", 3), "state\"");
        o.state = (cws_state)50;
        CHECK_INT(api_list(t, &o, &list), CWS_ERR_INVALID_ARGUMENT);
        o.state = CWS_STATE_NOT_STARTED;
        o.tags = none;
        o.runner_ids = first;
        CHECK(list == NULL);
    }
    EACH("L54: all pages are followed, under one deadline") {
        cws_sandboxes *list = NULL;
        cws_session_list_opts o;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 10;
        script_ok(&t->s, "ListSandboxes",
                  "{\"sandboxes\":[" BOX_ID("a", "RUNNING") "],\"nextPageToken\":\"t1\"}")
            ->delay = 3000;
        script_ok(&t->s, "ListSandboxes", "{\"nextPageToken\":\"t2\"}")->delay = 3000;
        script_ok(&t->s, "ListSandboxes", "{\"sandboxes\":[" BOX_ID("b", "RUNNING") "]}");
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        CHECK_INT(cws_sandboxes_count(list), 2);
        cws_sandboxes_free(list);
        CHECK_STR(script_json(&t->s, "ListSandboxes", 2), "{\"pageToken\":\"t2\"}");
        CHECK_INT(t->s.calls[0].timeout_ms, 10000);
        CHECK_INT(t->s.calls[2].timeout_ms, 4000);
        script_ok(&t->s, "ListSandboxes", "{\"nextPageToken\":\"t1\"}")->delay = 9000;
        script_ok(&t->s, "ListSandboxes", "{}")->delay = 9000;
        CHECK_INT(api_list(t, &o, &list), CWS_ERR_REQUEST_TIMEOUT);
        HAS(t->err.message, "List sandboxes timed out");
        CHECK(list == NULL);
        cws_sandboxes_free(list);
    }
    EACH("L54: a page token that comes again is an error, not a loop; nothing is adopted") {
        cws_sandboxes *list = NULL;
        cws_session_list_opts o;
        memset(&o, 0, sizeof(o));
        o.adopt = true;
        script_ok(&t->s, "ListSandboxes",
                  "{\"sandboxes\":[" BOX_ID("a", "RUNNING") "],\"nextPageToken\":\"t1\"}");
        script_ok(&t->s, "ListSandboxes", "{\"nextPageToken\":\"t2\"}");
        script_ok(&t->s, "ListSandboxes", "{\"nextPageToken\":\"t1\"}");
        CHECK_INT(api_list(t, &o, &list), CWS_ERR_PROTOCOL);
        CHECK_INT(t->s.call_count, 3);
        CHECK(list == NULL);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("L54: 100 pages are followed, one more is an error") {
        cws_sandboxes *list = NULL;
        char json[64];
        int i, round;
        for (round = 0; round < 2; round++) {
            for (i = 1; i <= 100; i++) {
                (void)snprintf(json, sizeof(json), "{\"nextPageToken\":\"t%d\"}", i);
                script_ok(&t->s, "ListSandboxes", i == 100 && round == 0 ? "{}" : json);
            }
            CHECK_INT(api_list(t, NULL, &list), round ? CWS_ERR_LIMIT : CWS_OK);
            cws_sandboxes_free(list);
            list = NULL;
        }
        CHECK_INT(t->s.call_count, 200);
    }
    EACH("a list is repeated while the service is unavailable, and not for other failures") {
        cws_sandboxes *list = NULL;
        script_error(&t->s, "ListSandboxes", "unavailable", "", NULL);
        script_ok(&t->s, "ListSandboxes", "{}");
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        cws_sandboxes_free(list);
        script_error(&t->s, "ListSandboxes", "internal", "", NULL);
        CHECK_INT(api_list(t, NULL, &list), CWS_ERR_SANDBOX);
        HAS(t->err.message, "List sandboxes failed");
    }
}

/* ---- v1beta2: states, start ------------------------------------------------------------------ */

static const cws_state op_b2_states[] = {
    CWS_STATE_UNSPECIFIED, CWS_STATE_CREATING, CWS_STATE_RUNNING, CWS_STATE_COMPLETED,
    CWS_STATE_FAILED, CWS_STATE_TERMINATED, CWS_STATE_PENDING, CWS_STATE_PAUSED,
    CWS_STATE_UNSPECIFIED, CWS_STATE_TERMINATING, CWS_STATE_UNSPECIFIED};

static const cws_state op_v1_states[] = {
    CWS_STATE_UNSPECIFIED, CWS_STATE_CREATING, CWS_STATE_RUNNING, CWS_STATE_COMPLETED,
    CWS_STATE_FAILED, CWS_STATE_TERMINATING, CWS_STATE_TERMINATED, CWS_STATE_PENDING,
    CWS_STATE_PAUSED, CWS_STATE_PREPARING, CWS_STATE_UNSPECIFIED};

static const char *op_state_reply(api *t, int number)
{
    char json[100];
    (void)snprintf(json, sizeof(json),
                   t->s.b2 ? "{'sandboxId':'sb-1','sandboxStatus':%d}"
                           : "{'sandboxId':'sb-1','status':{'state':%d}}",
                   number);
    return script_text(&t->s, json);
}

static void op_test_states(void)
{
    static const int more[] = {11, 42, 2147483647, -1};
    int b2, i;
    for (b2 = 0; b2 < 2; b2++)
        for (i = 0; i < 15; i++) {
            int number = i < 11 ? i : more[i - 11];
            cws_state state = i >= 11 ? CWS_STATE_UNSPECIFIED
                              : b2    ? op_b2_states[i]
                                      : op_v1_states[i];
            char name[40];
            (void)snprintf(name, sizeof(name), "31: state number %d", number);
            NW_ROW(b2 ? "v1beta2" : "v1", name, (size_t)i, b2)
            {
                cws_sandbox *sb = nw_found(t, op_state_reply(t, number));
                CHECK_INT(cws_sandbox_state(sb), state);
                CHECK_INT(cws_sandbox_last_info(sb)->state_number, number);
            }
        }
    B2_EACH("31: numbers that are newer than this header are waited through") {
        cws_sandbox *sb = nw_started(t);
        nw_ok(t, "Get", op_state_reply(t, 8));
        nw_ok(t, "Get", op_state_reply(t, 10));
        nw_ok(t, "Get", op_state_reply(t, 4711));
        nw_ok(t, "Get", B2_GET("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(script_count(&t->s, "Get"), 4);
        IS("Get", 0, "{'sandboxId':'sb-1'}");
    }
    B2_EACH("32: a status of 0 while polling is a clean end") {
        cws_sandbox *sb = nw_started(t);
        nw_ok(t, "Get", "{'sandboxId':'sb-1'}"); /* nobody looks for an exit code */
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK(!cws_sandbox_last_info(sb)->has_exit_code);
    }
    B2_EACH("33: the exit code of a Get, 0 included") {
        cws_sandbox *sb = nw_running(t);
        nw_ok(t, "Get", "{'sandboxId':'sb-1','sandboxStatus':'SANDBOX_STATUS_COMPLETED',"
                        "'exitCode':0}");
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK(cws_sandbox_last_info(sb)->has_exit_code);
        CHECK_INT(cws_sandbox_last_info(sb)->exit_code, 0);
    }
    B2_EACH("38: FAILED tells its reason, TERMINATED is told apart") {
        cws_sandbox *sb = nw_started(t);
        nw_ok(t, "Get", "{'sandboxId':'sb-1','sandboxStatus':'SANDBOX_STATUS_FAILED',"
                        "'statusReason':'no such image'}");
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_FAILED);
        HAS(t->err.message, "no such image");
        sb = nw_started(t);
        nw_ok(t, "Get", B2_GET("TERMINATED"));
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_TERMINATED);
    }
}

static void op_test_start(void)
{
    static const char *const codes[] = {"unavailable", "deadline_exceeded", "internal", "unknown",
                                        "aborted", "resource_exhausted", "canceled"};
    static const cws_end ends[] = {CWS_END_LOST, CWS_END_RESET, CWS_END_TIMEOUT, CWS_END_PROTOCOL};
    size_t i;
    for (i = 0; i < CWSI_COUNT(codes) + CWSI_COUNT(ends); i++)
        NW_ROW("26, v1beta2: a Start is not repeated, a later one is another",
               i < CWSI_COUNT(codes) ? codes[i] : "the connection", i, true)
        {
            cws_sandbox *sb = api_box(t, NULL);
            int64_t now = t->s.now;
            if (i < CWSI_COUNT(codes)) script_error(&t->s, "Start", codes[i], "why", NULL);
            else script_end(&t->s, "Start", ends[i - CWSI_COUNT(codes)]);
            CHECK(api_start(t, sb) != CWS_OK);
            CHECK_INT(t->s.call_count, 1);
            CHECK_INT(t->s.now, now);
            CHECK_STR(cws_sandbox_id(sb), "");
            CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
            nw_ok(t, "Start", STARTED);
            CHECK_INT(api_start(t, sb), CWS_OK);
            CHECK_INT(t->s.call_count, 2);
            CHECK_STR(cws_sandbox_id(sb), "sb-1");
            CHECK_STR(script_json(&t->s, "Start", 1), script_json(&t->s, "Start", 0));
            CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PENDING);
        }
    B2_EACH("26: a Start that surely did not arrive is repeated") {
        cws_sandbox *sb = api_box(t, NULL);
        script_end(&t->s, "Start", CWS_END_NOT_SENT);
        nw_ok(t, "Start", STARTED);
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_INT(t->s.call_count, 2);
    }
    B2_EACH("26: a start in doubt is said in the log; a stop then has nothing to stop") {
        cws_sandbox *sb = api_box(t, NULL);
        script_end(&t->s, "Start", CWS_END_LOST);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        HAS(t->said, "a sandbox may exist until its lifetime ends");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        CHECK_STR(script_calls(&t->s), "Start");
    }
    B2_EACH("26: CANCELLED is not running; a Start times out with the request timeout") {
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.request_timeout_seconds = 7;
        script_error(&t->s, "Start", "canceled", "why", NULL);
        CHECK_INT(api_start(t, api_box(t, &o)), CWS_ERR_NOT_RUNNING);
        CHECK_INT(script_call_at(&t->s, "Start", 0)->timeout_ms, 7000);
        script_never(&t->s, "Start");
        CHECK_INT(api_start(t, api_box(t, &o)), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(script_count(&t->s, "Start"), 2);
    }
    B2_EACH("a reply without an id, or with one that is too long, is no sandbox") {
        char json[300];
        nw_ok(t, "Start", "{'sandboxStatus':'SANDBOX_STATUS_RUNNING'}");
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_PROTOCOL);
        (void)snprintf(json, sizeof(json), "{'sandboxId':'%0200d'}", 1);
        nw_ok(t, "Start", json);
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_PROTOCOL);
    }
}

/* ---- v1beta2: stop, delete, close ------------------------------------------------------------ */

static void op_test_stop(void)
{
    static const struct {
        double grace;
        int seconds;
    } graces[] = {{0, 10}, {CWS_NONE, 0}, {1, 1}, {0.5, 1}, {10.2, 11}, {45, 45}, {86400, 86400}};
    size_t i;
    for (i = 0; i < CWSI_COUNT(graces); i++)
        NW_ROW("v1beta2", "11.4: grace, its limit at the server, and the deadline", i, true)
        {
            cws_sandbox *sb = nw_running(t);
            cws_stop_opts o;
            char json[200];
            int s = graces[i].seconds;
            memset(&o, 0, sizeof(o));
            o.graceful_shutdown_seconds = graces[i].grace;
            nw_ok(t, "Stop", ACCEPTED);
            nw_ok(t, "Get", B2_GET("TERMINATING"));
            nw_ok(t, "Get", B2_GET("COMPLETED"));
            CHECK_INT(api_stop(t, sb, &o), CWS_OK);
            if (s)
                (void)snprintf(json, sizeof(json), "{'sandboxId':'sb-1',"
                               "'gracefulShutdownSeconds':%d,'maxTimeoutSeconds':%d}", s, s + 5);
            else (void)snprintf(json, sizeof(json), "{'sandboxId':'sb-1','maxTimeoutSeconds':5}");
            IS("Stop", 0, json);
            CHECK_INT(script_call_at(&t->s, "Stop", 0)->timeout_ms, (s + 10) * 1000LL);
            CHECK_STR(script_calls(&t->s), "Stop Get Get");
            CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
            CHECK_INT(cws_session_sandbox_count(t->session), 0); /* 21 */
        }
    B2_EACH("48: a stop that says no is an error with the server's text, and may be repeated") {
        cws_sandbox *sb = nw_running(t);
        nw_ok(t, "Stop", "{'errorMessage':'it does not want to'}");
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_SANDBOX);
        HAS(t->err.message, "it does not want to");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        nw_ok(t, "Stop", "{}");
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_SANDBOX);
        HAS(t->err.message, "unknown error");
        nw_ok(t, "Stop", ACCEPTED);
        nw_ok(t, "Get", B2_GET("FAILED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK); /* idempotent */
        CHECK_STR(script_calls(&t->s), "Stop Stop Stop Get");
    }
    B2_EACH("48: never started: no call, and it can not be started any more") {
        cws_sandbox *sb = api_box(t, NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_NOT_RUNNING);
        CHECK_INT(t->s.call_count, 0);
    }
    B2_EACH("49: not found, by code and by reason, with and without missing_ok") {
        static const char *const codes[] = {"not_found", "internal", "failed_precondition"};
        cws_stop_opts o;
        size_t k;
        memset(&o, 0, sizeof(o));
        for (k = 0; k < 6; k++) {
            cws_sandbox *sb = nw_running(t);
            const char *why =
                k % 3 ? script_reason(&t->s, "CWSANDBOX_SANDBOX_NOT_FOUND", "cwsandbox.com") : NULL;
            o.missing_ok = k < 3;
            script_error(&t->s, "Stop", codes[k % 3], "gone", why);
            CHECK_INT(api_stop(t, sb, &o), k < 3 ? CWS_OK : CWS_ERR_NOT_FOUND);
            CHECK_INT(cws_sandbox_state(sb), k < 3 ? CWS_STATE_TERMINATED : CWS_STATE_RUNNING);
            CHECK_STR(script_calls(&t->s), "Stop");
            script_error(&t->s, "Delete", codes[k % 3], "gone", why);
            CHECK_INT(api_delete(t, "sb-9", k < 3), k < 3 ? CWS_OK : CWS_ERR_NOT_FOUND);
        }
        script_error(&t->s, "Delete", "internal", "gone", NULL);
        CHECK_INT(api_delete(t, "sb-9", true), CWS_ERR_SANDBOX);
    }
    B2_EACH("55: delete by id is Delete, and may say no") {
        nw_ok(t, "Delete", ACCEPTED);
        CHECK_INT(api_delete(t, "sb-9", false), CWS_OK);
        IS("Delete", 0, "{'sandboxId':'sb-9'}");
        nw_ok(t, "Delete", "{'errorMessage':'because'}");
        CHECK_INT(api_delete(t, "sb-9", true), CWS_ERR_SANDBOX);
        HAS(t->err.message, "because");
        CHECK_STR(t->err.sandbox_id, "sb-9");
        CHECK_STR(script_calls(&t->s), "Delete Delete");
    }
    B2_EACH("55: a Delete in doubt is repeated; then NOT_FOUND says that it is done") {
        script_end(&t->s, "Delete", CWS_END_LOST);
        script_error(&t->s, "Delete", "not_found", "gone", NULL);
        CHECK_INT(api_delete(t, "sb-9", false), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Delete Delete");
    }
    B2_EACH("48: a Stop in doubt is repeated; then NOT_FOUND says that it is done") {
        cws_sandbox *sb = nw_running(t);
        script_end(&t->s, "Stop", CWS_END_LOST);
        script_error(&t->s, "Stop", "not_found", "gone", NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Stop Stop");
        CHECK_STR(script_json(&t->s, "Stop", 1), script_json(&t->s, "Stop", 0));
    }
    B2_EACH("48: a Stop that never answers ends, and leaves the sandbox as it was") {
        cws_sandbox *sb = nw_running(t);
        script_never(&t->s, "Stop")->times = -1;
        CHECK(api_stop(t, sb, NULL) != CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    B2_EACH("46: gone right behind an accepted stop is looked for once more") {
        cws_sandbox *sb = nw_running(t);
        nw_ok(t, "Stop", ACCEPTED);
        script_error(&t->s, "Get", "not_found", "gone", NULL);
        nw_ok(t, "Get", B2_GET("COMPLETED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Stop Get Get");
    }
    B2_EACH("19, 20: close stops all, goes on after one that says no, and tells which") {
        const cws_sandbox *failed = NULL;
        cws_sandbox *never = api_box(t, NULL), *a = nw_running(t);
        (void)nw_running(t);
        nw_ok(t, "Stop", "{'errorMessage':'not me'}");
        nw_ok(t, "Stop", ACCEPTED);
        nw_ok(t, "Get", B2_GET("COMPLETED"));
        CHECK_INT(cws_session_sandbox_count(t->session), 3);
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK_INT(script_count(&t->s, "Stop"), 2);
        CHECK(cws_session_failed_at(t->session, 0, &failed, NULL));
        CHECK(failed == a);
        CHECK(!cws_session_failed_at(t->session, 1, NULL, NULL));
        CHECK_INT(api_start(t, never), CWS_ERR_NOT_RUNNING);
        nw_ok(t, "Stop", ACCEPTED);
        nw_ok(t, "Get", B2_GET("COMPLETED"));
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(script_count(&t->s, "Stop"), 3);
    }
}

/* ---- v1beta2: list, from_id ------------------------------------------------------------------ */

static void op_test_list(void)
{
    B2_EACH("22: no filter; the session's tags and selectors; own ones replace or clear") {
        cws_session_list_opts o;
        cws_sandboxes *list = NULL;
        t->defaults.tags = STRINGS("d");
        t->defaults.profile_ids = STRINGS("p0");
        t->defaults.runner_ids = STRINGS("r0");
        nw_ok(t, "List", "{}")->times = 4;
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        CHECK_INT(cws_sandboxes_count(list), 0);
        cws_sandboxes_free(list);
        IS("List", 0, "{'tags':['d'],'profileIds':['p0'],'runnerIds':['r0']}");
        memset(&o, 0, sizeof(o));
        o.tags = STRINGS("a", "b");
        o.profile_ids = STRINGS("p1", "p2");
        o.profile_names = STRINGS("n1");
        o.runner_ids = STRINGS("r1");
        o.state = CWS_STATE_RUNNING;
        o.include_stopped = true;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandboxes_free(list);
        IS("List", 1, "{'tags':['d','a','b'],'status':'SANDBOX_STATUS_RUNNING','profileIds':"
                      "['p1','p2'],'runnerIds':['r1'],'includeStopped':true,"
                      "'profileNames':['n1']}");
        memset(&o, 0, sizeof(o));
        o.profile_ids = o.runner_ids = NO_STRINGS;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandboxes_free(list);
        IS("List", 2, "{'tags':['d']}");
        o.timeout_seconds = 3;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandboxes_free(list);
        CHECK_INT(script_call_at(&t->s, "List", 3)->timeout_ms, 3000);
    }
    B2_EACH("54: each state as a filter") {
        static const struct {
            cws_state state;
            const char *json;
        } states[] = {{CWS_STATE_CREATING, "{'status':'SANDBOX_STATUS_CREATING'}"},
                      {CWS_STATE_RUNNING, "{'status':'SANDBOX_STATUS_RUNNING'}"},
                      {CWS_STATE_PENDING, "{'status':'SANDBOX_STATUS_PENDING'}"},
                      {CWS_STATE_PAUSED, "{'status':'SANDBOX_STATUS_PAUSED'}"},
                      {CWS_STATE_TERMINATING, "{'status':'SANDBOX_STATUS_TERMINATING'}"},
                      {CWS_STATE_COMPLETED,
                       "{'status':'SANDBOX_STATUS_COMPLETED','includeStopped':true}"},
                      {CWS_STATE_FAILED,
                       "{'status':'SANDBOX_STATUS_FAILED','includeStopped':true}"},
                      {CWS_STATE_TERMINATED,
                       "{'status':'SANDBOX_STATUS_TERMINATED','includeStopped':true}"},
                      {CWS_STATE_NOT_STARTED, "{}"}};
        cws_session_list_opts o;
        size_t i;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < CWSI_COUNT(states); i++) {
            cws_sandboxes *list = NULL;
            nw_ok(t, "List", "{}");
            o.state = states[i].state;
            CHECK_INT(api_list(t, &o, &list), CWS_OK);
            cws_sandboxes_free(list);
            IS("List", i, states[i].json);
        }
    }
    B2_EACH("a filter by a state that the dialect does not have is refused, not dropped") {
        cws_session_list_opts o;
        cws_sandboxes *list = NULL;
        memset(&o, 0, sizeof(o));
        o.state = CWS_STATE_PREPARING; /* a list of everything is not what was asked for */
        CHECK_INT(api_list(t, &o, &list), CWS_ERR_UNSUPPORTED);
        cws_sandboxes_free(list);
    }
    B2_EACH("54: pages; elements are attached, with what a list tells") {
        cws_sandboxes *list = NULL;
        cws_session_list_opts o;
        const cws_sandbox_info *info;
        memset(&o, 0, sizeof(o));
        o.adopt = true;
        nw_ok(t, "List", "{'sandboxes':[{'sandboxId':'a','sandboxStatus':'SANDBOX_STATUS_RUNNING',"
                         "'runnerId':'r','runnerGroupId':'g','startedAtTime':"
                         "'2026-01-02T03:04:05Z'}],'nextPageToken':'p2'}");
        nw_ok(t, "List", "{'sandboxes':[{'sandboxId':'b','sandboxStatus':"
                         "'SANDBOX_STATUS_COMPLETED'}]}");
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        IS("List", 1, "{'pageToken':'p2'}");
        if (CHECK_INT(cws_sandboxes_count(list), 2)) {
            info = cws_sandbox_last_info(cws_sandboxes_at(list, 0));
            CHECK_STR(info->sandbox_id, "a");
            CHECK_STR(info->runner_id, "r");
            CHECK_STR(info->runner_group_id, "g");
            CHECK_INT(info->start_unix_ms, 1767323045000);
            CHECK_INT(info->state, CWS_STATE_RUNNING);
            CHECK_INT(cws_sandbox_state(cws_sandboxes_at(list, 1)), CWS_STATE_COMPLETED);
        }
        CHECK_INT(cws_session_sandbox_count(t->session), 2);
        cws_sandboxes_free(list);
        nw_ok(t, "List", "{'nextPageToken':'x'}")->times = 2;
        CHECK_INT(api_list(t, NULL, &list), CWS_ERR_PROTOCOL); /* a token that comes again */
        nw_ok(t, "List", "{'sandboxes':[{'sandboxId':'a'},{'sandboxStatus':2}]}");
        CHECK_INT(api_list(t, NULL, &list), CWS_ERR_PROTOCOL); /* not a list of one */
        HAS(t->err.message, "a sandbox of the reply has no id");
    }
    B2_EACH("22, 55: from_id adopts unless told not to; not found") {
        cws_sandbox *sb = NULL;
        nw_ok(t, "Get", B2_GET("RUNNING"))->times = 2;
        CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
        IS("Get", 0, "{'sandboxId':'sb-1'}");
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_from_id(t, "sb-1", false, &sb), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        script_error(&t->s, "Get", "not_found", "no", NULL);
        CHECK_INT(api_from_id(t, "sb-2", false, &sb), CWS_ERR_NOT_FOUND);
        CHECK_STR(t->err.sandbox_id, "sb-2");
    }
    B2_EACH("34: get_status asks once, and an ended sandbox from memory") {
        cws_sandbox *sb = nw_running(t);
        cws_state state = CWS_STATE_NOT_STARTED;
        nw_ok(t, "Get", B2_GET("PAUSED"));
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_PAUSED);
        CHECK_INT(script_call_at(&t->s, "Get", 0)->timeout_ms, 15000);
        nw_ok(t, "Get", B2_GET("COMPLETED"));
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_COMPLETED);
        CHECK_INT(script_count(&t->s, "Get"), 2);
    }
}

/* ---- v1beta2: several at once ---------------------------------------------------------------- */

static void op_test_together(void)
{
    B2_RUN("26: a stop waits for the Start in flight and stops what it made", API_ASYNC) {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *start = NULL, *stop = NULL;
        nw_ok(t, "Start", STARTED)->delay = 1000;
        nw_ok(t, "Stop", ACCEPTED);
        nw_ok(t, "Get", B2_GET("COMPLETED"));
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0.001, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &stop, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(stop, -1, &t->err), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Start Stop Get");
        cws_op_free(start);
        cws_op_free(stop);
    }
    B2_RUN("36, 48: waiters share one poll, and stops one Stop", API_ASYNC) {
        cws_sandbox *sb = nw_started(t);
        cws_op *ops[4] = {NULL, NULL, NULL, NULL};
        size_t i;
        nw_ok(t, "Get", B2_GET("RUNNING"));
        nw_ok(t, "Stop", ACCEPTED);
        nw_ok(t, "Get", B2_GET("COMPLETED"));
        for (i = 0; i < 2; i++)
            CHECK_INT(cws_sandbox_wait_begin(sb, NULL, &ops[i], &t->err), CWS_OK);
        api_settle(t);
        for (i = 2; i < 4; i++)
            CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &ops[i], &t->err), CWS_OK);
        api_settle(t);
        CHECK_STR(script_calls(&t->s), "Get Stop Get");
        for (i = 0; i < 4; i++) {
            CHECK_INT(cws_op_status(ops[i], &t->err), CWS_OK);
            cws_op_free(ops[i]);
        }
    }
    B2_EACH("26: a hint to come again does not repeat a Start") {
        cws_sandbox *sb = api_box(t, NULL);
        script_error(&t->s, "Start", "unavailable", "later", script_hint(&t->s, "1s"));
        CHECK_INT(api_start(t, sb), CWS_ERR_UNAVAILABLE);
        CHECK(t->err.has_retry_after);
        CHECK_INT(t->s.call_count, 1);
    }
    B2_EACH("there is no token of a Start that an error could tell") {
        script_error(&t->s, "Start", "internal", "no", NULL);
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_SANDBOX);
        CHECK_STR(t->err.request_id, "");
    }
}

/* ---- placement that spills over -------------------------------------------------------------- */

static void op_refuse(api *t, const char *code, const char *reason, const char *domain)
{
    script_error(&t->s, "CreateSandbox", code, "no room", script_reason(&t->s, reason, domain));
}

static void op_test_spillover(void)
{
    static const char *const room[] = {
        "CWSANDBOX_RUNNER_CAPACITY_EXHAUSTED",        "CWSANDBOX_PLACEMENT_REJECTED",
        "CWSANDBOX_PLACEMENT_CONSTRAINT_UNSATISFIED", "CWSANDBOX_NO_SUITABLE_RUNNER",
        "CWSANDBOX_RUNNER_OVERLOADED",                "CWSANDBOX_RUNNER_UNAVAILABLE"};
    static const char *const other[] = {"CWSANDBOX_SERVERLESS_NOT_ALLOWED",
                                        "CWSANDBOX_SERVERLESS_DISABLED",
                                        "CWSANDBOX_SERVERLESS_MISCONFIGURED",
                                        "CWSANDBOX_SOMETHING"};
    EACH("30: a create that is refused for want of room is tried once with the other placement") {
        size_t i;
        cws_sandbox_opts o = {.runner_ids = STRINGS("r"),
                              .spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS};
        for (i = 0; i < CWSI_COUNT(room); i++) {
            cws_sandbox *sb = api_box(t, &o);
            size_t n = script_count(&t->s, "CreateSandbox");
            op_refuse(t, i == 5 ? "unavailable" : "failed_precondition", room[i], "cwsandbox.com");
            nw_ok(t, "CreateSandbox", "{'sandboxId':'sb-1'}");
            CHECK_INT(api_start(t, sb), CWS_OK);
            CHECK_INT(script_count(&t->s, "CreateSandbox"), n + 2);
            HAS(script_json(&t->s, "CreateSandbox", n), "\"runnerIds\":[\"r\"]");
            HAS(script_json(&t->s, "CreateSandbox", n), "\"mode\":\"SANDBOX_MODE_CKS\"");
            HAS_NOT(script_json(&t->s, "CreateSandbox", n + 1), "runnerIds");
            HAS(script_json(&t->s, "CreateSandbox", n + 1),
                "\"mode\":\"SANDBOX_MODE_SERVERLESS\"");
            CHECK(strcmp(strstr(script_json(&t->s, "CreateSandbox", n), "requestId"),
                         strstr(script_json(&t->s, "CreateSandbox", n + 1), "requestId")) != 0);
        }
    }
    EACH("30: the other way round; and no more than once") {
        cws_sandbox_opts o = {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS};
        cws_sandbox *sb = api_box(t, &o);
        op_refuse(t, "failed_precondition", room[0], "cwsandbox.com");
        op_refuse(t, "failed_precondition", room[1], "cwsandbox.com");
        CHECK(api_start(t, sb) != CWS_OK);
        CHECK_STR(t->err.reason, room[1]); /* that of the second; the first is in the log */
        HAS(t->said, "RUNNER_CAPACITY_EXHAUSTED); trying the other placement");
        HAS(script_json(&t->s, "CreateSandbox", 0), "\"mode\":\"SANDBOX_MODE_SERVERLESS\"");
        HAS(script_json(&t->s, "CreateSandbox", 1), "\"mode\":\"SANDBOX_MODE_CKS\"");
        nw_ok(t, "CreateSandbox", "{'sandboxId':'sb-1'}"); /* later: the first again */
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_json(&t->s, "CreateSandbox", 2), script_json(&t->s, "CreateSandbox", 0));
    }
    EACH("30: STRICT, of its own or as the default, has a single attempt") {
        cws_sandbox_opts o = {.placement = CWS_PLACEMENT_CKS}, own = o;
        size_t i;
        own.spillover = CWS_SPILLOVER_STRICT;
        for (i = 0; i < 2; i++) {
            op_refuse(t, "failed_precondition", room[0], "cwsandbox.com");
            CHECK(api_start(t, api_box(t, i ? &own : &o)) != CWS_OK);
            CHECK_STR(t->err.reason, room[0]);
            CHECK_INT(script_count(&t->s, "CreateSandbox"), i + 1);
        }
    }
    EACH("30: after a second refusal the first create is the next, or the second if in doubt") {
        static const struct {
            const char *code, *reason;
            bool doubt;
        } rows[] = {{"failed_precondition", "CWSANDBOX_NO_SUITABLE_RUNNER", false},
                    {"unavailable", "CWSANDBOX_RUNNER_UNAVAILABLE", false},
                    {"failed_precondition", "CWSANDBOX_SERVERLESS_NOT_ALLOWED", false},
                    {"permission_denied", "CWSANDBOX_SERVERLESS_DISABLED", false},
                    {"permission_denied", NULL, false},
                    {"unauthenticated", NULL, false},
                    {"not_found", NULL, false},
                    {"resource_exhausted", "CWSANDBOX_QUOTA", false},
                    {"internal", "CWSANDBOX_SOMETHING", false},
                    {"unavailable", NULL, true},
                    {"unavailable", "CWSANDBOX_BACKEND_UNAVAILABLE", true},
                    {"deadline_exceeded", NULL, true},
                    {"canceled", NULL, true},
                    {"internal", NULL, true}};
        size_t i;
        cws_sandbox_opts o = {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS};
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            cws_sandbox *sb = api_box(t, &o);
            size_t n = script_count(&t->s, "CreateSandbox");
            op_refuse(t, "failed_precondition", room[0], "cwsandbox.com");
            script_error(&t->s, "CreateSandbox", rows[i].code, "why",
                         rows[i].reason ? script_reason(&t->s, rows[i].reason, "cwsandbox.com")
                                        : NULL);
            CHECK(api_start(t, sb) != CWS_OK);
            CHECK_STR(t->err.reason, rows[i].reason ? rows[i].reason : "");
            HAS(script_json(&t->s, "CreateSandbox", n + 1), "CKS");
            nw_ok(t, "CreateSandbox", "{'sandboxId':'sb-1'}");
            CHECK_INT(api_start(t, sb), CWS_OK);
            CHECK_INT(script_count(&t->s, "CreateSandbox"), n + 3);
            CHECK_STR(script_json(&t->s, "CreateSandbox", n + 2),
                      script_json(&t->s, "CreateSandbox", n + rows[i].doubt));
        }
    }
    EACH("30: while the first create is in doubt there is no second") {
        cws_sandbox_opts o = {.spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS};
        cws_sandbox *sb = api_box(t, &o);
        script_end(&t->s, "CreateSandbox", CWS_END_LOST);
        op_refuse(t, "resource_exhausted", room[0], "cwsandbox.com");
        CHECK_INT(api_start(t, sb), CWS_ERR_RESOURCE_EXHAUSTED);
        CHECK_INT(script_count(&t->s, "CreateSandbox"), 2);
        nw_ok(t, "CreateSandbox", "{'sandboxId':'sb-1'}"); /* a stop asks again, and deletes */
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(script_json(&t->s, "CreateSandbox", 2), script_json(&t->s, "CreateSandbox", 0));
        CHECK_STR(api_calls(t), "CreateSandbox CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("30: other refusals, and other people's reasons, are the result") {
        size_t i;
        cws_sandbox_opts o = {.spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS};
        for (i = 0; i < CWSI_COUNT(other) + 5; i++) {
            cws_sandbox *sb = api_box(t, &o);
            size_t n = script_count(&t->s, "CreateSandbox");
            if (i < CWSI_COUNT(other))
                op_refuse(t, "failed_precondition", other[i], "cwsandbox.com");
            else if (i == CWSI_COUNT(other))
                op_refuse(t, "failed_precondition", room[0], "example.com");
            else if (i == CWSI_COUNT(other) + 1)
                script_error(&t->s, "CreateSandbox", "invalid_argument", "", NULL);
            else if (i == CWSI_COUNT(other) + 2)
                script_error(&t->s, "CreateSandbox", "unauthenticated", "", NULL);
            else if (i == CWSI_COUNT(other) + 3)
                script_error(&t->s, "CreateSandbox", "permission_denied", "", NULL);
            else script_error(&t->s, "CreateSandbox", "resource_exhausted", "", NULL);
            CHECK(api_start(t, sb) != CWS_OK);
            CHECK_INT(script_count(&t->s, "CreateSandbox"), n + 1);
        }
    }
    EACH("30: while the second create is in doubt, it is the one that is repeated") {
        cws_sandbox_opts o = {.spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS};
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_box(t, &o);
        op_refuse(t, "failed_precondition", room[0], "cwsandbox.com");
        script_end(&t->s, "CreateSandbox", CWS_END_LOST);
        CHECK(api_start(t, sb) != CWS_OK);
        op_refuse(t, "failed_precondition", room[0], "cwsandbox.com"); /* spills no more */
        CHECK(api_start(t, sb) != CWS_OK);
        CHECK_INT(script_count(&t->s, "CreateSandbox"), 3);
        CHECK_STR(script_json(&t->s, "CreateSandbox", 2), script_json(&t->s, "CreateSandbox", 1));
    }
    EACH("spillover and placement that contradict each other are refused") {
        cws_sandbox_opts bad[] = {{.spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS,
                                   .placement = CWS_PLACEMENT_SERVERLESS},
                                  {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS,
                                   .placement = CWS_PLACEMENT_CKS},
                                  {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS,
                                   .runner_ids = STRINGS("r")},
                                  {.spillover = (cws_spillover)9}};
        cws_sandbox *sb = NULL;
        size_t i;
        for (i = 0; i < CWSI_COUNT(bad); i++)
            CHECK_INT(cws_session_sandbox(api_session(t), &bad[i], &sb, &t->err),
                      CWS_ERR_INVALID_ARGUMENT);
        CHECK(!sb);
    }
}

/* ---- pause and resume ------------------------------------------------------------------------ */

static cws_status sn_pause(api *t, cws_sandbox *sb, bool resume)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t))
        return resume ? cws_sandbox_resume(sb, &t->err) : cws_sandbox_pause(sb, &t->err);
    begun = resume ? cws_sandbox_resume_begin(sb, &op, &t->err)
                   : cws_sandbox_pause_begin(sb, &op, &t->err);
    return api_finish(t, begun, op);
}

static void sn_test_pause(void)
{
    B2_EACH("pause and resume: the requests, and the state") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        nw_ok(t, "Pause", "{'success':true}");
        CHECK_INT(sn_pause(t, sb, false), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PAUSED);
        IS("Pause", 0, "{'sandboxId':'sb-1'}");
        CHECK_INT(script_call_at(&t->s, "Pause", 0)->timeout_ms, 300000);
        nw_ok(t, "Resume", "{'success':true}");
        CHECK_INT(sn_pause(t, sb, true), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        IS("Resume", 0, "{'sandboxId':'sb-1'}");
        CHECK_STR(script_calls(&t->s), "Pause Resume");
    }
    B2_EACH("pause and resume that say no, or fail, change nothing; they are not repeated") {
        cws_sandbox *sb = nw_scratch(t, NULL);
        int i;
        for (i = 0; i < 2; i++) {
            const char *rpc = i ? "Resume" : "Pause";
            cws_state state = cws_sandbox_state(sb);
            nw_ok(t, rpc, "{'errorMessage':'not now'}");
            CHECK_INT(sn_pause(t, sb, i), CWS_ERR_SANDBOX);
            HAS(t->err.message, "not now");
            CHECK_STR(t->err.sandbox_id, "sb-1");
            nw_ok(t, rpc, "{}");
            CHECK_INT(sn_pause(t, sb, i), CWS_ERR_SANDBOX);
            HAS(t->err.message, "unknown error");
            nw_fail(t, rpc, "unavailable", NULL);
            CHECK_INT(sn_pause(t, sb, i), CWS_ERR_UNAVAILABLE);
            nw_fail(t, rpc, "not_found", NULL);
            CHECK_INT(sn_pause(t, sb, i), CWS_ERR_NOT_FOUND);
            script_end(&t->s, rpc, CWS_END_LOST);
            CHECK_INT(sn_pause(t, sb, i), CWS_ERR_TRANSPORT);
            script_end(&t->s, rpc, CWS_END_NOT_SENT); /* that is repeated */
            nw_fail(t, rpc, "failed_precondition", NULL);
            CHECK_INT(sn_pause(t, sb, i), CWS_ERR_SANDBOX);
            CHECK_INT(cws_sandbox_state(sb), state);
            CHECK_INT(script_count(&t->s, rpc), 7);
            nw_ok(t, rpc, "{'success':true}");
            CHECK_INT(sn_pause(t, sb, i), CWS_OK);
        }
    }
    B2_EACH("pause: a paused sandbox can be stopped, and attached to") {
        cws_sandbox *sb = nw_found(t, "{'sandboxId':'sb-1','sandboxStatus':"
                                      "'SANDBOX_STATUS_PAUSED'}");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PAUSED);
        nw_ok(t, "Resume", "{'success':true}");
        CHECK_INT(sn_pause(t, sb, true), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        nw_ok(t, "Pause", "{'success':true}");
        CHECK_INT(sn_pause(t, sb, false), CWS_OK);
        nw_ok(t, "Stop", "{'success':true}");
        nw_state(t, "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(sn_pause(t, sb, false), CWS_ERR_NOT_RUNNING);
        CHECK_INT(sn_pause(t, sb, true), CWS_ERR_NOT_RUNNING);
    }
    BOTH("pause: never starts a sandbox; v1 has none") {
        cws_sandbox *sb = nw_unstarted(t, NULL);
        cws_status refused = t->s.b2 ? CWS_ERR_NOT_RUNNING : CWS_ERR_UNSUPPORTED;
        CHECK_INT(sn_pause(t, sb, false), refused);
        if (!t->s.b2) HAS(t->err.message, "CWS_API_V1BETA2");
        CHECK_INT(sn_pause(t, sb, true), refused);
        CHECK_INT(sn_pause(t, NULL, false), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(sn_pause(t, NULL, true), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_sandbox_pause_begin(sb, NULL, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_sandbox_resume_begin(sb, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_sandbox_state(sb), cws_sandbox_state(nw_unstarted(t, NULL)));
        sb = nw_found(t, nw_box(t, "COMPLETED"));
        CHECK_INT(sn_pause(t, sb, false), refused);
        CHECK_INT(t->s.call_count, 0);
    }
}

static void (*const both[])(void) = {
    api_test_start,
    api_test_lost_start,
    api_test_no_second_start,
    api_test_states,
    api_test_waiting,
    api_test_exit_code,
    api_test_stop,
    api_test_stop_again,
    api_test_list};

int main(int argc, char **argv)
{
    test_init(argc, argv);
    op_test_states();
    op_test_start();
    op_test_stop();
    op_test_list();
    op_test_together();
    op_test_spillover();
    sn_test_pause();
    return api_both_dialects(both, CWSI_COUNT(both));
}
