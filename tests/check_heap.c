/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_heap.c -- heaps and the registry of their handles; allocation by size, alignment and bound. */
#include "check_room.h"

enum { MB = 1 << 20 };

static struct heap *heap;

static void setup_growing_heap(void) { heap = room_heap(0); }
static void setup_fixed_heap_of_1_mb(void) { heap = room_packed_heap(MB); }
static void setup_paged_heap_of_1_mb(void) { heap = room_heap(MB); }

static void teardown_heap(void)
{
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ph_heap_destroy(heap);
}

static void *alloc_at(size_t bytes, size_t align, bool zero, bool sized)
{
    const struct request rq = {.bytes = bytes, .align = align, .zero = zero, .sized = sized};
    return ph_heap_alloc(heap, &rq);
}

static bool give(void *block) { return ph_heap_free(heap, block, ENTER_PATIENTLY) == BLOCK_OK; }

/* ---- the registry ---- */

START_TEST(handle_names_its_heap_and_nothing_else_does) /* W32 2.2 */
{
    int on_stack;
    ck_assert_ptr_eq(ph_heap_of_handle(heap->handle), heap);
    ck_assert_uint_eq((uintptr_t)heap->handle % HEAP_ALIGN, 0);
    ck_assert_ptr_null(ph_heap_of_handle(NULL));
    ck_assert_ptr_null(ph_heap_of_handle(&on_stack));
    ck_assert_ptr_null(ph_heap_of_handle(heap));
    ck_assert_ptr_null(ph_heap_of_handle((void *)UINTPTR_MAX));
    for (size_t at = 1; at < 4 * MB; at = at * 2 + 1)
        ck_assert_ptr_null(ph_heap_of_handle(heap->handle + at));
    for (size_t at = HEAP_ALIGN; at < 4 * MB; at += HEAP_ALIGN)
        ck_assert_ptr_null(ph_heap_of_handle(heap->handle + at));
}
END_TEST

START_TEST(block_that_is_aligned_as_a_handle_is_none)
{
    char *block = alloc_at(100000, HEAP_ALIGN, false, true);
    ck_assert_uint_eq((uintptr_t)block % HEAP_ALIGN, 0);
    ck_assert_ptr_null(ph_heap_of_handle(block));
}
END_TEST

START_TEST(handle_of_a_destroyed_heap_is_refused) /* W32 3.2 */
{
    struct heap *dead = room_heap(0);
    const char *handle = dead->handle;
    ck_assert_ptr_eq(ph_heap_of_handle(handle), dead);
    ph_heap_destroy(dead);
    ck_assert_ptr_null(ph_heap_of_handle(handle));
}
END_TEST

START_TEST(handle_of_a_reused_descriptor_is_refused)
{
    struct heap *dead = ph_heap_create(HEAPF_PAGED, 3 * MB, 0);
    const char *handle = dead->handle;
    ck_assert(ph_heap_destroy(dead));
    ck_assert(!ph_heap_destroy(dead)); /* as the slower of two threads */
    struct heap *next = ph_heap_create(HEAPF_PAGED, 2 * MB, 0);
    ck_assert_ptr_eq(next, dead); /* the same descriptor, other memory */
    ck_assert_ptr_ne(next->handle, handle);
    ck_assert_ptr_null(ph_heap_of_handle(handle));
    ph_heap_destroy(next);
}
END_TEST

enum { HEAPS = 2000 };

static struct heap *many[HEAPS];
static void *listed[HEAPS + 10];

START_TEST(two_thousand_heaps_live_side_by_side)
{
    const unsigned before = ph_heap_list(NULL, 0);
    for (int i = 0; i < HEAPS; i++) {
        many[i] = ph_heap_create(0, HEAP_ALIGN, i % 2 ? HEAP_ALIGN : 0);
        ck_assert_ptr_nonnull(many[i]);
        int *block = room_alloc(many[i], 100, true);
        ck_assert_ptr_nonnull(block);
        *block = i;
    }
    ck_assert_uint_eq(ph_heap_list(listed, HEAPS + 10), before + HEAPS);
    for (int i = 0; i < HEAPS; i++) {
        ck_assert_ptr_eq(ph_heap_of_handle(many[i]->handle), many[i]);
        ck_assert_ptr_eq(listed[before + (unsigned)i], many[i]->handle);
        ck_assert_uint_eq(room_sums(many[i]).live_blocks, 1);
    }
    for (int i = 0; i < HEAPS; i++)
        ph_heap_destroy(many[(i * 7) % HEAPS]);
    ck_assert_uint_eq(ph_heap_list(NULL, 0), before);
}
END_TEST

