/* SPDX-License-Identifier: MIT
 *
 * One call over the scripted transport: its request and its response, streams byte by byte, gRPC,
 * failures of the transport, what is repeated and when. A scenario is written once and runs in
 * several ways, see harness.h. Numbers are those of the lists of test cases that the service's own
 * clients were written against (L: lifecycle). Usage:
 *
 *     call [part of a test's name]
 */
#include "harness.h"

/* ---- requests -------------------------------------------------------------------------------- */

static void api_test_requests(void)
{
    EACH_CONNECT("L18: every request carries the protocol's headers and the credential") {
        const char *h;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, api_started(t), 0), CWS_OK);
        h = script_call_at(&t->s, "GetSandbox", 0)->headers;
        CHECK_STR(h, "user-agent: cwsandbox.h/" CWS_VERSION_STRING "\n"
                     "x-cwsandbox-client-version: cwsandbox.h/" CWS_VERSION_STRING "\n"
                     "authorization: Bearer the-secret-key\n"
                     "content-type: application/proto\n"
                     "connect-protocol-version: 1\n"
                     "connect-timeout-ms: 15000\n");
    }
}

/* ---- responses: what is read, and what is refused -------------------------------------------- */

static void api_test_wire(void)
{
    EACH_CONNECT("1.3: a unary reply: content type exactly application/proto, in any case") {
        static const struct {
            const char *type;
            int code; /* 0: fine */
        } table[] = {{"application/proto", 0},
                     {"APPLICATION/Proto", 0},
                     {"application/json", 13},
                     {"application/proto; charset=utf-8", 13},
                     {"application/connect+proto", 13},
                     {"text/html", 2},
                     {"image/png", 2},
                     {"", 2},
                     {NULL, 2}};
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            script_raw(&t->s, "DeleteSandbox", 200, table[i].type, t->s.b2 ? "\b\1" : "",
                       t->s.b2 ? 2 : 0); /* success, in v1beta2 */
            CHECK_INT(api_delete(t, "x", false), table[i].code ? CWS_ERR_PROTOCOL : CWS_OK);
            CHECK_INT(t->err.rpc_code, table[i].code);
        }
    }
    EACH("1.3: a coding that was not offered is refused, identity is none") {
        script_header(script_ok(&t->s, "DeleteSandbox", "{}"), "content-encoding", "gzip");
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_PROTOCOL);
        CHECK_INT(t->err.rpc_code, 13);
        script_header(script_ok(&t->s, "DeleteSandbox", "{}"), "Content-Encoding", "Identity");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
    }
    EACH_CONNECT("1.3: content-length that is not what came is a lost connection") {
        static const char *const lengths[] = {"0", "1", "100000"};
        cws_sandbox *sb;
        size_t i;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_started(t);
        for (i = 0; i < 3; i++) {
            script_header(script_ok(&t->s, "GetSandbox", BOX("RUNNING")), "content-length",
                          lengths[i]);
            CHECK_INT(api_status(t, sb, NULL), CWS_ERR_TRANSPORT);
            CHECK_INT(t->err.rpc_code, 14);
        }
        script_header(script_ok(&t->s, "GetSandbox", BOX("RUNNING")), "Content-Length",
                      t->s.b2 ? "8" : "10");
        CHECK_INT(t->s.last->size, t->s.b2 ? 8 : 10);
        CHECK_INT(api_status(t, sb, NULL), CWS_OK);
    }
    EACH("a unary reply in pieces of every size is the same") {
        cws_sandbox *sb = api_started(t);
        size_t n;
        for (n = 1; n < 60; n++) {
            script_ok(&t->s, "GetSandbox",
                      "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_RUNNING\","
                      "\"stateReason\":\"why it is so, at some length\"}}")
                ->chunk = n;
            CHECK_INT(api_status(t, sb, NULL), CWS_OK);
            CHECK_STR(cws_sandbox_last_info(sb)->state_reason, "why it is so, at some length");
        }
    }
    EACH("a unary reply cut at every byte is an error or, where a field ends, another message") {
        cws_sandbox *sb;
        size_t n, size, refused = 0;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_started(t);
        size = script_bytes(&t->s, "GetSandbox", BOX("RUNNING")).len;
        for (n = 0; n < size; n++) {
            script_reply *r = script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
            r->size = n;
            if (api_status(t, sb, NULL)) {
                CHECK_INT(t->err.status, CWS_ERR_PROTOCOL);
                refused++;
            }
            r = script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
            r->size = n;
            r->end = CWS_END_LOST;
            CHECK_INT(api_status(t, sb, NULL), CWS_ERR_TRANSPORT);
        }
        CHECK(refused > 5);
    }
    EACH("a reply over max_message_bytes is refused, and its transfer is given up") {
        cws_sandbox *sb = NULL;
        cws_bytes *bytes = NULL;
        cwsi_buf big;
        size_t k;
        t->copts.max_message_bytes = 2000;
        sb = api_running(t);
        cwsi_buf_init(&big, &t->s.mem, SIZE_MAX / 2);
        for (k = 0; k < 500; k++) (void)cwsi_put(&big, "\x0a\x04zzzz", 6);
        script_raw(&t->s, "ReadFile", 200, "application/proto", big.at, big.len)->chunk = 100;
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_LIMIT);
        CHECK(cws_status_is(t->err.status, CWS_ERR_RESOURCE_EXHAUSTED));
        CHECK_INT(t->err.rpc_code, 8);
        cwsi_buf_free(&big);
    }
    EACH("an error body of any size is no danger, and the status still counts") {
        char *body = (char *)malloc(200000);
        if (!body) abort();
        memset(body, 'x', 200000);
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        script_raw(&t->s, "DeleteSandbox", 503, "text/html", body, 200000)->chunk = 1000;
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_UNAVAILABLE);
        CHECK_INT(t->err.http_status, 503);
        free(body);
    }
}

