/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* region.c -- reserves, commits and caches address ranges; knows nothing of blocks.
 *
 * Owns:    struct region; the cache of ranges that dead heaps left.
 * Calls:   map.c, meta.c, os.c.
 * Locks:   held on entry: the heap's span lock.  Takes: map, cache, meta, in that order.
 * Always:  first <= top <= units, committed <= units, and what lies below top is committed but for
 *          the first unit; base is a multiple of HEAP_ALIGN; a cached range is
 *          still dirty below its `top`, and has no entry in the page map.
 * Why:     n bytes cost O(log n) regions, because a process may have 65,530 mappings; the first
 *          region is committed whole, later ones in steps. */
#include "hot.h"
#include "options.h"
#include "valid.h"

#include "small.h"

enum { CONTROL_FROM_UNITS = 16 }; /* smaller ranges, and bounded heaps, spare no unit for their handle */
enum {
    CACHE_RANGES = 64,
    CACHE_RANGE_UNITS = (64 << 20) / UNIT_BYTES,  /* at most, of one */
    CACHE_DIRTY_UNITS = (128 << 20) / UNIT_BYTES, /* at most, of all */
    CACHE_ALL_UNITS = (256 << 20) / UNIT_BYTES,   /* address space may be short too */
    COMMIT_LEAST_UNITS = 256,
    DENSE_UNITS = (24 << 20) / UNIT_BYTES, /* live */
};

static struct range {
    char *base;
    uint32_t units, committed, top, freed_ms;
} cache[CACHE_RANGES];
static unsigned cache_count;
static uint64_t cache_dirty, cache_units; /* below the tops; in all */
static ph_lock cache_lock;
static struct region *free_regions; /* cache lock */

void ph_region_fork_lock(void) { ph_lock_fork_take(&cache_lock); }
void ph_region_fork_unlock(void) { ph_lock_fork_give(&cache_lock); }

/* The last OS page may reach beyond a range of so many units: it is the system's to count, not the heap's. */
static size_t whole_bytes(uint32_t units) { return ph_round_up((size_t)units << UNIT_BITS, ph_os_page_bytes()); }

static struct region *region_new(void)
{
    ph_lock_take(&cache_lock);
    struct region *rg = free_regions;
    if (rg != NULL)
        free_regions = rg->next;
    ph_lock_give(&cache_lock);
    return rg != NULL ? rg : ph_meta_take(sizeof *rg);
}

static void region_free(struct region *rg)
{
    ph_lock_take(&cache_lock);
    rg->next = free_regions;
    free_regions = rg;
    ph_lock_give(&cache_lock);
}

/* Out of the cache.  Held: the cache lock. */
static struct range cache_remove(unsigned i)
{
    const struct range gone = cache[i];
    cache_dirty -= gone.top;
    cache_units -= gone.units;
    __atomic_store_n(&cache_count, cache_count - 1, __ATOMIC_RELAXED);
    cache[i] = cache[cache_count];
    return gone;
}

/* A range of just that size that a dead heap left. */
static bool cache_take(struct region *rg, uint32_t units)
{
    bool found = false;
    ph_lock_take(&cache_lock);
    for (unsigned i = cache_count; i-- > 0 && !found;) {
        if (cache[i].units != units)
            continue;
        const struct range got = cache_remove(i);
        rg->base = got.base;
        rg->units = units;
        rg->committed = got.committed;
        rg->top = rg->dirty = got.top;
        found = true;
    }
    ph_lock_give(&cache_lock);
    return found;
}

static bool cache_give(const struct region *rg)
{
    bool kept = false;
    ph_lock_take(&cache_lock);
    if (cache_count < CACHE_RANGES && rg->units <= CACHE_RANGE_UNITS && cache_dirty + rg->top <= CACHE_DIRTY_UNITS &&
        cache_units + rg->units <= CACHE_ALL_UNITS) {
        cache[cache_count] = (struct range){rg->base, rg->units, rg->committed, rg->top, (uint32_t)ph_os_clock_ms()};
        __atomic_store_n(&cache_count, cache_count + 1, __ATOMIC_RELAXED);
        cache_dirty += rg->top;
        cache_units += rg->units;
        kept = true;
    }
    ph_lock_give(&cache_lock);
    return kept;
}

