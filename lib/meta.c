/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* meta.c -- memory for descriptors: cells found by number, never unmapped.
 *
 * Owns:    struct pool; the table of chunks; the ranges that descriptors live in.
 * Calls:   os.c.
 * Locks:   a lock for each pool, then `meta_lock` for the ranges; leaf, nothing below.
 * Always:  a cell is reused by its own pool only, so a stale number still finds a cell of that
 *          kind; number 0 is never given.
 * Why:     far from blocks, so that a program that writes past its blocks never reaches them.  One
 *          table for all pools, so that a number is an address after one load. */
#include "internal.h"

#include "small.h"

enum { META_MOST_BYTES = 8 * 1024 * 1024 };

char *ph_cell_chunk[CELL_CHUNKS] __attribute__((common)); /* as ph_map_root is */
static uint32_t chunks_made; /* meta_lock */

#define POOL(bytes) {.cells = (bytes) >> CELL_BITS}
struct pool ph_pool_spans = POOL(64);
static struct pool pools[POOL_COUNT] = {
    POOL(64), POOL(128), POOL(192), POOL(256), POOL(384), POOL(576),
    POOL(768), POOL(1024), POOL(1536), POOL(2048), POOL(3072), POOL(4096),
};

static ph_lock meta_lock;
static char *meta_at, *meta_end;

/* The first range is part of the object: a small process maps nothing for descriptors.  Common as
 * ph_map_root is. */
char ph_meta_first[META_FIRST_BYTES] __attribute__((common, aligned(64)));
static size_t meta_next_bytes;

/* A range that grows each time, so that mappings stay few.  Held: meta_lock. */
static bool meta_refill(size_t bytes)
{
    if (meta_next_bytes == 0) {
        meta_next_bytes = META_FIRST_BYTES;
        meta_at = ph_meta_first;
        meta_end = ph_meta_first + sizeof ph_meta_first;
        if (bytes <= sizeof ph_meta_first)
            return true;
    }
    const size_t least = ph_round_up(bytes, HEAP_ALIGN); /* whole OS pages everywhere */
    size_t want = meta_next_bytes > least ? meta_next_bytes : least;
    char *got = ph_os_map(want, UNIT_BYTES);
    if (got == NULL && want > least)
        got = ph_os_map(want = least, UNIT_BYTES);
    if (got == NULL)
        return false;
    if (meta_next_bytes < META_MOST_BYTES)
        meta_next_bytes *= 2;
    meta_at = got;
    meta_end = got + want;
    return true;
}

/* Held: meta_lock. */
static void *meta_take_locked(size_t bytes)
{
    void *got = NULL;
    if ((size_t)(meta_end - meta_at) >= bytes || (meta_refill(bytes) && (size_t)(meta_end - meta_at) >= bytes)) {
        got = meta_at;
        meta_at += bytes;
    }
    return got;
}

void *ph_meta_take(size_t bytes)
{
    ph_lock_take(&meta_lock);
    void *got = meta_take_locked((bytes + 63) & ~(size_t)63);
    ph_lock_give(&meta_lock);
    return got;
}

/* ---- cells --------------------------------------------------------------------------------------- */

/* A new chunk for one pool.  Held: the pool's lock. */
static bool pool_refill(struct pool *po)
{
    ph_lock_take(&meta_lock);
    char *got = chunks_made < CELL_CHUNKS ? meta_take_locked(CELL_CHUNK_BYTES) : NULL;
    if (got != NULL) {
        const uint32_t chunk = chunks_made;
        __atomic_store_n(&chunks_made, chunk + 1, __ATOMIC_RELAXED);
        __atomic_store_n(&ph_cell_chunk[chunk], got, __ATOMIC_RELEASE);
        po->next = chunk << CELLS_LOG;
        po->end = (chunk + 1) << CELLS_LOG;
        if (chunk == 0)
            po->next += po->cells;
    }
    ph_lock_give(&meta_lock);
    return got != NULL;
}

uint32_t ph_pool_take(struct pool *po)
{
    ph_lock_take(&po->lock);
    uint32_t cell = po->free;
    if (cell != 0) {
        po->free = *(uint32_t *)ph_cell_at(cell);
    } else if (po->next + po->cells <= po->end || pool_refill(po)) {
        cell = po->next;
        po->next += po->cells;
    }
    ph_lock_give(&po->lock);
    return cell;
}

void ph_pool_give(struct pool *po, uint32_t cell)
{
    ph_lock_take(&po->lock);
    *(uint32_t *)ph_cell_at(cell) = po->free;
    po->free = cell;
    ph_lock_give(&po->lock);
}

/* `count` cells that are linked already, by their first words, from `first` to `last`. */
void ph_pool_give_row(struct pool *po, uint32_t first, uint32_t last)
{
    ph_lock_take(&po->lock);
    *(uint32_t *)ph_cell_at(last) = po->free;
    po->free = first;
    ph_lock_give(&po->lock);
}

struct pool *ph_pool_number(unsigned number) { return &pools[number]; }

struct pool *ph_pool_of(size_t bytes)
{
    for (struct pool *po = pools; po < pools + POOL_COUNT; po++)
        if (bytes <= (size_t)po->cells << CELL_BITS)
            return po;
    return NULL;
}

/* ---- descriptors of spans ---------------------------------------------------------------------- */

struct span *ph_span_new(void)
{
    const uint32_t cell = ph_pool_take(&ph_pool_spans);
    if (cell == SPAN_NONE)
        return NULL;
    struct span *sp = ph_span_at(cell);
    *sp = (struct span){.self = cell};
    return sp;
}

uint32_t ph_span_limit(void) { return __atomic_load_n(&chunks_made, __ATOMIC_RELAXED) << CELLS_LOG; }

struct span *ph_span_known(uint32_t index)
{
    return index != SPAN_NONE && index < ph_span_limit() && ph_cell_chunk[index >> CELLS_LOG] != NULL ? ph_span_at(index) : NULL;
}

void ph_span_drop(struct span *sp) { ph_pool_give(&ph_pool_spans, sp->self); }

void ph_meta_fork_lock(void)
{
    ph_lock_fork_take(&ph_pool_spans.lock);
    for (unsigned i = 0; i < POOL_COUNT; i++)
        ph_lock_fork_take(&pools[i].lock);
    ph_lock_fork_take(&meta_lock);
}

void ph_meta_fork_unlock(void)
{
    ph_lock_fork_give(&meta_lock);
    for (unsigned i = POOL_COUNT; i-- > 0;)
        ph_lock_fork_give(&pools[i].lock);
    ph_lock_fork_give(&ph_pool_spans.lock);
}
