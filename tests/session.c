/* SPDX-License-Identifier: MIT
 *
 * Sessions over the scripted transport: what they track, from_id, release and adopt, closing, the
 * journal and what is reaped by it. A scenario is written once and runs in several ways, see
 * harness.h. L19 ... are the numbers of the promises. Usage:
 *
 *     session [part of a test's name]
 */
#include "harness.h"

#include "service.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- what a session tracks ------------------------------------------------------------------- */

static void api_test_session(void)
{
    EACH("L19: a session's sandbox is unstarted, tracked, and costs no call") {
        cws_sandbox *sb = api_box(t, NULL);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK(cws_session_client(t->session) == t->client);
        CHECK_INT(t->s.call_count, 0);
        api_drop(t, sb);
        CHECK_INT(cws_session_sandbox_count(t->session), 1); /* the session goes on tracking it */
    }
    EACH("L20: close without sandboxes and with unstarted ones sends nothing; twice is fine") {
        cws_sandbox *sb = api_box(t, NULL), *other = NULL;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_sandbox(t->session, NULL, &other, &t->err), CWS_ERR_CLOSED);
        CHECK(!other);
        CHECK_INT(t->s.call_count, 0);
    }
    EACH("L20 L22: a closed session refuses sandbox, list, from_id and adopt") {
        cws_sandbox *sb = api_found(t, BOX("RUNNING")), *other = NULL;
        cws_sandboxes *list = NULL;
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK);
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(api_list(t, NULL, &list), CWS_ERR_CLOSED);
        CHECK_INT(api_from_id(t, "x", false, &other), CWS_ERR_CLOSED);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_ERR_CLOSED);
        CHECK_STR(api_calls(t), "DeleteSandbox");
    }
    STREAMING("L20: close stops all at once: as long as the slowest, not the sum") {
        int64_t from;
        size_t i;
        for (i = 0; i < 20; i++) (void)api_started(t);
        from = t->s.now;
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"))->delay = 1000;
        t->s.last->times = 20;
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->delay = 1000;
        t->s.last->times = 20;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(t->s.now - from, 2000);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("L20: close names those that did not stop; the others are stopped; again: just those") {
        cws_sandbox *a = api_started_id(t, BOX_ID("sb-a", "PENDING"));
        cws_sandbox *b = api_started_id(t, BOX_ID("sb-b", "PENDING"));
        cws_sandbox *c = api_started_id(t, BOX_ID("sb-c", "PENDING"));
        const cws_sandbox *failed = NULL;
        const cws_error *why = NULL;
        script_error(&t->s, "DeleteSandbox", "internal", "one", NULL);
        api_ended(t, "sb-b", "COMPLETED");
        script_error(&t->s, "DeleteSandbox", "permission_denied", "two", NULL);
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        HAS(t->err.message, "2 of the session's sandboxes failed to stop and may still be running");
        CHECK_INT(cws_session_sandbox_count(t->session), 2);
        CHECK(cws_session_failed_at(t->session, 0, &failed, &why));
        CHECK(failed == a);
        CHECK_INT(why->status, CWS_ERR_SANDBOX);
        HAS(why->message, "one");
        CHECK(cws_session_failed_at(t->session, 1, &failed, &why));
        CHECK(failed == c);
        CHECK_INT(why->status, CWS_ERR_AUTHENTICATION);
        CHECK(cws_session_failed_at(t->session, 1, NULL, NULL));
        CHECK(!cws_session_failed_at(t->session, 2, &failed, &why));
        HAS(t->said, "two"); /* each failure is logged */
        CHECK_INT(cws_sandbox_state(b), CWS_STATE_COMPLETED);
        t->s.call_count = 0;
        api_ended(t, "sb-a", "COMPLETED");
        api_ended(t, "sb-c", "COMPLETED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(t->s.call_count, t->s.b2 ? 4 : 2);
        HAS(script_json(&t->s, "DeleteSandbox", 0), "sb-a");
        HAS(script_json(&t->s, "DeleteSandbox", 1), "sb-c");
        CHECK(!cws_session_failed_at(t->session, 0, NULL, NULL));
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_close(t), CWS_OK);
    }
    STREAMING("close is bounded when the server never answers, and names what is left") {
        const cws_error *why = NULL;
        int64_t from;
        t->sopts.close_timeout_seconds = 5;
        (void)api_started(t);
        (void)api_started(t);
        from = t->s.now;
        script_never(&t->s, "DeleteSandbox")->times = 2;
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK_INT(t->s.now - from, 5000);
        CHECK(cws_session_failed_at(t->session, 1, NULL, &why));
        CHECK(why && cws_status_is(why->status, CWS_ERR_TIMEOUT));
        CHECK_INT(t->s.opens, t->s.cancels); /* nothing goes on behind our back */
    }
    EACH("close takes 90 s at most by default when nothing ever ends") {
        int64_t from;
        (void)api_started(t);
        from = t->s.now;
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"))->times = -1;
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK_INT(t->s.now - from, 90000);
    }
    STREAMING("close during a start in flight awaits it and then stops it") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *start;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 4000;
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(api_calls(t), "CreateSandbox DeleteSandbox");
        CHECK_INT(cws_op_status(start, &t->err), CWS_OK);
        cws_op_free(start);
    }
    STREAMING("close while a close is under way joins it; both hear the same") {
        cws_op *a, *b;
        (void)api_started(t);
        script_error(&t->s, "DeleteSandbox", "internal", "no", NULL)->delay = 500;
        CHECK_INT(cws_session_close_begin(t->session, &a, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_session_close_begin(t->session, &b, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_ERR_SANDBOX);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_SANDBOX);
        CHECK_INT(t->s.call_count, 1);
        cws_op_free(a);
        cws_op_free(b);
    }
    STREAMING("close that joined one which is cancelled closes all the same") {
        cws_op *a, *b;
        (void)api_started(t);
        api_ended(t, "sb-1", "COMPLETED")->delay = 500;
        CHECK_INT(cws_session_close_begin(t->session, &a, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_session_close_begin(t->session, &b, &t->err), CWS_OK);
        CHECK(cws_op_cancel(a));
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_OK);
        CHECK_INT(cws_op_status(a, &t->err), CWS_ERR_CANCELLED);
        CHECK_STR(api_calls(t), "DeleteSandbox");
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_op_free(a);
        cws_op_free(b);
    }
    EACH("L20: a gone sandbox does not make close fail") {
        (void)api_started(t);
        script_error(&t->s, "DeleteSandbox", "not_found", "", NULL);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("L22 L55: from_id: one Get; adopts by default, not if told so; NOT_FOUND") {
        cws_sandbox *sb = NULL, *again = NULL;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = 2;
        CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(api_from_id(t, "sb-1", false, &sb), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK(t->boxes[0] != sb);
        script_ok(&t->s, "GetSandbox", BOX("PAUSED"));
        CHECK_INT(api_from_id(t, "sb-1", false, &again), CWS_OK);
        CHECK(again == sb); /* tracked already: the same object */
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK_STR(script_json(&t->s, "GetSandbox", 1), "{\"sandboxId\":\"sb-1\"}");
        CHECK_INT(t->s.calls[0].timeout_ms, 300000);
        script_error(&t->s, "GetSandbox", "not_found", "", NULL);
        CHECK_INT(api_from_id(t, "sb-9", false, &sb), CWS_ERR_NOT_FOUND);
        CHECK_STR(t->err.sandbox_id, "sb-9");
        HAS(t->err.message, "Get sandbox: Sandbox 'sb-9' not found");
        script_ok(&t->s, "GetSandbox", "{}");
        CHECK_INT(api_from_id(t, "sb-9", false, &sb), CWS_ERR_PROTOCOL);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    EACH("L22: found sandboxes have the session's request timeout, and so has finding them") {
        cws_sandbox *sb = NULL;
        cws_bytes *bytes = NULL;
        cws_sandboxes *list = NULL;
        t->defaults.request_timeout_seconds = 7;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 7000);
        script_ok(&t->s, "ReadFile", "{}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        CHECK_INT(script_call_at(&t->s, "ReadFile", 0)->timeout_ms, 7000);
        cws_bytes_free(bytes);
        script_ok(&t->s, "ListSandboxes", "{}");
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        CHECK_INT(script_call_at(&t->s, "ListSandboxes", 0)->timeout_ms, 7000);
        cws_sandboxes_free(list);
    }
    EACH("L22: adopt: without an id refused; twice is once; another session lets it go") {
        cws_session *other = NULL;
        cws_session_opts so;
        cws_sandbox *sb = api_box(t, NULL);
        memset(&so, 0, sizeof(so));
        so.client = t->client;
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(other), 1);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_close(t), CWS_OK); /* not stopped by its former session */
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
        cws_session_free(other);
    }
    ONCE("adopt refuses a sandbox of another client") {
        cws_client *c2 = NULL;
        cws_session *other = NULL;
        cws_session_opts so;
        cws_sandbox *sb = api_started(t);
        script s2;
        cws_client_opts co = t->copts;
        script_init(&s2, false);
        co.transport = &s2.transport;
        co.hooks_user = &s2;
        memset(&so, 0, sizeof(so));
        CHECK_INT(cws_client_open(&co, &c2, &t->err), CWS_OK);
        so.client = c2;
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "another client");
        cws_session_free(other);
        cws_client_free(c2);
        script_free(&s2);
        script_now = &t->s;
    }
    ONCE("a session of its own client frees it; client and client_opts together are refused") {
        cws_session *s = NULL;
        cws_session_opts so;
        memset(&so, 0, sizeof(so));
        so.client_opts = &t->copts;
        so.client = api_client(t);
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_INVALID_ARGUMENT);
        so.client = NULL;
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK);
        CHECK(cws_session_client(s) != t->client);
        cws_session_free(s);
        CHECK_INT(t->s.closes, 1);
        t->s.closes = 0;
        t->copts.base_url = "x";
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(s == NULL);
        HAS(t->err.message, "base_url");
    }
}

