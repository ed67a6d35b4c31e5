/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_realloc.c -- HeapReAlloc (W32 3.4): from each size to each size in each kind of heap; what
 * is kept, what is cleared, what IN_PLACE_ONLY does, and that a refusal changes nothing. */
#include "check_contract.h"

static const struct kind *kind;
static size_t from, to;
static HANDLE heap;

static void at_cell(int cell)
{
    kind = &kinds[cell / SIZES];
    from = sizes[cell % SIZES];
    to = 0;
    heap = kind_open(kind);
}

#define NEED(cond) ck_assert_msg(cond, "%s, %zu to %zu bytes: %s", kind->name, from, to, #cond)
#define NEED_LAST(error)                                                                                     \
    ck_assert_msg(GetLastError() == (error) && errno == ERRNO_SENTINEL,                                      \
                  "%s, %zu to %zu: last error %u, errno %d", kind->name, from, to, GetLastError(), errno)

static unsigned char *filled_block(size_t bytes, int byte)
{
    unsigned char *block = HeapAlloc(heap, kind->call_flags, bytes);
    NEED(block != NULL);
    fill(block, byte, bytes);
    return block;
}

static unsigned char *resize(DWORD flags, unsigned char *block, size_t bytes)
{
    return ASK(HeapReAlloc(heap, kind->call_flags | flags, block, bytes));
}

static void give(unsigned char *block) { NEED(HeapFree(heap, kind->call_flags, block) == TRUE); }

/* Which sizes to go on to: all of them in two kinds of heap; a third, another for each size, in the others,
 * where from one large block to another is the same again. */
static bool is_tried(int i)
{
    const bool all = kind == &kinds[0] || kind == &kinds[8];
    return all || ((i + (int)(kind - kinds)) % 3 == 0 && smaller(from, sizes[i]) < 500 * KB);
}

/* Both at once, as a moving resize needs them. */
static bool both_fit(void)
{
    const size_t more = from > to ? from : to;
    return kind_has_room(kind, more, 1) && kind_has_room(kind, from / 2 + to / 2 + 1, 2);
}

START_TEST(resize_keeps_contents_and_sets_the_exact_size)
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        for (int i = 0; i < SIZES; i++) {
            to = sizes[i];
            if (!is_tried(i) || !both_fit()) continue;
            unsigned char *block = filled_block(from, 0x3C);
            unsigned char *moved = resize(0, block, to);
            NEED(moved != NULL);
            NEED_LAST(SENTINEL);
            NEED((uintptr_t)moved % 16 == 0);
            NEED(HeapSize(heap, 0, moved) == to);
            NEED(is_filled(moved, 0x3C, 0, smaller(from, to)));
            NEED(HeapValidate(heap, 0, moved) == TRUE);
            if (moved != block) NEED(HeapValidate(heap, 0, block) == FALSE);
            if (moved != block) NEED(HeapFree(heap, 0, block) == FALSE);
            fill(moved, 0x77, to);
            give(moved);
        }
        kind_close(kind, heap);
    }
}
END_TEST

START_TEST(resize_with_zero_memory_clears_exactly_what_is_new)
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        for (int i = 0; i < SIZES; i++) {
            to = sizes[i];
            if (!is_tried(i) || !both_fit()) continue;
            give(filled_block(to, 0xEE)); /* something that is not zero to use again */
            unsigned char *block = filled_block(from, 0x3C);
            block = resize(HEAP_ZERO_MEMORY, block, to);
            NEED(block != NULL);
            NEED_LAST(SENTINEL);
            NEED(is_filled(block, 0x3C, 0, smaller(from, to)));
            NEED(is_filled(block, 0, smaller(from, to), to));
            give(block);
        }
        kind_close(kind, heap);
    }
}
END_TEST

/* size -> a part of it -> size: what the part gave up is new. */
START_TEST(zeroes_count_from_the_last_requested_size)
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        static const unsigned parts[] = { 0, 1, 25, 50, 75, 99 }; /* percent */
        for (int i = 0; i < COUNT(parts); i++) {
            for (int in_place = 0; in_place < 2; in_place++) {
                to = from * parts[i] / 100;
                if (!both_fit() || !kind_has_room(kind, from, 2)) continue;
                unsigned char *block = filled_block(from, 0x3C);
                block = resize(in_place ? HEAP_REALLOC_IN_PLACE_ONLY : 0, block, to);
                NEED(block != NULL);
                block = resize(HEAP_ZERO_MEMORY, block, from);
                NEED(block != NULL);
                NEED(is_filled(block, 0x3C, 0, to));
                NEED(is_filled(block, 0, to, from));
                NEED(HeapSize(heap, 0, block) == from);
                give(block);
            }
        }
        kind_close(kind, heap);
    }
}
END_TEST

