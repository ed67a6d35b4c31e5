/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom_class.c -- what became of a child, and which of them are one finding.
 *
 * Owns:    the list of findings.
 * Calls:   symbol.c.  Locks: none.
 * Always:  the same points give the same findings in the same order.
 * Why:     what the program does without any failure is no finding: the same exit code, the same signal, the same
 *          lost blocks. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "invariant.h"
#include "oom.h"

const char *ph_oom_class_word(enum oom_class class)
{
    static const char *const words[OOM_CLASSES] = { "heap damage", "crash", "hang", "abort with a message", "leak",
                                                    "error exit", "went on", "not reached" };
    return words[class];
}

static bool is_known(const struct oom *o, uint64_t hash)
{
    for (uint32_t i = 0; i < o->sweep->known_leaks; i++)
        if (o->sweep->known_leak[i] == hash) return true;
    return false;
}

const struct sweep_leak *ph_oom_leak(const struct oom *o, const struct sweep_point *point)
{
    for (uint32_t i = 0; i < point->leak_count; i++)
        if (!is_known(o, point->leak[i].hash)) return &point->leak[i];
    return NULL;
}

static const char *tail_of(const struct oom *o, const struct sweep_point *point)
{
    size_t number = (size_t)(point - o->sweep->point);
    return number < o->tail_room ? o->tails[number] : NULL;
}

static enum oom_class class_of_signal(const struct oom *o, const struct sweep_point *point)
{
    int signal = WTERMSIG(point->status);
    if (o->has_ended && point->status == o->program_status) return OOM_WENT_ON;
    if (signal == SIGXFSZ) return OOM_HANG; /* it wrote and wrote */
    return signal == SIGABRT && tail_of(o, point) != NULL ? OOM_ABORT : OOM_CRASH;
}

enum oom_class ph_oom_class(const struct oom *o, const struct sweep_point *point)
{
    if (!(point->events & SWEEP_FAILED)) return OOM_NOT_REACHED;
    if (point->events & SWEEP_DAMAGED) return OOM_DAMAGE;
    if (point->hung) return OOM_HANG;
    if (WIFSIGNALED(point->status)) return class_of_signal(o, point);
    if ((o->has_ended || o->settings.replay != NULL) && ph_oom_leak(o, point) != NULL) return OOM_LEAK;
    bool is_same = !o->has_ended || point->status == o->program_status;
    return is_same && (o->has_ended || point->status == 0) ? OOM_WENT_ON : OOM_ERROR_EXIT;
}

/* ---- findings ------------------------------------------------------------- */

/* What makes two points one finding. */
static bool is_same(const struct oom *o, const struct sweep_point *one, const struct sweep_point *other)
{
    if (one->class != other->class || one->hash != other->hash || (one->before == 0) != (other->before == 0)) return false;
    if (one->before != 0 && o->sweep->point[one->before - 1].hash != o->sweep->point[other->before - 1].hash) return false;
    return one->signal == other->signal && one->damage == other->damage;
}

/* --pairs: the first failure alone did it, too. */
static bool is_of_first(const struct oom *o, const struct sweep_point *point)
{
    if (point->before == 0) return false;
    const struct sweep_point *first = &o->sweep->point[point->before - 1];
    return ph_oom_is_listed(first->class) && first->class == point->class && point->end.depth == first->end.depth &&
           memcmp(&first->end, &point->end, sizeof point->end) == 0;
}

static bool add(struct oom *o, uint32_t number)
{
    const struct sweep_point *point = &o->sweep->point[number];
    for (uint32_t i = 0; i < o->finding_count; i++)
        if (is_same(o, &o->sweep->point[o->findings[i].point], point)) {
            o->findings[i].count++;
            return true;
        }
    if ((o->finding_count & (o->finding_count - 1)) == 0) {
        struct finding *now = realloc(o->findings, (size_t)(o->finding_count != 0 ? 2 * o->finding_count : 1) * sizeof *now);
        if (now == NULL) return false;
        o->findings = now;
    }
    o->findings[o->finding_count++] = (struct finding){ .class = (enum oom_class)point->class, .point = number, .count = 1 };
    return true;
}

static int by_class(const void *one, const void *other)
{
    const struct finding *a = one, *b = other;
    if (a->class != b->class) return a->class < b->class ? -1 : 1;
    return a->point < b->point ? -1 : a->point > b->point;
}

static uint32_t points_of(const struct oom *o)
{
    return o->sweep->points < SWEEP_POINTS ? o->sweep->points : SWEEP_POINTS;
}

