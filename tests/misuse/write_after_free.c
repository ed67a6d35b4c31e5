/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * write_after_free.c -- a small block written to after its free. */
#include "misuse.h"

int main(void)
{
    void *block = malloc(64);

    free(hide(block));
    memset(hide(block), 0x41, 64);
    go_on_with(64);
    return not_caught();
}
