/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_trace.c -- call stacks by number: equal ones have the same, from whichever thread, and each comes out again as it
 * was put in, until there is no more room. */
#include "trace.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "check_room.h"

/* The n-th of a family of stacks that differ. */
static struct trace stack_of(uint32_t family, uint32_t n, unsigned depth)
{
    struct trace tr = {.thread = 1, .depth = (uint16_t)depth};
    for (unsigned i = 0; i < depth; i++)
        tr.pc[i] = 0x7f1200000000u + ((uintptr_t)family << 32) + i * 0x40u + (i == n % depth ? n * 0x10u : 0);
    return tr;
}

static bool is_kept(uint32_t number, const struct trace *wanted)
{
    struct trace got = {.thread = 99};
    return ph_trace_get(number, &got) && got.depth == wanted->depth && got.thread == 0 &&
           memcmp(got.pc, wanted->pc, wanted->depth * sizeof *wanted->pc) == 0;
}

static bool is_nobody(uint32_t number)
{
    struct trace got = {.thread = 99, .depth = 7};
    return !ph_trace_get(number, &got) && got.thread == 99 && got.depth == 7;
}

/* ---- memory ---- the first test cases, because a process asks once: in children of a process that has not. */

/* What the process has: a sanitizer's shadow of all addresses is data, too. */
static size_t data_bytes(void)
{
    unsigned long data = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %*u %*u %*u %*u %lu", &data) != 1)
        data = 0;
    (void)fclose(file);
    return data * (size_t)sysconf(_SC_PAGESIZE);
}

static bool limit_data(size_t bytes_more)
{
    struct rlimit limit;
    static size_t had;
    if (had == 0)
        had = data_bytes();
    if (getrlimit(RLIMIT_DATA, &limit) != 0)
        return false;
    limit.rlim_cur = had + bytes_more;
    return setrlimit(RLIMIT_DATA, &limit) == 0;
}

