/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * double_free_after_fork.c -- a child frees again what its parent had freed. */
#include "misuse.h"

#include <signal.h>
#include <sys/wait.h>

int main(void)
{
    void *block = malloc(48);
    int status = 0;

    free(hide(block));
    pid_t child = fork();
    if (child == 0) {
        free(hide(block));
        go_on_with(48);
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
        signal(SIGABRT, SIG_DFL);
        raise(WTERMSIG(status));
    }
    return not_caught();
}
