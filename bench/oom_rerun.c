/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom_rerun.c -- one run of the program for each allocation: for programs with threads.
 *
 * Owns:    the runs that go on.
 * Calls:   oom_start.c, oom_run.c.  Locks: none.
 * Always:  a first run, in which nothing fails, lists the points; each of them then has a run of its own.
 * Why:     a child made by clone has one thread of its parent's, and the others' locks as they were.  Which call is
 *          the n-th of all changes with threads from run to run; which is the n-th from its stack much less, and
 *          a run that never comes there says so and is no finding. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "oom.h"

struct rerun {
    pid_t id; /* 0: none */
    uint32_t point;
    int shared;
    struct sweep *sweep;
    struct patience patience;
};

static struct rerun runs[SWEEP_JOBS];

/* Its modules have the numbers that they have in the first run; those that are new are added there. */
static uint64_t place_again(struct sweep *to, const struct sweep *from, uint64_t place)
{
    uint64_t number = place >> PLACE_OFFSET_BITS;
    if (number == 0 || number >= PLACE_MODULES) return place;
    const char *path = from->modules[number].path;
    for (uint64_t i = 1; i < PLACE_MODULES; i++) {
        if (to->modules[i].state == 0) {
            memcpy(to->modules[i].path, path, PLACE_PATH_BYTES);
            to->modules[i].state = 2;
        }
        if (strcmp(to->modules[i].path, path) == 0)
            return i << PLACE_OFFSET_BITS | (place & PLACE_OFFSET_MASK);
    }
    return 0;
}

static void trace_again(struct sweep *to, const struct sweep *from, struct sweep_trace *trace)
{
    for (uint32_t i = 0; i < trace->depth && i < TRACE_DEPTH; i++) trace->place[i] = place_again(to, from, trace->place[i]);
}

/* What the run says of its own point becomes what is known of the listed one. */
static void take_over(struct oom *o, struct rerun *ru)
{
    struct sweep_point *point = &o->sweep->point[ru->point];
    const struct sweep_point *told = &ru->sweep->point[0];
    if (ru->sweep->points == 0) return;
    point->events = told->events;
    point->signal = told->signal;
    point->address = told->address;
    point->damage = told->damage;
    point->hung = told->hung;
    point->leak_count = told->leak_count;
    memcpy(point->leak, told->leak, sizeof point->leak);
    point->end = told->end;
    trace_again(o->sweep, ru->sweep, &point->end);
    for (uint32_t i = 0; i < point->leak_count; i++) trace_again(o->sweep, ru->sweep, &point->leak[i].at);
}

static void drop(struct rerun *ru)
{
    if (ru->sweep != NULL) munmap(ru->sweep, sizeof *ru->sweep);
    if (ru->shared >= 0) close(ru->shared);
    *ru = (struct rerun){ .id = 0 };
}

static bool begin(struct oom *o, unsigned slot, uint32_t number)
{
    struct rerun *ru = &runs[slot];
    const struct sweep_point *point = &o->sweep->point[number];
    ru->sweep = ph_oom_share(o, SWEEP_ONE, &ru->shared);
    if (ru->sweep == NULL) return false;
    ru->sweep->stack = point->hash;
    ru->sweep->ordinal = point->nth;
    ru->point = number;
    ru->id = ph_oom_start(o, ru->shared, slot, false);
    ru->patience = (struct patience){ .child = 0 };
    return ru->id > 0;
}

static bool is_known(const void *argument, pid_t id)
{
    const struct oom *o = argument;
    bool is_ours = false;
    for (unsigned i = 0; i < o->settings.jobs; i++) is_ours |= runs[i].id == id;
    return is_ours;
}

static void end(struct oom *o, unsigned slot, int status)
{
    struct rerun *ru = &runs[slot];
    kill(-ru->id, SIGKILL);
    ph_oom_kill_left(o, slot, is_known);
    take_over(o, ru);
    ph_oom_ended(o, ru->point, slot, status);
    drop(ru);
}

static void look(struct oom *o)
{
    for (unsigned i = 0; i < o->settings.jobs; i++) {
        if (runs[i].id == 0) continue;
        struct sweep_point *point = &runs[i].sweep->point[0];
        if (ph_child_interrupted) kill(runs[i].id, SIGKILL);
        if (runs[i].sweep->points == 0) continue; /* not there yet */
        point->child = runs[i].id;
        if (!ph_oom_is_patient(o, &runs[i].patience, point)) point->hung = 1;
    }
    if (ph_child_interrupted) o->is_interrupted = true;
}

/* False: there is none. */
static bool wait_for_one(struct oom *o)
{
    int status;
    unsigned count = 0;
    for (unsigned i = 0; i < o->settings.jobs; i++) count += runs[i].id != 0;
    if (count == 0) return false;
    pid_t id = waitpid(-1, &status, 0);
    for (unsigned i = 0; id > 0 && i < o->settings.jobs; i++)
        if (runs[i].id == id) end(o, i, status);
    if (id < 0) look(o);
    ph_oom_progress(o, false);
    return id > 0 || errno != ECHILD;
}

static bool list(struct oom *o)
{
    int status;
    o->sweep = ph_oom_share(o, SWEEP_LIST, &o->shared);
    if (o->sweep == NULL) return false;
    o->program_id = ph_oom_start(o, o->shared, OOM_OWN_SLOT, false);
    if (o->program_id < 0) return false;
    while (waitpid(o->program_id, &status, 0) < 0 && errno == EINTR)
        if (ph_child_interrupted) kill(o->program_id, SIGKILL);
    ph_child_end_all();
    o->has_ended = true;
    o->program_status = status;
    o->is_interrupted = ph_child_interrupted != 0;
    o->program_tail = ph_oom_tail(o, OOM_OWN_SLOT);
    ph_oom_keep_output(o, OOM_OWN_SLOT, 0);
    return true;
}

bool ph_oom_rerun(struct oom *o)
{
    if (!list(o)) return false;
    uint32_t next = 0, points = o->sweep->points < SWEEP_POINTS ? o->sweep->points : SWEEP_POINTS;
    for (;;) {
        for (unsigned i = 0; i < o->settings.jobs && next < points && !o->is_interrupted; i++)
            if (runs[i].id == 0 && !begin(o, i, next++)) return false;
        if (!wait_for_one(o)) break;
    }
    ph_child_end_all();
    return true;
}
