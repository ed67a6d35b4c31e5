/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_fork.c -- the child of a busy process: every lock free, every block where it was, all of it usable. */
#include "check_room.h"

#include <pthread.h>

enum { THREADS = 3, BLOCKS = 40, FORKS = 60, CHILD_SECONDS = 60 };

static int forks(void) { return room_is_under_valgrind() ? 5 : FORKS; }

static struct heap *process, *private;
static uint32_t running, ready;

/* What a thread holds all the time; its last one comes and goes. */
static uint32_t *kept[THREADS][BLOCKS];
static const size_t sizes[] = {8, 40, 100, 700, 3000, 12000, 40000, 300000};

static struct heap *heap_of(int i) { return i % 2 ? private : process; }

static void keep_blocks(int thread)
{
    for (int i = 0; i < BLOCKS; i++) {
        kept[thread][i] = room_alloc(heap_of(i), sizes[i % COUNT(sizes)], i % 4 < 2);
        *kept[thread][i] = (uint32_t)(thread * BLOCKS + i);
    }
}

/* Assertions of Check belong to its own thread. */
static void come_and_go(void)
{
    struct heap *hp = ph_heap_create(HEAPF_PAGED, 4 << 20, 0);
    if (hp != NULL) ph_heap_destroy(hp);
}

static void *churn(void *number)
{
    const int thread = (int)(uintptr_t)number;
    uint64_t random = (uintptr_t)number + 1;
    void *block[64] = {NULL};
    keep_blocks(thread);
    __atomic_add_fetch(&ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
        const int i = (int)(room_random(&random) % COUNT(block));
        if (block[i] != NULL)
            (void)ph_heap_free(heap_of(i), block[i], ENTER_PATIENTLY);
        block[i] = room_alloc(heap_of(i), sizes[room_random(&random) % COUNT(sizes)], i % 4 < 2);
        if (i == 0) come_and_go();
        if (i == 1) (void)room_sums(process);
        if (i == 2 && room_random(&random) % 8 == 0)
            (void)ph_heap_free(private, room_alloc(private, 2 << 20, true), ENTER_PATIENTLY);
    }
    for (int i = 0; i < COUNT(block); i++)
        if (block[i] != NULL) (void)ph_heap_free(heap_of(i), block[i], ENTER_PATIENTLY);
    return NULL;
}

static pthread_t threads[THREADS];

static void setup_heaps(void)
{
    process = ph_heap_process();
    private = room_heap(0);
}

static void teardown_heaps(void) { ph_heap_destroy(private); }

static void setup_busy_process(void)
{
    setup_heaps();
    running = 1;
    ready = 0;
    for (uintptr_t t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_create(&threads[t], NULL, churn, (void *)t), 0);
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < THREADS)
        ph_os_yield();
}

static void teardown_busy_process(void)
{
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < BLOCKS; i++)
            ck_assert_int_eq(ph_heap_free(heap_of(i), kept[t][i], ENTER_PATIENTLY), BLOCK_OK);
    ck_assert(ph_walk_validate(process, NULL, ENTER_PATIENTLY));
    ck_assert(ph_walk_validate(private, NULL, ENTER_PATIENTLY));
    teardown_heaps();
}

/* ---- in the child ---- */

static void use_everything(void *nothing)
{
    void *block[64];
    (void)nothing;
    alarm(CHILD_SECONDS); /* for a lock that nobody gives back */
    for (int i = 0; i < COUNT(block); i++)
        CHILD_NEEDS((block[i] = room_alloc(heap_of(i), sizes[i % COUNT(sizes)], i % 4 < 2)) != NULL);
    for (int i = 0; i < COUNT(block); i++)
        CHILD_NEEDS(ph_heap_free(heap_of(i), block[i], ENTER_PATIENTLY) == BLOCK_OK);
    struct heap *own = ph_heap_create(0, 4 << 20, 0);
    CHILD_NEEDS(own != NULL && room_alloc(own, 5 << 20, true) != NULL);
    ph_heap_destroy(own);
    CHILD_NEEDS(ph_walk_validate(private, NULL, ENTER_PATIENTLY));
    CHILD_NEEDS(ph_walk_validate(process, NULL, ENTER_PATIENTLY));
    (void)ph_heap_trim(process);
    (void)ph_heap_trim(private);
}

