/* session.c: a walk through everything a session does: defaults, sandboxes, a function, list and
 * adopt, metrics, close.
 *
 *     cc -o session session.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

/* What every sandbox of the session has, unless its own options say otherwise. */
static cws_status open_session(cws_session **out, cws_error *err)
{
    const char *tags[] = {"example-session", NULL};
    const cws_pair variables[] = {{"GREETING", "hello"}, {NULL, NULL}};
    const cws_resources small = {.cpu = "500m", .memory = "256Mi"};
    const cws_sandbox_opts defaults = {.tags = tags,
                                       .environment_variables = variables,
                                       .resources = &small,
                                       .max_lifetime_seconds = 600};
    const cws_session_opts opts = {
        .defaults = &defaults,
        .metrics_path = "example.metrics" /* a line of JSON for each report; W&B by WANDB_RUN_ID */
    };
    return example_open(&opts, out, err); /* all of it is copied */
}

/* Two sandboxes that share the defaults. Both commands run at once: the sandboxes are started by
 * the first thing that needs them. */
static cws_status run_commands(cws_session *session, cws_error *err)
{
    static const char *const names[] = {"the first", "the second"};
    const char *argv[] = {"/bin/sh", "-c", "echo $GREETING from $WHO", NULL};
    const cws_exec_opts check = {.check = true}; /* a non-zero exit code is an error */
    cws_sandbox *boxes[2] = {NULL, NULL};
    cws_process *runs[2] = {NULL, NULL};
    const cws_result *result;
    cws_status status = CWS_OK;
    int i;
    for (i = 0; i < 2 && !status; i++) {
        const cws_pair own[] = {{"WHO", names[i]}, {NULL, NULL}};
        const cws_sandbox_opts opts = {.environment_variables = own}; /* added to the defaults */
        status = cws_session_sandbox(session, &opts, &boxes[i], err);
        if (!status) status = cws_exec_begin(boxes[i], argv, &check, &runs[i], err);
    }
    for (i = 0; i < 2 && !status; i++) {
        status = cws_process_wait(runs[i], CWS_FOREVER, &result, err);
        if (!status) printf("%s", cws_result_stdout(result));
    }
    for (i = 0; i < 2; i++) {
        cws_process_free(runs[i]);
        cws_sandbox_free(boxes[i]); /* the handle only: the session still has the sandbox */
    }
    return status;
}

/* A function runs in a sandbox of its own, which is gone when it returns. */
static cws_status call_function(cws_session *session, cws_error *err)
{
    const char *python[] = {"python3", NULL};
    const cws_function_opts opts = {
        .source = "def add(x, y, scale=1):\n    return {'sum': (x + y) * scale}\n",
        .name = "add",
        .interpreter = python,
        .temp_dir = "/tmp/functions" /* made if it is not there */
    };
    cws_function *add = NULL;
    cws_bytes *sum = NULL;
    cws_status status = cws_session_function(session, &opts, &add, err);
    if (!status) status = cws_function_call(add, "[2, 3]", "{\"scale\": 10}", &sum, err);
    if (!status) printf("add(2, 3, scale=10) = %s\n", cws_bytes_data(sum));
    cws_bytes_free(sum);
    cws_function_free(add);
    return status;
}

/* Sandboxes that are there already, of this program or another: those with the session's tags. What
 * is adopted is stopped with the session. */
static cws_status find_sandboxes(cws_session *session, cws_error *err)
{
    const cws_session_list_opts opts = {.state = CWS_STATE_RUNNING, .adopt = true};
    cws_sandboxes *list = NULL;
    cws_sandbox *box, *again = NULL;
    cws_status status = cws_session_list(session, &opts, &list, err);
    size_t i;
    for (i = 0; !status && (box = cws_sandboxes_at(list, i)) != NULL; i++)
        printf("found %s\n", cws_sandbox_id(box));
    box = cws_sandboxes_at(list, 0);
    if (!status && box) { /* by its id, without and then with adopting: it is adopted already */
        status = cws_session_from_id(session, cws_sandbox_id(box), false, &again, err);
        if (!status) status = cws_session_adopt(session, again, err);
    }
    for (i = 0; (box = cws_session_sandbox_at(session, i)) != NULL; i++)
        printf("%d of %d to be stopped: %s, %s\n", (int)i + 1,
               (int)cws_session_sandbox_count(session), cws_sandbox_id(box),
               cws_state_name(cws_sandbox_state(box)));
    cws_sandbox_free(again);
    cws_sandboxes_free(list);
    return status;
}

static cws_status show_metrics(cws_session *session, cws_error *err)
{
    cws_metrics now;
    cws_metric list[CWS_METRICS_MAX];
    cws_status status;
    size_t i, n;
    bool logged;
    cws_session_metrics(session, &now);
    n = cws_metrics_values(&now, list, CWS_METRICS_MAX);
    for (i = 0; i < n; i++) printf("%s %g\n", list[i].name, list[i].number);
    status = cws_session_log_metrics(session, 1, true, &logged, err); /* step 1; then reset */
    if (!status) printf("logged: %s\n", logged ? "yes" : "no");
    return status;
}

/* Stop all of them, at once, and log what is left. A failure names what may still run. */
static int close_session(cws_session *session)
{
    const cws_sandbox *box;
    const cws_error *why;
    cws_error err;
    size_t i;
    if (cws_session_close(session, &err) == CWS_OK) return 0;
    for (i = 0; cws_session_failed_at(session, i, &box, &why); i++)
        fprintf(stderr, "%s may still run: %s\n", cws_sandbox_id(box), why->message);
    return complain(&err);
}

int main(void)
{
    cws_session *session;
    cws_error err;
    int failed;
    if (open_session(&session, &err)) return complain(&err);
    failed = run_commands(session, &err) || call_function(session, &err) ||
             find_sandboxes(session, &err) || show_metrics(session, &err);
    if (failed) complain(&err);
    failed = close_session(session) || failed;
    cws_session_free(session);
    return failed;
}
