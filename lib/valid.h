/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* valid.h -- what makes damage visible: seals of fields that rarely change.
 *
 * A seal is a sum of words of which each bit counts: a flip of any one bit, in them or in the seal
 * itself, makes the two differ.  Whoever changes a sealed field renews the seal, under the same lock.  So a
 * pointer is known to be good before it is followed, by one comparison. */
#ifndef PH_VALID_H
#define PH_VALID_H

#include "internal.h"

static inline uint64_t seal_mix(uint64_t seal, uint64_t word) { return (seal << 9 | seal >> 55) ^ word; }
static inline uint64_t seal_two(uint64_t seal, uint32_t high, uint32_t low) { return seal_mix(seal, (uint64_t)high << 32 | low); }
static inline uint32_t seal_half(uint64_t seal) { return (uint32_t)(seal ^ seal >> 32); }

/* One of the two values that no flip of one bit turns into the other. */
static inline bool flag_is_good(uint32_t flag) { return flag == 0 || flag == FLAG_SET; }

/* ---- heaps -------------------------------------------------------------------------------------- */

/* What stays as it is while the heap lives. */
static inline uint64_t heap_seal(const struct heap *hp, const char *handle)
{
    uint64_t seal = seal_mix(ph_secret, (uintptr_t)handle);
    seal = seal_two(seal, hp->id, hp->tag);
    seal = seal_two(seal, hp->flags, hp->bound_units);
    seal = seal_two(seal, hp->debug, hp->packed_only);
    return seal_mix(seal, hp->hard);
}

/* Held: the span lock. */
static inline uint64_t regions_seal(const struct heap *hp)
{
    uint64_t seal = seal_mix(ph_secret, (uintptr_t)hp->regions);
    seal = seal_mix(seal, (uintptr_t)hp->last_region);
    seal = seal_mix(seal, (uintptr_t)hp->shard);
    return seal_mix(seal, hp->reserved_units);
}

/* Held: the gate lock. */
static inline uint64_t locals_seal(const struct heap *hp)
{
    return seal_mix(seal_mix(ph_secret, (uintptr_t)hp->locals), hp->local_count);
}

/* 0 without a name. */
static inline uint64_t name_seal(const struct heap *hp)
{
    uint64_t seal = 0, word;
    for (unsigned i = 0; i < HEAP_NAME_BYTES; i += sizeof word) {
        __builtin_memcpy(&word, hp->name + i, sizeof word);
        seal = seal_mix(seal, word);
    }
    return seal;
}

/* Who has the heap locked; 0 while nobody has.  Held: the gate lock. */
static inline uint64_t owner_seal(const struct gate *gt) { return seal_mix((uintptr_t)gt->owner, gt->depth); }

/* Held: the gate lock. */
static inline uint32_t local_seal(const struct local *lo)
{
    uint64_t seal = seal_mix(ph_secret, (uintptr_t)lo->heap);
    seal = seal_mix(seal, (uintptr_t)lo->owner);
    seal = seal_mix(seal, (uintptr_t)lo->next);
    return seal_half(seal_two(seal, lo->state, lo->stride));
}

/* ---- regions and spans ---------------------------------------------------------------------------- */

/* Held: the span lock. */
static inline uint64_t region_seal(const struct region *rg)
{
    uint64_t seal = seal_mix(ph_secret, (uintptr_t)rg->base);
    seal = seal_two(seal, rg->units, rg->committed);
    seal = seal_two(seal, rg->top, rg->first);
    seal = seal_mix(seal, (uintptr_t)rg->packed);
    seal = seal_mix(seal, (uintptr_t)rg->next);
    return seal_two(seal, rg->index, rg->dirty);
}

/* Held: the gate lock. */
static inline uint64_t packed_seal(const struct packed *pk)
{
    uint64_t seal = seal_mix(ph_secret, (uintptr_t)pk->shadow);
    seal = seal_mix(seal, pk->granules);
    seal = seal_mix(seal, pk->shadowed);
    seal = seal_two(seal, pk->cell, pk->self);
    seal = seal_mix(seal, (uintptr_t)pk->grouped);
    seal = seal_mix(seal, pk->mapped_bytes);
    return seal_mix(seal, pk->card_bits);
}

