/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_create.c -- HeapCreate, HeapDestroy, GetProcessHeap, GetProcessHeaps
 * (W32 2.2, 3.1, 3.2, 3.11), and what a heap costs before it is used. */
#include "check_contract.h"

/* ---- W32 3.1 ---- */

static const struct {
    DWORD flags;
    SIZE_T initial, maximum;
    DWORD error; /* 0: a heap */
} creations[] = {
    { 0, 0, 0, 0 },
    { 0, 1, 0, 0 },
    { 0, 4095, 0, 0 },
    { 0, 4096, 0, 0 },
    { 0, 4097, 0, 0 },
    { 0, 64 << 10, 0, 0 },
    { 0, 1 << 20, 0, 0 },
    { 0, 5 << 20, 0, 0 },
    { 0, (SIZE_T)1 << 30, 0, 0 },
    { 0, (SIZE_T)5 << 30, 0, 0 }, /* more than one region's DWORD holds */
    { 0, 0, 1, 0 },
    { 0, 0, 0x100, 0 },
    { 0, 0, 4096, 0 },
    { 0, 0, 4097, 0 },
    { 0, 0, 64 << 10, 0 },
    { 0, 0, 0xFFFF, 0 },
    { 0, 0, 0x10001, 0 },
    { 0, 0, 1 << 20, 0 },
    { 0, 0, (SIZE_T)1 << 30, 0 },
    { 0, 0, (SIZE_T)8 << 30, 0 },
    { 0, 1, 1, 0 },
    { 0, 0x100, 0x100, 0 }, /* initial = maximum */
    { 0, 1 << 20, 1 << 20, 0 },
    { 0, 4096, 1 << 20, 0 },
    { HEAP_NO_SERIALIZE, 0, 0, 0 },
    { HEAP_NO_SERIALIZE, 0x100, 0x100, 0 },
    { HEAP_GENERATE_EXCEPTIONS, 0, 0, 0 },
    { HEAP_GENERATE_EXCEPTIONS, 4096, 1 << 20, 0 },
    { HEAP_CREATE_ENABLE_EXECUTE, 0, 0, 0 },
    { HEAP_CREATE_ENABLE_EXECUTE, 4096, 1 << 20, 0 },
    { HEAP_CREATE_MARKER_FLAGS_INTERNAL, 0, 0, 0 },
    { HEAP_NO_SERIALIZE | HEAP_CREATE_MARKER_FLAGS_INTERNAL, 0, 0, 0 },
    { 0xFFFFFFFFu, 0, 0, 0 },
    { 0, 2, 1, ERROR_INVALID_PARAMETER }, /* D5 */
    { 0, 0x101, 0x100, ERROR_INVALID_PARAMETER },
    { 0, 8192, 4096, ERROR_INVALID_PARAMETER },
    { 0, (1 << 20) + 1, 1 << 20, ERROR_INVALID_PARAMETER },
    { 0, SIZE_MAX, 4096, ERROR_INVALID_PARAMETER },
    { 0, SIZE_MAX, 0, ERROR_NOT_ENOUGH_MEMORY },
    { 0, SIZE_MAX - 1, 0, ERROR_NOT_ENOUGH_MEMORY },
    { 0, SIZE_MAX - 4094, 0, ERROR_NOT_ENOUGH_MEMORY },
    { 0, SIZE_MAX - 65536, 0, ERROR_NOT_ENOUGH_MEMORY },
    { 0, SIZE_MAX / 2, 0, ERROR_NOT_ENOUGH_MEMORY },
    { 0, SIZE_MAX / 2 + 1, 0, ERROR_NOT_ENOUGH_MEMORY },
    { 0, (SIZE_T)1 << 48, 0, ERROR_NOT_ENOUGH_MEMORY },
    { 0, 0, SIZE_MAX, ERROR_NOT_ENOUGH_MEMORY },
    { 0, 0, SIZE_MAX - 4095, ERROR_NOT_ENOUGH_MEMORY },
    { 0, 0, SIZE_MAX - 4096, ERROR_NOT_ENOUGH_MEMORY },
    { 0, 0, SIZE_MAX - 65535, ERROR_NOT_ENOUGH_MEMORY },
    { 0, 0, SIZE_MAX / 2, ERROR_NOT_ENOUGH_MEMORY },
    { 0, 0, (SIZE_T)1 << 48, ERROR_NOT_ENOUGH_MEMORY },
    { 0, SIZE_MAX, SIZE_MAX, ERROR_NOT_ENOUGH_MEMORY },
    { 0, 4096, SIZE_MAX, ERROR_NOT_ENOUGH_MEMORY },
    { HEAP_GENERATE_EXCEPTIONS, 0, SIZE_MAX, ERROR_NOT_ENOUGH_MEMORY }, /* HeapCreate itself never raises */
    { HEAP_GENERATE_EXCEPTIONS, 2, 1, ERROR_INVALID_PARAMETER },
    { HEAP_NO_SERIALIZE, SIZE_MAX, 0, ERROR_NOT_ENOUGH_MEMORY },
    { HEAP_CREATE_ENABLE_EXECUTE, 0, SIZE_MAX / 2, ERROR_NOT_ENOUGH_MEMORY },
};

