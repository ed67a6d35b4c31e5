/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_heapinfo.c -- HeapCompact, HeapSummary and HeapQueryInformation: every row of the contract.
 * HeapSetInformation is in check_heapinfo_set.c; exceptions have a suite of their own, check_raise.c. */
#include "check_heapinfo.h"

/* The largest committed free element that HeapWalk shows. */
static SIZE_T largest_shown(void)
{
    SIZE_T largest = 0;
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    while (HeapWalk(heap, &entry))
        if (entry.wFlags == 0 && entry.cbData > largest)
            largest = entry.cbData;
    return largest;
}

static HEAP_SUMMARY summary_of(HANDLE which)
{
    HEAP_SUMMARY summary = {.cb = sizeof summary};
    ck_assert_int_eq(ASK(HeapSummary(which, 0, &summary)), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(summary.cb, sizeof summary);
    ck_assert_uint_le(summary.cbAllocated, summary.cbCommitted);
    ck_assert_uint_le(summary.cbCommitted, summary.cbReserved);
    ck_assert_uint_le(summary.cbReserved, summary.cbMaxReserve);
    return summary;
}

/* ---- HeapCompact: W32 3.8 ---- */

START_TEST(compact_of_a_new_heap_is_above_zero)
{
    ck_assert_uint_ge(ASK(HeapCompact(heap, 0)), 4 * MB - 65536); /* D3 */
    ck_assert_last(SENTINEL);
}
END_TEST

START_TEST(compact_of_a_new_fixed_heap_is_what_is_committed) /* W32 3.1 */
{
    static const struct {
        SIZE_T initial, maximum;
    } rows[] = {{0, 256 * KB}, {256 * KB, 256 * KB}, {64 * KB, 16 * MB}, {2 * MB, 64 * MB}, {0x100, 0x100}};
    HANDLE fixed = HeapCreate(0, rows[_i].initial, rows[_i].maximum);
    const SIZE_T free_bytes = ASK(HeapCompact(fixed, 0));
    ck_assert_last(SENTINEL);
    ck_assert_uint_ge(free_bytes + ph_packed_control_bytes(), rows[_i].initial > 0 ? rows[_i].initial : rows[_i].maximum);
    ck_assert_uint_le(free_bytes, rows[_i].maximum + 4096);
    const HEAP_SUMMARY summary = summary_of(fixed);
    ck_assert_uint_ge(summary.cbCommitted, rows[_i].initial);
    ck_assert_int_eq(HeapDestroy(fixed), TRUE);
}
END_TEST

START_TEST(compact_is_the_largest_free_element_of_a_walk)
{
    enum { BLOCKS = 400 };
    void *block[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        block[i] = HeapAlloc(heap, 0, (SIZE_T)(i % 37) * 997 + 1);
    for (int i = 0; i < BLOCKS; i += 2)
        HeapFree(heap, 0, block[i]);
    const SIZE_T largest = ASK(HeapCompact(heap, 0));
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(largest, largest_shown());
    ck_assert_uint_eq(HeapCompact(heap, HEAP_NO_SERIALIZE), largest);
    for (int i = 1; i < BLOCKS; i += 2)
        ck_assert_uint_eq(HeapSize(heap, 0, block[i]), (SIZE_T)(i % 37) * 997 + 1); /* moves nothing */
}
END_TEST

START_TEST(compact_gives_free_memory_back)
{
    enum { BYTES = 3 * MB };
    const size_t before = resident_bytes();
    leave_free_memory(BYTES);
    (void)HeapCompact(heap, 0);
    ck_assert_uint_lt(resident_bytes(), before + BYTES / 2);
}
END_TEST

/* The sum of its blocks is the heap: no element of a walk is free. */
START_TEST(compact_of_a_full_heap_is_zero_and_no_error)
{
    HANDLE kept = heap;
    heap = HeapCreate(0, 0, 64 * KB);
    while (HeapAlloc(heap, 0, 4096) != NULL) {}
    for (SIZE_T bytes = 2048; bytes >= 16; bytes /= 2)
        while (HeapAlloc(heap, 0, bytes) != NULL) {}
    const SIZE_T left = largest_shown();
    ck_assert_uint_eq(ASK(HeapCompact(heap, 0)), left);
    ck_assert_last(left == 0 ? NO_ERROR : SENTINEL);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
    heap = kept;
}
END_TEST

START_TEST(compact_refuses_a_bad_handle) /* W32 2.2 */
{
    ck_assert_uint_eq(ASK(HeapCompact(bad_handle(_i), 0)), 0);
    ck_assert_last(ERROR_INVALID_HANDLE);
}
END_TEST

static void *compact_in_a_thread(void *done)
{
    const SIZE_T bytes = HeapCompact(heap, 0);
    __atomic_store_n((bool *)done, true, __ATOMIC_SEQ_CST);
    return (void *)(uintptr_t)bytes;
}

START_TEST(compact_waits_for_the_heap_lock) /* W32 3.9 */
{
    bool done = false;
    pthread_t thread;
    void *bytes;
    ck_assert_int_eq(HeapLock(heap), TRUE);
    ck_assert_uint_gt(HeapCompact(heap, 0), 0); /* the owner need not */
    ck_assert_int_eq(pthread_create(&thread, NULL, compact_in_a_thread, &done), 0);
    for (int i = 0; i < 2000; i++)
        sched_yield();
    ck_assert(!__atomic_load_n(&done, __ATOMIC_SEQ_CST));
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    pthread_join(thread, &bytes);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(ASK(HeapUnlock(heap)), FALSE); /* nothing of it is left */
}
END_TEST

/* ---- HeapSummary: W32 3.14 ---- */

START_TEST(summary_of_a_new_heap_is_four_megabytes)
{
    const HEAP_SUMMARY summary = summary_of(heap);
    ck_assert_uint_eq(summary.cbAllocated, 0);
    ck_assert_uint_ge(summary.cbReserved, 4 * MB);
    ck_assert_uint_ge(summary.cbCommitted, 4 * MB); /* D3: in the books */
    ck_assert_uint_gt(summary.cbMaxReserve, summary.cbReserved);
}
END_TEST

START_TEST(summary_knows_every_requested_byte)
{
    void *block[] = {HeapAlloc(heap, 0, 0x100), HeapAlloc(heap, 0, 0x200), HeapAlloc(heap, 0, 0x60000)};
    ck_assert_uint_eq(summary_of(heap).cbAllocated, 0x100 + 0x200 + 0x60000);
    const HEAP_SUMMARY before = summary_of(heap);
    void *large = HeapAlloc(heap, 0, 5 * MB + 1);
    void *empty = HeapAlloc(heap, 0, 0);
    const HEAP_SUMMARY after = summary_of(heap);
    ck_assert_uint_eq(after.cbAllocated, 0x60300 + 5 * MB + 1);
    ck_assert_uint_ge(after.cbCommitted, before.cbCommitted + 5 * MB); /* a large block counts in all three */
    ck_assert_uint_ge(after.cbReserved, before.cbReserved + 5 * MB);
    large = HeapReAlloc(heap, 0, large, 7);
    block[1] = HeapReAlloc(heap, 0, block[1], 40001);
    ck_assert_uint_eq(summary_of(heap).cbAllocated, 0x100 + 40001 + 0x60000 + 7);
    for (int i = 0; i < COUNT(block); i++)
        HeapFree(heap, 0, block[i]);
    HeapFree(heap, 0, large);
    HeapFree(heap, 0, empty);
    ck_assert_uint_eq(summary_of(heap).cbAllocated, 0);
}
END_TEST

START_TEST(summary_of_a_fixed_heap_has_its_rounded_maximum)
{
    HANDLE fixed = HeapCreate(0, 64 * KB, 3 * MB + 1);
    ck_assert_uint_eq(summary_of(fixed).cbMaxReserve, 3 * MB + 4096); /* W32 3.1, D4 */
    ck_assert_uint_eq(summary_of(fixed).cbReserved, 3 * MB + 4096);
    ck_assert_ptr_nonnull(HeapAlloc(fixed, 0, 777));
    ck_assert_uint_eq(summary_of(fixed).cbAllocated, 777);
    ck_assert_int_eq(HeapDestroy(fixed), TRUE);
}
END_TEST

START_TEST(summary_follows_a_heap_that_grows)
{
    for (int i = 0; i < 100; i++)
        ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 300000));
    const HEAP_SUMMARY summary = summary_of(heap);
    ck_assert_uint_eq(summary.cbAllocated, 30000000);
    ck_assert_uint_gt(summary.cbReserved, 30000000);
}
END_TEST

