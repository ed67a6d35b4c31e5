/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_packed.c -- blocks side by side: every one apart from every other, to the byte; neighbours join;
 * what the shadow says is checked, and each kind of damage to it is noticed. */
#include "check_room.h"

#include <sys/mman.h>

enum { KB = 1024, MB = 1 << 20, LONG = 63 * 16, CONTROL = 16 };

static struct heap bare; /* one region, no number in the registry */
static struct region *rg;
static struct packed *pk;

static void setup_area(size_t bytes)
{
    memset(&bare, 0, sizeof bare);
    bare.id = 0xfffb;
    bare.tag = 0xfffb00;
    bare.bound_units = (uint32_t)(bytes >> UNIT_BITS);
    rg = ph_region_add(&bare, bytes, bytes);
    ck_assert_ptr_nonnull(rg);
    ck_assert(ph_packed_add(rg, rg->units));
    rg->first = rg->top = rg->units;
    pk = rg->packed;
}

static void setup_16_units(void) { setup_area(64 * KB); }
static void setup_256_kb(void) { setup_area(256 * KB); }

static void teardown_area(void)
{
    ck_assert(ph_packed_is_valid(rg));
    ph_packed_drop(rg);
    ck_assert_ptr_null(rg->packed);
    ph_region_drop_all(&bare);
}

static char *take_at(size_t bytes, size_t align)
{
    bool zero = false;
    char *block = ph_packed_take(&bare, rg, bytes, align, &zero);
    if (block != NULL && zero)
        for (size_t i = 0; i < bytes; i += i + 64 < bytes ? 64 : 1)
            if (block[i] != 0) ck_abort_msg("byte %zu is not zero", i);
    return block;
}

static char *take(size_t bytes) { return take_at(bytes, 16); }

static bool give(void *block) { return ph_packed_give(rg, block, true); }

static size_t wanted_of(const void *block)
{
    size_t wanted, capacity;
    ck_assert(ph_packed_look(rg, block, &wanted, &capacity));
    ck_assert_uint_le(wanted, capacity);
    ck_assert_uint_eq(capacity % 16, 0);
    return wanted;
}

static bool is_live(const void *block)
{
    size_t wanted, capacity;
    return ph_packed_look(rg, block, &wanted, &capacity);
}

static size_t used(void) { return (pk->top << GRANULE_BITS) - CONTROL; }

/* ---- one block ---- */

static const size_t areas[] = {64 * KB, 256 * KB, 260 * KB, MB, 3 * MB + 4096, 16 * MB, 20 * MB};

START_TEST(every_size_is_remembered_to_the_byte) /* W32 2.5, 2.4 */
{
    for (size_t bytes = 0; bytes <= 2000; bytes++) {
        char *block = take(bytes), *next = take(1);
        ck_assert_ptr_nonnull(block);
        ck_assert_ptr_nonnull(next);
        ck_assert_uint_eq((uintptr_t)block % 16, 0);
        ck_assert_uint_eq(wanted_of(block), bytes);
        ck_assert_int_ge(next - block, (ptrdiff_t)(bytes > 0 ? bytes : 1));
        ck_assert_int_le(next - block, (ptrdiff_t)(bytes > 0 ? bytes + 15 : 16)); /* W32 4: little is lost */
        memset(block, 0xff, (size_t)(next - block));
        ck_assert_uint_eq(wanted_of(next), 1);
        ck_assert(ph_packed_is_valid(rg));
        ck_assert(give(block));
        ck_assert(give(next));
        ck_assert_uint_eq(used(), 0);
    }
}
END_TEST

START_TEST(sizes_stand_side_by_side_and_each_is_remembered)
{
    static char *block[2001];
    for (size_t bytes = 0; bytes <= 2000; bytes++)
        block[bytes] = take(bytes);
    for (size_t bytes = 0; bytes <= 2000; bytes++)
        ck_assert_uint_eq(wanted_of(block[bytes]), bytes);
    ck_assert(ph_packed_is_valid(rg));
    for (size_t bytes = 0; bytes <= 2000; bytes++)
        ck_assert(give(block[bytes * 1999 % 2001]));
    ck_assert_uint_eq(used(), 0);
}
END_TEST

