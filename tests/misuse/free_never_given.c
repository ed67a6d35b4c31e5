/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_never_given.c -- an address of the heap freed that was never part of a block. */
#include "misuse.h"

int main(void)
{
    char *block = malloc(48);

    free(hide(block + 2 * 1024 * 1024));
    return not_caught();
}
