/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * modes.c -- how threads, processes and stacks come and go while somebody allocates: one function for each way
 * in which an allocator was seen to fail.  modes NAME */
#include "storm.h"
#include "heapapi.h"

#include <sched.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { CHURNERS = 3 };

static volatile bool over;
static pthread_t churner[CHURNERS];

static void use(unsigned rounds, uint64_t seed)
{
    struct note note[32] = {{0}};
    uint64_t random = seed * 2 + 1;
    for (unsigned i = 0; i < rounds; i++) {
        const uint64_t now = storm_random(&random);
        struct note *no = &note[now % 32];
        if (no->block != NULL) {
            note_check(no);
            free(no->block);
            no->block = NULL;
        } else {
            const size_t bytes = storm_size(now);
            void *block = now >> 62 ? malloc(bytes) : calloc(1, bytes);
            if (block == NULL) storm_fail("no memory");
            note_write(no, block, bytes, (uint32_t)now);
        }
    }
    for (unsigned i = 0; i < 32; i++) free(note[i].block);
}

static void *churn(void *number)
{
    while (!over) use(200, (uintptr_t)number);
    return NULL;
}

static void start_churn(void)
{
    for (uintptr_t i = 0; i < CHURNERS; i++)
        if (pthread_create(&churner[i], NULL, churn, (void *)(i + 1)) != 0) storm_fail("no thread");
}

static void stop_churn(void)
{
    over = true;
    for (unsigned i = 0; i < CHURNERS; i++) pthread_join(churner[i], NULL);
}

static void must_end_well(pid_t child, const char *what)
{
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "status %x: ", (unsigned)status);
        storm_fail(what);
    }
}

/* ---- fork -------------------------------------------------------------------------------------- */

static void *of_prepare;

static void at_prepare(void) { of_prepare = malloc(300); }
static void at_parent(void) { free(of_prepare); free(malloc(50000)); }
static void at_child(void) { free(of_prepare); use(500, 9); }

/* Handlers of pthread_atfork that allocate, while other threads do. */
static void atfork(void)
{
    pthread_atfork(at_prepare, at_parent, at_child);
    start_churn();
    for (unsigned i = 0; i < 100; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(20);
            use(500, i);
            _exit(0);
        }
        must_end_well(child, "a child of fork did not end well");
    }
    stop_churn();
}

/* The system call itself: nobody tells us. */
static void raw_fork(void)
{
    start_churn();
    for (unsigned i = 0; i < 100; i++) {
        const pid_t child = (pid_t)(i % 2 ? syscall(SYS_fork) : syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
        if (child == 0) {
            alarm(20);
            use(2000, i);
            free(malloc(5 << 20));
            syscall(SYS_exit_group, 0);
        }
        must_end_well(child, "a child of the system call fork did not end well");
    }
    stop_churn();
}

static int in_our_memory(void *kept)
{
    use(300, (uintptr_t)kept);
    *(void **)kept = malloc(700);
    return 0;
}

/* Children that share our memory, and allocate there. */
static void shared_memory(void)
{
    static char stack[65536] __attribute__((aligned(64)));
    start_churn();
    for (unsigned i = 0; i < 100; i++) {
        static void *kept, *volatile of_vfork;
        must_end_well(clone(in_our_memory, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &kept), "a child with CLONE_VM did not end well");
        free(kept);
        const pid_t child = vfork();
        if (child == 0) {
            free(malloc(100 + i));
            of_vfork = malloc(i * 100);
            _exit(0);
        }
        must_end_well(child, "a child of vfork did not end well");
        free(of_vfork);
    }
    stop_churn();
}

/* ---- threads ------------------------------------------------------------------------------------- */

enum { PASSES = 4 };
static pthread_key_t keys[PASSES];

static void destroy(void *value)
{
    const uintptr_t pass = (uintptr_t)value & 7;
    free(malloc(100 * pass));
    use(50, pass);
    if (pass < PASSES) pthread_setspecific(keys[pass % PASSES], (void *)(pass + 1));
}

static void *with_destructors(void *nothing)
{
    for (unsigned i = 0; i < PASSES; i++) pthread_setspecific(keys[i], (void *)(uintptr_t)1);
    use(100, (uintptr_t)pthread_self());
    return nothing;
}

static void *one_block(void *block) { free(block); return malloc(200); }
static void *no_block(void *nothing) { return nothing; }

/* Destructors that allocate in each of four passes; threads that only free; threads that do nothing. */
static void destructors(void)
{
    for (unsigned i = 0; i < PASSES; i++) pthread_key_create(&keys[i], destroy);
    for (unsigned i = 0; i < 300; i++) {
        pthread_t thread[3];
        void *result;
        if (pthread_create(&thread[0], NULL, with_destructors, NULL) != 0 || pthread_create(&thread[1], NULL, one_block, malloc(100)) != 0 ||
            pthread_create(&thread[2], NULL, no_block, NULL) != 0)
            storm_fail("no thread");
        pthread_join(thread[0], NULL);
        pthread_join(thread[1], &result);
        pthread_join(thread[2], NULL);
        free(result);
    }
}

static void *live_on(void *barrier)
{
    void *block = malloc(100);
    use(100, (uintptr_t)block);
    pthread_barrier_wait(barrier);
    free(block);
    return NULL;
}

static void thousand(void)
{
    enum { THREADS = 1000 };
    static pthread_t thread[THREADS];
    pthread_barrier_t barrier;
    pthread_attr_t small;
    unsigned made = 0;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    while (made < THREADS && pthread_create(&thread[made], &small, live_on, &barrier) == 0) made++;
    if (made < THREADS) {
        puts("skipped: this system does not let us have 1000 threads");
        exit(77);
    }
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
}

static void leave(bool quickly)
{
    for (unsigned i = 0; i < 30; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(20);
            start_churn();
            usleep(500 * (i % 5));
            if (quickly) quick_exit(0);
            exit(0);
        }
        must_end_well(child, "exit while threads allocate");
    }
}
static void leave_by_exit(void) { leave(false); }
static void leave_by_quick_exit(void) { leave(true); }

