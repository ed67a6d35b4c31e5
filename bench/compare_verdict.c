/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_verdict.c -- what the runs say: which of them count, medians and ratios, and what must be told.
 *
 * Owns:    struct allocator's results, the notes.
 * Calls:   statistics.c, compare_noise.c.
 * Why:     a program that ends early because an allocator broke it looks fast; so only runs that ended as the
 *          base's count, and every difference is said. */
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "command.h"
#include "compare.h"

enum { RUNS_FEW = 6, WIDE_PERCENT = 10 };

const char *const ph_metric_keys[METRIC_COUNT] = { "real_time", "cpu_time", "peak_rss_bytes", "page_faults" };

/* ---- notes ------------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static void note_add(struct comparison *c, const char *format,
                                                           va_list arguments)
{
    char *text;
    if (c->note_count == COMPARE_NOTES || vasprintf(&text, format, arguments) < 0) return;
    c->notes[c->note_count++] = text;
}

void ph_note(struct comparison *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note_add(c, format, arguments);
    va_end(arguments);
}

void ph_finding(struct comparison *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note_add(c, format, arguments);
    va_end(arguments);
    c->has_finding = true;
}

/* "exit code 3", "killed by SIGSEGV" */
static const char *ending(int status, char room[64])
{
    static const struct {
        int number;
        const char *name;
    } names[] = { { SIGSEGV, "SIGSEGV" }, { SIGABRT, "SIGABRT" }, { SIGBUS, "SIGBUS" },
                  { SIGILL, "SIGILL" },   { SIGFPE, "SIGFPE" },   { SIGKILL, "SIGKILL" },
                  { SIGTERM, "SIGTERM" }, { SIGPIPE, "SIGPIPE" } };
    if (!WIFSIGNALED(status))
        snprintf(room, 64, "exit code %d", WEXITSTATUS(status));
    else
        snprintf(room, 64, "killed by signal %d", WTERMSIG(status));
    for (size_t i = 0; i < sizeof names / sizeof names[0] && WIFSIGNALED(status); i++)
        if (names[i].number == WTERMSIG(status)) snprintf(room, 64, "killed by %s", names[i].name);
    return room;
}

/* The end of what the program said, as one line. */
static const char *last_words(const struct allocator *a, char room[COMPARE_TAIL_BYTES + 32])
{
    char text[COMPARE_TAIL_BYTES];
    size_t used = 0;
    for (const char *at = a->error_tail; *at != '\0'; at++) {
        bool is_plain = (unsigned char)*at >= ' ' && *at != 0x7f;
        text[used++] = *at == '\n' || *at == '\t' ? ' ' : is_plain ? *at : '?';
    }
    while (used > 0 && text[used - 1] == ' ') used--;
    text[used] = '\0';
    snprintf(room, COMPARE_TAIL_BYTES + 32, used == 0 ? "%s" : "; it said: %s", text);
    return room;
}

/* ---- which runs count -------------------------------------------------- */

/* The status that most runs of the base had. */
static int usual_status(const struct allocator *base)
{
    int usual = 0;
    unsigned most = 0;
    for (unsigned i = 0; i < base->run_count; i++) {
        unsigned alike = 0;
        for (unsigned j = 0; j < base->run_count; j++)
            alike += base->runs[j].status == base->runs[i].status && !base->runs[j].is_timed_out;
        if (alike > most) usual = base->runs[i].status;
        if (alike > most) most = alike;
    }
    return usual;
}

static void judge_endings(struct comparison *c, struct allocator *a, int usual)
{
    char room[64], words[COMPARE_TAIL_BYTES + 32], other[64];
    int wrong_status = 0;
    for (unsigned i = 0; i < a->run_count; i++) {
        struct run *r = &a->runs[i];
        r->is_wrong = r->is_timed_out || r->status != usual;
        a->wrong += r->is_wrong;
        if (r->is_wrong) wrong_status = r->status;
    }
    if (a->is_given_up)
        ph_finding(c, "%s: a run took longer than --timeout; it was run no more", a->name);
    else if (a->wrong > 0)
        ph_finding(c, "%s: %u of %u runs ended differently (%s, not %s) and do not count%s", a->name,
                   a->wrong, a->run_count, ending(wrong_status, room), ending(usual, other),
                   last_words(a, words));
}

