/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oscall.h -- system calls without errno: for os.c and osproc.c, and nobody else. */
#ifndef PH_OSCALL_H
#define PH_OSCALL_H

#include <stdbool.h>
#include <sys/syscall.h>

/* The result, or a negative errno value. */

#if defined(__x86_64__)
static inline long os_call(long nr, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long os_call(long nr, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
static inline long os_call(long nr, long a, long b, long c, long d, long e, long f)
{
    const int saved = errno;
    long result = syscall(nr, a, b, c, d, e, f);
    if (result == -1)
        result = -errno;
    errno = saved;
    return result;
}
#endif

static inline bool os_failed(long result) { return (unsigned long)result > -4096UL; }

#endif
