/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * modes_hooks.c -- an object for LD_PRELOAD that stands between an allocator and libc: each function here allocates
 * before it does its work, as tracers and fakers of time do.
 *
 * With -DEARLY its constructor allocates too; linked with -z initfirst it does so before any other. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#define HOOK __attribute__((visibility("default")))

static __thread bool inside __attribute__((tls_model("initial-exec")));
static unsigned calls;

/* Blocks of many sizes, kept for a while: an allocator's slow path is met soon. */
static void allocate(void)
{
    static __thread void *kept[64] __attribute__((tls_model("initial-exec")));
    static __thread unsigned at __attribute__((tls_model("initial-exec")));
    if (inside) return;
    inside = true;
    for (unsigned i = 0; i < 8; i++, at++) {
        free(kept[at % 64]);
        kept[at % 64] = calloc(1, at * 97 % 9000);
        if (kept[at % 64] == NULL) _exit(90);
    }
    calls++;
    inside = false;
}

/* Found once: some of these are called millions of times. */
static void *next(void **place, const char *name)
{
    if (*place == NULL) {
        const bool before = inside;
        inside = true;
        *place = dlsym(RTLD_NEXT, name);
        inside = before;
    }
    if (*place == NULL) _exit(91);
    return *place;
}

#define NEXT(type) ((type)next(&place, __func__))

HOOK int pthread_key_create(pthread_key_t *key, void (*destroy)(void *))
{
    static void *place;
    allocate();
    return NEXT(int (*)(pthread_key_t *, void (*)(void *)))(key, destroy);
}

HOOK int pthread_setspecific(pthread_key_t key, const void *value)
{
    static void *place;
    allocate();
    return NEXT(int (*)(pthread_key_t, const void *))(key, value);
}

HOOK unsigned long getauxval(unsigned long type)
{
    static void *place;
    allocate();
    return NEXT(unsigned long (*)(unsigned long))(type);
}

HOOK int clock_gettime(clockid_t clock, struct timespec *now)
{
    static void *place;
    allocate();
    return NEXT(int (*)(clockid_t, struct timespec *))(clock, now);
}

HOOK char *getenv(const char *name)
{
    static void *place;
    allocate();
    return NEXT(char *(*)(const char *))(name);
}

HOOK char *secure_getenv(const char *name)
{
    static void *place;
    allocate();
    return NEXT(char *(*)(const char *))(name);
}

HOOK long sysconf(int name)
{
    static void *place;
    allocate();
    return NEXT(long (*)(int))(name);
}

HOOK int __cxa_atexit(void (*function)(void *), void *argument, void *object);
HOOK int __cxa_atexit(void (*function)(void *), void *argument, void *object)
{
    static void *place;
    allocate();
    return NEXT(int (*)(void (*)(void *), void *, void *))(function, argument, object);
}

HOOK int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object);
HOOK int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object)
{
    static void *place;
    allocate();
    return NEXT(int (*)(void (*)(void), void (*)(void), void (*)(void), void *))(prepare, parent, child, object);
}

HOOK int fprintf(FILE *stream, const char *format, ...)
{
    va_list arguments;
    allocate();
    va_start(arguments, format);
    const int result = vfprintf(stream, format, arguments);
    va_end(arguments);
    return result;
}

HOOK FILE *fopen(const char *path, const char *mode)
{
    static void *place;
    allocate();
    return NEXT(FILE *(*)(const char *, const char *))(path, mode);
}

#ifdef EARLY
__attribute__((constructor)) static void come(void)
{
    char *text = strdup("kept");
    allocate();
    fprintf(stderr, "%s", "");
    if (text == NULL || getenv("no such name") != NULL || sysconf(_SC_PAGESIZE) <= 0) _exit(92);
    free(text);
}
#endif

__attribute__((destructor)) static void go(void)
{
    if (calls == 0 && write(STDOUT_FILENO, "hooks: never called\n", 20) < 0) _exit(93);
}
