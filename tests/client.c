/* SPDX-License-Identifier: MIT
 *
 * The client: address, credentials, the environment, protocol and dialect, limits, what log and
 * trace tell. Over the scripted transport. A scenario is written once and runs in several ways, see
 * harness.h. Numbers are those of the lists of test cases that the service's own clients were
 * written against (L: lifecycle). Usage:
 *
 *     client [part of a test's name]
 */
#include "native.h"

#include "streams.h"

#include <math.h>

/* Open a client with the scenario's options and close it; its error is in t->err. */
static cws_status api_try_client(api *t)
{
    cws_client *c = NULL;
    cws_status status = cws_client_open(&t->copts, &c, &t->err);
    CHECK_INT(status, t->err.status);
    CHECK((c != NULL) == (status == CWS_OK));
    cws_client_free(c);
    CHECK_INT(test_alloc_live(), t->live);
    return status;
}

static void api_test_client(void)
{
    ONCE("L16: addresses that are taken; a trailing slash is no path") {
        static const char *const good[][2] = {
            {"https://api.example.com", "https://api.example.com"},
            {"https://api.example.com/", "https://api.example.com"},
            {"HTTPS://h:8443", "HTTPS://h:8443"},
            {"http://localhost", "http://localhost"},
            {"http://LOCALHOST:80/", "http://LOCALHOST:80"},
            {"http://127.0.0.1:1", "http://127.0.0.1:1"},
            {"http://127.8.9.10:65535", "http://127.8.9.10:65535"},
            {"http://[::1]:8080", "http://[::1]:8080"},
            {"https://[2001:db8::1]", "https://[2001:db8::1]"}};
        size_t i;
        for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            cws_client *c = NULL;
            cws_op *op = NULL;
            t->copts.base_url = good[i][0];
            if (!CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_OK)) {
                printf("    %s\n", t->err.message);
                continue;
            }
            script_ok(&t->s, "DeleteSandbox", "{}");
            CHECK_INT(cws_sandbox_delete_begin(c, "x", false, &op, &t->err), CWS_OK);
            CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
            cws_op_free(op);
            cws_client_free(c);
            CHECK(strncmp(script_call_at(&t->s, "DeleteSandbox", i)->url, good[i][1],
                          strlen(good[i][1])) == 0);
            CHECK(strncmp(script_call_at(&t->s, "DeleteSandbox", i)->url + strlen(good[i][1]),
                          "/coreweave.", 11) == 0);
        }
    }
    ONCE("L16: addresses that are refused, each with its reason") {
        static const char *const bad[] = {
            "",
            "api.example.com",
            "ftp://h",
            "https://",
            "https:///x",
            "https://h/v1",
            "https://h/v1/x",
            "https://h?x=1",
            "https://h#f",
            "https://user@h",
            "https://user:pw@h",
            "http://localhost@evil.com",
            "https://h:",
            "https://h:0",
            "https://h:65536",
            "https://h:80x",
            "https://h:-1",
            "https://[::1",
            "https://[::1]x",
            "https://h h",
            "https://h\n",
            "https://h\r\nx: y",
            " https://h",
            "https://:443"};
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            t->copts.base_url = bad[i];
            if (!CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT))
                printf("    %s\n", bad[i]);
            HAS(t->err.message, "base_url");
        }
        CHECK_INT(t->s.opens, 0);
    }
    ONCE("a credential goes over plain http only to this machine, or if it is allowed") {
        static const char *const far[] = {
            "http://h",           "http://127.evil.com",  "http://localhost.evil.com",
            "http://127.0.0.1.x", "http://1270.0.1",      "http://10.0.0.1",
            "http://[::2]",       "http://[fe80::1]",     "http://0.0.0.0",
            "http://128.0.0.1",   "http://notlocalhost:1"};
        size_t i;
        for (i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
            t->copts.base_url = far[i];
            t->copts.api_key = "the-secret-key";
            t->copts.wandb_api_key = NULL;
            t->copts.allow_insecure_credential = false;
            CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "allow_insecure_credential");
            HAS_NOT(t->err.message, "the-secret-key");
            t->copts.api_key = NULL;
            CHECK_INT(api_try_client(t), CWS_OK);
            t->copts.wandb_api_key = "the-secret-key";
            CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
            t->copts.allow_insecure_credential = true;
            CHECK_INT(api_try_client(t), CWS_OK);
        }
    }
    ONCE("L17: a key is trimmed; blank, with a line break or another control character: refused") {
        static const char *const bad[] = {"",         " ",         "\t\r\n",       "a\nb",
                                          "a\r\nx: y", "a\001b",    "k\xc3\xa9y", "a\x7f"};
        size_t i;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            t->copts.api_key = bad[i];
            CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "api_key");
            t->copts.api_key = NULL;
            t->copts.wandb_api_key = bad[i];
            CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "wandb_api_key");
            t->copts.wandb_api_key = NULL;
        }
        t->copts.api_key = " \tthe-secret-key\r\n";
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS(script_call_at(&t->s, "DeleteSandbox", 0)->headers,
            "\nauthorization: Bearer the-secret-key\n");
    }
    EACH("L17: without a key no credential header is sent") {
        t->copts.api_key = NULL;
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS_NOT(script_call_at(&t->s, "DeleteSandbox", 0)->headers, "authorization");
        HAS_NOT(script_call_at(&t->s, "DeleteSandbox", 0)->headers, "wandb");
    }
    ONCE("L17: both kinds of key are a contradiction; routing needs its key") {
        t->copts.wandb_api_key = "w";
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "not both");
        t->copts.wandb_api_key = NULL;
        t->copts.wandb_entity = "e";
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.wandb_entity = NULL;
        t->copts.wandb_project = "p";
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.api_key = NULL;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
    }
    EACH("L4.4: the headers of W&B mode, and no bearer token") {
        const char *h;
        t->copts.api_key = NULL;
        t->copts.wandb_api_key = " the-secret-key ";
        t->copts.wandb_entity = "ent";
        t->copts.wandb_project = "proj";
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        h = script_call_at(&t->s, "DeleteSandbox", 0)->headers;
        HAS(h, "\nx-wandb-api-key: the-secret-key\n");
        HAS(h, "\nx-entity-id: ent\n");
        HAS(h, "\nx-project-name: proj\n");
        HAS(h, "\nx-wandb-sdk-version: ");
        HAS(h, "\nx-cwsandbox-client-version: ");
        HAS_NOT(h, "authorization");
    }
    ONCE("L4.4: entity and project are only sent if given") {
        t->copts.api_key = NULL;
        t->copts.wandb_api_key = "w";
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS_NOT(script_call_at(&t->s, "DeleteSandbox", 0)->headers, "x-entity-id");
        HAS_NOT(script_call_at(&t->s, "DeleteSandbox", 0)->headers, "x-project-name");
    }
    ONCE("the environment: key and address, an option beats it, no_environment ignores it") {
        t->copts.no_environment = false;
        t->copts.api_key = NULL;
        t->copts.base_url = NULL;
        (void)setenv("CWSANDBOX_API_KEY", " the-secret-key\n", 1);
        (void)setenv("CWSANDBOX_BASE_URL", "http://127.0.0.1:7/", 1);
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS(script_call_at(&t->s, "DeleteSandbox", 0)->url, "http://127.0.0.1:7/coreweave");
        HAS(script_call_at(&t->s, "DeleteSandbox", 0)->headers, "Bearer the-secret-key\n");
        (void)setenv("CWSANDBOX_API_KEY", "", 1);
        (void)setenv("CWSANDBOX_BASE_URL", "", 1);
        cws_session_free(t->session);
        cws_client_free(t->client);
        t->s.closes = 0;
        t->session = NULL;
        t->client = NULL;
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS(script_call_at(&t->s, "DeleteSandbox", 1)->url, "https://api.cwsandbox.com/coreweave");
        HAS_NOT(script_call_at(&t->s, "DeleteSandbox", 1)->headers, "authorization");
        (void)setenv("CWSANDBOX_API_KEY", "a\nb", 1);
        {
            cws_client *c = NULL;
            CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "CWSANDBOX_API_KEY");
            t->copts.wandb_api_key = "w"; /* then the variable is not read */
            CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_OK);
            cws_client_free(c);
            t->copts.wandb_api_key = NULL;
            t->copts.no_environment = true;
            CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_OK);
            cws_client_free(c);
            t->copts.no_environment = false;
            (void)unsetenv("CWSANDBOX_API_KEY");
            (void)unsetenv("CWSANDBOX_BASE_URL");
            (void)setenv("CWSANDBOX_API_VERSION", "v9", 1);
            t->copts.api_version = CWS_API_DEFAULT;
            CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_ERR_INVALID_ARGUMENT);
            CHECK(c == NULL);
            t->copts.api_version = CWS_API_V1;
            CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_OK);
            cws_client_free(c);
            (void)unsetenv("CWSANDBOX_API_VERSION");
        }
        t->s.closes = 0;
    }
    ONCE("the suffix of the user agent is sent, and checked") {
        t->copts.user_agent_suffix = "x\ny";
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.user_agent_suffix = "app/1";
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_delete(t, "x", false), CWS_OK);
        HAS(script_call_at(&t->s, "DeleteSandbox", 0)->headers,
            "user-agent: cwsandbox.h/" CWS_VERSION_STRING " app/1\n");
    }
    ONCE("L4: durations of the client: not a number, infinite and negative are refused") {
        double *const at[] = {&t->copts.request_timeout_seconds,
                              &t->copts.poll_retry_budget_seconds,
                              &t->copts.poll_rpc_timeout_seconds,
                              &t->copts.connect_timeout_seconds};
        const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -0.5, -2, 1.1e9};
        size_t i, k;
        for (i = 0; i < 4; i++) {
            for (k = 0; k < 6; k++) {
                *at[i] = bad[k];
                CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
                HAS(t->err.message, "_seconds");
            }
            *at[i] = CWS_NONE;
            CHECK_INT(api_try_client(t), i == 1 ? CWS_OK : CWS_ERR_INVALID_ARGUMENT);
            *at[i] = 1e9;
            CHECK_INT(api_try_client(t), CWS_OK);
            *at[i] = 0.0001;
            CHECK_INT(api_try_client(t), CWS_OK);
            *at[i] = 0;
        }
    }
    ONCE("a client's other options: unknown values, half a transport, no allocator function") {
        cws_transport half = t->s.transport;
        cws_allocator none;
        memset(&none, 0, sizeof(none));
        t->copts.must_be_zero = 1;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "must_be_zero");
        t->copts.must_be_zero = 0;
        t->copts.api_version = (cws_api_version)77;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.api_version = CWS_API_DEFAULT;
        t->copts.max_message_bytes = (uint64_t)1 << 31;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.max_message_bytes = 0;
        t->copts.transport = &half;
        half.must_be_zero = 5;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        half.must_be_zero = 0;
        half.poll = NULL;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        memset(&half, 0, sizeof(half));
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        t->copts.transport = &t->s.transport;
        t->copts.allocator = &none;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_client_open(&t->copts, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_client_open(&t->copts, NULL, NULL), CWS_ERR_INVALID_ARGUMENT);
    }
    ONCE("memory over the cap is refused, not used") {
        t->copts.max_memory_bytes = 100;
        CHECK_INT(api_try_client(t), CWS_ERR_NO_MEMORY);
    }
}

