/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_native.c -- privheap.h by its own comments, over each kind of heap: figures, aligned blocks,
 * names, visits; and that they agree with the Win32 functions. */
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

static struct ph_stats stats_of(HANDLE of)
{
    struct ph_stats stats = { .struct_bytes = sizeof stats };
    ck_assert_int_eq(ASK(ph_heap_stats(of, &stats)), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(stats.struct_bytes, sizeof stats);
    return stats;
}

START_TEST(figures_agree_with_the_summary)
{
    void *block[20];
    begin(_i);
    const struct ph_stats before = stats_of(heap);
    for (int i = 0; i < 20; i++) NEED((block[i] = HeapAlloc(heap, kind->call_flags, 50 * (size_t)i)) != NULL);
    const struct ph_stats stats = stats_of(heap);
    HEAP_SUMMARY summary = { .cb = sizeof summary };
    NEED(HeapSummary(heap, 0, &summary));
    NEED(stats.live_blocks == before.live_blocks + 20);
    NEED(stats.live_bytes == before.live_bytes + 50 * 190);
    NEED(stats.live_bytes == summary.cbAllocated && stats.committed_bytes == summary.cbCommitted);
    NEED(stats.reserved_bytes == summary.cbReserved && stats.most_reserved_bytes == summary.cbMaxReserve);
    NEED(stats.regions >= 1 && (!kind->maximum || stats.regions == 1));
    NEED(!(stats.flags & HEAP_GROWABLE) == (kind->maximum != 0));
    const DWORD told = HEAP_NO_SERIALIZE | HEAP_GENERATE_EXCEPTIONS | HEAP_CREATE_ENABLE_EXECUTE;
    NEED((stats.flags & told) == (kind->create_flags & told));
    NEED(stats.largest_free_bytes == HeapCompact(heap, kind->call_flags) || stats.largest_free_bytes > 0);
    for (int i = 0; i < 20; i++) NEED(HeapFree(heap, kind->call_flags, block[i]));
    NEED(stats_of(heap).live_blocks == before.live_blocks && stats_of(heap).live_bytes == before.live_bytes);
    end();
}
END_TEST

START_TEST(large_blocks_are_counted_apart)
{
    begin(0);
    void *large = HeapAlloc(heap, 0, 5 * MB);
    struct ph_stats stats = stats_of(heap);
    ck_assert(stats.large_blocks == 1 && stats.large_bytes >= 5 * MB && stats.live_blocks == 1);
    ck_assert_int_eq(HeapFree(heap, 0, large), TRUE);
    ck_assert_uint_eq(stats_of(heap).large_blocks, 0);
    end();
}
END_TEST

START_TEST(aligned_block_is_a_block_like_any_other)
{
    static const size_t alignments[] = { 1, 2, 8, 16, 32, 64, 256, 1024, 4096, 8192, 65536 };
    begin(_i);
    for (int i = 0; i < COUNT(alignments); i++) {
        for (size_t bytes = 0; bytes < 20000; bytes = bytes * 5 + 1) {
            if (kind->maximum && alignments[i] * 2 + bytes > kind->maximum / 2) continue;
            unsigned char *block =
                ASK(ph_heap_aligned_alloc(heap, kind->call_flags | HEAP_ZERO_MEMORY, alignments[i], bytes));
            ck_assert_msg(block != NULL, "%s: no %zu bytes at %zu", kind->name, bytes, alignments[i]);
            ck_assert_last(SENTINEL);
            NEED((uintptr_t)block % alignments[i] == 0 && (uintptr_t)block % 16 == 0);
            NEED(HeapSize(heap, kind->call_flags, block) == bytes && is_filled(block, 0, 0, bytes));
            NEED(HeapValidate(heap, kind->call_flags, block) == TRUE);
            fill(block, 0x42, bytes);
            block = HeapReAlloc(heap, kind->call_flags, block, bytes + 100);
            NEED(block != NULL && (uintptr_t)block % 16 == 0 && is_filled(block, 0x42, 0, bytes));
            NEED(HeapFree(heap, kind->call_flags, block) == TRUE);
            NEED(HeapFree(heap, kind->call_flags, block) == FALSE);
        }
    }
    end();
}
END_TEST

START_TEST(impossible_alignment_is_refused)
{
    static const size_t wrong[] = {
        0, 3, 24, 48, 4095, 4097, SIZE_MAX, SIZE_MAX - 1, ((size_t)1 << 63) + 16
    };
    begin(0);
    ck_assert_ptr_null(ASK(ph_heap_aligned_alloc(heap, 0, wrong[_i], 100)));
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_ptr_null(ASK(ph_heap_aligned_alloc(heap, 0, 4096, SIZE_MAX - 4095)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_ptr_null(ASK(ph_heap_aligned_alloc(heap, 0, 64, SIZE_MAX)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    end();
}
END_TEST

START_TEST(name_is_copied_cut_and_taken_away)
{
    char buffer[PRIVHEAP_NAME_BYTES + 8], longer[200], own[] = "a name";
    begin(_i);
    NEED(ph_heap_name(heap, buffer, sizeof buffer) == 0 && buffer[0] == '\0');
    NEED(ASK(ph_heap_set_name(heap, own)) == TRUE);
    own[0] = 'X'; /* it is copied */
    NEED(ASK(ph_heap_name(heap, buffer, sizeof buffer)) == 6 && strcmp(buffer, "a name") == 0);
    ck_assert_last(SENTINEL);
    NEED(ph_heap_name(heap, NULL, 0) == 6);
    memset(buffer, 'Z', sizeof buffer);
    NEED(ph_heap_name(heap, buffer, 4) == 6 && strcmp(buffer, "a n") == 0 && buffer[4] == 'Z');
    NEED(strcmp(stats_of(heap).name, "a name") == 0);
    memset(longer, 'y', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    NEED(ph_heap_set_name(heap, longer) &&
         ph_heap_name(heap, buffer, sizeof buffer) == PRIVHEAP_NAME_BYTES - 1);
    NEED(ph_heap_set_name(heap, "a[b]\\$`\n") && ph_heap_name(heap, buffer, sizeof buffer) == 8);
    NEED(strcmp(buffer, "a?b?????") == 0);
    NEED(ph_heap_set_name(heap, NULL) && ph_heap_name(heap, buffer, sizeof buffer) == 0);
    end();
}
END_TEST

struct visit {
    int blocks, stop_after;
    SIZE_T bytes;
};

static BOOL count_block(const struct ph_block *block, void *context)
{
    struct visit *visit = context;
    visit->blocks++;
    visit->bytes += block->bytes;
    return block->address != NULL && visit->blocks != visit->stop_after;
}

START_TEST(visit_meets_each_live_block_once)
{
    void *block[50];
    SIZE_T bytes = 0;
    struct visit before = { 0, 0, 0 }, visit = { 0, 0, 0 }, stopped = { 0, 3, 0 };
    begin(_i);
    NEED(ph_heap_visit(heap, count_block, &before) == TRUE);
    for (int i = 0; i < 50; i++) {
        NEED((block[i] = HeapAlloc(heap, kind->call_flags, 13 * (size_t)i)) != NULL);
        bytes += 13 * (size_t)i;
    }
    NEED(ASK(ph_heap_visit(heap, count_block, &visit)) == TRUE);
    ck_assert_last(SENTINEL);
    NEED(visit.blocks == before.blocks + 50 && visit.bytes == before.bytes + bytes);
    NEED(ph_heap_visit(heap, count_block, &stopped) == FALSE && stopped.blocks == 3);
    NEED(ASK(ph_heap_visit(heap, NULL, &stopped)) == FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    for (int i = 0; i < 50; i++) NEED(HeapFree(heap, kind->call_flags, block[i]));
    end();
}
END_TEST

START_TEST(value_that_is_no_heap_is_refused_by_the_native_functions)
{
    HANDLE ended = HeapCreate(0, 0, 0);
    HANDLE const values[] = { NULL, ended, (HANDLE)(uintptr_t)0x8000000000000000, (HANDLE)(uintptr_t)-1 };
    struct ph_stats stats = { .struct_bytes = sizeof stats };
    struct visit visit = { 0, 0, 0 };
    char name[8];
    ck_assert_int_eq(HeapDestroy(ended), TRUE);
    HANDLE bad = values[_i];
    ck_assert_int_eq(ASK(ph_heap_stats(bad, &stats)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_ptr_null(ASK(ph_heap_aligned_alloc(bad, 0, 64, 10)));
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(ph_heap_set_name(bad, "x")), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(ASK(ph_heap_name(bad, name, sizeof name)), 0);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(ph_heap_visit(bad, count_block, &visit)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(visit.blocks, 0);
}
END_TEST

START_TEST(figures_need_room)
{
    struct ph_stats stats = { .struct_bytes = 8 };
    begin(0);
    ck_assert_int_eq(ASK(ph_heap_stats(heap, &stats)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(ASK(ph_heap_stats(heap, NULL)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract native");
    TCase *native = contract_case(suite, "native");
    tcase_add_loop_test(native, figures_agree_with_the_summary, 0, KINDS);
    tcase_add_test(native, large_blocks_are_counted_apart);
    tcase_add_test(native, figures_need_room);
    tcase_add_loop_test(native, aligned_block_is_a_block_like_any_other, 0, KINDS);
    tcase_add_loop_test(native, impossible_alignment_is_refused, 0, 9);
    tcase_add_loop_test(native, name_is_copied_cut_and_taken_away, 0, KINDS);
    tcase_add_loop_test(native, visit_meets_each_live_block_once, 0, KINDS);
    tcase_add_loop_test(native, value_that_is_no_heap_is_refused_by_the_native_functions, 0, 4);
    return contract_run(suite);
}
