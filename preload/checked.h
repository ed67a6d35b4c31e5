/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* checked.h -- libprivheap-check.so: functions of libc that ask, before they touch memory, whose it is.
 *
 * Always:  an access is told of only if it is certain, or has been made: what a function may leave untouched (behind the
 *          first difference, the byte it looks for, the end of a text, what was not received) is the program's affair.
 * Why:     memcpy and its like are called before this object is relocated (by resolvers of other objects), in handlers,
 *          and by libprivheap-preload.so.  So nothing here is reached by way of a table that the loader fills, but for
 *          two: __privheap_access, which until then is absent, and what a constructor found of libc, NULL until then. */
#ifndef PH_PRELOAD_CHECKED_H
#define PH_PRELOAD_CHECKED_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "access.h"

#pragma weak __privheap_access

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#define INLINE static inline __attribute__((always_inline))
#define CHECKED __attribute__((visibility("default")))

#ifdef __GLIBC__
#define CHK(result, name, parameters) REAL(result, name, parameters)
#else
#define CHK(result, name, parameters)
#endif

struct signals { unsigned long word[128 / sizeof(long)]; }; /* sigset_t */

/* libc's headers are not asked: with some macros they give these other names. */
#define REAL(result, name, parameters) result name parameters;
#include "checkreal.def"
#undef REAL

#pragma GCC visibility push(hidden)

#define REAL(result, name, parameters) result (*name) parameters;
extern struct reals {
#include "checkreal.def"
} ph_real;
#undef REAL

void ph_find_reals(void);

/* Until those are known; slow. */
void *ph_early_move(void *to, const void *from, size_t bytes);
void *ph_early_set(void *at, int value, size_t bytes);
const char *ph_early_find(const char *at, int value, size_t bytes);
int ph_early_compare(const char *one, const char *other, size_t bytes, bool is_text);

#pragma GCC visibility pop

/* Of functions that nobody calls so early. */
#define THE_REAL(name) (likely(ph_real.name != NULL) ? ph_real.name : (ph_find_reals(), ph_real.name))

/* ---- asking, telling ------------------------------------------------------------------------- */

INLINE size_t room_of(const void *at, bool is_write)
{
    return likely(&__privheap_access != NULL) ? __privheap_access(at, is_write, NULL, NULL) : SIZE_MAX;
}

/* It goes beyond the room there is.  In the function itself, for the address of its caller. */
#define TELL(at, is_write, function) ((void)__privheap_access(at, is_write, function, __builtin_return_address(0)))

#define TOUCHES(at, bytes, is_write, function)        \
    do {                                              \
        if (unlikely(room_of(at, is_write) < (bytes))) \
            TELL(at, is_write, function);             \
    } while (0)
#define READS(at, bytes, function) TOUCHES(at, bytes, false, function)
#define WRITES(at, bytes, function) TOUCHES(at, bytes, true, function)

INLINE size_t lesser(size_t one, size_t other) { return one < other ? one : other; }

/* ---- libc's, or ours --------------------------------------------------------------------------- */

INLINE void *real_move(void *to, const void *from, size_t bytes)
{
    return likely(ph_real.memmove != NULL) ? ph_real.memmove(to, from, bytes) : ph_early_move(to, from, bytes);
}

INLINE void *real_set(void *at, int value, size_t bytes)
{
    return likely(ph_real.memset != NULL) ? ph_real.memset(at, value, bytes) : ph_early_set(at, value, bytes);
}

INLINE void *real_find(const void *at, int value, size_t bytes)
{
    return likely(ph_real.memchr != NULL) ? ph_real.memchr(at, value, bytes) : (void *)(uintptr_t)ph_early_find(at, value, bytes);
}

INLINE size_t real_length(const char *text, size_t most)
{
    if (likely(ph_real.strnlen != NULL))
        return most == SIZE_MAX ? ph_real.strlen(text) : ph_real.strnlen(text, most);
    const char *end = ph_early_find(text, '\0', most);
    return end != NULL ? (size_t)(end - text) : most;
}

/* ---- texts ---------------------------------------------------------------------------------------- */

/* The length of a text of which at most so much is read; within its block it ends, or else it is told of. */
#define TEXT_MOST(length, text, most, function)                         \
    do {                                                                \
        const size_t room = room_of(text, false);                       \
        (length) = real_length(text, lesser(room, most));               \
        if (unlikely((length) == room && room < (most))) {              \
            TELL(text, false, function);                                \
            (length) = real_length(text, most);                         \
        }                                                               \
    } while (0)
#define TEXT(length, text, function) TEXT_MOST(length, text, SIZE_MAX, function)

#endif
