/* SPDX-License-Identifier: MIT
 *
 * Functions: what is sent and how failures end, over a scripted transport; then Python and C that
 * really run, in sandboxes of the local backend. FN-n: the specification's numbers. Usage:
 *
 *     functions [part of a test's name]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "harness.h"

#include "local_transport.h"

#include <ctype.h>

/* ---- the functions --------------------------------------------------------------------------- */

CWS_FUNCTION(fn_shout, {
    static const char tail[] = {'!', '"', '\\', '\0'}; /* commas, quotes, a comment */
    size_t i, n = strlen(tail);
    if (input_size == 0) {
        io->fail(io, "nothing to shout, \"at all\"\nreally");
        io->fail(io, "a second reason");
        return;
    }
    for (i = 0; i < input_size; i++) {
        char c = (char)toupper((unsigned char)input[i]); // the other kind of comment
        io->write(io, &c, 1);
    }
    if (input[input_size] == '\0') io->write(io, tail, n);
});

CWS_FUNCTION(fn_echo, { io->write(io, input, input_size); });

CWS_FUNCTION(fn_bad_text, { io->fail(io, input_size > 1 ? "caf\xc3\xa9" : "bad \xff name"); });

CWS_FUNCTION(fn_nothing, { (void)0; });

CWS_FUNCTION(fn_leaves, { exit(input_size > 1 ? 3 : 0); });

static const char fn_add[] = "def add(a, b=2):\n    return a + b\n";

TEST_FN cws_function_opts fn_opts(const char *source, const char *name)
{
    cws_function_opts o;
    memset(&o, 0, sizeof(o));
    o.source = source;
    o.name = name;
    return o;
}

/* ---- scripted: helpers ----------------------------------------------------------------------- */

TEST_FN cws_function *fn_new(api *t, const cws_function_opts *o)
{
    cws_function *fn = NULL;
    if (!CHECK_INT(cws_session_function(api_session(t), o, &fn, &t->err), CWS_OK)) {
        printf("    %s\n", t->err.message);
        abort();
    }
    return fn;
}

TEST_FN cws_function *fn_adder(api *t)
{
    cws_function_opts o = fn_opts(fn_add, "add");
    return fn_new(t, &o);
}

/* A call the way of the mode; the result as text, or NULL. */
TEST_FN const char *fn_call(api *t, cws_function *fn, const char *args, const char *kwargs)
{
    static char text[2000];
    cws_bytes *bytes = NULL;
    cws_op *op = NULL;
    cws_status status;
    if (api_async(t)) {
        status = cws_function_call_begin(fn, args, kwargs, &op, &t->err);
        if (!status) {
            status = api_drive(t, op);
            bytes = cws_op_take_bytes(op);
            CHECK(cws_op_take_bytes(op) == NULL);
            cws_op_free(op);
        }
    } else {
        status = cws_function_call(fn, args, kwargs, &bytes, &t->err);
    }
    CHECK_INT(t->err.status, status);
    CHECK((bytes != NULL) == (status == CWS_OK));
    if (!bytes) return NULL;
    (void)snprintf(text, sizeof(text), "%s", (const char *)cws_bytes_data(bytes));
    cws_bytes_free(bytes);
    return text;
}

TEST_FN void fn_starts(api *t)
{
    script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
    script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
}

/* The result file has this record, and behind it this. */
TEST_FN void fn_leaves_behind(api *t, const char *record, const char *value)
{
    static char file[100000], text[140000];
    (void)snprintf(file, sizeof(file), "%s%s", record, value);
    (void)snprintf(text, sizeof(text), "{\"content\":\"%s\"}",
                   grpc_base64(&t->s.arena, cwsi_str_of(file)));
    script_ok(&t->s, "ReadFile", text);
}

TEST_FN void fn_raises(api *t, const char *type)
{
    char record[100];
    (void)snprintf(record, sizeof(record), "{\"outcome\": \"exception\", \"type\": "
                                           "\"%s\"}\n", type);
    fn_leaves_behind(t, record, "");
}

TEST_FN void fn_returns(api *t, const char *json)
{
    fn_leaves_behind(t, "{\"outcome\": \"value\"}\n", json);
}

/* There is no result file. */
TEST_FN void fn_is_missing(api *t)
{
    script_error(&t->s, "ReadFile", "not_found", "no such file",
                 script_reason(&t->s, "CWSANDBOX_FILE_NOT_FOUND", "cwsandbox.com"));
}

TEST_FN void fn_stops(api *t)
{
    script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"));
}

/* Everything goes well and gives this, and the sandbox stays. */
TEST_FN void fn_stays(api *t, const char *json)
{
    fn_starts(t);
    script_ok(&t->s, "WriteFile", "{}");
    api_answer(t, 0, "", "");
    fn_returns(t, json);
}

/* The same, and it is stopped. */
TEST_FN void fn_works(api *t, const char *json)
{
    fn_stays(t, json);
    fn_stops(t);
}

/* The arguments of the last command, from index, as "a|b|c"; the script's text as "SCRIPT". */
TEST_FN const char *fn_command(api *t, size_t index)
{
    static char text[3000];
    const char *at = strstr(script_json(&t->s, api_exec_rpc(t), index), "\"command\":[");
    cwsi_json j;
    text[0] = '\0';
    if (!CHECK(at != NULL)) return text;
    at += strlen("\"command\":");
    cwsi_json_init(&j, at, strlen(at));
    (void)cwsi_json_next(&j);
    while (cwsi_json_next(&j) == CWSI_JSON_STRING) {
        cwsi_str word;
        CHECK(cwsi_json_string(&j, &t->s.arena, &word));
        if (word.len == strlen(cwsi_script_python(&t->s.arena)) &&
            memcmp(word.at, cwsi_script_python(&t->s.arena), word.len) == 0)
            word = cwsi_str_of("SCRIPT");
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s",
                       text[0] ? "|" : "", (int)word.len, word.at);
    }
    return text;
}

/* The 32 digits behind this in text. */
TEST_FN const char *fn_digits(const char *text, const char *behind)
{
    static char digits[40];
    const char *at = strstr(text, behind);
    size_t n;
    digits[0] = '\0';
    if (!CHECK(at != NULL)) return digits;
    at += strlen(behind);
    n = strspn(at, "0123456789abcdef");
    CHECK_INT(n, 32);
    (void)snprintf(digits, sizeof(digits), "%.*s", (int)n, at);
    return digits;
}

/* The content of a file that was written. */
TEST_FN const char *fn_written(api *t, size_t index)
{
    static char text[3000];
    const char *at = strstr(script_json(&t->s, "WriteFile", index), "\"content\":\"");
    size_t len = 0, n;
    char *out;
    text[0] = '\0';
    if (!CHECK(at != NULL)) return text;
    at += strlen("\"content\":\"");
    n = strcspn(at, "\"");
    out = CWSI_CAST(char *, cwsi_arena_alloc(&t->s.arena, n + 1));
    CHECK(out && cwsi_base64_decode(at, n, out, &len));
    (void)snprintf(text, sizeof(text), "%.*s", (int)len, out);
    return text;
}

/* How often is part in text? */
TEST_FN size_t fn_count(const char *text, const char *part)
{
    size_t n = 0;
    for (; (text = strstr(text, part)) != NULL; n++) text++;
    return n;
}

/* No sandbox may be left, here and there. */
TEST_FN void fn_none_left(api *t)
{
    api_settle(t);
    CHECK_INT(cws_session_sandbox_count(t->session), 0);
    CHECK_INT(script_count(&t->s, "DeleteSandbox"), script_count(&t->s, "CreateSandbox"));
}

/* ---- scripted -------------------------------------------------------------------------------- */

TEST_FN void test_requests(void)
{
    EACH("FN-2 FN-6: one write, one command, one read, and the sandbox is stopped") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        char expected[400], digits[40];
        o.closure_vars = " {\"k\": [1,\n 2]} ";
        fn = fn_new(t, &o);
        CHECK_INT(t->s.call_count, 0);
        fn_works(t, "42");
        CHECK_STR(fn_call(t, fn, "[1, \"\\u00e4\"]", "{\"b\": null}"), "42");
        CHECK_STR(script_calls(&t->s),
                  t->mode == API_PERFORM
                      ? "CreateSandbox GetSandbox WriteFile Exec ReadFile DeleteSandbox"
                      : "CreateSandbox GetSandbox WriteFile StreamExec ReadFile DeleteSandbox");
        (void)snprintf(digits, sizeof(digits), "%s",
                       fn_digits(script_json(&t->s, "WriteFile", 0), "/tmp/sandbox_payload_"));
        (void)snprintf(expected, sizeof(expected),
                       "python|-c|SCRIPT|/tmp|/tmp/sandbox_payload_%s.json|"
                       "/tmp/sandbox_result_%s.json||json", digits, digits);
        CHECK_STR(fn_command(t, 0), expected);
        CHECK_STR(fn_digits(script_json(&t->s, "ReadFile", 0), "/tmp/sandbox_result_"), digits);
        CHECK_STR(fn_written(t, 0),
                  "{\"source\":\"def add(a, b=2):\\n    return a + b\\n\",\"name\":\"add\","
                  "\"closure_vars\": {\"k\": [1,  2]} ,\"args\":[1, \"\\u00e4\"],"
                  "\"kwargs\":{\"b\": null}}");
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_function_free(fn);
    }
    EACH("nothing given means no arguments; each call has a sandbox and digits of its own") {
        cws_function *fn = fn_adder(t);
        char digits[40];
        fn_works(t, "1");
        fn_works(t, "2");
        CHECK_STR(fn_call(t, fn, NULL, NULL), "1");
        HAS(fn_written(t, 0), "\"closure_vars\":{},\"args\":[],\"kwargs\":{}}");
        (void)snprintf(digits, sizeof(digits), "%s", fn_digits(fn_command(t, 0), "_result_"));
        CHECK_STR(fn_call(t, fn, NULL, NULL), "2");
        CHECK(strcmp(digits, fn_digits(fn_command(t, 1), "_result_")) != 0);
        fn_none_left(t);
        CHECK_INT(script_count(&t->s, "CreateSandbox"), 2);
        cws_function_free(fn);
    }
    EACH("FN-9: interpreter, temp_dir and the options of the sandbox are used") {
        static const char *const argv[] = {"python3.12", "-B", NULL};
        static const char *const tags[] = {"mine", NULL}, *const all[] = {"theirs", NULL};
        char image[] = "alpine", path[] = "/etc/x", content[] = "data";
        cws_pair env[] = {{"A", "1"}, {NULL, NULL}};
        cws_mounted_file file;
        cws_sandbox_opts so;
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        const char *create;
        memset(&so, 0, sizeof(so));
        memset(&file, 0, sizeof(file));
        t->defaults.tags = all;
        so.container_image = image;
        so.tags = tags;
        so.environment_variables = env;
        file.mount_path = path;
        file.content = content;
        file.size = 4;
        so.mounted_files = &file;
        so.mounted_file_count = 1;
        so.request_timeout_seconds = 50;
        o.sandbox = &so;
        o.interpreter = argv;
        o.temp_dir = "/some where/'it\"s'//";
        fn = fn_new(t, &o);
        memset(image, 'x', 6), memset(path, 'x', 6), memset(content, 'x', 4);
        memset(&so, 0xff, sizeof(so));
        fn_starts(t);
        api_answer(t, 0, "", "");
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 0, "", "");
        fn_returns(t, "null");
        fn_stops(t);
        CHECK_STR(fn_call(t, fn, NULL, NULL), "null");
        create = script_json(&t->s, "CreateSandbox", 0);
        HAS(create, "alpine");
        HAS(create, "theirs");
        HAS(create, "mine");
        HAS(create, "/etc/x");
        HAS(create, "ZGF0YQ==");
        CHECK_STR(fn_command(t, 0), "mkdir|-p|--|/some where/'it\"s'");
        CHECK(strstr(fn_command(t, 1), "python3.12|-B|-c|SCRIPT|/some where/'it\"s'|/some where/"
                                       "'it\"s'/sandbox_payload_") == fn_command(t, 1));
        CHECK_INT(script_call_at(&t->s, "CreateSandbox", 0)->timeout_ms, 50000);
        cws_function_free(fn);
    }
    EACH("ME: a call counts one sandbox, one execution and one start-up, whatever prepares it") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        cws_metrics m;
        o.temp_dir = "/x";
        fn = fn_new(t, &o);
        fn_starts(t);
        api_answer(t, 0, "", "");
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 0, "", "");
        fn_returns(t, "null");
        fn_stops(t);
        CHECK_STR(fn_call(t, fn, NULL, NULL), "null");
        cws_session_metrics(t->session, &m);
        CHECK_INT(m.sandboxes_created, 1);
        CHECK_INT(m.executions, 1);
        CHECK_INT(m.exec_completed_ok, 1);
        CHECK_INT(m.startup_count, 1);
        CHECK_INT(m.max_execs_per_sandbox, 1);
        cws_function_free(fn);
    }
    EACH("every option of the sandbox is copied to the last string") {
        char w[] = "copyme", path[] = "/opyme", cpu[] = "21";
        const char *list[] = {NULL, NULL};
        cws_pair pairs[2];
        cws_mounted_file file = {NULL, NULL, 6};
        cws_image_credentials image;
        cws_security security;
        cws_probe probe;
        cws_object_storage storage;
        cws_container more;
        cws_mount mount;
        cws_secret secret;
        cws_volume volume;
        cws_resources resources;
        cws_sandbox_opts so;
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        memset(&so, 0, sizeof(so)), memset(&image, 0, sizeof(image));
        memset(&security, 0, sizeof(security)), memset(&probe, 0, sizeof(probe));
        memset(&storage, 0, sizeof(storage)), memset(&more, 0, sizeof(more));
        memset(&mount, 0, sizeof(mount)), memset(&secret, 0, sizeof(secret));
        memset(&volume, 0, sizeof(volume)), memset(&resources, 0, sizeof(resources));
        memset(pairs, 0, sizeof(pairs));
        list[0] = w, pairs[0].key = pairs[0].value = w, resources.cpu = cpu;
        file.mount_path = path, file.content = w;
        image.registry = image.store = image.name = image.field = w;
        security.capabilities_add = security.capabilities_drop = list;
        security.seccomp_profile = w;
        probe.argv = list, storage.buckets = list, storage.object_prefix = w;
        volume.name = mount.volume = w, volume.mount_path = mount.mount_path = path;
        volume.volume_id = mount.sub_path = w;
        secret.store = secret.name = secret.field = secret.env_var = w;
        more.name = more.image = more.command = w, more.args = list, more.working_dir = path;
        more.environment_variables = pairs, more.resources = &resources;
        more.secrets = &secret, more.secret_count = 1;
        more.mounted_files = &file, more.mounted_file_count = 1;
        more.mounts = &mount, more.mount_count = 1;
        more.image_credentials = &image, more.security = &security, more.startup_probe = &probe;
        so.container_image = so.instance_type = so.runtime_class = so.display_name = w;
        so.working_dir = path, so.environment_variables = so.annotations = pairs;
        so.secrets = &secret, so.secret_count = 1, so.volumes = &volume, so.volume_count = 1;
        so.mounted_files = &file, so.mounted_file_count = 1, so.image_credentials = &image;
        so.security = &security, so.startup_probe = &probe, so.object_storage = &storage;
        so.containers = &more, so.container_count = 1, so.tags = list;
        o.sandbox = &so;
        fn = fn_new(t, &o);
        script_ok(&t->s, "CreateSandbox", BOX_ID("sb-0", "PENDING")); /* what it should be */
        CHECK_INT(api_start(t, api_box(t, &so)), CWS_OK);
        memset(w, 'z', 6), memset(path, 'z', 6), memset(cpu, 'z', 2), list[0] = "zzzzzz";
        memset(pairs, 0, sizeof(pairs)), memset(&file, 0, sizeof(file));
        memset(&image, 0, sizeof(image)), memset(&security, 0, sizeof(security));
        memset(&more, 0, sizeof(more)), memset(&secret, 0, sizeof(secret));
        fn_works(t, "1");
        CHECK_STR(fn_call(t, fn, NULL, NULL), "1");
        HAS_NOT(script_json(&t->s, "CreateSandbox", 1), "zzz");
        CHECK(fn_count(script_json(&t->s, "CreateSandbox", 0), "opyme") > 40);
        CHECK_INT(fn_count(script_json(&t->s, "CreateSandbox", 1), "opyme"),
                  fn_count(script_json(&t->s, "CreateSandbox", 0), "opyme"));
        cws_function_free(fn);
    }
    EACH("bytes: the payload follows a line of JSON, and what comes back is not looked at") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        cws_bytes *bytes = NULL;
        o.serialization = CWS_SERIALIZE_BYTES;
        o.closure_vars = "{\n}";
        fn = fn_new(t, &o);
        fn_works(t, "not { json");
        CHECK_INT(cws_function_call_bytes(fn, "ab\ncd", 5, &bytes, &t->err), CWS_OK);
        CHECK_STR((const char *)cws_bytes_data(bytes), "not { json");
        cws_bytes_free(bytes);
        HAS(fn_written(t, 0), "\"closure_vars\":{ },\"args\":[],\"kwargs\":{}}\nab\ncd");
        HAS(fn_command(t, 0), ".bin||bytes");
        CHECK_INT(cws_function_call(fn, "[]", NULL, &bytes, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "_bytes");
        cws_function_free(fn);
    }
    EACH("C: the program is written and compiled first, with the flags that are asked for") {
        static const char *const argv[] = {"clang", "-O1", "-lm", NULL};
        cws_function_opts o;
        cws_function *fn;
        cws_bytes *bytes = NULL;
        memset(&o, 0, sizeof(o));
        o.c_function = &fn_shout;
        o.compiler = argv;
        o.serialization = CWS_SERIALIZE_BYTES;
        fn = fn_new(t, &o);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}")->times = 2;
        api_answer(t, 0, "", "");
        api_answer(t, 0, "", "");
        fn_returns(t, "X");
        fn_stops(t);
        CHECK_INT(cws_function_call_bytes(fn, "ab", 2, &bytes, &t->err), CWS_OK);
        cws_bytes_free(bytes);
        HAS(fn_written(t, 0), "static void cws_body(const char *input, size_t input_size, cws_io");
        CHECK_STR(fn_written(t, 1), "ab");
        CHECK(strncmp(fn_command(t, 0), "clang|-o|/tmp/sandbox_function_", 31) == 0);
        HAS(fn_command(t, 0), ".c|-O1|-lm");
        CHECK(strncmp(fn_command(t, 1), "/tmp/sandbox_function_", 22) == 0);
        HAS(fn_command(t, 1), ".bin|/tmp/sandbox_result_");
        cws_function_free(fn);
    }
}

