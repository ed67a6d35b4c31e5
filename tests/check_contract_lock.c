/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_lock.c -- HeapLock, HeapUnlock and serialisation (W32 2.3, 3.9, D9 - D11): who is held off
 * and who is not, and what becomes of a lock whose thread ends or whose process forks. */
#include <semaphore.h>
#include <stdatomic.h>

#include "check_contract.h"

static HANDLE heap;
static unsigned char *block, *spare, *resized;

static void setup_heap(DWORD flags, SIZE_T maximum)
{
    heap = HeapCreate(flags, 0, maximum);
    block = HeapAlloc(heap, 0, 100);
    spare = HeapAlloc(heap, 0, 3000);
    resized = HeapAlloc(heap, 0, 100);
    ck_assert(block && spare && resized);
    HeapFree(heap, 0,
             HeapAlloc(heap, 0, 64)); /* leaves something in this thread's stacks, if there are such */
}

/* ---- what another thread may try ---- */

static DWORD call_flags;

static bool try_alloc(void) { return HeapAlloc(heap, call_flags, 64) != NULL; }
static bool try_alloc_zero(void) { return HeapAlloc(heap, call_flags | HEAP_ZERO_MEMORY, 5000) != NULL; }
static bool try_alloc_most(void) { return HeapAlloc(heap, call_flags, 200 * KB) != NULL; }
static bool try_realloc(void)
{
    return HeapReAlloc(heap, call_flags, HeapAlloc(heap, call_flags, 40), 90) != NULL;
}
static bool try_realloc_in_place(void)
{
    return HeapReAlloc(heap, call_flags | HEAP_REALLOC_IN_PLACE_ONLY, resized, 50) != NULL;
}
static bool try_free(void) { return HeapFree(heap, call_flags, spare) == TRUE; }
static bool try_size(void) { return HeapSize(heap, call_flags, block) == 100; }
static bool try_validate(void) { return HeapValidate(heap, call_flags, block) == TRUE; }
static bool try_validate_heap(void) { return HeapValidate(heap, call_flags, NULL) == TRUE; }

static bool try_walk(void)
{
    PROCESS_HEAP_ENTRY entry = { .lpData = NULL };
    return HeapWalk(heap, &entry) == TRUE;
}

static bool try_lock(void) { return HeapLock(heap) == TRUE && HeapUnlock(heap) == TRUE; }

/* A free of the thread's own block, which an engine with stacks for each thread serves without the heap. */
static _Thread_local void *own;
static bool try_own_free(void) { return HeapFree(heap, call_flags, own) == TRUE; }
static bool try_own_realloc(void) { return HeapReAlloc(heap, call_flags, own, 60) != NULL; }
static bool try_own_size(void) { return HeapSize(heap, call_flags, own) == 64; }

static const struct {
    const char *name;
    bool (*act)(void);
    bool has_flags, has_own;
} tries[] = {
    { "HeapAlloc", try_alloc, true, false },
    { "HeapAlloc, zero", try_alloc_zero, true, false },
    { "HeapAlloc, much", try_alloc_most, true, false },
    { "HeapReAlloc", try_realloc, true, false },
    { "HeapReAlloc, in place", try_realloc_in_place, true, false },
    { "HeapFree", try_free, true, false },
    { "HeapSize", try_size, true, false },
    { "HeapValidate", try_validate, true, false },
    { "HeapValidate of all", try_validate_heap, true, false },
    { "HeapWalk", try_walk, false, false },
    { "HeapLock", try_lock, false, false },
    { "HeapFree of its own", try_own_free, true, true },
    { "HeapReAlloc of its own", try_own_realloc, true, true },
    { "HeapSize of its own", try_own_size, true, true },
};
#define TRIES COUNT(tries)

struct visitor {
    pthread_t thread;
    int what;
    sem_t ready, go;
    atomic_bool done, right;
};

static struct visitor visitors[TRIES];

static void *visit(void *arg)
{
    struct visitor *visitor = arg;
    void *warm[32];
    for (int i = 0; i < 32; i++) /* it has used the heap before, so it may have blocks at hand */
        warm[i] = HeapAlloc(heap, 0, 64);
    own = warm[0];
    for (int i = 1; i < 32; i++) HeapFree(heap, 0, warm[i]);
    if (!tries[visitor->what].has_own) HeapFree(heap, 0, own);
    sem_post(&visitor->ready);
    sem_wait(&visitor->go);
    atomic_store(&visitor->right, tries[visitor->what].act());
    atomic_store(&visitor->done, true);
    return NULL;
}

