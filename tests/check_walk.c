/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_walk.c -- HeapWalk (W32 3.10): what it shows of a quiet heap, and of one that four threads are busy
 * with: each live block exactly once, nothing else as busy, and HeapValidate of the same opinion. */
#include <stdlib.h>
#include <string.h>

#include "check_heapapi.h"
#include "churn.h"

static HANDLE heap;

static void setup_empty_heap(void)
{
    heap = HeapCreate(0, 0, 0);
    ck_assert_ptr_nonnull(heap);
}

static void teardown_heap(void)
{
    churn_end(); /* where an assertion failed before */
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}

/* The first entry; every field but lpData is to be ignored. */
static PROCESS_HEAP_ENTRY first_entry(void)
{
    PROCESS_HEAP_ENTRY entry;
    memset(&entry, 0xCD, sizeof entry);
    entry.lpData = NULL;
    ck_assert_int_eq(ASK(HeapWalk(heap, &entry)), TRUE);
    ck_assert_last(SENTINEL);
    return entry;
}

/* How often a walk shows `block` as busy; `found` is the entry. */
static unsigned times_shown(const void *block, PROCESS_HEAP_ENTRY *found)
{
    unsigned times = 0;
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    while (HeapWalk(heap, &entry)) {
        if (entry.lpData != block || !(entry.wFlags & PROCESS_HEAP_ENTRY_BUSY)) continue;
        *found = entry;
        times++;
    }
    return times;
}

static const size_t sizes[] = {0, 1, 16, 100, 256, 1000, 4096, 10000, 16385, 300000, 1048576, 5000000};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* ---- a quiet heap ---- */

START_TEST(first_entry_is_the_region_of_the_handle)
{
    PROCESS_HEAP_ENTRY entry = first_entry();
    ck_assert_ptr_eq(entry.lpData, heap);
    ck_assert_uint_eq(entry.wFlags, PROCESS_HEAP_REGION);
    ck_assert_uint_eq(entry.iRegionIndex, 0);
    ck_assert_uint_eq(entry.cbOverhead, 0); /* D13 */
    ck_assert_uint_le(entry.cbData, 0x1000);
    uint64_t reserved = (uint64_t)entry.Region.dwCommittedSize + entry.Region.dwUnCommittedSize;
    ck_assert_uint_ge(reserved, 4u << 20); /* D3 */
    ck_assert_ptr_eq(entry.Region.lpLastBlock, (char *)heap + reserved);
    ck_assert(entry.Region.lpFirstBlock >= heap && entry.Region.lpFirstBlock < entry.Region.lpLastBlock);
}
END_TEST

START_TEST(walk_of_an_empty_heap_ends_and_shows_no_block)
{
    PROCESS_HEAP_ENTRY entry = first_entry();
    unsigned steps = 1;
    while (ASK(HeapWalk(heap, &entry))) {
        ck_assert_last(SENTINEL);
        ck_assert(!(entry.wFlags & PROCESS_HEAP_ENTRY_BUSY));
        ck_assert_uint_lt(++steps, 100);
    }
    ck_assert_last(ERROR_NO_MORE_ITEMS);
}
END_TEST

START_TEST(live_block_is_shown_once_with_its_exact_size)
{
    PROCESS_HEAP_ENTRY entry;
    void *block[3];
    for (int i = 0; i < 3; i++)
        block[i] = HeapAlloc(heap, 0, sizes[_i]);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(times_shown(block[i], &entry), 1);
        ck_assert_uint_eq(entry.cbData, sizes[_i]);
        ck_assert_uint_eq(entry.wFlags, PROCESS_HEAP_ENTRY_BUSY);
        ck_assert_ptr_null(entry.Block.hMem);
    }
}
END_TEST

START_TEST(resized_block_is_shown_with_its_new_size)
{
    PROCESS_HEAP_ENTRY entry;
    for (int to = 0; to < SIZES; to++) {
        void *old = HeapAlloc(heap, 0, sizes[_i]);
        void *block = HeapReAlloc(heap, 0, old, sizes[to]);
        ck_assert_uint_eq(times_shown(block, &entry), 1);
        ck_assert_uint_eq(entry.cbData, sizes[to]);
        if (block != old) ck_assert_uint_eq(times_shown(old, &entry), 0);
        HeapFree(heap, 0, block);
    }
}
END_TEST

