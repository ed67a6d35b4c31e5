/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* patterns_threads.c -- threads that come and go, that hand their blocks on, and that write side by side. */
#include "pattern.h"

static pthread_t threads_create(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, arg) != 0) pattern_fail("bench: no thread\n");
    return thread;
}

/* -- Churn: a thread is made, makes and frees some blocks, and ends. */

enum { CHURN_BLOCKS = 100 };

static void *threads_life(void *arg)
{
    void *block[CHURN_BLOCKS];
    struct worker *worker = arg;
    for (unsigned i = 0; i < CHURN_BLOCKS; i++)
        block[i] = pattern_block(pattern_mixed_bytes(&worker->random));
    for (unsigned i = 0; i < CHURN_BLOCKS; i++) pattern_free(block[i]);
    return NULL;
}

static uint64_t threads_churn(struct worker *worker)
{
    pthread_join(threads_create(threads_life, worker), NULL);
    return 1;
}

/* -- Server, after Larson and Krishnan's idea: a thread replaces blocks of a table for a while, then ends and
 * leaves the table with its blocks to a new thread, each time one of another worker. */

enum { SERVER_BLOCKS = 2000, SERVER_PAIRS = 20000, SERVER_MIN_BYTES = 16, SERVER_MAX_BYTES = 512 };

static void **server_table[BENCH_MAX_THREADS];

static void threads_server_start(struct worker *worker)
{
    void **table = pattern_pages(SERVER_BLOCKS * sizeof *table);
    for (unsigned i = 0; i < SERVER_BLOCKS; i++)
        table[i] = pattern_block(pattern_between(&worker->random, SERVER_MIN_BYTES, SERVER_MAX_BYTES));
    worker->own = table;
}

static void *threads_serve(void *arg)
{
    struct worker *worker = arg;
    void **table = worker->own;
    for (unsigned i = 0; i < SERVER_PAIRS; i++) {
        size_t at = pattern_between(&worker->random, 0, SERVER_BLOCKS - 1);
        pattern_free(table[at]);
        table[at] = pattern_block(pattern_between(&worker->random, SERVER_MIN_BYTES, SERVER_MAX_BYTES));
    }
    return NULL;
}

static uint64_t threads_server(struct worker *worker)
{
    pthread_join(threads_create(threads_serve, worker), NULL);
    size_t at = pattern_between(&worker->random, 0, worker->threads - 1);
    void **other = __atomic_exchange_n(&server_table[at], worker->own, __ATOMIC_ACQ_REL);
    if (!other) threads_server_start(worker); /* the first through this place leaves its table there */
    if (other) worker->own = other;
    return SERVER_PAIRS;
}

static void threads_free_table(void **table)
{
    for (unsigned i = 0; table && i < SERVER_BLOCKS; i++) pattern_free(table[i]);
}

static void threads_server_stop(struct worker *worker) { threads_free_table(worker->own); }

static void threads_server_end(void)
{
    for (unsigned i = 0; i < BENCH_MAX_THREADS; i++) threads_free_table(server_table[i]);
}

/* -- Contention: each thread replaces blocks of its own table; one in eight goes through places that all
 * share. */

enum { OWN_BLOCKS = 256, SHARED_PLACES = 4096, SHARED_EVERY = 8, CONTEND_PAIRS = 1000 };

static void *shared_place[SHARED_PLACES];

static void threads_contend_start(struct worker *worker)
{
    worker->own = pattern_pages(OWN_BLOCKS * sizeof(void *));
}

static uint64_t threads_contend(struct worker *worker)
{
    void **own = worker->own;
    for (unsigned i = 0; i < CONTEND_PAIRS; i++) {
        void *block = pattern_block(pattern_mixed_bytes(&worker->random));
        size_t at = pattern_between(&worker->random, 0, SHARED_PLACES - 1);
        if (i % SHARED_EVERY == 0) block = __atomic_exchange_n(&shared_place[at], block, __ATOMIC_ACQ_REL);
        pattern_free(own[at % OWN_BLOCKS]);
        own[at % OWN_BLOCKS] = block;
    }
    return CONTEND_PAIRS;
}

static void threads_contend_stop(struct worker *worker)
{
    void **own = worker->own;
    for (unsigned i = 0; i < OWN_BLOCKS; i++) pattern_free(own[i]);
}

static void threads_contend_end(void)
{
    for (unsigned i = 0; i < SHARED_PLACES; i++) pattern_free(shared_place[i]);
}

/* -- False sharing: small blocks written again and again.  Active: the allocator gives two threads blocks of
 * one cache line.  Passive: they got them from one thread, free them, and the allocator gives them out again
 * to each. */

enum { SHARING_BYTES = 16, SHARING_WRITES = 1000, SHARING_BLOCKS = 16 };

static void *given[BENCH_MAX_THREADS];
static cpu_set_t sharing_processors;

static void threads_processors(unsigned threads, uint64_t seed)
{
    (void)threads, (void)seed;
    if (sched_getaffinity(0, sizeof sharing_processors, &sharing_processors) != 0)
        CPU_ZERO(&sharing_processors);
}

static void threads_give(unsigned threads, uint64_t seed)
{
    threads_processors(threads, seed);
    for (unsigned i = 0; i < threads; i++) given[i] = pattern_block(SHARING_BYTES);
}

static void threads_pin(struct worker *worker)
{
    bench_pin(&sharing_processors, worker->number);
    pattern_free(given[worker->number]);
}

static uint64_t threads_sharing(struct worker *worker)
{
    (void)worker;
    for (unsigned i = 0; i < SHARING_BLOCKS; i++) {
        void *block = pattern_block(SHARING_BYTES);
        volatile uint64_t *word = block;
        for (unsigned w = 0; w < SHARING_WRITES; w++) (*word)++;
        pattern_free(block);
    }
    return SHARING_BLOCKS;
}

const struct pattern patterns_threads[] = {
    { .name = "churn",
      .step = threads_churn,
      .operation = "thread made, 100 pairs of malloc and free, ended" },
    { .name = "server",
      .threads = 4,
      .start = threads_server_start,
      .step = threads_server,
      .stop = threads_server_stop,
      .end = threads_server_end,
      .operation = "block replaced in a table that goes from thread to thread" },
    { .name = "contend",
      .threads = 4,
      .start = threads_contend_start,
      .step = threads_contend,
      .stop = threads_contend_stop,
      .end = threads_contend_end,
      .operation = "block replaced, one in eight through places that all threads share" },
    { .name = "sharing_active",
      .threads = 2,
      .begin = threads_processors,
      .start = threads_pin,
      .step = threads_sharing,
      .operation = "block of 16 bytes, written 1,000 times" },
    { .name = "sharing_passive",
      .threads = 2,
      .begin = threads_give,
      .start = threads_pin,
      .step = threads_sharing,
      .operation = "the same, after all threads freed neighbours that one thread made" },
    { .name = NULL },
};