static void start_visitors(void)
{
    for (int i = 0; i < TRIES; i++) {
        visitors[i].what = i;
        atomic_store(&visitors[i].done, false);
        atomic_store(&visitors[i].right, false);
        sem_init(&visitors[i].ready, 0, 0);
        sem_init(&visitors[i].go, 0, 0);
        ck_assert_int_eq(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
        sem_wait(&visitors[i].ready);
    }
}

static void let_go(int which) { sem_post(&visitors[which].go); }

/* It comes to its end within ten seconds, or says so and ends the test. */
static void join(pthread_t thread, const char *name)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += is_under_valgrind() ? 60 : 10;
    ck_assert_msg(pthread_timedjoin_np(thread, NULL, &limit) == 0, "%s hangs", name);
}

static void join_all(void)
{
    for (int i = 0; i < TRIES; i++) {
        join(visitors[i].thread, tries[i].name);
        ck_assert_msg(atomic_load(&visitors[i].right), "%s: wrong answer", tries[i].name);
    }
}

static const struct {
    DWORD flags;
    SIZE_T maximum;
} lockable[] = { { 0, 0 }, { 0, 1 << 20 }, { HEAP_CREATE_ENABLE_EXECUTE, 0 } };

START_TEST(lock_holds_off_every_function_of_other_threads) /* W32 2.3, W32 3.9, D11 */
{
    setup_heap(lockable[_i].flags, lockable[_i].maximum);
    call_flags = 0;
    start_visitors();
    ck_assert_int_eq(ASK(HeapLock(heap)), TRUE);
    ck_assert_last(SENTINEL);
    for (int i = 0; i < TRIES; i++) let_go(i);
    sleep_ms(50);
    for (int i = 0; i < TRIES; i++)
        ck_assert_msg(!atomic_load(&visitors[i].done), "%s passed a held lock", tries[i].name);
    /* the owner may use everything */
    void *mine = HeapAlloc(heap, 0, 64);
    mine = HeapReAlloc(heap, 0, mine, 640);
    ck_assert(HeapSize(heap, 0, mine) == 640 && HeapValidate(heap, 0, NULL) && HeapFree(heap, 0, mine));
    ck_assert(try_walk() && try_lock());
    for (int i = 0; i < TRIES; i++)
        ck_assert_msg(!atomic_load(&visitors[i].done), "%s passed a held lock", tries[i].name);
    ck_assert_int_eq(ASK(HeapUnlock(heap)), TRUE);
    ck_assert_last(SENTINEL);
    join_all();
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(lock_is_held_until_the_last_unlock) /* W32 3.9 */
{
    setup_heap(lockable[_i].flags, lockable[_i].maximum);
    call_flags = 0;
    start_visitors();
    for (int i = 0; i < 5; i++) ck_assert_int_eq(HeapLock(heap), TRUE);
    for (int i = 0; i < TRIES; i++) let_go(i);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(HeapUnlock(heap), TRUE);
        sleep_ms(10);
        for (int j = 0; j < TRIES; j++)
            ck_assert_msg(!atomic_load(&visitors[j].done), "%s passed a lock held %d times", tries[j].name,
                          4 - i);
    }
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    join_all();
    ck_assert_int_eq(ASK(HeapUnlock(heap)), FALSE); /* D10: one too many */
    ck_assert_last(ERROR_NOT_OWNER);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(calls_that_are_not_serialized_pass_a_held_lock) /* W32 2.3 */
{
    setup_heap(lockable[_i].flags, lockable[_i].maximum);
    call_flags = HEAP_NO_SERIALIZE;
    start_visitors();
    ck_assert_int_eq(HeapLock(heap), TRUE);
    for (int i = 0; i < TRIES; i++) { /* one after the other: nobody keeps them apart */
        if (!tries[i].has_flags) continue;
        let_go(i);
        join(visitors[i].thread, tries[i].name);
        ck_assert_msg(atomic_load(&visitors[i].right), "%s: wrong answer", tries[i].name);
    }
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    for (int i = 0; i < TRIES; i++) {
        if (tries[i].has_flags) continue;
        let_go(i);
        join(visitors[i].thread, tries[i].name);
    }
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(lock_of_a_heap_that_is_not_serialized_is_nothing) /* D9 */
{
    setup_heap(HEAP_NO_SERIALIZE, _i ? MB : 0);
    call_flags = 0;
    start_visitors();
    ck_assert_int_eq(ASK(HeapLock(heap)), TRUE);
    ck_assert_int_eq(ASK(HeapLock(heap)), TRUE);
    ck_assert_last(SENTINEL);
    for (int i = 0; i < TRIES; i++) {
        let_go(i);
        join(visitors[i].thread, tries[i].name);
        ck_assert_msg(atomic_load(&visitors[i].right), "%s: wrong answer", tries[i].name);
    }
    ck_assert_int_eq(ASK(HeapUnlock(heap)), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

/* ---- unlocking what is not one's own: D10 ---- */

static void *unlock_it(void *nothing)
{
    (void)nothing;
    const BOOL answer = ASK(HeapUnlock(heap));
    return (void *)(uintptr_t)(answer == FALSE && GetLastError() == ERROR_NOT_OWNER &&
                               errno == ERRNO_SENTINEL);
}

static bool unlock_elsewhere_is_refused(void)
{
    pthread_t thread;
    void *right;
    ck_assert_int_eq(pthread_create(&thread, NULL, unlock_it, NULL), 0);
    pthread_join(thread, &right);
    return right != NULL;
}

START_TEST(unlock_by_one_who_does_not_own_is_refused) /* W32 3.9, D10 */
{
    setup_heap(lockable[_i].flags, lockable[_i].maximum);
    ck_assert(unlock_it(NULL) && unlock_elsewhere_is_refused()); /* nobody owns it */
    ck_assert_int_eq(HeapLock(heap), TRUE);
    ck_assert(unlock_elsewhere_is_refused());
    ck_assert_int_eq(HeapUnlock(heap), TRUE); /* that had no effect: it is still ours */
    ck_assert(unlock_it(NULL) && unlock_elsewhere_is_refused());
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(lock_of_one_heap_is_not_that_of_another)
{
    setup_heap(0, 0);
    HANDLE locked = HeapCreate(0, 0, 0);
    ck_assert_int_eq(HeapLock(locked), TRUE);
    call_flags = 0;
    start_visitors();
    for (int i = 0; i < TRIES; i++) let_go(i);
    join_all();
    ck_assert(unlock_it(NULL));
    ck_assert(HeapUnlock(locked) && HeapDestroy(locked) && HeapDestroy(heap));
}
END_TEST

/* ---- threads that end ---- */

static void *end_with_blocks(void *done)
{
    for (int i = 0; i < 50; i++) HeapFree(heap, 0, HeapAlloc(heap, 0, 16 * (size_t)i));
    sem_post(done);
    return NULL;
}

START_TEST(thread_may_end_while_another_owns_the_lock)
{
    pthread_t thread;
    sem_t done, ignored;
    setup_heap(0, _i ? MB : 0);
    sem_init(&done, 0, 0);
    sem_init(&ignored, 0, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, end_with_blocks, &done), 0);
    sem_wait(&done);
    ck_assert_int_eq(HeapLock(heap), TRUE); /* it has its stacks to give back, or has done so */
    sleep_ms(5);
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    join(thread, "the thread's end");
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

static void *lock_and_end(void *nothing)
{
    HeapLock(heap);
    return nothing;
}

static void *use_after(void *nothing)
{
    void *one = HeapAlloc(heap, 0, 100);
    const bool right = one && HeapLock(heap) && HeapFree(heap, 0, one) && HeapUnlock(heap);
    (void)nothing;
    return (void *)(uintptr_t)right;
}

static void one_ends_with_the_lock(const void *nothing)
{
    pthread_t thread;
    void *right = NULL;
    (void)nothing;
    pthread_create(&thread, NULL, lock_and_end, NULL);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, use_after, NULL);
    pthread_join(thread, &right);
    CHILD_NEEDS(right != NULL);
}

START_TEST(thread_that_ends_with_the_lock_hangs_nobody)
{
    setup_heap(0, _i ? MB : 0);
    child_lives(one_ends_with_the_lock, NULL);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

/* ---- fork ---- */

static sem_t held, let;

static void *hold(void *nothing)
{
    HeapLock(heap);
    sem_post(&held);
    sem_wait(&let);
    HeapUnlock(heap);
    return nothing;
}

static void use_in_child(const void *nothing)
{
    void *one = HeapAlloc(heap, 0, 100);
    (void)nothing;
    CHILD_NEEDS(one && HeapSize(heap, 0, block) == 100 && HeapValidate(heap, 0, NULL));
    CHILD_NEEDS(HeapFree(heap, 0, one) && HeapFree(heap, 0, block) && HeapLock(heap) && HeapUnlock(heap));
}

START_TEST(child_can_use_a_heap_that_another_thread_had_locked)
{
    pthread_t thread;
    setup_heap(0, _i ? MB : 0);
    sem_init(&held, 0, 0);
    sem_init(&let, 0, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, hold, NULL), 0);
    sem_wait(&held);
    child_lives(use_in_child, NULL);
    sem_post(&let);
    join(thread, "the owner");
    use_in_child(NULL); /* and this process can go on as well */
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

static void unlock_in_child(const void *nothing)
{
    void *one = HeapAlloc(heap, 0, 100);
    (void)nothing;
    CHILD_NEEDS(one && HeapUnlock(heap) == TRUE);
    CHILD_NEEDS(HeapUnlock(heap) == FALSE && GetLastError() == ERROR_NOT_OWNER);
    CHILD_NEEDS(HeapFree(heap, 0, one) && HeapFree(heap, 0, block));
}

START_TEST(child_of_the_owner_owns_the_lock_of_its_copy)
{
    setup_heap(0, _i ? MB : 0);
    ck_assert_int_eq(HeapLock(heap), TRUE);
    child_lives(unlock_in_child, NULL);
    ck_assert_int_eq(HeapUnlock(heap), TRUE);
    ck_assert_int_eq(HeapUnlock(heap), FALSE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

/* ---- W32 2.3: many at once ---- */

static atomic_int inside, clashes;

static void *take_turns(void *nothing)
{
    (void)nothing;
    for (int i = 0; i < 2000; i++) {
        if (!HeapLock(heap)) atomic_fetch_add(&clashes, 1);
        if (atomic_fetch_add(&inside, 1) != 0) atomic_fetch_add(&clashes, 1);
        unsigned char *one = HeapAlloc(heap, 0, 40);
        fill(one, i, 40);
        atomic_fetch_sub(&inside, 1);
        if (!HeapUnlock(heap)) atomic_fetch_add(&clashes, 1);
        if (!is_filled(one, i, 0, 40) || !HeapFree(heap, 0, one)) atomic_fetch_add(&clashes, 1);
    }
    return NULL;
}

START_TEST(only_one_thread_is_inside_a_lock)
{
    pthread_t thread[4];
    setup_heap(0, _i ? MB : 0);
    atomic_store(&clashes, 0);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(pthread_create(&thread[i], NULL, take_turns, NULL), 0);
    for (int i = 0; i < 4; i++) join(thread[i], "a thread that takes turns");
    ck_assert_int_eq(atomic_load(&clashes), 0);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

static void *churn(void *seed)
{
    enum { SLOTS = 40 };
    unsigned char *slot[SLOTS] = { NULL };
    size_t bytes[SLOTS] = { 0 };
    uint64_t state = (uintptr_t)seed;
    bool right = true;
    for (int i = 0; i < 15000; i++) {
        const unsigned at = dice(&state) % SLOTS;
        const size_t next = dice(&state) % (i % 40 ? 700 : 8000);
        const int mark = (int)(uintptr_t)seed + (int)at;
        if (slot[at])
            right &= is_filled(slot[at], mark, 0, bytes[at]) && HeapSize(heap, 0, slot[at]) == bytes[at];
        if (slot[at] && i % 3) {
            right &= HeapFree(heap, 0, slot[at]) == TRUE;
            slot[at] = NULL;
        } else {
            unsigned char *one =
                slot[at] ? HeapReAlloc(heap, 0, slot[at], next) : HeapAlloc(heap, HEAP_ZERO_MEMORY, next);
            right &= one != NULL && (slot[at] || is_filled(one, 0, 0, next));
            if (!one) continue;
            fill(slot[at] = one, mark, bytes[at] = next);
        }
    }
    for (int i = 0; i < SLOTS; i++) right &= HeapFree(heap, 0, slot[i]) == TRUE;
    return (void *)(uintptr_t)right;
}

START_TEST(threads_do_not_disturb_one_another) /* W32 2.3 */
{
    pthread_t thread[4];
    setup_heap(0, _i ? 2 * MB : 0);
    for (uintptr_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, churn, (void *)(i * 50 + 1)), 0);
    for (int i = 0; i < 4; i++) {
        void *right;
        pthread_join(thread[i], &right);
        ck_assert_ptr_nonnull(right);
    }
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract lock");
    TCase *lock = contract_case(suite, "lock");
    tcase_add_loop_test(lock, lock_holds_off_every_function_of_other_threads, 0, 3);
    tcase_add_loop_test(lock, lock_is_held_until_the_last_unlock, 0, 3);
    tcase_add_loop_test(lock, calls_that_are_not_serialized_pass_a_held_lock, 0, 3);
    tcase_add_loop_test(lock, lock_of_a_heap_that_is_not_serialized_is_nothing, 0, 2);
    tcase_add_loop_test(lock, unlock_by_one_who_does_not_own_is_refused, 0, 3);
    tcase_add_test(lock, lock_of_one_heap_is_not_that_of_another);
    TCase *ends = contract_case(suite, "ends and forks");
    tcase_add_loop_test(ends, thread_may_end_while_another_owns_the_lock, 0, 2);
    tcase_add_loop_test(ends, thread_that_ends_with_the_lock_hangs_nobody, 0, 2);
    tcase_add_loop_test(ends, child_can_use_a_heap_that_another_thread_had_locked, 0, 2);
    tcase_add_loop_test(ends, child_of_the_owner_owns_the_lock_of_its_copy, 0, 2);
    TCase *many = contract_case(suite, "many threads");
    tcase_add_loop_test(many, only_one_thread_is_inside_a_lock, 0, 2);
    tcase_add_loop_test(many, threads_do_not_disturb_one_another, 0, 2);
    return contract_run(suite);
}
