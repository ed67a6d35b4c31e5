/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_in_large.c -- a pointer into the middle of a block of 3 MB freed. */
#include "misuse.h"

int main(void)
{
    char *block = malloc(3000000);

    free(hide(block + 65536));
    return not_caught();
}