static void api_test_list_adopts(void)
{
    EACH("L22: adopt: the session tracks what was found and stops it") {
        cws_sandboxes *list = NULL;
        cws_session_list_opts o;
        memset(&o, 0, sizeof(o));
        o.adopt = true;
        script_ok(&t->s, "ListSandboxes",
                  "{\"sandboxes\":[" BOX_ID("a", "RUNNING") "," BOX_ID("b", "COMPLETED") "]}");
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 2);
        cws_sandboxes_free(list);
        CHECK_INT(cws_session_sandbox_count(t->session), 2);
        api_ended(t, "a", "COMPLETED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(api_calls(t), "ListSandboxes DeleteSandbox");
    }
    STREAMING("L22: a session that closes during a list adopts nothing") {
        cws_op *list;
        cws_session_list_opts o;
        memset(&o, 0, sizeof(o));
        o.adopt = true;
        script_ok(&t->s, "ListSandboxes", "{\"sandboxes\":[" BOX_ID("a", "RUNNING") "]}")->delay =
            500;
        CHECK_INT(cws_session_list_begin(api_session(t), &o, &list, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_op_wait(list, -1, &t->err), CWS_ERR_CLOSED);
        CHECK(cws_op_take_sandboxes(list) == NULL);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_op_free(list);
    }
}

static void api_test_close_joins(void)
{
    ONCE("of three closes that overlap, only the cancelled one is cancelled") {
        cws_op *op[3];
        int i;
        (void)api_started(t);
        api_ended(t, "sb-1", "COMPLETED")->delay = 1000;
        for (i = 0; i < 3; i++)
            CHECK_INT(cws_session_close_begin(t->session, &op[i], NULL), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        CHECK(cws_op_cancel(op[0]));
        api_settle(t);
        CHECK_INT(cws_op_status(op[0], NULL), CWS_ERR_CANCELLED);
        CHECK_INT(cws_op_status(op[1], NULL), CWS_OK);
        CHECK_INT(cws_op_status(op[2], NULL), CWS_OK);
        for (i = 0; i < 3; i++) cws_op_free(op[i]);
    }
    EACH("a list that adopts refreshes the sandbox that the session has already") {
        cws_sandbox *sb = api_started(t);
        cws_sandboxes *list = NULL;
        cws_session_list_opts o = {0};
        o.adopt = true;
        script_ok(&t->s, "ListSandboxes", "{\"sandboxes\":[" BOX_ID("sb-1", "RUNNING") "]}");
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        CHECK(cws_sandboxes_at(list, 0) == sb);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        cws_sandboxes_free(list);
    }
    ONCE("a close that joins a stop whose sandbox vanishes has nothing to complain of") {
        cws_sandbox *sb = api_running(t);
        cws_op *op;
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_error(&t->s, "GetSandbox", "not_found", "gone", NULL)->times = -1;
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &op, NULL), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        cws_op_free(op);
    }
}

/* ---- release, adopt -------------------------------------------------------------------------- */

static void test_release(void)
{
    EACH("L22: a released sandbox goes on; released twice is released once") {
        svc_serve(t);
        svc_boxes(t, 2);
        CHECK_INT(cws_session_release(t->session, t->boxes[0], &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK_INT(cws_session_release(t->session, t->boxes[0], &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes, 1);
        CHECK(!svc.boxes[0].ended && svc.boxes[1].ended);
        CHECK_INT(cws_sandbox_state(t->boxes[0]), CWS_STATE_RUNNING);
        CHECK_INT(api_stop(t, t->boxes[0], NULL), CWS_OK); /* it is still the user's */
        CHECK(svc.boxes[0].ended);
    }
    EACH("release: arguments; another session's; the unstarted; a closed session; adopted again") {
        cws_session *other;
        cws_sandbox *sb;
        svc_serve(t);
        sb = api_box(t, NULL);
        other = open_session(t, NULL);
        CHECK_INT(cws_session_release(NULL, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "session");
        CHECK_INT(cws_session_release(t->session, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "sandbox");
        CHECK_INT(cws_session_release(other, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "another session");
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_wait(t, sb, 0), CWS_OK); /* it can be started without a session */
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(cws_session_release(other, sb, &t->err), CWS_OK); /* nobody tracks it */
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(cws_session_sandbox_count(other), 1);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(svc.deletes, 0);
        CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
        CHECK_INT(svc.deletes, 1);
        CHECK_INT(svc.creates, 1);
        cws_session_free(other);
    }
    STREAMING("release during a start in flight: close leaves it alone, the start goes on") {
        cws_op *start = NULL;
        cws_sandbox *sb;
        svc_serve(t);
        svc.create_ms = 3000;
        sb = api_box(t, NULL);
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes, 0);
        CHECK_INT(cws_op_wait(start, -1, &t->err), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        cws_op_free(start);
    }
    STREAMING("adopt and release while a stop is under way: it goes on and ends well") {
        cws_op *stop = NULL;
        cws_sandbox *sb;
        svc_serve(t);
        svc_boxes(t, 1);
        sb = t->boxes[0];
        svc.delete_ms = 2000;
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &stop, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(stop, -1, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK); /* ended: harmless */
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes, 1);
        cws_op_free(stop);
    }
    STREAMING("L22: from_id that is under way while the session closes attaches nothing to it") {
        cws_op *find = NULL, *look = NULL;
        cws_sandbox *found;
        svc_serve(t);
        (void)svc_make("", "");
        svc.run_ms = 1000;
        (void)api_session(t);
        CHECK_INT(cws_session_from_id_begin(t->session, "sb-1", true, &find, &t->err), CWS_OK);
        CHECK_INT(cws_session_from_id_begin(t->session, "sb-1", false, &look, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_op_wait(find, -1, &t->err), CWS_ERR_CLOSED);
        CHECK(cws_op_take_sandbox(find) == NULL);
        CHECK_INT(cws_op_wait(look, -1, &t->err), CWS_OK); /* that one is not the session's */
        found = cws_op_take_sandbox(look);
        CHECK(found != NULL);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(svc.deletes, 0);
        cws_sandbox_free(found);
        cws_op_free(find);
        cws_op_free(look);
    }
}

/* ---- close ----------------------------------------------------------------------------------- */

static void test_close(void)
{
    EACH("L20: of stops of which every third is refused, close reports exactly those") {
        const cws_sandbox *sb = NULL;
        const cws_error *why = NULL;
        size_t i, rounds = 0, left;
        svc_serve(t);
        svc_boxes(t, 30);
        svc.refuse_each = 3;
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK(strncmp(t->err.message, "10 of", 5) == 0);
        HAS(t->err.message, "will not");
        CHECK_INT(svc.deletes, 30);
        CHECK_INT(svc_running(), 10);
        CHECK_INT(cws_session_sandbox_count(t->session), 10);
        for (i = 0; cws_session_failed_at(t->session, i, &sb, &why); i++) {
            CHECK(!svc_find(cws_sandbox_id(sb))->ended);
            CHECK_INT(why->status, CWS_ERR_SANDBOX);
            CHECK_STR(why->sandbox_id, cws_sandbox_id(sb));
            HAS(why->message, "will not");
        }
        CHECK_INT(i, 10);
        for (left = 10; left && rounds < 20; rounds++) { /* each close tries just those */
            size_t before = svc.deletes;
            cws_status status = api_close(t);
            CHECK_INT(svc.deletes - before, left);
            left = svc_running();
            CHECK_INT(status, left ? CWS_ERR_SANDBOX : CWS_OK);
            CHECK_INT(cws_session_sandbox_count(t->session), left);
        }
        CHECK_INT(svc_running(), 0);
        for (i = 0; i < 30; i++) CHECK_INT(svc.boxes[i].deletes, 1);
    }
    ONCE("1000 sandboxes are closed at once, by one thread") {
        static cws_sandbox *box[1000];
        static cws_op *wait[1000];
        size_t i, used;
        int64_t from;
        svc_serve(t);
        (void)api_session(t);
        used = test_alloc_live_bytes();
        for (i = 0; i < 1000; i++)
            CHECK_INT(cws_session_sandbox(t->session, NULL, &box[i], &t->err), CWS_OK);
        printf("    bytes for each sandbox: %lu before its start,",
               (unsigned long)((test_alloc_live_bytes() - used) / 1000));
        svc.create_ms = svc.run_ms = svc.delete_ms = 1000;
        from = t->s.now;
        for (i = 0; i < 1000; i++)
            CHECK_INT(cws_sandbox_wait_begin(box[i], NULL, &wait[i], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(wait, 1000, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        for (i = 0; i < 1000; i++) {
            CHECK_INT(cws_op_status(wait[i], &t->err), CWS_OK);
            cws_op_free(wait[i]);
        }
        CHECK(t->s.now - from < 5000);
        printf(" %lu when it runs\n", (unsigned long)((test_alloc_live_bytes() - used) / 1000));
        CHECK(test_alloc_live_bytes() - used < 1000 * 8192);
        from = t->s.now;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(t->s.now - from, 1000);
        CHECK_INT(svc.deletes, 1000);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        for (i = 0; i < 1000; i++) cws_sandbox_free(box[i]);
    }
    STREAMING("close with twenty starts in flight: all are awaited, all are stopped") {
        cws_op *start[20];
        size_t i;
        int64_t from;
        svc_serve(t);
        svc.create_ms = 4000;
        for (i = 0; i < 20; i++) {
            CHECK_INT(cws_sandbox_start_begin(api_box(t, NULL), &start[i], &t->err), CWS_OK);
            if (i == 10) CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        }
        from = t->s.now;
        CHECK_INT(api_close(t), CWS_OK); /* ten of them were sent, the others not yet */
        CHECK(t->s.now - from <= 4000);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(svc.deletes, svc.count);
        for (i = 0; i < 20; i++) {
            CHECK(cws_op_done(start[i]));
            cws_op_free(start[i]);
        }
        api_settle(t);
        CHECK_INT(svc_running(), 0);
    }
    EACH("a create whose answers were lost is settled by close, and stopped") {
        svc_serve(t);
        svc.lose = 100;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_TRANSPORT);
        CHECK_INT(svc_running(), 1);
        svc.lose = 0;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.count, 1);
        CHECK_INT(svc_running(), 0);
    }
    EACH("while such a create can not be settled, close says so, and can be tried again") {
        svc_serve(t);
        svc.lose = 1000;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_TRANSPORT);
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK(cws_session_failed_at(t->session, 0, NULL, NULL));
        CHECK_INT(svc_running(), 1);
        svc.lose = 0;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("L21: close joins a stop of the user's; a second close sends nothing") {
        cws_op *stop = NULL;
        svc_serve(t);
        svc_boxes(t, 2);
        svc.delete_ms = 700;
        CHECK_INT(cws_sandbox_stop_begin(t->boxes[0], NULL, &stop, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes, 2);
        CHECK_INT(cws_op_status(stop, &t->err), CWS_OK);
        cws_op_free(stop);
    }
    EACH("a definite refusal of a create leaves nothing to close") {
        svc_serve(t);
        svc.refuse_creates = 1;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_SANDBOX);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes + svc.count, 0);
    }
    STREAMING("a command in flight goes on while its sandbox is stopped, and fails by that") {
        cws_process *p = NULL;
        cws_op *close = NULL;
        script_reply *r;
        svc_serve(t);
        svc_boxes(t, 1);
        r = script_stream(&t->s, NULL, "{\"ready\":{}}", NULL);
        r->end = CWS_END_LOST;
        r->gap = 1500; /* its end */
        r->chunk = 4;
        CHECK_INT(cws_exec_begin(t->boxes[0], api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_session_close_begin(t->session, &close, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(close, -1, &t->err), CWS_OK);
        CHECK(!cws_process_poll(p, NULL)); /* not cut off by the close itself */
        CHECK(cws_process_wait(p, -1, NULL, &t->err) != CWS_OK);
        cws_process_free(p);
        cws_op_free(close);
    }
    STREAMING("a cancelled close leaves the sandboxes to the next one; nothing hangs or leaks") {
        cws_op *close = NULL;
        svc_serve(t);
        svc_boxes(t, 3);
        svc.delete_ms = 5000;
        CHECK_INT(cws_session_close_begin(t->session, &close, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK(cws_op_cancel(close));
        CHECK_INT(cws_op_wait(close, -1, &t->err), CWS_ERR_CANCELLED);
        cws_op_free(close);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes, 3);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("a session that is freed while it closes: the close goes on") {
        cws_op *close = NULL;
        svc_serve(t);
        svc_boxes(t, 3);
        svc.delete_ms = 5000;
        CHECK_INT(cws_session_close_begin(t->session, &close, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        cws_session_free(t->session);
        t->session = NULL;
        CHECK_INT(cws_op_wait(close, -1, &t->err), CWS_OK);
        CHECK_INT(svc_running(), 0);
        cws_op_free(close);
    }
}

/* ---- operations of a session ----------------------------------------------------------------- */

static void test_operations(void)
{
    STREAMING("L62: a session's operations: waited for together, mixed; a wait that ends early "
              "cancels nothing; the result stays the same") {
        cws_op *ops[4];
        bool done[4];
        cws_sandboxes *list;
        cws_sandbox *sb;
        size_t n = 0, i;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 2);
        svc.create_ms = svc.run_ms = 1000;
        CHECK_INT(cws_session_list_begin(t->session, NULL, &ops[0], &t->err), CWS_OK);
        CHECK_INT(cws_session_from_id_begin(t->session, "sb-9", true, &ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_session_from_id_begin(t->session, "sb-1", false, &ops[2], &t->err), CWS_OK);
        CHECK_INT(cws_session_reap_begin(t->session, &ops[3], &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(ops[2], 0, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_op_wait(ops[2], 0.3, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_wait_many(ops, 4, 3, -1, done, &n, &t->err), CWS_OK);
        CHECK(n == 3 && done[0] && done[1] && !done[2] && done[3]);
        CHECK_INT(cws_wait_many(ops, 4, CWS_ALL, -1, done, &n, &t->err), CWS_OK);
        CHECK(n == 4 && done[2]);
        for (i = 0; i < 3; i++) {
            CHECK_INT(cws_op_wait(ops[1], ((int64_t)i - 1) / 1000.0, &t->err), CWS_ERR_NOT_FOUND);
            CHECK_STR(t->err.sandbox_id, "sb-9");
            CHECK_INT(cws_op_status(ops[2], &t->err), CWS_OK);
        }
        list = cws_op_take_sandboxes(ops[0]);
        CHECK_INT(cws_sandboxes_count(list), 2);
        CHECK(cws_op_take_sandboxes(ops[0]) == NULL); /* it can be taken once */
        CHECK(cws_op_take_sandboxes(ops[1]) == NULL && cws_op_take_sandbox(ops[0]) == NULL);
        CHECK(cws_op_take_sandbox(ops[1]) == NULL);
        sb = cws_op_take_sandbox(ops[2]);
        CHECK(sb != NULL && cws_op_take_sandbox(ops[2]) == NULL);
        for (i = 0; i < 4; i++) cws_op_free(ops[i]);
        cws_sandboxes_free(list);
        cws_sandbox_free(sb);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("operations of a session that are never waited for, and freed at any time") {
        size_t i;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 3);
        svc.create_ms = svc.run_ms = svc.delete_ms = 200;
        for (i = 0; i < 60; i++) {
            cws_op *op = NULL;
            cws_session_list_opts o;
            memset(&o, 0, sizeof(o));
            o.adopt = i % 8 == 4;
            if (i % 4 == 0) CHECK_INT(cws_session_list_begin(t->session, &o, &op, NULL), CWS_OK);
            if (i % 4 == 1)
                CHECK_INT(cws_session_from_id_begin(t->session, "sb-2", !(i % 8 == 1), &op, NULL),
                          CWS_OK);
            if (i % 4 == 2) CHECK_INT(cws_session_reap_begin(t->session, &op, NULL), CWS_OK);
            if (i % 4 == 3)
                CHECK_INT(cws_sandbox_start_begin(api_box(t, NULL), &op, NULL), CWS_OK);
            if (i % 3) CHECK_INT(cws_client_poll(t->client, ((int)(i * 7)) / 1000.0, NULL), CWS_OK);
            cws_op_free(op);
        }
        CHECK_INT(api_close(t), CWS_OK);
        api_settle(t);
        CHECK_INT(svc_running(), 0);
        CHECK_STR(journal_shows(journal), "(none)");
    }
}

/* ---- the journal ----------------------------------------------------------------------------- */

/* What an earlier session of that tag would have written. */
#define OLD_TAG "cws-01234567-89ab-cdef-0123-456789abcdef"
#define OLD_HEAD "cwsandbox-journal 1 v1 http://localhost:1 " OLD_TAG "\n"
#define HEAD_LINE(tag) "cwsandbox-journal 1 v1 http://localhost:1 " tag "|"

/* The process dies: the file stays as it is, the session and its sandboxes are freed. */
static void crash(api *t)
{
    char *text = get_file(journal);
    size_t i, n = text ? strlen(text) : 0;
    char *copy = (char *)malloc(n + 1);
    if (!copy) abort();
    if (text) memcpy(copy, text, n);
    for (i = 0; i < t->box_count; i++) cws_sandbox_free(t->boxes[i]);
    t->box_count = 0;
    cws_session_free(t->session);
    t->session = NULL;
    CHECK(text != NULL);
    if (text) put_file(journal, copy, n);
    free(copy);
}

static cws_status api_reap(api *t, size_t *stopped)
{
    cws_op *op = NULL;
    cws_status status;
    if (!api_async(t)) return cws_session_reap(api_session(t), stopped, &t->err);
    *stopped = 0;
    status = cws_session_reap_begin(api_session(t), &op, &t->err);
    if (status) return status;
    CHECK_INT(cws_op_reaped_count(op), 0);
    status = api_drive(t, op);
    *stopped = cws_op_reaped_count(op);
    cws_op_free(op);
    return status;
}

static void test_journal(void)
{
    EACH("the journal: a create is noted before it is sent, then what came of it") {
        svc_serve(t);
        t->sopts.journal = svc.journal = new_journal();
        (void)api_session(t);
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1"));
        svc_boxes(t, 1);
        HAS(svc.noted, "CreateSandbox: " HEAD_LINE("T1") "create R1|\n");
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1") "create R1|live sb-1 R1|");
        svc.refuse_creates = 1;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_SANDBOX);
        CHECK_STR(journal_shows(journal),
                  HEAD_LINE("T1") "create R1|live sb-1 R1|create R2|failed R2|");
        CHECK_INT(api_stop(t, t->boxes[0], NULL), CWS_OK);
        CHECK_STR(journal_shows(journal),
                  HEAD_LINE("T1") "create R1|live sb-1 R1|create R2|failed R2|gone sb-1|");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)"); /* nothing is left */
        CHECK_STR(svc.boxes[0].tag, svc_tag(script_json(&t->s, "CreateSandbox", 0)));
        CHECK_INT(strlen(svc.boxes[0].tag), 40);
    }
    EACH("the journal: adopted, released and adopted by another session") {
        cws_session *other;
        cws_sandbox *sb = NULL;
        svc_serve(t);
        t->sopts.journal = new_journal();
        (void)svc_make("", "");
        CHECK_INT(api_from_id(t, "sb-1", false, &sb), CWS_OK);
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1") "live sb-1 -|");
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK); /* has it: no line */
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1") "live sb-1 -|gone sb-1|");
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK);
        other = open_session(t, NULL);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        CHECK_STR(journal_shows(journal),
                  HEAD_LINE("T1") "live sb-1 -|gone sb-1|live sb-1 -|gone sb-1|");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
        CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
        cws_session_free(other);
    }
    EACH("the journal: spillover notes both of its creates") {
        cws_sandbox_opts o;
        svc_serve(t);
        t->sopts.journal = svc.journal = new_journal();
        memset(&o, 0, sizeof(o));
        o.placement = CWS_PLACEMENT_SERVERLESS;
        o.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS;
        svc.no_room = 1;
        CHECK_INT(api_start(t, api_box(t, &o)), CWS_OK);
        CHECK_STR(journal_shows(journal),
                  HEAD_LINE("T1") "create R1|failed R1|create R2|live sb-1 R2|");
        HAS(svc.noted, "CreateSandbox: " HEAD_LINE("T1") "create R1|\n");
        HAS(svc.noted, "CreateSandbox: " HEAD_LINE("T1") "create R1|failed R1|create R2|\n");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("the journal: a create in doubt stays without outcome, until it is settled") {
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc.lose = 1000;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_TRANSPORT);
        HAS(journal_shows(journal), HEAD_LINE("T1") "create R1|");
        HAS_NOT(journal_shows(journal), "live");
        HAS_NOT(journal_shows(journal), "failed");
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        HAS_NOT(journal_shows(journal), "failed"); /* and so the file stays */
        HAS(journal_shows(journal), "create R1|");
        svc.lose = 0;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("the journal stays while something could not be stopped; unstarted ones leave no line") {
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 1);
        (void)api_box(t, NULL);
        svc.refuse_deletes = true;
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1") "create R1|live sb-1 R1|");
        svc.refuse_deletes = false;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
        CHECK_INT(api_close(t), CWS_OK); /* nor is it made again */
        CHECK_STR(journal_shows(journal), "(none)");
    }
}

/* Until the next call, no file may be longer than it is now, and so many bytes more. */
static void disk_is_full(const char *path, bool full, size_t more)
{
    struct rlimit limit;
    struct stat st;
    (void)signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &limit) || stat(path, &st)) abort();
    limit.rlim_cur = full ? (rlim_t)st.st_size + more : limit.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &limit)) abort();
}

static void test_journal_files(void)
{
    EACH("a create that can not be noted is not sent") {
        cws_sandbox *sb;
        size_t more;
        svc_serve(t);
        t->sopts.journal = new_journal();
        (void)api_session(t);
        sb = api_box(t, NULL);
        for (more = 0; more < 40; more += 13) { /* a part of the line can be written */
            fflush(stdout);
            disk_is_full(journal, true, more);
            CHECK_INT(api_start(t, sb), CWS_ERR_FILE);
            disk_is_full(journal, false, 0);
            HAS(t->err.message, "journal");
            HAS(t->err.message, "nothing was sent");
        }
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(api_wait(t, sb, 0), CWS_OK); /* there is room again */
        CHECK_INT(svc.count, 1);
        HAS(journal_shows(journal), "|create R1|live sb-1 R1|"); /* lines of their own */
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("what can not be noted about a sandbox that is there does not lose it") {
        size_t stopped;
        svc_serve(t);
        t->sopts.journal = new_journal();
        (void)api_session(t);
        fflush(stdout);
        disk_is_full(journal, true, 50); /* for "create ...", not for "live ..." */
        svc_boxes(t, 1);
        disk_is_full(journal, false, 0);
        HAS_NOT(journal_shows(journal), "live sb-1 R1");
        (void)svc_make("", "");
        CHECK_INT(api_from_id(t, "sb-2", false, &t->boxes[t->box_count]), CWS_OK);
        HAS(journal_shows(journal), "|live sb-2 -|");
        crash(t);
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 2);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    ONCE("a session whose beginning can not be noted is not opened; later it is") {
        cws_session_opts so;
        cws_session *s = NULL;
        size_t more;
        memset(&so, 0, sizeof(so));
        so.client = api_client(t);
        so.journal = new_journal();
        put_file(journal, OLD_HEAD, strlen(OLD_HEAD));
        for (more = 0; more < 60; more += 19) {
            fflush(stdout);
            disk_is_full(journal, true, more);
            CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_FILE);
            disk_is_full(journal, false, 0);
            HAS(t->err.message, "can not be written");
            CHECK(s == NULL);
        }
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK);
        HAS(journal_shows(journal), "|cwsandbox-journal 1 v1 http://localhost:1 T");
        cws_session_free(s);
    }
    ONCE("files that can not be a journal are refused before anything else") {
        static const char *const names[] = {"/dev/full", "/", "/dev/null/x", "", "/tmp",
                                            "/nonexistent-directory/journal"};
        cws_session_opts so;
        cws_session *s = NULL;
        size_t i;
        svc_serve(t);
        memset(&so, 0, sizeof(so));
        so.client = api_client(t);
        for (i = 0; i < CWSI_COUNT(names); i++) {
            so.journal = names[i];
            if (!CHECK(cws_session_open(&so, &s, &t->err) != CWS_OK)) printf("    %s\n", names[i]);
            CHECK(s == NULL);
            HAS(t->err.message, "journal");
        }
        so.journal = new_journal();
        put_file(journal, "", 0);
        if (chmod(journal, 0400)) abort();
        if (geteuid() != 0) CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_FILE);
        CHECK_INT(t->s.call_count, 0);
    }
    ONCE("a pipe is no journal, and stays what it is; nor is the journal of another session") {
        cws_session_opts so;
        cws_session *s = NULL, *other = NULL;
        struct stat st;
        svc_serve(t);
        memset(&so, 0, sizeof(so));
        so.client = api_client(t);
        so.journal = new_journal();
        (void)unlink(journal);
        if (mkfifo(journal, 0600)) abort();
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_FILE);
        HAS(t->err.message, "no regular file");
        CHECK(stat(journal, &st) == 0 && S_ISFIFO(st.st_mode));
        so.journal = new_journal();
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK);
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_ERR_FILE); /* in the same process */
        HAS(t->err.message, "another session");
        CHECK_INT(cws_session_close(s, &t->err), CWS_OK);
        cws_session_free(s);
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_OK);
        CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
        cws_session_free(other);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    ONCE("relative paths mean the directory of the open; new files are private; only our own is "
         "removed") {
        static const char *const others[] = {"run.journal", "metrics.jsonl"};
        char first[] = "/tmp/cws-session-XXXXXX", second[] = "/tmp/cws-session-XXXXXX", path[100];
        char before[1000];
        struct stat st;
        int i;
        svc_serve(t);
        if (!getcwd(before, sizeof(before)) || !mkdtemp(first) || !mkdtemp(second)) abort();
        if (chdir(first)) abort();
        (void)umask(0);
        t->sopts.journal = others[0];
        t->sopts.metrics_path = others[1];
        (void)api_session(t);
        CHECK(stat(others[0], &st) == 0 && (st.st_mode & 0777) == 0600);
        if (chdir(second)) abort();
        for (i = 0; i < 2; i++) put_file(others[i], "of others\n", 10);
        svc_boxes(t, 1);
        CHECK_INT(api_close(t), CWS_OK);
        for (i = 0; i < 2; i++) CHECK(stat(others[i], &st) == 0 && st.st_size == 10);
        (void)snprintf(path, sizeof(path), "%s/run.journal", first);
        CHECK(stat(path, &st) != 0);
        (void)snprintf(path, sizeof(path), "%s/metrics.jsonl", first);
        CHECK(stat(path, &st) == 0 && st.st_size > 0 && (st.st_mode & 0777) == 0600);
        CHECK(remove(path) == 0 && rmdir(first) == 0);
        for (i = 0; i < 2; i++) CHECK(remove(others[i]) == 0);
        if (chdir(before)) abort();
        CHECK(rmdir(second) == 0);
        (void)umask(022);
    }
    ONCE("a journal in whose place there is another file is not removed") {
        svc_serve(t);
        t->sopts.journal = new_journal();
        (void)api_session(t);
        CHECK(remove(journal) == 0);
        put_file(journal, "of others\n", 10);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "of others|");
        HAS(t->said, "is another file now; it stays");
        CHECK(remove(journal) == 0);
    }
    ONCE("a journal that a living process uses is refused; when that is gone, it is not") {
        cws_session_opts so;
        cws_session *s = NULL;
        int in[2], out[2], status;
        char byte = 0;
        pid_t child;
        svc_serve(t);
        (void)api_client(t);
        memset(&so, 0, sizeof(so));
        so.client = t->client;
        so.journal = new_journal();
        fflush(stdout);
        if (pipe(in) || pipe(out) || (child = fork()) < 0) abort();
        if (child == 0) {
            byte = cws_session_open(&so, &s, NULL) == CWS_OK ? 'y' : 'n';
            (void)!write(out[1], &byte, 1);
            (void)close(in[1]);
            (void)!read(in[0], &byte, 1); /* until the parent closes it */
            _exit(0);
        }
        CHECK_INT(read(out[0], &byte, 1), 1);
        CHECK_INT(byte, 'y');
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_FILE);
        HAS(t->err.message, "another session");
        CHECK(s == NULL);
        (void)close(in[1]);
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1"));
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK);
        cws_session_free(s);
        (void)close(in[0]), (void)close(out[0]), (void)close(out[1]);
    }
}

