/* dialects.c: one program, both dialects of the service. CWSANDBOX_API_VERSION chooses, "v1" or
 * "v1beta2"; nothing below knows which one it is until it asks for what only one of them has.
 *
 *     cc -o dialects dialects.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

/* The same calls, options and answers. */
static cws_status use(cws_session *session, cws_error *err)
{
    const char *argv[] = {"/bin/sh", "-c", "echo $GREETING; cat /tmp/note", NULL};
    const char *tags[] = {"example-dialects", NULL};
    const cws_pair variables[] = {{"GREETING", "from the environment"}, {NULL, NULL}};
    const cws_resources half = {.cpu = "500m", .memory = "256Mi"};
    const cws_sandbox_opts opts = {.tags = tags,
                                   .environment_variables = variables,
                                   .resources = &half,
                                   .max_lifetime_seconds = 300};
    const cws_exec_opts check = {.check = true};
    const cws_sandbox_info *info;
    cws_sandbox *box = NULL;
    cws_result *result = NULL;
    cws_status status = cws_session_sandbox(session, &opts, &box, err);
    if (!status) status = cws_write_file(box, "/tmp/note", "from a file\n", 12, NULL, err);
    if (!status) status = cws_exec(box, argv, &check, &result, err);
    if (!status) {
        info = cws_sandbox_last_info(box);
        printf("%sstate %s, runner %s, memory %s\n", cws_result_stdout(result),
               cws_state_name(info->state), info->runner_id,
               info->resources.limit_memory ? info->resources.limit_memory : "unknown");
    }
    cws_result_free(result);
    cws_sandbox_free(box);
    return status;
}

/* Is this option there? What a dialect does not have is refused before anything is sent, and the
 * message says what to use instead. A sandbox that was not started costs nothing. */
static void try_option(cws_session *session, const char *name, const cws_sandbox_opts *opts)
{
    cws_sandbox *box = NULL;
    cws_error err;
    if (cws_session_sandbox(session, opts, &box, &err)) printf("%s\n", err.message);
    else printf("%s: fine here\n", name);
    cws_sandbox_free(box);
}

static void try_options(cws_session *session)
{
    const char *names[] = {"default", NULL}, *runners[] = {"runner-1", NULL};
    const cws_pair notes[] = {{"example.com/team", "blue"}, {NULL, NULL}};
    const cws_secret token = {.store = "vault", .name = "deploy-token", .env_var = "TOKEN"};
    const cws_mounted_file note = {"/etc/note", "here before the command", 23};
    const int32_t exposed[] = {8080};
    const cws_port port = {8080, "web", "TCP"};
    const cws_s3_mount s3 = {.bucket = "models", .mount_path = "/models"};
    const cws_service web = {.port = 8080, .visibility = CWS_VISIBILITY_PUBLIC};
    const cws_network modes = {.ingress_mode = "public",
                               .exposed_ports = exposed,
                               .exposed_port_count = 1,
                               .egress_mode = "internet"};
    const struct {
        const char *name;
        cws_sandbox_opts opts;
    } tries[] = {
        /* in both, though the messages that carry them differ */
        {"annotations", {.annotations = notes}},
        {"secrets", {.secrets = &token, .secret_count = 1}},
        {"mounted_files", {.mounted_files = &note, .mounted_file_count = 1}},
        {"runner_ids", {.runner_ids = runners}},
        /* each in one of them only */
        {"profile_ids", {.profile_ids = names}},
        {"profile_names", {.profile_names = names}},
        {"ports", {.ports = &port, .port_count = 1}},
        {"network by modes", {.network = &modes}},
        {"s3_mount", {.s3_mount = &s3}},
        {"max_timeout_seconds", {.max_timeout_seconds = 60}},
        {"services", {.services = &web, .service_count = 1}},
    };
    size_t i;
    for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
        try_option(session, tries[i].name, &tries[i].opts);
}

/* Lists have selectors too. */
static void try_list(cws_session *session, const char *what, const cws_session_list_opts *opts)
{
    cws_sandboxes *list = NULL;
    cws_error err;
    if (cws_session_list(session, opts, &list, &err)) printf("%s\n", err.message);
    else printf("sandboxes of %s: %d\n", what, (int)cws_sandboxes_count(list));
    cws_sandboxes_free(list);
}

int main(void)
{
    const char *nobody[] = {"nobody", NULL};
    const cws_session_list_opts of_runner = {.runner_ids = nobody, .include_stopped = true};
    const cws_session_list_opts of_profiles = {.profile_ids = nobody, .profile_names = nobody};
    cws_session *session;
    cws_error err;
    int failed = 0;
    if (example_open(NULL, &session, &err)) return complain(&err);
    try_options(session);
    try_list(session, "that runner", &of_runner);
    try_list(session, "those profiles", &of_profiles);
    if (use(session, &err)) failed = complain(&err);
    if (cws_session_close(session, &err)) failed = complain(&err);
    cws_session_free(session);
    return failed;
}
