/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract.h -- what the suites check_contract_x share.  They know the public headers only and hold the
 * library to each row of the behavioural contract, over a matrix of heaps and sizes. */
#ifndef CHECK_CONTRACT_H
#define CHECK_CONTRACT_H

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check_process.h"
#include "emulated.h"
#include "heapapi.h"
#include "privheap.h"

/* A last error and an errno that nobody sets: ASK(call) shows whether the call left them alone. */
#define SENTINEL       0xBADC0DE5u
#define ERRNO_SENTINEL 7777
#define ASK(call)      (SetLastError(SENTINEL), errno = ERRNO_SENTINEL, (call))

#define COUNT(table) (int)(sizeof table / sizeof table[0])
#define KB           ((size_t)1 << 10)
#define MB           ((size_t)1 << 20)
#define PAGE         ((size_t)4096)

#define ck_assert_last(error)                                                                                \
    do {                                                                                                     \
        ck_assert_uint_eq(GetLastError(), (error));                                                          \
        ck_assert_int_eq(errno, ERRNO_SENTINEL);                                                             \
    } while (0)

/* ---- heaps: one row for each kind that a promise must hold for ---- */

struct kind {
    const char *name;
    DWORD create_flags;
    SIZE_T initial, maximum;
    DWORD call_flags; /* with each call */
    bool process;
};

static const struct kind kinds[] = {
    { "growable", 0, 0, 0, 0, false },
    { "growable, small start", 0, 64 * KB, 0, 0, false },
    { "growable, not serialized", HEAP_NO_SERIALIZE, 0, 0, 0, false },
    { "growable, calls not serialized", 0, 0, 0, HEAP_NO_SERIALIZE, false },
    { "process heap", 0, 0, 0, 0, true },
    { "executable", HEAP_CREATE_ENABLE_EXECUTE, 0, 0, 0, false },
    { "raising", HEAP_GENERATE_EXCEPTIONS, 0, 0, 0, false },
    { "fixed 64 KB", 0, 0, 64 * KB, 0, false },
    { "fixed 256 KB", 0, 256 * KB, 256 * KB, 0, false },
    { "fixed 1 MB", 0, 0, MB, 0, false },
    { "fixed 2 MB", 0, 64 * KB, 2 * MB, 0, false },
    { "fixed 1 MB, not serialized", HEAP_NO_SERIALIZE, 0, MB, 0, false },
    { "fixed 2 MB, calls not serialized", 0, 0, 2 * MB, HEAP_NO_SERIALIZE, false },
    { "fixed 1 MB, executable", HEAP_CREATE_ENABLE_EXECUTE, 0, MB, 0, false },
    { "fixed 2 MB, raising", HEAP_GENERATE_EXCEPTIONS, 0, 2 * MB, 0, false },
};
#define KINDS COUNT(kinds)

enum { BLOCK_LIMIT = 0xFF000 }; /* W32 4.3: a fixed heap has no block of so many bytes */

static inline HANDLE kind_open(const struct kind *kind)
{
    HANDLE heap =
        kind->process ? GetProcessHeap() : HeapCreate(kind->create_flags, kind->initial, kind->maximum);
    ck_assert_msg(heap != NULL, "%s: no heap", kind->name);
    return heap;
}

static inline void kind_close(const struct kind *kind, HANDLE heap)
{
    ck_assert_msg(HeapValidate(heap, 0, NULL) == TRUE, "%s: not valid at its end", kind->name);
    if (!kind->process) ck_assert_msg(HeapDestroy(heap) == TRUE, "%s: not destroyed", kind->name);
}

/* Must a heap of that kind, when it is empty, have room for `count` blocks of so many bytes?  64 bytes for
 * each and 3 KB for the heap may be lost (W32 4.4). */
static inline bool kind_has_room(const struct kind *kind, size_t bytes, size_t count)
{
    if (kind->maximum == 0) return bytes <= 64 * MB;
    return bytes < BLOCK_LIMIT && (bytes + 64) * count + 3 * KB <= kind->maximum;
}

/* Can it not have room, whatever the engine? */
static inline bool kind_cannot(const struct kind *kind, size_t bytes)
{
    return kind->maximum ? bytes >= BLOCK_LIMIT || bytes > kind->maximum : bytes >= SIZE_MAX / 2;
}

