/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_fixed.c -- heaps with a maximum (W32 4): the bound, the limit of one block, exhaustion and
 * recovery, neighbours that join, and that nothing is lost for good. */
#include "check_contract.h"

static const struct {
    SIZE_T initial, maximum;
    DWORD flags;
} heaps[] = {
    { 0, 64 << 10, 0 },
    { 256 << 10, 256 << 10, 0 },
    { 0, 256 << 10, HEAP_NO_SERIALIZE },
    { 4096, 1 << 20, 0 },
    { 0, 2 << 20, 0 },
    { 0, 4 << 20, 0 },
    { 0, 1 << 20, HEAP_CREATE_ENABLE_EXECUTE },
    { 0, 300000, 0 },
};
#define HEAPS COUNT(heaps)

static HANDLE open_heap(int which)
{
    HANDLE heap = HeapCreate(heaps[which].flags, heaps[which].initial, heaps[which].maximum);
    ck_assert_ptr_nonnull(heap);
    return heap;
}

static void close_heap(HANDLE heap)
{
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}

/* The largest block that can be had just now. */
static size_t largest(HANDLE heap)
{
    size_t low = 0, high = 16 * MB; /* low can be had, high cannot */
    while (high - low > 1) {
        const size_t bytes = low + (high - low) / 2;
        void *block = HeapAlloc(heap, 0, bytes);
        if (block) {
            HeapFree(heap, 0, block);
            low = bytes;
        } else {
            high = bytes;
        }
    }
    return low;
}

enum { MOST = 1 << 15 };
static unsigned char *block[MOST];

/* Take blocks of that size until there is no room; how many. */
static int take_all(HANDLE heap, size_t bytes)
{
    int count = 0;
    while (count < MOST && (block[count] = ASK(HeapAlloc(heap, 0, bytes))) != NULL) count++;
    ck_assert_int_lt(count, MOST);
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    return count;
}

static void give_all(HANDLE heap, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_msg(HeapFree(heap, 0, block[i]) == TRUE, "block %d of %d", i, count);
}

START_TEST(block_of_253_kb_fits_a_heap_of_256_kb) /* W32 4.4 */
{
    HANDLE heap = HeapCreate(_i ? HEAP_NO_SERIALIZE : 0, _i ? 256 * KB : 0, 256 * KB);
    for (int i = 0; i < 3; i++) {
        unsigned char *one = ASK(HeapAlloc(heap, HEAP_ZERO_MEMORY, 253 * KB));
        ck_assert_ptr_nonnull(one);
        ck_assert(is_filled(one, 0, 0, 253 * KB));
        fill(one, 0xAA, 253 * KB);
        ck_assert_ptr_null(HeapAlloc(heap, 0, 253 * KB));
        ck_assert_int_eq(HeapFree(heap, 0, one), TRUE);
    }
    close_heap(heap);
}
END_TEST

START_TEST(overhead_of_an_empty_heap_is_small) /* W32 4.4 */
{
    HANDLE heap = open_heap(_i);
    const size_t maximum = (heaps[_i].maximum + PAGE - 1) & ~(PAGE - 1);
    const size_t found = largest(heap);
    ck_assert_uint_lt(found, BLOCK_LIMIT);
    ck_assert_uint_le(found, maximum);
    if (maximum - 4 * KB < BLOCK_LIMIT) ck_assert_uint_ge(found, maximum - 4 * KB);
    if (maximum >= 2 * MB) ck_assert_uint_eq(found, BLOCK_LIMIT - 1);
    close_heap(heap);
}
END_TEST

