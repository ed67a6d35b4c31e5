/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_report.c -- the report of an incident: its lines, one at a time, and once for each place in tolerant mode. */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <time.h>

#include "check_room.h"
#include "check_said.h"
#include "options.h"

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define AFTER __asm__ volatile("" : : : "memory")
#define HEX "0x[0-9a-f]+"
#define FRAME "    #[0-9]+ [^ +\n]+\\+" HEX "\n"

static bool is_like(const char *text, const char *pattern)
{
    regex_t compiled;
    ck_assert_int_eq(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
    const bool found = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return found;
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (; (text = strstr(text, part)) != NULL; text++) count++;
    return count;
}

/* What a child says that reports this and ends. */
static const char *said_of(const struct report *rp)
{
    said_begin();
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        ph_report_fatal(rp);
    }
    int status = 0;
    const pid_t ended = waitpid(child, &status, 0);
    const char *said = said_end();
    ck_assert_int_eq(ended, child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return said;
}

/* ---- lines ---- */

#define AT(number) ((const void *)(uintptr_t)(number))
#define FIRST(words) "^privheap: PH" words ", thread [0-9]+\n"

START_TEST(first_line_says_what_and_where)
{
    static const struct {
        struct report rp;
        const char *line;
    } rows[] = {
        {{.kind = DIAG_DOUBLE_FREE, .block = AT(0x1000), .bytes = 24}, "101 freed twice: block 0x1000 of 24 bytes"},
        {{.kind = DIAG_INVALID_FREE, .block = AT(0x1000), .bytes = SIZE_MAX}, "102 not a block: 0x1000"},
        {{.kind = DIAG_INTERIOR_FREE, .block = AT(0x1010), .bytes = 24, .inside = AT(0x1000)},
         "103 not the start of a block: 0x1010, 16 bytes into block 0x1000 of 24 bytes"},
        {{.kind = DIAG_OVERFLOW_GUARD, .block = AT(0x1000), .bytes = 24, .access = AT(0x1018), .is_write = true},
         "112 write behind the end: 0x1018, 0 bytes behind the end of block 0x1000 of 24 bytes"},
        {{.kind = DIAG_UNDERFLOW_GUARD, .block = AT(0x1000), .bytes = 24, .access = AT(0xff8)},
         "113 read before the start: 0xff8, 8 bytes before block 0x1000 of 24 bytes"},
        {{.kind = DIAG_USE_AFTER_FREE_GUARD, .block = AT(0x1000), .bytes = 24, .access = AT(0x1000), .is_write = true},
         "114 write after free: 0x1000, 0 bytes into block 0x1000 of 24 bytes"},
        {{.kind = DIAG_OVERFLOW, .block = AT(0x1000), .bytes = 0}, "110 changed behind its end: block 0x1000 of 0 bytes"},
        {{.kind = DIAG_WRONG_HEAP, .block = AT(0x1000), .bytes = 1, .caller = "HeapFree"},
         "105 of another heap, by HeapFree: block 0x1000 of 1 bytes"},
    };
    char pattern[200];
    snprintf(pattern, sizeof pattern, FIRST("%s"), rows[_i].line);
    const char *said = said_of(&rows[_i].rp);
    ck_assert_msg(is_like(said, pattern), "%s", said);
}
END_TEST

START_TEST(detail_ends_the_first_line)
{
    const char *said = said_of(&(struct report){.kind = DIAG_INVALID_FREE, .block = AT(16), .bytes = SIZE_MAX, .detail = "so it is"});
    ck_assert_msg(is_like(said, "^privheap: PH102 not a block: 0x10, thread [0-9]+: so it is\n"), "%s", said);
}
END_TEST

START_TEST(heap_is_named)
{
    struct heap *hp = room_heap(0);
    strcpy(hp->name, "cache");
    void *block = room_alloc(hp, 100, true);
    const char *said = said_of(&(struct report){.kind = DIAG_OVERFLOW, .block = block, .bytes = 100});
    char expected[100];
    snprintf(expected, sizeof expected, "block %p of 100 bytes, heap %p (cache), thread ", block, (void *)hp->handle);
    ck_assert_msg(strstr(said, expected) != NULL, "%s", said);
    ck_assert(ph_heap_destroy(hp));
    block = room_alloc(ph_heap_process(), 100, false);
    said = said_of(&(struct report){.kind = DIAG_OVERFLOW, .block = block, .bytes = 100});
    snprintf(expected, sizeof expected, ", heap %p (process heap), thread ", (void *)ph_process_heap.handle);
    ck_assert_msg(strstr(said, expected) != NULL, "%s", said);
}
END_TEST

START_TEST(callers_and_past_stand_below)
{
    struct module in;
    ck_assert(ph_module_of((uintptr_t)&said_of, &in));
    struct trace allocated = {.thread = 11, .depth = TRACE_DEPTH}, freed = {.thread = 12, .depth = 1, .pc = {0x10}};
    for (unsigned i = 0; i < TRACE_DEPTH; i++) allocated.pc[i] = in.bias + 0x100 + i;
    const char *said = said_of(&(struct report){
        .kind = DIAG_USE_AFTER_FREE_GUARD, .block = AT(16), .bytes = 8, .allocated = &allocated, .freed = &freed});
    ck_assert_msg(is_like(said, "\n(" FRAME ")+  allocated by thread 11:\n    #0 check_report\\+0x100\n(" FRAME "){14}"
                                "    #15 check_report\\+0x10f\n  freed by thread 12:\n    #0 0x10\n"
                                "  PH114 is explained in privheap-diagnostics\\(7\\)\n$"), "%s", said);
}
END_TEST

START_TEST(unknown_past_is_left_out)
{
    const struct trace none = {0};
    const char *said = said_of(&(struct report){.kind = DIAG_OVERFLOW, .block = AT(16), .bytes = 8, .allocated = &none});
    ck_assert_ptr_null(strstr(said, "allocated"));
}
END_TEST

START_TEST(internal_check_has_its_number)
{
    said_begin();
    const pid_t child = fork();
    if (child == 0)
        ph_check_failed("a == b", "file.c", 7);
    int status;
    waitpid(child, &status, 0);
    ck_assert_str_eq(said_end(), "privheap: PH190 internal check failed: a == b, file.c:7\n");
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

/* ---- tolerant mode ---- */

static void setup_tolerant(void) { ph_mode = MODE_TOLERANT; }
static void teardown_tolerant(void) { ph_mode = MODE_DEFAULT; }

static NOINLINE void one_place(void)
{
    ph_incident(DIAG_INVALID_FREE, AT(0x10), SIZE_MAX);
    AFTER;
}

static NOINLINE void another_place(enum diagnostic kind)
{
    ph_incident(kind, AT(0x20), SIZE_MAX);
    AFTER;
}

static NOINLINE void place_of_threads(enum diagnostic kind)
{
    ph_incident(kind, AT(0x30), SIZE_MAX);
    AFTER;
}

START_TEST(each_place_is_told_once_and_counted)
{
    said_begin();
    for (int i = 0; i < 5; i++) one_place();
    for (int i = 0; i < 3; i++) another_place(DIAG_INVALID_FREE);
    another_place(DIAG_STACK_FREE);
    const char *said = said_end();
    ck_assert_uint_eq(count_of(said, "not a block: 0x10, "), 1);
    ck_assert_uint_eq(count_of(said, "PH102 not a block: 0x20, "), 1);
    ck_assert_uint_eq(count_of(said, "PH108 on the stack, not a block: 0x20, "), 1);
    ck_assert_uint_eq(count_of(said, "  ignored (mode=tolerant); PH1"), 3);
    said_begin();
    ph_report_totals();
    said = said_end();
    ck_assert_msg(is_like(said, "PH102 not a block at check_report\\+" HEX ": 5 times in all\n"), "%s", said);
    ck_assert_msg(is_like(said, "PH102 not a block at check_report\\+" HEX ": 3 times in all\n"), "%s", said);
    ck_assert_uint_eq(count_of(said, "\n"), 2);
}
END_TEST

START_TEST(errno_stays)
{
    said_begin();
    errno = 4711;
    one_place();
    const int seen = errno;
    (void)said_end();
    ck_assert_int_eq(seen, 4711);
}
END_TEST

START_TEST(damage_that_cannot_be_gone_on_from_ends_it)
{
    const char *said = said_of(&(struct report){.kind = DIAG_HEAP_DAMAGED, .block = AT(16), .bytes = SIZE_MAX});
    ck_assert_ptr_nonnull(strstr(said, "\n  PH130 is explained"));
}
END_TEST

/* ---- one at a time ---- */

enum { THREADS = 8 };
static const enum diagnostic kinds[] = {
#define DIAGNOSTIC(number, name, words) DIAG_##name,
#include "diagnostics.def"
#undef DIAGNOSTIC
};
enum { KINDS = sizeof kinds / sizeof *kinds };
static pthread_barrier_t together;

static void *report_all(void *unused)
{
    pthread_barrier_wait(&together);
    for (unsigned i = 0; i < KINDS; i++)
        if (kinds[i] != DIAG_LEAK) place_of_threads(kinds[i]);
    return unused;
}

START_TEST(threads_do_not_mix_their_reports)
{
    pthread_t thread[THREADS];
    pthread_barrier_init(&together, NULL, THREADS);
    said_begin();
    for (int i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, report_all, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    const char *said = said_end();
    ck_assert_uint_eq(count_of(said, "privheap: PH"), KINDS - 1); /* a leak is told of each time */
    ck_assert_msg(is_like(said, "^(privheap: PH[^\n]*\n(" FRAME ")+  ignored[^\n]*\n)+$"), "%s", said);
    said_begin();
    ph_report_totals();
    ck_assert_uint_eq(count_of(said_end(), ": 8 times in all\n"), KINDS - 1);
}
END_TEST

/* Standard error is a pipe that is full: a report stays in the middle of its write until somebody reads. */
static int ends[2], kept_stderr;
static void setup_full_pipe(void)
{
    char byte = '.';
    setup_tolerant();
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends[1], &byte, 1) == 1) {}
    ck_assert_int_eq(fcntl(ends[1], F_SETFL, 0), 0);
    kept_stderr = dup(STDERR_FILENO);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
}

static const char *drained(void)
{
    static char text[1 << 17];
    size_t used = 0;
    ssize_t got;
    dup2(kept_stderr, STDERR_FILENO);
    while ((got = read(ends[0], text + used, sizeof text - 1 - used)) > 0) used += (size_t)got;
    close(ends[0]);
    text[used] = '\0';
    return text + strspn(text, ".");
}

static void read_some(size_t bytes)
{
    char room[1024];
    while (bytes > 0) {
        const ssize_t got = read(ends[0], room, bytes < sizeof room ? bytes : sizeof room);
        ck_assert_int_gt(got, 0);
        bytes -= (size_t)got;
    }
}

static void sleep_ms(long ms)
{
    const struct timespec wish = {0, ms * 1000000};
    nanosleep(&wish, NULL);
}

/* Each of these tests has a kind of its own, so that its places are new. */
static volatile int handled, begun, done;
static void report_in_handler(int unused)
{
    (void)unused;
    handled = 1;
    another_place(DIAG_UNMAPPED_FREE);
}

static void *report_one(void *kind)
{
    begun = 1;
    another_place(*(enum diagnostic *)kind);
    done++;
    return NULL;
}

static void *report_other(void *unused)
{
    another_place(DIAG_STATIC_FREE);
    done++;
    return unused;
}

static pthread_t start_stuck(enum diagnostic kind)
{
    static enum diagnostic told;
    told = kind;
    pthread_t thread;
    begun = done = handled = 0;
    pthread_create(&thread, NULL, report_one, &told);
    while (!begun) sched_yield();
    sleep_ms(50);
    ck_assert_int_eq(done, 0);
    return thread;
}

START_TEST(report_in_a_handler_that_interrupts_one_gets_a_line)
{
    signal(SIGUSR1, report_in_handler);
    const pthread_t thread = start_stuck(DIAG_OVERFLOW);
    pthread_kill(thread, SIGUSR1);
    while (!handled) sched_yield();
    read_some(60000);
    pthread_join(thread, NULL);
    const char *said = drained();
    ck_assert_msg(is_like(said, "privheap: PH121 not even memory, not a block: 0x20, thread [0-9]+\n"), "%s", said);
    ck_assert_uint_eq(count_of(said, "; PH110 is explained"), 1);
    ck_assert_uint_eq(count_of(said, "; PH121 is explained"), 0);
}
END_TEST

START_TEST(second_thread_waits_for_the_first)
{
    pthread_t second;
    const pthread_t first = start_stuck(DIAG_UNDERFLOW);
    pthread_create(&second, NULL, report_other, NULL);
    sleep_ms(50);
    ck_assert_int_eq(done, 0);
    read_some(60000);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    ck_assert_uint_eq(count_of(drained(), " is explained in "), 2);
}
END_TEST

START_TEST(child_of_fork_does_not_wait_for_who_is_not_there)
{
    ph_fork_register();
    const pthread_t first = start_stuck(DIAG_WRONG_SIZE);
    const pid_t child = fork();
    if (child == 0) {
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        const uint64_t from = ph_os_clock_ms();
        another_place(DIAG_WRONG_FAMILY);
        _exit(ph_os_clock_ms() - from < 1000 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    read_some(60000);
    pthread_join(first, NULL);
    (void)drained();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report");
    TCase *lines = tcase_create("lines");
    tcase_add_loop_test(lines, first_line_says_what_and_where, 0, 8);
    tcase_add_test(lines, detail_ends_the_first_line);
    tcase_add_test(lines, heap_is_named);
    tcase_add_test(lines, callers_and_past_stand_below);
    tcase_add_test(lines, unknown_past_is_left_out);
    tcase_add_test(lines, internal_check_has_its_number);
    suite_add_tcase(suite, lines);
    TCase *tolerant = tcase_create("tolerant");
    tcase_add_checked_fixture(tolerant, setup_tolerant, teardown_tolerant);
    tcase_add_test(tolerant, each_place_is_told_once_and_counted);
    tcase_add_test(tolerant, errno_stays);
    tcase_add_test(tolerant, damage_that_cannot_be_gone_on_from_ends_it);
    tcase_add_test(tolerant, threads_do_not_mix_their_reports);
    suite_add_tcase(suite, tolerant);
    TCase *stuck = tcase_create("stuck");
    tcase_add_checked_fixture(stuck, setup_full_pipe, teardown_tolerant);
    tcase_add_test(stuck, report_in_a_handler_that_interrupts_one_gets_a_line);
    tcase_add_test(stuck, second_thread_waits_for_the_first);
    tcase_add_test(stuck, child_of_fork_does_not_wait_for_who_is_not_there);
    suite_add_tcase(suite, stuck);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
