/* SPDX-License-Identifier: MIT
 *
 * The public functions over a scripted transport and a clock that only moves when somebody waits.
 * A scenario is written once and runs up to four times: blocking calls; X_begin, poll and callback;
 * the same over gRPC; blocking calls over a blocking transport. The names tell the promise; numbers
 * are those of the lists of test cases that the service's own clients were written against (L:
 * lifecycle, EX RD FL RW: commands and files). Usage:
 *
 *     api [part of a test's name]
 */
#include "harness.h"

#include <math.h>

/* ---- options, merging, the create request ---------------------------------------------------- */

/* The create request of a sandbox with these options, as JSON; made by starting it. */
static const char *api_created(api *t, const cws_sandbox_opts *o)
{
    cws_sandbox *sb = api_box(t, o);
    size_t n = script_count(&t->s, "CreateSandbox");
    script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
    CHECK_INT(api_start(t, sb), CWS_OK);
    return script_json(&t->s, "CreateSandbox", n);
}

/* These options are refused with a text that has this in it, and nothing is sent. */
static void api_refused(api *t, const cws_sandbox_opts *o, const char *text)
{
    cws_sandbox *sb = NULL;
    CHECK_INT(cws_session_sandbox(api_session(t), o, &sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
    CHECK(sb == NULL);
    CHECK_INT(t->err.status, CWS_ERR_INVALID_ARGUMENT);
    if (!CHECK(strstr(t->err.message, text) != NULL)) printf("    %s\n", t->err.message);
    CHECK_INT(cws_session_sandbox_count(t->session), 0);
    CHECK_INT(t->s.call_count, 0);
}

static void api_test_defaults(void)
{
    EACH("L1: the built-in defaults stand on the wire, and nothing else") {
        if (api_v1_only(t, "the request of a Start is in tests/options.c")) continue;
        t->s.use_fixed = true;
        CHECK_STR(api_created(t, NULL),
                  "{\"sandbox\":{\"spec\":{\"containers\":[{\"name\":\"main\","
                  "\"image\":\"python:3.11\",\"command\":\"/bin/sh\",\"args\":[\"-c\","
                  "\"trap \\\"exit 0\\\" TERM INT; sleep infinity & wait\"]}]}},"
                  "\"requestId\":\"00000000-0000-4000-8000-000000000000\"}");
        CHECK_STR(script_call_at(&t->s, "CreateSandbox", 0)->url,
                  "http://localhost:1/coreweave.sandbox.v1.SandboxService/CreateSandbox");
        CHECK_STR(script_call_at(&t->s, "CreateSandbox", 0)->method, "POST");
        CHECK_INT(script_call_at(&t->s, "CreateSandbox", 0)->timeout_ms, 300000);
    }
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
    ONCE("L3.3: command and image: explicit if not empty, else the session's") {
        if (api_v1_only(t, "the request of a Start is in tests/options.c")) continue;
        cws_sandbox_opts o;
        const char *json;
        memset(&o, 0, sizeof(o));
        t->defaults.container_image = "img:1";
        t->defaults.command = "/srv";
        json = api_created(t, NULL);
        HAS(json, "\"image\":\"img:1\",\"command\":\"/srv\"}");
        o.container_image = "";
        o.command = "";
        json = api_created(t, &o);
        HAS(json, "\"image\":\"img:1\",\"command\":\"/srv\"}");
        o.container_image = "img:2";
        o.command = "ls";
        json = api_created(t, &o);
        HAS(json, "\"image\":\"img:2\",\"command\":\"ls\"}");
    }
    ONCE("L3.3: arguments are the default's only together with the default's command") {
        if (api_v1_only(t, "the request of a Start is in tests/options.c")) continue;
        static const char *const given[] = {"a", "", "b c", NULL};
        static const char *const empty[] = {NULL};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.args = given;
        HAS(api_created(t, NULL), "\"command\":\"/bin/sh\",\"args\":[\"a\",\"\",\"b c\"]");
        o.command = "ls";
        HAS(api_created(t, &o), "\"command\":\"ls\"}");
        o.args = given;
        HAS(api_created(t, &o), "\"command\":\"ls\",\"args\":[\"a\",\"\",\"b c\"]");
        o.command = NULL;
        o.args = empty;
        HAS(api_created(t, &o), "\"command\":\"/bin/sh\"}");
        o.args = NULL;
        HAS(api_created(t, &o), "\"args\":[\"a\",\"\",\"b c\"]");
    }
    ONCE("L3.3: a command without arguments has none, explicit or as default") {
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.command = "ls";
        HAS_NOT(api_created(t, &o), "args");
    }
    ONCE("L2: tags: the session's first, then the given ones, no duplicate removed") {
        static const char *const first[] = {"a", "b", NULL}, *const second[] = {"b", "c", NULL};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.tags = first;
        HAS(api_created(t, NULL), "\"tags\":[\"a\",\"b\"]");
        o.tags = second;
        HAS(api_created(t, &o), "\"tags\":[\"a\",\"b\",\"b\",\"c\"]");
    }
    ONCE("L2: tags of the sandbox alone") {
        static const char *const tags[] = {"x.y_z-1", NULL};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.tags = tags;
        HAS(api_created(t, &o), "\"tags\":[\"x.y_z-1\"]");
    }
    ONCE("L2: tags the service would refuse are refused") {
        static const char *const bad[][2] = {{"", NULL},   {"a b", NULL}, {"a/", NULL},
                                             {"a-", NULL}, {".", NULL},   {"\xc3\xa4", NULL}};
        char text[61];
        const char *longest[2];
        size_t i;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            o.tags = bad[i];
            api_refused(t, &o, "tags[0]");
        }
        memset(text, 'a', 60);
        text[60] = '\0';
        longest[0] = text;
        longest[1] = NULL;
        o.tags = longest;
        api_refused(t, &o, "tags[0]");
    }
    ONCE("L3: environment and annotations: union, the sandbox's value wins per key") {
        if (api_v1_only(t, "the request of a Start is in tests/options.c")) continue;
        static const cws_pair env1[] = {{"A", "1"}, {"B", "2"}, {NULL, NULL}};
        static const cws_pair env2[] = {{"B", "3"}, {"C", ""}, {NULL, NULL}};
        static const cws_pair note1[] = {{"x", "1"}, {NULL, NULL}};
        static const cws_pair note2[] = {{"x", "2"}, {"y", "3"}, {NULL, NULL}};
        static const cws_pair none[] = {{NULL, NULL}};
        cws_sandbox_opts o;
        const char *json;
        memset(&o, 0, sizeof(o));
        t->defaults.environment_variables = env1;
        t->defaults.annotations = note1;
        json = api_created(t, NULL);
        HAS(json, "\"environmentVariables\":{\"A\":\"1\",\"B\":\"2\"}");
        HAS(json, "\"annotations\":{\"x\":\"1\"}");
        o.environment_variables = env2;
        o.annotations = note2;
        json = api_created(t, &o);
        HAS(json, "\"environmentVariables\":{\"A\":\"1\",\"B\":\"3\",\"C\":\"\"}");
        HAS(json, "\"annotations\":{\"x\":\"2\",\"y\":\"3\"}");
        o.environment_variables = none;
        o.annotations = none;
        json = api_created(t, &o);
        HAS(json, "\"environmentVariables\":{\"A\":\"1\",\"B\":\"2\"}");
    }
    ONCE("L3: without annotations and environment the fields are not sent") {
        const char *json = api_created(t, NULL);
        HAS_NOT(json, "annotations");
        HAS_NOT(json, "environment");
    }
    ONCE("L3: the options are copied: changing them afterwards changes nothing") {
        char key[4] = "KEY", value[4] = "val", tag[4] = "tag";
        const char *tags[2];
        cws_pair env[2];
        cws_sandbox_opts o;
        cws_sandbox *sb;
        memset(&o, 0, sizeof(o));
        memset(env, 0, sizeof(env));
        env[0].key = key;
        env[0].value = value;
        tags[0] = tag;
        tags[1] = NULL;
        o.environment_variables = env;
        o.tags = tags;
        sb = api_box(t, &o);
        memset(key, 'X', 3);
        memset(value, 'X', 3);
        memset(tag, 'X', 3);
        memset(env, 0x5a, sizeof(env));
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        HAS(script_json(&t->s, "CreateSandbox", 0), "{\"KEY\":\"val\"}");
        HAS(script_json(&t->s, "CreateSandbox", 0), "[\"tag\"]");
    }
    ONCE("L3: maps with a bad key or value are refused") {
        static const cws_pair bad[][2] = {{{"", "v"}, {NULL, NULL}},
                                          {{"A=B", "v"}, {NULL, NULL}},
                                          {{"A", NULL}, {NULL, NULL}},
                                          {{"A", "\xff"}, {NULL, NULL}},
                                          {{"\xff", "v"}, {NULL, NULL}}};
        cws_pair many[102];
        char keys[101][8];
        size_t i;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            o.environment_variables = bad[i];
            api_refused(t, &o, "environment_variables");
        }
        o.environment_variables = NULL;
        o.annotations = bad[0];
        api_refused(t, &o, "annotations");
        o.annotations = bad[2];
        api_refused(t, &o, "annotations");
        memset(many, 0, sizeof(many));
        for (i = 0; i < 101; i++) {
            (void)snprintf(keys[i], sizeof(keys[i]), "k%d", (int)i);
            many[i].key = keys[i];
            many[i].value = "v";
        }
        o.annotations = many;
        api_refused(t, &o, "at most 100");
    }
    ONCE("L6: runner_ids: given ones win, empty clears, absent takes the default's; mode is CKS") {
        if (api_v1_only(t, "the request of a Start is in tests/options.c")) continue;
        static const char *const session[] = {"r1", "r2", NULL}, *const own[] = {"r3", NULL};
        static const char *const empty[] = {NULL};
        cws_sandbox_opts o;
        const char *json;
        memset(&o, 0, sizeof(o));
        t->defaults.runner_ids = session;
        json = api_created(t, NULL);
        HAS(json, "\"runnerIds\":[\"r1\",\"r2\"]");
        HAS(json, "\"mode\":\"SANDBOX_MODE_CKS\"");
        o.runner_ids = own;
        json = api_created(t, &o);
        HAS(json, "\"runnerIds\":[\"r3\"]");
        o.runner_ids = empty;
        json = api_created(t, &o);
        HAS_NOT(json, "runnerIds");
        HAS_NOT(json, "mode");
    }
    ONCE("L6: an empty default of runner_ids is none; blank and repeated ids are refused") {
        static const char *const empty[] = {NULL};
        static const char *const blank[] = {"a", "  ", NULL}, *const twice[] = {"a", "a", NULL};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.runner_ids = empty;
        o.runner_ids = blank;
        api_refused(t, &o, "runner_ids[1]");
        o.runner_ids = twice;
        api_refused(t, &o, "runner_ids[1]");
        HAS_NOT(api_created(t, NULL), "runnerIds");
    }
    ONCE("L3.3: the lifetime: given, else the session's, else not sent; bounds") {
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.max_lifetime_seconds = 60;
        o.max_lifetime_seconds = -1;
        api_refused(t, &o, "max_lifetime_seconds");
        o.max_lifetime_seconds = 2592001;
        api_refused(t, &o, "max_lifetime_seconds");
        HAS(api_created(t, NULL), "\"maxLifetimeSeconds\":60");
        o.max_lifetime_seconds = 2592000;
        HAS(api_created(t, &o), "\"maxLifetimeSeconds\":2592000");
    }
    ONCE("L1: without a lifetime the service decides") {
        HAS_NOT(api_created(t, NULL), "axLifetime");
    }
    EACH("L23: the request timeout: given, else the session's, else the client's") {
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->copts.request_timeout_seconds = 50;
        (void)api_created(t, NULL);
        CHECK_INT(script_call_at(&t->s, "CreateSandbox", 0)->timeout_ms, 50000);
        o.request_timeout_seconds = 0.5;
        (void)api_created(t, &o);
        CHECK_INT(script_call_at(&t->s, "CreateSandbox", 1)->timeout_ms, 500);
    }
    ONCE("L23: the session's request timeout") {
        t->defaults.request_timeout_seconds = 7;
        (void)api_created(t, NULL);
        CHECK_INT(script_call_at(&t->s, "CreateSandbox", 0)->timeout_ms, 7000);
        HAS(script_call_at(&t->s, "CreateSandbox", 0)->headers, "connect-timeout-ms: 7000\n");
    }
    ONCE("L28: mounted files: path and bytes, empty files too") {
        if (api_v1_only(t, "the request of a Start is in tests/options.c")) continue;
        static const cws_mounted_file files[] = {{"/a/b", "\0\xff!", 3}, {"/empty", NULL, 0}};
        static const cws_mounted_file bad[] = {
            {NULL, "x", 1}, {"", "x", 1}, {"rel", "x", 1}, {"/dir/", "x", 1}, {"/a", NULL, 1}};
        size_t i;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.mounted_file_count = 1;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            o.mounted_files = &bad[i];
            api_refused(t, &o, "mounted_files[0]");
        }
        o.mounted_files = NULL;
        api_refused(t, &o, "mounted_files");
        o.mounted_files = files;
        o.mounted_file_count = 2;
        HAS(api_created(t, &o),
            "\"files\":[{\"path\":\"/a/b\",\"content\":\"AP8h\"},{\"path\":\"/empty\"}]");
    }
    ONCE("L3.1: mounted files are no session default") {
        static const cws_mounted_file file = {"/a", "x", 1};
        cws_session *other = NULL;
        cws_session_opts so;
        memset(&so, 0, sizeof(so));
        so.client = api_client(t);
        t->defaults.mounted_files = &file;
        t->defaults.mounted_file_count = 1;
        so.defaults = &t->defaults;
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(other == NULL);
        HAS(t->err.message, "mounted_files");
    }
    ONCE("bad text is refused wherever it is sent") {
        static const char *const args[] = {"ok", "\xed\xa0\x80", NULL};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.container_image = "\xc0\x80";
        api_refused(t, &o, "container_image");
        o.container_image = NULL;
        o.command = "\xff";
        api_refused(t, &o, "command");
        o.command = NULL;
        o.args = args;
        api_refused(t, &o, "args[1]");
    }
}

/* ---- resources and quantities ---------------------------------------------------------------- */

#define SIDES(text) "\"resourceRequirements\":{\"requests\":" text ",\"limits\":" text "}"

static void api_test_resources(void)
{
    ONCE("L11: flat resources stand on both sides; the legacy field is never sent") {
        if (api_v1_only(t, "the request of a Start is in tests/options.c")) continue;
        cws_resources r;
        cws_sandbox_opts o;
        const char *json;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        r.cpu = "500m";
        r.memory = "1Gi";
        json = api_created(t, &o);
        HAS(json, SIDES("{\"cpu\":\"500m\",\"memory\":\"1Gi\"}"));
        HAS_NOT(json, "\"resources\"");
        r.memory = NULL;
        HAS(api_created(t, &o), SIDES("{\"cpu\":\"500m\"}"));
    }
    ONCE("L12: one side is copied to the other; both are kept as given") {
        if (api_v1_only(t, "the request of a Start is in tests/options.c")) continue;
        cws_resources r;
        cws_sandbox_opts o;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        r.request_cpu = "1";
        HAS(api_created(t, &o), SIDES("{\"cpu\":\"1\"}"));
        r.request_cpu = NULL;
        r.limit_memory = "2G";
        HAS(api_created(t, &o), SIDES("{\"memory\":\"2G\"}"));
        r.request_cpu = "1";
        HAS(api_created(t, &o), "\"resourceRequirements\":{\"requests\":{\"cpu\":\"1\"},"
                                "\"limits\":{\"memory\":\"2G\"}}");
        r.limit_cpu = "1000m";
        r.request_memory = "1.5Gi";
        HAS(api_created(t, &o),
            "\"requests\":{\"cpu\":\"1\",\"memory\":\"1.5Gi\"},"
            "\"limits\":{\"cpu\":\"1000m\",\"memory\":\"2G\"}");
    }
    ONCE("L14: a GPU stands on both sides, with a count, a model or a size") {
        if (api_v1_only(t, "the request of a Start is in tests/options.c")) continue;
        cws_resources r;
        cws_sandbox_opts o;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        r.gpu_count = 2;
        HAS(api_created(t, &o), SIDES("{\"gpu\":{\"count\":\"2\"}}"));
        r.gpu_type = "H100";
        HAS(api_created(t, &o), SIDES("{\"gpu\":{\"count\":\"2\",\"type\":\"H100\"}}"));
        r.gpu_type = NULL;
        r.gpu_memory_gb = 40;
        r.cpu = "4";
        HAS(api_created(t, &o),
            SIDES("{\"cpu\":\"4\",\"gpu\":{\"count\":\"2\",\"memoryGb\":\"40\"}}"));
    }
    ONCE("L3.4: resources replace the session's as a whole") {
        if (api_v1_only(t, "the request of a Start is in tests/options.c")) continue;
        cws_resources a, b;
        cws_sandbox_opts o;
        memset(&a, 0, sizeof(a));
        memset(&b, 0, sizeof(b));
        memset(&o, 0, sizeof(o));
        a.cpu = "1";
        a.memory = "1Gi";
        b.cpu = "2";
        t->defaults.resources = &a;
        HAS(api_created(t, NULL), SIDES("{\"cpu\":\"1\",\"memory\":\"1Gi\"}"));
        o.resources = &b;
        HAS(api_created(t, &o), SIDES("{\"cpu\":\"2\"}"));
    }
    ONCE("L11 L12: resources that contradict themselves are refused") {
        cws_resources r;
        cws_sandbox_opts o;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        api_refused(t, &o, "resources: nothing");
        r.cpu = "1";
        r.limit_cpu = "2";
        api_refused(t, &o, "not both");
        r.cpu = NULL;
        r.request_cpu = "2001m";
        api_refused(t, &o, "cpu request '2001m' is above its limit '2'");
        r.request_cpu = NULL;
        r.request_memory = "1025Mi";
        r.limit_memory = "1Gi";
        api_refused(t, &o, "memory request");
        r.request_memory = r.limit_memory = r.limit_cpu = NULL;
        r.gpu_count = -1;
        api_refused(t, &o, "negative");
        r.gpu_count = 1;
        r.gpu_memory_gb = -5;
        api_refused(t, &o, "negative");
        r.gpu_memory_gb = 40;
        r.gpu_type = "A100";
        api_refused(t, &o, "gpu_type or gpu_memory_gb");
    }
    ONCE("L13: quantities that are none are refused, flat and on either side") {
        static const char *const bad[] = {"",     "  ",   "abc", "1.2.3Gi", "abcM", "1e",  "m",
                                          "5e3Mi", "-1",  "1Kii", "1K",     "1mi",  "0x1", "1_0",
                                          "NaN",  "inf",  ".",   "1 Gi",    "1Zi",  "1e3m", "--1"};
        size_t i;
        cws_resources r;
        cws_sandbox_opts o;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            memset(&r, 0, sizeof(r));
            r.memory = bad[i];
            api_refused(t, &o, "memory");
            memset(&r, 0, sizeof(r));
            r.cpu = bad[i];
            api_refused(t, &o, "cpu");
            memset(&r, 0, sizeof(r));
            r.request_cpu = bad[i];
            r.limit_cpu = "1";
            api_refused(t, &o, "cpu");
        }
    }
    ONCE("L13: quantities of every form are taken as they are, and compared exactly") {
        static const char *const good[] = {"100", "0.5", "100m", "1000m", "1Ki", "1Mi", "1Gi",
                                           "1Ti", "1Pi", "1Ei",  "1k",    "1M",  "1G",  "1T",
                                           "1P",  "1E",  "0",    "1e3",   " 1 "};
        static const struct {
            const char *less, *more;
        } order[] = {{"999m", "1"},     {"1k", "1Ki"},       {"1000", "1k"},     {"1e3", "1k"},
                     {"1024", "1Ki"},   {"0.5Gi", "512Mi"},  {"1E", "1Ei"},      {"0", "1m"},
                     {"1.0", "1000m"},  {"9007199254740992", "9007199254740993"}};
        size_t i;
        cws_resources r;
        cws_sandbox_opts o;
        cws_sandbox *sb;
        memset(&r, 0, sizeof(r));
        memset(&o, 0, sizeof(o));
        o.resources = &r;
        for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            r.memory = good[i];
            CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err), CWS_OK);
            CHECK_STR(t->err.message, "");
            cws_sandbox_free(sb);
        }
        r.memory = NULL;
        for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
            r.request_memory = order[i].less;
            r.limit_memory = order[i].more;
            CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err), CWS_OK);
            CHECK_STR(t->err.message, "");
            cws_sandbox_free(sb);
        }
        r.request_memory = "9007199254740993";
        r.limit_memory = "9007199254740992";
        CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
    }
}

/* ---- secrets --------------------------------------------------------------------------------- */

static void api_test_secrets(void)
{
    ONCE("L15: secrets: the session's first, grouped by store in order of first appearance") {
        static const cws_secret first[] = {{"s1", "n1", NULL, NULL}, {"s2", "n2", "f", "V2"}};
        static const cws_secret second[] = {{"s1", "n3", "", NULL}, {"s3", "n4", NULL, "V4"}};
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.secrets = first;
        t->defaults.secret_count = 2;
        o.secrets = second;
        o.secret_count = 2;
        HAS(api_created(t, &o),
            "\"secretStores\":[{\"storeName\":\"s1\",\"secrets\":[{\"path\":\"n1\","
            "\"envVar\":\"n1\"},{\"path\":\"n3\",\"envVar\":\"n3\"}]},"
            "{\"storeName\":\"s2\",\"secrets\":[{\"path\":\"n2\",\"field\":\"f\","
            "\"envVar\":\"V2\"}]},"
            "{\"storeName\":\"s3\",\"secrets\":[{\"path\":\"n4\",\"envVar\":\"V4\"}]}]");
    }
    ONCE("L15: identical secrets collapse to one, also across session and sandbox") {
        static const cws_secret first[] = {{"s", "n", NULL, "V"}, {"s", "n", "", "V"}};
        cws_sandbox_opts o;
        const char *json;
        memset(&o, 0, sizeof(o));
        t->defaults.secrets = first;
        t->defaults.secret_count = 2;
        o.secrets = first;
        o.secret_count = 1;
        json = api_created(t, &o);
        HAS(json, "\"secrets\":[{\"path\":\"n\",\"envVar\":\"V\"}]}]");
    }
    ONCE("L15: two secrets for one variable are refused, both named") {
        static const cws_secret first[] = {{"s", "one", NULL, "V"}};
        static const cws_secret other[] = {
            {"s", "two", NULL, "V"}, {"s", "one", "f", "V"}, {"z", "one", NULL, "V"}};
        size_t i;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.secrets = first;
        t->defaults.secret_count = 1;
        o.secret_count = 1;
        for (i = 0; i < 3; i++) {
            o.secrets = &other[i];
            api_refused(t, &o, "'V'");
            HAS(t->err.message, "'one'");
        }
    }
    ONCE("L15: empty members, a missing list, more than 50") {
        static const cws_secret bad[] = {
            {NULL, "n", NULL, NULL}, {"", "n", NULL, NULL}, {"s", NULL, NULL, NULL},
            {"s", "", NULL, NULL},   {"s", "n", NULL, ""}};
        cws_secret many[51];
        char names[51][8];
        size_t i;
        cws_sandbox_opts o;
        memset(&o, 0, sizeof(o));
        o.secret_count = 1;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            o.secrets = &bad[i];
            api_refused(t, &o, "secrets[0].");
        }
        o.secrets = NULL;
        api_refused(t, &o, "secrets");
        memset(many, 0, sizeof(many));
        for (i = 0; i < 51; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "n%d", (int)i);
            many[i].store = "s";
            many[i].name = names[i];
        }
        o.secrets = many;
        o.secret_count = 51;
        api_refused(t, &o, "at most 50");
        o.secret_count = 50;
        HAS(api_created(t, &o), "\"n49\"");
    }
}

