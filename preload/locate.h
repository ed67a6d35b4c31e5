/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* locate.h -- where the program and the preload object are. */
#ifndef PH_LOCATE_H
#define PH_LOCATE_H

#include <limits.h>
#include <stdbool.h>

enum { LOCATE_PATH_BYTES = PATH_MAX };

/* Why a program is not started: the exit code, and the rest of the sentence
 * "privheap run: ...". */
struct verdict {
    int exit_code;
    char why[1536];
};

/* Write the sentence and the code; false, so that callers can return it. */
bool ph_verdict(struct verdict *v, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The file that execvp would start for `name`, into path[LOCATE_PATH_BYTES].  It exists, is a
 * regular file and may be executed; else false and *v says why. */
bool ph_locate_program(const char *name, char *path, struct verdict *v);

/* The preload object that belongs to this command, into path[LOCATE_PATH_BYTES]: beside the
 * command (build tree), else in lib next to its bin (installed anywhere), else where configure
 * said.  false and *v when it is missing or LD_PRELOAD cannot name it. */
bool ph_locate_object(char *path, struct verdict *v);

#endif
