/* SPDX-License-Identifier: MIT
 *
 * A small service for the scripted transport: it makes up the reply to each request, and knows
 * which sandboxes run. And journals of sessions, as files. For the suites of sessions and pools;
 * include it after harness.h.
 *
 *     svc_serve(t);                                    // from now on it answers
 *     svc_boxes(t, 2);                                 // two sandboxes that run
 *     t->sopts.journal = svc.journal = new_journal();  // a path where nothing is
 *     CHECK_INT(svc_running(), 0);                     // nothing runs any more
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <signal.h>
#include <unistd.h>

#define SVC_MAX 1100

typedef struct svc_box {
    char id[16], tag[64], request[64];
    bool ended;
    int64_t since; /* when it can be listed */
    int deletes;
} svc_box;

static struct svc {
    script *s;
    svc_box boxes[SVC_MAX];
    size_t count, creates, deletes, lists, gets;
    size_t refuse_each; /* each so-and-so-many-th delete is refused; 0: none */
    bool refuse_deletes, refuse_lists, hang_deletes, hang_gets;
    size_t lose;        /* so many creates: the answer is lost, */
    bool lost_for_good; /* and the sandbox was not made */
    size_t no_room;     /* so many creates are refused as placement is */
    size_t refuse_creates;
    bool failing; /* sandboxes fail when they start */
    int64_t create_ms, run_ms, delete_ms, appear_ms;
    const char *journal; /* is looked at when a call is sent: */
    char noted[60000];   /* "RPC: journal\n" for each */
    size_t noted_len;
    int say; /* a file: the names of calls are written to it; -1: not */
    int kill_in_poll, kill_after; /* a signal that comes in the so-and-so-many-th poll */
    int most_wait;                /* of a poll, ms */
    size_t opens;
    size_t no_memory_at; /* the so-and-so-many-th call */
} svc;

/* ---- journals -------------------------------------------------------------------------------- */

static char folder[64], journal[100];
static int journals;

/* A path for the next test, where nothing is. */
TEST_FN const char *new_journal(void)
{
    if (!folder[0]) {
        (void)snprintf(folder, sizeof(folder), "/tmp/cws-session-XXXXXX");
        if (!mkdtemp(folder)) abort();
    }
    (void)snprintf(journal, sizeof(journal), "%s/%d", folder, ++journals);
    return journal;
}

TEST_FN void remove_journals(void)
{
    for (; journals > 0; journals--) {
        (void)snprintf(journal, sizeof(journal), "%s/%d", folder, journals);
        (void)remove(journal);
    }
    if (folder[0]) (void)rmdir(folder);
}

TEST_FN char *get_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    static char text[200000];
    size_t n;
    if (!f) return NULL;
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    return text;
}

/* A word as it is shown: tags are T1, T2 ..., request ids R1, R2 ... in order of appearance. */
TEST_FN size_t journal_word(char *out, const char *word, size_t n)
{
    static char seen[2][100][64];
    static size_t count[2];
    bool tag = n == 40 && strncmp(word, "cws-", 4) == 0;
    size_t i;
    if (!word) {
        count[0] = count[1] = 0;
        return 0;
    }
    if (!tag && (n != 36 || word[8] != '-' || word[23] != '-')) {
        memcpy(out, word, n);
        return n;
    }
    for (i = 0; i < count[tag] && strncmp(seen[tag][i], word, n) != 0; i++) {}
    if (i == count[tag] && i < 100)
        (void)snprintf(seen[tag][count[tag]++], 64, "%.*s", (int)n, word);
    return (size_t)sprintf(out, "%c%lu", tag ? 'T' : 'R', (unsigned long)i + 1);
}

/* The file, with | for the end of a line and names for what is random. */
TEST_FN const char *journal_shows(const char *path)
{
    static char shown[200000];
    const char *at = get_file(path);
    size_t n = 0;
    if (!at) return "(none)";
    (void)journal_word(NULL, NULL, 0);
    while (*at) {
        size_t word = strcspn(at, " \n");
        n += journal_word(shown + n, at, word);
        at += word;
        if (*at) shown[n++] = *at++ == '\n' ? '|' : ' ';
    }
    shown[n] = '\0';
    return shown;
}

/* ---- the service ----------------------------------------------------------------------------- */

/* A member's text in a request, "" if it is not there. */
TEST_FN const char *svc_member(const char *json, const char *name)
{
    static char value[4][128];
    static int turn;
    char *out = value[turn = (turn + 1) % 4], key[64];
    const char *at;
    (void)snprintf(key, sizeof(key), "\"%s\":\"", name);
    at = strstr(json, key);
    out[0] = '\0';
    if (!at) return out;
    at += strlen(key);
    (void)snprintf(out, 128, "%.*s", (int)strcspn(at, "\""), at);
    return out;
}

