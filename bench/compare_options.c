/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_options.c -- the command line of the verb compare, and its help.
 *
 * Owns:    struct settings.
 * Calls:   options.c for the nearest word.
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
#include "options.h"

enum { ROUNDS_USUAL = 10, WARMUPS_USUAL = 1, SEED_USUAL = 1, WARMUPS_MAX = 1000, TIMEOUT_MAX_S = 1000000 };

enum word {
#define ROW(word, name, argument, help) COMPARE_OPTION_##word,
#include "compare.def"
#undef ROW
    COMPARE_OPTIONS
};

static const struct row {
    const char *name, *argument, *help;
} rows[] = {
#define ROW(word, name, argument, help) { name, argument, help },
#include "compare.def"
#undef ROW
};

enum { LETTERS = 256 }; /* getopt_long's value of row 0; below it are letters */

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
    for (int i = 0; i < COMPARE_OPTIONS; i++)
        fprintf(out, "  --%s%s%s\n        %s\n", rows[i].name, *rows[i].argument == '\0' ? "" : "=",
                rows[i].argument, rows[i].help);
    fputs("\nThe exit code is 0 when all runs went alike, 1 when an allocator was not active or changed\n"
          "what the program did, 130 when interrupted; 125, 126 and 127 as those of `privheap run`.\n\n"
          "Example: privheap compare --runs=20 -- sort /etc/passwd\n",
          out);
}

/* ---- values ------------------------------------------------------------ */

static int bad_value(enum word which, const char *text, const char *wanted)
{
    return ph_complain(COMPARE, EXIT_OWN_ERROR, "--%s: \"%.64s%s\" %s", rows[which].name, text,
                       strlen(text) > 64 ? "..." : "", wanted);
}

static int take_number(enum word which, const char *text, unsigned least, unsigned most, unsigned *to)
{
    char *end, wanted[80];
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    bool is_number = *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
    snprintf(wanted, sizeof wanted, "is not a whole number from %u to %u", least, most);
    if (!is_number || value < least || value > most) return bad_value(which, text, wanted);
    *to = (unsigned)value;
    return 0;
}

static int take_timeout(const char *text, double *to)
{
    char *end;
    double value = strtod(text, &end);
    bool is_number = *text >= '0' && *text <= '9' && *end == '\0';
    if (!is_number || !(value > 0 && value <= TIMEOUT_MAX_S))
        return bad_value(COMPARE_OPTION_timeout, text, "is not a number of seconds, 0.001 to 1000000");
    *to = value;
    return 0;
}

