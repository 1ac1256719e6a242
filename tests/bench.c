/* SPDX-License-Identifier: MIT
 *
 * What a call costs with cwsandbox.h, and what libcurl alone would cost: the same request bytes to
 * the same server and the same reply bytes back, in one run and in turns, because the figures of
 * two runs on a busy machine do not compare. What counts is the ratio.
 *
 *     bench [part of a case's name [ours | bare | fresh]]
 *     BENCH_SECONDS=36 BENCH_ROUNDS=9 in the environment: for everything; turns of each side
 *
 * With a side there is no table: that is for profilers (perf record --no-inherit leaves the server
 * out; valgrind --tool=callgrind tells what calls what).
 *
 * "bare" is a loop over a multi handle whose easy handles are kept from call to call, and that only
 * counts what it receives; "fresh" is the same with a new easy handle for each call, as a client
 * needs that knows nothing of the next call. Requests per connection and calls in flight are what
 * the transport of cwsandbox.h chose for this libcurl. Nothing is promised here, and no test
 * depends on it: the exit status says only whether everything could be measured.
 *
 * Where the time goes, with libcurl 7.88:
 *   - most of it in the kernel and in libcurl, on both sides; our own code is about 5 % of a call
 *   - a unary call: its body goes through a read callback, because a request must not be repeated
 *     (P5); this libcurl then sends head and body apart, and a second send() is the largest single
 *     difference. Then a new easy handle and a list of headers for each call; then the reply
 *   - HTTP/2 before 8.4: touching the exchanges (P1) makes libcurl's poll return at once, so that
 *     waiting is turning in circles, then sleeping blindly (P8): a server that takes longer than
 *     that costs ours a multiple of bare, in time and CPU
 *   - a stream: copies. Into the buffer of the call, within it (cwsi_stream_compact), and into the
 *     result if that is kept, which also grows by moving
 */
#define _GNU_SOURCE
#define CWSANDBOX_IMPLEMENTATION
#include "cwsandbox.h"

#include "decode_json.h"
#include "bench_server.h"

#include <stdarg.h>
#include <sys/resource.h>
#include <time.h>

#define MESSAGE 65536u    /* bytes of output in one message of a stream */
#define MESSAGES 256u     /* in one stream: 16 MiB, what a result keeps by default */
#define AT_ONCE 100u
#define MOST_ROUNDS 99
#define MOST_RECONNECTS 200u /* calls of one turn if each needs a connection: ports are finite */

typedef enum side { OURS, BARE, FRESH, SIDES } side;

typedef struct sample { /* one turn of one side */
    double rate, cpu; /* calls (messages of a stream) per second; their CPU time in us */
} sample;

typedef struct bench_case {
    const char *name;
    bool http2, stream, keep; /* keep: the output stays in the result */
    size_t flight;            /* calls at once */
    /* ours */
    cws_client *client;
    cws_session *session;
    cws_sandbox *box;
    /* bare: the request of ours, and the handles */
    char url[256];
    struct curl_slist *headers;
    char *body;
    size_t body_size, most; /* most: in flight with the transport of ours */
    long version;
    bool dedicated; /* a connection for each call */
    CURLM *multi;
    CURL *easy[AT_ONCE];
    /* what was measured */
    sample samples[SIDES][MOST_ROUNDS];
    uint64_t calls[SIDES], sent[SIDES], connections[SIDES], allocations;
} bench_case;

static bench_case cases[] = {
    {.name = "unary, HTTP/1.1", .flight = 1},
    {.name = "unary, HTTP/1.1, 100 at once", .flight = AT_ONCE},
    {.name = "unary, HTTP/2", .http2 = true, .flight = 1},
    {.name = "unary, HTTP/2, 100 at once", .http2 = true, .flight = AT_ONCE},
    {.name = "stream, to a callback", .http2 = true, .stream = true, .flight = 1},
    {.name = "stream, kept whole", .http2 = true, .stream = true, .keep = true, .flight = 1}};
static const size_t case_count = sizeof(cases) / sizeof(cases[0]);

