/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc_shadow.c -- random operations beside a record of what each block must hold.
 *
 * Each table of blocks is worked on by one thread at a time, but passes from thread to thread,
 * so that blocks are freed and grown by threads that did not make them. */
#include "check_malloc.h"

#include <pthread.h>

enum { BLOCKS = 400, THREADS = 4, TURNS = 12, STEPS = 4000 };

struct shadow {
    void *block[BLOCKS];
    size_t bytes[BLOCKS];
    uint64_t seed[BLOCKS];
    uint64_t random;
    uint64_t next_seed;
    const char *wrong; /* the first thing that was not so */
};

/* Mostly small, some runs, few large. */
static size_t some_size(struct shadow *sh)
{
    unsigned kind = next_random(&sh->random) % 1000;

    if (kind < 900) return next_random(&sh->random) % 1025;
    if (kind < 980) return next_random(&sh->random) % (20 * KIB);
    if (kind < 998) return next_random(&sh->random) % (300 * KIB);
    return next_random(&sh->random) % (3 * MIB);
}

static void note(struct shadow *sh, const char *wrong)
{
    if (sh->wrong == NULL) sh->wrong = wrong;
}

static void put(struct shadow *sh, unsigned i, void *block, size_t bytes)
{
    if (block == NULL) {
        note(sh, "no block came");
        return;
    }
    if (!is_aligned(block, 16)) note(sh, "a block is not aligned");
    sh->block[i] = block;
    sh->bytes[i] = bytes;
    sh->seed[i] = sh->next_seed++;
    fill(block, bytes, sh->seed[i]);
}

static void take(struct shadow *sh, unsigned i)
{
    size_t bytes = some_size(sh);
    void *block;

    switch (next_random(&sh->random) % 8) {
    case 0:
        block = calloc(1, bytes);
        if (block != NULL && !is_zero(block, bytes)) note(sh, "calloc is not zero");
        break;
    case 1:
        block = memalign((size_t)16 << next_random(&sh->random) % 9, bytes);
        break;
    default:
        block = malloc(bytes);
    }
    put(sh, i, block, bytes);
}

static void give(struct shadow *sh, unsigned i)
{
    if (!is_filled(sh->block[i], sh->bytes[i], sh->seed[i])) note(sh, "contents changed before free");
    free(sh->block[i]);
    sh->block[i] = NULL;
}

static void change(struct shadow *sh, unsigned i)
{
    size_t bytes = some_size(sh) + 1, kept = bytes < sh->bytes[i] ? bytes : sh->bytes[i];
    void *block = realloc(sh->block[i], bytes);

    if (block == NULL || !is_filled(block, kept, sh->seed[i])) note(sh, "contents changed over realloc");
    put(sh, i, block, bytes);
}

static void work(struct shadow *sh, unsigned steps)
{
    while (steps-- > 0) {
        unsigned i = next_random(&sh->random) % BLOCKS;
        if (sh->block[i] == NULL)
            take(sh, i);
        else if (next_random(&sh->random) % 4 == 0)
            change(sh, i);
        else
            give(sh, i);
    }
}

static void give_all(struct shadow *sh)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        if (sh->block[i] != NULL) give(sh, i);
}

START_TEST(contents_stay_under_random_operations)
{
    static struct shadow sh;

    sh = (struct shadow){ .random = 1 + (uint64_t)_i };
    work(&sh, 20000);
    give_all(&sh);
    if (sh.wrong != NULL) ck_abort_msg("%s", sh.wrong);
}
END_TEST

static struct shadow tables[THREADS];
static pthread_barrier_t turn_over;

static void *work_in_turns(void *number)
{
    for (unsigned turn = 0; turn < TURNS; turn++) {
        work(&tables[((uintptr_t)number + turn) % THREADS], STEPS);
        pthread_barrier_wait(&turn_over);
    }
    return NULL;
}

START_TEST(contents_stay_when_blocks_wander_between_threads)
{
    pthread_t thread[THREADS];

    pthread_barrier_init(&turn_over, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) tables[i] = (struct shadow){ .random = 100 + i, .next_seed = (uint64_t)i << 40 };
    for (uintptr_t i = 0; i < THREADS; i++) must(pthread_create(&thread[i], NULL, work_in_turns, (void *)i) == 0);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        give_all(&tables[i]);
        if (tables[i].wrong != NULL) ck_abort_msg("%s", tables[i].wrong);
    }
    pthread_barrier_destroy(&turn_over);
}
END_TEST

/* Each turn in new threads: what a dead thread left is worked on by the living. */
static void *work_one_turn(void *table)
{
    work(table, STEPS / 10);
    return NULL;
}

START_TEST(contents_stay_when_threads_come_and_go)
{
    pthread_t thread[THREADS];

    for (unsigned i = 0; i < THREADS; i++) tables[i] = (struct shadow){ .random = 900 + i, .next_seed = (uint64_t)i << 40 };
    for (unsigned turn = 0; turn < 60; turn++) {
        for (unsigned i = 0; i < THREADS; i++)
            must(pthread_create(&thread[i], NULL, work_one_turn, &tables[(i + turn) % THREADS]) == 0);
        for (unsigned i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        give_all(&tables[i]);
        if (tables[i].wrong != NULL) ck_abort_msg("%s", tables[i].wrong);
    }
}
END_TEST

TCase *tcase_shadow(void)
{
    TCase *tc = tcase_create("shadow");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, contents_stay_under_random_operations, 0, 5);
    tcase_add_test(tc, contents_stay_when_blocks_wander_between_threads);
    tcase_add_test(tc, contents_stay_when_threads_come_and_go);
    return tc;
}