/* ---- reap ------------------------------------------------------------------------------------ */

static void put_journal(const char *text)
{
    (void)new_journal();
    put_file(journal, text, strlen(text));
}

static void test_reap(void)
{
    EACH("reap: without journal refused; with nothing to do no call") {
        size_t stopped = 7;
        svc_serve(t);
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(stopped, 0);
        HAS(t->err.message, "journal");
        cws_session_free(t->session);
        t->session = NULL;
        t->sopts.journal = new_journal();
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(cws_session_reap(NULL, &stopped, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_reap_begin(t->session, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_reap(t->session, NULL, NULL), CWS_OK);
        CHECK_INT(cws_op_reaped_count(NULL), 0);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_CLOSED);
    }
    EACH("reap: by tag, by name, and not what was released or has ended") {
        cws_sandbox *sb = NULL;
        size_t stopped = 0;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 4);
        (void)svc_make("", "");       /* sb-5: is adopted */
        (void)svc_make("", "foreign"); /* sb-6: nobody's */
        CHECK_INT(api_from_id(t, "sb-5", false, &sb), CWS_OK);
        CHECK_INT(api_stop(t, t->boxes[0], NULL), CWS_OK);
        CHECK_INT(cws_session_release(t->session, t->boxes[1], &t->err), CWS_OK);
        svc.boxes[2].ended = true; /* by itself */
        crash(t);
        svc.deletes = 0;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 2);
        CHECK(svc.boxes[3].ended && svc.boxes[4].ended);
        CHECK(!svc.boxes[1].ended); /* it was released, to outlive the session */
        CHECK(!svc.boxes[5].ended);
        CHECK_INT(svc.deletes, 2);
        HAS(journal_shows(journal), "reaped T1|");
        t->s.call_count = 0;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 0);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("reap: a create in the air is found by its tag when it appears") {
        size_t stopped = 0;
        int64_t from;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc.lose = 1000;
        svc.appear_ms = 6500;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_TRANSPORT);
        svc.lose = 0;
        crash(t);
        svc.boxes[0].since = t->s.now + 6500;
        from = t->s.now;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 1);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(t->s.now - from, 7000);
        CHECK_INT(svc.lists, 8); /* one each second */
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("reap: for one that never appears it looks for ten seconds") {
        size_t stopped = 0;
        int64_t from;
        svc_serve(t);
        put_journal(OLD_HEAD "create 11111111-2222-3333-4444-555555555555\n"
                             "create 11111111-2222-3333-4444-666666666666\nlive sb-1 -\n");
        t->sopts.journal = journal;
        (void)svc_make("", "");
        from = (api_session(t), t->s.now);
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 1);
        CHECK_INT(t->s.now - from, 10000);
        CHECK_INT(svc.lists, 11);
        CHECK_INT(svc.gets, 1); /* it has that one */
    }
    EACH("reap: what fails to stop stays for the next time; so does what can not be listed") {
        size_t stopped = 0;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 3);
        crash(t);
        svc.refuse_lists = true;
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_AUTHENTICATION);
        CHECK_INT(stopped, 0);
        svc.refuse_lists = false;
        svc.refuse_each = 3;
        svc.deletes = 0;
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_SANDBOX);
        HAS(t->err.message, "1 of");
        CHECK_INT(svc_running(), 1);
        CHECK_INT(api_close(t), CWS_OK); /* which has nothing of its own */
        CHECK(strcmp(journal_shows(journal), "(none)") != 0);
        HAS_NOT(journal_shows(journal), "reaped T1|");
        crash(t);
        svc.refuse_each = 0;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 1);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("reap: three crashes in a row are all made up for; a clean run between them is nothing") {
        size_t stopped = 0, i;
        svc_serve(t);
        t->sopts.journal = new_journal();
        for (i = 0; i < 3; i++) {
            svc_boxes(t, 2);
            crash(t);
            CHECK_INT(svc.deletes, 0);
        }
        svc_boxes(t, 1);
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 6);
        CHECK_INT(svc_running(), 1); /* not what is the session's own */
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("reap: another address or API version is refused, with both named; nothing is sent") {
        size_t stopped = 0;
        svc_serve(t);
        put_journal("cwsandbox-journal 1 v1 https://elsewhere.example " OLD_TAG "\nlive sb-1 -\n");
        t->sopts.journal = journal;
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "https://elsewhere.example");
        HAS(t->err.message, "http://localhost:1");
        CHECK_INT(api_close(t), CWS_OK);
        cws_session_free(t->session);
        t->session = NULL;
        HAS(journal_shows(journal), "live sb-1 -|"); /* it stays for who can */
        put_journal("cwsandbox-journal 1 v1beta2 http://localhost:1 " OLD_TAG "\n");
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "v1beta2");
        CHECK_INT(t->s.call_count, 0);
    }
}

