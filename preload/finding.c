/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* finding.c -- in a program that `privheap stress` runs: each report becomes a record that the command reads.
 *
 * Owns:    the program's part of struct findings.
 * Calls:   place.c; sweepcall.c to map the file; report.c asks us.
 * Locks:   none: a record is whoever's that counted it, and whole when its state says so.  Signal-safe.
 * Always:  a record that is whole is written no more.
 * Why:     a process that dies of its damage cannot look for names; and whoever reads it must not need its output. */
#include "finding.h"

#include "../lib/internal.h"
#include "../lib/options.h"
#include "../lib/pageheap.h"
#include "../lib/report.h"
#include "../lib/text.h"
#include "sweepcall.h"

#include "../lib/small.h"

static struct findings *findings;
static struct page_heap_figures inherited; /* by a child, which its parent has told of */
static_assert((int)PAGED_REFUSALS <= (int)FINDING_REASONS, "a place for each");

/* ---- one record -------------------------------------------------------------------------------- */

static void put_trace(struct finding_trace *out, const struct trace *trace)
{
    if (trace == NULL)
        return;
    out->thread = trace->thread;
    for (uint32_t i = 0; i < trace->depth && i < TRACE_DEPTH; i++)
        out->place[i] = ph_place_of(findings->modules, trace->pc[i]);
    out->depth = trace->depth;
}

static void put_text(char *to, size_t room, const char *text)
{
    const size_t bytes = text != NULL ? text_bytes(text) : 0;
    *text_copy(to, text, bytes < room ? bytes : room - 1) = '\0';
}

static void put_heap(struct finding *fi, const struct heap *hp)
{
    if (hp == NULL || hp->handle == NULL)
        return;
    fi->heap = (uintptr_t)hp->handle;
    fi->is_process_heap = hp == &ph_process_heap;
    for (size_t i = 0; i + 1 < sizeof fi->heap_name && i < HEAP_NAME_BYTES && !fi->is_process_heap; i++)
        fi->heap_name[i] = hp->name[i];
}

static void put_report(struct finding *fi, const struct report *rp, const struct trace *trace)
{
    fi->kind = rp->kind;
    fi->pid = ph_os_pid();
    fi->tid = ph_os_tid();
    fi->program = ph_place_module(findings->modules, ph_place_program());
    fi->block = (uintptr_t)rp->block;
    fi->bytes = rp->bytes;
    fi->inside = (uintptr_t)rp->inside;
    fi->access = (uintptr_t)rp->access;
    fi->has_access = rp->access != NULL;
    fi->is_write = rp->is_write;
    fi->goes_on = rp->goes_on || ph_mode == MODE_TOLERANT;
    put_heap(fi, ph_report_heap(rp));
    put_text(fi->caller, sizeof fi->caller, rp->caller);
    put_text(fi->detail, sizeof fi->detail, rp->detail);
    put_trace(&fi->now, trace);
    put_trace(&fi->allocated, rp->allocated);
    put_trace(&fi->freed, rp->freed);
}

static void on_report(const struct report *rp, const struct trace *trace)
{
    const uint32_t index = __atomic_fetch_add(&findings->next, 1, __ATOMIC_RELAXED);
    if (index >= FINDINGS_MOST)
        return;
    struct finding *fi = &findings->finding[index];
    __atomic_store_n(&fi->state, 1, __ATOMIC_RELAXED);
    put_report(fi, rp, trace);
    __atomic_store_n(&fi->state, 2, __ATOMIC_RELEASE);
    ph_finding_end();
}

/* ---- begin and end -------------------------------------------------------------------------------- */

static void on_fork(void) { inherited = *ph_page_heap_figures(); }

void ph_finding_begin(const char *path)
{
    struct findings *shared = path != NULL ? ph_sweep_map_file(path, sizeof *shared) : NULL;
    if (shared == NULL || shared->magic != FINDINGS_MAGIC || shared->version != FINDINGS_VERSION)
        return;
    findings = shared;
    __atomic_fetch_add(&shared->begun, 1, __ATOMIC_RELAXED);
    ph_report_told = on_report;
    ph_report_is_silent = true;
    ph_report_forked = on_fork;
}

/* NULL: too many processes. */
static struct finding_figures *own_figures(void)
{
    const uint32_t own = ph_os_pid();
    for (uint32_t i = 0; i < FINDINGS_PROCESSES; i++) {
        struct finding_figures *fg = &findings->figures[i];
        uint32_t seen = 0;
        if (__atomic_compare_exchange_n(&fg->pid, &seen, own, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) || seen == own)
            return fg;
    }
    return NULL;
}

void ph_finding_end(void)
{
    struct finding_figures *fg = findings != NULL ? own_figures() : NULL;
    if (fg == NULL)
        return;
    const struct page_heap_figures *now = ph_page_heap_figures();
    fg->by_advice = now->by_advice;
    fg->guarded = now->taken - inherited.taken;
    fg->recycled = now->recycled - inherited.recycled;
    fg->kept = now->kept - inherited.kept;
    fg->live_most = now->live_most;
    fg->bytes_most = now->bytes_most;
    for (unsigned i = 0; i < PAGED_REFUSALS; i++)
        fg->refused[i] = now->refused[i] - inherited.refused[i];
    fg->refused_least = now->refused_least;
    fg->refused_most = now->refused_most;
}
