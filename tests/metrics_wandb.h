/* SPDX-License-Identifier: MIT
 *
 * The reporter to W&B over the scripted transport; part of tests/metrics.c.
 */
#ifndef METRICS_WANDB_H
#define METRICS_WANDB_H

#define MW_FOUND(more) "{\"data\":{\"model\":{\"bucket\":{\"id\":\"b1\",\"name\":\"r1\"" more "}}}}"
#define MW_ENDED ",\"state\":\"finished\""
#define MW_MISSING "{\"data\":{\"model\":{\"bucket\":null}}}"
#define MW_UPSERTED                                                                                \
    "{\"data\":{\"upsertBucket\":{\"bucket\":{\"id\":\"b1\",\"name\":\"r1\",\"historyLineCount\""  \
    ":null,\"project\":{\"name\":\"p 1\",\"entity\":{\"name\":\"team\"}}},\"inserted\":false}}}"

static cws_wandb_opts mw_opts;

/* The session reports to the run r1. */
static cws_wandb_opts *mw_on(api *t)
{
    memset(&mw_opts, 0, sizeof(mw_opts));
    mw_opts.api_key = KEY;
    mw_opts.run_id = "r1";
    mw_opts.project = "p 1";
    t->sopts.wandb = &mw_opts;
    return &mw_opts;
}

static script_reply *mw_reply(api *t, const char *rpc, int status, const char *body)
{
    return script_raw(&t->s, rpc, status, "application/json", body, strlen(body));
}

/* The run is there and is attached to. */
static void mw_attach(api *t, const char *found)
{
    mw_reply(t, "graphql", 200, found);
    mw_reply(t, "graphql", 200, MW_UPSERTED);
}

static script_reply *mw_rows(api *t) { return mw_reply(t, "file_stream", 200, "{}"); }

/* The line of the index-th request for rows, unescaped: of history, or of the summary. */
static const char *mw_line(api *t, size_t index, const char *file)
{
    static char out[3000];
    cwsi_json j;
    cwsi_str text, body = cwsi_str_of(script_json(&t->s, "file_stream", index));
    if (!cwsi_json_at(&j, body, "files") || !cwsi_json_member(&j, file, strlen(file)) ||
        !cwsi_json_member(&j, "content", 7) || cwsi_json_next(&j) != CWSI_JSON_STRING ||
        !cwsi_json_string(&j, &t->s.arena, &text))
        return "(none)";
    CHECK(cwsi_json_is_object(text));
    (void)snprintf(out, sizeof(out), "%.*s", (int)text.len, text.at);
    return out;
}

static int mw_offset(api *t, size_t index)
{
    cwsi_json j;
    cwsi_str body = cwsi_str_of(script_json(&t->s, "file_stream", index));
    int64_t offset = -1;
    if (cwsi_json_at(&j, body, "files") && cwsi_json_member(&j, "wandb-history.jsonl", 19) &&
        cwsi_json_member(&j, "offset", 6))
        (void)cwsi_parse_i64(j.text.at, j.text.len, &offset);
    return (int)offset;
}

static double mw_value(api *t, size_t index, const char *file, const char *name)
{
    double value = -1;
    char copy[3000];
    (void)snprintf(copy, sizeof(copy), "%s", mw_line(t, index, file));
    (void)cwsi_json_number_at(cwsi_str_of(copy), name, &value);
    return value;
}

#define MW_HISTORY "wandb-history.jsonl"
#define MW_SUMMARY "wandb-summary.json"

