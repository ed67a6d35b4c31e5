/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_walk.c -- what HeapWalk shows (W32 3.10): the entries of a region tile it, each live block
 * is there once with its exact size, and the numbers of a region agree with one another.  The state of a walk
 * is in check_contract_steps.c. */
#include "check_contract.h"

static const struct kind *kind;
static HANDLE heap;

#define NEED(cond) ck_assert_msg(cond, "%s: %s", kind->name, #cond)

enum { MOST = 1 << 16, BLOCKS = 1200 };
static PROCESS_HEAP_ENTRY shown[MOST];
static int count;
static unsigned char *block[BLOCKS];
static size_t bytes_of[BLOCKS];
static int blocks;

static void walk(void)
{
    PROCESS_HEAP_ENTRY entry;
    memset(&entry, 0xCD, sizeof entry); /* all ignored but lpData */
    entry.lpData = NULL;
    count = 0;
    while (ASK(HeapWalk(heap, &entry))) {
        ck_assert_last(SENTINEL);
        NEED(count < MOST);
        shown[count++] = entry;
    }
    ck_assert_last(ERROR_NO_MORE_ITEMS);
    ck_assert_int_eq(ASK(HeapWalk(heap, &entry)), FALSE); /* and again */
    ck_assert_last(ERROR_NO_MORE_ITEMS);
}

