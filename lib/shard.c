/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* shard.c -- class locks, and which page serves: what cores share.
 *
 * Owns:    struct shard, struct shard_class; the list fields of pages.
 * Calls:   page.c.  Never: local.c.
 * Locks:   LOCK class, taken inside.  Takes: span, map, meta, in that order.
 * Always:  a listed page has a block to give; a page that has none is in no list; the page kept
 *          back is wholly free and in no list.
 * Why:     a stack's top changes while its class lock is held, so that the child of a fork finds every block either
 *          in a stack or in a page.  Keys are checked and written outside: a block that just came may still have the
 *          key of its page, one that is about to go has it already, and who salvages a stack takes either. */
#include "depot.h"
#include "hot.h"
#include "valid.h"

enum {
    FRESH_BYTES = 2048, /* carve about so much at once */
    SIZED_REFILL_BYTES = 16384, /* of blocks at once: they are not touched */
};

static struct shard_class *shard_class(struct heap *hp, unsigned kind)
{
    return &hp->shard->class[kind - KIND_PLAIN];
}

static struct shard process_shard __attribute__((common)); /* as ph_map_root is */

/* Class locks and lists, made when the heap gets its first page; they stay with its descriptor. */
bool ph_shard_ready(struct heap *hp)
{
    if (likely(__atomic_load_n(&hp->shard, __ATOMIC_ACQUIRE) != NULL))
        return true;
    ph_lock_take(&hp->span_lock);
    if (hp->shard == NULL) {
        struct shard *sh = hp == &ph_process_heap ? &process_shard : ph_meta_take(sizeof *sh);
        __atomic_store_n(&hp->shard, sh, __ATOMIC_RELEASE);
        hp->regions_seal = regions_seal(hp);
    }
    ph_lock_give(&hp->span_lock);
    return hp->shard != NULL;
}

/* The heap has ended, its pages with it. */
void ph_shard_forget(struct heap *hp)
{
    if (hp->shard == NULL) return;
    for (unsigned i = 0; i < 2 * CLASS_COUNT; i++)
        ph_depot_forget(&hp->shard->class[i]);
    hp->shard->idle = 0;
}

static unsigned kind_bytes(unsigned kind) { return ph_class_bytes[kind_class(kind)]; }

static bool page_has_room(const struct span *pg) { return pg->free_count > 0 || pg->carved < pg->capacity; }
static bool page_is_empty(const struct span *pg) { return pg->free_count == pg->carved; }

static void list_insert(struct shard_class *sc, struct span *pg)
{
    pg->prev = SPAN_NONE;
    pg->next = sc->pages;
    if (pg->next != SPAN_NONE)
        ph_span_at(pg->next)->prev = pg->self;
    sc->pages = pg->self;
    pg->listed = 1;
}

static void list_remove(struct shard_class *sc, struct span *pg)
{
    if (pg->next != SPAN_NONE)
        ph_span_at(pg->next)->prev = pg->prev;
    if (pg->prev != SPAN_NONE)
        ph_span_at(pg->prev)->next = pg->next;
    else
        sc->pages = pg->next;
    pg->next = pg->prev = SPAN_NONE;
    pg->listed = 0;
}

/* A page with a block to give, first in its list; NULL: no memory.  Held: the class lock. */
static struct span *class_page(struct heap *hp, struct shard_class *sc, unsigned kind)
{
    if (sc->pages != SPAN_NONE)
        return ph_span_at(sc->pages);
    struct span *pg = ph_back_take(sc);
    if (pg == NULL) {
        const unsigned wish = sc->units / 4 < PAGE_UNITS ? sc->units / 4 : PAGE_UNITS;
        const unsigned units = ph_class_page_units(kind_class(kind), wish > 0 ? wish : 1);
        ph_back_missed(sc, units);
        pg = ph_page_new(hp, kind, units);
        if (pg == NULL)
            return NULL;
        sc->units += pg->units;
    }
    list_insert(sc, pg);
    return pg;
}

/* After blocks came back. */
static void class_page_given(struct heap *hp, struct shard_class *sc, struct span *pg)
{
    CHECK_CALLER(ph_lock_is_mine(&sc->lock));
    if (page_is_empty(pg)) {
        if (pg->listed)
            list_remove(sc, pg);
        ph_back_give(hp, sc, pg);
    } else if (!pg->listed)
        list_insert(sc, pg);
}

