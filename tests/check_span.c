/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_span.c -- runs of units: cut out of regions, joined again, grown, shrunk, purged by amount and age. */
#include "check_room.h"
#include "options.h"

enum { MB = 1 << 20 };

static struct heap *heap;

static void setup_growing_heap(void) { heap = room_heap(0); }
static void setup_heap_of_1_mb(void) { heap = room_heap(MB); }

static void teardown_heap(void)
{
    char *nothing[] = {NULL};
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(heap);
    ph_options_read(nothing);
}

/* The memory that dead heaps left is dirty: a new heap may begin in it. */
static void setup_virgin_heap(void)
{
    heap = ph_heap_create(HEAPF_PAGED, 70 * MB, 0);
    ck_assert_ptr_nonnull(heap);
}

static struct span *take(uint32_t units)
{
    struct span *sp = ph_span_take(heap, KIND_RUN, units, 1);
    ck_assert_ptr_nonnull(sp);
    ck_assert(ph_span_is_valid(heap, sp));
    return sp;
}

static uint64_t end_of(const struct span *sp) { return sp->start + sp->units; }
static uint32_t page_units(void) { return (uint32_t)(ph_os_page_bytes() >> UNIT_BITS); }

/* Whole OS pages; what stands before them in the heap is in use. */
static struct span *take_pages(uint32_t pages)
{
    struct span *sp;
    do
        sp = take(1);
    while (end_of(sp) % page_units() != 0);
    sp = take(pages * page_units());
    ck_assert_uint_eq(sp->start % page_units(), 0);
    return sp;
}

/* As block.c does: the last entry first, under no lock. */
static void give(struct span *sp)
{
    ph_map_clear_last(sp);
    ph_span_give(heap, sp);
}

static struct span *at_unit(uint64_t unit) { return ph_span_containing(heap, ph_unit_address(unit)); }
static bool is_free(const struct span *sp) { return sp != NULL && entry_kind(sp->tag) == KIND_FREE; }

/* ---- taking ---- */

START_TEST(span_has_its_units_and_two_entries)
{
    static const uint32_t units[] = {1, 2, 3, 16, 31, 32, 33, 100, 255, 1000, 3000};
    for (int i = 0; i < COUNT(units); i++) {
        const struct span *sp = take(units[i]);
        ck_assert_uint_eq(sp->units, units[i]);
        ck_assert_uint_eq(room_kind(ph_span_start(sp)), KIND_RUN);
        ck_assert_uint_eq(ph_span_bytes(sp), (size_t)units[i] << UNIT_BITS);
        for (uint64_t unit = sp->start; unit < end_of(sp); unit++) {
            const bool named = map_get(ph_unit_address(unit)) != 0;
            ck_assert_int_eq(named, unit == sp->start || unit == end_of(sp) - 1);
            ck_assert_ptr_eq(at_unit(unit), sp);
        }
        memset(ph_span_start(sp), 0x77, ph_span_bytes(sp));
    }
}
END_TEST

START_TEST(span_stands_at_the_alignment_asked_for)
{
    for (uint32_t align = 1; align <= 256; align *= 2)
        for (uint32_t units = 1; units < 40; units += 12) {
            const struct span *sp = ph_span_take(heap, KIND_RUN, units, align);
            ck_assert_ptr_nonnull(sp);
            ck_assert_uint_eq(sp->start % align, 0);
            ck_assert_uint_eq(sp->units, units);
            ck_assert(ph_span_is_valid(heap, sp));
        }
}
END_TEST

START_TEST(what_alignment_leaves_over_is_free)
{
    (void)take(1);
    const struct span *sp = ph_span_take(heap, KIND_RUN, 4, 64);
    ck_assert(is_free(at_unit(sp->start - 1)));
    ck_assert_uint_eq(end_of(at_unit(sp->start - 1)), sp->start);
}
END_TEST

START_TEST(spans_never_stand_at_the_handle)
{
    for (int i = 0; i < 255; i++)
        ck_assert_ptr_ne(ph_span_start(take(1)), heap->handle);
    ck_assert_ptr_eq(ph_heap_of_handle(heap->handle), heap);
}
END_TEST