static void api_test_transport(void)
{
    EACH("transport failures: status, code and text of the transport") {
        static const struct {
            cws_end end;
            int32_t note;
            cws_status status;
            int rpc;
            bool retryable;
        } table[] = {{CWS_END_NOT_SENT, 7, CWS_ERR_TRANSPORT, 14, true},
                     {CWS_END_TLS, 60, CWS_ERR_TRANSPORT, 14, false},
                     {CWS_END_REFUSED, 92, CWS_ERR_TRANSPORT, 14, true},
                     {CWS_END_LOST, 56, CWS_ERR_TRANSPORT, 14, true},
                     {CWS_END_TIMEOUT, 28, CWS_ERR_REQUEST_TIMEOUT, 4, true},
                     {CWS_END_NO_MEMORY, 27, CWS_ERR_NO_MEMORY, 0, false},
                     {CWS_END_RESET, 2, CWS_ERR_PROTOCOL, 13, false},
                     {CWS_END_RESET, 8, CWS_ERR_NOT_RUNNING, 1, false},
                     {CWS_END_RESET, 11, CWS_ERR_RESOURCE_EXHAUSTED, 8, false},
                     {CWS_END_RESET, 12, CWS_ERR_AUTHENTICATION, 7, false},
                     {CWS_END_PROTOCOL, 1, CWS_ERR_PROTOCOL, 13, false}};
        size_t i;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            script_reply *r = script_end(&t->s, "DeleteSandbox", table[i].end);
            r->note = table[i].note;
            r->note_text = "the note";
            CHECK_INT(api_delete(t, "x", false), table[i].status);
            CHECK_INT(t->err.transport_code, table[i].note);
            CHECK_INT(t->err.rpc_code, table[i].rpc);
            CHECK_INT(t->err.http_status, 0);
            CHECK(t->err.retryable == table[i].retryable);
            if (table[i].end != CWS_END_NO_MEMORY) HAS(t->err.message, "the note");
        }
    }
    STREAMING("a transport that refuses to open: out of memory if it says so, else no connection") {
        cws_op *op;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        (void)api_client(t);
        t->s.refuse_open = CWS_ERR_NO_MEMORY;
        CHECK_INT(cws_sandbox_delete_begin(t->client, "x", false, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_ERR_NO_MEMORY);
        cws_op_free(op);
        t->s.refuse_open = CWS_ERR_UNSUPPORTED;
        CHECK_INT(cws_sandbox_delete_begin(t->client, "x", false, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_ERR_TRANSPORT);
        cws_op_free(op);
    }
}

/* ---- streams, byte by byte ------------------------------------------------------------------- */

/* A stream with a bit of everything. */
static script_reply *api_rich_stream(api *t)
{
    return script_stream(&t->s, "{\"metadata\":{\"k\":[\"v\"]}}", "{\"ready\":{}}", OUT_A, "{}",
                         ERR_E, OUT_B, EXIT(5), NULL);
}

static void api_test_streams(void)
{
    STREAMING("a stream in pieces of every size gives the same result") {
        cws_sandbox *sb = api_running(t);
        size_t n, size;
        script_reply *r = api_rich_stream(t);
        size = r->size;
        r->times = 0;
        for (n = 1; n <= size; n++) {
            cws_result *result = NULL;
            api_rich_stream(t)->chunk = n;
            CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_OK);
            CHECK_STR(api_shown(result), "5|abb|e");
            cws_result_free(result);
        }
    }
    STREAMING("a stream cut at every byte is an error unless the exit had arrived") {
        cws_sandbox *sb = api_running(t);
        size_t n, k, size, fine = 0;
        script_reply *r = api_rich_stream(t);
        size = r->size;
        r->times = 0;
        for (k = 0; k < 3; k++, fine = 0) {
            for (n = 0; n < size; n++) {
                cws_result *result = NULL;
                cws_status status;
                r = api_rich_stream(t);
                r->size = n;
                r->end = k == 0 ? CWS_END_OK : k == 1 ? CWS_END_LOST : CWS_END_RESET;
                r->chunk = k;
                status = api_exec(t, sb, api_true, NULL, &result);
                if (status == CWS_OK) {
                    CHECK_STR(api_shown(result), "5|abb|e");
                    fine++;
                } else {
                    bool lost = k == 1 || (k == 0 && t->mode == API_GRPC);
                    CHECK_INT(status, lost ? CWS_ERR_TRANSPORT : CWS_ERR_PROTOCOL);
                    CHECK_INT(fine, 0); /* once the exit is in, it stays so */
                    CHECK(!result || !cws_result_has_exit_code(result));
                    if (n > 40 && !CHECK(result != NULL))
                        printf("    cut at %u of %u, way %u\n", (unsigned)n, (unsigned)size,
                               (unsigned)k);
                    if (n > 40 && result) CHECK(strncmp(api_shown(result), "-|a", 3) == 0);
                }
                cws_result_free(result);
            }
            CHECK(fine > 20);
        }
    }
    STREAMING("1.2: flags of an envelope: 0 is a message, 2 the end, all others are refused") {
        cws_sandbox *sb = api_running(t);
        unsigned flags;
        for (flags = 0; flags < 256; flags++) {
            cws_result *result = NULL;
            script_reply *r = script_stream(&t->s, NULL, OUT_A, NULL);
            cwsi_str m = script_bytes(&t->s, "StreamExec", EXIT(0));
            if (flags == 2) script_envelope(&t->s, r, 2, "{}", 2);
            else script_envelope(&t->s, r, flags, m.at, m.len);
            CHECK_INT(api_exec(t, sb, api_true, NULL, &result),
                      flags == 0   ? CWS_OK
                      : flags == 2 ? CWS_ERR_EXECUTION
                                   : CWS_ERR_PROTOCOL);
            if (flags != 0 && flags != 2) CHECK_INT(t->err.rpc_code, 13);
            CHECK_STR(api_shown(result), flags == 0 ? "0|a|" : "-|a|");
            cws_result_free(result);
        }
    }
    STREAMING("1.2: an envelope longer than max_message_bytes is refused before it is kept") {
        cws_sandbox *sb;
        cws_result *result = NULL;
        script_reply *r;
        t->copts.max_message_bytes = 1000;
        sb = api_running(t);
        r = script_stream(&t->s, NULL, OUT_A, NULL);
        script_envelope(&t->s, r, 0, "", 0);
        memcpy(r->body + r->size - 4, "\x7f\xff\xff\xff", 4);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_LIMIT);
        CHECK_INT(t->err.rpc_code, 8);
        CHECK_STR(api_shown(result), "-|a|");
        cws_result_free(result);
        CHECK(cws_client_memory(t->client).peak_bytes < 100000);
    }
    STREAMING_CONNECT("1.4: the head of a stream: status, content type, coding") {
        static const struct {
            int status;
            const char *type, *coding;
            int code;
            cws_status result;
        } table[] = {{200, "application/connect+proto", "identity", 0, CWS_OK},
                     {200, "Application/Connect+Proto", NULL, 0, CWS_OK},
                     {200, "application/connect+proto", "gzip", 13, CWS_ERR_PROTOCOL},
                     {200, "application/connect+json", NULL, 13, CWS_ERR_PROTOCOL},
                     {200, "application/proto", NULL, 2, CWS_ERR_PROTOCOL},
                     {200, "text/html", NULL, 2, CWS_ERR_PROTOCOL},
                     {200, NULL, NULL, 2, CWS_ERR_PROTOCOL},
                     {404, "application/json", NULL, 12, CWS_ERR_UNIMPLEMENTED},
                     {503, "application/connect+proto", NULL, 14, CWS_ERR_UNAVAILABLE},
                     {401, "text/html", NULL, 16, CWS_ERR_AUTHENTICATION},
                     {403, NULL, NULL, 7, CWS_ERR_AUTHENTICATION},
                     {500, NULL, NULL, 2, CWS_ERR_SANDBOX}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            cws_result *result = NULL;
            script_reply *r = script_stream(&t->s, "{}", EXIT(0), NULL);
            r->status = table[i].status;
            r->content_type = table[i].type;
            if (table[i].coding) script_header(r, "connect-content-encoding", table[i].coding);
            CHECK_INT(api_exec(t, sb, api_true, NULL, &result), table[i].result);
            CHECK_INT(t->err.rpc_code, table[i].code);
            cws_result_free(result);
        }
    }
    STREAMING_CONNECT("1.4: a JSON error body of a stream's failed head is not looked at") {
        cws_sandbox *sb = api_running(t);
        cws_result *result = NULL;
        const char *body = "{\"code\":\"not_found\",\"message\":\"x\"}";
        script_raw(&t->s, "StreamExec", 500, "application/json", body, strlen(body));
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_SANDBOX);
        CHECK_INT(t->err.rpc_code, 2);
    }
    STREAMING_CONNECT("1.4: the end-of-stream message, in every form") {
        static const struct {
            const char *json;
            cws_status status;
            int code;
        } table[] = {{"{}", CWS_ERR_EXECUTION, 0},
                     {"{\"error\":null,\"x\":[{}]}", CWS_ERR_EXECUTION, 0},
                     {" {\"metadata\":{}} ", CWS_ERR_EXECUTION, 0},
                     {"{\"error\":{}}", CWS_ERR_SANDBOX, 2},
                     {"{\"error\":{\"code\":\"what\",\"message\":\"kept\"}}", CWS_ERR_SANDBOX, 2},
                     {"{\"error\":{\"code\":\"not_found\"}}", CWS_ERR_NOT_FOUND, 5},
                     {"", CWS_ERR_PROTOCOL, 13},
                     {"[]", CWS_ERR_PROTOCOL, 13},
                     {"{", CWS_ERR_PROTOCOL, 13},
                     {"{}x", CWS_ERR_PROTOCOL, 13},
                     {"{\"error\":\"x\"}", CWS_ERR_PROTOCOL, 13},
                     {"nonsense", CWS_ERR_PROTOCOL, 13}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            cws_result *result = NULL;
            script_stream(&t->s, table[i].json, OUT_A, NULL);
            CHECK_INT(api_exec(t, sb, api_true, NULL, &result), table[i].status);
            CHECK_INT(t->err.rpc_code, table[i].code);
            CHECK_STR(api_shown(result), "-|a|");
            if (i == 4) HAS(t->err.message, "kept");
            cws_result_free(result);
        }
    }
    STREAMING_CONNECT("1.4: bytes after the end, no end, half an envelope") {
        cws_sandbox *sb = api_running(t);
        cws_result *result = NULL;
        script_reply *r = script_stream(&t->s, "{}", OUT_A, NULL);
        script_message(&t->s, r, EXIT(0));
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_PROTOCOL);
        CHECK_INT(t->err.rpc_code, 13);
        CHECK_STR(api_shown(result), "-|a|");
        cws_result_free(result);
        script_stream(&t->s, NULL, OUT_A, NULL);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_PROTOCOL);
        HAS(t->err.message, "without an end-of-stream message");
        CHECK_STR(api_shown(result), "-|a|");
        cws_result_free(result);
        r = script_stream(&t->s, NULL, OUT_A, OUT_A, NULL);
        r->size -= 2;
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_PROTOCOL);
        CHECK_STR(api_shown(result), "-|a|");
        cws_result_free(result);
        r = script_stream(&t->s, NULL, NULL);
        script_envelope(&t->s, r, 0, "\xff\xff", 2);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_PROTOCOL);
        HAS(t->err.message, "malformed");
        CHECK(result == NULL);
    }
}