/* ---- the client: address, credentials, limits ------------------------------------------------ */

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

/* ---- bad arguments: before any network ------------------------------------------------------- */

static void api_test_arguments(void)
{
    EACH("must_be_zero of every option struct is looked at, and nothing is sent") {
        cws_sandbox *sb = api_box(t, NULL), *other = NULL;
        cws_session *session = NULL;
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        cws_sandbox_list *list = NULL;
        cws_session_opts so = t->sopts;
        cws_sandbox_opts bo;
        cws_complete_opts co;
        cws_stop_opts st;
        cws_exec_opts eo;
        cws_file_opts fo;
        cws_list_opts lo;
        memset(&bo, 0, sizeof(bo));
        memset(&co, 0, sizeof(co));
        memset(&st, 0, sizeof(st));
        memset(&eo, 0, sizeof(eo));
        memset(&fo, 0, sizeof(fo));
        memset(&lo, 0, sizeof(lo));
        so.must_be_zero = bo.must_be_zero = co.must_be_zero = 1;
        st.must_be_zero = eo.must_be_zero = fo.must_be_zero = lo.must_be_zero = 0xdeadbeef;
        CHECK_INT(cws_session_open(&so, &session, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_session_opts");
        CHECK(!session);
        CHECK_INT(cws_session_sandbox(t->session, &bo, &other, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_sandbox_opts");
        CHECK(!other);
        so.must_be_zero = 0;
        so.defaults = &bo;
        CHECK_INT(cws_session_open(&so, &session, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_complete(t, sb, &co), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_complete_opts");
        CHECK_INT(api_stop(t, sb, &st), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_stop_opts");
        CHECK_INT(api_exec(t, sb, api_true, &eo, &result), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_exec_opts");
        CHECK_INT(api_read(t, sb, "/x", &fo, &bytes), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_file_opts");
        CHECK_INT(api_write(t, sb, "/x", "", 0, &fo), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_list(t, &lo, &list), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_list_opts");
        CHECK(!result && !bytes && !list);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
    }
    EACH("L4: every duration refuses NaN, infinity and negative numbers, and nothing is sent") {
        const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -0.5, -2.0, 1e300};
        cws_sandbox *sb = api_box(t, NULL), *other = NULL;
        cws_session *session = NULL;
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        cws_sandbox_list *list = NULL;
        cws_session_opts so = t->sopts;
        cws_sandbox_opts bo;
        cws_complete_opts co;
        cws_stop_opts st;
        cws_exec_opts eo;
        cws_file_opts fo;
        cws_list_opts lo;
        size_t i;
        memset(&bo, 0, sizeof(bo));
        memset(&co, 0, sizeof(co));
        memset(&eo, 0, sizeof(eo));
        memset(&fo, 0, sizeof(fo));
        memset(&lo, 0, sizeof(lo));
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            so.close_timeout_seconds = bo.request_timeout_seconds = co.timeout_seconds = bad[i];
            eo.timeout_seconds = fo.timeout_seconds = lo.timeout_seconds = bad[i];
            CHECK_INT(cws_session_open(&so, &session, &t->err), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(cws_session_sandbox(t->session, &bo, &other, &t->err),
                      CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(api_wait(t, sb, bad[i]), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(api_complete(t, sb, &co), CWS_ERR_INVALID_ARGUMENT);
            memset(&st, 0, sizeof(st));
            st.graceful_shutdown_seconds = bad[i];
            CHECK_INT(api_stop(t, sb, &st), CWS_ERR_INVALID_ARGUMENT);
            memset(&st, 0, sizeof(st));
            st.timeout_seconds = bad[i];
            CHECK_INT(api_stop(t, sb, &st), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(api_exec(t, sb, api_true, &eo, &result), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "timeout_seconds");
            CHECK_INT(api_read(t, sb, "/x", &fo, &bytes), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(api_write(t, sb, "/x", "", 0, &fo), CWS_ERR_INVALID_ARGUMENT);
            CHECK_INT(api_list(t, &lo, &list), CWS_ERR_INVALID_ARGUMENT);
        }
        memset(&st, 0, sizeof(st));
        st.graceful_shutdown_seconds = 86401; /* a day */
        CHECK_INT(api_stop(t, sb, &st), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_wait(t, sb, CWS_NONE), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    EACH("EX-2 EX-7 EX-8: no command, empty or relative cwd: refused at the call, not counted") {
        static const char *const none[] = {NULL}, *const blank[] = {"", NULL};
        static const char *const bad_text[] = {"echo", "\xff", NULL};
        static const char *const cwds[] = {"",          "relative",      "./relative",
                                           "../parent", "relative/path", "\\x"};
        static const cws_pair env[] = {{"A=B", "x"}, {NULL, NULL}};
        cws_sandbox *sb = api_box(t, NULL);
        cws_result *result = NULL;
        cws_exec_opts o;
        size_t i;
        memset(&o, 0, sizeof(o));
        CHECK_INT(api_exec(t, sb, NULL, NULL, &result), CWS_ERR_INVALID_ARGUMENT);
        CHECK_STR(t->err.message, "Command cannot be empty");
        CHECK_INT(api_exec(t, sb, none, NULL, &result), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_exec(t, sb, blank, NULL, &result), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_exec(t, sb, bad_text, NULL, &result), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "argv[1]");
        for (i = 0; i < sizeof(cwds) / sizeof(cwds[0]); i++) {
            o.cwd = cwds[i];
            CHECK_INT(api_exec(t, sb, api_true, &o, &result), CWS_ERR_INVALID_ARGUMENT);
            CHECK_STR(t->err.message, cwds[i][0] ? "cwd must be an absolute path"
                                                 : "cwd cannot be empty string");
        }
        o.cwd = "/\xff";
        CHECK_INT(api_exec(t, sb, api_true, &o, &result), CWS_ERR_INVALID_ARGUMENT);
        o.cwd = NULL;
        o.env = env;
        CHECK_INT(api_exec(t, sb, api_true, &o, &result), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!result);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 0);
        CHECK_INT(t->s.call_count, 0);
    }
    EACH("bad paths, data and ids are refused before any network") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_bytes *bytes = NULL;
        cws_sandbox *found = NULL;
        char id[200];
        CHECK_INT(api_read(t, sb, NULL, NULL, &bytes), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_read(t, sb, "", NULL, &bytes), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_read(t, sb, "/\xff", NULL, &bytes), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_write(t, sb, "", "x", 1, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_write(t, sb, "/x", NULL, 1, NULL), CWS_ERR_INVALID_ARGUMENT);
        memset(id, 'a', sizeof(id));
        id[128] = '\0';
        CHECK_INT(api_delete(t, NULL, false), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_delete(t, "", false), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_delete(t, "a b", false), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_delete(t, id, false), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_from_id(t, "", false, &found), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_from_id(t, "a\n", false, &found), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!bytes && !found);
        CHECK_INT(t->s.call_count, 0);
    }
    ONCE("NULL where an object is needed is an error, where one is freed it is nothing") {
        cws_error e;
        cws_op *op = (cws_op *)&e;
        cws_process *p = (cws_process *)&e;
        CHECK_INT(cws_sandbox_start(NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_sandbox_start_begin(NULL, &op, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK(op == NULL);
        CHECK_INT(cws_sandbox_start_begin(api_box(t, NULL), NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_exec_begin(NULL, api_true, NULL, &p, NULL), CWS_ERR_INVALID_ARGUMENT);
        CHECK(p == NULL);
        CHECK_INT(cws_exec(t->boxes[0], api_true, NULL, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_read_file(t->boxes[0], "/x", NULL, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_list(t->session, NULL, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_from_id(t->session, "x", false, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_sandbox(t->session, NULL, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_sandbox(NULL, NULL, &t->boxes[1], &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_close(NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_adopt(t->session, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_sandbox_delete(NULL, "x", false, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_client_poll(NULL, 0, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_op_wait(NULL, 0, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_op_result(NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_wait(NULL, 0, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!cws_op_cancel(NULL) && !cws_process_cancel(NULL));
        CHECK(!cws_session_failed(NULL, 0, NULL, NULL));
        CHECK(!cws_op_take_bytes(NULL) && !cws_op_take_list(NULL) && !cws_op_take_sandbox(NULL));
        cws_client_free(NULL);
        cws_session_free(NULL);
        cws_sandbox_free(NULL);
        cws_op_free(NULL);
        cws_process_free(NULL);
        cws_result_free(NULL);
        cws_bytes_free(NULL);
        cws_sandbox_list_free(NULL);
        cws_client_wakeup(NULL);
        CHECK_INT(t->s.call_count, 0);
    }
    ONCE("an error record is cleared at the start of each call that takes one") {
        cws_sandbox *sb = api_box(t, NULL);
        memset(&t->err, 0x5a, sizeof(t->err));
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->err.status, CWS_OK);
        CHECK_STR(t->err.message, "");
        memset(&t->err, 0x5a, sizeof(t->err));
        CHECK_INT(cws_sandbox_stop(sb, NULL, &t->err), CWS_OK);
        CHECK_STR(t->err.message, "");
        CHECK_INT(t->err.detail_size, 0);
    }
}

/* ---- start ----------------------------------------------------------------------------------- */

static void api_test_start(void)
{
    EACH("L26: start gives an id and PENDING, whatever the reply's state; nothing else is sent") {
        cws_sandbox *sb = api_box(t, NULL);
        CHECK_STR(cws_sandbox_id(sb), "");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        script_ok(&t->s, "CreateSandbox", BOX("RUNNING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PENDING);
        CHECK(cws_sandbox_get_info(sb)->updated_unix_ms == script_unix(&t->s));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    STREAMING("L26: one create, however many callers start it at once") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *ops[5];
        size_t i, done = 0;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 700;
        for (i = 0; i < 5; i++)
            CHECK_INT(cws_sandbox_start_begin(sb, &ops[i], &t->err), CWS_OK);
        CHECK_INT(t->s.opens, 0); /* nothing moves inside a begin */
        CHECK_INT(cws_wait_many(ops, 5, CWS_ALL, -1, NULL, &done, &t->err), CWS_OK);
        CHECK_INT(done, 5);
        for (i = 0; i < 5; i++) {
            CHECK_INT(cws_op_result(ops[i], &t->err), CWS_OK);
            cws_op_free(ops[i]);
        }
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    EACH("L26: a create with a definite failure can be started again, with the same request id") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        char first[800];
        script_error(&t->s, "CreateSandbox", "invalid_argument", "no such image",
                     script_reason(&t->s, "CWSANDBOX_INVALID_REQUEST", "cwsandbox.com"));
        CHECK_INT(api_start(t, sb), CWS_ERR_SANDBOX);
        HAS(t->err.message, "Create sandbox");
        HAS(t->err.message, "no such image");
        CHECK_STR(t->err.reason, "CWSANDBOX_INVALID_REQUEST");
        CHECK_INT(t->err.rpc_code, 3);
        CHECK_INT(t->err.http_status, t->mode == API_GRPC ? 200 : 400);
        CHECK(strlen(t->err.request_id) == 36);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        (void)snprintf(first, sizeof(first), "%s", script_json(&t->s, "CreateSandbox", 0));
        HAS(first, t->err.request_id);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_json(&t->s, "CreateSandbox", 1), first);
    }
    ONCE("two sandboxes have different request ids, in the form of a version 4 UUID") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        char a[800];
        const char *at;
        (void)snprintf(a, sizeof(a), "%s", api_created(t, NULL));
        CHECK(strcmp(a, api_created(t, NULL)) != 0);
        at = strstr(a, "\"requestId\":\"");
        if (CHECK(at != NULL)) {
            CHECK(at[13 + 8] == '-' && at[13 + 13] == '-' && at[13 + 14] == '4');
            CHECK(strchr("89ab", at[13 + 19]) != NULL);
        }
    }
    EACH("an ambiguous create is repeated by itself, with the same request id") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        static const cws_end ends[] = {CWS_END_LOST, CWS_END_NOT_SENT, CWS_END_REFUSED};
        cws_sandbox *sb = api_box(t, NULL);
        size_t i;
        for (i = 0; i < 3; i++) script_end(&t->s, "CreateSandbox", ends[i]);
        script_error(&t->s, "CreateSandbox", "unavailable", "later", NULL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_INT(t->s.call_count, 5);
        for (i = 1; i < 5; i++)
            CHECK_STR(script_json(&t->s, "CreateSandbox", i),
                      script_json(&t->s, "CreateSandbox", 0));
    }
    EACH("an ambiguous create that is given up is repeated, with the same id, by a later start") {
        cws_sandbox *sb = api_box(t, NULL);
        t->err.status = CWS_OK;
        script_end(&t->s, "CreateSandbox", CWS_END_LOST)->times = -1;
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        CHECK(t->err.retryable);
        t->s.first->times = 0;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_STR(script_json(&t->s, "CreateSandbox", t->s.call_count - 1),
                  script_json(&t->s, "CreateSandbox", 0));
    }
    EACH("a create that the server never answers ends with the request timeout") {
        cws_sandbox *sb = api_box(t, NULL);
        int64_t from = t->s.now;
        script_never(&t->s, "CreateSandbox");
        CHECK_INT(api_start(t, sb), CWS_ERR_REQUEST_TIMEOUT);
        CHECK(cws_status_is(t->err.status, CWS_ERR_TIMEOUT));
        CHECK(t->s.now - from >= 300000 && t->s.now - from <= 300001);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    EACH("L26: CANCELLED by the server is a sandbox that is not running") {
        script_error(&t->s, "CreateSandbox", "canceled", "", NULL);
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "Create sandbox was cancelled");
    }
    EACH("a create reply without a sandbox id is an error, and what it made is stopped later") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        script_ok(&t->s, "CreateSandbox", "{}");
        CHECK_INT(api_start(t, sb), CWS_ERR_PROTOCOL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("a create reply of garbage leaves the outcome open: stop asks again, then deletes") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        script_raw(&t->s, "CreateSandbox", 200, "application/proto", "\x0a\x7fzz", 4);
        CHECK_INT(api_start(t, sb), CWS_ERR_PROTOCOL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("stop of a create with unknown outcome repeats the create to learn the id, then deletes") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        t->copts.poll_retry_budget_seconds = 0;
        script_never(&t->s, "CreateSandbox");
        CHECK_INT(api_start(t, sb), CWS_ERR_REQUEST_TIMEOUT);
        script_ok(&t->s, "CreateSandbox", BOX("RUNNING"));
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
        CHECK_STR(script_json(&t->s, "CreateSandbox", 1), script_json(&t->s, "CreateSandbox", 0));
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("stop of an unknown create fails while it stays unknown, and may be repeated") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_LOST)->times = 2;
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_TRANSPORT);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        script_error(&t->s, "CreateSandbox", "failed_precondition", "no",
                     script_reason(&t->s, "CWSANDBOX_PLACEMENT_REJECTED", "cwsandbox.com"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK); /* now it is known: there is none */
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
    }
    EACH("doubt about a create stays when a later attempt did not even leave") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_LOST);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        script_end(&t->s, "CreateSandbox", CWS_END_NOT_SENT);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox CreateSandbox DeleteSandbox");
    }
    EACH("L30: a create that failed without a reason is in doubt; with one it is settled") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        static const char *const codes[] = {"internal", "unknown"};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_box(t, NULL);
            t->s.call_count = 0;
            script_error(&t->s, "CreateSandbox", codes[i], "oops", NULL);
            CHECK_INT(api_start(t, sb), CWS_ERR_SANDBOX);
            script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
            api_ended(t, "sb-1", "COMPLETED");
            CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
            CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox DeleteSandbox");
            sb = api_box(t, NULL);
            t->s.call_count = 0;
            script_error(&t->s, "CreateSandbox", codes[i], "oops",
                         script_reason(&t->s, "CWSANDBOX_NO_SUITABLE_RUNNER", "cwsandbox.com"));
            CHECK_INT(api_start(t, sb), CWS_ERR_SANDBOX);
            CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
            CHECK_STR(script_calls(&t->s), "CreateSandbox");
        }
    }
    EACH("a create that never left is settled: stop cancels for good without another call") {
        cws_sandbox *sb;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_NOT_SENT);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        HAS(t->err.message, "no connection");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    STREAMING("L48: stop during a start in flight waits for the id and then deletes") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *start = NULL, *stop = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 3000;
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 10, &t->err), CWS_OK);
        CHECK_INT(t->s.opens, 1);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &stop, &t->err), CWS_OK);
        CHECK_INT(api_drive(t, stop), CWS_OK);
        CHECK_INT(cws_op_result(start, &t->err), CWS_OK);
        CHECK_STR(api_calls(t), "CreateSandbox DeleteSandbox");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_op_free(start);
        cws_op_free(stop);
    }
    STREAMING("stop during a start that was cancelled by its only caller still deletes") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *start = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 3000;
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 10, &t->err), CWS_OK);
        CHECK(cws_op_cancel(start));
        CHECK_INT(cws_op_wait(start, -1, &t->err), CWS_ERR_CANCELLED);
        cws_op_free(start);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(api_calls(t), "CreateSandbox DeleteSandbox");
    }
    EACH("L34 L48: stop before start: for good, without a call; everything later says so") {
        cws_sandbox *sb = api_box(t, NULL), *found = NULL;
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        cws_state state = CWS_STATE_RUNNING;
        CHECK_INT(api_status(t, sb, &state), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "not been started");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "stopped before it was started");
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "stopped before it was started");
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "has been stopped");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_write(t, sb, "/x", "", 0, NULL), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_status(t, sb, &state), CWS_ERR_NOT_RUNNING);
        HAS(t->err.message, "stopped before it was started");
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 1);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 1);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK(!result && !bytes && !found);
    }
    EACH("L26: exec, wait, wait_until_complete and files start an unstarted sandbox") {
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->times = 5;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = 4;
        CHECK_INT(api_wait(t, api_box(t, NULL), 0), CWS_OK);
        api_answer(t, 0, "", "");
        CHECK_INT(api_exec(t, api_box(t, NULL), api_true, NULL, &result), CWS_OK);
        cws_result_free(result);
        script_ok(&t->s, "ReadFile", "{}");
        CHECK_INT(api_read(t, api_box(t, NULL), "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        script_ok(&t->s, "WriteFile", "{}");
        CHECK_INT(api_write(t, api_box(t, NULL), "/x", "", 0, NULL), CWS_OK);
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_complete(t, api_box(t, NULL), NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 13);
    }
}

/* ---- the state machine ----------------------------------------------------------------------- */

static void api_test_states(void)
{
    EACH("L31: each number on the wire is one state; an unknown one is unspecified, and shown") {
        if (api_v1_only(t, "the numbers of v1beta2 are in tests/options.c")) continue;
        static const struct {
            const char *number;
            cws_state state;
            int32_t shown;
            bool terminal;
        } table[] = {{"0", CWS_STATE_UNSPECIFIED, 0, false}, {"1", CWS_STATE_CREATING, 1, false},
                     {"2", CWS_STATE_RUNNING, 2, false},     {"3", CWS_STATE_COMPLETED, 3, true},
                     {"4", CWS_STATE_FAILED, 4, true},       {"5", CWS_STATE_TERMINATING, 5, false},
                     {"6", CWS_STATE_TERMINATED, 6, true},   {"7", CWS_STATE_PENDING, 7, false},
                     {"8", CWS_STATE_PAUSED, 8, false},      {"9", CWS_STATE_PREPARING, 9, false},
                     {"77", CWS_STATE_UNSPECIFIED, 77, false},
                     {"-3", CWS_STATE_UNSPECIFIED, -3, false}};
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            char json[100];
            cws_sandbox *sb;
            (void)snprintf(json, sizeof(json), "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":%s}}",
                           table[i].number);
            sb = api_found(t, json);
            CHECK_INT(cws_sandbox_state(sb), table[i].state);
            CHECK_INT(cws_sandbox_get_info(sb)->state, table[i].state);
            CHECK_INT(cws_sandbox_get_info(sb)->state_number, table[i].shown);
            CHECK(cws_state_is_terminal(cws_sandbox_state(sb)) == table[i].terminal);
            CHECK(cws_state_name(cws_sandbox_state(sb))[0] != '\0');
        }
        CHECK_STR(cws_state_name((cws_state)99), "unspecified");
        CHECK_STR(cws_state_name(CWS_STATE_RUNNING), "running");
    }
    EACH("L31: a reply without a status is unspecified") {
        CHECK_INT(cws_sandbox_state(api_found(t, "{\"sandboxId\":\"sb-1\"}")),
                  CWS_STATE_UNSPECIFIED);
    }
    EACH("L7.3: the info of a sandbox: reason, runner, times, exit code of any answer") {
        const cws_sandbox_info *info;
        cws_sandbox *sb = api_found(
            t, "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_FAILED\","
               "\"stateReason\":\"image not found\",\"runnerId\":\"r\",\"runnerGroupId\":\"g\","
               "\"createTime\":\"2026-01-02T03:04:05.678Z\",\"startTime\":\"1970-01-01T00:00:01Z\","
               "\"endTime\":\"1970-01-01T00:00:02Z\",\"exitCode\":0}}");
        info = cws_sandbox_get_info(sb);
        CHECK_STR(info->sandbox_id, "sb-1");
        CHECK_STR(info->status_reason, "image not found");
        CHECK_STR(info->runner_id, "r");
        CHECK_STR(info->runner_group_id, "g");
        CHECK_INT(info->create_unix_ms, t->s.b2 ? 0 : 1767323045678); /* it does not say */
        CHECK_INT(info->start_unix_ms, 1000);
        CHECK_INT(info->end_unix_ms, t->s.b2 ? 0 : 2000);
        CHECK(info->has_exit_code && info->exit_code == 0);
        CHECK_INT(info->updated_unix_ms, script_unix(&t->s));
    }
    EACH("L33: exit code 0, another one, and none are three things") {
        CHECK(cws_sandbox_get_info(api_found(t, EXITED("COMPLETED", 0)))->has_exit_code);
        CHECK_INT(cws_sandbox_get_info(api_found(t, EXITED("COMPLETED", -7)))->exit_code, -7);
        CHECK(!cws_sandbox_get_info(api_found(t, BOX("COMPLETED")))->has_exit_code);
    }
    EACH("L32: a state of nothing is COMPLETED when polling, and stays open when asking") {
        cws_sandbox *sb = api_started(t);
        cws_state state = CWS_STATE_NOT_STARTED;
        script_ok(&t->s, "GetSandbox", "{\"sandboxId\":\"sb-1\",\"status\":{}}")->times = 2;
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_UNSPECIFIED);
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK_STR(script_calls(&t->s), "GetSandbox GetSandbox"); /* and no look for an exit code */
    }
    EACH("an end concluded from a state of nothing is not trusted by a stop: it deletes") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", "{\"sandboxId\":\"sb-1\",\"status\":{}}");
        if (t->s.b2) api_ended(t, "sb-1", "COMPLETED");
        else script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(api_calls(t), "GetSandbox DeleteSandbox");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(api_calls(t), "GetSandbox DeleteSandbox"); /* once is enough */
    }
    EACH("L32: a terminal state never changes; asking again sends nothing") {
        cws_sandbox *sb = api_started(t);
        cws_state state;
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 3));
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_COMPLETED);
        CHECK_INT(cws_sandbox_get_info(sb)->exit_code, 3);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        CHECK_STR(script_calls(&t->s), "GetSandbox");
    }
    EACH("L32: a sandbox being stopped stays so until it has ended; its runner is kept") {
        cws_sandbox *sb = api_started(t);
        cws_state state;
        script_ok(&t->s, "GetSandbox",
                  "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_RUNNING\","
                  "\"runnerId\":\"r\"}}");
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_ok(&t->s, "GetSandbox", BOX("PENDING"));
        script_ok(&t->s, "GetSandbox", BOX("FAILED"));
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_RUNNING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_TERMINATING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_TERMINATING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_TERMINATING);
        CHECK_INT(api_status(t, sb, &state), CWS_OK);
        CHECK_INT(state, CWS_STATE_FAILED);
        CHECK_STR(cws_sandbox_get_info(sb)->runner_id, "r");
    }
    EACH("L32: the id never changes") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX_ID("other", "RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
    }
    EACH("L34 L40: a status has the deadline of a poll, and no error of its own is hidden") {
        cws_sandbox *sb = api_started(t);
        script_error(&t->s, "GetSandbox", "internal", "broken", NULL);
        CHECK_INT(api_status(t, sb, NULL), CWS_ERR_SANDBOX);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 15000);
        HAS(t->err.message, "Get status failed: broken");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        script_error(&t->s, "GetSandbox", "not_found", "", NULL);
        CHECK_INT(api_status(t, sb, NULL), CWS_ERR_NOT_FOUND);
        HAS(t->err.message, "'sb-1' not found");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_PENDING);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void api_test_waiting(void)
{
    EACH("L10.1: polls after 0.2 s, then 1.5 times longer, at most 2 s; unknown states go on") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("CREATING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("PREPARING"))->times = 2;
        script_ok(&t->s, "GetSandbox", "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":77}}")
            ->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"),
                  "200 300 450 675 1012 1518 2000 2000 2000 2000");
        CHECK_STR(script_json(&t->s, "GetSandbox", 0), "{\"sandboxId\":\"sb-1\"}");
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 15000);
    }
    EACH("L38: outcomes of a wait for RUNNING") {
        static const struct {
            const char *json;
            cws_status status;
            cws_state state;
        } table[] = {
            {BOX("RUNNING"), CWS_OK, CWS_STATE_RUNNING},
            {BOX("PAUSED"), CWS_OK, CWS_STATE_PAUSED},
            {BOX("TERMINATING"), CWS_OK, CWS_STATE_TERMINATING},
            {EXITED("COMPLETED", 5), CWS_OK, CWS_STATE_COMPLETED},
            {"{\"sandboxId\":\"sb-1\"}", CWS_OK, CWS_STATE_COMPLETED},
            {BOX("FAILED"), CWS_ERR_FAILED, CWS_STATE_FAILED},
            {BOX("TERMINATED"), CWS_ERR_TERMINATED, CWS_STATE_TERMINATED}};
        size_t i;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->times = 7;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            cws_sandbox *sb = api_box(t, NULL);
            script_ok(&t->s, "GetSandbox", table[i].json);
            CHECK_INT(api_wait(t, sb, 0), table[i].status);
            CHECK_INT(cws_sandbox_state(sb), table[i].state);
            /* and again, at once and without a call */
            if (i == 2) continue;
            CHECK_INT(api_wait(t, sb, 0), table[i].status);
        }
        CHECK_INT(script_count(&t->s, "GetSandbox"), 7);
    }
    EACH("L38: a failure tells the service's reason") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox",
                  "{\"sandboxId\":\"sb-1\",\"status\":{\"state\":\"STATE_FAILED\","
                  "\"stateReason\":\"no image \\u00e4\"}}");
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_FAILED);
        HAS(t->err.message, "no image \xc3\xa4");
        HAS(t->err.message, "sb-1");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        CHECK_STR(t->err.reason, "");
        CHECK(!t->err.retryable);
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_FAILED);
    }
    EACH("L36: a wait for what is known already sends nothing") {
        static const struct {
            const char *json;
            cws_status wait, complete;
        } table[] = {{BOX("PAUSED"), CWS_OK, CWS_OK},
                     {EXITED("COMPLETED", 0), CWS_OK, CWS_OK},
                     {BOX("FAILED"), CWS_ERR_FAILED, CWS_ERR_FAILED},
                     {BOX("TERMINATED"), CWS_ERR_TERMINATED, CWS_ERR_TERMINATED}};
        size_t i;
        for (i = 0; i < 4; i++) {
            cws_sandbox *sb = api_found(t, table[i].json);
            CHECK_INT(api_wait(t, sb, 0), table[i].wait);
            if (i) CHECK_INT(api_complete(t, sb, NULL), table[i].complete);
            CHECK_INT(t->s.call_count, 0);
        }
    }
    EACH("L10.3: a wait that takes too long names the sandbox and the limit; it may be repeated") {
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        script_reply *r = script_ok(&t->s, "GetSandbox", BOX("PENDING"));
        r->times = -1;
        CHECK_INT(api_wait(t, sb, 3.5), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 3500);
        HAS(t->err.message, "sb-1");
        HAS(t->err.message, "3500 ms");
        HAS(t->err.message, "pending");
        CHECK(t->err.retryable);
        r->times = 0;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 1), CWS_OK);
    }
    EACH("L10.3: without a timeout a wait has the request timeout, counted from the start on") {
        cws_sandbox_opts o;
        cws_sandbox *sb;
        int64_t from;
        memset(&o, 0, sizeof(o));
        o.request_timeout_seconds = 20;
        sb = api_box(t, &o);
        from = t->s.now;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 15000;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = -1;
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 35000);
    }
    STREAMING("L36: many waiters share one poll") {
        cws_sandbox *sb = api_started(t);
        cws_op *ops[10];
        size_t i;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        for (i = 0; i < 10; i++)
            CHECK_INT(cws_sandbox_wait_begin(sb, 0, &ops[i], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 10, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        for (i = 0; i < 10; i++) {
            CHECK_INT(cws_op_result(ops[i], &t->err), CWS_OK);
            cws_op_free(ops[i]);
        }
        CHECK_INT(script_count(&t->s, "GetSandbox"), 4);
    }
    STREAMING("L37: one waiter's timeout and another's cancel do not disturb the third") {
        cws_sandbox *sb = api_started(t);
        cws_op *a, *b, *c;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = 3;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->delay = 5000;
        CHECK_INT(cws_sandbox_wait_begin(sb, 0.5, &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &b, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &c, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_TIMEOUT);
        CHECK_INT(cws_op_result(b, &t->err), CWS_ERR_PENDING);
        CHECK(cws_op_cancel(b));
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_ERR_CANCELLED);
        CHECK(!cws_op_cancel(b));
        CHECK_INT(cws_op_wait(c, -1, &t->err), CWS_OK);
        CHECK_INT(script_count(&t->s, "GetSandbox"), 4);
        cws_op_free(a);
        cws_op_free(b);
        cws_op_free(c);
    }
    STREAMING("L37: waiters share an error; the next waiter polls afresh") {
        cws_sandbox *sb = api_started(t);
        cws_op *ops[2];
        script_error(&t->s, "GetSandbox", "permission_denied", "no", NULL);
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &ops[0], &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 2, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_op_result(ops[0], &t->err), CWS_ERR_AUTHENTICATION);
        HAS(t->err.message, "Poll sandbox status: Permission denied: no");
        CHECK_INT(cws_op_result(ops[1], &t->err), CWS_ERR_AUTHENTICATION);
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(script_count(&t->s, "GetSandbox"), 2);
        cws_op_free(ops[0]);
        cws_op_free(ops[1]);
    }
    STREAMING("a poll ends when its last waiter leaves") {
        cws_sandbox *sb = api_started(t);
        cws_op *op;
        script_never(&t->s, "GetSandbox");
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &op, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->s.opens - t->s.cancels, 1);
        cws_op_free(op);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->s.opens - t->s.cancels, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
    }
    STREAMING("CWS_ERR_WAIT_TIMEOUT: the operation goes on and may be waited for again") {
        cws_sandbox *sb = api_started(t);
        cws_op *op;
        int64_t from = t->s.now;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->delay = 5000;
        CHECK_INT(cws_sandbox_wait_begin(sb, 0, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, 0, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now, from);
        CHECK_INT(cws_op_wait(op, 1000, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now, from + 1000);
        CHECK_INT(t->err.status, CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_op_result(op, &t->err), CWS_ERR_PENDING);
        CHECK_INT(cws_op_wait(op, 10000, &t->err), CWS_OK);
        CHECK_INT(t->s.now, from + 5000);
        CHECK_INT(cws_op_wait(op, 0, &t->err), CWS_OK);
        cws_op_free(op);
    }
    EACH("L39: the end: COMPLETED is fine unless this object stopped it; TERMINATED and FAILED") {
        cws_complete_opts lenient;
        cws_sandbox *sb = api_started(t);
        memset(&lenient, 0, sizeof(lenient));
        lenient.allow_termination = true;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 9));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK); /* merely seen TERMINATING */
        CHECK_INT(cws_sandbox_get_info(sb)->exit_code, 9);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 300");
        sb = api_running(t);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_TERMINATED);
        CHECK_INT(api_complete(t, sb, &lenient), CWS_OK);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("TERMINATED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_TERMINATED);
        CHECK_INT(api_complete(t, sb, &lenient), CWS_OK);
        CHECK_STR(t->err.reason, "");
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("FAILED"));
        CHECK_INT(api_complete(t, sb, &lenient), CWS_ERR_FAILED);
        sb = api_found(t, BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
    }
    EACH("L10.4: wait_until_complete that takes too long: the sandbox goes on") {
        cws_complete_opts o;
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 10;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = -1;
        CHECK_INT(api_complete(t, sb, &o), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 10000);
        HAS(t->err.message, "did not end");
    }
    STREAMING("L38: a waiter for RUNNING hears that the sandbox was stopped meanwhile") {
        cws_sandbox *sb = api_started(t);
        cws_op *wait, *stop;
        int k;
        for (k = 0; k < 2; k++) {
            if (k) sb = api_started(t);
            script_ok(&t->s, "GetSandbox", BOX("PENDING"));
            CHECK_INT(cws_sandbox_wait_begin(sb, 0, &wait, &t->err), CWS_OK);
            CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
            CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
            script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
            script_ok(&t->s, "GetSandbox", k ? BOX("TERMINATING") : EXITED("COMPLETED", 0))->times =
                -1;
            CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &stop, &t->err), CWS_OK);
            CHECK_INT(cws_op_wait(wait, -1, &t->err), CWS_ERR_NOT_RUNNING);
            HAS(t->err.message, "has been stopped");
            t->s.last->times = 0;
            script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->times = -1;
            CHECK_INT(cws_op_wait(stop, -1, &t->err), CWS_OK);
            t->s.last->times = 0;
            cws_op_free(wait);
            cws_op_free(stop);
        }
    }
}

