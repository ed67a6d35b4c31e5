/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* reports.c -- for reports.sh: programs that sin in unusual places; the first argument says which. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef WITH_HEAPS
#include "heapapi.h"
#endif

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define AFTER __asm__ volatile("" : : : "memory") /* no call is the last thing that a function does */

static void *hide(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

static NOINLINE void commit(void *block)
{
    free(hide(block));
    AFTER;
}

static char text[] = "static";

static void sin_in_handler(int unused)
{
    (void)unused;
    commit(text);
    AFTER;
}

/* In the middle of whatever malloc does, again and again, until one of them comes. */
static NOINLINE void in_handler(void)
{
    signal(SIGALRM, sin_in_handler);
    ualarm(2000, 0);
    for (;;) free(hide(malloc(100)));
}

static NOINLINE void on_small_signal_stack(void)
{
    static char room[8192] __attribute__((aligned(16)));
    const stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    const struct sigaction action = {.sa_handler = sin_in_handler, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    AFTER;
}

static void allocate_in_handler(int unused)
{
    void *block[100];
    (void)unused;
    for (int i = 0; i < 100; i++) block[i] = hide(malloc((size_t)i * 97));
    for (int i = 0; i < 100; i++) free(block[i]);
    (void)!write(STDERR_FILENO, "handler\n", 8);
}

/* Found while a lock of ours is held: the block's class is asked for more. */
static void handler_of_abort_allocates(void)
{
    void *block[2000];
    signal(SIGABRT, allocate_in_handler);
    for (int i = 0; i < 2000; i++) block[i] = malloc(64);
    for (int i = 0; i < 2000; i++) free(block[i]);
    for (int i = 0; i < 2000; i++) memset(hide(block[i]), 0x41, 64);
    for (int i = 0; i < 2000; i++) block[i] = malloc(64);
}

static sigjmp_buf back;
static void jump_out(int unused)
{
    (void)unused;
    siglongjmp(back, 1);
}

/* The handler leaves: the program goes on, and its next sin is reported as well. */
static void handler_of_abort_jumps(void)
{
    signal(SIGABRT, jump_out);
    for (volatile int i = 0; i < 3; i++)
        if (sigsetjmp(back, 1) == 0)
            commit(text + i * 16 % 4);
    puts("jumped");
}

static void *sin_in_thread(void *barrier)
{
    pthread_barrier_wait(barrier);
    commit(text);
    return NULL;
}

static void in_threads(void)
{
    pthread_t thread[8];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 8);
    for (int i = 0; i < 8; i++) pthread_create(&thread[i], NULL, sin_in_thread, &barrier);
    for (int i = 0; i < 8; i++) pthread_join(thread[i], NULL);
    puts("joined");
}

static void without_stderr(void)
{
    close(STDERR_FILENO);
    commit(text);
}

static void without_descriptors(void)
{
    while (open("/dev/null", O_RDONLY) >= 0) {}
    commit(text);
}

/* Contents go with a realloc, as far as there are any. */
static void goes_on(void)
{
    char *block = malloc(100), *inner;
    strcpy(block + 16, "kept");
    for (int i = 0; i < 7; i++) commit(text);
    inner = realloc(hide(block + 16), 5000);
    printf("%s %s\n", inner, (char *)realloc(hide(text), 1 << 20));
    free(inner);
    free(hide(block));
    free(hide(block));
}

/* A thread that has its stacks long since: free goes the short way first. */
static NOINLINE void busy(void)
{
    for (int i = 0; i < 1000; i++) free(hide(malloc(100)));
    commit(text);
    AFTER;
}

static NOINLINE void overflow(void)
{
    char *block = malloc(24);
    ((char *)hide(block))[24] = 2; /* no byte of a tail is even */
    free(hide(block));
    AFTER;
}

static NOINLINE void another_heap(void)
{
#ifdef WITH_HEAPS
    commit(HeapAlloc(HeapCreate(0, 0, 0), 0, 100));
    AFTER;
#endif
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*act)(void);
    } acts[] = {
        {"in_handler", in_handler},
        {"on_small_signal_stack", on_small_signal_stack},
        {"handler_of_abort_allocates", handler_of_abort_allocates},
        {"handler_of_abort_jumps", handler_of_abort_jumps},
        {"in_threads", in_threads},
        {"without_stderr", without_stderr},
        {"without_descriptors", without_descriptors},
        {"goes_on", goes_on},
        {"busy", busy},
        {"overflow", overflow},
        {"another_heap", another_heap},
    };
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (count > 1 && strcmp(arguments[1], acts[i].name) == 0)
            acts[i].act();
    fflush(stdout);
    return 0;
}
