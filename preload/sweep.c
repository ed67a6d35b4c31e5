/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* sweep.c -- in the program that `privheap oom` runs: a child at each allocation, in which that allocation fails.
 *
 * Owns:    what this process is in the sweep; the program's part of struct sweep.
 * Calls:   site.c and unwind.c for call stacks, sweepcall.c for children, leak.c at the end; fail.c asks us.
 * Locks:   none.  Children are made only while there is one thread; where there are more, calls are counted.
 * Always:  no lock of the engine is held when we are asked, so that the child finds the heap whole.  Who has another
 *          process number than the one we began in, or became, is a child of the program's own: left alone.
 * Why:     the program goes on behind each child as if nothing had been: so one run tries them all, and a child
 *          costs a fork and what is left of the program, not a start. */
#include "sweep.h"

#include "../lib/internal.h"
#include "../lib/message.h"
#include "../lib/report.h"
#include "../lib/site.h"
#include "../lib/text.h"
#include "leak.h"
#include "sweepcall.h"

#include "../lib/small.h"

enum { PLACES_LOG = 11, PAIR_REACH = 16, NAME_BYTES = sizeof ((struct sweep *)0)->folder + 8 };

/* What this process is: the program itself, one in which an allocation failed, or none of ours. */
static enum { NOBODY, PROGRAM, VICTIM } role;
static uint32_t own_pid, own_slot;
static struct sweep *sweep;
static struct sweep_point *own_point;
static uint32_t pairs_left, chosen_calls;
static char *folder_number; /* the three digits in the TMPDIR that the program has */

extern char __libc_single_threaded __attribute__((weak));
static bool has_threads(void) { return &__libc_single_threaded != NULL && !__libc_single_threaded; }

/* ---- places ------------------------------------------------------------------------------------- */

static uint64_t place_of(uintptr_t pc)
{
    static struct {
        uintptr_t pc;
        uint64_t place;
    } met[1 << PLACES_LOG];
    const unsigned index = (unsigned)(pc * 0x9e3779b97f4a7c15u >> (64 - PLACES_LOG));
    if (met[index].pc != pc) {
        met[index].place = ph_place_of(sweep->modules, pc);
        met[index].pc = pc;
    }
    return met[index].place;
}

static void sweep_trace(struct sweep_trace *out, const uintptr_t *pc, uint32_t depth)
{
    out->depth = depth;
    for (uint32_t i = 0; i < depth; i++)
        out->place[i] = place_of(pc[i]);
}

/* ---- in the one that fails ----------------------------------------------------------------------- */

static bool is_victim(void) { return role == VICTIM && ph_os_pid() == own_pid; }

/* Behind us stands guardfault.c, which knows whose fault one is, or the default action. */
static void on_end(int signal, void *info, void *context)
{
    struct trace trace;
    if (signal != SWEEP_WHERE_SIGNAL)
        ph_sweep_uncatch(signal);
    if (!is_victim())
        return;
    if (!(own_point->events & (SWEEP_CRASHED | SWEEP_DAMAGED))) {
        ph_trace_here(&trace, context);
        sweep_trace(&own_point->end, trace.pc, trace.depth);
        own_point->signal = (uint32_t)signal;
        own_point->address = ph_sweep_fault_address(info);
        own_point->events |= signal == SWEEP_WHERE_SIGNAL ? SWEEP_ASKED : SWEEP_CRASHED;
    }
    if (signal == SWEEP_WHERE_SIGNAL)
        ph_sweep_sleep();
}

static void on_report(const struct report *rp, const struct trace *trace)
{
    if (!is_victim() || (own_point->events & SWEEP_DAMAGED))
        return;
    own_point->damage = rp->kind;
    sweep_trace(&own_point->end, trace->pc, trace->depth);
    own_point->events |= SWEEP_DAMAGED;
}

static void become_victim(struct sweep_point *point, uint32_t slot)
{
    role = VICTIM;
    own_pid = ph_os_pid();
    own_point = point;
    own_slot = slot;
    point->events |= SWEEP_FAILED;
    ph_sweep_own(on_end, SWEEP_WHERE_SIGNAL);
}

/* FOLDER/007 and what stands behind, into `out`. */
static void name_of(char *out, uint32_t slot, const char *behind)
{
    char *end = text_copy(out, sweep->folder, text_bytes(sweep->folder));
    *end++ = '/';
    *end++ = (char)('0' + slot / 100);
    *end++ = (char)('0' + slot / 10 % 10);
    *end++ = (char)('0' + slot % 10);
    *text_copy(end, behind, text_bytes(behind)) = '\0';
}

