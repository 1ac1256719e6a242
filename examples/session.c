/* session.c: a walk through everything a session does: defaults, sandboxes, a function, list and
 * adopt, metrics, close.
 *
 *     cc -o session session.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

static const char *text_of(const cws_bytes *bytes)
{
    return (const char *)cws_bytes_data(bytes, NULL);
}

/* What every sandbox of the session has, unless its own options say otherwise. */
static cws_status open_session(const cws_client_opts *client, cws_session **out, cws_error *err)
{
    static const char *const tags[] = {"example-session", NULL};
    static const cws_pair variables[] = {{"GREETING", "hello"}, {NULL, NULL}};
    cws_resources small = {0};
    cws_sandbox_opts defaults = {0};
    cws_session_opts opts = {0};
    small.cpu = "500m";
    small.memory = "256Mi";
    defaults.tags = tags;
    defaults.environment_variables = variables;
    defaults.resources = &small;
    defaults.max_lifetime_seconds = 600;
    opts.client_opts = client;
    opts.defaults = &defaults;
    opts.metrics_path = "example.metrics"; /* a line of JSON for each report; W&B by WANDB_RUN_ID */
    return cws_session_open(&opts, out, err);
}

/* Two sandboxes that share the defaults; the second one has a variable of its own besides. Both
 * commands run at once: the sandboxes are started by the first thing that needs them. */
static cws_status run_commands(cws_session *session, cws_error *err)
{
    const char *argv[] = {"/bin/sh", "-c", "echo $GREETING from $WHO", NULL};
    const cws_pair own[] = {{"WHO", "the second"}, {NULL, NULL}};
    cws_exec_opts who = {0};
    cws_sandbox_opts second = {0};
    cws_sandbox *boxes[2] = {NULL, NULL};
    cws_process *runs[2] = {NULL, NULL};
    const cws_result *result;
    cws_pair first[] = {{"WHO", "the first"}, {NULL, NULL}};
    cws_status status;
    int i;
    who.env = first;
    second.environment_variables = own;
    status = cws_session_sandbox(session, NULL, &boxes[0], err);
    if (!status) status = cws_session_sandbox(session, &second, &boxes[1], err);
    if (!status) status = cws_exec_begin(boxes[0], argv, &who, &runs[0], err);
    if (!status) status = cws_exec_begin(boxes[1], argv, NULL, &runs[1], err);
    for (i = 0; i < 2 && !status; i++) {
        status = cws_process_wait(runs[i], -1, &result, err);
        if (!status) printf("%s", (const char *)cws_result_stdout(result, NULL));
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
    static const char *const python[] = {"python3", NULL};
    cws_function_opts opts = {0};
    cws_function *add = NULL;
    cws_bytes *sum = NULL;
    cws_status status;
    opts.source = "def add(x, y, scale=1):\n    return {'sum': (x + y) * scale}\n";
    opts.name = "add";
    opts.interpreter = python;
    opts.temp_dir = "/tmp/functions"; /* made if it is not there */
    status = cws_session_function(session, &opts, &add, err);
    if (!status) status = cws_function_call(add, "[2, 3]", "{\"scale\": 10}", &sum, err);
    if (!status) printf("add(2, 3, scale=10) = %s\n", text_of(sum));
    cws_bytes_free(sum);
    cws_function_free(add);
    return status;
}

/* Sandboxes that are there already, of this program or another: those with the session's tags. What
 * is adopted is stopped with the session. */
static cws_status find_sandboxes(cws_session *session, cws_error *err)
{
    cws_list_opts opts = {0};
    cws_sandbox_list *list = NULL;
    cws_sandbox *again = NULL;
    cws_status status;
    size_t i;
    opts.status = CWS_STATE_RUNNING;
    opts.adopt = true;
    status = cws_session_list(session, &opts, &list, err);
    for (i = 0; !status && i < cws_sandbox_list_count(list); i++)
        printf("found %s\n", cws_sandbox_id(cws_sandbox_list_at(list, i)));
    if (!status && i > 0) /* by its id; false: adopt it, which it is already */
        status = cws_session_from_id(session, cws_sandbox_id(cws_sandbox_list_at(list, 0)), false,
                                     &again, err);
    if (!status && again) status = cws_session_adopt(session, again, err); /* once more: harmless */
    printf("the session has %d sandboxes\n", (int)cws_session_sandbox_count(session));
    cws_sandbox_free(again);
    cws_sandbox_list_free(list);
    return status;
}

static cws_status show_metrics(cws_session *session, cws_error *err)
{
    cws_metrics now;
    cws_metric list[CWS_METRICS_MAX];
    size_t i, n;
    bool logged = false;
    cws_status status;
    cws_session_get_metrics(session, &now);
    n = cws_metrics_list(&now, list, CWS_METRICS_MAX);
    for (i = 0; i < n; i++) printf("%s %g\n", list[i].name, list[i].number);
    status = cws_session_log_metrics(session, 1, false, &logged, err); /* step 1; begin anew */
    if (!status) printf("logged: %s\n", logged ? "yes" : "no");
    return status;
}

int main(void)
{
    cws_client_opts client = {0};
    cws_transport local;
    cws_session *session = NULL;
    cws_error err;
    cws_status status = example_client_opts(&client, &local, &err);
    if (!status) status = open_session(&client, &session, &err);
    if (!status) status = run_commands(session, &err);
    if (!status) status = call_function(session, &err);
    if (!status) status = find_sandboxes(session, &err);
    if (!status) status = show_metrics(session, &err);
    if (status) fprintf(stderr, "%s: %s\n", cws_status_name(status), err.message);
    if (session && cws_session_close(session, &err)) { /* stops both, at once; logs what is left */
        status = err.status;
        fprintf(stderr, "%s\n", err.message);
    }
    cws_session_free(session);
    return status ? 1 : 0;
}
