/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* harden.h -- the bytes of a hard heap's blocks, as late.c and harden.c read and write them.
 *
 * A tail is a word of the block's own, again and again from the block's start on, as far as nobody asked for the bytes;
 * no byte of it is 0, the commonest byte to be written there.  Its first byte may say which family gave the block. */
#ifndef PH_HARDEN_H
#define PH_HARDEN_H

#include "hot.h"
#include "options.h"

enum {
    PAD_SECURE = 1, /* sizes that are multiples of 8 have 8 */
    PAD_TOLERANT = 32,
    TAIL_WHOLE = 80, /* so much slack is all tail; more: */
    TAIL_FIRST = 64, /* no more than the first of it, and */
    TAIL_LAST = 16,  /* the last, where what lies before the next block was written */
    TOUCHED_BYTES = 512, /* smaller blocks of pages were touched when they came into their stack */
    RUN_CHECKED_BYTES = 65536, /* of one that was used before */
    SUMMED_BYTES = 4096,
};

static inline size_t hard_pad(const struct heap *hp)
{
    return hp->hard == MODE_DEFAULT ? 0 : hp->hard == MODE_SECURE ? PAD_SECURE : PAD_TOLERANT;
}

typedef uint64_t hard_pair __attribute__((vector_size(16), may_alias));
enum { PAIR_BYTES = sizeof(hard_pair) }; /* blocks stand at multiples of it, and it divides what they can hold */

static inline hard_pair *pair_at(char *block, size_t at) { return (hard_pair *)(void *)(block + at); }
static inline bool pair_is_zero(hard_pair seen) { return (seen[0] | seen[1]) == 0; }

/* ---- tails ------------------------------------------------------------------------------------ */

static inline uint64_t tail_word(const void *block)
{
    return (ph_secret ^ (uintptr_t)block) * HASHKEY | 0x0101010101010101;
}

/* All bits of a pair's bytes from that place on. */
static inline hard_pair tail_mask(size_t at)
{
    static const uint8_t edge[2 * PAIR_BYTES] = {[PAIR_BYTES] = 255, 255, 255, 255, 255, 255, 255, 255,
                                                 255, 255, 255, 255, 255, 255, 255, 255};
    hard_pair mask;
    __builtin_memcpy(&mask, edge + PAIR_BYTES - at % PAIR_BYTES, sizeof mask);
    return mask;
}

/* `from` is less than `end`, which is a multiple of PAIR_BYTES. */
static inline void tail_write(char *block, size_t from, size_t end, uint64_t word)
{
    const hard_pair whole = {word, word}, mask = tail_mask(from);
    size_t at = from & ~(size_t)(PAIR_BYTES - 1);
    *pair_at(block, at) = (*pair_at(block, at) & ~mask) | (whole & mask);
    while (unlikely((at += PAIR_BYTES) < end))
        *pair_at(block, at) = whole;
}

static inline bool tail_reads(char *block, size_t from, size_t end, uint64_t word)
{
    const hard_pair whole = {word, word};
    size_t at = from & ~(size_t)(PAIR_BYTES - 1);
    hard_pair differs = (*pair_at(block, at) ^ whole) & tail_mask(from);
    while (unlikely((at += PAIR_BYTES) < end))
        differs |= *pair_at(block, at) ^ whole;
    return pair_is_zero(differs);
}

static inline size_t tail_slack(const struct hard_block *hb) { return hb->capacity - hb->wanted; }

/* Where the first part of the tail ends; what is left of the slack has no more than a last part. */
static inline size_t tail_end(const struct hard_block *hb)
{
    const size_t most = hb->class == CLASS_COUNT ? TAIL_FIRST : TAIL_WHOLE;
    return tail_slack(hb) <= most ? hb->capacity : ph_round_up(hb->wanted, PAIR_BYTES) + TAIL_FIRST - PAIR_BYTES;
}

/* Of a page's block, with little slack and nobody who asks for families, or else. */
static inline void tail_set(const struct hard_block *hb, enum family family)
{
    if (likely(tail_slack(hb) <= TAIL_WHOLE && hb->class < CLASS_COUNT && family == FAMILY_ANY))
        tail_write(hb->block, hb->wanted, hb->capacity, tail_word(hb->block));
    else
        ph_hard_retail(hb, family);
}

/* Nobody wrote there, and it is of that family. */
static inline bool tail_stands(const struct hard_block *hb, enum family family)
{
    return likely(tail_slack(hb) <= TAIL_WHOLE && hb->class < CLASS_COUNT && family == FAMILY_ANY)
               ? tail_reads(hb->block, hb->wanted, hb->capacity, tail_word(hb->block))
               : ph_hard_stands(hb, family);
}

