/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_guard.c -- guarded blocks in the books of the process heap: size, place, walk, validation, resizing, reuse.
 * What an access does: guard.sh. */
#include "check_room.h"
#include "guard.h"
#include "options.h"

#include <pthread.h>

static struct heap *heap;

static void read_options(const char *first, const char *second)
{
    char text[2][64];
    char *environment[] = {text[0], text[1], NULL};
    snprintf(text[0], sizeof text[0], "%s", first);
    snprintf(text[1], sizeof text[1], "%s", second);
    ph_options_read(environment);
}

/* Every block is to be guarded. */
static void setup_all(void)
{
    heap = ph_heap_process(); /* which reads the environment */
    ck_assert_ptr_nonnull(heap);
    read_options("PRIVHEAP_GUARD_RATE=1", "PRIVHEAP_CHECKS=1");
    ph_guard_left = GUARD_LEFT_ZERO;
}

static void teardown(void)
{
    char *nothing[] = {NULL};
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ph_options_read(nothing);
}

static char *take_aligned(size_t bytes, size_t align)
{
    char *block = ph_heap_alloc(heap, &(struct request){.bytes = bytes, .align = align});
    ck_assert_ptr_nonnull(block);
    return block;
}

static char *take(size_t bytes)
{
    char *block = take_aligned(bytes, 16);
    ck_assert_msg(ph_slot_of(block) != NULL, "a block of %zu bytes is not guarded", bytes);
    return block;
}

static void give(void *block) { ck_assert_int_eq(ph_heap_free(heap, block, ENTER_PATIENTLY), BLOCK_OK); }

static struct block_info look(const void *block)
{
    struct block_info bi;
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
    return bi;
}

static char *resize(char *block, size_t bytes, bool in_place)
{
    const struct block_info bi = look(block);
    return ph_heap_realloc(heap, &bi, block, &(struct request){.bytes = bytes, .zero = true}, in_place);
}

static bool is_open(const char *at) { return ph_os_is_readable((const void *)((uintptr_t)at & ~(uintptr_t)7)); }

/* ---- where it stands ---- */

static const size_t sizes[] = {0, 1, 7, 16, 17, 100, 4080, 4095, 4096, 4097, 8192, 16384, 20000, 65535, 65536};
static const size_t aligns[] = {16, 32, 64, 1024, 4096};

START_TEST(block_ends_at_the_guard_as_near_as_its_alignment_lets)
{
    const size_t bytes = sizes[_i / COUNT(aligns)], align = aligns[_i % COUNT(aligns)];
    char *block = take_aligned(bytes, align);
    const struct slot *sl = ph_slot_of(block);
    const struct block_info bi = look(block);
    ck_assert_ptr_nonnull(sl);
    ck_assert_uint_eq((uintptr_t)block % align, 0);
    ck_assert_uint_lt((size_t)(ph_slot_end(sl) - block) - (bytes > 0 ? bytes : 1), align);
    ck_assert(!is_open(ph_slot_end(sl)) && !is_open(ph_slot_start(sl) - 1));
    ck_assert(ph_slot_start(sl) > block - ph_os_page_bytes() || !is_open(block - ph_os_page_bytes()));
    ck_assert_uint_eq(bi.kind, KIND_LARGE);
    ck_assert_uint_eq(bi.wanted, bytes);
    ck_assert_uint_eq(bi.capacity, bytes);
    for (size_t i = 0; i < bytes; i++)
        ck_assert_int_eq(block[i], 0);
    memset(block, 1, bytes);
    give(block);
    ck_assert(!is_open(block));
}
END_TEST

START_TEST(block_that_is_too_large_or_too_aligned_has_no_slot)
{
    char *large = take_aligned(GUARD_MOST_BYTES + 1, 16), *aligned = take_aligned(100, 2 * ph_os_page_bytes());
    ck_assert(ph_slot_of(large) == NULL && ph_slot_of(aligned) == NULL);
    give(large);
    give(aligned);
}
END_TEST