static void test_reap_files(void)
{
    /* What the file holds, and which of sb-1 ... sb-3 are stopped by it. */
    static const struct {
        const char *name, *text, *stopped;
    } table[] = {
        {"a last line without its end", OLD_HEAD "live sb-1 -\nlive sb-2", "1"},
        {"a header without its end", "cwsandbox-journal 1 v1 http://local", ""},
        {"an empty file", "", ""},
        {"empty lines, lines of other kinds, of words too few and too many",
         OLD_HEAD "\n\n \nlive\nlive \nnew-kind sb-3 x\n  live   sb-1   -   more words \nlive "
         "sb-2 -\ngone\ngone sb-9\n\xff\xfe\x01\t\n", "12"},
        {"a header of another version of the file",
         OLD_HEAD "live sb-1 -\ncwsandbox-journal 2 v9 x y\n", "1"},
        {"live twice, gone once", OLD_HEAD "live sb-1 -\ngone sb-1\nlive sb-1 -\n", "1"},
        {"gone", OLD_HEAD "live sb-1 -\nlive sb-2 -\ngone sb-1\n", "2"},
        {"reaped", OLD_HEAD "live sb-1 -\nreaped " OLD_TAG "\n", ""},
        {"reaped, another tag", OLD_HEAD "live sb-1 -\nreaped cws-another\n", "1"},
        {"a create that failed", OLD_HEAD "create x\nfailed x\nlive sb-3 -\n", "3"},
        {"ids that are none", OLD_HEAD "live \x01\x02 -\nlive a/../b -\nlive sb-1 -\n", "1"},
    };
    size_t i, k;
    for (i = 0; i < CWSI_COUNT(table); i++)
        ONCE(table[i].name) {
            size_t stopped = 0;
            int64_t from;
            svc_serve(t);
            for (k = 0; k < 3; k++) (void)svc_make("", "");
            put_journal(table[i].text);
            t->sopts.journal = journal;
            (void)api_session(t);
            from = t->s.now;
            CHECK_INT(api_reap(t, &stopped), CWS_OK);
            if (t->err.status) printf("    %s\n", t->err.message);
            CHECK_INT(stopped, strlen(table[i].stopped));
            for (k = 0; k < 3; k++)
                CHECK_INT(svc.boxes[k].ended, strchr(table[i].stopped, '1' + (int)k) != NULL);
            CHECK_INT(t->s.now, from);
            /* whatever was there, this session can be made up for as well */
            svc_boxes(t, 1);
            crash(t);
            CHECK_INT(api_reap(t, &stopped), CWS_OK);
            CHECK_INT(stopped, 1);
            CHECK(svc.boxes[3].ended);
            CHECK_INT(api_close(t), CWS_OK);
            CHECK_STR(journal_shows(journal), "(none)");
        }
    ONCE("a journal of very long words, and of zero bytes") {
        size_t n = 300000, stopped = 0, at;
        char *text = (char *)malloc(n + 1000);
        if (!text) abort();
        svc_serve(t);
        (void)svc_make("", "");
        (void)new_journal();
        at = (size_t)sprintf(text, "%slive ", OLD_HEAD);
        memset(text + at, 'x', n / 3), at += n / 3;
        at += (size_t)sprintf(text + at, " -\ncreate y ");
        memset(text + at, 0, 1000), at += 1000;
        at += (size_t)sprintf(text + at, "\nfailed y\n");
        memset(text + at, 'z', n / 3), at += n / 3;
        at += (size_t)sprintf(text + at, "\nlive sb-1 -\n");
        put_file(journal, text, at);
        free(text);
        t->sopts.journal = journal;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 1);
        CHECK(svc.boxes[0].ended);
        CHECK_INT(api_close(t), CWS_OK);
    }
    ONCE("a journal of 100,000 sandboxes that are gone, and one that is not") {
        size_t stopped = 0, i;
        clock_t from = clock();
        FILE *f;
        svc_serve(t);
        (void)svc_make("", "");
        f = fopen(new_journal(), "wb");
        if (!f) abort();
        fputs(OLD_HEAD, f);
        for (i = 0; i < 100000; i++)
            fprintf(f, "create r-%lu\nlive x-%lu r-%lu\ngone x-%lu\n", (unsigned long)i,
                    (unsigned long)i, (unsigned long)i, (unsigned long)i);
        fputs("live sb-1 -\n", f);
        fclose(f);
        t->sopts.journal = journal;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 1);
        CHECK(clock() - from < 20 * CLOCKS_PER_SEC);
        CHECK_INT(api_close(t), CWS_OK);
    }
    ONCE("a journal of more than 64 MiB is refused") {
        cws_session_opts so;
        cws_session *s = NULL;
        FILE *f = fopen(new_journal(), "wb");
        if (!f || fseek(f, 65L << 20, SEEK_SET) || fputc('\n', f) == EOF || fclose(f)) abort();
        memset(&so, 0, sizeof(so));
        so.client = api_client(t);
        so.journal = journal;
        CHECK(cws_session_open(&so, &s, &t->err) != CWS_OK);
        HAS(t->err.message, "journal");
        CHECK(s == NULL);
    }
}

