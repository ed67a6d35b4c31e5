/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaos_verb.h -- what the files of the verb chaos share.
 *
 *     chaos_options.c  what is asked for             chaos_narrow.c  which way, which sizes, which module
 *     chaos_run.c      one run of the program        chaos_report.c  for people, and as JSON
 *     chaos_compare.c  whether two runs are alike    chaos_verb.c    the verb: all of it in order
 *
 * What is done otherwise in the program, and the words for it, are in lib/chaos.h and preload/chaotic.c. */
#ifndef PH_CHAOS_VERB_H
#define PH_CHAOS_VERB_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "chaos.h"
#include "judge.h"
#include "locate.h"

#define CHAOS "chaos" /* the verb, in messages */

enum {
    CHAOS_DIFFERS = 1, /* exit code */
    CHAOS_INTERRUPTED = 130,
    CHAOS_IGNORES = 32,
    CHAOS_LINE_BYTES = 200, /* shown of a line that differs */
    CHAOS_FOLDER_BYTES = 512,
};

struct chaos_settings {
    unsigned seeds, first_seed;
    double timeout_s; /* 0: by the plain run */
    struct chaos_spec spec; /* ways, sizes, module to begin with */
    regex_t ignore[CHAOS_IGNORES];
    unsigned ignores;
    const char *json;
    bool is_quiet, no_rules;
    char **argv;
};

/* What a run wrote, without what is ignored. */
struct text {
    char *data;
    size_t bytes;
};
enum stream { STREAM_OUT, STREAM_ERROR, STREAMS };
struct outcome {
    int status; /* waitpid's */
    bool hung;
    double took;
    struct text text[STREAMS];
};

/* The first that differs, and the first line of it. */
enum difference { SAME, DIFFERS_END, DIFFERS_OUT, DIFFERS_ERROR };
struct contrast {
    enum difference what;
    size_t line; /* of the stream; from 1 */
    char plain[CHAOS_LINE_BYTES], other[CHAOS_LINE_BYTES]; /* without control characters */
};

struct finding {
    struct chaos_spec how; /* narrowed */
    uint32_t also;         /* other ways that do it alone, with this seed */
    bool has_sizes;        /* how.least and how.most say something */
    struct contrast contrast;
};

struct chaos {
    struct chaos_settings settings;
    char program[LOCATE_PATH_BYTES], object[LOCATE_PATH_BYTES], folder[CHAOS_FOLDER_BYTES];
    struct env_line env;
    int input;
    int told; /* of --module: sealed by the first call that came from there; -1: nobody asks */
    double limit_s, begun, took;
    unsigned runs;
    struct outcome plain;
    struct finding findings[CHAOS_WAYS];
    unsigned finding_count;
    unsigned unsteady; /* seeds that differed once and not again */
    bool is_interrupted;
    const char *doing; /* for the progress line */
};

/* chaos_options.c -- -1 to go on, else the exit code */
int ph_chaos_options(struct chaos_settings *s, int argc, char **argv);

/* chaos_run.c */
int ph_chaos_prepare(struct chaos *c); /* 0, or an exit code after a complaint */
void ph_chaos_text(const struct chaos_spec *how, char *out, size_t bytes); /* as option CHAOS takes it */
bool ph_chaos_run(struct chaos *c, const struct chaos_spec *how, struct outcome *out); /* false: after a complaint, or interrupted */
void ph_chaos_modules(struct chaos *c, char *names, size_t bytes); /* the libraries of the program, each with a 0 behind, and one more */
void ph_chaos_clean(struct chaos *c);
double ph_chaos_now(void);
void ph_chaos_progress(const struct chaos *c, bool is_last);

/* chaos_compare.c */
bool ph_chaos_read(const struct chaos *c, const char *file, struct text *out); /* without what is ignored; false: no memory */
void ph_chaos_drop(struct outcome *out);
void ph_chaos_contrast(const struct outcome *plain, const struct outcome *other, struct contrast *out);

/* chaos_narrow.c -- false: after a complaint, or interrupted */
bool ph_chaos_differs(struct chaos *c, const struct chaos_spec *how, struct contrast *out, bool *differs);
bool ph_chaos_narrow(struct chaos *c, const struct chaos_spec *how, struct finding *out);

/* chaos_report.c */
void ph_chaos_report(const struct chaos *c, FILE *out);
void ph_chaos_json(const struct chaos *c, FILE *out);

#endif
