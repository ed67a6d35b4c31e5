/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_runs.c -- runs that a thread keeps after free: found again, free for everybody who looks, bounded, and given
 * back when the thread, or the heap, or the parent of a fork, goes. */
#include "check_room.h"
#include "guard.h"
#include "valid.h"

#include <pthread.h>

enum { KB = 1024, RUN = 40 * KB, MOST_KEPT = 1 << 20, MANY = 64 };

static struct heap *heap; /* the process heap: nobody else uses it here */
static uint64_t live_before;

static uint64_t live(void) { return room_sums(heap).live_blocks; }

/* After a stop the bias comes back only later. */
static void become_biased(void)
{
    for (int i = 0; i < 5000 && !ph_local->biased; i++) {
        ph_gate_rebias(ph_local, ENTER_PATIENTLY);
        if (!ph_local->biased) ph_os_sleep(200000);
    }
}

static void setup(void)
{
    heap = ph_heap_process();
    ph_guard_end(); /* no run lies between guards by chance */
    ph_fork_register();
    ck_assert_ptr_nonnull(ph_local_attach(heap));
    live_before = live();
    become_biased();
    ck_assert(ph_local->biased);
}

static void teardown(void)
{
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ck_assert_uint_eq(live(), live_before);
}

static uint64_t kept(const struct local *lo)
{
    uint64_t count = 0;
    ck_assert(ph_runs_are_valid(lo, &count));
    return count;
}

static void *take(size_t bytes)
{
    void *run = room_alloc(heap, bytes, false);
    ck_assert_uint_eq(room_kind(run), KIND_RUN);
    return run;
}

static enum block_verdict give(void *run) { return ph_heap_free(heap, run, ENTER_PATIENTLY); }

/* ---- what a thread keeps ---- */

START_TEST(freed_run_is_taken_again)
{
    char *run = take(RUN);
    ck_assert_int_eq(give(run), BLOCK_OK);
    ck_assert_uint_eq(kept(ph_local), 1);
    ck_assert_ptr_eq(ph_runs_malloc(ph_local, RUN - 100), run);
    ck_assert_uint_eq(kept(ph_local), 0);
    ck_assert_uint_eq(ph_map_span(map_get(run))->wanted, RUN - 100);
    ck_assert_int_eq(give(run), BLOCK_OK);
}
END_TEST

/* A little larger is no waste, twice as large is. */
START_TEST(run_that_is_much_too_large_is_left)
{
    void *run = take(64 * KB), *small;
    ck_assert_int_eq(give(run), BLOCK_OK);
    ck_assert_ptr_null(ph_runs_malloc(ph_local, 32 * KB));
    ck_assert_ptr_null(ph_runs_malloc(ph_local, 65 * KB));
    small = ph_runs_malloc(ph_local, 57 * KB);
    ck_assert_ptr_eq(small, run);
    ck_assert_int_eq(give(small), BLOCK_OK);
}
END_TEST

/* Rounded up to units it would be nothing. */
START_TEST(request_for_all_there_is_finds_no_run)
{
    void *run = ph_heap_alloc(heap, &(struct request){.bytes = 10, .align = 2 * UNIT_BYTES}); /* no page has such blocks */
    ck_assert_uint_eq(ph_map_span(map_get(run))->units, 1);
    ck_assert_int_eq(give(run), BLOCK_OK);
    ck_assert_uint_eq(kept(ph_local), 1);
    for (size_t less = 0; less < 2 * UNIT_BYTES; less += UNIT_BYTES / 8)
        ck_assert_ptr_null(ph_runs_malloc(ph_local, SIZE_MAX - less));
}
END_TEST

