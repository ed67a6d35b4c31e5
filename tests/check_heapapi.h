/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_heapapi.h -- what the files of the suites "heapapi" and "walk" share. */
#ifndef CHECK_HEAPAPI_H
#define CHECK_HEAPAPI_H

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_process.h"
#include "windows.h"

/* A last error that nobody sets: ASK(call) shows whether the call left it alone. */
#define SENTINEL              0xBADC0DE5u
#define ASK(call)             (SetLastError(SENTINEL), (call))
#define ck_assert_last(error) ck_assert_uint_eq(GetLastError(), (error))

void check_heapapi_add_blocks(Suite *suite);
void check_heapapi_add_bad(Suite *suite);

#endif