static inline bool kind_raises(const struct kind *kind)
{
    return (kind->create_flags & HEAP_GENERATE_EXCEPTIONS) != 0;
}

/* Borders of granules, pages, runs, the fixed heap's limit, own mappings. */
static const size_t sizes[] = {
    0,       1,       7,       8,       15,      16,      17,      31,      32,     63,      100,
    255,     256,     257,     1000,    1023,    1024,    1025,    2048,    2049,   4095,    4096,
    4097,    16383,   16384,   16385,   32768,   65535,   65536,   65537,   100000, 0x7FFF8, 0x80000,
    0xFEFEF, 0xFEFF0, 0xFEFFF, 0xFF000, 1048575, 1048576, 1048577, 5 << 20,
};
#define SIZES COUNT(sizes)

/* The matrix of kinds and sizes.  A loop test takes a quarter of one kind's row: with a test for each cell
 * most of the time would go into starting them. */
#define MATRIX   (KINDS * SIZES)
#define QUARTERS (KINDS * 4)
#define EACH_CELL(cell, quarter)                                                                             \
    for (int cell = (quarter) / 4 * SIZES + (quarter) % 4; cell < ((quarter) / 4 + 1) * SIZES; cell += 4)

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- contents ---- */

static inline void fill(void *block, int byte, size_t bytes)
{
    if (bytes) memset(block, byte, bytes);
}

/* Is each byte of [from, to) this one? */
static inline bool is_filled(const void *block, int byte, size_t from, size_t to)
{
    const unsigned char *bytes = (const unsigned char *)block + from;
    if (from >= to) return true;
    return bytes[0] == (unsigned char)byte && memcmp(bytes, bytes + 1, to - from - 1) == 0;
}

/* A small generator: the same row of numbers in each run. */
static inline uint32_t dice(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* ---- the process ---- */

/* What may be done with the page at `at`: "rwxp", "" where nothing is mapped. */
struct rights {
    char may[5];
};

static inline struct rights rights_of(const void *at)
{
    struct rights found = { "" };
    char line[512];
    FILE *file = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file)) {
        unsigned long from, to;
        char may[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, may) == 3 && (uintptr_t)at >= from && (uintptr_t)at < to)
            memcpy(found.may, may, sizeof may);
    }
    fclose(file);
    return found;
}

static inline void sleep_ms(long ms)
{
    const struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

static inline bool is_under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

/* ---- a child that may die ---- */

/* It has forty seconds, as the machine may be busy: an alarm ends one that hangs. */
static inline struct child_end child_run(void (*act)(const void *), const void *with)
{
    int from;
    const pid_t child = child_begin(&from);
    if (child == 0) {
        alarm(is_under_valgrind() || is_emulated() ? 100 : 40);
        act(with);
        _exit(0);
    }
    return child_wait(child, from);
}

static inline void child_lives(void (*act)(const void *), const void *with)
{
    const struct child_end end = child_run(act, with);
    ck_assert_msg(end.status == 0, "child ended with status %#x: %s", (unsigned)end.status, end.text);
}

/* It was ended by that signal, after one line on standard error, or a report: its other lines are indented. */
static inline void child_dies(void (*act)(const void *), const void *with, int signal)
{
    const struct child_end end = child_run(act, with);
    ck_assert_msg(WIFSIGNALED(end.status) && WTERMSIG(end.status) == signal,
                  "signal %d wanted, status %#x: %s", signal, (unsigned)end.status, end.text);
    const char *line_end = strchr(end.text, '\n');
    ck_assert_msg(line_end != NULL, "no line: %s", end.text);
    for (; line_end != NULL && line_end[1] != '\0'; line_end = strchr(line_end + 1, '\n'))
        ck_assert_msg(line_end[1] == ' ', "one line or a report wanted: %s", end.text);
}

/* ---- running ---- */

__attribute__((constructor)) static void contract_set_timeout(void) { setenv("CK_DEFAULT_TIMEOUT", "60", 0); }

static inline TCase *contract_case(Suite *suite, const char *name)
{
    TCase *made = tcase_create(name);
    suite_add_tcase(suite, made);
    return made;
}

static inline int contract_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
