/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_options.c -- the table, text to value, the nearest name, the environment. */
#include "options.h"

#include <stdint.h>
#include <string.h>

#include "check_said.h"
#include "message.h"

enum { VARIABLES_MAX = 16 };

/* Read an environment of these variables, which is gone afterwards. */
#define READ(...) read_these((const char *const[]){ __VA_ARGS__, NULL })
static void read_these(const char *const *variables)
{
    char *environment[VARIABLES_MAX + 1];
    int count = 0;
    for (; variables[count] != NULL; count++) environment[count] = strdup(variables[count]);
    environment[count] = NULL;
    ph_options_read(environment);
    while (count > 0) free(environment[--count]);
}

static void teardown_defaults(void)
{
    char *nothing[] = { NULL };
    ph_options_read(nothing);
}

/* ---- the table ---- */

START_TEST(every_row_has_a_name_and_a_help_without_full_stop)
{
    const struct option_row *row = &ph_option_rows[_i];
    ck_assert_uint_gt(strlen(row->name), 0);
    ck_assert_uint_eq(strspn(row->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), strlen(row->name));
    ck_assert_uint_gt(strlen(row->help), 10);
    ck_assert_int_ne(row->help[strlen(row->help) - 1], '.');
}
END_TEST

START_TEST(every_default_is_0_or_within_bounds)
{
    const struct option_row *row = &ph_option_rows[_i];
    bool is_within = row->value >= row->min && row->value <= row->max;
    ck_assert(row->value == 0 || is_within);
    ck_assert_uint_eq(ph_option((enum option_id)_i), row->value);
}
END_TEST

/* ---- text to value ---- */

static const struct {
    enum option_id which;
    const char *text;
    uint64_t value;
} good[] = {
    { OPT_MAX_SIZE, "1048576", 1048576 },
    { OPT_MAX_SIZE, "0", 0 }, /* below its minimum, but its default */
    { OPT_MAX_SIZE, "1024k", 1048576 },
    { OPT_MAX_SIZE, "64M", 64 << 20 },
    { OPT_MAX_SIZE, "3g", 3ULL << 30 },
    { OPT_MAX_SIZE, "64g", 64ULL << 30 },
    { OPT_MAX_SIZE, "2GiB", 2ULL << 30 },
    { OPT_MAX_SIZE, "2gb", 2ULL << 30 },
    { OPT_MAX_SIZE, "0002m", 2 << 20 },
    { OPT_INITIAL_SIZE, "65536", 65536 },
    { OPT_PURGE_DELAY, "0", 0 },
    { OPT_PURGE_DELAY, "60000", 60000 },
    { OPT_VERBOSE, "0", 0 },
    { OPT_CHECKS, "off", 0 },
    { OPT_CHECKS, "On", 1 },
    { OPT_GUARD_RATE, "0", 0 },
    { OPT_GUARD_RATE, "17", 17 },
    { OPT_MODE, "default", MODE_DEFAULT },
    { OPT_MODE, "secure", MODE_SECURE },
    { OPT_MODE, "Tolerant", MODE_TOLERANT },
    { OPT_THP, "auto", THP_AUTO },
    { OPT_THP, "NEVER", THP_NEVER },
    { OPT_THP, "always", THP_ALWAYS },
    { OPT_VERBOSE, "1", 1 },
    { OPT_LOG, "/tmp/x", 6 },
    { OPT_FAIL, "nth:3,size:1k-", 14 },
    { OPT_CHAOS, "seed:007,ways:fresh+late,size:1k-", 33 },
    { OPT_CHAOS, "ways:none", 9 },
};

START_TEST(good_text_gives_its_value)
{
    uint64_t value = 12345;
    const char *why = "untouched";
    ck_assert(ph_option_parse(good[_i].which, good[_i].text, &value, &why));
    ck_assert_uint_eq(value, good[_i].value);
}
END_TEST

