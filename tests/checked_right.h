/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * checked_right.h -- for checked.c: programs that name more memory than they touch, and are correct. */
#ifndef PH_TESTS_CHECKED_RIGHT_H
#define PH_TESTS_CHECKED_RIGHT_H

#include <stdbool.h>

void need(bool condition); /* else the process ends with 9 */

struct right {
    const char *name;
    void (*act)(void);
};
extern const struct right rights[]; /* the last has no name */

#endif
