/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_sized.c -- stacks of blocks that know their exact size, through the Win32 functions: how a thread
 * earns them, whose they are when heaps and threads come and go, and that they refuse what is no block. */
#include "check_heapapi.h"
#include "check_room.h"

#include <pthread.h>

enum { KB = 1024, MB = 1 << 20, PATIENCE = 400 };

#define WRONG(text)      (void *)(uintptr_t)(text) /* what a thread has to say at its end */
#define THREAD_NEEDS(ok) do { if (!(ok)) return WRONG(#ok); } while (0)

static HANDLE heap;

static struct heap *of(HANDLE handle) { return ph_heap_of_handle(handle); }

static void setup_heap(void)
{
    heap = HeapCreate(0, 0, 0);
    ck_assert_ptr_nonnull(heap);
}

static void teardown_heap(void)
{
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}

/* A slot may still lead to what this thread had in an ended heap of the same address. */
static bool has_stacks(HANDLE with) { return sized_local(with) != NULL && sized_local(with)->heap == of(with); }

/* This thread uses the heap until it has stacks there; false: it gets none. */
static bool earn(HANDLE with)
{
    for (int i = 0; i < PATIENCE && !has_stacks(with); i++)
        if (HeapFree(with, 0, HeapAlloc(with, 0, 64)) != TRUE) return false;
    return has_stacks(with);
}

/* After a stop the bias comes back only later. */
static bool is_biased_again(HANDLE with)
{
    for (int i = 0; i < 5000; i++) {
        if (!HeapFree(with, 0, HeapAlloc(with, 0, 64))) return false;
        if (sized_local(with)->biased) return true;
        ph_os_sleep(200000);
    }
    return false;
}

static void in_thread(void *(*body)(void *), void *with)
{
    pthread_t thread;
    void *wrong;
    ck_assert_int_eq(pthread_create(&thread, NULL, body, with), 0);
    pthread_join(thread, &wrong);
    ck_assert_msg(wrong == NULL, "%s", (const char *)wrong);
}

static uint64_t live(HANDLE with) { return room_sums(of(with)).live_blocks; }

/* Two threads take turns: each waits for its number. */
static uint32_t turn;

static void pass_turn(uint32_t to) { __atomic_store_n(&turn, to, __ATOMIC_RELEASE); }

static void await_turn(uint32_t mine)
{
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
        ph_os_yield();
}

/* ---- earning ---- */

START_TEST(stacks_are_earned_by_use)
{
    ck_assert_ptr_null(sized_local(heap));
    for (int i = 0; i < 10; i++)
        ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 100));
    ck_assert_ptr_null(sized_local(heap)); /* a heap of a few blocks costs little */
    ck_assert_uint_eq(of(heap)->local_count, 0);
    ck_assert(earn(heap));
    ck_assert_ptr_eq(sized_local(heap)->heap, of(heap));
    ck_assert_ptr_eq(sized_local(heap)->owner, ph_thread_self());
    ck_assert_uint_eq(of(heap)->local_count, 1);
}
END_TEST

START_TEST(every_flag_but_a_bound_lets_a_thread_earn)
{
    static const DWORD flags[] = {0, HEAP_NO_SERIALIZE, HEAP_GENERATE_EXCEPTIONS, HEAP_CREATE_ENABLE_EXECUTE};
    for (int i = 0; i < COUNT(flags); i++) {
        HANDLE one = HeapCreate(flags[i], 0, 0);
        ck_assert(earn(one));
        ck_assert_int_eq(HeapDestroy(one), TRUE);
    }
    HANDLE fixed = HeapCreate(0, 0, MB);
    ck_assert(!earn(fixed));
    ck_assert_int_eq(HeapDestroy(fixed), TRUE);
}
END_TEST

