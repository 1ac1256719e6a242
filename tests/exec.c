/* SPDX-License-Identifier: MIT
 *
 * Commands, their input and output, shells, over the scripted transport: what is sent, what is
 * handed out, what is held back, every way in which a stream may break. A scenario is written once
 * and runs in several ways, see harness.h. Numbers are those of the lists of test cases that the
 * service's own clients were written against (EX IN RD: commands, SH: shells). Usage:
 *
 *     exec [part of a test's name]
 */
#include "native.h"

#include "streams.h"

/* ---- commands -------------------------------------------------------------------------------- */

static void api_test_exec_arguments(void)
{
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
        o.environment_variables = env;
        CHECK_INT(api_exec(t, sb, api_true, &o, &result), CWS_ERR_INVALID_ARGUMENT);
        CHECK(!result);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 0);
        CHECK_INT(t->s.call_count, 0);
    }
}

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

/* A callback that takes longer than the command may. */
static cws_flow exec_takes_long(cws_stream_id stream, const void *data, size_t size, void *user)
{
    (void)stream, (void)data, (void)size;
    ((api *)user)->s.now += 1000;
    return CWS_FLOW_CONTINUE;
}

static void api_test_exec(void)
{
    EACH("EX-1 EX-5: a command: started, sent once, output joined, code, counters") {
        static const char *const argv[] = {"echo", "a b", "", NULL};
        cws_sandbox *sb = api_box(t, NULL);
        cws_result *r = NULL;
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        api_answer(t, 0, "one two", "warn");
        CHECK_INT(api_exec(t, sb, argv, NULL, &r), CWS_OK);
        CHECK_STR(api_shown(r), "0|one two|warn");
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        CHECK_INT(cws_result_stdout_size(r), 7);
        CHECK_INT(cws_result_stderr_size(r), 4);
        CHECK_STR(cws_result_stdout(r), "one two");
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDOUT), 7);
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDERR), 4);
        CHECK(!cws_result_truncated(r, CWS_STDOUT) && !cws_result_truncated(r, CWS_STDERR));
        CHECK_STR(cws_result_command(r)[1], "a b");
        CHECK(cws_result_command(r)[3] == NULL);
        HAS(script_json(&t->s, api_exec_rpc(t), 0),
            "\"sandboxId\":\"sb-1\",\"command\":[\"echo\",\"a b\",\"\"]");
        HAS(script_call_at(&t->s, api_exec_rpc(t), 0)->headers, "Bearer the-secret-key");
        CHECK_INT(script_call_at(&t->s, api_exec_rpc(t), 0)->timeout_ms, 300000);
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
        CHECK_STR(api_shown(r), "2|x|y"); /* what it wrote says why */
        cws_result_free(r);
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
                                   "connect-protocol-version: 1\nconnect-timeout-ms: 300000\n");
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
    EACH("EX-9 to EX-14: with a cwd a shell goes there and becomes the command, word by word") {
        static const char *const table[][3] = {/* cwd, argv[0], what the shell is to do */
                                               {"/", "ls", "exec"},
                                               {"/app", "-la", "exec --"},
                                               {"/a b", "$x", "exec"},
                                               {"/$HOME", "it's", "exec"},
                                               {"/x", "*", "exec"},
                                               {"/\xc3\xa4", "~", "exec"}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            const char *argv[4];
            char expected[300];
            cws_exec_opts o;
            cws_result *r = NULL;
            memset(&o, 0, sizeof(o));
            o.cwd = table[i][0];
            argv[0] = table[i][1];
            argv[1] = "";
            argv[2] = "x y";
            argv[3] = NULL;
            api_answer(t, 0, "", "");
            CHECK_INT(api_exec(t, sb, argv, &o, &r), CWS_OK);
            (void)snprintf(expected, sizeof(expected),
                           "\"command\":[\"/bin/sh\",\"-c\",\"cd \\\"$0\\\" && %s \\\"$@\\\"\","
                           "\"%s\",\"%s\",\"\",\"x y\"]",
                           table[i][2], o.cwd, argv[0]);
            if (!CHECK(strstr(script_json(&t->s, api_exec_rpc(t), i), expected) != NULL))
                printf("    %s\n", script_json(&t->s, api_exec_rpc(t), i));
            CHECK_STR(cws_result_command(r)[0], argv[0]); /* EX-11: the original */
            cws_result_free(r);
        }
    }
    EACH("EX: with a cwd, variables that a shell would spoil are given by env") {
        static const cws_pair env[] = {{"A", "1"}, {"a.b", "x y"}, {"PWD", ""}, {NULL, NULL}};
        static const char *const argv[] = {"-x", NULL}, *const assigned[] = {"x=y", NULL};
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        if (t->mode == API_PERFORM && api_v1_only(t, "a unary Exec has no environment")) continue;
        o.environment_variables = env;
        o.cwd = "/";
        api_answer(t, 0, "", "");
        CHECK_INT(api_exec(t, sb, argv, &o, &r), CWS_OK);
        HAS(script_json(&t->s, api_exec_rpc(t), 0),
            "\"cd \\\"$0\\\" && exec \\\"$@\\\"\",\"/\",\"/usr/bin/env\",\"a.b=x y\",\"PWD=\","
            "\"-x\"]");
        HAS(script_json(&t->s, api_exec_rpc(t), 0), "\"env\":{\"A\":\"1\"}");
        cws_result_free(r);
        CHECK_INT(api_exec(t, sb, assigned, &o, &r), CWS_ERR_INVALID_ARGUMENT);
        CHECK_STR(t->err.message, "argv[0] 'x=y' has a '=': it can not have both cwd and the "
                                  "variable 'a.b', which env gives it");
    }
    EACH("EX: the environment and the container of a command are sent") {
        static const cws_pair env[] = {{"A", "1"}, {"B", ""}, {NULL, NULL}};
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        if (t->mode == API_PERFORM && api_v1_only(t, "a unary Exec has no environment")) continue;
        o.environment_variables = env;
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
    EACH("EX: a server that never answers a command: it ends at its timeout, which is named") {
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
        CHECK_INT(t->s.now - from, 1000);
        CHECK(r == NULL);
    }
    EACH("a failed command is named by its whole line, cut in the middle if it is long") {
        static const char *const line[] = {"make", "-C", "dir with blank", NULL};
        const char *words[60];
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        size_t i, n = 0;
        memset(&o, 0, sizeof(o));
        o.check = true;
        api_answer(t, 2, "", "");
        CHECK_INT(api_exec(t, sb, line, &o, &r), CWS_ERR_EXECUTION);
        CHECK_STR(t->err.message, "Command 'make -C dir with blank' failed with exit code 2");
        cws_result_free(r);
        words[n++] = "first";
        while (n < 58) words[n++] = "\xc3\xa4\xc3\xb6-word"; /* characters of two bytes */
        words[n++] = "last";
        words[n] = NULL;
        for (i = 0; i < 8; i++) { /* the cuts move over each byte */
            static const char *const pad[] = {"f",     "fi",     "fir",     "firs",
                                              "first", "firstA", "firstAB", "firstABC"};
            words[0] = pad[i];
            api_answer(t, 2, "", "");
            CHECK_INT(api_exec(t, sb, words, &o, &r), CWS_ERR_EXECUTION);
            cws_result_free(r);
            HAS(t->err.message, " ... ");
            HAS(t->err.message, "word last' failed with exit code 2");
            CHECK(strlen(t->err.message) < 280);
            CHECK(cwsi_utf8_valid(t->err.message, strlen(t->err.message)));
        }
        for (i = 198; i <= 200; i++) { /* around the longest line that is shown whole */
            char word[201], whole[300];
            memset(word, 'x', i);
            word[i] = '\0';
            words[0] = word, words[1] = NULL;
            api_answer(t, 2, "", "");
            CHECK_INT(api_exec(t, sb, words, &o, &r), CWS_ERR_EXECUTION);
            cws_result_free(r);
            (void)snprintf(whole, sizeof(whole), "Command '%s' failed with exit code 2", word);
            CHECK_INT(strcmp(t->err.message, whole) == 0, i < 200);
            CHECK_INT(strstr(t->err.message, "x ... x") != NULL, i == 200);
        }
    }
    STREAMING("an outcome that comes after the limit is a timeout, whatever it was") {
        cws_sandbox *sb = api_running(t);
        int how;
        for (how = 0; how < 3; how++) { /* an exit, an exit with check, an error of the service */
            const cws_result *kept = NULL;
            cws_process *p = NULL;
            cws_exec_opts o;
            memset(&o, 0, sizeof(o));
            o.timeout_seconds = 1;
            o.check = how == 1;
            o.on_output = exec_takes_long;
            o.user = t;
            script_stream(&t->s, NULL, script_output(&t->s, "STDOUT", "slow", 4),
                          how == 0   ? EXIT(0)
                          : how == 1 ? EXIT(7)
                                     : "{\"error\":{\"message\":\"it broke\"}}",
                          NULL);
            CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
            CHECK_INT(cws_process_wait(p, CWS_FOREVER, &kept, &t->err), CWS_ERR_TIMEOUT);
            HAS(t->err.message, "timed out after 1 s");
            CHECK_INT(t->err.exit_code, 0);
            CHECK(!cws_process_poll(p, NULL));
            CHECK(kept && !cws_result_has_exit_code(kept));
            CHECK_STR(kept ? cws_result_stdout(kept) : NULL, "slow");
            cws_process_free(p);
        }
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 3);
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
        CHECK(memcmp(cws_result_stdout(r), "\xe2\x82\xac\0\xffuv9", 9) == 0);
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
            CHECK_INT(cws_process_wait(p, 1, &borrowed, &t->err), CWS_ERR_WAIT_TIMEOUT);
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
    size_t n = 0, at = 0;
    const script_call *call = script_call_at(&t->s, "StreamExec", 0);
    sizes[0] = '\0';
    while (script_more_sent(call, at)) {
        cwsi_str body;
        const cwsi_v1_ExecStreamRequest *m;
        if (!CHECK(script_next_sent(call, &at, &body))) return n;
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
        {
            static char line[(1 << 20) + 1];
            memset(line, 'x', sizeof(line) - 1);
            CHECK_INT(cws_process_write_line(p, line, 0, &t->err), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "the line is longer than 1 MiB");
            CHECK_INT(cws_process_write(p, NULL, 1, 0, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
            HAS(t->err.message, "data is NULL");
        }
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
        for (i = 0; i < 5; i++) CHECK_INT(cws_client_poll(t->client, 0.1, &t->err), CWS_OK);
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
        CHECK_INT(cws_process_write(p, "x", 1, 0.1, NULL, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(room, 0);
        while (room == 0) CHECK_INT(cws_client_poll(t->client, 1, &t->err), CWS_OK);
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
            CHECK_INT(cws_client_poll(t->client, 0.01, &t->err), CWS_OK);
            CHECK_INT(cws_client_poll(t->client, 0.01, &t->err), CWS_OK);
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
        while (room == 0) CHECK_INT(cws_client_poll(t->client, 0.1, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0.1, &t->err), CWS_OK);
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

/* ---- output that is read --------------------------------------------------------------------- */

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
        CHECK_INT(cws_process_read(p, CWS_STDOUT, text, 10, 0.1, &n, &t->err),
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

/* ---- commands and shells of v1beta2 ---------------------------------------------------------- */

static void op_test_exec(void)
{
    B2_STREAMING("StreamExec: what is asked, and its messages") {
        cws_sandbox *sb = nw_running(t);
        cws_result *r = NULL;
        cws_exec_opts o;
        script_reply *reply = op_stream(t, "StreamExec");
        memset(&o, 0, sizeof(o));
        o.environment_variables = PAIRS({"A", "1"});
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
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->timeout_ms, 7000);
        HAS(script_call_at(&t->s, "StreamExec", 0)->url,
            "/coreweave.sandbox.v1beta2.GatewayStreamingService/StreamExec");
    }
    B2_STREAMING("StreamExec: an error in the stream; no exit; a message that is none") {
        cws_sandbox *sb = nw_running(t);
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
        cws_sandbox *sb = nw_running(t);
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
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), nw_json(t, "{'stdin':{'data':'aGk='}}"));
        CHECK_STR(script_sent(&t->s, "StreamExec", 1), nw_json(t, "{'close':{}}"));
        CHECK(script_call_at(&t->s, "StreamExec", 0)->fin);
        cws_process_free(p);
    }
    B2_STREAMING("StreamExec: input waits for `ready`; a command can be cancelled") {
        cws_sandbox *sb = nw_running(t);
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
        while (t->s.now < began + 490) CHECK_INT(cws_client_poll(t->client, 0.001, &t->err),
                                                 CWS_OK);
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->sent_bytes, 0);
        while (t->s.now < began + 510) CHECK_INT(cws_client_poll(t->client, 0.001, &t->err),
                                                 CWS_OK);
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), nw_json(t, "{'stdin':{'data':'aGk='}}"));
        cws_process_free(p);
        CHECK(script_call_at(&t->s, "StreamExec", 0)->cancelled);
    }
    B2_STREAMING("a shell: a terminal, its size, and a new size") {
        cws_sandbox *sb = nw_running(t);
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
        while (!t->s.call_count) CHECK_INT(cws_client_poll(t->client, 0.001, &t->err), CWS_OK);
        CHECK_INT(cws_process_resize(p, 100, 50, &t->err), CWS_OK);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        IS("StreamExec", 0, "{'init':{'sandboxId':'sb-1','command':['/bin/bash'],'tty':true,"
                            "'ttyWidth':80,'ttyHeight':24}}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 0),
                  nw_json(t, "{'resize':{'width':100,'height':50}}"));
        CHECK_STR(script_sent(&t->s, "StreamExec", 1), nw_json(t, "{'close':{}}"));
        cws_process_free(p);
    }
    B2_EACH("Exec, unary: what is asked, its limits, and its reply") {
        cws_sandbox *sb = nw_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        o.unary = true;
        o.timeout_seconds = 60.9;
        o.max_output_bytes = 4096;
        nw_ok(t, "Exec", "{'result':{'stdout':'YQ==','stderr':'Yg==','exitCode':2,"
                         "'stdoutTruncated':true,'stdoutBytesProduced':'500'}}");
        CHECK_INT(api_exec(t, sb, STRINGS("ls", "-l"), &o, &r), CWS_OK);
        CHECK_STR(api_shown(r), "2|a|b");
        CHECK(cws_result_truncated(r, CWS_STDOUT));
        CHECK(!cws_result_truncated(r, CWS_STDERR));
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDOUT), 500);
        cws_result_free(r);
        HAS(script_json(&t->s, "Exec", 0),
            nw_json(t, "{'sandboxId':'sb-1','command':['ls','-l'],'maxTimeoutSeconds':60,"
                       "'outputHandling':'OUTPUT_POLICY_BUFFERED','bufferedMaxKib':"));
        CHECK_INT(script_call_at(&t->s, "Exec", 0)->timeout_ms, 60900);
        nw_ok(t, "Exec", "{'result':{}}");
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_OK);
        CHECK_STR(api_shown(r), "0||");
        cws_result_free(r);
        nw_ok(t, "Exec", "{}"); /* nothing about the command */
        CHECK(api_exec(t, sb, api_true, &o, &r) != CWS_OK);
        cws_result_free(r);
        CHECK_INT(script_count(&t->s, "Exec"), 3);
    }
    B2_EACH("Exec, unary: there is no environment") {
        cws_sandbox *sb = nw_running(t);
        cws_exec_opts o;
        cws_result *r = NULL;
        memset(&o, 0, sizeof(o));
        o.unary = true;
        o.environment_variables = PAIRS({"A", "1"});
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
        nw_ok(t, "Start", STARTED);
        nw_ok(t, "Get", B2_GET("CREATING"));
        nw_ok(t, "Get", B2_GET("RUNNING"));
        nw_ok(t, "Exec", "{'result':{'stdout':'YQ=='}}");
        CHECK_INT(api_exec(t, sb, api_true, &o, &r), CWS_OK);
        CHECK_STR(script_calls(&t->s), "Start Get Get Exec");
        cws_result_free(r);
    }
}

