/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_debug.c -- what a heap with debug flags writes into memory and finds there later: W32 2.8.  The flags
 * are those of the environment, so the suite runs itself again for each set of them. */
#include "check_heapapi.h"
#include "check_room.h"

enum { KB = 1024, MB = 1 << 20, FREE_CHECK = 0x20, TAIL_CHECK = 0x10, TAIL = 16, NT_LINKS = 16 };

static const unsigned sets[] = {TAIL_CHECK, FREE_CHECK, TAIL_CHECK | FREE_CHECK, 0x40, 0x80, 0x200000, 0x200000 | 0x70};
static const size_t block_sizes[] = {0, 1, 3, 4, 5, 15, 16, 17, 31, 63, 64, 100, 1000, 1008, 4097, 20001, 500003};

static unsigned flags; /* in the child: what it was started with */
static HANDLE heap;

static bool checks_tail(void) { return flags & (TAIL_CHECK | 0xc0); }
static bool checks_free(void) { return flags & (FREE_CHECK | 0xc0); }

static void *checked_alloc(DWORD how, SIZE_T bytes)
{
    void *block = HeapAlloc(heap, how, bytes);
    CHILD_NEEDS(block != NULL && HeapSize(heap, 0, block) == bytes && (uintptr_t)block % 16 == 0);
    return block;
}

static bool has_pattern(const unsigned char *at, size_t bytes, uint32_t pattern)
{
    unsigned char each[4];
    memcpy(each, &pattern, 4);
    for (size_t i = 0; i + 4 <= bytes; i += 4)
        if (memcmp(at + i, each, 4) != 0) return false;
    return true;
}

static bool has_bytes(const unsigned char *at, size_t bytes, unsigned char value)
{
    for (size_t i = 0; i < bytes; i++)
        if (at[i] != value) return false;
    return true;
}

static void check_tail(const unsigned char *block, size_t bytes)
{
    if (checks_tail()) CHILD_NEEDS(has_bytes(block + bytes, TAIL, 0xAB));
}

/* ---- the rules ---- */

static void new_memory_has_its_pattern(void)
{
    for (int i = 0; i < COUNT(block_sizes); i++) {
        const size_t bytes = block_sizes[i];
        const unsigned char *block = checked_alloc(0, bytes);
        if (checks_free()) CHILD_NEEDS(has_pattern(block, bytes, 0xBAADF00D));
        check_tail(block, bytes);
        const unsigned char *zeros = checked_alloc(HEAP_ZERO_MEMORY, bytes);
        CHILD_NEEDS(has_bytes(zeros, bytes, 0));
        check_tail(zeros, bytes);
        CHILD_NEEDS(HeapValidate(heap, 0, block) && HeapValidate(heap, 0, zeros));
    }
    CHILD_NEEDS(HeapValidate(heap, 0, NULL));
}

/* Behind dirty memory too. */
static void reused_memory_has_its_pattern(void)
{
    for (int round = 0; round < 3; round++) {
        void *block[COUNT(block_sizes)];
        for (int i = 0; i < COUNT(block_sizes); i++) {
            block[i] = checked_alloc(i % 2 ? HEAP_ZERO_MEMORY : 0, block_sizes[i]);
            if (i % 2) CHILD_NEEDS(has_bytes(block[i], block_sizes[i], 0));
            else if (checks_free()) CHILD_NEEDS(has_pattern(block[i], block_sizes[i], 0xBAADF00D));
            memset(block[i], 0x77, block_sizes[i]);
        }
        for (int i = 0; i < COUNT(block_sizes); i++)
            CHILD_NEEDS(HeapFree(heap, 0, block[i]));
        CHILD_NEEDS(HeapValidate(heap, 0, NULL));
    }
}

