/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_report.c -- what was found, for people.
 *
 * Owns:    nothing.  Calls: stress_finding.c, symbol.c, child.c for words.  Locks: none.
 * Why:     first what is wrong, then where it happened, then where the block came from and went; last what to do: who
 *          reads the first line knows whether to read on. */
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "pageheap.h"
#include "stress_verb.h"

enum { LINE_BYTES = 512 };

/* Text of a program's, on one line of ours. */
static void put_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, out);
}

static void put_frames(const struct stress_run *run, FILE *out, const struct finding_trace *trace)
{
    unsigned number = 0;
    for (uint32_t i = 0; i < trace->depth; i++) {
        struct symbol_place at[SYMBOL_INLINED];
        unsigned count = ph_stress_places(run, trace->place[i], at, SYMBOL_INLINED);
        for (unsigned k = 0; k < count; k++) ph_symbol_put(out, number++, &at[k]);
    }
    if (trace->depth == 0) fputs("    (nothing is known of the stack)\n", out);
}

static void put_past(const struct stress_run *run, FILE *out, const char *what, const struct finding_trace *trace)
{
    if (trace->thread == 0) return;
    fprintf(out, "  %s by thread %u here:\n", what, trace->thread);
    put_frames(run, out, trace);
}

/* Damage that was done before, by somebody who is not on this stack. */
static bool is_noticed(unsigned kind)
{
    return kind == DIAG_WRITE_AFTER_FREE || kind == DIAG_FRESH_WRITTEN || kind == DIAG_OVERFLOW || kind == DIAG_UNDERFLOW ||
           kind == DIAG_HEAP_DAMAGED;
}

static void put_where(const struct stress_finding *sf, FILE *out)
{
    const struct finding *fi = sf->record;
    const char *program = ph_stress_module(sf->run, (uint64_t)fi->program << PLACE_OFFSET_BITS);
    fputs("  ", out);
    if (fi->has_access) fprintf(out, "address 0x%llx, ", (unsigned long long)fi->access);
    if (fi->heap != 0) fprintf(out, "heap 0x%llx", (unsigned long long)fi->heap);
    if (fi->is_process_heap) fputs(" (process heap)", out);
    if (fi->heap_name[0] != '\0') {
        fputs(" (", out);
        put_text(out, fi->heap_name);
        fputc(')', out);
    }
    if (fi->heap != 0) fputs(", ", out);
    fprintf(out, "thread %u", fi->tid);
    if (program != NULL) {
        fputs(" of ", out);
        put_text(out, program);
    }
    fputc('\n', out);
    if (fi->kind == DIAG_LEAK) return;
    if (is_noticed(fi->kind)) fputs("  noticed here:\n", out);
    put_frames(sf->run, out, &fi->now);
}

/* Without addresses: the same line in another run. */
static void put_sum(const struct stress_finding *sf, FILE *out)
{
    char kind[LINE_BYTES];
    struct symbol_place at;
    ph_stress_kind(sf->record, kind, sizeof kind);
    ph_stress_where(sf, &at);
    fprintf(out, "  SUMMARY: %s", kind);
    if (at.function[0] != '\0') fprintf(out, " in %s", at.function);
    if (at.file[0] != '\0') fprintf(out, " %s:%u", at.file, at.line);
    if (at.module[0] != '\0') fprintf(out, " (%s)", at.module);
    fputc('\n', out);
}

void ph_stress_report(const struct stress *st, const struct stress_finding *sf)
{
    const struct finding *fi = sf->record;
    FILE *out = st->out;
    char line[LINE_BYTES];
    if (out == NULL) return;
    ph_stress_headline(fi, line, sizeof line);
    fprintf(out, "==%u== ", fi->pid);
    put_text(out, line);
    fputc('\n', out);
    put_where(sf, out);
    put_past(sf->run, out, fi->kind == DIAG_NO_MEMORY ? "asked for" : "allocated", &fi->allocated);
    put_past(sf->run, out, "freed", &fi->freed);
    put_sum(sf, out);
    fputs("  again: ", out);
    ph_stress_again(st, sf->run, out);
    fprintf(out, "\n  what it means, and what to do: privheap explain PH%u\n\n", fi->kind);
    fflush(out);
}

/* ---- in the end -------------------------------------------------------------------- */

