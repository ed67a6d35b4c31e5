/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc_usable.c -- malloc_usable_size: what it says may be written, all of it. */
#include "check_malloc.h"

#include "preloaded.h"

START_TEST(the_usable_size_of_null_is_0)
{
    ck_assert_uint_eq(malloc_usable_size(hide_block(NULL)), 0);
}
END_TEST

static void *posix_memalign_of_nothing(void)
{
    void *block = NULL;

    must(posix_memalign(&block, hide(64), hide(0)) == 0);
    return block;
}

/* In glibc it is 24, or what the alignment left; programs divide by it. */
START_TEST(the_usable_size_of_nothing_is_not_0)
{
    enum { ROUNDS = 200, FORMS = 7 };
    static unsigned char *block[ROUNDS][FORMS];

    for (unsigned i = 0; i < ROUNDS; i++) {
        void *all[FORMS] = { malloc(hide(0)), calloc(hide(0), 8), realloc(hide_block(NULL), hide(0)), memalign(hide(16), hide(0)),
                             memalign(hide(4096), hide(0)), aligned_alloc(hide(8), hide(0)), posix_memalign_of_nothing() };
        memcpy(block[i], all, sizeof all);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned k = 0; k < FORMS; k++) {
            must(block[i][k] != NULL && malloc_usable_size(block[i][k]) > 0);
            memset(block[i][k], 1, malloc_usable_size(block[i][k]));
            free(block[i][k]);
        }
    }
}
END_TEST

START_TEST(the_usable_size_is_never_less_than_was_asked_for)
{
    for (size_t bytes = 0; bytes < 40000; bytes += 1 + bytes / 500) {
        void *block = malloc(hide(bytes));
        must(block != NULL && malloc_usable_size(block) >= bytes);
        free(block);
    }
}
END_TEST

START_TEST(all_of_the_usable_size_can_be_written_between_neighbours)
{
    enum { COUNT = 9 };
    void *block[COUNT];

    for (unsigned i = 0; i < size_kind_count; i++) {
        for (unsigned k = 0; k < COUNT; k++) {
            block[k] = malloc(hide(size_kinds[i]));
            must(block[k] != NULL);
        }
        for (unsigned k = 0; k < COUNT; k++) fill(block[k], malloc_usable_size(block[k]), k);
        for (unsigned k = 0; k < COUNT; k++) must(is_filled(block[k], malloc_usable_size(block[k]), k));
        for (unsigned k = 0; k < COUNT; k++) free(block[k]);
    }
}
END_TEST

START_TEST(all_of_an_aligned_blocks_usable_size_can_be_written)
{
    enum { COUNT = 5 };
    void *block[COUNT];

    for (size_t alignment = 16; alignment <= 64 * KIB; alignment *= 4) {
        for (size_t bytes = 1; bytes < 200000; bytes *= 7) {
            for (unsigned k = 0; k < COUNT; k++) must((block[k] = memalign(alignment, bytes)) != NULL);
            for (unsigned k = 0; k < COUNT; k++) fill(block[k], malloc_usable_size(block[k]), k);
            for (unsigned k = 0; k < COUNT; k++) must(is_filled(block[k], malloc_usable_size(block[k]), k));
            for (unsigned k = 0; k < COUNT; k++) free(block[k]);
        }
    }
}
END_TEST

START_TEST(the_usable_size_stays_while_the_block_lives)
{
    void *block = malloc(hide(777));
    size_t usable = malloc_usable_size(block);

    for (unsigned i = 0; i < 1000; i++) {
        void *other = malloc(777 + i % 50);
        must(malloc_usable_size(block) == usable);
        free(other);
    }
    memset(block, 0xff, usable);
    ck_assert_uint_eq(malloc_usable_size(block), usable);
    free(block);
}
END_TEST

START_TEST(what_was_freed_has_no_usable_size)
{
    enum { COUNT = 400 };
    static void *block[COUNT];

    if (!preloaded()) return;
    for (unsigned i = 0; i < COUNT; i++) must((block[i] = malloc(hide(100))) != NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        free(block[i]);
        must(malloc_usable_size(hide_block(block[i])) == 0);
    }
    for (unsigned i = 0; i < COUNT; i++) must(malloc_usable_size(hide_block(block[i])) == 0); /* in a page by now, most of them */
}
END_TEST

START_TEST(the_usable_size_used_as_capacity_survives_realloc)
{
    size_t length = 0;
    char *text = malloc(1);

    for (unsigned i = 0; i < 100000; i++) {
        if (length == malloc_usable_size(text)) text = realloc(text, length + length / 8 + 1);
        must(text != NULL);
        text[length++] = (char)('a' + i % 26);
    }
    for (unsigned i = 0; i < 100000; i++) must(text[i] == (char)('a' + i % 26));
    free(text);
}
END_TEST

START_TEST(the_size_is_within_an_eighth_of_what_was_asked_for)
{
    for (size_t bytes = 256; bytes <= 300000; bytes += 1 + bytes / 100) {
        void *block = malloc(hide(bytes));
        size_t usable = malloc_usable_size(block), whole_pages = (bytes + 4095) & ~(size_t)4095;
        size_t allowed = bytes + bytes / 8 + 16;
        must(usable <= allowed || (bytes >= 16 * KIB && usable <= whole_pages + 4096));
        free(block);
    }
}
END_TEST

TCase *tcase_usable(void)
{
    TCase *tc = tcase_create("usable size");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, the_usable_size_of_null_is_0);
    tcase_add_test(tc, the_usable_size_of_nothing_is_not_0);
    tcase_add_test(tc, the_usable_size_is_never_less_than_was_asked_for);
    tcase_add_test(tc, all_of_the_usable_size_can_be_written_between_neighbours);
    tcase_add_test(tc, all_of_an_aligned_blocks_usable_size_can_be_written);
    tcase_add_test(tc, the_usable_size_stays_while_the_block_lives);
    tcase_add_test(tc, what_was_freed_has_no_usable_size);
    tcase_add_test(tc, the_usable_size_used_as_capacity_survives_realloc);
    tcase_add_test(tc, the_size_is_within_an_eighth_of_what_was_asked_for);
    return tc;
}
