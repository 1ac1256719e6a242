/* SPDX-License-Identifier: MIT
 *
 * What fuzz targets have in common whose input is what a service does, and in which order. Include
 * it behind their own types talk (one exchange; member next) and world (members at and end: what is
 * left of the input; now, live, talks).
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

static unsigned take(world *w)
{
    return w->at < w->end ? *w->at++ : 0;
}

static void *fuzz_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    world *w = (world *)user;
    void *moved = NULL;
    if (new_size) { /* always to another place */
        moved = malloc(new_size);
        if (!moved) return NULL;
        if (block) memcpy(moved, block, old_size < new_size ? old_size : new_size);
    }
    free(block);
    w->live = w->live - old_size + new_size;
    return moved;
}

static int64_t fuzz_now(void *user)
{
    return ((world *)user)->now;
}

static void fuzz_random(void *out, size_t size, void *user)
{
    (void)user;
    memset(out, 0x5a, size);
}

static void fuzz_window(void *user, void *handle, bool open)
{
    (void)user, (void)handle, (void)open;
}

static void fuzz_cancel(void *user, void *handle)
{
    talk **link;
    for (link = &((world *)user)->talks; *link != handle; link = &(*link)->next) {}
    *link = (*link)->next;
    free(handle);
}

#endif /* FUZZ_WORLD_H */
