/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_local.c -- one thread's stacks for the process heap: no block lost, none twice, all given back when
 * the thread goes, whatever the rest of the process is doing. */
#include "check_room.h"

#include "stack.h"

#include <pthread.h>

enum { MANY = 1000 };

#define WRONG(text) (void *)(uintptr_t)(text) /* what a thread has to say at its end */

static struct heap *heap; /* the process heap: nobody else uses it here */
static uint64_t live_before;

static uint64_t live(void) { return room_sums(heap).live_blocks; }

static void setup_process_heap(void)
{
    heap = ph_heap_process();
    ck_assert_ptr_nonnull(heap);
    live_before = live();
}

static void teardown_process_heap(void)
{
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ck_assert_uint_eq(live(), live_before);
}

/* As malloc and free do. */
static void *take(size_t bytes)
{
    void *block = local_take(ph_local, class_of(bytes));
    return block != NULL ? block : ph_local_take_slow(ph_local, class_of(bytes), NULL);
}

static bool give(void *block)
{
    return local_give(ph_local, block) || ph_local_give_slow(ph_local, block) ||
           ph_heap_free(heap, block, ENTER_PATIENTLY) == BLOCK_OK;
}

/* After a stop the bias comes back only later. */
static void become_biased(void)
{
    for (;;) {
        CHILD_NEEDS(give(take(16)));
        struct pass ps = ph_gate_enter(heap, ENTER_PATIENTLY);
        ph_gate_leave(heap, ps);
        if (ps.lo != NULL) return;
        ph_os_sleep(200000);
    }
}

static void in_thread(void *(*body)(void *), void *with)
{
    pthread_t thread;
    void *wrong;
    ck_assert_int_eq(pthread_create(&thread, NULL, body, with), 0);
    pthread_join(thread, &wrong);
    ck_assert_msg(wrong == NULL, "%s", (const char *)wrong);
}

/* ---- taking and giving ---- */

static void *held[MANY];

static int by_address(const void *a, const void *b)
{
    const uintptr_t one = *(const uintptr_t *)a, two = *(const uintptr_t *)b;
    return (one > two) - (one < two);
}

START_TEST(blocks_of_a_class_are_distinct_and_come_back)
{
    const size_t bytes = ph_class_bytes[_i];
    const int count = bytes > 2048 ? 100 : MANY;
    for (int i = 0; i < count; i++) {
        held[i] = take(bytes);
        ck_assert_ptr_nonnull(held[i]);
        ck_assert_uint_eq(room_kind(held[i]), KIND_PLAIN + (unsigned)_i);
        memset(held[i], i, bytes);
    }
    ck_assert_uint_eq(live(), live_before + (unsigned)count);
    qsort(held, (size_t)count, sizeof *held, by_address);
    for (int i = 1; i < count; i++)
        ck_assert_uint_ge((size_t)((char *)held[i] - (char *)held[i - 1]), bytes);
    for (int i = 0; i < count; i++)
        ck_assert(give(held[i]));
}
END_TEST

static const size_t sizes[] = {1, 16, 24, 64, 100, 333, 1024, 1500, 4000, 9000, 16384};

static void *random_life(void *seed)
{
    static __thread struct { uint32_t *block; size_t words; uint32_t mark; } slot[400];
    uint64_t random = (uintptr_t)seed;
    for (int step = 0; step < 30000; step++) {
        const unsigned i = room_random(&random) % COUNT(slot);
        if (slot[i].block != NULL) {
            if (slot[i].block[0] != slot[i].mark || slot[i].block[slot[i].words - 1] != slot[i].mark)
                return WRONG("a block was overwritten");
            if (!give(slot[i].block)) return WRONG("a block was refused");
            slot[i].block = NULL;
            continue;
        }
        const size_t bytes = sizes[room_random(&random) % COUNT(sizes)];
        slot[i].words = ph_class_bytes[class_of(bytes)] / 4;
        slot[i].mark = room_random(&random);
        if ((slot[i].block = take(bytes)) == NULL) return WRONG("no block");
        slot[i].block[0] = slot[i].block[slot[i].words - 1] = slot[i].mark;
    }
    for (int i = 0; i < COUNT(slot); i++)
        if (slot[i].block != NULL && !give(slot[i].block)) return WRONG("a block was refused at the end");
    return NULL;
}

