/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc_statistics.c -- malloc_trim, mallopt, mallinfo, mallinfo2, malloc_stats, malloc_info. */
#include "check_malloc.h"

#include <pthread.h>
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

/* What glibc answers for each parameter of malloc.h, and for one that it does not know. */
START_TEST(mallopt_answers_as_glibc_does)
{
    static const struct { int parameter, value, answer; } cases[] = {
        { M_MMAP_THRESHOLD, 0, 1 },     { M_MMAP_THRESHOLD, 256 * 1024, 1 }, { M_MMAP_THRESHOLD, 32 << 20, 1 },
        { M_MMAP_THRESHOLD, (32 << 20) + 1, 1 }, { M_MMAP_THRESHOLD, -1, 1 }, { M_MXFAST, 0, 1 }, { M_MXFAST, 64, 1 },
        { M_MXFAST, 160, 1 },           { M_MXFAST, 161, 0 },                { M_MXFAST, -1, 0 },
        { M_MMAP_MAX, 0, 1 },           { M_MMAP_MAX, 65536, 1 },            { M_TRIM_THRESHOLD, 256 * 1024, 1 },
        { M_TRIM_THRESHOLD, -1, 1 },    { M_TOP_PAD, 0, 1 },                 { M_TOP_PAD, 128 * 1024, 1 },
        { M_CHECK_ACTION, 3, 1 },       { M_PERTURB, 0, 1 },                 { M_ARENA_TEST, 2, 1 },
        { M_ARENA_TEST, 0, 1 },         { M_ARENA_MAX, 2, 1 },               { M_ARENA_MAX, -3, 1 },
        { M_GRAIN, 16, 1 },             { M_KEEP, 1, 1 },                    { M_NLBLKS, 1, 1 },
        { -99, 1, 1 },
    };

    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        errno = ERRNO_MARK;
        const int answer = mallopt(cases[i].parameter, cases[i].value);
        must(errno == ERRNO_MARK);
        if (answer != cases[i].answer) ck_abort_msg("mallopt(%d, %d) says %d", cases[i].parameter, cases[i].value, answer);
        void *block = malloc(1000);
        must(block != NULL);
        free(block);
    }
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

static void *stats_then_cancelled(void *unused)
{
    (void)unused;
    pthread_cancel(pthread_self());
    malloc_stats();
    pthread_testcancel();
    return NULL;
}

static void stats_in_a_cancelled_thread(void)
{
    pthread_t thread;
    void *result;

    must(pthread_create(&thread, NULL, stats_then_cancelled, NULL) == 0);
    must(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
}

START_TEST(malloc_stats_is_no_place_to_be_cancelled)
{
    char text[20000];

    caught_from_stderr(stats_in_a_cancelled_thread, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "Total (incl. mmap):\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nmax mmap bytes   = "));
}
END_TEST

/* The number that `name`, as often as `which` says, is followed by. */
static size_t figure(const char *text, const char *name, unsigned which)
{
    for (unsigned i = 0; i <= which && text != NULL; i++) {
        text = strstr(text, name);
        if (text != NULL) text += strlen(name);
    }
    return text != NULL ? strtoul(text, NULL, 10) : SIZE_MAX;
}

START_TEST(malloc_stats_says_what_mallinfo2_says)
{
    char text[20000];
    void *large = malloc(hide(8 * MIB)), *small = malloc(hide(100 * KIB));

    caught_from_stderr(malloc_stats, text, sizeof text);
    struct mallinfo2 now = mallinfo2();
    must(large != NULL && small != NULL);
    const size_t in_use = figure(text, "in use bytes     = ", 1);
    const size_t system = figure(text, "system bytes     = ", 1);
    ck_assert_uint_ge(in_use, 8 * MIB + 100 * KIB);
    ck_assert_uint_ge(system, in_use);
    ck_assert_uint_ge(figure(text, "max mmap regions = ", 0), now.hblks);
    ck_assert_uint_ge(figure(text, "max mmap bytes   = ", 0), now.hblkhd);
    ck_assert_uint_ge(now.hblkhd, 8 * MIB);
    free(large);
    free(small);
}
END_TEST

START_TEST(malloc_stats_remembers_the_most_mappings)
{
    char text[20000];
    void *block[5];

    for (unsigned i = 0; i < 5; i++) must((block[i] = malloc(hide(16 * MIB))) != NULL);
    const struct mallinfo2 full = mallinfo2();
    for (unsigned i = 0; i < 5; i++) free(block[i]);
    caught_from_stderr(malloc_stats, text, sizeof text);
    ck_assert_uint_lt(mallinfo2().hblks, full.hblks);
    ck_assert_uint_ge(figure(text, "max mmap regions = ", 0), full.hblks);
    ck_assert_uint_ge(figure(text, "max mmap bytes   = ", 0), full.hblkhd);
}
END_TEST

