/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc_processes.c -- fork, vfork and posix_spawn, of threaded programs too.
 *
 * A child that hangs is ended by its own alarm, and the test fails. */
#include "check_malloc.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { CHILD_SECONDS = 30 };

extern char **environ;

/* Blocks of each kind up to `limit` bytes: taken, filled, grown, given back. */
static bool use_blocks_to(size_t limit)
{
    for (unsigned i = 0; i < size_kind_count && size_kinds[i] <= limit; i++) {
        void *block = malloc(size_kinds[i]), *zeroed = calloc(1, size_kinds[i]);
        if (block == NULL || zeroed == NULL || !is_zero(zeroed, size_kinds[i])) return false;
        fill(block, size_kinds[i], i);
        block = realloc(block, size_kinds[i] + 777);
        if (block == NULL || !is_filled(block, size_kinds[i], i)) return false;
        free(block);
        free(zeroed);
    }
    return true;
}

static bool use_the_heap(void)
{
    return use_blocks_to(SIZE_MAX);
}

enum { INHERITED = 100 };

static void *inherited[INHERITED];

static void make_inheritance(void)
{
    for (unsigned i = 0; i < INHERITED; i++) {
        inherited[i] = malloc(i * 200);
        must(inherited[i] != NULL);
        fill(inherited[i], i * 200, i);
    }
}

static bool use_up_inheritance(void)
{
    for (unsigned i = 0; i < INHERITED; i++) {
        if (!is_filled(inherited[i], i * 200, i)) return false;
        free(inherited[i]);
    }
    return use_blocks_to(100 * KIB);
}

START_TEST(a_child_frees_what_its_parent_made_and_the_parent_keeps_it)
{
    make_inheritance();
    ck_assert(true_in_child(use_up_inheritance, CHILD_SECONDS));
    ck_assert(use_up_inheritance());
}
END_TEST

static bool fork_deeper(unsigned depth)
{
    if (!use_the_heap()) return false;
    if (depth == 0) return true;
    pid_t child = fork();
    if (child == 0) _exit(fork_deeper(depth - 1) ? 0 : 1);
    return child > 0 && child_succeeded(child) && use_the_heap();
}

static bool fork_six_deep(void)
{
    return fork_deeper(6);
}

START_TEST(a_child_of_a_child_of_a_child_can_allocate)
{
    ck_assert(true_in_child(fork_six_deep, CHILD_SECONDS));
}
END_TEST

/* Threads in the middle of calls of every kind, while the process forks. */
enum { CHURNERS = 3, FORKS = 200 };

static volatile bool churn_on;
static pthread_t churner[CHURNERS];

static void *churn(void *number)
{
    uint64_t random = (uintptr_t)number;
    void *block[64] = { NULL };

    while (churn_on) {
        unsigned i = next_random(&random) % 64;
        size_t bytes = (size_t)1 << next_random(&random) % 18;
        if (next_random(&random) % 3 == 0) {
            free(block[i]);
            block[i] = calloc(1, bytes);
        } else {
            block[i] = realloc(block[i], bytes);
        }
        if (next_random(&random) % 512 == 0) malloc_trim(0);
    }
    for (unsigned i = 0; i < 64; i++) free(block[i]);
    return NULL;
}

static void start_churn(void)
{
    churn_on = true;
    for (uintptr_t i = 0; i < CHURNERS; i++) must(pthread_create(&churner[i], NULL, churn, (void *)(i + 1)) == 0);
}

static void stop_churn(void)
{
    churn_on = false;
    for (unsigned i = 0; i < CHURNERS; i++) pthread_join(churner[i], NULL);
}

START_TEST(a_threaded_program_forks_200_children_that_allocate)
{
    bool ok = true;

    make_inheritance();
    start_churn();
    for (unsigned i = 0; i < FORKS && ok; i++) ok = true_in_child(use_up_inheritance, CHILD_SECONDS);
    stop_churn();
    ck_assert(ok);
    ck_assert(use_up_inheritance());
}
END_TEST

static void *succeed_in_thread(void *result)
{
    *(bool *)result = use_blocks_to(MIB + 1);
    return NULL;
}

static bool use_threads(void)
{
    bool result[4] = { false };
    pthread_t thread[4];

    for (unsigned i = 0; i < 4; i++)
        if (pthread_create(&thread[i], NULL, succeed_in_thread, &result[i]) != 0) return false;
    for (unsigned i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    return result[0] && result[1] && result[2] && result[3];
}

START_TEST(a_child_of_a_threaded_program_can_start_threads)
{
    bool ok = true;

    if (is_emulated()) return; /* which cannot fork among threads */
    start_churn();
    for (unsigned i = 0; i < 20 && ok; i++) ok = true_in_child(use_threads, CHILD_SECONDS);
    stop_churn();
    ck_assert(ok);
}
END_TEST

static void *fork_in_thread(void *result)
{
    bool ok = true;

    for (unsigned i = 0; i < 30 && ok; i++) ok = true_in_child(use_the_heap, CHILD_SECONDS);
    *(bool *)result = ok;
    return NULL;
}

START_TEST(several_threads_fork_at_the_same_time)
{
    bool result[3] = { false };
    pthread_t thread[3];

    if (is_emulated()) return;
    for (unsigned i = 0; i < 3; i++) must(pthread_create(&thread[i], NULL, fork_in_thread, &result[i]) == 0);
    for (unsigned i = 0; i < 3; i++) pthread_join(thread[i], NULL);
    ck_assert(result[0] && result[1] && result[2]);
}
END_TEST

/* fork in a handler that interrupted malloc or free; the child only leaves.  The program has one
 * thread, as glibc demands for this; the signals come from another process. */
enum { HANDLER_FORKS = 60 };

static volatile sig_atomic_t forks_failed;
static volatile int *forks_in_handler; /* shared with the sender */

static void fork_in_handler(int signal_number)
{
    int saved = errno, status = 1;
    pid_t child = fork();

    (void)signal_number;
    if (child == 0) _exit(0);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) forks_failed = 1;
    *forks_in_handler += 1;
    errno = saved;
}

