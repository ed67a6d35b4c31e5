/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_map.c -- the page map: what is written is read back, at every edge of leaf and piece, and nothing
 * else is there.  The addresses are made up: the map never touches them. */
#include "check_room.h"

#include <pthread.h>

enum { GB_BITS = 30, PIECE_UNITS = 8192, TAG = 0xfedc00 | KIND_RUN, SELF = 0x2abcdef };

/* First unit of a GB that no process of today has anything in. */
#define FAR_UNIT ((uint64_t)0x5000 << (GB_BITS - UNIT_BITS))

static struct span span; /* what the tests describe */

static void describe(uint64_t start, unsigned units)
{
    span = (struct span){.tag = TAG, .self = SELF};
    span.start = start;
    span.units = units;
    ck_assert(ph_map_prepare(ph_unit_address(start - 1), ((size_t)units + 2) << UNIT_BITS));
}

static uint64_t entry_of(uint64_t unit) { return map_get(ph_unit_address(unit)); }

static bool names_the_span(uint64_t unit)
{
    const uint64_t entry = entry_of(unit);
    return (uint32_t)entry == TAG && entry_span(entry) == SELF;
}

/* How many of its units, and the one before and behind, have an entry. */
static unsigned units_with_entry(void)
{
    unsigned count = 0;
    for (uint64_t unit = span.start - 1; unit <= span.start + span.units; unit++)
        count += entry_of(unit) != 0;
    return count;
}

/* Where spans lie: inside a piece, over the edge of two pieces, of two leaves; one unit, few, many. */
static const struct {
    uint64_t start;
    unsigned units;
} places[] = {
    {FAR_UNIT + 100, 1},
    {FAR_UNIT + 100, 2},
    {FAR_UNIT + 100, 16},
    {FAR_UNIT + PIECE_UNITS - 1, 1},
    {FAR_UNIT + PIECE_UNITS, 1},
    {FAR_UNIT + PIECE_UNITS - 7, 16},
    {FAR_UNIT + (1 << (GB_BITS - UNIT_BITS)) - 1, 2},
    {FAR_UNIT + (1 << (GB_BITS - UNIT_BITS)) - 7, 16},
    {FAR_UNIT + (1 << (GB_BITS - UNIT_BITS)), 3},
};

/* ---- reading ---- */

static int in_data;

START_TEST(memory_of_others_has_no_entry)
{
    int on_stack = 0;
    void *of_libc = malloc(100);
    ck_assert_uint_eq(map_get(&on_stack), 0);
    ck_assert_uint_eq(map_get(&in_data), 0);
    ck_assert_uint_eq(map_get(of_libc), 0);
    ck_assert_uint_eq(map_get(NULL), 0);
    free(of_libc);
}
END_TEST

static const uint64_t no_addresses[] = {
    1ULL << MAP_ADDRESS_BITS, (1ULL << MAP_ADDRESS_BITS) + 4096, 1ULL << 49, 1ULL << 56, 1ULL << 63, 0xffff800000000000, UINT64_MAX - 15, UINT64_MAX,
};

START_TEST(addresses_beyond_user_space_have_no_entry)
{
    ck_assert_uint_eq(map_get((void *)(uintptr_t)no_addresses[_i]), 0);
}
END_TEST

START_TEST(last_address_of_user_space_can_be_read)
{
    ck_assert_uint_eq(map_get((void *)(uintptr_t)((1ULL << MAP_ADDRESS_BITS) - 1)), 0);
}
END_TEST

/* ---- preparing ---- */

START_TEST(prepare_refuses_what_reaches_beyond_user_space)
{
    char *last = (char *)(uintptr_t)((1ULL << MAP_ADDRESS_BITS) - UNIT_BYTES);
    ck_assert(!ph_map_prepare(last, 2 * UNIT_BYTES));
    ck_assert(!ph_map_prepare(last + UNIT_BYTES, UNIT_BYTES));
    ck_assert(ph_map_prepare(last, UNIT_BYTES));
    ck_assert_uint_eq(map_get(last), 0);
}
END_TEST

START_TEST(prepared_entries_are_empty)
{
    describe(places[_i].start, places[_i].units);
    ck_assert_uint_eq(units_with_entry(), 0);
}
END_TEST

static void prepare_without_memory(void *nothing)
{
    (void)nothing;
    room_limit(1 << 20);
    CHILD_NEEDS(!ph_map_prepare((void *)((uintptr_t)0x6000 << GB_BITS), UNIT_BYTES));
}

START_TEST(prepare_fails_where_a_leaf_has_no_room) { room_lives(prepare_without_memory, NULL); }
END_TEST

/* ---- writing ---- */

