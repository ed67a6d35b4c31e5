/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_stress_more.c -- the page heap: the parts of option STRESS by which blocks are chosen among others, and what private
 * heaps have of it.  The rest is in check_stress.c. */
#include "check_room.h"
#include "guard.h"
#include "pageheap.h"
#include "privheap.h"

static struct heap *heap, *mine;

/* Other settings than those of the start; no bound on time. */
static void stress(const char *parts)
{
    char text[300];
    snprintf(text, sizeof text, "on,%sslowdown:0", parts);
    ck_assert(ph_stress_begin(text));
}

static void setup(void)
{
    setenv("PRIVHEAP_STRESS", "on", 1);
    heap = ph_heap_process(); /* which reads the environment */
    ck_assert_ptr_nonnull(heap);
    heap->stress = 1; /* though another test was the first to ask for it */
    stress("");
    mine = room_heap(0);
}

static void teardown(void)
{
    stress("");
    ck_assert(ph_heap_destroy(mine));
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
}

static char *take_of(struct heap *hp, size_t bytes, bool zero)
{
    char *block = ph_heap_alloc(hp, &(struct request){.bytes = bytes, .zero = zero, .sized = true});
    ck_assert_ptr_nonnull(block);
    return block;
}

static void give_of(struct heap *hp, void *block) { ck_assert_int_eq(ph_heap_free(hp, block, ENTER_PATIENTLY), BLOCK_OK); }

static bool is_paged(const char *block)
{
    const struct paged *pd = ph_paged_of(block);
    return pd != NULL && pd->block == block;
}

/* Is the next block of that heap one of the page heap's? */
static bool next_is_paged(struct heap *hp)
{
    char *block = take_of(hp, 50, false);
    const bool is = is_paged(block);
    give_of(hp, block);
    return is;
}

/* ---- which blocks ---- */

START_TEST(only_the_heap_of_that_name)
{
    static const char *const others[] = {"parse", "parsers", "", "process"};
    stress("heap:parser,");
    ck_assert(ph_heap_set_name(mine->handle, "parser"));
    ck_assert(next_is_paged(mine));
    ck_assert(!next_is_paged(heap));
    for (int i = 0; i < COUNT(others); i++) {
        ck_assert(ph_heap_set_name(mine->handle, others[i]));
        ck_assert_msg(!next_is_paged(mine), "'%s'", others[i]);
    }
}
END_TEST

START_TEST(only_what_the_module_asks_for)
{
    char parts[200], path[200];
    const ssize_t bytes = readlink("/proc/self/exe", path, sizeof path - 1);
    ck_assert_int_gt(bytes, 0);
    path[bytes] = '\0';
    snprintf(parts, sizeof parts, "module:%.100s,", strrchr(path, '/') + 1);
    stress(parts);
    ck_assert_msg(next_is_paged(heap), "%s", parts);
    stress("module:libother.so,");
    ck_assert(!next_is_paged(heap));
}
END_TEST

/* Which of 64 blocks are in front. */
static uint64_t in_front(const char *parts)
{
    uint64_t bits = 0;
    stress(parts);
    for (unsigned i = 0; i < 64; i++) {
        char *block = take_of(heap, 40, false);
        bits |= (uint64_t)((uintptr_t)block % ph_os_page_bytes() == 0) << i;
        give_of(heap, block);
    }
    return bits;
}

START_TEST(at_random_some_are_in_front_and_some_are_not)
{
    const int count = __builtin_popcountll(in_front("side:random,seed:3,"));
    ck_assert_msg(count > 8 && count < 56, "%d of 64", count);
    ck_assert_uint_eq(in_front("side:end,"), 0);
    ck_assert_uint_eq(in_front("side:start,"), UINT64_MAX);
}
END_TEST

/* ---- when they are looked at ---- */

static void write_beside_one(void *with)
{
    char *block = take_of(heap, 37, false);
    (void)with;
    stress("check:20,");
    block[40] ^= 1;
    for (unsigned i = 0; i < 20; i++)
        give_of(heap, take_of(heap, 100, false));
}

START_TEST(every_so_many_operations_all_blocks_are_looked_at) { room_aborts(write_beside_one, NULL, "PH110 changed behind its end"); }
END_TEST

/* The one that went least far beyond: its distance is told. */
START_TEST(of_several_bytes_in_front_the_nearest_is_told)
{
    char *block = take_of(heap, 37, false);
    block[-30] ^= 1;
    block[-9] ^= 1;
    block[-7] ^= 1;
    ck_assert_ptr_eq(ph_paged_broken(ph_paged_of(block)), block - 7);
    block[-7] ^= 1;
    ck_assert_ptr_eq(ph_paged_broken(ph_paged_of(block)), block - 9);
    block[-9] ^= 1;
    block[-30] ^= 1;
    give_of(heap, block);
}
END_TEST