START_TEST(block_limit_holds_whatever_the_maximum) /* W32 4.3 */
{
    static const size_t over[] = { BLOCK_LIMIT, BLOCK_LIMIT + 1, MB - 1, MB,     MB + 1,
                                   3 * MB / 2,  2 * MB,          3 * MB, 16 * MB };
    static const SIZE_T maximum[] = { 2 << 20, 4 << 20, 64 << 20, (SIZE_T)1 << 30 };
    HANDLE heap = HeapCreate(0, 0, maximum[_i]);
    unsigned char *small = HeapAlloc(heap, 0, 100);
    for (int i = 0; i < COUNT(over); i++) {
        ck_assert_ptr_null(ASK(HeapAlloc(heap, 0, over[i])));
        ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
        ck_assert_ptr_null(ASK(HeapReAlloc(heap, 0, small, over[i])));
        ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
        ck_assert_ptr_null(ASK(HeapReAlloc(heap, HEAP_REALLOC_IN_PLACE_ONLY, small, over[i])));
        ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    }
    unsigned char *most = ASK(HeapAlloc(heap, 0, BLOCK_LIMIT - 1));
    ck_assert_ptr_nonnull(most);
    ck_assert_last(SENTINEL);
    fill(most, 1, BLOCK_LIMIT - 1);
    ck_assert_ptr_null(HeapReAlloc(heap, 0, most, BLOCK_LIMIT));
    ck_assert_ptr_eq(HeapReAlloc(heap, 0, most, BLOCK_LIMIT - 1), most);
    ck_assert(is_filled(most, 1, 0, BLOCK_LIMIT - 1));
    ck_assert_int_eq(HeapFree(heap, 0, most), TRUE);
    ck_assert_uint_eq(HeapSize(heap, 0, small), 100);
    small = HeapReAlloc(heap, 0, small, BLOCK_LIMIT - 1); /* by a resize as well */
    ck_assert_ptr_nonnull(small);
    ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 512 * KB));
    close_heap(heap);
}
END_TEST

static const size_t fills[] = { 0,    1,    16,   17,   100,   128,   500,   1000, 1024,
                                2000, 4096, 5000, 8192, 16384, 16385, 30000, 60000 };
#define FILLS COUNT(fills)

/* A loop test takes a part of them, in one heap. */
#define PARTS                 2
#define EACH_FILL(fill, part) for (int fill = (part) % PARTS; fill < FILLS; fill += PARTS)

/* Many small blocks in a large heap are the same again, and slow where the library is built to check itself.
 */
static bool is_tried(int which, size_t bytes)
{
    return heaps[which].maximum <= 256 * KB || bytes >= (heaps[which].maximum > MB ? 4096u : 500u);
}

START_TEST(full_heap_serves_again_what_is_given_back) /* W32 4.5 */
{
    EACH_FILL(fill_of, _i)
    {
        const size_t bytes = fills[fill_of];
        if (!is_tried(_i / PARTS, bytes)) continue;
        HANDLE heap = open_heap(_i / PARTS);
        const int count = take_all(heap, bytes);
        ck_assert_int_ge(count, 1);
        for (int i = 0; i < count; i += 1 + count / 50) { /* any one gives room for one */
            ck_assert_int_eq(HeapFree(heap, 0, block[i]), TRUE);
            block[i] = ASK(HeapAlloc(heap, 0, bytes));
            ck_assert_msg(block[i] != NULL, "%zu bytes, block %d of %d", bytes, i, count);
            ck_assert_last(SENTINEL);
        }
        give_all(heap, count);
        ck_assert_int_ge(take_all(heap, bytes), count);
        for (int i = count; i-- > 0;) /* in the other order */
            ck_assert_int_eq(HeapFree(heap, 0, block[i]), TRUE);
        ck_assert_int_ge(take_all(heap, bytes), count);
        close_heap(heap);
    }
}
END_TEST

START_TEST(heap_is_used_well_by_blocks_of_one_size) /* W32 4.4: small overhead */
{
    EACH_FILL(fill_of, _i)
    {
        const size_t bytes = fills[fill_of];
        if (!is_tried(_i / PARTS, bytes)) continue;
        HANDLE heap = open_heap(_i / PARTS);
        const size_t room = heaps[_i / PARTS].maximum - 4 * KB;
        const size_t least = room / ((bytes + 15) / 16 * 16 + 48);
        const int count = take_all(heap, bytes);
        ck_assert_msg((size_t)count >= least, "%d blocks of %zu bytes, at least %zu wanted", count, bytes,
                      least);
        ck_assert_uint_le((size_t)count * bytes, heaps[_i / PARTS].maximum + PAGE);
        close_heap(heap);
    }
}
END_TEST

