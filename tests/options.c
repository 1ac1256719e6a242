/* SPDX-License-Identifier: MIT
 *
 * What a sandbox is made of, and the dialect v1beta2, over the scripted transport: the request of
 * every option, what a dialect does not have, what is refused, and how replies are understood. What
 * is expected comes from the tables of the specification and the .proto files. Numbers are those of
 * the list of edge cases that the service's own clients were written against. JSON is written with
 * ' for ". Usage:
 *
 *     options [part of a test's name]
 */
#include "harness.h"

#include "options_table.h"

/* ---- helpers --------------------------------------------------------------------------------- */

/* The text with ' as ". */
static const char *op_json(api *t, const char *text)
{
    return op_quotes(script_text(&t->s, text));
}

static script_reply *op_ok(api *t, const char *rpc, const char *json)
{
    return script_ok(&t->s, rpc, op_json(t, json));
}

static api *op_b2(api *t)
{
    t->copts.api_version = CWS_API_V1BETA2;
    t->s.b2 = true;
    return t;
}

#define B2_RUN(text, mode)                                                                         \
    TEST(api_name("v1beta2: " text, mode))                                                         \
        for (api *t = op_b2(api_new(mode)); t; t = api_end(t))
#define B2_EACH(text) for (int api_m = 0; api_m < API_MODES; api_m++) B2_RUN(text, api_m)
#define B2_STREAMING(text) for (int api_m = 0; api_m < API_PERFORM; api_m++) B2_RUN(text, api_m)

/* A test per row of a table, in one mode after the other. */
#define OP_ROW(dialect, row, index, b2)                                                            \
    TEST(op_name(dialect, row, (index) % API_MODES))                                               \
        for (api *t = op_row((index) % API_MODES, b2); t; t = api_end(t))

static const char *op_name(const char *dialect, const char *row, size_t mode)
{
    static char text[200];
    (void)snprintf(text, sizeof(text), "%s: %s", dialect, row);
    return api_name(text, (int)mode);
}

static api *op_row(size_t mode, bool b2)
{
    api *t = api_new((int)mode);
    return b2 ? op_b2(t) : t;
}

#define B2_GET(state) "{'sandboxId':'sb-1','sandboxStatus':'SANDBOX_STATUS_" state "'}"
#define STARTED "{'sandboxId':'sb-1','sandboxStatus':'SANDBOX_STATUS_PENDING'}"

static cws_sandbox *op_started(api *t)
{
    cws_sandbox *sb = api_box(t, NULL);
    op_ok(t, "Start", STARTED);
    CHECK_INT(api_start(t, sb), CWS_OK);
    t->s.call_count = 0;
    return sb;
}

TEST_FN cws_sandbox *op_running(api *t)
{
    cws_sandbox *sb = op_started(t);
    op_ok(t, "Get", B2_GET("RUNNING"));
    CHECK_INT(api_wait(t, sb, 0), CWS_OK);
    t->s.call_count = 0;
    return sb;
}

TEST_FN cws_sandbox *op_found(api *t, const char *json)
{
    cws_sandbox *sb = NULL;
    op_ok(t, t->s.b2 ? "Get" : "GetSandbox", json);
    CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
    t->s.call_count = 0;
    if (!sb) abort();
    return sb;
}

#define IS(rpc, index, expected)                                                                   \
    CHECK_STR(script_json(&t->s, rpc, index), op_json(t, expected))

/* ---- what is sent to create a sandbox -------------------------------------------------------- */

static void op_test_shapes(void)
{
    size_t i;
    int b2;
    for (b2 = 0; b2 < 2; b2++) {
        for (i = 0; i < CWSI_COUNT(op_shapes); i++) {
            const op_shape *row = &op_shapes[i];
            const char *expected = b2 ? row->b2 : row->v1;
            if (!expected) continue;
            OP_ROW(b2 ? "v1beta2" : "v1", row->name, i, b2)
            {
                const char *rpc = op_create_rpc(row, b2);
                char *json;
                cws_sandbox *sb = NULL;
                t->defaults = row->defaults;
                (void)cws_session_sandbox(api_session(t), &row->own, &sb, &t->err);
                CHECK_STR(t->err.message, "");
                if (!sb) continue;
                t->boxes[t->box_count++] = sb;
                op_ok(t, rpc, "{'sandboxId':'sb-1'}");
                CHECK_INT(api_start(t, sb), CWS_OK);
                CHECK_INT(t->s.call_count, 1);
                json = script_text(&t->s, script_json(&t->s, rpc, 0));
                if (!b2) op_cut_id(json);
                CHECK_STR(json, op_json(t, expected));
            }
        }
    }
}

/* ---- what a dialect does not have ------------------------------------------------------------ */

typedef struct op_lack {
    const char *option, *instead;
    bool single; /* can not be a default: refused as such */
    cws_sandbox_opts o;
} op_lack;

static const op_lack op_v1_lacks[] = {
    {"profile_ids", "runner_ids", false, {.profile_ids = STRINGS("p")}},
    {"profile_names", "placement", false, {.profile_names = STRINGS("p")}},
    {"ports", "services", true, {.ports = PORTS({1, NULL, NULL}), .port_count = 1}},
    {"s3_mount", "volume", true, {.s3_mount = &(const cws_s3_mount){"b", NULL, "/s"}}},
    {"max_timeout_seconds", "request_timeout_seconds", true, {.max_timeout_seconds = 1}},
    {"network.ingress_mode", "services", false, {.network = NETWORK(.ingress_mode = "public")}},
    {"network.egress_mode", "deny_egress", false, {.network = NETWORK(.egress_mode = "internet")}},
    {"network.exposed_ports", "services", false,
     {.network = NETWORK(.exposed_ports = INTS(80), .exposed_port_count = 1)}}};

static const op_lack op_b2_lacks[] = {
    {"services", "ports", false, {.services = SERVICES({.port = 1}), .service_count = 1}},
    {"placement", "profile_names", false, {.placement = CWS_PLACEMENT_SERVERLESS}},
    {"placement", "runner_ids", false, {.placement = CWS_PLACEMENT_CKS}},
    {"spillover", "several profiles", false, {.spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS}},
    {"spillover", "several profiles", false, {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS}},
    {"containers", "CWS_API_V1", true,
     {.containers = CONTAINERS({.name = "a", .image = "i"}), .container_count = 1}},
    {"template_id", "options themselves", true, {.template_id = "t-1"}},
    {"working_dir", "cwd", true, {.working_dir = "/"}},
    {"instance_type", "profile_names", true, {.instance_type = "i"}},
    {"runtime_class", "CWS_API_V1", true, {.runtime_class = "r"}},
    {"display_name", "annotations", true, {.display_name = "n"}},
    {"image_credentials", "CWS_API_V1", true,
     {.image_credentials = &(const cws_image_credentials){"r", "s", "n", NULL}}},
    {"security", "CWS_API_V1", true, {.security = &(const cws_security){.privileged = CWS_NO}}},
    {"startup_probe", "CWS_API_V1", true,
     {.startup_probe = &(const cws_probe){.argv = STRINGS("true")}}},
    {"file_system.name", "leave it out", false,
     {.file_system = &(const cws_file_system){.mount_path = "/w", .name = "x"}}},
    {"volumes[0]", "file_system", false,
     {.volumes = VOLUMES({.name = "v", .mount_path = "/v"}), .volume_count = 1}},
    {"network.deny_egress", "egress_mode", false, {.network = NETWORK(.deny_egress = CWS_NO)}},
    {"network.deny_ingress", "ingress_mode", false, {.network = NETWORK(.deny_ingress = CWS_YES)}},
    {"network.allow_dns", "egress_mode", false, {.network = NETWORK(.allow_dns = CWS_YES)}},
    {"network.egress_hostnames", "egress_mode", false,
     {.network = NETWORK(.egress_hostnames = STRINGS("a.b"))}},
    {"network.egress", "egress_mode", false,
     {.network = NETWORK(.egress = RULES({.any = true}), .egress_count = 1)}},
    {"network.ingress", "ingress_mode", false,
     {.network = NETWORK(.ingress = RULES({.any = true}), .ingress_count = 1)}},
};

/* Nothing is made, nothing is sent, and the session goes on. */
static void op_refused(api *t, const cws_sandbox_opts *o, cws_status status)
{
    cws_sandbox *sb = (cws_sandbox *)t;
    CHECK_INT(cws_session_sandbox(api_session(t), o, &sb, &t->err), status);
    if (!CHECK(sb == NULL)) cws_sandbox_free(sb);
    CHECK_INT(t->err.status, status);
    CHECK_INT(cws_session_sandbox_count(t->session), 0);
    CHECK_INT(t->s.call_count, 0);
}

static void op_refused_default(api *t, const cws_sandbox_opts *o, cws_status status)
{
    cws_session_opts so;
    cws_session *session = (cws_session *)t;
    memset(&so, 0, sizeof(so));
    so.client = api_client(t);
    so.defaults = o;
    CHECK_INT(cws_session_open(&so, &session, &t->err), status);
    if (!CHECK(session == NULL)) cws_session_free(session);
    CHECK_INT(t->err.status, status);
    CHECK_INT(t->s.call_count, 0);
}

static void op_test_lacks(void)
{
    size_t i, n;
    int b2;
    for (b2 = 0; b2 < 2; b2++) {
        n = b2 ? CWSI_COUNT(op_b2_lacks) : CWSI_COUNT(op_v1_lacks);
        for (i = 0; i < n; i++) {
            const op_lack *row = b2 ? &op_b2_lacks[i] : &op_v1_lacks[i];
            OP_ROW(b2 ? "not in v1beta2" : "not in v1", row->option, i, b2)
            {
                op_refused(t, &row->o, CWS_ERR_UNSUPPORTED);
                HAS(t->err.message, row->option);
                HAS(t->err.message, row->instead);
                HAS(t->err.message, b2 ? "v1beta2" : "v1;");
                op_refused_default(t, &row->o,
                                   row->single ? CWS_ERR_INVALID_ARGUMENT : CWS_ERR_UNSUPPORTED);
                HAS(t->err.message, row->option);
                if (!row->single) HAS(t->err.message, row->instead);
            }
        }
    }
    ONCE("not in v1: filters of a list by profile") {
        cws_list_opts o;
        cws_sandbox_list *list = NULL;
        memset(&o, 0, sizeof(o));
        o.profile_ids = STRINGS("p");
        CHECK_INT(api_list(t, &o, &list), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "profile_ids");
        o.profile_ids = NULL;
        o.profile_names = STRINGS("p");
        CHECK_INT(api_list(t, &o, &list), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "profile_names");
        CHECK_INT(t->s.call_count, 0);
    }
    B2_EACH("the container of a command, a file or logs can not be named") {
        cws_sandbox *sb = op_running(t);
        cws_exec_opts e;
        cws_file_opts f;
        cws_logs_opts l;
        cws_result *r = NULL;
        cws_bytes *bytes = NULL;
        cws_stream *stream = NULL;
        memset(&e, 0, sizeof(e));
        memset(&f, 0, sizeof(f));
        memset(&l, 0, sizeof(l));
        e.container = f.container = l.container = "main";
        CHECK_INT(api_exec(t, sb, api_true, &e, &r), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "container");
        CHECK_INT(api_read(t, sb, "/x", &f, &bytes), CWS_ERR_UNSUPPORTED);
        CHECK_INT(api_write(t, sb, "/x", "a", 1, &f), CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_logs_begin(sb, &l, &stream, &t->err), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "container");
        CHECK_INT(t->s.call_count, 0);
    }
}

/* ---- values that are refused ----------------------------------------------------------------- */

typedef struct op_bad {
    const char *says;
    cws_sandbox_opts o;
} op_bad;

#define HEAD_59 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffff"
#define LABEL_63 HEAD_59 "gggg"
#define NAME_253 LABEL_63 "." LABEL_63 "." LABEL_63 "." HEAD_59 "gg"
#define BAD_RESOURCES(says, ...) {says, {.resources = RESOURCES(__VA_ARGS__)}}
#define BAD_NETWORK(says, ...) {says, {.network = NETWORK(__VA_ARGS__)}}
#define BAD_EGRESS(says, ...)                                                                      \
    {says, {.network = NETWORK(.egress = RULES({.any = true}, __VA_ARGS__), .egress_count = 2)}}
#define BAD_INGRESS(says, ...)                                                                     \
    {says, {.network = NETWORK(.ingress = RULES(__VA_ARGS__), .ingress_count = 1)}}
#define BAD_HOST(name) BAD_NETWORK("network.egress_hostnames[0]", .egress_hostnames = STRINGS(name))
#define BAD_VOLUME(says, ...) {says, {.volumes = VOLUMES(__VA_ARGS__), .volume_count = 1}}
#define BAD_SERVICE(...) {"services[0]", {.services = SERVICES({__VA_ARGS__}), .service_count = 1}}
#define BAD_SECRET(says, ...) {says, {.secrets = SECRETS({__VA_ARGS__}), .secret_count = 1}}
#define BAD_FS(says, ...) {says, {.file_system = &(const cws_file_system){__VA_ARGS__}}}
#define LABEL_64 LABEL_63 "h"
#define BAD_CONTAINER(says, ...)                                                                   \
    {says, {.containers = CONTAINERS({__VA_ARGS__}), .container_count = 1}}
#define BAD_SECURITY(says, ...) {says, {.security = &(const cws_security){__VA_ARGS__}}}
#define BAD_CPU(text) BAD_RESOURCES("cpu", .cpu = text)
#define NO_CHOICE (cws_choice)3

