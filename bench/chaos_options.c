/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaos_options.c -- the command line of the verb chaos, and its help.
 *
 * Owns:    struct chaos_settings.
 * Calls:   verb_options.c; chaos.c for ways, sizes and modules.  Locks: none.
 * Why:     what can be wrong is told before the program runs. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "chaos_verb.h"
#include "command.h"
#include "verb_options.h"

enum word {
#define ROW(word, name, argument, help) CHAOS_OPTION_##word,
#include "chaos.def"
#undef ROW
    CHAOS_OPTIONS
};

static const struct verb_row rows[] = {
#define ROW(word, name, argument, help) { name, argument, help },
#include "chaos.def"
#undef ROW
};

enum { SEEDS_USUAL = 8, NUMBER_MOST = 1000000000 };

static int option_take(void *settings, unsigned which, const char *text);

static const struct verb_options options = { CHAOS, rows, CHAOS_OPTIONS, CHAOS_OPTION_help, ph_help_chaos, option_take };

void ph_help_chaos(FILE *out)
{
    fputs("usage: privheap chaos [options] [--] PROGRAM [ARGS]\n\n"
          "Run PROGRAM several times with the same input, and do otherwise what a correct program does not\n"
          "depend on: what fresh and freed memory holds, where blocks lie, when they are used again, whether\n"
          "realloc moves.  Output and exit code must be the same; what differs is narrowed to its cause.\n\n"
          "Options:\n",
          out);
    ph_verb_rows(&options, out);
    fputs("\nThe exit code is 0 when all runs were alike, 1 when one differed, 130 when interrupted; 125 also\n"
          "when two plain runs differ; 126 and 127 as those of `privheap run`.\n\n"
          "Example: privheap chaos -- sort /etc/passwd\n",
          out);
}

/* ---- values ------------------------------------------------------------ */

/* As the parts of run's --chaos are. */
static int take_part(enum word which, const char *part, const char *text, struct chaos_spec *to)
{
    char whole[160];
    struct chaos_spec spec;
    int bytes = snprintf(whole, sizeof whole, "%s:%s", part, text);
    bool is_good = bytes < (int)sizeof whole && strchr(text, ',') == NULL && ph_chaos_parse(whole, &spec) == NULL;
    if (which == CHAOS_OPTION_ways && (!is_good || spec.ways == 0))
        return ph_verb_bad(&options, which, text, "are no ways: fresh, freed, order, late, move, zero, align, with + between");
    if (!is_good) return ph_verb_bad(&options, which, text, which == CHAOS_OPTION_size ? "is not a range of sizes such as 100-4k" : "is no name of a module");
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
    if (s->ignores == CHAOS_IGNORES) return ph_verb_bad(&options, CHAOS_OPTION_ignore, text, "is one too many");
    int error = regcomp(&s->ignore[s->ignores], text, REG_EXTENDED);
    if (error == 0) {
        s->ignores++;
        return 0;
    }
    regerror(error, &s->ignore[s->ignores], why, sizeof why);
    snprintf(wanted, sizeof wanted, "is no regular expression: %s", why);
    return ph_verb_bad(&options, CHAOS_OPTION_ignore, text, wanted);
}

/* ---- the command line ---------------------------------------------------- */

static int option_take(void *settings, unsigned which, const char *text)
{
    struct chaos_settings *s = settings;
    switch ((enum word)which) {
    case CHAOS_OPTION_seeds: return ph_verb_number(&options, which, text, 1, NUMBER_MOST, &s->seeds);
    case CHAOS_OPTION_seed: return ph_verb_number(&options, which, text, 0, NUMBER_MOST, &s->first_seed);
    case CHAOS_OPTION_ways: return take_part(which, "ways", text, &s->spec);
    case CHAOS_OPTION_size: return take_part(which, "size", text, &s->spec);
    case CHAOS_OPTION_module: return take_part(which, "module", text, &s->spec);
    case CHAOS_OPTION_ignore: return take_ignore(text, s);
    case CHAOS_OPTION_timeout: return ph_verb_seconds(&options, which, text, 0.01, &s->timeout_s);
    case CHAOS_OPTION_no_rules: s->no_rules = true; return 0;
    case CHAOS_OPTION_json: return ph_verb_file(&options, which, text, true, &s->json);
    case CHAOS_OPTION_quiet: s->is_quiet = true; return 0;
    case CHAOS_OPTION_help:
    case CHAOS_OPTIONS: break;
    }
    return 0;
}

/* What a program that prints its environment says of us is nothing of its own. */
static int begin(struct chaos_settings *s)
{
    *s = (struct chaos_settings){ .seeds = SEEDS_USUAL, .first_seed = 1, .spec = { .ways = CHAOS_ALL, .most = UINT64_MAX } };
    return take_ignore("PRIVHEAP_CHAOS=[a-z0-9:+,_.-]*", s);
}

int ph_chaos_options(struct chaos_settings *s, int argc, char **argv)
{
    int code = begin(s);
    if (code == 0) code = ph_verb_options(&options, argc, argv, s);
    s->argv = argv + optind;
    return code;
}
