/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* stress_malloc.c -- the stress over malloc and its kin, for a run under the preload object.  A plain
 * program: it runs as well over any other allocator.  Arguments: those of stress_shadow.h. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "stress_shadow.h"

static void *take(size_t bytes)
{
    return malloc(bytes);
}

static void *take_zeroed(size_t bytes)
{
    return bytes % 4 ? calloc(1, bytes) : calloc(bytes / 4, 4);
}

static void *take_aligned(size_t align, size_t bytes)
{
    void *block = NULL;
    if (bytes % 3 == 0) return memalign(align, bytes);
    if (bytes % 3 == 1) return aligned_alloc(align, (bytes + align - 1) / align * align);
    return posix_memalign(&block, align, bytes) == 0 ? block : NULL;
}

static void *resize(void *block, size_t bytes, unsigned dice, bool *zeroed)
{
    *zeroed = false;
    return dice % 2 && bytes % 2 == 0 ? reallocarray(block, bytes / 2, 2) : realloc(block, bytes);
}

static void give(void *block, size_t bytes, size_t align)
{
    (void)bytes;
    (void)align;
    errno = 77;
    free(block);
    if (errno != 77) stress_fail("free changed errno to %d", errno);
    free(NULL);
}

static size_t usable(void *block, size_t bytes)
{
    (void)bytes;
    return malloc_usable_size(block);
}

static const struct stress_calls malloc_calls = {take, take_zeroed, take_aligned, resize, give, usable};

int main(int argc, char **argv)
{
    return stress_shadow(argc, argv, "stress_malloc", &malloc_calls);
}
