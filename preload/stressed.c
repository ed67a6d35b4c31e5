/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stressed.c -- libprivheap-stress.so: the functions of libc that copy, fill and compare, with a look at the bounds first.
 *
 * Owns:    the addresses of libc's own.
 * Calls:   access.c in the preload object; without it, or without option STRESS, nothing but the function behind.
 * Always:  nothing is asked that the function would not touch itself: of a text, as far as its end.
 * Why:     a guard stands behind a block's last 16 bytes, not behind its last one, and most programs run over the end
 *          in one of these functions.  An object of its own: only a stressed program pays for it.
 * Source:  memcpy(3), memcmp(3), strcpy(3), strncpy(3); what _FORTIFY_SOURCE makes of them, in glibc's headers. */
#include "stressed.h"

#include <string.h>
#include <strings.h>
#include <wchar.h>

/* ---- memory ------------------------------------------------------------------------------------- */

EXPORT void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    reads(from, bytes, "memcpy");
    writes(to, bytes, "memcpy");
    return NEXT(memcpy)(to, from, bytes);
}

EXPORT void *memmove(void *to, const void *from, size_t bytes)
{
    reads(from, bytes, "memmove");
    writes(to, bytes, "memmove");
    return NEXT(memmove)(to, from, bytes);
}

EXPORT void *mempcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    reads(from, bytes, "mempcpy");
    writes(to, bytes, "mempcpy");
    return NEXT(mempcpy)(to, from, bytes);
}

EXPORT void *memset(void *to, int byte, size_t bytes)
{
    writes(to, bytes, "memset");
    return NEXT(memset)(to, byte, bytes);
}

EXPORT int memcmp(const void *left, const void *right, size_t bytes)
{
    reads(left, bytes, "memcmp");
    reads(right, bytes, "memcmp");
    return NEXT(memcmp)(left, right, bytes);
}

EXPORT int bcmp(const void *left, const void *right, size_t bytes)
{
    reads(left, bytes, "bcmp");
    reads(right, bytes, "bcmp");
    return NEXT(bcmp)(left, right, bytes);
}

EXPORT void bcopy(const void *from, void *to, size_t bytes)
{
    reads(from, bytes, "bcopy");
    writes(to, bytes, "bcopy");
    NEXT(bcopy)(from, to, bytes);
}

EXPORT void bzero(void *to, size_t bytes)
{
    writes(to, bytes, "bzero");
    NEXT(bzero)(to, bytes);
}

EXPORT wchar_t *wmemset(wchar_t *to, wchar_t letter, size_t count)
{
    writes(to, count * sizeof *to, "wmemset");
    return NEXT(wmemset)(to, letter, count);
}

EXPORT wchar_t *wmemcpy(wchar_t *restrict to, const wchar_t *restrict from, size_t count)
{
    reads(from, count * sizeof *to, "wmemcpy");
    writes(to, count * sizeof *to, "wmemcpy");
    return NEXT(wmemcpy)(to, from, count);
}

/* ---- texts ---------------------------------------------------------------------------------------- */

EXPORT char *strcpy(char *restrict to, const char *restrict from)
{
    const size_t bytes = strlen(from) + 1;

    reads(from, bytes, "strcpy");
    writes(to, bytes, "strcpy");
    return NEXT(strcpy)(to, from);
}

EXPORT char *stpcpy(char *restrict to, const char *restrict from)
{
    const size_t bytes = strlen(from) + 1;

    reads(from, bytes, "stpcpy");
    writes(to, bytes, "stpcpy");
    return NEXT(stpcpy)(to, from);
}

EXPORT char *strcat(char *restrict to, const char *restrict from)
{
    writes(to + strlen(to), strlen(from) + 1, "strcat");
    return NEXT(strcat)(to, from);
}

EXPORT char *strncpy(char *restrict to, const char *restrict from, size_t bytes)
{
    reads(from, strnlen(from, bytes), "strncpy");
    writes(to, bytes, "strncpy");
    return NEXT(strncpy)(to, from, bytes);
}

EXPORT char *stpncpy(char *restrict to, const char *restrict from, size_t bytes)
{
    reads(from, strnlen(from, bytes), "stpncpy");
    writes(to, bytes, "stpncpy");
    return NEXT(stpncpy)(to, from, bytes);
}

EXPORT char *strncat(char *restrict to, const char *restrict from, size_t bytes)
{
    writes(to + strlen(to), strnlen(from, bytes) + 1, "strncat");
    return NEXT(strncat)(to, from, bytes);
}

/* ---- as _FORTIFY_SOURCE calls them: `room` is what the compiler knows of the place -------------------- */

#ifdef __GLIBC__

EXPORT void *__memcpy_chk(void *to, const void *from, size_t bytes, size_t room);
EXPORT void *__memmove_chk(void *to, const void *from, size_t bytes, size_t room);
EXPORT void *__memset_chk(void *to, int byte, size_t bytes, size_t room);
EXPORT char *__strcpy_chk(char *to, const char *from, size_t room);
EXPORT char *__strcat_chk(char *to, const char *from, size_t room);
EXPORT char *__strncpy_chk(char *to, const char *from, size_t bytes, size_t room);

void *__memcpy_chk(void *to, const void *from, size_t bytes, size_t room)
{
    reads(from, bytes, "memcpy");
    writes(to, bytes, "memcpy");
    return NEXT(__memcpy_chk)(to, from, bytes, room);
}

void *__memmove_chk(void *to, const void *from, size_t bytes, size_t room)
{
    reads(from, bytes, "memmove");
    writes(to, bytes, "memmove");
    return NEXT(__memmove_chk)(to, from, bytes, room);
}

void *__memset_chk(void *to, int byte, size_t bytes, size_t room)
{
    writes(to, bytes, "memset");
    return NEXT(__memset_chk)(to, byte, bytes, room);
}

char *__strcpy_chk(char *to, const char *from, size_t room)
{
    writes(to, strlen(from) + 1, "strcpy");
    return NEXT(__strcpy_chk)(to, from, room);
}

char *__strcat_chk(char *to, const char *from, size_t room)
{
    writes(to + strlen(to), strlen(from) + 1, "strcat");
    return NEXT(__strcat_chk)(to, from, room);
}

char *__strncpy_chk(char *to, const char *from, size_t bytes, size_t room)
{
    writes(to, bytes, "strncpy");
    return NEXT(__strncpy_chk)(to, from, bytes, room);
}

#endif
