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

/* What a dialect does not have is refused before anything is sent, and the message says what to use
 * instead. */
static void ask_for_both(cws_session *session)
{
    const char *profiles[] = {"default", NULL};
    cws_service web = {0};
    cws_sandbox_opts old = {0}, newer = {0};
    cws_sandbox *box = NULL;
    cws_error err;
    old.profile_names = profiles;
    web.port = 8080;
    newer.services = &web;
    newer.service_count = 1;
    if (cws_session_sandbox(session, &old, &box, &err)) printf("%s\n", err.message);
    else puts("profile_names: fine here");
    cws_sandbox_free(box);
    box = NULL;
    if (cws_session_sandbox(session, &newer, &box, &err)) printf("%s\n", err.message);
    else puts("services: fine here");
    cws_sandbox_free(box);
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
    ask_for_both(session);
    if (cws_session_sandbox(session, &o, &box, &err)) code = complain(&err);
    else code = use(box);
    if (cws_session_close(session, &err)) code = complain(&err);
    cws_sandbox_free(box);
    cws_session_free(session);
    return code;
}