START_TEST(random_life_loses_and_doubles_no_block)
{
    for (uintptr_t seed = 1; seed <= 3; seed++)
        in_thread(random_life, (void *)seed);
}
END_TEST

enum { THREADS = 4 };

START_TEST(random_lives_of_threads_at_once_do_not_mix)
{
    pthread_t thread[THREADS];
    for (uintptr_t t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_create(&thread[t], NULL, random_life, (void *)(t + 1)), 0);
    for (int stops = 0; stops < 20; stops++)
        (void)live();
    for (int t = 0; t < THREADS; t++) {
        void *wrong;
        pthread_join(thread[t], &wrong);
        ck_assert_msg(wrong == NULL, "%s", (const char *)wrong);
    }
}
END_TEST

static void *shared[64]; /* blocks on their way from thread to thread */

static void *exchange(void *seed)
{
    uint64_t random = (uintptr_t)seed;
    for (int step = 0; step < 20000; step++) {
        uint64_t *mine = take(sizes[room_random(&random) % 8]);
        if (mine == NULL) return WRONG("no block");
        mine[0] = (uintptr_t)mine;
        uint64_t *other = __atomic_exchange_n(&shared[room_random(&random) % COUNT(shared)], mine, __ATOMIC_ACQ_REL);
        if (other == NULL) continue;
        if (other[0] != (uintptr_t)other) return WRONG("a block has two holders");
        if (!give(other)) return WRONG("a block of another thread was refused");
    }
    return NULL;
}

START_TEST(blocks_wander_between_threads)
{
    pthread_t thread[THREADS];
    for (uintptr_t t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_create(&thread[t], NULL, exchange, (void *)(t + 1)), 0);
    for (int t = 0; t < THREADS; t++) {
        void *wrong;
        pthread_join(thread[t], &wrong);
        ck_assert_msg(wrong == NULL, "%s", (const char *)wrong);
    }
    for (int i = 0; i < COUNT(shared); i++)
        if (shared[i] != NULL) ck_assert(give(shared[i]));
    memset(shared, 0, sizeof shared);
}
END_TEST

START_TEST(fresh_is_said_of_zero_blocks_only)
{
    enum { BYTES = 192 };
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            bool fresh = false;
            char *block = local_take(ph_local, class_of(BYTES));
            if (block == NULL) block = ph_local_take_slow(ph_local, class_of(BYTES), &fresh);
            for (int j = 0; fresh && j < BYTES; j++)
                ck_assert_int_eq(block[j], 0);
            memset(held[i] = block, 0x99, BYTES);
        }
        for (int i = 0; i < MANY; i++)
            ck_assert(give(held[i]));
    }
}
END_TEST

/* ---- how much a stack holds ---- */

/* Blocks in a row that the fast path takes back. */
static int fast_gives(int most)
{
    int fast = 0, i;
    for (i = 0; i < most && local_give(ph_local, held[i]); i++)
        fast++;
    if (i < most) local_leave(ph_local);
    for (; i < most; i++)
        (void)give(held[i]);
    return fast;
}

/* Rounds of many blocks that are all freed again. */
static void burst(int rounds, int blocks)
{
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < blocks; i++)
            held[i] = take(64);
        for (int i = 0; i < blocks; i++)
            (void)give(held[i]);
    }
}

static void *widen_in_thread(void *nothing)
{
    (void)nothing;
    become_biased();
    burst(1, 300);
    for (int i = 0; i < 300; i++)
        held[i] = take(64);
    const int soon = fast_gives(300);
    burst(10, 1000);
    for (int i = 0; i < 1000; i++)
        held[i] = take(64);
    const int later = fast_gives(1000);
    return soon > 2 * SLOTS_FIRST && soon <= 2 * STACK_SLOTS && later > 4 * STACK_SLOTS && later <= DEEP_SLOTS
               ? NULL : WRONG("the stack did not widen as it should");
}

START_TEST(stack_widens_with_use_up_to_its_bound) { in_thread(widen_in_thread, NULL); }
END_TEST

