/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc_realloc.c -- realloc and reallocarray. */
#include "check_malloc.h"

#include "preloaded.h"

#include <pthread.h>

START_TEST(realloc_of_null_is_malloc)
{
    void *block = realloc(hide_block(NULL), 100), *empty = realloc(hide_block(NULL), hide(0));

    ck_assert(block != NULL && empty != NULL);
    ck_assert_uint_ge(malloc_usable_size(block), 100);
    free(block);
    free(empty);
}
END_TEST

START_TEST(realloc_to_zero_gives_null_and_leaves_errno_alone)
{
    for (unsigned i = 0; i < size_kind_count; i++) {
        void *block = malloc(size_kinds[i]);
        must(block != NULL);
        errno = ERRNO_MARK;
        must(realloc(block, hide(0)) == NULL);
        must(errno == ERRNO_MARK);
    }
}
END_TEST

/* 800 MB pass through, in several sizes: a block that stayed would show. */
START_TEST(realloc_to_zero_frees)
{
    const size_t sizes[] = { 1000, 20000, 300000, 2 * MIB };
    long before = resident_kib();

    for (unsigned i = 0; i < 4; i++) {
        for (size_t passed = 0; passed < 200 * MIB; passed += sizes[i]) {
            char *block = malloc(sizes[i]);
            must(block != NULL);
            for (size_t at = 0; at < sizes[i]; at += 4096) block[at] = 1;
            must(realloc(block, hide(0)) == NULL);
        }
    }
    ck_assert_int_lt(resident_kib() - before, 40 * 1024);
}
END_TEST

static void keep_contents(size_t from, size_t to, uint64_t seed)
{
    size_t kept = from < to ? from : to;
    void *block = malloc(hide(from));

    must(block != NULL);
    fill(block, from, seed);
    errno = ERRNO_MARK;
    void *moved = realloc(block, hide(to));
    must(moved != NULL && errno == ERRNO_MARK);
    must(malloc_usable_size(moved) >= to);
    must(is_filled(moved, kept, seed));
    memset(moved, 0x77, to);
    free(moved);
}

START_TEST(contents_are_kept_from_every_kind_of_size_to_every_other)
{
    for (unsigned from = 0; from < size_kind_count; from++) keep_contents(size_kinds[from], size_kinds[_i], from);
}
END_TEST

START_TEST(the_last_bytes_are_kept_too)
{
    for (size_t bytes = 1; bytes < 3000; bytes++) {
        unsigned char *block = malloc(bytes);
        must(block != NULL);
        memset(block, (int)(bytes & 0xff), bytes);
        block = realloc(block, hide(bytes + bytes / 3 + 1));
        must(block != NULL && block[bytes - 1] == (bytes & 0xff));
        must(memcmp(block, block + 1, bytes - 1) == 0);
        free(block);
    }
}
END_TEST

START_TEST(a_block_grown_to_8_mib_and_shrunk_again_keeps_its_contents)
{
    size_t bytes = 16;
    unsigned char *block = malloc(bytes);

    fill(block, bytes, 5);
    while (bytes < 8 * MIB) {
        size_t next = bytes + bytes / 4 + 23;
        block = realloc(block, next);
        must(block != NULL && is_filled(block, bytes, 5));
        fill(block, bytes = next, 5);
    }
    while (bytes > 16) {
        bytes = bytes * 2 / 3;
        block = realloc(block, hide(bytes));
        must(block != NULL && is_filled(block, bytes, 5));
    }
    free(block);
}
END_TEST

START_TEST(neighbours_survive_while_a_block_grows)
{
    enum { COUNT = 64 };
    void *block[COUNT];

    for (size_t bytes = 64; bytes < 200000; bytes = bytes * 3 / 2 + 1) {
        for (unsigned i = 0; i < COUNT; i++) fill(block[i] = malloc(bytes), bytes, i);
        for (unsigned i = 0; i < COUNT; i += 2) {
            block[i] = realloc(block[i], bytes * 2);
            must(block[i] != NULL && is_filled(block[i], bytes, i));
            fill(block[i], bytes * 2, i);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            must(is_filled(block[i], i % 2 == 0 ? bytes * 2 : bytes, i));
            free(block[i]);
        }
    }
}
END_TEST