static void api_test_other_files(void)
{
    static const char path[] = "/tmp/cwsandbox-test-api-journal";
    ONCE("a file that is no journal is refused as one, and stays as it is")
    {
        char text[40] = "";
        FILE *f = fopen(path, "wb");
        t->sopts.client = api_client(t);
        t->sopts.journal = path;
        if (!CHECK(f && fputs("my notes", f) >= 0 && fclose(f) == 0)) continue;
        cws_session_free(t->session);
        t->session = NULL;
        CHECK_INT(cws_session_open(&t->sopts, &t->session, &t->err), CWS_ERR_FILE);
        HAS(t->err.message, "is another file");
        f = fopen(path, "rb");
        CHECK(f && fgets(text, (int)sizeof(text), f) && fclose(f) == 0);
        CHECK_STR(text, "my notes");
    }
    ONCE("reap stops nothing without the tag, though a service lists it")
    {
        size_t stopped = 9;
        FILE *f = fopen(path, "wb");
        if (api_v1_only(t, "tags are not told")) continue;
        if (!CHECK(f && fputs("cwsandbox-journal 1 v1 http://localhost:1 cws-old\n", f) >= 0 &&
                   fclose(f) == 0))
            continue;
        t->sopts.journal = path;
        script_ok(&t->s, "ListSandboxes",
                  "{\"sandboxes\":[{\"sandboxId\":\"sb-9\",\"spec\":{\"tags\":[\"production\"]},"
                  "\"status\":{\"state\":\"STATE_RUNNING\"}}]}");
        CHECK_INT(cws_session_reap(api_session(t), &stopped, &t->err), CWS_OK);
        CHECK_INT(stopped, 0);
        CHECK_STR(script_calls(&t->s), "ListSandboxes");
    }
    (void)remove(path);
}

