/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oomed_library.c -- for oom.sh: a library with a fault behind its only allocation. */
#include <stdlib.h>
#include <string.h>

int oomed_library_work(const char *text);
int oomed_library_work(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    strcpy(copy, text); /* PLANTED library */
    free(copy);
    return 0;
}
