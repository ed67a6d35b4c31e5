/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* dlopen.c -- opens objects that take static TLS until no room is left for another, then the library.
 *
 *   dlopen FOLDER COUNT [LIBRARY]
 *
 * Opens FOLDER/0.so and so on, COUNT at most, says how many could be opened, and then uses LIBRARY in two threads.
 * With -DFILL it is such an object. */
#ifdef FILL

__thread char fill[FILL] __attribute__((tls_model("initial-exec"), aligned(FILL)));
char *fill_at(void);
char *fill_at(void) { return fill; }

#else

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <heapapi.h>

static HANDLE (*create)(DWORD, SIZE_T, SIZE_T);
static LPVOID (*alloc)(HANDLE, DWORD, SIZE_T);
static BOOL (*give)(HANDLE, DWORD, LPVOID);
static BOOL (*destroy)(HANDLE);
static DWORD (*last_error)(void);

static int find(void *library, const char *name, void *out)
{
    *(void **)out = dlsym(library, name);
    if (*(void **)out == NULL) puts(dlerror());
    return *(void **)out != NULL;
}

/* NULL when all is well. */
static void *use(void *heap)
{
    void *block = alloc(heap, HEAP_ZERO_MEMORY, 100);
    if (block == NULL || last_error() != 0) return (void *)"no block";
    if (give(heap, 0, block + 1) || last_error() != ERROR_INVALID_PARAMETER) return (void *)"no refusal";
    return give(heap, 0, block) ? NULL : (void *)"not freed";
}

int main(int count, char **argument)
{
    if (count < 3) return 2;
    int opened = 0;
    char path[4096];
    for (; opened < atoi(argument[2]); opened++) {
        snprintf(path, sizeof path, "%s/%d.so", argument[1], opened);
        if (dlopen(path, RTLD_NOW) == NULL) break;
    }
    printf("%d\n", opened);
    if (count == 3) return 0;

    void *library = dlopen(argument[3], RTLD_NOW);
    if (library == NULL) {
        puts(dlerror());
        return 1;
    }
    if (!find(library, "HeapCreate", &create) || !find(library, "HeapAlloc", &alloc) ||
        !find(library, "HeapFree", &give) || !find(library, "HeapDestroy", &destroy) ||
        !find(library, "GetLastError", &last_error))
        return 1;
    HANDLE heap = create(0, 0, 0);
    pthread_t thread;
    void *other = NULL;
    if (pthread_create(&thread, NULL, use, heap) != 0 || pthread_join(thread, &other) != 0) return 1;
    void *own = use(heap);
    if (own != NULL || other != NULL) printf("%s, %s\n", own ? (char *)own : "well", other ? (char *)other : "well");
    return own != NULL || other != NULL || !destroy(heap);
}

#endif
