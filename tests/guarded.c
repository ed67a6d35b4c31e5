/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* guarded.c -- one access to a guarded block, and what surrounds a report of it: guard.sh says what must come of each.
 *
 * Exit status 0: came to its end; 7: own handler; 3: something was not as it should be.
 */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#pragma GCC diagnostic ignored "-Wuse-after-free" /* that is what it is about */
#endif

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SMALL = 48, WIDE = 20000, END_OWN = 7, END_WRONG = 3 };

static char *volatile block;

#define NEED(cond) ((cond) ? (void)0 : need_failed(#cond))
static void need_failed(const char *what)
{
    (void)!write(STDERR_FILENO, what, strlen(what));
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(END_WRONG);
}

static volatile char *new_block(size_t bytes)
{
    block = malloc(bytes);
    NEED(block != NULL);
    memset(block, 1, bytes);
    return block;
}

/* ---- accesses ---- */

static void write_behind(void) { new_block(SMALL)[SMALL] = 0; }
static void read_behind(void) { NEED(new_block(SMALL)[SMALL + 100] != 77); }
static void write_far_behind(void) { new_block(SMALL)[SMALL + 5000] = 0; }
static void write_before(void) { new_block(SMALL)[-5000] = 0; }
static void write_behind_wide(void) { new_block(WIDE)[WIDE] = 0; }
static void read_before_wide(void) { NEED(new_block(WIDE)[-70000 + WIDE] != 77); }

static void write_behind_aligned(void)
{
    char *volatile aligned = NULL;
    NEED(posix_memalign((void **)(uintptr_t)&aligned, 64, 128) == 0 && (uintptr_t)aligned % 64 == 0);
    aligned[128] = 0;
}

static void write_behind_zeroed(void)
{
    block = calloc(4, 12);
    volatile char *at = block; /* the compiler must not know its size */
    for (int i = 0; i < SMALL; i++)
        NEED(at[i] == 0);
    at[SMALL] = 0;
}

static bool is_tolerant(void)
{
    const char *mode = getenv("PRIVHEAP_MODE");
    return mode != NULL && strcmp(mode, "tolerant") == 0;
}

static void read_freed(void)
{
    volatile char *at = new_block(SMALL);
    free(block);
    NEED(at[3] == (is_tolerant() ? 1 : 0)); /* elsewhere what it held has gone back */
}

static void write_freed(void)
{
    volatile char *at = new_block(SMALL);
    free(block);
    at[0] = 2;
}

static void write_moved(void)
{
    volatile char *old = new_block(SMALL);
    char *volatile now = realloc(block, 2 * SMALL);
    NEED(now != NULL && now[SMALL - 1] == 1);
    old[1] = 2;
    free(now);
}

static void free_twice(void)
{
    (void)new_block(SMALL);
    free(block);
    free(block);
}

static void free_inside(void) { free((char *)(uintptr_t)new_block(SMALL) + 16); }
static void free_far_inside(void) { free((char *)(uintptr_t)new_block(WIDE) + 16384); }

/* What no guard sees is found by the pattern around the block. */
static void change_tail_and_free(void)
{
    new_block(SMALL + 1)[SMALL + 1] = 0;
    free(block);
}

static void change_tail_and_resize(void)
{
    new_block(SMALL + 1)[SMALL + 1] = 0;
    block = realloc(block, 1000);
}

static void change_tail_and_exit(void) { new_block(SMALL + 1)[SMALL + 1] = 0; }

static void change_before_and_free(void)
{
    new_block(SMALL)[-1] = 0;
    free(block);
}

/* ---- what is right ---- */