/* ---- reap: its life, and memory -------------------------------------------------------------- */

static void reap_inside(cws_op *op, void *user)
{
    api *t = (api *)user;
    size_t stopped = 7;
    CHECK_INT(cws_op_reaped_count(op), 0); /* it is no reap */
    CHECK_INT(cws_session_reap(t->session, &stopped, NULL), CWS_ERR_REENTRANT);
    CHECK_INT(stopped, 0);
}

static void test_reap_life(void)
{
    ONCE("reap blocks: it is refused in a callback") {
        cws_op *op = NULL;
        svc_serve(t);
        t->sopts.journal = new_journal();
        (void)api_session(t);
        CHECK_INT(cws_session_list_begin(t->session, NULL, &op, &t->err), CWS_OK);
        cws_op_on_done(op, reap_inside, t);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        CHECK_INT(svc.lists, 1);
        cws_op_free(op);
    }
    STREAMING("reap: a cancelled one leaves the rest to the next, and nothing behind") {
        size_t stopped = 0;
        int64_t when;
        for (when = 0; when < 6000; when += 500) { /* in each of its steps */
            cws_op *op = NULL;
            int64_t from;
            svc_serve(t);
            t->sopts.journal = new_journal();
            svc_boxes(t, 3);
            crash(t);
            (void)api_session(t);
            svc.run_ms = svc.delete_ms = 1500;
            svc.appear_ms = 700;
            CHECK_INT(cws_session_reap_begin(t->session, &op, &t->err), CWS_OK);
            from = t->s.now;
            while (t->s.now - from < when && !cws_op_done(op))
                CHECK_INT(cws_client_poll(t->client, 0.1, NULL), CWS_OK);
            if (when % 1000) {
                CHECK(cws_op_cancel(op) || cws_op_done(op));
                CHECK(cws_op_done(op));
            }
            cws_op_free(op);
            api_settle(t);
            CHECK_INT(api_reap(t, &stopped), CWS_OK);
            CHECK_INT(svc_running(), 0);
            CHECK_INT(api_close(t), CWS_OK);
            CHECK_STR(journal_shows(journal), "(none)");
            cws_session_free(t->session);
            t->session = NULL;
            svc.run_ms = svc.delete_ms = 0;
        }
    }
    STREAMING("reap: two at once stop everything once, also if the session closes between them") {
        cws_op *a = NULL, *b = NULL, *close = NULL;
        size_t i;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 3);
        svc.lose = 1000;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_TRANSPORT); /* so that they rest */
        svc.lose = 0;
        svc.boxes[3].since = t->s.now + 2600;
        crash(t);
        (void)api_session(t);
        CHECK_INT(cws_session_reap_begin(t->session, &a, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, 2.5, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_session_reap_begin(t->session, &b, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_OK);
        CHECK_INT(cws_op_reaped_count(a), 4);
        CHECK(!cws_op_done(b));
        CHECK_INT(cws_session_close_begin(t->session, &close, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(close, -1, &t->err), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
        (void)cws_op_wait(b, -1, &t->err); /* it still reads what the journal said */
        CHECK_INT(svc_running(), 0);
        for (i = 0; i < 4; i++) CHECK_INT(svc.boxes[i].deletes, 1);
        CHECK_STR(journal_shows(journal), "(none)");
        cws_op_free(a);
        cws_op_free(b);
        cws_op_free(close);
    }
    STREAMING("reap: session and client freed while it is under way") {
        cws_op *op = NULL;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 3);
        crash(t);
        (void)api_session(t);
        svc.delete_ms = 1500;
        CHECK_INT(cws_session_reap_begin(t->session, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, 0.2, &t->err), CWS_ERR_WAIT_TIMEOUT);
        cws_session_free(t->session);
        t->session = NULL;
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        CHECK_INT(cws_op_reaped_count(op), 3);
        cws_op_free(op);
        svc_boxes(t, 3);
        crash(t);
        (void)api_session(t);
        CHECK_INT(cws_session_reap_begin(t->session, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, 0.2, &t->err), CWS_ERR_WAIT_TIMEOUT);
        cws_session_free(t->session);
        t->session = NULL;
        cws_client_free(t->client);
        CHECK(cws_op_done(op));
        CHECK(cws_op_status(op, &t->err) != CWS_OK);
        cws_op_free(op);
        t->client = NULL;
        CHECK_INT(t->s.closes, 1);
    }
    ONCE("v1beta2: a create in doubt keeps the journal, as nothing can settle it") {
        cws_sandbox *sb;
        t->s.b2 = true;
        t->copts.api_version = CWS_API_V1BETA2;
        t->sopts.journal = new_journal();
        (void)api_session(t);
        sb = api_box(t, NULL);
        script_end(&t->s, "Start", CWS_END_LOST);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        CHECK_INT(api_close(t), CWS_OK); /* there is nothing it could stop */
        HAS(journal_shows(journal), "create R1|");
        HAS_NOT(journal_shows(journal), "failed");
    }
}

static bool job_journal(api *t)
{
    cws_sandbox *sb = NULL;
    cws_error err;
    if (no_memory(cws_session_sandbox(t->session, NULL, &sb, &err))) return false;
    t->boxes[t->box_count++] = sb;
    if (no_memory(cws_sandbox_wait(sb, NULL, &err))) return false;
    if (no_memory(cws_session_release(t->session, sb, &err))) return false;
    if (no_memory(cws_session_adopt(t->session, sb, &err))) {
        while (cws_session_adopt(t->session, sb, &err)) test_alloc_fail_at(-1, false);
        test_g.alloc_failed = true;
        return false;
    }
    return cws_session_close(t->session, &err) == CWS_OK;
}

/* A crash has left two; another session has the journal now, opened without memory. */
static bool job_reap(api *t)
{
    cws_session_opts so;
    cws_session *s = NULL;
    cws_error err;
    size_t stopped = 0, i;
    bool ok = true;
    long at = test_g.fail_in;
    bool on = test_g.fail_on;
    test_alloc_fail_at(-1, false);
    put_journal(OLD_HEAD "live sb-1 -\ncreate R\nlive sb-2 R\n");
    for (i = 0; i < 2; i++) (void)svc_make("", i ? OLD_TAG : "");
    memset(&so, 0, sizeof(so));
    so.client = t->client;
    so.journal = journal;
    test_alloc_fail_at(at, on);
    ok = cws_session_open(&so, &s, &err) == CWS_OK;
    if (ok) ok = cws_session_reap(s, &stopped, &err) == CWS_OK;
    if (ok) CHECK_INT(stopped, 2);
    if (!ok) CHECK(err.status == CWS_ERR_NO_MEMORY || err.status == CWS_ERR_SANDBOX ||
                   err.status == CWS_ERR_TRANSPORT);
    test_g.fail_in = -1;
    if (!s && !CHECK_INT(cws_session_open(&so, &s, &err), CWS_OK)) return ok;
    if (!CHECK_INT(cws_session_reap(s, &stopped, &err), CWS_OK)) printf("    %s\n", err.message);
    CHECK_INT(svc_running(), 0);
    CHECK_INT(cws_session_close(s, &err), CWS_OK);
    cws_session_free(s);
    CHECK_STR(journal_shows(journal), "(none)");
    return ok;
}

static void test_memory(void)
{
    EACH("want of memory anywhere in a session with a journal loses no sandbox") {
        t->sopts.journal = new_journal();
        each_allocation(t, job_journal, "session");
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("want of memory anywhere in a reap leaves what it has not done to the next") {
        each_allocation(t, job_reap, "reap");
    }
}

static void test_walk(void)
{
    ONCE("the sandboxes that a session tracks can be walked") {
        cws_sandbox *a, *b;
        cws_session *s = api_session(t);
        CHECK(cws_session_sandbox_at(s, 0) == NULL);
        a = api_box(t, NULL);
        b = api_box(t, NULL);
        CHECK_INT(cws_session_sandbox_count(s), 2);
        CHECK(cws_session_sandbox_at(s, 0) == a && cws_session_sandbox_at(s, 1) == b);
        CHECK(!cws_session_sandbox_at(s, 2) && !cws_session_sandbox_at(s, SIZE_MAX));
        CHECK_INT(cws_session_release(s, a, &t->err), CWS_OK);
        CHECK(cws_session_sandbox_at(s, 0) == b && !cws_session_sandbox_at(s, 1));
        CHECK(!cws_session_sandbox_at(NULL, 0));
    }
}

static void (*const both[])(void) = {
    api_test_session,
    api_test_list_adopts,
    api_test_close_joins,
    api_test_other_files};

int main(int argc, char **argv)
{
    test_init(argc, argv);
    test_walk();
    test_release();
    test_close();
    test_journal();
    test_journal_files();
    test_reap();
    test_reap_files();
    test_reap_life();
    test_memory();
    test_operations();
    remove_journals();
    return api_both_dialects(both, CWSI_COUNT(both));
}
