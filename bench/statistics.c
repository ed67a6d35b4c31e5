/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* statistics.c -- medians with intervals, outliers, and whether a difference is more than chance.
 *
 * Owns:    nothing.  Calls: libc and libm.  Locks: none.
 * Always:  the same figures and seed give the same answer, on every machine.
 * Why:     run times are skewed and have stragglers: medians and resampling assume no shape.  Means and
 *          standard deviations do. */
#include "statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RESAMPLES_MAX = 5000,
    RESAMPLES_MIN = 1000,
    FIGURES_DRAWN = 2000000, /* about as many for an interval: tens of milliseconds */
    EXACT_FIGURES = 40,
    OUTLIER_SHARE = 5, /* one of so many at most */
};

#define OUTLIER_DEVIATIONS  5.0
#define OUTLIER_FROM_MEDIAN 0.1    /* steady programs: a deviation of nearly nothing must not make outliers */
#define DEVIATION_OF_MAD    1.4826 /* a normal distribution's standard deviation over its median deviation */
#define SIGNIFICANT         0.05

/* Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
uint64_t ph_random(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

static int by_size(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

static unsigned copy_figures(const double *figures, unsigned rounds, double *to)
{
    unsigned count = 0;
    for (unsigned i = 0; i < rounds; i++)
        if (!isnan(figures[i])) to[count++] = figures[i];
    return count;
}

unsigned ph_sorted(const double *figures, unsigned rounds, double *sorted)
{
    unsigned count = copy_figures(figures, rounds, sorted);
    qsort(sorted, count, sizeof *sorted, by_size);
    return count;
}

/* Between the sorted figures: share 0 is the first, 1 the last. */
static double quantile(const double *sorted, unsigned count, double share)
{
    if (count == 0) return (double)NAN;
    double place = share * (count - 1);
    unsigned below = (unsigned)place;
    if (below + 1 >= count) return sorted[count - 1];
    return sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]);
}

/* Move the figure that belongs at `place` there, those below it before.  Source: Hoare, "Algorithm 65: Find",
 * 1961. */
static void select_figure(double *figures, unsigned count, unsigned place)
{
    for (unsigned first = 0, last = count - 1; first < last;) {
        double middle = figures[first + (last - first) / 2];
        unsigned i = first, j = last;
        for (;;) {
            while (figures[i] < middle) i++;
            while (figures[j] > middle) j--;
            if (i >= j) break;
            double kept = figures[i];
            figures[i++] = figures[j];
            figures[j--] = kept;
        }
        if (place <= j)
            last = j;
        else
            first = j + 1;
    }
}

/* Thousands of these make an interval, so nothing is sorted. */
static double median_with(const double *figures, unsigned rounds, double *room)
{
    unsigned count = copy_figures(figures, rounds, room), half = count / 2;
    if (count == 0) return (double)NAN;
    select_figure(room, count, half);
    double below = room[half];
    if (count % 2 == 1) return below;
    below = room[0];
    for (unsigned i = 1; i < half; i++) below = room[i] > below ? room[i] : below;
    return (below + room[half]) / 2;
}

double ph_median(const double *figures, unsigned rounds)
{
    double *room = malloc((rounds + 1) * sizeof *room);
    if (room == NULL) return (double)NAN;
    double median = median_with(figures, rounds, room);
    free(room);
    return median;
}

/* ---- the bootstrap ----------------------------------------------------- */

static unsigned resamples_for(unsigned rounds)
{
    unsigned count = FIGURES_DRAWN / (rounds + 1);
    return count > RESAMPLES_MAX ? RESAMPLES_MAX : count < RESAMPLES_MIN ? RESAMPLES_MIN : count;
}

/* What is resampled: `others` NULL for a plain median. */
struct sample {
    const double *ones, *others;
    unsigned rounds;
    double *drawn_ones, *drawn_others, *room; /* of `rounds` each */
};

static double estimate(const struct sample *s, const double *ones, const double *others)
{
    double median = median_with(ones, s->rounds, s->room);
    return s->others == NULL ? median : median / median_with(others, s->rounds, s->room);
}

static double draw(const struct sample *s, uint64_t *state)
{
    for (unsigned i = 0; i < s->rounds; i++) {
        unsigned from = (unsigned)(ph_random(state) % s->rounds);
        s->drawn_ones[i] = s->ones[from];
        if (s->others != NULL) s->drawn_others[i] = s->others[from];
    }
    return estimate(s, s->drawn_ones, s->drawn_others);
}

static struct interval interval_of(struct sample *s, uint64_t seed)
{
    struct interval all = { (double)NAN, (double)NAN, (double)NAN };
    unsigned resamples = resamples_for(s->rounds), count;
    double *room = malloc((3 * (size_t)s->rounds + 2 * (size_t)resamples + 1) * sizeof *room);
    if (room == NULL) return all;
    s->room = room;
    s->drawn_ones = room + s->rounds;
    s->drawn_others = room + 2 * s->rounds;
    double *estimates = room + 3 * s->rounds, *sorted = estimates + resamples;
    all.value = estimate(s, s->ones, s->others);
    if (!isfinite(all.value)) all.value = (double)NAN;
    if (!isnan(all.value)) {
        for (unsigned i = 0; i < resamples; i++) estimates[i] = draw(s, &seed);
        count = ph_sorted(estimates, resamples, sorted);
        all.low = quantile(sorted, count, 0.025);
        all.high = quantile(sorted, count, 0.975);
    }
    free(room);
    return all;
}

