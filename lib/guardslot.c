/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* guardslot.c -- where the slots of guarded blocks are, and which of them comes next.
 *
 * Owns:    the reservation; struct slot's number, next, and state while free.
 * Calls:   os.c, map.c, options.
 * Locks:   held on entry: the process heap's span lock, where the header says so.  The fault handler reads
 *          without: addresses never change once `limit` is not 0.
 * Always:  the reservation is [guard] ([slot] [guard])...; every page of it is inaccessible but those of
 *          live slots.  Never given back.
 * Why:     a slot keeps the stacks as they were, not who called: to find that out, pages of tables are read that
 *          nothing else touches, more memory than all slots (400 KB in python, 1.4 MB in gcc) and 15 us each time.
 *          Protection by mprotect alone: sandboxes allow it.  A slot that was never used comes first, then the
 *          one that was freed longest ago: an access after free is noticed as long as possible. */
#include "guard.h"

#include "options.h"

#include "small.h"

enum {
    SPACE_FEW = 64 << 20,  /* a smaller bound on the process is left alone */
    HUGE_BYTES = 2 << 20,  /* what the program maps next is aligned as without us: 1,500 faults fewer in python */
    RESIDENT_PAGES = 4096, /* of all slots: 16 MB, also where freed ones keep what they had */
};

#define SPACE_MANY ((size_t)4 << 30)

static const uint16_t area_pages[GUARD_AREAS] = {1, 4, 16};
static const uint16_t area_few[GUARD_AREAS] = {48, 6, 3}, area_many[GUARD_AREAS] = {2048, 192, 64};

static struct area {
    char *base;       /* of its first slot */
    uint32_t count;
    uint32_t first;   /* number of its first slot */
    uint32_t used;    /* slots that were taken at least once */
    uint32_t oldest, newest; /* freed ones, by number */
} areas[GUARD_AREAS];
static struct slot *slots; /* by number - 1 */
static struct stack_copy *copies[SLOT_EVENTS]; /* by number - 1: those of freed ones are rarely written */
static uint32_t limit;
static uint32_t resident; /* pages */
static uint32_t live;     /* slots */
static bool many, refused;

static size_t stride(unsigned area) { return (area_pages[area] + 1u) * ph_os_page_bytes(); }

/* ---- setting up ------------------------------------------------------------------------------- */

static size_t slot_count(const uint16_t *counts)
{
    size_t slots_in_all = 0;
    for (unsigned i = 0; i < GUARD_AREAS; i++)
        slots_in_all += counts[i];
    return slots_in_all;
}

static size_t slots_bytes(const uint16_t *counts)
{
    size_t bytes = ph_os_page_bytes();
    for (unsigned i = 0; i < GUARD_AREAS; i++)
        bytes += counts[i] * stride(i);
    return ph_round_up(bytes, HUGE_BYTES);
}

static void *table_take(size_t bytes)
{
    if (!many)
        return ph_meta_take(bytes);
    bytes = ph_round_up(bytes, ph_os_page_bytes());
    void *table = ph_os_map(bytes, ph_os_page_bytes());
    if (table != NULL)
        ph_os_no_huge(table, bytes);
    return table;
}

/* The first span's descriptor stands between a small table and its copies of stacks: so those that a small process uses
 * share OS pages.  What is taken in vain is little, and happens once. */
static bool table_make(const uint16_t *counts)
{
    const size_t slots_in_all = slot_count(counts);
    if (slots == NULL)
        slots = table_take(slots_in_all * sizeof *slots);
    struct span *sp = ph_span_new();
    if (sp != NULL)
        ph_span_drop(sp);
    copies[0] = table_take(SLOT_EVENTS * slots_in_all * sizeof **copies);
    if (slots == NULL || copies[0] == NULL)
        return false;
    for (unsigned i = 1; i < SLOT_EVENTS; i++)
        copies[i] = copies[i - 1] + slots_in_all;
    return true;
}

/* False: no address space, or no memory to describe it. */
static bool reserve(const uint16_t *counts)
{
    const size_t bytes = slots_bytes(counts);
    char *base = ph_os_reserve(bytes, HUGE_BYTES);
    if (base == NULL)
        return false;
    if (!ph_map_prepare(base, bytes) || !table_make(counts)) {
        ph_os_unmap(base, bytes);
        return false;
    }
    uint32_t number = 1;
    char *at = base + ph_os_page_bytes();
    for (unsigned i = 0; i < GUARD_AREAS; i++) {
        areas[i] = (struct area){.base = at, .count = counts[i], .first = number};
        number += counts[i];
        at += counts[i] * stride(i);
    }
    __atomic_store_n(&limit, number, __ATOMIC_RELEASE);
    return true;
}

/* A bound on memory is the program's own need: we take little of it, or nothing. */
bool ph_slot_ready(void)
{
    if (limit != 0 || refused)
        return limit != 0;
    const size_t space = ph_os_space_limit();
    many = (ph_mode != MODE_DEFAULT || ph_option(OPT_GUARD_RATE) < GUARD_RATE_MANY) && space >= SPACE_MANY;
    if (space < SPACE_FEW || !ph_guard_catch_faults() || !(reserve(many ? area_many : area_few) || (many && !(many = false) && reserve(area_few))))
        refused = true;
    return !refused;
}

