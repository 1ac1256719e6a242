/* SPDX-License-Identifier: MIT
 *
 * Files over the scripted transport: read and written whole, by messages and through commands,
 * uploads and downloads; directories are in files_tree.h. A scenario is written once and runs in
 * several ways, see harness.h. Numbers are those of the lists of test cases that the service's own
 * clients were written against (FL). Usage:
 *
 *     files [part of a test's name]
 */
#include "native.h"

#include "streams.h"

#include "files_tree.h"

/* ---- helpers --------------------------------------------------------------------------------- */

/* An upload of an empty file. */
static const cws_upload_opts *st_nothing(void)
{
    static cws_upload_opts o;
    o.data = "";
    return &o;
}

/* The i-th argument of the command that the call began; 3: behind the script. */
static const char *st_arg(api *t, size_t index, size_t i)
{
    static char words[4][200];
    static unsigned turn;
    const char *json = st_init(t, index), *p = strstr(json, "\"command\":["), *end;
    char *out = words[turn++ % 4];
    *out = '\0';
    if (!p) return out;
    for (p += 11; i; i--) {
        for (p++; *p && *p != '"'; p++) p += *p == '\\';
        if (p[0] != '"' || p[1] != ',') return out;
        p += 2;
    }
    end = strchr(p + 1, '"');
    if (end) (void)snprintf(out, sizeof(words[0]), "%.*s", (int)(end - p - 1), p + 1);
    return out;
}

static size_t st_arg_count(api *t, size_t index)
{
    size_t n = 0;
    const char *json = st_init(t, index);
    while (n < 10 && (st_arg(t, index, n)[0] || strstr(json, "\"\""))) n++;
    return n;
}

/* A reply of the command that reads: out, err, exit. */
static script_reply *st_cat(api *t, const char *out, const char *err, int code)
{
    script_reply *r = script_stream(&t->s, NULL, NULL);
    char json[60];
    if (out[0]) script_message(&t->s, r, st_out(t, out));
    if (err[0]) script_message(&t->s, r, script_output(&t->s, "STDERR", err, strlen(err)));
    (void)snprintf(json, sizeof(json), "{\"exit\":{\"exitCode\":%d}}", code);
    script_message(&t->s, r, json);
    script_envelope(&t->s, r, 2, "{}", 2);
    return r;
}

/* The reply of the command that writes, which ends once it has its input. */
static script_reply *st_sink(api *t, const char *err, int code)
{
    return api_answer_at_eof(t, err[0] ? script_output(&t->s, "STDERR", err, strlen(err)) : NULL,
                             code);
}

/* A file is too large for one message. cap, size: as metadata; NULL: none. */
static void st_too_large(api *t, const char *rpc, const char *cap, const char *size)
{
    char json[400];
    (void)snprintf(json, sizeof(json),
                   "{\"reason\":\"CWSANDBOX_FILE_TOO_LARGE\",\"domain\":\"cwsandbox.com\","
                   "\"metadata\":{\"x\":\"y\"%s%s%s%s%s%s}}",
                   cap ? ",\"max_size_bytes\":\"" : "", cap ? cap : "", cap ? "\"" : "",
                   size ? ",\"size_bytes\":\"" : "", size ? size : "", size ? "\"" : "");
    script_error(&t->s, rpc, "internal", "too big",
                 script_detail(&t->s, "google.rpc.ErrorInfo", json));
}

static cws_status st_upload(api *t, cws_sandbox *sb, const char *path, const cws_upload_opts *o)
{
    cws_op *op = NULL;
    cws_status begun;
    if (!api_async(t)) return cws_upload(sb, path, o, &t->err);
    begun = cws_upload_begin(sb, path, o, &op, &t->err);
    return api_finish(t, begun, op);
}

/* A download by a callback (how 0) or by asking (1). */
static cws_status st_download(api *t, cws_sandbox *sb, const char *path,
                              const cws_download_opts *opts, int how, st_got *g)
{
    cws_stream *stream = NULL;
    cws_download_opts o;
    cws_status status;
    memset(&o, 0, sizeof(o));
    if (opts) o = *opts;
    memset(g, 0, sizeof(*g));
    memset(&t->err, 0, sizeof(t->err));
    if (!how) {
        o.on_item = st_note_item;
        o.user = g;
        if (!api_async(t)) return cws_download(sb, path, &o, &t->err);
    }
    status = cws_download_begin(sb, path, &o, &stream, &t->err);
    if (!CHECK_INT(status, CWS_OK)) return status;
    status = how ? st_pull(t, stream, g) : api_drive(t, cws_stream_op(stream));
    cws_stream_free(stream);
    return status;
}

#define MIB(n) ((size_t)(n) << 20)

/* ---- whole, by a message --------------------------------------------------------------------- */

static void api_test_file_arguments(void)
{
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
}

