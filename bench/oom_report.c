/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom_report.c -- what a sweep found, for people.
 *
 * Owns:    nothing.  Calls: oom_class.c, symbol.c.  Locks: none.
 * Why:     worst first, and each with the command that does it again: who reads the first finding can begin. */
#include <string.h>
#include <sys/wait.h>

#include "fail.h"
#include "oom.h"

enum { LISTED_MOST = 10 /* of aborts, of leaks: they are for information */ };

/* Text of a program's, on one line of ours. */
static void put_line(FILE *out, const char *text)
{
    for (; *text != '\0' && *text != '\n'; text++) fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, out);
}

static void put_trace(const struct oom *o, FILE *out, const struct sweep_trace *trace)
{
    for (uint32_t i = 0; i < trace->depth && i < TRACE_DEPTH; i++) {
        struct symbol_place at;
        ph_oom_place(o, trace->place[i], &at);
        ph_symbol_put(out, i, &at);
    }
    if (trace->depth == 0) fputs("    (nothing is known of the stack)\n", out);
}

/* Our own report of damage begins with the line that counts. */
static bool put_damage(FILE *out, const char *tail)
{
    const char *line = strstr(tail, "privheap: PH");
    if (line == NULL) return false;
    fputs("  it said: ", out);
    put_line(out, line);
    fputc('\n', out);
    return true;
}

/* The last lines that it wrote. */
static void put_tail(FILE *out, const char *tail, const char *before)
{
    enum { LINES_MOST = 3 };
    unsigned lines = 0;
    const char *from = tail + strlen(tail);
    while (from > tail && from[-1] == '\n') from--;
    for (; from > tail; from--)
        if (from[-1] == '\n' && ++lines == LINES_MOST) break;
    while (*from != '\0') {
        fprintf(out, "  %s: ", before);
        put_line(out, from);
        fputc('\n', out);
        from += strcspn(from, "\n");
        from += *from == '\n';
        if (*from == '\0' || strspn(from, "\n") == strlen(from)) break;
    }
}

static void put_failed(const struct oom *o, FILE *out, const struct sweep_point *point)
{
    if (point->before != 0) {
        const struct sweep_point *first = &o->sweep->point[point->before - 1];
        fprintf(out, "  %s of %llu bytes failed, call %u, at\n", ph_fail_word((enum fail_call)first->call),
                (unsigned long long)first->bytes, first->ordinal);
        put_trace(o, out, &first->at);
        fputs("  and then ", out);
    } else {
        fputs("  ", out);
    }
    fprintf(out, "%s of %llu bytes failed, call %u, at\n", ph_fail_word((enum fail_call)point->call), (unsigned long long)point->bytes,
            point->ordinal);
    put_trace(o, out, &point->at);
}

static void put_finding(const struct oom *o, FILE *out, const struct finding *fi)
{
    const struct sweep_point *point = &o->sweep->point[fi->point];
    const struct sweep_leak *leak = ph_oom_leak(o, point);
    char end[160], token[96];
    ph_oom_say_end(o, point, end, sizeof end);
    ph_oom_token(o, point, token, sizeof token);
    fprintf(out, "\n%s: %s", ph_oom_class_word(fi->class), end);
    if (fi->count > 1) fprintf(out, " (%u times)", fi->count);
    fputc('\n', out);
    put_failed(o, out, point);
    if (point->end.depth != 0 && fi->class != OOM_LEAK) {
        fputs(fi->class == OOM_HANG ? "  it was at\n" : "  ended at\n", out);
        put_trace(o, out, &point->end);
    }
    if (fi->class == OOM_LEAK && leak != NULL) {
        fputs("  lost was what was taken at\n", out);
        put_trace(o, out, &leak->at);
    }
    const char *tail = fi->point < o->tail_room ? o->tails[fi->point] : NULL;
    if (tail != NULL && !(fi->class == OOM_DAMAGE && put_damage(out, tail))) put_tail(out, tail, "it said");
    fprintf(out, "  again: privheap oom --replay=%s --", token);
    ph_child_words(out, o->settings.argv);
    fputc('\n', out);
}

static void put_summary(const struct oom *o, FILE *out)
{
    fputs("privheap oom:", out);
    ph_child_words(out, o->settings.argv);
    uint32_t tried = 0;
    for (int i = 0; i < OOM_CLASSES; i++) tried += o->count[i];
    fprintf(out, ": %u allocations, %u failed in turn, %.2f s\n ", o->sweep->calls, tried - o->count[OOM_NOT_REACHED], o->took);
    for (int i = 0; i < OOM_CLASSES; i++)
        if (o->count[i] != 0 || i == OOM_CRASH) fprintf(out, " %s %u;", ph_oom_class_word((enum oom_class)i), o->count[i]);
    fprintf(out, " %u different finding%s\n", o->finding_count, o->finding_count == 1 ? "" : "s");
}

/* What the reader must know to believe the figures. */
static void put_notes(const struct oom *o, FILE *out)
{
    const struct sweep *sw = o->sweep;
    if (o->is_interrupted) fputs("  interrupted: what follows is not all\n", out);
    if (o->settings.replay != NULL) return;
    if (WIFSIGNALED(o->program_status) && !o->is_interrupted)
        fprintf(out, "  without any failure the program ends by signal %d\n", WTERMSIG(o->program_status));
    else if (!WIFSIGNALED(o->program_status) && WEXITSTATUS(o->program_status) != 0)
        fprintf(out, "  without any failure the program ends with exit %d\n", WEXITSTATUS(o->program_status));
    if (o->program_status != 0 && o->program_tail != NULL) put_tail(out, o->program_tail, "it says");
    if (sw->threads_at != 0)
        fprintf(out, "  from call %u on the program has threads: what they and others allocate then was not tried; --rerun does\n",
                sw->threads_at);
    if (sw->forked) fputs("  processes that the program makes by fork asked for memory, too: that was not tried\n", out);
    if (sw->not_confined) fputs("  the system has no Landlock: children could write files\n", out);
    if (sw->refused != 0) fprintf(out, "  the system refused a child: %s\n", strerror((int)sw->refused));
    if (sw->overflowed) fprintf(out, "  only the first %u were tried\n", SWEEP_POINTS);
}

void ph_oom_report(const struct oom *o, FILE *out)
{
    uint32_t put[OOM_CLASSES] = { 0 };
    put_summary(o, out);
    put_notes(o, out);
    for (uint32_t i = 0; i < o->finding_count; i++) {
        const struct finding *fi = &o->findings[i];
        if (ph_oom_is_counted(fi->class) || put[fi->class] < LISTED_MOST) put_finding(o, out, fi);
        put[fi->class]++;
    }
    for (int i = OOM_ABORT; i <= OOM_LEAK; i++)
        if (put[i] > LISTED_MOST)
            fprintf(out, "\n%s: %u more, all of them with --json\n", ph_oom_class_word((enum oom_class)i), put[i] - LISTED_MOST);
}
