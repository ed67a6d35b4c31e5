/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* valid.c -- HeapValidate: whether all of a heap is what it should be.
 *
 * Owns:    nothing.
 * Calls:   gate.c to close the heap; then the checks of span.c, page.c, shard.c, packed.c, region.c, map.c;
 *          block.c for a single block.  Beside walk.c.
 * Locks:   closes the gate; nobody is inside meanwhile.  The locks themselves are taken as they are: one that
 *          says that somebody has it is waited for.
 * Always:  nothing is followed before something else has said that it leads where it should, so that damage
 *          of any one bit neither ends the process nor keeps us here.  Nothing is changed but the bias of locals.
 * Why:     stacks stay as they are: what a page misses must be just what lies in them. */
#include "depot.h"
#include "pageheap.h"
#include "stack.h"

#include "small.h"

/* ---- locals --------------------------------------------------------------------------------------- */

/* Stopped or not, but nothing between.  Held: the gate lock. */
static bool bias_is_valid(const struct heap *hp, const struct local *lo)
{
    const bool plain = lo->stride == 1;
    if (lo->biased == 0 || (hp->hard != 0 && lo->biased == FLAG_SET))
        return lo->tag == TAG_STOPPED && lo->check == (plain ? CHECK_STOPPED : SIZED_STOPPED);
    return lo->biased == FLAG_SET && lo->tag == (hp->tag | (plain ? KIND_PLAIN : KIND_SIZED)) && 
           (lo->check == (plain ? ph_secret : 0) || (plain && lo->watch != 0 && lo->check == CHECK_STOPPED));
}

/* All that a stop follows and changes.  Held: the gate lock. */
static bool locals_are_valid(const struct heap *hp)
{
    uint32_t count = 0;
    if (hp->seal != heap_seal(hp, hp->handle) || hp->locals_seal != locals_seal(hp) || !ph_gate_is_valid(&hp->gate))
        return false;
    for (const struct local *lo = hp->locals; lo != NULL; lo = lo->next, count++)
        if (lo->seal != local_seal(lo) || lo->heap != hp || !bias_is_valid(hp, lo))
            return false;
    return count == hp->local_count;
}

/* ---- regions ---------------------------------------------------------------------------------------- */

/* Held: the span and the gate lock, or the heap is closed. */
static bool regions_are_sound(const struct heap *hp)
{
    const struct region *last = NULL;
    uint64_t units = 0;
    uint32_t index = 0;
    if (hp->regions_seal != regions_seal(hp))
        return false;
    for (const struct region *rg = hp->regions; rg != NULL; last = rg, rg = rg->next) {
        if (rg->seal != region_seal(rg) || rg->index != index++ || (rg->packed != NULL && !ph_packed_is_sound(rg)))
            return false;
        units += rg->units;
    }
    return last != NULL && last == hp->last_region && units == hp->reserved_units && hp->regions->base == hp->handle;
}

bool ph_valid_close(struct heap *hp, enum enter enter)
{
    ph_lock_fork_look();
    (void)ph_gate_enter_locked(hp, enter);
    if (!locals_are_valid(hp))
        return false;
    ph_gate_stop(hp);
    return regions_are_sound(hp);
}

/* ---- stacks ----------------------------------------------------------------------------------------- */

/* Its room is one of the three that it may have, and what it holds lies therein. */
static bool room_is_valid(const struct local *lo, const struct stack *st, unsigned class)
{
    struct stack closed;
    if (!stack_has_room(st)) {
        ph_stack_close((struct local *)(uintptr_t)lo, &closed);
        return st->top == closed.top && st->limit == closed.limit;
    }
    const bool wide = st->bottom == st->wide || (stack_cap_deep(lo, class) > 0 && st->bottom == ph_stack_deep(lo, class));
    const bool first = lo->stride == 1 && st->bottom < SLOTS_OF_FIRST && st->bottom % (SLOTS_FIRST + 1) == 1;
    const size_t most = stack_room(lo, st, class) * (size_t)lo->stride;
    const size_t used = (uintptr_t)st->top - (uintptr_t)&lo->slot[st->bottom];
    const size_t room = (uintptr_t)st->limit - (uintptr_t)&lo->slot[st->bottom];
    return (wide || first) && used <= room && room / sizeof(void *) <= most && used % (lo->stride * sizeof(void *)) == 0 &&
           room % (lo->stride * sizeof(void *)) == 0;
}

