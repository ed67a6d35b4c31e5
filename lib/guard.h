/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* guard.h -- blocks between inaccessible pages: a few of the process heap's, chosen by chance.
 *
 * In all books a guarded block is a large block that stands `offset` bytes into its first unit and
 * whose descriptor names its slot.  A slot is some OS pages with an inaccessible one on either side; two neighbours
 * share one. */
#ifndef PH_GUARD_H
#define PH_GUARD_H

#include "hot.h"
#include "unwind.h"

enum {
    GUARD_MOST_BYTES = 65536,
    GUARD_AREAS = 3, /* slots of 1, 4 and 16 OS pages */
    GUARD_LEFT_OFF = INT32_MAX,
    GUARD_LEFT_NEW = INT32_MIN / 2, /* a thread that was not asked yet */
};

enum slot_state { SLOT_NEVER, SLOT_TAKEN, SLOT_LIVE, SLOT_FREED };

struct slot {
    char *block;     /* of its present or last life */
    uint32_t wanted;
    uint16_t state;  /* enum slot_state */
    uint16_t next;   /* freed: the number of the one freed after it */
    uint32_t self;   /* its number; 0 is none */
    uint16_t family; /* enum family: who took it */
    uint16_t opened; /* a fault in tolerant mode made some of its pages, or of the guards, accessible */
    struct trace allocated, freed;
};

/* How many blocks more this thread takes before one of them is considered. */
extern __thread int32_t ph_guard_left __attribute__((tls_model("initial-exec")));
static inline bool ph_guard_due(void) { return unlikely(--ph_guard_left < 0); }
static inline void ph_guard_count(unsigned blocks) { ph_guard_left -= (int32_t)blocks; }

/* guard.c -- which blocks, and what stands around them */
bool ph_guard_wants(const struct heap *hp, const struct request *rq); /* this block is one of the chosen */
void *ph_guard_take(struct heap *hp, const struct request *rq); /* zeroed; NULL: no slot.  Inside the heap */
void ph_guard_give(struct heap *hp, struct span *sp);            /* out of all books, but for its slot */
bool ph_guard_resize(struct heap *hp, struct span *sp, size_t bytes); /* where it stands; false: no room */
enum family ph_guard_family(const struct span *sp);
bool ph_guard_is_valid(const struct span *sp);                   /* of a large block: its slot, and what surrounds it */
void ph_guard_check_all(struct heap *hp);                        /* at exit: report what was changed around live ones */
bool ph_guard_look(const void *address, struct slot *out);       /* whose memory it is, or was; false: no slot's */

/* guardslot.c -- where slots are, and which of them comes next */
bool ph_slot_ready(void);                  /* held: span lock; false: there will be none */
struct slot *ph_slot_take(size_t bytes, size_t most_pages); /* held: span lock; NULL: none */
void ph_slot_give(struct slot *sl, bool used); /* held: span lock; false: as if it never was taken */
struct slot *ph_slot_at(uint32_t number);  /* NULL: there is none */
struct slot *ph_slot_of(const void *address); /* in it or, in a guard, next to it on the left; NULL: nobody's */
char *ph_slot_start(const struct slot *sl);
char *ph_slot_end(const struct slot *sl);
uint32_t ph_slot_limit(void);              /* numbers are below; 0: no slots */
bool ph_slot_many(void);                   /* the wide table: secure, tolerant, or asked for by a low rate */

/* guardfault.c -- an access that no guard let pass */
bool ph_guard_catch_faults(void); /* once; false: the system refuses */

#endif
