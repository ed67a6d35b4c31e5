/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_heapapi_bad.c -- suite "heapapi", third part: handles and pointers that name nothing are refused with
 * the right last error, nothing is touched, and the heaps go on (W32 2.2, 2.7); and the list of heaps
 * (W32 3.11). */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check_heapapi.h"

/* ---- bad handles: W32 2.2 ---- */

enum bad_handle { BAD_NULL, BAD_ENDED, BAD_STACK, BAD_BLOCK, BAD_INSIDE, BAD_WILD, BAD_ODD, BAD_HANDLES };

static HANDLE live;
static HANDLE bad;

static void setup_live_heap(void)
{
    live = HeapCreate(0, 0, 0);
    ck_assert_ptr_nonnull(live);
}

static void teardown_live_heap(void)
{
    ck_assert_int_eq(HeapValidate(live, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(live), TRUE);
}

static HANDLE bad_handle(enum bad_handle which)
{
    static char on_no_heap[64];
    HANDLE ended = HeapCreate(0, 0, 0);
    ck_assert_int_eq(HeapDestroy(ended), TRUE);
    switch (which) {
    case BAD_ENDED:
        return ended;
    case BAD_STACK:
        return on_no_heap;
    case BAD_BLOCK:
        return HeapAlloc(live, 0, 100000);
    case BAD_INSIDE:
        return (char *)live + 65536;
    case BAD_WILD:
        return (HANDLE)(uintptr_t)0xDEAD0000BEEF0000u; /* reading it would fault */
    case BAD_ODD:
        return (char *)live + 1;
    default:
        return NULL;
    }
}

START_TEST(bad_handle_is_refused_by_alloc_realloc_free)
{
    bad = bad_handle((enum bad_handle)_i);
    char *block = HeapAlloc(live, 0, 10);
    ck_assert_ptr_null(ASK(HeapAlloc(bad, 0, 10)));
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_ptr_null(ASK(HeapReAlloc(bad, 0, block, 20)));
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(HeapFree(bad, 0, block)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(HeapFree(bad, 0, NULL)), TRUE); /* D20 */
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(HeapSize(live, 0, block), 10);
}
END_TEST

START_TEST(bad_handle_is_refused_by_the_others)
{
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    bad = bad_handle((enum bad_handle)_i);
    ck_assert_uint_eq(ASK(HeapSize(bad, 0, live)), (SIZE_T)-1);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(HeapLock(bad)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(HeapUnlock(bad)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(HeapWalk(bad, &entry)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(HeapDestroy(bad)), FALSE); /* D6 for NULL */
    ck_assert_last(ERROR_INVALID_HANDLE);
}
END_TEST

START_TEST(bad_handle_is_invalid_without_a_last_error) /* W32 3.7 */
{
    bad = bad_handle((enum bad_handle)_i);
    ck_assert_int_eq(ASK(HeapValidate(bad, 0, NULL)), FALSE);
    ck_assert_int_eq(HeapValidate(bad, 0, live), FALSE);
    ck_assert_last(SENTINEL);
}
END_TEST

/* ---- bad pointers: W32 2.7 ---- */

enum bad_pointer {
    BAD_FREED_SMALL,
    BAD_FREED_PAGED,
    BAD_FREED_RUN,
    BAD_FREED_LARGE,
    BAD_MOVED,
    BAD_INTERIOR_8,
    BAD_INTERIOR_16,
    BAD_INTERIOR_RUN,
    BAD_INTERIOR_LARGE,
    BAD_OTHER_HEAP,
    BAD_PROCESS_HEAP,
    BAD_STATIC,
    BAD_LOCAL,
    BAD_HANDLE_ITSELF,
    BAD_FAR,
    BAD_NEVER_MAPPED,
    BAD_UNMAPPED,
    BAD_LAST,
    BAD_POINTERS
};

static HANDLE neighbour; /* for blocks of another heap */

static void setup_two_heaps(void)
{
    setup_live_heap();
    neighbour = HeapCreate(0, 0, 0);
    ck_assert_ptr_nonnull(neighbour);
}

static void teardown_two_heaps(void)
{
    ck_assert_int_eq(HeapValidate(neighbour, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(neighbour), TRUE);
    teardown_live_heap();
}

static void *freed_block(size_t bytes)
{
    void *block = HeapAlloc(live, 0, bytes);
    ck_assert_int_eq(HeapFree(live, 0, block), TRUE);
    return block;
}

static void *moved_block(void)
{
    void *block = HeapAlloc(live, 0, 40);
    void *moved = HeapReAlloc(live, 0, block, 400000);
    ck_assert_ptr_ne(block, moved);
    return block;
}

static void *unmapped_page(void)
{
    void *page = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page, 65536);
    return page;
}

static void *bad_pointer(enum bad_pointer which)
{
    static char in_data[64];
    char *block = HeapAlloc(live, 0, 1000);
    switch (which) {
    case BAD_FREED_SMALL:
        return freed_block(16);
    case BAD_FREED_PAGED:
        return freed_block(3000);
    case BAD_FREED_RUN:
        return freed_block(200000);
    case BAD_FREED_LARGE:
        return freed_block(4 << 20);
    case BAD_MOVED:
        return moved_block();
    case BAD_INTERIOR_8:
        return block + 8;
    case BAD_INTERIOR_16:
        return block + 16;
    case BAD_INTERIOR_RUN:
        return (char *)HeapAlloc(live, 0, 200000) + 4096;
    case BAD_INTERIOR_LARGE:
        return (char *)HeapAlloc(live, 0, 4 << 20) + 65536;
    case BAD_OTHER_HEAP:
        return HeapAlloc(neighbour, 0, 1000);
    case BAD_PROCESS_HEAP:
        return GetProcessHeap();
    case BAD_STATIC:
        return in_data;
    case BAD_HANDLE_ITSELF:
        return live;
    case BAD_FAR:
        return (char *)live + (3 << 20); /* reserved, most likely never touched */
    case BAD_NEVER_MAPPED:
        return (void *)(uintptr_t)0xDEAD0000BEEF0000u;
    case BAD_UNMAPPED:
        return unmapped_page();
    case BAD_LAST:
        return (void *)~(uintptr_t)0;
    default:
        return NULL; /* BAD_LOCAL: the test has one */
    }
}

START_TEST(bad_pointer_is_refused)
{
    char local[64] = {0};
    char *witness = HeapAlloc(live, 0, 1000);
    memset(witness, 0x42, 1000);
    void *pointer = _i == BAD_LOCAL ? local : bad_pointer((enum bad_pointer)_i);
    ck_assert_int_eq(ASK(HeapValidate(live, 0, pointer)), FALSE);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(ASK(HeapSize(live, 0, pointer)), (SIZE_T)-1);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_ptr_null(ASK(HeapReAlloc(live, 0, pointer, 10)));
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_ptr_null(ASK(HeapReAlloc(live, HEAP_REALLOC_IN_PLACE_ONLY, pointer, 10)));
    ck_assert_last(ERROR_INVALID_PARAMETER);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(ASK(HeapFree(live, 0, pointer)), FALSE);
        ck_assert_last(ERROR_INVALID_PARAMETER);
    }
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(witness[i], 0x42);
    ck_assert_uint_eq(HeapSize(live, 0, witness), 1000);
}
END_TEST

START_TEST(size_of_null_is_refused) /* W32 3.6 */
{
    ck_assert_uint_eq(ASK(HeapSize(live, 0, NULL)), (SIZE_T)-1);
    ck_assert_last(ERROR_INVALID_PARAMETER);
}
END_TEST

/* A second free is refused while the block is free, whatever came between; and it is never handed out twice.
 */
START_TEST(second_free_is_refused_and_gives_no_block_twice)
{
    enum { BLOCKS = 200 };
    void *block[BLOCKS], *again[BLOCKS];
    static const size_t sizes[] = {16, 100, 1000, 5000, 20000};
    for (int i = 0; i < BLOCKS; i++)
        block[i] = HeapAlloc(live, 0, sizes[_i]);
    for (int i = 0; i < BLOCKS; i++)
        ck_assert_int_eq(HeapFree(live, 0, block[i]), TRUE);
    for (int i = 0; i < BLOCKS; i++) {
        ck_assert_int_eq(ASK(HeapFree(live, 0, block[i])), FALSE);
        ck_assert_last(ERROR_INVALID_PARAMETER);
    }
    for (int i = 0; i < BLOCKS; i++) {
        again[i] = HeapAlloc(live, 0, sizes[_i]);
        ck_assert_ptr_nonnull(again[i]);
        for (int j = 0; j < i; j++)
            ck_assert_ptr_ne(again[i], again[j]);
    }
}
END_TEST

/* ---- GetProcessHeaps: W32 3.11 ---- */

enum { MOST = 64 };

START_TEST(heaps_are_listed_process_heap_first_then_oldest_first) /* D19 */
{
    HANDLE made[8], list[MOST];
    DWORD before = GetProcessHeaps(0, NULL);
    for (int i = 0; i < 8; i++)
        made[i] = HeapCreate(0, 0, 0);
    ck_assert_uint_eq(ASK(GetProcessHeaps(MOST, list)), before + 8);
    ck_assert_last(SENTINEL);
    ck_assert_ptr_eq(list[0], GetProcessHeap());
    ck_assert_mem_eq(&list[before], made, sizeof made);
    ck_assert_int_eq(HeapDestroy(made[3]), TRUE);
    made[3] = HeapCreate(0, 0, 0); /* new again, so last, whatever slot it has */
    ck_assert_uint_eq(GetProcessHeaps(MOST, list), before + 8);
    ck_assert_mem_eq(&list[before], made, 3 * sizeof *made);
    ck_assert_mem_eq(&list[before + 3], &made[4], 4 * sizeof *made);
    ck_assert_ptr_eq(list[before + 7], made[3]);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(HeapDestroy(made[i]), TRUE);
    ck_assert_uint_eq(GetProcessHeaps(0, NULL), before);
}
END_TEST

START_TEST(short_list_gets_the_first_handles_and_nothing_beyond) /* D14 */
{
    HANDLE list[4], mark = (HANDLE)(uintptr_t)0x5A5A5A5A;
    HANDLE made[2] = {HeapCreate(0, 0, 0), HeapCreate(0, 0, 0)};
    DWORD all = GetProcessHeaps(0, NULL);
    ck_assert_uint_ge(all, 3);
    for (int i = 0; i < 4; i++)
        list[i] = mark;
    ck_assert_uint_eq(GetProcessHeaps(2, list), all);
    ck_assert_ptr_eq(list[0], GetProcessHeap());
    ck_assert_ptr_ne(list[1], mark);
    ck_assert_ptr_eq(list[2], mark);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(HeapDestroy(made[i]), TRUE);
}
END_TEST

void check_heapapi_add_bad(Suite *suite)
{
    TCase *handles = tcase_create("bad handles");
    tcase_add_checked_fixture(handles, setup_live_heap, teardown_live_heap);
    tcase_add_loop_test(handles, bad_handle_is_refused_by_alloc_realloc_free, 0, BAD_HANDLES);
    tcase_add_loop_test(handles, bad_handle_is_refused_by_the_others, 0, BAD_HANDLES);
    tcase_add_loop_test(handles, bad_handle_is_invalid_without_a_last_error, 0, BAD_HANDLES);
    suite_add_tcase(suite, handles);
    TCase *pointers = tcase_create("bad pointers");
    tcase_add_checked_fixture(pointers, setup_two_heaps, teardown_two_heaps);
    tcase_add_loop_test(pointers, bad_pointer_is_refused, 0, BAD_POINTERS);
    tcase_add_test(pointers, size_of_null_is_refused);
    tcase_add_loop_test(pointers, second_free_is_refused_and_gives_no_block_twice, 0, 5);
    suite_add_tcase(suite, pointers);
    TCase *heaps = tcase_create("heaps");
    tcase_add_test(heaps, heaps_are_listed_process_heap_first_then_oldest_first);
    tcase_add_test(heaps, short_list_gets_the_first_handles_and_nothing_beyond);
    suite_add_tcase(suite, heaps);
}