START_TEST(list_has_the_process_heap_first_then_the_oldest) /* W32 3.11 */
{
    struct heap *made[5];
    void *out[20] = {NULL};
    const unsigned before = ph_heap_list(NULL, 0);
    for (int i = 0; i < 4; i++)
        made[i] = room_heap(0);
    ph_heap_destroy(made[1]);
    made[4] = room_heap(0); /* in the descriptor of the second: still the youngest */
    ck_assert_uint_eq(ph_heap_list(out, 20), before + 4);
    ck_assert_ptr_eq(out[0], ph_heap_process()->handle);
    ck_assert_ptr_eq(out[before], made[0]->handle);
    ck_assert_ptr_eq(out[before + 1], made[2]->handle);
    ck_assert_ptr_eq(out[before + 2], made[3]->handle);
    ck_assert_ptr_eq(out[before + 3], made[4]->handle);
    made[1] = made[4];
    for (int i = 0; i < 4; i++)
        ph_heap_destroy(made[i]);
}
END_TEST

START_TEST(short_list_has_the_first_and_nothing_beyond)
{
    void *all[20], *out[20];
    struct heap *a = room_heap(0), *b = room_heap(0);
    const unsigned count = ph_heap_list(all, 20);
    for (unsigned room = 0; room <= count; room++) {
        memset(out, 0, sizeof out);
        ck_assert_uint_eq(ph_heap_list(out, room), count);
        for (unsigned i = 0; i < 20; i++)
            ck_assert_ptr_eq(out[i], i < room ? all[i] : NULL);
    }
    ph_heap_destroy(a);
    ph_heap_destroy(b);
}
END_TEST

START_TEST(process_heap_is_made_once)
{
    struct heap *process = ph_heap_process();
    ck_assert_ptr_eq(process, &ph_process_heap);
    ck_assert_ptr_eq(ph_heap_process(), process);
    ck_assert_ptr_eq(ph_heap_of_handle(process->handle), process);
    ck_assert_ptr_eq(ph_heap_at(process->id), process);
    ck_assert_ptr_null(ph_heap_at(0));
    ck_assert_ptr_null(ph_heap_at(HEAP_COUNT));
}
END_TEST

START_TEST(impossible_heap_is_refused_and_not_listed)
{
    static const struct { size_t initial, most; } rows[] = {
        {SIZE_MAX, 0}, {SIZE_MAX / 2, 0}, {0, SIZE_MAX}, {(size_t)1 << 47, 0}, {1, (size_t)1 << 47},
    };
    const unsigned before = ph_heap_list(NULL, 0);
    for (int i = 0; i < COUNT(rows); i++)
        ck_assert_ptr_null(ph_heap_create(0, rows[i].initial, rows[i].most));
    ck_assert_uint_eq(ph_heap_list(NULL, 0), before);
}
END_TEST

/* ---- allocation ---- */

static const size_t sizes[] = {0, 1, 15, 16, 17, 100, 1024, 1025, 4096, 16384, 16385, 70000, MB - 1, MB, MB + 1, 9 * MB};

START_TEST(block_has_its_bytes_and_its_kind)
{
    for (int sized = 0; sized < 2; sized++) {
        char *block = alloc_at(sizes[_i], 0, false, sized);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_eq((uintptr_t)block % 16, 0); /* W32 2.4 */
        memset(block, 0x5a, sizes[_i]);
        const unsigned kind = room_kind(block);
        if (sizes[_i] >= LARGE_BYTES)
            ck_assert_uint_eq(kind, KIND_LARGE);
        else if (sizes[_i] > CLASS_BYTES)
            ck_assert_uint_eq(kind, KIND_RUN);
        else
            ck_assert_uint_eq(kind, (sized ? KIND_SIZED : KIND_PLAIN) + class_of(sizes[_i]));
    }
}
END_TEST

START_TEST(zero_clears_memory_that_was_used)
{
    for (int sized = 0; sized < 2; sized++) {
        char *used[10];
        for (int i = 0; i < 10; i++)
            memset(used[i] = alloc_at(sizes[_i], 0, false, sized), 0xff, sizes[_i]);
        for (int i = 0; i < 10; i++)
            ck_assert(give(used[i]));
        for (int i = 0; i < 10; i++) {
            const char *block = alloc_at(sizes[_i], 0, true, sized);
            for (size_t j = 0; j < sizes[_i]; j++)
                if (block[j] != 0) ck_abort_msg("byte %zu is not zero", j);
        }
    }
}
END_TEST

