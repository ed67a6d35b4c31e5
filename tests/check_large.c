/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_large.c -- one mapping for one block: taken, kept for the next, resized in place and moved. */
#include "check_room.h"
#include "options.h"

#include <sys/mman.h>

enum { MB = 1 << 20 };

static struct heap *heap;

static void read_delay(const char *variable)
{
    char text[64];
    char *environment[] = {text, NULL};
    snprintf(text, sizeof text, "%s", variable);
    ph_options_read(environment);
}

/* Nothing is kept from before, and nothing goes by age. */
static void setup_heap(void)
{
    heap = room_heap(0);
    (void)ph_large_trim();
    read_delay("PRIVHEAP_PURGE_DELAY=60000");
}

static void teardown_heap(void)
{
    char *nothing[] = {NULL};
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(heap);
    (void)ph_large_trim();
    ph_options_read(nothing);
}

static struct span *take(size_t bytes)
{
    bool zero;
    struct span *sp = ph_large_take(heap, bytes, 16, &zero);
    ck_assert_ptr_nonnull(sp);
    return sp;
}

/* As for the Win32 functions, where sizes are exact. */
static bool resize(struct span *sp, size_t bytes, bool may_move) { return ph_large_resize(heap, sp, bytes, bytes, true, may_move); }

static void fill(struct span *sp) { memset(ph_span_start(sp), 0x5a, sp->mapped_bytes); }

/* The bytes of two large blocks and where they are in the list. */
static uint64_t large_blocks(void) { return room_sums(heap).large_blocks; }

/* ---- taking and giving ---- */

static const size_t sizes[] = {1, 4096, 4097, MB, MB + 1, 3 * MB - 5, 40 * MB};

START_TEST(block_has_its_bytes_its_entry_and_nothing_else)
{
    bool zero = false;
    struct span *sp = ph_large_take(heap, sizes[_i], 16, &zero);
    char *at = ph_span_start(sp);
    ck_assert(zero);
    ck_assert_uint_eq(sp->wanted, sizes[_i]);
    ck_assert_uint_ge(sp->mapped_bytes, sizes[_i]);
    ck_assert_uint_lt(sp->mapped_bytes - sizes[_i], ph_os_page_bytes());
    for (size_t i = 0; i < sizes[_i]; i++)
        if (at[i] != 0) ck_abort_msg("byte %zu is not zero", i);
    memset(at, 1, sizes[_i]);
    ck_assert_uint_eq((uint32_t)map_get(at), heap->tag | KIND_LARGE);
    ck_assert_ptr_eq(ph_span_at(entry_span(map_get(at))), sp);
    for (size_t i = UNIT_BYTES; i < sizes[_i]; i += UNIT_BYTES)
        ck_assert_uint_eq(map_get(at + i), 0);
}
END_TEST

START_TEST(block_stands_at_the_alignment_asked_for)
{
    for (size_t align = 16; align <= 16 * MB; align *= 4) {
        bool zero;
        const struct span *sp = ph_large_take(heap, MB + 1, align, &zero);
        ck_assert_uint_eq((uintptr_t)ph_span_start(sp) % align, 0);
    }
}
END_TEST

START_TEST(impossible_sizes_give_null)
{
    static const size_t impossible[] = {SIZE_MAX, SIZE_MAX - 4096, PTRDIFF_MAX, (size_t)1 << 60};
    bool zero;
    for (int i = 0; i < COUNT(impossible); i++)
        ck_assert_ptr_null(ph_large_take(heap, impossible[i], 16, &zero));
    ck_assert_uint_eq(large_blocks(), 0);
}
END_TEST

START_TEST(give_takes_a_block_once)
{
    char *at = ph_span_start(take(2 * MB));
    ck_assert(!ph_large_give(heap, at + UNIT_BYTES));
    ck_assert(ph_large_give(heap, at));
    ck_assert(!ph_large_give(heap, at));
    ck_assert_uint_eq(map_get(at), 0);
}
END_TEST

START_TEST(give_to_another_heap_is_refused)
{
    struct heap *other = room_heap(0);
    void *at = ph_span_start(take(2 * MB));
    ck_assert(!ph_large_give(other, at));
    ck_assert(ph_large_give(heap, at));
    ph_heap_destroy(other);
}
END_TEST

/* ---- the list ---- */

