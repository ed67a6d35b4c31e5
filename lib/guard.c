/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* guard.c -- which blocks of the process heap lie between inaccessible pages, and what surrounds them.
 *
 * Owns:    struct slot while it is taken; the descriptor of a guarded block.
 * Calls:   guardslot.c; large.c for the books (beside), pattern, unwind, report, os; pageheap.c for blocks of its own.
 * Locks:   takes LOCK span around the list of slots.
 * Always:  a block ends where its slot ends, but for its alignment; the rest of the pages that it
 *          needs is filled with a pattern without zeros or letters, and checked when it is freed, at exit and by
 *          HeapValidate.
 * Why:     most errors of short programs are made with their first blocks, those of long ones anywhere: so the first
 *          blocks that the program itself takes, then one in so many. */
#include "pageheap.h"

#include "options.h"
#include "pattern.h"
#include "report.h"
#include "valid.h"

#include "small.h"

enum {
    EARLY_OPS = 512,      /* slow operations of a process that may take an early slot, in default mode, */
    EARLY_OF_CLASS = 4,   /* so many of each class, */
    EARLY_IN_ALL = 64,    /* and in all */
    LIBC_OPS = 256,       /* so many without one by the program: then libc's are as good.  It takes 200 for a locale's names */
    LIVE_PAGES = 24,      /* that may be live in default mode, */
    LIVE_PART = 128,      /* and this part of the heap */
    MANY_PAGES = 96,      /* the same in the other modes, */
    MANY_PART = 32,
    MANY_LIVE = 28,       /* and blocks, and for each so many pages of the heap: two mappings more for fork to copy */
    MANY_OPS = 128,       /* operations of the program until only chance chooses, */
    MANY_OF_CLASS = 12,   /* so many of each class before, */
    MANY_IN_ALL = 56,     /* and in all; */
    MANY_OF_LIBC = 2,     /* of libc's so many of each class */
    MANY_LIBC_IN_ALL = 10,
    BEFORE_BYTES = 512,   /* before a block that are filled and checked */
    RARE = 1000,          /* from this rate on no more than time allows: one costs 10 us, */
    APART_MS = 4,         /* and 5,000 blocks at 5 ns each take 25; so they are to be so far apart, */
    SPREAD_MOST = 256,    /* or so many times rarer than the option says */
    MANY_FIRST = 32,      /* then ever fewer: one in (operations / this)^2 */
    PROGRAM_BYTES = 1 << 28, /* its code lies within that of its entry, libraries do not */
    OURS_BYTES = 1 << 17, /* so does ours of itself */
};

__thread int32_t ph_guard_left __attribute__((tls_model("initial-exec")));
static uint64_t chance;
static uint32_t early_ops, early_given, libc_ops, seen_ops, spread = 1, sampled_ms;
static bool is_off, is_early_over, is_program;
static uint8_t early_uses[CLASS_COUNT + 1];

/* ---- which ------------------------------------------------------------------------------------ */

#define LOOK(variable) __atomic_load_n(&(variable), __ATOMIC_RELAXED)
#define SET(variable, value) __atomic_store_n(&(variable), (value), __ATOMIC_RELAXED)

/* Evenly 0 to 2 * mean - 2; two threads may draw alike. */
static int32_t draw(uint64_t mean)
{
    enum { MEAN_MOST = 1 << 28 };
    const uint64_t next = (LOOK(chance) ^ ph_secret) * 6364136223846793005u + 1442695040888963407u;
    SET(chance, next);
    mean = mean < 1 ? 1 : mean < MEAN_MOST ? mean : MEAN_MOST;
    return (int32_t)((next >> 32) % (2 * mean - 1));
}

static bool is_near(const void *at, uintptr_t where, uintptr_t bytes) { return (uintptr_t)at - where + bytes < 2 * bytes; }

/* Not libc on its way to main, nor what libc wants for itself: our own operator new, or the program.  Nor who asks
 * by HeapAlloc, and may count a heap's mappings; in the other modes they are the program, too. */
static bool is_by_program(const void *caller)
{
    const bool many = ph_mode != MODE_DEFAULT;
    if (caller == NULL || LOOK(is_program))
        return caller != NULL || many;
    const bool by_program = is_near(caller, (uintptr_t)ph_os_entry(), PROGRAM_BYTES) ||
                            is_near(caller, (uintptr_t)ph_guard_wants, OURS_BYTES);
    if (by_program || ++libc_ops >= LIBC_OPS)
        SET(is_program, true);
    return by_program;
}

