/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* verb_options.c -- the command line of a verb that has a table of switches: reading it, its values, its help.
 *
 * Owns:    nothing.
 * Calls:   options.c for the nearest word.  Locks: none.
 * Why:     what can be wrong is told before the program runs, which may take minutes, and by every verb in the same
 *          words. */
#include "verb_options.h"

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "locate.h"
#include "options.h"

enum { LETTERS = 256, /* getopt_long's value of row 0; below it are letters */ ROWS_MOST = 64, SECONDS_MOST = 1000000 };

void ph_verb_rows(const struct verb_options *vo, FILE *out)
{
    for (unsigned i = 0; i < vo->count; i++) {
        const char *argument = vo->rows[i].argument;
        bool is_optional = *argument == '[';
        fprintf(out, "  --%s%s%s\n        %s\n", vo->rows[i].name, is_optional ? "[=" : *argument != '\0' ? "=" : "",
                argument + is_optional, vo->rows[i].help);
    }
}

/* ---- values ---------------------------------------------------------------- */

int ph_verb_bad(const struct verb_options *vo, unsigned which, const char *text, const char *wanted)
{
    return ph_complain(vo->verb, EXIT_OWN_ERROR, "--%s: \"%.64s%s\" %s", vo->rows[which].name, text,
                       strlen(text) > 64 ? "..." : "", wanted);
}

int ph_verb_number(const struct verb_options *vo, unsigned which, const char *text, unsigned least, unsigned most, unsigned *to)
{
    char *end, wanted[80];
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    bool is_number = *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
    snprintf(wanted, sizeof wanted, "is not a whole number from %u to %u", least, most);
    if (!is_number || value < least || value > most) return ph_verb_bad(vo, which, text, wanted);
    *to = (unsigned)value;
    return 0;
}

int ph_verb_seconds(const struct verb_options *vo, unsigned which, const char *text, double least, double *to)
{
    char *end, wanted[80];
    double value = strtod(text, &end);
    bool is_number = *text >= '0' && *text <= '9' && *end == '\0';
    snprintf(wanted, sizeof wanted, "is not a number of seconds, %g to %d", least, SECONDS_MOST);
    if (!is_number || !(value >= least && value <= SECONDS_MOST)) return ph_verb_bad(vo, which, text, wanted);
    *to = value;
    return 0;
}

/* ---- files ------------------------------------------------------------------- */

bool ph_verb_is_output(const char *file) { return file != NULL && strcmp(file, "-") == 0; }

/* Is there a folder to write the file into, and may we? */
int ph_verb_file(const struct verb_options *vo, unsigned which, const char *file, bool may_be_output, const char **to)
{
    char copy[LOCATE_PATH_BYTES];
    struct stat there;
    *to = file;
    if (may_be_output && ph_verb_is_output(file)) return 0;
    if (*file == '\0' || strlen(file) >= sizeof copy) return ph_verb_bad(vo, which, file, "is no file name");
    if (stat(file, &there) == 0 && S_ISDIR(there.st_mode)) return ph_verb_bad(vo, which, file, "is a directory");
    if (access(file, W_OK) == 0) return 0;
    snprintf(copy, sizeof copy, "%s", file);
    if (errno == ENOENT && file[strlen(file) - 1] != '/' && access(dirname(copy), W_OK | X_OK) == 0) return 0;
    return ph_complain(vo->verb, EXIT_OWN_ERROR, "--%s: cannot write to %s: %s", vo->rows[which].name, file, strerror(errno));
}

static bool cannot_write(const char *verb, const char *file)
{
    return ph_complain(verb, false, "cannot write to %s: %s", file, strerror(errno));
}

FILE *ph_verb_open(const char *verb, const char *file)
{
    FILE *out = ph_verb_is_output(file) ? stdout : fopen(file, "we");
    if (out == NULL) cannot_write(verb, file);
    return out;
}

/* Of standard output ph_output_end tells. */
bool ph_verb_close(const char *verb, const char *file, FILE *out)
{
    if (out == stdout) return true;
    errno = 0;
    bool is_whole = fflush(out) == 0 && !ferror(out);
    int error = errno;
    if (fclose(out) != 0 && is_whole) return cannot_write(verb, file);
    errno = error;
    return is_whole || cannot_write(verb, file);
}

/* ---- the command line ---------------------------------------------------------- */

static int unknown_option(const struct verb_options *vo, const char *word)
{
    char name[64];
    const char *near = NULL;
    unsigned least = WORD_FAR;
    snprintf(name, sizeof name, "%s", word + strspn(word, "-"));
    name[strcspn(name, "=")] = '\0';
    for (unsigned i = 0; i < vo->count; i++) {
        unsigned distance = ph_word_distance(name, vo->rows[i].name);
        if (distance >= least) continue;
        least = distance;
        near = vo->rows[i].name;
    }
    if (near != NULL) return ph_complain(vo->verb, EXIT_OWN_ERROR, "'%s' is not an option; did you mean --%s?", word, near);
    return ph_complain(vo->verb, EXIT_OWN_ERROR, "'%s' is not an option; `privheap help %s` lists them", word, vo->verb);
}

static int argument_kind(const char *argument)
{
    return *argument == '\0' ? no_argument : *argument == '[' ? optional_argument : required_argument;
}

static void switches_fill(const struct verb_options *vo, struct option *switches)
{
    for (unsigned i = 0; i < vo->count; i++)
        switches[i] = (struct option){ .name = vo->rows[i].name, .val = LETTERS + (int)i,
                                       .has_arg = argument_kind(vo->rows[i].argument) };
    switches[vo->count] = (struct option){ .name = NULL };
}

static int help_print(const struct verb_options *vo)
{
    vo->print_help(stdout);
    return ph_output_end(vo->verb);
}

/* What getopt_long found in that word; -1 to go on, else an exit code. */
static int one_option(const struct verb_options *vo, int which, const char *word, char **argv, void *settings)
{
    if (which >= LETTERS && optarg != NULL && optarg == argv[optind - 1] && strcmp(optarg, "--") == 0) { /* else a value "--" */
        optopt = which;
        which = ':';
    }
    if (which == ':')
        return ph_complain(vo->verb, EXIT_OWN_ERROR, "--%s needs a value: %s", vo->rows[optopt - LETTERS].name,
                           vo->rows[optopt - LETTERS].argument);
    if (which == '?' && optopt >= LETTERS)
        return ph_complain(vo->verb, EXIT_OWN_ERROR, "--%s takes no value", vo->rows[optopt - LETTERS].name);
    if (which == '?') return unknown_option(vo, word);
    if (which == 'h' || (unsigned)(which - LETTERS) == vo->help) return help_print(vo);
    int code = vo->take(settings, (unsigned)(which - LETTERS), optarg);
    return code == 0 ? -1 : code;
}

int ph_verb_options(const struct verb_options *vo, int argc, char **argv, void *settings)
{
    struct option switches[ROWS_MOST + 1];
    switches_fill(vo, switches);
    opterr = 0;
    for (;;) {
        const char *word = argv[optind > 0 ? optind : 1]; /* optind stays there while letters of it are left */
        optopt = 0;
        int which = getopt_long(argc, argv, "+:h", switches, NULL);
        if (which == -1) break;
        int code = one_option(vo, which, word, argv, settings);
        if (code != -1) return code;
    }
    if (argv[optind] != NULL) return -1;
    return ph_complain(vo->verb, EXIT_OWN_ERROR, "which program? usage: privheap %s [options] [--] PROGRAM [ARGS]", vo->verb);
}