typedef struct fn_bad {
    const char *what;
    cws_status status;
    const char *says;
} fn_bad;

/* The index-th set of options that is refused. */
TEST_FN fn_bad fn_refused(size_t index, cws_function_opts *o)
{
    static const char *const none[] = {NULL}, *const binary[] = {"a", "\xff", NULL};
    static cws_c_function broken;
    static cws_sandbox_opts so;
    static const struct {
        const char *name, *source, *closure;
        fn_bad bad;
    } texts[] = {
        {NULL, fn_add, NULL, {"no name", CWS_ERR_INVALID_ARGUMENT, "name ''"}},
        {"", fn_add, NULL, {"empty name", CWS_ERR_INVALID_ARGUMENT, "name ''"}},
        {"1a", fn_add, NULL, {"digit", CWS_ERR_INVALID_ARGUMENT, "name '1a'"}},
        {"a b", fn_add, NULL, {"blank", CWS_ERR_INVALID_ARGUMENT, "name 'a b'"}},
        {"a.b", fn_add, NULL, {"dot", CWS_ERR_INVALID_ARGUMENT, "name 'a.b'"}},
        {"a\xff", fn_add, NULL, {"name: no text", CWS_ERR_INVALID_ARGUMENT, "name is not UTF-8"}},
        {"add", NULL, NULL, {"no source", CWS_ERR_INVALID_ARGUMENT, "source or c_function"}},
        {"add", "\xff", NULL, {"no text", CWS_ERR_INVALID_ARGUMENT, "source is not UTF-8"}},
        {"f", "async def f(): pass", NULL, {"async", CWS_ERR_ASYNC_FUNCTION, "'f' is async"}},
        {"f", "x = 1\n \tasync\tdef\tf (a):\n  yield 1", NULL,
         {"async generator", CWS_ERR_ASYNC_FUNCTION, "async functions are not supported"}},
        {"f", "def f(): pass\nasync def f(): pass", NULL,
         {"the last one counts", CWS_ERR_ASYNC_FUNCTION, "source"}},
        {"add", fn_add, "[]", {"array", CWS_ERR_FUNCTION_SERIALIZATION, "is no JSON object"}},
        {"add", fn_add, "", {"empty", CWS_ERR_FUNCTION_SERIALIZATION, "closure_vars"}},
        {"add", fn_add, "{\"a\":}", {"broken", CWS_ERR_FUNCTION_SERIALIZATION, "closure_vars"}},
        {"add", fn_add, "{1: 2}", {"key", CWS_ERR_FUNCTION_SERIALIZATION, "closure_vars"}},
        {"add", fn_add, "{} {}", {"two", CWS_ERR_FUNCTION_SERIALIZATION, "closure_vars"}}};
    static const fn_bad others[] = {
        {"must_be_zero", CWS_ERR_INVALID_ARGUMENT, "cws_function_opts: must_be_zero"},
        {"both", CWS_ERR_INVALID_ARGUMENT, "source or c_function"},
        {"name of C", CWS_ERR_INVALID_ARGUMENT, "name is for Python"},
        {"closure of C", CWS_ERR_INVALID_ARGUMENT, "closure_vars is for Python"},
        {"interpreter of C", CWS_ERR_INVALID_ARGUMENT, "interpreter is for Python"},
        {"local interpreter of C", CWS_ERR_INVALID_ARGUMENT, "local_interpreter is for Python"},
        {"no CWS_FUNCTION", CWS_ERR_INVALID_ARGUMENT, "CWS_FUNCTION"},
        {"compiler of Python", CWS_ERR_INVALID_ARGUMENT, "compiler is for c_function"},
        {"serialization", CWS_ERR_INVALID_ARGUMENT, "serialization"},
        {"no interpreter", CWS_ERR_INVALID_ARGUMENT, "interpreter must name a program"},
        {"interpreter: no text", CWS_ERR_INVALID_ARGUMENT, "interpreter[1] is not UTF-8"},
        {"temp_dir", CWS_ERR_INVALID_ARGUMENT, "temp_dir must be an absolute path"},
        {"empty temp_dir", CWS_ERR_INVALID_ARGUMENT, "temp_dir must be an absolute path"},
        {"temp_dir: no text", CWS_ERR_INVALID_ARGUMENT, "temp_dir is not UTF-8"},
        {"local_interpreter", CWS_ERR_INVALID_ARGUMENT, "local_interpreter must not be empty"},
        {"timeout_seconds", CWS_ERR_INVALID_ARGUMENT, "timeout_seconds"},
        {"sandbox", CWS_ERR_INVALID_ARGUMENT, "max_lifetime_seconds"}};
    fn_bad end = {NULL, CWS_OK, NULL};
    *o = fn_opts(fn_add, "add");
    if (index < CWSI_COUNT(texts)) {
        o->name = texts[index].name;
        o->source = texts[index].source;
        o->closure_vars = texts[index].closure;
        return texts[index].bad;
    }
    index -= CWSI_COUNT(texts);
    if (index > 1 && index < 7) {
        memset(o, 0, sizeof(*o));
        o->c_function = index == 6 ? &broken : &fn_echo;
    }
    switch (index) {
    case 0: o->must_be_zero = 1; break;
    case 1: o->c_function = &fn_echo; break;
    case 2: o->name = "x"; break;
    case 3: o->closure_vars = "{}"; break;
    case 4: o->interpreter = binary; break;
    case 5: o->local_interpreter = "python3"; break;
    case 7: o->compiler = binary; break;
    case 8: o->serialization = (cws_serialization)2; break;
    case 9: o->interpreter = none; break;
    case 10: o->interpreter = binary; break;
    case 11: o->temp_dir = "tmp"; break;
    case 12: o->temp_dir = ""; break;
    case 13: o->temp_dir = "/\xff"; break;
    case 14: o->local_interpreter = ""; break;
    case 15: o->timeout_seconds = -2; break;
    case 16:
        so.max_lifetime_seconds = -1;
        o->sandbox = &so;
        break;
    }
    return index < CWSI_COUNT(others) ? others[index] : end;
}

