/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_shard.c -- which page serves: batches into a stack and back keep every block exactly once. */
#include "check_room.h"

#include <pthread.h>

enum { ROOM = 200, PLAIN_64 = KIND_PLAIN + 3, SIZED_64 = KIND_SIZED + 3, MANY = 5000 };

static struct heap *heap;

/* A stack without a local around it. */
static struct stack stack;
static void *slot[ROOM + 1];

static void setup_heap_and_stack(void)
{
    heap = ph_heap_create(HEAPF_PAGED, 70 << 20, 0);
    ck_assert_ptr_nonnull(heap);
    ck_assert(ph_shard_ready(heap));
    memset(&stack, 0, sizeof stack);
    slot[0] = ph_no_block;
    stack.top = slot + 1;
    stack.limit = slot + 1 + ROOM;
}

static void teardown_heap(void)
{
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(heap);
}

static unsigned entries(void) { return (unsigned)(stack.top - slot - 1); }

static void *pop(void)
{
    if (entries() > 0) {
        void *block = *--stack.top;
        ck_assert_uint_eq(*block_key(block), block_key_value(block));
        *block_key(block) = BLOCK_LIVE;
        return block;
    }
    if (stack.fresh_count == 0) return NULL;
    void *block = stack.fresh;
    stack.fresh += 64;
    stack.fresh_count--;
    return block;
}

static void *take_one(void)
{
    if (entries() == 0 && stack.fresh_count == 0) ph_shard_refill(heap, PLAIN_64, &stack, 20);
    return pop();
}

static void push(void *block)
{
    *block_key(block) = block_key_value(block);
    *stack.top++ = block;
}

static void flush(unsigned count) { ph_shard_flush(heap, PLAIN_64, &stack, slot + 1, count, FLUSH_TO_PAGES); }

static void empty_stack(void)
{
    flush(entries());
    ph_shard_unfresh(heap, PLAIN_64, &stack);
}

static uint64_t live(void) { return room_sums(heap).live_blocks; }

/* ---- refill, flush ---- */

START_TEST(refill_gives_used_blocks_or_a_short_row_of_fresh_ones)
{
    for (unsigned want = 1; want < 60; want++) {
        ph_shard_refill(heap, PLAIN_64, &stack, want);
        ck_assert_uint_le(entries(), want);
        ck_assert_int_ne(entries() > 0, stack.fresh_count > 0); /* used ones, or a row of fresh ones */
        ck_assert_uint_le(stack.fresh_count, 4096 / 64 + 1);    /* unused blocks stay untouched */
        ck_assert_uint_eq(live(), entries() + stack.fresh_count);
        empty_stack();
        ck_assert_uint_eq(live(), 0);
    }
}
END_TEST

static void *held[MANY];
static bool seen[1 << 16];

static unsigned page_number(const void *block)
{
    return (unsigned)((uintptr_t)block - (uintptr_t)heap->handle) / 64;
}

START_TEST(every_block_leaves_once)
{
    static bool taken[1 << 16];
    memset(taken, 0, sizeof taken);
    for (int i = 0; i < MANY; i++) {
        held[i] = take_one();
        ck_assert_ptr_nonnull(held[i]);
        ck_assert_uint_eq(room_kind(held[i]), PLAIN_64);
        ck_assert_uint_lt(page_number(held[i]), COUNT(taken));
        ck_assert(!taken[page_number(held[i])]);
        taken[page_number(held[i])] = true;
        memset(held[i], i, 64);
    }
    empty_stack();
    ck_assert_uint_eq(live(), MANY);
}
END_TEST

START_TEST(blocks_given_are_taken_again)
{
    for (int i = 0; i < MANY; i++)
        held[i] = take_one();
    for (int i = 0; i < MANY; i++) {
        if (entries() == ROOM) flush(ROOM / 2);
        push(held[(i * 7) % MANY]);
    }
    empty_stack();
    ck_assert_uint_eq(live(), 0);
    const uint64_t committed = room_sums(heap).committed_bytes;
    for (int i = 0; i < MANY; i++)
        held[i] = take_one();
    ck_assert_uint_eq(room_sums(heap).committed_bytes, committed);
    ck_assert_uint_eq(live(), MANY + entries() + stack.fresh_count);
}
END_TEST

