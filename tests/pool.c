/* SPDX-License-Identifier: MIT
 *
 * The guard at the end of the process, and pools, over the scripted transport, whose replies a
 * small service makes up. Usage:
 *
 *     pool [part of a test's name]
 */
#define CWS_EXIT_GUARD
#include "harness.h"

#include "service.h"

#include <pthread.h>
#include <sys/wait.h>

/* ---- the guard ------------------------------------------------------------------------------- */

/* What became of a process: what it said, and how it ended ("exit 3", "signal 15"). */
static const char *child_said(void (*body)(api *t))
{
    static char text[4000];
    size_t n = 0;
    ssize_t got;
    int out[2], status;
    pid_t child;
    fflush(stdout);
    if (pipe(out) || (child = fork()) < 0) abort();
    if (child == 0) {
        static api *t; /* reachable, whenever it ends */
        (void)close(out[0]);
        (void)alarm(20);
        test_g.bad = false;
        t = api_new(API_ASYNC);
        svc_serve(t);
        svc.say = out[1];
        body(t);
        if (test_g.bad) (void)!write(out[1], "BAD ", 4);
        fflush(stdout);
        _exit(0);
    }
    (void)close(out[1]);
    while (n < sizeof(text) - 100 && (got = read(out[0], text + n, sizeof(text) - 100 - n)) > 0)
        n += (size_t)got;
    (void)close(out[0]);
    if (waitpid(child, &status, 0) != child) abort();
    if (WIFSIGNALED(status)) (void)snprintf(text + n, 100, "signal %d", WTERMSIG(status));
    else (void)snprintf(text + n, 100, "exit %d", WEXITSTATUS(status));
    return text;
}

static void say(const char *word)
{
    if (write(svc.say, word, strlen(word)) != (ssize_t)strlen(word)) abort();
}

/* A guarded session with two sandboxes that run. The calls until then are not told. */
static void guarded(api *t)
{
    int out = svc.say;
    svc.say = -1;
    svc_boxes(t, 2);
    CHECK_INT(cws_session_guard(t->session, true, &t->err), CWS_OK);
    svc.say = out;
}

static void turn(api *t) { CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK); }

#define STOPS "DeleteSandbox DeleteSandbox "

static void child_exit(api *t)
{
    guarded(t);
    exit(3);
}

static void child_exit_main_loop(api *t)
{
    guarded(t);
    CHECK_INT(cws_session_guard(t->session, true, &t->err), CWS_OK); /* twice is once */
    CHECK_INT(cws_session_close(t->session, &t->err), CWS_OK);
    say("closed ");
    exit(4); /* nothing is left to do */
}

static void child_term(api *t)
{
    guarded(t);
    (void)raise(SIGTERM);
    say("noted ");
    turn(t);
    say("alive ");
}

static void child_int(api *t)
{
    guarded(t);
    (void)raise(SIGINT);
    turn(t);
    say("alive ");
}

static void child_ignored(api *t)
{
    cws_sandbox *sb = NULL;
    (void)signal(SIGINT, SIG_IGN);
    guarded(t);
    (void)raise(SIGINT);
    turn(t);
    say("on ");
    CHECK_INT(cws_session_sandbox(t->session, NULL, &sb, &t->err), CWS_ERR_CLOSED);
    CHECK_INT(cws_session_sandbox_count(t->session), 0);
    CHECK(signal(SIGINT, SIG_DFL) == SIG_IGN); /* as it was */
    CHECK(signal(SIGTERM, SIG_DFL) == SIG_DFL);
}

static void on_signal(int number) { say(number == SIGINT ? "int-handler " : "term-handler "); }

static void on_signal_info(int number, siginfo_t *info, void *context)
{
    (void)context;
    say(info && info->si_signo == number ? "info-handler " : "no info ");
}

static void child_handler(api *t)
{
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    guarded(t);
    (void)raise(SIGTERM);
    turn(t);
    say("on ");
    (void)raise(SIGINT); /* as before the guard */
}

static void child_handler_info(api *t)
{
    struct sigaction action, now;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_signal_info;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    (void)sigaction(SIGTERM, &action, NULL);
    guarded(t);
    (void)raise(SIGTERM);
    turn(t);
    CHECK_INT(sigaction(SIGTERM, NULL, &now), 0);
    CHECK(now.sa_sigaction == on_signal_info);
    CHECK((now.sa_flags & (SA_SIGINFO | SA_NODEFER)) == (SA_SIGINFO | SA_NODEFER));
    CHECK_INT(sigismember(&now.sa_mask, SIGUSR1), 1);
}

static void child_second(api *t)
{
    guarded(t);
    svc.hang_deletes = true;
    svc.kill_in_poll = SIGINT;
    svc.kill_after = 3;
    (void)raise(SIGTERM);
    turn(t);
    say("alive ");
}

