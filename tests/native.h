/* SPDX-License-Identifier: MIT
 *
 * What suites have in common whose scripts are in a dialect's own words, not in those of v1
 * (words.h). JSON is written with ' for ". Include it instead of harness.h.
 *
 *     B2_EACH("a promise") {                        // in v1beta2, in every mode; V1_EACH, BOTH
 *         cws_sandbox *sb = nw_running(t);
 *         nw_ok(t, "Pause", "{'success':true}");
 *         ...
 *         IS("Pause", 0, "{'sandboxId':'sb-1'}");   // what was sent
 *     }
 */
#ifndef NATIVE_H
#define NATIVE_H

#include "harness.h"

#include "literals.h"

/* The text with ' as ". */
TEST_FN const char *nw_json(api *t, const char *text)
{
    return test_quotes(script_text(&t->s, text));
}

TEST_FN script_reply *nw_ok(api *t, const char *rpc, const char *json)
{
    return script_ok(&t->s, rpc, nw_json(t, json));
}

/* The bytes as base64. */
TEST_FN const char *nw_64(api *t, const char *text)
{
    return grpc_base64(&t->s.arena, cwsi_str_of(text));
}

TEST_FN script_reply *nw_fail(api *t, const char *rpc, const char *code, const char *reason)
{
    return script_error(&t->s, rpc, code, "the service's words",
                        reason ? script_reason(&t->s, reason, "cwsandbox.com") : NULL);
}

#define IS(rpc, index, expected)                                                                   \
    CHECK_STR(script_json(&t->s, rpc, index), nw_json(t, expected))

/* The same, but for the token at the end. */
#define IS_BUT_TOKEN(rpc, expected) CHECK_STR(nw_cut(t, rpc), nw_json(t, expected))

TEST_FN const char *nw_cut(api *t, const char *rpc)
{
    char *copy = script_text(&t->s, script_json(&t->s, rpc, 0));
    char *token = strstr(copy, ",\"requestId\":");
    if (CHECK(token != NULL)) *token = '\0';
    return copy;
}

/* A scenario in this dialect, whose script is in its words. */
TEST_FN api *nw_new(size_t mode, bool b2)
{
    api *t = api_new((int)mode);
    if (!b2) return t;
    t->copts.api_version = CWS_API_V1BETA2;
    t->s.b2 = true;
    return t;
}

TEST_FN const char *nw_name(const char *what, const char *text, size_t mode)
{
    static char name[200];
    (void)snprintf(name, sizeof(name), "%s: %s", what, text);
    return api_name(name, (int)mode);
}

/* What the test is about, as the first words of its name; a dialect. */
#define NATIVE(what, text, mode, b2)                                                               \
    TEST(nw_name(what, text, mode)) for (api *t = nw_new(mode, b2); t; t = api_end(t))
/* A test per row of a table, in one mode after the other. */
#define NW_ROW(what, row, index, b2) NATIVE(what, row, (index) % API_MODES, b2)
#define DIALECTS(text, first, last, modes)                                                         \
    for (int nw_b2 = first; nw_b2 <= (last); nw_b2++)                                              \
        for (size_t nw_m = 0; nw_m < (modes); nw_m++)                                              \
            NATIVE(nw_b2 ? "v1beta2" : "v1", text, nw_m, nw_b2 != 0)
/* In every mode and both dialects, or in one; with many exchanges at once; in any mode. */
#define BOTH(text) DIALECTS(text, 0, 1, API_MODES)
#define V1_EACH(text) DIALECTS(text, 0, 0, API_MODES)
#define B2_EACH(text) DIALECTS(text, 1, 1, API_MODES)
#define BOTH_STREAMING(text) DIALECTS(text, 0, 1, API_PERFORM)
#define V1_STREAMING(text) DIALECTS(text, 0, 0, API_PERFORM)
#define B2_STREAMING(text) DIALECTS(text, 1, 1, API_PERFORM)
#define B2_RUN(text, mode) NATIVE("v1beta2", text, mode, true)
#define BOTH_ONCE(text)                                                                            \
    for (int nw_b2 = 0; nw_b2 < 2; nw_b2++)                                                        \
        NATIVE(nw_b2 ? "v1beta2" : "v1", text, API_ASYNC, nw_b2 != 0)