static void *leave_deep_in_thread(void *nothing)
{
    (void)nothing;
    become_biased();
    burst(10, 1000);
    const struct stack *st = &ph_local->stack[class_of(64)];
    unsigned before = 0;
    for (int rounds = 0; rounds < 2; rounds++) { /* the first finds it in use */
        before = stack_cap(ph_local, st);
        local_enter(ph_local);
        ph_local_expire(ph_local);
        local_leave(ph_local);
    }
    if (before <= STACK_SLOTS || stack_cap(ph_local, st) > STACK_SLOTS || stack_count(ph_local, st) != 0 ||
        ph_local->cap_bytes > STACK_SLOTS * 64)
        return WRONG("a deep stack that nobody uses keeps its blocks");
    burst(10, 1000);
    return stack_cap(ph_local, st) > STACK_SLOTS ? NULL : WRONG("it is not deep when it is used again");
}

START_TEST(deep_stack_that_nobody_uses_is_emptied) { in_thread(leave_deep_in_thread, NULL); }
END_TEST

START_TEST(deep_rooms_fill_a_local_to_its_end)
{
    const struct local plain = { .stride = 1 };
    ck_assert_uint_eq(ph_stack_deep(&plain, CLASS_COUNT), LOCAL_SLOTS + 1);
}
END_TEST

/* Thousands of blocks come back at once, and the class is quiet again. */
static void *overflow_in_thread(void *nothing)
{
    (void)nothing;
    become_biased();
    burst(1, 1000);
    const struct stack *st = &ph_local->stack[class_of(64)];
    return st->limit - (ph_local->slot + st->bottom) <= STACK_SLOTS ? NULL : WRONG("a stack that only overflowed is deep");
}

START_TEST(stack_that_only_overflows_stays_shallow) { in_thread(overflow_in_thread, NULL); }
END_TEST

START_TEST(check_empties_the_stacks)
{
    become_biased();
    for (int i = 0; i < 5; i++)
        held[i] = take(64);
    for (int i = 0; i < 5; i++)
        ck_assert(give(held[i]));
    ph_inspect_own();
    struct span *pg = ph_span_at(entry_span(map_get(held[0])));
    if (room_kind(held[0]) == KIND_PLAIN + class_of(64)) /* else the whole page has gone */
        ck_assert(!ph_page_give(pg, ph_page_index(pg, held[0])));
    ck_assert_uint_eq(live(), live_before);
}
END_TEST

/* ---- what is refused ---- */

static bool refused(void *block)
{
    return !local_give(ph_local, block) && !ph_local_give_slow(ph_local, block);
}

START_TEST(what_is_no_plain_block_of_the_heap_is_refused)
{
    static uint64_t in_data[4];
    struct heap *other = room_heap(0);
    uint64_t on_stack[4];
    char *block = take(64);
    become_biased();
    ck_assert(refused(NULL) && refused(on_stack) && refused(in_data) && refused((void *)UINTPTR_MAX));
    ck_assert(refused(block + 16) && refused(block + 1) && refused(block - 8));
    ck_assert(refused(room_alloc(other, 64, false)) && refused(room_alloc(other, 100000, false)));
    void *sized = room_alloc(heap, 64, true), *run = room_alloc(heap, 100000, false);
    ck_assert(refused(sized) && refused((char *)run + UNIT_BYTES));
    ck_assert(ph_heap_free(heap, sized, ENTER_PATIENTLY) == BLOCK_OK);
    ck_assert(ph_heap_free(heap, run, ENTER_PATIENTLY) == BLOCK_OK);
    ck_assert(give(block));
    ph_heap_destroy(other);
}
END_TEST

static void take_twice_what_was_given_twice(void *nothing)
{
    (void)nothing;
    become_biased();
    void *block = take(64);
    (void)give(block);
    (void)give(block);
    (void)take(64);
    (void)take(64);
}

static void take_what_was_written_to(void *nothing)
{
    (void)nothing;
    become_biased();
    void *block = take(64);
    (void)give(block);
    *block_key(block) = 12345;
    (void)take(64);
}

static void check_what_was_written_to(void *nothing)
{
    (void)nothing;
    become_biased();
    void *block = take(64);
    (void)give(block);
    *block_key(block) = 12345;
    ph_inspect_own();
}

START_TEST(no_block_leaves_twice) { room_aborts(take_twice_what_was_given_twice, NULL, "freed twice"); }
END_TEST

