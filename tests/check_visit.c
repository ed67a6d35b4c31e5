/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_visit.c -- ph_heap_visit of privheap.h: each live block once, with its size, and the heap open afterwards. */
#include "check_empty_heap.h"
#include "check_heapapi.h"
#include "check_room.h"
#include "privheap.h"

static const SIZE_T sizes[] = {0, 1, 17, 100, 1000, 5000, 20000, 300000, (5 << 20) + 3};

enum { BLOCKS = 500 };
struct seen {
    unsigned count, most;
    SIZE_T bytes;
    struct ph_block block[BLOCKS + 100];
};

static BOOL note(const struct ph_block *block, void *context)
{
    struct seen *seen = context;
    seen->block[seen->count] = *block;
    seen->bytes += block->bytes;
    return ++seen->count < seen->most ? -1 : FALSE; /* any true value */
}

static int by_address(const void *left, const void *right)
{
    const struct ph_block *one = left, *two = right;
    return (one->address > two->address) - (one->address < two->address);
}

static bool has_seen(const struct seen *seen, const void *address, SIZE_T bytes)
{
    const struct ph_block key = {.address = (void *)(uintptr_t)address};
    const struct ph_block *found = bsearch(&key, seen->block, seen->count, sizeof key, by_address);
    return found != NULL && found->bytes == bytes;
}

START_TEST(visit_sees_each_live_block_once_with_its_size)
{
    static struct seen seen;
    void *block[BLOCKS];
    SIZE_T bytes = 0;
    seen = (struct seen){.most = UINT32_MAX};
    for (int i = 0; i < BLOCKS; i++)
        block[i] = HeapAlloc(heap, 0, sizes[i % COUNT(sizes)] + (SIZE_T)i);
    for (int i = 0; i < BLOCKS; i += 3)
        HeapFree(heap, 0, block[i]);
    ck_assert_int_eq(ASK(ph_heap_visit(heap, note, &seen)), TRUE);
    ck_assert_last(SENTINEL);
    qsort(seen.block, seen.count, sizeof *seen.block, by_address);
    for (int i = 0; i < BLOCKS; i++)
        if (i % 3 != 0) {
            ck_assert(has_seen(&seen, block[i], sizes[i % COUNT(sizes)] + (SIZE_T)i));
            bytes += sizes[i % COUNT(sizes)] + (SIZE_T)i;
        }
    ck_assert_uint_eq(seen.count, BLOCKS - (BLOCKS + 2) / 3);
    ck_assert_uint_eq(seen.bytes, bytes);
}
END_TEST

START_TEST(visit_of_an_empty_heap_sees_nothing)
{
    struct seen *seen = calloc(1, sizeof *seen);
    ck_assert_int_eq(ph_heap_visit(heap, note, seen), TRUE);
    ck_assert_uint_eq(seen->count, 0);
    free(seen);
}
END_TEST

START_TEST(visit_stops_when_told_and_opens_the_heap)
{
    static struct seen seen;
    seen = (struct seen){.most = 3};
    for (int i = 0; i < 10; i++)
        (void)HeapAlloc(heap, 0, 100);
    ck_assert_int_eq(ASK(ph_heap_visit(heap, note, &seen)), FALSE);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(seen.count, 3);
    ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 100));
}
END_TEST

START_TEST(visit_works_under_the_heap_lock_and_without_serialisation)
{
    static struct seen seen;
    HANDLE alone = HeapCreate(HEAP_NO_SERIALIZE, 0, 0);
    (void)HeapAlloc(alone, 0, 11);
    (void)HeapAlloc(heap, 0, 12);
    seen = (struct seen){.most = UINT32_MAX};
    ck_assert_int_eq(HeapLock(heap), TRUE);
    ck_assert(ph_heap_visit(heap, note, &seen) && ph_heap_visit(alone, note, &seen));
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    ck_assert_uint_eq(seen.bytes, 11 + 12);
    ck_assert_int_eq(HeapDestroy(alone), TRUE);
}
END_TEST

START_TEST(visit_refuses_bad_arguments)
{
    static struct seen seen;
    seen = (struct seen){.most = UINT32_MAX};
    ck_assert_int_eq(ASK(ph_heap_visit(heap, NULL, NULL)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(ASK(ph_heap_visit(ended_heap(), note, &seen)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(seen.count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("visit");
    TCase *visit = room_case(suite, "visit", setup_empty_heap, teardown_heap);
    tcase_add_test(visit, visit_sees_each_live_block_once_with_its_size);
    tcase_add_test(visit, visit_of_an_empty_heap_sees_nothing);
    tcase_add_test(visit, visit_stops_when_told_and_opens_the_heap);
    tcase_add_test(visit, visit_works_under_the_heap_lock_and_without_serialisation);
    tcase_add_test(visit, visit_refuses_bad_arguments);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
