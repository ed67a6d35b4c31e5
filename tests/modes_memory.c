/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * modes_memory.c -- memory ends, at whichever limit; what was freed can be had again, all of it, in any size.
 *
 *   modes_memory as|data|none MIB   sets that limit (none: somebody else did), fills it with blocks of each size in
 *                                   turn, each in turn after each other, and takes one block of 80 % after each
 *   modes_memory as|data MIB PART   the same with few sizes, far apart, but only one PART-th may be missing afterwards
 *   modes_memory touch MIB          the same to three tenths, each OS page written to: where memory in use is limited.
 *                                   What was freed a moment ago may still be memory, so more would be a matter of luck
 *   modes_memory maps LEFT          burns all mappings but LEFT, then uses memory as far as it goes, twice
 *   modes_memory blocks COUNT BYTES so many live blocks of that size, freed in three orders; how many mappings
 *
 * "done", or what went wrong.  Nothing here may need malloc to speak. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const size_t sizes[] = { 16, 200, 3000, 20000, 100000, 700000, 1500000, 3000000 };

static const size_t few_sizes[] = { 24, 1024, 40 << 10, 2 << 20 };

static bool touch;
static const size_t *size = sizes;
static unsigned size_count = COUNT(sizes);
/* A part of the page map for another gigabyte may be needed meanwhile, 2 MiB; descriptors of small pages stay. */
static size_t missing_part = 12;
static unsigned failures;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    const int bytes = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)!write(STDOUT_FILENO, text, (size_t)bytes);
}

#define MUST(condition, ...)                                                                                 \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            failures++;                                                                                      \
            say(__VA_ARGS__);                                                                                \
        }                                                                                                    \
    } while (0)

/* ---- blocks that hang together by their first words ---------------------------------------------- */

struct link {
    struct link *next;
};

static struct link *list;

/* Until NULL; the bytes that were got. */
static size_t fill(size_t bytes, size_t most)
{
    size_t got = 0;
    errno = 0;
    while (got < most) {
        struct link *one = malloc(bytes);
        if (one == NULL) break;
        for (size_t at = 4096; touch && at < bytes; at += 4096) ((char *)one)[at] = 1;
        one->next = list;
        list = one;
        got += bytes;
    }
    MUST(got >= most || errno == ENOMEM, "%zu bytes: no ENOMEM but %d\n", bytes, errno);
    return got;
}

static void empty(void)
{
    errno = 4711;
    while (list != NULL) {
        struct link *next = list->next;
        free(list);
        list = next;
    }
    MUST(errno == 4711, "free changed errno to %d\n", errno);
}

/* ---- limits ---------------------------------------------------------------------------------------- */

/* What a fresh process gets of one size. */
static size_t fresh(size_t bytes, size_t most)
{
    size_t *got = mmap(NULL, sizeof *got, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    if (got == MAP_FAILED) _exit(99);
    *got = 0;
    const pid_t child = fork();
    if (child == 0) {
        *got = fill(bytes, most);
        _exit(failures != 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) _exit(98);
    const size_t result = *got;
    munmap(got, sizeof *got);
    return result;
}

static void take_one_big(size_t bytes, size_t after)
{
    char *big = malloc(bytes);
    MUST(big != NULL, "after blocks of %zu no block of %zu\n", after, bytes);
    if (big == NULL) return;
    for (size_t at = 0; touch && at < bytes; at += 4096) big[at] = 1;
    big[bytes - 1] = 1;
    free(big);
}

static int limits(int resource, size_t mib)
{
    const size_t most = mib << 20;
    const struct rlimit limit = { most, most };
    size_t first[COUNT(sizes)];

    if (resource >= 0 && setrlimit((unsigned)resource, &limit) != 0) return 99;
    for (unsigned i = 0; i < size_count; i++) {
        first[i] = fresh(size[i], touch ? most * 3 / 10 : SIZE_MAX);
        MUST(first[i] > most / (touch ? 4 : 2), "blocks of %zu: only %zu KiB of %zu\n", size[i], first[i] / 1024, most / 1024);
    }
    for (unsigned i = 0; i < size_count; i++)
        for (unsigned k = 0; k < size_count; k++) {
            (void)fill(size[i], touch ? first[i] : SIZE_MAX);
            empty();
            if (k == 0) take_one_big(first[i] / 10 * (missing_part < 10 ? 7 : 8), size[i]);
            const size_t again = fill(size[k], touch ? first[k] : SIZE_MAX);
            empty();
            const size_t least = first[k] - first[k] / missing_part - size[k];
            MUST(again >= least, "after blocks of %zu: %zu KiB in blocks of %zu, fresh it was %zu\n", size[i], again / 1024, size[k],
                 first[k] / 1024);
        }
    return failures != 0;
}

/* ---- mappings -------------------------------------------------------------------------------------- */

static size_t mappings(void)
{
    char text[4096];
    size_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL) return 0;
    while (fgets(text, sizeof text, maps) != NULL) count++;
    fclose(maps);
    return count;
}

static size_t resident_kib(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu %lu", &all, &resident) != 2) return 0;
    fclose(file);
    return resident * ((size_t)sysconf(_SC_PAGESIZE) / 1024);
}

/* Each second OS page of a range is protected otherwise: a mapping each. */
static void burn(size_t left)
{
    char text[20] = "";
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    if (file == NULL || fgets(text, sizeof text, file) == NULL) _exit(77);
    fclose(file);
    const size_t most = strtoul(text, NULL, 10), used = mappings();
    if (most > 200000) _exit(77);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), count = most - used - left;
    char *at = mmap(NULL, count * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) _exit(98);
    for (size_t i = 1; i < count; i += 2)
        if (mprotect(at + i * page, page, PROT_READ) != 0) break;
}

