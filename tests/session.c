/* SPDX-License-Identifier: MIT
 *
 * Sessions as a whole: release and adopt, closing, the journal and what is reaped by it, the guard
 * at the end of the process, pools. Over the scripted transport, whose replies a small service in
 * this file makes up. L19 ... are the numbers of the promises.
 *
 *     session [part of a test's name]
 */
#define CWS_EXIT_GUARD
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the service ----------------------------------------------------------------------------- */

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

/* A member's text in a request, "" if it is not there. */
static const char *svc_member(const char *json, const char *name)
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
static const char *svc_tag(const char *json)
{
    static char tag[64];
    const char *at = strstr(json, "\"cws-");
    tag[0] = '\0';
    if (at) (void)snprintf(tag, sizeof(tag), "%.*s", (int)strcspn(at + 1, "\""), at + 1);
    return tag;
}

static svc_box *svc_find(const char *id)
{
    size_t i;
    for (i = 0; i < svc.count; i++)
        if (strcmp(svc.boxes[i].id, id) == 0) return &svc.boxes[i];
    return NULL;
}

static svc_box *svc_make(const char *request, const char *tag)
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

static size_t svc_running(void)
{
    size_t i, n = 0;
    for (i = 0; i < svc.count; i++) n += !svc.boxes[i].ended;
    return n;
}

static const char *svc_json(const svc_box *b, const char *state)
{
    static char json[200];
    (void)snprintf(json, sizeof(json),
                   "{\"sandboxId\":\"%s\",\"status\":{\"state\":\"STATE_%s\"}}", b->id, state);
    return json;
}

static void svc_create(const char *json)
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

static void svc_delete(const char *json)
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

static void svc_list(const char *json)
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

static void svc_get(const char *json)
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

static const char *journal_shows(const char *path);

/* Put the reply to this request into the script. */
static void svc_answer(const cws_http_request *q)
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

static cws_status svc_open(void *user, const cws_http_request *q, cws_exchange *ex, void **handle)
{
    if (++svc.opens == svc.no_memory_at) return CWS_ERR_NO_MEMORY;
    svc_answer(q);
    return script_open(user, q, ex, handle);
}

static cws_end svc_perform(void *user, const cws_http_request *q, cws_exchange *ex)
{
    svc_answer(q);
    return script_perform(user, q, ex);
}

static cws_status svc_poll(void *user, int timeout_ms)
{
    if (timeout_ms > svc.most_wait) svc.most_wait = timeout_ms;
    if (svc.kill_in_poll && svc.kill_after-- == 0) (void)raise(svc.kill_in_poll);
    return script_poll(user, timeout_ms);
}

/* From now on the service answers. */
static void svc_serve(api *t)
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
static void svc_boxes(api *t, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) CHECK_INT(api_wait(t, api_box(t, NULL), 0), CWS_OK);
}

static cws_session *open_session(api *t, const char *journal)
{
    cws_session_opts so;
    cws_session *s = NULL;
    memset(&so, 0, sizeof(so));
    so.client = api_client(t);
    so.journal = journal;
    if (!CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK)) printf("    %s\n", t->err.message);
    return s;
}

/* ---- release, adopt -------------------------------------------------------------------------- */

