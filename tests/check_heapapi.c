/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_heapapi.c -- the heap functions of heapapi.h for the ordinary case: growable heaps, exact sizes,
 * clean refusals.  Each test is a promise; `W32 3.4` names the section of the behavioural contract it is
 * from. Here: last error, heaps, locks.  Blocks are in check_heapapi_blocks.c, refusals and the list of heaps
 * in check_heapapi_bad.c; HeapWalk has a suite of its own, check_walk.c. */
#include "check_heapapi.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static HANDLE heap;

static void setup_empty_heap(void)
{
    heap = HeapCreate(0, 0, 0);
    ck_assert_ptr_nonnull(heap);
}

static void teardown_heap(void)
{
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}

/* ---- last error: W32 2.1, 3.15 ---- */

START_TEST(last_error_keeps_all_32_bits) /* W32 3.15 */
{
    static const DWORD values[] = {0, 1, 87, 0x7FFFFFFF, 0x80000000u, 0xFFFFFFFFu};
    SetLastError(values[_i]);
    ck_assert_uint_eq(GetLastError(), values[_i]);
}
END_TEST

static void *last_error_of_new_thread(void *out)
{
    *(DWORD *)out = GetLastError();
    SetLastError(5);
    return NULL;
}

START_TEST(last_error_is_zero_in_a_new_thread_and_its_own)
{
    DWORD seen = 1;
    pthread_t thread;
    SetLastError(SENTINEL);
    ck_assert_int_eq(pthread_create(&thread, NULL, last_error_of_new_thread, &seen), 0);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(seen, 0);
    ck_assert_last(SENTINEL);
}
END_TEST

START_TEST(success_leaves_last_error_and_errno)
{
    errno = 77;
    SetLastError(SENTINEL);
    HANDLE other = HeapCreate(0, 0, 0);
    char *block = HeapAlloc(other, HEAP_ZERO_MEMORY, 100);
    block = HeapReAlloc(other, 0, block, 5000);
    ck_assert_uint_eq(HeapSize(other, 0, block), 5000);
    ck_assert(HeapValidate(other, 0, NULL) && HeapLock(other) && HeapUnlock(other));
    ck_assert(HeapFree(other, 0, block) && HeapDestroy(other));
    ck_assert_ptr_nonnull(GetProcessHeap());
    ck_assert_last(SENTINEL);
    ck_assert_int_eq(errno, 77);
}
END_TEST

/* ---- HeapCreate, HeapDestroy: W32 3.1, 3.2 ---- */

START_TEST(create_gives_distinct_aligned_handles) /* W32 2.2 */
{
    HANDLE made[20];
    for (int i = 0; i < 20; i++) {
        made[i] = HeapCreate(0, i % 2 ? 0 : 1u << 20, 0);
        ck_assert_ptr_nonnull(made[i]);
        ck_assert_uint_eq((uintptr_t)made[i] & 0xFFFF, 0);
        for (int j = 0; j < i; j++)
            ck_assert_ptr_ne(made[i], made[j]);
    }
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(HeapDestroy(made[i]), TRUE);
}
END_TEST

START_TEST(create_ignores_unknown_flags) /* W32 1.2 */
{
    DWORD flags = HEAP_CREATE_MARKER_FLAGS_INTERNAL | HEAP_CREATE_ALIGN_16 | HEAP_CREATE_SEGMENT_HEAP |
                  HEAP_CREATE_HARDENED | HEAP_CREATE_ENABLE_TRACING | HEAP_GROWABLE |
                  HEAP_TAIL_CHECKING_ENABLED | HEAP_FREE_CHECKING_ENABLED | 0x5F801000u;
    HANDLE other = HeapCreate(flags, 0, 0);
    ck_assert_ptr_nonnull(other);
    void *block = HeapAlloc(other, 0x300 | HEAP_CREATE_ALIGN_16, 10);
    ck_assert_uint_eq(HeapSize(other, 0, block), 10);
    ck_assert_int_eq(HeapDestroy(other), TRUE);
}
END_TEST

START_TEST(create_refuses_impossible_sizes)
{
    static const struct {
        SIZE_T initial, maximum;
        DWORD error;
    } rows[] = {
        {8192, 4096, ERROR_INVALID_PARAMETER}, /* D5 */
        {SIZE_MAX, 0, ERROR_NOT_ENOUGH_MEMORY},        {SIZE_MAX / 2, 0, ERROR_NOT_ENOUGH_MEMORY},
        {0, SIZE_MAX, ERROR_NOT_ENOUGH_MEMORY},        {0, SIZE_MAX / 2, ERROR_NOT_ENOUGH_MEMORY},
        {0, SIZE_MAX - 4095, ERROR_NOT_ENOUGH_MEMORY},
    };
    DWORD before = GetProcessHeaps(0, NULL);
    ck_assert_ptr_null(ASK(HeapCreate(0, rows[_i].initial, rows[_i].maximum)));
    ck_assert_last(rows[_i].error);
    ck_assert_uint_eq(GetProcessHeaps(0, NULL), before);
}
END_TEST

