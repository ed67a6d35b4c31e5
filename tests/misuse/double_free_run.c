/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_run.c -- a block of 100 KB freed twice. */
#include "misuse.h"

int main(void)
{
    void *block = malloc(100000), *neighbour = malloc(100000);

    free(hide(block));
    free(hide(block));
    void *one = malloc(100000), *two = malloc(100000);
    if (one == two) _exit(3);
    free(neighbour);
    return not_caught();
}