/* In both dialects, but for what the other one lacks: what is wrong is said first. */
static const op_bad op_bads[] = {
    {"must_be_zero", {.must_be_zero = 1}},
    {"container_image", {.container_image = "\xff"}},
    {"command", {.command = "\xc0\x80"}},
    {"args[1]", {.args = STRINGS("a", "\xff")}},
    {"tags[0]", {.tags = STRINGS("")}},
    {"tags[1]", {.tags = STRINGS("a", "b ")}},
    {"tags[0]", {.tags = STRINGS("a.")}},
    {"tags[0]", {.tags = STRINGS("a/b")}},
    {"tags[0]", {.tags = STRINGS(HEAD_59 "g")}},
    {"runner_ids[0]", {.runner_ids = STRINGS(" \t")}},
    {"runner_ids[1]", {.runner_ids = STRINGS("a", "")}},
    {"runner_ids[2]", {.runner_ids = STRINGS("a", "b", "a")}},
    {"runner_ids[0]", {.runner_ids = STRINGS("\xff")}},
    {"environment_variables", {.environment_variables = PAIRS({"", "1"})}},
    {"environment_variables['A=B']", {.environment_variables = PAIRS({"A=B", "1"})}},
    {"environment_variables['A']", {.environment_variables = PAIRS({"A", NULL})}},
    {"environment_variables['A']", {.environment_variables = PAIRS({"A", "\xff"})}},
    {"annotations", {.annotations = PAIRS({"", "1"})}},
    {"annotations['a']", {.annotations = PAIRS({"a", ""})}},
    {"annotations['a']", {.annotations = PAIRS({"a", NULL})}},
    {"mounted_files[0].mount_path", {.mounted_files = FILES({NULL, "a", 1}),
                                     .mounted_file_count = 1}},
    {"mounted_files[0].mount_path", {.mounted_files = FILES({"a", "a", 1}),
                                     .mounted_file_count = 1}},
    {"mounted_files[0].mount_path", {.mounted_files = FILES({"/a/", "a", 1}),
                                     .mounted_file_count = 1}},
    {"mounted_files[0].content", {.mounted_files = FILES({"/a", NULL, 1}),
                                  .mounted_file_count = 1}},
    {"mounted_files", {.mounted_file_count = 1}},
    {"secrets", {.secret_count = 1}},
    BAD_SECRET("secrets[0].store", NULL, "n", NULL, NULL),
    BAD_SECRET("secrets[0].store", "", "n", NULL, NULL),
    BAD_SECRET("secrets[0].name", "s", NULL, NULL, NULL),
    BAD_SECRET("secrets[0].name", "s", "", NULL, NULL),
    BAD_SECRET("secrets[0].env_var", "s", "n", NULL, ""),
    BAD_SECRET("secrets.field", "s", "n", "\xff", NULL),
    {"secrets: 'n' and 'm'", {.secrets = SECRETS({"s", "n", NULL, "V"}, {"s", "m", NULL, "V"}),
                              .secret_count = 2}},
    {"secrets: 'n' and 'n'", {.secrets = SECRETS({"s", "n", NULL, NULL}, {"s", "n", "f", NULL}),
                              .secret_count = 2}},
    {"secrets: 'n' and 'n'", {.secrets = SECRETS({"s", "n", NULL, NULL}, {"t", "n", NULL, NULL}),
                              .secret_count = 2}},
    {"max_lifetime_seconds", {.max_lifetime_seconds = -1}},
    {"max_lifetime_seconds", {.max_lifetime_seconds = 2592001}},
    {"max_timeout_seconds", {.max_timeout_seconds = -1}},
    {"request_timeout_seconds", {.request_timeout_seconds = -1}},
    {"request_timeout_seconds", {.request_timeout_seconds = 1e10}},
    /* 11 to 13: compute */
    BAD_RESOURCES("resources", .cpu = NULL),
    BAD_RESOURCES("resources", .cpu = "1", .request_cpu = "1"),
    BAD_RESOURCES("resources", .memory = "1", .limit_cpu = "1"),
    BAD_RESOURCES("gpu_count", .gpu_count = -1),
    BAD_RESOURCES("gpu_memory_gb", .gpu_memory_gb = -1),
    BAD_RESOURCES("gpu_type", .gpu_type = "H100", .gpu_memory_gb = 80),
    BAD_RESOURCES("resources.gpu_type", .gpu_type = "\xff"),
    BAD_RESOURCES("cpu request", .request_cpu = "2", .limit_cpu = "1"),
    BAD_RESOURCES("cpu request", .request_cpu = "1001m", .limit_cpu = "1"),
    BAD_RESOURCES("memory request", .request_memory = "1Gi", .limit_memory = "1G"),
    BAD_RESOURCES("memory request", .request_memory = "1Ei", .limit_memory = "1E"),
    BAD_RESOURCES("memory", .request_memory = "x", .limit_memory = "1"),
    BAD_RESOURCES("memory", .request_memory = "1", .limit_memory = "x"),
    BAD_CPU(""), BAD_CPU("  "), BAD_CPU("abc"), BAD_CPU("1.2.3Gi"), BAD_CPU("abcM"), BAD_CPU("1e"),
    BAD_CPU("m"), BAD_CPU("5e3Mi"), BAD_CPU("-1"), BAD_CPU("NaN"), BAD_CPU("inf"), BAD_CPU("1_0"),
    BAD_CPU("0x1"), BAD_CPU("1 m"), BAD_CPU("1K"), BAD_CPU("1ki"), BAD_CPU("1mi"), BAD_CPU("."),
    /* network */
    BAD_NETWORK("network.deny_egress", .deny_egress = NO_CHOICE),
    BAD_NETWORK("network.deny_ingress", .deny_ingress = NO_CHOICE),
    BAD_NETWORK("network.allow_dns", .allow_dns = NO_CHOICE),
    BAD_NETWORK("network.egress", .egress_count = 1),
    BAD_NETWORK("network.ingress", .ingress_count = 1),
    BAD_NETWORK("network.exposed_ports", .exposed_port_count = 1),
    BAD_NETWORK("network.exposed_ports", .exposed_ports = INTS(0), .exposed_port_count = 1),
    BAD_NETWORK("network.exposed_ports", .exposed_ports = INTS(1, 65536), .exposed_port_count = 2),
    BAD_NETWORK("network.ingress_mode", .ingress_mode = "\xff"),
    BAD_NETWORK("network.egress_mode", .egress_mode = "\xff"),
    BAD_NETWORK("deny_egress", .deny_egress = CWS_YES, .egress_hostnames = STRINGS("a.b")),
    BAD_NETWORK("deny_egress", .deny_egress = CWS_YES, .egress = RULES({.any = true}),
                .egress_count = 1),
    BAD_NETWORK("deny_ingress", .deny_ingress = CWS_YES, .ingress = RULES({.any = true}),
                .ingress_count = 1),
    BAD_HOST(""), BAD_HOST("*"), BAD_HOST("*."), BAD_HOST("a..b"), BAD_HOST("-a.b"),
    BAD_HOST("a-.b"), BAD_HOST("a_b.c"), BAD_HOST("a.*.b"), BAD_HOST("**.a"), BAD_HOST(".a"),
    BAD_HOST("a."), BAD_HOST("a b"), BAD_HOST("http://a"), BAD_HOST(LABEL_63 "h.a"),
    BAD_HOST(NAME_253 "x"), BAD_HOST("\xc3\xa4.de"),
    BAD_EGRESS("network.egress[1]", {.cidr = NULL}),
    BAD_EGRESS("network.egress[1]", {.cidr = "10.0.0.0/8", .any = true}),
    BAD_EGRESS("network.egress[1]", {.hostname = "a.b", .tenant = CWS_TENANT_SAME_ORG}),
    BAD_EGRESS("network.egress[1]", {.any = true, .pod_labels = PAIRS({"a", "b"})}),
    BAD_EGRESS("network.egress[1]", {.cidr = "10.0.0.1"}),
    BAD_EGRESS("network.egress[1]", {.hostname = "*"}),
    BAD_EGRESS("network.egress[1]", {.hostname = "*.a.b", .hostname_except = STRINGS("*")}),
    BAD_EGRESS("network.egress[1]", {.any = true, .cidr_except = STRINGS("10.0.0.0/8")}),
    BAD_EGRESS("network.egress[1]", {.any = true, .hostname_except = STRINGS("a.b")}),
    BAD_EGRESS("network.egress[1]", {.tenant = (cws_tenant)4}),
    BAD_EGRESS("network.egress[1]", {.pod_labels = PAIRS({"", "b"})}),
    BAD_EGRESS("network.egress[1]", {.any = true, .port_count = 1}),
    BAD_EGRESS("network.egress[1]", {.any = true, .ports = (const cws_port_range[]){{NULL, 0, 0}},
                                     .port_count = 1}),
    BAD_EGRESS("network.egress[1]", {.any = true, .ports = (const cws_port_range[]){{NULL, 9, 8}},
                                     .port_count = 1}),
    BAD_EGRESS("network.egress[1]", {.any = true,
                                     .ports = (const cws_port_range[]){{NULL, 9, 65536}},
                                     .port_count = 1}),
    BAD_INGRESS("network.ingress[0]", {.hostname = "a.b"}),
    BAD_INGRESS("network.ingress[0]", {.pod_labels = PAIRS({"a", "b"})}),
    BAD_INGRESS("network.ingress[0]", {.namespace_labels = PAIRS({"a", "b"})}),
    BAD_INGRESS("network.ingress[0]", {.cidr = NULL}),
    /* 9: services, ports */
    {"services", {.service_count = 1}},
    BAD_SERVICE(.port = 0), BAD_SERVICE(.port = 65536), BAD_SERVICE(.port = -1),
    BAD_SERVICE(.port = 1, .name = "\xff"),
    BAD_SERVICE(.port = 1, .protocol = (cws_service_protocol)4),
    BAD_SERVICE(.port = 1, .visibility = (cws_visibility)4),
    BAD_SERVICE(.port = 1, .endpoint = (cws_endpoint)3),
    BAD_SERVICE(.port = 1, .visibility = CWS_VISIBILITY_PUBLIC, .endpoint = CWS_ENDPOINT_HTTPS,
                .auth = (cws_endpoint_auth)3),
    BAD_SERVICE(.port = 1, .visibility = CWS_VISIBILITY_PUBLIC, .endpoint = CWS_ENDPOINT_HTTPS),
    BAD_SERVICE(.port = 1, .endpoint = CWS_ENDPOINT_HTTPS, .auth = CWS_ENDPOINT_AUTH_OPEN),
    BAD_SERVICE(.port = 1, .visibility = CWS_VISIBILITY_PRIVATE, .endpoint = CWS_ENDPOINT_HTTPS,
                .auth = CWS_ENDPOINT_AUTH_OPEN),
    BAD_SERVICE(.port = 1, .visibility = CWS_VISIBILITY_PUBLIC, .protocol = CWS_SERVICE_UDP,
                .endpoint = CWS_ENDPOINT_HTTPS, .auth = CWS_ENDPOINT_AUTH_OPEN),
    BAD_SERVICE(.port = 1, .auth = CWS_ENDPOINT_AUTH_OPEN),
    BAD_SERVICE(.port = 1, .request_timeout_seconds = 20),
    BAD_SERVICE(.port = 1, .visibility = CWS_VISIBILITY_PUBLIC, .endpoint = CWS_ENDPOINT_HTTPS,
                .auth = CWS_ENDPOINT_AUTH_OPEN, .request_timeout_seconds = -1),
    BAD_SERVICE(.port = 1, .visibility = CWS_VISIBILITY_PUBLIC,
                .endpoint = CWS_ENDPOINT_TLS_PASSTHROUGH, .request_timeout_seconds = 20),
    /* API reference 6.2: with TLS passthrough auth must be unset. It is sent. */
    BAD_SERVICE(.port = 1, .visibility = CWS_VISIBILITY_PUBLIC,
                .endpoint = CWS_ENDPOINT_TLS_PASSTHROUGH, .auth = CWS_ENDPOINT_AUTH_OPEN),
    {"ports", {.port_count = 1}},
    {"ports.container_port", {.ports = PORTS({0, NULL, NULL}), .port_count = 1}},
    {"ports.container_port", {.ports = PORTS({65536, NULL, NULL}), .port_count = 1}},
    {"ports.name", {.ports = PORTS({1, "\xff", NULL}), .port_count = 1}},
    {"ports.protocol", {.ports = PORTS({1, NULL, "\xff"}), .port_count = 1}},
    /* storage */
    {"volumes", {.volume_count = 1}},
    BAD_VOLUME("volumes[0]", {.name = "v"}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "/"}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "//"}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "v"}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "/v", .size = "big"}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "/v", .medium = (cws_storage_medium)3}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "/v", .volume_id = ""}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "/v", .volume_id = "i", .size = "1Gi"}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "/v", .volume_id = "i",
                              .medium = CWS_STORAGE_DISK}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "/v", .volume_id = "i",
                              .restore_from_snapshot_id = "s"}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "x", .volume_id = "i"}),
    BAD_VOLUME("volumes[0]", {.name = "\xff", .mount_path = "/v"}),
    BAD_VOLUME("volumes[0]", {.name = "v", .mount_path = "/v", .sub_path = "\xff"}),
    BAD_FS("file_system.mount_path", .mount_path = NULL),
    BAD_FS("file_system.mount_path", .mount_path = ""),
    BAD_FS("file_system.mount_path", .mount_path = "/"),
    BAD_FS("file_system.mount_path", .mount_path = "a"),
    BAD_FS("file_system.size", .mount_path = "/a", .size = "1Xi"),
    BAD_FS("file_system.snapshot_id", .mount_path = "/a", .snapshot_id = "\xff"),
    BAD_FS("file_system.name", .mount_path = "/a", .name = "\xff"),
    {"s3_mount.bucket", {.s3_mount = &(const cws_s3_mount){NULL, NULL, "/a"}}},
    {"s3_mount.bucket", {.s3_mount = &(const cws_s3_mount){"", NULL, "/a"}}},
    {"s3_mount.mount_path", {.s3_mount = &(const cws_s3_mount){"b", NULL, NULL}}},
    {"s3_mount.mount_path", {.s3_mount = &(const cws_s3_mount){"b", NULL, "/"}}},
    {"s3_mount.directory", {.s3_mount = &(const cws_s3_mount){"b", "\xff", "/a"}}},
    {"object_storage.buckets", {.object_storage = &(const cws_object_storage){NULL, false, NULL}}},
    {"object_storage.buckets", {.object_storage = &(const cws_object_storage){NO_STRINGS, false,
                                                                              NULL}}},
    {"object_storage.object_prefix",
     {.object_storage = &(const cws_object_storage){STRINGS("b"), false, "\xff"}}},
    /* the container */
    {"placement", {.placement = (cws_placement)3}},
    {"profile_ids[0]", {.profile_ids = STRINGS("\xff")}},
    {"profile_names[0]", {.profile_names = STRINGS("\xff")}},
    {"working_dir", {.working_dir = "w"}},
    {"working_dir", {.working_dir = ""}},
    {"instance_type", {.instance_type = "\xff"}},
    {"runtime_class", {.runtime_class = "\xff"}},
    {"display_name", {.display_name = "\xff"}},
    {"image_credentials.registry",
     {.image_credentials = &(const cws_image_credentials){"", "s", "n", NULL}}},
    {"image_credentials.store",
     {.image_credentials = &(const cws_image_credentials){"r", NULL, "n", NULL}}},
    {"image_credentials.name",
     {.image_credentials = &(const cws_image_credentials){"r", "s", "", NULL}}},
    BAD_SECURITY("security.set_user", .set_user = NO_CHOICE),
    BAD_SECURITY("security.set_group", .set_group = NO_CHOICE),
    BAD_SECURITY("security.privileged", .privileged = NO_CHOICE),
    BAD_SECURITY("security.allow_privilege_escalation", .allow_privilege_escalation = NO_CHOICE),
    BAD_SECURITY("security.read_only_root_filesystem", .read_only_root_filesystem = NO_CHOICE),
    BAD_SECURITY("security.capabilities_add", .capabilities_add = STRINGS("\xff")),
    BAD_SECURITY("security.capabilities_drop", .capabilities_drop = STRINGS("\xff")),
    BAD_SECURITY("security.seccomp_profile", .seccomp_profile = "\xff"),
    {"startup_probe.argv", {.startup_probe = &(const cws_probe){.argv = NULL}}},
    {"startup_probe.argv", {.startup_probe = &(const cws_probe){.argv = NO_STRINGS}}},
    {"startup_probe", {.startup_probe = &(const cws_probe){STRINGS("a"), -1, 0, 0, 0}}},
    {"startup_probe", {.startup_probe = &(const cws_probe){STRINGS("a"), 0, -1, 0, 0}}},
    {"startup_probe", {.startup_probe = &(const cws_probe){STRINGS("a"), 0, 0, -1, 0}}},
    {"startup_probe", {.startup_probe = &(const cws_probe){STRINGS("a"), 0, 0, 0, -1}}},
};

