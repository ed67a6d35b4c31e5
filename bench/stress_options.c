/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_options.c -- the command line of the verb stress, and its help.
 *
 * Owns:    struct stress_settings.
 * Calls:   options.c for the nearest word, parts.c for values.  Locks: none.
 * Why:     what can be wrong is told before the program runs. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "options.h"
#include "os.h"
#include "parts.h"
#include "stress_verb.h"

enum word {
#define ROW(word, name, argument, help) STRESS_OPTION_##word,
#include "stress.def"
#undef ROW
    STRESS_OPTIONS
};

static const struct row {
    const char *name, *argument, *help;
} rows[] = {
#define ROW(word, name, argument, help) { name, argument, help },
#include "stress.def"
#undef ROW
};

enum { LETTERS = 256, /* getopt_long's value of row 0; below it are letters */ SEED_MOST = 999999, EXIT_FOUND = 99, EXIT_MOST = 255 };

void ph_help_stress(FILE *out)
{
    fputs("usage: privheap stress [options] [--] PROGRAM [ARGS]\n\n"
          "Run PROGRAM with each of its blocks between inaccessible memory, so that an access that misses a\n"
          "block, comes after its free, or a bad free is seen when it happens, and say what is wrong: the\n"
          "block, the distance, and who accessed, allocated and freed it.  PROGRAM needs no change.\n\n"
          "Options:\n",
          out);
    for (int i = 0; i < STRESS_OPTIONS; i++) {
        const char *argument = rows[i].argument;
        bool is_optional = *argument == '[';
        fprintf(out, "  --%s%s%s\n        %s\n", rows[i].name, *argument == '\0' ? "" : is_optional ? "[=" : "=",
                argument + is_optional, rows[i].help);
    }
    fputs("\nThe exit code is PROGRAM's own when nothing was found, else 99; 125, 126 and 127 as those of\n"
          "`privheap run`.  `privheap explain NUMBER` says what a finding means and what to do next.\n\n"
          "Example: privheap stress -- sort /etc/passwd\n",
          out);
}

/* ---- values ------------------------------------------------------------ */

static int bad_value(enum word which, const char *text, const char *wanted)
{
    return ph_complain(STRESS, EXIT_OWN_ERROR, "--%s: \"%.64s%s\" %s", rows[which].name, text, strlen(text) > 64 ? "..." : "", wanted);
}

static bool is_end(const char *rest) { return rest != NULL && *rest == '\0'; }

static int put_part(struct stress_settings *s, enum word which, const char *part, const char *text)
{
    for (unsigned i = 0; i < s->part_count; i++)
        if (strcmp(s->parts[i].part, part) == 0) {
            s->parts[i].value = text; /* the last one holds */
            return 0;
        }
    s->parts[s->part_count++] = (struct stress_part){ rows[which].name, part, text };
    return 0;
}

static int take_bytes(struct stress_settings *s, enum word which, const char *part, const char *text)
{
    uint64_t value;
    if (!is_end(ph_part_number(text, &value))) return bad_value(which, text, "is not a number of bytes such as 64m");
    return put_part(s, which, part, text);
}

static int take_number(struct stress_settings *s, enum word which, const char *part, const char *text, uint64_t most, const char *wanted)
{
    uint64_t value;
    bool is_number = is_end(ph_part_number(text, &value)) && text[strspn(text, "0123456789")] == '\0';
    if (!is_number || value > most) return bad_value(which, text, wanted);
    return put_part(s, which, part, text);
}

static int take_size(struct stress_settings *s, const char *text)
{
    uint64_t least, most;
    if (!is_end(ph_part_range(text, &least, &most))) return bad_value(STRESS_OPTION_size, text, "is not a range of sizes such as 100-4k");
    if (least > most) return bad_value(STRESS_OPTION_size, text, "ends before it begins");
    return put_part(s, STRESS_OPTION_size, "size", text);
}

static int take_name(struct stress_settings *s, enum word which, const char *part, const char *text)
{
    char name[64];
    if (!is_end(ph_part_name(text, name, sizeof name)))
        return bad_value(which, text, which == STRESS_OPTION_module ? "is no name of a module" : "is no name of a heap");
    return put_part(s, which, part, text);
}

static int take_rate(struct stress_settings *s, const char *text)
{
    uint64_t value = 0;
    const char *number = strncmp(text, "1/", 2) == 0 ? text + 2 : "";
    if (!is_end(ph_part_number(number, &value)) || value == 0) return bad_value(STRESS_OPTION_rate, text, "is not a rate such as 1/100");
    return put_part(s, STRESS_OPTION_rate, "rate", text);
}

static int take_side(struct stress_settings *s, const char *text)
{
    static const char *const words[] = { "end", "start", "random", "both" };
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(text, words[i]) == 0) {
            s->is_both = i == 3;
            s->side = words[s->is_both ? 0 : i];
            return 0;
        }
    return bad_value(STRESS_OPTION_side, text, "is none of end, start, random and both");
}

static int take_seed(struct stress_settings *s, const char *text)
{
    if (is_end(ph_part_number(text, &s->seed)) && text[strspn(text, "0123456789")] == '\0') return 0;
    return bad_value(STRESS_OPTION_seed, text, "is not a whole number");
}

