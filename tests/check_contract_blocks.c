/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_blocks.c -- HeapAlloc, HeapFree, HeapSize and HeapValidate of good blocks
 * (W32 2.4, 2.5, 2.9, 3.3, 3.5, 3.6, 3.7), each kind of heap with each size. */
#include "check_contract.h"

static const struct kind *kind;
static size_t bytes;
static HANDLE heap;

/* Which cell of the matrix: the kind and the size. */
static void at_cell(int cell)
{
    kind = &kinds[cell / SIZES];
    bytes = sizes[cell % SIZES];
    heap = kind_open(kind);
}

/* With the cell in the text of a failure. */
#define NEED(cond) ck_assert_msg(cond, "%s, %zu bytes: %s", kind->name, bytes, #cond)
#define NEED_LAST(error)                                                                                     \
    ck_assert_msg(GetLastError() == (error) && errno == ERRNO_SENTINEL,                                      \
                  "%s, %zu bytes: last error %u, errno %d", kind->name, bytes, GetLastError(), errno)

static unsigned char *take(DWORD flags)
{
    unsigned char *block = ASK(HeapAlloc(heap, kind->call_flags | flags, bytes));
    NEED(block != NULL);
    NEED_LAST(SENTINEL);
    NEED((uintptr_t)block % 16 == 0); /* W32 2.4 */
    NEED(HeapSize(heap, kind->call_flags, block) == bytes);
    NEED_LAST(SENTINEL);
    return block;
}

static void give(void *block)
{
    NEED(ASK(HeapFree(heap, kind->call_flags, block)) == TRUE);
    NEED_LAST(SENTINEL);
}

START_TEST(block_is_aligned_exact_distinct_and_writable) /* W32 2.4, W32 2.5, W32 3.3, W32 3.6 */
{
    enum { BLOCKS = 3 };
    unsigned char *block[BLOCKS];
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        if (kind_has_room(kind, bytes, BLOCKS)) {
            for (int i = 0; i < BLOCKS; i++) {
                block[i] = take(0);
                fill(block[i], i + 1, bytes);
                for (int j = 0; j < i; j++)
                    NEED(block[i] + bytes <= block[j] || block[j] + bytes <= block[i]);
                for (int j = 0; j < i; j++) NEED(block[i] != block[j]);
            }
            for (int i = 0; i < BLOCKS; i++) {
                NEED(is_filled(block[i], i + 1, 0, bytes));
                NEED(ASK(HeapValidate(heap, kind->call_flags, block[i])) == TRUE);
                NEED(ASK(HeapValidate(heap, kind->call_flags, NULL)) == TRUE);
                NEED_LAST(SENTINEL);
            }
            for (int i = 0; i < BLOCKS; i++) give(block[i]);
        }
        kind_close(kind, heap);
    }
}
END_TEST

START_TEST(zero_memory_is_zero_also_where_memory_is_used_again) /* W32 3.3 */
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        if (kind_has_room(kind, bytes, 2)) {
            for (int pass = 0; pass < 3; pass++) {
                unsigned char *block = take(HEAP_ZERO_MEMORY), *other = take(0);
                NEED(is_filled(block, 0, 0, bytes));
                fill(block, 0xA5, bytes);
                fill(other, 0x5A, bytes);
                give(pass % 2 ? block : other);
                give(pass % 2 ? other : block);
            }
        }
        kind_close(kind, heap);
    }
}
END_TEST

START_TEST(freed_block_is_gone_for_every_function) /* W32 2.7, W32 3.5, W32 3.6, W32 3.7 */
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        if (kind_has_room(kind, bytes, 2)) {
            unsigned char *block = take(0), *kept = take(0);
            fill(kept, 0x77, bytes);
            give(block);
            NEED(ASK(HeapSize(heap, kind->call_flags, block)) == (SIZE_T)-1);
            NEED_LAST(ERROR_INVALID_PARAMETER);
            NEED(ASK(HeapFree(heap, kind->call_flags, block)) == FALSE);
            NEED_LAST(ERROR_INVALID_PARAMETER);
            if (!kind_raises(kind)) {
                NEED(ASK(HeapReAlloc(heap, kind->call_flags, block, bytes)) == NULL);
                NEED_LAST(ERROR_INVALID_PARAMETER);
            }
            NEED(ASK(HeapValidate(heap, kind->call_flags, block)) == FALSE);
            NEED_LAST(SENTINEL);
            NEED(is_filled(kept, 0x77, 0, bytes));
            give(kept);
        }
        kind_close(kind, heap);
    }
}
END_TEST

