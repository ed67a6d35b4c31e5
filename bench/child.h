/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* child.h -- what a program finds that a verb starts again and again: its input, the preload object, a folder. */
#ifndef PH_CHILD_H
#define PH_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* A descriptor from which each child is given standard input anew, from the place where ours is; what comes through a
 * pipe is kept in `folder`, up to a bound.  -1: children have ours.  False after a complaint, or interrupted. */
bool ph_child_spool(const char *verb, const char *folder, int *input);
void ph_child_input(int input); /* in the child */

/* LD_PRELOAD: ours first, then what was there. */
void ph_child_preload(const char *object);

/* A folder for what children write, in TMPDIR or /tmp; false, and folder[0] is 0. */
bool ph_child_folder(const char *verb, char *folder, size_t bytes);
void ph_child_empty(const char *path, bool whole); /* what is in it; the folder too if `whole` */

/* From now on a wait returns now and then, to look at the clock; an interruption is noted, and ends nothing, nor does
 * a pipe that nobody reads; who loses its parent becomes ours.  Until _end: by then nothing must be left to remove. */
bool ph_child_signals(void);
void ph_child_signals_end(void);
extern volatile sig_atomic_t ph_child_interrupted;
double ph_child_now(void); /* seconds */

/* In a child: it ends with us, whatever ends us. */
void ph_child_bound(pid_t parent);

/* Kill what others left behind: those of our children that `is_known` does not know, and that have that word in their
 * environment.  Then: all that are left, and wait for them. */
void ph_child_kill_left(const char *word, bool (*is_known)(const void *, pid_t), const void *argument);
void ph_child_end_all(void);

/* As a shell takes it; arguments, each behind a space. */
void ph_child_word(FILE *out, const char *word);
void ph_child_words(FILE *out, char *const *argv);

#endif
