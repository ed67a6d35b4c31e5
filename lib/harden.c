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
    const uint8_t stands = (uint8_t)hb->block[hb->wanted] ^ (uint8_t)tail_word(hb->block);
    return tail_slack(hb) == 0 || stands % 2 != 0 || stands >= FAMILY_COUNT << 1 ? FAMILY_ANY : (enum family)(stands >> 1);
}

enum hard_verdict ph_hard_look(const struct hard_block *hb)
{
    const enum family family = ph_hard_family(hb);
    const uint64_t word = tail_word(hb->block);
    if (likely(tail_stands(hb, family)))
        return HARD_GOOD;
    if (hb->head != 0 && !tail_reads(hb->block - hb->head, hb->head, word, word))
        return HARD_BEFORE;
    /* what begins right behind the block is its overflow; else it may be the next block's underflow */
    const bool intact = tail_slack(hb) > sizeof word &&
                        tail_reads(hb->block + hb->wanted, sizeof word, word, tail_family(word, family));
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

void ph_hard_retail(const struct hard_block *hb, enum family family) { tail_set(hb, family); }

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
        ph_bytes_zero(hb->block, hb->class != CLASS_COUNT ? hb->capacity : hb->wanted + tail_first(hb));
}
