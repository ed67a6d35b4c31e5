/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * modes_seccomp.c -- programs whose system calls are filtered: refused with an errno value, or deadly.
 *
 *   modes_seccomp deny ERROR CALL[,CALL...] PROGRAM ARGUMENTS  PROGRAM finds these calls refused from its start
 *   modes_seccomp work          blocks of all sizes, in threads, over a fork; "done"
 *   modes_seccomp killed        the same after a filter that kills: see `allowed`
 *   modes_seccomp killed-full   the same filter; memory ends while other threads have blocks in hand
 *   modes_seccomp killed-other  the same filter; blocks of libc's own malloc come to free and realloc
 *
 * Exit status 77: this system has no filters. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#endif

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN_UNLESS(value, verdict) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1), BPF_STMT(BPF_RET | BPF_K, verdict)

#define SAY(text) (void)!write(STDOUT_FILENO, text "\n", sizeof text)

/* ---- filters ---------------------------------------------------------------------------------- */

enum { MOST_RULES = 100 };

static struct sock_filter rules[MOST_RULES];
static unsigned short rule_count;

static void add(struct sock_filter rule)
{
    if (rule_count == MOST_RULES) _exit(99);
    rules[rule_count++] = rule;
}

static void add_call(uint32_t call, uint32_t verdict)
{
    const struct sock_filter both[] = { RETURN_UNLESS(call, verdict) };
    add(both[0]);
    add(both[1]);
}

static void begin_rules(void)
{
    rule_count = 0;
    add((struct sock_filter)LOAD(nr));
}

static void install(uint32_t verdict_for_others)
{
    struct sock_fprog program = { .filter = rules };

    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict_for_others));
    program.len = rule_count;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        SAY("skipped: this system has no filters");
        _exit(77);
    }
}

/* What malloc, free, realloc, calloc and fork may need; and what libc needs to end threads and processes,
 * and this program to speak. */
static const int allowed[] = {
    SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_futex,
    SYS_write, SYS_exit, SYS_exit_group, SYS_wait4, SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_clone, SYS_set_robust_list,
};

static void install_killing(void)
{
    begin_rules();
    for (unsigned i = 0; i < COUNT(allowed); i++) add_call((uint32_t)allowed[i], SECCOMP_RET_ALLOW);
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3));
    add((struct sock_filter)LOAD(args[2]));
    add_call(MADV_DONTNEED, SECCOMP_RET_ALLOW);
    install(SECCOMP_RET_KILL_PROCESS);
}

static const struct {
    const char *name;
    int call;
} names[] = {
    { "madvise", SYS_madvise }, { "getrandom", SYS_getrandom }, { "membarrier", SYS_membarrier }, { "prctl", SYS_prctl },
    { "openat", SYS_openat },   { "mincore", SYS_mincore },     { "mremap", SYS_mremap },
};

static bool add_by_name(const char *name, uint32_t verdict)
{
    for (unsigned i = 0; i < COUNT(names); i++)
        if (strcmp(names[i].name, name) == 0) {
            add_call((uint32_t)names[i].call, verdict);
            return true;
        }
    return false;
}

static int deny(int error, char *list, char **command)
{
    begin_rules();
    for (char *name = strtok(list, ","); name != NULL; name = strtok(NULL, ","))
        if (!add_by_name(name, SECCOMP_RET_ERRNO | (uint32_t)error)) return 2;
    install(SECCOMP_RET_ALLOW);
    execv(command[0], command);
    return 99;
}

/* ---- work --------------------------------------------------------------------------------------- */

static bool is_all(const unsigned char *bytes, size_t count, unsigned char value)
{
    return count == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, count - 1) == 0);
}

static bool use_one(size_t bytes)
{
    unsigned char *block = malloc(bytes), *zeroed = calloc(1, bytes);
    if (block == NULL || zeroed == NULL || !is_all(zeroed, bytes, 0)) return false;
    memset(block, 5, bytes);
    unsigned char *grown = realloc(block, bytes * 3);
    if (grown == NULL || !is_all(grown, bytes, 5)) return false;
    unsigned char *shrunk = realloc(grown, bytes / 2 + 1);
    if (shrunk == NULL || shrunk[bytes / 2] != 5) return false;
    free(shrunk);
    free(zeroed);
    return true;
}

