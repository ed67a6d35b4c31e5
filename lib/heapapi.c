/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* heapapi.c -- the Win32 face: checks arguments, reads flags, sets the last error.
 *
 * Owns:    the last error of each thread.
 * Calls:   heap.c, block.c, gate.c, walk.c; heapinfo.c, native.c and raise.c beside.  Decides nothing else.
 * Locks:   none of its own; none is held when a failure is raised.
 * Always:  errno is untouched; the last error changes only where contract section 3 says so. */
#include "api.h"
#include "hot.h"

#include <errno.h>

#include "small.h"

enum {
    DEFAULT_INITIAL_BYTES = 4 << 20, /* W32 3.1: dwInitialSize 0 */
    BLOCK_LIMIT_BYTES = 0xFF000,     /* W32 4: of a fixed heap */
    REGION_INDEX_LARGE = 64,
};

static __thread DWORD last_error __attribute__((tls_model("initial-exec")));

/* For programs that are linked to the library and not preloaded; there it is registered already. */
__attribute__((constructor)) static void begin(void) { ph_fork_register(); }

const char *ph_version(void) { return PRIVHEAP_VERSION; }

DWORD GetLastError(void) { return last_error; } /* W32 3.15 */

void SetLastError(DWORD code) { last_error = code; }

BOOL ph_api_refuse(DWORD code)
{
    last_error = code;
    return FALSE;
}

/* W32 2.2: the live heap of that handle, or NULL with the last error set. */
struct heap *ph_api_heap(HANDLE handle)
{
    struct heap *hp = ph_heap_of_handle(handle);
    if (hp == NULL)
        last_error = ERROR_INVALID_HANDLE;
    return hp;
}

/* W32 2.3: with HEAP_NO_SERIALIZE no lock is taken, even when another thread holds the heap's. */
static enum enter how(DWORD flags) { return flags & HEAP_NO_SERIALIZE ? ENTER_UNLOCKED : ENTER_PATIENTLY; }

bool ph_api_lock(struct heap *hp, DWORD flags)
{
    const bool locks = !(flags & HEAP_NO_SERIALIZE) && !(hp->flags & HEAPF_NO_SERIALIZE);
    if (locks)
        ph_gate_heap_lock(hp);
    return locks;
}

void ph_api_unlock(struct heap *hp, bool locked)
{
    if (locked)
        (void)ph_gate_heap_unlock(hp);
}

/* ---- failures that may be exceptions ------------------------------------------------------------ */

/* W32 2.6: the handler may leave; when it returns, the last error is as if it had not been there. */
static COLD void *fail(DWORD error, DWORD status, HANDLE heap, const void *block, SIZE_T bytes)
{
    last_error = error;
    ph_api_raise(status, heap, block, bytes);
    last_error = error;
    return NULL;
}

/* W32 2.6, D8: on the heap or on the call. */
static bool is_raising(const struct heap *hp, DWORD flags)
{
    return (hp->flags & HEAPF_EXCEPTIONS) || (flags & HEAP_GENERATE_EXCEPTIONS);
}

LPVOID ph_api_fail_alloc(const struct heap *hp, DWORD flags, SIZE_T bytes)
{
    last_error = ERROR_NOT_ENOUGH_MEMORY;
    return is_raising(hp, flags) ? fail(last_error, STATUS_NO_MEMORY, hp->handle, NULL, bytes) : NULL;
}

LPVOID ph_api_fail_handle(HANDLE handle, DWORD flags, SIZE_T bytes)
{
    last_error = ERROR_INVALID_HANDLE;
    return flags & HEAP_GENERATE_EXCEPTIONS ? fail(last_error, STATUS_ACCESS_VIOLATION, handle, NULL, bytes) : NULL;
}

/* ---- heaps -------------------------------------------------------------------------------------- */

