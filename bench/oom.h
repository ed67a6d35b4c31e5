/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom.h -- what the files of the verb oom share.
 *
 *     oom_options.c  what is asked for           oom_class.c   what became of a child; which are one finding
 *     oom_start.c    the program, its files      oom_report.c  for people
 *     oom_run.c      children that end or hang   oom_json.c    for programs: JSON, JUnit
 *     oom_rerun.c    one run for each point      oom.c         the verb: all of it in order
 *     oom_replay.c   one point again
 *
 * What the program itself does, and what both share, is in preload/sweep.h. */
#ifndef PH_OOM_H
#define PH_OOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "child.h"
#include "judge.h"
#include "locate.h"
#include "sweep.h"
#include "symbol.h"

#define OOM "oom" /* the verb, in messages */

enum {
    OOM_FOUND = 1,          /* exit code: a signal, a hang or heap damage */
    OOM_INTERRUPTED = 130,
    OOM_TAIL_BYTES = 4000,   /* kept of a child's standard error */
    OOM_OWN_SLOT = SWEEP_SLOTS, /* of the program itself */
};

/* Worst first. */
enum oom_class { OOM_DAMAGE, OOM_CRASH, OOM_HANG, OOM_ABORT, OOM_LEAK, OOM_ERROR_EXIT, OOM_WENT_ON, OOM_NOT_REACHED, OOM_CLASSES };

struct oom_settings {
    unsigned jobs, first, skip;
    uint64_t least, most;
    double timeout_s;
    const char *module, *keep, *replay, *json, *junit;
    bool also_after, pairs, rerun, gdb, is_quiet, no_leaks, no_rules, lets_write;
    uint64_t stack[2]; /* of --replay */
    unsigned ordinal[2];
    char **argv;
};

/* Findings that are one: they end the same way after an allocation from the same call stack failed. */
struct finding {
    enum oom_class class;
    uint32_t point;  /* the first of them */
    uint32_t count;
};

struct oom {
    struct oom_settings settings;
    char program[LOCATE_PATH_BYTES], object[LOCATE_PATH_BYTES];
    struct env_line env;
    char folder[sizeof((struct sweep *)0)->folder];
    struct sweep *sweep;
    int shared;              /* its descriptor */
    int errors[SWEEP_SLOTS + 1]; /* each slot's standard error; the last is the program's */
    int input;               /* -1: the program's is ours */
    pid_t program_id;
    int program_status;
    bool has_ended, is_interrupted;
    double begun, took;
    char *program_tail;
    char **tails;            /* by point; NULL: it said nothing */
    uint32_t tail_room;
    struct finding *findings;
    uint32_t finding_count;
    uint32_t count[OOM_CLASSES];
};

/* oom_options.c -- -1 to go on, else the exit code */
int ph_oom_options(struct oom_settings *s, int argc, char **argv);

/* oom_start.c */
int ph_oom_prepare(struct oom *o);    /* find the program, make the folder; 0, or an exit code after a complaint */
struct sweep *ph_oom_share(const struct oom *o, enum sweep_mode mode, int *descriptor); /* NULL after a complaint */
pid_t ph_oom_start(const struct oom *o, int shared, unsigned slot, bool shows_output); /* -1: refused */
void ph_oom_environment(const struct oom *o, const char *fail, unsigned slot);
bool ph_oom_arguments(struct oom *o);
char *ph_oom_tail(struct oom *o, unsigned slot); /* what was written to standard error, which is empty then; NULL: nothing */
void ph_oom_keep_output(struct oom *o, unsigned slot, unsigned ordinal);
void ph_oom_kill_left(const struct oom *o, unsigned slot, bool (*is_known)(const void *, pid_t)); /* by that slot's child */
void ph_oom_clean(struct oom *o);

/* oom_run.c */
void ph_oom_run(struct oom *o);      /* until the program and all children have ended */
void ph_oom_ended(struct oom *o, uint32_t point, unsigned slot, int status);
struct patience {
    pid_t child;
    double begun, stirred;
    uint64_t ticks;
    bool is_asked;
    double asked;
};
bool ph_oom_is_patient(const struct oom *o, struct patience *pa, const struct sweep_point *point); /* false: killed */
void ph_oom_progress(const struct oom *o, bool is_last);

/* oom_rerun.c, oom_replay.c -- true, or false after a complaint */
bool ph_oom_rerun(struct oom *o);
bool ph_oom_replay(struct oom *o);
int ph_oom_gdb(struct oom *o); /* the exit code, if it returns */

/* oom_class.c */
enum oom_class ph_oom_class(const struct oom *o, const struct sweep_point *point);
bool ph_oom_sum(struct oom *o); /* classes, findings, worst first; false: no memory */
const struct sweep_leak *ph_oom_leak(const struct oom *o, const struct sweep_point *point); /* the first that is new; NULL */
const char *ph_oom_class_word(enum oom_class class);
void ph_oom_say_end(const struct oom *o, const struct sweep_point *point, char *out, size_t bytes);
void ph_oom_place(const struct oom *o, uint64_t place, struct symbol_place *out);
void ph_oom_token(const struct oom *o, const struct sweep_point *point, char *out, size_t bytes);
static inline bool ph_oom_is_counted(enum oom_class class) { return class <= OOM_HANG; }
static inline bool ph_oom_is_listed(enum oom_class class) { return class <= OOM_LEAK; }

/* oom_report.c, oom_json.c */
void ph_oom_report(const struct oom *o, FILE *out);
void ph_oom_json(const struct oom *o, FILE *out);
void ph_oom_junit(const struct oom *o, FILE *out);

#endif