static void send_signals(pid_t target)
{
    alarm(CHILD_SECONDS);
    for (int i = 0; i < HANDLER_FORKS; i++) {
        if (kill(target, SIGUSR1) != 0) _exit(1);
        while (*forks_in_handler <= i && getppid() == target) sched_yield();
    }
    _exit(0);
}

static bool fork_in_handlers(void)
{
    struct sigaction action = { .sa_handler = fork_in_handler, .sa_flags = SA_RESTART };
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    void *block[32] = { NULL };
    pid_t target = getpid();

    if (shared == MAP_FAILED) return false;
    forks_in_handler = shared;
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigaction(SIGUSR1, &action, NULL);
    sigprocmask(SIG_BLOCK, &usr1, NULL); /* not while we are still in this fork: that cannot be entered twice */
    pid_t sender = fork();
    if (sender == 0) send_signals(target);
    sigprocmask(SIG_UNBLOCK, &usr1, NULL);
    for (unsigned i = 0; *forks_in_handler < HANDLER_FORKS; i++) {
        free(block[i % 32]);
        block[i % 32] = malloc((size_t)i * 37 % 20000);
    }
    for (unsigned i = 0; i < 32; i++) free(block[i]);
    return sender > 0 && child_succeeded(sender) && forks_failed == 0 && use_the_heap();
}

START_TEST(a_signal_handler_that_interrupts_malloc_can_fork)
{
    ck_assert(true_in_child(fork_in_handlers, CHILD_SECONDS));
}
END_TEST

/* The child of vfork shares our memory: what it allocates and frees must not disturb us. */
START_TEST(vfork_and_exec_leave_the_parent_whole)
{
    start_churn();
    for (unsigned i = 0; i < 100; i++) {
        pid_t child = vfork();
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        must(child > 0 && child_succeeded(child));
    }
    stop_churn();
    ck_assert(use_the_heap());
}
END_TEST

START_TEST(a_vfork_child_may_allocate_and_free_before_it_leaves)
{
    static void *volatile kept;

    for (unsigned i = 0; i < 50; i++) {
        pid_t child = vfork();
        if (child == 0) {
            free(malloc(1000 + i));
            kept = malloc(2000 + i);
            _exit(0);
        }
        must(child > 0 && child_succeeded(child));
        must(kept != NULL && malloc_usable_size(kept) >= 2000 + i);
        free(kept);
    }
    ck_assert(use_the_heap());
}
END_TEST

START_TEST(posix_spawn_of_a_threaded_program_works)
{
    char name[] = "sh", option[] = "-c", script[] = "x=$(echo a | tr a b); test $x = b";
    char *const arguments[] = { name, option, script, NULL };

    start_churn();
    for (unsigned i = 0; i < 50; i++) {
        pid_t child;
        must(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0);
        must(child_succeeded(child));
    }
    stop_churn();
}
END_TEST

START_TEST(popen_and_system_work)
{
    char line[20] = "";
    FILE *pipe = popen("echo hello", "r");

    ck_assert_ptr_nonnull(pipe);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, pipe));
    ck_assert_int_eq(pclose(pipe), 0);
    ck_assert_str_eq(line, "hello\n");
    ck_assert_int_eq(system("exit 3") >> 8, 3);
}
END_TEST

/* To be run before any test that makes threads: under CK_FORK=no they share a process. */
TCase *tcase_processes_of_one_thread(void)
{
    TCase *tc = tcase_create("processes of one thread");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_signal_handler_that_interrupts_malloc_can_fork);
    tcase_add_test(tc, a_child_frees_what_its_parent_made_and_the_parent_keeps_it);
    tcase_add_test(tc, a_child_of_a_child_of_a_child_can_allocate);
    if (!is_emulated()) /* a vfork child has memory of its own there */
        tcase_add_test(tc, a_vfork_child_may_allocate_and_free_before_it_leaves);
    tcase_add_test(tc, popen_and_system_work);
    return tc;
}

TCase *tcase_processes(void)
{
    TCase *tc = tcase_create("processes");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_threaded_program_forks_200_children_that_allocate);
    tcase_add_test(tc, a_child_of_a_threaded_program_can_start_threads);
    tcase_add_test(tc, several_threads_fork_at_the_same_time);
    tcase_add_test(tc, vfork_and_exec_leave_the_parent_whole);
    tcase_add_test(tc, posix_spawn_of_a_threaded_program_works);
    return tc;
}