static void mw_test_append(void)
{
    EACH("W&B: a report finds the run, takes it up and adds a row and a summary")
    {
        const script_call *call;
        mw_on(t)->entity = "team";
        (void)api_box(t, NULL);
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_STR(script_calls(&t->s), "graphql graphql file_stream");
        call = script_call_at(&t->s, "graphql", 0);
        CHECK_STR(call->url, "https://api.wandb.ai/graphql");
        CHECK_STR(call->method, "POST");
        HAS(call->headers, KEY_HEADER);
        HAS(call->headers, "content-type: application/json\n");
        HAS(call->headers, "user-agent: cwsandbox.h/");
        HAS_NOT(call->headers, "the-secret-key");
        HAS_NOT(call->headers, "x-wandb");
        HAS(call->json, "\"variables\":{\"project\":\"p 1\",\"entity\":\"team\",\"name\":\"r1\"}");
        call = script_call_at(&t->s, "graphql", 1);
        HAS(call->json, "\"variables\":{\"id\":\"b1\",\"name\":\"r1\",\"project\":\"p 1\","
                        "\"entity\":\"team\",\"groupName\":null,\"displayName\":null,"
                        "\"config\":null}");
        call = script_call_at(&t->s, "file_stream", 0);
        CHECK_STR(call->url, "https://api.wandb.ai/files/team/p%201/r1/file_stream");
        HAS(call->headers, KEY_HEADER);
        HAS_NOT(call->json, "\"complete\"");
        CHECK_INT(mw_offset(t, 0), 0);
        HAS(mw_line(t, 0, MW_HISTORY), "{\"_timestamp\":1700001000.000,\"_runtime\":0.000,"
                                       "\"_step\":0,\"cwsandbox/sandboxes_created\":1,");
        HAS(mw_line(t, 0, MW_SUMMARY), "\"_wandb\":{\"runtime\":0},\"_step\":0,"
                                       "\"cwsandbox/sandboxes_created\":1,");
        CHECK_STR(me_now(t), ZEROS);
        CHECK_STR(cws_session_run_url(t->session), "https://wandb.ai/team/p%201/runs/r1");
        (void)api_box(t, NULL); /* the second report needs no search */
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_INT(script_count(&t->s, "graphql"), 2);
        CHECK_INT(mw_offset(t, 1), 1);
        CHECK_INT(mw_value(t, 1, MW_HISTORY, "_step"), 1);
        HAS_NOT(t->said, KEY);
        HAS_NOT(t->said, "YXBpOjAx");
    }
    EACH("W&B: a run is continued: line, step, runtime, and what others wrote to the summary")
    {
        mw_on(t);
        (void)api_box(t, NULL);
        mw_attach(t, MW_FOUND(
            MW_ENDED ",\"historyLineCount\":7,\"historyTail\":\"[\\\"{\\\\\\\"_step\\\\\\\":3}\\\","
            "\\\"{\\\\\\\"_step\\\\\\\":11,\\\\\\\"_runtime\\\\\\\":20.5}\\\"]\","
            "\"eventsTail\":\"[\\\"{\\\\\\\"_runtime\\\\\\\":30}\\\"]\","
            "\"summaryMetrics\":\"{\\\"loss\\\": [1,{\\\"a\\\":2}],\\\"_step\\\":11,"
            "\\\"_wandb\\\":{\\\"runtime\\\":25},\\\"cwsandbox/executions\\\":9,"
            "\\\"cwsandbox/avg_startup_seconds\\\":1.5,\\\"x\\\":\\\"y\\\"}\""));
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_INT(mw_offset(t, 0), 7);
        CHECK_INT(mw_value(t, 0, MW_HISTORY, "_step"), 12);
        CHECK_INT(mw_value(t, 0, MW_HISTORY, "_runtime"), 30);
        HAS(mw_line(t, 0, MW_SUMMARY), "{\"loss\": [1,{\"a\":2}],\"x\":\"y\",\"_timestamp\":");
        HAS(mw_line(t, 0, MW_SUMMARY), "\"_wandb\":{\"runtime\":30},\"_step\":12,");
        HAS(mw_line(t, 0, MW_SUMMARY), "\"cwsandbox/avg_startup_seconds\":1.5");
        HAS(mw_line(t, 0, MW_SUMMARY), "\"cwsandbox/executions\":0,");
        HAS_NOT(mw_line(t, 0, MW_HISTORY), "avg_startup");
    }
    EACH("W&B: the step comes from the summary if the history does not tell it")
    {
        mw_on(t);
        (void)api_box(t, NULL);
        mw_attach(t, MW_FOUND(MW_ENDED ",\"historyLineCount\":1,\"historyTail\":\"[]\","
                                       "\"summaryMetrics\":\"{\\\"_step\\\":4}\""));
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_INT(mw_value(t, 0, MW_HISTORY, "_step"), 5);
    }
    EACH("W&B: a summary that can not be kept whole is not written")
    {
        mw_on(t);
        (void)api_box(t, NULL);
        mw_attach(t, MW_FOUND(MW_ENDED ",\"summaryMetrics\":\"{\\\"loss\\\":NaN}\""));
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_STR(mw_line(t, 0, MW_SUMMARY), "(none)");
        HAS(mw_line(t, 0, MW_HISTORY), "sandboxes_created");
    }
    EACH("W&B: steps only go up; the same step once more replaces its row; none never does")
    {
        mw_on(t);
        (void)api_box(t, NULL);
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_rows(t);
        CHECK(me_log(t, 5, true));
        CHECK_INT(mw_value(t, 0, MW_HISTORY, "_step"), 5);
        mw_rows(t);
        CHECK(me_log(t, 5, true));
        CHECK_INT(mw_offset(t, 1), 0);
        CHECK(!me_log(t, 4, false)); /* refused here */
        HAS(t->said, "the step is lower");
        CHECK_INT(me_get(t).sandboxes_created, 1);
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, true));
        CHECK_INT(mw_offset(t, 2), 1);
        CHECK_INT(mw_value(t, 2, MW_HISTORY, "_step"), 6);
        CHECK(!me_log(t, 6, true));
        mw_rows(t);
        CHECK(me_log(t, 100, true));
        CHECK_INT(mw_offset(t, 3), 2);
        CHECK_INT(mw_value(t, 3, MW_SUMMARY, "_step"), 100);
        CHECK_INT(script_count(&t->s, "file_stream"), 4);
    }
    EACH("W&B: a run that is live is left alone unless its writers share it, or you say so")
    {
        mw_on(t);
        (void)api_box(t, NULL);
        mw_reply(t, "graphql", 200, MW_FOUND(",\"state\":\"running\""));
        CHECK(!me_log(t, CWS_NO_STEP, false));
        HAS(t->said, "the run is live");
        CHECK_STR(script_calls(&t->s), "graphql");
        CHECK_INT(me_get(t).sandboxes_created, 1);
        t->session->wandb->even_if_live = true;
        mw_attach(t, MW_FOUND(",\"state\":\"running\""));
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
    }
    EACH("W&B: shared: no step of ours, own offsets, no summary, the writer's name in the headers")
    {
        char name[40] = "";
        const char *at;
        mw_on(t)->mode = CWS_WANDB_SHARED;
        (void)api_box(t, NULL);
        mw_attach(t, MW_FOUND(",\"state\":\"running\",\"historyLineCount\":7"));
        mw_rows(t)->times = 2;
        CHECK(me_log(t, 3, true));
        CHECK(me_log(t, 1, true));
        at = strstr(script_call_at(&t->s, "graphql", 0)->headers, "x-wandb-client-id: ");
        if (CHECK(at != NULL)) (void)snprintf(name, sizeof(name), "%.32s", at + 19);
        CHECK_INT(strspn(name, "0123456789abcdefghijklmnopqrstuvwxyz"), 32);
        HAS(script_call_at(&t->s, "graphql", 1)->headers, "x-wandb-use-async-filestream: true\n");
        HAS(script_call_at(&t->s, "file_stream", 0)->headers, "x-wandb-async-client-id: ");
        HAS(script_call_at(&t->s, "file_stream", 1)->headers, name);
        CHECK_INT(mw_offset(t, 0), 0);
        CHECK_INT(mw_offset(t, 1), 1);
        HAS_NOT(mw_line(t, 0, MW_HISTORY), "\"_step\"");
        CHECK_INT(mw_value(t, 0, MW_HISTORY, "cwsandbox/step"), 3);
        CHECK_INT(mw_value(t, 1, MW_HISTORY, "cwsandbox/step"), 1);
        CHECK_STR(mw_line(t, 0, MW_SUMMARY), "(none)");
        script_ok(&t->s, "DeleteSandbox", "{}")->times = 0;
        mw_rows(t);
        CHECK_INT(api_close(t), CWS_OK);
        HAS_NOT(script_json(&t->s, "file_stream", 2), "\"complete\"");
    }
}

