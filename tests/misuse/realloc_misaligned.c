/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * realloc_misaligned.c -- a pointer one byte past the start of a block reallocated. */
#include "misuse.h"

int main(void)
{
    char *block = malloc(200);

    if (realloc(hide(block + 1), 10) == NULL) _exit(4);
    return not_caught();
}
