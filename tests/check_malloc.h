/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc.h -- what the files of the suite "malloc" share.
 *
 * Each test is a promise of glibc's that a program can observe; check_malloc_<topic>.c holds
 * the ones of a topic.  Everything goes through the ordinary C names, nothing of ours is
 * linked: the suite runs on any malloc that LD_PRELOAD brings. */
#ifndef PH_CHECK_MALLOC_H
#define PH_CHECK_MALLOC_H

#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emulated.h"

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)
#define TOO_BIG ((size_t)PTRDIFF_MAX + 1)
#define ERRNO_MARK 4711 /* an errno that no call sets */

/* A check for inner loops: Check's own writes a message (and allocates) each time. */
#define must(condition) \
    do { \
        if (!(condition)) ck_abort_msg("%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
    } while (0)

/* A value of which the compiler knows nothing, so that it neither warns nor computes ahead. */
static inline size_t hide(size_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

static inline void *hide_block(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

/* Did the call just made (with errno 0 before it) refuse as every failure has to? */
static inline bool refused(const void *block)
{
    return errno == ENOMEM && block == NULL;
}

static inline bool is_aligned(const void *block, size_t alignment)
{
    return ((uintptr_t)block & (alignment - 1)) == 0;
}

/* Sizes of each kind that an allocator may serve in its own way: small, runs, large. */
extern const size_t size_kinds[];
extern const unsigned size_kind_count;

/* A pattern that depends on `seed` and the place; no two seeds agree at any word. */
void fill(void *block, size_t bytes, uint64_t seed);
bool is_filled(const void *block, size_t bytes, uint64_t seed);
bool is_zero(const void *block, size_t bytes);

/* The next value of a small generator, for tests that must repeat exactly. */
uint32_t next_random(uint64_t *state);

/* The machine's, or what PRIVHEAP_OS_PAGE says in its stead. */
size_t os_page_bytes(void);

/* Resident KiB of this process. */
long resident_kib(void);

/* Wait for `child` and tell whether it left with status 0; a signal is printed. */
bool child_succeeded(pid_t child);

/* Run `body` in a child of at most `seconds` and tell whether it returned true. */
bool true_in_child(bool (*body)(void), unsigned seconds);

TCase *tcase_malloc(void);
TCase *tcase_calloc(void);
TCase *tcase_realloc(void);
TCase *tcase_aligned(void);
TCase *tcase_usable(void);
TCase *tcase_statistics(void);
TCase *tcase_names(void);
TCase *tcase_shadow(void);
TCase *tcase_threads(void);
TCase *tcase_processes_of_one_thread(void);
TCase *tcase_processes(void);

#endif
