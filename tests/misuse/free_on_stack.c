/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_on_stack.c -- a variable of the stack freed. */
#include "misuse.h"

int main(void)
{
    static char *volatile address;
    char variable[64] = "text";

    address = variable + 16 - ((uintptr_t)variable & 15);
    free(hide(address));
    return not_caught();
}