START_TEST(block_stands_at_its_alignment_and_what_is_before_serves)
{
    const size_t align = (size_t)32 << _i;
    char *first = take(40), *block = take_at(100, align), *last = take(align + 10);
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq((uintptr_t)block % align, 0);
    ck_assert_uint_eq(wanted_of(block), 100);
    ck_assert(ph_packed_is_valid(rg));
    ck_assert(give(first));
    ck_assert(ph_packed_is_valid(rg));
    const size_t before = (size_t)(block - rg->base) - CONTROL;
    char *whole = take(before);
    ck_assert_ptr_eq(whole, rg->base + CONTROL);
    for (int round = 0; round < 5; round++) {
        char *again = take_at(3000, align);
        if (again == NULL) break;
        ck_assert_uint_eq((uintptr_t)again % align, 0);
        ck_assert(ph_packed_is_valid(rg));
    }
    ck_assert(is_live(last));
}
END_TEST

START_TEST(aligned_block_comes_out_of_a_hole)
{
    const size_t align = (size_t)32 << _i;
    char *hole = take(2 * align + 2000), *wall = take(1);
    ck_assert(hole != NULL && wall != NULL);
    ck_assert(give(hole));
    char *block = take_at(1990, align);
    ck_assert_uint_eq((uintptr_t)block % align, 0);
    ck_assert(block < wall);
    ck_assert(ph_packed_is_valid(rg));
    ck_assert(give(block));
    ck_assert_ptr_eq(take(2 * align + 2000), hole); /* joined again on both sides */
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    static const size_t rows[] = {64 * KB, 64 * KB - CONTROL + 1, MB, (size_t)1 << 40, PTRDIFF_MAX};
    for (int i = 0; i < COUNT(rows); i++) {
        ck_assert_ptr_null(take(rows[i]));
        ck_assert_ptr_null(take_at(rows[i], 4096));
    }
    ck_assert_ptr_null(take_at(1, 1 << 30));
    ck_assert_ptr_eq(take(64 * KB - CONTROL), rg->base + CONTROL); /* all there is */
    ck_assert_ptr_null(take(0));
}
END_TEST

START_TEST(only_the_start_of_a_live_block_is_one) /* W32 2.7 */
{
    char *block = take(3000), *dead = take(500), *last = take(70);
    ck_assert(give(dead));
    for (char *at = rg->base; at < rg->base + 64 * KB; at++)
        if (at != block && at != last) {
            ck_assert(!is_live(at));
            ck_assert(!give(at));
            ck_assert(!ph_packed_resize(&bare, rg, at, 10, true));
        }
    ck_assert(give(block));
    ck_assert(!give(block));
}
END_TEST

START_TEST(zero_is_said_of_memory_that_nobody_had)
{
    bool zero = false;
    char *block = ph_packed_take(&bare, rg, 1000, 16, &zero);
    memset(block, 1, 1000);
    ck_assert(give(block));
    zero = true;
    ck_assert_ptr_eq(ph_packed_take(&bare, rg, 2000, 16, &zero), block);
    ck_assert(!zero);
}
END_TEST

/* ---- joining ---- */

START_TEST(neighbours_join_in_any_order) /* W32 3.5 */
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const size_t sizes[] = {1, 16, 17, 48, 100, LONG - 16, LONG, LONG + 1, 5000};
    char *part[3], *wall = NULL;
    for (int i = 0; i < 3; i++)
        part[i] = take(sizes[(_i / 6 + i * 2) % COUNT(sizes)]);
    wall = take(1);
    const size_t bytes = (size_t)(wall - part[0]);
    for (int i = 0; i < 3; i++) {
        ck_assert(give(part[orders[_i % 6][i]]));
        ck_assert(ph_packed_is_valid(rg));
    }
    struct packed_part seen;
    ck_assert(ph_packed_part(rg, part[0], &seen));
    ck_assert(!seen.live);
    ck_assert_ptr_eq(seen.at, part[0]);
    ck_assert_uint_eq(seen.bytes, bytes);
    ck_assert_ptr_eq(take(bytes), part[0]);
}
END_TEST