TEST_FN void test_refusals(void)
{
    ONCE("FN-5 FN-12: what can not work is refused before any network, and named") {
        cws_function_opts o;
        cws_function *fn = NULL;
        size_t i;
        fn_bad bad;
        for (i = 0; (bad = fn_refused(i, &o)).what; i++) {
            if (!CHECK_INT(cws_session_function(api_session(t), &o, &fn, &t->err), bad.status) ||
                !CHECK(strstr(t->err.message, bad.says) != NULL) || !CHECK(fn == NULL))
                printf("    %s: %s\n", bad.what, t->err.message);
        }
        CHECK_INT(cws_session_function(t->session, NULL, &fn, &t->err), CWS_ERR_INVALID_ARGUMENT);
        o = fn_opts(fn_add, "add");
        CHECK_INT(cws_session_function(NULL, &o, &fn, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_function(t->session, &o, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(t->s.call_count, 0);
        CHECK(cws_status_is(CWS_ERR_ASYNC_FUNCTION, CWS_ERR_FUNCTION));
        CHECK(cws_status_is(CWS_ERR_FUNCTION_SERIALIZATION, CWS_ERR_SERVICE));
    }
    ONCE("FN-5: what only looks asynchronous is not refused") {
        static const char *const fine[] = {
            "def f(): pass", "async def ff(): pass\ndef f(): pass",
            "async def f(): pass\ndef f(): pass", "# async def f()\nf = len",
            "def f():\n    async def g(): pass\n", "asyncdef = 1\ndef f(): return 'async def f'",
            "from math import factorial as f"};
        size_t i;
        for (i = 0; i < CWSI_COUNT(fine); i++) {
            cws_function_opts o = fn_opts(fine[i], "f");
            cws_function_free(fn_new(t, &o));
        }
    }
    ONCE("FN-12: arguments that are no JSON are refused, and named") {
        cws_function *fn = fn_adder(t);
        const char *const list[] = {"[1]", "[NaN, -Infinity, Infinity]", "[1,]"};
        cws_blob blobs[2] = {{"", 0}, {NULL, 1}};
        cws_map_opts mo;
        cws_function_opts o;
        cws_op *op = NULL;
        memset(&mo, 0, sizeof(mo));
        memset(&o, 0, sizeof(o));
        CHECK_INT(cws_function_call_begin(fn, "{}", NULL, &op, &t->err),
                  CWS_ERR_FUNCTION_SERIALIZATION);
        CHECK_STR(t->err.message, "args_json is no JSON array");
        CHECK_INT(cws_function_call_begin(fn, "[1", NULL, &op, &t->err),
                  CWS_ERR_FUNCTION_SERIALIZATION);
        CHECK_INT(cws_function_call_begin(fn, NULL, "[]", &op, &t->err),
                  CWS_ERR_FUNCTION_SERIALIZATION);
        CHECK_STR(t->err.message, "kwargs_json is no JSON object");
        CHECK_INT(cws_function_map_begin(fn, list, 3, NULL, &op, &t->err),
                  CWS_ERR_FUNCTION_SERIALIZATION);
        CHECK_STR(t->err.message, "args_json[2] is no JSON array");
        CHECK_INT(cws_function_map_begin(fn, NULL, 1, NULL, &op, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        mo.must_be_zero = 1;
        CHECK_INT(cws_function_map_begin(fn, list, 1, &mo, &op, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_function_map_bytes_begin(fn, blobs, 2, NULL, &op, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_function_call_begin(NULL, "[]", NULL, &op, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_function_call_begin(fn, "[]", NULL, NULL, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        cws_function_free(fn);
        o.c_function = &fn_echo;
        fn = fn_new(t, &o);
        CHECK_INT(cws_function_call_begin(fn, "{} x", NULL, &op, &t->err),
                  CWS_ERR_FUNCTION_SERIALIZATION);
        CHECK_STR(t->err.message, "args_json is no JSON");
        CHECK_INT(cws_function_call_begin(fn, "{}", "{}", &op, &t->err), CWS_ERR_INVALID_ARGUMENT);
        cws_function_free(fn);
        o.serialization = CWS_SERIALIZE_BYTES;
        fn = fn_new(t, &o);
        CHECK_INT(cws_function_call_bytes_begin(fn, NULL, 1, &op, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_function_map_bytes_begin(fn, blobs, 2, NULL, &op, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "inputs[1].data");
        CHECK(op == NULL);
        CHECK_INT(t->s.call_count, 0);
        cws_function_free(fn);
        cws_function_free(NULL);
        cws_function_results_free(NULL);
    }
    ONCE("a closed session takes neither functions nor calls") {
        cws_function *fn = fn_adder(t), *other = NULL;
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_op *op = NULL;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_function(t->session, &o, &other, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(cws_function_call_begin(fn, NULL, NULL, &op, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(cws_function_map_begin(fn, NULL, 0, NULL, &op, &t->err), CWS_ERR_CLOSED);
        cws_session_free(t->session);
        t->session = NULL;
        CHECK_INT(cws_function_call_begin(fn, NULL, NULL, &op, &t->err), CWS_ERR_CLOSED);
        cws_function_free(fn); /* outlives the session */
    }
}

TEST_FN void test_failures(void)
{
    EACH("FN-7: an exception is an execution error with type, message and code") {
        cws_function *fn = fn_adder(t);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 1, "", "KeyError: of another story\n");
        fn_leaves_behind(t, "{\"outcome\":\"exception\",\"type\":\"ValueError\","
                            "\"module\":\"builtins\","
                            "\"message\":\"too small\",\"cause\":{\"type\":\"KeyError\","
                            "\"message\":\"'k'\"},"
                            "\"traceback\":\"T\"}\n", "");
        fn_stops(t);
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        CHECK_INT(t->err.status, CWS_ERR_EXECUTION);
        CHECK_STR(t->err.message, "Function 'add' execution failed in sandbox: too small");
        CHECK_INT(t->err.exit_code, 1);
        CHECK_STR(cws_error_metadata(&t->err, "exception_type"), "ValueError");
        CHECK_STR(cws_error_metadata(&t->err, "exception_message"), "too small");
        CHECK_STR(cws_error_metadata(&t->err, "exception_module"), "builtins");
        CHECK_STR(cws_error_metadata(&t->err, "exception_cause"), "KeyError: 'k'");
        CHECK(strstr(t->said, "too small") == NULL);
        CHECK_STR(t->err.sandbox_id, "sb-1");
        fn_none_left(t);
        cws_function_free(fn);
    }
    EACH("FN-10: a result that has no JSON is an execution error that says so") {
        cws_function *fn = fn_adder(t);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 1, "", "");
        fn_leaves_behind(t, "{\"outcome\":\"unserializable\",\"type\":\"TypeError\","
                            "\"message\":\"set is not\"}\n", "");
        fn_stops(t);
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        CHECK_INT(t->err.status, CWS_ERR_EXECUTION);
        HAS(t->err.message, "return value is not JSON-serializable: set is not");
        CHECK_STR(cws_error_metadata(&t->err, "exception_type"), "TypeError");
        cws_function_free(fn);
    }
    EACH("without a record the error tells the exit code, the signal and the last words") {
        static const struct {
            int code;
            const char *words, *message;
        } rows[] = {{127, "sh: python: not found\n", "exit code 127: sh: python: not found"},
                    {3, "", "exit code 3"},
                    {139, "ValueError: not this\n\n",
                     "exit code 139 (signal 11): ValueError: not this"},
                    {193, "", "exit code 193"}};
        cws_function *fn = fn_adder(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            char expected[200];
            fn_starts(t);
            script_ok(&t->s, "WriteFile", "{}");
            api_answer(t, rows[i].code, "", rows[i].words);
            fn_is_missing(t);
            fn_stops(t);
            CHECK(fn_call(t, fn, NULL, NULL) == NULL);
            CHECK_INT(t->err.status, CWS_ERR_EXECUTION);
            CHECK_INT(t->err.exit_code, rows[i].code);
            (void)snprintf(expected, sizeof(expected),
                           "Function 'add' execution failed in sandbox: %s", rows[i].message);
            CHECK_STR(t->err.message, expected);
            CHECK(cws_error_metadata(&t->err, "exception_message") == NULL);
            CHECK(cws_error_metadata(&t->err, "exception_type") == NULL);
        }
        cws_function_free(fn);
    }
    EACH("of many last words the last lines are told") {
        static char words[300];
        cws_function *fn = fn_adder(t);
        int i;
        for (i = 0; i < 2; i++) {
            memset(words, 'x', sizeof(words) - 1);
            if (!i) memcpy(words + 250, "\nthe end", 8);
            if (!i) words[258] = '\0';
            fn_starts(t);
            script_ok(&t->s, "WriteFile", "{}");
            api_answer(t, 9, "", words);
            fn_is_missing(t);
            fn_stops(t);
            CHECK(fn_call(t, fn, NULL, NULL) == NULL);
            HAS(t->err.message, i ? "in sandbox: exit code 9: xxxx" : ": exit code 9: the end");
            CHECK(strlen(t->err.message) < 280);
        }
        cws_function_free(fn);
    }
    EACH("a record that is none, and a value behind one of another kind, are no result") {
        static const char *const records[] = {
            "", "\n", "7", "7\n", "{}\n", "{\"outcome\": \"value\"}", "{\"outcome\": \"val\"}\n7",
            "{\"outcome\": 7}\n7", "{\"outcome\": \"value\"\n7", "[\"outcome\", \"value\"]\n7",
            "x{\"outcome\": \"value\"}\n7", "{\"outcome\": \"value\"} {}\n7"};
        cws_function *fn = fn_adder(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(records); i++) {
            fn_starts(t);
            script_ok(&t->s, "WriteFile", "{}");
            api_answer(t, 0, "", "");
            fn_leaves_behind(t, records[i], "");
            fn_stops(t);
            CHECK(fn_call(t, fn, NULL, NULL) == NULL);
            if (!CHECK_INT(t->err.status, CWS_ERR_FUNCTION_SERIALIZATION))
                printf("    record %d\n", (int)i);
            HAS(t->err.message, "without a record of how it ended");
        }
        fn_none_left(t);
        cws_function_free(fn);
    }
    EACH("a record counts whatever the exit code, and long values of it are cut") {
        static char record[90000];
        cws_function *fn = fn_adder(t);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 120, "", "");
        fn_returns(t, "7");
        fn_stops(t);
        CHECK_STR(fn_call(t, fn, NULL, NULL), "7");
        (void)snprintf(record, sizeof(record), "{\"outcome\":\"exit\",\"type\":\"%0300d\","
                                               "\"module\":"
                       "\"%0300d\",\"message\":\"%080000d\","
                       "\"cause\":{\"type\":\"%0300d\"}}\n", 1, 2, 3, 4);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 0, "", "");
        fn_leaves_behind(t, record, "");
        fn_stops(t);
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        HAS(t->err.message, "execution failed in sandbox: SystemExit: 0000");
        CHECK_INT(strlen(cws_error_metadata(&t->err, "exception_type")), 95);
        CHECK_INT(strlen(cws_error_metadata(&t->err, "exception_module")), 63);
        CHECK_INT(strlen(cws_error_metadata(&t->err, "exception_message")), 279);
        fn_none_left(t);
        cws_function_free(fn);
    }
    EACH("FN-3: what is read must be JSON; NaN is") {
        cws_function *fn = fn_adder(t);
        fn_works(t, "[1,");
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        CHECK_INT(t->err.status, CWS_ERR_FUNCTION_SERIALIZATION);
        fn_works(t, "");
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        fn_works(t, "[NaN, -Infinity, Infinity]");
        CHECK_STR(fn_call(t, fn, NULL, NULL), "[NaN, -Infinity, Infinity]");
        fn_works(t, "[Nan]");
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        fn_none_left(t);
        cws_function_free(fn);
    }
    EACH("an exit without a result is an error about the file") {
        cws_function *fn = fn_adder(t);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 0, "", "");
        fn_is_missing(t);
        fn_stops(t);
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        CHECK_INT(t->err.status, CWS_ERR_FILE);
        CHECK_STR(t->err.reason, "CWSANDBOX_FILE_NOT_FOUND");
        HAS(t->err.message, "Function 'add', reading its result: it ended without one");
        fn_none_left(t);
        cws_function_free(fn);
    }
    EACH("a create that is refused: nothing is left, and the error says where") {
        cws_function *fn = fn_adder(t);
        script_error(&t->s, "CreateSandbox", "invalid_argument", "bad image", NULL);
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        HAS(t->err.message, "Function 'add', starting its sandbox: ");
        HAS(t->err.message, "bad image");
        api_settle(t);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
        cws_function_free(fn);
    }
    EACH("a sandbox that fails to start is stopped") {
        cws_function *fn = fn_adder(t);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        script_ok(&t->s, "GetSandbox", BOX("FAILED"));
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        CHECK_INT(t->err.status, CWS_ERR_FAILED);
        api_settle(t);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_function_free(fn);
    }
    EACH("an upload, a command and a read that fail: the sandbox is stopped") {
        cws_function *fn = fn_adder(t);
        fn_starts(t);
        script_error(&t->s, "WriteFile", "permission_denied", "not here", NULL);
        fn_stops(t);
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        HAS(t->err.message, "Function 'add', writing its arguments: ");
        fn_none_left(t);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}");
        script_end(&t->s, api_exec_rpc(t), CWS_END_LOST);
        fn_stops(t);
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        CHECK_INT(t->err.status, CWS_ERR_TRANSPORT);
        HAS(t->err.message, "Function 'add', running it: ");
        fn_none_left(t);
        cws_function_free(fn);
    }
    EACH("a stop that fails is logged; the result counts, and the session has the sandbox") {
        cws_function *fn = fn_adder(t);
        fn_stays(t, "7");
        script_error(&t->s, "DeleteSandbox", "permission_denied", "you may not", NULL);
        CHECK_STR(fn_call(t, fn, NULL, NULL), "7");
        HAS(t->said, "you may not");
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        fn_stops(t);
        CHECK_INT(api_close(t), CWS_OK);
        cws_function_free(fn);
    }
    EACH("C that does not compile: the compiler's first complaint is the message") {
        cws_function_opts o;
        cws_function *fn;
        cws_bytes *bytes = NULL;
        memset(&o, 0, sizeof(o));
        o.c_function = &fn_echo;
        o.serialization = CWS_SERIALIZE_BYTES;
        fn = fn_new(t, &o);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 1, "", "x.c: In function y:\\nx.c:1:2: error: 'z' undeclared\\nnote: w\\n");
        fn_stops(t);
        CHECK_INT(cws_function_call_bytes(fn, "", 0, &bytes, &t->err), CWS_ERR_EXECUTION);
        HAS(t->err.message, "Function 'fn_echo' does not compile in sandbox: ");
        HAS(t->err.message, "error: 'z' undeclared");
        fn_none_left(t);
        cws_function_free(fn);
    }
}

/* Forget what was not asked for. */
TEST_FN void fn_forget_script(api *t)
{
    script_reply *r;
    for (r = t->s.first; r; r = r->next) r->times = 0;
    t->s.first = t->s.last = NULL;
}

/* Break the index-th exchange of a call in this way. */
TEST_FN void fn_break(api *t, size_t index, int way)
{
    static const char *const rpcs[] = {"CreateSandbox", "GetSandbox", "WriteFile",
                                       NULL,            "ReadFile",   "DeleteSandbox"};
    const char *rpc = rpcs[index] ? rpcs[index] : api_exec_rpc(t);
    switch (way) {
    case 0: script_end(&t->s, rpc, CWS_END_LOST)->times = -1; break;
    case 1: script_end(&t->s, rpc, CWS_END_NO_MEMORY)->times = -1; break;
    case 2: script_error(&t->s, rpc, "internal", "broken", NULL)->times = -1; break;
    case 3: script_error(&t->s, rpc, "not_found", "gone", NULL)->times = -1; break;
    case 4: script_raw(&t->s, rpc, 502, "text/html", "<p>", 3)->times = -1; break;
    case 5: script_raw(&t->s, rpc, 200, "application/proto", "\xff\xff", 2)->times = -1; break;
    default: script_never(&t->s, rpc); break;
    }
}

TEST_FN void test_faults(void)
{
    EACH_CONNECT("each exchange of a call fails in each way: an error, and the close finds all") {
        size_t index, at;
        int way;
        for (index = 0; index < 6; index++)
            for (way = 0; way < 7; way++) {
                cws_function_opts o = fn_opts(fn_add, "add");
                cws_function *fn;
                const char *result;
                o.timeout_seconds = 100;
                fn = fn_new(t, &o);
                fn_break(t, index, way);
                at = t->s.call_count;
                fn_works(t, "1");
                result = fn_call(t, fn, NULL, NULL);
                /* a poll that is not answered is repeated, a stop is no part of the result */
                if (!CHECK((result != NULL) == (index == 5 || (index == 1 && way == 6))) ||
                    !CHECK(result || strncmp(t->err.message, "Function 'add'", 14) == 0))
                    printf("    exchange %u, way %d: %s\n", (unsigned)index, way, t->err.message);
                CHECK(t->s.call_count > at);
                fn_forget_script(t);
                fn_works(t, "1"); /* now the service is well again */
                script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"))->times = 9;
                script_ok(&t->s, "GetSandbox", BOX("COMPLETED"))->times = 9;
                api_settle(t);
                CHECK_INT(api_close(t), CWS_OK);
                CHECK_INT(cws_session_sandbox_count(t->session), 0);
                fn_forget_script(t);
                cws_function_free(fn);
                cws_session_free(t->session);
                t->session = NULL;
            }
    }
    STREAMING("a close of the session ends the calls that are in flight") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        cws_op *op = NULL;
        int i;
        o.keep_warm = true;
        fn = fn_new(t, &o);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}");
        script_never(&t->s, "StreamExec");
        fn_stops(t);
        CHECK_INT(cws_function_call_begin(fn, NULL, NULL, &op, &t->err), CWS_OK);
        for (i = 0; i < 100 && !script_count(&t->s, "StreamExec"); i++)
            CHECK_INT(cws_client_poll(t->client, 0.1, NULL), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_ERR_TIMEOUT); /* the script's command stays */
        fn_none_left(t);
        cws_op_free(op);
        cws_function_free(fn);
    }
}

TEST_FN void test_time(void)
{
    EACH("the time is for the whole call; the stop goes on") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        int64_t began;
        o.timeout_seconds = 20;
        fn = fn_new(t, &o);
        began = t->s.now;
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}")->delay = t->mode == API_PERFORM ? 0 : 3000;
        script_never(&t->s, api_exec_rpc(t));
        fn_stops(t);
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        CHECK(cws_status_is(t->err.status, CWS_ERR_TIMEOUT));
        HAS(t->err.message, "Function 'add'");
        if (t->mode != API_PERFORM) { /* there a call is as long as it is */
            CHECK_STR(t->err.message, "Function 'add' timed out after 20000 ms, running it");
            CHECK_INT(t->s.now - began, 20000);
        }
        fn_none_left(t);
        cws_function_free(fn);
    }
    EACH("a stop that takes longer than the time is left: the result is there") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        o.timeout_seconds = 5;
        fn = fn_new(t, &o);
        fn_stays(t, "7");
        script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"))->delay = 8000;
        CHECK_STR(fn_call(t, fn, NULL, NULL), "7");
        fn_none_left(t);
        cws_function_free(fn);
    }
    STREAMING("a cancel at any moment leaves no sandbox") {
        cws_function *fn = fn_adder(t);
        int moment;
        for (moment = 0; moment < 40; moment++) {
            cws_op *op = NULL;
            int i;
            bool late;
            t->s.call_count = 0;
            fn_works(t, "1");
            CHECK_INT(cws_function_call_begin(fn, NULL, NULL, &op, &t->err), CWS_OK);
            for (i = 0; i < moment && !cws_op_done(op); i++)
                CHECK_INT(cws_client_poll(t->client, 100, NULL), CWS_OK);
            late = cws_op_done(op);
            if (moment % 2) cws_op_free(op);
            else CHECK(cws_op_cancel(op) == !late);
            api_settle(t);
            if (moment % 2 == 0) {
                CHECK_INT(cws_op_status(op, &t->err), late ? CWS_OK : CWS_ERR_CANCELLED);
                cws_op_free(op);
            }
            api_settle(t);
            fn_none_left(t);
            fn_forget_script(t);
            if (late) break;
        }
        CHECK(moment > 3 && moment < 40);
        cws_function_free(fn);
    }
    STREAMING("freeing the client in the middle of a call is harmless") {
        cws_function *fn = fn_adder(t);
        cws_op *op = NULL;
        script_never(&t->s, "CreateSandbox");
        CHECK_INT(cws_function_call_begin(fn, NULL, NULL, &op, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        cws_client_free(t->client);
        CHECK_INT(cws_op_status(op, NULL), CWS_ERR_CANCELLED);
        cws_function_free(fn);
        cws_op_free(op);
        CHECK_INT(t->s.closes, 1);
        cws_session_free(t->session);
        t->session = NULL;
        t->client = NULL;
    }
}

TEST_FN void test_warm(void)
{
    EACH("keep_warm: the next call uses the sandbox, and freeing the function stops it") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        char digits[40];
        o.keep_warm = true;
        o.temp_dir = "/x";
        fn = fn_new(t, &o);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}")->times = 3;
        api_answer(t, 0, "", ""); /* mkdir */
        api_answer(t, 0, "", "");
        fn_returns(t, "1");
        CHECK_STR(fn_call(t, fn, NULL, NULL), "1");
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        (void)snprintf(digits, sizeof(digits), "%s", fn_digits(fn_command(t, 1), "_result_"));
        api_answer(t, 1, "", ""); /* an exception is no reason to give it up */
        fn_raises(t, "ValueError");
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        HAS(fn_command(t, 2), digits); /* the old result is removed */
        CHECK_INT(fn->warm->stats.exec_count, 2); /* mkdir is none of them */
        CHECK_INT(fn->warm->stats.exec_completed_ok, 1);
        CHECK_INT(fn->warm->stats.exec_completed_nonzero, 1);
        api_answer(t, 0, "", "");
        fn_returns(t, "3");
        CHECK_STR(fn_call(t, fn, NULL, NULL), "3");
        CHECK_INT(script_count(&t->s, "CreateSandbox"), 1);
        CHECK_INT(script_count(&t->s, "DeleteSandbox"), 0);
        fn_stops(t);
        cws_function_free(fn);
        fn_none_left(t);
    }
    EACH("keep_warm: the close of the session stops it, and the function stays valid to free") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        o.keep_warm = true;
        fn = fn_new(t, &o);
        fn_works(t, "1");
        CHECK_STR(fn_call(t, fn, NULL, NULL), "1");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        cws_function_free(fn);
        fn_none_left(t);
    }
    EACH("keep_warm: a function that outlives its client begins no stop") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        o.keep_warm = true;
        fn = fn_new(t, &o);
        fn_stays(t, "1");
        CHECK_STR(fn_call(t, fn, NULL, NULL), "1");
        CHECK_INT(script_count(&t->s, "DeleteSandbox"), 0);
        cws_session_free(t->session);
        cws_client_free(t->client);
        t->session = NULL;
        t->client = NULL;
        cws_function_free(fn);
        CHECK_INT(script_count(&t->s, "DeleteSandbox"), 0);
    }
    EACH("keep_warm: one that has gone meanwhile is replaced; a function is never run twice") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        o.keep_warm = true;
        fn = fn_new(t, &o);
        fn_stays(t, "1");
        CHECK_STR(fn_call(t, fn, NULL, NULL), "1");
        script_error(&t->s, "WriteFile", "not_found", "sandbox not found", NULL);
        script_error(&t->s, "DeleteSandbox", "not_found", "sandbox not found", NULL);
        script_ok(&t->s, "CreateSandbox", BOX_ID("sb-2", "PENDING"));
        script_ok(&t->s, "GetSandbox", BOX_ID("sb-2", "RUNNING"));
        script_ok(&t->s, "WriteFile", "{}")->times = 2;
        api_answer(t, 0, "", "");
        fn_returns(t, "2");
        CHECK_STR(fn_call(t, fn, NULL, NULL), "2");
        script_end(&t->s, api_exec_rpc(t), CWS_END_LOST); /* it may have run */
        script_ok(&t->s, "DeleteSandbox",
                  "{\"sandbox\":" BOX_ID("sb-2", "COMPLETED") "}");
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        CHECK_INT(t->err.status, CWS_ERR_TRANSPORT);
        cws_function_free(fn);
        fn_none_left(t);
    }
    STREAMING("keep_warm: calls at the same time use further ones, of which one is kept") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        cws_op *a = NULL, *b = NULL;
        o.keep_warm = true;
        fn = fn_new(t, &o);
        fn_works(t, "1");
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 0, "", "");
        fn_returns(t, "2");
        CHECK_INT(cws_function_call_begin(fn, NULL, NULL, &a, &t->err), CWS_OK);
        CHECK_INT(cws_function_call_begin(fn, NULL, NULL, &b, &t->err), CWS_OK);
        api_settle(t);
        CHECK_INT(cws_op_status(a, NULL), CWS_OK);
        CHECK_INT(cws_op_status(b, NULL), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        cws_op_free(a);
        cws_op_free(b);
        fn_stops(t);
        cws_function_free(fn);
        fn_none_left(t);
    }
}

