/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom_options.c -- the command line of the verb oom, and its help.
 *
 * Owns:    struct oom_settings.
 * Calls:   options.c for the nearest word, fail.c for a range of sizes and for tokens.  Locks: none.
 * Why:     what can be wrong is told before the program runs. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "oom.h"
#include "options.h"

enum word {
#define ROW(word, name, argument, help) OOM_OPTION_##word,
#include "oom.def"
#undef ROW
    OOM_OPTIONS
};

static const struct row {
    const char *name, *argument, *help;
} rows[] = {
#define ROW(word, name, argument, help) { name, argument, help },
#include "oom.def"
#undef ROW
};

enum { LETTERS = 256, /* getopt_long's value of row 0; below it are letters */ TIMEOUT_USUAL_S = 5 };

void ph_help_oom(FILE *out)
{
    fputs("usage: privheap oom [options] [--] PROGRAM [ARGS]\n"
          "       privheap oom --replay=TOKEN [--gdb] [--] PROGRAM [ARGS]\n\n"
          "Run PROGRAM, and at each of its allocations a copy of it in which that one fails; say which of\n"
          "the copies crashed, hung, damaged the heap, aborted or lost memory.  PROGRAM needs no change.\n\n"
          "Options:\n",
          out);
    for (int i = 0; i < OOM_OPTIONS; i++)
        fprintf(out, "  --%s%s%s\n        %s\n", rows[i].name, *rows[i].argument == '\0' ? "" : "=",
                rows[i].argument, rows[i].help);
    fputs("\nThe exit code is 0 when nothing was found, 1 when an allocation that failed led to a signal, a\n"
          "hang or heap damage (aborts with a message and leaks are listed, but do not count), 130 when\n"
          "interrupted; 125, 126 and 127 as those of `privheap run`.\n\n"
          "Example: privheap oom -- ls -l /\n",
          out);
}

/* ---- values ------------------------------------------------------------ */

static int bad_value(enum word which, const char *text, const char *wanted)
{
    return ph_complain(OOM, EXIT_OWN_ERROR, "--%s: \"%.64s%s\" %s", rows[which].name, text,
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
    enum { TIMEOUT_MAX_S = 1000000 };
    char *end;
    double value = strtod(text, &end);
    bool is_number = *text >= '0' && *text <= '9' && *end == '\0';
    if (!is_number || !(value >= 0.01 && value <= TIMEOUT_MAX_S))
        return bad_value(OOM_OPTION_timeout, text, "is not a number of seconds, 0.01 to 1000000");
    *to = value;
    return 0;
}

/* As the parts of run's --fail are. */
static int take_part(enum word which, const char *part, const char *text, struct oom_settings *s)
{
    char whole[160];
    struct fail_spec spec;
    snprintf(whole, sizeof whole, "%s:%s", part, text);
    if (strchr(text, ',') != NULL || ph_fail_parse(whole, &spec) != NULL)
        return bad_value(which, text, which == OOM_OPTION_size ? "is not a range of sizes such as 100-4k" : "is no name of a module");
    if (which == OOM_OPTION_module) {
        s->module = text;
        return 0;
    }
    s->least = spec.least;
    s->most = spec.most;
    return 0;
}

/* HASH.N, or two of them with + between. */
static int take_token(const char *text, struct oom_settings *s)
{
    char copy[96], *place = NULL;
    unsigned count = 0;
    s->replay = text;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *one = strtok_r(copy, "+", &place); one != NULL; one = strtok_r(NULL, "+", &place)) {
        char whole[120];
        struct fail_spec spec;
        snprintf(whole, sizeof whole, "stack:%s", one);
        if (count == 2 || strchr(one, ',') != NULL || ph_fail_parse(whole, &spec) != NULL)
            return bad_value(OOM_OPTION_replay, text, "is no token of a report, such as 4d20438635c5dcba.2");
        s->stack[count] = spec.stack;
        s->ordinal[count++] = (unsigned)spec.ordinal;
    }
    return count != 0 ? 0 : bad_value(OOM_OPTION_replay, text, "is empty");
}

static int take_folder(const char *text, const char **to)
{
    *to = text;
    if (access(text, W_OK | X_OK) == 0) return 0;
    return ph_complain(OOM, EXIT_OWN_ERROR, "--keep-output: cannot write to %s: %s", text, strerror(errno));
}

