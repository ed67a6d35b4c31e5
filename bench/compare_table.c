/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_table.c -- results for people: two tables and the notes, on a terminal in colour; the same as
 * Markdown.
 *
 * Owns:    nothing.
 * Calls:   statistics.c for what is significant.
 * Why:     cells are made first and measured, so that columns line up whatever is in them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "compare.h"

enum { CELL_BYTES = 64 };

#define RATIO_NARROW 0.02

#define BETTER "\033[32m"
#define WORSE  "\033[31m"
#define STRONG "\033[1m"
#define FAINT  "\033[2m"
#define PLAIN  "\033[0m"

/* One table; row 0 is the heads. */
struct table {
    char cells[COMPARE_ALLOCATORS + 1][METRIC_COUNT][CELL_BYTES];
    const char *paint[COMPARE_ALLOCATORS + 1][METRIC_COUNT];
    const char *corner; /* above the names */
};

/* ---- units ------------------------------------------------------------- */

static int decimals_for(double value) { return value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3; }

/* One unit for a column, by its base; where that has no figure, by the first that has. */
static double typical(const struct comparison *c, enum metric which)
{
    double value = c->allocators[c->base].medians[which].value;
    for (unsigned i = 0; i < c->count && isnan(value); i++) value = c->allocators[i].medians[which].value;
    return isnan(value) ? 0 : value;
}

struct unit ph_compare_unit(const struct comparison *c, enum metric which)
{
    double value = typical(c, which);
    struct unit u = { .divisor = 1 };
    if (which == METRIC_RSS) {
        u = (struct unit){ .title = "peak memory", .name = "KiB", .divisor = 1024 };
        if (value >= 1 << 20) u = (struct unit){ .title = "peak memory", .name = "MiB", .divisor = 1 << 20 };
    } else if (which == METRIC_FAULTS) {
        return (struct unit){ .title = "page faults", .name = "", .divisor = 1 };
    } else {
        u = (struct unit){ .title = which == METRIC_WALL ? "wall time" : "CPU time",
                           .name = "ms",
                           .divisor = 1e-3 };
        if (value >= 10) u.divisor = 1;
        if (value >= 10) u.name = "s";
    }
    u.decimals = decimals_for(value / u.divisor);
    return u;
}

/* ---- cells ------------------------------------------------------------- */

/* Widths of the three parts of a column's cells, so that they stand below each other. */
struct widths {
    int value, low, high;
};

static void widen(struct widths *w, const struct interval *v, int decimals)
{
    int value = snprintf(NULL, 0, "%.*f", decimals, v->value),
        low = snprintf(NULL, 0, "%.*f", decimals, v->low);
    int high = snprintf(NULL, 0, "%.*f", decimals, v->high);
    if (isnan(v->value)) return;
    if (value > w->value) w->value = value;
    if (low > w->low) w->low = low;
    if (high > w->high) w->high = high;
}

static void cell(char *to, const struct interval *v, int decimals, const struct widths *w, const char *mark)
{
    if (isnan(v->value))
        snprintf(to, CELL_BYTES, "%*s", w->value, "-");
    else
        snprintf(to, CELL_BYTES, "%*.*f [%*.*f, %*.*f]%s", w->value, decimals, v->value, w->low, decimals,
                 v->low, w->high, decimals, v->high, mark);
}

static struct interval in_unit(const struct interval *v, double divisor)
{
    return (struct interval){ v->value / divisor, v->low / divisor, v->high / divisor };
}

static void fill_medians(const struct comparison *c, struct table *t)
{
    for (int which = 0; which < METRIC_COUNT; which++) {
        struct unit u = ph_compare_unit(c, (enum metric)which);
        struct widths w = { 0, 0, 0 };
        snprintf(t->cells[0][which], CELL_BYTES, "%s%s%s", u.title, *u.name == '\0' ? "" : ", ", u.name);
        for (unsigned i = 0; i < c->count; i++) {
            struct interval v = in_unit(&c->allocators[i].medians[which], u.divisor);
            widen(&w, &v, u.decimals);
        }
        for (unsigned i = 0; i < c->count; i++) {
            struct interval v = in_unit(&c->allocators[i].medians[which], u.divisor);
            cell(t->cells[i + 1][which], &v, u.decimals, &w, "");
        }
    }
}

/* A third digit where it is known: of memory and faults mostly. */
static int ratio_decimals(const struct interval *v) { return v->high - v->low < RATIO_NARROW ? 3 : 2; }