/* Of a run, a large block or a free span: all that neither its entries nor a list can tell. */
static inline uint32_t span_seal(const struct span *sp)
{
    uint64_t seal = seal_mix(ph_secret, sp->wanted);
    seal = seal_mix(seal, sp->mapped_bytes);
    seal = seal_two(seal, sp->dirty_first, sp->dirty_count);
    seal = seal_two(seal, sp->freed_ms, sp->free_count); /* without carved, which has two values: see runs.c */
    return seal_half(seal) ^ ((uint32_t)sp->nought << 13 | (uint32_t)sp->fenced << 14 | (uint32_t)sp->odd << 12 | (uint32_t)sp->none << 11 | (uint32_t)sp->capacity << 2 |
                              (uint32_t)sp->listed << 1 | (uint32_t)sp->sized);
}

/* What was asked for.  Every block that is given has one, and fork finds it whole but for these stores. */
static inline void span_want(struct span *sp, size_t wanted, bool sized)
{
    sp->wanted = wanted;
    sp->sized = sized;
    sp->seal = span_seal(sp);
}

/* The same where the seal is known to be good, or what is wrong with it must stay to be seen: only what changes is
 * changed in it.  A sum of shifted words, so that each can be taken out again. */
static inline void span_want_anew(struct span *sp, size_t wanted, bool sized)
{
    const uint64_t change = (uint64_t)(sp->wanted ^ wanted);
    sp->seal ^= seal_half(change << 27 | change >> 37) ^ (uint32_t)(sp->sized ^ sized);
    sp->wanted = wanted;
    sp->sized = sized;
}

/* Plain pages: nothing else would tell how many were carved. */
static inline void page_carved_set(struct span *pg, unsigned carved)
{
    __atomic_store_n(&pg->carved, (uint16_t)carved, __ATOMIC_RELAXED);
    pg->odd = (unsigned)__builtin_parity(carved) & 1;
}

/* ---- who checks what -------------------------------------------------------------------------------- */

/* Summed up over a heap's spans. */
struct tally {
    uint64_t live_units, dirty_units;
    uint64_t guards;  /* between spans */
    uint64_t kept;    /* runs that some thread keeps */
    uint64_t missing; /* blocks of sized pages that are neither live nor free: in somebody's stacks */
    uint32_t units[2 * CLASS_COUNT]; /* of pages, by kind - KIND_PLAIN */
};

bool ph_map_is_clear(const void *base, uint32_t units);  /* map.c: no entry says anything */
bool ph_map_names(const struct span *sp);                /* all entries of its units are right */
bool ph_region_is_valid(const struct heap *hp, const struct region *rg);
bool ph_packed_is_sound(const struct region *rg);        /* its bounds and pointers */
enum { SPAN_SPARES = 32 };                               /* descriptors that a heap keeps at hand */
enum { SPAN_EXACT_BINS = 32 };
static inline unsigned span_bin(uint32_t units)
{
    if (units <= SPAN_EXACT_BINS)
        return units - 1;
    const unsigned log = 31 - (unsigned)__builtin_clz(units);
    const unsigned bin = SPAN_EXACT_BINS + (log - 5) * 4 + (units >> (log - 2) & 3);
    return bin < BIN_COUNT ? bin : BIN_COUNT - 1;
}
/* Units that were used before leave a free span: it is as well that they were here.  Held: the span lock. */
static inline void purge_came_back(struct heap *hp, const struct span *sp, uint32_t units)
{
    enum { MOST = 4 * DIRTY_UNITS };
    if (units > RUN_KEEP_UNITS && sp->state != SPAN_VIRGIN)
        hp->long_credit = hp->long_credit + 2 * units < MOST ? hp->long_credit + 2 * units : MOST;
}
bool ph_span_bins_are_valid(const struct heap *hp);      /* the links of each free span: ph_span_is_valid */
bool ph_span_spares_are_valid(const struct heap *hp);
bool ph_page_is_sound(const struct span *pg);            /* nothing of it leads out of bounds */
bool ph_page_count(const struct span *pg, uint64_t *missing); /* valid; and how many blocks are in stacks */
bool ph_gate_is_valid(const struct gate *gt);

/* valid.c: close the gate, unless the way there is damaged; true: so are neither regions nor locals.  The
 * caller opens it in either case. */
bool ph_valid_close(struct heap *hp, enum enter enter);
struct stacked {
    uint64_t runs;       /* free ones that threads keep */
    uint64_t all, sized; /* blocks in all stacks; in those of sized locals */
    bool uncertain;      /* a vanished thread left some */
};
bool ph_valid_stacks(const struct heap *hp, struct stacked *out); /* of a closed heap */

#endif