/* It lies in this thread's own stack then, ready to be handed out. */
START_TEST(freed_block_is_not_shown_as_busy)
{
    PROCESS_HEAP_ENTRY entry;
    void *block = HeapAlloc(heap, 0, sizes[_i]);
    ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
    ck_assert_uint_eq(times_shown(block, &entry), 0);
}
END_TEST

static PROCESS_HEAP_ENTRY region_of[256]; /* region entries by iRegionIndex */

START_TEST(blocks_lie_in_the_region_that_they_name)
{
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    bool behind_regions = false; /* blocks with a mapping of their own come last */
    memset(region_of, 0, sizeof region_of);
    for (int i = 0; i < 2000; i++)
        ck_assert_ptr_nonnull(HeapAlloc(heap, 0, sizes[i % (SIZES - 2)]));
    ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 8 << 20));
    while (HeapWalk(heap, &entry)) {
        const PROCESS_HEAP_ENTRY *region = &region_of[entry.iRegionIndex];
        if (entry.wFlags & PROCESS_HEAP_REGION) {
            ck_assert(!behind_regions && region->lpData == NULL);
            region_of[entry.iRegionIndex] = entry;
        } else if (region->lpData) {
            ck_assert(!behind_regions);
            ck_assert(entry.lpData >= region->Region.lpFirstBlock);
            ck_assert((char *)entry.lpData + entry.cbData <= (char *)region->Region.lpLastBlock);
        } else {
            behind_regions = true;
            ck_assert_uint_eq(entry.wFlags, PROCESS_HEAP_ENTRY_BUSY);
        }
    }
    ck_assert(behind_regions);
}
END_TEST

START_TEST(copies_of_an_entry_go_on_independently)
{
    PROCESS_HEAP_ENTRY one = first_entry(), kept, other;
    for (int i = 0; i < 20; i++)
        HeapAlloc(heap, 0, 100);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(HeapWalk(heap, &one), TRUE);
    kept = other = one;
    BOOL more, also;
    do {
        more = HeapWalk(heap, &one);
        first_entry(); /* a third walk, begun and abandoned */
        also = HeapWalk(heap, &other);
        ck_assert_int_eq(more, also);
        if (more) ck_assert_mem_eq(&one, &other, offsetof(PROCESS_HEAP_ENTRY, Block));
    } while (more);
    ck_assert_int_eq(HeapWalk(heap, &kept), TRUE);
}
END_TEST

