/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_region.c -- address ranges of a heap: where they stand, what can be touched, which come back. */
#include "check_room.h"

enum { ID = 0xfffa, MB = 1 << 20 };

static struct heap bare; /* regions only: no blocks, and no number in the registry */

static void setup_heap_without_region(void)
{
    memset(&bare, 0, sizeof bare);
    bare.id = ID;
    bare.tag = ID << 8;
}

static void teardown_regions(void) { ph_region_drop_all(&bare); }

static struct region *add(size_t bytes)
{
    struct region *rg = ph_region_add(&bare, bytes, bytes);
    ck_assert_ptr_nonnull(rg);
    return rg;
}

static void touch(void *at) { *(volatile char *)at = 1; }

/* ---- adding ---- */

static const size_t sizes[] = {4096, 8192, 65536, 69632, 1 * MB, 4 * MB, 5 * MB + 4096, 64 * MB};

START_TEST(region_stands_aligned_and_is_as_large_as_asked)
{
    for (int i = 0; i < 5; i++) {
        const struct region *rg = add(sizes[_i]);
        ck_assert_uint_eq((uintptr_t)rg->base % HEAP_ALIGN, 0);
        ck_assert_uint_eq((size_t)rg->units << UNIT_BITS, sizes[_i]);
        ck_assert_uint_eq(rg->index, i);
        ck_assert_ptr_eq(ph_region_unit(rg, 0), rg->base);
        ck_assert_ptr_eq(ph_region_unit(rg, rg->units), rg->base + sizes[_i]);
    }
    ck_assert_uint_eq(bare.reserved_units << UNIT_BITS, 5 * sizes[_i]);
}
END_TEST

START_TEST(regions_do_not_overlap)
{
    for (int i = 0; i < COUNT(sizes); i++)
        (void)add(sizes[i]);
    for (const struct region *a = bare.regions; a != NULL; a = a->next)
        for (const struct region *b = a->next; b != NULL; b = b->next)
            ck_assert(ph_region_unit(a, a->units) <= b->base || ph_region_unit(b, b->units) <= a->base);
}
END_TEST

START_TEST(page_map_says_whose_it_is_until_dropped)
{
    const char *base = add(sizes[_i])->base;
    for (size_t at = 0; at < sizes[_i]; at += UNIT_BYTES) {
        ck_assert_uint_eq(ph_map_owner(base + at), ID);
        ck_assert_uint_eq(map_get(base + at), 0);
    }
    ph_region_drop_all(&bare);
    for (size_t at = 0; at < sizes[_i]; at += UNIT_BYTES)
        ck_assert_uint_eq(ph_map_owner(base + at), 0);
}
END_TEST

START_TEST(only_a_region_above_64_kb_spares_a_unit_for_its_handle)
{
    ck_assert_uint_eq(add(UNIT_BYTES)->first, 0);
    ck_assert_uint_eq(add(16 * UNIT_BYTES)->first, 0);
    ck_assert_uint_eq(add(17 * UNIT_BYTES)->first, 1);
    ck_assert_uint_eq(add(4 * MB)->first, 1);
}
END_TEST

START_TEST(nothing_is_handed_out_of_a_new_region)
{
    const struct region *rg = add(70 * MB); /* never from the cache */
    ck_assert_uint_eq(rg->top, rg->first);
}
END_TEST

/* ---- finding ---- */

START_TEST(region_of_finds_every_byte_and_none_beyond)
{
    struct region *rg[3] = {add(MB), add(70 * MB), add(8192)};
    for (int i = 0; i < 3; i++) {
        char *end = ph_region_unit(rg[i], rg[i]->units);
        ck_assert_ptr_eq(ph_region_of(&bare, rg[i]->base), rg[i]);
        ck_assert_ptr_eq(ph_region_of(&bare, end - 1), rg[i]);
        ck_assert_ptr_ne(ph_region_of(&bare, end), rg[i]);
        ck_assert_ptr_ne(ph_region_of(&bare, rg[i]->base - 1), rg[i]);
    }
    ck_assert_ptr_null(ph_region_of(&bare, NULL));
    ck_assert_ptr_null(ph_region_of(&bare, &bare));
    ck_assert_ptr_null(ph_region_of(&bare, (void *)UINTPTR_MAX));
}
END_TEST