struct interval ph_median_interval(const double *figures, unsigned rounds, uint64_t seed)
{
    struct sample s = { .ones = figures, .rounds = rounds };
    return interval_of(&s, seed);
}

struct interval ph_ratio_interval(const double *ones, const double *others, unsigned rounds, uint64_t seed)
{
    struct sample s = { .ones = ones, .others = others, .rounds = rounds };
    return interval_of(&s, seed);
}

/* ---- Mann-Whitney ------------------------------------------------------ */

/* Figures of both samples, in order; `rank` is twice the rank, the middle one of equal figures. */
struct ranked {
    double figure;
    unsigned rank;
    bool is_one;
};

static int by_figure(const void *a, const void *b)
{
    return by_size(&((const struct ranked *)a)->figure, &((const struct ranked *)b)->figure);
}

static unsigned rank_all(const double *ones, const double *others, unsigned rounds, struct ranked *all)
{
    unsigned count = 0;
    for (unsigned i = 0; i < rounds; i++) {
        if (!isnan(ones[i])) all[count++] = (struct ranked){ .figure = ones[i], .is_one = true };
        if (!isnan(others[i])) all[count++] = (struct ranked){ .figure = others[i] };
    }
    qsort(all, count, sizeof *all, by_figure);
    for (unsigned i = 0; i < count;) {
        unsigned end = i;
        while (end < count && all[end].figure <= all[i].figure) end++;
        for (unsigned rank = i + end + 1; i < end; i++) all[i].rank = rank;
    }
    return count;
}

/* Of all ways to choose `ones` of the figures: the share whose ranks add up to at least as far from the
 * expected sum as `sum` does.  ways[k][s] counts the choices of k figures of sum s. */
static double exact_probability(const struct ranked *all, unsigned count, unsigned ones, unsigned sum)
{
    enum { SUMS = EXACT_FIGURES * (EXACT_FIGURES + 1) + 1 };
    double(*ways)[SUMS] = calloc(EXACT_FIGURES + 1, sizeof *ways);
    if (ways == NULL) return 1;
    ways[0][0] = 1;
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = i + 1; k > 0; k--)
            for (unsigned s = SUMS - 1; s >= all[i].rank; s--) ways[k][s] += ways[k - 1][s - all[i].rank];
    int expected = (int)(ones * (count + 1)), distance = abs((int)sum - expected);
    double total = 0, as_far = 0;
    for (int s = 0; s < SUMS; s++) {
        total += ways[ones][s];
        if (abs(s - expected) >= distance) as_far += ways[ones][s];
    }
    free(ways);
    return as_far / total;
}

/* The normal approximation, with ties and continuity. */
static double normal_probability(const struct ranked *all, unsigned count, unsigned ones, unsigned sum)
{
    double n = count, ties = 0;
    for (unsigned i = 0; i < count;) {
        unsigned from = i;
        while (i < count && all[i].rank == all[from].rank) i++;
        double equal = i - from;
        ties += equal * equal * equal - equal;
    }
    double variance = ones * (n - ones) / 12 * (n + 1 - ties / (n * (n - 1)));
    double distance = fabs(sum / 2.0 - ones * (n + 1) / 2) - 0.5;
    if (variance <= 0 || distance <= 0) return 1;
    return erfc(distance / sqrt(2 * variance));
}

double ph_same_probability(const double *ones, const double *others, unsigned rounds)
{
    struct ranked *all = malloc((2 * (size_t)rounds + 1) * sizeof *all);
    if (all == NULL) return 1;
    unsigned count = rank_all(ones, others, rounds, all), one_count = 0, sum = 0;
    for (unsigned i = 0; i < count; i++)
        if (all[i].is_one) {
            one_count++;
            sum += all[i].rank;
        }
    double probability = 1;
    if (one_count > 0 && one_count < count)
        probability = count <= EXACT_FIGURES ? exact_probability(all, count, one_count, sum)
                                             : normal_probability(all, count, one_count, sum);
    free(all);
    return probability;
}

bool ph_is_significant(const struct interval *ratio, double same_probability)
{
    return (ratio->low > 1 || ratio->high < 1) && same_probability < SIGNIFICANT;
}

/* ---- outliers ---------------------------------------------------------- */

unsigned ph_outliers(const double *figures, unsigned rounds, bool *is_outlier)
{
    unsigned there = 0, count = 0;
    double *room = malloc((2 * (size_t)rounds + 1) * sizeof *room), *distances = room + rounds;
    memset(is_outlier, 0, rounds * sizeof *is_outlier);
    if (room == NULL) return 0;
    double median = median_with(figures, rounds, room);
    for (unsigned i = 0; i < rounds; i++) distances[i] = fabs(figures[i] - median);
    double limit = OUTLIER_DEVIATIONS * DEVIATION_OF_MAD * median_with(distances, rounds, room);
    if (limit < OUTLIER_FROM_MEDIAN * median) limit = OUTLIER_FROM_MEDIAN * median;
    for (unsigned i = 0; i < rounds; i++) {
        if (isnan(figures[i])) continue;
        there++;
        is_outlier[i] = distances[i] > limit;
        count += is_outlier[i];
    }
    free(room);
    if (count * OUTLIER_SHARE <= there) return count;
    memset(is_outlier, 0, rounds * sizeof *is_outlier);
    return 0;
}