static void child_second_term(api *t)
{
    (void)signal(SIGTERM, on_signal); /* even so */
    guarded(t);
    svc.hang_deletes = true;
    svc.kill_in_poll = SIGTERM;
    svc.kill_after = 1;
    (void)raise(SIGTERM);
    turn(t);
    say("alive ");
}

/* A signal in the midst of the closing at exit: it is the first one. */
static void child_exit_then_term(api *t)
{
    guarded(t);
    svc.delete_ms = 3000;
    svc.kill_in_poll = SIGTERM;
    svc.kill_after = 1;
    exit(5);
}

static void child_hanging_exit(api *t)
{
    t->sopts.close_timeout_seconds = 7;
    guarded(t);
    svc.hang_deletes = true;
    exit(6); /* bounded by close_timeout_seconds */
}

static bool is_default(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

static void child_nothing_installed(api *t)
{
    cws_session *other;
    CHECK_INT(cws_session_guard(NULL, true, &t->err), CWS_ERR_INVALID_ARGUMENT);
    CHECK_INT(cws_session_guard(NULL, false, &t->err), CWS_ERR_INVALID_ARGUMENT);
    (void)api_session(t);
    CHECK_INT(cws_session_guard(t->session, false, &t->err), CWS_OK); /* is not: fine */
    CHECK(is_default(SIGINT) && is_default(SIGTERM));
    guarded(t);
    CHECK(!is_default(SIGINT) && !is_default(SIGTERM));
    other = open_session(t, NULL);
    CHECK_INT(cws_session_guard(other, true, &t->err), CWS_OK);
    CHECK_INT(cws_session_guard(t->session, false, &t->err), CWS_OK);
    CHECK(!is_default(SIGINT) && !is_default(SIGTERM)); /* the other one is */
    CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
    CHECK(is_default(SIGINT) && is_default(SIGTERM));
    CHECK_INT(cws_session_guard(other, true, &t->err), CWS_ERR_CLOSED);
    CHECK_INT(cws_session_guard(t->session, true, &t->err), CWS_OK);
    CHECK(!is_default(SIGINT));
    cws_session_free(other);
    for (; t->box_count; t->box_count--) cws_sandbox_free(t->boxes[t->box_count - 1]);
    cws_session_free(t->session);
    CHECK(is_default(SIGINT) && is_default(SIGTERM)); /* also by freeing */
    t->session = NULL;
    exit(7);
}

static void child_replaced(api *t)
{
    guarded(t);
    (void)signal(SIGINT, on_signal); /* the program's own idea, later */
    CHECK_INT(cws_session_guard(t->session, false, &t->err), CWS_OK);
    CHECK(is_default(SIGTERM));
    (void)raise(SIGINT);
}

static int late_by; /* polls */

/* The signal comes while the session closes anyway: it must not be swallowed. */
static void child_late(api *t)
{
    guarded(t);
    svc.delete_ms = 1000;
    svc.kill_in_poll = SIGTERM;
    svc.kill_after = late_by;
    CHECK_INT(cws_session_close(t->session, &t->err), CWS_OK);
    say(svc.kill_after < 0 ? "swallowed " : "closed ");
}

static void child_unguard_pending(api *t)
{
    guarded(t);
    (void)raise(SIGTERM);
    (void)cws_session_guard(t->session, false, &t->err); /* it does what it did before */
    say("alive ");
}

static void *thread_signal(void *user)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)pthread_kill(pthread_self(), SIGTERM);
    for (;;) (void)pause();
    return user;
}

/* It arrives in another thread; this one has it blocked. */
static void child_thread(api *t)
{
    sigset_t set;
    pthread_t thread;
    guarded(t);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, thread_signal, NULL)) abort();
    while (!cwsi_guard.caught) (void)usleep(1000);
    CHECK_INT(cws_client_poll(t->client, 100, &t->err), CWS_OK);
    (void)usleep(2000000); /* the other thread dies of it, and with it the process */
    say("alive ");
}

/* A wait that no signal interrupts looks twice a second. */
static void child_looks(api *t)
{
    cws_op *op = NULL;
    guarded(t);
    svc.hang_gets = true;
    svc.most_wait = 0;
    CHECK_INT(cws_sandbox_get_state_begin(t->boxes[0], &op, &t->err), CWS_OK);
    (void)cws_op_wait(op, 4, &t->err);
    CHECK(svc.most_wait > 0 && svc.most_wait <= 500);
    CHECK_INT(cws_session_guard(t->session, false, &t->err), CWS_OK);
    svc.most_wait = 0;
    (void)cws_op_wait(op, 4, &t->err);
    CHECK(svc.most_wait > 500);
    cws_op_free(op);
}

