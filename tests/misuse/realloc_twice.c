/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * realloc_twice.c -- a block that is free is resized. */
#include "misuse.h"

int main(void)
{
    void *block = malloc(200);

    free(hide(block));
    if (realloc(hide(block), 300) == NULL) _exit(4);
    return not_caught();
}
