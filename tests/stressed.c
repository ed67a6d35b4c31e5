/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stressed.c -- for stress_verb.sh: programs with one fault each, and some with none.  PLANTED marks the line at fault. */
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int sink;
static char *volatile block;

__attribute__((noinline)) static void take(size_t bytes) { block = malloc(bytes); }
__attribute__((noinline)) static void give(void) { free(block); }
__attribute__((noinline)) static void reads(long at) { sink = block[at]; } /* PLANTED reads */
__attribute__((noinline)) static void writes(long at) { block[at] = 1; } /* PLANTED writes */

static inline __attribute__((always_inline)) void looks(long at)
{
    sink = block[at]; /* PLANTED looks */
}

__attribute__((noinline)) static void copies(void)
{
    take(29);
    strcpy(block, "29 letters, and a NUL beyond "); /* PLANTED copies */
}

/* A heap of its own, of the object that is loaded before this program. */
static void named(void)
{
    void *(*create)(unsigned, size_t, size_t), *(*alloc)(void *, unsigned, size_t);
    int (*set_name)(void *, const char *);
    *(void **)&create = dlvsym(RTLD_DEFAULT, "HeapCreate", "PRIVHEAP_1.0");
    *(void **)&alloc = dlvsym(RTLD_DEFAULT, "HeapAlloc", "PRIVHEAP_1.0");
    *(void **)&set_name = dlvsym(RTLD_DEFAULT, "ph_heap_set_name", "PRIVHEAP_1.0");
    void *heap = create(0, 0, 0);
    set_name(heap, "parser");
    block = alloc(heap, 0, 32);
}

static int waits(void)
{
    int status;
    wait(&status);
    return WIFSIGNALED(status) ? 0 : 1;
}

/* Two processes with the same fault. */
static int twins(void)
{
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            reads(32);
            _exit(0);
        }
    return waits() + waits();
}

/* What the child has is told while this one waits for a file. */
static int lives_on(const char *file)
{
    if (fork() == 0) {
        reads(32);
        _exit(0);
    }
    while (access(file, F_OK) != 0)
        usleep(20000);
    return 5;
}

static int many(void)
{
    for (int i = 0; i < 3; i++) {
        take(32);
        reads(32);
    }
    give();
    reads(7);
    return 0;
}

/* How many are not aligned as was asked for. */
static int aligned(void)
{
    int wrong = 0;
    for (size_t align = 8; align <= 64; align *= 2)
        for (size_t bytes = 1; bytes < 40; bytes++) {
            void *one = NULL;
            wrong += posix_memalign(&one, align, bytes) != 0 || (size_t)one % align != 0;
            wrong += (size_t)aligned_alloc(align, bytes) % align != 0;
        }
    return wrong;
}

/* More than a small quarantine holds, one after the other. */
static int after_many(void)
{
    for (int i = 0; i < 30000; i++)
        take(32), give();
    take(32);
    give();
    looks(7);
    return 0;
}

static int echo(void)
{
    char line[100];
    while (fgets(line, sizeof line, stdin) != NULL)
        fputs(line, stdout);
    return 6;
}

static void on_signal(int signal) { _exit(signal + 20); }

/* Time is short for the parent; the child's own has just begun. */
static int busy_parent(void)
{
    enum { PAIRS = 400000, CHILDS = 2000 };
    volatile char seen = 0;
    int status = 0;
    pid_t child = -1;
    for (int i = 0; i < PAIRS; i++) {
        char *volatile block = malloc(32);
        if (i == PAIRS - CHILDS && (child = fork()) > 0)
            break;
        free(block);
        if (child == 0 && i == PAIRS - 1)
            seen = block[3];
    }
    (void)seen;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "nothing";
    alarm(100); /* whoever forgets us */
    char *again[] = {argv[0], (char *)"over-read", NULL};
    take(32);
    if (strcmp(what, "over-read") == 0)
        reads(32);
    else if (strcmp(what, "overflow") == 0)
        writes(40);
    else if (strcmp(what, "under-read") == 0)
        reads(-3);
    else if (strcmp(what, "after-free") == 0)
        give(), looks(7);
    else if (strcmp(what, "copies") == 0)
        copies();
    else if (strcmp(what, "twice") == 0)
        give(), give();
    else if (strcmp(what, "named") == 0)
        named(), reads(48);
    else if (strcmp(what, "child") == 0)
        return fork() == 0 ? (writes(32), 0) : waits();
    else if (strcmp(what, "exec") == 0)
        return fork() == 0 ? execv(argv[0], again) : waits();
    else if (strcmp(what, "loses") == 0) {
        take(48); /* PLANTED loses */
        block = NULL;
    } else if (strcmp(what, "twins") == 0)
        return twins();
    else if (strcmp(what, "lives-on") == 0)
        return lives_on(argv[2]);
    else if (strcmp(what, "many") == 0)
        return many();
    else if (strcmp(what, "after-many") == 0)
        return after_many();
    else if (strcmp(what, "aligned") == 0)
        return aligned();
    else if (strcmp(what, "echo") == 0)
        return echo();
    else if (strcmp(what, "busy-parent") == 0)
        return busy_parent();
    else if (strcmp(what, "slips-and-crashes") == 0) {
        char *volatile block = malloc(13);
        block[14] = 0;
        *(volatile int *)(uintptr_t)4096 = 1;
    } else if (strcmp(what, "crash") == 0)
        raise(SIGSEGV);
    else if (strcmp(what, "signals") == 0) {
        signal(SIGUSR1, on_signal);
        puts("ready");
        fflush(stdout);
        for (;;)
            pause();
    } else if (argc > 1)
        return atoi(what);
    return 0;
}
