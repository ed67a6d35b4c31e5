/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_message.c -- one line for people: how it is built, and where it goes. */
#include "message.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "check_said.h"
#include "options.h"

static struct message m;
static char folder[] = "/tmp/check_message.XXXXXX";
static char log_path[256], log_variable[256 + 16];

static void setup_begun_message(void)
{
    ph_message_begin(&m);
}

static const char *built(void)
{
    m.text[m.used] = '\0';
    return m.text;
}

/* ---- building ---- */

START_TEST(begin_writes_our_name)
{
    ck_assert_str_eq(built(), "privheap: ");
}
END_TEST

START_TEST(parts_follow_each_other)
{
    ph_message_text(&m, "block ");
    ph_message_hex(&m, 0x7f00beef);
    ph_message_text(&m, " of ");
    ph_message_dec(&m, 48);
    ck_assert_str_eq(built(), "privheap: block 0x7f00beef of 48");
}
END_TEST

START_TEST(numbers_reach_from_0_to_the_largest)
{
    ph_message_dec(&m, 0);
    ph_message_hex(&m, 0);
    ph_message_dec(&m, UINT64_MAX);
    ph_message_hex(&m, UINT64_MAX);
    ck_assert_str_eq(built(), "privheap: 00x0184467440737095516150xffffffffffffffff");
}
END_TEST

START_TEST(part_stops_at_its_count_and_at_the_end)
{
    ph_message_part(&m, "abcdef", 3);
    ph_message_part(&m, "xy", 9);
    ph_message_part(&m, "z", 0);
    ck_assert_str_eq(built(), "privheap: abcxy");
}
END_TEST

START_TEST(control_characters_do_not_reach_the_terminal)
{
    ph_message_text(&m, "a\nb\033[31m\x7f\tc\xc3\xa4");
    ck_assert_str_eq(built(), "privheap: a?b?[31m??c\xc3\xa4");
}
END_TEST

/* ---- writing ---- */

START_TEST(send_writes_one_line_on_standard_error)
{
    said_begin();
    ph_message_text(&m, "hello");
    ph_message_send(&m);
    ck_assert_str_eq(said_end(), "privheap: hello\n");
}
END_TEST

START_TEST(too_long_a_line_is_cut_and_still_ends)
{
    said_begin();
    for (int i = 0; i < 100; i++) ph_message_text(&m, "0123456789");
    ph_message_send(&m);
    const char *said = said_end();
    ck_assert_uint_eq(strlen(said), sizeof m.text);
    ck_assert_int_eq(said[sizeof m.text - 1], '\n');
    ck_assert_ptr_eq(strchr(said, '\n'), said + sizeof m.text - 1);
}
END_TEST

START_TEST(sent_message_can_go_on)
{
    said_begin();
    ph_message_send(&m);
    ph_message_text(&m, "more");
    ph_message_send(&m);
    ck_assert_str_eq(said_end(), "privheap: \nprivheap: more\n");
}
END_TEST

START_TEST(send_leaves_errno_alone)
{
    said_begin();
    errno = 77;
    ph_message_send(&m);
    int left = errno;
    said_end();
    ck_assert_int_eq(left, 77);
}
END_TEST

/* ---- the log ---- */