static void test_release(void)
{
    EACH("L22: a released sandbox goes on; released twice is released once") {
        svc_serve(t);
        svc_boxes(t, 2);
        CHECK_INT(cws_session_release(t->session, t->boxes[0], &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK_INT(cws_session_release(t->session, t->boxes[0], &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes, 1);
        CHECK(!svc.boxes[0].ended && svc.boxes[1].ended);
        CHECK_INT(cws_sandbox_state(t->boxes[0]), CWS_STATE_RUNNING);
        CHECK_INT(api_stop(t, t->boxes[0], NULL), CWS_OK); /* it is still the user's */
        CHECK(svc.boxes[0].ended);
    }
    EACH("release: arguments; another session's; the unstarted; a closed session; adopted again") {
        cws_session *other;
        cws_sandbox *sb;
        svc_serve(t);
        sb = api_box(t, NULL);
        other = open_session(t, NULL);
        CHECK_INT(cws_session_release(NULL, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "session");
        CHECK_INT(cws_session_release(t->session, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "sandbox");
        CHECK_INT(cws_session_release(other, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "another session");
        CHECK_INT(cws_session_sandbox_count(t->session), 1);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_wait(t, sb, 0), CWS_OK); /* it can be started without a session */
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(cws_session_release(other, sb, &t->err), CWS_OK); /* nobody tracks it */
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(cws_session_sandbox_count(other), 1);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(svc.deletes, 0);
        CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
        CHECK_INT(svc.deletes, 1);
        CHECK_INT(svc.creates, 1);
        cws_session_free(other);
    }
    STREAMING("release during a start in flight: close leaves it alone, the start goes on") {
        cws_op *start = NULL;
        cws_sandbox *sb;
        svc_serve(t);
        svc.create_ms = 3000;
        sb = api_box(t, NULL);
        CHECK_INT(cws_sandbox_start_begin(sb, &start, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes, 0);
        CHECK_INT(cws_op_wait(start, -1, &t->err), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        cws_op_free(start);
    }
    STREAMING("adopt and release while a stop is under way: it goes on and ends well") {
        cws_op *stop = NULL;
        cws_sandbox *sb;
        svc_serve(t);
        svc_boxes(t, 1);
        sb = t->boxes[0];
        svc.delete_ms = 2000;
        CHECK_INT(cws_sandbox_stop_begin(sb, NULL, &stop, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(stop, -1, &t->err), CWS_OK);
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK); /* ended: harmless */
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes, 1);
        cws_op_free(stop);
    }
    STREAMING("L22: from_id that is under way while the session closes attaches nothing to it") {
        cws_op *find = NULL, *look = NULL;
        cws_sandbox *found;
        svc_serve(t);
        (void)svc_make("", "");
        svc.run_ms = 1000;
        (void)api_session(t);
        CHECK_INT(cws_session_from_id_begin(t->session, "sb-1", false, &find, &t->err), CWS_OK);
        CHECK_INT(cws_session_from_id_begin(t->session, "sb-1", true, &look, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(cws_op_wait(find, -1, &t->err), CWS_ERR_CLOSED);
        CHECK(cws_op_take_sandbox(find) == NULL);
        CHECK_INT(cws_op_wait(look, -1, &t->err), CWS_OK); /* that one is not the session's */
        found = cws_op_take_sandbox(look);
        CHECK(found != NULL);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(svc.deletes, 0);
        cws_sandbox_free(found);
        cws_op_free(find);
        cws_op_free(look);
    }
}

/* ---- close ----------------------------------------------------------------------------------- */

static void test_close(void)
{
    EACH("L20: of stops of which every third is refused, close reports exactly those") {
        const cws_sandbox *sb = NULL;
        const cws_error *why = NULL;
        size_t i, rounds = 0, left;
        svc_serve(t);
        svc_boxes(t, 30);
        svc.refuse_each = 3;
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK(strncmp(t->err.message, "10 of", 5) == 0);
        HAS(t->err.message, "will not");
        CHECK_INT(svc.deletes, 30);
        CHECK_INT(svc_running(), 10);
        CHECK_INT(cws_session_sandbox_count(t->session), 10);
        for (i = 0; cws_session_failed(t->session, i, &sb, &why); i++) {
            CHECK(!svc_find(cws_sandbox_id(sb))->ended);
            CHECK_INT(why->status, CWS_ERR_SANDBOX);
            CHECK_STR(why->sandbox_id, cws_sandbox_id(sb));
            HAS(why->message, "will not");
        }
        CHECK_INT(i, 10);
        for (left = 10; left && rounds < 20; rounds++) { /* each close tries just those */
            size_t before = svc.deletes;
            cws_status status = api_close(t);
            CHECK_INT(svc.deletes - before, left);
            left = svc_running();
            CHECK_INT(status, left ? CWS_ERR_SANDBOX : CWS_OK);
            CHECK_INT(cws_session_sandbox_count(t->session), left);
        }
        CHECK_INT(svc_running(), 0);
        for (i = 0; i < 30; i++) CHECK_INT(svc.boxes[i].deletes, 1);
    }
    ONCE("1000 sandboxes are closed at once, by one thread") {
        static cws_sandbox *box[1000];
        static cws_op *wait[1000];
        size_t i, used;
        int64_t from;
        svc_serve(t);
        (void)api_session(t);
        used = test_alloc_live_bytes();
        for (i = 0; i < 1000; i++)
            CHECK_INT(cws_session_sandbox(t->session, NULL, &box[i], &t->err), CWS_OK);
        printf("    bytes for each sandbox: %lu before its start,",
               (unsigned long)((test_alloc_live_bytes() - used) / 1000));
        svc.create_ms = svc.run_ms = svc.delete_ms = 1000;
        from = t->s.now;
        for (i = 0; i < 1000; i++)
            CHECK_INT(cws_sandbox_wait_begin(box[i], 0, &wait[i], &t->err), CWS_OK);
        CHECK_INT(cws_wait_many(wait, 1000, CWS_ALL, -1, NULL, NULL, &t->err), CWS_OK);
        for (i = 0; i < 1000; i++) {
            CHECK_INT(cws_op_result(wait[i], &t->err), CWS_OK);
            cws_op_free(wait[i]);
        }
        CHECK(t->s.now - from < 5000);
        printf(" %lu when it runs\n", (unsigned long)((test_alloc_live_bytes() - used) / 1000));
        CHECK(test_alloc_live_bytes() - used < 1000 * 8192);
        from = t->s.now;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(t->s.now - from, 1000);
        CHECK_INT(svc.deletes, 1000);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        for (i = 0; i < 1000; i++) cws_sandbox_free(box[i]);
    }
    STREAMING("close with twenty starts in flight: all are awaited, all are stopped") {
        cws_op *start[20];
        size_t i;
        int64_t from;
        svc_serve(t);
        svc.create_ms = 4000;
        for (i = 0; i < 20; i++) {
            CHECK_INT(cws_sandbox_start_begin(api_box(t, NULL), &start[i], &t->err), CWS_OK);
            if (i == 10) CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        }
        from = t->s.now;
        CHECK_INT(api_close(t), CWS_OK); /* ten of them were sent, the others not yet */
        CHECK(t->s.now - from <= 4000);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(svc.deletes, svc.count);
        for (i = 0; i < 20; i++) {
            CHECK(cws_op_done(start[i]));
            cws_op_free(start[i]);
        }
        api_settle(t);
        CHECK_INT(svc_running(), 0);
    }
    EACH("a create whose answers were lost is settled by close, and stopped") {
        svc_serve(t);
        svc.lose = 100;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_TRANSPORT);
        CHECK_INT(svc_running(), 1);
        svc.lose = 0;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.count, 1);
        CHECK_INT(svc_running(), 0);
    }
    EACH("while such a create can not be settled, close says so, and can be tried again") {
        svc_serve(t);
        svc.lose = 1000;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_TRANSPORT);
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK(cws_session_failed(t->session, 0, NULL, NULL));
        CHECK_INT(svc_running(), 1);
        svc.lose = 0;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("L21: close joins a stop of the user's; a second close sends nothing") {
        cws_op *stop = NULL;
        svc_serve(t);
        svc_boxes(t, 2);
        svc.delete_ms = 700;
        CHECK_INT(cws_sandbox_stop_begin(t->boxes[0], NULL, &stop, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes, 2);
        CHECK_INT(cws_op_result(stop, &t->err), CWS_OK);
        cws_op_free(stop);
    }
    EACH("a definite refusal of a create leaves nothing to close") {
        svc_serve(t);
        svc.refuse_creates = 1;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_SANDBOX);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes + svc.count, 0);
    }
    STREAMING("a command in flight goes on while its sandbox is stopped, and fails by that") {
        cws_process *p = NULL;
        cws_op *close = NULL;
        script_reply *r;
        svc_serve(t);
        svc_boxes(t, 1);
        r = script_stream(&t->s, NULL, "{\"ready\":{}}", NULL);
        r->end = CWS_END_LOST;
        r->gap = 1500; /* its end */
        r->chunk = 4;
        CHECK_INT(cws_exec_begin(t->boxes[0], api_true, NULL, &p, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK_INT(cws_session_close_begin(t->session, &close, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(close, -1, &t->err), CWS_OK);
        CHECK(!cws_process_poll(p, NULL)); /* not cut off by the close itself */
        CHECK(cws_process_wait(p, -1, NULL, &t->err) != CWS_OK);
        cws_process_free(p);
        cws_op_free(close);
    }
    STREAMING("a cancelled close leaves the sandboxes to the next one; nothing hangs or leaks") {
        cws_op *close = NULL;
        svc_serve(t);
        svc_boxes(t, 3);
        svc.delete_ms = 5000;
        CHECK_INT(cws_session_close_begin(t->session, &close, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        CHECK(cws_op_cancel(close));
        CHECK_INT(cws_op_wait(close, -1, &t->err), CWS_ERR_CANCELLED);
        cws_op_free(close);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc.deletes, 3);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("a session that is freed while it closes: the close goes on") {
        cws_op *close = NULL;
        svc_serve(t);
        svc_boxes(t, 3);
        svc.delete_ms = 5000;
        CHECK_INT(cws_session_close_begin(t->session, &close, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK);
        cws_session_free(t->session);
        t->session = NULL;
        CHECK_INT(cws_op_wait(close, -1, &t->err), CWS_OK);
        CHECK_INT(svc_running(), 0);
        cws_op_free(close);
    }
}

/* ---- the journal ----------------------------------------------------------------------------- */

static char folder[64], journal[100];
static int journals;

/* A path for the next test, where nothing is. */
static const char *new_journal(void)
{
    if (!folder[0]) {
        (void)snprintf(folder, sizeof(folder), "/tmp/cws-session-XXXXXX");
        if (!mkdtemp(folder)) abort();
    }
    (void)snprintf(journal, sizeof(journal), "%s/%d", folder, ++journals);
    return journal;
}

static void remove_journals(void)
{
    for (; journals > 0; journals--) {
        (void)snprintf(journal, sizeof(journal), "%s/%d", folder, journals);
        (void)remove(journal);
    }
    if (folder[0]) (void)rmdir(folder);
}

static void put_file(const char *path, const char *text, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(text, 1, size, f) != size || fclose(f)) abort();
}

static char *get_file(const char *path)
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
static size_t journal_word(char *out, const char *word, size_t n)
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
static const char *journal_shows(const char *path)
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

/* What an earlier session of that tag would have written. */
#define OLD_TAG "cws-01234567-89ab-cdef-0123-456789abcdef"
#define OLD_HEAD "cwsandbox-journal 1 v1 http://localhost:1 " OLD_TAG "\n"
#define HEAD_LINE(tag) "cwsandbox-journal 1 v1 http://localhost:1 " tag "|"

/* The process dies: the file stays as it is, the session and its sandboxes are freed. */
static void crash(api *t)
{
    char *text = get_file(journal);
    size_t i, n = text ? strlen(text) : 0;
    char *copy = (char *)malloc(n + 1);
    if (!copy) abort();
    if (text) memcpy(copy, text, n);
    for (i = 0; i < t->box_count; i++) cws_sandbox_free(t->boxes[i]);
    t->box_count = 0;
    cws_session_free(t->session);
    t->session = NULL;
    CHECK(text != NULL);
    if (text) put_file(journal, copy, n);
    free(copy);
}

static cws_status api_reap(api *t, size_t *stopped)
{
    cws_op *op = NULL;
    cws_status status;
    if (!api_async(t)) return cws_session_reap(api_session(t), stopped, &t->err);
    *stopped = 0;
    status = cws_session_reap_begin(api_session(t), &op, &t->err);
    if (status) return status;
    CHECK_INT(cws_op_reaped(op), 0);
    status = api_drive(t, op);
    *stopped = cws_op_reaped(op);
    cws_op_free(op);
    return status;
}

static void test_journal(void)
{
    EACH("the journal: a create is noted before it is sent, then what came of it") {
        svc_serve(t);
        t->sopts.journal = svc.journal = new_journal();
        (void)api_session(t);
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1"));
        svc_boxes(t, 1);
        HAS(svc.noted, "CreateSandbox: " HEAD_LINE("T1") "create R1|\n");
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1") "create R1|live sb-1 R1|");
        svc.refuse_creates = 1;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_SANDBOX);
        CHECK_STR(journal_shows(journal),
                  HEAD_LINE("T1") "create R1|live sb-1 R1|create R2|failed R2|");
        CHECK_INT(api_stop(t, t->boxes[0], NULL), CWS_OK);
        CHECK_STR(journal_shows(journal),
                  HEAD_LINE("T1") "create R1|live sb-1 R1|create R2|failed R2|gone sb-1|");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)"); /* nothing is left */
        CHECK_STR(svc.boxes[0].tag, svc_tag(script_json(&t->s, "CreateSandbox", 0)));
        CHECK_INT(strlen(svc.boxes[0].tag), 40);
    }
    EACH("the journal: adopted, released and adopted by another session") {
        cws_session *other;
        cws_sandbox *sb = NULL;
        svc_serve(t);
        t->sopts.journal = new_journal();
        (void)svc_make("", "");
        CHECK_INT(api_from_id(t, "sb-1", false, &sb), CWS_OK);
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1") "live sb-1 -|");
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK); /* has it: no line */
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_INT(cws_session_release(t->session, sb, &t->err), CWS_OK);
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1") "live sb-1 -|gone sb-1|");
        CHECK_INT(cws_session_adopt(t->session, sb, &t->err), CWS_OK);
        other = open_session(t, NULL);
        CHECK_INT(cws_session_adopt(other, sb, &t->err), CWS_OK);
        CHECK_STR(journal_shows(journal),
                  HEAD_LINE("T1") "live sb-1 -|gone sb-1|live sb-1 -|gone sb-1|");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
        CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
        cws_session_free(other);
    }
    EACH("the journal: spillover notes both of its creates") {
        cws_sandbox_opts o;
        svc_serve(t);
        t->sopts.journal = svc.journal = new_journal();
        memset(&o, 0, sizeof(o));
        o.placement = CWS_PLACEMENT_SERVERLESS;
        o.spillover = CWS_SPILLOVER_SERVERLESS_THEN_CKS;
        svc.no_room = 1;
        CHECK_INT(api_start(t, api_box(t, &o)), CWS_OK);
        CHECK_STR(journal_shows(journal),
                  HEAD_LINE("T1") "create R1|failed R1|create R2|live sb-1 R2|");
        HAS(svc.noted, "CreateSandbox: " HEAD_LINE("T1") "create R1|\n");
        HAS(svc.noted, "CreateSandbox: " HEAD_LINE("T1") "create R1|failed R1|create R2|\n");
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("the journal: a create in doubt stays without outcome, until it is settled") {
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc.lose = 1000;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_TRANSPORT);
        HAS(journal_shows(journal), HEAD_LINE("T1") "create R1|");
        HAS_NOT(journal_shows(journal), "live");
        HAS_NOT(journal_shows(journal), "failed");
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        HAS_NOT(journal_shows(journal), "failed"); /* and so the file stays */
        HAS(journal_shows(journal), "create R1|");
        svc.lose = 0;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("the journal stays while something could not be stopped; unstarted ones leave no line") {
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 1);
        (void)api_box(t, NULL);
        svc.refuse_deletes = true;
        CHECK_INT(api_close(t), CWS_ERR_SANDBOX);
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1") "create R1|live sb-1 R1|");
        svc.refuse_deletes = false;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
        CHECK_INT(api_close(t), CWS_OK); /* nor is it made again */
        CHECK_STR(journal_shows(journal), "(none)");
    }
}

/* Until the next call, no file may be longer than it is now, and so many bytes more. */
static void disk_is_full(const char *path, bool full, size_t more)
{
    struct rlimit limit;
    struct stat st;
    (void)signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &limit) || stat(path, &st)) abort();
    limit.rlim_cur = full ? (rlim_t)st.st_size + more : limit.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &limit)) abort();
}

static void test_journal_files(void)
{
    EACH("a create that can not be noted is not sent") {
        cws_sandbox *sb;
        size_t more;
        svc_serve(t);
        t->sopts.journal = new_journal();
        (void)api_session(t);
        sb = api_box(t, NULL);
        for (more = 0; more < 40; more += 13) { /* a part of the line can be written */
            fflush(stdout);
            disk_is_full(journal, true, more);
            CHECK_INT(api_start(t, sb), CWS_ERR_FILE);
            disk_is_full(journal, false, 0);
            HAS(t->err.message, "journal");
            HAS(t->err.message, "nothing was sent");
        }
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(api_wait(t, sb, 0), CWS_OK); /* there is room again */
        CHECK_INT(svc.count, 1);
        HAS(journal_shows(journal), "|create R1|live sb-1 R1|"); /* lines of their own */
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("what can not be noted about a sandbox that is there does not lose it") {
        size_t stopped;
        svc_serve(t);
        t->sopts.journal = new_journal();
        (void)api_session(t);
        fflush(stdout);
        disk_is_full(journal, true, 50); /* for "create ...", not for "live ..." */
        svc_boxes(t, 1);
        disk_is_full(journal, false, 0);
        HAS_NOT(journal_shows(journal), "live sb-1 R1");
        (void)svc_make("", "");
        CHECK_INT(api_from_id(t, "sb-2", false, &t->boxes[t->box_count]), CWS_OK);
        HAS(journal_shows(journal), "|live sb-2 -|");
        crash(t);
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 2);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    ONCE("a session whose beginning can not be noted is not opened; later it is") {
        cws_session_opts so;
        cws_session *s = NULL;
        size_t more;
        memset(&so, 0, sizeof(so));
        so.client = api_client(t);
        so.journal = new_journal();
        put_file(journal, OLD_HEAD, strlen(OLD_HEAD));
        for (more = 0; more < 60; more += 19) {
            fflush(stdout);
            disk_is_full(journal, true, more);
            CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_FILE);
            disk_is_full(journal, false, 0);
            HAS(t->err.message, "can not be written");
            CHECK(s == NULL);
        }
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK);
        HAS(journal_shows(journal), "|cwsandbox-journal 1 v1 http://localhost:1 T");
        cws_session_free(s);
    }
    ONCE("files that can not be a journal are refused before anything else") {
        static const char *const names[] = {"/dev/full", "/", "/dev/null/x", "", "/tmp",
                                            "/nonexistent-directory/journal"};
        cws_session_opts so;
        cws_session *s = NULL;
        size_t i;
        svc_serve(t);
        memset(&so, 0, sizeof(so));
        so.client = api_client(t);
        for (i = 0; i < CWSI_COUNT(names); i++) {
            so.journal = names[i];
            if (!CHECK(cws_session_open(&so, &s, &t->err) != CWS_OK)) printf("    %s\n", names[i]);
            CHECK(s == NULL);
            HAS(t->err.message, "journal");
        }
        so.journal = new_journal();
        put_file(journal, "", 0);
        if (chmod(journal, 0400)) abort();
        if (geteuid() != 0) CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_FILE);
        CHECK_INT(t->s.call_count, 0);
    }
    ONCE("a pipe is no journal, and stays what it is; nor is the journal of another session") {
        cws_session_opts so;
        cws_session *s = NULL, *other = NULL;
        struct stat st;
        svc_serve(t);
        memset(&so, 0, sizeof(so));
        so.client = api_client(t);
        so.journal = new_journal();
        (void)unlink(journal);
        if (mkfifo(journal, 0600)) abort();
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_FILE);
        HAS(t->err.message, "no regular file");
        CHECK(stat(journal, &st) == 0 && S_ISFIFO(st.st_mode));
        so.journal = new_journal();
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK);
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_ERR_FILE); /* in the same process */
        HAS(t->err.message, "another session");
        CHECK_INT(cws_session_close(s, &t->err), CWS_OK);
        cws_session_free(s);
        CHECK_INT(cws_session_open(&so, &other, &t->err), CWS_OK);
        CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
        cws_session_free(other);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    ONCE("a journal that a living process uses is refused; when that is gone, it is not") {
        cws_session_opts so;
        cws_session *s = NULL;
        int in[2], out[2], status;
        char byte = 0;
        pid_t child;
        svc_serve(t);
        (void)api_client(t);
        memset(&so, 0, sizeof(so));
        so.client = t->client;
        so.journal = new_journal();
        fflush(stdout);
        if (pipe(in) || pipe(out) || (child = fork()) < 0) abort();
        if (child == 0) {
            byte = cws_session_open(&so, &s, NULL) == CWS_OK ? 'y' : 'n';
            (void)!write(out[1], &byte, 1);
            (void)close(in[1]);
            (void)!read(in[0], &byte, 1); /* until the parent closes it */
            _exit(0);
        }
        CHECK_INT(read(out[0], &byte, 1), 1);
        CHECK_INT(byte, 'y');
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_ERR_FILE);
        HAS(t->err.message, "another session");
        CHECK(s == NULL);
        (void)close(in[1]);
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_STR(journal_shows(journal), HEAD_LINE("T1"));
        CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK);
        cws_session_free(s);
        (void)close(in[0]), (void)close(out[0]), (void)close(out[1]);
    }
}

