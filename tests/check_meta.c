/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_meta.c -- memory for descriptors: zeroed, aligned, apart; cells found by number and used again. */
#include "check_room.h"

#include <pthread.h>

enum { CELLS = 5000, CELL_BITS = 7, CHUNKS = 2 };

static char *chunks[CHUNKS];
static struct pool pool; /* of this suite */

static void setup_empty_pool(void)
{
    memset(chunks, 0, sizeof chunks);
    pool = (struct pool){.cell_bits = CELL_BITS, .chunk = chunks, .chunk_room = CHUNKS};
}

static uint64_t *cell_at(uint32_t cell) { return ph_pool_at(&pool, cell); }

/* ---- ranges ---- */

static const size_t wishes[] = {1, 63, 64, 65, 1000, 4096, 100000, 65536, 200000};

START_TEST(range_is_zero_and_aligned_to_a_cache_line)
{
    const unsigned char *at = ph_meta_take(wishes[_i]);
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq((uintptr_t)at % 64, 0);
    for (size_t i = 0; i < wishes[_i]; i++)
        ck_assert_uint_eq(at[i], 0);
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

START_TEST(cells_are_distinct_and_never_0)
{
    for (uint32_t i = 0; i < CELLS; i++) {
        const uint32_t cell = ph_pool_take(&pool);
        ck_assert_uint_ne(cell, 0);
        ck_assert_uint_eq((uintptr_t)cell_at(cell) % 64, 0);
        for (unsigned word = 0; word < (1 << CELL_BITS) / 8; word++) {
            ck_assert_uint_eq(cell_at(cell)[word], 0); /* nobody's yet */
            cell_at(cell)[word] = cell;
        }
    }
    for (uint32_t cell = 1; cell <= CELLS; cell++)
        ck_assert_uint_eq(*cell_at(cell), cell);
}
END_TEST

START_TEST(given_cells_are_taken_again_before_new_ones)
{
    static bool given[CELLS + 1];
    uint32_t highest = 0;
    for (int i = 0; i < CELLS; i++)
        highest = ph_pool_take(&pool);
    ck_assert_uint_eq(highest, CELLS);
    for (uint32_t cell = 7; cell <= CELLS; cell += 13) {
        ph_pool_give(&pool, cell);
        given[cell] = true;
    }
    for (uint32_t cell = 7; cell <= CELLS; cell += 13) {
        const uint32_t again = ph_pool_take(&pool);
        ck_assert_uint_le(again, CELLS);
        ck_assert(given[again]);
        given[again] = false;
    }
    ck_assert_uint_eq(ph_pool_take(&pool), CELLS + 1);
}
END_TEST

START_TEST(pool_grows_out_of_its_first_table_which_stays)
{
    for (int i = 0; i < CELLS; i++)
        (void)ph_pool_take(&pool);
    ck_assert_ptr_ne(pool.chunk, chunks);
    for (int i = 0; i < CHUNKS; i++)
        ck_assert_ptr_eq(pool.chunk[i], chunks[i]);
}
END_TEST

START_TEST(cell_stays_where_it_is_while_the_pool_grows)
{
    const uint32_t first = ph_pool_take(&pool);
    uint64_t *at = cell_at(first);
    *at = 12345;
    for (int i = 0; i < CELLS; i++)
        (void)ph_pool_take(&pool);
    ck_assert_ptr_eq(cell_at(first), at);
    ck_assert_uint_eq(*at, 12345);
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
        ck_assert_ptr_eq(ph_pool_at(&ph_pool_spans, made[i]->self), made[i]);
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
            if (cell[i] != 0) *cell_at(cell[i]) = (uintptr_t)mine;
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
            ck_assert_uint_eq(*cell_at(cells_of[t][i]), (uintptr_t)cells_of[t]);
            *cell_at(cells_of[t][i]) = 0;
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
    TCase *cells = tcase_create("pool");
    tcase_add_checked_fixture(cells, setup_empty_pool, NULL);
    tcase_add_test(cells, cells_are_distinct_and_never_0);
    tcase_add_test(cells, given_cells_are_taken_again_before_new_ones);
    tcase_add_test(cells, cell_stays_where_it_is_while_the_pool_grows);
    tcase_add_test(cells, without_memory_there_is_no_cell_until_one_comes_back);
    tcase_add_test(cells, pool_grows_out_of_its_first_table_which_stays);
    tcase_add_test(cells, span_number_finds_its_span);
    tcase_add_test(cells, span_made_again_is_blank);
    tcase_add_test(cells, threads_get_no_cell_twice);
    suite_add_tcase(suite, cells);
    return room_run(suite);
}