START_TEST(bounded_heap_ends_and_serves_again)
{
    static struct span *all[257];
    int taken = 0;
    while (taken < 257 && (all[taken] = ph_span_take(heap, KIND_RUN, 1, 1)) != NULL)
        taken++;
    ck_assert_int_eq(taken, 256); /* a bounded heap spares no unit for its handle */
    ck_assert_ptr_null(ph_span_take(heap, KIND_RUN, 1, 1));
    for (int i = 0; i < taken; i++)
        give(all[i]);
    ck_assert_ptr_nonnull(all[0] = ph_span_take(heap, KIND_RUN, 256, 1)); /* W32 4: neighbours joined */
    ck_assert_ptr_null(ph_span_take(heap, KIND_RUN, 1, 1));
}
END_TEST

START_TEST(growing_heap_grows_in_few_regions)
{
    for (int i = 0; i < 2000; i++)
        (void)take(64);
    unsigned regions = 0;
    for (const struct region *rg = heap->regions; rg != NULL; rg = rg->next)
        regions++;
    ck_assert_uint_gt(regions, 1);
    ck_assert_uint_le(regions, 10);
}
END_TEST

/* ---- joining ---- */

START_TEST(middle_joins_both_neighbours)
{
    struct span *a = take(3), *b = take(5), *c = take(7), *wall = take(1);
    const uint64_t start = a->start;
    ck_assert(end_of(a) == b->start && end_of(b) == c->start && end_of(c) == wall->start);
    give(a);
    give(c);
    give(b);
    const struct span *joined = at_unit(start + 4);
    ck_assert(is_free(joined));
    ck_assert(ph_span_is_valid(heap, joined));
    ck_assert_uint_eq(joined->start, start);
    ck_assert_uint_eq(joined->units, 15);
    for (uint64_t unit = start + 1; unit < start + 14; unit++)
        ck_assert_uint_eq(map_get(ph_unit_address(unit)), 0);
    ck_assert_ptr_eq(at_unit(wall->start), wall);
}
END_TEST

/* The order in which three neighbours are given back does not matter. */
static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

START_TEST(neighbours_join_in_any_order)
{
    struct span *before = take(1);
    struct span *part[3] = {take(1), take(2), take(4)};
    struct span *behind = take(1);
    const uint64_t start = part[0]->start;
    for (int i = 0; i < 3; i++)
        give(part[orders[_i][i]]);
    ck_assert_uint_eq(at_unit(start)->units, 7);
    ck_assert(is_free(at_unit(start)));
    ck_assert(!is_free(before) && !is_free(behind));
    ck_assert(ph_span_is_valid(heap, before) && ph_span_is_valid(heap, behind));
}
END_TEST

START_TEST(span_that_is_taken_is_not_joined)
{
    struct span *a = take(4), *b = take(4), *c = take(4);
    const uint64_t start = b->start;
    give(b);
    ck_assert_uint_eq(at_unit(start)->units, 4);
    ck_assert_ptr_eq(at_unit(start - 1), a);
    ck_assert_ptr_eq(at_unit(start + 4), c);
}
END_TEST

START_TEST(span_of_another_heap_is_not_joined)
{
    struct heap *other = room_heap(0);
    struct span *mine = take(4);
    give(mine);
    struct span *theirs = ph_span_take(other, KIND_RUN, 4, 1);
    ck_assert_ptr_null(ph_span_containing(heap, ph_span_start(theirs)));
    ck_assert(!ph_span_is_valid(heap, theirs));
    ph_heap_destroy(other);
}
END_TEST

START_TEST(rest_of_a_free_span_stays_free)
{
    struct span *a = take(20);
    (void)take(1);
    const uint64_t start = a->start;
    give(a);
    const struct span *part = take(6);
    ck_assert_uint_eq(part->start, start);
    const struct span *rest = at_unit(start + 6);
    ck_assert(is_free(rest) && ph_span_is_valid(heap, rest));
    ck_assert_uint_eq(rest->units, 14);
}
END_TEST

/* ---- states ---- */