START_TEST(request_that_cannot_be_met_is_refused_with_8) /* W32 3.3, D7 */
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        if (kind_cannot(kind, bytes) && !kind_raises(kind)) {
            NEED(ASK(HeapAlloc(heap, kind->call_flags, bytes)) == NULL);
            NEED_LAST(ERROR_NOT_ENOUGH_MEMORY);
            NEED(ASK(HeapAlloc(heap, kind->call_flags | HEAP_ZERO_MEMORY, bytes)) == NULL);
            NEED_LAST(ERROR_NOT_ENOUGH_MEMORY);
        }
        kind_close(kind, heap);
    }
}
END_TEST

static const size_t impossible[] = {
    SIZE_MAX,         SIZE_MAX - 1,     SIZE_MAX - 7,         SIZE_MAX - 8,          SIZE_MAX - 15,
    SIZE_MAX - 16,    SIZE_MAX - 31,    SIZE_MAX - 63,        SIZE_MAX - 4095,       SIZE_MAX - 4096,
    SIZE_MAX - 65535, SIZE_MAX - 65536, SIZE_MAX - (4 << 20), SIZE_MAX / 2,          SIZE_MAX / 2 + 1,
    SIZE_MAX / 4,     (size_t)1 << 62,  (size_t)1 << 48,      ((size_t)1 << 47) - 1, ((size_t)1 << 63) + 8,
};

START_TEST(impossible_size_never_becomes_a_small_block) /* W32 2.9 */
{
    kind = &kinds[_i];
    heap = kind_open(kind);
    unsigned char *block = HeapAlloc(heap, kind->call_flags, 50);
    fill(block, 0x11, 50);
    for (int i = 0; i < COUNT(impossible) && !kind_raises(kind); i++) {
        bytes = impossible[i];
        for (DWORD flags = 0; flags <= HEAP_ZERO_MEMORY; flags += HEAP_ZERO_MEMORY) {
            NEED(ASK(HeapAlloc(heap, kind->call_flags | flags, bytes)) == NULL);
            NEED_LAST(ERROR_NOT_ENOUGH_MEMORY);
            NEED(ASK(HeapReAlloc(heap, kind->call_flags | flags, block, bytes)) == NULL);
            NEED_LAST(ERROR_NOT_ENOUGH_MEMORY);
            NEED(ASK(HeapReAlloc(heap, kind->call_flags | flags | HEAP_REALLOC_IN_PLACE_ONLY, block,
                                 bytes)) == NULL);
            NEED_LAST(ERROR_NOT_ENOUGH_MEMORY);
        }
        NEED(HeapSize(heap, 0, block) == 50);
        NEED(is_filled(block, 0x11, 0, 50));
    }
    ck_assert_int_eq(HeapFree(heap, kind->call_flags, block), TRUE);
    kind_close(kind, heap);
}
END_TEST

START_TEST(zero_size_blocks_are_blocks_of_their_own) /* W32 3.3 */
{
    enum { BLOCKS = 300 };
    unsigned char *block[BLOCKS];
    kind = &kinds[_i];
    bytes = 0;
    heap = kind_open(kind);
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = take(i % 2 ? HEAP_ZERO_MEMORY : 0);
        for (int j = 0; j < i; j++)
            if (block[i] == block[j]) ck_abort_msg("%s: one zero-size block twice", kind->name);
    }
    for (int i = 0; i < BLOCKS; i++) {
        NEED(HeapValidate(heap, kind->call_flags, block[i]) == TRUE);
        give(block[i]);
        NEED(HeapValidate(heap, kind->call_flags, block[i]) == FALSE);
    }
    kind_close(kind, heap);
}
END_TEST