static void api_test_protocol(void)
{
    ONCE("protocol: the option, the environment, and what they need") {
        cws_client *c = NULL;
        t->copts.protocol = (cws_protocol)3;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "protocol");
        t->copts.protocol = CWS_PROTOCOL_GRPC;
        t->copts.http_version = CWS_HTTP_1_1;
        CHECK_INT(api_try_client(t), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "HTTP/2");
        t->copts.http_version = CWS_HTTP_AUTO;
        t->s.transport.trailers = false;
        CHECK_INT(api_try_client(t), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "trailers");
        t->copts.protocol = CWS_PROTOCOL_DEFAULT;
        t->copts.no_environment = false;
        (void)setenv("CWSANDBOX_PROTOCOL", "grpc", 1);
        CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_ERR_UNSUPPORTED);
        (void)setenv("CWSANDBOX_PROTOCOL", "soap", 1);
        CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "CWSANDBOX_PROTOCOL");
        (void)setenv("CWSANDBOX_PROTOCOL", "connect", 1);
        CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_OK);
        cws_client_free(c);
        (void)setenv("CWSANDBOX_PROTOCOL", "grpc", 1);
        t->copts.protocol = CWS_PROTOCOL_CONNECT; /* said here, it counts */
        CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_OK);
        cws_client_free(c);
        (void)unsetenv("CWSANDBOX_PROTOCOL");
        t->s.closes = 0;
    }
}

