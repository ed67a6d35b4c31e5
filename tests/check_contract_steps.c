/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_steps.c -- the state of a walk (W32 3.10): it is all in the entry, so that walks may be
 * copied, interleaved and abandoned; what happens to an entry whose block is gone; walks of a heap that
 * others use. */
#include <stdatomic.h>

#include "check_contract.h"

static const struct kind *kind;
static HANDLE heap;
enum { BLOCKS = 40 };
static unsigned char *block[BLOCKS];

#define NEED(cond) ck_assert_msg(cond, "%s: %s", kind->name, #cond)

static void begin(int which)
{
    kind = &kinds[which];
    heap = kind_open(kind);
    for (int i = 0; i < BLOCKS; i++)
        NEED((block[i] = HeapAlloc(heap, kind->call_flags, 20 * (size_t)i)) != NULL);
}

static void end(void)
{
    for (int i = 0; i < BLOCKS; i++)
        if (block[i]) NEED(HeapFree(heap, kind->call_flags, block[i]) == TRUE);
    kind_close(kind, heap);
}

static PROCESS_HEAP_ENTRY nothing_yet(int garbage)
{
    PROCESS_HEAP_ENTRY entry;
    memset(&entry, garbage, sizeof entry);
    entry.lpData = NULL;
    return entry;
}

START_TEST(first_step_ignores_all_fields_but_one)
{
    static const int garbage[] = { 0, 0xCD, 0xFF, 1, 0x80 };
    begin(_i);
    PROCESS_HEAP_ENTRY first = nothing_yet(0);
    NEED(HeapWalk(heap, &first));
    NEED(first.lpData == heap && first.wFlags == PROCESS_HEAP_REGION && first.iRegionIndex == 0);
    for (int i = 0; i < COUNT(garbage); i++) {
        PROCESS_HEAP_ENTRY entry = nothing_yet(garbage[i]);
        NEED(ASK(HeapWalk(heap, &entry)) == TRUE);
        ck_assert_last(SENTINEL);
        NEED(memcmp(&entry, &first, sizeof entry) == 0);
    }
    end();
}
END_TEST

START_TEST(copies_and_interleaved_walks_go_their_own_ways)
{
    begin(_i);
    PROCESS_HEAP_ENTRY one = nothing_yet(0xCD);
    int steps = 0;
    while (HeapWalk(heap, &one)) {
        PROCESS_HEAP_ENTRY copy = one, other = nothing_yet(0x11);
        const int left = steps % 7;
        for (int i = 0; i < left; i++) /* on with the copy, which is then abandoned */
            if (!HeapWalk(heap, &copy)) break;
        for (int i = 0; i <= steps; i++) /* a second one from the start comes to the same place */
            NEED(HeapWalk(heap, &other) == TRUE);
        NEED(memcmp(&one, &other, sizeof one) == 0);
        steps++;
    }
    NEED(steps > BLOCKS);
    end();
}
END_TEST

START_TEST(end_is_said_each_time_and_a_new_walk_begins)
{
    begin(_i);
    PROCESS_HEAP_ENTRY entry = nothing_yet(0xCD);
    while (HeapWalk(heap, &entry)) continue;
    for (int i = 0; i < 3; i++) {
        NEED(ASK(HeapWalk(heap, &entry)) == FALSE);
        ck_assert_last(ERROR_NO_MORE_ITEMS);
    }
    entry.lpData = NULL;
    NEED(ASK(HeapWalk(heap, &entry)) == TRUE && entry.lpData == heap);
    ck_assert_last(SENTINEL);
    end();
}
END_TEST