static int take_exit_code(struct stress_settings *s, const char *text)
{
    uint64_t value;
    if (!is_end(ph_part_number(text, &value)) || value > EXIT_MOST)
        return bad_value(STRESS_OPTION_exit_code, text, "is not an exit code, 0 to 255");
    s->exit_code = (int)value;
    return 0;
}

static int help_print(void)
{
    ph_help_stress(stdout);
    return ph_output_end(STRESS);
}

/* ---- the command line ---------------------------------------------------- */

/* 0, or an exit code; -2: help is to be printed. */
static int option_take(struct stress_settings *s, enum word which, const char *text)
{
    switch (which) {
    case STRESS_OPTION_side: return take_side(s, text);
    case STRESS_OPTION_quarantine: return take_bytes(s, which, "quarantine", text);
    case STRESS_OPTION_budget: return take_bytes(s, which, "budget", text);
    case STRESS_OPTION_max_slowdown: return take_number(s, which, "slowdown", text, 1000000, "is not a whole number, 0 to 1000000");
    case STRESS_OPTION_size: return take_size(s, text);
    case STRESS_OPTION_module: return take_name(s, which, "module", text);
    case STRESS_OPTION_heap: return take_name(s, which, "heap", text);
    case STRESS_OPTION_rate: return take_rate(s, text);
    case STRESS_OPTION_seed: return take_seed(s, text);
    case STRESS_OPTION_unaligned: return put_part(s, which, "unaligned", "");
    case STRESS_OPTION_check: return take_number(s, which, "check", text, UINT32_MAX, "is not a whole number");
    case STRESS_OPTION_stacks: return take_number(s, which, "stacks", text, TRACE_DEPTH, "is not a depth, 0 to 16");
    case STRESS_OPTION_leaks: return put_part(s, which, "leaks", "");
    case STRESS_OPTION_continue: s->goes_on = true; return put_part(s, which, "continue", "");
    case STRESS_OPTION_suppress: s->suppress = text; return 0;
    case STRESS_OPTION_exit_code: return take_exit_code(s, text);
    case STRESS_OPTION_json: s->json = text != NULL ? text : "-"; return 0;
    case STRESS_OPTION_sarif: s->sarif = text != NULL ? text : "-"; return 0;
    case STRESS_OPTION_log: s->log = text; return 0;
    case STRESS_OPTION_gdb: s->gdb = true; return 0;
    case STRESS_OPTION_no_rules: s->no_rules = true; return 0;
    case STRESS_OPTION_quiet: s->is_quiet = true; return 0;
    case STRESS_OPTION_help:
    case STRESS_OPTIONS: break;
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
    for (int i = 0; i < STRESS_OPTIONS; i++) {
        unsigned distance = ph_word_distance(name, rows[i].name);
        if (distance >= least) continue;
        least = distance;
        near = rows[i].name;
    }
    if (near != NULL && least == 0) return ph_complain(STRESS, EXIT_OWN_ERROR, "--%s takes no value", near);
    if (near != NULL) return ph_complain(STRESS, EXIT_OWN_ERROR, "'%s' is not an option; did you mean --%s?", word, near);
    return ph_complain(STRESS, EXIT_OWN_ERROR, "'%s' is not an option; `privheap help stress` lists them", word);
}

static int argument_kind(const char *argument)
{
    return *argument == '\0' ? no_argument : *argument == '[' ? optional_argument : required_argument;
}

/* What does not go together. */
static int judge(const struct stress_settings *s)
{
    if (s->gdb && (s->is_both || s->json != NULL || s->sarif != NULL))
        return ph_complain(STRESS, EXIT_OWN_ERROR, "--gdb takes one side, and no --json or --sarif: in the debugger nothing is collected");
    if (s->json != NULL && s->sarif != NULL && strcmp(s->json, s->sarif) == 0)
        return ph_complain(STRESS, EXIT_OWN_ERROR, "--json and --sarif cannot both go to %s", strcmp(s->json, "-") == 0 ? "standard output" : s->json);
    if (s->argv[0] != NULL) return -1;
    return ph_complain(STRESS, EXIT_OWN_ERROR, "which program? usage: privheap stress [options] [--] PROGRAM [ARGS]");
}

int ph_stress_options(struct stress_settings *s, int argc, char **argv)
{
    struct option switches[STRESS_OPTIONS + 1];
    int code = 0;
    *s = (struct stress_settings){ .side = "end", .exit_code = EXIT_FOUND, .seed = ph_os_random() % SEED_MOST + 1 };
    for (int i = 0; i < STRESS_OPTIONS; i++)
        switches[i] = (struct option){ .name = rows[i].name, .val = LETTERS + i, .has_arg = argument_kind(rows[i].argument) };
    switches[STRESS_OPTIONS] = (struct option){ .name = NULL };
    opterr = 0;
    while (code == 0) {
        optopt = 0;
        int which = getopt_long(argc, argv, "+:h", switches, NULL);
        if (which == -1) break;
        if (which == ':') return ph_complain(STRESS, EXIT_OWN_ERROR, "%s needs a value", argv[optind - 1]);
        if (which == '?') return unknown_option(argv[optind - 1]);
        code = which == 'h' ? -2 : option_take(s, (enum word)(which - LETTERS), optarg);
    }
    if (code == -2) return help_print();
    if (code != 0) return code;
    s->argv = argv + optind;
    return judge(s);
}