START_TEST(create_gives_a_heap_or_the_reason) /* W32 3.1 */
{
    const DWORD before = GetProcessHeaps(0, NULL);
    HANDLE heap = ASK(HeapCreate(creations[_i].flags, creations[_i].initial, creations[_i].maximum));
    if (creations[_i].error) {
        ck_assert_ptr_null(heap);
        ck_assert_last(creations[_i].error);
        ck_assert_uint_eq(GetProcessHeaps(0, NULL), before);
        return;
    }
    ck_assert_last(SENTINEL);
    ck_assert_ptr_nonnull(heap);
    ck_assert_uint_eq((uintptr_t)heap & 0xFFFF, 0); /* W32 2.2 */
    ck_assert_uint_eq(GetProcessHeaps(0, NULL), before + 1);
    ck_assert_int_eq(ASK(HeapValidate(heap, 0, NULL)), TRUE);
    char *block = ASK(HeapAlloc(heap, 0, 16)); /* also in a heap of one page */
    ck_assert_ptr_nonnull(block);
    fill(block, 3, 16);
    ck_assert_uint_eq(HeapSize(heap, 0, block), 16);
    ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(GetProcessHeaps(0, NULL), before);
}
END_TEST

START_TEST(region_is_at_least_the_initial_size) /* W32 3.1, W32 5.1, D3 */
{
    static const SIZE_T initial[] = { 0, 1, 4096, 4097, 65536, 1 << 20, (4 << 20) + 1, 100 << 20 };
    PROCESS_HEAP_ENTRY entry = { .lpData = NULL };
    HANDLE heap = HeapCreate(0, initial[_i], 0);
    ck_assert_int_eq(HeapWalk(heap, &entry), TRUE);
    const uint64_t reserved = (uint64_t)entry.Region.dwCommittedSize + entry.Region.dwUnCommittedSize;
    ck_assert_uint_ge(reserved, initial[_i] ? initial[_i] : 4 * MB);
    ck_assert_uint_ge(entry.Region.dwCommittedSize, initial[_i] ? initial[_i] : 1);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(fixed_heap_reserves_its_maximum_rounded_to_a_page) /* W32 3.1, W32 4.1, D4 */
{
    static const SIZE_T maximum[] = { 1,       0x100,   4096,      4097,    0xFFFF,
                                      0x10000, 0x10001, 256 << 10, 1000000, 2 << 20 };
    PROCESS_HEAP_ENTRY entry = { .lpData = NULL };
    HANDLE heap = HeapCreate(0, 0, maximum[_i]);
    ck_assert_int_eq(HeapWalk(heap, &entry), TRUE);
    const uint64_t reserved = (uint64_t)entry.Region.dwCommittedSize + entry.Region.dwUnCommittedSize;
    ck_assert_uint_eq(reserved, (maximum[_i] + PAGE - 1) & ~(PAGE - 1));
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(heaps_do_not_become_resident_by_being_created) /* W32 3.1 */
{
    static const struct {
        SIZE_T initial, maximum;
    } rows[] = {
        { 0, (SIZE_T)1 << 30 }, { 256 << 20, 0 }, { 256 << 20, (SIZE_T)1 << 30 }, { 1 << 30, 1 << 30 }
    };
    if (is_emulated()) return;
    const size_t before = resident_bytes();
    HANDLE heap = HeapCreate(0, rows[_i].initial, rows[_i].maximum);
    ck_assert_ptr_nonnull(heap);
    ck_assert_uint_lt(resident_bytes(), before + MB);
    ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 100));
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    ck_assert_uint_lt(resident_bytes(), before + 2 * MB);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(destroyed_heaps_leave_no_memory_behind)
{
    size_t before = 0;
    for (int i = 0; i < 300; i++) {
        HANDLE heap = HeapCreate(0, 0, i % 3 == 1 ? MB : 0);
        for (int j = 0; j < 8; j++) fill(HeapAlloc(heap, 0, 100 * KB), j, 100 * KB);
        if (i % 3 == 2) fill(HeapAlloc(heap, 0, 4 * MB), 1, 4 * MB);
        ck_assert_int_eq(HeapDestroy(heap), TRUE);
        if (i == 20) before = resident_bytes();
    }
    ck_assert_uint_lt(resident_bytes(), before + 16 * MB);
}
END_TEST

/* ---- W32 3.2 ---- */

START_TEST(destroy_ends_a_heap_and_its_handle) /* W32 3.2 */
{
    const struct kind *kind = &kinds[_i];
    if (kind->process) return;
    HANDLE heap = kind_open(kind);
    void *block = NULL;
    for (int i = 0; i < SIZES; i++) {
        if (!kind_has_room(kind, 3 * sizes[i], 1)) continue;
        block = HeapAlloc(heap, kind->call_flags, sizes[i]);
        if (kind->maximum)
            HeapFree(heap, kind->call_flags, block), block = HeapAlloc(heap, kind->call_flags, 1);
    }
    ck_assert_ptr_nonnull(block);
    ck_assert_int_eq(ASK(HeapDestroy(heap)), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_int_eq(ASK(HeapDestroy(heap)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(HeapFree(heap, 0, block)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
}
END_TEST

START_TEST(destroy_refuses_the_process_heap)
{
    HANDLE heap = GetProcessHeap();
    const DWORD before = GetProcessHeaps(0, NULL);
    char *block = HeapAlloc(heap, HEAP_ZERO_MEMORY, 40);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ASK(HeapDestroy(heap)), FALSE);
        ck_assert_last(ERROR_INVALID_HANDLE);
    }
    ck_assert_uint_eq(HeapSize(heap, 0, block), 40);
    ck_assert(is_filled(block, 0, 0, 40));
    ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    ck_assert_uint_eq(GetProcessHeaps(0, NULL), before);
}
END_TEST

static void *destroy_it(void *heap) { return (void *)(uintptr_t)HeapDestroy(heap); }

START_TEST(any_thread_may_destroy)
{
    HANDLE heap = HeapCreate(_i ? HEAP_NO_SERIALIZE : 0, 0, 0);
    pthread_t thread;
    void *answer;
    ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 100));
    ck_assert_int_eq(pthread_create(&thread, NULL, destroy_it, heap), 0);
    pthread_join(thread, &answer);
    ck_assert_ptr_eq(answer, (void *)(uintptr_t)TRUE);
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), FALSE);
}
END_TEST

