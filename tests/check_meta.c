/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_meta.c -- memory for descriptors: zeroed, aligned, apart; cells found by number and used again. */
#include "check_room.h"

#include <pthread.h>

enum { CELLS = 5000, CELL_BYTES = 128 };

static struct pool pool; /* of this suite */

static void setup_empty_pool(void) { pool = (struct pool){.cells = CELL_BYTES >> CELL_BITS}; }

/* ---- ranges ---- */

static const size_t wishes[] = {1, 63, 64, 65, 1000, 4096, 100000, 65536, 200000, 20000000};

START_TEST(range_is_zero_and_aligned_to_a_cache_line)
{
    const unsigned char *at = ph_meta_take(wishes[_i]);
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq((uintptr_t)at % 64, 0);
    unsigned not_zero = 0;
    for (size_t i = 0; i < wishes[_i]; i++)
        not_zero |= at[i];
    ck_assert_uint_eq(not_zero, 0);
}
END_TEST

START_TEST(ranges_lie_apart)
{
    enum { RANGES = 400, BYTES = 5001 };
    static unsigned char *range[RANGES];
    for (int i = 0; i < RANGES; i++) {
        range[i] = ph_meta_take(BYTES);
        ck_assert_ptr_nonnull(range[i]);
        ck_assert_uint_eq((uintptr_t)range[i] % 64, 0);
        memset(range[i], i, BYTES);
    }
    for (int i = 0; i < RANGES; i++)
        for (int j = 0; j < BYTES; j++)
            if (range[i][j] != (unsigned char)i) ck_abort_msg("range %d was overwritten", i);
}
END_TEST

START_TEST(range_larger_than_all_before_is_served)
{
    (void)ph_meta_take(64);
    char *at = ph_meta_take(3 << 20);
    ck_assert_ptr_nonnull(at);
    at[0] = at[(3 << 20) - 1] = 1;
}
END_TEST

static void take_until_nothing_is_left(void *nothing)
{
    (void)nothing;
    room_limit(2 << 20);
    int taken = 0;
    while (taken < 2000 && ph_meta_take(1 << 16) != NULL)
        taken++;
    CHILD_NEEDS(taken < 2000);
    CHILD_NEEDS(ph_meta_take(1 << 16) == NULL);
}

START_TEST(without_memory_a_range_is_null) { room_lives(take_until_nothing_is_left, NULL); }
END_TEST

/* ---- cells ---- */

static uint32_t cells[CELLS];

static void take_many(void)
{
    for (int i = 0; i < CELLS; i++)
        ck_assert_uint_ne(cells[i] = ph_pool_take(&pool), 0);
}

START_TEST(cells_are_distinct_and_never_0)
{
    take_many();
    for (uint32_t i = 0; i < CELLS; i++) {
        uint64_t *at = ph_cell_at(cells[i]);
        ck_assert_uint_eq((uintptr_t)at % 64, 0);
        for (unsigned word = 0; word < CELL_BYTES / 8; word++) {
            ck_assert_uint_eq(at[word], 0); /* nobody's yet */
            at[word] = cells[i];
        }
    }
    for (uint32_t i = 0; i < CELLS; i++)
        for (unsigned word = 0; word < CELL_BYTES / 8; word++)
            ck_assert_uint_eq(((uint64_t *)ph_cell_at(cells[i]))[word], cells[i]);
}
END_TEST

START_TEST(given_cells_are_taken_again_before_new_ones)
{
    take_many();
    for (int i = 7; i < CELLS; i += 13) {
        ph_pool_give(&pool, cells[i]);
        memset((char *)ph_cell_at(cells[i]) + 4, 0xee, 4);
    }
    for (int i = 7; i < CELLS; i += 13) {
        const unsigned char *at = ph_cell_at(ph_pool_take(&pool));
        ck_assert_uint_eq(at[4], 0xee);
    }
    const unsigned char *beyond = ph_cell_at(ph_pool_take(&pool));
    ck_assert_uint_eq(beyond[4], 0);
}
END_TEST