static void freed_memory_has_its_pattern_and_is_checked(void)
{
    static const size_t sizes[] = {16, 40, 100, 1000, 50000};
    for (int i = 0; i < COUNT(sizes); i++) {
        unsigned char *block = checked_alloc(0, sizes[i]), *wall = checked_alloc(0, 10);
        memset(block, 0x11, sizes[i]);
        CHILD_NEEDS(HeapFree(heap, 0, block));
        if (sizes[i] > NT_LINKS && checks_free()) {
            CHILD_NEEDS(has_pattern(block + NT_LINKS, sizes[i] - NT_LINKS, 0xFEEEFEEE));
            const size_t at[] = {NT_LINKS, sizes[i] / 2, sizes[i] - 1};
            for (int j = 0; j < COUNT(at); j++) {
                if (at[j] < NT_LINKS) continue;
                const unsigned char was = block[at[j]];
                block[at[j]] ^= 0x20;
                CHILD_NEEDS(!HeapValidate(heap, 0, NULL));
                block[at[j]] = was;
                CHILD_NEEDS(HeapValidate(heap, 0, NULL)); /* once it is restored */
            }
        }
        CHILD_NEEDS(!HeapFree(heap, 0, block) && HeapFree(heap, 0, wall));
    }
}

/* A block at the end of what is used becomes memory that nobody has: that is checked as well. */
static void last_block_is_checked_when_it_is_freed(void)
{
    unsigned char *block = checked_alloc(0, 5000);
    CHILD_NEEDS(HeapFree(heap, 0, block));
    block[2000] ^= 1;
    CHILD_NEEDS(HeapValidate(heap, 0, NULL) == !checks_free());
    block[2000] ^= 1;
    CHILD_NEEDS(HeapValidate(heap, 0, NULL));
}

static void damaged_tail_is_noticed(void)
{
    for (int i = 0; checks_tail() && i < COUNT(block_sizes); i++) {
        unsigned char *block = checked_alloc(0, block_sizes[i]), *other = checked_alloc(0, 10);
        for (int at = 0; at < TAIL; at += 5) {
            block[block_sizes[i] + (size_t)at]++;
            CHILD_NEEDS(!HeapValidate(heap, 0, block) && HeapValidate(heap, 0, other));
            CHILD_NEEDS(!HeapValidate(heap, 0, NULL));
            CHILD_NEEDS(HeapSize(heap, 0, block) == block_sizes[i]); /* looks at it only when told */
            block[block_sizes[i] + (size_t)at]--;
            CHILD_NEEDS(HeapValidate(heap, 0, block) && HeapValidate(heap, 0, NULL));
        }
    }
}

static void check_resized(size_t from, size_t to, DWORD how)
{
    unsigned char *block = checked_alloc(0, from), *wall = how & HEAP_REALLOC_IN_PLACE_ONLY ? NULL : checked_alloc(0, 1);
    memset(block, 0x33, from);
    unsigned char *now = HeapReAlloc(heap, how, block, to);
    if (now == NULL) {
        CHILD_NEEDS((how & HEAP_REALLOC_IN_PLACE_ONLY) && to > from);
        check_tail(block, from);
        now = block;
        to = from;
    }
    CHILD_NEEDS(HeapSize(heap, 0, now) == to && has_bytes(now, from < to ? from : to, 0x33));
    const size_t begin = (from + 3) / 4 * 4;
    if (how & HEAP_ZERO_MEMORY) {
        if (to > from) CHILD_NEEDS(has_bytes(now + from, to - from, 0));
    } else if (to > begin && checks_free()) {
        CHILD_NEEDS(has_pattern(now + begin, to - begin, 0xBAADF00D));
    }
    check_tail(now, to);
    CHILD_NEEDS(HeapValidate(heap, 0, now) && HeapValidate(heap, 0, NULL));
    CHILD_NEEDS(HeapFree(heap, 0, now) && HeapFree(heap, 0, wall));
    CHILD_NEEDS(HeapValidate(heap, 0, NULL));
}

static void resized_memory_has_its_patterns(void)
{
    static const DWORD how[] = {0, HEAP_ZERO_MEMORY, HEAP_REALLOC_IN_PLACE_ONLY, HEAP_REALLOC_IN_PLACE_ONLY | HEAP_ZERO_MEMORY};
    static const size_t sizes[] = {0, 1, 7, 16, 30, 64, 100, 1001, 30000};
    for (int h = 0; h < COUNT(how); h++)
        for (int from = 0; from < COUNT(sizes); from++)
            for (int to = 0; to < COUNT(sizes); to++)
                check_resized(sizes[from], sizes[to], how[h]);
}

