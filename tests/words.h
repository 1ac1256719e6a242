/* SPDX-License-Identifier: MIT
 *
 * A script that is written as v1 has it, played in v1beta2: replies are translated on their way to
 * the library, requests on their way back, so that one test runs in both dialects. For script.h.
 *
 *     native = words_native("ReadFile");                    // "RetrieveFile"; words_of: back
 *     words_reply(&arena, CWSI_M_v1_Sandbox, msg, CWSI_M_b2_GetSandboxResponse);
 *     words_request(&arena, CWSI_M_b2_GetSandboxRequest, msg, CWSI_M_v1_GetSandboxRequest);
 *
 * Members that have the same meaning are copied by their names; what one side does not have is left
 * out, and the request of a Start stays what it is. A log that ends well ends with a message of its
 * own in v1beta2, and a stop or a delete that was accepted says nothing about the sandbox.
 */
#ifndef WORDS_H
#define WORDS_H

/* Calls: of v1, of v1beta2. Delete and Stop are one call in v1: the first row is the reply's. */
static const char *const words_calls[][2] = {
    {"CreateSandbox", "Start"},  {"GetSandbox", "Get"},        {"ListSandboxes", "List"},
    {"DeleteSandbox", "Stop"},   {"DeleteSandbox", "Delete"},  {"ReadFile", "RetrieveFile"},
    {"WriteFile", "AddFile"}};

/* Members with another name: in v1, in v1beta2. */
static const char *const words_members[][2] = {
    {"stream", "stream_type"},
    {"ready_time", "ready_at"},
    {"completed_time", "completed_at"},
    {"path", "filepath"},
    {"content", "file_contents"},
    {"grace_period_seconds", "graceful_shutdown_seconds"},
    {"resume_log_session_id", "resume_session_id"},
    {"resume_log_offset", "resume_offset"},
    {"log_session_id", "session_id"},
    {"next_log_offset", "offset"},
    {"state", "sandbox_status"},
    {"state", "status"}, /* of a list's request */
    {"state_reason", "status_reason"},
    {"start_time", "started_at_time"},
    {"show_terminated", "include_stopped"}};

/* States of v1 by their number, in v1beta2; PREPARING is not there, and CREATING comes closest. */
static const int32_t words_states[] = {0, 1, 2, 3, 4, 9, 5, 6, 7, 1};

TEST_FN const char *words_native(const char *call)
{
    size_t i;
    for (i = 0; i < CWSI_COUNT(words_calls); i++)
        if (strcmp(words_calls[i][0], call) == 0) return words_calls[i][1];
    return call;
}

TEST_FN const char *words_of(const char *call)
{
    size_t i;
    for (i = 0; i < CWSI_COUNT(words_calls); i++)
        if (strcmp(words_calls[i][1], call) == 0) return words_calls[i][0];
    return call;
}

TEST_FN bool words_same(const char *a, const char *b, bool to_b2)
{
    size_t i;
    if (strcmp(a, b) == 0) return true;
    for (i = 0; i < CWSI_COUNT(words_members); i++)
        if (strcmp(words_members[i][!to_b2], a) == 0 && strcmp(words_members[i][to_b2], b) == 0)
            return true;
    return false;
}

TEST_FN size_t words_size(const cwsi_field *f)
{
    static const size_t sizes[] = {sizeof(cwsi_str), sizeof(cwsi_str), sizeof(bool),
                                   sizeof(int32_t),  sizeof(int64_t),  sizeof(uint32_t),
                                   sizeof(uint64_t), sizeof(double),   sizeof(int32_t),
                                   sizeof(void *)};
    return f->label == CWSI_REP || f->label == CWSI_MAP ? sizeof(cwsi_list) : sizes[f->kind];
}

TEST_FN void *words_new(cwsi_arena *a, cwsi_msg_id id)
{
    size_t size = cwsi_msg_table(id).size;
    void *msg = cwsi_arena_alloc(a, size);
    if (!msg) abort();
    memset(msg, 0, size);
    return msg;
}

TEST_FN bool words_is_state(const cwsi_field *f)
{
    return f->kind == CWSI_ENUM &&
           (f->sub == CWSI_E_v1_State_ID || f->sub == CWSI_E_b2_SandboxStatus_ID);
}

TEST_FN int32_t words_state(int32_t number, bool to_b2)
{
    int32_t i, count = (int32_t)CWSI_COUNT(words_states);
    if (to_b2) return number >= 0 && number < count ? words_states[number] : number;
    for (i = 0; i < count; i++)
        if (words_states[i] == number) return i;
    return number;
}

/* Copy what both messages have. */
TEST_FN void words_copy(cwsi_arena *a, cwsi_msg_id from_id, const void *from, cwsi_msg_id to_id,
                        void *to, bool to_b2)
{
    const cwsi_msg source = cwsi_msg_table(from_id), target = cwsi_msg_table(to_id);
    size_t i, k;
    for (i = 0; i < source.field_count; i++)
        for (k = 0; k < target.field_count; k++) {
            const cwsi_field *f = &source.fields[i], *g = &target.fields[k];
            const char *at = (const char *)from + f->offset;
            char *out = (char *)to + g->offset;
            if (f->kind != g->kind || !words_same(f->name, g->name, to_b2)) continue;
            if (f->kind == CWSI_MSG && f->label != CWSI_MAP && f->sub != g->sub) {
                const void *inner;
                void *made;
                memcpy((void *)&inner, at, sizeof(inner));
                if (f->label == CWSI_REP || !inner) continue;
                made = words_new(a, (cwsi_msg_id)g->sub);
                words_copy(a, (cwsi_msg_id)f->sub, inner, (cwsi_msg_id)g->sub, made, to_b2);
                memcpy(out, (void *)&made, sizeof(made));
                continue;
            }
            memcpy(out, at, words_size(f));
            if (words_is_state(f)) {
                int32_t number;
                memcpy(&number, at, sizeof(number));
                number = words_state(number, to_b2);
                memcpy(out, &number, sizeof(number));
            }
            if (f->has_offset && g->has_offset)
                *((bool *)(void *)((char *)to + g->has_offset)) =
                    *(const bool *)(const void *)((const char *)from + f->has_offset);
        }
}