/* Further containers, which no session has as a default. */
static const op_bad op_bad_containers[] = {
    {"containers", {.container_count = 1}},
    BAD_CONTAINER("containers[0].name", .image = "i"),
    BAD_CONTAINER("containers[0].name", .name = "", .image = "i"),
    BAD_CONTAINER("containers[0].name", .name = "main", .image = "i"),
    BAD_CONTAINER("containers[0].name", .name = "-a", .image = "i"),
    BAD_CONTAINER("containers[0].name", .name = "a-", .image = "i"),
    BAD_CONTAINER("containers[0].name", .name = "A", .image = "i"),
    BAD_CONTAINER("containers[0].name", .name = "a_b", .image = "i"),
    BAD_CONTAINER("containers[0].name", .name = LABEL_64, .image = "i"),
    {"containers[1].name",
     {.containers = CONTAINERS({.name = "a", .image = "i"}, {.name = "a", .image = "i"}),
      .container_count = 2}},
    BAD_CONTAINER("containers[0].image", .name = "a"),
    BAD_CONTAINER("containers[0].image", .name = "a", .image = ""),
    BAD_CONTAINER("containers[0].", .name = "a", .image = "\xff"),
    BAD_CONTAINER("containers[0].args", .name = "a", .image = "i", .args = STRINGS("x")),
    BAD_CONTAINER("containers[0].resources", .name = "a", .image = "i",
                  .resources = RESOURCES(.cpu = "1", .gpu_count = 1)),
    BAD_CONTAINER("containers[0].", .name = "a", .image = "i", .resources = RESOURCES(.cpu = "x")),
    BAD_CONTAINER("containers[0].working_dir", .name = "a", .image = "i", .working_dir = "w"),
    BAD_CONTAINER("containers[0].mounts", .name = "a", .image = "i", .mount_count = 1),
    BAD_CONTAINER("containers[0].mounts", .name = "a", .image = "i",
                  .mounts = (const cws_mount[]){{"", "/m", NULL, false}}, .mount_count = 1),
    BAD_CONTAINER("containers[0].mounts", .name = "a", .image = "i",
                  .mounts = (const cws_mount[]){{"v", "m", NULL, false}}, .mount_count = 1),
    BAD_CONTAINER("containers[0].secrets", .name = "a", .image = "i", .secret_count = 1),
    BAD_CONTAINER("containers[0].mounted_files", .name = "a", .image = "i",
                  .mounted_file_count = 1),
    BAD_CONTAINER("containers[0].startup_probe", .name = "a", .image = "i",
                  .startup_probe = &(const cws_probe){.argv = NULL}),
};

/* What only one dialect refuses, or only the union of defaults and own options. */
typedef struct op_clash {
    const char *says;
    bool b2;
    cws_sandbox_opts defaults, own;
} op_clash;

static const op_clash op_clashes[] = {
    {"volumes[0].name", false, {.tags = NULL},
     {.volumes = VOLUMES({.mount_path = "/v"}), .volume_count = 1}},
    {"volumes[0].name", false, {.tags = NULL},
     {.volumes = VOLUMES({.name = "", .volume_id = "i"}), .volume_count = 1}},
    {"volumes[1].mount_path", true, {.tags = NULL},
     {.volumes = VOLUMES({.volume_id = "i", .mount_path = "/i"}, {.volume_id = "j"}),
      .volume_count = 2}},
    {"runner_ids", false, {.tags = NULL},
     {.runner_ids = STRINGS("r"), .placement = CWS_PLACEMENT_SERVERLESS}},
    {"runner_ids", false, {.placement = CWS_PLACEMENT_SERVERLESS}, {.runner_ids = STRINGS("r")}},
    {"runner_ids", false, {.runner_ids = STRINGS("r")}, {.placement = CWS_PLACEMENT_SERVERLESS}},
    {"secrets: 'n' and 'm'", true,
     {.secrets = SECRETS({"s", "n", NULL, "V"}), .secret_count = 1},
     {.secrets = SECRETS({"s", "m", NULL, "V"}), .secret_count = 1}},
    {"secrets: 'n' and 'm'", false,
     {.secrets = SECRETS({"s", "n", NULL, "V"}), .secret_count = 1},
     {.secrets = SECRETS({"s", "m", NULL, "V"}), .secret_count = 1}}};

static const char *const *op_names(char (*room)[8], const char **list, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        (void)snprintf(room[i], sizeof(room[i]), "n%u", (unsigned)i);
        list[i] = room[i];
    }
    list[count] = NULL;
    return list;
}

/* These options are taken, and this is in the request. */
TEST_FN void op_takes(api *t, const cws_sandbox_opts *o, const char *part)
{
    cws_sandbox *sb = NULL;
    CHECK_INT(cws_session_sandbox(api_session(t), o, &sb, &t->err), CWS_OK);
    if (!sb) return;
    t->boxes[t->box_count++] = sb;
    op_ok(t, t->s.b2 ? "Start" : "CreateSandbox", "{'sandboxId':'sb-1'}");
    CHECK_INT(api_start(t, sb), CWS_OK);
    HAS(t->s.calls[0].json, part);
}

static void op_test_bad(void)
{
    size_t i;
    int b2;
    for (b2 = 0; b2 < 2; b2++)
        for (i = 0; i < CWSI_COUNT(op_bads); i++)
            OP_ROW(b2 ? "refused by v1beta2" : "refused by v1", op_bads[i].says, i, b2)
            {
                op_refused(t, &op_bads[i].o, CWS_ERR_INVALID_ARGUMENT);
                HAS(t->err.message, op_bads[i].says);
                op_refused_default(t, &op_bads[i].o, CWS_ERR_INVALID_ARGUMENT);
                HAS(t->err.message, op_bads[i].says);
            }
    for (i = 0; i < CWSI_COUNT(op_bad_containers); i++)
        OP_ROW("refused by v1", op_bad_containers[i].says, i, false)
        {
            op_refused(t, &op_bad_containers[i].o, CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, op_bad_containers[i].says);
            op_refused_default(t, &op_bad_containers[i].o, CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "containers");
        }
    for (i = 0; i < CWSI_COUNT(op_clashes); i++)
        OP_ROW("refused together", op_clashes[i].says, i, op_clashes[i].b2)
        {
            t->defaults = op_clashes[i].defaults;
            op_refused(t, &op_clashes[i].own, CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, op_clashes[i].says);
        }
    ONCE("13: quantities that are right, also on both sides") {
        static const char *const good[] = {"100", "0.5", "100m", "1000m", "1Ki", "1Mi", "1Gi",
                                           "1Ti", "1Pi", "1Ei", "1k", "1M", "1G", "1T", "1P", "1E",
                                           "0", "1e3", " 2Gi ", "1E3", "1.", ".5", "+1"};
        cws_resources r;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        for (i = 0; i < CWSI_COUNT(good); i++) {
            memset(&r, 0, sizeof(r));
            r.request_cpu = r.limit_cpu = r.request_memory = r.limit_memory = good[i];
            (void)api_box(t, &o);
        }
    }
    ONCE("not a number of seconds") {
        cws_sandbox_opts o;
        volatile double zero = 0;
        memset(&o, 0, sizeof(o));
        o.request_timeout_seconds = zero / zero;
        op_refused(t, &o, CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "request_timeout_seconds");
        o.request_timeout_seconds = 1 / zero;
        op_refused(t, &o, CWS_ERR_INVALID_ARGUMENT);
    }
    ONCE("100 annotations, 100 runner_ids and 50 secrets are the most") {
        static char room[101][8];
        const char *list[102];
        cws_pair pairs[102];
        cws_secret secrets[51];
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        memset(pairs, 0, sizeof(pairs));
        memset(secrets, 0, sizeof(secrets));
        o.runner_ids = op_names(room, list, 101);
        op_refused(t, &o, CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "runner_ids");
        for (i = 0; i < 101; i++) pairs[i].key = pairs[i].value = list[i];
        memset(&o, 0, sizeof(o));
        o.annotations = pairs;
        op_refused(t, &o, CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "annotations");
        for (i = 0; i < 51; i++) secrets[i].store = secrets[i].name = list[i];
        memset(&o, 0, sizeof(o));
        o.secrets = secrets;
        o.secret_count = 51;
        op_refused(t, &o, CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "secrets");
        list[100] = pairs[100].key = NULL;
        o.runner_ids = list;
        o.annotations = pairs;
        o.secret_count = 50;
        (void)api_box(t, &o);
    }
    ONCE("10: a host name of 253 characters, with labels of 63") {
        cws_network n;
        cws_sandbox_opts o;
        cws_error err;
        memset(&n, 0, sizeof(n));
        memset(&o, 0, sizeof(o));
        n.egress_hostnames = STRINGS(NAME_253);
        o.network = &n;
        CHECK_INT(strlen(NAME_253), 253);
        CHECK_INT(cwsi_check_sandbox_opts(&err, &o), CWS_OK);
    }
    ONCE("10: names of hosts are trimmed and in lower case when they are sent") {
        op_takes(t, &(const cws_sandbox_opts){.network = NETWORK(.egress_hostnames =
                                                                     STRINGS(" PyPI.org "))},
                 "\"pypi.org\"");
    }
    ONCE("scratch in memory may have a size in percent (API reference 7)") {
        op_takes(t, &(const cws_sandbox_opts){.volumes = VOLUMES({.name = "v", .mount_path = "/v",
                                                                  .size = "50%",
                                                                  .medium = CWS_STORAGE_MEMORY}),
                                              .volume_count = 1},
                 "\"50%\"");
    }
}

/* ---- v1beta2: states, start ------------------------------------------------------------------ */

static const cws_state op_b2_states[] = {
    CWS_STATE_UNSPECIFIED, CWS_STATE_CREATING, CWS_STATE_RUNNING, CWS_STATE_COMPLETED,
    CWS_STATE_FAILED, CWS_STATE_TERMINATED, CWS_STATE_PENDING, CWS_STATE_PAUSED,
    CWS_STATE_UNSPECIFIED, CWS_STATE_TERMINATING, CWS_STATE_UNSPECIFIED};
static const cws_state op_v1_states[] = {
    CWS_STATE_UNSPECIFIED, CWS_STATE_CREATING, CWS_STATE_RUNNING, CWS_STATE_COMPLETED,
    CWS_STATE_FAILED, CWS_STATE_TERMINATING, CWS_STATE_TERMINATED, CWS_STATE_PENDING,
    CWS_STATE_PAUSED, CWS_STATE_PREPARING, CWS_STATE_UNSPECIFIED};

static const char *op_state_reply(api *t, int number)
{
    char json[100];
    (void)snprintf(json, sizeof(json),
                   t->s.b2 ? "{'sandboxId':'sb-1','sandboxStatus':%d}"
                           : "{'sandboxId':'sb-1','status':{'state':%d}}",
                   number);
    return script_text(&t->s, json);
}

static void op_test_states(void)
{
    static const int more[] = {11, 42, 2147483647, -1};
    int b2, i;
    for (b2 = 0; b2 < 2; b2++)
        for (i = 0; i < 15; i++) {
            int number = i < 11 ? i : more[i - 11];
            cws_state state = i >= 11 ? CWS_STATE_UNSPECIFIED
                              : b2    ? op_b2_states[i]
                                      : op_v1_states[i];
            char name[40];
            (void)snprintf(name, sizeof(name), "31: state number %d", number);
            OP_ROW(b2 ? "v1beta2" : "v1", name, (size_t)i, b2)
            {
                cws_sandbox *sb = op_found(t, op_state_reply(t, number));
                CHECK_INT(cws_sandbox_state(sb), state);
                CHECK_INT(cws_sandbox_get_info(sb)->state_number, number);
            }
        }
    B2_EACH("31: numbers that are newer than this header are waited through") {
        cws_sandbox *sb = op_started(t);
        op_ok(t, "Get", op_state_reply(t, 8));
        op_ok(t, "Get", op_state_reply(t, 10));
        op_ok(t, "Get", op_state_reply(t, 4711));
        op_ok(t, "Get", B2_GET("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(script_count(&t->s, "Get"), 4);
        IS("Get", 0, "{'sandboxId':'sb-1'}");
    }
    B2_EACH("32: a status of 0 while polling is a clean end") {
        cws_sandbox *sb = op_started(t);
        op_ok(t, "Get", "{'sandboxId':'sb-1'}"); /* nobody looks for an exit code */
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK(!cws_sandbox_get_info(sb)->has_exit_code);
    }
    B2_EACH("33: the exit code of a Get, 0 included") {
        cws_sandbox *sb = op_running(t);
        op_ok(t, "Get", "{'sandboxId':'sb-1','sandboxStatus':'SANDBOX_STATUS_COMPLETED',"
                        "'exitCode':0}");
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK(cws_sandbox_get_info(sb)->has_exit_code);
        CHECK_INT(cws_sandbox_get_info(sb)->exit_code, 0);
    }
    B2_EACH("38: FAILED tells its reason, TERMINATED is told apart") {
        cws_sandbox *sb = op_started(t);
        op_ok(t, "Get", "{'sandboxId':'sb-1','sandboxStatus':'SANDBOX_STATUS_FAILED',"
                        "'statusReason':'no such image'}");
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_FAILED);
        HAS(t->err.message, "no such image");
        sb = op_started(t);
        op_ok(t, "Get", B2_GET("TERMINATED"));
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_TERMINATED);
    }
}