START_TEST(destroy_under_ones_own_lock_ends_the_lock_too)
{
    HANDLE heap = HeapCreate(0, 0, _i ? MB : 0);
    ck_assert(HeapLock(heap) && HeapLock(heap));
    ck_assert_int_eq(ASK(HeapDestroy(heap)), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_int_eq(ASK(HeapUnlock(heap)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    HANDLE next[8];
    for (int i = 0; i < 8; i++) { /* one of them may be at the same place */
        next[i] = HeapCreate(0, 0, _i ? MB : 0);
        ck_assert_int_eq(ASK(HeapUnlock(next[i])), FALSE);
        ck_assert_last(ERROR_NOT_OWNER);
    }
    for (int i = 0; i < 8; i++) ck_assert_int_eq(HeapDestroy(next[i]), TRUE);
}
END_TEST

/* ---- W32 3.11 ---- */

static HANDLE seen_before_main;

__attribute__((constructor)) static void look_before_main(void)
{
    seen_before_main = GetProcessHeap();
    if (seen_before_main) HeapFree(seen_before_main, 0, HeapAlloc(seen_before_main, 0, 10));
}

static void *see_process_heap(void *nothing)
{
    (void)nothing;
    return GetProcessHeap();
}

START_TEST(process_heap_is_one_value_for_all_threads_and_before_main) /* W32 3.11 */
{
    HANDLE heap = ASK(GetProcessHeap());
    ck_assert_last(SENTINEL);
    ck_assert_ptr_nonnull(heap);
    ck_assert_ptr_eq(heap, seen_before_main);
    ck_assert_uint_eq((uintptr_t)heap & 0xFFFF, 0);
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        void *seen;
        pthread_create(&thread, NULL, see_process_heap, NULL);
        pthread_join(thread, &seen);
        ck_assert_ptr_eq(seen, heap);
    }
}
END_TEST

START_TEST(process_heap_grows)
{
    static void *block[200];
    for (int i = 0; i < 200; i++) ck_assert_ptr_nonnull(block[i] = HeapAlloc(GetProcessHeap(), 0, 100 * KB));
    for (int i = 0; i < 200; i++) ck_assert_int_eq(HeapFree(GetProcessHeap(), 0, block[i]), TRUE);
}
END_TEST

enum { MANY = 1000, MARK = 0x5A5A5A5A };
static HANDLE made[MANY], list[MANY + 64];

START_TEST(heaps_are_counted_without_hidden_ones)
{
    ck_assert_uint_eq(ASK(GetProcessHeaps(0, NULL)), 1); /* this program made none */
    ck_assert_uint_eq(ASK(GetProcessHeaps(1, list)), 1);
    ck_assert_ptr_eq(list[0], GetProcessHeap());
    ck_assert_last(SENTINEL);
    HANDLE heap = HeapCreate(0, 0, 0);
    ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 10 * MB));
    ck_assert_uint_eq(GetProcessHeaps(0, NULL), 2);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
    ck_assert_uint_eq(GetProcessHeaps(0, NULL), 1);
}
END_TEST

