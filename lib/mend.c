/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* mend.c -- classes whose lock's holder a fork past us left behind.
 *
 * Owns:    nothing; writes what shard.c owns, beside which it stands.
 * Calls:   span.c.
 * Locks:   none: this thread is alone.
 * Why:     fork waits for the class locks; the system call fork does not.  The bits of each page change with one store
 *          a word; counts and lists follow from them.  What the holder had in its hands is lost. */
#include "hot.h"
#include "valid.h"

/* The page's counts from its bits; back into its class, if that is one to be mended. */
static void page_mend(struct heap *hp, struct span *pg, const bool *mend)
{
    const unsigned kind = entry_kind(pg->tag);
    if (kind - KIND_PLAIN >= 2 * CLASS_COUNT || !mend[kind - KIND_PLAIN])
        return;
    struct shard_class *sc = &hp->shard->class[kind - KIND_PLAIN];
    pg->free_count = 0;
    for (unsigned word = 0; word < PAGE_BLOCKS / 64; word++)
        pg->free_count += (unsigned)__builtin_popcountll(pg->bits[word]);
    if (!kind_is_sized(kind))
        page_carved_set(pg, pg->carved);
    sc->units += pg->units;
    pg->listed = pg->free_count > 0 || pg->carved < pg->capacity;
    pg->prev = SPAN_NONE;
    pg->next = pg->listed ? sc->pages : SPAN_NONE;
    if (pg->next != SPAN_NONE)
        ph_span_at(pg->next)->prev = pg->self;
    if (pg->listed)
        sc->pages = pg->self;
}

/* In the child of a fork past us, whoever has a class lock is gone, and what it was at is half done: made anew from the bits. */
void ph_shard_mend(struct heap *hp)
{
    bool mend[2 * CLASS_COUNT] = {false}, any = false;
    for (unsigned i = 0; hp->shard != NULL && i < 2 * CLASS_COUNT; i++) {
        struct shard_class *sc = &hp->shard->class[i];
        mend[i] = sc->lock != 0 && !ph_lock_is_mine(&sc->lock);
        any |= mend[i];
        if (mend[i])
            sc->pages = sc->empty = sc->units = sc->depot_count = sc->depot_thrice = sc->kept = sc->kept_low = 0;
    }
    for (const struct region *rg = any ? hp->regions : NULL; rg != NULL; rg = rg->next)
        for (uint32_t unit = rg->first; unit < rg->top;) {
            struct span *pg = ph_span_containing(hp, ph_region_unit(rg, unit));
            if (pg == NULL)
                break;
            unit += (uint32_t)pg->units;
            page_mend(hp, pg, mend);
        }
}
