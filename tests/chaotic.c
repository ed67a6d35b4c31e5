/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaotic.c -- a program that depends on what a heap does not promise, or does not: the word says on what.
 *
 *     chaotic WORD         prints what it found, the same for every run under one heap */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The compiler may not know what malloc is. */
static void *(*volatile take)(size_t) = malloc;
static void (*volatile give)(void *) = free;
static void *(*volatile resize)(void *, size_t) = realloc;
static void *(*volatile take_zeroed)(size_t, size_t) = calloc;
static volatile int one = 1;

/* ---- wrong ------------------------------------------------------------------------------------ */

static void uninitialised(void)
{
    unsigned char *block = take(5000);
    printf("%d\n", block[1234]);
    give(block);
}

static void after_free(void)
{
    struct { char name[40]; int age; } *person = take(sizeof *person);
    person->age = 42;
    give(person);
    printf("%d\n", person->age);
}

static int by_address(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;
    return (*a > *b) - (*a < *b);
}

static void address_order(void)
{
    char *word[20];
    for (int i = 0; i < 20; i++)
        sprintf(word[i] = take(24), "%d", i);
    qsort(word, 20, sizeof *word, by_address);
    for (int i = 0; i < 20; i++)
        printf("%s ", word[i]);
    puts("");
}

static void stays(void)
{
    int *first = take(100), *kept = first;
    int *now = resize(first, 101);
    *now = 7;
    puts(kept == now ? "it stays" : "it moves");
    give(now);
}

static void over_read(void)
{
    char *block = take_zeroed(1, 17);
    printf("%d\n", block[16 + one]);
    give(block);
}

static void nothing(void)
{
    char *block = take(0);
    *block = 'x';
    puts("wrote to a block of nothing");
    give(block);
}

static void aligned(void)
{
    int count = 0;
    for (int i = 0; i < 8; i++)
        count += (uintptr_t)take(64) % 32 == 0;
    printf("%d of 8\n", count);
}

static void keys(void)
{
    uint64_t sum = 0, *block[40], *again;
    for (int i = 0; i < 40; i++)
        block[i] = memset(take(64), 1, 64);
    for (int i = 0; i < 40; i++)
        give(block[i]);
    for (int i = 0; i < 40; i++)
        sum = sum * 31 + block[i][0] + block[i][1];
    again = take(2000);
    printf("%llx %llx %llx\n", (unsigned long long)sum, (unsigned long long)again[0], (unsigned long long)again[1]);
}

static void usable(void) { printf("%zu\n", malloc_usable_size(take(17))); }

static void reused(void)
{
    void *first = take(64);
    give(first);
    puts(take(64) == first ? "the same block again" : "another block");
}

static void twice(const char *bytes)
{
    void *block = take((size_t)atoi(bytes));
    give(block);
    give(block);
}

/* ---- right ------------------------------------------------------------------------------------ */

static void *work(void *argument)
{
    uint64_t sum = 0;
    void *held[64] = {NULL};
    for (unsigned i = 0; i < 5000; i++) {
        const unsigned at = i * 7 % 64, bytes = 1 + i * 131 % 3000;
        give(held[at]);
        held[at] = take_zeroed(1, bytes);
        if (i % 3 == 0)
            held[at] = resize(held[at], bytes * 2);
        memset(held[at], (int)i, bytes);
        sum += *((unsigned char *)held[at] + bytes - 1);
    }
    for (unsigned i = 0; i < 64; i++)
        give(held[i]);
    *(uint64_t *)argument = sum;
    return NULL;
}