static int column_decimals(const struct comparison *c, int which)
{
    int narrow = 0, wide = 0;
    for (unsigned i = 0; i < c->count; i++) {
        const struct interval *v = &c->allocators[i].ratios[which];
        if (i == c->base || isnan(v->value)) continue;
        if (ratio_decimals(v) == 3)
            narrow++;
        else
            wide++;
    }
    return narrow > wide ? 3 : 2;
}

static void fill_ratios(const struct comparison *c, struct table *t)
{
    for (int which = 0; which < METRIC_COUNT; which++) {
        struct widths w = { 0, 0, 0 };
        int decimals = column_decimals(c, which);
        snprintf(t->cells[0][which], CELL_BYTES, "%s", ph_compare_unit(c, (enum metric)which).title);
        for (unsigned i = 0; i < c->count; i++) widen(&w, &c->allocators[i].ratios[which], decimals);
        for (unsigned i = 0; i < c->count; i++) {
            const struct allocator *a = &c->allocators[i];
            const struct interval *v = &a->ratios[which];
            bool is_sure = ph_is_significant(v, a->same_probability[which]);
            cell(t->cells[i + 1][which], v, decimals, &w, is_sure ? "" : " ~");
            if (i == c->base && !isnan(v->value))
                snprintf(t->cells[i + 1][which], CELL_BYTES, "%*.*f", w.value, decimals, 1.0);
            t->paint[i + 1][which] = !is_sure ? FAINT : v->value < 1 ? BETTER : WORSE;
        }
    }
}

/* ---- on a terminal, or anywhere ---------------------------------------- */

static int column_width(const struct comparison *c, const struct table *t, int which)
{
    size_t width = 0;
    for (unsigned i = 0; i <= c->count; i++)
        if (strlen(t->cells[i][which]) > width) width = strlen(t->cells[i][which]);
    return (int)width;
}

static int name_width(const struct comparison *c, const struct table *t)
{
    size_t width = strlen(t->corner);
    for (unsigned i = 0; i < c->count; i++)
        if (strlen(c->allocators[i].name) > width) width = strlen(c->allocators[i].name);
    return (int)width;
}

static void print_row(const struct comparison *c, const struct table *t, unsigned row, bool has_colour,
                      FILE *out)
{
    const char *name = row == 0 ? t->corner : c->allocators[row - 1].name;
    bool is_strong = has_colour && row == 0;
    fprintf(out, "%s  %-*s", is_strong ? STRONG : "", name_width(c, t), name);
    for (int which = 0; which < METRIC_COUNT; which++) {
        const char *text = t->cells[row][which], *paint = has_colour ? t->paint[row][which] : NULL;
        int rest = column_width(c, t, which) - (int)strlen(text);
        fprintf(out, "   %s%s%s", paint == NULL ? "" : paint, text, paint == NULL ? "" : PLAIN);
        if (which + 1 < METRIC_COUNT) fprintf(out, "%*s", rest, "");
    }
    fprintf(out, "%s\n", is_strong ? PLAIN : "");
}

