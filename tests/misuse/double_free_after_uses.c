/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_after_uses.c -- the block was handed out and freed several times before. */
#include "misuse.h"

int main(void)
{
    void *block = NULL;

    for (unsigned i = 0; i < 100; i++) {
        block = malloc(64);
        memset(block, 0x41, 64);
        free(hide(block));
    }
    free(hide(block));
    go_on_with(64);
    return not_caught();
}