START_TEST(block_stands_at_the_alignment_asked_for)
{
    const size_t align = (size_t)1 << _i;
    for (int i = 0; i < COUNT(sizes); i++) {
        char *block = alloc_at(sizes[i], align, false, i % 2);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_eq((uintptr_t)block % align, 0);
        memset(block, 1, sizes[i]);
        ck_assert(give(block)); /* never an interior pointer */
    }
}
END_TEST

START_TEST(impossible_sizes_give_null) /* W32 2.9 */
{
    static const size_t impossible[] = {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1,
                                        PTRDIFF_MAX, (size_t)1 << 60, (size_t)1 << 47};
    for (int i = 0; i < COUNT(impossible); i++) {
        ck_assert_ptr_null(alloc_at(impossible[i], 0, false, true));
        ck_assert_ptr_null(alloc_at(impossible[i], 1 << 16, true, false));
    }
}
END_TEST

#if defined(__x86_64__)
START_TEST(blocks_of_an_executable_heap_can_be_executed)
{
    static const unsigned char give_42[] = {0xb8, 42, 0, 0, 0, 0xc3};
    static const size_t bytes[] = {128, 20000, 2 * MB};
    struct heap *code = ph_heap_create(HEAPF_EXECUTE, MB, 0);
    for (int i = 0; i < 3; i++) {
        int (*function)(void);
        char *block = room_alloc(code, bytes[i], true);
        char *at = block + 64;
        memcpy(at, give_42, sizeof give_42);
        memcpy(&function, &at, sizeof function);
        ck_assert_int_eq(function(), 42);
    }
    ph_heap_destroy(code);
}
END_TEST
#endif

/* ---- bounds: W32 4 ---- */

static void *held[MB / 16];

static int fill_up(size_t bytes)
{
    int count = 0;
    while (count < COUNT(held) && (held[count] = alloc_at(bytes, 0, false, true)) != NULL)
        count++;
    return count;
}

static const size_t fillers[] = {1, 100, 1000, 5000, 16384, 16385, 100000, 500000};

START_TEST(exhausted_heap_serves_as_much_again_after_frees) /* W32 4, 3.5 */
{
    const int count = fill_up(fillers[_i]);
    ck_assert_int_ge(count, 1);
    ck_assert_uint_ge((size_t)count * (fillers[_i] + 16), MB / 2);
    ck_assert_uint_le((size_t)count * fillers[_i], MB);
    for (int i = 0; i < count; i++)
        ck_assert(give(held[i]));
    const int again = fill_up(fillers[_i]);
    ck_assert_int_le(abs(again - count), heap->packed_only ? 0 : count / 16); /* pages may be cut another way */
    for (int i = 0; i < again; i++)
        ck_assert(give(held[again - 1 - i]));
    void *most = alloc_at(900000, 0, false, true); /* all joined */
    ck_assert_ptr_nonnull(most);
    ck_assert(give(most));
}
END_TEST

START_TEST(bounded_heap_never_leaves_its_range)
{
    const int count = fill_up(5000);
    for (int i = 0; i < count; i++) {
        ck_assert_uint_lt((size_t)((char *)held[i] - heap->handle), MB - 5000);
    }
    ck_assert_uint_le(room_sums(heap).reserved_bytes, MB);
    ck_assert_ptr_null(alloc_at(2 * MB, 0, false, true));
    ck_assert_uint_eq(room_sums(heap).large_blocks, 0);
}
END_TEST

static void fill_up_with_sizes(uint64_t seed)
{
    uint64_t random = seed;
    int count = 0;
    size_t bytes = 0;
    while ((held[count] = alloc_at(bytes = room_random(&random) % 20000, 0, false, true)) != NULL)
        memset(held[count++], 0xab, bytes);
    for (int i = count - 1; i > 0; i--) { /* in any order */
        const int j = (int)(room_random(&random) % (unsigned)(i + 1));
        void *swap = held[i];
        held[i] = held[j];
        held[j] = swap;
    }
    for (int i = 0; i < count; i++)
        ck_assert(give(held[i]));
}