START_TEST(kept_run_is_not_zero_for_calloc)
{
    char *run = take(RUN);
    memset(run, 1, RUN);
    ck_assert_int_eq(give(run), BLOCK_OK);
    char *zero = ph_heap_alloc(heap, &(struct request){.bytes = RUN, .zero = true});
    ck_assert_ptr_eq(zero, run);
    for (int i = 0; i < RUN; i++)
        ck_assert_int_eq(zero[i], 0);
    ck_assert_int_eq(give(zero), BLOCK_OK);
}
END_TEST

/* So that who asks for a little more or less finds it; who asked for an exact size gets no more. */
START_TEST(long_runs_have_few_sizes)
{
    void *plain = take(140 * KB + 1), *exact = room_alloc(heap, 140 * KB + 1, true);
    ck_assert_uint_eq(ph_map_span(map_get(plain))->units, 36);
    ck_assert_uint_eq(ph_map_span(map_get(exact))->units, 36);
    void *longer = take(150 * KB + 1), *exactly = room_alloc(heap, 150 * KB + 1, true);
    ck_assert_uint_eq(ph_map_span(map_get(longer))->units, 40);
    ck_assert_uint_eq(ph_map_span(map_get(exactly))->units, 38);
    void *all[] = {plain, exact, longer, exactly};
    for (int i = 0; i < COUNT(all); i++)
        ck_assert_int_eq(give(all[i]), BLOCK_OK);
}
END_TEST

/* A thread that only gives keeps little; one that takes as well keeps more, but no more than 1 MB. */
START_TEST(what_is_kept_is_bounded)
{
    void *run[MANY];
    size_t most = 0;
    for (int i = 0; i < MANY; i++)
        run[i] = take(RUN);
    ph_local->runs.takes = 0;
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(give(run[i]), BLOCK_OK);
        most = ph_local->runs.units > most ? ph_local->runs.units : most;
    }
    ck_assert_uint_le((uint64_t)most * UNIT_BYTES, 128 * KB);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < MANY; i++)
            run[i] = take(RUN);
        for (int i = 0; i < MANY; i++) {
            ck_assert_int_eq(give(run[i]), BLOCK_OK);
            most = ph_local->runs.units > most ? ph_local->runs.units : most;
        }
    }
    ck_assert_uint_le((uint64_t)most * UNIT_BYTES, MOST_KEPT);
    ck_assert_uint_gt((uint64_t)most * UNIT_BYTES, MOST_KEPT / 2);
}
END_TEST

/* A handler that nobody told us of came in between. */
START_TEST(who_has_a_run_in_hand_keeps_and_finds_none)
{
    void *first = take(RUN), *second = take(RUN);
    ck_assert_int_eq(give(first), BLOCK_OK);
    ph_local->runs.hand = (uint32_t)ph_map_span(map_get(first))->self;
    ck_assert_ptr_ne(room_alloc(heap, RUN - 7, false), first);
    ck_assert_int_eq(give(second), BLOCK_OK);
    ph_local->runs.hand = SPAN_NONE;
    ck_assert_uint_eq(kept(ph_local), 1);
    ck_assert_ptr_eq(take(RUN), first);
    live_before += 2; /* the two that were taken stay */
}
END_TEST

/* Its thread comes late: it saw a run, and another gave it back to the heap since. */
START_TEST(descriptor_that_is_no_run_any_more_is_not_kept)
{
    void *run = take(RUN);
    struct span *sp = ph_map_span(map_get(run));
    ck_assert_int_eq(give(run), BLOCK_OK);
    struct pass ps = ph_gate_enter(heap, ENTER_PATIENTLY);
    ph_runs_empty(ph_local, 0);
    ck_assert_uint_ne(room_kind(run), KIND_RUN);
    sp->units += sp->units == 0; /* whatever it is now */
    ck_assert(!ph_runs_give(ph_local, sp, run));
    ck_assert_uint_eq(sp->carved, 0);
    ph_gate_leave(heap, ps);
    ck_assert_uint_eq(kept(ph_local), 0);
}
END_TEST

