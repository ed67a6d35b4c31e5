/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* checkwide.c -- the functions of wide characters.
 *
 * Owns:    nothing.  Calls: libc's of the same names.  Locks: none.
 * Source:  wmemcpy(3), wcslen(3), wcscpy(3). */
#include "checked.h"

enum { WIDE = sizeof(wchar_t) };

wchar_t *wmemcpy(wchar_t *to, const wchar_t *from, size_t count);
wchar_t *wmemmove(wchar_t *to, const wchar_t *from, size_t count);
wchar_t *wmempcpy(wchar_t *to, const wchar_t *from, size_t count);
wchar_t *wcscpy(wchar_t *to, const wchar_t *from);
wchar_t *wcsncpy(wchar_t *to, const wchar_t *from, size_t count);
wchar_t *wcscat(wchar_t *to, const wchar_t *from);

/* As TEXT_MOST, in characters. */
#define WIDE_MOST(length, text, most, function)                                      \
    do {                                                                             \
        const size_t room = room_of(text, false);                                    \
        const size_t whole = room == SIZE_MAX ? SIZE_MAX : room / WIDE;              \
        (length) = wide_length(text, lesser(whole, most));                           \
        if (unlikely((length) == whole && whole < (most))) {                         \
            TELL(text, false, function);                                             \
            (length) = wide_length(text, most);                                      \
        }                                                                            \
    } while (0)
#define WIDE_TEXT(length, text, function) WIDE_MOST(length, text, SIZE_MAX, function)

INLINE size_t wide_length(const wchar_t *text, size_t most)
{
    return most == SIZE_MAX ? THE_REAL(wcslen)(text) : THE_REAL(wcsnlen)(text, most);
}

/* Bytes; more than any block has where the product has no room in a word. */
INLINE size_t wide_bytes(size_t count)
{
    size_t bytes;
    return unlikely(__builtin_mul_overflow(count, (size_t)WIDE, &bytes)) ? SIZE_MAX : bytes;
}

CHECKED wchar_t *wmemcpy(wchar_t *to, const wchar_t *from, size_t count)
{
    WRITES(to, wide_bytes(count), "wmemcpy");
    READS(from, wide_bytes(count), "wmemcpy");
    return real_move(to, from, count * WIDE);
}

CHECKED wchar_t *wmemmove(wchar_t *to, const wchar_t *from, size_t count)
{
    WRITES(to, wide_bytes(count), "wmemmove");
    READS(from, wide_bytes(count), "wmemmove");
    return real_move(to, from, count * WIDE);
}

CHECKED wchar_t *wmempcpy(wchar_t *to, const wchar_t *from, size_t count)
{
    WRITES(to, wide_bytes(count), "wmempcpy");
    READS(from, wide_bytes(count), "wmempcpy");
    return (wchar_t *)real_move(to, from, count * WIDE) + count;
}

CHECKED wchar_t *wmemset(wchar_t *at, wchar_t value, size_t count)
{
    WRITES(at, wide_bytes(count), "wmemset");
    return THE_REAL(wmemset)(at, value, count);
}

CHECKED size_t wcslen(const wchar_t *text)
{
    size_t length;
    WIDE_TEXT(length, text, "wcslen");
    return length;
}

CHECKED size_t wcsnlen(const wchar_t *text, size_t most)
{
    size_t length;
    WIDE_MOST(length, text, most, "wcsnlen");
    return length;
}

CHECKED wchar_t *wcsdup(const wchar_t *text)
{
    size_t length;
    WIDE_TEXT(length, text, "wcsdup");
    (void)length;
    return THE_REAL(wcsdup)(text);
}

CHECKED wchar_t *wcscpy(wchar_t *to, const wchar_t *from)
{
    size_t length;
    WIDE_TEXT(length, from, "wcscpy");
    WRITES(to, (length + 1) * WIDE, "wcscpy");
    return real_move(to, from, (length + 1) * WIDE);
}

CHECKED wchar_t *wcsncpy(wchar_t *to, const wchar_t *from, size_t count)
{
    size_t length;
    WIDE_MOST(length, from, count, "wcsncpy");
    WRITES(to, wide_bytes(count), "wcsncpy");
    real_move(to, from, length * WIDE);
    real_set(to + length, 0, (count - length) * WIDE);
    return to;
}

CHECKED wchar_t *wcscat(wchar_t *to, const wchar_t *from)
{
    size_t before, length;
    WIDE_TEXT(before, to, "wcscat");
    WIDE_TEXT(length, from, "wcscat");
    if (unlikely(room_of(to, true) < (before + length + 1) * WIDE))
        TELL(to, true, "wcscat");
    real_move(to + before, from, (length + 1) * WIDE);
    return to;
}

#ifdef __GLIBC__
CHECKED wchar_t *__wmemcpy_chk(wchar_t *to, const wchar_t *from, size_t count, size_t known)
{
    WRITES(to, wide_bytes(count), "wmemcpy");
    READS(from, wide_bytes(count), "wmemcpy");
    return THE_REAL(__wmemcpy_chk)(to, from, count, known);
}

CHECKED wchar_t *__wmemmove_chk(wchar_t *to, const wchar_t *from, size_t count, size_t known)
{
    WRITES(to, wide_bytes(count), "wmemmove");
    READS(from, wide_bytes(count), "wmemmove");
    return THE_REAL(__wmemmove_chk)(to, from, count, known);
}

CHECKED wchar_t *__wmempcpy_chk(wchar_t *to, const wchar_t *from, size_t count, size_t known)
{
    WRITES(to, wide_bytes(count), "wmempcpy");
    READS(from, wide_bytes(count), "wmempcpy");
    return THE_REAL(__wmempcpy_chk)(to, from, count, known);
}

CHECKED wchar_t *__wmemset_chk(wchar_t *at, wchar_t value, size_t count, size_t known)
{
    WRITES(at, wide_bytes(count), "wmemset");
    return THE_REAL(__wmemset_chk)(at, value, count, known);
}

CHECKED wchar_t *__wcscpy_chk(wchar_t *to, const wchar_t *from, size_t known)
{
    size_t length;
    WIDE_TEXT(length, from, "wcscpy");
    WRITES(to, (length + 1) * WIDE, "wcscpy");
    return THE_REAL(__wcscpy_chk)(to, from, known);
}

CHECKED wchar_t *__wcsncpy_chk(wchar_t *to, const wchar_t *from, size_t count, size_t known)
{
    size_t length;
    WIDE_MOST(length, from, count, "wcsncpy");
    (void)length;
    WRITES(to, wide_bytes(count), "wcsncpy");
    return THE_REAL(__wcsncpy_chk)(to, from, count, known);
}

CHECKED wchar_t *__wcscat_chk(wchar_t *to, const wchar_t *from, size_t known)
{
    size_t before, length;
    WIDE_TEXT(before, to, "wcscat");
    WIDE_TEXT(length, from, "wcscat");
    if (unlikely(room_of(to, true) < (before + length + 1) * WIDE))
        TELL(to, true, "wcscat");
    return THE_REAL(__wcscat_chk)(to, from, known);
}
#endif
