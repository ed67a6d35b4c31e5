/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * modes_system.c -- programs in surroundings that lack something.
 *
 *   modes_system traced PROGRAM ARGUMENTS   each system call of it and its children is stopped and let go on
 *   modes_system fixed PROGRAM ARGUMENTS    no addresses are random
 *   modes_system plain PROGRAM ARGUMENTS    it may gain no privileges (no_new_privs)
 *   modes_system empty PROGRAM ARGUMENTS    its environment is no list at all (NULL)
 *   modes_system no-proc PROGRAM ARGUMENTS  /proc is gone; 77: this user may not take it away
 *   modes_system descriptors                all are closed, none can be opened; then the program opens its own
 *   modes_system environment                writes over its environment, clears it, and goes on
 *   modes_system errno                      what free must leave and a failure must set
 *
 * The last three say "done", or what went wrong. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PTRACE_O_EXITKILL
#define PTRACE_O_EXITKILL 0x100000
#endif

#define MUST(condition)                                                              \
    do {                                                                             \
        if (!(condition)) {                                                          \
            (void)!write(STDOUT_FILENO, "not " #condition "\n", sizeof #condition + 4); \
            return 1;                                                                \
        }                                                                            \
    } while (0)

/* ---- another program ------------------------------------------------------------------------------------ */

/* Statuses of all its threads and children, until the first of them ends. */
static int trace(char **command)
{
    unsigned stops = 0;
    int status;
    const pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(77);
        raise(SIGSTOP);
        execv(command[0], command);
        _exit(99);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return 99;
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, options) != 0) return 77;
    for (pid_t at = child;;) {
        int signal = 0;
        if (WIFSTOPPED(status)) {
            signal = WSTOPSIG(status);
            stops += signal == (SIGTRAP | 0x80);
            if (signal == (SIGTRAP | 0x80) || signal == SIGTRAP || signal == SIGSTOP) signal = 0;
            (void)ptrace(PTRACE_SYSCALL, at, NULL, (long)signal);
        }
        at = waitpid(-1, &status, __WALL);
        if (at < 0) return 98;
        if (at == child && WIFSIGNALED(status)) return 128 + WTERMSIG(status);
        if (at == child && WIFEXITED(status)) return stops > 100 ? WEXITSTATUS(status) : 97;
    }
}

static bool take_proc_away(void)
{
    return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && umount2("/proc", MNT_DETACH) == 0 &&
           access("/proc/self", F_OK) != 0;
}

/* ---- descriptors ------------------------------------------------------------------------------------------ */

static void *use(void *failed)
{
    for (size_t i = 0; i < 3000; i++) {
        char *block = malloc(i * 211 % 70000 + 1);
        if (block == NULL) return failed;
        block[0] = 1;
        free(block);
    }
    free(malloc(3 << 20));
    return NULL;
}

static bool use_with_thread(void)
{
    static char mark;
    pthread_t thread;
    void *result = &mark;
    return use(&mark) == NULL && pthread_create(&thread, NULL, use, &mark) == 0 && pthread_join(thread, &result) == 0 && result == NULL;
}

