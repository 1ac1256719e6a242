/* SPDX-License-Identifier: MIT
 *
 * What a session counts, and its reporters, over the scripted transport (group ME of the
 * behaviour): values, callbacks, JSON lines, and every answer W&B can give.
 *
 *     metrics [part of a test's name]
 */
#include "harness.h"

#include <pthread.h>

#define KEY "0123456789012345678901234567890123456789"
#define KEY_HEADER                                                                                 \
    "authorization: Basic YXBpOjAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODk=\n"

/* The name of a value, as "cwsandbox/executions=3 ...". */
static const char *me_text(const cws_metric *list, size_t count)
{
    static char text[1500];
    size_t i, n = 0;
    text[0] = '\0';
    for (i = 0; i < count; i++) {
        CHECK(strncmp(list[i].name, "cwsandbox/", 10) == 0);
        if (list[i].is_float)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%.3f", i ? " " : "",
                                  list[i].name + 10, list[i].number);
        else {
            CHECK(list[i].number >= (double)list[i].integer);
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%d", i ? " " : "",
                                  list[i].name + 10, (int)list[i].integer);
        }
    }
    return text;
}

/* All values of the session. */
static const char *me_now(api *t)
{
    cws_metric list[CWS_METRICS_MAX];
    cws_metrics m;
    size_t n;
    cws_session_metrics(api_session(t), &m);
    n = cws_metrics_values(&m, list, CWS_METRICS_MAX);
    CHECK(n <= CWS_METRICS_MAX);
    return me_text(list, n);
}

static cws_metrics me_get(api *t)
{
    cws_metrics m;
    cws_session_metrics(api_session(t), &m);
    return m;
}

#define ZEROS                                                                                      \
    "sandboxes_created=0 executions=0 exec_completed_ok=0 exec_completed_nonzero=0 "               \
    "exec_failures=0"

static bool me_log(api *t, int64_t step, bool keep)
{
    bool logged = true;
    cws_op *op = NULL;
    if (!api_async(t)) {
        CHECK_INT(cws_session_log_metrics(api_session(t), step, !keep, &logged, &t->err), CWS_OK);
        return logged;
    }
    if (!CHECK_INT(cws_session_log_metrics_begin(api_session(t), step, !keep, &op, &t->err),
                   CWS_OK))
        return false;
    CHECK(!cws_op_metrics_logged(op));
    CHECK_INT(api_drive(t, op), CWS_OK);
    logged = cws_op_metrics_logged(op);
    cws_op_free(op);
    return logged;
}

/* ---- a reporter that writes down what it gets ------------------------------------------------ */

typedef struct me_sink {
    bool inactive, refuse;
    int calls, asked;
    int64_t step;
    char text[1500];
    api *t;
    bool again; /* make calls from inside */
} me_sink;

static bool me_active(void *user)
{
    me_sink *k = (me_sink *)user;
    k->asked++;
    return !k->inactive;
}

static bool me_take(const cws_metric *list, size_t count, int64_t step, void *user)
{
    me_sink *k = (me_sink *)user;
    k->calls++;
    k->step = step;
    (void)snprintf(k->text, sizeof(k->text), "%s", me_text(list, count));
    if (k->again) {
        cws_op *op = NULL;
        k->again = false;
        CHECK_INT(cws_session_log_metrics(k->t->session, CWS_NO_STEP, true, NULL, NULL),
                  CWS_ERR_REENTRANT);
        CHECK_INT(cws_session_log_metrics_begin(k->t->session, CWS_NO_STEP, true, &op, NULL),
                  CWS_OK);
        cws_op_free(op);
    }
    return !k->refuse;
}

static void me_sink_on(api *t, me_sink *k, cws_reporter *r)
{
    memset(k, 0, sizeof(*k));
    memset(r, 0, sizeof(*r));
    k->t = t;
    r->active = me_active;
    r->log = me_take;
    r->user = k;
    t->sopts.reporter = r;
}

/* One more execution with this outcome. */
static void me_exec(api *t, cws_sandbox *sb, int code)
{
    cws_result *r = NULL;
    api_answer(t, code, "", "");
    CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
    cws_result_free(r);
}

/* ---- counting -------------------------------------------------------------------------------- */

