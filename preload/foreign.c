/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* foreign.c -- pointers given to free and realloc that are no live block of the process heap.
 *
 * Owns:    the count of pointers left alone.
 * Calls:   os.c, invariant.c, family.h.
 * Always:  an address is read only after the system said that it is mapped.
 * Why:     some pointers are honest though not ours: what glibc's own malloc gave before us, to
 *          another namespace or to a plug-in that bound to it.  They have glibc's word in front:
 *          a size that is a multiple of 16, with three flag bits.  Leaving one alone leaks a block;
 *          anything else is the program's error. */
#include "foreign.h"

#include "family.h"

#include "../lib/small.h"

enum { GLIBC_FLAGS = 7, GLIBC_MAPPED = 2, GLIBC_BEFORE_USED = 1, GLIBC_LEAST = 32 };

static uint64_t left_alone;

uint64_t ph_foreign_count(void) { return __atomic_load_n(&left_alone, __ATOMIC_RELAXED); }

/* A mapping of its own, which a large alignment may have moved the block into: both ends are an OS page's. */
static bool is_mapping(uintptr_t head, size_t before, size_t bytes)
{
    return (head - before) % UNIT_BYTES == 0 && (before + bytes) % UNIT_BYTES == 0;
}

/* What a block of glibc's can hold, 0 when it cannot be one.  In front of it stands its size, and behind it, unless it
 * has a mapping of its own, the next size, which says that this one is in use. */
static size_t glibc_bytes(const void *block)
{
    const size_t *head = (const size_t *)block - 2;
    if ((uintptr_t)block % 16 != 0 || !ph_os_is_readable(head))
        return 0;
    const size_t flags = head[1] & GLIBC_FLAGS, bytes = head[1] - flags;
    if (bytes < GLIBC_LEAST || bytes % 16 != 0 || bytes > (size_t)1 << 40)
        return 0;
    if (flags & GLIBC_MAPPED)
        return flags == GLIBC_MAPPED && is_mapping((uintptr_t)head, head[0], bytes) ? bytes - 16 : 0;
    const size_t *next = head + bytes / sizeof *head;
    return ph_os_is_readable(next) && (next[1] & GLIBC_BEFORE_USED) ? bytes - 8 : 0;
}

/* A block on this thread's own stack is never glibc's. */
static bool is_on_stack(const void *block)
{
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    return (uintptr_t)block - here < (uintptr_t)8 << 20;
}

static size_t foreign_bytes(void *block, enum block_verdict verdict, const struct block_info *bi)
{
    if (verdict == BLOCK_OK)
        ph_corrupt(DIAG_WRONG_HEAP, block, bi->wanted);
    if (verdict == BLOCK_TWICE)
        ph_corrupt(DIAG_DOUBLE_FREE, block, bi->wanted);
    const size_t bytes = verdict == BLOCK_NOT_OURS && !is_on_stack(block) ? glibc_bytes(block) : 0;
    if (bytes == 0)
        ph_corrupt(DIAG_INVALID_FREE, block, SIZE_MAX);
    __atomic_add_fetch(&left_alone, 1, __ATOMIC_RELAXED);
    return bytes;
}

void ph_foreign_pointer(void *block, enum block_verdict verdict, const struct block_info *bi)
{
    (void)foreign_bytes(block, verdict, bi);
}

void *ph_foreign_realloc(void *block, size_t bytes, enum block_verdict verdict, const struct block_info *bi)
{
    const size_t had = foreign_bytes(block, verdict, bi);
    void *now = malloc(bytes);
    if (now != NULL)
        ph_bytes_copy(now, block, had < bytes ? had : bytes);
    return now;
}

size_t ph_foreign_usable(const void *block) { return glibc_bytes(block); }