START_TEST(every_small_size_is_exact_and_aligned) /* W32 2.5 */
{
    kind = &kinds[_i];
    heap = kind_open(kind);
    bool wrong = false;
    for (bytes = 0; bytes <= 2100; bytes++) {
        unsigned char *block = HeapAlloc(heap, kind->call_flags, bytes);
        wrong |= !block || (uintptr_t)block % 16 || HeapSize(heap, kind->call_flags, block) != bytes;
        fill(block, 0xFF, bytes);
        if (bytes % 3 == 0 || kind->maximum) wrong |= !HeapFree(heap, kind->call_flags, block);
        NEED(!wrong);
    }
    kind_close(kind, heap);
}
END_TEST

START_TEST(free_of_null_succeeds) /* W32 3.5, D20 */
{
    kind = &kinds[_i];
    heap = kind_open(kind);
    ck_assert_int_eq(ASK(HeapFree(heap, kind->call_flags, NULL)), TRUE);
    ck_assert_int_eq(ASK(HeapFree(heap, 0xFFFFFFFFu, NULL)), TRUE);
    ck_assert_int_eq(ASK(HeapFree(NULL, 0, NULL)), TRUE);
    ck_assert_last(SENTINEL);
    kind_close(kind, heap);
}
END_TEST

/* A row of allocations, frees and resizes by chance, with a copy of what must be there. */
START_TEST(random_use_keeps_every_block) /* W32 3.3, W32 3.4, W32 3.5 */
{
    enum { SLOTS = 60, STEPS = 6000 };
    static struct {
        unsigned char *block;
        size_t bytes;
        int byte;
    } slot[SLOTS];
    uint64_t state = 1 + (uint64_t)_i;
    kind = &kinds[_i];
    bytes = 0;
    if (kind_raises(kind)) return;
    heap = kind_open(kind);
    const size_t most = kind->maximum ? kind->maximum / 4 : 200 * KB;
    memset(slot, 0, sizeof slot);
    for (int i = 0; i < STEPS; i++) {
        const int at = (int)(dice(&state) % SLOTS);
        const size_t next = dice(&state) % (dice(&state) % 4 ? 600 : most);
        const DWORD flags = kind->call_flags | (dice(&state) % 2 ? HEAP_ZERO_MEMORY : 0);
        if (slot[at].block && !is_filled(slot[at].block, slot[at].byte, 0, slot[at].bytes))
            ck_abort_msg("%s: contents lost at step %d", kind->name, i);
        if (slot[at].block && dice(&state) % 2) {
            NEED(HeapFree(heap, kind->call_flags, slot[at].block));
            slot[at].block = NULL;
            continue;
        }
        unsigned char *block =
            slot[at].block ? HeapReAlloc(heap, flags, slot[at].block, next) : HeapAlloc(heap, flags, next);
        if (!block) { /* a fixed heap may be full */
            NEED(kind->maximum != 0);
            continue;
        }
        const size_t old = slot[at].block ? slot[at].bytes : 0;
        if (!is_filled(block, slot[at].byte, 0, smaller(old, next)) ||
            (flags & HEAP_ZERO_MEMORY && !is_filled(block, 0, old, next)) || HeapSize(heap, 0, block) != next)
            ck_abort_msg("%s: not as asked for at step %d", kind->name, i);
        slot[at].block = block;
        slot[at].bytes = next;
        slot[at].byte = i & 0xFF;
        fill(block, i, next);
    }
    for (int i = 0; i < SLOTS; i++) NEED(HeapFree(heap, kind->call_flags, slot[i].block));
    kind_close(kind, heap);
}
END_TEST

START_TEST(blocks_may_be_given_back_by_another_heap_never) /* W32 2.7 */
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        HANDLE other = HeapCreate(0, 0, cell % 2 ? 0 : 2 * MB);
        if (kind_has_room(kind, bytes, 1)) {
            unsigned char *block = take(0);
            fill(block, 9, bytes);
            NEED(ASK(HeapFree(other, 0, block)) == FALSE);
            NEED_LAST(ERROR_INVALID_PARAMETER);
            NEED(ASK(HeapSize(other, 0, block)) == (SIZE_T)-1);
            NEED_LAST(ERROR_INVALID_PARAMETER);
            NEED(ASK(HeapReAlloc(other, 0, block, 10)) == NULL);
            NEED_LAST(ERROR_INVALID_PARAMETER);
            NEED(ASK(HeapValidate(other, 0, block)) == FALSE);
            NEED_LAST(SENTINEL);
            NEED(is_filled(block, 9, 0, bytes));
            give(block);
        }
        ck_assert_int_eq(HeapDestroy(other), TRUE);
        kind_close(kind, heap);
    }
}
END_TEST

