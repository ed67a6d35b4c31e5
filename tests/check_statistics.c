/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_statistics.c -- medians, their intervals, ratios, significance, outliers.  The probabilities are textbook
 * counts: of the 20 ways to choose 3 of 6 ranks, 2 are as far apart as they can be. */
#include "statistics.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE ((double)NAN)

static void near(double is, double expected, double by)
{
    ck_assert_msg(fabs(is - expected) <= by, "%.9g, not %.9g", is, expected);
}

/* ---- median ---- */

START_TEST(median_is_the_middle_whatever_the_order)
{
    const double odd[] = { 5, 1, 3 }, even[] = { 4, 1, 3, 2 };
    near(ph_median(odd, 3), 3, 0);
    near(ph_median(even, 4), 2.5, 0);
    near(ph_median(odd, 1), 5, 0);
}
END_TEST

START_TEST(rounds_without_a_figure_are_left_out)
{
    const double some[] = { NONE, 7, NONE, 9, 8 }, none[] = { NONE, NONE };
    near(ph_median(some, 5), 8, 0);
    ck_assert(isnan(ph_median(none, 2)));
    ck_assert(isnan(ph_median(some, 0)));
}
END_TEST

START_TEST(median_is_that_of_the_sorted_figures)
{
    uint64_t state = 3;
    for (unsigned count = 1; count <= 60; count++) {
        double figures[60], sorted[60];
        for (unsigned i = 0; i < count; i++) figures[i] = (double)(ph_random(&state) % (_i + 2));
        ck_assert_uint_eq(ph_sorted(figures, count, sorted), count);
        for (unsigned i = 1; i < count; i++) ck_assert(sorted[i - 1] <= sorted[i]);
        near(ph_median(figures, count), (sorted[(count - 1) / 2] + sorted[count / 2]) / 2, 0);
    }
}
END_TEST

/* ---- intervals ---- */

START_TEST(interval_of_equal_figures_is_a_point)
{
    const double same[] = { 4, 4, 4, 4, 4, 4 };
    struct interval v = ph_median_interval(same, 6, 1);
    near(v.low, 4, 0);
    near(v.value, 4, 0);
    near(v.high, 4, 0);
}
END_TEST

/* 1 to 9: the resampled median is at most r when at least 5 of 9 draws are, a binomial tail: 0.1 % for 1 and 3.0 %
 * for 2, so the 2.5 % quantile is 2; by symmetry the other is 8. */
START_TEST(interval_is_that_of_the_binomial_distribution)
{
    const double figures[] = { 9, 2, 7, 4, 5, 6, 3, 8, 1 };
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct interval v = ph_median_interval(figures, 9, seed);
        near(v.value, 5, 0);
        near(v.low, 2, 0);
        near(v.high, 8, 0);
    }
}
END_TEST

START_TEST(same_seed_gives_the_same_interval)
{
    const double ones[] = { 1.31, 1.12, 1.57, 1.44, 1.29, 1.83 }, others[] = { 1.1, 1.9, 1.2, 1.4, 1.6, 1.05 };
    struct interval a = ph_ratio_interval(ones, others, 6, 42), b = ph_ratio_interval(ones, others, 6, 42);
    near(a.low, b.low, 0);
    near(a.high, b.high, 0);
    struct interval other = ph_ratio_interval(ones, others, 6, 43);
    near(other.low, a.low, 0.1);
}
END_TEST

/* Over many samples of a known distribution the interval has to hold the true median about 95 times of 100. */
START_TEST(interval_holds_the_truth_in_95_of_100)
{
    uint64_t state = 7;
    unsigned held = 0, trials = 200;
    for (unsigned i = 0; i < trials; i++) {
        double figures[15];
        for (int j = 0; j < 15; j++) figures[j] = (double)(ph_random(&state) >> 11) / 9007199254740992.0;
        struct interval v = ph_median_interval(figures, 15, i);
        held += v.low <= 0.5 && v.high >= 0.5;
    }
    ck_assert_msg(held >= trials * 90 / 100 && held <= trials * 99 / 100, "%u of %u", held, trials);
}
END_TEST

START_TEST(ratio_of_a_sample_to_itself_is_one)
{
    const double figures[] = { 3, 1, 4, 1, 5, 9, 2, 6 };
    struct interval v = ph_ratio_interval(figures, figures, 8, 1);
    near(v.low, 1, 0);
    near(v.value, 1, 0);
    near(v.high, 1, 0);
}
END_TEST

