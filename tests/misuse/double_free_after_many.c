/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_after_many.c -- so many frees between the two that the first has left the stack. */
#include "misuse.h"

int main(void)
{
    static void *block[SOME];

    for (unsigned i = 0; i < SOME; i++) block[i] = malloc(100);
    for (unsigned i = 0; i < SOME; i++) free(hide(block[i]));
    free(hide(block[SOME / 2]));
    go_on_with(100);
    return not_caught();
}