/* Split at commas; the words stay in memory. */
static int take_list(enum word which, const char *text, struct word_list *list)
{
    char *place = NULL, *copy = strdup(text);
    if (copy == NULL) return ph_complain(COMPARE, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
    unsigned before = list->count;
    for (char *word = strtok_r(copy, ",", &place); word != NULL; word = strtok_r(NULL, ",", &place)) {
        if (list->count == COMPARE_WORDS) return bad_value(which, word, "is one word too many");
        list->words[list->count++] = word;
    }
    return list->count > before ? 0 : bad_value(which, text, "names no allocator");
}

static int take_environment(const char *text, struct word_list *list)
{
    size_t name = strcspn(text, ":="), variable = strcspn(text, "=");
    bool is_whole = name > 0 && text[name] == ':' && text[variable] == '=' && variable > name + 1;
    if (!is_whole) return bad_value(COMPARE_OPTION_env, text, "is not NAME:VARIABLE=VALUE");
    if (list->count == COMPARE_WORDS) return bad_value(COMPARE_OPTION_env, text, "is one variable too many");
    list->words[list->count++] = text;
    return 0;
}

/* Is there a folder to write the file into, and may we?  - is standard output. */
static int take_output(enum word which, const char *file, const char **to)
{
    char copy[LOCATE_PATH_BYTES];
    struct stat there;
    *to = file;
    if (strcmp(file, "-") == 0 && which != COMPARE_OPTION_plot) return 0;
    if (*file == '\0' || strlen(file) >= sizeof copy) return bad_value(which, file, "is no file name");
    if (stat(file, &there) == 0 && S_ISDIR(there.st_mode)) return bad_value(which, file, "is a directory");
    if (access(file, W_OK) == 0) return 0;
    snprintf(copy, sizeof copy, "%s", file);
    if (errno == ENOENT && access(dirname(copy), W_OK | X_OK) == 0) return 0;
    return ph_complain(COMPARE, EXIT_OWN_ERROR, "--%s: cannot write to %s: %s", rows[which].name, file,
                       strerror(errno));
}

static int take_plot(const char *file, const char **to)
{
    const char *why = ph_plot_obstacle(file);
    if (why == NULL) return take_output(COMPARE_OPTION_plot, file, to);
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
    int code = take_number(COMPARE_OPTION_seed, text, 0, UINT32_MAX, &value);
    *to = value;
    return code;
}

/* 0, or an exit code. */
static int take(struct settings *s, enum word which, const char *text)
{
    switch (which) {
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
        return take_number(which, text, 1, COMPARE_ROUNDS, &s->rounds);
    case COMPARE_OPTION_warmup:
        return take_number(which, text, 0, WARMUPS_MAX, &s->warmups);
    case COMPARE_OPTION_timeout:
        return take_timeout(text, &s->timeout_s);
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
        return take_output(which, text, &s->json);
    case COMPARE_OPTION_csv:
        return take_output(which, text, &s->csv);
    case COMPARE_OPTION_markdown:
        return take_output(which, text, &s->markdown);
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

static int unknown_option(const char *word)
{
    const char *near = NULL;
    unsigned least = WORD_FAR;
    char name[64];
    snprintf(name, sizeof name, "%s", word + strspn(word, "-"));
    name[strcspn(name, "=")] = '\0';
    for (int i = 0; i < COMPARE_OPTIONS; i++) {
        unsigned distance = ph_word_distance(name, rows[i].name);
        if (distance < least) near = rows[i].name;
        if (distance < least) least = distance;
    }
    if (near == NULL)
        return ph_complain(COMPARE, EXIT_OWN_ERROR,
                           "'%s' is not an option; `privheap help compare` lists them", word);
    return ph_complain(COMPARE, EXIT_OWN_ERROR, "'%s' is not an option; did you mean --%s?", word, near);
}

static void switches_fill(struct option *switches)
{
    for (int i = 0; i < COMPARE_OPTIONS; i++)
        switches[i] = (struct option){ .name = rows[i].name,
                                       .has_arg = *rows[i].argument == '\0' ? no_argument : required_argument,
                                       .val = LETTERS + i };
    switches[COMPARE_OPTIONS] = (struct option){ .name = NULL };
}

static int options_take(struct settings *s, int argc, char **argv)
{
    struct option switches[COMPARE_OPTIONS + 1];
    switches_fill(switches);
    opterr = 0;
    for (;;) {
        optopt = 0;
        int which = getopt_long(argc, argv, "+:h", switches, NULL);
        if (which == -1) return -1;
        if (which >= LETTERS && optarg == argv[optind - 1] && strcmp(optarg, "--") == 0) { /* else a file of that name */
            optopt = which;
            which = ':';
        }
        if (which == ':')
            return ph_complain(COMPARE, EXIT_OWN_ERROR, "--%s needs a value: %s", rows[optopt - LETTERS].name,
                               rows[optopt - LETTERS].argument);
        if (which == '?' && optopt >= LETTERS)
            return ph_complain(COMPARE, EXIT_OWN_ERROR, "--%s takes no value", rows[optopt - LETTERS].name);
        if (which == '?') return unknown_option(argv[optind - 1]);
        if (which == 'h' || which == LETTERS + COMPARE_OPTION_help) {
            ph_help_compare(stdout);
            return ph_output_end(COMPARE);
        }
        int code = take(s, (enum word)(which - LETTERS), optarg);
        if (code != 0) return code;
    }
}

/* Two documents in one stream are none. */
static int check_outputs(const struct settings *s)
{
    const char *const files[] = { s->json, s->csv, s->markdown };
    int to_output = 0;
    for (int i = 0; i < 3; i++) to_output += files[i] != NULL && strcmp(files[i], "-") == 0;
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
    const char *slash = strrchr(s->argv[0], '/');
    if (s->label != NULL) return s->label;
    return slash == NULL ? s->argv[0] : slash + 1;
}

int ph_compare_options(struct settings *s, int argc, char **argv)
{
    *s = (struct settings){
        .rounds = ROUNDS_USUAL, .warmups = WARMUPS_USUAL, .seed = SEED_USUAL, .base = "glibc"
    };
    int code = options_take(s, argc, argv);
    if (code >= 0) return code;
    if (optind == argc)
        return ph_complain(COMPARE, EXIT_OWN_ERROR,
                           "which program? usage: privheap compare [options] [--] PROGRAM [ARGS]");
    s->argv = argv + optind;
    return check_outputs(s);
}