START_TEST(tail_of_a_private_heap_s_block_is_looked_at)
{
    char *block = take_of(mine, 80, false);
    for (unsigned i = 80; i < 96; i++) {
        ck_assert(ph_walk_validate(mine, block, ENTER_PATIENTLY));
        block[i] ^= 1;
        ck_assert_msg(!ph_walk_validate(mine, block, ENTER_PATIENTLY), "byte %u", i);
        ck_assert_ptr_eq(ph_paged_broken(ph_paged_of(block)), block + i);
        block[i] ^= 1;
    }
    give_of(mine, block);
}
END_TEST

/* ---- how far a guard goes ---- */

/* Whoever runs over a large block may run far, and must not come to the next one. */
START_TEST(behind_a_large_block_as_much_is_inaccessible)
{
    const size_t large = 20 * ph_os_page_bytes();
    char *block = take_of(heap, large, false), *next = take_of(heap, large, false);
    for (size_t away = 0; away < large; away += ph_os_page_bytes())
        ck_assert_msg(!ph_os_is_readable(block + large + away), "%zu bytes behind", away);
    give_of(heap, next);
    give_of(heap, block);
}
END_TEST

static void write_there(void *with)
{
    CHILD_NEEDS(ph_guard_catch_faults());
    *(volatile char *)with = 'x';
}

/* Slots for such an alignment are much longer than the blocks in them: at the start of one that is open at its end, the
 * block before may be nearer than its own. */
START_TEST(in_a_slot_s_unused_room_the_nearer_neighbour_was_missed)
{
    enum { MANY = 16 };
    bool is_found = false;
    for (unsigned i = 0; i < MANY && !is_found; i++) {
        char text[100];
        char *block = ph_heap_alloc(heap, &(struct request){.bytes = 100, .align = 8 * ph_os_page_bytes(), .sized = true});
        const struct paged *pd = ph_paged_of(block), *before = ph_paged_of(ph_paged_start(pd) - ph_os_page_bytes() - 1);
        char *at = ph_paged_start(pd) + 8;
        if (before == NULL || before == pd || before->state != SLOT_LIVE || at - before->block > block - at)
            continue;
        snprintf(text, sizeof text, "%zu bytes behind the end of block", (size_t)(at - before->block) - before->wanted);
        room_aborts(write_there, at, text);
        is_found = true;
    }
    ck_assert_msg(is_found, "no two slots stand so");
}
END_TEST

/* ---- slots that come again while they are open ---- */

enum { KEPT_BYTES = 6 << 20, BLOCK_BYTES = 600 };

/* Freed blocks of private heaps can be read; with so many of them their slots come again. */
static void free_many(void)
{
    static char *block[KEPT_BYTES / 4096];
    const size_t count = KEPT_BYTES / ph_os_page_bytes();
    for (size_t i = 0; i < count; i++)
        block[i] = memset(take_of(mine, BLOCK_BYTES, false), 'k', BLOCK_BYTES);
    for (size_t i = 0; i < count; i++)
        give_of(mine, block[i]);
}

START_TEST(zero_is_zero_in_a_slot_that_comes_again)
{
    free_many();
    for (unsigned i = 0; i < 10; i++) {
        const size_t bytes = i % 2 != 0 ? BLOCK_BYTES : 400;
        char *block = take_of(mine, bytes, true);
        ck_assert_uint_ne(ph_paged_of(block)->stack[SLOT_WAS_FREED], 0); /* it came again */
        for (size_t k = 0; k < bytes; k++)
            ck_assert_int_eq(block[k], 0);
    }
}
END_TEST

static void write_to_a_freed_one(void *with)
{
    char *block = take_of(mine, BLOCK_BYTES, false);
    (void)with;
    give_of(mine, block);
    free_many();
    block[100] ^= 1;
    for (size_t i = 2 * KEPT_BYTES / ph_os_page_bytes(); i > 0; i--)
        give_of(mine, take_of(mine, BLOCK_BYTES, false));
}

START_TEST(freed_block_is_looked_at_when_its_slot_comes_again) { room_aborts(write_to_a_freed_one, NULL, "PH106 changed after free"); }
END_TEST

int main(void)
{
    Suite *suite = suite_create("stress_more");
    TCase *which = room_case(suite, "which blocks", setup, teardown);
    tcase_add_test(which, only_the_heap_of_that_name);
    tcase_add_test(which, only_what_the_module_asks_for);
    tcase_add_test(which, at_random_some_are_in_front_and_some_are_not);
    TCase *when = room_case(suite, "when they are looked at", setup, teardown);
    tcase_add_test(when, every_so_many_operations_all_blocks_are_looked_at);
    tcase_add_test(when, of_several_bytes_in_front_the_nearest_is_told);
    tcase_add_test(when, tail_of_a_private_heap_s_block_is_looked_at);
    TCase *far = room_case(suite, "how far a guard goes", setup, teardown);
    tcase_add_test(far, behind_a_large_block_as_much_is_inaccessible);
    tcase_add_test(far, in_a_slot_s_unused_room_the_nearer_neighbour_was_missed);
    TCase *again = room_case(suite, "slots that come again", setup, teardown);
    tcase_add_test(again, zero_is_zero_in_a_slot_that_comes_again);
    tcase_add_test(again, freed_block_is_looked_at_when_its_slot_comes_again);
    return room_run(suite);
}