START_TEST(null_entry_is_refused)
{
    begin(_i);
    NEED(ASK(HeapWalk(heap, NULL)) == FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    end();
}
END_TEST

START_TEST(entry_that_names_nothing_here_is_refused)
{
    static char on_no_heap[64];
    begin(_i);
    HANDLE other = HeapCreate(0, 0, 0);
    void *others = HeapAlloc(other, 0, 300), *large = HeapAlloc(other, 0, 3 * MB);
    void *const names[] = {
        on_no_heap,
        &kind,
        (char *)heap + 1,
        block[30] + 1,
        block[30] + 8,
        block[30] + 32,
        block[30] + 599,
        other,
        others,
        large,
        (void *)(uintptr_t)1,
        (void *)(uintptr_t)0xDEAD0000BEEF0000,
        (void *)(uintptr_t)0x8000000000000000,
        (void *)(uintptr_t)-1,
        (void *)(uintptr_t)0x00007ABCDEF01230,
    };
    static const WORD flags[] = { 0, PROCESS_HEAP_REGION, PROCESS_HEAP_UNCOMMITTED_RANGE,
                                  PROCESS_HEAP_ENTRY_BUSY };
    for (int i = 0; i < COUNT(names); i++) {
        for (int j = 0; j < COUNT(flags); j++) {
            PROCESS_HEAP_ENTRY entry = nothing_yet(0);
            NEED(HeapWalk(heap, &entry));
            entry.lpData = names[i];
            entry.wFlags = flags[j];
            const BOOL more = ASK(HeapWalk(heap, &entry));
            ck_assert_msg(more == FALSE && GetLastError() == ERROR_INVALID_PARAMETER,
                          "%s, name %d, flags %u: %d, %u", kind->name, i, flags[j], more, GetLastError());
        }
    }
    ck_assert_int_eq(HeapDestroy(other), TRUE);
    end();
}
END_TEST

/* Its block is gone: the place where it was still tells what comes next, or it is refused; never a crash, a
 * gap in what follows, or a walk without end. */
START_TEST(block_freed_between_steps_does_not_stop_the_walk)
{
    begin(_i);
    PROCESS_HEAP_ENTRY entry = nothing_yet(0xCD);
    int seen = 0, freed = 0, steps = 0;
    while (ASK(HeapWalk(heap, &entry))) {
        NEED(++steps < 5000);
        if (entry.wFlags != PROCESS_HEAP_ENTRY_BUSY) continue;
        for (int i = 0; i < BLOCKS; i++) {
            if (block[i] != entry.lpData) continue;
            seen++;
            if (seen % 3 != 0) continue;
            NEED(HeapFree(heap, kind->call_flags, block[i]) == TRUE);
            block[i] = NULL;
            freed++;
        }
    }
    ck_assert_last(ERROR_NO_MORE_ITEMS);
    NEED(seen == BLOCKS);
    NEED(freed == BLOCKS / 3);
    end();
}
END_TEST

START_TEST(walk_that_frees_all_it_meets_empties_the_heap)
{
    begin(_i);
    if (!kind->process) {
        PROCESS_HEAP_ENTRY entry = nothing_yet(0xCD);
        int steps = 0;
        while (ASK(HeapWalk(heap, &entry))) {
            NEED(++steps < 5000);
            if (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY)
                NEED(HeapFree(heap, kind->call_flags, entry.lpData) == TRUE);
        }
        ck_assert_last(ERROR_NO_MORE_ITEMS);
        memset(block, 0, sizeof block);
        entry = nothing_yet(0);
        while (HeapWalk(heap, &entry)) NEED(!(entry.wFlags & PROCESS_HEAP_ENTRY_BUSY));
    }
    end();
}
END_TEST

/* It lies in no region, so nothing says where the walk was. */
START_TEST(large_block_freed_between_steps_ends_the_walk)
{
    void *large[5];
    begin(0);
    for (int i = 0; i < 5; i++) large[i] = HeapAlloc(heap, 0, (2 + (size_t)i) * MB);
    PROCESS_HEAP_ENTRY entry = nothing_yet(0xCD);
    int seen = 0, left = 5;
    while (ASK(HeapWalk(heap, &entry))) {
        if (entry.cbData < 2 * MB || entry.wFlags != PROCESS_HEAP_ENTRY_BUSY) continue;
        if (seen++ == _i) left -= HeapFree(heap, 0, entry.lpData) == TRUE;
    }
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(seen, _i + 1);
    for (int i = 0; i < 5; i++) left -= HeapFree(heap, 0, large[i]) == TRUE;
    ck_assert_int_eq(left, 0);
    NEED(HeapValidate(heap, 0, NULL));
    end();
}
END_TEST

START_TEST(owner_of_the_lock_may_walk)
{
    begin(_i);
    NEED(HeapLock(heap) && HeapLock(heap));
    PROCESS_HEAP_ENTRY entry = nothing_yet(0xCD);
    int busy = 0;
    while (ASK(HeapWalk(heap, &entry)))
        for (int i = 0; i < BLOCKS; i++)
            busy += block[i] == entry.lpData && entry.wFlags == PROCESS_HEAP_ENTRY_BUSY;
    ck_assert_last(ERROR_NO_MORE_ITEMS);
    NEED(busy == BLOCKS);
    NEED(HeapUnlock(heap) && HeapUnlock(heap));
    end();
}
END_TEST

/* ---- others use the heap meanwhile ---- */

static atomic_bool halt;
static atomic_int turns;

static void *use_heap(void *seed)
{
    enum { SLOTS = 50 };
    void *slot[SLOTS] = { NULL };
    uint64_t state = (uintptr_t)seed;
    for (int i = 0; !atomic_load(&halt); i++) {
        void **at = &slot[dice(&state) % SLOTS];
        const size_t bytes = dice(&state) % (i % 50 ? 1500 : 60000);
        if (*at && i % 5 == 0) {
            void *moved = HeapReAlloc(heap, 0, *at, bytes);
            if (moved) *at = moved;
        } else if (*at) {
            if (!HeapFree(heap, 0, *at)) abort();
            *at = NULL;
        } else {
            *at = HeapAlloc(heap, 0, bytes);
        }
        atomic_fetch_add(&turns, 1);
    }
    for (int i = 0; i < SLOTS; i++)
        if (!HeapFree(heap, 0, slot[i])) abort();
    return NULL;
}

static int by_address(const void *a, const void *b)
{
    const uintptr_t one = *(const uintptr_t *)a, two = *(const uintptr_t *)b;
    return one < two ? -1 : one > two;
}

enum { MOST = 1 << 15 };
static uintptr_t busy[MOST];

/* One walk, busy entries sorted; without the lock a step may find its place gone and is then refused. */
static int busy_entries(bool locked)
{
    PROCESS_HEAP_ENTRY entry = nothing_yet(0xCD);
    int count = 0, steps = 0;
    if (locked) ck_assert_int_eq(HeapLock(heap), TRUE);
    while (ASK(HeapWalk(heap, &entry))) {
        ck_assert_int_lt(++steps, 1000000);
        if (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY && count < MOST) busy[count++] = (uintptr_t)entry.lpData;
    }
    const DWORD error = GetLastError();
    if (locked) ck_assert_int_eq(HeapUnlock(heap), TRUE);
    ck_assert(error == ERROR_NO_MORE_ITEMS || (!locked && error == ERROR_INVALID_PARAMETER));
    qsort(busy, (size_t)count, sizeof *busy, by_address);
    return count;
}

START_TEST(walk_of_a_heap_in_use_shows_no_busy_entry_twice)
{
    static const int of[] = { 0, 4, 10 }; /* growable, process heap, fixed */
    enum { THREADS = 3 };
    pthread_t thread[THREADS];
    const bool locked = _i % 2;
    begin(of[_i / 2]);
    atomic_store(&halt, false);
    atomic_store(&turns, 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, use_heap, (void *)(i + 1)), 0);
    for (int i = 0; i < 60 || (atomic_load(&turns) < 20000 && i < 2000); i++) {
        const int count = busy_entries(locked);
        for (int j = 1; j < count; j++) NEED(busy[j] != busy[j - 1]);
        for (int j = 0; j < BLOCKS; j++) /* those that nobody touches are there each time */
            if (locked)
                NEED(bsearch(&(uintptr_t){ (uintptr_t)block[j] }, busy, (size_t)count, sizeof *busy,
                             by_address));
    }
    atomic_store(&halt, true);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    if (!kind->process) NEED(busy_entries(false) == BLOCKS);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract steps");
    TCase *steps = contract_case(suite, "steps");
    tcase_add_loop_test(steps, first_step_ignores_all_fields_but_one, 0, KINDS);
    tcase_add_loop_test(steps, copies_and_interleaved_walks_go_their_own_ways, 0, KINDS);
    tcase_add_loop_test(steps, end_is_said_each_time_and_a_new_walk_begins, 0, KINDS);
    tcase_add_loop_test(steps, null_entry_is_refused, 0, KINDS);
    tcase_add_loop_test(steps, entry_that_names_nothing_here_is_refused, 0, KINDS);
    tcase_add_loop_test(steps, block_freed_between_steps_does_not_stop_the_walk, 0, KINDS);
    tcase_add_loop_test(steps, walk_that_frees_all_it_meets_empties_the_heap, 0, KINDS);
    tcase_add_loop_test(steps, large_block_freed_between_steps_ends_the_walk, 0, 2);
    tcase_add_loop_test(steps, owner_of_the_lock_may_walk, 0, KINDS);
    TCase *busy_heap = contract_case(suite, "heap in use");
    tcase_add_loop_test(busy_heap, walk_of_a_heap_in_use_shows_no_busy_entry_twice, 0, 6);
    return contract_run(suite);
}
