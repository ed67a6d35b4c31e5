/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* entrance.c -- HeapAlloc and HeapFree: the usual case; heapapi.c does all others.
 *
 * Owns:    nothing.  Calls: hot.h, heapapi.c beside.
 * Locks:   none.
 * Why:     apart from heapapi.c, because these two are made fast, not small.  A handle that this
 *          thread knows is proved by one comparison; flags other than HEAP_ZERO_MEMORY only matter
 *          to the slow way. */
#include "api.h"
#include "hot.h"

/* Still busy. */
static COLD LPVOID alloc_unusual(HANDLE heap, DWORD flags, SIZE_T bytes)
{
    local_leave(sized_local(heap));
    return ph_api_alloc(heap, flags, bytes);
}

static COLD BOOL free_unusual(HANDLE heap, DWORD flags, LPVOID block)
{
    local_leave(sized_local(heap));
    return ph_api_free(heap, flags, block);
}

LPVOID HeapAlloc(HANDLE hHeap, DWORD dwFlags, SIZE_T dwBytes) /* W32 3.3 */
{
    struct local *lo = sized_local(hHeap);
    if (unlikely(lo == NULL || dwBytes > CLASS_BYTES))
        return ph_api_alloc(hHeap, dwFlags, dwBytes);
    const unsigned class = likely(dwBytes <= SMALL_BYTES) ? ph_class_small[(dwBytes + 15) >> 4] : ph_class_medium[(dwBytes + 127) >> 7];
    void *block = sized_take(lo, class, dwBytes);
    if (unlikely(block == NULL))
        return alloc_unusual(hHeap, dwFlags, dwBytes);
    return unlikely(dwFlags & HEAP_ZERO_MEMORY) ? __builtin_memset(block, 0, dwBytes) : block;
}

BOOL HeapFree(HANDLE hHeap, DWORD dwFlags, LPVOID lpMem) /* W32 3.5 */
{
    struct local *lo = sized_local(hHeap);
    if (unlikely(lo == NULL))
        return ph_api_free(hHeap, dwFlags, lpMem);
    if (unlikely(!sized_give(lo, lpMem)))
        return free_unusual(hHeap, dwFlags, lpMem);
    return TRUE;
}
