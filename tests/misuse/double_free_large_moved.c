/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_large_moved.c -- the address that a large block had before it grew. */
#include "misuse.h"

int main(void)
{
    char *before = malloc(3000000), *other = malloc(3000000);
    size_t bytes = 3000000;
    char *now = before;

    while (now == before && bytes < (size_t)1 << 34) now = realloc(hide(now), bytes *= 2);
    free(hide(before));
    free(other);
    return not_caught();
}
