/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_json.c -- what was run and found, for programs, as JSON.
 *
 * Owns:    nothing.  Calls: json.c, stress_finding.c, explain.c.  Locks: none.
 * Always:  addresses are texts, since many readers of JSON keep 53 bits of a number. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "json.h"
#include "stress_verb.h"

#define SCHEMA "privheap.stress/1"

static void put_address(FILE *out, const char *key, uint64_t value, bool is_known)
{
    fprintf(out, ", \"%s\": ", key);
    if (is_known)
        fprintf(out, "\"0x%llx\"", (unsigned long long)value);
    else
        fputs("null", out);
}

static void put_text(FILE *out, const char *key, const char *text)
{
    fputs(", ", out);
    ph_json_pair(out, key, text != NULL && *text != '\0' ? text : NULL);
}

static void put_trace(const struct stress_run *run, FILE *out, const char *key, const struct finding_trace *trace)
{
    fprintf(out, ",\n     \"%s\": {\"thread\": %u, \"frames\": [", key, trace->thread);
    for (uint32_t i = 0; i < trace->depth; i++) {
        struct symbol_place at[SYMBOL_INLINED];
        unsigned count = ph_stress_places(run, trace->place[i], at, SYMBOL_INLINED);
        for (unsigned k = 0; k < count; k++) {
            fprintf(out, "%s\n      {", i + k == 0 ? "" : ",");
            ph_json_pair(out, "module", ph_stress_module(run, trace->place[i]));
            fprintf(out, ", \"offset\": %llu", (unsigned long long)at[k].offset);
            put_text(out, "function", at[k].function);
            put_text(out, "file", at[k].path);
            fprintf(out, ", \"line\": %u, \"inlined\": %s}", at[k].line, k + 1 < count ? "true" : "false");
        }
    }
    fputs("]}", out);
}

/* Of the access, or of the pointer given, from the block's start; null where one of them is not known. */
static void put_offset(FILE *out, const struct finding *fi)
{
    uint64_t block = fi->inside != 0 ? fi->inside : fi->block, at = fi->has_access ? fi->access : fi->block;
    if (fi->bytes == UINT64_MAX)
        fputs(", \"bytes\": null, \"offset\": null", out);
    else
        fprintf(out, ", \"bytes\": %llu, \"offset\": %lld", (unsigned long long)fi->bytes, (long long)(at - block));
}

static void put_again(const struct stress *st, const struct stress_run *run, FILE *out)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    if (memory == NULL) return;
    ph_stress_again(st, run, memory);
    if (fclose(memory) == 0) put_text(out, "again", text);
    free(text);
}

static void put_finding(const struct stress *st, FILE *out, const struct stress_finding *sf)
{
    const struct finding *fi = sf->record;
    const struct explanation *ex = ph_explanation(fi->kind);
    char line[512];
    ph_stress_headline(fi, line, sizeof line);
    fprintf(out, "    {\"number\": \"PH%u\"", fi->kind);
    put_text(out, "name", ex != NULL ? ex->name : NULL);
    put_text(out, "said", line);
    fprintf(out, ", \"times\": %u, \"suppressed\": %s,\n     \"pid\": %u, \"thread\": %u", sf->times, sf->is_suppressed ? "true" : "false",
            fi->pid, fi->tid);
    put_text(out, "program", ph_stress_module(sf->run, (uint64_t)fi->program << PLACE_OFFSET_BITS));
    put_text(out, "side", sf->run->side);
    put_address(out, "block", fi->inside != 0 ? fi->inside : fi->block, true);
    put_offset(out, fi);
    put_address(out, "access", fi->access, fi->has_access);
    fprintf(out, ", \"write\": %s", !fi->has_access ? "null" : fi->is_write ? "true" : "false");
    put_text(out, "caller", fi->caller);
    put_text(out, "detail", fi->detail);
    put_address(out, "heap", fi->heap, fi->heap != 0);
    put_text(out, "heap_name", fi->heap_name);
    put_again(st, sf->run, out);
    put_trace(sf->run, out, "stack", &fi->now);
    if (fi->allocated.thread != 0) put_trace(sf->run, out, "allocated", &fi->allocated);
    if (fi->freed.thread != 0) put_trace(sf->run, out, "freed", &fi->freed);
    fputc('}', out);
}

static void put_figures(FILE *out, const struct stress_run *run)
{
    struct finding_figures sum;
    const char *between = "";
    ph_stress_figures(run, &sum);
    fprintf(out, ",\n     \"guarded\": %llu, \"recycled\": %llu, \"kept\": %llu, \"live_most\": %llu, \"bytes_most\": %llu, \"guards\": \"%s\", \"refused\": {",
            (unsigned long long)sum.guarded, (unsigned long long)sum.recycled, (unsigned long long)sum.kept, (unsigned long long)sum.live_most,
            (unsigned long long)sum.bytes_most, sum.by_advice ? "madvise" : "mprotect");
    for (unsigned r = 0; r < FINDING_REASONS; r++) {
        if (sum.refused[r] == 0) continue;
        fputs(between, out);
        ph_json_text(out, ph_stress_refusal(r), strlen(ph_stress_refusal(r)));
        fprintf(out, ": %llu", (unsigned long long)sum.refused[r]);
        between = ", ";
    }
    fputc('}', out);
}

static void put_run(FILE *out, const struct stress_run *run)
{
    int status = run->status;
    fprintf(out, "    {\"side\": \"%s\", \"signal\": %d, \"exit\": %d, \"processes\": %u, \"reports\": %u", run->side,
            WIFSIGNALED(status) ? WTERMSIG(status) : 0, WIFSIGNALED(status) ? -1 : WEXITSTATUS(status), run->shared->begun,
            run->shared->next);
    put_figures(out, run);
    fputc('}', out);
}

void ph_stress_json(const struct stress *st, FILE *out)
{
    const struct stress_settings *s = &st->settings;
    fputs("{\n  \"schema\": \"" SCHEMA "\",\n  \"program\": [", out);
    for (char **word = s->argv; *word != NULL; word++) {
        if (word != s->argv) fputs(", ", out);
        ph_json_text(out, *word, strlen(*word));
    }
    fprintf(out, "],\n  \"seed\": %llu,\n  \"seconds\": %.3f,\n  \"interrupted\": %s,\n  \"found\": %u,\n  \"runs\": [\n", (unsigned long long)s->seed,
            st->took, st->is_interrupted ? "true" : "false", ph_stress_counted(st));
    for (unsigned i = 0; i < st->run_count; i++) {
        put_run(out, &st->runs[i]);
        fputs(i + 1 < st->run_count ? ",\n" : "\n", out);
    }
    fputs("  ],\n  \"findings\": [\n", out);
    for (unsigned i = 0; i < st->finding_count; i++) {
        put_finding(st, out, &st->findings[i]);
        fputs(i + 1 < st->finding_count ? ",\n" : "\n", out);
    }
    fputs("  ]\n}\n", out);
}
