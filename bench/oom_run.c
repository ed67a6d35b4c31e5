/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom_run.c -- children of a sweep that end, and those that do not.
 *
 * Owns:    the command's part of each point.
 * Calls:   child.c for the clock, oom_start.c for what a child wrote, oom_class.c for the progress line.  Locks: none.
 * Always:  every process that is made is waited for: children of the program are ours, by CLONE_PARENT; and what
 *          they leave behind is killed.
 * Why:     a machine may be so busy that an honest child gets no processor for seconds: one hangs that used
 *          up its time on a processor, or slept all the time without having been on one. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "command.h"
#include "oom.h"

enum { WAKE_SHARED = 1 }; /* linux/futex.h; the kernel's headers are not in every C library's path */

void ph_oom_progress(const struct oom *o, bool is_last)
{
    static double shown;
    static bool is_there;
    if (o->settings.is_quiet || !isatty(STDERR_FILENO)) return;
    double now = ph_child_now();
    if (is_last && is_there) fputs("\r\033[K", stderr);
    if (is_last || now - shown < 0.1) return;
    shown = now;
    is_there = true;
    fprintf(stderr, "\r\033[K%u allocations, %u children, %u crashed or hung, %.0f s", o->sweep->calls,
            o->sweep->points, o->count[OOM_CRASH] + o->count[OOM_HANG] + o->count[OOM_DAMAGE], now - o->begun);
    fflush(stderr);
}

/* ---- the end of one ------------------------------------------------------ */

static void slot_free(struct sweep *sw, unsigned slot)
{
    __atomic_store_n(&sw->slot[slot], 0, __ATOMIC_RELEASE);
    __atomic_add_fetch(&sw->bell, 1, __ATOMIC_RELEASE);
    (void)syscall(SYS_futex, &sw->bell, WAKE_SHARED, 1 << 30, NULL, NULL, 0);
}

static bool tails_grow(struct oom *o, uint32_t point)
{
    if (point < o->tail_room) return true;
    uint32_t room = point < 1024 ? 2048 : 2 * point;
    char **now = realloc(o->tails, room * sizeof *now);
    if (now == NULL) return false;
    memset(now + o->tail_room, 0, (room - o->tail_room) * sizeof *now);
    o->tails = now;
    o->tail_room = room;
    return true;
}