static void large_blocks_are_zero_and_have_no_tail(void)
{
    for (int round = 0; round < 2; round++) {
        unsigned char *block = checked_alloc(0, 3 * MB);
        CHILD_NEEDS(has_bytes(block, 3 * MB, 0));
        memset(block, 0x44, 3 * MB);
        CHILD_NEEDS(HeapValidate(heap, 0, block) && HeapValidate(heap, 0, NULL));
        CHILD_NEEDS(HeapFree(heap, 0, block));
    }
}

static void neighbours_join_unless_told_not_to(void) /* W32 3.8 */
{
    char *part[6];
    for (int i = 0; i < 6; i++)
        part[i] = checked_alloc(0, 2000);
    for (int i = 0; i < 5; i++)
        CHILD_NEEDS(HeapFree(heap, 0, part[i]));
    int free_parts = 0;
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    while (HeapWalk(heap, &entry))
        free_parts += entry.wFlags == 0 && (char *)entry.lpData >= part[0] && (char *)entry.lpData < part[5];
    CHILD_NEEDS(free_parts == (flags & 0x200000 ? 5 : 1));
    CHILD_NEEDS(HeapCompact(heap, 0) >= 10000);
    CHILD_NEEDS(HeapValidate(heap, 0, NULL));
    entry.lpData = NULL;
    for (free_parts = 0; HeapWalk(heap, &entry);)
        free_parts += entry.wFlags == 0 && (char *)entry.lpData >= part[0] && (char *)entry.lpData < part[5];
    CHILD_NEEDS(free_parts == 1);
    CHILD_NEEDS(HeapFree(heap, 0, part[5]));
}

static void random_life_stays_valid(void)
{
    enum { BLOCKS = 120 };
    unsigned char *block[BLOCKS] = {NULL};
    size_t bytes[BLOCKS] = {0};
    uint64_t random = flags;
    for (int step = 0; step < 3000; step++) {
        const uint32_t i = room_random(&random) % BLOCKS;
        const size_t want = room_random(&random) % (step % 50 == 0 ? 40000 : 900);
        if (block[i] == NULL) {
            block[i] = checked_alloc(0, want);
        } else if (room_random(&random) % 3 == 0) {
            unsigned char *now = HeapReAlloc(heap, 0, block[i], want);
            CHILD_NEEDS(now != NULL);
            block[i] = now;
        } else {
            CHILD_NEEDS(has_bytes(block[i], bytes[i], (unsigned char)i) && HeapFree(heap, 0, block[i]));
            block[i] = NULL;
            continue;
        }
        memset(block[i], (int)i, bytes[i] = want);
        if (step % 100 == 99) CHILD_NEEDS(HeapValidate(heap, 0, NULL));
    }
    HEAP_SUMMARY summary = {.cb = sizeof summary};
    SIZE_T sum = 0;
    for (int i = 0; i < BLOCKS; i++)
        if (block[i] != NULL) sum += HeapSize(heap, 0, block[i]);
    CHILD_NEEDS(HeapSummary(heap, 0, &summary) && summary.cbAllocated == sum);
    for (int i = 0; i < BLOCKS; i++)
        CHILD_NEEDS(HeapFree(heap, 0, block[i]));
    CHILD_NEEDS(HeapValidate(heap, 0, NULL));
}

static void heap_grows_as_others_do(void) /* W32 5 */
{
    SIZE_T all = 0;
    for (int i = 0; i < 40; i++) {
        unsigned char *block = checked_alloc(0, 500000);
        memset(block, i, 500000);
        all += 500000;
    }
    CHILD_NEEDS(HeapValidate(heap, 0, NULL) && all > 16 * MB);
}

static void (*const rules[])(void) = {
    new_memory_has_its_pattern,
    reused_memory_has_its_pattern,
    freed_memory_has_its_pattern_and_is_checked,
    last_block_is_checked_when_it_is_freed,
    damaged_tail_is_noticed,
    resized_memory_has_its_patterns,
    large_blocks_are_zero_and_have_no_tail,
    neighbours_join_unless_told_not_to,
    random_life_stays_valid,
    heap_grows_as_others_do,
};

