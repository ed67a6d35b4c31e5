/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_decisions.c -- where sources about Windows disagree or are silent, one test for each decision: what
 * privheap_contract(7) lists, by its number.  D1 is in sample.sh, D10, D11 and D20 in the suite "heapapi". */
#include "check_heapapi.h"

#include <string.h>
#include <unistd.h>

#include "privheap.h"

#define MIB ((size_t)1 << 20)

static HANDLE heap;

static void setup_empty_heap(void)
{
    heap = HeapCreate(0, 0, 0);
    ck_assert_ptr_nonnull(heap);
}

static void teardown_heap(void) { ck_assert_int_eq(HeapDestroy(heap), TRUE); }

/* All of a heap's storage and address space, as its regions tell it. */
struct regions {
    size_t count, committed, reserved;
};

static struct regions regions_of(HANDLE of)
{
    struct regions sum = {0};
    PROCESS_HEAP_ENTRY entry = {0};
    while (HeapWalk(of, &entry))
        if (entry.wFlags & PROCESS_HEAP_REGION) {
            sum.count++;
            sum.committed += entry.Region.dwCommittedSize;
            sum.reserved += (size_t)entry.Region.dwCommittedSize + entry.Region.dwUnCommittedSize;
        }
    ck_assert_last(ERROR_NO_MORE_ITEMS);
    return sum;
}

/* ---- heaps ---- */

START_TEST(marker_flag_is_nobody_elses_and_means_nothing) /* W32 D2 */
{
    const DWORD others = HEAP_NO_SERIALIZE | HEAP_GROWABLE | HEAP_GENERATE_EXCEPTIONS | HEAP_ZERO_MEMORY |
                         HEAP_REALLOC_IN_PLACE_ONLY | HEAP_TAIL_CHECKING_ENABLED | HEAP_FREE_CHECKING_ENABLED |
                         HEAP_DISABLE_COALESCE_ON_FREE | HEAP_CREATE_SEGMENT_HEAP | HEAP_CREATE_HARDENED |
                         HEAP_CREATE_ALIGN_16 | HEAP_CREATE_ENABLE_TRACING | HEAP_CREATE_ENABLE_EXECUTE;
    ck_assert_uint_eq(others & HEAP_CREATE_MARKER_FLAGS_INTERNAL, 0);
    HANDLE marked = ASK(HeapCreate(HEAP_CREATE_MARKER_FLAGS_INTERNAL, 0, 0));
    ck_assert_ptr_nonnull(marked);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(HeapSize(marked, 0, HeapAlloc(marked, 0, 100)), 100);
    ck_assert_int_eq(HeapDestroy(marked), TRUE);
}
END_TEST

START_TEST(debug_flags_cannot_be_given_to_create) /* W32 2.8 */
{
    HANDLE other = HeapCreate(HEAP_TAIL_CHECKING_ENABLED | HEAP_FREE_CHECKING_ENABLED, 0, 0);
    struct ph_stats stats = {.struct_bytes = sizeof stats};
    uint32_t *block = HeapAlloc(other, 0, 64);
    ck_assert_uint_ne(block[0], 0xBAADF00D);
    ck_assert_int_eq(ph_heap_stats(other, &stats), TRUE);
    ck_assert_uint_eq(stats.flags, HEAP_GROWABLE);
    ck_assert_int_eq(HeapDestroy(other), TRUE);
}
END_TEST

START_TEST(initial_size_of_0_is_about_4_mb_and_not_resident) /* W32 D3 */
{
    const size_t before = resident_bytes();
    HANDLE made[8];
    for (int i = 0; i < 8; i++) {
        made[i] = HeapCreate(0, 0, 0);
        const struct regions sum = regions_of(made[i]);
        ck_assert_uint_ge(sum.reserved, 4 * MIB);
        ck_assert_uint_ge(sum.committed, 4 * MIB - 65536);
        ck_assert_uint_lt(sum.committed, 5 * MIB);
    }
    ck_assert_uint_lt(resident_bytes(), before + 4 * MIB);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(HeapDestroy(made[i]), TRUE);
}
END_TEST

START_TEST(maximum_is_rounded_up_to_a_page) /* W32 D4 */
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    static const size_t pages[] = {16, 17, 33, 255};
    HANDLE fixed = HeapCreate(0, 0, pages[_i] * page - 1);
    const struct regions sum = regions_of(fixed);
    ck_assert_uint_eq(sum.count, 1);
    ck_assert_uint_eq(sum.reserved, pages[_i] * page);
    ck_assert_int_eq(HeapDestroy(fixed), TRUE);
}
END_TEST

