/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* report.c -- the report of one incident: what, where, who, and the stacks that led to it.
 *
 * Owns:    the buffer in which a report is put together, and who is at it; in tolerant mode the places.
 * Calls:   message.c, unwind.c, os.c; heap.c to say whose memory it is.
 * Locks:   none of the map.  One report at a time: whoever comes second waits, but not for ever.
 * Always:  a report is one write, so that those of several processes do not mix in one log.
 * Why:     the buffer is static, because signal stacks are small.  A fault while a report is put together, or a
 *          signal handler that frees badly just then, gets its first line only. */
#include "hot.h"
#include "message.h"
#include "options.h"
#include "report.h"
#include "stress.h"
#include "text.h"

#include <sys/auxv.h>

#include "small.h"

enum {
    REPORT_BYTES = 8192,
    PLACES = 128,
    PLACE_CALLERS = 4,     /* that make a place, beside the kind */
    WAIT_MS = 10, WAITS = 300,
    PATH_BYTES = 1024,
};

static char text[REPORT_BYTES];
static size_t text_used;
void (*ph_report_completed)(struct report *rp, struct trace *room);
void (*ph_report_told)(const struct report *rp, const struct trace *trace);
bool ph_report_is_silent;
void (*ph_report_forked)(void);
static uint32_t reporter; /* the thread that is at it; 0: nobody */

/* ---- words ---------------------------------------------------------------------------------- */

static const char *kind_words(enum diagnostic kind)
{
    switch (kind) {
#define DIAGNOSTIC(number, name, words) case DIAG_##name: return words;
#include "diagnostics.def"
#undef DIAGNOSTIC
    }
    return "damage";
}

static void say_kind(struct message *m, enum diagnostic kind, const struct report *rp)
{
    const char *words = kind_words(kind);
    const char *rest = text_after(words, "access");
    ph_message_text(m, "PH");
    ph_message_dec(m, kind);
    ph_message_text(m, " ");
    if (rest != NULL && rp != NULL)
        ph_message_text(m, rp->is_write ? "write" : "read");
    ph_message_text(m, rest != NULL && rp != NULL ? rest : words);
}

static void say_block(struct message *m, const void *block, size_t bytes)
{
    ph_message_text(m, "block ");
    ph_message_hex(m, (uintptr_t)block);
    ph_message_text(m, " of ");
    ph_message_dec(m, bytes);
    ph_message_text(m, " bytes");
}

static void say_distance(struct message *m, uintptr_t at, uintptr_t block, size_t bytes)
{
    const bool before = at < block, into = !before && at - block < bytes;
    ph_message_dec(m, before ? block - at : into ? at - block : at - block - bytes);
    ph_message_text(m, before ? " bytes before " : into ? " bytes into " : " bytes behind the end of ");
}

/* "block 0x10 of 24 bytes", "0x18, 8 bytes into block 0x10 of 24 bytes", or "0x10" when that is all we know. */
static void say_where(struct message *m, const struct report *rp)
{
    const void *block = rp->inside != NULL ? rp->inside : rp->block;
    const void *at = rp->access != NULL ? rp->access : rp->inside != NULL ? rp->block : NULL;
    if (rp->bytes == SIZE_MAX) {
        ph_message_hex(m, (uintptr_t)(at != NULL ? at : block));
        return;
    }
    if (at != NULL) {
        ph_message_hex(m, (uintptr_t)at);
        ph_message_text(m, ", ");
        say_distance(m, (uintptr_t)at, (uintptr_t)block, rp->bytes);
    }
    say_block(m, block, rp->bytes);
}

const struct heap *ph_report_heap(const struct report *rp)
{
    if (rp->heap != NULL)
        return rp->heap;
    const uint64_t entry = map_get(rp->block);
    return entry != 0 ? ph_heap_at(entry_heap(entry)) : ph_heap_around(rp->block);
}

