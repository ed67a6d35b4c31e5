/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* preload_getlasterror.c -- three small objects for versions.sh, chosen by a macro:
 *
 *   OWN_LIBRARY  a library that has a GetLastError and a HeapAlloc of its own, as libwinpr has
 *   OWN_PROGRAM  a program that uses that library: prints what it got, and what dlsym finds
 *   (neither)    a program linked to libprivheap: prints whose GetLastError and heap it met */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#if defined OWN_LIBRARY || defined OWN_PROGRAM

unsigned GetLastError(void);
void *HeapAlloc(void *heap, unsigned flags, size_t bytes);
unsigned own_last_error_inside(void);

#ifdef OWN_LIBRARY
unsigned GetLastError(void) { return 4711; }
void *HeapAlloc(void *heap, unsigned flags, size_t bytes) { return (char *)heap + flags + bytes; }
unsigned own_last_error_inside(void) { return GetLastError(); }
#else
int main(void)
{
    static char heap[100];
    printf("from the program %u, inside the library %u\n", GetLastError(), own_last_error_inside());
    printf("block at %d\n", (int)((char *)HeapAlloc(heap, 2, 30) - heap));
    printf("dlsym finds HeapFree: %s\n", dlsym(RTLD_DEFAULT, "HeapFree") ? "yes" : "no");
    return 0;
}
#endif

#else
#include "heapapi.h"

int main(void)
{
    Dl_info info;
    void *block = malloc(100);
    if (!dladdr((void *)GetLastError, &info)) return 1;
    printf("GetLastError of %s\n", info.dli_fname);
    printf("a block of malloc is in the process heap: %s\n",
           HeapValidate(GetProcessHeap(), 0, block) ? "yes" : "no");
    free(block);
    return 0;
}
#endif