/* A block leaves its page: its page key becomes that of where it goes. */
static void class_unkey(unsigned kind, void *block, uint64_t key)
{
    const uint64_t seen = *block_key(block);
    if (unlikely(seen != block_page_key(block)))
        ph_corrupt(seen == block_key_value(block) ? DIAG_DOUBLE_FREE : DIAG_WRITE_AFTER_FREE, block, kind_bytes(kind));
    *block_key(block) = key;
}

/* Fill an empty stack: up to `want` used blocks as entries, or a row of fresh ones; or neither, when
 * memory is out. */
void ph_shard_refill(struct heap *hp, unsigned kind, struct stack *st, unsigned want)
{
    struct shard_class *sc = shard_class(hp, kind);
    const unsigned most_fresh = FRESH_BYTES / kind_bytes(kind) + 1;
    ph_lock_take(&sc->lock);
    const unsigned kept = ph_depot_take(sc, st->top, want);
    unsigned got = kept;
    if (kept == 0)
        ph_depot_missed(sc, kind);
    while (kept == 0 && got < want && st->fresh_count == 0) {
        struct span *pg = got == 0 || sc->pages != SPAN_NONE ? class_page(hp, sc, kind) : NULL;
        if (pg == NULL)
            break;
        got += ph_page_take(pg, st->top + got, want - got);
        if (got == 0)
            st->fresh_count = (uint16_t)ph_page_carve(pg, most_fresh, &st->fresh);
        if (!page_has_room(pg))
            list_remove(sc, pg);
        else if (got < want)
            break; /* only fresh blocks are left here: the next refill's */
    }
    void **const come = st->top + kept, **const end = st->top + got;
    __atomic_store_n(&st->top, end, __ATOMIC_RELAXED);
    ph_lock_give(&sc->lock);
    for (void **at = come; at < end; at++)
        class_unkey(kind, *at, block_key_value(*at));
}

/* Say which promise the first of these blocks breaks: no page of the class takes it. */
static COLD void flush_failed(const struct heap *hp, void *block, unsigned kind)
{
    const uint64_t key = *block_key(block);
    if ((uint32_t)map_get(block) == (hp->tag | kind) && key != block_key_value(block) &&
        key != block_page_key(block) && key != BLOCK_LIVE)
        ph_corrupt(DIAG_WRITE_AFTER_FREE, block, kind_bytes(kind));
    ph_corrupt(DIAG_DOUBLE_FREE, block, kind_bytes(kind));
}

/* They are on the way to their pages: what can be done before others have to wait.  Whose key is not right is found out
 * when it comes to its page. */
static void blocks_key(void *const *blocks, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (likely(*block_key(blocks[i]) == block_key_value(blocks[i])))
            *block_key(blocks[i]) = block_page_key(blocks[i]);
}

/* Blocks go back to their pages, which are looked up ahead: in any order, each has another.  Held: the class lock. */
static void pages_give(struct heap *hp, struct shard_class *sc, unsigned kind, void **blocks, unsigned count)
{
    enum { AHEAD = 6 };
    const uint64_t magic = ph_class_magic[kind_class(kind)];
    for (unsigned done = 0; done < count; done++) {
        if (done + AHEAD < count)
            __builtin_prefetch(ph_span_at(entry_cells(map_get(blocks[done + AHEAD]))), 1);
        const uint64_t entry = map_get(blocks[done]);
        struct span *pg = ph_span_at(entry_cells(entry));
        if (unlikely((uint32_t)entry != (hp->tag | kind) || !page_give_keyed(pg, entry, magic, blocks[done])))
            flush_failed(hp, blocks[done], kind);
        if (page_is_empty(pg) || !pg->listed)
            class_page_given(hp, sc, pg);
    }
}

/* Up to `count` of a depot's blocks go back to their pages. */
static void depot_empty(struct heap *hp, struct shard_class *sc, unsigned kind, uint32_t count)
{
    enum { BATCH = 64 };
    void *block[BATCH];
    for (unsigned got; count > 0 && (got = ph_depot_take(sc, block, count < BATCH ? count : BATCH)) > 0; count -= got)
        pages_give(hp, sc, kind, block, got);
}