/* More than any region that was there at the start; more than is kept dirty. */
static bool use_many(size_t bytes, size_t count)
{
    unsigned char **block = calloc(count, sizeof *block);
    bool all = block != NULL;
    for (size_t i = 0; all && i < count; i++) {
        all = (block[i] = malloc(bytes)) != NULL;
        if (all) memset(block[i], (int)(i & 127), bytes);
    }
    for (size_t i = 0; all && i < count; i++) all = is_all(block[i], bytes, i & 127);
    for (size_t i = 0; block != NULL && i < count; i++) free(block[i]);
    free(block);
    return all;
}

static bool use(void)
{
    for (size_t bytes = 1; bytes < (size_t)16 << 20; bytes = bytes * 2 + 1)
        if (!use_one(bytes)) return false;
    return use_many(100, 50000) && use_many(3000, 30000) && use_many(70000, 300) && use_many(1 << 20, 20);
}

static bool use_in_child(void)
{
    int status = 1;
    pid_t child = fork();
    if (child == 0) _exit(use() ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* Threads are there before the filter is, with blocks in hand; they work and end after it. */
enum { THREADS = 3 };
static pthread_barrier_t filtered;

static void *take_wait_and_use(void *wait)
{
    void *block[400];
    for (unsigned i = 0; i < COUNT(block); i++) block[i] = malloc(1000);
    for (unsigned i = 0; i < COUNT(block); i++) free(block[i]);
    pthread_barrier_wait(&filtered);
    if (wait == NULL) return use() ? NULL : &filtered;
    pthread_barrier_wait(&filtered);
    return NULL;
}

static bool join(const pthread_t *thread)
{
    void *result = NULL;
    bool all = true;
    for (unsigned i = 0; i < THREADS; i++) all = pthread_join(thread[i], &result) == 0 && result == NULL && all;
    return all;
}

static bool begin(pthread_t *thread, void *wait)
{
    pthread_barrier_init(&filtered, NULL, THREADS + 1);
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, take_wait_and_use, wait) != 0) return false;
    return true;
}

static int work(bool killing)
{
    pthread_t thread[THREADS];
    if (!begin(thread, NULL)) return 99;
    if (killing) install_killing();
    pthread_barrier_wait(&filtered);
    bool all = use();
    all = join(thread) && use_in_child() && use() && all;
    if (all) SAY("done");
    return all ? 0 : 1;
}

/* The last try before NULL takes back what the other threads have in hand. */
static size_t fill(void)
{
    struct link {
        struct link *next;
    } *list = NULL;
    size_t count = 0;
    for (struct link *one; (one = malloc(1000)) != NULL; count++) {
        one->next = list;
        list = one;
    }
    while (list != NULL) {
        struct link *next = list->next;
        free(list);
        list = next;
    }
    return count;
}

static int work_full(void)
{
    const struct rlimit space = { (rlim_t)256 << 20, (rlim_t)256 << 20 };
    pthread_t thread[THREADS];
    if (!begin(thread, thread) || setrlimit(RLIMIT_AS, &space) != 0) return 99;
    install_killing();
    pthread_barrier_wait(&filtered);
    const size_t first = fill(), second = fill();
    pthread_barrier_wait(&filtered);
    const bool all = join(thread) && first > 10000 && second >= first - first / 50;
    if (all) SAY("done");
    return all ? 0 : 1;
}

static int work_with_others(void)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW);
    void *(*take)(size_t) = (void *(*)(size_t))dlsym(libc, "malloc");
    if (take == NULL || take == malloc) return 77;
    char *one = take(100), *other = take(100);
    strcpy(other, "from libc");
    install_killing();
    free(one);
    other = realloc(other, 1000);
    const bool all = other != NULL && strcmp(other, "from libc") == 0;
    if (all) SAY("done");
    return all ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "deny") == 0 && argc > 4) return deny(atoi(argv[2]), argv[3], argv + 4);
    if (strcmp(verb, "work") == 0) return work(false);
    if (strcmp(verb, "killed") == 0) return work(true);
    if (strcmp(verb, "killed-full") == 0) return work_full();
    if (strcmp(verb, "killed-other") == 0) return work_with_others();
    fprintf(stderr, "modes_seccomp: see the head of modes_seccomp.c\n");
    return 2;
}
