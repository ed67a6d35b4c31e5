/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* checktext.c -- strlen, strcpy and their like.
 *
 * Owns:    nothing.  Calls: libc's of the same names; memmem.  Locks: none.
 * Why:     a text is read to its end, or to where the answer is clear: whoever compares what has no end with what
 *          differs before the block's end, or looks there for what is found, reads no byte too many.
 * Source:  string(3), strdup(3), stpncpy(3). */
#include "checked.h"

char *strcpy(char *to, const char *from);
char *stpcpy(char *to, const char *from);
char *strncpy(char *to, const char *from, size_t bytes);
char *stpncpy(char *to, const char *from, size_t bytes);
char *strcat(char *to, const char *from);
char *strncat(char *to, const char *from, size_t most);
void *memmem(const void *in, size_t bytes, const void *what, size_t what_bytes);

/* ---- reading ------------------------------------------------------------------------------------ */

CHECKED size_t strlen(const char *text)
{
    size_t length;
    TEXT(length, text, "strlen");
    return length;
}

CHECKED size_t strnlen(const char *text, size_t most)
{
    size_t length;
    TEXT_MOST(length, text, most, "strnlen");
    return length;
}

INLINE int real_compare(const char *one, const char *other, size_t most)
{
    if (likely(ph_real.strcmp != NULL))
        return most == SIZE_MAX ? ph_real.strcmp(one, other) : ph_real.strncmp(one, other, most);
    return ph_early_compare(one, other, most, true);
}

#define COMPARE(result, one, other, most, function)                                        \
    do {                                                                                   \
        const size_t room_one = room_of(one, false), room_other = room_of(other, false);   \
        const size_t room = lesser(room_one, room_other);                                  \
        (result) = real_compare(one, other, lesser(room, most));                           \
        if (unlikely(room < (most) && (result) == 0 && real_length(one, room) == room)) {  \
            TELL(room_one <= room_other ? (one) : (other), false, function);               \
            (result) = real_compare(one, other, most);                                     \
        }                                                                                  \
    } while (0)

CHECKED int strcmp(const char *one, const char *other)
{
    int result;
    COMPARE(result, one, other, SIZE_MAX, "strcmp");
    return result;
}

CHECKED int strncmp(const char *one, const char *other, size_t most)
{
    int result;
    COMPARE(result, one, other, most, "strncmp");
    return result;
}

static char *early_chr(const char *text, int value, bool last)
{
    const char *found = NULL;
    for (; (last || found == NULL); text++) {
        if (*text == (char)value)
            found = text;
        if (*text == '\0')
            break;
    }
    return (char *)(uintptr_t)found;
}

CHECKED char *strchr(const char *text, int value)
{
    const size_t room = room_of(text, false);
    if (unlikely(room != SIZE_MAX && real_length(text, room) == room)) {
        char *found = real_find(text, value, room);
        if (found != NULL)
            return found;
        TELL(text, false, "strchr");
    }
    return likely(ph_real.strchr != NULL) ? ph_real.strchr(text, value) : early_chr(text, value, false);
}

CHECKED char *strrchr(const char *text, int value)
{
    const size_t room = room_of(text, false);
    if (unlikely(room != SIZE_MAX && real_length(text, room) == room))
        TELL(text, false, "strrchr");
    return likely(ph_real.strrchr != NULL) ? ph_real.strrchr(text, value) : early_chr(text, value, true);
}

CHECKED char *strstr(const char *in, const char *what)
{
    size_t bytes;
    const size_t room_in = room_of(in, false);
    TEXT(bytes, what, "strstr");
    if (unlikely(room_in != SIZE_MAX && real_length(in, room_in) == room_in)) {
        char *found = memmem(in, room_in, what, bytes);
        if (found != NULL)
            return found;
        TELL(in, false, "strstr");
    }
    return THE_REAL(strstr)(in, what);
}

CHECKED char *strdup(const char *text)
{
    const size_t room = room_of(text, false);
    if (unlikely(room != SIZE_MAX && real_length(text, room) == room))
        TELL(text, false, "strdup");
    return THE_REAL(strdup)(text);
}

