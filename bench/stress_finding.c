/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_finding.c -- records that the program's processes wrote: which are one, and what they say in words.
 *
 * Owns:    the list of findings.
 * Calls:   symbol.c, explain.c, child.c for words; stress_suppress.c, stress_report.c for each that is new.  Locks: none.
 * Always:  a record is looked at once, when it is whole, and never changes after that. */
#include <stdarg.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "child.h"
#include "invariant.h"
#include "stress_verb.h"

/* ---- places -------------------------------------------------------------------- */

const char *ph_stress_module(const struct stress_run *run, uint64_t place)
{
    uint64_t number = place >> PLACE_OFFSET_BITS;
    bool is_known = number != 0 && number < PLACE_MODULES && run->shared->modules[number].path[0] != '\0';
    return is_known ? run->shared->modules[number].path : NULL;
}

unsigned ph_stress_places(const struct stress_run *run, uint64_t place, struct symbol_place *out, unsigned most)
{
    return ph_symbol_places(ph_stress_module(run, place), place & PLACE_OFFSET_MASK, out, most);
}

/* Of the C and C++ runtimes nobody wants to hear first, whether in a library or put into the program. */
static bool is_runtime(const struct symbol_place *at)
{
    static const char *const names[] = { "libc.so", "libstdc++.so", "libc++", "ld-linux", "ld-musl", "libpthread.so", "libm.so" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(at->module, names[i], strlen(names[i])) == 0) return true;
    return at->module[0] == '\0' || strncmp(at->function, "std::", 5) == 0 || strncmp(at->function, "__gnu_cxx::", 11) == 0;
}

static int worth_of(const struct symbol_place *at)
{
    return is_runtime(at) ? 0 : at->file[0] != '\0' ? 3 : at->function[0] != '\0' ? 2 : 1;
}

/* Its line counts more than its function, the program more than its runtime. */
static bool best_of(const struct stress_run *run, const struct finding_trace *trace, struct symbol_place *out)
{
    int best = -1;
    for (uint32_t i = 0; i < trace->depth && best < 3; i++) {
        struct symbol_place at[SYMBOL_INLINED];
        unsigned count = ph_stress_places(run, trace->place[i], at, SYMBOL_INLINED);
        for (unsigned k = 0; k < count; k++) {
            if (worth_of(&at[k]) <= best) continue;
            best = worth_of(&at[k]);
            *out = at[k];
        }
    }
    return best >= 0;
}

void ph_stress_where(const struct stress_finding *sf, struct symbol_place *out)
{
    *out = (struct symbol_place){ .line = 0 };
    if (sf->record->kind == DIAG_LEAK || !best_of(sf->run, &sf->record->now, out)) best_of(sf->run, &sf->record->allocated, out);
}

/* ---- words ----------------------------------------------------------------------- */

struct line {
    char *at, *end;
};

static void __attribute__((format(printf, 2, 3))) put(struct line *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(to->at, (size_t)(to->end - to->at), format, arguments);
    va_end(arguments);
    to->at += count < to->end - to->at ? count : to->end - to->at - 1;
}

static void put_kind(struct line *to, const struct finding *fi)
{
    const struct explanation *ex = ph_explanation(fi->kind);
    const char *words = ex != NULL ? ex->words : "damage";
    bool is_access = fi->has_access && strncmp(words, "access", 6) == 0;
    put(to, "PH%u %s%s", fi->kind, is_access ? fi->is_write ? "write" : "read" : "", is_access ? words + 6 : words);
}

void ph_stress_kind(const struct finding *fi, char *out, size_t bytes)
{
    struct line to = { out, out + bytes };
    put_kind(&to, fi);
}

static void put_distance(struct line *to, uint64_t at, uint64_t block, uint64_t bytes)
{
    bool is_before = at < block, is_into = !is_before && at - block < bytes;
    uint64_t distance = is_before ? block - at : is_into ? at - block : at - block - bytes;
    put(to, "%llu byte%s %s ", (unsigned long long)distance, distance == 1 ? "" : "s",
        is_before ? "before" : is_into ? "into" : "behind the end of");
}

