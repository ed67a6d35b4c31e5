/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* walk_preload.c -- walks the heap behind malloc while four threads use malloc; for walk_preload.sh.
 *
 * Linked to libprivheap.so and run under the preload object: so it also proves that both are one engine with
 * one process heap.  Under HeapLock each block that the program holds must be shown exactly once, none that
 * it has freed, and HeapValidate must agree.  Argument: how many walks (100), or `lost` or `stray` to see the
 * check object.  Exit status 0 right, 1 wrong, 3 malloc is not served by the process heap. */
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "churn.h"

static void *take(HANDLE heap, size_t bytes)
{
    (void)heap;
    if (bytes % 8 == 3) return memalign(64, bytes);
    return bytes % 2 ? malloc(bytes) : calloc(1, bytes);
}

static void *resize(HANDLE heap, void *block, size_t bytes)
{
    (void)heap;
    return realloc(block, bytes ? bytes : 1); /* realloc(block, 0) would free it */
}

static void give(HANDLE heap, void *block)
{
    (void)heap;
    free(block);
}

static const struct churn_calls malloc_calls = {take, resize, give, .exact = false};

/* The functions that this program was linked to are those of the preload object, and malloc is their heap. */
static bool is_served(void)
{
    char *block = malloc(100);
    BOOL known = HeapValidate(GetProcessHeap(), 0, block);
    bool whole = HeapSize(GetProcessHeap(), 0, block) == malloc_usable_size(block);
    free(block);
    void *preloaded = dlvsym(RTLD_DEFAULT, "HeapWalk", "PRIVHEAP_1.0");
    BOOL (*linked)(HANDLE, LPPROCESS_HEAP_ENTRY) = HeapWalk;
    return known && whole && memcmp(&preloaded, &linked, sizeof linked) == 0;
}

static int report(const char *wrong, int walks)
{
    if (wrong)
        fprintf(stderr, "walk_preload: %s\n", wrong);
    else
        printf("walk_preload: %d walks, the last of %u busy entries and %u others\n", walks,
               churn_busy_seen(), churn_others_seen());
    return wrong ? 1 : 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "100", *wrong = NULL;
    int walks = 0, most = atoi(what);
    printf("walk_preload: malloc has a buffer for stdio now\n");
    if (!is_served()) {
        fputs("walk_preload: malloc is not served by the process heap\n", stderr);
        return 3;
    }
    if (!churn_start(&malloc_calls, GetProcessHeap(), 11)) return report("the threads cannot be made", 0);
    churn_go();
    for (; walks < most && !wrong; walks++) {
        churn_wait(1500);
        wrong = churn_check();
    }
    churn_wait(3000);
    churn_halt();
    if (strcmp(what, "lost") == 0) free(churn_some_block());
    void *volatile stray = strcmp(what, "stray") == 0 ? malloc(40) : NULL;
    if (!wrong) wrong = churn_check();
    free(stray);
    churn_end();
    return report(wrong, walks + 1);
}
