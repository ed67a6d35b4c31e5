/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* foreign.c -- pointers given to free and realloc that are no live block of the process heap.
 *
 * Owns:    the count of pointers left alone.
 * Calls:   find.c for what is ours, unwind.c for what lies on the stack or in a module; os.c, report.c, family.h.
 * Always:  an address is read only after the system said that it is mapped.
 * Why:     some pointers are honest though not ours: what glibc's own malloc gave before us, to
 *          another namespace or to a plug-in that bound to it.  They have glibc's word in front:
 *          a size that is a multiple of 16, with three flag bits.  Leaving one alone leaks a block;
 *          anything else is the program's error. */
#include "foreign.h"

#include "family.h"

#include "../lib/report.h"
#include "../lib/unwind.h"

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

/* What may be honest: nothing of the program's own has glibc's word in front by chance. */
static size_t honest_bytes(const void *block)
{
    struct module in;
    return ph_stack_has(block) || ph_module_of((uintptr_t)block, &in) ? 0 : glibc_bytes(block);
}

/* Judge it; in tolerant mode we come back, with the bytes that can be taken for its contents: SIZE_MAX, nobody knows. */
static size_t foreign_bytes(void *block, enum block_verdict verdict, const struct block_info *bi)
{
    struct report rp = {.block = block};
    const size_t bytes = verdict == BLOCK_NOT_OURS ? honest_bytes(block) : 0;
    if (bytes != 0) {
        __atomic_add_fetch(&left_alone, 1, __ATOMIC_RELAXED);
        return bytes;
    }
    ph_heap_judge(&rp, verdict, bi);
    ph_report(&rp);
    if (rp.inside == NULL)
        return rp.bytes;
    const size_t before = (size_t)((const char *)block - (const char *)rp.inside);
    return before < rp.bytes ? rp.bytes - before : 0;
}

void ph_foreign_pointer(void *block, enum block_verdict verdict, const struct block_info *bi)
{
    (void)foreign_bytes(block, verdict, bi);
}

/* How many bytes from there on can be read, `bytes` at most. */
static size_t readable_bytes(const void *block, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const uintptr_t at = (uintptr_t)block + done;
        if (!ph_os_is_readable((const void *)(at & ~(uintptr_t)7)))
            break;
        done += UNIT_BYTES - at % UNIT_BYTES;
    }
    return done < bytes ? done : bytes;
}

void *ph_foreign_realloc(void *block, size_t bytes, enum block_verdict verdict, const struct block_info *bi)
{
    const size_t had = foreign_bytes(block, verdict, bi);
    void *now = malloc(bytes);
    if (now != NULL)
        ph_bytes_copy(now, block, readable_bytes(block, had < bytes ? had : bytes));
    return now;
}

size_t ph_foreign_usable(const void *block, enum block_verdict verdict, const struct block_info *bi)
{
    struct report rp = {.block = block, .caller = "malloc_usable_size"};
    const size_t bytes = verdict == BLOCK_NOT_OURS ? glibc_bytes(block) : 0;
    if (bytes != 0 || ph_process_heap.stress == 0)
        return bytes;
    ph_heap_judge(&rp, verdict, bi);
    if (rp.kind == DIAG_DOUBLE_FREE) { /* it is not being freed */
        rp.kind = DIAG_USE_AFTER_FREE_GUARD;
        rp.access = block;
    }
    ph_report(&rp);
    return 0;
}