/* Of the runs that count: the same figure in all?  Into *bytes. */
static bool same_output(const struct allocator *a, bool is_error, uint64_t *bytes)
{
    bool is_first = true;
    for (unsigned i = 0; i < a->run_count; i++) {
        uint64_t one = is_error ? a->runs[i].error_bytes : a->runs[i].output_bytes;
        if (a->runs[i].is_wrong) continue;
        if (!is_first && one != *bytes) return false;
        *bytes = one;
        is_first = false;
    }
    return !is_first;
}

static void judge_output(struct comparison *c, bool is_error)
{
    const struct allocator *base = &c->allocators[c->base];
    const char *what = is_error ? "standard error" : "standard output";
    uint64_t usual = 0, bytes = 0;
    if (c->settings.shows_output || base->wrong == base->run_count) return;
    if (!same_output(base, is_error, &usual)) {
        ph_note(c, "the program's %s differs in size from run to run under %s: not checked", what,
                base->name);
        return;
    }
    for (unsigned i = 0; i < c->count; i++) {
        const struct allocator *a = &c->allocators[i];
        if (a->wrong == a->run_count || (same_output(a, is_error, &bytes) && bytes == usual)) continue;
        if (same_output(a, is_error, &bytes))
            ph_finding(c, "%s: the program wrote %llu bytes to %s, not %llu", a->name,
                       (unsigned long long)bytes, what, (unsigned long long)usual);
        else
            ph_finding(c, "%s: what the program wrote to %s differs in size from run to run", a->name, what);
    }
}

static void judge_status(struct comparison *c)
{
    const struct allocator *base = &c->allocators[c->base];
    char room[64], words[COMPARE_TAIL_BYTES + 32];
    int usual = usual_status(base);
    for (unsigned i = 0; i < c->count; i++) judge_endings(c, &c->allocators[i], usual);
    if (usual != 0 && base->run_count > 0)
        ph_note(c, "the program ended with %s under %s too%s", ending(usual, room), base->name,
                last_words(base, words));
    judge_output(c, false);
    judge_output(c, true);
}

static void judge_outliers(struct comparison *c, struct allocator *a)
{
    unsigned rounds = c->settings.rounds;
    double *figures = malloc(rounds * sizeof *figures);
    bool *is_outlier = calloc(rounds, sizeof *is_outlier);
    if (figures != NULL && is_outlier != NULL && !c->settings.keeps_outliers) {
        ph_compare_figures(c, a, METRIC_WALL, figures);
        a->outliers = ph_outliers(figures, rounds, is_outlier);
        for (unsigned i = 0; i < a->run_count; i++) a->runs[i].is_outlier = is_outlier[i];
    }
    free(figures);
    free(is_outlier);
    if (a->outliers > 0)
        ph_note(c, "%s: %u of %u runs thrown out, whose wall time is far from the others", a->name,
                a->outliers, a->run_count);
}

/* ---- who served -------------------------------------------------------- */

static bool is_seen(const struct allocator *a) { return a->presence.is_known && a->presence.processes > 0; }

static void judge_presence(struct comparison *c, const struct allocator *a)
{
    const struct presence *p = &a->presence;
    char words[COMPARE_TAIL_BYTES + 32];
    if (!is_seen(a)) return;
    if (a->object == NULL && p->other[0] != '\0')
        ph_note(c, "%s: the program brings %s of its own; this row shows that", a->name, p->other);
    else if (p->own == p->processes)
        ph_finding(c, "%s was not active: %s has a malloc of its own, which comes first", a->name,
                   p->own_name);
    else if (p->without == p->processes)
        ph_finding(c, "%s was not active: it is not loaded in %s%s", a->name, p->without_name,
                   last_words(a, words));
    else if (p->without + p->own > 0)
        ph_note(c, "%s served %u of %u processes; not, for one, %s", a->name,
                p->processes - p->without - p->own, p->processes,
                p->without > 0 ? p->without_name : p->own_name);
}

