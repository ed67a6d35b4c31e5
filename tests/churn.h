/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* churn.h -- threads that take, resize and give blocks of one heap without rest, each other's too, and a
 * check of what HeapWalk and HeapValidate say meanwhile.  For check_walk.c and, under the preload object,
 * walk_preload.c; so nothing in it allocates by itself.  One churn at a time in a process.
 *
 * Every block stands in a slot.  A thread claims a slot before it goes to the heap and says so; so under
 * HeapLock, when no operation can be under way, a slot is live (its block must be shown exactly once), empty
 * (its last block must not be shown), or claimed (0 or 1 block that nobody can name: at most one claim for
 * each thread). */
#ifndef CHURN_H
#define CHURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapapi.h"

struct churn_calls {
    void *(*take)(HANDLE heap, size_t bytes);
    void *(*resize)(HANDLE heap, void *block, size_t bytes);
    void (*give)(HANDLE heap, void *block);
    bool exact; /* the heap knows requested sizes (HeapAlloc), not only usable ones (malloc) */
};

enum { CHURN_THREADS = 4, CHURN_SLOTS = 2400 };

/* Make the threads, then note which blocks the heap has already.  They start at churn_go. */
bool churn_start(const struct churn_calls *calls, HANDLE heap, uint64_t seed);
void churn_go(void);

/* Let the threads get on by that many operations. */
void churn_wait(unsigned long operations);

/* Lock the heap, walk it, compare.  NULL, or what is wrong, in a buffer of its own. */
const char *churn_check(void);

/* How many busy entries and other entries the last churn_check saw. */
unsigned churn_busy_seen(void);
unsigned churn_others_seen(void);

/* Let the threads be idle, until churn_go; churn_check then expects exactly the blocks they left. */
void churn_halt(void);

/* End the threads, if there are any; give all blocks back. */
void churn_end(void);
void churn_clear(void);

/* The block of some live slot, which stays live as far as the churn knows: to see churn_check object. */
void *churn_some_block(void);

#endif