bool ph_oom_sum(struct oom *o)
{
    memset(o->count, 0, sizeof o->count);
    for (uint32_t i = 0; i < points_of(o); i++) {
        struct sweep_point *point = &o->sweep->point[i];
        if (!point->ended) continue;
        point->class = ph_oom_class(o, point);
        o->count[point->class]++;
    }
    for (uint32_t i = 0; i < points_of(o); i++) {
        const struct sweep_point *point = &o->sweep->point[i];
        if (point->ended && ph_oom_is_listed((enum oom_class)point->class) && !is_of_first(o, point) && !add(o, i)) return false;
    }
    qsort(o->findings, o->finding_count, sizeof *o->findings, by_class);
    return true;
}

/* ---- in words --------------------------------------------------------------- */

static const char *damage_words(uint32_t kind)
{
    switch (kind) {
#define DIAGNOSTIC(number, name, words) case number: return words;
#include "diagnostics.def"
#undef DIAGNOSTIC
    default: return "damage";
    }
}

/* glibc has sigabbrev_np, other C libraries have none. */
static const char *signal_name(int signal)
{
    static const struct { int number; const char *name; } known[] = {
        { SIGSEGV, "SEGV" }, { SIGABRT, "ABRT" }, { SIGBUS, "BUS" }, { SIGFPE, "FPE" }, { SIGILL, "ILL" }, { SIGTRAP, "TRAP" },
        { SIGSYS, "SYS" }, { SIGKILL, "KILL" }, { SIGTERM, "TERM" }, { SIGPIPE, "PIPE" }, { SIGALRM, "ALRM" }, { SIGHUP, "HUP" },
        { SIGINT, "INT" }, { SIGQUIT, "QUIT" }, { SIGUSR1, "USR1" }, { SIGUSR2, "USR2" }, { SIGXCPU, "XCPU" }, { SIGXFSZ, "XFSZ" },
        { SIGVTALRM, "VTALRM" }, { SIGPROF, "PROF" },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == signal) return known[i].name;
    return NULL;
}

static void say_signal(const struct sweep_point *point, char *out, size_t bytes)
{
    int signal = WTERMSIG(point->status);
    const char *name = signal_name(signal);
    bool has_address = (point->events & SWEEP_CRASHED) && (signal == SIGSEGV || signal == SIGBUS);
    int used = snprintf(out, bytes, "SIG%s", name != NULL ? name : "?");
    if (has_address && used < (int)bytes) snprintf(out + used, bytes - (size_t)used, " at address 0x%llx", (unsigned long long)point->address);
}

void ph_oom_say_end(const struct oom *o, const struct sweep_point *point, char *out, size_t bytes)
{
    const struct sweep_leak *leak = ph_oom_leak(o, point);
    if (point->class == OOM_DAMAGE)
        snprintf(out, bytes, "PH%u: %s", point->damage, damage_words(point->damage));
    else if (point->class == OOM_HANG)
        snprintf(out, bytes, WIFSIGNALED(point->status) && WTERMSIG(point->status) == SIGXFSZ ? "it wrote without end" : "killed after %g s",
                 o->settings.timeout_s);
    else if (WIFSIGNALED(point->status))
        say_signal(point, out, bytes);
    else if (point->class == OOM_LEAK && leak != NULL)
        snprintf(out, bytes, "%u block%s of %llu bytes in all, exit %d", leak->blocks, leak->blocks == 1 ? "" : "s",
                 (unsigned long long)leak->bytes, WEXITSTATUS(point->status));
    else
        snprintf(out, bytes, "exit %d", WEXITSTATUS(point->status));
}

void ph_oom_place(const struct oom *o, uint64_t place, struct symbol_place *out)
{
    const unsigned number = (unsigned)(place >> PLACE_OFFSET_BITS);
    const bool is_known = number != 0 && number < PLACE_MODULES;
    ph_symbol_place(is_known ? o->sweep->modules[number].path : NULL, place & PLACE_OFFSET_MASK, out);
}

void ph_oom_token(const struct oom *o, const struct sweep_point *point, char *out, size_t bytes)
{
    int used = 0;
    if (point->before != 0) {
        const struct sweep_point *first = &o->sweep->point[point->before - 1];
        used = snprintf(out, bytes, "%016llx.%u+", (unsigned long long)first->hash, first->nth);
    }
    snprintf(out + used, bytes - (size_t)used, "%016llx.%u", (unsigned long long)point->hash, point->nth);
}