static void mw_test_create(void)
{
    EACH("W&B: a run that is not there is not made unless asked for; one begun later is found")
    {
        mw_on(t);
        (void)api_box(t, NULL);
        mw_reply(t, "graphql", 200, MW_MISSING);
        CHECK(!me_log(t, CWS_NO_STEP, false));
        HAS(t->said, "the run is not there");
        mw_reply(t, "graphql", 200, "{\"data\":{\"model\":null}}");
        CHECK(!me_log(t, CWS_NO_STEP, false));
        CHECK_STR(script_calls(&t->s), "graphql graphql");
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
    }
    EACH("W&B: a run is made on request, with a mark that it began, and finished at the close")
    {
        mw_on(t)->create = true;
        mw_opts.run_id = NULL;
        mw_opts.name = "nice \"name\"";
        mw_opts.group = "g";
        (void)api_box(t, NULL);
        mw_attach(t, MW_MISSING);
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
        HAS(script_json(&t->s, "graphql", 1), "\"variables\":{\"id\":null,\"name\":\"");
        HAS(script_json(&t->s, "graphql", 1),
            "\"groupName\":\"g\",\"displayName\":\"nice \\\"name\\\"\","
            "\"config\":\"{\\\"_wandb\\\":{\\\"value\\\":{\\\"t\\\":{}}}}\"}");
        HAS_NOT(script_json(&t->s, "file_stream", 0), "\"complete\"");
        CHECK_INT(strlen(cws_session_run_url(t->session)),
                  strlen("https://wandb.ai/team/p%201/runs/12345678"));
        mw_rows(t);
        CHECK_INT(api_close(t), CWS_OK); /* nothing is left to report, but the end is */
        CHECK_STR(script_json(&t->s, "file_stream", 1), "{\"complete\":true,\"exitcode\":0}");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(script_count(&t->s, "file_stream"), 2);
    }
    EACH("W&B: a made run that has something left is reported and finished in one request")
    {
        mw_on(t)->create = true;
        (void)api_box(t, NULL);
        mw_attach(t, MW_MISSING);
        mw_rows(t);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(script_calls(&t->s), "graphql graphql file_stream");
        HAS(script_json(&t->s, "file_stream", 0), ",\"complete\":true,\"exitcode\":0}");
        HAS(mw_line(t, 0, MW_HISTORY), "\"cwsandbox/sandboxes_created\":1");
    }
    EACH("W&B: create with a run that is there appends to it, and never finishes it")
    {
        mw_on(t)->create = true;
        (void)api_box(t, NULL);
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_rows(t);
        CHECK_INT(api_close(t), CWS_OK);
        HAS_NOT(script_json(&t->s, "file_stream", 0), "\"complete\"");
    }
    EACH("W&B: off sends nothing")
    {
        mw_on(t)->mode = CWS_WANDB_OFF;
        (void)api_box(t, NULL);
        CHECK(!me_log(t, CWS_NO_STEP, false));
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(me_get(t).sandboxes_created, 1);
    }
}

/* ---- trouble --------------------------------------------------------------------------------- */

typedef struct mw_count {
    int warnings;
} mw_count;

static void mw_on_log(cws_log_level level, const char *line, void *user)
{
    HAS_NOT(line, KEY);
    if (level <= CWS_LOG_WARNING) ((mw_count *)user)->warnings++;
}