/* glibc keeps this promise only for blocks that have no mapping of their own. */
START_TEST(realloc_to_the_usable_size_never_moves)
{
    size_t limit = preloaded() ? SIZE_MAX : 64 * KIB;

    for (unsigned i = 0; i < size_kind_count && size_kinds[i] <= limit; i++) {
        void *block = malloc(size_kinds[i]), *neighbour = malloc(size_kinds[i]);
        size_t usable = malloc_usable_size(block);
        void *same = realloc(block, hide(usable));
        must(same == block && malloc_usable_size(same) >= usable);
        free(same);
        free(neighbour);
    }
}
END_TEST

START_TEST(realloc_to_the_same_size_never_moves)
{
    for (unsigned i = 0; i < size_kind_count; i++) {
        void *block = malloc(size_kinds[i]), *neighbour = malloc(size_kinds[i]);
        void *same = realloc(block, hide(size_kinds[i]));
        must(same == block);
        free(same);
        free(neighbour);
    }
}
END_TEST

/* How many of 64 blocks stay where they are.  A guarded one moves, but few are. */
static unsigned stayed(size_t bytes, size_t to)
{
    enum { COUNT = 64 };
    unsigned count = 0;

    for (unsigned i = 0; i < COUNT; i++) {
        void *block = malloc(hide(bytes));
        must(block != NULL);
        fill(block, bytes, i);
        errno = ERRNO_MARK;
        void *now = realloc(block, hide(to));
        must(now != NULL && errno == ERRNO_MARK && malloc_usable_size(now) >= to);
        must(is_filled(now, bytes < to ? bytes : to, i));
        count += now == block;
        free(now);
    }
    return count;
}

START_TEST(a_block_stays_while_more_than_half_of_it_is_used)
{
    const char *mode = getenv("PRIVHEAP_MODE");
    if (!preloaded() || (mode != NULL && strcmp(mode, "default") != 0)) return; /* there it stays within its class only */
    for (size_t bytes = 64; bytes <= 16384; bytes *= 2) {
        ck_assert_uint_gt(stayed(bytes, bytes / 2 + 1), 32);
        ck_assert_uint_gt(stayed(bytes - 15, bytes), 32);
        ck_assert_uint_eq(stayed(bytes, bytes / 2), 0);
        ck_assert_uint_eq(stayed(bytes, bytes + 1), 0);
    }
    ck_assert_uint_gt(stayed(32, 1), 32);
}
END_TEST

static void *resize_it(void *block)
{
    fill(block = realloc(block, hide(200)), 200, 3);
    return realloc(block, hide(3000));
}

START_TEST(another_thread_resizes_a_block)
{
    for (unsigned i = 0; i < 100; i++) {
        pthread_t thread;
        void *block = malloc(150);
        must(block != NULL && pthread_create(&thread, NULL, resize_it, block) == 0);
        must(pthread_join(thread, &block) == 0 && block != NULL && is_filled(block, 200, 3));
        free(block);
    }
}
END_TEST

START_TEST(a_realloc_that_fails_keeps_the_block)
{
    const size_t sizes[] = { TOO_BIG, SIZE_MAX, SIZE_MAX - 15, PTRDIFF_MAX, (size_t)1 << 60 };

    for (unsigned i = 0; i < size_kind_count; i++) {
        void *block = malloc(size_kinds[i]);
        fill(block, size_kinds[i], i);
        for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            errno = 0;
            must(refused(realloc(block, hide(sizes[k]))));
        }
        must(is_filled(block, size_kinds[i], i));
        free(block);
    }
}
END_TEST