START_TEST(flush_takes_the_oldest_and_keeps_the_rest_in_order)
{
    void *block[30];
    for (int i = 0; i < 30; i++)
        block[i] = take_one();
    ph_shard_unfresh(heap, PLAIN_64, &stack);
    for (int i = 0; i < 30; i++)
        push(block[i]);
    flush(12);
    ck_assert_uint_eq(entries(), 18);
    for (int i = 0; i < 18; i++)
        ck_assert_ptr_eq(slot[1 + i], block[12 + i]);
    ck_assert_uint_eq(live(), 18);
}
END_TEST

START_TEST(random_life_keeps_each_block_once)
{
    uint64_t random = (uint64_t)_i + 1;
    memset(seen, 0, sizeof seen);
    int count = 0;
    for (int step = 0; step < 20000; step++) {
        if (count < 600 && room_random(&random) % 2) {
            void *block = take_one();
            ck_assert(!seen[page_number(block)]);
            seen[page_number(block)] = true;
            held[count++] = block;
        } else if (count > 0) {
            const int i = (int)(room_random(&random) % (unsigned)count);
            if (entries() == ROOM) flush(1 + room_random(&random) % ROOM);
            seen[page_number(held[i])] = false;
            push(held[i]);
            held[i] = held[--count];
        }
        if (step % 500 == 499) empty_stack();
    }
    empty_stack();
    ck_assert_uint_eq(live(), (unsigned)count);
}
END_TEST

START_TEST(without_memory_the_stack_stays_empty)
{
    struct heap *full = room_heap(1 << 17);
    ck_assert(ph_shard_ready(full));
    ck_assert_ptr_nonnull(ph_span_take(full, KIND_RUN, 32, 1));
    ph_shard_refill(full, PLAIN_64, &stack, 10);
    ck_assert_uint_eq(entries() + stack.fresh_count, 0);
    bool fresh;
    ck_assert_ptr_null(ph_shard_take(full, PLAIN_64, 0, &fresh));
    ph_heap_destroy(full);
}
END_TEST

/* ---- damage ---- */

static void flush_block(void *block)
{
    *stack.top++ = block;
    ph_shard_flush(heap, PLAIN_64, &stack, slot + 1, 1, FLUSH_TO_PAGES);
}

static void flush_changed_block(void *block)
{
    *block_key(block) = 12345;
    flush_block(block);
}

static void flush_twice(void *block)
{
    push(block);
    flush(1);
    flush_block(block);
}

START_TEST(changed_block_is_noticed)
{
    (void)take_one();
    room_aborts(flush_changed_block, take_one(), "changed after free");
}
END_TEST

START_TEST(block_that_was_freed_already_is_noticed)
{
    (void)take_one();
    room_aborts(flush_twice, take_one(), "freed twice");
}
END_TEST

/* ---- fresh blocks go back ---- */

START_TEST(unfresh_makes_the_same_blocks_fresh_again)
{
    ph_shard_refill(heap, PLAIN_64, &stack, 20);
    const char *fresh = stack.fresh;
    const unsigned count = stack.fresh_count;
    ck_assert_uint_gt(count, 2);
    void *first = pop();
    ph_shard_unfresh(heap, PLAIN_64, &stack);
    ck_assert_uint_eq(stack.fresh_count, 0);
    ck_assert_uint_eq(live(), 1);
    ph_shard_refill(heap, PLAIN_64, &stack, 20);
    ck_assert_ptr_eq(stack.fresh, fresh + 64);
    ck_assert_ptr_eq(first, fresh);
}
END_TEST

