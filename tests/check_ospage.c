/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_ospage.c -- OS pages larger than this machine's: what is reserved, committed and purged is whole ones. */
#include "check_room.h"

#include <sys/mman.h>

enum {
    MB = 1 << 20,
    OS_PAGE = 65536, /* pretended, each time in a child: the heaps of this process stand in the machine's own */
    OS_PAGE_UNITS = OS_PAGE / UNIT_BYTES,
};

static void pretend(void) { CHILD_NEEDS(ph_os_page_pretend(OS_PAGE)); }

/* ---- os.c ---- */

static char *area; /* what the test mapped */
static size_t page;

static void setup_page(void) { page = ph_os_page_bytes(); }

static const size_t no_page[] = {0, 1, 100, 2048, 4097, 12288, 40000};

START_TEST(only_a_power_of_two_of_whole_pages_is_taken_for_a_page)
{
    ck_assert(!ph_os_page_pretend(no_page[_i]));
    ck_assert_uint_eq(ph_os_page_bytes(), page);
    ck_assert(ph_os_page_pretend(page));
    ck_assert_uint_eq(ph_os_page_bytes(), page);
}
END_TEST

/* What is whole on this machine and none where OS pages are twice as large. */
static void map_half(void *half) { (void)ph_os_map(page + *(size_t *)half, page); }
static void reserve_half(void *half) { (void)ph_os_reserve(page + *(size_t *)half, page); }
static void commit_half(void *half) { (void)ph_os_commit(area, *(size_t *)half, false); }
static void commit_at_half(void *half) { (void)ph_os_commit(area + *(size_t *)half, page, false); }
static void purge_half(void *half) { (void)ph_os_purge(area, *(size_t *)half); }
static void purge_at_half(void *half) { (void)ph_os_purge(area + *(size_t *)half, page); }
static void unmap_half(void *half) { ph_os_unmap(area, *(size_t *)half); }
static void remap_half(void *half) { (void)ph_os_remap(area, page, *(size_t *)half); }
static void remap_from_half(void *half) { (void)ph_os_remap(area, *(size_t *)half, page); }
static void remap_to_half(void *half) { (void)ph_os_remap_to(area, page, area + *(size_t *)half, page); }
static void no_huge_half(void *half) { ph_os_no_huge(area, *(size_t *)half); }
static void name_half(void *half) { ph_os_name(area, *(size_t *)half, NULL); }

static void (*const by_halves[])(void *) = {map_half,   reserve_half, commit_half,     commit_at_half, purge_half,   purge_at_half,
                                            unmap_half, remap_half,   remap_from_half, remap_to_half,  no_huge_half, name_half};