/* ---- reap ------------------------------------------------------------------------------------ */

static void put_journal(const char *text)
{
    (void)new_journal();
    put_file(journal, text, strlen(text));
}

static void test_reap(void)
{
    EACH("reap: without journal refused; with nothing to do no call") {
        size_t stopped = 7;
        svc_serve(t);
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(stopped, 0);
        HAS(t->err.message, "journal");
        cws_session_free(t->session);
        t->session = NULL;
        t->sopts.journal = new_journal();
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(cws_session_reap(NULL, &stopped, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_reap_begin(t->session, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_session_reap(t->session, NULL, NULL), CWS_OK);
        CHECK_INT(cws_op_reaped(NULL), 0);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_CLOSED);
    }
    EACH("reap: by tag, by name, and not what was released or has ended") {
        cws_sandbox *sb = NULL;
        size_t stopped = 0;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 4);
        (void)svc_make("", "");       /* sb-5: is adopted */
        (void)svc_make("", "foreign"); /* sb-6: nobody's */
        CHECK_INT(api_from_id(t, "sb-5", false, &sb), CWS_OK);
        CHECK_INT(api_stop(t, t->boxes[0], NULL), CWS_OK);
        CHECK_INT(cws_session_release(t->session, t->boxes[1], &t->err), CWS_OK);
        svc.boxes[2].ended = true; /* by itself */
        crash(t);
        svc.deletes = 0;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 2);
        CHECK(svc.boxes[3].ended && svc.boxes[4].ended);
        CHECK(!svc.boxes[1].ended); /* it was released, to outlive the session */
        CHECK(!svc.boxes[5].ended);
        CHECK_INT(svc.deletes, 2);
        HAS(journal_shows(journal), "reaped T1|");
        t->s.call_count = 0;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 0);
        CHECK_INT(t->s.call_count, 0);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("reap: a create in the air is found by its tag when it appears") {
        size_t stopped = 0;
        int64_t from;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc.lose = 1000;
        svc.appear_ms = 6500;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_TRANSPORT);
        svc.lose = 0;
        crash(t);
        svc.boxes[0].since = t->s.now + 6500;
        from = t->s.now;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 1);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(t->s.now - from, 7000);
        CHECK_INT(svc.lists, 8); /* one each second */
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("reap: for one that never appears it looks for ten seconds") {
        size_t stopped = 0;
        int64_t from;
        svc_serve(t);
        put_journal(OLD_HEAD "create 11111111-2222-3333-4444-555555555555\n"
                             "create 11111111-2222-3333-4444-666666666666\nlive sb-1 -\n");
        t->sopts.journal = journal;
        (void)svc_make("", "");
        from = (api_session(t), t->s.now);
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 1);
        CHECK_INT(t->s.now - from, 10000);
        CHECK_INT(svc.lists, 11);
        CHECK_INT(svc.gets, 1); /* it has that one */
    }
    EACH("reap: what fails to stop stays for the next time; so does what can not be listed") {
        size_t stopped = 0;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 3);
        crash(t);
        svc.refuse_lists = true;
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_AUTHENTICATION);
        CHECK_INT(stopped, 0);
        svc.refuse_lists = false;
        svc.refuse_each = 3;
        svc.deletes = 0;
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_SANDBOX);
        HAS(t->err.message, "1 of");
        CHECK_INT(svc_running(), 1);
        CHECK_INT(api_close(t), CWS_OK); /* which has nothing of its own */
        CHECK(strcmp(journal_shows(journal), "(none)") != 0);
        HAS_NOT(journal_shows(journal), "reaped T1|");
        crash(t);
        svc.refuse_each = 0;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 1);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("reap: three crashes in a row are all made up for; a clean run between them is nothing") {
        size_t stopped = 0, i;
        svc_serve(t);
        t->sopts.journal = new_journal();
        for (i = 0; i < 3; i++) {
            svc_boxes(t, 2);
            crash(t);
            CHECK_INT(svc.deletes, 0);
        }
        svc_boxes(t, 1);
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 6);
        CHECK_INT(svc_running(), 1); /* not what is the session's own */
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("reap: another address or API version is refused, with both named; nothing is sent") {
        size_t stopped = 0;
        svc_serve(t);
        put_journal("cwsandbox-journal 1 v1 https://elsewhere.example " OLD_TAG "\nlive sb-1 -\n");
        t->sopts.journal = journal;
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "https://elsewhere.example");
        HAS(t->err.message, "http://localhost:1");
        CHECK_INT(api_close(t), CWS_OK);
        cws_session_free(t->session);
        t->session = NULL;
        HAS(journal_shows(journal), "live sb-1 -|"); /* it stays for who can */
        put_journal("cwsandbox-journal 1 v1beta2 http://localhost:1 " OLD_TAG "\n");
        CHECK_INT(api_reap(t, &stopped), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "v1beta2");
        CHECK_INT(t->s.call_count, 0);
    }
}

