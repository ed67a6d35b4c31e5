/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* checkfile.c -- functions of stdio that are given memory, and texts that are put together in it.
 *
 * Owns:    nothing.  Calls: libc's of the same names.  Locks: none.
 * Why:     what was read or put together is known when it has been: most of it in libc's buffer first, whose copying a
 *          guard may stop before that.  Large pieces go between the program's memory and the kernel.
 * Source:  fread(3), fgets(3), fputs(3), snprintf(3). */
#include "checked.h"

#include <errno.h>

int sprintf(char *to, const char *format, ...);
int snprintf(char *to, size_t bytes, const char *format, ...);

/* ---- pieces ----------------------------------------------------------------------------------------- */

INLINE size_t product(size_t bytes, size_t count)
{
    size_t all;
    return unlikely(__builtin_mul_overflow(bytes, count, &all)) ? SIZE_MAX : all;
}

/* With less room than was asked for: the call, and whether the kernel refused the memory. */
#define FAULTED(faulted, call)            \
    do {                                  \
        const int saved = errno;          \
        errno = 0;                        \
        call;                             \
        (faulted) = errno == EFAULT;      \
        if (errno == 0)                   \
            errno = saved;                \
    } while (0)

#define FREAD(call, to, bytes, count, function)                          \
    do {                                                                 \
        const size_t room = room_of(to, true);                           \
        size_t done;                                                     \
        bool faulted;                                                    \
        if (likely(room >= product(bytes, count)))                       \
            return call;                                                 \
        FAULTED(faulted, done = call);                                   \
        if (faulted || product(bytes, done) > room)                      \
            TELL(to, true, function);                                    \
        return done;                                                     \
    } while (0)

#define FWRITE(call, from, bytes, count, function)                       \
    do {                                                                 \
        size_t done;                                                     \
        bool faulted;                                                    \
        if (likely(room_of(from, false) >= product(bytes, count)))       \
            return call;                                                 \
        FAULTED(faulted, done = call);                                   \
        if (faulted || done > 0)                                         \
            TELL(from, false, function);                                 \
        return done;                                                     \
    } while (0)

CHECKED size_t fread(void *to, size_t bytes, size_t count, void *file)
{
    FREAD(THE_REAL(fread)(to, bytes, count, file), to, bytes, count, "fread");
}

CHECKED size_t fwrite(const void *from, size_t bytes, size_t count, void *file)
{
    FWRITE(THE_REAL(fwrite)(from, bytes, count, file), from, bytes, count, "fwrite");
}

/* ---- lines ------------------------------------------------------------------------------------------ */

/* A line with a zero in it may have been longer than it looks: it is taken for what it looks like. */
#define FGETS(call, to, bytes, function)                                                    \
    do {                                                                                    \
        const size_t room = room_of(to, true);                                              \
        char *line = call;                                                                  \
        if (unlikely(line != NULL && room < (size_t)(bytes) && real_length(line, room) == room)) \
            TELL(to, true, function);                                                       \
        return line;                                                                        \
    } while (0)

CHECKED char *fgets(char *to, int bytes, void *file)
{
    FGETS(THE_REAL(fgets)(to, bytes, file), to, bytes, "fgets");
}

#define ENDS(text, function)                                                   \
    do {                                                                       \
        const size_t room = room_of(text, false);                              \
        if (unlikely(room != SIZE_MAX && real_length(text, room) == room))     \
            TELL(text, false, function);                                       \
    } while (0)

CHECKED int fputs(const char *text, void *file)
{
    ENDS(text, "fputs");
    return THE_REAL(fputs)(text, file);
}

CHECKED int puts(const char *text)
{
    ENDS(text, "puts");
    return THE_REAL(puts)(text);
}

/* ---- putting together -------------------------------------------------------------------------------- */

/* A zero is put in any case, where there is room for a byte at all. */
#define PRINTED(result, call, to, bytes, function)                             \
    do {                                                                       \
        const size_t room = room_of(to, true);                                 \
        if (unlikely(room == 0 && (bytes) > 0))                                \
            TELL(to, true, function);                                          \
        (result) = call;                                                       \
        if (unlikely((result) >= 0 && room < lesser(bytes, (size_t)(result) + 1))) \
            TELL(to, true, function);                                          \
    } while (0)

