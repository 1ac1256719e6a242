/* transfer.c: large files in constant memory. A file goes up, comes back and is compared on the
 * way; a bar shows how far it is.
 *
 *     cc -o transfer transfer.c -lcurl
 *     ./transfer [FILE]        default: 64 MiB made up for the occasion
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

/* A bar on a terminal; elsewhere only the end is worth a line. */
static void draw(const cws_progress *p, void *user)
{
    const journey *j = user;
    bool terminal = isatty(STDOUT_FILENO), end = p->bytes_total && p->bytes_done >= p->bytes_total;
    int full = p->bytes_total ? (int)(40 * p->bytes_done / p->bytes_total) : 0;
    if (!terminal && !end) return;
    printf("%s%-9s[%-40.*s] %6.1f MiB  %6.1f MiB/s%s", terminal ? "\r" : "", j->what, full,
           "########################################", (double)p->bytes_done / 1048576,
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
    journey *j = user;
    char own[4096];
    size_t at, n;
    for (at = 0; at < item->size && !j->differs; at += n) {
        n = item->size - at < sizeof(own) ? item->size - at : sizeof(own);
        j->differs = fread(own, 1, n, j->file) != n || memcmp(own, item->data + at, n) != 0;
    }
    j->checked += item->size;
    return j->differs ? CWS_FLOW_CANCEL : CWS_FLOW_CONTINUE;
}

static int there_and_back(cws_sandbox *box, FILE *file, uint64_t size)
{
    journey j = {.what = "upload", .file = file};
    const cws_upload_opts up = {
        .source = from_file, .size = size, /* for the bar, and to notice a file that changes */
        .write_mode = CWS_WRITE_ATOMIC,    /* nobody over there sees half of it */
        .on_progress = draw, .timeout_seconds = 3600, .user = &j};
    const cws_download_opts down = {
        .on_item = compare, .on_progress = draw, .timeout_seconds = 3600, .user = &j};
    cws_error err;
    rewind(file);
    if (cws_upload(box, "/tmp/cargo", &up, &err)) return complain(&err);
    rewind(file);
    j.what = "download";
    if (cws_download(box, "/tmp/cargo", &down, &err)) return complain(&err);
    if (j.checked != size) return fprintf(stderr, "only a part came back\n"), 1;
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
        if (fwrite(block, sizeof(block), 1, file) != 1) return fclose(file), NULL;
    }
    return file;
}

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : make_up();
    long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    cws_session *session;
    cws_sandbox *box = NULL;
    cws_error err;
    int failed;
    if (size < 0) return perror(argc > 1 ? argv[1] : "temporary file"), 1;
    if (example_open(NULL, &session, &err)) return complain(&err);
    if (cws_session_sandbox(session, NULL, &box, &err)) failed = complain(&err);
    else failed = there_and_back(box, file, (uint64_t)size);
    printf("most memory that the library held: %.1f MiB\n",
           (double)cws_client_memory(cws_session_client(session)).peak_bytes / 1048576);
    if (cws_session_close(session, &err)) failed = complain(&err);
    cws_sandbox_free(box);
    cws_session_free(session);
    fclose(file);
    return failed;
}
