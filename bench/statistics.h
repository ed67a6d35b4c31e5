/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* statistics.h -- medians with intervals, from few and noisy figures.  One figure a round; a round without
 * one holds NAN. */
#ifndef PH_STATISTICS_H
#define PH_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

/* An estimate and its 95 % confidence interval; all NAN when there is nothing to tell from. */
struct interval {
    double value, low, high;
};

/* The figures that are there, ascending, into `sorted`; how many. */
unsigned ph_sorted(const double *figures, unsigned rounds, double *sorted);

/* Median of what is there; NAN of nothing. */
double ph_median(const double *figures, unsigned rounds);

/* Median, its interval by the bootstrap. */
struct interval ph_median_interval(const double *figures, unsigned rounds, uint64_t seed);

/* Median of `ones` over the median of `others`.  Rounds are drawn whole: what disturbed a round disturbed
 * both. */
struct interval ph_ratio_interval(const double *ones, const double *others, unsigned rounds, uint64_t seed);

/* How likely two samples of one distribution differ at least so much (Mann-Whitney, two-sided): exact up to
 * 40 figures in all, ties included.  1 when one of them is empty. */
double ph_same_probability(const double *ones, const double *others, unsigned rounds);

/* Is the difference more than chance?  The interval leaves out 1, and the test above says less than 5 %. */
bool ph_is_significant(const struct interval *ratio, double same_probability);

/* Mark the figures far from the others: more than 5 deviations (by the median deviation) and a tenth of the
 * median away.  How many; none when they would be over a fifth, because those are no exceptions. */
unsigned ph_outliers(const double *figures, unsigned rounds, bool *is_outlier);

/* The next random number (splitmix64); never the same sequence for two seeds. */
uint64_t ph_random(uint64_t *state);

#endif
