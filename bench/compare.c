/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare.c -- the verb compare: a program under every allocator at hand, in turn, and what differs.
 *
 * Owns:    the order of runs, the progress line.
 * Calls:   the other files of compare.h; locate.c and judge.c for the program.
 * Why:     allocators take turns, in an order that is shuffled every round: a noisy minute, or what one run
 * leaves behind for the next, hits them all alike. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "compare.h"
#include "judge.h"
#include "verb_options.h"

enum { EXIT_INTERRUPTED = 130 };

/* ---- progress ---------------------------------------------------------- */

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

struct progress {
    bool is_shown;
    double begun;
    unsigned done, all;
};

static void progress_show(const struct progress *p, const char *what, unsigned round, const char *name)
{
    char left[48] = "";
    if (!p->is_shown) return;
    if (p->done > 0)
        snprintf(left, sizeof left, ", %.0f s left", (now() - p->begun) / p->done * (p->all - p->done));
    fprintf(stderr, "\r\033[K%3u %%  %s %u: %s%s", 100 * p->done / p->all, what, round, name, left);
    fflush(stderr);
}

static void progress_clear(const struct progress *p)
{
    if (p->is_shown) fputs("\r\033[K", stderr);
}

/* ---- the runs ---------------------------------------------------------- */

static void shuffle(unsigned *order, unsigned count, uint64_t *state)
{
    for (unsigned i = count; i > 1; i--) {
        unsigned with = (unsigned)(ph_random(state) % i), kept = order[i - 1];
        order[i - 1] = order[with];
        order[with] = kept;
    }
}

static enum run_end warm_up(struct comparison *c, struct progress *p, unsigned round)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct run run;
        struct allocator *a = &c->allocators[i];
        struct request q = { .settings = &c->settings, .allocator = a, .is_traced = round == 0 };
        if (a->is_given_up) continue;
        progress_show(p, "warm-up", round + 1, a->name);
        enum run_end end = ph_run_once(&q, &run);
        if (end == RUN_FAILED) c->failure = run.status;
        if (end != RUN_ENDED) return end;
        a->is_given_up = run.is_timed_out;
        p->done++;
    }
    return RUN_ENDED;
}

static enum run_end measure(struct comparison *c, struct progress *p, unsigned round, const unsigned *order)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct allocator *a = &c->allocators[order[i]];
        struct request q = { .settings = &c->settings, .allocator = a };
        if (a->is_given_up) continue;
        progress_show(p, "round", round + 1, a->name);
        enum run_end end = ph_run_once(&q, &a->runs[a->run_count]);
        if (end == RUN_FAILED) c->failure = a->runs[a->run_count].status;
        if (end != RUN_ENDED) return end;
        a->is_given_up = a->runs[a->run_count++].is_timed_out;
        p->done++;
    }
    ph_noise_sample(c->noise);
    return RUN_ENDED;
}

static enum run_end run_all(struct comparison *c)
{
    const struct settings *s = &c->settings;
    unsigned order[COMPARE_ALLOCATORS];
    uint64_t state = s->seed;
    enum run_end end = RUN_ENDED;
    struct progress p = { .is_shown = isatty(STDERR_FILENO) && !s->is_quiet && !s->shows_output,
                          .begun = now(),
                          .all = (s->warmups + s->rounds) * c->count };
    for (unsigned i = 0; i < c->count; i++) order[i] = i;
    for (unsigned round = 0; round < s->warmups && end == RUN_ENDED; round++) end = warm_up(c, &p, round);
    for (unsigned round = 0; round < s->rounds && end == RUN_ENDED; round++) {
        shuffle(order, c->count, &state);
        end = measure(c, &p, round, order);
    }
    progress_clear(&p);
    return end;
}

/* ---- before and after -------------------------------------------------- */

/* 0, or an exit code. */
static int prepare(struct comparison *c)
{
    struct verdict v;
    struct env_line env;
    struct settings *s = &c->settings;
    if (!ph_locate_program(s->argv[0], s->program, &v) || !ph_judge(s->program, &env, &v))
        return ph_complain(COMPARE, v.exit_code, "%s", v.why);
    if (!ph_find_allocators(c)) return EXIT_OWN_ERROR;
    for (unsigned i = 0; i < c->count; i++) {
        c->allocators[i].runs = calloc(s->rounds, sizeof *c->allocators[i].runs);
        if (c->allocators[i].runs == NULL)
            return ph_complain(COMPARE, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
    }
    c->noise = ph_noise_begin();
    if (c->noise == NULL) return ph_complain(COMPARE, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
    return ph_runs_begin() ? 0 : EXIT_OWN_ERROR;
}

/* false after a complaint. */
static bool write_file(const struct comparison *c, const char *file,
                       void (*write)(const struct comparison *, FILE *))
{
    FILE *out = file != NULL ? ph_verb_open(COMPARE, file) : NULL;
    if (out == NULL) return file == NULL;
    write(c, out);
    return ph_verb_close(COMPARE, file, out);
}

static int report(const struct comparison *c)
{
    const struct settings *s = &c->settings;
    if (!s->is_quiet && !ph_verb_is_output(s->json) && !ph_verb_is_output(s->csv) && !ph_verb_is_output(s->markdown))
        ph_compare_table(c, stdout);
    bool is_whole = write_file(c, s->json, ph_compare_json);
    is_whole = write_file(c, s->csv, ph_compare_csv) && is_whole;
    is_whole = write_file(c, s->markdown, ph_compare_markdown) && is_whole;
    if (s->plot != NULL) is_whole = ph_compare_plot(c) && is_whole;
    int code = ph_output_end(COMPARE);
    if (code != 0 || !is_whole) return EXIT_OWN_ERROR;
    if (c->is_interrupted) return EXIT_INTERRUPTED;
    return c->has_finding ? COMPARE_FOUND : 0;
}

static bool has_runs(const struct comparison *c)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->allocators[i].run_count > 0) return true;
    return false;
}

int ph_verb_compare(int argc, char **argv)
{
    static struct comparison c; /* static: large */
    int code = ph_compare_options(&c.settings, argc, argv);
    if (code >= 0) return code;
    code = prepare(&c);
    if (code != 0) return code;
    enum run_end end = run_all(&c);
    ph_noise_end(c.noise);
    ph_runs_end();
    c.is_interrupted = end == RUN_INTERRUPTED;
    if (end == RUN_FAILED) return c.failure;
    if (!has_runs(&c))
        return ph_complain(COMPARE, c.is_interrupted ? EXIT_INTERRUPTED : COMPARE_FOUND,
                           c.is_interrupted ? "interrupted before the first measured run"
                                            : "no run ended within --timeout");
    ph_compare_verdict(&c);
    return report(&c);
}