START_TEST(resize_in_place_keeps_the_address_or_changes_nothing)
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        for (int i = 0; i < SIZES && kind_has_room(kind, from, 2); i++) {
            to = sizes[i];
            if (!is_tried(i)) continue;
            if (kind_raises(kind) && to > from) continue;
            const DWORD zero = i % 2 ? HEAP_ZERO_MEMORY : 0;
            unsigned char *block = filled_block(from, 0x3C);
            unsigned char *same = resize(HEAP_REALLOC_IN_PLACE_ONLY | zero, block, to);
            if (to <= from) NEED(same == block); /* always possible */
            if (same) {
                NEED(same == block);
                NEED_LAST(SENTINEL);
                NEED(HeapSize(heap, 0, block) == to);
                NEED(is_filled(block, 0x3C, 0, smaller(from, to)));
                if (zero) NEED(is_filled(block, 0, from, to));
                fill(block, 0x99, to);
            } else {
                NEED_LAST(ERROR_NOT_ENOUGH_MEMORY);
                NEED(HeapSize(heap, 0, block) == from);
                NEED(is_filled(block, 0x3C, 0, from));
            }
            NEED(HeapValidate(heap, 0, block) == TRUE);
            give(block);
        }
        kind_close(kind, heap);
    }
}
END_TEST

/* To less and back, in place: what was shrunk in place and not yet given to others may or may not come back.
 */
START_TEST(shrunk_block_is_whole_and_its_neighbours_are_too)
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        if (kind_has_room(kind, from, 3)) {
            to = from / 3;
            unsigned char *before = filled_block(from, 1), *block = filled_block(from, 2),
                          *after = filled_block(from, 3);
            NEED(resize(HEAP_REALLOC_IN_PLACE_ONLY, block, to) == block);
            NEED_LAST(SENTINEL);
            unsigned char *more = filled_block(to, 4); /* may be where the block has been */
            NEED(is_filled(before, 1, 0, from));
            NEED(is_filled(block, 2, 0, to));
            NEED(is_filled(after, 3, 0, from));
            NEED(is_filled(more, 4, 0, to));
            unsigned char *grown = kind_raises(kind) ? NULL : resize(HEAP_REALLOC_IN_PLACE_ONLY, block, from);
            NEED(grown == NULL || grown == block);
            if (grown) fill(grown, 2, from);
            NEED(is_filled(more, 4, 0, to) && is_filled(before, 1, 0, from) && is_filled(after, 3, 0, from));
            give(before), give(more), give(block), give(after);
        }
        kind_close(kind, heap);
    }
}
END_TEST

START_TEST(impossible_resize_leaves_the_block)
{
    static const size_t never[] = { SIZE_MAX,      SIZE_MAX - 7,    SIZE_MAX - 15,
                                    SIZE_MAX - 16, SIZE_MAX - 4095, SIZE_MAX / 2 };
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        if (kind_has_room(kind, from, 1) && !kind_raises(kind)) {
            unsigned char *block = filled_block(from, 0x3C);
            for (int i = 0; i < COUNT(never) + SIZES; i++) {
                to = i < COUNT(never) ? never[i] : sizes[i - COUNT(never)];
                if (!kind_cannot(kind, to) || to <= from) continue;
                for (DWORD flags = 0; flags <= (HEAP_ZERO_MEMORY | HEAP_REALLOC_IN_PLACE_ONLY);
                     flags += HEAP_ZERO_MEMORY) {
                    NEED(resize(flags, block, to) == NULL);
                    NEED_LAST(ERROR_NOT_ENOUGH_MEMORY);
                }
                NEED(HeapSize(heap, 0, block) == from);
                NEED(is_filled(block, 0x3C, 0, from));
                NEED(HeapValidate(heap, 0, block) == TRUE);
            }
            give(block);
        }
        kind_close(kind, heap);
    }
}
END_TEST

START_TEST(resize_to_zero_keeps_a_block)
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        if (kind_has_room(kind, from, 1)) {
            for (DWORD flags = 0; flags <= (HEAP_ZERO_MEMORY | HEAP_REALLOC_IN_PLACE_ONLY);
                 flags += HEAP_ZERO_MEMORY) {
                unsigned char *block = filled_block(from, 0x3C);
                unsigned char *none = resize(flags, block, 0);
                NEED(none != NULL);
                NEED_LAST(SENTINEL);
                if (flags & HEAP_REALLOC_IN_PLACE_ONLY) NEED(none == block);
                NEED(HeapSize(heap, 0, none) == 0);
                NEED(HeapValidate(heap, 0, none) == TRUE);
                give(none);
                NEED(HeapFree(heap, 0, none) == FALSE);
            }
        }
        kind_close(kind, heap);
    }
}
END_TEST

START_TEST(same_size_stays_where_it_is_when_it_must)
{
    EACH_CELL(cell, _i)
    {
        at_cell(cell);
        to = from;
        if (kind_has_room(kind, from, 1)) {
            unsigned char *block = filled_block(from, 0x3C);
            for (int i = 0; i < 3; i++)
                NEED(resize(HEAP_REALLOC_IN_PLACE_ONLY | HEAP_ZERO_MEMORY, block, from) == block);
            NEED_LAST(SENTINEL);
            NEED(is_filled(block, 0x3C, 0, from)); /* nothing is new, so nothing is cleared */
            block = resize(HEAP_ZERO_MEMORY, block, from);
            NEED(block != NULL && is_filled(block, 0x3C, 0, from));
            give(block);
        }
        kind_close(kind, heap);
    }
}
END_TEST

