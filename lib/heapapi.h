/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* heapapi.h -- the Win32 face: heap functions, their types, flags and error numbers.
 *
 * For C99 and later and for C++11 and later, on 64-bit Linux.  Link with `pkg-config --libs privheap`.
 *
 * Rules that hold for every function here, so that they need not be said again:
 *   Sizes    are bytes.  A block's size is what was asked for, to the byte, never a rounded one.
 *   Blocks   are aligned to 16 and belong to the heap that made them: only HeapFree of that heap, or the
 *            heap's end, gives them back.  Memory is never shared between two heaps.
 *   Handles  name one live heap each.  A NULL, ended or foreign handle is refused, not followed.
 *   Errors   a function that fails says so by its result and leaves the reason in GetLastError; one that
 *            succeeds leaves the last error alone, unless its comment says otherwise.  errno is not touched.
 *   Threads  any thread may call any function at any time, unless HEAP_NO_SERIALIZE was given.
 *   Flags    of a call are added to those of the heap; unknown bits are ignored.
 *   Exceptions  with HEAP_GENERATE_EXCEPTIONS on the heap or the call, HeapAlloc and HeapReAlloc call the handler
 *            of ph_set_exception_handler (privheap.h) instead of returning NULL for want of memory or for a bad
 *            handle or block; without a handler the process ends.
 */
#ifndef PRIVHEAP_HEAPAPI_H
#define PRIVHEAP_HEAPAPI_H

#include <stddef.h>
#include <stdint.h>

/* ---- Types ------------------------------------------------------------------------------------------ */

#ifndef WINAPI
#define WINAPI /* the calling convention is the system's own */
#endif
#ifndef WINBASEAPI
#define WINBASEAPI
#endif
#ifndef VOID
#define VOID void
#endif
#ifndef FALSE
#define FALSE 0
#endif
#ifndef TRUE
#define TRUE 1
#endif

typedef uint8_t BYTE;
typedef uint16_t WORD;
typedef uint32_t DWORD; /* 32 bits as on Windows, not `unsigned long`: layouts depend on it */
typedef uint32_t ULONG;
typedef int BOOL; /* FALSE, or exactly TRUE */
typedef size_t SIZE_T, *PSIZE_T;
typedef void *PVOID, *LPVOID;
typedef const void *LPCVOID;
typedef void *HANDLE, **PHANDLE;

/* ---- Flags ------------------------------------------------------------------------------------------ */

#define HEAP_NO_SERIALIZE             0x00000001 /* no lock is taken: the caller keeps threads apart */
#define HEAP_GROWABLE                 0x00000002 /* what a maximum of 0 says; ignored when passed */
#define HEAP_GENERATE_EXCEPTIONS      0x00000004 /* HeapCreate, HeapAlloc, HeapReAlloc: see below */
#define HEAP_ZERO_MEMORY              0x00000008 /* HeapAlloc, HeapReAlloc: new bytes are 0 */
#define HEAP_REALLOC_IN_PLACE_ONLY    0x00000010 /* HeapReAlloc: fail rather than move */
#define HEAP_TAIL_CHECKING_ENABLED    0x00000020 /* the debug modes': ignored when passed */
#define HEAP_FREE_CHECKING_ENABLED    0x00000040
#define HEAP_DISABLE_COALESCE_ON_FREE 0x00000080
#define HEAP_CREATE_SEGMENT_HEAP      0x00000100 /* ignored */
#define HEAP_CREATE_HARDENED          0x00000200 /* ignored */
#define HEAP_CREATE_ALIGN_16          0x00010000 /* always so */
#define HEAP_CREATE_ENABLE_TRACING    0x00020000
#define HEAP_CREATE_ENABLE_EXECUTE    0x00040000 /* HeapCreate: blocks may be executed */
#define HEAP_MAXIMUM_TAG              0x0FFF     /* tags: ignored */
#define HEAP_PSEUDO_TAG_FLAG          0x8000
#define HEAP_TAG_SHIFT                18
/* Reserved for the system; ignored.  Only its name is public: the value is ours, a bit of no other flag. */
#define HEAP_CREATE_MARKER_FLAGS_INTERNAL 0x80000000

/* ---- Error and status numbers ----------------------------------------------------------------------- */

