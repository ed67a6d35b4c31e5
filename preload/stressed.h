/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stressed.h -- what the files of libprivheap-stress.so share: how one of libc's functions is found behind ours. */
#ifndef PH_PRELOAD_STRESSED_H
#define PH_PRELOAD_STRESSED_H

#include <dlfcn.h>
#include <stddef.h>

#include "access.h"

#define EXPORT __attribute__((visibility("default")))

/* libc's own, looked up at its first call: constructors of other libraries come before any of ours. */
#define NEXT(name)                                                            \
    ({                                                                        \
        static void *ph_kept;                                                 \
        void *ph_now = __atomic_load_n(&ph_kept, __ATOMIC_RELAXED);           \
        if (__builtin_expect(ph_now == NULL, 0)) {                            \
            ph_now = dlsym(RTLD_NEXT, #name);                                 \
            __atomic_store_n(&ph_kept, ph_now, __ATOMIC_RELAXED);             \
        }                                                                     \
        (__typeof__(&name))ph_now;                                            \
    })

static inline void reads(const void *from, size_t bytes, const char *function)
{
    if (privheap_access != NULL)
        privheap_access(from, bytes, false, function);
}

static inline void writes(void *to, size_t bytes, const char *function)
{
    if (privheap_access != NULL)
        privheap_access(to, bytes, true, function);
}

#endif