START_TEST(resize_of_null_allocates_nothing) /* D22 */
{
    static const DWORD with[] = { 0, HEAP_ZERO_MEMORY, HEAP_REALLOC_IN_PLACE_ONLY, HEAP_NO_SERIALIZE };
    at_cell(_i * SIZES);
    if (!kind_raises(kind)) {
        PROCESS_HEAP_ENTRY entry = { .lpData = NULL };
        for (int i = 0; i < COUNT(with); i++) {
            for (int j = 0; j < SIZES; j++) {
                to = sizes[j];
                NEED(resize(with[i], NULL, to) == NULL);
                NEED_LAST(NO_ERROR);
            }
        }
        while (!kind->process && HeapWalk(heap, &entry)) ck_assert(!(entry.wFlags & PROCESS_HEAP_ENTRY_BUSY));
    }
    kind_close(kind, heap);
}
END_TEST

/* One block through a row of sizes by chance, resized in every way. */
START_TEST(long_row_of_resizes_is_right_at_each_step)
{
    kind = &kinds[_i];
    if (kind_raises(kind)) return;
    heap = kind_open(kind);
    uint64_t state = 5 + (uint64_t)_i;
    from = 0;
    unsigned char *block = filled_block(0, 0);
    const size_t most =
        kind->maximum ? smaller(kind->maximum / 4, 500 * KB) /* old and new at once */ : 2 * MB;
    for (int i = 0; i < 1500; i++) {
        to = dice(&state) % (dice(&state) % 5 ? 2000 : most);
        const DWORD flags = dice(&state) % 4 * HEAP_ZERO_MEMORY; /* each of ZERO_MEMORY and IN_PLACE_ONLY */
        unsigned char *moved = resize(flags, block, to);
        if (!moved) {
            NEED(flags & HEAP_REALLOC_IN_PLACE_ONLY && to > from);
            NEED(is_filled(block, i - 1, 0, from));
            fill(block, i, from);
            continue;
        }
        NEED(moved == block || !(flags & HEAP_REALLOC_IN_PLACE_ONLY));
        NEED(i == 0 || is_filled(moved, i - 1, 0, smaller(from, to)));
        NEED(!(flags & HEAP_ZERO_MEMORY) || is_filled(moved, 0, from, to));
        NEED(HeapSize(heap, 0, moved) == to);
        block = moved;
        from = to;
        fill(block, i, from);
    }
    give(block);
    kind_close(kind, heap);
}
END_TEST

/* Every size to every size nearby, where the classes of an engine begin and end. */
START_TEST(step_by_one_byte_is_exact)
{
    kind = &kinds[_i];
    heap = kind_open(kind);
    from = to = 0;
    unsigned char *block = filled_block(0, 0);
    bool wrong = false;
    for (to = 1; to <= 3000; to++) {
        block = HeapReAlloc(heap, kind->call_flags | HEAP_ZERO_MEMORY, block, to);
        wrong |= !block || block[to - 1] != 0 || HeapSize(heap, kind->call_flags, block) != to;
        NEED(!wrong);
        block[to - 1] = (unsigned char)to;
    }
    for (size_t i = 1; i <= 3000; i++) wrong |= block[i - 1] != (unsigned char)i;
    NEED(!wrong);
    for (to = 3000; to-- > 0;)
        wrong |= HeapReAlloc(heap, kind->call_flags | HEAP_REALLOC_IN_PLACE_ONLY, block, to) != block ||
                 HeapSize(heap, kind->call_flags, block) != to;
    NEED(!wrong);
    give(block);
    kind_close(kind, heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract realloc");
    TCase *matrix = contract_case(suite, "matrix");
    tcase_add_loop_test(matrix, resize_keeps_contents_and_sets_the_exact_size, 0, QUARTERS);
    tcase_add_loop_test(matrix, resize_with_zero_memory_clears_exactly_what_is_new, 0, QUARTERS);
    tcase_add_loop_test(matrix, zeroes_count_from_the_last_requested_size, 0, QUARTERS);
    tcase_add_loop_test(matrix, resize_in_place_keeps_the_address_or_changes_nothing, 0, QUARTERS);
    tcase_add_loop_test(matrix, shrunk_block_is_whole_and_its_neighbours_are_too, 0, QUARTERS);
    tcase_add_loop_test(matrix, impossible_resize_leaves_the_block, 0, QUARTERS);
    tcase_add_loop_test(matrix, resize_to_zero_keeps_a_block, 0, QUARTERS);
    tcase_add_loop_test(matrix, same_size_stays_where_it_is_when_it_must, 0, QUARTERS);
    TCase *each = contract_case(suite, "each kind");
    tcase_add_loop_test(each, resize_of_null_allocates_nothing, 0, KINDS);
    tcase_add_loop_test(each, long_row_of_resizes_is_right_at_each_step, 0, KINDS);
    tcase_add_loop_test(each, step_by_one_byte_is_exact, 0, KINDS);
    return contract_run(suite);
}
