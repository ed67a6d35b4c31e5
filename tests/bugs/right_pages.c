/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * right_pages.c -- correct programs that an allocator with a guard page behind each block may break: those that want
 * much alignment, many blocks or little address space, that hand blocks to the system, run on them, or change their pages. */
#include "bugs.h"

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- many, and much ---------------------------------------------------------------------------- */

/* Live at once, each with its number in it; then every second one is given back, and all are looked at. */
static void many_live(const struct bug *b)
{
    uint32_t **block = malloc(b->by * sizeof *block);

    bug_need(block != NULL);
    for (uint32_t i = 0; i < b->by; i++) {
        bug_need((block[i] = bug_hide(malloc(b->size))) != NULL);
        *block[i] = i;
    }
    for (uint32_t i = 0; i < b->by; i += 2) free(block[i]);
    for (uint32_t i = 1; i < b->by; i += 2) {
        bug_need(*block[i] == i);
        free(block[i]);
    }
    free(block);
}

static void grown_by_one(const struct bug *b)
{
    unsigned char *block = NULL;

    for (size_t i = 0; i < b->size; i++) {
        bug_need((block = bug_hide(realloc(block, i + 1))) != NULL);
        block[i] = (unsigned char)i;
        bug_need(block[i / 2] == (unsigned char)(i / 2));
    }
    free(block);
}

static void much_alignment(const struct bug *b)
{
    void *block[20];

    for (unsigned i = 0; i < 20; i++) {
        bug_need(posix_memalign(&block[i], b->by, b->size + i) == 0 && (uintptr_t)block[i] % b->by == 0);
        memset(block[i], 'a', b->size + i);
    }
    for (unsigned i = 0; i < 20; i += 2) free(block[i]);
    for (unsigned i = 1; i < 20; i += 2) {
        char *now = bug_hide(realloc(block[i], b->size * 2 + 40));
        bug_need(now[0] == 'a' && now[b->size + i - 1] == 'a');
        free(now);
    }
}

static void zero_sized(const struct bug *b)
{
    void *block[1000];

    for (unsigned i = 0; i < 1000; i++) {
        block[i] = bug_hide(bug_is(b->how, "calloc") ? calloc(0, 1) : bug_is(b->how, "memalign") ? memalign(64, 0) : malloc(0));
        bug_need(block[i] != NULL && (i == 0 || block[i] != block[i - 1]));
    }
    for (unsigned i = 0; i < 1000; i += 2) free(block[i]);
    for (unsigned i = 1; i < 1000; i += 2) {
        char *now = memset(bug_hide(realloc(block[i], 10)), 7, 10);
        free(now);
    }
}

/* ---- blocks and the system ----------------------------------------------------------------------- */

static void through_pipe(char *from, char *into, size_t bytes)
{
    int end[2];
    size_t done = 0;

    bug_need(pipe(end) == 0);
    while (done < bytes) {
        const size_t some = bytes - done < 4096 ? bytes - done : 4096;
        bug_need(write(end[1], from + done, some) == (ssize_t)some && read(end[0], into + done, some) == (ssize_t)some);
        done += some;
    }
    close(end[0]);
    close(end[1]);
}

static void through_socket(char *from, char *into, size_t bytes)
{
    int end[2];
    struct iovec out[2] = {{from, bytes / 2}, {from + bytes / 2, bytes - bytes / 2}};
    struct iovec in[2] = {{into, bytes / 3}, {into + bytes / 3, bytes - bytes / 3}};

    bug_need(socketpair(AF_UNIX, SOCK_DGRAM, 0, end) == 0);
    bug_need(writev(end[0], out, 2) == (ssize_t)bytes && readv(end[1], in, 2) == (ssize_t)bytes);
    close(end[0]);
    close(end[1]);
}

static void through_file(char *from, char *into, size_t bytes)
{
    FILE *stream = tmpfile();
    char *mapped;

    bug_need(stream != NULL && setvbuf(stream, NULL, _IONBF, 0) == 0 && fwrite(from, 1, bytes, stream) == bytes);
    mapped = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fileno(stream), 0);
    bug_need(mapped != MAP_FAILED && pread(fileno(stream), into, bytes, 0) == (ssize_t)bytes);
    bug_need(memcmp(mapped, into, bytes) == 0);
    munmap(mapped, bytes);
    fclose(stream);
}

