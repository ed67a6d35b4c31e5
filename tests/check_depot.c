/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_depot.c -- batches of free blocks between the stacks and the pages: who gets how much room, that each block is there
 * once, and that all of them go when they must. */
#include "check_room.h"
#include "depot.h"

enum { ROOM = 300, CLASS = 3, PLAIN_64 = KIND_PLAIN + CLASS, BATCH = 100 };

static struct heap *heap;
static struct shard_class *sc;
static struct stack stack; /* without a local around it */
static void *slot[ROOM + 1];

static void setup(void)
{
    heap = room_heap(0);
    ck_assert(ph_shard_ready(heap));
    sc = &heap->shard->class[CLASS];
    stack = (struct stack){.top = slot + 1, .limit = slot + 1 + ROOM};
    slot[0] = ph_no_block;
}

static void teardown(void)
{
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(heap);
}

static void *take(void)
{
    if (stack.top == slot + 1 && stack.fresh_count == 0) ph_shard_refill(heap, PLAIN_64, &stack, BATCH);
    if (stack.top > slot + 1) {
        void *block = *--stack.top;
        ck_assert_uint_eq(*block_key(block), block_key_value(block));
        *block_key(block) = BLOCK_LIVE;
        return block;
    }
    ck_assert_uint_gt(stack.fresh_count, 0);
    stack.fresh_count--;
    stack.fresh += 64;
    return stack.fresh - 64;
}

static void give(void *const *block, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        *block_key(block[i]) = block_key_value(block[i]);
        *stack.top++ = block[i];
    }
    ph_shard_flush(heap, PLAIN_64, &stack, slot + 1, count, FLUSH_TO_DEPOT);
}

static void *held[BATCH];

/* A class whose blocks come and go in batches. */
static void come_and_go(unsigned times)
{
    while (times-- > 0) {
        for (unsigned i = 0; i < BATCH; i++) held[i] = take();
        for (unsigned i = 0; i < BATCH; i++)
            for (unsigned k = 0; k < i; k++) ck_assert_ptr_ne(held[i], held[k]);
        give(held, BATCH);
    }
}

START_TEST(only_blocks_that_come_back_get_room)
{
    come_and_go(1);
    ck_assert_uint_eq(sc->depot_count, 0); /* nobody wanted one again */
    come_and_go(1);
    ck_assert_uint_gt(sc->depot_count, 0);
    ck_assert_uint_eq(heap->shard->idle, 1);
    come_and_go(5);
    ck_assert_uint_eq(sc->depot_count, BATCH); /* all of them by now */
}
END_TEST

START_TEST(few_large_blocks_get_none)
{
    ck_assert_uint_eq(ph_depot_cap(KIND_PLAIN + class_of(8192)), 0);
    for (unsigned class = 0; class < CLASS_COUNT; class++)
        ck_assert_uint_le(ph_depot_cap(KIND_PLAIN + class) * ph_class_bytes[class], 65536);
}
END_TEST

START_TEST(what_nobody_missed_goes_at_the_second_look)
{
    come_and_go(7);
    const unsigned had = sc->depot_count, most = sc->depot_most;
    ph_shard_age(heap);
    ph_shard_age(heap);
    ck_assert_uint_eq(sc->depot_count, 0);
    ck_assert_uint_eq(sc->depot_most, most - had / 2);
    come_and_go(7);
    ph_shard_age(heap);
    come_and_go(3); /* all were wanted since */
    ph_shard_age(heap);
    ck_assert_uint_eq(sc->depot_count, BATCH);
}
END_TEST

START_TEST(look_comes_now_and_then)
{
    ck_assert(!ph_depot_look(heap)); /* nothing there */
    come_and_go(7);
    ck_assert(ph_depot_look(heap));
    ck_assert(!ph_depot_look(heap));
}
END_TEST

START_TEST(walk_knows_them_as_free)
{
    come_and_go(7);
    ck_assert_uint_gt(sc->depot_count, 0);
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ck_assert_uint_gt(sc->depot_count, 0); /* which changes nothing */
    ck_assert_uint_eq(room_sums(heap).live_blocks, stack.fresh_count + (stack.top - slot - 1));
    ck_assert_uint_eq(sc->depot_count, 0);
}
END_TEST

START_TEST(validate_sees_what_is_wrong_there)
{
    come_and_go(7);
    uint64_t *const key = block_key(sc->depot[5]), right = *key;
    *key ^= 1;
    ck_assert(!ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    *key = right;
    sc->depot_count--;
    ck_assert(!ph_walk_validate(heap, NULL, ENTER_PATIENTLY)); /* its echo says another */
    sc->depot_count++;
    sc->depot_most = 1 << 20;
    ck_assert(!ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    sc->depot_most = BATCH;
}
END_TEST

static void free_one_twice(void *nothing)
{
    (void)nothing;
    come_and_go(7);
    void *const twice[] = {take(), take()};
    give(twice, 1);
    give(twice, 1);
    ph_shard_flush(heap, PLAIN_64, &stack, slot + 1, (unsigned)(stack.top - slot - 1), FLUSH_TO_DEPOT);
    ph_shard_empty_depots(heap);
}

START_TEST(one_freed_twice_is_found_when_it_leaves)
{
    const struct child_end end = room_child(free_one_twice, NULL);
    ck_assert(WIFSIGNALED(end.status));
    ck_assert_ptr_nonnull(strstr(end.text, "PH101"));
}
END_TEST

/* In the child of a fork past us: what the holder of the lock was at is thrown away. */
START_TEST(mending_throws_a_half_written_one_away)
{
    come_and_go(7);
    sc->lock = 12345678 | LOCK_BY_THREAD;
    ph_shard_mend(heap);
    sc->lock = 0;
    ck_assert_uint_eq(sc->depot_count, 0);
    come_and_go(1);
}
END_TEST

int main(void)
{
    (void)ph_heap_process();
    Suite *suite = suite_create("depot");
    TCase *tc = room_case(suite, "batches", setup, teardown);
    tcase_add_test(tc, only_blocks_that_come_back_get_room);
    tcase_add_test(tc, few_large_blocks_get_none);
    tcase_add_test(tc, what_nobody_missed_goes_at_the_second_look);
    tcase_add_test(tc, look_comes_now_and_then);
    tcase_add_test(tc, walk_knows_them_as_free);
    tcase_add_test(tc, validate_sees_what_is_wrong_there);
    tcase_add_test(tc, one_freed_twice_is_found_when_it_leaves);
    tcase_add_test(tc, mending_throws_a_half_written_one_away);
    return room_run(suite);
}