START_TEST(row_of_linked_cells_is_given_at_once)
{
    enum { ROW = 50 };
    bool back[ROW] = {false};
    take_many();
    for (int i = 0; i < ROW - 1; i++)
        *(uint32_t *)ph_cell_at(cells[i]) = cells[i + 1];
    ph_pool_give(&pool, cells[ROW]);
    ph_pool_give_row(&pool, cells[0], cells[ROW - 1]);
    for (int i = 0; i < ROW; i++) {
        const uint32_t cell = ph_pool_take(&pool);
        for (int j = 0; j < ROW; j++)
            if (cells[j] == cell) {
                ck_assert(!back[j]);
                back[j] = true;
            }
    }
    for (int i = 0; i < ROW; i++)
        ck_assert(back[i]);
    ck_assert_uint_eq(ph_pool_take(&pool), cells[ROW]);
}
END_TEST

START_TEST(cell_stays_where_it_is_while_the_pool_grows)
{
    const uint32_t first = ph_pool_take(&pool);
    uint64_t *at = ph_cell_at(first);
    *at = 12345;
    take_many();
    ck_assert_ptr_eq(ph_cell_at(first), at);
    ck_assert_uint_eq(*at, 12345);
}
END_TEST

static size_t cell_bytes(unsigned number) { return (size_t)ph_pool_number(number)->cells << CELL_BITS; }

START_TEST(pool_of_has_the_smallest_cells_that_are_large_enough)
{
    const size_t most = cell_bytes((unsigned)_i), least = _i > 0 ? cell_bytes((unsigned)_i - 1) + 1 : 1;
    struct pool *po = ph_pool_number((unsigned)_i);
    ck_assert_ptr_eq(ph_pool_of(least), po);
    ck_assert_ptr_eq(ph_pool_of(most), po);
    const uint32_t cell = ph_pool_take(po), next = ph_pool_take(po);
    memset(ph_cell_at(cell), 0x11, most);
    memset(ph_cell_at(next), 0x22, most);
    for (size_t i = 0; i < most; i++)
        ck_assert_uint_eq(((unsigned char *)ph_cell_at(cell))[i], 0x11);
    ph_pool_give(po, next);
    ph_pool_give(po, cell);
}
END_TEST

START_TEST(larger_cells_are_in_no_pool)
{
    ck_assert_ptr_null(ph_pool_of(4097));
    ck_assert_ptr_null(ph_pool_of(SIZE_MAX));
}
END_TEST

START_TEST(pools_share_one_table_and_no_memory)
{
    enum { APIECE = 700 };
    static uint32_t of[POOL_COUNT][APIECE];
    for (int i = 0; i < APIECE; i++)
        for (unsigned p = 0; p < POOL_COUNT; p++) {
            of[p][i] = ph_pool_take(ph_pool_number(p));
            ck_assert_uint_ne(of[p][i], 0);
            memset(ph_cell_at(of[p][i]), (int)(p * 20 + (unsigned)i % 20), cell_bytes(p));
        }
    for (int i = 0; i < APIECE; i++)
        for (unsigned p = 0; p < POOL_COUNT; p++) {
            const unsigned char *at = ph_cell_at(of[p][i]);
            for (size_t b = 0; b < cell_bytes(p); b++)
                if (at[b] != p * 20 + (unsigned)i % 20) ck_abort_msg("cell %d of pool %u was overwritten", i, p);
            ph_pool_give(ph_pool_number(p), of[p][i]);
        }
}
END_TEST

static void take_cells_until_nothing_is_left(void *nothing)
{
    (void)nothing;
    uint32_t last = ph_pool_take(&pool), cell;
    room_limit(2 << 20);
    for (int i = 0; i < 1000000 && (cell = ph_pool_take(&pool)) != 0; i++)
        last = cell;
    CHILD_NEEDS(cell == 0);
    CHILD_NEEDS(ph_pool_take(&pool) == 0);
    ph_pool_give(&pool, last);
    CHILD_NEEDS(ph_pool_take(&pool) == last);
    CHILD_NEEDS(ph_pool_take(&pool) == 0);
}

