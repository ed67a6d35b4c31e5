/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_startup.c -- a process that has made one block and is idle: startup.sh reads its maps from outside.
 *
 * Says `ready` when the block is made, then waits to be ended.  No stdio, which would make blocks of its own.
 */
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    char *volatile block = malloc(100);
    if (!block) return 2;
    block[0] = 1;
    if (write(STDOUT_FILENO, "ready\n", 6) != 6) return 3;
    close(STDOUT_FILENO);
    for (;;)
        pause();
}
