/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_small.c -- a small block freed twice, one after the other. */
#include "misuse.h"

int main(void)
{
    void *block = malloc(48);

    free(hide(block));
    free(hide(block));
    go_on_with(48);
    return not_caught();
}