/* ---- gRPC: what is different on the wire ----------------------------------------------------- */

/* A gRPC reply to GetSandbox as it is: `messages` empty messages, fields in the trailers or, with
 * count 0, none. */
static script_reply *api_grpc_reply(api *t, int messages, const cws_header *trailers, size_t count)
{
    script_reply *r = script_raw(&t->s, "GetSandbox", 200, "application/grpc", "", 0);
    cwsi_str box = script_bytes(&t->s, "GetSandbox", BOX("RUNNING"));
    r->translated = true;
    while (messages-- > 0) script_envelope(&t->s, r, 0, box.at, box.len);
    if (count) memcpy(r->trailers, trailers, count * sizeof(trailers[0]));
    r->trailer_count = count;
    return r;
}

/* The status of a sandbox, with that reply; what the call says of it is in t->err. */
static cws_status api_grpc_ask(api *t, int messages, const char *status, const char *message,
                               const char *details)
{
    cws_header fields[3];
    size_t n = 0;
    if (status) fields[n].name = "Grpc-Status", fields[n++].value = status;
    if (message) fields[n].name = "grpc-message", fields[n++].value = message;
    if (details) fields[n].name = "grpc-status-details-bin", fields[n++].value = details;
    api_grpc_reply(t, messages, fields, n);
    return api_status(t, t->boxes[0], NULL);
}