/* ---- free memory ------------------------------------------------------------------------------ */

/* Before it is read: memory that nobody touched would be mapped as a page of zeros first, and again when it is
 * written to.  What it holds stays. */
static inline void hard_touch(char *at)
{
#if defined(__x86_64__)
    __asm__ volatile("orq $0, %0" : "+m"(*(uint64_t *)(void *)at));
#else
    (void)__atomic_fetch_or((uint64_t *)(void *)at, 0, __ATOMIC_RELAXED);
#endif
}

static inline void hard_touch_all(char *block, size_t bytes)
{
    hard_touch(block);
    for (size_t at = -(uintptr_t)block % UNIT_BYTES; at < bytes; at += UNIT_BYTES)
        hard_touch(block + at);
}

/* Four pairs, each as far from the first as is said. */
static inline hard_pair pairs_seen(char *at, size_t second, size_t third, size_t last)
{
    return *pair_at(at, 0) | *pair_at(at, second) | *pair_at(at, third) | *pair_at(at, last);
}

static inline void pairs_clear(char *at, size_t second, size_t third, size_t last)
{
    *pair_at(at, 0) = *pair_at(at, second) = *pair_at(at, third) = *pair_at(at, last) = (hard_pair){0, 0};
}

/* Both: `bytes` are a multiple of PAIR_BYTES.  Most blocks are no larger than four pairs, and sizes are mixed: pairs that
 * lie over each other cost less than a loop whose end nobody foresees. */
enum { STEP_BYTES = 4 * PAIR_BYTES };

static inline bool hard_is_zero(char *block, size_t bytes)
{
    const size_t last = bytes - PAIR_BYTES;
    if (likely(bytes <= STEP_BYTES))
        return pair_is_zero(pairs_seen(block, last < 16 ? last : 16, last < 32 ? last : 32, last));
    hard_pair seen = pairs_seen(block + bytes - STEP_BYTES, 16, 32, 48);
    for (size_t at = 0; at < bytes - STEP_BYTES; at += STEP_BYTES)
        seen |= pairs_seen(block + at, 16, 32, 48);
    return pair_is_zero(seen);
}

static inline void hard_clear(char *block, size_t bytes)
{
    const size_t last = bytes - PAIR_BYTES;
    if (likely(bytes <= STEP_BYTES)) {
        pairs_clear(block, last < 16 ? last : 16, last < 32 ? last : 32, last);
        return;
    }
    for (size_t at = 0; at < bytes - STEP_BYTES; at += STEP_BYTES)
        pairs_clear(block + at, 16, 32, 48);
    pairs_clear(block + bytes - STEP_BYTES, 16, 32, 48);
}

/* What changes when somebody writes to a freed block. */
static inline uint64_t hard_sum(const char *block, size_t bytes)
{
    uint64_t sum = bytes, word;
    for (size_t at = 0; at + sizeof word <= bytes && at < SUMMED_BYTES; at += sizeof word) {
        __builtin_memcpy(&word, block + at, sizeof word);
        sum = ((sum << 5 | sum >> 59) ^ word) * HASHKEY;
    }
    return sum;
}

/* ---- a block is taken ------------------------------------------------------------------------- */

/* *zero on entry: nobody ever wrote there; on return: it is zero. */
static inline void hard_taken(const struct heap *hp, const struct hard_block *hb, enum family family, bool *zero)
{
    const bool is_run = hb->class == CLASS_COUNT;
    const size_t checked = is_run && hb->capacity > RUN_CHECKED_BYTES ? RUN_CHECKED_BYTES : hb->capacity;
    if (hp->hard == MODE_SECURE && !(is_run && *zero)) {
        if (unlikely(checked > TOUCHED_BYTES))
            hard_touch_all(hb->block, checked);
        if (unlikely(!hard_is_zero(hb->block, checked)))
            ph_hard_changed(hb);
        *zero = checked == hb->capacity;
    }
    tail_set(hb, family);
}

/* Where it stands: from the smaller size on there is nothing of it, but for what it grew by. */
static inline void hard_resized(const struct heap *hp, const struct hard_block *hb, size_t had, enum family family)
{
    const size_t from = had < hb->wanted ? had : hb->wanted, end = had + TAIL_WHOLE;
    if (hp->hard == MODE_SECURE && from < hb->capacity)
        ph_bytes_zero(hb->block + from, (end < hb->capacity ? end : hb->capacity) - from);
    tail_set(hb, family);
}

#endif