#define NO_ERROR                  0
#define ERROR_SUCCESS             0
#define ERROR_INVALID_HANDLE      6
#define ERROR_NOT_ENOUGH_MEMORY   8
#define ERROR_OUTOFMEMORY         14
#define ERROR_GEN_FAILURE         31
#define ERROR_INVALID_PARAMETER   87
#define ERROR_INSUFFICIENT_BUFFER 122
#define ERROR_NOT_LOCKED          158
#define ERROR_NO_MORE_ITEMS       259
#define ERROR_NOT_OWNER           288
#define ERROR_NOACCESS            998

#define STATUS_ACCESS_VIOLATION  0xC0000005U
#define STATUS_INVALID_PARAMETER 0xC000000DU
#define STATUS_NO_MEMORY         0xC0000017U
#define STATUS_HEAP_CORRUPTION   0xC0000374U

/* ---- What HeapWalk shows ---------------------------------------------------------------------------- */

#define PROCESS_HEAP_REGION            0x0001 /* an address range; Region says more */
#define PROCESS_HEAP_UNCOMMITTED_RANGE 0x0002 /* reserved, not usable yet */
#define PROCESS_HEAP_ENTRY_BUSY        0x0004 /* a live block; wFlags 0 is a free one */
#define PROCESS_HEAP_SEG_ALLOC         0x0008
#define PROCESS_HEAP_ENTRY_MOVEABLE    0x0010 /* never reported here, nor the next */
#define PROCESS_HEAP_ENTRY_DDESHARE    0x0020

#ifndef DUMMYUNIONNAME
#ifdef NONAMELESSUNION
#define DUMMYUNIONNAME u
#else
#define DUMMYUNIONNAME
#endif
#endif

/* One element of a heap, 40 bytes.  All of a walk's state is in it, so copies may go on independently. */
typedef struct _PROCESS_HEAP_ENTRY {
    PVOID lpData;      /* where the element starts; NULL asks for the first */
    DWORD cbData;      /* its bytes; 0xFFFFFFFF stands for 4 GB and more */
    BYTE cbOverhead;   /* bytes of bookkeeping beside it */
    BYTE iRegionIndex; /* which region it is in, from 0 */
    WORD wFlags;       /* PROCESS_HEAP_x, 0 for a free block */
    __extension__ union {
        struct {
            HANDLE hMem;
            DWORD dwReserved[3];
        } Block; /* with PROCESS_HEAP_ENTRY_MOVEABLE only */
        struct {
            DWORD dwCommittedSize;
            DWORD dwUnCommittedSize; /* both together: the bytes reserved */
            LPVOID lpFirstBlock;     /* first usable address */
            LPVOID lpLastBlock;      /* first address past the region */
        } Region;                    /* with PROCESS_HEAP_REGION only */
    } DUMMYUNIONNAME;
} PROCESS_HEAP_ENTRY, *LPPROCESS_HEAP_ENTRY, *PPROCESS_HEAP_ENTRY;

/* ---- Information classes and structures ------------------------------------------------------------- */

typedef enum _HEAP_INFORMATION_CLASS {
    HeapCompatibilityInformation = 0, /* one ULONG: 0 standard, 2 low-fragmentation */
    HeapEnableTerminationOnCorruption = 1,
    HeapOptimizeResources = 3
} HEAP_INFORMATION_CLASS;

#define HEAP_OPTIMIZE_RESOURCES_CURRENT_VERSION 1

typedef struct _HEAP_OPTIMIZE_RESOURCES_INFORMATION {
    DWORD Version; /* HEAP_OPTIMIZE_RESOURCES_CURRENT_VERSION */
    DWORD Flags;   /* 0 */
} HEAP_OPTIMIZE_RESOURCES_INFORMATION, *PHEAP_OPTIMIZE_RESOURCES_INFORMATION;

typedef struct _HEAP_SUMMARY {
    DWORD cb;            /* sizeof(HEAP_SUMMARY), set by the caller */
    SIZE_T cbAllocated;  /* requested bytes of all live blocks */
    SIZE_T cbCommitted;  /* bytes that count as storage of the heap */
    SIZE_T cbReserved;   /* bytes of address space it holds */
    SIZE_T cbMaxReserve; /* bytes of address space it may come to hold */
} HEAP_SUMMARY, *PHEAP_SUMMARY, *LPHEAP_SUMMARY;

