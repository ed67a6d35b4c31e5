/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fuzz_shadow.h -- what the operation fuzzer knows of each heap and each block, and the checks against it. */
#ifndef FUZZ_SHADOW_H
#define FUZZ_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privheap.h"

enum { SLOTS = 1024, KIBI = 1024, MEBI = 1 << 20 };

/* MALLOCED is the process heap through malloc, where the object is preloaded or the engine is linked in. */
enum place { PROCESS, MALLOCED, GROWABLE, SECOND, FIXED, SMALL, UNSERIALISED, EXECUTABLE, PLACES };

struct block {
    unsigned char *at; /* NULL: none */
    unsigned char *was; /* its last address, once it is free */
    size_t bytes;
    unsigned char place, was_place;
    bool plain; /* malloc's: its exact size is not known */
};

struct shadow {
    struct block slot[SLOTS];
    HANDLE heap[PLACES];
    size_t live[PLACES], live_bytes[PLACES]; /* process heap: both places in PROCESS */
    uint64_t operations;
};
extern struct shadow sh;

/* malloc and its kin, as they are here. */
struct mallocs {
    bool real; /* else HeapAlloc and its kin stand in for them */
    void *(*take)(size_t bytes, size_t align, bool zero);
    void *(*resize)(void *block, size_t bytes);
    void (*give)(void *block);
    size_t (*usable)(void *block);
};
extern struct mallocs mallocs;
void mallocs_find(void);

__attribute__((noreturn, format(printf, 1, 2))) void wrong(const char *format, ...);

static inline unsigned place_home(unsigned place) { return place == MALLOCED ? PROCESS : place; }
static inline bool place_is_fixed(unsigned place) { return place == FIXED || place == SMALL; }

/* A block came, changed, went: note and fill, or look and forget. */
void shadow_new(struct block *bl, unsigned place, bool plain, unsigned char *at, size_t bytes, size_t align, bool zero);
void shadow_gone(struct block *bl);
void shadow_fill(const struct block *bl);
void shadow_look(const struct block *bl, const unsigned char *now, size_t count);
void shadow_drop_heap(unsigned place); /* its blocks are gone with it */

void check_size(const struct block *bl);
void check_walk(unsigned place);
void check_visit(unsigned place);
void check_sums(unsigned place);
void check_stats(unsigned place);
void check_whole(unsigned place); /* HeapValidate */

#endif