/* Of a fixed heap: all but what is large there. */
enum { FIXED_RULES = 6, RULES = sizeof rules / sizeof rules[0] };

/* ---- running this program again ---- */

struct again {
    unsigned set;
    int rule;
    const char *kind; /* growing, fixed or process */
};

static void start_again(void *what)
{
    const struct again *again = what;
    char value[32], rule[16];
    snprintf(value, sizeof value, "%#x", again->set);
    snprintf(rule, sizeof rule, "%d", again->rule);
    setenv("PRIVHEAP_DEBUG_FLAGS", value, 1);
    setenv("CHECK_DEBUG_KIND", again->kind, 1);
    setenv("CHECK_DEBUG_RULE", rule, 1);
    emulated_start_again(NULL);
    CHILD_NEEDS(!"started again");
}

static int be_the_child(void)
{
    const char *kind = getenv("CHECK_DEBUG_KIND");
    flags = (unsigned)strtoul(getenv("PRIVHEAP_DEBUG_FLAGS"), NULL, 0);
    if (strcmp(kind, "process") == 0)
        heap = GetProcessHeap();
    else
        heap = HeapCreate(0, 0, strcmp(kind, "fixed") == 0 ? 8 * MB : 0);
    CHILD_NEEDS(heap != NULL && ph_heap_of_handle(heap)->debug == flags);
    rules[atoi(getenv("CHECK_DEBUG_RULE"))]();
    CHILD_NEEDS(HeapValidate(heap, 0, NULL));
    CHILD_NEEDS(strcmp(kind, "process") == 0 || HeapDestroy(heap));
    return 0;
}

START_TEST(rule_holds_in_a_growing_heap)
{
    struct again again = {sets[_i / RULES], _i % RULES, "growing"};
    room_lives(start_again, &again);
}
END_TEST

START_TEST(rule_holds_in_a_fixed_heap)
{
    struct again again = {sets[_i / FIXED_RULES], _i % FIXED_RULES, "fixed"};
    room_lives(start_again, &again);
}
END_TEST

START_TEST(rule_holds_in_the_process_heap)
{
    struct again again = {sets[_i / RULES], _i % RULES, "process"};
    room_lives(start_again, &again);
}
END_TEST

/* ---- without flags ---- */

START_TEST(heap_without_flags_leaves_memory_alone)
{
    HANDLE plain = HeapCreate(HEAP_TAIL_CHECKING_ENABLED | HEAP_FREE_CHECKING_ENABLED | HEAP_DISABLE_COALESCE_ON_FREE, 0, 0);
    ck_assert_uint_eq(ph_heap_of_handle(plain)->debug, 0); /* never through HeapCreate */
    unsigned char *block = HeapAlloc(plain, 0, 100), *wall = HeapAlloc(plain, 0, 1);
    ck_assert(has_bytes(block, 100, 0)); /* fresh memory of the system */
    memset(block, 0x66, 112);
    ck_assert_int_eq(HeapFree(plain, 0, block), TRUE);
    ck_assert(has_bytes(block, 100, 0x66));
    ck_assert_int_eq(HeapValidate(plain, 0, NULL), TRUE);
    ck_assert_int_eq(HeapValidate(plain, 0, wall), TRUE);
    ck_assert_int_eq(HeapDestroy(plain), TRUE);
}
END_TEST

int main(void)
{
    if (getenv("CHECK_DEBUG_RULE") != NULL) return be_the_child();
    Suite *suite = suite_create("debug");
    TCase *each = tcase_create("flags");
    tcase_add_loop_test(each, rule_holds_in_a_growing_heap, 0, COUNT(sets) * RULES);
    tcase_add_loop_test(each, rule_holds_in_a_fixed_heap, 0, COUNT(sets) * FIXED_RULES);
    tcase_add_loop_test(each, rule_holds_in_the_process_heap, 0, COUNT(sets) * RULES);
    tcase_add_test(each, heap_without_flags_leaves_memory_alone);
    suite_add_tcase(suite, each);
    return room_run(suite);
}
