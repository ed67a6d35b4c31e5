/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* harden.c -- secure and tolerant mode: what stands behind a block, and in free memory.
 *
 * Owns:    the bytes of a hard heap's blocks that nobody asked for.
 * Calls:   invariant.c to report.
 * Locks:   none; a block is its caller's until it is marked free.
 * Always:  the tail of a live block says that nobody wrote there.  Secure: a free block is all zero.
 * Why:     both modes keep the exact size of each block out of line, so that all slack can be a tail; zero
 *          is what tells nothing to whoever reads it, saves calloc's work, and is what new memory holds. */
#include "hot.h"
#include "options.h"

enum {
    PAD_SECURE = 8,
    PAD_TOLERANT = 64,
    TAIL_WHOLE = 80, /* so much slack is all tail; more: */
    TAIL_FIRST = 64, /* the first bytes of it, and */
    TAIL_LAST = 16,  /* the last, where what lies before the next block was written */
    CHECKED_BYTES = 65536, /* of a run that was used before */
};

size_t ph_hard_pad(const struct heap *hp)
{
    return hp->hard == MODE_DEFAULT ? 0 : hp->hard == MODE_SECURE ? PAD_SECURE : PAD_TOLERANT;
}

/* ---- tails ------------------------------------------------------------------------------------ */

/* No byte of it is 0: the commonest byte to be written there. */
static uint64_t tail_word(const void *block)
{
    return (ph_secret ^ (uintptr_t)block) * HASHKEY | 0x0101010101010101;
}

static void tail_write(char *at, size_t bytes, uint64_t word)
{
    for (; bytes >= sizeof word; bytes -= sizeof word, at += sizeof word)
        __builtin_memcpy(at, &word, sizeof word);
    for (; bytes > 0; bytes--, word >>= 8)
        *at++ = (char)word;
}

static bool tail_reads(const char *at, size_t bytes, uint64_t word)
{
    uint64_t seen, differs = 0;
    for (; bytes >= sizeof word; bytes -= sizeof word, at += sizeof word) {
        __builtin_memcpy(&seen, at, sizeof seen);
        differs |= seen ^ word;
    }
    for (; bytes > 0; bytes--, word >>= 8)
        differs |= (uint8_t)*at++ ^ (uint8_t)word;
    return differs == 0;
}

/* Bytes of slack that a tail covers.  Only pages know where the next block begins. */
static size_t tail_slack(const struct hard_block *hb) { return hb->capacity - hb->wanted; }
static size_t tail_first(const struct hard_block *hb)
{
    const size_t slack = tail_slack(hb);
    if (hb->class == CLASS_COUNT)
        return slack < TAIL_FIRST ? slack : TAIL_FIRST;
    return slack <= TAIL_WHOLE ? slack : TAIL_FIRST;
}
static size_t tail_last(const struct hard_block *hb)
{
    return hb->class != CLASS_COUNT && tail_slack(hb) > TAIL_WHOLE ? TAIL_LAST : 0;
}

/* The first byte of a tail says which family gave the block. */
static uint64_t tail_family(uint64_t word, enum family family) { return word ^ (family == FAMILY_ANY ? 0 : (uint64_t)family << 1); }

static void tail_set(const struct hard_block *hb, enum family family)
{
    const uint64_t word = tail_word(hb->block);
    const size_t first = tail_first(hb), last = tail_last(hb);
    tail_write(hb->block + hb->wanted, first, tail_family(word, family));
    tail_write(hb->block + hb->capacity - last, last, word);
}

enum family ph_hard_family(const struct hard_block *hb)
{
    const uint64_t word = tail_word(hb->block);
    const uint8_t stands = (uint8_t)hb->block[hb->wanted] ^ (uint8_t)word;
    return tail_slack(hb) == 0 || stands % 2 != 0 || stands >= FAMILY_COUNT << 1 ? FAMILY_ANY : (enum family)(stands >> 1);
}