TEST_FN bool fn_takes(const cws_metric *list, size_t count, int64_t step, void *user)
{
    (void)list, (void)count, (void)step, (void)user;
    return true;
}

TEST_FN void fn_refuses(cws_op *op, void *user)
{
    cws_function *fn = *(cws_function **)user;
    cws_bytes *bytes = NULL;
    cws_function_results *results = NULL;
    cws_error e;
    (void)op;
    CHECK_INT(cws_function_call(fn, NULL, NULL, &bytes, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_function_map(fn, NULL, 0, NULL, &results, &e), CWS_ERR_REENTRANT);
    CHECK_INT(cws_function_local(fn, NULL, NULL, &bytes, &e), CWS_ERR_REENTRANT);
    cws_function_free(fn);
}

TEST_FN void test_more(void)
{
    EACH("FN-4: a map of nothing, and what an operation of another kind has not") {
        cws_function *fn = fn_adder(t);
        cws_function_results *results = NULL;
        const cws_bytes *bytes = NULL;
        CHECK_INT(cws_function_map(fn, NULL, 0, NULL, &results, &t->err), CWS_OK);
        CHECK_INT(cws_function_results_count(results), 0);
        CHECK_INT(cws_function_results_at(results, 0, &bytes, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_function_results_at(NULL, 0, &bytes, &t->err), CWS_ERR_INVALID_ARGUMENT);
        cws_function_results_free(results);
        CHECK(cws_op_take_results(NULL) == NULL);
        CHECK(cws_op_function_output(NULL) == NULL);
        cws_function_free(fn);
    }
    EACH("FN-4: map keeps the order, and one failure loses no other") {
        static const char *const args[] = {"[1]", "[2]", "[3]"};
        cws_function *fn = fn_adder(t);
        cws_function_results *results = NULL;
        const cws_bytes *bytes = NULL;
        cws_map_opts o;
        memset(&o, 0, sizeof(o));
        o.limit = 1;
        fn_works(t, "\"a\"");
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 1, "", "");
        fn_raises(t, "KeyError");
        fn_stops(t);
        fn_works(t, "\"c\"");
        CHECK_INT(cws_function_map(fn, args, 3, &o, &results, &t->err), CWS_OK);
        CHECK_INT(cws_function_results_count(results), 3);
        CHECK_INT(cws_function_results_at(results, 0, &bytes, &t->err), CWS_OK);
        CHECK_STR((const char *)cws_bytes_data(bytes), "\"a\"");
        CHECK_INT(cws_function_results_at(results, 1, &bytes, &t->err), CWS_ERR_EXECUTION);
        CHECK(bytes == NULL);
        CHECK_STR(cws_error_metadata(&t->err, "exception_type"), "KeyError");
        CHECK_INT(cws_function_results_at(results, 2, &bytes, NULL), CWS_OK);
        CHECK_STR((const char *)cws_bytes_data(bytes), "\"c\"");
        fn_none_left(t);
        cws_function_free(fn);
        cws_function_results_free(results);
    }
    STREAMING("a map that is cancelled cancels its calls and begins no more") {
        static const char *const args[] = {"[1]", "[2]", "[3]"};
        cws_function *fn = fn_adder(t);
        cws_map_opts o;
        cws_op *op = NULL;
        int i;
        memset(&o, 0, sizeof(o));
        o.limit = 2;
        for (i = 0; i < 2; i++) {
            fn_starts(t);
            script_ok(&t->s, "WriteFile", "{}");
            script_never(&t->s, "StreamExec");
            fn_stops(t);
        }
        CHECK_INT(cws_function_map_begin(fn, args, 3, &o, &op, &t->err), CWS_OK);
        for (i = 0; i < 1000 && script_count(&t->s, "StreamExec") < 2; i++)
            CHECK_INT(cws_client_poll(t->client, 0.1, NULL), CWS_OK);
        CHECK_INT(script_count(&t->s, "StreamExec"), 2);
        CHECK(cws_op_cancel(op));
        api_settle(t);
        CHECK_INT(cws_op_status(op, NULL), CWS_ERR_CANCELLED);
        CHECK(cws_op_take_results(op) == NULL);
        CHECK_INT(script_count(&t->s, "CreateSandbox"), 2);
        cws_op_free(op);
        fn_none_left(t);
        cws_function_free(fn);
    }
    STREAMING("inside a callback nothing blocks, and a function may be freed") {
        cws_function *fn = fn_adder(t);
        cws_op *op = NULL;
        fn_works(t, "1");
        CHECK_INT(cws_function_call_begin(fn, NULL, NULL, &op, &t->err), CWS_OK);
        CHECK(cws_op_function_output(op) == NULL);
        cws_op_on_done(op, fn_refuses, &fn);
        api_settle(t);
        CHECK_INT(cws_op_status(op, NULL), CWS_OK);
        CHECK(cws_op_function_output(op) != NULL);
        cws_op_free(op);
    }
    EACH("what a compiler printed is not the output of a function that was never run") {
        cws_function_opts o = fn_opts(NULL, NULL);
        cws_function *fn;
        cws_op *op = NULL;
        o.c_function = &fn_echo;
        fn = fn_new(t, &o);
        fn_starts(t);
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 0, "", "a warning");
        script_error(&t->s, "WriteFile", "invalid_argument", "no", NULL);
        fn_stops(t);
        CHECK_INT(cws_function_call_begin(fn, "1", NULL, &op, &t->err), CWS_OK);
        api_settle(t);
        CHECK(cws_op_status(op, &t->err) != CWS_OK);
        HAS(t->err.message, "writing its arguments");
        CHECK(cws_op_function_output(op) == NULL);
        cws_op_free(op);
        cws_function_free(fn);
        fn_none_left(t);
    }
    EACH("metrics: a sandbox for each call, an execution for each run and for nothing else") {
        cws_function_opts o = fn_opts(fn_add, "add");
        cws_function *fn;
        cws_reporter reporter;
        cws_metrics m;
        memset(&reporter, 0, sizeof(reporter));
        reporter.log = fn_takes;
        t->sopts.reporter = &reporter;
        o.temp_dir = "/x";
        fn = fn_new(t, &o);
        fn_starts(t);
        api_answer(t, 0, "", ""); /* mkdir */
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 0, "", "");
        fn_returns(t, "1");
        fn_stops(t);
        CHECK_STR(fn_call(t, fn, NULL, NULL), "1");
        fn_starts(t);
        api_answer(t, 1, "", "no such thing"); /* mkdir */
        fn_stops(t);
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        HAS(t->err.message, "Function 'add' could not get its temp_dir: no such thing");
        fn_starts(t);
        api_answer(t, 0, "", "");
        script_ok(&t->s, "WriteFile", "{}");
        api_answer(t, 1, "", "");
        fn_raises(t, "ValueError");
        fn_stops(t);
        CHECK(fn_call(t, fn, NULL, NULL) == NULL);
        cws_session_metrics(t->session, &m);
        CHECK_INT(m.sandboxes_created, 3);
        CHECK_INT(m.executions, 2);
        CHECK_INT(m.exec_completed_ok, 1);
        CHECK_INT(m.exec_completed_nonzero, 1);
        cws_function_free(fn);
    }
    ONCE("without an interpreter there is no Python here") {
        cws_function *fn = fn_adder(t);
        cws_bytes *bytes = NULL;
        CHECK_INT(cws_function_local(fn, NULL, NULL, &bytes, &t->err), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "local_interpreter");
        cws_function_free(fn);
    }
}