static unsigned class_number(const struct request *rq)
{
    return rq->bytes <= CLASS_BYTES ? class_of(rq->bytes) : CLASS_COUNT;
}

/* One of the first of its class.  In the other modes libc's count for something before the program has asked for any: it may
 * never do so by itself. */
static bool is_early_of_class(const struct request *rq, bool by_program)
{
    uint8_t *uses = &early_uses[class_number(rq)];
    const uint8_t most = ph_mode == MODE_DEFAULT ? EARLY_OF_CLASS : by_program ? MANY_OF_CLASS : MANY_OF_LIBC;
    if (LOOK(*uses) >= most)
        return false;
    SET(*uses, LOOK(*uses) + 1);
    SET(early_given, LOOK(early_given) + 1);
    return true;
}

/* Programs that do little but allocate meet ever fewer, so that all pay about the same part of their time. */
static uint64_t spread_now(void)
{
    const uint32_t now = (uint32_t)ph_os_clock_ms(), before = LOOK(spread), past = now - LOOK(sampled_ms);
    const uint32_t after = past < APART_MS ? before * 2 : past > 4 * APART_MS ? before / 2 : before;
    SET(sampled_ms, now);
    SET(spread, after < 1 ? 1 : after > SPREAD_MOST ? SPREAD_MOST : after);
    return LOOK(spread);
}

static bool wants_early(const struct request *rq)
{
    const bool many = ph_mode != MODE_DEFAULT, by_program = is_by_program(rq->caller);
    const uint32_t ops = LOOK(early_ops) + (by_program || !many);
    SET(early_ops, ops);
    if (ops >= (many ? MANY_OPS : EARLY_OPS) || LOOK(early_given) >= (many ? MANY_IN_ALL : EARLY_IN_ALL))
        SET(is_early_over, true);
    if (many && LOOK(is_early_over))
        SET(seen_ops, MANY_OPS);
    return (by_program || (many && LOOK(early_given) < MANY_LIBC_IN_ALL)) && is_early_of_class(rq, by_program);
}

/* How far it is to the next one, on average. */
static uint64_t mean_now(void)
{
    const uint64_t option = ph_option(OPT_GUARD_RATE), rate = option < RARE ? option : option * spread_now();
    if (ph_mode == MODE_DEFAULT)
        return rate;
    const uint64_t seen = LOOK(seen_ops) / MANY_FIRST;
    return seen * seen < rate ? seen * seen : rate;
}

static void count_on(int32_t left)
{
    ph_guard_left = GUARD_LEFT_ZERO + left;
    const uint32_t seen = LOOK(seen_ops) + (uint32_t)left + 1;
    SET(seen_ops, seen < UINT32_MAX / 2 ? seen : UINT32_MAX / 2);
}

static COLD bool is_never(const struct heap *hp)
{
    const bool never = LOOK(is_off) || ph_option(OPT_CHECKS) == 0 || ph_option(OPT_GUARD_RATE) == 0 ||
                       hp->bound_units != 0 || hp->debug != 0 || hp->stress != 0;
    if (never)
        SET(is_off, true);
    return never;
}

void ph_guard_end(void) { SET(is_off, true); }

bool ph_guard_wants(const struct heap *hp, const struct request *rq)
{
    const bool is_new = ph_guard_left < GUARD_LEFT_ZERO / 2;
    if (!is_new)
        ph_guard_left = GUARD_LEFT_ZERO;
    if (hp->handle == NULL || ph_locks_held > 0) /* nothing is set up; a signal's handler that interrupted us */
        return false;
    if (is_never(hp)) {
        ph_guard_left = GUARD_LEFT_OFF;
        return false;
    }
    if (rq->bytes > GUARD_MOST_BYTES || rq->align > ph_os_page_bytes())
        return false; /* the next one, then */
    if (ph_option(OPT_GUARD_RATE) > EARLY_OF_CLASS && !LOOK(is_early_over))
        return wants_early(rq);
    const uint64_t mean = mean_now();
    count_on(draw(mean));
    return !is_new || mean <= 1; /* or each thread's first would be one */
}

/* ---- what surrounds it ---------------------------------------------------------------------------- */

/* The first page that the block needs: those before it in the slot stay inaccessible. */
static char *first_page(const char *block)
{
    return (char *)((uintptr_t)block & ~(uintptr_t)(ph_os_page_bytes() - 1));
}

