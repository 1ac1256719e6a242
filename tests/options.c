/* SPDX-License-Identifier: MIT
 *
 * What a sandbox is made of, over the scripted transport: the session's defaults and a sandbox's
 * own options, the request of every option, what a dialect does not have, what is refused, copies.
 * What is expected comes from the tables of the specification and the .proto files. Numbers are
 * those of the lists of test cases that the service's own clients were written against (L:
 * lifecycle). Usage:
 *
 *     options [part of a test's name]
 */
#include "native.h"

#include "options_table.h"

#include <math.h>

/* ---- options, merging, the create request ---------------------------------------------------- */

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

/* ---- bad arguments: before any network ------------------------------------------------------- */

static void api_test_arguments(void)
{
    EACH("must_be_zero of every option struct is looked at, and nothing is sent") {
        cws_sandbox *sb = api_box(t, NULL), *other = NULL;
        cws_session *session = NULL;
        cws_result *result = NULL;
        cws_bytes *bytes = NULL;
        cws_sandboxes *list = NULL;
        cws_session_opts so = t->sopts;
        cws_sandbox_opts bo;
        cws_wait_opts co;
        cws_stop_opts st;
        cws_exec_opts eo;
        cws_file_opts fo;
        cws_session_list_opts lo;
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
        HAS(t->err.message, "cws_wait_opts");
        CHECK_INT(api_stop(t, sb, &st), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_stop_opts");
        CHECK_INT(api_exec(t, sb, api_true, &eo, &result), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_exec_opts");
        CHECK_INT(api_read(t, sb, "/x", &fo, &bytes), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_file_opts");
        CHECK_INT(api_write(t, sb, "/x", "", 0, &fo), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_list(t, &lo, &list), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_session_list_opts");
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
        cws_sandboxes *list = NULL;
        cws_session_opts so = t->sopts;
        cws_sandbox_opts bo;
        cws_wait_opts co;
        cws_stop_opts st;
        cws_exec_opts eo;
        cws_file_opts fo;
        cws_session_list_opts lo;
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
        CHECK_INT(cws_session_from_id(t->session, "x", true, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_sandbox(t->session, NULL, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_sandbox(NULL, NULL, &t->boxes[1], &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_close(NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_adopt(t->session, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_sandbox_delete(NULL, "x", false, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_client_poll(NULL, 0, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_op_wait(NULL, 0, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_op_status(NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_wait(NULL, 0, NULL, &e), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!cws_op_cancel(NULL) && !cws_process_cancel(NULL));
        CHECK(!cws_session_failed_at(NULL, 0, NULL, NULL));
        CHECK(!cws_op_take_bytes(NULL) && !cws_op_take_sandboxes(NULL) &&
              !cws_op_take_sandbox(NULL));
        cws_client_free(NULL);
        cws_session_free(NULL);
        cws_sandbox_free(NULL);
        cws_op_free(NULL);
        cws_process_free(NULL);
        cws_result_free(NULL);
        cws_bytes_free(NULL);
        cws_sandboxes_free(NULL);
        cws_client_wakeup(NULL);
        CHECK_INT(t->s.call_count, 0);
    }
}

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
            NW_ROW(b2 ? "v1beta2" : "v1", row->name, i, b2)
            {
                const char *rpc = op_create_rpc(row, b2);
                char *json;
                cws_sandbox *sb = NULL;
                t->defaults = row->defaults;
                (void)cws_session_sandbox(api_session(t), &row->own, &sb, &t->err);
                CHECK_STR(t->err.message, "");
                if (!sb) continue;
                t->boxes[t->box_count++] = sb;
                nw_ok(t, rpc, "{'sandboxId':'sb-1'}");
                CHECK_INT(api_start(t, sb), CWS_OK);
                CHECK_INT(t->s.call_count, 1);
                json = script_text(&t->s, script_json(&t->s, rpc, 0));
                if (!b2) op_cut_id(json);
                CHECK_STR(json, nw_json(t, expected));
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
            NW_ROW(b2 ? "not in v1beta2" : "not in v1", row->option, i, b2)
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
        cws_session_list_opts o;
        cws_sandboxes *list = NULL;
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
        cws_sandbox *sb = nw_running(t);
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
    BAD_SECRET("secrets[0].field", "s", "n", "\xff", NULL),
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
    {"ports[0].name", {.ports = PORTS({1, "\xff", NULL}), .port_count = 1}},
    {"ports[0].protocol", {.ports = PORTS({1, NULL, "\xff"}), .port_count = 1}},
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
    nw_ok(t, t->s.b2 ? "Start" : "CreateSandbox", "{'sandboxId':'sb-1'}");
    CHECK_INT(api_start(t, sb), CWS_OK);
    HAS(t->s.calls[0].json, part);
}

static void op_test_bad(void)
{
    size_t i;
    int b2;
    for (b2 = 0; b2 < 2; b2++)
        for (i = 0; i < CWSI_COUNT(op_bads); i++)
            NW_ROW(b2 ? "refused by v1beta2" : "refused by v1", op_bads[i].says, i, b2)
            {
                op_refused(t, &op_bads[i].o, CWS_ERR_INVALID_ARGUMENT);
                HAS(t->err.message, op_bads[i].says);
                op_refused_default(t, &op_bads[i].o, CWS_ERR_INVALID_ARGUMENT);
                HAS(t->err.message, op_bads[i].says);
            }
    for (i = 0; i < CWSI_COUNT(op_bad_containers); i++)
        NW_ROW("refused by v1", op_bad_containers[i].says, i, false)
        {
            op_refused(t, &op_bad_containers[i].o, CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, op_bad_containers[i].says);
            op_refused_default(t, &op_bad_containers[i].o, CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "containers");
        }
    for (i = 0; i < CWSI_COUNT(op_clashes); i++)
        NW_ROW("refused together", op_clashes[i].says, i, op_clashes[i].b2)
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
    ONCE("10: ports of a rule: to 65535, the last not before the first") {
        static const int32_t ends[][3] = {{65535, 65535, 1}, {1, 65535, 1}, {7, 7, 1}, {7, 0, 1},
                                          {1, 65536, 0},     {7, 6, 0},     {7, -1, 0}};
        cws_port_range range = {0};
        cws_network_rule rule = {0};
        cws_network network = {0};
        cws_sandbox_opts o = {0};
        size_t i;
        rule.cidr = "10.0.0.0/8";
        rule.ports = &range;
        rule.port_count = 1;
        network.egress = &rule;
        network.egress_count = 1;
        o.network = &network;
        for (i = 0; i < CWSI_COUNT(ends); i++) {
            cws_sandbox *sb = NULL;
            range.port = ends[i][0];
            range.end_port = ends[i][1];
            CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err),
                      ends[i][2] ? CWS_OK : CWS_ERR_INVALID_ARGUMENT);
            if (!sb) HAS(t->err.message, "end_port must be from port to 65535");
            cws_sandbox_free(sb);
        }
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

/* ---- containers beside the main one, and templates ------------------------------------------- */

static void sn_test_containers(void)
{
    V1_EACH("containers: the whole CreateSandbox message with two of them") {
        cws_pair env[] = {{"K", "v"}, {NULL, NULL}};
        cws_resources r = {.cpu = "1", .memory = "2Gi"};
        cws_secret secret = {.store = "st", .name = "n", .env_var = "E"};
        cws_mounted_file file = {.mount_path = "/f", .content = "hi", .size = 2};
        cws_mount mounts[] = {{.volume = "a", .mount_path = "/a", .sub_path = "s",
                               .read_only = true},
                              {.volume = "workspace", .mount_path = "/w"}};
        cws_container more[] = {{.name = "db-1",
                                 .image = "postgres",
                                 .command = "/bin/run",
                                 .args = STRINGS("x", "y"),
                                 .working_dir = "/srv",
                                 .environment_variables = env,
                                 .resources = &r,
                                 .secrets = &secret,
                                 .secret_count = 1,
                                 .mounted_files = &file,
                                 .mounted_file_count = 1,
                                 .mounts = mounts,
                                 .mount_count = 2},
                                {.name = "c", .image = "i"}};
        cws_file_system f = {.mount_path = "/main"};
        cws_sandbox_opts o = {.container_image = "img",
                              .command = "/bin/a",
                              .args = STRINGS("b"),
                              .file_system = &f,
                              .volumes = VOLUMES({.name = "a", .mount_path = "/m"}),
                              .volume_count = 1,
                              .containers = more,
                              .container_count = 2,
                              .tags = STRINGS("t")};
        cws_sandbox *sb = nw_unstarted(t, &o);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, sb), CWS_OK);
        IS_BUT_TOKEN("CreateSandbox",
                     "{'sandbox':{'spec':{'containers':[{'name':'main','image':'img',"
                     "'command':'/bin/a','args':['b'],'volumeMounts':[{'volume':'a',"
                     "'mountPath':'/m'},{'volume':'workspace','mountPath':'/main'}],"
                     "'primary':true},{'name':'db-1','image':'postgres','command':'/bin/run',"
                     "'args':['x','y'],'environmentVariables':{'K':'v'},'files':[{'path':'/f',"
                     "'content':'aGk='}],'volumeMounts':[{'volume':'a','mountPath':'/a',"
                     "'readOnly':true,'subPath':'s'},{'volume':'workspace','mountPath':'/w'}],"
                     "'secretStores':[{'storeName':'st','secrets':[{'path':'n','envVar':'E'}]}],"
                     "'workingDir':'/srv','resourceRequirements':{'requests':{'cpu':'1',"
                     "'memory':'2Gi'},'limits':{'cpu':'1','memory':'2Gi'}}},{'name':'c',"
                     "'image':'i'}],'volumes':[{'name':'a','scratch':{}},{'name':'workspace',"
                     "'scratch':{}}],'tags':['t']}}");
        CHECK_STR(nw_volumes(sb), "a:-:/m:-:-:0:-:0 workspace:-:/main:-:-:0:-:0");
    }
    V1_EACH("containers: the main one is marked only if there are others") {
        cws_sandbox_opts o = {.container_image = "img", .command = "/bin/a"};
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, nw_unstarted(t, &o)), CWS_OK);
        HAS_NOT(script_json(&t->s, "CreateSandbox", 0), "primary");
    }
    V1_EACH("containers: what is refused, by argument and number") {
        cws_resources gpu = {.gpu_count = 1}, type = {.gpu_type = "H100"};
        cws_pair env[] = {{"A=B", "x"}, {NULL, NULL}};
        static const char label[] =
            "a123456789-123456789-123456789-123456789-123456789-123456789-123";
        const struct {
            cws_container c;
            const char *says;
        } rows[] = {
            {{.image = "i"}, "[1].name"},
            {{.name = "", .image = "i"}, "[1].name"},
            {{.name = "main", .image = "i"}, "[1].name"},
            {{.name = "first", .image = "i"}, "[1].name"}, /* twice */
            {{.name = "Upper", .image = "i"}, "[1].name"},
            {{.name = "-a", .image = "i"}, "[1].name"},
            {{.name = "a-", .image = "i"}, "[1].name"},
            {{.name = "a_b", .image = "i"}, "[1].name"},
            {{.name = "a.b", .image = "i"}, "[1].name"},
            {{.name = "\xc3\xa4", .image = "i"}, "[1].name"},
            {{.name = label, .image = "i"}, "[1].name"},
            {{.name = "c"}, "[1].image"},
            {{.name = "c", .image = ""}, "[1].image"},
            {{.name = "c", .image = "\xff"}, "image"},
            {{.name = "c", .image = "i", .args = STRINGS("x")}, "[1].args"},
            {{.name = "c", .image = "i", .command = "/a", .args = STRINGS("\xff")}, "[1].args"},
            {{.name = "c", .image = "i", .command = "\xff"}, "[1].command"},
            {{.name = "c", .image = "i", .working_dir = "relative"}, "[1].working_dir"},
            {{.name = "c", .image = "i", .environment_variables = env},
             "[1].environment_variables"},
            {{.name = "c", .image = "i", .resources = &gpu}, "[1].resources"},
            {{.name = "c", .image = "i", .resources = &type}, "[1].resources"},
            {{.name = "c", .image = "i", .mount_count = 1}, "[1].mounts"},
            {{.name = "c", .image = "i", .secret_count = 1}, "[1].secrets"},
            {{.name = "c", .image = "i", .mounted_file_count = 1}, "[1].mounted_files"},
            {{.name = "c", .image = "i", .mounts = MOUNTS({.mount_path = "/x"}),
              .mount_count = 1}, "[1].mounts[0].volume"},
            {{.name = "c", .image = "i", .mounts = MOUNTS({.volume = "", .mount_path = "/x"}),
              .mount_count = 1}, "[1].mounts[0].volume"},
            {{.name = "c", .image = "i", .mounts = MOUNTS({.volume = "v"}), .mount_count = 1},
             "[1].mounts[0].mount_path"},
            {{.name = "c", .image = "i", .mounts = MOUNTS({.volume = "v", .mount_path = "x"}),
              .mount_count = 1}, "[1].mounts[0].mount_path"},
            {{.name = "c", .image = "i", .mounts = MOUNTS({.volume = "v", .mount_path = "/"}),
              .mount_count = 1}, "[1].mounts[0].mount_path"},
            {{.name = "c", .image = "i",
              .mounts = MOUNTS({.volume = "v", .mount_path = "/x", .sub_path = "\xff"}),
              .mount_count = 1}, "[1].mounts[0].sub_path"},
            {{.name = "c", .image = "i",
              .mounts = MOUNTS({.volume = "v", .mount_path = "/x"},
                               {.volume = "other", .mount_path = "/y"}),
              .mount_count = 2}, "[1].mounts[1].volume 'other'"}};
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            cws_container two[2] = {{.name = "first", .image = "i"}, {.name = NULL}};
            cws_sandbox_opts o = {.volumes = VOLUMES({.name = "v", .mount_path = "/m"}),
                                  .volume_count = 1,
                                  .containers = two, .container_count = 2};
            cws_sandbox *sb = NULL;
            two[1] = rows[i].c;
            CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err),
                      CWS_ERR_INVALID_ARGUMENT);
            CHECK(!sb);
            if (!CHECK(strstr(t->err.message, rows[i].says) != NULL &&
                       strstr(t->err.message, "containers") != NULL))
                printf("    row %u: %s\n", (unsigned)i, t->err.message);
        }
        CHECK_INT(t->s.call_count, 0);
    }
    BOTH("containers: not in v1beta2, not in defaults, not NULL with a count") {
        cws_sandbox_opts o = {.containers = CONTAINERS({.name = "c", .image = "i"}),
                              .container_count = 1};
        cws_session_opts so = {.defaults = &o};
        cws_session *other = NULL;
        cws_sandbox *sb = NULL;
        if (t->s.b2) {
            CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err), CWS_ERR_UNSUPPORTED);
            HAS(t->err.message, "containers");
        }
        so.client = api_client(t);
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "containers");
        o.containers = NULL;
        CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!sb && !other);
    }
    V1_EACH("containers: a longest name, and volumes of the session's defaults") {
        char name[64];
        cws_container c = {.name = name, .image = "i",
                           .mounts = MOUNTS({.volume = "shared", .mount_path = "/s"}),
                           .mount_count = 1};
        cws_sandbox_opts o = {.containers = &c, .container_count = 1};
        memset(name, '9', 63);
        name[63] = '\0';
        t->defaults.volumes = VOLUMES({.name = "shared", .mount_path = "/m"});
        t->defaults.volume_count = 1;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        CHECK_INT(api_start(t, nw_unstarted(t, &o)), CWS_OK);
        HAS(script_json(&t->s, "CreateSandbox", 0), name);
    }
    V1_EACH("containers: with a template only beside an image of the main one") {
        cws_container c = {.name = "c", .image = "i",
                           .mounts = MOUNTS({.volume = "of-template", .mount_path = "/s"}),
                           .mount_count = 1};
        cws_sandbox_opts o = {.template_id = "t-1", .containers = &c, .container_count = 1};
        cws_sandbox *sb = NULL;
        CHECK_INT(cws_session_sandbox(api_session(t), &o, &sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        o.container_image = "img";
        script_ok(&t->s, "CreateSandboxFromTemplate", BOX("PENDING"));
        CHECK_INT(api_start(t, nw_unstarted(t, &o)), CWS_OK);
        HAS(script_json(&t->s, "CreateSandboxFromTemplate", 0),
            nw_json(t, "'overrides':{'containers':[{'name':'main','image':'img','primary':true},{"
                       "'name':'c','image':'i','volumeMounts':[{'volume':'of-template',"
                       "'mountPath':'/s'}]}]"));
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
        nw_ok(t, "CreateSandboxFromTemplate", "{'sandboxId':'sb-1'}")->times = 2;
        CHECK_INT(api_start(t, api_box(t, &nothing)), CWS_OK);
        HAS(script_json(&t->s, "CreateSandboxFromTemplate", 0),
            "{\"templateId\":\"t-1\",\"overrides\":{\"tags\":[\"all\"]},\"requestId\":");
        CHECK_INT(api_start(t, api_box(t, &some)), CWS_OK);
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
        NW_ROW(b2 ? "v1beta2" : "v1", "all options at once: copied, and hidden in the trace", 1, b2)
        {
            const char *rpc = b2 ? "Start" : "CreateSandbox", *json;
            cws_session *session = NULL;
            cws_sandbox *sb = NULL;
            (void)api_client(t);
            if (!CHECK_INT(op_make_all(t, &session, &sb), CWS_OK)) {
                cws_session_free(session);
                continue;
            }
            nw_ok(t, rpc, "{'sandboxId':'sb-1'}");
            CHECK_INT(api_start(t, sb), CWS_OK);
            json = script_json(&t->s, rpc, 0);
            HAS(json, b2 ? "\"tags\":[\"word\",\"other\",\"mine\"]" : "\"command\":\"word\"");
            HAS(json, "{\"word\":\"hidden-value\",\"mine\":\"hidden-mine\"}");
            HAS(json, nw_64(t, "hidden-file"));
            HAS(json, "SnapshotId\":\"word\"");
            HAS(t->said, rpc);
            HAS(t->said, "\"word\"");
            HAS_NOT(t->said, nw_64(t, "hidden-file"));
            cws_sandbox_free(sb);
            cws_session_free(session);
        }
        NW_ROW(b2 ? "v1beta2" : "v1", "memory that ends is told, and nothing is lost", 1, b2)
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
}

/* ---- options as they will be sent ------------------------------------------------------------ */

static void op_test_resolve(void)
{
    int dialect;
    ONCE("the options of a sandbox can be read as they will be sent") {
        const char *const tags[] = {"d", NULL}, *const more[] = {"e", NULL};
        const char *const hosts[] = {" PyPI.org ", NULL};
        cws_pair env[] = {{"A", "1"}, {"B", "2"}, {NULL, NULL}}, own[] = {{"B", "3"}, {NULL, NULL}};
        cws_network network = {.egress_hostnames = hosts};
        cws_sandbox_opts d = {.tags = tags, .environment_variables = env,
                              .max_lifetime_seconds = 600, .network = &network};
        cws_mounted_file file = {"/a", "content", 7};
        cws_sandbox_opts o = {.tags = more, .environment_variables = own,
                              .mounted_files = &file, .mounted_file_count = 1};
        const cws_sandbox_opts *r = NULL;
        t->sopts.defaults = &d;
        CHECK_INT(cws_session_resolve(api_session(t), &o, &r, &t->err), CWS_OK);
        if (CHECK(r != NULL)) {
            CHECK_STR(r->container_image, "python:3.11");
            CHECK_STR(r->command, "/bin/sh");
            CHECK(r->args && r->args[0] && r->args[1] && !r->args[2]);
            CHECK(r->tags && !strcmp(r->tags[0], "d") && !strcmp(r->tags[1], "e") && !r->tags[2]);
            CHECK(!strcmp(r->environment_variables[1].value, "3"));
            CHECK_INT(r->max_lifetime_seconds, 600);
            CHECK(r->request_timeout_seconds > 299 && r->request_timeout_seconds < 301);
            CHECK_STR(r->network->egress_hostnames[0], " PyPI.org "); /* copied as it was given */
            CHECK(r->mounted_files != &file && r->mounted_files[0].size == 7);
            CHECK_STR((const char *)r->mounted_files[0].content, "content");
        }
        cws_sandbox_opts_free(r);
        cws_sandbox_opts_free(NULL);
        o.command = "/bin/true";
        CHECK_INT(cws_session_resolve(t->session, &o, &r, &t->err), CWS_OK);
        CHECK(r && !r->args && !strcmp(r->command, "/bin/true"));
        cws_sandbox_opts_free(r);
        CHECK_INT(cws_session_resolve(t->session, NULL, &r, &t->err), CWS_OK);
        CHECK(r && r->tags && !r->tags[1]);
        cws_sandbox_opts_free(r);
        o.max_lifetime_seconds = -1;
        CHECK_INT(cws_session_resolve(t->session, &o, &r, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!r);
        CHECK_INT(cws_session_resolve(NULL, NULL, &r, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_resolve(t->session, NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(t->s.call_count, 0);
    }
    ONCE("resolving without memory leaves nothing") {
        const char *const tags[] = {"d", NULL};
        cws_sandbox_opts o = {.tags = tags};
        const cws_sandbox_opts *r = NULL;
        size_t live;
        bool failed = true;
        long n;
        (void)api_session(t);
        live = test_alloc_live();
        for (n = 0; failed && n < 100; n++) {
            cws_status status;
            test_alloc_fail_at(n, false);
            status = cws_session_resolve(t->session, &o, &r, &t->err);
            failed = test_alloc_failed();
            test_alloc_fail_at(-1, false);
            CHECK_INT(status, failed ? CWS_ERR_NO_MEMORY : CWS_OK);
            cws_sandbox_opts_free(r);
            CHECK_INT(test_alloc_live(), live);
        }
        CHECK(n > 2 && n < 100);
    }
    for (dialect = 0; dialect < 2; dialect++)
        ONCE("each option: without memory at any point there is no sandbox, and nothing is left") {
            size_t i;
            t->copts.api_version = dialect ? CWS_API_V1BETA2 : CWS_API_V1;
            (void)api_client(t);
            for (i = 0; i < CWSI_COUNT(op_shapes); i++) {
                bool failed = true;
                long n;
                if (!(dialect ? op_shapes[i].b2 : op_shapes[i].v1)) continue;
                for (n = 0; failed && n < 1000; n++) {
                    cws_session_opts so = {0};
                    cws_session *session = NULL;
                    cws_sandbox *sb = NULL;
                    const cws_sandbox_opts *r = NULL;
                    cws_status status;
                    size_t live = test_alloc_live();
                    so.client = t->client;
                    so.defaults = &op_shapes[i].defaults;
                    test_alloc_fail_at(n, n % 2 != 0);
                    status = cws_session_open(&so, &session, &t->err);
                    if (!status)
                        status = cws_session_sandbox(session, &op_shapes[i].own, &sb, &t->err);
                    if (!status)
                        status = cws_session_resolve(session, &op_shapes[i].own, &r, &t->err);
                    failed = test_alloc_failed();
                    test_alloc_fail_at(-1, false);
                    /* after one failure a buffer may make do with less */
                    if (!CHECK(status == CWS_ERR_NO_MEMORY ? failed
                                                           : !status && !(failed && n % 2)))
                        printf("    %s: %ld: %s\n", op_shapes[i].name, n, t->err.message);
                    cws_sandbox_opts_free(r);
                    cws_sandbox_free(sb);
                    cws_session_free(session);
                    CHECK_INT(test_alloc_live(), live);
                }
                CHECK(n > 5 && n < 1000);
            }
        }
    ONCE("each text that is not UTF-8 is named by its path") {
        static const char bad[] = "\xff";
        cws_volume volumes[2] = {{.name = "a", .mount_path = "/a"},
                                 {.name = "b", .mount_path = "/b", .sub_path = bad}};
        cws_port_range range = {.protocol = bad, .port = 1};
        cws_network_rule rules[2] = {{.any = true},
                                     {.any = true, .ports = &range, .port_count = 1}};
        cws_network network = {.egress = rules, .egress_count = 2};
        cws_service service = {.port = 1, .name = bad};
        cws_security security = {.seccomp_profile = bad};
        cws_image_credentials pull = {bad, "s", "n", NULL};
        cws_file_system fs = {"/w", NULL, bad, NULL};
        cws_secret secrets[1] = {{"s", "n", NULL, bad}};
        cws_mount mount = {.volume = "a", .mount_path = bad};
        cws_container side = {.name = "x", .image = "i", .mounts = &mount, .mount_count = 1};
        const struct {
            cws_sandbox_opts o;
            const char *label;
        } rows[] = {
            {{.volumes = volumes, .volume_count = 2}, "volumes[1].sub_path is"},
            {{.network = &network}, "network.egress[1].ports[0].protocol is"},
            {{.services = &service, .service_count = 1}, "services[0].name is"},
            {{.security = &security}, "security.seccomp_profile is"},
            {{.image_credentials = &pull}, "image_credentials.registry is"},
            {{.file_system = &fs}, "file_system.snapshot_id is"},
            {{.secrets = secrets, .secret_count = 1}, "secrets[0].env_var is"},
            {{.containers = &side, .container_count = 1}, "containers[0].mounts[0].mount_path is"},
            {{.working_dir = bad}, "working_dir is"}};
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            cws_sandbox *sb = NULL;
            CHECK_INT(cws_session_sandbox(api_session(t), &rows[i].o, &sb, &t->err),
                      CWS_ERR_INVALID_ARGUMENT);
            if (!CHECK(strstr(t->err.message, rows[i].label) != NULL))
                printf("    %s\n", t->err.message);
        }
    }
    ONCE("every field of the options has its row in the tables") {
        unsigned char bytes[sizeof(cws_sandbox_opts)];
        size_t i, pointers = 0;
        cwsi_table table = cwsi_table_of(CWSI_T_SANDBOX);
        memset(bytes, 0, sizeof(bytes));
        for (i = 0; i < table.count; i++) {
            size_t k;
            for (k = 0; k < table.rows[i].size; k++)
                bytes[table.rows[i].at + k] = 1;
            if (cwsi_option_counts(&table.rows[i]))
                for (k = 0; k < sizeof(size_t); k++) bytes[table.rows[i].count_at + k] = 1;
        }
        for (i = 0; i + sizeof(void *) <= offsetof(cws_sandbox_opts, must_be_zero);
             i += sizeof(void *)) {
            size_t k, told = 0;
            for (k = 0; k < sizeof(void *); k++) told += bytes[i + k];
            pointers += told > 0;
            if (!CHECK(told > 0)) printf("    no row for the bytes at %lu\n", (unsigned long)i);
        }
        CHECK(pointers > 30);
    }
}

static void (*const both[])(void) = {
    api_test_defaults,
    api_test_resources,
    api_test_secrets,
    api_test_arguments};

int main(int argc, char **argv)
{
    test_init(argc, argv);
    op_test_shapes();
    op_test_lacks();
    op_test_bad();
    sn_test_containers();
    op_test_template();
    op_test_copies();
    op_test_resolve();
    return api_both_dialects(both, CWSI_COUNT(both));
}
