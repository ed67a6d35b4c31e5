/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaos_options.c -- the command line of the verb chaos, and its help.
 *
 * Owns:    struct chaos_settings.
 * Calls:   options.c for the nearest word, chaos.c for ways, sizes and modules.  Locks: none.
 * Why:     what can be wrong is told before the program runs. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "chaos_verb.h"
#include "command.h"
#include "options.h"

enum word {
#define ROW(word, name, argument, help) CHAOS_OPTION_##word,
#include "chaos.def"
#undef ROW
    CHAOS_OPTIONS
};

static const struct row {
    const char *name, *argument, *help;
} rows[] = {
#define ROW(word, name, argument, help) { name, argument, help },
#include "chaos.def"
#undef ROW
};

enum { LETTERS = 256, /* getopt_long's value of row 0; below it are letters */ SEEDS_USUAL = 8, NUMBER_MOST = 1000000000 };

void ph_help_chaos(FILE *out)
{
    fputs("usage: privheap chaos [options] [--] PROGRAM [ARGS]\n\n"
          "Run PROGRAM several times with the same input, and do otherwise what a correct program does not\n"
          "depend on: what fresh and freed memory holds, where blocks lie, when they are used again, whether\n"
          "realloc moves.  Output and exit code must be the same; what differs is narrowed to its cause.\n\n"
          "Options:\n",
          out);
    for (int i = 0; i < CHAOS_OPTIONS; i++)
        fprintf(out, "  --%s%s%s\n        %s\n", rows[i].name, *rows[i].argument == '\0' ? "" : "=",
                rows[i].argument, rows[i].help);
    fputs("\nThe exit code is 0 when all runs were alike, 1 when one differed, 130 when interrupted; 125 also\n"
          "when two plain runs differ; 126 and 127 as those of `privheap run`.\n\n"
          "Example: privheap chaos -- sort /etc/passwd\n",
          out);
}

/* ---- values ------------------------------------------------------------ */

static int bad_value(enum word which, const char *text, const char *wanted)
{
    return ph_complain(CHAOS, EXIT_OWN_ERROR, "--%s: \"%.64s%s\" %s", rows[which].name, text,
                       strlen(text) > 64 ? "..." : "", wanted);
}

static int take_number(enum word which, const char *text, unsigned least, unsigned *to)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    bool is_number = *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
    if (!is_number || value < least || value > NUMBER_MOST)
        return bad_value(which, text, least == 0 ? "is not a whole number, 0 to 1000000000" : "is not a whole number, 1 to 1000000000");
    *to = (unsigned)value;
    return 0;
}

static int take_timeout(const char *text, double *to)
{
    enum { TIMEOUT_MAX_S = 1000000 };
    char *end;
    double value = strtod(text, &end);
    bool is_number = *text >= '0' && *text <= '9' && *end == '\0';
    if (!is_number || !(value >= 0.01 && value <= TIMEOUT_MAX_S))
        return bad_value(CHAOS_OPTION_timeout, text, "is not a number of seconds, 0.01 to 1000000");
    *to = value;
    return 0;
}

/* As the parts of run's --chaos are. */
static int take_part(enum word which, const char *part, const char *text, struct chaos_spec *to)
{
    char whole[160];
    struct chaos_spec spec;
    int bytes = snprintf(whole, sizeof whole, "%s:%s", part, text);
    bool is_good = bytes < (int)sizeof whole && strchr(text, ',') == NULL && ph_chaos_parse(whole, &spec) == NULL;
    if (which == CHAOS_OPTION_ways && (!is_good || spec.ways == 0))
        return bad_value(which, text, "are no ways: fresh, freed, order, late, move, zero, align, with + between");
    if (!is_good) return bad_value(which, text, which == CHAOS_OPTION_size ? "is not a range of sizes such as 100-4k" : "is no name of a module");
    if (which == CHAOS_OPTION_ways) to->ways = spec.ways;
    if (which == CHAOS_OPTION_size) to->least = spec.least, to->most = spec.most;
    if (which == CHAOS_OPTION_module) {
        to->has_module = true;
        memcpy(to->module, spec.module, sizeof to->module);
    }
    return 0;
}

