/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* trace.c -- call stacks by number: each is kept once, for as long as the process lives.
 *
 * Owns:    one mapping, made when the first stack comes: tables of cells, and behind them the stacks, packed.
 * Calls:   os.c.
 * Locks:   none.  A stack is written first, and found from when its cell is set: by one comparison and exchange.  Two
 *          threads with the same stack want the same cell, and the second finds what the first put there.
 * Always:  a cell that was set stays as it is; a stack lies in the first free cell that its hash led to.
 * Why:     a block of the page heap remembers who took it and who freed it in 4 bytes each.  The tables grow by eight,
 *          not by copying: a process of few stacks touches the first, of 32 KB, and one of a million finds nearly
 *          all in the last.  A number is a place, so that nothing lies between it and its stack. */
#include "internal.h"
#include "trace.h"

enum {
    TABLES = 4,
    FIRST_LOG = 12,       /* cells of the first */
    LINE = 8,             /* cells of a cache line: a stack may lie in any of one line of each table, */
    LAST_LINES = 8,       /* and of so many of the last */
    CELL_ROOM = 72,       /* bytes of stacks for each cell of the last table: a million of 16 frames for two million */
    LIMIT_PART = 8,       /* of the address space that the process may have */
};

struct kept {
    uint32_t hash, depth;
    uintptr_t pc[];
};

/* The head of the mapping. */
static struct depot {
    uint64_t top;    /* words that were handed out, from the head on */
    uint64_t words;  /* in all */
    uint64_t tables; /* of cells, behind the head, the first first: a stack's number and hash; 0: free */
    uint64_t unused[5];
    uint64_t word[];
} *depot;
static_assert(sizeof(struct depot) == LINE * sizeof(uint64_t), "tables begin at a cache line");

static uint64_t hash_of(const uintptr_t *pc, unsigned depth)
{
    uint64_t even = depth, odd = 0; /* two, because each step waits for the one before */
    for (unsigned i = 0; i + 1 < depth; i += 2) {
        even = ((even ^ even >> 29) + pc[i]) * 0x9e3779b97f4a7c15u;
        odd = ((odd ^ odd >> 31) + pc[i + 1]) * 0xbf58476d1ce4e5b9u;
    }
    if (depth % 2 != 0)
        even = ((even ^ even >> 29) + pc[depth - 1]) * 0x9e3779b97f4a7c15u;
    const uint64_t both = (even ^ even >> 32 ^ odd << 7 ^ odd >> 25) * 0x94d049bb133111ebu;
    return both ^ both >> 31;
}

static size_t words_of(unsigned depth) { return sizeof(struct kept) / sizeof(uint64_t) + depth; }
static struct kept *kept_at(struct depot *de, uint64_t number) { return (struct kept *)(void *)(de->word + number); }

/* ---- memory --------------------------------------------------------------------------------- */

static inline size_t cells_before(unsigned table) { return (((1u << 3 * table) - 1) / 7) << FIRST_LOG; }

/* Where memory is short there are fewer tables, and less room with each. */
static struct depot *map_most(size_t *bytes)
{
    const size_t page = ph_os_page_bytes(), most = ph_os_space_limit() / LIMIT_PART;
    for (unsigned tables = TABLES; tables > 0; tables--) {
        const size_t cells = cells_before(tables), last = cells - cells_before(tables - 1);
        *bytes = (sizeof(struct depot) + cells * sizeof(uint64_t) + last * CELL_ROOM + page - 1) & ~(page - 1);
        struct depot *de = *bytes <= most ? ph_os_map(*bytes, page) : NULL;
        if (de == NULL)
            continue;
        ph_os_no_huge(de, *bytes);
        de->top = cells;
        de->words = (*bytes - sizeof *de) / sizeof(uint64_t);
        de->tables = tables;
        return de;
    }
    return NULL;
}