CHECKED char *strndup(const char *text, size_t most)
{
    const size_t room = room_of(text, false);
    if (unlikely(room < most && real_length(text, room) == room))
        TELL(text, false, "strndup");
    return THE_REAL(strndup)(text, most);
}

/* ---- writing -------------------------------------------------------------------------------------- */

CHECKED char *strcpy(char *to, const char *from)
{
    size_t length;
    TEXT(length, from, "strcpy");
    WRITES(to, length + 1, "strcpy");
    return real_move(to, from, length + 1);
}

CHECKED char *stpcpy(char *to, const char *from)
{
    size_t length;
    TEXT(length, from, "stpcpy");
    WRITES(to, length + 1, "stpcpy");
    return (char *)real_move(to, from, length + 1) + length;
}

CHECKED char *strncpy(char *to, const char *from, size_t bytes)
{
    size_t length;
    TEXT_MOST(length, from, bytes, "strncpy");
    WRITES(to, bytes, "strncpy");
    real_move(to, from, length);
    real_set(to + length, '\0', bytes - length);
    return to;
}

CHECKED char *stpncpy(char *to, const char *from, size_t bytes)
{
    size_t length;
    TEXT_MOST(length, from, bytes, "stpncpy");
    WRITES(to, bytes, "stpncpy");
    real_move(to, from, length);
    real_set(to + length, '\0', bytes - length);
    return to + length;
}

/* Behind the text that is there already. */
#define APPENDS(to, before, length, function)                          \
    do {                                                               \
        if (unlikely(room_of(to, true) < (before) + (length) + 1))     \
            TELL(to, true, function);                                  \
    } while (0)

CHECKED char *strcat(char *to, const char *from)
{
    size_t before, length;
    TEXT(before, to, "strcat");
    TEXT(length, from, "strcat");
    APPENDS(to, before, length, "strcat");
    real_move(to + before, from, length + 1);
    return to;
}

CHECKED char *strncat(char *to, const char *from, size_t most)
{
    size_t before, length;
    TEXT(before, to, "strncat");
    TEXT_MOST(length, from, most, "strncat");
    APPENDS(to, before, length, "strncat");
    real_move(to + before, from, length);
    to[before + length] = '\0';
    return to;
}

#ifdef __GLIBC__
CHECKED char *__strcpy_chk(char *to, const char *from, size_t known)
{
    size_t length;
    TEXT(length, from, "strcpy");
    WRITES(to, length + 1, "strcpy");
    return THE_REAL(__strcpy_chk)(to, from, known);
}

CHECKED char *__stpcpy_chk(char *to, const char *from, size_t known)
{
    size_t length;
    TEXT(length, from, "stpcpy");
    WRITES(to, length + 1, "stpcpy");
    return THE_REAL(__stpcpy_chk)(to, from, known);
}

CHECKED char *__strncpy_chk(char *to, const char *from, size_t bytes, size_t known)
{
    size_t length;
    TEXT_MOST(length, from, bytes, "strncpy");
    WRITES(to, bytes, "strncpy");
    return THE_REAL(__strncpy_chk)(to, from, bytes, known);
}

CHECKED char *__stpncpy_chk(char *to, const char *from, size_t bytes, size_t known)
{
    size_t length;
    TEXT_MOST(length, from, bytes, "stpncpy");
    WRITES(to, bytes, "stpncpy");
    return THE_REAL(__stpncpy_chk)(to, from, bytes, known);
}

CHECKED char *__strcat_chk(char *to, const char *from, size_t known)
{
    size_t before, length;
    TEXT(before, to, "strcat");
    TEXT(length, from, "strcat");
    APPENDS(to, before, length, "strcat");
    return THE_REAL(__strcat_chk)(to, from, known);
}

CHECKED char *__strncat_chk(char *to, const char *from, size_t most, size_t known)
{
    size_t before, length;
    TEXT(before, to, "strncat");
    TEXT_MOST(length, from, most, "strncat");
    APPENDS(to, before, length, "strncat");
    return THE_REAL(__strncat_chk)(to, from, most, known);
}
#endif