START_TEST(unfresh_behind_others_frees_each_block)
{
    bool fresh;
    ph_shard_refill(heap, PLAIN_64, &stack, 20);
    void *other = ph_shard_take(heap, PLAIN_64, 0, &fresh); /* carved behind ours */
    ck_assert(fresh);
    ph_shard_unfresh(heap, PLAIN_64, &stack);
    ck_assert_uint_eq(live(), 1);
    ph_shard_refill(heap, PLAIN_64, &stack, 20);
    ck_assert_uint_eq(entries(), 20); /* used ones now, with keys */
    for (int i = 0; i < 20; i++)
        ck_assert_ptr_ne(pop(), other);
}
END_TEST

START_TEST(unfresh_of_nothing_does_nothing)
{
    ph_shard_unfresh(heap, PLAIN_64, &stack);
    ck_assert_uint_eq(live(), 0);
}
END_TEST

/* ---- one block without a stack ---- */

START_TEST(single_blocks_come_and_go)
{
    const unsigned kind = _i ? SIZED_64 : PLAIN_64;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            bool fresh = false;
            held[i] = ph_shard_take(heap, kind, (size_t)i % 65, &fresh);
            ck_assert_ptr_nonnull(held[i]);
            memset(held[i], 0xcc, 64);
        }
        ck_assert_uint_eq(live(), MANY);
        for (int i = 0; i < MANY; i++) {
            struct span *pg = ph_span_at(entry_span(map_get(held[i])));
            if (_i) ck_assert_uint_eq(ph_page_wanted(pg, ph_page_index(pg, held[i])), (size_t)i % 65);
            ck_assert(ph_shard_give(heap, kind, pg, held[i]));
        }
        ck_assert_uint_eq(live(), 0);
    }
}
END_TEST

START_TEST(fresh_block_is_zero_and_a_used_one_is_not_called_fresh)
{
    bool fresh = false;
    static const char zero[64];
    void *block = ph_shard_take(heap, PLAIN_64, 0, &fresh);
    ck_assert(fresh);
    ck_assert_mem_eq(block, zero, 64);
    ck_assert_ptr_nonnull(ph_shard_take(heap, PLAIN_64, 0, &fresh)); /* keeps the page */
    ck_assert(ph_shard_give(heap, PLAIN_64, ph_span_at(entry_span(map_get(block))), block));
    ck_assert_ptr_eq(ph_shard_take(heap, PLAIN_64, 0, &fresh), block);
    ck_assert(!fresh);
}
END_TEST

START_TEST(second_give_interior_and_other_kind_are_refused)
{
    bool fresh;
    char *block = ph_shard_take(heap, PLAIN_64, 0, &fresh);
    struct span *pg = ph_span_at(entry_span(map_get(block)));
    (void)ph_shard_take(heap, PLAIN_64, 0, &fresh);
    ck_assert(!ph_shard_give(heap, PLAIN_64, pg, block + 16));
    ck_assert(!ph_shard_give(heap, SIZED_64, pg, block));
    ck_assert(!ph_shard_give(heap, PLAIN_64 + 1, pg, block));
    ck_assert(ph_shard_give(heap, PLAIN_64, pg, block));
    ck_assert(!ph_shard_give(heap, PLAIN_64, pg, block));
    ck_assert_uint_eq(live(), 1);
}
END_TEST

static void take_changed_block(void *block)
{
    bool fresh;
    *block_key(block) = 12345;
    (void)ph_shard_take(heap, PLAIN_64, 0, &fresh);
}

START_TEST(take_notices_a_write_after_free)
{
    bool fresh;
    void *block = ph_shard_take(heap, PLAIN_64, 0, &fresh);
    (void)ph_shard_take(heap, PLAIN_64, 0, &fresh);
    ck_assert(ph_shard_give(heap, PLAIN_64, ph_span_at(entry_span(map_get(block))), block));
    room_aborts(take_changed_block, block, "changed after free");
}
END_TEST