static void mw_test_trouble(void)
{
    static const struct {
        int status;
        bool again;
    } codes[] = {{400, false}, {401, false}, {403, false}, {404, false}, {408, true},
                 {429, true},  {500, true},  {501, false}, {503, true},  {302, false}};
    static const char *const bad[] = {
        "", "{", "[]", "null", "{\"data\":", "<html>", "{\"data\":{\"model\":{\"bucket\":{}}}}",
        "{\"data\":{\"model\":{\"bucket\":{\"id\":7}}}}", "{\"errors\":[{\"message\":\"no way\"}]}",
        "{\"errors\":[{}]}", "{\"errors\":[7]}", "{\"data\":{}} {}"};
    static const char *const bad_upsert[] = {
        "", "{}", "{\"data\":{\"upsertBucket\":null}}",
        "{\"data\":{\"upsertBucket\":{\"bucket\":{\"project\":{\"name\":\"p\"}}}}}",
        "{\"errors\":[{\"message\":\"denied\"}],\"data\":null}"};
    size_t i, step;
    for (step = 0; step < 3; step++)
        EACH("W&B: an HTTP status that is no success: tried again or not, values kept, in time")
        {
            static const char *const names[] = {"graphql", "graphql", "file_stream"};
            mw_on(t);
            (void)api_box(t, NULL);
            for (i = 0; i < CWSI_COUNT(codes); i++) {
                size_t before = t->s.call_count;
                int64_t since = t->s.now;
                if (step > 0) mw_reply(t, "graphql", 200, MW_FOUND(MW_ENDED));
                if (step > 1) mw_reply(t, "graphql", 200, MW_UPSERTED);
                mw_reply(t, names[step], codes[i].status, "{\"error\":\"" KEY "\"}")->times =
                    codes[i].again ? 3 : 1;
                CHECK(!me_log(t, CWS_NO_STEP, false));
                CHECK_INT(t->s.call_count - before, step + (codes[i].again ? 3 : 1));
                CHECK(t->s.now - since < 1000);
                CHECK_INT(me_get(t).sandboxes_created, 1);
                if (t->session->wandb->attached) t->session->wandb->attached = false;
            }
            HAS(t->said, "HTTP 429; the values are kept");
            HAS_NOT(t->said, KEY);
            mw_attach(t, MW_FOUND(MW_ENDED));
            mw_rows(t);
            CHECK(me_log(t, CWS_NO_STEP, false));
        }
    EACH("W&B: an answer that makes no sense, to each question: values kept")
    {
        mw_on(t);
        (void)api_box(t, NULL);
        for (i = 0; i < CWSI_COUNT(bad); i++) {
            mw_reply(t, "graphql", 200, bad[i]);
            CHECK(!me_log(t, CWS_NO_STEP, false));
        }
        HAS(t->said, "no way");
        for (i = 0; i < CWSI_COUNT(bad_upsert); i++) {
            mw_reply(t, "graphql", 200, MW_FOUND(MW_ENDED));
            mw_reply(t, "graphql", 200, bad_upsert[i]);
            CHECK(!me_log(t, CWS_NO_STEP, false));
            CHECK_STR(cws_session_run_url(t->session), "");
        }
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_reply(t, "file_stream", 200, "<html>");
        CHECK(!me_log(t, CWS_NO_STEP, false));
        mw_rows(t); /* at the same place: the first may have been taken after all */
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_INT(mw_offset(t, 1), mw_offset(t, 0));
        CHECK_INT(script_count(&t->s, "DeleteSandbox"), 0);
    }
    EACH("W&B: the same trouble again is one warning; after a success it is news again")
    {
        mw_count warned = {0};
        mw_on(t);
        t->copts.log = mw_on_log;
        t->copts.log_user = &warned;
        (void)api_box(t, NULL);
        mw_reply(t, "graphql", 403, "{}")->times = 3;
        for (i = 0; i < 3; i++) CHECK(!me_log(t, CWS_NO_STEP, true));
        CHECK_INT(warned.warnings, 1);
        mw_reply(t, "graphql", 404, "{}");
        CHECK(!me_log(t, CWS_NO_STEP, true));
        CHECK_INT(warned.warnings, 2);
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, true));
        mw_reply(t, "file_stream", 404, "{}");
        CHECK(!me_log(t, CWS_NO_STEP, true));
        CHECK_INT(warned.warnings, 3);
    }
    EACH("W&B: an answer that echoes the key does not bring it into the log")
    {
        mw_on(t);
        (void)api_box(t, NULL);
        mw_reply(t, "graphql", 200, "{\"errors\":[{\"message\":\"bad " KEY "\"}]}");
        CHECK(!me_log(t, CWS_NO_STEP, false));
        HAS(t->said, "the answer is not shown");
        HAS_NOT(t->said, KEY);
    }
    EACH("W&B: nor does one that is so long that it would be cut within the key")
    {
        char text[300];
        mw_on(t);
        (void)api_box(t, NULL);
        (void)snprintf(text, sizeof(text), "{\"errors\":[{\"message\":\"%*s" KEY "\"}]}", 120, "");
        mw_reply(t, "graphql", 200, text);
        CHECK(!me_log(t, CWS_NO_STEP, false));
        HAS(t->said, "the answer is not shown");
        HAS_NOT(t->said, "0123456789");
    }
    EACH("W&B: the largest step is taken, a larger one refused, and one without a step follows")
    {
        cws_op *op = NULL;
        mw_on(t);
        (void)api_box(t, NULL);
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_rows(t)->times = 2;
        CHECK(me_log(t, (int64_t)1 << 53, true));
        CHECK_INT(cws_session_log_metrics_begin(t->session, INT64_MAX, false, &op, &t->err),
                  CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "2^53");
        CHECK(me_log(t, CWS_NO_STEP, true));
        HAS(mw_line(t, 0, MW_HISTORY), "\"_step\":9007199254740992,");
        HAS(mw_line(t, 1, MW_HISTORY), "\"_step\":9007199254740993,");
    }
    EACH("W&B: hostile numbers and names in an answer harm nothing")
    {
        static const char *const odd[] = {
            ",\"historyLineCount\":-5", ",\"historyLineCount\":1e300",
            ",\"historyLineCount\":\"7\"", ",\"historyTail\":\"[\\\"{\\\"]\"",
            ",\"historyTail\":\"[\\\"{\\\\\\\"_step\\\\\\\":-9}\\\"]\"",
            (",\"historyTail\":\"[\\\"{\\\\\\\"_step\\\\\\\":1e99,"
             "\\\\\\\"_runtime\\\\\\\":1e99}\\\"]\""),
            ",\"summaryMetrics\":\"{\\\"cwsandbox/executions\\\":-1,\\\"_runtime\\\":9e15}\"",
            ",\"summaryMetrics\":\"[]\"", ",\"summaryMetrics\":\"{\\\"a\\\\u0000\\\":1}\""};
        for (i = 0; i < CWSI_COUNT(odd); i++) {
            char body[600];
            (void)snprintf(body, sizeof(body), MW_FOUND("%s"), odd[i]);
            mw_on(t);
            (void)api_box(t, NULL);
            t->session->wandb->attached = false;
            mw_attach(t, body);
            mw_rows(t);
            CHECK(me_log(t, CWS_NO_STEP, false));
            CHECK(cwsi_json_is_object(cwsi_str_of(script_json(&t->s, "file_stream", i))));
            CHECK(mw_value(t, i, MW_HISTORY, "_step") >= 0);
        }
    }
    EACH("W&B: silence, to each question: the budget bounds it; then it is left alone for a while")
    {
        int64_t since = t->s.now;
        mw_on(t)->timeout_seconds = 4;
        (void)api_box(t, NULL);
        script_never(&t->s, "graphql")->times = -1;
        CHECK(!me_log(t, CWS_NO_STEP, false));
        CHECK(t->s.now - since <= 4010);
        CHECK_INT(me_get(t).sandboxes_created, 1);
        since = t->s.now;
        CHECK(!me_log(t, CWS_NO_STEP, false)); /* nothing is even sent */
        CHECK_INT(t->s.now, since);
        t->s.now += 41000;
        CHECK(!me_log(t, CWS_NO_STEP, false));
        CHECK(t->s.now - since > 42000);
        since = t->s.now;
        CHECK_INT(api_close(t), CWS_OK); /* the last chance is taken, and bounded */
        CHECK(t->s.now - since > 2000 && t->s.now - since <= 4010);
    }
    EACH("W&B: Retry-After is kept to, within a report or until the next")
    {
        script_reply *reply;
        int64_t since = t->s.now;
        mw_on(t);
        (void)api_box(t, NULL);
        reply = mw_reply(t, "graphql", 429, "{}");
        script_header(reply, "Retry-After", "2");
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, true));
        CHECK_INT(t->s.now - since, 2000);
        reply = mw_reply(t, "file_stream", 429, "{}");
        script_header(reply, "Retry-After", "60");
        CHECK(!me_log(t, CWS_NO_STEP, false));
        CHECK_INT(t->s.now - since, 2000);
        CHECK(!me_log(t, CWS_NO_STEP, false));
        CHECK_INT(script_count(&t->s, "file_stream"), 2);
        t->s.now += 60000;
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_INT(mw_offset(t, 2), 1);
    }
    EACH("W&B: a connection that fails or is lost, an answer cut short: tried again, then kept")
    {
        static const cws_end ends[] = {CWS_END_NOT_SENT, CWS_END_LOST, CWS_END_RESET};
        mw_on(t);
        (void)api_box(t, NULL);
        for (i = 0; i < CWSI_COUNT(ends); i++) {
            script_end(&t->s, "graphql", ends[i])->times = 3;
            CHECK(!me_log(t, CWS_NO_STEP, false));
        }
        script_end(&t->s, "graphql", CWS_END_TLS);
        CHECK(!me_log(t, CWS_NO_STEP, false));
        script_header(mw_reply(t, "graphql", 200, MW_FOUND(MW_ENDED)), "Content-Length", "5000");
        mw_attach(t, MW_FOUND(MW_ENDED));
        script_header(mw_reply(t, "file_stream", 200, "{}"), "Content-Length", "3");
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_INT(mw_offset(t, 1), mw_offset(t, 0));
    }
    EACH("W&B: an answer that has no end fails, and memory stays bounded")
    {
        script_reply *reply;
        char *big = (char *)calloc(1, 1000000);
        if (!big) abort();
        memset(big, ' ', 999999);
        mw_on(t);
        (void)api_box(t, NULL);
        reply = mw_reply(t, "graphql", 200, big);
        reply->loops = 20;
        reply->loop_to = reply->size;
        if (t->mode != API_PERFORM) { /* there, the script has no loops */
            CHECK(!me_log(t, CWS_NO_STEP, false));
            HAS(t->said, "the answer is too large");
            CHECK(cws_client_memory(t->client).peak_bytes < 12u << 20);
        } else reply->times = 0;
        free(big);
    }
    STREAMING("W&B: what is counted while a report is under way stays for the next")
    {
        cws_op *op = NULL;
        cws_sandbox *sb;
        int round;
        mw_on(t);
        sb = api_running(t);
        me_exec(t, sb, 0);
        mw_attach(t, MW_FOUND(MW_ENDED));
        for (round = 0; round < 2; round++) { /* first it fails, then it does not */
            mw_reply(t, "file_stream", round ? 200 : 400, "{}")->delay = 300;
            CHECK_INT(cws_session_log_metrics_begin(t->session, CWS_NO_STEP, true, &op, NULL),
                      CWS_OK);
            while (script_count(&t->s, "file_stream") == (size_t)round)
                CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
            me_exec(t, sb, 1);
            CHECK(!cws_op_done(op));
            CHECK_INT(me_get(t).executions, 2 + round); /* all that was not taken yet */
            CHECK_INT(me_get(t).max_execs_per_sandbox, 2 + round);
            CHECK_INT(api_drive(t, op), CWS_OK);
            CHECK_INT(cws_op_metrics_logged(op), round);
            cws_op_free(op);
            CHECK_INT(me_get(t).executions, round ? 1 : 2);
            CHECK_INT(me_get(t).max_execs_per_sandbox, round ? 1 : 2);
        }
        CHECK_INT(me_get(t).exec_completed_nonzero, 1);
        CHECK_INT(me_get(t).startup_count, 0);
        CHECK_INT(mw_value(t, 1, MW_HISTORY, "cwsandbox/executions"), 2);
    }
    STREAMING("W&B: a report that is cancelled or freed changes nothing; the next one goes on")
    {
        cws_op *op[2] = {NULL, NULL};
        int way;
        mw_on(t);
        (void)api_box(t, NULL);
        for (way = 0; way < 2; way++) {
            script_never(&t->s, "graphql");
            CHECK_INT(cws_session_log_metrics_begin(t->session, 1, true, &op[0], NULL), CWS_OK);
            CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
            mw_attach(t, MW_FOUND(MW_ENDED));
            mw_rows(t);
            CHECK_INT(cws_session_log_metrics_begin(t->session, 2, false, &op[1], NULL), CWS_OK);
            CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
            if (way) CHECK(cws_op_cancel(op[0]));
            else cws_op_free(op[0]);
            CHECK_INT(api_drive(t, op[1]), CWS_OK);
            CHECK(cws_op_metrics_logged(op[1]));
            if (way) CHECK_INT(cws_op_status(op[0], NULL), CWS_ERR_CANCELLED);
            if (way) cws_op_free(op[0]);
            cws_op_free(op[1]);
            CHECK_INT(me_get(t).sandboxes_created, 1);
            t->session->wandb->attached = false;
        }
        script_never(&t->s, "graphql"); /* left in flight for the end of everything */
        CHECK_INT(cws_session_log_metrics_begin(t->session, 1, true, &op[0], NULL), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        cws_client_free(t->client);
        CHECK_INT(cws_op_status(op[0], NULL), CWS_ERR_CANCELLED);
        CHECK_INT(cws_session_log_metrics(t->session, 1, true, NULL, NULL), CWS_ERR_CLOSED);
        cws_op_free(op[0]);
        t->client = NULL;
    }
}

