/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_aligned.c -- an aligned block freed twice. */
#include "misuse.h"

int main(void)
{
    void *block = aligned_alloc(256, 512);

    free(hide(block));
    free(hide(block));
    for (unsigned i = 0; i < SOME; i++) memset(aligned_alloc(256, 512), 1, 512);
    return not_caught();
}
