/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* run.c -- the verb run: starts a program with the preload object in front of its libc.
 *
 * Owns:    the switches of run, made from options.def, and the variables set for the program.
 * Calls:   locate.c, judge.c; settings.c for values; rulesmatch.c for what is kept for the program.
 * Why:     everything that would go wrong silently in the new program (a value it ignores, a
 *          loader that drops LD_PRELOAD) is refused here, where somebody reads it.  The end is
 *          an exec, so signals, terminal and exit code are the program's own. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "judge.h"
#include "locate.h"
#include "message.h"
#include "options.h"
#include "rules.h"
#include "settings.h"

#define VERB_NAME "run"

enum {
    RUN_SWITCHES = OPT_COUNT + 2, /* the options, --no-rules and --help */
    RUN_NO_RULES = 256, /* getopt_long's value; below it are letters */
    RUN_FIRST, /* of row 0 */
    RUN_HELP = 'h',
};

/* Everything that exec needs. */
struct launch {
    bool no_rules;
    char path[LOCATE_PATH_BYTES];
    char object[LOCATE_PATH_BYTES];
    struct env_line env;
    char **argv;
};

/* ---- help -------------------------------------------------------------- */

static void help_row(FILE *out, enum option_id which)
{
    static const char *const values[] = { [OPTION_size] = "=SIZE", [OPTION_ms] = "=MILLISECONDS", [OPTION_flag] = "",
                                          [OPTION_bits] = "=BITS", [OPTION_number] = "=NUMBER",
                                          [OPTION_mode] = "=MODE", [OPTION_when] = "=WHEN", [OPTION_path] = "=FILE",
                                          [OPTION_fail] = "=WHICH", [OPTION_chaos] = "=WHICH", [OPTION_stress] = "=HOW" };
    const struct option_row *row = &ph_option_rows[which];
    char name[SETTING_NAME_BYTES];
    struct message allowed = { .used = 0 }, standard = { .used = 0 };
    ph_setting_name(which, name);
    ph_option_allowed(&allowed, which);
    ph_option_default(&standard, which);
    fprintf(out, "  --%s%s\n        %s\n        PRIVHEAP_%s: %.*s%s%.*s\n", name,
            values[row->type], row->help, row->name, (int)allowed.used, allowed.text,
            standard.used > 0 ? "; default " : "", (int)standard.used, standard.text);
}

void ph_help_run(FILE *out)
{
    fputs("usage: privheap run [options] [--] PROGRAM [ARGS]\n\n"
          "Run PROGRAM with every malloc, free, new and delete served by a Win32 process heap.\n"
          "PROGRAM needs no change.\n\n"
          "Options, each with the environment variable that says the same; a switch without a\n"
          "value also takes =0:\n",
          out);
    for (int i = 0; i < OPT_COUNT; i++) help_row(out, (enum option_id)i);
    fputs("  --no-rules\n        leave out what `privheap rules` keeps for PROGRAM\n"
          "  -h, --help\n        print this\n\n"
          "What is not said here comes from the environment, else from the rules for PROGRAM, which\n"
          "`privheap rules show PROGRAM` prints.\n\n"
          "The exit code is PROGRAM's own; 125: privheap could not do its part, 126: PROGRAM\n"
          "cannot be executed, 127: PROGRAM is not found.\n\n"
          "Example: privheap run --max-size=256m --stats sort /etc/passwd\n",
          out);
}

/* ---- options ----------------------------------------------------------- */

static void switches_fill(struct option *switches, char names[][SETTING_NAME_BYTES])
{
    for (int i = 0; i < OPT_COUNT; i++) {
        bool is_flag = ph_option_rows[i].type == OPTION_flag;
        ph_setting_name((enum option_id)i, names[i]);
        switches[i] = (struct option){ .name = names[i],
                                       .has_arg = is_flag ? optional_argument : required_argument,
                                       .val = RUN_FIRST + i };
    }
    switches[OPT_COUNT] = (struct option){ .name = "help", .val = RUN_HELP };
    switches[OPT_COUNT + 1] = (struct option){ .name = "no-rules", .val = RUN_NO_RULES };
    switches[RUN_SWITCHES] = (struct option){ .name = NULL };
}

static enum option_id row_of(int value)
{
    return (enum option_id)(value - RUN_FIRST);
}

/* The word getopt_long stopped at: one that it has passed, or a cluster it is inside. */
static const char *refused_word(char **argv)
{
    const char *passed = argv[optind - 1];
    bool is_letter = optopt != 0 && optopt < RUN_FIRST;
    bool is_cluster = is_letter && !(passed[0] == '-' && passed[1] == optopt && !passed[2]);
    return is_cluster && argv[optind] != NULL ? argv[optind] : passed;
}

static int unknown_option(const char *word)
{
    char name[SETTING_NAME_BYTES];
    snprintf(name, sizeof name, "%s", word + strspn(word, "-"));
    name[strcspn(name, "=")] = '\0';
    enum option_id near = ph_option_nearest(name);
    if (ph_word_distance(name, "no-rules") <= 1)
        return ph_complain(VERB_NAME, EXIT_OWN_ERROR, "'%s' is not an option; did you mean --no-rules?", word);
    if (near == OPT_COUNT)
        return ph_complain(VERB_NAME, EXIT_OWN_ERROR,
                           "'%s' is not an option; `privheap help run` lists them", word);
    ph_setting_name(near, name);
    return ph_complain(VERB_NAME, EXIT_OWN_ERROR, "'%s' is not an option; did you mean --%s?",
                       word, name);
}

