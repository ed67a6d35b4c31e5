/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * modes_late.c -- opens objects that take static TLS, and then the object for LD_PRELOAD, late, which must do with
 * what is left.
 *
 *   modes_late FOLDER COUNT [OBJECT]   opens FOLDER/0.so and so on, COUNT at most; says how many, or uses OBJECT */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *(*take)(size_t);
static void *(*resize)(void *, size_t);
static void (*give)(void *);

static void *use(void *unused)
{
    for (size_t i = 0; i < 2000; i++) {
        char *block = take(i * 37);
        if (block == NULL || (block = resize(block, i * 40 + 1)) == NULL) return &take;
        block[i * 40] = 1;
        give(block);
    }
    return unused;
}

int main(int count, char **argument)
{
    char path[4096];
    int opened = 0;
    pthread_t thread;
    void *result = NULL;

    if (count < 3) return 2;
    for (; opened < atoi(argument[2]); opened++) {
        snprintf(path, sizeof path, "%s/%d.so", argument[1], opened);
        if (dlopen(path, RTLD_NOW) == NULL) break;
    }
    if (count == 3) return printf("%d\n", opened) < 0;
    char *before = malloc(100);
    strcpy(before, "from before");
    void *object = dlopen(argument[3], RTLD_NOW);
    if (object == NULL) {
        puts(dlerror());
        return 1;
    }
    take = (void *(*)(size_t))dlsym(object, "malloc");
    resize = (void *(*)(void *, size_t))dlsym(object, "realloc");
    give = (void (*)(void *))dlsym(object, "free");
    before = resize(before, 1000); /* a block of libc's, from before the object came */
    if (before == NULL || strcmp(before, "from before") != 0 || use(NULL) != NULL) return 1;
    give(before);
    give(malloc(100));
    if (pthread_create(&thread, NULL, use, NULL) != 0 || pthread_join(thread, &result) != 0 || result != NULL) return 1;
    puts("done");
    return 0;
}
