/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc.c -- the suite "malloc": its main, and the helpers of check_malloc.h. */
#include "check_malloc.h"

#include "preloaded.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

const size_t size_kinds[] = {
    1,          8,          16,         24,          100,         255,         256,         1000,          4080,
    4096,       5000,       16 * KIB,   16 * KIB + 1, 20000,      64 * KIB,    100 * KIB,   256 * KIB,     1000000,
    MIB - 4096, MIB,        MIB + 1,    1500000,     3 * MIB,     4 * MIB,     5 * MIB + 7,
};
const unsigned size_kind_count = sizeof size_kinds / sizeof *size_kinds;

static uint64_t pattern_word(uint64_t seed, size_t index)
{
    return (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + index;
}

void fill(void *block, size_t bytes, uint64_t seed)
{
    unsigned char *at = block;
    size_t index = 0;

    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), at += sizeof(uint64_t), index++) {
        uint64_t word = pattern_word(seed, index);
        memcpy(at, &word, sizeof word);
    }
    uint64_t word = pattern_word(seed, index);
    memcpy(at, &word, bytes);
}

bool is_filled(const void *block, size_t bytes, uint64_t seed)
{
    const unsigned char *at = block;
    size_t index = 0;

    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), at += sizeof(uint64_t), index++) {
        uint64_t word = pattern_word(seed, index);
        if (memcmp(at, &word, sizeof word) != 0) return false;
    }
    uint64_t word = pattern_word(seed, index);
    return memcmp(at, &word, bytes) == 0;
}

bool is_zero(const void *block, size_t bytes)
{
    const unsigned char *at = block;

    return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}

uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

size_t os_page_bytes(void)
{
    const char *said = getenv("PRIVHEAP_OS_PAGE");
    return said != NULL ? strtoul(said, NULL, 10) : (size_t)sysconf(_SC_PAGESIZE);
}

long resident_kib(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");

    if (statm == NULL || fscanf(statm, "%*d %ld", &pages) != 1) pages = -1;
    if (statm != NULL) fclose(statm);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

bool child_succeeded(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return false;
    if (WIFSIGNALED(status)) fprintf(stderr, "child %d: signal %d\n", (int)child, WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool true_in_child(bool (*body)(void), unsigned seconds)
{
    pid_t child = fork();

    if (child < 0) return false;
    if (child == 0) {
        signal(SIGALRM, SIG_DFL); /* Check's handler would kill the whole group */
        alarm(seconds);
        _exit(body() ? 0 : 1);
    }
    return child_succeeded(child);
}

int main(int argc, char **argv)
{
    (void)argc;
    preloaded_start(argv);

    Suite *suite = suite_create("malloc");
    TCase *(*const cases[])(void) = {
        tcase_processes_of_one_thread,
        tcase_malloc,
        tcase_calloc,
        tcase_realloc,
        tcase_aligned,
        tcase_usable,
        tcase_statistics,
        tcase_names,
        tcase_shadow,
        tcase_threads,
        tcase_processes,
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) suite_add_tcase(suite, cases[i]());

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