START_TEST(fill_names_every_unit_and_its_place)
{
    describe(places[_i].start, places[_i].units);
    ph_map_fill(&span);
    ck_assert_uint_eq(units_with_entry(), span.units);
    for (unsigned i = 0; i < span.units; i++) {
        const char *at = ph_unit_address(span.start + i);
        ck_assert(names_the_span(span.start + i));
        ck_assert_uint_eq(entry_distance(map_get(at), at), ((span.units - i) & 63) * UNIT_BYTES);
        ck_assert_uint_eq(entry_distance(map_get(at + 4095), at + 4095), ((span.units - i) & 63) * UNIT_BYTES - 4095u);
    }
    ph_map_clear(&span);
    ck_assert_uint_eq(units_with_entry(), 0);
}
END_TEST

START_TEST(entry_gives_kind_heap_and_span_apart)
{
    describe(FAR_UNIT + 5, 1);
    ph_map_first(&span);
    const uint64_t entry = entry_of(span.start);
    ck_assert_uint_eq(entry_kind(entry), KIND_RUN);
    ck_assert_uint_eq(entry_heap(entry), 0xfedc);
    ck_assert_uint_eq(entry_span(entry), SELF);
    ph_map_clear(&span);
}
END_TEST

START_TEST(ends_names_the_first_and_the_last_unit_only)
{
    describe(places[_i].start, places[_i].units);
    ph_map_ends(&span);
    ck_assert(names_the_span(span.start));
    ck_assert(names_the_span(span.start + span.units - 1));
    ck_assert_uint_eq(units_with_entry(), span.units > 1 ? 2 : 1);
    ph_map_clear_ends(&span);
    ck_assert_uint_eq(units_with_entry(), 0);
}
END_TEST

START_TEST(first_names_the_first_unit_only)
{
    describe(places[_i].start, places[_i].units);
    ph_map_first(&span);
    ck_assert(names_the_span(span.start));
    ck_assert_uint_eq(units_with_entry(), 1);
    ph_map_clear_first(&span);
    ck_assert_uint_eq(units_with_entry(), 0);
}
END_TEST

START_TEST(sized_page_is_named_by_the_cell_of_its_codes)
{
    uint32_t cell = 0;
    for (int i = 0; i < 1500; i++) /* some of them in another chunk */
        cell = ph_pool_take(ph_pool_of(64));
    struct size_cell *codes = ph_cell_at(cell);
    codes->span = SELF;
    describe(FAR_UNIT + 5, 3);
    span.tag = 0xfedc00 | KIND_SIZED;
    span.cell = cell;
    ph_map_fill(&span);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_ptr_eq(entry_cell(entry_of(span.start + i)), codes);
        ck_assert_uint_eq(entry_span(entry_of(span.start + i)), SELF);
    }
    ph_map_clear(&span);
    ph_pool_give(ph_pool_of(64), cell);
}
END_TEST

/* ---- owners ---- */

enum { GRANULE = 65536 };

static const struct {
    uintptr_t base;
    size_t bytes;
} ranges[] = {
    {(uintptr_t)0x5002 << GB_BITS, GRANULE},
    {((uintptr_t)0x5002 << GB_BITS) + 7 * GRANULE, 1},          /* a region smaller than 64 KB */
    {((uintptr_t)0x5002 << GB_BITS) + 9 * GRANULE, 5 * GRANULE + 4096},
    {((uintptr_t)0x5003 << GB_BITS) - 2 * GRANULE, 4 * GRANULE}, /* over the edge of two leaves */
    {(uintptr_t)0x5004 << GB_BITS, (size_t)2 << GB_BITS},
};

START_TEST(owner_is_said_for_each_byte_of_its_range)
{
    const char *base = (const char *)ranges[_i].base, *last = base + ranges[_i].bytes - 1;
    ck_assert(ph_map_prepare(base - GRANULE, ranges[_i].bytes + 2 * GRANULE));
    ph_map_disown(base - GRANULE, 1);
    ck_assert_uint_eq(ph_map_owner(base), 0);
    ck_assert(ph_map_own(base, ranges[_i].bytes, 0xfedc));
    for (size_t at = 0; at < ranges[_i].bytes; at += ranges[_i].bytes > 1 << GB_BITS ? 1001 * GRANULE + 5 : 4095)
        ck_assert_uint_eq(ph_map_owner(base + at), 0xfedc);
    ck_assert_uint_eq(ph_map_owner(last), 0xfedc);
    ck_assert_uint_eq(ph_map_owner(base - 1), 0);
    ck_assert_uint_eq(ph_map_owner(last + GRANULE), 0);
    ck_assert_uint_eq(map_get(base), 0); /* they stand beside the entries */
    ph_map_disown(base, ranges[_i].bytes);
    ck_assert_uint_eq(ph_map_owner(base), 0);
    ck_assert_uint_eq(ph_map_owner(last), 0);
}
END_TEST

static void end_ownership_without_mprotect(void *nothing)
{
    (void)nothing;
    for (int gb = 0; gb < 2; gb++) {
        const char *base = (const char *)((uintptr_t)(0x5006 + gb) << GB_BITS);
        CHILD_NEEDS(ph_map_prepare(base, GRANULE) && ph_map_own(base, GRANULE, 7));
    }
    if (!room_refuses(__NR_mprotect))
        return; /* not here */
    for (int gb = 0; gb < 2; gb++) {
        const char *base = (const char *)((uintptr_t)(0x5006 + gb) << GB_BITS);
        ph_map_disown(base, GRANULE);
        CHILD_NEEDS(ph_map_owner(base) == 0);
    }
}

