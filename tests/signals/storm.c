/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * storm.c -- a timer's and other threads' signals interrupt the malloc family and Heap* functions all the time.
 * The handler allocates, keeps, resizes and frees; and as the argument says, it forks ("fork"), or leaves by
 * siglongjmp ("jump").  storm [keep|fork|jump] [seconds] */
#include "storm.h"
#include "heapapi.h"

#include <setjmp.h>

enum { NOTES = 512, KEPT = 64, THREADS = 2, CHILD_BLOCKS = 40 };

static HANDLE process, own;
static bool forks, jumps;
static volatile sig_atomic_t over, may_jump;
static sigjmp_buf back;
static volatile unsigned handled, children, left;

static void *take(uint64_t random, size_t bytes)
{
    switch (random >> 50 & 7) {
    case 0: return calloc(1, bytes);
    case 1: return HeapAlloc(own, 0, bytes);
    case 2: return HeapAlloc(process, 0, bytes);
    case 3: return HeapAlloc(own, HEAP_ZERO_MEMORY, bytes);
    default: return malloc(bytes);
    }
}

static void give(uint64_t random, void *block)
{
    switch (random >> 50 & 7) {
    case 1:
    case 3:
        if (!HeapFree(own, 0, block)) storm_fail("HeapFree refused a block");
        break;
    case 2:
        if (!HeapFree(process, 0, block)) storm_fail("HeapFree refused a block of the process heap");
        break;
    default: free(block);
    }
}

static bool is_mallocs(uint64_t random) { return (random >> 50 & 7) == 0 || (random >> 50 & 7) > 3; }

/* Each holder has notes of its own; a handler may come at any moment but within its own step. */
struct holder {
    struct note note[NOTES];
    uint64_t how[NOTES];
    uint64_t random;
    uint32_t mark, count;
};

static void step(struct holder *ho)
{
    const uint64_t random = storm_random(&ho->random);
    const unsigned i = random % ho->count;
    struct note *no = &ho->note[i];
    size_t bytes = storm_size(random);
    if (no->block != NULL) {
        const struct note old = *no;
        note_check(&old);
        no->block = NULL; /* who leaves by siglongjmp loses it */
        if (is_mallocs(ho->how[i]) && (random >> 60 & 1)) {
            uint32_t *now = realloc(old.block, bytes + 1);
            if (now == NULL) storm_fail("realloc failed");
            if (bytes + 1 >= 4 && old.bytes > 0 && now[0] != old.mark) storm_fail("realloc lost the content");
            note_write(no, now, bytes, ++ho->mark);
            return;
        }
        give(ho->how[i], old.block);
        return;
    }
    void *block = take(random, bytes);
    if (block == NULL) storm_fail("no memory");
    ho->how[i] = random;
    note_write(no, block, bytes, ++ho->mark);
}

static struct holder of_main = {.random = 1, .mark = 0x10000000, .count = NOTES};
static struct holder of_handler = {.random = 77, .mark = 0x20000000, .count = KEPT};

static void child_lives(void)
{
    pid_t child = fork();
    if (child == 0) {
        void *block[CHILD_BLOCKS];
        storm_timer(0);
        signal(SIGALRM, SIG_DFL);
        alarm(20);
        for (unsigned i = 0; i < CHILD_BLOCKS; i++) block[i] = malloc(i * 100);
        for (unsigned i = 0; i < CHILD_BLOCKS; i++) free(block[i]);
        _exit(7);
    }
    int status = 0;
    if (child < 0) return;
    while (waitpid(child, &status, 0) != child) {}
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) storm_fail("a child did not end well");
    children++;
}

static void on_signal(int number)
{
    static volatile sig_atomic_t inside;
    (void)number;
    if (inside) return; /* two signals at once */
    inside = 1;
    handled++;
    for (unsigned i = 0; i < 4; i++) step(&of_handler);
    if (forks && handled % 16 == 0) child_lives();
    inside = 0;
    if (jumps && may_jump && handled % 3 == 0) {
        left++;
        siglongjmp(back, 1);
    }
}

static pthread_t main_thread;

static void *work(void *number)
{
    static struct holder holders[THREADS];
    struct holder *ho = &holders[(uintptr_t)number];
    *ho = (struct holder){.random = (uintptr_t)number + 5, .mark = (uint32_t)(0x30000000 + ((uintptr_t)number << 28)), .count = NOTES};
    for (unsigned i = 0; !over; i++) {
        step(ho);
        if (number == 0 && i % 512 == 0) pthread_kill(main_thread, SIGUSR1);
        if (number != 0 && i % 4096 == 0 && (!HeapValidate(process, 0, NULL) || !HeapValidate(own, 0, NULL))) storm_fail("HeapValidate, meanwhile");
    }
    return NULL;
}

static void storm(double seconds)
{
    const double end = storm_seconds() + seconds;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    storm_timer(50);
    while (storm_seconds() < end) {
        (void)sigsetjmp(back, 1);
        may_jump = 1;
        for (unsigned i = 0; i < 100 && storm_seconds() < end; i++) step(&of_main);
        may_jump = 0;
    }
    storm_timer(0);
}

int main(int count, char **arguments)
{
    pthread_t thread[THREADS];
    forks = count > 1 && strcmp(arguments[1], "fork") == 0;
    jumps = count > 1 && strcmp(arguments[1], "jump") == 0;
    process = GetProcessHeap();
    own = HeapCreate(0, 0, 0);
    main_thread = pthread_self();
    signal(SIGUSR1, SIG_IGN);
    sigset_t all, none;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &none); /* in the threads: a handler there must not jump to here */
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, work, (void *)i) != 0) return 99;
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    const pid_t watch = getpid(), watchdog = fork();
    if (watchdog == 0) {
        sleep(LIMIT_SECONDS);
        (void)!write(2, "it hangs\n", 9);
        kill(watch, SIGKILL);
        _exit(0);
    }
    storm(count > 2 ? atof(arguments[2]) : 2);
    signal(SIGUSR1, SIG_IGN);
    over = 1;
    for (unsigned i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < NOTES; i++)
        if (of_main.note[i].block != NULL) note_check(&of_main.note[i]);
    for (unsigned i = 0; i < KEPT; i++)
        if (of_handler.note[i].block != NULL) note_check(&of_handler.note[i]);
    if (!HeapValidate(process, 0, NULL) || !HeapValidate(own, 0, NULL)) storm_fail("HeapValidate, in the end");
    kill(watchdog, SIGKILL);
    waitpid(watchdog, NULL, 0);
    printf("%u signals, %u children, %u left by siglongjmp\n", handled, children, left);
    return handled == 0;
}
