/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * modes_host.c -- a program that shares blocks with whatever else allocates in its process.
 *
 *   modes_host plugin PATH      modes_plugin.c opened by dlopen with RTLD_DEEPBIND: blocks go both ways
 *   modes_host plugin-dlmopen PATH  the same by dlmopen
 *   modes_host beside PATH NAME modes_plugin.c at PATH opens NAME, by its own RUNPATH
 *   modes_host other PATH       modes_plugin.c in a namespace of its own: its blocks come to our functions
 *   modes_host libc             the same with blocks of libc's own malloc, of its threads and of memalign
 *   modes_host names            blocks of __libc_malloc and its kin, mixed with malloc's
 *   modes_host count            how many bytes malloc_usable_size sees in a block of 100
 *
 * "done", or the line that failed. */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static void fail(int line, const char *what)
{
    printf("line %d: %s; %s\n", line, what, strerror(errno));
    exit(1);
}

static const size_t sizes[] = { 1, 24, 25, 100, 1000, 5000, 70000, 400000, 3000000 };
enum { SIZES = sizeof sizes / sizeof *sizes };

static void *(*make)(size_t, int);
static void *(*make_aligned)(size_t, size_t, int);
static void *(*resize)(void *, size_t);
static void (*release)(void *);

static void find(void *library, const char *name, void *out)
{
    *(void **)out = dlsym(library, name);
    MUST(*(void **)out != NULL);
}

static void use(void *library)
{
    MUST(library != NULL);
    find(library, "plugin_make", &make);
    find(library, "plugin_aligned", &make_aligned);
    find(library, "plugin_resize", &resize);
    find(library, "plugin_free", &release);
}

static bool is_all(const unsigned char *block, size_t bytes, int value)
{
    for (size_t i = 0; i < bytes; i++)
        if (block[i] != value) return false;
    return true;
}

static void pass_both_ways(void)
{
    for (unsigned i = 0; i < SIZES; i++) {
        free(make(sizes[i], 1));
        release(malloc(sizes[i]));
        release(calloc(1, sizes[i]));
        unsigned char *there = resize(malloc(sizes[i]), sizes[i] * 2), *here = realloc(make(sizes[i], 7), sizes[i] * 2);
        MUST(there != NULL && here != NULL && is_all(here, sizes[i], 7));
        free(there);
        release(here);
    }
}

/* Blocks that are not ours: kept whole by realloc, left alone by free, measured. */
static void take_foreign(void)
{
    static const size_t aligns[] = { 32, 64, 1024, 4096, 65536, 1 << 20 };
    for (unsigned i = 0; i < SIZES; i++) {
        unsigned char *block = make(sizes[i], 3);
        const size_t usable = malloc_usable_size(block);
        MUST(usable >= sizes[i] && usable < sizes[i] + 8192);
        memset(block, 3, usable); /* which glibc allows */
        block = realloc(block, usable * 2);
        MUST(block != NULL && is_all(block, usable, 3));
        free(block);
        free(make(sizes[i], 4));
        block = realloc(make(sizes[i], 5), sizes[i] / 2 + 1);
        MUST(block != NULL && is_all(block, sizes[i] / 2 + 1, 5));
        free(block);
        for (unsigned k = 0; k < sizeof aligns / sizeof *aligns; k++) {
            block = make_aligned(aligns[k], sizes[i], 6);
            MUST(malloc_usable_size(block) >= sizes[i]);
            block = realloc(block, sizes[i] * 3);
            MUST(block != NULL && is_all(block, sizes[i], 6));
            free(block);
            free(make_aligned(aligns[k], sizes[i], 6));
        }
    }
    MUST(realloc(make(100, 1), 0) == NULL);
}

static void *in_thread(void *unused)
{
    take_foreign();
    return unused;
}

/* A thread of glibc's has an arena of its own. */
static void take_foreign_of_threads(void)
{
    pthread_t thread;
    take_foreign();
    MUST(pthread_create(&thread, NULL, in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

static void plugin(const char *path)
{
    use(dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND));
    pass_both_ways();
}

static void plugin_by_dlmopen(const char *path)
{
    use(dlmopen(LM_ID_BASE, path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND));
    pass_both_ways();
}

static void beside(const char *path, const char *name)
{
    void *(*open)(const char *, int);
    void *library = dlopen(path, RTLD_NOW);
    MUST(library != NULL);
    find(library, "plugin_open", &open);
    MUST(dlopen(name, RTLD_NOW) == NULL); /* by ourselves it is not found */
    use(open(name, RTLD_NOW | RTLD_DEEPBIND));
    pass_both_ways();
    use(open(name, -1));
    pass_both_ways();
}

/* ---- libc's own functions, whoever interposes them: found in its handle ------------------------------- */

static void *(*libc_malloc)(size_t), *(*libc_aligned)(size_t, size_t);
static void *libc_make(size_t bytes, int value) { return memset(libc_malloc(bytes), value, bytes); }
static void *libc_make_aligned(size_t align, size_t bytes, int value) { return memset(libc_aligned(align, bytes), value, bytes); }

static void libc(void)
{
    void *handle = dlopen("libc.so.6", RTLD_NOW);
    MUST(handle != NULL);
    find(handle, "malloc", &libc_malloc);
    find(handle, "memalign", &libc_aligned);
    make = libc_make;
    make_aligned = libc_make_aligned;
    take_foreign_of_threads();
}

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void *__libc_memalign(size_t align, size_t bytes);
extern void __libc_free(void *block);

static void names(void)
{
    for (unsigned i = 0; i < SIZES; i++) {
        free(__libc_malloc(sizes[i]));
        free(__libc_calloc(1, sizes[i]));
        free(__libc_memalign(64, sizes[i]));
        free(__libc_memalign(4096, sizes[i]));
        __libc_free(malloc(sizes[i]));
        __libc_free(aligned_alloc(4096, sizes[i]));
        unsigned char *one = __libc_realloc(malloc(sizes[i]), sizes[i] * 2), *other = realloc(__libc_malloc(sizes[i]), sizes[i] * 2);
        MUST(one != NULL && other != NULL);
        one[sizes[i] * 2 - 1] = other[sizes[i] * 2 - 1] = 1;
        free(one);
        __libc_free(other);
    }
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "plugin") == 0 && argc == 3) plugin(argv[2]);
    else if (strcmp(verb, "plugin-dlmopen") == 0 && argc == 3) plugin_by_dlmopen(argv[2]);
    else if (strcmp(verb, "beside") == 0 && argc == 4) beside(argv[2], argv[3]);
    else if (strcmp(verb, "other") == 0 && argc == 3) use(dlmopen(LM_ID_NEWLM, argv[2], RTLD_NOW)), take_foreign_of_threads();
    else if (strcmp(verb, "libc") == 0) libc();
    else if (strcmp(verb, "names") == 0) names();
    else if (strcmp(verb, "count") == 0) printf("%zu\n", malloc_usable_size(malloc(100)));
    else return 2;
    puts("done");
    return 0;
}