/* ---- stacks --------------------------------------------------------------------------------------- */

static void *on_small_stack(void *nothing)
{
    for (size_t bytes = 1; bytes < 4 << 20; bytes = bytes * 3 / 2 + 1) {
        char *block = realloc(malloc(bytes), bytes + 100);
        block[0] = 1;
        free(block);
        free(HeapAlloc(GetProcessHeap(), 0, bytes));
    }
    HANDLE own = HeapCreate(0, 0, 0);
    for (unsigned i = 0; i < 200; i++) (void)HeapAlloc(own, 0, i * 50);
    if (!HeapValidate(own, 0, NULL) || !HeapDestroy(own)) storm_fail("a heap on a small stack");
    return nothing;
}

static volatile unsigned handled;
static void allocate_in_handler(int number)
{
    (void)number;
    handled++;
    on_small_stack(NULL);
}

/* Threads with 16 KiB of stack, handlers with 8. */
static void small_stacks(void)
{
    pthread_attr_t small;
    pthread_t thread;
    const stack_t alternate = {.ss_sp = malloc(8192), .ss_size = 8192};
    const struct sigaction action = {.sa_handler = allocate_in_handler, .sa_flags = SA_ONSTACK};
    pthread_attr_init(&small);
    if (pthread_attr_setstacksize(&small, 16384) != 0 || pthread_create(&thread, &small, on_small_stack, NULL) != 0) storm_fail("no small thread");
    pthread_join(thread, NULL);
    sigaltstack(&alternate, NULL);
    sigaction(SIGUSR1, &action, NULL);
    for (unsigned i = 0; i < 20; i++) raise(SIGUSR1);
    if (handled != 20) storm_fail("handlers were not called");
}

enum { ROUTINES = 8 };
static ucontext_t routine[ROUTINES], scheduler;
static unsigned running, ended;

static void run_routine(void)
{
    struct note note[16] = {{0}};
    for (unsigned i = 0; i < 2000; i++) {
        struct note *no = &note[i % 16];
        if (no->block != NULL) {
            note_check(no);
            free(no->block);
        }
        note_write(no, malloc(i * 7 % 900 + 4), i * 7 % 900 + 4, running << 16 | i);
        if (i % 3 == 0) swapcontext(&routine[running], &scheduler);
    }
    for (unsigned i = 0; i < 16; i++) free(note[i].block);
    ended |= 1u << running;
    swapcontext(&routine[running], &scheduler);
}

static void allocate_and_come_again(int number)
{
    allocate_in_handler(number);
    storm_once(1000);
}

/* Coroutines, their stacks blocks of ours, that allocate and switch; timer's handlers on each stack. */
static void coroutines(void)
{
    const struct sigaction action = {.sa_handler = allocate_and_come_again, .sa_flags = SA_RESTART};
    for (unsigned i = 0; i < ROUTINES; i++) {
        getcontext(&routine[i]);
        routine[i].uc_stack = (stack_t){.ss_sp = malloc(65536), .ss_size = 65536};
        routine[i].uc_link = NULL;
        makecontext(&routine[i], run_routine, 0);
    }
    sigaction(SIGALRM, &action, NULL);
    storm_once(1000);
    for (unsigned i = 0; ended != (1u << ROUTINES) - 1; i++)
        if (!(ended >> (running = i % ROUTINES) & 1)) swapcontext(&scheduler, &routine[running]);
    storm_timer(0);
}

/* ---- cancellation ------------------------------------------------------------------------------------ */