START_TEST(list_counts_what_is_live)
{
    void *at[9];
    uint64_t bytes = 0;
    for (size_t i = 0; i < 9; i++) {
        at[i] = ph_span_start(take((i + 1) * MB));
        bytes += (i + 1) * MB;
        ck_assert_uint_eq(large_blocks(), i + 1);
        ck_assert_uint_eq(room_sums(heap).large_bytes, bytes);
    }
    static const size_t order[] = {4, 0, 8, 5, 1, 7, 3, 2, 6}; /* middle, last, first */
    for (size_t i = 0; i < 9; i++) {
        ck_assert(ph_large_give(heap, at[order[i]]));
        bytes -= (order[i] + 1) * MB;
        ck_assert_uint_eq(room_sums(heap).large_bytes, bytes);
        ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    }
    ck_assert_uint_eq(large_blocks(), 0);
}
END_TEST

START_TEST(forget_gives_all_of_a_heap_back)
{
    struct heap *other = room_heap(0);
    char *at[4];
    for (int i = 0; i < 4; i++) {
        bool zero;
        at[i] = ph_span_start(ph_large_take(other, 200 * (size_t)MB, 16, &zero)); /* too large to be kept */
    }
    ph_heap_destroy(other);
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(map_get(at[i]), 0);
        ck_assert(!room_is_mapped(at[i], 1));
    }
}
END_TEST

/* ---- mappings kept ---- */

START_TEST(mapping_serves_the_next_block_of_about_its_size)
{
    static const size_t next[] = {8 * MB, 8 * MB - 5, 8 * MB - 7 * MB / 8};
    bool zero = true;
    struct span *sp = take(8 * MB);
    char *at = ph_span_start(sp);
    fill(sp);
    ck_assert(ph_large_give(heap, at));
    sp = ph_large_take(heap, next[_i], 16, &zero);
    ck_assert_ptr_eq(ph_span_start(sp), at);
    ck_assert(!zero);
    ck_assert_uint_eq(sp->wanted, next[_i]);
    ck_assert_uint_eq(sp->mapped_bytes, 8 * MB);
}
END_TEST

START_TEST(mapping_that_is_too_long_is_cut_and_joined_again)
{
    char *at = ph_span_start(take(8 * MB));
    ck_assert(ph_large_give(heap, at));
    struct span *sp = take(MB), *rest = take(7 * MB);
    ck_assert_ptr_eq(ph_span_start(sp), at);
    ck_assert_uint_eq(sp->mapped_bytes, MB);
    ck_assert_ptr_eq(ph_span_start(rest), at + MB);
    ck_assert(ph_large_give(heap, at + MB));
    ck_assert(ph_large_give(heap, at));
    sp = take(8 * MB);
    ck_assert_ptr_eq(ph_span_start(sp), at);
    ck_assert_uint_eq(sp->mapped_bytes, 8 * MB);
}
END_TEST

START_TEST(mapping_that_is_too_short_is_made_longer)
{
    bool zero = true;
    struct span *sp = take(8 * MB);
    fill(sp);
    ck_assert(ph_large_give(heap, ph_span_start(sp)));
    sp = ph_large_take(heap, 9 * MB, 16, &zero);
    ck_assert(!zero);
    ck_assert_uint_eq(sp->mapped_bytes, 9 * MB);
    ck_assert_int_eq(*(char *)ph_span_start(sp), 0x5a); /* the memory that there was */
    fill(sp);
}
END_TEST

START_TEST(mapping_that_is_worth_no_call_is_left)
{
    bool zero = false;
    struct span *sp = take(128 << 10);
    char *at = ph_span_start(sp);
    ck_assert(ph_large_give(heap, at));
    ck_assert_ptr_ne(ph_span_start(ph_large_take(heap, 8 * MB, 16, &zero)), at);
    ck_assert(zero);
}
END_TEST

START_TEST(mapping_that_is_not_aligned_is_not_taken)
{
    bool zero = false;
    char *at = ph_span_start(take(8 * MB));
    const size_t align = ((uintptr_t)at & -(uintptr_t)at) * 2; /* one more than it has */
    ck_assert(ph_large_give(heap, at));
    const struct span *sp = ph_large_take(heap, 8 * MB, align, &zero);
    if (sp != NULL) {
        ck_assert_ptr_ne(ph_span_start(sp), at);
        ck_assert_uint_eq((uintptr_t)ph_span_start(sp) % align, 0);
    }
}
END_TEST

