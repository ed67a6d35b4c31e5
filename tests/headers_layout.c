/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* headers_layout.c -- every size, offset and value that the contract's section 1 names, for headers.sh, which
 * compiles it as C99 and as C++17 with every warning on.  Nothing runs: a false promise does not compile. */
#include "heapapi.h"
#include "privheap.h"
#include "windows.h"

/* A second time, and the other way round. */
#include "heapapi.h"
#include "privheap.h"
#include "windows.h"

#define JOINED(a, b)       a##b
#define NAMED(line)        JOINED(promise_, line)
#define PROMISE(condition) extern char NAMED(__LINE__)[(condition) ? 1 : -1]
#define FIELD(type, field, at, bytes)                                                                        \
    PROMISE(offsetof(type, field) == (at) && sizeof(((type *)NULL)->field) == (bytes))

/* W32 1.1 */
PROMISE(sizeof(DWORD) == 4 && (DWORD)-1 > 0 && sizeof(ULONG) == 4 && (ULONG)-1 > 0); /* D1 */
PROMISE(sizeof(WORD) == 2 && sizeof(BYTE) == 1 && sizeof(BOOL) == sizeof(int) && (BOOL)-1 < 0);
PROMISE(sizeof(SIZE_T) == 8 && (SIZE_T)-1 > 0);
PROMISE(TRUE == 1 && FALSE == 0);
extern HANDLE a_handle;
extern PHANDLE handles;
extern void **handles; /* an error, were the two not one type */
extern LPVOID an_address;
extern void *an_address;
extern PVOID another;
extern void *another;
extern LPCVOID a_constant;
extern const void *a_constant;
extern PSIZE_T a_size;
extern size_t *a_size;
extern LPPROCESS_HEAP_ENTRY an_entry;
extern PPROCESS_HEAP_ENTRY an_entry;

/* W32 1.2 */
PROMISE(HEAP_NO_SERIALIZE == 0x1 && HEAP_GROWABLE == 0x2 && HEAP_GENERATE_EXCEPTIONS == 0x4);
PROMISE(HEAP_ZERO_MEMORY == 0x8 && HEAP_REALLOC_IN_PLACE_ONLY == 0x10);
PROMISE(HEAP_TAIL_CHECKING_ENABLED == 0x20 && HEAP_FREE_CHECKING_ENABLED == 0x40);
PROMISE(HEAP_DISABLE_COALESCE_ON_FREE == 0x80);
PROMISE(HEAP_CREATE_SEGMENT_HEAP == 0x100 && HEAP_CREATE_HARDENED == 0x200);
PROMISE(HEAP_CREATE_ALIGN_16 == 0x10000 && HEAP_CREATE_ENABLE_TRACING == 0x20000);
PROMISE(HEAP_CREATE_ENABLE_EXECUTE == 0x40000);
PROMISE(HEAP_MAXIMUM_TAG == 0x0FFF && HEAP_PSEUDO_TAG_FLAG == 0x8000 && HEAP_TAG_SHIFT == 18);
PROMISE(HEAP_CREATE_MARKER_FLAGS_INTERNAL == 0x80000000); /* D2 */

/* W32 1.3; also where only the preprocessor looks */
#if NO_ERROR != 0 || ERROR_SUCCESS != 0 || ERROR_INVALID_HANDLE != 6 || ERROR_NOT_ENOUGH_MEMORY != 8
#error "error numbers"
#endif
PROMISE(ERROR_OUTOFMEMORY == 14 && ERROR_GEN_FAILURE == 31 && ERROR_INVALID_PARAMETER == 87);
PROMISE(ERROR_INSUFFICIENT_BUFFER == 122 && ERROR_NOT_LOCKED == 158 && ERROR_NO_MORE_ITEMS == 259);
PROMISE(ERROR_NOT_OWNER == 288 && ERROR_NOACCESS == 998);
PROMISE(STATUS_ACCESS_VIOLATION == 0xC0000005 && STATUS_INVALID_PARAMETER == 0xC000000D);
PROMISE(STATUS_NO_MEMORY == 0xC0000017 && STATUS_HEAP_CORRUPTION == 0xC0000374);

