/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* verb_options.h -- the command line of a verb that has a table of switches, VERB.def: reading it, its values, its help.
 *
 * A verb includes its table twice with ROW(word, name, argument, help): for an enum of the words, and for the rows. */
#ifndef PH_VERB_OPTIONS_H
#define PH_VERB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct verb_row {
    const char *name, *argument, *help; /* argument "": it takes none; "[FILE]": it need not have one */
};
struct verb_options {
    const char *verb;             /* as messages have it */
    const struct verb_row *rows;
    unsigned count, help;         /* which of them is --help */
    void (*print_help)(FILE *out);
    int (*take)(void *settings, unsigned which, const char *text); /* 0, or an exit code after a complaint */
};

/* Take the switches before the program; -1 to go on with it at optind, else the exit code.  That there is a program, too. */
int ph_verb_options(const struct verb_options *vo, int argc, char **argv, void *settings);
void ph_verb_rows(const struct verb_options *vo, FILE *out); /* for its help */

/* ---- values: 0, or EXIT_OWN_ERROR after a complaint -------------------------- */

int ph_verb_bad(const struct verb_options *vo, unsigned which, const char *text, const char *wanted);
int ph_verb_number(const struct verb_options *vo, unsigned which, const char *text, unsigned least, unsigned most, unsigned *to);
int ph_verb_seconds(const struct verb_options *vo, unsigned which, const char *text, double least, double *to);

/* A file that can be written; - is standard output if `may_be_output`. */
int ph_verb_file(const struct verb_options *vo, unsigned which, const char *file, bool may_be_output, const char **to);

/* ---- such a file -------------------------------------------------------------- */

bool ph_verb_is_output(const char *file);                              /* standard output; NULL is not */
FILE *ph_verb_open(const char *verb, const char *file);                /* NULL after a complaint */
bool ph_verb_close(const char *verb, const char *file, FILE *out);     /* false after a complaint: not all was written */

#endif
