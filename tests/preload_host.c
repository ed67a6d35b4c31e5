/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * preload_host.c -- a program in C that opens libraries at run time.
 *
 *   preload_host library FILE [deepbind]   preload_library.c's: blocks pass both ways
 *   preload_host thrower FILE              preload_thrower.cc's: bad_alloc without libstdc++ here */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must_open(const char *path, int flags)
{
    void *library = dlopen(path, RTLD_NOW | flags);

    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(99);
    }
    return library;
}

static void *must_find(void *library, const char *name)
{
    void *symbol = dlsym(library, name);

    if (symbol == NULL) exit(98);
    return symbol;
}

/* Blocks of the library freed here, ours freed there; twenty times opened and closed. */
static int use_library(const char *path, int flags)
{
    for (unsigned i = 0; i < 20; i++) {
        void *library = must_open(path, flags);
        char *(*text)(void) = (char *(*)(void))must_find(library, "library_text");
        void (*release)(void *) = (void (*)(void *))must_find(library, "library_free");
        for (unsigned k = 0; k < 200; k++) {
            char *copy = text();
            if (copy == NULL || strcmp(copy, "a text of the library's") != 0) return 1;
            free(copy);
            release(malloc(10 + k * 100));
        }
        dlclose(library);
    }
    puts("blocks passed both ways");
    return 0;
}

static int use_thrower(const char *path)
{
    void *library = must_open(path, RTLD_LOCAL);

    printf("works: %d\n", ((int (*)(void))must_find(library, "thrower_works"))());
    printf("calls of the handler: %d\n", ((int (*)(void))must_find(library, "thrower_fails"))());
    printf("all forms: %d\n", ((int (*)(void))must_find(library, "thrower_fails_in_all_forms"))());
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "thrower") == 0) return use_thrower(argv[2]);
    if (argc >= 3 && strcmp(argv[1], "library") == 0) return use_library(argv[2], argc > 3 ? RTLD_DEEPBIND : RTLD_GLOBAL);
    return 2;
}