/* Where the pattern before a block begins. */
static char *pattern_first(char *block)
{
    char *const page = first_page(block);
    return block - page > BEFORE_BYTES ? block - BEFORE_BYTES : page;
}

/* The byte before or behind a block that somebody changed, the nearest; NULL: none. */
static char *broken_at(const struct slot *sl)
{
    char *const behind = sl->block + sl->wanted, *const end = ph_slot_end(sl);
    char *broken = ph_canary_broken(behind, end);
    if (broken != end)
        return broken;
    broken = ph_canary_broken_last(pattern_first(sl->block), sl->block);
    return broken != sl->block ? broken : NULL;
}

static void report_broken(struct heap *hp, const struct slot *sl)
{
    struct trace allocated;
    const char *broken = broken_at(sl);
    if (broken == NULL)
        return;
    ph_report(&(struct report){
        .kind = broken < sl->block ? DIAG_UNDERFLOW : DIAG_OVERFLOW,
        .block = sl->block,
        .bytes = sl->wanted,
        .access = broken,
        .is_write = true,
        .heap = hp,
        .allocated = ph_slot_stack(sl, SLOT_ALLOCATED, &allocated),
    });
}

/* Slots need system calls, and an action for signals, that a program's filter may kill for later. */
void ph_guard_begin(struct heap *hp)
{
    if (hp->hard != 0) /* fences and guards between spans need the action too */
        (void)ph_guard_catch_faults();
    if (is_never(hp))
        return;
    ph_lock_take(&hp->span_lock);
    if (!ph_slot_ready())
        SET(is_off, true);
    ph_lock_give(&hp->span_lock);
}

/* ---- taking and giving ------------------------------------------------------------------------------ */

static size_t pages_most(uint64_t heap_pages)
{
    return ph_slot_many() ? MANY_PAGES + heap_pages / MANY_PART : LIVE_PAGES + heap_pages / LIVE_PART;
}

/* No bound of its own where somebody asks for many. */
static size_t live_most(uint64_t heap_pages)
{
    return ph_slot_many() && ph_option(OPT_GUARD_RATE) >= GUARD_RATE_MANY ? MANY_LIVE + heap_pages / LIVE_PART : SIZE_MAX;
}

static struct slot *slot_take(struct heap *hp, size_t bytes)
{
    ph_lock_take(&hp->span_lock);
    const uint64_t heap_pages = hp->live_units + (hp->large_bytes >> UNIT_BITS);
    struct slot *sl = NULL;
    if (!ph_slot_ready())
        SET(is_off, true);
    else
        sl = ph_slot_take(bytes, pages_most(heap_pages), live_most(heap_pages));
    ph_canary_begin();
    ph_lock_give(&hp->span_lock);
    return sl;
}

static void slot_give(struct heap *hp, struct slot *sl, bool used)
{
    ph_lock_take(&hp->span_lock);
    ph_slot_give(sl, used);
    ph_lock_give(&hp->span_lock);
}

/* Its pages from that of the block on are memory now, all zero. */
static bool slot_open(struct slot *sl)
{
    char *const start = ph_slot_start(sl), *const end = ph_slot_end(sl);
    const size_t os_page = ph_os_page_bytes();
    if (ph_mode == MODE_TOLERANT || sl->soiled) /* what it had in its last life */
        sl->soiled = ph_os_purge(start - os_page, (size_t)(end - start) + 2 * os_page) != 0;
    if (sl->opened) {
        (void)ph_os_protect(start - os_page, (size_t)(end - start) + 2 * os_page);
        sl->opened = 0;
    }
    char *from = first_page(sl->block);
    if (ph_os_commit(from, (size_t)(end - from), false) != 0)
        return false;
    if (sl->soiled)
        ph_bytes_zero(from, (size_t)(end - from));
    return true;
}

static void slot_fill(struct slot *sl)
{
    ph_canary_fill(pattern_first(sl->block), sl->block);
    ph_canary_fill(sl->block + sl->wanted, ph_slot_end(sl));
    ph_slot_note(sl, SLOT_ALLOCATED);
    __atomic_store_n(&sl->state, SLOT_LIVE, __ATOMIC_RELEASE);
}

