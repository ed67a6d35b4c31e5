/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * write_behind_after_many.c -- in secure mode, one byte too many in each of some blocks, when so many were freed before
 * that free has come to its shortest way. */
#include "misuse.h"

int main(void)
{
    for (unsigned i = 0; i < 20000; i++) free(hide(malloc(100)));
    char *block = hide(malloc(100));
    block[100] ^= 1;
    free(hide(block));
    free(hide(malloc(100)));
    _Exit(0); /* without a look at tails */
}
