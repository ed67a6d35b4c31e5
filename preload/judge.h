/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* judge.h -- can a program be preloaded? */
#ifndef PH_JUDGE_H
#define PH_JUDGE_H

#include <stdbool.h>

#include "locate.h"

enum { JUDGE_WORDS_MAX = 32, JUDGE_LINE_BYTES = 256 };

/* What env(1) would start for a script with #!/usr/bin/env: `words`, with `program` as the file
 * of the first, and the script's path behind.  count 0: the program is no such script; is_plain
 * false: env does more than start a program (options, variables, quotes). */
struct env_line {
    int count;
    bool is_plain;
    char *words[JUDGE_WORDS_MAX]; /* into text */
    char text[JUDGE_LINE_BYTES];
    char program[LOCATE_PATH_BYTES];
};

/* A file under judgement; `subject` is how a sentence about it begins. */
struct candidate {
    const char *path;
    char subject[1024];
    int fd;
    int depth; /* 0: the program itself, 1: its interpreter, ... */
    struct env_line *env;
    struct verdict *v;
};

#define REFUSE(c, code, format, ...) \
    ph_verdict((c)->v, code, "%s " format, (c)->subject, __VA_ARGS__)

/* Judge an executable file, or the interpreter of a script.  true: it can be preloaded, as far
 * as can be told; else *v says why not.  *env is filled when a script goes through env(1). */
bool ph_judge(const char *path, struct env_line *env, struct verdict *v);

/* The same for a candidate that is open and begins like an ELF file. */
bool ph_elf_can_preload(const struct candidate *c);

#endif