/* ---- a sandbox ------------------------------------------------------------------------------- */

#define B2_GET(state) "{'sandboxId':'sb-1','sandboxStatus':'SANDBOX_STATUS_" state "'}"
#define STARTED "{'sandboxId':'sb-1','sandboxStatus':'SANDBOX_STATUS_PENDING'}"
#define ACCEPTED "{'success':true}"

TEST_FN cws_sandbox *nw_started(api *t)
{
    cws_sandbox *sb = api_box(t, NULL);
    nw_ok(t, "Start", STARTED);
    CHECK_INT(api_start(t, sb), CWS_OK);
    t->s.call_count = 0;
    return sb;
}

TEST_FN cws_sandbox *nw_running(api *t)
{
    cws_sandbox *sb = nw_started(t);
    nw_ok(t, "Get", B2_GET("RUNNING"));
    CHECK_INT(api_wait(t, sb, 0), CWS_OK);
    t->s.call_count = 0;
    return sb;
}

TEST_FN cws_sandbox *nw_found(api *t, const char *json)
{
    cws_sandbox *sb = NULL;
    nw_ok(t, t->s.b2 ? "Get" : "GetSandbox", json);
    CHECK_INT(api_from_id(t, "sb-1", true, &sb), CWS_OK);
    t->s.call_count = 0;
    if (!sb) abort();
    return sb;
}

/* The state of sb-1, as the dialect says it. */
TEST_FN const char *nw_box(api *t, const char *state)
{
    char json[200];
    (void)snprintf(json, sizeof(json),
                   t->s.b2 ? "{'sandboxId':'sb-1','sandboxStatus':'SANDBOX_STATUS_%s'}"
                           : "{'sandboxId':'sb-1','status':{'state':'STATE_%s'}}",
                   state);
    return nw_json(t, json);
}

#define GET (t->s.b2 ? "Get" : "GetSandbox")
#define STOP (t->s.b2 ? "Stop" : "DeleteSandbox")
#define CREATE (t->s.b2 ? "Start" : "CreateSandbox")

TEST_FN script_reply *nw_state(api *t, const char *state)
{
    return script_ok(&t->s, GET, nw_box(t, state));
}

/* An unstarted sandbox with one scratch volume, unless other options are given. */
TEST_FN cws_sandbox *nw_unstarted(api *t, const cws_sandbox_opts *o)
{
    cws_file_system f = {0};
    cws_sandbox_opts own = {0};
    f.mount_path = "/w";
    own.file_system = &f;
    return api_box(t, o ? o : &own);
}

/* The same, running; the record of calls is empty. */
TEST_FN cws_sandbox *nw_scratch(api *t, const cws_sandbox_opts *o)
{
    cws_sandbox *sb = nw_unstarted(t, o);
    script_ok(&t->s, CREATE, nw_box(t, "PENDING"));
    (void)nw_state(t, "RUNNING");
    CHECK_INT(api_wait(t, sb, 0), CWS_OK);
    t->s.call_count = 0;
    return sb;
}

/* "name:id:path:sub:size:medium:snapshot:ro" of each volume of a sandbox. */
TEST_FN const char *nw_volumes(const cws_sandbox *sb)
{
    static char text[1000];
    const cws_sandbox_info *info = cws_sandbox_last_info(sb);
    size_t i, n = 0;
    text[0] = '\0';
#define SN_OR(p) ((p) ? (p) : "-")
    for (i = 0; i < info->volume_count; i++) {
        const cws_volume *v = &info->volumes[i];
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s:%s:%s:%s:%s:%d:%s:%d",
                              i ? " " : "", SN_OR(v->name), SN_OR(v->volume_id),
                              SN_OR(v->mount_path), SN_OR(v->sub_path), SN_OR(v->size),
                              (int)v->medium, SN_OR(v->restore_from_snapshot_id), v->read_only);
    }
#undef SN_OR
    return text;
}

#endif /* NATIVE_H */
