/* rl_rollouts.c: rollouts for reinforcement learning. 200 episodes, 20 at a time, on one thread:
 * each takes a sandbox that runs already, calls its tool a few times under a time limit, is given a
 * reward, and stops the sandbox. Metrics are logged once for every training step of 50 episodes.
 *
 *     cc -o rl_rollouts rl_rollouts.c -lcurl
 *     ./rl_rollouts [EPISODES [POOL]]
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

enum { TOOL_CALLS = 2, EPISODES_PER_STEP = 50 };

typedef struct rollouts rollouts;

typedef struct episode {
    rollouts *all;
    int number, call;
    cws_sandbox *box; /* NULL: not begun, or over */
    cws_process *tool;
    cws_op *stop;
    double reward;
} episode;

struct rollouts {
    cws_session *session;
    cws_pool *pool;
    int total, begun, over, failed, timeouts;
    double reward;
    episode *running; /* slots of them, used again and again */
    int slots;
};

static void finish(episode *e);

/* What a policy would write: here, a task that every seventh episode gets wrong, and a call that
 * now and then hangs. */
static cws_status call_tool(episode *e, cws_error *err);

static void on_tool(cws_op *op, void *user)
{
    episode *e = user;
    int32_t code = -1;
    cws_error err;
    cws_status status = cws_op_result(op, &err);
    if (cws_status_is(status, CWS_ERR_TIMEOUT)) {
        e->all->timeouts++; /* the tool's fault, not the episode's end */
        e->reward -= 0.5;
    } else if (status) {
        fprintf(stderr, "episode %d: %s\n", e->number, err.message);
        e->all->failed++;
        finish(e);
        return;
    } else if (cws_process_poll(e->tool, &code)) {
        e->reward += code == 0 ? 1.0 : 0.0;
    }
    e->call++;
    if (e->call == TOOL_CALLS) {
        finish(e);
    } else if (call_tool(e, &err)) {
        fprintf(stderr, "episode %d: %s\n", e->number, err.message);
        e->all->failed++;
        finish(e);
    }
}

static cws_status call_tool(episode *e, cws_error *err)
{
    char script[128];
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    cws_exec_opts opts = {0};
    cws_status status;
    bool hangs = e->number % 50 == 9 && e->call == 0, wrong = e->number % 7 == 6;
    snprintf(script, sizeof(script), "%stest $((%d * 2)) -eq %d", hangs ? "sleep 60; " : "",
             e->number, wrong ? -1 : e->number * 2);
    opts.timeout_seconds = 2; /* the policy gets its answer by then, or none */
    cws_process_free(e->tool);
    e->tool = NULL;
    status = cws_exec_begin(e->box, argv, &opts, &e->tool, err);
    if (!status) cws_op_on_done(cws_process_op(e->tool), on_tool, e);
    return status;
}

static void on_stopped(cws_op *op, void *user)
{
    episode *e = user;
    cws_error err;
    if (cws_op_result(op, &err)) fprintf(stderr, "episode %d: %s\n", e->number, err.message);
    e->all->reward += e->reward;
    e->all->over++;
    cws_sandbox_free(e->box);
    e->box = NULL;
}

static void finish(episode *e)
{
    cws_error err;
    if (cws_sandbox_stop_begin(e->box, NULL, &e->stop, &err)) {
        fprintf(stderr, "episode %d: %s\n", e->number, err.message); /* the session's close will */
        cws_sandbox_free(e->box);
        e->box = NULL;
        e->all->over++;
        return;
    }
    cws_op_on_done(e->stop, on_stopped, e);
}

/* Begin an episode in each slot that is free, as far as sandboxes are ready. */
static cws_status begin_episodes(rollouts *all, cws_error *err)
{
    int i;
    for (i = 0; i < all->slots && all->begun < all->total; i++) {
        episode *e = &all->running[i];
        cws_status status;
        if (e->box) continue;
        cws_process_free(e->tool); /* of the episode before */
        cws_op_free(e->stop);
        memset(e, 0, sizeof(*e));
        status = cws_pool_take(all->pool, 0, &e->box, err);
        if (status == CWS_ERR_WAIT_TIMEOUT) return CWS_OK; /* none is ready yet */
        if (status) return status;
        e->all = all;
        e->number = all->begun++;
        status = call_tool(e, err);
        if (status) finish(e);
    }
    return CWS_OK;
}

static cws_status roll_out(rollouts *all, cws_error *err)
{
    int step = 0;
    bool logged;
    while (all->over < all->total) {
        cws_status status = begin_episodes(all, err);
        if (!status) status = cws_client_poll(cws_session_client(all->session), 1000, err);
        if (status) return status;
        if (all->over / EPISODES_PER_STEP == step && all->over < all->total) continue;
        step++;
        printf("step %d: %d episodes, mean reward %.2f, %d calls timed out\n", step, all->over,
               all->reward / all->over, all->timeouts);
        status = cws_session_log_metrics(all->session, step, false, &logged, err);
        if (status) return status;
    }
    return CWS_OK;
}

int main(int argc, char **argv)
{
    static const char *const tags[] = {"example-rollouts", NULL};
    cws_client_opts client = {0};
    cws_sandbox_opts defaults = {0};
    cws_session_opts opts = {0};
    cws_pool_opts pool = {0};
    cws_transport local;
    rollouts all = {0};
    cws_error err;
    cws_status status;
    int i;
    all.total = argc > 1 ? atoi(argv[1]) : 200;
    all.slots = argc > 2 ? atoi(argv[2]) : 20;
    if (all.total < 1 || all.slots < 1) return fprintf(stderr, "rl_rollouts EPISODES POOL\n"), 1;
    all.running = calloc((size_t)all.slots, sizeof(*all.running));
    defaults.tags = tags;
    defaults.max_lifetime_seconds = 900;
    opts.client_opts = &client;
    opts.defaults = &defaults;
    pool.size = (size_t)all.slots;
    status = all.running ? example_client_opts(&client, &local, &err) : CWS_ERR_NO_MEMORY;
    if (!status) status = cws_session_open(&opts, &all.session, &err);
    if (!status) status = cws_pool_open(all.session, &pool, &all.pool, &err);
    if (!status) status = roll_out(&all, &err);
    if (status) fprintf(stderr, "%s: %s\n", cws_status_name(status), err.message);
    for (i = 0; i < all.slots; i++) {
        cws_process_free(all.running[i].tool);
        cws_op_free(all.running[i].stop);
        cws_sandbox_free(all.running[i].box);
    }
    if (all.session && cws_session_close(all.session, &err)) /* the pool's sandboxes too */
        fprintf(stderr, "%s\n", err.message);
    cws_pool_free(all.pool);
    cws_session_free(all.session);
    free(all.running);
    return status || all.failed ? 1 : 0;
}
