/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * modes_plugin.c -- a library to be opened at run time: gives blocks, takes blocks, opens another beside itself. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT void *plugin_make(size_t bytes, int value);
EXPORT void *plugin_aligned(size_t align, size_t bytes, int value);
EXPORT void *plugin_resize(void *block, size_t bytes);
EXPORT void plugin_free(void *block);
EXPORT void *plugin_open(const char *name, int flags);

void *plugin_make(size_t bytes, int value)
{
    void *block = malloc(bytes);
    return block != NULL ? memset(block, value, bytes) : NULL;
}

void *plugin_aligned(size_t align, size_t bytes, int value)
{
    void *block = aligned_alloc(align, bytes);
    return block != NULL ? memset(block, value, bytes) : NULL;
}

void *plugin_resize(void *block, size_t bytes) { return realloc(block, bytes); }

void plugin_free(void *block) { free(block); }

/* With a RUNPATH of its own, which the loader looks up by who calls. */
void *plugin_open(const char *name, int flags)
{
    void *handle = flags < 0 ? dlmopen(LM_ID_BASE, name, RTLD_NOW | RTLD_DEEPBIND) : dlopen(name, flags);
    __asm__ volatile("" : "+r"(handle)); /* a call, not a jump: else our caller would be taken for us */
    return handle;
}
