/* SPDX-License-Identifier: MIT
 *
 * A program that reports metrics to W&B through libcurl, for tests/wandb_wire.py. The run and the
 * server come from the environment, as for any program; what to do comes from the arguments:
 *
 *     create shared live timeout=S    options, before everything else
 *     sandbox                         a sandbox is made (none is started)
 *     ok bad fail                     a command ends so
 *     log log=STEP keep keep=STEP     a report; prints "log 1 250": taken or not, milliseconds
 *     url                             prints where people look at the run
 *     close                           prints "close STATUS MILLISECONDS"
 *     metrics                         prints each value as "NAME VALUE"
 * The library's log goes to the output as lines "LOG ...".
 */
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

static void on_log(cws_log_level level, const char *line, void *user)
{
    (void)user;
    if (level <= CWS_LOG_WARNING) printf("LOG %s\n", line);
}

static bool is(const char *word, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(word, name, n) != 0 || (word[n] != '\0' && word[n] != '=')) return false;
    *value = word[n] ? word + n + 1 : NULL;
    return true;
}

static cws_session *session;
static cws_sandbox *box;

static void log_now(bool keep, const char *step)
{
    bool logged = false;
    cws_error err;
    int64_t since = cwsi_system_monotonic_ms();
    cws_status status = cws_session_log_metrics(session, step ? strtol(step, NULL, 10)
                                                              : CWS_NO_STEP,
                                                !keep, &logged, &err);
    printf("log %d %d\n", logged ? 1 : 0, (int)(cwsi_system_monotonic_ms() - since));
    if (status) printf("LOG %s\n", err.message);
}

static void show(void)
{
    cws_metrics metrics;
    cws_metric list[CWS_METRICS_MAX];
    size_t i, n;
    cws_session_metrics(session, &metrics);
    n = cws_metrics_values(&metrics, list, CWS_METRICS_MAX);
    for (i = 0; i < n; i++) printf("%s %.17g\n", list[i].name, list[i].number);
}

static void make(void)
{
    cws_error err;
    cws_sandbox_free(box);
    if (cws_session_sandbox(session, NULL, &box, &err)) printf("LOG %s\n", err.message);
    else box->id[0] = 'x'; /* its commands count for it */
}

static void act(const char *word)
{
    const char *value = NULL;
    cws_error err;
    if (is(word, "sandbox", &value)) make();
    if (is(word, "ok", &value)) cwsi_metrics_executed(box, false, false);
    if (is(word, "bad", &value)) cwsi_metrics_executed(box, false, true);
    if (is(word, "fail", &value)) cwsi_metrics_executed(box, true, false);
    if (is(word, "log", &value)) log_now(false, value);
    if (is(word, "keep", &value)) log_now(true, value);
    if (is(word, "url", &value)) printf("%s\n", cws_session_run_url(session));
    if (is(word, "metrics", &value)) show();
    if (is(word, "close", &value)) {
        int64_t since = cwsi_system_monotonic_ms();
        cws_status status;
        if (box) box->id[0] = '\0';
        status = cws_session_close(session, &err);
        printf("close %d %d\n", (int)status, (int)(cwsi_system_monotonic_ms() - since));
    }
}

int main(int argc, char **argv)
{
    cws_client_opts client = {0};
    cws_session_opts opts = {0};
    cws_wandb_opts wandb = {0};
    cws_error err;
    const char *value = NULL;
    int i;
    (void)setvbuf(stdout, NULL, _IOLBF, 4096);
    client.base_url = getenv("CLIENT_URL") ? getenv("CLIENT_URL") : "http://127.0.0.1:9";
    client.protocol = getenv("CLIENT_GRPC") ? CWS_PROTOCOL_GRPC : CWS_PROTOCOL_CONNECT;
    client.ca_file = getenv("CLIENT_CA");
    client.log = on_log;
    opts.client_opts = &client;
    opts.wandb = &wandb;
    for (i = 1; i < argc; i++) {
        if (is(argv[i], "create", &value)) wandb.create = true;
        else if (is(argv[i], "shared", &value)) wandb.mode = CWS_WANDB_SHARED;
        else if (is(argv[i], "live", &value)) wandb.even_if_live = true;
        else if (is(argv[i], "timeout", &value) && value)
            wandb.timeout_seconds = strtol(value, NULL, 10);
        else break;
    }
    if (cws_session_open(&opts, &session, &err)) {
        printf("LOG %s\n", err.message);
        return 1;
    }
    for (; i < argc; i++) act(argv[i]);
    cws_sandbox_free(box);
    cws_session_free(session);
    return 0;
}
