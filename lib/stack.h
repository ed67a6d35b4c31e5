/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stack.h -- what local.c, sized.c and stack.c share: the rooms of a local's stacks.
 *
 * An entry is lo->stride words.  Below the first entry of each room stands the sentinel, an entry that
 * is no block.  Bounds are kept in entries, addresses in words. */
#ifndef PH_STACK_H
#define PH_STACK_H

#include "hot.h"
#include "valid.h"

enum {
    REFILL_PART = 2,       /* an empty stack is filled by so much of its room, */
    FLUSH_PART = 4,        /* a full one gives so much of it back */
    SMALL_FLUSH_BYTES = 64,
    REFILLS_PER_CLOCK = 256,
    CAP_FIRST_BYTES = 4096,
    LOCAL_BYTES = 1 << 20, /* of blocks that all stacks of one local may hold beyond their first room */
};

/* What lies in its stacks must be looked at block by block. */
static inline bool local_is_torn(const struct local *lo) { return lo->state == LOCAL_STRAY || lo->left; }

static inline bool stack_has_room(const struct stack *st) { return st->bottom != 0; }

static inline void **stack_bottom(struct local *lo, const struct stack *st) { return lo->slot + st->bottom; }

static inline unsigned stack_count(struct local *lo, const struct stack *st)
{
    return stack_has_room(st) ? (unsigned)(st->top - stack_bottom(lo, st)) >> (lo->stride - 1u) : 0;
}

static inline unsigned stack_cap(struct local *lo, const struct stack *st)
{
    return stack_has_room(st) ? (unsigned)(st->limit - stack_bottom(lo, st)) >> (lo->stride - 1u) : 0;
}

static inline unsigned stack_cap_first(unsigned class)
{
    const unsigned fit = CAP_FIRST_BYTES / ph_class_bytes[class];
    return fit > SLOTS_FIRST ? SLOTS_FIRST : fit < 1 ? 1 : fit;
}

static inline unsigned stack_cap_most(unsigned class)
{
    const unsigned fit = STACK_BYTES / ph_class_bytes[class];
    return fit > STACK_SLOTS ? STACK_SLOTS : fit < 2 ? 2 : fit;
}

/* 0: it has no deep room, as in it no more would fit than in its wide one, or as the local is sized: those are many. */
static inline unsigned stack_cap_deep(const struct local *lo, unsigned class)
{
    const unsigned fit = DEEP_BYTES / ph_class_bytes[class];
    return lo->stride == 2 ? 0 : fit > DEEP_SLOTS ? DEEP_SLOTS : fit > STACK_SLOTS ? fit : 0;
}

enum { SLOTS_OF_FIRST = CLASS_COUNT * (SLOTS_FIRST + 1) };

/* Entries that fit into the room it is in. */
static inline unsigned stack_room(const struct local *lo, const struct stack *st, unsigned class)
{
    return st->bottom < SLOTS_OF_FIRST * lo->stride ? SLOTS_FIRST : lo->stride == 2 || st->bottom < DEEP_START ? st->cap_max : stack_cap_deep(lo, class);
}

/* Small blocks are half a stack at a time: for them the lock is the greater part of the cost. */
static inline unsigned stack_flush_count(struct local *lo, const struct stack *st, unsigned class)
{
    const unsigned part = ph_class_bytes[class] <= SMALL_FLUSH_BYTES ? REFILL_PART : FLUSH_PART;
    return (stack_cap(lo, st) + part - 1) / part;
}

extern void *ph_stack_no_entry;
unsigned ph_stack_deep(const struct local *lo, unsigned class); /* the first entry's slot in its deep room */
void ph_stack_open(struct local *lo, struct stack *st, unsigned class);  /* a class is used for the first time */
void ph_stack_overflows(struct local *lo, struct stack *st, unsigned class); /* it may be wider now */
void ph_stack_ran_dry(struct local *lo, struct stack *st, unsigned class);   /* likewise */
void ph_stacks_expire(struct local *lo); /* deep ones that did neither since this was asked last are emptied */
void ph_stack_close(struct local *lo, struct stack *st);                 /* without room again, whatever was in it */
void ph_local_shape(struct local *lo, struct heap *hp, unsigned stride);
struct local *ph_local_adopt(struct heap *hp, unsigned stride); /* one that nobody uses; NULL: none */
void ph_local_add(struct heap *hp, struct local *lo);           /* to the heap's */
void ph_local_own(struct heap *hp, struct local *lo);           /* it is this thread's now */
bool ph_local_may_attach(void);
bool ph_local_at_exit(void *mark); /* have the destructor run for this thread; false: it cannot */

#endif