START_TEST(a_thousand_heaps_are_listed_in_the_order_of_their_making) /* D19 */
{
    const DWORD before = GetProcessHeaps(0, NULL);
    for (int i = 0; i < MANY; i++) {
        made[i] = HeapCreate(i % 5 ? 0 : HEAP_NO_SERIALIZE, 0, i % 2 ? 64 * KB : 0);
        ck_assert_ptr_nonnull(made[i]);
    }
    ck_assert_uint_eq(ASK(GetProcessHeaps(COUNT(list), list)), before + MANY);
    ck_assert_ptr_eq(list[0], GetProcessHeap());
    ck_assert_mem_eq(&list[before], made, sizeof made);
    for (int i = 0; i < MANY; i += 3) /* holes do not change the order, and new ones come last */
        ck_assert_int_eq(HeapDestroy(made[i]), TRUE);
    HANDLE last = HeapCreate(0, 0, 0);
    const DWORD all = GetProcessHeaps(COUNT(list), list);
    DWORD at = before;
    for (int i = 0; i < MANY; i++)
        if (i % 3) ck_assert_ptr_eq(list[at++], made[i]);
    ck_assert_ptr_eq(list[at++], last);
    ck_assert_uint_eq(at, all);
    for (int i = 0; i < MANY; i++)
        if (i % 3) ck_assert_int_eq(HeapDestroy(made[i]), TRUE);
    ck_assert_int_eq(HeapDestroy(last), TRUE);
    ck_assert_uint_eq(GetProcessHeaps(0, NULL), before);
    ck_assert_last(SENTINEL);
}
END_TEST