/* Where slots are described, and what their stacks held. */
bool ph_slot_is_table(const void *address)
{
    const size_t slots_in_all = limit != 0 ? limit - 1 : 0;
    return (size_t)((const char *)address - (const char *)slots) < slots_in_all * sizeof *slots ||
           (size_t)((const char *)address - (const char *)copies[0]) < SLOT_EVENTS * slots_in_all * sizeof **copies;
}

bool ph_slot_many(void) { return many; }
static uint32_t slot_limit(void) { return __atomic_load_n(&limit, __ATOMIC_ACQUIRE); }

/* ---- taking and giving --------------------------------------------------------------------------- */

static unsigned area_of(const struct slot *sl)
{
    const size_t number = (size_t)(sl - slots) + 1;
    unsigned i = 0;
    while (i + 1 < GUARD_AREAS && number >= areas[i + 1].first)
        i++;
    return i;
}

/* In tolerant mode a freed slot keeps its memory, for reads after free. */
static bool keeps_freed(void) { return ph_mode == MODE_TOLERANT; }

static struct slot *take_fresh(struct area *ar)
{
    struct slot *sl = &slots[ar->first - 1 + ar->used];
    sl->self = (uint16_t)(ar->first + ar->used);
    __atomic_store_n(&ar->used, ar->used + 1, __ATOMIC_RELAXED);
    return sl;
}

static struct slot *take_oldest(struct area *ar)
{
    struct slot *sl = &slots[ar->oldest - 1];
    ar->oldest = sl->next;
    return sl;
}

struct slot *ph_slot_take(size_t bytes, size_t most_pages, size_t most_live)
{
    unsigned i = 0;
    while (i < GUARD_AREAS && area_pages[i] * ph_os_page_bytes() < bytes)
        i++;
    if (i == GUARD_AREAS)
        return NULL;
    struct area *ar = &areas[i];
    most_pages = most_pages < RESIDENT_PAGES ? most_pages : RESIDENT_PAGES;
    struct slot *sl = NULL;
    const uint32_t pages = (uint32_t)(ph_round_up(bytes, ph_os_page_bytes()) / ph_os_page_bytes());
    const bool room = resident + pages <= most_pages;
    if (live >= most_live)
        return NULL;
    if (room && ar->used < ar->count)
        sl = take_fresh(ar);
    else if ((room || keeps_freed()) && ar->oldest != 0)
        sl = take_oldest(ar);
    if (sl == NULL)
        return NULL;
    if (sl->state == SLOT_FREED && keeps_freed())
        resident -= sl->pages;
    resident += pages;
    live++;
    sl->pages = (uint16_t)pages;
    sl->state = SLOT_TAKEN;
    return sl;
}

void ph_slot_give(struct slot *sl, bool used)
{
    struct area *ar = &areas[area_of(sl)];
    live--;
    if (!keeps_freed() || !used)
        resident -= sl->pages;
    __atomic_store_n(&sl->state, used ? SLOT_FREED : SLOT_NEVER, __ATOMIC_RELEASE);
    sl->next = 0;
    if (ar->oldest != 0)
        slots[ar->newest - 1].next = (uint16_t)sl->self;
    else
        ar->oldest = sl->self;
    ar->newest = sl->self;
}

/* ---- who had it ----------------------------------------------------------------------------------- */

void ph_slot_note(struct slot *sl, enum slot_event event)
{
    const size_t index = (size_t)(sl - slots);
    ph_stack_copy(&copies[event][index]);
}

struct trace *ph_slot_stack(const struct slot *sl, enum slot_event event, struct trace *room)
{
    const size_t index = (size_t)(sl - slots);
    if (event == SLOT_WAS_FREED && sl->state != SLOT_FREED)
        return NULL;
    ph_trace_of(room, &copies[event][index]);
    return room;
}

/* ---- finding --------------------------------------------------------------------------------------- */

struct slot *ph_slot_at(uint32_t number)
{
    return number != 0 && number < slot_limit() && slots[number - 1].self == number ? &slots[number - 1] : NULL;
}

/* The others' entries are memory that nobody touched. */
uint32_t ph_slot_next(uint32_t number)
{
    const uint32_t next = number + 1;
    for (unsigned i = 0; i < GUARD_AREAS && slot_limit() != 0; i++) {
        const uint32_t from = next > areas[i].first ? next : areas[i].first;
        if (from < areas[i].first + __atomic_load_n(&areas[i].used, __ATOMIC_RELAXED))
            return from;
    }
    return 0;
}

/* The guard before the first slot counts as the first slot's. */
struct slot *ph_slot_of(const void *address)
{
    if (slot_limit() == 0)
        return NULL;
    for (unsigned i = 0; i < GUARD_AREAS; i++) {
        const size_t at = (size_t)((const char *)address - areas[i].base);
        if (at < areas[i].count * stride(i))
            return &slots[areas[i].first - 1 + at / stride(i)];
    }
    return (size_t)(areas[0].base - (const char *)address) <= ph_os_page_bytes() ? &slots[0] : NULL;
}

char *ph_slot_start(const struct slot *sl)
{
    const struct area *ar = &areas[area_of(sl)];
    return ar->base + ((size_t)(sl - slots) + 1 - ar->first) * stride((unsigned)(ar - areas));
}

char *ph_slot_end(const struct slot *sl)
{
    return ph_slot_start(sl) + area_pages[area_of(sl)] * ph_os_page_bytes();
}
