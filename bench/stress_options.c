/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_options.c -- the command line of the verb stress, and its help.
 *
 * Owns:    struct stress_settings.
 * Calls:   verb_options.c, parts.c for values.  Locks: none.
 * Why:     what can be wrong is told before the program runs. */
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "os.h"
#include "parts.h"
#include "stress_verb.h"
#include "verb_options.h"

enum word {
#define ROW(word, name, argument, help) STRESS_OPTION_##word,
#include "stress.def"
#undef ROW
    STRESS_OPTIONS
};

static const struct verb_row rows[] = {
#define ROW(word, name, argument, help) { name, argument, help },
#include "stress.def"
#undef ROW
};

enum { SEED_MOST = 999999, EXIT_FOUND = 99, EXIT_MOST = 255, SLOWDOWN_MOST = 1000000, CHECK_MOST = 1000000000, PART_MOST = 63 };

static int option_take(void *settings, unsigned which, const char *text);
static const struct verb_options options = { .verb = STRESS, .rows = rows, .count = STRESS_OPTIONS, .help = STRESS_OPTION_help,
                                             .print_help = ph_help_stress, .take = option_take };

void ph_help_stress(FILE *out)
{
    fputs("usage: privheap stress [options] [--] PROGRAM [ARGS]\n\n"
          "Run PROGRAM with each of its blocks between inaccessible memory, so that an access that misses a\n"
          "block, comes after its free, or a bad free is seen when it happens, and say what is wrong: the\n"
          "block, the distance, and who accessed, allocated and freed it.  PROGRAM needs no change.\n\n"
          "Options:\n",
          out);
    ph_verb_rows(&options, out);
    fputs("\nThe exit code is PROGRAM's own when nothing was found, else 99; 125, 126 and 127 as those of\n"
          "`privheap run`.  `privheap explain NUMBER` says what a finding means and what to do next.\n\n"
          "Example: privheap stress -- sort /etc/passwd\n",
          out);
}

/* ---- values ------------------------------------------------------------ */

static bool is_end(const char *rest) { return rest != NULL && *rest == '\0'; }

static int put_part(struct stress_settings *s, enum word which, const char *part, const char *text)
{
    if (strlen(text) > PART_MOST) return ph_verb_bad(&options, which, text, "is too long");
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
    if (!is_end(ph_part_number(text, &value))) return ph_verb_bad(&options, which, text, "is not a number of bytes such as 64m");
    return put_part(s, which, part, text);
}

static int take_number(struct stress_settings *s, enum word which, const char *part, const char *text, unsigned most)
{
    unsigned value;
    int code = ph_verb_number(&options, which, text, 0, most, &value);
    return code != 0 ? code : put_part(s, which, part, text);
}

static int take_size(struct stress_settings *s, const char *text)
{
    uint64_t least, most;
    if (!is_end(ph_part_range(text, &least, &most))) return ph_verb_bad(&options, STRESS_OPTION_size, text, "is not a range of sizes such as 100-4k");
    if (least > most) return ph_verb_bad(&options, STRESS_OPTION_size, text, "ends before it begins");
    return put_part(s, STRESS_OPTION_size, "size", text);
}

static int take_name(struct stress_settings *s, enum word which, const char *part, const char *text)
{
    char name[64];
    if (!is_end(ph_part_name(text, name, sizeof name)))
        return ph_verb_bad(&options, which, text, which == STRESS_OPTION_module ? "is no name of a module" : "is no name of a heap");
    s->has_name = true;
    return put_part(s, which, part, text);
}

static int take_rate(struct stress_settings *s, const char *text)
{
    uint64_t value = 0;
    const char *number = strncmp(text, "1/", 2) == 0 ? text + 2 : "";
    if (!is_end(ph_part_number(number, &value)) || value == 0) return ph_verb_bad(&options, STRESS_OPTION_rate, text, "is not a rate such as 1/100");
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
    return ph_verb_bad(&options, STRESS_OPTION_side, text, "is none of end, start, random and both");
}