static const struct {
    enum option_id which;
    const char *text;
    const char *why;
} bad[] = {
    { OPT_MAX_SIZE, "", "is empty" },
    { OPT_MAX_SIZE, "12q", "is not a size" },
    { OPT_MAX_SIZE, "m", "is not a size" },
    { OPT_MAX_SIZE, "-1", "is not a size" },
    { OPT_MAX_SIZE, " 1m", "is not a size" },
    { OPT_MAX_SIZE, "1m ", "is not a size" },
    { OPT_MAX_SIZE, "1.5g", "is not a size" },
    { OPT_MAX_SIZE, "1mm", "is not a size" },
    { OPT_MAX_SIZE, "1mi", "is not a size" },
    { OPT_MAX_SIZE, "0x100000", "is not a size" },
    { OPT_MAX_SIZE, "1048575", "is too small" },
    { OPT_MAX_SIZE, "65t", "is too large" },
    { OPT_MAX_SIZE, "18446744073709551615t", "is too large" },
    { OPT_MAX_SIZE, "16777217t", "is too large" }, /* 2^64 + 1t */
    { OPT_MAX_SIZE, "18446744073709551617", "is too large" }, /* 2^64 + 1 */
    { OPT_MAX_SIZE, "99999999999999999999999999", "is too large" },
    { OPT_INITIAL_SIZE, "0", "is too small" }, /* its default is not 0 */
    { OPT_PURGE_DELAY, "60001", "is too large" },
    { OPT_PURGE_DELAY, "5s", "is not a number of milliseconds" },
    { OPT_PURGE_DELAY, "never", "is not a number of milliseconds" },
    { OPT_VERBOSE, "yes", "is neither 0 nor 1" },
    { OPT_THP, "1", "is not auto, never or always" },
    { OPT_THP, "alway", "is not auto, never or always" },
    { OPT_VERBOSE, "2", "is neither 0 nor 1" },
    { OPT_VERBOSE, "10", "is neither 0 nor 1" },
    { OPT_VERBOSE, "offf", "is neither 0 nor 1" },
    { OPT_GUARD_RATE, "1k", "is not a number" },
    { OPT_GUARD_RATE, "1000000001", "is too large" },
    { OPT_MODE, "safe", "is no mode" },
    { OPT_MODE, "1", "is no mode" },
    { OPT_LOG, "", "is empty" },
    { OPT_FAIL, "", "is empty" },
    { OPT_FAIL, "now", "is not what can fail" },
    { OPT_FAIL, "size:3-2", "ends before it begins" },
    { OPT_FAIL, "seed:3", "has a seed, but no rate" },
    { OPT_FAIL, "nth:0", "counts from 1" },
    { OPT_CHAOS, "", "is empty" },
    { OPT_CHAOS, "7", "is no chaos" },
    { OPT_CHAOS, "ways:", "is no chaos" },
    { OPT_CHAOS, "ways:fresh+", "is no chaos" },
    { OPT_CHAOS, "ways:stale", "is no chaos" },
    { OPT_CHAOS, "ways:freshly", "is no chaos" },
    { OPT_CHAOS, "seed:1,seed:2", "is no chaos" },
    { OPT_CHAOS, "size:3-2", "ends before it begins" },
};

START_TEST(bad_text_says_why_and_leaves_the_value)
{
    uint64_t value = 12345;
    const char *why = NULL;
    ck_assert(!ph_option_parse(bad[_i].which, bad[_i].text, &value, &why));
    ck_assert_str_eq(why, bad[_i].why);
    ck_assert_uint_eq(value, 12345);
}
END_TEST

START_TEST(path_may_fill_its_room_and_no_more)
{
    char path[OPTION_PATH_BYTES];
    uint64_t value;
    const char *why = NULL;
    memset(path, 'a', sizeof path);
    path[OPTION_PATH_BYTES - 2] = '\0';
    ck_assert(ph_option_parse(OPT_LOG, path, &value, &why));
    path[OPTION_PATH_BYTES - 2] = 'a';
    path[OPTION_PATH_BYTES - 1] = '\0';
    ck_assert(!ph_option_parse(OPT_LOG, path, &value, &why));
    ck_assert_str_eq(why, "is too long");
}
END_TEST

