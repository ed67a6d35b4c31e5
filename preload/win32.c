/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* win32.c -- the library's public names in the preload object, as non-default versions.
 *
 * Owns:    nothing; each function is a forwarder to its namesake of heapapi.c.
 * Calls:   heapapi.c only.
 * Why:     a program linked to libprivheap.so asks for HeapAlloc@PRIVHEAP_1.0 and so meets the process heap that
 *          its malloc uses.  A program or library with a HeapAlloc or GetLastError of its own asks
 *          for no version and must keep its own: preload.map says how.  The assembler can give a
 *          version only to a name defined in the same file, hence the forwarders (one jump each). */
#include "heapapi.h"
#include "privheap.h"

/* The forwarder of `name`, exported as name@PRIVHEAP_1.0: one @, not the default. */
#define VERSIONED(result, name, parameters, arguments)                 \
    result win32_##name parameters;                                    \
    __attribute__((visibility("default"))) result win32_##name parameters { return name arguments; } \
    __asm__(".symver win32_" #name ", " #name "@PRIVHEAP_1.0, remove")

VERSIONED(HANDLE, HeapCreate, (DWORD options, SIZE_T initial, SIZE_T maximum), (options, initial, maximum));
VERSIONED(BOOL, HeapDestroy, (HANDLE heap), (heap));
VERSIONED(LPVOID, HeapAlloc, (HANDLE heap, DWORD flags, SIZE_T bytes), (heap, flags, bytes));
VERSIONED(LPVOID, HeapReAlloc, (HANDLE heap, DWORD flags, LPVOID block, SIZE_T bytes), (heap, flags, block, bytes));
VERSIONED(BOOL, HeapFree, (HANDLE heap, DWORD flags, LPVOID block), (heap, flags, block));
VERSIONED(SIZE_T, HeapSize, (HANDLE heap, DWORD flags, LPCVOID block), (heap, flags, block));
VERSIONED(BOOL, HeapLock, (HANDLE heap), (heap));
VERSIONED(BOOL, HeapUnlock, (HANDLE heap), (heap));
VERSIONED(BOOL, HeapValidate, (HANDLE heap, DWORD flags, LPCVOID block), (heap, flags, block));
VERSIONED(BOOL, HeapWalk, (HANDLE heap, LPPROCESS_HEAP_ENTRY entry), (heap, entry));
VERSIONED(SIZE_T, HeapCompact, (HANDLE heap, DWORD flags), (heap, flags));
VERSIONED(BOOL, HeapSummary, (HANDLE heap, DWORD flags, LPHEAP_SUMMARY summary), (heap, flags, summary));
VERSIONED(BOOL, HeapQueryInformation,
          (HANDLE heap, HEAP_INFORMATION_CLASS which, PVOID data, SIZE_T bytes, PSIZE_T needed),
          (heap, which, data, bytes, needed));
VERSIONED(BOOL, HeapSetInformation, (HANDLE heap, HEAP_INFORMATION_CLASS which, PVOID data, SIZE_T bytes),
          (heap, which, data, bytes));
VERSIONED(HANDLE, GetProcessHeap, (void), ());
VERSIONED(DWORD, GetProcessHeaps, (DWORD count, PHANDLE heaps), (count, heaps));
VERSIONED(DWORD, GetLastError, (void), ());
VERSIONED(VOID, SetLastError, (DWORD code), (code));
VERSIONED(const char *, ph_version, (void), ());
VERSIONED(BOOL, ph_heap_stats, (HANDLE heap, struct ph_stats *stats), (heap, stats));
VERSIONED(LPVOID, ph_heap_aligned_alloc, (HANDLE heap, DWORD flags, SIZE_T alignment, SIZE_T bytes),
          (heap, flags, alignment, bytes));
VERSIONED(BOOL, ph_heap_set_name, (HANDLE heap, const char *name), (heap, name));
VERSIONED(SIZE_T, ph_heap_name, (HANDLE heap, char *buffer, SIZE_T room), (heap, buffer, room));
VERSIONED(DWORD, ph_debug_flags, (void), ());
VERSIONED(BOOL, ph_heap_visit, (HANDLE heap, ph_visitor visitor, void *context), (heap, visitor, context));
VERSIONED(ph_exception_handler, ph_set_exception_handler, (ph_exception_handler handler), (handler));