/* The page of a block in a stack of that kind; NULL: none has it. */
static const struct span *stack_page(const struct heap *hp, unsigned kind, const void *block)
{
    const uint64_t entry = map_get(block);
    const struct span *pg = (uint32_t)entry == (hp->tag | kind) ? ph_map_span(entry) : NULL;
    const bool ours = pg != NULL && ph_page_is_sound(pg) && ph_page_index(pg, block) < pg->carved;
    return ours && !ph_page_is_free(pg, ph_page_index(pg, block)) ? pg : NULL;
}

static bool entries_are_valid(const struct heap *hp, struct local *lo, const struct stack *st, unsigned class)
{
    for (void **at = stack_bottom(lo, st); stack_has_room(st) && at < st->top; at += lo->stride) {
        const struct span *pg = stack_page(hp, (lo->stride == 1 ? KIND_PLAIN : KIND_SIZED) + class, at[0]);
        if (pg == NULL || (lo->stride == 1 && *block_key(at[0]) != block_key_value(at[0])))
            return false;
        if (lo->stride == 1)
            continue;
        const uint16_t *place = ph_page_size_place(pg, ph_page_index(pg, at[0]));
        if (at[1] != place || *place != 0)
            return false;
    }
    return true;
}

/* Nobody ever held them, so that they stand behind each other in one page. */
static bool fresh_is_valid(const struct heap *hp, const struct local *lo, const struct stack *st, unsigned class)
{
    if (lo->stride == 2)
        return st->fresh == NULL && st->fresh_count == 0;
    if (st->fresh_count == 0)
        return true;
    const struct span *pg = stack_page(hp, KIND_PLAIN + class, st->fresh);
    return pg != NULL && ph_page_index(pg, st->fresh) + st->fresh_count <= pg->carved;
}

/* Freed blocks of a hard heap that wait: free by their codes, and in no stack. */
static bool late_is_valid(const struct heap *hp, const struct local *lo, struct stacked *count)
{
    const struct late *late = lo->late;
    size_t bytes = 0;
    if (late == NULL)
        return true;
    if (late->count > LATE_BLOCKS || late->first >= LATE_BLOCKS)
        return false;
    for (uint32_t i = 0; i < late->count; i++) {
        const struct late_block *lb = &late->entry[(late->first + i) % LATE_BLOCKS];
        void *const block = late_block(lb->what);
        const unsigned class = late_class(lb->what);
        const struct span *pg = class < CLASS_COUNT ? stack_page(hp, KIND_SIZED + class, block) : NULL;
        if (pg == NULL || lb->place != ph_page_size_place(pg, ph_page_index(pg, block)) || *lb->place != 0)
            return false;
        bytes += ph_class_bytes[class];
    }
    count->sized += late->count;
    count->all += late->count;
    return late->bytes == bytes;
}

/* `count` grows by the blocks of one local. */
static bool stacks_are_valid(const struct heap *hp, struct local *lo, struct stacked *count)
{
    uint32_t opened = 0, wide = CLASS_COUNT * (SLOTS_FIRST + 1) * lo->stride;
    for (unsigned class = 0; class < CLASS_COUNT; class++) {
        const struct stack *st = &lo->stack[class];
        if (st->cap_max != stack_cap_most(class) || st->wide != wide + lo->stride || !room_is_valid(lo, st, class) ||
            !entries_are_valid(hp, lo, st, class) || !fresh_is_valid(hp, lo, st, class))
            return false;
        wide += (st->cap_max + 1u) * lo->stride;
        opened += lo->stride == 1 && stack_has_room(st) ? SLOTS_FIRST + 1 : 0;
        count->sized += lo->stride == 2 ? stack_count(lo, st) : 0;
        count->all += stack_count(lo, st) + st->fresh_count;
    }
    return lo->slots_used == opened && lo->cap_bytes <= LOCAL_BYTES && late_is_valid(hp, lo, count) && ph_runs_are_valid(lo, &count->runs);
}

/* What stands between the stacks and the pages is as in a stack. */
static bool depot_is_valid(const struct heap *hp, unsigned kind)
{
    const struct shard_class *sc = &hp->shard->class[kind - KIND_PLAIN];
    if (sc->depot_thrice != 3 * sc->depot_count)
        return false;
    if (sc->depot == NULL || sc->depot_count > ph_depot_cap(kind) || sc->depot_most > ph_depot_cap(kind) || hp->gate.emptied != 0)
        return sc->depot_count == 0;
    for (uint32_t i = 0; i < sc->depot_count; i++)
        if (stack_page(hp, kind, sc->depot[i]) == NULL || *block_key(sc->depot[i]) != block_key_value(sc->depot[i]))
            return false;
    return true;
}

