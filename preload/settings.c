/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* settings.c -- one option's name, value and variable, for whoever sets it: a switch of run, or a rule.
 *
 * Owns:    the words in which a value is refused.
 * Calls:   options.c to check values as the program will.  Locks: none.
 * Why:     a value that the program would ignore is refused here, where somebody reads it, in the
 *          same words wherever it was written. */
#include "settings.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "message.h"

enum { VARIABLE_BYTES = SETTING_NAME_BYTES + sizeof "PRIVHEAP_" };

void ph_setting_name(enum option_id which, char name[SETTING_NAME_BYTES])
{
    snprintf(name, SETTING_NAME_BYTES, "%s", ph_option_rows[which].name);
    for (; *name != '\0'; name++) {
        if (*name >= 'A' && *name <= 'Z') *name = (char)(*name + 32);
        if (*name == '_') *name = '-';
    }
}

enum option_id ph_setting_called(const char *name)
{
    int which = 0;
    while (which < OPT_COUNT && ph_word_distance(name, ph_option_rows[which].name) != 0) which++;
    return (enum option_id)which;
}

static bool bad_value(enum option_id which, const char *text, const char *wrong, const char *dashes,
                      int exit_code, struct verdict *v)
{
    char name[SETTING_NAME_BYTES];
    struct message allowed = { .used = 0 };
    ph_setting_name(which, name);
    ph_option_allowed(&allowed, which);
    if (text == NULL)
        return ph_verdict(v, exit_code, "%s%s needs a value: %.*s", dashes, name, (int)allowed.used,
                          allowed.text);
    return ph_verdict(v, exit_code, "%s%s: \"%.64s%s\" %s; it takes %.*s", dashes, name, text,
                      strlen(text) > 64 ? "..." : "", wrong, (int)allowed.used, allowed.text);
}

bool ph_setting_parse(enum option_id which, const char *text, const char *dashes, int exit_code,
                      struct verdict *v)
{
    uint64_t value;
    const char *wrong = NULL;
    if (text != NULL && ph_option_parse(which, text, &value, &wrong)) return true;
    return bad_value(which, text, wrong, dashes, exit_code, v);
}

bool ph_path_absolute(const char *file, char path[SETTING_VALUE_BYTES])
{
    char here[LOCATE_PATH_BYTES];
    if (file[0] != '/' && getcwd(here, sizeof here) == NULL) return false;
    int bytes = snprintf(path, SETTING_VALUE_BYTES, "%s%s%s", file[0] == '/' ? "" : here,
                         file[0] == '/' ? "" : "/", file);
    if (bytes < SETTING_VALUE_BYTES) return true;
    errno = ENAMETOOLONG;
    return false;
}

/* Can a file be written there?  What is wrong, else NULL. */
static const char *unwritable(const char *path)
{
    char copy[SETTING_VALUE_BYTES];
    struct stat file;
    if (stat(path, &file) == 0 && S_ISDIR(file.st_mode)) return strerror(EISDIR);
    if (access(path, W_OK) == 0) return NULL;
    if (errno != ENOENT) return strerror(errno);
    snprintf(copy, sizeof copy, "%s", path);
    return access(dirname(copy), W_OK | X_OK) == 0 ? NULL : strerror(errno);
}

bool ph_setting_take(enum option_id which, const char *text, const char *dashes, int exit_code,
                     char value[SETTING_VALUE_BYTES], struct verdict *v)
{
    if (!ph_setting_parse(which, text, dashes, exit_code, v)) return false;
    if (ph_option_rows[which].type != OPTION_path) {
        int bytes = snprintf(value, SETTING_VALUE_BYTES, "%s", text);
        return bytes < SETTING_VALUE_BYTES || bad_value(which, text, "is too long", dashes, exit_code, v);
    }
    if (!ph_path_absolute(text, value))
        return ph_verdict(v, exit_code, "cannot tell the current directory: %s", strerror(errno));
    if (!ph_setting_parse(which, value, dashes, exit_code, v)) return false;
    const char *wrong = unwritable(value);
    return wrong == NULL || ph_verdict(v, exit_code, "cannot write to %s: %s", text, wrong);
}

static const char *variable_of(enum option_id which, char variable[VARIABLE_BYTES])
{
    snprintf(variable, VARIABLE_BYTES, "PRIVHEAP_%s", ph_option_rows[which].name);
    return variable;
}

bool ph_setting_export(enum option_id which, const char *value, struct verdict *v)
{
    char variable[VARIABLE_BYTES];
    if (setenv(variable_of(which, variable), value, 1) == 0) return true;
    return ph_verdict(v, EXIT_OWN_ERROR, "cannot set %s: %s", variable, strerror(errno));
}

const char *ph_setting_given(enum option_id which)
{
    char variable[VARIABLE_BYTES];
    const char *text = getenv(variable_of(which, variable));
    return text == NULL || *text == '\0' ? NULL : text;
}
