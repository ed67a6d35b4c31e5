/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* privheap.h -- the native face: what privheap offers beyond the Win32 functions of heapapi.h.
 *
 * For C99 and later and for C++11 and later. */
#ifndef PRIVHEAP_H
#define PRIVHEAP_H

/* The version of this header; compare with ph_version() for that of the library in use. */
#define PRIVHEAP_VERSION_MAJOR 0
#define PRIVHEAP_VERSION_MINOR 1
#define PRIVHEAP_VERSION_PATCH 0
#define PRIVHEAP_VERSION       "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The version of the library in use, as "major.minor.patch".  A constant: nobody frees it.  Never fails. */
const char *ph_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
