/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* explain.c -- the verb explain: what a diagnostic's number means, what likely causes it, what to do next.
 *
 * Owns:    the table of explanations.
 * Calls:   options.c for the nearest word.  Locks: none.
 * Why:     the text is privheap-diagnostics(7), made into C when the command is built (bench/explain.awk): nothing
 *          stands twice, and none of it is missing where the manual pages are not installed. */
#include "explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "command.h"
#include "options.h"

#define EXPLAIN "explain" /* the verb, in messages */

enum { NAME_BYTES = 32 };

static const struct section {
    unsigned number;
    const char *text;
} sections[] = {
#define EXPLANATION(number, text) { number, text },
#include "explain.inc"
#undef EXPLANATION
};

static struct explanation table[] = {
#define DIAGNOSTIC(number, name, words) { number, #name, words, "" },
#include "diagnostics.def"
#undef DIAGNOSTIC
};
enum { KINDS = sizeof table / sizeof table[0] };
static char names[KINDS][NAME_BYTES];

/* ---- the table -------------------------------------------------------------- */

/* DOUBLE_FREE -> double-free */
static void name_fill(char *name, const char *from)
{
    snprintf(name, NAME_BYTES, "%s", from);
    for (; *name != '\0'; name++) {
        if (*name >= 'A' && *name <= 'Z') *name = (char)(*name + 32);
        if (*name == '_') *name = '-';
    }
}

static void table_fill(void)
{
    static bool is_filled;
    if (is_filled) return;
    is_filled = true;
    for (size_t i = 0; i < KINDS; i++) {
        name_fill(names[i], table[i].name);
        table[i].name = names[i];
        for (size_t s = 0; s < sizeof sections / sizeof sections[0]; s++)
            if (sections[s].number == table[i].number) table[i].text = sections[s].text;
    }
}

const struct explanation *ph_explanations(size_t *count)
{
    table_fill();
    *count = KINDS;
    return table;
}

const struct explanation *ph_explanation(unsigned number)
{
    table_fill();
    for (size_t i = 0; i < KINDS; i++)
        if (table[i].number == number) return &table[i];
    return NULL;
}

const struct explanation *ph_explanation_called(const char *text)
{
    table_fill();
    const char *digits = strncasecmp(text, "PH", 2) == 0 ? text + 2 : text;
    if (*digits != '\0' && strlen(digits) < 6 && digits[strspn(digits, "0123456789")] == '\0')
        return ph_explanation((unsigned)strtoul(digits, NULL, 10));
    for (size_t i = 0; i < KINDS; i++)
        if (strcasecmp(table[i].name, text) == 0) return &table[i];
    return NULL;
}

/* ---- the verb ----------------------------------------------------------------- */

void ph_help_explain(FILE *out)
{
    fputs("usage: privheap explain [NUMBER | WORD]...\n\n"
          "Say what the number of a report means, what is likely to cause it, and what to do next.  NUMBER is\n"
          "PH112 or 112; WORD is a name of the list, or part of one.  Without either, all numbers are listed.\n\n"
          "Example: privheap explain PH112\n",
          out);
}

static void list(void)
{
    size_t count;
    const struct explanation *all = ph_explanations(&count);
    for (size_t i = 0; i < count; i++) printf("PH%u  %-22s %s\n", all[i].number, all[i].name, all[i].words);
}

static void print(const struct explanation *ex)
{
    static bool is_next;
    printf("%sPH%u %s\n\n%s", is_next ? "\n" : "", ex->number, ex->words, ex->text);
    is_next = true;
}

static bool print_all_with(const char *word)
{
    bool is_any = false;
    size_t count;
    const struct explanation *all = ph_explanations(&count);
    for (size_t i = 0; i < count && strlen(word) > 2; i++) {
        if (strcasestr(all[i].name, word) == NULL && strcasestr(all[i].words, word) == NULL) continue;
        print(&all[i]);
        is_any = true;
    }
    return is_any;
}

static int unknown(const char *word)
{
    size_t count, near = 0;
    unsigned least = WORD_FAR;
    const struct explanation *all = ph_explanations(&count);
    for (size_t i = 0; i < count; i++) {
        unsigned distance = ph_word_distance(word, all[i].name);
        if (distance >= least) continue;
        least = distance;
        near = i;
    }
    if (least != WORD_FAR)
        return ph_complain(EXPLAIN, EXIT_OWN_ERROR, "'%s' is no kind of report; did you mean '%s' (PH%u)?", word, all[near].name, all[near].number);
    return ph_complain(EXPLAIN, EXIT_OWN_ERROR, "'%s' is no report's number; `privheap explain` lists them", word);
}

int ph_verb_explain(int argc, char **argv)
{
    int code = 0;
    if (argc > 1 && strcmp(argv[1], "--") == 0) argc--, argv++;
    if (argc < 2) list();
    for (int i = 1; i < argc && code == 0; i++) {
        const struct explanation *ex = ph_explanation_called(argv[i]);
        if (argv[i][0] == '-')
            code = ph_complain(EXPLAIN, EXIT_OWN_ERROR, "'%s' is not an option; `privheap help explain` says what there is", argv[i]);
        else if (ex != NULL && strcasecmp(ex->name, argv[i]) != 0)
            print(ex);
        else if (!print_all_with(argv[i]))
            code = unknown(argv[i]);
    }
    return ph_output_end(EXPLAIN) != 0 ? EXIT_OWN_ERROR : code;
}
