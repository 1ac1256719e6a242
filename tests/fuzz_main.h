/* SPDX-License-Identifier: MIT
 *
 * For machines without libFuzzer: with -DFUZZ_MAIN a fuzz target becomes a program that runs its
 * inputs, and then random ones: pieces of the inputs, mutated and spliced.
 *
 *     fuzz_codec [-n iterations] [-s seed] [file...]
 */
#ifndef CWS_FUZZ_MAIN_H
#define CWS_FUZZ_MAIN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold. */
#define FUZZ_REQUIRE(x)                                             \
    do {                                                            \
        if (!(x)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort();                                                \
        }                                                           \
    } while (0)

#ifdef FUZZ_MAIN

enum { FUZZ_MAX = 4096 };

typedef struct fuzz_input {
    uint8_t *data;
    size_t size;
} fuzz_input;

static uint64_t fuzz_state = 1;

static size_t fuzz_below(size_t limit)
{
    fuzz_state ^= fuzz_state >> 12;
    fuzz_state ^= fuzz_state << 25;
    fuzz_state ^= fuzz_state >> 27;
    return (size_t)(fuzz_state * 2685821657736338717ULL >> 16) % limit;
}

/* In a block of exactly its size. */
static void fuzz_run(const uint8_t *data, size_t size)
{
    uint8_t *exact = (uint8_t *)malloc(size ? size : 1);
    if (!exact) abort();
    if (size) memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static fuzz_input fuzz_read(const char *path)
{
    fuzz_input in = {NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    in.data = (uint8_t *)malloc(1u << 20);
    if (!in.data) abort();
    in.size = fread(in.data, 1, 1u << 20, f);
    fclose(f);
    return in;
}

static size_t fuzz_mutate(uint8_t *data, size_t size)
{
    static const char likely[] = "\0\1\2\n\x12\x1a\x22\x32\x7f\x80\xff{}[]\",:\\u0-.eE";
    size_t at = fuzz_below(size + 1), n;
    uint8_t fresh = (uint8_t)(fuzz_below(2) ? (uint8_t)likely[fuzz_below(sizeof(likely) - 1)]
                                            : fuzz_below(256));
    switch (fuzz_below(6)) {
    case 0: /* set */
        if (at < size) data[at] = fresh;
        return size;
    case 1: /* insert */
        if (size == FUZZ_MAX) return size;
        memmove(data + at + 1, data + at, size - at);
        data[at] = fresh;
        return size + 1;
    case 2: /* remove */
        n = fuzz_below(8) < 6 ? 1 : fuzz_below(16);
        if (n > size - at) n = size - at;
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    case 3: /* repeat a piece */
        n = fuzz_below(size - at + 1);
        if (size + n > FUZZ_MAX) return size;
        memmove(data + at + n, data + at, size - at);
        return size + n;
    case 4: /* flip a bit */
        if (at < size) data[at] = (uint8_t)(data[at] ^ (1u << fuzz_below(8)));
        return size;
    default: /* cut */ return fuzz_below(8) ? size : at;
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[FUZZ_MAX];
    fuzz_input *inputs = (fuzz_input *)calloc((size_t)argc + 1, sizeof(*inputs));
    size_t count = 0, size = 0, k;
    long iterations = 200000, i;
    unsigned long seed = 20260102;
    if (!inputs) abort();
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-n") == 0 && i + 1 < argc) iterations = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc) seed = strtoul(argv[++i], NULL, 10);
        else inputs[count++] = fuzz_read(argv[i]);
    }
    fuzz_state = seed ? seed : 1;
    for (k = 0; k < count; k++) fuzz_run(inputs[k].data, inputs[k].size);
    fuzz_run(data, 0);
    for (i = 0; i < iterations; i++) {
        if (count == 0 || fuzz_below(4) == 0) { /* go on with the last one, or with noise */
            if (fuzz_below(50) == 0)
                for (size = 0, k = fuzz_below(64); size < k; size++)
                    data[size] = (uint8_t)fuzz_below(256);
        } else {
            const fuzz_input *in = &inputs[fuzz_below(count)];
            size = in->size < FUZZ_MAX ? in->size : FUZZ_MAX;
            if (size) memcpy(data, in->data, size);
        }
        for (k = fuzz_below(6) + 1; k > 0; k--) size = fuzz_mutate(data, size);
        fuzz_run(data, size);
    }
    for (k = 0; k < count; k++) free(inputs[k].data);
    free(inputs);
    printf("%lu files and %ld random inputs, seed %lu: no failure\n", (unsigned long)count,
           iterations, seed);
    return 0;
}

#endif /* FUZZ_MAIN */
#endif /* CWS_FUZZ_MAIN_H */