/* ---- retries of polls ------------------------------------------------------------------------ */

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
    EACH("L42: the budget of 30 s ends with the last error as it is; the last pause is cut") {
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        script_error(&t->s, "GetSandbox", "unavailable", "still", NULL)->times = -1;
        CHECK_INT(api_wait(t, sb, 0), CWS_ERR_UNAVAILABLE);
        HAS(t->err.message, "Service unavailable: still");
        CHECK_INT(t->s.now - from, 30000);
        CHECK(t->err.retryable);
        CHECK(t->s.calls[t->s.call_count - 1].at < from + 30000);
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
        CHECK_INT(cws_sandbox_wait_begin(sb, 2, &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, 60, &b, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_begin(sb, 60, &c, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_TIMEOUT);
        CHECK(cws_op_cancel(c)); /* during the pause before the retry */
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_OK);
        CHECK_INT(cws_op_result(c, &t->err), CWS_ERR_CANCELLED);
        cws_op_free(a);
        cws_op_free(b);
        cws_op_free(c);
    }
    EACH("L47: COMPLETED without an exit code: two more looks, 2 s apart, 2 s each") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"))->times = 3;
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "2000 2000");
        CHECK_INT(t->s.calls[1].timeout_ms, 2000);
        CHECK(!cws_sandbox_get_info(sb)->has_exit_code);
    }
    EACH("L47: the looks end with the code; a stale answer and a failure change nothing") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 7));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_get_info(sb)->exit_code, 7);
        CHECK_INT(t->s.call_count, 2);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_error(&t->s, "GetSandbox", "unavailable", "", NULL);
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
        CHECK_INT(t->s.call_count, 3);
    }
    EACH("L47: no look for FAILED, TERMINATED, or when a code is there; 0 is a code") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 1);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("FAILED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_FAILED);
        CHECK_INT(t->s.call_count, 1);
        sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("TERMINATED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_TERMINATED);
        CHECK_INT(t->s.call_count, 1);
    }
    EACH("L47: no look after a stop of ours, or once it was stopping") {
        cws_sandbox *sb = api_running(t);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "DeleteSandbox GetSandbox");
        sb = api_found(t, BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 1);
    }
    EACH("L47: a wait that ends during the looks has the completion in hand") {
        cws_complete_opts o;
        cws_sandbox *sb = api_started(t);
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 1;
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_complete(t, sb, &o), CWS_OK);
        CHECK_INT(t->s.now - from, 1000);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_COMPLETED);
    }
}

/* ---- stop and delete ------------------------------------------------------------------------- */

