/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc_aligned.c -- memalign, aligned_alloc, posix_memalign, valloc, pvalloc. */
#include "check_malloc.h"

#include "preloaded.h"

#define UNTOUCHED ((void *)0x5a5a)

static const size_t lengths[] = { 0, 1, 7, 16, 100, 1000, 4096, 5000, 20000, 70000, 300000, 1500000 };
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static void *by_posix_memalign(size_t alignment, size_t bytes)
{
    void *block = UNTOUCHED;
    int status = posix_memalign(&block, alignment, bytes);

    must(status == 0 && block != UNTOUCHED);
    return block;
}

/* Three blocks of each length at once, so that alignment is not the luck of the first. */
static void take_at_each_alignment(void *(*take)(size_t, size_t), size_t least)
{
    for (size_t alignment = least; alignment <= 4 * MIB; alignment *= 2) {
        for (unsigned i = 0; i < LENGTHS; i++) {
            void *block[3];
            for (unsigned k = 0; k < 3; k++) {
                errno = ERRNO_MARK;
                block[k] = take(hide(alignment), hide(lengths[i]));
                must(errno == ERRNO_MARK);
                must(block[k] != NULL && is_aligned(block[k], alignment) && is_aligned(block[k], 16));
                must(malloc_usable_size(block[k]) >= lengths[i]);
                fill(block[k], lengths[i], alignment + k);
            }
            for (unsigned k = 0; k < 3; k++) {
                must(is_filled(block[k], lengths[i], alignment + k));
                free(block[k]);
            }
        }
    }
}

START_TEST(memalign_aligns_to_every_power_of_two_to_4_mib)
{
    take_at_each_alignment(memalign, 1);
}
END_TEST

START_TEST(aligned_alloc_aligns_to_every_power_of_two_to_4_mib)
{
    take_at_each_alignment(aligned_alloc, 1);
}
END_TEST

START_TEST(posix_memalign_aligns_to_every_power_of_two_to_4_mib)
{
    take_at_each_alignment(by_posix_memalign, sizeof(void *));
}
END_TEST

START_TEST(an_alignment_of_1_gib_is_served)
{
    void *block = memalign(hide((size_t)1 << 30), 100);

    ck_assert(block != NULL && is_aligned(block, (size_t)1 << 30));
    fill(block, 100, 1);
    free(block);
}
END_TEST

START_TEST(aligned_blocks_of_all_kinds_live_side_by_side)
{
    enum { COUNT = 600 };
    static void *block[COUNT];
    static size_t bytes[COUNT];
    uint64_t random = 17;

    for (unsigned i = 0; i < COUNT; i++) {
        size_t alignment = (size_t)1 << (4 + next_random(&random) % 12);
        bytes[i] = next_random(&random) % 9000;
        block[i] = memalign(alignment, bytes[i]);
        must(block[i] != NULL && is_aligned(block[i], alignment));
        fill(block[i], bytes[i], i);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        must(is_filled(block[i], bytes[i], i));
        free(block[i]);
    }
}
END_TEST

START_TEST(memalign_rounds_an_odd_alignment_up_to_a_power_of_two)
{
    const size_t pairs[][2] = { { 0, 1 }, { 3, 4 }, { 17, 32 }, { 24, 32 }, { 48, 64 }, { 100, 128 }, { 5000, 8192 } };

    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        void *block = memalign(hide(pairs[i][0]), 100);
        must(block != NULL && is_aligned(block, pairs[i][1]));
        free(block);
    }
}
END_TEST

/* glibc's does so since 2.38; before, it was memalign. */
START_TEST(aligned_alloc_of_an_odd_alignment_gives_einval)
{
    const size_t alignments[] = { 0, 3, 9, 17, 24, 48, 65, 100, 5000, 4097, SIZE_MAX / 2 };

    if (!preloaded()) return;
    for (unsigned i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        errno = 0;
        must(aligned_alloc(hide(alignments[i]), 128) == NULL && errno == EINVAL);
    }
}
END_TEST

START_TEST(an_alignment_beyond_half_the_address_space_gives_einval)
{
    const size_t alignments[] = { SIZE_MAX / 2 + 2, SIZE_MAX - 1, SIZE_MAX };

    for (unsigned i = 0; i < 3; i++) {
        errno = 0;
        must(memalign(hide(alignments[i]), 100) == NULL && errno == EINVAL);
        errno = 0;
        must(aligned_alloc(hide(alignments[i]), 100) == NULL && errno == EINVAL);
    }
}
END_TEST