START_TEST(what_is_freed_last_is_virgin_again)
{
    char *a = take(100), *b = take(3000), *c = take(16);
    ck_assert(give(b));
    ck_assert(give(c));
    ck_assert_ptr_eq(rg->base + (pk->top << GRANULE_BITS), a + 112);
    ck_assert(give(a));
    ck_assert_uint_eq(used(), 0);
}
END_TEST

START_TEST(without_joining_neighbours_stay_apart_until_they_are_joined) /* W32 2.8, 3.8 */
{
    enum { PARTS = 20 };
    char *part[PARTS];
    for (int i = 0; i < PARTS; i++)
        part[i] = take((size_t)i * 67 + 1);
    for (int i = 0; i < PARTS; i++) {
        ck_assert(ph_packed_give(rg, part[(i * 7) % PARTS], false));
        ck_assert(ph_packed_is_valid(rg));
    }
    for (int i = 0; i < PARTS; i++) {
        struct packed_part seen;
        ck_assert(ph_packed_part(rg, part[i], &seen));
        ck_assert_ptr_eq(seen.at, part[i]);
        ck_assert(!seen.live);
    }
    char *again = take(67 * 5 + 1);
    ck_assert_ptr_eq(again, part[5]);
    ck_assert(ph_packed_give(rg, again, false));
    ph_packed_join(rg);
    ck_assert_uint_eq(used(), 0);
    ck_assert(ph_packed_is_valid(rg));
}
END_TEST

START_TEST(joining_leaves_live_blocks_alone)
{
    char *part[40];
    for (int i = 0; i < 40; i++)
        part[i] = take((size_t)i * 40);
    for (int i = 0; i < 40; i++)
        if (i % 4 != 0) ck_assert(ph_packed_give(rg, part[i], false));
    ph_packed_join(rg);
    ck_assert(ph_packed_is_valid(rg));
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(is_live(part[i]), i % 4 == 0);
    struct packed_part seen;
    ck_assert(ph_packed_part(rg, part[1], &seen));
    ck_assert_ptr_eq(seen.at + seen.bytes, part[4]);
}
END_TEST

/* ---- resizing: W32 3.4 ---- */

START_TEST(resize_to_any_size_where_there_is_room)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 33, 100, LONG - 15, LONG, LONG + 1, 2000, 30000};
    for (int from = 0; from < COUNT(sizes); from++)
        for (int to = 0; to < COUNT(sizes); to++)
            for (int walled = 0; walled < 2; walled++) {
                char *block = take(sizes[from]), *hole = walled ? take(30000) : NULL, *wall = walled ? take(1) : NULL;
                if (walled) ck_assert(give(hole));
                ck_assert(ph_packed_resize(&bare, rg, block, sizes[to], true));
                ck_assert_uint_eq(wanted_of(block), sizes[to]);
                ck_assert(ph_packed_is_valid(rg));
                if (walled) ck_assert(is_live(wall) && give(wall));
                ck_assert(give(block));
                ck_assert_uint_eq(used(), 0);
            }
}
END_TEST

START_TEST(resize_without_room_changes_nothing)
{
    char *block = take(100), *hole = take(200), *wall = take(1);
    ck_assert(!ph_packed_resize(&bare, rg, block, 113, true));
    ck_assert(ph_packed_resize(&bare, rg, block, 112, true)); /* what its granules have */
    ck_assert(give(hole));
    ck_assert(!ph_packed_resize(&bare, rg, block, 112 + 208 + 1, true));
    ck_assert_uint_eq(wanted_of(block), 112);
    ck_assert(ph_packed_resize(&bare, rg, block, 112 + 208, true));
    ck_assert(!ph_packed_resize(&bare, rg, block, 64 * KB, true));
    ck_assert(!ph_packed_resize(&bare, rg, block, PTRDIFF_MAX, true));
    ck_assert_ptr_eq(wall, block + 112 + 208);
    ck_assert_uint_eq(wanted_of(wall), 1);
}
END_TEST

