/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_mixed.c -- batches of 1,000 blocks of 8 to 1,024 bytes, freed last first, first first, or in any
 * order.
 *
 * Sizes and orders are drawn before the clock starts, into tables small enough to leave the nearest cache to
 * the allocator: BATCHES of them in turn, so that no batch repeats the one before. */
#include "bench.h"

enum { BATCH_BLOCKS = 1000, BATCHES = 4, MIN_BYTES = 8, MAX_BYTES = 1024 };

struct mixed {
    const char *order;
    uint16_t bytes[BATCHES][BATCH_BLOCKS];
    uint16_t turn[BATCHES][BATCH_BLOCKS]; /* which block is freed next */
};

static void mixed_shuffle(uint16_t *turn, uint64_t *random)
{
    for (unsigned i = BATCH_BLOCKS - 1; i > 0; i--) {
        unsigned j = (unsigned)(bench_random(random) % (i + 1));
        uint16_t kept = turn[i];
        turn[i] = turn[j];
        turn[j] = kept;
    }
}

static void mixed_draw(struct mixed *mixed, const char *order, uint64_t seed)
{
    uint64_t random = seed;
    bool lifo = strcmp(order, "lifo") == 0;
    mixed->order = order;
    for (unsigned b = 0; b < BATCHES; b++) {
        for (unsigned i = 0; i < BATCH_BLOCKS; i++) {
            mixed->bytes[b][i] = (uint16_t)(MIN_BYTES + bench_random(&random) % (MAX_BYTES - MIN_BYTES + 1));
            mixed->turn[b][i] = (uint16_t)(lifo ? BATCH_BLOCKS - 1 - i : i);
        }
        if (strcmp(order, "random") == 0) mixed_shuffle(mixed->turn[b], &random);
    }
}

static void mixed_batch(const struct bench_args *args, const struct mixed *mixed, unsigned b, void **block)
{
    for (unsigned i = 0; i < BATCH_BLOCKS; i++) {
        size_t bytes = mixed->bytes[b][i];
        block[i] = bench_keep(malloc(bytes));
        bench_touch(args, block[i], bytes);
    }
    for (unsigned i = 0; i < BATCH_BLOCKS; i++)
        free(bench_keep(block[mixed->turn[b][i]]));
}

static uint64_t mixed_work(const struct bench_args *args, const void *what, uint64_t pairs)
{
    void *block[BATCH_BLOCKS];
    uint64_t done = 0;
    for (unsigned b = 0; done < pairs; b = (b + 1) % BATCHES, done += BATCH_BLOCKS)
        mixed_batch(args, what, b, block);
    return done;
}

static void mixed_line(const struct bench_args *args, const char *order)
{
    static struct mixed mixed;
    char name[64];
    mixed_draw(&mixed, order, args->seed);
    snprintf(name, sizeof name, "mixed_%s/%d-%d", order, MIN_BYTES, MAX_BYTES);
    bench_line(args, mixed_work, &mixed, name);
}

int main(int argc, char **argv)
{
    static const char *const orders[] = {"lifo", "fifo", "random"};
    enum { ORDERS = sizeof orders / sizeof *orders };
    struct bench_args args;
    int first = bench_arguments(argc, argv, &args, "[lifo | fifo | random ...]");
    for (int i = first; i < argc; i++) {
        unsigned o = 0;
        while (o < ORDERS && strcmp(argv[i], orders[o]) != 0)
            o++;
        if (o == ORDERS) {
            fprintf(stderr, "bench: '%s' is not an order: lifo, fifo or random\n", argv[i]);
            return 2;
        }
        mixed_line(&args, orders[o]);
    }
    for (unsigned o = 0; first == argc && o < ORDERS; o++)
        mixed_line(&args, orders[o]);
    return 0;
}