/* All of them. */
void ph_shard_empty_depots(struct heap *hp)
{
    for (unsigned kind = KIND_PLAIN; hp->shard != NULL && kind < KIND_SIZED; kind++) {
        struct shard_class *sc = shard_class(hp, kind);
        if (__atomic_load_n(&sc->depot_count, __ATOMIC_RELAXED) == 0)
            continue;
        ph_lock_take(&sc->lock);
        depot_empty(hp, sc, kind, UINT32_MAX);
        ph_lock_give(&sc->lock);
    }
}

/* What nobody missed since the last time goes: of the depots, and of the pages kept back. */
void ph_shard_age(struct heap *hp)
{
    for (unsigned kind = KIND_PLAIN; hp->shard != NULL && kind < KIND_RUN; kind++) {
        struct shard_class *sc = shard_class(hp, kind);
        if ((__atomic_load_n(&sc->depot_count, __ATOMIC_RELAXED) | __atomic_load_n(&sc->kept, __ATOMIC_RELAXED)) == 0)
            continue;
        ph_lock_take(&sc->lock);
        if (!kind_is_sized(kind))
            depot_empty(hp, sc, kind, ph_depot_excess(sc));
        ph_back_age(hp, sc);
        ph_lock_give(&sc->lock);
    }
}

/* The `count` oldest entries of a stack go to the depot, or to their pages.  One freed twice is found out when it leaves there. */
void ph_shard_flush(struct heap *hp, unsigned kind, struct stack *st, void **bottom, unsigned count, enum flush where)
{
    struct shard_class *sc = shard_class(hp, kind);
    const unsigned wish = where == FLUSH_TO_DEPOT ? ph_depot_room(sc, count) : 0;
    blocks_key(bottom + wish, count - wish);
    ph_lock_take(&sc->lock);
    const unsigned kept = where == FLUSH_TO_DEPOT ? ph_depot_give(hp, sc, bottom, count, wish) : 0;
    if (where == FLUSH_DRAIN) {
        depot_empty(hp, sc, kind, UINT32_MAX);
        ph_back_drop(hp, sc, 0);
    }
    pages_give(hp, sc, kind, bottom + kept, count - kept);
    ph_words_copy(bottom, bottom + count, (size_t)(st->top - bottom) - count);
    __atomic_store_n(&st->top, st->top - count, __ATOMIC_RELAXED);
    ph_lock_give(&sc->lock);
}

/* The fresh blocks of a stack were never used: back behind the page's mark, or, when others were
 * carved since, among its free blocks. */
void ph_shard_unfresh(struct heap *hp, unsigned kind, struct stack *st)
{
    if (st->fresh_count == 0)
        return;
    struct shard_class *sc = shard_class(hp, kind);
    ph_lock_take(&sc->lock);
    struct span *pg = ph_span_at(entry_span(map_get(st->fresh)));
    const unsigned index = ph_page_index(pg, st->fresh);
    if (index + st->fresh_count == pg->carved) {
        page_carved_set(pg, pg->carved - st->fresh_count);
    } else {
        for (unsigned i = 0; i < st->fresh_count; i++) {
            char *block = st->fresh + (size_t)i * kind_bytes(kind);
            *block_key(block) = block_page_key(block);
            ph_page_give(pg, index + i);
        }
    }
    st->fresh_count = 0;
    class_page_given(hp, sc, pg);
    ph_lock_give(&sc->lock);
}

/* ---- sized stacks: entries know the place of their size code, which is 0 -------------------------- */

/* Push up to `want` of a page's blocks, the lowest last, so that it is the first to be taken; how many.
 * The order of work: bits from the highest down, each word by itself; fresh blocks lie above them all.
 * Held: the class lock. */
static unsigned refill_from(struct span *pg, struct sized_entry *top, unsigned want)
{
    const unsigned bytes = kind_bytes(entry_kind(pg->tag));
    const unsigned used = want < pg->free_count ? want : pg->free_count;
    const unsigned left = pg->capacity - pg->carved;
    const unsigned fresh = want - used < left ? want - used : left;
    char *const first = ph_page_block(pg, 0);
    uint16_t *const last = ph_page_size_place(pg, 0); /* codes run against the addresses */
    struct sized_entry *out = top + used + fresh;
    for (unsigned word = 0, got = 0; got < used; word++) {
        uint64_t bits = pg->bits[word];
        for (; bits != 0 && got < used; got++, bits &= bits - 1) {
            const unsigned index = word * 64 + (unsigned)__builtin_ctzll(bits);
            *--out = (struct sized_entry){first + (size_t)index * bytes, last - index};
        }
        __atomic_store_n(&pg->bits[word], bits, __ATOMIC_RELAXED);
    }
    for (unsigned index = pg->carved; index < pg->carved + fresh; index++)
        *--out = (struct sized_entry){first + (size_t)index * bytes, last - index};
    pg->free_count -= used;
    pg->carved += fresh;
    return used + fresh;
}