static bench_server server;
static uint64_t counted; /* bytes that arrived, as the side that is measured sees them */

static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "bench: ");
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu_s(void) /* of this process; the server is another */
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* ---- what the server says */

static cwsi_mem mem;

static bench_bytes take_buf(const cwsi_buf *buf)
{
    bench_bytes out;
    if (buf->status) die("a reply could not be encoded");
    out.at = buf->at;
    out.size = buf->len;
    return out;
}

/* A sandbox as the service tells it to a client that polls. */
static bench_bytes make_unary(void)
{
    static const char json[] =
        "{\"sandboxId\":\"4a7f1c52-93f0-4a0e-8a63-5d1a7c3b9e21\",\"spec\":{\"containers\":[{"
        "\"name\":\"main\",\"image\":\"python:3.11\",\"command\":\"/bin/sh\","
        "\"args\":[\"-c\",\"exec tail -f /dev/null\"]}],\"maxLifetimeSeconds\":3600,"
        "\"tags\":[\"bench\",\"loopback\"]},\"status\":{\"state\":\"STATE_RUNNING\","
        "\"createTime\":\"2025-01-02T03:04:05.678Z\",\"startTime\":\"2025-01-02T03:04:08.901Z\","
        "\"runnerId\":\"runner-0123456789abcdef\",\"runnerGroupId\":\"group-17\"}}";
    cwsi_arena arena;
    cwsi_buf buf;
    void *msg;
    cwsi_arena_init(&arena, &mem);
    cwsi_buf_init(&buf, &mem, SIZE_MAX / 2);
    if (cwsi_decode_json(&arena, CWSI_M_v1_Sandbox, cwsi_str_of(json), &msg) ||
        cwsi_encode(&buf, CWSI_M_v1_Sandbox, msg))
        die("no reply could be made of the JSON");
    cwsi_arena_clear(&arena);
    return take_buf(&buf);
}

static void make_stream(void)
{
    static char data[MESSAGE];
    cwsi_v1_ExecStreamReady ready = CWSI_ZERO;
    cwsi_v1_ExecStreamOutput output = CWSI_ZERO;
    cwsi_v1_ExecStreamExit end = CWSI_ZERO;
    cwsi_v1_ExecStreamResponse m = CWSI_ZERO;
    cwsi_buf first, message, last;
    size_t i;
    for (i = 0; i < sizeof(data); i++) data[i] = (char)(i * 31 + i / 251);
    cwsi_buf_init(&first, &mem, SIZE_MAX / 2);
    cwsi_buf_init(&message, &mem, SIZE_MAX / 2);
    cwsi_buf_init(&last, &mem, SIZE_MAX / 2);
    m.ready = &ready;
    (void)cwsi_put_envelope(&first, CWSI_M_v1_ExecStreamResponse, &m);
    m.ready = NULL;
    m.output = &output;
    output.stream = 1; /* standard output */
    output.data.at = data;
    output.data.len = sizeof(data);
    (void)cwsi_put_envelope(&message, CWSI_M_v1_ExecStreamResponse, &m);
    m.output = NULL;
    m.exit = &end;
    (void)cwsi_put_envelope(&last, CWSI_M_v1_ExecStreamResponse, &m);
    (void)cwsi_put(&last, "\2\0\0\0\2{}", 7); /* the end of the stream */
    server.first = take_buf(&first);
    server.message = take_buf(&message);
    server.last = take_buf(&last);
    server.messages = MESSAGES;
}

/* ---- ours */

static void check_ok(const bench_case *b, cws_status status, const cws_error *err)
{
    if (status) die("%s: %s", b->name, err->message);
}