START_TEST(thread_that_asked_for_none_begins_small_again)
{
    ph_local->runs.most *= 4;
    ck_assert_int_eq(give(take(RUN)), BLOCK_OK);
    struct pass ps = ph_gate_enter(heap, ENTER_PATIENTLY);
    ph_local_expire(ph_local);
    ck_assert_uint_eq(ph_local->runs.most * (uint64_t)UNIT_BYTES, 512 * KB);
    ph_local_expire(ph_local);
    ph_gate_leave(heap, ps);
    ck_assert_uint_eq(ph_local->runs.most * (uint64_t)UNIT_BYTES, 128 * KB);
}
END_TEST

START_TEST(runs_that_nobody_asks_for_go_when_the_clock_is_looked_at)
{
    ck_assert_int_eq(give(take(RUN)), BLOCK_OK);
    struct pass ps = ph_gate_enter(heap, ENTER_PATIENTLY);
    ph_local_expire(ph_local); /* one was asked for */
    ck_assert_uint_eq(kept(ph_local), 1);
    ph_local_expire(ph_local);
    ph_gate_leave(heap, ps);
    ck_assert_uint_eq(kept(ph_local), 0);
}
END_TEST

static void *resize(void *run, size_t bytes, bool sized)
{
    struct block_info bi;
    ck_assert_int_eq(ph_heap_look(run, &bi), BLOCK_OK);
    return ph_heap_realloc(bi.heap, &bi, run, &(struct request){.bytes = bytes, .sized = sized}, false);
}

/* It will grow again: a quarter of the steps asks the heap. */
START_TEST(run_that_grows_by_a_little_gets_an_eighth_more)
{
    struct heap *hp = room_heap(0); /* behind its one run there is room */
    void *run = room_alloc(hp, 256 * KB, false);
    const struct span *sp = ph_map_span(map_get(run));
    ck_assert_ptr_eq(resize(run, 256 * KB + 1, false), run);
    ck_assert_uint_eq(sp->units, 64 + 1 + 8);
    ck_assert_uint_eq(sp->wanted, 256 * KB + 1);
    ck_assert_ptr_eq(resize(run, 256 * KB, false), run); /* and so little stays */
    ck_assert_uint_eq(sp->units, 64 + 1 + 8);
    ck_assert_uint_eq(sp->wanted, 256 * KB);
    ck_assert_ptr_eq(resize(run, 200 * KB, false), run);
    ck_assert_uint_eq(sp->units, 50);
    ck_assert_ptr_eq(resize(run, 201 * KB, true), run); /* nor who asks for an exact size */
    ck_assert_uint_eq(sp->units, 51);
    ck_assert(ph_walk_validate(hp, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(hp);
}
END_TEST

/* ---- free for everybody who looks ---- */

START_TEST(kept_run_is_free)
{
    struct block_info bi;
    char *run = take(RUN), *other = take(RUN);
    ck_assert_int_eq(give(run), BLOCK_OK);
    ck_assert_int_eq(ph_heap_look(run, &bi), BLOCK_TWICE);
    ck_assert_int_eq(give(run), BLOCK_TWICE);
    ck_assert(!ph_span_give_run(heap, run));
    local_enter(ph_local);
    ck_assert(!ph_runs_free(ph_local, map_get(run), run));
    ck_assert(!ph_runs_free(ph_local, map_get(other), other + UNIT_BYTES));
    local_leave(ph_local);
    ck_assert_int_ne(give(run + 16), BLOCK_OK);
    ck_assert_uint_eq(kept(ph_local), 1);
    ck_assert_int_eq(give(other), BLOCK_OK);
}
END_TEST

START_TEST(walk_shows_no_kept_run_as_busy)
{
    char *run = take(RUN), *fence = take(RUN);
    const uint64_t before = live();
    become_biased();
    ck_assert_int_eq(give(run), BLOCK_OK);
    ck_assert_uint_eq(kept(ph_local), 1);
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY)); /* which leaves it where it is */
    ck_assert_uint_eq(kept(ph_local), 1);
    ck_assert_uint_eq(live(), before - 1);
    ck_assert_uint_eq(kept(ph_local), 0);
    ck_assert_int_eq(give(fence), BLOCK_OK);
}
END_TEST