/* Output and error go elsewhere, files are left alone, and so is the folder for short-lived ones. */
static void move_out(uint32_t slot)
{
    char out[NAME_BYTES], error[NAME_BYTES];
    name_of(out, slot, ".out");
    name_of(error, slot, ".err");
    ph_sweep_files(sweep->keeps_output ? out : "/dev/null", error);
    if (sweep->confined && !ph_sweep_confine(sweep->folder))
        sweep->not_confined = 1;
    if (folder_number != NULL)
        for (uint32_t i = 0, rest = slot; i < 3; i++, rest /= 10)
            folder_number[2 - i] = (char)('0' + rest % 10);
}

/* ---- making one ------------------------------------------------------------------------------------ */

static uint32_t slot_take(uint32_t number)
{
    for (;;) {
        const uint32_t bell = __atomic_load_n(&sweep->bell, __ATOMIC_ACQUIRE);
        for (uint32_t i = 0; i < sweep->jobs; i++) {
            uint32_t seen = 0;
            if (__atomic_compare_exchange_n(&sweep->slot[i], &seen, number, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
                return i;
        }
        ph_sweep_wait(&sweep->bell, bell);
    }
}

static void slot_wait(uint32_t slot)
{
    for (;;) {
        const uint32_t bell = __atomic_load_n(&sweep->bell, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&sweep->slot[slot], __ATOMIC_ACQUIRE) == 0)
            return;
        ph_sweep_wait(&sweep->bell, bell);
    }
}

struct asked {
    uint64_t hash, bytes;
    uint32_t ordinal, nth, call;
    const struct trace *trace;
};

static struct sweep_point *point_new(const struct asked *as, uint32_t *number)
{
    const uint32_t index = __atomic_fetch_add(&sweep->points, 1, __ATOMIC_RELAXED);
    if (index >= SWEEP_POINTS) {
        sweep->overflowed = 1;
        return NULL;
    }
    struct sweep_point *point = &sweep->point[index];
    point->hash = as->hash;
    point->bytes = as->bytes;
    point->ordinal = as->ordinal;
    point->nth = as->nth;
    point->call = as->call;
    sweep_trace(&point->at, as->trace->pc, as->trace->depth);
    *number = index + 1;
    return point;
}

/* True in the child.  A child's child has a slot beside its parent's. */
static bool fork_victim(const struct asked *as)
{
    uint32_t number;
    struct sweep_point *point = point_new(as, &number);
    if (point == NULL)
        return false;
    uint32_t slot = own_slot + sweep->jobs;
    if (role == PROGRAM)
        slot = slot_take(number);
    else
        __atomic_store_n(&sweep->slot[slot], number, __ATOMIC_RELEASE);
    point->slot = slot;
    point->before = role == VICTIM ? (uint32_t)(own_point - sweep->point) + 1 : 0;
    const long child = ph_sweep_clone(&point->child);
    if (child == 0) {
        pairs_left = role == PROGRAM && sweep->pairs ? PAIR_REACH : 0;
        become_victim(point, slot);
        move_out(slot);
        return true;
    }
    if (child < 0) {
        sweep->refused = (uint32_t)-child;
        __atomic_store_n(&sweep->slot[slot], 0, __ATOMIC_RELEASE);
    } else if (sweep->jobs == 1 || role == VICTIM) {
        slot_wait(slot);
    }
    return false;
}

/* ---- which -------------------------------------------------------------------------------------------- */

static bool is_chosen(const struct asked *as)
{
    if (sweep->module[0] != '\0' && !ph_site_is_of(as->trace, sweep->module))
        return false;
    sweep->module_met = 1;
    if (as->bytes < sweep->least || as->bytes > sweep->most)
        return false;
    const uint32_t index = __atomic_fetch_add(&chosen_calls, 1, __ATOMIC_RELAXED); /* --rerun lists threads, too */
    return index >= sweep->skip && (sweep->first == 0 || index - sweep->skip < sweep->first);
}

static bool one_fails(const struct asked *as)
{
    uint32_t number;
    if (role == VICTIM)
        return sweep->also_after || (as->hash == sweep->stack2 && as->nth == sweep->ordinal2);
    if (as->hash != sweep->stack || as->nth != sweep->ordinal)
        return false;
    struct sweep_point *point = point_new(as, &number);
    if (point == NULL)
        return false;
    become_victim(point, 0);
    return true;
}

static bool program_asks(const struct asked *as)
{
    uint32_t number;
    if (sweep->mode == SWEEP_ONE)
        return one_fails(as);
    if (sweep->mode == SWEEP_FORK && has_threads() && sweep->threads_at == 0)
        sweep->threads_at = as->ordinal;
    if (!is_chosen(as))
        return false;
    if (sweep->mode == SWEEP_LIST) {
        (void)point_new(as, &number);
        return false;
    }
    return sweep->threads_at == 0 && fork_victim(as);
}

static bool victim_asks(const struct asked *as)
{
    if (sweep->mode == SWEEP_ONE)
        return one_fails(as);
    if (sweep->also_after)
        return true;
    if (pairs_left == 0 || has_threads())
        return false;
    pairs_left--;
    return fork_victim(as);
}

static uint32_t last_site; /* leaks are looked for while there is one thread */

static bool asked(size_t bytes, enum fail_call call)
{
    struct trace trace;
    struct asked as = {.bytes = bytes, .call = (uint32_t)call, .trace = &trace};
    if (role == NOBODY)
        return false;
    if (ph_os_pid() != own_pid) {
        sweep->forked |= role == PROGRAM;
        return false;
    }
    ph_trace_here(&trace, NULL);
    as.hash = ph_site_hash(&trace);
    last_site = ph_site_meet(&trace, as.hash, &as.nth);
    as.ordinal = __atomic_add_fetch(&sweep->calls, role == PROGRAM, __ATOMIC_RELAXED);
    return role == PROGRAM ? program_asks(&as) : victim_asks(&as);
}

static void made(const void *block)
{
    if (role != NOBODY)
        ph_leak_note(block, last_site);
}

/* ---- begin and end ------------------------------------------------------------------------------------- */

static char *number_in(char *const *environment)
{
    for (; *environment != NULL; environment++) {
        char *at = *environment;
        const char *folder = text_after(at, "TMPDIR=");
        const char *rest = folder != NULL ? text_after(folder, sweep->folder) : NULL;
        if (rest != NULL && rest[0] == '/' && text_bytes(rest) == 4)
            return at + (rest + 1 - at);
    }
    return NULL;
}

void ph_sweep_begin(uint64_t descriptor, char *const *environment)
{
    struct sweep *shared = ph_sweep_map((int)descriptor, sizeof *shared);
    if (shared == NULL)
        return;
    ph_sweep_close((int)descriptor);
    if (shared->magic != SWEEP_MAGIC || shared->version != SWEEP_VERSION || shared->begun)
        return; /* a program that the program started */
    sweep = shared;
    sweep->begun = 1;
    folder_number = number_in(environment);
    ph_sweep_output_is(1, 2);
    own_pid = ph_os_pid();
    role = PROGRAM;
    ph_report_told = on_report;
    ph_fail_made = sweep->leaks ? made : NULL;
    ph_fail_sweep = asked;
}

static void leaks_of_program(void)
{
    uint32_t count = 0;
    for (const struct leak *lk = ph_leaks(&count); count > 0 && sweep->known_leaks < SWEEP_KNOWN; lk++, count--)
        sweep->known_leak[sweep->known_leaks++] = ph_site_at(lk->site)->hash;
}

/* The first few: which of them the program itself has, too, the command knows when that has ended. */
static void leaks_of_victim(void)
{
    uint32_t count = 0;
    const struct leak *all = ph_leaks(&count);
    for (uint32_t i = 0; i < count && own_point->leak_count < SWEEP_LEAKS; i++) {
        const struct site *st = ph_site_at(all[i].site);
        struct sweep_leak *lk = &own_point->leak[own_point->leak_count++];
        lk->hash = st->hash;
        lk->bytes = all[i].bytes;
        lk->blocks = all[i].blocks;
        sweep_trace(&lk->at, st->pc, st->depth);
        own_point->events |= SWEEP_LEAKED;
    }
}

void ph_sweep_end(void)
{
    if (role == NOBODY || ph_os_pid() != own_pid)
        return;
    if (role == VICTIM && !ph_walk_validate(&ph_process_heap, NULL, ENTER_PATIENTLY) && own_point->damage == 0) {
        own_point->damage = DIAG_HEAP_DAMAGED;
        own_point->events |= SWEEP_DAMAGED;
    }
    if (sweep->leaks && !has_threads()) {
        if (role == PROGRAM)
            leaks_of_program();
        else if (own_point->nth <= 2)
            leaks_of_victim();
    }
    if (role == PROGRAM)
        sweep->ended = 1;
    else
        own_point->events |= SWEEP_EXITED;
}
