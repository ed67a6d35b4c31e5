/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* idle.c -- what a small process does, and then waits: layout.sh looks at its memory from outside.  No stdio.  With an
 * argument, what a compiler or an interpreter does as well: blocks that grow step by step, blocks of every size, a signal. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void grow(size_t most)
{
    char *volatile text = NULL;
    for (size_t bytes = 40; bytes < most; bytes += bytes / 3 + 1) {
        if ((text = realloc(text, bytes)) == NULL) _exit(2);
        text[bytes - 1] = 1;
    }
    free(text);
}

static void work(void)
{
    enum { COUNT = 4000 };
    static char *volatile block[COUNT];
    (void)signal(SIGUSR1, SIG_IGN);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            const size_t bytes = i % 100 == 0 ? 20000 + i * 10 : 16 + i % 200 * 16;
            block[i] = i % 2 == 0 ? malloc(bytes) : calloc(1, bytes);
            if (block[i] == NULL) _exit(2);
            block[i][bytes - 1] = 1;
        }
        for (unsigned i = 0; i < COUNT; i++)
            free(block[i]);
        grow(4 << 20);
    }
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        work();
    enum { COUNT = 120 };
    static void *volatile block[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        const size_t bytes = 16 + i % 3 * 16 + (i % 7 == 0 ? 200 : 0);
        if ((block[i] = malloc(bytes)) == NULL) return 2;
        memset(block[i], 1, bytes);
        if (i % 3 == 0) free(block[i]);
    }
    if (write(STDOUT_FILENO, "ready\n", 6) != 6) return 3;
    close(STDOUT_FILENO);
    for (;;)
        pause();
}