START_TEST(a_range_can_be_given_up_while_the_system_refuses_all)
{
    ck_assert_int_eq(room_child(end_ownership_without_mprotect, NULL).status, 0);
}
END_TEST

START_TEST(memory_of_others_and_no_addresses_have_no_owner)
{
    int on_stack = 0;
    ck_assert_uint_eq(ph_map_owner(&on_stack), 0);
    ck_assert_uint_eq(ph_map_owner(&in_data), 0);
    ck_assert_uint_eq(ph_map_owner(NULL), 0);
    for (int i = 0; i < COUNT(no_addresses); i++)
        ck_assert_uint_eq(ph_map_owner((void *)(uintptr_t)no_addresses[i]), 0);
}
END_TEST

/* ---- clearing ---- */

START_TEST(clear_inner_leaves_the_first_unit)
{
    describe(places[_i].start, places[_i].units);
    ph_map_fill(&span);
    ph_map_clear_inner(&span);
    ck_assert(names_the_span(span.start));
    ck_assert_uint_eq(units_with_entry(), 1);
    ph_map_clear(&span);
}
END_TEST

START_TEST(clear_last_leaves_the_first_unit_of_one)
{
    describe(places[_i].start, places[_i].units);
    ph_map_fill(&span);
    ph_map_clear_last(&span);
    ck_assert(names_the_span(span.start));
    ck_assert_uint_eq(units_with_entry(), span.units > 1 ? span.units - 1 : 1);
    ph_map_clear(&span);
}
END_TEST

/* ---- the lock ---- */

static uint32_t started, done;

static void *prepare_in_thread(void *nothing)
{
    (void)nothing;
    __atomic_store_n(&started, 1, __ATOMIC_SEQ_CST);
    (void)ph_map_prepare(ph_unit_address(FAR_UNIT), UNIT_BYTES);
    __atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

START_TEST(prepare_waits_for_the_map_lock)
{
    pthread_t thread;
    started = done = 0;
    ph_map_fork_lock();
    ck_assert_int_eq(pthread_create(&thread, NULL, prepare_in_thread, NULL), 0);
    while (!__atomic_load_n(&started, __ATOMIC_SEQ_CST))
        ph_os_yield();
    for (int i = 0; i < 50; i++)
        ph_os_yield();
    const uint32_t too_early = __atomic_load_n(&done, __ATOMIC_SEQ_CST);
    ph_map_fork_unlock();
    pthread_join(thread, NULL);
    ck_assert_uint_eq(too_early, 0);
    ck_assert_uint_eq(done, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("map");
    TCase *get = tcase_create("get");
    tcase_add_test(get, memory_of_others_has_no_entry);
    tcase_add_loop_test(get, addresses_beyond_user_space_have_no_entry, 0, COUNT(no_addresses));
    tcase_add_test(get, last_address_of_user_space_can_be_read);
    suite_add_tcase(suite, get);
    TCase *prepare = tcase_create("prepare");
    tcase_add_test(prepare, prepare_refuses_what_reaches_beyond_user_space);
    tcase_add_loop_test(prepare, prepared_entries_are_empty, 0, COUNT(places));
    tcase_add_test(prepare, prepare_fails_where_a_leaf_has_no_room);
    tcase_add_test(prepare, prepare_waits_for_the_map_lock);
    suite_add_tcase(suite, prepare);
    TCase *set = tcase_create("set");
    tcase_add_loop_test(set, fill_names_every_unit_and_its_place, 0, COUNT(places));
    tcase_add_test(set, entry_gives_kind_heap_and_span_apart);
    tcase_add_loop_test(set, ends_names_the_first_and_the_last_unit_only, 0, COUNT(places));
    tcase_add_loop_test(set, first_names_the_first_unit_only, 0, COUNT(places));
    tcase_add_test(set, sized_page_is_named_by_the_cell_of_its_codes);
    suite_add_tcase(suite, set);
    TCase *owners = tcase_create("own");
    tcase_add_loop_test(owners, owner_is_said_for_each_byte_of_its_range, 0, COUNT(ranges));
    tcase_add_test(owners, a_range_can_be_given_up_while_the_system_refuses_all);
    tcase_add_test(owners, memory_of_others_and_no_addresses_have_no_owner);
    suite_add_tcase(suite, owners);
    TCase *clear = tcase_create("clear");
    tcase_add_loop_test(clear, clear_inner_leaves_the_first_unit, 0, COUNT(places));
    tcase_add_loop_test(clear, clear_last_leaves_the_first_unit_of_one, 0, COUNT(places));
    suite_add_tcase(suite, clear);
    return room_run(suite);
}