/* A sandbox of v1, which has its status apart. */
TEST_FN void words_sandbox(cwsi_arena *a, const cwsi_v1_Sandbox *box, cwsi_msg_id to_id, void *to)
{
    words_copy(a, CWSI_M_v1_Sandbox, box, to_id, to, true);
    if (box->status) words_copy(a, CWSI_M_v1_SandboxStatus, box->status, to_id, to, true);
}

/* A reply of v1 in v1beta2. */
TEST_FN void *words_reply(cwsi_arena *a, cwsi_msg_id from_id, const void *from, cwsi_msg_id to_id)
{
    const cwsi_v1_LogEntry *entry = (const cwsi_v1_LogEntry *)from; /* if it is one */
    void *to = words_new(a, to_id);
    words_copy(a, from_id, from, to_id, to, true);
    switch ((int)from_id) {
    case CWSI_M_v1_Sandbox:
        words_sandbox(a, (const cwsi_v1_Sandbox *)from, to_id, to);
        break;
    case CWSI_M_v1_ListSandboxesResponse: {
        const cwsi_list in = ((const cwsi_v1_ListSandboxesResponse *)from)->sandboxes;
        cwsi_list *out = &((cwsi_b2_ListSandboxesResponse *)to)->sandboxes;
        cwsi_b2_SandboxInfo *boxes = (cwsi_b2_SandboxInfo *)cwsi_arena_alloc(
            a, in.len * sizeof(cwsi_b2_SandboxInfo) + 1);
        size_t i;
        if (!boxes) abort();
        memset((void *)boxes, 0, in.len * sizeof(*boxes));
        for (i = 0; i < in.len; i++)
            words_sandbox(a, CWSI_AT(v1_Sandbox, in, i), CWSI_M_b2_SandboxInfo, &boxes[i]);
        out->at = boxes;
        out->len = in.len;
        break;
    }
    case CWSI_M_v1_DeleteSandboxResponse:
        ((cwsi_b2_StopSandboxResponse *)to)->success = true;
        break;
    case CWSI_M_v1_WriteFileResponse:
        ((cwsi_b2_AddFileSandboxResponse *)to)->success = true;
        break;
    case CWSI_M_v1_ReadFileResponse:
        ((cwsi_b2_RetrieveFileSandboxResponse *)to)->success = true;
        break;
    case CWSI_M_v1_ExecResponse: {
        cwsi_b2_ExecResponse *result =
            (cwsi_b2_ExecResponse *)words_new(a, CWSI_M_b2_ExecResponse);
        words_copy(a, from_id, from, CWSI_M_b2_ExecResponse, result, true);
        ((cwsi_b2_ExecSandboxResponse *)to)->result = result;
        break;
    }
    case CWSI_M_v1_LogEntry: /* an error stands alone, see words_second */
        if (!entry->error || entry->data.len) {
            cwsi_b2_LogStreamData *data =
                (cwsi_b2_LogStreamData *)words_new(a, CWSI_M_b2_LogStreamData);
            words_copy(a, from_id, from, CWSI_M_b2_LogStreamData, data, true);
            ((cwsi_b2_LogStreamResponse *)to)->data = data;
            ((cwsi_b2_LogStreamResponse *)to)->error = NULL;
        }
        break;
    default: break;
    }
    return to;
}

/* The error behind the data of one log message of v1 is a message of its own; NULL: none. */
TEST_FN void *words_second(cwsi_arena *a, cwsi_msg_id from_id, const void *from)
{
    cwsi_v1_LogEntry rest;
    if (from_id != CWSI_M_v1_LogEntry) return NULL;
    rest = *(const cwsi_v1_LogEntry *)from;
    if (!rest.error || !rest.data.len) return NULL;
    rest.data.len = 0;
    return words_reply(a, from_id, &rest, CWSI_M_b2_LogStreamResponse);
}

/* A request of v1beta2 in v1. */
TEST_FN void *words_request(cwsi_arena *a, cwsi_msg_id from_id, const void *from,
                            cwsi_msg_id to_id)
{
    void *to = words_new(a, to_id);
    words_copy(a, from_id, from, to_id, to, false);
    if (from_id == CWSI_M_b2_ExecStreamRequest) {
        const cwsi_b2_ExecStreamRequest *m = (const cwsi_b2_ExecStreamRequest *)from;
        cwsi_v1_ExecStreamRequest *out = (cwsi_v1_ExecStreamRequest *)to;
        out->has_stdin_ = m->stdin_ != NULL;
        if (m->stdin_) out->stdin_ = m->stdin_->data;
    }
    if (from_id == CWSI_M_b2_LogStreamRequest && ((const cwsi_b2_LogStreamRequest *)from)->init)
        words_copy(a, CWSI_M_b2_LogStreamInit, ((const cwsi_b2_LogStreamRequest *)from)->init,
                   to_id, to, false);
    return to;
}

#endif /* WORDS_H */