static COLD struct depot *depot_make(void)
{
    static struct depot refused; /* without a table: the system is not asked again */
    struct depot *none = NULL;
    size_t bytes = 0;
    struct depot *made = map_most(&bytes);
    if (__atomic_compare_exchange_n(&depot, &none, made != NULL ? made : &refused, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made != NULL ? made : &refused;
    if (made != NULL)
        ph_os_unmap(made, bytes); /* another thread was first */
    return none;
}

/* ---- one stack ------------------------------------------------------------------------------ */

/* 0: no room. */
static uint64_t keep(struct depot *de, const struct trace *tr, uint32_t hash)
{
    const size_t words = words_of(tr->depth);
    if (__atomic_load_n(&de->top, __ATOMIC_RELAXED) + words > de->words)
        return 0;
    const uint64_t number = __atomic_fetch_add(&de->top, words, __ATOMIC_RELAXED);
    if (number + words > de->words)
        return 0;
    struct kept *ke = kept_at(de, number);
    ke->hash = hash;
    ke->depth = tr->depth;
    for (unsigned i = 0; i < tr->depth; i++)
        ke->pc[i] = tr->pc[i];
    return number;
}

/* What was kept for a cell that another thread took; what nobody claimed behind it may have it again. */
static void unkeep(struct depot *de, uint64_t number, unsigned depth)
{
    uint64_t end = number + words_of(depth);
    (void)__atomic_compare_exchange_n(&de->top, &end, number, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static bool is_same(const struct kept *ke, const struct trace *tr)
{
    unsigned i = 0;
    while (i < tr->depth && ke->pc[i] == tr->pc[i])
        i++;
    return ke->depth == tr->depth && i == tr->depth;
}

/* Look for the stack in a row of cells, or take the first free one; false: neither.  *kept: where it was written, if it
 * was. */
static inline bool meet(struct depot *de, uint64_t *row, const struct trace *tr, uint32_t hash, uint64_t *kept, uint32_t *out)
{
    for (unsigned i = 0; i < LINE; i++) {
        uint64_t seen = __atomic_load_n(&row[i], __ATOMIC_ACQUIRE);
        if (seen == 0) {
            if (*kept == 0 && (*kept = keep(de, tr, hash)) == 0)
                return true;
            if (__atomic_compare_exchange_n(&row[i], &seen, (uint64_t)hash << 32 | *kept, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
                *out = (uint32_t)*kept;
                return true;
            }
        }
        if (seen >> 32 == hash && is_same(kept_at(de, (uint32_t)seen), tr)) {
            if (*kept != 0)
                unkeep(de, *kept, tr->depth);
            *out = (uint32_t)seen;
            return true;
        }
    }
    return false;
}

static inline uint64_t *row_of(struct depot *de, uint64_t hash, unsigned table, unsigned line)
{
    const size_t cells = (size_t)1 << (FIRST_LOG + 3 * table);
    return &de->word[cells_before(table) + (((hash >> 32) * (cells / LINE) >> 32) * LINE + line * LINE) % cells];
}

uint32_t ph_trace_intern(const struct trace *tr)
{
    struct depot *de = __atomic_load_n(&depot, __ATOMIC_ACQUIRE);
    if (tr->depth == 0 || tr->depth > TRACE_DEPTH)
        return 0;
    if (unlikely(de == NULL))
        de = depot_make();
    const uint64_t hash = hash_of(tr->pc, tr->depth);
    uint64_t kept = 0;
    uint32_t out = 0;
    __builtin_prefetch(row_of(de, hash, 1, 0)); /* with some 10,000 stacks and more it lies there or in the next; */
    __builtin_prefetch(row_of(de, hash, 2, 0)); /* nothing is read where there is none */
    for (unsigned table = 0; table < de->tables; table++) {
        const unsigned lines = table + 1 < de->tables ? 1 : LAST_LINES;
        for (unsigned i = 0; i < lines; i++)
            if (meet(de, row_of(de, hash, table, i), tr, (uint32_t)hash, &kept, &out))
                return out;
    }
    return 0;
}

bool ph_trace_get(uint32_t number, struct trace *out)
{
    struct depot *de = __atomic_load_n(&depot, __ATOMIC_ACQUIRE);
    if (de == NULL || number < cells_before((unsigned)de->tables) || number + words_of(1) > de->words ||
        number >= __atomic_load_n(&de->top, __ATOMIC_RELAXED))
        return false;
    const struct kept *ke = kept_at(de, number);
    if (ke->depth == 0 || ke->depth > TRACE_DEPTH || number + words_of(ke->depth) > de->words ||
        (uint32_t)hash_of(ke->pc, ke->depth) != ke->hash)
        return false;
    out->thread = 0;
    out->depth = (uint16_t)ke->depth;
    for (unsigned i = 0; i < ke->depth; i++)
        out->pc[i] = ke->pc[i];
    return true;
}