/* Replies for whatever is asked, as often as it is. */
TEST_FN void fn_always(api *t)
{
    script_reply *r;
    fn_works(t, "[1]");
    for (r = t->s.first; r; r = r->next) r->times = -1;
}

/* The same in C, and here. */
TEST_FN cws_status fn_everything_c(api *t, bool warm, cws_status *called)
{
    static const cws_blob inputs[] = {{"a", 1}, {"bb", 2}};
    cws_function_opts o;
    cws_function *fn = NULL;
    cws_bytes *here = NULL, *there = NULL;
    cws_function_results *results = NULL;
    cws_status status;
    memset(&o, 0, sizeof(o));
    o.c_function = &fn_echo;
    o.serialization = CWS_SERIALIZE_BYTES;
    o.keep_warm = warm;
    status = cws_session_function(t->session, &o, &fn, &t->err);
    if (!status && !*called) *called = cws_function_call_bytes(fn, "x", 1, &there, &t->err);
    if (!status && !*called) *called = cws_function_local_bytes(fn, "x", 1, &here, &t->err);
    if (!status && !*called)
        *called = cws_function_map_bytes(fn, inputs, 2, NULL, &results, &t->err);
    cws_bytes_free(here);
    cws_bytes_free(there);
    cws_function_results_free(results);
    cws_function_free(fn);
    return status;
}

/* A function, a call, a map, with every option that is copied. */
TEST_FN cws_status fn_everything(api *t, bool warm, cws_status *called)
{
    static const char *const args[] = {"[1]", "[2]"};
    static const char *const list[] = {"a", "b", NULL};
    cws_mounted_file file;
    cws_image_credentials image;
    cws_security security;
    cws_probe probe;
    cws_object_storage storage;
    cws_container more;
    cws_mount mount;
    cws_secret secret;
    cws_volume volume;
    cws_sandbox_opts so;
    cws_function_opts o = fn_opts(fn_add, "add");
    cws_function *fn = NULL;
    cws_bytes *bytes = NULL;
    cws_function_results *results = NULL;
    cws_status status;
    memset(&so, 0, sizeof(so)), memset(&file, 0, sizeof(file)), memset(&image, 0, sizeof(image));
    memset(&security, 0, sizeof(security)), memset(&probe, 0, sizeof(probe));
    memset(&storage, 0, sizeof(storage)), memset(&more, 0, sizeof(more));
    memset(&mount, 0, sizeof(mount)), memset(&secret, 0, sizeof(secret));
    memset(&volume, 0, sizeof(volume));
    volume.name = "v", volume.mount_path = "/v";
    mount.volume = "v", mount.mount_path = "/m";
    secret.store = "s", secret.name = "n";
    more.name = "more", more.image = "i", more.command = "c", more.args = list;
    more.mounts = &mount, more.mount_count = 1, more.secrets = &secret, more.secret_count = 1;
    so.containers = &more, so.container_count = 1, so.volumes = &volume, so.volume_count = 1;
    file.mount_path = "/f", file.content = "x", file.size = 1;
    image.registry = "r", image.store = "s", image.name = "n";
    security.capabilities_add = list;
    probe.argv = list;
    storage.buckets = list;
    so.mounted_files = &file, so.mounted_file_count = 1;
    so.image_credentials = &image, so.security = &security, so.startup_probe = &probe;
    so.object_storage = &storage, so.working_dir = "/w", so.display_name = "d";
    o.sandbox = &so;
    o.closure_vars = "{}";
    o.keep_warm = warm;
    o.temp_dir = warm ? "/y" : NULL;
    *called = CWS_ERR_PENDING;
    status = cws_session_function(t->session, &o, &fn, &t->err);
    if (!status) *called = cws_function_call(fn, "[1]", NULL, &bytes, &t->err);
    if (!status && !*called) *called = cws_function_map(fn, args, 2, NULL, &results, &t->err);
    cws_bytes_free(bytes);
    cws_function_results_free(results);
    cws_function_free(fn);
    return status ? status : fn_everything_c(t, warm, called);
}

TEST_FN void test_memory(void)
{
    int warm, persistent;
    for (warm = 0; warm < 2; warm++)
        for (persistent = 0; persistent < 2; persistent++)
            API_RUN(persistent ? "no memory from any point on: an error, no leak, no sandbox left"
                               : "no memory once, at any point: an error, no leak, no sandbox left",
                    API_BLOCKING) {
                cws_status made = CWS_OK, called = CWS_OK;
                long n;
                (void)api_session(t);
                fn_always(t);
                for (n = 0; n < 5000; n++) {
                    size_t held = test_alloc_live();
                    bool failed;
                    test_alloc_fail_at(n, persistent == 1);
                    made = fn_everything(t, warm == 1, &called);
                    failed = test_alloc_failed();
                    test_alloc_fail_at(-1, false);
                    CHECK(made == CWS_OK || made == CWS_ERR_NO_MEMORY);
                    if (made == CWS_ERR_NO_MEMORY && called == CWS_ERR_PENDING)
                        CHECK_INT(test_alloc_live(), held);
                    if (!failed) break;
                    api_settle(t);
                    if (cws_session_sandbox_count(t->session)) { /* no memory for its stop */
                        CHECK_INT(cws_session_close(t->session, &t->err), CWS_OK);
                        CHECK_INT(cws_session_sandbox_count(t->session), 0);
                        cws_session_free(t->session);
                        t->session = NULL;
                        (void)api_session(t);
                    }
                }
                CHECK(n > 100 && n < 5000);
                CHECK_INT(made, CWS_OK);
                CHECK_INT(called, CWS_OK);
                api_settle(t);
                CHECK(t->s.open == NULL);
            }
}

TEST_FN void test_memory_raised(void)
{
    int persistent;
    for (persistent = 0; persistent < 2; persistent++)
        API_RUN("no memory while it is read what a function raised: an error, no "
                "leak", API_BLOCKING) {
            long n;
            bool failed = true;
            cws_status status = CWS_OK;
            for (n = 0; n < 5000 && failed; n++) {
                cws_function *fn = fn_adder(t);
                cws_op *op = NULL;
                fn_starts(t);
                script_ok(&t->s, "WriteFile", "{}");
                api_answer(t, 1, "", "");
                fn_leaves_behind(t, "{\"outcome\":\"exception\",\"type\":\"\\u0041\","
                                    "\"module\":\"\\u0042\","
                                    "\"message\":\"\\u0043\","
                                    "\"cause\":{\"type\":\"\\u0044\"}}\n", "");
                fn_stops(t);
                script_ok(&t->s, "CreateSandbox", BOX("RUNNING"))->times = -1; /* in doubt */
                script_ok(&t->s, "DeleteSandbox", DELETED("COMPLETED"))->times = -1;
                test_alloc_fail_at(n, persistent == 1);
                status = cws_function_call_begin(fn, NULL, NULL, &op, &t->err);
                if (!status) status = cws_op_wait(op, CWS_FOREVER, &t->err);
                failed = test_alloc_failed();
                test_alloc_fail_at(-1, false);
                CHECK(status == CWS_ERR_EXECUTION || (failed && status == CWS_ERR_NO_MEMORY));
                if (!failed) CHECK_STR(cws_error_metadata(&t->err, "exception_cause"), "D: ");
                cws_op_free(op);
                cws_function_free(fn);
                CHECK_INT(api_close(t), CWS_OK); /* no memory for its stop */
                cws_session_free(t->session);
                t->session = NULL;
                fn_forget_script(t);
            }
            CHECK(n > 50 && n < 5000);
            CHECK_INT(status, CWS_ERR_EXECUTION);
        }
}

/* ---- real: in sandboxes of the local backend ------------------------------------------------ */

typedef struct real {
    script clock; /* whose sleep is the library's, here a matter of patience only */
    cws_transport local;
    cws_client_opts copts;
    cws_session_opts sopts;
    cws_session *session;
    cws_error err;
    size_t live;
    bool python, cc;
} real;

static const char *const real_python[] = {"python3", NULL};

/* Does this command work in a sandbox? */
TEST_FN bool real_has(real *r, const char *const *argv)
{
    cws_sandbox *sb = NULL;
    cws_result *result = NULL;
    cws_stop_opts now;
    bool works;
    memset(&now, 0, sizeof(now));
    now.graceful_shutdown_seconds = CWS_NONE;
    works = cws_session_sandbox(r->session, NULL, &sb, &r->err) == CWS_OK &&
            cws_exec(sb, argv, NULL, &result, &r->err) == CWS_OK &&
            cws_result_exit_code(result) == 0;
    cws_result_free(result);
    CHECK_INT(cws_sandbox_stop(sb, &now, &r->err), CWS_OK);
    cws_sandbox_free(sb);
    return works;
}

TEST_FN real *real_new(void)
{
    static const char *const cc[] = {"/bin/sh", "-c", "echo 'int main(void) { return 0; }' "
                                     ">/tmp/x.c && cc -o /tmp/x /tmp/x.c && /tmp/x", NULL};
    static const char *const python[] = {"python3", "-c", "import json, linecache", NULL};
    static int has_python = -1, has_cc = -1;
    real *r = (real *)calloc(1, sizeof(*r));
    if (!r) abort();
    script_init(&r->clock, true);
    r->live = test_alloc_live();
    if (!CHECK_INT(cws_local_transport_open(NULL, &r->local, &r->err), CWS_OK)) {
        printf("    %s\n", r->err.message);
        abort();
    }
    r->copts.transport = &r->local;
    r->copts.base_url = "http://localhost";
    r->copts.allocator = &test_allocator;
    r->copts.no_environment = true;
    r->sopts.client_opts = &r->copts;
    if (!CHECK_INT(cws_session_open(&r->sopts, &r->session, &r->err), CWS_OK)) abort();
    if (has_python < 0) has_python = real_has(r, python);
    if (has_cc < 0) has_cc = real_has(r, cc);
    r->python = has_python;
    r->cc = has_cc;
    return r;
}

TEST_FN real *real_end(real *r)
{
    if (!CHECK_INT(cws_session_close(r->session, &r->err), CWS_OK))
        printf("    %s\n", r->err.message);
    CHECK_INT(cws_session_sandbox_count(r->session), 0);
    CHECK_INT(cws_local_live(&r->local), 0);
    cws_session_free(r->session);
    CHECK_INT(test_alloc_live(), r->live);
    script_free(&r->clock);
    free(r);
    return NULL;
}