static void api_test_grpc_outcomes(void)
{
    GRPC("gRPC: headers of a request") {
        CHECK_INT(api_started(t) != NULL, 1);
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_OK);
        CHECK_STR(script_call_at(&t->s, "GetSandbox", 0)->headers,
                  "user-agent: cwsandbox.h/" CWS_VERSION_STRING "\n"
                  "x-cwsandbox-client-version: cwsandbox.h/" CWS_VERSION_STRING "\n"
                  "authorization: Bearer the-secret-key\n"
                  "content-type: application/grpc+proto\nte: trailers\ngrpc-timeout: 15000m\n");
    }
    GRPC("gRPC: every code, its text unescaped") {
        int code;
        char digits[8];
        (void)api_started(t);
        for (code = 1; code <= 16; code++) {
            if (code == 14) continue; /* is repeated */
            (void)snprintf(digits, sizeof(digits), "%d", code);
            CHECK(api_grpc_ask(t, 0, digits, "50%25 %C3%A9 %zz %00 %4", NULL) != CWS_OK);
            CHECK_INT(t->err.rpc_code, code);
            HAS(t->err.message, "50% \xc3\xa9 %zz %00 %4");
        }
    }
    GRPC("gRPC: an outcome that is no number, or none that is known, is an unknown failure") {
        static const char *const odd[] = {
            "", "x", "17", "-1", "-0", "0x0", " 0", "99999999999999999999"};
        size_t i;
        (void)api_started(t);
        for (i = 0; i < CWSI_COUNT(odd); i++) {
            CHECK_INT(api_grpc_ask(t, 1, odd[i], NULL, NULL), CWS_ERR_SANDBOX);
            CHECK_INT(t->err.rpc_code, 2);
        }
    }
    GRPC("gRPC: trailers without an outcome, and none at all, are failures; so is half a message") {
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        (void)api_started(t);
        CHECK_INT(api_grpc_ask(t, 1, NULL, "text", NULL), CWS_ERR_TRANSPORT);
        CHECK_INT(t->err.rpc_code, 13);
        HAS(t->err.message, "before the trailers");
        CHECK_INT(api_grpc_ask(t, 1, NULL, NULL, NULL), CWS_ERR_TRANSPORT);
        api_grpc_reply(t, 1, NULL, 0)->size -= 1;
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_TRANSPORT);
        {
            cws_header fine = {"grpc-status", "0"}, failed = {"grpc-status", "5"};
            api_grpc_reply(t, 1, &fine, 1)->size -= 1;
            CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_PROTOCOL);
            HAS(t->err.message, "within a message");
            api_grpc_reply(t, 1, &failed, 1)->size -= 1; /* what the server says comes first */
            CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_NOT_FOUND);
        }
    }
    GRPC("gRPC: a unary call has exactly one message, unless the server says otherwise") {
        (void)api_started(t);
        CHECK_INT(api_grpc_ask(t, 0, "0", NULL, NULL), CWS_ERR_PROTOCOL);
        CHECK_INT(t->err.rpc_code, 12);
        CHECK_INT(api_grpc_ask(t, 2, "0", NULL, NULL), CWS_ERR_PROTOCOL);
        CHECK_INT(t->err.rpc_code, 12);
        CHECK_INT(api_grpc_ask(t, 2, "5", NULL, NULL), CWS_ERR_NOT_FOUND);
        api_grpc_reply(t, 300, NULL, 0)->hold = true; /* a flood, whose end does not come */
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_PROTOCOL);
        CHECK_INT(t->err.rpc_code, 12);
        CHECK_INT(api_grpc_ask(t, 1, "0", NULL, NULL), CWS_OK);
    }
    GRPC("gRPC: details say more than the field; broken ones hide nothing") {
        const char *info = script_reason(&t->s, "CWSANDBOX_SANDBOX_NOT_RUNNING", "cwsandbox.com");
        char error[600];
        cwsi_verdict v;
        grpc_reply g;
        (void)api_started(t);
        memset(&g, 0, sizeof(g));
        g.arena = &t->s.arena;
        (void)snprintf(error, sizeof(error),
                       "{\"code\":\"internal\",\"message\":\"in full\",\"details\":[%s]}", info);
        cwsi_read_error_body(&t->s.arena, 500, "application/json", cwsi_str_of(error), &v);
        grpc_outcome(&g, &v);
        api_grpc_reply(t, 0, g.fields, g.count);
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "in full");
        CHECK_STR(t->err.reason, "CWSANDBOX_SANDBOX_NOT_RUNNING");
        CHECK_INT(api_grpc_ask(t, 0, "13", "short", "!!!"), CWS_ERR_SANDBOX);
        HAS(t->err.message, "short");
        CHECK_INT(api_grpc_ask(t, 0, "13", "short", "/////w"), CWS_ERR_SANDBOX);
        HAS(t->err.message, "short");
    }
}

