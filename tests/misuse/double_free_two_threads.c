/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_two_threads.c -- a block freed by its thread and by another one. */
#include "misuse.h"

#include <pthread.h>

static void *free_it_too(void *block)
{
    free(hide(block));
    return NULL;
}

int main(void)
{
    pthread_t thread;
    void *block = malloc(48);

    free(hide(block));
    pthread_create(&thread, NULL, free_it_too, block);
    pthread_join(thread, NULL);
    go_on_with(48);
    return not_caught();
}