static void clean_up(void *block)
{
    free(block);
    use(30, 3);
}

static void *be_cancelled(void *nothing)
{
    void *block = malloc(500);
    (void)nothing;
    pthread_cleanup_push(clean_up, block);
    pthread_setspecific(keys[0], (void *)(uintptr_t)1);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (size_t i = 0;; i++) {
        void *one = malloc(i * 13 % 3000), *two = calloc(1, i * 7 % 20000);
        one = realloc(one, i * 17 % 4000 + 1);
        free(one);
        free(two);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

/* Threads that may be cancelled anywhere, in malloc too.  What they held is lost, nothing else. */
static void cancellation(void)
{
    for (unsigned i = 0; i < PASSES; i++) pthread_key_create(&keys[i], destroy);
    start_churn();
    for (unsigned i = 0; i < 300; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, be_cancelled, NULL) != 0) storm_fail("no thread");
        usleep(i % 7 * 50);
        pthread_cancel(thread);
        pthread_join(thread, NULL);
    }
    stop_churn();
}

/* The first of a process, each time: until then such a thread goes as fast as others. */
static void first_cancellation(void)
{
    for (unsigned i = 0; i < 60; i++) {
        int status = 0;
        const pid_t child = fork();
        if (child == 0) {
            pthread_t thread;
            alarm(20);
            if (pthread_create(&thread, NULL, be_cancelled, NULL) != 0) _exit(2);
            usleep(i % 13 * 70);
            pthread_cancel(thread);
            pthread_join(thread, NULL);
            for (unsigned k = 0; k < 2000; k++) free(malloc(k * 31 % 40000));
            _exit(HeapValidate(GetProcessHeap(), 0, NULL) ? 7 : 3);
        }
        if (child < 0) storm_fail("no child");
        while (waitpid(child, &status, 0) != child) {}
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) storm_fail("the child of the first cancellation did not end well");
    }
}

/* ---- what handlers are told ---------------------------------------------------------------------------- */

static volatile int seen_code, seen_number;
static void look(int number, siginfo_t *info, void *context)
{
    seen_number = number;
    seen_code = info->si_code;
    if (context == NULL) storm_fail("no context");
}
static void look_only(int number) { seen_number = number; }

/* A program reads back what it set, and its handlers get what the kernel says. */
static void read_back(void)
{
    struct sigaction set = {.sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_RESTART}, got;
    sigaddset(&set.sa_mask, SIGTERM);
    if (sigaction(SIGUSR1, &set, &got) != 0 || got.sa_handler != SIG_DFL) storm_fail("the first handler was not none");
    if (sigaction(SIGUSR1, NULL, &got) != 0 || got.sa_sigaction != look || (got.sa_flags & (SA_SIGINFO | SA_RESTART)) != (SA_SIGINFO | SA_RESTART) ||
        !sigismember(&got.sa_mask, SIGTERM))
        storm_fail("not what was set");
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 5});
    if (seen_number != SIGUSR1 || seen_code != SI_QUEUE) storm_fail("not what was sent");
    if ((void (*)(int, siginfo_t *, void *))(uintptr_t)signal(SIGUSR1, look_only) != look) storm_fail("signal says something else");
    if (signal(SIGUSR1, SIG_IGN) != look_only || signal(SIGUSR1, look_only) != SIG_IGN) storm_fail("signal says something else");
    seen_number = 0;
    raise(SIGUSR1);
    if (seen_number != SIGUSR1) storm_fail("signal's handler was not called");
    if (sigset(SIGUSR1, SIG_DFL) != look_only) storm_fail("sigset says something else");
    if (sigaction(SIGKILL, &set, NULL) == 0 || sigaction(0, &set, NULL) == 0 || sigaction(1000, &set, NULL) == 0 || signal(-1, look_only) != SIG_ERR)
        storm_fail("what cannot be was done");
    if (sigaction(SIGUSR2, NULL, &got) != 0 || got.sa_handler != SIG_DFL) storm_fail("a handler that nobody set");
    if (system("exit 3") != 3 << 8) storm_fail("system");
}

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {
    {"atfork", atfork},           {"raw-fork", raw_fork},     {"shared-memory", shared_memory}, {"destructors", destructors},
    {"thousand", thousand},       {"exit", leave_by_exit},    {"quick-exit", leave_by_quick_exit}, {"small-stacks", small_stacks},
    {"coroutines", coroutines},   {"cancellation", cancellation}, {"first-cancellation", first_cancellation}, {"read-back", read_back},
};

int main(int count, char **arguments)
{
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
        if (count > 1 && strcmp(arguments[1], modes[i].name) == 0) {
            modes[i].run();
            if (!HeapValidate(GetProcessHeap(), 0, NULL)) storm_fail("HeapValidate, in the end");
            return 0;
        }
    return 99;
}