CHECKED int vsprintf(char *to, const char *format, va_list arguments)
{
    int length;
    PRINTED(length, THE_REAL(vsprintf)(to, format, arguments), to, SIZE_MAX, "vsprintf");
    return length;
}

CHECKED int vsnprintf(char *to, size_t bytes, const char *format, va_list arguments)
{
    int length;
    PRINTED(length, THE_REAL(vsnprintf)(to, bytes, format, arguments), to, bytes, "vsnprintf");
    return length;
}

CHECKED int sprintf(char *to, const char *format, ...)
{
    va_list arguments;
    int length;
    va_start(arguments, format);
    PRINTED(length, THE_REAL(vsprintf)(to, format, arguments), to, SIZE_MAX, "sprintf");
    va_end(arguments);
    return length;
}

CHECKED int snprintf(char *to, size_t bytes, const char *format, ...)
{
    va_list arguments;
    int length;
    va_start(arguments, format);
    PRINTED(length, THE_REAL(vsnprintf)(to, bytes, format, arguments), to, bytes, "snprintf");
    va_end(arguments);
    return length;
}

#ifdef __GLIBC__
int __sprintf_chk(char *to, int flag, size_t known, const char *format, ...);
int __snprintf_chk(char *to, size_t bytes, int flag, size_t known, const char *format, ...);

CHECKED int __vsprintf_chk(char *to, int flag, size_t known, const char *format, va_list arguments)
{
    int length;
    PRINTED(length, THE_REAL(__vsprintf_chk)(to, flag, known, format, arguments), to, SIZE_MAX, "vsprintf");
    return length;
}

CHECKED int __vsnprintf_chk(char *to, size_t bytes, int flag, size_t known, const char *format, va_list arguments)
{
    int length;
    PRINTED(length, THE_REAL(__vsnprintf_chk)(to, bytes, flag, known, format, arguments), to, bytes, "vsnprintf");
    return length;
}

CHECKED int __sprintf_chk(char *to, int flag, size_t known, const char *format, ...)
{
    va_list arguments;
    int length;
    va_start(arguments, format);
    PRINTED(length, THE_REAL(__vsprintf_chk)(to, flag, known, format, arguments), to, SIZE_MAX, "sprintf");
    va_end(arguments);
    return length;
}

CHECKED int __snprintf_chk(char *to, size_t bytes, int flag, size_t known, const char *format, ...)
{
    va_list arguments;
    int length;
    va_start(arguments, format);
    PRINTED(length, THE_REAL(__vsnprintf_chk)(to, bytes, flag, known, format, arguments), to, bytes, "snprintf");
    va_end(arguments);
    return length;
}

CHECKED size_t fread_unlocked(void *to, size_t bytes, size_t count, void *file)
{
    FREAD(THE_REAL(fread_unlocked)(to, bytes, count, file), to, bytes, count, "fread");
}

CHECKED size_t fwrite_unlocked(const void *from, size_t bytes, size_t count, void *file)
{
    FWRITE(THE_REAL(fwrite_unlocked)(from, bytes, count, file), from, bytes, count, "fwrite");
}

CHECKED size_t __fread_chk(void *to, size_t known, size_t bytes, size_t count, void *file)
{
    FREAD(THE_REAL(__fread_chk)(to, known, bytes, count, file), to, bytes, count, "fread");
}

CHECKED size_t __fread_unlocked_chk(void *to, size_t known, size_t bytes, size_t count, void *file)
{
    FREAD(THE_REAL(__fread_unlocked_chk)(to, known, bytes, count, file), to, bytes, count, "fread");
}

CHECKED char *fgets_unlocked(char *to, int bytes, void *file)
{
    FGETS(THE_REAL(fgets_unlocked)(to, bytes, file), to, bytes, "fgets");
}

CHECKED char *__fgets_chk(char *to, size_t known, int bytes, void *file)
{
    FGETS(THE_REAL(__fgets_chk)(to, known, bytes, file), to, bytes, "fgets");
}

CHECKED char *__fgets_unlocked_chk(char *to, size_t known, int bytes, void *file)
{
    FGETS(THE_REAL(__fgets_unlocked_chk)(to, known, bytes, file), to, bytes, "fgets");
}

CHECKED int fputs_unlocked(const char *text, void *file)
{
    ENDS(text, "fputs");
    return THE_REAL(fputs_unlocked)(text, file);
}
#endif