/* ---- several sessions of a client ------------------------------------------------------------ */

static bool mw_log_of(cws_session *s, int64_t step)
{
    bool logged = false;
    CHECK_INT(cws_session_log_metrics(s, step, true, &logged, NULL), CWS_OK);
    return logged;
}

static void mw_test_sessions(void)
{
    EACH("W&B: sessions of one client write to one run in turns: no line is lost, one makes it")
    {
        cws_session_opts o;
        cws_session *other = NULL;
        static const int steps[] = {0, 1, 5, 5, 5, 6};
        int i;
        mw_on(t)->create = true;
        (void)api_box(t, NULL);
        o = t->sopts;
        CHECK_INT(cws_session_open(&o, &other, &t->err), CWS_OK);
        cwsi_metrics_created(other->metrics);
        mw_attach(t, MW_MISSING);
        mw_rows(t)->times = 6;
        CHECK(me_log(t, CWS_NO_STEP, true));
        CHECK(mw_log_of(other, CWS_NO_STEP)); /* it needs no search, though the run is live now */
        CHECK_INT(script_count(&t->s, "graphql"), 2);
        CHECK_STR(cws_session_run_url(other), cws_session_run_url(t->session));
        cwsi_metrics_created(other->metrics);
        CHECK(me_log(t, 5, true));
        CHECK(mw_log_of(other, 5)); /* a line of its own */
        CHECK(me_log(t, 5, true));
        CHECK(me_log(t, 6, true));
        CHECK(!me_log(t, 4, true));
        for (i = 0; i < 6; i++) {
            CHECK_INT(mw_offset(t, (size_t)i), i);
            CHECK_INT(mw_value(t, (size_t)i, MW_HISTORY, "_step"), steps[i]);
        }
        mw_rows(t);
        CHECK_INT(api_close(t), CWS_OK); /* the other one will finish the run */
        HAS_NOT(script_json(&t->s, "file_stream", 6), "\"complete\"");
        mw_rows(t);
        CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
        CHECK_STR(script_json(&t->s, "file_stream", 7), "{\"complete\":true,\"exitcode\":0}");
        cws_session_free(other);
    }
    STREAMING("W&B: reports of several sessions at once go one after the other")
    {
        cws_session *other = NULL;
        cws_op *op[2];
        mw_on(t);
        (void)api_box(t, NULL);
        CHECK_INT(cws_session_open(&t->sopts, &other, &t->err), CWS_OK);
        cwsi_metrics_created(other->metrics);
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_rows(t)->times = 2;
        CHECK_INT(cws_session_log_metrics_begin(other, 1, true, &op[0], NULL), CWS_OK);
        CHECK_INT(cws_session_log_metrics_begin(t->session, 1, true, &op[1], NULL), CWS_OK);
        CHECK_INT(api_drive(t, op[0]), CWS_OK);
        CHECK_INT(api_drive(t, op[1]), CWS_OK);
        CHECK(cws_op_metrics_logged(op[0]) && cws_op_metrics_logged(op[1]));
        CHECK_STR(script_calls(&t->s), "graphql graphql file_stream file_stream");
        CHECK_INT(mw_offset(t, 0) + mw_offset(t, 1), 1);
        cws_op_free(op[0]);
        cws_op_free(op[1]);
        cws_session_free(other);
    }
    STREAMING("W&B: a session that is freed lets its report end")
    {
        cws_op *op = NULL;
        mw_on(t);
        (void)api_box(t, NULL);
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_rows(t);
        CHECK_INT(cws_session_log_metrics_begin(t->session, 1, true, &op, NULL), CWS_OK);
        cws_session_free(t->session);
        t->session = NULL;
        CHECK_INT(api_drive(t, op), CWS_OK);
        CHECK(cws_op_metrics_logged(op));
        cws_op_free(op);
    }
    STREAMING("W&B: sandboxes freed, and used, while a report is under way are counted right")
    {
        cws_op *op = NULL;
        cws_sandbox *sb[3];
        int i, round;
        mw_on(t);
        for (round = 0; round < 2; round++) {
            for (i = 0; i < 3; i++) {
                sb[i] = api_running(t);
                me_exec(t, sb[i], 0);
            }
            if (round == 0) mw_attach(t, MW_FOUND(MW_ENDED));
            mw_reply(t, "file_stream", round ? 400 : 200, "{}")->delay = 300;
            CHECK_INT(cws_session_log_metrics_begin(t->session, CWS_NO_STEP, true, &op, NULL),
                      CWS_OK);
            while (script_count(&t->s, "file_stream") == 0)
                CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
            me_exec(t, sb[0], 0);
            cwsi_session_forget(sb[0]);
            cwsi_session_forget(sb[1]);
            api_drop(t, sb[0]);
            api_drop(t, sb[1]);
            CHECK_INT(api_drive(t, op), CWS_OK);
            CHECK_INT(cws_op_metrics_logged(op), !round);
            cws_op_free(op);
            CHECK_INT(me_get(t).executions, round ? 5 : 1);
            CHECK_INT(me_get(t).sandbox_count, round ? 4 : 1);
            CHECK_INT(me_get(t).max_execs_per_sandbox, round ? 2 : 1);
            t->s.call_count = 0;
        }
    }
}

