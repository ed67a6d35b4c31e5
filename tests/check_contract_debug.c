/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_debug.c -- the debug modes (W32 2.8): fills, tails, what HeapValidate notices.  Each test
 * runs in a process of its own, this program started again with PRIVHEAP_DEBUG_FLAGS in its environment. */
#include "check_contract.h"

static HANDLE heap;

/* In the second process: what is wrong goes to standard error. */
#define WANT(cond)                                                                                           \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                       \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

static const size_t small[] = { 0,  1,  2,  3,  4,  5,  7,   8,   9,    15,   16,
                                17, 31, 32, 33, 63, 64, 100, 255, 1000, 4097, 20000 };
#define SMALL COUNT(small)

static DWORD word_at(const unsigned char *at)
{
    DWORD word;
    memcpy(&word, at, sizeof word);
    return word;
}

static bool has_words(const unsigned char *block, size_t from, size_t to, DWORD word)
{
    for (size_t at = from; at + 4 <= to; at += 4)
        if (word_at(block + at) != word) return false;
    return true;
}

static bool has_tail(const unsigned char *block, size_t bytes)
{
    return is_filled(block, 0xAB, bytes, bytes + 16);
}

/* ---- free check (0x20): new memory and freed memory ---- */

static void new_memory_is_filled(void)
{
    for (int i = 0; i < SMALL; i++) {
        unsigned char *block = HeapAlloc(heap, 0, small[i]);
        WANT(block && has_words(block, 0, small[i], 0xBAADF00D));
        unsigned char *zero = HeapAlloc(heap, HEAP_ZERO_MEMORY, small[i]);
        WANT(zero && is_filled(zero, 0, 0, small[i]));
        WANT(HeapFree(heap, 0, block) && HeapFree(heap, 0, zero));
    }
}

static void grown_memory_is_filled(void)
{
    for (int i = 0; i < SMALL; i++) {
        for (int j = i; j < SMALL; j++) {
            unsigned char *block = HeapAlloc(heap, 0, small[i]);
            fill(block, 0x11, small[i]);
            block = HeapReAlloc(heap, 0, block, small[j]);
            WANT(block && is_filled(block, 0x11, 0, small[i]));
            WANT(has_words(block, (small[i] + 3) & ~(size_t)3, small[j], 0xBAADF00D));
            block = HeapReAlloc(heap, HEAP_ZERO_MEMORY, block, small[j] + 100);
            WANT(block && is_filled(block, 0, small[j], small[j] + 100));
            WANT(HeapFree(heap, 0, block));
        }
    }
}

static void freed_memory_is_filled_and_watched(void)
{
    for (int i = 0; i < SMALL; i++) {
        if (small[i] < 32) continue;
        unsigned char *before = HeapAlloc(heap, 0, 40), *block = HeapAlloc(heap, 0, small[i]);
        unsigned char *after = HeapAlloc(heap, 0, 40);
        fill(block, 0x11, small[i]);
        WANT(HeapFree(heap, 0, block) && HeapValidate(heap, 0, NULL));
        WANT(has_words(block, 16, small[i] & ~(size_t)3, 0xFEEEFEEE));
        block[20] ^= 0x40;
        WANT(!HeapValidate(heap, 0, NULL));
        block[20] ^= 0x40;
        WANT(HeapValidate(heap, 0, NULL));
        WANT(HeapFree(heap, 0, before) && HeapFree(heap, 0, after));
    }
}

/* ---- tail check (0x10) ---- */

static void tail_is_there_and_watched(void)
{
    for (int i = 0; i < SMALL; i++) {
        unsigned char *block = HeapAlloc(heap, i % 2 ? HEAP_ZERO_MEMORY : 0, small[i]);
        WANT(block && HeapSize(heap, 0, block) == small[i] && has_tail(block, small[i]));
        WANT(HeapValidate(heap, 0, block) && HeapValidate(heap, 0, NULL));
        for (size_t at = small[i]; at < small[i] + 16; at += 5) {
            block[at] ^= 1;
            WANT(!HeapValidate(heap, 0, block));
            WANT(HeapSize(heap, 0, block) == small[i]); /* looks at it only with the validate bit */
            block[at] ^= 1;
            WANT(HeapValidate(heap, 0, block));
        }
        WANT(HeapFree(heap, 0, block));
    }
}

