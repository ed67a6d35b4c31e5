/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_cores.c -- what threads share: which words have a cache line of their own, and how long a class keeps others
 * waiting. */
#include "check_room.h"
#include "depot.h"
#include "guard.h"
#include "options.h"

#include <pthread.h>

enum { LINE = 64, CLASS = 3, PLAIN_64 = KIND_PLAIN + CLASS, ROOM = 96, BATCH = 4096, THREADS = 2 };

/* ---- lines ---- */

static bool one_line(const void *one, const void *other) { return (uintptr_t)one / LINE == (uintptr_t)other / LINE; }

START_TEST(what_two_threads_write_lies_in_two_lines)
{
    struct heap *hp = ph_heap_process();
    ck_assert(ph_shard_ready(hp));
    ck_assert(!one_line(&hp->gate.lock, &hp->span_lock));
    ck_assert(!one_line(&hp->span_lock, &hp->tag)); /* which everybody reads */
    for (unsigned i = 0; i < 2 * CLASS_COUNT; i++) {
        ck_assert_uint_eq((uintptr_t)&hp->shard->class[i] % LINE, 0);
        ck_assert(!one_line(&hp->shard->class[i].lock, &hp->shard->idle));
    }
    ck_assert_uint_eq((uintptr_t)ph_first_local % LINE, 0);
    ck_assert_uint_eq((uintptr_t)ph_meta_take(LOCAL_WHOLE_BYTES) % LINE, 0);
}
END_TEST

static struct local *seen[THREADS];
static pthread_barrier_t both_have_one;

static void *look(void *number)
{
    const struct request rq = {.bytes = 100, .sized = true};
    ph_guard_left = GUARD_LEFT_OFF; /* a guarded sample comes from no stack */
    void *block = ph_heap_alloc(&ph_process_heap, &rq);
    ck_assert_ptr_nonnull(block);
    seen[(uintptr_t)number] = ph_local;
    pthread_barrier_wait(&both_have_one);
    ck_assert_int_eq(ph_heap_free(&ph_process_heap, block, ENTER_PATIENTLY), BLOCK_OK);
    return NULL;
}

static void look_in_secure_mode(void *nothing)
{
    pthread_t thread[THREADS];
    (void)nothing;
    (void)setenv("PRIVHEAP_MODE", "secure", 1);
    if (ph_heap_process()->hard != MODE_SECURE)
        _exit(2);
    pthread_barrier_init(&both_have_one, NULL, THREADS);
    for (uintptr_t round = 0; round < 2; round++) { /* the second pair of threads finds those of the first */
        for (uintptr_t i = 0; i < THREADS; i++)
            pthread_create(&thread[i], NULL, look, (void *)i);
        for (unsigned i = 0; i < THREADS; i++)
            pthread_join(thread[i], NULL);
        if (seen[0] == &ph_local_none || seen[1] == &ph_local_none || seen[0] == seen[1] || seen[0]->heap != NULL)
            _exit(3);
    }
    _exit(0);
}

START_TEST(in_secure_mode_too_each_thread_is_busy_in_a_line_of_its_own)
{
    room_lives(look_in_secure_mode, NULL);
}
END_TEST

/* ---- whole lines ---- */

START_TEST(what_one_thread_gets_of_a_new_page_ends_with_a_line)
{
    enum { WANT = 61 };
    struct heap *hp = room_heap(0);
    ck_assert(ph_shard_ready(hp));
    struct span *pg = ph_page_new(hp, KIND_PLAIN + (unsigned)_i, ph_class_page_units((unsigned)_i, 1));
    char *first;
    const unsigned bytes = ph_class_bytes[_i], got = ph_page_carve(pg, WANT, &first);
    ck_assert_uint_ge(got, WANT - 3);
    if (bytes < LINE) ck_assert_uint_eq(((uintptr_t)first + got * bytes) % LINE, 0);
    ck_assert_uint_eq(ph_page_carve(pg, 1, &first), 1); /* one is one */
    ph_heap_destroy(hp);
}
END_TEST

/* ---- pages kept back ---- */

static struct heap *heap;
static struct shard_class *sc;
static struct stack stack;
static void *slot[ROOM + 1], *held[2 * BATCH];

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
    if (stack.top == slot + 1 && stack.fresh_count == 0) ph_shard_refill(heap, PLAIN_64, &stack, ROOM / 2);
    const bool used = stack.top > slot + 1;
    void *block = used ? *--stack.top : stack.fresh;
    if (!used) stack.fresh_count--, stack.fresh += 64;
    *block_key(block) = BLOCK_LIVE;
    return block;
}

static void give(void *block)
{
    if (stack.top == stack.limit) ph_shard_flush(heap, PLAIN_64, &stack, slot + 1, ROOM / 2, FLUSH_TO_PAGES);
    *block_key(block) = block_key_value(block);
    *stack.top++ = block;
}

static void batches(unsigned count, unsigned from)
{
    while (count-- > 0) {
        for (unsigned i = from; i < from + BATCH; i++) held[i] = take();
        for (unsigned i = from; i < from + BATCH; i++) give(held[i]);
    }
}