/* ---- malloc_info -------------------------------------------------------------------------------- */

static char *malloc_info_text(void)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);

    must(stream != NULL);
    must(malloc_info(0, stream) == 0);
    fclose(stream);
    return text;
}

static const char *name_end(const char *at)
{
    while ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9')) at++;
    return at;
}

/* Past the attributes (name="value") of a tag to its end; NULL: they are no such thing. */
static const char *past_attributes(const char *at)
{
    while (*at == ' ') {
        const char *name = at + 1, *end = name_end(name);
        if (end == name || end[0] != '=' || end[1] != '"') return NULL;
        const char *value = end + 2;
        at = value + strcspn(value, "\"<>&\n");
        if (*at++ != '"') return NULL;
    }
    return at;
}

/* Elements in elements, with attributes and without text: one of them, to the end. */
static bool is_well_formed(const char *at)
{
    struct { const char *name; size_t length; } open[16];
    unsigned depth = 0, elements = 0;

    do {
        while (*at == '\n' || *at == ' ') at++;
        if (*at++ != '<') return false;
        const bool closing = *at == '/';
        const char *name = closing ? at + 1 : at, *end = name_end(name);
        const size_t length = (size_t)(end - name);
        at = closing ? end : past_attributes(end);
        if (length == 0 || at == NULL) return false;
        if (closing) {
            if (depth == 0 || open[--depth].length != length || memcmp(open[depth].name, name, length) != 0) return false;
        } else if (*at == '/') {
            at++;
        } else {
            if (depth == 16) return false;
            open[depth].name = name;
            open[depth++].length = length;
        }
        if (*at++ != '>') return false;
        elements++;
    } while (depth > 0);
    return elements > 1 && at[strspn(at, " \n")] == '\0';
}

START_TEST(malloc_info_writes_one_well_formed_element)
{
    void *block[100];

    for (unsigned i = 0; i < 100; i++) must((block[i] = malloc(hide((size_t)i * i * 200))) != NULL);
    for (unsigned i = 0; i < 100; i += 2) free(block[i]);
    char *text = malloc_info_text();
    ck_assert_int_eq(strncmp(text, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n", 42), 0);
    ck_assert_msg(is_well_formed(text), "not well-formed: %s", text);
    free(text);
    for (unsigned i = 1; i < 100; i += 2) free(block[i]);
}
END_TEST

/* As glibc has them: what is in no mapping of its own in the heap, then all of it. */
START_TEST(malloc_info_says_what_mallinfo2_says)
{
    void *large = malloc(hide(8 * MIB));
    char *text = malloc_info_text();
    const struct mallinfo2 now = mallinfo2();
    const char *all = strstr(text, "</heap>");

    must(large != NULL && all != NULL);
    for (const char *next = all; (next = strstr(next + 1, "</heap>")) != NULL;) all = next;
    ck_assert_uint_eq(figure(all, "<total type=\"mmap\" count=\"", 0), now.hblks);
    ck_assert_uint_ge(figure(strstr(all, "mmap"), " size=\"", 0), 8 * MIB);
    ck_assert_uint_eq(figure(strstr(all, "mmap"), " size=\"", 0), now.hblkhd);
    const size_t current = figure(all, "<system type=\"current\" size=\"", 0);
    ck_assert_uint_ge(current + MIB, now.arena);
    ck_assert_uint_le(current, now.arena + now.hblkhd + MIB);
    ck_assert_uint_ge(figure(all, "<system type=\"max\" size=\"", 0), current);
    ck_assert_uint_ne(figure(all, "<total type=\"fast\" count=\"", 0), SIZE_MAX);
    ck_assert_uint_ne(figure(all, "<total type=\"rest\" count=\"", 0), SIZE_MAX);
    ck_assert_uint_ge(figure(all, "<aspace type=\"total\" size=\"", 0), figure(all, "<aspace type=\"mprotect\" size=\"", 0));
    free(text);
    free(large);
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
    tcase_add_test(tc, mallopt_answers_as_glibc_does);
    tcase_add_test(tc, mallinfo2_counts_small_blocks);
    tcase_add_test(tc, mallinfo2_counts_large_blocks);
    tcase_add_test(tc, mallinfo_agrees_with_mallinfo2);
    tcase_add_test(tc, malloc_stats_writes_text_to_standard_error);
    tcase_add_test(tc, malloc_stats_is_no_place_to_be_cancelled);
    tcase_add_test(tc, malloc_stats_says_what_mallinfo2_says);
    tcase_add_test(tc, malloc_stats_remembers_the_most_mappings);
    tcase_add_test(tc, malloc_info_writes_one_well_formed_element);
    tcase_add_test(tc, malloc_info_says_what_mallinfo2_says);
    tcase_add_test(tc, malloc_info_refuses_unknown_options);
    return tc;
}