static void op_test_start(void)
{
    static const char *const codes[] = {"unavailable", "deadline_exceeded", "internal", "unknown",
                                        "aborted", "resource_exhausted", "canceled"};
    static const cws_end ends[] = {CWS_END_LOST, CWS_END_RESET, CWS_END_TIMEOUT, CWS_END_PROTOCOL};
    size_t i;
    for (i = 0; i < CWSI_COUNT(codes) + CWSI_COUNT(ends); i++)
        OP_ROW("26, v1beta2: a Start is not repeated, a later one is another",
               i < CWSI_COUNT(codes) ? codes[i] : "the connection", i, true)
        {
            cws_sandbox *sb = api_box(t, NULL);
            int64_t now = t->s.now;
            if (i < CWSI_COUNT(codes)) script_error(&t->s, "Start", codes[i], "why", NULL);
            else script_end(&t->s, "Start", ends[i - CWSI_COUNT(codes)]);
            CHECK(api_start(t, sb) != CWS_OK);
            CHECK_INT(t->s.call_count, 1);
            CHECK_INT(t->s.now, now);
            CHECK_STR(cws_sandbox_id(sb), "");
            CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
            op_ok(t, "Start", STARTED);
            CHECK_INT(api_start(t, sb), CWS_OK);
            CHECK_INT(t->s.call_count, 2);
            CHECK_STR(cws_sandbox_id(sb), "sb-1");
            CHECK_STR(script_json(&t->s, "Start", 1), script_json(&t->s, "Start", 0));
            CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PENDING);
        }
    B2_EACH("26: a Start that surely did not arrive is repeated") {
        cws_sandbox *sb = api_box(t, NULL);
        script_end(&t->s, "Start", CWS_END_NOT_SENT);
        op_ok(t, "Start", STARTED);
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_INT(t->s.call_count, 2);
    }
    B2_EACH("26: a start in doubt is said in the log; a stop then has nothing to stop") {
        cws_sandbox *sb = api_box(t, NULL);
        script_end(&t->s, "Start", CWS_END_LOST);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        HAS(t->said, "a sandbox may exist until its lifetime ends");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        CHECK_STR(script_calls(&t->s), "Start");
    }
    B2_EACH("26: CANCELLED is not running; a Start times out with the request timeout") {
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.request_timeout_seconds = 7;
        script_error(&t->s, "Start", "canceled", "why", NULL);
        CHECK_INT(api_start(t, api_box(t, &o)), CWS_ERR_NOT_RUNNING);
        CHECK_INT(script_call_at(&t->s, "Start", 0)->timeout_ms, 7000);
        script_never(&t->s, "Start");
        CHECK_INT(api_start(t, api_box(t, &o)), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(script_count(&t->s, "Start"), 2);
    }
    B2_EACH("a reply without an id, or with one that is too long, is no sandbox") {
        char json[300];
        op_ok(t, "Start", "{'sandboxStatus':'SANDBOX_STATUS_RUNNING'}");
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_PROTOCOL);
        (void)snprintf(json, sizeof(json), "{'sandboxId':'%0200d'}", 1);
        op_ok(t, "Start", json);
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_PROTOCOL);
    }
    ONCE("the dialect by the environment; a name that is none is refused") {
        (void)setenv("CWSANDBOX_API_VERSION", "v1beta2", 1);
        t->copts.no_environment = false;
        t->s.b2 = true;
        (void)op_started(t);
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

/* ---- v1beta2: stop, delete, close ------------------------------------------------------------ */

#define ACCEPTED "{'success':true}"

static void op_test_stop(void)
{
    static const struct {
        double grace;
        int seconds;
    } graces[] = {{0, 10}, {CWS_NONE, 0}, {1, 1}, {0.5, 1}, {10.2, 11}, {45, 45}, {86400, 86400}};
    size_t i;
    for (i = 0; i < CWSI_COUNT(graces); i++)
        OP_ROW("v1beta2", "11.4: grace, its limit at the server, and the deadline", i, true)
        {
            cws_sandbox *sb = op_running(t);
            cws_stop_opts o;
            char json[200];
            int s = graces[i].seconds;
            memset(&o, 0, sizeof(o));
            o.graceful_shutdown_seconds = graces[i].grace;
            op_ok(t, "Stop", ACCEPTED);
            op_ok(t, "Get", B2_GET("TERMINATING"));
            op_ok(t, "Get", B2_GET("COMPLETED"));
            CHECK_INT(api_stop(t, sb, &o), CWS_OK);
            if (s)
                (void)snprintf(json, sizeof(json), "{'sandboxId':'sb-1',"
                               "'gracefulShutdownSeconds':%d,'maxTimeoutSeconds':%d}", s, s + 5);
            else (void)snprintf(json, sizeof(json), "{'sandboxId':'sb-1','maxTimeoutSeconds':5}");
            IS("Stop", 0, json);
            CHECK_INT(script_call_at(&t->s, "Stop", 0)->timeout_ms, (s + 10) * 1000LL);
            CHECK_STR(script_calls(&t->s), "Stop Get Get");
            CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
            CHECK_INT(cws_session_sandbox_count(t->session), 0); /* 21 */
        }
    B2_EACH("48: a stop that says no is an error with the server's text, and may be repeated") {
        cws_sandbox *sb = op_running(t);
        op_ok(t, "Stop", "{'errorMessage':'it does not want to'}");
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_SANDBOX);
        HAS(t->err.message, "it does not want to");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        op_ok(t, "Stop", "{}");
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_SANDBOX);
        HAS(t->err.message, "unknown error");
        op_ok(t, "Stop", ACCEPTED);
        op_ok(t, "Get", B2_GET("FAILED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK); /* idempotent */
        CHECK_STR(script_calls(&t->s), "Stop Stop Stop Get");
    }
    B2_EACH("48: never started: no call, and it can not be started any more") {
        cws_sandbox *sb = api_box(t, NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_NOT_RUNNING);
        CHECK_INT(t->s.call_count, 0);
    }
    B2_EACH("49: not found, by code and by reason, with and without missing_ok") {
        static const char *const codes[] = {"not_found", "internal", "failed_precondition"};
        cws_stop_opts o;
        size_t k;
        memset(&o, 0, sizeof(o));
        for (k = 0; k < 6; k++) {
            cws_sandbox *sb = op_running(t);
            const char *why =
                k % 3 ? script_reason(&t->s, "CWSANDBOX_SANDBOX_NOT_FOUND", "cwsandbox.com") : NULL;
            o.missing_ok = k < 3;
            script_error(&t->s, "Stop", codes[k % 3], "gone", why);
            CHECK_INT(api_stop(t, sb, &o), k < 3 ? CWS_OK : CWS_ERR_NOT_FOUND);
            CHECK_INT(cws_sandbox_state(sb), k < 3 ? CWS_STATE_TERMINATED : CWS_STATE_RUNNING);
            CHECK_STR(script_calls(&t->s), "Stop");
            script_error(&t->s, "Delete", codes[k % 3], "gone", why);
            CHECK_INT(api_delete(t, "sb-9", k < 3), k < 3 ? CWS_OK : CWS_ERR_NOT_FOUND);
        }
        script_error(&t->s, "Delete", "internal", "gone", NULL);
        CHECK_INT(api_delete(t, "sb-9", true), CWS_ERR_SANDBOX);
    }
    B2_EACH("55: delete by id is Delete, and may say no") {
        op_ok(t, "Delete", ACCEPTED);
        CHECK_INT(api_delete(t, "sb-9", false), CWS_OK);
        IS("Delete", 0, "{'sandboxId':'sb-9'}");
        op_ok(t, "Delete", "{'errorMessage':'because'}");
        CHECK_INT(api_delete(t, "sb-9", true), CWS_ERR_SANDBOX);
        HAS(t->err.message, "because");
        CHECK_STR(t->err.sandbox_id, "sb-9");
        CHECK_STR(script_calls(&t->s), "Delete Delete");
    }
    B2_EACH("55: a Delete in doubt is repeated; then NOT_FOUND says that it is done") {
        script_end(&t->s, "Delete", CWS_END_LOST);
        script_error(&t->s, "Delete", "not_found", "gone", NULL);
        CHECK_INT(api_delete(t, "sb-9", false), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Delete Delete");
    }
    B2_EACH("48: a Stop in doubt is repeated; then NOT_FOUND says that it is done") {
        cws_sandbox *sb = op_running(t);
        script_end(&t->s, "Stop", CWS_END_LOST);
        script_error(&t->s, "Stop", "not_found", "gone", NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Stop Stop");
        CHECK_STR(script_json(&t->s, "Stop", 1), script_json(&t->s, "Stop", 0));
    }
    B2_EACH("48: a Stop that never answers ends, and leaves the sandbox as it was") {
        cws_sandbox *sb = op_running(t);
        script_never(&t->s, "Stop")->times = -1;
        CHECK(api_stop(t, sb, NULL) != CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    B2_EACH("46: gone right behind an accepted stop is looked for once more") {
        cws_sandbox *sb = op_running(t);
        op_ok(t, "Stop", ACCEPTED);
        script_error(&t->s, "Get", "not_found", "gone", NULL);
        op_ok(t, "Get", B2_GET("COMPLETED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Stop Get Get");
    }
    B2_EACH("19, 20: close stops all, goes on after one that says no, and tells which") {
        const cws_sandbox *failed = NULL;
        cws_sandbox *never = api_box(t, NULL), *a = op_running(t);
        (void)op_running(t);
        op_ok(t, "Stop", "{'errorMessage':'not me'}");
        op_ok(t, "Stop", ACCEPTED);
        op_ok(t, "Get", B2_GET("COMPLETED"));
        CHECK_INT(cws_session_sandbox_count(t->session), 3);
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK_INT(script_count(&t->s, "Stop"), 2);
        CHECK(cws_session_failed(t->session, 0, &failed, NULL));
        CHECK(failed == a);
        CHECK(!cws_session_failed(t->session, 1, NULL, NULL));
        CHECK_INT(api_start(t, never), CWS_ERR_NOT_RUNNING);
        op_ok(t, "Stop", ACCEPTED);
        op_ok(t, "Get", B2_GET("COMPLETED"));
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(script_count(&t->s, "Stop"), 3);
    }
}

/* ---- v1beta2: list, from_id ------------------------------------------------------------------ */

static void op_test_list(void)
{
    B2_EACH("22: no filter; the session's tags and selectors; own ones replace or clear") {
        cws_list_opts o;
        cws_sandbox_list *list = NULL;
        t->defaults.tags = STRINGS("d");
        t->defaults.profile_ids = STRINGS("p0");
        t->defaults.runner_ids = STRINGS("r0");
        op_ok(t, "List", "{}")->times = 4;
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        CHECK_INT(cws_sandbox_list_count(list), 0);
        cws_sandbox_list_free(list);
        IS("List", 0, "{'tags':['d'],'profileIds':['p0'],'runnerIds':['r0']}");
        memset(&o, 0, sizeof(o));
        o.tags = STRINGS("a", "b");
        o.profile_ids = STRINGS("p1", "p2");
        o.profile_names = STRINGS("n1");
        o.runner_ids = STRINGS("r1");
        o.status = CWS_STATE_RUNNING;
        o.include_stopped = true;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandbox_list_free(list);
        IS("List", 1, "{'tags':['d','a','b'],'status':'SANDBOX_STATUS_RUNNING','profileIds':"
                      "['p1','p2'],'runnerIds':['r1'],'includeStopped':true,"
                      "'profileNames':['n1']}");
        memset(&o, 0, sizeof(o));
        o.profile_ids = o.runner_ids = NO_STRINGS;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandbox_list_free(list);
        IS("List", 2, "{'tags':['d']}");
        o.timeout_seconds = 3;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandbox_list_free(list);
        CHECK_INT(script_call_at(&t->s, "List", 3)->timeout_ms, 3000);
    }
    B2_EACH("54: each state as a filter") {
        static const struct {
            cws_state state;
            const char *json;
        } states[] = {{CWS_STATE_CREATING, "{'status':'SANDBOX_STATUS_CREATING'}"},
                      {CWS_STATE_RUNNING, "{'status':'SANDBOX_STATUS_RUNNING'}"},
                      {CWS_STATE_PENDING, "{'status':'SANDBOX_STATUS_PENDING'}"},
                      {CWS_STATE_PAUSED, "{'status':'SANDBOX_STATUS_PAUSED'}"},
                      {CWS_STATE_TERMINATING, "{'status':'SANDBOX_STATUS_TERMINATING'}"},
                      {CWS_STATE_COMPLETED,
                       "{'status':'SANDBOX_STATUS_COMPLETED','includeStopped':true}"},
                      {CWS_STATE_FAILED,
                       "{'status':'SANDBOX_STATUS_FAILED','includeStopped':true}"},
                      {CWS_STATE_TERMINATED,
                       "{'status':'SANDBOX_STATUS_TERMINATED','includeStopped':true}"},
                      {CWS_STATE_NOT_STARTED, "{}"}};
        cws_list_opts o;
        size_t i;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < CWSI_COUNT(states); i++) {
            cws_sandbox_list *list = NULL;
            op_ok(t, "List", "{}");
            o.status = states[i].state;
            CHECK_INT(api_list(t, &o, &list), CWS_OK);
            cws_sandbox_list_free(list);
            IS("List", i, states[i].json);
        }
    }
    B2_EACH("a filter by a state that the dialect does not have is refused, not dropped") {
        cws_list_opts o;
        cws_sandbox_list *list = NULL;
        memset(&o, 0, sizeof(o));
        o.status = CWS_STATE_PREPARING; /* a list of everything is not what was asked for */
        CHECK_INT(api_list(t, &o, &list), CWS_ERR_UNSUPPORTED);
        cws_sandbox_list_free(list);
    }
    B2_EACH("54: pages; elements are attached, with what a list tells") {
        cws_sandbox_list *list = NULL;
        cws_list_opts o;
        const cws_sandbox_info *info;
        memset(&o, 0, sizeof(o));
        o.adopt = true;
        op_ok(t, "List", "{'sandboxes':[{'sandboxId':'a','sandboxStatus':'SANDBOX_STATUS_RUNNING',"
                         "'runnerId':'r','runnerGroupId':'g','startedAtTime':"
                         "'2026-01-02T03:04:05Z'},{'sandboxStatus':2}],'nextPageToken':'p2'}");
        op_ok(t, "List", "{'sandboxes':[{'sandboxId':'b','sandboxStatus':"
                         "'SANDBOX_STATUS_COMPLETED'}]}");
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        IS("List", 1, "{'pageToken':'p2'}");
        if (CHECK_INT(cws_sandbox_list_count(list), 2)) {
            info = cws_sandbox_get_info(cws_sandbox_list_at(list, 0));
            CHECK_STR(info->sandbox_id, "a");
            CHECK_STR(info->runner_id, "r");
            CHECK_STR(info->runner_group_id, "g");
            CHECK_INT(info->start_unix_ms, 1767323045000);
            CHECK_INT(info->state, CWS_STATE_RUNNING);
            CHECK_INT(cws_sandbox_state(cws_sandbox_list_at(list, 1)), CWS_STATE_COMPLETED);
        }
        CHECK_INT(cws_session_sandbox_count(t->session), 2);
        cws_sandbox_list_free(list);
        op_ok(t, "List", "{'nextPageToken':'x'}")->times = 2;
        CHECK_INT(api_list(t, NULL, &list), CWS_ERR_PROTOCOL); /* a token that comes again */
    }
    B2_EACH("22, 55: from_id adopts unless told not to; not found") {
        cws_sandbox *sb = NULL;
        op_ok(t, "Get", B2_GET("RUNNING"))->times = 2;
        CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
        IS("Get", 0, "{'sandboxId':'sb-1'}");
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_from_id(t, "sb-1", false, &sb), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        script_error(&t->s, "Get", "not_found", "no", NULL);
        CHECK_INT(api_from_id(t, "sb-2", false, &sb), CWS_ERR_NOT_FOUND);
        CHECK_STR(t->err.sandbox_id, "sb-2");
    }
    B2_EACH("34: get_status asks once, and an ended sandbox from memory") {
        cws_sandbox *sb = op_running(t);
        cws_state state = CWS_STATE_NOT_STARTED;
        op_ok(t, "Get", B2_GET("PAUSED"));
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_PAUSED);
        CHECK_INT(script_call_at(&t->s, "Get", 0)->timeout_ms, 15000);
        op_ok(t, "Get", B2_GET("COMPLETED"));
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_COMPLETED);
        CHECK_INT(script_count(&t->s, "Get"), 2);
    }
}

/* ---- v1beta2: files -------------------------------------------------------------------------- */

static void op_test_files(void)
{
    static const struct {
        double timeout;
        const char *json;
        int64_t deadline;
    } times[] = {{0, ",'maxTimeoutSeconds':300", 300000}, {1, ",'maxTimeoutSeconds':1", 1000},
                 {1.999, ",'maxTimeoutSeconds':1", 1999}, {0.5, "", 500},
                 {60.5, ",'maxTimeoutSeconds':60", 60500},
                 {1e9, ",'maxTimeoutSeconds':1000000000", -1}};
    size_t i;
    for (i = 0; i < CWSI_COUNT(times); i++)
        OP_ROW("v1beta2", "AddFile, RetrieveFile: their limit is whole seconds, cut off", i, true)
        {
            cws_sandbox *sb = op_running(t);
            cws_file_opts o;
            cws_bytes *bytes = NULL;
            char json[200];
            memset(&o, 0, sizeof(o));
            o.timeout_seconds = times[i].timeout;
            op_ok(t, "AddFile", ACCEPTED);
            CHECK_INT(api_write(t, sb, "/x", "a\0b", 3, &o), CWS_OK);
            (void)snprintf(json, sizeof(json), "{'sandboxId':'sb-1','fileContents':'YQBi',"
                           "'filepath':'/x'%s}", times[i].json);
            IS("AddFile", 0, json);
            op_ok(t, "RetrieveFile", "{'fileContents':'YQBi','success':true}");
            CHECK_INT(api_read(t, sb, "/y", &o, &bytes), CWS_OK);
            CHECK_INT(cws_bytes_size(bytes), 3);
            CHECK(bytes && memcmp(cws_bytes_data(bytes, NULL), "a\0b", 4) == 0);
            cws_bytes_free(bytes);
            (void)snprintf(json, sizeof(json), "{'sandboxId':'sb-1','filepath':'/y'%s}",
                           times[i].json);
            IS("RetrieveFile", 0, json);
            if (times[i].deadline > 0) {
                CHECK_INT(script_call_at(&t->s, "AddFile", 0)->timeout_ms, times[i].deadline);
                CHECK_INT(script_call_at(&t->s, "RetrieveFile", 0)->timeout_ms, times[i].deadline);
            }
        }
    B2_EACH("a file call that says no is an error with the server's text; it is not repeated") {
        cws_sandbox *sb = op_running(t);
        cws_bytes *bytes = NULL;
        op_ok(t, "AddFile", "{'errorMessage':'disk full'}");
        CHECK_INT(api_write(t, sb, "/x", "a", 1, NULL), CWS_ERR_FILE);
        HAS(t->err.message, "disk full");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        CHECK_STR(t->err.filepath, "/x");
        op_ok(t, "RetrieveFile", "{'fileContents':'YQ==','errorMessage':'no such file'}");
        CHECK_INT(api_read(t, sb, "/y", NULL, &bytes), CWS_ERR_FILE);
        HAS(t->err.message, "no such file");
        CHECK_STR(t->err.filepath, "/y");
        CHECK(bytes == NULL);
        op_ok(t, "AddFile", "{}");
        CHECK_INT(api_write(t, sb, "/x", "a", 1, NULL), CWS_ERR_FILE);
        HAS(t->err.message, "unknown error");
        CHECK_STR(script_calls(&t->s), "AddFile RetrieveFile AddFile");
    }
    B2_EACH("an empty file, both ways") {
        cws_sandbox *sb = op_running(t);
        cws_bytes *bytes = NULL;
        op_ok(t, "AddFile", ACCEPTED);
        CHECK_INT(api_write(t, sb, "/x", NULL, 0, NULL), CWS_OK);
        IS("AddFile", 0, "{'sandboxId':'sb-1','filepath':'/x','maxTimeoutSeconds':300}");
        op_ok(t, "RetrieveFile", ACCEPTED);
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        CHECK_INT(cws_bytes_size(bytes), 0);
        cws_bytes_free(bytes);
    }
    B2_EACH("a write in doubt is not repeated, a read is") {
        cws_sandbox *sb = op_running(t);
        cws_bytes *bytes = NULL;
        script_error(&t->s, "AddFile", "unavailable", "later", NULL);
        CHECK_INT(api_write(t, sb, "/x", "a", 1, NULL), CWS_ERR_UNAVAILABLE);
        script_error(&t->s, "RetrieveFile", "unavailable", "later", NULL);
        op_ok(t, "RetrieveFile", "{'fileContents':'YQ==','success':true}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        CHECK_STR(script_calls(&t->s), "AddFile RetrieveFile RetrieveFile");
    }
}

/* ---- v1beta2: commands, shells, logs --------------------------------------------------------- */

/* The bytes as base64. */
static const char *op_64(api *t, const char *text)
{
    return grpc_base64(&t->s.arena, cwsi_str_of(text));
}

static script_reply *op_stream(api *t, const char *rpc)
{
    return script_stream_of(&t->s, rpc);
}

static void op_says(api *t, script_reply *r, const char *json)
{
    script_message(&t->s, r, op_json(t, json));
}

static void op_output(api *t, script_reply *r, const char *stream, const char *text)
{
    char json[300];
    (void)snprintf(json, sizeof(json), "{'output':{'streamType':'STREAM_TYPE_%s','data':'%s'}}",
                   stream, op_64(t, text));
    op_says(t, r, json);
}

static void op_data(api *t, script_reply *r, const char *text, const char *session, int offset)
{
    char json[300];
    (void)snprintf(json, sizeof(json), "{'data':{'data':'%s','sessionId':'%s','offset':'%d'}}",
                   op_64(t, text), session, offset);
    op_says(t, r, json);
}

static void op_over(api *t, script_reply *r)
{
    script_envelope(&t->s, r, 2, "{}", 2);
}

static void op_test_exec(void)
{
    B2_STREAMING("StreamExec: what is asked, and its messages") {
        cws_sandbox *sb = op_running(t);
        cws_result *r = NULL;
        cws_exec_opts o;
        script_reply *reply = op_stream(t, "StreamExec");
        memset(&o, 0, sizeof(o));
        o.env = PAIRS({"A", "1"});
        o.timeout_seconds = 7;
        op_says(t, reply, "{'ready':{'sessionId':'s','readyAt':'2026-01-02T03:04:05Z'}}");
        op_output(t, reply, "STDOUT", "out");
        op_output(t, reply, "STDERR", "err");
        op_output(t, reply, "UNSPECIFIED", "put");
        op_says(t, reply, "{'exit':{'exitCode':3,'completedAt':'2026-01-02T03:04:05Z'}}");
        op_over(t, reply);
        CHECK_INT(api_exec(t, sb, STRINGS("ls", "-l", ""), &o, &r), CWS_OK);
        CHECK_STR(api_shown(r), "3|output|err");
        cws_result_free(r);
        IS("StreamExec", 0, "{'init':{'sandboxId':'sb-1','command':['ls','-l',''],"
                            "'env':{'A':'1'}}}");
        CHECK(!script_call_at(&t->s, "StreamExec", 0)->more_body);
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->timeout_ms, 12000);
        HAS(script_call_at(&t->s, "StreamExec", 0)->url,
            "/coreweave.sandbox.v1beta2.GatewayStreamingService/StreamExec");
    }
    B2_STREAMING("StreamExec: an error in the stream; no exit; a message that is none") {
        cws_sandbox *sb = op_running(t);
        cws_result *r = NULL;
        script_reply *reply = op_stream(t, "StreamExec");
        op_says(t, reply, "{'ready':{}}");
        op_says(t, reply, "{'error':{'message':'it broke','code':'STREAM_TRUNCATED'}}");
        op_over(t, reply);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_ERR_STREAM_TRUNCATED);
        HAS(t->err.message, "it broke");
        CHECK_STR(t->err.stream_code, "STREAM_TRUNCATED");
        cws_result_free(r);
        reply = op_stream(t, "StreamExec");
        op_says(t, reply, "{'ready':{}}");
        op_over(t, reply);
        CHECK(api_exec(t, sb, api_true, NULL, &r) != CWS_OK);
        CHECK_STR(api_shown(r), "-||");
        cws_result_free(r);
        reply = op_stream(t, "StreamExec");
        op_says(t, reply, "{}");
        op_output(t, reply, "STDOUT", "a");
        op_says(t, reply, "{'exit':{}}");
        op_over(t, reply);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
        CHECK_STR(api_shown(r), "0|a|");
        cws_result_free(r);
    }
    B2_STREAMING("StreamExec: input is a message, its end another") {
        cws_sandbox *sb = op_running(t);
        cws_process *p = NULL;
        cws_exec_opts o;
        size_t taken = 0;
        script_reply *reply = op_stream(t, "StreamExec");
        memset(&o, 0, sizeof(o));
        o.with_stdin = true;
        op_says(t, reply, "{'ready':{}}");
        reply->until_fin = reply->size;
        op_says(t, reply, "{'exit':{}}");
        op_over(t, reply);
        CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
        CHECK_INT(cws_process_write(p, "hi", 2, -1, &taken, &t->err), CWS_OK);
        CHECK_INT(taken, 2);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), op_json(t, "{'stdin':{'data':'aGk='}}"));
        CHECK_STR(script_sent(&t->s, "StreamExec", 1), op_json(t, "{'close':{}}"));
        CHECK(script_call_at(&t->s, "StreamExec", 0)->fin);
        cws_process_free(p);
    }
    B2_STREAMING("StreamExec: input waits for `ready`; a command can be cancelled") {
        cws_sandbox *sb = op_running(t);
        cws_process *p = NULL;
        cws_exec_opts o;
        size_t taken = 0;
        int64_t began = t->s.now;
        script_reply *reply = op_stream(t, "StreamExec");
        memset(&o, 0, sizeof(o));
        o.with_stdin = true;
        op_says(t, reply, "{'ready':{}}");
        reply->delay = 500;
        reply->hold = true;
        CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
        CHECK_INT(cws_process_write(p, "hi", 2, -1, &taken, &t->err), CWS_OK);
        while (t->s.now < began + 490) CHECK_INT(cws_client_poll(t->client, 1, &t->err), CWS_OK);
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->sent_bytes, 0);
        while (t->s.now < began + 510) CHECK_INT(cws_client_poll(t->client, 1, &t->err), CWS_OK);
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), op_json(t, "{'stdin':{'data':'aGk='}}"));
        cws_process_free(p);
        CHECK(script_call_at(&t->s, "StreamExec", 0)->cancelled);
    }
    B2_STREAMING("a shell: a terminal, its size, and a new size") {
        cws_sandbox *sb = op_running(t);
        cws_process *p = NULL;
        cws_shell_opts o;
        script_reply *reply = op_stream(t, "StreamExec");
        memset(&o, 0, sizeof(o));
        o.width = 80;
        o.height = 24;
        op_says(t, reply, "{'ready':{}}");
        reply->until_fin = reply->size;
        op_says(t, reply, "{'exit':{'exitCode':130}}");
        op_over(t, reply);
        CHECK_INT(cws_shell_begin(sb, NULL, &o, &p, &t->err), CWS_OK);
        while (!t->s.call_count) CHECK_INT(cws_client_poll(t->client, 1, &t->err), CWS_OK);
        CHECK_INT(cws_process_resize(p, 100, 50, &t->err), CWS_OK);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        IS("StreamExec", 0, "{'init':{'sandboxId':'sb-1','command':['/bin/bash'],'tty':true,"
                            "'ttyWidth':80,'ttyHeight':24}}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 0),
                  op_json(t, "{'resize':{'width':100,'height':50}}"));
        CHECK_STR(script_sent(&t->s, "StreamExec", 1), op_json(t, "{'close':{}}"));
        cws_process_free(p);
    }
    B2_EACH("Exec, unary: what is asked, its limits, and its reply") {
        cws_sandbox *sb = op_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        o.unary = true;
        o.timeout_seconds = 60.9;
        o.max_output_bytes = 4096;
        op_ok(t, "Exec", "{'result':{'stdout':'YQ==','stderr':'Yg==','exitCode':2,"
                         "'stdoutTruncated':true,'stdoutBytesProduced':'500'}}");
        CHECK_INT(api_exec(t, sb, STRINGS("ls", "-l"), &o, &r), CWS_OK);
        CHECK_STR(api_shown(r), "2|a|b");
        CHECK(cws_result_truncated(r, CWS_STDOUT));
        CHECK(!cws_result_truncated(r, CWS_STDERR));
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDOUT), 500);
        cws_result_free(r);
        HAS(script_json(&t->s, "Exec", 0),
            op_json(t, "{'sandboxId':'sb-1','command':['ls','-l'],'maxTimeoutSeconds':60,"
                       "'outputHandling':'OUTPUT_POLICY_BUFFERED','bufferedMaxKib':"));
        CHECK_INT(script_call_at(&t->s, "Exec", 0)->timeout_ms, 65900);
        op_ok(t, "Exec", "{'result':{}}");
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_OK);
        CHECK_STR(api_shown(r), "0||");
        cws_result_free(r);
        op_ok(t, "Exec", "{}"); /* nothing about the command */
        CHECK(api_exec(t, sb, api_true, &o, &r) != CWS_OK);
        cws_result_free(r);
        CHECK_INT(script_count(&t->s, "Exec"), 3);
    }
    B2_EACH("Exec, unary: there is no environment") {
        cws_sandbox *sb = op_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        o.unary = true;
        o.env = PAIRS({"A", "1"});
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "env");
        cws_result_free(r);
        CHECK_INT(t->s.call_count, 0);
    }
    B2_EACH("26: a command starts the sandbox and waits until it runs") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        o.unary = true;
        op_ok(t, "Start", STARTED);
        op_ok(t, "Get", B2_GET("CREATING"));
        op_ok(t, "Get", B2_GET("RUNNING"));
        op_ok(t, "Exec", "{'result':{'stdout':'YQ=='}}");
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Start Get Get Exec");
        cws_result_free(r);
    }
}

