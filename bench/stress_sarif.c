/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_sarif.c -- what was found, as SARIF, which build servers show beside the source.
 *
 * Owns:    nothing.  Calls: json.c, stress_finding.c, explain.c.  Locks: none.
 * Always:  a rule for each number, in the order of lib/diagnostics.def; a location only where file and line are known.
 * Source:  SARIF 2.1.0 (OASIS): 3.14 run, 3.27 result, 3.44 stack, 3.49 reportingDescriptor. */
#include <string.h>
#include <sys/wait.h>

#include "command.h"
#include "json.h"
#include "stress_verb.h"

#define SCHEMA "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"

static void put_message(FILE *out, const char *key, const char *text)
{
    fprintf(out, "\"%s\": {", key);
    ph_json_pair(out, "text", text);
    fputc('}', out);
}

/* RFC 3986: what is none of these is an escape. */
static void put_uri(FILE *out, const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    fputs(*path == '/' ? "\"file://" : "\"", out);
    for (const char *at = path; *at != '\0'; at++) fprintf(out, strchr(plain, *at) != NULL ? "%c" : "%%%02X", (unsigned char)*at);
    fputc('"', out);
}

static void put_rules(FILE *out)
{
    size_t count;
    const struct explanation *all = ph_explanations(&count);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%s\n        {\"id\": \"PH%u\", ", i == 0 ? "" : ",", all[i].number);
        ph_json_pair(out, "name", all[i].name);
        fputs(", ", out);
        put_message(out, "shortDescription", all[i].words);
        fputs(", ", out);
        put_message(out, "help", all[i].text);
        fputs("}", out);
    }
}

static size_t rule_index(unsigned kind)
{
    size_t count, i = 0;
    const struct explanation *all = ph_explanations(&count);
    while (i + 1 < count && all[i].number != kind) i++;
    return i;
}

/* {"physicalLocation": ..., "logicalLocations": ...}: as much of it as is known. */
static void put_location(FILE *out, const struct symbol_place *at)
{
    fputc('{', out);
    if (at->path[0] != '\0') {
        fputs("\"physicalLocation\": {\"artifactLocation\": {\"uri\": ", out);
        put_uri(out, at->path);
        fputc('}', out);
        if (at->line != 0) fprintf(out, ", \"region\": {\"startLine\": %u}", at->line);
        fputc('}', out);
    }
    if (at->function[0] != '\0') {
        fprintf(out, "%s\"logicalLocations\": [{", at->path[0] != '\0' ? ", " : "");
        ph_json_pair(out, "fullyQualifiedName", at->function);
        fputs(", \"kind\": \"function\"}]", out);
    }
    fputc('}', out);
}

static bool is_located(const struct symbol_place *at) { return at->path[0] != '\0' || at->function[0] != '\0'; }

static void put_frame(FILE *out, const struct symbol_place *at, unsigned thread)
{
    fputc('{', out);
    if (at->module[0] != '\0') {
        ph_json_pair(out, "module", at->module);
        fputs(", ", out);
    }
    fprintf(out, "\"threadId\": %u", thread);
    if (is_located(at)) {
        fputs(", \"location\": ", out);
        put_location(out, at);
    }
    fputc('}', out);
}

static void put_stack(const struct stress_run *run, FILE *out, const char *what, const struct finding_trace *trace)
{
    fputs("{", out);
    put_message(out, "message", what);
    fputs(", \"frames\": [", out);
    for (uint32_t i = 0; i < trace->depth; i++) {
        struct symbol_place at[SYMBOL_INLINED];
        unsigned count = ph_stress_places(run, trace->place[i], at, SYMBOL_INLINED);
        for (unsigned k = 0; k < count; k++) {
            fprintf(out, "%s\n          ", i + k == 0 ? "" : ",");
            put_frame(out, &at[k], trace->thread);
        }
    }
    fputs("]}", out);
}

static void put_stacks(const struct stress_finding *sf, FILE *out)
{
    const struct finding *fi = sf->record;
    fputs(",\n       \"stacks\": [", out);
    put_stack(sf->run, out, "here", &fi->now);
    if (fi->allocated.thread != 0) {
        fputs(",\n        ", out);
        put_stack(sf->run, out, "allocated", &fi->allocated);
    }
    if (fi->freed.thread != 0) {
        fputs(",\n        ", out);
        put_stack(sf->run, out, "freed", &fi->freed);
    }
    fputc(']', out);
}

static void put_result(FILE *out, const struct stress_finding *sf)
{
    const struct finding *fi = sf->record;
    struct symbol_place at;
    char line[512];
    ph_stress_headline(fi, line, sizeof line);
    ph_stress_where(sf, &at);
    fprintf(out, "      {\"ruleId\": \"PH%u\", \"ruleIndex\": %zu, \"level\": \"error\", ", fi->kind, rule_index(fi->kind));
    put_message(out, "message", line);
    fprintf(out, ", \"occurrenceCount\": %u", sf->times);
    if (sf->is_suppressed) fputs(", \"suppressions\": [{\"kind\": \"external\"}]", out);
    if (is_located(&at)) {
        fputs(",\n       \"locations\": [", out);
        put_location(out, &at);
        fputc(']', out);
    }
    put_stacks(sf, out);
    fputc('}', out);
}

static void put_invocations(const struct stress *st, FILE *out)
{
    for (unsigned i = 0; i < st->run_count; i++) {
        int status = st->runs[i].status;
        fprintf(out, "%s\n      {\"executionSuccessful\": %s, \"arguments\": [", i == 0 ? "" : ",", status == 0 ? "true" : "false");
        for (char **word = st->settings.argv; *word != NULL; word++) {
            if (word != st->settings.argv) fputs(", ", out);
            ph_json_text(out, *word, strlen(*word));
        }
        if (WIFSIGNALED(status))
            fprintf(out, "], \"exitSignalNumber\": %d}", WTERMSIG(status));
        else
            fprintf(out, "], \"exitCode\": %d}", WEXITSTATUS(status));
    }
}

void ph_stress_sarif(const struct stress *st, FILE *out)
{
    fputs("{\n  \"$schema\": \"" SCHEMA "\",\n  \"version\": \"2.1.0\",\n  \"runs\": [{\n    \"tool\": {\"driver\": {\"name\": \"privheap stress\", "
          "\"version\": \"" PACKAGE_VERSION "\", \"rules\": [",
          out);
    put_rules(out);
    fputs("]}},\n    \"invocations\": [", out);
    put_invocations(st, out);
    fputs("],\n    \"results\": [\n", out);
    for (unsigned i = 0; i < st->finding_count; i++) {
        put_result(out, &st->findings[i]);
        fputs(i + 1 < st->finding_count ? ",\n" : "\n", out);
    }
    fputs("    ]}]\n}\n", out);
}