START_TEST(what_a_shrunken_block_leaves_joins_what_is_behind)
{
    char *block = take(2000), *hole = take(300), *wall = take(1);
    ck_assert(give(hole));
    ck_assert(ph_packed_resize(&bare, rg, block, 10, true));
    struct packed_part seen;
    ck_assert(ph_packed_part(rg, block + 16, &seen));
    ck_assert_ptr_eq(seen.at, block + 16);
    ck_assert_ptr_eq(seen.at + seen.bytes, wall);
    ck_assert(ph_packed_resize(&bare, rg, block, 2, false));
    ck_assert(ph_packed_is_valid(rg));
}
END_TEST

/* ---- exhaustion: W32 4 ---- */

START_TEST(full_area_serves_the_same_again)
{
    enum { MOST = 16384 };
    static char *block[MOST + 1];
    static const size_t sizes[] = {1, 16, 100, 999, LONG, 5000, 100000};
    for (int round = 0; round < 2; round++) {
        int count = 0;
        while ((block[count] = take(sizes[_i])) != NULL)
            count++;
        const size_t each = (sizes[_i] + 15) / 16 * 16;
        ck_assert_uint_eq((size_t)count, (256 * KB - CONTROL) / each);
        for (int i = 0; i < count; i += 2)
            ck_assert(give(block[i]));
        ck_assert(ph_packed_is_valid(rg));
        for (int i = 0; i < count; i += 2)
            ck_assert_ptr_nonnull(take(sizes[_i]));
        ck_assert_ptr_null(take(sizes[_i]));
        for (int i = 0; i < count; i++)
            ck_assert(give(block[count - 1 - i]));
        ck_assert_uint_eq(used(), 0);
    }
}
END_TEST

START_TEST(block_near_the_bound_is_served) { ck_assert_ptr_nonnull(take(256 * KB - 3 * KB)); } /* W32 4 */
END_TEST

START_TEST(free_part_is_found_wherever_it_is)
{
    setup_area(areas[_i]);
    const size_t bytes = areas[_i] > MB ? 2032 : 240;
    const size_t count = (areas[_i] - CONTROL) / (bytes + 0);
    for (size_t i = 0; i < count; i++)
        ck_assert_ptr_nonnull(take(bytes));
    while (take(1) != NULL) {} /* what is left over */
    for (size_t i = 0; i < count; i += i + 40 < count ? 31 : 1) {
        char *block = rg->base + CONTROL + i * bytes;
        ck_assert(give(block));
        ck_assert_ptr_eq(take(bytes - 15), block);
    }
    teardown_area();
}
END_TEST

/* The last card may be less than whole: 32 MB have cards of 8 KB, and so many as there are bits. */
START_TEST(last_free_part_of_an_odd_area_is_found)
{
    static const size_t odd[] = {16 * MB + 4096, 32 * MB, 32 * MB + 4096, 64 * MB + 4096, 64 * MB + 12288, 128 * MB + 4096};
    setup_area(odd[_i]);
    while (take(64 * KB - 16) != NULL) {}
    while (take(496) != NULL) {}
    while (take(1) != NULL) {}
    struct packed_part part;
    ck_assert(ph_packed_part(rg, rg->base + odd[_i] - 1024, &part));
    ck_assert(give(part.at));
    ck_assert_ptr_eq(take(part.wanted), part.at);
    teardown_area();
}
END_TEST

/* ---- a random life, against a simple model ---- */

enum { MODEL = 3000 };

static struct {
    char *at;
    size_t bytes;
    unsigned char mark;
} model[MODEL];
static int model_count;
static uint64_t seed;

static uint32_t any(uint32_t below) { return room_random(&seed) % below; }

static size_t any_size(void)
{
    switch (any(8)) {
    case 0: return any(20);
    case 1: return LONG - 32 + any(64);
    case 2: return any(20000);
    case 3: return any(100000);
    default: return any(700);
    }
}

static void mark(int i)
{
    model[i].mark = (unsigned char)any(256);
    memset(model[i].at, model[i].mark, model[i].bytes);
}