#define REAL(text) TEST(text) for (real *r = real_new(); r; r = real_end(r))
#define PYTHON(text)                                                                               \
    REAL(text)                                                                                     \
    if (!r->python) SKIP("no python3 in a sandbox of the local backend");                          \
    else
#define COMPILED(text)                                                                             \
    REAL(text)                                                                                     \
    if (!r->cc) SKIP("no cc in a sandbox of the local backend");                                   \
    else

TEST_FN cws_function *real_fn(real *r, cws_function_opts *o)
{
    cws_function *fn = NULL;
    if (!o->c_function && !o->interpreter) o->interpreter = real_python;
    if (!CHECK_INT(cws_session_function(r->session, o, &fn, &r->err), CWS_OK)) {
        printf("    %s\n", r->err.message);
        abort();
    }
    return fn;
}

/* A result as text, or the message of the failure. */
TEST_FN const char *real_text(real *r, cws_status status, cws_bytes *bytes)
{
    static char text[4000];
    CHECK((bytes != NULL) == (status == CWS_OK));
    (void)snprintf(text, sizeof(text), "%s",
                   bytes ? (const char *)cws_bytes_data(bytes) : r->err.message);
    cws_bytes_free(bytes);
    return text;
}

TEST_FN const char *real_call(real *r, cws_function *fn, const char *args, const char *kwargs)
{
    cws_bytes *bytes = NULL;
    cws_status status = cws_function_call(fn, args, kwargs, &bytes, &r->err);
    return real_text(r, status, bytes);
}

TEST_FN const char *real_local(real *r, cws_function *fn, const char *args, const char *kwargs)
{
    cws_bytes *bytes = NULL;
    cws_status status = cws_function_local(fn, args, kwargs, &bytes, &r->err);
    return real_text(r, status, bytes);
}

TEST_FN const char *real_bytes(real *r, cws_function *fn, const char *data, bool local)
{
    cws_bytes *bytes = NULL;
    cws_status status = local
        ? cws_function_local_bytes(fn, data, strlen(data), &bytes, &r->err)
        : cws_function_call_bytes(fn, data, strlen(data), &bytes, &r->err);
    return real_text(r, status, bytes);
}

TEST_FN void test_python(void)
{
    PYTHON("local: its files are in a folder of the call alone, and nothing is left") {
        static const char source[] =
            "import os\n"
            "def look(top):\n"
            "    inner = [os.path.join(top, name) for name in os.listdir(top)]\n"
            "    return [[oct(os.stat(path).st_mode & 0o777) for path in inner],\n"
            "            sorted(os.listdir(inner[0]))]\n";
        cws_function_opts o = fn_opts(source, "look");
        char top[] = "/tmp/cws-functions-XXXXXX", args[64];
        cws_function *fn;
        if (!mkdtemp(top)) abort();
        (void)snprintf(args, sizeof(args), "[\"%s\"]", top);
        o.temp_dir = top;
        o.local_interpreter = "python3";
        fn = real_fn(r, &o);
        CHECK_STR(real_local(r, fn, args, NULL), "[[\"0o700\"], [\"errors\", \"result.d\"]]");
        CHECK_INT(rmdir(top), 0);
        cws_function_free(fn);
    }
    PYTHON("FN-3 FN-11: every kind of JSON there and back; tuples, keys, NaN") {
        static const char *const values[][2] = {
            {"[null]", "[null]"},
            {"[true, false]", "[true, false]"},
            {"[0, -1, 1.5, 1e300, 12345678901234567890]",
             "[0, -1, 1.5, 1e+300, 12345678901234567890]"},
            {"[\"\", \"a\\n\\\"\\\\\", \"\\u00e4\", \"\xf0\x9f\x98\x80\", \"\\ud800\"]",
             "[\"\", \"a\\n\\\"\\\\\", \"\\u00e4\", \"\\ud83d\\ude00\", \"\\ud800\"]"},
            {"[[], {}, [[1], {\"a\": {\"b\": [2]}}]]", "[[], {}, [[1], {\"a\": {\"b\": [2]}}]]"},
            {"[NaN, Infinity, -Infinity]", "[NaN, Infinity, -Infinity]"},
            {"[]", "[]"}};
        cws_function_opts o = fn_opts("def echo(*args):\n    return args\n", "echo");
        cws_function *fn;
        size_t i;
        o.keep_warm = true;
        o.local_interpreter = "python3";
        fn = real_fn(r, &o);
        for (i = 0; i < CWSI_COUNT(values); i++) {
            CHECK_STR(real_call(r, fn, values[i][0], NULL), values[i][1]);
            CHECK_STR(real_local(r, fn, values[i][0], NULL), values[i][1]);
        }
        CHECK_INT(cws_local_live(&r->local), 1);
        cws_function_free(fn);
        o.source = "def echo():\n    return {1: (2, 3), None: float('nan')}\n";
        fn = real_fn(r, &o);
        CHECK_STR(real_call(r, fn, NULL, NULL), "{\"1\": [2, 3], \"null\": NaN}");
        cws_function_free(fn);
    }
    PYTHON("17.7: named arguments, captured variables, the environment, an indented source") {
        static const cws_pair env[] = {{"WHO", "me"}, {NULL, NULL}};
        cws_sandbox_opts so;
        cws_function_opts o = fn_opts("    import os\n"
                                      "    def f(a, *, b=1):\n"
                                      "        return [a * factor, b, os.environ['WHO']]\n", "f");
        cws_function *fn;
        memset(&so, 0, sizeof(so));
        so.environment_variables = env;
        o.sandbox = &so;
        o.closure_vars = "{\"factor\": 10,\n \"unused\": \"'\\\"\"}";
        fn = real_fn(r, &o);
        CHECK_STR(real_call(r, fn, "[5]", "{\"b\": [2]}"), "[50, [2], \"me\"]");
        CHECK_STR(real_call(r, fn, NULL, "{\"a\": \"x\"}"), "[\"xxxxxxxxxx\", 1, \"me\"]");
        CHECK_INT(cws_local_live(&r->local), 0);
        cws_function_free(fn);
    }
    PYTHON("17.7 FN-7 FN-10: exceptions and results without JSON, with type and traceback") {
        static const struct {
            const char *body, *type, *message;
        } rows[] = {
            {"raise ValueError('too \"small\": 3')", "ValueError", "too \"small\": 3"},
            {"raise KeyError('k')", "KeyError", "'k'"},
            {"import json; json.loads('{')", "JSONDecodeError", NULL},
            {"return missing", "NameError", "name 'missing' is not defined"},
            {"return {1, 2}", "TypeError",
             "return value is not JSON-serializable: Object of type set is not JSON serializable"},
            {"return {(1, 2): 3}", "TypeError", NULL},
            {"raise type('Stop', (Exception,), {})('why')", "Stop", "why"},
            {"import sys; sys.exit(3)", "SystemExit", "3"}};
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            char source[200];
            cws_function_opts o;
            cws_function *fn;
            const char *type, *message;
            (void)snprintf(source, sizeof(source), "def f():\n    %s\n", rows[i].body);
            o = fn_opts(source, "f");
            o.local_interpreter = "python3";
            fn = real_fn(r, &o);
            (void)real_call(r, fn, NULL, NULL);
            CHECK_INT(r->err.status, CWS_ERR_EXECUTION);
            CHECK_INT(r->err.exit_code, i == 7 ? 3 : 1);
            type = cws_error_metadata(&r->err, "exception_type");
            message = cws_error_metadata(&r->err, "exception_message");
            CHECK_STR(type, rows[i].type);
            if (rows[i].message) CHECK_STR(message, rows[i].message);
            (void)real_local(r, fn, NULL, NULL);
            CHECK_INT(r->err.status, CWS_ERR_EXECUTION);
            CHECK_STR(cws_error_metadata(&r->err, "exception_type"), rows[i].type);
            cws_function_free(fn);
        }
        CHECK_INT(cws_local_live(&r->local), 0);
    }
    PYTHON("a source without the function, one that does not parse, an exit without a result") {
        cws_function_opts o = fn_opts("x = 1", "f");
        cws_function *fn = real_fn(r, &o);
        cws_op *op = NULL;
        (void)real_call(r, fn, NULL, NULL);
        CHECK_STR(cws_error_metadata(&r->err, "exception_type"), "NameError");
        HAS(r->err.message, "source defines no function 'f'");
        cws_function_free(fn);
        o.source = "def f(:";
        fn = real_fn(r, &o);
        CHECK_INT(cws_function_call_begin(fn, NULL, NULL, &op, &r->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, -1, &r->err), CWS_ERR_EXECUTION);
        CHECK_STR(cws_error_metadata(&r->err, "exception_type"), "SyntaxError");
        HAS(cws_result_stderr(cws_op_function_output(op)), "def f(:");
        cws_op_free(op);
        cws_function_free(fn);
        o.source = "import os\ndef f():\n    os._exit(0)\n";
        o.local_interpreter = "python3";
        fn = real_fn(r, &o);
        (void)real_call(r, fn, NULL, NULL);
        CHECK_INT(r->err.status, CWS_ERR_FILE);
        CHECK_STR(r->err.reason, "CWSANDBOX_FILE_NOT_FOUND");
        (void)real_local(r, fn, NULL, NULL);
        CHECK_INT(r->err.status, CWS_ERR_FILE);
        cws_function_free(fn);
        o.local_interpreter = "/no/such/python";
        fn = real_fn(r, &o);
        (void)real_local(r, fn, NULL, NULL);
        CHECK_INT(r->err.status, CWS_ERR_FILE);
        cws_function_free(fn);
    }
    PYTHON("local: where there can be no files it is said, and without an error too") {
        cws_function_opts o = fn_opts("def f():\n    raise ValueError('x')\n", "f");
        cws_function *fn;
        cws_bytes *bytes = NULL;
        o.local_interpreter = "python3";
        o.temp_dir = "/dev/null/x";
        fn = real_fn(r, &o);
        CHECK_INT(cws_function_local(fn, NULL, NULL, &bytes, &r->err), CWS_ERR_FILE);
        HAS(r->err.message, "temp_dir can not be written to");
        cws_function_free(fn);
        o.temp_dir = NULL;
        fn = real_fn(r, &o);
        CHECK_INT(cws_function_local(fn, NULL, NULL, &bytes, NULL), CWS_ERR_EXECUTION);
        CHECK(bytes == NULL);
        cws_function_free(fn);
    }
    PYTHON("local: more last words than there is memory for") {
        cws_function_opts o = fn_opts("import os, sys\ndef f():\n"
                                      "    sys.stderr.write('x' * 8000000)\n"
                                      "    sys.stderr.flush()\n    os._exit(3)\n", "f");
        cws_function *fn;
        cws_bytes *bytes = NULL;
        uint64_t most = cws_session_client(r->session)->mem.limit;
        o.local_interpreter = "python3";
        fn = real_fn(r, &o);
        cws_session_client(r->session)->mem.limit = 3000000;
        CHECK_INT(cws_function_local(fn, NULL, NULL, &bytes, &r->err), CWS_ERR_EXECUTION);
        HAS(r->err.message, "exit code 3: xxxx");
        cws_session_client(r->session)->mem.limit = most;
        cws_function_free(fn);
    }
    PYTHON("local: a working directory that is gone") {
        char top[] = "/tmp/cws-functions-XXXXXX", before[1000];
        cws_function_opts o = fn_opts("def f():\n    return 7\n", "f");
        cws_function *fn;
        o.local_interpreter = "python3";
        fn = real_fn(r, &o);
        if (!getcwd(before, sizeof(before)) || !mkdtemp(top) || chdir(top) || rmdir(top)) abort();
        CHECK_STR(real_local(r, fn, NULL, NULL), "7");
        if (chdir(before)) abort();
        cws_function_free(fn);
    }
    PYTHON("a temp_dir with quotes and blanks is made") {
        static const char *const dirs[] = {"/tmp/a 'b' \"c\" \\ $(d)/-e", "/tmp/\xc3\xa4;\n",
                                           "/tmp/"};
        size_t i;
        for (i = 0; i < CWSI_COUNT(dirs); i++) {
            cws_function_opts o = fn_opts(fn_add, "add");
            cws_function *fn;
            o.temp_dir = dirs[i];
            fn = real_fn(r, &o);
            CHECK_STR(real_call(r, fn, "[3]", NULL), "5");
            cws_function_free(fn);
        }
    }
    PYTHON("bytes through Python: any bytes, and an error for what is none") {
        cws_function_opts o =
            fn_opts("def f(data):\n    return data[::-1] if data else 'text'\n", "f");
        cws_function *fn;
        cws_bytes *bytes = NULL;
        o.serialization = CWS_SERIALIZE_BYTES;
        o.keep_warm = true;
        fn = real_fn(r, &o);
        CHECK_INT(cws_function_call_bytes(fn, "a\n\0\xff{", 5, &bytes, &r->err), CWS_OK);
        CHECK(memcmp(cws_bytes_data(bytes), "{\xff\0\na", 5) == 0);
        CHECK_INT(cws_bytes_size(bytes), 5);
        cws_bytes_free(bytes);
        HAS(real_bytes(r, fn, "", false), "return value is not bytes: bytes are needed, not str");
        CHECK_INT(r->err.status, CWS_ERR_EXECUTION);
        cws_function_free(fn);
    }
    PYTHON("warm: files stay, variables do not; payload and old result are removed") {
        cws_function_opts o = fn_opts("import glob, os\n"
                                      "count = 0\n"
                                      "def f():\n"
                                      "    global count\n"
                                      "    count += 1\n"
                                      "    open('/tmp/mark', 'a').write('x')\n"
                                      "    return [count, os.path.getsize('/tmp/mark'),\n"
                                      "            len(glob.glob('/tmp/sandbox_*'))]\n", "f");
        cws_function *fn;
        o.keep_warm = true;
        fn = real_fn(r, &o);
        CHECK_STR(real_call(r, fn, NULL, NULL), "[1, 1, 1]");
        CHECK_STR(real_call(r, fn, NULL, NULL), "[1, 2, 1]");
        CHECK_INT(cws_local_live(&r->local), 1);
        cws_function_free(fn);
    }
    PYTHON("FN-4: a map with a limit: input order, never more at once, failures on their own") {
        enum { COUNT = 9 };
        static char texts[COUNT][16];
        const char *args[COUNT];
        cws_function_opts o = fn_opts("import time\n"
                                      "def f(n):\n"
                                      "    time.sleep(0.02 * (9 - n))\n"
                                      "    return n * n if n % 4 else 1 / 0\n", "f");
        cws_function *fn = real_fn(r, &o);
        cws_function_results *results;
        cws_map_opts mo;
        cws_op *op = NULL;
        size_t i, most = 0;
        memset(&mo, 0, sizeof(mo));
        mo.limit = 3;
        for (i = 0; i < COUNT; i++) {
            (void)snprintf(texts[i], sizeof(texts[i]), "[%u]", (unsigned)i);
            args[i] = texts[i];
        }
        CHECK_INT(cws_function_map_begin(fn, args, COUNT, &mo, &op, &r->err), CWS_OK);
        memset(texts, 'x', sizeof(texts) - 1); /* they were copied */
        while (!cws_op_done(op)) {
            size_t now = cws_session_sandbox_count(r->session);
            if (now > most) most = now;
            if (!CHECK_INT(cws_client_poll(cws_session_client(r->session), 0.1, &r->err), CWS_OK))
                break;
        }
        CHECK_INT(most, 3);
        results = cws_op_take_results(op);
        CHECK_INT(cws_function_results_count(results), COUNT);
        for (i = 0; i < COUNT; i++) {
            const cws_bytes *bytes = NULL;
            cws_status status = cws_function_results_at(results, i, &bytes, &r->err);
            char square[16];
            (void)snprintf(square, sizeof(square), "%u", (unsigned)(i * i));
            CHECK_INT(status, i % 4 ? CWS_OK : CWS_ERR_EXECUTION);
            if (bytes) CHECK_STR((const char *)cws_bytes_data(bytes), square);
            else CHECK_STR(cws_error_metadata(&r->err, "exception_type"), "ZeroDivisionError");
        }
        CHECK_INT(cws_local_live(&r->local), 0);
        cws_op_free(op);
        cws_function_results_free(results);
        cws_function_free(fn);
    }
    PYTHON("a cancel while the function runs, and one that takes too long, leave no sandbox") {
        cws_function_opts o = fn_opts("import time\ndef f():\n    time.sleep(30)\n", "f");
        cws_function *fn;
        cws_client *client = cws_session_client(r->session);
        cws_op *op = NULL;
        int i;
        o.timeout_seconds = 2;
        o.local_interpreter = "python3";
        fn = real_fn(r, &o);
        CHECK_INT(cws_function_call_begin(fn, NULL, NULL, &op, &r->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, 1, &r->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_local_live(&r->local), 1);
        CHECK(cws_op_cancel(op));
        for (i = 0; i < 300 && cws_client_pending(client); i++)
            CHECK_INT(cws_client_poll(client, 0.1, NULL), CWS_OK);
        CHECK_INT(cws_local_live(&r->local), 0);
        CHECK_INT(cws_session_sandbox_count(r->session), 0);
        cws_op_free(op);
        (void)real_call(r, fn, NULL, NULL);
        CHECK(cws_status_is(r->err.status, CWS_ERR_TIMEOUT));
        for (i = 0; i < 300 && cws_client_pending(client); i++)
            CHECK_INT(cws_client_poll(client, 0.1, NULL), CWS_OK);
        CHECK_INT(cws_local_live(&r->local), 0);
        (void)real_local(r, fn, NULL, NULL);
        CHECK_INT(r->err.status, CWS_ERR_TIMEOUT);
        cws_function_free(fn);
    }
}

