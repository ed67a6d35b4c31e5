/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* checkmemory.c -- memcpy and its like.
 *
 * Owns:    nothing.  Calls: libc's of the same names.  Locks: none.
 * Source:  memcpy(3), memcmp(3), bcmp(3), memchr(3), wmemcpy(3). */
#include "checked.h"

void *memcpy(void *to, const void *from, size_t bytes);
void *mempcpy(void *to, const void *from, size_t bytes);
void *__mempcpy(void *to, const void *from, size_t bytes);
int bcmp(const void *one, const void *other, size_t bytes);

/* By memmove: programs that were linked to an old memcpy may rely on it. */
CHECKED void *memcpy(void *to, const void *from, size_t bytes)
{
    WRITES(to, bytes, "memcpy");
    READS(from, bytes, "memcpy");
    return real_move(to, from, bytes);
}

CHECKED void *memmove(void *to, const void *from, size_t bytes)
{
    WRITES(to, bytes, "memmove");
    READS(from, bytes, "memmove");
    return real_move(to, from, bytes);
}

CHECKED void *mempcpy(void *to, const void *from, size_t bytes)
{
    WRITES(to, bytes, "mempcpy");
    READS(from, bytes, "mempcpy");
    return (char *)real_move(to, from, bytes) + bytes;
}

CHECKED void *__mempcpy(void *to, const void *from, size_t bytes)
{
    WRITES(to, bytes, "mempcpy");
    READS(from, bytes, "mempcpy");
    return (char *)real_move(to, from, bytes) + bytes;
}

CHECKED void *memset(void *at, int value, size_t bytes)
{
    WRITES(at, bytes, "memset");
    return real_set(at, value, bytes);
}

INLINE int real_compare(const void *one, const void *other, size_t bytes)
{
    return likely(ph_real.memcmp != NULL) ? ph_real.memcmp(one, other, bytes) : ph_early_compare(one, other, bytes, false);
}

/* A difference within both blocks is enough. */
#define COMPARE(result, one, other, bytes, function)                                       \
    do {                                                                                   \
        const size_t room_one = room_of(one, false), room_other = room_of(other, false);   \
        const size_t room = lesser(room_one, room_other);                                  \
        (result) = real_compare(one, other, lesser(room, bytes));                          \
        if (unlikely(room < (bytes) && (result) == 0)) {                                   \
            TELL(room_one <= room_other ? (one) : (other), false, function);               \
            (result) = real_compare(one, other, bytes);                                    \
        }                                                                                  \
    } while (0)

CHECKED int memcmp(const void *one, const void *other, size_t bytes)
{
    int result;
    COMPARE(result, one, other, bytes, "memcmp");
    return result;
}

CHECKED int bcmp(const void *one, const void *other, size_t bytes)
{
    int result;
    COMPARE(result, one, other, bytes, "bcmp");
    return result;
}

CHECKED void *memchr(const void *at, int value, size_t bytes)
{
    const size_t room = room_of(at, false);
    void *found = real_find(at, value, lesser(room, bytes));
    if (likely(found != NULL || room >= bytes))
        return found;
    TELL(at, false, "memchr");
    return real_find(at, value, bytes);
}

#ifdef __GLIBC__
/* These end the program themselves where the compiler knew of less room. */
CHECKED void *__memcpy_chk(void *to, const void *from, size_t bytes, size_t known)
{
    WRITES(to, bytes, "memcpy");
    READS(from, bytes, "memcpy");
    return likely(bytes <= known) ? real_move(to, from, bytes) : THE_REAL(__memcpy_chk)(to, from, bytes, known);
}

CHECKED void *__memmove_chk(void *to, const void *from, size_t bytes, size_t known)
{
    WRITES(to, bytes, "memmove");
    READS(from, bytes, "memmove");
    return likely(bytes <= known) ? real_move(to, from, bytes) : THE_REAL(__memmove_chk)(to, from, bytes, known);
}

CHECKED void *__mempcpy_chk(void *to, const void *from, size_t bytes, size_t known)
{
    WRITES(to, bytes, "mempcpy");
    READS(from, bytes, "mempcpy");
    return THE_REAL(__mempcpy_chk)(to, from, bytes, known);
}

CHECKED void *__memset_chk(void *at, int value, size_t bytes, size_t known)
{
    WRITES(at, bytes, "memset");
    return likely(bytes <= known) ? real_set(at, value, bytes) : THE_REAL(__memset_chk)(at, value, bytes, known);
}
#endif