static void test_reap_files(void)
{
    /* What the file holds, and which of sb-1 ... sb-3 are stopped by it. */
    static const struct {
        const char *name, *text, *stopped;
    } table[] = {
        {"a last line without its end", OLD_HEAD "live sb-1 -\nlive sb-2", "1"},
        {"a header without its end", "cwsandbox-journal 1 v1 http://local", ""},
        {"an empty file", "", ""},
        {"empty lines, lines of other kinds, of words too few and too many",
         OLD_HEAD "\n\n \nlive\nlive \nnew-kind sb-3 x\n  live   sb-1   -   more words \nlive "
         "sb-2 -\ngone\ngone sb-9\n\xff\xfe\x01\t\n", "12"},
        {"a header of another version of the file",
         OLD_HEAD "live sb-1 -\ncwsandbox-journal 2 v9 x y\n", "1"},
        {"live twice, gone once", OLD_HEAD "live sb-1 -\ngone sb-1\nlive sb-1 -\n", "1"},
        {"gone", OLD_HEAD "live sb-1 -\nlive sb-2 -\ngone sb-1\n", "2"},
        {"reaped", OLD_HEAD "live sb-1 -\nreaped " OLD_TAG "\n", ""},
        {"reaped, another tag", OLD_HEAD "live sb-1 -\nreaped cws-another\n", "1"},
        {"a create that failed", OLD_HEAD "create x\nfailed x\nlive sb-3 -\n", "3"},
        {"ids that are none", OLD_HEAD "live \x01\x02 -\nlive a/../b -\nlive sb-1 -\n", "1"},
    };
    size_t i, k;
    for (i = 0; i < CWSI_COUNT(table); i++)
        ONCE(table[i].name) {
            size_t stopped = 0;
            int64_t from;
            svc_serve(t);
            for (k = 0; k < 3; k++) (void)svc_make("", "");
            put_journal(table[i].text);
            t->sopts.journal = journal;
            (void)api_session(t);
            from = t->s.now;
            CHECK_INT(api_reap(t, &stopped), CWS_OK);
            if (t->err.status) printf("    %s\n", t->err.message);
            CHECK_INT(stopped, strlen(table[i].stopped));
            for (k = 0; k < 3; k++)
                CHECK_INT(svc.boxes[k].ended, strchr(table[i].stopped, '1' + (int)k) != NULL);
            CHECK_INT(t->s.now, from);
            /* whatever was there, this session can be made up for as well */
            svc_boxes(t, 1);
            crash(t);
            CHECK_INT(api_reap(t, &stopped), CWS_OK);
            CHECK_INT(stopped, 1);
            CHECK(svc.boxes[3].ended);
            CHECK_INT(api_close(t), CWS_OK);
            CHECK_STR(journal_shows(journal), "(none)");
        }
    ONCE("a journal of very long words, and of zero bytes") {
        size_t n = 300000, stopped = 0, at;
        char *text = (char *)malloc(n + 1000);
        if (!text) abort();
        svc_serve(t);
        (void)svc_make("", "");
        (void)new_journal();
        at = (size_t)sprintf(text, "%slive ", OLD_HEAD);
        memset(text + at, 'x', n / 3), at += n / 3;
        at += (size_t)sprintf(text + at, " -\ncreate y ");
        memset(text + at, 0, 1000), at += 1000;
        at += (size_t)sprintf(text + at, "\nfailed y\n");
        memset(text + at, 'z', n / 3), at += n / 3;
        at += (size_t)sprintf(text + at, "\nlive sb-1 -\n");
        put_file(journal, text, at);
        free(text);
        t->sopts.journal = journal;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 1);
        CHECK(svc.boxes[0].ended);
        CHECK_INT(api_close(t), CWS_OK);
    }
    ONCE("a journal of 100,000 sandboxes that are gone, and one that is not") {
        size_t stopped = 0, i;
        clock_t from = clock();
        FILE *f;
        svc_serve(t);
        (void)svc_make("", "");
        f = fopen(new_journal(), "wb");
        if (!f) abort();
        fputs(OLD_HEAD, f);
        for (i = 0; i < 100000; i++)
            fprintf(f, "create r-%lu\nlive x-%lu r-%lu\ngone x-%lu\n", (unsigned long)i,
                    (unsigned long)i, (unsigned long)i, (unsigned long)i);
        fputs("live sb-1 -\n", f);
        fclose(f);
        t->sopts.journal = journal;
        CHECK_INT(api_reap(t, &stopped), CWS_OK);
        CHECK_INT(stopped, 1);
        CHECK(clock() - from < 20 * CLOCKS_PER_SEC);
        CHECK_INT(api_close(t), CWS_OK);
    }
    ONCE("a journal of more than 64 MiB is refused") {
        cws_session_opts so;
        cws_session *s = NULL;
        FILE *f = fopen(new_journal(), "wb");
        if (!f || fseek(f, 65L << 20, SEEK_SET) || fputc('\n', f) == EOF || fclose(f)) abort();
        memset(&so, 0, sizeof(so));
        so.client = api_client(t);
        so.journal = journal;
        CHECK(cws_session_open(&so, &s, &t->err) != CWS_OK);
        HAS(t->err.message, "journal");
        CHECK(s == NULL);
    }
}

/* ---- reap: its life, and memory -------------------------------------------------------------- */

static void reap_inside(cws_op *op, void *user)
{
    api *t = (api *)user;
    size_t stopped = 7;
    CHECK_INT(cws_op_reaped(op), 0); /* it is no reap */
    CHECK_INT(cws_session_reap(t->session, &stopped, NULL), CWS_ERR_REENTRANT);
    CHECK_INT(stopped, 0);
}