static void open_ours(bench_case *b)
{
    cws_client_opts o = {0};
    cws_session_opts so = {0};
    cws_error err;
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d", server.port);
    o.base_url = url;
    o.api_key = "an-api-key-of-usual-length-0123456789abcdef";
    o.http_version = b->http2 ? CWS_HTTP_2 : CWS_HTTP_1_1;
    o.no_environment = true;
    check_ok(b, cws_client_open(&o, &b->client, &err), &err);
    so.client = b->client;
    check_ok(b, cws_session_open(&so, &b->session, &err), &err);
    check_ok(b,
             cws_session_from_id(b->session, "4a7f1c52-93f0-4a0e-8a63-5d1a7c3b9e21", false, &b->box,
                                 &err),
             &err);
}

static void close_ours(bench_case *b)
{
    cws_sandbox_free(b->box);
    cws_session_free(b->session);
    cws_client_free(b->client);
}

static cws_flow count_output(cws_stream_id stream, const void *data, size_t size, void *user)
{
    (void)stream, (void)data, (void)user;
    counted += size;
    return CWS_FLOW_CONTINUE;
}

static cws_process *begin_exec(bench_case *b)
{
    static const char *const argv[] = {"cat", "/var/log/everything", NULL};
    cws_exec_opts o = {0};
    cws_process *p;
    cws_error err;
    if (!b->keep) {
        o.on_output = count_output;
        o.max_output_bytes = 1; /* as little as can be said */
    }
    check_ok(b, cws_exec_begin(b->box, argv, &o, &p, &err), &err);
    return p;
}

static void one_stream(bench_case *b)
{
    cws_process *p = begin_exec(b);
    const cws_result *result;
    cws_error err;
    check_ok(b, cws_process_wait(p, 60, &result, &err), &err);
    if (b->keep) counted += cws_result_stdout_size(result);
    if (cws_result_bytes_produced(result, CWS_STDOUT) != MESSAGES * MESSAGE)
        die("%s: output is missing", b->name);
    cws_process_free(p);
}

static void ours_batch(bench_case *b)
{
    cws_op *ops[AT_ONCE];
    cws_error err;
    size_t i;
    if (b->stream) {
        one_stream(b);
        return;
    }
    if (b->flight == 1) {
        cws_state state;
        check_ok(b, cws_sandbox_get_state(b->box, &state, &err), &err);
        if (state != CWS_STATE_RUNNING) die("%s: a wrong state", b->name);
        return;
    }
    for (i = 0; i < b->flight; i++)
        check_ok(b, cws_sandbox_get_state_begin(b->box, &ops[i], &err), &err);
    check_ok(b, cws_wait_many(ops, b->flight, CWS_ALL, 60, NULL, NULL, &err), &err);
    for (i = 0; i < b->flight; i++) {
        check_ok(b, cws_op_status(ops[i], &err), &err);
        cws_op_free(ops[i]);
    }
}

/* ---- bare */

static size_t count_bytes(char *data, size_t size, size_t count, void *user)
{
    (void)data, (void)user;
    counted += size * count;
    return size * count;
}

static void add_header(bench_case *b, const char *name, const char *value)
{
    char line[512];
    struct curl_slist *longer;
    (void)snprintf(line, sizeof(line), "%s:%s%s", name, value[0] ? " " : "", value);
    longer = curl_slist_append(b->headers, line);
    if (!longer) die("out of memory");
    b->headers = longer;
}

/* The request of ours that is under way, byte for byte. */
static void take_request(bench_case *b, const cws_op *op)
{
    const cwsi_call *call = op->call;
    const cwsi_curl *t = (const cwsi_curl *)b->client->transport.user;
    cws_header headers[CWSI_COUNT(b->client->headers) + 3];
    char timeout[16] = "";
    size_t i, n;
    if (!call || call->step != CWSI_CALL_WAIT) die("%s: the request can not be seen", b->name);
    (void)snprintf(b->url, sizeof(b->url), "%s%s", b->client->base_url, call->rpc->path);
    n = cwsi_call_headers(call, headers, timeout, sizeof(timeout),
                          call->attempt_until - cwsi_now(b->client));
    for (i = 0; i < n; i++) add_header(b, headers[i].name, headers[i].value);
    add_header(b, "Expect", "");
    add_header(b, "Accept", "");
    b->body_size = call->request.len;
    b->body = (char *)malloc(b->body_size + 1);
    if (!b->body) die("out of memory");
    memcpy(b->body, call->request.at, b->body_size);
    b->most = b->flight < t->unary_most ? b->flight : t->unary_most;
    b->version = cwsi_curl_http_version(t, b->http2);
    b->dedicated = cwsi_curl_dedicated(t, b->http2, b->stream);
}

