/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stressed_io.c -- libprivheap-stress.so: the functions of libc that have the kernel read and write blocks.
 *
 * Calls:   access.c, as stressed.c does.
 * Always:  after the call: so much was read or written as it says, which may be less than there was room for.  Where the
 *          kernel refused the address it is all that was asked for.  errno is the call's.
 * Why:     a guard is no fault there: the call fails, or is short, and programs overlook that; what is thrown away
 *          is not even looked at. */
#include "stressed.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* How much of it the call touched. */
static size_t touched(ssize_t result, size_t bytes)
{
    return result >= 0 ? (size_t)result : errno == EFAULT ? bytes : 0;
}

static ssize_t has_read(const void *from, size_t bytes, ssize_t result, const char *function)
{
    const int error = errno;

    reads(from, touched(result, bytes), function);
    errno = error;
    return result;
}

/* What a peek says may be more than there was room for. */
static ssize_t has_written(void *to, size_t bytes, ssize_t result, const char *function)
{
    const int error = errno;
    const size_t some = touched(result, bytes);

    writes(to, some < bytes ? some : bytes, function);
    errno = error;
    return result;
}

EXPORT ssize_t read(int from, void *to, size_t bytes)
{
    return has_written(to, bytes, NEXT(read)(from, to, bytes), "read");
}

EXPORT ssize_t pread(int from, void *to, size_t bytes, off_t at)
{
    return has_written(to, bytes, NEXT(pread)(from, to, bytes, at), "pread");
}

EXPORT ssize_t write(int to, const void *from, size_t bytes)
{
    return has_read(from, bytes, NEXT(write)(to, from, bytes), "write");
}

EXPORT ssize_t pwrite(int to, const void *from, size_t bytes, off_t at)
{
    return has_read(from, bytes, NEXT(pwrite)(to, from, bytes, at), "pwrite");
}

EXPORT ssize_t recv(int from, void *to, size_t bytes, int flags)
{
    return has_written(to, bytes, NEXT(recv)(from, to, bytes, flags), "recv");
}

EXPORT ssize_t send(int to, const void *from, size_t bytes, int flags)
{
    return has_read(from, bytes, NEXT(send)(to, from, bytes, flags), "send");
}

EXPORT size_t fread(void *restrict to, size_t each, size_t count, FILE *restrict stream)
{
    const size_t done = NEXT(fread)(to, each, count, stream);

    has_written(to, SIZE_MAX, (ssize_t)(done * each), "fread");
    return done;
}

EXPORT size_t fwrite(const void *restrict from, size_t each, size_t count, FILE *restrict stream)
{
    const size_t done = NEXT(fwrite)(from, each, count, stream);

    has_read(from, 0, (ssize_t)(done * each), "fwrite");
    return done;
}

#ifdef __GLIBC__

EXPORT ssize_t pread64(int from, void *to, size_t bytes, off64_t at)
{
    return has_written(to, bytes, NEXT(pread64)(from, to, bytes, at), "pread");
}

EXPORT ssize_t pwrite64(int to, const void *from, size_t bytes, off64_t at)
{
    return has_read(from, bytes, NEXT(pwrite64)(to, from, bytes, at), "pwrite");
}

#endif