START_TEST(initial_size_above_the_maximum_is_refused) /* W32 D5 */
{
    ck_assert_ptr_null(ASK(HeapCreate(0, 65537, 65536)));
    ck_assert_last(ERROR_INVALID_PARAMETER);
    HANDLE equal = HeapCreate(0, 65536, 65536);
    ck_assert_ptr_nonnull(equal);
    ck_assert_int_eq(HeapDestroy(equal), TRUE);
}
END_TEST

START_TEST(destroy_of_null_is_refused) /* W32 D6 */
{
    ck_assert_int_eq(ASK(HeapDestroy(NULL)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
}
END_TEST

START_TEST(short_list_of_heaps_is_filled) /* W32 D14 */
{
    HANDLE list[3] = {NULL, &list, NULL};
    ck_assert_uint_eq(GetProcessHeaps(1, list), 2);
    ck_assert_ptr_eq(list[0], GetProcessHeap());
    ck_assert_ptr_eq(list[1], &list);
}
END_TEST

START_TEST(heaps_are_listed_oldest_first) /* W32 D19 */
{
    HANDLE second = HeapCreate(0, 0, 65536), third = HeapCreate(0, 0, 0), list[4];
    ck_assert_uint_eq(GetProcessHeaps(4, list), 4);
    ck_assert(list[0] == GetProcessHeap() && list[1] == heap && list[2] == second && list[3] == third);
    ck_assert_int_eq(HeapDestroy(second), TRUE);
    second = HeapCreate(0, 0, 65536); /* may stand where the old one stood */
    ck_assert_uint_eq(GetProcessHeaps(4, list), 4);
    ck_assert(list[2] == third && list[3] == second);
    ck_assert_int_eq(HeapDestroy(second) && HeapDestroy(third), TRUE);
}
END_TEST

START_TEST(lock_of_a_heap_without_one_succeeds) /* W32 D9 */
{
    HANDLE loose = HeapCreate(HEAP_NO_SERIALIZE, 0, 0);
    ck_assert_int_eq(ASK(HeapLock(loose)), TRUE);
    ck_assert_int_eq(HeapUnlock(loose), TRUE);
    ck_assert_int_eq(HeapUnlock(loose), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_int_eq(HeapDestroy(loose), TRUE);
}
END_TEST

/* ---- blocks ---- */

START_TEST(failed_allocation_says_not_enough_memory) /* W32 D7 */
{
    void *block = HeapAlloc(heap, 0, 100);
    ck_assert_ptr_null(ASK(HeapAlloc(heap, 0, SIZE_MAX - 7)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_ptr_null(ASK(HeapReAlloc(heap, 0, block, SIZE_MAX - 7)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_uint_eq(HeapSize(heap, 0, block), 100);
}
END_TEST

START_TEST(validate_of_a_wild_pointer_sets_no_error) /* W32 D21 */
{
    static const uintptr_t wild[] = {1, 16, 0x7FFF00000000, UINTPTR_MAX, UINTPTR_MAX - 15};
    ck_assert_int_eq(ASK(HeapValidate(heap, 0, (const void *)wild[_i])), FALSE);
    ck_assert_last(SENTINEL);
}
END_TEST

START_TEST(realloc_of_null_sets_0) /* W32 D22 */
{
    ck_assert_ptr_null(ASK(HeapReAlloc(heap, HEAP_ZERO_MEMORY, NULL, 100)));
    ck_assert_last(NO_ERROR);
}
END_TEST

/* ---- inside ---- */

START_TEST(region_tells_control_bytes_and_no_overhead) /* W32 D13 */
{
    PROCESS_HEAP_ENTRY entry = {0};
    ck_assert_int_eq(HeapWalk(heap, &entry), TRUE);
    ck_assert_uint_eq(entry.wFlags, PROCESS_HEAP_REGION);
    ck_assert_ptr_eq(entry.lpData, heap);
    ck_assert_uint_le(entry.cbData, 0x1000);
    ck_assert_uint_eq(entry.cbOverhead, 0);
}
END_TEST

START_TEST(blocks_within_the_initial_size_lie_in_one_range) /* W32 D23, 5 */
{
    HANDLE wide = HeapCreate(0, 64 * MIB, 0);
    for (size_t taken = 0; taken < 48 * MIB; taken += 60000) {
        const char *block = HeapAlloc(wide, 0, 60000);
        ck_assert_ptr_nonnull(block);
        ck_assert(block >= (char *)wide && block + 60000 <= (char *)wide + 64 * MIB);
    }
    ck_assert_uint_eq(regions_of(wide).count, 1);
    ck_assert_int_eq(HeapDestroy(wide), TRUE);
}
END_TEST

START_TEST(growable_heap_grows_past_its_initial_size) /* W32 5 */
{
    HANDLE small = HeapCreate(0, 65536, 0);
    for (int i = 0; i < 320; i++)
        ck_assert_ptr_nonnull(HeapAlloc(small, 0, 100000));
    ck_assert_uint_ge(regions_of(small).reserved, 320 * 100000);
    ck_assert_int_eq(HeapDestroy(small), TRUE);
}
END_TEST

START_TEST(block_of_4_gb_saturates_in_a_walk) /* W32 D24 */
{
    const size_t bytes = ((size_t)4 << 30) + 12345;
    void *block = HeapAlloc(heap, 0, bytes);
    if (block == NULL) return; /* a machine that commits strictly */
    ck_assert_uint_eq(HeapSize(heap, 0, block), bytes);
    PROCESS_HEAP_ENTRY entry = {0};
    while (HeapWalk(heap, &entry) && entry.lpData != block)
        continue;
    ck_assert_ptr_eq(entry.lpData, block);
    ck_assert_uint_eq(entry.cbData, 0xFFFFFFFFu);
    ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
}
END_TEST

START_TEST(pages_given_back_are_usable_again) /* W32 D25 */
{
    void *blocks[64];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 64; i++) {
            blocks[i] = HeapAlloc(heap, 0, 500000);
            ck_assert_ptr_nonnull(blocks[i]);
            memset(blocks[i], 0xA5, 500000);
        }
        for (int i = 0; i < 64; i++)
            ck_assert_int_eq(HeapFree(heap, 0, blocks[i]), TRUE);
        const unsigned char *zeroed = HeapAlloc(heap, HEAP_ZERO_MEMORY, 500000);
        for (int i = 0; i < 500000; i += 4000)
            ck_assert_uint_eq(zeroed[i], 0);
        ck_assert_int_eq(HeapFree(heap, 0, (void *)(uintptr_t)zeroed), TRUE);
    }
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
}
END_TEST

/* ---- exceptions ---- */

static unsigned raised;

static void count_exception(DWORD code, HANDLE of, SIZE_T bytes)
{
    ck_assert_uint_eq(code, STATUS_NO_MEMORY);
    ck_assert_ptr_eq(of, heap);
    ck_assert_uint_eq(bytes, SIZE_MAX / 2);
    raised++;
}

static void setup_raising_heap(void)
{
    heap = HeapCreate(HEAP_GENERATE_EXCEPTIONS, 0, 0);
    ck_assert_ptr_nonnull(heap);
    ck_assert_ptr_null(ph_set_exception_handler(count_exception));
}

static void teardown_raising_heap(void)
{
    ck_assert(ph_set_exception_handler(NULL) == count_exception);
    teardown_heap();
}

START_TEST(exceptions_of_the_heap_hold_for_its_calls) /* W32 D8 */
{
    raised = 0;
    ck_assert_ptr_null(HeapAlloc(heap, 0, SIZE_MAX / 2));
    ck_assert_ptr_null(HeapReAlloc(heap, 0, HeapAlloc(heap, 0, 1), SIZE_MAX / 2));
    ck_assert_uint_eq(raised, 2);
}
END_TEST

/* ---- information ---- */

START_TEST(compact_tells_the_largest_free_block) /* W32 D12 */
{
    PROCESS_HEAP_ENTRY entry = {0};
    const SIZE_T told = HeapCompact(heap, 0);
    SIZE_T largest = 0;
    while (HeapWalk(heap, &entry))
        if (entry.wFlags == 0 && entry.cbData > largest) largest = entry.cbData;
    ck_assert_uint_gt(told, 0);
    ck_assert_uint_eq(told, largest);
}
END_TEST

static ULONG kind_of_heap(void)
{
    ULONG kind = 99;
    ck_assert_int_eq(HeapQueryInformation(heap, HeapCompatibilityInformation, &kind, sizeof kind, NULL), TRUE);
    return kind;
}

static BOOL set_kind(HANDLE of, ULONG kind)
{
    return HeapSetInformation(of, HeapCompatibilityInformation, &kind, sizeof kind);
}

START_TEST(heap_does_not_become_low_fragmentation_by_itself) /* W32 D15 */
{
    for (int i = 0; i < 1000; i++)
        ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 32));
    ck_assert_uint_eq(kind_of_heap(), 0);
}
END_TEST

START_TEST(low_fragmentation_can_be_set_twice_and_not_undone) /* W32 D16 */
{
    ck_assert_int_eq(ASK(set_kind(heap, 2)), TRUE);
    ck_assert_int_eq(set_kind(heap, 2), TRUE);
    ck_assert_last(SENTINEL);
    for (ULONG kind = 0; kind < 2; kind++) {
        ck_assert_int_eq(ASK(set_kind(heap, kind)), FALSE);
        ck_assert_last(ERROR_GEN_FAILURE);
    }
    ck_assert_uint_eq(kind_of_heap(), 2);
}
END_TEST

START_TEST(low_fragmentation_is_not_for_fixed_heaps) /* W32 D17 */
{
    HANDLE fixed = HeapCreate(0, 0, 65536);
    ck_assert_int_eq(ASK(set_kind(fixed, 2)), FALSE);
    ck_assert_last(ERROR_GEN_FAILURE);
    ck_assert_int_eq(HeapDestroy(fixed), TRUE);
}
END_TEST

START_TEST(unknown_class_is_refused) /* W32 D18 */
{
    static const int classes[] = {2, 4, 99, -1};
    ULONG word = 2;
    ck_assert_int_eq(ASK(HeapSetInformation(heap, (HEAP_INFORMATION_CLASS)classes[_i], &word, sizeof word)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decisions");
    TCase *heaps = tcase_create("heaps");
    tcase_add_checked_fixture(heaps, setup_empty_heap, teardown_heap);
    tcase_add_test(heaps, marker_flag_is_nobody_elses_and_means_nothing);
    tcase_add_test(heaps, debug_flags_cannot_be_given_to_create);
    tcase_add_test(heaps, initial_size_of_0_is_about_4_mb_and_not_resident);
    tcase_add_loop_test(heaps, maximum_is_rounded_up_to_a_page, 0, 4);
    tcase_add_test(heaps, initial_size_above_the_maximum_is_refused);
    tcase_add_test(heaps, destroy_of_null_is_refused);
    tcase_add_test(heaps, short_list_of_heaps_is_filled);
    tcase_add_test(heaps, heaps_are_listed_oldest_first);
    tcase_add_test(heaps, lock_of_a_heap_without_one_succeeds);
    suite_add_tcase(suite, heaps);

    TCase *blocks = tcase_create("blocks");
    tcase_add_checked_fixture(blocks, setup_empty_heap, teardown_heap);
    tcase_add_test(blocks, failed_allocation_says_not_enough_memory);
    tcase_add_loop_test(blocks, validate_of_a_wild_pointer_sets_no_error, 0, 5);
    tcase_add_test(blocks, realloc_of_null_sets_0);
    suite_add_tcase(suite, blocks);

    TCase *inside = tcase_create("inside");
    tcase_add_checked_fixture(inside, setup_empty_heap, teardown_heap);
    tcase_set_timeout(inside, 60);
    tcase_add_test(inside, region_tells_control_bytes_and_no_overhead);
    tcase_add_test(inside, blocks_within_the_initial_size_lie_in_one_range);
    tcase_add_test(inside, growable_heap_grows_past_its_initial_size);
    tcase_add_test(inside, block_of_4_gb_saturates_in_a_walk);
    tcase_add_test(inside, pages_given_back_are_usable_again);
    suite_add_tcase(suite, inside);

    TCase *exceptions = tcase_create("exceptions");
    tcase_add_checked_fixture(exceptions, setup_raising_heap, teardown_raising_heap);
    tcase_add_test(exceptions, exceptions_of_the_heap_hold_for_its_calls);
    suite_add_tcase(suite, exceptions);

    TCase *information = tcase_create("information");
    tcase_add_checked_fixture(information, setup_empty_heap, teardown_heap);
    tcase_add_test(information, compact_tells_the_largest_free_block);
    tcase_add_test(information, heap_does_not_become_low_fragmentation_by_itself);
    tcase_add_test(information, low_fragmentation_can_be_set_twice_and_not_undone);
    tcase_add_test(information, low_fragmentation_is_not_for_fixed_heaps);
    tcase_add_loop_test(information, unknown_class_is_refused, 0, 4);
    suite_add_tcase(suite, information);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