START_TEST(memalign_and_aligned_alloc_out_of_reach_fail_with_enomem)
{
    const size_t sizes[] = { TOO_BIG, SIZE_MAX, SIZE_MAX - 64, SIZE_MAX - 8192, PTRDIFF_MAX, (size_t)1 << 60 };

    for (size_t alignment = 8; alignment <= MIB; alignment *= 8) {
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            errno = 0;
            must(refused(memalign(hide(alignment), hide(sizes[i]))));
            errno = 0;
            must(refused(aligned_alloc(hide(alignment), hide(sizes[i]))));
        }
    }
    errno = 0;
    must(refused(memalign(hide((size_t)1 << 62), 100)));
    errno = 0;
    must(refused(aligned_alloc(hide((size_t)1 << 63), 100)));
}
END_TEST

START_TEST(posix_memalign_of_a_wrong_alignment_gives_einval_and_touches_nothing)
{
    const size_t alignments[] = { 0, 1, 2, 4, 3, 12, 24, 40, 100, 4097, SIZE_MAX, SIZE_MAX / 2 };

    for (unsigned i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        void *block = UNTOUCHED;
        errno = ERRNO_MARK;
        int status = posix_memalign(&block, hide(alignments[i]), 100);
        must(errno == ERRNO_MARK);
        must(status == EINVAL && block == UNTOUCHED);
    }
}
END_TEST

/* Programs look at errno too: glibc sets it. */
START_TEST(posix_memalign_out_of_reach_gives_enomem_and_leaves_the_pointer)
{
    const size_t sizes[] = { TOO_BIG, SIZE_MAX, SIZE_MAX - 64, PTRDIFF_MAX };

    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *block = UNTOUCHED;
        errno = 0;
        int status = posix_memalign(&block, hide(64), hide(sizes[i]));
        must(status == ENOMEM && errno == ENOMEM && block == UNTOUCHED);
    }
}
END_TEST

START_TEST(valloc_and_pvalloc_align_to_the_page)
{
    size_t page = os_page_bytes();

    for (unsigned i = 0; i < LENGTHS; i++) {
        void *one = valloc(hide(lengths[i])), *two = pvalloc(hide(lengths[i]));
        must(one != NULL && is_aligned(one, page) && malloc_usable_size(one) >= lengths[i]);
        must(two != NULL && is_aligned(two, page) && one != two);
        fill(one, lengths[i], 1);
        fill(two, lengths[i], 2);
        must(is_filled(one, lengths[i], 1));
        free(one);
        free(two);
    }
}
END_TEST

START_TEST(pvalloc_gives_whole_pages)
{
    size_t page = os_page_bytes();

    for (size_t bytes = 1; bytes < 5 * page; bytes += 1000) {
        size_t whole = (bytes + page - 1) / page * page;
        void *block = pvalloc(hide(bytes)), *neighbour = pvalloc(hide(bytes));
        must(block != NULL && neighbour != NULL && malloc_usable_size(block) >= whole);
        fill(neighbour, whole, 2);
        fill(block, whole, 1);
        must(is_filled(neighbour, whole, 2));
        free(block);
        free(neighbour);
    }
}
END_TEST

START_TEST(valloc_and_pvalloc_out_of_reach_fail_with_enomem)
{
    const size_t sizes[] = { TOO_BIG, SIZE_MAX, SIZE_MAX - 100, SIZE_MAX - 4096, PTRDIFF_MAX };

    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        errno = 0;
        must(refused(valloc(hide(sizes[i]))));
        errno = 0;
        must(refused(pvalloc(hide(sizes[i]))));
    }
}
END_TEST

TCase *tcase_aligned(void)
{
    TCase *tc = tcase_create("aligned");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, memalign_aligns_to_every_power_of_two_to_4_mib);
    tcase_add_test(tc, aligned_alloc_aligns_to_every_power_of_two_to_4_mib);
    tcase_add_test(tc, posix_memalign_aligns_to_every_power_of_two_to_4_mib);
    tcase_add_test(tc, an_alignment_of_1_gib_is_served);
    tcase_add_test(tc, aligned_blocks_of_all_kinds_live_side_by_side);
    tcase_add_test(tc, memalign_rounds_an_odd_alignment_up_to_a_power_of_two);
    tcase_add_test(tc, aligned_alloc_of_an_odd_alignment_gives_einval);
    tcase_add_test(tc, an_alignment_beyond_half_the_address_space_gives_einval);
    tcase_add_test(tc, memalign_and_aligned_alloc_out_of_reach_fail_with_enomem);
    tcase_add_test(tc, posix_memalign_of_a_wrong_alignment_gives_einval_and_touches_nothing);
    tcase_add_test(tc, posix_memalign_out_of_reach_gives_enomem_and_leaves_the_pointer);
    tcase_add_test(tc, valloc_and_pvalloc_align_to_the_page);
    tcase_add_test(tc, pvalloc_gives_whole_pages);
    tcase_add_test(tc, valloc_and_pvalloc_out_of_reach_fail_with_enomem);
    return tc;
}
