/* SPDX-License-Identifier: MIT
 *
 * The C side of schema.py: shows the library's tables and runs its codecs.
 *
 *     schema_tool dump     print every message, enum and call of the tables
 *     schema_tool          answer lines "<full message name> bin|json <hexadecimal input>" with
 *                          "ok <hexadecimal binary> <hexadecimal JSON>" or "error <text>"
 */
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"
#include "decode_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *tool_label(uint8_t label)
{
    switch ((cwsi_label)label) {
    case CWSI_ONE: return "one";
    case CWSI_OPT: return "opt";
    case CWSI_ONEOF:
    case CWSI_ONEOFM: return "oneof";
    case CWSI_REP: return "rep";
    case CWSI_MAP: return "map";
    }
    return "?";
}

static const char *tool_kind(uint8_t kind)
{
    switch ((cwsi_kind)kind) {
    case CWSI_STR: return "string";
    case CWSI_BYTES: return "bytes";
    case CWSI_BOOL: return "bool";
    case CWSI_I32: return "int32";
    case CWSI_I64: return "int64";
    case CWSI_U32: return "uint32";
    case CWSI_U64: return "uint64";
    case CWSI_DOUBLE: return "double";
    case CWSI_ENUM: return "enum";
    case CWSI_MSG: return "message";
    }
    return "?";
}

static void tool_dump_message(cwsi_msg_id id)
{
    cwsi_msg t = cwsi_msg_table(id);
    int k;
    printf("message %s\n", t.name);
    for (k = 0; k < t.field_count; k++) {
        const cwsi_field *f = &t.fields[k];
        bool presence = f->has_offset != 0 || f->kind == CWSI_MSG;
        if (f->label == CWSI_REP || f->label == CWSI_MAP) presence = false;
        printf("field %u %.*s %s %s ", (unsigned)f->number, (int)cwsi_field_name_len(f), f->name,
               tool_label(f->label), tool_kind(f->kind));
        if (f->kind == CWSI_MSG) printf("%s", cwsi_msg_name((cwsi_msg_id)f->sub));
        else if (f->kind == CWSI_ENUM) printf("%u", (unsigned)f->sub);
        else printf("-");
        printf(" %s\n", presence ? "presence" : "-");
    }
}

/* Enums have no name of their own in the tables; schema.py knows them by their values. */
static void tool_dump(void)
{
    static const char *const kinds[] = {"unary", "client", "server", "bidi"};
    int i;
    size_t k;
    for (i = 0; i < CWSI_MSG_COUNT; i++) tool_dump_message((cwsi_msg_id)i);
    for (i = 0; i < CWSI_ENUM_COUNT; i++) {
        cwsi_enum e = cwsi_enum_table((cwsi_enum_id)i);
        printf("enum %d\n", i);
        for (k = 0; k < e.count; k++)
            printf("value %s %ld\n", e.values[k].name, (long)e.values[k].number);
    }
    for (i = 0; i < CWSI_RPC_COUNT; i++) {
        const cwsi_rpc *rpc = cwsi_rpc_at((cwsi_rpc_id)i);
        printf("rpc %s %s %s %s\n", rpc->path, cwsi_msg_name(rpc->request),
               cwsi_msg_name(rpc->response), kinds[rpc->kind]);
    }
}

/* One line without its newline, in a block that grows; NULL at the end. */
static char *tool_line(char **block, size_t *room)
{
    size_t n = 0;
    int c;
    while ((c = getchar()) != EOF && c != '\n') {
        if (n + 1 >= *room) {
            char *grown = (char *)realloc(*block, *room * 2);
            if (!grown) abort();
            *block = grown;
            *room *= 2;
        }
        (*block)[n++] = (char)c;
    }
    (*block)[n] = '\0';
    return c == EOF && n == 0 ? NULL : *block;
}

/* In place; the number of bytes. The hexadecimal digits come from schema.py and are right. */
static size_t tool_unhex(char *text)
{
    size_t n = 0;
    char *p;
    for (p = text; p[0] && p[1]; p += 2) {
        unsigned high = p[0] <= '9' ? (unsigned)(p[0] - '0') : (unsigned)(p[0] - 'a' + 10);
        unsigned low = p[1] <= '9' ? (unsigned)(p[1] - '0') : (unsigned)(p[1] - 'a' + 10);
        text[n++] = (char)(high << 4 | low);
    }
    return n;
}

static void tool_put_hex(const char *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;
    putchar(' ');
    for (i = 0; i < len; i++) {
        putchar(digits[(unsigned char)data[i] >> 4]);
        putchar(digits[(unsigned char)data[i] & 15]);
    }
}

static void tool_answer(char *line)
{
    char *form = strchr(line, ' '), *hex = form ? strchr(form + 1, ' ') : NULL;
    cwsi_mem mem;
    cwsi_arena arena;
    cwsi_buf binary, json;
    cwsi_msg_id id;
    cwsi_str input;
    cws_status status;
    const char *step = "decode";
    char *exact;
    void *msg = NULL;
    if (!hex) {
        printf("error malformed request\n");
        return;
    }
    *form++ = '\0';
    *hex++ = '\0';
    id = cwsi_msg_by_name(cwsi_str_of(line));
    if (id == CWSI_MSG_COUNT) {
        printf("error no such message\n");
        return;
    }
    memset(&mem, 0, sizeof(mem));
    mem.allocator.resize = cwsi_default_resize;
    mem.limit = (uint64_t)1 << 30;
    cwsi_arena_init(&arena, &mem);
    cwsi_buf_init(&binary, &mem, (size_t)1 << 28);
    cwsi_buf_init(&json, &mem, (size_t)1 << 28);
    input.len = tool_unhex(hex);
    exact = (char *)malloc(input.len ? input.len : 1); /* for the address sanitizer */
    if (!exact) abort();
    memcpy(exact, hex, input.len);
    input.at = exact;
    status = strcmp(form, "json") == 0 ? cwsi_decode_json(&arena, id, input, &msg)
                                       : cwsi_decode(&arena, id, input, &msg);
    if (!status) step = "encode", status = cwsi_encode(&binary, id, msg);
    if (!status) step = "print", status = cwsi_encode_json(&json, &arena, id, msg, false);
    if (status) {
        printf("error %s: status %d", step, (int)status);
    } else {
        printf("ok");
        tool_put_hex(binary.at, binary.len);
        tool_put_hex(json.at, json.len);
    }
    putchar('\n');
    cwsi_buf_free(&binary);
    cwsi_buf_free(&json);
    cwsi_arena_clear(&arena);
    free(exact);
    if (mem.used) abort();
}

int main(int argc, char **argv)
{
    size_t room = 65536;
    char *block, *line;
    if (argc > 1 && strcmp(argv[1], "dump") == 0) {
        tool_dump();
        return 0;
    }
    block = (char *)malloc(room);
    if (!block) return 1;
    while ((line = tool_line(&block, &room)) != NULL) {
        tool_answer(line);
        fflush(stdout);
    }
    free(block);
    return 0;
}
