/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* inspect.c -- the contents of a heap's free memory and tails: at the end of the process.
 *
 * Owns:    nothing.
 * Calls:   gate.c and local.c to close the heap; harden.h; report.c for what it finds.
 * Locks:   closes the gate, but only where nobody has to be stopped for it: other threads may be in a sandbox
 *          that allows no barrier, and the process is about to end anyway.
 * Why:     what is written behind a block or after a free, and never met again by malloc, is met here.  Bounded,
 *          so that no exit takes long: a thousandth of a second or two. */
#include "harden.h"
#include "valid.h"

#include "small.h"

enum {
    MOST_BLOCKS = 1 << 16,  /* to look at */
    FREE_BYTES = 16 << 20,  /* of free memory */
    BEFORE_BYTES = 64,      /* of what stands before the first block of the heap, */
    VIRGIN_BYTES = 4096,    /* of what was never given out, behind the last block that was */
};

struct budget {
    size_t blocks, bytes;
    bool tails; /* of pages' blocks */
};

extern char __libc_single_threaded __attribute__((weak));

/* Runs and large blocks are taken and given beside the gate: another thread may be half-way through one, its tail
 * not yet written. */
static bool may_look_beside_the_gate(void)
{
    return &__libc_single_threaded != NULL && __libc_single_threaded && !ph_threads_left;
}

/* The tail of a page's block is written when its taker has left the gate, and cleared before its giver comes there: no
 * other thread may have stacks here, biased or not. */
static bool may_look_at_tails(const struct heap *hp)
{
    bool others = ph_threads_left;
    for (const struct local *lo = hp->locals; lo != NULL; lo = lo->next)
        others |= lo->state == LOCAL_OWNED && lo->owner != ph_thread_self();
    return !others;
}

static bool spend(struct budget *left, size_t bytes)
{
    if (left->blocks == 0 || left->bytes < bytes)
        return false;
    left->blocks--;
    left->bytes -= bytes;
    return true;
}

static unsigned page_bytes(const struct span *pg) { return ph_class_bytes[kind_class(entry_kind(pg->tag))]; }

static bool is_all_zero(const char *at, size_t bytes)
{
    const uint64_t *word = (const uint64_t *)(const void *)at;
    uint64_t seen = 0;
    for (size_t i = 0; i < bytes / sizeof *word; i++)
        seen |= word[i];
    return seen == 0;
}

/* What nobody was ever given is as the system gave it: who wrote there ran over the end of a block before. */
static void inspect_virgin(const struct span *pg, struct budget *left)
{
    const unsigned bytes = page_bytes(pg);
    if (pg->carved >= pg->capacity || pg->state == SPAN_DIRTY)
        return;
    const char *at = ph_page_block(pg, pg->carved), *end = (char *)ph_span_start(pg) + ph_span_bytes(pg);
    const char *touched = (const char *)ph_round_up((uintptr_t)at, VIRGIN_BYTES); /* an OS page of which a part was used */
    const size_t looked = (size_t)((touched < end ? touched : end) - at);
    if (spend(left, looked) && !is_all_zero(at, looked))
        ph_incident(DIAG_FRESH_WRITTEN, at, bytes);
}

static void inspect_plain(const struct span *pg, struct budget *left)
{
    for (unsigned i = 0; i < pg->carved; i++) {
        char *block = ph_page_block(pg, i);
        if (ph_page_is_free(pg, i) && spend(left, 0) && *block_key(block) != block_page_key(block))
            ph_incident(DIAG_WRITE_AFTER_FREE, block, page_bytes(pg));
    }
    inspect_virgin(pg, left);
}

