/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_at_exit.c -- a small block freed twice, and then the program ends. */
#include "misuse.h"

int main(void)
{
    void *block = malloc(48);

    free(hide(block));
    free(hide(block));
    return not_caught();
}