/* The kernel writes while the program does something else. */
static void through_aio(char *from, char *into, size_t bytes)
{
    FILE *stream = tmpfile();
    struct aiocb out = {.aio_buf = from, .aio_nbytes = bytes}, in = {.aio_buf = into, .aio_nbytes = bytes};
    const struct aiocb *const list[] = {&in};

    bug_need(stream != NULL);
    out.aio_fildes = in.aio_fildes = fileno(stream);
    out.aio_sigevent.sigev_notify = in.aio_sigevent.sigev_notify = SIGEV_NONE;
    bug_need(aio_write(&out) == 0);
    while (aio_error(&out) == EINPROGRESS) usleep(100);
    bug_need(aio_return(&out) == (ssize_t)bytes && aio_read(&in) == 0 && aio_suspend(list, 1, NULL) == 0);
    bug_need(aio_return(&in) == (ssize_t)bytes);
    fclose(stream);
}

static void through_itself(char *from, char *into, size_t bytes)
{
    const struct iovec out = {from, bytes}, in = {into, bytes};

    if (process_vm_readv(getpid(), &in, 1, &out, 1, 0) != (ssize_t)bytes) memcpy(into, from, bytes); /* not allowed */
}

static void handed_to_system(const struct bug *b)
{
    char *from = bug_block(b->size), *into = bug_block(b->size);

    for (size_t i = 0; i < b->size; i++) from[i] = (char)i;
    if (bug_is(b->how, "pipe")) through_pipe(from, into, b->size);
    else if (bug_is(b->how, "socket")) through_socket(from, into, b->size);
    else if (bug_is(b->how, "file")) through_file(from, into, b->size);
    else if (bug_is(b->how, "aio")) through_aio(from, into, b->size);
    else through_itself(from, into, b->size);
    bug_need(memcmp(from, into, b->size) == 0);
    free(from);
    free(into);
}

/* ---- pages of the program's own -------------------------------------------------------------------- */

static char *own_pages(size_t bytes)
{
    char *block = bug_hide(memalign(page_bytes(), bytes));

    bug_need(block != NULL && (uintptr_t)block % page_bytes() == 0);
    return memset(block, 'p', bytes);
}

/* A compiler that runs what it wrote. */
static void executed(const struct bug *b)
{
    char *code = own_pages(b->size);
#if defined __x86_64__
    static const unsigned char answer[] = {0xb8, 42, 0, 0, 0, 0xc3};

    memcpy(code, answer, sizeof answer);
    bug_need(mprotect(code, b->size, PROT_READ | PROT_EXEC) == 0);
    bug_need(((int (*)(void))(uintptr_t)bug_hide(code))() == 42);
#else
    bug_need(mprotect(code, b->size, PROT_READ | PROT_EXEC) == 0);
#endif
    bug_need(mprotect(code, b->size, PROT_READ | PROT_WRITE) == 0);
    memset(code, 'q', b->size);
    free(code);
}

static char *watched;
static size_t watched_bytes;
static volatile unsigned faults;

static void unprotect(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    if ((uintptr_t)info->si_addr - (uintptr_t)watched >= watched_bytes) _exit(9);
    faults++;
    mprotect(watched, watched_bytes, PROT_READ | PROT_WRITE);
}

/* A collector that learns by a fault that a page of its own was written to. */
static void write_barrier(const struct bug *b)
{
    const struct sigaction sa = {.sa_sigaction = unprotect, .sa_flags = SA_SIGINFO};

    watched = own_pages(b->size);
    watched_bytes = b->size;
    sigaction(SIGSEGV, &sa, NULL);
    for (unsigned round = 1; round <= 10; round++) {
        bug_need(mprotect(watched, b->size, PROT_READ) == 0);
        bug_sink += (size_t)((volatile char *)watched)[b->size / 2];
        ((volatile char *)watched)[b->size / 2] = (char)round;
        bug_need(faults == round);
        free(bug_block(100 * round));
    }
    free(watched);
}

/* Memory that is not wanted now is given to the system, and comes back as zeros. */
static void given_to_system(const struct bug *b)
{
    char *block = own_pages(b->size);
    unsigned char there[1024];

    bug_need(madvise(block, b->size, MADV_DONTNEED) == 0);
    for (size_t i = 0; i < b->size; i++) bug_need(block[i] == 0);
    memset(block, 'r', b->size);
    bug_need(mincore(block, b->size, there) == 0);
    bug_need(mlock(block, page_bytes()) != 0 || munlock(block, page_bytes()) == 0);
    madvise(block, b->size, MADV_DONTFORK);
    madvise(block, b->size, MADV_DOFORK);
    bug_need(block[b->size - 1] == 'r');
    free(block);
}