static void use_all_of_it(void)
{
    for (size_t bytes = 0; bytes < 70000; bytes += bytes / 7 + 1) {
        (void)new_block(bytes);
        const size_t usable = malloc_usable_size(block);
        NEED(usable >= bytes);
        memset(block, 2, usable);
        char *volatile same = realloc(block, usable > 0 ? usable : 1);
        NEED(same != NULL && (usable == 0 || same == block));
        char *volatile more = realloc(same, bytes + 1000);
        NEED(more != NULL && (bytes == 0 || more[bytes - 1] == 2));
        char *volatile less = realloc(more, bytes / 2 + 1);
        NEED(less != NULL && (bytes < 2 || less[bytes / 2 - 1] == 2));
        free(less);
    }
}

enum { MANY = 3000 };
static void take_many(void)
{
    static unsigned char *held[MANY];
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < MANY; i++) {
            const size_t bytes = (size_t)(i * 37 % 900 + 1);
            if (held[i] != NULL)
                NEED(held[i][0] == (unsigned char)i && held[i][bytes - 1] == (unsigned char)i);
            if (held[i] == NULL || (i + round) % 3 == 0) {
                free(held[i]);
                held[i] = (unsigned char *)malloc(bytes);
                NEED(held[i] != NULL);
                memset(held[i], i, bytes);
            }
        }
}

static void *take_in_thread(void *unused)
{
    for (int i = 0; i < 20000; i++) {
        char *volatile one = malloc((size_t)(i % 500 + 1));
        NEED(one != NULL);
        one[0] = one[i % 500] = 1;
        char *volatile two = realloc(one, (size_t)(i % 700 + 1));
        NEED(two != NULL && two[0] == 1);
        free(two);
    }
    return unused;
}

static void take_in_threads(void)
{
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&thread[i], NULL, take_in_thread, NULL) == 0);
    for (int i = 0; i < 4; i++)
        NEED(pthread_join(thread[i], NULL) == 0);
}

/* More of them than there are slots. */
static void zero_again(void)
{
    for (int i = 0; i < 12000; i++) {
        block = calloc(1, 100);
        NEED(block != NULL);
        for (int at = 0; at < 100; at++)
            NEED(block[at] == 0);
        memset(block, 7, 100);
        free(block);
    }
}

/* ---- threads and processes ---- */

static void *read_it(void *at) { return (void *)(uintptr_t)((volatile char *)at)[5]; }

static void read_freed_in_thread(void)
{
    pthread_t thread;
    void *at = (void *)(uintptr_t)new_block(SMALL);
    free(block);
    NEED(pthread_create(&thread, NULL, read_it, at) == 0);
    (void)pthread_join(thread, NULL);
}

/* The child of a fork has all of it; what it does there stays there. */
static void write_freed_in_child(void)
{
    int status;
    volatile char *live = new_block(SMALL), *at = new_block(SMALL);
    free(block);
    const pid_t child = fork();
    if (child == 0) {
        free((void *)(uintptr_t)live);
        (void)new_block(SMALL);
        at[0] = 1;
        _exit(0);
    }
    NEED(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    NEED(live[0] == 1);
    free((void *)(uintptr_t)live);
}

/* ---- handlers of the program ---- */

static volatile void *seen_address;

static void own_handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    seen_address = info->si_addr;
    _exit(seen_address == (void *)16 ? END_OWN : END_WRONG);
}

static void catch_it(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    NEED(sigaction(SIGSEGV, &action, NULL) == 0);
}

/* Before main, and before any block was made. */
__attribute__((constructor)) static void catch_early(int argc, char **argv)
{
    if (argc > 1 && strncmp(argv[1], "early_", 6) == 0)
        catch_it(own_handler);
}

static char *volatile nothing = (char *)16;
static void touch_nothing(void) { *(volatile char *)nothing = 1; }

static void early_own(void)
{
    (void)new_block(SMALL);
    touch_nothing();
}

static void early_raise(void)
{
    (void)new_block(SMALL);
    catch_it(own_handler);
    (void)raise(SIGSEGV);
}

static jmp_buf back;
static void jump_handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    seen_address = info->si_addr;
    longjmp(back, 1);
}

/* One that it installs later has every fault, ours too. */
static void late_own(void)
{
    volatile char *at = new_block(SMALL);
    catch_it(jump_handler);
    if (setjmp(back) == 0)
        at[SMALL] = 0;
    NEED(seen_address == at + SMALL);
    _exit(END_OWN);
}

