/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* pageheap.h -- the page heap: blocks of which each has a slot of OS pages of its own, between inaccessible ones.
 *
 * In all books a paged block is a large block whose descriptor names its slot, as a guarded one is (guard.h); the
 * number's highest bit tells them apart.  Nothing of this is touched unless option STRESS is given. */
#ifndef PH_PAGEHEAP_H
#define PH_PAGEHEAP_H

#include "guard.h"
#include "stress.h"
#include "trace.h"

#define PAGED_BIT 0x80000000u
static inline bool slot_is_paged(uint32_t number) { return (number & PAGED_BIT) != 0; }

struct paged {
    struct heap *heap;
    char *block;      /* of its present or last life */
    size_t wanted;
    uint32_t number;  /* its own, PAGED_BIT set; 0: never taken */
    uint32_t next;    /* in quarantine, or among the free ones of its area: the number of the next; 0: none */
    uint32_t thread[SLOT_EVENTS]; /* who took it, who gave it */
    uint32_t stack[SLOT_EVENTS];  /* trace.h's numbers; 0: none */
    uint32_t span;    /* its descriptor, for good; SPAN_NONE: none yet */
    uint32_t pages;   /* OS pages from that of its block on that are open while it lives */
    uint16_t place[SLOT_EVENTS]; /* of the program, more or less; 0: unknown */
    uint8_t state;    /* enum slot_state */
    uint8_t family;   /* enum family: who took it */
    uint8_t opened;   /* flag: a fault made some of what is inaccessible accessible */
    uint8_t kept;     /* flag: freed, but it can be read and holds a pattern: of a private heap, or time was short */
};

/* Why a block was not served: what the summary counts. */
enum paged_refusal { PAGED_BUDGET, PAGED_SPACE, PAGED_MAPPINGS, PAGED_TIME, PAGED_LONG, PAGED_HANDLER, PAGED_REFUSALS };

struct page_heap_figures {
    uint64_t taken, live, live_most;
    uint64_t bytes, bytes_most; /* of memory in live slots */
    uint64_t recycled;          /* slots that came back from quarantine */
    uint64_t kept;              /* freed blocks of the process heap that could be read after, because time was short */
    uint64_t refused[PAGED_REFUSALS], refused_least, refused_most; /* how many; of all, the least and the most bytes */
    uint32_t by_advice;         /* flag: guards by madvise, not by mprotect */
};

enum { PAGED_FILL_BYTES = 1 << 20 }; /* blocks up to that are filled; longer ones are zero, and stay untouched memory */

/* pageheap.c -- blocks.  They are inside their heap's gate where ph_guard_... are. */
void *ph_page_heap_alloc(struct heap *hp, const struct request *rq); /* NULL: not this one */
void ph_page_heap_give(struct heap *hp, const struct span *sp); /* out of all books; its descriptor stays with the slot */
bool ph_page_heap_resize(const struct heap *hp, struct span *sp, size_t bytes); /* where it stands; false: no room */

/* pagewants.c -- which of them, as long as there is time; figures, changed by whoever holds the process heap's span lock */
bool ph_page_heap_wants(const struct heap *hp, size_t bytes);
uint64_t ph_page_heap_chance(void); /* a number for the block that was wanted last; the same for the same seed */
uint64_t ph_page_heap_begins(void); /* 0: this operation is not timed */
void ph_page_heap_ends(uint64_t began);
void ph_page_heap_fork_child(void); /* its time has just begun */
bool ph_page_heap_is_rare(const struct paged *pd); /* few blocks came from there, or went there, up to now */
bool ph_page_heap_is_hot(const void *caller); /* so many blocks were taken by that call that this one can do without */
bool ph_page_heap_is_late(uint32_t times); /* the page heap took its share, 1 or 2 times */
struct page_heap_figures *ph_page_heap_figures(void);
void ph_page_heap_count(size_t bytes), ph_page_heap_discount(size_t bytes); /* a block came, or went */
void ph_page_heap_refuse(enum paged_refusal why, size_t bytes);
const char *ph_page_heap_refusal(enum paged_refusal why); /* in words */