static const struct {
    enum option_id which;
    const char *allowed;
    const char *standard;
} spelled[] = {
    { OPT_INITIAL_SIZE, "bytes from 64k to 64g (k, m, g, t for units)", "4m" },
    { OPT_MAX_SIZE, "bytes from 1m to 64g (k, m, g, t for units), or 0", "0" },
    { OPT_PURGE_DELAY, "milliseconds from 0 to 60000", "500" },
    { OPT_VERBOSE, "0 or 1", "0" },
    { OPT_GUARD_RATE, "a number from 1 to 1000000000, or 0", "5000" },
    { OPT_MODE, "default, secure or tolerant", "default" },
    { OPT_THP, "auto, never or always", "never" },
    { OPT_LOG, "a file name of at most 1022 bytes", "" },
};

START_TEST(bounds_and_default_are_spelled_as_one_would_write_them)
{
    struct message allowed, standard;
    allowed.used = standard.used = 0;
    ph_option_allowed(&allowed, spelled[_i].which);
    ph_option_default(&standard, spelled[_i].which);
    allowed.text[allowed.used] = standard.text[standard.used] = '\0';
    ck_assert_str_eq(allowed.text, spelled[_i].allowed);
    ck_assert_str_eq(standard.text, spelled[_i].standard);
}
END_TEST

/* ---- the nearest name ---- */

static const struct {
    const char *name;
    enum option_id nearest;
} names[] = {
    { "MAX_SIZE", OPT_MAX_SIZE },     { "max-size", OPT_MAX_SIZE },
    { "MAXSIZE", OPT_MAX_SIZE },      { "MAX_SIZ", OPT_MAX_SIZE },
    { "MXA_SIZE", OPT_MAX_SIZE },     { "MAX_SIZES", OPT_MAX_SIZE },
    { "MIN_SIZE", OPT_MAX_SIZE },     { "INITSIZE", OPT_INITIAL_SIZE },
    { "initialsize", OPT_INITIAL_SIZE }, { "LOGS", OPT_LOG },
    { "LOGFILE", OPT_LOG },           { "LGO", OPT_LOG },
    { "VERBSE", OPT_VERBOSE },        { "verbosity", OPT_VERBOSE },
    { "STAT", OPT_STATS },            { "DELAY", OPT_PURGE_DELAY },
    { "PURGE", OPT_PURGE_DELAY },     { "follow", OPT_NO_FOLLOW },
    { "", OPT_COUNT },                { "X", OPT_COUNT },
    { "FOO", OPT_COUNT },             { "COLOR", OPT_COUNT },
    { "BORDER_PAGES", OPT_COUNT },     { "MAX_SIZE_IN_BYTES_OF_THE_HEAP_OF_THE_WHOLE_PROCESS", OPT_COUNT },
};

START_TEST(nearest_name_is_the_one_that_was_meant)
{
    ck_assert_int_eq(ph_option_nearest(names[_i].name), names[_i].nearest);
}
END_TEST

START_TEST(every_name_is_nearest_to_itself)
{
    ck_assert_int_eq(ph_option_nearest(ph_option_rows[_i].name), _i);
}
END_TEST

START_TEST(distance_counts_slips)
{
    ck_assert_uint_eq(ph_word_distance("run", "run"), 0);
    ck_assert_uint_eq(ph_word_distance("RUN", "run"), 0);
    ck_assert_uint_eq(ph_word_distance("max-size", "MAX_SIZE"), 0);
    ck_assert_uint_eq(ph_word_distance("rnu", "run"), 1);
    ck_assert_uint_eq(ph_word_distance("ru", "run"), 1);
    ck_assert_uint_eq(ph_word_distance("runs", "run"), 1);
    ck_assert_uint_eq(ph_word_distance("record", "replay"), WORD_FAR);
    ck_assert_uint_eq(ph_word_distance("", "run"), WORD_FAR);
}
END_TEST