static void api_test_stop(void)
{
    EACH("L48 L21: stop: one delete, polls until the end, and the session lets it go") {
        cws_sandbox *sb = api_running(t);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"))->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s),
                  "DeleteSandbox GetSandbox GetSandbox GetSandbox GetSandbox");
        CHECK_STR(script_json(&t->s, "DeleteSandbox", 0),
                  "{\"sandboxId\":\"sb-1\",\"gracePeriodSeconds\":10}");
        CHECK_INT(script_call_at(&t->s, "DeleteSandbox", 0)->timeout_ms, 20000);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(t->s.call_count, 5);
    }
    EACH("L50: the grace: fractions are rounded up, CWS_NONE is none, deadline grace + 10 s") {
        static const struct {
            double grace;
            const char *wire;
            int64_t deadline;
        } table[] = {{0.5, "\"gracePeriodSeconds\":1}", 11000},
                     {2.01, "\"gracePeriodSeconds\":3}", 13000},
                     {30, "\"gracePeriodSeconds\":30}", 40000},
                     {CWS_NONE, "{\"sandboxId\":\"sb-1\"}", 10000}};
        size_t i;
        for (i = 0; i < 4; i++) {
            cws_stop_opts o;
            cws_sandbox *sb = api_running(t);
            memset(&o, 0, sizeof(o));
            o.graceful_shutdown_seconds = table[i].grace;
            api_ended(t, "sb-1", "FAILED");
            CHECK_INT(api_stop(t, sb, &o), CWS_OK); /* FAILED is an end like any other */
            HAS(script_json(&t->s, "DeleteSandbox", 0), table[i].wire);
            CHECK_INT(t->s.calls[0].timeout_ms, table[i].deadline);
        }
    }
    EACH("L50: missing_ok is sent; an empty reply means that it was gone: success without a poll") {
        if (api_v1_only(t, "a Stop has no such member, and no empty answer")) continue;
        cws_stop_opts o;
        cws_sandbox *sb = api_running(t);
        memset(&o, 0, sizeof(o));
        o.missing_ok = true;
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        HAS(script_json(&t->s, "DeleteSandbox", 0), "\"allowMissing\":true");
        CHECK_INT(t->s.call_count, 1);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATED);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("L48: a delete that fails leaves everything as it was, and stop may be called again") {
        cws_sandbox *sb = api_running(t);
        script_error(&t->s, "DeleteSandbox", "internal", "broken", NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_SANDBOX);
        HAS(t->err.message, "Stop sandbox failed: broken");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("L49: not found, however it is said, for stop and delete, with and without missing_ok") {
        static const struct {
            const char *code, *reason;
            bool found;
        } table[] = {{"not_found", NULL, false},
                     {"internal", "CWSANDBOX_SANDBOX_NOT_FOUND", false},
                     {"failed_precondition", "CWSANDBOX_SANDBOX_NOT_FOUND", false},
                     {"internal", NULL, true}};
        size_t i, k;
        for (i = 0; i < 4; i++)
            for (k = 0; k < 2; k++) {
                const char *detail =
                    table[i].reason ? script_reason(&t->s, table[i].reason, "cwsandbox.com") : NULL;
                cws_status expected = table[i].found ? CWS_ERR_SANDBOX
                                      : k            ? CWS_OK
                                                     : CWS_ERR_NOT_FOUND;
                cws_stop_opts o;
                cws_sandbox *sb = api_running(t);
                memset(&o, 0, sizeof(o));
                o.missing_ok = k;
                script_error(&t->s, "DeleteSandbox", table[i].code, "x", detail)->times = 2;
                CHECK_INT(api_stop(t, sb, &o), expected);
                CHECK_INT(cws_sandbox_state(sb),
                          expected ? CWS_STATE_RUNNING : CWS_STATE_TERMINATED);
                CHECK_INT(api_delete(t, "sb-1", k), expected);
                CHECK_INT(t->s.call_count, 2);
                if (expected == CWS_ERR_NOT_FOUND) CHECK_STR(t->err.sandbox_id, "sb-1");
                CHECK_STR(script_json(&t->s, "DeleteSandbox", 1), "{\"sandboxId\":\"sb-1\"}");
            }
    }
    EACH("L55: delete by id: no grace, no wait, the request timeout") {
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        CHECK_INT(api_delete(t, "sb-1", false), CWS_OK);
        CHECK_STR(script_json(&t->s, "DeleteSandbox", 0), "{\"sandboxId\":\"sb-1\"}");
        CHECK_INT(t->s.calls[0].timeout_ms, 300000);
        CHECK_INT(t->s.call_count, 1);
    }
    EACH("a repeated delete that finds nothing any more is a success") {
        cws_sandbox *sb = api_running(t);
        script_end(&t->s, "DeleteSandbox", CWS_END_LOST);
        script_error(&t->s, "DeleteSandbox", "not_found", "", NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATED);
        script_error(&t->s, "DeleteSandbox", "unavailable", "", NULL);
        script_error(&t->s, "DeleteSandbox", "not_found", "", NULL);
        CHECK_INT(api_delete(t, "sb-1", false), CWS_OK);
    }
    STREAMING("L48: stops that overlap join: one delete, the first one's grace, one poll") {
        cws_sandbox *sb = api_running(t);
        cws_stop_opts o;
        cws_op *ops[3];
        size_t i;
        memset(&o, 0, sizeof(o));
        o.graceful_shutdown_seconds = 3;
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"))->delay = 500;
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->delay = 1000;
        CHECK_INT(cws_sandbox_stop_begin(sb, &o, &ops[0], &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_wait_until_complete_begin(sb, NULL, &ops[2], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 3, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_op_result(ops[0], &t->err), CWS_OK);
        CHECK_INT(cws_op_result(ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_op_result(ops[2], &t->err), CWS_ERR_TERMINATED);
        CHECK_INT(script_count(&t->s, "DeleteSandbox"), 1);
        HAS(script_json(&t->s, "DeleteSandbox", 0), "\"gracePeriodSeconds\":3");
        for (i = 0; i < 3; i++) cws_op_free(ops[i]);
    }
    STREAMING("L50: one who joins with missing_ok is content; the first one hears of NOT_FOUND") {
        cws_sandbox *sb = api_running(t);
        cws_stop_opts o;
        cws_op *a, *b;
        memset(&o, 0, sizeof(o));
        o.missing_ok = true;
        script_error(&t->s, "DeleteSandbox", "not_found", "", NULL);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, &o, &b, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_NOT_FOUND);
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATED);
        cws_op_free(a);
        cws_op_free(b);
    }
    STREAMING("a stop whose caller cancels goes on for the others") {
        cws_sandbox *sb = api_running(t);
        cws_op *a, *b;
        api_ended(t, "sb-1", "COMPLETED")->delay = 500;
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &a, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &b, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK(cws_op_cancel(a));
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_CANCELLED);
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_OK);
        cws_op_free(a);
        cws_op_free(b);
    }
    EACH("L21: a sandbox that is draining already is not deleted, only awaited") {
        cws_sandbox *sb = api_found(t, BOX("TERMINATING"));
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "GetSandbox");
        CHECK_INT(api_complete(t, sb, NULL), CWS_OK); /* not ours: no termination */
    }
    EACH("L46: NOT_FOUND after our stop is a race: asked again for 2 s, then COMPLETED or FAILED") {
        static const char *const ends[] = {EXITED("COMPLETED", 0), BOX("FAILED")};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_running(t);
            script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
            script_error(&t->s, "GetSandbox", "not_found", "", NULL)->times = 2;
            script_ok(&t->s, "GetSandbox", ends[i]);
            CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
            CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 300");
        }
    }
    EACH("L46: NOT_FOUND that stays is its own error after 2 s; nothing is invented") {
        cws_sandbox *sb = api_running(t);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_error(&t->s, "GetSandbox", "not_found", "", NULL)->times = -1;
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_TERMINAL_STATE_UNAVAILABLE);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATING);
        CHECK_STR(script_gaps(&t->s, "GetSandbox"), "200 300 450 675 375");
    }
    EACH("L46: with missing_ok that is success; without a stop NOT_FOUND counts at once") {
        cws_stop_opts o;
        cws_sandbox *sb = api_found(t, BOX("TERMINATING"));
        script_reply *gone;
        memset(&o, 0, sizeof(o));
        o.missing_ok = true;
        gone = script_error(&t->s, "GetSandbox", "not_found", "", NULL);
        CHECK_INT(api_complete(t, sb, NULL), CWS_ERR_NOT_FOUND);
        CHECK_INT(t->s.call_count, 1);
        gone->times = -1;
        CHECK_INT(api_stop(t, sb, &o), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_TERMINATED);
        gone->times = 0;
        sb = api_found(t, BOX("TERMINATING"));
        script_error(&t->s, "GetSandbox", "not_found", "", NULL);
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_NOT_FOUND); /* somebody else's drain, no mercy */
        CHECK_INT(t->s.call_count, 1);
    }
    EACH("a stop is bounded: the time of its options, or grace and a minute") {
        cws_stop_opts o;
        cws_sandbox *sb = api_running(t);
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 5;
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"))->times = -1;
        CHECK_INT(api_stop(t, sb, &o), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 5000);
        HAS(t->err.message, "terminating");
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        from = t->s.now;
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_TIMEOUT);
        CHECK_INT(t->s.now - from, 70000);
        CHECK_INT(script_count(&t->s, "DeleteSandbox"), 1); /* it is accepted: only awaited */
    }
    EACH("a delete that is never answered ends after grace and 10 s, and leaves it tracked") {
        cws_sandbox *sb = api_running(t);
        int64_t from = t->s.now;
        script_never(&t->s, "DeleteSandbox");
        CHECK_INT(api_stop(t, sb, NULL), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(t->s.now - from, 20000);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
}

/* ---- the session ----------------------------------------------------------------------------- */

static cws_sandbox *api_started_id(api *t, const char *json)
{
    cws_sandbox *sb = api_box(t, NULL);
    script_ok(&t->s, "CreateSandbox", json);
    CHECK_INT(api_start(t, sb), CWS_OK);
    t->s.call_count = 0;
    return sb;
}

static void api_test_session(void)
{
    EACH("L19: a session's sandbox is unstarted, tracked, and costs no call") {
        cws_sandbox *sb = api_box(t, NULL);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_NOT_STARTED);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK(cws_session_client(t->session) == t->client);
        CHECK_INT(t->s.call_count, 0);
        api_drop(t, sb);
        CHECK_INT(cws_session_sandbox_count(t->session), 1); /* the session goes on tracking it */
    }
    EACH("L20: close without sandboxes and with unstarted ones sends nothing; twice is fine") {
        cws_sandbox *sb = api_box(t, NULL), *other = NULL;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_start(t, sb), CWS_ERR_NOT_RUNNING);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_sandbox(t->session, NULL, &other, &t->err), CWS_ERR_CLOSED);
        CHECK(!other);
        CHECK_INT(t->s.call_count, 0);
    }
    EACH("L20 L22: a closed session refuses sandbox, list, from_id and adopt") {
        cws_sandbox *sb = api_found(t, BOX("RUNNING")), *other = NULL;
        cws_sandbox_list *list = NULL;
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK);
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(api_list(t, NULL, &list), CWS_ERR_CLOSED);
        CHECK_INT(api_from_id(t, "x", false, &other), CWS_ERR_CLOSED);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_ERR_CLOSED);
        CHECK_STR(api_calls(t), "DeleteSandbox");
    }
    STREAMING("L20: close stops all at once: as long as the slowest, not the sum") {
        int64_t from;
        size_t i;
        for (i = 0; i < 20; i++) (void)api_started(t);
        from = t->s.now;
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"))->delay = 1000;
        t->s.last->times = 20;
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->delay = 1000;
        t->s.last->times = 20;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(t->s.now - from, 2000);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("L20: close names those that did not stop; the others are stopped; again: just those") {
        cws_sandbox *a = api_started_id(t, BOX_ID("sb-a", "PENDING"));
        cws_sandbox *b = api_started_id(t, BOX_ID("sb-b", "PENDING"));
        cws_sandbox *c = api_started_id(t, BOX_ID("sb-c", "PENDING"));
        const cws_sandbox *failed = NULL;
        const cws_error *why = NULL;
        script_error(&t->s, "DeleteSandbox", "internal", "one", NULL);
        api_ended(t, "sb-b", "COMPLETED");
        script_error(&t->s, "DeleteSandbox", "permission_denied", "two", NULL);
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        HAS(t->err.message, "2 of the session's sandboxes failed to stop and may still be running");
        CHECK_INT(cws_session_sandbox_count(t->session), 2);
        CHECK(cws_session_failed(t->session, 0, &failed, &why));
        CHECK(failed == a);
        CHECK_INT(why->status, CWS_ERR_SANDBOX);
        HAS(why->message, "one");
        CHECK(cws_session_failed(t->session, 1, &failed, &why));
        CHECK(failed == c);
        CHECK_INT(why->status, CWS_ERR_AUTHENTICATION);
        CHECK(cws_session_failed(t->session, 1, NULL, NULL));
        CHECK(!cws_session_failed(t->session, 2, &failed, &why));
        HAS(t->said, "two"); /* each failure is logged */
        CHECK_INT(cws_sandbox_state(b), CWS_STATE_COMPLETED);
        t->s.call_count = 0;
        api_ended(t, "sb-a", "COMPLETED");
        api_ended(t, "sb-c", "COMPLETED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(t->s.call_count, t->s.b2 ? 4 : 2);
        HAS(script_json(&t->s, "DeleteSandbox", 0), "sb-a");
        HAS(script_json(&t->s, "DeleteSandbox", 1), "sb-c");
        CHECK(!cws_session_failed(t->session, 0, NULL, NULL));
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_close(t), CWS_OK);
    }
    STREAMING("close is bounded when the server never answers, and names what is left") {
        const cws_error *why = NULL;
        int64_t from;
        t->sopts.close_timeout_seconds = 5;
        (void)api_started(t);
        (void)api_started(t);
        from = t->s.now;
        script_never(&t->s, "DeleteSandbox")->times = 2;
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK_INT(t->s.now - from, 5000);
        CHECK(cws_session_failed(t->session, 1, NULL, &why));
        CHECK(why && cws_status_is(why->status, CWS_ERR_TIMEOUT));
        CHECK_INT(t->s.opens, t->s.cancels); /* nothing goes on behind our back */
    }
    EACH("close takes 90 s at most by default when nothing ever ends") {
        int64_t from;
        (void)api_started(t);
        from = t->s.now;
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"))->times = -1;
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK_INT(t->s.now - from, 90000);
    }
    STREAMING("close during a start in flight awaits it and then stops it") {
        cws_sandbox *sb = api_box(t, NULL);
        cws_op *start;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->delay = 4000;
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(api_calls(t), "CreateSandbox DeleteSandbox");
        CHECK_INT(cws_op_result(start, &t->err), CWS_OK);
        cws_op_free(start);
    }
    STREAMING("close while a close is under way joins it; both hear the same") {
        cws_op *a, *b;
        (void)api_started(t);
        script_error(&t->s, "DeleteSandbox", "internal", "no", NULL)->delay = 500;
        CHECK_INT(cws_session_close_begin(t->session, &a, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_session_close_begin(t->session, &b, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_ERR_SANDBOX);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_ERR_SANDBOX);
        CHECK_INT(t->s.call_count, 1);
        cws_op_free(a);
        cws_op_free(b);
    }
    STREAMING("close that joined one which is cancelled closes all the same") {
        cws_op *a, *b;
        (void)api_started(t);
        api_ended(t, "sb-1", "COMPLETED")->delay = 500;
        CHECK_INT(cws_session_close_begin(t->session, &a, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_session_close_begin(t->session, &b, &t->err), CWS_OK);
        CHECK(cws_op_cancel(a));
        CHECK_INT(cws_op_wait(b, -1, &t->err), CWS_OK);
        CHECK_INT(cws_op_result(a, &t->err), CWS_ERR_CANCELLED);
        CHECK_STR(api_calls(t), "DeleteSandbox");
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_op_free(a);
        cws_op_free(b);
    }
    EACH("L20: a gone sandbox does not make close fail") {
        (void)api_started(t);
        script_error(&t->s, "DeleteSandbox", "not_found", "", NULL);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("L22 L55: from_id: one Get; adopts by default, not if told so; NOT_FOUND") {
        cws_sandbox *sb = NULL, *again = NULL;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = 2;
        CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(api_from_id(t, "sb-1", false, &sb), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK(t->boxes[0] != sb);
        script_ok(&t->s, "GetSandbox", BOX("PAUSED"));
        CHECK_INT(api_from_id(t, "sb-1", false, &again), CWS_OK);
        CHECK(again == sb); /* tracked already: the same object */
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK_STR(script_json(&t->s, "GetSandbox", 1), "{\"sandboxId\":\"sb-1\"}");
        CHECK_INT(t->s.calls[0].timeout_ms, 300000);
        script_error(&t->s, "GetSandbox", "not_found", "", NULL);
        CHECK_INT(api_from_id(t, "sb-9", false, &sb), CWS_ERR_NOT_FOUND);
        CHECK_STR(t->err.sandbox_id, "sb-9");
        HAS(t->err.message, "Get sandbox: Sandbox 'sb-9' not found");
        script_ok(&t->s, "GetSandbox", "{}");
        CHECK_INT(api_from_id(t, "sb-9", false, &sb), CWS_ERR_PROTOCOL);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
    }
    EACH("L22: found sandboxes have the session's request timeout, and so has finding them") {
        cws_sandbox *sb = NULL;
        cws_bytes *bytes = NULL;
        cws_sandbox_list *list = NULL;
        t->defaults.request_timeout_seconds = 7;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
        CHECK_INT(script_call_at(&t->s, "GetSandbox", 0)->timeout_ms, 7000);
        script_ok(&t->s, "ReadFile", "{}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        CHECK_INT(script_call_at(&t->s, "ReadFile", 0)->timeout_ms, 7000);
        cws_bytes_free(bytes);
        script_ok(&t->s, "ListSandboxes", "{}");
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        CHECK_INT(script_call_at(&t->s, "ListSandboxes", 0)->timeout_ms, 7000);
        cws_sandbox_list_free(list);
    }
    EACH("L22: adopt: without an id refused; twice is once; another session lets it go") {
        cws_session *other = NULL;
        cws_session_opts so;
        cws_sandbox *sb = api_box(t, NULL);
        memset(&so, 0, sizeof(so));
        so.client = t->client;
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(other), 1);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(api_close(t), CWS_OK); /* not stopped by its former session */
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
        cws_session_free(other);
    }
    ONCE("adopt refuses a sandbox of another client") {
        cws_client *c2 = NULL;
        cws_session *other = NULL;
        cws_session_opts so;
        cws_sandbox *sb = api_started(t);
        script s2;
        cws_client_opts co = t->copts;
        script_init(&s2, false);
        co.transport = &s2.transport;
        co.hooks_user = &s2;
        memset(&so, 0, sizeof(so));
        CHECK_INT(cws_client_open(&co, &c2, &t->err), CWS_OK);
        so.client = c2;
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "another client");
        cws_session_free(other);
        cws_client_free(c2);
        script_free(&s2);
        script_now = &t->s;
    }
    ONCE("a session of its own client frees it; client and client_opts together are refused") {
        cws_session *s = NULL;
        cws_session_opts so;
        memset(&so, 0, sizeof(so));
        so.client_opts = &t->copts;
        so.client = api_client(t);
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_INVALID_ARGUMENT);
        so.client = NULL;
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK);
        CHECK(cws_session_client(s) != t->client);
        cws_session_free(s);
        CHECK_INT(t->s.closes, 1);
        t->s.closes = 0;
        t->copts.base_url = "x";
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(s == NULL);
        HAS(t->err.message, "base_url");
    }
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void api_test_list(void)
{
    EACH("L54: without filters an empty request; elements are sandboxes; order as delivered") {
        cws_sandbox_list *list = NULL;
        cws_sandbox *taken;
        script_ok(&t->s, "ListSandboxes",
                  "{\"sandboxes\":[" BOX_ID("b", "RUNNING") "," BOX_ID("a", "PENDING") ",{}]}");
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        CHECK_STR(script_json(&t->s, "ListSandboxes", 0), "{}");
        CHECK_INT(cws_sandbox_list_count(list), 2);
        CHECK_STR(cws_sandbox_id(cws_sandbox_list_at(list, 0)), "b");
        CHECK_INT(cws_sandbox_state(cws_sandbox_list_at(list, 1)), CWS_STATE_PENDING);
        CHECK(cws_sandbox_list_at(list, 2) == NULL);
        CHECK(cws_sandbox_list_take(list, 2) == NULL);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        taken = cws_sandbox_list_take(list, 0);
        cws_sandbox_list_free(list);
        CHECK_STR(cws_sandbox_id(taken), "b");
        api_ended(t, "b", "COMPLETED");
        CHECK_INT(api_stop(t, taken, NULL), CWS_OK);
        cws_sandbox_free(taken);
    }
    EACH("L22 L54: filters: the session's tags and the given ones; selectors; state; ended ones") {
        static const char *const first[] = {"a", NULL}, *const second[] = {"b", NULL};
        static const char *const runners[] = {"r", NULL}, *const none[] = {NULL};
        cws_sandbox_list *list = NULL;
        cws_list_opts o;
        memset(&o, 0, sizeof(o));
        t->defaults.tags = first;
        t->defaults.runner_ids = runners;
        script_ok(&t->s, "ListSandboxes", "{}")->times = 4;
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        CHECK_INT(cws_sandbox_list_count(list), 0);
        cws_sandbox_list_free(list);
        CHECK_STR(script_json(&t->s, "ListSandboxes", 0),
                  "{\"tags\":[\"a\"],\"runnerIds\":[\"r\"]}");
        o.tags = second;
        o.runner_ids = none;
        o.status = CWS_STATE_RUNNING;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandbox_list_free(list);
        CHECK_STR(script_json(&t->s, "ListSandboxes", 1),
                  "{\"tags\":[\"a\",\"b\"],\"state\":\"STATE_RUNNING\"}");
        o.status = CWS_STATE_FAILED;
        o.runner_ids = second;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandbox_list_free(list);
        CHECK_STR(script_json(&t->s, "ListSandboxes", 2),
                  "{\"tags\":[\"a\",\"b\"],\"state\":\"STATE_FAILED\",\"showTerminated\":true,"
                  "\"runnerIds\":[\"b\"]}");
        o.status = CWS_STATE_NOT_STARTED;
        o.include_stopped = true;
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        cws_sandbox_list_free(list);
        HAS(script_json(&t->s, "ListSandboxes", 3), "\"showTerminated\":true");
        HAS_NOT(script_json(&t->s, "ListSandboxes", 3), "state\"");
        o.status = (cws_state)50;
        CHECK_INT(api_list(t, &o, &list), CWS_ERR_INVALID_ARGUMENT);
        o.status = CWS_STATE_NOT_STARTED;
        o.tags = none;
        o.runner_ids = first;
        CHECK(list == NULL);
    }
    EACH("L54: all pages are followed, under one deadline") {
        cws_sandbox_list *list = NULL;
        cws_list_opts o;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 10;
        script_ok(&t->s, "ListSandboxes",
                  "{\"sandboxes\":[" BOX_ID("a", "RUNNING") "],\"nextPageToken\":\"t1\"}")
            ->delay = 3000;
        script_ok(&t->s, "ListSandboxes", "{\"nextPageToken\":\"t2\"}")->delay = 3000;
        script_ok(&t->s, "ListSandboxes", "{\"sandboxes\":[" BOX_ID("b", "RUNNING") "]}");
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        CHECK_INT(cws_sandbox_list_count(list), 2);
        cws_sandbox_list_free(list);
        CHECK_STR(script_json(&t->s, "ListSandboxes", 2), "{\"pageToken\":\"t2\"}");
        CHECK_INT(t->s.calls[0].timeout_ms, 10000);
        CHECK_INT(t->s.calls[2].timeout_ms, 4000);
        script_ok(&t->s, "ListSandboxes", "{\"nextPageToken\":\"t1\"}")->delay = 9000;
        script_ok(&t->s, "ListSandboxes", "{}")->delay = 9000;
        CHECK_INT(api_list(t, &o, &list), CWS_ERR_REQUEST_TIMEOUT);
        HAS(t->err.message, "List sandboxes timed out");
        CHECK(list == NULL);
        cws_sandbox_list_free(list);
    }
    EACH("L54: a page token that comes again is an error, not a loop; nothing is adopted") {
        cws_sandbox_list *list = NULL;
        cws_list_opts o;
        memset(&o, 0, sizeof(o));
        o.adopt = true;
        script_ok(&t->s, "ListSandboxes",
                  "{\"sandboxes\":[" BOX_ID("a", "RUNNING") "],\"nextPageToken\":\"t1\"}");
        script_ok(&t->s, "ListSandboxes", "{\"nextPageToken\":\"t2\"}");
        script_ok(&t->s, "ListSandboxes", "{\"nextPageToken\":\"t1\"}");
        CHECK_INT(api_list(t, &o, &list), CWS_ERR_PROTOCOL);
        CHECK_INT(t->s.call_count, 3);
        CHECK(list == NULL);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
    }
    EACH("L54: 100 pages are followed, one more is an error") {
        cws_sandbox_list *list = NULL;
        char json[64];
        int i, round;
        for (round = 0; round < 2; round++) {
            for (i = 1; i <= 100; i++) {
                (void)snprintf(json, sizeof(json), "{\"nextPageToken\":\"t%d\"}", i);
                script_ok(&t->s, "ListSandboxes", i == 100 && round == 0 ? "{}" : json);
            }
            CHECK_INT(api_list(t, NULL, &list), round ? CWS_ERR_LIMIT : CWS_OK);
            cws_sandbox_list_free(list);
            list = NULL;
        }
        CHECK_INT(t->s.call_count, 200);
    }
    EACH("L22: adopt: the session tracks what was found and stops it") {
        cws_sandbox_list *list = NULL;
        cws_list_opts o;
        memset(&o, 0, sizeof(o));
        o.adopt = true;
        script_ok(&t->s, "ListSandboxes",
                  "{\"sandboxes\":[" BOX_ID("a", "RUNNING") "," BOX_ID("b", "COMPLETED") "]}");
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 2);
        cws_sandbox_list_free(list);
        CHECK_INT(cws_session_sandbox_count(t->session), 2);
        api_ended(t, "a", "COMPLETED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(api_calls(t), "ListSandboxes DeleteSandbox");
    }
    STREAMING("L22: a session that closes during a list adopts nothing") {
        cws_op *list;
        cws_list_opts o;
        memset(&o, 0, sizeof(o));
        o.adopt = true;
        script_ok(&t->s, "ListSandboxes", "{\"sandboxes\":[" BOX_ID("a", "RUNNING") "]}")->delay =
            500;
        CHECK_INT(cws_session_list_begin(api_session(t), &o, &list, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_op_wait(list, -1, &t->err), CWS_ERR_CLOSED);
        CHECK(cws_op_take_list(list) == NULL);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_op_free(list);
    }
    EACH("a list is repeated while the service is unavailable, and not for other failures") {
        cws_sandbox_list *list = NULL;
        script_error(&t->s, "ListSandboxes", "unavailable", "", NULL);
        script_ok(&t->s, "ListSandboxes", "{}");
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        cws_sandbox_list_free(list);
        script_error(&t->s, "ListSandboxes", "internal", "", NULL);
        CHECK_INT(api_list(t, NULL, &list), CWS_ERR_SANDBOX);
        HAS(t->err.message, "List sandboxes failed");
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void api_test_errors(void)
{
    ONCE("L58: families of statuses") {
        static const struct {
            cws_status status, family;
            bool is;
        } table[] = {{CWS_ERR_STREAM_TRUNCATED, CWS_ERR_EXECUTION, true},
                     {CWS_ERR_STREAM_BACKPRESSURE, CWS_ERR_SANDBOX, true},
                     {CWS_ERR_TRANSPORT, CWS_ERR_NOT_RUNNING, true},
                     {CWS_ERR_SNAPSHOT_THROTTLED, CWS_ERR_UNAVAILABLE, true},
                     {CWS_ERR_SANDBOX_VALIDATION, CWS_ERR_VALIDATION, true},
                     {CWS_ERR_SANDBOX_VALIDATION, CWS_ERR_SANDBOX, true},
                     {CWS_ERR_AUTHENTICATION, CWS_ERR_SERVICE, true},
                     {CWS_ERR_AUTHENTICATION, CWS_ERR_SANDBOX, false},
                     {CWS_ERR_INVALID_ARGUMENT, CWS_ERR_SERVICE, false},
                     {CWS_ERR_SANDBOX, CWS_ERR_FAILED, false},
                     {CWS_ERR_REQUEST_TIMEOUT, CWS_ERR_TIMEOUT, true},
                     {CWS_OK, CWS_ERR_SERVICE, false},
                     {CWS_OK, CWS_OK, true}};
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
            CHECK(cws_status_is(table[i].status, table[i].family) == table[i].is);
        CHECK_STR(cws_status_name(CWS_ERR_NOT_FOUND), "CWS_ERR_NOT_FOUND");
        CHECK(cws_status_name((cws_status)9999) != NULL && cws_status_text((cws_status)9999));
    }
    EACH("L60: every reason of the service decides the status, whatever the code") {
        static const struct {
            const char *reason;
            cws_status status;
        } table[] = {{"FILE_NOT_FOUND", CWS_ERR_FILE},
                     {"FILE_IS_DIRECTORY", CWS_ERR_FILE},
                     {"FILE_IO_FAILED", CWS_ERR_FILE},
                     {"FILE_PERMISSION_DENIED", CWS_ERR_FILE},
                     {"FILE_TOO_LARGE", CWS_ERR_FILE},
                     {"FILE_TRUNCATED", CWS_ERR_FILE},
                     {"SANDBOX_NOT_FOUND", CWS_ERR_NOT_FOUND},
                     {"COMMAND_TIMEOUT", CWS_ERR_COMMAND_TIMEOUT},
                     {"RUNNER_UNAVAILABLE", CWS_ERR_UNAVAILABLE},
                     {"BACKEND_UNAVAILABLE", CWS_ERR_UNAVAILABLE},
                     {"FSS_NOT_FOUND", CWS_ERR_SNAPSHOT_NOT_FOUND},
                     {"FSS_NOT_READY", CWS_ERR_SNAPSHOT_NOT_READY},
                     {"FSS_NOT_SUPPORTED", CWS_ERR_SNAPSHOT_NOT_SUPPORTED},
                     {"FSS_SIZE_EXCEEDED", CWS_ERR_SNAPSHOT_SIZE_EXCEEDED},
                     {"FSS_QUOTA_EXCEEDED", CWS_ERR_SNAPSHOT_QUOTA_EXCEEDED},
                     {"FSS_BUCKET_MISMATCH", CWS_ERR_SNAPSHOT_BUCKET_MISMATCH},
                     {"FSS_BUCKET_UNAVAILABLE", CWS_ERR_SNAPSHOT},
                     {"FSS_RESTORE_FAILED", CWS_ERR_SNAPSHOT},
                     {"FSS_CREATE_FAILED", CWS_ERR_SNAPSHOT},
                     {"FSS_CREATE_TIMED_OUT", CWS_ERR_SNAPSHOT},
                     {"FSS_AUTH_FAILED", CWS_ERR_SNAPSHOT},
                     {"FSS_TRANSPORT_FAILED", CWS_ERR_SNAPSHOT},
                     {"FSS_CANCELED", CWS_ERR_SNAPSHOT},
                     {"FSS_WAIT_TIMEOUT", CWS_ERR_SNAPSHOT_WAIT_TIMEOUT},
                     {"FSS_BACKEND_THROTTLED", CWS_ERR_SNAPSHOT_THROTTLED},
                     {"FSS_INFLIGHT_LIMIT", CWS_ERR_SNAPSHOT_THROTTLED},
                     {"RUNNER_NOT_FOUND", CWS_OK},
                     {"PROFILE_NOT_FOUND", CWS_OK},
                     {"PLACEMENT_REJECTED", CWS_OK}};
        static const char *const domains[] = {"cwsandbox.com", "example.com", "",
                                              "xcwsandbox.com"};
        size_t i, k;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
            for (k = 0; k < 4; k++) {
                bool counts = k == 0 && table[i].status;
                char reason[64];
                (void)snprintf(reason, sizeof(reason), "CWSANDBOX_%s", table[i].reason);
                script_error(&t->s, "DeleteSandbox", "data_loss", "text",
                             script_reason(&t->s, reason, domains[k]));
                CHECK_INT(api_delete(t, "x", false), counts ? table[i].status : CWS_ERR_SANDBOX);
                CHECK_STR(t->err.reason, reason); /* shown whoever says it */
                CHECK_STR(t->err.domain, domains[k]);
                CHECK_INT(t->err.rpc_code, 15);
                HAS(t->err.message, reason);
                CHECK(t->err.retryable == cws_status_is(t->err.status, CWS_ERR_UNAVAILABLE));
            }
    }
    EACH("L14.3: every code has its status and its words") {
        static const struct {
            const char *code;
            cws_status status;
            const char *text;
        } table[] = {{"canceled", CWS_ERR_NOT_RUNNING, "Delete sandbox was cancelled: txt"},
                     {"unknown", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"invalid_argument", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"deadline_exceeded", CWS_ERR_REQUEST_TIMEOUT,
                      "Delete sandbox timed out: txt"},
                     {"not_found", CWS_ERR_NOT_FOUND, "Sandbox 'x' not found"},
                     {"already_exists", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"permission_denied", CWS_ERR_AUTHENTICATION, "Permission denied: txt"},
                     {"resource_exhausted", CWS_ERR_RESOURCE_EXHAUSTED,
                      "Delete sandbox resource exhausted: txt"},
                     {"failed_precondition", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"aborted", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"out_of_range", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"unimplemented", CWS_ERR_UNIMPLEMENTED, "Delete sandbox failed: txt"},
                     {"internal", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"unavailable", CWS_ERR_UNAVAILABLE, "Service unavailable: txt"},
                     {"data_loss", CWS_ERR_SANDBOX, "Delete sandbox failed: txt"},
                     {"unauthenticated", CWS_ERR_AUTHENTICATION, "Authentication failed: txt"}};
        size_t i;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < 16; i++) {
            script_error(&t->s, "DeleteSandbox", table[i].code, "txt", NULL);
            CHECK_INT(api_delete(t, "x", false), table[i].status);
            CHECK_INT(t->err.status, table[i].status);
            CHECK_INT(t->err.rpc_code, i + 1);
            if (!CHECK(strstr(t->err.message, table[i].text) != NULL))
                printf("    %s\n", t->err.message);
            script_error(&t->s, "DeleteSandbox", table[i].code, "", NULL);
            CHECK_INT(api_delete(t, "x", false), table[i].status);
            CHECK(strlen(t->err.message) > 10);
        }
    }
    EACH_CONNECT("the HTTP status decides where no code came; every row") {
        static const int rows[][2] = {
            {400, 13}, {401, 16}, {403, 7},  {404, 12}, {429, 14}, {502, 14}, {503, 14}, {504, 14},
            {301, 2},  {302, 2},  {307, 2},  {405, 2},  {408, 2},  {409, 2},  {412, 2},  {413, 2},
            {415, 2},  {418, 2},  {431, 2},  {499, 2},  {500, 2},  {501, 2},  {505, 2},  {800, 2},
            {201, 2},  {204, 2},  {206, 2}};
        static const char *const types[] = {"text/html", NULL, "application/json",
                                            "application/proto"};
        size_t i, k;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
            for (k = 0; k < 4; k++) {
                script_raw(&t->s, "DeleteSandbox", rows[i][0], types[k], "<h1>hello</h1>", 14);
                CHECK(api_delete(t, "x", false) != CWS_OK);
                CHECK_INT(t->err.rpc_code, rows[i][1]);
                CHECK_INT(t->err.http_status, rows[i][0]);
                HAS(t->err.message, "hello"); /* a short body helps to see what answered */
            }
    }
    EACH_CONNECT("malformed error bodies fall back to the HTTP status; a bad code keeps the rest") {
        static const char *const bad[] = {"",
                                          "[]",
                                          "\"x\"",
                                          "{",
                                          "{\"code\":\"not_found\"",
                                          "{\"code\":\"not_found\"}x",
                                          "{\"code\":\"not_found\",}",
                                          "null"};
        static const char *const codeless[] = {"\"code\":null,", "\"code\":5,", "",
                                               "\"code\":\"NOT_FOUND\",", "\"code\":\"ok\",",
                                               "\"x\":{\"y\":[1,{}]},"};
        size_t i;
        char body[600];
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            script_raw(&t->s, "DeleteSandbox", 503, "application/json", bad[i], strlen(bad[i]));
            CHECK_INT(api_delete(t, "x", false), CWS_ERR_UNAVAILABLE);
            CHECK_STR(t->err.reason, "");
        }
        for (i = 0; i < sizeof(codeless) / sizeof(codeless[0]); i++) {
            (void)snprintf(body, sizeof(body), "{%s\"message\":\"kept\",\"details\":[%s]}",
                           codeless[i], script_reason(&t->s, "R", "d"));
            script_raw(&t->s, "DeleteSandbox", 401, "application/json; charset=utf-8", body,
                       strlen(body));
            CHECK_INT(api_delete(t, "x", false), CWS_ERR_AUTHENTICATION);
            HAS(t->err.message, "kept");
            CHECK_STR(t->err.reason, "R");
        }
    }
    EACH("L59: details: the first reason, the first delay; broken ones never hide a good one") {
        char details[3000], body[3600];
        script *s = &t->s;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        (void)snprintf(
            details, sizeof(details), "%s,%s,%s,%s,%s,%s,%s,%s,%s",
            "{\"type\":\"google.rpc.ErrorInfo\"},{\"value\":\"\"},7,\"x\",null,[],{}",
            "{\"type\":\"google.rpc.ErrorInfo\",\"value\":\"!!!\"}",
            "{\"type\":\"google.rpc.ErrorInfo\",\"value\":\"/////w\"}",
            "{\"type\":\"some.other.Type\",\"value\":\"AAAA\",\"debug\":{\"a\":[1]}}",
            script_detail(s, "google.rpc.ErrorInfo", "{\"domain\":\"cwsandbox.com\"}"),
            script_detail(s, "google.rpc.RetryInfo", "{}"),
            "{\"type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"value\":\"CgA\"}",
            script_detail(s, "google.rpc.ErrorInfo",
                          "{\"reason\":\"CWSANDBOX_BACKEND_UNAVAILABLE\","
                          "\"domain\":\"cwsandbox.com\",\"metadata\":{\"k\":\"v\",\"e\":\"\"}}"),
            script_detail(s, "google.rpc.ErrorInfo", "{\"reason\":\"LATE\"}"));
        (void)snprintf(body, sizeof(body),
                       "{\"details\":[%s],\"message\":\"m\",\"code\":\"internal\"}", details);
        script_raw(s, "DeleteSandbox", 500, "Application/JSON", body, strlen(body));
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_UNAVAILABLE);
        CHECK_STR(t->err.reason, "CWSANDBOX_BACKEND_UNAVAILABLE");
        CHECK_STR(cws_error_metadata(&t->err, "k"), "v");
        CHECK_STR(cws_error_metadata(&t->err, "e"), "");
        CHECK(cws_error_metadata(&t->err, "x") == NULL && cws_error_metadata(NULL, "k") == NULL);
        CHECK(t->err.has_retry_after); /* an explicit zero */
        CHECK_INT(t->err.retry_after_ms, 0);
    }
    EACH("L59: RetryInfo: kept, rounded up, negative is zero, out of range is none") {
        static const struct {
            const char *delay;
            bool has;
            uint32_t ms;
        } table[] = {{"1.500s", true, 1500},   {"0.000000001s", true, 1}, {"0s", true, 0},
                     {"-3s", true, 0},         {"4000000s", true, 4000000000u},
                     {"315576000000s", false, 0}};
        size_t i;
        t->copts.poll_retry_budget_seconds = CWS_NONE;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            script_error(&t->s, "DeleteSandbox", "internal", "x",
                         script_hint(&t->s, table[i].delay));
            CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX);
            CHECK(t->err.has_retry_after == table[i].has);
            CHECK_INT(t->err.retry_after_ms, table[i].ms);
        }
        script_error(&t->s, "DeleteSandbox", "internal", "x", NULL);
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX);
        CHECK(!t->err.has_retry_after);
    }
    EACH("L61: violations: in order, with their fallbacks, empty ones dropped, in the text too") {
        const char *field, *text;
        script *s = &t->s;
        const char *bad = script_detail(
            s, "google.rpc.BadRequest",
            "{\"fieldViolations\":[{\"field\":\"a\",\"description\":\"d1\"},{},"
            "{\"field\":\"b\",\"localizedMessage\":{\"message\":\"loc\"}},"
            "{\"field\":\"c\",\"reason\":\"R\"},{\"description\":\"d4\"}]}");
        char both[1500];
        script_error(s, "DeleteSandbox", "invalid_argument", "bad", bad);
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX_VALIDATION);
        CHECK(cws_status_is(t->err.status, CWS_ERR_VALIDATION));
        HAS(t->err.message, "Delete sandbox failed: bad; field violations: a: d1; b: loc; c: R");
        CHECK(cws_error_violation(&t->err, 1, &field, &text));
        CHECK_STR(field, "b");
        CHECK_STR(text, "loc");
        CHECK(cws_error_violation(&t->err, 3, &field, &text));
        CHECK_STR(field, "");
        CHECK_STR(text, "d4");
        CHECK(cws_error_violation(&t->err, 2, NULL, NULL));
        CHECK(!cws_error_violation(&t->err, 4, &field, &text));
        CHECK(!cws_error_violation(NULL, 0, &field, &text));
        (void)snprintf(both, sizeof(both), "%s,%s", script_reason(s, "R", "cwsandbox.com"), bad);
        script_error(s, "DeleteSandbox", "invalid_argument", "", both);
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX_VALIDATION);
        CHECK_STR(t->err.reason, "R");
        script_error(s, "DeleteSandbox", "internal", "x", bad); /* another code: not that class */
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX);
        CHECK(cws_error_violation(&t->err, 0, NULL, NULL));
    }
    EACH("an error text longer than the record is cut at a character") {
        char text[1201], body[1400];
        size_t i;
        for (i = 0; i < 1200; i += 2) memcpy(text + i, "\xc3\xa4", 2);
        text[1200] = '\0';
        (void)snprintf(body, sizeof(body), "{\"code\":\"internal\",\"message\":\"%s\"}", text);
        script_raw(&t->s, "DeleteSandbox", 500, "application/json", body, strlen(body));
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX);
        CHECK(strlen(t->err.message) > 300);
        CHECK(cwsi_utf8_valid(t->err.message, strlen(t->err.message)));
    }
    EACH("the server's x-request-id is in the error") {
        script_reply *r = script_error(&t->s, "DeleteSandbox", "internal", "x", NULL);
        script_header(r, "X-Request-Id", "req-7");
        CHECK_INT(api_delete(t, "x", false), CWS_ERR_SANDBOX);
        CHECK_STR(t->err.request_id, "req-7");
    }
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
            CHECK_STR(cws_sandbox_get_info(sb)->status_reason, "why it is so, at some length");
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