/* The child of a guarded process ends without closing what is its parent's. */
static void child_fork(api *t)
{
    pid_t child;
    int status, way;
    guarded(t);
    for (way = 0; way < 3; way++) {
        child = fork();
        if (child < 0) abort();
        if (child == 0) {
            if (way == 0) exit(0);
            (void)raise(way == 1 ? SIGTERM : SIGINT);
            say("survived ");
            _exit(0);
        }
        if (waitpid(child, &status, 0) != child) abort();
        if (way) CHECK(WIFSIGNALED(status) && WTERMSIG(status) == (way == 1 ? SIGTERM : SIGINT));
        else CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    say("parent ");
    exit(8);
}

/* Two sessions: the failure of one does not keep the other from closing. */
static void child_two(api *t)
{
    cws_session *first;
    int out = svc.say;
    svc.say = -1;
    svc_boxes(t, 2);
    svc.say = out;
    first = t->session;
    t->session = NULL;
    guarded(t);
    CHECK_INT(cws_session_guard(first, true, &t->err), CWS_OK);
    say("two ");
    svc.refuse_each = svc.deletes + 1; /* the first delete */
    (void)raise(SIGTERM);
    turn(t);
}

static void child_mixed(api *t)
{
    int out = svc.say;
    cws_session *other;
    svc.say = -1;
    svc_boxes(t, 2); /* not guarded: left alone */
    other = open_session(t, NULL);
    CHECK_INT(cws_session_adopt(other, t->boxes[0], &t->err), CWS_OK);
    CHECK_INT(cws_session_guard(other, true, &t->err), CWS_OK);
    svc.say = out;
    exit(9);
}

static void exit_inside(cws_op *op, void *user)
{
    (void)op, (void)user;
    exit(10);
}

/* exit() inside a callback: nothing can be waited for there, but the process ends. */
static void child_exit_in_callback(api *t)
{
    cws_op *op = NULL;
    guarded(t);
    svc.say = -1;
    CHECK_INT(cws_sandbox_get_state_begin(t->boxes[0], &op, &t->err), CWS_OK);
    cws_op_on_done(op, exit_inside, NULL);
    (void)cws_op_wait(op, -1, &t->err);
}

static void child_own_client(api *t)
{
    cws_session_opts so;
    cws_sandbox *sb = NULL;
    static cws_session *s;
    int out = svc.say;
    memset(&so, 0, sizeof(so));
    so.client_opts = &t->copts;
    svc.say = -1;
    CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK);
    CHECK_INT(cws_session_sandbox(s, NULL, &sb, &t->err), CWS_OK);
    CHECK_INT(cws_sandbox_wait(sb, NULL, &t->err), CWS_OK);
    CHECK_INT(cws_session_guard(s, true, &t->err), CWS_OK);
    svc.say = out;
    cws_sandbox_free(sb);
    (void)raise(SIGINT);
    CHECK_INT(cws_client_poll(cws_session_client(s), 0, NULL), CWS_OK);
}

static void test_guard(void)
{
    static const struct {
        const char *promise;
        void (*body)(api *t);
        const char *said;
    } table[] = {
        {"L24: exit() closes what is guarded", child_exit, STOPS "exit 3"},
        {"L24: closed before the end: nothing is left to do, once", child_exit_main_loop,
         STOPS "closed exit 4"},
        {"L25: SIGTERM by default: closed by the next turn, then died of it", child_term,
         "noted " STOPS "signal 15"},
        {"L25: SIGINT likewise", child_int, STOPS "signal 2"},
        {"L25: an ignored signal closes, and the program goes on", child_ignored,
         STOPS "on exit 0"},
        {"L25: a handler is called after the closing, and is in its place again", child_handler,
         STOPS "term-handler on int-handler exit 0"},
        {"L25: so is one with siginfo, flags and mask", child_handler_info,
         STOPS "info-handler exit 0"},
        {"L25: a second signal ends the process at once: 128 + 2", child_second, STOPS "exit 130"},
        {"L25: likewise 128 + 15, whatever the handler", child_second_term, STOPS "exit 143"},
        {"a signal during the closing of exit() is the first: it ends well", child_exit_then_term,
         STOPS "signal 15"},
        {"the closing at exit is bounded", child_hanging_exit, STOPS "exit 6"},
        {"L25: nothing is installed while no session is guarded; originals are restored",
         child_nothing_installed, "exit 7"},
        {"what replaced the guard's handler stays", child_replaced, "int-handler exit 0"},
        {"a signal that is pending when the session is unguarded is not swallowed",
         child_unguard_pending, "signal 15"},
        {"a signal in another thread: this one closes, and the process dies of it", child_thread,
         STOPS "signal 15"},
        {"a guarded wait looks twice a second", child_looks, "GetSandbox exit 0"},
        {"a forked child neither closes nor survives what its parent guards", child_fork,
         "parent " STOPS "exit 8"},
        {"L24: the failure of one session does not keep the next from closing", child_two,
         "two DeleteSandbox DeleteSandbox " STOPS "signal 15"},
        {"a session that is not guarded is left alone", child_mixed, "DeleteSandbox exit 9"},
        {"exit() inside a callback ends the process", child_exit_in_callback, "exit 10"},
        {"a session with a client of its own", child_own_client, "DeleteSandbox signal 2"},
    };
    size_t i;
    for (i = 0; i < CWSI_COUNT(table); i++)
        TEST(table[i].promise) CHECK_STR(child_said(table[i].body), table[i].said);
    TEST("a signal during a close of the program's own is not swallowed, whenever it comes")
    {
        const char *said = "";
        for (late_by = 0; late_by < 20 && strcmp(said, STOPS "closed exit 0") != 0; late_by++) {
            said = child_said(child_late);
            if (strcmp(said, STOPS "closed exit 0") != 0) CHECK_STR(said, STOPS "signal 15");
        }
        CHECK(late_by > 2 && late_by < 20); /* all polls of the close were tried */
    }
}