void ph_stress_figures(const struct stress_run *run, struct finding_figures *sum)
{
    *sum = (struct finding_figures){ .refused_least = UINT64_MAX };
    for (unsigned p = 0; p < FINDINGS_PROCESSES; p++) {
        const struct finding_figures *fg = &run->shared->figures[p];
        sum->guarded += fg->guarded;
        sum->recycled += fg->recycled;
        sum->kept += fg->kept;
        sum->by_advice |= fg->by_advice;
        if (fg->live_most > sum->live_most) sum->live_most = fg->live_most;
        if (fg->bytes_most > sum->bytes_most) sum->bytes_most = fg->bytes_most;
        uint64_t refused = 0;
        for (unsigned r = 0; r < FINDING_REASONS; r++) {
            sum->refused[r] += fg->refused[r];
            refused += fg->refused[r];
        }
        if (refused != 0 && fg->refused_least < sum->refused_least) sum->refused_least = fg->refused_least;
        if (refused != 0 && fg->refused_most > sum->refused_most) sum->refused_most = fg->refused_most;
    }
}

const char *ph_stress_refusal(unsigned reason)
{
    return reason < PAGED_REFUSALS ? ph_page_heap_refusal((enum paged_refusal)reason) : "for reasons that this command does not know";
}

static unsigned long times_of(const struct stress *st, bool suppressed)
{
    unsigned long times = 0;
    for (unsigned i = 0; i < st->finding_count; i++)
        if (st->findings[i].is_suppressed == suppressed) times += st->findings[i].times;
    return times;
}

static void put_counts(const struct stress *st, FILE *out)
{
    unsigned count = ph_stress_counted(st), suppressed = st->finding_count - count;
    if (count == 0)
        fputs(st->is_interrupted ? "nothing was found until it was interrupted" : "nothing was found", out);
    else
        fprintf(out, "%u finding%s", count, count == 1 ? "" : "s");
    if (times_of(st, false) > count) fprintf(out, " (%lu times)", times_of(st, false));
    if (suppressed != 0) fprintf(out, ", %u suppressed (%lu time%s)", suppressed, times_of(st, true), times_of(st, true) == 1 ? "" : "s");
    for (unsigned i = 0; i < st->run_count; i++)
        if (st->runs[i].shared->next > FINDINGS_MOST)
            fprintf(out, ", %u reports more that nobody kept", st->runs[i].shared->next - FINDINGS_MOST);
}

static uint64_t refused_in_all(const struct finding_figures *sum)
{
    uint64_t all = 0;
    for (unsigned r = 0; r < FINDING_REASONS; r++) all += sum->refused[r];
    return all;
}

/* "; 100 blocks guarded, 3 of them could be read after free (the time), 7 of 1 to 9 bytes with canaries only (the budget: 7)" */
static void put_figures(const struct stress_run *run, FILE *out)
{
    struct finding_figures sum;
    const char *between = "";
    ph_stress_figures(run, &sum);
    if (run->shared->figures[0].pid == 0) return; /* nobody came to say */
    fprintf(out, "; %llu block%s guarded", (unsigned long long)sum.guarded, sum.guarded == 1 ? "" : "s");
    if (sum.kept != 0)
        fprintf(out, ", %llu of them could be read after free (the time)", (unsigned long long)sum.kept);
    if (refused_in_all(&sum) == 0) return;
    fprintf(out, ", %llu of %llu", (unsigned long long)refused_in_all(&sum), (unsigned long long)sum.refused_least);
    if (sum.refused_most != sum.refused_least) fprintf(out, " to %llu", (unsigned long long)sum.refused_most);
    fputs(" bytes with canaries only (", out);
    for (unsigned r = 0; r < FINDING_REASONS; r++) {
        if (sum.refused[r] == 0) continue;
        fprintf(out, "%s%s: %llu", between, ph_stress_refusal(r), (unsigned long long)sum.refused[r]);
        between = ", ";
    }
    fputc(')', out);
}

/* None at all is as good, unless somebody named them: then the name may be wrong. */
static bool are_all_guarded(const struct stress *st)
{
    struct finding_figures sum;
    for (unsigned i = 0; i < st->run_count; i++) {
        ph_stress_figures(&st->runs[i], &sum);
        if (refused_in_all(&sum) != 0 || (st->settings.has_name && sum.guarded == 0)) return false;
    }
    return true;
}

/* With nothing wrong there is a line only where somebody watches. */
void ph_stress_summary(const struct stress *st)
{
    if (st->out == NULL) return;
    if (st->finding_count == 0 && are_all_guarded(st) && !(st->out == stderr && isatty(STDERR_FILENO))) return;
    fputs("privheap stress:", st->out);
    ph_child_words(st->out, st->settings.argv);
    fputs(": ", st->out);
    put_counts(st, st->out);
    for (unsigned i = 0; i < st->run_count; i++) put_figures(&st->runs[i], st->out);
    fprintf(st->out, "; %.2f s\n", st->took);
}