/* Fill an empty stack with up to `want` entries; none when memory is out. */
void ph_shard_refill_sized(struct heap *hp, unsigned kind, struct stack *st, unsigned want)
{
    if (!ph_shard_ready(hp))
        return;
    struct shard_class *sc = shard_class(hp, kind);
    const unsigned most = SIZED_REFILL_BYTES / kind_bytes(kind) + 1;
    unsigned got = 0;
    want = want < most ? want : most;
    ph_lock_take(&sc->lock);
    while (got < want) {
        struct span *pg = got == 0 || sc->pages != SPAN_NONE ? class_page(hp, sc, kind) : NULL;
        if (pg == NULL)
            break;
        got += refill_from(pg, (struct sized_entry *)(void *)st->top + got, want - got);
        if (!page_has_room(pg))
            list_remove(sc, pg);
    }
    __atomic_store_n(&st->top, st->top + 2 * got, __ATOMIC_RELAXED);
    ph_lock_give(&sc->lock);
}

/* As many entries as lie in the same page as the first go back to it; how many.  One that two threads
 * freed at once may be there already.  Held: the class lock. */
static unsigned flush_page(struct heap *hp, struct shard_class *sc, unsigned kind, const struct sized_entry *entry, unsigned count)
{
    const uint64_t at = map_get(entry->block);
    if (unlikely((uint32_t)at != (hp->tag | kind)))
        return 1;
    struct span *pg = ph_span_at(entry_span(at));
    const uint16_t *const last = ph_page_size_place(pg, 0);
    const unsigned capacity = pg->capacity;
    unsigned done = 0, given = 0;
    for (; done < count; done++) {
        const size_t index = (size_t)(last - entry[done].place);
        if (index >= capacity)
            break;
        const uint64_t bit = 1ULL << (index % 64), bits = pg->bits[index / 64];
        const bool ours = likely(__atomic_load_n(entry[done].place, __ATOMIC_RELAXED) == 0 && index < pg->carved);
        given += ours && (bits & bit) == 0;
        if (ours)
            __atomic_store_n(&pg->bits[index / 64], bits | bit, __ATOMIC_RELAXED);
    }
    pg->free_count += given;
    if (given > 0 && (page_is_empty(pg) || !pg->listed))
        class_page_given(hp, sc, pg);
    return done > 0 ? done : 1;
}

/* The `count` oldest entries of a stack, from `bottom` on, go back to their pages. */
void ph_shard_flush_sized(struct heap *hp, unsigned kind, struct stack *st, void **bottom, unsigned count)
{
    struct shard_class *sc = shard_class(hp, kind);
    const struct sized_entry *entry = (struct sized_entry *)(void *)bottom;
    ph_lock_take(&sc->lock);
    for (unsigned done = 0; done < count;)
        done += flush_page(hp, sc, kind, entry + done, count - done);
    for (void **from = bottom + 2 * count; from < st->top; from++)
        from[-2 * (ptrdiff_t)count] = *from;
    __atomic_store_n(&st->top, st->top - 2 * count, __ATOMIC_RELAXED);
    ph_lock_give(&sc->lock);
}

/* An entry of a stack whose thread is gone in mid-air. */
void ph_shard_salvage_sized(struct heap *hp, unsigned kind, const struct sized_entry *entry)
{
    if (hp->shard == NULL)
        return;
    struct shard_class *sc = shard_class(hp, kind);
    ph_lock_take(&sc->lock);
    const uint64_t at = map_get(entry->block);
    if ((uint32_t)at == (hp->tag | kind)) {
        const struct span *pg = ph_span_at(entry_span(at));
        const unsigned index = ph_page_index(pg, entry->block);
        if (index != PAGE_BLOCKS && entry->place == ph_page_size_place(pg, index) && *entry->place == 0)
            (void)flush_page(hp, sc, kind, entry, 1);
    }
    ph_lock_give(&sc->lock);
}

/* Blocks that neither a stack nor their page calls free, though their code does: a thread that fork left
 * behind was about to push them.  Held: the gate lock, all stacks of the heap empty. */