static int help_print(void)
{
    ph_help_oom(stdout);
    return ph_output_end(OOM);
}

/* ---- the command line ---------------------------------------------------- */

/* 0, or an exit code; -2: help was printed. */
static int option_take(struct oom_settings *s, enum word which, const char *text)
{
    enum { MOST = 1000000000 };
    switch (which) {
    case OOM_OPTION_jobs: return take_number(which, text, 1, SWEEP_JOBS, &s->jobs);
    case OOM_OPTION_first: return take_number(which, text, 1, MOST, &s->first);
    case OOM_OPTION_skip: return take_number(which, text, 0, MOST, &s->skip);
    case OOM_OPTION_module: return take_part(which, "module", text, s);
    case OOM_OPTION_size: return take_part(which, "size", text, s);
    case OOM_OPTION_timeout: return take_timeout(text, &s->timeout_s);
    case OOM_OPTION_keep_output: return take_folder(text, &s->keep);
    case OOM_OPTION_replay: return take_token(text, s);
    case OOM_OPTION_json: s->json = text; return 0;
    case OOM_OPTION_junit: s->junit = text; return 0;
    case OOM_OPTION_also_after: s->also_after = true; return 0;
    case OOM_OPTION_pairs: s->pairs = true; return 0;
    case OOM_OPTION_rerun: s->rerun = true; return 0;
    case OOM_OPTION_gdb: s->gdb = true; return 0;
    case OOM_OPTION_quiet: s->is_quiet = true; return 0;
    case OOM_OPTION_no_leaks: s->no_leaks = true; return 0;
    case OOM_OPTION_let_write: s->lets_write = true; return 0;
    case OOM_OPTION_help:
    case OOM_OPTIONS: break;
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
    for (int i = 0; i < OOM_OPTIONS; i++) {
        unsigned distance = ph_word_distance(name, rows[i].name);
        if (distance >= least) continue;
        least = distance;
        near = rows[i].name;
    }
    if (near != NULL)
        return ph_complain(OOM, EXIT_OWN_ERROR, "'%s' is not an option; did you mean --%s?", word, near);
    return ph_complain(OOM, EXIT_OWN_ERROR, "'%s' is not an option; `privheap help oom` lists them", word);
}

/* What does not go together. */
static int whole(const struct oom_settings *s)
{
    if (s->gdb && s->replay == NULL)
        return ph_complain(OOM, EXIT_OWN_ERROR, "--gdb is for --replay=TOKEN");
    if (s->pairs && (s->also_after || s->rerun))
        return ph_complain(OOM, EXIT_OWN_ERROR, "--pairs does not go with --%s", s->rerun ? "rerun" : "also-after");
    if (s->replay != NULL && (s->rerun || s->pairs))
        return ph_complain(OOM, EXIT_OWN_ERROR, "--replay is one run: --%s has no meaning there", s->rerun ? "rerun" : "pairs");
    if (s->argv[0] == NULL)
        return ph_complain(OOM, EXIT_OWN_ERROR, "which program? usage: privheap oom [options] [--] PROGRAM [ARGS]");
    return -1;
}

int ph_oom_options(struct oom_settings *s, int argc, char **argv)
{
    struct option switches[OOM_OPTIONS + 1];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    *s = (struct oom_settings){ .jobs = processors < 1 ? 1 : processors > SWEEP_JOBS ? SWEEP_JOBS : (unsigned)processors,
                                .most = UINT64_MAX, .timeout_s = TIMEOUT_USUAL_S };
    for (int i = 0; i < OOM_OPTIONS; i++)
        switches[i] = (struct option){ .name = rows[i].name, .val = LETTERS + i,
                                       .has_arg = *rows[i].argument != '\0' ? required_argument : no_argument };
    switches[OOM_OPTIONS] = (struct option){ .name = NULL };
    opterr = 0;
    for (;;) {
        optopt = 0;
        int which = getopt_long(argc, argv, "+:h", switches, NULL);
        if (which == -1) break;
        if (which == ':') return ph_complain(OOM, EXIT_OWN_ERROR, "%s needs a value", argv[optind - 1]);
        if (which == '?') return unknown_option(argv[optind - 1]);
        if (which == 'h') return help_print();
        int code = option_take(s, (enum word)(which - LETTERS), optarg);
        if (code == -2) return help_print();
        if (code != 0) return code;
    }
    s->argv = argv + optind;
    return whole(s);
}
