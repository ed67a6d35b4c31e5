/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_smallest.c -- the smallest block there is, freed twice. */
#include "misuse.h"

int main(void)
{
    void *block = malloc(1);

    free(hide(block));
    free(hide(block));
    go_on_with(1);
    return not_caught();
}
