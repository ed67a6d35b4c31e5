/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* fence.c -- the mappings of a hard heap's large blocks: between inaccessible pages, and inaccessible after free.
 *
 * Owns:    the fenced mappings that wait after free.
 * Calls:   os.c.
 * Locks:   `late_lock` (LOCK cache) for the list of those that wait.  The fault handler reads it without: what
 *          it says is for a report.
 * Always:  the page before a fenced mapping and the page behind it belong to it, and nobody can touch them.
 * Why:     a block so large is worth a few system calls, and no tail tells of reads. */
#include "guard.h"

#include "options.h"

#include "small.h"

enum { LATE_MAPPINGS = 64 };
#define LATE_SPACE ((size_t)1 << 30)   /* of addresses, */
#define LATE_KEPT ((size_t)16 << 20)   /* and of memory where freed blocks keep what they held */

static struct fenced late[LATE_MAPPINGS]; /* a ring */
static uint32_t first, count;
static size_t late_bytes;
static ph_lock late_lock;

void ph_fence_fork_lock(void) { ph_lock_fork_take(&late_lock); }
void ph_fence_fork_unlock(void) { ph_lock_fork_give(&late_lock); }

/* What is known of those on their way out: stacks of threads are small. */
struct range {
    char *base;
    size_t bytes;
};

static void unmap(struct range gone)
{
    const size_t os_page = ph_os_page_bytes();
    ph_os_unmap(gone.base - os_page, gone.bytes + 2 * os_page);
}

char *ph_fence_map(size_t bytes)
{
    const size_t os_page = ph_os_page_bytes();
    (void)ph_guard_catch_faults();
    char *outer = ph_os_reserve(bytes + 2 * os_page, os_page);
    if (outer == NULL || ph_os_commit(outer + os_page, bytes, false) == 0)
        return outer != NULL ? outer + os_page : NULL;
    ph_os_unmap(outer, bytes + 2 * os_page);
    return NULL;
}

/* The OS page behind the new end is the fence now. */
bool ph_fence_shrink(char *base, size_t old_bytes, size_t bytes)
{
    const size_t os_page = ph_os_page_bytes();
    if (bytes >= old_bytes || ph_os_protect(base + bytes, os_page) != 0)
        return false;
    ph_os_unmap(base + bytes + os_page, old_bytes - bytes);
    return true;
}

char *ph_fence_move(char *base, size_t old_bytes, size_t bytes)
{
    const size_t os_page = ph_os_page_bytes();
    char *outer = ph_os_reserve(bytes + 2 * os_page, os_page);
    if (outer == NULL)
        return NULL;
    if (!ph_map_prepare(outer + os_page, UNIT_BYTES) || !ph_os_remap_to(base, old_bytes, outer + os_page, bytes)) {
        ph_os_unmap(outer, bytes + 2 * os_page);
        return NULL;
    }
    ph_os_unmap(base - os_page, os_page);
    ph_os_unmap(base + old_bytes, os_page);
    return outer + os_page;
}

/* The oldest, out of the list.  Held: the lock. */
static struct range late_pop(void)
{
    const struct range oldest = {late[first].base, late[first].bytes};
    first = (first + 1) % LATE_MAPPINGS;
    count--;
    late_bytes -= oldest.bytes;
    return oldest;
}

static bool is_full(size_t more)
{
    const size_t most = ph_mode == MODE_TOLERANT ? LATE_KEPT : LATE_SPACE;
    return count > 0 && (count == LATE_MAPPINGS || late_bytes + more > most);
}

void ph_fence_give(const struct fenced *fe)
{
    struct range gone[LATE_MAPPINGS];
    unsigned going = 0;
    if (ph_os_protect(fe->base, fe->bytes) != 0) {
        unmap((struct range){fe->base, fe->bytes});
        return;
    }
    if (ph_mode != MODE_TOLERANT)
        (void)ph_os_purge(fe->base, fe->bytes);
    ph_lock_take(&late_lock);
    while (is_full(fe->bytes))
        gone[going++] = late_pop();
    late[(first + count) % LATE_MAPPINGS] = *fe;
    count++;
    late_bytes += fe->bytes;
    ph_lock_give(&late_lock);
    while (going > 0)
        unmap(gone[--going]);
}

bool ph_fence_trim(void)
{
    struct range gone[LATE_MAPPINGS];
    unsigned going = 0;
    ph_lock_take(&late_lock);
    while (count > 0)
        gone[going++] = late_pop();
    ph_lock_give(&late_lock);
    const bool any = going > 0;
    while (going > 0)
        unmap(gone[--going]);
    return any;
}

bool ph_fence_late(const char *address, struct fenced *out)
{
    for (uint32_t i = 0; i < LATE_MAPPINGS; i++) {
        const struct fenced *fe = &late[(first + i) % LATE_MAPPINGS];
        if (i < count && (size_t)(address - fe->base) < fe->bytes) {
            *out = *fe;
            return true;
        }
    }
    return false;
}

/* A live one, or its fences: read as it is, each step bounded. */
bool ph_fence_live(const char *address, struct fenced *out)
{
    const size_t os_page = ph_os_page_bytes();
    const struct heap *hp = &ph_process_heap;
    const struct span *sp = ph_span_known(hp->large);
    for (uint64_t left = hp->large_count; sp != NULL && left > 0 && sp->tag == (hp->tag | KIND_LARGE); left--, sp = ph_span_known(sp->next)) {
        char *base = ph_span_start(sp);
        if (sp->fenced && (size_t)(address - (base - os_page)) < sp->mapped_bytes + 2 * os_page) {
            *out = (struct fenced){.base = base, .bytes = sp->mapped_bytes, .block = ph_large_block(sp), .wanted = sp->wanted};
            return true;
        }
    }
    return false;
}
