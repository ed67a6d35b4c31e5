/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* patterns_process.c -- what it costs to be there at all: start-up, and a process that does nothing. */
#include "pattern.h"
#include <dlfcn.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

/* -- Start-up: this program again, which makes one block and ends.  Its CPU time is in what its maker waited
 * for. */

static uint64_t process_spawn(struct worker *worker)
{
    static char name[] = "bench_patterns", what[] = "nothing";
    char *const argv[] = { name, what, NULL };
    pid_t child;
    int status;
    (void)worker;
    if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ) != 0)
        pattern_fail("bench: no process\n");
    if (waitpid(child, &status, 0) != child || status != 0) pattern_fail("bench: a process failed\n");
    return 1;
}

static uint64_t process_block(struct worker *worker)
{
    (void)worker;
    pattern_free(pattern_block(100));
    return 1;
}

static uint64_t process_nothing(struct worker *worker) { _exit(process_block(worker) == 1 ? 0 : 1); }

/* -- Which file malloc is in: an object may load and yet replace nothing. */

static uint64_t process_where(struct worker *worker)
{
    Dl_info info;
    void *(*where)(size_t) = malloc;
    void *address;
    (void)worker;
    memcpy(&address, &where, sizeof address);
    if (dladdr(address, &info) == 0) pattern_fail("bench: malloc is nowhere\n");
    _exit(puts(info.dli_fname) < 0 || fflush(stdout) != 0);
}

const struct pattern patterns_process[] = {
    { .name = "startup", .step = process_spawn, .operation = "process started, one block, ended" },
    { .name = "idle",
      .step = process_block,
      .operation = "one block; the peak and the rest are what counts" },
    { .name = "nothing", .step = process_nothing, .operation = "(what startup starts; prints no line)" },
    { .name = "where", .step = process_where, .operation = "(prints the file that malloc is in)" },
    { .name = NULL },
};
