/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_pattern.c -- a pointer that was read from memory filled with a pattern. */
#include "misuse.h"

int main(void)
{
    void *pointer;

    memset(&pointer, 0xdd, sizeof pointer);
    free(hide(pointer));
    return not_caught();
}
