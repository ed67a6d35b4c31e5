/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* idle.c -- what a small process does, and then waits: layout.sh looks at its memory from outside.  No stdio. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
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