static bool wants_colour(FILE *out)
{
    const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(fileno(out)) && (none == NULL || *none == '\0') &&
           (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

static void print_command(const struct comparison *c, FILE *out)
{
    for (char **word = c->settings.argv; *word != NULL; word++) {
        if (word != c->settings.argv || c->settings.label != NULL) fputc(' ', out);
        ph_child_word(out, *word);
    }
}

/* The first and the next in one metric, and whether that is certain. */
static void print_least(const struct comparison *c, enum metric which, bool has_colour, FILE *out)
{
    const struct allocator *first = NULL, *next = NULL;
    for (unsigned i = 0; i < c->count; i++) {
        const struct allocator *a = &c->allocators[i];
        double value = a->medians[which].value;
        if (isnan(value)) continue;
        if (first == NULL || value < first->medians[which].value) {
            next = first;
            first = a;
        } else if (next == NULL || value < next->medians[which].value)
            next = a;
    }
    unsigned rounds = c->settings.rounds;
    double *ones = next == NULL ? NULL : malloc(2 * (size_t)rounds * sizeof *ones), *others = ones + rounds;
    if (ones == NULL) return;
    ph_compare_figures(c, first, which, ones);
    ph_compare_figures(c, next, which, others);
    struct interval ratio = ph_ratio_interval(ones, others, rounds, c->settings.seed);
    bool is_sure = ph_is_significant(&ratio, ph_same_probability(ones, others, rounds));
    int digits = ratio_decimals(&ratio);
    fprintf(out, "  Least %-12s %s%s%s, %.*f [%.*f, %.*f] of %s%s\n", ph_compare_unit(c, which).title,
            has_colour ? STRONG : "", first->name, has_colour ? PLAIN : "", digits, ratio.value, digits,
            ratio.low, digits, ratio.high, next->name, is_sure ? "" : ": not significantly less");
    free(ones);
}

static void print_notes(const struct comparison *c, FILE *out)
{
    for (unsigned i = 0; i < c->note_count; i++) {
        fputs(i == 0 ? "\nNotes:\n  * " : "  * ", out);
        for (const char *at = c->notes[i]; *at != '\0'; at++)
            fputc((unsigned char)*at < ' ' ? '?' : *at, out);
        fputc('\n', out);
    }
}

static unsigned rounds_done(const struct comparison *c)
{
    unsigned most = 0;
    for (unsigned i = 0; i < c->count; i++)
        if (c->allocators[i].run_count > most) most = c->allocators[i].run_count;
    return most;
}

static void print_table(const struct comparison *c, const struct table *t, bool has_colour, FILE *out)
{
    fputc('\n', out);
    for (unsigned row = 0; row <= c->count; row++) print_row(c, t, row, has_colour, out);
}

enum { CORNER_BYTES = COMPARE_NAME_BYTES + 16 };

/* Two tables: medians, and the ratios to the base, whose corner is kept in `corner`.  The caller frees them. */
static struct table *tables_make(const struct comparison *c, const char *median, char corner[CORNER_BYTES])
{
    struct table *both = calloc(2, sizeof *both);
    if (both == NULL) return NULL;
    snprintf(corner, CORNER_BYTES, "ratio to %s", c->allocators[c->base].name);
    both[0].corner = median;
    both[1].corner = corner;
    fill_medians(c, &both[0]);
    fill_ratios(c, &both[1]);
    return both;
}

void ph_compare_table(const struct comparison *c, FILE *out)
{
    bool has_colour = wants_colour(out), has_mark = false;
    char corner[CORNER_BYTES];
    struct table *medians = tables_make(c, "median", corner), *ratios = medians + 1;
    if (medians == NULL) return;
    if (c->settings.label != NULL) fprintf(out, "%s:", c->settings.label);
    fputs(has_colour ? STRONG : "", out);
    print_command(c, out);
    fprintf(out,
            "%s\n%u run%s of each of %u allocators, in turn, order shuffled; medians, [95 %% interval]\n",
            has_colour ? PLAIN : "", rounds_done(c), rounds_done(c) == 1 ? "" : "s", c->count);
    print_table(c, medians, has_colour, out);
    print_table(c, ratios, has_colour, out);
    for (unsigned i = 1; i <= c->count; i++)
        for (int which = 0; which < METRIC_COUNT; which++)
            has_mark |= strchr(ratios->cells[i][which], '~') != NULL;
    if (has_mark) fputs("  ~ no significant difference\n", out);
    if (c->count > 1) fputc('\n', out);
    print_least(c, METRIC_WALL, has_colour, out);
    print_least(c, METRIC_CPU, has_colour, out);
    print_least(c, METRIC_RSS, has_colour, out);
    print_notes(c, out);
    free(medians);
}

/* ---- Markdown ---------------------------------------------------------- */

static void markdown_table(const struct comparison *c, const struct table *t, FILE *out)
{
    for (unsigned row = 0; row <= c->count; row++) {
        fprintf(out, "| %s |", row == 0 ? t->corner : c->allocators[row - 1].name);
        for (int which = 0; which < METRIC_COUNT; which++) {
            const char *text = t->cells[row][which];
            fprintf(out, " %s |", text + strspn(text, " "));
        }
        fputs(row == 0 ? "\n|---|---:|---:|---:|---:|\n" : "\n", out);
    }
    fputc('\n', out);
}

void ph_compare_markdown(const struct comparison *c, FILE *out)
{
    char corner[CORNER_BYTES];
    struct table *medians = tables_make(c, "median [95 % interval]", corner), *ratios = medians + 1;
    if (medians == NULL) return;
    markdown_table(c, medians, out);
    markdown_table(c, ratios, out);
    for (unsigned i = 0; i < c->note_count; i++) fprintf(out, "* %s\n", c->notes[i]);
    free(medians);
}