/* ---- exec ------------------------------------------------------------------------------------ */

typedef struct api_sink {
    char text[2000];
    size_t len, calls;
    size_t cancel_at; /* call number that cancels; 0: none */
} api_sink;

static cws_flow api_on_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    api_sink *sink = (api_sink *)user;
    sink->calls++;
    CHECK(size > 0);
    if (sink->len + size + 1 < sizeof(sink->text)) {
        sink->text[sink->len++] = stream == CWS_STDERR ? 'E' : 'O';
        memcpy(sink->text + sink->len, data, size);
        sink->len += size;
    }
    return sink->calls == sink->cancel_at ? CWS_FLOW_CANCEL : CWS_FLOW_CONTINUE;
}

static void api_test_exec(void)
{
    EACH("EX-1 EX-5: a command: started, sent once, output joined, code, counters") {
        static const char *const argv[] = {"echo", "a b", "", NULL};
        cws_sandbox *sb = api_box(t, NULL);
        cws_result *r = NULL;
        size_t n;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        api_answer(t, 0, "one two", "warn");
        CHECK_INT(api_exec(t, sb, argv, NULL, &r), CWS_OK);
        CHECK_STR(api_shown(r), "0|one two|warn");
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        CHECK_INT(cws_result_stdout_size(r), 7);
        CHECK_INT(cws_result_stderr_size(r), 4);
        CHECK_STR(cws_result_stdout(r, &n), "one two");
        CHECK_INT(n, 7);
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDOUT), 7);
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDERR), 4);
        CHECK(!cws_result_truncated(r, CWS_STDOUT) && !cws_result_truncated(r, CWS_STDERR));
        CHECK_STR(cws_result_command(r)[1], "a b");
        CHECK(cws_result_command(r)[3] == NULL);
        HAS(script_json(&t->s, api_exec_rpc(t), 0),
            "\"sandboxId\":\"sb-1\",\"command\":[\"echo\",\"a b\",\"\"]");
        HAS(script_call_at(&t->s, api_exec_rpc(t), 0)->headers, "Bearer the-secret-key");
        CHECK_INT(script_call_at(&t->s, api_exec_rpc(t), 0)->timeout_ms, 305000);
        CHECK(script_call_at(&t->s, api_exec_rpc(t), 0)->full_duplex == (t->mode != API_PERFORM));
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 1);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_completed_ok, 1);
        cws_result_free(r);
    }
    EACH("cws_exec: a result exactly on success, the same error as the process has") {
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = (cws_result *)&o;
        memset(&o, 0, sizeof(o));
        CHECK_INT(cws_exec(sb, NULL, NULL, &r, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(r == NULL);
        api_answer(t, 2, "x", "y");
        CHECK_INT(cws_exec(sb, api_true, NULL, &r, &t->err), CWS_OK);
        CHECK_STR(api_shown(r), "2|x|y");
        CHECK_INT(t->err.status, CWS_OK);
        cws_result_free(r);
        o.check = true;
        api_answer(t, 2, "x", "y");
        CHECK_INT(cws_exec(sb, api_true, &o, &r, &t->err), CWS_ERR_EXECUTION);
        CHECK(r == NULL);
        CHECK_INT(t->err.exit_code, 2);
        script_never(&t->s, api_exec_rpc(t));
        CHECK_INT(cws_exec(sb, api_true, &o, &r, NULL), CWS_ERR_TIMEOUT);
        CHECK(r == NULL);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 3);
    }
    STREAMING_CONNECT("EX-5: the request of a stream, and its headers") {
        cws_sandbox *sb = api_running(t);
        cws_result *r = NULL;
        script_stream(&t->s, "{}", OUT_A, OUT_B, OUT_A, EXIT(0), NULL);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
        CHECK_STR(api_shown(r), "0|abba|");
        CHECK_STR(script_json(&t->s, "StreamExec", 0),
                  "{\"init\":{\"sandboxId\":\"sb-1\",\"command\":[\"true\"]}}");
        HAS(t->s.calls[0].headers, "content-type: application/connect+proto\n"
                                   "connect-protocol-version: 1\nconnect-timeout-ms: 305000\n");
        cws_result_free(r);
    }
    EACH("EX-3 EX-4: a code that is not 0: a result; with check an error that has the code") {
        static const char *const argv[] = {"false", NULL};
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        api_answer(t, 1, "x", "");
        CHECK_INT(api_exec(t, sb, argv, &o, &r), CWS_OK);
        CHECK_STR(api_shown(r), "1|x|");
        cws_result_free(r);
        o.check = true;
        api_answer(t, 127, "", "not found");
        CHECK_INT(api_exec(t, sb, argv, &o, &r), CWS_ERR_EXECUTION);
        HAS(t->err.message, "'false' failed with exit code 127");
        CHECK_INT(t->err.exit_code, 127);
        CHECK_STR(t->err.sandbox_id, "sb-1");
        CHECK_STR(api_shown(r), "127||not found");
        cws_result_free(r);
        api_answer(t, -3, "", "");
        CHECK_INT(api_exec(t, sb, argv, NULL, &r), CWS_OK);
        CHECK_INT(cws_result_exit_code(r), -3);
        cws_result_free(r);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 3);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_completed_ok, 0);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_completed_nonzero, 2);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 1);
    }
    EACH("EX-9 to EX-14: cwd wraps the command, quoted as a POSIX shell reads it") {
        static const struct {
            const char *cwd, *arg, *text;
        } table[] = {{"/", "ls", "cd / && exec ls"},
                     {"/app", "-la", "cd /app && exec -la"},
                     {"/var/log/app", "a_@%+=:,./-Z9", "cd /var/log/app && exec a_@%+=:,./-Z9"},
                     {"/a b", "$x", "cd '/a b' && exec '$x'"},
                     {"/$HOME", "it's", "cd '/$HOME' && exec 'it'\\\"'\\\"'s'"},
                     {"/x", "a;b", "cd /x && exec 'a;b'"},
                     {"/x", "'", "cd /x && exec ''\\\"'\\\"''"},
                     {"/x", "*", "cd /x && exec '*'"},
                     {"/\xc3\xa4", "~", "cd '/\xc3\xa4' && exec '~'"}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            const char *argv[4];
            char expected[200];
            cws_exec_opts o;
            cws_result *r = NULL;
            memset(&o, 0, sizeof(o));
            o.cwd = table[i].cwd;
            argv[0] = table[i].arg;
            argv[1] = "";
            argv[2] = "x y";
            argv[3] = NULL;
            api_answer(t, 0, "", "");
            CHECK_INT(api_exec(t, sb, argv, &o, &r), CWS_OK);
            (void)snprintf(expected, sizeof(expected),
                           "\"command\":[\"/bin/sh\",\"-c\",\"%s '' 'x y'\"]", table[i].text);
            if (!CHECK(strstr(script_json(&t->s, api_exec_rpc(t), i), expected) != NULL))
                printf("    %s\n", script_json(&t->s, api_exec_rpc(t), i));
            CHECK_STR(cws_result_command(r)[0], table[i].arg); /* EX-11: the original */
            cws_result_free(r);
        }
    }
    EACH("EX: the environment and the container of a command are sent") {
        static const cws_pair env[] = {{"A", "1"}, {"B", ""}, {NULL, NULL}};
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        if (t->mode == API_PERFORM && api_v1_only(t, "a unary Exec has no environment")) continue;
        o.env = env;
        o.container = api_side(t);
        api_answer(t, 0, "", "");
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_OK);
        HAS(script_json(&t->s, api_exec_rpc(t), 0), "\"env\":{\"A\":\"1\",\"B\":\"\"}");
        CHECK(!strstr(script_json(&t->s, api_exec_rpc(t), 0), SIDE) == t->s.b2);
        cws_result_free(r);
    }
    EACH("EX-15 EX-16 FL-2: an ended or draining sandbox: no command, no file, no call") {
        static const char *const states[] = {EXITED("COMPLETED", 0), BOX("TERMINATING")};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_found(t, states[i]);
            cws_result *r = NULL;
            cws_bytes *bytes = NULL;
            CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_ERR_NOT_RUNNING);
            HAS(t->err.message, "has been stopped");
            CHECK(r == NULL);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_NOT_RUNNING);
            CHECK_INT(api_write(t, sb, "/x", "", 0, NULL), CWS_ERR_NOT_RUNNING);
            CHECK_INT(t->s.call_count, 0);
            CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 1);
        }
    }
    EACH("EX-17: DEADLINE_EXCEEDED is a timeout in the words of the command, reason kept") {
        static const char *const argv[] = {"sleep", NULL};
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 2.5;
        if (t->mode == API_PERFORM) {
            script_error(&t->s, "Exec", "deadline_exceeded", "late",
                         script_reason(&t->s, "R", "d"));
        } else {
            char end[600];
            (void)snprintf(end, sizeof(end), "{\"error\":%s}",
                           script_error_json(&t->s, "deadline_exceeded", "late",
                                             script_reason(&t->s, "R", "d")));
            script_stream(&t->s, end, OUT_A, NULL);
        }
        CHECK_INT(api_exec(t, sb, argv, &o, &r), CWS_ERR_TIMEOUT);
        CHECK_STR(t->err.message, "Command 'sleep' timed out after 2.500 s");
        CHECK_STR(t->err.reason, "R");
        CHECK_STR(api_shown(r), t->mode == API_PERFORM ? "(none)" : "-|a|");
        cws_result_free(r);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 1);
    }
    EACH("EX: a server that never answers a command: the timeout and 5 s, naming the timeout") {
        static const char *const argv[] = {"sleep", NULL};
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 1;
        script_never(&t->s, api_exec_rpc(t));
        CHECK_INT(api_exec(t, sb, argv, &o, &r), CWS_ERR_TIMEOUT);
        CHECK_STR(t->err.message, "Command 'sleep' timed out after 1 s");
        CHECK_INT(t->s.now - from, 6000);
        CHECK(r == NULL);
    }
    EACH("EX-18: UNAVAILABLE, and the other codes, are translated; a command is never sent twice") {
        static const struct {
            const char *code, *reason;
            cws_status status;
        } table[] = {{"unavailable", NULL, CWS_ERR_UNAVAILABLE},
                     {"internal", "CWSANDBOX_COMMAND_TIMEOUT", CWS_ERR_COMMAND_TIMEOUT},
                     {"deadline_exceeded", "CWSANDBOX_COMMAND_TIMEOUT", CWS_ERR_TIMEOUT},
                     {"not_found", NULL, CWS_ERR_NOT_FOUND},
                     {"unauthenticated", NULL, CWS_ERR_AUTHENTICATION},
                     {"resource_exhausted", NULL, CWS_ERR_RESOURCE_EXHAUSTED},
                     {"unknown", NULL, CWS_ERR_SANDBOX}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            const char *detail =
                table[i].reason ? script_reason(&t->s, table[i].reason, "cwsandbox.com") : NULL;
            cws_result *r = NULL;
            char end[600];
            (void)snprintf(end, sizeof(end), "{\"error\":%s}",
                           script_error_json(&t->s, table[i].code, "txt", detail));
            if (t->mode == API_PERFORM) script_error(&t->s, "Exec", table[i].code, "txt", detail);
            else script_stream(&t->s, end, NULL);
            CHECK_INT(api_exec(t, sb, api_true, NULL, &r), table[i].status);
            CHECK(r == NULL);
            if (i != 2) HAS(t->err.message, "Execute command");
            CHECK_INT(t->s.call_count, i + 1);
        }
    }
    EACH("EX: a command is repeated only if it surely never left") {
        cws_sandbox *sb = api_running(t);
        cws_result *r = NULL;
        script_end(&t->s, api_exec_rpc(t), CWS_END_LOST);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_ERR_TRANSPORT);
        script_end(&t->s, api_exec_rpc(t), CWS_END_RESET);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_ERR_PROTOCOL);
        CHECK_INT(t->s.call_count, 2);
        script_end(&t->s, api_exec_rpc(t), CWS_END_NOT_SENT);
        script_end(&t->s, api_exec_rpc(t), CWS_END_REFUSED);
        api_answer(t, 0, "", "");
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
        cws_result_free(r);
    }
    STREAMING("EX-6 EX-25: an error in the stream: typed, with its code and what had arrived") {
        static const struct {
            const char *code;
            cws_status status;
        } table[] = {{"STREAM_BACKPRESSURE", CWS_ERR_STREAM_BACKPRESSURE},
                     {"STREAM_TRUNCATED", CWS_ERR_STREAM_TRUNCATED},
                     {"SOMETHING_ELSE", CWS_ERR_EXECUTION},
                     {"", CWS_ERR_EXECUTION}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < 4; i++) {
            char json[200];
            cws_result *r = NULL;
            (void)snprintf(json, sizeof(json), "{\"error\":{\"message\":\"boom\",\"code\":\"%s\"}}",
                           table[i].code);
            script_stream(&t->s, "{}", OUT_A, ERR_E, json, EXIT(0), NULL);
            CHECK_INT(api_exec(t, sb, api_true, NULL, &r), table[i].status);
            CHECK(cws_status_is(t->err.status, CWS_ERR_EXECUTION));
            CHECK_STR(t->err.stream_code, table[i].code);
            CHECK_STR(t->err.reason, "");
            HAS(t->err.message, "boom");
            HAS_NOT(t->err.message, "buffer");
            HAS_NOT(t->err.message, "queue");
            if (i == 0) HAS(t->err.message, "read faster");
            CHECK_STR(api_shown(r), "-|a|e");
            cws_result_free(r);
        }
    }
    STREAMING("EX-26 EX-27: bytes as they are, split characters join; no stream is stdout") {
        cws_sandbox *sb = api_running(t);
        cws_result *r = NULL;
        script *s = &t->s;
        script_stream(s, "{}", script_output(s, "STDOUT", "\xe2\x82", 2),
                      script_output(s, "STDOUT", "\xac\0\xff", 3),
                      script_output(s, "UNSPECIFIED", "u", 1), "{}",
                      "{\"output\":{\"stream\":9,\"data\":\"djk=\"}}", EXIT(0), NULL);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
        CHECK_INT(cws_result_stdout_size(r), 8);
        CHECK(memcmp(cws_result_stdout(r, NULL), "\xe2\x82\xac\0\xffuv9", 9) == 0);
        cws_result_free(r);
    }
    STREAMING("EX-28: OK without an exit message is an error, with what had arrived") {
        cws_sandbox *sb = api_running(t);
        cws_result *r = NULL;
        script_stream(&t->s, "{}", OUT_A, NULL);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_ERR_EXECUTION);
        HAS(t->err.message, "ended without exit status");
        CHECK_STR(api_shown(r), "-|a|");
        CHECK(!cws_result_has_exit_code(r));
        cws_result_free(r);
        script_stream(&t->s, "{}", NULL);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_ERR_EXECUTION);
        CHECK(r == NULL);
    }
    STREAMING("4.3: after the exit nothing counts: a failure, garbage, a lost connection") {
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < 5; i++) {
            cws_result *r = NULL;
            script_reply *reply =
                script_stream(&t->s, i == 0 ? "{\"error\":{\"code\":\"internal\"}}" : NULL,
                              OUT_A, EXIT(4), NULL);
            if (i == 1) script_envelope(&t->s, reply, 0x81, "x", 1);
            if (i == 2) reply->end = CWS_END_LOST;
            if (i == 3) script_message(&t->s, reply, OUT_B);
            if (i == 4) reply->gap = 1000000; /* the end never comes in time */
            CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
            CHECK_STR(api_shown(r), "4|a|");
            cws_result_free(r);
        }
    }
    EACH("4.6: what is over the cap is counted and dropped, per stream, and flagged") {
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        o.max_output_bytes = 3;
        api_answer(t, 0, "abcde", "xyz");
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_OK);
        CHECK_STR(api_shown(r), "0|abc|xyz");
        CHECK(cws_result_truncated(r, CWS_STDOUT) && !cws_result_truncated(r, CWS_STDERR));
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDOUT), 5);
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDERR), 3);
        if (t->mode == API_PERFORM && !t->s.b2)
            HAS(script_json(&t->s, "Exec", 0), "\"maxOutputBytes\":3");
        cws_result_free(r);
        o.max_output_bytes = CWS_UNLIMITED;
        api_answer(t, 0, "abcde", "xyz");
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_OK);
        CHECK_STR(api_shown(r), "0|abcde|xyz");
        cws_result_free(r);
    }
    EACH("4.6: the server's own cut is told too") {
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        o.unary = true;
        script_ok(&t->s, "Exec", "{\"stdout\":\"YQ==\",\"stdoutTruncated\":true,"
                                 "\"stdoutBytesProduced\":\"500\",\"exitCode\":2}");
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_OK);
        CHECK_STR(api_shown(r), "2|a|");
        CHECK(cws_result_truncated(r, CWS_STDOUT));
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDOUT), 500);
        CHECK_INT(script_count(&t->s, "StreamExec"), 0);
        cws_result_free(r);
    }
    EACH("output arrives through the callback, also what the cap drops; it can cancel") {
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        api_sink sink;
        memset(&o, 0, sizeof(o));
        memset(&sink, 0, sizeof(sink));
        o.on_output = api_on_output;
        o.user = &sink;
        o.max_output_bytes = 1;
        api_answer(t, 0, "abc", "e");
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_OK);
        CHECK_STR(sink.text, "OabcEe");
        CHECK_STR(api_shown(r), "0|a|e");
        cws_result_free(r);
        memset(&sink, 0, sizeof(sink));
        sink.cancel_at = 1;
        o.max_output_bytes = 0;
        api_answer(t, 0, "abc", "e");
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_ERR_CANCELLED);
        CHECK_INT(sink.calls, 1);
        CHECK_STR(api_shown(r), "-|abc|");
        CHECK_INT(t->s.opens, t->s.cancels); /* the exchange is over at once */
        cws_result_free(r);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 1);
    }
    STREAMING("an address that answers 505: unary from then on, the command runs once") {
        cws_sandbox *sb = api_running(t);
        cws_result *r = NULL;
        script_raw(&t->s, "StreamExec", 505, "text/plain", "no", 2);
        script_ok(&t->s, "Exec", "{\"stdout\":\"YQ==\",\"exitCode\":0}")->times = 2;
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
        CHECK_STR(api_shown(r), "0|a|");
        cws_result_free(r);
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
        cws_result_free(r);
        CHECK_STR(script_calls(&t->s), "StreamExec Exec Exec");
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_completed_ok, 2);
    }
    STREAMING("a streaming transport without full duplex uses the unary call") {
        cws_sandbox *sb;
        cws_result *r = NULL;
        t->s.transport.full_duplex = false;
        sb = api_running(t);
        script_ok(&t->s, "Exec", "{\"exitCode\":0}");
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Exec");
        cws_result_free(r);
    }
    EACH("RD-1 to RD-8: a process: poll, wait, take, cancel, failures told again and again") {
        cws_sandbox *sb = api_running(t);
        cws_process *p = NULL;
        const cws_result *borrowed = NULL;
        cws_result *mine;
        int32_t code = 77;
        api_answer(t, 3, "x", "");
        t->s.last->delay = 4000;
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        CHECK(!cws_process_poll(p, &code));
        CHECK_INT(code, 77);
        CHECK(cws_process_take_result(p) == NULL);
        if (t->mode != API_PERFORM) {
            CHECK_INT(cws_process_wait(p, 1000, &borrowed, &t->err), CWS_ERR_WAIT_TIMEOUT);
            CHECK(borrowed == NULL);
        }
        CHECK_INT(cws_process_wait(p, -1, &borrowed, &t->err), CWS_OK);
        CHECK_STR(api_shown(borrowed), "3|x|");
        CHECK(cws_process_poll(p, &code) && cws_process_poll(p, NULL));
        CHECK_INT(code, 3);
        CHECK_INT(cws_process_wait(p, 0, NULL, NULL), CWS_OK);
        CHECK(!cws_process_cancel(p));
        mine = cws_process_take_result(p);
        CHECK(cws_process_take_result(p) == NULL);
        CHECK_INT(cws_process_wait(p, 0, &borrowed, &t->err), CWS_OK);
        CHECK(borrowed == NULL);
        cws_process_free(p);
        CHECK_STR(api_shown(mine), "3|x|");
        cws_result_free(mine);
        script_end(&t->s, api_exec_rpc(t), CWS_END_LOST);
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_TRANSPORT);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_TRANSPORT);
        HAS(t->err.message, "connection lost");
        CHECK(!cws_process_poll(p, &code));
        cws_process_free(p);
    }
    STREAMING("RD-8 EX-24: cancel of a running command reaches the peer; counted once, RD-14") {
        cws_sandbox *sb = api_running(t);
        cws_process *p = NULL;
        const cws_result *r = NULL;
        script_stream(&t->s, NULL, OUT_A, NULL)->gap = 1000000;
        t->s.last->chunk = t->s.last->size - 1;
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK(cws_process_cancel(p));
        CHECK_INT(cws_process_wait(p, -1, &r, &t->err), CWS_ERR_CANCELLED);
        CHECK(!cws_process_cancel(p));
        CHECK(t->s.calls[0].cancelled);
        CHECK_INT(cws_process_wait(p, -1, &r, &t->err), CWS_ERR_CANCELLED);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 1);
        cws_process_free(p);
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        cws_process_free(p); /* never sent, nobody asks for the result */
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 2);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 2);
        CHECK_INT(t->s.call_count, 1);
    }
    STREAMING("three commands in three sandboxes take as long as the slowest") {
        cws_process *p[3];
        cws_op *ops[3];
        int64_t from;
        size_t i;
        for (i = 0; i < 3; i++) (void)api_running(t);
        from = t->s.now;
        for (i = 0; i < 3; i++) {
            api_answer(t, 0, "", "");
            t->s.last->delay = 1000 * (int64_t)(i + 1);
            CHECK_INT(cws_exec_begin(t->boxes[i], api_true, NULL, &p[i], &t->err), CWS_OK);
            ops[i] = cws_process_op(p[i]);
        }
        CHECK_INT(cws_wait_many(ops, 3, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        CHECK_INT(t->s.now - from, 3000);
        for (i = 0; i < 3; i++) cws_process_free(p[i]);
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

static void api_test_grpc(void)
{
    api_test_grpc_outcomes();
    api_test_grpc_heads();
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

/* ---- commands with input --------------------------------------------------------------------- */

static cws_process *api_talk(api *t, cws_sandbox *sb, const cws_exec_opts *more)
{
    cws_exec_opts o;
    cws_process *p = NULL;
    memset(&o, 0, sizeof(o));
    if (more) o = *more;
    o.with_stdin = true;
    CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
    return p;
}

/* The bytes of all input that was sent, joined; the sizes of the frames in `sizes`. */
static size_t api_input(api *t, char *out, char *sizes, size_t room)
{
    size_t i, n = 0, at = 0;
    const script_call *call = script_call_at(&t->s, "StreamExec", 0);
    unsigned flags;
    sizes[0] = '\0';
    for (i = 0; call->sent.len - at >= CWSI_ENVELOPE; i++) {
        cwsi_str body;
        const cwsi_v1_ExecStreamRequest *m;
        body.at = call->sent.at + at + CWSI_ENVELOPE;
        body.len = cwsi_envelope_read(call->sent.at + at, &flags);
        at += CWSI_ENVELOPE + body.len;
        if (!CHECK(at <= call->sent.len && flags == 0)) return n;
        m = script_input(&t->s, body);
        if (!CHECK(m != NULL)) return n;
        CHECK(!m->init && !m->resize && !m->has_stdin_ == (m->close != NULL));
        if (m->close) {
            CHECK(call->fin && at == call->sent.len); /* nothing behind it */
            (void)snprintf(sizes + strlen(sizes), room - strlen(sizes), "close");
        } else {
            CHECK(m->stdin_.len > 0 && m->stdin_.len <= 65536);
            if (out) memcpy(out + n, m->stdin_.at, m->stdin_.len);
            n += m->stdin_.len;
            (void)snprintf(sizes + strlen(sizes), room - strlen(sizes), "%lu ",
                           (unsigned long)m->stdin_.len);
        }
    }
    return n;
}

static void api_count_room(void *user) { ++*(int *)user; }

static struct {
    cws_process *process;
    cws_status status;
    size_t written;
} api_nested;

static cws_flow api_write_back(cws_stream_id stream, const void *text, size_t size, void *user)
{
    (void)stream, (void)text, (void)size, (void)user;
    api_nested.written = 99;
    api_nested.status =
        cws_process_write(api_nested.process, "intruder", 8, 0, &api_nested.written, NULL);
    return CWS_FLOW_CONTINUE;
}

static void api_test_input(void)
{
    static char data[3 << 20], back[3 << 20], sizes[1000];
    api_fill(data, sizeof(data));
    STREAMING("IN-1 5 8 15: input goes out in order, in frames of 64 KiB, and its end behind it") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        const cws_result *result = NULL;
        size_t n = 0;
        (void)api_answer_at_eof(t, OUT_A, 3);
        p = api_talk(t, sb, NULL);
        CHECK_INT(cws_process_write(p, data, 200000, 0, &n, &t->err), CWS_OK);
        CHECK_INT(n, 200000);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(cws_process_wait(p, -1, &result, &t->err), CWS_OK);
        CHECK_STR(api_shown(result), "3|a|");
        CHECK_INT(api_input(t, back, sizes, sizeof(sizes)), 200000);
        CHECK(memcmp(data, back, 200000) == 0);
        CHECK_STR(sizes, "65536 65536 65536 3392 close");
        cws_process_free(p);
    }
    STREAMING("IN-2 13 14: lines, empty lines, and nothing") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        (void)api_answer_at_eof(t, NULL, 0);
        p = api_talk(t, sb, NULL);
        CHECK_INT(cws_process_write_line(p, "one", -1, &t->err), CWS_OK);
        CHECK_INT(cws_process_write_line(p, "", -1, &t->err), CWS_OK);
        CHECK_INT(cws_process_write(p, NULL, 0, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_process_write(p, "\0x", 2, -1, NULL, NULL), CWS_OK);
        CHECK_INT(cws_process_close_stdin(p, NULL), CWS_OK);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK); /* IN-6 */
        CHECK_INT(cws_process_write(p, "x", 1, -1, NULL, &t->err), CWS_ERR_EXECUTION); /* IN-7 */
        HAS(t->err.message, "stream is closed");
        CHECK_INT(cws_process_write_line(p, "x", -1, &t->err), CWS_ERR_EXECUTION);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(api_input(t, back, sizes, sizeof(sizes)), 7);
        CHECK(memcmp(back, "one\n\n\0x", 7) == 0);
        CHECK_STR(sizes, "7 close");
        CHECK_INT(cws_process_write(p, "x", 1, -1, NULL, &t->err), CWS_ERR_EXECUTION); /* IN-10 */
        HAS(t->err.message, "stream has failed");
        HAS(t->err.message, "exited");
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        cws_process_free(p);
    }
    STREAMING("EX-20: nothing goes out before ready; EX-21: which has to come soon") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        cws_exec_opts o;
        int64_t before;
        int i;
        api_answer_at_eof(t, NULL, 0)->delay = 1000;
        p = api_talk(t, sb, NULL);
        CHECK_INT(cws_process_write_line(p, "early", 0, &t->err), CWS_OK);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        for (i = 0; i < 5; i++) CHECK_INT(cws_client_poll(t->client, 100, &t->err), CWS_OK);
        CHECK_INT(script_count(&t->s, "StreamExec"), 1);
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->sent.len, 0);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), "{\"stdin\":\"ZWFybHkK\"}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 1), "{\"close\":{}}");
        CHECK(script_sent(&t->s, "StreamExec", 2) == NULL);
        cws_process_free(p);
        memset(&o, 0, sizeof(o));
        for (i = 0; i < 2; i++) {
            script_never(&t->s, "StreamExec");
            before = t->s.now;
            o.timeout_seconds = i ? 2 : 60;
            p = api_talk(t, sb, &o);
            CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_TIMEOUT);
            HAS(t->err.message, "ready");
            CHECK_INT(t->s.now - before, i ? 2000 : 5000);
            cws_process_free(p);
        }
    }
    STREAMING("EX-22 23: an exit or an error before ready ends the command") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        int32_t code = -1;
        script_stream(&t->s, "{}", EXIT(4), NULL);
        p = api_talk(t, sb, NULL);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        CHECK(cws_process_poll(p, &code) && code == 4);
        cws_process_free(p);
        script_stream(&t->s, "{}", "{\"error\":{\"message\":\"no such thing\"}}", NULL);
        p = api_talk(t, sb, NULL);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_EXECUTION);
        CHECK_INT(cws_process_write(p, "x", 1, 0, NULL, &t->err), CWS_ERR_EXECUTION); /* IN-9 */
        HAS(t->err.message, "stream has failed");
        HAS(t->err.message, "no such thing");
        cws_process_free(p);
    }
    STREAMING("IN-12: 1 MiB waits; more is told, and there is room again once it went out") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        cws_exec_opts o;
        size_t n = 0, all = 0;
        int room = 0;
        memset(&o, 0, sizeof(o));
        o.on_stdin_room = api_count_room;
        o.user = &room;
        api_answer_at_eof(t, NULL, 0)->delay = 500;
        p = api_talk(t, sb, &o);
        CHECK_INT(cws_process_write(p, data, sizeof(data), 0, &n, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(n, 1 << 20);
        all = n;
        CHECK_INT(cws_process_write_line(p, "whole or not at all", 0, &t->err),
                  CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_process_write(p, "x", 1, 100, NULL, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(room, 0);
        while (room == 0) CHECK_INT(cws_client_poll(t->client, 1000, &t->err), CWS_OK);
        CHECK_INT(cws_process_write(p, data + all, sizeof(data) - all, -1, &n, &t->err), CWS_OK);
        CHECK_INT(n, sizeof(data) - all);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(api_input(t, back, sizes, sizeof(sizes)), sizeof(data));
        CHECK(memcmp(data, back, sizeof(data)) == 0);
        cws_process_free(p);
    }
    STREAMING("a transport that takes little at a time gets everything, in little memory") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        size_t n = 0;
        t->s.send_most = 5000;
        (void)api_answer_at_eof(t, NULL, 0);
        p = api_talk(t, sb, NULL);
        CHECK_INT(cws_process_write(p, data, sizeof(data), -1, &n, &t->err), CWS_OK);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(api_input(t, back, sizes, sizeof(sizes)), sizeof(data));
        CHECK(memcmp(data, back, sizeof(data)) == 0);
        CHECK(cws_client_memory(t->client).peak_bytes < 3u << 20);
        cws_process_free(p);
    }
    STREAMING("a write that waits is woken by the end of the command") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        size_t n = 0;
        script_reply *r = script_stream(&t->s, "{}", "{\"ready\":{}}", EXIT(0), NULL);
        r->chunk = 7; /* the ready message */
        r->gap = 500;
        t->s.send_most = 1;
        p = api_talk(t, sb, NULL);
        CHECK_INT(cws_process_write(p, data, sizeof(data), -1, &n, &t->err), CWS_ERR_EXECUTION);
        HAS(t->err.message, "stream has failed");
        CHECK(n >= 1 << 20 && n < sizeof(data));
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        cws_process_free(p);
    }
    STREAMING("a process with input that is freed or cancelled in mid-flight leaves nothing") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        int i;
        for (i = 0; i < 4; i++) {
            script_reply *r = api_answer_at_eof(t, NULL, 0);
            if (i & 1) r->delay = 1000;
            p = api_talk(t, sb, NULL);
            (void)cws_process_write(p, data, sizeof(data), 0, NULL, &t->err);
            CHECK_INT(cws_client_poll(t->client, 10, &t->err), CWS_OK);
            CHECK_INT(cws_client_poll(t->client, 10, &t->err), CWS_OK);
            if (i & 2) CHECK(cws_process_cancel(p));
            if (i & 2) CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_CANCELLED);
            cws_process_free(p);
        }
    }
    STREAMING("what a callback writes does not land in the middle of another write") {
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        script_reply *r;
        memset(&o, 0, sizeof(o));
        memset(&api_nested, 0, sizeof(api_nested));
        o.on_output = api_write_back;
        t->s.send_most = 50000;
        r = script_stream(&t->s, NULL, "{\"ready\":{}}", OUT_A, NULL);
        r->until_fin = r->size;
        script_message(&t->s, r, EXIT(0));
        api_nested.process = api_talk(t, sb, &o);
        CHECK_INT(cws_process_write(api_nested.process, data, sizeof(data), -1, NULL, NULL),
                  CWS_OK);
        CHECK_INT(api_nested.status, CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(api_nested.written, 0);
        CHECK_INT(cws_process_close_stdin(api_nested.process, &t->err), CWS_OK);
        CHECK_INT(cws_process_wait(api_nested.process, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(api_input(t, back, sizes, sizeof(sizes)), sizeof(data));
        CHECK(memcmp(data, back, sizeof(data)) == 0);
        cws_process_free(api_nested.process);
    }
    STREAMING("a write after a cancel is refused; room is told once, where a write came short") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        cws_exec_opts o;
        int room = 0;
        memset(&o, 0, sizeof(o));
        o.on_stdin_room = api_count_room;
        o.user = &room;
        (void)api_answer_at_eof(t, NULL, 0);
        p = api_talk(t, sb, &o);
        CHECK_INT(cws_process_write(p, data, sizeof(data), -1, NULL, &t->err), CWS_OK);
        CHECK_INT(room, 0); /* it waited, and took everything */
        CHECK_INT(cws_process_write(p, data, sizeof(data), 0, NULL, &t->err),
                  CWS_ERR_WAIT_TIMEOUT);
        while (room == 0) CHECK_INT(cws_client_poll(t->client, 100, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 100, &t->err), CWS_OK);
        CHECK_INT(room, 1);
        CHECK(cws_process_cancel(p));
        CHECK_INT(cws_process_write(p, "x", 1, 0, NULL, &t->err), CWS_ERR_EXECUTION);
        HAS(t->err.message, "cancelled");
        cws_process_free(p);
    }
    EACH("input needs streams in both directions, a handle, and with_stdin") {
        cws_sandbox *sb = api_running(t);
        cws_process *p = NULL;
        cws_result *result = NULL;
        cws_exec_opts o;
        size_t n = 1;
        memset(&o, 0, sizeof(o));
        o.with_stdin = true;
        CHECK_INT(cws_exec(sb, api_true, &o, &result, &t->err), CWS_ERR_INVALID_ARGUMENT);
        o.unary = true;
        CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
        o.unary = false;
        if (t->mode == API_PERFORM) {
            CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_ERR_UNSUPPORTED);
            HAS(t->err.message, "HTTP/2");
        }
        CHECK_INT(cws_process_write(NULL, "x", 1, 0, &n, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(n, 0);
        CHECK_INT(cws_process_close_stdin(NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        api_answer(t, 0, "", "");
        o.with_stdin = false;
        CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
        CHECK_INT(cws_process_write(p, "x", 1, 0, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "with_stdin");
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        cws_process_free(p);
    }
}

static void api_test_reading(void)
{
    EACH("RD-9 10: output is taken as it arrives; its end stays; the rest is in the result") {
        cws_sandbox *sb = api_running(t);
        cws_process *p = NULL;
        const cws_result *result = NULL;
        char text[10];
        size_t n = 0;
        api_answer(t, 5, "hello", "warn");
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 3, -1, &n, &t->err), CWS_OK);
        CHECK(n == 3 && memcmp(text, "hel", 3) == 0);
        CHECK_INT(cws_process_wait(p, -1, &result, &t->err), CWS_OK);
        CHECK_STR(api_shown(result), "5|lo|warn");
        CHECK_INT(cws_result_stdout_size(result), 2);
        CHECK_INT(cws_result_bytes_produced(result, CWS_STDOUT), 5);
        CHECK(!cws_result_truncated(result, CWS_STDOUT));
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 10, 0, &n, &t->err), CWS_OK);
        CHECK(n == 2 && memcmp(text, "lo", 2) == 0);
        CHECK_INT(cws_process_read(p, CWS_STDERR, text, 10, 0, &n, &t->err), CWS_OK);
        CHECK_INT(n, 4);
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 10, -1, &n, &t->err), CWS_OK);
        CHECK_INT(n, 0);
        CHECK_INT(cws_process_read(p, CWS_STDERR, text, 10, -1, &n, &t->err), CWS_OK);
        CHECK_INT(n, 0);
        CHECK_STR(api_shown(result), "5||");
        cws_process_free(p);
    }
    STREAMING("RD-11: a failure comes behind the bytes before it; too short a wait is told") {
        cws_sandbox *sb = api_running(t);
        cws_process *p = NULL;
        char text[10];
        size_t n = 0;
        script_stream(&t->s, "{\"error\":{\"code\":\"unavailable\"}}", OUT_A, NULL)->delay = 1000;
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 10, 0, &n, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 10, 100, &n, &t->err),
                  CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 10, -1, &n, &t->err), CWS_OK);
        CHECK(n == 1 && text[0] == 'a');
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 10, -1, &n, &t->err), CWS_ERR_UNAVAILABLE);
        CHECK_INT(cws_process_read(p, CWS_STDERR, text, 10, -1, &n, &t->err), CWS_ERR_UNAVAILABLE);
        CHECK_INT(cws_process_read(p, CWS_STDERR, text, 0, -1, &n, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_read(p, (cws_stream_id)0, text, 1, -1, &n, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        cws_process_free(p);
    }
    STREAMING("output that nobody read in time is told behind what was kept, not left out") {
        cws_sandbox *sb = api_running(t);
        cws_process *p = NULL;
        cws_exec_opts o;
        char text[10];
        size_t n = 0;
        memset(&o, 0, sizeof(o));
        o.max_output_bytes = 3;
        script_stream(&t->s, "{}", script_output(&t->s, "STDOUT", "abcdef", 6),
                      script_output(&t->s, "STDOUT", "ghi", 3), EXIT(0), NULL);
        CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 10, -1, &n, &t->err), CWS_OK);
        CHECK(n == 3 && memcmp(text, "abc", 3) == 0);
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 10, -1, &n, &t->err), CWS_ERR_LIMIT);
        CHECK_INT(n, 0);
        CHECK_INT(cws_process_read(p, CWS_STDERR, text, 10, -1, &n, &t->err), CWS_OK);
        cws_process_free(p);
    }
    STREAMING("output that is read as it comes needs no more memory than its cap") {
        static char piece[60000], text[100000];
        cws_sandbox *sb = api_running(t);
        cws_process *p = NULL;
        cws_exec_opts o;
        size_t n = 1, all = 0;
        int i;
        script_reply *r = script_stream(&t->s, NULL, NULL);
        memset(&o, 0, sizeof(o));
        o.max_output_bytes = 100000;
        for (i = 0; i < 30; i++)
            script_message(&t->s, r, script_output(&t->s, "STDOUT", piece, sizeof(piece)));
        script_message(&t->s, r, EXIT(0));
        r->chunk = 10000;
        r->gap = 1;
        CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
        while (n) {
            if (!CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 7777, -1, &n, &t->err), CWS_OK))
                break;
            all += n;
        }
        CHECK_INT(all, 30 * sizeof(piece));
        CHECK(cws_client_memory(t->client).peak_bytes < 500000);
        cws_process_free(p);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static void api_test_files(void)
{
    EACH("FL-1: read: the bytes as they are, a NUL behind; write: the bytes as they are") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        size_t n = 0;
        cws_file_opts o;
        memset(&o, 0, sizeof(o));
        script_ok(&t->s, "ReadFile", "{\"content\":\"AP9h\"}");
        CHECK_INT(api_read(t, sb, "rel path", NULL, &bytes), CWS_OK);
        CHECK(memcmp(cws_bytes_data(bytes, &n), "\0\xff" "a\0", 4) == 0);
        CHECK_INT(n, 3);
        CHECK_INT(cws_bytes_size(bytes), 3);
        cws_bytes_free(bytes);
        CHECK_STR(script_json(&t->s, "ReadFile", 0),
                  "{\"sandboxId\":\"sb-1\",\"path\":\"rel path\"}");
        CHECK_INT(script_call_at(&t->s, "ReadFile", 0)->timeout_ms, 300000);
        script_ok(&t->s, "ReadFile", "{}");
        o.timeout_seconds = 0.25;
        o.container = api_side(t);
        CHECK_INT(api_read(t, sb, "/e", &o, &bytes), CWS_OK);
        CHECK_INT(cws_bytes_size(bytes), 0);
        CHECK_STR((const char *)cws_bytes_data(bytes, NULL), "");
        cws_bytes_free(bytes);
        CHECK_INT(script_call_at(&t->s, "ReadFile", 1)->timeout_ms, 250);
        CHECK(!strstr(script_json(&t->s, "ReadFile", 1), SIDE) == t->s.b2);
        script_ok(&t->s, "WriteFile", "{}")->times = 2;
        CHECK_INT(api_write(t, sb, "/x", "\0\xff" "a", 3, &o), CWS_OK);
        HAS(script_json(&t->s, "WriteFile", 0), "\"content\":\"AP9h\"");
        CHECK_INT(api_write(t, sb, "/x", NULL, 0, NULL), CWS_OK);
        HAS_NOT(script_json(&t->s, "WriteFile", 1), "content");
    }
    EACH("FL-2 FL-17: the reason decides; the caller's path and the metadata are in the error") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        const char *detail = script_detail(
            &t->s, "google.rpc.ErrorInfo",
            "{\"reason\":\"CWSANDBOX_FILE_TOO_LARGE\",\"domain\":\"cwsandbox.com\","
            "\"metadata\":{\"filepath\":\"/other\",\"size_bytes\":\"300000000\"}}");
        script_error(&t->s, "ReadFile", "internal", "too big", detail);
        CHECK_INT(api_read(t, sb, "/mine", NULL, &bytes), CWS_ERR_FILE);
        CHECK(bytes == NULL);
        CHECK_STR(t->err.filepath, "/mine");
        CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TOO_LARGE");
        CHECK_STR(cws_error_metadata(&t->err, "filepath"), "/other");
        CHECK_STR(cws_error_metadata(&t->err, "size_bytes"), "300000000");
        HAS(t->err.message, "Read file failed: too big (CWSANDBOX_FILE_TOO_LARGE)");
        script_error(&t->s, "WriteFile", "not_found", "x",
                     script_reason(&t->s, "CWSANDBOX_FILE_PERMISSION_DENIED", "cwsandbox.com"));
        CHECK_INT(api_write(t, sb, "/mine", "x", 1, NULL), CWS_ERR_FILE);
        CHECK_STR(t->err.filepath, "/mine");
    }
    EACH("a read is repeated while the service is unavailable; a write only if it never left") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        script_error(&t->s, "ReadFile", "unavailable", "", NULL);
        script_end(&t->s, "ReadFile", CWS_END_LOST);
        script_ok(&t->s, "ReadFile", "{\"content\":\"YQ==\"}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        script_end(&t->s, "WriteFile", CWS_END_NOT_SENT);
        script_end(&t->s, "WriteFile", CWS_END_LOST);
        CHECK_INT(api_write(t, sb, "/x", "x", 1, NULL), CWS_ERR_TRANSPORT);
        script_error(&t->s, "WriteFile", "unavailable", "", NULL);
        CHECK_INT(api_write(t, sb, "/x", "x", 1, NULL), CWS_ERR_UNAVAILABLE);
        CHECK_INT(t->s.call_count, 6);
    }
    EACH("a file call has its own deadline, and ends with it") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        cws_file_opts o;
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 2;
        script_never(&t->s, "ReadFile");
        CHECK_INT(api_read(t, sb, "/x", &o, &bytes), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(t->s.now - from, 2000);
        script_never(&t->s, "WriteFile");
        CHECK_INT(api_write(t, sb, "/x", "x", 1, &o), CWS_ERR_REQUEST_TIMEOUT);
    }
    EACH("a malformed file reply is an error; the wait for RUNNING is not charged to the call") {
        cws_sandbox *sb = api_started(t);
        cws_bytes *bytes = NULL;
        cws_file_opts o;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 3;
        script_ok(&t->s, "GetSandbox", BOX("PENDING"))->times = 10;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_raw(&t->s, "ReadFile", 200, "application/proto", "\x0a\x7f", 2);
        CHECK_INT(api_read(t, sb, "/x", &o, &bytes), CWS_ERR_PROTOCOL);
        CHECK_INT(script_call_at(&t->s, "ReadFile", 0)->timeout_ms, 3000);
        CHECK_STR(t->err.filepath, "/x");
        CHECK_INT(t->err.http_status, 200);
    }
}

