/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_damage_collect.c -- finds the bytes that a live heap is described by.  What lies between fields, and
 * what is behind the last entry of a stack, describes nothing. */
#include "check_damage.h"

struct stretch *stretches;
unsigned stretch_count;
static struct heap *heap;
static void *known;

/* ---- bytes that nobody reads, and why ---- */

const char why_lock[] = "a lock: who finds it taken waits, and a flip is a holder that never leaves";
static const char why_registry[] = "list of all heaps: under a lock that comes before the gate, and not followed";
static const char why_clock[] = "clock of a stop or a sweep: any value is a time, the next one comes early or late";
static const char why_count[] = "counter for statistics";
static const char why_sleep[] = "threads sleep on it: any value is right";
static const char why_watch[] = "whether a thread is looked at: any value is right, at worst a malloc takes the slow way";
static const char why_peak[] = "the most units that were live lately, and how many came back: how much dirty memory stays";
static const char why_guard[] = "how much is live when the next guard is made: any value is right, other heaps make none";
static const char why_thread[] = "the owning thread's, which may be in the middle of a change";
static const char why_budget[] = "how much a stack may hold: within its room any value is right";
static const char why_fresh[] = "which blocks of a carved page are fresh: the next of them says so itself when it is taken";

static void add(const char *what, const void *at, size_t bytes, const char *why)
{
    enum { STEP = 1024 };
    if (bytes == 0) return;
    if (stretch_count % STEP == 0) stretches = realloc(stretches, (stretch_count + STEP) * sizeof *stretches);
    ck_assert_ptr_nonnull(stretches);
    stretches[stretch_count++] = (struct stretch){heap, heap->handle, known, what, why, (uint8_t *)(uintptr_t)at, bytes};
}

struct field {
    const char *name;
    size_t at, bytes;
    const char *why;
};
#define FIELD(type, name)       { #type " " #name, offsetof(struct type, name), sizeof(((struct type *)0)->name), NULL }
#define UNREAD(type, name, why) { #type " " #name, offsetof(struct type, name), sizeof(((struct type *)0)->name), why }

static void add_fields(const void *base, const struct field *field, int count)
{
    for (int i = 0; i < count; i++)
        add(field[i].name, (const char *)base + field[i].at, field[i].bytes, field[i].why);
}

/* ---- the heap's own fields ---- */

static const struct field heap_fields[] = {
    FIELD(heap, handle), FIELD(heap, id), FIELD(heap, tag), FIELD(heap, flags), FIELD(heap, bound_units),
    UNREAD(heap, next_free, why_registry), UNREAD(heap, next_live, why_registry), UNREAD(heap, previous_live, why_registry),
    FIELD(heap, debug), FIELD(heap, packed_only), FIELD(heap, seal), FIELD(heap, uses), FIELD(heap, fork_held), FIELD(heap, lost),
    FIELD(heap, locals), FIELD(heap, local_count), FIELD(heap, locals_seal), UNREAD(heap, span_lock, why_lock), FIELD(heap, regions),
    FIELD(heap, last_region), FIELD(heap, reserved_units), FIELD(heap, live_units), FIELD(heap, dirty_units),
    FIELD(heap, guard_count), UNREAD(heap, guard_next, why_guard), UNREAD(heap, peak_units, why_peak), UNREAD(heap, low_units, why_peak), UNREAD(heap, low_ms, why_clock), UNREAD(heap, swing_units, why_peak), UNREAD(heap, shed_units, why_peak), UNREAD(heap, sheds, why_peak), UNREAD(heap, settle_ms, why_clock), FIELD(heap, spares), FIELD(heap, spare_count), FIELD(heap, bins_used),
    UNREAD(heap, purge_ms, why_clock), UNREAD(heap, gives, why_clock), FIELD(heap, large), FIELD(heap, large_bytes),
    FIELD(heap, large_count), FIELD(heap, bin), FIELD(heap, shard), FIELD(heap, regions_seal), FIELD(heap, compatibility),
    FIELD(heap, name), FIELD(heap, name_seal),
};
static const struct field gate_fields[] = {
    UNREAD(gate, lock, why_lock), UNREAD(gate, stops, why_count), UNREAD(gate, backoff_ms, why_clock), FIELD(gate, rebias_ms),
    FIELD(gate, owner), FIELD(gate, depth), UNREAD(gate, waiters, why_sleep), UNREAD(gate, turn, why_sleep),
    FIELD(gate, no_membarrier), FIELD(gate, emptied), UNREAD(gate, stopped_ms, why_clock), FIELD(gate, seal),
};
static const struct field region_fields[] = {
    FIELD(region, base), FIELD(region, units), FIELD(region, committed), FIELD(region, top), FIELD(region, first),
    FIELD(region, index), FIELD(region, dirty), FIELD(region, packed), FIELD(region, next), FIELD(region, seal),
};
static const struct field packed_fields[] = {
    FIELD(packed, shadow), FIELD(packed, granules), FIELD(packed, shadowed), FIELD(packed, top), FIELD(packed, high),
    FIELD(packed, high_not), FIELD(packed, cell), FIELD(packed, self), FIELD(packed, card_bits), FIELD(packed, bins),
    FIELD(packed, cards), FIELD(packed, grouped), FIELD(packed, mapped_bytes), FIELD(packed, seal), FIELD(packed, card_sum),
};
static const struct field class_fields[] = {
    FIELD(shard_class, lock), FIELD(shard_class, pages), FIELD(shard_class, empty), FIELD(shard_class, units),
};
/* Bit fields have no address: tag, the word of `next`, and the word that begins with `self`. */
static const struct field spare_fields[] = {
    FIELD(span, tag), { "span next", offsetof(struct span, tag) + 4, 4, NULL }, { "span self", offsetof(struct span, carved) + 2, 4, NULL },
};
static const struct field local_fields[] = {
    FIELD(local, check), FIELD(local, tag), FIELD(local, biased), UNREAD(local, busy, why_thread), FIELD(local, heap),
    FIELD(local, owner), FIELD(local, next), FIELD(local, state), FIELD(local, stride), UNREAD(local, cap_bytes, why_budget),
    UNREAD(local, refills, why_count), UNREAD(local, watch, why_watch), UNREAD(local, watched, why_count),
    UNREAD(local, watch_ms, why_clock), FIELD(local, slots_used), FIELD(local, seal), UNREAD(local, found_at, why_thread),
    UNREAD(local, sibling, why_thread), UNREAD(local, elder, why_thread), UNREAD(local, flushed, why_budget),
    UNREAD(local, deep, why_budget), UNREAD(local, moved, why_budget),
};
static const struct field runs_fields[] = {
    FIELD(runs, used), FIELD(runs, head), FIELD(runs, hand), FIELD(runs, units), UNREAD(runs, most, why_budget),
    UNREAD(runs, takes, why_count), UNREAD(runs, turn, why_count),
};
static const struct field cell_fields[] = { FIELD(size_cell, end), FIELD(size_cell, magic), FIELD(size_cell, span) };

