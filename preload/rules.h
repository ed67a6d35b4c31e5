/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* rules.h -- settings kept per program, in files: what a file says, what applies, how it is changed.
 *
 * A file is lines: [PROGRAM] begins a section, OPTION = VALUE is a setting in it, # a comment; the
 * manual is privheap-rules(5).  What is read stays in memory until the process ends. */
#ifndef PH_RULES_H
#define PH_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "locate.h"
#include "options.h"
#include "settings.h"

#define RULES_SYSTEM_FILE "/etc/privheap/rules"

enum rules_place { RULES_SYSTEM, RULES_USER, RULES_PLACES }; /* the later wins */

enum line_kind {
    LINE_REST, /* a comment, or empty */
    LINE_SECTION, /* [PROGRAM] */
    LINE_SETTING, /* OPTION = VALUE, and good */
    LINE_BROKEN,
};

struct rules_line {
    enum line_kind kind;
    unsigned number; /* in the file, from 1; 0: not there yet */
    unsigned section; /* how many sections have begun by then */
    const char *program; /* whose section it is or begins; NULL before the first, or in a broken one */
    const char *name; /* the option as written; NULL when the line has none */
    enum option_id which; /* OPT_COUNT: it is not an option */
    const char *value;
    const char *why; /* broken: the sentence about it */
    const char *text; /* the whole line, without its newline */
    size_t bytes;
    bool is_gone; /* is not to be written back */
};

/* One file.  `why`: why none of it can be used; "" when it was read, or is not there. */
struct rules_file {
    char path[SETTING_VALUE_BYTES]; /* "": there is no such place */
    char why[256];
    bool is_there;
    mode_t mode;
    uid_t user;
    gid_t group;
    struct rules_line *lines;
    size_t count, room;
};

/* How a rule may name a program, each as an absolute path: as it was found, with the symbolic
 * links of its folder followed, and with all of them followed. */
struct program_names {
    char found[SETTING_VALUE_BYTES];
    char in_folder[LOCATE_PATH_BYTES];
    char resolved[LOCATE_PATH_BYTES];
};

/* The setting in force for one option, or none (line NULL). */
struct rules_choice {
    const struct rules_file *file;
    const struct rules_line *line;
    unsigned rank;
};

/* ---- rulesfile.c ------------------------------------------------------- */

/* Read file->path. */
void ph_rules_read(struct rules_file *file);

/* Put a line behind the first `before` lines; false when memory is out. */
bool ph_rules_insert(struct rules_file *file, size_t before, struct rules_line line);

/* What may stand in [ ]: NULL, or what is expected instead. */
const char *ph_rules_bad_program(const char *program);

/* A value that the program would take, but that a line of a file cannot hold: why, else NULL. */
const char *ph_rules_bad_value(const char *value);

/* The sentence about a word that is not the name of an option, into *v. */
bool ph_rules_unknown_option(const char *name, struct verdict *v);

/* ---- rulesmatch.c ------------------------------------------------------ */

/* Do we run with privileges that our caller lacks (AT_SECURE)?  Then no rules are read or written. */
bool ph_rules_are_off(void);

/* Where the files are, into files[].path. */
void ph_rules_places(struct rules_file files[RULES_PLACES]);

/* Read the files that there are. */
void ph_rules_read_all(struct rules_file files[RULES_PLACES]);

void ph_rules_names(const char *path, struct program_names *names);
bool ph_rules_matches(const char *program, const struct program_names *names);

/* For each option the setting that wins. */
void ph_rules_choose(const struct rules_file files[RULES_PLACES], const struct program_names *names,
                     struct rules_choice choices[OPT_COUNT]);

/* A line on standard error for each file and line that cannot be used: those that concern the
 * program, or all of them when `names` is NULL; no more than `most`. */
void ph_rules_complain(const char *verb, const struct rules_file files[RULES_PLACES],
                       const struct program_names *names, unsigned most);

/* Put what the rules say of the program at `path` into the environment, where that says nothing. */
void ph_rules_apply(const char *verb, const char *path);

/* ---- ruleschange.c ----------------------------------------------------- */

/* Lock and read the file for a change, of which nothing need be there yet if it may be `new`; its folder is made
 * where it is `usual`.  False and *v when it cannot be changed.  The lock ends with the process. */
enum rules_need { RULES_OLD, RULES_NEW, RULES_NEW_USUAL };
bool ph_rules_open(struct rules_file *file, enum rules_need need, struct verdict *v);

/* Give the program that setting; false when memory is out.  *is_new: there is something to write. */
bool ph_rules_set(struct rules_file *file, const char *program, enum option_id which, const char *value,
                  bool *is_new);

/* Take the setting called `name` away, or all of the program's when that is NULL.  How many. */
unsigned ph_rules_unset(struct rules_file *file, const char *program, const char *name);

/* Write the file anew: readers see the old one or the new one, whole. */
bool ph_rules_save(const struct rules_file *file, struct verdict *v);

#endif
