/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_gate.c -- the biased critical section: who is inside, who is kept out, how the bias comes back;
 * and the locks of one word. */
#include "check_room.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static struct heap *heap; /* the process heap */
static struct heap *other;

static void setup_heaps(void)
{
    heap = ph_heap_process();
    other = room_heap(0);
}

static void teardown_heaps(void)
{
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(other);
}

static void *take(void)
{
    void *block = local_take(ph_local, 3);
    return block != NULL ? block : ph_local_take_slow(ph_local, 3, NULL);
}

static void give(void *block)
{
    if (!local_give(ph_local, block) && !ph_local_give_slow(ph_local, block))
        (void)ph_heap_free(heap, block, ENTER_PATIENTLY);
}

static bool is_biased(void)
{
    const struct pass ps = ph_gate_enter(heap, ENTER_UNLOCKED);
    ph_gate_leave(heap, ps);
    return ps.lo != NULL;
}

static uint64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* How long until the bias is back. */
static uint64_t wait_for_bias(void)
{
    const uint64_t before = milliseconds();
    give(take());
    while (!is_biased())
        ph_os_sleep(200000);
    return milliseconds() - before;
}

static void stop(void)
{
    ph_gate_close(heap, ENTER_PATIENTLY);
    ph_gate_open(heap);
}

/* ---- threads that hammer ---- */

static struct heap *hammered;
static uint64_t strokes; /* by one thread; counted outside of the heap */
static uint32_t hammering;