START_TEST(list_that_lost_a_run_is_damage)
{
    ck_assert_int_eq(give(take(RUN)), BLOCK_OK);
    struct runs *rs = &ph_local->runs, was = *rs;
    for (int i = 0; i < RUN_BINS; i++)
        rs->head[i] = SPAN_NONE;
    rs->used = rs->units = 0;
    ck_assert(!ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    *rs = was;
}
END_TEST

/* ---- threads come and go ---- */

static void *leave_one(void *run)
{
    (void)ph_local_attach(heap);
    for (int i = 0; i < 5000 && !ph_local->biased; i++) {
        ph_gate_rebias(ph_local, ENTER_PATIENTLY);
        if (!ph_local->biased) ph_os_sleep(200000);
    }
    const bool done = give(run) == BLOCK_OK && ph_local->runs.units != 0;
    return done ? NULL : (void *)(uintptr_t)"the run is not kept";
}

START_TEST(thread_that_ends_gives_its_runs_back)
{
    pthread_t thread;
    void *wrong, *run = take(RUN);
    ck_assert_int_eq(pthread_create(&thread, NULL, leave_one, run), 0);
    ck_assert_int_eq(pthread_join(thread, &wrong), 0);
    ck_assert_ptr_null(wrong);
    ck_assert_uint_ne(room_kind(run), KIND_RUN);
}
END_TEST

static uint32_t stage;

/* It keeps one for as long as the test lasts. */
static void *keep_one(void *run)
{
    void *wrong = leave_one(run);
    __atomic_store_n(&stage, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&stage, __ATOMIC_ACQUIRE) == 1)
        ph_os_yield();
    return wrong;
}

static void runs_of_others_are_free(void *run)
{
    CHILD_NEEDS(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    CHILD_NEEDS(room_sums(heap).live_blocks == live_before);
    CHILD_NEEDS(room_kind(run) != KIND_RUN);
    CHILD_NEEDS(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
}

/* As if its thread had been at it: in its list and in its hand, the seal not yet right. */
static void torn_run_is_mended(void *run)
{
    struct local *lo = heap->locals;
    while (lo != NULL && !(lo->state == LOCAL_STRAY && lo->runs.units != 0))
        lo = lo->next;
    CHILD_NEEDS(lo != NULL);
    struct span *sp = ph_map_span(map_get(run));
    lo->runs.hand = (uint32_t)sp->self;
    sp->wanted = 12345;
    CHILD_NEEDS(!ph_span_is_valid(heap, sp));
    lo->state = LOCAL_OWNED;
    ph_local_forget_others(heap);
    runs_of_others_are_free(run);
}

/* It was out of its list already, or not yet in. */
static void run_in_hand_only_is_given_back(void *run)
{
    struct local *lo = heap->locals;
    while (lo != NULL && !(lo->state == LOCAL_STRAY && lo->runs.units != 0))
        lo = lo->next;
    CHILD_NEEDS(lo != NULL);
    lo->runs = (struct runs){.hand = (uint32_t)ph_map_span(map_get(run))->self, .most = lo->runs.most};
    runs_of_others_are_free(run);
}

static void (*const in_child[])(void *) = {runs_of_others_are_free, torn_run_is_mended, run_in_hand_only_is_given_back};

START_TEST(child_of_a_fork_has_the_runs_of_others)
{
    pthread_t thread;
    void *wrong, *run = take(RUN);
    stage = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, keep_one, run), 0);
    while (__atomic_load_n(&stage, __ATOMIC_ACQUIRE) == 0)
        ph_os_yield();
    room_lives(in_child[_i], run);
    __atomic_store_n(&stage, 2, __ATOMIC_RELEASE);
    ck_assert_int_eq(pthread_join(thread, &wrong), 0);
    ck_assert_ptr_null(wrong);
}
END_TEST

