/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* reach.c -- at the end of the process: which live blocks nobody points to any more.
 *
 * Owns:    the list of live blocks, by address; that of regions; what was reached.
 * Calls:   walk.c for what lives, reachroots.c for what is mapped where and what it holds.
 * Locks:   the gates of all heaps, until all is looked at: another thread that wants one waits, and stands there.
 * Always:  in doubt a block is not lost: whatever looks like a pointer to it, into it or right behind it counts as one, in
 *          what the program can write, on the stacks, in registers, or in a block that is reached.
 * Why:     memory of a heap is looked at only where a live block is, and only when that is reached: what stands in
 *          free memory points to nothing any more. */
#include "reach.h"

#include "reachroots.h"
#include "reachstop.h"

#include "../lib/internal.h"

enum { SPARE = 4096, HEAPS_MOST = 4096, LARGE_BLOCK = 1 << 20 };
enum mark { MARK_REACHED = 1, MARK_HELD = 2, MARK_SEEN = 4 };
enum phase { PHASE_ROOTS, PHASE_HELD, PHASE_SEEN };

struct range {
    uintptr_t at;
    uint64_t bytes : 56, mark : 8;
};
struct list {
    struct range *range;
    size_t count, room;
};

static struct heap *heap[HEAPS_MOST]; /* closed */
static unsigned heap_count;
static struct list live, regions;
static uint32_t *pending;
static size_t pending_count;
static enum phase phase;
static size_t current; /* PHASE_HELD: whose words are looked at */

/* ---- what lives ------------------------------------------------------------------------------------- */

static void count_one(char *at, size_t bytes, void *with)
{
    (void)at, (void)bytes;
    ((struct list *)with)->room++;
}
static void count_live(char *at, size_t bytes, void *with) { (void)with, count_one(at, bytes, &live); }
static void count_region(char *at, size_t bytes, void *with) { (void)with, count_one(at, bytes, &regions); }

static void enter(struct list *to, char *at, size_t bytes)
{
    if (to->count < to->room)
        to->range[to->count] = (struct range){.at = (uintptr_t)at, .bytes = bytes};
    to->count++;
}
static void enter_live(char *at, size_t bytes, void *with) { (void)with, enter(&live, at, bytes); }
static void enter_region(char *at, size_t bytes, void *with) { (void)with, enter(&regions, at, bytes); }

/* The process heap is the first; what is made from now on is at its beginning. */
static void heaps_close(void)
{
    static void *handle[HEAPS_MOST];
    const unsigned count = ph_heap_list(handle, HEAPS_MOST);
    heap[heap_count++] = &ph_process_heap;
    for (unsigned i = 0; i < count && heap_count < HEAPS_MOST; i++) {
        struct heap *hp = ph_heap_of_handle(handle[i]);
        if (hp != NULL && hp != &ph_process_heap)
            heap[heap_count++] = hp;
    }
    for (unsigned i = 0; i < heap_count; i++)
        ph_walk_close(heap[i], ENTER_UNLOCKED);
}

static void heaps_open(void)
{
    while (heap_count > 0)
        ph_gate_open(heap[--heap_count]);
}

static void each_heap(ph_walk_visit *block, ph_walk_visit *region)
{
    for (unsigned i = 0; i < heap_count; i++)
        ph_walk_live(heap[i], block, region, NULL);
}

/* By address, a byte of it after the other; a byte that is the same in all changes nothing. */
static void sort(struct list *of, struct range *other)
{
    enum { DIGIT = 8, DIGITS = 1 << DIGIT };
    for (unsigned shift = 0; shift < 64; shift += DIGIT) {
        size_t where[DIGITS] = {0}, sum = 0;
        for (size_t i = 0; i < of->count; i++)
            where[of->range[i].at >> shift & (DIGITS - 1)]++;
        if (of->count == 0 || where[of->range[0].at >> shift & (DIGITS - 1)] == of->count)
            continue;
        for (unsigned i = 0; i < DIGITS; i++) {
            const size_t count = where[i];
            where[i] = sum;
            sum += count;
        }
        for (size_t i = 0; i < of->count; i++)
            other[where[of->range[i].at >> shift & (DIGITS - 1)]++] = of->range[i];
        struct range *const sorted = other;
        other = of->range;
        of->range = sorted;
    }
}

/* Large blocks come and go beside the gate: there is some room for more of them. */
static bool collect(void)
{
    each_heap(count_live, count_region);
    live.room += live.room / 8 + SPARE;
    regions.room += SPARE;
    live.range = ph_roots_memory(live.room * sizeof *live.range);
    regions.range = ph_roots_memory(regions.room * sizeof *regions.range);
    struct range *other = ph_roots_memory(live.room * sizeof *other), *second = ph_roots_memory(regions.room * sizeof *second);
    pending = ph_roots_memory(live.room * sizeof *pending);
    if (live.range == NULL || regions.range == NULL || other == NULL || second == NULL || pending == NULL ||
        live.room > UINT32_MAX)
        return false;
    each_heap(enter_live, enter_region);
    if (live.count > live.room || regions.count > regions.room)
        return false;
    sort(&live, other);
    sort(&regions, second);
    return true;
}

