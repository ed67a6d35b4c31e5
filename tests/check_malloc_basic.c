/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc_basic.c -- malloc, free and calloc. */
#include "check_malloc.h"

#include "preloaded.h"

#include <sys/resource.h>

START_TEST(every_size_to_5000_can_be_written_whole)
{
    enum { COUNT = 5000 };
    static unsigned char *block[COUNT];

    for (unsigned i = 0; i < COUNT; i++) {
        block[i] = malloc(i);
        must(block[i] != NULL);
        fill(block[i], i, i);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        must(is_filled(block[i], i, i));
        free(block[i]);
    }
}
END_TEST

START_TEST(blocks_are_aligned_to_16_at_every_size_to_70000)
{
    for (size_t bytes = 0; bytes <= 70000; bytes++) {
        void *one = malloc(bytes), *two = malloc(bytes);
        must(one != NULL && two != NULL && one != two);
        must(is_aligned(one, 16) && is_aligned(two, 16));
        free(one);
        free(two);
    }
}
END_TEST

START_TEST(calloc_and_realloc_align_to_16_too)
{
    void *grown = NULL;

    for (size_t bytes = 1; bytes <= 20000; bytes += 7) {
        void *zeroed = calloc(1, bytes);
        grown = realloc(grown, bytes);
        must(zeroed != NULL && is_aligned(zeroed, 16));
        must(grown != NULL && is_aligned(grown, 16));
        free(zeroed);
    }
    free(grown);
}
END_TEST

START_TEST(malloc_of_zero_gives_distinct_blocks)
{
    enum { COUNT = 1000 };
    void *block[COUNT];

    for (unsigned i = 0; i < COUNT; i++) {
        block[i] = malloc(hide(0));
        must(block[i] != NULL);
        for (unsigned k = 0; k < i; k++) must(block[i] != block[k]);
    }
    for (unsigned i = 0; i < COUNT; i++) free(block[i]);
}
END_TEST

START_TEST(malloc_beyond_ptrdiff_max_fails_with_enomem)
{
    const size_t sizes[] = { TOO_BIG, TOO_BIG + 1, TOO_BIG + 4096, SIZE_MAX - 4096, SIZE_MAX - 15, SIZE_MAX - 1, SIZE_MAX };

    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        errno = 0;
        must(refused(malloc(hide(sizes[i]))));
    }
}
END_TEST

START_TEST(malloc_of_more_than_the_address_space_fails_with_enomem)
{
    const size_t sizes[] = { PTRDIFF_MAX, PTRDIFF_MAX - 4096, (size_t)1 << 62, (size_t)1 << 48 };

    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        errno = 0;
        must(refused(malloc(hide(sizes[i]))));
    }
    void *after = malloc(100);
    ck_assert_ptr_nonnull(after);
    free(after);
}
END_TEST

/* No system call, nothing given back in the hope for room: 400,000 refusals in a second of the processor. */
static bool refuse_many(void)
{
    const struct rlimit second = { 1, 1 };
    const size_t sizes[] = { PTRDIFF_MAX - 8192, (size_t)1 << 62, (size_t)1 << 52, ((size_t)1 << 48) + 1 };
    void *block = malloc(100), *large = malloc(2 * MIB);

    if (setrlimit(RLIMIT_CPU, &second) != 0) return false;
    for (unsigned i = 0; i < 80000; i++) {
        const size_t bytes = hide(sizes[i % 4]);
        if (malloc(bytes) != NULL || calloc(1, bytes) != NULL || memalign(64, bytes) != NULL) return false;
        if (realloc(block, bytes) != NULL || realloc(large, bytes) != NULL) return false;
        if (memalign(hide((size_t)1 << 52), 100) != NULL) return false;
    }
    free(block);
    free(large);
    return true;
}

START_TEST(what_no_address_space_holds_is_refused_at_once)
{
    ck_assert(!preloaded() || true_in_child(refuse_many, 20));
}
END_TEST

START_TEST(success_leaves_errno_alone)
{
    for (unsigned i = 0; i < size_kind_count; i++) {
        errno = ERRNO_MARK;
        void *block = malloc(hide(size_kinds[i]));
        void *zeroed = calloc(hide(1), size_kinds[i]);
        must(errno == ERRNO_MARK);
        must(block != NULL && zeroed != NULL);
        free(block);
        free(zeroed);
        must(errno == ERRNO_MARK);
    }
}
END_TEST

