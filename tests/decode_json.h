/* SPDX-License-Identifier: MIT
 *
 * JSON text to messages, by the tables of the library, which itself reads binary messages only. The
 * tests write messages as JSON, and compare both ways. Include it after cwsandbox.h with its
 * implementation.
 *
 *     if (cwsi_decode_json(&arena, CWSI_M_v1_Sandbox, cwsi_str_of(json), &msg)) ...
 */
#ifndef DECODE_JSON_H
#define DECODE_JSON_H

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. */
static int64_t cwsi_days(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Two digits in [0, max]; -1 otherwise. */
static int cwsi_parse_two(const char *text, int max)
{
    int v;
    if (!cwsi_is_digit(text[0]) || !cwsi_is_digit(text[1])) return -1;
    v = (text[0] - '0') * 10 + text[1] - '0';
    return v <= max ? v : -1;
}

/* ".123456789" at *at (optional) to nanoseconds; false if malformed. */
static bool cwsi_parse_fraction(const char *text, size_t len, size_t *at, int32_t *nanos)
{
    int places = 0;
    *nanos = 0;
    if (*at >= len || text[*at] != '.') return true;
    for (++*at; *at < len && cwsi_is_digit(text[*at]); ++*at, places++) {
        if (places >= 9) return false;
        *nanos = *nanos * 10 + (text[*at] - '0');
    }
    if (places == 0) return false;
    for (; places < 9; places++) *nanos *= 10;
    return true;
}

static bool cwsi_parse_time(const char *text, size_t len, int64_t *seconds, int32_t *nanos)
{
    int century, of_century, month, day, hour, minute, second, zone_h = 0, zone_m = 0;
    size_t at = 19;
    static const char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year;
    if (len < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') ||
        text[13] != ':' || text[16] != ':')
        return false;
    century = cwsi_parse_two(text, 99);
    of_century = cwsi_parse_two(text + 2, 99);
    month = cwsi_parse_two(text + 5, 12);
    day = cwsi_parse_two(text + 8, 31);
    hour = cwsi_parse_two(text + 11, 23);
    minute = cwsi_parse_two(text + 14, 59);
    second = cwsi_parse_two(text + 17, 59);
    if (century < 0 || of_century < 0 || month < 1 || day < 1 || day > days[month - 1] ||
        hour < 0 || minute < 0 || second < 0)
        return false;
    year = century * 100 + of_century;
    if (year < 1 || (month == 2 && day == 29 && (year % 4 || (year % 100 == 0 && year % 400))))
        return false;
    if (!cwsi_parse_fraction(text, len, &at, nanos) || at >= len) return false;
    *seconds = cwsi_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    if (text[at] == 'Z' || text[at] == 'z') return at + 1 == len;
    if ((text[at] != '+' && text[at] != '-') || at + 6 != len || text[at + 3] != ':') return false;
    zone_h = cwsi_parse_two(text + at + 1, 23);
    zone_m = cwsi_parse_two(text + at + 4, 59);
    if (zone_h < 0 || zone_m < 0) return false;
    *seconds -= (text[at] == '-' ? -1 : 1) * (zone_h * 3600 + zone_m * 60);
    return *seconds >= -62135596800LL && *seconds <= 253402300799LL;
}

static cws_status cwsi_json_read(cwsi_json *j, cwsi_arena *arena, cwsi_msg_id id, void *msg,
                                 int depth);

/* A number token, or a string token that holds one. */
static bool cwsi_json_integer(const cwsi_json *j, int64_t *out)
{
    size_t i;
    if (j->kind != CWSI_JSON_NUMBER && j->kind != CWSI_JSON_STRING) return false;
    if (cwsi_parse_i64(j->text.at, j->text.len, out)) return true;
    for (i = 0; i < j->text.len; i++) /* "1.0" and "1e3" are integers too */
        if (!cwsi_is_digit(j->text.at[i]) && !strchr("-+.eE", j->text.at[i])) return false;
    if (j->kind == CWSI_JSON_NUMBER) {
        double d = cwsi_parse_double(j->text.at, j->text.len);
        if (!(d > -9007199254740992.0 && d < 9007199254740992.0)) return false;
        *out = CWSI_CAST(int64_t, d);
        return CWSI_CAST(double, *out) - d >= 0 && CWSI_CAST(double, *out) - d <= 0;
    }
    return false;
}

/* By name or by number; a name that this header does not know leaves it unspecified. */
static cws_status cwsi_json_store_enum(const cwsi_json *j, const cwsi_field *f, int32_t *at)
{
    cwsi_enum e = cwsi_enum_table(CWSI_CAST(cwsi_enum_id, f->sub));
    int64_t v;
    size_t i;
    for (i = 0; i < e.count && j->kind == CWSI_JSON_STRING; i++)
        if (cwsi_str_is(j->text, e.values[i].name)) *at = e.values[i].number;
    if (j->kind == CWSI_JSON_STRING) return CWS_OK;
    if (!cwsi_json_integer(j, &v) || v < INT32_MIN || v > INT32_MAX) return CWS_ERR_PROTOCOL;
    *at = CWSI_CAST(int32_t, v);
    return CWS_OK;
}

/* The token just read is the value of f: store it at `at`. */
static cws_status cwsi_json_store(cwsi_json *j, cwsi_arena *arena, const cwsi_field *f, void *at,
                                  int depth)
{
    cwsi_str s = CWSI_ZERO;
    int64_t v;
    uint64_t u;
    if (j->kind == CWSI_JSON_STRING) { /* names of enum values and numbers may be escaped, too */
        if (!cwsi_json_string(j, arena, &s)) return CWS_ERR_NO_MEMORY;
        j->text = s;
        j->escaped = false;
    }
    switch (CWSI_CAST(cwsi_kind, f->kind)) {
    case CWSI_STR:
        if (j->kind != CWSI_JSON_STRING) return CWS_ERR_PROTOCOL;
        *CWSI_CAST(cwsi_str *, at) = s;
        return CWS_OK;
    case CWSI_BYTES: {
        char *out;
        if (j->kind != CWSI_JSON_STRING) return CWS_ERR_PROTOCOL;
        out = CWSI_CAST(char *, cwsi_arena_alloc(arena, s.len / 4 * 3 + 4));
        if (!out) return CWS_ERR_NO_MEMORY;
        CWSI_CAST(cwsi_str *, at)->at = out;
        return cwsi_base64_decode(s.at, s.len, out, &CWSI_CAST(cwsi_str *, at)->len)
                   ? CWS_OK
                   : CWS_ERR_PROTOCOL;
    }
    case CWSI_BOOL:
        if (j->kind != CWSI_JSON_TRUE && j->kind != CWSI_JSON_FALSE) return CWS_ERR_PROTOCOL;
        *CWSI_CAST(bool *, at) = j->kind == CWSI_JSON_TRUE;
        return CWS_OK;
    case CWSI_I32:
        if (!cwsi_json_integer(j, &v) || v < INT32_MIN || v > INT32_MAX) return CWS_ERR_PROTOCOL;
        *CWSI_CAST(int32_t *, at) = CWSI_CAST(int32_t, v);
        return CWS_OK;
    case CWSI_U32:
        if (!cwsi_json_integer(j, &v) || v < 0 || v > UINT32_MAX) return CWS_ERR_PROTOCOL;
        *CWSI_CAST(uint32_t *, at) = CWSI_CAST(uint32_t, v);
        return CWS_OK;
    case CWSI_I64:
        if (!cwsi_json_integer(j, CWSI_CAST(int64_t *, at))) return CWS_ERR_PROTOCOL;
        return CWS_OK;
    case CWSI_U64:
        if (j->kind != CWSI_JSON_NUMBER && j->kind != CWSI_JSON_STRING) return CWS_ERR_PROTOCOL;
        if (cwsi_parse_u64(j->text.at, j->text.len, &u)) *CWSI_CAST(uint64_t *, at) = u;
        else if (cwsi_json_integer(j, &v) && v >= 0)
            *CWSI_CAST(uint64_t *, at) = CWSI_CAST(uint64_t, v);
        else return CWS_ERR_PROTOCOL;
        return CWS_OK;
    case CWSI_DOUBLE:
        if (j->kind != CWSI_JSON_NUMBER) return CWS_ERR_PROTOCOL;
        *CWSI_CAST(double *, at) = cwsi_parse_double(j->text.at, j->text.len);
        return CWS_OK;
    case CWSI_ENUM: return cwsi_json_store_enum(j, f, CWSI_CAST(int32_t *, at));
    case CWSI_MSG:
        return cwsi_json_read(j, arena, CWSI_CAST(cwsi_msg_id, f->sub), at, depth + 1);
    }
    return CWS_ERR_PROTOCOL;
}

/* The token just read opens a map: read its members. */
static cws_status cwsi_json_read_map(cwsi_json *j, cwsi_arena *arena, const cwsi_field *f,
                                     cwsi_list *list, int depth)
{
    cwsi_msg entry = cwsi_msg_table(CWSI_CAST(cwsi_msg_id, f->sub));
    if (j->kind != CWSI_JSON_OBJECT) return CWS_ERR_PROTOCOL;
    while (cwsi_json_next(j) == CWSI_JSON_KEY) {
        void *element = cwsi_list_grow(arena, list, entry.size), *at;
        cws_status status;
        if (!element) return CWS_ERR_NO_MEMORY;
        if (!cwsi_json_string(j, arena,
                              CWSI_CAST(cwsi_str *, cwsi_member(element, entry.fields[0].offset))))
            return CWS_ERR_NO_MEMORY;
        at = cwsi_place(arena, &entry, &entry.fields[1], element);
        if (!at) return CWS_ERR_NO_MEMORY;
        (void)cwsi_json_next(j);
        status = cwsi_json_store(j, arena, &entry.fields[1], at, depth);
        if (status) return status;
    }
    return j->kind == CWSI_JSON_OBJECT_END ? CWS_OK : CWS_ERR_PROTOCOL;
}

static cws_status cwsi_json_read_list(cwsi_json *j, cwsi_arena *arena, const cwsi_field *f,
                                      cwsi_list *list, int depth)
{
    size_t step = cwsi_element_size(f);
    if (j->kind != CWSI_JSON_ARRAY) return CWS_ERR_PROTOCOL;
    while (cwsi_json_next(j) != CWSI_JSON_ARRAY_END) {
        void *at;
        cws_status status;
        if (j->kind == CWSI_JSON_ERROR) return CWS_ERR_PROTOCOL;
        at = cwsi_list_grow(arena, list, step);
        if (!at) return CWS_ERR_NO_MEMORY;
        status = cwsi_json_store(j, arena, f, at, depth);
        if (status) return status;
    }
    return CWS_OK;
}

/* The token just read begins a google.protobuf.Value. */
static cws_status cwsi_json_read_value(cwsi_json *j, cwsi_arena *arena, cwsi_pb_Value *value,
                                       int depth)
{
    cwsi_msg t = cwsi_msg_table(CWSI_M_pb_Value);
    const cwsi_field *f = NULL;
    void *at;
    switch (j->kind) {
    case CWSI_JSON_NULL: value->has_null_value = true; return CWS_OK;
    case CWSI_JSON_NUMBER: f = &t.fields[1]; break;
    case CWSI_JSON_STRING: f = &t.fields[2]; break;
    case CWSI_JSON_TRUE:
    case CWSI_JSON_FALSE: f = &t.fields[3]; break;
    case CWSI_JSON_OBJECT: f = &t.fields[4]; break;
    case CWSI_JSON_ARRAY: f = &t.fields[5]; break;
    case CWSI_JSON_ERROR:
    case CWSI_JSON_END:
    case CWSI_JSON_OBJECT_END:
    case CWSI_JSON_ARRAY_END:
    case CWSI_JSON_KEY: break;
    }
    if (!f) return CWS_ERR_PROTOCOL;
    at = cwsi_place(arena, &t, f, value);
    return at ? cwsi_json_store(j, arena, f, at, depth) : CWS_ERR_NO_MEMORY;
}

static cws_status cwsi_json_read_duration(cwsi_str s, cwsi_pb_Duration *d)
{
    bool negative = s.len && s.at[0] == '-';
    size_t i = negative ? 1 : 0, start = i;
    uint64_t whole;
    while (i < s.len && cwsi_is_digit(s.at[i])) i++;
    if (!cwsi_parse_u64(s.at + start, i - start, &whole) || whole > 315576000000ULL ||
        !cwsi_parse_fraction(s.at, s.len, &i, &d->nanos) || i + 1 != s.len || s.at[i] != 's')
        return CWS_ERR_PROTOCOL;
    d->seconds = negative ? -CWSI_CAST(int64_t, whole) : CWSI_CAST(int64_t, whole);
    if (negative) d->nanos = -d->nanos;
    return CWS_OK;
}

static cws_status cwsi_json_read_mask(cwsi_arena *arena, cwsi_str s, cwsi_pb_FieldMask *mask)
{
    size_t i, start = 0, o = 0;
    char *out;
    if (s.len == 0) return CWS_OK;
    out = CWSI_CAST(char *, cwsi_arena_alloc(arena, s.len * 2 + 1));
    if (!out) return CWS_ERR_NO_MEMORY;
    for (i = 0; i <= s.len; i++) {
        if (i == s.len || s.at[i] == ',') {
            cwsi_str *path = CWSI_CAST(
                cwsi_str *, cwsi_list_grow(arena, &mask->paths, sizeof(cwsi_str)));
            if (!path) return CWS_ERR_NO_MEMORY;
            path->at = out + start;
            path->len = o - start;
            start = o;
        } else if (s.at[i] >= 'A' && s.at[i] <= 'Z') {
            out[o++] = '_';
            out[o++] = cwsi_lower(s.at[i]);
        } else {
            out[o++] = s.at[i];
        }
    }
    return CWS_OK;
}

/* The messages that are one string in JSON. */
static cws_status cwsi_json_read_text(cwsi_json *j, cwsi_arena *arena, cwsi_msg_id id, void *msg)
{
    cwsi_pb_Timestamp *time = CWSI_AS(cwsi_pb_Timestamp, msg);
    cwsi_str s;
    if (j->kind != CWSI_JSON_STRING) return CWS_ERR_PROTOCOL;
    if (!cwsi_json_string(j, arena, &s)) return CWS_ERR_NO_MEMORY;
    if (id == CWSI_M_pb_Duration)
        return cwsi_json_read_duration(s, CWSI_AS(cwsi_pb_Duration, msg));
    if (id == CWSI_M_pb_FieldMask)
        return cwsi_json_read_mask(arena, s, CWSI_AS(cwsi_pb_FieldMask, msg));
    return cwsi_parse_time(s.at, s.len, &time->seconds, &time->nanos) ? CWS_OK : CWS_ERR_PROTOCOL;
}

/* The token just read begins message id: read it all into msg. */
static cws_status cwsi_json_read(cwsi_json *j, cwsi_arena *arena, cwsi_msg_id id, void *msg,
                                 int depth)
{
    cwsi_msg t = cwsi_msg_table(id);
    size_t i;
    if (depth >= CWSI_CODEC_DEPTH) return CWS_ERR_PROTOCOL;
    if (id == CWSI_M_pb_Value)
        return cwsi_json_read_value(j, arena, CWSI_CAST(cwsi_pb_Value *, msg), depth);
    if (id == CWSI_M_pb_Struct)
        return cwsi_json_read_map(j, arena, &t.fields[0],
                                  &CWSI_CAST(cwsi_pb_Struct *, msg)->fields, depth);
    if (id == CWSI_M_pb_ListValue)
        return cwsi_json_read_list(j, arena, &t.fields[0],
                                   &CWSI_CAST(cwsi_pb_ListValue *, msg)->values, depth);
    if (id == CWSI_M_pb_Timestamp || id == CWSI_M_pb_Duration || id == CWSI_M_pb_FieldMask)
        return cwsi_json_read_text(j, arena, id, msg);
    if (j->kind != CWSI_JSON_OBJECT) return CWS_ERR_PROTOCOL;
    while (cwsi_json_next(j) == CWSI_JSON_KEY) {
        const cwsi_field *f = NULL;
        cwsi_str key;
        void *at;
        cws_status status;
        if (!cwsi_json_string(j, arena, &key)) return CWS_ERR_NO_MEMORY;
        for (i = 0; i < t.field_count && !f; i++) {
            char name[64];
            cwsi_str camel, plain;
            camel.at = name;
            camel.len = cwsi_json_name(&t.fields[i], name);
            plain.at = t.fields[i].name;
            plain.len = cwsi_field_name_len(&t.fields[i]);
            if (cwsi_str_same(key, camel) || cwsi_str_same(key, plain)) f = &t.fields[i];
        }
        (void)cwsi_json_next(j);
        if (!f || (j->kind == CWSI_JSON_NULL && (f->kind != CWSI_MSG ||
                                                 f->sub != CWSI_M_pb_Value))) {
            if (!f) ++*CWSI_CAST(uint32_t *, msg);
            if (!cwsi_json_skip(j)) return CWS_ERR_PROTOCOL;
            continue;
        }
        at = cwsi_member(msg, f->offset);
        if (f->label == CWSI_MAP) {
            status = cwsi_json_read_map(j, arena, f, CWSI_CAST(cwsi_list *, at), depth);
        } else if (f->label == CWSI_REP) {
            status = cwsi_json_read_list(j, arena, f, CWSI_CAST(cwsi_list *, at), depth);
        } else {
            at = cwsi_place(arena, &t, f, msg);
            status = at ? cwsi_json_store(j, arena, f, at, depth) : CWS_ERR_NO_MEMORY;
        }
        if (status) return status;
    }
    return j->kind == CWSI_JSON_OBJECT_END ? CWS_OK : CWS_ERR_PROTOCOL;
}

/* Decode canonical proto3 JSON into a new struct of the arena; strings without escapes borrow from
 * the text. The members of an Any are skipped: the library never receives one as JSON. */
CWS_UNUSED_OK
static cws_status cwsi_decode_json(cwsi_arena *arena, cwsi_msg_id id, cwsi_str text, void **out)
{
    cwsi_json j;
    cws_status status;
    *out = cwsi_arena_alloc(arena, cwsi_msg_table(id).size);
    if (!*out) return CWS_ERR_NO_MEMORY;
    cwsi_json_init(&j, text.at, text.len);
    (void)cwsi_json_next(&j);
    status = cwsi_json_read(&j, arena, id, *out, 0);
    if (!status && cwsi_json_next(&j) != CWSI_JSON_END) status = CWS_ERR_PROTOCOL;
    return status;
}

#endif
