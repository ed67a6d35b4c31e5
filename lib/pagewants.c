/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* pagewants.c -- which blocks the page heap serves, as long as there is time for it; the figures.
 *
 * Owns:    the figures, the count of blocks that were considered, how much time it took.
 * Calls:   stress, site, unwind, os.  Locks: none.
 * Why:     a slot costs two system calls and a page of memory, 3 us; where blocks come and go by the million a program
 *          would take ten times as long, and be stopped before it comes to its fault. */
#include "pageheap.h"

#include "site.h"
#include "text.h"

/* Not small.h: a stressed program waits for this. */

enum {
    GRACE_TICKS = 50000000, /* 20 ms of 2.5 GHz: short programs have no bound */
    SAMPLED = 8,            /* of so many operations one is timed */
    LONGEST_TICKS = 250000, /* what takes longer than 0.1 ms was interrupted, and others ran */
};

static struct page_heap_figures figures;
static uint64_t ordinal; /* of a block that may be served */
static uint64_t begun, spent; /* ticks */
static uint32_t late; /* how many times the page heap took its share; 0: less */

#define LOOK(variable) __atomic_load_n(&(variable), __ATOMIC_RELAXED)

/* ---- figures ------------------------------------------------------------------------------------ */

struct page_heap_figures *ph_page_heap_figures(void) { return &figures; }

const char *ph_page_heap_refusal(enum paged_refusal why)
{
    static const char words[PAGED_REFUSALS][32] = {
        "the budget", "no address space", "no more mappings", "the time", "too large a block", "in a signal's handler",
    };
    return words[why];
}

void ph_page_heap_refuse(enum paged_refusal why, size_t bytes)
{
    __atomic_fetch_add(&figures.refused[why], 1, __ATOMIC_RELAXED);
    if (bytes > LOOK(figures.refused_most))
        __atomic_store_n(&figures.refused_most, bytes, __ATOMIC_RELAXED);
    if (bytes < LOOK(figures.refused_least) || LOOK(figures.refused_least) == 0)
        __atomic_store_n(&figures.refused_least, bytes, __ATOMIC_RELAXED);
}

void ph_page_heap_count(size_t bytes)
{
    figures.taken++;
    figures.bytes += bytes;
    if (++figures.live > figures.live_most)
        figures.live_most = figures.live;
    if (figures.bytes > figures.bytes_most)
        figures.bytes_most = figures.bytes;
}

void ph_page_heap_discount(size_t bytes)
{
    figures.live--;
    figures.bytes -= bytes;
}

/* Of whatever unit: only shares of time are compared. */
static uint64_t ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    struct timespec now;
    ph_os_clock_ask(&now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
#endif
}

/* How many times its share the page heap took.  All that passed is what it took and what the rest took; as much as we see of it goes
 * unseen: page tables, caches, what other rooms do. */
static uint32_t share(uint64_t now)
{
    const uint64_t passed = now - LOOK(begun), mine = LOOK(spent), rest = passed > mine ? passed - mine : 0;
    const uint64_t due = rest * (ph_stress_in_force()->slowdown - 1) * 5 / 16 + GRACE_TICKS;
    return mine < due ? 0 : mine < 2 * due ? 1 : 2;
}

uint64_t ph_page_heap_begins(void)
{
    static uint32_t turn;
    if (ph_stress_in_force()->slowdown == 0 || __atomic_add_fetch(&turn, 1, __ATOMIC_RELAXED) % SAMPLED != 1)
        return 0;
    const uint64_t now = ticks();
    if (LOOK(begun) == 0)
        __atomic_store_n(&begun, now, __ATOMIC_RELAXED);
    return now;
}

void ph_page_heap_ends(uint64_t began)
{
    if (began == 0)
        return;
    const uint64_t now = ticks(), took = now - began;
    __atomic_fetch_add(&spent, (took < LONGEST_TICKS ? took : LONGEST_TICKS) * SAMPLED, __ATOMIC_RELAXED);
    __atomic_store_n(&late, share(now), __ATOMIC_RELAXED);
}

bool ph_page_heap_is_late(uint32_t times) { return LOOK(late) >= times; }

/* ---- which ---------------------------------------------------------------------------------------- */

static bool is_text(const char *text, const char *other)
{
    const char *rest = text_after(text, other);
    return rest != NULL && *rest == '\0';
}

static bool is_of_module(const char *module)
{
    struct trace trace;
    ph_trace_here(&trace, NULL);
    return ph_site_is_of(&trace, module);
}

bool ph_page_heap_wants(const struct heap *hp, size_t bytes)
{
    const struct stress_spec *st = ph_stress_in_force();
    if (bytes < st->least || bytes > st->most || hp->handle == NULL)
        return false;
    if (st->has_heap && !is_text(hp == &ph_process_heap ? "process" : hp->name, st->heap))
        return false;
    if (st->has_module && !is_of_module(st->module))
        return false;
    const uint64_t mine = __atomic_fetch_add(&ordinal, 1, __ATOMIC_RELAXED);
    if (st->check != 0 && mine % st->check == st->check - 1)
        ph_page_heap_check_all();
    return st->rate == 1 || ph_stress_chance(mine) % st->rate == 0;
}

/* A number for the block that was wanted last. */
uint64_t ph_page_heap_chance(void) { return ph_stress_chance(LOOK(ordinal)); }