START_TEST(free_leaves_errno_alone_when_memory_goes_back)
{
    enum { COUNT = 64 };
    void *block[COUNT];

    for (unsigned i = 0; i < COUNT; i++) {
        block[i] = malloc(MIB);
        must(block[i] != NULL);
        memset(block[i], 1, MIB);
    }
    errno = ERRNO_MARK;
    for (unsigned i = 0; i < COUNT; i++) free(block[i]);
    malloc_trim(0);
    int after = errno;
    ck_assert_int_eq(after, ERRNO_MARK);
}
END_TEST

START_TEST(free_of_null_does_nothing)
{
    errno = ERRNO_MARK;
    free(hide_block(NULL));
    int after = errno;
    ck_assert_int_eq(after, ERRNO_MARK);
}
END_TEST

static int by_address(const void *left, const void *right)
{
    uintptr_t one = *(const uintptr_t *)left, two = *(const uintptr_t *)right;

    return (one > two) - (one < two);
}

START_TEST(live_blocks_never_overlap)
{
    enum { COUNT = 4000 };
    static uintptr_t start[COUNT];
    uint64_t random = 1;

    for (unsigned i = 0; i < COUNT; i++) {
        size_t limit = (size_t)1 << (4 + next_random(&random) % 16);
        start[i] = (uintptr_t)malloc(next_random(&random) % limit);
        must(start[i] != 0);
    }
    qsort(start, COUNT, sizeof *start, by_address);
    for (unsigned i = 1; i < COUNT; i++) must(start[i - 1] + malloc_usable_size((void *)start[i - 1]) <= start[i]);
    for (unsigned i = 0; i < COUNT; i++) free((void *)start[i]);
}
END_TEST

START_TEST(blocks_beyond_4_gib_can_be_had)
{
    size_t bytes = ((size_t)4 << 30) + 12345;
    unsigned char *block = malloc(hide(bytes));

    if (block == NULL) return; /* a small machine may refuse: then nothing was promised */
    block[0] = 1;
    block[bytes - 1] = 2;
    ck_assert_uint_ge(malloc_usable_size(block), bytes);
    ck_assert_int_eq(block[0] + block[bytes - 1], 3);
    free(block);
}
END_TEST

/* Take 64 KiB blocks until none is left, give them back, take as many again. */
static bool exhaust_and_recover(void)
{
    static void *block[8192];
    unsigned count = 0, again = 0;
    struct rlimit limit = { 300 * MIB, 300 * MIB };

    if (setrlimit(RLIMIT_AS, &limit) != 0) return false;
    errno = 0;
    while (count < 8192 && (block[count] = malloc(64 * KIB)) != NULL) count++;
    if (count == 0 || count == 8192 || errno != ENOMEM) return false;
    for (unsigned i = 0; i < count; i++) free(block[i]);
    while (again < count && (block[again] = malloc(64 * KIB)) != NULL) again++;
    for (unsigned i = 0; i < again; i++) free(block[i]);
    void *small = malloc(10);
    free(small);
    return small != NULL && again >= count - count / 50;
}

START_TEST(memory_out_gives_null_with_enomem_and_comes_back)
{
    if (is_emulated()) return; /* there a limit is none */
    ck_assert(true_in_child(exhaust_and_recover, 20));
}
END_TEST

/* What was freed as small blocks can be had as one big one, and the other way round. */
static bool exhaust_in_another_size(void)
{
    static void *block[400000];
    unsigned count = 0;
    struct rlimit limit = { 300 * MIB, 300 * MIB };

    if (setrlimit(RLIMIT_AS, &limit) != 0) return false;
    while (count < 400000 && (block[count] = malloc(1000)) != NULL) count++;
    for (unsigned i = 0; i < count; i++) free(block[i]);
    void *big = malloc(120 * MIB);
    free(big);
    void *small = malloc(1000);
    free(small);
    return count > 100000 && count < 400000 && big != NULL && small != NULL;
}

START_TEST(memory_freed_in_small_blocks_serves_a_big_one)
{
    if (is_emulated()) return; /* there a limit is none */
    ck_assert(true_in_child(exhaust_in_another_size, 20));
}
END_TEST