START_TEST(memory_is_virgin_then_dirty_then_purged)
{
    const uint32_t units = 4 * page_units();
    struct span *sp = take_pages(4);
    char *at = ph_span_start(sp);
    (void)take(1);
    ck_assert_uint_eq(sp->state, SPAN_VIRGIN);
    memset(at, 1, ph_span_bytes(sp));
    give(sp);
    sp = take(units);
    ck_assert_ptr_eq(ph_span_start(sp), at);
    ck_assert_uint_eq(sp->state, SPAN_DIRTY);
    give(sp);
    ph_purge_all(heap);
    sp = take(units);
    ck_assert_ptr_eq(ph_span_start(sp), at);
    ck_assert_uint_eq(sp->state, SPAN_PURGED);
    for (size_t i = 0; i < ph_span_bytes(sp); i++)
        ck_assert_int_eq(at[i], 0);
}
END_TEST

START_TEST(dirty_and_purged_memory_joined_is_dirty)
{
    const uint32_t units = 4 * page_units();
    struct span *a = take_pages(4), *b = take(units);
    const uint64_t start = a->start;
    (void)take(1);
    give(_i ? a : b);
    ph_purge_all(heap);
    ck_assert_uint_eq(at_unit(_i ? start : start + units)->state, SPAN_PURGED);
    give(_i ? b : a);
    ck_assert_uint_eq(at_unit(start)->units, 2 * units);
    ck_assert_uint_eq(at_unit(start)->state, SPAN_DIRTY);
}
END_TEST

