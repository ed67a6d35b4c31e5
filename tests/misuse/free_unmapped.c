/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_unmapped.c -- a number that leads nowhere. */
#include "misuse.h"

int main(void)
{
    free(hide((void *)0x12345670));
    return not_caught();
}