static void setup_folder(void)
{
    setup_begun_message();
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown_folder(void)
{
    char *nothing[] = { NULL };
    ph_options_read(nothing);
    unlink(log_path);
    ck_assert_int_eq(rmdir(folder), 0);
}

/* Have messages go to `name` in the folder; log_path is where `expected` lies. */
static void log_to(const char *name, const char *expected)
{
    snprintf(log_variable, sizeof log_variable, "PRIVHEAP_LOG=%s/%s", folder, name);
    snprintf(log_path, sizeof log_path, "%s/%s", folder, expected);
    char *environment[] = { log_variable, NULL };
    ph_options_read(environment);
}

static const char *logged(void)
{
    static char text[1024];
    FILE *file = fopen(log_path, "r");
    if (file == NULL) return "(no file)";
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

START_TEST(log_gets_every_line_and_standard_error_none)
{
    log_to("log", "log");
    said_begin();
    ph_message_send(&m);
    ph_message_text(&m, "again");
    ph_message_send(&m);
    ck_assert_str_eq(said_end(), "");
    ck_assert_str_eq(logged(), "privheap: \nprivheap: again\n");
}
END_TEST

START_TEST(log_name_has_the_process_id_wherever_it_says_p)
{
    char name[64];
    snprintf(name, sizeof name, "%d%%a-%d", (int)getpid(), (int)getpid());
    log_to("%p%a-%p", name);
    ph_message_send(&m);
    ck_assert_str_eq(logged(), "privheap: \n");
}
END_TEST

START_TEST(log_that_cannot_be_opened_gives_way_to_standard_error)
{
    log_to("missing/log", "missing/log");
    said_begin();
    ph_message_send(&m);
    ck_assert_str_eq(said_end(), "privheap: \n");
}
END_TEST

/* A name that is short enough until its process ids are filled in, where to cut it would still
 * give a name that can be created. */
START_TEST(log_name_that_grows_too_long_gives_way_to_standard_error)
{
    char ids[1024] = "", name[1024], expected[16];
    int digits = snprintf(expected, sizeof expected, "%d", (int)getpid());
    for (int i = 0; i < 60 / (digits > 2 ? digits - 2 : 1); i++) strcat(ids, "%p/../");
    for (size_t used = strlen(ids) + strlen(folder) + 200; used < 1020; used += 2) strcat(ids, "./");
    snprintf(name, sizeof name, "%s%0198d", ids, 0);
    char variable[2048], own[512];
    snprintf(own, sizeof own, "%s/%s", folder, expected);
    snprintf(variable, sizeof variable, "PRIVHEAP_LOG=%s/%s", folder, name);
    ck_assert_int_eq(mkdir(own, 0700), 0);
    char *environment[] = { variable, NULL };
    said_begin();
    ph_options_read(environment);
    ph_message_send(&m);
    ck_assert_str_eq(said_end(), "privheap: \n");
    ck_assert_int_eq(rmdir(own), 0);
}
END_TEST

START_TEST(log_leaves_no_descriptor_open)
{
    log_to("log", "log");
    int before = dup(STDIN_FILENO);
    close(before);
    ph_message_send(&m);
    int after = dup(STDIN_FILENO);
    close(after);
    ck_assert_int_eq(before, after);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *build = tcase_create("build");
    tcase_add_checked_fixture(build, setup_begun_message, NULL);
    tcase_add_test(build, begin_writes_our_name);
    tcase_add_test(build, parts_follow_each_other);
    tcase_add_test(build, numbers_reach_from_0_to_the_largest);
    tcase_add_test(build, part_stops_at_its_count_and_at_the_end);
    tcase_add_test(build, control_characters_do_not_reach_the_terminal);
    suite_add_tcase(suite, build);
    TCase *send = tcase_create("send");
    tcase_add_checked_fixture(send, setup_begun_message, NULL);
    tcase_add_test(send, send_writes_one_line_on_standard_error);
    tcase_add_test(send, too_long_a_line_is_cut_and_still_ends);
    tcase_add_test(send, sent_message_can_go_on);
    tcase_add_test(send, send_leaves_errno_alone);
    suite_add_tcase(suite, send);
    TCase *log = tcase_create("log");
    tcase_add_checked_fixture(log, setup_folder, teardown_folder);
    tcase_add_test(log, log_gets_every_line_and_standard_error_none);
    tcase_add_test(log, log_name_has_the_process_id_wherever_it_says_p);
    tcase_add_test(log, log_that_cannot_be_opened_gives_way_to_standard_error);
    tcase_add_test(log, log_name_that_grows_too_long_gives_way_to_standard_error);
    tcase_add_test(log, log_leaves_no_descriptor_open);
    suite_add_tcase(suite, log);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