/* The last that begins at or before an address; its count: none. */
static size_t at_or_before(const struct list *of, uintptr_t at)
{
    size_t low = 0, high = of->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (of->range[middle].at <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low != 0 ? low - 1 : of->count;
}

static bool has_some(const struct list *of, uintptr_t from, uintptr_t to)
{
    const size_t i = at_or_before(of, to - 1);
    return i != of->count && (of->range[i].at >= from || from - of->range[i].at < of->range[i].bytes);
}

bool ph_reach_knows(uintptr_t from, uintptr_t to) { return has_some(&regions, from, to) || has_some(&live, from, to); }

/* ---- what is pointed to ------------------------------------------------------------------------------ */

static void mark(size_t i, enum mark as)
{
    live.range[i].mark |= as;
    pending[pending_count++] = (uint32_t)i;
}

static void reach(size_t i)
{
    const unsigned marks = live.range[i].mark;
    if (phase == PHASE_ROOTS) {
        if (!(marks & MARK_REACHED))
            mark(i, MARK_REACHED);
    } else if (phase == PHASE_HELD) {
        if (i != current)
            live.range[i].mark |= MARK_HELD;
    } else if (!(marks & (MARK_REACHED | MARK_SEEN))) {
        mark(i, MARK_SEEN);
    }
}

/* Right behind a block is still its own, unless another begins there. */
void ph_reach_words(const uintptr_t *word, size_t count)
{
    const uintptr_t first = live.range[0].at, last = live.range[live.count - 1].at + live.range[live.count - 1].bytes;
    for (size_t n = 0; n < count; n++) {
        if (word[n] < first || word[n] > last)
            continue;
        const size_t i = at_or_before(&live, word[n]);
        if (word[n] - live.range[i].at <= live.range[i].bytes)
            reach(i);
    }
}

static void look_into(size_t i)
{
    const uintptr_t at = live.range[i].at;
    ph_roots_read(at, at + live.range[i].bytes, live.range[i].bytes > LARGE_BLOCK);
}

static void follow(void)
{
    while (pending_count > 0)
        look_into(pending[--pending_count]);
}

/* ---- what is lost ------------------------------------------------------------------------------------ */

static void visit_one(size_t i, bool is_held, uint64_t held, uint64_t held_bytes, ph_lost_visit *visit, void *with)
{
    const struct lost lo = {.block = (const void *)live.range[i].at, .bytes = live.range[i].bytes, .is_held = is_held,
                            .held = held, .held_bytes = held_bytes};
    visit(&lo, with);
}

/* One that is lost, and all that it leads to. */
static void visit_head(size_t head, ph_lost_visit *visit, void *with)
{
    uint64_t held = 0, held_bytes = 0;
    live.range[head].mark |= MARK_SEEN;
    look_into(head);
    while (pending_count > 0) {
        const size_t i = pending[--pending_count];
        held++;
        held_bytes += live.range[i].bytes;
        visit_one(i, true, 0, 0, visit, with);
        look_into(i);
    }
    visit_one(head, false, held, held_bytes, visit, with);
}

/* First those that no other lost one points to; then what is left points to each other in a circle. */
static void visit_lost(ph_lost_visit *visit, void *with)
{
    phase = PHASE_HELD;
    for (current = 0; current < live.count; current++)
        if (!(live.range[current].mark & MARK_REACHED))
            look_into(current);
    phase = PHASE_SEEN;
    for (unsigned not_before = 0; not_before <= MARK_HELD; not_before += MARK_HELD)
        for (size_t i = 0; i < live.count; i++)
            if (!(live.range[i].mark & (MARK_REACHED | MARK_SEEN)) && (live.range[i].mark & MARK_HELD) == not_before)
                visit_head(i, visit, with);
}

static bool look(uintptr_t here)
{
    size_t words;
    phase = PHASE_ROOTS;
    ph_threads_stop();
    const bool looked = ph_roots_look(here);
    const uintptr_t *word = ph_threads_registers(&words);
    ph_reach_words(word, words);
    follow();
    ph_threads_go();
    return looked;
}

bool ph_reach_lost(uintptr_t here, ph_lost_visit *visit, void *with)
{
    if (ph_is_nested())
        return false; /* a handler ends the process, in the middle of an operation */
    heaps_close();
    const bool looked = collect() && (live.count == 0 || look(here));
    heaps_open();
    if (looked && live.count > 0)
        visit_lost(visit, with);
    return looked;
}