/* ---- callbacks ------------------------------------------------------------------------------- */

/* What a callback does: every blocking call, then things that are allowed. */
typedef struct api_inside {
    api *t;
    cws_sandbox *sb;
    cws_op *begun;      /* by the callback */
    cws_process *spare; /* freed by the callback */
    int calls;
} api_inside;

/* Nothing that blocks is possible here, whatever the function. */
static void api_blocked(api_inside *in)
{
    api *t = in->t;
    cws_error e;
    cws_result *result = NULL;
    cws_bytes *bytes = NULL;
    cws_sandbox_list *list = NULL;
    cws_sandbox *sb = NULL;
    cws_op *op = NULL;
    size_t pending = cws_client_pending(t->client), done = 0;
    cws_exec_stats stats = cws_sandbox_exec_stats(in->sb);
    CHECK_INT(cws_sandbox_start(in->sb, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_wait(in->sb, 0, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_wait_until_complete(in->sb, NULL, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_get_status(in->sb, NULL, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_stop(in->sb, NULL, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_sandbox_delete(t->client, "x", false, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_exec(in->sb, api_true, NULL, &result, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_read_file(in->sb, "/x", NULL, &bytes, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_write_file(in->sb, "/x", "", 0, NULL, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_session_list(t->session, NULL, &list, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_session_from_id(t->session, "x", false, &sb, &e), CWS_ERR_REENTRANT);
    CHECK_INT(e.status, CWS_ERR_REENTRANT);
    CHECK_INT(cws_client_poll(t->client, 0, &e), CWS_ERR_REENTRANT);
    CHECK(!result && !bytes && !list && !sb);
    CHECK_INT(cws_client_pending(t->client), pending); /* and nothing was left behind */
    CHECK_INT(cws_sandbox_exec_stats(in->sb).exec_count, stats.exec_count);
    CHECK_INT(cws_sandbox_get_status_begin(in->sb, &op, &e), CWS_OK);
    CHECK_INT(cws_op_wait(op, 0, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_wait_many(&op, 1, 1, 0, NULL, &done, &e), CWS_ERR_REENTRANT);
    CHECK(cws_op_cancel(op));
    CHECK_INT(cws_op_result(op, &e), CWS_ERR_PENDING);
    cws_op_free(op);
    CHECK_INT(cws_session_close(t->session, &e), CWS_ERR_REENTRANT);
}

static void api_inside_work(api_inside *in)
{
    api *t = in->t;
    cws_sandbox *extra = NULL;
    if (in->calls++) return;
    CHECK_STR(cws_sandbox_id(in->sb), "sb-1");
    api_blocked(in);
    CHECK_INT(cws_session_sandbox(t->session, NULL, &extra, &t->err), CWS_OK);
    cws_sandbox_free(extra);
    CHECK_INT(cws_sandbox_get_status_begin(in->sb, &in->begun, &t->err), CWS_OK);
    if (in->spare) CHECK(cws_process_cancel(in->spare));
    cws_process_free(in->spare);
    cws_client_wakeup(t->client);
}

static void api_inside_done(cws_op *op, void *user)
{
    CHECK(cws_op_done(op));
    api_inside_work((api_inside *)user);
}

static cws_flow api_inside_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    (void)stream, (void)data, (void)size;
    api_inside_work((api_inside *)user);
    return CWS_FLOW_CONTINUE;
}

/* Cancels the process it belongs to, or frees it. */
typedef struct api_own {
    cws_process *p;
    bool free_it;
    int calls;
} api_own;

static cws_flow api_own_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    api_own *own = (api_own *)user;
    (void)stream, (void)data, (void)size;
    own->calls++;
    if (own->free_it) cws_process_free(own->p);
    else CHECK(cws_process_cancel(own->p));
    return CWS_FLOW_CONTINUE;
}

static void api_free_op(cws_op *op, void *user)
{
    ++*(int *)user;
    cws_op_free(op);
}

static void api_free_client(cws_op *op, void *user)
{
    api *t = (api *)user;
    (void)op;
    t->traces = 12345;
    cws_client_free(t->client);
}

/* Begins the same again, for ever. */
static void api_again(cws_op *op, void *user)
{
    api_inside *in = (api_inside *)user;
    cws_op *next = NULL;
    (void)op;
    if (++in->calls > 1000) return;
    if (cws_sandbox_get_status_begin(in->sb, &next, NULL) == CWS_OK) {
        cws_op_on_done(next, api_again, in);
        in->begun = next;
    }
}

static void api_test_callbacks(void)
{
    ONCE("inside on_done: what blocks is refused; begin, cancel, free and accessors work") {
        cws_sandbox *sb = api_running(t);
        cws_op *op;
        api_inside in;
        memset(&in, 0, sizeof(in));
        in.t = t;
        in.sb = sb;
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &in.spare, &t->err), CWS_OK);
        script_never(&t->s, "StreamExec");
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = 2;
        CHECK_INT(cws_sandbox_get_status_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(op, api_inside_done, &in);
        CHECK_INT(in.calls, 0);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        CHECK_INT(in.calls, 1);
        CHECK_INT(cws_op_wait(in.begun, -1, &t->err), CWS_OK);
        cws_op_free(in.begun);
        cws_op_free(op);
        CHECK_INT(cws_session_sandbox_count(t->session), 2);
    }
    ONCE("inside on_output: the same") {
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        api_inside in;
        memset(&in, 0, sizeof(in));
        memset(&o, 0, sizeof(o));
        in.t = t;
        in.sb = sb;
        o.on_output = api_inside_output;
        o.user = &in;
        script_stream(&t->s, "{}", OUT_A, OUT_B, EXIT(0), NULL);
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(cws_exec(sb, api_true, &o, &r, &t->err), CWS_OK);
        CHECK_STR(api_shown(r), "0|abb|");
        CHECK_INT(in.calls, 2);
        cws_result_free(r);
        CHECK_INT(cws_op_wait(in.begun, -1, &t->err), CWS_OK);
        cws_op_free(in.begun);
    }
    ONCE("on_output may cancel or free its own process: it is not called again") {
        cws_sandbox *sb = api_running(t);
        int k;
        for (k = 0; k < 2; k++) {
            cws_exec_opts o;
            api_own own;
            memset(&o, 0, sizeof(o));
            memset(&own, 0, sizeof(own));
            own.free_it = k;
            o.on_output = api_own_output;
            o.user = &own;
            script_stream(&t->s, "{}", OUT_A, OUT_B, EXIT(0), NULL);
            CHECK_INT(cws_exec_begin(sb, api_true, &o, &own.p, &t->err), CWS_OK);
            if (k == 0) {
                CHECK_INT(cws_process_wait(own.p, -1, NULL, &t->err), CWS_ERR_CANCELLED);
                cws_process_free(own.p);
            } else {
                api_settle(t);
            }
            CHECK_INT(own.calls, 1);
        }
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 2);
    }
    ONCE("on_done: set after the end it comes at the next poll, once; it may free its operation") {
        cws_sandbox *sb = api_running(t);
        cws_op *op;
        int called = 0;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->times = 2;
        CHECK_INT(cws_sandbox_get_status_begin(sb, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        cws_op_on_done(op, api_count, &called);
        CHECK_INT(called, 0);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(called, 1);
        cws_op_on_done(op, api_count, &called);
        cws_op_on_done(op, NULL, NULL);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(called, 1);
        cws_op_free(op);
        called = 0;
        CHECK_INT(cws_sandbox_get_status_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(op, api_free_op, &called);
        api_settle(t);
        CHECK_INT(called, 1);
    }
    ONCE("after cws_op_free no callback comes; a cancelled operation calls back once") {
        cws_sandbox *sb = api_running(t);
        cws_op *op;
        int called = 0;
        CHECK_INT(cws_sandbox_get_status_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(op, api_count, &called);
        cws_op_free(op);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(called, 0);
        CHECK_INT(cws_sandbox_get_status_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(op, api_count, &called);
        CHECK(cws_op_cancel(op));
        CHECK_INT(called, 0); /* not from inside cancel */
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(called, 1);
        cws_op_free(op);
        CHECK_INT(t->s.call_count, 0);
    }
    ONCE("the client may be freed inside a callback; everything else ends as cancelled") {
        cws_sandbox *sb = api_running(t);
        cws_op *op, *late = NULL;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(cws_sandbox_get_status_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(op, api_free_client, t);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        CHECK_INT(t->traces, 12345);
        CHECK_INT(t->s.closes, 1);
        CHECK_INT(cws_client_pending(t->client), 0);
        CHECK_INT(cws_sandbox_get_status_begin(sb, &late, &t->err), CWS_ERR_CLOSED);
        CHECK(late == NULL);
        CHECK_INT(cws_session_sandbox(t->session, NULL, &sb, &t->err), CWS_ERR_CLOSED);
        cws_op_free(op);
        t->client = NULL;
    }
    ONCE("a callback that begins again and again does not keep a client alive") {
        cws_sandbox *sb = api_running(t);
        api_inside in;
        memset(&in, 0, sizeof(in));
        in.sb = sb;
        script_never(&t->s, "GetSandbox");
        CHECK_INT(cws_sandbox_get_status_begin(sb, &in.begun, &t->err), CWS_OK);
        cws_op_on_done(in.begun, api_again, &in);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        cws_client_free(t->client);
        CHECK_INT(in.calls, 1);
        if (in.calls == 1) cws_op_free(in.begun);
        t->client = NULL;
    }
}

/* ---- cancelling and freeing, in every state and order ---------------------------------------- */

/* Begin the k-th kind of operation; false: there is none. */
static bool api_begin_some(api *t, cws_sandbox *sb, size_t k, cws_op **op, cws_process **p)
{
    cws_status status = CWS_OK;
    *op = NULL;
    *p = NULL;
    switch (k) {
    case 0: status = cws_sandbox_start_begin(sb, op, &t->err); break;
    case 1: status = cws_sandbox_wait_begin(sb, 0, op, &t->err); break;
    case 2: status = cws_sandbox_wait_until_complete_begin(sb, NULL, op, &t->err); break;
    case 3: status = cws_sandbox_stop_begin(sb, NULL, op, &t->err); break;
    case 4: status = cws_read_file_begin(sb, "/x", NULL, op, &t->err); break;
    case 5: status = cws_write_file_begin(sb, "/x", "abc", 3, NULL, op, &t->err); break;
    case 6: status = cws_exec_begin(sb, api_true, NULL, p, &t->err); break;
    case 7: status = cws_session_list_begin(t->session, NULL, op, &t->err); break;
    case 8: status = cws_session_from_id_begin(t->session, "sb-2", false, op, &t->err); break;
    case 9: status = cws_sandbox_delete_begin(t->client, "sb-2", true, op, &t->err); break;
    case 10: status = cws_session_close_begin(t->session, op, &t->err); break;
    case 11: status = cws_exec_begin(sb, api_true, NULL, p, &t->err); break;
    default: return false;
    }
    CHECK_INT(status, CWS_OK);
    if (*p) *op = cws_process_op(*p);
    return true;
}

static void api_everything(api *t)
{
    script_ok(&t->s, "CreateSandbox", BOX("PENDING"))->times = -1;
    t->s.last->delay = 10;
    script_ok(&t->s, "GetSandbox", BOX("PENDING"))->delay = 10;
    script_error(&t->s, "GetSandbox", "unavailable", "", NULL)->delay = 10;
    script_ok(&t->s, "GetSandbox", BOX("RUNNING"))->delay = 10;
    script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->times = -1;
    t->s.last->delay = 10;
    script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"))->times = -1;
    t->s.last->delay = 10;
    script_ok(&t->s, "ReadFile", "{\"content\":\"AAAA\"}")->times = -1;
    script_ok(&t->s, "WriteFile", "{}")->times = -1;
    script_ok(&t->s, "ListSandboxes", "{\"sandboxes\":[" BOX_ID("q", "RUNNING") "]}")->times = -1;
    script_stream(&t->s, "{}", OUT_A, OUT_B, EXIT(0), NULL)->times = -1;
    t->s.last->chunk = 6;
    t->s.last->gap = 3;
}

static void api_test_freeing(void)
{
    ONCE("cancel in every state of every operation: it ends as cancelled, the exchange too") {
        size_t k, turns;
        (void)api_session(t);
        api_everything(t);
        for (k = 0; k < 10; k++)
            for (turns = 0; turns < 30; turns++) {
                cws_sandbox *sb = api_box(t, NULL);
                cws_process *p;
                cws_op *op;
                size_t i;
                bool running;
                script_reply *r;
                for (r = t->s.first; r; r = r->next)
                    if (r->times > 0) r->used = 0;
                CHECK(api_begin_some(t, sb, k, &op, &p));
                for (i = 0; i < turns && !cws_op_done(op); i++)
                    CHECK_INT(cws_client_poll(t->client, 5, &t->err), CWS_OK);
                running = !cws_op_done(op);
                CHECK(cws_op_cancel(op) == running);
                CHECK_INT(cws_op_wait(op, -1, &t->err) == CWS_ERR_CANCELLED, running);
                if (p) cws_process_free(p);
                else cws_op_free(op);
                api_settle(t); /* what it shared with others goes on */
                CHECK_INT(t->s.opens, t->s.cancels);
                CHECK(cws_sandbox_exec_stats(sb).exec_count == (k == 6));
                api_drop(t, sb);
            }
        {
            script_reply *r;
            for (r = t->s.first; r; r = r->next) r->times = -1;
        }
    }
    ONCE("handles may be freed in any order, in any state; nothing leaks, nothing comes late") {
        static const char *const orders[] = {"obsc", "cbso", "sobc", "bsoc", "csbo",
                                             "scob", "bcos", "osbc", "cosb", "sbco"};
        size_t k, o, turns, live = test_alloc_live();
        for (k = 0; k < 12; k++)
            for (o = 0; o < sizeof(orders) / sizeof(orders[0]); o++)
                for (turns = 0; turns < 24; turns += k == 6 ? 1 : 3) {
                    script s = t->s;
                    cws_sandbox *sb = NULL;
                    cws_process *p;
                    cws_op *op;
                    const char *at;
                    size_t i;
                    int called = 0;
                    script_init(&t->s, false);
                    t->s.b2 = t->s.v1_words = api_b2;
                    t->copts.transport = &t->s.transport;
                    t->session = NULL;
                    t->client = NULL;
                    CHECK_INT(cws_session_sandbox(api_session(t), NULL, &sb, &t->err), CWS_OK);
                    api_everything(t);
                    CHECK(api_begin_some(t, sb, k, &op, &p));
                    cws_op_on_done(op, api_count, &called);
                    for (i = 0; i < turns; i++)
                        CHECK_INT(cws_client_poll(t->client, 5, &t->err), CWS_OK);
                    for (at = orders[o]; *at; at++) {
                        if (*at == 'o' && p) cws_process_free(p);
                        else if (*at == 'o') cws_op_free(op);
                        if (*at == 'b') cws_sandbox_free(sb);
                        if (*at == 's') cws_session_free(t->session);
                        if (*at == 'c') cws_client_free(t->client);
                        if (*at == 'c') CHECK_INT(t->s.opens, t->s.cancels);
                    }
                    CHECK(called <= 1);
                    if (!CHECK_INT(test_alloc_live(), live))
                        printf("    %lu %s %lu\n", (unsigned long)k, orders[o],
                               (unsigned long)turns);
                    live = test_alloc_live();
                    CHECK_INT(t->s.closes, 1);
                    CHECK_INT(t->s.broken, 0);
                    script_free(&t->s);
                    t->s = s;
                    script_now = &t->s;
                    t->copts.transport = &t->s.transport;
                    t->session = NULL;
                    t->client = NULL;
                }
        t->live = live;
    }
    STREAMING("what was taken outlives the client; a dead client's objects answer CLOSED") {
        cws_sandbox *sb = api_running(t);
        cws_result *r = NULL;
        cws_bytes *bytes = NULL;
        cws_sandbox_list *list = NULL;
        cws_op *op = NULL;
        api_answer(t, 0, "kept", "");
        CHECK_INT(api_exec(t, sb, api_true, NULL, &r), CWS_OK);
        script_ok(&t->s, "ReadFile", "{\"content\":\"YWJj\"}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        script_ok(&t->s, "ListSandboxes", "{\"sandboxes\":[" BOX_ID("q", "RUNNING") "]}");
        CHECK_INT(api_list(t, NULL, &list), CWS_OK);
        cws_client_free(t->client);
        t->client = NULL;
        CHECK_STR(api_shown(r), "0|kept|");
        CHECK_STR((const char *)cws_bytes_data(bytes, NULL), "abc");
        CHECK_STR(cws_sandbox_id(cws_sandbox_list_at(list, 0)), "q");
        CHECK_INT(cws_sandbox_start(sb, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &op, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(cws_session_close(t->session, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        cws_result_free(r);
        cws_bytes_free(bytes);
        cws_sandbox_list_free(list);
    }
    STREAMING("cws_client_free ends what is in flight as cancelled, each with its callback") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        cws_op *op;
        int called = 0;
        script_never(&t->s, "StreamExec");
        script_never(&t->s, "GetSandbox");
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_get_status_begin(sb, &op, &t->err), CWS_OK);
        cws_op_on_done(cws_process_op(p), api_count, &called);
        cws_op_on_done(op, api_count, &called);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_client_pending(t->client), 2);
        cws_client_free(t->client);
        t->client = NULL;
        CHECK_INT(called, 2);
        CHECK_INT(cws_op_result(op, &t->err), CWS_ERR_CANCELLED);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_CANCELLED);
        cws_op_free(op);
        cws_process_free(p);
    }
}

/* ---- waiting for many ------------------------------------------------------------------------ */

static void api_test_many(void)
{
    STREAMING("RW-1 RW-3: all of several kinds; failures are no failure of the wait") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        cws_op *ops[3];
        bool done[3];
        size_t n = 0;
        api_answer(t, 3, "", "");
        script_error(&t->s, "ReadFile", "internal", "x", NULL);
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        ops[0] = cws_process_op(p);
        CHECK_INT(cws_read_file_begin(sb, "/x", NULL, &ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_sandbox_get_status_begin(sb, &ops[2], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(ops, 3, CWS_ALL, -1, done, &n, &t->err), CWS_OK);
        CHECK_INT(n, 3);
        CHECK(done[0] && done[1] && done[2]);
        CHECK_INT(cws_op_result(ops[1], &t->err), CWS_ERR_SANDBOX);
        CHECK_INT(cws_wait_many(ops, 3, 1, 0, done, &n, &t->err), CWS_OK);
        CHECK(n == 1 && done[0] && !done[1] && !done[2]);
        cws_process_free(p);
        cws_op_free(ops[1]);
        cws_op_free(ops[2]);
    }
    STREAMING("RW-2 RW-5: nothing to wait for is done at once; num_returns 0 is refused") {
        size_t n = 9;
        cws_op *op;
        cws_op *none[1] = {NULL};
        (void)api_client(t);
        CHECK_INT(cws_wait_many(NULL, 0, CWS_ALL, -1, NULL, &n, &t->err), CWS_OK);
        CHECK_INT(n, 0);
        CHECK_INT(cws_wait_many(NULL, 0, 0, -1, NULL, &n, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_wait_many(none, 1, 1, 0, NULL, &n, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_wait_many(NULL, 1, 1, 0, NULL, &n, &t->err), CWS_ERR_INVALID_ARGUMENT);
        script_ok(&t->s, "DeleteSandbox", "{}");
        CHECK_INT(cws_sandbox_delete_begin(t->client, "x", false, &op, &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(&op, 1, 0, 0, NULL, &n, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_wait_many(&op, 1, 7, -1, NULL, &n, &t->err), CWS_OK);
        CHECK_INT(n, 1);
        cws_op_free(op);
    }
    STREAMING("RW-4 RW-6 RW-7: some of them, one timeout for the whole call, in the given order") {
        cws_op *ops[4];
        bool done[4];
        size_t i, n = 0;
        int64_t from;
        static const int64_t delays[] = {900, 300, 600, 5000};
        (void)api_client(t);
        from = t->s.now;
        for (i = 0; i < 4; i++) {
            script_ok(&t->s, "DeleteSandbox", "{}")->delay = delays[i];
            CHECK_INT(cws_sandbox_delete_begin(t->client, "x", false, &ops[i], &t->err), CWS_OK);
        }
        CHECK_INT(cws_wait_many(ops, 4, 4, 0, done, &n, &t->err), CWS_OK); /* a poll */
        CHECK_INT(n, 0);
        CHECK_INT(t->s.now, from);
        CHECK_INT(cws_wait_many(ops, 4, CWS_ALL, 100, done, &n, &t->err), CWS_OK);
        CHECK_INT(t->s.now - from, 100);
        CHECK(n == 0 && !done[0] && !done[1] && !done[2] && !done[3]);
        CHECK_INT(cws_wait_many(ops, 4, 2, -1, done, &n, &t->err), CWS_OK);
        CHECK_INT(t->s.now - from, 600);
        CHECK(n == 2 && !done[0] && done[1] && done[2] && !done[3]);
        CHECK_INT(cws_wait_many(ops, 4, CWS_ALL, 1000, done, &n, &t->err), CWS_OK);
        CHECK_INT(t->s.now - from, 1600);
        CHECK(n == 3 && done[0] && !done[3]);
        CHECK_INT(cws_op_result(ops[3], &t->err), CWS_ERR_PENDING); /* nothing is cancelled */
        CHECK_INT(cws_client_pending(t->client), 1);
        for (i = 0; i < 4; i++) cws_op_free(ops[i]);
    }
    STREAMING("poll: 0 does not wait; without anything in flight it does not hang") {
        int64_t from;
        cws_op *op;
        (void)api_client(t);
        from = t->s.now;
        CHECK_INT(cws_client_poll(t->client, -1, &t->err), CWS_OK);
        script_ok(&t->s, "DeleteSandbox", "{}")->delay = 100;
        CHECK_INT(cws_sandbox_delete_begin(t->client, "x", false, &op, &t->err), CWS_OK);
        CHECK_INT(cws_client_pending(t->client), 1);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(t->s.now, from);
        CHECK_INT(cws_client_poll(t->client, -1, &t->err), CWS_OK);
        CHECK_INT(t->s.now, from + 100);
        CHECK(cws_op_done(op));
        cws_op_free(op);
    }
}

/* ---- secrets --------------------------------------------------------------------------------- */

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
        if (!t->s.b2 || t->mode != API_PERFORM) eo.env = exec_env; /* a unary one has none */
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
}

/* ---- main ------------------------------------------------------------------------------------ */

/* Found by reading, kept so that they stay found. */
static void api_free_it(cws_op *op, void *user)
{
    (void)user;
    cws_op_free(op);
}

static void test_found_by_reading(void)
{
    ONCE("of three closes that overlap, only the cancelled one is cancelled") {
        cws_op *op[3];
        int i;
        (void)api_started(t);
        api_ended(t, "sb-1", "COMPLETED")->delay = 1000;
        for (i = 0; i < 3; i++)
            CHECK_INT(cws_session_close_begin(t->session, &op[i], NULL), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        CHECK(cws_op_cancel(op[0]));
        api_settle(t);
        CHECK_INT(cws_op_result(op[0], NULL), CWS_ERR_CANCELLED);
        CHECK_INT(cws_op_result(op[1], NULL), CWS_OK);
        CHECK_INT(cws_op_result(op[2], NULL), CWS_OK);
        for (i = 0; i < 3; i++) cws_op_free(op[i]);
    }
    EACH("a list that adopts refreshes the sandbox that the session has already") {
        cws_sandbox *sb = api_started(t);
        cws_sandbox_list *list = NULL;
        cws_list_opts o = {0};
        o.adopt = true;
        script_ok(&t->s, "ListSandboxes", "{\"sandboxes\":[" BOX_ID("sb-1", "RUNNING") "]}");
        CHECK_INT(api_list(t, &o, &list), CWS_OK);
        CHECK(cws_sandbox_list_at(list, 0) == sb);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        cws_sandbox_list_free(list);
    }
    EACH("a stop of ours that ended in a state of nothing is over: no second delete") {
        cws_sandbox *sb = api_running(t);
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("UNSPECIFIED"));
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "DeleteSandbox GetSandbox");
    }
    EACH("a stop of a presumed end waits for the real one") {
        cws_sandbox *sb = api_started(t);
        script_ok(&t->s, "GetSandbox", BOX("UNSPECIFIED"));
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_ok(&t->s, "GetSandbox", BOX("TERMINATING"))->times = 2;
        script_ok(&t->s, "GetSandbox", BOX("COMPLETED"));
        CHECK_INT(api_wait(t, sb, 0), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(script_count(&t->s, "GetSandbox"), 4);
    }
    EACH("a refusal with a reason does not settle an earlier create that was lost") {
        if (api_v1_only(t, "a Start in doubt is not repeated: it has no request id")) continue;
        cws_sandbox *sb = api_box(t, NULL);
        script_end(&t->s, "CreateSandbox", CWS_END_LOST);
        script_error(&t->s, "CreateSandbox", "resource_exhausted", "slow down",
                     script_reason(&t->s, "CWSANDBOX_RATE_LIMITED", "cwsandbox.com"));
        CHECK_INT(api_start(t, sb), CWS_ERR_RESOURCE_EXHAUSTED);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        api_ended(t, "sb-1", "COMPLETED");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox CreateSandbox CreateSandbox DeleteSandbox");
    }
    ONCE("a close that joins a stop whose sandbox vanishes has nothing to complain of") {
        cws_sandbox *sb = api_running(t);
        cws_op *op;
        script_ok(&t->s, "DeleteSandbox", DELETED("TERMINATING"));
        script_error(&t->s, "GetSandbox", "not_found", "gone", NULL)->times = -1;
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &op, NULL), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        cws_op_free(op);
    }
    ONCE("a delete that finds nothing is fine once the end was seen") {
        cws_sandbox *sb = api_running(t);
        cws_op *op;
        script_ok(&t->s, "GetSandbox", EXITED("COMPLETED", 0))->delay = 100;
        script_error(&t->s, "DeleteSandbox", "not_found", "gone", NULL)->delay = 500;
        CHECK_INT(cws_sandbox_wait_until_complete_begin(sb, NULL, &op, NULL), CWS_OK);
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_INT(cws_op_result(op, NULL), CWS_OK);
        cws_op_free(op);
    }
    ONCE("a callback may free what a wait of one turn looks at") {
        cws_sandbox *sb = api_started(t);
        cws_op *op = NULL;
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        CHECK_INT(cws_sandbox_get_status_begin(sb, &op, NULL), CWS_OK);
        cws_op_on_done(op, api_free_it, NULL);
        CHECK_INT(cws_op_wait(op, 0, NULL), CWS_OK);
    }
}

/* ---- what must do no harm -------------------------------------------------------------------- */

static void api_test_no_harm(void)
{
    static const char path[] = "/tmp/cwsandbox-test-api-journal";
    STREAMING("a pool whose starts keep failing at different times is given up by one take")
    {
        cws_pool_opts o;
        cws_pool *pool = NULL;
        cws_sandbox *sb = NULL;
        int i;
        memset(&o, 0, sizeof(o));
        o.size = 4;
        (void)api_session(t);
        for (i = 0; i < 6; i++) /* some are always under way when others fail */
            script_error(&t->s, "CreateSandbox", "permission_denied", "no", NULL)->delay =
                100 + i * 53;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_OK);
        CHECK_INT(cws_pool_take(pool, -1, &sb, &t->err), CWS_ERR_AUTHENTICATION);
        CHECK_INT(script_count(&t->s, "CreateSandbox"), 6);
        cws_pool_free(pool);
    }
    EACH("where a create can not be repeated, one that was answered without an id is not")
    {
        cws_sandbox *sb;
        if (!t->s.b2) { /* v1 repeats it with its request id, and learns the sandbox's */
            test_forget();
            continue;
        }
        sb = api_box(t, NULL);
        script_ok(&t->s, "CreateSandbox", "{}");
        CHECK_INT(api_start(t, sb), CWS_ERR_PROTOCOL);
        HAS(t->said, "a sandbox may exist until its lifetime ends");
        CHECK_INT(api_stop(t, sb, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
    }
    ONCE("a file that is no journal is refused as one, and stays as it is")
    {
        char text[40] = "";
        FILE *f = fopen(path, "wb");
        t->sopts.client = api_client(t);
        t->sopts.journal = path;
        if (!CHECK(f && fputs("my notes", f) >= 0 && fclose(f) == 0)) continue;
        cws_session_free(t->session);
        t->session = NULL;
        CHECK_INT(cws_session_open(&t->sopts, &t->session, &t->err), CWS_ERR_FILE);
        HAS(t->err.message, "is another file");
        f = fopen(path, "rb");
        CHECK(f && fgets(text, (int)sizeof(text), f) && fclose(f) == 0);
        CHECK_STR(text, "my notes");
    }
    ONCE("reap stops nothing without the tag, though a service lists it")
    {
        size_t stopped = 9;
        FILE *f = fopen(path, "wb");
        if (api_v1_only(t, "tags are not told")) continue;
        if (!CHECK(f && fputs("cwsandbox-journal 1 v1 http://localhost:1 cws-old\n", f) >= 0 &&
                   fclose(f) == 0))
            continue;
        t->sopts.journal = path;
        script_ok(&t->s, "ListSandboxes",
                  "{\"sandboxes\":[{\"sandboxId\":\"sb-9\",\"spec\":{\"tags\":[\"production\"]},"
                  "\"status\":{\"state\":\"STATE_RUNNING\"}}]}");
        CHECK_INT(cws_session_reap(api_session(t), &stopped, &t->err), CWS_OK);
        CHECK_INT(stopped, 0);
        CHECK_STR(script_calls(&t->s), "ListSandboxes");
    }
    (void)remove(path);
}

static void (*const api_tests[])(void) = {
    api_test_defaults,
    api_test_resources,
    api_test_secrets,
    api_test_client,
    api_test_arguments,
    api_test_start,
    api_test_states,
    api_test_waiting,
    api_test_retries,
    api_test_stop,
    api_test_session,
    api_test_list,
    api_test_errors,
    api_test_wire,
    api_test_exec,
    api_test_streams,
    api_test_grpc,
    api_test_input,
    api_test_reading,
    api_test_files,
    api_test_callbacks,
    api_test_freeing,
    api_test_many,
    api_test_privacy,
    api_test_no_harm,
    test_found_by_reading};

int main(int argc, char **argv)
{
    test_init(argc, argv);
    return api_both_dialects(api_tests, CWSI_COUNT(api_tests));
}
