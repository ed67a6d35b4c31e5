/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_heapinfo_set.c -- suite "heapinfo", second part: HeapSetInformation, every row of the contract, and the end
 * of a process that asked for it (W32 2.7). */
#include "check_heapinfo.h"

/* ---- HeapSetInformation: W32 3.13 ---- */

static BOOL set_compatibility(HANDLE which, ULONG value)
{
    return ASK(HeapSetInformation(which, HeapCompatibilityInformation, &value, sizeof value));
}

START_TEST(set_goes_from_zero_to_two_and_never_back)
{
    ck_assert_int_eq(set_compatibility(heap, 0), TRUE); /* nothing changes */
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(compatibility_of(heap), 0);
    for (int i = 0; i < 2; i++) { /* D16 */
        ck_assert_int_eq(set_compatibility(heap, 2), TRUE);
        ck_assert_last(SENTINEL);
        ck_assert_uint_eq(compatibility_of(heap), 2);
    }
    static const ULONG refused[] = {0, 1, 3, 0xFFFFFFFFu};
    for (int i = 0; i < COUNT(refused); i++) {
        ck_assert_int_eq(set_compatibility(heap, refused[i]), FALSE);
        ck_assert_last(ERROR_GEN_FAILURE);
        ck_assert_uint_eq(compatibility_of(heap), 2);
    }
    HANDLE other = HeapCreate(0, 0, 0); /* each heap has its own */
    ck_assert_uint_eq(compatibility_of(other), 0);
    ck_assert_int_eq(HeapDestroy(other), TRUE);
}
END_TEST

START_TEST(set_dies_with_its_heap)
{
    for (int i = 0; i < 3; i++) { /* a later heap may have the same place and number */
        HANDLE other = HeapCreate(0, 0, 0);
        ck_assert_uint_eq(compatibility_of(other), 0);
        ck_assert_int_eq(set_compatibility(other, 2), TRUE);
        ck_assert_int_eq(HeapDestroy(other), TRUE);
    }
}
END_TEST

START_TEST(set_refuses_other_values)
{
    static const ULONG refused[] = {1, 3, 0xFFFFFFFFu};
    ck_assert_int_eq(set_compatibility(heap, refused[_i]), FALSE);
    ck_assert_last(ERROR_GEN_FAILURE);
    ck_assert_uint_eq(compatibility_of(heap), 0);
}
END_TEST