/* ---- Functions -------------------------------------------------------------------------------------- */

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Make a heap.  `dwInitialSize` bytes of address space are set aside in one piece (0: about 4 MB); storage
 * comes as blocks need it.  `dwMaximumSize` of 0: the heap grows while the system has memory; else it is
 * one piece of that many bytes, rounded up to an OS page, and never grows.
 * flOptions: HEAP_NO_SERIALIZE, HEAP_GENERATE_EXCEPTIONS, HEAP_CREATE_ENABLE_EXECUTE, or 0.
 * Returns the handle, which the caller ends with HeapDestroy; NULL on failure, with
 * ERROR_INVALID_PARAMETER for an initial size above the maximum, else ERROR_NOT_ENOUGH_MEMORY. */
WINBASEAPI HANDLE WINAPI HeapCreate(DWORD flOptions, SIZE_T dwInitialSize, SIZE_T dwMaximumSize);

/* End a heap and all its blocks; the handle and every pointer into the heap are dead afterwards.  TRUE, or
 * FALSE with ERROR_INVALID_HANDLE: not a live heap, or the process heap, which cannot be ended. */
WINBASEAPI BOOL WINAPI HeapDestroy(HANDLE hHeap);

/* A block of `dwBytes` usable bytes, which may be 0: still a block of its own.  dwFlags: HEAP_ZERO_MEMORY
 * (all bytes 0; without it they are unspecified), HEAP_NO_SERIALIZE, HEAP_GENERATE_EXCEPTIONS.
 * NULL with ERROR_NOT_ENOUGH_MEMORY or ERROR_INVALID_HANDLE. */
WINBASEAPI LPVOID WINAPI HeapAlloc(HANDLE hHeap, DWORD dwFlags, SIZE_T dwBytes);

/* Give `lpMem` the size `dwBytes`, which may be 0; it may move, and then its old address is no block any
 * more.  The first min(old, new) bytes stay; HEAP_ZERO_MEMORY makes those beyond the old size 0;
 * HEAP_REALLOC_IN_PLACE_ONLY fails rather than moves (not growing always works).
 * Returns the block.  NULL leaves the old block as it was, with ERROR_NOT_ENOUGH_MEMORY,
 * ERROR_INVALID_PARAMETER (not a live block of this heap) or ERROR_INVALID_HANDLE.  Unlike realloc,
 * lpMem NULL gives NULL, and sets the last error to 0. */
WINBASEAPI LPVOID WINAPI HeapReAlloc(HANDLE hHeap, DWORD dwFlags, LPVOID lpMem, SIZE_T dwBytes);

/* Give a block back.  TRUE, also for lpMem NULL (whatever the handle).  FALSE with ERROR_INVALID_PARAMETER:
 * not a live block of this heap, nothing happened; or ERROR_INVALID_HANDLE. */
WINBASEAPI BOOL WINAPI HeapFree(HANDLE hHeap, DWORD dwFlags, LPVOID lpMem);

/* The size in bytes that was last asked for this block.  (SIZE_T)-1 with ERROR_INVALID_PARAMETER (not a live
 * block of this heap) or ERROR_INVALID_HANDLE. */
WINBASEAPI SIZE_T WINAPI HeapSize(HANDLE hHeap, DWORD dwFlags, LPCVOID lpMem);

/* Keep all other threads out of the heap until as many HeapUnlock calls; the owner may go on using it.  Waits
 * while another thread owns it.  On a heap made with HEAP_NO_SERIALIZE: TRUE, and nothing happens.
 * FALSE with ERROR_INVALID_HANDLE. */
WINBASEAPI BOOL WINAPI HeapLock(HANDLE hHeap);

/* Undo one HeapLock of the calling thread.  FALSE with ERROR_NOT_OWNER (no lock of this thread) or
 * ERROR_INVALID_HANDLE. */
WINBASEAPI BOOL WINAPI HeapUnlock(HANDLE hHeap);

/* With lpMem NULL: are the heap's own structures sound?  Else: is lpMem the start of a live block of this
 * heap?  Never changes the last error, and follows no pointer it is given. */
WINBASEAPI BOOL WINAPI HeapValidate(HANDLE hHeap, DWORD dwFlags, LPCVOID lpMem);

