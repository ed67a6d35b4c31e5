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
    FIRST_BLOCKS = 3000, /* they have no bound: 10 ms */
    PLACES = 4096,       /* of the program, told apart */
    SAMPLED = 32,        /* of so many operations one is timed */
    GRACE_NS = 50000000, /* before any is refused */
};

static struct page_heap_figures figures;
static uint64_t ordinal; /* of a block that may be served */
static uint64_t spent_ns; /* on processors */
static uint64_t first_blocks = FIRST_BLOCKS; /* of all that this process and those before it took */
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

/* How many times its share the page heap took, of the process's time on processors.  Three times what we see of it goes unseen: page
 * tables, caches, what other rooms do. */
static uint32_t share(void)
{
    const uint64_t all = ph_os_cpu_ns(true), mine = LOOK(spent_ns), rest = all > mine ? all - mine : 0;
    const uint64_t due = rest * (ph_stress_in_force()->slowdown - 1) / 8;
    return LOOK(figures.taken) < first_blocks || mine < due ? 0 : mine < 2 * due + GRACE_NS ? 1 : 2;
}

/* Its clock stands at 0, and what it does is its own. */
void ph_page_heap_fork_child(void)
{
    spent_ns = 0;
    late = 0;
    first_blocks = figures.taken + FIRST_BLOCKS;
}

/* What looking at the clock takes by itself. */
static uint64_t look_ns(void)
{
    static uint64_t least;
    enum { LOOKS = 16 };
    if (LOOK(least) != 0)
        return LOOK(least);
    uint64_t before = ph_os_cpu_ns(false), best = UINT64_MAX;
    for (unsigned i = 0; i < LOOKS; i++) {
        const uint64_t now = ph_os_cpu_ns(false);
        best = now - before < best ? now - before : best;
        before = now;
    }
    __atomic_store_n(&least, best + 1, __ATOMIC_RELAXED);
    return best + 1;
}

uint64_t ph_page_heap_begins(void)
{
    static uint32_t turn;
    if (ph_stress_in_force()->slowdown == 0 || __atomic_add_fetch(&turn, 1, __ATOMIC_RELAXED) % SAMPLED != 0)
        return 0;
    return ph_os_cpu_ns(false);
}

void ph_page_heap_ends(uint64_t began)
{
    if (began == 0)
        return;
    const uint64_t took = ph_os_cpu_ns(false) - began, look = look_ns();
    __atomic_fetch_add(&spent_ns, (took > look ? took - look : 0) * SAMPLED, __ATOMIC_RELAXED);
    __atomic_store_n(&late, share(), __ATOMIC_RELAXED);
}

/* One more from a place: true while they are few.  Two places may share a cell. */
static bool is_rare(uint8_t *met, uint16_t place)
{
    enum { FEW = 8 };
    uint8_t *count = &met[place % PLACES];
    if (place == 0 || LOOK(*count) >= FEW)
        return false;
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
    return true;
}

/* Where most time goes faults are least likely: what runs a million times was tried. */
bool ph_page_heap_is_rare(const struct paged *pd)
{
    static uint8_t met[SLOT_EVENTS][PLACES];
    const bool taken = is_rare(met[SLOT_ALLOCATED], pd->place[SLOT_ALLOCATED]);
    return is_rare(met[SLOT_WAS_FREED], pd->place[SLOT_WAS_FREED]) || taken;
}

/* Without stacks speed is what is asked for: once time is short, of what one call takes again and again three of four have
 * canaries only.  Pages are what costs the program itself most: twice as many as the processor keeps addresses of. */
bool ph_page_heap_is_hot(const void *caller)
{
    enum { MANY = 16384 };
    static uint16_t met[PLACES];
    uint16_t *count = &met[((uintptr_t)caller * 0x9e3779b97f4a7c15u) >> 52];
    if (ph_stress_in_force()->stacks != 0 || caller == NULL || !ph_page_heap_is_late(1))
        return false;
    if (LOOK(*count) < MANY)
        __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
    return LOOK(*count) >= MANY && ph_page_heap_chance() % 4 != 0;
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
        ph_page_heap_check_all(UINT64_MAX);
    return st->rate == 1 || ph_stress_chance(mine) % st->rate == 0;
}

/* A number for the block that was wanted last. */
uint64_t ph_page_heap_chance(void) { return ph_stress_chance(LOOK(ordinal)); }