static void test_reap_life(void)
{
    ONCE("reap blocks: it is refused in a callback") {
        cws_op *op = NULL;
        svc_serve(t);
        t->sopts.journal = new_journal();
        (void)api_session(t);
        CHECK_INT(cws_session_list_begin(t->session, NULL, &op, &t->err), CWS_OK);
        cws_op_on_done(op, reap_inside, t);
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        CHECK_INT(svc.lists, 1);
        cws_op_free(op);
    }
    STREAMING("reap: a cancelled one leaves the rest to the next, and nothing behind") {
        size_t stopped = 0;
        int64_t when;
        for (when = 0; when < 6000; when += 500) { /* in each of its steps */
            cws_op *op = NULL;
            int64_t from;
            svc_serve(t);
            t->sopts.journal = new_journal();
            svc_boxes(t, 3);
            crash(t);
            (void)api_session(t);
            svc.run_ms = svc.delete_ms = 1500;
            svc.appear_ms = 700;
            CHECK_INT(cws_session_reap_begin(t->session, &op, &t->err), CWS_OK);
            from = t->s.now;
            while (t->s.now - from < when && !cws_op_done(op))
                CHECK_INT(cws_client_poll(t->client, 100, NULL), CWS_OK);
            if (when % 1000) {
                CHECK(cws_op_cancel(op) || cws_op_done(op));
                CHECK(cws_op_done(op));
            }
            cws_op_free(op);
            api_settle(t);
            CHECK_INT(api_reap(t, &stopped), CWS_OK);
            CHECK_INT(svc_running(), 0);
            CHECK_INT(api_close(t), CWS_OK);
            CHECK_STR(journal_shows(journal), "(none)");
            cws_session_free(t->session);
            t->session = NULL;
            svc.run_ms = svc.delete_ms = 0;
        }
    }
    STREAMING("reap: two at once stop everything once, also if the session closes between them") {
        cws_op *a = NULL, *b = NULL, *close = NULL;
        size_t i;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 3);
        svc.lose = 1000;
        CHECK_INT(api_start(t, api_box(t, NULL)), CWS_ERR_TRANSPORT); /* so that they rest */
        svc.lose = 0;
        svc.boxes[3].since = t->s.now + 2600;
        crash(t);
        (void)api_session(t);
        CHECK_INT(cws_session_reap_begin(t->session, &a, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(a, 2500, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_session_reap_begin(t->session, &b, &t->err), CWS_OK);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        CHECK_INT(cws_op_wait(a, -1, &t->err), CWS_OK);
        CHECK_INT(cws_op_reaped(a), 4);
        CHECK(!cws_op_done(b));
        CHECK_INT(cws_session_close_begin(t->session, &close, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(close, -1, &t->err), CWS_OK);
        CHECK_STR(journal_shows(journal), "(none)");
        (void)cws_op_wait(b, -1, &t->err); /* it still reads what the journal said */
        CHECK_INT(svc_running(), 0);
        for (i = 0; i < 4; i++) CHECK_INT(svc.boxes[i].deletes, 1);
        CHECK_STR(journal_shows(journal), "(none)");
        cws_op_free(a);
        cws_op_free(b);
        cws_op_free(close);
    }
    STREAMING("reap: session and client freed while it is under way") {
        cws_op *op = NULL;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 3);
        crash(t);
        (void)api_session(t);
        svc.delete_ms = 1500;
        CHECK_INT(cws_session_reap_begin(t->session, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, 200, &t->err), CWS_ERR_WAIT_TIMEOUT);
        cws_session_free(t->session);
        t->session = NULL;
        CHECK_INT(cws_op_wait(op, -1, &t->err), CWS_OK);
        CHECK_INT(cws_op_reaped(op), 3);
        cws_op_free(op);
        svc_boxes(t, 3);
        crash(t);
        (void)api_session(t);
        CHECK_INT(cws_session_reap_begin(t->session, &op, &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(op, 200, &t->err), CWS_ERR_WAIT_TIMEOUT);
        cws_session_free(t->session);
        t->session = NULL;
        cws_client_free(t->client);
        CHECK(cws_op_done(op));
        CHECK(cws_op_result(op, &t->err) != CWS_OK);
        cws_op_free(op);
        t->client = NULL;
        CHECK_INT(t->s.closes, 1);
    }
    ONCE("v1beta2: a create in doubt keeps the journal, as nothing can settle it") {
        cws_sandbox *sb;
        t->s.b2 = true;
        t->copts.api_version = CWS_API_V1BETA2;
        t->sopts.journal = new_journal();
        (void)api_session(t);
        sb = api_box(t, NULL);
        script_end(&t->s, "Start", CWS_END_LOST);
        CHECK_INT(api_start(t, sb), CWS_ERR_TRANSPORT);
        CHECK_INT(api_close(t), CWS_OK); /* there is nothing it could stop */
        HAS(journal_shows(journal), "create R1|");
        HAS_NOT(journal_shows(journal), "failed");
    }
}

/* Each allocation in turn fails, once, or from then on. The job must come out with CWS_OK or for
 * want of memory, and a close with memory must leave nothing. */
static void each_allocation(api *t, bool (*job)(api *t), const char *what)
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
static bool no_memory(cws_status status) { return status != CWS_OK; }

static bool job_journal(api *t)
{
    cws_sandbox *sb = NULL;
    cws_error err;
    if (no_memory(cws_session_sandbox(t->session, NULL, &sb, &err))) return false;
    t->boxes[t->box_count++] = sb;
    if (no_memory(cws_sandbox_wait(sb, 0, &err))) return false;
    if (no_memory(cws_session_release(t->session, sb, &err))) return false;
    if (no_memory(cws_session_adopt(t->session, sb, &err))) {
        while (cws_session_adopt(t->session, sb, &err)) test_alloc_fail_at(-1, false);
        test_g.alloc_failed = true;
        return false;
    }
    return cws_session_close(t->session, &err) == CWS_OK;
}

/* A crash has left two; another session has the journal now, opened without memory. */
static bool job_reap(api *t)
{
    cws_session_opts so;
    cws_session *s = NULL;
    cws_error err;
    size_t stopped = 0, i;
    bool ok = true;
    long at = test_g.fail_in;
    bool on = test_g.fail_on;
    test_alloc_fail_at(-1, false);
    put_journal(OLD_HEAD "live sb-1 -\ncreate R\nlive sb-2 R\n");
    for (i = 0; i < 2; i++) (void)svc_make("", i ? OLD_TAG : "");
    memset(&so, 0, sizeof(so));
    so.client = t->client;
    so.journal = journal;
    test_alloc_fail_at(at, on);
    ok = cws_session_open(&so, &s, &err) == CWS_OK;
    if (ok) ok = cws_session_reap(s, &stopped, &err) == CWS_OK;
    if (ok) CHECK_INT(stopped, 2);
    if (!ok) CHECK(err.status == CWS_ERR_NO_MEMORY || err.status == CWS_ERR_SANDBOX ||
                   err.status == CWS_ERR_TRANSPORT);
    test_g.fail_in = -1;
    if (!s && !CHECK_INT(cws_session_open(&so, &s, &err), CWS_OK)) return ok;
    if (!CHECK_INT(cws_session_reap(s, &stopped, &err), CWS_OK)) printf("    %s\n", err.message);
    CHECK_INT(svc_running(), 0);
    CHECK_INT(cws_session_close(s, &err), CWS_OK);
    cws_session_free(s);
    CHECK_STR(journal_shows(journal), "(none)");
    return ok;
}

static void test_memory(void)
{
    EACH("want of memory anywhere in a session with a journal loses no sandbox") {
        t->sopts.journal = new_journal();
        each_allocation(t, job_journal, "session");
        CHECK_STR(journal_shows(journal), "(none)");
    }
    EACH("want of memory anywhere in a reap leaves what it has not done to the next") {
        each_allocation(t, job_reap, "reap");
    }
}

/* ---- the guard ------------------------------------------------------------------------------- */

/* What became of a process: what it said, and how it ended ("exit 3", "signal 15"). */
static const char *child_said(void (*body)(api *t))
{
    static char text[4000];
    size_t n = 0;
    ssize_t got;
    int out[2], status;
    pid_t child;
    fflush(stdout);
    if (pipe(out) || (child = fork()) < 0) abort();
    if (child == 0) {
        static api *t; /* reachable, whenever it ends */
        (void)close(out[0]);
        (void)alarm(20);
        test_g.bad = false;
        t = api_new(API_ASYNC);
        svc_serve(t);
        svc.say = out[1];
        body(t);
        if (test_g.bad) (void)!write(out[1], "BAD ", 4);
        fflush(stdout);
        _exit(0);
    }
    (void)close(out[1]);
    while (n < sizeof(text) - 100 && (got = read(out[0], text + n, sizeof(text) - 100 - n)) > 0)
        n += (size_t)got;
    (void)close(out[0]);
    if (waitpid(child, &status, 0) != child) abort();
    if (WIFSIGNALED(status)) (void)snprintf(text + n, 100, "signal %d", WTERMSIG(status));
    else (void)snprintf(text + n, 100, "exit %d", WEXITSTATUS(status));
    return text;
}

static void say(const char *word)
{
    if (write(svc.say, word, strlen(word)) != (ssize_t)strlen(word)) abort();
}

/* A guarded session with two sandboxes that run. The calls until then are not told. */
static void guarded(api *t)
{
    int out = svc.say;
    svc.say = -1;
    svc_boxes(t, 2);
    CHECK_INT(cws_session_guard(t->session, true, &t->err), CWS_OK);
    svc.say = out;
}

static void turn(api *t) { CHECK_INT(cws_client_poll(t->client, 0, &t->err), CWS_OK); }

#define STOPS "DeleteSandbox DeleteSandbox "

static void child_exit(api *t)
{
    guarded(t);
    exit(3);
}

static void child_exit_main_loop(api *t)
{
    guarded(t);
    CHECK_INT(cws_session_guard(t->session, true, &t->err), CWS_OK); /* twice is once */
    CHECK_INT(cws_session_close(t->session, &t->err), CWS_OK);
    say("closed ");
    exit(4); /* nothing is left to do */
}

static void child_term(api *t)
{
    guarded(t);
    (void)raise(SIGTERM);
    say("noted ");
    turn(t);
    say("alive ");
}

static void child_int(api *t)
{
    guarded(t);
    (void)raise(SIGINT);
    turn(t);
    say("alive ");
}

static void child_ignored(api *t)
{
    cws_sandbox *sb = NULL;
    (void)signal(SIGINT, SIG_IGN);
    guarded(t);
    (void)raise(SIGINT);
    turn(t);
    say("on ");
    CHECK_INT(cws_session_sandbox(t->session, NULL, &sb, &t->err), CWS_ERR_CLOSED);
    CHECK_INT(cws_session_sandbox_count(t->session), 0);
    CHECK(signal(SIGINT, SIG_DFL) == SIG_IGN); /* as it was */
    CHECK(signal(SIGTERM, SIG_DFL) == SIG_DFL);
}

static void on_signal(int number) { say(number == SIGINT ? "int-handler " : "term-handler "); }

static void on_signal_info(int number, siginfo_t *info, void *context)
{
    (void)context;
    say(info && info->si_signo == number ? "info-handler " : "no info ");
}

static void child_handler(api *t)
{
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    guarded(t);
    (void)raise(SIGTERM);
    turn(t);
    say("on ");
    (void)raise(SIGINT); /* as before the guard */
}

static void child_handler_info(api *t)
{
    struct sigaction action, now;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_signal_info;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    (void)sigaction(SIGTERM, &action, NULL);
    guarded(t);
    (void)raise(SIGTERM);
    turn(t);
    CHECK_INT(sigaction(SIGTERM, NULL, &now), 0);
    CHECK(now.sa_sigaction == on_signal_info);
    CHECK((now.sa_flags & (SA_SIGINFO | SA_NODEFER)) == (SA_SIGINFO | SA_NODEFER));
    CHECK_INT(sigismember(&now.sa_mask, SIGUSR1), 1);
}

static void child_second(api *t)
{
    guarded(t);
    svc.hang_deletes = true;
    svc.kill_in_poll = SIGINT;
    svc.kill_after = 3;
    (void)raise(SIGTERM);
    turn(t);
    say("alive ");
}

static void child_second_term(api *t)
{
    (void)signal(SIGTERM, on_signal); /* even so */
    guarded(t);
    svc.hang_deletes = true;
    svc.kill_in_poll = SIGTERM;
    svc.kill_after = 1;
    (void)raise(SIGTERM);
    turn(t);
    say("alive ");
}

/* A signal in the midst of the closing at exit: it is the first one. */
static void child_exit_then_term(api *t)
{
    guarded(t);
    svc.delete_ms = 3000;
    svc.kill_in_poll = SIGTERM;
    svc.kill_after = 1;
    exit(5);
}

static void child_hanging_exit(api *t)
{
    t->sopts.close_timeout_seconds = 7;
    guarded(t);
    svc.hang_deletes = true;
    exit(6); /* bounded by close_timeout_seconds */
}

static bool is_default(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

static void child_nothing_installed(api *t)
{
    cws_session *other;
    CHECK_INT(cws_session_guard(NULL, true, &t->err), CWS_ERR_INVALID_ARGUMENT);
    CHECK_INT(cws_session_guard(NULL, false, &t->err), CWS_ERR_INVALID_ARGUMENT);
    (void)api_session(t);
    CHECK_INT(cws_session_guard(t->session, false, &t->err), CWS_OK); /* is not: fine */
    CHECK(is_default(SIGINT) && is_default(SIGTERM));
    guarded(t);
    CHECK(!is_default(SIGINT) && !is_default(SIGTERM));
    other = open_session(t, NULL);
    CHECK_INT(cws_session_guard(other, true, &t->err), CWS_OK);
    CHECK_INT(cws_session_guard(t->session, false, &t->err), CWS_OK);
    CHECK(!is_default(SIGINT) && !is_default(SIGTERM)); /* the other one is */
    CHECK_INT(cws_session_close(other, &t->err), CWS_OK);
    CHECK(is_default(SIGINT) && is_default(SIGTERM));
    CHECK_INT(cws_session_guard(other, true, &t->err), CWS_ERR_CLOSED);
    CHECK_INT(cws_session_guard(t->session, true, &t->err), CWS_OK);
    CHECK(!is_default(SIGINT));
    cws_session_free(other);
    for (; t->box_count; t->box_count--) cws_sandbox_free(t->boxes[t->box_count - 1]);
    cws_session_free(t->session);
    CHECK(is_default(SIGINT) && is_default(SIGTERM)); /* also by freeing */
    t->session = NULL;
    exit(7);
}

static void child_replaced(api *t)
{
    guarded(t);
    (void)signal(SIGINT, on_signal); /* the program's own idea, later */
    CHECK_INT(cws_session_guard(t->session, false, &t->err), CWS_OK);
    CHECK(is_default(SIGTERM));
    (void)raise(SIGINT);
}

static int late_by; /* polls */

/* The signal comes while the session closes anyway: it must not be swallowed. */
static void child_late(api *t)
{
    guarded(t);
    svc.delete_ms = 1000;
    svc.kill_in_poll = SIGTERM;
    svc.kill_after = late_by;
    CHECK_INT(cws_session_close(t->session, &t->err), CWS_OK);
    say(svc.kill_after < 0 ? "swallowed " : "closed ");
}

static void child_unguard_pending(api *t)
{
    guarded(t);
    (void)raise(SIGTERM);
    (void)cws_session_guard(t->session, false, &t->err); /* it does what it did before */
    say("alive ");
}

static void *thread_signal(void *user)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)pthread_kill(pthread_self(), SIGTERM);
    for (;;) (void)pause();
    return user;
}

/* It arrives in another thread; this one has it blocked. */
static void child_thread(api *t)
{
    sigset_t set;
    pthread_t thread;
    guarded(t);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, thread_signal, NULL)) abort();
    while (!cwsi_guard.caught) (void)usleep(1000);
    CHECK_INT(cws_client_poll(t->client, 100000, &t->err), CWS_OK);
    (void)usleep(2000000); /* the other thread dies of it, and with it the process */
    say("alive ");
}