START_TEST(process_heap_has_both_kinds_of_stacks)
{
    struct heap *process = ph_heap_process();
    const struct local *plain = ph_local_attach(process);
    ck_assert(earn(process->handle));
    const struct local *sized = sized_local(process->handle);
    ck_assert_ptr_nonnull(plain);
    ck_assert_ptr_ne(sized, plain);
    ck_assert_uint_eq(plain->stride, 1);
    ck_assert_uint_eq(sized->stride, 2);
    void *block = room_alloc(process, 100, false);
    ck_assert_int_eq(HeapFree(process->handle, 0, block), TRUE);
    ck_assert_int_eq(HeapValidate(process->handle, 0, NULL), TRUE);
}
END_TEST

enum { HEAPS = THREAD_SLOTS + 60 };

static HANDLE many[HEAPS];

START_TEST(heaps_that_share_a_slot_keep_their_stacks)
{
    for (int i = 0; i < HEAPS; i++)
        ck_assert_ptr_nonnull(many[i] = HeapCreate(0, 64 * KB, 0));
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < HEAPS; i++) {
            char *block = NULL;
            for (int use = 0; use < 50; use++) {
                ck_assert_ptr_nonnull(block = HeapAlloc(many[i], 0, 200));
                memset(block, i, 200);
                if (use < 49) ck_assert_int_eq(HeapFree(many[i], 0, block), TRUE);
            }
            ck_assert_int_eq(HeapFree(many[(i + 1) % HEAPS], 0, block), FALSE); /* another heap's */
            ck_assert_uint_le(of(many[i])->local_count, 1);
        }
    int found = 0;
    for (int i = 0; i < HEAPS; i++) {
        ck_assert_uint_eq(of(many[i])->local_count, 1);
        ck_assert_uint_eq(live(many[i]), 4);
        found += sized_local(many[i]) != NULL;
        if (sized_local(many[i]) != NULL) ck_assert_ptr_eq(sized_local(many[i])->heap, of(many[i]));
    }
    ck_assert_int_lt(found, HEAPS); /* some do share one */
    for (int i = 0; i < HEAPS; i++)
        ck_assert_int_eq(HeapDestroy(many[i]), TRUE);
}
END_TEST

/* ---- heaps that end ---- */

static int stacks_of_this_thread(void)
{
    int count = 0;
    for (const struct local *lo = ph_thread->mine; lo != NULL; lo = lo->sibling)
        count++;
    return count;
}

START_TEST(stacks_of_ended_heaps_serve_again)
{
    for (int round = 0; round < 300; round++) {
        HANDLE one = HeapCreate(0, round % 2 ? 0 : 64 * KB, 0);
        ck_assert(earn(one));
        for (SIZE_T bytes = 0; bytes < 5000; bytes += 97)
            ck_assert_ptr_nonnull(HeapAlloc(one, 0, bytes));
        ck_assert_int_eq(HeapDestroy(one), TRUE);
        ck_assert_ptr_null(sized_local(one));
        ck_assert_int_le(stacks_of_this_thread(), 1);
    }
}
END_TEST

static void *end_it(void *with)
{
    THREAD_NEEDS(HeapDestroy(with));
    return NULL;
}

START_TEST(heap_that_another_thread_ended_is_gone) /* W32 2.2, 3.2 */
{
    HANDLE one = HeapCreate(0, 3 * MB, 0);
    ck_assert(earn(one));
    void *block = HeapAlloc(one, 0, 64);
    in_thread(end_it, one);
    ck_assert_ptr_null(ASK(HeapAlloc(one, 0, 64)));
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(ASK(HeapFree(one, 0, block)), FALSE);
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_int_eq(HeapValidate(one, 0, block), FALSE);
}
END_TEST

static HANDLE successor;

static void *end_it_and_begin_another(void *with)
{
    THREAD_NEEDS(HeapDestroy(with));
    successor = HeapCreate(0, 3 * MB, 0);
    THREAD_NEEDS(successor != NULL);
    return NULL;
}

