/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_sizeclass.c -- the size table: its steps, its look-ups, the multiplication that proves a start. */
#include "check_room.h"

/* ---- the table ---- */

START_TEST(sizes_are_multiples_of_16_and_rise)
{
    for (int c = 0; c < CLASS_COUNT; c++) {
        ck_assert_uint_eq(ph_class_bytes[c] % 16, 0);
        if (c > 0) ck_assert_uint_gt(ph_class_bytes[c], ph_class_bytes[c - 1]);
    }
    ck_assert_uint_eq(ph_class_bytes[0], 16);
    ck_assert_uint_eq(ph_class_bytes[CLASS_COUNT - 1], CLASS_BYTES);
}
END_TEST

START_TEST(steps_are_16_bytes_or_at_most_an_eighth)
{
    for (int c = 1; c < CLASS_COUNT; c++) {
        const unsigned step = ph_class_bytes[c] - ph_class_bytes[c - 1];
        ck_assert(step == 16 || step * 8 <= ph_class_bytes[c - 1]);
    }
}
END_TEST

/* ---- look-ups ---- */

START_TEST(look_up_gives_the_smallest_class_that_holds_the_size)
{
    for (size_t bytes = 0; bytes <= CLASS_BYTES; bytes++) {
        const unsigned c = class_of(bytes);
        ck_assert_uint_lt(c, CLASS_COUNT);
        ck_assert_uint_le(bytes, ph_class_bytes[c]);
        if (c > 0) ck_assert_uint_gt(bytes, ph_class_bytes[c - 1]);
    }
}
END_TEST

START_TEST(small_and_medium_look_ups_agree_where_both_know)
{
    for (unsigned bytes = 128; bytes <= SMALL_BYTES; bytes += 128)
        ck_assert_uint_eq(ph_class_small[bytes / 16], ph_class_medium[bytes / 128]);
}
END_TEST

/* ---- the magic ---- */

START_TEST(magic_tells_starts_of_blocks_from_other_offsets)
{
    const uint64_t magic = ph_class_magic[_i];
    const unsigned bytes = ph_class_bytes[_i];
    uint64_t wrong = 0;
    for (uint64_t offset = 0; offset < 1u << 18; offset++)
        wrong += (offset * magic < magic) != (offset % bytes == 0);
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(magic_divides_exactly)
{
    const uint64_t magic = ph_class_magic[_i];
    uint64_t wrong = 0;
    for (uint64_t offset = 0; offset < 1u << 18; offset++)
        wrong += (uint64_t)((unsigned __int128)offset * magic >> 64) != offset / ph_class_bytes[_i];
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* ---- alignment ---- */

static unsigned aligned_by_hand(size_t bytes, size_t align)
{
    for (unsigned c = 0; c < CLASS_COUNT; c++)
        if (ph_class_bytes[c] >= bytes && ph_class_bytes[c] >= align && ph_class_bytes[c] % align == 0) return c;
    return CLASS_COUNT;
}

START_TEST(aligned_class_is_the_smallest_multiple_of_the_alignment)
{
    const size_t align = (size_t)1 << _i;
    for (size_t bytes = 0; bytes <= CLASS_BYTES; bytes++)
        if (ph_class_aligned(bytes, align) != aligned_by_hand(bytes, align))
            ck_abort_msg("%zu bytes at %zu", bytes, align);
}
END_TEST

START_TEST(no_class_serves_more_than_a_unit_of_alignment)
{
    for (size_t align = 2 * UNIT_BYTES; align != 0; align *= 2)
        ck_assert_uint_eq(ph_class_aligned(1, align), CLASS_COUNT);
}
END_TEST

START_TEST(no_class_serves_more_than_the_largest_size)
{
    ck_assert_uint_eq(ph_class_aligned(CLASS_BYTES, 4096), CLASS_COUNT - 1);
    ck_assert_uint_eq(ph_class_aligned(CLASS_BYTES + 1, 16), CLASS_COUNT);
    ck_assert_uint_eq(ph_class_aligned(SIZE_MAX, 4096), CLASS_COUNT);
}
END_TEST

/* ---- units of a page ---- */

START_TEST(page_holds_a_block_and_no_more_than_its_bits)
{
    for (unsigned wish = 0; wish <= PAGE_UNITS; wish++) {
        const unsigned units = ph_class_page_units((unsigned)_i, wish);
        const unsigned blocks = units * UNIT_BYTES / ph_class_bytes[_i];
        ck_assert_uint_ge(units, 1);
        ck_assert_uint_le(units, PAGE_UNITS);
        ck_assert_uint_ge(blocks, 1);
        ck_assert_uint_le(blocks, PAGE_BLOCKS);
        ck_assert(2 * units > wish || blocks == PAGE_BLOCKS); /* some less, where less is left over */
    }
}
END_TEST

START_TEST(page_below_the_largest_leaves_at_most_an_eighth_over)
{
    for (unsigned wish = 0; wish <= PAGE_UNITS; wish++) {
        const unsigned bytes = ph_class_page_units((unsigned)_i, wish) * UNIT_BYTES;
        if (bytes < PAGE_UNITS * UNIT_BYTES) ck_assert_uint_le(bytes % ph_class_bytes[_i], bytes / 8);
    }
}
END_TEST

/* Thousands of blocks of one size: what each page leaves over adds up. */
START_TEST(largest_page_leaves_next_to_nothing_over)
{
    const unsigned bytes = ph_class_page_units((unsigned)_i, PAGE_UNITS) * UNIT_BYTES;
    ck_assert_uint_le(bytes % ph_class_bytes[_i], bytes / 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sizeclass");
    TCase *table = tcase_create("table");
    tcase_add_test(table, sizes_are_multiples_of_16_and_rise);
    tcase_add_test(table, steps_are_16_bytes_or_at_most_an_eighth);
    tcase_add_test(table, look_up_gives_the_smallest_class_that_holds_the_size);
    tcase_add_test(table, small_and_medium_look_ups_agree_where_both_know);
    suite_add_tcase(suite, table);
    TCase *magic = tcase_create("magic");
    tcase_add_loop_test(magic, magic_tells_starts_of_blocks_from_other_offsets, 0, CLASS_COUNT);
    tcase_add_loop_test(magic, magic_divides_exactly, 0, CLASS_COUNT);
    suite_add_tcase(suite, magic);
    TCase *aligned = tcase_create("aligned");
    tcase_add_loop_test(aligned, aligned_class_is_the_smallest_multiple_of_the_alignment, 4, UNIT_BITS + 1);
    tcase_add_test(aligned, no_class_serves_more_than_a_unit_of_alignment);
    tcase_add_test(aligned, no_class_serves_more_than_the_largest_size);
    suite_add_tcase(suite, aligned);
    TCase *units = tcase_create("page units");
    tcase_add_loop_test(units, page_holds_a_block_and_no_more_than_its_bits, 0, CLASS_COUNT);
    tcase_add_loop_test(units, page_below_the_largest_leaves_at_most_an_eighth_over, 0, CLASS_COUNT);
    tcase_add_loop_test(units, largest_page_leaves_next_to_nothing_over, 0, CLASS_COUNT);
    suite_add_tcase(suite, units);
    return room_run(suite);
}