/* Ranges that were given `age_ms` ago or earlier go back to the system. */
static void cache_drop(uint32_t age_ms)
{
    struct range gone[CACHE_RANGES];
    unsigned count = 0;
    if (__atomic_load_n(&cache_count, __ATOMIC_RELAXED) == 0)
        return;
    const uint32_t now = (uint32_t)ph_os_clock_ms();
    ph_lock_take(&cache_lock);
    for (unsigned i = cache_count; i-- > 0;)
        if (now - cache[i].freed_ms >= age_ms)
            gone[count++] = cache_remove(i);
    ph_lock_give(&cache_lock);
    for (unsigned i = 0; i < count; i++)
        ph_os_unmap(gone[i].base, whole_bytes(gone[i].units));
}

void ph_region_expire(void) { cache_drop((uint32_t)ph_option(OPT_PURGE_DELAY)); }

static size_t region_less(size_t bytes, size_t least)
{
    return bytes / 2 > least ? ph_round_up(bytes / 2, HEAP_ALIGN) : least;
}

/* Huge pages hold what is dense.  A heap that has so much will fill what it adds from the start on; a small one would
 * have 2 MB where it needs a few KB.  Not by default: runs stand in the same regions, and 40,000 of 128 KB of which two
 * units each are touched would be 5 GB instead of 320 MB. */
static bool is_dense(const struct heap *hp)
{
    const uint64_t thp = ph_option(OPT_THP);
    return thp == THP_ALWAYS || (thp == THP_AUTO && hp == &ph_process_heap && hp->hard == MODE_DEFAULT && hp->live_units >= DENSE_UNITS);
}

static void *range_new(size_t bytes, bool commit, bool huge)
{
    const size_t align = huge && bytes >= OS_HUGE_BYTES ? OS_HUGE_BYTES : HEAP_ALIGN;
    if (!commit)
        return huge ? ph_os_reserve_huge(bytes, align) : ph_os_reserve_no_huge(bytes, align);
    void *got = ph_os_map(bytes, align);
    if (got != NULL && huge)
        ph_os_huge(got, bytes);
    else if (got != NULL)
        ph_os_no_huge(got, bytes);
    return got;
}

/* A new range; halves its wish down to `least` when the system refuses. */
static bool region_reserve(struct region *rg, size_t bytes, size_t least, bool commit)
{
    for (;;) {
        const uint32_t units = (uint32_t)(bytes >> UNIT_BITS);
        const size_t whole = whole_bytes(units);
        void *got = range_new(whole, commit, rg->huge);
        if (got != NULL) {
            rg->base = got;
            rg->units = units;
            rg->committed = commit ? rg->units : 0;
            rg->top = rg->dirty = 0;
            return true;
        }
        if (bytes == least)
            return false;
        bytes = region_less(bytes, least);
    }
}

static void region_append(struct heap *hp, struct region *rg)
{
    rg->next = NULL;
    rg->index = hp->last_region ? hp->last_region->index + 1 : 0;
    rg->seal = region_seal(rg);
    if (hp->last_region != NULL) {
        __atomic_store_n(&hp->last_region->next, rg, __ATOMIC_RELEASE);
        hp->last_region->seal = region_seal(hp->last_region);
    } else {
        __atomic_store_n(&hp->regions, rg, __ATOMIC_RELEASE);
    }
    hp->last_region = rg;
    hp->reserved_units += rg->units;
    hp->regions_seal = regions_seal(hp);
}

/* In the page map; the process heap's regions are known by its list alone. */
static bool region_enter(const struct heap *hp, const struct region *rg)
{
    const size_t bytes = (size_t)rg->units << UNIT_BITS;
    return ph_map_prepare(rg->base, bytes) && (hp == &ph_process_heap || ph_map_own(rg->base, bytes, hp->id));
}

