/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_two_others.c -- a block freed by two threads that did not make it, at one time. */
#include "misuse.h"

#include <pthread.h>

static pthread_barrier_t both_there;

static void *free_it(void *block)
{
    pthread_barrier_wait(&both_there);
    free(hide(block));
    return NULL;
}

int main(void)
{
    pthread_t one, two;
    void *block = malloc(48);

    pthread_barrier_init(&both_there, NULL, 2);
    pthread_create(&one, NULL, free_it, block);
    pthread_create(&two, NULL, free_it, block);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    go_on_with(48);
    return not_caught();
}
