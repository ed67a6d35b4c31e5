/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_left_over.c -- the few bytes that are left over where blocks of 48 bytes fill an OS page, freed:
 * a multiple of 48 bytes from the page's start or end stands there, and yet no block. */
#include "misuse.h"

int main(void)
{
    char *block = malloc(48);
    char *page = (char *)((uintptr_t)block & ~(uintptr_t)4095);
    char *first = block;

    while (first - 48 >= page)
        first -= 48;
    free(hide(first > page ? page : page + 4096 - 16));
    return not_caught();
}