START_TEST(freed_neighbours_join) /* W32 4.5 */
{
    EACH_FILL(fill_of, _i)
    {
        const size_t bytes = fills[fill_of];
        if (!is_tried(_i / PARTS, bytes)) continue;
        HANDLE heap = open_heap(_i / PARTS);
        const int count = take_all(heap, bytes);
        for (int i = 1; i + 2 < count; i += 1 + count / 40) {
            /* neighbours by address: the engine may hand them out in any order */
            int next = -1;
            for (int j = 0; j < count; j++)
                if (block[j] > block[i] && (next < 0 || block[j] < block[next])) next = j;
            if (next < 0 || block[next] > block[i] + bytes + 64) continue; /* nothing right behind it */
            ck_assert_int_eq(HeapFree(heap, 0, block[i % 2 ? i : next]), TRUE);
            ck_assert_int_eq(HeapFree(heap, 0, block[i % 2 ? next : i]), TRUE);
            unsigned char *both = 2 * bytes < BLOCK_LIMIT ? HeapAlloc(heap, 0, 2 * bytes) : NULL;
            ck_assert_msg(both != NULL, "no %zu bytes where two blocks of %zu were", 2 * bytes, bytes);
            ck_assert_int_eq(HeapFree(heap, 0, both), TRUE);
            block[i] = HeapAlloc(heap, 0, bytes);
            block[next] = HeapAlloc(heap, 0, bytes);
            ck_assert(block[i] != NULL && block[next] != NULL);
        }
        close_heap(heap);
    }
}
END_TEST

/* Chance, then nothing: an emptied heap is as good as new. */
START_TEST(emptied_heap_has_the_room_of_a_new_one) /* W32 4.5 */
{
    enum { SLOTS = 400, STEPS = 4000, SEEDS = 6 };
    const int which = _i / SEEDS;
    uint64_t state = 77 + (uint64_t)_i;
    HANDLE heap = open_heap(which), fresh = open_heap(which);
    memset(block, 0, SLOTS * sizeof *block);
    const size_t most = _i % 2 ? heaps[which].maximum / 8 : 2000;
    for (int i = 0; i < STEPS; i++) {
        unsigned char **at = &block[dice(&state) % SLOTS];
        const size_t bytes = dice(&state) % (dice(&state) % 3 ? 300 : most);
        if (!*at) {
            *at = HeapAlloc(heap, 0, bytes);
        } else if (dice(&state) % 2) {
            unsigned char *moved =
                HeapReAlloc(heap, dice(&state) % 3 ? 0 : HEAP_REALLOC_IN_PLACE_ONLY, *at, bytes);
            if (moved) *at = moved;
        } else {
            ck_assert_int_eq(HeapFree(heap, 0, *at), TRUE);
            *at = NULL;
        }
        if (*at && HeapSize(heap, 0, *at) > 0) (*at)[0] = 1;
    }
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    give_all(heap, SLOTS);
    ck_assert_uint_eq(largest(heap), largest(fresh));
    const int count = take_all(heap, 1000);
    give_all(heap, count);
    const int expected = take_all(fresh, 1000);
    ck_assert_int_eq(count, expected);
    close_heap(heap);
    close_heap(fresh);
}
END_TEST

