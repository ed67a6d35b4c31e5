/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* checkreal.c -- libc's own functions, found once; and what serves until then.
 *
 * Owns:    ph_real.
 * Calls:   dlsym.
 * Locks:   none of ours; the loader's, in a constructor.  A thread that comes before that finds the same.
 * Why:     not at the first call: that may come in a signal handler, or while the loader holds its lock. */
#include "checked.h"

#include <dlfcn.h>

struct reals ph_real;

__attribute__((constructor)) void ph_find_reals(void)
{
    void *found;
#define REAL(result, name, parameters)                                                                   \
    found = dlsym(RTLD_NEXT, #name);                                                                     \
    __atomic_store_n((void **)(void *)&ph_real.name, found, __ATOMIC_RELEASE);
#include "checkreal.def"
#undef REAL
}

/* The compiler makes a call of memcpy or memset from such a loop, unless something happens in it. */
#define NO_CALL __asm__ volatile("" : : : "memory")

void *ph_early_move(void *to, const void *from, size_t bytes)
{
    char *write = to;
    const char *read = from;
    const bool is_behind = (uintptr_t)to - (uintptr_t)from < bytes;
    for (size_t i = 0; i < bytes; i++) {
        const size_t at = is_behind ? bytes - 1 - i : i;
        write[at] = read[at];
        NO_CALL;
    }
    return to;
}

void *ph_early_set(void *at, int value, size_t bytes)
{
    char *write = at;
    for (size_t i = 0; i < bytes; i++) {
        write[i] = (char)value;
        NO_CALL;
    }
    return at;
}

const char *ph_early_find(const char *at, int value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (at[i] == (char)value)
            return at + i;
        NO_CALL;
    }
    return NULL;
}

int ph_early_compare(const char *one, const char *other, size_t bytes, bool is_text)
{
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char mine = (unsigned char)one[i], its = (unsigned char)other[i];
        if (mine != its)
            return mine - its;
        if (is_text && mine == '\0')
            break;
        NO_CALL;
    }
    return 0;
}
