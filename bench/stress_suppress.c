/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_suppress.c -- findings that somebody knows of already: a file of lines KIND:PATTERN.
 *
 * Owns:    the list of suppressions.
 * Calls:   explain.c for kinds.  Locks: none.
 * Always:  a line that cannot be understood ends the command before the program runs, with its number.
 * Why:     the pattern is one of a shell's, against the functions, files and modules of all three stacks: the one
 *          that tells a known bug from others may stand in any of them. */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "stress_verb.h"

#define WANTED "a line is KIND:PATTERN, such as PH112:*libfoo.so* or leak:parse_*"

static bool add(struct stress *st, unsigned kind, const char *pattern)
{
    struct suppression *more = realloc(st->suppressions, (st->suppression_count + 1) * sizeof *more);
    if (more == NULL) return false;
    st->suppressions = more;
    more[st->suppression_count] = (struct suppression){ kind, strdup(pattern) };
    return more[st->suppression_count++].pattern != NULL;
}

static void trim(char *text)
{
    size_t bytes = strlen(text);
    while (bytes > 0 && strchr(" \t\r\n", text[bytes - 1]) != NULL) text[--bytes] = '\0';
}

static int take_line(struct stress *st, char *line, unsigned number)
{
    const char *file = st->settings.suppress;
    trim(line);
    line += strspn(line, " \t");
    if (*line == '\0' || *line == '#') return 0;
    char *colon = strchr(line, ':');
    if (colon == NULL || colon[1] == '\0')
        return ph_complain(STRESS, EXIT_OWN_ERROR, "%s, line %u: \"%.64s\" has no pattern; " WANTED, file, number, line);
    *colon = '\0';
    const struct explanation *ex = ph_explanation_called(line);
    if (ex == NULL && strcmp(line, "*") != 0)
        return ph_complain(STRESS, EXIT_OWN_ERROR, "%s, line %u: \"%.64s\" is no kind: `privheap explain` lists them, * is every; " WANTED,
                           file, number, line);
    return add(st, ex != NULL ? ex->number : 0, colon + 1) ? 0 : ph_complain(STRESS, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
}

int ph_stress_suppressions(struct stress *st)
{
    const char *file = st->settings.suppress;
    char *line = NULL;
    size_t room = 0;
    int code = 0;
    if (file == NULL) return 0;
    FILE *in = fopen(file, "re");
    if (in == NULL) return ph_complain(STRESS, EXIT_OWN_ERROR, "cannot read %s: %s", file, strerror(errno));
    struct stat st_in;
    if (fstat(fileno(in), &st_in) != 0 || S_ISDIR(st_in.st_mode) || (S_ISCHR(st_in.st_mode) && strcmp(file, "/dev/null") != 0)) { /* which may never end */
        fclose(in);
        return ph_complain(STRESS, EXIT_OWN_ERROR, "cannot read %s: it is no file of lines; " WANTED, file);
    }
    errno = 0;
    for (unsigned number = 1; code == 0 && getline(&line, &room, in) >= 0; number++) code = take_line(st, line, number);
    if (code == 0 && ferror(in)) code = ph_complain(STRESS, EXIT_OWN_ERROR, "cannot read %s: %s", file, strerror(errno));
    free(line);
    fclose(in);
    return code;
}

/* ---- does one match? ------------------------------------------------------------- */

static bool is_matched(const char *pattern, const char *text) { return text != NULL && *text != '\0' && fnmatch(pattern, text, 0) == 0; }

static bool frame_matches(const char *pattern, const struct stress_run *run, uint64_t place)
{
    struct symbol_place at[SYMBOL_INLINED];
    unsigned count = ph_stress_places(run, place, at, SYMBOL_INLINED);
    for (unsigned i = 0; i < count; i++)
        if (is_matched(pattern, at[i].function) || is_matched(pattern, at[i].file) || is_matched(pattern, at[i].path)) return true;
    return is_matched(pattern, at[0].module) || is_matched(pattern, ph_stress_module(run, place));
}

static bool trace_matches(const char *pattern, const struct stress_run *run, const struct finding_trace *trace)
{
    for (uint32_t i = 0; i < trace->depth; i++)
        if (frame_matches(pattern, run, trace->place[i])) return true;
    return false;
}

bool ph_stress_is_suppressed(const struct stress *st, const struct stress_run *run, const struct finding *fi)
{
    for (unsigned i = 0; i < st->suppression_count; i++) {
        const struct suppression *su = &st->suppressions[i];
        if (su->kind != 0 && su->kind != fi->kind) continue;
        if (trace_matches(su->pattern, run, &fi->now) || trace_matches(su->pattern, run, &fi->allocated) ||
            trace_matches(su->pattern, run, &fi->freed))
            return true;
    }
    return false;
}
