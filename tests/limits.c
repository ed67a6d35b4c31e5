/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * limits.c -- uses memory up to a limit that limits.sh has set, and tells what it got.
 *
 *   limits eat BYTES       blocks of BYTES until NULL; all given back; the same again
 *   limits mixed           until NULL in small blocks; freed; then one big block
 *   limits threads         the same while threads that freed blocks of that size sit idle
 *   limits grow            one block by realloc until NULL, its contents kept
 *   limits shrink MB       what shrinks where no memory is left, that much more address space later, stays a block; "all shrunk"
 *   limits order MB        small blocks until NULL within that much more address space; then no larger one can be had either
 *   limits idle            address space and private (anonymous) memory of this process, in KiB
 *   limits work            eight threads that allocate; "done" */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST = 4 << 20, IDLERS = 4, WORKERS = 8 };

/* The blocks hang together by their first words, so that the list needs no memory. */
struct link {
    struct link *next;
};

static size_t take_all(size_t bytes, struct link **list)
{
    size_t count = 0;

    errno = 0;
    while (count < MOST) {
        struct link *one = malloc(bytes);
        if (one == NULL) break;
        memset(one, 0x5a, bytes);
        one->next = *list;
        *list = one;
        count++;
    }
    return count;
}

static void give_all(struct link *list)
{
    while (list != NULL) {
        struct link *next = list->next;
        free(list);
        list = next;
    }
}

static int eat(size_t bytes)
{
    struct link *first = NULL, *second = NULL;
    size_t count = take_all(bytes, &first);
    int error = errno;

    give_all(first);
    size_t again = take_all(bytes, &second);
    give_all(second);
    printf("%s %zu %zu\n", error == ENOMEM ? "ENOMEM" : strerror(error), count * bytes / 1024,
           count == 0 ? 0 : again * 100 / count);
    return 0;
}

static int eat_mixed(void)
{
    struct link *list = NULL;
    size_t total = take_all(100, &list) * 100;

    give_all(list);
    void *big = malloc(total / 2);
    if (big != NULL) memset(big, 1, total / 2);
    printf("%s\n", big != NULL ? "big block" : "no big block");
    free(big);
    return 0;
}

static pthread_barrier_t idle_there, idle_over;

static void *free_and_idle(void *unused)
{
    enum { COUNT = 400 };
    void *block[COUNT];

    for (unsigned i = 0; i < COUNT; i++) block[i] = malloc(1000);
    for (unsigned i = 0; i < COUNT; i++) free(block[i]);
    pthread_barrier_wait(&idle_there);
    pthread_barrier_wait(&idle_over);
    return unused;
}

static int eat_beside_threads(void)
{
    pthread_t thread[IDLERS];

    pthread_barrier_init(&idle_there, NULL, IDLERS + 1);
    pthread_barrier_init(&idle_over, NULL, IDLERS + 1);
    for (unsigned i = 0; i < IDLERS; i++)
        if (pthread_create(&thread[i], NULL, free_and_idle, NULL) != 0) return 99;
    pthread_barrier_wait(&idle_there);
    int status = eat(1000);
    pthread_barrier_wait(&idle_over);
    for (unsigned i = 0; i < IDLERS; i++) pthread_join(thread[i], NULL);
    return status;
}

static int grow(void)
{
    size_t bytes = 1000;
    unsigned char *block = malloc(bytes);

    if (block == NULL) return 99;
    memset(block, 7, bytes);
    for (;;) {
        errno = 0;
        unsigned char *grown = realloc(block, bytes + 100000);
        if (grown == NULL) break;
        block = grown;
        memset(block + bytes, 7, 100000);
        bytes += 100000;
    }
    int error = errno;
    bool kept = block[0] == 7 && memcmp(block, block + 1, bytes - 1) == 0;
    printf("%s %zu %s\n", error == ENOMEM ? "ENOMEM" : strerror(error), bytes / 1024, kept ? "kept" : "lost");
    free(block);
    return 0;
}

static long kib_of(const char *path, const char *name)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen(path, "r");

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0) kib = atol(line + strlen(name));
    if (file != NULL) fclose(file);
    return kib;
}