static void settle(void)
{
    ph_shard_flush(heap, PLAIN_64, &stack, slot + 1, (unsigned)(stack.top - slot - 1), FLUSH_TO_PAGES);
    ph_shard_unfresh(heap, PLAIN_64, &stack);
}

START_TEST(class_that_wants_its_pages_again_keeps_them)
{
    batches(1, 0);
    ck_assert_uint_le(sc->kept, PAGE_UNITS); /* nobody wanted one again */
    batches(10, 0);
    settle();
    ck_assert_uint_ge(sc->kept, BATCH * 64 / UNIT_BYTES - PAGE_UNITS);
    ck_assert_uint_le(sc->kept, 64 + PAGE_UNITS);
    const uint32_t gives = heap->gives;
    batches(10, 0);
    ck_assert_uint_eq(heap->gives, gives); /* not one went to the heap and came back */
}
END_TEST

START_TEST(pages_that_nobody_missed_go_but_for_one)
{
    batches(11, 0);
    settle();
    const uint32_t most = sc->kept_most;
    ph_shard_age(heap);
    ph_shard_age(heap);
    ck_assert_uint_gt(sc->kept, 0);
    ck_assert_uint_le(sc->kept, PAGE_UNITS);
    ck_assert_uint_eq(sc->units, sc->kept);
    ck_assert_uint_lt(sc->kept_most, most);
    batches(11, 0);
    ph_shard_age(heap);
    batches(1, 0); /* all were wanted since */
    settle();
    const uint32_t kept = sc->kept;
    ph_shard_age(heap);
    ck_assert_uint_ge(sc->kept + PAGE_UNITS, kept);
}
END_TEST

START_TEST(large_class_keeps_no_more_than_an_eighth)
{
    for (unsigned i = 0; i < BATCH; i++) held[i] = take();
    batches(30, BATCH);
    ck_assert_uint_le(sc->kept, sc->units / 8 > 64 ? sc->units / 8 : 64);
    for (unsigned i = 0; i < BATCH; i++) give(held[i]);
    settle();
}
END_TEST

START_TEST(validate_sees_what_is_wrong_with_them)
{
    batches(11, 0);
    settle();
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    sc->kept--;
    ck_assert(!ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    sc->kept++;
    const uint32_t first = sc->empty;
    sc->empty = ph_span_at(first)->next;
    ck_assert_uint_ne(sc->empty, SPAN_NONE);
    ck_assert(!ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    sc->empty = first;
}
END_TEST

/* ---- what is done outside the lock ---- */

/* As fork may find it: already in the stack, but not yet, or no more, with the key of one. */
START_TEST(who_salvages_a_stack_takes_either_key)
{
    void *const stacked = take(), *const keyed = take(), *const damaged = take();
    *block_key(stacked) = block_key_value(stacked);
    *block_key(keyed) = block_page_key(keyed);
    *block_key(damaged) = 5;
    ck_assert(ph_shard_salvage(heap, PLAIN_64, stacked));
    ck_assert(ph_shard_salvage(heap, PLAIN_64, keyed));
    ck_assert(!ph_shard_salvage(heap, PLAIN_64, keyed)); /* it is in its page by now */
    ck_assert(!ph_shard_salvage(heap, PLAIN_64, damaged));
    settle();
}
END_TEST

/* Room for a few only: the rest got its keys before the lock was taken, or gets them now. */
START_TEST(blocks_that_find_no_room_in_the_depot_reach_their_pages)
{
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < BATCH / 2; i++) held[i] = take();
        for (unsigned i = 0; i < BATCH / 2; i++) {
            if (stack.top == stack.limit) ph_shard_flush(heap, PLAIN_64, &stack, slot + 1, ROOM / 2, FLUSH_TO_DEPOT);
            *block_key(held[i]) = block_key_value(held[i]);
            *stack.top++ = held[i];
        }
    }
    ck_assert_uint_gt(sc->depot_count, 0);
    ph_shard_empty_depots(heap);
    settle();
    ck_assert_uint_eq(room_sums(heap).live_blocks, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cores");
    TCase *lines = room_case(suite, "lines", NULL, NULL);
    tcase_add_test(lines, in_secure_mode_too_each_thread_is_busy_in_a_line_of_its_own);
    tcase_add_test(lines, what_two_threads_write_lies_in_two_lines);
    tcase_add_loop_test(lines, what_one_thread_gets_of_a_new_page_ends_with_a_line, 0, 4);
    TCase *pages = room_case(suite, "pages kept back", setup, teardown);
    tcase_add_test(pages, class_that_wants_its_pages_again_keeps_them);
    tcase_add_test(pages, pages_that_nobody_missed_go_but_for_one);
    tcase_add_test(pages, large_class_keeps_no_more_than_an_eighth);
    tcase_add_test(pages, validate_sees_what_is_wrong_with_them);
    TCase *keys = room_case(suite, "keys", setup, teardown);
    tcase_add_test(keys, who_salvages_a_stack_takes_either_key);
    tcase_add_test(keys, blocks_that_find_no_room_in_the_depot_reach_their_pages);
    return room_run(suite);
}