START_TEST(range_of_a_dead_heap_is_dirty)
{
    struct heap *dead = ph_heap_create(HEAPF_PAGED, 5 * MB, 0);
    const char *base = dead->handle;
    struct span *sp = ph_span_take(dead, KIND_RUN, 100, 1);
    memset(ph_span_start(sp), 0x99, ph_span_bytes(sp));
    ph_heap_destroy(dead);
    struct heap *next = ph_heap_create(HEAPF_PAGED, 5 * MB, 0);
    ck_assert_ptr_eq(next->handle, base);
    sp = ph_span_take(next, KIND_RUN, 100, 1);
    ck_assert_uint_eq(sp->state, SPAN_DIRTY);
    sp = ph_span_take(next, KIND_RUN, 100, 1);
    ck_assert_uint_eq(sp->state, SPAN_VIRGIN);
    ck_assert(ph_walk_validate(next, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(next);
}
END_TEST

/* ---- growing and shrinking ---- */

START_TEST(run_grows_into_the_free_span_behind)
{
    struct span *a = take(4), *b = take(10);
    (void)take(1);
    give(b);
    ck_assert(ph_span_grow(heap, a, 9));
    ck_assert_uint_eq(a->units, 9);
    ck_assert_uint_eq(a->state, SPAN_DIRTY);
    ck_assert(ph_span_is_valid(heap, a));
    ck_assert_ptr_eq(at_unit(a->start + 8), a);
    ck_assert_uint_eq(at_unit(end_of(a))->units, 5);
    ck_assert(ph_span_grow(heap, a, 14)); /* all of it */
    ck_assert(!ph_span_grow(heap, a, 15));
    ck_assert_uint_eq(a->units, 14);
}
END_TEST

START_TEST(run_grows_into_virgin_memory)
{
    struct span *a = take(4);
    ck_assert(ph_span_grow(heap, a, 100));
    ck_assert_uint_eq(a->units, 100);
    ck_assert_uint_eq(a->state, SPAN_VIRGIN);
    ck_assert(ph_span_is_valid(heap, a));
    memset(ph_span_start(a), 1, ph_span_bytes(a));
    ck_assert_uint_eq(take(1)->start, end_of(a));
}
END_TEST

START_TEST(run_does_not_grow_over_a_neighbour)
{
    struct span *a = take(4), *b = take(4), *c = take(4);
    ck_assert(!ph_span_grow(heap, a, 5));
    give(b);
    ck_assert(!ph_span_grow(heap, a, 9));
    ck_assert_uint_eq(a->units, 4);
    ck_assert(ph_span_is_valid(heap, a) && ph_span_is_valid(heap, c));
    ck_assert(is_free(at_unit(end_of(a))));
}
END_TEST

START_TEST(run_does_not_grow_beyond_its_region)
{
    struct span *a = take(4);
    const uint64_t end = (uintptr_t)heap->handle / UNIT_BYTES + 256;
    ck_assert(!ph_span_grow(heap, a, (uint32_t)(end - a->start) + 1));
    ck_assert_uint_eq(a->units, 4);
    ck_assert(ph_span_grow(heap, a, (uint32_t)(end - a->start)));
    ck_assert(!ph_span_grow(heap, a, (uint32_t)(end - a->start) + 1));
}
END_TEST

START_TEST(shrinking_gives_the_end_back)
{
    struct span *a = take(10), *b = take(5);
    (void)take(1);
    give(b);
    ph_span_shrink(heap, a, 4);
    ck_assert_uint_eq(a->units, 4);
    ck_assert(ph_span_is_valid(heap, a));
    ck_assert(is_free(at_unit(end_of(a))));
    ck_assert_uint_eq(at_unit(end_of(a))->units, 11); /* joined */
    ph_span_shrink(heap, a, 1);
    ck_assert(ph_span_is_valid(heap, a));
    ck_assert_uint_eq(at_unit(end_of(a))->units, 14);
}
END_TEST

/* ---- purging ---- */

static void read_delay(const char *variable)
{
    char text[64];
    char *environment[] = {text, NULL};
    snprintf(text, sizeof text, "%s", variable);
    ph_options_read(environment);
}

START_TEST(dirty_memory_goes_by_age)
{
    struct span *sp[64]; /* with large OS pages more would go at once */
    read_delay(_i ? "PRIVHEAP_PURGE_DELAY=0" : "PRIVHEAP_PURGE_DELAY=60000");
    (void)take(1);
    ph_purge_all(heap);
    ck_assert_uint_eq(room_sums(heap).dirty_bytes, 0);
    heap->gives = 0; /* an earlier heap of this descriptor may have counted */
    for (int i = 0; i < 64; i++) /* the first sweep of a heap */
        give(take(2));
    for (int i = 0; i < 64; i++)
        sp[i] = take_pages(1);
    ph_purge_all(heap);
    for (int i = 0; i < 64; i += 2)
        give(sp[i]);
    const uint64_t dirty = room_sums(heap).dirty_bytes;
    ck_assert_uint_eq(dirty, _i ? 0 : 32 * ph_os_page_bytes());
}
END_TEST

/* Who frees all and goes to sleep leaves little; who came back for what was freed finds it. */
START_TEST(of_too_much_dirty_memory_some_goes_at_once)
{
    enum { RUNS = 256, UNITS = 60, KEEP_MB = 2 }; /* none is long */
    static struct span *sp[RUNS];
    read_delay("PRIVHEAP_PURGE_DELAY=60000");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < RUNS; i++)
            sp[i] = take(UNITS);
        for (int i = 0; i < RUNS; i++)
            give(sp[i]);
        if (round == 0)
            ck_assert_uint_le(room_sums(heap).dirty_bytes, (KEEP_MB + KEEP_MB / 2) * MB);
    }
    ck_assert_uint_ge(room_sums(heap).dirty_bytes, RUNS * UNITS / 2 * UNIT_BYTES);
}
END_TEST

/* The old places of a block that grows: each is too short for the next. */
START_TEST(long_span_goes_at_once_unless_the_heap_comes_back_for_such)
{
    enum { UNITS = RUN_KEEP_UNITS + 16, LEAST = RUN_KEEP_UNITS / 2 * UNIT_BYTES };
    read_delay("PRIVHEAP_PURGE_DELAY=60000");
    struct span *keep = take(16), *sp = take(UNITS);
    give(sp);
    ck_assert_uint_eq(room_sums(heap).dirty_bytes, 0);
    give(take(UNITS));
    ck_assert_uint_ge(room_sums(heap).dirty_bytes, LEAST);
    give(take(UNITS));
    ck_assert_uint_ge(room_sums(heap).dirty_bytes, LEAST);
    ph_purge_all(heap);
    heap->long_credit = 0;
    sp = take(RUN_KEEP_UNITS); /* threads keep such: not so long */
    give(sp);
    ck_assert_uint_ge(room_sums(heap).dirty_bytes, LEAST);
    give(keep);
}
END_TEST

