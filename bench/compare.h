/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare.h -- what the files of the verb compare share.
 *
 *     compare_options.c  what is asked for          compare_table.c  for people: table, markdown
 *     compare_find.c     the allocators             compare_json.c   for programs: JSON, CSV
 *     compare_run.c      one run                    compare_plot.c   charts
 *     compare_trace.c    who served a program       compare_noise.c  what else the machine did
 *     compare_verdict.c  what the runs say          statistics.c     medians and intervals
 *     compare.c          the verb: all of it in order */
#ifndef PH_COMPARE_H
#define PH_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "locate.h"
#include "statistics.h"

#define COMPARE "compare" /* the verb, in messages */

enum {
    COMPARE_ALLOCATORS = 32,
    COMPARE_NOTES = 64,
    COMPARE_WORDS = 64, /* entries of --with, --without, --env */
    COMPARE_ROUNDS = 10000,
    COMPARE_NAME_BYTES = 32,
    COMPARE_TAIL_BYTES = 240, /* kept of a program's standard error */
    COMPARE_FOUND = 1,        /* exit code: something was not as it should be */
};

enum metric { METRIC_WALL, METRIC_CPU, METRIC_RSS, METRIC_FAULTS, METRIC_COUNT };

/* ---- what is asked for ------------------------------------------------- */

struct word_list {
    unsigned count;
    const char *words[COMPARE_WORDS];
};

struct settings {
    unsigned rounds, warmups;
    double timeout_s; /* 0: none */
    uint64_t seed;
    const char *base, *input;
    const char *label; /* NULL: the program's name */
    const char *json, *csv, *markdown, *plot;
    bool is_quiet, shows_output, keeps_outliers;
    struct word_list with, without, environment;
    char **argv; /* the program and its arguments */
    char program[LOCATE_PATH_BYTES];
};

/* What the benchmark is called. */
const char *ph_compare_label(const struct settings *s);

/* Read the command line; -1 to go on, else the exit code. */
int ph_compare_options(struct settings *s, int argc, char **argv);

/* ---- a run ------------------------------------------------------------- */

/* Who served the processes of a program, seen when each of them ended. */
struct presence {
    bool is_known;
    int error;          /* why not: errno */
    unsigned processes; /* those that could be looked at */
    unsigned without;   /* of these: the object was not there */
    unsigned own;       /* of these: the program has a malloc of its own, which comes first */
    char without_name[COMPARE_NAME_BYTES], own_name[COMPARE_NAME_BYTES];
    char other[COMPARE_NAME_BYTES]; /* an allocator's object that is there though nobody preloaded it */
};

struct run {
    double value[METRIC_COUNT]; /* seconds, seconds, bytes, a number */
    double user_s, system_s;
    uint64_t major_faults, involuntary_switches;
    uint64_t floor_bytes; /* our own child's peak before the program began: no peak below it can be seen */
    uint64_t output_bytes, error_bytes;
    int status;                              /* as of wait(2); of a run that could not begin: our exit code */
    bool is_timed_out, is_wrong, is_outlier; /* wrong: not the status of the others */
};

/* One allocator, what to preload for it, and what was measured. */
struct allocator {
    char name[COMPARE_NAME_BYTES];
    char *object; /* NULL: the C library's own */
    char **environment;
    struct presence presence;
    struct run *runs;
    unsigned run_count;
    bool is_given_up;                    /* timed out: not run again */
    char error_tail[COMPARE_TAIL_BYTES]; /* end of the last run's standard error */
    struct interval medians[METRIC_COUNT], ratios[METRIC_COUNT];
    double same_probability[METRIC_COUNT];
    unsigned outliers, wrong;
};

struct request {
    const struct settings *settings;
    struct allocator *allocator;
    bool is_traced;
};

enum run_end { RUN_ENDED, RUN_INTERRUPTED, RUN_FAILED /* complained already */ };

/* Block the signals that a run waits for, before the first one; free them after the last. */
bool ph_runs_begin(void);
void ph_runs_end(void);

/* Run the program once.  A traced run fills allocator->presence. */
enum run_end ph_run_once(const struct request *q, struct run *run);

/* In a child of ours: run `start`, which never returns, in a child of its own; watch its processes end. */
void ph_trace(const char *object, void (*start)(void *), void *with, struct presence *presence, int *status);

/* ---- allocators -------------------------------------------------------- */

struct comparison {
    struct settings settings;
    struct allocator allocators[COMPARE_ALLOCATORS];
    unsigned count, base;
    char *notes[COMPARE_NOTES];
    unsigned note_count;
    bool has_finding, is_interrupted;
    int failure; /* exit code, when a run could not begin */
    struct noise *noise;
};

/* Fill c->allocators as asked for; false after a complaint. */
bool ph_find_allocators(struct comparison *c);

/* Is this the file name of an allocator that we know? */
bool ph_is_allocator_name(const char *file);

enum object_kind {
    OBJECT_ALLOCATOR,
    OBJECT_NO_MALLOC,
    OBJECT_OTHER_MACHINE,
    OBJECT_NO_LIBRARY,
    OBJECT_UNREADABLE
};

/* What kind of file is that?  A program with a malloc of its own counts as an allocator. */
enum object_kind ph_object_kind(const char *path);

/* ---- verdict and output ------------------------------------------------ */

/* Add a line to the notes; ph_finding also makes the exit code COMPARE_FOUND. */
void ph_note(struct comparison *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ph_finding(struct comparison *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* All medians, ratios and notes from the runs. */
void ph_compare_verdict(struct comparison *c);

/* The figures of one metric, one a round, of the runs that count, into figures[settings.rounds]. */
void ph_compare_figures(const struct comparison *c, const struct allocator *a, enum metric which,
                        double *figures);

/* How a metric is shown: divide by `divisor`, print with `decimals`. */
struct unit {
    const char *title, *name;
    double divisor;
    int decimals;
};
struct unit ph_compare_unit(const struct comparison *c, enum metric which);
extern const char *const ph_metric_keys[METRIC_COUNT]; /* in JSON and CSV */

void ph_compare_table(const struct comparison *c, FILE *out);
void ph_compare_markdown(const struct comparison *c, FILE *out);
void ph_compare_csv(const struct comparison *c, FILE *out);
void ph_compare_json(const struct comparison *c, FILE *out);

/* Why charts cannot be drawn into this file, else NULL; asked before the first run. */
const char *ph_plot_obstacle(const char *file);
bool ph_compare_plot(const struct comparison *c);

/* ---- noise ------------------------------------------------------------- */

struct noise {
    unsigned processors;
    double load_before[3], load_after[3];
    double mhz_least, mhz_most;       /* 0: not told */
    double others_share, steal_share; /* of all processors, while we measured */
    char model[64], governor[32];
};

struct noise *ph_noise_begin(void);
void ph_noise_sample(struct noise *n); /* once a round */
void ph_noise_end(struct noise *n);
void ph_noise_notes(struct comparison *c);

#endif