/* The tag of a journal among those of a request. */
TEST_FN const char *svc_tag(const char *json)
{
    static char tag[64];
    const char *at = strstr(json, "\"cws-");
    tag[0] = '\0';
    if (at) (void)snprintf(tag, sizeof(tag), "%.*s", (int)strcspn(at + 1, "\""), at + 1);
    return tag;
}

TEST_FN svc_box *svc_find(const char *id)
{
    size_t i;
    for (i = 0; i < svc.count; i++)
        if (strcmp(svc.boxes[i].id, id) == 0) return &svc.boxes[i];
    return NULL;
}

TEST_FN svc_box *svc_make(const char *request, const char *tag)
{
    svc_box *b;
    size_t i;
    for (i = 0; i < svc.count && request[0]; i++)
        if (strcmp(svc.boxes[i].request, request) == 0) return &svc.boxes[i];
    if (svc.count == SVC_MAX) abort();
    b = &svc.boxes[svc.count++];
    memset(b, 0, sizeof(*b));
    (void)snprintf(b->id, sizeof(b->id), "sb-%lu", (unsigned long)svc.count);
    (void)snprintf(b->request, sizeof(b->request), "%s", request);
    (void)snprintf(b->tag, sizeof(b->tag), "%s", tag);
    b->since = svc.s->now + svc.appear_ms;
    return b;
}

TEST_FN size_t svc_running(void)
{
    size_t i, n = 0;
    for (i = 0; i < svc.count; i++) n += !svc.boxes[i].ended;
    return n;
}

TEST_FN const char *svc_json(const svc_box *b, const char *state)
{
    static char json[200];
    (void)snprintf(json, sizeof(json),
                   "{\"sandboxId\":\"%s\",\"status\":{\"state\":\"STATE_%s\"}}", b->id, state);
    return json;
}

TEST_FN void svc_create(const char *json)
{
    script *s = svc.s;
    svc.creates++;
    if (svc.no_room) {
        svc.no_room--;
        script_error(s, "CreateSandbox", "resource_exhausted", "no room",
                     script_reason(s, "CWSANDBOX_PLACEMENT_REJECTED", "cwsandbox.com"));
    } else if (svc.refuse_creates) {
        svc.refuse_creates--;
        script_error(s, "CreateSandbox", "invalid_argument", "not this one", NULL);
    } else if (svc.lose) {
        svc.lose--;
        if (!svc.lost_for_good) (void)svc_make(svc_member(json, "requestId"), svc_tag(json));
        script_end(s, "CreateSandbox", CWS_END_LOST);
    } else {
        script_ok(s, "CreateSandbox",
                  svc_json(svc_make(svc_member(json, "requestId"), svc_tag(json)), "PENDING"))
            ->delay = svc.create_ms;
    }
}

TEST_FN void svc_delete(const char *json)
{
    script *s = svc.s;
    svc_box *b = svc_find(svc_member(json, "sandboxId"));
    char text[300];
    svc.deletes++;
    if (svc.hang_deletes) {
        script_never(s, "DeleteSandbox");
    } else if (svc.refuse_deletes || (svc.refuse_each && svc.deletes % svc.refuse_each == 0)) {
        script_error(s, "DeleteSandbox", "internal", "will not", NULL);
    } else if (!b || b->ended) {
        script_error(s, "DeleteSandbox", "not_found", "", NULL);
    } else {
        b->deletes++;
        b->ended = true;
        (void)snprintf(text, sizeof(text), "{\"sandbox\":%s}", svc_json(b, "COMPLETED"));
        script_ok(s, "DeleteSandbox", text)->delay = svc.delete_ms;
    }
}

TEST_FN void svc_list(const char *json)
{
    script *s = svc.s;
    const char *tag = svc_tag(json);
    size_t i, n = 0;
    char *text = (char *)cwsi_arena_alloc(&s->arena, 100 + svc.count * 100);
    svc.lists++;
    if (svc.refuse_lists) {
        script_error(s, "ListSandboxes", "permission_denied", "not yours", NULL);
        return;
    }
    n += (size_t)sprintf(text, "{\"sandboxes\":[");
    for (i = 0; i < svc.count; i++) {
        const svc_box *b = &svc.boxes[i];
        if (b->ended || b->since > s->now || (tag[0] && strcmp(tag, b->tag) != 0)) continue;
        n += (size_t)sprintf(text + n, "%s%s", text[n - 1] == '[' ? "" : ",",
                             svc_json(b, "RUNNING"));
    }
    (void)sprintf(text + n, "]}");
    script_ok(s, "ListSandboxes", text);
}

TEST_FN void svc_get(const char *json)
{
    script *s = svc.s;
    svc_box *b = svc_find(svc_member(json, "sandboxId"));
    svc.gets++;
    if (svc.hang_gets) script_never(s, "GetSandbox");
    else if (!b) script_error(s, "GetSandbox", "not_found", "", NULL);
    else script_ok(s, "GetSandbox", svc_json(b, b->ended ? "TERMINATED" : svc.failing ? "FAILED"
                                                                                      : "RUNNING"))
             ->delay = svc.run_ms;
}