static void inspect_sized(const struct heap *hp, const struct span *pg, struct budget *left)
{
    const unsigned class = kind_class(entry_kind(pg->tag));
    for (unsigned i = 0; i < pg->carved; i++) {
        const size_t wanted = ph_page_wanted(pg, i);
        const struct hard_block hb = {.block = ph_page_block(pg, i), .wanted = wanted, .capacity = page_bytes(pg), .class = class};
        if (!spend(left, wanted == SIZE_MAX ? hb.capacity : 0))
            return;
        if (wanted != SIZE_MAX && left->tails)
            ph_hard_report(&hb, ph_hard_look(&hb));
        else if (wanted == SIZE_MAX && hp->hard == MODE_SECURE && ph_page_is_free(pg, i) && !is_all_zero(hb.block, hb.capacity))
            ph_incident(DIAG_WRITE_AFTER_FREE, hb.block, hb.capacity);
    }
    if (hp->hard == MODE_SECURE)
        inspect_virgin(pg, left);
}

static void inspect_large(const struct span *sp)
{
    const struct hard_block hb = ph_hard_large(sp);
    if (sp->sized && sp->slot == 0) /* a guarded one has no tail */
        ph_hard_report(&hb, ph_hard_look(&hb));
}

static void inspect_run(const struct span *sp, size_t capacity)
{
    const struct hard_block hb = {.block = ph_span_start(sp), .wanted = sp->wanted, .capacity = capacity, .class = CLASS_COUNT};
    if (sp->sized)
        ph_hard_report(&hb, ph_hard_look(&hb));
}

static void inspect_region(struct heap *hp, const struct region *rg, struct budget *left)
{
    for (uint32_t unit = rg->first; unit < rg->top && left->blocks > 0;) {
        const struct span *sp = ph_span_containing(hp, ph_region_unit(rg, unit));
        if (sp == NULL)
            return;
        unit += (uint32_t)sp->units;
        const unsigned kind = entry_kind(sp->tag);
        if (kind < KIND_SIZED)
            inspect_plain(sp, left);
        else if (kind < KIND_RUN && hp->hard != 0) /* what HeapAlloc gave in default mode has no tail */
            inspect_sized(hp, sp, left);
        else if (kind == KIND_RUN && hp->hard != 0 && may_look_beside_the_gate())
            inspect_run(sp, ph_span_bytes(sp));
    }
}

/* At the end of the process: give this thread's free blocks back, for the checks on the way. */
void ph_inspect_own(void)
{
    struct local *lo = ph_local;
    if (lo->heap == NULL)
        return;
    struct pass ps = ph_gate_enter(lo->heap, ENTER_UNLOCKED);
    ph_local_empty(lo);
    ph_gate_leave(lo->heap, ps);
}

/* The unit that the heap's handle names is nobody's. */
static void inspect_before(struct heap *hp, const struct region *rg)
{
    if (rg->first != 1 || rg->dirty != 0 || rg->packed != NULL || rg->committed < rg->first || rg->top == rg->first)
        return;
    const char *first = ph_region_unit(rg, rg->first);
    const struct span *sp = ph_span_containing(hp, first);
    if (sp != NULL && !is_all_zero(first - BEFORE_BYTES, BEFORE_BYTES))
        ph_incident(DIAG_UNDERFLOW, first, entry_kind(sp->tag) < KIND_RUN ? page_bytes(sp) : ph_span_bytes(sp));
}

void ph_inspect(struct heap *hp)
{
    struct budget left = {.blocks = MOST_BLOCKS, .bytes = FREE_BYTES};
    /* an operation that was left in its middle, by a jump or by cancellation, may have left a block half made */
    if (ph_nested_ever || __atomic_load_n(&ph_cancels, __ATOMIC_RELAXED) || !ph_gate_close_alone(hp))
        return;
    ph_local_empty_all(hp);
    left.tails = may_look_at_tails(hp);
    inspect_before(hp, hp->regions);
    for (const struct region *rg = hp->regions; rg != NULL; rg = rg->next)
        inspect_region(hp, rg, &left);
    for (uint32_t i = hp->hard != 0 && may_look_beside_the_gate() ? hp->large : SPAN_NONE; i != SPAN_NONE; i = ph_span_at(i)->next)
        inspect_large(ph_span_at(i));
    ph_gate_open(hp);
}