static void api_test_files(void)
{
    EACH("FL-1: read: the bytes as they are, a NUL behind; write: the bytes as they are") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        cws_file_opts o;
        memset(&o, 0, sizeof(o));
        script_ok(&t->s, "ReadFile", "{\"content\":\"AP9h\"}");
        CHECK_INT(api_read(t, sb, "rel path", NULL, &bytes), CWS_OK);
        CHECK(memcmp(cws_bytes_data(bytes), "\0\xff" "a\0", 4) == 0);
        CHECK_INT(cws_bytes_size(bytes), 3);
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
        CHECK_STR((const char *)cws_bytes_data(bytes), "");
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

/* ---- whole, through a command ---------------------------------------------------------------- */

static void st_test_read(void)
{
    STREAMING("FL-7: a read that fits is one message, and no command") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        script_ok(&t->s, "ReadFile", "{\"content\":\"YQ==\"}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        CHECK_STR(script_calls(&t->s), "ReadFile");
    }
    STREAMING("FL-8 9 15: any exhaustion: read through a command, raw, without input or close") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        cws_file_opts o;
        const script_call *call;
        memset(&o, 0, sizeof(o));
        o.container = api_side(t);
        script_error(&t->s, "ReadFile", "resource_exhausted", "whatever", NULL);
        script_stream(&t->s, "{}", script_output(&t->s, "STDOUT", "\0\xff", 2),
                      script_output(&t->s, "STDERR", "noise", 5), st_out(t, "rest"), EXIT(0), NULL);
        CHECK_INT(api_read(t, sb, "/a $(b) 'c'", &o, &bytes), CWS_OK);
        CHECK(bytes && memcmp(cws_bytes_data(bytes), "\0\xffrest\0", 7) == 0);
        CHECK_INT(cws_bytes_size(bytes), 6);
        cws_bytes_free(bytes);
        CHECK_STR(script_calls(&t->s), "ReadFile StreamExec");
        CHECK_STR(st_arg(t, 0, 0), "/bin/sh");
        CHECK_STR(st_arg(t, 0, 1), "-c");
        CHECK_STR(st_arg(t, 0, 3), "cwsandbox-read-file");
        CHECK_STR(st_arg(t, 0, 4), "/a $(b) 'c'");
        CHECK(!strstr(st_init(t, 0), SIDE) == t->s.b2);
        HAS_NOT(st_init(t, 0), "tty");
        call = script_call_at(&t->s, "StreamExec", 0);
        CHECK_INT(call->sent_bytes, 0);
        CHECK(!call->fin);
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0); /* no exec in any statistic */
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_completed_ok, 0);
    }
    STREAMING("an empty file is read through a command too") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        script_error(&t->s, "ReadFile", "resource_exhausted", "whatever", NULL);
        st_cat(t, "", "", 0);
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        CHECK_INT(cws_bytes_size(bytes), 0);
        CHECK_STR((const char *)cws_bytes_data(bytes), "");
        cws_bytes_free(bytes);
    }
    STREAMING("FL-11: what the command says of the file is the reason, with path and text") {
        static const struct {
            int code;
            const char *err, *reason, *told;
        } rows[] = {{2, "File not found: /x\n", "CWSANDBOX_FILE_NOT_FOUND", "File not found: /x"},
                    {3, "Path is a directory: /x", "CWSANDBOX_FILE_IS_DIRECTORY", "a directory"},
                    {1, "cat: read error \n\n", "CWSANDBOX_FILE_IO_FAILED", "cat: read error"},
                    {137, "", "CWSANDBOX_FILE_IO_FAILED", "exit code 137"}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            cws_bytes *bytes = NULL;
            script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
            st_cat(t, i == 2 ? "some bytes" : "", rows[i].err, rows[i].code);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_FILE);
            CHECK(bytes == NULL);
            CHECK_STR(t->err.reason, rows[i].reason);
            CHECK_STR(t->err.filepath, "/x");
            CHECK_STR(cws_error_metadata(&t->err, "operation"), "read_file");
            HAS(t->err.message, rows[i].told);
            CHECK_STR(t->err.sandbox_id, "sb-1");
        }
    }
    STREAMING("FL-12 13 14: fewer bytes than the service told are an error; more are not") {
        static const char *const sizes[] = {"5", "4", "3", "0"};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(sizes); i++) {
            cws_bytes *bytes = NULL;
            st_too_large(t, "ReadFile", NULL, sizes[i]);
            st_cat(t, "abcd", "", 0);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), i ? CWS_OK : CWS_ERR_FILE);
            CHECK_INT(cws_bytes_size(bytes), i ? 4 : 0);
            cws_bytes_free(bytes);
            if (i) continue;
            CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TRUNCATED");
            CHECK_STR(cws_error_metadata(&t->err, "size_bytes"), "5");
            CHECK_STR(cws_error_metadata(&t->err, "bytes_delivered"), "4");
            CHECK_STR(cws_error_metadata(&t->err, "filepath"), "/x");
            HAS(t->err.message, "truncated");
        }
    }
    STREAMING("FL-21 23: a read over 256 MiB, or of a size that is not told, fails as it is") {
        static const char *const sizes[] = {"536870912", "268435457", NULL, "many", "-1",
                                            "99999999999999999999999"};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(sizes); i++) {
            cws_bytes *bytes = NULL;
            st_too_large(t, "ReadFile", "1000", sizes[i]);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_FILE);
            CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TOO_LARGE");
            HAS(t->err.message, "too big");
        }
        CHECK_INT(script_count(&t->s, "StreamExec"), 0);
    }
    STREAMING("a read through a command that fails otherwise fails as that did") {
        static const struct {
            const char *json, *end;
            cws_status status;
        } rows[] = {{"{\"error\":{\"message\":\"lost\",\"code\":\"STREAM_BACKPRESSURE\"}}", "{}",
                     CWS_ERR_STREAM_BACKPRESSURE},
                    {"{\"error\":{\"message\":\"lost\",\"code\":\"STREAM_TRUNCATED\"}}", "{}",
                     CWS_ERR_STREAM_TRUNCATED},
                    {"{\"error\":{\"message\":\"lost\"}}", "{}", CWS_ERR_FILE},
                    {"{}", "{}", CWS_ERR_FILE}, /* no exit */
                    {"{}", GONE, CWS_ERR_UNAVAILABLE},
                    {"{}", "{\"error\":{\"code\":\"permission_denied\"}}", CWS_ERR_AUTHENTICATION}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            cws_bytes *bytes = NULL;
            script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
            script_stream(&t->s, rows[i].end, st_out(t, "abc"), rows[i].json, NULL);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), rows[i].status);
            CHECK(bytes == NULL);
            CHECK_STR(t->err.filepath, "/x");
            if (i < 3) HAS(t->err.message, "lost");
            if (i == 3) HAS(t->err.message, "without exit status");
        }
    }
    STREAMING("one deadline for the message and the command behind it") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        cws_file_opts o;
        int64_t from = t->s.now;
        memset(&o, 0, sizeof(o));
        o.timeout_seconds = 5;
        script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL)->delay = 4000;
        script_stream(&t->s, NULL, OUT_A, NULL)->hold = true;
        CHECK_INT(api_read(t, sb, "/x", &o, &bytes), CWS_ERR_REQUEST_TIMEOUT);
        HAS(t->err.message, "'/x' timed out after 5000 ms");
        CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->timeout_ms, 1000);
        CHECK_INT(t->s.now - from, 5000);
        CHECK(script_call_at(&t->s, "StreamExec", 0)->cancelled);
    }
    EACH("without streams in both directions a file that is too large fails as the service said") {
        cws_sandbox *sb;
        cws_bytes *bytes = NULL;
        t->s.transport.full_duplex = false;
        sb = api_running(t);
        st_too_large(t, "ReadFile", NULL, "1000");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_FILE);
        CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TOO_LARGE");
        script_error(&t->s, "ReadFile", "resource_exhausted", "full", NULL);
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_ERR_RESOURCE_EXHAUSTED);
        st_too_large(t, "WriteFile", "2", NULL);
        CHECK_INT(api_write(t, sb, "/x", "abc", 3, NULL), CWS_ERR_FILE);
        CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TOO_LARGE");
    }
    STREAMING("a read through a command cut at every byte is whole or a failure") {
        cws_sandbox *sb = api_running(t);
        size_t n, size = 1000, exit_at = 0;
        int cut, sized;
        for (cut = 0; cut < ST_CUTS; cut++)
            for (n = 0; n <= size; n++) {
                cws_bytes *bytes = NULL;
                script_reply *r;
                cws_status status;
                sized = (int)n & 1;
                if (sized) st_too_large(t, "ReadFile", NULL, "10");
                else script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
                r = script_stream(&t->s, NULL, st_out(t, "hello"), st_out(t, "there"), EXIT(0),
                                  NULL);
                exit_at = r->size;
                script_envelope(&t->s, r, 2, "{}", 2);
                size = r->size;
                st_cut_reply(r, n, (st_cut)cut);
                status = api_read(t, sb, "/x", NULL, &bytes);
                CHECK((status == CWS_OK) == (n >= exit_at));
                if (!status) CHECK_STR((const char *)cws_bytes_data(bytes), "hellothere");
                else CHECK(bytes == NULL);
                cws_bytes_free(bytes);
                st_reset(t);
            }
    }
    STREAMING("the first file of a sandbox through a command is logged, once") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        const char *first;
        int i;
        for (i = 0; i < 3; i++) {
            script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
            st_cat(t, "x", "", 0);
            CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
            cws_bytes_free(bytes);
        }
        first = strstr(t->said, "go through StreamExec");
        CHECK(first && !strstr(first + 1, "go through StreamExec"));
    }
}

