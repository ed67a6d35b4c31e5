/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaos_report.c -- what differed, for people and as JSON.
 *
 * Owns:    nothing.  Calls: child.c for words, json.c.  Locks: none.
 * Why:     first what is wrong with the program, in words; then where; then the command that does it again. */
#include <string.h>
#include <sys/personality.h>

#include "chaos_verb.h"
#include "child.h"
#include "json.h"

#define SCHEMA "privheap.chaos/1"

enum { TEXT_BYTES = 256 };
#define PERSONALITY_ASK 0xffffffffu /* changes nothing */

static const char *const reasons[CHAOS_WAYS] = {
    "memory is read that nobody wrote", "memory is used after its free", "it matters where blocks lie",
    "it matters when freed memory is used again", "realloc is expected not to move", "a block of no bytes is touched",
    "more alignment is expected than there need be",
};

static const char *const streams[] = { "", "how it ends", "standard output", "standard error" };

/* "fresh" or "fresh and move" */
static void put_ways(FILE *out, uint32_t ways, const char *between)
{
    const char *now = "";
    for (unsigned i = 0; i < CHAOS_WAYS; i++)
        if (ways >> i & 1) {
            fprintf(out, "%s%s", now, ph_chaos_word(i));
            now = between;
        }
}

static void put_cause(FILE *out, uint32_t ways)
{
    bool is_one = (ways & (ways - 1)) == 0;
    put_ways(out, ways, " and ");
    if (is_one)
        fprintf(out, ": %s\n", reasons[__builtin_ctz(ways)]);
    else
        fputs(": only together\n", out);
}

static const char *who(uint32_t ways)
{
    uint32_t given_back = ways & (CHAOS_FREED | CHAOS_LATE);
    return given_back == 0 ? "asked for" : given_back == ways ? "given back" : "asked for or given back";
}

static void put_blocks(FILE *out, const struct finding *fi)
{
    const struct chaos_spec *how = &fi->how;
    if (!fi->has_sizes && !how->has_module) return;
    fputs("  blocks", out);
    if (fi->has_sizes && how->most == UINT64_MAX)
        fprintf(out, " of %llu bytes and more", (unsigned long long)how->least);
    else if (fi->has_sizes)
        fprintf(out, " of %llu to %llu bytes", (unsigned long long)how->least, (unsigned long long)how->most);
    if (how->has_module) fprintf(out, "%s %s by %s", fi->has_sizes ? "," : "", who(how->ways), how->module);
    fputc('\n', out);
}

/* As the runs had. */
static bool has_fixed_addresses(void)
{
    const int now = personality(PERSONALITY_ASK);
    const bool has = now != -1 && personality((unsigned)now | ADDR_NO_RANDOMIZE) != -1;
    if (has) (void)personality((unsigned)now);
    return has;
}

static void put_finding(const struct chaos *c, FILE *out, const struct finding *fi)
{
    char text[TEXT_BYTES];
    const struct contrast *co = &fi->contrast;
    fputc('\n', out);
    put_cause(out, fi->how.ways);
    put_blocks(out, fi);
    fprintf(out, "  %s differs", streams[co->what]);
    if (co->what != DIFFERS_END) fprintf(out, ", line %zu", co->line);
    fprintf(out, "\n    plain:  %s\n    seed %llu: %s\n", co->plain, (unsigned long long)fi->how.seed, co->other);
    if (fi->also != 0) {
        fputs("  it differs by each of these, too: ", out);
        put_ways(out, fi->also, ", ");
        fputc('\n', out);
    }
    ph_chaos_text(&fi->how, text, sizeof text);
    fprintf(out, "  again: %sprivheap run --checks=0 --guard-rate=0 --chaos=%s --", has_fixed_addresses() ? "setarch -R " : "", text);
    ph_child_words(out, c->settings.argv);
    fputc('\n', out);
}

void ph_chaos_report(const struct chaos *c, FILE *out)
{
    fputs("privheap chaos:", out);
    ph_child_words(out, c->settings.argv);
    fprintf(out, ": %u seeds, %u runs, %.2f s; ", c->settings.seeds, c->runs, c->took);
    if (c->finding_count == 0)
        fputs(c->is_interrupted ? "nothing differed until it was interrupted\n" : "nothing differs\n", out);
    else
        fprintf(out, "%u cause%s of a difference\n", c->finding_count, c->finding_count == 1 ? "" : "s");
    if (c->unsteady != 0)
        fprintf(out, "  %u seed%s differed once and not again: the program itself is not the same each time\n", c->unsteady,
                c->unsteady == 1 ? "" : "s");
    if (c->is_interrupted && c->finding_count != 0) fputs("  interrupted: what follows is not all\n", out);
    for (unsigned i = 0; i < c->finding_count; i++) put_finding(c, out, &c->findings[i]);
}

/* ---- JSON ------------------------------------------------------------------ */

static void json_ways(FILE *out, const char *key, uint32_t ways)
{
    const char *between = "";
    fprintf(out, "\"%s\": [", key);
    for (unsigned i = 0; i < CHAOS_WAYS; i++)
        if (ways >> i & 1) {
            fprintf(out, "%s\"%s\"", between, ph_chaos_word(i));
            between = ", ";
        }
    fputs("], ", out);
}

static void json_size(FILE *out, const char *key, bool has, uint64_t value)
{
    if (has)
        fprintf(out, "\"%s\": %llu, ", key, (unsigned long long)value);
    else
        fprintf(out, "\"%s\": null, ", key);
}

static void json_finding(FILE *out, const struct finding *fi)
{
    static const char *const words[] = { "", "end", "stdout", "stderr" };
    char text[TEXT_BYTES];
    ph_chaos_text(&fi->how, text, sizeof text);
    fputs("    {", out);
    json_ways(out, "ways", fi->how.ways);
    json_ways(out, "also", fi->also);
    fprintf(out, "\"seed\": %llu, ", (unsigned long long)fi->how.seed);
    json_size(out, "least", fi->has_sizes, fi->how.least);
    json_size(out, "most", fi->has_sizes && fi->how.most != UINT64_MAX, fi->how.most);
    ph_json_pair(out, "module", fi->how.has_module ? fi->how.module : NULL);
    fputs(",\n     ", out);
    ph_json_pair(out, "differs", words[fi->contrast.what]);
    fprintf(out, ", \"line\": %zu, ", fi->contrast.line);
    ph_json_pair(out, "plain", fi->contrast.plain);
    fputs(", ", out);
    ph_json_pair(out, "other", fi->contrast.other);
    fputs(", ", out);
    ph_json_pair(out, "chaos", text);
    fputc('}', out);
}

void ph_chaos_json(const struct chaos *c, FILE *out)
{
    fputs("{\n  \"schema\": \"" SCHEMA "\",\n  \"command\": [", out);
    for (char **word = c->settings.argv; *word != NULL; word++) {
        fputs(word == c->settings.argv ? "" : ", ", out);
        ph_json_text(out, *word, strlen(*word));
    }
    fprintf(out, "],\n  \"seeds\": %u, \"first_seed\": %u, \"runs\": %u, \"seconds\": %.3f, \"unsteady\": %u, \"interrupted\": %s,\n",
            c->settings.seeds, c->settings.first_seed, c->runs, c->took, c->unsteady, c->is_interrupted ? "true" : "false");
    fputs("  \"findings\": [", out);
    for (unsigned i = 0; i < c->finding_count; i++) {
        fputs(i == 0 ? "\n" : ",\n", out);
        json_finding(out, &c->findings[i]);
    }
    fputs(c->finding_count == 0 ? "]\n}\n" : "\n  ]\n}\n", out);
}
