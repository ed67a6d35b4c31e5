/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* privheap.h -- the native face: what privheap offers beyond the Win32 functions of heapapi.h.
 *
 * For C99 and later and for C++11 and later.  Heaps, blocks, errors and threads: the rules at the head of
 * heapapi.h hold here too, so that a function which fails leaves its reason in GetLastError.  Handles are those of
 * HeapCreate and GetProcessHeap.
 */
#ifndef PRIVHEAP_H
#define PRIVHEAP_H

#include "heapapi.h"

/* The version of this header; compare with ph_version() for that of the library in use. */
#define PRIVHEAP_VERSION_MAJOR 0
#define PRIVHEAP_VERSION_MINOR 1
#define PRIVHEAP_VERSION_PATCH 0
#define PRIVHEAP_VERSION       "0.1.0"

/* Bytes of a heap's name with its final NUL, at most. */
#define PRIVHEAP_NAME_BYTES 64

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Version ---------------------------------------------------------------------------------------- */

/* The version of the library in use, as "major.minor.patch".  A constant: nobody frees it.  Never fails. */
const char *ph_version(void);

/* ---- Figures ---------------------------------------------------------------------------------------- */

/* What a heap holds at one moment.  Later versions add fields at the end only. */
struct ph_stats {
    SIZE_T struct_bytes;        /* in: sizeof(struct ph_stats); out: how many of these bytes are filled */
    DWORD flags;                /* HEAP_NO_SERIALIZE, _GENERATE_EXCEPTIONS, _CREATE_ENABLE_EXECUTE, _GROWABLE */
    DWORD reserved;             /* 0 */
    SIZE_T live_blocks;         /* how many blocks are in use, */
    SIZE_T live_bytes;          /* and what was asked for them (by malloc: what they can hold) */
    SIZE_T large_blocks;        /* those of them that have a mapping of their own, */
    SIZE_T large_bytes;         /* and the bytes of these mappings */
    SIZE_T free_blocks;         /* pieces of free memory */
    SIZE_T largest_free_bytes;  /* the largest of them */
    SIZE_T dirty_bytes;         /* free memory that the system does not have back yet */
    SIZE_T committed_bytes;     /* memory that counts as the heap's, large blocks included */
    SIZE_T reserved_bytes;      /* address space that it holds */
    SIZE_T most_reserved_bytes; /* address space that it may come to hold */
    SIZE_T regions;             /* pieces of address space, large blocks not counted */
    SIZE_T thread_stacks;       /* threads that have caches of their own for it */
    char name[PRIVHEAP_NAME_BYTES];
};

/* Fill *stats, exactly and at one moment; waits while another thread has locked the heap.  Takes time in proportion
 * to the heap's size.  TRUE; FALSE with ERROR_INVALID_HANDLE or ERROR_INVALID_PARAMETER (stats NULL, or
 * struct_bytes less than in version 0.1). */
BOOL ph_heap_stats(HANDLE heap, struct ph_stats *stats);

/* ---- Aligned blocks --------------------------------------------------------------------------------- */

/* As HeapAlloc (flags, exceptions, results), at an address that is a multiple of `alignment`: any power of two up to
 * 64 GB, as far as the address space or, in a heap of fixed size, its range has such a place.  A block like any
 * other to every function of heapapi.h; but when HeapReAlloc moves it, its new place has the alignment of
 * every block, 16.  NULL with ERROR_INVALID_PARAMETER for any other alignment. */
LPVOID ph_heap_aligned_alloc(HANDLE heap, DWORD flags, SIZE_T alignment, SIZE_T bytes);

/* ---- Names ------------------------------------------------------------------------------------------ */

/* Name a heap, for people: the name is copied, at most 63 bytes of it, with '?' for what is no printable ASCII and
 * for []\$`.  NULL or "" takes the name away.  Where the kernel has names of mappings (Linux 5.17 with
 * CONFIG_ANON_VMA_NAME), /proc/PID/maps shows the heap's regions as [anon:NAME].
 * TRUE; FALSE with ERROR_INVALID_HANDLE. */
BOOL ph_heap_set_name(HANDLE heap, const char *name);

/* The bytes of the heap's name (without a NUL), of which as many as fit are written to `buffer`, which has room for
 * `room` bytes, a final NUL included; buffer may be NULL.  0 for a heap without name; 0 with ERROR_INVALID_HANDLE. */
SIZE_T ph_heap_name(HANDLE heap, char *buffer, SIZE_T room);

/* ---- Every block ------------------------------------------------------------------------------------ */

struct ph_block {
    void *address;
    SIZE_T bytes; /* as HeapSize says; of a block of malloc's: what it can hold */
};

/* Told of one block.  TRUE to go on, FALSE to stop.  The heap is closed meanwhile: it must not call a function that
 * uses this heap (for the process heap of a preloaded program: nothing that calls malloc), and must return, not
 * leave by longjmp or a C++ exception. */
typedef BOOL (*ph_visitor)(const struct ph_block *block, void *context);

/* Visit every live block of a heap once, in no order, with the heap closed once for all of them: much faster than
 * HeapWalk.  `context` is handed through.  TRUE when all were visited; FALSE when the visitor stopped, or with
 * ERROR_INVALID_HANDLE or ERROR_INVALID_PARAMETER (visitor NULL). */
BOOL ph_heap_visit(HANDLE heap, ph_visitor visitor, void *context);

/* ---- Debug flags ------------------------------------------------------------------------------------- */

/* The debug flags in force, as the environment variable PRIVHEAP_DEBUG_FLAGS gave them when the process began: 0x10
 * bytes of 0xAB behind each block, 0x20 new memory filled with 0xBAADF00D and freed memory with 0xFEEEFEEE, 0x40 and
 * 0x80 both, 0x200000 free neighbours stay apart.  HeapValidate then finds what was written there.  0: none. */
DWORD ph_debug_flags(void);

/* ---- Exceptions ------------------------------------------------------------------------------------- */

/* Told instead of a result, where HEAP_GENERATE_EXCEPTIONS was given to HeapCreate or to the call: `code` is
 * STATUS_NO_MEMORY, or STATUS_ACCESS_VIOLATION for a bad handle or a bad block, `heap` the handle as it was passed,
 * `bytes` what was asked for; GetLastError has the reason.  No lock of ours is held, and nothing was changed: it
 * may allocate, and leave by longjmp or a C++ exception.  When it returns, the call that failed returns NULL. */
typedef void (*ph_exception_handler)(DWORD code, HANDLE heap, SIZE_T bytes);

/* Put a handler in, for the whole process; returns the one before.  NULL is the default: one line on standard
 * error, then SIGABRT for STATUS_NO_MEMORY, SIGSEGV for STATUS_ACCESS_VIOLATION. */
ph_exception_handler ph_set_exception_handler(ph_exception_handler handler);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