#define NEED_AT(cond)                                                                                        \
    ck_assert_msg(cond, "%s, entry %d of %d (%p, %u + %u bytes, flags %u): %s", kind->name, i, count,        \
                  shown[i].lpData, shown[i].cbData, shown[i].cbOverhead, shown[i].wFlags, #cond)

/* One region, whose entry is number `i`; the number behind its last. */
static int assert_tiled(int i)
{
    const PROCESS_HEAP_ENTRY *const region = &shown[i];
    char *const first = region->Region.lpFirstBlock, *const last = region->Region.lpLastBlock;
    const uint64_t reserved = (uint64_t)region->Region.dwCommittedSize + region->Region.dwUnCommittedSize;
    uint64_t uncommitted = 0;
    NEED_AT(region->cbOverhead == 0); /* D13 */
    NEED_AT(region->cbData <= 0x1000);
    NEED_AT(last == (char *)region->lpData + reserved);
    NEED_AT(first >= (char *)region->lpData + region->cbData && first < last);
    char *at = first;
    for (i++; i < count && !(shown[i].wFlags & PROCESS_HEAP_REGION); i++) {
        if (shown[i].iRegionIndex != region->iRegionIndex) break; /* the blocks with own mappings begin */
        char *const data = shown[i].lpData;
        NEED_AT(uncommitted == 0 || shown[i].wFlags == PROCESS_HEAP_UNCOMMITTED_RANGE);
        if (at == first && data > at)
            at = data - at <= 64 ? data : at; /* bookkeeping before the first block */
        NEED_AT(data == at);
        at = data + shown[i].cbData + shown[i].cbOverhead;
        NEED_AT(at <= last);
        if (shown[i].wFlags != PROCESS_HEAP_UNCOMMITTED_RANGE) continue;
        NEED_AT(shown[i].cbOverhead == 0);
        uncommitted += shown[i].cbData;
    }
    ck_assert_msg(at == last, "%s: %td bytes of region %u are not shown", kind->name, last - at,
                  region->iRegionIndex);
    ck_assert_msg(uncommitted == region->Region.dwUnCommittedSize,
                  "%s: %zu bytes uncommitted, region says %u", kind->name, (size_t)uncommitted,
                  region->Region.dwUnCommittedSize);
    return i;
}

static bool is_in_region(const void *at)
{
    for (int i = 0; i < count; i++)
        if (shown[i].wFlags & PROCESS_HEAP_REGION && at >= shown[i].lpData &&
            at < shown[i].Region.lpLastBlock)
            return true;
    return false;
}

static void assert_walk_is_right(void)
{
    static const char zero[24];
    walk();
    int i = 0, regions = 0;
    NEED_AT(shown[0].lpData == heap && shown[0].wFlags == PROCESS_HEAP_REGION);
    while (i < count && shown[i].wFlags == PROCESS_HEAP_REGION) {
        NEED_AT(shown[i].iRegionIndex == regions);
        regions++;
        i = assert_tiled(i);
    }
    if (kind->maximum) NEED_AT(regions == 1 && i == count);
    for (; i < count; i++) { /* W32 3.10: large blocks come last */
        NEED_AT(shown[i].wFlags == PROCESS_HEAP_ENTRY_BUSY);
        NEED_AT(shown[i].iRegionIndex >= regions);
        NEED_AT(shown[i].cbOverhead <= 64);
        NEED_AT(!is_in_region(shown[i].lpData));
    }
    for (i = 0; i < count; i++) {
        NEED_AT((shown[i].wFlags & ~7u) == 0);
        if (shown[i].wFlags == PROCESS_HEAP_REGION) continue;
        NEED_AT(memcmp(&shown[i].Block, zero, sizeof zero) == 0);
    }
}

/* The live blocks, and no others, are busy; HeapValidate says the same of each entry. */
static void assert_blocks_are_shown(void)
{
    int busy = 0;
    for (int i = 0; i < count; i++) {
        const bool is_busy = shown[i].wFlags & PROCESS_HEAP_ENTRY_BUSY;
        busy += is_busy;
        NEED_AT(HeapValidate(heap, 0, shown[i].lpData) == is_busy);
        if (is_busy) NEED_AT(HeapSize(heap, 0, shown[i].lpData) == shown[i].cbData);
    }
    if (!kind->process) NEED(busy == blocks);
    for (int j = 0; j < blocks; j++) {
        int times = 0;
        for (int i = 0; i < count; i++)
            if (shown[i].lpData == block[j] && shown[i].wFlags == PROCESS_HEAP_ENTRY_BUSY) {
                NEED_AT(shown[i].cbData == bytes_of[j]);
                times++;
            }
        ck_assert_msg(times == 1, "%s: block of %zu bytes shown %d times", kind->name, bytes_of[j], times);
    }
}

static void take(size_t bytes)
{
    block[blocks] = HeapAlloc(heap, kind->call_flags, bytes);
    NEED(block[blocks] != NULL);
    bytes_of[blocks++] = bytes;
}

static void give(int which)
{
    NEED(HeapFree(heap, kind->call_flags, block[which]));
    blocks--;
    block[which] = block[blocks];
    bytes_of[which] = bytes_of[blocks];
}

static void begin(int which)
{
    kind = &kinds[which];
    heap = kind_open(kind);
    blocks = 0;
}

static void end(void)
{
    while (blocks) give(blocks - 1);
    kind_close(kind, heap);
}

/* ---- the tests ---- */

START_TEST(empty_heap_is_tiled)
{
    begin(_i);
    assert_walk_is_right();
    assert_blocks_are_shown();
    if (!kind->maximum && kind->initial == 0 && !kind->process)
        NEED((uint64_t)shown[0].Region.dwCommittedSize + shown[0].Region.dwUnCommittedSize >=
             4 * MB); /* D3 */
    if (kind->initial) NEED(shown[0].Region.dwCommittedSize >= kind->initial);
    NEED(count >= 2); /* its free block */
    end();
}
END_TEST

START_TEST(block_of_each_size_is_shown_once_among_tiles)
{
    EACH_CELL(cell, _i)
    {
        begin(cell / SIZES);
        const size_t bytes = sizes[cell % SIZES];
        if (kind_has_room(kind, bytes, 1)) {
            take(bytes);
            assert_walk_is_right();
            assert_blocks_are_shown();
            give(0);
            assert_walk_is_right();
            assert_blocks_are_shown();
        }
        end();
    }
}
END_TEST

START_TEST(heap_is_tiled_after_use_by_chance)
{
    uint64_t state = 3 + (uint64_t)_i;
    begin(_i / 4);
    if (!kind_raises(kind)) {
        const size_t most = kind->maximum ? kind->maximum / 8 : 200 * KB;
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 1000; i++) {
                const size_t bytes = dice(&state) % (dice(&state) % 8 ? 400 : most);
                if (blocks > 0 && (dice(&state) % 3 == 0 || blocks > BLOCKS - 10)) {
                    give((int)(dice(&state) % (unsigned)blocks));
                } else if (blocks > 0 && dice(&state) % 3 == 0) {
                    const int which = (int)(dice(&state) % (unsigned)blocks);
                    void *moved = HeapReAlloc(heap, kind->call_flags, block[which], bytes);
                    if (moved) block[which] = moved, bytes_of[which] = bytes;
                } else if ((block[blocks] = HeapAlloc(heap, kind->call_flags, bytes)) != NULL) {
                    bytes_of[blocks++] = bytes;
                }
            }
            assert_walk_is_right();
            assert_blocks_are_shown();
        }
    }
    end();
    begin(_i / 4);
    assert_walk_is_right();
    end();
}
END_TEST