void ph_shard_sweep(struct heap *hp)
{
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        for (uint32_t unit = rg->first; unit < rg->top;) {
            struct span *pg = ph_span_containing(hp, ph_region_unit(rg, unit));
            if (pg == NULL)
                return;
            /* not from `unit`: a page that went has joined the free span here */
            unit = (uint32_t)(pg->start + pg->units - ((uintptr_t)rg->base >> UNIT_BITS));
            const unsigned kind = entry_kind(pg->tag);
            for (unsigned i = 0; kind_is_sized(kind) && kind < KIND_RUN && entry_kind(pg->tag) == kind && i < pg->carved; i++)
                if (*ph_page_size_place(pg, i) == 0 && !ph_page_is_free(pg, i))
                    (void)ph_shard_give(hp, kind, pg, ph_page_block(pg, i));
        }
}

/* ---- one block without a stack -------------------------------------------------------------------- */

/* One block without a stack; `wanted` is remembered by a sized page.  *fresh: it is zero. */
void *ph_shard_take(struct heap *hp, unsigned kind, size_t wanted, bool *fresh)
{
    if (!ph_shard_ready(hp))
        return NULL;
    struct shard_class *sc = shard_class(hp, kind);
    void *block = NULL;
    ph_lock_take(&sc->lock);
    struct span *pg = class_page(hp, sc, kind);
    if (pg != NULL) {
        *fresh = ph_page_take(pg, &block, 1) == 0;
        if (*fresh)
            (void)ph_page_carve(pg, 1, (char **)&block);
        else if (!kind_is_sized(kind))
            class_unkey(kind, block, BLOCK_LIVE);
        if (kind_is_sized(kind)) {
            ph_page_set_wanted(pg, ph_page_index(pg, block), wanted);
            *fresh = *fresh && pg->state == SPAN_VIRGIN; /* no key says whether somebody wrote there */
        }
        CHECK_COSTLY(kind_is_sized(kind) || ph_page_is_valid(pg)); /* free blocks of a sized page may lie in stacks */
        if (!page_has_room(pg))
            list_remove(sc, pg);
    }
    ph_lock_give(&sc->lock);
    return block;
}

/* One block back without a stack; false when it is free already. */
bool ph_shard_give(struct heap *hp, unsigned kind, struct span *pg, void *block)
{
    struct shard_class *sc = shard_class(hp, kind);
    ph_lock_take(&sc->lock);
    const uint64_t entry = map_get(block);
    const bool ours = (uint32_t)entry == (hp->tag | kind) && entry_span(entry) == pg->self;
    const unsigned index = ours ? ph_page_index(pg, block) : PAGE_BLOCKS;
    const bool live = index != PAGE_BLOCKS && ph_page_give(pg, index);
    if (live) {
        if (!kind_is_sized(kind))
            *block_key(block) = block_page_key(block);
        class_page_given(hp, sc, pg);
    }
    ph_lock_give(&sc->lock);
    return live;
}

/* An entry of a stack whose thread is gone in mid-air: back to its page, if it is what it says. */
bool ph_shard_salvage(struct heap *hp, unsigned kind, void *block)
{
    const uint64_t entry = map_get(block);
    if ((uint32_t)entry != (hp->tag | kind) || (*block_key(block) != block_key_value(block) && *block_key(block) != block_page_key(block)))
        return false;
    return ph_shard_give(hp, kind, ph_span_at(entry_span(entry)), block);
}

/* Pages that were kept back go. */
void ph_shard_trim(struct heap *hp)
{
    if (hp->shard == NULL)
        return;
    for (unsigned kind = KIND_PLAIN; kind < KIND_RUN; kind++) {
        struct shard_class *sc = shard_class(hp, kind);
        ph_lock_take(&sc->lock);
        ph_back_drop(hp, sc, 0);
        ph_lock_give(&sc->lock);
    }
}

/* ---- fork ---------------------------------------------------------------------------------------------- */

void ph_shard_fork_lock(struct heap *hp)
{
    for (unsigned kind = KIND_PLAIN; hp->shard != NULL && kind < KIND_RUN; kind++)
        ph_lock_fork_take(&shard_class(hp, kind)->lock);
}

void ph_shard_fork_unlock(struct heap *hp)
{
    for (unsigned kind = KIND_RUN; hp->shard != NULL && kind-- > KIND_PLAIN;)
        ph_lock_fork_give(&shard_class(hp, kind)->lock);
}
