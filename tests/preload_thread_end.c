/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * preload_thread_end.c -- main ends by pthread_exit while others go on, a thread ends the process
 * by exit, and that thread's destructors allocate. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_t main_thread;
static pthread_key_t key;

static void destroy(void *value)
{
    free(value);
    free(malloc(3000));
}

static void *go_on(void *block)
{
    pthread_join(main_thread, NULL);
    for (size_t i = 0; i < 5000; i++) free(malloc(i));
    free(block);
    puts("ended by a thread");
    exit(6);
}

int main(void)
{
    pthread_t thread;
    char *block = malloc(500);

    if (block == NULL || pthread_key_create(&key, destroy) != 0) return 99;
    memset(block, 1, 500);
    pthread_setspecific(key, malloc(100));
    main_thread = pthread_self();
    if (pthread_create(&thread, NULL, go_on, block) != 0) return 99;
    pthread_exit(NULL);
}
