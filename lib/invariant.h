/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* invariant.h -- what must be true, checked at the level that ./configure --enable-debug chose. */
#ifndef PH_INVARIANT_H
#define PH_INVARIANT_H

#include <stddef.h>

#ifndef PH_DEBUG
#define PH_DEBUG 0
#endif

#define CHECK_AT(level, cond) \
    ((PH_DEBUG >= (level) && !(cond)) ? ph_check_failed(#cond, __FILE__, __LINE__) : (void)0)
#define CHECK_CALLER(cond) CHECK_AT(1, cond)   /* what our caller promised        */
#define CHECK_INTERNAL(cond) CHECK_AT(2, cond) /* what we promise ourselves, O(1) */
#define CHECK_COSTLY(cond) CHECK_AT(3, cond)   /* walks lists                     */

void ph_check_failed(const char *cond, const char *file, int line) __attribute__((noreturn, cold));

/* What a report can say: diagnostics.def. */
enum diagnostic {
#define DIAGNOSTIC(number, name, words) DIAG_##name = number,
#include "diagnostics.def"
#undef DIAGNOSTIC
};

/* The program damaged the heap: report what, at which block, of how many bytes (SIZE_MAX: unknown), then end the
 * process by SIGABRT. */
void ph_corrupt(enum diagnostic kind, const void *block, size_t bytes) __attribute__((noreturn, cold));

/* The same; but in tolerant mode the report is written once for each place, and the caller goes on. */
void ph_incident(enum diagnostic kind, const void *block, size_t bytes) __attribute__((cold));

#endif