START_TEST(summary_refuses_another_cb_first_and_writes_nothing)
{
    static const DWORD wrong[] = {0, 1, 20, sizeof(HEAP_SUMMARY) - 1, sizeof(HEAP_SUMMARY) + 1, 0xFFFFFFFFu};
    HEAP_SUMMARY summary, before;
    memset(&summary, 0xCD, sizeof summary);
    summary.cb = wrong[_i];
    before = summary;
    ck_assert_int_eq(ASK(HeapSummary(heap, 0, &summary)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(ASK(HeapSummary(NULL, 0, &summary)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_mem_eq(&summary, &before, sizeof summary);
    ck_assert_int_eq(ASK(HeapSummary(heap, 0, NULL)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
}
END_TEST

START_TEST(summary_refuses_a_bad_handle) /* W32 2.2 */
{
    HEAP_SUMMARY summary = {.cb = sizeof summary, .cbAllocated = 42};
    ck_assert_int_eq(ASK(HeapSummary(bad_handle(_i), 0, &summary)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(summary.cbAllocated, 42);
}
END_TEST

/* ---- HeapQueryInformation: W32 3.12 ---- */

START_TEST(query_of_a_new_heap_is_zero_and_stays_so)
{
    ck_assert_uint_eq(compatibility_of(heap), 0);
    for (int i = 0; i < 100; i++) /* D15 */
        (void)HeapAlloc(heap, 0, 40);
    ck_assert_uint_eq(compatibility_of(heap), 0);
    ck_assert_uint_eq(compatibility_of(GetProcessHeap()), 0);
}
END_TEST

START_TEST(query_writes_four_bytes_to_a_larger_buffer)
{
    unsigned char buffer[16];
    memset(buffer, 0xCD, sizeof buffer);
    ck_assert_int_eq(HeapQueryInformation(heap, HeapCompatibilityInformation, buffer, sizeof buffer, NULL), TRUE);
    for (int i = 0; i < 16; i++)
        ck_assert_uint_eq(buffer[i], i < 4 ? 0 : 0xCD);
}
END_TEST

START_TEST(query_of_a_short_buffer_says_how_much_it_takes)
{
    ULONG value = 77;
    SIZE_T bytes = 77;
    ck_assert_int_eq(
        ASK(HeapQueryInformation(heap, HeapCompatibilityInformation, _i == 0 ? NULL : &value, (SIZE_T)_i, &bytes)),
        FALSE);
    ck_assert_last(ERROR_INSUFFICIENT_BUFFER);
    ck_assert_uint_eq(bytes, 4);
    ck_assert_uint_eq(value, 77);
    ck_assert_int_eq(HeapQueryInformation(heap, HeapCompatibilityInformation, &value, (SIZE_T)_i, NULL), FALSE);
}
END_TEST

START_TEST(query_of_a_bad_handle_is_no_access) /* W32 2.2 */
{
    ULONG value = 77;
    SIZE_T bytes = 77;
    HANDLE bad = bad_handle(_i);
    ck_assert_int_eq(ASK(HeapQueryInformation(bad, HeapCompatibilityInformation, &value, sizeof value, &bytes)),
                     FALSE);
    ck_assert_last(ERROR_NOACCESS);
    ck_assert_int_eq(ASK(HeapQueryInformation(bad, HeapCompatibilityInformation, NULL, 0, &bytes)), FALSE);
    ck_assert_last(ERROR_NOACCESS);
    ck_assert_uint_eq(bytes, 77);
    ck_assert_uint_eq(value, 77);
}
END_TEST

START_TEST(query_of_another_class_is_refused)
{
    static const int classes[] = {HeapEnableTerminationOnCorruption, 2, HeapOptimizeResources, 4, -1};
    ULONG value[4] = {77};
    SIZE_T bytes = 77;
    ck_assert_int_eq(
        ASK(HeapQueryInformation(heap, (HEAP_INFORMATION_CLASS)classes[_i], value, sizeof value, &bytes)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_uint_eq(value[0], 77);
}
END_TEST

static void add_figures(Suite *suite)
{
    TCase *compact = room_case(suite, "compact", setup_empty_heap, teardown_heap);
    tcase_add_test(compact, compact_of_a_new_heap_is_above_zero);
    tcase_add_loop_test(compact, compact_of_a_new_fixed_heap_is_what_is_committed, 0, 5);
    tcase_add_test(compact, compact_is_the_largest_free_element_of_a_walk);
    tcase_add_test(compact, compact_gives_free_memory_back);
    tcase_add_test(compact, compact_of_a_full_heap_is_zero_and_no_error);
    tcase_add_loop_test(compact, compact_refuses_a_bad_handle, 0, BAD_HANDLES);
    tcase_add_test(compact, compact_waits_for_the_heap_lock);
    TCase *summary = room_case(suite, "summary", setup_empty_heap, teardown_heap);
    tcase_add_test(summary, summary_of_a_new_heap_is_four_megabytes);
    tcase_add_test(summary, summary_knows_every_requested_byte);
    tcase_add_test(summary, summary_of_a_fixed_heap_has_its_rounded_maximum);
    tcase_add_test(summary, summary_follows_a_heap_that_grows);
    tcase_add_loop_test(summary, summary_refuses_another_cb_first_and_writes_nothing, 0, 6);
    tcase_add_loop_test(summary, summary_refuses_a_bad_handle, 0, BAD_HANDLES);
}

static void add_query(Suite *suite)
{
    TCase *query = room_case(suite, "query", setup_empty_heap, teardown_heap);
    tcase_add_test(query, query_of_a_new_heap_is_zero_and_stays_so);
    tcase_add_test(query, query_writes_four_bytes_to_a_larger_buffer);
    tcase_add_loop_test(query, query_of_a_short_buffer_says_how_much_it_takes, 0, 4);
    tcase_add_loop_test(query, query_of_a_bad_handle_is_no_access, 0, BAD_HANDLES);
    tcase_add_loop_test(query, query_of_another_class_is_refused, 0, 5);
}

int main(void)
{
    Suite *suite = suite_create("heapinfo");
    add_figures(suite);
    add_query(suite);
    check_heapinfo_add_set(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