/* W32 1.4 */
PROMISE(sizeof(PROCESS_HEAP_ENTRY) == 40);
FIELD(PROCESS_HEAP_ENTRY, lpData, 0, 8);
FIELD(PROCESS_HEAP_ENTRY, cbData, 8, 4);
FIELD(PROCESS_HEAP_ENTRY, cbOverhead, 12, 1);
FIELD(PROCESS_HEAP_ENTRY, iRegionIndex, 13, 1);
FIELD(PROCESS_HEAP_ENTRY, wFlags, 14, 2);
#ifdef NONAMELESSUNION
#define IN_UNION(field) u.field
#else
#define IN_UNION(field) field
#endif
FIELD(PROCESS_HEAP_ENTRY, IN_UNION(Block.hMem), 16, 8);
FIELD(PROCESS_HEAP_ENTRY, IN_UNION(Block.dwReserved), 24, 12);
FIELD(PROCESS_HEAP_ENTRY, IN_UNION(Region.dwCommittedSize), 16, 4);
FIELD(PROCESS_HEAP_ENTRY, IN_UNION(Region.dwUnCommittedSize), 20, 4);
FIELD(PROCESS_HEAP_ENTRY, IN_UNION(Region.lpFirstBlock), 24, 8);
FIELD(PROCESS_HEAP_ENTRY, IN_UNION(Region.lpLastBlock), 32, 8);
PROMISE(PROCESS_HEAP_REGION == 1 && PROCESS_HEAP_UNCOMMITTED_RANGE == 2 && PROCESS_HEAP_ENTRY_BUSY == 4);
PROMISE(PROCESS_HEAP_SEG_ALLOC == 8 && PROCESS_HEAP_ENTRY_MOVEABLE == 16 &&
        PROCESS_HEAP_ENTRY_DDESHARE == 32);

/* W32 1.5 */
PROMISE(HeapCompatibilityInformation == 0 && HeapEnableTerminationOnCorruption == 1 &&
        HeapOptimizeResources == 3);
PROMISE(HEAP_OPTIMIZE_RESOURCES_CURRENT_VERSION == 1 && sizeof(HEAP_OPTIMIZE_RESOURCES_INFORMATION) == 8);
FIELD(HEAP_OPTIMIZE_RESOURCES_INFORMATION, Version, 0, 4);
FIELD(HEAP_OPTIMIZE_RESOURCES_INFORMATION, Flags, 4, 4);
PROMISE(sizeof(HEAP_SUMMARY) == 40);
FIELD(HEAP_SUMMARY, cb, 0, 4);
FIELD(HEAP_SUMMARY, cbAllocated, 8, 8);
FIELD(HEAP_SUMMARY, cbCommitted, 16, 8);
FIELD(HEAP_SUMMARY, cbReserved, 24, 8);
FIELD(HEAP_SUMMARY, cbMaxReserve, 32, 8);

/* Ours: what version 0.1 has stays where it is. */
PROMISE(sizeof(struct ph_stats) == 176 && PRIVHEAP_NAME_BYTES == 64);
FIELD(struct ph_stats, struct_bytes, 0, 8);
FIELD(struct ph_stats, flags, 8, 4);
FIELD(struct ph_stats, live_blocks, 16, 8);
FIELD(struct ph_stats, most_reserved_bytes, 88, 8);
FIELD(struct ph_stats, name, 112, 64);
PROMISE(sizeof(struct ph_block) == 16);

#ifdef BROKEN_PROMISE
PROMISE(sizeof(PROCESS_HEAP_ENTRY) == 28);
#endif

