/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * nothing.c -- the control: busy, and no sin. */
#include "misuse.h"

int main(void)
{
    void *block[100];

    for (unsigned i = 0; i < 100; i++) block[i] = malloc(i * 1000);
    for (unsigned i = 0; i < 100; i++) free(hide(block[i]));
    go_on_with(48);
    free(hide(NULL));
    return not_caught();
}
