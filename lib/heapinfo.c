/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* heapinfo.c -- the Win32 face, second part: figures of a heap and its settings.
 *
 * Owns:    struct heap's compatibility.
 * Calls:   walk.c for sums, heap.c to trim; heapapi.c, raise.c beside.
 * Locks:   HeapLock of the heap, around its figures.
 * Always:  as heapapi.c. */
#include "api.h"
#include "hot.h"

#include "small.h"

enum { COMPATIBILITY_STANDARD = 0, COMPATIBILITY_LOW_FRAGMENTATION = 2 };

/* W32 3.14: the bound; for a heap that grows, what the page map can name. */
SIZE_T ph_api_most_reserved(const struct heap *hp)
{
    return hp->bound_units != 0 ? (SIZE_T)hp->bound_units << UNIT_BITS : (SIZE_T)MAP_ROOT_SLOTS << MAP_LEAF_BITS;
}

SIZE_T HeapCompact(HANDLE hHeap, DWORD dwFlags) /* W32 3.8 */
{
    struct heap_sums sums;
    struct heap *hp = ph_api_heap(hHeap);
    if (hp == NULL)
        return 0;
    const bool locked = ph_api_lock(hp, dwFlags);
    (void)ph_heap_trim(hp);
    ph_walk_sums(hp, &sums);
    ph_api_unlock(hp, locked);
    if (sums.largest_free == 0)
        (void)ph_api_refuse(NO_ERROR);
    return sums.largest_free;
}

BOOL HeapSummary(HANDLE hHeap, DWORD dwFlags, LPHEAP_SUMMARY lpSummary) /* W32 3.14 */
{
    struct heap_sums sums;
    if (lpSummary == NULL || lpSummary->cb != sizeof *lpSummary)
        return ph_api_refuse(ERROR_INVALID_PARAMETER);
    struct heap *hp = ph_api_heap(hHeap);
    if (hp == NULL)
        return FALSE;
    const bool locked = ph_api_lock(hp, dwFlags);
    ph_walk_sums(hp, &sums);
    ph_api_unlock(hp, locked);
    lpSummary->cbAllocated = sums.live_bytes;
    lpSummary->cbCommitted = sums.committed_bytes;
    lpSummary->cbReserved = sums.reserved_bytes;
    lpSummary->cbMaxReserve = ph_api_most_reserved(hp);
    return TRUE;
}

/* ---- what is asked for by class ------------------------------------------------------------------ */

static ULONG compatibility_of(const struct heap *hp)
{
    return __atomic_load_n(&hp->compatibility, __ATOMIC_RELAXED) != 0 ? COMPATIBILITY_LOW_FRAGMENTATION : COMPATIBILITY_STANDARD;
}

BOOL HeapQueryInformation(HANDLE HeapHandle, HEAP_INFORMATION_CLASS HeapInformationClass, PVOID HeapInformation,
                          SIZE_T HeapInformationLength, PSIZE_T ReturnLength) /* W32 3.12 */
{
    if (HeapInformationClass != HeapCompatibilityInformation)
        return ph_api_refuse(ERROR_INVALID_PARAMETER);
    const struct heap *hp = ph_heap_of_handle(HeapHandle);
    if (hp == NULL)
        return ph_api_refuse(ERROR_NOACCESS);
    if (ReturnLength != NULL)
        *ReturnLength = sizeof(ULONG);
    if (HeapInformationLength < sizeof(ULONG))
        return ph_api_refuse(ERROR_INSUFFICIENT_BUFFER);
    if (HeapInformation == NULL)
        return ph_api_refuse(ERROR_NOACCESS);
    const ULONG now = compatibility_of(hp);
    ph_bytes_copy(HeapInformation, &now, sizeof now); /* aligned or not */
    return TRUE;
}

/* W32 3.13: ERROR_GEN_FAILURE for what is no way from the state it is in to the one that is asked for. */
static BOOL set_compatibility(HANDLE handle, const void *information, SIZE_T length)
{
    ULONG wish;
    if (length < sizeof wish)
        return ph_api_refuse(ERROR_INSUFFICIENT_BUFFER);
    struct heap *hp = ph_api_heap(handle);
    if (hp == NULL)
        return FALSE;
    if (information == NULL || (hp->flags & HEAPF_NO_SERIALIZE))
        return ph_api_refuse(ERROR_INVALID_PARAMETER);
    ph_bytes_copy(&wish, information, sizeof wish);
    if (wish == COMPATIBILITY_STANDARD && compatibility_of(hp) == wish)
        return TRUE;
    if (wish != COMPATIBILITY_LOW_FRAGMENTATION || ph_api_is_fixed(hp)) /* D17 */
        return ph_api_refuse(ERROR_GEN_FAILURE);
    __atomic_store_n(&hp->compatibility, FLAG_SET, __ATOMIC_RELAXED); /* D16: also a second time */
    return TRUE;
}

static BOOL optimize_resources(HANDLE handle, const void *information, SIZE_T length)
{
    HEAP_OPTIMIZE_RESOURCES_INFORMATION asked;
    if (information == NULL || length < sizeof asked)
        return ph_api_refuse(ERROR_INVALID_PARAMETER);
    ph_bytes_copy(&asked, information, sizeof asked);
    if (asked.Version != HEAP_OPTIMIZE_RESOURCES_CURRENT_VERSION)
        return ph_api_refuse(ERROR_INVALID_PARAMETER);
    if (handle == NULL) {
        ph_heap_trim_all();
        return TRUE;
    }
    struct heap *hp = ph_api_heap(handle);
    if (hp == NULL)
        return FALSE;
    const bool locked = ph_api_lock(hp, 0);
    (void)ph_heap_trim(hp);
    ph_api_unlock(hp, locked);
    return TRUE;
}

BOOL HeapSetInformation(HANDLE HeapHandle, HEAP_INFORMATION_CLASS HeapInformationClass, PVOID HeapInformation,
                        SIZE_T HeapInformationLength) /* W32 3.13 */
{
    switch ((int)HeapInformationClass) {
    case HeapCompatibilityInformation:
        return set_compatibility(HeapHandle, HeapInformation, HeapInformationLength);
    case HeapEnableTerminationOnCorruption:
        ph_api_terminate_from_now();
        return TRUE;
    case HeapOptimizeResources:
        return optimize_resources(HeapHandle, HeapInformation, HeapInformationLength);
    default:
        return ph_api_refuse(ERROR_INVALID_PARAMETER); /* D18 */
    }
}
