/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * realloc_interior.c -- a pointer into the middle of a block reallocated. */
#include "misuse.h"

int main(void)
{
    char *block = malloc(200);

    if (realloc(hide(block + 32), 400) == NULL) _exit(4);
    return not_caught();
}
