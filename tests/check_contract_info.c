/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_info.c -- HeapCompact, HeapQueryInformation, HeapSetInformation (W32 3.8,
 * 3.12, 3.13), each row of their tables. */
#include <stdatomic.h>

#include "check_contract.h"

static const struct kind *kind;
static HANDLE heap;

#define NEED(cond) ck_assert_msg(cond, "%s: %s", kind->name, #cond)
#define NEED_LAST(error)                                                                                     \
    ck_assert_msg(GetLastError() == (error) && errno == ERRNO_SENTINEL, "%s: last error %u, errno %d",       \
                  kind->name, GetLastError(), errno)

static void begin(int which)
{
    kind = &kinds[which];
    heap = kind_open(kind);
}

static void end(void) { kind_close(kind, heap); }

/* ---- values that name no heap ---- */

enum { NO_HEAPS = 8 };

static HANDLE no_heap(int which)
{
    static char on_no_heap[64];
    HANDLE ended = HeapCreate(0, 0, 0);
    void *block = HeapAlloc(GetProcessHeap(), 0, 100);
    HANDLE const values[NO_HEAPS] = {
        NULL,
        ended,
        on_no_heap,
        block,
        (char *)GetProcessHeap() + 1,
        (HANDLE)(uintptr_t)0x00007ABCDEF00000,
        (HANDLE)(uintptr_t)0x8000000000000000,
        (HANDLE)(uintptr_t)-1,
    };
    HeapDestroy(ended);
    HeapFree(GetProcessHeap(), 0, block);
    return values[which];
}

