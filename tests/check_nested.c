/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_nested.c -- calls in the middle of another call of the same thread: they wait for nobody, and what they got and
 * gave back is in order afterwards. */
#include "check_room.h"
#include "../lib/hot.h"

#include <pthread.h>
#include <time.h>

static struct heap *process, *private;

static void setup(void)
{
    process = ph_heap_process();
    private = room_heap(0);
    ck_assert_ptr_nonnull(ph_local_attach(process));
}

static void teardown(void)
{
    ck_assert(ph_walk_validate(process, NULL, ENTER_PATIENTLY));
    ck_assert(ph_walk_validate(private, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(private);
}

static unsigned kind_of(const void *block)
{
    struct block_info bi;
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
    return bi.kind;
}

/* ---- a lock is held ---- */

START_TEST(blocks_of_all_sizes_without_a_lock)
{
    static const size_t sizes[] = {0, 1, 128, 129, 1024, 5000, 8192, 8193, 3000000};
    for (int i = 0; i < COUNT(sizes); i++) {
        struct block_info bi;
        alarm(20);
        ph_lock_take(&private->span_lock);
        char *block = room_alloc(private, sizes[i], true);
        ck_assert_ptr_nonnull(block);
        ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
        ck_assert_uint_eq(bi.kind, KIND_EMERGENCY);
        ck_assert_ptr_eq(bi.heap, private);
        ck_assert_uint_eq(bi.wanted, sizes[i]);
        memset(block, 7, sizes[i]);
        ck_assert_int_eq(ph_heap_look(block + 16, &bi), BLOCK_NOT_OURS);
        if (i % 2) ck_assert_int_eq(ph_heap_free(private, block, ENTER_PATIENTLY), BLOCK_OK);
        ph_lock_give(&private->span_lock);
        if (i % 2 == 0) ck_assert_int_eq(ph_heap_free(private, block, ENTER_PATIENTLY), BLOCK_OK);
        ck_assert_int_ne(ph_heap_look(block, &bi), BLOCK_OK);
    }
    alarm(0);
}
END_TEST

START_TEST(no_two_are_given_the_same_and_all_come_back)
{
    static char *block[500];
    for (int round = 0; round < 2; round++) {
        ph_lock_take(&private->span_lock);
        for (int i = 0; i < COUNT(block) && (block[i] = room_alloc(private, 100, true)) != NULL; i++) *block[i] = (char)i;
        ck_assert_ptr_nonnull(block[300]);
        ck_assert_ptr_null(block[499]); /* they are a few hundred */
        for (int i = 0; block[i] != NULL; i++) {
            ck_assert_int_eq(*block[i], (char)i);
            ck_assert_int_eq(ph_heap_free(private, block[i], ENTER_PATIENTLY), BLOCK_OK);
        }
        ph_lock_give(&private->span_lock);
    }
}
END_TEST

START_TEST(zeroed_also_where_somebody_wrote)
{
    struct request rq = {.bytes = 100, .zero = true};
    ph_lock_take(&private->span_lock);
    char *block = ph_heap_alloc(process, &rq);
    memset(block, 1, 100);
    ck_assert_int_eq(ph_heap_free(process, block, ENTER_PATIENTLY), BLOCK_OK);
    block = ph_heap_alloc(process, &rq);
    for (int i = 0; i < 100; i++) ck_assert_int_eq(block[i], 0);
    ck_assert_int_eq(ph_heap_free(process, block, ENTER_PATIENTLY), BLOCK_OK);
    ph_lock_give(&private->span_lock);
}
END_TEST

START_TEST(a_block_freed_meanwhile_goes_with_the_next_free)
{
    struct block_info bi;
    void *block = room_alloc(private, 20000, true), *other = room_alloc(private, 20000, true);
    ph_lock_take(&private->span_lock);
    ck_assert_int_eq(ph_heap_free(private, block, ENTER_PATIENTLY), BLOCK_OK);
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
    ph_lock_give(&private->span_lock);
    ck_assert_uint_eq(ph_later_count, 1);
    ck_assert_int_eq(ph_heap_free(private, other, ENTER_PATIENTLY), BLOCK_OK);
    ck_assert_uint_eq(ph_later_count, 0);
    ck_assert_int_ne(ph_heap_look(block, &bi), BLOCK_OK);
}
END_TEST

START_TEST(a_block_grows_out_of_the_emergency_room)
{
    struct block_info bi;
    ph_lock_take(&private->span_lock);
    char *block = room_alloc(private, 50, true);
    ph_lock_give(&private->span_lock);
    strcpy(block, "content");
    for (size_t bytes = 100; bytes <= 4000; bytes += 3900) {
        ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
        block = ph_heap_realloc(private, &bi, block, &(struct request){.bytes = bytes, .sized = true}, false);
        ck_assert_str_eq(block, "content");
        ck_assert_uint_eq(kind_of(block) == KIND_EMERGENCY, bytes == 100);
    }
    ck_assert_int_eq(ph_heap_free(private, block, ENTER_PATIENTLY), BLOCK_OK);
}
END_TEST

START_TEST(a_heap_takes_its_emergency_blocks_along)
{
    struct block_info bi;
    struct heap *hp = room_heap(0);
    ph_lock_take(&hp->span_lock);
    void *block = room_alloc(hp, 50, true);
    ph_lock_give(&hp->span_lock);
    ph_heap_destroy(hp);
    ck_assert_int_ne(ph_heap_look(block, &bi), BLOCK_OK);
}
END_TEST

/* ---- an operation is interrupted ---- */

START_TEST(a_handler_finds_no_stacks_and_leaves_them_as_they_were)
{
    struct nest ne;
    struct local *const lo = ph_local;
    ck_assert(!ph_nested_begin(&ne)); /* nothing to interrupt */
    ck_assert_ptr_eq(ph_local, lo);
    local_enter(lo);
    const uintptr_t busy = lo->busy;
    ck_assert(ph_nested_begin(&ne));
    ck_assert_ptr_ne(ph_local, lo);
    void *block = room_alloc(process, 100, false), *run = room_alloc(process, 50000, false);
    ck_assert_uint_eq(kind_of(block), KIND_PLAIN); /* real ones: the interrupted operation keeps a stop off */
    ck_assert_uint_eq(kind_of(run), KIND_RUN);
    ck_assert_uint_eq(kind_of(room_alloc(private, 100, true)), KIND_EMERGENCY);
    ck_assert_int_eq(ph_heap_free(process, block, ENTER_PATIENTLY), BLOCK_OK);
    ck_assert_int_eq(ph_heap_free(process, run, ENTER_PATIENTLY), BLOCK_OK);
    ck_assert_uint_eq(lo->busy, busy);
    ph_nested_end(&ne);
    ck_assert_ptr_eq(ph_local, lo);
    ck_assert_uint_eq(lo->busy, busy);
    local_leave(lo);
}
END_TEST

/* Who stopped the heap before does not wait for it: it is busy, but not in. */
START_TEST(a_handler_stays_out_of_a_stopped_heap)
{
    struct nest ne;
    struct local *const lo = ph_local;
    char *before = room_alloc(process, 100, false);
    ph_gate_close(process, ENTER_PATIENTLY);
    ph_gate_open(process);
    local_enter(lo);
    ck_assert(ph_nested_begin(&ne));
    ck_assert_uint_eq(kind_of(room_alloc(process, 100, false)), KIND_EMERGENCY);
    ck_assert_int_eq(ph_heap_free(process, before, ENTER_PATIENTLY), BLOCK_OK);
    ck_assert_uint_eq(ph_later_count, 1);
    ph_nested_end(&ne);
    local_leave(lo);
}
END_TEST

/* As a handler that is left by a jump: its frame is gone. */
static __attribute__((noinline)) void begin_and_leave(void)
{
    volatile char frame_of_a_signal[8192];
    struct nest *ne = (struct nest *)(void *)(((uintptr_t)frame_of_a_signal + 63) & ~(uintptr_t)63);
    frame_of_a_signal[sizeof frame_of_a_signal - 1] = 0;
    local_enter(ph_local);
    ck_assert(ph_nested_begin(ne));
}

START_TEST(what_a_jump_left_is_put_in_order_by_the_next_call)
{
    struct local *const lo = ph_local;
    void *block = room_alloc(process, 100, false);
    ck_assert_int_eq(ph_heap_free(process, block, ENTER_PATIENTLY), BLOCK_OK);
    begin_and_leave();
    ck_assert_uint_ne(lo->busy, 0);
    ck_assert_ptr_nonnull(room_alloc(process, 100, false));
    ck_assert_ptr_eq(ph_local, lo);
    ck_assert_uint_eq(lo->busy, 0);
    ck_assert_uint_eq(lo->left, 0);
    ck_assert_uint_eq(ph_nest, 0);
}
END_TEST

START_TEST(a_pop_left_halfway_costs_a_block)
{
    struct local *const lo = ph_local;
    void *block = room_alloc(process, 100, false);
    ck_assert_int_eq(ph_heap_free(process, block, ENTER_PATIENTLY), BLOCK_OK);
    void *top = lo->stack[class_of(100)].top[-1];
    *block_key(top) = BLOCK_LIVE;
    begin_and_leave();
    for (int i = 0; i < 1000; i++) ck_assert_ptr_ne(room_alloc(process, 100, false), top);
}
END_TEST

/* ---- cancelled while a lock is held ---- */

static const void *cancelled; /* its thread pointer, once it holds the lock */
static bool is_to_end, has_given;

/* It keeps the lock for some time after somebody wishes it gone. */
static void *hold_a_lock(void *unused)
{
    static ph_lock lock;
    const struct timespec while_longer = {.tv_nsec = 5000000};
    (void)unused;
    ph_local_without(true);
    ph_lock_take(&lock);
    __atomic_store_n(&cancelled, ph_thread_self(), __ATOMIC_RELEASE);
    while (!__atomic_load_n(&is_to_end, __ATOMIC_RELAXED))
        sched_yield();
    nanosleep(&while_longer, NULL);
    __atomic_store_n(&has_given, true, __ATOMIC_RELAXED);
    ph_lock_give(&lock);
    return NULL;
}

static void cancel_who_holds_a_lock(void *unused)
{
    pthread_t thread;
    (void)unused;
    CHILD_NEEDS(pthread_create(&thread, NULL, hold_a_lock, NULL) == 0);
    const void *who;
    while ((who = __atomic_load_n(&cancelled, __ATOMIC_ACQUIRE)) == NULL)
        sched_yield();
    ph_cancel_begin(ph_thread_self()); /* the first one stops all heaps, which takes time */
    __atomic_store_n(&is_to_end, true, __ATOMIC_RELAXED);
    ph_cancel_begin(who);
    CHILD_NEEDS(__atomic_load_n(&has_given, __ATOMIC_RELAXED));
    CHILD_NEEDS(pthread_join(thread, NULL) == 0);
}

START_TEST(a_thread_is_not_cancelled_while_it_holds_a_lock) { room_lives(cancel_who_holds_a_lock, NULL); }
END_TEST

int main(void)
{
    (void)ph_heap_process();
    Suite *suite = suite_create("nested");
    TCase *tc = tcase_create("nested");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, blocks_of_all_sizes_without_a_lock);
    tcase_add_test(tc, no_two_are_given_the_same_and_all_come_back);
    tcase_add_test(tc, zeroed_also_where_somebody_wrote);
    tcase_add_test(tc, a_block_freed_meanwhile_goes_with_the_next_free);
    tcase_add_test(tc, a_block_grows_out_of_the_emergency_room);
    tcase_add_test(tc, a_heap_takes_its_emergency_blocks_along);
    tcase_add_test(tc, a_handler_finds_no_stacks_and_leaves_them_as_they_were);
    tcase_add_test(tc, a_handler_stays_out_of_a_stopped_heap);
    tcase_add_test(tc, what_a_jump_left_is_put_in_order_by_the_next_call);
    tcase_add_test(tc, a_pop_left_halfway_costs_a_block);
    tcase_add_test(tc, a_thread_is_not_cancelled_while_it_holds_a_lock);
    suite_add_tcase(suite, tc);
    return room_run(suite);
}
