/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* guard.h -- blocks between inaccessible pages: a few of the process heap's, chosen by chance.
 *
 * In all books a guarded block is a large block that stands `offset` bytes into its first unit and
 * whose descriptor names its slot.  A slot is some OS pages with an inaccessible one on either side; two neighbours
 * share one. */
#ifndef PH_GUARD_H
#define PH_GUARD_H

#include <signal.h>

#include "hot.h"
#include "unwind.h"

enum {
    GUARD_MOST_BYTES = 65536,
    GUARD_RATE_MANY = 100, /* more often than that: the wide table, also in default mode */
    GUARD_AREAS = 3, /* slots of 1, 4 and 16 OS pages */
    GUARD_LEFT_OFF = INT32_MAX,
    GUARD_LEFT_ZERO = 1 << 30,      /* none: so that a thread that was not asked yet, 0, is asked, and takes no room */
};

enum slot_state { SLOT_NEVER, SLOT_TAKEN, SLOT_LIVE, SLOT_FREED };

struct slot {
    char *block;     /* of its present or last life */
    uint32_t wanted;
    uint16_t state;  /* enum slot_state */
    uint16_t next;   /* freed: the number of the one freed after it */
    uint16_t self;   /* its number; 0 is none */
    uint16_t pages;  /* OS pages that its block needs */
    uint16_t family; /* enum family: who took it */
    uint8_t opened;  /* flag: a fault in tolerant mode made some of its pages, or of the guards, accessible */
    uint8_t soiled;  /* flag: the system refused to take back what its pages hold */
};
enum slot_event { SLOT_ALLOCATED, SLOT_WAS_FREED, SLOT_EVENTS };

/* GUARD_LEFT_ZERO, and how many blocks more this thread takes before one of them is considered. */
extern __thread int32_t ph_guard_left __attribute__((tls_model("initial-exec")));
static inline bool ph_guard_due(void) { return unlikely(--ph_guard_left < GUARD_LEFT_ZERO); }
static inline void ph_guard_count(unsigned blocks) { ph_guard_left -= (int32_t)blocks; }

/* guard.c -- which blocks, and what stands around them */
bool ph_guard_wants(const struct heap *hp, const struct request *rq); /* this block is one of the chosen */
void ph_guard_begin(struct heap *hp); /* before main */
void ph_guard_end(void); /* memory was out: no slot serves where nothing else does, from now on */
void *ph_guard_take(struct heap *hp, const struct request *rq); /* zeroed; NULL: no slot.  Inside the heap */
void ph_guard_give(struct heap *hp, struct span *sp);            /* out of all books, but for its slot */
bool ph_guard_resize(struct heap *hp, struct span *sp, size_t bytes); /* where it stands; false: no room */
enum family ph_guard_family(const struct span *sp);
bool ph_guard_is_valid(const struct span *sp);                   /* of a large block: its slot, and what surrounds it */
void ph_guard_check_all(struct heap *hp, uint64_t most); /* at exit: report what was changed around live ones; of the page heap's so many */

/* guardslot.c -- where slots are, and which of them comes next */
bool ph_slot_ready(void);                  /* held: span lock; false: there will be none */
struct slot *ph_slot_take(size_t bytes, size_t most_pages, size_t most_live); /* held: span lock; NULL: none */
void ph_slot_give(struct slot *sl, bool used); /* held: span lock; false: as if it never was taken */
struct slot *ph_slot_at(uint32_t number);  /* NULL: there is none */
uint32_t ph_slot_next(uint32_t number);    /* the next that was ever taken, of all the first one after 0; 0: none */
struct slot *ph_slot_of(const void *address); /* in it or, in a guard, next to it on the left; NULL: nobody's */
bool ph_slot_is_table(const void *address); /* memory of ours that names blocks */
char *ph_slot_start(const struct slot *sl);
char *ph_slot_end(const struct slot *sl);
void ph_slot_note(struct slot *sl, enum slot_event event);        /* the stack of now, */
struct trace *ph_slot_stack(const struct slot *sl, enum slot_event event, struct trace *room); /* and of then; NULL: never */
bool ph_slot_many(void);                   /* the wide table: secure, tolerant, or asked for by a low rate */

/* fence.c -- mappings of a hard heap's large blocks, with an inaccessible page on either side */
struct fenced {
    char *base;
    size_t bytes;  /* of the mapping, its fences not counted */
    char *block;
    size_t wanted;
    struct trace freed;
};
enum {
    FENCE_FROM_BYTES = 65536,
    FENCED_MOST = 8192, /* live at once, and guards between spans: each is two mappings, and a process may have 65,530 */
};
static inline bool fence_has_room(const struct heap *hp)
{
    return hp->hard != 0 && __atomic_load_n(&hp->large_count, __ATOMIC_RELAXED) +
                                    __atomic_load_n(&hp->guard_count, __ATOMIC_RELAXED) < FENCED_MOST;
}
char *ph_fence_map(size_t bytes); /* zeroed; NULL: no memory */
bool ph_fence_shrink(char *base, size_t old_bytes, size_t bytes); /* where it stands; false: nothing done */
char *ph_fence_move(char *base, size_t old_bytes, size_t bytes); /* contents and all; NULL: nothing done */
void ph_fence_give(const struct fenced *fe); /* inaccessible for a while, then unmapped */
bool ph_fence_trim(void); /* those that wait go; true: there were some */
bool ph_fence_late(const char *address, struct fenced *out); /* in one that waits */
bool ph_fence_live(const char *address, struct fenced *out); /* in a live one or its fences */
void ph_fence_fork_lock(void);
void ph_fence_fork_unlock(void);

/* guardfault.c -- an access that no guard let pass */
bool ph_guard_catch_faults(void); /* once; false: the system refuses */
bool ph_guard_has_handler(int signal, const void *handler, uintptr_t *before); /* it is ours; the program's view of it */
bool ph_guard_catch_unhandled(int signal, uintptr_t action); /* the program sets SIG_DFL or SIG_IGN: faults come to us first; false: not ours */
bool ph_guard_serves(const siginfo_t *info, const void *ucontext); /* of a fault: true when the instruction will do now */

#endif
