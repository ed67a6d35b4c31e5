/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * write_fresh.c -- a write far behind a block, where nobody was given anything yet. */
#include "misuse.h"

int main(void)
{
    uint64_t *block = malloc(48);

    for (unsigned i = 0; i < 600; i++) ((uint64_t *)hide(block))[i + 6] = 0x4141414141414141;
    go_on_with(48);
    return not_caught();
}