static void api_test_grpc_heads(void)
{
    GRPC("gRPC: an outcome in the head counts if nothing follows") {
        script_reply *r;
        cws_header other = {"grpc-status", "9"};
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        (void)api_started(t);
        r = api_grpc_reply(t, 0, NULL, 0);
        script_header(r, "grpc-status", "5");
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_NOT_FOUND);
        r = api_grpc_reply(t, 0, &other, 1); /* the trailers are right */
        script_header(r, "grpc-status", "5");
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_SANDBOX);
        CHECK_INT(t->err.rpc_code, 9);
        r = api_grpc_reply(t, 1, NULL, 0); /* a body follows: it is not the outcome */
        script_header(r, "grpc-status", "5");
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_TRANSPORT);
    }
    GRPC("gRPC: a success in the head needs a clean end; a failure there needs none") {
        script_reply *r;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        (void)api_started(t);
        r = api_grpc_reply(t, 0, NULL, 0);
        script_header(r, "grpc-status", "0");
        r->end = CWS_END_LOST;
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_TRANSPORT);
        r = api_grpc_reply(t, 0, NULL, 0);
        script_header(r, "grpc-status", "0");
        r->hold = true;
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_REQUEST_TIMEOUT);
        r = api_grpc_reply(t, 0, NULL, 0);
        script_header(r, "grpc-status", "5");
        r->end = CWS_END_LOST;
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_NOT_FOUND);
    }
    GRPC("gRPC: a create whose answer was read is settled, whatever becomes of its stream") {
        cws_sandbox *sb = api_box(t, NULL);
        script_reply *r = script_raw(&t->s, "CreateSandbox", 200, "application/grpc", "", 0);
        r->translated = true;
        script_header(r, "grpc-status", "7");
        r->end = CWS_END_RESET;
        r->note = 2;
        CHECK_INT(api_start(t, sb), CWS_ERR_AUTHENTICATION);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    GRPC("gRPC: a create that succeeded without a readable answer is in doubt, and stopped later") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        script_reply *r = script_raw(&t->s, "CreateSandbox", 200, "application/grpc", "", 0);
        r->translated = true;
        r->trailers[0].name = "grpc-status";
        r->trailers[0].value = "0";
        r->trailer_count = 1;
        CHECK_INT(api_start(t, sb), CWS_ERR_PROTOCOL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        api_ended(t, "sb-1", "TERMINATED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
    }
    GRPC("gRPC: an outcome in the head counts though the end is never reported") {
        script_reply *r;
        int64_t before;
        cws_sandbox *sb = api_running(t);
        cws_result *result = NULL;
        r = script_stream_empty(&t->s);
        r->translated = true;
        r->content_type = "application/grpc";
        script_header(r, "grpc-status", "5");
        r->gap = 1000000;
        r->hold = true;
        before = t->s.now;
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_NOT_FOUND);
        CHECK(t->s.now - before <= 600);
    }
    GRPC("gRPC: another HTTP status decides, unless the head has an outcome") {
        static const int rows[][2] = {{400, 13}, {401, 16}, {403, 7}, {404, 12}, {418, 2},
                                      {429, 14}, {502, 14}, {505, 2}, {800, 2}};
        size_t i;
        script_reply *r;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        (void)api_started(t);
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            script_raw(&t->s, "GetSandbox", rows[i][0], "text/html", "<p>", 3);
            CHECK(api_status(t, t->boxes[0], NULL) != CWS_OK);
            CHECK_INT(t->err.rpc_code, rows[i][1]);
            CHECK_INT(t->err.http_status, rows[i][0]);
            HAS(t->err.message, "HTTP ");
        }
        r = script_raw(&t->s, "GetSandbox", 403, "application/grpc", "", 0);
        script_header(r, "grpc-status", "5");
        r->translated = true;
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_NOT_FOUND);
    }
    GRPC("gRPC: content types, HTTP versions and codings that are none of ours") {
        static const struct {
            const char *type;
            int code;
        } rows[] = {{"application/grpc+proto", 0}, {"Application/GRPC", 0},
                    {"application/grpc; charset=utf-8", 0}, {"application/grpcx", 13},
                    {"application/grpc+json", 13}, {"application/grpc-web+proto", 13},
                    {"text/html", 2},              {NULL, 2}};
        cws_header fine = {"grpc-status", "0"};
        script_reply *r;
        size_t i;
        (void)api_started(t);
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            api_grpc_reply(t, 1, &fine, 1)->content_type = rows[i].type;
            CHECK_INT(api_status(t, t->boxes[0], NULL), rows[i].code ? CWS_ERR_PROTOCOL : CWS_OK);
            if (rows[i].code) CHECK_INT(t->err.rpc_code, rows[i].code);
        }
        api_grpc_reply(t, 1, &fine, 1)->http_major = 1;
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_PROTOCOL);
        HAS(t->err.message, "HTTP/2");
        HAS(t->err.message, "CWS_PROTOCOL_CONNECT");
        r = api_grpc_reply(t, 1, &fine, 1);
        script_header(r, "grpc-encoding", "gzip");
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_PROTOCOL);
        HAS(t->err.message, "compressed");
        r = api_grpc_reply(t, 1, &fine, 1);
        r->body[0] = 1;
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_PROTOCOL);
        CHECK_INT(t->err.rpc_code, 13);
        r = api_grpc_reply(t, 1, &fine, 1);
        r->body[0] = 2; /* Connect's end: nothing of gRPC's */
        CHECK_INT(api_status(t, t->boxes[0], NULL), CWS_ERR_PROTOCOL);
    }
}

