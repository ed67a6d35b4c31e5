/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* map.c -- what stands at an address: the page map.
 *
 * Owns:    the root (one slot for each GB) and the leaves (an entry for each unit).
 * Calls:   os.c.
 * Locks:   LOCK map for new leaves; entries are written by whoever owns the units they describe,
 *          with one store each, and read by anybody.
 * Always:  an entry is 0, or names a descriptor that is never unmapped; so a reader that loses a
 *          race reads an old truth, never garbage.
 * Why:     leaves are reserved readable and made writable in pieces of 64 KB: neither a limit on
 *          data nor strict overcommit counts the rest. */
#include "hot.h"
#include "valid.h"

#include "small.h"

enum {
    LEAF_ENTRIES = MAP_LEAF_ENTRIES,
    LEAF_BYTES = LEAF_ENTRIES * 8,
    OWNERS = 1 << (MAP_LEAF_BITS - 16), /* behind the entries: whose each 64 KB are */
    OWNER_BYTES = OWNERS * 2,
    PIECE_BYTES = 65536,
    PIECE_ENTRIES = PIECE_BYTES / 8,
};

enum { READY_PIECES = 64 };

/* Common: the linker puts it behind the small variables of all rooms, which then share OS pages. */
uint64_t *ph_map_root[MAP_ROOT_SLOTS] __attribute__((common));
static ph_lock map_lock;
static uint32_t ready[READY_PIECES]; /* pieces known to be writable, by number; others are asked for again */

void ph_map_fork_lock(void) { ph_lock_fork_take(&map_lock); }
void ph_map_fork_unlock(void) { ph_lock_fork_give(&map_lock); }

/* In whole OS pages; the entries, and each piece of them, are that on every machine. */
static size_t owners_bytes(void) { return ph_round_up(OWNER_BYTES, ph_os_page_bytes()); }

/* Make one piece of the map writable, and its leaf if need be.  Held: the map lock. */
static bool map_ready(uintptr_t piece)
{
    enum { LEAF_PIECES = LEAF_ENTRIES / PIECE_ENTRIES };
    if (ready[piece % READY_PIECES] == (uint32_t)piece)
        return true;
    uint64_t *leaf = ph_map_root[piece / LEAF_PIECES];
    if (leaf == NULL) {
        const size_t bytes = LEAF_BYTES + owners_bytes();
        leaf = ph_os_reserve_readable(bytes, UNIT_BYTES);
        if (leaf == NULL)
            return false;
        __atomic_store_n(&ph_map_root[piece / LEAF_PIECES], leaf, __ATOMIC_RELEASE);
    }
    if (ph_os_commit(leaf + piece % LEAF_PIECES * PIECE_ENTRIES, PIECE_BYTES, false) != 0)
        return false;
    ready[piece % READY_PIECES] = (uint32_t)piece;
    return true;
}

bool ph_map_prepare(const void *base, size_t bytes)
{
    const uintptr_t first = (uintptr_t)base >> UNIT_BITS;
    const uintptr_t last = ((uintptr_t)base + bytes - 1) >> UNIT_BITS;
    if (((uintptr_t)base + bytes - 1) >> MAP_LEAF_BITS >= MAP_ROOT_SLOTS)
        return false;
    bool all = true;
    ph_lock_take(&map_lock);
    for (uintptr_t piece = first / PIECE_ENTRIES; all && piece <= last / PIECE_ENTRIES; piece++)
        all = map_ready(piece);
    ph_lock_give(&map_lock);
    return all;
}

static void map_set(uintptr_t unit, uint64_t entry)
{
    uint64_t *leaf = ph_map_root[unit / LEAF_ENTRIES];
    __atomic_store_n(&leaf[unit % LEAF_ENTRIES], entry, __ATOMIC_RELEASE);
}

/* A run's or free span's entries say 0 units; so do a page's first and last until it is filled. */
static uint64_t map_entry(const struct span *sp, unsigned units_to_end)
{
    if (sp->cell != 0)
        return sp->tag | cell_entry(sp->cell);
    return sp->tag | (uint64_t)sp->self << 32 | (uint64_t)units_to_end << 58;
}

void ph_map_fill(struct span *sp)
{
    for (unsigned i = 0; i < sp->units; i++)
        map_set(sp->start + i, map_entry(sp, (unsigned)sp->units - i));
}

void ph_map_ends(struct span *sp)
{
    map_set(sp->start, map_entry(sp, 0));
    map_set(sp->start + sp->units - 1, map_entry(sp, 0));
}

void ph_map_first(struct span *sp) { map_set(sp->start, map_entry(sp, 0)); }

void ph_map_clear(const struct span *sp)
{
    for (unsigned i = 0; i < sp->units; i++)
        map_set(sp->start + i, 0);
}

/* Stores of zero, eight bytes at a time: whoever reads meanwhile sees an entry whole. */
void ph_map_clear_range(const void *base, uint32_t units)
{
    uintptr_t unit = (uintptr_t)base >> UNIT_BITS;
    while (units > 0) {
        uint64_t *leaf = ph_map_root[unit / LEAF_ENTRIES];
        const uint32_t here = LEAF_ENTRIES - unit % LEAF_ENTRIES < units ? LEAF_ENTRIES - (uint32_t)(unit % LEAF_ENTRIES) : units;
        __builtin_memset(&leaf[unit % LEAF_ENTRIES], 0, (size_t)here * sizeof *leaf);
        unit += here;
        units -= here;
    }
}