START_TEST(write_after_free_is_noticed_at_the_next_take)
{
    room_aborts(take_what_was_written_to, NULL, "changed after free");
}
END_TEST

START_TEST(write_after_free_is_noticed_by_the_last_check)
{
    room_aborts(check_what_was_written_to, NULL, "changed after free");
}
END_TEST

/* ---- threads that come and go ---- */

static void *attach_in_thread(void *nothing)
{
    (void)nothing;
    if (ph_local != &ph_local_none) return WRONG("a new thread has stacks");
    void *block = take(64);
    if (ph_local == &ph_local_none || ph_local->heap != heap) return WRONG("the first take gives no stacks");
    if (ph_local_attach(heap) != ph_local) return WRONG("a second attach gives other stacks");
    return give(block) ? NULL : WRONG("a block was refused");
}

START_TEST(first_take_gives_a_thread_its_stacks) { in_thread(attach_in_thread, NULL); }
END_TEST

static void *give_first(void *block) { return give(block) ? NULL : WRONG("a block was refused"); }

START_TEST(thread_whose_first_act_is_a_free_is_served) { in_thread(give_first, take(64)); }
END_TEST

static void *leave_half(void *nothing)
{
    (void)nothing;
    for (int i = 0; i < MANY; i++)
        held[i] = take(48);
    for (int i = 0; i < MANY / 2; i++)
        if (!give(held[i])) return WRONG("a block was refused");
    return NULL;
}

START_TEST(thread_that_exits_gives_everything_back)
{
    in_thread(leave_half, NULL);
    ck_assert_uint_eq(live(), live_before + MANY / 2); /* blocks outlive their thread */
    for (int i = MANY / 2; i < MANY; i++)
        ck_assert(give(held[i]));
}
END_TEST

static void *take_and_give_one(void *out)
{
    *(void **)out = take(15000);
    return give(*(void **)out) ? NULL : WRONG("a block was refused");
}

START_TEST(free_block_of_a_thread_that_exited_lies_in_its_page)
{
    void *block;
    struct block_info bi;
    in_thread(take_and_give_one, &block);
    ck_assert_int_ne(ph_heap_look(block, &bi), BLOCK_OK); /* as it would be in a stack */
}
END_TEST

START_TEST(threads_in_a_row_share_one_local)
{
    ck_assert(give(take(16))); /* this thread has its own already */
    in_thread(attach_in_thread, NULL);
    const uint32_t before = heap->local_count;
    for (int i = 0; i < 50; i++)
        in_thread(attach_in_thread, NULL);
    ck_assert_uint_eq(heap->local_count, before);
}
END_TEST

static pthread_key_t late_key;
static const char *late_wrong;

static void use_heap_late(void *nothing)
{
    (void)nothing;
    late_wrong = NULL;
    void *block = room_alloc(heap, 64, false);
    if (block == NULL || ph_heap_free(heap, block, ENTER_PATIENTLY) != BLOCK_OK) late_wrong = "not served";
    block = take(64);
    if (block == NULL || !give(block)) late_wrong = "not served by the slow path";
    if (ph_local != &ph_local_none) late_wrong = "stacks were given to a thread on its way out";
}

static void *set_late_key(void *nothing)
{
    (void)nothing;
    void *block = take(64);
    pthread_setspecific(late_key, held);
    return give(block) ? NULL : WRONG("a block was refused");
}

START_TEST(thread_on_its_way_out_is_served_without_stacks)
{
    ck_assert_int_eq(pthread_key_create(&late_key, use_heap_late), 0); /* runs after ours */
    late_wrong = "did not run";
    in_thread(set_late_key, NULL);
    ck_assert_msg(late_wrong == NULL, "%s", late_wrong);
    pthread_key_delete(late_key);
}
END_TEST

/* ---- exit while the heap is locked ---- */

static uint32_t stage;

static void wait_for_stage(uint32_t want)
{
    while (__atomic_load_n(&stage, __ATOMIC_ACQUIRE) < want)
        ph_os_yield();
}

static void *exit_when_told(void *nothing)
{
    void *wrong = leave_half(nothing);
    for (int i = MANY / 2; i < MANY; i++)
        (void)give(held[i]);
    __atomic_store_n(&stage, 1, __ATOMIC_RELEASE);
    wait_for_stage(2);
    return wrong;
}