typedef struct op_items {
    char text[300];
    size_t restarted;
} op_items;

static cws_flow op_on_item(const cws_item *item, void *user)
{
    op_items *items = (op_items *)user;
    size_t n = strlen(items->text);
    (void)snprintf(items->text + n, sizeof(items->text) - n, "%s|", item->data);
    items->restarted += item->restarted;
    return CWS_FLOW_CONTINUE;
}

static cws_status op_logs(api *t, cws_sandbox *sb, cws_logs_opts *o, op_items *items)
{
    cws_stream *stream = NULL;
    cws_status status;
    memset(items, 0, sizeof(*items));
    o->on_item = op_on_item;
    o->user = items;
    if (!api_async(t)) return cws_logs(sb, o, &t->err);
    status = cws_logs_begin(sb, o, &stream, &t->err);
    if (status) return status;
    status = api_drive(t, cws_stream_op(stream));
    cws_stream_free(stream);
    return status;
}

static void op_test_logs(void)
{
    B2_STREAMING("StreamLogs: without follow our side ends with what is asked") {
        cws_sandbox *sb = op_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        o.timestamps = true;
        o.tail_lines = 5;
        o.since_unix_ms = 1767323045250;
        op_data(t, r, "a\nb", "s", 3);
        op_data(t, r, "c\n", "s", 5);
        op_says(t, r, "{'complete':{}}");
        op_over(t, r);
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_OK);
        CHECK_STR(items.text, "a\n|bc\n|");
        IS("StreamLogs", 0, "{'init':{'sandboxId':'sb-1','tailLines':5,'sinceTime':"
                            "'2026-01-02T03:04:05.250Z','timestamps':true}}");
        CHECK(!script_call_at(&t->s, "StreamLogs", 0)->more_body);
        HAS(script_call_at(&t->s, "StreamLogs", 0)->url, "v1beta2.GatewayStreamingService/");
    }
    B2_STREAMING("StreamLogs: with follow our side stays open; `complete` is the end") {
        cws_sandbox *sb = op_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        o.follow = true;
        op_data(t, r, "a\n", "s", 2);
        op_says(t, r, "{'complete':{}}");
        r->hold = true; /* the server does not end its side either */
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_OK);
        CHECK_STR(items.text, "a\n|");
        IS("StreamLogs", 0, "{'init':{'sandboxId':'sb-1','follow':true}}");
        CHECK(script_call_at(&t->s, "StreamLogs", 0)->more_body);
        CHECK_STR(script_calls(&t->s), "StreamLogs");
    }
    B2_STREAMING("StreamLogs: a connection that is lost is taken up where it was") {
        cws_sandbox *sb = op_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        o.follow = true;
        op_data(t, r, "a\n", "s", 2);
        r->end = CWS_END_LOST;
        r = op_stream(t, "StreamLogs");
        op_data(t, r, "b\n", "s", 4);
        op_says(t, r, "{'complete':{}}");
        op_over(t, r);
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_OK);
        CHECK_STR(items.text, "a\n|b\n|");
        CHECK_INT(items.restarted, 0);
        IS("StreamLogs", 1, "{'init':{'sandboxId':'sb-1','follow':true,'resumeSessionId':'s',"
                            "'resumeOffset':'2'}}");
    }
    B2_STREAMING("StreamLogs: an error in the stream") {
        cws_sandbox *sb = op_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        op_data(t, r, "a\n", "s", 2);
        op_says(t, r, "{'error':{'message':'not for you','code':'PERMISSION_DENIED'}}");
        op_over(t, r);
        CHECK(op_logs(t, sb, &o, &items) != CWS_OK);
        HAS(t->err.message, "not for you");
        CHECK_STR(t->err.stream_code, "PERMISSION_DENIED");
        CHECK_STR(items.text, "a\n|");
    }
    B2_STREAMING("StreamLogs: a session that is not known any more: from the beginning, and told") {
        cws_sandbox *sb = op_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        o.follow = true;
        op_data(t, r, "a\n", "s", 2);
        r->end = CWS_END_LOST;
        r = op_stream(t, "StreamLogs");
        op_says(t, r, "{'error':{'message':'who','code':'SESSION_NOT_FOUND'}}");
        op_over(t, r);
        r = op_stream(t, "StreamLogs");
        op_data(t, r, "b\n", "s2", 2);
        op_says(t, r, "{'complete':{}}");
        op_over(t, r);
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_OK);
        CHECK_STR(items.text, "a\n|b\n|");
        CHECK_INT(items.restarted, 1);
        CHECK_INT(script_count(&t->s, "StreamLogs"), 3);
        HAS_NOT(script_json(&t->s, "StreamLogs", 2), "resumeSessionId");
    }
    B2_STREAMING("StreamLogs: long lines are cut in pieces, unless they shall fail") {
        cws_sandbox *sb = op_running(t);
        cws_logs_opts o;
        op_items items;
        int i;
        memset(&o, 0, sizeof(o));
        o.max_line_bytes = 4;
        for (i = 0; i < 2; i++) {
            script_reply *r = op_stream(t, "StreamLogs");
            op_data(t, r, "abcdefg\nh\n", "s", 10);
            op_says(t, r, "{'complete':{}}");
            op_over(t, r);
            o.long_lines = i ? CWS_LONG_LINES_FAIL : CWS_LONG_LINES_DEFAULT;
            CHECK_INT(op_logs(t, sb, &o, &items), i ? CWS_ERR_STREAM_TRUNCATED : CWS_OK);
            CHECK_STR(items.text, i ? "" : "abcd|efg\n|h\n|");
        }
    }
    B2_STREAMING("StreamLogs: without follow a stream may end without `complete`") {
        cws_sandbox *sb = op_running(t);
        cws_logs_opts o;
        op_items items;
        script_reply *r = op_stream(t, "StreamLogs");
        memset(&o, 0, sizeof(o));
        op_data(t, r, "a\n", "s", 2);
        op_over(t, r);
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_OK);
        CHECK_STR(items.text, "a\n|");
    }
    B2_RUN("StreamLogs needs a transport that carries both directions", API_PERFORM) {
        cws_sandbox *sb = op_running(t);
        cws_logs_opts o;
        op_items items;
        memset(&o, 0, sizeof(o));
        CHECK_INT(op_logs(t, sb, &o, &items), CWS_ERR_UNSUPPORTED);
        CHECK_INT(t->s.call_count, 0);
    }
}

