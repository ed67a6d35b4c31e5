/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * preload_library.c -- a library to be opened at run time, that allocates when it comes and goes,
 * gives blocks to its host and frees blocks of its host's. */
#include <stdlib.h>
#include <string.h>

__attribute__((visibility("default"))) char *library_text(void);
__attribute__((visibility("default"))) void library_free(void *block);

static char *text;

__attribute__((constructor)) static void come(void)
{
    text = malloc(100);
    if (text != NULL) strcpy(text, "a text of the library's");
}

__attribute__((destructor)) static void go(void)
{
    void *last = calloc(10, 100);

    free(text);
    free(last);
}

char *library_text(void)
{
    return text != NULL ? strdup(text) : NULL;
}

void library_free(void *block)
{
    free(block);
}