/* As glibc has it: who asks for less does not expect a refusal, nor another errno. */
static int shrink(size_t more_bytes)
{
    static const size_t from[] = { 100, 1000, 5000, 16000, 40000, 200000, 900000, 3000000 };
    enum { SIZES = sizeof from / sizeof from[0], PARTS = 5 };
    static unsigned char *block[SIZES][PARTS];
    struct link *list = NULL;
    unsigned refused = 0, noisy = 0, lost = 0;

    for (unsigned i = 0; i < SIZES * PARTS; i++) {
        block[i / PARTS][i % PARTS] = malloc(from[i / PARTS]);
        if (block[i / PARTS][i % PARTS] == NULL) return 99;
        memset(block[i / PARTS][i % PARTS], 7, from[i / PARTS]);
    }
    size_t bytes = (size_t)kib_of("/proc/self/status", "VmSize:") * 1024 + more_bytes;
    if (setrlimit(RLIMIT_AS, &(struct rlimit){ bytes, bytes }) != 0) return 99;
    for (size_t size = 3000000; size >= 16; size /= 2) (void)take_all(size, &list);
    for (unsigned i = 0; i < SIZES * PARTS; i++) {
        size_t to = from[i / PARTS] >> (i % PARTS + 1);
        errno = 0;
        unsigned char *now = realloc(block[i / PARTS][i % PARTS], to);
        refused += now == NULL;
        noisy += now != NULL && errno != 0;
        lost += now != NULL && (now[0] != 7 || memcmp(now, now + 1, to - 1) != 0);
        if (now != NULL) block[i / PARTS][i % PARTS] = now;
    }
    for (unsigned i = 0; i < SIZES * PARTS; i++) free(block[i / PARTS][i % PARTS]);
    give_all(list);
    if (refused + noisy + lost == 0)
        puts("all shrunk");
    else
        printf("%u refused, %u with errno, %u lost\n", refused, noisy, lost);
    return 0;
}

/* Not Private_Dirty: that counts pages of an object file just built, not yet on the disk. */
static int idle(void)
{
    free(malloc(100));
    printf("%ld %ld\n", kib_of("/proc/self/status", "VmSize:"), kib_of("/proc/self/smaps_rollup", "Anonymous:"));
    return 0;
}

static void *work(void *failed)
{
    for (size_t i = 0; i < 20000; i++) {
        char *block = malloc(i * 17 % 50000 + 1);
        if (block == NULL) return failed;
        block[0] = 1;
        free(block);
    }
    return NULL;
}

/* Who ran out of memory for a few bytes does not expect to get ten OS pages. */
static int small_ones_last(size_t space)
{
    enum { ROUNDS = 3, WIDE = 40000 };
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu", &pages) != 1 || getrlimit(RLIMIT_AS, &limit) != 0) return 99;
    fclose(file);
    limit.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + space;
    if (setrlimit(RLIMIT_AS, &limit) != 0) return 99;
    for (int round = 0; round < ROUNDS; round++) {
        struct link *list = NULL;
        (void)take_all(4096 + sizeof *list, &list);
        (void)take_all(sizeof *list, &list);
        void *wide = malloc(WIDE);
        give_all(list);
        free(wide);
        if (wide != NULL) {
            puts("out of order");
            return 1;
        }
    }
    puts("in order");
    return 0;
}

static int work_in_threads(void)
{
    pthread_t thread[WORKERS];
    bool failed = false;
    static char mark;

    for (unsigned i = 0; i < WORKERS; i++)
        if (pthread_create(&thread[i], NULL, work, &mark) != 0) return 99;
    for (unsigned i = 0; i < WORKERS; i++) {
        void *result = NULL;
        pthread_join(thread[i], &result);
        failed = failed || result != NULL;
    }
    puts(failed ? "failed" : "done");
    return failed;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "eat") == 0 && argc == 3) return eat(strtoul(argv[2], NULL, 10));
    if (strcmp(verb, "mixed") == 0) return eat_mixed();
    if (strcmp(verb, "threads") == 0) return eat_beside_threads();
    if (strcmp(verb, "grow") == 0) return grow();
    if (strcmp(verb, "order") == 0 && argc == 3) return small_ones_last(strtoul(argv[2], NULL, 10) << 20);
    if (strcmp(verb, "shrink") == 0 && argc == 3) return shrink(strtoul(argv[2], NULL, 10) << 20);
    if (strcmp(verb, "idle") == 0) return idle();
    if (strcmp(verb, "work") == 0) return work_in_threads();
    fprintf(stderr, "limits: see the head of limits.c\n");
    return 2;
}