static int take_ignore(const char *text, struct chaos_settings *s)
{
    char why[128], wanted[160];
    if (s->ignores == CHAOS_IGNORES) return bad_value(CHAOS_OPTION_ignore, text, "is one too many");
    int error = regcomp(&s->ignore[s->ignores], text, REG_EXTENDED);
    if (error == 0) {
        s->ignores++;
        return 0;
    }
    regerror(error, &s->ignore[s->ignores], why, sizeof why);
    snprintf(wanted, sizeof wanted, "is no regular expression: %s", why);
    return bad_value(CHAOS_OPTION_ignore, text, wanted);
}

static int help_print(void)
{
    ph_help_chaos(stdout);
    return ph_output_end(CHAOS);
}

/* ---- the command line ---------------------------------------------------- */

/* 0, or an exit code; -2: help is to be printed. */
static int option_take(struct chaos_settings *s, enum word which, const char *text)
{
    switch (which) {
    case CHAOS_OPTION_seeds: return take_number(which, text, 1, &s->seeds);
    case CHAOS_OPTION_seed: return take_number(which, text, 0, &s->first_seed);
    case CHAOS_OPTION_ways: return take_part(which, "ways", text, &s->spec);
    case CHAOS_OPTION_size: return take_part(which, "size", text, &s->spec);
    case CHAOS_OPTION_module: return take_part(which, "module", text, &s->spec);
    case CHAOS_OPTION_ignore: return take_ignore(text, s);
    case CHAOS_OPTION_timeout: return take_timeout(text, &s->timeout_s);
    case CHAOS_OPTION_json: s->json = text; return 0;
    case CHAOS_OPTION_quiet: s->is_quiet = true; return 0;
    case CHAOS_OPTION_help:
    case CHAOS_OPTIONS: break;
    }
    return -2;
}

static int unknown_option(const char *word)
{
    char name[64];
    const char *near = NULL;
    unsigned least = WORD_FAR;
    snprintf(name, sizeof name, "%s", word + strspn(word, "-"));
    name[strcspn(name, "=")] = '\0';
    for (int i = 0; i < CHAOS_OPTIONS; i++) {
        unsigned distance = ph_word_distance(name, rows[i].name);
        if (distance >= least) continue;
        least = distance;
        near = rows[i].name;
    }
    if (near != NULL)
        return ph_complain(CHAOS, EXIT_OWN_ERROR, "'%s' is not an option; did you mean --%s?", word, near);
    return ph_complain(CHAOS, EXIT_OWN_ERROR, "'%s' is not an option; `privheap help chaos` lists them", word);
}

/* What a program that prints its environment says of us is nothing of its own. */
static int begin(struct chaos_settings *s)
{
    *s = (struct chaos_settings){ .seeds = SEEDS_USUAL, .first_seed = 1, .spec = { .ways = CHAOS_ALL, .most = UINT64_MAX } };
    return take_ignore("PRIVHEAP_CHAOS=[a-z0-9:+,_.-]*", s);
}

int ph_chaos_options(struct chaos_settings *s, int argc, char **argv)
{
    struct option switches[CHAOS_OPTIONS + 1];
    int code = begin(s);
    for (int i = 0; i < CHAOS_OPTIONS; i++)
        switches[i] = (struct option){ .name = rows[i].name, .val = LETTERS + i,
                                       .has_arg = *rows[i].argument != '\0' ? required_argument : no_argument };
    switches[CHAOS_OPTIONS] = (struct option){ .name = NULL };
    opterr = 0;
    while (code == 0) {
        optopt = 0;
        int which = getopt_long(argc, argv, "+:h", switches, NULL);
        if (which == -1) break;
        if (which == ':') return ph_complain(CHAOS, EXIT_OWN_ERROR, "%s needs a value", argv[optind - 1]);
        if (which == '?') return unknown_option(argv[optind - 1]);
        code = which == 'h' ? -2 : option_take(s, (enum word)(which - LETTERS), optarg);
    }
    if (code == -2) return help_print();
    if (code != 0) return code;
    s->argv = argv + optind;
    if (s->argv[0] != NULL) return -1;
    return ph_complain(CHAOS, EXIT_OWN_ERROR, "which program? usage: privheap chaos [options] [--] PROGRAM [ARGS]");
}