START_TEST(create_takes_storage_only_on_demand)
{
    size_t before = resident_bytes();
    HANDLE other = HeapCreate(0, (size_t)256 << 20, 0);
    ck_assert_ptr_nonnull(other);
    ck_assert_ptr_nonnull(HeapAlloc(other, 0, 100));
    size_t after = resident_bytes();
    ck_assert_int_eq(HeapDestroy(other), TRUE);
    ck_assert_uint_lt(after, before + (4u << 20));
}
END_TEST

START_TEST(growable_heap_grows_past_its_initial_size) /* W32 section 5 */
{
    enum { BLOCKS = 2000, BYTES = 10000 };
    static char *block[BLOCKS];
    HANDLE other = HeapCreate(0, 64 << 10, 0);
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = HeapAlloc(other, 0, BYTES);
        ck_assert_ptr_nonnull(block[i]);
        memset(block[i], i, BYTES);
    }
    char expected[BYTES];
    for (int i = 0; i < BLOCKS; i++) {
        memset(expected, i, BYTES);
        ck_assert(memcmp(block[i], expected, BYTES) == 0);
    }
    ck_assert_int_eq(HeapDestroy(other), TRUE);
}
END_TEST

START_TEST(destroy_ends_a_heap_with_live_blocks_once) /* W32 3.2 */
{
    HANDLE other = HeapCreate(0, 0, 0);
    for (size_t bytes = 0; bytes < 8 << 20; bytes = 2 * bytes + 1)
        ck_assert_ptr_nonnull(HeapAlloc(other, 0, bytes));
    ck_assert_int_eq(ASK(HeapDestroy(other)), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_int_eq(ASK(HeapDestroy(other)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
}
END_TEST

START_TEST(destroy_ends_a_heap_that_its_caller_has_locked)
{
    HANDLE other = HeapCreate(0, 0, 0);
    ck_assert(HeapLock(other) && HeapLock(other));
    ck_assert_int_eq(HeapDestroy(other), TRUE);
    HANDLE next = HeapCreate(0, 0, 0); /* may be at the same place: no lock is left over */
    ck_assert_int_eq(ASK(HeapUnlock(next)), FALSE);
    ck_assert_last(ERROR_NOT_OWNER);
    ck_assert_int_eq(HeapDestroy(next), TRUE);
}
END_TEST

START_TEST(destroy_refuses_the_process_heap) /* W32 3.2 */
{
    HANDLE process = GetProcessHeap();
    void *block = HeapAlloc(process, 0, 40);
    ck_assert_int_eq(ASK(HeapDestroy(process)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(HeapSize(process, 0, block), 40);
    ck_assert_int_eq(HeapFree(process, 0, block), TRUE);
}
END_TEST

static void *alloc_of_process_heap(void *out)
{
    *(HANDLE *)out = GetProcessHeap();
    return HeapAlloc(GetProcessHeap(), 0, 24);
}

/* Blocks wander between threads: freed, resized and measured by another one than took them. */
START_TEST(process_heap_is_one_for_all_threads) /* W32 3.11 */
{
    HANDLE seen = NULL;
    void *block = NULL;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, alloc_of_process_heap, &seen), 0);
    pthread_join(thread, &block);
    ck_assert_ptr_eq(seen, GetProcessHeap());
    ck_assert_uint_eq(HeapSize(seen, 0, block), 24);
    block = HeapReAlloc(seen, 0, block, 2400);
    ck_assert_uint_eq(HeapSize(seen, 0, block), 2400);
    ck_assert_int_eq(HeapFree(seen, 0, block), TRUE);
}
END_TEST

/* ---- serialisation: W32 2.3, 3.9 ---- */

struct visitor { /* another thread, which uses the heap once */
    pthread_t thread;
    DWORD flags;
    atomic_bool started, done;
    void *block;
    BOOL unlocked;
    DWORD error;
};

static void *visitor_run(void *arg)
{
    struct visitor *visitor = arg;
    visitor->unlocked = HeapUnlock(heap);
    visitor->error = GetLastError();
    atomic_store(&visitor->started, true);
    visitor->block = HeapAlloc(heap, visitor->flags, 64);
    atomic_store(&visitor->done, true);
    return NULL;
}

/* Start it and give it every chance to get on. */
static void visitor_start(struct visitor *visitor)
{
    ck_assert_int_eq(pthread_create(&visitor->thread, NULL, visitor_run, visitor), 0);
    while (!atomic_load(&visitor->started))
        sched_yield();
    for (int i = 0; i < 2000 && !atomic_load(&visitor->done); i++)
        sched_yield();
}

START_TEST(lock_is_recursive_and_keeps_others_out) /* W32 3.9, D11 */
{
    struct visitor visitor = {.flags = 0};
    HeapFree(heap, 0, HeapAlloc(heap, 0, 64)); /* leaves something in this thread's stacks */
    ck_assert_int_eq(ASK(HeapLock(heap)), TRUE);
    ck_assert_int_eq(HeapLock(heap), TRUE);
    ck_assert_last(SENTINEL);
    visitor_start(&visitor);
    ck_assert(!atomic_load(&visitor.done));
    HeapFree(heap, 0, HeapAlloc(heap, 0, 64)); /* the owner may use everything */
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    for (int i = 0; i < 200; i++)
        sched_yield();
    ck_assert(!atomic_load(&visitor.done)); /* one lock is left */
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    pthread_join(visitor.thread, NULL);
    ck_assert_ptr_nonnull(visitor.block);
}
END_TEST

START_TEST(unlock_by_another_thread_is_refused) /* W32 3.9, D10 */
{
    struct visitor visitor = {.flags = 0};
    ck_assert_int_eq(HeapLock(heap), TRUE);
    visitor_start(&visitor);
    ck_assert_int_eq(visitor.unlocked, FALSE);
    ck_assert_uint_eq(visitor.error, ERROR_NOT_OWNER);
    ck_assert(!atomic_load(&visitor.done));
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    pthread_join(visitor.thread, NULL);
    ck_assert_int_eq(ASK(HeapUnlock(heap)), FALSE); /* one too many */
    ck_assert_last(ERROR_NOT_OWNER);
}
END_TEST

START_TEST(no_serialize_on_a_call_passes_a_held_lock)
{
    struct visitor visitor = {.flags = HEAP_NO_SERIALIZE};
    ck_assert_int_eq(HeapLock(heap), TRUE);
    ck_assert_int_eq(pthread_create(&visitor.thread, NULL, visitor_run, &visitor), 0);
    pthread_join(visitor.thread, NULL); /* would hang here */
    ck_assert_ptr_nonnull(visitor.block);
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
}
END_TEST

START_TEST(no_serialize_heap_works_and_its_lock_is_nothing) /* D9 */
{
    struct visitor visitor = {.flags = 0};
    HANDLE kept = heap;
    heap = HeapCreate(HEAP_NO_SERIALIZE, 0, 0);
    char *block = HeapAlloc(heap, 0, 100);
    memset(block, 9, 100);
    block = HeapReAlloc(heap, HEAP_ZERO_MEMORY, block, 200);
    ck_assert(block[99] == 9 && block[100] == 0 && block[199] == 0);
    ck_assert_int_eq(ASK(HeapLock(heap)), TRUE);
    ck_assert_int_eq(pthread_create(&visitor.thread, NULL, visitor_run, &visitor), 0);
    pthread_join(visitor.thread, NULL);
    ck_assert_ptr_nonnull(visitor.block);
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
    heap = kept;
}
END_TEST

static void add_create(Suite *suite)
{
    TCase *errors = tcase_create("last error");
    tcase_add_loop_test(errors, last_error_keeps_all_32_bits, 0, 6);
    tcase_add_test(errors, last_error_is_zero_in_a_new_thread_and_its_own);
    tcase_add_test(errors, success_leaves_last_error_and_errno);
    suite_add_tcase(suite, errors);
    TCase *create = tcase_create("create, destroy");
    tcase_add_test(create, create_gives_distinct_aligned_handles);
    tcase_add_test(create, create_ignores_unknown_flags);
    tcase_add_loop_test(create, create_refuses_impossible_sizes, 0, 6);
    tcase_add_test(create, create_takes_storage_only_on_demand);
    tcase_add_test(create, growable_heap_grows_past_its_initial_size);
    tcase_add_test(create, destroy_ends_a_heap_with_live_blocks_once);
    tcase_add_test(create, destroy_ends_a_heap_that_its_caller_has_locked);
    tcase_add_test(create, destroy_refuses_the_process_heap);
    tcase_add_test(create, process_heap_is_one_for_all_threads);
    suite_add_tcase(suite, create);
}

static void add_lock(Suite *suite)
{
    TCase *lock = tcase_create("lock");
    tcase_add_checked_fixture(lock, setup_empty_heap, teardown_heap);
    tcase_add_test(lock, lock_is_recursive_and_keeps_others_out);
    tcase_add_test(lock, unlock_by_another_thread_is_refused);
    tcase_add_test(lock, no_serialize_on_a_call_passes_a_held_lock);
    tcase_add_test(lock, no_serialize_heap_works_and_its_lock_is_nothing);
    suite_add_tcase(suite, lock);
}

int main(void)
{
    Suite *suite = suite_create("heapapi");
    add_create(suite);
    check_heapapi_add_blocks(suite);
    add_lock(suite);
    check_heapapi_add_bad(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