START_TEST(other_heaps_have_no_slots)
{
    struct heap *other = room_heap(0);
    void *block = room_alloc(other, 100, true);
    ck_assert(block != NULL && ph_slot_of(block) == NULL);
    ph_heap_destroy(other);
}
END_TEST

/* ---- in the books ---- */

static unsigned times_walked(const char *block, size_t bytes)
{
    unsigned times = 0;
    struct walk_entry we = {.at = NULL};
    enum walk_result result;
    while ((result = ph_walk_next(heap, &we, ENTER_PATIENTLY)) == WALK_ENTRY)
        times += we.what == WALK_BUSY && we.at == block && we.bytes == bytes;
    ck_assert_int_eq(result, WALK_END);
    return times;
}

START_TEST(walk_and_sums_know_it)
{
    const struct heap_sums before = room_sums(heap);
    char *one = take(100), *other = take(5000);
    const struct heap_sums now = room_sums(heap);
    ck_assert_uint_eq(times_walked(one, 100), 1);
    ck_assert_uint_eq(times_walked(other, 5000), 1);
    ck_assert_uint_eq(now.live_blocks, before.live_blocks + 2);
    ck_assert_uint_eq(now.live_bytes, before.live_bytes + 5100);
    give(one);
    ck_assert_uint_eq(times_walked(one, 100), 0);
    ck_assert_uint_eq(times_walked(other, 5000), 1);
    give(other);
    ck_assert_uint_eq(room_sums(heap).live_blocks, before.live_blocks);
    ck_assert_uint_eq(room_sums(heap).large_bytes, before.large_bytes);
}
END_TEST

START_TEST(what_is_no_start_of_it_is_refused)
{
    struct block_info bi;
    char *block = take(20000);
    const size_t places[] = {1, 16, 4096, 16384, 19999};
    for (int i = 0; i < COUNT(places); i++)
        ck_assert_int_eq(ph_heap_free(heap, block + places[i], ENTER_PATIENTLY), BLOCK_BAD);
    ck_assert_int_eq(ph_heap_free(heap, block - 16, ENTER_PATIENTLY), BLOCK_BAD);
    ck_assert_int_eq(ph_heap_look(ph_slot_end(ph_slot_of(block)), &bi), BLOCK_BAD);
    give(block);
    ck_assert_int_eq(ph_heap_free(heap, block, ENTER_PATIENTLY), BLOCK_TWICE);
    ck_assert_int_eq(ph_heap_free(heap, block + 16, ENTER_PATIENTLY), BLOCK_BAD);
}
END_TEST

/* How far from the block, which has 1001 bytes, and whether that is its own. */
static const struct {
    int at;
    bool own;
} bytes_around[] = {{0, true}, {1000, true}, {1001, false}, {1007, false}, {-1, false}, {-500, false}};

START_TEST(validate_sees_a_change_of_a_byte_around_it)
{
    char *block = take(1001);
    volatile char *at = block + bytes_around[_i].at;
    const char before = *at;
    ck_assert(ph_walk_validate(heap, block, ENTER_PATIENTLY));
    *at = (char)(before ^ 4);
    ck_assert_int_eq(ph_walk_validate(heap, block, ENTER_PATIENTLY), bytes_around[_i].own);
    ck_assert_int_eq(ph_walk_validate(heap, NULL, ENTER_PATIENTLY), bytes_around[_i].own);
    *at = before;
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    give(block);
}
END_TEST

static void check_at_exit(void *offset)
{
    char *volatile block = take(1001);
    block[*(const int *)offset] = 0;
    ph_guard_check_all(heap, UINT64_MAX);
}

START_TEST(change_is_reported_at_exit)
{
    int behind = 1001, before = -1, own = 1000;
    room_aborts(check_at_exit, &behind, "PH110");
    room_aborts(check_at_exit, &before, "PH111");
    room_lives(check_at_exit, &own);
}
END_TEST

/* ---- resizing ---- */

