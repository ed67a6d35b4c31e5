/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* api.h -- what the rooms of the public face (heapapi.c, heapinfo.c, native.c, raise.c) share.  No room below them
 * includes this. */
#ifndef PH_API_H
#define PH_API_H

#include "fail.h"
#include "heapapi.h"
#include "internal.h"
#include "privheap.h"

/* heapapi.c -- the last error, and how a call reads its arguments */
BOOL ph_api_refuse(DWORD code);                /* FALSE, and the last error set */
struct heap *ph_api_heap(HANDLE handle);       /* the live heap, or NULL and ERROR_INVALID_HANDLE set */
struct request ph_api_request(DWORD flags, SIZE_T bytes);
bool ph_api_is_servable(const struct heap *hp, SIZE_T bytes); /* false: no block of that heap is so big */
LPVOID ph_api_alloc(HANDLE handle, DWORD flags, SIZE_T bytes); /* HeapAlloc, every case */
BOOL ph_api_free(HANDLE handle, DWORD flags, LPVOID block);
/* What an allocation does that got nothing: NULL and the last error set, unless a handler leaves. */
LPVOID ph_api_fail_alloc(const struct heap *hp, DWORD flags, SIZE_T bytes);
LPVOID ph_api_fail_handle(HANDLE handle, DWORD flags, SIZE_T bytes);

/* W32 2.3, 3.9: keep every other thread out, after waiting for whoever has locked the heap; a heap or a call without
 * serialisation does neither.  To be given what the first said, with the heap closed for microseconds only. */
bool ph_api_lock(struct heap *hp, DWORD flags);
void ph_api_unlock(struct heap *hp, bool locked);

/* The process heap grows by contract, also where an option bounds it. */
static inline bool ph_api_is_fixed(const struct heap *hp) { return hp->bound_units != 0 && hp != &ph_process_heap; }

/* A request that is to fail on purpose. */
static inline bool ph_api_is_failed(SIZE_T bytes)
{
    return unlikely(ph_process_heap.fails != 0) && ph_fail_now(bytes, FAIL_HEAP_ALLOC);
}

/* heapinfo.c */
SIZE_T ph_api_most_reserved(const struct heap *hp); /* bytes of address space that it may come to hold */

/* native.c */
void ph_api_unname(struct heap *hp); /* before a heap ends: its ranges may serve another */

/* raise.c -- exceptions, and the end of the process; held on entry: nothing */
void ph_api_raise(DWORD code, HANDLE heap, const void *block, SIZE_T bytes); /* returns if the handler does */
void ph_api_terminate_from_now(void);
/* `block` was refused by `function`: end the process, if it was asked for. */
void ph_api_bad_block(const char *function, const struct heap *hp, const void *block);

#endif
