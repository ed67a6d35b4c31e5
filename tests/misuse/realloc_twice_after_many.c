/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * realloc_twice_after_many.c -- as realloc_twice, but the block has left the stack. */
#include "misuse.h"

int main(void)
{
    static void *block[SOME];

    for (unsigned i = 0; i < SOME; i++) block[i] = malloc(100);
    for (unsigned i = 0; i < SOME; i += 2) free(hide(block[i]));
    if (realloc(hide(block[SOME / 2]), 104) == NULL) _exit(4);
    return not_caught();
}