static void use_what_is_left(size_t most)
{
    for (unsigned i = 0; i < COUNT(sizes); i++) {
        const size_t got = fill(sizes[i], most);
        for (struct link *one = list; one != NULL && sizes[i] > 20; one = one->next) ((char *)one)[sizes[i] - 1] = 1;
        empty();
        MUST(got >= most, "few mappings: only %zu KiB in blocks of %zu\n", got / 1024, sizes[i]);
    }
}

static int maps(size_t left)
{
    enum { ROW = 5, ROW_BYTES = 33 << 20 }; /* too large to be kept for later */
    void *filler[2000], *row[ROW];
    size_t count = 0;

    burn(left);
    use_what_is_left((size_t)256 << 20);
    for (unsigned i = 0; i < ROW; i++) { /* side by side: one mapping to the system */
        row[i] = malloc(ROW_BYTES);
        MUST(row[i] != NULL, "no row\n");
        if (row[i] != NULL) memset(row[i], 1, ROW_BYTES);
    }
    /* the last ones too, by mappings that cannot join: then large blocks come and go as well as they can */
    while (count < COUNT(filler)) {
        filler[count] = mmap(NULL, 4096, count % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (filler[count] == MAP_FAILED) break;
        count++;
    }
    MUST(count < COUNT(filler), "the mappings did not end\n");
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < COUNT(sizes); i++) {
            (void)fill(sizes[i], (size_t)64 << 20);
            empty();
        }
    /* a mapping between others cannot be cut out any more; its memory goes all the same */
    const size_t before = resident_kib();
    for (unsigned i = 1; i < ROW; i += 2) free(row[i]);
    const size_t less = before - resident_kib();
    MUST(less > ROW / 2 * ROW_BYTES / 1024 / 10 * 9, "only %zu KiB less memory after free\n", less);
    while (count > 0) munmap(filler[--count], 4096);
    for (unsigned i = 0; i < ROW; i += 2) free(row[i]);
    use_what_is_left((size_t)256 << 20);
    return failures != 0;
}

/* ---- many live blocks ---------------------------------------------------------------------------------- */

static int blocks(size_t count, size_t bytes)
{
    static const size_t steps[] = { 1, 7, 3 };
    char **block = mmap(NULL, count * sizeof *block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return 99;
    for (unsigned round = 0; round < COUNT(steps); round++) {
        for (size_t i = 0; i < count; i++) {
            block[i] = malloc(bytes);
            if (block[i] == NULL) {
                say("block %zu: NULL\n", i);
                return 1;
            }
            block[i][0] = block[i][bytes - 1] = (char)i;
        }
        const size_t live = mappings();
        MUST(live < 1000, "%zu mappings\n", live);
        for (size_t first = 0; first < steps[round]; first++)
            for (size_t i = first; i < count; i += steps[round]) {
                MUST(block[i][0] == (char)i && block[i][bytes - 1] == (char)i, "block %zu changed\n", i);
                free(block[i]);
            }
    }
    return failures != 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    const size_t number = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    int status = 2;

    touch = strcmp(verb, "touch") == 0;
    if (argc == 4 && strcmp(verb, "blocks") != 0) {
        size = few_sizes;
        size_count = COUNT(few_sizes);
        missing_part = strtoul(argv[3], NULL, 10);
    }
    if (strcmp(verb, "as") == 0) status = limits(RLIMIT_AS, number);
    if (strcmp(verb, "data") == 0) status = limits(RLIMIT_DATA, number);
    if (strcmp(verb, "none") == 0 || touch) status = limits(-1, number);
    if (strcmp(verb, "maps") == 0) status = maps(number);
    if (strcmp(verb, "blocks") == 0 && argc == 4) status = blocks(number, strtoul(argv[3], NULL, 10));
    say(status == 0 ? "done\n" : "not as expected\n");
    return status;
}
