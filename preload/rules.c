/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* rules.c -- the verb rules: keeps settings for programs, and tells which would apply.
 *
 * Owns:    the actions, and what they print.
 * Calls:   rulesfile.c, rulesmatch.c, ruleschange.c; settings.c for values; locate.c.
 * Why:     a setting that run would have to complain about is refused when it is added, where
 *          somebody reads it. */
#include "rules.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

#define VERB_NAME "rules"
#define USAGE "privheap rules add|list|remove|show [--system | --file=FILE] [PROGRAM] [OPTION=VALUE...]"

enum { EXIT_NOTHING = 1 }; /* there was nothing to remove */
enum { SWITCH_SYSTEM = 256, SWITCH_FILE };

/* What was asked for. */
struct request {
    bool is_system;
    const char *file;
    char program[SETTING_VALUE_BYTES];
    char **words; /* behind the program */
};

static struct rules_file files[RULES_PLACES];

void ph_help_rules(FILE *out)
{
    fputs("usage: privheap rules add [--system | --file=FILE] PROGRAM OPTION[=VALUE]...\n"
          "       privheap rules remove [--system | --file=FILE] PROGRAM [OPTION...]\n"
          "       privheap rules list [--system | --file=FILE]\n"
          "       privheap rules show PROGRAM\n\n"
          "Keep settings for PROGRAM, which `privheap run` then applies whenever it starts it.\n"
          "PROGRAM is a name, a path, or a pattern of one with *, ? and [ ]; the options are those\n"
          "of `privheap run`.\n\n"
          "  add       keep these settings for PROGRAM\n"
          "  remove    forget these settings of PROGRAM, or all of them\n"
          "  list      print all rules, and what is wrong with any\n"
          "  show      print what would apply to PROGRAM, and where that comes from\n\n"
          "Options:\n"
          "  --system\n        use the system's rules, " RULES_SYSTEM_FILE ", not yours\n"
          "  --file=FILE\n        use the rules in FILE\n"
          "  -h, --help\n        print this\n\n"
          "Your rules are in $XDG_CONFIG_HOME/privheap/rules, else in ~/.config/privheap/rules;\n"
          "privheap-rules(5) describes the file, and which rule wins.  The exit code is 0; 1: there\n"
          "was nothing to remove, 2: wrong use, 125: a file cannot be read or written.\n\n"
          "Example: privheap rules add /opt/old/editor mode=tolerant log=/tmp/editor.%p.log\n",
          out);
}

static int refuse(const struct verdict *v)
{
    return ph_complain(VERB_NAME, v->exit_code, "%s", v->why);
}

/* ---- which file, which program ----------------------------------------- */

/* The one file to change, or to list. */
static int choose_file(const struct request *r, struct rules_file *file)
{
    ph_rules_places(files);
    const char *path = files[r->is_system ? RULES_SYSTEM : RULES_USER].path;
    if (r->file != NULL) {
        if (*r->file != '\0' && ph_path_absolute(r->file, file->path)) return 0;
        return ph_complain(VERB_NAME, EXIT_USAGE, "--file needs the name of a file");
    }
    if (*path == '\0')
        return ph_complain(VERB_NAME, EXIT_OWN_ERROR,
                           "neither XDG_CONFIG_HOME nor HOME says where your rules are; "
                           "--system or --file=FILE names others");
    snprintf(file->path, sizeof file->path, "%s", path);
    return 0;
}

/* A path from here becomes one from the root; a name stays. */
static int take_program(struct request *r, const char *word)
{
    struct program_names names;
    bool is_rooted = word[0] != '\0' && strchr("/*?[", word[0]) != NULL;
    snprintf(r->program, sizeof r->program, "%s", word);
    if (strchr(word, '/') != NULL && !is_rooted) {
        ph_rules_names(word, &names);
        snprintf(r->program, sizeof r->program, "%s", *names.in_folder != '\0' ? names.in_folder : names.found);
    }
    const char *wrong = strlen(word) >= LOCATE_PATH_BYTES ? "is too long" : ph_rules_bad_program(r->program);
    return wrong == NULL ? 0 : ph_complain(VERB_NAME, EXIT_USAGE, "'%.128s': %s", word, wrong);
}

