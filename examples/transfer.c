/* transfer.c: large files in constant memory. A file goes up, comes back and is compared on the
 * way; a bar shows how far it is.
 *
 *     cc -o transfer transfer.c -lcurl
 *     ./transfer [file]        default: 64 MiB made up for the occasion
 *
 * SPDX-License-Identifier: MIT
 */
#include "example.h"

typedef struct journey {
    const char *what;
    FILE *file;
    uint64_t checked;
    bool differs;
} journey;

static int complain(const cws_error *why)
{
    fprintf(stderr, "\n%s: %s\n", cws_status_name(why->status), why->message);
    return 1;
}

/* A bar on a terminal; elsewhere only the end is worth a line. */
static void draw(const cws_progress *p, void *user)
{
    const journey *j = (const journey *)user;
    bool end = p->bytes_total && p->bytes_done >= p->bytes_total;
    int i, full = p->bytes_total ? (int)(40 * p->bytes_done / p->bytes_total) : 0;
    if (!isatty(STDOUT_FILENO) && !end) return;
    printf("%s%-9s[", isatty(STDOUT_FILENO) ? "\r" : "", j->what);
    for (i = 0; i < 40; i++) putchar(i < full ? '#' : ' ');
    printf("] %6.1f MiB  %6.1f MiB/s%s", (double)p->bytes_done / 1048576,
           p->bytes_per_second / 1048576, end ? "\n" : "");
    fflush(stdout);
}

static cws_flow from_file(void *buffer, size_t size, size_t *count, void *user)
{
    return cws_source_from_file(buffer, size, count, ((journey *)user)->file);
}

/* What comes back is compared with the file as it comes, so no copy is needed anywhere. */
static cws_flow compare(const cws_item *item, void *user)
{
    journey *j = (journey *)user;
    char own[4096];
    size_t at = 0, n;
    while (at < item->size && !j->differs) {
        n = item->size - at < sizeof(own) ? item->size - at : sizeof(own);
        if (fread(own, 1, n, j->file) != n || memcmp(own, item->data + at, n) != 0)
            j->differs = true;
        at += n;
    }
    j->checked += item->size;
    return j->differs ? CWS_FLOW_CANCEL : CWS_FLOW_CONTINUE;
}

static int there_and_back(cws_sandbox *box, FILE *file)
{
    journey j = {"upload", NULL, 0, false};
    cws_upload_opts up = {0};
    cws_download_opts down = {0};
    cws_error err;
    long size;
    j.file = file;
    if (fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0) return 1;
    rewind(file);
    up.source = from_file;
    up.size = (uint64_t)size; /* for the bar, and to notice a file that changes meanwhile */
    up.atomic = true;         /* nobody over there sees half of it */
    up.on_progress = draw;
    up.timeout_seconds = 3600;
    up.user = &j;
    if (cws_upload(box, "/tmp/cargo", &up, &err)) return complain(&err);
    j.what = "download";
    rewind(file);
    down.on_item = compare;
    down.on_progress = draw;
    down.timeout_seconds = 3600;
    down.user = &j;
    if (cws_download(box, "/tmp/cargo", &down, &err)) return complain(&err);
    if (j.checked != up.size) return fprintf(stderr, "only a part came back\n"), 1;
    printf("%llu bytes went there and came back the same\n", (unsigned long long)j.checked);
    return 0;
}

/* Something to carry. */
static FILE *make_up(void)
{
    FILE *file = tmpfile();
    uint32_t block[4096], x = 1;
    size_t i, k;
    for (k = 0; file && k < 4096; k++) {
        for (i = 0; i < 4096; i++) block[i] = x = x * 1664525u + 1013904223u;
        if (fwrite(block, sizeof(block), 1, file) != 1) break;
    }
    return file;
}

int main(int argc, char **argv)
{
    cws_client_opts client;
    cws_session_opts opts = {0};
    cws_transport local;
    cws_session *session;
    cws_sandbox *box = NULL;
    cws_memory_info memory;
    cws_error err;
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : make_up();
    int code;
    if (!file) {
        perror(argc > 1 ? argv[1] : "temporary file");
        return 1;
    }
    if (example_client_opts(&client, &local, &err)) return complain(&err);
    opts.client_opts = &client;
    if (cws_session_open(&opts, &session, &err)) return complain(&err);
    if (cws_session_sandbox(session, NULL, &box, &err)) code = complain(&err);
    else code = there_and_back(box, file);
    memory = cws_client_memory(cws_session_client(session));
    printf("most memory that the library held: %.1f MiB\n", (double)memory.peak_bytes / 1048576);
    if (cws_session_close(session, &err)) code = complain(&err);
    cws_sandbox_free(box);
    cws_session_free(session);
    fclose(file);
    return code;
}