START_TEST(resized_block_moves_with_what_was_in_it)
{
    char *block = take(100);
    memset(block, 7, 100);
    ck_assert_ptr_eq(resize(block, 100, false), block);
    char *more = resize(block, 300, false);
    ck_assert(more != NULL && more != block && more[0] == 7 && more[99] == 7 && more[100] == 0 && more[299] == 0);
    ck_assert(!is_open(block));
    char *less = resize(more, 50, false);
    ck_assert(less != NULL && less != more && less[0] == 7 && less[49] == 7);
    ck_assert(!is_open(more));
    give(less);
}
END_TEST

START_TEST(in_place_it_shrinks_and_grows_back_but_no_further)
{
    char *block = take(96);
    memset(block, 7, 96);
    ck_assert_ptr_eq(resize(block, 40, true), block);
    ck_assert_uint_eq(look(block).wanted, 40);
    ck_assert(ph_walk_validate(heap, block, ENTER_PATIENTLY));
    block[40] = 0; /* behind its end by now */
    ck_assert(!ph_walk_validate(heap, block, ENTER_PATIENTLY));
    ck_assert_ptr_eq(resize(block, 96, true), block);
    ck_assert(block[39] == 7 && block[40] == 0 && block[95] == 0);
    ck_assert_ptr_null(resize(block, 97, true));
    ck_assert_uint_eq(look(block).wanted, 96);
    give(block);
}
END_TEST

/* ---- reuse ---- */

START_TEST(freed_slot_waits_for_as_many_frees_as_there_are_slots)
{
    enum { ROUNDS = 1000 };
    char *first = take(100);
    give(first);
    for (int i = 0; i < ROUNDS; i++) {
        char *block = take(100);
        ck_assert_ptr_ne(block, first);
        give(block);
    }
}
END_TEST

START_TEST(recycled_slot_is_zero)
{
    enum { ROUNDS = 5000 };
    for (int i = 0; i < ROUNDS; i++) {
        char *block = take(100);
        for (int at = 0; at < 100; at++)
            ck_assert_int_eq(block[at], 0);
        memset(block, 7, 100);
        give(block);
    }
}
END_TEST

START_TEST(without_a_slot_ordinary_memory_serves)
{
    enum { MOST = 5000 };
    static char *held[MOST];
    int count = 0;
    do {
        ck_assert_int_lt(count, MOST);
        held[count] = take_aligned(3000, 16);
        memset(held[count], 1, 3000);
    } while (ph_slot_of(held[count++]) != NULL);
    ck_assert_int_gt(count, 64);
    while (count > 0)
        give(held[--count]);
    give(take(3000));
}
END_TEST

static void take_in_child(void *block)
{
    char *now = ph_heap_alloc(heap, &(struct request){.bytes = 100});
    CHILD_NEEDS(now != NULL && ((char *)block)[0] == 3);
    CHILD_NEEDS(ph_heap_free(heap, block, ENTER_PATIENTLY) == BLOCK_OK);
    CHILD_NEEDS(ph_heap_free(heap, now, ENTER_PATIENTLY) == BLOCK_OK);
    CHILD_NEEDS(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
}

START_TEST(child_of_fork_has_its_own)
{
    char *block = take(100);
    block[0] = 3;
    room_lives(take_in_child, block);
    ck_assert_int_eq(block[0], 3);
    give(block);
}
END_TEST

/* ---- which ---- */

static unsigned guarded_of(unsigned count)
{
    unsigned guarded = 0;
    for (unsigned i = 0; i < count; i++) {
        void *block = ph_heap_alloc(heap, &(struct request){.bytes = 2000});
        CHILD_NEEDS(block != NULL);
        guarded += ph_slot_of(block) != NULL;
        CHILD_NEEDS(ph_heap_free(heap, block, ENTER_PATIENTLY) == BLOCK_OK);
    }
    return guarded;
}

static void one_in_a_hundred(void *unused)
{
    (void)unused;
    read_options("PRIVHEAP_GUARD_RATE=100", "PRIVHEAP_CHECKS=1");
    const unsigned guarded = guarded_of(200000);
    CHILD_NEEDS(guarded > 1600 && guarded < 2400);
}

static void *take_one(void *guarded)
{
    *(unsigned *)guarded += guarded_of(1);
    return NULL;
}

/* Not the first of each thread. */
static void threads_count_too(void *unused)
{
    enum { THREADS = 300 };
    unsigned guarded = 0;
    (void)unused;
    read_options("PRIVHEAP_GUARD_RATE=100", "PRIVHEAP_CHECKS=1");
    (void)guarded_of(1000);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        CHILD_NEEDS(pthread_create(&thread, NULL, take_one, &guarded) == 0);
        CHILD_NEEDS(pthread_join(thread, NULL) == 0);
    }
    CHILD_NEEDS(guarded < THREADS / 10);
}