static void fill(void *unused)
{
    enum { MOST = 1 << 20 };
    uint32_t count = 0, number;
    (void)unused;
    CHILD_NEEDS(limit_data((size_t)64 << 20));
    const struct trace first = stack_of(1, 0, TRACE_DEPTH);
    const uint32_t first_number = ph_trace_intern(&first);
    for (; count < MOST; count++) {
        const struct trace tr = stack_of(1, count, TRACE_DEPTH);
        if ((number = ph_trace_intern(&tr)) == 0)
            break;
        CHILD_NEEDS(is_kept(number, &tr));
    }
    CHILD_NEEDS(count > 10000 && count < MOST);
    CHILD_NEEDS(ph_trace_intern(&first) == first_number && is_kept(first_number, &first));
    for (uint32_t i = count; i < count + 100; i++) {
        const struct trace tr = stack_of(1, i, TRACE_DEPTH);
        CHILD_NEEDS(ph_trace_intern(&tr) == 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct trace tr = stack_of(1, i, TRACE_DEPTH);
        CHILD_NEEDS((number = ph_trace_intern(&tr)) != 0 && is_kept(number, &tr));
    }
}

START_TEST(full_one_keeps_what_it_has) { room_lives(fill, NULL); }
END_TEST

static void without_memory(void *unused)
{
    const struct trace tr = stack_of(2, 0, 3);
    (void)unused;
    CHILD_NEEDS(limit_data(0));
    CHILD_NEEDS(ph_trace_intern(&tr) == 0);
    CHILD_NEEDS(limit_data((size_t)64 << 20));
    CHILD_NEEDS(ph_trace_intern(&tr) == 0);
    CHILD_NEEDS(is_nobody(0) && is_nobody(1) && is_nobody(UINT32_MAX));
}

START_TEST(without_memory_there_is_no_number) { room_lives(without_memory, NULL); }
END_TEST

/* ---- one stack ---- */

START_TEST(equal_ones_have_one_number)
{
    for (unsigned depth = 1; depth <= TRACE_DEPTH; depth++) {
        struct trace one = stack_of(3, 5, depth), other = stack_of(3, 5, depth);
        other.thread = 77;
        const uint32_t number = ph_trace_intern(&one);
        ck_assert_uint_ne(number, 0);
        ck_assert_uint_eq(ph_trace_intern(&other), number);
        ck_assert(is_kept(number, &one));
    }
}
END_TEST

START_TEST(each_frame_counts)
{
    const struct trace whole = stack_of(4, 0, TRACE_DEPTH);
    const uint32_t number = ph_trace_intern(&whole);
    for (unsigned i = 0; i < TRACE_DEPTH; i++) {
        struct trace other = whole;
        other.pc[i] ^= 1;
        ck_assert_uint_ne(ph_trace_intern(&other), number);
        other = whole;
        other.depth = (uint16_t)i;
        ck_assert_uint_ne(ph_trace_intern(&other), number);
    }
}
END_TEST

START_TEST(stack_without_frames_has_none)
{
    const struct trace none = {.thread = 1};
    ck_assert_uint_eq(ph_trace_intern(&none), 0);
}
END_TEST

START_TEST(other_numbers_are_nobodys)
{
    struct trace got;
    const struct trace tr = stack_of(5, 0, 4);
    const uint32_t number = ph_trace_intern(&tr);
    ck_assert(is_nobody(0));
    ck_assert(is_nobody(1));
    ck_assert(is_nobody(UINT32_MAX));
    ck_assert(is_nobody(number + 1));
    ck_assert(is_nobody(number + 1000));
    ck_assert(ph_trace_get(number, &got));
}
END_TEST

/* A place in the middle of a stack, at which something stands that looks like the head of another. */
START_TEST(middle_of_one_is_nobodys)
{
    struct trace tr = {.depth = TRACE_DEPTH};
    for (unsigned i = 0; i < TRACE_DEPTH; i++)
        tr.pc[i] = (uintptr_t)1 << 32 | i;
    const uint32_t number = ph_trace_intern(&tr);
    for (uint32_t i = 1; i <= TRACE_DEPTH; i++)
        ck_assert(is_nobody(number + i));
}
END_TEST

/* A number counts words: a stack of five frames takes 48 bytes, one of one 16. */
START_TEST(they_are_packed)
{
    for (unsigned depth = 1; depth <= TRACE_DEPTH; depth++) {
        const struct trace one = stack_of(6, 1, depth), other = stack_of(6, 2, depth);
        const uint32_t first = ph_trace_intern(&one), second = ph_trace_intern(&other);
        ck_assert_uint_eq(second, first + depth + 1);
    }
}
END_TEST

/* ---- many ---- */

START_TEST(all_of_many_are_found_again)
{
    enum { MANY = 200000 };
    static uint32_t number[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        const struct trace tr = stack_of(7, i, 2);
        number[i] = ph_trace_intern(&tr);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        const struct trace tr = stack_of(7, i, 2);
        ck_assert_uint_eq(ph_trace_intern(&tr), number[i]);
        ck_assert(is_kept(number[i], &tr));
    }
}
END_TEST

/* Few stacks touch little memory. */
START_TEST(few_of_them_cost_little)
{
    const struct trace begin = stack_of(8, 0, 1);
    (void)ph_trace_intern(&begin);
    const size_t before = resident_bytes();
    for (uint32_t i = 0; i < 1000; i++) {
        const struct trace tr = stack_of(8, i, 10);
        ck_assert_uint_ne(ph_trace_intern(&tr), 0);
    }
    if (before != 0)
        ck_assert_uint_lt(resident_bytes(), before + (1 << 20));
}
END_TEST

enum { THREADS = 8, SHARED = 4000 };
static uint32_t numbers[THREADS][SHARED];
static pthread_barrier_t together;

static void *intern_all(void *arg)
{
    uint32_t *mine = arg;
    (void)pthread_barrier_wait(&together);
    for (uint32_t i = 0; i < SHARED; i++) {
        struct trace tr = stack_of(9, i, 6);
        tr.thread = (uint32_t)(uintptr_t)mine;
        mine[i] = ph_trace_intern(&tr);
    }
    return NULL;
}

START_TEST(threads_agree)
{
    pthread_t thread[THREADS];
    ck_assert_int_eq(pthread_barrier_init(&together, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, intern_all, numbers[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    for (uint32_t j = 0; j < SHARED; j++) {
        const struct trace tr = stack_of(9, j, 6);
        ck_assert(is_kept(numbers[0][j], &tr));
        for (unsigned i = 1; i < THREADS; i++)
            ck_assert_uint_eq(numbers[i][j], numbers[0][j]);
    }
}
END_TEST

/* A handler that comes between any two instructions wants the very stack that is being put in. */
static volatile uint32_t current, handled, handled_number[SHARED];

static void on_signal(int signal)
{
    const struct trace tr = stack_of(10, current, 16);
    (void)signal;
    handled_number[current] = ph_trace_intern(&tr);
    handled++;
}

START_TEST(handler_and_what_it_interrupts_agree)
{
    const struct itimerval often = {.it_interval = {.tv_usec = 50}, .it_value = {.tv_usec = 50}}, never = {0};
    ck_assert_ptr_ne(signal(SIGALRM, on_signal), SIG_ERR);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (uint32_t i = 0; i < SHARED || (handled < 20 && i < 100 * SHARED); i++) {
        current = i % SHARED;
        const struct trace tr = stack_of(10, i % SHARED, 16);
        const uint32_t number = ph_trace_intern(&tr);
        ck_assert(is_kept(number, &tr));
        if (handled_number[i % SHARED] != 0)
            ck_assert_uint_eq(handled_number[i % SHARED], number);
    }
    ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    ck_assert_uint_gt(handled, 0);
}
END_TEST

static struct trace parents;
static uint32_t parents_number;

static void look_in_child(void *unused)
{
    const struct trace own = stack_of(11, 1, 5);
    (void)unused;
    CHILD_NEEDS(is_kept(parents_number, &parents) && ph_trace_intern(&parents) == parents_number);
    CHILD_NEEDS(is_kept(ph_trace_intern(&own), &own));
}

START_TEST(child_of_fork_keeps_them)
{
    parents = stack_of(11, 0, 5);
    parents_number = ph_trace_intern(&parents);
    room_lives(look_in_child, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trace");
    TCase *tc = room_case(suite, "memory", NULL, NULL);
    tcase_add_test(tc, full_one_keeps_what_it_has);
    tcase_add_test(tc, without_memory_there_is_no_number);
    tc = room_case(suite, "one", NULL, NULL);
    tcase_add_test(tc, equal_ones_have_one_number);
    tcase_add_test(tc, each_frame_counts);
    tcase_add_test(tc, stack_without_frames_has_none);
    tcase_add_test(tc, other_numbers_are_nobodys);
    tcase_add_test(tc, middle_of_one_is_nobodys);
    tcase_add_test(tc, they_are_packed);
    tc = room_case(suite, "many", NULL, NULL);
    tcase_add_test(tc, few_of_them_cost_little);
    tcase_add_test(tc, all_of_many_are_found_again);
    tcase_add_test(tc, threads_agree);
    tcase_add_test(tc, handler_and_what_it_interrupts_agree);
    tcase_add_test(tc, child_of_fork_keeps_them);
    return room_run(suite);
}
