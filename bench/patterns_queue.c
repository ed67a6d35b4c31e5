/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* patterns_queue.c -- blocks that one thread makes and another frees.
 *
 * They are handed over in batches, through queues that are no part of what is measured: of fixed length, and
 * who must wait sleeps until there is enough to do again, so that neither spinning nor waking counts for
 * much.
 *
 * Locks:   each queue's own, none inside another. */
#include "pattern.h"

enum { QUEUE_BATCHES = 64, BATCH_BLOCKS = 64, QUEUES = BENCH_MAX_THREADS / 2, ENOUGH = QUEUE_BATCHES / 4 };

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    unsigned first, count, takers, givers; /* takers, givers: who sleeps */
    bool closed;
    void *block[QUEUE_BATCHES][BATCH_BLOCKS];
};

static struct queue *queues;
static unsigned queue_count;

static void queue_begin(unsigned threads, uint64_t seed)
{
    (void)seed;
    queue_count = threads / 2;
    queues = pattern_pages(queue_count * sizeof *queues);
    for (unsigned i = 0; i < queue_count; i++) {
        queues[i] = (struct queue){ .closed = false };
        pthread_mutex_init(&queues[i].lock, NULL);
        pthread_cond_init(&queues[i].filled, NULL);
        pthread_cond_init(&queues[i].emptied, NULL);
    }
}

static void queue_close(void)
{
    for (unsigned i = 0; i < queue_count; i++) {
        pthread_mutex_lock(&queues[i].lock);
        queues[i].closed = true;
        pthread_cond_broadcast(&queues[i].filled);
        pthread_cond_broadcast(&queues[i].emptied);
        pthread_mutex_unlock(&queues[i].lock);
    }
}

/* False when it is closed: `batch` stays the caller's. */
static bool queue_put(struct queue *queue, void **batch)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == QUEUE_BATCHES && !queue->closed) {
        queue->givers++;
        pthread_cond_wait(&queue->emptied, &queue->lock);
        queue->givers--;
    }
    bool room = queue->count < QUEUE_BATCHES && !queue->closed;
    if (room)
        memcpy(queue->block[(queue->first + queue->count++) % QUEUE_BATCHES], batch, sizeof *queue->block);
    if (queue->takers && queue->count >= ENOUGH) pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    return room;
}

/* False when it is closed and empty. */
static bool queue_take(struct queue *queue, void **batch)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->closed) {
        queue->takers++;
        pthread_cond_wait(&queue->filled, &queue->lock);
        queue->takers--;
    }
    bool some = queue->count > 0;
    if (some) {
        memcpy(batch, queue->block[queue->first], sizeof *queue->block);
        queue->first = (queue->first + 1) % QUEUE_BATCHES;
        queue->count--;
    }
    if (queue->givers && queue->count <= QUEUE_BATCHES - ENOUGH) pthread_cond_signal(&queue->emptied);
    pthread_mutex_unlock(&queue->lock);
    return some;
}

static void queue_free_batch(void **batch)
{
    for (unsigned i = 0; i < BATCH_BLOCKS; i++) pattern_free(batch[i]);
}

/* Even workers make, odd ones free; the free counts as the pair. */
static uint64_t queue_step(struct worker *worker, struct queue *put, struct queue *take)
{
    void *batch[BATCH_BLOCKS];
    if (worker->number % 2 == 0) {
        for (unsigned i = 0; i < BATCH_BLOCKS; i++)
            batch[i] = pattern_block(pattern_mixed_bytes(&worker->random));
        if (!queue_put(put, batch)) queue_free_batch(batch);
        return 0;
    }
    if (!queue_take(take, batch)) return 0;
    queue_free_batch(batch);
    return BATCH_BLOCKS;
}

/* One way: what a maker makes goes to its one partner. */
static uint64_t queue_remote(struct worker *worker)
{
    struct queue *own = &queues[worker->number / 2];
    return queue_step(worker, own, own);
}

/* Each maker's batches go to all the others in turn, so that each frees blocks of many threads. */
static uint64_t queue_crossed(struct worker *worker)
{
    struct queue *put = &queues[bench_random(&worker->random) % queue_count];
    return queue_step(worker, put, &queues[worker->number / 2]);
}

/* Closed by now: no one sleeps, and nothing more comes. */
static void queue_stop(struct worker *worker)
{
    void *batch[BATCH_BLOCKS];
    while (worker->number % 2 == 1 && queue_take(&queues[worker->number / 2], batch)) queue_free_batch(batch);
}

const struct pattern patterns_queue[] = {
    { .name = "remote",
      .threads = 2,
      .fewest = 2,
      .multiple = 2,
      .begin = queue_begin,
      .step = queue_remote,
      .close = queue_close,
      .stop = queue_stop,
      .operation = "block made by one thread and freed by another, 8 to 1,024 bytes" },
    { .name = "producers",
      .threads = 8,
      .fewest = 2,
      .multiple = 2,
      .begin = queue_begin,
      .step = queue_crossed,
      .close = queue_close,
      .stop = queue_stop,
      .operation = "the same, several producers, each with every consumer" },
    { .name = NULL },
};
