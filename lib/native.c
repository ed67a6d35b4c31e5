/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* native.c -- the native face: figures, aligned blocks, names, and one visit to every block of a heap.
 *
 * Owns:    struct heap's name.
 * Calls:   walk.c, heap.c, region.c's list of regions, os.c; heapapi.c and heapinfo.c beside.
 * Locks:   LOCK heaplock around figures; LOCK span around the name, because region.c reads it under that, and
 *          LOCK gate around its change, because a heap that is looked at stands still.
 * Always:  arguments, the last error and errno as in heapapi.c. */
#include "api.h"
#include "options.h"
#include "valid.h"

#include "small.h"

enum {
    ALIGN_MOST_BITS = 36, /* 64 GB, the longest span */
    STATS_FIRST_BYTES = offsetof(struct ph_stats, name) + PRIVHEAP_NAME_BYTES, /* of version 0.1: new fields stand behind */
};


static_assert(HEAP_NAME_BYTES == PRIVHEAP_NAME_BYTES, "one name");

/* ---- figures ------------------------------------------------------------------------------------- */

static void name_copy(struct heap *hp, char *to)
{
    ph_lock_take(&hp->span_lock);
    ph_bytes_copy(to, hp->name, sizeof hp->name);
    ph_lock_give(&hp->span_lock);
}

static size_t region_count(const struct heap *hp)
{
    size_t count = 0;
    const struct region *rg = __atomic_load_n(&hp->regions, __ATOMIC_ACQUIRE);
    for (; rg != NULL; rg = __atomic_load_n(&rg->next, __ATOMIC_ACQUIRE))
        count++;
    return count;
}

static DWORD creation_flags(const struct heap *hp)
{
    return (hp->flags & HEAPF_NO_SERIALIZE ? HEAP_NO_SERIALIZE : 0) |
           (hp->flags & HEAPF_EXCEPTIONS ? HEAP_GENERATE_EXCEPTIONS : 0) |
           (hp->flags & HEAPF_EXECUTE ? HEAP_CREATE_ENABLE_EXECUTE : 0) | (ph_api_is_fixed(hp) ? 0 : HEAP_GROWABLE);
}

static struct ph_stats stats_of(struct heap *hp)
{
    struct heap_sums sums;
    const bool locked = ph_api_lock(hp, 0);
    ph_walk_sums(hp, &sums);
    struct ph_stats now = {
        .flags = creation_flags(hp),
        .live_blocks = sums.live_blocks,
        .live_bytes = sums.live_bytes,
        .large_blocks = sums.large_blocks,
        .large_bytes = sums.large_bytes,
        .free_blocks = sums.free_blocks,
        .largest_free_bytes = sums.largest_free,
        .dirty_bytes = sums.dirty_bytes,
        .committed_bytes = sums.committed_bytes,
        .reserved_bytes = sums.reserved_bytes,
        .most_reserved_bytes = ph_api_most_reserved(hp),
        .regions = region_count(hp),
        .thread_stacks = hp->local_count,
    };
    ph_api_unlock(hp, locked);
    name_copy(hp, now.name);
    return now;
}

BOOL ph_heap_stats(HANDLE heap, struct ph_stats *stats)
{
    if (stats == NULL || stats->struct_bytes < STATS_FIRST_BYTES)
        return ph_api_refuse(ERROR_INVALID_PARAMETER);
    struct heap *hp = ph_api_heap(heap);
    if (hp == NULL)
        return FALSE;
    struct ph_stats now = stats_of(hp);
    now.struct_bytes = stats->struct_bytes < sizeof now ? stats->struct_bytes : sizeof now;
    ph_bytes_copy(stats, &now, now.struct_bytes);
    return TRUE;
}

/* ---- aligned blocks ------------------------------------------------------------------------------ */

LPVOID ph_heap_aligned_alloc(HANDLE heap, DWORD flags, SIZE_T alignment, SIZE_T bytes)
{
    struct heap *hp = ph_heap_of_handle(heap);
    if (hp == NULL)
        return ph_api_fail_handle(heap, flags, bytes);
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > (SIZE_T)1 << ALIGN_MOST_BITS) {
        (void)ph_api_refuse(ERROR_INVALID_PARAMETER);
        return NULL;
    }
    struct request rq = ph_api_request(flags, bytes);
    rq.align = alignment;
    void *block = ph_api_is_servable(hp, bytes) && !ph_api_is_failed(bytes) ? ph_heap_alloc(hp, &rq) : NULL;
    return block != NULL ? block : ph_api_fail_alloc(hp, flags, bytes);
}

DWORD ph_debug_flags(void) { return (DWORD)ph_option(OPT_DEBUG_FLAGS); } /* W32 2.8 */

/* ---- names --------------------------------------------------------------------------------------- */

/* What the kernel takes in the name of a mapping.  Source: PR_SET_VMA(2const). */
static bool is_namely(char c)
{
    return c >= ' ' && c <= '~' && c != '[' && c != ']' && c != '\\' && c != '$' && c != '`';
}

/* To the end of the array, zeros behind the name. */
static void name_clean(char *to, const char *name)
{
    size_t used = 0;
    for (; name != NULL && name[used] != '\0' && used < HEAP_NAME_BYTES - 1; used++)
        to[used] = is_namely(name[used]) ? name[used] : '?';
    ph_bytes_zero(to + used, HEAP_NAME_BYTES - used);
}

/* Held: the span lock. */
static void name_regions(const struct heap *hp)
{
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        ph_region_name(rg, hp->name[0] != '\0' ? hp->name : NULL);
}

static void name_put(struct heap *hp, const char *clean)
{
    struct pass ps = ph_gate_enter_locked(hp, ENTER_UNLOCKED);
    ph_lock_take(&hp->span_lock);
    if (clean[0] != '\0' || hp->name[0] != '\0') {
        ph_bytes_copy(hp->name, clean, sizeof hp->name);
        hp->name_seal = name_seal(hp);
        name_regions(hp);
    }
    ph_lock_give(&hp->span_lock);
    ph_gate_leave(hp, ps);
}

BOOL ph_heap_set_name(HANDLE heap, const char *name)
{
    char clean[HEAP_NAME_BYTES];
    struct heap *hp = ph_api_heap(heap);
    if (hp == NULL)
        return FALSE;
    name_clean(clean, name);
    name_put(hp, clean);
    return TRUE;
}

SIZE_T ph_heap_name(HANDLE heap, char *buffer, SIZE_T room)
{
    char name[HEAP_NAME_BYTES];
    struct heap *hp = ph_api_heap(heap);
    if (hp == NULL)
        return 0;
    name_copy(hp, name);
    SIZE_T bytes = 0;
    while (name[bytes] != '\0')
        bytes++;
    if (buffer == NULL || room == 0)
        return bytes;
    const SIZE_T copied = bytes < room ? bytes : room - 1;
    ph_bytes_copy(buffer, name, copied);
    buffer[copied] = '\0';
    return bytes;
}

void ph_api_unname(struct heap *hp)
{
    static const char none[HEAP_NAME_BYTES];
    name_put(hp, none);
}