/* Little of much is not worth a call. */
START_TEST(long_span_stays_while_little_is_dirty)
{
    enum { UNITS = RUN_KEEP_UNITS + 16, LEAST = RUN_KEEP_UNITS / 2 * UNIT_BYTES };
    read_delay("PRIVHEAP_PURGE_DELAY=60000");
    struct span *keep = take(20 * UNITS), *sp = take(UNITS);
    give(sp);
    ck_assert_uint_ge(room_sums(heap).dirty_bytes, LEAST);
    give(keep);
}
END_TEST

START_TEST(purge_leaves_no_dirty_memory_and_no_live_byte_changed)
{
    struct span *sp[30];
    for (int i = 0; i < 30; i++)
        memset(ph_span_start(sp[i] = take(1 + (uint32_t)i)), i + 1, UNIT_BYTES);
    struct span *whole = take_pages(2); /* where OS pages are large, the others have none */
    (void)take(1);
    for (int i = 0; i < 30; i += 2)
        give(sp[i]);
    give(whole);
    ck_assert_uint_gt(room_sums(heap).dirty_bytes, 0);
    ph_purge_all(heap);
    ck_assert_uint_eq(room_sums(heap).dirty_bytes, 0);
    for (int i = 1; i < 30; i += 2)
        ck_assert_int_eq(*(char *)ph_span_start(sp[i]), i + 1);
}
END_TEST

/* ---- looking ---- */

START_TEST(containing_finds_nothing_outside)
{
    const struct span *sp = take(4);
    int on_stack;
    ck_assert_ptr_null(ph_span_containing(heap, NULL));
    ck_assert_ptr_null(ph_span_containing(heap, &on_stack));
    ck_assert_ptr_null(ph_span_containing(heap, heap->handle)); /* the unit of the handle */
    ck_assert_ptr_null(at_unit(end_of(sp)));                    /* virgin */
    ck_assert_ptr_eq(ph_span_containing(heap, (char *)ph_span_start(sp) + 4 * UNIT_BYTES - 1), sp);
}
END_TEST

static void entry_of_another_kind_at_the_end(const struct span *sp)
{
    struct span other = *sp;
    other.tag ^= 1;
    ph_map_ends(&other);
    other.tag ^= 1;
    ph_map_first(&other);
}

static void damage(struct span *sp, int how)
{
    switch (how) {
    case 0: sp->units = sp->units - 1; break;
    case 1: sp->units = 0; break;
    case 2: sp->start = sp->start + 1; break;
    case 3: sp->self ^= 1; break;
    case 4: sp->tag ^= 1; break;
    case 5: sp->tag ^= 0x100; break;
    case 6: ph_map_clear_first(sp); break;
    case 7: ph_map_clear_last(sp); break;
    default: entry_of_another_kind_at_the_end(sp); break;
    }
}

START_TEST(valid_rejects_damage)
{
    struct span *sp = take(5);
    const struct span before = *sp;
    ck_assert(ph_span_is_valid(heap, sp));
    damage(sp, _i);
    ck_assert(!ph_span_is_valid(heap, sp));
    *sp = before;
    ph_map_ends(sp);
    ck_assert(ph_span_is_valid(heap, sp));
}
END_TEST

/* ---- ends of regions ---- */