static sigjmp_buf back;

static void leap(int signal)
{
    siglongjmp(back, signal);
}

static volatile unsigned counted;

static void count_it(int signal)
{
    (void)signal;
    counted++;
}

static bool is_readable(const volatile char *at)
{
    if (sigsetjmp(back, 1) != 0) return false;
    bug_sink += (size_t)*at;
    return true;
}

/* Which addresses can be read?  A debugger's or collector's way to ask; no block is meant. */
static void probed(const struct bug *b)
{
    char *block = bug_block(b->size);
    char *pages = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    signal(SIGSEGV, leap);
    signal(SIGBUS, leap);
    for (unsigned round = 0; round < 20; round++) {
        bug_need(!is_readable(bug_hide(NULL)) && !is_readable(bug_hide(pages + 100)));
        bug_need(!is_readable((char *)(uintptr_t)0x1234567890) && !is_readable((char *)(uintptr_t)0x8000000000000000u));
        bug_need(is_readable(block + b->size - 1) && is_readable(block));
        block = bug_hide(realloc(block, b->size + round));
    }
    free(block);
}

/* What was set is read back, and does what it says, whoever comes first. */
static void handlers_read_back(const struct bug *b)
{
    const struct sigaction sa = {.sa_handler = count_it, .sa_flags = SA_RESTART};
    const int number = (int)b->by;
    struct sigaction seen;

    bug_need(sigaction(number, &sa, NULL) == 0 && sigaction(number, NULL, &seen) == 0);
    bug_need(seen.sa_handler == count_it && (seen.sa_flags & SA_SIGINFO) == 0 && (seen.sa_flags & SA_RESTART) != 0);
    raise(number);
    bug_need(counted == 1);
    bug_need(signal(number, SIG_IGN) == count_it);
    raise(number);
    bug_need(signal(number, count_it) == SIG_IGN);
    raise(number);
    bug_need(counted == 2 && signal(number, SIG_DFL) == count_it && signal(number, SIG_DFL) == SIG_DFL);
}

static __attribute__((noinline)) size_t deeper(size_t depth)
{
    char room[4096];

    memset(bug_hide(room), (int)depth, sizeof room);
    return depth == 0 ? 0 : deeper(depth - 1) + (size_t)*(char *)bug_hide(room);
}

static void *run_out_of_stack(void *nothing)
{
    const stack_t stack = {.ss_sp = bug_block(16384), .ss_size = 16384};

    bug_need(sigaltstack(&stack, NULL) == 0);
    if (sigsetjmp(back, 1) == 0) {
        bug_sink += deeper(100000);
        bug_need(false);
    }
    return nothing;
}

/* An interpreter that has its own end of the stack told by a fault. */
static void stack_overflown(const struct bug *b)
{
    const struct sigaction sa = {.sa_handler = leap, .sa_flags = SA_ONSTACK};
    pthread_t thread;

    bug_need(sigaction(SIGSEGV, &sa, NULL) == 0);
    for (size_t i = 0; i < b->by; i++) {
        bug_need(pthread_create(&thread, NULL, run_out_of_stack, NULL) == 0);
        pthread_join(thread, NULL);
    }
}

/* ---- blocks that somebody runs on -------------------------------------------------------------------- */

static void *on_own_stack(void *argument)
{
    char room[8192];

    memset(bug_hide(room), 1, sizeof room);
    free(bug_block(*(size_t *)argument));
    return NULL;
}

static void stack_of_thread(const struct bug *b)
{
    size_t bytes = b->size;
    pthread_attr_t attributes;
    pthread_t thread;
    char *stack = bug_hide(memalign(64, 256 << 10));

    pthread_attr_init(&attributes);
    bug_need(pthread_attr_setstack(&attributes, stack, 256 << 10) == 0);
    bug_need(pthread_create(&thread, &attributes, on_own_stack, &bytes) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    free(stack);
}

static ucontext_t here, there;
static size_t coroutine_bytes;

static void coroutine(void)
{
    for (unsigned i = 0; i < 10; i++) {
        on_own_stack(&coroutine_bytes);
        swapcontext(&there, &here);
    }
}

static void stack_of_coroutine(const struct bug *b)
{
    char *stack = bug_block(64 << 10);

    coroutine_bytes = b->size;
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = 64 << 10;
    there.uc_link = &here;
    makecontext(&there, coroutine, 0);
    for (unsigned i = 0; i < 10; i++) swapcontext(&here, &there);
    free(stack);
}

static volatile unsigned handled;

static void on_signal(int signal)
{
    (void)signal;
    free(bug_block(100));
    handled++;
}

static void stack_of_signals(const struct bug *b)
{
    stack_t stack = {.ss_sp = bug_block(64 << 10), .ss_size = 64 << 10}, none = {.ss_flags = SS_DISABLE};
    const struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};

    bug_need(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &sa, NULL) == 0);
    for (unsigned i = 1; i <= 10; i++) {
        free(bug_block(b->size));
        raise(SIGUSR1);
        bug_need(handled == i);
    }
    bug_need(sigaltstack(&none, NULL) == 0);
    free(stack.ss_sp);
}