static void st_test_write(void)
{
    STREAMING("FL-3 20 22: the service's cap is learnt: one message, a command; then the command") {
        cws_sandbox *sb = api_running(t);
        char *data = st_pattern(200000);
        script_ok(&t->s, "WriteFile", "{}");
        CHECK_INT(api_write(t, sb, "/x", data, 200000, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "WriteFile");
        st_reset(t);
        st_too_large(t, "WriteFile", "150000", NULL);
        st_sink(t, "", 0);
        CHECK_INT(api_write(t, sb, "/x", data, 200000, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "WriteFile StreamExec");
        st_check_input(t, 0, NULL, 200000);
        st_reset(t);
        st_sink(t, "", 0);
        CHECK_INT(api_write(t, sb, "/x", data, 150001, NULL), CWS_OK);
        script_ok(&t->s, "WriteFile", "{}");
        CHECK_INT(api_write(t, sb, "/x", data, 150000, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "StreamExec WriteFile");
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        free(data);
    }
    STREAMING("FL-5 6: an exhaustion means the size of the message only if it says so") {
        static const struct {
            const char *text;
            bool bridged;
        } rows[] = {{"Received Message LARGER than MAX (5 vs. 4)", true},
                    {"over max-file-operation-bytes", true},
                    {"quota: larger than max", false},
                    {"message too long", false},
                    {"", false}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            script_error(&t->s, "WriteFile", "resource_exhausted", rows[i].text, NULL);
            if (rows[i].bridged) st_sink(t, "", 0);
            st_reset(t);
            CHECK_INT(api_write(t, sb, "/x", "abc", 3, NULL),
                      rows[i].bridged ? CWS_OK : CWS_ERR_RESOURCE_EXHAUSTED);
            CHECK_INT(script_count(&t->s, "StreamExec"), rows[i].bridged);
            if (rows[i].bridged) st_check_input(t, 0, "abc", 3);
        }
    }
    STREAMING("FL-10: the command of a write: path, size, a name beside; raw bytes, once") {
        cws_sandbox *sb = api_running(t);
        cws_file_opts o;
        int i;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < 2; i++) {
            st_reset(t);
            o.write_mode = i == 1 ? CWS_WRITE_DIRECT : CWS_WRITE_DEFAULT;
            st_too_large(t, "WriteFile", NULL, NULL);
            st_sink(t, "", 0);
            CHECK_INT(api_write(t, sb, "/d/$(x)", "\0\xff\n", 3, &o), CWS_OK);
            CHECK_STR(script_calls(&t->s), "WriteFile StreamExec");
            CHECK_STR(st_arg(t, 0, 0), "/bin/sh");
            CHECK_STR(st_arg(t, 0, 3), "cwsandbox-write-file");
            CHECK_STR(st_arg(t, 0, 4), "/d/$(x)");
            CHECK_STR(st_arg(t, 0, 5), "3");
            CHECK_INT(strlen(st_arg(t, 0, 6)), i ? 0 : 36);
            CHECK_INT(st_arg_count(t, 0) >= 7, 1);
            st_check_input(t, 0, "\0\xff\n", 3);
        }
    }
    STREAMING("FL-16: a write that fails says what became of the file") {
        static const struct {
            const char *err;
            int code;
            const char *reason, *told;
        } rows[] = {{"/x: not all of 3 bytes arrived\n", 1, "", "not all of 3 bytes"},
                    {"", 139, "", "exit code 139"},
                    {"File not found: no directory /d", 2, "CWSANDBOX_FILE_NOT_FOUND",
                     "no directory"},
                    {"Path is a directory: /x", 3, "CWSANDBOX_FILE_IS_DIRECTORY", "directory"}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < 2 * CWSI_COUNT(rows); i++) {
            cws_file_opts o;
            memset(&o, 0, sizeof(o));
            o.write_mode = i & 1 ? CWS_WRITE_DIRECT : CWS_WRITE_ATOMIC;
            st_too_large(t, "WriteFile", NULL, NULL);
            st_sink(t, rows[i / 2].err, rows[i / 2].code);
            CHECK_INT(api_write(t, sb, "/x", "abc", 3, &o), CWS_ERR_FILE);
            CHECK_STR(t->err.reason, rows[i / 2].reason);
            CHECK_STR(t->err.filepath, "/x");
            HAS(t->err.message, rows[i / 2].told);
            if (i < 4) HAS(t->err.message,
                           o.write_mode == CWS_WRITE_DIRECT ? "partial or truncated"
                                                             : "the target is ");
            else HAS_NOT(t->err.message, "target");
        }
    }
    STREAMING("a write whose command fails is a failure of the file, but for what has a type") {
        static const struct {
            const char *json, *end;
            cws_status status;
        } rows[] = {{"{\"error\":{\"message\":\"lost\",\"code\":\"STREAM_BACKPRESSURE\"}}", "{}",
                     CWS_ERR_STREAM_BACKPRESSURE},
                    {"{\"error\":{\"message\":\"lost\"}}", "{}", CWS_ERR_FILE},
                    {READY, "{}", CWS_ERR_FILE}, /* no exit */
                    {READY, GONE, CWS_ERR_FILE},
                    {"{}", "{\"error\":{\"code\":\"permission_denied\"}}", CWS_ERR_AUTHENTICATION}};
        cws_sandbox *sb = api_running(t);
        cws_file_opts o;
        size_t i;
        memset(&o, 0, sizeof(o));
        o.write_mode = CWS_WRITE_DIRECT;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            st_too_large(t, "WriteFile", NULL, NULL);
            script_stream(&t->s, rows[i].end, rows[i].json, NULL);
            CHECK_INT(api_write(t, sb, "/x", "abc", 3, &o), rows[i].status);
            CHECK_STR(t->err.filepath, "/x");
            if (rows[i].status == CWS_ERR_FILE) HAS(t->err.message, "partial or truncated");
        }
        st_too_large(t, "WriteFile", NULL, NULL);
        script_never(&t->s, "StreamExec"); /* not even ready */
        CHECK_INT(api_write(t, sb, "/x", "abc", 3, &o), CWS_ERR_REQUEST_TIMEOUT);
        HAS(t->err.message, "ready");
    }
    EACH("FL-18: a write over 256 MiB is refused, with the numbers, before anything is sent") {
        cws_sandbox *sb = api_running(t);
        CHECK_INT(api_write(t, sb, "/x", "", MIB(256) + 1, NULL), CWS_ERR_FILE);
        CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TOO_LARGE");
        CHECK_STR(t->err.filepath, "/x");
        CHECK_STR(cws_error_metadata(&t->err, "size_bytes"), "268435457");
        CHECK_STR(cws_error_metadata(&t->err, "max_size_bytes"), "268435456");
        CHECK_STR(cws_error_metadata(&t->err, "operation"), "write_file");
        CHECK_INT(t->s.call_count, 0);
        if (t->mode != API_PERFORM) continue;
        CHECK_INT(api_write(t, sb, "/x", "", MIB(32) + 1, NULL), CWS_ERR_UNSUPPORTED);
        CHECK_INT(t->s.call_count, 0);
    }
    STREAMING("FL-4: one byte over 32 MiB goes through a command at once") {
        cws_sandbox *sb;
        char *data = st_pattern(MIB(32) + 1);
        t->copts.trace = NULL;
        sb = api_running(t);
        st_sink(t, "", 0);
        CHECK_INT(api_write(t, sb, "/x", data, MIB(32) + 1, NULL), CWS_OK);
        CHECK_STR(script_calls(&t->s), "StreamExec");
        CHECK_STR(st_arg(t, 0, 5), "33554433");
        st_check_input(t, 0, NULL, MIB(32) + 1);
        st_reset(t);
        free(data);
    }
    for (int mode = API_ASYNC; mode < API_MODES; mode += API_PERFORM - API_ASYNC)
        API_RUN("FL-24: 32 MiB are one message", mode) {
            cws_sandbox *sb;
            char *data = st_pattern(MIB(32));
            t->copts.trace = NULL;
            sb = api_running(t);
            script_ok(&t->s, "WriteFile", "{}");
            CHECK_INT(api_write(t, sb, "/x", data, MIB(32), NULL), CWS_OK);
            CHECK_STR(script_calls(&t->s), "WriteFile");
            free(data);
        }
    ONCE("FL-19 24 25: 64 and 256 MiB through a command; 99 MiB are the most for one message") {
        static const size_t sizes[] = {MIB(64), MIB(99) + 1, MIB(256)};
        cws_sandbox *sb;
        char *data = (char *)calloc(1, MIB(256));
        size_t i;
        if (!data) abort();
        t->copts.trace = NULL;
        t->s.forget = true;
        sb = api_running(t);
        for (i = 0; i < 3; i++) {
            if (i == 1) { /* a cap that is larger than what a message can hold */
                st_too_large(t, "WriteFile", "209715200", NULL);
                st_sink(t, "", 0);
                CHECK_INT(api_write(t, sb, "/x", data, 10, NULL), CWS_OK);
            }
            st_reset(t);
            st_sink(t, "", 0);
            CHECK_INT(api_write(t, sb, "/x", data, sizes[i], NULL), CWS_OK);
            CHECK_STR(script_calls(&t->s), "StreamExec");
            CHECK(script_call_at(&t->s, "StreamExec", 0)->sent_bytes > sizes[i]);
        }
        free(data);
    }
    STREAMING("the reply of a writing command cut at every byte: no success without the exit") {
        cws_sandbox *sb = api_running(t);
        size_t n, size = 1000, exit_at = 0;
        int cut;
        for (cut = 0; cut < ST_CUTS; cut++)
            for (n = 0; n <= size; n++) {
                script_reply *r;
                cws_status status;
                st_too_large(t, "WriteFile", NULL, NULL);
                r = st_sink(t, "", 0);
                size = r->size;
                exit_at = size - 7;
                if (n <= r->until_fin) r->until_fin = 0;
                st_cut_reply(r, n, (st_cut)cut);
                status = api_write(t, sb, "/x", "abc", 3, NULL);
                CHECK((status == CWS_OK) == (n >= exit_at));
                if (!status) st_check_input(t, 0, "abc", 3);
                st_reset(t);
            }
    }
}

/* ---- uploads --------------------------------------------------------------------------------- */

typedef struct st_source {
    size_t left, done, most; /* most: of one piece */
    size_t pause_every, calls, cancel_at;
    bool lie; /* says more than there is room for */
    cws_progress last;
    size_t told;
} st_source;

static cws_flow st_give(void *buffer, size_t size, size_t *count, void *user)
{
    st_source *s = (st_source *)user;
    size_t n = s->left < size ? s->left : size, i;
    CHECK_INT(size, 65536);
    s->calls++;
    if (s->most && n > s->most) n = s->most;
    for (i = 0; i < n; i++)
        ((char *)buffer)[i] = (char)((s->done + i) * 31 + (s->done + i) / 253);
    *count = s->lie ? size + 1 : n;
    s->left -= n;
    s->done += n;
    if (s->calls == s->cancel_at) return CWS_FLOW_CANCEL;
    if (n == 0) return CWS_FLOW_CONTINUE; /* the end */
    return s->pause_every && s->calls % s->pause_every == 0 ? CWS_FLOW_PAUSE : CWS_FLOW_CONTINUE;
}

static void st_progress(const cws_progress *p, void *user)
{
    st_source *s = (st_source *)user;
    CHECK(p->bytes_done >= s->last.bytes_done && p->bytes_per_second >= 0);
    CHECK(!p->bytes_total || p->bytes_done <= p->bytes_total);
    s->last = *p;
    s->told++;
}

static cws_upload_opts st_from(st_source *s, size_t size)
{
    cws_upload_opts o;
    memset(s, 0, sizeof(*s));
    memset(&o, 0, sizeof(o));
    s->left = size;
    o.source = st_give;
    o.on_progress = st_progress;
    o.user = s;
    return o;
}

static void st_test_upload(void)
{
    STREAMING("FL-26 27: pieces of a source, of any size, go on in frames of at most 64 KiB") {
        static const size_t most[] = {0, 1, 1000, 65535};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(most); i++) {
            st_source s;
            size_t size = i == 1 ? 3000 : 2500000;
            cws_upload_opts o = st_from(&s, size);
            s.most = most[i];
            t->s.send_most = i == 2 ? 20000 : 0;
            st_reset(t);
            st_sink(t, "", 0);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_OK);
            CHECK_STR(script_calls(&t->s), "StreamExec");
            st_check_input(t, 0, NULL, size);
            CHECK_STR(st_arg(t, 0, 3), "cwsandbox-write-file");
            CHECK_STR(st_arg(t, 0, 4), "/x");
            CHECK_STR(st_arg(t, 0, 5), "");
            CHECK_STR(st_arg(t, 0, 6), "");
            CHECK_INT(s.last.bytes_done, size);
            CHECK_INT(s.last.bytes_total, 0);
            CHECK(cws_client_memory(t->client).peak_bytes < 3u << 20);
        }
    }
    STREAMING("an upload from memory, and one of nothing, have their size with them") {
        cws_sandbox *sb = api_running(t);
        char *data = st_pattern(300000);
        size_t i;
        for (i = 0; i < 4; i++) {
            st_source s;
            cws_upload_opts o = st_from(&s, 0);
            o.source = NULL;
            o.write_mode = i & 1 ? CWS_WRITE_ATOMIC : CWS_WRITE_DIRECT;
            o.data = i < 2 ? data : "";
            o.size = i < 2 ? 300000 : 0;
            o.container = api_side(t);
            st_reset(t);
            st_sink(t, "", 0);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_OK);
            CHECK_STR(script_calls(&t->s), "StreamExec");
            st_check_input(t, 0, NULL, i < 2 ? 300000 : 0);
            CHECK_STR(st_arg(t, 0, 5), i < 2 ? "300000" : "0");
            CHECK_INT(strlen(st_arg(t, 0, 6)), i & 1 ? 36 : 0);
            CHECK(!strstr(st_init(t, 0), SIDE) == t->s.b2);
            CHECK_INT(s.last.bytes_done, o.size);
            CHECK_INT(s.last.bytes_total, o.size);
        }
        st_reset(t);
        st_sink(t, "", 0);
        CHECK_INT(st_upload(t, sb, "/x", st_nothing()), CWS_OK); /* an empty file */
        st_check_input(t, 0, NULL, 0);
        free(data);
    }
    STREAMING("atomic and of unknown size: written beside, then counted and put in its place") {
        cws_sandbox *sb = api_running(t);
        st_source s;
        cws_upload_opts o = st_from(&s, 100000);
        char token[40];
        o.write_mode = CWS_WRITE_ATOMIC;
        st_sink(t, "", 0);
        st_cat(t, "", "", 0);
        CHECK_INT(st_upload(t, sb, "/x", &o), CWS_OK);
        CHECK_STR(script_calls(&t->s), "StreamExec StreamExec");
        st_check_input(t, 0, NULL, 100000);
        CHECK_STR(st_arg(t, 0, 5), "");
        (void)snprintf(token, sizeof(token), "%s", st_arg(t, 0, 6));
        CHECK_INT(strlen(token), 36);
        CHECK_STR(st_arg(t, 1, 5), "100000");
        CHECK_STR(st_arg(t, 1, 6), token);
        CHECK_STR(st_arg(t, 1, 7), "commit");
        CHECK_INT(script_call_at(&t->s, "StreamExec", 1)->sent_bytes, 0);
        CHECK_INT(s.last.bytes_done, 100000);
        o = st_from(&s, 10); /* the second step fails */
        o.write_mode = CWS_WRITE_ATOMIC;
        st_sink(t, "", 0);
        st_cat(t, "", "/x: not all of 10 bytes arrived", 1);
        CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_FILE);
        HAS(t->err.message, "not all of 10");
        o = st_from(&s, 10); /* it is lost: who knows */
        o.write_mode = CWS_WRITE_ATOMIC;
        st_sink(t, "", 0);
        script_stream(&t->s, GONE, NULL);
        CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_FILE);
        HAS(t->err.message, "the old file, or whole");
    }
    STREAMING("FL-28: a failed upload says what became of the file; backpressure keeps its type") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 2; i++) {
            st_source s;
            cws_upload_opts o = st_from(&s, 5000000);
            o.write_mode = i == 1 ? CWS_WRITE_ATOMIC : CWS_WRITE_DEFAULT;
            script_stream(&t->s, "{}", READY, "{\"error\":{\"message\":\"x\"}}", NULL);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_FILE);
            HAS(t->err.message, i ? "the target is as it was" : "partial or truncated");
            o = st_from(&s, 5000000);
            o.write_mode = i == 1 ? CWS_WRITE_ATOMIC : CWS_WRITE_DEFAULT;
            script_stream(&t->s, "{}", READY,
                          "{\"error\":{\"message\":\"x\",\"code\":\"STREAM_BACKPRESSURE\"}}", NULL);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_STREAM_BACKPRESSURE);
            o = st_from(&s, 5000000);
            o.write_mode = i == 1 ? CWS_WRITE_ATOMIC : CWS_WRITE_DEFAULT;
            o.timeout_seconds = 3;
            script_stream(&t->s, NULL, READY, NULL)->hold = true;
            t->s.send_most = 1;
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_REQUEST_TIMEOUT);
            HAS(t->err.message, i ? "the target is as it was" : "partial or truncated");
            t->s.send_most = 0;
            o = st_from(&s, 5000000); /* it ended well, but early */
            o.write_mode = i == 1 ? CWS_WRITE_ATOMIC : CWS_WRITE_DEFAULT;
            script_stream(&t->s, "{}", READY, EXIT(0), NULL);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_FILE);
            HAS(t->err.message, i ? "the target is as it was" : "partial or truncated");
        }
    }
    STREAMING("FL-29: a source that gives up, gives too much, or not what was said") {
        cws_sandbox *sb = api_running(t);
        st_source s;
        int i;
        for (i = 0; i < 5; i++) {
            static const cws_status want[] = {CWS_ERR_CANCELLED, CWS_ERR_CANCELLED,
                                              CWS_ERR_INVALID_ARGUMENT, CWS_ERR_INVALID_ARGUMENT,
                                              CWS_ERR_INVALID_ARGUMENT};
            cws_upload_opts o = st_from(&s, 300000);
            st_reset(t);
            if (i < 2) s.cancel_at = i ? 3 : 1;
            if (i == 2) s.lie = true;
            if (i == 3) o.size = 300001;
            if (i == 4) o.size = 299999;
            script_stream(&t->s, NULL, READY, NULL)->hold = true;
            CHECK_INT(st_upload(t, sb, "/x", &o), want[i]);
            HAS(t->err.message, i < 2 ? "source callback" : "source gave");
            CHECK_STR(t->err.filepath, "/x");
            st_turns(t, 3);
            CHECK_INT(cws_client_pending(t->client), 0); /* nothing stays behind on the wire */
            CHECK(script_call_at(&t->s, "StreamExec", 0)->cancelled ||
                  !script_count(&t->s, "StreamExec"));
            CHECK(t->s.open == NULL);
            if (!script_count(&t->s, "StreamExec")) t->s.last->times = 0;
        }
    }
    STREAMING("PAUSE from a source: not asked again until it is resumed; nothing lost or doubled") {
        static const size_t most[] = {65536, 1000, 0};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < 3; i++) {
            st_source s;
            cws_upload_opts o = st_from(&s, i == 1 ? 50000 : 1000000);
            cws_op *op = NULL;
            size_t calls;
            s.most = most[i];
            s.pause_every = i == 2 ? 3 : 1;
            o.write_mode = i == 2 ? CWS_WRITE_ATOMIC : CWS_WRITE_DEFAULT;
            st_reset(t);
            st_sink(t, "", 0);
            if (o.write_mode == CWS_WRITE_ATOMIC) st_cat(t, "", "", 0);
            CHECK_INT(cws_upload_begin(sb, "/x", &o, &op, &t->err), CWS_OK);
            while (!cws_op_done(op) && s.calls < 1000) {
                st_turns(t, 4);
                calls = s.calls;
                st_turns(t, 3);
                CHECK_INT(s.calls, calls);
                cws_op_resume(op);
            }
            CHECK_INT(cws_op_status(op, &t->err), CWS_OK);
            st_check_input(t, 0, NULL, i == 1 ? 50000 : 1000000);
            cws_op_free(op);
        }
    }
    STREAMING("a paused upload: cancel, free, the deadline") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 3; i++) {
            st_source s;
            cws_upload_opts o = st_from(&s, 1000000);
            cws_op *op = NULL;
            int64_t from = t->s.now;
            s.pause_every = 1;
            o.timeout_seconds = 20;
            st_reset(t);
            script_stream(&t->s, NULL, READY, NULL)->hold = true;
            CHECK_INT(cws_upload_begin(sb, "/x", &o, &op, &t->err), CWS_OK);
            st_turns(t, 20);
            CHECK_INT(s.calls, 1);
            if (i == 0) CHECK(cws_op_cancel(op));
            if (i < 2) CHECK_INT(st_end(t, op), i ? CWS_ERR_REQUEST_TIMEOUT : CWS_ERR_CANCELLED);
            if (i == 1) CHECK(t->s.now - from >= 20000 && t->s.now - from <= 30000);
            cws_op_free(op);
            st_turns(t, 2);
            CHECK(t->s.open == NULL);
            CHECK_INT(s.calls, 1);
        }
    }
    STREAMING("progress is told ten times a second at most, and at the end") {
        cws_sandbox *sb = api_running(t);
        st_source s;
        cws_upload_opts o = st_from(&s, 2000000);
        int64_t from = t->s.now;
        t->s.send_most = 1000;
        o.size = 2000000;
        st_sink(t, "", 0);
        CHECK_INT(st_upload(t, sb, "/x", &o), CWS_OK);
        CHECK(s.told > 5 && s.told <= (size_t)(t->s.now - from) / 100 + 1);
        CHECK_INT(s.last.bytes_done, 2000000);
        CHECK_INT(s.last.bytes_total, 2000000);
        CHECK(s.last.bytes_per_second > 100);
    }
    STREAMING("an upload starts the sandbox; an ended one has none; HTTP/1.1 on the way") {
        cws_sandbox *sb = api_box(t, NULL);
        script_ok(&t->s, "CreateSandbox", BOX("PENDING"));
        script_ok(&t->s, "GetSandbox", BOX("RUNNING"));
        script_raw(&t->s, "StreamExec", 505, "text/plain", "no", 2);
        CHECK_INT(st_upload(t, sb, "/x", st_nothing()), CWS_ERR_UNSUPPORTED);
        CHECK_STR(script_calls(&t->s), "CreateSandbox GetSandbox StreamExec");
        CHECK_INT(st_upload(t, sb, "/x", st_nothing()), CWS_ERR_UNSUPPORTED); /* at once */
        CHECK_INT(t->s.call_count, 3);
    }
    STREAMING("FL-2: an ended or draining sandbox takes and gives no files") {
        static const char *const states[] = {EXITED("COMPLETED", 0), BOX("TERMINATING")};
        size_t i;
        for (i = 0; i < 2; i++) {
            cws_sandbox *sb = api_found(t, states[i]);
            st_got g;
            CHECK_INT(st_upload(t, sb, "/x", st_nothing()), CWS_ERR_NOT_RUNNING);
            CHECK_INT(st_download(t, sb, "/x", NULL, 0, &g), CWS_ERR_NOT_RUNNING);
            CHECK_INT(st_download(t, sb, "/x", NULL, 1, &g), CWS_ERR_NOT_RUNNING);
            CHECK_INT(t->s.call_count, 0);
        }
    }
}