/* ---- pools ----------------------------------------------------------------------------------- */

static cws_pool *open_pool(api *t, cws_pool_opts *o, size_t size)
{
    cws_pool *pool = NULL;
    o->size = size;
    CHECK_INT(cws_pool_open(api_session(t), o, &pool, &t->err), CWS_OK);
    CHECK(pool != NULL);
    if (!pool) abort();
    return pool;
}

/* Until that many can be taken, or nothing moves any more. */
static void pool_fills(api *t, cws_pool *pool, size_t n)
{
    int64_t from = t->s.now;
    while (cws_pool_ready_count(pool) < n && t->s.now - from < 60000)
        CHECK_INT(cws_client_poll(t->client, 1, NULL), CWS_OK);
    CHECK_INT(cws_pool_ready_count(pool), n);
}

static cws_status pool_take(api *t, cws_pool *pool, int64_t ms, cws_sandbox **out)
{
    cws_status status = cws_pool_take(pool, ms / 1000.0, out, &t->err);
    CHECK_INT(status == CWS_OK, *out != NULL);
    CHECK_INT(t->err.status, status);
    if (*out) t->boxes[t->box_count++] = *out;
    return status;
}

typedef struct pool_seen {
    int calls;
    size_t ready;
    bool take, free_it;
    cws_sandbox *taken[10];
    cws_status blocked, closed;
} pool_seen;

static void pool_on_ready(cws_pool *pool, void *user)
{
    pool_seen *seen = (pool_seen *)user;
    cws_sandbox *sb = NULL;
    seen->ready = cws_pool_ready_count(pool);
    if (seen->take && seen->calls < 10) {
        seen->blocked = cws_pool_take(pool, 0.005, &sb, NULL);
        CHECK(sb == NULL);
        seen->closed = cws_pool_close(pool, NULL);
        CHECK_INT(cws_pool_take(pool, 0, &seen->taken[seen->calls], NULL), CWS_OK);
    }
    seen->calls++;
    if (seen->free_it) cws_pool_free(pool);
}