static void threads(void)
{
    pthread_t id[4];
    uint64_t sum[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&id[i], NULL, work, &sum[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(id[i], NULL);
        printf("%llu\n", (unsigned long long)sum[i]);
    }
}

static void forks(void)
{
    uint64_t sum;
    int status;
    for (int i = 0; i < 3; i++) {
        fflush(stdout);
        if (fork() == 0) {
            work(&sum);
            printf("child %d: %llu\n", i, (unsigned long long)sum);
            exit(i);
        }
        wait(&status);
        printf("%d\n", WEXITSTATUS(status));
    }
}

static sigjmp_buf out;
static volatile sig_atomic_t jumps;
static void jump(int signal)
{
    (void)signal;
    jumps++;
    siglongjmp(out, 1);
}

static void jumping(void)
{
    uint64_t sum;
    signal(SIGALRM, jump);
    (void)sigsetjmp(out, 1);
    while (jumps < 20) {
        ualarm(500, 0);
        for (;;)
            give(take(1 + (size_t)rand() % 2000)); /* what was held at the jump is lost */
    }
    ualarm(0, 0);
    work(&sum);
    printf("%llu\n", (unsigned long long)sum);
}

static void sizes(void)
{
    size_t wrong = 0;
    for (size_t bytes = 0; bytes < 3 << 20; bytes += bytes / 9 + 1) {
        char *block = take_zeroed(1, bytes);
        for (size_t i = 0; i < bytes; i += 97)
            wrong += block[i] != 0;
        wrong += malloc_usable_size(block) < bytes || (uintptr_t)block % 16 != 0;
        memset(block, 1, malloc_usable_size(block));
        block = resize(block, bytes + 5000);
        wrong += bytes != 0 && (block[0] != 1 || block[bytes - 1] != 1);
        void *other = NULL;
        wrong += posix_memalign(&other, 64, bytes + 1) != 0 || (uintptr_t)other % 64 != 0;
        give(other);
        give(block);
    }
    void *first = take(0), *second = take(0);
    wrong += first == NULL || first == second;
    first = resize(first, 10);
    memset(first, 1, 10);
    give(first);
    give(second);
    printf("%zu wrong\n", wrong);
}

static void pointers(void)
{
    for (int i = 0; i < 3; i++)
        printf("block %d at %p\n", i, take(100));
}

static void on_stack(void)
{
    int here;
    printf("%p\n", (void *)&here);
}

static void clock_and_id(void) { printf("%d\n", (int)getpid()); }

static void input(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0)
        fputs(line, stdout);
    free(line);
}

static void to_error(void)
{
    int *block = take(sizeof *block);
    fputs("first line\n", stderr);
    fprintf(stderr, "%x\n", (unsigned)*block);
    give(block);
}

static void code(void)
{
    unsigned char *block = take(1);
    exit(block[0] != 0);
}

static void hangs(void)
{
    volatile unsigned char *block = take(1);
    while (block[0] != 0)
        pause();
    puts("done");
}

static void pair(void)
{
    uint32_t *block = take(400);
    const uintptr_t before = (uintptr_t)block;
    block = resize(block, 404);
    const int moved = (uintptr_t)block != before, filled = block[50] != 0;
    puts(moved && filled ? "both" : "not both");
}

int main(int argc, char **argv)
{
    static const struct { const char *word; void (*run)(void); } words[] = {
        {"uninitialised", uninitialised}, {"after-free", after_free}, {"address-order", address_order}, {"stays", stays},
        {"over-read", over_read}, {"nothing", nothing}, {"aligned", aligned}, {"usable", usable}, {"keys", keys}, {"reused", reused}, {"threads", threads},
        {"forks", forks}, {"jumping", jumping}, {"sizes", sizes}, {"pointers", pointers}, {"id", clock_and_id}, {"stack", on_stack},
        {"input", input}, {"to-error", to_error}, {"code", code}, {"hangs", hangs}, {"pair", pair},
    };
    if (argc > 2 && strcmp(argv[1], "twice") == 0)
        twice(argv[2]);
    for (unsigned i = 0; argc > 1 && i < sizeof words / sizeof *words; i++)
        if (strcmp(argv[1], words[i].word) == 0) {
            words[i].run();
            return 0;
        }
    return 2;
}
