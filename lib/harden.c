/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* harden.c -- secure and tolerant mode: what stands behind a block, and in free memory.
 *
 * Owns:    the bytes of a hard heap's blocks that nobody asked for.
 * Calls:   report.c.
 * Locks:   none; a block is its caller's until it is marked free.
 * Always:  the tail of a live block says that nobody wrote there.  Secure: a free block is all zero.
 * Why:     both modes keep the exact size of each block out of line, so that all slack can be a tail; zero
 *          is what tells nothing to whoever reads it, saves calloc's work, and is what new memory holds. */
#include "harden.h"

#include "small.h"

static uint8_t tail_byte(const struct hard_block *hb, size_t at) { return (uint8_t)(tail_word(hb->block) >> at % 8 * 8); }

static uint8_t tail_first_byte(const struct hard_block *hb, enum family family)
{
    return tail_byte(hb, hb->wanted) ^ (uint8_t)(family << 1);
}

/* Of a page's block: only pages know where the next block begins. */
static size_t tail_last(const struct hard_block *hb)
{
    return tail_slack(hb) > TAIL_WHOLE && hb->class != CLASS_COUNT ? TAIL_LAST : 0;
}

size_t ph_hard_pad(const struct heap *hp) { return hard_pad(hp); }

struct hard_block ph_hard_large(const struct span *sp)
{
    return (struct hard_block){
        .block = ph_large_block(sp),
        .wanted = sp->wanted,
        .capacity = sp->slot != 0 ? sp->wanted : sp->mapped_bytes - sp->offset,
        .head = sp->slot != 0 || sp->offset < HARD_HEAD_BYTES ? 0 : HARD_HEAD_BYTES,
        .class = CLASS_COUNT,
    };
}

enum family ph_hard_family(const struct hard_block *hb)
{
    if (ph_families == 0 || tail_slack(hb) == 0) /* else four values of a byte that was overwritten would pass for one */
        return FAMILY_ANY;
    const uint8_t stands = (uint8_t)hb->block[hb->wanted] ^ tail_byte(hb, hb->wanted);
    return stands % 2 != 0 || stands >= FAMILY_COUNT << 1 ? FAMILY_ANY : (enum family)(stands >> 1);
}

bool ph_hard_stands(const struct hard_block *hb, enum family family)
{
    const uint64_t word = tail_word(hb->block);
    const size_t first = hb->wanted + 1, end = tail_end(hb), last = tail_last(hb);
    return (tail_slack(hb) == 0 || ((uint8_t)hb->block[hb->wanted] == tail_first_byte(hb, family) &&
                                    (first == end || tail_reads(hb->block, first, end, word)))) &&
           (last == 0 || tail_reads(hb->block, hb->capacity - last, hb->capacity, word)) &&
           (hb->head == 0 || tail_reads(hb->block - hb->head, 0, hb->head, word));
}

/* The first word behind the block is as it was. */
static bool begins_well(const struct hard_block *hb, enum family family)
{
    bool good = (uint8_t)hb->block[hb->wanted] == tail_first_byte(hb, family);
    for (size_t at = hb->wanted + 1; at < hb->wanted + sizeof(uint64_t); at++)
        good = good && (uint8_t)hb->block[at] == tail_byte(hb, at);
    return good;
}

enum hard_verdict ph_hard_look(const struct hard_block *hb)
{
    const enum family family = ph_hard_family(hb);
    if (likely(tail_stands(hb, family)))
        return HARD_GOOD;
    if (hb->head != 0 && !tail_reads(hb->block - hb->head, 0, hb->head, tail_word(hb->block)))
        return HARD_BEFORE;
    /* what begins right behind the block is its overflow; else it may be the next block's underflow */
    const bool intact = tail_slack(hb) > sizeof(uint64_t) && begins_well(hb, family);
    return intact && hb->class != CLASS_COUNT ? HARD_UNDERFLOW : HARD_OVERFLOW;
}

COLD void ph_hard_changed(const struct hard_block *hb) { ph_incident(DIAG_WRITE_AFTER_FREE, hb->block, hb->wanted); }

void ph_hard_report(const struct hard_block *hb, enum hard_verdict verdict)
{
    if (verdict == HARD_UNDERFLOW)
        ph_incident(DIAG_UNDERFLOW, hb->block + hb->capacity, SIZE_MAX);
    else if (verdict == HARD_BEFORE)
        ph_incident(DIAG_UNDERFLOW, hb->block, hb->wanted);
    else if (verdict == HARD_OVERFLOW)
        ph_incident(DIAG_OVERFLOW, hb->block, hb->wanted);
}

void ph_hard_taken(const struct heap *hp, const struct hard_block *hb, enum family family, bool *zero)
{
    hard_taken(hp, hb, family, zero);
}

void ph_hard_retail(const struct hard_block *hb, enum family family)
{
    const uint64_t word = tail_word(hb->block);
    const size_t last = tail_last(hb);
    if (hb->head != 0)
        tail_write(hb->block - hb->head, 0, hb->head, word);
    if (tail_slack(hb) > 0) {
        tail_write(hb->block, hb->wanted, tail_end(hb), word);
        hb->block[hb->wanted] = (char)tail_first_byte(hb, family);
    }
    if (last != 0)
        tail_write(hb->block, hb->capacity - last, hb->capacity, word);
}

void ph_hard_resized(const struct heap *hp, const struct hard_block *hb, size_t had, enum family family)
{
    hard_resized(hp, hb, had, family);
}

/* Still its caller's. */
void ph_hard_released(const struct heap *hp, const struct hard_block *hb)
{
    const enum hard_verdict verdict = ph_hard_look(hb);
    if (unlikely(verdict != HARD_GOOD))
        ph_hard_report(hb, verdict);
    const bool is_mapping = hb->class == CLASS_COUNT && entry_kind(map_get(hb->block)) != KIND_RUN; /* it is given back */
    if (hp->hard == MODE_SECURE && hb->head == 0 && !is_mapping)
        ph_bytes_zero(hb->block, hb->class != CLASS_COUNT ? hb->capacity : tail_end(hb));
}
