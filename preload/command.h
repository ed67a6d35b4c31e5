/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* command.h -- what the verbs of the privheap command share. */
#ifndef PH_COMMAND_H
#define PH_COMMAND_H

#include <stdio.h>

/* Exit codes.  Those of `run` are env's and timeout's: a program's own codes end below them. */
enum {
    EXIT_USAGE = 2,
    EXIT_OWN_ERROR = 125,
    EXIT_CANNOT_EXECUTE = 126,
    EXIT_NOT_FOUND = 127,
};

/* One line on standard error, "privheap VERB: ..." (verb NULL: "privheap: ..."), with control
 * characters shown as '?'.  Returns `code`, so that callers can return it. */
int ph_complain(const char *verb, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Before something goes to standard error, say. */
void ph_output_flush(void);

/* Flush standard output: 0, or EXIT_OWN_ERROR after a complaint when not all was written. */
int ph_output_end(const char *verb);

/* Each verb NAME of verbs.def has ph_verb_NAME, which gets the words from its name on and
 * returns the exit code, and ph_help_NAME, which prints its help. */
#define VERB(name, caption)                   \
    int ph_verb_##name(int argc, char **argv); \
    void ph_help_##name(FILE *out);
#include "verbs.def"
#undef VERB

#endif