/* ---- replies --------------------------------------------------------------------------------- */

#define TIME "'2026-01-02T03:04:05.678Z'"
#define V1_RESOURCES "{'cpu':'1','memory':'1Gi','gpu':{'count':'1','type':'H100'}}"
#define V1_FULL                                                                                    \
    "{'sandboxId':'sb-1','spec':{'containers':[{'name':'main','image':'i','command':'c','args':"   \
    "['a'],'environmentVariables':{'A':'1'},'resources':" V1_RESOURCES ",'files':[{'path':'/f',"   \
    "'content':'YQ=='}],'primary':true,'startupProbe':{'exec':['x']}}],'volumes':[{'name':'v',"    \
    "'scratch':{'size':'1Gi'}}],'services':[{'port':1}],'maxLifetimeSeconds':9,'networkIds':"      \
    "['n'],'tags':['t'],'runnerIds':['r'],'network':{'denyEgress':true},'annotations':{'a':"       \
    "'b'},'instanceType':'it','mode':'SANDBOX_MODE_CKS','runtimeClass':'rc'},'status':{'state':"   \
    "'STATE_RUNNING','stateReason':'well','createTime':" TIME ",'startTime':" TIME ",'endTime':"   \
    TIME ",'services':[{'port':1,'name':'n','protocol':'SERVICE_PROTOCOL_TCP','visibility':"       \
    "'VISIBILITY_PUBLIC','endpoint':{'kind':'ENDPOINT_KIND_HTTPS','auth':'ENDPOINT_AUTH_OPEN',"    \
    "'url':'u','requestTimeoutSeconds':15,'address':'a:1'},'url':'u'}],'exitCode':0,"              \
    "'effectiveResources':" V1_RESOURCES ",'effectiveMaxLifetimeSeconds':9,'containerStatuses':"   \
    "[{'name':'main','state':'STATE_RUNNING','exitCode':1,'restartCount':2}],'runnerId':'run',"    \
    "'runnerGroupId':'grp','effectiveIngress':[{'any':true}],'effectiveEgress':[{'httpsHostname':" \
    "'a.b'}],'effectiveResourceRequirements':{'requests':" V1_RESOURCES ",'limits':" V1_RESOURCES  \
    "},'attachedVolumeIds':['v'],'effectiveRuntimeClass':'rc','effectiveDnsEgress':"               \
    "'DNS_EGRESS_MODE_ALLOW'},'sourceTemplateId':'t','sourceTemplateRevision':'7',"                \
    "'displayName':'d','endpointShareToken':'token'}"
#define B2_FULL                                                                                    \
    "{'sandboxId':'sb-1','startedAtTime':" TIME ",'sandboxStatus':'SANDBOX_STATUS_RUNNING',"       \
    "'currentResourceUsage':{'cpuMillicoresUsed':'1','memoryMbUsed':'2','gpuCountUsed':'3'},"      \
    "'runnerId':'run','runnerGroupId':'grp','profileId':'p','serviceAddress':'a','exposedPorts':"  \
    "[{'containerPort':1,'name':'n','protocol':'TCP'}],'appliedIngressMode':'i',"                  \
    "'appliedEgressMode':'e','statusReason':'well','exitCode':0}"
#define B2_FULL_START                                                                              \
    "{'sandboxId':'sb-1','startedAtTime':" TIME ",'serviceAddress':'a','exposedPorts':[{"          \
    "'containerPort':1,'name':'n','protocol':'TCP'}],'requestedResources':{'cpu':'1'},"            \
    "'profileId':'p','runnerId':'run','sandboxStatus':'SANDBOX_STATUS_RUNNING',"                   \
    "'appliedIngressMode':'i','appliedEgressMode':'e','requestedResourceLimits':{'cpu':'1'},"      \
    "'requestedResourceRequests':{'gpu':{'gpuCount':'1','gpuMemoryGb':'80'}}}"

/* Ten fields that no schema has, of every wire type, behind a reply. */
static void op_strange(api *t, script_reply *r)
{
    static const unsigned char more[] = {
        0xc0, 0x3e, 5, /* 1000: a varint; the longest one; 64 bits; 32 bits; bytes; none */
        0xc8, 0x3e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        0xd1, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8,
        0xdd, 0x3e, 1, 2, 3, 4,
        0xe2, 0x3e, 3, 'a', 'b', 'c',
        0xea, 0x3e, 0,
        0xf3, 0x3e, 8, 1, 0xf4, 0x3e, /* 1006: a group; a varint; a message; a varint */
        0xf8, 0x3e, 0,
        0x82, 0x3f, 2, 8, 1,
        0x88, 0x3f, 1};
    char *body = (char *)cwsi_arena_alloc(&t->s.arena, r->size + sizeof(more));
    if (!body) abort();
    if (r->size) memcpy(body, r->body, r->size);
    memcpy(body + r->size, more, sizeof(more));
    script_body(&t->s, r, body, r->size + sizeof(more));
}

/* The names of a list, "a b". */
static const char *op_list(const char *const *list)
{
    static char text[200];
    size_t n = 0;
    text[0] = '\0';
    for (; list && *list; list++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "", *list);
    return list ? text : NULL;
}

/* What only v1 says of a sandbox, in V1_FULL. */
static void op_check_v1(const cws_sandbox_info *info)
{
    CHECK_STR(op_list(info->egress_hostnames), "a.b");
    CHECK_STR(op_list(info->tags), "t");
    CHECK_STR(info->display_name, "d");
    CHECK_STR(info->runtime_class, "rc");
    CHECK_STR(info->share_token, "token");
    CHECK_INT(info->placement, CWS_PLACEMENT_CKS);
    CHECK_INT(info->max_lifetime_seconds, 9);
    CHECK_INT(info->volume_count, 1);
    if (info->volume_count != 1) return;
    CHECK_STR(info->volumes[0].name, "v");
    CHECK_STR(info->volumes[0].size, "1Gi");
    CHECK(info->volumes[0].volume_id == NULL);
}

static void op_check_resources(const cws_resources *r, const char *cpu, const char *memory)
{
    CHECK_STR(r->request_cpu, cpu);
    CHECK_STR(r->request_memory, memory);
    CHECK_STR(r->limit_cpu, cpu);
    CHECK_STR(r->limit_memory, memory);
    CHECK(r->cpu == NULL && r->memory == NULL);
}

static void op_test_echo_v1(void)
{
    EACH("14, 35: what the service made of the options: resources, services, names") {
        const cws_sandbox_info *info = cws_sandbox_get_info(op_found(t, V1_FULL));
        const cws_service_info *s = info->services;
        op_check_v1(info);
        op_check_resources(&info->resources, "1", "1Gi");
        CHECK_INT(info->resources.gpu_count, 1);
        CHECK_STR(info->resources.gpu_type, "H100");
        CHECK_INT(info->resources.gpu_memory_gb, 0);
        CHECK_INT(info->service_count, 1);
        if (info->service_count != 1) continue;
        CHECK_INT(s->port, 1);
        CHECK_STR(s->name, "n");
        CHECK_INT(s->protocol, CWS_SERVICE_TCP);
        CHECK_INT(s->visibility, CWS_VISIBILITY_PUBLIC);
        CHECK_INT(s->endpoint, CWS_ENDPOINT_HTTPS);
        CHECK_INT(s->auth, CWS_ENDPOINT_AUTH_OPEN);
        CHECK_STR(s->url, "u");
        CHECK_STR(s->address, "a:1");
    }
    EACH("35: the reply of a create tells them, too; each Get brings them up to date") {
        cws_sandbox *sb = api_box(t, NULL);
        const cws_sandbox_info *info;
        op_ok(t, "CreateSandbox", V1_FULL);
        CHECK_INT(api_start(t, sb), CWS_OK);
        info = cws_sandbox_get_info(sb);
        op_check_v1(info);
        CHECK_STR(info->services ? info->services[0].url : "", "u");
        op_ok(t, "GetSandbox", "{'sandboxId':'sb-1','status':{'state':'STATE_CREATING','services':"
                               "[{'port':1,'url':'u2'},{'port':2}],'effectiveResources':{'cpu':'2'"
                               "},'effectiveEgress':[{'any':true},{'httpsHostname':'c.d'},"
                               "{'httpsHostname':'e.f'}]}}");
        CHECK_INT(api_status(t, sb, NULL), CWS_OK);
        CHECK_INT(info->service_count, 2);
        CHECK_STR(info->services ? info->services[0].url : "", "u2");
        CHECK_STR(info->services ? info->services[0].address : "x", "");
        op_check_resources(&info->resources, "2", NULL);
        CHECK_INT(info->resources.gpu_count, 0);
        CHECK_STR(op_list(info->egress_hostnames), "c.d e.f");
        CHECK_STR(info->share_token, "token"); /* only the create tells it */
        CHECK_STR(op_list(info->tags), "t");   /* no spec: nothing new */
        CHECK_INT(info->volume_count, 1);
        op_ok(t, "GetSandbox", "{'sandboxId':'sb-1','status':{'state':'STATE_RUNNING'}}");
        CHECK_INT(api_status(t, sb, NULL), CWS_OK);
        op_check_resources(&info->resources, "2", NULL); /* unchanged if nothing is said of them */
        CHECK_INT(info->service_count, 0);
    }
    EACH("14: requests and limits that differ; a GPU by its memory; the newer form counts") {
        cws_sandbox *sb = op_found(
            t, "{'sandboxId':'sb-1','status':{'state':'STATE_RUNNING','effectiveResources':{'cpu':"
               "'9'},'effectiveResourceRequirements':{'requests':{'cpu':'1','gpu':{'count':'2',"
               "'memoryGb':'80'}},'limits':{'memory':'1Gi'}}}}");
        const cws_resources *r = &cws_sandbox_get_info(sb)->resources;
        CHECK_STR(r->request_cpu, "1");
        CHECK(r->request_memory == NULL && r->limit_cpu == NULL);
        CHECK_STR(r->limit_memory, "1Gi");
        CHECK_INT(r->gpu_count, 2);
        CHECK_INT(r->gpu_memory_gb, 80);
        CHECK(r->gpu_type == NULL);
    }
}

static void op_check_b2(const cws_sandbox_info *info)
{
    CHECK_STR(info->profile_id, "p");
    CHECK_STR(info->service_address, "a");
    CHECK_STR(info->ingress_mode, "i");
    CHECK_STR(info->egress_mode, "e");
}

static void op_test_echo_b2(void)
{
    B2_EACH("27: the reply of a Start: address, ports, modes; 14: its resources") {
        cws_sandbox *sb = api_box(t, NULL);
        const cws_sandbox_info *info;
        op_ok(t, "Start", B2_FULL_START);
        CHECK_INT(api_start(t, sb), CWS_OK);
        info = cws_sandbox_get_info(sb);
        op_check_b2(info);
        CHECK_STR(info->resources.request_cpu, NULL);
        CHECK_STR(info->resources.limit_cpu, "1");
        CHECK_INT(info->resources.gpu_count, 1);
        CHECK_INT(info->resources.gpu_memory_gb, 80);
        CHECK_INT(info->service_count, 1);
        if (info->service_count == 1) {
            CHECK_INT(info->services[0].port, 1);
            CHECK_STR(info->services[0].name, "n");
            CHECK_INT(info->services[0].protocol, CWS_SERVICE_TCP);
            CHECK_STR(info->services[0].url, "");
            CHECK_STR(info->services[0].address, "");
        }
        op_ok(t, "Get", B2_GET("RUNNING")); /* which says nothing of them: they are kept */
        CHECK_INT(api_status(t, sb, NULL), CWS_OK);
        op_check_b2(info);
        CHECK_STR(info->resources.limit_cpu, "1");
        CHECK_INT(info->service_count, 1);
    }
    B2_EACH("27: a Get and a list tell them as well, but not the resources") {
        cws_sandbox_list *list = NULL;
        const cws_sandbox_info *info = cws_sandbox_get_info(op_found(t, B2_FULL));
        int i;
        for (i = 0; i < 2; i++) {
            op_check_b2(info);
            CHECK_INT(info->service_count, 1);
            CHECK(info->resources.limit_cpu == NULL && info->resources.gpu_count == 0);
            if (i) break;
            op_ok(t, "List", "{'sandboxes':[{'sandboxId':'sb-2','profileId':'p','serviceAddress':"
                             "'a','exposedPorts':[{'containerPort':1}],'appliedIngressMode':'i',"
                             "'appliedEgressMode':'e'}]}");
            CHECK_INT(api_list(t, NULL, &list), CWS_OK);
            CHECK_INT(cws_sandbox_list_count(list), 1);
            if (cws_sandbox_list_count(list) != 1) break;
            info = cws_sandbox_get_info(cws_sandbox_list_at(list, 0));
        }
        cws_sandbox_list_free(list);
    }
    B2_EACH("27: what is empty is not known") {
        cws_sandbox *sb = op_started(t);
        const cws_sandbox_info *info = cws_sandbox_get_info(sb);
        CHECK_STR(info->profile_id, "");
        CHECK_STR(info->service_address, "");
        CHECK_STR(info->ingress_mode, "");
        CHECK_STR(info->egress_mode, "");
        CHECK_INT(info->service_count, 0);
        CHECK(info->resources.request_cpu == NULL && info->resources.limit_cpu == NULL);
    }
}

