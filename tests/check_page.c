/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_page.c -- equal-size blocks in one page: bits, exact sizes, keys, and what is noticed of damage. */
#include "check_room.h"
#include "valid.h"

enum { KINDS_END = KIND_RUN };

static struct heap *heap;
static struct span *pg;
static unsigned bytes; /* of a block of pg */

static unsigned bytes_of_kind(unsigned kind)
{
    return ph_class_bytes[kind < KIND_SIZED ? kind - KIND_PLAIN : kind - KIND_SIZED];
}

static void make_page(unsigned kind)
{
    bytes = bytes_of_kind(kind);
    pg = ph_page_new(heap, kind, ph_class_page_units(kind < KIND_SIZED ? kind - KIND_PLAIN : kind - KIND_SIZED, 4));
    ck_assert_ptr_nonnull(pg);
    ck_assert(ph_page_is_valid(pg));
}

static void setup_heap(void)
{
    heap = ph_heap_create(HEAPF_PAGED, 70 << 20, 0); /* too large to begin in the memory of a dead heap */
    ck_assert_ptr_nonnull(heap);
    pg = NULL;
}

static void teardown_heap(void) { ph_heap_destroy(heap); }

/* Blocks stand against the end of their page. */
static char *block_at(unsigned index)
{
    return (char *)ph_span_start(pg) + ph_span_bytes(pg) - (size_t)(pg->capacity - index) * bytes;
}

static void setup_plain_page(void)
{
    setup_heap();
    make_page(KIND_PLAIN + class_of(64));
}

static void setup_sized_page(void)
{
    setup_heap();
    make_page(KIND_SIZED + class_of(64));
}

static void give_all(void)
{
    for (unsigned i = 0; i < pg->carved; i++)
        (void)ph_page_give(pg, i);
}

/* A page of 64-byte blocks in memory of that state. */
static void make_page_again(enum span_state state)
{
    char *first;
    char *at = ph_span_start(pg);
    (void)ph_span_take(heap, KIND_RUN, 1, 1); /* a wall to the virgin memory */
    (void)ph_page_carve(pg, 1, &first);
    memset(first, 0xee, bytes);
    give_all();
    ph_page_drop(heap, pg);
    if (state == SPAN_PURGED) ph_purge_all(heap);
    make_page(KIND_PLAIN + class_of(64));
    ck_assert_ptr_eq(ph_span_start(pg), at);
    ck_assert_uint_eq(pg->state, state);
}

/* ---- new ---- */

START_TEST(new_page_gives_all_its_blocks_once_and_side_by_side)
{
    char *first;
    make_page((unsigned)_i);
    ck_assert_uint_ge(pg->capacity, 1);
    ck_assert_uint_le(pg->capacity, PAGE_BLOCKS);
    ck_assert_uint_le(pg->capacity * bytes, ph_span_bytes(pg));
    ck_assert_uint_eq(ph_page_carve(pg, 1, &first), 1);
    ck_assert_ptr_eq(first, block_at(0));
    ck_assert_uint_eq(ph_page_carve(pg, PAGE_BLOCKS, &first), pg->capacity - 1);
    ck_assert_ptr_eq(first, block_at(1));
    ck_assert_uint_eq(ph_page_carve(pg, 1, &first), 0);
    memset(block_at(0), 1, (size_t)pg->capacity * bytes);
}
END_TEST

START_TEST(every_unit_of_a_page_has_its_entry)
{
    make_page((unsigned)_i);
    for (size_t at = 0; at < ph_span_bytes(pg); at += 512) {
        const char *address = (char *)ph_span_start(pg) + at;
        const uint64_t entry = map_get(address);
        ck_assert_uint_eq((uint32_t)entry, heap->tag | (unsigned)_i);
        ck_assert_ptr_eq(ph_span_at(entry_span(entry)), pg);
        if (_i >= KIND_SIZED)
            ck_assert_ptr_eq(entry_cell(entry)->end, address - at + ph_span_bytes(pg));
        else
            ck_assert_uint_eq(entry_distance(entry, address), ph_span_bytes(pg) - at);
    }
}
END_TEST