static void check_mark(int i, size_t bytes)
{
    ck_assert_uint_eq(wanted_of(model[i].at), model[i].bytes);
    for (size_t j = 0; j < bytes; j += j < 64 || j + 64 > bytes ? 1 : 61)
        if ((unsigned char)model[i].at[j] != model[i].mark) ck_abort_msg("block %d was overwritten at %zu", i, j);
}

static void model_take(void)
{
    const size_t bytes = any_size(), align = any(6) == 0 ? (size_t)16 << any(9) : 16;
    char *at = take_at(bytes, align);
    if (at == NULL || model_count == MODEL) {
        if (at != NULL) ck_assert(give(at));
        return;
    }
    ck_assert_uint_eq((uintptr_t)at % align, 0);
    model[model_count].at = at;
    model[model_count].bytes = bytes;
    mark(model_count++);
}

static void model_give(void)
{
    const int i = (int)any((uint32_t)model_count);
    check_mark(i, model[i].bytes);
    ck_assert(ph_packed_give(rg, model[i].at, true));
    model[i] = model[--model_count];
}

static void model_resize(void)
{
    const int i = (int)any((uint32_t)model_count);
    const size_t before = model[i].bytes, bytes = any_size();
    const bool done = ph_packed_resize(&bare, rg, model[i].at, bytes, true);
    if (bytes <= before) ck_assert(done); /* W32 3.4: always possible */
    if (done) model[i].bytes = bytes;
    check_mark(i, bytes < before ? bytes : before);
    mark(i);
}

static int by_address(const void *a, const void *b)
{
    const struct packed_part *const *x = a, *const *y = b;
    return (*x)->at < (*y)->at ? -1 : (*x)->at > (*y)->at;
}

/* Parts follow each other without a gap, no two free ones do, and the live ones are the model's. */
static void check_tiles(void)
{
    static struct packed_part parts[2 * MODEL + 8];
    static const struct packed_part *sorted[2 * MODEL + 8];
    int count = 0, live = 0;
    struct packed_part part;
    char *const top = rg->base + (pk->top << GRANULE_BITS);
    bool before_free = false;
    for (char *at = rg->base + CONTROL; at < top; at = part.at + part.bytes) {
        ck_assert(ph_packed_part(rg, at, &part));
        ck_assert_ptr_eq(part.at, at);
        ck_assert_uint_gt(part.bytes, 0);
        ck_assert_uint_le(part.wanted, part.bytes);
        ck_assert(part.live || !before_free);
        before_free = !part.live;
        ck_assert_int_lt(count, COUNT(parts));
        parts[count] = part;
        sorted[count] = &parts[count];
        count++;
        live += part.live;
        struct packed_part inside;
        ck_assert(ph_packed_part(rg, part.at + any((uint32_t)part.bytes), &inside));
        ck_assert_ptr_eq(inside.at, part.at);
    }
    ck_assert(!before_free);
    ck_assert(!ph_packed_part(rg, top, &part));
    ck_assert_int_eq(live, model_count);
    for (int i = 0; i < model_count; i++) {
        const struct packed_part key = {.at = model[i].at}, *wanted = &key;
        const struct packed_part *const *found = bsearch(&wanted, sorted, (size_t)count, sizeof *sorted, by_address);
        ck_assert_ptr_nonnull(found);
        ck_assert((*found)->live);
        ck_assert_uint_eq((*found)->wanted, model[i].bytes);
    }
}

/* The largest free part, and the memory beyond the top, can be had as one block each. */
static void check_largest(void)
{
    size_t largest = 0;
    struct packed_part part;
    char *const top = rg->base + (pk->top << GRANULE_BITS);
    for (char *at = rg->base + CONTROL; at < top; at = part.at + part.bytes) {
        ck_assert(ph_packed_part(rg, at, &part));
        if (!part.live && part.bytes > largest) largest = part.bytes;
    }
    const size_t beyond = (pk->granules - pk->top) << GRANULE_BITS;
    if (beyond > largest) largest = beyond;
    ck_assert_ptr_null(take(largest + 1));
    char *block = largest > 0 ? take(largest) : NULL;
    ck_assert(largest == 0 || block != NULL);
    ck_assert(ph_packed_is_valid(rg));
    if (block != NULL) ck_assert(give(block));
}