START_TEST(without_memory_there_is_no_cell_until_one_comes_back) { room_lives(take_cells_until_nothing_is_left, NULL); }
END_TEST

START_TEST(span_number_finds_its_span)
{
    struct span *made[50];
    for (int i = 0; i < 50; i++) {
        made[i] = ph_span_new();
        ck_assert_ptr_eq(ph_span_at(made[i]->self), made[i]);
        ck_assert_ptr_eq(ph_cell_at(made[i]->self), made[i]);
        ck_assert_uint_lt(made[i]->self, ph_span_limit());
    }
    for (int i = 0; i < 50; i++)
        ph_span_drop(made[i]);
}
END_TEST

START_TEST(span_made_again_is_blank)
{
    struct span *sp = ph_span_new();
    const uint32_t self = sp->self;
    memset(sp, 0xa5, sizeof *sp);
    sp->self = self;
    ph_span_drop(sp);
    sp = ph_span_new();
    const struct span blank = {.self = self};
    ck_assert_mem_eq(sp, &blank, sizeof blank);
    ph_span_drop(sp);
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, EACH = 2000 };

static uint32_t cells_of[THREADS][EACH];

static void *take_and_give(void *mine)
{
    uint32_t *cell = mine;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < EACH; i++) {
            cell[i] = ph_pool_take(&pool);
            if (cell[i] != 0) *(uint64_t *)ph_cell_at(cell[i]) = (uintptr_t)mine;
        }
        if (round < 2)
            for (int i = 0; i < EACH; i++)
                ph_pool_give(&pool, cell[i]);
    }
    return NULL;
}

START_TEST(threads_get_no_cell_twice)
{
    pthread_t thread[THREADS];
    for (int t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_create(&thread[t], NULL, take_and_give, cells_of[t]), 0);
    for (int t = 0; t < THREADS; t++)
        pthread_join(thread[t], NULL);
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < EACH; i++) {
            ck_assert_uint_ne(cells_of[t][i], 0);
            ck_assert_uint_eq(*(uint64_t *)ph_cell_at(cells_of[t][i]), (uintptr_t)cells_of[t]);
            *(uint64_t *)ph_cell_at(cells_of[t][i]) = 0;
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("meta");
    TCase *ranges = tcase_create("take");
    tcase_add_loop_test(ranges, range_is_zero_and_aligned_to_a_cache_line, 0, COUNT(wishes));
    tcase_add_test(ranges, ranges_lie_apart);
    tcase_add_test(ranges, range_larger_than_all_before_is_served);
    tcase_add_test(ranges, without_memory_a_range_is_null);
    suite_add_tcase(suite, ranges);
    TCase *all = tcase_create("pool");
    tcase_add_checked_fixture(all, setup_empty_pool, NULL);
    tcase_add_test(all, cells_are_distinct_and_never_0);
    tcase_add_test(all, given_cells_are_taken_again_before_new_ones);
    tcase_add_test(all, cell_stays_where_it_is_while_the_pool_grows);
    tcase_add_test(all, without_memory_there_is_no_cell_until_one_comes_back);
    tcase_add_test(all, row_of_linked_cells_is_given_at_once);
    tcase_add_loop_test(all, pool_of_has_the_smallest_cells_that_are_large_enough, 0, POOL_COUNT);
    tcase_add_test(all, larger_cells_are_in_no_pool);
    tcase_add_test(all, pools_share_one_table_and_no_memory);
    tcase_add_test(all, span_number_finds_its_span);
    tcase_add_test(all, span_made_again_is_blank);
    tcase_add_test(all, threads_get_no_cell_twice);
    suite_add_tcase(suite, all);
    return room_run(suite);
}