/* Step through a heap: lpEntry->lpData NULL asks for the first element, an entry as the last call left it for
 * the next.  TRUE, or FALSE with ERROR_NO_MORE_ITEMS at the end, ERROR_INVALID_PARAMETER (lpEntry NULL, or
 * no element of this heap any more) or ERROR_INVALID_HANDLE.  Steps fit together only while nobody changes
 * the heap: take HeapLock around the walk.  lpEntry stays the caller's. */
WINBASEAPI BOOL WINAPI HeapWalk(HANDLE hHeap, LPPROCESS_HEAP_ENTRY lpEntry);

/* The heap that every process has, and that malloc uses under the preload object.  Never NULL, the same for
 * all threads; do not destroy it. */
WINBASEAPI HANDLE WINAPI GetProcessHeap(VOID);

/* How many heaps are live; the first `NumberOfHeaps` handles, or all where there are fewer, are written to
 * the caller's array: the process heap, then the others, oldest first.  ProcessHeaps may be NULL with 0. */
WINBASEAPI DWORD WINAPI GetProcessHeaps(DWORD NumberOfHeaps, PHANDLE ProcessHeaps);

/* Give free memory back to the system, as far as that goes without moving a block.  The bytes of the largest free
 * piece that the heap keeps: above 0 in a new heap.  0 with last error 0 when none is left, or with
 * ERROR_INVALID_HANDLE.  dwFlags: HEAP_NO_SERIALIZE. */
WINBASEAPI SIZE_T WINAPI HeapCompact(HANDLE hHeap, DWORD dwFlags);

/* The sums of a heap at one moment, into *lpSummary, whose cb the caller has set to sizeof(HEAP_SUMMARY).
 * dwFlags: 0.  TRUE, or FALSE with ERROR_INVALID_PARAMETER (lpSummary NULL, another cb; nothing is written) or
 * ERROR_INVALID_HANDLE. */
WINBASEAPI BOOL WINAPI HeapSummary(HANDLE hHeap, DWORD dwFlags, LPHEAP_SUMMARY lpSummary);

/* Class HeapCompatibilityInformation only: a ULONG, 0 until HeapSetInformation made it 2, goes to the caller's
 * HeapInformation.  *ReturnLength (ReturnLength may be NULL) gets the bytes that this takes, 4, also when
 * HeapInformationLength is less: FALSE with ERROR_INSUFFICIENT_BUFFER then.  FALSE with ERROR_NOACCESS (no live
 * heap, HeapInformation NULL) or ERROR_INVALID_PARAMETER (another class). */
WINBASEAPI BOOL WINAPI HeapQueryInformation(HANDLE HeapHandle, HEAP_INFORMATION_CLASS HeapInformationClass,
                                            PVOID HeapInformation, SIZE_T HeapInformationLength,
                                            PSIZE_T ReturnLength);

/* HeapCompatibilityInformation: a ULONG of 2 asks for the low-fragmentation heap, which every heap here is: it
 * changes only what HeapQueryInformation says, for ever.  FALSE with ERROR_INSUFFICIENT_BUFFER,
 * ERROR_INVALID_HANDLE, ERROR_INVALID_PARAMETER (heap without serialisation), ERROR_GEN_FAILURE (any other way
 * from one value to another, or a heap of fixed size).
 * HeapEnableTerminationOnCorruption, with any handle or NULL and no data: from now on, in the whole process, a bad
 * block given to HeapFree, HeapReAlloc or HeapSize ends the process with one line on standard error and SIGABRT.
 * HeapOptimizeResources, with a heap or NULL for all, and a HEAP_OPTIMIZE_RESOURCES_INFORMATION: free memory goes
 * back to the system.  FALSE with ERROR_INVALID_PARAMETER (short, or another version) or ERROR_INVALID_HANDLE.
 * Other classes: FALSE with ERROR_INVALID_PARAMETER. */
WINBASEAPI BOOL WINAPI HeapSetInformation(HANDLE HeapHandle, HEAP_INFORMATION_CLASS HeapInformationClass,
                                          PVOID HeapInformation, SIZE_T HeapInformationLength);

/* The calling thread's last error: 0 in a new thread, else the ERROR_x of the last failure or SetLastError.
 */
WINBASEAPI DWORD WINAPI GetLastError(VOID);

/* Set it; any 32-bit value. */
WINBASEAPI VOID WINAPI SetLastError(DWORD dwErrCode);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