void ph_map_clear_inner(const struct span *sp)
{
    for (unsigned i = 1; i < sp->units; i++)
        map_set(sp->start + i, 0);
}

bool ph_map_is_clear(const void *base, uint32_t units)
{
    uintptr_t unit = (uintptr_t)base >> UNIT_BITS;
    const uintptr_t end = unit + units;
    while (unit < end && map_get(ph_unit_address(unit)) == 0)
        unit++;
    return unit == end;
}

/* A page has entries in all its units, a run or a free span in its first and last, a large block in one. */
bool ph_map_names(const struct span *sp)
{
    const unsigned kind = entry_kind(sp->tag);
    const bool is_page = kind < KIND_RUN;
    for (uint32_t i = 0; is_page && i < sp->units; i++)
        if (map_get(ph_unit_address(sp->start + i)) != map_entry(sp, (unsigned)sp->units - i))
            return false;
    if (is_page)
        return true;
    const uint64_t entry = map_entry(sp, 0);
    if (kind == KIND_LARGE || sp->units == 1)
        return map_get(ph_span_start(sp)) == entry;
    return map_get(ph_span_start(sp)) == entry && map_get(ph_unit_address(sp->start + sp->units - 1)) == entry &&
           ph_map_is_clear(ph_unit_address(sp->start + 1), (uint32_t)sp->units - 2);
}

/* Only what both say alike is followed: either may be damaged. */
UNSEEN_SHARED struct span *ph_map_span(uint64_t entry)
{
    const unsigned kind = entry_kind(entry);
    uint32_t index = entry >> 32 & 0x3ffffff;
    if (kind == KIND_NONE || kind > KIND_FREE)
        return NULL;
    if (kind_is_sized(kind) && kind < KIND_RUN) {
        if (ph_span_known(entry_cell_number(entry)) == NULL || (entry >> 32 & ((1u << CELL_BITS) - 1)) != 0)
            return NULL;
        index = entry_cell(entry)->span;
    }
    struct span *sp = ph_span_known(index);
    return sp != NULL && sp->self == index && sp->tag == (uint32_t)entry ? sp : NULL;
}

void ph_map_clear_first(const struct span *sp) { map_set(sp->start, 0); }
void ph_map_clear_last(const struct span *sp)
{
    if (sp->units > 1)
        map_set(sp->start + sp->units - 1, 0);
}

void ph_map_clear_ends(const struct span *sp)
{
    ph_map_clear_first(sp);
    ph_map_clear_last(sp);
}

/* ---- owners ------------------------------------------------------------------------------------ */

static uint16_t *owner_place(uintptr_t granule)
{
    uint64_t *leaf = __atomic_load_n(&ph_map_root[granule / OWNERS], __ATOMIC_ACQUIRE);
    return leaf != NULL ? (uint16_t *)(void *)(leaf + LEAF_ENTRIES) + granule % OWNERS : NULL;
}

/* A range that was prepared belongs to that heap now.  False: no memory. */
bool ph_map_own(const void *base, size_t bytes, uint32_t heap)
{
    static uintptr_t writable = UINTPTR_MAX; /* the newest leaf known to be; map lock */
    const uintptr_t first = (uintptr_t)base >> 16, last = ((uintptr_t)base + bytes - 1) >> 16;
    bool all = true;
    ph_lock_take(&map_lock);
    for (uintptr_t slot = first / OWNERS; all && slot <= last / OWNERS; slot++) {
        if (slot == writable)
            continue;
        all = ph_os_commit(ph_map_root[slot] + LEAF_ENTRIES, owners_bytes(), false) == 0;
        writable = all ? slot : writable;
    }
    for (uintptr_t granule = first; all && granule <= last; granule++)
        __atomic_store_n(owner_place(granule), (uint16_t)heap, __ATOMIC_RELEASE);
    ph_lock_give(&map_lock);
    return all;
}

/* It belongs to none.  Cannot fail: an owner stands only where writing was allowed once. */
void ph_map_disown(const void *base, size_t bytes)
{
    const uintptr_t first = (uintptr_t)base >> 16, last = ((uintptr_t)base + bytes - 1) >> 16;
    ph_lock_take(&map_lock);
    for (uintptr_t granule = first; granule <= last; granule++)
        if (__atomic_load_n(owner_place(granule), __ATOMIC_RELAXED) != 0)
            __atomic_store_n(owner_place(granule), 0, __ATOMIC_RELEASE);
    ph_lock_give(&map_lock);
}

/* The number of the heap whose region an address lies in; 0: none, or the process heap's. */
uint32_t ph_map_owner(const void *at)
{
    const uintptr_t address = (uintptr_t)at;
    if (address >> MAP_LEAF_BITS >= MAP_ROOT_SLOTS)
        return 0;
    const uint16_t *place = owner_place(address >> 16);
    return place != NULL ? __atomic_load_n(place, __ATOMIC_ACQUIRE) : 0;
}
