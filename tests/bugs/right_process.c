/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * right_process.c -- correct uses of malloc: threads, processes, signals, objects loaded and closed. */
#include "bugs.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void free_it(void *block)
{
    free(block);
}

/* Taken here, given back in another thread that ends; and the other way round. */
static void handed_over(const struct bug *b)
{
    for (unsigned i = 0; i < 20; i++) bug_on_thread(free_it, bug_block(b->size));
}

struct errand {
    size_t size;
    void *block[50];
};

static void take_many(void *argument)
{
    struct errand *er = argument;

    for (unsigned i = 0; i < 50; i++) er->block[i] = bug_block(er->size);
}

static void left_by_thread(const struct bug *b)
{
    struct errand er = {.size = b->size};

    bug_on_thread(take_many, &er);
    for (unsigned i = 0; i < 50; i++) {
        memset(er.block[i], 1, b->size);
        free(er.block[i]);
    }
}

struct queue {
    pthread_mutex_t lock;
    void *block[64];
    size_t size;
    unsigned put, taken;
};

static void *consume(void *argument)
{
    struct queue *qu = argument;

    while (qu->taken < 2000) {
        pthread_mutex_lock(&qu->lock);
        if (qu->taken < qu->put) free(qu->block[qu->taken++ % 64]);
        pthread_mutex_unlock(&qu->lock);
    }
    return NULL;
}

static void through_queue(const struct bug *b)
{
    struct queue qu = {.lock = PTHREAD_MUTEX_INITIALIZER, .size = b->size};
    pthread_t thread;

    bug_need(pthread_create(&thread, NULL, consume, &qu) == 0);
    while (qu.put < 2000) {
        void *block = bug_block(b->size);
        pthread_mutex_lock(&qu.lock);
        const bool room = qu.put - qu.taken < 64;
        if (room) qu.block[qu.put++ % 64] = block;
        pthread_mutex_unlock(&qu.lock);
        if (!room) {
            free(block);
            sched_yield();
        }
    }
    pthread_join(thread, NULL);
}

static pthread_key_t key;

static void free_later(void *block)
{
    static __thread unsigned round;

    free(block);
    if (round++ < 2) pthread_setspecific(key, bug_block(100));
}

static void set_specific(void *argument)
{
    pthread_setspecific(key, argument);
}

static void in_destructor(const struct bug *b)
{
    bug_need(pthread_key_create(&key, free_later) == 0);
    for (unsigned i = 0; i < 10; i++) bug_on_thread(set_specific, bug_block(b->size));
}

static void *exit_while_busy(void *argument)
{
    const struct bug *b = argument;

    for (;;) free(bug_block(b->size));
    return NULL;
}

static void busy_at_exit(const struct bug *b)
{
    static struct bug copy; /* outlives this frame */
    pthread_t thread;

    copy = *b;
    for (unsigned i = 0; i < 3; i++) bug_need(pthread_create(&thread, NULL, exit_while_busy, &copy) == 0);
    usleep(2000);
    if (bug_is(b->how, "quick")) quick_exit(0);
    exit(0);
}

static void cancelled(const struct bug *b)
{
    pthread_t thread;

    for (unsigned i = 0; i < 5; i++) {
        bug_need(pthread_create(&thread, NULL, exit_while_busy, (void *)(uintptr_t)b) == 0);
        pthread_detach(thread);
    }
    bug_churn(b->size);
    _exit(0);
}

/* A child frees what it inherited; the parent does so as well. */
static void freed_in_child(const struct bug *b)
{
    void *block = bug_block(b->size);
    int status;
    const pid_t child = fork();

    if (child == 0) {
        memset(block, 1, b->size);
        free(block);
        bug_churn(b->size);
        if (bug_is(b->how, "exec")) execl("/bin/true", "true", (char *)NULL);
        exit(0);
    }
    bug_need(waitpid(child, &status, 0) == child && status == 0);
    free(block);
}

static void forked_in_thread(void *argument)
{
    freed_in_child(argument);
}

static void child_of_thread(const struct bug *b)
{
    bug_on_thread(forked_in_thread, (void *)(uintptr_t)b);
}

static void spawned(const struct bug *b)
{
    static char name[] = "true";
    char *const arguments[] = {name, NULL};
    pid_t child;
    int status;

    (void)b;
    bug_need(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0);
    bug_need(waitpid(child, &status, 0) == child && status == 0);
    child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    bug_need(waitpid(child, &status, 0) == child && status == 0);
}

