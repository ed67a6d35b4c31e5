/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_thread_exit.c -- a thread frees a block twice and ends. */
#include "misuse.h"

#include <pthread.h>

static void *free_twice(void *block)
{
    free(hide(block));
    free(hide(block));
    return NULL;
}

int main(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, free_twice, malloc(48));
    pthread_join(thread, NULL);
    go_on_with(48);
    return not_caught();
}