/* ---- downloads ------------------------------------------------------------------------------- */

/* The reply of the command that asks for the size. NULL: it can not tell. */
static script_reply *st_stat(api *t, const char *size)
{
    return st_cat(t, size ? size : "", "", size ? 0 : 1);
}

static void st_test_download(void)
{
    STREAMING("FL-31 32: pieces in order, each with its place; one request, no input") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        cws_download_opts o;
        st_source s;
        st_got g;
        size_t i;
        memset(&o, 0, sizeof(o));
        memset(&s, 0, sizeof(s));
        o.container = api_side(t);
        if (how) o.on_progress = st_progress, o.user = &s;
        st_stat(t, "7\n");
        script_stream(&t->s, "{}", script_output(&t->s, "STDOUT", "\0\n", 2), st_out(t, "abc"),
                      script_output(&t->s, "STDERR", "noise", 5), st_out(t, "de"), EXIT(0),
                      NULL)->chunk = 11;
        st_reset(t);
        CHECK_INT(st_download(t, sb, "-x", &o, how, &g), CWS_OK);
        CHECK_INT(g.bytes, 7);
        HAS(g.text, "0$|");
        for (i = 0; i < g.count; i++) CHECK(i == 0 ? g.at[i].offset == 0 : g.at[i].offset > 0);
        CHECK_STR(script_calls(&t->s), "StreamExec StreamExec");
        for (i = 0; i < 2; i++) {
            CHECK_STR(st_arg(t, i, 0), "/bin/sh");
            CHECK_STR(st_arg(t, i, 3), i ? "cwsandbox-read-file" : "cwsandbox-stat");
            CHECK_STR(st_arg(t, i, 4), "-x");
            CHECK(!strstr(st_init(t, i), SIDE) == t->s.b2);
            CHECK_INT(script_call_at(&t->s, "StreamExec", i)->sent_bytes, 0);
        }
        CHECK_INT(cws_sandbox_exec_stats(sb).exec_count, 0);
        if (how) CHECK(s.last.bytes_done == 7 && s.last.bytes_total == 7);
        st_reset(t);
    }
    STREAMING("an empty file is an end without an item") BOTH_WAYS {
        cws_sandbox *sb = api_running(t);
        st_got g;
        st_stat(t, "0\n");
        st_cat(t, "", "", 0);
        CHECK_INT(st_download(t, sb, "/x", NULL, how, &g), CWS_OK);
        CHECK_INT(g.count, 0);
        st_reset(t);
    }
    STREAMING("FL-33: exit codes of the command are reasons; what came before them was delivered")
    BOTH_WAYS {
        static const char *const reasons[] = {"IO_FAILED", "FILE_NOT_FOUND", "FILE_IS_DIRECTORY"};
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 1; i <= 3; i++) {
            st_got g;
            st_stat(t, NULL);
            st_cat(t, i == 1 ? "some" : "", "cat: what it says\n", i);
            CHECK_INT(st_download(t, sb, "/x", NULL, how, &g), CWS_ERR_FILE);
            HAS(t->err.reason, reasons[i - 1]);
            HAS(t->err.message, "cat: what it says");
            CHECK_STR(t->err.filepath, "/x");
            CHECK_STR(cws_error_metadata(&t->err, "operation"), "download");
            CHECK_STR(g.text, i == 1 ? "some|" : "");
        }
    }
    STREAMING("FL-34 35 36: an error, backpressure, no exit, and other ends") BOTH_WAYS {
        static const struct {
            const char *json, *end;
            cws_status status;
            const char *told;
        } rows[] = {{"{\"error\":{\"message\":\"lost\"}}", "{}", CWS_ERR_FILE, "lost"},
                    {"{\"error\":{\"message\":\"lost\",\"code\":\"STREAM_BACKPRESSURE\"}}", "{}",
                     CWS_ERR_STREAM_BACKPRESSURE, "lost"},
                    {"{\"error\":{\"message\":\"lost\",\"code\":\"STREAM_TRUNCATED\"}}", "{}",
                     CWS_ERR_STREAM_TRUNCATED, "lost"},
                    {"{}", "{}", CWS_ERR_FILE, "without exit status"},
                    {"{}", GONE, CWS_ERR_UNAVAILABLE, "gone"}};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            st_got g;
            st_stat(t, "4");
            script_stream(&t->s, rows[i].end, st_out(t, "ab"), rows[i].json, NULL);
            CHECK_INT(st_download(t, sb, "/x", NULL, how, &g), rows[i].status);
            HAS(t->err.message, rows[i].told);
            CHECK_STR(t->err.filepath, "/x");
            CHECK_STR(g.text, "ab|");
        }
    }
    STREAMING("FL-37 38 39 40: fewer bytes than the size are an error, from 128 MiB on only") {
        static const struct {
            const char *size;
            size_t mib;
            bool short_;
            cws_status status;
        } rows[] = {{"134217728", 128, true, CWS_ERR_FILE},  {"134217728", 128, false, CWS_OK},
                    {"134217727", 127, false, CWS_OK},       {"0", 1, false, CWS_OK},
                    {"1000000000000", 1, false, CWS_ERR_FILE}, {"much", 1, false, CWS_OK},
                    {NULL, 1, false, CWS_OK}};
        cws_sandbox *sb;
        char *block = (char *)calloc(1, 1 << 20);
        size_t i;
        if (!block) abort();
        t->copts.trace = NULL;
        sb = api_running(t);
        for (i = 0; i < CWSI_COUNT(rows); i++) {
            st_got g;
            script_reply *r;
            st_stat(t, rows[i].size);
            r = script_stream(&t->s, NULL, NULL);
            script_message(&t->s, r, script_output(&t->s, "STDOUT", block, 1 << 20));
            r->loop_to = r->size;
            r->loops = rows[i].mib - 1;
            if (rows[i].short_) r->loops--;
            script_message(&t->s, r, EXIT(0));
            script_envelope(&t->s, r, 2, "{}", 2);
            CHECK_INT(st_download(t, sb, "/x", NULL, (int)i & 1, &g), rows[i].status);
            CHECK_INT(g.bytes, (rows[i].mib - rows[i].short_) << 20);
            CHECK(cws_client_memory(t->client).peak_bytes < 8u << 20);
            if (!rows[i].status) continue;
            CHECK_STR(t->err.reason, "CWSANDBOX_FILE_TRUNCATED");
            CHECK_STR(cws_error_metadata(&t->err, "size_bytes"), rows[i].size);
            CHECK_STR(cws_error_metadata(&t->err, "bytes_delivered"), i ? "1048576" : "133169152");
            CHECK_STR(cws_error_metadata(&t->err, "operation"), "download");
        }
        free(block);
    }
    STREAMING("FL-41 42: one deadline; the size gets at most 10 s of it, and its failure is none")
    BOTH_WAYS {
        static const int64_t probe[] = {10000, 4000, 10000}, rest[] = {600000, 3000, 599000};
        static const double given[] = {600, 4, 600};
        cws_sandbox *sb = api_running(t);
        cws_download_opts o;
        st_got g;
        size_t i;
        int64_t from;
        memset(&o, 0, sizeof(o));
        for (i = 0; i < 3; i++) {
            st_reset(t);
            o.timeout_seconds = given[i];
            if (i == 2) script_error(&t->s, "StreamExec", "internal", "no", NULL)->delay = 1000;
            else st_stat(t, "1")->delay = i ? 1000 : 0;
            st_cat(t, "x", "", 0);
            CHECK_INT(st_download(t, sb, "/x", &o, how, &g), CWS_OK);
            CHECK_INT(script_call_at(&t->s, "StreamExec", 0)->timeout_ms, probe[i]);
            CHECK_INT(script_call_at(&t->s, "StreamExec", 1)->timeout_ms, rest[i]);
        }
        st_reset(t);
        if (how && api_async(t)) continue; /* K2: it would turn for ever */
        from = t->s.now;
        o.timeout_seconds = 3;
        script_never(&t->s, "StreamExec")->times = 2; /* nothing is left, and still not negative */
        CHECK_INT(st_download(t, sb, "/x", &o, how, &g), CWS_ERR_REQUEST_TIMEOUT);
        HAS(t->err.message, "'/x' timed out after 3000 ms");
        CHECK_INT(t->s.now - from, 3000);
        if (script_count(&t->s, "StreamExec") == 1) t->s.last->times = 1;
        else CHECK(script_call_at(&t->s, "StreamExec", 1)->timeout_ms > 0);
    }
    STREAMING("FL-43: a failure gets through although nothing was taken yet, behind all bytes") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL;
        script_reply *r;
        st_got g;
        size_t i;
        memset(&g, 0, sizeof(g));
        st_stat(t, NULL);
        r = script_stream(&t->s, NULL, NULL);
        for (i = 0; i < 40; i++) st_big(t, r, i * 60000, 60000);
        script_message(&t->s, r, "{\"error\":{\"message\":\"in the end\"}}");
        script_envelope(&t->s, r, 2, "{}", 2);
        r->chunk = 20000;
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_OK);
        st_turns(t, 500);
        CHECK(!cws_op_done(cws_stream_op(stream)));
        CHECK_INT(script_call_at(&t->s, "StreamExec", 1)->closings, 1);
        CHECK(script_call_at(&t->s, "StreamExec", 1)->reported < 500000);
        CHECK_INT(st_pull(t, stream, &g), CWS_ERR_FILE);
        HAS(t->err.message, "in the end");
        CHECK_INT(g.bytes, 40 * 60000);
        CHECK(g.sum == st_sum(g.bytes));
        CHECK(script_call_at(&t->s, "StreamExec", 1)->openings >= 1);
        CHECK(cws_client_memory(t->client).peak_bytes < 2u << 20);
        cws_stream_free(stream);
    }
    STREAMING("PAUSE from on_item of a download: one piece at a time, nothing lost, little kept") {
        static const size_t every[] = {1, 2};
        cws_sandbox *sb = api_running(t);
        size_t e, i;
        for (e = 0; e < 2; e++) {
            cws_download_opts o;
            cws_stream *stream = NULL;
            script_reply *r;
            st_taker k;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            k.pause_every = every[e];
            o.on_item = st_on_item;
            o.user = &k;
            st_reset(t);
            st_stat(t, NULL);
            r = script_stream(&t->s, NULL, NULL);
            for (i = 0; i < 40; i++) st_big(t, r, i * 60000, 60000);
            script_message(&t->s, r, EXIT(0));
            script_envelope(&t->s, r, 2, "{}", 2);
            r->chunk = 20000;
            CHECK_INT(cws_download_begin(sb, "/x", &o, &stream, &t->err), CWS_OK);
            CHECK_INT(st_resuming(t, cws_stream_op(stream), &k), CWS_OK);
            CHECK_INT(k.bytes, 40 * 60000);
            CHECK(k.sum == st_sum(k.bytes));
            CHECK(cws_client_memory(t->client).peak_bytes < 2u << 20);
            cws_stream_free(stream);
        }
    }
    STREAMING("a paused download: cancel, free, the deadline; a callback may cancel or free it") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 5; i++) {
            cws_download_opts o;
            cws_stream *stream = NULL;
            st_taker k;
            int64_t from = t->s.now;
            memset(&k, 0, sizeof(k));
            memset(&o, 0, sizeof(o));
            k.pause_every = i < 3;
            k.cancel_at = i == 3;
            o.on_item = st_on_item;
            o.user = &k;
            o.timeout_seconds = 20;
            st_reset(t);
            st_stat(t, NULL);
            script_stream(&t->s, "{}", OUT_A, OUT_B, EXIT(0), NULL)->chunk = 1;
            CHECK_INT(cws_download_begin(sb, "/x", &o, &stream, &t->err), CWS_OK);
            if (i == 4) k.stream = stream;
            st_turns(t, 200);
            CHECK_INT(k.calls, 1);
            if (i == 0) CHECK(cws_op_cancel(cws_stream_op(stream)));
            if (i == 0 || i == 3) CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_ERR_CANCELLED);
            if (i == 1) {
                CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_ERR_REQUEST_TIMEOUT);
                CHECK(t->s.now - from >= 20000 && t->s.now - from <= 30000);
            }
            if (i < 4) cws_stream_free(stream);
            st_turns(t, 2);
            CHECK(t->s.open == NULL);
            CHECK_INT(k.calls, 1);
        }
    }
    STREAMING("items at hand outlive a cancel of the download; a free leaves nothing") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 12; i++) {
            cws_stream *stream = NULL;
            cws_item item;
            memset(&item, 0, sizeof(item));
            st_reset(t);
            script_stream(&t->s, NULL, st_out(t, "5"), EXIT(0), NULL)->times = -1;
            CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_OK);
            if (i > 6) {
                CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
                CHECK(cws_op_cancel(cws_stream_op(stream)));
                CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_ERR_CANCELLED);
            }
            st_turns(t, i);
            cws_stream_free(stream);
            st_turns(t, 2);
            CHECK_INT(cws_client_pending(t->client), 0);
            CHECK(t->s.open == NULL);
        }
    }
    STREAMING("a download cut at every byte, in each way, is whole or a failure") {
        cws_sandbox *sb = api_running(t);
        size_t n, size = 1000, exit_at = 0;
        int cut;
        for (cut = 0; cut < ST_CUTS; cut++)
            for (n = 0; n <= size; n++) {
                script_reply *r;
                cws_status status;
                st_got g;
                st_stat(t, "10");
                r = script_stream(&t->s, NULL, st_out(t, "hello"), st_out(t, "there"), EXIT(0),
                                  NULL);
                exit_at = r->size;
                script_envelope(&t->s, r, 2, "{}", 2);
                size = r->size;
                st_cut_reply(r, n, (st_cut)cut);
                status = st_download(t, sb, "/x", NULL, (int)n & 1, &g);
                CHECK((status == CWS_OK) == (n >= exit_at));
                if (!status) CHECK_INT(g.bytes, 10);
                else CHECK_INT(g.bytes % 5, 0);
                st_reset(t);
            }
    }
    STREAMING("the reply about the size cut at every byte: the download goes on without it") {
        cws_sandbox *sb = api_running(t);
        size_t n, size = 1000;
        for (n = 0; n <= size; n++) {
            script_reply *r = st_stat(t, "10");
            st_got g;
            size = r->size;
            st_cut_reply(r, n, (st_cut)(n % ST_CUTS));
            st_cat(t, "hello", "", 0);
            CHECK_INT(st_download(t, sb, "/x", NULL, (int)n & 1, &g), CWS_OK);
            CHECK_INT(g.bytes, 5);
            st_reset(t);
        }
    }
    STREAMING("from a FILE and to a FILE") {
        cws_sandbox *sb = api_running(t);
        char *data = st_pattern(200000), back[6] = "";
        FILE *f = tmpfile();
        cws_upload_opts up;
        cws_download_opts down;
        cws_logs_opts logs;
        if (!CHECK(f != NULL)) return;
        memset(&up, 0, sizeof(up));
        memset(&down, 0, sizeof(down));
        memset(&logs, 0, sizeof(logs));
        CHECK_INT(fwrite(data, 1, 200000, f), 200000);
        rewind(f);
        up.source = cws_source_from_file;
        up.user = down.user = logs.user = f;
        down.on_item = logs.on_item = cws_item_to_file;
        st_sink(t, "", 0);
        CHECK_INT(cws_upload(sb, "/x", &up, &t->err), CWS_OK);
        st_check_input(t, 0, NULL, 200000);
        rewind(f);
        st_stat(t, NULL);
        script_stream(&t->s, "{}", st_out(t, "ab"), st_out(t, "c"), EXIT(0), NULL);
        CHECK_INT(cws_download(sb, "/x", &down, &t->err), CWS_OK);
        script_logs(&t->s, "{}", st_log(t, "d\n", NULL, 0), NULL);
        CHECK_INT(cws_logs(sb, &logs, &t->err), CWS_OK);
        rewind(f);
        CHECK(fread(back, 1, 5, f) == 5 && strcmp(back, "abcd\n") == 0);
        (void)fclose(f);
        f = fopen("/dev/null", "r"); /* it can not be written to */
        if (CHECK(f != NULL)) {
            (void)setvbuf(f, NULL, _IONBF, 0);
            down.user = f;
            st_stat(t, NULL);
            script_stream(&t->s, "{}", st_out(t, "ab"), EXIT(0), NULL);
            CHECK_INT(cws_download(sb, "/x", &down, &t->err), CWS_ERR_CANCELLED);
            (void)fclose(f);
        }
        free(data);
    }
}