START_TEST(entry_of_no_element_is_refused)
{
    PROCESS_HEAP_ENTRY entry = first_entry();
    char local[16];
    char *block = HeapAlloc(heap, 0, 1000);
    void *const nothing[] = {local, block + 16, (char *)heap + 1, (void *)(uintptr_t)0xDEAD0000BEEF0000u,
                             &heap};
    entry.lpData = nothing[_i];
    ck_assert_int_eq(ASK(HeapWalk(heap, &entry)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
}
END_TEST

START_TEST(null_entry_is_refused)
{
    ck_assert_int_eq(ASK(HeapWalk(heap, NULL)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
}
END_TEST

START_TEST(block_of_4_gb_is_shown_saturated) /* D24 */
{
    PROCESS_HEAP_ENTRY entry;
    SIZE_T bytes = ((SIZE_T)1 << 32) + 5;
    void *block = HeapAlloc(heap, 0, bytes);
    if (!block) return; /* a machine that does not promise so much */
    ck_assert_uint_eq(HeapSize(heap, 0, block), bytes);
    ck_assert_uint_eq(times_shown(block, &entry), 1);
    ck_assert_uint_eq(entry.cbData, 0xFFFFFFFFu);
}
END_TEST

/* ---- a busy heap ---- */

static void *take(HANDLE in, size_t bytes)
{
    return HeapAlloc(in, 0, bytes);
}

static void *resize(HANDLE in, void *block, size_t bytes)
{
    return HeapReAlloc(in, 0, block, bytes);
}

static void give(HANDLE in, void *block)
{
    if (!HeapFree(in, 0, block)) abort(); /* in a thread: a ck_assert cannot be */
}

static const struct churn_calls heap_calls = {take, resize, give, .exact = true};

static void assert_right(const char *complaint)
{
    ck_assert_msg(complaint == NULL, "%s", complaint ? complaint : "");
}

static void churn_and_check(HANDLE in, uint64_t seed)
{
    ck_assert(churn_start(&heap_calls, in, seed));
    churn_go();
    for (int i = 0; i < 40; i++) {
        churn_wait(1500);
        assert_right(churn_check());
    }
    ck_assert_uint_gt(churn_busy_seen(), CHURN_SLOTS / 10);
    churn_halt();
    assert_right(churn_check());
    churn_end(); /* and again when the threads are gone: their stacks went back */
    assert_right(churn_check());
    churn_clear();
    assert_right(churn_check());
}

START_TEST(busy_private_heap_shows_each_live_block_once)
{
    churn_and_check(heap, 1 + (uint64_t)_i);
    ck_assert_uint_eq(churn_busy_seen(), 0);
}
END_TEST

START_TEST(busy_process_heap_shows_each_live_block_once)
{
    churn_and_check(GetProcessHeap(), 7);
}
END_TEST

/* Often locked at once by two: the walk's steps and the threads' operations take turns. */
START_TEST(walk_goes_on_without_the_lock_while_threads_are_busy)
{
    ck_assert(churn_start(&heap_calls, heap, 5));
    churn_go();
    for (int i = 0; i < 20; i++) {
        PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
        churn_wait(200);
        while (ASK(HeapWalk(heap, &entry)))
            ck_assert_uint_eq(entry.wFlags & ~7u, 0);
        ck_assert(GetLastError() == ERROR_NO_MORE_ITEMS || GetLastError() == ERROR_INVALID_PARAMETER);
    }
    churn_halt();
    assert_right(churn_check());
    churn_end();
}
END_TEST

START_TEST(churn_notices_a_block_that_is_gone)
{
    ck_assert(churn_start(&heap_calls, heap, 3));
    churn_go();
    churn_wait(2000);
    churn_halt();
    ck_assert_int_eq(HeapFree(heap, 0, churn_some_block()), TRUE);
    ck_assert_ptr_nonnull(churn_check());
    churn_end();
}
END_TEST

START_TEST(churn_notices_a_block_too_many)
{
    ck_assert(churn_start(&heap_calls, heap, 4));
    churn_go();
    churn_wait(2000);
    churn_halt();
    ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 40));
    ck_assert_ptr_nonnull(churn_check());
    churn_end();
}
END_TEST

static void add_quiet(Suite *suite)
{
    TCase *quiet = tcase_create("a quiet heap");
    tcase_set_timeout(quiet, 60); /* valgrind */
    tcase_add_checked_fixture(quiet, setup_empty_heap, teardown_heap);
    tcase_add_test(quiet, first_entry_is_the_region_of_the_handle);
    tcase_add_test(quiet, walk_of_an_empty_heap_ends_and_shows_no_block);
    tcase_add_loop_test(quiet, live_block_is_shown_once_with_its_exact_size, 0, SIZES);
    tcase_add_loop_test(quiet, resized_block_is_shown_with_its_new_size, 0, SIZES);
    tcase_add_loop_test(quiet, freed_block_is_not_shown_as_busy, 0, SIZES);
    tcase_add_test(quiet, blocks_lie_in_the_region_that_they_name);
    tcase_add_test(quiet, copies_of_an_entry_go_on_independently);
    tcase_add_loop_test(quiet, entry_of_no_element_is_refused, 0, 5);
    tcase_add_test(quiet, null_entry_is_refused);
    tcase_add_test(quiet, block_of_4_gb_is_shown_saturated);
    suite_add_tcase(suite, quiet);
}

int main(void)
{
    Suite *suite = suite_create("walk");
    add_quiet(suite);
    TCase *busy = tcase_create("a busy heap");
    tcase_set_timeout(busy, 60);
    tcase_add_checked_fixture(busy, setup_empty_heap, teardown_heap);
    tcase_add_loop_test(busy, busy_private_heap_shows_each_live_block_once, 0, 3);
    tcase_add_test(busy, busy_process_heap_shows_each_live_block_once);
    tcase_add_test(busy, walk_goes_on_without_the_lock_while_threads_are_busy);
    tcase_add_test(busy, churn_notices_a_block_that_is_gone);
    tcase_add_test(busy, churn_notices_a_block_too_many);
    suite_add_tcase(suite, busy);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
