/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_interior_of_free.c -- a pointer into a block that is free by now. */
#include "misuse.h"

int main(void)
{
    char *block = malloc(200);

    free(hide(block));
    free(hide(block + 16));
    return not_caught();
}