static void *slot_enter(struct heap *hp, struct slot *sl)
{
    struct span *sp = ph_span_new();
    if (sp == NULL)
        return NULL;
    sp->start = (uintptr_t)sl->block >> UNIT_BITS;
    sp->tag = hp->tag | KIND_LARGE;
    sp->offset = (uint32_t)((uintptr_t)sl->block & (UNIT_BYTES - 1));
    sp->slot = sl->self;
    sp->mapped_bytes = (size_t)(ph_slot_end(sl) - (char *)ph_span_start(sp));
    span_want(sp, sl->wanted, true);
    ph_large_link(hp, sp);
    return sl->block;
}

void *ph_guard_take(struct heap *hp, const struct request *rq)
{
    const size_t align = rq->align > 16 ? rq->align : 16;
    const size_t room = ph_round_up(rq->bytes > 0 ? rq->bytes : 1, align);
    struct slot *sl = slot_take(hp, room);
    if (sl == NULL)
        return NULL;
    sl->block = ph_slot_end(sl) - room;
    sl->wanted = (uint32_t)rq->bytes;
    sl->family = (uint16_t)rq->family;
    if (slot_open(sl)) {
        slot_fill(sl);
        void *block = slot_enter(hp, sl);
        if (block != NULL)
            return block;
        sl->soiled |= ph_os_purge(ph_slot_start(sl), (size_t)(ph_slot_end(sl) - ph_slot_start(sl))) != 0;
        (void)ph_os_protect(ph_slot_start(sl), (size_t)(ph_slot_end(sl) - ph_slot_start(sl)));
    }
    slot_give(hp, sl, false);
    return NULL;
}

void ph_guard_give(struct heap *hp, struct span *sp)
{
    struct slot *sl = ph_slot_at(sp->slot);
    if (sl == NULL)
        return;
    char *from = first_page(sl->block);
    const size_t bytes = (size_t)(ph_slot_end(sl) - from);
    report_broken(hp, sl);
    ph_slot_note(sl, SLOT_WAS_FREED);
    ph_lock_take(&hp->span_lock); /* another thread may be looking around it: the process ends */
    __atomic_store_n(&sl->state, SLOT_FREED, __ATOMIC_RELEASE);
    ph_lock_give(&hp->span_lock);
    (void)ph_os_protect(from, bytes);
    if (ph_mode != MODE_TOLERANT)
        sl->soiled |= ph_os_purge(from, bytes) != 0;
    slot_give(hp, sl, true);
}

bool ph_guard_resize(struct heap *hp, struct span *sp, size_t bytes)
{
    if (slot_is_paged(sp->slot))
        return ph_page_heap_resize(hp, sp, bytes);
    ph_lock_take(&hp->span_lock);
    struct slot *sl = ph_slot_at(sp->slot);
    const bool fits = sl != NULL && bytes <= (size_t)(ph_slot_end(sl) - sl->block);
    if (fits) {
        sl->wanted = (uint32_t)bytes;
        span_want(sp, bytes, true);
        ph_canary_fill(sl->block + bytes, ph_slot_end(sl));
    }
    ph_lock_give(&hp->span_lock);
    return fits;
}

/* ---- looking ---------------------------------------------------------------------------------------- */

enum family ph_guard_family(const struct span *sp)
{
    if (slot_is_paged(sp->slot))
        return ph_page_heap_family(sp);
    const struct slot *sl = ph_slot_at(sp->slot);
    return sl != NULL ? (enum family)sl->family : FAMILY_ANY;
}

bool ph_guard_is_valid(const struct span *sp)
{
    if (sp->slot == 0)
        return sp->fenced ? sp->offset < ph_os_page_bytes() : sp->offset == 0;
    if (slot_is_paged(sp->slot))
        return ph_page_heap_is_valid(sp);
    const struct slot *sl = ph_slot_at(sp->slot);
    return sl != NULL && sl->block == ph_large_block(sp) && sl->wanted == sp->wanted && ph_slot_of(sl->block) == sl &&
           sp->mapped_bytes == (size_t)(ph_slot_end(sl) - (char *)ph_span_start(sp)) && broken_at(sl) == NULL;
}

void ph_guard_check_all(struct heap *hp, uint64_t most)
{
    if (hp->stress != 0)
        ph_page_heap_check_all(most);
    for (uint32_t number = 0; (number = ph_slot_next(number)) != 0;) {
        const struct slot *sl = ph_slot_at(number);
        if (sl == NULL)
            continue;
        ph_lock_take(&hp->span_lock);
        if (sl->state == SLOT_LIVE)
            report_broken(hp, sl);
        ph_lock_give(&hp->span_lock);
    }
}

