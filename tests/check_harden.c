/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_harden.c -- the bytes of a hard heap's blocks: tails of every length, and zeros of every length. */
#include "check_room.h"

#include "harden.h"

enum { MOST = 1024, EDGE = 64, SIZES = MOST / 16 };

static char room[EDGE + MOST + EDGE] __attribute__((aligned(64)));
static char *const block = room + EDGE;

static struct hard_block block_of(size_t wanted, size_t capacity, unsigned class)
{
    return (struct hard_block){.block = block, .wanted = wanted, .capacity = capacity, .class = class};
}

/* Whether that byte belongs to the tail. */
static bool is_tail(const struct hard_block *hb, size_t at)
{
    const bool is_last = hb->class != CLASS_COUNT && tail_slack(hb) > TAIL_WHOLE && at >= hb->capacity - TAIL_LAST;
    return (at >= hb->wanted && at < tail_end(hb)) || is_last;
}

static bool edges_are_kept(size_t bytes)
{
    bool kept = true;
    for (size_t at = 0; at < EDGE; at++)
        kept = kept && room[at] == 7 && block[bytes + at] == 7;
    return kept;
}

static void check_tail(const struct hard_block *hb, enum family family)
{
    memset(room, 7, sizeof room);
    tail_set(hb, family);
    ck_assert(tail_stands(hb, family));
    ph_families = 1;
    ck_assert_int_eq(ph_hard_look(hb), HARD_GOOD);
    ck_assert_int_eq(ph_hard_family(hb), family);
    ph_families = 0; /* then any byte but the tail's own was written by somebody */
    ck_assert_int_eq(ph_hard_look(hb) == HARD_GOOD, family == FAMILY_ANY);
    ck_assert_int_eq(ph_hard_family(hb), FAMILY_ANY);
    for (size_t at = 0; at < hb->capacity; at++) {
        const bool kept = is_tail(hb, at) || block[at] == 7;
        block[at] ^= 0x20;
        if (!kept || tail_stands(hb, family) == is_tail(hb, at))
            ck_abort_msg("byte %zu of %zu, %zu wanted", at, hb->capacity, hb->wanted);
        block[at] ^= 0x20;
    }
    ck_assert(edges_are_kept(hb->capacity));
}

START_TEST(tail_covers_what_nobody_asked_for_and_nothing_else)
{
    const size_t capacity = ((size_t)_i + 1) * 16;
    for (size_t wanted = 0; wanted < capacity; wanted += capacity < 256 ? 1 : 37) {
        const struct hard_block page = block_of(wanted, capacity, 3), run = block_of(wanted, capacity, CLASS_COUNT);
        check_tail(&page, FAMILY_ANY);
        check_tail(&page, FAMILY_ARRAY);
        check_tail(&run, FAMILY_ANY);
    }
}
END_TEST

START_TEST(tail_begins_at_the_first_byte)
{
    const struct hard_block hb = block_of((size_t)_i, 160, 9);
    ck_assert_uint_ge(tail_end(&hb), hb.wanted + 33);
    ck_assert(is_tail(&hb, hb.wanted) && is_tail(&hb, hb.capacity - 1));
}
END_TEST

START_TEST(block_without_slack_is_not_touched)
{
    const struct hard_block hb = block_of((size_t)_i, (size_t)_i, CLASS_COUNT);
    memset(room, 7, sizeof room);
    ph_hard_retail(&hb, FAMILY_ANY);
    ck_assert(ph_hard_stands(&hb, FAMILY_ANY));
    ck_assert(edges_are_kept(0) && edges_are_kept(hb.capacity));
}
END_TEST

START_TEST(clearing_reaches_every_byte_and_no_other)
{
    const size_t bytes = ((size_t)_i + 1) * 16;
    memset(room, 7, sizeof room);
    hard_clear(block, bytes);
    for (size_t at = 0; at < bytes; at++)
        if (block[at] != 0)
            ck_abort_msg("byte %zu of %zu", at, bytes);
    ck_assert(edges_are_kept(bytes));
}
END_TEST

START_TEST(one_byte_that_is_not_zero_is_seen)
{
    const size_t bytes = ((size_t)_i + 1) * 16;
    memset(room, 7, sizeof room);
    memset(block, 0, bytes);
    ck_assert(hard_is_zero(block, bytes));
    for (size_t at = 0; at < bytes; at++) {
        block[at] = (char)(1 << at % 8);
        if (hard_is_zero(block, bytes))
            ck_abort_msg("byte %zu of %zu", at, bytes);
        block[at] = 0;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("harden");
    TCase *tails = tcase_create("tails");
    tcase_add_loop_test(tails, tail_covers_what_nobody_asked_for_and_nothing_else, 0, SIZES);
    tcase_add_loop_test(tails, tail_begins_at_the_first_byte, 0, 96);
    tcase_add_loop_test(tails, block_without_slack_is_not_touched, 1, 64);
    suite_add_tcase(suite, tails);
    TCase *zeros = tcase_create("zeros");
    tcase_add_loop_test(zeros, clearing_reaches_every_byte_and_no_other, 0, SIZES);
    tcase_add_loop_test(zeros, one_byte_that_is_not_zero_is_seen, 0, SIZES);
    suite_add_tcase(suite, zeros);
    return room_run(suite);
}
