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

typedef struct rollouts {
    cws_session *session;
    cws_pool *pool;
    int total, begun, over, failed, timeouts;
    double reward;
} rollouts;

typedef struct episode { /* a slot for one after the other */
    rollouts *all;
    int number, call;
    double reward;
    cws_op *op; /* taking a sandbox, or stopping it */
    cws_sandbox *box;
    cws_process *tool;
} episode;

static void begin_episode(episode *e);

/* Over, one way or the other: the next one. */
static void end_episode(episode *e, const cws_error *why)
{
    if (why) e->all->failed += complain(why);
    e->all->reward += e->reward;
    e->all->over++;
    cws_sandbox_free(e->box); /* what could not be stopped is left to the session's close */
    e->box = NULL;
    begin_episode(e);
}

static void on_stopped(cws_op *op, void *user)
{
    cws_error err;
    end_episode(user, cws_op_status(op, &err) ? &err : NULL);
}

static void stop(episode *e)
{
    cws_error err;
    cws_op_free(e->op);
    e->op = NULL;
    if (cws_sandbox_stop_begin(e->box, NULL, &e->op, &err)) end_episode(e, &err);
    else cws_op_on_done(e->op, on_stopped, e);
}

static void on_tool(cws_op *op, void *user);

/* What a policy would write: here, a task that every seventh episode gets wrong, and a call that
 * now and then hangs. */
static void call_tool(episode *e)
{
    bool hangs = e->number % 50 == 9 && e->call == 0, wrong = e->number % 7 == 6;
    const cws_exec_opts opts = {.timeout_seconds = 2}; /* the policy has its answer by then */
    char script[128];
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    cws_error err;
    snprintf(script, sizeof(script), "%stest $((%d * 2)) -eq %d", hangs ? "sleep 60; " : "",
             e->number, wrong ? -1 : e->number * 2);
    cws_process_free(e->tool);
    e->tool = NULL;
    if (cws_exec_begin(e->box, argv, &opts, &e->tool, &err)) {
        e->all->failed += complain(&err);
        stop(e);
    } else {
        cws_op_on_done(cws_process_op(e->tool), on_tool, e);
    }
}

static void on_tool(cws_op *op, void *user)
{
    episode *e = user;
    int32_t code;
    cws_error err;
    cws_status status = cws_op_status(op, &err);
    if (cws_status_is(status, CWS_ERR_TIMEOUT)) {
        e->all->timeouts++; /* the tool's fault, not the episode's end */
        e->reward -= 0.5;
    } else if (status) {
        e->all->failed += complain(&err);
        stop(e);
        return;
    } else if (cws_process_poll(e->tool, &code) && code == 0) {
        e->reward += 1;
    }
    if (++e->call == TOOL_CALLS) stop(e);
    else call_tool(e);
}

static void on_taken(cws_op *op, void *user)
{
    episode *e = user;
    cws_error err;
    if (cws_op_status(op, &err)) {
        end_episode(e, &err);
        return;
    }
    e->box = cws_op_take_sandbox(op); /* it runs, and is ours to stop */
    call_tool(e);
}

static void begin_episode(episode *e)
{
    cws_error err;
    cws_op_free(e->op);
    e->op = NULL;
    if (e->all->begun == e->all->total) return;
    e->number = e->all->begun++;
    e->call = 0;
    e->reward = 0;
    if (cws_pool_take_begin(e->all->pool, &e->op, &err)) {
        e->all->failed += complain(&err);
        e->all->total = --e->all->begun; /* then no more of them */
    } else {
        cws_op_on_done(e->op, on_taken, e);
    }
}

/* Everything moves in the poll; a training step has ended with its last episode. */
static cws_status roll_out(rollouts *all, cws_error *err)
{
    cws_client *client = cws_session_client(all->session);
    cws_status status = CWS_OK;
    int step = 0;
    while (!status && all->over < all->total) {
        status = cws_client_poll(client, CWS_FOREVER, err);
        if (status || (all->over / EPISODES_PER_STEP == step && all->over < all->total)) continue;
        step++;
        printf("step %d: %d episodes, mean reward %.2f, %d calls timed out\n", step, all->over,
               all->reward / all->over, all->timeouts);
        status = cws_session_log_metrics(all->session, step, true, NULL, err);
    }
    return status;
}

int main(int argc, char **argv)
{
    const char *tags[] = {"example-rollouts", NULL};
    int slots = argc > 2 ? atoi(argv[2]) : 20, failed, i;
    const cws_sandbox_opts defaults = {.tags = tags, .max_lifetime_seconds = 900};
    const cws_session_opts opts = {.defaults = &defaults};
    const cws_pool_opts pool = {.size = (size_t)slots};
    rollouts all = {.total = argc > 1 ? atoi(argv[1]) : 200};
    episode *episodes = calloc(slots > 0 ? (size_t)slots : 1, sizeof(*episodes));
    cws_error err;
    if (all.total < 1 || slots < 1 || !episodes)
        return fprintf(stderr, "rl_rollouts [EPISODES [POOL]]\n"), 1;
    if (example_open(&opts, &all.session, &err)) return complain(&err);
    failed = cws_pool_open(all.session, &pool, &all.pool, &err) != CWS_OK;
    for (i = 0; i < slots && !failed; i++) {
        episodes[i].all = &all;
        begin_episode(&episodes[i]);
    }
    if (!failed) failed = roll_out(&all, &err) != CWS_OK;
    if (failed) complain(&err);
    for (i = 0; i < slots; i++) {
        cws_process_free(episodes[i].tool);
        cws_op_free(episodes[i].op);
        cws_sandbox_free(episodes[i].box);
    }
    if (cws_session_close(all.session, &err)) failed = complain(&err); /* the pool's too */
    cws_pool_free(all.pool);
    cws_session_free(all.session);
    free(episodes);
    return failed || all.failed;
}
