/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_lines.c -- false sharing, counted: how many cache lines hold live blocks of two threads.
 *
 * Prints two lines, `name shared all`: of `together`, threads that take one block each in turn; of `handed`, they free
 * neighbours that one thread made for all of them, and take as many anew.  What the writes to such lines cost depends on
 * the machine; how many there are does not, but for chance. */
#include "bench.h"

enum { THREADS = 4, ROUNDS = 2000, BYTES = 16, LINE_BITS = 6, BLOCKS = THREADS * ROUNDS };

struct mark {
    uintptr_t line;
    unsigned thread;
};

static void *block[THREADS][ROUNDS];
static pthread_barrier_t turn;
static bool handed;

static void *worker(void *arg)
{
    const unsigned number = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; handed && i < ROUNDS; i++)
        free(bench_keep(block[number][i]));
    for (unsigned i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&turn);
        if ((block[number][i] = bench_keep(malloc(BYTES))) == NULL) exit(2);
    }
    pthread_barrier_wait(&turn); /* nobody ends, and leaves its free blocks to others, before */
    return NULL;
}

static int by_line(const void *one, const void *other)
{
    const struct mark *a = one, *b = other;
    return a->line != b->line ? (a->line < b->line ? -1 : 1) : (a->thread > b->thread) - (a->thread < b->thread);
}

static void count(const char *name)
{
    static struct mark mark[BLOCKS];
    unsigned lines = 0, shared = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        mark[i] = (struct mark){ (uintptr_t)block[i % THREADS][i / THREADS] >> LINE_BITS, i % THREADS };
    qsort(mark, BLOCKS, sizeof *mark, by_line);
    for (unsigned i = 0, first = 0; i < BLOCKS; i++)
        if (i + 1 == BLOCKS || mark[i + 1].line != mark[i].line) {
            lines++;
            shared += mark[i].thread != mark[first].thread;
            first = i + 1;
        }
    printf("%s %u %u\n", name, shared, lines);
}

static void run(const char *name)
{
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, worker, (void *)i) != 0) exit(2);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    count(name);
}

int main(void)
{
    pthread_barrier_init(&turn, NULL, THREADS);
    run("together");
    handed = true;
    for (unsigned i = 0; i < BLOCKS; i++) free(block[i % THREADS][i / THREADS]);
    for (unsigned i = 0; i < BLOCKS; i++)
        if ((block[i % THREADS][i / THREADS] = bench_keep(malloc(BYTES))) == NULL) return 2;
    run("handed");
    return 0;
}
