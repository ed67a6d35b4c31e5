/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc_threads.c -- blocks and threads: passing them on, leaving them behind, dying. */
#include "check_malloc.h"

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>

/* One slot at a time from producer to consumer. */
enum { SLOTS = 64, MESSAGES = 60000 };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    void *slot[SLOTS];
    unsigned put, taken;
    bool wrong;
} queue = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static size_t message_bytes(unsigned number)
{
    return number % 997 == 0 ? 50000 + number : 16 + number * 7 % 1500;
}

static void *produce(void *unused)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        void *block = malloc(message_bytes(i));
        if (block != NULL) fill(block, message_bytes(i), i);
        pthread_mutex_lock(&queue.mutex);
        while (queue.put - queue.taken == SLOTS) pthread_cond_wait(&queue.changed, &queue.mutex);
        queue.slot[queue.put++ % SLOTS] = block;
        pthread_cond_signal(&queue.changed);
        pthread_mutex_unlock(&queue.mutex);
    }
    return unused;
}

static void *consume(void *unused)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        pthread_mutex_lock(&queue.mutex);
        while (queue.put == queue.taken) pthread_cond_wait(&queue.changed, &queue.mutex);
        void *block = queue.slot[queue.taken++ % SLOTS];
        pthread_cond_signal(&queue.changed);
        pthread_mutex_unlock(&queue.mutex);
        if (block == NULL || !is_filled(block, message_bytes(i), i)) queue.wrong = true;
        free(block);
    }
    return unused;
}

START_TEST(a_consumer_frees_what_a_producer_made)
{
    pthread_t producer, consumer;
    long before = resident_kib();

    queue.put = queue.taken = 0;
    must(pthread_create(&producer, NULL, produce, NULL) == 0);
    must(pthread_create(&consumer, NULL, consume, NULL) == 0);
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    ck_assert(!queue.wrong);
    ck_assert_int_lt(resident_kib() - before, 20 * 1024);
}
END_TEST

enum { LEFT = 300 };

static void *leave_blocks(void *blocks)
{
    void **left = blocks;

    for (unsigned i = 0; i < LEFT; i++) {
        free(malloc(i * 50));
        left[i] = malloc(i * 50);
        if (left[i] != NULL) fill(left[i], i * 50, i);
    }
    return NULL;
}

START_TEST(blocks_outlive_the_thread_that_made_them)
{
    static void *left[LEFT];
    pthread_t thread;

    must(pthread_create(&thread, NULL, leave_blocks, left) == 0);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < 1000; i++) free(malloc(i * 20));
    for (unsigned i = 0; i < LEFT; i++) {
        must(left[i] != NULL && is_filled(left[i], i * 50, i));
        left[i] = realloc(left[i], i * 60 + 1);
        must(left[i] != NULL && is_filled(left[i], i * 50, i));
        free(left[i]);
    }
}
END_TEST

/* Keys whose destructors allocate, free, and set their key again until the last pass. */
enum { KEYS = 6 };

static pthread_key_t key[KEYS];
static unsigned destructor_calls;
static bool destructor_failed;

static void destroy_value(unsigned number, void *value)
{
    void *block = malloc(100 * (number + 1)), *big = calloc(1, 30000);

    if (block == NULL || big == NULL || !is_filled(value, 64, number) || !is_zero(big, 30000)) destructor_failed = true;
    destructor_calls++;
    free(value);
    free(big);
    if (block != NULL) fill(block, 64, number);
    pthread_setspecific(key[number], block);
}

static void destroy_0(void *value) { destroy_value(0, value); }
static void destroy_1(void *value) { destroy_value(1, value); }
static void destroy_2(void *value) { destroy_value(2, value); }
static void destroy_3(void *value) { destroy_value(3, value); }
static void destroy_4(void *value) { destroy_value(4, value); }
static void destroy_5(void *value) { destroy_value(5, value); }
static void (*const destroy[KEYS])(void *) = { destroy_0, destroy_1, destroy_2, destroy_3, destroy_4, destroy_5 };

static void *set_keys(void *unused)
{
    for (unsigned i = 0; i < KEYS; i++) {
        void *value = malloc(64);
        if (value != NULL) fill(value, 64, i);
        pthread_setspecific(key[i], value);
    }
    return unused;
}

START_TEST(key_destructors_may_allocate_in_every_pass)
{
    pthread_t thread;

    destructor_calls = 0;
    for (unsigned i = 0; i < KEYS; i++) must(pthread_key_create(&key[i], destroy[i]) == 0);
    for (unsigned i = 0; i < 20; i++) {
        must(pthread_create(&thread, NULL, set_keys, NULL) == 0);
        pthread_join(thread, NULL);
    }
    ck_assert(!destructor_failed);
    ck_assert_uint_eq(destructor_calls, 20 * KEYS * PTHREAD_DESTRUCTOR_ITERATIONS);
    for (unsigned i = 0; i < KEYS; i++) pthread_key_delete(key[i]);
}
END_TEST

static void *use_all_kinds(void *failed)
{
    for (unsigned i = 0; i < size_kind_count; i++) {
        void *block = malloc(size_kinds[i]), *zeroed = calloc(1, 100);
        if (block == NULL || zeroed == NULL) *(bool *)failed = true;
        if (block != NULL) *(char *)block = 1;
        block = realloc(block, size_kinds[i] + 10);
        free(block);
        free(zeroed);
    }
    return NULL;
}

