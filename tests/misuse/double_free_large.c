/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_large.c -- a block of 3 MB freed twice. */
#include "misuse.h"

int main(void)
{
    void *block = malloc(3000000), *neighbour = malloc(3000000);

    free(hide(block));
    free(hide(block));
    void *one = malloc(3000000), *two = malloc(3000000);
    if (one == two) _exit(3);
    free(neighbour);
    return not_caught();
}