/* Those of whom nothing is known, in one line: it is mostly all, where ptrace is forbidden. */
static void judge_unseen(struct comparison *c)
{
    char names[COMPARE_ALLOCATORS * (COMPARE_NAME_BYTES + 2)] = "";
    const struct presence *p = NULL;
    size_t used = 0;
    for (unsigned i = 0; i < c->count; i++) {
        const struct allocator *a = &c->allocators[i];
        if (is_seen(a) || a->is_given_up) continue;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "", a->name);
        p = &a->presence;
    }
    if (c->settings.warmups == 0)
        ph_note(c, "whether the allocators were active was not checked: --warmup=0");
    else if (p != NULL)
        ph_note(c, "whether they were active could not be seen (%s): %s", names,
                p->is_known ? "no process could be looked at" : strerror(p->error));
}

/* ---- figures ----------------------------------------------------------- */

void ph_compare_figures(const struct comparison *c, const struct allocator *a, enum metric which,
                        double *figures)
{
    for (unsigned i = 0; i < c->settings.rounds; i++) {
        bool counts = i < a->run_count && !a->runs[i].is_wrong && !a->runs[i].is_outlier;
        figures[i] = counts ? a->runs[i].value[which] : (double)NAN;
    }
}

static void figures_one(struct comparison *c, struct allocator *a, enum metric which, double *ones,
                        double *others)
{
    const struct settings *s = &c->settings;
    const struct allocator *base = &c->allocators[c->base];
    ph_compare_figures(c, a, which, ones);
    ph_compare_figures(c, base, which, others);
    a->medians[which] = ph_median_interval(ones, s->rounds, s->seed);
    a->ratios[which] = ph_ratio_interval(ones, others, s->rounds, s->seed);
    a->same_probability[which] = a == base ? 1 : ph_same_probability(ones, others, s->rounds);
}

static void figures_all(struct comparison *c)
{
    double *room = malloc(2 * c->settings.rounds * sizeof *room);
    if (room == NULL) return;
    for (unsigned i = 0; i < c->count; i++)
        for (int which = 0; which < METRIC_COUNT; which++)
            figures_one(c, &c->allocators[i], (enum metric)which, room, room + c->settings.rounds);
    free(room);
}

/* ---- doubts ------------------------------------------------------------ */

/* One line for all of them: on a busy machine it is most. */
static void doubt_widths(struct comparison *c)
{
    char names[COMPARE_ALLOCATORS * (COMPARE_NAME_BYTES + 12)] = "";
    size_t used = 0;
    for (unsigned i = 0; i < c->count; i++) {
        const struct interval *wall = &c->allocators[i].medians[METRIC_WALL];
        double percent = 100 * (wall->high - wall->low) / 2 / wall->value;
        if (!(percent > WIDE_PERCENT) || c->settings.rounds < RUNS_FEW) continue;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s +-%.0f %%", used > 0 ? ", " : "",
                                 c->allocators[i].name, percent);
    }
    if (used > 0)
        ph_note(c, "wall times are known roughly only (%s): more --runs or a quieter machine tell more",
                names);
}

static void doubt_floor(struct comparison *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        const struct allocator *a = &c->allocators[i];
        if (a->run_count == 0 || a->runs[0].value[METRIC_RSS] > (double)a->runs[0].floor_bytes) continue;
        ph_note(c, "%s: the peak memory is at most that shown: this command's own is as large", a->name);
    }
}

static void judge_doubts(struct comparison *c)
{
    const char *before = getenv("LD_PRELOAD");
    if (c->is_interrupted) ph_note(c, "interrupted: these are the runs until then");
    if (before != NULL && *before != '\0')
        ph_note(c, "LD_PRELOAD was set: %s is loaded in every run too", before);
    if (c->settings.rounds < RUNS_FEW)
        ph_note(c,
                "%u run%s few: intervals are narrower than they should be, and below 4 no difference is "
                "significant",
                c->settings.rounds, c->settings.rounds == 1 ? " is" : "s are");
    doubt_widths(c);
    doubt_floor(c);
    ph_noise_notes(c);
}

void ph_compare_verdict(struct comparison *c)
{
    judge_status(c);
    for (unsigned i = 0; i < c->count; i++) judge_presence(c, &c->allocators[i]);
    judge_unseen(c);
    for (unsigned i = 0; i < c->count; i++) judge_outliers(c, &c->allocators[i]);
    figures_all(c);
    judge_doubts(c);
}
