/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom_options.c -- the command line of the verb oom, and its help.
 *
 * Owns:    struct oom_settings.
 * Calls:   verb_options.c; fail.c for a range of sizes and for tokens.  Locks: none.
 * Why:     what can be wrong is told before the program runs. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "oom.h"
#include "verb_options.h"

enum word {
#define ROW(word, name, argument, help) OOM_OPTION_##word,
#include "oom.def"
#undef ROW
    OOM_OPTIONS
};

static const struct verb_row rows[] = {
#define ROW(word, name, argument, help) { name, argument, help },
#include "oom.def"
#undef ROW
};

enum { TIMEOUT_USUAL_S = 5 };

static int option_take(void *settings, unsigned which, const char *text);

static const struct verb_options options = { OOM, rows, OOM_OPTIONS, OOM_OPTION_help, ph_help_oom, option_take };

void ph_help_oom(FILE *out)
{
    fputs("usage: privheap oom [options] [--] PROGRAM [ARGS]\n"
          "       privheap oom --replay=TOKEN [--gdb] [--] PROGRAM [ARGS]\n\n"
          "Run PROGRAM, and at each of its allocations a copy of it in which that one fails; say which of\n"
          "the copies crashed, hung, damaged the heap, aborted or lost memory.  PROGRAM needs no change.\n\n"
          "Options:\n",
          out);
    ph_verb_rows(&options, out);
    fputs("\nThe exit code is 0 when nothing was found, 1 when an allocation that failed led to a signal, a\n"
          "hang or heap damage (aborts with a message and leaks are listed, but do not count), 130 when\n"
          "interrupted; 125, 126 and 127 as those of `privheap run`.\n\n"
          "Example: privheap oom -- ls -l /\n",
          out);
}

/* ---- values ------------------------------------------------------------ */

/* As the parts of run's --fail are. */
static int take_part(enum word which, const char *part, const char *text, struct oom_settings *s)
{
    char whole[160];
    struct fail_spec spec;
    snprintf(whole, sizeof whole, "%s:%s", part, text);
    if (strchr(text, ',') != NULL || ph_fail_parse(whole, &spec) != NULL)
        return ph_verb_bad(&options, which, text, which == OOM_OPTION_size ? "is not a range of sizes such as 100-4k" : "is no name of a module");
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
            return ph_verb_bad(&options, OOM_OPTION_replay, text, "is no token of a report, such as 4d20438635c5dcba.2");
        s->stack[count] = spec.stack;
        s->ordinal[count++] = (unsigned)spec.ordinal;
    }
    return count != 0 ? 0 : ph_verb_bad(&options, OOM_OPTION_replay, text, "is empty");
}

static int take_folder(const char *text, const char **to)
{
    *to = text;
    if (mkdir(text, 0777) == 0 || access(text, W_OK | X_OK) == 0) return 0;
    return ph_complain(OOM, EXIT_OWN_ERROR, "--keep-output: cannot write to %s: %s", text, strerror(errno));
}

/* ---- the command line ---------------------------------------------------- */

static int option_take(void *settings, unsigned which, const char *text)
{
    enum { MOST = 1000000000 };
    struct oom_settings *s = settings;
    switch ((enum word)which) {
    case OOM_OPTION_jobs: return ph_verb_number(&options, which, text, 1, SWEEP_JOBS, &s->jobs);
    case OOM_OPTION_first: return ph_verb_number(&options, which, text, 1, MOST, &s->first);
    case OOM_OPTION_skip: return ph_verb_number(&options, which, text, 0, MOST, &s->skip);
    case OOM_OPTION_module: return take_part(which, "module", text, s);
    case OOM_OPTION_size: return take_part(which, "size", text, s);
    case OOM_OPTION_timeout: return ph_verb_seconds(&options, which, text, 0.01, &s->timeout_s);
    case OOM_OPTION_keep_output: return take_folder(text, &s->keep);
    case OOM_OPTION_replay: return take_token(text, s);
    case OOM_OPTION_json: return ph_verb_file(&options, which, text, true, &s->json);
    case OOM_OPTION_junit: return ph_verb_file(&options, which, text, true, &s->junit);
    case OOM_OPTION_also_after: s->also_after = true; return 0;
    case OOM_OPTION_pairs: s->pairs = true; return 0;
    case OOM_OPTION_rerun: s->rerun = true; return 0;
    case OOM_OPTION_gdb: s->gdb = true; return 0;
    case OOM_OPTION_quiet: s->is_quiet = true; return 0;
    case OOM_OPTION_no_leaks: s->no_leaks = true; return 0;
    case OOM_OPTION_no_rules: s->no_rules = true; return 0;
    case OOM_OPTION_let_write: s->lets_write = true; return 0;
    case OOM_OPTION_help:
    case OOM_OPTIONS: break;
    }
    return 0;
}

/* What does not go together. */
static int whole(const struct oom_settings *s)
{
    if (s->gdb && s->replay == NULL)
        return ph_complain(OOM, EXIT_OWN_ERROR, "--gdb is for --replay=TOKEN");
    if (s->pairs && (s->also_after || s->rerun))
        return ph_complain(OOM, EXIT_OWN_ERROR, "--pairs does not go with --%s", s->rerun ? "rerun" : "also-after");
    if (ph_verb_is_output(s->json) && ph_verb_is_output(s->junit))
        return ph_complain(OOM, EXIT_OWN_ERROR, "only one of --json and --junit can go to standard output");
    if (s->replay != NULL && (s->rerun || s->pairs))
        return ph_complain(OOM, EXIT_OWN_ERROR, "--replay is one run: --%s has no meaning there", s->rerun ? "rerun" : "pairs");
    return -1;
}

int ph_oom_options(struct oom_settings *s, int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    *s = (struct oom_settings){ .jobs = processors < 1 ? 1 : processors > SWEEP_JOBS ? SWEEP_JOBS : (unsigned)processors,
                                .most = UINT64_MAX, .timeout_s = TIMEOUT_USUAL_S };
    int code = ph_verb_options(&options, argc, argv, s);
    if (code >= 0) return code;
    s->argv = argv + optind;
    return whole(s);
}