static void api_test_grpc_streams(void)
{
    GRPC("gRPC: a stream's outcome counts behind all of its messages") {
        cws_sandbox *sb = api_running(t);
        cws_result *result = NULL;
        script_stream(&t->s, "{\"error\":{\"code\":\"unavailable\"}}", OUT_A, NULL)->chunk = 1;
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_UNAVAILABLE);
        CHECK_STR(api_shown(result), "-|a|");
        cws_result_free(result);
    }
    STREAMING("what a transport reports after it was told to stop makes no success") {
        cws_sandbox *sb;
        cws_result *result = NULL;
        script_reply *r;
        static char big[1 << 20];
        int i;
        t->copts.max_message_bytes = sizeof(big);
        sb = api_running(t);
        r = script_stream_empty(&t->s);
        for (i = 0; i < 10; i++) script_envelope(&t->s, r, 0, big, sizeof(big));
        script_envelope(&t->s, r, 2, "{}", 2);
        r->deaf = true;
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_LIMIT);
        cws_result_free(result);
    }
    STREAMING("a stream that was refused after its head is not sent again") {
        cws_sandbox *sb = api_running(t);
        cws_result *result = NULL;
        script_reply *r = script_stream(&t->s, NULL, OUT_A, NULL);
        r->end = CWS_END_REFUSED;
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_TRANSPORT);
        CHECK_INT(script_count(&t->s, "StreamExec"), 1);
        cws_result_free(result);
    }
}