/* ---- the environment ---- */

START_TEST(variables_come_into_force)
{
    said_begin();
    READ("HOME=/", "PRIVHEAP_MAX_SIZE=64m", "PATH=/bin", "PRIVHEAP_STATS=1",
         "PRIVHEAP_LOG=/tmp/a");
    ck_assert_str_eq(said_end(), "");
    ck_assert_uint_eq(ph_option(OPT_MAX_SIZE), 64 << 20);
    ck_assert_uint_eq(ph_option(OPT_STATS), 1);
    ck_assert_uint_eq(ph_option(OPT_VERBOSE), 0);
    ck_assert_uint_eq(ph_option(OPT_INITIAL_SIZE), 4 << 20);
    ck_assert_str_eq(ph_option_path(OPT_LOG), "/tmp/a");
}
END_TEST

START_TEST(reading_again_forgets_what_was_read)
{
    READ("PRIVHEAP_STATS=1", "PRIVHEAP_LOG=/tmp/a");
    READ("PRIVHEAP_VERBOSE=1");
    ck_assert_uint_eq(ph_option(OPT_STATS), 0);
    ck_assert_uint_eq(ph_option(OPT_VERBOSE), 1);
    ck_assert_ptr_null(ph_option_path(OPT_LOG));
}
END_TEST

START_TEST(path_outlives_its_variable)
{
    char variable[] = "PRIVHEAP_LOG=/tmp/a";
    char *environment[] = { variable, NULL };
    ph_options_read(environment);
    memset(variable, 'x', sizeof variable - 1);
    ck_assert_str_eq(ph_option_path(OPT_LOG), "/tmp/a");
}
END_TEST

START_TEST(empty_value_counts_as_not_given)
{
    said_begin();
    READ("PRIVHEAP_STATS=", "PRIVHEAP_LOG=", "PRIVHEAP_MAX_SIZE");
    ck_assert_str_eq(said_end(), "");
    ck_assert_uint_eq(ph_option(OPT_STATS), 0);
    ck_assert_ptr_null(ph_option_path(OPT_LOG));
}
END_TEST

START_TEST(variables_of_others_are_not_looked_at)
{
    said_begin();
    READ("", "P", "PRIVHEAP", "PRIVHEAPX=1", "XPRIVHEAP_STATS=1",
         "privheap_stats=1", "=", "PRIVHEA_STATS=1");
    ck_assert_str_eq(said_end(), "");
    ck_assert_uint_eq(ph_option(OPT_STATS), 0);
}
END_TEST

static const struct {
    const char *variable;
    const char *line;
} complaints[] = {
    { "PRIVHEAP_MAXSIZE=5",
      "privheap: PRIVHEAP_MAXSIZE is not an option; did you mean PRIVHEAP_MAX_SIZE?\n" },
    { "PRIVHEAP_max_size=5",
      "privheap: PRIVHEAP_max_size is not an option; did you mean PRIVHEAP_MAX_SIZE?\n" },
    { "PRIVHEAP_STATSX",
      "privheap: PRIVHEAP_STATSX is not an option; did you mean PRIVHEAP_STATS?\n" },
    { "PRIVHEAP_STAT=1",
      "privheap: PRIVHEAP_STAT is not an option; did you mean PRIVHEAP_STATS?\n" },
    { "PRIVHEAP_FROBNICATE=1",
      "privheap: PRIVHEAP_FROBNICATE is not an option; `privheap help run` lists them\n" },
    { "PRIVHEAP_=1", "privheap: PRIVHEAP_ is not an option; `privheap help run` lists them\n" },
    { "PRIVHEAP_MAX_SIZE=12q",
      "privheap: PRIVHEAP_MAX_SIZE is ignored: \"12q\" is not a size; it takes bytes from 1m to "
      "64g (k, m, g, t for units), or 0\n" },
    { "PRIVHEAP_STATS=yes",
      "privheap: PRIVHEAP_STATS is ignored: \"yes\" is neither 0 nor 1; it takes 0 or 1\n" },
    { "PRIVHEAP_STATS=1\n2",
      "privheap: PRIVHEAP_STATS is ignored: \"1?2\" is neither 0 nor 1; it takes 0 or 1\n" },
    { "PRIVHEAP_PURGE_DELAY="
      "0123456789012345678901234567890123456789012345678901234567890123456789x",
      "privheap: PRIVHEAP_PURGE_DELAY is ignored: "
      "\"0123456789012345678901234567890123456789012345678901234567890123...\" is not a number of "
      "milliseconds; it takes milliseconds from 0 to 60000\n" },
};

