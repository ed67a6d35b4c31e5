/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* take.h -- malloc and free in the usual case, for each name that they have in C and C++. */
#ifndef PH_PRELOAD_TAKE_H
#define PH_PRELOAD_TAKE_H

#include "../lib/hot.h"
#include "family.h"

/* The stack is empty, the heap is stopped or hard, this thread is new: in the order of how often. */
void *ph_malloc_refill(struct local *lo, unsigned class, size_t bytes, enum family family);
void *ph_malloc_bigger(size_t bytes, enum family family);
void ph_free_slow(struct local *lo, void *block, enum family family, size_t bytes); /* bytes: SIZE_MAX, not said */

static inline void *malloc_as(size_t bytes, enum family family)
{
    if (unlikely(bytes > SMALL_BYTES))
        return ph_malloc_bigger(bytes, family);
    struct local *lo = ph_local;
    const unsigned class = ph_class_small[(bytes + 15) >> 4];
    void *block = local_take(lo, class);
    return likely(block != NULL) ? block : ph_malloc_refill(lo, class, bytes, family);
}

/* The class of a live plain block that this thread could free at once, by free's own proof, and its key says that it is
 * live; CLASS_COUNT: anything else.  Nothing changes, so the local need not be busy: the block is the caller's, and
 * its page with it. */
static inline unsigned plain_class(const struct local *lo, void *block)
{
    const uint64_t entry = map_get(block);
    const uint32_t class = (uint32_t)entry - __atomic_load_n(&lo->tag, __ATOMIC_RELAXED);
    if (unlikely(class >= CLASS_COUNT))
        return CLASS_COUNT;
    const uint64_t magic = ph_class_magic[class];
    if (unlikely(entry_distance(entry, block) * magic >= magic))
        return CLASS_COUNT;
    const uint64_t difference = *block_key(block) ^ block_key_value(block);
    return likely(difference + 1 > 1) ? class : CLASS_COUNT; /* in some stack, or by its complement in its page */
}

static inline void free_as(void *block, enum family family, size_t bytes)
{
    struct local *lo = ph_local;
    if (unlikely(!local_give(lo, block)))
        ph_free_slow(lo, block, family, bytes);
}

#endif