START_TEST(neighbours_of_any_sizes_join_again) /* W32 3.5 */
{
    for (int round = 0; round < 10; round++)
        fill_up_with_sizes((uint64_t)(_i * 10 + round) + 1);
    ck_assert_ptr_nonnull(alloc_at(MB - 2 * UNIT_BYTES, 0, false, false));
}
END_TEST

/* ---- heaps that begin in the memory of a dead one ---- */

static const size_t bounds[] = {0, 256 * 1024, MB, 7 * MB};

START_TEST(next_heap_of_a_size_begins_blank)
{
    for (int round = 0; round < 5; round++) {
        struct heap *one = room_packed_heap(bounds[_i]);
        void *block[64];
        ck_assert_uint_eq(room_sums(one).live_blocks, 0);
        for (size_t i = 0; i < 64; i++) {
            const struct request rq = {.bytes = i * 50, .zero = true, .sized = true};
            const char *at = block[i] = ph_heap_alloc(one, &rq);
            for (size_t j = 0; j < i * 50; j++)
                if (at[j] != 0) ck_abort_msg("byte %zu of block %zu is not zero", j, i);
            memset(block[i], 0xdd, i * 50);
        }
        ck_assert(ph_walk_validate(one, NULL, ENTER_PATIENTLY));
        ck_assert(ph_heap_destroy(one));
        for (int i = 0; i < 64; i++) {
            struct block_info bi;
            ck_assert_int_ne(ph_heap_look(block[i], &bi), BLOCK_OK);
            ck_assert_int_ne(ph_heap_free(heap, block[i], ENTER_PATIENTLY), BLOCK_OK);
        }
    }
}
END_TEST

START_TEST(heap_that_is_begun_warm_has_its_own_flags_and_initial_size) /* W32 3.1 */
{
    struct heap *one = ph_heap_create(HEAPF_NO_SERIALIZE | HEAPF_EXCEPTIONS, 4096, 7 * MB);
    one->compatibility = 2;
    ck_assert_ptr_nonnull(room_alloc(one, 10, true));
    ck_assert(ph_heap_destroy(one));
    one = ph_heap_create(0, 5 * MB, 7 * MB);
    ck_assert_uint_eq(one->flags, 0);
    ck_assert_uint_eq(one->compatibility, 0);
    ck_assert_uint_ge(room_sums(one).committed_bytes, 5 * MB);
    ck_assert(ph_heap_destroy(one));
}
END_TEST

START_TEST(zeroed_block_is_zero_in_memory_that_dead_heaps_wrote_to) /* W32 3.3 */
{
    enum { ROUND_HEAPS = 60 }; /* more than stay warm */
    static struct heap *some[ROUND_HEAPS];
    const struct request rq = {.bytes = 1000, .sized = true, .zero = true};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < ROUND_HEAPS; i++) {
            ck_assert_ptr_nonnull(some[i] = ph_heap_create(0, 4 * MB, 0));
            unsigned char *block = ph_heap_alloc(some[i], &rq);
            for (size_t at = 0; at < rq.bytes; at++)
                ck_assert_uint_eq(block[at], 0);
            memset(block, 0xAA, rq.bytes);
        }
        for (int i = 0; i < ROUND_HEAPS; i++)
            ck_assert(ph_heap_destroy(some[i]));
    }
}
END_TEST

START_TEST(trim_cools_warm_heaps)
{
    struct heap *one = room_packed_heap(0);
    char *base = one->handle;
    memset(room_alloc(one, 1000, true), 1, 1000);
    ck_assert(ph_heap_destroy(one));
    (void)ph_heap_trim(heap);
    ck_assert(!room_is_mapped(base, 1));
    ck_assert_uint_eq(ph_map_owner(base), 0);
}
END_TEST

/* ---- giving back ---- */

START_TEST(trim_gives_free_memory_back_and_says_so)
{
    void *keep = alloc_at(50000, 0, false, true);
    void *blocks[3] = {alloc_at(200000, 0, false, true), alloc_at(3000, 0, false, true), alloc_at(2 * MB, 0, false, true)};
    memset(keep, 7, 50000);
    for (int i = 0; i < 3; i++)
        ck_assert(give(blocks[i]));
    ck_assert(ph_heap_trim(heap));
    ck_assert_uint_eq(room_sums(heap).dirty_bytes, 0);
    ck_assert(!ph_heap_trim(heap));
    ck_assert_int_eq(((char *)keep)[49999], 7);
}
END_TEST

