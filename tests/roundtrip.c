/* SPDX-License-Identifier: MIT
 *
 * Every option of a sandbox, in both dialects, as a server understands it whose code is not ours:
 * each row of tests/options_table.h goes through libcurl to tests/gateway, and what connect's code
 * decoded there is compared with what the row says. The server refuses each create after it has
 * written it down, so nothing is made.
 *
 *     roundtrip BACKEND-PROGRAM [part of a test's name]
 */
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "setup.h"

#include "options_table.h"

#define REFUSAL                                                                                    \
    "\"times\":100000,\"action\":\"error\",\"code\":\"failed_precondition\",\"details\":["         \
    "{\"type\":\"google.rpc.ErrorInfo\",\"value\":"                                                \
    "{\"reason\":\"CWSANDBOX_NOTED\",\"domain\":\"cwsandbox.com\"}}]"

static setup setups[SETUPS];

/* Cut everything but the one message out of the record of the one request; false if it is not just
 * that. */
static bool only_message(char *record, const char *rpc)
{
    static const char before[] = "\"messages\":[", behind[] = "],\"messages_cut\":false";
    char path[100], *from = strstr(record, before), *end = strstr(record, behind);
    const char *line = strchr(record, '\n');
    (void)snprintf(path, sizeof(path), "/%s\",\"protocol\":", rpc);
    if (!CHECK(line && line[1] == '\0') || !CHECK(strstr(record, path) != NULL)) return false;
    if (!CHECK(strstr(record, "\"unknown_fields\":false") != NULL)) return false;
    if (!CHECK(from && end > from)) return false;
    from += sizeof(before) - 1;
    *end = '\0';
    memmove(record, from, (size_t)(end - from) + 1);
    return true;
}

static void test_row(setup *s, const op_shape *row, const char *expected)
{
    bool b2 = s->api == CWS_API_V1BETA2;
    cws_session_opts so = {0};
    cws_session *session = NULL;
    cws_sandbox *box = NULL;
    cws_error err;
    char *record, *text;
    so.client = s->client;
    so.defaults = &row->defaults;
    CHECK(server_do("DELETE", "/requests", ""));
    if (!CHECK_INT(cws_session_open(&so, &session, &err), CWS_OK)) printf("    %s\n", err.message);
    if (session && !CHECK_INT(cws_session_sandbox(session, &row->own, &box, &err), CWS_OK))
        printf("    %s\n", err.message);
    if (box) {
        CHECK_INT(cws_sandbox_start(box, &err), CWS_ERR_SANDBOX);
        CHECK_STR(err.reason, "CWSANDBOX_NOTED");
    }
    record = server_requests();
    text = (char *)malloc(strlen(expected) + 1);
    if (!record || !text) abort();
    strcpy(text, expected);
    if (box && only_message(record, op_create_rpc(row, b2))) {
        if (!b2) op_cut_id(record);
        CHECK_STR(record, test_quotes(text));
    }
    free(text);
    free(record);
    cws_sandbox_free(box);
    cws_session_free(session);
}

static void test_dialect(setup *s, cws_api_version api)
{
    bool b2 = api == CWS_API_V1BETA2;
    size_t i;
    s->api = api;
    s->quiet = true;
    if (!open_setup(s, CWS_NONE, 0)) abort();
    order_fault(b2 ? "GatewayService/Start" : "SandboxService/CreateSandbox", REFUSAL);
    for (i = 0; i < CWSI_COUNT(op_shapes); i++) {
        const char *expected = b2 ? op_shapes[i].b2 : op_shapes[i].v1;
        if (!expected) continue;
        TEST(title(s, "%s: %s", b2 ? "v1beta2" : "v1", op_shapes[i].name))
        {
            test_row(s, &op_shapes[i], expected);
        }
    }
    (void)test_begin(title(s, "%s: in the end nothing was made, and nothing is left%s",
                           b2 ? "v1beta2" : "v1", ""));
    close_setup(s); /* also if the filter leaves the test out */
}

int main(int argc, char **argv)
{
    size_t k;
    if (!begin_setups(argc, argv, setups)) return 1;
    for (k = 0; k < SETUPS; k++) {
        test_dialect(&setups[k], CWS_API_V1);
        test_dialect(&setups[k], CWS_API_V1BETA2);
    }
    server_stop();
    return test_summary();
}