/* A wait that no signal interrupts looks twice a second. */
static void child_looks(api *t)
{
    cws_op *op = NULL;
    guarded(t);
    svc.hang_gets = true;
    svc.most_wait = 0;
    CHECK_INT(cws_sandbox_get_status_begin(t->boxes[0], &op, &t->err), CWS_OK);
    (void)cws_op_wait(op, 4000, &t->err);
    CHECK(svc.most_wait > 0 && svc.most_wait <= 500);
    CHECK_INT(cws_session_guard(t->session, false, &t->err), CWS_OK);
    svc.most_wait = 0;
    (void)cws_op_wait(op, 4000, &t->err);
    CHECK(svc.most_wait > 500);
    cws_op_free(op);
}

/* The child of a guarded process ends without closing what is its parent's. */
static void child_fork(api *t)
{
    pid_t child;
    int status, way;
    guarded(t);
    for (way = 0; way < 3; way++) {
        child = fork();
        if (child < 0) abort();
        if (child == 0) {
            if (way == 0) exit(0);
            (void)raise(way == 1 ? SIGTERM : SIGINT);
            say("survived ");
            _exit(0);
        }
        if (waitpid(child, &status, 0) != child) abort();
        if (way) CHECK(WIFSIGNALED(status) && WTERMSIG(status) == (way == 1 ? SIGTERM : SIGINT));
        else CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    say("parent ");
    exit(8);
}

/* Two sessions: the failure of one does not keep the other from closing. */
static void child_two(api *t)
{
    cws_session *first;
    int out = svc.say;
    svc.say = -1;
    svc_boxes(t, 2);
    svc.say = out;
    first = t->session;
    t->session = NULL;
    guarded(t);
    CHECK_INT(cws_session_guard(first, true, &t->err), CWS_OK);
    say("two ");
    svc.refuse_each = svc.deletes + 1; /* the first delete */
    (void)raise(SIGTERM);
    turn(t);
}

static void child_mixed(api *t)
{
    int out = svc.say;
    cws_session *other;
    svc.say = -1;
    svc_boxes(t, 2); /* not guarded: left alone */
    other = open_session(t, NULL);
    CHECK_INT(cws_session_adopt(other, t->boxes[0], &t->err), CWS_OK);
    CHECK_INT(cws_session_guard(other, true, &t->err), CWS_OK);
    svc.say = out;
    exit(9);
}

static void exit_inside(cws_op *op, void *user)
{
    (void)op, (void)user;
    exit(10);
}

/* exit() inside a callback: nothing can be waited for there, but the process ends. */
static void child_exit_in_callback(api *t)
{
    cws_op *op = NULL;
    guarded(t);
    svc.say = -1;
    CHECK_INT(cws_sandbox_get_status_begin(t->boxes[0], &op, &t->err), CWS_OK);
    cws_op_on_done(op, exit_inside, NULL);
    (void)cws_op_wait(op, -1, &t->err);
}

static void child_own_client(api *t)
{
    cws_session_opts so;
    cws_sandbox *sb = NULL;
    static cws_session *s;
    int out = svc.say;
    memset(&so, 0, sizeof(so));
    so.client_opts = &t->copts;
    svc.say = -1;
    CHECK_INT(cws_session_open(&so, &s, &t->err), CWS_OK);
    CHECK_INT(cws_session_sandbox(s, NULL, &sb, &t->err), CWS_OK);
    CHECK_INT(cws_sandbox_wait(sb, 0, &t->err), CWS_OK);
    CHECK_INT(cws_session_guard(s, true, &t->err), CWS_OK);
    svc.say = out;
    cws_sandbox_free(sb);
    (void)raise(SIGINT);
    CHECK_INT(cws_client_poll(cws_session_client(s), 0, NULL), CWS_OK);
}

static void test_guard(void)
{
    static const struct {
        const char *promise;
        void (*body)(api *t);
        const char *said;
    } table[] = {
        {"L24: exit() closes what is guarded", child_exit, STOPS "exit 3"},
        {"L24: closed before the end: nothing is left to do, once", child_exit_main_loop,
         STOPS "closed exit 4"},
        {"L25: SIGTERM by default: closed by the next turn, then died of it", child_term,
         "noted " STOPS "signal 15"},
        {"L25: SIGINT likewise", child_int, STOPS "signal 2"},
        {"L25: an ignored signal closes, and the program goes on", child_ignored,
         STOPS "on exit 0"},
        {"L25: a handler is called after the closing, and is in its place again", child_handler,
         STOPS "term-handler on int-handler exit 0"},
        {"L25: so is one with siginfo, flags and mask", child_handler_info,
         STOPS "info-handler exit 0"},
        {"L25: a second signal ends the process at once: 128 + 2", child_second, STOPS "exit 130"},
        {"L25: likewise 128 + 15, whatever the handler", child_second_term, STOPS "exit 143"},
        {"a signal during the closing of exit() is the first: it ends well", child_exit_then_term,
         STOPS "signal 15"},
        {"the closing at exit is bounded", child_hanging_exit, STOPS "exit 6"},
        {"L25: nothing is installed while no session is guarded; originals are restored",
         child_nothing_installed, "exit 7"},
        {"what replaced the guard's handler stays", child_replaced, "int-handler exit 0"},
        {"a signal that is pending when the session is unguarded is not swallowed",
         child_unguard_pending, "signal 15"},
        {"a signal in another thread: this one closes, and the process dies of it", child_thread,
         STOPS "signal 15"},
        {"a guarded wait looks twice a second", child_looks, "GetSandbox exit 0"},
        {"a forked child neither closes nor survives what its parent guards", child_fork,
         "parent " STOPS "exit 8"},
        {"L24: the failure of one session does not keep the next from closing", child_two,
         "two DeleteSandbox DeleteSandbox " STOPS "signal 15"},
        {"a session that is not guarded is left alone", child_mixed, "DeleteSandbox exit 9"},
        {"exit() inside a callback ends the process", child_exit_in_callback, "exit 10"},
        {"a session with a client of its own", child_own_client, "DeleteSandbox signal 2"},
    };
    size_t i;
    for (i = 0; i < CWSI_COUNT(table); i++)
        TEST(table[i].promise) CHECK_STR(child_said(table[i].body), table[i].said);
    TEST("a signal during a close of the program's own is not swallowed, whenever it comes")
    {
        const char *said = "";
        for (late_by = 0; late_by < 20 && strcmp(said, STOPS "closed exit 0") != 0; late_by++) {
            said = child_said(child_late);
            if (strcmp(said, STOPS "closed exit 0") != 0) CHECK_STR(said, STOPS "signal 15");
        }
        CHECK(late_by > 2 && late_by < 20); /* all polls of the close were tried */
    }
}

/* ---- operations of a session ----------------------------------------------------------------- */

static void test_operations(void)
{
    STREAMING("L62: a session's operations: waited for together, mixed; a wait that ends early "
              "cancels nothing; the result stays the same") {
        cws_op *ops[4];
        bool done[4];
        cws_sandbox_list *list;
        cws_sandbox *sb;
        size_t n = 0, i;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 2);
        svc.create_ms = svc.run_ms = 1000;
        CHECK_INT(cws_session_list_begin(t->session, NULL, &ops[0], &t->err), CWS_OK);
        CHECK_INT(cws_session_from_id_begin(t->session, "sb-9", false, &ops[1], &t->err), CWS_OK);
        CHECK_INT(cws_session_from_id_begin(t->session, "sb-1", true, &ops[2], &t->err), CWS_OK);
        CHECK_INT(cws_session_reap_begin(t->session, &ops[3], &t->err), CWS_OK);
        CHECK_INT(cws_op_wait(ops[2], 0, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_op_wait(ops[2], 300, &t->err), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(cws_wait_many(ops, 4, 3, -1, done, &n, &t->err), CWS_OK);
        CHECK(n == 3 && done[0] && done[1] && !done[2] && done[3]);
        CHECK_INT(cws_wait_many(ops, 4, CWS_ALL, -1, done, &n, &t->err), CWS_OK);
        CHECK(n == 4 && done[2]);
        for (i = 0; i < 3; i++) {
            CHECK_INT(cws_op_wait(ops[1], (int64_t)i - 1, &t->err), CWS_ERR_NOT_FOUND);
            CHECK_STR(t->err.sandbox_id, "sb-9");
            CHECK_INT(cws_op_result(ops[2], &t->err), CWS_OK);
        }
        list = cws_op_take_list(ops[0]);
        CHECK_INT(cws_sandbox_list_count(list), 2);
        CHECK(cws_op_take_list(ops[0]) == NULL); /* it can be taken once */
        CHECK(cws_op_take_list(ops[1]) == NULL && cws_op_take_sandbox(ops[0]) == NULL);
        CHECK(cws_op_take_sandbox(ops[1]) == NULL);
        sb = cws_op_take_sandbox(ops[2]);
        CHECK(sb != NULL && cws_op_take_sandbox(ops[2]) == NULL);
        for (i = 0; i < 4; i++) cws_op_free(ops[i]);
        cws_sandbox_list_free(list);
        cws_sandbox_free(sb);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("operations of a session that are never waited for, and freed at any time") {
        size_t i;
        svc_serve(t);
        t->sopts.journal = new_journal();
        svc_boxes(t, 3);
        svc.create_ms = svc.run_ms = svc.delete_ms = 200;
        for (i = 0; i < 60; i++) {
            cws_op *op = NULL;
            cws_list_opts o;
            memset(&o, 0, sizeof(o));
            o.adopt = i % 8 == 4;
            if (i % 4 == 0) CHECK_INT(cws_session_list_begin(t->session, &o, &op, NULL), CWS_OK);
            if (i % 4 == 1)
                CHECK_INT(cws_session_from_id_begin(t->session, "sb-2", i % 8 == 1, &op, NULL),
                          CWS_OK);
            if (i % 4 == 2) CHECK_INT(cws_session_reap_begin(t->session, &op, NULL), CWS_OK);
            if (i % 4 == 3)
                CHECK_INT(cws_sandbox_start_begin(api_box(t, NULL), &op, NULL), CWS_OK);
            if (i % 3) CHECK_INT(cws_client_poll(t->client, (int)(i * 7), NULL), CWS_OK);
            cws_op_free(op);
        }
        CHECK_INT(api_close(t), CWS_OK);
        api_settle(t);
        CHECK_INT(svc_running(), 0);
        CHECK_STR(journal_shows(journal), "(none)");
    }
}

/* ---- pools ----------------------------------------------------------------------------------- */

static cws_pool *open_pool(api *t, cws_pool_opts *o, size_t size)
{
    cws_pool *pool = NULL;
    o->size = size;
    CHECK_INT(cws_pool_open(api_session(t), o, &pool, &t->err), CWS_OK);
    CHECK(pool != NULL);
    if (!pool) abort();
    return pool;
}

/* Until that many can be taken, or nothing moves any more. */
static void pool_fills(api *t, cws_pool *pool, size_t n)
{
    int64_t from = t->s.now;
    while (cws_pool_ready(pool) < n && t->s.now - from < 60000)
        CHECK_INT(cws_client_poll(t->client, 1000, NULL), CWS_OK);
    CHECK_INT(cws_pool_ready(pool), n);
}

static cws_status pool_take(api *t, cws_pool *pool, int64_t ms, cws_sandbox **out)
{
    cws_status status = cws_pool_take(pool, ms, out, &t->err);
    CHECK_INT(status == CWS_OK, *out != NULL);
    CHECK_INT(t->err.status, status);
    if (*out) t->boxes[t->box_count++] = *out;
    return status;
}

typedef struct pool_seen {
    int calls;
    size_t ready;
    bool take, free_it;
    cws_sandbox *taken[10];
    cws_status blocked, closed;
} pool_seen;

static void pool_on_ready(cws_pool *pool, void *user)
{
    pool_seen *seen = (pool_seen *)user;
    cws_sandbox *sb = NULL;
    seen->ready = cws_pool_ready(pool);
    if (seen->take && seen->calls < 10) {
        seen->blocked = cws_pool_take(pool, 5, &sb, NULL);
        CHECK(sb == NULL);
        seen->closed = cws_pool_close(pool, NULL);
        CHECK_INT(cws_pool_take(pool, 0, &seen->taken[seen->calls], NULL), CWS_OK);
    }
    seen->calls++;
    if (seen->free_it) cws_pool_free(pool);
}

static void test_pool(void)
{
    EACH("pool: arguments; the options of its sandboxes are checked when it is opened") {
        cws_pool_opts o;
        cws_sandbox_opts so;
        cws_pool *pool = NULL;
        cws_sandbox *sb = NULL;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        memset(&so, 0, sizeof(so));
        (void)api_session(t);
        CHECK_INT(cws_pool_open(t->session, NULL, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "size");
        o.size = 100001;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        o.size = 1;
        CHECK_INT(cws_pool_open(NULL, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_pool_open(t->session, &o, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        o.max_age_seconds = -5;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "max_age_seconds");
        o.max_age_seconds = 0;
        o.must_be_zero = 1;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "cws_pool_opts");
        o.must_be_zero = 0;
        so.max_lifetime_seconds = -3;
        o.sandbox = &so;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_INVALID_ARGUMENT);
        HAS(t->err.message, "max_lifetime_seconds");
        CHECK(pool == NULL);
        CHECK_INT(cws_session_sandbox_count(t->session), 0);
        CHECK_INT(cws_pool_take(NULL, 0, &sb, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_pool_ready(NULL), 0);
        CHECK_INT(cws_pool_close(NULL, &t->err), CWS_OK);
        cws_pool_free(NULL);
        CHECK_INT(api_close(t), CWS_OK);
        o.sandbox = NULL;
        CHECK_INT(cws_pool_open(t->session, &o, &pool, &t->err), CWS_ERR_CLOSED);
        CHECK_INT(t->s.call_count, 0);
    }
    EACH("pool: keeps so many ready, hands out the oldest, starts another for it") {
        cws_pool_opts o;
        cws_sandbox_opts so;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        static const char *const tags[] = {"pooled", NULL};
        size_t i;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        memset(&so, 0, sizeof(so));
        so.tags = tags;
        o.sandbox = &so;
        pool = open_pool(t, &o, 3);
        memset(&so, 0xff, sizeof(so)); /* it has a copy */
        CHECK_INT(t->s.call_count, 0); /* nothing inside the call */
        pool_fills(t, pool, 3);
        CHECK_INT(svc.count, 3);
        for (i = 0; i < 5; i++) {
            CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
            CHECK_STR(cws_sandbox_id(sb), svc.boxes[i].id); /* in the order of their coming */
            CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
            t->s.now++;
            pool_fills(t, pool, 3);
            CHECK_INT(svc.count, 4 + i);
        }
        HAS(script_json(&t->s, "CreateSandbox", 7), "\"pooled\"");
        CHECK_INT(cws_session_sandbox_count(t->session), 8);
        CHECK_INT(cws_pool_take(pool, 0, NULL, &t->err), CWS_ERR_INVALID_ARGUMENT);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        CHECK_INT(svc_running(), 5); /* those that were taken */
        CHECK_INT(cws_pool_ready(pool), 0);
        CHECK_INT(pool_take(t, pool, 0, &sb), CWS_ERR_CLOSED);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK); /* twice is once */
        cws_pool_free(pool);
        CHECK_INT(svc.count, 8);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: a take waits as long as it may") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        int64_t from;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        svc.create_ms = 3000, svc.run_ms = 1000;
        pool = open_pool(t, &o, 2);
        from = t->s.now;
        CHECK_INT(pool_take(t, pool, 0, &sb), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now, from);
        CHECK_INT(pool_take(t, pool, 1234, &sb), CWS_ERR_WAIT_TIMEOUT);
        CHECK_INT(t->s.now - from, 1234);
        HAS(t->err.message, "ready");
        CHECK_INT(pool_take(t, pool, 3000, &sb), CWS_OK);
        CHECK(t->s.now - from < 4300);
        CHECK_INT(pool_take(t, pool, 0, &sb), CWS_OK); /* both had begun at once */
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK(svc.creates >= 4);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(svc_running(), 3);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: at most max_starting are started at once") {
        cws_pool_opts o;
        cws_pool *pool;
        int64_t from;
        size_t i, k, most = 0;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        o.max_starting = 2;
        svc.create_ms = 1000;
        pool = open_pool(t, &o, 7);
        from = t->s.now;
        pool_fills(t, pool, 7);
        CHECK(t->s.now - from >= 4000 && t->s.now - from < 6000); /* four rounds */
        for (i = 0; i < t->s.call_count; i++) { /* creates that overlap */
            size_t n = 0;
            if (strcmp(t->s.calls[i].rpc, "CreateSandbox") != 0) continue;
            for (k = 0; k < t->s.call_count; k++)
                n += strcmp(t->s.calls[k].rpc, "CreateSandbox") == 0 &&
                     t->s.calls[k].at <= t->s.calls[i].at &&
                     t->s.calls[k].ended_at > t->s.calls[i].at;
            if (n > most) most = n;
        }
        CHECK_INT(most, 2);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(svc_running(), 0);
    }
    EACH("pool: one that is too old is stopped, and another given") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        o.max_age_seconds = 10;
        pool = open_pool(t, &o, 2);
        pool_fills(t, pool, 2);
        t->s.now += 9000;
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-1");
        pool_fills(t, pool, 2); /* sb-3 */
        CHECK_INT(cws_pool_ready(pool), 2);
        t->s.now += 5000;
        CHECK_INT(cws_pool_ready(pool), 1); /* sb-2 is too old */
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK_STR(cws_sandbox_id(sb), "sb-3");
        t->s.now += 60000;
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK_INT(cws_sandbox_state(sb), CWS_STATE_RUNNING);
        pool_fills(t, pool, 2);
        CHECK(svc.boxes[1].ended);
        CHECK_INT(svc_running(), 5); /* three taken, two ready */
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    EACH("pool: after three failures in a row it says why, and tries again only when asked") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        size_t before;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        o.max_starting = 1;
        svc.refuse_creates = 1000;
        pool = open_pool(t, &o, 2);
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_ERR_SANDBOX);
        HAS(t->err.message, "not this one");
        CHECK_INT(svc.creates, 3);
        api_settle(t);
        CHECK_INT(cws_client_poll(t->client, 60000, NULL), CWS_OK);
        CHECK_INT(svc.creates, 3); /* by itself it does not */
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_ERR_SANDBOX);
        CHECK_INT(svc.creates, 4);
        before = svc.creates;
        CHECK(pool_take(t, pool, 0, &sb) != CWS_OK); /* asked without waiting */
        api_settle(t);
        CHECK_INT(svc.creates, before + 1);
        svc.refuse_creates = 0;
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        pool_fills(t, pool, 2);
        CHECK_INT(cws_session_sandbox_count(t->session), 3); /* the failed ones are not kept */
        svc.failing = true; /* created, but they fail when they start */
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_ERR_FAILED);
        HAS(t->err.message, "failed");
        api_settle(t);
        svc.failing = false;
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(api_close(t), CWS_OK);
    }
    EACH("pool: two failures, then a success: the count begins anew") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        o.max_starting = 1;
        svc.refuse_creates = 2;
        pool = open_pool(t, &o, 1);
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        svc.refuse_creates = 2;
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_OK);
        CHECK(svc.creates >= 6);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: on_ready may take without waiting; what blocks is refused there") {
        cws_pool_opts o;
        cws_pool *pool;
        pool_seen seen;
        size_t i;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        memset(&seen, 0, sizeof(seen));
        o.on_ready = pool_on_ready;
        o.user = &seen;
        seen.take = true;
        pool = open_pool(t, &o, 2);
        CHECK_INT(seen.calls, 0);
        for (i = 0; i < 1000 && seen.calls < 10; i++)
            CHECK_INT(cws_client_poll(t->client, 1000, NULL), CWS_OK);
        CHECK(seen.calls >= 10);
        CHECK_INT(seen.blocked, CWS_ERR_REENTRANT);
        CHECK_INT(seen.closed, CWS_ERR_REENTRANT);
        for (i = 0; i < 10; i++) {
            CHECK_INT(cws_sandbox_state(seen.taken[i]), CWS_STATE_RUNNING);
            t->boxes[t->box_count++] = seen.taken[i];
        }
        pool_fills(t, pool, 2);
        CHECK(seen.ready >= 1);
        CHECK_INT(svc_running(), 12);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        CHECK_INT(svc_running(), 10);
        cws_pool_free(pool);
        CHECK_INT(api_close(t), CWS_OK);
    }
    STREAMING("pool: freed inside on_ready, and in mid-flight: the session stops what is left") {
        cws_pool_opts o;
        cws_pool *pool;
        pool_seen seen;
        int64_t when;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        memset(&seen, 0, sizeof(seen));
        o.on_ready = pool_on_ready;
        o.user = &seen;
        seen.free_it = true;
        (void)open_pool(t, &o, 3);
        while (!seen.calls) CHECK_INT(cws_client_poll(t->client, 1000, NULL), CWS_OK);
        api_settle(t);
        CHECK_INT(seen.calls, 1);
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
        cws_session_free(t->session);
        t->session = NULL;
        memset(&o, 0, sizeof(o));
        o.max_age_seconds = 1;
        svc.create_ms = svc.run_ms = svc.delete_ms = 1000;
        for (when = 0; when < 6000; when += 500) {
            int64_t from = t->s.now;
            cws_sandbox *sb = NULL;
            pool = open_pool(t, &o, 3);
            while (t->s.now - from < when)
                CHECK_INT(cws_client_poll(t->client, 100, NULL), CWS_OK);
            if (cws_pool_take(pool, 0, &sb, NULL) == CWS_OK) t->boxes[t->box_count++] = sb;
            cws_pool_free(pool);
            api_settle(t);
            CHECK_INT(api_close(t), CWS_OK);
            CHECK_INT(svc_running(), 0);
            cws_session_free(t->session);
            t->session = NULL;
        }
    }
    STREAMING("pool: the session closes under it: nothing is started any more, a take says so") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        cws_op *close = NULL;
        size_t made;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        svc.create_ms = svc.delete_ms = 1000;
        pool = open_pool(t, &o, 3);
        CHECK_INT(cws_client_poll(t->client, 0, NULL), CWS_OK);
        CHECK_INT(cws_session_close_begin(t->session, &close, &t->err), CWS_OK);
        CHECK_INT(pool_take(t, pool, -1, &sb), CWS_ERR_CLOSED);
        CHECK_INT(cws_op_wait(close, -1, &t->err), CWS_OK);
        cws_op_free(close);
        made = svc.count;
        api_settle(t);
        CHECK_INT(svc.count, made);
        CHECK_INT(svc_running(), 0);
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
    }
    EACH("pool: a close with failures counts them, and leaves those to the session") {
        cws_pool_opts o;
        cws_pool *pool;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        pool = open_pool(t, &o, 6);
        pool_fills(t, pool, 6);
        svc.boxes[4].ended = true; /* by itself: no failure */
        svc.refuse_each = 2;
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_ERR_SANDBOX);
        HAS(t->err.message, "3 sandboxes of the pool");
        HAS(t->err.message, "will not");
        CHECK_INT(cws_session_sandbox_count(t->session), svc_running());
        CHECK_INT(cws_pool_close(pool, &t->err), CWS_OK);
        cws_pool_free(pool);
        svc.refuse_each = 0;
        CHECK_INT(api_close(t), CWS_OK);
        CHECK_INT(svc_running(), 0);
    }
    STREAMING("pool: the client is freed under it") {
        cws_pool_opts o;
        cws_pool *pool;
        cws_sandbox *sb = NULL;
        svc_serve(t);
        memset(&o, 0, sizeof(o));
        svc.create_ms = 1000;
        pool = open_pool(t, &o, 3);
        CHECK_INT(cws_client_poll(t->client, 100, NULL), CWS_OK);
        cws_client_free(t->client);
        CHECK(pool_take(t, pool, -1, &sb) != CWS_OK);
        CHECK(pool_take(t, pool, 0, &sb) != CWS_OK);
        (void)cws_pool_close(pool, &t->err);
        cws_pool_free(pool);
        cws_session_free(t->session);
        t->session = NULL;
        t->client = NULL;
        CHECK_INT(t->s.closes, 1);
    }
}

