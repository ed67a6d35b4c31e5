/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_native.c -- the functions of privheap.h: figures, aligned blocks, names.  The visit to every block is in
 * check_visit.c, exceptions in check_raise.c. */
#include <pthread.h>
#include <sched.h>

#include "check_empty_heap.h"
#include "check_heapapi.h"
#include "check_room.h"
#include "privheap.h"

enum { KB = 1024, MB = 1024 * KB };

/* ---- figures ---- */

static struct ph_stats stats_of(HANDLE which)
{
    struct ph_stats stats = {.struct_bytes = sizeof stats};
    ck_assert_int_eq(ASK(ph_heap_stats(which, &stats)), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq(stats.struct_bytes, sizeof stats);
    ck_assert_uint_le(stats.committed_bytes, stats.reserved_bytes);
    ck_assert_uint_le(stats.reserved_bytes, stats.most_reserved_bytes);
    return stats;
}

START_TEST(stats_count_every_block_and_byte)
{
    const struct ph_stats before = stats_of(heap);
    ck_assert_uint_eq(before.live_blocks, 0);
    ck_assert_uint_eq(before.live_bytes, 0);
    ck_assert_uint_eq(before.regions, 1);
    ck_assert_uint_ge(before.largest_free_bytes, 3 * MB);
    void *block[100];
    for (int i = 0; i < 100; i++)
        block[i] = HeapAlloc(heap, 0, (SIZE_T)i * 100);
    void *large = HeapAlloc(heap, 0, 3 * MB + 1);
    const struct ph_stats full = stats_of(heap);
    ck_assert_uint_eq(full.live_blocks, 101);
    ck_assert_uint_eq(full.live_bytes, 100 * 99 / 2 * 100 + 3 * MB + 1);
    ck_assert_uint_eq(full.large_blocks, 1);
    ck_assert_uint_ge(full.large_bytes, 3 * MB + 1);
    ck_assert_uint_gt(full.free_blocks, 0);
    for (int i = 0; i < 100; i++)
        HeapFree(heap, 0, block[i]);
    HeapFree(heap, 0, large);
    const struct ph_stats after = stats_of(heap);
    ck_assert_uint_eq(after.live_blocks + after.live_bytes + after.large_blocks + after.large_bytes, 0);
}
END_TEST

START_TEST(stats_agree_with_the_summary)
{
    HEAP_SUMMARY summary = {.cb = sizeof summary};
    for (int i = 0; i < 200; i++)
        (void)HeapAlloc(heap, 0, (SIZE_T)(i % 13) * 5000);
    const struct ph_stats stats = stats_of(heap);
    ck_assert_int_eq(HeapSummary(heap, 0, &summary), TRUE);
    ck_assert_uint_eq(stats.live_bytes, summary.cbAllocated);
    ck_assert_uint_eq(stats.committed_bytes, summary.cbCommitted);
    ck_assert_uint_eq(stats.reserved_bytes, summary.cbReserved);
    ck_assert_uint_eq(stats.most_reserved_bytes, summary.cbMaxReserve);
}
END_TEST

START_TEST(stats_say_how_the_heap_was_made)
{
    HANDLE other = HeapCreate(HEAP_NO_SERIALIZE | HEAP_GENERATE_EXCEPTIONS | HEAP_CREATE_ENABLE_EXECUTE, 0, MB);
    ck_assert_uint_eq(stats_of(heap).flags, HEAP_GROWABLE);
    ck_assert_uint_eq(stats_of(other).flags,
                      HEAP_NO_SERIALIZE | HEAP_GENERATE_EXCEPTIONS | HEAP_CREATE_ENABLE_EXECUTE);
    ck_assert_uint_eq(stats_of(other).most_reserved_bytes, MB);
    ck_assert_int_eq(ph_heap_set_name(other, "other"), TRUE);
    ck_assert_str_eq(stats_of(other).name, "other");
    ck_assert_str_eq(stats_of(heap).name, "");
    ck_assert_int_eq(HeapDestroy(other), TRUE);
    ck_assert_uint_eq(stats_of(GetProcessHeap()).flags, HEAP_GROWABLE);
}
END_TEST

/* Programs built with an earlier header, and with a later one. */
START_TEST(stats_fill_what_the_caller_has_room_for)
{
    struct {
        struct ph_stats known;
        char later[64];
    } room;
    memset(&room, 0xCD, sizeof room);
    room.known.struct_bytes = sizeof room;
    ck_assert_int_eq(ph_heap_stats(heap, &room.known), TRUE);
    ck_assert_uint_eq(room.known.struct_bytes, sizeof room.known);
    for (size_t i = 0; i < sizeof room.later; i++)
        ck_assert_uint_eq((unsigned char)room.later[i], 0xCD);
}
END_TEST

START_TEST(stats_refuse_bad_arguments)
{
    struct ph_stats stats = {.struct_bytes = sizeof stats - 1, .live_blocks = 77};
    ck_assert_int_eq(ASK(ph_heap_stats(heap, NULL)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(ASK(ph_heap_stats(heap, &stats)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    stats.struct_bytes = sizeof stats;
    ck_assert_int_eq(ASK(ph_heap_stats(ended_heap(), &stats)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(stats.live_blocks, 77);
}
END_TEST

/* ---- aligned blocks ---- */

static const SIZE_T sizes[] = {0, 1, 17, 100, 1000, 5000, 20000, 300000, 5 * MB + 3};

static void takes_aligned(HANDLE of, SIZE_T alignment, SIZE_T bytes)
{
    char *block = ASK(ph_heap_aligned_alloc(of, HEAP_ZERO_MEMORY, alignment, bytes));
    ck_assert_ptr_nonnull(block);
    ck_assert_last(SENTINEL);
    ck_assert_uint_eq((uintptr_t)block % alignment, 0);
    ck_assert_uint_eq(HeapSize(of, 0, block), bytes); /* W32 2.5 */
    ck_assert_int_eq(HeapValidate(of, 0, block), TRUE);
    for (SIZE_T i = 0; i < bytes; i += bytes / 64 + 1)
        ck_assert_int_eq(block[i], 0);
    memset(block, 0x5A, bytes < 100000 ? bytes : 100000);
    char *moved = HeapReAlloc(of, 0, block, bytes + 1000);
    ck_assert_ptr_nonnull(moved);
    ck_assert(bytes == 0 || moved[bytes < 100 ? bytes - 1 : 99] == 0x5A);
    ck_assert_uint_eq(HeapSize(of, 0, moved), bytes + 1000);
    ck_assert_int_eq(HeapFree(of, 0, moved), TRUE);
    ck_assert_int_eq(ASK(HeapFree(of, 0, moved)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
}

START_TEST(aligned_block_stands_where_it_was_asked_for)
{
    const SIZE_T alignment = (SIZE_T)1 << _i;
    for (int i = 0; i < COUNT(sizes); i++)
        takes_aligned(heap, alignment, sizes[i]);
    ck_assert_uint_eq(stats_of(heap).live_blocks, 0);
}
END_TEST

START_TEST(aligned_blocks_do_not_overlap)
{
    enum { BLOCKS = 200 };
    char *block[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = ph_heap_aligned_alloc(heap, 0, (SIZE_T)1 << i % 16, 300);
        memset(block[i], i, 300);
    }
    for (int i = 0; i < BLOCKS; i++)
        for (int j = 0; j < 300; j++)
            ck_assert_uint_eq((unsigned char)block[i][j], (unsigned char)i);
    ck_assert_uint_eq(stats_of(heap).live_bytes, BLOCKS * 300);
}
END_TEST

START_TEST(aligned_blocks_of_a_fixed_heap_keep_its_limits) /* W32 4 */
{
    HANDLE fixed = HeapCreate(0, 0, 2 * MB);
    for (unsigned bits = 0; bits <= 19; bits++)
        for (int i = 0; i < 7; i++)
            takes_aligned(fixed, (SIZE_T)1 << bits, sizes[i]);
    ck_assert_ptr_null(ASK(ph_heap_aligned_alloc(fixed, 0, 64, MB)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_uint_eq(stats_of(fixed).large_blocks, 0);
    SIZE_T count = 0;
    while (ph_heap_aligned_alloc(fixed, 0, 4096, 4096) != NULL)
        count++;
    ck_assert_uint_ge(count, 400);
    ck_assert_uint_eq(stats_of(fixed).live_blocks, count);
    ck_assert_int_eq(HeapDestroy(fixed), TRUE);
}
END_TEST

START_TEST(aligned_blocks_show_once_in_a_walk) /* W32 3.10 */
{
    static const SIZE_T alignments[] = {1, 64, 4096, 65536, 16 * MB};
    for (int i = 0; i < COUNT(alignments); i++) {
        void *block = ph_heap_aligned_alloc(heap, 0, alignments[i], 0);
        unsigned times = 0;
        PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
        while (HeapWalk(heap, &entry))
            if (entry.lpData == block && (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY)) {
                ck_assert_uint_eq(entry.cbData, 0);
                times++;
            }
        ck_assert_uint_eq(times, 1);
    }
}
END_TEST

START_TEST(other_alignments_are_refused)
{
    static const SIZE_T wrong[] = {0, 3, 24, 4095, (SIZE_T)3 << 20, SIZE_MAX, (SIZE_T)1 << 63};
    ck_assert_ptr_null(ASK(ph_heap_aligned_alloc(heap, 0, wrong[_i], 100)));
    ck_assert_last(ERROR_INVALID_PARAMETER);
}
END_TEST

START_TEST(impossible_sizes_are_refused_at_any_alignment) /* W32 2.9 */
{
    static const SIZE_T bytes[] = {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2, SIZE_MAX / 2 - 4096};
    for (unsigned bits = 4; bits <= 36; bits += 4) {
        ck_assert_ptr_null(ASK(ph_heap_aligned_alloc(heap, 0, (SIZE_T)1 << bits, bytes[_i])));
        ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    }
}
END_TEST

START_TEST(aligned_block_of_no_heap_is_refused)
{
    ck_assert_ptr_null(ASK(ph_heap_aligned_alloc(ended_heap(), 0, 64, 10)));
    ck_assert_last(ERROR_INVALID_HANDLE);
}
END_TEST

/* ---- names ---- */

static const char *name_of(HANDLE which)
{
    static char name[PRIVHEAP_NAME_BYTES];
    ck_assert_uint_eq(ASK(ph_heap_name(which, name, sizeof name)), strlen(name));
    ck_assert_last(SENTINEL);
    return name;
}

START_TEST(name_is_none_then_what_was_set)
{
    ck_assert_str_eq(name_of(heap), "");
    char given[] = "cache of pages";
    ck_assert_int_eq(ASK(ph_heap_set_name(heap, given)), TRUE);
    ck_assert_last(SENTINEL);
    given[0] = 'X'; /* copied */
    ck_assert_str_eq(name_of(heap), "cache of pages");
    ck_assert_int_eq(ph_heap_set_name(heap, "x"), TRUE);
    ck_assert_str_eq(name_of(heap), "x");
    ck_assert_int_eq(ph_heap_set_name(heap, _i == 0 ? NULL : ""), TRUE);
    ck_assert_str_eq(name_of(heap), "");
}
END_TEST

START_TEST(name_is_cut_and_cleaned)
{
    char longest[PRIVHEAP_NAME_BYTES];
    char given[200];
    memset(given, 'a', sizeof given);
    given[sizeof given - 1] = '\0';
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    ck_assert_int_eq(ph_heap_set_name(heap, given), TRUE);
    ck_assert_str_eq(name_of(heap), longest);
    ck_assert_int_eq(ph_heap_set_name(heap, "a[b]c\\d$e`f\ng\x7fh\xc3\xa4i j~"), TRUE);
    ck_assert_str_eq(name_of(heap), "a?b?c?d?e?f?g?h??i j~");
}
END_TEST

START_TEST(name_fits_the_room_it_gets)
{
    char buffer[8] = "1234567";
    ck_assert_int_eq(ph_heap_set_name(heap, "abcdef"), TRUE);
    ck_assert_uint_eq(ph_heap_name(heap, NULL, 0), 6);
    ck_assert_uint_eq(ph_heap_name(heap, NULL, 10), 6);
    ck_assert_uint_eq(ph_heap_name(heap, buffer, 0), 6);
    ck_assert_str_eq(buffer, "1234567");
    ck_assert_uint_eq(ph_heap_name(heap, buffer, 4), 6);
    ck_assert_mem_eq(buffer, "abc\0" "567", 8);
    ck_assert_uint_eq(ph_heap_name(heap, buffer, 7), 6);
    ck_assert_str_eq(buffer, "abcdef");
}
END_TEST

START_TEST(name_dies_with_its_heap)
{
    for (int i = 0; i < 3; i++) { /* a later heap may have the same place and number */
        HANDLE other = HeapCreate(0, 0, 0);
        ck_assert_str_eq(name_of(other), "");
        ck_assert_int_eq(ph_heap_set_name(other, "gone soon"), TRUE);
        ck_assert_int_eq(HeapDestroy(other), TRUE);
    }
}
END_TEST

START_TEST(name_of_no_heap_is_refused)
{
    char buffer[8] = "1234567";
    ck_assert_int_eq(ASK(ph_heap_set_name(ended_heap(), "x")), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(ASK(ph_heap_name(NULL, buffer, sizeof buffer)), 0);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_str_eq(buffer, "1234567");
}
END_TEST

/* How many lines of /proc/self/maps show that text. */
static unsigned maps_with(const char *text)
{
    char line[1024];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, text) != NULL;
    fclose(maps);
    return count;
}

static bool kernel_has_names(void)
{
    const size_t bytes = ph_os_page_bytes();
    void *probe = ph_os_map(bytes, bytes);
    ph_os_name(probe, bytes, "probe of names");
    const bool has = maps_with("[anon:probe of names]") == 1;
    ph_os_unmap(probe, bytes);
    return has;
}

START_TEST(name_shows_in_the_maps_of_old_and_new_regions)
{
    if (!kernel_has_names()) return; /* CONFIG_ANON_VMA_NAME */
    ck_assert_int_eq(ph_heap_set_name(heap, "shown heap"), TRUE);
    ck_assert_uint_ge(maps_with("[anon:shown heap]"), 1);
    const unsigned before = maps_with("[anon:shown heap]");
    for (int i = 0; i < 100; i++)
        (void)HeapAlloc(heap, 0, 500000);
    ck_assert_uint_gt(maps_with("[anon:shown heap]"), before);
    ck_assert_int_eq(ph_heap_set_name(heap, NULL), TRUE);
    ck_assert_uint_eq(maps_with("shown heap"), 0);
    HANDLE other = HeapCreate(0, 0, 0);
    ck_assert_int_eq(ph_heap_set_name(other, "short life"), TRUE);
    ck_assert_int_eq(HeapDestroy(other), TRUE);
    ck_assert_uint_eq(maps_with("short life"), 0); /* its range may be kept for another heap */
}
END_TEST

/* ---- while another thread has the heap ---- */

static bool asked, answered;

static void *ask_all(void *unused)
{
    struct ph_stats stats = {.struct_bytes = sizeof stats};
    (void)unused;
    __atomic_store_n(&asked, true, __ATOMIC_SEQ_CST);
    (void)ph_heap_stats(heap, &stats);
    __atomic_store_n(&answered, true, __ATOMIC_SEQ_CST);
    return NULL;
}

START_TEST(stats_wait_for_the_heap_lock) /* W32 2.3 */
{
    pthread_t thread;
    asked = answered = false;
    ck_assert_int_eq(HeapLock(heap), TRUE);
    ck_assert_uint_eq(stats_of(heap).live_blocks, 0); /* the owner need not */
    ck_assert_int_eq(pthread_create(&thread, NULL, ask_all, NULL), 0);
    while (!__atomic_load_n(&asked, __ATOMIC_SEQ_CST))
        sched_yield();
    for (int i = 0; i < 2000; i++)
        sched_yield();
    ck_assert(!__atomic_load_n(&answered, __ATOMIC_SEQ_CST));
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    pthread_join(thread, NULL);
    ck_assert(answered);
}
END_TEST

static void add_aligned(Suite *suite)
{
    TCase *aligned = room_case(suite, "aligned", setup_empty_heap, teardown_heap);
    tcase_add_loop_test(aligned, aligned_block_stands_where_it_was_asked_for, 0, 31);
    tcase_add_test(aligned, aligned_blocks_do_not_overlap);
    tcase_add_test(aligned, aligned_blocks_of_a_fixed_heap_keep_its_limits);
    tcase_add_test(aligned, aligned_blocks_show_once_in_a_walk);
    tcase_add_loop_test(aligned, other_alignments_are_refused, 0, 7);
    tcase_add_loop_test(aligned, impossible_sizes_are_refused_at_any_alignment, 0, 4);
    tcase_add_test(aligned, aligned_block_of_no_heap_is_refused);
}

int main(void)
{
    Suite *suite = suite_create("native");
    TCase *stats = room_case(suite, "stats", setup_empty_heap, teardown_heap);
    tcase_add_test(stats, stats_count_every_block_and_byte);
    tcase_add_test(stats, stats_agree_with_the_summary);
    tcase_add_test(stats, stats_say_how_the_heap_was_made);
    tcase_add_test(stats, stats_fill_what_the_caller_has_room_for);
    tcase_add_test(stats, stats_refuse_bad_arguments);
    tcase_add_test(stats, stats_wait_for_the_heap_lock);
    add_aligned(suite);
    TCase *name = room_case(suite, "name", setup_empty_heap, teardown_heap);
    tcase_add_loop_test(name, name_is_none_then_what_was_set, 0, 2);
    tcase_add_test(name, name_is_cut_and_cleaned);
    tcase_add_test(name, name_fits_the_room_it_gets);
    tcase_add_test(name, name_dies_with_its_heap);
    tcase_add_test(name, name_of_no_heap_is_refused);
    tcase_add_test(name, name_shows_in_the_maps_of_old_and_new_regions);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