static void model_live(int steps)
{
    for (int step = 0; step < steps; step++) {
        const bool fills = step / 1500 % 2 == 0;
        const uint32_t what = any(10);
        if (model_count == 0 || what < (fills ? 6 : 2))
            model_take();
        else if (what < 8)
            model_give();
        else
            model_resize();
        if (step % 200 == 199) {
            ck_assert(ph_packed_is_valid(rg));
            check_tiles();
            check_largest();
        }
    }
}

START_TEST(random_life_agrees_with_a_model)
{
    setup_area(areas[_i % COUNT(areas)]);
    model_count = 0;
    seed = (uint64_t)_i + 1;
    model_live(6000);
    while (model_count > 0)
        model_give();
    ck_assert_uint_eq(used(), 0);
    model_live(600);
    ph_packed_reset(rg);
    model_count = 0;
    ck_assert(ph_packed_is_valid(rg));
    ck_assert_uint_eq(used(), 0);
    model_live(600);
    teardown_area();
}
END_TEST

START_TEST(random_life_without_joining_keeps_every_block)
{
    enum { HELD = 200 };
    char *held[HELD] = {NULL};
    seed = (uint64_t)_i + 1;
    for (int step = 0; step < 5000; step++) {
        const uint32_t i = any(HELD);
        if (held[i] != NULL) {
            ck_assert_uint_eq(wanted_of(held[i]), i * 9);
            ck_assert(ph_packed_give(rg, held[i], false));
            held[i] = NULL;
        } else {
            held[i] = take(i * 9);
        }
        if (step % 100 == 99) ck_assert(ph_packed_is_valid(rg));
        if (step % 1000 == 999) ph_packed_join(rg);
    }
    for (uint32_t i = 0; i < HELD; i++)
        if (held[i] != NULL) ck_assert(ph_packed_give(rg, held[i], false));
    ph_packed_join(rg);
    ck_assert_uint_eq(used(), 0);
}
END_TEST

/* ---- the shadow ---- */

START_TEST(shadow_of_a_small_use_is_small)
{
    for (int i = 0; i < 10; i++)
        (void)take(100);
    ck_assert_uint_le(pk->shadowed, 256);
}
END_TEST

START_TEST(shadow_lies_outside_the_area) /* a program that writes past its blocks never reaches it */
{
    char *block = take(64 * KB - CONTROL);
    memset(block, 0xff, 64 * KB - CONTROL);
    ck_assert_uint_eq(wanted_of(block), 64 * KB - CONTROL);
    ck_assert(ph_packed_is_valid(rg));
    ck_assert(give(block));
}
END_TEST

/* Two live blocks of 5 and 100 granules, a free part of 100 between them and one of 3 behind; then a wall. */
enum { SHORT_LIVE = 1, LONG_LIVE = 6, LONG_FREE = 106, WALL = 206, SHORT_FREE = 207, END_WALL = 210 };

static void setup_parts(void)
{
    setup_16_units();
    char *part[6] = {take(5 * 16 - 3), take(100 * 16), take(100 * 16), take(16), take(3 * 16), take(7)};
    ck_assert(give(part[2]) && give(part[4]));
    ck_assert_uint_eq(pk->top, END_WALL + 1);
    ck_assert(ph_packed_is_valid(rg));
}

