/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_run.c -- run one program under one allocator and say what it used: `cpu_ns peak_kib faults wall_ns`.
 *
 * Not the shell's `time`: that has no memory, rounds to milliseconds, and the shell would have the allocator
 * under it too.  Here only the program gets LD_PRELOAD.  It is spawned from a small process, as its peak
 * begins with what its maker had.  CPU, peak and faults are those of the program and of all the children that
 * it waited for; the peak is that of the largest of them.
 *
 * The status is the program's own, 128 + N for signal N, and 127 when it could not be started. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static uint64_t run_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t run_ns(struct timeval time)
{
    return ((uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec) * 1000u;
}

static void run_report(const char *file, const struct rusage *used, uint64_t wall)
{
    char line[128];
    int bytes = snprintf(line, sizeof line, "%llu %ld %ld %llu\n",
                         (unsigned long long)(run_ns(used->ru_utime) + run_ns(used->ru_stime)),
                         used->ru_maxrss, used->ru_minflt + used->ru_majflt, (unsigned long long)wall);
    int fd = file ? open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : STDERR_FILENO;
    if (fd < 0 || write(fd, line, (size_t)bytes) != bytes) {
        fprintf(stderr, "bench_run: %s: %s\n", file ? file : "standard error", strerror(errno));
        exit(2);
    }
}

/* Start argv[0]; what it used, and its status. */
static int run_program(char **argv, struct rusage *used)
{
    pid_t child;
    int status;
    int error = posix_spawnp(&child, argv[0], NULL, NULL, argv, environ);
    if (error) {
        fprintf(stderr, "bench_run: %s: %s\n", argv[0], strerror(error));
        exit(127);
    }
    while (wait4(child, &status, 0, used) < 0)
        if (errno != EINTR) exit(2);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    const char *file = NULL, *object = NULL;
    int option;
    while ((option = getopt(argc, argv, "+o:p:")) != -1) {
        if (option == 'o')
            file = optarg;
        else if (option == 'p')
            object = optarg;
        else
            argc = 0;
    }
    if (argc <= optind) {
        fprintf(stderr, "usage: bench_run [-o FILE] [-p OBJECT] PROGRAM [ARGUMENT...]\n"
                        "  -o  write `cpu_ns peak_kib faults wall_ns` there (standard error)\n"
                        "  -p  the allocator to preload (none)\n");
        return 2;
    }
    if (object && *object) setenv("LD_PRELOAD", object, 1);
    struct rusage used;
    uint64_t begin = run_now();
    int status = run_program(argv + optind, &used);
    run_report(file, &used, run_now() - begin);
    return status;
}
