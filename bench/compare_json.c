/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_json.c -- results for programs: JSON, with google-benchmark's names where they fit, and CSV.
 *
 * Owns:    nothing.  Calls: libc.  Locks: none.
 * Always:  numbers and text are valid whatever the program, its arguments and its output are.
 * Why:     we only write JSON, of one shape: that needs no library, and libc is enough to build. */
#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compare.h"

#define SCHEMA "privheap.compare/1"

/* ---- values ------------------------------------------------------------ */

/* How many bytes of well-formed UTF-8 begin here; 0: none.  Source: RFC 3629, without its finer points. */
static size_t utf8_bytes(const unsigned char *at)
{
    size_t bytes = *at < 0x80                  ? 1
                   : *at >= 0xc2 && *at < 0xe0 ? 2
                   : *at >= 0xe0 && *at < 0xf0 ? 3
                   : *at >= 0xf0 && *at < 0xf5 ? 4
                                               : 0;
    for (size_t i = 1; i < bytes; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    if (*at == 0xe0 && at[1] < 0xa0) return 0; /* longer than need be */
    if (*at == 0xf0 && at[1] < 0x90) return 0;
    if (*at == 0xf4 && at[1] > 0x8f) return 0;      /* beyond Unicode */
    return *at == 0xed && at[1] > 0x9f ? 0 : bytes; /* surrogates */
}

static void put_text(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    fputc('"', out);
    while (*at != '\0') {
        size_t bytes = utf8_bytes(at);
        if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if (*at < ' ')
            fprintf(out, "\\u%04x", *at);
        else if (bytes == 0)
            fputs("\\ufffd", out);
        else
            fwrite(at, 1, bytes, out);
        at += bytes == 0 ? 1 : bytes;
    }
    fputc('"', out);
}

/* `none` stands for what is not known. */
static void put_number(FILE *out, double value, const char *none)
{
    if (isfinite(value))
        fprintf(out, "%.9g", value);
    else
        fputs(none, out);
}

/* Both: a key and its value, and what comes after. */
static void key_text(FILE *out, const char *key, const char *text, const char *after)
{
    fprintf(out, "\"%s\": ", key);
    if (text == NULL)
        fputs("null", out);
    else
        put_text(out, text);
    fputs(after, out);
}

static void key_number(FILE *out, const char *key, double value, const char *after)
{
    fprintf(out, "\"%s\": ", key);
    put_number(out, value, "null");
    fputs(after, out);
}

static const char *yes(bool is) { return is ? "true" : "false"; }

/* In JSON times are milliseconds, as time_unit says. */
static double scaled(enum metric which, double value)
{
    return which == METRIC_WALL || which == METRIC_CPU ? value * 1000 : value;
}

/* ---- context ----------------------------------------------------------- */

static void put_noise(const struct noise *n, FILE *out)
{
    fprintf(out, "    \"num_cpus\": %u,\n    ", n->processors);
    key_number(out, "mhz_per_cpu", n->mhz_most, ",\n    ");
    key_number(out, "mhz_least", n->mhz_least, ",\n    ");
    key_text(out, "cpu_model", n->model, ",\n    ");
    key_text(out, "cpu_governor", n->governor[0] == '\0' ? NULL : n->governor, "");
    fprintf(out, ",\n    \"cpu_scaling_enabled\": %s,\n    \"load_avg\": [",
            yes(n->governor[0] != '\0' && strcmp(n->governor, "performance") != 0));
    for (int i = 0; i < 3; i++) {
        fputs(i > 0 ? ", " : "", out);
        put_number(out, n->load_before[i], "null");
    }
    fputs("],\n    ", out);
    key_number(out, "load_avg_after", n->load_after[0], ",\n    ");
    key_number(out, "others_cpu_share", n->others_share, ",\n    ");
    key_number(out, "steal_share", n->steal_share, ",\n");
}

static void put_command(const struct comparison *c, FILE *out)
{
    fputs("    \"command\": [", out);
    for (char **word = c->settings.argv; *word != NULL; word++) {
        fputs(word == c->settings.argv ? "" : ", ", out);
        put_text(out, *word);
    }
    fputs("],\n    ", out);
    key_text(out, "executable", c->settings.program, "");
}

static void put_context(const struct comparison *c, FILE *out)
{
    char date[40] = "", host[256] = "";
    struct utsname system;
    struct tm parts;
    time_t at = time(NULL);
    if (localtime_r(&at, &parts) != NULL) strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S%z", &parts);
    if (strlen(date) == 24) memmove(date + 23, date + 22, 3), date[22] = ':';
    gethostname(host, sizeof host - 1);
    uname(&system);
    fputs("  \"context\": {\n    ", out);
    key_text(out, "date", date, ",\n    ");
    key_text(out, "host_name", host, ",\n    ");
    key_text(out, "kernel", system.release, ",\n    ");
    key_text(out, "machine", system.machine, ",\n    ");
    key_text(out, "privheap_version", PACKAGE_VERSION, ",\n");
    put_noise(c->noise, out);
    put_command(c, out);
    fputs(",\n    ", out);
    key_text(out, "base", c->allocators[c->base].name, "");
    fprintf(out,
            ",\n    \"runs\": %u,\n    \"warmup\": %u,\n    \"seed\": %llu,\n    \"interrupted\": %s\n  },\n",
            c->settings.rounds, c->settings.warmups, (unsigned long long)c->settings.seed,
            yes(c->is_interrupted));
}

/* ---- runs and results -------------------------------------------------- */

static void put_name(const struct comparison *c, const struct allocator *a, const char *more,
                     const char *type, FILE *out)
{
    char name[512], run_name[512];
    snprintf(run_name, sizeof run_name, "%.400s/%s", ph_compare_label(&c->settings), a->name);
    snprintf(name, sizeof name, "%.470s%s", run_name, more);
    fputs("    { ", out);
    key_text(out, "name", name, ", ");
    key_text(out, "run_name", run_name, ", ");
    key_text(out, "run_type", type, ", ");
    key_text(out, "allocator", a->name, "");
    fprintf(out, ", \"repetitions\": %u, \"threads\": 1, ", a->run_count);
}

static void put_run(const struct comparison *c, const struct allocator *a, unsigned index, FILE *out)
{
    const struct run *r = &a->runs[index];
    put_name(c, a, "", "iteration", out);
    fprintf(out, "\"repetition_index\": %u, \"iterations\": 1, \"time_unit\": \"ms\",\n      ", index);
    for (int which = 0; which < METRIC_COUNT; which++) {
        key_number(out, ph_metric_keys[which], scaled((enum metric)which, r->value[which]), ", ");
    }
    key_number(out, "user_time", r->user_s * 1000, ", ");
    key_number(out, "system_time", r->system_s * 1000, "");
    fprintf(out,
            ",\n      \"major_faults\": %llu, \"involuntary_switches\": %llu, \"output_bytes\": %llu, "
            "\"error_bytes\": %llu, \"peak_rss_floor_bytes\": %llu,\n      ",
            (unsigned long long)r->major_faults, (unsigned long long)r->involuntary_switches,
            (unsigned long long)r->output_bytes, (unsigned long long)r->error_bytes,
            (unsigned long long)r->floor_bytes);
    if (WIFSIGNALED(r->status))
        fprintf(out, "\"exit_code\": null, \"signal\": %d, ", WTERMSIG(r->status));
    else
        fprintf(out, "\"exit_code\": %d, \"signal\": null, ", WEXITSTATUS(r->status));
    fprintf(out, "\"timed_out\": %s, \"error_occurred\": %s, \"outlier\": %s }", yes(r->is_timed_out),
            yes(r->is_wrong), yes(r->is_outlier));
}

static double part(const struct interval *v, int which)
{
    return which == 0 ? v->value : which == 1 ? v->low : v->high;
}

static void put_aggregates(const struct comparison *c, const struct allocator *a, FILE *out)
{
    static const char *const names[] = { "median", "low95", "high95" };
    for (int i = 0; i < 3; i++) {
        char more[16];
        snprintf(more, sizeof more, "_%s", names[i]);
        put_name(c, a, more, "aggregate", out);
        fprintf(out,
                "\"aggregate_name\": \"%s\", \"aggregate_unit\": \"time\", \"iterations\": %u, "
                "\"time_unit\": \"ms\",\n      ",
                names[i], a->run_count - a->wrong - a->outliers);
        for (int which = 0; which < METRIC_COUNT; which++) {
            key_number(out, ph_metric_keys[which], scaled((enum metric)which, part(&a->medians[which], i)),
                       which + 1 < METRIC_COUNT ? ", " : "");
        }
        fputs(i < 2 ? " },\n" : " }", out);
    }
}

static void put_benchmarks(const struct comparison *c, FILE *out)
{
    fputs("  \"benchmarks\": [\n", out);
    for (unsigned i = 0; i < c->count; i++) {
        const struct allocator *a = &c->allocators[i];
        for (unsigned j = 0; j < a->run_count; j++) {
            put_run(c, a, j, out);
            fputs(",\n", out);
        }
        put_aggregates(c, a, out);
        fputs(i + 1 < c->count ? ",\n" : "\n", out);
    }
    fputs("  ],\n", out);
}

static void put_ratios(const struct comparison *c, FILE *out)
{
    const char *before = "";
    fputs("  \"ratios\": [\n", out);
    for (unsigned i = 0; i < c->count; i++)
        for (int which = 0; which < METRIC_COUNT; which++) {
            const struct allocator *a = &c->allocators[i];
            const struct interval *v = &a->ratios[which];
            fprintf(out, "%s    { ", before);
            key_text(out, "allocator", a->name, "");
            fprintf(out, ", \"metric\": \"%s\", ", ph_metric_keys[which]);
            key_number(out, "ratio", v->value, ", ");
            key_number(out, "low95", v->low, ", ");
            key_number(out, "high95", v->high, ", ");
            key_number(out, "p_value", a->same_probability[which], "");
            fprintf(out, ", \"significant\": %s }", yes(ph_is_significant(v, a->same_probability[which])));
            before = ",\n";
        }
    fputs("\n  ],\n", out);
}

static const char *active(const struct comparison *c, const struct allocator *a)
{
    const struct presence *p = &a->presence;
    if (c->settings.warmups == 0 || !p->is_known || p->processes == 0) return "unknown";
    unsigned missing = p->without + p->own;
    return missing == 0 ? "yes" : missing == p->processes ? "no" : "partly";
}

static void put_allocators(const struct comparison *c, FILE *out)
{
    fputs("  \"allocators\": [\n", out);
    for (unsigned i = 0; i < c->count; i++) {
        const struct allocator *a = &c->allocators[i];
        fputs("    { ", out);
        key_text(out, "name", a->name, ", ");
        key_text(out, "object", a->object, ", ");
        key_text(out, "active", active(c, a), "");
        fprintf(out, ", \"processes\": %u, \"runs\": %u, \"wrong\": %u, \"outliers\": %u }%s\n",
                a->presence.processes, a->run_count, a->wrong, a->outliers, i + 1 < c->count ? "," : "");
    }
    fputs("  ],\n  \"notes\": [", out);
    for (unsigned i = 0; i < c->note_count; i++) {
        fputs(i == 0 ? "\n    " : ",\n    ", out);
        put_text(out, c->notes[i]);
    }
    fputs(c->note_count > 0 ? "\n  ]\n" : "]\n", out);
}

void ph_compare_json(const struct comparison *c, FILE *out)
{
    fputs("{\n  \"schema\": \"" SCHEMA "\",\n", out);
    put_context(c, out);
    put_benchmarks(c, out);
    put_ratios(c, out);
    put_allocators(c, out);
    fputs("}\n", out);
}

/* ---- CSV --------------------------------------------------------------- */

static void csv_number(FILE *out, double value)
{
    fputc(',', out);
    put_number(out, value, "");
}

/* One line for each allocator; times in seconds, as hyperfine has them. */
void ph_compare_csv(const struct comparison *c, FILE *out)
{
    fputs("allocator,runs,wrong,outliers", out);
    for (int which = 0; which < METRIC_COUNT; which++) {
        const char *key = ph_metric_keys[which];
        fprintf(out, ",%s,%s_low95,%s_high95,%s_ratio,%s_ratio_low95,%s_ratio_high95,%s_significant", key,
                key, key, key, key, key, key);
    }
    fputc('\n', out);
    for (unsigned i = 0; i < c->count; i++) {
        const struct allocator *a = &c->allocators[i];
        fprintf(out, "%s,%u,%u,%u", a->name, a->run_count, a->wrong, a->outliers);
        for (int which = 0; which < METRIC_COUNT; which++) {
            for (int j = 0; j < 3; j++) csv_number(out, part(&a->medians[which], j));
            for (int j = 0; j < 3; j++) csv_number(out, part(&a->ratios[which], j));
            fprintf(out, ",%d", ph_is_significant(&a->ratios[which], a->same_probability[which]));
        }
        fputc('\n', out);
    }
}