START_TEST(index_knows_starts_of_blocks_from_all_other_bytes)
{
    make_page((unsigned)_i);
    unsigned wrong = 0;
    for (size_t at = 0; at < (size_t)pg->capacity * bytes + 64; at++) {
        const bool starts = at % bytes == 0 && at / bytes < pg->capacity;
        wrong += ph_page_index(pg, block_at(0) + at) != (starts ? at / bytes : PAGE_BLOCKS);
    }
    for (char *at = ph_span_start(pg); at < block_at(0); at++) /* what is left over stands in front */
        wrong += ph_page_index(pg, at) != PAGE_BLOCKS;
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(ph_page_index(pg, block_at(0) - bytes), PAGE_BLOCKS);
    ck_assert_uint_eq(ph_page_index(pg, NULL), PAGE_BLOCKS);
}
END_TEST

START_TEST(page_dropped_leaves_one_free_span)
{
    make_page((unsigned)_i);
    const char *at = ph_span_start(pg);
    (void)ph_span_take(heap, KIND_RUN, 1, 1);
    const uint64_t units = pg->units;
    ph_page_drop(heap, pg);
    for (unsigned i = 0; i < units; i++)
        ck_assert_uint_eq(room_kind(at + (size_t)i * UNIT_BYTES), i == 0 || i == units - 1 ? KIND_FREE : KIND_NONE);
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
}
END_TEST

START_TEST(without_memory_there_is_no_page)
{
    struct heap *full = room_heap(1 << 17);
    ck_assert_ptr_nonnull(ph_span_take(full, KIND_RUN, 32, 1));
    ck_assert_ptr_null(ph_page_new(full, KIND_PLAIN, 1));
    ck_assert_ptr_null(ph_page_new(full, KIND_SIZED, 1));
    ph_heap_destroy(full);
}
END_TEST

/* ---- take, carve, give ---- */

START_TEST(take_from_unused_page_gives_nothing)
{
    void *out[4];
    ck_assert_uint_eq(ph_page_take(pg, out, 4), 0);
}
END_TEST

START_TEST(take_gives_what_was_given_lowest_first)
{
    static const unsigned given[] = {200, 3, 64, 63, 127, 0, 128};
    static const unsigned sorted[] = {0, 3, 63, 64, 127, 128, 200};
    char *first;
    void *out[PAGE_BLOCKS];
    (void)ph_page_carve(pg, PAGE_BLOCKS, &first);
    for (int i = 0; i < COUNT(given); i++)
        ck_assert(ph_page_give(pg, given[i]));
    ck_assert(ph_page_is_valid(pg));
    ck_assert_uint_eq(ph_page_take(pg, out, 2), 2);
    ck_assert_uint_eq(ph_page_take(pg, out + 2, PAGE_BLOCKS), COUNT(given) - 2);
    for (int i = 0; i < COUNT(given); i++)
        ck_assert_ptr_eq(out[i], block_at(sorted[i]));
    ck_assert_uint_eq(ph_page_take(pg, out, 1), 0);
    ck_assert(ph_page_is_valid(pg));
}
END_TEST

START_TEST(second_give_is_refused)
{
    char *first;
    (void)ph_page_carve(pg, 10, &first);
    ck_assert(ph_page_give(pg, 4));
    ck_assert(!ph_page_give(pg, 4));
    ck_assert_uint_eq(pg->free_count, 1);
}
END_TEST

START_TEST(give_of_a_block_that_was_never_taken_is_refused)
{
    char *first;
    (void)ph_page_carve(pg, 10, &first);
    for (unsigned i = 0; pg->cell != 0 && i < 10; i++)
        ph_page_set_wanted(pg, i, 64);
    ck_assert(!ph_page_give(pg, 10));
    ck_assert(!ph_page_give(pg, PAGE_BLOCKS - 1));
    ck_assert(ph_page_is_valid(pg));
}
END_TEST