TCase *tcase_malloc(void)
{
    TCase *tc = tcase_create("malloc and free");

    tcase_set_timeout(tc, 40);
    tcase_add_test(tc, every_size_to_5000_can_be_written_whole);
    tcase_add_test(tc, blocks_are_aligned_to_16_at_every_size_to_70000);
    tcase_add_test(tc, calloc_and_realloc_align_to_16_too);
    tcase_add_test(tc, malloc_of_zero_gives_distinct_blocks);
    tcase_add_test(tc, malloc_beyond_ptrdiff_max_fails_with_enomem);
    tcase_add_test(tc, malloc_of_more_than_the_address_space_fails_with_enomem);
    tcase_add_test(tc, what_no_address_space_holds_is_refused_at_once);
    tcase_add_test(tc, success_leaves_errno_alone);
    tcase_add_test(tc, free_leaves_errno_alone_when_memory_goes_back);
    tcase_add_test(tc, free_of_null_does_nothing);
    tcase_add_test(tc, live_blocks_never_overlap);
    tcase_add_test(tc, blocks_beyond_4_gib_can_be_had);
    tcase_add_test(tc, memory_out_gives_null_with_enomem_and_comes_back);
    tcase_add_test(tc, memory_freed_in_small_blocks_serves_a_big_one);
    return tc;
}

START_TEST(calloc_zeroes_fresh_memory_of_every_kind)
{
    for (unsigned i = 0; i < size_kind_count; i++) {
        void *block = calloc(1, hide(size_kinds[i]));
        must(block != NULL && is_zero(block, size_kinds[i]));
        free(block);
    }
}
END_TEST

START_TEST(calloc_zeroes_memory_that_was_dirty)
{
    enum { COUNT = 8 };
    void *block[COUNT];

    for (unsigned i = 0; i < size_kind_count && size_kinds[i] <= 4 * MIB; i++) {
        for (unsigned k = 0; k < COUNT; k++) {
            block[k] = malloc(hide(size_kinds[i]));
            must(block[k] != NULL);
            memset(block[k], 0xa5, malloc_usable_size(block[k]));
        }
        for (unsigned k = 0; k < COUNT; k++) free(block[k]);
        for (unsigned k = 0; k < COUNT; k++) {
            block[k] = calloc(hide(1), size_kinds[i]);
            must(block[k] != NULL && is_zero(block[k], size_kinds[i]));
            memset(block[k], 0x5a, size_kinds[i]);
        }
        for (unsigned k = 0; k < COUNT; k++) free(block[k]);
    }
}
END_TEST

START_TEST(calloc_zeroes_after_dirty_blocks_of_other_sizes)
{
    uint64_t random = 3;

    for (unsigned round = 0; round < 300; round++) {
        size_t dirty = 1 + next_random(&random) % (256 * KIB), bytes = 1 + next_random(&random) % (300 * KIB);
        void *before = malloc(dirty);
        must(before != NULL);
        memset(before, 0xff, dirty);
        free(before);
        void *block = calloc(1, bytes);
        must(block != NULL && is_zero(block, bytes));
        memset(block, 0xee, bytes);
        free(block);
    }
}
END_TEST

START_TEST(calloc_refuses_a_product_that_overflows)
{
    const size_t half = (size_t)1 << 32;
    const size_t pairs[][2] = {
        { SIZE_MAX, SIZE_MAX }, { SIZE_MAX, 2 }, { 2, SIZE_MAX }, { half, half },
        { half + 1, half }, { SIZE_MAX / 2 + 2, 2 }, { 3, SIZE_MAX / 3 + 1 }, { half << 16, half },
    };

    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        errno = 0;
        must(refused(calloc(hide(pairs[i][0]), hide(pairs[i][1]))));
    }
}
END_TEST

START_TEST(calloc_beyond_ptrdiff_max_fails_with_enomem)
{
    errno = 0;
    must(refused(calloc(hide(TOO_BIG), 1)));
    errno = 0;
    must(refused(calloc(hide(TOO_BIG / 8), 8)));
    errno = 0;
    must(refused(calloc(1, hide(SIZE_MAX - 8))));
}
END_TEST

START_TEST(calloc_of_nothing_gives_distinct_blocks)
{
    void *one = calloc(hide(0), 10), *two = calloc(10, hide(0)), *three = calloc(hide(0), hide(SIZE_MAX));

    ck_assert(one != NULL && two != NULL && three != NULL);
    ck_assert(one != two && two != three && one != three);
    free(one);
    free(two);
    free(three);
}
END_TEST

TCase *tcase_calloc(void)
{
    TCase *tc = tcase_create("calloc");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, calloc_zeroes_fresh_memory_of_every_kind);
    tcase_add_test(tc, calloc_zeroes_memory_that_was_dirty);
    tcase_add_test(tc, calloc_zeroes_after_dirty_blocks_of_other_sizes);
    tcase_add_test(tc, calloc_refuses_a_product_that_overflows);
    tcase_add_test(tc, calloc_beyond_ptrdiff_max_fails_with_enomem);
    tcase_add_test(tc, calloc_of_nothing_gives_distinct_blocks);
    return tc;
}