START_TEST(unused_end_of_a_region_goes_back)
{
    struct span *first = NULL, *last = NULL;
    while (heap->regions->next == NULL || last == NULL) {
        struct span *sp = take(16);
        first = heap->regions->next != NULL && first == NULL ? sp : first;
        last = sp != first && first != NULL ? sp : NULL;
    }
    struct region *rg = heap->regions->next;
    const uint64_t others = heap->reserved_units - rg->units;
    const uint32_t keep = (rg->first + 16 + 15) / 16 * 16;
    ck_assert_ptr_eq(ph_span_start(first), ph_region_unit(rg, rg->first));
    memset(ph_span_start(first), 0x77, ph_span_bytes(first));
    memset(ph_span_start(last), 0x77, ph_span_bytes(last));
    give(last);
    ck_assert(!ph_span_retreat(heap, heap->reserved_units)); /* would be of no use to a request so large */
    const char *gone = ph_region_unit(rg, keep);
    ck_assert(ph_span_retreat(heap, 1));
    ck_assert_uint_eq(rg->units, keep);
    ck_assert_uint_eq(rg->top, keep);
    ck_assert_uint_eq(heap->reserved_units, others + keep);
    ck_assert_uint_eq(ph_map_owner(gone), 0);
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ck_assert(!ph_span_retreat(heap, 1)); /* nothing is left to go */
    ck_assert_ptr_eq(take(keep - 16 - rg->first), at_unit(end_of(first)));
    ck_assert_int_eq(*(const char *)ph_span_start(first), 0x77);
    const struct span *more = take(16);
    ck_assert_ptr_ne(ph_region_of(heap, ph_span_start(more)), rg);
    memset(ph_span_start(more), 0x77, ph_span_bytes(more));
}
END_TEST

START_TEST(bounded_heap_keeps_its_end)
{
    const uint64_t before = heap->reserved_units;
    give(take(100));
    ck_assert(!ph_span_retreat(heap, 1));
    ck_assert_uint_eq(heap->reserved_units, before);
}
END_TEST

/* ---- a random life, with a shadow of who has which unit ---- */

enum { SLOTS = 150, SHADOW_UNITS = 1 << 16, STEPS = 20000 };

static struct span *slot[SLOTS];
static uint8_t owner_of[SHADOW_UNITS]; /* by unit modulo; regions of a test lie closer than that, or apart */

static void shadow(const struct span *sp, uint8_t from, uint8_t to)
{
    for (uint64_t unit = sp->start; unit < end_of(sp); unit++) {
        uint8_t *owner = &owner_of[unit % SHADOW_UNITS];
        if (*owner != from) ck_abort_msg("unit %#lx has owner %d, not %d", (unsigned long)unit, *owner, from);
        *owner = to;
    }
}

static void fill_slot(int i, uint32_t random)
{
    const uint32_t units = random % 8 == 0 ? 1 + random / 8 % 120 : 1 + random / 8 % 12;
    slot[i] = ph_span_take(heap, KIND_RUN, units, random % 16 == 3 ? 16 : 1);
    if (slot[i] == NULL) return; /* the heap is full */
    ck_assert_uint_ge(slot[i]->units, units);
    shadow(slot[i], 0, (uint8_t)(i + 1));
}

static void resize_slot(int i, uint32_t units)
{
    shadow(slot[i], (uint8_t)(i + 1), 0);
    if (units > slot[i]->units)
        (void)ph_span_grow(heap, slot[i], units);
    else if (units < slot[i]->units)
        ph_span_shrink(heap, slot[i], units);
    shadow(slot[i], 0, (uint8_t)(i + 1));
}

static void empty_slot(int i)
{
    shadow(slot[i], (uint8_t)(i + 1), 0);
    give(slot[i]);
    slot[i] = NULL;
}

static void one_region_is_one_free_span(const struct region *rg)
{
    if (rg->top == rg->first) return;
    const struct span *all = ph_span_containing(heap, ph_region_unit(rg, rg->first));
    ck_assert(is_free(all));
    ck_assert_ptr_eq(ph_span_start(all), ph_region_unit(rg, rg->first));
    ck_assert_uint_eq(all->units, rg->top - rg->first);
}