START_TEST(random_life_keeps_the_page_valid)
{
    bool live[PAGE_BLOCKS] = {false};
    uint64_t random = (uint64_t)_i + 1;
    for (int step = 0; step < 5000; step++) {
        void *block = NULL;
        const unsigned index = room_random(&random) % PAGE_BLOCKS;
        if (room_random(&random) % 2) {
            ck_assert_int_eq(ph_page_give(pg, index), live[index]);
            live[index] = false;
        } else if (ph_page_take(pg, &block, 1) == 1 || ph_page_carve(pg, 1, (char **)&block) == 1) {
            const unsigned got = ph_page_index(pg, block);
            ck_assert_uint_lt(got, PAGE_BLOCKS);
            ck_assert(!live[got]);
            live[got] = true;
            if (pg->cell != 0) ph_page_set_wanted(pg, got, step % 65);
        }
        ck_assert(ph_page_is_valid(pg));
    }
}
END_TEST

/* ---- exact sizes ---- */

START_TEST(size_is_remembered_to_the_byte) /* W32 2.5 */
{
    make_page((unsigned)_i);
    char *first;
    (void)ph_page_carve(pg, PAGE_BLOCKS, &first);
    for (unsigned i = 0; i < pg->capacity; i++)
        ck_assert_uint_eq(ph_page_wanted(pg, i), SIZE_MAX);
    for (size_t wanted = 0; wanted <= bytes; wanted++) {
        const unsigned index = (unsigned)wanted % pg->capacity;
        const unsigned other = (index + 1) % pg->capacity;
        const size_t before = ph_page_wanted(pg, other);
        ph_page_set_wanted(pg, index, wanted);
        ck_assert_uint_eq(ph_page_wanted(pg, index), wanted);
        if (other != index) ck_assert_uint_eq(ph_page_wanted(pg, other), before);
    }
}
END_TEST

START_TEST(given_block_has_no_size)
{
    char *first;
    (void)ph_page_carve(pg, 10, &first);
    for (unsigned i = 0; i < 10; i++)
        ph_page_set_wanted(pg, i, i);
    ck_assert(ph_page_give(pg, 5));
    ck_assert_uint_eq(ph_page_wanted(pg, 5), SIZE_MAX);
    ck_assert_uint_eq(ph_page_wanted(pg, 4), 4);
    ck_assert_uint_eq(ph_page_wanted(pg, 6), 6);
}
END_TEST

START_TEST(sizes_of_the_page_before_are_forgotten)
{
    char *first;
    (void)ph_page_carve(pg, 10, &first);
    for (unsigned i = 0; i < 10; i++)
        ph_page_set_wanted(pg, i, 7);
    give_all();
    ph_page_drop(heap, pg);
    setup_sized_page();
    (void)ph_page_carve(pg, PAGE_BLOCKS, &first);
    for (unsigned i = 0; i < pg->capacity; i++)
        ck_assert_uint_eq(ph_page_wanted(pg, i), SIZE_MAX);
}
END_TEST

/* ---- keys ---- */

START_TEST(page_in_dirty_memory_has_a_key_in_each_block)
{
    make_page_again(SPAN_DIRTY);
    void *out[PAGE_BLOCKS];
    char *first;
    ck_assert_uint_eq(ph_page_carve(pg, 1, &first), 0);
    ck_assert_uint_eq(ph_page_take(pg, out, PAGE_BLOCKS), pg->capacity);
    for (unsigned i = 0; i < pg->capacity; i++)
        ck_assert_uint_eq(*block_key(out[i]), block_page_key(out[i]));
}
END_TEST

