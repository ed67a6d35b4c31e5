/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* stress_shadow.h -- threads that use an allocator at random, and know what stands in every byte of every
 * block.
 *
 * stress_heap.c runs it over HeapAlloc, on the process heap and on a private one; stress_malloc.c over plain
 * malloc, under the preload object.  Everything drawn follows from the seed, except what the threads do to
 * each other. */
#ifndef STRESS_SHADOW_H
#define STRESS_SHADOW_H

#include <stdbool.h>
#include <stddef.h>

struct stress_calls {
    void *(*take)(size_t bytes);
    void *(*take_zeroed)(size_t bytes);
    void *(*take_aligned)(size_t align, size_t bytes); /* NULL: the allocator has none */
    /* Grow or shrink; *zeroed: whether the new bytes are promised to be 0. */
    void *(*resize)(void *block, size_t bytes, unsigned dice, bool *zeroed);
    void (*give)(void *block, size_t bytes, size_t align);
    /* Bytes that the holder may write, of a block of which `bytes` were asked for; 0: an answer that is
     * wrong. */
    size_t (*usable)(void *block, size_t bytes);
};

/* Arguments: [-s SEED] [-t SECONDS] [-n THREADS] [-x].  -x damages one byte of one block, which must be
 * found. After it returns no block is held.  0 all was right; what is wrong ends the process, with status 1
 * and a line that says where; wrong arguments with 2. */
int stress_shadow(int argc, char **argv, const char *name, const struct stress_calls *calls);

/* End the process: something is wrong. */
__attribute__((noreturn, format(printf, 1, 2))) void stress_fail(const char *format, ...);

#endif