static void op_test_replies(void)
{
    int b2, i;
    for (b2 = 0; b2 < 2; b2++)
        for (i = 0; i < API_MODES; i++) {
            const char *create = b2 ? "Start" : "CreateSandbox", *get = b2 ? "Get" : "GetSandbox";
            OP_ROW(b2 ? "v1beta2" : "v1", "35: a reply with everything", (size_t)i, b2)
            {
                cws_sandbox *sb = op_found(t, b2 ? B2_FULL : V1_FULL);
                const cws_sandbox_info *info = cws_sandbox_get_info(sb);
                CHECK_STR(info->sandbox_id, "sb-1");
                CHECK_INT(info->state, CWS_STATE_RUNNING);
                CHECK_INT(info->state_number, 2);
                CHECK_STR(info->status_reason, "well");
                CHECK_STR(info->runner_id, "run");
                CHECK_STR(info->runner_group_id, "grp");
                CHECK_INT(info->create_unix_ms, b2 ? 0 : 1767323045678);
                CHECK_INT(info->start_unix_ms, 1767323045678);
                CHECK_INT(info->end_unix_ms, b2 ? 0 : 1767323045678);
                CHECK(info->has_exit_code);
                CHECK_INT(info->exit_code, 0);
                CHECK(info->updated_unix_ms > 0);
                op_ok(t, get, b2 ? "{'sandboxId':'sb-1'}" : "{'sandboxId':'sb-1','status':{}}");
                CHECK_INT(api_status(t, sb, NULL), CWS_OK); /* what is known stays */
                CHECK_STR(info->runner_id, "run");
                CHECK_INT(info->start_unix_ms, 1767323045678);
                sb = api_box(t, NULL);
                op_ok(t, create, b2 ? B2_FULL_START : V1_FULL);
                CHECK_INT(api_start(t, sb), CWS_OK);
                CHECK_STR(cws_sandbox_id(sb), "sb-1");
                CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PENDING); /* 8.1 */
            }
            OP_ROW(b2 ? "v1beta2" : "v1", "a reply with nothing but an id", (size_t)i, b2)
            {
                cws_sandbox *sb = op_found(t, "{'sandboxId':'sb-1'}");
                const cws_sandbox_info *info = cws_sandbox_get_info(sb);
                CHECK_STR(info->sandbox_id, "sb-1");
                CHECK_INT(info->state, CWS_STATE_UNSPECIFIED);
                CHECK_INT(info->state_number, 0);
                CHECK_STR(info->status_reason, "");
                CHECK_STR(info->runner_id, "");
                CHECK_STR(info->runner_group_id, "");
                CHECK_INT(info->create_unix_ms, 0);
                CHECK_INT(info->start_unix_ms, 0);
                CHECK_INT(info->end_unix_ms, 0);
                CHECK(!info->has_exit_code);
            }
            OP_ROW(b2 ? "v1beta2" : "v1", "a reply with no field at all is none", (size_t)i, b2)
            {
                cws_sandbox *sb = NULL;
                op_ok(t, get, "{}");
                CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_ERR_PROTOCOL);
                op_ok(t, create, "{}");
                CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_PROTOCOL);
            }
            OP_ROW(b2 ? "v1beta2" : "v1", "ten unknown fields and a new state", (size_t)i, b2)
            {
                cws_sandbox *sb = NULL;
                op_strange(t, op_ok(t, get, b2 ? "{'sandboxId':'sb-1','sandboxStatus':77,"
                                                 "'runnerId':'run'}"
                                               : "{'sandboxId':'sb-1','status':{'state':77,"
                                                 "'runnerId':'run','effectiveDnsEgress':9,"
                                                 "'services':[{'protocol':9,'visibility':9}]}}"));
                CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
                if (!sb) continue;
                CHECK_INT(cws_sandbox_state(sb), CWS_STATE_UNSPECIFIED);
                CHECK_INT(cws_sandbox_get_info(sb)->state_number, 77);
                CHECK_STR(cws_sandbox_get_info(sb)->runner_id, "run");
                op_strange(t, op_ok(t, create, "{'sandboxId':'sb-2'}"));
                sb = api_box(t, NULL);
                CHECK_INT(api_start(t, sb), CWS_OK);
                CHECK_STR(cws_sandbox_id(sb), "sb-2");
                op_strange(t, op_ok(t, get, b2 ? B2_GET("RUNNING")
                                               : "{'sandboxId':'sb-2','status':{'state':2}}"));
                CHECK_INT(api_wait(t, sb, 0), CWS_OK);
                if (!b2) continue;
                op_strange(t, op_ok(t, "Stop", ACCEPTED));
                op_ok(t, "Get", B2_GET("COMPLETED"));
                CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
            }
        }
}

/* A reply that is cut at any byte is an error, or a shorter message: never a crash. */
static void op_test_cut(void)
{
    int b2;
    for (b2 = 0; b2 < 2; b2++)
        OP_ROW(b2 ? "v1beta2" : "v1", "a reply cut at every byte, and every byte changed", 1, b2)
        {
            script_reply *whole = op_ok(t, b2 ? "Get" : "GetSandbox", b2 ? B2_FULL : V1_FULL);
            const char *body = whole->body;
            size_t size = whole->size, i;
            whole->times = -1;
            (void)api_client(t);
            for (i = 0; i < 2 * size; i++) {
                cws_sandbox *sb = NULL;
                char *copy = (char *)malloc(size);
                if (!copy) abort();
                memcpy(copy, body, size);
                if (i >= size) copy[i - size] = (char)~copy[i - size];
                whole->body = copy;
                whole->size = i < size ? i : size;
                if (cws_session_from_id(t->session, "sb-1", true, &sb, &t->err)) {
                    CHECK(sb == NULL);
                } else {
                    const cws_sandbox_info *info = cws_sandbox_get_info(sb);
                    CHECK(info->sandbox_id[0] && strlen(info->sandbox_id) < 128);
                    CHECK(info->status_reason && info->runner_id && info->runner_group_id);
                    CHECK(cws_state_name(info->state)[0] != '\0');
                }
                if (sb) cws_sandbox_free(sb);
                free(copy);
            }
            whole->size = 0;
        }
}

/* ---- copies, memory, secrecy ----------------------------------------------------------------- */

/* Everything that a session can have as a default in both dialects, and everything of its own that
 * is in one of them. The lists are of the caller, and written over behind the call. */
typedef struct op_all {
    char text[8][16];
    const char *list[3];
    cws_pair pairs[2];
    cws_resources resources;
    cws_secret secret;
    cws_mounted_file file;
    cws_file_system fs;
    cws_volume volume;
    cws_service service;
    cws_image_credentials pull;
    cws_object_storage storage;
    cws_security security;
    cws_probe probe;
    cws_port port;
    cws_s3_mount s3;
    cws_port_range range;
    cws_network_rule rule;
    cws_network network;
    int32_t ports[1];
} op_all;

static const char *op_put(op_all *a, size_t i, const char *text)
{
    (void)snprintf(a->text[i], sizeof(a->text[i]), "%s", text);
    return a->text[i];
}

static void op_fill_defaults(op_all *a, cws_sandbox_opts *o, bool b2)
{
    const char *word = op_put(a, 0, "word"), *path = op_put(a, 1, "/path");
    memset(o, 0, sizeof(*o));
    a->list[0] = word;
    a->list[1] = op_put(a, 2, "other");
    a->list[2] = NULL;
    a->pairs[0].key = word;
    a->pairs[0].value = op_put(a, 3, "hidden-value");
    a->pairs[1].key = NULL;
    a->resources.request_cpu = a->resources.limit_cpu = op_put(a, 4, "1");
    a->resources.gpu_type = word;
    a->secret.store = a->secret.name = a->secret.field = a->secret.env_var = word;
    a->fs.mount_path = path;
    a->fs.size = op_put(a, 5, "1Gi");
    a->fs.snapshot_id = word;
    a->volume.name = b2 ? NULL : word;
    a->volume.volume_id = a->volume.sub_path = word;
    a->volume.mount_path = path;
    o->container_image = o->command = word;
    o->args = o->tags = o->runner_ids = a->list;
    o->environment_variables = o->annotations = a->pairs;
    o->resources = &a->resources;
    o->secrets = &a->secret;
    o->secret_count = 1;
    o->file_system = &a->fs;
    o->volumes = &a->volume;
    o->volume_count = 1;
    o->max_lifetime_seconds = 9;
    if (b2) {
        o->profile_ids = o->profile_names = a->list;
    } else {
        a->service.port = 1;
        a->service.name = word;
        o->services = &a->service;
        o->service_count = 1;
    }
    a->ports[0] = 80;
    a->network.ingress_mode = a->network.egress_mode = b2 ? word : NULL;
    a->network.exposed_ports = b2 ? a->ports : NULL;
    a->network.exposed_port_count = b2;
    a->range.protocol = word;
    a->range.port = 1;
    a->rule.cidr = op_put(a, 6, "10.0.0.0/8");
    a->rule.cidr_except = a->list;
    a->rule.ports = &a->range;
    a->rule.port_count = 1;
    a->network.egress = a->network.ingress = b2 ? NULL : &a->rule;
    a->network.egress_count = a->network.ingress_count = !b2;
    a->network.egress_hostnames = b2 ? NULL : a->list;
    o->network = &a->network;
}

static void op_fill_own(op_all *a, cws_sandbox_opts *o, bool b2)
{
    const char *word = op_put(a, 0, "mine"), *path = op_put(a, 1, "/mine");
    memset(o, 0, sizeof(*o));
    a->list[0] = word;
    a->list[1] = NULL;
    a->pairs[0].key = word;
    a->pairs[0].value = op_put(a, 2, "hidden-mine");
    a->pairs[1].key = NULL;
    a->file.mount_path = path;
    a->file.content = op_put(a, 3, "hidden-file");
    a->file.size = 11;
    a->storage.buckets = a->list;
    a->storage.object_prefix = word;
    o->tags = a->list;
    o->environment_variables = o->annotations = a->pairs;
    o->mounted_files = &a->file;
    o->mounted_file_count = 1;
    o->object_storage = &a->storage;
    if (b2) {
        a->port.container_port = 1;
        a->port.name = a->port.protocol = word;
        a->s3.bucket = a->s3.directory = word;
        a->s3.mount_path = path;
        o->ports = &a->port;
        o->port_count = 1;
        o->s3_mount = &a->s3;
        o->max_timeout_seconds = 5;
        return;
    }
    a->pull.registry = a->pull.store = a->pull.name = a->pull.field = word;
    a->security.capabilities_add = a->security.capabilities_drop = a->list;
    a->security.seccomp_profile = word;
    a->probe.argv = a->list;
    o->working_dir = path;
    o->instance_type = o->runtime_class = o->display_name = word;
    o->image_credentials = &a->pull;
    o->security = &a->security;
    o->startup_probe = &a->probe;
}

/* A session with all defaults and a sandbox with all options; what was given is written over. */
static cws_status op_make_all(api *t, cws_session **session, cws_sandbox **sb)
{
    op_all a;
    cws_sandbox_opts o;
    cws_session_opts so;
    cws_status status;
    memset(&a, 0, sizeof(a));
    memset(&so, 0, sizeof(so));
    op_fill_defaults(&a, &o, t->s.b2);
    so.client = t->client;
    so.defaults = &o;
    status = cws_session_open(&so, session, &t->err);
    memset(&a, 0, sizeof(a));
    if (status) return status;
    op_fill_own(&a, &o, t->s.b2);
    status = cws_session_sandbox(*session, &o, sb, &t->err);
    memset(&a, 0, sizeof(a));
    return status;
}

static void op_test_copies(void)
{
    int b2;
    for (b2 = 0; b2 < 2; b2++) {
        OP_ROW(b2 ? "v1beta2" : "v1", "all options at once: copied, and hidden in the trace", 1, b2)
        {
            const char *rpc = b2 ? "Start" : "CreateSandbox", *json;
            cws_session *session = NULL;
            cws_sandbox *sb = NULL;
            (void)api_client(t);
            if (!CHECK_INT(op_make_all(t, &session, &sb), CWS_OK)) {
                cws_session_free(session);
                continue;
            }
            op_ok(t, rpc, "{'sandboxId':'sb-1'}");
            CHECK_INT(api_start(t, sb), CWS_OK);
            json = script_json(&t->s, rpc, 0);
            HAS(json, b2 ? "\"tags\":[\"word\",\"other\",\"mine\"]" : "\"command\":\"word\"");
            HAS(json, "{\"word\":\"hidden-value\",\"mine\":\"hidden-mine\"}");
            HAS(json, op_64(t, "hidden-file"));
            HAS(json, "SnapshotId\":\"word\"");
            HAS(t->said, rpc);
            HAS(t->said, "\"word\"");
            HAS_NOT(t->said, op_64(t, "hidden-file"));
            cws_sandbox_free(sb);
            cws_session_free(session);
        }
        OP_ROW(b2 ? "v1beta2" : "v1", "memory that ends is told, and nothing is lost", 1, b2)
        {
            bool failed = true;
            long n;
            (void)api_client(t);
            for (n = 0; failed && n < 2000; n++) {
                size_t live = test_alloc_live();
                cws_session *session = NULL;
                cws_sandbox *sb = NULL;
                cws_status status;
                test_alloc_fail_at(n, false);
                status = op_make_all(t, &session, &sb);
                failed = test_alloc_failed();
                test_alloc_fail_at(-1, false);
                CHECK_INT(status, failed ? CWS_ERR_NO_MEMORY : CWS_OK);
                if (sb) cws_sandbox_free(sb);
                cws_session_free(session);
                CHECK_INT(test_alloc_live(), live);
            }
            CHECK(n > 2 && n < 2000);
        }
    }
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
        op_ok(t, "Start", STARTED);
        op_ok(t, "Get", B2_GET("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        op_ok(t, "AddFile", ACCEPTED);
        CHECK_INT(api_write(t, sb, "/x", "hidden-2", 8, NULL), CWS_OK);
        op_ok(t, "RetrieveFile", "{'fileContents':'aGlkZGVuLTM=','success':true}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        e.unary = true;
        op_ok(t, "Exec", "{'result':{'stdout':'aGlkZGVuLTQ=','stderr':'aGlkZGVuLTU='}}");
        CHECK_INT(api_exec(t, sb, api_true, &e, &r), CWS_OK);
        cws_result_free(r);
        HAS(t->said, "NAME");
        HAS_NOT(t->said, "hidden-1");
        HAS_NOT(t->said, op_64(t, "hidden-2"));
        HAS_NOT(t->said, "aGlkZGVuLTM");
        HAS_NOT(t->said, "aGlkZGVuLTQ");
        HAS_NOT(t->said, "aGlkZGVuLTU");
    }
    B2_STREAMING("the trace hides the variables, the input and the output of a stream") {
        cws_sandbox *sb = op_running(t);
        cws_exec_opts e;
        cws_result *r = NULL;
        script_reply *reply = op_stream(t, "StreamExec");
        memset(&e, 0, sizeof(e));
        e.env = PAIRS({"NAME", "hidden-6"});
        op_says(t, reply, "{'ready':{}}");
        op_output(t, reply, "STDOUT", "hidden-7");
        op_says(t, reply, "{'exit':{}}");
        op_over(t, reply);
        CHECK_INT(api_exec(t, sb, api_true, &e, &r), CWS_OK);
        cws_result_free(r);
        HAS(t->said, "NAME");
        HAS_NOT(t->said, "hidden-6");
        HAS_NOT(t->said, op_64(t, "hidden-7"));
    }
}

/* ---- v1beta2: several at once ---------------------------------------------------------------- */

static void op_test_together(void)
{
    B2_RUN("26: a stop waits for the Start in flight and stops what it made", API_ASYNC) {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *start = NULL, *stop = NULL;
        op_ok(t, "Start", STARTED)->delay = 1000;
        op_ok(t, "Stop", ACCEPTED);
        op_ok(t, "Get", B2_GET("COMPLETED"));
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 1, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &stop, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(stop, -1, &t->err), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Start Stop Get");
        cws_op_free(start);
        cws_op_free(stop);
    }
    B2_RUN("36, 48: waiters share one poll, and stops one Stop", API_ASYNC) {
        cws_sandbox *sb = op_started(t);
        cws_op *ops[4] = {NULL, NULL, NULL, NULL};
        size_t i;
        op_ok(t, "Get", B2_GET("RUNNING"));
        op_ok(t, "Stop", ACCEPTED);
        op_ok(t, "Get", B2_GET("COMPLETED"));
        for (i = 0; i < 2; i++)
            CHECK_INT(cws_sandbox_wait_begin(sb, 0, &ops[i], &t->err), CWS_OK);
        api_settle(t);
        for (i = 2; i < 4; i++)
            CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &ops[i], &t->err), CWS_OK);
        api_settle(t);
        CHECK_STR(script_calls(&t->s), "Get Stop Get");
        for (i = 0; i < 4; i++) {
            CHECK_INT(cws_op_result(ops[i], &t->err), CWS_OK);
            cws_op_free(ops[i]);
        }
    }
    B2_STREAMING("a file that is too large for AddFile goes through a command") {
        cws_sandbox *sb = op_running(t);
        script_reply *r;
        script_error(&t->s, "AddFile", "failed_precondition", "large",
                     script_reason(&t->s, "CWSANDBOX_FILE_TOO_LARGE", "cwsandbox.com"));
        r = op_stream(t, "StreamExec");
        op_says(t, r, "{'ready':{}}");
        r->until_fin = r->size;
        op_says(t, r, "{'exit':{}}");
        op_over(t, r);
        CHECK_INT(api_write(t, sb, "/x", "abc", 3, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "AddFile StreamExec");
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), op_json(t, "{'stdin':{'data':'YWJj'}}"));
    }
    B2_EACH("26: a hint to come again does not repeat a Start") {
        cws_sandbox *sb = api_box(t, NULL);
        script_error(&t->s, "Start", "unavailable", "later", script_hint(&t->s, "1s"));
        CHECK_INT(api_start(t, sb), CWS_ERR_UNAVAILABLE);
        CHECK(t->err.has_retry_after);
        CHECK_INT(t->s.call_count, 1);
    }
    B2_EACH("there is no token of a Start that an error could tell") {
        script_error(&t->s, "Start", "internal", "no", NULL);
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_SANDBOX);
        CHECK_STR(t->err.request_id, "");
    }
}

