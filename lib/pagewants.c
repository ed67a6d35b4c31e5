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

#include "small.h"

enum { GRACE_TICKS = 100000000 }; /* 40 ms of 2.5 GHz: short programs have no bound */

static struct page_heap_figures figures;
static uint64_t ordinal; /* of a block that may be served */
static uint64_t begun, spent; /* ticks */

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

/* When this began; 0: there is no bound on time. */
uint64_t ph_page_heap_begins(void)
{
    if (ph_stress_in_force()->slowdown == 0)
        return 0;
    const uint64_t now = ticks();
    if (begun == 0)
        begun = now;
    return now;
}

void ph_page_heap_ends(uint64_t began)
{
    if (began != 0)
        __atomic_fetch_add(&spent, ticks() - began, __ATOMIC_RELAXED);
}

/* The page heap took more than its share, `times` over.  All that passed is what it took and what the rest took. */
bool ph_page_heap_is_late(uint64_t now, uint64_t times)
{
    const uint64_t passed = now - begun, mine = LOOK(spent), rest = passed > mine ? passed - mine : 0;
    return now != 0 && mine > GRACE_TICKS * times && mine > rest * (ph_stress_in_force()->slowdown - 1) / 2 * times; /* half of it goes unseen */
}

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