/* Rounds are drawn whole: what slows both of a round down does not widen their ratio. */
START_TEST(ratio_is_not_blurred_by_what_both_met)
{
    const double ones[] = { 2, 20, 6, 8, 30, 4 }, others[] = { 1, 10, 3, 4, 15, 2 };
    struct interval v = ph_ratio_interval(ones, others, 6, 1);
    near(v.value, 2, 1e-12);
    near(v.low, 2, 1e-12);
    near(v.high, 2, 1e-12);
}
END_TEST

START_TEST(ratio_to_zero_or_nothing_is_none)
{
    const double ones[] = { 1, 2, 3 }, zeros[] = { 0, 0, 0 }, none[] = { NONE, NONE, NONE };
    ck_assert(isnan(ph_ratio_interval(ones, zeros, 3, 1).value));
    ck_assert(isnan(ph_ratio_interval(ones, none, 3, 1).low));
    ck_assert(isnan(ph_ratio_interval(none, ones, 3, 1).high));
    ck_assert(isnan(ph_ratio_interval(zeros, zeros, 3, 1).value));
}
END_TEST

/* ---- significance ---- */

START_TEST(probability_is_exact_for_few_figures)
{
    const double ones[] = { 1, 2, 3 }, others[] = { 4, 5, 6 };
    near(ph_same_probability(ones, others, 3), 2.0 / 20, 1e-12);
    near(ph_same_probability(others, ones, 3), 2.0 / 20, 1e-12);
    const double four[] = { 1, 2, 3, 4 }, more[] = { 5, 6, 7, 8 };
    near(ph_same_probability(four, more, 4), 2.0 / 70, 1e-12);
    const double mixed[] = { 1, 4, 5 }, rest[] = { 2, 3, 6 };
    near(ph_same_probability(mixed, rest, 3), 1, 1e-12); /* rank sums 10 and 11: as near as they can be */
}
END_TEST

START_TEST(equal_figures_share_their_ranks)
{
    const double same[] = { 1, 1, 1, 1 };
    near(ph_same_probability(same, same, 4), 1, 0);
    /* Ranks 2 2 2 against 4.5 and 6 and 4.5: still 2 of 20 ways. */
    const double ones[] = { 1, 1, 1 }, others[] = { 2, 3, 2 };
    near(ph_same_probability(ones, others, 3), 2.0 / 20, 1e-12);
}
END_TEST

/* 5 against 6 figures with one missing: 2 of the 462 ways. */
START_TEST(samples_may_differ_in_number)
{
    const double ones[] = { 1, 2, 3, 4, 5, NONE }, others[] = { 11, 12, 13, 14, 15, 16 };
    near(ph_same_probability(ones, others, 6), 2.0 / 462, 1e-12);
    const double none[] = { NONE, NONE, NONE, NONE, NONE, NONE };
    near(ph_same_probability(ones, none, 6), 1, 0);
}
END_TEST

/* Exact at 20 against 20, approximate at 21 against 21: no step between them. */
START_TEST(approximation_follows_on_the_exact_count)
{
    double ones[21], others[21];
    for (int i = 0; i < 21; i++) {
        ones[i] = 2 * i;
        others[i] = 2 * i + 5;
    }
    double exact = ph_same_probability(ones, others, 20), roughly = ph_same_probability(ones, others, 21);
    ck_assert_msg(exact > 0.1 && exact < 0.5, "%g", exact);
    near(roughly, exact, 0.03);
}
END_TEST

START_TEST(significant_needs_the_interval_and_the_test)
{
    const struct interval below = { 0.9, 0.85, 0.95 }, above = { 1.2, 1.1, 1.3 }, around = { 0.9, 0.8, 1.0 };
    const struct interval none = { NONE, NONE, NONE };
    ck_assert(ph_is_significant(&below, 0.01));
    ck_assert(ph_is_significant(&above, 0.01));
    ck_assert(!ph_is_significant(&around, 0.01));
    ck_assert(!ph_is_significant(&below, 0.05));
    ck_assert(!ph_is_significant(&none, 0.01));
}
END_TEST

