/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * preload_life.c -- allocates in every phase of a process, from the first constructor to the last
 * destructor, and keeps blocks from each phase to the next.  One line a phase on standard output,
 * which needs no buffer. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PHASES = 9, BLOCKS = 40 };

static unsigned char *kept[PHASES][BLOCKS];

static size_t bytes_of(unsigned i)
{
    return i < 30 ? 10 + i * 40 : (size_t)i * i * 100;
}

static void say(const char *words)
{
    if (write(STDOUT_FILENO, words, strlen(words)) < 0) _exit(98);
}

/* Check and free the blocks of the phase before, make those of this one. */
static void phase(unsigned number, const char *words)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        unsigned char *block = number > 0 ? kept[number - 1][i] : NULL;
        if (block != NULL && (block[0] != number - 1 || block[bytes_of(i) - 1] != number - 1)) _exit(97);
        free(block);
        free(malloc(bytes_of(i)));
        block = calloc(1, bytes_of(i) / 2 + 1);
        if (block == NULL || block[bytes_of(i) / 2] != 0) _exit(96);
        block = realloc(block, bytes_of(i));
        if (block == NULL) _exit(95);
        memset(block, (int)number, bytes_of(i));
        kept[number][i] = block;
    }
    say(words);
}

static void *in_thread(void *unused)
{
    phase(2, "a thread of a constructor\n");
    return unused;
}

__attribute__((constructor(101))) static void first_constructor(void)
{
    phase(0, "the first constructor\n");
}

static void at_exit_of_constructor(void)
{
    phase(6, "atexit, registered by a constructor\n");
}

__attribute__((constructor)) static void last_constructor(void)
{
    pthread_t thread;

    phase(1, "the last constructor\n");
    if (pthread_create(&thread, NULL, in_thread, NULL) != 0) _exit(94);
    pthread_join(thread, NULL);
    atexit(at_exit_of_constructor);
}

static void at_exit(void)
{
    phase(5, "atexit, registered by main\n");
}

__attribute__((destructor)) static void first_destructor(void)
{
    phase(7, "the first destructor\n");
}

__attribute__((destructor(101))) static void last_destructor(void)
{
    phase(8, "the last destructor\n");
}

int main(int argc, char **argv)
{
    char *environment = getenv("HOME");

    phase(3, "main\n");
    if (argc > 1) say(argv[1]);
    if (argc > 2 && environment != NULL) say("there is an environment\n");
    atexit(at_exit);
    phase(4, "main, again\n");
    return 7;
}