static void say_heap(struct message *m, const struct heap *hp)
{
    if (hp == NULL || hp->handle == NULL)
        return;
    ph_message_text(m, ", heap ");
    ph_message_hex(m, (uintptr_t)hp->handle);
    if (hp == &ph_process_heap)
        ph_message_text(m, " (process heap)");
    if (hp == &ph_process_heap || hp->name[0] == '\0')
        return;
    ph_message_text(m, " (");
    ph_message_part(m, hp->name, HEAP_NAME_BYTES);
    ph_message_text(m, ")");
}

static void say_first(struct message *m, const struct report *rp, bool whole)
{
    ph_message_begin(m);
    say_kind(m, rp->kind, rp->access != NULL ? rp : NULL);
    if (rp->caller != NULL) {
        ph_message_text(m, ", by ");
        ph_message_text(m, rp->caller);
    }
    ph_message_text(m, ": ");
    say_where(m, rp);
    if (whole)
        say_heap(m, ph_report_heap(rp));
    ph_message_text(m, ", thread ");
    ph_message_dec(m, ph_os_tid());
    if (rp->detail != NULL) {
        ph_message_text(m, ": ");
        ph_message_text(m, rp->detail);
    }
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* A program that was given to the dynamic linker as an argument is not what the system calls the program. */
static const char *program_name(char *path, size_t bytes)
{
    if (getauxval(AT_BASE) != 0 && ph_os_program(path, bytes))
        return text_base_name(path);
    const char *told = (const char *)getauxval(AT_EXECFN);
    return told != NULL && getauxval(AT_BASE) != 0 ? text_base_name(told) : "program";
}

/* "libfoo.so+0x1234"; "0x7f0012345678" for code that came from no file. */
void ph_report_place(struct message *m, uintptr_t pc)
{
    char path[PATH_BYTES];
    struct module in;
    if (ph_module_of(pc, &in)) {
        ph_message_text(m, *in.path != '\0' ? text_base_name(in.path) : program_name(path, sizeof path));
        ph_message_text(m, "+");
        pc -= in.bias;
    }
    ph_message_hex(m, pc);
}

static void add_line(struct message *m)
{
    if (text_used + m->used + 1 > sizeof text)
        return;
    text_copy(text + text_used, m->text, m->used);
    text_used += m->used;
    text[text_used++] = '\n';
}

static void add_frames(const struct trace *trace)
{
    struct message m;
    for (unsigned i = 0; i < trace->depth; i++) {
        m.used = 0;
        ph_message_text(&m, "    #");
        ph_message_dec(&m, i);
        ph_message_text(&m, " ");
        ph_report_place(&m, trace->pc[i]);
        add_line(&m);
    }
}

static void add_past(const char *what, const struct trace *trace)
{
    struct message m;
    if (trace == NULL || trace->thread == 0)
        return;
    m.used = 0;
    ph_message_text(&m, what);
    ph_message_text(&m, " by thread ");
    ph_message_dec(&m, trace->thread);
    ph_message_text(&m, ":");
    add_line(&m);
    add_frames(trace);
}

static void add_end(const struct report *rp, bool goes_on)
{
    struct message m;
    m.used = 0;
    ph_message_text(&m, !goes_on ? "  PH" : ph_mode == MODE_TOLERANT ? "  ignored (mode=tolerant); PH" : "  the program goes on; PH");
    ph_message_dec(&m, rp->kind);
    ph_message_text(&m, " is explained in privheap-diagnostics(7)");
    add_line(&m);
}

/* ---- one at a time ---------------------------------------------------------------------------- */

/* False: this very thread is at a report already.  Who never ends his is not waited for: three seconds. */
static bool report_enter(void)
{
    const uint32_t self = ph_os_tid();
    for (unsigned i = 0; i < WAITS; i++) {
        uint32_t seen = 0;
        if (__atomic_compare_exchange_n(&reporter, &seen, self, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
        if (seen == self)
            return false;
        ph_os_wait(&reporter, seen, (uint64_t)WAIT_MS * 1000000);
    }
    __atomic_store_n(&reporter, self, __ATOMIC_RELAXED);
    return true;
}

static void report_leave(void)
{
    __atomic_store_n(&reporter, 0, __ATOMIC_RELEASE);
    ph_os_wake(&reporter, 1);
}

void ph_report_fork_child(void)
{
    __atomic_store_n(&reporter, 0, __ATOMIC_RELAXED);
    if (ph_report_forked != NULL)
        ph_report_forked();
}

static void report_write(const struct report *given, const struct trace *trace, bool goes_on)
{
    struct message m;
    struct report whole = *given, *const rp = &whole;
    struct trace room[2];
    if (ph_report_completed != NULL)
        ph_report_completed(rp, room);
    if (ph_report_told != NULL)
        ph_report_told(rp, trace);
    if (ph_report_is_silent)
        return;
    if (!report_enter()) {
        say_first(&m, rp, false);
        ph_message_send(&m);
        return;
    }
    text_used = 0;
    say_first(&m, rp, true);
    add_line(&m);
    add_frames(trace);
    add_past("  allocated", rp->allocated);
    add_past("  freed", rp->freed);
    add_end(rp, goes_on);
    ph_message_write(text, text_used);
    report_leave();
}

void ph_report_fatal(const struct report *rp)
{
    struct trace trace;
    ph_trace_here(&trace, rp->ucontext);
    report_write(rp, &trace, false);
    ph_lock_end();
    ph_os_abort();
}

/* ---- tolerant mode: once for each place --------------------------------------------------------- */

static struct place {
    uint64_t key; /* 0: free */
    uint64_t count;
    uintptr_t pc;
    uint32_t kind;
} places[PLACES];
static bool any_again; /* some place was met twice */

static uint64_t place_key(enum diagnostic kind, const struct trace *trace)
{
    uint64_t key = kind;
    for (unsigned i = 0; i < trace->depth && i < PLACE_CALLERS; i++)
        key = ((key ^ key >> 29) + trace->pc[i]) * 0x9e3779b97f4a7c15u;
    return key != 0 ? key : 1;
}

/* The place's cell, its own or a new one; NULL: there are too many. */
static struct place *place_of(uint64_t key)
{
    for (unsigned i = 0; i < PLACES; i++) {
        struct place *pl = &places[((key >> 32) + i) & (PLACES - 1)];
        uint64_t seen = 0;
        if (__atomic_compare_exchange_n(&pl->key, &seen, key, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) || seen == key)
            return pl;
    }
    return NULL;
}

void ph_report(const struct report *rp)
{
    if (ph_mode != MODE_TOLERANT && !rp->goes_on && !ph_stress_in_force()->goes_on)
        ph_report_fatal(rp);
    struct trace trace = {0};
    if (rp->kind == DIAG_LEAK) { /* its place is where it was taken, and it is told of once anyway */
        report_write(rp, &trace, true);
        return;
    }
    ph_trace_here(&trace, rp->ucontext);
    struct place *pl = place_of(place_key(rp->kind, &trace));
    if (pl == NULL)
        return;
    if (__atomic_fetch_add(&pl->count, 1, __ATOMIC_RELAXED) != 0) {
        __atomic_store_n(&any_again, true, __ATOMIC_RELAXED);
        return;
    }
    pl->kind = rp->kind;
    pl->pc = trace.depth > 0 ? trace.pc[0] : 0;
    report_write(rp, &trace, true);
}

void ph_report_totals(void)
{
    for (unsigned i = 0; i < PLACES && !ph_report_is_silent && __atomic_load_n(&any_again, __ATOMIC_RELAXED); i++) {
        const struct place *pl = &places[i];
        const uint64_t count = __atomic_load_n(&pl->count, __ATOMIC_RELAXED);
        struct message m;
        if (count < 2)
            continue;
        ph_message_begin(&m);
        say_kind(&m, pl->kind, NULL);
        ph_message_text(&m, " at ");
        ph_report_place(&m, pl->pc);
        ph_message_text(&m, ": ");
        ph_message_dec(&m, count);
        ph_message_text(&m, " times in all");
        ph_message_send(&m);
    }
}
