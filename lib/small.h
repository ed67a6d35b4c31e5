/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* small.h -- included last: what follows is made small, not fast.
 *
 * Why:     a process that does nothing still maps all our code.  Only the entrances of malloc and
 *          free (preload/malloc.c) gain from fast code; the mixed bench shows no difference for the
 *          rooms below, which are entered once in some dozens of operations. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