static void every_small_size_has_eight_bytes_of_tail(void)
{
    for (size_t bytes = 0; bytes < 64; bytes++) {
        unsigned char *block = HeapAlloc(heap, 0, bytes);
        WANT(block && is_filled(block, 0xAB, bytes, bytes + 8));
        WANT(HeapFree(heap, 0, block));
    }
}

static void tail_moves_with_each_resize(void)
{
    for (int i = 0; i < SMALL; i++) {
        unsigned char *block = HeapAlloc(heap, 0, small[i]);
        for (int j = 0; j < SMALL; j++) {
            block = HeapReAlloc(heap, 0, block, small[j]);
            WANT(block && HeapSize(heap, 0, block) == small[j] && has_tail(block, small[j]));
            WANT(HeapValidate(heap, 0, block));
        }
        WANT(HeapFree(heap, 0, block));
    }
}

static void damaged_tail_does_not_stop_a_plain_free(void)
{
    unsigned char *block = HeapAlloc(heap, 0, 100);
    block[100] ^= 1;
    WANT(HeapSize(heap, 0, block) == 100);
    block = HeapReAlloc(heap, 0, block, 90);
    WANT(block && has_tail(block, 90));
    block[90] ^= 1;
    WANT(HeapFree(heap, 0, block));
}

/* ---- what is not filled ---- */

static void large_blocks_are_zero_without_a_tail(void)
{
    unsigned char *block = HeapAlloc(heap, 0, 3 * MB);
    WANT(block && is_filled(block, 0, 0, 3 * MB) && HeapValidate(heap, 0, block) && HeapFree(heap, 0, block));
}

static bool has_fills(HANDLE of)
{
    unsigned char *block = HeapAlloc(of, 0, 1000);
    const bool is_new = has_words(block, 0, 1000, 0xBAADF00D), is_tail = has_tail(block, 1000);
    fill(block, 0x11, 1000);
    unsigned char *after = HeapAlloc(of, 0, 1000);
    WANT(HeapFree(of, 0, block));
    const bool is_freed = has_words(block, 16, 1000, 0xFEEEFEEE);
    WANT(HeapFree(of, 0, after));
    return is_new || is_tail || is_freed;
}

static void nothing_is_filled(void)
{
    WANT(!has_fills(heap));
    HANDLE other = HeapCreate(HEAP_TAIL_CHECKING_ENABLED | HEAP_FREE_CHECKING_ENABLED | 0x70000000, 0, 0);
    WANT(!has_fills(other) && HeapDestroy(other));
}

static void ordinary_use_is_as_ever(void)
{
    enum { SLOTS = 80 };
    unsigned char *slot[SLOTS] = { NULL };
    uint64_t state = 4;
    for (int i = 0; i < 4000; i++) {
        unsigned char **at = &slot[dice(&state) % SLOTS];
        const size_t bytes = dice(&state) % 1500;
        if (*at && i % 3) {
            WANT(HeapFree(heap, 0, *at));
            *at = NULL;
        } else {
            *at = *at ? HeapReAlloc(heap, 0, *at, bytes) : HeapAlloc(heap, HEAP_ZERO_MEMORY, bytes);
            WANT(*at && HeapSize(heap, 0, *at) == bytes);
            fill(*at, i, bytes);
        }
        if (i % 100 == 0) WANT(HeapValidate(heap, 0, NULL));
    }
    for (int i = 0; i < SLOTS; i++) WANT(HeapFree(heap, 0, slot[i]));
}

/* With 0x80 each call looks at all of the heap: a second free and a damaged free block are refused as ever.
 */
static void bad_pointers_are_refused_as_ever(void)
{
    unsigned char *block = HeapAlloc(heap, 0, 200);
    WANT(!HeapFree(heap, 0, block + 16) && GetLastError() == ERROR_INVALID_PARAMETER);
    WANT(HeapFree(heap, 0, block) && !HeapFree(heap, 0, block) && GetLastError() == ERROR_INVALID_PARAMETER);
    WANT(HeapReAlloc(heap, 0, block, 10) == NULL && HeapSize(heap, 0, block) == (SIZE_T)-1);
}

