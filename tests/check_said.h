/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* check_said.h -- what code under test says on standard error, as a string.
 *
 *     said_begin();  ...;  ck_assert_str_eq(said_end(), "privheap: ...\n");
 */
#ifndef CHECK_SAID_H
#define CHECK_SAID_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emulated.h"

static char said_text[8192];
static int said_stderr = -1; /* the real one, while it is replaced */

static inline void said_begin(void)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    said_stderr = dup(STDERR_FILENO);
    ck_assert_int_eq(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    fclose(file);
}

static inline const char *said_end(void)
{
    ssize_t bytes = pread(STDERR_FILENO, said_text, sizeof said_text - 1, 0);
    dup2(said_stderr, STDERR_FILENO);
    close(said_stderr);
    ck_assert_int_ge(bytes, 0);
    said_text[bytes] = '\0';
    emulated_text_cut(said_text); /* of a child */
    return said_text;
}

#endif