/* Nothing but allocation would pay more for the guards than for all else. */
static void fewer_where_all_is_allocation(void *unused)
{
    enum { BLOCKS = 1000 * 1000, USUAL = BLOCKS / 1000 };
    (void)unused;
    read_options("PRIVHEAP_GUARD_RATE=1000", "PRIVHEAP_CHECKS=1");
    const uint64_t begun = ph_os_clock_ms();
    const unsigned guarded = guarded_of(BLOCKS);
    const uint64_t ms = ph_os_clock_ms() - begun;
    CHILD_NEEDS(guarded > 5);
    CHILD_NEEDS(guarded < USUAL / 2 || guarded < ms); /* on a slow machine they are apart anyway */
}

static void none_without_checks(void *unused)
{
    (void)unused;
    read_options("PRIVHEAP_GUARD_RATE=1", "PRIVHEAP_CHECKS=0");
    CHILD_NEEDS(guarded_of(1000) == 0);
}

static void none_at_rate_0(void *unused)
{
    (void)unused;
    read_options("PRIVHEAP_GUARD_RATE=0", "PRIVHEAP_CHECKS=1");
    CHILD_NEEDS(guarded_of(1000) == 0);
}

START_TEST(rate_says_how_many)
{
    room_lives(one_in_a_hundred, NULL);
    if (!room_is_thread_sanitized())
        room_lives(threads_count_too, NULL);
    room_lives(fewer_where_all_is_allocation, NULL);
    room_lives(none_without_checks, NULL);
    room_lives(none_at_rate_0, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guard");
    TCase *where = room_case(suite, "where it stands", setup_all, teardown);
    tcase_add_loop_test(where, block_ends_at_the_guard_as_near_as_its_alignment_lets, 0, COUNT(sizes) * COUNT(aligns));
    tcase_add_test(where, block_that_is_too_large_or_too_aligned_has_no_slot);
    tcase_add_test(where, other_heaps_have_no_slots);
    TCase *books = room_case(suite, "in the books", setup_all, teardown);
    tcase_add_test(books, walk_and_sums_know_it);
    tcase_add_test(books, what_is_no_start_of_it_is_refused);
    tcase_add_loop_test(books, validate_sees_a_change_of_a_byte_around_it, 0, COUNT(bytes_around));
    tcase_add_test(books, change_is_reported_at_exit);
    TCase *resizing = room_case(suite, "resizing", setup_all, teardown);
    tcase_add_test(resizing, resized_block_moves_with_what_was_in_it);
    tcase_add_test(resizing, in_place_it_shrinks_and_grows_back_but_no_further);
    TCase *reuse = room_case(suite, "reuse", setup_all, teardown);
    tcase_add_test(reuse, freed_slot_waits_for_as_many_frees_as_there_are_slots);
    tcase_add_test(reuse, recycled_slot_is_zero);
    tcase_add_test(reuse, without_a_slot_ordinary_memory_serves);
    tcase_add_test(reuse, child_of_fork_has_its_own);
    TCase *which = room_case(suite, "which", setup_all, teardown);
    tcase_add_test(which, rate_says_how_many);
    return room_run(suite);
}
