/* dialects.c: one program, both dialects of the service. CWSANDBOX_API_VERSION chooses, "v1" or
 * "v1beta2"; nothing below knows which one it is until it asks for what only one of them has.
 *
 *     cc -o dialects dialects.c -lcurl
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

static int complain(const cws_error *why)
{
    fprintf(stderr, "%s: %s\n", cws_status_name(why->status), why->message);
    return 1;
}

static const char *or_dash(const char *text)
{
    return text && text[0] ? text : "-";
}

/* The same calls, options and answers. */
static int use(cws_sandbox *box)
{
    const char *argv[] = {"/bin/sh", "-c", "echo $GREETING; cat /tmp/note", NULL};
    const cws_sandbox_info *info;
    cws_result *result = NULL;
    cws_error err;
    if (cws_write_file(box, "/tmp/note", "from a file\n", 12, NULL, &err)) return complain(&err);
    if (cws_exec(box, argv, NULL, &result, &err)) return complain(&err);
    fwrite(cws_result_stdout(result, NULL), 1, cws_result_stdout_size(result), stdout);
    cws_result_free(result);
    info = cws_sandbox_get_info(box);
    printf("state %s, runner %s, memory %s\n", cws_state_name(info->state),
           or_dash(info->runner_id), or_dash(info->resources.limit_memory));
    return 0;
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

/* In both, though the messages that carry them differ. */
static void try_common(cws_session *session)
{
    const cws_pair notes[] = {{"example.com/team", "blue"}, {NULL, NULL}};
    const cws_secret token = {"vault", "deploy-token", NULL, "TOKEN"};
    const cws_mounted_file note = {"/etc/note", "here before the command", 23};
    const char *runners[] = {"runner-1", NULL};
    cws_sandbox_opts o = {0};
    o.annotations = notes;
    o.secrets = &token;
    o.secret_count = 1;
    o.mounted_files = &note;
    o.mounted_file_count = 1;
    o.runner_ids = runners;
    try_option(session, "annotations, secrets, mounted_files, runner_ids", &o);
}

/* Each in one of them only. */
static void try_others(cws_session *session)
{
    const char *names[] = {"default", NULL};
    const int32_t exposed[] = {8080};
    const cws_port port = {8080, "web", "TCP"};
    const cws_s3_mount s3 = {"models", NULL, "/models"};
    cws_service web = {0};
    cws_network modes = {0};
    cws_sandbox_opts ids = {0}, profiles = {0}, ports = {0}, network = {0}, mount = {0},
                     time = {0}, newer = {0};
    ids.profile_ids = names;
    try_option(session, "profile_ids", &ids);
    profiles.profile_names = names;
    try_option(session, "profile_names", &profiles);
    ports.ports = &port;
    ports.port_count = 1;
    try_option(session, "ports", &ports);
    modes.ingress_mode = "public";
    modes.exposed_ports = exposed;
    modes.exposed_port_count = 1;
    modes.egress_mode = "internet";
    network.network = &modes;
    try_option(session, "network by modes", &network);
    mount.s3_mount = &s3;
    try_option(session, "s3_mount", &mount);
    time.max_timeout_seconds = 60;
    try_option(session, "max_timeout_seconds", &time);
    web.port = 8080;
    web.visibility = CWS_VISIBILITY_PUBLIC;
    newer.services = &web;
    newer.service_count = 1;
    try_option(session, "services", &newer);
}

/* Lists have selectors too. */
static void try_lists(cws_session *session)
{
    const char *nobody[] = {"nobody", NULL};
    cws_list_opts o = {0};
    cws_sandbox_list *list = NULL;
    cws_error err;
    o.include_stopped = true; /* ended ones also */
    o.runner_ids = nobody;
    if (cws_session_list(session, &o, &list, &err)) complain(&err);
    else printf("sandboxes of that runner: %d\n", (int)cws_sandbox_list_count(list));
    cws_sandbox_list_free(list);
    o.runner_ids = NULL;
    o.profile_ids = o.profile_names = nobody;
    list = NULL;
    if (cws_session_list(session, &o, &list, &err)) printf("%s\n", err.message);
    else printf("sandboxes of those profiles: %d\n", (int)cws_sandbox_list_count(list));
    cws_sandbox_list_free(list);
}

int main(void)
{
    const cws_pair env[] = {{"GREETING", "from the environment"}, {NULL, NULL}};
    const cws_resources half = {"500m", "256Mi", NULL, NULL, NULL, NULL, 0, NULL, 0};
    const char *tags[] = {"example-dialects", NULL};
    cws_client_opts client;
    cws_session_opts opts = {0};
    cws_sandbox_opts o = {0};
    cws_transport local;
    cws_session *session;
    cws_sandbox *box = NULL;
    cws_error err;
    int code;
    o.environment_variables = env;
    o.resources = &half;
    o.tags = tags;
    o.max_lifetime_seconds = 300;
    if (example_client_opts(&client, &local, &err)) return complain(&err);
    opts.client_opts = &client;
    if (cws_session_open(&opts, &session, &err)) return complain(&err);
    try_common(session);
    try_others(session);
    try_lists(session);
    if (cws_session_sandbox(session, &o, &box, &err)) code = complain(&err);
    else code = use(box);
    if (cws_session_close(session, &err)) code = complain(&err);
    cws_sandbox_free(box);
    cws_session_free(session);
    return code;
}