static void wild(void)
{
    (void)new_block(SMALL);
    touch_nothing();
}

static void raised(void)
{
    (void)new_block(SMALL);
    (void)raise(SIGSEGV);
}

static void ignored(void)
{
    (void)new_block(SMALL);
    signal(SIGSEGV, SIG_IGN);
    (void)raise(SIGSEGV);
}

static void do_nothing(int number) { (void)number; }

/* Whoever installs a handler only where there is none finds none; and when he is gone, ours is there again. */
static void default_and_back(void)
{
    struct sigaction found;
    (void)new_block(SMALL);
    NEED(sigaction(SIGSEGV, NULL, &found) == 0 && found.sa_handler == SIG_DFL && found.sa_flags == 0);
    NEED(signal(SIGBUS, do_nothing) == SIG_DFL && signal(SIGBUS, SIG_DFL) == do_nothing && signal(SIGBUS, SIG_DFL) == SIG_DFL);
    NEED(sigaction(SIGSEGV, &(struct sigaction){.sa_handler = do_nothing}, NULL) == 0 && sigaction(SIGSEGV, &found, NULL) == 0);
    write_behind();
}

static void *fault_on_alternative_stack(void *stack)
{
    const stack_t other = {.ss_sp = stack, .ss_size = 16384};
    NEED(sigaltstack(&other, NULL) == 0);
    write_behind();
    return NULL;
}

static void alternative_stack(void)
{
    static char stack[16384];
    pthread_t thread;
    (void)new_block(SMALL);
    NEED(pthread_create(&thread, NULL, fault_on_alternative_stack, stack) == 0);
    (void)pthread_join(thread, NULL);
}

/* ---- large blocks of secure and tolerant mode ---- */

enum { MB = 1 << 20 };

static void shrink_large(void)
{
    enum { COUNT = 8, WAS = 16 * MB, IS = 2 * MB, MOST_UNITS = 64 * MB / 4096 };
    long all = 0, resident = 0;
    for (int i = 0; i < COUNT; i++) {
        char *volatile kept = realloc((char *)(uintptr_t)new_block(WAS), IS);
        NEED(kept != NULL && kept[IS - 1] == 1);
    }
    FILE *statm = fopen("/proc/self/statm", "r");
    NEED(statm != NULL && fscanf(statm, "%ld %ld", &all, &resident) == 2);
    NEED(resident < MOST_UNITS);
    fclose(statm);
}

/* A process may have 65,530 mappings. */
static void take_many_large(void)
{
    enum { COUNT = 40000, EACH = 128 * 1024 };
    for (int i = 0; i < COUNT; i++) {
        char *volatile large = malloc(EACH);
        NEED(large != NULL);
        large[0] = large[EACH - 1] = 1;
    }
}

/* ---- the end, while other threads are at it ---- */

static void *take_and_give(void *seed)
{
    enum { COUNT = 200, MULTIPLIER = 1103515245 };
    char *volatile held[COUNT] = {NULL};
    for (unsigned next = (unsigned)(uintptr_t)seed;;) {
        next = next * MULTIPLIER + 12345;
        char *volatile *place = &held[next / 256 % COUNT];
        free(*place);
        *place = malloc(next / 65536 % 300);
        NEED(*place != NULL);
    }
    return NULL;
}

static void start_threads(void)
{
    pthread_t thread;
    for (uintptr_t i = 1; i <= 3; i++)
        NEED(pthread_create(&thread, NULL, take_and_give, (void *)i) == 0);
    usleep(5000);
}

static void exit_amid_threads(void)
{
    start_threads();
    malloc_trim(0);
    exit(0);
}

