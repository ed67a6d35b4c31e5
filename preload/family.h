/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* family.h -- the malloc family's names, as libc declares them, and what its files share. */
#ifndef PH_PRELOAD_FAMILY_H
#define PH_PRELOAD_FAMILY_H

#include <malloc.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))
#if __has_attribute(copy)
#define ALIAS(name) __attribute__((visibility("default"), alias(#name), copy(name)))
#else
#define ALIAS(name) __attribute__((visibility("default"), alias(#name)))
#endif

#include "../lib/internal.h"
void *pvalloc(size_t bytes); /* musl's <malloc.h> has none */

/* malloc(bytes) at a multiple of `align`, a power of two; NULL with ENOMEM. */
void *ph_malloc_aligned(size_t align, size_t bytes, enum family family);

#endif