START_TEST(set_refuses_heaps_without_serialisation_or_growth)
{
    HANDLE alone = HeapCreate(HEAP_NO_SERIALIZE, 0, 0);
    HANDLE fixed = HeapCreate(0, 0, MB); /* D17 */
    ck_assert_int_eq(set_compatibility(alone, 2), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_uint_eq(compatibility_of(alone), 0);
    ck_assert_int_eq(set_compatibility(fixed, 2), FALSE);
    ck_assert_last(ERROR_GEN_FAILURE);
    ck_assert_uint_eq(compatibility_of(fixed), 0);
    ck_assert(HeapDestroy(alone) && HeapDestroy(fixed));
}
END_TEST

START_TEST(set_notices_a_short_buffer_before_a_bad_handle) /* W32 2.2 */
{
    ULONG value = 2;
    HANDLE bad = bad_handle(_i);
    ck_assert_int_eq(ASK(HeapSetInformation(heap, HeapCompatibilityInformation, &value, 3)), FALSE);
    ck_assert_last(ERROR_INSUFFICIENT_BUFFER);
    ck_assert_int_eq(ASK(HeapSetInformation(bad, HeapCompatibilityInformation, &value, 3)), FALSE);
    ck_assert_last(ERROR_INSUFFICIENT_BUFFER);
    ck_assert_int_eq(ASK(HeapSetInformation(bad, HeapCompatibilityInformation, NULL, 0)), FALSE);
    ck_assert_last(ERROR_INSUFFICIENT_BUFFER);
    ck_assert_int_eq(set_compatibility(bad, 2), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(compatibility_of(heap), 0);
}
END_TEST

START_TEST(set_of_another_class_is_refused) /* D18 */
{
    static const int classes[] = {2, 4, 100, -1};
    ULONG value = 0;
    ck_assert_int_eq(ASK(HeapSetInformation(heap, (HEAP_INFORMATION_CLASS)classes[_i], &value, 4)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(ASK(HeapSetInformation(NULL, (HEAP_INFORMATION_CLASS)classes[_i], NULL, 0)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
}
END_TEST

/* ---- HeapOptimizeResources ---- */

static BOOL optimize(HANDLE which, DWORD version, SIZE_T length)
{
    HEAP_OPTIMIZE_RESOURCES_INFORMATION asked = {version, 0};
    return ASK(HeapSetInformation(which, HeapOptimizeResources, &asked, length));
}

START_TEST(optimize_gives_free_memory_of_one_heap_or_all_back)
{
    enum { BYTES = 3 * MB };
    const size_t before = resident_bytes();
    leave_free_memory(BYTES);
    ck_assert_int_eq(optimize(_i == 0 ? NULL : heap, 1, 8), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_uint_lt(resident_bytes(), before + BYTES / 2);
}
END_TEST

static void *optimize_all_in_a_thread(void *done)
{
    *(BOOL *)done = optimize(NULL, 1, 8);
    return NULL;
}

START_TEST(optimize_of_all_passes_a_heap_that_another_thread_has_locked) /* W32 3.9 */
{
    BOOL done = FALSE;
    pthread_t thread;
    ck_assert_int_eq(HeapLock(heap), TRUE);
    ck_assert_int_eq(pthread_create(&thread, NULL, optimize_all_in_a_thread, &done), 0);
    pthread_join(thread, NULL); /* would hang here */
    ck_assert_int_eq(done, TRUE);
    ck_assert_int_eq(optimize(NULL, 1, 8), TRUE); /* its owner's */
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
}
END_TEST

START_TEST(optimize_refuses_what_is_short_or_of_another_version)
{
    ck_assert_int_eq(ASK(HeapSetInformation(heap, HeapOptimizeResources, NULL, 8)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(ASK(HeapSetInformation(NULL, HeapOptimizeResources, NULL, 0)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(optimize(heap, 1, 7), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(optimize(heap, 0, 8), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(optimize(NULL, 2, 8), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(optimize(ended_heap(), 1, 8), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
}
END_TEST

/* ---- HeapEnableTerminationOnCorruption: W32 2.7.  In children: it cannot be undone. ---- */

static void terminate_from_now(HANDLE with)
{
    CHILD_NEEDS(ASK(HeapSetInformation(with, HeapEnableTerminationOnCorruption, NULL, 0)) == TRUE);
    CHILD_NEEDS(GetLastError() == SENTINEL);
}

static void sins_that_stay_refusals(void *unused)
{
    static char elsewhere[64];
    (void)unused;
    void *block = HeapAlloc(heap, 0, 100);
    terminate_from_now(NULL);
    terminate_from_now(heap); /* repeatable */
    CHILD_NEEDS(HeapFree(heap, 0, NULL) && HeapFree(NULL, 0, NULL));
    CHILD_NEEDS(!HeapFree(NULL, 0, block) && GetLastError() == ERROR_INVALID_HANDLE);
    CHILD_NEEDS(HeapReAlloc(heap, 0, NULL, 10) == NULL && GetLastError() == 0);
    CHILD_NEEDS(HeapSize(heap, 0, NULL) == (SIZE_T)-1);
    CHILD_NEEDS(!HeapValidate(heap, 0, elsewhere) && !HeapValidate(heap, 0, (char *)block + 16));
    CHILD_NEEDS(HeapFree(heap, 0, block) && !HeapValidate(heap, 0, block));
    CHILD_NEEDS(HeapAlloc(heap, 0, SIZE_MAX) == NULL && GetLastError() == ERROR_NOT_ENOUGH_MEMORY);
}

START_TEST(terminating_process_ends_at_no_lesser_sin)
{
    room_lives(sins_that_stay_refusals, NULL);
}
END_TEST

enum call { BY_FREE, BY_REALLOC, BY_SIZE };
static void commit_sin(enum call call, void *block)
{
    terminate_from_now(heap);
    if (call == BY_FREE)
        (void)HeapFree(heap, 0, block);
    else if (call == BY_REALLOC)
        (void)HeapReAlloc(heap, HEAP_GENERATE_EXCEPTIONS, block, 200); /* the end goes before the exception */
    else
        (void)HeapSize(heap, 0, block);
}

static char said[8];
static void free_twice(void *block) { HeapFree(heap, 0, block), commit_sin(BY_FREE, block); }
static void free_inside(void *block) { commit_sin(BY_FREE, (char *)block + 16); }
static void free_of_another(void *unused) { (void)unused, commit_sin(BY_FREE, HeapAlloc(GetProcessHeap(), 0, 10)); }
static void realloc_elsewhere(void *unused) { (void)unused, commit_sin(BY_REALLOC, said); }
static void size_of_freed(void *block) { HeapFree(heap, 0, block), commit_sin(BY_SIZE, block); }

START_TEST(terminating_process_ends_at_a_bad_block_with_a_report)
{
    static const struct {
        void (*act)(void *);
        SIZE_T bytes;
        const char *text;
    } rows[] = {
        {free_twice, 100, "privheap: PH101 freed twice, by HeapFree: block 0x"},
        {free_twice, 0, "privheap: PH101 freed twice, by HeapFree: block 0x"},
        {free_twice, 7001, "privheap: PH101 freed twice, by HeapFree: 0x"}, /* packed: its size is forgotten */
        {free_inside, 100, "privheap: PH103 not the start of a block, by HeapFree: 0x"},
        {free_inside, 7001, "privheap: PH103 not the start of a block, by HeapFree: 0x"},
        {free_inside, 100000, "privheap: PH103 not the start of a block, by HeapFree: 0x"},
        {free_of_another, 100, "privheap: PH105 of another heap, by HeapFree: block 0x"},
        {realloc_elsewhere, 100, "privheap: PH109 static, not a block, by HeapReAlloc: 0x"},
        {size_of_freed, 100, "privheap: PH101 freed twice, by HeapSize: block 0x"},
    };
    for (int i = 0; rows[_i].bytes <= 100 && i < PACKED_USES; i++) /* then the class has pages */
        HeapFree(heap, 0, HeapAlloc(heap, 0, rows[_i].bytes));
    void *block = HeapAlloc(heap, 0, rows[_i].bytes);
    void *neighbour = HeapAlloc(heap, 0, rows[_i].bytes); /* their page stays */
    const struct child_end end = room_child(rows[_i].act, block);
    ck_assert_msg(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT, "status %#x", (unsigned)end.status);
    ck_assert_msg(strstr(end.text, rows[_i].text) == end.text, "%s", end.text);
    ck_assert_int_eq(strstr(end.text, ", heap 0x") != NULL, rows[_i].act != realloc_elsewhere);
    ck_assert_ptr_nonnull(strstr(end.text, "\n    #0 "));
    ck_assert_int_eq(HeapFree(heap, 0, neighbour), TRUE);
}
END_TEST

void check_heapinfo_add_set(Suite *suite)
{
    TCase *set = room_case(suite, "set", setup_empty_heap, teardown_heap);
    tcase_add_test(set, set_goes_from_zero_to_two_and_never_back);
    tcase_add_test(set, set_dies_with_its_heap);
    tcase_add_loop_test(set, set_refuses_other_values, 0, 3);
    tcase_add_test(set, set_refuses_heaps_without_serialisation_or_growth);
    tcase_add_loop_test(set, set_notices_a_short_buffer_before_a_bad_handle, 0, BAD_HANDLES);
    tcase_add_loop_test(set, set_of_another_class_is_refused, 0, 4);
    tcase_add_loop_test(set, optimize_gives_free_memory_of_one_heap_or_all_back, 0, 2);
    tcase_add_test(set, optimize_of_all_passes_a_heap_that_another_thread_has_locked);
    tcase_add_test(set, optimize_refuses_what_is_short_or_of_another_version);
    tcase_add_test(set, terminating_process_ends_at_no_lesser_sin);
    tcase_add_loop_test(set, terminating_process_ends_at_a_bad_block_with_a_report, 0, 9);
}