/* A thread that had stacks when the lock was taken. */
static void exit_under_the_lock(void)
{
    pthread_t thread;
    void *wrong;
    stage = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, exit_when_told, NULL), 0);
    wait_for_stage(1);
    ph_gate_heap_lock(heap);
    __atomic_store_n(&stage, 2, __ATOMIC_RELEASE);
    pthread_join(thread, &wrong); /* would hang if exit waited for the lock */
    ck_assert_ptr_null(wrong);
}

/* Its owner may look at what was the youngest entry when that is another's block again, where the program may have
 * written what it likes: the block's own address is what an empty circular list has there. */
START_TEST(stopped_stack_gives_no_block_whatever_is_written_there)
{
    become_biased();
    void *block = take(64);
    ck_assert(give(block));
    uint64_t *second = block_key(block);
    const uint64_t key = *second;
    ph_gate_close(heap, ENTER_PATIENTLY);
    for (unsigned i = 0; i < 3; i++) {
        *second = i == 0 ? (uintptr_t)block : i == 1 ? key : block_page_key(block);
        ck_assert_ptr_null(local_take(ph_local, class_of(64)));
        local_leave(ph_local);
    }
    *second = key;
    ph_gate_open(heap);
}
END_TEST

START_TEST(thread_exits_while_another_holds_the_heap_lock)
{
    exit_under_the_lock();
    ck_assert_uint_eq(live(), live_before); /* the orphan's blocks are in its stacks: not live */
    ck_assert(ph_gate_heap_unlock(heap));
}
END_TEST

START_TEST(orphan_is_adopted_blocks_and_all)
{
    exit_under_the_lock();
    const uint32_t before = heap->local_count;
    ck_assert(ph_gate_heap_unlock(heap));
    in_thread(random_life, (void *)77);
    ck_assert_uint_eq(heap->local_count, before);
}
END_TEST

static void add_threads(Suite *suite)
{
    TCase *threads = room_case(suite, "attach, detach", setup_process_heap, teardown_process_heap);
    tcase_add_test(threads, first_take_gives_a_thread_its_stacks);
    tcase_add_test(threads, thread_whose_first_act_is_a_free_is_served);
    tcase_add_test(threads, thread_that_exits_gives_everything_back);
    tcase_add_test(threads, free_block_of_a_thread_that_exited_lies_in_its_page);
    tcase_add_test(threads, threads_in_a_row_share_one_local);
    tcase_add_test(threads, thread_on_its_way_out_is_served_without_stacks);
    tcase_add_test(threads, stopped_stack_gives_no_block_whatever_is_written_there);
    tcase_add_test(threads, thread_exits_while_another_holds_the_heap_lock);
    tcase_add_test(threads, orphan_is_adopted_blocks_and_all);
}

int main(void)
{
    Suite *suite = suite_create("local");
    TCase *blocks = room_case(suite, "take, give", setup_process_heap, teardown_process_heap);
    tcase_add_loop_test(blocks, blocks_of_a_class_are_distinct_and_come_back, 0, CLASS_COUNT);
    tcase_add_test(blocks, random_life_loses_and_doubles_no_block);
    tcase_add_test(blocks, random_lives_of_threads_at_once_do_not_mix);
    tcase_add_test(blocks, blocks_wander_between_threads);
    tcase_add_test(blocks, fresh_is_said_of_zero_blocks_only);
    tcase_add_test(blocks, stack_widens_with_use_up_to_its_bound);
    tcase_add_test(blocks, deep_stack_that_nobody_uses_is_emptied);
    tcase_add_test(blocks, deep_rooms_fill_a_local_to_its_end);
    tcase_add_test(blocks, stack_that_only_overflows_stays_shallow);
    tcase_add_test(blocks, check_empties_the_stacks);
    TCase *refusals = room_case(suite, "refusals", setup_process_heap, teardown_process_heap);
    tcase_add_test(refusals, what_is_no_plain_block_of_the_heap_is_refused);
    tcase_add_test(refusals, no_block_leaves_twice);
    tcase_add_test(refusals, write_after_free_is_noticed_at_the_next_take);
    tcase_add_test(refusals, write_after_free_is_noticed_by_the_last_check);
    add_threads(suite);
    return room_run(suite);
}