static CURL *make_easy(const bench_case *b)
{
    CURL *easy = curl_easy_init();
    if (!easy) die("out of memory");
    curl_easy_setopt(easy, CURLOPT_URL, b->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, b->headers);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, b->version);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, b->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)b->body_size);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, count_bytes);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    if (b->dedicated) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    } else if (b->http2) curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    return easy;
}

static void open_bare(bench_case *b)
{
    cws_process *p = NULL;
    cws_op *op = NULL;
    cws_error err;
    size_t i;
    if (b->stream) p = begin_exec(b);
    else check_ok(b, cws_sandbox_get_state_begin(b->box, &op, &err), &err);
    cwsi_run_ready(b->client); /* as far as its request, but nothing of the reply */
    take_request(b, p ? cws_process_op(p) : op);
    cws_op_free(op);
    cws_process_free(p);
    b->multi = curl_multi_init();
    if (!b->multi) die("out of memory");
    curl_multi_setopt(b->multi, CURLMOPT_MAXCONNECTS, 32L);
    for (i = 0; i < b->most; i++) b->easy[i] = make_easy(b);
}

static void close_bare(bench_case *b)
{
    size_t i;
    for (i = 0; i < b->most; i++) curl_easy_cleanup(b->easy[i]);
    curl_multi_cleanup(b->multi);
    curl_slist_free_all(b->headers);
    free(b->body);
}

/* What one batch of bare calls receives. */
static uint64_t batch_size(const bench_case *b)
{
    if (!b->stream) return server.unary.size * b->flight;
    return server.first.size + server.message.size * MESSAGES + server.last.size;
}

/* Before 8.4 the end of a long response is lost at times (P1), so there its size tells. */
static CURL *bare_unreported(bench_case *b, uint64_t until)
{
    const cwsi_curl *t = (const cwsi_curl *)b->client->transport.user;
    return b->stream && cwsi_curl_forgetful(t) && counted == until ? b->easy[0] : NULL;
}

static CURL *bare_ended(bench_case *b, uint64_t until)
{
    int left;
    CURLMsg *msg = curl_multi_info_read(b->multi, &left);
    if (!msg) return bare_unreported(b, until);
    if (msg->data.result) die("%s: bare: %s", b->name, curl_easy_strerror(msg->data.result));
    return msg->easy_handle;
}

/* And it may stop meanwhile until its handle is touched (P1): done after a silence here. */
static void bare_wait(const bench_case *b)
{
    const cwsi_curl *t = (const cwsi_curl *)b->client->transport.user;
    bool touch = b->stream && cwsi_curl_forgetful(t);
    int ready = 0;
    if (curl_multi_poll(b->multi, NULL, 0, touch ? 1 : 1000, &ready)) die("curl_multi_poll");
    if (ready || !touch) return;
    (void)curl_easy_pause(b->easy[0], CURLPAUSE_SEND);
    (void)curl_easy_pause(b->easy[0], CURLPAUSE_CONT);
}

static void bare_batch(bench_case *b, bool fresh)
{
    CURL *idle[AT_ONCE], *easy;
    size_t begun = 0, ended = 0, free_handles = b->most;
    uint64_t until = counted + batch_size(b);
    memcpy(idle, b->easy, sizeof(idle));
    while (ended < b->flight) {
        bool some = false;
        int running;
        for (; begun < b->flight && free_handles; begun++) {
            easy = idle[--free_handles];
            if (curl_multi_add_handle(b->multi, fresh ? make_easy(b) : easy)) die("curl");
        }
        if (curl_multi_perform(b->multi, &running)) die("curl_multi_perform");
        for (; ended < b->flight && (easy = bare_ended(b, until)) != NULL; ended++) {
            (void)curl_multi_remove_handle(b->multi, easy);
            if (fresh) curl_easy_cleanup(easy);
            idle[free_handles++] = fresh ? NULL : easy;
            some = true;
        }
        if (!some) bare_wait(b);
    }
    if (counted != until) die("%s: bare: bytes are missing", b->name);
}

