/* SPDX-License-Identifier: MIT
 *
 * A program that makes one call over libcurl, for tests/http2_wire.py, which plays the server.
 *
 *     http2_client URL CALL SECONDS RETRY HTTP   CALL: get exec input upload shell logs
 *
 * SECONDS is the time limit of the call, RETRY the budget for more attempts, 0: none;
 * HTTP is 2 or 1.1.
 * The client speaks the protocol of CWSANDBOX_PROTOCOL. First the sandbox is looked up, then comes
 * the call, then its state is asked once more, as any program goes on after a failure. Each prints
 * "NAME STATUS MILLISECONDS MESSAGE"; the library's log goes to the output as "LOG LEVEL LINE".
 */
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "test.h"

static void on_log(cws_log_level level, const char *line, void *user)
{
    (void)user;
    if (level <= CWS_LOG_WARNING) printf("LOG %d %s\n", (int)level, line);
}

static void show(const char *what, int64_t since, cws_status status, const cws_error *err)
{
    printf("%s %s %d %s\n", what, cws_status_name(status),
           (int)(cwsi_system_monotonic_ms() - since), status ? err->message : "");
}

static char data[8 << 20];

static cws_status run(cws_sandbox *box, double seconds, cws_error *err)
{
    const char *argv[] = {"sleep", "1000", NULL};
    cws_exec_opts o = {0};
    cws_result *result = NULL;
    cws_status status;
    o.timeout_seconds = seconds;
    status = cws_exec(box, argv, &o, &result, err);
    cws_result_free(result);
    return status;
}

static cws_status feed(cws_sandbox *box, double seconds, cws_error *err)
{
    const char *argv[] = {"cat", NULL};
    cws_exec_opts o = {0};
    cws_process *process;
    cws_status status;
    o.timeout_seconds = seconds;
    o.with_stdin = true;
    status = cws_exec_begin(box, argv, &o, &process, err);
    if (status) return status;
    (void)cws_process_write(process, data, sizeof(data), CWS_FOREVER, NULL, err);
    status = cws_process_wait(process, CWS_FOREVER, NULL, err);
    cws_process_free(process);
    return status;
}

static cws_status upload(cws_sandbox *box, double seconds, cws_error *err)
{
    cws_file_opts o = {0};
    o.timeout_seconds = seconds;
    return cws_write_file(box, "/tmp/data", data, sizeof(data), &o, err);
}

static cws_status shell(cws_sandbox *box, double seconds, cws_error *err)
{
    cws_shell_opts o = {0};
    cws_process *process;
    cws_status status;
    o.timeout_seconds = seconds;
    status = cws_shell_begin(box, NULL, &o, &process, err);
    if (status) return status;
    status = cws_process_wait(process, CWS_FOREVER, NULL, err);
    cws_process_free(process);
    return status;
}

static cws_flow on_item(const cws_item *item, void *user)
{
    (void)item;
    (void)user;
    return CWS_FLOW_CONTINUE;
}

static cws_status follow(cws_sandbox *box, double seconds, cws_error *err)
{
    cws_logs_opts o = {0};
    o.follow = true;
    o.timeout_seconds = seconds;
    o.on_item = on_item;
    return cws_logs(box, &o, err);
}

static cws_status get(cws_sandbox *box, cws_error *err)
{
    cws_state state;
    return cws_sandbox_get_state(box, &state, err);
}

static cws_status call(const char *name, cws_sandbox *box, double seconds, cws_error *err)
{
    if (strcmp(name, "exec") == 0) return run(box, seconds, err);
    if (strcmp(name, "input") == 0) return feed(box, seconds, err);
    if (strcmp(name, "upload") == 0) return upload(box, seconds, err);
    if (strcmp(name, "shell") == 0) return shell(box, seconds, err);
    if (strcmp(name, "logs") == 0) return follow(box, seconds, err);
    return get(box, err);
}

int main(int argc, char **argv)
{
    cws_client_opts o = {0};
    cws_session_opts so = {0};
    cws_session *session;
    cws_client *client;
    cws_sandbox *box;
    cws_error err;
    cws_status status;
    int64_t since;
    double seconds;
    double retry;
    if (argc < 6) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    seconds = strtod(argv[3], NULL);
    retry = strtod(argv[4], NULL);
    printf("libcurl %s\n", curl_version_info(CURLVERSION_NOW)->version);
    o.base_url = argv[1];
    o.api_key = "http2-test-key";
    o.api_version = CWS_API_V1;
    o.http_version = strcmp(argv[5], "2") == 0 ? CWS_HTTP_2 : CWS_HTTP_1_1;
    o.poll_rpc_timeout_seconds = seconds;
    o.poll_retry_budget_seconds = retry > 0 ? retry : CWS_NONE;
    o.request_timeout_seconds = 5;
    o.allocator = &test_allocator;
    o.log = on_log;
    if (cws_client_open(&o, &client, &err)) return show("open", 0, err.status, &err), 1;
    so.client = client;
    if (cws_session_open(&so, &session, &err)) return show("open", 0, err.status, &err), 1;
    since = cwsi_system_monotonic_ms();
    status = cws_session_from_id(session, "sb-1", false, &box, &err);
    show("find", since, status, &err);
    if (!status) {
        since = cwsi_system_monotonic_ms();
        status = call(argv[2], box, seconds, &err);
        show("call", since, status, &err);
        since = cwsi_system_monotonic_ms();
        status = get(box, &err);
        show("again", since, status, &err);
        cws_sandbox_free(box);
    }
    cws_session_free(session);
    cws_client_free(client);
    if (test_alloc_live()) printf("LEFT %d\n", (int)test_alloc_live());
    return 0;
}