START_TEST(an_aligned_block_can_be_reallocated)
{
    for (size_t alignment = 32; alignment <= MIB; alignment *= 4) {
        void *block = memalign(alignment, 1000);
        must(block != NULL);
        fill(block, 1000, alignment);
        block = realloc(block, hide(50000));
        must(block != NULL && is_filled(block, 1000, alignment));
        block = realloc(block, hide(600));
        must(block != NULL && is_filled(block, 600, alignment));
        free(block);
    }
}
END_TEST

START_TEST(shrinking_a_big_block_gives_memory_back)
{
    enum { COUNT = 20 };
    void *block[COUNT];
    long before = resident_kib();

    for (unsigned i = 0; i < COUNT; i++) {
        block[i] = malloc(8 * MIB);
        must(block[i] != NULL);
        memset(block[i], 1, 8 * MIB);
        block[i] = realloc(block[i], hide(100));
        must(block[i] != NULL);
    }
    ck_assert_int_lt(resident_kib() - before, 60 * 1024);
    for (unsigned i = 0; i < COUNT; i++) free(block[i]);
}
END_TEST

START_TEST(reallocarray_multiplies)
{
    char *block = reallocarray(hide_block(NULL), 10, 100);

    ck_assert_ptr_nonnull(block);
    fill(block, 1000, 9);
    block = reallocarray(block, 1000, 100);
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_ge(malloc_usable_size(block), 100000);
    ck_assert(is_filled(block, 1000, 9));
    free(block);
}
END_TEST

START_TEST(reallocarray_that_overflows_keeps_the_block)
{
    const size_t half = (size_t)1 << 32;
    const size_t pairs[][2] = { { SIZE_MAX, 2 }, { 2, SIZE_MAX }, { half, half }, { half + 3, half }, { SIZE_MAX / 2, 2 }, { TOO_BIG, 1 } };
    void *block = malloc(100);

    fill(block, 100, 1);
    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        errno = 0;
        must(refused(reallocarray(block, hide(pairs[i][0]), hide(pairs[i][1]))));
        errno = 0;
        must(refused(reallocarray(hide_block(NULL), hide(pairs[i][0]), hide(pairs[i][1]))));
    }
    ck_assert(is_filled(block, 100, 1));
    free(block);
}
END_TEST

START_TEST(reallocarray_of_nothing_frees)
{
    ck_assert_ptr_null(reallocarray(malloc(100), hide(0), 10));
    ck_assert_ptr_null(reallocarray(malloc(100), 10, hide(0)));
}
END_TEST

TCase *tcase_realloc(void)
{
    TCase *tc = tcase_create("realloc");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, realloc_of_null_is_malloc);
    tcase_add_test(tc, realloc_to_zero_gives_null_and_leaves_errno_alone);
    tcase_add_test(tc, realloc_to_zero_frees);
    tcase_add_loop_test(tc, contents_are_kept_from_every_kind_of_size_to_every_other, 0, (int)size_kind_count);
    tcase_add_test(tc, the_last_bytes_are_kept_too);
    tcase_add_test(tc, a_block_grown_to_8_mib_and_shrunk_again_keeps_its_contents);
    tcase_add_test(tc, neighbours_survive_while_a_block_grows);
    tcase_add_test(tc, realloc_to_the_usable_size_never_moves);
    tcase_add_test(tc, realloc_to_the_same_size_never_moves);
    tcase_add_test(tc, a_block_stays_while_more_than_half_of_it_is_used);
    tcase_add_test(tc, another_thread_resizes_a_block);
    tcase_add_test(tc, a_realloc_that_fails_keeps_the_block);
    tcase_add_test(tc, an_aligned_block_can_be_reallocated);
    tcase_add_test(tc, shrinking_a_big_block_gives_memory_back);
    tcase_add_test(tc, reallocarray_multiplies);
    tcase_add_test(tc, reallocarray_that_overflows_keeps_the_block);
    tcase_add_test(tc, reallocarray_of_nothing_frees);
    return tc;
}