START_TEST(random_life_overlaps_nothing_and_ends_joined)
{
    uint64_t random = (uint64_t)_i + 1;
    memset(owner_of, 0, sizeof owner_of);
    memset(slot, 0, sizeof slot);
    for (int step = 0; step < STEPS; step++) {
        const int i = (int)(room_random(&random) % SLOTS);
        if (slot[i] == NULL)
            fill_slot(i, room_random(&random));
        else if (room_random(&random) % 3 == 0)
            resize_slot(i, 1 + room_random(&random) % 20);
        else
            empty_slot(i);
        if (step % 1000 == 999) ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
        if (step % 5000 == 4999) ph_purge_all(heap);
        if (step % 3000 == 2999) (void)ph_span_retreat(heap, 1);
    }
    for (int i = 0; i < SLOTS; i++)
        if (slot[i] != NULL) empty_slot(i);
    for (const struct region *rg = heap->regions; rg != NULL; rg = rg->next)
        one_region_is_one_free_span(rg);
    ck_assert_uint_eq(room_sums(heap).live_blocks, 0);
}
END_TEST

static void add_taking(Suite *suite)
{
    TCase *take_case = room_case(suite, "take", setup_growing_heap, teardown_heap);
    tcase_add_test(take_case, span_has_its_units_and_two_entries);
    tcase_add_test(take_case, span_stands_at_the_alignment_asked_for);
    tcase_add_test(take_case, what_alignment_leaves_over_is_free);
    tcase_add_test(take_case, spans_never_stand_at_the_handle);
    tcase_add_test(take_case, growing_heap_grows_in_few_regions);
    tcase_add_test(take_case, unused_end_of_a_region_goes_back);
    TCase *bounded = room_case(suite, "bound", setup_heap_of_1_mb, teardown_heap);
    tcase_add_test(bounded, bounded_heap_ends_and_serves_again);
    tcase_add_test(bounded, run_does_not_grow_beyond_its_region);
    tcase_add_test(bounded, bounded_heap_keeps_its_end);
}

static void add_giving(Suite *suite)
{
    TCase *join = room_case(suite, "give", setup_virgin_heap, teardown_heap);
    tcase_add_test(join, middle_joins_both_neighbours);
    tcase_add_loop_test(join, neighbours_join_in_any_order, 0, COUNT(orders));
    tcase_add_test(join, span_that_is_taken_is_not_joined);
    tcase_add_test(join, span_of_another_heap_is_not_joined);
    tcase_add_test(join, rest_of_a_free_span_stays_free);
    tcase_add_test(join, memory_is_virgin_then_dirty_then_purged);
    tcase_add_loop_test(join, dirty_and_purged_memory_joined_is_dirty, 0, 2);
    tcase_add_test(join, range_of_a_dead_heap_is_dirty);
    TCase *resize = room_case(suite, "grow, shrink", setup_virgin_heap, teardown_heap);
    tcase_add_test(resize, run_grows_into_the_free_span_behind);
    tcase_add_test(resize, run_grows_into_virgin_memory);
    tcase_add_test(resize, run_does_not_grow_over_a_neighbour);
    tcase_add_test(resize, shrinking_gives_the_end_back);
}

int main(void)
{
    Suite *suite = suite_create("span");
    add_taking(suite);
    add_giving(suite);
    TCase *purge = room_case(suite, "purge", setup_virgin_heap, teardown_heap);
    tcase_add_loop_test(purge, dirty_memory_goes_by_age, 0, 2);
    tcase_add_test(purge, of_too_much_dirty_memory_some_goes_at_once);
    tcase_add_test(purge, long_span_goes_at_once_unless_the_heap_comes_back_for_such);
    tcase_add_test(purge, long_span_stays_while_little_is_dirty);
    tcase_add_test(purge, purge_leaves_no_dirty_memory_and_no_live_byte_changed);
    TCase *look = room_case(suite, "containing, valid", setup_virgin_heap, teardown_heap);
    tcase_add_test(look, containing_finds_nothing_outside);
    tcase_add_loop_test(look, valid_rejects_damage, 0, 9);
    TCase *life = room_case(suite, "life", setup_growing_heap, teardown_heap);
    tcase_add_loop_test(life, random_life_overlaps_nothing_and_ends_joined, 0, 4);
    TCase *small_life = room_case(suite, "life in a small heap", setup_heap_of_1_mb, teardown_heap);
    tcase_add_loop_test(small_life, random_life_overlaps_nothing_and_ends_joined, 4, 8);
    return room_run(suite);
}