START_TEST(every_small_size_is_shown_exactly)
{
    begin(_i);
    const size_t most = kind->maximum == 64 * KB ? 250 : kind->maximum && kind->maximum < 2 * MB ? 500 : 1100;
    for (size_t bytes = 0; bytes < most; bytes++) take(bytes);
    assert_walk_is_right();
    assert_blocks_are_shown();
    while (blocks > 1) give(blocks / 2);
    assert_walk_is_right();
    assert_blocks_are_shown();
    end();
}
END_TEST

START_TEST(freed_blocks_are_free_and_joined)
{
    begin(_i);
    for (int i = 0; i < 8; i++) take(3000);
    const int before = (walk(), count);
    while (blocks) give(0);
    assert_walk_is_right();
    assert_blocks_are_shown();
    NEED(count < before); /* eight blocks became free space, which is one */
    end();
}
END_TEST

START_TEST(growing_heap_has_more_regions_each_tiled) /* W32 5.1 */
{
    begin(_i);
    for (int i = 0; i < 300; i++) take(40000 + 13 * (size_t)i); /* 12 MB */
    take(0);
    take(5 << 20);
    take(3 << 20);
    assert_walk_is_right();
    assert_blocks_are_shown();
    NEED(shown[count - 1].wFlags == PROCESS_HEAP_ENTRY_BUSY &&
         shown[count - 2].wFlags == PROCESS_HEAP_ENTRY_BUSY);
    NEED(shown[count - 1].cbData >= 3 << 20 && shown[count - 2].cbData >= 3 << 20);
    end();
}
END_TEST

START_TEST(committed_part_never_shrinks_below_the_blocks)
{
    begin(_i);
    for (int i = 0; i < 20; i++) {
        take(1500);
        uint64_t busy = 0, committed = 0;
        walk();
        for (int j = 0; j < count; j++) {
            if (shown[j].wFlags == PROCESS_HEAP_REGION) committed += shown[j].Region.dwCommittedSize;
            if (shown[j].wFlags == PROCESS_HEAP_ENTRY_BUSY && is_in_region(shown[j].lpData))
                busy += shown[j].cbData;
        }
        NEED(committed >= busy);
    }
    end();
}
END_TEST

START_TEST(free_entries_are_memory_that_may_be_read)
{
    begin(_i);
    for (int i = 0; i < 10; i++) take(2000);
    for (int i = 9; i >= 0; i -= 2) give(i);
    walk();
    for (int i = 0; i < count; i++)
        if (shown[i].wFlags == 0 && shown[i].cbData > 0) {
            NEED_AT(rights_of(shown[i].lpData).may[1] == 'w'); /* committed part only */
            NEED_AT(rights_of((char *)shown[i].lpData + shown[i].cbData - 1).may[1] == 'w');
        }
    end();
}
END_TEST

START_TEST(block_of_5_gb_is_shown_saturated) /* D24 */
{
    begin(0);
    const SIZE_T bytes = (SIZE_T)5 << 30;
    void *huge = HeapAlloc(heap, 0, bytes);
    if (huge) { /* else a machine that does not promise so much */
        ck_assert_uint_eq(HeapSize(heap, 0, huge), bytes);
        walk();
        ck_assert_ptr_eq(shown[count - 1].lpData, huge);
        ck_assert_uint_eq(shown[count - 1].cbData, 0xFFFFFFFFu);
        ck_assert_uint_eq(shown[count - 1].wFlags, PROCESS_HEAP_ENTRY_BUSY);
        ck_assert_int_eq(HeapFree(heap, 0, huge), TRUE);
        walk();
        for (int i = 0; i < count; i++) ck_assert(!(shown[i].wFlags & PROCESS_HEAP_ENTRY_BUSY));
    }
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract walk");
    TCase *tiles = contract_case(suite, "tiles");
    tcase_add_loop_test(tiles, empty_heap_is_tiled, 0, KINDS);
    tcase_add_loop_test(tiles, block_of_each_size_is_shown_once_among_tiles, 0, QUARTERS);
    tcase_add_loop_test(tiles, heap_is_tiled_after_use_by_chance, 0, 4 * KINDS);
    tcase_add_loop_test(tiles, every_small_size_is_shown_exactly, 0, KINDS);
    tcase_add_loop_test(tiles, freed_blocks_are_free_and_joined, 0, KINDS);
    tcase_add_loop_test(tiles, growing_heap_has_more_regions_each_tiled, 0, 7);
    tcase_add_loop_test(tiles, committed_part_never_shrinks_below_the_blocks, 0, KINDS);
    tcase_add_loop_test(tiles, free_entries_are_memory_that_may_be_read, 0, KINDS);
    tcase_add_test(tiles, block_of_5_gb_is_shown_saturated);
    return contract_run(suite);
}