/* ---- processes --------------------------------------------------------------------------------------- */

/* Both have all blocks, and each frees its own. */
static void forked_with_many(const struct bug *b)
{
    char **block = bug_block(b->by * sizeof *block);
    int status;
    pid_t child;

    for (size_t i = 0; i < b->by; i++) memset(block[i] = bug_block(b->size), (int)i, b->size);
    child = fork();
    for (size_t i = 0; i < b->by; i++) {
        bug_need(block[i][b->size - 1] == (char)i);
        if (child == 0) block[i] = bug_hide(realloc(block[i], b->size * 2));
        free(block[i]);
    }
    free(block);
    if (child == 0) exit(0);
    bug_need(waitpid(child, &status, 0) == child && status == 0);
}

/* Little address space is left: NULL is an answer, death is none, and what there was is still good. */
static void without_space(const struct bug *b)
{
    enum { MOST = 200000 };
    char **block = bug_block(MOST * sizeof *block);
    struct rlimit limit;
    size_t count = 0;

    bug_need(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = b->by;
    bug_need(setrlimit(RLIMIT_AS, &limit) == 0);
    while (count < MOST && (block[count] = bug_hide(malloc(b->size))) != NULL) memset(block[count++], 'l', 1);
    for (size_t i = 0; i < count; i++) {
        bug_need(block[i][0] == 'l');
        free(block[i]);
    }
    limit.rlim_cur = limit.rlim_max;
    bug_need(setrlimit(RLIMIT_AS, &limit) == 0);
    free(block);
    free(bug_block(b->size));
}

/* Started with little address space, as by a shell's ulimit -v. */
static void started_without_space(const struct bug *b)
{
    char *const word[] = {bug_hide((void *)(uintptr_t) "/proc/self/exe"), bug_hide((void *)(uintptr_t) "pages-live-24-by-20000"), NULL};
    const struct rlimit limit = {b->by, b->by};
    const pid_t child = fork();
    int status;

    if (child == 0) {
        setrlimit(RLIMIT_AS, &limit);
        execv(word[0], word);
        _exit(8);
    }
    bug_need(waitpid(child, &status, 0) == child && status == 0);
}

const struct row right_pages_rows[] = {
    {"pages", many_live, "24", "20000 1000000", "live", ""},
    {"pages", many_live, "1000 5000", "10000", "live", ""},
    {"pages", many_live, "300000", "1000", "live", ""},
    {"pages", grown_by_one, "20000", "", "grown-by-one", ""},
    {"pages", much_alignment, "1 100 5000 300000", "64 4096 65536 1048576", "aligned", ""},
    {"pages", zero_sized, "", "", "malloc calloc memalign", ""},
    {"system", handed_to_system, "1 100 4096 5000 60000", "", "pipe socket file aio itself", ""},
    {"pages", executed, "4096 65536 1048576", "", "executed", ""},
    {"pages", write_barrier, "4096 65536 1048576", "", "barrier", ""},
    {"pages", given_to_system, "4096 65536 1048576", "", "given", ""},
    {"signal", probed, "24 5000 300000", "", "probed", ""},
    {"signal", handlers_read_back, "", "10 11 7", "read-back", ""},
    {"signal", stack_overflown, "", "3", "stack-overflown", ""},
    {"stack", stack_of_thread, "24 5000", "", "thread", ""},
    {"stack", stack_of_coroutine, "24 5000 300000", "", "coroutine", ""},
    {"stack", stack_of_signals, "24 5000 300000", "", "signals", ""},
    {"fork", forked_with_many, "24 1000", "10000", "many", ""},
    {"fork", forked_with_many, "300000", "200", "many", ""},
    {"limit", without_space, "100 5000 300000", "300000000", "space", ""},
    {"limit", started_without_space, "", "100000000 1000000000", "started", ""},
    {NULL, NULL, "", "", "", ""},
};