static int check_privilege(void)
{
    if (!ph_rules_are_off()) return 0;
    return ph_complain(VERB_NAME, EXIT_OWN_ERROR, "rules are ignored: this command has privileges of its own (AT_SECURE)");
}

/* ---- add, remove ------------------------------------------------------- */

/* NAME=VALUE, --NAME=VALUE, or a flag alone; text is NULL without a value. */
static const char *split(const char *word, char name[SETTING_NAME_BYTES])
{
    word += strncmp(word, "--", 2) == 0 ? 2 : 0;
    size_t bytes = strcspn(word, "=");
    snprintf(name, SETTING_NAME_BYTES, "%.*s", bytes < SETTING_NAME_BYTES ? (int)bytes : SETTING_NAME_BYTES, word);
    return word[bytes] == '=' ? word + bytes + 1 : NULL;
}

static bool add_one(struct rules_file *file, const char *program, const char *word, bool *is_new, struct verdict *v)
{
    char name[SETTING_NAME_BYTES], value[SETTING_VALUE_BYTES];
    const char *text = split(word, name);
    enum option_id which = ph_setting_called(name);
    if (which == OPT_COUNT) return ph_rules_unknown_option(name, v);
    if (text == NULL && ph_option_rows[which].type == OPTION_flag) text = "1";
    if (!ph_setting_take(which, text, "", EXIT_USAGE, value, v)) return false;
    const char *wrong = ph_rules_bad_value(value);
    if (wrong != NULL) return ph_verdict(v, EXIT_USAGE, "%s: \"%.64s\" %s", name, value, wrong);
    return ph_rules_set(file, program, which, value, is_new)
           || ph_verdict(v, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
}

static int add(const struct request *r)
{
    static struct rules_file file;
    struct verdict v;
    bool is_new = false;
    if (*r->words == NULL)
        return ph_complain(VERB_NAME, EXIT_USAGE, "which settings? write: privheap rules add %s OPTION=VALUE", r->program);
    int code = choose_file(r, &file);
    if (code != 0) return code;
    if (!ph_rules_open(&file, r->file != NULL ? RULES_NEW : RULES_NEW_USUAL, &v)) return refuse(&v);
    for (char **word = r->words; *word != NULL; word++)
        if (!add_one(&file, r->program, *word, &is_new, &v)) return refuse(&v);
    return !is_new || ph_rules_save(&file, &v) ? 0 : refuse(&v);
}

static int nothing(const struct request *r, const struct rules_file *file, const char *name)
{
    return ph_complain(VERB_NAME, EXIT_NOTHING, "there is no %s for %s in %s", name, r->program, file->path);
}

static int remove_some(const struct request *r)
{
    static struct rules_file file;
    struct verdict v;
    char name[SETTING_NAME_BYTES];
    int code = choose_file(r, &file);
    if (code != 0) return code;
    if (!ph_rules_open(&file, RULES_OLD, &v)) return refuse(&v);
    if (*r->words == NULL && ph_rules_unset(&file, r->program, NULL) == 0) return nothing(r, &file, "rule");
    for (char **word = r->words; *word != NULL; word++) {
        split(*word, name);
        if (ph_rules_unset(&file, r->program, name) == 0) return nothing(r, &file, name);
    }
    return ph_rules_save(&file, &v) ? 0 : refuse(&v);
}

/* ---- list, show -------------------------------------------------------- */

static void list_file(const struct rules_file *file)
{
    char name[SETTING_NAME_BYTES];
    bool has_rules = false;
    if (file->path[0] == '\0') return;
    for (size_t i = 0; i < file->count; i++) {
        const struct rules_line *line = &file->lines[i];
        if (line->kind != LINE_SETTING) continue;
        has_rules = true;
        ph_setting_name(line->which, name);
        printf("%s:%u: [%s] %s = %s\n", file->path, line->number, line->program, name, line->value);
    }
    if (!has_rules && file->why[0] == '\0') printf("%s: no rules\n", file->path);
}

static int list(const struct request *r)
{
    if (r->file != NULL || r->is_system) {
        int code = choose_file(r, &files[RULES_USER]);
        if (code != 0) return code;
        files[RULES_SYSTEM].path[0] = '\0';
    } else {
        ph_rules_places(files);
    }
    ph_rules_read_all(files);
    for (int i = 0; i < RULES_PLACES; i++) list_file(&files[i]);
    ph_output_flush(); /* before what goes to standard error */
    ph_rules_complain(VERB_NAME, files, NULL, UINT_MAX);
    bool is_read = files[RULES_SYSTEM].why[0] == '\0' && files[RULES_USER].why[0] == '\0';
    return ph_output_end(VERB_NAME) != 0 || !is_read ? EXIT_OWN_ERROR : 0;
}

static void print_setting(enum option_id which, const char *value)
{
    char name[SETTING_NAME_BYTES], text[SETTING_NAME_BYTES + SETTING_VALUE_BYTES + 4];
    ph_setting_name(which, name);
    snprintf(text, sizeof text, "--%s=%s", name, value);
    printf("  %-24s ", text);
}

static void print_source(const struct rules_file *file, const struct rules_line *line, const char *what)
{
    printf("%s:%u: [%s]%s\n", file->path, line->number, line->program, what);
}

static unsigned show_used(const struct rules_choice choices[OPT_COUNT])
{
    unsigned count = 0;
    for (int i = 0; i < OPT_COUNT; i++) {
        const char *given = ph_setting_given((enum option_id)i);
        if (given == NULL && choices[i].line == NULL) continue;
        count++;
        print_setting((enum option_id)i, given != NULL ? given : choices[i].line->value);
        if (given != NULL) printf("environment: PRIVHEAP_%s\n", ph_option_rows[i].name);
        else print_source(choices[i].file, choices[i].line, "");
    }
    return count;
}

static void show_overruled(const struct program_names *names, const struct rules_choice choices[OPT_COUNT])
{
    for (int place = RULES_PLACES - 1; place >= 0; place--)
        for (size_t i = 0; i < files[place].count; i++) {
            const struct rules_line *line = &files[place].lines[i];
            if (line->kind != LINE_SETTING || !ph_rules_matches(line->program, names)) continue;
            if (choices[line->which].line == line && ph_setting_given(line->which) == NULL) continue;
            print_setting(line->which, line->value);
            print_source(&files[place], line, ", overruled");
        }
}

/* The names of a program that is not there: as it was called. */
static bool find_names(const char *word, struct program_names *names)
{
    char path[LOCATE_PATH_BYTES];
    struct verdict v;
    bool is_found = ph_locate_program(word, path, &v);
    if (is_found || strchr(word, '/') != NULL) ph_rules_names(is_found ? path : word, names);
    else snprintf(names->found, sizeof names->found, "%s", word);
    return is_found;
}

static int show(const struct request *r)
{
    static struct program_names names;
    struct rules_choice choices[OPT_COUNT];
    bool is_found = find_names(r->program, &names);
    ph_rules_places(files);
    ph_rules_read_all(files);
    ph_rules_complain(VERB_NAME, files, &names, UINT_MAX);
    ph_rules_choose(files, &names, choices);
    bool is_link = is_found && strcmp(names.found, names.resolved) != 0;
    printf("%s%s%s%s%s\n", names.found, is_link ? " (which is " : "", is_link ? names.resolved : "", is_link ? ")" : "",
           is_found ? "" : " (not found)");
    if (show_used(choices) == 0) puts("  no rule applies");
    show_overruled(&names, choices);
    return ph_output_end(VERB_NAME);
}

/* ---- the words --------------------------------------------------------- */

static const struct action {
    const char *name;
    int (*act)(const struct request *r);
    bool takes_program, takes_words, takes_file;
} actions[] = {
    { "add", add, true, true, true },
    { "list", list, false, false, true },
    { "remove", remove_some, true, true, true },
    { "show", show, true, false, false },
};

enum { ACTION_COUNT = sizeof actions / sizeof actions[0] };

static const struct action *action_called(const char *name)
{
    for (int i = 0; i < ACTION_COUNT; i++)
        if (strcmp(actions[i].name, name) == 0) return &actions[i];
    return NULL;
}

static int unknown_action(const char *name)
{
    for (int i = 0; i < ACTION_COUNT; i++)
        if (ph_word_distance(name, actions[i].name) != WORD_FAR)
            return ph_complain(VERB_NAME, EXIT_USAGE, "'%s' is not an action; did you mean '%s'?", name,
                               actions[i].name);
    return ph_complain(VERB_NAME, EXIT_USAGE, "'%s' is not an action; usage: " USAGE, name);
}

/* Take the switches; -1 to go on at optind, else an exit code. */
static int switches_take(int argc, char **argv, struct request *r)
{
    static const struct option switches[] = { { .name = "system", .val = SWITCH_SYSTEM },
                                              { .name = "file", .has_arg = required_argument, .val = SWITCH_FILE },
                                              { .name = "help", .val = 'h' },
                                              { .name = NULL } };
    opterr = 0;
    for (;;) {
        int which = getopt_long(argc, argv, "+:h", switches, NULL);
        if (which == -1) return -1;
        if (which == 'h') {
            ph_help_rules(stdout);
            return ph_output_end(VERB_NAME);
        }
        if (which == ':') return ph_complain(VERB_NAME, EXIT_USAGE, "--file needs the name of a file");
        if (which == '?')
            return ph_complain(VERB_NAME, EXIT_USAGE, "'%s' is not an option of rules; settings stand behind PROGRAM",
                               argv[optind - 1]);
        if (which == SWITCH_SYSTEM) r->is_system = true;
        if (which == SWITCH_FILE) r->file = optarg;
    }
}

static int check_words(const struct action *action, const struct request *r, int count)
{
    if (r->is_system && r->file != NULL) return ph_complain(VERB_NAME, EXIT_USAGE, "--system and --file exclude each other");
    if ((r->is_system || r->file != NULL) && !action->takes_file)
        return ph_complain(VERB_NAME, EXIT_USAGE, "%s tells of all files; leave --system and --file out", action->name);
    if (count == 0 && action->takes_program)
        return ph_complain(VERB_NAME, EXIT_USAGE, "which program? usage: " USAGE);
    if (count > action->takes_program && !action->takes_words)
        return ph_complain(VERB_NAME, EXIT_USAGE, "%s takes %s", action->name,
                           action->takes_program ? "one program" : "no program; write: privheap rules show PROGRAM");
    return 0;
}

int ph_verb_rules(int argc, char **argv)
{
    static struct request r; /* static: large */
    if (argc < 2) return ph_complain(VERB_NAME, EXIT_USAGE, "what shall be done? usage: " USAGE);
    const struct action *action = action_called(argv[1]);
    if (action == NULL) return unknown_action(argv[1]);
    argc--, argv++;
    int code = switches_take(argc, argv, &r);
    if (code >= 0) return code;
    code = check_words(action, &r, argc - optind);
    if (code == 0) code = check_privilege();
    if (code != 0 || !action->takes_program) return code != 0 ? code : action->act(&r);
    r.words = argv + optind + 1;
    if (action->act == show) snprintf(r.program, sizeof r.program, "%s", argv[optind]);
    else code = take_program(&r, argv[optind]);
    return code != 0 ? code : action->act(&r);
}