/* ---- everything else ---- */

static void add_packed(const struct packed *pk)
{
    const size_t used = pk->high > pk->top ? pk->high : pk->top;
    add_fields(pk, packed_fields, COUNT(packed_fields));
    if (pk->shadow != NULL) add("shadow", pk->shadow, pk->mapped_bytes > 0 ? used : pk->shadowed, NULL);
    if (pk->grouped != NULL) add("cards", pk->grouped, PACKED_BINS * 64 * sizeof(uint64_t), NULL);
}

static void add_span(const struct span *sp)
{
    const unsigned kind = entry_kind(sp->tag);
    add("descriptor", sp, sizeof *sp, NULL);
    if (!kind_is_sized(kind) || kind >= KIND_RUN) return;
    const struct size_cell *cell = ph_cell_at(sp->cell);
    add_fields(cell, cell_fields, COUNT(cell_fields));
    add("size code", cell->code, sp->capacity * sizeof cell->code[0], NULL);
}

static void add_entries(const void *base, uint32_t units)
{
    for (uint32_t i = 0; i < units; i++) {
        const uintptr_t unit = ((uintptr_t)base >> UNIT_BITS) + i;
        add("map entry", &ph_map_root[unit / MAP_LEAF_ENTRIES][unit % MAP_LEAF_ENTRIES], sizeof(uint64_t), NULL);
    }
}

static void add_owners(const char *base, uint32_t units)
{
    enum { OWNERS = 1 << (MAP_LEAF_BITS - 16) };
    for (size_t at = 0; at < (size_t)units << UNIT_BITS; at += HEAP_ALIGN) {
        const uintptr_t granule = (uintptr_t)(base + at) >> 16;
        add("owner", (uint16_t *)(void *)(ph_map_root[granule / OWNERS] + MAP_LEAF_ENTRIES) + granule % OWNERS, 2, NULL);
    }
}

static void add_region(const struct region *rg)
{
    add_fields(rg, region_fields, COUNT(region_fields));
    add_entries(rg->base, rg->units);
    if (heap != &ph_process_heap) add_owners(rg->base, rg->units); /* its leaf may have none that can be written */
    if (rg->packed != NULL) add_packed(rg->packed);
    for (uint32_t unit = rg->first; unit < rg->top;) {
        const struct span *sp = ph_span_containing(heap, ph_region_unit(rg, unit));
        add_span(sp);
        unit += (uint32_t)sp->units;
    }
}

static void add_stack(const struct local *lo, const struct stack *st)
{
    add("stack top", &st->top, sizeof st->top, NULL);
    add("stack limit", &st->limit, 2, why_budget);
    add("stack limit", (const char *)&st->limit + 2, sizeof st->limit - 2, NULL);
    add("stack fresh", &st->fresh, sizeof st->fresh + sizeof st->fresh_count, lo->stride == 1 ? why_fresh : NULL);
    add("stack room", &st->bottom, 3 * sizeof st->bottom, NULL);
    if (st->bottom != 0) add("stack entry", lo->slot + st->bottom, (size_t)((char *)st->top - (char *)(uintptr_t)(lo->slot + st->bottom)), NULL);
}

void damage_collect(struct heap *hp, void *block)
{
    heap = hp;
    known = block;
    add_fields(hp, heap_fields, COUNT(heap_fields));
    add_fields(&hp->gate, gate_fields, COUNT(gate_fields));
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        add_region(rg);
    for (uint32_t i = hp->large; i != SPAN_NONE; i = ph_span_at(i)->next) {
        add_span(ph_span_at(i));
        add_entries(ph_span_start(ph_span_at(i)), 1);
    }
    for (uint32_t i = hp->spares; i != SPAN_NONE; i = ph_span_at(i)->next)
        add_fields(ph_span_at(i), spare_fields, COUNT(spare_fields));
    for (unsigned i = 0; hp->shard != NULL && i < 2 * CLASS_COUNT; i++)
        add_fields(&hp->shard->class[i], class_fields, COUNT(class_fields));
    for (const struct local *lo = hp->locals; lo != NULL; lo = lo->next) {
        add_fields(lo, local_fields, COUNT(local_fields));
        add_fields(&lo->runs, runs_fields, COUNT(runs_fields));
        for (unsigned class = 0; class < CLASS_COUNT; class++)
            add_stack(lo, &lo->stack[class]);
    }
}