static const struct {
    unsigned at;
    uint8_t bits;
} damages[] = {
    {0, 0x01},           {0, 0x80},              {SHORT_LIVE, 0x80},      {SHORT_LIVE, 0x40},      {SHORT_LIVE, 0x02},
    {SHORT_LIVE, 0x01},  {SHORT_LIVE, 0x3e},     {SHORT_LIVE, 0xff},      {SHORT_LIVE + 1, 0x02},  {SHORT_LIVE + 1, 0x01},
    {SHORT_LIVE + 1, 0x80}, {SHORT_LIVE + 2, 0x01}, {SHORT_LIVE + 4, 0x80}, {LONG_LIVE, 0xc0},     {LONG_LIVE + 1, 0x40},
    {LONG_LIVE + 2, 0x08}, {LONG_LIVE + 4, 0x03}, {LONG_LIVE + 7, 0x40},  {LONG_LIVE + 50, 0x01},  {LONG_FREE, 0x40},
    {LONG_FREE, 0x02},   {LONG_FREE, 0x03},      {LONG_FREE + 2, 0x02},   {LONG_FREE + 50, 0x80},  {WALL - 1, 0x02},
    {WALL - 1, 0x80},    {WALL - 2, 0x06},       {WALL - 7, 0x02},        {WALL, 0xff},            {SHORT_FREE, 0x42},
    {SHORT_FREE + 1, 0x06}, {SHORT_FREE + 2, 0x02}, {SHORT_FREE + 2, 0x80}, {END_WALL, 0x80},      {END_WALL + 1, 0x01},
    {END_WALL + 9, 0x80},
};

START_TEST(valid_rejects_a_changed_shadow_byte) /* W32 3.7 */
{
    pk->shadow[damages[_i].at] ^= damages[_i].bits;
    ck_assert(!ph_packed_is_valid(rg));
    pk->shadow[damages[_i].at] ^= damages[_i].bits;
    ck_assert(ph_packed_is_valid(rg));
}
END_TEST

START_TEST(valid_rejects_every_flip_of_one_bit)
{
    for (unsigned at = 0; at <= END_WALL + 3; at++) {
        pk->shadow[at] ^= (uint8_t)(1u << _i);
        if (ph_packed_is_valid(rg)) ck_abort_msg("granule %u", at);
        pk->shadow[at] ^= (uint8_t)(1u << _i);
    }
}
END_TEST

START_TEST(damaged_shadow_leads_nowhere_else) /* refused or served, but never out of bounds or without end */
{
    seed = (uint64_t)_i + 1;
    uint8_t good[256];
    memcpy(good, pk->shadow, sizeof good);
    const struct packed was = *pk;
    for (int round = 0; round < 300; round++) {
        struct packed_part part;
        for (int i = 0; i < 4; i++)
            pk->shadow[any(END_WALL + 1)] = (uint8_t)any(256);
        (void)ph_packed_is_valid(rg);
        for (char *at = rg->base + CONTROL; at < rg->base + 256 * 16; at += 16) {
            if (ph_packed_part(rg, at, &part)) ck_assert(part.at <= at && part.at + part.bytes <= rg->base + (pk->top << GRANULE_BITS));
            (void)is_live(at);
        }
        memcpy(pk->shadow, good, sizeof good);
        *pk = was;
    }
    ck_assert(ph_packed_is_valid(rg));
}
END_TEST

START_TEST(valid_rejects_bounds_that_are_wrong)
{
    const struct packed was = *pk;
    pk->top--;
    ck_assert(!ph_packed_is_valid(rg));
    *pk = was;
    pk->top++;
    ck_assert(!ph_packed_is_valid(rg));
    *pk = was;
    pk->top = 0;
    ck_assert(!ph_packed_is_valid(rg));
    *pk = was;
    pk->top = pk->granules + 1;
    ck_assert(!ph_packed_is_valid(rg));
    *pk = was;
    pk->high = pk->top - 1;
    ck_assert(!ph_packed_is_valid(rg));
    *pk = was;
    pk->bins = 0; /* the free parts are lost */
    ck_assert(!ph_packed_is_valid(rg));
    *pk = was;
    memset(pk->cards, 0, sizeof pk->cards);
    ck_assert(!ph_packed_is_valid(rg));
    *pk = was;
    ck_assert(ph_packed_is_valid(rg));
}
END_TEST

START_TEST(reset_forgets_every_block)
{
    ph_packed_reset(rg);
    ck_assert(ph_packed_is_valid(rg));
    ck_assert_uint_eq(used(), 0);
    ck_assert(!is_live(rg->base + CONTROL));
    bool zero = true;
    ck_assert_ptr_eq(ph_packed_take(&bare, rg, 60 * KB, 16, &zero), rg->base + CONTROL);
    ck_assert(!zero);
}
END_TEST