/* Check one option's value and put it into the environment.  0, or an exit code. */
static int option_take(enum option_id which, const char *text)
{
    char value[SETTING_VALUE_BYTES];
    struct verdict v;
    if (text == NULL && ph_option_rows[which].type == OPTION_flag) text = "1";
    bool is_taken = ph_setting_take(which, text, "--", EXIT_OWN_ERROR, value, &v)
                    && ph_setting_export(which, value, &v);
    return is_taken ? 0 : ph_complain(VERB_NAME, v.exit_code, "%s", v.why);
}

/* Take all options; -1 to go on with the program at optind, else an exit code. */
static int options_take(int argc, char **argv, struct launch *l)
{
    static char names[OPT_COUNT][SETTING_NAME_BYTES];
    struct option switches[RUN_SWITCHES + 1];
    switches_fill(switches, names);
    opterr = 0;
    for (;;) {
        optopt = 0;
        int which = getopt_long(argc, argv, "+:h", switches, NULL);
        if (which == -1) return -1;
        if (which == ':') return option_take(row_of(optopt), NULL);
        if (which == '?') return unknown_option(refused_word(argv));
        if (which == RUN_HELP) {
            ph_help_run(stdout);
            return ph_output_end(VERB_NAME);
        }
        if (which == RUN_NO_RULES) {
            l->no_rules = true;
            continue;
        }
        int code = option_take(row_of(which), optarg);
        if (code != 0) return code;
    }
}

/* ---- starting ---------------------------------------------------------- */

static const char *base_name(const char *path, size_t bytes, size_t *name_bytes)
{
    const char *name = path + bytes;
    while (name > path && name[-1] != '/') name--;
    *name_bytes = bytes - (size_t)(name - path);
    return name;
}

static bool is_same_object(const char *entry, size_t bytes, const char *object)
{
    size_t entry_bytes, object_bytes;
    const char *a = base_name(entry, bytes, &entry_bytes);
    const char *b = base_name(object, strlen(object), &object_bytes);
    return entry_bytes == object_bytes && memcmp(a, b, entry_bytes) == 0;
}

/* Ours first, then what was there; an entry of ours from a run around this one goes. */
static bool preload_export(const char *object)
{
    const char *old = getenv("LD_PRELOAD");
    if (old == NULL) old = "";
    char *list = malloc(strlen(object) + strlen(old) + 2);
    if (list == NULL) return false;
    char *end = stpcpy(list, object);
    while (*old != '\0') {
        size_t bytes = strcspn(old, ": ");
        bool keep = bytes > 0 && !is_same_object(old, bytes, object);
        if (keep) {
            *end++ = ':';
            end = mempcpy(end, old, bytes);
        }
        old += bytes + (old[bytes] != '\0');
    }
    *end = '\0';
    bool is_set = setenv("LD_PRELOAD", list, 1) == 0;
    free(list);
    return is_set;
}

/* With NO_FOLLOW, env(1) would be the program and the script's interpreter its successor, no
 * longer preloaded: start what env would start.  0, or an exit code. */
static int skip_env(struct launch *l, int argc)
{
    const char *no_follow = getenv("PRIVHEAP_NO_FOLLOW");
    if (l->env.count == 0 || no_follow == NULL || strcmp(no_follow, "1") != 0) return 0;
    if (!l->env.is_plain)
        return ph_complain(VERB_NAME, EXIT_OWN_ERROR,
                           "--no-follow does not reach the interpreter of %s, which env starts; "
                           "write: privheap run --no-follow INTERPRETER %s",
                           l->path, l->path);
    char **words = calloc((size_t)(l->env.count + argc + 1), sizeof *words);
    if (words == NULL) return ph_complain(VERB_NAME, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
    memcpy(words, l->env.words, (size_t)l->env.count * sizeof *words);
    words[l->env.count] = strdup(l->path);
    memcpy(words + l->env.count + 1, l->argv + 1, (size_t)argc * sizeof *words);
    l->argv = words;
    snprintf(l->path, sizeof l->path, "%s", l->env.program);
    return 0;
}

static int exec_failed(const char *path)
{
    return ph_complain(VERB_NAME, errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE,
                       "cannot start %s: %s", path, strerror(errno));
}

static int start(struct launch *l, int argc, char **argv)
{
    struct verdict v = { .exit_code = 0 };
    bool can = ph_locate_program(argv[0], l->path, &v) && ph_judge(l->path, &l->env, &v)
               && ph_locate_object(l->object, &v);
    if (!can) return ph_complain(VERB_NAME, v.exit_code, "%s", v.why);
    if (!l->no_rules) ph_rules_apply(VERB_NAME, l->path);
    l->argv = argv;
    int code = skip_env(l, argc);
    if (code != 0) return code;
    if (!preload_export(l->object))
        return ph_complain(VERB_NAME, EXIT_OWN_ERROR, "cannot set LD_PRELOAD: %s",
                           strerror(errno));
    execv(l->path, l->argv);
    return exec_failed(l->path);
}

int ph_verb_run(int argc, char **argv)
{
    static struct launch l; /* static: large */
    int code = options_take(argc, argv, &l);
    if (code >= 0) return code;
    if (optind == argc)
        return ph_complain(VERB_NAME, EXIT_OWN_ERROR,
                           "which program? usage: privheap run [options] [--] PROGRAM [ARGS]");
    return start(&l, argc - optind, argv + optind);
}