static void op_test_dialect(void)
{
    ONCE("the dialect by the environment; a name that is none is refused") {
        (void)setenv("CWSANDBOX_API_VERSION", "v1beta2", 1);
        t->copts.no_environment = false;
        t->s.b2 = true;
        (void)nw_started(t);
        (void)unsetenv("CWSANDBOX_API_VERSION");
    }
    ONCE("the dialect: what is none is refused") {
        cws_client *c = NULL;
        t->copts.no_environment = false;
        (void)setenv("CWSANDBOX_API_VERSION", "v2", 1);
        CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "CWSANDBOX_API_VERSION");
        (void)unsetenv("CWSANDBOX_API_VERSION");
        t->copts.api_version = (cws_api_version)3;
        CHECK_INT(cws_client_open(&t->copts, &c, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "api_version");
    }
}

/* ---- what log and trace tell ----------------------------------------------------------------- */

static void api_test_privacy(void)
{
    EACH("log and trace show no key, no value of the environment, no content of a file") {
        static const cws_pair env[] = {{"TOKEN", "env-secret-1"}, {NULL, NULL}};
        static const cws_pair exec_env[] = {{"TOKEN2", "env-secret-2"}, {NULL, NULL}};
        static const cws_mounted_file file = {"/etc/f", "file-secret-1", 13};
        cws_sandbox_opts o;
        cws_exec_opts eo;
        cws_sandbox *sb;
        cws_result *r = NULL;
        cws_bytes *bytes = NULL;
        cwsi_str text = cwsi_str_of("file-secret-2");
        char json[100];
        memset(&o, 0, sizeof(o));
        memset(&eo, 0, sizeof(eo));
        o.environment_variables = env;
        o.mounted_files = &file;
        o.mounted_file_count = 1;
        if (!t->s.b2 || t->mode != API_PERFORM) /* a unary one has none */
            eo.environment_variables = exec_env;
        sb = api_box(t, &o);
        if (!t->s.b2) script_error(&t->s, "CreateSandbox", "unavailable", "x", NULL);
        script_ok(&t->s, "CreateSandbox",
                  "{\"sandboxId\":\"sb-1\",\"spec\":{\"containers\":[{\"name\":\"main\","
                  "\"environmentVariables\":{\"TOKEN\":\"env-secret-1\"}}]}}");
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        api_answer(t, 0, "file-secret-2", "");
        CHECK_INT(api_exec(t, sb, api_true, &eo, &r), CWS_OK);
        cws_result_free(r);
        (void)snprintf(json, sizeof(json), "{\"content\":\"%s\"}", grpc_base64(&t->s.arena, text));
        script_ok(&t->s, "ReadFile", json);
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        script_ok(&t->s, "WriteFile", "{}");
        CHECK_INT(api_write(t, sb, "/x", "file-secret-1", 13, NULL), CWS_OK);
        script_end(&t->s, "ReadFile", CWS_END_TLS);
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_TRANSPORT);
        CHECK(t->traces >= (t->s.b2 ? 11 : 13));
        HAS(t->said, t->s.b2 ? "/coreweave.sandbox.v1beta2.GatewayService/Start"
                             : "/coreweave.sandbox.v1.SandboxService/CreateSandbox");
        HAS(t->said, "TOKEN"); /* names are shown */
        HAS(t->said, "sb-1");
        HAS_NOT(t->said, "env-secret");
        HAS_NOT(t->said, "file-secret");
        HAS_NOT(t->said, grpc_base64(&t->s.arena, text));
        HAS_NOT(t->said, "ZmlsZS1zZWNyZXQ"); /* the beginning of both, in base64 */
        HAS_NOT(t->said, "the-secret-key");
        HAS_NOT(t->said, "Bearer");
    }
    ONCE("options of a client that make no sense are refused by name") {
        cws_client_opts o;
        cws_client *c = NULL;
        cws_error err;
        CHECK_STR(cws_version(), CWS_VERSION_STRING);
        memset(&o, 0, sizeof(o));
        o.base_url = "http://localhost:1";
        o.no_environment = true;
        o.http_version = (cws_http_version)3;
        CHECK_INT(cws_client_open(&o, &c, &err), CWS_ERR_INVALID_ARGUMENT);
        HAS(err.message, "http_version");
        o.http_version = CWS_HTTP_AUTO;
        o.client_cert_file = "cert.pem";
        CHECK_INT(cws_client_open(&o, &c, &err), CWS_ERR_INVALID_ARGUMENT);
        HAS(err.message, "client_cert_file and client_key_file");
        o.client_cert_file = NULL;
        o.client_key_file = "key.pem";
        CHECK_INT(cws_client_open(&o, &c, &err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(c == NULL);
    }
    ONCE("without a clock of the caller the system's are used") {
        cws_client_opts o;
        cws_client *c = NULL;
        cws_transport transport = {0};
        int64_t now;
        transport.perform = script_perform;
        transport.user = &t->s;
        memset(&o, 0, sizeof(o));
        o.transport = &transport;
        o.no_environment = true;
        CHECK_INT(cws_client_open(&o, &c, &t->err), CWS_OK);
        now = cwsi_unix_now(c);
        CHECK(now > (int64_t)1700000000 * 1000 && now - (int64_t)time(NULL) * 1000 < 5000);
        CHECK(cwsi_now(c) > 0);
        CHECK(cwsi_random_u64(c) != cwsi_random_u64(c));
        cws_client_free(c);
    }
    ONCE("libcurl: refused only where it is sure, on a connection that nobody else has joined") {
        static const char sought[] = "seek callback returned error 1";
        cwsi_curl curl;
        cwsi_curl_exchange *a = (cwsi_curl_exchange *)calloc(2, sizeof(*a)), *b = a ? a + 1 : NULL;
        if (!a) abort();
        (void)t;
        memset(&curl, 0, sizeof(curl));
        curl.version = 0x080e00;
        curl.all = a;
        a->curl = b->curl = &curl;
        a->next = b;
        a->body_size = b->body_size = 9;
        CHECK_INT(cwsi_curl_unanswered(a, CURLE_RECV_ERROR), CWS_END_REFUSED); /* none was sent */
        a->body_at = b->body_at = 9;
        CHECK_INT(cwsi_curl_unanswered(a, CURLE_RECV_ERROR), CWS_END_LOST);
        cwsi_curl_began(a, true);
        a->rewound = b->rewound = true;
        memcpy(a->error, sought, sizeof(sought));
        memcpy(b->error, sought, sizeof(sought));
        CHECK_INT(cwsi_curl_unanswered(a, CURLE_SEND_FAIL_REWIND), CWS_END_REFUSED);
        memcpy(a->error, "Recv failure", 13); /* the connection broke: libcurl tries again, too */
        CHECK_INT(cwsi_curl_unanswered(a, CURLE_SEND_FAIL_REWIND), CWS_END_LOST);
        memcpy(a->error, sought, sizeof(sought));
        cwsi_curl_began(b, false);
        CHECK_INT(cwsi_curl_unanswered(a, CURLE_SEND_FAIL_REWIND), CWS_END_LOST);
        CHECK_INT(cwsi_curl_unanswered(b, CURLE_SEND_FAIL_REWIND), CWS_END_LOST);
        free(a);
    }
    EACH("an end that the transport made up is a failure that says so") {
        cws_sandbox *sb = api_running(t);
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        script_end(&t->s, "GetSandbox", (cws_end)77)->times = -1;
        CHECK(api_status(t, sb, NULL) != CWS_OK);
        HAS(t->err.message, "the transport reports the unknown end 77");
    }
    EACH("a server that echoes the key does not bring it into error, log or trace") {
        static const char key[] = "the-secret-key"; /* of the harness */
        char text[600];
        cws_sandbox *sb = api_running(t);
        size_t fill, at;
        for (fill = 0; fill < 420; fill += fill ? 1 : 300) { /* until it is cut away */
            (void)snprintf(text, sizeof(text), "%0*d is not what %s opens, %s", (int)fill, 0, key,
                           key);
            script_error(&t->s, "GetSandbox", "permission_denied", text,
                         script_detail(&t->s, "google.rpc.ErrorInfo",
                                       "{\"reason\":\"the-secret-key\",\"domain\":\"d\","
                                       "\"metadata\":"
                                       "{\"k\":\"<the-secret-key>\",\"the-secret-key\":\"v\"}}"));
            CHECK(api_status(t, sb, NULL) != CWS_OK);
            if (fill < 300) HAS(t->err.message, "0 is not what");
            for (at = 0; at + 8 < sizeof(t->err); at++)
                if (!CHECK(memcmp((const char *)&t->err + at, key, 8) != 0)) break;
            HAS_NOT(t->said, "the-secr");
        }
        script_ok(&t->s, "GetSandbox", BOX_ID("the-secret-key", "RUNNING"));
        (void)api_status(t, sb, NULL);
        HAS_NOT(t->said, "the-secr");
    }
}

static void op_test_trace(void)
{
    B2_EACH("the trace hides variables, files, input and output") {
        cws_sandbox_opts o;
        cws_sandbox *sb;
        cws_bytes *bytes = NULL;
        cws_exec_opts e;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        memset(&e, 0, sizeof(e));
        o.environment_variables = PAIRS({"NAME", "hidden-1"});
        sb = api_box(t, &o);
        nw_ok(t, "Start", STARTED);
        nw_ok(t, "Get", B2_GET("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        nw_ok(t, "AddFile", ACCEPTED);
        CHECK_INT(api_write(t, sb, "/x", "hidden-2", 8, NULL), CWS_OK);
        nw_ok(t, "RetrieveFile", "{'fileContents':'aGlkZGVuLTM=','success':true}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        e.unary = true;
        nw_ok(t, "Exec", "{'result':{'stdout':'aGlkZGVuLTQ=','stderr':'aGlkZGVuLTU='}}");
        CHECK_INT(api_exec(t, sb, api_true, &e, &r), CWS_OK);
        cws_result_free(r);
        HAS(t->said, "NAME");
        HAS_NOT(t->said, "hidden-1");
        HAS_NOT(t->said, nw_64(t, "hidden-2"));
        HAS_NOT(t->said, "aGlkZGVuLTM");
        HAS_NOT(t->said, "aGlkZGVuLTQ");
        HAS_NOT(t->said, "aGlkZGVuLTU");
    }
    B2_STREAMING("the trace hides the variables, the input and the output of a stream") {
        cws_sandbox *sb = nw_running(t);
        cws_exec_opts e;
        cws_result *r = NULL;
        script_reply *reply = op_stream(t, "StreamExec");
        memset(&e, 0, sizeof(e));
        e.environment_variables = PAIRS({"NAME", "hidden-6"});
        op_says(t, reply, "{'ready':{}}");
        op_output(t, reply, "STDOUT", "hidden-7");
        op_says(t, reply, "{'exit':{}}");
        op_over(t, reply);
        CHECK_INT(api_exec(t, sb, api_true, &e, &r), CWS_OK);
        cws_result_free(r);
        HAS(t->said, "NAME");
        HAS_NOT(t->said, "hidden-6");
        HAS_NOT(t->said, nw_64(t, "hidden-7"));
    }
}

static void (*const both[])(void) = {
    api_test_client,
    api_test_protocol,
    api_test_privacy};

int main(int argc, char **argv)
{
    test_init(argc, argv);
    op_test_dialect();
    op_test_trace();
    return api_both_dialects(both, CWSI_COUNT(both));
}