START_TEST(wrong_variable_gets_one_line)
{
    said_begin();
    READ("A=b", complaints[_i].variable, "PRIVHEAP_VERBOSE=1");
    ck_assert_str_eq(said_end(), complaints[_i].line);
    ck_assert_uint_eq(ph_option(OPT_VERBOSE), 1);
    ck_assert_uint_eq(ph_option(OPT_STATS), 0);
    ck_assert_uint_eq(ph_option(OPT_MAX_SIZE), 0);
    ck_assert_uint_eq(ph_option(OPT_PURGE_DELAY), 500);
}
END_TEST

START_TEST(complaints_go_to_a_log_that_is_named_later)
{
    char variable[64], path[48], line[128] = "";
    snprintf(path, sizeof path, "/tmp/check_options.%d", (int)getpid());
    snprintf(variable, sizeof variable, "PRIVHEAP_LOG=%s", path);
    said_begin();
    READ("PRIVHEAP_X=1", variable);
    ck_assert_str_eq(said_end(), "");
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    ck_assert_str_eq(line, "privheap: PRIVHEAP_X is not an option; `privheap help run` lists "
                           "them\n");
    ck_assert_ptr_null(fgets(line, sizeof line, file));
    fclose(file);
    unlink(path);
}
END_TEST

#define COUNT(table) (int)(sizeof table / sizeof table[0])

static void add_values(Suite *suite)
{
    TCase *table = tcase_create("table");
    tcase_add_loop_test(table, every_row_has_a_name_and_a_help_without_full_stop, 0, OPT_COUNT);
    tcase_add_loop_test(table, every_default_is_0_or_within_bounds, 0, OPT_COUNT);
    suite_add_tcase(suite, table);
    TCase *parse = tcase_create("parse");
    tcase_add_loop_test(parse, good_text_gives_its_value, 0, COUNT(good));
    tcase_add_loop_test(parse, bad_text_says_why_and_leaves_the_value, 0, COUNT(bad));
    tcase_add_test(parse, path_may_fill_its_room_and_no_more);
    tcase_add_loop_test(parse, bounds_and_default_are_spelled_as_one_would_write_them, 0,
                        COUNT(spelled));
    suite_add_tcase(suite, parse);
    TCase *nearest = tcase_create("nearest");
    tcase_add_loop_test(nearest, nearest_name_is_the_one_that_was_meant, 0, COUNT(names));
    tcase_add_loop_test(nearest, every_name_is_nearest_to_itself, 0, OPT_COUNT);
    tcase_add_test(nearest, distance_counts_slips);
    suite_add_tcase(suite, nearest);
}

static void add_environment(Suite *suite)
{
    TCase *environment = tcase_create("environment");
    tcase_add_checked_fixture(environment, NULL, teardown_defaults);
    tcase_add_test(environment, variables_come_into_force);
    tcase_add_test(environment, reading_again_forgets_what_was_read);
    tcase_add_test(environment, path_outlives_its_variable);
    tcase_add_test(environment, empty_value_counts_as_not_given);
    tcase_add_test(environment, variables_of_others_are_not_looked_at);
    tcase_add_loop_test(environment, wrong_variable_gets_one_line, 0, COUNT(complaints));
    tcase_add_test(environment, complaints_go_to_a_log_that_is_named_later);
    suite_add_tcase(suite, environment);
}

int main(void)
{
    Suite *suite = suite_create("options");
    add_values(suite);
    add_environment(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