START_TEST(mapping_serves_another_heap)
{
    struct heap *other = room_heap(0);
    bool zero = true;
    void *at = ph_span_start(take(8 * MB));
    ck_assert(ph_large_give(heap, at));
    ck_assert_ptr_eq(ph_span_start(ph_large_take(other, 8 * MB, 16, &zero)), at);
    ck_assert_uint_eq((uint32_t)map_get(at), other->tag | KIND_LARGE);
    ph_heap_destroy(other);
}
END_TEST

START_TEST(trim_unmaps_what_is_kept_and_says_so)
{
    char *at = ph_span_start(take(8 * MB));
    ck_assert(!ph_large_trim());
    ck_assert(ph_large_give(heap, at));
    ck_assert(room_is_mapped(at, 1));
    ck_assert(ph_large_trim());
    ck_assert(!room_is_mapped(at, 1));
    ck_assert(!ph_large_trim());
}
END_TEST

/* Whoever gives all and goes to sleep leaves little behind. */
START_TEST(what_is_kept_is_bounded)
{
    enum { MANY = 40, MOST_MB = 8 };
    char *at[MANY];
    int kept = 0;
    for (int i = 0; i < MANY; i++)
        at[i] = ph_span_start(take(_i * (size_t)MB));
    for (int i = 0; i < MANY; i++)
        ck_assert(ph_large_give(heap, at[i]));
    for (int i = 0; i < MANY; i++)
        for (int part = 0; part < _i; part++)
            kept += room_is_mapped(at[i] + part * (size_t)MB, 1);
    ck_assert_int_le(kept, MOST_MB + 1);
    ck_assert_int_ge(kept, _i <= MOST_MB ? MOST_MB - 1 : 0);
}
END_TEST

/* Large ones are kept for a program that comes back for them, as long as it does. */
START_TEST(blocks_that_come_and_go_are_kept_though_they_are_large)
{
    enum { BYTES = 24 * MB, MANY = 10 };
    char *at[MANY];
    unsigned kept = 0;
    for (int round = 0; round < 12; round++)
        ck_assert(ph_large_give(heap, ph_span_start(take(BYTES))));
    char *last = ph_span_start(take(BYTES));
    ck_assert(ph_large_give(heap, last));
    ck_assert(room_is_mapped(last, 1));
    for (int i = 0; i < MANY; i++)
        at[i] = ph_span_start(take(BYTES));
    for (int i = 0; i < MANY; i++)
        ck_assert(ph_large_give(heap, at[i]));
    for (int i = 0; i < MANY; i++)
        kept += room_is_mapped(at[i], BYTES);
    ck_assert_uint_eq(kept, 0);
}
END_TEST

/* Nothing is asked of the system for it. */
START_TEST(block_grows_into_what_is_kept_behind_it)
{
    char *at = ph_span_start(take(8 * MB));
    ck_assert(ph_large_give(heap, at));
    struct span *sp = take(MB);
    memset(at + 2 * MB, 1, MB);
    ck_assert(ph_large_resize(heap, sp, 4 * MB, 4 * MB, false, false));
    ck_assert_ptr_eq(ph_span_start(sp), at);
    ck_assert_uint_eq(sp->mapped_bytes, 4 * MB);
    ck_assert_int_eq(at[2 * MB], 1);
    ck_assert_ptr_eq(ph_span_start(take(4 * MB)), at + 4 * MB);
}
END_TEST

START_TEST(block_that_grows_by_a_little_gets_an_eighth_more)
{
    const size_t os_page = ph_os_page_bytes();
    struct span *sp = take(4 * MB);
    ck_assert(ph_large_resize(heap, sp, 4 * MB + 1, 4 * MB + 1, false, true));
    ck_assert_uint_eq(sp->mapped_bytes, 4 * MB + MB / 2 + os_page);
    ck_assert_uint_eq(sp->wanted, 4 * MB + 1);
    ck_assert(ph_large_resize(heap, sp, 4 * MB, 4 * MB, false, true)); /* and so little stays */
    ck_assert_uint_eq(sp->mapped_bytes, 4 * MB + MB / 2 + os_page);
    ck_assert(ph_large_resize(heap, sp, 8 * MB, 8 * MB, false, true)); /* nor who doubles it */
    ck_assert_uint_eq(sp->mapped_bytes, 8 * MB);
    ck_assert(ph_large_resize(heap, sp, 4 * MB, 4 * MB, false, true));
    ck_assert_uint_eq(sp->mapped_bytes, 4 * MB);
    ck_assert(resize(sp, 4 * MB + 1, true)); /* nor who asked for an exact size */
    ck_assert_uint_eq(sp->mapped_bytes, 4 * MB + os_page);
}
END_TEST