static void test_pool(void)
{
    EACH("pool: arguments; the options of its sandboxes are checked when it is opened") {
        cws_pool_opts o;
        cws_sandbox_opts so;
        cws_pool *pool = NULL;
        cws_sandbox *sb = NULL;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        memset(&so, 0, sizeof(so));
        (void)api_session(t);
        CHECK_INT(cws_pool_open(t->session, NULL, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "size");
        o.size = 100001;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        o.size = 1;
        CHECK_INT(cws_pool_open(NULL, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_pool_open(t->session, &o, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        o.max_age_seconds = -5;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "max_age_seconds");
        o.max_age_seconds = 0;
        o.must_be_zero = 1;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_pool_opts");
        o.must_be_zero = 0;
        so.max_lifetime_seconds = -3;
        o.sandbox = &so;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "max_lifetime_seconds");
        CHECK(pool == NULL);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(cws_pool_take(NULL, 0, &sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_pool_ready_count(NULL), 0);
        CHECK_INT(cws_pool_close(NULL, &t->err), CWS_OK);
        cws_pool_free(NULL);
        CHECK_INT(api_close(t), CWS_OK);
        o.sandbox = NULL;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(t->s.call_count, 0);
    }
    EACH("pool: keeps so many ready, hands out the oldest, starts another for it") {
        cws_pool_opts o;
        cws_sandbox_opts so;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        static const char *const tags[] = {"pooled", NULL};
        size_t i;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        memset(&so, 0, sizeof(so));
        so.tags = tags;
        o.sandbox = &so;
        pool = open_pool(t, &o, 3);
        memset(&so, 0xff, sizeof(so)); /* it has a copy */
        CHECK_INT(t->s.call_count, 0); /* nothing inside the call */
        pool_fills(t, pool, 3);
        CHECK_INT(svc.count, 3);
        for (i = 0; i < 5; i++) {
            CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
            CHECK_STR(cws_sandbox_id(sb), svc.boxes[i].id); /* in the order of their coming */
            CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
            t->s.now++;
            pool_fills(t, pool, 3);
            CHECK_INT(svc.count, 4 + i);
        }
        HAS(script_json(&t->s, "CreateSandbox", 7), "\"pooled\"");
        CHECK_INT(cws_session_sandbox_count(t->session), 8);
        CHECK_INT(cws_pool_take(pool, 0, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        CHECK_INT(svc_running(), 5); /* those that were taken */
        CHECK_INT(cws_pool_ready_count(pool), 0);
        CHECK_INT(pool_take(t, pool, 0, &sb), CWS_ERR_CLOSED);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK); /* twice is once */
        cws_pool_free(pool);
        CHECK_INT(svc.count, 8);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: a take waits as long as it may") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        int64_t from;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        svc.create_ms = 3000, svc.run_ms = 1000;
        pool = open_pool(t, &o, 2);
        from = t->s.now;
        CHECK_INT(pool_take(t, pool, 0, &sb), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now, from);
        CHECK_INT(pool_take(t, pool, 1234, &sb), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now - from, 1234);
        HAS(t->err.message, "ready");
        CHECK_INT(pool_take(t, pool, 3000, &sb), CWS_OK);
        CHECK(t->s.now - from < 4300);
        CHECK_INT(pool_take(t, pool, 0, &sb), CWS_OK); /* both had begun at once */
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK(svc.creates >= 4);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(svc_running(), 3);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: at most max_starting are started at once") {
        cws_pool_opts o;
        cws_pool *pool;
        int64_t from;
        size_t i, k, most = 0;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        o.max_starting = 2;
        svc.create_ms = 1000;
        pool = open_pool(t, &o, 7);
        from = t->s.now;
        pool_fills(t, pool, 7);
        CHECK(t->s.now - from >= 4000 && t->s.now - from < 6000); /* four rounds */
        for (i = 0; i < t->s.call_count; i++) { /* creates that overlap */
            size_t n = 0;
            if (strcmp(t->s.calls[i].rpc, "CreateSandbox") != 0) continue;
            for (k = 0; k < t->s.call_count; k++)
                n += strcmp(t->s.calls[k].rpc, "CreateSandbox") == 0 &&
                     t->s.calls[k].at <= t->s.calls[i].at &&
                     t->s.calls[k].ended_at > t->s.calls[i].at;
            if (n > most) most = n;
        }
        CHECK_INT(most, 2);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(svc_running(), 0);
    }
    EACH("pool: one that is too old is stopped, and another given") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        o.max_age_seconds = 10;
        pool = open_pool(t, &o, 2);
        pool_fills(t, pool, 2);
        t->s.now += 9000;
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        pool_fills(t, pool, 2); /* sb-3 */
        CHECK_INT(cws_pool_ready_count(pool), 2);
        t->s.now += 5000;
        CHECK_INT(cws_pool_ready_count(pool), 1); /* sb-2 is too old */
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-3");
        t->s.now += 60000;
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        pool_fills(t, pool, 2);
        CHECK(svc.boxes[1].ended);
        CHECK_INT(svc_running(), 5); /* three taken, two ready */
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    EACH("pool: after three failures in a row it says why, and tries again only when asked") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        size_t before;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        o.max_starting = 1;
        svc.refuse_creates = 1000;
        pool = open_pool(t, &o, 2);
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_ERR_SANDBOX);
        HAS(t->err.message, "not this one");
        CHECK_INT(svc.creates, 3);
        api_settle(t);
        CHECK_INT(cws_client_poll(t->client, 60, NULL), CWS_OK);
        CHECK_INT(svc.creates, 3); /* by itself it does not */
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_ERR_SANDBOX);
        CHECK_INT(svc.creates, 4);
        before = svc.creates;
        CHECK(pool_take(t, pool, 0, &sb) != CWS_OK); /* asked without waiting */
        api_settle(t);
        CHECK_INT(svc.creates, before + 1);
        svc.refuse_creates = 0;
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        pool_fills(t, pool, 2);
        CHECK_INT(cws_session_sandbox_count(t->session), 3); /* the failed ones are not kept */
        svc.failing = true; /* created, but they fail when they start */
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_ERR_FAILED);
        HAS(t->err.message, "failed");
        api_settle(t);
        svc.failing = false;
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(api_close(t), CWS_OK);
    }
    EACH("pool: two failures, then a success: the count begins anew") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        o.max_starting = 1;
        svc.refuse_creates = 2;
        pool = open_pool(t, &o, 1);
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        svc.refuse_creates = 2;
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK); /* this one may have begun already */
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK(svc.creates >= 6);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: on_ready may take without waiting; what blocks is refused there") {
        cws_pool_opts o;
        cws_pool *pool;
        pool_seen seen;
        size_t i;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        memset(&seen, 0, sizeof(seen));
        o.on_ready = pool_on_ready;
        o.user = &seen;
        seen.take = true;
        pool = open_pool(t, &o, 2);
        CHECK_INT(seen.calls, 0);
        for (i = 0; i < 1000 && seen.calls < 10; i++)
            CHECK_INT(cws_client_poll(t->client, 1, NULL), CWS_OK);
        CHECK(seen.calls >= 10);
        CHECK_INT(seen.blocked, CWS_ERR_REENTRANT);
        CHECK_INT(seen.closed, CWS_ERR_REENTRANT);
        for (i = 0; i < 10; i++) {
            CHECK_INT(cws_sandbox_state(seen.taken[i]), CWS_STATE_RUNNING);
            t->boxes[t->box_count++] = seen.taken[i];
        }
        pool_fills(t, pool, 2);
        CHECK(seen.ready >= 1);
        CHECK_INT(svc_running(), 12);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        CHECK_INT(svc_running(), 10);
        cws_pool_free(pool);
        CHECK_INT(api_close(t), CWS_OK);
    }
    STREAMING("pool: freed inside on_ready, and in mid-flight: the session stops what is left") {
        cws_pool_opts o;
        cws_pool *pool;
        pool_seen seen;
        int64_t when;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        memset(&seen, 0, sizeof(seen));
        o.on_ready = pool_on_ready;
        o.user = &seen;
        seen.free_it = true;
        (void)open_pool(t, &o, 3);
        while (!seen.calls) CHECK_INT(cws_client_poll(t->client, 1, NULL), CWS_OK);
        api_settle(t);
        CHECK_INT(seen.calls, 1);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
        cws_session_free(t->session);
        t->session = NULL;
        memset(&o, 0, sizeof(o));
        o.max_age_seconds = 1;
        svc.create_ms = svc.run_ms = svc.delete_ms = 1000;
        for (when = 0; when < 6000; when += 500) {
            int64_t from = t->s.now;
            cws_sandbox *sb = NULL;
            pool = open_pool(t, &o, 3);
            while (t->s.now - from < when)
                CHECK_INT(cws_client_poll(t->client, 0.1, NULL), CWS_OK);
            if (cws_pool_take(pool, 0, &sb, NULL) == CWS_OK) t->boxes[t->box_count++] = sb;
            cws_pool_free(pool);
            api_settle(t);
            CHECK_INT(api_close(t), CWS_OK);
            CHECK_INT(svc_running(), 0);
            cws_session_free(t->session);
            t->session = NULL;
        }
    }
    STREAMING("pool: the session closes under it: nothing is started any more, a take says so") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        cws_op *close = NULL;
        size_t made;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        svc.create_ms = svc.delete_ms = 1000;
        pool = open_pool(t, &o, 3);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        CHECK_INT(cws_session_close_begin(t->session, &close, &t->err), CWS_OK);
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_ERR_CLOSED);
        CHECK_INT(cws_op_wait(close, -1, &t->err), CWS_OK);
        cws_op_free(close);
        made = svc.count;
        api_settle(t);
        CHECK_INT(svc.count, made);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
    }
    EACH("pool: a close with failures counts them, and leaves those to the session") {
        cws_pool_opts o;
        cws_pool *pool;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        pool = open_pool(t, &o, 6);
        pool_fills(t, pool, 6);
        svc.boxes[4].ended = true; /* by itself: no failure */
        svc.refuse_each = 2;
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_ERR_SANDBOX);
        HAS(t->err.message, "3 sandboxes of the pool");
        HAS(t->err.message, "will not");
        CHECK_INT(cws_session_sandbox_count(t->session), svc_running());
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        svc.refuse_each = 0;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: the client is freed under it") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        svc.create_ms = 1000;
        pool = open_pool(t, &o, 3);
        CHECK_INT(cws_client_poll(t->client, 0.1, NULL), CWS_OK);
        cws_client_free(t->client);
        CHECK(pool_take(t, pool, -1, &sb) != CWS_OK);
        CHECK(pool_take(t, pool, 0, &sb) != CWS_OK);
        (void)cws_pool_close(pool, &t->err);
        cws_pool_free(pool);
        cws_session_free(t->session);
        t->session = NULL;
        t->client = NULL;
        CHECK_INT(t->s.closes, 1);
    }
}