static bool child_uses(void)
{
    int status = 1;
    const pid_t child = fork();
    if (child == 0) _exit(use_with_thread() ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static int descriptors(void)
{
    static const rlim_t most[] = { 0, 3 };
    struct rlimit before;
    const int out = fcntl(STDOUT_FILENO, F_DUPFD, 900);
    MUST(out >= 900 && getrlimit(RLIMIT_NOFILE, &before) == 0);
    for (int fd = 0; fd < 1024; fd++)
        if (fd != out) close(fd);
    bool all = true;
    for (unsigned i = 0; i < 2; i++) {
        const struct rlimit none = { most[i], before.rlim_max };
        all = all && setrlimit(RLIMIT_NOFILE, &none) == 0 && use_with_thread() && child_uses();
    }
    all = all && setrlimit(RLIMIT_NOFILE, &before) == 0;
    char name[] = "/tmp/modes-XXXXXX";
    const int file = mkstemp(name); /* the lowest is free: nobody has opened any */
    all = all && file == 0 && use_with_thread() && child_uses() && lseek(file, 0, SEEK_END) == 0;
    unlink(name);
    dup2(out, STDOUT_FILENO);
    MUST(all);
    return 0;
}

/* ---- the environment --------------------------------------------------------------------------------------- */

extern char **environ;

static int environment(void)
{
    static char entry[] = "PRIVHEAP_MAX_SIZE=1m", *own[] = { entry, NULL };
    char *first = environ[0];
    char **last = environ;
    while (*last != NULL) last++;
    MUST(last != environ);
    memset(first, 'x', (size_t)(last[-1] + strlen(last[-1]) - first)); /* as a program does that shows its state in ps */
    MUST(use_with_thread() && child_uses());
    MUST(setenv("A", "new one", 1) == 0 && strcmp(getenv("A"), "new one") == 0);
    MUST(clearenv() == 0 && use_with_thread() && child_uses());
    MUST(putenv(entry) == 0 && use_with_thread());
    environ = NULL;
    MUST(use_with_thread() && child_uses());
    MUST(setenv("B", "first", 1) == 0 && strcmp(getenv("B"), "first") == 0 && unsetenv("B") == 0);
    environ = own;
    MUST(use_with_thread() && child_uses());
    return 0;
}

/* ---- errno --------------------------------------------------------------------------------------------------- */

static int leave_errno(void)
{
    static const size_t sizes[] = { 0, 1, 100, 1024, 5000, 100000, 1 << 20, 40 << 20, (size_t)200 << 20 };
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        errno = 4711;
        char *block = malloc(sizes[i]), *zeroed = calloc(1, sizes[i]);
        MUST(block != NULL && zeroed != NULL && errno == 4711);
        block = realloc(block, sizes[i] + 5000);
        MUST(block != NULL && errno == 4711);
        free(block);
        free(zeroed); /* the large ones by munmap */
        free(NULL);
        MUST(errno == 4711);
        block = malloc(sizes[i] + 1);
        errno = 0;
        MUST(realloc(block, (size_t)PTRDIFF_MAX) == NULL && errno == ENOMEM);
        free(block);
    }
    static const size_t huge[] = { (size_t)1 << 46, (size_t)1 << 48, (size_t)1 << 62, PTRDIFF_MAX, SIZE_MAX - 4096, SIZE_MAX };
    for (unsigned i = 0; i < sizeof huge / sizeof *huge; i++) {
        errno = 0;
        MUST(malloc(huge[i]) == NULL && errno == ENOMEM);
        errno = 0;
        MUST(calloc(huge[i] / 16, 17) == NULL && errno == ENOMEM);
        errno = 0;
        MUST(aligned_alloc(4096, huge[i] & ~(size_t)4095) == NULL && errno == ENOMEM);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    char *none = NULL;
    int status = 99;

    if (strcmp(verb, "traced") == 0 && argc > 2) return trace(argv + 2);
    if (strcmp(verb, "fixed") == 0 && personality(ADDR_NO_RANDOMIZE) == -1) return 77;
    if (strcmp(verb, "plain") == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 77;
    if (strcmp(verb, "no-proc") == 0 && !take_proc_away()) return 77;
    if (strcmp(verb, "empty") == 0 && argc > 2) return execve(argv[2], argv + 2, &none);
    if (argc > 2) return execv(argv[2], argv + 2);
    if (strcmp(verb, "descriptors") == 0) status = descriptors();
    if (strcmp(verb, "environment") == 0) status = environment();
    if (strcmp(verb, "errno") == 0) status = leave_errno();
    if (status == 0) status = write(STDOUT_FILENO, "done\n", 5) != 5;
    return status;
}