static void free_blocks_of_others(void *nothing)
{
    use_everything(nothing);
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < BLOCKS; i++) {
            CHILD_NEEDS(*kept[t][i] == (uint32_t)(t * BLOCKS + i));
            CHILD_NEEDS(ph_heap_free(heap_of(i), kept[t][i], ENTER_PATIENTLY) == BLOCK_OK);
        }
    use_everything(nothing);
}

static void fork_again(void *nothing)
{
    use_everything(nothing);
    const pid_t child = fork();
    CHILD_NEEDS(child >= 0);
    if (child == 0) {
        use_everything(nothing);
        _exit(0);
    }
    int status;
    CHILD_NEEDS(waitpid(child, &status, 0) == child && status == 0);
}

/* ---- a busy process ---- */

START_TEST(child_of_a_busy_process_can_do_everything)
{
    for (int i = 0; i < forks(); i++)
        room_lives(use_everything, NULL);
}
END_TEST

START_TEST(blocks_of_other_threads_survive_in_the_child)
{
    for (int i = 0; i < forks(); i++)
        room_lives(free_blocks_of_others, NULL);
}
END_TEST

START_TEST(child_can_fork)
{
    for (int i = 0; i < forks() / 3; i++)
        room_lives(fork_again, NULL);
}
END_TEST

START_TEST(parent_goes_on)
{
    for (int i = 0; i < forks(); i++) {
        room_lives(use_everything, NULL);
        for (int j = 0; j < 200; j++) {
            void *block = room_alloc(heap_of(j), sizes[j % COUNT(sizes)], false);
            ck_assert_int_eq(ph_heap_free(heap_of(j), block, ENTER_PATIENTLY), BLOCK_OK);
        }
    }
}
END_TEST

static uint32_t locals_before;

static void *life_of_a_thread(void *nothing)
{
    void *block = room_alloc(process, 100, false);
    if (block == NULL) return private;
    (void)ph_local_attach(process);
    block = room_alloc(process, 100, false);
    return block != NULL && ph_heap_free(process, block, ENTER_PATIENTLY) == BLOCK_OK ? nothing : private;
}

static void adopt_in_the_child(void *nothing)
{
    alarm(CHILD_SECONDS);
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        void *wrong;
        CHILD_NEEDS(pthread_create(&thread, NULL, life_of_a_thread, nothing) == 0);
        pthread_join(thread, &wrong);
        CHILD_NEEDS(wrong == NULL);
    }
    CHILD_NEEDS(process->local_count == locals_before);
    CHILD_NEEDS(ph_local->heap == process && ph_local->state == LOCAL_OWNED); /* this thread's own are not up for it */
    use_everything(nothing);
}

static void *attach_and_wait(void *nothing)
{
    (void)ph_local_attach(process);
    void *block = room_alloc(process, 100, false);
    (void)ph_heap_free(process, block, ENTER_PATIENTLY);
    __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
        ph_os_yield();
    return nothing;
}

START_TEST(stacks_of_vanished_threads_are_adopted_in_the_child)
{
    pthread_t thread;
    if (room_is_thread_sanitized() || is_emulated()) return;
    running = 1;
    ready = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, attach_and_wait, NULL), 0);
    while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
        ph_os_yield();
    ck_assert_ptr_nonnull(ph_local_attach(process));
    locals_before = process->local_count;
    room_lives(adopt_in_the_child, NULL);
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
}
END_TEST

/* ---- one lock that is nearly always held ---- */

static void hammer_spans(void)
{
    struct span *sp = ph_span_take(private, KIND_RUN, 3, 1);
    ph_span_shrink(private, sp, 1);
    ph_span_give(private, sp); /* of one unit: no other entry */
}

static void hammer_cells(void) { ph_span_drop(ph_span_new()); }

static void hammer_large(void)
{
    bool zero;
    (void)ph_large_give(private, ph_span_start(ph_large_take(private, 2 << 20, 16, &zero)));
}

static void hammer_gate(void)
{
    ph_gate_close(private, ENTER_UNLOCKED);
    ph_gate_open(private);
}

static void hammer_class(void)
{
    void *block = room_alloc(process, 5000, false);
    (void)ph_heap_free(process, block, ENTER_PATIENTLY);
}