/* By us, who were interrupted: what would have become of it nobody knows. */
static bool is_cut_off(const struct sweep_point *point, int status)
{
    return ph_child_interrupted && !point->hung && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

void ph_oom_ended(struct oom *o, uint32_t point, unsigned slot, int status)
{
    struct sweep_point *pt = &o->sweep->point[point];
    pt->status = status;
    pt->ended = !is_cut_off(pt, status);
    char *tail = ph_oom_tail(o, slot);
    if (tails_grow(o, point))
        o->tails[point] = tail;
    else
        free(tail);
    ph_oom_keep_output(o, slot, pt->ordinal);
    if (pt->ended) o->count[ph_oom_class(o, pt)]++; /* roughly: the program's own end is not known yet */
}

static void program_ended(struct oom *o, int status)
{
    o->has_ended = true;
    o->program_status = status;
    o->program_tail = ph_oom_tail(o, OOM_OWN_SLOT);
    ph_oom_keep_output(o, OOM_OWN_SLOT, 0);
}

static bool is_known(const void *argument, pid_t id)
{
    const struct oom *o = argument;
    bool is_ours = id == o->program_id;
    for (unsigned slot = 0; slot < SWEEP_SLOTS && !is_ours; slot++) {
        uint32_t number = __atomic_load_n(&o->sweep->slot[slot], __ATOMIC_ACQUIRE);
        is_ours = number != 0 && o->sweep->point[number - 1].child == id;
    }
    return is_ours;
}

static void somebody_ended(struct oom *o, pid_t id, int status)
{
    struct sweep *sw = o->sweep;
    if (id == o->program_id) {
        program_ended(o, status);
        return;
    }
    for (unsigned slot = 0; slot < SWEEP_SLOTS; slot++) {
        uint32_t number = __atomic_load_n(&sw->slot[slot], __ATOMIC_ACQUIRE);
        if (number == 0 || sw->point[number - 1].child != id) continue;
        kill(-id, SIGKILL); /* what it started and left behind */
        ph_oom_kill_left(o, slot, is_known);
        ph_oom_ended(o, number - 1, slot, status);
        slot_free(sw, slot);
        return;
    }
}

/* ---- those that do not end ------------------------------------------------- */

/* What the kernel counts of a process: its state, and the time that it was on a processor. */
static bool look(pid_t id, char *state, uint64_t *ticks)
{
    char path[48], text[512];
    unsigned long user, system;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)id);
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[got] = '\0';
    const char *behind = strrchr(text, ')');
    if (behind == NULL || sscanf(behind + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", state, &user, &system) != 3)
        return false;
    *ticks = user + system;
    return true;
}

static bool is_hung(const struct oom *o, struct patience *pa, double now)
{
    enum { AT_ALL = 60 }; /* times as long as asked for: no machine is that busy */
    char state;
    uint64_t ticks;
    const double most = o->settings.timeout_s;
    if (!look(pa->child, &state, &ticks)) return false;
    if (ticks != pa->ticks || state == 'R') pa->stirred = now;
    pa->ticks = ticks;
    return (double)ticks / (double)sysconf(_SC_CLK_TCK) >= most || now - pa->stirred >= most || now - pa->begun >= AT_ALL * most;
}

bool ph_oom_is_patient(const struct oom *o, struct patience *pa, const struct sweep_point *point)
{
    enum { ANSWER_MS = 300 };
    const double now = ph_child_now();
    if (point->child != pa->child) *pa = (struct patience){ .child = point->child, .begun = now, .stirred = now };
    if (pa->is_asked) {
        if (now - pa->asked < ANSWER_MS / 1000.0 && !(point->events & SWEEP_ASKED)) return true;
        kill(-pa->child, SIGKILL);
        kill(pa->child, SIGKILL);
        return false;
    }
    if (!is_hung(o, pa, now)) return true;
    pa->is_asked = true;
    pa->asked = now;
    kill(pa->child, SWEEP_WHERE_SIGNAL);
    return true;
}

static void look_at_slots(struct oom *o)
{
    static struct patience patience[SWEEP_SLOTS];
    struct sweep *sw = o->sweep;
    for (unsigned slot = 0; slot < SWEEP_SLOTS; slot++) {
        uint32_t number = __atomic_load_n(&sw->slot[slot], __ATOMIC_ACQUIRE);
        if (number == 0 || sw->point[number - 1].child == 0) continue;
        struct sweep_point *point = &sw->point[number - 1];
        if (slot < sw->jobs && sw->slot[slot + sw->jobs] != 0) { /* --pairs: it waits for its own */
            patience[slot].stirred = ph_child_now();
            continue;
        }
        if (!ph_oom_is_patient(o, &patience[slot], point)) point->hung = 1;
    }
}

static void interrupt(struct oom *o)
{
    o->is_interrupted = true;
    if (!o->has_ended) kill(o->program_id, SIGKILL);
    for (unsigned slot = 0; slot < SWEEP_SLOTS; slot++) {
        uint32_t number = o->sweep->slot[slot];
        if (number == 0 || o->sweep->point[number - 1].child == 0) continue;
        kill(-o->sweep->point[number - 1].child, SIGKILL);
        kill(o->sweep->point[number - 1].child, SIGKILL);
    }
}

/* A slot that was taken when the program was killed has no child. */
static bool is_over(const struct oom *o)
{
    bool has_child = !o->has_ended;
    for (unsigned slot = 0; slot < SWEEP_SLOTS && !has_child; slot++) {
        uint32_t number = __atomic_load_n(&o->sweep->slot[slot], __ATOMIC_ACQUIRE);
        has_child = number != 0 && o->sweep->point[number - 1].child != 0;
    }
    return !has_child;
}

void ph_oom_run(struct oom *o)
{
    while (!is_over(o)) {
        int status;
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0 && errno == ECHILD) break;
        if (id > 0) somebody_ended(o, id, status);
        if (id < 0 && ph_child_interrupted) interrupt(o);
        if (id < 0) look_at_slots(o);
        ph_oom_progress(o, false);
    }
    ph_child_end_all();
    if (ph_child_interrupted) o->is_interrupted = true;
}