START_TEST(tiny_heap_serves_small_blocks) /* W32 3.1 */
{
    static const size_t small[] = { 0, 1, 16, 100, 0x80, 256, 512, 1000 };
    HANDLE heap = HeapCreate(0, 0x100, 0x100);
    ck_assert_ptr_nonnull(heap);
    for (int pass = 0; pass < 100; pass++) {
        unsigned char *one = HeapAlloc(heap, HEAP_ZERO_MEMORY, small[_i]);
        ck_assert_msg(one != NULL, "%zu bytes", small[_i]);
        ck_assert(is_filled(one, 0, 0, small[_i]));
        fill(one, 0xFF, small[_i]);
        ck_assert_int_eq(HeapFree(heap, 0, one), TRUE);
    }
    ck_assert_int_ge(take_all(heap, small[_i]), 1);
    ck_assert_ptr_null(ASK(HeapAlloc(heap, 0, 4096)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    close_heap(heap);
}
END_TEST

/* ---- one range, one region, commit up to the maximum (W32 4.1, 4.2) ---- */

static void assert_one_region(HANDLE heap, size_t maximum)
{
    PROCESS_HEAP_ENTRY entry = { .lpData = NULL };
    int regions = 0;
    const char *const from = heap, *const to = from + ((maximum + PAGE - 1) & ~(PAGE - 1));
    while (ASK(HeapWalk(heap, &entry))) {
        const char *const at = entry.lpData;
        ck_assert_msg(at >= from && at + entry.cbData <= to, "entry %p outside %p..%p", entry.lpData,
                      (const void *)from, (const void *)to);
        if (!(entry.wFlags & PROCESS_HEAP_REGION)) continue;
        regions++;
        ck_assert_uint_eq((uint64_t)entry.Region.dwCommittedSize + entry.Region.dwUnCommittedSize,
                          (size_t)(to - from));
        ck_assert_ptr_eq(entry.Region.lpLastBlock, to);
    }
    ck_assert_last(ERROR_NO_MORE_ITEMS);
    ck_assert_int_eq(regions, 1);
}

START_TEST(walk_shows_one_region_however_full) /* W32 4.2 */
{
    HANDLE heap = open_heap(_i);
    assert_one_region(heap, heaps[_i].maximum);
    int count = take_all(heap, 5000);
    assert_one_region(heap, heaps[_i].maximum);
    give_all(heap, count);
    assert_one_region(heap, heaps[_i].maximum);
    count = take_all(heap, is_tried(_i, 40) ? 40 : 5000);
    assert_one_region(heap, heaps[_i].maximum);
    give_all(heap, count);
    close_heap(heap);
}
END_TEST

START_TEST(blocks_lie_in_the_one_range) /* W32 4.1 */
{
    HANDLE heap = open_heap(_i);
    const char *const to = (char *)heap + ((heaps[_i].maximum + PAGE - 1) & ~(PAGE - 1));
    for (int i = 0; i < FILLS; i++) {
        if (!is_tried(_i, fills[i])) continue;
        const int count = take_all(heap, fills[i]);
        for (int j = 0; j < count; j++)
            if ((char *)block[j] < (char *)heap || (char *)block[j] + fills[i] > to)
                ck_abort_msg("block of %zu bytes outside", fills[i]);
        give_all(heap, count);
    }
    close_heap(heap);
}
END_TEST

/* ---- resizes obey the bound (W32 4.6) ---- */

START_TEST(resizes_obey_the_bound_and_lose_nothing) /* W32 4.6 */
{
    HANDLE heap = open_heap(_i);
    size_t bytes = 16;
    unsigned char *one = HeapAlloc(heap, 0, bytes), *grown;
    fill(one, 0x42, bytes);
    for (size_t next = bytes; (grown = ASK(HeapReAlloc(heap, 0, one, next))) != NULL; next += 1000) {
        ck_assert(is_filled(grown, 0x42, 0, smaller(bytes, next)));
        one = grown;
        bytes = next;
        fill(one, 0x42, bytes);
        ck_assert_uint_lt(bytes, BLOCK_LIMIT);
    }
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_uint_eq(HeapSize(heap, 0, one), bytes);
    ck_assert(is_filled(one, 0x42, 0, bytes));
    ck_assert_uint_ge(bytes,
                      smaller(heaps[_i].maximum / 3, BLOCK_LIMIT / 2)); /* moving may need both at once */
    ck_assert_ptr_eq(HeapReAlloc(heap, HEAP_REALLOC_IN_PLACE_ONLY, one, 10), one);
    ck_assert_int_eq(HeapFree(heap, 0, one), TRUE);
    HANDLE fresh = open_heap(_i);
    ck_assert_uint_eq(largest(heap), largest(fresh));
    close_heap(fresh);
    close_heap(heap);
}
END_TEST

START_TEST(block_grows_in_place_into_a_freed_neighbour)
{
    HANDLE heap = open_heap(_i);
    unsigned char *one = HeapAlloc(heap, 0, 10000), *two = HeapAlloc(heap, 0, 10000),
                  *three = HeapAlloc(heap, 0, 10000);
    ck_assert(one && two && three);
    unsigned char *const first = one < two ? one : two, *const second = one < two ? two : one;
    fill(first, 1, 10000);
    if (second > first + 10064) { /* not neighbours: nothing is promised */
        close_heap(heap);
        return;
    }
    ck_assert_ptr_null(ASK(HeapReAlloc(heap, HEAP_REALLOC_IN_PLACE_ONLY, first, 19000)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_int_eq(HeapFree(heap, 0, second), TRUE);
    ck_assert_ptr_eq(HeapReAlloc(heap, HEAP_REALLOC_IN_PLACE_ONLY | HEAP_ZERO_MEMORY, first, 19000), first);
    ck_assert(is_filled(first, 1, 0, 10000) && is_filled(first, 0, 10000, 19000));
    close_heap(heap);
}
END_TEST

START_TEST(storage_of_an_exhausted_heap_stays_below_its_maximum)
{
    const size_t before = resident_bytes();
    HANDLE heap = HeapCreate(0, 0, 2 * MB);
    for (int pass = 0; pass < 20; pass++) {
        const int count = take_all(heap, 1000 + 700 * (size_t)pass);
        for (int i = 0; i < count; i++) fill(block[i], pass, 1000 + 700 * (size_t)pass);
        give_all(heap, count);
    }
    ck_assert_uint_lt(resident_bytes(), before + 8 * MB); /* the library's books and Check's are in it */
    close_heap(heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract fixed");
    TCase *bound = contract_case(suite, "bound");
    tcase_add_loop_test(bound, block_of_253_kb_fits_a_heap_of_256_kb, 0, 2);
    tcase_add_loop_test(bound, overhead_of_an_empty_heap_is_small, 0, HEAPS);
    tcase_add_loop_test(bound, block_limit_holds_whatever_the_maximum, 0, 4);
    tcase_add_loop_test(bound, tiny_heap_serves_small_blocks, 0, 8);
    tcase_add_loop_test(bound, walk_shows_one_region_however_full, 0, HEAPS);
    tcase_add_loop_test(bound, blocks_lie_in_the_one_range, 0, HEAPS);
    tcase_add_test(bound, storage_of_an_exhausted_heap_stays_below_its_maximum);
    TCase *full = contract_case(suite, "full and emptied");
    tcase_add_loop_test(full, full_heap_serves_again_what_is_given_back, 0, HEAPS * PARTS);
    tcase_add_loop_test(full, heap_is_used_well_by_blocks_of_one_size, 0, HEAPS * PARTS);
    tcase_add_loop_test(full, freed_neighbours_join, 0, HEAPS * PARTS);
    tcase_add_loop_test(full, emptied_heap_has_the_room_of_a_new_one, 0, HEAPS * 6);
    TCase *resize = contract_case(suite, "resizes");
    tcase_add_loop_test(resize, resizes_obey_the_bound_and_lose_nothing, 0, HEAPS);
    tcase_add_loop_test(resize, block_grows_in_place_into_a_freed_neighbour, 0, HEAPS);
    return contract_run(suite);
}
