/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * misuse.h -- what the programs of this folder share; each has a main() with one sin.
 *
 * A program that gets to its end was not caught: it says so and leaves with 0, or with 3 where
 * it was given one block twice, which must never happen, caught or not. */
#ifndef PH_TESTS_MISUSE_H
#define PH_TESTS_MISUSE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOME = 3000 }; /* more blocks than a stack holds */

/* So that the compiler neither warns of the sin nor leaves it out. */
static inline void *hide(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

static inline int by_address(const void *left, const void *right)
{
    uintptr_t one = *(const uintptr_t *)left, two = *(const uintptr_t *)right;

    return (one > two) - (one < two);
}

/* Go on with blocks of `bytes`, so that a block that is free twice is met. */
static inline void go_on_with(size_t bytes)
{
    static uintptr_t block[SOME];

    for (unsigned i = 0; i < SOME; i++) block[i] = (uintptr_t)malloc(bytes);
    qsort(block, SOME, sizeof *block, by_address);
    for (unsigned i = 1; i < SOME; i++)
        if (block[i] != 0 && block[i] == block[i - 1]) _exit(3);
    for (unsigned i = 0; i < SOME; i++) free((void *)block[i]);
}

static inline int not_caught(void)
{
    static const char words[] = "not caught\n";

    return write(STDOUT_FILENO, words, sizeof words - 1) < 0;
}

#endif