void ph_stress_headline(const struct finding *fi, char *out, size_t bytes)
{
    struct line to = { out, out + bytes };
    uint64_t block = fi->inside != 0 ? fi->inside : fi->block;
    uint64_t at = fi->has_access ? fi->access : fi->inside != 0 ? fi->block : 0;
    put_kind(&to, fi);
    if (fi->caller[0] != '\0') put(&to, ", by %s", fi->caller);
    put(&to, ": ");
    if (fi->kind == DIAG_NO_MEMORY) {
        put(&to, "0x%llx, of %llu byte%s that were asked for", (unsigned long long)at, (unsigned long long)fi->bytes, fi->bytes == 1 ? "" : "s");
    } else if (fi->bytes == UINT64_MAX) {
        put(&to, "0x%llx", (unsigned long long)(at != 0 ? at : block));
    } else {
        if (at != 0) put_distance(&to, at, block, fi->bytes);
        put(&to, "block 0x%llx of %llu byte%s", (unsigned long long)block, (unsigned long long)fi->bytes, fi->bytes == 1 ? "" : "s");
    }
    if (fi->detail[0] != '\0') put(&to, ": %s", fi->detail);
}

/* The options that make a difference, so that the same is found again. */
void ph_stress_again(const struct stress *st, const struct stress_run *run, FILE *out)
{
    const struct stress_settings *s = &st->settings;
    fprintf(out, "privheap stress --seed=%llu --side=%s", (unsigned long long)s->seed, run->side);
    for (unsigned i = 0; i < s->part_count; i++) {
        if (s->suppress != NULL && strcmp(s->parts[i].part, "continue") == 0) continue;
        fprintf(out, " --%s", s->parts[i].option);
        if (*s->parts[i].value == '\0') continue;
        fputc('=', out);
        ph_child_word(out, s->parts[i].value);
    }
    if (s->suppress != NULL) {
        fputs(" --suppress=", out);
        ph_child_word(out, s->suppress);
    }
    if (s->no_rules) fputs(" --no-rules", out);
    fputs(" --", out);
    ph_child_words(out, s->argv);
}

/* ---- which are one ----------------------------------------------------------------- */

static bool is_same_trace(const struct finding_trace *one, const struct finding_trace *other)
{
    return one->depth == other->depth && memcmp(one->place, other->place, one->depth * sizeof one->place[0]) == 0;
}

static bool is_same(const struct finding *one, const struct finding *other)
{
    return one->kind == other->kind && is_same_trace(&one->now, &other->now) && is_same_trace(&one->allocated, &other->allocated) &&
           is_same_trace(&one->freed, &other->freed);
}

static void take(struct stress *st, const struct stress_run *run, const struct finding *fi)
{
    for (unsigned i = 0; i < st->finding_count; i++)
        if (st->findings[i].run == run && is_same(st->findings[i].record, fi)) {
            st->findings[i].times++;
            return;
        }
    struct stress_finding *sf = &st->findings[st->finding_count++];
    *sf = (struct stress_finding){ .record = fi, .run = run, .times = 1 };
    sf->is_suppressed = ph_stress_is_suppressed(st, run, fi);
    if (!sf->is_suppressed) ph_stress_report(st, sf);
}

void ph_stress_collect(struct stress *st, struct stress_run *run)
{
    for (; run->read < FINDINGS_MOST; run->read++) {
        struct finding *fi = &run->shared->finding[run->read];
        bool is_whole = __atomic_load_n(&fi->state, __ATOMIC_ACQUIRE) == 2;
        if (!is_whole && !run->is_over) return;
        if (!is_whole) continue; /* whose writer was killed */
        if (fi->now.depth > TRACE_DEPTH || fi->allocated.depth > TRACE_DEPTH || fi->freed.depth > TRACE_DEPTH) continue; /* overwritten */
        fi->caller[sizeof fi->caller - 1] = fi->detail[sizeof fi->detail - 1] = fi->heap_name[sizeof fi->heap_name - 1] = '\0';
        take(st, run, fi);
    }
}

unsigned ph_stress_counted(const struct stress *st)
{
    unsigned count = 0;
    for (unsigned i = 0; i < st->finding_count; i++) count += !st->findings[i].is_suppressed;
    return count;
}