/* ---- W32 5: growable heaps ---- */

START_TEST(growable_heap_grows_past_its_initial_size) /* W32 5.3, D23 */
{
    enum { BLOCKS = 3000 };
    static unsigned char *block[BLOCKS];
    HANDLE grown = HeapCreate(0, _i ? 4096 : 0, 0);
    for (int i = 0; i < BLOCKS; i++) {
        ck_assert_ptr_nonnull(block[i] = HeapAlloc(grown, 0, 5000));
        fill(block[i], i, 5000);
    }
    for (int i = 0; i < BLOCKS; i++) ck_assert(is_filled(block[i], i, 0, 5000));
    ck_assert_int_eq(HeapDestroy(grown), TRUE);
}
END_TEST

START_TEST(large_block_goes_back_to_the_system_when_freed) /* W32 5.2 */
{
    static const size_t large[] = { 8 << 20, 64 << 20 };
    HANDLE grown = HeapCreate(0, 0, 0);
    const size_t before = resident_bytes();
    unsigned char *block = HeapAlloc(grown, 0, large[_i]);
    fill(block, 1, large[_i]);
    ck_assert_uint_ge(resident_bytes(), before + large[_i] / 2);
    ck_assert_int_eq(HeapFree(grown, 0, block), TRUE);
    ck_assert_uint_lt(resident_bytes(), before + MB);
    ck_assert_int_eq(HeapDestroy(grown), TRUE);
}
END_TEST

START_TEST(freed_memory_serves_again) /* W32 3.5 */
{
    static const size_t rows[] = { 16, 1000, 5000, 40000, 300000, 3 << 20 };
    HANDLE grown = HeapCreate(0, 0, 0);
    bool right = true;
    const size_t before = resident_bytes();
    for (size_t moved = 0; moved < 400 * MB; moved += rows[_i] < 5000 ? 5000 : rows[_i]) {
        unsigned char *block = HeapAlloc(grown, 0, rows[_i]);
        block[0] = block[rows[_i] - 1] = 1;
        right &= HeapFree(grown, 0, block) == TRUE;
    }
    ck_assert(right);
    ck_assert_uint_lt(resident_bytes(), before + 8 * MB);
    ck_assert_int_eq(HeapDestroy(grown), TRUE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract blocks");
    TCase *blocks = contract_case(suite, "matrix");
    tcase_add_loop_test(blocks, block_is_aligned_exact_distinct_and_writable, 0, QUARTERS);
    tcase_add_loop_test(blocks, zero_memory_is_zero_also_where_memory_is_used_again, 0, QUARTERS);
    tcase_add_loop_test(blocks, freed_block_is_gone_for_every_function, 0, QUARTERS);
    tcase_add_loop_test(blocks, request_that_cannot_be_met_is_refused_with_8, 0, QUARTERS);
    tcase_add_loop_test(blocks, blocks_may_be_given_back_by_another_heap_never, 0, QUARTERS);
    TCase *each = contract_case(suite, "each kind");
    tcase_add_loop_test(each, impossible_size_never_becomes_a_small_block, 0, KINDS);
    tcase_add_loop_test(each, zero_size_blocks_are_blocks_of_their_own, 0, KINDS);
    tcase_add_loop_test(each, every_small_size_is_exact_and_aligned, 0, KINDS);
    tcase_add_loop_test(each, free_of_null_succeeds, 0, KINDS);
    tcase_add_loop_test(each, random_use_keeps_every_block, 0, KINDS);
    TCase *growable = contract_case(suite, "growable heaps");
    tcase_add_loop_test(growable, growable_heap_grows_past_its_initial_size, 0, 2);
    tcase_add_loop_test(growable, large_block_goes_back_to_the_system_when_freed, 0, 2);
    tcase_add_loop_test(growable, freed_memory_serves_again, 0, 6);
    return contract_run(suite);
}