START_TEST(a_thread_with_the_smallest_stack_can_allocate)
{
    pthread_attr_t attributes;
    pthread_t thread;
    bool failed = false;

    pthread_attr_init(&attributes);
    must(pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)) == 0);
    must(pthread_create(&thread, &attributes, use_all_kinds, &failed) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    ck_assert(!failed);
}
END_TEST

enum { CROWD = 250 };

static pthread_barrier_t crowd_there;

static void *live_in_a_crowd(void *number)
{
    uint64_t seed = (uintptr_t)number;
    void *block[20];
    bool ok = true;

    for (unsigned i = 0; i < 20; i++) fill(block[i] = malloc(50 + i * 20), 50 + i * 20, seed * 20 + i);
    pthread_barrier_wait(&crowd_there);
    for (unsigned i = 0; i < 20; i++) {
        ok = ok && is_filled(block[i], 50 + i * 20, seed * 20 + i);
        free(block[i]);
    }
    return ok ? NULL : number;
}

START_TEST(two_hundred_and_fifty_threads_live_at_once)
{
    static pthread_t thread[CROWD];
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * KIB);
    pthread_barrier_init(&crowd_there, NULL, CROWD);
    for (uintptr_t i = 0; i < CROWD; i++) must(pthread_create(&thread[i], &attributes, live_in_a_crowd, (void *)(i + 1)) == 0);
    for (unsigned i = 0; i < CROWD; i++) {
        void *failed = NULL;
        pthread_join(thread[i], &failed);
        must(failed == NULL);
    }
    pthread_barrier_destroy(&crowd_there);
    pthread_attr_destroy(&attributes);
}
END_TEST

static volatile bool passed_the_calls;

static void *allocate_while_cancelled(void *unused)
{
    pthread_cancel(pthread_self());
    for (unsigned i = 0; i < size_kind_count; i++) {
        void *block = calloc(1, size_kinds[i]);
        free(realloc(block, size_kinds[i] + 100));
        free(memalign(64, size_kinds[i]));
    }
    malloc_trim(0);
    passed_the_calls = true;
    pthread_testcancel();
    return unused;
}

START_TEST(no_call_is_a_cancellation_point)
{
    pthread_t thread;
    void *end = NULL;

    passed_the_calls = false;
    must(pthread_create(&thread, NULL, allocate_while_cancelled, NULL) == 0);
    pthread_join(thread, &end);
    ck_assert(passed_the_calls);
    ck_assert(end == PTHREAD_CANCELED);
}
END_TEST

static sem_t churning;

static void *churn_until_cancelled(void *unused)
{
    void *block[16] = { NULL };

    for (unsigned i = 0;; i++) {
        free(block[i % 16]);
        block[i % 16] = malloc(i % 5000);
        if (i == 1000) sem_post(&churning);
        pthread_testcancel();
    }
    return unused;
}

START_TEST(cancelled_threads_leave_the_heap_whole)
{
    pthread_t thread;

    sem_init(&churning, 0, 0);
    for (unsigned i = 0; i < 50; i++) {
        must(pthread_create(&thread, NULL, churn_until_cancelled, NULL) == 0);
        sem_wait(&churning);
        pthread_cancel(thread);
        pthread_join(thread, NULL);
    }
    sem_destroy(&churning);
    bool failed = false;
    use_all_kinds(&failed);
    ck_assert(!failed);
}
END_TEST

/* All threads free into each other's memory and allocate again, without any order. */
enum { EXCHANGERS = 4, PLACES = 512 };

static void *place[PLACES];

static void *exchange(void *number)
{
    uint64_t random = (uintptr_t)number;
    bool ok = true;

    for (unsigned i = 0; i < 80000; i++) {
        size_t bytes = sizeof(size_t) + next_random(&random) % 2000;
        size_t *mine = malloc(bytes);
        if (mine == NULL) return number;
        memset(mine, (int)bytes & 0xff, bytes);
        *mine = bytes;
        size_t *theirs = __atomic_exchange_n(&place[next_random(&random) % PLACES], mine, __ATOMIC_ACQ_REL);
        if (theirs == NULL) continue;
        size_t last = *theirs - 1;
        ok = ok && (last < sizeof(size_t) || ((unsigned char *)theirs)[last] == ((last + 1) & 0xff));
        free(theirs);
    }
    return ok ? NULL : number;
}

START_TEST(threads_that_free_each_others_blocks_keep_contents)
{
    pthread_t thread[EXCHANGERS];

    for (uintptr_t i = 0; i < EXCHANGERS; i++) must(pthread_create(&thread[i], NULL, exchange, (void *)(i + 1)) == 0);
    for (unsigned i = 0; i < EXCHANGERS; i++) {
        void *failed = NULL;
        pthread_join(thread[i], &failed);
        must(failed == NULL);
    }
    for (unsigned i = 0; i < PLACES; i++) {
        free(place[i]);
        place[i] = NULL;
    }
}
END_TEST

TCase *tcase_threads(void)
{
    TCase *tc = tcase_create("threads");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_consumer_frees_what_a_producer_made);
    tcase_add_test(tc, blocks_outlive_the_thread_that_made_them);
    tcase_add_test(tc, key_destructors_may_allocate_in_every_pass);
    tcase_add_test(tc, a_thread_with_the_smallest_stack_can_allocate);
    tcase_add_test(tc, two_hundred_and_fifty_threads_live_at_once);
    tcase_add_test(tc, no_call_is_a_cancellation_point);
    tcase_add_test(tc, cancelled_threads_leave_the_heap_whole);
    tcase_add_test(tc, threads_that_free_each_others_blocks_keep_contents);
    return tc;
}