START_TEST(page_in_virgin_memory_is_not_touched)
{
    ck_assert_uint_eq(pg->state, SPAN_VIRGIN);
    for (unsigned i = 0; i < pg->capacity; i++)
        ck_assert_uint_eq(*block_key(block_at(i)), 0);
}
END_TEST

START_TEST(purged_page_that_nobody_wrote_to_is_carved)
{
    char *first;
    if (ph_os_page_bytes() > UNIT_BYTES) return; /* the page is no whole OS page, and stays dirty */
    make_page_again(SPAN_PURGED);
    ck_assert_uint_eq(ph_page_carve(pg, PAGE_BLOCKS, &first), pg->capacity);
}
END_TEST

static void write_to_purged_block(void *block)
{
    char *first;
    *block_key(block) = 1;
    (void)ph_page_carve(pg, PAGE_BLOCKS, &first);
}

START_TEST(write_to_a_purged_page_is_noticed)
{
    if (ph_os_page_bytes() > UNIT_BYTES) return;
    make_page_again(SPAN_PURGED);
    room_aborts(write_to_purged_block, block_at(_i ? pg->capacity - 1 : 0), "changed after free");
}
END_TEST

/* ---- give_keyed ---- */

static void *taken[PAGE_BLOCKS];

static void take_all_keyed(void)
{
    char *first;
    (void)ph_page_carve(pg, PAGE_BLOCKS, &first);
    for (unsigned i = 0; i < pg->capacity; i++) {
        taken[i] = block_at(pg->capacity - 1 - i);
        *block_key(taken[i]) = block_key_value(taken[i]);
    }
}

/* Until one is refused; how many were not. */
static unsigned give_keyed(void *const *blocks, unsigned count)
{
    const uint64_t magic = ph_class_magic[kind_class(entry_kind(pg->tag))];
    unsigned done = 0;
    while (done < count && page_give_keyed(pg, map_get(blocks[done]), magic, blocks[done]))
        done++;
    return done;
}

START_TEST(keyed_blocks_are_given_in_any_order)
{
    take_all_keyed();
    ck_assert_uint_eq(give_keyed(taken, 100), 100);
    ck_assert_uint_eq(pg->free_count, 100);
    for (unsigned i = 0; i < 100; i++) {
        ck_assert(ph_page_is_free(pg, ph_page_index(pg, taken[i])));
        ck_assert_uint_eq(*block_key(taken[i]), block_page_key(taken[i]));
    }
    ck_assert_uint_eq(give_keyed(taken + 100, pg->capacity - 100u), pg->capacity - 100u);
    ck_assert_uint_eq(pg->free_count, pg->capacity);
    ck_assert(ph_page_is_valid(pg));
}
END_TEST

enum { BAD_AT = 20 };

static void make_one_bad(int how)
{
    char *inside = (char *)taken[BAD_AT + 2] + sizeof(uint64_t); /* neither neighbour is free */
    switch (how) {
    case 0: *block_key(taken[BAD_AT]) ^= 1; break;
    case 1: taken[BAD_AT] = taken[BAD_AT - 1]; break;
    case 2: *block_key(inside) = block_key_value(inside), taken[BAD_AT] = inside; break;
    case 3: ck_assert(ph_page_give(pg, ph_page_index(pg, taken[BAD_AT]))); break;
    default: page_carved_set(pg, ph_page_index(pg, taken[BAD_AT])); break; /* never handed out */
    }
}

START_TEST(give_stops_at_the_first_bad_block)
{
    take_all_keyed();
    if (_i == 4) /* lowest first: those below are carved */
        for (unsigned i = 0; i < pg->capacity; i++) {
            taken[i] = block_at(i);
        }
    make_one_bad(_i);
    ck_assert_uint_eq(give_keyed(taken, 30), BAD_AT);
    ck_assert_uint_eq(pg->free_count, BAD_AT + (_i == 3));
    ck_assert(ph_page_is_valid(pg));
}
END_TEST

