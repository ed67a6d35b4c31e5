/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * free_static.c -- a static variable freed. */
#include "misuse.h"

int main(void)
{
    static _Alignas(64) char variable[64] = "text";

    free(hide(variable));
    return not_caught();
}
