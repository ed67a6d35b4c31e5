/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* settings.h -- an option as people write it: its name, what value it takes, its variable. */
#ifndef PH_SETTINGS_H
#define PH_SETTINGS_H

#include <stdbool.h>

#include "locate.h"
#include "options.h"

enum {
    SETTING_NAME_BYTES = 48,
    SETTING_VALUE_BYTES = 2 * LOCATE_PATH_BYTES, /* a path behind the path of the current folder */
};

/* MAX_SIZE -> max-size */
void ph_setting_name(enum option_id which, char name[SETTING_NAME_BYTES]);

/* The option called so, in any case and with '-' for '_'; OPT_COUNT when none is. */
enum option_id ph_setting_called(const char *name);

/* Does the option take that text (NULL: none was given)?  false: *v has exit_code and a sentence
 * that begins with `dashes` and the name. */
bool ph_setting_parse(enum option_id which, const char *text, const char *dashes, int exit_code,
                      struct verdict *v);

/* The same, with *value as the program must get it: a file is named from where we stand, because
 * the program, or its children, may stand elsewhere; and it must be possible to write there. */
bool ph_setting_take(enum option_id which, const char *text, const char *dashes, int exit_code,
                     char value[SETTING_VALUE_BYTES], struct verdict *v);

/* Put it into the environment; false and *v when that fails. */
bool ph_setting_export(enum option_id which, const char *value, struct verdict *v);

/* What the environment says: NULL when it says nothing, as an empty variable does. */
const char *ph_setting_given(enum option_id which);

/* `file` from where we stand, into path[SETTING_VALUE_BYTES]. */
bool ph_path_absolute(const char *file, char path[SETTING_VALUE_BYTES]);

#endif
