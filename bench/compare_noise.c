/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_noise.c -- what else the machine did while we measured: load, other programs, frequency.
 *
 * Owns:    struct noise.
 * Calls:   libc.  Locks: none.
 * Why:     figures from a busy machine are better than none if it is said that it was busy. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "compare.h"

#define SHARE_BUSY       0.10 /* of all processors */
#define SHARE_STOLEN     0.02
#define FREQUENCY_SPREAD 1.10
#define CPUFREQ          "/sys/devices/system/cpu/cpu%u/cpufreq/"

/* Processor time of the whole machine since it started, in seconds. */
struct ticks {
    double busy, idle, stolen;
};

static struct ticks at_begin;
static double own_at_begin;

/* Source: proc(5), /proc/stat: user nice system idle iowait irq softirq steal. */
static bool ticks_read(struct ticks *t)
{
    double v[8] = { 0 }, hertz = (double)sysconf(_SC_CLK_TCK);
    FILE *stat = fopen("/proc/stat", "re");
    if (stat == NULL) return false;
    int count = fscanf(stat, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
                       &v[6], &v[7]);
    fclose(stat);
    *t = (struct ticks){ .busy = (v[0] + v[1] + v[2] + v[5] + v[6]) / hertz,
                         .idle = (v[3] + v[4]) / hertz,
                         .stolen = v[7] / hertz };
    return count >= 4;
}

static double own_seconds(void)
{
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        struct rusage use;
        getrusage(i == 0 ? RUSAGE_SELF : RUSAGE_CHILDREN, &use);
        sum += (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
               (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    }
    return sum;
}

static void first_line(const char *path, char *to, size_t room)
{
    FILE *file = fopen(path, "re");
    to[0] = '\0';
    if (file == NULL) return;
    if (fgets(to, (int)room, file) == NULL) to[0] = '\0';
    to[strcspn(to, "\n")] = '\0';
    fclose(file);
}

static void mhz_add(struct noise *n, double mhz)
{
    if (mhz <= 0) return;
    if (n->mhz_least <= 0 || mhz < n->mhz_least) n->mhz_least = mhz;
    if (mhz > n->mhz_most) n->mhz_most = mhz;
}

/* From /proc/cpuinfo, where there is no cpufreq: a virtual machine's, mostly one figure for ever. */
static void cpuinfo_read(struct noise *n)
{
    char line[256];
    double mhz;
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, ':');
        if (value == NULL) continue;
        if (strncmp(line, "model name", 10) == 0 && n->model[0] == '\0')
            snprintf(n->model, sizeof n->model, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
        if (strncmp(line, "cpu MHz", 7) == 0 && sscanf(value + 1, "%lf", &mhz) == 1) mhz_add(n, mhz);
    }
    fclose(file);
}

void ph_noise_sample(struct noise *n)
{
    bool is_told = false;
    for (unsigned i = 0; i < n->processors; i++) {
        char path[96], text[32];
        snprintf(path, sizeof path, CPUFREQ "scaling_cur_freq", i);
        first_line(path, text, sizeof text);
        is_told |= text[0] != '\0';
        mhz_add(n, strtod(text, NULL) / 1000);
    }
    if (!is_told || n->model[0] == '\0') cpuinfo_read(n);
}

struct noise *ph_noise_begin(void)
{
    char path[96];
    struct noise *n = calloc(1, sizeof *n);
    if (n == NULL) return NULL;
    n->processors = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    if (getloadavg(n->load_before, 3) != 3) n->load_before[0] = (double)NAN;
    snprintf(path, sizeof path, CPUFREQ "scaling_governor", 0u);
    first_line(path, n->governor, sizeof n->governor);
    if (!ticks_read(&at_begin)) at_begin.busy = -1;
    own_at_begin = own_seconds();
    ph_noise_sample(n);
    return n;
}

void ph_noise_end(struct noise *n)
{
    struct ticks end;
    ph_noise_sample(n);
    if (getloadavg(n->load_after, 3) != 3) n->load_after[0] = (double)NAN;
    if (at_begin.busy < 0 || !ticks_read(&end)) return;
    double stolen = end.stolen - at_begin.stolen, busy = end.busy - at_begin.busy;
    double all = busy + stolen + end.idle - at_begin.idle;
    if (all <= 0) return;
    double others = busy - (own_seconds() - own_at_begin);
    n->others_share = others > 0 ? others / all : 0;
    n->steal_share = stolen > 0 ? stolen / all : 0;
}

void ph_noise_notes(struct comparison *c)
{
    const struct noise *n = c->noise;
    if (n->load_before[0] > 0.5 * n->processors)
        ph_note(c, "the machine was not idle at the start: load average %.2f on %u processors",
                n->load_before[0], n->processors);
    if (n->others_share > SHARE_BUSY)
        ph_note(c, "other programs used %.0f %% of all processors while this was measured",
                100 * n->others_share);
    if (n->steal_share > SHARE_STOLEN)
        ph_note(c, "the host took %.0f %% of this virtual machine's processors away (steal)",
                100 * n->steal_share);
    if (n->mhz_least > 0 && n->mhz_most > FREQUENCY_SPREAD * n->mhz_least)
        ph_note(c, "the processors ran at %.0f to %.0f MHz%s%s", n->mhz_least, n->mhz_most,
                n->governor[0] == '\0' ? "" : "; governor ", n->governor);
}
