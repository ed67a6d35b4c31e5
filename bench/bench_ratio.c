/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_ratio.c -- is one allocator faster than another, row by row, or is it chance?
 *
 * Reads bench.sh's raw lines `kind row allocator round cpu_ns peak_kib rest_kib` and prints a table: ratio of
 * the medians of CPU time with its 95 % interval, the same of peak memory without one (it hardly varies), and
 * a word where the difference is more than chance.  One row in twenty may get a word by chance alone; the
 * last line says how many did.  Status 1 when some row is slower by more than chance and by more than -m
 * percent. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "statistics.h"

enum { ROWS = 256, ROUNDS = 1000, NAME_BYTES = 64, SEED = 1 };

struct row {
    char name[NAME_BYTES];
    double *cpu[2], *peak[2]; /* of the one, of the other; by round */
};

static struct row rows[ROWS];
static unsigned row_count, round_count;

static double *ratio_figures(void)
{
    double *figures = malloc(ROUNDS * sizeof *figures);
    if (!figures) exit(2);
    for (unsigned i = 0; i < ROUNDS; i++) figures[i] = (double)NAN;
    return figures;
}

static struct row *ratio_row(const char *name)
{
    unsigned i = 0;
    while (i < row_count && strcmp(rows[i].name, name) != 0) i++;
    if (i < row_count) return &rows[i];
    if (i == ROWS) {
        fprintf(stderr, "bench_ratio: more than %d rows\n", ROWS);
        exit(2);
    }
    row_count++;
    snprintf(rows[i].name, sizeof rows[i].name, "%s", name);
    for (unsigned who = 0; who < 2; who++) {
        rows[i].cpu[who] = ratio_figures();
        rows[i].peak[who] = ratio_figures();
    }
    return &rows[i];
}

static void ratio_read(char *const names[2])
{
    char line[512], name[NAME_BYTES], who[NAME_BYTES];
    unsigned round;
    double cpu, peak;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%*s %63s %63s %u %lf %lf", name, who, &round, &cpu, &peak) != 5 || round < 1 ||
            round > ROUNDS) {
            fprintf(stderr, "bench_ratio: not a line of results: %s", line);
            exit(2);
        }
        if (round > round_count) round_count = round;
        for (unsigned i = 0; i < 2; i++) {
            if (strcmp(who, names[i]) != 0) continue;
            struct row *row = ratio_row(name);
            row->cpu[i][round - 1] = cpu;
            row->peak[i][round - 1] = peak;
        }
    }
}

struct sums {
    double cpu, peak;
    unsigned rows, faster, slower, worse;
};

static void ratio_print(const struct row *row, char *const names[2], double margin, struct sums *sums)
{
    struct interval cpu = ph_ratio_interval(row->cpu[0], row->cpu[1], round_count, SEED);
    double peak = ph_median(row->peak[0], round_count) / ph_median(row->peak[1], round_count);
    if (!(cpu.value > 0) || !(peak > 0)) return; /* one of them could not run it */
    if (sums->rows == 0)
        printf(
            "| %s / %s | CPU | 95 %% interval | by chance | | peak memory |\n|---|---:|---|---:|---|---:|\n",
            names[0], names[1]);
    double chance = ph_same_probability(row->cpu[0], row->cpu[1], round_count);
    bool sure = ph_is_significant(&cpu, chance);
    const char *word = !sure ? "" : cpu.value < 1 ? "faster" : "slower";
    printf("| %s | %.3f | %.3f to %.3f | %.3f | %s | %.3f |\n", row->name, cpu.value, cpu.low, cpu.high,
           chance, word, peak);
    sums->cpu += log(cpu.value);
    sums->peak += log(peak);
    sums->rows++;
    sums->faster += sure && cpu.value < 1;
    sums->slower += sure && cpu.value > 1;
    sums->worse += sure && cpu.low > 1 && cpu.value > 1 + margin;
}

static int ratio_table(char *const names[2], double margin)
{
    struct sums sums = { .rows = 0 };
    for (unsigned i = 0; i < row_count; i++) ratio_print(&rows[i], names, margin, &sums);
    if (sums.rows == 0) {
        fprintf(stderr, "bench_ratio: no row has figures of both %s and %s\n", names[0], names[1]);
        return 2;
    }
    printf("| geometric mean | %.3f | | | | %.3f |\n\n", exp(sums.cpu / sums.rows),
           exp(sums.peak / sums.rows));
    printf("%u rows, %u rounds: %u faster, %u slower; about %.1f of each kind are expected by chance.\n",
           sums.rows, round_count, sums.faster, sums.slower, sums.rows * 0.025);
    return sums.worse > 0;
}

int main(int argc, char **argv)
{
    double percent = 0;
    int option;
    while ((option = getopt(argc, argv, "m:")) != -1) {
        char *end = NULL;
        if (option == 'm') percent = strtod(optarg, &end);
        if (option != 'm' || end == optarg || *end != '\0' || !(percent >= 0)) argc = 0;
    }
    if (argc - optind != 2) {
        fprintf(stderr, "usage: bench_ratio [-m PERCENT] ALLOCATOR OTHER <raw.txt\n");
        return 2;
    }
    ratio_read(argv + optind);
    return ratio_table(argv + optind, percent / 100);
}