START_TEST(destroy_gives_everything_back)
{
    struct heap *dead = ph_heap_create(0, 70 * MB, 0);
    char *blocks[4] = {room_alloc(dead, 100, true), room_alloc(dead, 50000, true), room_alloc(dead, 9000, false),
                       room_alloc(dead, 40 * MB, true)};
    ph_heap_destroy(dead);
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(map_get(blocks[i]), 0);
        ck_assert(!room_is_mapped(blocks[i], 1));
    }
}
END_TEST

START_TEST(heaps_made_and_destroyed_again_and_again_cost_no_address_space)
{
    uint32_t limit = 0;
    for (int i = 0; i < 2000; i++) {
        struct heap *one = i % 2 ? room_heap(0) : room_packed_heap(i % 4 ? 0 : MB);
        for (size_t bytes = 10; bytes < 50000; bytes *= 5)
            ck_assert_ptr_nonnull(room_alloc(one, bytes, bytes % 3));
        ck_assert(i % 100 != 0 || ph_walk_validate(one, NULL, ENTER_PATIENTLY));
        ph_heap_destroy(one);
        if (i == 400) limit = ph_span_limit();
    }
    ck_assert_uint_eq(ph_span_limit(), limit); /* no descriptors and no cells either */
}
END_TEST

static void add_registry(Suite *suite)
{
    TCase *registry = room_case(suite, "registry", setup_growing_heap, teardown_heap);
    tcase_add_test(registry, handle_names_its_heap_and_nothing_else_does);
    tcase_add_test(registry, block_that_is_aligned_as_a_handle_is_none);
    tcase_add_test(registry, handle_of_a_destroyed_heap_is_refused);
    tcase_add_test(registry, handle_of_a_reused_descriptor_is_refused);
    tcase_add_test(registry, two_thousand_heaps_live_side_by_side);
    tcase_add_test(registry, list_has_the_process_heap_first_then_the_oldest);
    tcase_add_test(registry, short_list_has_the_first_and_nothing_beyond);
    tcase_add_test(registry, process_heap_is_made_once);
    tcase_add_test(registry, impossible_heap_is_refused_and_not_listed);
}

static void add_bound(Suite *suite, const char *name, void (*setup)(void))
{
    TCase *bound = room_case(suite, name, setup, teardown_heap);
    tcase_add_loop_test(bound, exhausted_heap_serves_as_much_again_after_frees, 0, COUNT(fillers));
    tcase_add_test(bound, bounded_heap_never_leaves_its_range);
    tcase_add_loop_test(bound, neighbours_of_any_sizes_join_again, 0, 3);
}

int main(void)
{
    Suite *suite = suite_create("heap");
    add_registry(suite);
    TCase *alloc = room_case(suite, "alloc", setup_growing_heap, teardown_heap);
    tcase_add_loop_test(alloc, block_has_its_bytes_and_its_kind, 0, COUNT(sizes));
    tcase_add_loop_test(alloc, zero_clears_memory_that_was_used, 0, COUNT(sizes));
    tcase_add_loop_test(alloc, block_stands_at_the_alignment_asked_for, 0, 22);
    tcase_add_test(alloc, impossible_sizes_give_null);
#if defined(__x86_64__)
    tcase_add_test(alloc, blocks_of_an_executable_heap_can_be_executed);
#endif
    add_bound(suite, "bound, fixed", setup_fixed_heap_of_1_mb);
    add_bound(suite, "bound, paged", setup_paged_heap_of_1_mb);
    TCase *warm = room_case(suite, "warm", setup_growing_heap, teardown_heap);
    tcase_add_loop_test(warm, next_heap_of_a_size_begins_blank, 0, COUNT(bounds));
    tcase_add_test(warm, heap_that_is_begun_warm_has_its_own_flags_and_initial_size);
    tcase_add_test(warm, zeroed_block_is_zero_in_memory_that_dead_heaps_wrote_to);
    tcase_add_test(warm, trim_cools_warm_heaps);
    TCase *end = room_case(suite, "trim, destroy", setup_growing_heap, teardown_heap);
    tcase_add_test(end, trim_gives_free_memory_back_and_says_so);
    tcase_add_test(end, destroy_gives_everything_back);
    tcase_add_test(end, heaps_made_and_destroyed_again_and_again_cost_no_address_space);
    return room_run(suite);
}