enum hard_verdict ph_hard_look(const struct hard_block *hb)
{
    const uint64_t word = tail_word(hb->block);
    const size_t first = tail_first(hb), last = tail_last(hb);
    if (likely(tail_reads(hb->block + hb->wanted, first, tail_family(word, ph_hard_family(hb))) &&
               tail_reads(hb->block + hb->capacity - last, last, word)))
        return HARD_GOOD;
    /* what begins right behind the block is its overflow; else it may be the next block's underflow */
    const size_t near = first < sizeof word ? first : sizeof word;
    const bool intact = tail_reads(hb->block + hb->wanted, near, tail_family(word, ph_hard_family(hb)));
    return intact && hb->class != CLASS_COUNT && tail_slack(hb) > sizeof word ? HARD_UNDERFLOW : HARD_OVERFLOW;
}

/* ---- free memory ------------------------------------------------------------------------------ */

/* The exchange writes first, as it were: a page that was never touched is not mapped twice. */
static uint64_t touch(char *block, size_t bytes)
{
    uint64_t seen = 0;
    for (size_t at = -(uintptr_t)block % UNIT_BYTES; at < bytes; at += UNIT_BYTES)
        seen |= __atomic_exchange_n((uint64_t *)(void *)(block + at), 0, __ATOMIC_RELAXED);
    return seen;
}

bool ph_hard_is_zero(char *block, size_t bytes)
{
    const uint64_t *word = (const uint64_t *)(void *)block;
    uint64_t seen = bytes >= UNIT_BYTES ? touch(block, bytes) : 0;
    size_t words = bytes / sizeof *word;
    for (; words >= 4; words -= 4, word += 4)
        seen |= word[0] | word[1] | word[2] | word[3];
    for (; words > 0; words--)
        seen |= *word++;
    return seen == 0;
}

/* What changes when somebody writes to a freed block. */
uint64_t ph_hard_sum(const char *block, size_t bytes)
{
    enum { SUMMED_BYTES = 4096 };
    uint64_t sum = bytes, word;
    for (size_t at = 0; at + sizeof word <= bytes && at < SUMMED_BYTES; at += sizeof word) {
        __builtin_memcpy(&word, block + at, sizeof word);
        sum = (sum << 5 | sum >> 59) ^ word;
        sum *= HASHKEY;
    }
    return sum;
}

/* ---- a block comes and goes ------------------------------------------------------------------- */

/* *zero on entry: nobody ever wrote there; on return: it is zero. */
void ph_hard_taken(const struct heap *hp, const struct hard_block *hb, enum family family, bool *zero)
{
    const bool is_run = hb->class == CLASS_COUNT;
    const size_t checked = is_run && hb->capacity > CHECKED_BYTES ? CHECKED_BYTES : hb->capacity;
    if (hp->hard == MODE_SECURE && !(is_run && *zero)) {
        if (unlikely(!ph_hard_is_zero(hb->block, checked)))
            ph_corrupt("changed after free", hb->block, hb->wanted);
        *zero = checked == hb->capacity;
    }
    tail_set(hb, family);
}

void ph_hard_retail(const struct hard_block *hb, enum family family) { tail_set(hb, family); }

/* Where it stands: from the smaller size on there is nothing of it, but for what it grew by. */
void ph_hard_resized(const struct heap *hp, const struct hard_block *hb, size_t had, enum family family)
{
    const size_t from = had < hb->wanted ? had : hb->wanted, end = had + TAIL_WHOLE;
    if (hp->hard == MODE_SECURE && from < hb->capacity)
        ph_bytes_zero(hb->block + from, (end < hb->capacity ? end : hb->capacity) - from);
    tail_set(hb, family);
}

void ph_hard_report(const struct hard_block *hb, enum hard_verdict verdict)
{
    if (verdict == HARD_UNDERFLOW)
        ph_corrupt("bytes before the block were changed", hb->block + hb->capacity, SIZE_MAX);
    else if (verdict == HARD_OVERFLOW)
        ph_corrupt("bytes behind the block were changed", hb->block, hb->wanted);
}

/* Still its caller's. */
void ph_hard_released(const struct heap *hp, const struct hard_block *hb)
{
    const enum hard_verdict verdict = ph_hard_look(hb);
    if (unlikely(verdict != HARD_GOOD))
        ph_hard_report(hb, verdict);
    if (hp->hard == MODE_SECURE)
        ph_bytes_zero(hb->block, hb->class != CLASS_COUNT ? hb->capacity : hb->wanted + tail_first(hb));
}
