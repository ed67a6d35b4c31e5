/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * preload_second.c -- another object for LD_PRELOAD, as tools bring them: it allocates in its
 * constructor, counts calls of malloc and passes them on to whoever comes after it. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((visibility("default"))) void *malloc(size_t bytes);

static unsigned calls;
static char *kept;

void *malloc(size_t bytes)
{
    static void *(*next)(size_t);

    if (next == NULL) next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    return next(bytes);
}

__attribute__((constructor)) static void come(void)
{
    kept = strdup("kept from the constructor of the second object to its destructor");
}

__attribute__((destructor)) static void go(void)
{
    const char *words = calls > 1 ? "second: passed calls on\n" : "second: saw no calls\n";

    if (kept == NULL || strlen(kept) != 64) words = "second: lost its text\n";
    free(kept);
    if (write(STDOUT_FILENO, words, strlen(words)) < 0) _exit(96);
}