static bool depots_are_valid(const struct heap *hp)
{
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        if (!depot_is_valid(hp, KIND_PLAIN + i) || hp->shard->class[CLASS_COUNT + i].depot_count != 0)
            return false;
    return true;
}

bool ph_valid_stacks(const struct heap *hp, struct stacked *out)
{
    if (hp->shard != NULL && !depots_are_valid(hp))
        return false;
    *out = (struct stacked){.uncertain = hp->lost != 0};
    for (struct local *lo = hp->locals; lo != NULL; lo = lo->next) {
        if (local_is_torn(lo)) /* its thread was in the middle of something when fork left it behind */
            out->uncertain = true;
        else if (!stacks_are_valid(hp, lo, out) || (hp->gate.emptied && lo->cap_bytes != 0))
            return false;
    }
    return (out->all == 0 && out->runs == 0) || hp->gate.emptied == 0;
}

/* ---- classes ------------------------------------------------------------------------------------------ */

static const struct span *page_of(const struct heap *hp, unsigned kind, uint32_t index)
{
    const struct span *pg = ph_span_known(index);
    return pg != NULL && pg->self == index && pg->tag == (hp->tag | kind) ? pg : NULL;
}

/* Listed when it has room, and is not the one kept back; then its neighbours know it. */
static bool shard_lists_page(const struct heap *hp, const struct span *pg)
{
    const unsigned kind = entry_kind(pg->tag);
    const bool has_room = pg->free_count > 0 || pg->carved < pg->capacity;
    const struct shard_class *sc = &hp->shard->class[kind - KIND_PLAIN];
    if (!pg->listed)
        return pg->prev == SPAN_NONE && (has_room ? ph_back_has(hp, kind, pg) : pg->next == SPAN_NONE);
    const struct span *before = page_of(hp, kind, pg->prev), *after = page_of(hp, kind, pg->next);
    return has_room &&
           (pg->prev == SPAN_NONE ? sc->pages == pg->self : before != NULL && before->next == pg->self) &&
           (pg->next == SPAN_NONE || (after != NULL && after->prev == pg->self));
}

/* While the heap is closed only a fork, which may have interrupted a thread inside, has such a lock. */
static bool lock_is_free(const ph_lock *lock)
{
    enum { TRIES = 20, PAUSE_NS = 10 * 1000 * 1000 };
    for (unsigned i = 0; i < TRIES && (__atomic_load_n(lock, __ATOMIC_RELAXED) & LOCK_BY_FORK); i++)
        ph_os_sleep(PAUSE_NS);
    return __atomic_load_n(lock, __ATOMIC_RELAXED) == 0;
}

/* `units`: of all pages, by kind. */
static bool shard_is_valid(const struct heap *hp, const uint32_t *units)
{
    for (unsigned i = 0; hp->shard != NULL && i < 2 * CLASS_COUNT; i++) {
        const struct shard_class *sc = &hp->shard->class[i];
        const struct span *first = page_of(hp, KIND_PLAIN + i, sc->pages);
        if (!lock_is_free(&sc->lock) || sc->units != units[i] ||
            (sc->pages != SPAN_NONE && (first == NULL || !first->listed || first->prev != SPAN_NONE)) ||
            !ph_back_has(hp, KIND_PLAIN + i, NULL))
            return false;
    }
    return true;
}

/* ---- the whole heap --------------------------------------------------------------------------------- */

static bool page_is_valid(const struct heap *hp, const struct span *pg, struct tally *sum)
{
    sum->units[entry_kind(pg->tag) - KIND_PLAIN] += (uint32_t)pg->units;
    return hp->shard != NULL && ph_page_count(pg, &sum->missing) && shard_lists_page(hp, pg);
}

static bool spans_are_valid(struct heap *hp, const struct region *rg, struct tally *sum)
{
    uint32_t first;
    for (uint32_t unit = rg->first; unit < rg->top;) {
        const struct span *sp = ph_map_span(map_get(ph_region_unit(rg, unit)));
        if (sp == NULL || ph_span_start(sp) != ph_region_unit(rg, unit) || sp->units > rg->top - unit || !ph_span_is_valid(hp, sp))
            return false;
        const unsigned kind = entry_kind(sp->tag);
        if (kind == KIND_LARGE || (kind < KIND_RUN && !page_is_valid(hp, sp, sum)))
            return false;
        sum->guards += kind == KIND_GUARD;
        sum->kept += kind == KIND_RUN && sp->carved == RUN_KEPT;
        if (kind != KIND_FREE)
            sum->live_units += sp->units;
        else if (sp->state == SPAN_DIRTY)
            sum->dirty_units += ph_purge_units(sp, &first);
        unit += (uint32_t)sp->units;
    }
    return true;
}

