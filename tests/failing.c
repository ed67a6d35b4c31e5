/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* failing.c -- for fail.sh: asks for memory in every way, and says in one line which ways gave none.
 *
 * failing [THREADS]: with threads each asks 1,000 times, and the sum is said. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heapapi.h"
#include "privheap.h"

#define KEPT __attribute__((noinline))

static void *volatile sink;
static void say(const char *way, int failed)
{
    static char room[256];
    static size_t used;
    if (way != NULL && failed)
        used += (size_t)snprintf(room + used, sizeof room - used, "%s ", way);
    if (way == NULL)
        (void)!fwrite(room, 1, used, stdout);
}

static void asked(const char *way, void *block)
{
    if (block == NULL && errno != ENOMEM && strncmp(way, "Heap", 4) != 0)
        printf("errno %d of %s ", errno, way);
    say(way, block == NULL);
    sink = block;
}

static int raised;
static void handler(DWORD code, HANDLE heap, SIZE_T bytes)
{
    raised = code == STATUS_NO_MEMORY && heap != NULL && bytes == 200;
}

static KEPT void win32(void)
{
    HANDLE heap = HeapCreate(0, 0, 0);
    char *block = HeapAlloc(heap, 0, 100);
    asked("HeapAlloc", block);
    say("(last error)", block == NULL && GetLastError() != ERROR_NOT_ENOUGH_MEMORY);
    block = block != NULL ? block : HeapAlloc(heap, 0, 100);
    asked("HeapReAlloc", HeapReAlloc(heap, 0, block, 1000));
    asked("HeapReAlloc-less", HeapReAlloc(heap, 0, block, 10));
    asked("HeapAligned", ph_heap_aligned_alloc(heap, 0, 64, 640));
    ph_set_exception_handler(handler);
    asked("HeapAlloc-raising", HeapAlloc(heap, HEAP_GENERATE_EXCEPTIONS, 200));
    say("(raised)", raised);
}

static KEPT void c(void)
{
    void *out = NULL;
    char *text, *kept;
    errno = 0;
    asked("malloc", malloc(24));
    asked("malloc-page", malloc(5000));
    asked("malloc-run", malloc(50000));
    asked("malloc-large", malloc(3 << 20));
    asked("malloc-0", malloc(0));
    asked("calloc", calloc(3, 7));
    asked("calloc-large", calloc(300, 7000));
    asked("memalign", memalign(64, 100));
    asked("aligned_alloc", aligned_alloc(8192, 100000));
    say("posix_memalign", posix_memalign(&out, 32, 40) != 0);
    asked("valloc", valloc(10));
    asked("reallocarray", reallocarray(NULL, 3, 4));
    asked("strdup", text = strdup("some text"));
    const int had = text != NULL;
    asked("realloc-more", kept = realloc(text, 11));
    text = kept != NULL ? kept : text;
    say("(contents)", had && strcmp(text, "some text") != 0);
    asked("realloc-less", realloc(text, 3));
    say("asprintf", asprintf(&text, "%d", 5) < 0);
}

static pthread_barrier_t all_here;
static void *ask_often(void *count)
{
    pthread_barrier_wait(&all_here);
    for (int i = 0; i < 1000; i++) {
        void *block = malloc(48);
        *(int *)count += block == NULL;
        free(block);
    }
    return NULL;
}

static int threads(int count)
{
    pthread_t id[16];
    int failed[16] = {0}, sum = 0;
    pthread_barrier_init(&all_here, NULL, (unsigned)count);
    for (int i = 0; i < count; i++)
        if (pthread_create(&id[i], NULL, ask_often, &failed[i]) != 0)
            return 1;
    for (int i = 0; i < count; i++, sum += failed[i - 1])
        pthread_join(id[i], NULL);
    printf("%d\n", sum);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return threads(atoi(argv[1]));
    c();
    win32();
    say(NULL, 0);
    return 0;
}
