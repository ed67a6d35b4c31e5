/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_block.c -- one block from outside: what an address is, without touching it; freeing; resizing. */
#include "check_room.h"

#include <pthread.h>
#include <sys/mman.h>

enum { MB = 1 << 20 };

static struct heap *heap, *other;

static void setup_two_heaps(void)
{
    heap = room_heap(0);
    other = room_heap(0);
}

static void setup_two_packed_heaps(void)
{
    heap = room_packed_heap(0);
    other = room_packed_heap(0);
}

static void teardown_heaps(void)
{
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ck_assert(ph_walk_validate(other, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(heap);
    ph_heap_destroy(other);
}

static enum block_verdict look(const void *at)
{
    struct block_info bi;
    return ph_heap_look(at, &bi);
}

static enum block_verdict give(void *block) { return ph_heap_free(heap, block, ENTER_PATIENTLY); }

/* One of each kind. */
static const struct {
    size_t bytes;
    bool sized;
    unsigned kind;
} kinds[] = {
    {16, false, KIND_PLAIN},   {100, false, KIND_PLAIN}, {5000, false, KIND_PLAIN}, {16384, false, KIND_PLAIN},
    {0, true, KIND_SIZED},     {13, true, KIND_SIZED},   {240, true, KIND_SIZED},   {241, true, KIND_SIZED},
    {9000, true, KIND_SIZED},  {16385, true, KIND_RUN},  {200000, false, KIND_RUN}, {MB, true, KIND_LARGE},
    {3 * MB + 7, false, KIND_LARGE},
};

static char *make(int row) { return room_alloc(heap, kinds[row].bytes, kinds[row].sized); }

/* The first few small blocks of a heap that is not paged stand side by side. */
static unsigned kind_of(int row)
{
    const bool is_packed = !(heap->flags & HEAPF_PAGED) && kinds[row].sized && kinds[row].bytes <= CLASS_BYTES;
    return is_packed ? KIND_PACKED : kinds[row].kind;
}

/* ---- looking: W32 2.7 ---- */

START_TEST(good_block_is_described)
{
    struct block_info bi;
    const char *block = make(_i);
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
    ck_assert_ptr_eq(bi.heap, heap);
    ck_assert_uint_eq(bi.kind, kind_of(_i));
    ck_assert_int_eq(bi.sized, kinds[_i].sized);
    ck_assert_uint_ge(bi.capacity, kinds[_i].bytes);
    ck_assert_uint_eq(bi.wanted, kinds[_i].sized ? kinds[_i].bytes : bi.capacity); /* W32 2.5 */
    if (bi.kind == KIND_PLAIN || bi.kind == KIND_SIZED) ck_assert_uint_eq(bi.class, class_of(kinds[_i].bytes));
}
END_TEST

START_TEST(freed_block_is_no_block)
{
    char *neighbour = make(_i), *block = make(_i), *behind = make(_i);
    ck_assert_int_eq(give(block), BLOCK_OK);
    ck_assert_int_ne(look(block), BLOCK_OK);
    if (kind_of(_i) < KIND_LARGE) ck_assert_int_eq(look(block), BLOCK_TWICE);
    ck_assert_int_ne(give(block), BLOCK_OK);
    ck_assert_int_eq(look(neighbour), BLOCK_OK);
    ck_assert_int_eq(give(neighbour), BLOCK_OK);
    ck_assert_int_eq(give(behind), BLOCK_OK);
    ck_assert_int_ne(look(block), BLOCK_OK); /* its page may be gone now */
    ck_assert_int_ne(give(block), BLOCK_OK);
}
END_TEST

START_TEST(address_inside_a_block_is_bad)
{
    char *block = make(_i);
    const size_t bytes = kinds[_i].bytes;
    for (size_t at = 1; at < bytes; at = at < 300 ? at + 1 : at * 3 / 2) {
        ck_assert_int_eq(look(block + at), BLOCK_BAD);
        ck_assert_int_eq(give(block + at), BLOCK_BAD);
    }
    for (size_t at = UNIT_BYTES; at < bytes; at += UNIT_BYTES)
        ck_assert_int_ne(look(block + at), BLOCK_OK);
    ck_assert_int_eq(look(block), BLOCK_OK);
}
END_TEST

START_TEST(block_of_another_heap_is_not_ours)
{
    void *theirs = room_alloc(other, kinds[_i].bytes, kinds[_i].sized);
    ck_assert_int_eq(give(theirs), BLOCK_NOT_OURS);
    ck_assert_int_eq(ph_heap_free(other, theirs, ENTER_PATIENTLY), BLOCK_OK);
}
END_TEST

START_TEST(block_of_a_destroyed_heap_is_no_block)
{
    struct heap *dead = room_heap(0);
    void *block = room_alloc(dead, kinds[_i].bytes, kinds[_i].sized);
    ph_heap_destroy(dead);
    ck_assert_int_ne(look(block), BLOCK_OK);
    ck_assert_int_ne(give(block), BLOCK_OK);
}
END_TEST

static uint64_t in_data[8];

START_TEST(memory_of_others_is_not_ours)
{
    uint64_t on_stack[8];
    char *of_libc = malloc(1000);
    char *unmapped = mmap(NULL, 1 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const void *outside[] = {NULL, on_stack, in_data, of_libc, unmapped + 4096, (void *)16, (void *)(uintptr_t)look,
                             (void *)(uintptr_t)0x00007ffffffff000, (void *)(uintptr_t)0x0000800000000000,
                             (void *)(uintptr_t)0xdeadbeefdeadbee0, (void *)UINTPTR_MAX, heap, ph_span_new()};
    munmap(unmapped, 1 << 16);
    for (int i = 0; i < COUNT(outside); i++) {
        ck_assert_int_eq(look(outside[i]), BLOCK_NOT_OURS);
        ck_assert_int_eq(give((void *)(uintptr_t)outside[i]), BLOCK_NOT_OURS);
    }
    free(of_libc);
}
END_TEST

START_TEST(rest_of_a_region_is_bad)
{
    ck_assert_int_eq(look(heap->handle), BLOCK_BAD);
    ck_assert_int_eq(look(heap->handle + 16), BLOCK_BAD);
    ck_assert_int_eq(look(heap->handle + 4 * MB - 16), BLOCK_BAD); /* nobody ever had it */
    struct heap *bounded = room_heap(4 * MB);
    ck_assert_int_eq(look(bounded->handle + 3 * MB), BLOCK_BAD); /* cannot even be touched */
    ph_heap_destroy(bounded);
}
END_TEST

START_TEST(look_never_touches_the_address)
{
    /* a large block whose memory may not be read: what is known of it stands elsewhere */
    char *block = room_alloc(heap, 3 * MB, true);
    ck_assert_int_eq(mprotect(block, 3 * MB, PROT_NONE), 0);
    ck_assert_int_eq(look(block), BLOCK_OK);
    ck_assert_int_eq(look(block + 4096), BLOCK_BAD);
    ck_assert_int_eq(mprotect(block, 3 * MB, PROT_READ | PROT_WRITE), 0);
}
END_TEST

/* ---- two threads free the same block ---- */

enum { ROUNDS = 500 };

static void *racing;
static uint32_t starting;

static void *free_it(void *started)
{
    __atomic_add_fetch(&starting, 1, __ATOMIC_ACQ_REL);
    for (unsigned i = 1; __atomic_load_n(&starting, __ATOMIC_ACQUIRE) < 2; i++)
        if (i % 256 == 0) ph_os_yield();
    (void)started;
    return (void *)(uintptr_t)(give(racing) == BLOCK_OK);
}

static void *make_and_free_it(void *row)
{
    racing = make((int)(uintptr_t)row);
    return free_it(NULL);
}

/* New threads each time: with stacks of their own both may be told that they freed it. */
START_TEST(one_of_two_threads_frees_a_block)
{
    void *keep = make(_i);
    for (int round = 0; round < ROUNDS / (kinds[_i].kind == KIND_LARGE ? 30 : 1); round++) {
        pthread_t thread[2];
        void *freed[2];
        starting = 0;
        ck_assert_int_eq(pthread_create(&thread[0], NULL, make_and_free_it, (void *)(uintptr_t)_i), 0);
        ck_assert_int_eq(pthread_create(&thread[1], NULL, free_it, NULL), 0);
        pthread_join(thread[0], &freed[0]);
        pthread_join(thread[1], &freed[1]);
        ck_assert_msg((freed[0] != NULL) + (freed[1] != NULL) == 1, "round %d", round);
    }
    ck_assert_int_eq(give(keep), BLOCK_OK);
    ck_assert_uint_eq(room_sums(heap).live_blocks, 0);
}
END_TEST

/* ---- resizing: W32 3.4 ---- */

static const size_t sizes[] = {0, 1, 16, 100, 1000, 5000, 16384, 20000, 100000, MB - 1, MB, 3 * MB, 8 * MB};

static void number(unsigned char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)(i * 31 + i / 256);
}

static void check_numbers(const unsigned char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (at[i] != (unsigned char)(i * 31 + i / 256)) ck_abort_msg("byte %zu changed", i);
}

static void *resize(void *block, size_t bytes, bool zero, bool in_place)
{
    struct block_info bi;
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
    const struct request rq = {.bytes = bytes, .zero = zero, .sized = bi.sized};
    return ph_heap_realloc(heap, &bi, block, &rq, in_place);
}

static size_t wanted_of(const void *block)
{
    struct block_info bi;
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
    ck_assert_uint_le(bi.wanted, bi.capacity);
    return bi.wanted;
}

static void check_resize(size_t from, size_t to, bool sized)
{
    const size_t least = from < to ? from : to;
    unsigned char *old = room_alloc(heap, from, sized);
    number(old, from);
    unsigned char *now = resize(old, to, false, false);
    ck_assert_ptr_nonnull(now);
    check_numbers(now, least);
    number(now, to);
    check_numbers(now, to);
    if (sized) ck_assert_uint_eq(wanted_of(now), to);
    if (now != old) ck_assert_int_ne(look(old), BLOCK_OK);
    ck_assert_int_eq(give(now), BLOCK_OK);
}

START_TEST(contents_to_the_smaller_size_are_kept)
{
    for (int to = 0; to < COUNT(sizes); to++) {
        check_resize(sizes[_i], sizes[to], true);
        check_resize(sizes[_i], sizes[to], false);
    }
    ck_assert_uint_eq(room_sums(heap).live_blocks, 0);
}
END_TEST

START_TEST(zeros_begin_at_the_last_size_asked_for)
{
    for (int to = _i; to < COUNT(sizes); to++) {
        unsigned char *block = room_alloc(heap, sizes[to], true);
        memset(block, 0xff, sizes[to]);
        block = resize(block, sizes[_i], false, false);
        block = resize(block, sizes[to], true, false);
        for (size_t i = 0; i < sizes[to]; i++)
            if (block[i] != (i < sizes[_i] ? 0xff : 0)) ck_abort_msg("byte %zu is %d", i, block[i]);
        ck_assert_int_eq(give(block), BLOCK_OK);
    }
}
END_TEST

START_TEST(in_place_never_moves_and_always_shrinks)
{
    for (int to = 0; to < COUNT(sizes); to++) {
        unsigned char *block = room_alloc(heap, sizes[_i], true);
        number(block, sizes[_i]);
        const unsigned char *now = resize(block, sizes[to], false, true);
        if (to <= _i) ck_assert_ptr_nonnull(now);
        if (now != NULL) ck_assert_ptr_eq(now, block);
        ck_assert_uint_eq(wanted_of(block), now != NULL ? sizes[to] : sizes[_i]);
        check_numbers(block, sizes[to] < sizes[_i] ? sizes[to] : sizes[_i]);
        ck_assert_int_eq(give(block), BLOCK_OK);
    }
}
END_TEST

START_TEST(impossible_size_leaves_the_block_as_it_was)
{
    static const size_t impossible[] = {SIZE_MAX, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, (size_t)1 << 47};
    unsigned char *block = room_alloc(heap, sizes[_i], true);
    number(block, sizes[_i]);
    for (int i = 0; i < COUNT(impossible); i++)
        ck_assert_ptr_null(resize(block, impossible[i], true, i % 2));
    ck_assert_uint_eq(wanted_of(block), sizes[_i]);
    check_numbers(block, sizes[_i]);
}
END_TEST

/* Of packed memory only what was asked for is the caller's; then `wanted` says the same. */
static size_t usable(const void *block)
{
    struct block_info bi;
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
    return bi.capacity;
}

START_TEST(block_that_shrinks_much_gives_its_memory_up)
{
    unsigned char *small = resize(room_alloc(heap, 10000, true), 10, false, false);
    ck_assert_uint_le(usable(small), 16);
    unsigned char *run = resize(room_alloc(heap, 500000, true), 100, false, false);
    ck_assert_uint_le(usable(run), 112);
    unsigned char *large = resize(room_alloc(heap, 5 * MB, true), 50000, false, false);
    ck_assert_uint_eq(room_kind(large), KIND_RUN);
}
END_TEST

START_TEST(resize_in_a_full_heap_leaves_the_block_as_it_was) /* W32 4 */
{
    struct heap *grown = heap;
    heap = room_heap(MB);
    unsigned char *block = room_alloc(heap, 5000, true);
    number(block, 5000);
    while (room_alloc(heap, 3000, true) != NULL)
        continue;
    ck_assert_ptr_null(resize(block, 500000, false, false));
    ck_assert_uint_eq(wanted_of(block), 5000);
    check_numbers(block, 5000);
    ph_heap_destroy(heap);
    heap = grown;
}
END_TEST

static void add_looks(Suite *suite, const char *name, void (*setup)(void))
{
    TCase *looks = room_case(suite, name, setup, teardown_heaps);
    tcase_add_loop_test(looks, good_block_is_described, 0, COUNT(kinds));
    tcase_add_loop_test(looks, freed_block_is_no_block, 0, COUNT(kinds));
    tcase_add_loop_test(looks, address_inside_a_block_is_bad, 0, COUNT(kinds));
    tcase_add_loop_test(looks, block_of_another_heap_is_not_ours, 0, COUNT(kinds));
    tcase_add_loop_test(looks, block_of_a_destroyed_heap_is_no_block, 0, COUNT(kinds));
    tcase_add_test(looks, memory_of_others_is_not_ours);
    tcase_add_test(looks, rest_of_a_region_is_bad);
    tcase_add_test(looks, look_never_touches_the_address);
}

static void add_races(Suite *suite)
{
    TCase *race = room_case(suite, "free", setup_two_heaps, teardown_heaps);
    tcase_add_loop_test(race, one_of_two_threads_frees_a_block, 0, COUNT(kinds));
    TCase *packed = room_case(suite, "free, packed", setup_two_packed_heaps, teardown_heaps);
    tcase_add_loop_test(packed, one_of_two_threads_frees_a_block, 0, COUNT(kinds));
}

static void add_resizes(Suite *suite, const char *name, void (*setup)(void))
{
    TCase *resizes = room_case(suite, name, setup, teardown_heaps);
    tcase_add_loop_test(resizes, contents_to_the_smaller_size_are_kept, 0, COUNT(sizes));
    tcase_add_loop_test(resizes, zeros_begin_at_the_last_size_asked_for, 0, COUNT(sizes));
    tcase_add_loop_test(resizes, in_place_never_moves_and_always_shrinks, 0, COUNT(sizes));
    tcase_add_loop_test(resizes, impossible_size_leaves_the_block_as_it_was, 0, COUNT(sizes));
    tcase_add_test(resizes, block_that_shrinks_much_gives_its_memory_up);
    tcase_add_test(resizes, resize_in_a_full_heap_leaves_the_block_as_it_was);
}

int main(void)
{
    Suite *suite = suite_create("block");
    add_looks(suite, "look", setup_two_heaps);
    add_looks(suite, "look, packed", setup_two_packed_heaps);
    add_races(suite);
    add_resizes(suite, "realloc", setup_two_heaps);
    add_resizes(suite, "realloc, packed", setup_two_packed_heaps);
    return room_run(suite);
}