/* ---- committing ---- */

START_TEST(first_region_of_a_growing_heap_is_committed_whole)
{
    const struct region *rg = add(9 * MB);
    ck_assert_uint_eq(rg->committed, rg->units);
    memset(rg->base, 1, 9 * MB);
}
END_TEST

START_TEST(later_region_is_committed_in_steps)
{
    (void)add(9 * MB);
    struct region *rg = add(80 * MB);
    unsigned steps = 0;
    ck_assert_uint_eq(rg->committed, 0);
    while (rg->committed < rg->units) {
        const uint32_t before = rg->committed;
        ck_assert(ph_region_commit(rg, before + 1, false));
        ck_assert_uint_gt(rg->committed, before);
        ck_assert_uint_le(rg->committed, rg->units);
        touch(ph_region_unit(rg, rg->committed) - 1);
        if (rg->committed < rg->units) room_faults(touch, ph_region_unit(rg, rg->committed));
        steps++;
    }
    ck_assert_uint_gt(steps, 2);
    ck_assert_uint_le(steps, 8);
}
END_TEST

START_TEST(bounded_region_is_committed_in_steps_too)
{
    bare.bound_units = 64 * MB / UNIT_BYTES;
    struct region *rg = add(64 * MB);
    ck_assert_uint_eq(rg->committed, 0);
    ck_assert(ph_region_commit(rg, rg->units, false));
    ck_assert_uint_eq(rg->committed, rg->units);
    memset(rg->base, 1, 64 * MB);
}
END_TEST

START_TEST(commit_of_less_changes_nothing)
{
    struct region *rg = add(9 * MB);
    rg = add(9 * MB);
    ck_assert(ph_region_commit(rg, 100, false));
    const uint32_t before = rg->committed;
    ck_assert(ph_region_commit(rg, before, false));
    ck_assert(ph_region_commit(rg, 1, false));
    ck_assert(ph_region_commit(rg, 0, false));
    ck_assert_uint_eq(rg->committed, before);
}
END_TEST

/* ---- the cache ---- */

START_TEST(dropped_range_serves_the_next_heap_still_dirty)
{
    struct region *rg = add(3 * MB);
    char *base = rg->base;
    rg->top = 77;
    memset(base, 0x55, UNIT_BYTES);
    ph_region_drop_all(&bare);
    ck_assert_ptr_null(bare.regions);
    rg = add(3 * MB);
    ck_assert_ptr_eq(rg->base, base);
    ck_assert_uint_eq(rg->top, 77);
    ck_assert_int_eq(base[0], 0x55);
    ck_assert_uint_eq(ph_map_owner(base), ID);
}
END_TEST

START_TEST(range_of_another_size_is_not_taken_from_the_cache)
{
    char *base = add(3 * MB)->base;
    ph_region_drop_all(&bare);
    ck_assert_ptr_ne(add(3 * MB - 65536)->base, base);
    ck_assert_ptr_eq(add(3 * MB)->base, base);
}
END_TEST

START_TEST(drop_rest_leaves_the_first_region_alone)
{
    struct region *first = add(MB), *second = add(70 * MB);
    char *base = second->base;
    (void)add(80 * MB);
    ph_region_drop_rest(&bare);
    ck_assert_ptr_eq(bare.regions, first);
    ck_assert_ptr_eq(bare.last_region, first);
    ck_assert_ptr_null(first->next);
    ck_assert_uint_eq(bare.reserved_units << UNIT_BITS, MB);
    ck_assert_uint_eq(ph_map_owner(first->base), ID);
    ck_assert_uint_eq(ph_map_owner(base), 0);
    ck_assert(!room_is_mapped(base, 1));
    ck_assert_uint_eq(add(MB)->index, 1);
}
END_TEST

START_TEST(large_range_goes_back_to_the_system)
{
    char *base = add(70 * MB)->base;
    ck_assert(room_is_mapped(base, 1));
    ph_region_drop_all(&bare);
    ck_assert(!room_is_mapped(base, 1));
}
END_TEST

START_TEST(cache_is_bounded)
{
    enum { MANY = 100, MOST = 64 };
    char *base[MANY];
    int kept = 0;
    for (int i = 0; i < MANY; i++)
        base[i] = add(2 * MB)->base;
    ph_region_drop_all(&bare);
    for (int i = 0; i < MANY; i++)
        kept += room_is_mapped(base[i], 1);
    ck_assert_int_gt(kept, 0);
    ck_assert_int_le(kept, MOST);
}
END_TEST