struct region *ph_region_add(struct heap *hp, size_t bytes, size_t least_bytes)
{
    struct region *rg = region_new();
    if (rg == NULL)
        return NULL;
    const bool first = hp->regions == NULL;
    rg->huge = is_dense(hp);
    ph_bytes_zero(rg->pinned, sizeof rg->pinned);
    const bool executable = hp->flags & HEAPF_EXECUTE;
    bool got = !executable && hp->debug == 0 && hp->hard == 0 && cache_take(rg, (uint32_t)(bytes >> UNIT_BITS));
    if (!got)
        got = region_reserve(rg, bytes, least_bytes, first && !executable && hp->bound_units == 0);
    while (got && !region_enter(hp, rg)) { /* less may leave room for the map */
        bytes = (size_t)rg->units << UNIT_BITS;
        ph_os_unmap(rg->base, whole_bytes(rg->units));
        got = bytes > least_bytes && region_reserve(rg, region_less(bytes, least_bytes), least_bytes, false);
    }
    if (!got) {
        region_free(rg);
        return NULL;
    }
    rg->first = hp->bound_units == 0 && rg->units > CONTROL_FROM_UNITS ? 1 : 0;
    rg->packed = NULL;
    if (rg->top < rg->first)
        rg->top = rg->first;
    region_append(hp, rg);
    if (hp->name[0] != '\0')
        ph_region_name(rg, hp->name);
    return rg;
}

void ph_region_name(const struct region *rg, const char *name) { ph_os_name(rg->base, whole_bytes(rg->units), name); }

/* Units [rg->committed, goal), outwards to whole OS pages; rg->committed is a multiple of these, or all there is. */
static bool commit_to(struct region *rg, uint32_t goal, bool executable)
{
    const size_t whole = whole_bytes(goal), had = (size_t)rg->committed << UNIT_BITS;
    if (ph_os_commit(rg->base + had, whole - had, executable) != 0)
        return false;
    const uint32_t units = whole >> UNIT_BITS < rg->units ? (uint32_t)(whole >> UNIT_BITS) : rg->units;
    __atomic_store_n(&rg->committed, units, __ATOMIC_RELAXED);
    rg->seal = region_seal(rg);
    return true;
}

bool ph_region_commit(struct region *rg, uint32_t units, bool executable)
{
    if (units <= rg->committed)
        return true;
    uint32_t goal = rg->committed + rg->units / 8;
    if (goal < rg->committed + COMMIT_LEAST_UNITS)
        goal = rg->committed + COMMIT_LEAST_UNITS;
    if (goal < units)
        goal = units;
    if (rg->huge) /* a huge page lies in one mapping that can be touched */
        goal = (uint32_t)ph_round_up(goal, OS_HUGE_BYTES / UNIT_BYTES);
    if (goal > rg->units)
        goal = rg->units;
    return commit_to(rg, goal, executable) || commit_to(rg, units, executable);
}

/* These bytes were given back.  The system would fill a huge page up again of which a part is in use, at its leisure; of
 * one that holds nothing it cannot. */
void ph_region_purged(struct heap *hp, const char *from, size_t bytes)
{
    struct region *rg = ph_region_of(hp, from);
    if (!rg->huge || ph_option(OPT_THP) == THP_ALWAYS)
        return;
    const size_t first = (size_t)(from - rg->base), end = first + bytes;
    for (size_t at = first & ~(size_t)(OS_HUGE_BYTES - 1); at < end && at < sizeof rg->pinned * 8 * OS_HUGE_BYTES; at += OS_HUGE_BYTES) {
        uint64_t *word = &rg->pinned[at / OS_HUGE_BYTES / 64];
        const uint64_t bit = 1ULL << (at / OS_HUGE_BYTES % 64);
        const bool whole = first <= at && at + OS_HUGE_BYTES <= end;
        if (!whole && (*word & bit) == 0 && ph_os_pin(rg->base + (at > first ? at : first)))
            *word |= bit;
    }
}

char *ph_region_unit(const struct region *rg, uint32_t unit) { return rg->base + ((size_t)unit << UNIT_BITS); }

struct region *ph_region_of(const struct heap *hp, const void *address)
{
    struct region *rg = __atomic_load_n(&hp->regions, __ATOMIC_ACQUIRE);
    for (; rg != NULL; rg = __atomic_load_n(&rg->next, __ATOMIC_ACQUIRE))
        if ((uintptr_t)address - (uintptr_t)rg->base < (size_t)__atomic_load_n(&rg->units, __ATOMIC_RELAXED) << UNIT_BITS)
            return rg;
    return NULL;
}

