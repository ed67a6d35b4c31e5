/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * preload_fork.c -- a threaded program whose children end by exit(), with all that this runs:
 * atexit handlers, destructors, and the end of every library. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKS = 100, THREADS = 2 };

static volatile bool over;
static void *of_parent;

static void *churn(void *unused)
{
    for (size_t i = 0; !over; i++) free(malloc(i * 31 % 100000));
    return unused;
}

static void at_exit(void)
{
    free(of_parent);
    of_parent = calloc(1, 5000);
}

__attribute__((destructor)) static void at_the_end(void)
{
    free(of_parent);
    free(malloc(100000));
}

static bool one_child(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        alarm(20);
        for (size_t i = 0; i < 2000; i++) free(malloc(i * 17 % 60000));
        exit(5);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5;
}

int main(void)
{
    pthread_t thread[THREADS];
    unsigned good = 0;

    atexit(at_exit);
    of_parent = malloc(1000);
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, churn, NULL) != 0) return 99;
    for (unsigned i = 0; i < FORKS; i++) good += one_child();
    over = true;
    for (unsigned i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    printf("%u children\n", good);
    return 0;
}