/* pagelook.c -- what stands around them and in them after free, and what is told of it */
static inline char *paged_first_page(const char *block) { return (char *)((uintptr_t)block & ~(uintptr_t)(ph_os_page_bytes() - 1)); }
static inline size_t paged_open_bytes(const struct paged *pd) { return pd->pages * ph_os_page_bytes(); }
static inline char *paged_open_end(const struct paged *pd) { return paged_first_page(pd->block) + paged_open_bytes(pd); }
char *ph_paged_before(const struct paged *pd);         /* where the canary before its block begins */
size_t ph_paged_tail_bytes(const struct heap *hp);     /* W32 2.8, of a private heap's blocks */
const char *ph_paged_broken(const struct paged *pd); /* the byte beside a live block that somebody changed, the nearest; NULL */
void ph_paged_check(const struct paged *pd);        /* report that */
void ph_paged_check_freed(const struct paged *pd);  /* of one that is kept: report what was changed after free */
void ph_paged_note(struct paged *pd, enum slot_event event); /* who it is, from where */
struct trace *ph_paged_stack(const struct paged *pd, enum slot_event event, struct trace *room); /* NULL: unknown */
struct report;
void ph_paged_complete(struct report *rp, struct trace *room); /* for ph_report_completed */
bool ph_page_heap_origin(const void *block, struct trace *out); /* of a live one: where it was taken */
void ph_page_heap_failed(size_t bytes); /* an allocation of the program's gave NULL */
const struct trace *ph_page_heap_failure(size_t *bytes); /* the last such; NULL: none */
enum family ph_page_heap_family(const struct span *sp);
enum block_verdict ph_page_heap_look(const void *block, struct block_info *out); /* no live block's start; BLOCK_NOT_OURS: in no slot */
bool ph_page_heap_is_valid(const struct span *sp);
bool ph_page_heap_freed_is_good(const struct heap *hp); /* what can be read after free was not changed */
void ph_page_heap_check_all(uint64_t most); /* report what was changed around live blocks, and in kept ones; so many slots, the
                                             * longest first, of each length the newest */

/* pageslot.c -- where slots are, guards, quarantine; held, but where it says not: the process heap's span lock */
bool ph_paged_ready(void);                       /* false: there are none */
struct paged *ph_paged_take(size_t bytes, enum paged_refusal *why); /* all of it inaccessible, but if it was kept; NULL: none */
void ph_paged_untake(struct paged *pd);          /* as if it never was taken */
void ph_paged_quarantine(struct paged *pd);      /* closed, it waits from now on */
struct paged *ph_paged_keep(struct paged *pd);   /* open, likewise; one that waited long enough and is to be closed, or NULL */
struct paged *ph_paged_ripe(size_t most_bytes);  /* the oldest, where more than so much waits; NULL */
void ph_paged_free(struct paged *pd);            /* it may be taken again, after all others of its length */
struct paged *ph_paged_at(uint32_t number);      /* not held; NULL: there is none */
struct paged *ph_paged_of(const void *address);  /* not held; in it or in the guard behind; NULL: nobody's */
struct paged *ph_paged_below(const char *address); /* not held; the last that was ever taken below, of that length; NULL */
struct paged *ph_paged_previous(uint32_t number); /* not held; of those that were ever taken, the longest first, of each length the
                                                   * newest; of 0 the first of these */
void ph_paged_mend(void);                        /* child of a fork past us: what waited, or was free, is never taken again */
char *ph_paged_start(const struct paged *pd);    /* not held, both */
char *ph_paged_end(const struct paged *pd);
size_t ph_page_heap_room(const char *at, bool is_write); /* not held; bytes of a live block from there on; SIZE_MAX: nothing is known */
bool ph_paged_is_table(const void *address);     /* not held; memory of ours that names blocks */
bool ph_paged_open(char *from, size_t bytes);    /* not held; accessible and zero.  false: no memory, or too many mappings */
void ph_paged_close(char *from, size_t bytes);   /* not held; inaccessible, and no memory any more */

/* pagefault.c -- true: it was one of these, and the program can go on */
bool ph_page_heap_fault(char *at, const void *ucontext);
bool ph_page_heap_null(const char *at, const void *ucontext); /* false: after a report, too */
void ph_page_heap_access(char *at, bool is_write, const char *function, const void *caller); /* beyond that: reports it */
void ph_page_heap_wild(const void *ucontext); /* an access through what new memory holds: reports it */

#endif