/* Two samples of one distribution must seldom be called different. */
START_TEST(chance_is_seldom_called_significant)
{
    uint64_t state = 11;
    unsigned called = 0, trials = 150;
    for (unsigned i = 0; i < trials; i++) {
        double ones[10], others[10];
        for (int j = 0; j < 10; j++) {
            ones[j] = 1 + (double)(ph_random(&state) % 1000) / 1000;
            others[j] = 1 + (double)(ph_random(&state) % 1000) / 1000;
        }
        struct interval ratio = ph_ratio_interval(ones, others, 10, i);
        called += ph_is_significant(&ratio, ph_same_probability(ones, others, 10));
    }
    ck_assert_msg(called <= trials * 7 / 100, "%u of %u", called, trials);
}
END_TEST

/* ---- outliers ---- */

START_TEST(straggler_is_an_outlier)
{
    const double figures[] = { 10, 10.1, 9.9, 10.05, 25, 9.95, 10.02, NONE, 9.98 };
    bool is_outlier[9];
    ck_assert_uint_eq(ph_outliers(figures, 9, is_outlier), 1);
    for (int i = 0; i < 9; i++) ck_assert_int_eq(is_outlier[i], i == 4);
}
END_TEST

/* A steady program: a run 5 % slower than figures that are all alike is no exception. */
START_TEST(small_difference_is_no_outlier)
{
    const double figures[] = { 100, 100, 100, 100, 100, 105, 100 };
    bool is_outlier[7];
    ck_assert_uint_eq(ph_outliers(figures, 7, is_outlier), 0);
    ck_assert(!is_outlier[5]);
}
END_TEST

/* Two ways to run, half and half, or a third: nothing is thrown out. */
START_TEST(many_are_no_exceptions)
{
    const double figures[] = { 10, 10, 10, 10, 20, 20, 10, 20, 10 };
    bool is_outlier[9];
    ck_assert_uint_eq(ph_outliers(figures, 9, is_outlier), 0);
    for (int i = 0; i < 9; i++) ck_assert(!is_outlier[i]);
}
END_TEST

START_TEST(fifth_of_the_runs_may_be_outliers)
{
    const double figures[] = { 10, 10, 10, 10, 30, 10, 10, 40, 10, 10 };
    bool is_outlier[10];
    ck_assert_uint_eq(ph_outliers(figures, 10, is_outlier), 2);
    ck_assert_uint_eq(ph_outliers(figures, 8, is_outlier), 0);
}
END_TEST

/* ---- random numbers ---- */

/* Source: the reference implementation's first numbers for seed 1234567. */
START_TEST(random_numbers_are_those_of_splitmix64)
{
    uint64_t state = 1234567;
    ck_assert_uint_eq(ph_random(&state), 6457827717110365317u);
    ck_assert_uint_eq(ph_random(&state), 3203168211198807973u);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statistics");
    TCase *figures = tcase_create("figures");
    tcase_set_timeout(figures, 60);
    tcase_add_test(figures, median_is_the_middle_whatever_the_order);
    tcase_add_loop_test(figures, median_is_that_of_the_sorted_figures, 0, 40);
    tcase_add_test(figures, rounds_without_a_figure_are_left_out);
    tcase_add_test(figures, interval_of_equal_figures_is_a_point);
    tcase_add_test(figures, interval_is_that_of_the_binomial_distribution);
    tcase_add_test(figures, same_seed_gives_the_same_interval);
    tcase_add_test(figures, interval_holds_the_truth_in_95_of_100);
    tcase_add_test(figures, ratio_of_a_sample_to_itself_is_one);
    tcase_add_test(figures, ratio_is_not_blurred_by_what_both_met);
    tcase_add_test(figures, ratio_to_zero_or_nothing_is_none);
    tcase_add_test(figures, probability_is_exact_for_few_figures);
    tcase_add_test(figures, equal_figures_share_their_ranks);
    tcase_add_test(figures, samples_may_differ_in_number);
    tcase_add_test(figures, approximation_follows_on_the_exact_count);
    tcase_add_test(figures, significant_needs_the_interval_and_the_test);
    tcase_add_test(figures, chance_is_seldom_called_significant);
    tcase_add_test(figures, straggler_is_an_outlier);
    tcase_add_test(figures, small_difference_is_no_outlier);
    tcase_add_test(figures, many_are_no_exceptions);
    tcase_add_test(figures, fifth_of_the_runs_may_be_outliers);
    tcase_add_test(figures, random_numbers_are_those_of_splitmix64);
    suite_add_tcase(suite, figures);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
