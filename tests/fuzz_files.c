/* SPDX-License-Identifier: MIT
 *
 * Fuzz target of what is read besides messages: the first byte says what the rest is. A tar archive
 * of a sandbox must not lead out of the directory that it is unpacked to; netrc files, journals,
 * answers of W&B and the records of functions must be read, or refused, within their bounds.
 */
#define _GNU_SOURCE
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "fuzz_main.h"

#include <ftw.h>

static cws_client *client;

static cws_end perform(void *user, const cws_http_request *request, cws_exchange *exchange)
{
    (void)user;
    (void)request;
    (void)exchange;
    return CWS_END_NOT_SENT;
}

static cws_session *open_session(void)
{
    static cws_transport transport;
    cws_client_opts o;
    cws_session_opts so;
    cws_wandb_opts w;
    cws_session *session = NULL;
    memset(&o, 0, sizeof(o));
    memset(&so, 0, sizeof(so));
    memset(&w, 0, sizeof(w));
    transport.perform = perform;
    o.transport = &transport;
    o.no_environment = true;
    w.api_key = "0123456789012345678901234567890123456789";
    w.run_id = "r1";
    w.project = "p";
    so.client_opts = &o;
    so.wandb = &w;
    FUZZ_REQUIRE(cws_session_open(&so, &session, NULL) == CWS_OK);
    client = session->client;
    return session;
}

static void fuzz_netrc(const char *text)
{
    char out[64];
    out[0] = '\0';
    (void)cwsi_netrc_find(text, "api.wandb.ai", out, sizeof(out));
    FUZZ_REQUIRE(memchr(out, 0, sizeof(out)) != NULL);
}

static void fuzz_journal(const char *text, size_t size)
{
    cwsi_journal j;
    cws_error err;
    FILE *file = fmemopen((void *)(size_t)text, size ? size : 1, "rb");
    const cwsi_left *left;
    size_t i;
    if (!file) abort();
    memset(&j, 0, sizeof(j));
    cwsi_error_clear(&err);
    cwsi_arena_init(&j.arena, &client->mem);
    j.path = "a journal";
    j.file = file;
    (void)cwsi_journal_read(&j, &err);
    left = (const cwsi_left *)j.left.at;
    for (i = 0; i < j.left.len; i++)
        FUZZ_REQUIRE(left[i].live.len + left[i].gone.len + left[i].unknown.len <= size);
    fclose(file);
    cwsi_arena_clear(&j.arena);
}

static void fuzz_outcome(const char *text, size_t size)
{
    static const int32_t codes[] = {0, 1, 139, -7};
    cws_function fn;
    cws_error err;
    cwsi_arena arena;
    cwsi_buf buf;
    cws_bytes *bytes;
    const char *record = NULL;
    memset(&fn, 0, sizeof(fn));
    fn.client = client;
    fn.name = "f";
    if (size && text[0] == '#') fn.serialization = CWS_SERIALIZE_BYTES, text++, size--;
    cwsi_error_clear(&err);
    cwsi_arena_init(&arena, &client->mem);
    cwsi_buf_init(&buf, &client->mem, CWSI_FILE_MAX);
    FUZZ_REQUIRE(cwsi_put(&buf, text, size));
    bytes = cwsi_bytes_of(client, &buf);
    if (!bytes) abort();
    if (cwsi_function_outcome(&fn, bytes, "failed", codes[size % 4], &arena, &record, &err)) {
        FUZZ_REQUIRE(err.status == CWS_ERR_EXECUTION ||
                     err.status == CWS_ERR_FUNCTION_SERIALIZATION);
        FUZZ_REQUIRE((record != NULL) == (err.status == CWS_ERR_EXECUTION));
        FUZZ_REQUIRE(cwsi_utf8_valid(err.message, strlen(err.message)));
    } else {
        FUZZ_REQUIRE(bytes->len <= size);
    }
    cws_bytes_free(bytes);
    cwsi_error_clear(&err);
    (void)cwsi_function_died(&err, &fn, "failed", 1, cwsi_str_of(text));
    cwsi_arena_clear(&arena);
}

static void fuzz_wandb(cws_session *session, const char *text, size_t size)
{
    cwsi_str body = {NULL, 0};
    char why[200] = "";
    body.at = text;
    body.len = size;
    (void)cwsi_wandb_looked_up(session->wandb, body, why, sizeof(why));
    FUZZ_REQUIRE(session->wandb->last_len <= CWS_METRICS_MAX);
    (void)cwsi_wandb_upserted(session->wandb, body, size % 2 != 0, why, sizeof(why));
    FUZZ_REQUIRE(!strstr(why, "0123456789012345678901234567890123456789"));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    if (at->level > 0) FUZZ_REQUIRE(remove(path) == 0);
    return 0;
}

static int grant(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)at;
    if (flag == FTW_D || flag == FTW_DNR) (void)chmod(path, 0700);
    (void)st;
    return 0;
}

/* Below `top` there are `in`, which is unpacked to, and `out`, which must stay empty. */
static void fuzz_tar(const char *text, size_t size)
{
    static char top[] = "/tmp/cws-fuzz-XXXXXX", in[64], out[64];
    static bool made;
    static const cwsi_op_kind kind = {"Download directory", NULL, NULL, NULL, NULL, NULL,
                                      CWSI_GIVES_NOTHING, NULL};
    cwsi_file *f = (cwsi_file *)calloc(1, sizeof(cwsi_file));
    cws_item item;
    size_t piece = size % 3 == 0 ? 1 + size % 700 : size, at = 0;
    struct stat st;
    if (!made) {
        if (!mkdtemp(top)) abort();
        snprintf(in, sizeof(in), "%s/in", top);
        snprintf(out, sizeof(out), "%s/out", top);
        if (mkdir(in, 0700) || mkdir(out, 0700)) abort();
        made = true;
    }
    if (!f) abort();
    f->stream.op.client = client;
    f->stream.op.kind = &kind;
    f->kind = CWSI_DOWNLOAD_TREE;
    f->path = "/there";
    FUZZ_REQUIRE(cwsi_tree_open(f, in, size % 2 == 0));
    memset(&item, 0, sizeof(item));
    while (at < size) {
        item.data = text + at;
        item.size = size - at < piece ? size - at : piece;
        at += item.size;
        if (cwsi_tree_item(&item, f) == CWS_FLOW_CANCEL) break;
    }
    if (!f->stream.op.err.status) cwsi_tree_end(f);
    cwsi_tree_free(f);
    free(f);
    FUZZ_REQUIRE(stat(out, &st) == 0 && st.st_nlink == 2); /* no directory was made in it */
    FUZZ_REQUIRE(rmdir(out) == 0 && mkdir(out, 0700) == 0); /* and nothing else */
    (void)nftw(in, grant, 16, FTW_PHYS);
    (void)nftw(in, remove_one, 16, FTW_PHYS | FTW_DEPTH);
    FUZZ_REQUIRE(stat(top, &st) == 0 && st.st_nlink == 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cws_session *session;
    char *text;
    if (size == 0) return 0;
    session = open_session();
    text = (char *)malloc(size); /* without the first byte, and with a NUL */
    if (!text) abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0]) {
    case 'n': fuzz_netrc(text); break;
    case 'j': fuzz_journal(text, size - 1); break;
    case 'o': fuzz_outcome(text, size - 1); break;
    case 'w': fuzz_wandb(session, text, size - 1); break;
    case 't': fuzz_tar(text, size - 1); break;
    default: break;
    }
    free(text);
    cws_session_free(session);
    return 0;
}