/* Its owner in the page map is its heap; the process heap's regions have none. */
static bool region_is_owned(const struct heap *hp, const struct region *rg)
{
    const uint32_t owner = hp == &ph_process_heap ? 0 : hp->id;
    for (size_t at = 0; at < (size_t)rg->units << UNIT_BITS; at += HEAP_ALIGN)
        if (ph_map_owner(rg->base + at) != owner)
            return false;
    return true;
}

bool ph_region_is_valid(const struct heap *hp, const struct region *rg)
{
    return rg->seal == region_seal(rg) && rg->first <= rg->top && rg->committed <= rg->units &&
           (rg->top <= rg->committed || rg->top == rg->first) && region_is_owned(hp, rg) &&
           ph_map_is_clear(rg->base, rg->first) && ph_map_is_clear(ph_region_unit(rg, rg->top), rg->units - rg->top);
}

/* Cached ranges go back to the system. */
void ph_region_trim(void)
{
    cache_drop(0);
    (void)ph_os_unmap_again();
}

static void region_drop(const struct heap *hp, struct region *rg)
{
    if (hp != &ph_process_heap)
        ph_map_disown(rg->base, (size_t)rg->units << UNIT_BITS);
    if ((hp->flags & HEAPF_EXECUTE) || !cache_give(rg))
        ph_os_unmap(rg->base, whole_bytes(rg->units));
    region_free(rg);
}

/* The region behind `before`, of which nothing is in use and whose entries are clear, goes back to the system: address
 * space may be what is short. */
void ph_region_drop_next(struct heap *hp, struct region *before)
{
    struct region *gone = before->next;
    __atomic_store_n(&before->next, gone->next, __ATOMIC_RELEASE);
    if (hp->last_region == gone)
        hp->last_region = before;
    hp->reserved_units -= gone->units;
    for (struct region *rg = before; rg != NULL; rg = rg->next) {
        rg->index = rg == before ? rg->index : rg->index - 1;
        rg->seal = region_seal(rg);
    }
    hp->regions_seal = regions_seal(hp);
    if (hp != &ph_process_heap)
        ph_map_disown(gone->base, (size_t)gone->units << UNIT_BITS);
    ph_os_unmap(gone->base, (size_t)gone->units << UNIT_BITS);
    region_free(gone);
}

/* A region's units from that multiple of HEAP_ALIGN on, which nobody uses, go back to the system. */
void ph_region_cut(struct heap *hp, struct region *rg, uint32_t units)
{
    char *const from = rg->base + ((size_t)units << UNIT_BITS);
    const uint32_t less = rg->units - units;
    if (hp != &ph_process_heap)
        ph_map_disown(from, (size_t)less << UNIT_BITS);
    __atomic_store_n(&rg->units, units, __ATOMIC_RELAXED);
    __atomic_store_n(&rg->committed, rg->committed < units ? rg->committed : units, __ATOMIC_RELAXED);
    rg->dirty = rg->dirty < units ? rg->dirty : units;
    rg->seal = region_seal(rg);
    hp->reserved_units -= less;
    hp->regions_seal = regions_seal(hp);
    ph_os_unmap(from, whole_bytes(less));
}

void ph_region_drop_rest(struct heap *hp)
{
    struct region *rg = hp->regions->next;
    __atomic_store_n(&hp->regions->next, NULL, __ATOMIC_RELEASE);
    hp->last_region = hp->regions;
    hp->regions->seal = region_seal(hp->regions);
    hp->reserved_units = hp->regions->units;
    hp->regions_seal = regions_seal(hp);
    for (struct region *next; rg != NULL; rg = next) {
        next = rg->next;
        region_drop(hp, rg);
    }
}

/* The heap is gone: its ranges go to the cache, or back to the system.  Their entries in the page
 * map are clear already. */
void ph_region_drop_all(struct heap *hp)
{
    struct region *rg = hp->regions;
    hp->regions = hp->last_region = NULL;
    hp->reserved_units = 0;
    hp->regions_seal = regions_seal(hp);
    for (struct region *next; rg != NULL; rg = next) {
        next = rg->next;
        region_drop(hp, rg);
    }
}
