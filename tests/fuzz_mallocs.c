/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fuzz_mallocs.c -- malloc for the operation fuzzer: the preloaded object's where there is one, the engine's own way of
 * serving it where a fuzzer with a malloc of its own has the engine linked in, else none. */
#include "fuzz_shadow.h"

struct mallocs mallocs;

#ifdef FUZZ_LIBFUZZER
#include "../lib/internal.h"

static void *engine_take(size_t bytes, size_t align, bool zero)
{
    return ph_heap_alloc(ph_heap_process(), &(struct request){.bytes = bytes, .align = align, .zero = zero});
}

static void *engine_resize(void *block, size_t bytes)
{
    struct block_info bi;
    if (ph_heap_look(block, &bi) != BLOCK_OK) wrong("%p is not known", block);
    return ph_heap_realloc(bi.heap, &bi, block, &(struct request){.bytes = bytes}, false);
}

static void engine_give(void *block)
{
    if (ph_heap_free(ph_heap_process(), block, ENTER_PATIENTLY) != BLOCK_OK) wrong("%p cannot be freed", block);
}

static size_t engine_usable(void *block)
{
    struct block_info bi;
    return ph_heap_look(block, &bi) == BLOCK_OK ? bi.wanted : 0;
}

void mallocs_find(void)
{
    if (ph_heap_process() == NULL) wrong("there is no process heap");
    mallocs = (struct mallocs){true, engine_take, engine_resize, engine_give, engine_usable};
}

#else
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *libc_take(size_t bytes, size_t align, bool zero)
{
    if (zero) return bytes % 3 == 0 ? calloc(bytes / 3, 3) : calloc(1, bytes);
    return align > 16 ? memalign(align, bytes) : malloc(bytes);
}

static size_t libc_usable(void *block) { return malloc_usable_size(block); }

static const char *module_of(const void *code)
{
    Dl_info info;
    return dladdr(code, &info) != 0 ? info.dli_fname : "";
}

void mallocs_find(void)
{
    const bool real = strcmp(module_of(dlsym(RTLD_DEFAULT, "malloc")), module_of((const void *)(uintptr_t)&HeapAlloc)) == 0;
    mallocs = (struct mallocs){real, libc_take, realloc, free, libc_usable};
}
#endif