/* Run f of this source; the result or the message. Its record goes to *record. */
TEST_FN const char *real_run(real *r, const char *source, const char *args, char *record,
                             size_t size)
{
    static char text[4000];
    cws_function_opts o = fn_opts(source, "f");
    cws_function *fn = real_fn(r, &o);
    cws_op *op = NULL;
    cws_bytes *bytes = NULL;
    const char *raised;
    CHECK_INT(cws_function_call_begin(fn, args, NULL, &op, &r->err), CWS_OK);
    (void)cws_op_wait(op, CWS_FOREVER, &r->err);
    bytes = cws_op_take_bytes(op);
    (void)snprintf(text, sizeof(text), "%s",
                   bytes ? (const char *)cws_bytes_data(bytes) : r->err.message);
    cws_bytes_free(bytes);
    raised = cws_op_function_exception(op);
    CHECK((raised != NULL) == (r->err.status == CWS_ERR_EXECUTION && r->err.exit_code != 139 &&
                               r->err.exit_code != 9));
    if (record) (void)snprintf(record, size, "%s", raised ? raised : "");
    cws_op_free(op);
    cws_function_free(fn);
    return text;
}

TEST_FN void test_outcomes(void)
{
    PYTHON("type, module, message, notes, cause and traceback are those of what was raised") {
        static const struct {
            const char *source, *type, *module, *message, *record;
        } rows[] = {
            {"class ReadTimeout(Exception): pass\n"
             "def f():\n    try: {}['k']\n"
             "    except KeyError as e: raise ReadTimeout('too slow') from e\n",
             "ReadTimeout", "cws_function", "too slow",
             "\"cause\": {\"type\": \"KeyError\", \"module\": \"builtins\", \"message\": \"'k'\"}"},
            {"def f():\n    try: {}['k']\n    except KeyError: raise OSError(2, 'gone')\n",
             "FileNotFoundError", "builtins", "[Errno 2] gone", "\"type\": \"KeyError\""},
            {"import queue, sys\ndef f():\n    print('ConnectionError: again', file=sys.stderr)\n"
             "    raise queue.Empty('nothing')\n", "Empty", "_queue", "nothing", "queue.Empty"},
            {"def f():\n    raise RuntimeError('failed:\\nTypeError: of a command')\n",
             "RuntimeError", "builtins", "failed: TypeError: of a command",
             "\"message\": \"failed:\\nTypeError: of a command\""},
            {"def f():\n    e = OSError('disk')\n    e.__notes__ = ['SomeError: see', 'x']\n"
             "    raise e\n", "OSError", "builtins", "disk",
             "\"notes\": [\"SomeError: see\", \"x\"]"},
            {"import atexit, sys\ndef f():\n    sys.stderr.write('50%')\n"
             "    atexit.register(lambda: print('CleanupError: late', file=sys.stderr))\n"
             "    raise ValueError('bad')\n", "ValueError", "builtins", "bad",
             "in f\\n    raise ValueError('bad')\\nValueError: bad\\n"},
            {"class E(Exception):\n    def __str__(self): raise ValueError('no')\n"
             "def f():\n    raise E\n", "E", "cws_function", "<unprintable E object>",
             "\"outcome\": \"exception\""},
            {"def f():\n    raise KeyboardInterrupt\n", "KeyboardInterrupt", "builtins", NULL, ""},
            {"def f():\n    return f()\n", "RecursionError", "builtins",
             "maximum recursion depth exceeded", "Previous line repeated"},
            {"import threading\ndef f():\n"
             "    t = threading.Thread(target=lambda: 1 / 0)\n    t.start(); t.join()\n"
             "    raise "
             "ValueError('\\ud800')\n", "ValueError", "builtins", "\xef\xbf\xbd", "\\ud800"},
            {"def f():\n    raise SystemExit('a message')\n", "SystemExit", "builtins", "a message",
             "\"outcome\": \"exit\""},
            {"def f():\n    x = []\n    x.append(x)\n    return x\n", "ValueError", "builtins",
             "return value is not JSON-serializable: Circular reference detected",
             "\"outcome\": \"unserializable\""}};
        char record[20000];
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            const char *message;
            (void)real_run(r, rows[i].source, NULL, record, sizeof(record));
            CHECK_INT(r->err.status, CWS_ERR_EXECUTION);
            CHECK_INT(r->err.exit_code, 1);
            CHECK_STR(cws_error_metadata(&r->err, "exception_type"), rows[i].type);
            CHECK_STR(cws_error_metadata(&r->err, "exception_module"), rows[i].module);
            message = cws_error_metadata(&r->err, "exception_message");
            if (rows[i].message && rows[i].type[0] == 'R' && rows[i].type[2] == 'c')
                CHECK(message && strncmp(message, rows[i].message, 30) == 0);
            else CHECK_STR(message, rows[i].message);
            if (!CHECK(strstr(record, rows[i].record) != NULL)) printf("    %s\n", record);
            CHECK(strstr(record, "\\\"<string>\\\"") == NULL); /* no frame is the library's */
        }
    }
    PYTHON("a process that dies says how, and what was left of its words") {
        CHECK_STR(real_run(r, "import os, sys\ndef f():\n    sys.stderr.write('ValueError: "
                              "no\\n')\n"
                              "    sys.stderr.flush()\n    os._exit(9)\n", NULL, NULL, 0),
                  "Function 'f' execution failed in sandbox: exit code 9: ValueError: no");
        CHECK(cws_error_metadata(&r->err, "exception_type") == NULL);
        HAS(real_run(r, "import os, signal\ndef f():\n    os.kill(os.getpid(), signal.SIGSEGV)\n",
                     NULL, NULL, 0), "exit code 139 (signal 11)");
        (void)real_run(r, "import sys\ndef f():\n    sys.exit(0)\n", NULL, NULL, 0);
        CHECK_INT(r->err.status, CWS_ERR_EXECUTION);
        CHECK_INT(r->err.exit_code, 0);
        HAS(r->err.message, "SystemExit: 0");
    }
    PYTHON("what happens behind the return does not change the result") {
        CHECK_STR(real_run(r, "import atexit, os\ndef f():\n    atexit.register(os._exit, 5)\n"
                              "    return 7\n", NULL, NULL, 0), "7");
        CHECK_STR(real_run(r, "import os\ndef f():\n    if os.fork() == 0: return 'child'\n"
                              "    os.wait()\n    return 'parent'\n", NULL, NULL, 0), "\"parent\"");
    }
    PYTHON("the source is a module: pickles, dataclasses, hints, inspect, workers, recursion") {
        static const char source[] =
            "from __future__ import annotations\n"
            "import dataclasses, functools, inspect, os, pickle, sys, typing\n"
            "from concurrent.futures import ProcessPoolExecutor\n"
            "import multiprocessing\n"
            "@dataclasses.dataclass\n"
            "class P:\n"
            "    x: int\n"
            "    y: typing.Optional[P] = None\n"
            "def square(n): return n * n * factor\n"
            "def plain(n): return n + 1\n"
            "def twice(g):\n"
            "    @functools.wraps(g)\n"
            "    def h(*a, **k): return [g(*a, **k)] * 2\n"
            "    return h\n"
            "def fact(n, one=1): return one if n < 2 else n * fact(n - 1)\n"
            "@twice\n"
            "def f():  # the user's own line\n"
            "    p = pickle.loads(pickle.dumps(P(1, P(2))))\n"
            "    with ProcessPoolExecutor(2, multiprocessing.get_context('fork')) as pool:\n"
            "        squares = list(pool.map(square, range(3)))\n"
            "    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:\n"
            "        spawned = list(pool.map(plain, range(2)))\n"
            "    return [p == P(1, P(2)), typing.get_type_hints(P)['x'] is int, squares, spawned,\n"
            "            inspect.getsource(fact).startswith('def fact'), fact(5),\n"
            "            inspect.getsource(sys.modules[P.__module__]).count('own line'),\n"
            "            __name__, os.path.basename(__file__)]\n";
        cws_function_opts o = fn_opts(source, "f");
        cws_function *fn;
        o.closure_vars = "{\"factor\": 10, \"__name__\": \"other\"}";
        fn = real_fn(r, &o);
        CHECK_STR(real_call(r, fn, NULL, NULL),
                  "[[true, true, [0, 10, 40], [1, 2], true, 120, 2, \"cws_function\", "
                  "\"cws_function.py\"], [true, true, [0, 10, 40], [1, 2], true, 120, 2, "
                  "\"cws_function\", \"cws_function.py\"]]");
        cws_function_free(fn);
    }
    PYTHON("every byte of the source is kept: literals, marks, line ends, and none at the end") {
        static const char *const rows[][2] = {
            {"def f():\n    return '''a\n   \nb'''\n", "\"a\\n   \\nb\""},
            {"  x = '''a\n  b\n    c'''\n  def f():\n    return x\n", "\"a\\n  b\\n    c\""},
            {"\t# c\n\tdef f():\n\t\treturn f'''{1}\n\tb{2\n\t+ 3}'''\n", "\"1\\n\\tb5\""},
            {"  def f():\n    return [\n1,\n    2]", "[1, 2]"},
            {"\xef\xbb\xbf" "def f(): return "
             "'\xc3\xa4\xf0\x9f\x98\x80'", "\"\\u00e4\\ud83d\\ude00\""},
            {"# -*- coding: latin-1 -*-\ndef f(): return '\xc3\xa4'", "\"\\u00e4\""},
            {"x = 1\r\ndef f():\r\n    return '''a\r\nb'''\r\n", "\"a\\nb\""},
            {"\fx = 'a\\x0cb'\n\f\ndef f():\n    return x\n", "\"a\\fb\""},
            {"\n\n   \n  def f(): return \"\"\"x\n  \"\"\"\n", "\"x\\n  \""}};
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++)
            if (!CHECK_STR(real_run(r, rows[i][0], NULL, NULL, 0), rows[i][1]))
                printf("    row %d\n", (int)i);
    }
    PYTHON("tracebacks show the user's own lines, whatever separates them") {
        char record[4000];
        (void)real_run(r, "x = 'a\x0c\xe2\x80\xa8 b'\r\n\r\ndef f():\r\n    raise ValueError(1)  "
                          "# mine\r\n",
                       NULL, record, sizeof(record));
        if (!CHECK(strstr(record, "line 4, in f\\n    raise ValueError(1)  # mine\\n") != NULL))
            printf("    %s\n", record);
        (void)real_run(r, "    def f():\n        raise ValueError(2)  # mine\n", NULL, record,
                       sizeof(record));
        HAS(record, "line 2, in f\\n    raise ValueError(2)  # mine\\n");
    }
    PYTHON("integers, NaN, surrogates and long strings, both ways") {
        static char big[6004], text[200010], *at = text;
        (void)memset(big, '7', 6000);
        big[0] = '[', big[5999] = ']', big[6000] = '\0';
        CHECK_STR(real_run(r, "def f(*a): return [type(x).__name__ for x in a] + [a[0] % "
                              "1000]\n", big,
                           NULL, 0), "[\"int\", 777]");
        CHECK_STR(real_run(r, "def f(): return [2 ** 64, -(10 ** 30), float('nan'), -float('inf'), "
                              "1e-320, '\\ud800', '\\0']\n", NULL, NULL, 0),
                  "[18446744073709551616, -1000000000000000000000000000000, NaN, -Infinity, "
                  "1e-320, "
                  "\"\\ud800\", \"\\u0000\"]");
        CHECK_STR(real_run(r, "def f(): return len(str(len(str(9)) * 0 + 1)) and 10 ** 5000 > 0 "
                              "and "
                              "[10 ** 5000][0] % 7\n", NULL, NULL, 0), "2");
        HAS(real_run(r, "def f(): return 10 ** 4999\n", NULL, NULL, 0), "1000000000");
        *at++ = '[', *at++ = '"';
        (void)memset(at, 'x', 200000);
        memcpy(at + 200000, "\"]", 3);
        CHECK_STR(real_run(r, "def f(s): return [len(s), s[-1]]\n", text, NULL, 0), "[200000, "
                              "\"x\"]");
    }
    PYTHON("files of the working directory do not break the runner, and the function finds them") {
        static const char *const names[] = {"harmless", "json",   "token",     "types",
                                            "random",   "io",     "traceback", "linecache"};
        size_t i;
        for (i = 0; i < CWSI_COUNT(names); i++) {
            cws_function_opts o;
            cws_sandbox_opts so;
            cws_mounted_file file;
            cws_function *fn;
            char path[64], source[300];
            memset(&so, 0, sizeof(so));
            memset(&file, 0, sizeof(file));
            (void)snprintf(path, sizeof(path), "/workspace/%s.py", names[i]);
            (void)snprintf(source, sizeof(source), "def f(good):\n    if not good:\n"
                           "        raise ValueError('bad')\n    import %s\n"
                           "    return getattr(%s, 'VALUE', 0)\n", names[i], names[i]);
            file.mount_path = path;
            file.content = "VALUE = 1\n";
            file.size = 10;
            so.mounted_files = &file;
            so.mounted_file_count = 1;
            o = fn_opts(source, "f");
            o.sandbox = &so;
            o.keep_warm = true;
            fn = real_fn(r, &o);
            if (!CHECK_STR(real_call(r, fn, "[true]", NULL), strcmp(names[i], "io") ? "1" : "0"))
                printf("    %s\n", path);
            (void)real_call(r, fn, "[false]", NULL);
            if (!CHECK_STR(cws_error_metadata(&r->err, "exception_message"), "bad"))
                printf("    %s\n", path);
            cws_function_free(fn);
        }
    }
    PYTHON("local: signals are as in a new session, and no descriptor of others is there") {
        static const char source[] =
            "import os, signal\ndef f():\n"
            "    return [len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),\n"
            "            [int(s) for s in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM)\n"
            "             if signal.getsignal(s) != signal.SIG_DFL],\n"
            "            sorted(set(map(int, os.listdir('/proc/self/fd'))) - {0, 1, 2})[1:]]\n";
        cws_function_opts o = fn_opts(source, "f");
        cws_function *fn;
        sigset_t all, before;
        void (*chld)(int), (*usr1)(int);
        int fds[2];
        o.local_interpreter = "python3";
        fn = real_fn(r, &o);
        if (pipe(fds)) abort();
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, &before);
        chld = signal(SIGCHLD, SIG_IGN);
        usr1 = signal(SIGUSR1, SIG_IGN);
        CHECK_STR(real_local(r, fn, NULL, NULL), "[0, [], []]");
        signal(SIGCHLD, chld);
        signal(SIGUSR1, usr1);
        sigprocmask(SIG_SETMASK, &before, NULL);
        close(fds[0]);
        close(fds[1]);
        cws_function_free(fn);
    }
    PYTHON("local: the same outcomes, and nothing is left of them") {
        static const char source[] =
            "import os, sys\nfrom concurrent.futures import ProcessPoolExecutor\n"
            "import multiprocessing\ndef g(n): return n\n"
            "def f(how):\n"
            "    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:\n"
            "        list(pool.map(g, [1]))\n"
            "    if how == 1: raise LookupError('x')\n    if how == 2: sys.exit(4)\n"
            "    if how == 3: os.abort()\n    if how == 4: return {1, 2}\n    return how\n";
        static const char *const said[] = {
            "0", "Function 'f' execution failed: x", "Function 'f' execution failed: SystemExit: 4",
            "Function 'f' execution failed: exit code 134 (signal 6)",
            ("Function 'f' execution failed: return value is not JSON-serializable: Object of type "
             "set is not JSON serializable")};
        char top[] = "/tmp/cws-functions-XXXXXX", args[16];
        cws_function_opts o = fn_opts(source, "f");
        cws_function *fn;
        int i;
        if (!mkdtemp(top)) abort();
        o.temp_dir = top;
        o.local_interpreter = "python3";
        fn = real_fn(r, &o);
        for (i = 0; i < 5; i++) {
            (void)snprintf(args, sizeof(args), "[%d]", i);
            CHECK_STR(real_local(r, fn, args, NULL), said[i]);
        }
        CHECK_INT(rmdir(top), 0);
        cws_function_free(fn);
    }
}

