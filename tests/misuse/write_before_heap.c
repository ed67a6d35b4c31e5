/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * write_before_heap.c -- the word before the first block of all, which is nobody's. */
#include "misuse.h"

int main(void)
{
    size_t *block = malloc(4096), *other = malloc(4096);

    free(hide(block));
    ((size_t *)hide(block))[-1] = 1;
    free(hide(other));
    return not_caught();
}
