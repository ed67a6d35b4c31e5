/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* harden.h -- the bytes of a hard heap's blocks, as late.c and harden.c read and write them.
 *
 * A tail is a word of the block's own, again and again; no byte of it is 0, the commonest byte to be
 * written there.  Its first byte may say which family gave the block. */
#ifndef PH_HARDEN_H
#define PH_HARDEN_H

#include "hot.h"
#include "options.h"

enum {
    PAD_SECURE = 1, /* sizes that are multiples of 8 have 8 */
    PAD_TOLERANT = 32,
    TAIL_WHOLE = 80, /* so much slack is all tail; more: */
    TAIL_FIRST = 64, /* the first bytes of it, and */
    TAIL_LAST = 16,  /* the last, where what lies before the next block was written */
    RUN_CHECKED_BYTES = 65536, /* of one that was used before */
    SUMMED_BYTES = 4096,
};

static inline size_t hard_pad(const struct heap *hp)
{
    return hp->hard == MODE_DEFAULT ? 0 : hp->hard == MODE_SECURE ? PAD_SECURE : PAD_TOLERANT;
}

/* ---- tails ------------------------------------------------------------------------------------ */

static inline uint64_t tail_word(const void *block)
{
    return (ph_secret ^ (uintptr_t)block) * HASHKEY | 0x0101010101010101;
}

static inline uint64_t tail_family(uint64_t word, enum family family) { return word ^ (uint64_t)family << 1; }

static inline void tail_write(char *at, size_t bytes, uint64_t word)
{
    for (; bytes >= sizeof word; bytes -= sizeof word, at += sizeof word)
        __builtin_memcpy(at, &word, sizeof word);
    for (; bytes > 0; bytes--, word >>= 8)
        *at++ = (char)word;
}

static inline bool tail_reads(const char *at, size_t bytes, uint64_t word, uint64_t first_word)
{
    uint64_t seen, differs = 0;
    for (; bytes >= sizeof word; bytes -= sizeof word, at += sizeof word, first_word = word) {
        __builtin_memcpy(&seen, at, sizeof seen);
        differs |= seen ^ first_word;
    }
    for (word = first_word; bytes > 0; bytes--, word >>= 8)
        differs |= (uint8_t)((uint8_t)*at++ ^ (uint8_t)word);
    return differs == 0;
}

static inline size_t tail_slack(const struct hard_block *hb) { return hb->capacity - hb->wanted; }

/* Bytes of slack that a tail covers.  Only pages know where the next block begins. */
static inline size_t tail_first(const struct hard_block *hb)
{
    const size_t slack = tail_slack(hb);
    return slack <= (hb->class == CLASS_COUNT ? TAIL_FIRST : TAIL_WHOLE) ? slack : TAIL_FIRST;
}

static inline size_t tail_last(const struct hard_block *hb)
{
    return unlikely(tail_slack(hb) > TAIL_WHOLE) && hb->class != CLASS_COUNT ? TAIL_LAST : 0;
}

static inline void tail_set(const struct hard_block *hb, enum family family)
{
    const uint64_t word = tail_word(hb->block);
    const size_t first = tail_first(hb), last = tail_last(hb);
    if (unlikely(hb->head != 0))
        tail_write(hb->block - hb->head, hb->head, word);
    tail_write(hb->block + hb->wanted, first, word);
    if (unlikely(family != FAMILY_ANY) && first > 0)
        hb->block[hb->wanted] = (char)tail_family(word, family);
    if (unlikely(last != 0))
        tail_write(hb->block + hb->capacity - last, last, word);
}

/* Nobody wrote there, and it is of that family. */
static inline bool tail_stands(const struct hard_block *hb, enum family family)
{
    const uint64_t word = tail_word(hb->block);
    const size_t last = tail_last(hb);
    return tail_reads(hb->block + hb->wanted, tail_first(hb), word, tail_family(word, family)) &&
           (likely(last == 0) || tail_reads(hb->block + hb->capacity - last, last, word, word)) &&
           (likely(hb->head == 0) || tail_reads(hb->block - hb->head, hb->head, word, word));
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

typedef uint64_t hard_pair __attribute__((vector_size(16), may_alias));

/* `bytes` are a multiple of 16. */
static inline bool hard_is_zero(char *block, size_t bytes)
{
    const hard_pair *at = (const hard_pair *)(void *)block, *end = at + bytes / sizeof *at;
    hard_pair seen = {0, 0};
    hard_touch_all(block, bytes);
    for (; at < end; at++)
        seen |= *at;
    return (seen[0] | seen[1]) == 0;
}

static inline void hard_clear(char *block, size_t bytes)
{
    enum { INLINE_BYTES = 256 };
    if (unlikely(bytes > INLINE_BYTES)) {
        ph_bytes_zero(block, bytes);
        return;
    }
    for (hard_pair *at = (hard_pair *)(void *)block, *end = at + bytes / sizeof *at; at < end; at++)
        *at = (hard_pair){0, 0};
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
