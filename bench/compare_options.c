/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_options.c -- the command line of the verb compare, and its help.
 *
 * Owns:    struct settings.
 * Calls:   verb_options.c.
 * Why:     everything that can be wrong is told before the first run: runs take minutes. */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "compare.h"
#include "text.h"
#include "verb_options.h"

enum { ROUNDS_USUAL = 10, WARMUPS_USUAL = 1, SEED_USUAL = 1, WARMUPS_MAX = 1000 };

enum word {
#define ROW(word, name, argument, help) COMPARE_OPTION_##word,
#include "compare.def"
#undef ROW
    COMPARE_OPTIONS
};

static const struct verb_row rows[] = {
#define ROW(word, name, argument, help) { name, argument, help },
#include "compare.def"
#undef ROW
};

static int take(void *settings, unsigned which, const char *text);

static const struct verb_options options = { COMPARE, rows, COMPARE_OPTIONS, COMPARE_OPTION_help, ph_help_compare, take };

/* ---- help -------------------------------------------------------------- */

void ph_help_compare(FILE *out)
{
    fputs("usage: privheap compare [options] [--] PROGRAM [ARGS]\n\n"
          "Run PROGRAM under privheap, glibc and every allocator found on this machine, in turn, and\n"
          "say what differs: time, processor time, peak memory and page faults; medians with their\n"
          "95 % intervals, and whether a difference is more than chance.\n\n"
          "Known names: privheap, glibc, jemalloc, mimalloc, tcmalloc, tcmalloc_minimal, tbbmalloc,\n"
          "scudo, snmalloc, rpmalloc, hardened_malloc.\n\n"
          "Options:\n",
          out);
    ph_verb_rows(&options, out);
    fputs("\nThe exit code is 0 when all runs went alike, 1 when an allocator was not active or changed\n"
          "what the program did, 130 when interrupted; 125, 126 and 127 as those of `privheap run`.\n\n"
          "Example: privheap compare --runs=20 -- sort /etc/passwd\n",
          out);
}

/* ---- values ------------------------------------------------------------ */

/* Split at commas; the words stay in memory. */
static int take_list(enum word which, const char *text, struct word_list *list)
{
    char *place = NULL, *copy = strdup(text);
    if (copy == NULL) return ph_complain(COMPARE, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
    unsigned before = list->count;
    for (char *word = strtok_r(copy, ",", &place); word != NULL; word = strtok_r(NULL, ",", &place)) {
        if (list->count == COMPARE_WORDS) return ph_verb_bad(&options, which, word, "is one word too many");
        list->words[list->count++] = word;
    }
    return list->count > before ? 0 : ph_verb_bad(&options, which, text, "names no allocator");
}

static int take_environment(const char *text, struct word_list *list)
{
    size_t name = strcspn(text, ":="), variable = strcspn(text, "=");
    bool is_whole = name > 0 && text[name] == ':' && text[variable] == '=' && variable > name + 1;
    if (!is_whole) return ph_verb_bad(&options, COMPARE_OPTION_env, text, "is not NAME:VARIABLE=VALUE");
    if (list->count == COMPARE_WORDS) return ph_verb_bad(&options, COMPARE_OPTION_env, text, "is one variable too many");
    list->words[list->count++] = text;
    return 0;
}

static int take_plot(const char *file, const char **to)
{
    const char *why = ph_plot_obstacle(file);
    if (why == NULL) return ph_verb_file(&options, COMPARE_OPTION_plot, file, false, to);
    return ph_complain(COMPARE, EXIT_OWN_ERROR, "--plot: %s", why);
}

static int take_input(const char *file, const char **to)
{
    *to = file;
    if (access(file, R_OK) == 0) return 0;
    return ph_complain(COMPARE, EXIT_OWN_ERROR, "--stdin: cannot read %s: %s", file, strerror(errno));
}

static int take_seed(const char *text, uint64_t *to)
{
    unsigned value = 0;
    int code = ph_verb_number(&options, COMPARE_OPTION_seed, text, 0, UINT32_MAX, &value);
    *to = value;
    return code;
}

static int take(void *settings, unsigned which, const char *text)
{
    struct settings *s = settings;
    switch ((enum word)which) {
    case COMPARE_OPTION_with:
        return take_list(which, text, &s->with);
    case COMPARE_OPTION_without:
        return take_list(which, text, &s->without);
    case COMPARE_OPTION_base:
        s->base = text;
        return 0;
    case COMPARE_OPTION_env:
        return take_environment(text, &s->environment);
    case COMPARE_OPTION_runs:
        return ph_verb_number(&options, which, text, 1, COMPARE_ROUNDS, &s->rounds);
    case COMPARE_OPTION_warmup:
        return ph_verb_number(&options, which, text, 0, WARMUPS_MAX, &s->warmups);
    case COMPARE_OPTION_timeout:
        return ph_verb_seconds(&options, which, text, 0.001, &s->timeout_s);
    case COMPARE_OPTION_seed:
        return take_seed(text, &s->seed);
    case COMPARE_OPTION_stdin:
        return take_input(text, &s->input);
    case COMPARE_OPTION_show_output:
        s->shows_output = true;
        return 0;
    case COMPARE_OPTION_keep_outliers:
        s->keeps_outliers = true;
        return 0;
    case COMPARE_OPTION_label:
        s->label = text;
        return 0;
    case COMPARE_OPTION_json:
        return ph_verb_file(&options, which, text, true, &s->json);
    case COMPARE_OPTION_csv:
        return ph_verb_file(&options, which, text, true, &s->csv);
    case COMPARE_OPTION_markdown:
        return ph_verb_file(&options, which, text, true, &s->markdown);
    case COMPARE_OPTION_plot:
        return take_plot(text, &s->plot);
    case COMPARE_OPTION_quiet:
        s->is_quiet = true;
        return 0;
    default:
        return 0;
    }
}

/* ---- the command line -------------------------------------------------- */

/* Two documents in one stream are none. */
static int check_outputs(const struct settings *s)
{
    int to_output = ph_verb_is_output(s->json) + ph_verb_is_output(s->csv) + ph_verb_is_output(s->markdown);
    if (to_output > 1)
        return ph_complain(COMPARE, EXIT_OWN_ERROR,
                           "only one of --json, --csv and --markdown can go to standard output");
    if (to_output == 1 && s->shows_output)
        return ph_complain(COMPARE, EXIT_OWN_ERROR,
                           "--show-output would mix the program's output with ours; write ours to a file");
    return -1;
}

const char *ph_compare_label(const struct settings *s)
{
    return s->label != NULL ? s->label : text_base_name(s->argv[0]);
}

int ph_compare_options(struct settings *s, int argc, char **argv)
{
    *s = (struct settings){
        .rounds = ROUNDS_USUAL, .warmups = WARMUPS_USUAL, .seed = SEED_USUAL, .base = "glibc"
    };
    int code = ph_verb_options(&options, argc, argv, s);
    if (code >= 0) return code;
    s->argv = argv + optind;
    return check_outputs(s);
}