/* The functions, each by its exact type, and C linkage: headers.sh looks for the plain names. */
extern HANDLE (*const create)(DWORD, SIZE_T, SIZE_T);
extern BOOL (*const of_handle[])(HANDLE);
extern LPVOID (*const allocate)(HANDLE, DWORD, SIZE_T);
extern LPVOID (*const reallocate)(HANDLE, DWORD, LPVOID, SIZE_T);
extern BOOL (*const release)(HANDLE, DWORD, LPVOID);
extern SIZE_T (*const measure)(HANDLE, DWORD, LPCVOID);
extern BOOL (*const validate)(HANDLE, DWORD, LPCVOID);
extern BOOL (*const walk)(HANDLE, LPPROCESS_HEAP_ENTRY);
extern HANDLE (*const process_heap)(void);
extern DWORD (*const process_heaps)(DWORD, PHANDLE);
extern DWORD (*const get_error)(void);
extern void (*const set_error)(DWORD);
extern const char *(*const version)(void);
extern SIZE_T (*const compact)(HANDLE, DWORD);
extern BOOL (*const summary)(HANDLE, DWORD, LPHEAP_SUMMARY);
extern BOOL (*const query)(HANDLE, HEAP_INFORMATION_CLASS, PVOID, SIZE_T, PSIZE_T);
extern BOOL (*const set)(HANDLE, HEAP_INFORMATION_CLASS, PVOID, SIZE_T);
extern BOOL (*const stats)(HANDLE, struct ph_stats *);
extern LPVOID (*const aligned)(HANDLE, DWORD, SIZE_T, SIZE_T);
extern BOOL (*const set_name)(HANDLE, const char *);
extern SIZE_T (*const name)(HANDLE, char *, SIZE_T);
extern BOOL (*const visit)(HANDLE, BOOL (*)(const struct ph_block *, void *), void *);
extern void (*(*const set_handler)(void (*)(DWORD, HANDLE, SIZE_T)))(DWORD, HANDLE, SIZE_T);

HANDLE (*const create)(DWORD, SIZE_T, SIZE_T) = HeapCreate;
BOOL (*const of_handle[])(HANDLE) = {HeapDestroy, HeapLock, HeapUnlock};
LPVOID (*const allocate)(HANDLE, DWORD, SIZE_T) = HeapAlloc;
LPVOID (*const reallocate)(HANDLE, DWORD, LPVOID, SIZE_T) = HeapReAlloc;
BOOL (*const release)(HANDLE, DWORD, LPVOID) = HeapFree;
SIZE_T (*const measure)(HANDLE, DWORD, LPCVOID) = HeapSize;
BOOL (*const validate)(HANDLE, DWORD, LPCVOID) = HeapValidate;
BOOL (*const walk)(HANDLE, LPPROCESS_HEAP_ENTRY) = HeapWalk;
HANDLE (*const process_heap)(void) = GetProcessHeap;
DWORD (*const process_heaps)(DWORD, PHANDLE) = GetProcessHeaps;
DWORD (*const get_error)(void) = GetLastError;
void (*const set_error)(DWORD) = SetLastError;
const char *(*const version)(void) = ph_version;
DWORD (*const debug_flags)(void) = ph_debug_flags;
SIZE_T (*const compact)(HANDLE, DWORD) = HeapCompact;
BOOL (*const summary)(HANDLE, DWORD, LPHEAP_SUMMARY) = HeapSummary;
BOOL (*const query)(HANDLE, HEAP_INFORMATION_CLASS, PVOID, SIZE_T, PSIZE_T) = HeapQueryInformation;
BOOL (*const set)(HANDLE, HEAP_INFORMATION_CLASS, PVOID, SIZE_T) = HeapSetInformation;
BOOL (*const stats)(HANDLE, struct ph_stats *) = ph_heap_stats;
LPVOID (*const aligned)(HANDLE, DWORD, SIZE_T, SIZE_T) = ph_heap_aligned_alloc;
BOOL (*const set_name)(HANDLE, const char *) = ph_heap_set_name;
SIZE_T (*const name)(HANDLE, char *, SIZE_T) = ph_heap_name;
BOOL (*const visit)(HANDLE, BOOL (*)(const struct ph_block *, void *), void *) = ph_heap_visit;
void (*(*const set_handler)(void (*)(DWORD, HANDLE, SIZE_T)))(DWORD, HANDLE, SIZE_T) = ph_set_exception_handler;