/* ---- which of them with which flags ---- */

static const struct {
    const char *name, *flags; /* NULL: not in the environment */
    void (*act)(void);
} runs[] = {
#define RUN(flags, act)                                                                                      \
    {                                                                                                        \
#act, flags, act                                                                                     \
    }
    RUN(NULL, nothing_is_filled),
    RUN("0", nothing_is_filled),
    RUN("0x20", new_memory_is_filled),
    RUN("0x20", grown_memory_is_filled),
    RUN("0x20", freed_memory_is_filled_and_watched),
    RUN("0x20", large_blocks_are_zero_without_a_tail),
    RUN("0x20", ordinary_use_is_as_ever),
    RUN("0x10", tail_is_there_and_watched),
    RUN("0x10", every_small_size_has_eight_bytes_of_tail),
    RUN("0x10", tail_moves_with_each_resize),
    RUN("0x10", damaged_tail_does_not_stop_a_plain_free),
    RUN("0x10", large_blocks_are_zero_without_a_tail),
    RUN("0x10", ordinary_use_is_as_ever),
    RUN("0x30", new_memory_is_filled),
    RUN("0x30", grown_memory_is_filled),
    RUN("0x30", freed_memory_is_filled_and_watched),
    RUN("0x30", tail_is_there_and_watched),
    RUN("0x30", tail_moves_with_each_resize),
    RUN("48", tail_is_there_and_watched), /* decimal */
    RUN("0x40", new_memory_is_filled),    /* 0x40000000|0x20|0x40 */
    RUN("0x40", freed_memory_is_filled_and_watched),
    RUN("0x40", every_small_size_has_eight_bytes_of_tail),
    RUN("0x40", ordinary_use_is_as_ever),
    RUN("0x40", bad_pointers_are_refused_as_ever),
    RUN("0x80", new_memory_is_filled), /* 0x20000000|0x20|0x40 */
    RUN("0x80", freed_memory_is_filled_and_watched),
    RUN("0x80", every_small_size_has_eight_bytes_of_tail),
    RUN("0x80", ordinary_use_is_as_ever),
    RUN("0x80", bad_pointers_are_refused_as_ever),
    RUN("0x200000", ordinary_use_is_as_ever), /* no coalescing */
    RUN("0x200030", freed_memory_is_filled_and_watched),
};
#define RUNS COUNT(runs)
enum { HEAPS = 3 };

static void run_again(const void *number)
{
    char argument[16];
    const int which = *(const int *)number;
    snprintf(argument, sizeof argument, "%d", which);
    unsetenv("PRIVHEAP_DEBUG_FLAGS");
    if (runs[which / HEAPS].flags) setenv("PRIVHEAP_DEBUG_FLAGS", runs[which / HEAPS].flags, 1);
    emulated_start_again(argument);
    CHILD_NEEDS(!"started again");
}

START_TEST(debug_mode_does_what_its_flags_say) /* W32 2.8 */
{
    const int which = _i;
    const struct child_end end = child_run(run_again, &which);
    ck_assert_msg(end.status == 0, "%s with %s, heap %d: status %#x: %s", runs[which / HEAPS].name,
                  runs[which / HEAPS].flags ? runs[which / HEAPS].flags : "nothing", which % HEAPS,
                  (unsigned)end.status, end.text);
}
END_TEST

/* The second process: growable, fixed, process heap. */
static int run_one(int which)
{
    heap = which % HEAPS == 2 ? GetProcessHeap() : HeapCreate(0, 0, which % HEAPS ? 4 * MB : 0);
    if (which % HEAPS == 1 && runs[which / HEAPS].act == large_blocks_are_zero_without_a_tail) return 0;
    runs[which / HEAPS].act();
    WANT(HeapValidate(heap, 0, NULL));
    return 0;
}

int main(int arguments, char **argument)
{
    if (arguments > 1) return run_one(atoi(argument[1]));
    Suite *suite = suite_create("contract debug");
    TCase *debug = contract_case(suite, "debug modes");
    tcase_add_loop_test(debug, debug_mode_does_what_its_flags_say, 0, RUNS * HEAPS);
    return contract_run(suite);
}