/* ---- valid ---- */

static void damage(int how)
{
    switch (how) {
    case 0: pg->bits[0] ^= 1; break;                     /* a block lost */
    case 1: pg->free_count++; break;
    case 2: pg->free_count--; break;
    case 3: pg->carved = pg->capacity + 1; break;
    case 4: pg->carved = 0; break;
    case 5: pg->bits[0] ^= 1 | 1ULL << 40; break;        /* a free block beyond those handed out */
    case 6: pg->capacity = 1; break;
    case 7: ph_page_set_wanted(pg, 0, 10); break;        /* sized: free, with a size */
    default: pg->bits[0] ^= 1 | 2; break;                /* sized: live without a size, free with one */
    }
}

START_TEST(valid_rejects_damage)
{
    char *first;
    (void)ph_page_carve(pg, 10, &first);
    if (pg->cell != 0)
        for (unsigned i = 0; i < 10; i++)
            ph_page_set_wanted(pg, i, 64);
    ck_assert(ph_page_give(pg, 0) && ph_page_give(pg, 7));
    ck_assert(ph_page_is_valid(pg));
    damage(_i);
    ck_assert(!ph_page_is_valid(pg));
}
END_TEST

static void add_blocks(Suite *suite, const char *name, void (*setup)(void))
{
    TCase *blocks = room_case(suite, name, setup, teardown_heap);
    tcase_add_test(blocks, take_from_unused_page_gives_nothing);
    tcase_add_test(blocks, second_give_is_refused);
    tcase_add_test(blocks, give_of_a_block_that_was_never_taken_is_refused);
    tcase_add_loop_test(blocks, random_life_keeps_the_page_valid, 0, 3);
}

static void add_keys(Suite *suite)
{
    TCase *keys = room_case(suite, "keys", setup_plain_page, teardown_heap);
    tcase_add_test(keys, take_gives_what_was_given_lowest_first);
    tcase_add_test(keys, page_in_dirty_memory_has_a_key_in_each_block);
    tcase_add_test(keys, page_in_virgin_memory_is_not_touched);
    tcase_add_test(keys, purged_page_that_nobody_wrote_to_is_carved);
    tcase_add_loop_test(keys, write_to_a_purged_page_is_noticed, 0, 2);
    tcase_add_test(keys, keyed_blocks_are_given_in_any_order);
    tcase_add_loop_test(keys, give_stops_at_the_first_bad_block, 0, 5);
    tcase_add_loop_test(keys, valid_rejects_damage, 0, 7);
}

int main(void)
{
    Suite *suite = suite_create("page");
    TCase *making = room_case(suite, "new, index, drop", setup_heap, teardown_heap);
    tcase_add_loop_test(making, new_page_gives_all_its_blocks_once_and_side_by_side, KIND_PLAIN, KINDS_END);
    tcase_add_loop_test(making, every_unit_of_a_page_has_its_entry, KIND_PLAIN, KINDS_END);
    tcase_add_loop_test(making, index_knows_starts_of_blocks_from_all_other_bytes, KIND_PLAIN, KINDS_END);
    tcase_add_loop_test(making, page_dropped_leaves_one_free_span, KIND_PLAIN, KINDS_END);
    tcase_add_test(making, without_memory_there_is_no_page);
    tcase_add_loop_test(making, size_is_remembered_to_the_byte, KIND_SIZED, KINDS_END);
    add_blocks(suite, "plain", setup_plain_page);
    add_blocks(suite, "sized", setup_sized_page);
    add_keys(suite);
    TCase *sizes = room_case(suite, "sizes", setup_sized_page, teardown_heap);
    tcase_add_test(sizes, given_block_has_no_size);
    tcase_add_test(sizes, sizes_of_the_page_before_are_forgotten);
    tcase_add_loop_test(sizes, valid_rejects_damage, 0, 9);
    return room_run(suite);
}