START_TEST(short_list_gets_the_first_and_nothing_beyond) /* D14 */
{
    for (int i = 0; i < 5; i++) made[i] = HeapCreate(0, 0, 0);
    const DWORD all = GetProcessHeaps(COUNT(list), list);
    HANDLE some[16];
    for (int i = 0; i < 16; i++) some[i] = (HANDLE)(uintptr_t)MARK;
    ck_assert_uint_eq(ASK(GetProcessHeaps((DWORD)_i, some)), all);
    ck_assert_last(SENTINEL);
    const DWORD written = (DWORD)_i < all ? (DWORD)_i : all;
    ck_assert_mem_eq(some, list, written * sizeof *some);
    for (DWORD i = written; i < 16; i++) ck_assert_ptr_eq(some[i], (HANDLE)(uintptr_t)MARK);
    for (int i = 0; i < 5; i++) ck_assert_int_eq(HeapDestroy(made[i]), TRUE);
}
END_TEST

static void *make_and_end_heaps(void *wrong)
{
    for (int i = 0; i < 300; i++) {
        HANDLE heap = HeapCreate(0, 0, i % 2 ? 256 * KB : 0);
        void *block = heap ? HeapAlloc(heap, 0, 1000) : NULL;
        if (!block || !HeapFree(heap, 0, block) || !HeapDestroy(heap)) *(bool *)wrong = true;
    }
    return NULL;
}

START_TEST(threads_may_make_and_end_heaps_at_once)
{
    bool wrong[4] = { false };
    pthread_t thread[4];
    const DWORD before = GetProcessHeaps(0, NULL);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, make_and_end_heaps, &wrong[i]), 0);
    for (int i = 0; i < 500; i++) {
        const DWORD count = GetProcessHeaps(COUNT(list), list);
        ck_assert_uint_le(count, before + 4);
        for (DWORD k = 0; k < count; k++)
            ck_assert_ptr_nonnull(list[k]);
        ck_assert_ptr_eq(list[0], GetProcessHeap());
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        ck_assert(!wrong[i]);
    }
    ck_assert_uint_eq(GetProcessHeaps(0, NULL), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract create");
    TCase *create = contract_case(suite, "create");
    tcase_add_loop_test(create, create_gives_a_heap_or_the_reason, 0, COUNT(creations));
    tcase_add_loop_test(create, region_is_at_least_the_initial_size, 0, 8);
    tcase_add_loop_test(create, fixed_heap_reserves_its_maximum_rounded_to_a_page, 0, 10);
    tcase_add_loop_test(create, heaps_do_not_become_resident_by_being_created, 0, 4);
    TCase *destroy = contract_case(suite, "destroy");
    tcase_add_loop_test(destroy, destroy_ends_a_heap_and_its_handle, 0, KINDS);
    tcase_add_test(destroy, destroyed_heaps_leave_no_memory_behind);
    tcase_add_test(destroy, destroy_refuses_the_process_heap);
    tcase_add_loop_test(destroy, any_thread_may_destroy, 0, 2);
    tcase_add_loop_test(destroy, destroy_under_ones_own_lock_ends_the_lock_too, 0, 2);
    TCase *heaps = contract_case(suite, "list of heaps");
    tcase_add_test(heaps, heaps_are_counted_without_hidden_ones);
    tcase_add_test(heaps, process_heap_is_one_value_for_all_threads_and_before_main);
    tcase_add_test(heaps, process_heap_grows);
    tcase_add_test(heaps, a_thousand_heaps_are_listed_in_the_order_of_their_making);
    tcase_add_loop_test(heaps, short_list_gets_the_first_and_nothing_beyond, 0, 9);
    tcase_add_test(heaps, threads_may_make_and_end_heaps_at_once);
    return contract_run(suite);
}
