/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_in_run.c -- a pointer into the middle of a block of 100 KB freed. */
#include "misuse.h"

int main(void)
{
    char *block = malloc(100000);

    free(hide(block + 8192));
    return not_caught();
}
