/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_heapapi_blocks.c -- suite "heapapi", second part: blocks of a growable heap, their sizes to the byte,
 * what HeapReAlloc keeps and clears. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_empty_heap.h"
#include "check_heapapi.h"
#include "check_room.h"

static bool is_filled(const void *block, int byte, size_t from, size_t to)
{
    const unsigned char *bytes = block;
    for (size_t i = from; i < to; i++)
        if (bytes[i] != (unsigned char)byte) return false;
    return true;
}

/* A block of `bytes`, all of them `byte`. */
static void *filled_block(size_t bytes, int byte)
{
    void *block = HeapAlloc(heap, 0, bytes);
    ck_assert_ptr_nonnull(block);
    memset(block, byte, bytes);
    return block;
}

/* Sizes about every border: granules, classes, pages, runs, blocks with their own mapping. */
static const size_t sizes[] = {0,       1,       7,       8,       15,      16,     17,    31,
                               100,     255,     256,     257,     511,     1000,   1023,  1024,
                               1025,    2048,    4095,    4096,    4097,    16384,  16385, 65536,
                               0x7FFF8, 0xFEFF0, 1048575, 1048576, 1048577, 3 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* ---- HeapAlloc, HeapSize, HeapFree: W32 3.3, 3.5, 3.6 ---- */

START_TEST(blocks_have_exact_size_and_alignment) /* W32 2.4, W32 2.5 */
{
    size_t bytes = sizes[_i];
    unsigned char *block[4];
    for (int i = 0; i < 4; i++) {
        block[i] = ASK(HeapAlloc(heap, 0, bytes));
        ck_assert_ptr_nonnull(block[i]);
        ck_assert_last(SENTINEL);
        ck_assert_uint_eq((uintptr_t)block[i] % 16, 0);
        ck_assert_uint_eq(HeapSize(heap, 0, block[i]), bytes);
        memset(block[i], i + 1, bytes);
        for (int j = 0; j < i; j++)
            ck_assert_ptr_ne(block[i], block[j]);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert(is_filled(block[i], i + 1, 0, bytes));
        ck_assert_int_eq(HeapValidate(heap, 0, block[i]), TRUE);
        ck_assert_int_eq(ASK(HeapFree(heap, 0, block[i])), TRUE);
        ck_assert_last(SENTINEL);
    }
}
END_TEST

START_TEST(every_small_size_is_exact)
{
    for (size_t bytes = 0; bytes <= 2100; bytes++) {
        void *block = HeapAlloc(heap, 0, bytes);
        ck_assert_uint_eq(HeapSize(heap, 0, block), bytes);
        ck_assert_uint_eq((uintptr_t)block % 16, 0);
        if (bytes % 3 == 0) HeapFree(heap, 0, block); /* reuse must not inherit a size */
    }
}
END_TEST

START_TEST(zero_memory_clears_reused_blocks)
{
    for (int pass = 0; pass < 3; pass++) {
        unsigned char *block = HeapAlloc(heap, HEAP_ZERO_MEMORY, sizes[_i]);
        ck_assert_ptr_nonnull(block);
        ck_assert(is_filled(block, 0, 0, sizes[_i]));
        memset(block, 0xA5, sizes[_i]);
        ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
        HeapFree(heap, 0, filled_block(sizes[_i], 0x5A));
    }
}
END_TEST

START_TEST(alloc_of_impossible_size_gives_null) /* W32 2.9 */
{
    static const SIZE_T huge[] = {SIZE_MAX,        SIZE_MAX - 7, SIZE_MAX - 15,
                                  SIZE_MAX - 4096, SIZE_MAX / 2, (SIZE_T)1 << 62};
    ck_assert_ptr_null(ASK(HeapAlloc(heap, 0, huge[_i])));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    char *block = filled_block(50, 0x11);
    ck_assert_ptr_null(ASK(HeapReAlloc(heap, 0, block, huge[_i])));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_uint_eq(HeapSize(heap, 0, block), 50);
    ck_assert(is_filled(block, 0x11, 0, 50));
}
END_TEST

START_TEST(free_of_null_succeeds) /* W32 3.5, D20 */
{
    ck_assert_int_eq(ASK(HeapFree(heap, 0, NULL)), TRUE);
    ck_assert_int_eq(ASK(HeapFree(NULL, 0, NULL)), TRUE);
    ck_assert_last(SENTINEL);
}
END_TEST

START_TEST(freed_space_serves_again) /* W32 3.5 */
{
    size_t before = resident_bytes();
    for (int i = 0; i < 4000; i++)
        HeapFree(heap, 0, filled_block(100000, i));
    ck_assert_uint_lt(resident_bytes(), before + (16u << 20)); /* 400 MB went through */
}
END_TEST

/* ---- exceptions ---- */

static void alloc_too_much(void *nothing)
{
    (void)nothing;
    (void)HeapAlloc(heap, HEAP_GENERATE_EXCEPTIONS, SIZE_MAX / 2);
}

static void realloc_too_much(void *nothing)
{
    (void)nothing;
    (void)HeapReAlloc(heap, HEAP_GENERATE_EXCEPTIONS, HeapAlloc(heap, 0, 10), SIZE_MAX / 2);
}

static void alloc_over_the_block_limit(void *nothing)
{
    (void)nothing;
    (void)HeapAlloc(HeapCreate(HEAP_GENERATE_EXCEPTIONS, 0, 2 << 20), 0, 1 << 20);
}

static void alloc_until_the_heap_is_full(void *nothing)
{
    (void)nothing;
    HANDLE small = HeapCreate(HEAP_GENERATE_EXCEPTIONS, 0, 64 << 10);
    while (HeapAlloc(small, 0, 1000) != NULL)
        continue;
}

START_TEST(failure_with_exceptions_ends_the_process_with_one_line) /* W32 2.6 */
{
    static void (*const acts[])(void *) = {alloc_too_much, realloc_too_much, alloc_over_the_block_limit,
                                           alloc_until_the_heap_is_full};
    room_aborts(acts[_i], NULL, "STATUS_NO_MEMORY raised");
}
END_TEST

static void fail_otherwise(void *nothing)
{
    (void)nothing;
    HANDLE raising = HeapCreate(HEAP_GENERATE_EXCEPTIONS, 0, 0);
    void *block = HeapAlloc(raising, 0, 10);
    CHILD_NEEDS(HeapSize(raising, 0, (char *)block + 1) == (SIZE_T)-1);
    CHILD_NEEDS(!HeapFree(raising, 0, (char *)block + 1));
    CHILD_NEEDS(!HeapValidate(raising, 0, (char *)block + 1));
    CHILD_NEEDS(!HeapUnlock(raising));
    CHILD_NEEDS(HeapFree(raising, 0, block));
}

START_TEST(size_free_validate_and_lock_never_raise) /* W32 2.6 */
{
    room_lives(fail_otherwise, NULL);
}
END_TEST

/* ---- HeapReAlloc: W32 3.4 ---- */

START_TEST(realloc_keeps_contents_and_sets_exact_size)
{
    for (int to = 0; to < SIZES; to++) {
        size_t old_bytes = sizes[_i], new_bytes = sizes[to];
        unsigned char *block = filled_block(old_bytes, 0x3C);
        unsigned char *moved = ASK(HeapReAlloc(heap, 0, block, new_bytes));
        ck_assert_ptr_nonnull(moved);
        ck_assert_last(SENTINEL);
        ck_assert_uint_eq(HeapSize(heap, 0, moved), new_bytes);
        ck_assert(is_filled(moved, 0x3C, 0, old_bytes < new_bytes ? old_bytes : new_bytes));
        if (moved != block) ck_assert_int_eq(HeapValidate(heap, 0, block), FALSE);
        memset(moved, 0x77, new_bytes);
        ck_assert_int_eq(HeapFree(heap, 0, moved), TRUE);
    }
}
END_TEST

START_TEST(realloc_zeroes_what_is_beyond_the_old_size)
{
    for (int to = 0; to < SIZES; to++) {
        size_t old_bytes = sizes[_i], new_bytes = sizes[to];
        size_t kept = old_bytes < new_bytes ? old_bytes : new_bytes;
        HeapFree(heap, 0, filled_block(new_bytes, 0xEE)); /* something that is not zero to reuse */
        unsigned char *block = filled_block(old_bytes, 0x3C);
        block = HeapReAlloc(heap, HEAP_ZERO_MEMORY, block, new_bytes);
        ck_assert_ptr_nonnull(block);
        ck_assert(is_filled(block, 0x3C, 0, kept));
        ck_assert(is_filled(block, 0, kept, new_bytes));
        ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
    }
}
END_TEST

START_TEST(realloc_counts_zeroes_from_the_last_requested_size)
{
    unsigned char *block = filled_block(100, 0x3C);
    block = HeapReAlloc(heap, 0, block, 50);
    block = HeapReAlloc(heap, HEAP_ZERO_MEMORY, block, 100);
    ck_assert(is_filled(block, 0x3C, 0, 50));
    ck_assert(is_filled(block, 0, 50, 100));
}
END_TEST

START_TEST(realloc_of_null_allocates_nothing) /* D22 */
{
    ck_assert_ptr_null(ASK(HeapReAlloc(heap, 0, NULL, 100)));
    ck_assert_last(0);
}
END_TEST

START_TEST(realloc_to_zero_keeps_a_block)
{
    void *block = ASK(HeapReAlloc(heap, 0, filled_block(100, 1), 0));
    ck_assert_ptr_nonnull(block);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(HeapSize(heap, 0, block), 0);
    ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
}
END_TEST

START_TEST(realloc_in_place_never_moves_and_always_shrinks)
{
    for (int to = 0; to < SIZES; to++) {
        size_t old_bytes = sizes[_i], new_bytes = sizes[to];
        unsigned char *block = filled_block(old_bytes, 0x3C);
        unsigned char *same = ASK(HeapReAlloc(heap, HEAP_REALLOC_IN_PLACE_ONLY, block, new_bytes));
        if (new_bytes <= old_bytes) ck_assert_ptr_eq(same, block);
        if (same) ck_assert_ptr_eq(same, block);
        ck_assert_last(same ? SENTINEL : ERROR_NOT_ENOUGH_MEMORY);
        ck_assert_uint_eq(HeapSize(heap, 0, block), same ? new_bytes : old_bytes);
        ck_assert(is_filled(block, 0x3C, 0, same && new_bytes < old_bytes ? new_bytes : old_bytes));
        ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
    }
}
END_TEST

START_TEST(realloc_in_place_cannot_pass_a_neighbour)
{
    unsigned char *block = filled_block(1000, 0x3C);
    ck_assert_ptr_null(ASK(HeapReAlloc(heap, HEAP_REALLOC_IN_PLACE_ONLY, block, 64 << 20)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_uint_eq(HeapSize(heap, 0, block), 1000);
    ck_assert(is_filled(block, 0x3C, 0, 1000));
}
END_TEST

void check_heapapi_add_blocks(Suite *suite)
{
    TCase *blocks = tcase_create("alloc, size, free");
    tcase_set_timeout(blocks, 60); /* valgrind */
    tcase_add_checked_fixture(blocks, setup_empty_heap, teardown_heap);
    tcase_add_loop_test(blocks, blocks_have_exact_size_and_alignment, 0, SIZES);
    tcase_add_test(blocks, every_small_size_is_exact);
    tcase_add_loop_test(blocks, zero_memory_clears_reused_blocks, 0, SIZES);
    tcase_add_loop_test(blocks, alloc_of_impossible_size_gives_null, 0, 6);
    tcase_add_test(blocks, free_of_null_succeeds);
    tcase_add_test(blocks, freed_space_serves_again);
    suite_add_tcase(suite, blocks);
    TCase *exceptions = tcase_create("exceptions");
    tcase_add_checked_fixture(exceptions, setup_empty_heap, teardown_heap);
    tcase_add_loop_test(exceptions, failure_with_exceptions_ends_the_process_with_one_line, 0, 4);
    tcase_add_test(exceptions, size_free_validate_and_lock_never_raise);
    suite_add_tcase(suite, exceptions);
    TCase *resize = tcase_create("realloc");
    tcase_set_timeout(resize, 60); /* valgrind */
    tcase_add_checked_fixture(resize, setup_empty_heap, teardown_heap);
    tcase_add_loop_test(resize, realloc_keeps_contents_and_sets_exact_size, 0, SIZES);
    tcase_add_loop_test(resize, realloc_zeroes_what_is_beyond_the_old_size, 0, SIZES);
    tcase_add_test(resize, realloc_counts_zeroes_from_the_last_requested_size);
    tcase_add_test(resize, realloc_of_null_allocates_nothing);
    tcase_add_test(resize, realloc_to_zero_keeps_a_block);
    tcase_add_loop_test(resize, realloc_in_place_never_moves_and_always_shrinks, 0, SIZES);
    tcase_add_test(resize, realloc_in_place_cannot_pass_a_neighbour);
    suite_add_tcase(suite, resize);
}