/* From either side. */
START_TEST(neighbours_join_whoever_comes_first)
{
    char *at = ph_span_start(take(8 * MB));
    ck_assert(ph_large_give(heap, at));
    (void)take(MB);
    (void)take(7 * MB);
    ck_assert(ph_large_give(heap, at));
    ck_assert(ph_large_give(heap, at + MB));
    ck_assert_ptr_eq(ph_span_start(take(8 * MB)), at);
}
END_TEST

/* Of two parts that the system tells apart none can be moved with the other. */
START_TEST(mapping_that_cannot_be_made_longer_stays_kept)
{
    char *at = ph_span_start(take(8 * MB));
    ck_assert_int_eq(madvise(at + 4 * MB, 4 * MB, MADV_DONTDUMP), 0);
    ck_assert(ph_large_give(heap, at));
    ck_assert_ptr_ne(ph_span_start(take(16 * MB)), at);
    ck_assert(room_is_mapped(at, 8 * MB));
    ck_assert_ptr_eq(ph_span_start(take(8 * MB)), at);
}
END_TEST

START_TEST(what_is_kept_goes_when_its_time_is_up)
{
    char *at = ph_span_start(take(8 * MB));
    ck_assert(ph_large_give(heap, at));
    read_delay("PRIVHEAP_PURGE_DELAY=50");
    ph_os_sleep(60 * 1000 * 1000);
    ph_kept_expire();
    ck_assert(!room_is_mapped(at, 1));
}
END_TEST

START_TEST(without_delay_nothing_is_kept)
{
    read_delay("PRIVHEAP_PURGE_DELAY=0");
    char *at = ph_span_start(take(8 * MB));
    ck_assert(ph_large_give(heap, at));
    ck_assert(!room_is_mapped(at, 1));
}
END_TEST

START_TEST(executable_mapping_is_not_kept)
{
    struct heap *other = ph_heap_create(HEAPF_EXECUTE, MB, 0);
    bool zero;
    char *at = ph_span_start(ph_large_take(other, 8 * MB, 16, &zero));
    ck_assert(ph_large_give(other, at));
    ck_assert(!room_is_mapped(at, 1));
    ph_heap_destroy(other);
}
END_TEST

/* ---- resizing ---- */

static void check_contents(const struct span *sp, size_t bytes)
{
    const uint32_t *word = ph_span_start(sp);
    for (size_t i = 0; i < bytes / 4; i += 1000)
        if (word[i] != (uint32_t)i) ck_abort_msg("word %zu is %u", i, word[i]);
}

static void number_contents(const struct span *sp, size_t bytes)
{
    uint32_t *word = ph_span_start(sp);
    for (size_t i = 0; i < bytes / 4; i += 1000)
        word[i] = (uint32_t)i;
}

START_TEST(shrinking_stays_in_place_and_gives_memory_back)
{
    struct span *sp = take(8 * MB);
    char *at = ph_span_start(sp);
    number_contents(sp, 8 * MB);
    ck_assert(resize(sp, 3 * MB + 1, false));
    ck_assert_ptr_eq(ph_span_start(sp), at);
    ck_assert_uint_eq(sp->wanted, 3 * MB + 1);
    check_contents(sp, 3 * MB);
    ck_assert(!room_is_mapped(at + 3 * MB + ph_os_page_bytes(), 1));
    ck_assert_uint_eq(room_sums(heap).large_bytes, 3 * MB + ph_os_page_bytes());
}
END_TEST

START_TEST(growing_keeps_contents_and_the_new_part_is_zero)
{
    struct span *sp = take(2 * MB);
    number_contents(sp, 2 * MB);
    for (size_t bytes = 3 * MB; bytes < 200 * (size_t)MB; bytes *= 2) {
        ck_assert(resize(sp, bytes, true));
        check_contents(sp, 2 * MB);
        if (!room_is_under_valgrind()) /* which takes the new part for memory that nobody mapped */
            ck_assert_int_eq(((char *)ph_span_start(sp))[bytes - 1], 0);
        ck_assert_uint_eq((uint32_t)map_get(ph_span_start(sp)), heap->tag | KIND_LARGE);
        ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
        ck_assert_uint_eq(room_sums(heap).large_bytes, bytes);
    }
}
END_TEST