START_TEST(executable_range_is_neither_kept_nor_taken_from_the_cache)
{
    char *plain = add(3 * MB)->base;
    ph_region_drop_all(&bare);
    bare.flags = HEAPF_EXECUTE;
    struct region *rg = add(3 * MB);
    ck_assert_ptr_ne(rg->base, plain);
    ck_assert_uint_eq(rg->committed, 0);
    ck_assert(ph_region_commit(rg, 1, true));
    char *executable = rg->base;
    ph_region_drop_all(&bare);
    ck_assert(!room_is_mapped(executable, 1));
}
END_TEST

/* ---- without memory ---- */

static void add_without_room(void *nothing)
{
    (void)nothing;
    (void)ph_region_add(&bare, 65536, 65536); /* its leaf of the page map, and a descriptor */
    room_limit(40 * MB);
    CHILD_NEEDS(ph_region_add(&bare, 256 * MB, 256 * MB) == NULL);
    CHILD_NEEDS(ph_region_add(&bare, 256 * MB, 41 * MB) == NULL);
    const struct region *rg = ph_region_add(&bare, 256 * MB, 65536);
    CHILD_NEEDS(rg != NULL);
    CHILD_NEEDS(rg->units <= 40 * MB / UNIT_BYTES && rg->units >= 16);
    CHILD_NEEDS((uintptr_t)rg->base % HEAP_ALIGN == 0);
    CHILD_NEEDS(bare.last_region == rg && bare.regions->next == rg);
}

START_TEST(wish_is_halved_to_the_least_and_then_refused) { room_lives(add_without_room, NULL); }
END_TEST

START_TEST(impossible_size_is_refused_and_leaves_the_heap_as_it_was)
{
    const struct region *rg = add(MB);
    ck_assert_ptr_null(ph_region_add(&bare, (size_t)1 << 47, (size_t)1 << 47));
    ck_assert_ptr_eq(bare.last_region, rg);
    ck_assert_ptr_null(rg->next);
    ck_assert_uint_eq(bare.reserved_units << UNIT_BITS, MB);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("region");
    /* first: without CK_FORK the others fill it */
    TCase *cache = room_case(suite, "cache", setup_heap_without_region, teardown_regions);
    tcase_add_test(cache, dropped_range_serves_the_next_heap_still_dirty);
    tcase_add_test(cache, range_of_another_size_is_not_taken_from_the_cache);
    tcase_add_test(cache, drop_rest_leaves_the_first_region_alone);
    tcase_add_test(cache, large_range_goes_back_to_the_system);
    tcase_add_test(cache, executable_range_is_neither_kept_nor_taken_from_the_cache);
    tcase_add_test(cache, cache_is_bounded);
    TCase *adding = room_case(suite, "add", setup_heap_without_region, teardown_regions);
    tcase_add_loop_test(adding, region_stands_aligned_and_is_as_large_as_asked, 0, COUNT(sizes));
    tcase_add_test(adding, regions_do_not_overlap);
    tcase_add_loop_test(adding, page_map_says_whose_it_is_until_dropped, 0, COUNT(sizes));
    tcase_add_test(adding, only_a_region_above_64_kb_spares_a_unit_for_its_handle);
    tcase_add_test(adding, nothing_is_handed_out_of_a_new_region);
    tcase_add_test(adding, wish_is_halved_to_the_least_and_then_refused);
    tcase_add_test(adding, impossible_size_is_refused_and_leaves_the_heap_as_it_was);
    TCase *of = room_case(suite, "of", setup_heap_without_region, teardown_regions);
    tcase_add_test(of, region_of_finds_every_byte_and_none_beyond);
    TCase *commit = room_case(suite, "commit", setup_heap_without_region, teardown_regions);
    tcase_add_test(commit, first_region_of_a_growing_heap_is_committed_whole);
    tcase_add_test(commit, later_region_is_committed_in_steps);
    tcase_add_test(commit, bounded_region_is_committed_in_steps_too);
    tcase_add_test(commit, commit_of_less_changes_nothing);
    return room_run(suite);
}
