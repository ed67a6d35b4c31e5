/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_by_realloc.c -- a block freed, and again by realloc(p, 0). */
#include "misuse.h"

int main(void)
{
    void *block = malloc(300);

    free(hide(block));
    if (realloc(hide(block), 0) != NULL) _exit(4);
    go_on_with(300);
    return not_caught();
}