HANDLE HeapCreate(DWORD flOptions, SIZE_T dwInitialSize, SIZE_T dwMaximumSize)
{
    unsigned flags = 0;
    if (flOptions & HEAP_NO_SERIALIZE)
        flags |= HEAPF_NO_SERIALIZE;
    if (flOptions & HEAP_GENERATE_EXCEPTIONS)
        flags |= HEAPF_EXCEPTIONS;
    if (flOptions & HEAP_CREATE_ENABLE_EXECUTE)
        flags |= HEAPF_EXECUTE;
    if (dwMaximumSize != 0 && dwInitialSize > dwMaximumSize) { /* W32 3.1, D5 */
        ph_api_refuse(ERROR_INVALID_PARAMETER);
        return NULL;
    }
    const struct heap *hp = ph_heap_create(flags, dwInitialSize ? dwInitialSize : DEFAULT_INITIAL_BYTES, dwMaximumSize);
    if (hp == NULL) {
        ph_api_refuse(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    return hp->handle;
}

BOOL HeapDestroy(HANDLE hHeap) /* W32 3.2 */
{
    struct heap *hp = ph_heap_of_handle(hHeap);
    if (hp == NULL || hp == &ph_process_heap)
        return ph_api_refuse(ERROR_INVALID_HANDLE);
    if (hp->name[0] != '\0')
        ph_api_unname(hp);
    if (!ph_heap_destroy(hp))
        return ph_api_refuse(ERROR_INVALID_HANDLE);
    return TRUE;
}

HANDLE GetProcessHeap(void) /* W32 3.11 */
{
    const struct heap *hp = ph_heap_process();
    return hp != NULL ? hp->handle : NULL;
}

DWORD GetProcessHeaps(DWORD NumberOfHeaps, PHANDLE ProcessHeaps) /* W32 3.11 */
{
    (void)ph_heap_process();
    return ph_heap_list(ProcessHeaps, NumberOfHeaps);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

struct request ph_api_request(DWORD flags, SIZE_T bytes)
{
    return (struct request){.bytes = bytes, .zero = flags & HEAP_ZERO_MEMORY, .sized = true, .enter = how(flags)};
}

/* W32 4: a fixed heap serves no block near 1 MB, whatever its maximum. */
bool ph_api_is_servable(const struct heap *hp, SIZE_T bytes)
{
    return !ph_api_is_fixed(hp) || bytes < BLOCK_LIMIT_BYTES;
}

LPVOID ph_api_alloc(HANDLE hHeap, DWORD dwFlags, SIZE_T dwBytes) /* W32 3.3 */
{
    struct heap *hp = ph_heap_of_handle(hHeap);
    if (hp == NULL)
        return ph_api_fail_handle(hHeap, dwFlags, dwBytes);
    const struct request rq = ph_api_request(dwFlags, dwBytes);
    void *block = ph_api_is_servable(hp, dwBytes) && !ph_api_is_failed(dwBytes) ? ph_heap_alloc(hp, &rq) : NULL;
    return likely(block != NULL) ? block : ph_api_fail_alloc(hp, dwFlags, dwBytes);
}

/* W32 2.7: a live block of this heap, or the last error set; or the end of the process. */
static bool is_block_of(struct heap *hp, const void *block, struct block_info *bi, const char *function)
{
    if (ph_heap_look(block, bi) == BLOCK_OK && bi->heap == hp)
        return true;
    if (block != NULL)
        ph_api_bad_block(function, hp, block);
    last_error = ERROR_INVALID_PARAMETER;
    return false;
}

LPVOID HeapReAlloc(HANDLE hHeap, DWORD dwFlags, LPVOID lpMem, SIZE_T dwBytes) /* W32 3.4 */
{
    struct block_info bi;
    struct heap *hp = ph_heap_of_handle(hHeap);
    if (hp == NULL)
        return ph_api_fail_handle(hHeap, dwFlags, dwBytes);
    if (lpMem == NULL) {
        last_error = NO_ERROR;
        return NULL;
    }
    if (!is_block_of(hp, lpMem, &bi, "HeapReAlloc"))
        return is_raising(hp, dwFlags) ? fail(last_error, STATUS_ACCESS_VIOLATION, hHeap, lpMem, dwBytes) : NULL;
    const struct request rq = ph_api_request(dwFlags, dwBytes);
    const bool fails = ph_process_heap.fails && dwBytes > bi.wanted && ph_fail_now(dwBytes, FAIL_HEAP_REALLOC);
    void *now = ph_api_is_servable(hp, dwBytes) && !fails ? ph_heap_realloc(hp, &bi, lpMem, &rq, dwFlags & HEAP_REALLOC_IN_PLACE_ONLY) : NULL;
    return now != NULL ? now : ph_api_fail_alloc(hp, dwFlags, dwBytes);
}

BOOL ph_api_free(HANDLE hHeap, DWORD dwFlags, LPVOID lpMem) /* W32 3.5 */
{
    if (lpMem == NULL)
        return TRUE;
    struct heap *hp = ph_api_heap(hHeap);
    if (hp == NULL)
        return FALSE;
    if (likely(ph_heap_free(hp, lpMem, how(dwFlags)) == BLOCK_OK))
        return TRUE;
    ph_api_bad_block("HeapFree", hp, lpMem);
    return ph_api_refuse(ERROR_INVALID_PARAMETER);
}

SIZE_T HeapSize(HANDLE hHeap, DWORD dwFlags, LPCVOID lpMem) /* W32 3.6 */
{
    struct block_info bi;
    struct heap *hp = ph_api_heap(hHeap);
    if (hp == NULL || !is_block_of(hp, lpMem, &bi, "HeapSize"))
        return (SIZE_T)-1;
    /* W32 3.9: not while another thread owns the heap */
    if (how(dwFlags) == ENTER_PATIENTLY && __atomic_load_n(&hp->gate.owner, __ATOMIC_RELAXED) != NULL) {
        ph_gate_wait(hp);
        if (!is_block_of(hp, lpMem, &bi, "HeapSize"))
            return (SIZE_T)-1;
    }
    return bi.wanted;
}

BOOL HeapValidate(HANDLE hHeap, DWORD dwFlags, LPCVOID lpMem) /* W32 3.7 */
{
    struct heap *hp = ph_heap_of_handle(hHeap);
    return hp != NULL && ph_walk_validate(hp, lpMem, how(dwFlags));
}

/* ---- the whole heap ----------------------------------------------------------------------------- */

BOOL HeapLock(HANDLE hHeap) /* W32 3.9 */
{
    struct heap *hp = ph_api_heap(hHeap);
    if (hp == NULL)
        return FALSE;
    (void)ph_api_lock(hp, 0);
    return TRUE;
}

BOOL HeapUnlock(HANDLE hHeap) /* W32 3.9 */
{
    struct heap *hp = ph_api_heap(hHeap);
    if (hp == NULL)
        return FALSE;
    if (!(hp->flags & HEAPF_NO_SERIALIZE) && !ph_gate_heap_unlock(hp))
        return ph_api_refuse(ERROR_NOT_OWNER);
    return TRUE;
}

static DWORD saturate(size_t bytes) { return bytes > UINT32_MAX ? UINT32_MAX : (DWORD)bytes; } /* D24 */

static void entry_from(const struct walk_entry *we, PROCESS_HEAP_ENTRY *e)
{
    *e = (PROCESS_HEAP_ENTRY){
        .lpData = we->at,
        .cbData = saturate(we->bytes),
        .cbOverhead = (BYTE)we->overhead,
        .iRegionIndex = (BYTE)(we->large ? REGION_INDEX_LARGE : we->region),
    };
    if (we->what == WALK_BUSY)
        e->wFlags = PROCESS_HEAP_ENTRY_BUSY;
    else if (we->what == WALK_UNCOMMITTED)
        e->wFlags = PROCESS_HEAP_UNCOMMITTED_RANGE;
    else if (we->what == WALK_REGION) {
        const struct region *rg = we->rg;
        e->wFlags = PROCESS_HEAP_REGION;
        e->Region.dwCommittedSize = saturate((size_t)rg->committed << UNIT_BITS);
        e->Region.dwUnCommittedSize = saturate((size_t)(rg->units - rg->committed) << UNIT_BITS);
        e->Region.lpFirstBlock = we->first;
        e->Region.lpLastBlock = ph_region_unit(rg, rg->units);
    }
}

BOOL HeapWalk(HANDLE hHeap, LPPROCESS_HEAP_ENTRY lpEntry) /* W32 3.10 */
{
    struct heap *hp = ph_api_heap(hHeap);
    if (hp == NULL)
        return FALSE;
    if (lpEntry == NULL)
        return ph_api_refuse(ERROR_INVALID_PARAMETER);
    struct walk_entry we = {.at = lpEntry->lpData, .what = WALK_FREE};
    if (we.at != NULL && (lpEntry->wFlags & PROCESS_HEAP_REGION))
        we.what = WALK_REGION;
    else if (we.at != NULL && (lpEntry->wFlags & PROCESS_HEAP_UNCOMMITTED_RANGE))
        we.what = WALK_UNCOMMITTED;
    const enum walk_result result = ph_walk_next(hp, &we, ENTER_PATIENTLY);
    if (result != WALK_ENTRY)
        return ph_api_refuse(result == WALK_END ? ERROR_NO_MORE_ITEMS : ERROR_INVALID_PARAMETER);
    entry_from(&we, lpEntry);
    return TRUE;
}