TEST_FN void test_c(void)
{
    COMPILED("C: the same here and in a sandbox; compiled once while it is warm") {
        cws_function_opts o;
        cws_function *fn;
        memset(&o, 0, sizeof(o));
        o.c_function = &fn_shout;
        o.serialization = CWS_SERIALIZE_BYTES;
        o.keep_warm = true;
        fn = real_fn(r, &o);
        CHECK_STR(real_bytes(r, fn, "so, \"what\"", true), "SO, \"WHAT\"!\"\\");
        CHECK_STR(real_bytes(r, fn, "so, \"what\"", false), "SO, \"WHAT\"!\"\\");
        CHECK_STR(real_bytes(r, fn, "again", false), "AGAIN!\"\\");
        CHECK_INT(cws_local_live(&r->local), 1);
        HAS(real_bytes(r, fn, "", true), "execution failed: nothing to shout, \"at all\" really");
        CHECK_STR(cws_error_metadata(&r->err, "exception_message"),
                  "nothing to shout, \"at all\" really");
        HAS(real_bytes(r, fn, "", false), "failed in sandbox: nothing to shout, \"at all\" really");
        CHECK_STR(cws_error_metadata(&r->err, "exception_message"),
                  "nothing to shout, \"at all\" really");
        CHECK_INT(r->err.status, CWS_ERR_EXECUTION);
        CHECK_INT(r->err.exit_code, 1);
        cws_function_free(fn);
    }
    COMPILED("C: a reason of any bytes is a reason") {
        cws_function_opts o;
        cws_function *fn;
        memset(&o, 0, sizeof(o));
        o.c_function = &fn_bad_text;
        o.serialization = CWS_SERIALIZE_BYTES;
        fn = real_fn(r, &o);
        HAS(real_bytes(r, fn, "x", false), "execution failed in sandbox: bad ? name");
        CHECK_INT(r->err.status, CWS_ERR_EXECUTION);
        HAS(real_bytes(r, fn, "xx", false), "execution failed in sandbox: caf\xc3\xa9");
        cws_function_free(fn);
    }
    COMPILED("C: JSON in and out, empty results, exits, large data") {
        cws_function_opts o;
        cws_function *fn;
        cws_bytes *here = NULL, *there = NULL;
        size_t size = 3000000;
        char *large = (char *)malloc(size);
        memset(&o, 0, sizeof(o));
        o.c_function = &fn_echo;
        fn = real_fn(r, &o);
        CHECK_STR(real_call(r, fn, "{\"a\": [1]}", NULL), "{\"a\": [1]}");
        CHECK_STR(real_local(r, fn, "{\"a\": [1]}", NULL), "{\"a\": [1]}");
        cws_function_free(fn);
        o.c_function = &fn_nothing;
        fn = real_fn(r, &o);
        (void)real_call(r, fn, NULL, NULL); /* nothing is no JSON */
        CHECK_INT(r->err.status, CWS_ERR_FUNCTION_SERIALIZATION);
        (void)real_local(r, fn, NULL, NULL);
        CHECK_INT(r->err.status, CWS_ERR_FUNCTION_SERIALIZATION);
        cws_function_free(fn);
        o.serialization = CWS_SERIALIZE_BYTES;
        fn = real_fn(r, &o);
        CHECK_STR(real_bytes(r, fn, "x", false), "");
        CHECK_STR(real_bytes(r, fn, "x", true), "");
        cws_function_free(fn);
        o.c_function = &fn_leaves;
        fn = real_fn(r, &o);
        (void)real_bytes(r, fn, "x", false);
        CHECK_INT(r->err.status, CWS_ERR_FILE);
        (void)real_bytes(r, fn, "xx", false);
        CHECK_INT(r->err.status, CWS_ERR_EXECUTION);
        CHECK_INT(r->err.exit_code, 3);
        cws_function_free(fn);
        o.c_function = &fn_echo;
        fn = real_fn(r, &o);
        if (!large) abort();
        api_fill(large, size);
        CHECK_INT(cws_function_local_bytes(fn, large, size, &here, &r->err), CWS_OK);
        CHECK_INT(cws_function_call_bytes(fn, large, size, &there, &r->err), CWS_OK);
        CHECK_INT(cws_bytes_size(here), size);
        CHECK(memcmp(cws_bytes_data(here), large, size) == 0);
        CHECK(there && cws_bytes_size(there) == size &&
              memcmp(cws_bytes_data(there), large, size) == 0);
        cws_bytes_free(here);
        cws_bytes_free(there);
        cws_function_free(fn);
        free(large);
    }
    COMPILED("C: a body that needs what is not there says what the compiler says") {
        cws_c_function bad = fn_echo;
        cws_function_opts o;
        cws_function *fn;
        memset(&o, 0, sizeof(o));
        bad.source = "{ io->write(io, input, input_size_of_mine); }";
        o.c_function = &bad;
        o.serialization = CWS_SERIALIZE_BYTES;
        o.temp_dir = "/tmp/of mine/'";
        fn = real_fn(r, &o);
        HAS(real_bytes(r, fn, "x", false), "Function 'fn_echo' does not compile in sandbox: ");
        HAS(r->err.message, "input_size_of_mine");
        CHECK_INT(r->err.status, CWS_ERR_EXECUTION);
        CHECK_INT(cws_local_live(&r->local), 0);
        cws_function_free(fn);
    }
    COMPILED("C: a map over bytes, with two sandboxes that are used again") {
        static const cws_blob inputs[] = {{"a", 1}, {"", 0}, {"ccc", 3}, {"dd", 2}, {NULL, 0}};
        static const char *const outputs[] = {"A!\"\\", NULL, "CCC!\"\\", "DD!\"\\", NULL};
        cws_function_opts o;
        cws_map_opts mo;
        cws_function *fn;
        cws_function_results *results = NULL;
        size_t i;
        memset(&o, 0, sizeof(o));
        memset(&mo, 0, sizeof(mo));
        o.c_function = &fn_shout;
        o.serialization = CWS_SERIALIZE_BYTES;
        o.keep_warm = true;
        mo.limit = CWS_ALL;
        fn = real_fn(r, &o);
        CHECK_INT(cws_function_map_bytes(fn, inputs, 5, &mo, &results, &r->err), CWS_OK);
        for (i = 0; i < 5; i++) {
            const cws_bytes *bytes = NULL;
            cws_status status = cws_function_results_at(results, i, &bytes, NULL);
            CHECK_INT(status, outputs[i] ? CWS_OK : CWS_ERR_EXECUTION);
            if (bytes) CHECK_STR((const char *)cws_bytes_data(bytes), outputs[i]);
        }
        CHECK_INT(cws_local_live(&r->local), 1);
        cws_function_results_free(results);
        cws_function_free(fn);
    }
}

int main(int argc, char **argv)
{
    test_init(argc, argv);
    test_requests();
    test_refusals();
    test_failures();
    test_faults();
    test_time();
    test_warm();
    test_more();
    test_memory();
    test_memory_raised();
    test_python();
    test_outcomes();
    test_c();
    return test_summary();
}