START_TEST(block_of_a_full_page_serves_again)
{
    bool fresh;
    for (int i = 0; i < MANY; i++)
        held[i] = ph_shard_take(heap, PLAIN_64, 0, &fresh);
    while (ph_span_at(entry_span(map_get(held[0])))->listed) /* until its page is full */
        (void)ph_shard_take(heap, PLAIN_64, 0, &fresh);
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < MANY; i += 50) {
        ck_assert(ph_shard_give(heap, PLAIN_64, ph_span_at(entry_span(map_get(held[i]))), held[i]));
        seen[page_number(held[i])] = true;
    }
    for (int i = 0; i < MANY; i += 50) {
        const void *again = ph_shard_take(heap, PLAIN_64, 0, &fresh);
        ck_assert(seen[page_number(again)]);
        seen[page_number(again)] = false;
    }
}
END_TEST

/* ---- pages kept back ---- */

static void take_and_give_many(void)
{
    bool fresh;
    for (int i = 0; i < MANY; i++)
        held[i] = ph_shard_take(heap, PLAIN_64, 0, &fresh);
    for (int i = 0; i < MANY; i++)
        ck_assert(ph_shard_give(heap, PLAIN_64, ph_span_at(entry_span(map_get(held[i]))), held[i]));
}

static unsigned units_of_pages(void)
{
    unsigned units = 0;
    for (unsigned i = 1; i < 9 << 8; i++)
        units += room_kind(heap->handle + (size_t)i * UNIT_BYTES) == PLAIN_64;
    return units;
}

START_TEST(empty_pages_go_back_but_for_one)
{
    take_and_give_many();
    ck_assert_uint_le(units_of_pages(), PAGE_UNITS);
    ph_shard_trim(heap);
    ck_assert_uint_eq(units_of_pages(), 0);
    ph_shard_trim(heap);
    take_and_give_many();
    ck_assert_uint_eq(live(), 0);
}
END_TEST

START_TEST(another_class_can_have_the_pages)
{
    take_and_give_many();
    ph_shard_trim(heap);
    const uint64_t committed = room_sums(heap).committed_bytes;
    bool fresh;
    for (int i = 0; i < MANY / 2; i++)
        ck_assert_ptr_nonnull(ph_shard_take(heap, PLAIN_64 + 4, 0, &fresh)); /* 128 bytes */
    ck_assert_uint_eq(room_sums(heap).committed_bytes, committed);
}
END_TEST

/* ---- locks ---- */

static uint32_t started, done;

