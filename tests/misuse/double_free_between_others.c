/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_between_others.c -- other blocks are freed between the two frees of one. */
#include "misuse.h"

int main(void)
{
    void *block[5];

    for (unsigned i = 0; i < 5; i++) block[i] = malloc(200);
    for (unsigned i = 0; i < 5; i++) free(hide(block[i]));
    free(hide(block[2]));
    go_on_with(200);
    return not_caught();
}