/* Put the reply to this request into the script. */
TEST_FN void svc_answer(const cws_http_request *q)
{
    script *s = svc.s;
    const char *name = strrchr(q->url, '/') + 1, *json;
    const cwsi_rpc *rpc = script_rpc(name);
    cwsi_buf text;
    cwsi_str in;
    void *msg;
    in.at = (const char *)q->body, in.len = q->body_size;
    if (s->grpc || rpc->kind != CWSI_UNARY) in.at += 5, in.len -= 5;
    cwsi_buf_init(&text, &s->mem, SIZE_MAX / 2);
    if (cwsi_decode(&s->arena, rpc->request, in, &msg) ||
        cwsi_encode_json(&text, &s->arena, rpc->request, msg, false))
        abort();
    json = script_text(s, text.at ? text.at : "");
    cwsi_buf_free(&text);
    if (svc.say >= 0) {
        char word[40];
        int n = snprintf(word, sizeof(word), "%s ", name);
        if (write(svc.say, word, (size_t)n) != n) abort();
    }
    if (svc.journal) {
        const char *shown = journal_shows(svc.journal);
        int n = snprintf(svc.noted + svc.noted_len, sizeof(svc.noted) - svc.noted_len, "%s: %s\n",
                         name, shown);
        if (svc.noted_len + (size_t)n < sizeof(svc.noted)) svc.noted_len += (size_t)n;
    }
    if (strcmp(name, "CreateSandbox") == 0) svc_create(json);
    else if (strcmp(name, "DeleteSandbox") == 0) svc_delete(json);
    else if (strcmp(name, "ListSandboxes") == 0) svc_list(json);
    else if (strcmp(name, "GetSandbox") == 0) svc_get(json);
}

TEST_FN cws_status svc_open(void *user, const cws_http_request *q, cws_exchange *ex, void **handle)
{
    if (++svc.opens == svc.no_memory_at) return CWS_ERR_NO_MEMORY;
    svc_answer(q);
    return script_open(user, q, ex, handle);
}

TEST_FN cws_end svc_perform(void *user, const cws_http_request *q, cws_exchange *ex)
{
    svc_answer(q);
    return script_perform(user, q, ex);
}

TEST_FN cws_status svc_poll(void *user, int timeout_ms)
{
    if (timeout_ms > svc.most_wait) svc.most_wait = timeout_ms;
    if (svc.kill_in_poll && svc.kill_after-- == 0) (void)raise(svc.kill_in_poll);
    return script_poll(user, timeout_ms);
}

/* From now on the service answers. */
TEST_FN void svc_serve(api *t)
{
    memset(&svc, 0, sizeof(svc));
    svc.say = -1;
    svc.s = &t->s;
    if (t->s.transport.open) {
        t->s.transport.open = svc_open;
        t->s.transport.poll = svc_poll;
    }
    if (t->s.transport.perform) t->s.transport.perform = svc_perform;
}

/* Sandboxes that run. */
TEST_FN void svc_boxes(api *t, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) CHECK_INT(api_wait(t, api_box(t, NULL), 0), CWS_OK);
}

TEST_FN cws_session *open_session(api *t, const char *journal)
{
    cws_session_opts so;
    cws_session *s = NULL;
    memset(&so, 0, sizeof(so));
    so.client = api_client(t);
    so.journal = journal;
    if (!CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK)) printf("    %s\n", t->err.message);
    return s;
}

/* ---- a session while memory runs out --------------------------------------------------------- */

/* Each allocation in turn fails, once, or from then on. The job must come out with CWS_OK or for
 * want of memory, and a close with memory must leave nothing. */
TEST_FN void each_allocation(api *t, bool (*job)(api *t), const char *what)
{
    long n;
    int persistent;
    bool failed = true;
    for (persistent = 0; persistent < 2; persistent++) {
        for (n = 0, failed = true; failed && n < 5000; n++) {
            bool ok;
            size_t i;
            svc_serve(t);
            (void)api_session(t); /* before, as are its client and transport */
            test_alloc_fail_at(n, persistent != 0);
            ok = job(t);
            failed = test_alloc_failed();
            test_alloc_fail_at(-1, false);
            if (!CHECK(ok || failed)) printf("    %s: allocation %ld\n", what, n);
            for (i = 0; i < t->box_count; i++) cws_sandbox_free(t->boxes[i]);
            t->box_count = 0;
            if (!CHECK_INT(cws_session_close(t->session, &t->err), CWS_OK))
                printf("    %s: allocation %ld: %s\n", what, n, t->err.message);
            api_settle(t);
            if (!CHECK_INT(svc_running(), 0)) printf("    %s: allocation %ld\n", what, n);
            cws_session_free(t->session);
            t->session = NULL;
        }
        CHECK(n > 20 && n < 5000);
    }
}

/* A failure that lack of memory explains. */
TEST_FN bool no_memory(cws_status status) { return status != CWS_OK; }

#endif /* SERVICE_H */