/* ---- any bytes ------------------------------------------------------------------------------- */

static void mw_test_bytes(void)
{
    static const char *const answers[] = {
        MW_FOUND(MW_ENDED ",\"historyLineCount\":7,\"historyTail\":\"[\\\"{\\\\\\\"_step\\\\\\\":3}"
                          "\\\"]\",\"summaryMetrics\":\"{\\\"loss\\\":[1],\\\"_step\\\":3}\""),
        MW_UPSERTED};
    ONCE("W&B: an answer cut at each byte, clean or not, is none; nothing is sent behind it")
    {
        size_t k, n;
        mw_on(t);
        (void)api_box(t, NULL);
        for (k = 0; k < 2; k++)
            for (n = 0; n < strlen(answers[k]); n++) {
                script_reply *reply;
                if (k) mw_reply(t, "graphql", 200, answers[0]);
                reply = mw_reply(t, "graphql", 200, answers[k]);
                reply->size = n;
                CHECK(!me_log(t, CWS_NO_STEP, false));
                CHECK(!t->session->wandb->attached);
            }
        CHECK_INT(script_count(&t->s, "file_stream"), 0);
        CHECK_INT(me_get(t).sandboxes_created, 1);
    }
    ONCE("W&B: answers with random damage harm nothing")
    {
        uint64_t seed = 99;
        int i, taken = 0;
        t->copts.log = NULL;
        mw_on(t);
        (void)api_box(t, NULL);
        for (i = 0; i < 4000; i++) {
            char body[2][600], why[200];
            cwsi_wandb *w = t->session->wandb;
            int k, hits;
            for (k = 0; k < 2; k++) {
                size_t len = strlen(answers[k]);
                memcpy(body[k], answers[k], len + 1);
                for (hits = (int)(seed >> 60) % 3; hits > 0; hits--) {
                    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
                    body[k][(seed >> 33) % len] = "\"\\{}[]:,0e-.u"[(seed >> 55) % 13];
                }
                seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            }
            w->attached = false;
            if (cwsi_wandb_looked_up(w, cwsi_str_of(body[0]), why, sizeof(why)) ==
                    CWSI_WANDB_THERE &&
                cwsi_wandb_upserted(w, cwsi_str_of(body[1]), false, why, sizeof(why))) {
                taken++;
                mw_reply(t, "file_stream", 200, "{}");
                CHECK(me_log(t, CWS_NO_STEP, true)); /* what is sent is JSON: the script looks */
            }
        }
        CHECK(taken > 100);
    }
    ONCE("W&B: each allocation fails while a session with reporters opens: no leak")
    {
        long n;
        cws_session *s = NULL;
        cws_status status;
        bool failed = true;
        (void)api_client(t);
        mw_on(t)->entity = "e";
        mw_opts.name = "n";
        t->sopts.metrics_path = "/x";
        for (n = 0; failed && n < 100; n++) {
            size_t live = test_alloc_live();
            test_alloc_fail_at(n, false);
            status = cws_session_open(&t->sopts, &s, &t->err);
            failed = test_alloc_failed();
            test_alloc_fail_at(-1, false);
            CHECK(status == CWS_OK || (failed && status == CWS_ERR_NO_MEMORY));
            cws_session_free(s);
            CHECK_INT(test_alloc_live(), live);
        }
        CHECK(n > 5 && !failed);
    }
}

