/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_interior.c -- a pointer into the middle of a small block freed. */
#include "misuse.h"

int main(void)
{
    char *block = malloc(200);

    free(hide(block + 32));
    return not_caught();
}