/* In a handler, while nothing of ours runs: the main program waits in pause. */
static size_t handler_size;

static void take_in_handler(int signal)
{
    (void)signal;
    free(bug_block(handler_size));
}

static void in_handler(const struct bug *b)
{
    handler_size = b->size;
    signal(SIGUSR1, take_in_handler);
    for (unsigned i = 0; i < 50; i++) raise(SIGUSR1);
}

static sigjmp_buf back;

static void leap(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

/* A program that expects its own segmentation faults, as interpreters do. */
static void own_fault(const struct bug *b)
{
    char *pages = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *block = bug_block(b->size);

    if (bug_is(b->how, "sigaction")) {
        struct sigaction sa = {.sa_handler = leap};
        sigaction(SIGSEGV, &sa, NULL);
    } else {
        signal(SIGSEGV, leap);
    }
    if (sigsetjmp(back, 1) == 0) {
        *(volatile char *)(pages + 4096) = 1;
        bug_need(false);
    }
    free(block);
}

static void own_fault_in_child(const struct bug *b)
{
    int status;
    const pid_t child = fork();

    (void)b;
    if (child == 0) {
        *(volatile char *)bug_hide(NULL) = 1;
        _exit(0);
    }
    bug_need(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void own_abort_in_child(const struct bug *b)
{
    int status;
    const pid_t child = fork();

    (void)b;
    if (child == 0) abort();
    bug_need(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void plugin(const struct bug *b)
{
    for (unsigned i = 0; i < 5; i++) {
        void *object = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
        void *other = dlopen("libutil.so.1", RTLD_LAZY);
        char *block = bug_block(b->size);
        if (object != NULL) dlclose(object);
        if (other != NULL) dlclose(other);
        bug_sink = dlopen("/nowhere/at/all.so", RTLD_NOW) == NULL && dlerror() != NULL;
        free(block);
    }
}

static void environment(const struct bug *b)
{
    char *value = bug_block(b->size);

    value[b->size - 1] = '\0';
    bug_need(setenv("SOME_VARIABLE", value, 1) == 0);
    free(value);
    bug_need(strlen(getenv("SOME_VARIABLE")) == b->size - 1);
    unsetenv("SOME_VARIABLE");
    putenv((char *)bug_hide(strdup("SOME_OTHER=1")));
    clearenv();
}

static void small_stack(const struct bug *b)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    bug_need(pthread_attr_setstacksize(&attributes, 16384) == 0);
    bug_need(pthread_create(&thread, &attributes, (void *(*)(void *))(void *)bug_block, (void *)b->size) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

static void threads_come_and_go(const struct bug *b)
{
    struct errand er[4];

    for (unsigned round = 0; round < 25; round++) {
        struct errand *one = &er[round % 4];
        if (round >= 4)
            for (unsigned i = 0; i < 50; i++) free(one->block[i]);
        one->size = b->size;
        bug_on_thread(take_many, one);
    }
}

const struct row right_process_rows[] = {
    {"thread", handed_over, "8 24 1000 5000 20000 200000 2000000", "", "handed-over", ""},
    {"thread", left_by_thread, "8 24 1000 5000 20000 200000", "", "left", ""},
    {"thread", through_queue, "8 24 1000 5000 20000", "", "queue", ""},
    {"thread", in_destructor, "24 5000 200000", "", "destructor", ""},
    {"thread", busy_at_exit, "24 1000 20000", "", "exit quick", ""},
    {"thread", cancelled, "24 5000", "", "busy-at-end", ""},
    {"thread", small_stack, "24 5000 200000", "", "small-stack", ""},
    {"thread", threads_come_and_go, "24 5000 20000", "", "come-and-go", ""},
    {"fork", freed_in_child, "24 1000 20000 2000000", "", "freed exec", ""},
    {"fork", child_of_thread, "24 5000 200000", "", "thread", ""},
    {"fork", spawned, "", "", "spawned", ""},
    {"signal", in_handler, "24 1000 200000", "", "handler", ""},
    {"signal", own_fault, "24 200000", "", "signal sigaction", ""},
    {"signal", own_fault_in_child, "", "", "own-fault", ""},
    {"signal", own_abort_in_child, "", "", "own-abort", ""},
    {"load", plugin, "24 5000", "", "plugin", ""},
    {"load", environment, "24 5000 200000", "", "environment", ""},
    {NULL, NULL, "", "", "", ""},
};