static void api_test_pool_fails(void)
{
    STREAMING("a pool whose starts keep failing at different times is given up by one take")
    {
        cws_pool_opts o;
        cws_pool *pool = NULL;
        cws_sandbox *sb = NULL;
        int i;
        memset(&o, 0, sizeof(o));
        o.size = 4;
        (void)api_session(t);
        for (i = 0; i < 6; i++) /* some are always under way when others fail */
            script_error(&t->s, "CreateSandbox", "permission_denied", "no", NULL)->delay =
                100 + i * 53;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_OK);
        CHECK_INT(cws_pool_take(pool, -1, &sb, &t->err), CWS_ERR_AUTHENTICATION);
        CHECK_INT(script_count(&t->s, "CreateSandbox"), 6);
        cws_pool_free(pool);
    }
}

static bool job_pool(api *t)
{
    cws_pool_opts o;
    cws_pool *pool = NULL;
    cws_sandbox *sb = NULL;
    cws_error err;
    bool ok, before;
    size_t i;
    memset(&o, 0, sizeof(o));
    o.max_age_seconds = 1;
    if (cws_pool_open(t->session, &o, &pool, &err) != CWS_ERR_INVALID_ARGUMENT) CHECK(!"size 0");
    o.size = 2;
    if (no_memory(cws_pool_open(t->session, &o, &pool, &err))) {
        CHECK(pool == NULL);
        return false;
    }
    ok = true;
    for (i = 0; i < 3 && ok; i++) {
        ok = cws_pool_take(pool, -1, &sb, &err) == CWS_OK;
        if (ok) t->boxes[t->box_count++] = sb;
        if (i == 1) t->s.now += 5000; /* too old */
    }
    before = test_alloc_failed(); /* what it could not stop then is the session's */
    if (cws_pool_close(pool, &err)) ok = false;
    else if (!before) CHECK_INT(svc_running(), t->box_count);
    cws_pool_free(pool);
    return ok;
}