/* ---- where the run comes from ---------------------------------------------------------------- */

static void mw_netrc(const char *text)
{
    static char path[200];
    FILE *f;
    (void)snprintf(path, sizeof(path), "%s/netrc-%d", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
                   (int)getpid());
    (void)remove(path);
    (void)unsetenv("NETRC");
    if (!text) return;
    f = fopen(path, "wb");
    if (!f) abort();
    (void)fwrite(text, 1, strlen(text), f);
    (void)fclose(f);
    (void)setenv("NETRC", path, 1);
}

static void mw_forget(void)
{
    static const char *const names[] = {"WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_ENTITY",
                                        "WANDB_PROJECT", "WANDB_RUN_ID",   "WANDB_MODE",
                                        "WANDB_NAME",    "WANDB_RUN_GROUP"};
    size_t i;
    for (i = 0; i < CWSI_COUNT(names); i++) (void)unsetenv(names[i]);
    mw_netrc(NULL);
    (void)setenv("HOME", "/nowhere", 1);
}

static void mw_test_environment(void)
{
    static const struct {
        const char *name, *value, *what;
    } wrong[] = {{"WANDB_BASE_URL", "ftp://x", "must begin with"},
                 {"WANDB_BASE_URL", "http://example.com", "plain http"},
                 {"WANDB_BASE_URL", "https://wandb.ai/", "did you mean"},
                 {"WANDB_PROJECT", "a?b", "WANDB_PROJECT"},
                 {"WANDB_RUN_ID", "a/b", "WANDB_RUN_ID"},
                 {"WANDB_MODE", "maybe", "WANDB_MODE"}};
    size_t i;
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    mw_forget();
    ONCE("W&B: the environment names everything")
    {
        (void)setenv("WANDB_API_KEY", KEY, 1);
        (void)setenv("WANDB_RUN_ID", "env-run", 1);
        (void)setenv("WANDB_PROJECT", "env-project", 1);
        (void)setenv("WANDB_ENTITY", "env-entity", 1);
        (void)setenv("WANDB_BASE_URL", "http://127.0.0.1:8080/", 1);
        t->copts.no_environment = false;
        (void)api_box(t, NULL);
        mw_attach(t, MW_FOUND(MW_ENDED));
        mw_rows(t);
        CHECK(me_log(t, CWS_NO_STEP, false));
        CHECK_STR(script_call_at(&t->s, "graphql", 0)->url, "http://127.0.0.1:8080/graphql");
        HAS(script_json(&t->s, "graphql", 0),
            "{\"project\":\"env-project\",\"entity\":\"env-entity\",\"name\":\"env-run\"}");
        CHECK_STR(cws_session_run_url(t->session),
                  "http://127.0.0.1:8080/team/p%201/runs/env-run");
    }
    ONCE("W&B: with no_environment none of it is read")
    {
        (void)api_box(t, NULL);
        CHECK(!me_log(t, CWS_NO_STEP, false));
        CHECK_INT(t->s.call_count, 0);
    }
    ONCE("W&B: a key alone names no run: nothing is sent")
    {
        (void)unsetenv("WANDB_RUN_ID");
        t->copts.no_environment = false;
        (void)api_box(t, NULL);
        CHECK(!me_log(t, CWS_NO_STEP, false));
        CHECK(t->s.call_count == 0 && t->session->wandb == NULL);
        CHECK_INT(me_get(t).sandboxes_created, 1);
    }
    for (i = 0; i < 4; i++)
        ONCE("W&B: modes that send nothing, and the shared one")
        {
            static const char *const modes[] = {"disabled", "offline", "dryrun", "shared"};
            (void)setenv("WANDB_RUN_ID", "env-run", 1);
            (void)setenv("WANDB_MODE", modes[i], 1);
            t->copts.no_environment = false;
            (void)api_box(t, NULL);
            if (i < 3) {
                CHECK(!me_log(t, CWS_NO_STEP, false));
                CHECK_INT(t->s.call_count, 0);
            } else if (CHECK(t->session->wandb != NULL)) {
                CHECK_INT(t->session->wandb->mode, CWS_WANDB_SHARED);
            }
        }
    mw_forget();
    for (i = 0; i < CWSI_COUNT(wrong); i++)
        ONCE("W&B: an environment that makes no sense is a warning, and the session opens")
        {
            mw_forget();
            (void)setenv("WANDB_API_KEY", KEY, 1);
            (void)setenv("WANDB_RUN_ID", "r", 1);
            (void)setenv(wrong[i].name, wrong[i].value, 1);
            t->copts.no_environment = false;
            (void)api_box(t, NULL);
            CHECK(!me_log(t, CWS_NO_STEP, false));
            HAS(t->said, wrong[i].what);
            HAS(t->said, "nothing is sent to W&B");
            CHECK_INT(t->s.call_count, 0);
        }
    mw_forget();
    ONCE("W&B: the key of a netrc file, for the host of the address only")
    {
        static const struct {
            const char *text, *key;
        } files[] = {
            {"machine api.wandb.ai login user password " KEY, KEY},
            {"machine x.org\n login u\n password p\nmachine api.wandb.ai\n\tlogin user\n"
             "\tpassword " KEY "\n",
             KEY},
            {"# machine api.wandb.ai password wrong\ndefault login u password \"a b\\\"c\"",
             "a b\"c"},
            {"macdef init\nmachine api.wandb.ai password wrong\n\n"
             "machine API.wandb.ai password 'q'",
             "q"},
            {"machine x.org login u password p", NULL},
            {"machine api.wandb.ai login password", NULL},
            {"machine", NULL},
            {"", NULL},
            {"machine api.wandb.ai password \"", NULL}};
        (void)setenv("WANDB_RUN_ID", "r", 1);
        t->copts.no_environment = false;
        for (i = 0; i < CWSI_COUNT(files); i++) {
            mw_netrc(files[i].text);
            (void)api_session(t);
            if (CHECK_INT(t->session->wandb != NULL, files[i].key != NULL) && files[i].key)
                CHECK_STR(t->session->wandb->key, files[i].key);
            cws_session_free(t->session);
            t->session = NULL;
        }
        HAS(t->said, "no key");
    }
    mw_forget();
    for (i = 0; i < 6; i++)
        ONCE("W&B: .netrc in the home is looked at before _netrc; $NETRC alone if it is set")
        {
            static const char *const keys[] = {NULL, "dot", "low", "dot", NULL, "own"};
            char top[] = "/tmp/cws-metrics-XXXXXX", dot[60], low[60], own[60];
            if (!mkdtemp(top)) abort();
            (void)snprintf(dot, sizeof(dot), "%s/.netrc", top);
            (void)snprintf(low, sizeof(low), "%s/_netrc", top);
            (void)snprintf(own, sizeof(own), "%s/own", top);
            if (i & 1) put_file(dot, "machine api.wandb.ai password dot", 33);
            if (i == 2 || i == 3) put_file(low, "machine api.wandb.ai password low", 33);
            if (i == 5) put_file(own, "machine api.wandb.ai password own", 33);
            (void)setenv("HOME", top, 1);
            if (i >= 4) (void)setenv("NETRC", "~/own", 1);
            (void)setenv("WANDB_RUN_ID", "r", 1);
            t->copts.no_environment = false;
            (void)api_session(t);
            if (CHECK_INT(t->session->wandb != NULL, keys[i] != NULL) && keys[i])
                CHECK_STR(t->session->wandb->key, keys[i]);
            (void)remove(dot);
            (void)remove(low);
            (void)remove(own);
            CHECK(rmdir(top) == 0);
        }
    mw_forget();
    if (home) (void)setenv("HOME", home, 1);
    free(home);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void mw_test_memory(void)
{
    int mode;
    for (mode = 0; mode < API_MODES; mode++) {
        long n;
        bool failed = true;
        for (n = 0; failed && n < 400; n++) {
            TEST(api_name("W&B: each allocation of a report fails in turn: no leak, values kept",
                          mode))
            {
                api *t = api_new(mode);
                bool logged = false;
                cws_status status;
                t->copts.log = NULL; /* its text would be too long */
                t->copts.trace = NULL;
                mw_on(t)->create = true;
                (void)api_box(t, NULL);
                mw_reply(t, "graphql", 200,
                         MW_FOUND(MW_ENDED ",\"historyTail\":\"[\\\"{}\\\"]\",\"summaryMetrics\":"
                                           "\"{\\\"a\\\":1}\""))
                    ->times = 1;
                mw_reply(t, "graphql", 200, MW_UPSERTED)->times = -1;
                mw_rows(t)->times = -1;
                test_alloc_fail_at(n, false);
                status = cws_session_log_metrics(t->session, 3, true, &logged, &t->err);
                failed = test_alloc_failed();
                test_alloc_fail_at(-1, false);
                CHECK(status == CWS_OK || status == CWS_ERR_NO_MEMORY);
                CHECK(failed || (logged && status == CWS_OK));
                CHECK_INT(me_get(t).sandboxes_created, logged ? 0 : 1);
                CHECK(cws_session_close(t->session, NULL) != CWS_ERR_SANDBOX);
                t->s.first = t->s.last = NULL;
                t->s.unexpected = 0;
                (void)api_end(t);
            }
        }
        TEST(api_name("W&B: a report needs some allocations, and survives them all", mode))
        CHECK(n > 5 && !failed);
    }
}

static void mw_test_all(void)
{
    mw_test_append();
    mw_test_create();
    mw_test_trouble();
    mw_test_sessions();
    mw_test_bytes();
    mw_test_environment();
    mw_test_memory();
}

#endif /* METRICS_WANDB_H */