static bool job_pool(api *t)
{
    cws_pool_opts o;
    cws_pool *pool = NULL;
    cws_sandbox *sb = NULL;
    cws_error err;
    bool ok, before;
    size_t i;
    memset(&o, 0, sizeof(o));
    o.max_age_seconds = 1;
    if (cws_pool_open(t->session, &o, &pool, &err) != CWS_ERR_INVALID_ARGUMENT) CHECK(!"size 0");
    o.size = 2;
    if (no_memory(cws_pool_open(t->session, &o, &pool, &err))) {
        CHECK(pool == NULL);
        return false;
    }
    ok = true;
    for (i = 0; i < 3 && ok; i++) {
        ok = cws_pool_take(pool, -1, &sb, &err) == CWS_OK;
        if (ok) t->boxes[t->box_count++] = sb;
        if (i == 1) t->s.now += 5000; /* too old */
    }
    before = test_alloc_failed(); /* what it could not stop then is the session's */
    if (cws_pool_close(pool, &err)) ok = false;
    else if (!before) CHECK_INT(svc_running(), t->box_count);
    cws_pool_free(pool);
    return ok;
}

static void test_pool_memory(void)
{
    EACH("want of memory anywhere in a pool loses no sandbox, and it ends") {
        each_allocation(t, job_pool, "pool");
    }
}

int main(int argc, char **argv)
{
    test_init(argc, argv);
    test_release();
    test_close();
    test_journal();
    test_journal_files();
    test_reap();
    test_reap_files();
    test_reap_life();
    test_memory();
    test_guard();
    test_operations();
    test_pool();
    test_pool_memory();
    remove_journals();
    return test_summary();
}