/* ---- placement that spills over, and templates ----------------------------------------------- */

/* A sandbox that is not started yet. */
static cws_sandbox *op_box(api *t, const cws_sandbox_opts *o)
{
    cws_sandbox *sb = NULL;
    CHECK_INT(cws_session_sandbox(api_session(t), o, &sb, &t->err), CWS_OK);
    if (sb) t->boxes[t->box_count++] = sb;
    return sb;
}

static void op_refuse(api *t, const char *code, const char *reason, const char *domain)
{
    script_error(&t->s, "CreateSandbox", code, "no room", script_reason(&t->s, reason, domain));
}

static void op_test_spillover(void)
{
    static const char *const room[] = {
        "CWSANDBOX_RUNNER_CAPACITY_EXHAUSTED",        "CWSANDBOX_PLACEMENT_REJECTED",
        "CWSANDBOX_PLACEMENT_CONSTRAINT_UNSATISFIED", "CWSANDBOX_NO_SUITABLE_RUNNER",
        "CWSANDBOX_RUNNER_OVERLOADED",                "CWSANDBOX_RUNNER_UNAVAILABLE"};
    static const char *const other[] = {"CWSANDBOX_SERVERLESS_NOT_ALLOWED",
                                        "CWSANDBOX_SERVERLESS_DISABLED",
                                        "CWSANDBOX_SERVERLESS_MISCONFIGURED",
                                        "CWSANDBOX_SOMETHING"};
    EACH("30: a create that is refused for want of room is tried once with the other placement") {
        size_t i;
        cws_sandbox_opts o = {.runner_ids = STRINGS("r"),
                              .spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS};
        for (i = 0; i < CWSI_COUNT(room); i++) {
            cws_sandbox *sb = op_box(t, &o);
            size_t n = script_count(&t->s, "CreateSandbox");
            op_refuse(t, i == 5 ? "unavailable" : "failed_precondition", room[i], "cwsandbox.com");
            op_ok(t, "CreateSandbox", "{'sandboxId':'sb-1'}");
            CHECK_INT(api_start(t, sb), CWS_OK);
            CHECK_INT(script_count(&t->s, "CreateSandbox"), n + 2);
            HAS(script_json(&t->s, "CreateSandbox", n), "\"runnerIds\":[\"r\"]");
            HAS(script_json(&t->s, "CreateSandbox", n), "\"mode\":\"SANDBOX_MODE_CKS\"");
            HAS_NOT(script_json(&t->s, "CreateSandbox", n + 1), "runnerIds");
            HAS(script_json(&t->s, "CreateSandbox", n + 1),
                "\"mode\":\"SANDBOX_MODE_SERVERLESS\"");
            CHECK(strcmp(strstr(script_json(&t->s, "CreateSandbox", n), "requestId"),
                         strstr(script_json(&t->s, "CreateSandbox", n + 1), "requestId")) != 0);
        }
    }
    EACH("30: the other way round; and no more than once") {
        cws_sandbox_opts o = {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS};
        cws_sandbox *sb = op_box(t, &o);
        op_refuse(t, "failed_precondition", room[0], "cwsandbox.com");
        op_refuse(t, "failed_precondition", room[1], "cwsandbox.com");
        CHECK(api_start(t, sb) != CWS_OK);
        CHECK_STR(t->err.reason, room[1]); /* that of the second; the first is in the log */
        HAS(t->said, "RUNNER_CAPACITY_EXHAUSTED); trying the other placement");
        HAS(script_json(&t->s, "CreateSandbox", 0), "\"mode\":\"SANDBOX_MODE_SERVERLESS\"");
        HAS(script_json(&t->s, "CreateSandbox", 1), "\"mode\":\"SANDBOX_MODE_CKS\"");
        op_ok(t, "CreateSandbox", "{'sandboxId':'sb-1'}"); /* later: the first again */
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_json(&t->s, "CreateSandbox", 2), script_json(&t->s, "CreateSandbox", 0));
    }
    EACH("30: STRICT, of its own or as the default, has a single attempt") {
        cws_sandbox_opts o = {.placement = CWS_PLACEMENT_CKS}, own = o;
        size_t i;
        own.spillover = CWS_SPILLOVER_STRICT;
        for (i = 0; i < 2; i++) {
            op_refuse(t, "failed_precondition", room[0], "cwsandbox.com");
            CHECK(api_start(t, op_box(t, i ? &own : &o)) != CWS_OK);
            CHECK_STR(t->err.reason, room[0]);
            CHECK_INT(script_count(&t->s, "CreateSandbox"), i + 1);
        }
    }
    EACH("30: after a second refusal the first create is the next, or the second if in doubt") {
        static const struct {
            const char *code, *reason;
            bool doubt;
        } rows[] = {{"failed_precondition", "CWSANDBOX_NO_SUITABLE_RUNNER", false},
                    {"unavailable", "CWSANDBOX_RUNNER_UNAVAILABLE", false},
                    {"failed_precondition", "CWSANDBOX_SERVERLESS_NOT_ALLOWED", false},
                    {"permission_denied", "CWSANDBOX_SERVERLESS_DISABLED", false},
                    {"permission_denied", NULL, false},
                    {"unauthenticated", NULL, false},
                    {"not_found", NULL, false},
                    {"resource_exhausted", "CWSANDBOX_QUOTA", false},
                    {"internal", "CWSANDBOX_SOMETHING", false},
                    {"unavailable", NULL, true},
                    {"unavailable", "CWSANDBOX_BACKEND_UNAVAILABLE", true},
                    {"deadline_exceeded", NULL, true},
                    {"canceled", NULL, true},
                    {"internal", NULL, true}};
        size_t i;
        cws_sandbox_opts o = {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS};
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            cws_sandbox *sb = op_box(t, &o);
            size_t n = script_count(&t->s, "CreateSandbox");
            op_refuse(t, "failed_precondition", room[0], "cwsandbox.com");
            script_error(&t->s, "CreateSandbox", rows[i].code, "why",
                         rows[i].reason ? script_reason(&t->s, rows[i].reason, "cwsandbox.com")
                                        : NULL);
            CHECK(api_start(t, sb) != CWS_OK);
            CHECK_STR(t->err.reason, rows[i].reason ? rows[i].reason : "");
            HAS(script_json(&t->s, "CreateSandbox", n + 1), "CKS");
            op_ok(t, "CreateSandbox", "{'sandboxId':'sb-1'}");
            CHECK_INT(api_start(t, sb), CWS_OK);
            CHECK_INT(script_count(&t->s, "CreateSandbox"), n + 3);
            CHECK_STR(script_json(&t->s, "CreateSandbox", n + 2),
                      script_json(&t->s, "CreateSandbox", n + rows[i].doubt));
        }
    }
    EACH("30: while the first create is in doubt there is no second") {
        cws_sandbox_opts o = {.spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS};
        cws_sandbox *sb = op_box(t, &o);
        script_end(&t->s, "CreateSandbox", CWS_END_LOST);
        op_refuse(t, "resource_exhausted", room[0], "cwsandbox.com");
        CHECK_INT(api_start(t, sb), CWS_ERR_RESOURCE_EXHAUSTED);
        CHECK_INT(script_count(&t->s, "CreateSandbox"), 2);
        op_ok(t, "CreateSandbox", "{'sandboxId':'sb-1'}"); /* a stop asks again, and deletes */
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(script_json(&t->s, "CreateSandbox", 2), script_json(&t->s, "CreateSandbox", 0));
        CHECK_STR(api_calls(t), "CreateSandbox CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("30: other refusals, and other people's reasons, are the result") {
        size_t i;
        cws_sandbox_opts o = {.spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS};
        for (i = 0; i < CWSI_COUNT(other) + 5; i++) {
            cws_sandbox *sb = op_box(t, &o);
            size_t n = script_count(&t->s, "CreateSandbox");
            if (i < CWSI_COUNT(other))
                op_refuse(t, "failed_precondition", other[i], "cwsandbox.com");
            else if (i == CWSI_COUNT(other))
                op_refuse(t, "failed_precondition", room[0], "example.com");
            else if (i == CWSI_COUNT(other) + 1)
                script_error(&t->s, "CreateSandbox", "invalid_argument", "", NULL);
            else if (i == CWSI_COUNT(other) + 2)
                script_error(&t->s, "CreateSandbox", "unauthenticated", "", NULL);
            else if (i == CWSI_COUNT(other) + 3)
                script_error(&t->s, "CreateSandbox", "permission_denied", "", NULL);
            else script_error(&t->s, "CreateSandbox", "resource_exhausted", "", NULL);
            CHECK(api_start(t, sb) != CWS_OK);
            CHECK_INT(script_count(&t->s, "CreateSandbox"), n + 1);
        }
    }
    EACH("30: while the second create is in doubt, it is the one that is repeated") {
        cws_sandbox_opts o = {.spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS};
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = op_box(t, &o);
        op_refuse(t, "failed_precondition", room[0], "cwsandbox.com");
        script_end(&t->s, "CreateSandbox", CWS_END_LOST);
        CHECK(api_start(t, sb) != CWS_OK);
        op_refuse(t, "failed_precondition", room[0], "cwsandbox.com"); /* spills no more */
        CHECK(api_start(t, sb) != CWS_OK);
        CHECK_INT(script_count(&t->s, "CreateSandbox"), 3);
        CHECK_STR(script_json(&t->s, "CreateSandbox", 2), script_json(&t->s, "CreateSandbox", 1));
    }
    EACH("spillover and placement that contradict each other are refused") {
        cws_sandbox_opts bad[] = {{.spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS,
                                   .placement = CWS_PLACEMENT_SERVERLESS},
                                  {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS,
                                   .placement = CWS_PLACEMENT_CKS},
                                  {.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS,
                                   .runner_ids = STRINGS("r")},
                                  {.spillover = (cws_spillover)9}};
        cws_sandbox *sb = NULL;
        size_t i;
        for (i = 0; i < CWSI_COUNT(bad); i++)
            CHECK_INT(cws_session_sandbox(api_session(t), &bad[i], &sb, &t->err),
                      CWS_ERR_INVALID_ARGUMENT);
        CHECK(!sb);
    }
}

static void op_test_template(void)
{
    EACH("29: from a template only what is given is sent, and the tags of the session") {
        cws_pair env[] = {{"A", "1"}, {NULL, NULL}};
        cws_sandbox_opts nothing = {.template_id = "t-1"};
        cws_sandbox_opts some = {.template_id = "t-1",
                                 .container_image = "alpine",
                                 .command = "/bin/a",
                                 .args = STRINGS("b"),
                                 .tags = STRINGS("own"),
                                 .display_name = "d",
                                 .max_lifetime_seconds = 5};
        t->defaults.environment_variables = env;
        t->defaults.container_image = "other";
        t->defaults.max_lifetime_seconds = 77;
        t->defaults.tags = STRINGS("all");
        op_ok(t, "CreateSandboxFromTemplate", "{'sandboxId':'sb-1'}")->times = 2;
        CHECK_INT(api_start(t, op_box(t, &nothing)), CWS_OK);
        HAS(script_json(&t->s, "CreateSandboxFromTemplate", 0),
            "{\"templateId\":\"t-1\",\"overrides\":{\"tags\":[\"all\"]},\"requestId\":");
        CHECK_INT(api_start(t, op_box(t, &some)), CWS_OK);
        HAS(script_json(&t->s, "CreateSandboxFromTemplate", 1),
            "\"overrides\":{\"containers\":[{\"name\":\"main\",\"image\":\"alpine\",\"command\":"
            "\"/bin/a\",\"args\":[\"b\"]}],\"maxLifetimeSeconds\":5,\"tags\":[\"all\",\"own\"]}");
        HAS(script_json(&t->s, "CreateSandboxFromTemplate", 1), "\"displayName\":\"d\"");
    }
    EACH("29: what a template can not take is refused") {
        cws_image_credentials c = {"r", "s", "n", NULL};
        cws_sandbox_opts bad[] = {{.template_id = ""},
                                  {.template_id = "t", .command = "/bin/a"},
                                  {.template_id = "t", .args = STRINGS("a")},
                                  {.template_id = "t",
                                   .environment_variables = PAIRS({"A", "1"})},
                                  {.template_id = "t",
                                   .mounted_files = FILES({"/a", "b", 1}),
                                   .mounted_file_count = 1},
                                  {.template_id = "t",
                                   .volumes = VOLUMES({.name = "v", .mount_path = "/v"}),
                                   .volume_count = 1},
                                  {.template_id = "t",
                                   .file_system = &(const cws_file_system){.mount_path = "/w"}},
                                  {.template_id = "t",
                                   .secrets = SECRETS({"s", "n", NULL, NULL}),
                                   .secret_count = 1},
                                  {.template_id = "t", .resources = RESOURCES(.cpu = "1")},
                                  {.template_id = "t", .working_dir = "/w"},
                                  {.template_id = "t",
                                   .security = &(const cws_security){.privileged = CWS_NO}},
                                  {.template_id = "t",
                                   .startup_probe = &(const cws_probe){.argv = STRINGS("x")}},
                                  {.template_id = "t",
                                   .container_image = "",
                                   .containers = (const cws_container[]){{.name = "a",
                                                                          .image = "i"}},
                                   .container_count = 1},
                                  {.template_id = "t",
                                   .container_image = "i",
                                   .args = STRINGS("a")},
                                  {.template_id = "t",
                                   .container_image = "i",
                                   .image_credentials = &c},
                                  {.template_id = "t",
                                   .spillover = CWS_SPILLOVER_CKS_THEN_SERVERLESS}};
        cws_sandbox *sb = NULL;
        size_t i;
        for (i = 0; i < CWSI_COUNT(bad); i++) {
            if (!CHECK_INT(cws_session_sandbox(api_session(t), &bad[i], &sb, &t->err),
                           CWS_ERR_INVALID_ARGUMENT))
                printf("    row %lu\n", (unsigned long)i);
            HAS(t->err.message, "template_id");
        }
        CHECK(!sb);
        CHECK_INT(t->s.call_count, 0);
    }
}

int main(int argc, char **argv)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 4096);
    test_init(argc, argv);
    op_test_shapes();
    op_test_lacks();
    op_test_bad();
    op_test_states();
    op_test_start();
    op_test_stop();
    op_test_list();
    op_test_files();
    op_test_exec();
    op_test_logs();
    op_test_replies();
    op_test_echo_v1();
    op_test_echo_b2();
    op_test_cut();
    op_test_copies();
    op_test_together();
    op_test_spillover();
    op_test_template();
    return test_summary();
}
