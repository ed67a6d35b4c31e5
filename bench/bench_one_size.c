/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_one_size.c -- malloc and free of one size, one block at a time: the floor of what a pair costs. */
#include "bench.h"

static uint64_t one_size_work(const struct bench_args *args, const void *what, uint64_t pairs)
{
    size_t bytes = *(const size_t *)what;
    for (uint64_t i = 0; i < pairs; i++) {
        void *block = bench_keep(malloc(bytes));
        bench_touch(args, block, bytes);
        free(bench_keep(block));
    }
    return pairs;
}

static void one_size_line(const struct bench_args *args, size_t bytes)
{
    char name[64];
    snprintf(name, sizeof name, "one_size/%zu", bytes);
    bench_line(args, one_size_work, &bytes, name);
}

int main(int argc, char **argv)
{
    static const size_t usual[] = {16, 64, 256, 1000};
    struct bench_args args;
    int first = bench_arguments(argc, argv, &args, "[BYTES ...]");
    for (int i = first; i < argc; i++)
        one_size_line(&args, bench_number(argv[i], 0, 1u << 30));
    if (first < argc) return 0;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        one_size_line(&args, usual[i]);
    return 0;
}
