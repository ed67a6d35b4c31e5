/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* sweepcall.h -- system calls of a sweep, and of findings, which nobody else in the preload object may need. */
#ifndef PH_SWEEPCALL_H
#define PH_SWEEPCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *ph_sweep_map(int descriptor, size_t bytes);
void *ph_sweep_map_file(const char *path, size_t bytes); /* NULL: there is none so large */
void ph_sweep_close(int descriptor);

/* 0 in the child, which is its parent's parent's; its number goes to *child before it runs.  Negative: refused. */
long ph_sweep_clone(int32_t *child);

/* Futexes between processes. */
void ph_sweep_wait(uint32_t *word, uint32_t seen);

/* The child's own: a process group, no core file, no file beyond all bounds, and the signals that end it come to
 * `handler`, once each, where they would have the default action; `where` as well. */
typedef void sweep_handler(int signal, void *info, void *context);
void ph_sweep_own(sweep_handler *handler, int where);
void ph_sweep_uncatch(int signal); /* what would have come of it comes now */

/* From now on this process, and what it starts, can write, make and remove files in that folder, in /dev and in /proc
 * only.  false: the system cannot do that. */
bool ph_sweep_confine(const char *folder);

/* Its files: read from where they were, without moving the parent's place; written no more, but for what
 * became the program's output or error, which goes to these files. */
void ph_sweep_files(const char *out, const char *error);
void ph_sweep_output_is(int out, int error); /* those descriptors lead to what is the program's output, in the parent */

/* Which of those pages are in memory, a byte for each; mincore(2).  false: refused. */
bool ph_sweep_present(const void *at, size_t bytes, unsigned char *out);

/* The text of a file, in pieces: as read(2). */
int ph_sweep_open(const char *path); /* negative: refused */
long ph_sweep_read(int descriptor, char *to, size_t bytes);

uint64_t ph_sweep_fault_address(const void *info);
void ph_sweep_sleep(void); /* until a signal ends it */

#endif