/* Two threads free the same run at once: one is told so. */
static void *race_run;
static uint32_t race_won;

static void *race(void *unused)
{
    (void)ph_local_attach(heap);
    __atomic_add_fetch(&stage, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&stage, __ATOMIC_ACQUIRE) < 2)
        ;
    if (give(race_run) == BLOCK_OK) __atomic_add_fetch(&race_won, 1, __ATOMIC_RELAXED);
    return unused;
}

START_TEST(of_two_threads_that_free_a_run_one_is_first)
{
    pthread_t thread[2];
    if (room_is_thread_sanitized()) return; /* it is a race, and the program's */
    race_run = take(RUN);
    stage = race_won = 0;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, race, NULL), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    ck_assert_uint_eq(race_won, 1);
}
END_TEST

/* ---- a heap that remembers sizes ---- */

START_TEST(run_of_a_private_heap_knows_its_size)
{
    struct heap *hp = room_heap(0);
    struct block_info bi;
    for (int i = 0; i < 400 && ph_sized_local(hp) == NULL; i++)
        (void)ph_heap_free(hp, room_alloc(hp, 64, true), ENTER_PATIENTLY);
    ck_assert_ptr_nonnull(ph_sized_local(hp));
    void *run = room_alloc(hp, RUN, true);
    ck_assert_int_eq(ph_heap_free(hp, run, ENTER_PATIENTLY), BLOCK_OK);
    ck_assert_uint_eq(kept(ph_sized_local(hp)), 1);
    ck_assert_ptr_eq(room_alloc(hp, RUN - 7, true), run);
    ck_assert_int_eq(ph_heap_look(run, &bi), BLOCK_OK);
    ck_assert_uint_eq(bi.wanted, RUN - 7);
    ck_assert_int_eq(ph_heap_free(hp, run, ENTER_PATIENTLY), BLOCK_OK);
    ck_assert(ph_walk_validate(hp, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(hp); /* the run goes with it, and with it what the thread keeps */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runs");
    TCase *keeps = room_case(suite, "kept", setup, teardown);
    tcase_add_test(keeps, freed_run_is_taken_again);
    tcase_add_test(keeps, run_that_is_much_too_large_is_left);
    tcase_add_test(keeps, request_for_all_there_is_finds_no_run);
    tcase_add_test(keeps, kept_run_is_not_zero_for_calloc);
    tcase_add_test(keeps, long_runs_have_few_sizes);
    tcase_add_test(keeps, what_is_kept_is_bounded);
    tcase_add_test(keeps, who_has_a_run_in_hand_keeps_and_finds_none);
    tcase_add_test(keeps, descriptor_that_is_no_run_any_more_is_not_kept);
    tcase_add_test(keeps, thread_that_asked_for_none_begins_small_again);
    tcase_add_test(keeps, runs_that_nobody_asks_for_go_when_the_clock_is_looked_at);
    tcase_add_test(keeps, run_that_grows_by_a_little_gets_an_eighth_more);
    tcase_add_test(keeps, run_of_a_private_heap_knows_its_size);
    TCase *seen = room_case(suite, "free", setup, teardown);
    tcase_add_test(seen, kept_run_is_free);
    tcase_add_test(seen, walk_shows_no_kept_run_as_busy);
    tcase_add_test(seen, list_that_lost_a_run_is_damage);
    TCase *threads = room_case(suite, "threads, fork", setup, teardown);
    tcase_add_test(threads, thread_that_ends_gives_its_runs_back);
    tcase_add_loop_test(threads, child_of_a_fork_has_the_runs_of_others, 0, COUNT(in_child));
    tcase_add_loop_test(threads, of_two_threads_that_free_a_run_one_is_first, 0, 50);
    return room_run(suite);
}