static void *hammer(void *nothing)
{
    (void)nothing;
    while (__atomic_load_n(&hammering, __ATOMIC_ACQUIRE)) {
        if (hammered == heap)
            give(take());
        else
            (void)ph_heap_free(hammered, room_alloc(hammered, 64, true), ENTER_PATIENTLY);
        __atomic_store_n(&strokes, strokes + 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static uint64_t strokes_now(void) { return __atomic_load_n(&strokes, __ATOMIC_ACQUIRE); }

/* Strokes while others had every chance to run. */
static uint64_t strokes_meanwhile(void)
{
    const uint64_t before = strokes_now();
    for (int i = 0; i < 30; i++)
        ph_os_yield();
    return strokes_now() - before;
}

static pthread_t begin_to_hammer(struct heap *hp)
{
    pthread_t thread;
    hammered = hp;
    strokes = 0;
    hammering = 1;
    ck_assert_int_eq(pthread_create(&thread, NULL, hammer, NULL), 0);
    while (strokes_now() < 10)
        ph_os_yield();
    return thread;
}

static void end_hammering(pthread_t thread)
{
    __atomic_store_n(&hammering, 0, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
}

static struct heap *heap_of_row(int row) { return row ? other : heap; }

/* ---- entering ---- */

START_TEST(thread_with_stacks_enters_without_the_lock)
{
    (void)wait_for_bias();
    const struct pass ps = ph_gate_enter(heap, ENTER_PATIENTLY);
    ck_assert(!ps.none);
    ck_assert_ptr_eq(ps.lo, ph_local);
    ck_assert(!ph_lock_is_mine(&heap->gate.lock));
    ph_gate_leave(heap, ps);
}
END_TEST

START_TEST(heap_without_stacks_is_entered_under_its_lock)
{
    const struct pass ps = ph_gate_enter(other, ENTER_PATIENTLY);
    ck_assert(!ps.none);
    ck_assert_ptr_null(ps.lo);
    ck_assert(ph_lock_is_mine(&other->gate.lock));
    ph_gate_leave(other, ps);
    ck_assert(!ph_lock_is_mine(&other->gate.lock));
}
END_TEST

START_TEST(caller_that_is_inside_takes_nothing)
{
    const struct pass ps = ph_gate_enter(other, ENTER_NOT);
    ck_assert(ps.none);
    ck_assert(!ph_lock_is_mine(&other->gate.lock));
    ph_gate_leave(other, ps);
}
END_TEST

START_TEST(packed_memory_is_entered_under_the_lock_by_whoever_is_there)
{
    struct local *lo = ph_local_attach(ph_heap_process());
    ck_assert_ptr_nonnull(lo);
    const struct pass ps = ph_gate_enter_locked(ph_heap_process(), ENTER_PATIENTLY);
    ck_assert_ptr_null(ps.lo);
    ck_assert(!ps.none);
    ck_assert_uint_eq(lo->busy, 0);
    ck_assert(ph_lock_is_mine(&ph_process_heap.gate.lock));
    ph_gate_leave(ph_heap_process(), ps);
    ck_assert(!ph_lock_is_mine(&ph_process_heap.gate.lock));
    const struct pass inside = ph_gate_enter_locked(other, ENTER_NOT);
    ck_assert(inside.none);
    ck_assert(!ph_lock_is_mine(&other->gate.lock));
}
END_TEST

START_TEST(unserialised_heap_is_guarded_inside) /* who breaks its promise must not break the heap */
{
    struct heap *free_for_all = ph_heap_create(HEAPF_NO_SERIALIZE, 1 << 20, 0);
    const struct pass ps = ph_gate_enter(free_for_all, ENTER_PATIENTLY);
    ck_assert(!ps.none);
    ck_assert(ps.lo != NULL || ph_lock_is_mine(&free_for_all->gate.lock));
    ph_gate_leave(free_for_all, ps);
    ck_assert(!ph_lock_is_mine(&free_for_all->gate.lock));
    ph_heap_destroy(free_for_all);
}
END_TEST

/* ---- closing ---- */

START_TEST(close_keeps_a_busy_thread_out)
{
    const pthread_t thread = begin_to_hammer(heap_of_row(_i));
    for (int round = 0; round < 20; round++) {
        ph_gate_close(hammered, ENTER_PATIENTLY);
        const uint64_t meanwhile = strokes_meanwhile();
        ph_gate_open(hammered);
        ck_assert_uint_le(meanwhile, 1); /* done inside before, counted now */
        const uint64_t before = strokes_now();
        while (strokes_now() == before)
            ph_os_yield();
    }
    end_hammering(thread);
}
END_TEST

static uint32_t closing, closed;

static void *close_and_open(void *nothing)
{
    __atomic_store_n(&closing, 1, __ATOMIC_SEQ_CST);
    ph_gate_close(heap, ENTER_PATIENTLY);
    __atomic_store_n(&closed, 1, __ATOMIC_SEQ_CST);
    ph_gate_open(heap);
    return nothing;
}

START_TEST(close_waits_until_the_thread_inside_is_out)
{
    pthread_t thread;
    (void)wait_for_bias();
    (void)ph_os_membarrier(); /* its first call takes milliseconds */
    closing = closed = 0;
    const struct pass ps = ph_gate_enter(heap, ENTER_PATIENTLY);
    ck_assert_int_eq(pthread_create(&thread, NULL, close_and_open, NULL), 0);
    while (!__atomic_load_n(&closing, __ATOMIC_SEQ_CST))
        ph_os_yield();
    for (int i = 0; i < 50; i++)
        ph_os_yield();
    ph_os_sleep(1000000);
    const uint32_t too_early = __atomic_load_n(&closed, __ATOMIC_SEQ_CST);
    ph_gate_leave(heap, ps);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(too_early, 0);
    ck_assert_uint_eq(closed, 1);
}
END_TEST

START_TEST(stop_is_sticky)
{
    (void)wait_for_bias();
    give(take());
    void *block = local_take(ph_local, 3); /* the usual case */
    ck_assert_ptr_nonnull(block);
    stop();
    ck_assert(!local_give(ph_local, block));
    local_leave(ph_local);
    ck_assert_ptr_null(local_take(ph_local, 3));
    local_leave(ph_local);
    give(block);
}
END_TEST

START_TEST(bias_comes_back_by_itself)
{
    (void)wait_for_bias();
    stop();
    ck_assert_uint_le(wait_for_bias(), 2000); /* at most 50 ms, on a machine that has the time */
    ck_assert(is_biased());
}
END_TEST

START_TEST(bias_comes_back_later_and_later_while_stops_keep_coming)
{
    uint64_t last = 0;
    for (int round = 0; round < 7; round++) {
        (void)wait_for_bias();
        stop();
        last = wait_for_bias();
    }
    ck_assert_uint_ge(last, 8); /* 0, 1, 2, 4 ... */
}
END_TEST

START_TEST(stop_of_nobody_is_no_stop)
{
    stop();
    const uint32_t stops = heap->gate.stops;
    for (int i = 0; i < 100; i++)
        stop();
    ck_assert_uint_eq(heap->gate.stops, stops);
}
END_TEST

/* ---- without the kernel's barrier ---- */

static void stop_without_membarrier(void *nothing)
{
    pthread_t thread;
    (void)nothing;
    if (!room_refuses(__NR_membarrier))
        _exit(0); /* not here */
    CHILD_NEEDS(!ph_os_membarrier());
    hammered = heap;
    hammering = 1;
    strokes = 0;
    CHILD_NEEDS(pthread_create(&thread, NULL, hammer, NULL) == 0);
    while (strokes_now() < 1000)
        ph_os_yield();
    for (int round = 0; round < 5 || (!heap->gate.no_membarrier && round < 1000); round++) {
        ph_gate_close(heap, ENTER_PATIENTLY); /* needs the barrier once it finds the thread biased */
        const uint64_t meanwhile = strokes_meanwhile();
        ph_gate_open(heap);
        CHILD_NEEDS(meanwhile <= 1);
        ph_os_sleep(1000000);
    }
    CHILD_NEEDS(heap->gate.no_membarrier);
    give(take()); /* this thread has stacks */
    heap->gate.rebias_ms = 0; /* and no delay is left */
    CHILD_NEEDS(!is_biased());
    CHILD_NEEDS(!is_biased()); /* the heap stays on its lock */
    end_hammering(thread);
}

START_TEST(refused_membarrier_leaves_the_heap_on_its_lock) { room_lives(stop_without_membarrier, NULL); }
END_TEST

/* ---- HeapLock: W32 3.9 ---- */

START_TEST(heap_lock_keeps_others_out_until_the_last_unlock)
{
    const pthread_t thread = begin_to_hammer(heap_of_row(_i));
    for (int round = 0; round < 5; round++) {
        ph_gate_heap_lock(hammered);
        ph_gate_heap_lock(hammered);
        const uint64_t twice = strokes_meanwhile();
        ck_assert(ph_gate_heap_unlock(hammered));
        const uint64_t once = strokes_meanwhile();
        ck_assert(ph_gate_heap_unlock(hammered));
        ck_assert_uint_le(twice + once, 1);
        const uint64_t before = strokes_now();
        while (strokes_now() == before)
            ph_os_yield();
    }
    end_hammering(thread);
}
END_TEST

START_TEST(owner_may_use_everything)
{
    struct heap *hp = heap_of_row(_i);
    give(take()); /* this thread has stacks */
    ph_gate_heap_lock(hp);
    void *block[3] = {room_alloc(hp, 64, false), room_alloc(hp, 64, true), room_alloc(hp, 100000, true)};
    void *large = room_alloc(hp, 3 << 20, true);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ph_heap_free(hp, block[i], ENTER_PATIENTLY), BLOCK_OK);
    ck_assert_int_eq(ph_heap_free(hp, large, ENTER_PATIENTLY), BLOCK_OK);
    ck_assert(ph_walk_validate(hp, NULL, ENTER_PATIENTLY));
    hp->gate.rebias_ms = 0; /* no delay is left, and still */
    ck_assert(!is_biased() || hp != heap);
    ck_assert(ph_gate_heap_unlock(hp));
}
END_TEST

static void *unlock_other(void *nothing)
{
    (void)nothing;
    return (void *)(uintptr_t)ph_gate_heap_unlock(other);
}

START_TEST(unlock_by_another_thread_is_refused)
{
    pthread_t thread;
    void *unlocked;
    ph_gate_heap_lock(other);
    ck_assert_int_eq(pthread_create(&thread, NULL, unlock_other, NULL), 0);
    pthread_join(thread, &unlocked);
    ck_assert_ptr_null(unlocked);
    ck_assert(ph_gate_heap_unlock(other));
    ck_assert(!ph_gate_heap_unlock(other));
}
END_TEST

static void *pass_the_lock(void *nothing)
{
    (void)nothing;
    const struct request rq = {.bytes = 64, .sized = true, .enter = ENTER_UNLOCKED};
    void *block = ph_heap_alloc(other, &rq);
    return (void *)(uintptr_t)(block == NULL || ph_heap_free(other, block, ENTER_UNLOCKED) != BLOCK_OK);
}

START_TEST(call_without_serialisation_passes_the_heap_lock) /* W32 2.3 */
{
    pthread_t thread;
    void *wrong;
    ph_gate_heap_lock(other);
    ck_assert_int_eq(pthread_create(&thread, NULL, pass_the_lock, NULL), 0);
    pthread_join(thread, &wrong);
    ck_assert_ptr_null(wrong);
    ck_assert(ph_gate_heap_unlock(other));
}
END_TEST

enum { THREADS = 3, EACH = 2000 };

static uint64_t guarded; /* by whatever the test guards it with */

static void *count_under_heap_lock(void *hp)
{
    for (int i = 0; i < EACH; i++) {
        ph_gate_heap_lock(hp);
        const uint64_t seen = guarded;
        if (i % 64 == 0) ph_os_yield();
        guarded = seen + 1;
        (void)ph_gate_heap_unlock(hp);
    }
    return NULL;
}

static void count_in_threads(void *(*body)(void *), void *with)
{
    pthread_t thread[THREADS];
    guarded = 0;
    for (int t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_create(&thread[t], NULL, body, with), 0);
    for (int t = 0; t < THREADS; t++)
        pthread_join(thread[t], NULL);
    ck_assert_uint_eq(guarded, THREADS * EACH);
}

START_TEST(one_thread_at_a_time_has_the_heap_lock) { count_in_threads(count_under_heap_lock, heap_of_row(_i)); }
END_TEST

/* ---- locks ---- */

static ph_lock lock;

static void *count_under_lock(void *nothing)
{
    (void)nothing;
    for (int i = 0; i < EACH; i++) {
        ph_lock_take(&lock);
        const uint64_t seen = guarded;
        if (i % 64 == 0) ph_os_yield(); /* so that others sleep on it */
        guarded = seen + 1;
        ph_lock_give(&lock);
    }
    return NULL;
}

START_TEST(one_thread_at_a_time_has_a_lock)
{
    count_in_threads(count_under_lock, NULL);
    ck_assert_uint_eq(lock, 0);
}
END_TEST

static void *ask_whose(void *nothing)
{
    (void)nothing;
    return (void *)(uintptr_t)ph_lock_is_mine(&lock);
}

START_TEST(lock_knows_its_holder)
{
    pthread_t thread;
    void *mine;
    ck_assert(!ph_lock_is_mine(&lock));
    ph_lock_take(&lock);
    ck_assert(ph_lock_is_mine(&lock));
    ck_assert_int_eq(pthread_create(&thread, NULL, ask_whose, NULL), 0);
    pthread_join(thread, &mine);
    ck_assert_ptr_null(mine);
    ph_lock_give(&lock);
    ck_assert(!ph_lock_is_mine(&lock));
}
END_TEST

START_TEST(fork_takes_a_free_lock_and_gives_it_back)
{
    ph_lock_fork_take(&lock);
    ck_assert_uint_ne(lock, 0);
    ph_lock_fork_give(&lock);
    ck_assert_uint_eq(lock, 0);
}
END_TEST

START_TEST(fork_leaves_a_lock_to_the_thread_that_holds_it)
{
    ph_lock_take(&lock);
    ph_lock_fork_take(&lock);
    ph_lock_fork_give(&lock);
    ck_assert(ph_lock_is_mine(&lock));
    ph_lock_give(&lock);
    ck_assert_uint_eq(lock, 0);
}
END_TEST

START_TEST(locks_held_are_counted)
{
    ph_lock second = 0;
    const uint32_t before = ph_locks_held;
    ph_lock_take(&lock);
    ph_lock_take(&second);
    ck_assert_uint_eq(ph_locks_held, before + 2);
    ph_lock_give(&lock);
    ph_lock_give(&second);
    ck_assert_uint_eq(ph_locks_held, before);
}
END_TEST

static void add_heap_lock(Suite *suite)
{
    TCase *heap_lock = room_case(suite, "HeapLock", setup_heaps, teardown_heaps);
    tcase_add_loop_test(heap_lock, heap_lock_keeps_others_out_until_the_last_unlock, 0, 2);
    tcase_add_loop_test(heap_lock, owner_may_use_everything, 0, 2);
    tcase_add_test(heap_lock, unlock_by_another_thread_is_refused);
    tcase_add_test(heap_lock, call_without_serialisation_passes_the_heap_lock);
    tcase_add_loop_test(heap_lock, one_thread_at_a_time_has_the_heap_lock, 0, 2);
}

int main(void)
{
    Suite *suite = suite_create("gate");
    TCase *enter = room_case(suite, "enter", setup_heaps, teardown_heaps);
    tcase_add_test(enter, thread_with_stacks_enters_without_the_lock);
    tcase_add_test(enter, heap_without_stacks_is_entered_under_its_lock);
    tcase_add_test(enter, caller_that_is_inside_takes_nothing);
    tcase_add_test(enter, packed_memory_is_entered_under_the_lock_by_whoever_is_there);
    tcase_add_test(enter, unserialised_heap_is_guarded_inside);
    TCase *close_case = room_case(suite, "close", setup_heaps, teardown_heaps);
    tcase_add_loop_test(close_case, close_keeps_a_busy_thread_out, 0, 2);
    tcase_add_test(close_case, close_waits_until_the_thread_inside_is_out);
    tcase_add_test(close_case, stop_is_sticky);
    tcase_add_test(close_case, bias_comes_back_by_itself);
    tcase_add_test(close_case, bias_comes_back_later_and_later_while_stops_keep_coming);
    tcase_add_test(close_case, stop_of_nobody_is_no_stop);
    tcase_add_test(close_case, refused_membarrier_leaves_the_heap_on_its_lock);
    add_heap_lock(suite);
    TCase *locks = tcase_create("lock");
    tcase_add_test(locks, one_thread_at_a_time_has_a_lock);
    tcase_add_test(locks, lock_knows_its_holder);
    tcase_add_test(locks, fork_takes_a_free_lock_and_gives_it_back);
    tcase_add_test(locks, fork_leaves_a_lock_to_the_thread_that_holds_it);
    tcase_add_test(locks, locks_held_are_counted);
    suite_add_tcase(suite, locks);
    return room_run(suite);
}