/* ---- what is refused before anything is sent ------------------------------------------------- */

static cws_flow st_inside(const cws_item *item, void *user)
{
    cws_sandbox *sb = (cws_sandbox *)user;
    cws_logs_opts o;
    cws_download_opts d;
    cws_error err;
    (void)item;
    memset(&o, 0, sizeof(o));
    memset(&d, 0, sizeof(d));
    o.on_item = d.on_item = st_inside;
    CHECK_INT(cws_logs(sb, &o, &err), CWS_ERR_REENTRANT);
    CHECK_INT(cws_download(sb, "/x", &d, &err), CWS_ERR_REENTRANT);
    CHECK_INT(cws_upload(sb, "/x", st_nothing(), &err), CWS_ERR_REENTRANT);
    return CWS_FLOW_CONTINUE;
}

static void st_test_file_arguments(void)
{
    EACH("uploads and downloads: bad arguments are refused before anything is sent") {
        static const char *const told[] = {"path", "path",   "path",         "container",
                                           "timeout", "timeout", "must_be_zero", "source or data",
                                           "source or data", "larger than memory"};
        cws_sandbox *sb = api_running(t);
        size_t i;
        for (i = 0; i < CWSI_COUNT(told); i++) {
            const char *path = i == 0 ? NULL : i == 1 ? "" : i == 2 ? "/\xff" : "/x";
            cws_upload_opts up;
            cws_download_opts down;
            st_source s;
            cws_op *op = (cws_op *)t;
            cws_stream *stream = (cws_stream *)t;
            up = st_from(&s, 1);
            memset(&down, 0, sizeof(down));
            if (i == 3) up.container = down.container = "\xff";
            if (i == 4) up.timeout_seconds = down.timeout_seconds = -1;
            if (i == 5) up.timeout_seconds = down.timeout_seconds = 1e10;
            if (i == 6) up.must_be_zero = down.must_be_zero = 9;
            if (i == 7) up.data = "both";
            if (i == 8) up.source = NULL, up.size = 5;
            if (i == 9) up.source = NULL, up.data = "x", up.size = UINT64_MAX;
            CHECK_INT(cws_upload_begin(sb, path, &up, &op, &t->err), CWS_ERR_INVALID_ARGUMENT);
            CHECK(op == NULL);
            HAS(t->err.message, told[i]);
            CHECK_INT(cws_upload(sb, path, &up, &t->err), CWS_ERR_INVALID_ARGUMENT);
            if (i >= 7) continue;
            CHECK_INT(cws_download_begin(sb, path, &down, &stream, &t->err),
                      CWS_ERR_INVALID_ARGUMENT);
            CHECK(stream == NULL);
            HAS(t->err.message, told[i]);
            down.on_item = st_on_item;
            CHECK_INT(cws_download(sb, path, &down, &t->err), CWS_ERR_INVALID_ARGUMENT);
        }
        CHECK_INT(cws_upload_begin(sb, "/x", NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_download_begin(sb, "/x", NULL, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_upload(NULL, "/x", st_nothing(), &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_download(NULL, "/x", NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_download(sb, "/x", NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "on_item");
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
    }
    API_RUN("a blocking transport has no stream in either direction, and says so at once",
            API_PERFORM) {
        cws_sandbox *sb = api_running(t);
        cws_download_opts down;
        cws_stream *stream = NULL;
        cws_op *op = NULL;
        memset(&down, 0, sizeof(down));
        down.on_item = st_on_item;
        CHECK_INT(cws_upload(sb, "/x", st_nothing(), &t->err), CWS_ERR_UNSUPPORTED);
        HAS(t->err.message, "HTTP/2");
        CHECK_INT(cws_upload_begin(sb, "/x", st_nothing(), &op, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_download(sb, "/x", &down, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK(!op && !stream);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(cws_client_pending(t->client), 0);
    }
    ONCE("what blocks is refused inside a callback, and begins nothing") {
        cws_sandbox *sb = api_running(t);
        cws_logs_opts o;
        memset(&o, 0, sizeof(o));
        o.on_item = st_inside;
        o.user = sb;
        script_logs(&t->s, "{}", st_log(t, "a\n", NULL, 0), NULL);
        CHECK_INT(cws_logs(sb, &o, &t->err), CWS_OK);
        CHECK_STR(script_calls(&t->s), "StreamLogs");
    }
}

static void st_test_one_way(void)
{
    ONCE("a transport without streams in both directions has no shell and no transfer") {
        cws_sandbox *sb;
        cws_process *p = NULL;
        cws_stream *stream = NULL;
        t->s.transport.full_duplex = false;
        sb = api_running(t);
        CHECK_INT(cws_shell_begin(sb, NULL, NULL, &p, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_upload(sb, "/x", st_nothing(), &t->err), CWS_ERR_UNSUPPORTED);
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_ERR_UNSUPPORTED);
        CHECK(!p && !stream);
        CHECK_INT(t->s.call_count, 0);
    }
}

/* ---- several at once ------------------------------------------------------------------------- */

static void st_test_several(void)
{
    STREAMING("FL-30: what is held up, paused or silent holds up nothing else of the client") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL, *down = NULL;
        cws_process *p;
        cws_op *up = NULL;
        cws_result *result = NULL;
        cws_shell_opts shell;
        st_source s;
        cws_upload_opts o = st_from(&s, 1000000);
        int i;
        memset(&shell, 0, sizeof(shell));
        shell.max_output_bytes = 1;
        s.pause_every = 1;
        script_stream(&t->s, NULL, READY, OUT_A, OUT_B, NULL)->hold = true;
        p = st_shell(t, sb, &shell);
        st_turns(t, 5);
        script_logs(&t->s, NULL, st_log(t, "a\nb\n", NULL, 0), NULL)->hold = true;
        CHECK_INT(cws_logs_begin(sb, NULL, &stream, &t->err), CWS_OK);
        script_stream(&t->s, NULL, READY, NULL)->hold = true;
        CHECK_INT(cws_upload_begin(sb, "/x", &o, &up, &t->err), CWS_OK);
        st_turns(t, 5);
        st_stat(t, NULL);
        script_stream(&t->s, NULL, OUT_A, OUT_B, NULL)->hold = true;
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &down, &t->err), CWS_OK);
        st_turns(t, 10);
        for (i = 0; i < 3; i++) {
            int64_t from = t->s.now;
            api_answer(t, i, "out", "");
            CHECK_INT(api_exec(t, sb, api_true, NULL, &result), CWS_OK);
            CHECK_INT(cws_result_exit_code(result), i);
            CHECK_INT(t->s.now - from, 0);
            cws_result_free(result);
        }
        CHECK_INT(s.calls, 1);
        CHECK_INT(cws_client_pending(t->client), 4 + 2); /* and the commands of the transfers */
        cws_stream_free(stream);
        cws_stream_free(down);
        cws_op_free(up);
        cws_process_free(p);
        st_turns(t, 2);
        CHECK(t->s.open == NULL);
        CHECK_INT(cws_client_pending(t->client), 0);
    }
    STREAMING("a client that is freed ends its streams: items at hand, then how they ended") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL, *down = NULL;
        cws_op *up = NULL;
        cws_process *p;
        cws_item item;
        st_source s;
        cws_upload_opts o = st_from(&s, 1000000);
        char c[8];
        size_t n = 0;
        cws_status status;
        s.pause_every = 1;
        script_stream(&t->s, NULL, READY, OUT_A, NULL)->hold = true;
        p = st_shell(t, sb, NULL);
        script_logs(&t->s, NULL, st_log(t, "a\nb\n", NULL, 0), NULL)->hold = true;
        CHECK_INT(cws_logs_begin(sb, NULL, &stream, &t->err), CWS_OK);
        st_turns(t, 5);
        script_stream(&t->s, NULL, READY, NULL)->hold = true;
        CHECK_INT(cws_upload_begin(sb, "/x", &o, &up, &t->err), CWS_OK);
        st_turns(t, 5);
        st_stat(t, NULL);
        script_stream(&t->s, NULL, OUT_A, NULL)->hold = true;
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &down, &t->err), CWS_OK);
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        st_turns(t, 10);
        cws_client_free(t->client);
        t->client = NULL;
        CHECK(t->s.open == NULL);
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        CHECK_STR(item.data, "b\n");
        status = cws_stream_next(stream, -1, &item, &t->err);
        CHECK(status == CWS_ERR_CLOSED || status == CWS_ERR_CANCELLED);
        status = cws_stream_next(down, -1, &item, &t->err);
        CHECK(status == CWS_ERR_CLOSED || status == CWS_ERR_CANCELLED || item.data);
        status = cws_op_status(up, &t->err);
        CHECK(status == CWS_ERR_CLOSED || status == CWS_ERR_CANCELLED);
        CHECK(cws_process_read(p, CWS_STDERR, c, sizeof(c), -1, &n, &t->err) != CWS_OK);
        CHECK_INT(n, 0); /* of stdout: K12 */
        CHECK(cws_process_resize(p, 5, 5, &t->err) != CWS_OK);
        cws_op_resume(up);
        cws_stream_free(stream);
        cws_stream_free(down);
        cws_op_free(up);
        cws_process_free(p);
    }
    STREAMING("a download is asked for with patience, and without") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL;
        cws_item item;
        int64_t from;
        st_stat(t, "1");
        st_cat(t, "x", "", 0)->delay = 1000;
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_OK);
        CHECK_INT(cws_stream_next(stream, 0, &item, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(script_count(&t->s, "StreamExec"), 0);
        from = t->s.now;
        CHECK_INT(cws_stream_next(stream, 0.3, &item, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now - from, 300);
        CHECK_INT(cws_stream_next(stream, 5, &item, &t->err), CWS_OK);
        CHECK_STR(item.data, "x");
        CHECK(item.size == 1 && item.offset == 0 && !item.partial && !item.restarted);
        CHECK_STR(item.session_id, "");
        CHECK_INT(cws_stream_next(stream, -1, &item, &t->err), CWS_OK);
        CHECK(!item.data);
        cws_stream_free(stream);
    }
}

/* ---- memory that runs out -------------------------------------------------------------------- */

static cws_status st_read_whole(api *t, cws_sandbox *sb, bool *whole)
{
    cws_bytes *bytes = NULL;
    cws_status status;
    script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
    st_cat(t, "hello", "", 0)->chunk = 9;
    status = api_read(t, sb, "/x", NULL, &bytes);
    *whole = bytes && cws_bytes_size(bytes) == 5;
    cws_bytes_free(bytes);
    return status;
}

static cws_status st_write_whole(api *t, cws_sandbox *sb, bool *whole)
{
    cws_status status;
    st_too_large(t, "WriteFile", NULL, NULL);
    st_sink(t, "", 0);
    status = api_write(t, sb, "/x", "abc", 3, NULL);
    *whole = status == CWS_OK;
    return status;
}

static cws_status st_upload_whole(api *t, cws_sandbox *sb, bool *whole)
{
    cws_upload_opts up;
    cws_status status;
    st_source source;
    up = st_from(&source, 200000);
    up.write_mode = CWS_WRITE_ATOMIC;
    t->s.send_most = 60000;
    st_sink(t, "", 0);
    st_cat(t, "", "", 0);
    status = st_upload(t, sb, "/x", &up);
    t->s.send_most = 0;
    *whole = source.done == 200000;
    return status;
}

static cws_status st_download_whole(api *t, cws_sandbox *sb, bool *whole)
{
    cws_download_opts down;
    cws_status status;
    st_got g;
    memset(&g, 0, sizeof(g));
    memset(&down, 0, sizeof(down));
    down.on_item = st_note_item;
    down.user = &g;
    st_stat(t, "5");
    st_cat(t, "hello", "", 0)->chunk = 9;
    status = cws_download(sb, "/x", &down, &t->err);
    *whole = g.bytes == 5 || script_count(&t->s, "StreamExec") < 2; /* the size's reply */
    return status;
}

static void st_test_file_memory(void)
{
    st_each_allocation("a read", st_read_whole);
    st_each_allocation("a write", st_write_whole);
    st_each_allocation("an upload", st_upload_whole);
    st_each_allocation("a download", st_download_whole);
}

/* ---- mistakes that were made once ------------------------------------------------------------ */

static void st_test_file_known(void)
{
    STREAMING("K2: asking for what is not there yet does not keep the next poll from waiting") {
        cws_sandbox *sb = api_running(t);
        cws_stream *stream = NULL;
        cws_item item;
        size_t polls;
        int i;
        st_stat(t, "1");
        script_stream(&t->s, NULL, NULL)->hold = true; /* silence */
        CHECK_INT(cws_download_begin(sb, "/x", NULL, &stream, &t->err), CWS_OK);
        while (script_count(&t->s, "StreamExec") < 2) st_turns(t, 1);
        st_turns(t, 5);
        polls = t->s.polls;
        for (i = 0; i < 20; i++) {
            int64_t from = t->s.now;
            CHECK_INT(cws_stream_next(stream, 0, &item, &t->err), CWS_ERR_WAIT_TIMEOUT);
            CHECK_INT(cws_client_poll(t->client, 1, NULL), CWS_OK);
            CHECK(t->s.now - from == 1000);
        }
        CHECK(t->s.polls - polls == 20);
        cws_stream_free(stream);
    }
    STREAMING("K6: an upload whose command ends well before all bytes went out has failed") {
        cws_sandbox *sb = api_running(t);
        int i;
        for (i = 0; i < 3; i++) {
            st_source s;
            cws_upload_opts o = st_from(&s, 300000);
            if (i == 1) o.size = 300000;
            if (i == 2) s.left = 3;
            t->s.send_most = 1;
            script_stream(&t->s, "{}", READY, EXIT(0), NULL);
            CHECK_INT(st_upload(t, sb, "/x", &o), CWS_ERR_FILE);
        }
    }
    STREAMING("K7: a whole file is not read through the unary call, which cuts it") {
        cws_sandbox *sb = api_running(t);
        cws_bytes *bytes = NULL;
        script_error(&t->s, "ReadFile", "resource_exhausted", "", NULL);
        script_raw(&t->s, "StreamExec", 505, "text/plain", "no", 2);
        script_ok(&t->s, "Exec", "{\"stdout\":\"YWJj\",\"stdoutTruncated\":true,"
                                 "\"stdoutBytesProduced\":\"1000000\"}");
        CHECK(api_read(t, sb, "/x", NULL, &bytes) != CWS_OK);
        CHECK(bytes == NULL);
        cws_bytes_free(bytes);
        if (!script_count(&t->s, "Exec")) t->s.last->times = 0;
    }
    STREAMING("K9: a paused download keeps to the deadline of its command") {
        cws_sandbox *sb = api_running(t);
        cws_download_opts o;
        cws_stream *stream = NULL;
        st_taker k;
        int64_t from = t->s.now;
        memset(&k, 0, sizeof(k));
        memset(&o, 0, sizeof(o));
        k.pause_every = 1;
        o.on_item = st_on_item;
        o.user = &k;
        o.timeout_seconds = 20;
        st_stat(t, NULL);
        script_stream(&t->s, NULL, OUT_A, OUT_B, OUT_A, NULL)->hold = true;
        t->s.last->gap = 10;
        t->s.last->chunk = 12;
        CHECK_INT(cws_download_begin(sb, "/x", &o, &stream, &t->err), CWS_OK);
        CHECK_INT(st_end(t, cws_stream_op(stream)), CWS_ERR_REQUEST_TIMEOUT);
        CHECK_INT(t->s.now - from, 20000);
        cws_stream_free(stream);
    }
    STREAMING("K13: nothing is computed from a NULL pointer (clang's sanitizer)") {
        cws_sandbox *sb = api_running(t);
        st_got g;
        st_sink(t, "", 0);
        CHECK_INT(st_upload(t, sb, "/x", st_nothing()), CWS_OK); /* cwsi_stdin_feed */
        script_logs(&t->s, "{}", st_log(t, "", "s", 5), NULL);
        CHECK_INT(st_logs(t, sb, NULL, 1, &g), CWS_OK); /* cwsi_logs_data */
    }
}

/* ---- files of v1beta2 ------------------------------------------------------------------------ */

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
        NW_ROW("v1beta2", "AddFile, RetrieveFile: their limit is whole seconds, cut off", i, true)
        {
            cws_sandbox *sb = nw_running(t);
            cws_file_opts o;
            cws_bytes *bytes = NULL;
            char json[200];
            memset(&o, 0, sizeof(o));
            o.timeout_seconds = times[i].timeout;
            nw_ok(t, "AddFile", ACCEPTED);
            CHECK_INT(api_write(t, sb, "/x", "a\0b", 3, &o), CWS_OK);
            (void)snprintf(json, sizeof(json), "{'sandboxId':'sb-1','fileContents':'YQBi',"
                           "'filepath':'/x'%s}", times[i].json);
            IS("AddFile", 0, json);
            nw_ok(t, "RetrieveFile", "{'fileContents':'YQBi','success':true}");
            CHECK_INT(api_read(t, sb, "/y", &o, &bytes), CWS_OK);
            CHECK_INT(cws_bytes_size(bytes), 3);
            CHECK(bytes && memcmp(cws_bytes_data(bytes), "a\0b", 4) == 0);
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
        cws_sandbox *sb = nw_running(t);
        cws_bytes *bytes = NULL;
        nw_ok(t, "AddFile", "{'errorMessage':'disk full'}");
        CHECK_INT(api_write(t, sb, "/x", "a", 1, NULL), CWS_ERR_FILE);
        HAS(t->err.message, "disk full");
        CHECK_STR(t->err.sandbox_id, "sb-1");
        CHECK_STR(t->err.filepath, "/x");
        nw_ok(t, "RetrieveFile", "{'fileContents':'YQ==','errorMessage':'no such file'}");
        CHECK_INT(api_read(t, sb, "/y", NULL, &bytes), CWS_ERR_FILE);
        HAS(t->err.message, "no such file");
        CHECK_STR(t->err.filepath, "/y");
        CHECK(bytes == NULL);
        nw_ok(t, "AddFile", "{}");
        CHECK_INT(api_write(t, sb, "/x", "a", 1, NULL), CWS_ERR_FILE);
        HAS(t->err.message, "unknown error");
        CHECK_STR(script_calls(&t->s), "AddFile RetrieveFile AddFile");
    }
    B2_EACH("an empty file, both ways") {
        cws_sandbox *sb = nw_running(t);
        cws_bytes *bytes = NULL;
        nw_ok(t, "AddFile", ACCEPTED);
        CHECK_INT(api_write(t, sb, "/x", NULL, 0, NULL), CWS_OK);
        IS("AddFile", 0, "{'sandboxId':'sb-1','filepath':'/x','maxTimeoutSeconds':300}");
        nw_ok(t, "RetrieveFile", ACCEPTED);
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        CHECK_INT(cws_bytes_size(bytes), 0);
        cws_bytes_free(bytes);
    }
    B2_EACH("a write in doubt is not repeated, a read is") {
        cws_sandbox *sb = nw_running(t);
        cws_bytes *bytes = NULL;
        script_error(&t->s, "AddFile", "unavailable", "later", NULL);
        CHECK_INT(api_write(t, sb, "/x", "a", 1, NULL), CWS_ERR_UNAVAILABLE);
        script_error(&t->s, "RetrieveFile", "unavailable", "later", NULL);
        nw_ok(t, "RetrieveFile", "{'fileContents':'YQ==','success':true}");
        CHECK_INT(api_read(t, sb, "/x", NULL, &bytes), CWS_OK);
        cws_bytes_free(bytes);
        CHECK_STR(script_calls(&t->s), "AddFile RetrieveFile RetrieveFile");
    }
}

static void op_test_too_large(void)
{
    B2_STREAMING("a file that is too large for AddFile goes through a command") {
        cws_sandbox *sb = nw_running(t);
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
        CHECK_STR(script_sent(&t->s, "StreamExec", 0), nw_json(t, "{'stdin':{'data':'YWJj'}}"));
    }
}

static void (*const both[])(void) = {
    api_test_file_arguments,
    api_test_files,
    st_test_read,
    st_test_write,
    st_test_upload,
    st_test_download,
    st_test_file_arguments,
    st_test_one_way,
    st_test_several,
    st_test_file_memory,
    st_test_file_known};

int main(int argc, char **argv)
{
    test_init(argc, argv);
    tree_tests();
    op_test_files();
    op_test_too_large();
    return api_both_dialects(both, CWSI_COUNT(both));
}
