/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * where.c -- an overflow and a use after free where it is hard to tell of them: the program has handlers of its own, little
 * stack, or is about to end.  What the program's handler does not know it leaves at once, as a crash reporter does. */
#include "bugs.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static struct bug the_bug;

static __attribute__((noinline)) void commit(void)
{
    char *block = bug_block(the_bug.size);

    if (the_bug.when[0] == 'o') {
        ((volatile char *)block)[the_bug.size + 100] = 'B';
    } else if (the_bug.when[0] == 'r') {
        free(block);
        bug_sink += (size_t)((volatile char *)block)[the_bug.size / 2];
    } else {
        free(block);
        free(bug_hide(block));
    }
    bug_sink++;
}

static void commit_it(void *nothing)
{
    (void)nothing;
    commit();
}

/* ---- handlers ---------------------------------------------------------------------------------- */

static sigjmp_buf back;

static void leave(int signal)
{
    (void)signal;
    _exit(7);
}

static void leap(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

static void leave_with_all(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    _exit(7);
}

/* The program's own, for all that may come of a bug. */
static void own_handlers(const struct bug *b)
{
    const struct sigaction all = {.sa_sigaction = leave_with_all, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL};

    the_bug = *b;
    for (unsigned i = 0; i < sizeof fatal / sizeof *fatal; i++) {
        if (bug_is(b->how, "signal")) signal(fatal[i], leave);
        else if (bug_is(b->how, "ignored")) signal(fatal[i], SIG_IGN);
        else if (bug_is(b->how, "default")) signal(fatal[i], SIG_DFL);
        else sigaction(fatal[i], &all, NULL);
    }
    commit();
}

static void leapt_over(const struct bug *b)
{
    the_bug = *b;
    signal(SIGSEGV, leap);
    signal(SIGABRT, leap);
    if (sigsetjmp(back, 1) == 0) commit();
}

static void blocked(const struct bug *b)
{
    sigset_t all;

    the_bug = *b;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    commit();
}

static void in_signal(int signal)
{
    (void)signal;
    commit();
}

static void in_handler(const struct bug *b)
{
    const stack_t stack = {.ss_sp = malloc(16384), .ss_size = 16384};
    struct sigaction sa = {.sa_handler = in_signal};

    the_bug = *b;
    if (bug_is(b->how, "own-stack")) {
        sigaltstack(&stack, NULL);
        sa.sa_flags = SA_ONSTACK;
    }
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
}

/* ---- stacks -------------------------------------------------------------------------------------- */

static void *commit_in_thread(void *nothing)
{
    commit_it(nothing);
    return NULL;
}

static void on_small_stack(const struct bug *b)
{
    pthread_attr_t attributes;
    pthread_t thread;

    the_bug = *b;
    pthread_attr_init(&attributes);
    bug_need(pthread_attr_setstacksize(&attributes, 16384) == 0);
    bug_need(pthread_create(&thread, &attributes, commit_in_thread, NULL) == 0);
    pthread_join(thread, NULL);
}

static ucontext_t here, there;

static void on_coroutine(const struct bug *b)
{
    the_bug = *b;
    getcontext(&there);
    there.uc_stack.ss_sp = bug_block(32768);
    there.uc_stack.ss_size = 32768;
    there.uc_link = &here;
    makecontext(&there, commit, 0);
    swapcontext(&here, &there);
}

/* ---- late, and elsewhere --------------------------------------------------------------------------- */

static pthread_key_t key;

static void *with_key(void *nothing)
{
    pthread_setspecific(key, &key);
    return nothing;
}

static void in_destructor(const struct bug *b)
{
    pthread_t thread;

    the_bug = *b;
    bug_need(pthread_key_create(&key, commit_it) == 0);
    bug_need(pthread_create(&thread, NULL, with_key, NULL) == 0);
    pthread_join(thread, NULL);
}

static void at_end(const struct bug *b)
{
    the_bug = *b;
    atexit(commit);
}

static void in_child(const struct bug *b)
{
    int status;
    const pid_t child = fork();

    the_bug = *b;
    if (child == 0) {
        commit();
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) raise(WTERMSIG(status));
}

/* While other threads allocate as fast as they can. */
static void *keep_busy(void *nothing)
{
    for (size_t i = 0;; i++) free(bug_block(i % 3000));
    return nothing;
}

static void beside_busy(const struct bug *b)
{
    pthread_t thread;

    the_bug = *b;
    for (unsigned i = 0; i < 3; i++) bug_need(pthread_create(&thread, NULL, keep_busy, NULL) == 0);
    for (unsigned i = 0; i < 200; i++) free(bug_block(i));
    commit();
}

static void after_many(const struct bug *b)
{
    the_bug = *b;
    for (unsigned i = 0; i < 5; i++) bug_churn(b->size);
    commit();
}

const struct row where_rows[] = {
    {"overflow", own_handlers, "37 5000", "", "signal sigaction ignored default", "over"},
    {"use-after-free", own_handlers, "37 5000", "", "signal sigaction ignored default", "read"},
    {"double-free", own_handlers, "37 5000", "", "signal sigaction ignored default", "twice"},
    {"overflow", leapt_over, "37", "", "leapt", "over"},
    {"double-free", leapt_over, "37", "", "leapt", "twice"},
    {"overflow", blocked, "37", "", "blocked", "over"},
    {"double-free", blocked, "37", "", "blocked", "twice"},
    {"overflow", in_handler, "37 5000", "", "handler own-stack", "over"},
    {"use-after-free", in_handler, "37 5000", "", "handler own-stack", "read"},
    {"double-free", in_handler, "37 5000", "", "handler own-stack", "twice"},
    {"overflow", on_small_stack, "37", "", "small-stack", "over"},
    {"use-after-free", on_small_stack, "37", "", "small-stack", "read"},
    {"double-free", on_small_stack, "37", "", "small-stack", "twice"},
    {"overflow", on_coroutine, "37", "", "coroutine", "over"},
    {"double-free", on_coroutine, "37", "", "coroutine", "twice"},
    {"overflow", in_destructor, "37", "", "destructor", "over"},
    {"use-after-free", in_destructor, "37", "", "destructor", "read"},
    {"double-free", in_destructor, "37", "", "destructor", "twice"},
    {"overflow", at_end, "37 5000", "", "at-exit", "over"},
    {"use-after-free", at_end, "37 5000", "", "at-exit", "read"},
    {"overflow", in_child, "37", "", "child", "over"},
    {"use-after-free", in_child, "37", "", "child", "read"},
    {"double-free", in_child, "37", "", "child", "twice"},
    {"overflow", beside_busy, "37 5000", "", "busy", "over"},
    {"use-after-free", beside_busy, "37 5000", "", "busy", "read"},
    {"double-free", beside_busy, "37 5000", "", "busy", "twice"},
    {"overflow", after_many, "37 5000", "", "many", "over"},
    {"use-after-free", after_many, "37 5000 300000", "", "many", "read"},
    {"double-free", after_many, "37 5000 300000", "", "many", "twice"},
    {NULL, NULL, "", "", "", ""},
};