/* ---- measuring */

static void turn(bench_case *b, side who, double seconds, sample *out)
{
    uint64_t connections = server.stats->connections, sent = server.stats->received;
    uint64_t allocations = cws_client_memory(b->client).allocations;
    double start = now_s(), cpu = cpu_s(), units;
    size_t calls = 0;
    do {
        if (who == OURS) ours_batch(b);
        else bare_batch(b, who == FRESH);
        calls += b->flight;
    } while (now_s() - start < seconds &&
             (!b->dedicated || b->stream || calls < MOST_RECONNECTS));
    cpu = cpu_s() - cpu;
    units = (double)calls * (b->stream ? MESSAGES : 1);
    out->rate = units / (now_s() - start);
    out->cpu = cpu * 1e6 / units;
    b->calls[who] += calls;
    b->connections[who] += server.stats->connections - connections;
    b->sent[who] += server.stats->received - sent;
    b->allocations += cws_client_memory(b->client).allocations - allocations;
}

static bool wanted(const bench_case *b, side who, int argc, char **argv)
{
    static const char *const names[] = {"ours", "bare", "fresh"};
    if (argc > 1 && !strstr(b->name, argv[1])) return false;
    if (b->stream && who == FRESH) return false; /* a handle is nothing beside 16 MiB */
    return argc < 3 || !strcmp(argv[2], names[who]);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

typedef struct spread {
    double low, median, high; /* the middle half lies between low and high */
} spread;

static spread spread_of(double *values, size_t count)
{
    spread s;
    qsort(values, count, sizeof(*values), compare);
    s.low = values[(count - 1) / 4];
    s.median = (values[(count - 1) / 2] + values[count / 2]) / 2;
    s.high = values[count - 1 - (count - 1) / 4];
    return s;
}

/* The rates or CPU times of a side, or their ratios to another's of the same round. */
static spread spread_of_side(const bench_case *b, side who, int against, bool cpu, size_t rounds)
{
    double values[MOST_ROUNDS];
    size_t i;
    for (i = 0; i < rounds; i++) {
        const sample *s = &b->samples[who][i];
        values[i] = cpu ? s->cpu : s->rate;
        if (against >= 0) {
            s = &b->samples[against][i];
            values[i] /= cpu ? s->cpu : s->rate;
        }
    }
    return spread_of(values, rounds);
}

static void print_row(const bench_case *b, bool cpu, size_t rounds)
{
    const char *what = cpu       ? b->stream ? "CPU us per message" : "CPU us per call"
                       : b->stream ? "MB/s"
                                   : "calls/s";
    double scale = b->stream && !cpu ? MESSAGE / 1e6 : 1;
    int who;
    printf("  %-19s", what);
    for (who = OURS; who <= BARE + !b->stream; who++) {
        spread s = spread_of_side(b, (side)who, -1, cpu, rounds);
        printf("%9.*f ", cpu ? 1 : 0, s.median * scale);
        if (who == OURS) continue;
        s = spread_of_side(b, OURS, who, cpu, rounds);
        printf(" x%5.2f (%.2f-%.2f) ", s.median, s.low, s.high);
    }
    printf("\n");
}

static void print_case(const bench_case *b, size_t rounds)
{
    double units = (double)b->calls[OURS] * (b->stream ? MESSAGES : 1);
    double ours = (double)b->sent[OURS] / (double)b->calls[OURS];
    double bare = (double)b->sent[BARE] / (double)b->calls[BARE];
    printf("%s%s\n", b->name, b->dedicated ? " (with this libcurl a connection a call)" : "");
    print_row(b, false, rounds);
    print_row(b, true, rounds);
    printf("  allocations of ours %7.2f per %s; most memory %.0f KiB\n",
           (double)b->allocations / units, b->stream ? "message" : "call",
           (double)cws_client_memory(b->client).peak_bytes / 1024);
    if (ours > bare * 1.05 || bare > ours * 1.05 ||
        b->connections[OURS] * b->calls[BARE] > b->connections[BARE] * b->calls[OURS] * 2 + 100)
        printf("  NOT ALIKE on the wire: %.1f and %.1f bytes sent per call, %.3f and %.3f "
               "connections\n",
               ours, bare, (double)b->connections[OURS] / (double)b->calls[OURS],
               (double)b->connections[BARE] / (double)b->calls[BARE]);
}

static void print_all(size_t rounds, int argc, char **argv)
{
    size_t i;
    printf("%-21s%9s %9s %7s (middle half) %8s %7s (middle half)\n", "", "ours", "bare", "ratio",
           "fresh", "ratio");
    for (i = 0; i < case_count; i++)
        if (wanted(&cases[i], OURS, argc, argv)) print_case(&cases[i], rounds);
    if (argc > 1) return;
    printf("bench: ours to bare: unary x%.2f calls/s, x%.2f CPU; stream x%.2f MB/s, x%.2f CPU\n",
           spread_of_side(&cases[0], OURS, BARE, false, rounds).median,
           spread_of_side(&cases[0], OURS, BARE, true, rounds).median,
           spread_of_side(&cases[4], OURS, BARE, false, rounds).median,
           spread_of_side(&cases[4], OURS, BARE, true, rounds).median);
}

/* Each round gives every side of every case a turn, in an order that alternates. */
static void measure(double seconds, size_t rounds, int argc, char **argv)
{
    size_t round, i, turns = 0;
    int k;
    for (i = 0; i < case_count; i++)
        for (k = 0; k < SIDES; k++) turns += wanted(&cases[i], (side)k, argc, argv);
    if (!turns) die("no such case");
    for (round = 0; round < rounds; round++)
        for (i = 0; i < case_count; i++)
            for (k = 0; k < SIDES; k++) {
                side who = (side)(round % 2 ? SIDES - 1 - k : k);
                if (wanted(&cases[i], who, argc, argv))
                    turn(&cases[i], who, seconds / (double)(rounds * turns),
                         &cases[i].samples[who][round]);
            }
}

static double setting(const char *name, double otherwise, double least, double most)
{
    const char *text = getenv(name);
    double value = text && *text ? strtod(text, NULL) : otherwise;
    return value < least ? least : value > most ? most : value;
}

int main(int argc, char **argv)
{
    const curl_version_info_data *info;
    size_t rounds = (size_t)setting("BENCH_ROUNDS", 9, 1, MOST_ROUNDS), i;
    double seconds = setting("BENCH_SECONDS", 36, 0.1, 3600), start = now_s();
    mem.allocator.resize = cwsi_default_resize;
    mem.limit = UINT64_MAX;
    server.unary = make_unary();
    make_stream();
    if (!bench_server_start(&server)) return 1;
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) die("curl_global_init");
    info = curl_version_info(CURLVERSION_NOW);
    if (!(info->features & CURL_VERSION_HTTP2)) {
        printf("SKIPPED bench: libcurl %s was built without HTTP/2\n", info->version);
        return 0;
    }
    for (i = 0; i < case_count; i++) {
        open_ours(&cases[i]);
        open_bare(&cases[i]);
    }
    measure(seconds, rounds, argc, argv);
    if (argc < 3) {
        printf("libcurl %s; medians of %d rounds; a stream is %u messages of %u bytes; %.0f s\n",
               info->version, (int)rounds, MESSAGES, MESSAGE, now_s() - start);
        print_all(rounds, argc, argv);
    }
    for (i = 0; i < case_count; i++) {
        close_bare(&cases[i]);
        close_ours(&cases[i]);
    }
    curl_global_cleanup();
    return 0;
}