START_TEST(value_that_is_no_heap_is_refused_by_the_information_functions) /* W32 2.2 */
{
    HANDLE bad = no_heap(_i);
    ULONG value = 0x77777777;
    SIZE_T length = 99;
    HEAP_SUMMARY summary, before;
    memset(&summary, 0x5A, sizeof summary);
    summary.cb = sizeof summary;
    before = summary;
    ck_assert_uint_eq(ASK(HeapCompact(bad, 0)), 0);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(ASK(HeapCompact(bad, HEAP_NO_SERIALIZE)), 0);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(
        ASK(HeapQueryInformation(bad, HeapCompatibilityInformation, &value, sizeof value, &length)), FALSE);
    ck_assert_last(ERROR_NOACCESS);
    ck_assert_uint_eq(length, 99);
    ck_assert_uint_eq(value, 0x77777777);
    value = 2;
    ck_assert_int_eq(ASK(HeapSetInformation(bad, HeapCompatibilityInformation, &value, sizeof value)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(HeapSetInformation(bad, HeapCompatibilityInformation, &value, 3)), FALSE);
    ck_assert_last(ERROR_INSUFFICIENT_BUFFER); /* noticed first */
    ck_assert_int_eq(ASK(HeapSummary(bad, 0, &summary)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_mem_eq(&summary, &before, sizeof summary);
    summary.cb = 39;
    ck_assert_int_eq(ASK(HeapSummary(bad, 0, &summary)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER); /* noticed first */
    ck_assert_int_eq(ASK(HeapSummary(bad, 0, NULL)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
}
END_TEST

/* ---- W32 3.8: HeapCompact ---- */

static SIZE_T largest_free_shown(void)
{
    PROCESS_HEAP_ENTRY entry = { .lpData = NULL };
    SIZE_T most = 0;
    while (HeapWalk(heap, &entry))
        if (entry.wFlags == 0 && entry.cbData > most) most = entry.cbData;
    return most;
}

START_TEST(compact_of_a_new_heap_is_above_0) /* W32 3.8, D12 */
{
    begin(_i);
    const SIZE_T most = ASK(HeapCompact(heap, kind->call_flags));
    NEED(most > 0);
    NEED_LAST(SENTINEL);
    NEED(most == largest_free_shown());
    if (kind->maximum) NEED(most <= kind->maximum);
    end();
}
END_TEST

START_TEST(compact_moves_nothing_and_says_what_a_walk_shows)
{
    enum { BLOCKS = 30 };
    unsigned char *block[BLOCKS];
    begin(_i);
    for (int i = 0; i < BLOCKS; i++) {
        NEED((block[i] = HeapAlloc(heap, kind->call_flags, 40 * (size_t)i)) != NULL);
        fill(block[i], i, 40 * (size_t)i);
    }
    for (int i = 0; i < BLOCKS; i += 2) NEED(HeapFree(heap, kind->call_flags, block[i]));
    const SIZE_T most = ASK(HeapCompact(heap, kind->call_flags));
    NEED(most > 0);
    NEED_LAST(SENTINEL);
    NEED(most == largest_free_shown());
    NEED(HeapCompact(heap, HEAP_NO_SERIALIZE) == most);
    for (int i = 1; i < BLOCKS; i += 2) {
        NEED(HeapSize(heap, 0, block[i]) == 40 * (size_t)i && is_filled(block[i], i, 0, 40 * (size_t)i));
        NEED(HeapFree(heap, kind->call_flags, block[i]));
    }
    end();
}
END_TEST

START_TEST(compact_of_a_full_heap_is_0_or_what_is_left)
{
    static void *block[1 << 16];
    int count = 0;
    heap = HeapCreate(0, 0, 64 * KB << _i);
    for (size_t bytes = 32 * KB; bytes > 0; bytes /= 2)
        while ((block[count] = HeapAlloc(heap, 0, bytes)) != NULL) count++;
    const SIZE_T most = ASK(HeapCompact(heap, 0));
    ck_assert_uint_le(most, 64); /* crumbs */
    ck_assert_last(most ? SENTINEL : NO_ERROR);
    ck_assert_uint_eq(most, largest_free_shown());
    while (count--) ck_assert_int_eq(HeapFree(heap, 0, block[count]), TRUE);
    ck_assert_uint_gt(ASK(HeapCompact(heap, 0)), 0);
    ck_assert_last(SENTINEL);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(compact_gives_pages_back)
{
    enum { BLOCKS = 400 };
    static void *block[BLOCKS];
    heap = HeapCreate(0, 64 * MB, 0);
    for (int i = 0; i < BLOCKS; i++) fill(block[i] = HeapAlloc(heap, 0, 100 * KB), 1, 100 * KB);
    const size_t before = resident_bytes();
    for (int i = 0; i < BLOCKS; i++) ck_assert_int_eq(HeapFree(heap, 0, block[i]), TRUE);
    ck_assert_uint_gt(HeapCompact(heap, 0), 0);
    ck_assert_uint_lt(resident_bytes(), before - 30 * MB); /* of 40: it may keep some, D25 */
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

static atomic_bool done;

static void *compact_it(void *nothing)
{
    (void)nothing;
    const SIZE_T most = HeapCompact(heap, 0);
    atomic_store(&done, true);
    return (void *)most;
}

START_TEST(lock_holds_off_compact) /* W32 3.9 */
{
    pthread_t thread;
    void *most;
    begin(0);
    atomic_store(&done, false);
    ck_assert_int_eq(HeapLock(heap), TRUE);
    ck_assert_int_eq(pthread_create(&thread, NULL, compact_it, NULL), 0);
    sleep_ms(50);
    ck_assert(!atomic_load(&done));
    ck_assert_uint_gt(HeapCompact(heap, 0), 0); /* the owner may */
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    pthread_join(thread, &most);
    ck_assert_ptr_nonnull(most);
    end();
}
END_TEST

/* ---- W32 3.12: HeapQueryInformation ---- */

static ULONG query(HANDLE of)
{
    ULONG value = 0x77777777;
    ck_assert_int_eq(HeapQueryInformation(of, HeapCompatibilityInformation, &value, sizeof value, NULL),
                     TRUE);
    return value;
}

START_TEST(query_answers_0_for_a_new_heap_in_four_bytes) /* W32 3.12 */
{
    begin(_i);
    ULONG value[4];
    SIZE_T length = 0;
    for (SIZE_T room = 4; room <= 16; room += 3) {
        memset(value, 0x77, sizeof value);
        NEED(ASK(HeapQueryInformation(heap, HeapCompatibilityInformation, value, room, &length)) == TRUE);
        NEED_LAST(SENTINEL);
        NEED(length == 4 && value[0] == 0 && value[1] == 0x77777777);
        NEED(ASK(HeapQueryInformation(heap, HeapCompatibilityInformation, value, room, NULL)) == TRUE);
    }
    for (int i = 0; i < 40; i++) /* D15: nothing switches it */
        NEED(HeapFree(heap, 0, HeapAlloc(heap, 0, 24)));
    NEED(query(heap) == 0);
    end();
}
END_TEST

START_TEST(query_with_a_short_buffer_says_how_much_is_needed)
{
    begin(0);
    ULONG value = 0x77777777;
    SIZE_T length = 0;
    ck_assert_int_eq(
        ASK(HeapQueryInformation(heap, HeapCompatibilityInformation, &value, (SIZE_T)_i, &length)), FALSE);
    ck_assert_last(ERROR_INSUFFICIENT_BUFFER);
    ck_assert_uint_eq(length, 4);
    ck_assert_uint_eq(value, 0x77777777);
    length = 0;
    ck_assert_int_eq(ASK(HeapQueryInformation(heap, HeapCompatibilityInformation, NULL, (SIZE_T)_i, &length)),
                     FALSE);
    ck_assert_last(ERROR_INSUFFICIENT_BUFFER);
    ck_assert_uint_eq(length, 4);
    ck_assert_int_eq(ASK(HeapQueryInformation(heap, HeapCompatibilityInformation, NULL, (SIZE_T)_i, NULL)),
                     FALSE);
    ck_assert_last(ERROR_INSUFFICIENT_BUFFER);
    end();
}
END_TEST

static const int other_classes[] = { 1, 2, 3, 4, 5, 100, 0x7FFFFFFF, -1 };

START_TEST(query_of_another_class_is_refused)
{
    begin(0);
    char buffer[64];
    SIZE_T length;
    ck_assert_int_eq(ASK(HeapQueryInformation(heap, (HEAP_INFORMATION_CLASS)other_classes[_i], buffer,
                                              sizeof buffer, &length)),
                     FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    end();
}
END_TEST

/* ---- W32 3.13: HeapSetInformation ---- */

static BOOL set(HANDLE of, ULONG value)
{
    return ASK(HeapSetInformation(of, HeapCompatibilityInformation, &value, sizeof value));
}

START_TEST(value_2_is_for_growable_serialized_heaps) /* W32 3.13, D16, D17 */
{
    static const ULONG refused[] = { 1, 3, 4, 0xFFFFFFFFu };
    begin(_i);
    if (!kind->process) {
        const bool unserialized = kind->create_flags & HEAP_NO_SERIALIZE;
        if (!unserialized && !kind->maximum) {
            NEED(set(heap, 0) == TRUE); /* state 0 stays */
            NEED_LAST(SENTINEL);
            for (int i = 0; i < COUNT(refused); i++) {
                NEED(set(heap, refused[i]) == FALSE);
                NEED_LAST(ERROR_GEN_FAILURE);
                NEED(query(heap) == 0);
            }
            for (int i = 0; i < 2; i++) {
                NEED(set(heap, 2) == TRUE);
                NEED_LAST(SENTINEL);
                NEED(query(heap) == 2);
            }
            for (ULONG value = 0; value < 2; value++) {
                NEED(set(heap, value) == FALSE);
                NEED_LAST(ERROR_GEN_FAILURE);
                NEED(query(heap) == 2);
            }
            void *block = HeapAlloc(heap, 0, 100); /* works as before */
            NEED(block && HeapSize(heap, 0, block) == 100 && HeapFree(heap, 0, block));
        } else if (!(unserialized && kind->maximum)) {
            NEED(set(heap, 2) == FALSE);
            NEED_LAST(unserialized ? ERROR_INVALID_PARAMETER : ERROR_GEN_FAILURE);
            NEED(query(heap) == 0);
        } else {
            NEED(set(heap, 2) == FALSE && query(heap) == 0); /* two reasons: either error */
        }
    }
    end();
}
END_TEST

START_TEST(set_with_a_short_buffer_is_refused)
{
    ULONG value = 2;
    begin(0);
    ck_assert_int_eq(ASK(HeapSetInformation(heap, HeapCompatibilityInformation, &value, (SIZE_T)_i)), FALSE);
    ck_assert_last(ERROR_INSUFFICIENT_BUFFER);
    ck_assert_uint_eq(query(heap), 0);
    end();
}
END_TEST

START_TEST(set_of_another_class_is_refused) /* D18 */
{
    static const int classes[] = { 2, 4, 5, 100, 0x7FFFFFFF, -1 };
    ULONG value[8] = { 2 };
    begin(0);
    ck_assert_int_eq(ASK(HeapSetInformation(heap, (HEAP_INFORMATION_CLASS)classes[_i], value, sizeof value)),
                     FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(ASK(HeapSetInformation(NULL, (HEAP_INFORMATION_CLASS)classes[_i], NULL, 0)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    end();
}
END_TEST

START_TEST(optimize_takes_one_heap_or_all)
{
    begin(_i);
    HEAP_OPTIMIZE_RESOURCES_INFORMATION how = { HEAP_OPTIMIZE_RESOURCES_CURRENT_VERSION, 0 };
    unsigned char *block = HeapAlloc(heap, kind->call_flags, 1000);
    fill(block, 1, 1000);
    NEED(ASK(HeapSetInformation(heap, HeapOptimizeResources, &how, sizeof how)) == TRUE);
    NEED_LAST(SENTINEL);
    NEED(ASK(HeapSetInformation(NULL, HeapOptimizeResources, &how, sizeof how)) == TRUE);
    NEED_LAST(SENTINEL);
    NEED(ASK(HeapSetInformation(heap, HeapOptimizeResources, NULL, sizeof how)) == FALSE);
    NEED_LAST(ERROR_INVALID_PARAMETER);
    NEED(ASK(HeapSetInformation(heap, HeapOptimizeResources, NULL, 0)) == FALSE);
    NEED_LAST(ERROR_INVALID_PARAMETER);
    for (SIZE_T room = 0; room < sizeof how; room++) {
        NEED(ASK(HeapSetInformation(heap, HeapOptimizeResources, &how, room)) == FALSE);
        NEED_LAST(ERROR_INVALID_PARAMETER);
    }
    for (DWORD version = 0; version < 4; version += 2) {
        how.Version = version;
        NEED(ASK(HeapSetInformation(heap, HeapOptimizeResources, &how, sizeof how)) == FALSE);
        NEED_LAST(ERROR_INVALID_PARAMETER);
        NEED(ASK(HeapSetInformation(NULL, HeapOptimizeResources, &how, sizeof how)) == FALSE);
        NEED_LAST(ERROR_INVALID_PARAMETER);
    }
    NEED(is_filled(block, 1, 0, 1000) && HeapFree(heap, kind->call_flags, block));
    end();
}
END_TEST

static HANDLE to_terminate;
static void *freed;

static void terminate_on_corruption(void)
{
    CHILD_NEEDS(ASK(HeapSetInformation(to_terminate, HeapEnableTerminationOnCorruption, NULL, 0)) == TRUE);
    CHILD_NEEDS(HeapSetInformation(NULL, HeapEnableTerminationOnCorruption, NULL, 0) == TRUE);
    CHILD_NEEDS(GetLastError() == SENTINEL);
    heap = HeapCreate(0, 0, 0);
    freed = HeapAlloc(heap, 0, 100);
    CHILD_NEEDS(HeapAlloc(heap, 0, 100) && HeapFree(heap, 0, freed));
}

static void free_twice(const void *nothing)
{
    (void)nothing;
    terminate_on_corruption();
    HeapFree(heap, 0, freed);
}

static void free_nothing_of_ours(const void *nothing)
{
    terminate_on_corruption();
    HeapFree(heap, 0, (void *)(uintptr_t)nothing);
}

static void resize_freed(const void *nothing)
{
    (void)nothing;
    terminate_on_corruption();
    (void)HeapReAlloc(heap, 0, freed, 10);
}

START_TEST(bad_block_ends_the_process_once_that_was_asked_for) /* W32 2.7, W32 3.13 */
{
    static void (*const acts[])(const void *) = { free_twice, free_nothing_of_ours, resize_freed };
    static const char on_no_heap[64];
    to_terminate = _i % 2 ? GetProcessHeap() : NULL;
    child_dies(acts[_i / 2], on_no_heap, SIGABRT);
}
END_TEST

static void live_on(const void *nothing)
{
    (void)nothing;
    terminate_on_corruption();
    CHILD_NEEDS(!HeapValidate(heap, 0, freed) && HeapFree(heap, 0, NULL) && !HeapFree(NULL, 0, freed));
    CHILD_NEEDS(HeapReAlloc(heap, 0, NULL, 5) == NULL && HeapAlloc(heap, 0, SIZE_MAX) == NULL &&
                HeapDestroy(heap));
}

START_TEST(what_is_no_corruption_ends_nothing) { child_lives(live_on, NULL); }
END_TEST

static void add_compact_and_query(Suite *suite)
{
    TCase *compact = contract_case(suite, "compact");
    tcase_add_loop_test(compact, value_that_is_no_heap_is_refused_by_the_information_functions, 0, NO_HEAPS);
    tcase_add_loop_test(compact, compact_of_a_new_heap_is_above_0, 0, KINDS);
    tcase_add_loop_test(compact, compact_moves_nothing_and_says_what_a_walk_shows, 0, KINDS);
    tcase_add_loop_test(compact, compact_of_a_full_heap_is_0_or_what_is_left, 0, 5);
    tcase_add_test(compact, compact_gives_pages_back);
    tcase_add_test(compact, lock_holds_off_compact);
    TCase *query = contract_case(suite, "query");
    tcase_add_loop_test(query, query_answers_0_for_a_new_heap_in_four_bytes, 0, KINDS);
    tcase_add_loop_test(query, query_with_a_short_buffer_says_how_much_is_needed, 0, 4);
    tcase_add_loop_test(query, query_of_another_class_is_refused, 0, COUNT(other_classes));
}

static void add_set(Suite *suite)
{
    TCase *set = contract_case(suite, "set");
    tcase_add_loop_test(set, value_2_is_for_growable_serialized_heaps, 0, KINDS);
    tcase_add_loop_test(set, set_with_a_short_buffer_is_refused, 0, 4);
    tcase_add_loop_test(set, set_of_another_class_is_refused, 0, 6);
    tcase_add_loop_test(set, optimize_takes_one_heap_or_all, 0, KINDS);
    tcase_add_loop_test(set, bad_block_ends_the_process_once_that_was_asked_for, 0, 6);
    tcase_add_test(set, what_is_no_corruption_ends_nothing);
}

int main(void)
{
    Suite *suite = suite_create("contract info");
    add_compact_and_query(suite);
    add_set(suite);
    return contract_run(suite);
}
