/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_summary.c -- HeapSummary (W32 3.14): exact sums in each kind of heap, for each size. */
#include "check_contract.h"

static const struct kind *kind;
static HANDLE heap;

#define NEED(cond) ck_assert_msg(cond, "%s: %s", kind->name, #cond)

static void begin(int which)
{
    kind = &kinds[which];
    heap = kind_open(kind);
}

static void end(void) { kind_close(kind, heap); }

static HEAP_SUMMARY summary_of(HANDLE of)
{
    HEAP_SUMMARY summary;
    memset(&summary, 0x5A, sizeof summary);
    summary.cb = sizeof summary;
    ck_assert_int_eq(ASK(HeapSummary(of, 0, &summary)), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(summary.cb, sizeof summary);
    ck_assert_uint_ge(summary.cbCommitted, summary.cbAllocated);
    ck_assert_uint_ge(summary.cbReserved, summary.cbCommitted);
    ck_assert_uint_ge(summary.cbMaxReserve, summary.cbReserved);
    return summary;
}

START_TEST(summary_has_the_exact_sum_of_requested_sizes) /* W32 3.14 */
{
    EACH_CELL(cell, _i)
    {
        begin(cell / SIZES);
        const size_t bytes = sizes[cell % SIZES];
        const SIZE_T before = summary_of(heap).cbAllocated;
        if (!kind->process) NEED(before == 0);
        if (kind_has_room(kind, bytes, 2)) {
            void *one = HeapAlloc(heap, kind->call_flags, bytes),
                 *two = HeapAlloc(heap, kind->call_flags, bytes / 2);
            NEED(one && two);
            NEED(summary_of(heap).cbAllocated == before + bytes + bytes / 2);
            one = HeapReAlloc(heap, kind->call_flags, one, bytes / 3);
            NEED(one && summary_of(heap).cbAllocated == before + bytes / 3 + bytes / 2);
            NEED(HeapFree(heap, kind->call_flags, one) && summary_of(heap).cbAllocated == before + bytes / 2);
            NEED(HeapFree(heap, kind->call_flags, two) && summary_of(heap).cbAllocated == before);
        }
        const HEAP_SUMMARY summary = summary_of(heap);
        if (kind->maximum) {
            NEED(summary.cbMaxReserve == kind->maximum && summary.cbReserved == kind->maximum);
        } else if (kind->initial == 0) {
            NEED(summary.cbReserved >= 4 * MB);
        }
        if (kind->initial) NEED(summary.cbCommitted >= kind->initial);
        end();
    }
}
END_TEST

START_TEST(summary_counts_blocks_of_every_kind_together)
{
    heap = HeapCreate(0, 0, 0);
    void *blocks[] = { HeapAlloc(heap, 0, 0x100), HeapAlloc(heap, 0, 0x200), HeapAlloc(heap, 0, 0x60000) };
    ck_assert_uint_eq(summary_of(heap).cbAllocated, 0x100 + 0x200 + 0x60000);
    const HEAP_SUMMARY before = summary_of(heap);
    void *large = HeapAlloc(heap, 0, 9 * MB);
    const HEAP_SUMMARY with = summary_of(heap); /* large blocks count in all three */
    ck_assert_uint_eq(with.cbAllocated, before.cbAllocated + 9 * MB);
    ck_assert_uint_ge(with.cbCommitted, before.cbCommitted + 9 * MB);
    ck_assert_uint_ge(with.cbReserved, before.cbReserved + 9 * MB);
    ck_assert(HeapFree(heap, 0, large) && HeapFree(heap, 0, blocks[0]));
    ck_assert_uint_eq(summary_of(heap).cbAllocated, 0x200 + 0x60000);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(summary_of_another_size_is_refused)
{
    static const DWORD wrong[] = { 0, 1, 8, 20, 39, 41, 48, 0xFFFFFFFFu };
    HEAP_SUMMARY summary, before;
    begin(0);
    for (int i = 0; i < COUNT(wrong); i++) {
        memset(&summary, 0x5A, sizeof summary);
        summary.cb = wrong[i];
        before = summary;
        ck_assert_int_eq(ASK(HeapSummary(heap, 0, &summary)), FALSE);
        ck_assert_last(ERROR_INVALID_PARAMETER);
        ck_assert_mem_eq(&summary, &before, sizeof summary);
    }
    ck_assert_int_eq(ASK(HeapSummary(heap, 0, NULL)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract summary");
    TCase *summary = contract_case(suite, "summary");
    tcase_add_loop_test(summary, summary_has_the_exact_sum_of_requested_sizes, 0, QUARTERS);
    tcase_add_test(summary, summary_counts_blocks_of_every_kind_together);
    tcase_add_test(summary, summary_of_another_size_is_refused);
    return contract_run(suite);
}