/* ---- without memory ---- */

static void drop_and_add_without_memory(void *nothing)
{
    (void)nothing;
    ph_packed_drop(rg);
    room_limit(0);
    CHILD_NEEDS(!ph_packed_add(rg, rg->units)); /* its shadow is a mapping */
    CHILD_NEEDS(rg->packed == NULL);
    CHILD_NEEDS(ph_packed_add(rg, 16)); /* nothing is mapped for little */
}

START_TEST(without_memory_there_is_no_packed_memory)
{
    setup_area(64 * MB);
    (void)take(1);
    room_lives(drop_and_add_without_memory, NULL);
    teardown_area();
}
END_TEST

static void add_blocks(Suite *suite)
{
    TCase *blocks = room_case(suite, "take, give", setup_16_units, teardown_area);
    tcase_add_test(blocks, every_size_is_remembered_to_the_byte);
    tcase_add_test(blocks, impossible_sizes_are_refused);
    tcase_add_test(blocks, only_the_start_of_a_live_block_is_one);
    tcase_add_test(blocks, zero_is_said_of_memory_that_nobody_had);
    tcase_add_test(blocks, shadow_of_a_small_use_is_small);
    tcase_add_test(blocks, shadow_lies_outside_the_area);
    TCase *join = room_case(suite, "join", setup_16_units, teardown_area);
    tcase_add_loop_test(join, neighbours_join_in_any_order, 0, 6 * 9);
    tcase_add_test(join, what_is_freed_last_is_virgin_again);
    tcase_add_test(join, without_joining_neighbours_stay_apart_until_they_are_joined);
    tcase_add_test(join, joining_leaves_live_blocks_alone);
    TCase *resize = room_case(suite, "resize", setup_16_units, teardown_area);
    tcase_add_test(resize, resize_without_room_changes_nothing);
    tcase_add_test(resize, what_a_shrunken_block_leaves_joins_what_is_behind);
}

static void add_areas(Suite *suite)
{
    TCase *larger = room_case(suite, "256 KB", setup_256_kb, teardown_area);
    tcase_add_loop_test(larger, block_stands_at_its_alignment_and_what_is_before_serves, 0, 12);
    tcase_add_loop_test(larger, aligned_block_comes_out_of_a_hole, 0, 11);
    tcase_add_test(larger, resize_to_any_size_where_there_is_room);
    tcase_add_loop_test(larger, full_area_serves_the_same_again, 0, 7);
    tcase_add_test(larger, block_near_the_bound_is_served);
    tcase_add_loop_test(larger, random_life_without_joining_keeps_every_block, 0, 3);
    TCase *sides = tcase_create("areas");
    tcase_add_loop_test(sides, free_part_is_found_wherever_it_is, 0, COUNT(areas));
    tcase_add_loop_test(sides, last_free_part_of_an_odd_area_is_found, 0, 6);
    tcase_add_loop_test(sides, random_life_agrees_with_a_model, 0, 2 * COUNT(areas));
    tcase_add_test(sides, without_memory_there_is_no_packed_memory);
    suite_add_tcase(suite, sides);
}

static void setup_4_mb(void) { setup_area(4 * MB); }

int main(void)
{
    Suite *suite = suite_create("packed");
    add_blocks(suite);
    add_areas(suite);
    TCase *many = room_case(suite, "4 MB", setup_4_mb, teardown_area);
    tcase_add_test(many, sizes_stand_side_by_side_and_each_is_remembered);
    TCase *valid = room_case(suite, "valid", setup_parts, teardown_area);
    tcase_add_loop_test(valid, valid_rejects_a_changed_shadow_byte, 0, COUNT(damages));
    tcase_add_loop_test(valid, valid_rejects_every_flip_of_one_bit, 0, 8);
    tcase_add_loop_test(valid, damaged_shadow_leads_nowhere_else, 0, 4);
    tcase_add_test(valid, valid_rejects_bounds_that_are_wrong);
    tcase_add_test(valid, reset_forgets_every_block);
    return room_run(suite);
}