START_TEST(heap_at_the_address_of_an_ended_one_is_another) /* W32 3.2 */
{
    for (int round = 0; round < 20; round++) {
        void *old[100];
        HANDLE one = HeapCreate(0, 3 * MB, 0);
        ck_assert(earn(one));
        for (int i = 0; i < 100; i++)
            old[i] = HeapAlloc(one, 0, 64);
        for (int i = 0; i < 50; i++)
            ck_assert_int_eq(HeapFree(one, 0, old[i]), TRUE); /* in our stacks */
        in_thread(end_it_and_begin_another, one);
        ck_assert_ptr_eq(successor, one); /* the same address, by design of the cache */
        for (int i = 0; i < 100; i++) {
            ck_assert_int_eq(ASK(HeapFree(successor, 0, old[i])), FALSE);
            ck_assert_last(ERROR_INVALID_PARAMETER);
        }
        ck_assert_uint_eq(live(successor), 0);
        ck_assert(earn(successor));
        ck_assert_ptr_eq(sized_local(successor)->heap, of(successor));
        for (int i = 0; i < 100; i++)
            memset(old[i] = HeapAlloc(successor, 0, 64), i, 64);
        for (int i = 0; i < 100; i++)
            ck_assert_int_eq(*(unsigned char *)old[i], i);
        ck_assert_uint_eq(live(successor), 100);
        ck_assert_int_eq(HeapValidate(successor, 0, NULL), TRUE);
        ck_assert_int_eq(HeapDestroy(successor), TRUE);
        ck_assert_int_le(stacks_of_this_thread(), 2);
    }
}
END_TEST

static void *end_all(void *nothing)
{
    (void)nothing;
    for (int i = 0; i < HEAPS; i++)
        THREAD_NEEDS(HeapDestroy(many[i]));
    return NULL;
}

START_TEST(stacks_of_heaps_that_another_thread_ended_serve_again)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < HEAPS; i++)
            ck_assert(earn(many[i] = HeapCreate(0, 64 * KB, 0)));
        in_thread(end_all, NULL);
        ck_assert_int_le(stacks_of_this_thread(), HEAPS + 1);
    }
}
END_TEST

START_TEST(stacks_of_an_ended_heap_stay_their_owners)
{
    HANDLE mortal = HeapCreate(0, 64 * KB, 0);
    ck_assert(earn(mortal));
    struct local *lo = sized_local(mortal);
    in_thread(end_it, mortal);
    ck_assert_ptr_null(lo->heap);
    ck_assert(!ph_local_detach(lo)); /* nobody else may have them */
    ck_assert_uint_eq(lo->state, LOCAL_DEAD);
    ck_assert(earn(heap));
    ck_assert_ptr_eq(sized_local(heap), lo);
}
END_TEST

/* ---- threads that end ---- */

static void *fill_stacks_and_end(void *kept)
{
    void **keep = kept, *block[300];
    THREAD_NEEDS(earn(heap));
    for (int i = 0; i < 300; i++)
        THREAD_NEEDS((block[i] = HeapAlloc(heap, 0, (SIZE_T)i * 9)) != NULL);
    for (int i = 0; i < 299; i++)
        THREAD_NEEDS(HeapFree(heap, 0, block[i]));
    *keep = block[299];
    return NULL;
}

START_TEST(thread_that_ends_gives_its_stacks_back)
{
    void *keep;
    for (int round = 0; round < 10; round++) {
        in_thread(fill_stacks_and_end, &keep);
        ck_assert_uint_eq(live(heap), 1);
        ck_assert_uint_eq(HeapSize(heap, 0, keep), 299 * 9);
        ck_assert_int_eq(HeapFree(heap, 0, keep), TRUE);
        ck_assert_uint_eq(of(heap)->local_count, 1); /* the next has them */
        ck_assert_int_eq(of(heap)->locals->state, LOCAL_POOLED);
    }
}
END_TEST

static pthread_key_t late_key;