static void hammer_map(void) { (void)ph_map_prepare(private->handle, UNIT_BYTES); }

/* A heap that is made, used and gone: the fork may come at any moment of its life. */
static void hammer_heaps(void)
{
    struct heap *hp = ph_heap_create(HEAPF_PAGED, 1 << 20, 0);
    for (int i = 0; hp != NULL && i < 20; i++)
        (void)room_alloc(hp, sizes[i % COUNT(sizes)], true);
    if (hp != NULL) ph_heap_destroy(hp);
}

/* Through the stacks' owner, which holds no gate lock. */
static void hammer_runs(void)
{
    void *run = room_alloc(process, 50000, false);
    (void)ph_heap_free(process, run, ENTER_PATIENTLY);
}

static void (*const hammers[])(void) = {hammer_spans, hammer_cells, hammer_large, hammer_gate, hammer_class,
                                        hammer_map,   come_and_go,  hammer_heaps, hammer_runs};

static void use_every_heap(void *nothing)
{
    void *all[16];
    const unsigned count = ph_heap_list(all, COUNT(all));
    for (unsigned i = 0; i < count && i < COUNT(all); i++) {
        struct heap *hp = ph_heap_of_handle(all[i]);
        if (hp == NULL || !ph_walk_validate(hp, NULL, ENTER_PATIENTLY)) abort();
        (void)ph_heap_free(hp, room_alloc(hp, 100, true), ENTER_PATIENTLY);
    }
    use_everything(nothing);
}

static void *hammer(void *row)
{
    __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
        hammers[(uintptr_t)row]();
    return NULL;
}

START_TEST(lock_that_is_nearly_always_held_is_free_in_the_child)
{
    running = 1;
    ready = 0;
    for (int t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_create(&threads[t], NULL, hammer, (void *)(uintptr_t)_i), 0);
    while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
        ph_os_yield();
    for (int i = 0; i < 4 * forks(); i++)
        room_lives(use_every_heap, NULL);
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
}
END_TEST

/* ---- HeapLock across fork ---- */

static void *lock_and_wait(void *nothing)
{
    ph_gate_heap_lock(private);
    __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
        ph_os_yield();
    (void)ph_gate_heap_unlock(private);
    return nothing;
}

START_TEST(heap_lock_of_a_vanished_thread_is_free_in_the_child)
{
    pthread_t thread;
    running = 1;
    ready = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, lock_and_wait, NULL), 0);
    while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
        ph_os_yield();
    room_lives(use_everything, NULL);
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
}
END_TEST

static void unlock_in_the_child(void *nothing)
{
    use_everything(nothing);
    CHILD_NEEDS(ph_gate_heap_unlock(private));
    CHILD_NEEDS(!ph_gate_heap_unlock(private));
    use_everything(nothing);
}

START_TEST(heap_lock_of_the_forking_thread_stays_its_own)
{
    ph_gate_heap_lock(private);
    room_lives(unlock_in_the_child, NULL);
    ck_assert(ph_gate_heap_unlock(private));
}
END_TEST

int main(void)
{
    (void)ph_heap_process();
    ph_fork_register();
    Suite *suite = suite_create("fork");
    TCase *busy = tcase_create("busy");
    tcase_add_checked_fixture(busy, setup_busy_process, teardown_busy_process);
    tcase_add_test(busy, child_of_a_busy_process_can_do_everything);
    tcase_add_test(busy, blocks_of_other_threads_survive_in_the_child);
    tcase_add_test(busy, child_can_fork);
    tcase_add_test(busy, parent_goes_on);
    suite_add_tcase(suite, busy);
    TCase *quiet = tcase_create("quiet");
    tcase_add_checked_fixture(quiet, setup_heaps, teardown_heaps);
    tcase_add_test(quiet, stacks_of_vanished_threads_are_adopted_in_the_child);
    tcase_add_loop_test(quiet, lock_that_is_nearly_always_held_is_free_in_the_child, 0, COUNT(hammers));
    tcase_add_test(quiet, heap_lock_of_a_vanished_thread_is_free_in_the_child);
    tcase_add_test(quiet, heap_lock_of_the_forking_thread_stays_its_own);
    suite_add_tcase(suite, quiet);
    return room_run(suite);
}