static void *take_in_thread(void *nothing)
{
    bool fresh;
    (void)nothing;
    __atomic_store_n(&started, 1, __ATOMIC_SEQ_CST);
    (void)ph_shard_take(heap, SIZED_64, 1, &fresh);
    __atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

START_TEST(fork_lock_holds_every_class)
{
    pthread_t thread;
    started = done = 0;
    ph_shard_fork_lock(heap);
    ck_assert_int_eq(pthread_create(&thread, NULL, take_in_thread, NULL), 0);
    while (!__atomic_load_n(&started, __ATOMIC_SEQ_CST))
        ph_os_yield();
    for (int i = 0; i < 50; i++)
        ph_os_yield();
    const uint32_t too_early = __atomic_load_n(&done, __ATOMIC_SEQ_CST);
    ph_shard_fork_unlock(heap);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(too_early, 0);
    ck_assert_uint_eq(done, 1);
}
END_TEST

enum { THREADS = 3, EACH = 3000 };

static void *busy_thread(void *number)
{
    void *mine[64] = {NULL};
    uint64_t random = (uintptr_t)number, wrong = 0;
    bool fresh;
    for (int i = 0; i < EACH; i++) {
        const unsigned at = room_random(&random) % 64;
        if (mine[at] != NULL) {
            wrong += *(uint64_t *)mine[at] != (uintptr_t)number;
            wrong += !ph_shard_give(heap, PLAIN_64, ph_span_at(entry_span(map_get(mine[at]))), mine[at]);
            mine[at] = NULL;
        } else if ((mine[at] = ph_shard_take(heap, PLAIN_64, 0, &fresh)) != NULL) {
            *(uint64_t *)mine[at] = (uintptr_t)number;
        }
    }
    for (int i = 0; i < 64; i++)
        if (mine[i] != NULL)
            wrong += !ph_shard_give(heap, PLAIN_64, ph_span_at(entry_span(map_get(mine[i]))), mine[i]);
    return (void *)(uintptr_t)wrong;
}

START_TEST(threads_share_a_class)
{
    pthread_t thread[THREADS];
    for (uintptr_t t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_create(&thread[t], NULL, busy_thread, (void *)(t + 1)), 0);
    for (int t = 0; t < THREADS; t++) {
        void *wrong;
        pthread_join(thread[t], &wrong);
        ck_assert_ptr_null(wrong);
    }
    ck_assert_uint_eq(live(), 0);
}
END_TEST

static void add_batches(Suite *suite)
{
    TCase *batches = room_case(suite, "refill, flush", setup_heap_and_stack, teardown_heap);
    tcase_add_test(batches, refill_gives_used_blocks_or_a_short_row_of_fresh_ones);
    tcase_add_test(batches, every_block_leaves_once);
    tcase_add_test(batches, blocks_given_are_taken_again);
    tcase_add_test(batches, flush_takes_the_oldest_and_keeps_the_rest_in_order);
    tcase_add_loop_test(batches, random_life_keeps_each_block_once, 0, 3);
    tcase_add_test(batches, without_memory_the_stack_stays_empty);
    tcase_add_test(batches, changed_block_is_noticed);
    tcase_add_test(batches, block_that_was_freed_already_is_noticed);
    TCase *unfresh = room_case(suite, "unfresh", setup_heap_and_stack, teardown_heap);
    tcase_add_test(unfresh, unfresh_makes_the_same_blocks_fresh_again);
    tcase_add_test(unfresh, unfresh_behind_others_frees_each_block);
    tcase_add_test(unfresh, unfresh_of_nothing_does_nothing);
}

/* A sized block that is free by its code alone, as a vanished thread leaves it; its page. */
static struct span *stray_one(unsigned kind)
{
    struct block_info bi;
    bool fresh;
    void *block = ph_shard_take(heap, kind, 10, &fresh);
    ck_assert_ptr_nonnull(block);
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
    *ph_page_size_place(bi.span, ph_page_index(bi.span, block)) = 0;
    return bi.span;
}

START_TEST(sweep_finds_every_stray_though_pages_join_free_memory)
{
    enum { FIRST = KIND_SIZED + 40, SECOND = KIND_SIZED + 20, RUN_UNITS = 100 };
    const struct span *kept = stray_one(FIRST), *page; /* an empty one stays */
    while ((page = stray_one(FIRST)) == kept)
        continue;
    struct span *run = ph_span_take(heap, KIND_RUN, RUN_UNITS, 1);
    ck_assert_ptr_nonnull(run);
    ck_assert_uint_eq(run->start, page->start + page->units); /* which goes, and joins it */
    ck_assert_uint_ge(page->units, stray_one(SECOND)->units);
    ck_assert(ph_span_give_run(heap, ph_span_start(run)));
    ck_assert(!ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ph_gate_close(heap, ENTER_PATIENTLY);
    ph_shard_sweep(heap);
    ph_gate_open(heap);
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ck_assert_uint_eq(live(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shard");
    add_batches(suite);
    TCase *single = room_case(suite, "take, give", setup_heap_and_stack, teardown_heap);
    tcase_add_loop_test(single, single_blocks_come_and_go, 0, 2);
    tcase_add_test(single, fresh_block_is_zero_and_a_used_one_is_not_called_fresh);
    tcase_add_test(single, second_give_interior_and_other_kind_are_refused);
    tcase_add_test(single, take_notices_a_write_after_free);
    tcase_add_test(single, block_of_a_full_page_serves_again);
    tcase_add_test(single, threads_share_a_class);
    TCase *trim = room_case(suite, "trim, locks", setup_heap_and_stack, teardown_heap);
    tcase_add_test(trim, empty_pages_go_back_but_for_one);
    tcase_add_test(trim, another_class_can_have_the_pages);
    tcase_add_test(trim, fork_lock_holds_every_class);
    tcase_add_test(trim, sweep_finds_every_stray_though_pages_join_free_memory);
    return room_run(suite);
}