static void test_pool_memory(void)
{
    EACH("want of memory anywhere in a pool loses no sandbox, and it ends") {
        each_allocation(t, job_pool, "pool");
    }
}

static void (*const both[])(void) = {
    api_test_pool_fails};

/* ---- takes and closes that are begun --------------------------------------------------------- */

static cws_op *take_begun(api *t, cws_pool *pool)
{
    cws_op *op = NULL;
    CHECK_INT(cws_pool_take_begin(pool, &op, &t->err), CWS_OK);
    if (!op) abort();
    return op;
}

static void test_pool_begun(void)
{
    STREAMING("pool: takes that are begun are served in order; what is not used goes to the next") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_op *op[3];
        cws_sandbox *sb = NULL;
        char id[CWSI_ID_SIZE];
        int i;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        svc.create_ms = 1000, svc.run_ms = 1000;
        pool = open_pool(t, &o, 1);
        for (i = 0; i < 3; i++) op[i] = take_begun(t, pool);
        CHECK_STR(cws_op_name(op[0]), "Take from pool");
        CHECK_INT(cws_op_wait(op[0], CWS_FOREVER, &t->err), CWS_OK);
        CHECK(!cws_op_done(op[1]) && !cws_op_done(op[2]));
        CHECK_INT(cws_pool_ready_count(pool), 0);
        CHECK_INT(pool_take(t, pool, 0, &sb), CWS_ERR_WAIT_TIMEOUT); /* others wait */
        cws_op_free(op[0]); /* nobody took it */
        CHECK_INT(cws_op_wait(op[1], 0, &t->err), CWS_OK);
        sb = cws_op_take_sandbox(op[1]);
        CHECK(sb && !cws_op_take_sandbox(op[1]));
        (void)snprintf(id, sizeof(id), "%s", cws_sandbox_id(sb));
        t->boxes[t->box_count++] = sb;
        CHECK_INT(cws_op_wait(op[2], CWS_FOREVER, &t->err), CWS_OK);
        sb = cws_op_take_sandbox(op[2]);
        CHECK(sb && strcmp(cws_sandbox_id(sb), id) != 0);
        t->boxes[t->box_count++] = sb;
        cws_op_free(op[1]);
        cws_op_free(op[2]);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(svc_running(), 2);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: more takes than it has slots, all of them waited for at once") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_op *op[7];
        size_t n = 0;
        int i;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        svc.create_ms = 500;
        pool = open_pool(t, &o, 2);
        for (i = 0; i < 7; i++) op[i] = take_begun(t, pool);
        CHECK_INT(cws_wait_many(op, 7, CWS_ALL, CWS_FOREVER, NULL, &n, &t->err), CWS_OK);
        CHECK_INT(n, 7);
        for (i = 0; i < 7; i++) { /* half of them are taken, the others go back or are stopped */
            if (i % 2) t->boxes[t->box_count++] = cws_op_take_sandbox(op[i]);
            cws_op_free(op[i]);
        }
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        api_settle(t);
        CHECK_INT(svc_running(), 3);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: a take that is cancelled makes room for the next") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_op *a, *b;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        svc.create_ms = 1000;
        pool = open_pool(t, &o, 1);
        a = take_begun(t, pool);
        b = take_begun(t, pool);
        CHECK(cws_op_cancel(a));
        CHECK_INT(cws_op_wait(b, CWS_FOREVER, &t->err), CWS_OK);
        CHECK_INT(cws_op_status(a, NULL), CWS_ERR_CANCELLED);
        t->boxes[t->box_count++] = cws_op_take_sandbox(b);
        cws_op_free(a);
        cws_op_free(b);
        cws_pool_free(pool);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: takes that wait end when it is closed or freed, or its session is closed") {
        int how;
        for (how = 0; how < 3; how++) {
            cws_pool_opts o;
            cws_pool *pool;
            cws_op *had, *waits, *late, *close[2];
            svc_serve(t);
            memset(&o, 0, sizeof(o));
            svc.create_ms = 1000;
            pool = open_pool(t, &o, 1);
            had = take_begun(t, pool);
            waits = take_begun(t, pool);
            CHECK_INT(cws_op_wait(had, CWS_FOREVER, &t->err), CWS_OK);
            if (how == 0) {
                CHECK_INT(cws_pool_close_begin(pool, &close[0], &t->err), CWS_OK);
                CHECK_INT(cws_pool_close_begin(pool, &close[1], &t->err), CWS_OK);
                CHECK_INT(cws_pool_take_begin(pool, &late, &t->err), CWS_ERR_CLOSED);
                CHECK(!late);
                CHECK_INT(cws_op_wait(close[1], CWS_FOREVER, &t->err), CWS_OK);
                CHECK_INT(cws_op_wait(close[0], CWS_FOREVER, &t->err), CWS_OK);
                cws_op_free(close[0]);
                cws_op_free(close[1]);
                CHECK_INT(svc_running(), 1); /* what was given */
            } else if (how == 1) cws_pool_free(pool);
            else CHECK_INT(cws_session_close(t->session, &t->err), CWS_OK);
            CHECK_INT(cws_op_wait(waits, CWS_FOREVER, &t->err), CWS_ERR_CLOSED);
            cws_op_free(waits);
            if (how == 0) t->boxes[t->box_count++] = cws_op_take_sandbox(had);
            cws_op_free(had);
            if (how != 1) cws_pool_free(pool);
        }
        api_settle(t);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: a close takes over from one that was cancelled") {
        int turns;
        for (turns = 0; turns < 3; turns++) {
            cws_pool_opts o;
            cws_pool *pool;
            cws_op *a, *b;
            svc_serve(t);
            memset(&o, 0, sizeof(o));
            svc.create_ms = 100;
            pool = open_pool(t, &o, 3);
            pool_fills(t, pool, 3);
            CHECK_INT(cws_pool_close_begin(pool, &a, &t->err), CWS_OK);
            CHECK_INT(cws_pool_close_begin(pool, &b, &t->err), CWS_OK);
            if (turns) CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
            if (turns == 2) cws_op_free(a);
            else CHECK(cws_op_cancel(a) || turns);
            CHECK_INT(cws_op_wait(b, CWS_FOREVER, &t->err), CWS_OK);
            CHECK_INT(svc_running(), 0);
            if (turns != 2) cws_op_free(a);
            cws_op_free(b);
            cws_pool_free(pool);
        }
        CHECK_INT(api_close(t), CWS_OK);
    }
    STREAMING("pool: freed while it is closed: the close says so, and the session stops the rest") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_op *close[2];
        int i;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        pool = open_pool(t, &o, 3);
        pool_fills(t, pool, 3);
        for (i = 0; i < 2; i++)
            CHECK_INT(cws_pool_close_begin(pool, &close[i], &t->err), CWS_OK);
        cws_pool_free(pool);
        for (i = 0; i < 2; i++) {
            CHECK_INT(cws_op_wait(close[i], CWS_FOREVER, &t->err), CWS_ERR_CLOSED);
            cws_op_free(close[i]);
        }
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: the client is freed under takes and closes") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_op *op[3];
        int i;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        svc.create_ms = 1000;
        pool = open_pool(t, &o, 1);
        op[0] = take_begun(t, pool);
        op[1] = take_begun(t, pool);
        CHECK_INT(cws_op_wait(op[0], CWS_FOREVER, &t->err), CWS_OK);
        CHECK_INT(cws_pool_close_begin(pool, &op[2], &t->err), CWS_OK);
        cws_session_free(t->session);
        cws_client_free(t->client);
        t->session = NULL;
        t->client = NULL;
        CHECK_INT(cws_op_status(op[1], NULL), CWS_ERR_CANCELLED);
        CHECK_INT(cws_op_status(op[2], NULL), CWS_ERR_CANCELLED);
        cws_pool_free(pool);
        for (i = 0; i < 3; i++) cws_op_free(op[i]); /* one still has its sandbox */
    }
    ONCE("pool: begun with wrong arguments") {
        cws_op *op = NULL;
        CHECK_INT(cws_pool_take_begin(NULL, &op, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_pool_close_begin(NULL, &op, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!op);
    }
}

int main(int argc, char **argv)
{
    test_init(argc, argv);
    test_guard();
    test_pool();
    test_pool_begun();
    test_pool_memory();
    remove_journals();
    return api_both_dialects(both, CWSI_COUNT(both));
}
