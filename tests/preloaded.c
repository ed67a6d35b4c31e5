/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * preloaded.c -- see preloaded.h.  Who serves malloc is asked of the dynamic linker, so that an
 * object that was loaded but lost the race for the symbol is an error and not a test passed. */
#include "preloaded.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static const char *object_wanted(void)
{
    const char *object = getenv("preload_object");

    return object != NULL && *object != '\0' ? object : "preload/.libs/libprivheap-preload.so";
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static const char *malloc_owner(void)
{
    Dl_info owner;
    void *symbol = dlsym(RTLD_DEFAULT, "malloc");

    return symbol != NULL && dladdr(symbol, &owner) != 0 ? owner.dli_fname : "nobody";
}

bool preloaded(void)
{
    return strstr(malloc_owner(), "/libc.so") == NULL;
}

static void leave(int status, const char *why, const char *what)
{
    fprintf(stderr, "%s: %s\n", why, what);
    exit(status);
}

/* The object first, then whatever was preloaded already. */
static void set_preload(const char *object)
{
    const char *others = getenv("LD_PRELOAD");
    char list[2 * PATH_MAX];

    snprintf(list, sizeof list, "%s%s%s", object, others != NULL ? ":" : "", others != NULL ? others : "");
    setenv("LD_PRELOAD", list, 1);
    setenv("started_again", "1", 1);
}

void preloaded_start(char **argv)
{
    const char *object = object_wanted();
    char path[PATH_MAX];

    if (strcmp(object, "none") == 0) return;
    if (SANITIZED) leave(77, "skipped", "the sanitizer has a malloc of its own");
    if (realpath(object, path) == NULL) leave(99, "no such object", object);
    if (strcmp(last_part(malloc_owner()), last_part(path)) == 0) return;
    if (getenv("started_again") != NULL) leave(99, "malloc is served by", malloc_owner());
    set_preload(path);
    execv("/proc/self/exe", argv);
    leave(99, "cannot start again", argv[0]);
}