static void use_heap_late(void *block)
{
    if (!HeapFree(heap, 0, block) || HeapAlloc(heap, 0, 64) == NULL) abort();
}

static void *end_with_a_destructor(void *nothing)
{
    (void)nothing;
    THREAD_NEEDS(pthread_setspecific(late_key, HeapAlloc(heap, 0, 64)) == 0);
    THREAD_NEEDS(earn(heap));
    return NULL;
}

START_TEST(destructors_of_a_thread_may_use_the_heap)
{
    ck_assert_int_eq(pthread_key_create(&late_key, use_heap_late), 0);
    for (int round = 0; round < 5; round++)
        in_thread(end_with_a_destructor, NULL);
    ck_assert_uint_eq(live(heap), 5);
    pthread_key_delete(late_key);
}
END_TEST

/* ---- HeapLock: W32 3.9 ---- */

enum { WORKERS = 3 };

static uint64_t strokes;
static uint32_t running;

static void *hammer(void *nothing)
{
    (void)nothing;
    THREAD_NEEDS(earn(heap));
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
        void *block = HeapAlloc(heap, 0, 64);
        THREAD_NEEDS(block != NULL && HeapFree(heap, 0, block));
        __atomic_add_fetch(&strokes, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

START_TEST(lock_keeps_threads_with_stacks_out)
{
    pthread_t thread[WORKERS];
    running = 1;
    strokes = 0;
    for (int t = 0; t < WORKERS; t++)
        ck_assert_int_eq(pthread_create(&thread[t], NULL, hammer, NULL), 0);
    for (int round = 0; round < 30; round++) {
        const uint64_t enough = __atomic_load_n(&strokes, __ATOMIC_RELAXED) + 1000;
        while (__atomic_load_n(&strokes, __ATOMIC_RELAXED) < enough)
            ph_os_yield();
        ck_assert_int_eq(HeapLock(heap), TRUE);
        const uint64_t before = __atomic_load_n(&strokes, __ATOMIC_RELAXED), blocks = live(heap);
        for (int i = 0; i < 50; i++)
            ph_os_yield();
        ck_assert_uint_le(__atomic_load_n(&strokes, __ATOMIC_RELAXED), before + WORKERS); /* done inside before */
        ck_assert_uint_eq(live(heap), blocks);
        void *mine = HeapAlloc(heap, 0, 100); /* the owner may use everything */
        ck_assert_ptr_nonnull(mine);
        ck_assert_uint_eq(live(heap), blocks + 1);
        ck_assert_int_eq(HeapFree(heap, 0, mine), TRUE);
        ck_assert_int_eq(HeapUnlock(heap), TRUE);
    }
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
    for (int t = 0; t < WORKERS; t++) {
        void *wrong;
        pthread_join(thread[t], &wrong);
        ck_assert_msg(wrong == NULL, "%s", (const char *)wrong);
    }
    ck_assert_uint_eq(live(heap), 0);
}
END_TEST

static void *lock_and_wait(void *nothing)
{
    (void)nothing;
    THREAD_NEEDS(HeapLock(heap));
    pass_turn(1);
    await_turn(2);
    THREAD_NEEDS(HeapUnlock(heap));
    return NULL;
}

START_TEST(call_without_serialisation_passes_a_lock) /* W32 2.3 */
{
    pthread_t thread;
    void *wrong, *block[20];
    ck_assert(earn(heap));
    pass_turn(0);
    ck_assert_int_eq(pthread_create(&thread, NULL, lock_and_wait, NULL), 0);
    await_turn(1);
    for (int i = 0; i < 20; i++) {
        block[i] = HeapAlloc(heap, HEAP_NO_SERIALIZE | (i % 2 ? HEAP_ZERO_MEMORY : 0), 64);
        ck_assert_uint_eq(HeapSize(heap, HEAP_NO_SERIALIZE, block[i]), 64);
    }
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(HeapFree(heap, HEAP_NO_SERIALIZE, block[i]), TRUE);
    pass_turn(2);
    pthread_join(thread, &wrong);
    ck_assert_ptr_null(wrong);
    ck_assert(is_biased_again(heap));
}
END_TEST

static void *fill_stacks_and_end_when_told(void *nothing)
{
    void *keep;
    (void)nothing;
    const char *wrong = fill_stacks_and_end(&keep);
    THREAD_NEEDS(HeapFree(heap, 0, keep));
    pass_turn(1);
    await_turn(2);
    return WRONG(wrong);
}

START_TEST(thread_that_ends_under_a_lock_changes_nothing)
{
    pthread_t thread;
    void *wrong, *keep;
    pass_turn(0);
    ck_assert_int_eq(pthread_create(&thread, NULL, fill_stacks_and_end_when_told, NULL), 0);
    await_turn(1);
    ck_assert_int_eq(HeapLock(heap), TRUE);
    const uint64_t before = live(heap);
    pass_turn(2);
    pthread_join(thread, &wrong);
    ck_assert_ptr_null(wrong);
    ck_assert_uint_eq(live(heap), before);
    ck_assert_int_eq(of(heap)->locals->state, LOCAL_ORPHAN);
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    in_thread(fill_stacks_and_end, &keep); /* the heir */
    ck_assert_uint_eq(of(heap)->local_count, 1);
    ck_assert_uint_eq(live(heap), 1);
}
END_TEST

/* ---- stops ---- */

START_TEST(stopped_stacks_serve_on_and_are_biased_again)
{
    ck_assert(earn(heap));
    for (int round = 0; round < 5; round++) {
        ck_assert(is_biased_again(heap));
        void *block = HeapAlloc(heap, 0, 77), *other = HeapAlloc(heap, 0, 77);
        ck_assert_int_eq(HeapFree(heap, 0, other), TRUE);
        ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
        ck_assert_uint_eq(sized_local(heap)->biased, 0);
        ck_assert_uint_eq(live(heap), 1);
        void *again = HeapAlloc(heap, HEAP_ZERO_MEMORY, 70);
        ck_assert_ptr_ne(again, block);
        ck_assert_uint_eq(HeapSize(heap, 0, again), 70);
        ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
        ck_assert_int_eq(HeapFree(heap, 0, again), TRUE);
    }
}
END_TEST

START_TEST(walk_never_shows_a_block_of_a_stack_as_busy) /* W32 3.10 */
{
    void *block[200];
    ck_assert(earn(heap));
    for (int i = 0; i < 200; i++)
        block[i] = HeapAlloc(heap, 0, (SIZE_T)i);
    for (int i = 0; i < 200; i += 2)
        ck_assert_int_eq(HeapFree(heap, 0, block[i]), TRUE);
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    int busy = 0;
    SIZE_T sum = 0;
    while (HeapWalk(heap, &entry))
        if (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) {
            busy++;
            sum += entry.cbData;
        }
    ck_assert_int_eq(busy, 100);
    ck_assert_uint_eq(sum, 100 * 100);
}
END_TEST

/* ---- sizes ---- */

START_TEST(every_size_is_exact) /* W32 2.5, 2.4 */
{
    static char *block[CLASS_BYTES + 2];
    ck_assert(earn(heap));
    for (SIZE_T bytes = (SIZE_T)_i; bytes <= CLASS_BYTES + 1; bytes += 4) {
        ck_assert_ptr_nonnull(block[bytes] = HeapAlloc(heap, bytes % 8 < 4 ? HEAP_ZERO_MEMORY : 0, bytes));
        ck_assert_uint_eq((uintptr_t)block[bytes] % 16, 0);
        if (bytes % 8 < 4)
            for (SIZE_T i = 0; i < bytes; i++)
                if (block[bytes][i] != 0) ck_abort_msg("%zu bytes: byte %zu is not zero", bytes, i);
        memset(block[bytes], 0xff, bytes);
        if (bytes % 128 == 0) ck_assert_int_eq(HeapFree(heap, 0, HeapAlloc(heap, 0, bytes)), TRUE);
    }
    for (SIZE_T bytes = (SIZE_T)_i; bytes <= CLASS_BYTES + 1; bytes += 4) {
        ck_assert_uint_eq(HeapSize(heap, 0, block[bytes]), bytes);
        ck_assert_int_eq(HeapValidate(heap, 0, block[bytes]), TRUE);
    }
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    for (SIZE_T bytes = (SIZE_T)_i; bytes <= CLASS_BYTES + 1; bytes += 4)
        ck_assert_int_eq(HeapFree(heap, 0, block[bytes]), TRUE);
    ck_assert_uint_eq(live(heap), 0);
}
END_TEST

START_TEST(resized_block_has_its_new_size_and_goes_back) /* W32 3.4 */
{
    ck_assert(earn(heap));
    for (SIZE_T from = 0; from < 3000; from += 171)
        for (SIZE_T to = 0; to < 3000; to += 113) {
            unsigned char *block = HeapAlloc(heap, 0, from);
            memset(block, 0x5a, from);
            block = HeapReAlloc(heap, HEAP_ZERO_MEMORY, block, to);
            ck_assert_ptr_nonnull(block);
            ck_assert_uint_eq(HeapSize(heap, 0, block), to);
            for (SIZE_T i = 0; i < to; i++)
                if (block[i] != (i < from ? 0x5a : 0)) ck_abort_msg("byte %zu", i);
            ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
        }
    ck_assert_uint_eq(live(heap), 0);
}
END_TEST

/* ---- what is no block: W32 2.7, 3.5 ---- */

static void check_refused(void *at)
{
    ck_assert_int_eq(ASK(HeapFree(heap, 0, at)), FALSE);
    ck_assert_last(ERROR_INVALID_PARAMETER);
}

static const SIZE_T sizes[] = {0, 1, 16, 64, 100, 240, 1000, 1024, 3000, 4096, 10000, 16384};

START_TEST(second_free_is_refused_wherever_the_block_is)
{
    enum { BLOCKS = 150 };
    void *block[BLOCKS];
    ck_assert(earn(heap));
    for (int i = 0; i < BLOCKS; i++)
        block[i] = HeapAlloc(heap, 0, sizes[_i]);
    for (int i = 0; i < BLOCKS; i++) {
        ck_assert_int_eq(HeapFree(heap, 0, block[i]), TRUE);
        check_refused(block[i]);
        if (i > 0) check_refused(block[i / 2]); /* in a page by now, or its page is gone */
    }
    ck_assert_uint_eq(live(heap), 0);
    for (int i = 0; i < BLOCKS; i++) {
        check_refused(block[i]);
        ck_assert_uint_eq(HeapSize(heap, 0, block[i]), (SIZE_T)-1);
        ck_assert_ptr_null(HeapReAlloc(heap, 0, block[i], 10));
    }
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
}
END_TEST

START_TEST(address_inside_a_block_is_refused)
{
    ck_assert(earn(heap));
    char *block[40];
    for (int i = 0; i < 40; i++)
        block[i] = HeapAlloc(heap, 0, sizes[_i]);
    for (int i = 20; i < 40; i++)
        for (SIZE_T at = 1; at < sizes[_i]; at = at < 70 ? at + 1 : at * 5 / 4)
            check_refused(block[i] + at);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(HeapFree(heap, 0, block[i]), TRUE);
    ck_assert_uint_eq(live(heap), 0);
}
END_TEST

START_TEST(block_that_was_never_given_is_refused)
{
    ck_assert(earn(heap));
    char *block = HeapAlloc(heap, 0, 64);
    const struct span *pg = ph_span_at(entry_span(map_get(block)));
    for (unsigned i = 0; i < pg->capacity; i++)
        if (ph_page_block(pg, i) != block) check_refused(ph_page_block(pg, i));
    check_refused(heap);
    ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
}
END_TEST

/* ---- threads that share a heap ---- */

enum { SHARED = 64 };

static struct parcel {
    SIZE_T bytes;
    unsigned char mark;
} *shared[SHARED];

/* Take a place's parcel away and free it, or put a new one there: most are freed by another thread. */
static void *trade(void *number)
{
    uint64_t random = (uintptr_t)number;
    for (int i = 0; i < 30000; i++) {
        struct parcel *mine = NULL;
        const uint32_t place = room_random(&random) % SHARED;
        if (room_random(&random) % 2) {
            const SIZE_T bytes = sizeof *mine + room_random(&random) % 2000;
            THREAD_NEEDS((mine = HeapAlloc(heap, 0, bytes)) != NULL);
            *mine = (struct parcel){bytes, (unsigned char)i};
            memset(mine + 1, i, bytes - sizeof *mine);
        }
        mine = __atomic_exchange_n(&shared[place], mine, __ATOMIC_ACQ_REL);
        if (mine == NULL) continue;
        THREAD_NEEDS(HeapSize(heap, 0, mine) == mine->bytes);
        for (SIZE_T at = sizeof *mine; at < mine->bytes; at += 37)
            THREAD_NEEDS(((unsigned char *)mine)[at] == mine->mark);
        THREAD_NEEDS(HeapFree(heap, 0, mine));
        if (i % 5000 == 4999) THREAD_NEEDS(HeapValidate(heap, 0, NULL));
    }
    return NULL;
}

START_TEST(blocks_go_from_thread_to_thread)
{
    pthread_t thread[WORKERS];
    memset(shared, 0, sizeof shared);
    for (uintptr_t t = 0; t < WORKERS; t++)
        ck_assert_int_eq(pthread_create(&thread[t], NULL, trade, (void *)(t + 1)), 0);
    for (int t = 0; t < WORKERS; t++) {
        void *wrong;
        pthread_join(thread[t], &wrong);
        ck_assert_msg(wrong == NULL, "%s", (const char *)wrong);
    }
    for (int i = 0; i < SHARED; i++)
        ck_assert_int_eq(HeapFree(heap, 0, shared[i]), TRUE);
    ck_assert_uint_eq(live(heap), 0);
}
END_TEST

/* ---- fork ---- */

static void *kept_by_thread[50];

static void *earn_and_wait(void *nothing)
{
    (void)nothing;
    THREAD_NEEDS(earn(heap));
    for (int i = 0; i < 50; i++)
        THREAD_NEEDS((kept_by_thread[i] = HeapAlloc(heap, 0, 64)) != NULL);
    for (int i = 25; i < 50; i++)
        THREAD_NEEDS(HeapFree(heap, 0, kept_by_thread[i]));
    pass_turn(1);
    await_turn(2);
    return NULL;
}

static void *earn_in_child(void *nothing)
{
    THREAD_NEEDS(earn(heap));
    return nothing;
}

static void use_heap_in_child(void *nothing)
{
    pthread_t thread;
    void *wrong;
    (void)nothing;
    alarm(60);
    CHILD_NEEDS(sized_local(heap) != NULL && sized_local(heap)->heap == of(heap));
    for (int i = 0; i < 300; i++)
        CHILD_NEEDS(HeapFree(heap, 0, HeapAlloc(heap, 0, (SIZE_T)i)));
    for (int i = 0; i < 25; i++)
        CHILD_NEEDS(HeapFree(heap, 0, kept_by_thread[i]));
    for (int i = 0; i < 50; i++)
        CHILD_NEEDS(!HeapFree(heap, 0, kept_by_thread[i]));
    CHILD_NEEDS(HeapValidate(heap, 0, NULL) && live(heap) == 1);
    CHILD_NEEDS(pthread_create(&thread, NULL, earn_in_child, NULL) == 0);
    CHILD_NEEDS(pthread_join(thread, &wrong) == 0 && wrong == NULL);
    CHILD_NEEDS(of(heap)->local_count == 2); /* it had what the vanished thread left */
    CHILD_NEEDS(HeapDestroy(heap));
}

START_TEST(child_of_a_fork_has_its_stacks_and_inherits_the_others)
{
    pthread_t thread;
    void *wrong, *mine;
    if (room_is_thread_sanitized() || is_emulated()) return;
    ck_assert(earn(heap));
    ck_assert_ptr_nonnull(mine = HeapAlloc(heap, 0, 1000));
    pass_turn(0);
    ck_assert_int_eq(pthread_create(&thread, NULL, earn_and_wait, NULL), 0);
    await_turn(1);
    room_lives(use_heap_in_child, NULL);
    pass_turn(2);
    pthread_join(thread, &wrong);
    ck_assert_ptr_null(wrong);
    ck_assert_uint_eq(live(heap), 26);
    ck_assert_int_eq(HeapFree(heap, 0, mine), TRUE);
}
END_TEST

static void add_lives(Suite *suite)
{
    TCase *ends = room_case(suite, "heaps end", setup_heap, teardown_heap);
    tcase_add_test(ends, stacks_of_ended_heaps_serve_again);
    tcase_add_test(ends, heap_that_another_thread_ended_is_gone);
    tcase_add_test(ends, heap_at_the_address_of_an_ended_one_is_another);
    tcase_add_test(ends, stacks_of_heaps_that_another_thread_ended_serve_again);
    tcase_add_test(ends, stacks_of_an_ended_heap_stay_their_owners);
    TCase *threads = room_case(suite, "threads end", setup_heap, teardown_heap);
    tcase_add_test(threads, thread_that_ends_gives_its_stacks_back);
    tcase_add_test(threads, destructors_of_a_thread_may_use_the_heap);
    TCase *lock = room_case(suite, "lock", setup_heap, teardown_heap);
    tcase_add_test(lock, lock_keeps_threads_with_stacks_out);
    tcase_add_test(lock, call_without_serialisation_passes_a_lock);
    tcase_add_test(lock, thread_that_ends_under_a_lock_changes_nothing);
    tcase_add_test(lock, stopped_stacks_serve_on_and_are_biased_again);
    tcase_add_test(lock, walk_never_shows_a_block_of_a_stack_as_busy);
    TCase *shares = room_case(suite, "threads, fork", setup_heap, teardown_heap);
    tcase_add_test(shares, blocks_go_from_thread_to_thread);
    tcase_add_test(shares, child_of_a_fork_has_its_stacks_and_inherits_the_others);
}

int main(void)
{
    Suite *suite = suite_create("sized");
    TCase *earned = room_case(suite, "earn", setup_heap, teardown_heap);
    tcase_add_test(earned, stacks_are_earned_by_use);
    tcase_add_test(earned, every_flag_but_a_bound_lets_a_thread_earn);
    tcase_add_test(earned, process_heap_has_both_kinds_of_stacks);
    tcase_add_test(earned, heaps_that_share_a_slot_keep_their_stacks);
    add_lives(suite);
    TCase *size = room_case(suite, "sizes", setup_heap, teardown_heap);
    tcase_add_loop_test(size, every_size_is_exact, 0, 4);
    tcase_add_test(size, resized_block_has_its_new_size_and_goes_back);
    TCase *bad = room_case(suite, "bad", setup_heap, teardown_heap);
    tcase_add_loop_test(bad, second_free_is_refused_wherever_the_block_is, 0, COUNT(sizes));
    tcase_add_loop_test(bad, address_inside_a_block_is_refused, 0, COUNT(sizes));
    tcase_add_test(bad, block_that_was_never_given_is_refused);
    return room_run(suite);
}
