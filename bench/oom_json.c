/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom_json.c -- what a sweep found, for programs: JSON, and JUnit's XML.
 *
 * Owns:    nothing.  Calls: json.c, oom_class.c, symbol.c.  Locks: none.
 * Always:  the text is valid whatever the program, its arguments and its output are: what is no printable ASCII is
 *          written as an escape, byte by byte. */
#include <string.h>
#include <sys/wait.h>

#include "fail.h"
#include "json.h"
#include "oom.h"

#define SCHEMA "privheap.oom/1"

/* ---- JSON -------------------------------------------------------------------- */

static void put_trace(const struct oom *o, FILE *out, const char *key, const struct sweep_trace *trace)
{
    fprintf(out, ",\n     \"%s\": [", key);
    for (uint32_t i = 0; i < trace->depth && i < TRACE_DEPTH; i++) {
        struct symbol_place at;
        ph_oom_place(o, trace->place[i], &at);
        fprintf(out, "%s\n      {", i == 0 ? "" : ",");
        ph_json_pair(out, "module", at.module);
        fprintf(out, ", \"offset\": %llu, ", (unsigned long long)at.offset);
        ph_json_pair(out, "function", at.function[0] != '\0' ? at.function : NULL);
        fputs(", ", out);
        ph_json_pair(out, "file", at.file[0] != '\0' ? at.file : NULL);
        fprintf(out, ", \"line\": %u}", at.line);
    }
    fputc(']', out);
}

static void put_failed(const struct oom *o, FILE *out, const char *key, const struct sweep_point *point)
{
    fprintf(out, ",\n     \"%s\": {", key);
    ph_json_pair(out, "function", ph_fail_word((enum fail_call)point->call));
    fprintf(out, ", \"bytes\": %llu, \"call\": %u", (unsigned long long)point->bytes, point->ordinal);
    put_trace(o, out, "stack", &point->at);
    fputc('}', out);
}

static void put_finding(const struct oom *o, FILE *out, const struct finding *fi)
{
    const struct sweep_point *point = &o->sweep->point[fi->point];
    const struct sweep_leak *leak = ph_oom_leak(o, point);
    char text[160];
    fputs("    {", out);
    ph_json_pair(out, "class", ph_oom_class_word(fi->class));
    ph_oom_token(o, point, text, sizeof text);
    fputs(", ", out);
    ph_json_pair(out, "token", text);
    ph_oom_say_end(o, point, text, sizeof text);
    fputs(", ", out);
    ph_json_pair(out, "end", text);
    fprintf(out, ", \"times\": %u, \"counts\": %s", fi->count, ph_oom_is_counted(fi->class) ? "true" : "false");
    fprintf(out, ", \"signal\": %d, \"exit\": %d", WIFSIGNALED(point->status) ? WTERMSIG(point->status) : 0,
            WIFSIGNALED(point->status) ? -1 : WEXITSTATUS(point->status));
    if (point->before != 0) put_failed(o, out, "first", &o->sweep->point[point->before - 1]);
    put_failed(o, out, "failed", point);
    put_trace(o, out, "ended", &point->end);
    if (fi->class == OOM_LEAK && leak != NULL) put_trace(o, out, "lost", &leak->at);
    fputs(",\n     ", out);
    ph_json_pair(out, "said", fi->point < o->tail_room ? o->tails[fi->point] : NULL);
    fputs("}", out);
}

void ph_oom_json(const struct oom *o, FILE *out)
{
    const struct sweep *sw = o->sweep;
    fputs("{\n  \"schema\": \"" SCHEMA "\",\n  \"program\": [", out);
    for (char **word = o->settings.argv; *word != NULL; word++) {
        if (word != o->settings.argv) fputs(", ", out);
        ph_json_text(out, *word, strlen(*word));
    }
    fprintf(out, "],\n  \"seconds\": %.3f,\n  \"allocations\": %u,\n  \"children\": %u,\n  \"threads_at\": %u,\n", o->took, sw->calls,
            sw->points, sw->threads_at);
    fprintf(out, "  \"forks\": %s,\n", sw->forked ? "true" : "false");
    fprintf(out, "  \"interrupted\": %s,\n  \"status\": {\"signal\": %d, \"exit\": %d},\n  \"classes\": {", o->is_interrupted ? "true" : "false",
            WIFSIGNALED(o->program_status) ? WTERMSIG(o->program_status) : 0,
            WIFSIGNALED(o->program_status) ? -1 : WEXITSTATUS(o->program_status));
    for (int i = 0; i < OOM_CLASSES; i++)
        fprintf(out, "%s\"%s\": %u", i == 0 ? "" : ", ", ph_oom_class_word((enum oom_class)i), o->count[i]);
    fputs("},\n  \"findings\": [\n", out);
    for (uint32_t i = 0; i < o->finding_count; i++) {
        put_finding(o, out, &o->findings[i]);
        fputs(i + 1 < o->finding_count ? ",\n" : "\n", out);
    }
    fputs("  ]\n}\n", out);
}

/* ---- JUnit --------------------------------------------------------------------- */

static void put_xml(FILE *out, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '<' || *at == '>' || *at == '&' || *at == '"' || *at > '~')
            fprintf(out, "&#%u;", *at);
        else
            fputc(*at < ' ' && *at != '\n' && *at != '\t' ? '?' : *at, out);
    }
}

static void put_frames(const struct oom *o, FILE *out, const char *what, const struct sweep_trace *trace)
{
    fprintf(out, "%s:\n", what);
    for (uint32_t i = 0; i < trace->depth && i < TRACE_DEPTH; i++) {
        struct symbol_place at;
        char line[640];
        ph_oom_place(o, trace->place[i], &at);
        snprintf(line, sizeof line, "  #%u %s %s:%u (%s+0x%llx)\n", i, at.function, at.file, at.line, at.module,
                 (unsigned long long)at.offset);
        put_xml(out, line);
    }
}

static void put_case(const struct oom *o, FILE *out, const struct finding *fi)
{
    const struct sweep_point *point = &o->sweep->point[fi->point];
    char text[160], token[96];
    ph_oom_say_end(o, point, text, sizeof text);
    ph_oom_token(o, point, token, sizeof token);
    fprintf(out, "  <testcase classname=\"oom\" name=\"%s\">\n", token);
    fprintf(out, ph_oom_is_counted(fi->class) ? "    <failure type=\"%s\" message=\"" : "    <system-out>%s: ", ph_oom_class_word(fi->class));
    put_xml(out, text);
    fputs(ph_oom_is_counted(fi->class) ? "\">" : "\n", out);
    put_frames(o, out, "failed", &point->at);
    put_frames(o, out, "ended", &point->end);
    fprintf(out, "%s\n  </testcase>\n", ph_oom_is_counted(fi->class) ? "</failure>" : "</system-out>");
}

void ph_oom_junit(const struct oom *o, FILE *out)
{
    uint32_t failures = 0, tried = 0;
    for (uint32_t i = 0; i < o->finding_count; i++) failures += ph_oom_is_counted(o->findings[i].class);
    for (int i = 0; i < OOM_CLASSES; i++) tried += o->count[i];
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"privheap oom ", out);
    put_xml(out, o->settings.argv[0]);
    fprintf(out, "\" tests=\"%u\" failures=\"%u\" time=\"%.3f\">\n", o->finding_count + 1, failures, o->took);
    fprintf(out, "  <testcase classname=\"oom\" name=\"%u allocations failed in turn\"/>\n", tried);
    for (uint32_t i = 0; i < o->finding_count; i++) put_case(o, out, &o->findings[i]);
    fputs("</testsuite>\n", out);
}
