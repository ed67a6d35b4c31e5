/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* meta.c -- memory for descriptors: cells of one size, found by number, never unmapped.
 *
 * Owns:    struct pool; the ranges that descriptors live in.
 * Calls:   os.c.
 * Locks:   a lock for each pool, then `meta_lock` for the ranges; leaf, nothing below.
 * Always:  a cell is reused by its own pool only, so a stale number still finds a cell of that
 *          kind; number 0 is never given.
 * Why:     far from blocks, so that a program that writes past its blocks never reaches them. */
#include "internal.h"

#include "small.h"

enum { META_MOST_BYTES = 8 * 1024 * 1024, FIRST_CHUNKS = 8, MOST_CHUNKS = 65536 };

static char *span_chunks[FIRST_CHUNKS];
static char *size_chunks[FIRST_CHUNKS];

struct pool ph_pool_spans = {.cell_bits = 6, .chunk = span_chunks, .chunk_room = FIRST_CHUNKS};
struct pool ph_pool_sizes = {.cell_bits = 8, .chunk = size_chunks, .chunk_room = FIRST_CHUNKS};

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
    size_t want = meta_next_bytes > bytes ? meta_next_bytes : bytes;
    char *got = ph_os_map(want, UNIT_BYTES);
    if (got == NULL && want > bytes)
        got = ph_os_map(want = (bytes + 0xffff) & ~(size_t)0xffff, UNIT_BYTES);
    if (got == NULL)
        return false;
    if (meta_next_bytes < META_MOST_BYTES)
        meta_next_bytes *= 2;
    meta_at = got;
    meta_end = got + want;
    return true;
}

void *ph_meta_take(size_t bytes)
{
    bytes = (bytes + 63) & ~(size_t)63;
    ph_lock_take(&meta_lock);
    void *got = NULL;
    if ((size_t)(meta_end - meta_at) >= bytes || (meta_refill(bytes) && (size_t)(meta_end - meta_at) >= bytes)) {
        got = meta_at;
        meta_at += bytes;
    }
    ph_lock_give(&meta_lock);
    return got;
}

/* A table four times as large; readers without the lock may still use the old one, which stays. */
static bool pool_widen(struct pool *po)
{
    const uint32_t room = po->chunk_room * 4;
    char **table = room <= MOST_CHUNKS ? ph_meta_take(room * sizeof *table) : NULL;
    if (table == NULL)
        return false;
    for (uint32_t i = 0; i < po->chunk_room; i++)
        table[i] = po->chunk[i];
    __atomic_store_n(&po->chunk, table, __ATOMIC_RELEASE);
    po->chunk_room = room;
    return true;
}

/* Chunk number `chunk` exists when this says true. */
static bool pool_has_chunk(struct pool *po, uint32_t chunk)
{
    if (chunk >= po->chunk_room && !pool_widen(po))
        return false;
    if (po->chunk[chunk] == NULL)
        __atomic_store_n(&po->chunk[chunk], ph_meta_take(POOL_CHUNK_BYTES), __ATOMIC_RELEASE);
    return po->chunk[chunk] != NULL;
}

uint32_t ph_pool_take(struct pool *po)
{
    const uint32_t bits = POOL_CHUNK_BITS - po->cell_bits;
    ph_lock_take(&po->lock);
    uint32_t cell = po->free;
    if (cell != 0) {
        po->free = *(uint32_t *)ph_pool_at(po, cell);
        ph_lock_give(&po->lock);
        return cell;
    }
    if (po->used == 0)
        po->used = 1;
    cell = po->used;
    if (pool_has_chunk(po, cell >> bits))
        po->used++;
    else
        cell = 0;
    ph_lock_give(&po->lock);
    return cell;
}

void ph_pool_give(struct pool *po, uint32_t cell)
{
    ph_lock_take(&po->lock);
    *(uint32_t *)ph_pool_at(po, cell) = po->free;
    po->free = cell;
    ph_lock_give(&po->lock);
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

void ph_span_drop(struct span *sp) { ph_pool_give(&ph_pool_spans, sp->self); }

void ph_meta_fork_lock(void)
{
    ph_lock_fork_take(&ph_pool_spans.lock);
    ph_lock_fork_take(&ph_pool_sizes.lock);
    ph_lock_fork_take(&meta_lock);
}

void ph_meta_fork_unlock(void)
{
    ph_lock_fork_give(&meta_lock);
    ph_lock_fork_give(&ph_pool_sizes.lock);
    ph_lock_fork_give(&ph_pool_spans.lock);
}