static void me_test_counting(void)
{
    EACH("ME-1: a new session has counted nothing: five zeros and nothing else")
    {
        cws_metrics m = me_get(t);
        CHECK_STR(me_now(t), ZEROS);
        CHECK(m.enabled);
        CHECK_INT(m.startup_count + m.sandbox_count, 0);
        cws_session_metrics(NULL, &m);
        CHECK(!m.enabled);
        CHECK_INT(cws_metrics_values(&m, NULL, 0), 0);
        CHECK_INT(cws_metrics_values(NULL, NULL, 0), 0);
        cws_session_metrics(api_session(t), NULL);
    }
    EACH("ME-2 ME-3 ME-11: each outcome moves its own counter, and the rates count no non-zero")
    {
        cws_sandbox *sb = api_running(t);
        cws_exec_opts check = {0};
        cws_result *r = NULL;
        CHECK_INT(me_get(t).sandboxes_created, 1);
        me_exec(t, sb, 0);
        CHECK_INT(me_get(t).exec_completed_ok, 1);
        me_exec(t, sb, 3);
        CHECK_INT(me_get(t).exec_completed_nonzero, 1);
        check.check = true;
        api_answer(t, 1, "", "");
        CHECK_INT(api_exec(t, sb, api_true, &check, &r), CWS_ERR_EXECUTION);
        cws_result_free(r);
        CHECK_STR(me_now(t),
                  "sandboxes_created=1 executions=3 exec_completed_ok=1 exec_completed_nonzero=1 "
                  "exec_failures=1 exec_completion_rate=0.333 exec_failure_rate=0.333 "
                  "startup_count=1 avg_startup_seconds=0.000 min_startup_seconds=0.000 "
                  "max_startup_seconds=0.000 avg_execs_per_sandbox=3.000 min_execs_per_sandbox=3 "
                  "max_execs_per_sandbox=3");
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 3);
    }
    STREAMING("ME-2: a cancelled command and a shell count when they end, not before")
    {
        cws_sandbox *sb = api_running(t);
        cws_process *p = NULL;
        script_never(&t->s, "StreamExec");
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        CHECK_INT(me_get(t).executions, 0);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 1);
        cws_process_free(p);
        CHECK_INT(me_get(t).exec_failures, 1);
        script_stream(&t->s, "{}", "{\"ready\":{}}", EXIT(0), NULL);
        CHECK_INT(cws_shell_begin(sb, NULL, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(api_drive(t, cws_process_op(p)), CWS_OK);
        cws_process_free(p);
        CHECK_INT(me_get(t).exec_completed_ok, 1);
        CHECK_INT(me_get(t).executions, 2);
    }
    EACH("ME-4 ME-15: start-up is from the create until a poll sees it running; once a sandbox")
    {
        static const int64_t delays[] = {2000, 4000, 6000};
        size_t i;
        CHECK_INT(me_get(t).startup_count, 0);
        for (i = 0; i < 3; i++) {
            cws_sandbox *sb = api_box(t, NULL);
            script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = delays[i] - 500;
            script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->delay = 500;
            CHECK_INT(api_wait(t, sb, 0), CWS_OK);
            script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
            CHECK_INT(api_status(t, sb, NULL), CWS_OK);
            CHECK_INT(me_get(t).startup_count, i + 1);
        }
        CHECK(strstr(me_now(t), "startup_count=3 avg_startup_seconds=4.000 "
                                "min_startup_seconds=2.000 max_startup_seconds=6.000"));
        CHECK_INT(me_get(t).sandboxes_created, 3);
    }
    EACH("ME-14 ME-15: a sandbox that was found counts no creation and no start-up, but commands")
    {
        cws_sandbox *sb = NULL;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"));
        CHECK_INT(api_from_id(t, "sb-1", false, &sb), CWS_OK);
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        me_exec(t, sb, 0);
        CHECK_STR(me_now(t),
                  "sandboxes_created=0 executions=1 exec_completed_ok=1 exec_completed_nonzero=0 "
                  "exec_failures=0 exec_completion_rate=1.000 exec_failure_rate=0.000 "
                  "avg_execs_per_sandbox=1.000 min_execs_per_sandbox=1 max_execs_per_sandbox=1");
    }
    EACH("ME-14: creation counts when the sandbox is made, started or not, and not once more")
    {
        cws_sandbox *sb = NULL;
        cws_sandbox_opts bad = {0};
        (void)api_box(t, NULL);
        CHECK_INT(me_get(t).sandboxes_created, 1);
        (void)api_running(t);
        CHECK_INT(me_get(t).sandboxes_created, 2);
        bad.must_be_zero = 1;
        CHECK_INT(cws_session_sandbox(t->session, &bad, &sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(me_get(t).sandboxes_created, 2);
    }
    EACH("ME-7: executions per sandbox; one that is freed leaves its number behind")
    {
        static const int counts[] = {3, 1, 2};
        cws_sandbox *sb[3];
        int i, k;
        for (i = 0; i < 3; i++) {
            sb[i] = api_running(t);
            for (k = 0; k < counts[i]; k++) me_exec(t, sb[i], 0);
        }
        HAS(me_now(t), "avg_execs_per_sandbox=2.000 min_execs_per_sandbox=1 "
                       "max_execs_per_sandbox=3");
        me_exec(t, sb[1], 0);
        HAS(me_now(t), "avg_execs_per_sandbox=2.333 min_execs_per_sandbox=2 "
                       "max_execs_per_sandbox=3");
    }
    ONCE("ME-7: the numbers per sandbox are right after any order of commands, frees and reports")
    {
        me_sink k;
        cws_reporter r;
        cws_sandbox *sb[8] = {NULL};
        uint64_t runs[64] = {0}; /* the model: one entry for each sandbox ever made */
        size_t which[8] = {0}, made = 0, i, turn;
        uint64_t seed = 7;
        me_sink_on(t, &k, &r);
        (void)api_session(t);
        for (turn = 0; turn < 900; turn++) {
            uint64_t least = 0, most = 0, boxes = 0, total = 0;
            cws_metrics m;
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            i = (size_t)(seed >> 33) % 8;
            if (!sb[i] && made < 64) {
                CHECK_INT(cws_session_sandbox(t->session, NULL, &sb[i], &t->err), CWS_OK);
                (void)snprintf(sb[i]->id, sizeof(sb[i]->id), "sb-%d", (int)made);
                which[i] = made++;
            } else if (sb[i] && (seed >> 40) % 30 == 0) {
                cwsi_session_forget(sb[i]);
                cws_sandbox_free(sb[i]);
                sb[i] = NULL;
            } else if (sb[i]) {
                cwsi_metrics_executed(sb[i], false, false);
                runs[which[i]]++;
            }
            if ((seed >> 45) % 60 == 0) {
                k.refuse = (seed >> 52) % 2;
                if (me_log(t, CWS_NO_STEP, (seed >> 53) % 4 == 0) && (seed >> 53) % 4)
                    memset(runs, 0, sizeof(runs));
            }
            for (i = 0; i < 64; i++) {
                if (runs[i] && (!boxes || runs[i] < least)) least = runs[i];
                if (runs[i] > most) most = runs[i];
                boxes += runs[i] > 0;
                total += runs[i];
            }
            m = me_get(t);
            if (!CHECK(m.sandbox_count == boxes && m.min_execs_per_sandbox == least &&
                       m.max_execs_per_sandbox == most && m.executions == total &&
                       (int)(m.avg_execs_per_sandbox * (double)boxes + 0.5) == (int)total))
                break;
        }
        for (i = 0; i < 8; i++) cws_sandbox_free(sb[i]);
        CHECK(made > 12 && k.calls > 5);
    }
    EACH("ME-7: a command of a sandbox that never started counts, but not for a sandbox")
    {
        cws_sandbox *sb = api_box(t, NULL);
        cws_result *r = NULL;
        script_error(&t->s, "CreateSandbox", "invalid_argument", "no", NULL);
        CHECK(api_exec(t, sb, api_true, NULL, &r) != CWS_OK);
        cws_result_free(r);
        CHECK_STR(me_now(t),
                  "sandboxes_created=1 executions=1 exec_completed_ok=0 exec_completed_nonzero=0 "
                  "exec_failures=1 exec_completion_rate=0.000 exec_failure_rate=1.000");
    }
    EACH("ME: commands of the library's own, for files, count nowhere")
    {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        script_ok(&t->s, "ReadFile", "{}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        CHECK_INT(me_get(t).executions, 0);
    }
    EACH("ME: an adopted sandbox counts for its new session from then on")
    {
        cws_sandbox *sb = api_running(t);
        cws_session_opts o = {0};
        cws_session *other = NULL;
        cws_metrics m;
        o.client = t->client;
        CHECK_INT(cws_session_open(&o, &other, &t->err), CWS_OK);
        me_exec(t, sb, 0);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        me_exec(t, sb, 0);
        me_exec(t, sb, 0);
        CHECK_INT(me_get(t).executions, 1);
        CHECK_INT(me_get(t).max_execs_per_sandbox, 1);
        cws_session_metrics(other, &m);
        CHECK_INT(m.executions, 2);
        CHECK_INT(m.sandboxes_created, 0);
        CHECK_INT(m.min_execs_per_sandbox, 2);
        cws_session_free(other);
        me_exec(t, sb, 0); /* its session is gone: nobody asks any more */
        CHECK_INT(me_get(t).executions, 1);
    }
}

/* ---- reading from another thread ------------------------------------------------------------- */

typedef struct me_reader {
    const cws_session *session;
    int stop;
    uint64_t reads, torn, last;
} me_reader;

static void *me_read(void *user)
{
    me_reader *r = (me_reader *)user;
    while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
        cws_metrics m;
        cws_session_metrics(r->session, &m);
        r->reads++;
        if (m.executions != m.exec_completed_ok || m.executions < r->last ||
            m.max_execs_per_sandbox != m.executions)
            r->torn++;
        r->last = m.executions;
    }
    return NULL;
}

static void me_test_thread(void)
{
    ONCE("ME-16: another thread reads one consistent set of values while they change")
    {
        me_reader r;
        pthread_t thread;
        cws_sandbox *sb = api_box(t, NULL);
        int i;
        memset(&r, 0, sizeof(r));
        r.session = t->session;
        sb->id[0] = 'x';
        if (!CHECK_INT(pthread_create(&thread, NULL, me_read, &r), 0)) break;
        for (i = 0; i < 200000; i++) cwsi_metrics_executed(sb, false, false);
        __atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
        CHECK_INT(pthread_join(thread, NULL), 0);
        CHECK(r.reads > 0);
        CHECK_INT(r.torn, 0);
        CHECK_INT(me_get(t).executions, 200000);
    }
}

/* ---- reporters ------------------------------------------------------------------------------- */

static void me_test_reporting(void)
{
    me_sink k;
    cws_reporter r;
    EACH("ME-9 ME-10: with no run, a report is not taken, and the values stay")
    {
        (void)api_box(t, NULL);
        CHECK(!me_log(t, CWS_NO_STEP, false));
        CHECK_INT(me_get(t).sandboxes_created, 1);
        me_sink_on(t, &k, &r);
    }
    EACH("ME-5 ME-6 ME-9: a report passes the step on, and what was taken begins anew")
    {
        me_sink_on(t, &k, &r);
        CHECK(!me_log(t, 1, false)); /* there is nothing */
        CHECK_INT(k.calls + k.asked, 0);
        me_exec(t, api_running(t), 0);
        CHECK(me_log(t, 42, false));
        CHECK_INT(k.calls, 1);
        CHECK_INT(k.step, 42);
        HAS(k.text, "sandboxes_created=1 executions=1 exec_completed_ok=1");
        HAS(k.text, "startup_count=1");
        HAS(k.text, "max_execs_per_sandbox=1");
        CHECK_STR(me_now(t), ZEROS);
        CHECK(!me_log(t, 43, false));
        CHECK_INT(k.calls, 1);
    }
    EACH("ME-10: keep goes on counting; without a step the reporter is told that there is none")
    {
        me_sink_on(t, &k, &r);
        (void)api_box(t, NULL);
        CHECK(me_log(t, CWS_NO_STEP, true));
        CHECK(me_log(t, CWS_NO_STEP, true));
        CHECK_INT(k.calls, 2);
        CHECK_INT(k.step, CWS_NO_STEP);
        CHECK_INT(me_get(t).sandboxes_created, 1);
    }
    EACH("ME-8 ME-9 ME-10: a reporter without a run, or that fails, leaves the values")
    {
        me_sink_on(t, &k, &r);
        me_exec(t, api_running(t), 7);
        k.inactive = true;
        CHECK(!me_log(t, 1, false));
        CHECK_INT(k.calls, 0);
        k.inactive = false;
        k.refuse = true;
        CHECK(!me_log(t, 1, false));
        CHECK_INT(k.calls, 1);
        HAS(t->said, "the values are kept");
        CHECK_INT(me_get(t).exec_completed_nonzero, 1);
        CHECK_INT(me_get(t).max_execs_per_sandbox, 1);
        CHECK_INT(me_get(t).startup_count, 1);
        k.refuse = false; /* a run that was begun later is found */
        CHECK(me_log(t, 1, false));
        HAS(k.text, "exec_completed_nonzero=1");
    }
    EACH("ME: a reporter without an active function is always active")
    {
        me_sink_on(t, &k, &r);
        r.active = NULL;
        (void)api_box(t, NULL);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_INT(k.asked, 0);
    }
    EACH("ME: inside a reporter a blocking report is refused, another one may begin")
    {
        me_sink_on(t, &k, &r);
        k.again = true;
        (void)api_box(t, NULL);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_INT(k.calls, 1);
    }
    EACH("ME: wrong arguments of a report are refused")
    {
        cws_op *op = NULL;
        bool logged = true;
        me_sink_on(t, &k, &r);
        CHECK_INT(cws_session_log_metrics(NULL, 1, true, &logged, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        CHECK(!logged);
        CHECK_INT(cws_session_log_metrics(api_session(t), -2, true, NULL, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "CWS_NO_STEP");
        CHECK_INT(cws_session_log_metrics_begin(t->session, 1, true, NULL, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_log_metrics_begin(t->session, -2, true, &op, NULL),
                  CWS_ERR_INVALID_ARGUMENT);
        CHECK(!op);
        CHECK(!cws_op_metrics_logged(NULL));
        CHECK_STR(cws_session_run_url(NULL), "");
        CHECK_STR(cws_session_run_url(t->session), "");
    }
    EACH("ME-12: a close reports what is left, once, after the stops; after it all goes on working")
    {
        me_sink_on(t, &k, &r);
        me_exec(t, api_running(t), 0);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATED"));
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(k.calls, 1);
        CHECK_INT(k.step, CWS_NO_STEP);
        HAS(k.text, "sandboxes_created=1");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(k.calls, 1);
        CHECK_STR(me_now(t), ZEROS);
        CHECK(!me_log(t, CWS_NO_STEP, false));
    }
    EACH("ME-12: a close with nothing counted reports nothing")
    {
        me_sink_on(t, &k, &r);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(k.calls + k.asked, 0);
    }
    EACH("ME-12: a report that fails does not fail the close, and keeps the values")
    {
        me_sink_on(t, &k, &r);
        k.refuse = true;
        (void)api_box(t, NULL);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(k.calls, 1);
        CHECK_INT(me_get(t).sandboxes_created, 1);
        k.refuse = false;
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_INT(k.calls, 2);
    }
    EACH("ME-12: a close whose stops failed, or did not end in time, reports all the same")
    {
        me_sink_on(t, &k, &r);
        (void)api_box(t, NULL);
        (void)api_running(t);
        script_error(&t->s, "DeleteSandbox", "permission_denied", "no", NULL);
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK_INT(k.calls, 1);
        HAS(k.text, "sandboxes_created=2");
        script_never(&t->s, "DeleteSandbox")->times = -1;
        (void)me_log(t, CWS_NO_STEP, false);
        cwsi_metrics_created(t->session->metrics);
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK_INT(k.calls, 2);
    }
}

static void me_test_selection(void)
{
    me_sink k;
    cws_reporter r;
    static const char *const none[] = {NULL}, *const wandb[] = {"wandb", NULL},
                             *const other[] = {"mlflow", NULL},
                             *const mixed[] = {"mlflow", "wandb", "csv", NULL};
    EACH("ME-13: report_to empty: nothing is counted, nothing is reported")
    {
        t->sopts.report_to = none;
        me_exec(t, api_running(t), 0);
        CHECK(!me_get(t).enabled);
        CHECK_STR(me_now(t), "");
        CHECK(!me_log(t, 1, false));
    }
    EACH("ME-13: report_to with wandb counts; without a run nothing is sent")
    {
        t->sopts.report_to = wandb;
        (void)api_box(t, NULL);
        CHECK_INT(me_get(t).sandboxes_created, 1);
        CHECK(!me_log(t, 1, false));
    }
    EACH("ME-13: other names are ignored with one warning that has them; alone they mean off")
    {
        t->sopts.report_to = other;
        (void)api_box(t, NULL);
        CHECK(!me_get(t).enabled);
        HAS(t->said, "there is no reporter 'mlflow'; ignored");
    }
    EACH("ME-13: other names among known ones: one warning with all of them")
    {
        t->sopts.report_to = mixed;
        (void)api_box(t, NULL);
        CHECK(me_get(t).enabled);
        HAS(t->said, "there is no reporter 'mlflow', 'csv'; ignored");
    }
    EACH("ME-13: a reporter of one's own counts whatever report_to says")
    {
        me_sink_on(t, &k, &r);
        t->sopts.report_to = none;
        (void)api_box(t, NULL);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_INT(k.calls, 1);
    }
    ONCE("ME: wrong options of a session's reporters are refused, and name what is wrong")
    {
        static const struct {
            cws_wandb_opts o;
            const char *what;
        } bad[] = {
            {{.must_be_zero = 1}, "must_be_zero"},
            {{.mode = (cws_wandb_mode)9}, "mode"},
            {{.timeout_seconds = -1}, "timeout_seconds"},
            {{.run_id = "r"}, "no key"},
            {{.run_id = "r", .api_key = "a\nb"}, "wandb.api_key"},
            {{.run_id = "r:1", .api_key = KEY}, "WANDB_RUN_ID"},
            {{.run_id = "r", .api_key = KEY, .project = "a/b"}, "WANDB_PROJECT"},
            {{.run_id = "r", .api_key = KEY, .entity = " e"}, "WANDB_ENTITY"},
            {{.run_id = "r", .api_key = KEY, .base_url = "https://wandb.ai"}, "did you mean"},
            {{.run_id = "r", .api_key = KEY, .base_url = "https://h/p"}, "path"},
            {{.run_id = "r", .api_key = KEY, .base_url = "https://" KEY "@h"}, "no user"},
            {{.run_id = "r", .api_key = KEY, .base_url = "http://10.0.0.1"}, "plain http"},
        };
        cws_session_opts o = {0};
        cws_session *s = NULL;
        size_t i;
        o.client = api_client(t);
        for (i = 0; i < CWSI_COUNT(bad); i++) {
            o.wandb = &bad[i].o;
            CHECK_INT(cws_session_open(&o, &s, &t->err), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, bad[i].what);
            HAS_NOT(t->err.message, KEY);
            CHECK(!s);
            CHECK_INT(cws_session_open(&o, &s, NULL), CWS_ERR_INVALID_ARGUMENT);
        }
        o.report_to = none;
        CHECK_INT(cws_session_open(&o, &s, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "report_to");
        memset(&o, 0, sizeof(o));
        memset(&r, 0, sizeof(r));
        o.client = t->client;
        o.reporter = &r;
        CHECK_INT(cws_session_open(&o, &s, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "reporter");
        o.reporter = NULL;
        o.metrics_path = "";
        CHECK_INT(cws_session_open(&o, &s, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "metrics_path");
    }
}

static void me_test_file(void)
{
    char path[200], text[3000];
    FILE *f;
    size_t n;
    (void)snprintf(path, sizeof(path), "%s/metrics-%d.jsonl",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
    EACH("ME: JSON lines: one for each report, each a whole object")
    {
        cwsi_str line;
        (void)remove(path);
        t->sopts.metrics_path = path;
        me_exec(t, api_running(t), 0);
        CHECK(me_log(t, 5, true));
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK(!me_log(t, CWS_NO_STEP, false));
        f = fopen(path, "rb");
        if (!CHECK(f != NULL)) break;
        n = fread(text, 1, sizeof(text) - 1, f);
        text[n] = '\0';
        (void)fclose(f);
        line.at = text;
        line.len = strcspn(text, "\n");
        CHECK(cwsi_json_is_object(line));
        HAS(text, "{\"_timestamp\":17000");
        HAS(text, ",\"_step\":5,\"cwsandbox/sandboxes_created\":1,\"cwsandbox/executions\":1,");
        HAS(text, "\"cwsandbox/exec_completion_rate\":1,");
        line.at += line.len + 1;
        line.len = strcspn(line.at, "\n");
        CHECK(cwsi_json_is_object(line));
        HAS_NOT(line.at, "_step");
        CHECK_INT(line.at + line.len + 1 - text, n);
    }
    EACH("ME: a file that can not be written is a warning, and the values stay")
    {
        t->sopts.metrics_path = "/nowhere/at/all/x";
        (void)api_box(t, NULL);
        CHECK(!me_log(t, 5, false));
        HAS(t->said, "can not be written");
        CHECK_INT(me_get(t).sandboxes_created, 1);
    }
    (void)remove(path);
}

#include "metrics_wandb.h"

int main(int argc, char **argv)
{
    test_init(argc, argv);
    me_test_counting();
    me_test_thread();
    me_test_reporting();
    me_test_selection();
    me_test_file();
    mw_test_all();
    return test_summary();
}