/* A mapping stands right behind: it can only move. */
static struct span *take_walled(void)
{
    struct span *sp = take(2 * MB);
    char *at = ph_span_start(sp);
    ck_assert(resize(sp, 2 * MB - 8 * ph_os_page_bytes(), false));
    char *wall = mmap(at + 2 * MB - 8 * ph_os_page_bytes(), ph_os_page_bytes(), PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    ck_assert_ptr_ne(wall, MAP_FAILED);
    return sp;
}

START_TEST(block_with_a_wall_behind_is_moved_only_when_allowed)
{
    struct span *sp = take_walled();
    char *at = ph_span_start(sp);
    const size_t before = sp->mapped_bytes;
    number_contents(sp, before);
    ck_assert(!resize(sp, 4 * MB, false));
    ck_assert_ptr_eq(ph_span_start(sp), at);
    ck_assert_uint_eq(sp->mapped_bytes, before);
    check_contents(sp, before);
    ck_assert(resize(sp, 4 * MB, true));
    ck_assert_ptr_ne(ph_span_start(sp), at);
    check_contents(sp, before);
    ck_assert_uint_eq(map_get(at), 0);
    ck_assert_uint_eq((uint32_t)map_get(ph_span_start(sp)), heap->tag | KIND_LARGE);
    munmap(at + before, ph_os_page_bytes());
}
END_TEST

START_TEST(impossible_size_leaves_the_block_as_it_was)
{
    struct span *sp = take(2 * MB);
    const struct span before = *sp;
    number_contents(sp, 2 * MB);
    ck_assert(!resize(sp, SIZE_MAX, true));
    ck_assert(!resize(sp, PTRDIFF_MAX, true));
    ck_assert(!resize(sp, (size_t)1 << 47, true));
    ck_assert_mem_eq(sp, &before, sizeof before);
    check_contents(sp, 2 * MB);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("large");
    TCase *taking = room_case(suite, "take, give", setup_heap, teardown_heap);
    tcase_add_loop_test(taking, block_has_its_bytes_its_entry_and_nothing_else, 0, COUNT(sizes));
    tcase_add_test(taking, block_stands_at_the_alignment_asked_for);
    tcase_add_test(taking, impossible_sizes_give_null);
    tcase_add_test(taking, give_takes_a_block_once);
    tcase_add_test(taking, give_to_another_heap_is_refused);
    tcase_add_test(taking, list_counts_what_is_live);
    tcase_add_test(taking, forget_gives_all_of_a_heap_back);
    TCase *kept = room_case(suite, "kept", setup_heap, teardown_heap);
    tcase_add_loop_test(kept, mapping_serves_the_next_block_of_about_its_size, 0, 3);
    tcase_add_test(kept, mapping_that_is_too_long_is_cut_and_joined_again);
    tcase_add_test(kept, mapping_that_is_too_short_is_made_longer);
    tcase_add_test(kept, mapping_that_is_worth_no_call_is_left);
    tcase_add_test(kept, blocks_that_come_and_go_are_kept_though_they_are_large);
    tcase_add_test(kept, block_grows_into_what_is_kept_behind_it);
    tcase_add_test(kept, block_that_grows_by_a_little_gets_an_eighth_more);
    tcase_add_test(kept, mapping_that_is_not_aligned_is_not_taken);
    tcase_add_test(kept, mapping_serves_another_heap);
    tcase_add_test(kept, trim_unmaps_what_is_kept_and_says_so);
    tcase_add_loop_test(kept, what_is_kept_is_bounded, 1, 2);
    tcase_add_loop_test(kept, what_is_kept_is_bounded, 20, 21);
    tcase_add_loop_test(kept, what_is_kept_is_bounded, 33, 34);
    tcase_add_test(kept, neighbours_join_whoever_comes_first);
    tcase_add_test(kept, mapping_that_cannot_be_made_longer_stays_kept);
    tcase_add_test(kept, what_is_kept_goes_when_its_time_is_up);
    tcase_add_test(kept, without_delay_nothing_is_kept);
    tcase_add_test(kept, executable_mapping_is_not_kept);
    TCase *resize = room_case(suite, "resize", setup_heap, teardown_heap);
    tcase_add_test(resize, shrinking_stays_in_place_and_gives_memory_back);
    tcase_add_test(resize, growing_keeps_contents_and_the_new_part_is_zero);
    tcase_add_test(resize, block_with_a_wall_behind_is_moved_only_when_allowed);
    tcase_add_test(resize, impossible_size_leaves_the_block_as_it_was);
    return room_run(suite);
}
