/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* options.h -- the run-time options of options.def: their values, and how text becomes one. */
#ifndef PH_OPTIONS_H
#define PH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct message;

/* Not `enum option`: <getopt.h> has a struct of that name. */
enum option_id {
#define OPTION(name, type, value, min, max, help) OPT_##name,
#include "options.def"
#undef OPTION
    OPT_COUNT
};

enum option_type { OPTION_size, OPTION_ms, OPTION_flag, OPTION_bits, OPTION_number, OPTION_mode, OPTION_when, OPTION_path, OPTION_fail, OPTION_chaos, OPTION_stress };
#define OPTION_IS_PARTS(type) ((type) == OPTION_fail || (type) == OPTION_chaos || (type) == OPTION_stress)
#define OPTION_IS_TEXT(type) ((type) == OPTION_path || OPTION_IS_PARTS(type))

/* Values of option MODE. */
enum mode { MODE_DEFAULT, MODE_SECURE, MODE_TOLERANT, MODE_COUNT };
/* Values of option THP. */
enum { THP_AUTO, THP_NEVER, THP_ALWAYS, THP_COUNT };
extern uint32_t ph_mode; /* in force, once the options were read */
extern uint32_t ph_families; /* flag, likewise: FAMILY_CHECKS */

enum { OPTION_PATH_BYTES = 1024 }; /* the longest path, with its final NUL */

struct option_row {
    const char *name; /* as in options.def: MAX_SIZE */
    enum option_type type;
    uint64_t value; /* the default */
    uint64_t min, max; /* 0 is always allowed where the default is 0, and of a number */
    const char *help;
};

extern const struct option_row ph_option_rows[OPT_COUNT];

/* The value in force; options that were never read have their defaults. */
uint64_t ph_option(enum option_id which);
const char *ph_option_path(enum option_id which); /* of a text, too; NULL when not given */

/* The value that `text` spells for that option (a path: its length).  true, or false with *why
 * (a constant phrase such as "is not a size" or "is too large") and *value untouched. */
bool ph_option_parse(enum option_id which, const char *text, uint64_t *value, const char **why);

/* Append what the option takes: "bytes from 1m to 64t (k, m, g, t for units), or 0". */
void ph_option_allowed(struct message *m, enum option_id which);

/* Append the default as one would write it: "4m", "500"; nothing for a path. */
void ph_option_default(struct message *m, enum option_id which);

/* The row whose name is nearest to `name` (any case, '-' for '_'); OPT_COUNT when none is near. */
enum option_id ph_option_nearest(const char *name);

/* How many slips (a letter missing, added, changed, or two swapped) turn `given` into `known`,
 * in any case and with '-' for '_'; WORD_FAR when nobody means the one by the other. */
#define WORD_FAR (~0u)
unsigned ph_word_distance(const char *given, const char *known);

/* Take the values of the PRIVHEAP_ variables of an environment, defaults for the others.  A name
 * we do not know, or a value we cannot take, gets one line each and is otherwise ignored; an
 * empty value counts as not given.  Copies what it keeps.  Never allocates, never calls libc. */
void ph_options_read(char *const *environment);

#endif
