/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc_statistics.c -- malloc_trim, mallopt, mallinfo, mallinfo2, malloc_stats, malloc_info. */
#include "check_malloc.h"

#include <fcntl.h>
#include <stdio.h>

START_TEST(malloc_trim_answers_0_or_1_and_keeps_live_blocks)
{
    enum { COUNT = 200 };
    void *block[COUNT];

    for (unsigned i = 0; i < COUNT; i++) fill(block[i] = malloc(100 + i * 100), 100 + i * 100, i);
    for (unsigned i = 0; i < COUNT; i += 2) free(block[i]);
    int answer = malloc_trim(hide(0));
    ck_assert(answer == 0 || answer == 1);
    answer = malloc_trim(hide(MIB));
    ck_assert(answer == 0 || answer == 1);
    for (unsigned i = 1; i < COUNT; i += 2) {
        must(is_filled(block[i], 100 + i * 100, i));
        free(block[i]);
    }
}
END_TEST

START_TEST(malloc_trim_gives_memory_back)
{
    enum { COUNT = 40000 };
    static void *block[COUNT];

    for (unsigned i = 0; i < COUNT; i++) {
        block[i] = malloc(1000);
        must(block[i] != NULL);
        memset(block[i], 1, 1000);
    }
    long full = resident_kib();
    for (unsigned i = 0; i < COUNT; i++) free(block[i]);
    malloc_trim(0);
    ck_assert_int_lt(resident_kib(), full - 30 * 1024);
}
END_TEST

START_TEST(mallopt_accepts_every_parameter_of_malloc_h)
{
    ck_assert_int_eq(mallopt(M_MMAP_THRESHOLD, 256 * 1024), 1);
    ck_assert_int_eq(mallopt(M_MMAP_MAX, 65536), 1);
    ck_assert_int_eq(mallopt(M_TRIM_THRESHOLD, 256 * 1024), 1);
    ck_assert_int_eq(mallopt(M_TOP_PAD, 128 * 1024), 1);
    ck_assert_int_eq(mallopt(M_MXFAST, 64), 1);
    ck_assert_int_eq(mallopt(M_CHECK_ACTION, 3), 1);
    ck_assert_int_eq(mallopt(M_PERTURB, 0), 1);
    ck_assert_int_eq(mallopt(M_ARENA_TEST, 2), 1);
    ck_assert_int_eq(mallopt(M_ARENA_MAX, 2), 1);
    void *block = malloc(1000);
    ck_assert_ptr_nonnull(block);
    free(block);
}
END_TEST

START_TEST(mallinfo2_counts_small_blocks)
{
    enum { COUNT = 4000 };
    static void *block[COUNT];
    struct mallinfo2 before = mallinfo2();

    for (unsigned i = 0; i < COUNT; i++) must((block[i] = malloc(500)) != NULL);
    struct mallinfo2 full = mallinfo2();
    for (unsigned i = 0; i < COUNT; i++) free(block[i]);
    struct mallinfo2 after = mallinfo2();

    ck_assert_uint_ge(full.uordblks, before.uordblks + COUNT * 500);
    ck_assert_uint_le(full.uordblks, before.uordblks + COUNT * 600 + 100000);
    ck_assert_uint_lt(after.uordblks, before.uordblks + 300000);
    ck_assert_uint_ge(full.arena + full.hblkhd, full.uordblks);
}
END_TEST

START_TEST(mallinfo2_counts_large_blocks)
{
    struct mallinfo2 before = mallinfo2();
    void *block = malloc(hide(64 * MIB));
    struct mallinfo2 full = mallinfo2();

    ck_assert_ptr_nonnull(block);
    ck_assert_uint_ge(full.uordblks + full.hblkhd, before.uordblks + before.hblkhd + 64 * MIB);
    free(block);
    struct mallinfo2 after = mallinfo2();
    ck_assert_uint_lt(after.uordblks + after.hblkhd, full.uordblks + full.hblkhd - 60 * MIB);
}
END_TEST

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
START_TEST(mallinfo_agrees_with_mallinfo2)
{
    struct mallinfo2 wide = mallinfo2();
    struct mallinfo narrow = mallinfo();

    ck_assert_int_eq(narrow.uordblks, (int)wide.uordblks);
    ck_assert_int_eq(narrow.arena, (int)wide.arena);
    ck_assert_int_eq(narrow.hblkhd, (int)wide.hblkhd);
}
END_TEST
#pragma GCC diagnostic pop

/* What `print` writes to standard error. */
static size_t caught_from_stderr(void (*print)(void), char *text, size_t room)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);

    must(file != NULL && saved >= 0);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    print();
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    size_t length = fread(text, 1, room - 1, file);
    fclose(file);
    text[length] = '\0';
    return length;
}

START_TEST(malloc_stats_writes_text_to_standard_error)
{
    char text[20000];

    ck_assert_uint_gt(caught_from_stderr(malloc_stats, text, sizeof text), 20);
    ck_assert(text[strlen(text) - 1] == '\n');
    ck_assert(strpbrk(text, "0123456789") != NULL);
}
END_TEST

START_TEST(malloc_info_writes_one_xml_element)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);

    ck_assert_ptr_nonnull(stream);
    ck_assert_int_eq(malloc_info(0, stream), 0);
    fclose(stream);
    ck_assert_int_eq(strncmp(text, "<malloc version=\"", 17), 0);
    ck_assert_ptr_nonnull(strstr(text, "</malloc>"));
    free(text);
}
END_TEST

START_TEST(malloc_info_refuses_unknown_options)
{
    FILE *stream = tmpfile();

    ck_assert_ptr_nonnull(stream);
    ck_assert_int_eq(malloc_info(1, stream), EINVAL);
    ck_assert_int_eq(malloc_info(-1, stream), EINVAL);
    ck_assert_int_eq((int)ftell(stream), 0);
    fclose(stream);
}
END_TEST

TCase *tcase_statistics(void)
{
    TCase *tc = tcase_create("statistics");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, malloc_trim_answers_0_or_1_and_keeps_live_blocks);
    tcase_add_test(tc, malloc_trim_gives_memory_back);
    tcase_add_test(tc, mallopt_accepts_every_parameter_of_malloc_h);
    tcase_add_test(tc, mallinfo2_counts_small_blocks);
    tcase_add_test(tc, mallinfo2_counts_large_blocks);
    tcase_add_test(tc, mallinfo_agrees_with_mallinfo2);
    tcase_add_test(tc, malloc_stats_writes_text_to_standard_error);
    tcase_add_test(tc, malloc_info_writes_one_xml_element);
    tcase_add_test(tc, malloc_info_refuses_unknown_options);
    return tc;
}
