/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* rulesmatch.c -- which rules are a program's, and which of them win.
 *
 * Owns:    struct program_names, struct rules_choice; where the files are.
 * Calls:   rulesfile.c, settings.c.  Locks: none: a file is replaced as a whole.
 * Why:     the order is one number, so that `rules show` and run cannot differ: your file before
 *          the system's, then path before name before pattern, then the later line. */
#include "rules.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "command.h"

enum { KIND_PATTERN, KIND_NAME, KIND_PATH, KINDS }; /* the later wins */
enum { COMPLAINTS_MOST = 3 };

bool ph_rules_are_off(void)
{
    return getauxval(AT_SECURE) != 0;
}

/* ---- the files --------------------------------------------------------- */

/* Source: the XDG base directory specification, which has a relative path ignored. */
void ph_rules_places(struct rules_file files[RULES_PLACES])
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *user = files[RULES_USER].path;
    int bytes = 0;
    snprintf(files[RULES_SYSTEM].path, SETTING_VALUE_BYTES, "%s", RULES_SYSTEM_FILE);
    if (config != NULL && config[0] == '/') bytes = snprintf(user, LOCATE_PATH_BYTES, "%s/privheap/rules", config);
    else if (home != NULL && home[0] == '/')
        bytes = snprintf(user, LOCATE_PATH_BYTES, "%s/.config/privheap/rules", home);
    if (bytes >= LOCATE_PATH_BYTES) user[0] = '\0';
}

void ph_rules_read_all(struct rules_file files[RULES_PLACES])
{
    for (int i = 0; i < RULES_PLACES; i++)
        if (files[i].path[0] != '\0') ph_rules_read(&files[i]);
}

/* ---- the program ------------------------------------------------------- */

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* `path` with the links of its folder followed; "" when the folder is not there. */
static void follow_folder(const char *path, char followed[LOCATE_PATH_BYTES])
{
    char folder[SETTING_VALUE_BYTES], real[PATH_MAX];
    const char *name = name_of(path);
    snprintf(folder, sizeof folder, "%.*s", (int)(name - path), path);
    followed[0] = '\0';
    if (name == path || realpath(folder, real) == NULL) return;
    int bytes = snprintf(followed, LOCATE_PATH_BYTES, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
    if (bytes >= LOCATE_PATH_BYTES) followed[0] = '\0';
}

void ph_rules_names(const char *path, struct program_names *names)
{
    if (!ph_path_absolute(path, names->found)) snprintf(names->found, sizeof names->found, "%s", path);
    follow_folder(names->found, names->in_folder);
    if (realpath(names->found, names->resolved) == NULL) names->resolved[0] = '\0';
}

static int kind_of(const char *program)
{
    if (strpbrk(program, "*?[\\") != NULL) return KIND_PATTERN;
    return strchr(program, '/') != NULL ? KIND_PATH : KIND_NAME;
}

/* A path is compared with its own folder followed as well: /bin/ls is /usr/bin/ls where /bin is a
 * link.  Not its last part: that would make one of all the names of a program like busybox. */
static bool path_matches(const char *program, const struct program_names *names)
{
    char followed[LOCATE_PATH_BYTES];
    follow_folder(program, followed);
    const char *const spelled[] = { program, followed };
    for (int i = 0; i < 2; i++) {
        if (spelled[i][0] == '\0') continue;
        if (strcmp(spelled[i], names->found) == 0 || strcmp(spelled[i], names->in_folder) == 0) return true;
        if (strcmp(spelled[i], names->resolved) == 0) return true;
    }
    return false;
}

bool ph_rules_matches(const char *program, const struct program_names *names)
{
    const char *const paths[] = { names->found, names->in_folder, names->resolved };
    int kind = kind_of(program);
    if (kind == KIND_PATH) return path_matches(program, names);
    bool is_whole = strchr(program, '/') != NULL;
    for (int i = 0; i < 3; i++) {
        const char *text = is_whole ? paths[i] : name_of(paths[i]);
        if (*text == '\0') continue;
        if (kind == KIND_NAME ? strcmp(program, text) == 0 : fnmatch(program, text, 0) == 0) return true;
    }
    return false;
}

/* ---- what applies ------------------------------------------------------ */

void ph_rules_choose(const struct rules_file files[RULES_PLACES], const struct program_names *names,
                     struct rules_choice choices[OPT_COUNT])
{
    memset(choices, 0, OPT_COUNT * sizeof *choices);
    for (unsigned place = 0; place < RULES_PLACES; place++)
        for (size_t i = 0; i < files[place].count; i++) {
            const struct rules_line *line = &files[place].lines[i];
            if (line->kind != LINE_SETTING || !ph_rules_matches(line->program, names)) continue;
            unsigned rank = place * KINDS + (unsigned)kind_of(line->program);
            struct rules_choice *choice = &choices[line->which];
            if (choice->line == NULL || rank >= choice->rank)
                *choice = (struct rules_choice){ .file = &files[place], .line = line, .rank = rank };
        }
}

static bool concerns(const struct rules_line *line, const struct program_names *names)
{
    if (line->kind != LINE_BROKEN || line->why == NULL) return false;
    return names == NULL || line->program == NULL || ph_rules_matches(line->program, names);
}

void ph_rules_complain(const char *verb, const struct rules_file files[RULES_PLACES],
                       const struct program_names *names, unsigned most)
{
    unsigned said = 0;
    for (unsigned place = 0; place < RULES_PLACES; place++) {
        const struct rules_file *file = &files[place];
        if (file->why[0] != '\0') ph_complain(verb, 0, "%s is ignored: it %s", file->path, file->why);
        for (size_t i = 0; i < file->count; i++) {
            const struct rules_line *line = &file->lines[i];
            if (concerns(line, names) && said++ < most)
                ph_complain(verb, 0, "%s:%u: %s", file->path, line->number, line->why);
        }
    }
    if (said > most)
        ph_complain(verb, 0, "%u more lines of rules are wrong; `privheap rules list` tells them", said - most);
}

static void apply_one(const char *verb, enum option_id which, const struct rules_choice *choice)
{
    char value[SETTING_VALUE_BYTES];
    struct verdict v;
    if (ph_setting_take(which, choice->line->value, "", EXIT_OWN_ERROR, value, &v)
        && ph_setting_export(which, value, &v))
        return;
    ph_complain(verb, 0, "%s:%u: %s", choice->file->path, choice->line->number, v.why);
}

void ph_rules_apply(const char *verb, const char *path)
{
    static struct rules_file files[RULES_PLACES];
    static struct program_names names; /* static: large */
    struct rules_choice choices[OPT_COUNT];
    if (ph_rules_are_off()) return;
    ph_rules_places(files);
    ph_rules_read_all(files);
    ph_rules_names(path, &names);
    ph_rules_complain(verb, files, &names, COMPLAINTS_MOST);
    ph_rules_choose(files, &names, choices);
    for (int i = 0; i < OPT_COUNT; i++)
        if (choices[i].line != NULL && ph_setting_given((enum option_id)i) == NULL)
            apply_one(verb, (enum option_id)i, &choices[i]);
}