START_TEST(part_of_a_page_that_is_pretended_ends_the_process)
{
    size_t half = page;
    ck_assert(ph_os_page_pretend(2 * half));
    page = 2 * half;
    for (int i = 0; i < 8; i++) {
        area = ph_os_map(page, 16); /* at least an OS page is meant */
        ck_assert_uint_eq((uintptr_t)area % page, 0);
        ph_os_unmap(area, page);
        (void)mmap(NULL, half, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    area = ph_os_map(4 * page, page);
    room_aborts(by_halves[_i], &half, "internal check failed: whole OS pages");
    ph_os_unmap(area, 4 * page);
    ck_assert(ph_os_page_pretend(half));
}
END_TEST

/* ---- regions ---- */

static struct heap bare; /* regions only: no blocks, and no number in the registry */

static void touch(void *at) { *(volatile char *)at = 1; }

static void bounded_region_in_large_pages(void *nothing)
{
    enum { UNITS = OS_PAGE_UNITS + 5 };
    (void)nothing;
    pretend();
    bare.bound_units = UNITS;
    bare.flags = HEAPF_EXECUTE; /* goes back to the system at once */
    struct region *rg = ph_region_add(&bare, UNITS * UNIT_BYTES, UNITS * UNIT_BYTES);
    char *base = rg->base;
    CHILD_NEEDS(rg->units == UNITS && rg->committed == 0);
    CHILD_NEEDS(ph_region_of(&bare, base + UNITS * UNIT_BYTES) == NULL);
    rg->units = UNITS - 1; /* no room for a larger step: what is asked for counts */
    CHILD_NEEDS(ph_region_commit(rg, 1, true) && rg->committed == UNITS - 1);
    rg->units = UNITS;
    rg->committed = OS_PAGE_UNITS;
    CHILD_NEEDS(ph_region_commit(rg, UNITS, true) && rg->committed == UNITS);
    memset(base, 1, 2 * OS_PAGE); /* the last OS page is whole */
    ph_region_drop_all(&bare);
    for (unsigned i = 0; i < 2 * OS_PAGE_UNITS; i++)
        CHILD_NEEDS(!room_is_mapped(base + (size_t)i * UNIT_BYTES, 1));
}

START_TEST(bounded_region_has_its_units_whatever_an_os_page_is) { room_lives(bounded_region_in_large_pages, NULL); }
END_TEST

static void commit_in_large_pages(void *nothing)
{
    (void)nothing;
    pretend();
    enum { BYTES = 64 * MB + 40 * UNIT_BYTES }; /* whose eighths are no whole OS pages */
    bare.bound_units = BYTES / UNIT_BYTES;
    struct region *rg = ph_region_add(&bare, BYTES, BYTES);
    for (uint32_t units = 1; units < rg->units; units = rg->committed + 1) {
        CHILD_NEEDS(ph_region_commit(rg, units, false) && rg->committed >= units);
        CHILD_NEEDS(rg->committed % OS_PAGE_UNITS == 0 || rg->committed == rg->units);
        touch(ph_region_unit(rg, rg->committed) - 1);
    }
}

START_TEST(commit_is_of_whole_os_pages) { room_lives(commit_in_large_pages, NULL); }
END_TEST

/* ---- free memory given back ---- */

static struct heap *heap;

static struct span *take(uint32_t units)
{
    struct span *sp = ph_span_take(heap, KIND_RUN, units, 1);
    CHILD_NEEDS(sp != NULL);
    return sp;
}

static void give(struct span *sp)
{
    ph_map_clear_last(sp);
    ph_span_give(heap, sp);
}

static bool is_filled(const void *from, size_t bytes, char with)
{
    const char *at = from;
    while (bytes > 0 && *at == with)
        at++, bytes--;
    return bytes == 0;
}

static unsigned resident_pages(const void *at, size_t bytes)
{
    unsigned char seen[1024];
    unsigned count = 0;
    const size_t small = (size_t)sysconf(_SC_PAGESIZE);
    CHILD_NEEDS(mincore((void *)(uintptr_t)at, bytes, seen) == 0);
    for (size_t i = 0; i < bytes / small; i++)
        count += seen[i] & 1;
    return count;
}

/* Units [from, to) of a row of OS pages, free between neighbours in use, `whole` of them in whole OS pages. */
static const struct part {
    uint32_t from, to, whole;
} parts[] = {{0, 16, 16}, {0, 64, 64}, {0, 50, 48}, {3, 64, 48}, {3, 50, 32}, {15, 33, 16}, {15, 32, 16}, {16, 33, 16},
             {1, 16, 0},  {0, 15, 0},  {9, 31, 0},  {15, 31, 0}, {5, 6, 0},   {16, 31, 0}};

static void purge_part(void *with)
{
    const struct part *part = with;
    pretend();
    heap = ph_heap_create(HEAPF_PAGED, 7 * MB, 0);
    struct span *sp;
    do
        sp = take(1);
    while ((sp->start + sp->units) % OS_PAGE_UNITS != 0);
    struct span *before = part->from > 0 ? take(part->from) : NULL;
    struct span *mine = take(part->to - part->from);
    struct span *after = take(64);
    char *at = ph_span_start(mine);
    const size_t bytes = ph_span_bytes(mine);
    if (before != NULL) memset(ph_span_start(before), 2, ph_span_bytes(before));
    memset(at, 1, bytes);
    memset(ph_span_start(after), 3, ph_span_bytes(after));
    give(mine);
    CHILD_NEEDS(heap->dirty_units == part->whole);
    ph_purge_all(heap);
    CHILD_NEEDS(heap->dirty_units == 0);
    CHILD_NEEDS(resident_pages(at, bytes) == (part->to - part->from - part->whole) * (UNIT_BYTES / (size_t)sysconf(_SC_PAGESIZE)));
    CHILD_NEEDS(is_filled(at, bytes, part->whole == 0));
    CHILD_NEEDS(before == NULL || is_filled(ph_span_start(before), ph_span_bytes(before), 2));
    CHILD_NEEDS(is_filled(ph_span_start(after), ph_span_bytes(after), 3));
    mine = take(part->to - part->from);
    CHILD_NEEDS(ph_span_start(mine) == at);
    CHILD_NEEDS(mine->state == (part->whole > 0 ? SPAN_PURGED : SPAN_DIRTY));
    CHILD_NEEDS(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
}

START_TEST(purge_gives_back_whole_os_pages_only) { room_lives(purge_part, (void *)(uintptr_t)&parts[_i]); }
END_TEST

/* Otherwise each neighbour that joins would have all of it purged again. */
static void purge_and_join(void *nothing)
{
    (void)nothing;
    pretend();
    heap = ph_heap_create(HEAPF_PAGED, 7 * MB, 0);
    struct span *one = take(101), *two = take(101);
    (void)take(1);
    give(one);
    ph_purge_all(heap);
    CHILD_NEEDS(heap->dirty_units == 0);
    heap->long_credit = 101; /* or it would go at once */
    give(two);
    CHILD_NEEDS(heap->dirty_units > 0 && heap->dirty_units <= 112);
}

START_TEST(memory_joined_to_a_purged_neighbour_is_dirty_alone) { room_lives(purge_and_join, NULL); }
END_TEST

int main(void)
{
    Suite *suite = suite_create("ospage");
    TCase *os = room_case(suite, "os", setup_page, NULL);
    tcase_add_loop_test(os, only_a_power_of_two_of_whole_pages_is_taken_for_a_page, 0, COUNT(no_page));
    tcase_add_loop_test(os, part_of_a_page_that_is_pretended_ends_the_process, 0, COUNT(by_halves));
    TCase *region = room_case(suite, "region", NULL, NULL);
    tcase_add_test(region, bounded_region_has_its_units_whatever_an_os_page_is);
    tcase_add_test(region, commit_is_of_whole_os_pages);
    TCase *purge = room_case(suite, "purge", NULL, NULL);
    tcase_add_loop_test(purge, purge_gives_back_whole_os_pages_only, 0, COUNT(parts));
    tcase_add_test(purge, memory_joined_to_a_purged_neighbour_is_dirty_alone);
    return room_run(suite);
}