static bool large_list_is_valid(const struct heap *hp)
{
    uint64_t count = 0, bytes = 0;
    uint32_t before = SPAN_NONE, i = hp->large;
    for (; i != SPAN_NONE && count <= hp->large_count; count++) {
        const struct span *sp = ph_span_known(i);
        if (sp == NULL || sp->self != i || sp->tag != (hp->tag | KIND_LARGE) || sp->prev != before || sp->units != 0 ||
            sp->state != SPAN_DIRTY || sp->cell != 0 || sp->carved != 0 || sp->seal != span_seal(sp) || !ph_map_names(sp) || !ph_guard_is_valid(sp))
            return false;
        bytes += sp->mapped_bytes;
        before = i;
        i = sp->next;
    }
    return count == hp->large_count && bytes == hp->large_bytes;
}

static bool uses_are_valid(const struct heap *hp)
{
    for (unsigned class = 0; class < CLASS_COUNT; class++)
        if (__atomic_load_n(&hp->uses[class], __ATOMIC_RELAXED) % USES_STEP != 0)
            return false;
    return true;
}

static bool fields_are_valid(const struct heap *hp)
{
    return hp->name_seal == name_seal(hp) && flag_is_good(__atomic_load_n(&hp->compatibility, __ATOMIC_RELAXED)) &&
           flag_is_good(hp->lost) && flag_is_good(hp->fork_held) && uses_are_valid(hp);
}

static bool heap_is_valid(struct heap *hp, bool *uncertain)
{
    struct tally sum = {0};
    struct stacked stacks;
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        if (!ph_region_is_valid(hp, rg) || !spans_are_valid(hp, rg, &sum) ||
            (rg->packed != NULL && (!ph_packed_is_valid(rg) || (hp->debug != 0 && !ph_debug_free_is_good(hp, rg)))))
            return false;
    if (sum.live_units != hp->live_units || sum.dirty_units != hp->dirty_units || sum.guards != hp->guard_count || !ph_span_bins_are_valid(hp) ||
        !ph_span_spares_are_valid(hp) || !shard_is_valid(hp, sum.units) || !large_list_is_valid(hp) || !fields_are_valid(hp) ||
        !ph_valid_stacks(hp, &stacks))
        return false;
    *uncertain = stacks.uncertain;
    return stacks.uncertain || (stacks.sized == sum.missing && stacks.runs == sum.kept);
}

/* What a vanished thread left is put in order first: until then nobody can say what is missing. */
static bool closed_is_valid(struct heap *hp)
{
    bool uncertain;
    if (!heap_is_valid(hp, &uncertain) || (hp->stress != 0 && !ph_page_heap_freed_is_good(hp)))
        return false;
    if (!uncertain)
        return true;
    ph_local_empty_all(hp);
    return heap_is_valid(hp, &uncertain);
}

/* ---- one block -------------------------------------------------------------------------------------- */

/* A block that no entry names is found by the list of regions: then that must be good. */
static bool may_be_packed(struct heap *hp, const void *block, enum enter enter)
{
    if (ph_map_owner(block) != (hp == &ph_process_heap ? 0 : hp->id))
        return false;
    struct pass ps = ph_gate_enter_locked(hp, enter);
    ph_lock_take(&hp->span_lock);
    const bool sound = regions_are_sound(hp);
    ph_lock_give(&hp->span_lock);
    ph_gate_leave(hp, ps);
    return sound;
}

/* A block is asked for in passing. */
static bool block_is_valid(struct heap *hp, const void *block, enum enter enter)
{
    struct block_info bi;
    if (enter == ENTER_PATIENTLY)
        ph_gate_wait(hp);
    if (map_get(block) == 0 && !may_be_packed(hp, block, enter))
        return false;
    return ph_heap_look(block, &bi) == BLOCK_OK && bi.heap == hp &&
           (bi.kind != KIND_PACKED || ph_debug_tail_is_good(hp, block, bi.wanted)) &&
           (bi.kind != KIND_LARGE || ph_guard_is_valid(bi.span));
}

/* W32 3.7: the whole heap stands still. */
bool ph_walk_validate(struct heap *hp, const void *block, enum enter enter)
{
    if (block != NULL)
        return block_is_valid(hp, block, enter);
    const bool valid = ph_valid_close(hp, enter) && closed_is_valid(hp);
    ph_gate_open(hp);
    return valid;
}