/* ---- shells ---------------------------------------------------------------------------------- */

/* All output of a process that is to come, as text; the status of the read that ended it. */
static cws_status st_read_all(api *t, cws_process *p, char *text, size_t room)
{
    size_t n = 0, got = 1;
    cws_status status = CWS_OK;
    while (!status && got) {
        status = cws_process_read(p, CWS_STDOUT, text + n, room - 1 - n,
                                  (api_async(t) ? 0 : -1) / 1000.0,
                                  &got, &t->err);
        n += got;
        if (status == CWS_ERR_WAIT_TIMEOUT && api_async(t)) {
            CHECK_INT(cws_client_poll(t->client, 100, NULL), CWS_OK);
            status = CWS_OK;
            got = 1;
        }
    }
    text[n] = '\0';
    return status;
}

static void st_test_shell(void)
{
    static const char *const python[] = {"python3", "-q", NULL};
    char text[300];
    STREAMING("SH-1 10: ready, output, exit: raw bytes in order, whatever stream they name") {
        cws_sandbox *sb = api_running(t);
        const cws_result *r = NULL;
        cws_process *p = NULL;
        int32_t code = 0;
        script_stream(&t->s, "{}", READY, script_output(&t->s, "STDOUT", "a\xc3", 2),
                      script_output(&t->s, "STDERR", "\xa4\r\n", 3),
                      script_output(&t->s, "UNSPECIFIED", "z", 1), EXIT(3), NULL);
        CHECK_INT(cws_shell_begin(sb, python, NULL, &p, &t->err), CWS_OK);
        CHECK(!cws_process_poll(p, &code));
        CHECK_INT(st_read_all(t, p, text, sizeof(text)), CWS_OK);
        CHECK_STR(text, "a\xc3\xa4\r\nz");
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK_INT(cws_process_wait(p, -1, &r, &t->err), CWS_OK);
        CHECK(cws_process_poll(p, &code) && code == 3);
        CHECK_STR(api_shown(r), "3||");
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDOUT), 6);
        CHECK_INT(cws_result_bytes_produced(r, CWS_STDERR), 0);
        CHECK(!cws_result_truncated(r, CWS_STDOUT));
        CHECK_STR(cws_result_command(r)[0], "python3");
        CHECK_STR(cws_result_command(r)[1], "-q");
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 1);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_completed_nonzero, 1);
        cws_process_free(p);
    }
    STREAMING("SH-2: an error of the stream fails the shell behind its output; typed by its code") {
        static const struct {
            const char *json;
            cws_status status;
        } rows[] = {
            {"{\"error\":{\"message\":\"no pty\"}}", CWS_ERR_EXECUTION},
            {"{\"error\":{\"message\":\"no pty\",\"code\":\"STREAM_BACKPRESSURE\"}}",
             CWS_ERR_STREAM_BACKPRESSURE},
            {"{\"error\":{\"message\":\"no pty\",\"code\":\"STREAM_TRUNCATED\"}}",
             CWS_ERR_STREAM_TRUNCATED}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            cws_process *p;
            script_stream(&t->s, "{}", READY, st_out(t, "hello"), rows[i].json, NULL);
            p = st_shell(t, sb, NULL);
            CHECK_INT(st_read_all(t, p, text, sizeof(text)), rows[i].status);
            CHECK_STR(text, "hello");
            HAS(t->err.message, "no pty");
            CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), rows[i].status);
            CHECK(cws_status_is(t->err.status, CWS_ERR_EXECUTION));
            CHECK_STR(t->err.reason, "");
            CHECK_STR(t->err.stream_code, i == 0   ? ""
                                          : i == 1 ? "STREAM_BACKPRESSURE"
                                                   : "STREAM_TRUNCATED");
            cws_process_free(p);
        }
    }
    STREAMING("SH-3 11: a failure of the call is typed, and the same for everybody, every time") {
        cws_sandbox *sb = api_running(t);
        const cws_result *r = NULL;
        cws_process *p;
        char c;
        size_t n = 9;
        int i;
        script_stream(&t->s, "{\"error\":{\"code\":\"unavailable\",\"message\":\"away\"}}", READY,
                      st_out(t, "x"), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_UNAVAILABLE);
        for (i = 0; i < 3; i++) {
            CHECK_INT(cws_process_wait(p, -1, &r, &t->err), CWS_ERR_UNAVAILABLE);
            HAS(t->err.message, "away");
            CHECK(r && !cws_result_has_exit_code(r));
            CHECK(!cws_process_poll(p, NULL));
            CHECK_INT(cws_process_read(p, CWS_STDOUT, &c, 1, -1, &n, &t->err),
                      i ? CWS_ERR_UNAVAILABLE : CWS_OK);
            CHECK_INT(n, i ? 0 : 1);
            CHECK_INT(cws_process_read(p, CWS_STDERR, &c, 1, -1, &n, &t->err),
                      CWS_ERR_UNAVAILABLE);
        }
        CHECK_INT(script_count(&t->s, "StreamExec"), 1);
        cws_process_free(p);
    }
    STREAMING("SH-4 12: keys go out behind ready, in order, and the end behind them") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        api_answer_at_eof(t, OUT_A, 0)->delay = 200;
        p = st_shell(t, sb, NULL);
        CHECK_INT(cws_process_write(p, "ls\r", 3, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_process_write(p, "\x03", 1, -1, NULL, &t->err), CWS_OK);
        st_turns(t, 20);
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->sent.len, 0);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), "{\"stdin\":\"bHMNAw==\"}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 1), "{\"close\":{}}");
        CHECK(script_sent(&t->s, "StreamExec", 2) == NULL);
        CHECK(script_call_at(&t->s, "StreamExec", 0)->fin);
        CHECK_INT(cws_process_write(p, "x", 1, 0, NULL, &t->err), CWS_ERR_EXECUTION);
        HAS(t->err.message, "terminal session has ended");
        cws_process_free(p);
        script_never(&t->s, "StreamExec"); /* and ready must come soon, though nothing is written */
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_TIMEOUT);
        HAS(t->err.message, "ready");
        CHECK_INT(t->s.now - script_call_at(&t->s, "StreamExec", 1)->at, 5000);
        cws_process_free(p);
    }
    STREAMING("SH-5: a resize is sent with its numbers, ahead of what waits, the last one only") {
        cws_sandbox *sb = api_running(t);
        cws_shell_opts o;
        cws_process *p;
        memset(&o, 0, sizeof(o));
        o.width = 80;
        o.height = 24;
        api_answer_at_eof(t, NULL, 0)->delay = 100;
        p = st_shell(t, sb, &o);
        st_turns(t, 1);
        CHECK_INT(cws_process_write(p, "x", 1, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_process_resize(p, 100, 30, &t->err), CWS_OK); /* before ready: it waits */
        CHECK_INT(cws_process_resize(p, 101, 31, &t->err), CWS_OK); /* instead */
        st_turns(t, 20);
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->sent.len, 0);
        while (script_call_at(&t->s, "StreamExec", 0)->sent.len == 0) st_turns(t, 10);
        CHECK_INT(cws_process_resize(p, 65535, 1, &t->err), CWS_OK);
        st_turns(t, 5);
        CHECK_INT(cws_process_resize(p, 2, 65535, &t->err), CWS_OK);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(cws_process_resize(p, 7, 7, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        HAS(st_init(t, 0), "\"ttyWidth\":80,\"ttyHeight\":24");
        CHECK_STR(script_sent(&t->s, "StreamExec", 0),
                  "{\"resize\":{\"width\":101,\"height\":31}}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 1), "{\"stdin\":\"eA==\"}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 2),
                  "{\"resize\":{\"width\":65535,\"height\":1}}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 3), "{\"resize\":{\"width\":7,\"height\":7}}");
        CHECK_STR(script_sent(&t->s, "StreamExec", 4), "{\"close\":{}}");
        CHECK(script_sent(&t->s, "StreamExec", 5) == NULL);
        cws_process_free(p);
    }
    STREAMING("no resize behind the end of the input; it is not refused before the end either") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        script_reply *r = script_stream(&t->s, "{}", READY, EXIT(0), NULL);
        r->chunk = 7;
        r->gap = 100;
        p = st_shell(t, sb, NULL);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        while (!script_call_at(&t->s, "StreamExec", 0)->fin) st_turns(t, 1);
        CHECK_INT(cws_process_resize(p, 5, 5, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), "{\"close\":{}}");
        CHECK(script_sent(&t->s, "StreamExec", 1) == NULL);
        cws_process_free(p);
    }
    STREAMING("SH-6: when the sandbox can not be started, reader and wait say so") {
        cws_sandbox *sb = api_box(t, NULL);
        const cws_result *r = NULL;
        cws_process *p;
        script_error(&t->s, "CreateSandbox", "permission_denied", "not you", NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_read_all(t, p, text, sizeof(text)), CWS_ERR_AUTHENTICATION);
        HAS(t->err.message, "not you");
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_AUTHENTICATION);
        CHECK_INT(cws_process_wait(p, -1, &r, &t->err), CWS_ERR_AUTHENTICATION);
        CHECK(r == NULL && cws_process_take_result(p) == NULL);
        CHECK_INT(cws_process_resize(p, 5, 5, &t->err), CWS_ERR_EXECUTION);
        CHECK_STR(script_calls(&t->s), "CreateSandbox");
        cws_process_free(p);
    }
    STREAMING("SH-7: cancel ends it on the wire; the reader gets what there was, then how") {
        cws_sandbox *sb = api_running(t);
        const script_call *call;
        cws_process *p;
        script_stream(&t->s, NULL, READY, st_out(t, "before"), NULL)->hold = true;
        p = st_shell(t, sb, NULL);
        st_turns(t, 5);
        CHECK(cws_process_cancel(p));
        CHECK_INT(cws_process_write(p, "x", 1, 0, NULL, &t->err), CWS_ERR_EXECUTION);
        CHECK_INT(cws_process_resize(p, 5, 5, &t->err), CWS_ERR_EXECUTION);
        HAS(t->err.message, "terminal session has ended");
        CHECK_INT(st_read_all(t, p, text, sizeof(text)), CWS_ERR_CANCELLED);
        CHECK_STR(text, "before");
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_CANCELLED);
        call = script_call_at(&t->s, "StreamExec", 0);
        CHECK(call->cancelled && call->ended_at >= call->at);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_failures, 1);
        cws_process_free(p);
    }
    STREAMING("SH-8: an ended or draining sandbox has no shell, and nothing is asked of it") {
        static const char *const states[] = {EXITED("COMPLETED", 0), BOX("TERMINATING")};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_found(t, states[i]);
            cws_process *p = st_shell(t, sb, NULL);
            CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_NOT_RUNNING);
            CHECK_INT(st_read_all(t, p, text, sizeof(text)), CWS_ERR_NOT_RUNNING);
            CHECK_INT(t->s.call_count, 0);
            cws_process_free(p);
        }
    }
    STREAMING("SH-9: a resize after the end is refused, and changes nothing") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        script_stream(&t->s, "{}", READY, EXIT(0), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(cws_process_resize(p, 0, 5, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_resize(p, 5, 0, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_resize(p, 65536, 5, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_resize(p, 5, 65536, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_process_resize(NULL, 5, 5, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK_INT(cws_process_resize(p, 5, 5, &t->err), CWS_ERR_EXECUTION);
        HAS(t->err.message, "terminal session has ended");
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_OK);
        cws_process_free(p);
        script_stream(&t->s, "{}", EXIT(0), NULL);
        CHECK_INT(cws_exec_begin(sb, api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_process_resize(p, 5, 5, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_shell_begin");
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        cws_process_free(p);
    }
    STREAMING("SH-13: /bin/bash, a terminal, and nothing that was not given; no deadline") {
        cws_sandbox *sb = api_running(t);
        const script_call *call;
        cws_process *p;
        script_stream(&t->s, "{}", READY, EXIT(0), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK_STR(st_init(t, 0), "{\"init\":{\"sandboxId\":\"sb-1\",\"command\":[\"/bin/bash\"],"
                                 "\"tty\":true}}");
        call = script_call_at(&t->s, "StreamExec", 0);
        HAS_NOT(call->headers, "timeout");
        CHECK(call->full_duplex);
        cws_process_free(p);
    }
    STREAMING("all options of a shell stand on the wire; its timeout is one for the whole shell") {
        static const cws_pair env[] = {{"TERM", "xterm"}, {NULL, NULL}};
        cws_sandbox *sb = api_running(t);
        cws_shell_opts o;
        cws_process *p = NULL;
        memset(&o, 0, sizeof(o));
        o.width = 1;
        o.height = 65535;
        o.environment_variables = env;
        o.container = api_side(t);
        o.timeout_seconds = 20;
        script_stream(&t->s, NULL, READY, NULL)->hold = true;
        CHECK_INT(cws_shell_begin(sb, python, &o, &p, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_TIMEOUT);
        HAS(t->err.message, "timed out after 20 s");
        CHECK_INT(t->s.now - script_call_at(&t->s, "StreamExec", 0)->at, 20000);
        CHECK_STR(st_init(t, 0),
                  api_sided(t, "{\"init\":{\"sandboxId\":\"sb-1\",\"command\":[\"python3\",\"-q\"],"
                               "\"tty\":true,\"ttyWidth\":1,\"ttyHeight\":65535,"
                               "\"env\":{\"TERM\":\"xterm\"}" SIDE "}}"));
        cws_process_free(p);
    }
    STREAMING("a shell without an exit message, or an end, has failed") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        script_stream(&t->s, "{}", READY, st_out(t, "x"), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_EXECUTION);
        HAS(t->err.message, "without exit status");
        CHECK_INT(cws_process_wait(p, -1, NULL, &t->err), CWS_ERR_EXECUTION);
        cws_process_free(p);
    }
    STREAMING("exit or error before ready ends the shell at once") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        int32_t code = 0;
        script_stream(&t->s, "{}", EXIT(127), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK(cws_process_poll(p, &code) && code == 127);
        cws_process_free(p);
        script_stream(&t->s, "{}", "{\"error\":{\"message\":\"no\"}}", NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_EXECUTION);
        cws_process_free(p);
    }
    STREAMING("HTTP/1.1 on the way: a shell is unsupported, then and from the start afterwards") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        script_raw(&t->s, "StreamExec", 505, "text/plain", "no", 2);
        p = st_shell(t, sb, NULL);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "HTTP/2");
        cws_process_free(p);
        CHECK_INT(cws_shell_begin(sb, NULL, NULL, &p, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK(p == NULL);
    }
}

static void st_test_shell_flow(void)
{
    STREAMING("a shell's output nobody reads holds the stream up; reading lets it go on") {
        cws_sandbox *sb = api_running(t);
        const script_call *call;
        cws_process *p;
        script_reply *r = script_stream(&t->s, NULL, READY, NULL);
        size_t n = 0, got = 0, calls = 0, i;
        static char block[70000];
        uint64_t sum = 0;
        for (i = 0; i < 64; i++) st_big(t, r, i * 65536, 65536);
        script_message(&t->s, r, EXIT(0));
        script_envelope(&t->s, r, 2, "{}", 2);
        r->chunk = 16384;
        p = st_shell(t, sb, NULL);
        st_turns(t, 600);
        call = script_call_at(&t->s, "StreamExec", 0);
        CHECK_INT(call->closings, 1);
        CHECK_INT(call->openings, 0);
        CHECK(call->reported >= 1u << 20 && call->reported < (1u << 20) + 200000);
        CHECK(cws_client_memory(t->client).peak_bytes < 3u << 20);
        CHECK(!cws_op_done(cws_process_op(p)));
        for (;;) {
            size_t k;
            cws_status status = cws_process_read(p, CWS_STDOUT, block, 1 + calls++ * 7919 % 70000,
                                                 (api_async(t) ? 0 : -1) / 1000.0, &got, &t->err);
            if (status == CWS_ERR_WAIT_TIMEOUT) {
                CHECK_INT(cws_client_poll(t->client, 1, NULL), CWS_OK);
                continue;
            }
            if (!CHECK_INT(status, CWS_OK) || got == 0) break;
            for (k = 0; k < got; k++) sum = sum * 31 + (unsigned char)block[k];
            n += got;
        }
        CHECK_INT(n, 64 * 65536);
        CHECK(sum == st_sum(n));
        CHECK_INT(call->openings, call->closings);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        CHECK(cws_client_memory(t->client).peak_bytes < 4u << 20);
        cws_process_free(p);
    }
    STREAMING("max_output_bytes of a shell is where it stands still") {
        cws_sandbox *sb = api_running(t);
        cws_shell_opts o;
        cws_process *p;
        char text[100];
        script_reply *r = script_stream(&t->s, "{}", READY, st_out(t, "12345"), st_out(t, "678"),
                                        st_out(t, "90"), EXIT(0), NULL);
        memset(&o, 0, sizeof(o));
        o.max_output_bytes = 6;
        r->chunk = 1;
        p = st_shell(t, sb, &o);
        st_turns(t, 200);
        CHECK(!cws_op_done(cws_process_op(p)));
        CHECK_INT(p->result->out.buf.len, 8); /* it stands still behind a whole message */
        CHECK_INT(st_read_all(t, p, text, sizeof(text)), CWS_OK);
        CHECK_STR(text, "1234567890");
        cws_process_free(p);
    }
    STREAMING("a shell held up is cancelled, freed, timed out like any other") {
        cws_sandbox *sb = api_running(t);
        cws_shell_opts o;
        int i;
        memset(&o, 0, sizeof(o));
        o.max_output_bytes = 1;
        o.timeout_seconds = 30;
        for (i = 0; i < 3; i++) {
            cws_process *p;
            char text[20];
            script_stream(&t->s, NULL, READY, st_out(t, "12"), st_out(t, "34"), NULL)->hold = true;
            p = st_shell(t, sb, &o);
            st_turns(t, 20);
            CHECK(!cws_op_done(cws_process_op(p)));
            if (i == 0) CHECK(cws_process_cancel(p));
            if (i < 2) {
                CHECK_INT(st_end(t, cws_process_op(p)), i ? CWS_ERR_TIMEOUT : CWS_ERR_CANCELLED);
                CHECK_INT(st_read_all(t, p, text, sizeof(text)),
                          i ? CWS_ERR_TIMEOUT : CWS_ERR_CANCELLED);
                CHECK_STR(text, "12");
            }
            cws_process_free(p);
            CHECK(script_call_at(&t->s, "StreamExec", (size_t)i)->cancelled);
        }
    }
    STREAMING("PAUSE from on_output: one piece at a time, nothing lost, little kept") {
        static const size_t every[] = {1, 3};
        size_t e, i;
        cws_sandbox *sb = api_running(t);
        for (e = 0; e < 4; e++) {
            st_taker k;
            cws_process *p = NULL;
            script_reply *r = script_stream(&t->s, NULL, READY, NULL);
            const script_call *call;
            memset(&k, 0, sizeof(k));
            k.pause_every = every[e & 1];
            k.resume_inside = true; /* too early: without effect */
            for (i = 0; i < 60; i++) st_big(t, r, i * 60000, 60000);
            script_message(&t->s, r, EXIT(0));
            script_envelope(&t->s, r, 2, "{}", 2);
            r->chunk = 300000;
            st_reset(t);
            if (e < 2) {
                cws_shell_opts o;
                memset(&o, 0, sizeof(o));
                o.on_output = st_on_output;
                o.user = &k;
                p = st_shell(t, sb, &o);
            } else {
                cws_exec_opts o;
                memset(&o, 0, sizeof(o));
                o.on_output = st_on_output;
                o.user = &k;
                o.max_output_bytes = 10;
                CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
            }
            k.op = cws_process_op(p);
            CHECK_INT(st_resuming(t, cws_process_op(p), &k), CWS_OK);
            CHECK_INT(k.bytes, 60 * 60000);
            CHECK(k.sum == st_sum(k.bytes));
            call = script_call_at(&t->s, "StreamExec", 0);
            CHECK(call->closings > 5);
            CHECK(cws_client_memory(t->client).peak_bytes < 3u << 20);
            cws_process_free(p);
        }
    }
    STREAMING("while paused nothing arrives for long; cancel, free and the deadline still count") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 3; i++) {
            st_taker k;
            cws_exec_opts o;
            cws_process *p = NULL;
            int64_t from;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            k.pause_every = 1;
            o.on_output = st_on_output;
            o.user = &k;
            o.timeout_seconds = 10;
            script_stream(&t->s, "{}", OUT_A, OUT_B, EXIT(0), NULL);
            from = t->s.now;
            CHECK_INT(cws_exec_begin(sb, api_true, &o, &p, &t->err), CWS_OK);
            st_turns(t, 20);
            CHECK_INT(k.calls, 1);
            if (i == 0) CHECK(cws_process_cancel(p));
            if (i < 2)
                CHECK_INT(st_end(t, cws_process_op(p)), i ? CWS_ERR_TIMEOUT : CWS_ERR_CANCELLED);
            if (i == 1) CHECK_INT(t->s.now - from, 10000);
            cws_op_resume(cws_process_op(p)); /* harmless */
            cws_process_free(p);
            CHECK_INT(k.calls, 1);
        }
    }
    STREAMING("a callback may cancel the shell, or free it") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 3; i++) {
            st_taker k;
            cws_shell_opts o;
            cws_process *p;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            o.on_output = st_on_output;
            o.user = &k;
            if (i == 0) k.cancel_at = 1;
            if (i == 2) k.pause_every = 1;
            script_stream(&t->s, "{}", READY, OUT_A, OUT_B, EXIT(0), NULL);
            p = st_shell(t, sb, &o);
            if (i) {
                k.process = p;
                api_settle(t);
            } else {
                CHECK_INT(st_end(t, cws_process_op(p)), CWS_ERR_CANCELLED);
                HAS(t->err.message, "output callback");
                cws_process_free(p);
            }
            CHECK_INT(k.calls, 1);
        }
    }
}

static void st_test_shell_cuts(void)
{
    STREAMING("a shell's stream cut at every byte, in each way: never a success without the exit") {
        cws_sandbox *sb = api_running(t);
        size_t n, size = 1000, whole, successes;
        int how;
        for (how = 0; how < ST_CUTS; how++) {
            successes = 0;
            for (n = 0; n < size; n++) {
                cws_process *p;
                char text[100];
                int32_t code = 0;
                cws_status status;
                script_reply *r = script_stream(&t->s, NULL, READY, st_out(t, "hello"),
                                                st_out(t, "there"), EXIT(5), NULL);
                whole = r->size;
                script_envelope(&t->s, r, 2, "{}", 2);
                size = r->size;
                st_cut_reply(r, n, (st_cut)how);
                p = st_shell(t, sb, NULL);
                status = st_read_all(t, p, text, sizeof(text));
                CHECK(strncmp(text, "hellothere", strlen(text)) == 0);
                CHECK_INT(status, cws_op_status(cws_process_op(p), NULL));
                if (status == CWS_OK) {
                    CHECK(n >= whole); /* the exit message is the last word */
                    CHECK_STR(text, "hellothere");
                    CHECK(cws_process_poll(p, &code) && code == 5);
                    successes++;
                } else {
                    CHECK(n < whole);
                    CHECK(!cws_process_poll(p, NULL));
                }
                cws_process_free(p);
                st_reset(t);
            }
            CHECK_INT(successes, size - whole);
        }
    }
}

static void st_test_shell_arguments(void)
{
    EACH("a shell: bad arguments are refused before anything is sent") {
        static const char *const none[] = {NULL}, *const blank[] = {"", NULL},
                                *const bad[] = {"\xff", NULL};
        static const cws_pair no_name[] = {{"", "x"}, {NULL, NULL}};
        cws_sandbox *sb = api_running(t);
        cws_process *p = (cws_process *)t;
        cws_shell_opts o;
        int i;
        CHECK_INT(cws_shell_begin(NULL, NULL, NULL, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK(p == NULL);
        CHECK_INT(cws_shell_begin(sb, NULL, NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_shell_begin(sb, none, NULL, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "empty");
        CHECK_INT(cws_shell_begin(sb, blank, NULL, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_shell_begin(sb, bad, NULL, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
        for (i = 0; i < 7; i++) {
            static const char *const told[] = {"width",   "width",     "timeout", "timeout", "env",
                                               "container", "must_be_zero"};
            memset(&o, 0, sizeof(o));
            if (i == 0) o.width = 65536;
            if (i == 1) o.height = UINT32_MAX;
            if (i == 2) o.timeout_seconds = -1;
            if (i == 3) o.timeout_seconds = 2e9;
            if (i == 4) o.environment_variables = no_name;
            if (i == 5) o.container = "\xff";
            if (i == 6) o.must_be_zero = 1;
            p = (cws_process *)t;
            CHECK_INT(cws_shell_begin(sb, NULL, &o, &p, &t->err), CWS_ERR_INVALID_ARGUMENT);
            CHECK(p == NULL);
            HAS(t->err.message, told[i]);
        }
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        if (t->mode == API_PERFORM) {
            CHECK_INT(cws_shell_begin(sb, NULL, NULL, &p, &t->err), CWS_ERR_UNSUPPORTED);
            HAS(t->err.message, "HTTP/2");
            CHECK_INT(cws_client_pending(t->client), 0);
        }
    }
}

static void st_test_shell_more(void)
{
    STREAMING("a shell tells of room for input like a command does") {
        cws_sandbox *sb = api_running(t);
        cws_shell_opts o;
        cws_process *p;
        char *data = st_pattern(2 << 20);
        int room = 0;
        size_t n = 0;
        memset(&o, 0, sizeof(o));
        o.on_stdin_room = st_room;
        o.user = &room;
        api_answer_at_eof(t, NULL, 0)->delay = 100;
        p = st_shell(t, sb, &o);
        CHECK_INT(cws_process_write(p, data, 2 << 20, 0, &n, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(n, 1 << 20);
        while (!room) CHECK_INT(cws_client_poll(t->client, 0.1, &t->err), CWS_OK);
        CHECK_INT(cws_process_write(p, data + n, (2 << 20) - n, -1, NULL, &t->err), CWS_OK);
        CHECK_INT(cws_process_close_stdin(p, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_process_op(p)), CWS_OK);
        st_check_input(t, 0, NULL, 2 << 20);
        CHECK_INT(room, 1);
        cws_process_free(p);
        free(data);
    }
    STREAMING("input and resizes of a shell go out while its output is held up, or paused") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 2; i++) {
            cws_shell_opts o;
            cws_process *p;
            st_taker k;
            memset(&o, 0, sizeof(o));
            memset(&k, 0, sizeof(k));
            k.pause_every = 1;
            o.max_output_bytes = 1;
            o.user = &k;
            if (i) o.on_output = st_on_output;
            st_reset(t);
            script_stream(&t->s, NULL, READY, OUT_A, OUT_B, NULL)->hold = true;
            p = st_shell(t, sb, &o);
            st_turns(t, 10);
            CHECK_INT(cws_process_write(p, "\x03", 1, 0, NULL, &t->err), CWS_OK);
            CHECK_INT(cws_process_resize(p, 9, 8, &t->err), CWS_OK);
            st_turns(t, 5);
            CHECK_STR(script_sent(&t->s, "StreamExec", 0),
                      "{\"resize\":{\"width\":9,\"height\":8}}");
            CHECK_STR(script_sent(&t->s, "StreamExec", 1), "{\"stdin\":\"Aw==\"}");
            CHECK_INT(k.calls, i);
            cws_process_free(p);
        }
    }
    API_RUN("the unary call can not pause: its pieces come, and it ends", API_PERFORM) {
        cws_sandbox *sb = api_running(t);
        cws_exec_opts o;
        cws_result *result = NULL;
        st_taker k;
        memset(&o, 0, sizeof(o));
        memset(&k, 0, sizeof(k));
        k.pause_every = 1;
        o.on_output = st_on_output;
        o.user = &k;
        api_answer(t, 0, "out", "err");
        CHECK_INT(api_exec(t, sb, api_true, &o, &result), CWS_OK);
        CHECK_STR(k.text, "outerr");
        cws_result_free(result);
    }
}

/* ---- memory that runs out -------------------------------------------------------------------- */

static cws_status st_shell_whole(api *t, cws_sandbox *sb, bool *whole)
{
    cws_process *p = NULL;
    cws_status status;
    char text[100];
    api_answer_at_eof(t, OUT_A, 0)->chunk = 20;
    status = cws_shell_begin(sb, NULL, NULL, &p, &t->err);
    if (status) return status;
    status = cws_process_write_line(p, "x", -1, &t->err);
    if (!status) status = cws_process_resize(p, 5, 5, &t->err);
    if (!status) status = cws_process_close_stdin(p, &t->err);
    if (!status) status = st_read_all(t, p, text, sizeof(text));
    *whole = !status && strcmp(text, "a") == 0;
    cws_process_free(p);
    return status;
}

static void st_test_shell_memory(void)
{
    st_each_allocation("a shell", st_shell_whole);
}

/* ---- mistakes that were made once ------------------------------------------------------------ */

static void st_test_shell_known(void)
{
    STREAMING("K8: the result of a shell holds just the output that nobody read") {
        cws_sandbox *sb = api_running(t);
        const cws_result *r = NULL;
        cws_process *p;
        script_stream(&t->s, "{}", READY, OUT_A, EXIT(0), NULL);
        p = st_shell(t, sb, NULL);
        CHECK_INT(cws_process_wait(p, -1, &r, &t->err), CWS_OK);
        CHECK_STR(api_shown(r), "0|a|");
        cws_process_free(p);
    }
    STREAMING("K12: output of a shell that is taken behind the end of its client leaves nothing") {
        cws_sandbox *sb = api_running(t);
        cws_process *p;
        char c[8];
        size_t n = 0;
        script_stream(&t->s, NULL, READY, OUT_A, NULL)->hold = true;
        p = st_shell(t, sb, NULL);
        st_turns(t, 5);
        cws_client_free(t->client);
        t->client = NULL;
        CHECK_INT(cws_process_read(p, CWS_STDOUT, c, sizeof(c), -1, &n, &t->err), CWS_OK);
        CHECK_INT(n, 1);
        CHECK(cws_process_read(p, CWS_STDOUT, c, sizeof(c), -1, &n, &t->err) != CWS_OK);
        cws_process_free(p);
    }
}

static void (*const both[])(void) = {
    api_test_exec_arguments,
    api_test_exec,
    api_test_input,
    api_test_reading,
    st_test_shell,
    st_test_shell_flow,
    st_test_shell_cuts,
    st_test_shell_arguments,
    st_test_shell_more,
    st_test_shell_memory,
    st_test_shell_known};

int main(int argc, char **argv)
{
    test_init(argc, argv);
    op_test_exec();
    return api_both_dialects(both, CWSI_COUNT(both));
}
