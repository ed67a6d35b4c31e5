/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_verb.h -- what the files of the verb stress share.
 *
 *     stress_options.c   what is asked for            stress_report.c  for people
 *     stress_run.c       the program, until it died   stress_json.c    for programs: JSON
 *     stress_finding.c   records that are one         stress_sarif.c   SARIF
 *     stress_suppress.c  which do not count           stress_verb.c    the verb: all of it in order
 *
 * What the program itself does is in lib/stress.h; what it hands over, in preload/finding.h. */
#ifndef PH_STRESS_VERB_H
#define PH_STRESS_VERB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "explain.h"
#include "finding.h"
#include "judge.h"
#include "locate.h"
#include "symbol.h"

#define STRESS "stress" /* the verb, in messages */

enum { STRESS_RUNS = 2, STRESS_PARTS = 16, STRESS_TEXT_BYTES = 1024 };

/* An option that the program is given as a part of PRIVHEAP_STRESS, and its value as it was written. */
struct stress_part {
    const char *option, *part, *value; /* value "" : a switch */
};

struct stress_settings {
    const char *side; /* "end", "start", "random"; both: "end" */
    bool is_both;
    uint64_t seed;
    struct stress_part parts[STRESS_PARTS];
    unsigned part_count;
    const char *suppress, *json, *sarif, *log;
    bool gdb, is_quiet, no_rules, has_name; /* of a module or a heap */
    int exit_code;
    char **argv;
};

struct stress_run {
    const char *side;
    int descriptor;
    struct findings *shared;
    uint32_t read; /* records that were looked at */
    int status;    /* as of wait(2) */
    bool is_over;
};

/* Records that are one: the same kind with the same stacks. */
struct stress_finding {
    const struct finding *record; /* the first of them */
    const struct stress_run *run;
    unsigned times;
    bool is_suppressed;
};

struct suppression {
    unsigned kind; /* 0: every */
    char *pattern;
};

struct stress {
    struct stress_settings settings;
    char program[LOCATE_PATH_BYTES], object[LOCATE_PATH_BYTES], folder[512];
    struct env_line env;
    int input; /* -1: the program's is ours */
    struct stress_run runs[STRESS_RUNS];
    unsigned run_count;
    struct stress_finding findings[STRESS_RUNS * FINDINGS_MOST];
    unsigned finding_count;
    struct suppression *suppressions;
    unsigned suppression_count;
    FILE *out; /* for people; NULL: nobody */
    FILE *json, *sarif;
    bool is_interrupted;
    double took;
};

/* stress_options.c -- -1 to go on, else the exit code */
int ph_stress_options(struct stress_settings *s, int argc, char **argv);

/* stress_run.c */
int ph_stress_prepare(struct stress *st); /* 0, or an exit code after a complaint */
void ph_stress_text(const struct stress_settings *s, const char *side, const char *findings, char *out, size_t bytes); /* option STRESS */
void ph_stress_environment(const struct stress *st, const char *side, const char *findings); /* for the program */
int ph_stress_run(struct stress *st, const char *side); /* 0, or an exit code after a complaint */
int ph_stress_gdb(struct stress *st); /* the exit code, if it returns */
void ph_stress_clean(struct stress *st);

/* stress_finding.c */
void ph_stress_collect(struct stress *st, struct stress_run *run); /* records that are new since */
unsigned ph_stress_places(const struct stress_run *run, uint64_t place, struct symbol_place *out, unsigned most); /* with what was inlined */
const char *ph_stress_module(const struct stress_run *run, uint64_t place); /* path; NULL: none */
void ph_stress_kind(const struct finding *fi, char *out, size_t bytes); /* "PH101 freed twice" */
void ph_stress_headline(const struct finding *fi, char *out, size_t bytes); /* "PH101 freed twice: block 0x10 of 24 bytes" */
void ph_stress_where(const struct stress_finding *sf, struct symbol_place *out); /* the one place that says most */
void ph_stress_again(const struct stress *st, const struct stress_run *run, FILE *out);
unsigned ph_stress_counted(const struct stress *st); /* findings that are not suppressed */

/* stress_suppress.c -- 0, or an exit code after a complaint */
int ph_stress_suppressions(struct stress *st);
bool ph_stress_is_suppressed(const struct stress *st, const struct stress_run *run, const struct finding *fi);

/* stress_report.c, stress_json.c, stress_sarif.c */
void ph_stress_report(const struct stress *st, const struct stress_finding *sf);
void ph_stress_summary(const struct stress *st);
void ph_stress_figures(const struct stress_run *run, struct finding_figures *sum); /* of all its processes */
const char *ph_stress_refusal(unsigned reason); /* in words */
void ph_stress_json(const struct stress *st, FILE *out);
void ph_stress_sarif(const struct stress *st, FILE *out);

#endif