static int take_seed(struct stress_settings *s, const char *text)
{
    if (is_end(ph_part_number(text, &s->seed)) && text[strspn(text, "0123456789")] == '\0') return 0;
    return ph_verb_bad(&options, STRESS_OPTION_seed, text, "is not a whole number");
}

static int take_exit_code(struct stress_settings *s, const char *text)
{
    unsigned value = 0;
    int code = ph_verb_number(&options, STRESS_OPTION_exit_code, text, 0, EXIT_MOST, &value);
    s->exit_code = (int)value;
    return code;
}

/* ---- the command line ---------------------------------------------------- */

static int option_take(void *settings, unsigned which, const char *text)
{
    struct stress_settings *s = settings;
    switch ((enum word)which) {
    case STRESS_OPTION_side: return take_side(s, text);
    case STRESS_OPTION_quarantine: return take_bytes(s, which, "quarantine", text);
    case STRESS_OPTION_budget: return take_bytes(s, which, "budget", text);
    case STRESS_OPTION_max_slowdown: return take_number(s, which, "slowdown", text, SLOWDOWN_MOST);
    case STRESS_OPTION_size: return take_size(s, text);
    case STRESS_OPTION_module: return take_name(s, which, "module", text);
    case STRESS_OPTION_heap: return take_name(s, which, "heap", text);
    case STRESS_OPTION_rate: return take_rate(s, text);
    case STRESS_OPTION_seed: return take_seed(s, text);
    case STRESS_OPTION_unaligned: return put_part(s, which, "unaligned", "");
    case STRESS_OPTION_check: return take_number(s, which, "check", text, CHECK_MOST);
    case STRESS_OPTION_stacks: return take_number(s, which, "stacks", text, TRACE_DEPTH);
    case STRESS_OPTION_leaks: return put_part(s, which, "leaks", "");
    case STRESS_OPTION_continue: return put_part(s, which, "continue", "");
    case STRESS_OPTION_suppress: s->suppress = text; return put_part(s, STRESS_OPTION_continue, "continue", ""); /* else it ends there */
    case STRESS_OPTION_exit_code: return take_exit_code(s, text);
    case STRESS_OPTION_json: return ph_verb_file(&options, which, text != NULL ? text : "-", true, &s->json);
    case STRESS_OPTION_sarif: return ph_verb_file(&options, which, text != NULL ? text : "-", true, &s->sarif);
    case STRESS_OPTION_log: return ph_verb_file(&options, which, text, false, &s->log);
    case STRESS_OPTION_gdb: s->gdb = true; return 0;
    case STRESS_OPTION_no_rules: s->no_rules = true; return 0;
    case STRESS_OPTION_quiet: s->is_quiet = true; return 0;
    case STRESS_OPTION_help:
    case STRESS_OPTIONS: break;
    }
    return 0;
}

/* What does not go together. */
static int judge(const struct stress_settings *s)
{
    if (s->gdb && (s->is_both || s->json != NULL || s->sarif != NULL))
        return ph_complain(STRESS, EXIT_OWN_ERROR, "--gdb takes one side, and no --json or --sarif: in the debugger nothing is collected");
    if (s->json != NULL && s->sarif != NULL && strcmp(s->json, s->sarif) == 0)
        return ph_complain(STRESS, EXIT_OWN_ERROR, "--json and --sarif cannot both go to %s", strcmp(s->json, "-") == 0 ? "standard output" : s->json);
    return -1;
}

int ph_stress_options(struct stress_settings *s, int argc, char **argv)
{
    *s = (struct stress_settings){ .side = "end", .exit_code = EXIT_FOUND, .seed = ph_os_random() % SEED_MOST + 1 };
    int code = ph_verb_options(&options, argc, argv, s);
    s->argv = argv + optind;
    return code != -1 ? code : judge(s);
}