static void exit_in_child_of_threads(void)
{
    enum { CHILDREN = 12, LATER_US = 150000 };
    int status;
    start_threads();
    for (int i = 0; i < CHILDREN; i++) {
        const pid_t pid = fork();
        NEED(pid >= 0);
        if (pid == 0) {
            usleep(LATER_US);
            exit(0);
        }
    }
    for (int i = 0; i < CHILDREN; i++)
        NEED(wait(&status) > 0 && status == 0);
}

/* ---- which blocks of secure mode ---- */

/* What libc takes first, for the names of a locale and the like, leaves the program's own their guards. */
static void write_after_names(void)
{
    for (int i = 0; i < 150; i++)
        NEED(strdup("name") != NULL);
    write_behind();
}

static int mappings(void)
{
    int lines = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    for (int c; maps != NULL && (c = getc(maps)) != EOF;)
        lines += c == '\n';
    if (maps != NULL)
        fclose(maps);
    return lines;
}

/* Fork copies each. */
static void few_mappings(void)
{
    enum { BLOCKS = 500, MOST = 80 };
    const int before = mappings();
    for (size_t i = 0; i < BLOCKS; i++)
        (void)new_block(i + 1);
    NEED(mappings() - before <= MOST);
}

/* ---- blocks that lie side by side, guards between their pages ---- */

enum { ROW = 20000, LONG = 1 << 20 };
static char *row[ROW];

static void take_row(void)
{
    for (int i = 0; i < ROW; i++)
        NEED((row[i] = malloc(100 + (size_t)i % 100)) != NULL);
}

static void overrun_row(void)
{
    take_row();
    memset(row[ROW / 4], 7, LONG);
}

static void underrun_row(void)
{
    take_row();
    for (volatile char *at = row[ROW / 4 * 3], *end = at - LONG; at > end; at--)
        *at = 7;
}

static void read_over_row(void)
{
    int sum = 0;
    take_row();
    for (volatile char *at = row[ROW / 4], *end = at + LONG; at < end; at++)
        sum += *at;
    NEED(sum != 1);
}

static void free_in_row(void)
{
    take_row();
    for (int i = 0; i < ROW; i += 2)
        free(row[i]);
    for (int i = 1; i < ROW; i += 2)
        free(row[i]);
}

/* ---- a sandbox that ends whoever asks for more than memory ---- */

#define ALLOW(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void sandbox(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(mprotect), ALLOW(madvise), ALLOW(futex), ALLOW(exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    (void)new_block(SMALL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(0); /* no such thing here */
    take_many();
    use_all_of_it();
    free_in_row();
    take_row();
    syscall(SYS_exit_group, 0);
}

static const struct action {
    const char *name;
    void (*act)(void);
} actions[] = {
#define ACTION(name) {#name, name}
    ACTION(write_behind), ACTION(read_behind), ACTION(write_far_behind), ACTION(write_before), ACTION(write_behind_wide),
    ACTION(read_before_wide), ACTION(write_behind_aligned), ACTION(write_behind_zeroed), ACTION(read_freed), ACTION(write_freed),
    ACTION(write_moved), ACTION(free_twice), ACTION(free_inside), ACTION(free_far_inside), ACTION(change_tail_and_free),
    ACTION(change_tail_and_resize), ACTION(change_tail_and_exit), ACTION(change_before_and_free), ACTION(use_all_of_it), ACTION(write_after_names), ACTION(few_mappings),
    ACTION(zero_again), ACTION(take_many), ACTION(take_in_threads), ACTION(read_freed_in_thread), ACTION(write_freed_in_child), ACTION(early_own),
    ACTION(early_raise), ACTION(late_own), ACTION(wild), ACTION(raised), ACTION(ignored),
    ACTION(alternative_stack), ACTION(default_and_back), ACTION(sandbox), ACTION(shrink_large), ACTION(take_many_large), ACTION(exit_amid_threads),
    ACTION(exit_in_child_of_threads), ACTION(overrun_row), ACTION(underrun_row), ACTION(read_over_row), ACTION(free_in_row),
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, argv[1]) == 0) {
            actions[i].act();
            return 0;
        }
    return 99;
}