/* ---- repetitions, of polls ------------------------------------------------------------------- */

static void api_test_retries(void)
{
    EACH("L42: unavailable twice, then RUNNING: fine; the pauses are the jitter's") {
        cws_sandbox *sb = api_started(t);
        t->s.use_fixed = true; /* the shortest pauses */
        script_error(&t->s, "GetSandbox", "unavailable", "a", NULL)->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 200");
    }
    ONCE("L43: the jitter lies between 0.2 s and 1.5 times the last pause, at most 2 s") {
        int64_t last = 200, pause;
        size_t i, above = 0;
        cws_sandbox *sb = api_started(t);
        script_error(&t->s, "GetSandbox", "unavailable", "a", NULL)->times = -1;
        t->s.seed = 7;
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_UNAVAILABLE);
        for (i = 1; i + 1 < t->s.call_count; i++) {
            int64_t most = last * 3 / 2 < 2000 ? last * 3 / 2 : 2000;
            pause = t->s.calls[i].at - t->s.calls[i - 1].at;
            CHECK(pause >= 200 && pause <= (most < 200 ? 200 : most));
            if (pause > 200) above++;
            last = pause;
        }
        CHECK(above > 0);
    }
    EACH("L42: the budget of 30 s ends with the last error, without a pause that nothing follows") {
        char count[40];
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        script_error(&t->s, "GetSandbox", "unavailable", "still", NULL)->times = -1;
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_UNAVAILABLE);
        HAS(t->err.message, "Service unavailable: still");
        CHECK(t->s.now - from > 28000 && t->s.now - from < 30000);
        CHECK_INT(t->s.calls[t->s.call_count - 1].at, t->s.now);
        CHECK(t->err.retryable);
        (void)snprintf(count, sizeof(count), " (%d attempts in ", (int)t->s.call_count);
        HAS(t->err.message, count);
    }
    EACH("L42: no budget: the first error counts") {
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_started(t);
        script_error(&t->s, "GetSandbox", "unavailable", "", NULL);
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_UNAVAILABLE);
        CHECK_INT(t->s.call_count, 1);
        CHECK_INT(t->s.calls[0].timeout_ms, 15000);
    }
    EACH("L41: which failures of a poll are repeated") {
        static const struct {
            const char *code, *reason;
            bool repeated;
            cws_status status;
        } table[] = {
            {"unavailable", NULL, true, CWS_ERR_UNAVAILABLE},
            {"deadline_exceeded", NULL, true, CWS_ERR_REQUEST_TIMEOUT},
            {"resource_exhausted", NULL, true, CWS_ERR_RESOURCE_EXHAUSTED},
            {"internal", "CWSANDBOX_RUNNER_UNAVAILABLE", true, CWS_ERR_UNAVAILABLE},
            {"internal", "CWSANDBOX_FSS_BACKEND_THROTTLED", true, CWS_ERR_SNAPSHOT_THROTTLED},
            {"unavailable", "CWSANDBOX_UNHEARD_OF", true, CWS_ERR_UNAVAILABLE},
            {"not_found", NULL, false, CWS_ERR_NOT_FOUND},
            {"unavailable", "CWSANDBOX_SANDBOX_NOT_FOUND", false, CWS_ERR_NOT_FOUND},
            {"unavailable", "CWSANDBOX_COMMAND_TIMEOUT", false, CWS_ERR_COMMAND_TIMEOUT},
            {"unauthenticated", NULL, false, CWS_ERR_AUTHENTICATION},
            {"permission_denied", NULL, false, CWS_ERR_AUTHENTICATION},
            {"canceled", NULL, false, CWS_ERR_NOT_RUNNING},
            {"invalid_argument", NULL, false, CWS_ERR_SANDBOX},
            {"internal", NULL, false, CWS_ERR_SANDBOX},
            {"unknown", NULL, false, CWS_ERR_SANDBOX},
            {"unimplemented", NULL, false, CWS_ERR_UNIMPLEMENTED},
            {"data_loss", NULL, false, CWS_ERR_SANDBOX}};
        size_t i;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        (void)api_box(t, NULL);
        CHECK_INT(api_start(t, t->boxes[0]), CWS_OK);
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            const char *detail =
                table[i].reason ? script_reason(&t->s, table[i].reason, "cwsandbox.com") : NULL;
            t->s.call_count = 0;
            script_error(&t->s, "GetSandbox", table[i].code, "x", detail);
            if (table[i].repeated) script_error(&t->s, "GetSandbox", "data_loss", "x", NULL);
            CHECK_INT(api_wait(t, t->boxes[0], 0),
                      table[i].repeated ? CWS_ERR_SANDBOX : table[i].status);
            if (!CHECK_INT(t->s.call_count, table[i].repeated ? 2 : 1))
                printf("    %s %s\n", table[i].code, table[i].reason ? table[i].reason : "");
        }
    }
    EACH("L41: transport failures of a poll: all are repeated but TLS, no HTTP, no memory") {
        static const struct {
            cws_end end;
            bool repeated;
            cws_status status;
        } table[] = {{CWS_END_NOT_SENT, true, CWS_ERR_TRANSPORT},
                     {CWS_END_REFUSED, true, CWS_ERR_TRANSPORT},
                     {CWS_END_LOST, true, CWS_ERR_TRANSPORT},
                     {CWS_END_TIMEOUT, true, CWS_ERR_REQUEST_TIMEOUT},
                     {CWS_END_TLS, false, CWS_ERR_TRANSPORT},
                     {CWS_END_RESET, true, CWS_ERR_PROTOCOL},
                     {CWS_END_PROTOCOL, false, CWS_ERR_PROTOCOL},
                     {CWS_END_NO_MEMORY, false, CWS_ERR_NO_MEMORY}};
        size_t i;
        cws_sandbox *sb = api_started(t);
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            t->s.call_count = 0;
            script_end(&t->s, "GetSandbox", table[i].end);
            if (table[i].repeated) script_error(&t->s, "GetSandbox", "data_loss", "x", NULL);
            CHECK_INT(api_wait(t, sb, 0), table[i].repeated ? CWS_ERR_SANDBOX : table[i].status);
            CHECK_INT(t->s.call_count, table[i].repeated ? 2 : 1);
        }
    }
    EACH("L40 L43: a poll that is never answered ends after 15 s and is repeated; then the rest") {
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        t->s.use_fixed = true;
        script_never(&t->s, "GetSandbox")->times = -1;
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(t->s.now - from, 45000); /* the budget begins with the first failure */
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 15000);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 1)->timeout_ms, 15000);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 2)->timeout_ms, 30000 - 200 - 15000 - 200);
        CHECK_INT(t->s.call_count, 3);
    }
    EACH("L43: a small budget bounds the first poll too, and 0.1 s is the least") {
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = 3;
        sb = api_started(t);
        t->s.use_fixed = true;
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "2.950s"));
        script_never(&t->s, "GetSandbox");
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 3000);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 1)->timeout_ms, 100);
    }
    EACH("L44: a hint of 5 s is used, 60 s counts as 10, it is bounded by the rest") {
        cws_sandbox *sb = api_started(t);
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "5s"));
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "60s"))->times = 2;
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "10s"));
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_UNAVAILABLE);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "5000 10000 10000");
        CHECK(t->err.has_retry_after);
        CHECK_INT(t->err.retry_after_ms, 10000);
    }
    EACH("L44: a hint of zero or below is none") {
        cws_sandbox *sb = api_started(t);
        t->s.use_fixed = true;
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "0s"));
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "-5s"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 200");
    }
    EACH("L42: an answer in between gives the budget back") {
        cws_sandbox *sb = api_started(t);
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "10s"))->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"));
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "10s"))->times = 2;
        script_never(&t->s, "GetSandbox");
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 100), CWS_ERR_REQUEST_TIMEOUT);
        t->s.call_count = 0;
        CHECK_INT(api_wait(t, sb, 100), CWS_OK);
        CHECK_INT(t->s.calls[0].timeout_ms, 15000); /* nothing of the last burst is left */
    }
    STREAMING("L45: a retry shared by two: the short waiter gives up, the long one succeeds") {
        cws_sandbox *sb = api_started(t);
        cws_op *a, *b, *c;
        script_error(&t->s, "GetSandbox", "unavailable", "", script_hint(&t->s, "8s"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(cws_sandbox_wait_begin(sb, wait_for(2), &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, wait_for(60), &b, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, wait_for(60), &c, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_TIMEOUT);
        CHECK(cws_op_cancel(c)); /* during the pause before the retry */
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_OK);
        CHECK_INT(cws_op_status(c, &t->err), CWS_ERR_CANCELLED);
        cws_op_free(a);
        cws_op_free(b);
        cws_op_free(c);
    }
}

static void (*const both[])(void) = {
    api_test_requests,
    api_test_wire,
    api_test_transport,
    api_test_streams,
    api_test_grpc_outcomes,
    api_test_grpc_heads,
    api_test_grpc_streams,
    api_test_retries};

int main(int argc, char **argv)
{
    test_init(argc, argv);
    return api_both_dialects(both, CWSI_COUNT(both));
}
