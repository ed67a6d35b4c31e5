/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_misaligned.c -- a pointer one byte past the start of a block freed. */
#include "misuse.h"

int main(void)
{
    char *block = malloc(200);

    free(hide(block + 1));
    return not_caught();
}
