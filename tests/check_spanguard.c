/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_spanguard.c -- the inaccessible OS pages between the spans of the process heap in secure mode: where they are, how
 * many, and what becomes of them.  What an access does: guard.sh. */
#include "check_room.h"
#include "guard.h"
#include "options.h"

enum { MB = 1 << 20, SMALL = 500, IN_100_MB = 100 * MB / SMALL, SOME = 8 * MB / SMALL, WIDE = 40000 };

static struct heap *heap;

static void setup(void)
{
    heap = ph_heap_process(); /* main has asked for secure mode */
    ck_assert_ptr_nonnull(heap);
    ck_assert_uint_eq(heap->hard, MODE_SECURE);
}

static void teardown(void) { ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY)); }

static char *take(size_t bytes)
{
    ph_guard_left = GUARD_LEFT_OFF; /* a guarded sample is none of these blocks */
    return ph_heap_alloc(heap, &(struct request){.bytes = bytes});
}

static void give(void *block) { ck_assert_int_eq(ph_heap_free(heap, block, ENTER_PATIENTLY), BLOCK_OK); }

static char **take_all(size_t count, size_t bytes)
{
    char **blocks = calloc(count, sizeof *blocks);
    ck_assert_ptr_nonnull(blocks);
    for (size_t i = 0; i < count; i++) {
        ck_assert_ptr_nonnull(blocks[i] = take(bytes));
        blocks[i][0] = blocks[i][bytes - 1] = 1;
    }
    return blocks;
}

static void give_all(char **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        give(blocks[i]);
    free(blocks);
}

static bool is_open(const char *at) { return ph_os_is_readable((const void *)((uintptr_t)at & ~(uintptr_t)7)); }

static const char *end_of(const struct span *sp) { return (const char *)ph_span_start(sp) + ph_span_bytes(sp); }

/* Every guard into `out`, as far as there is room; how many. */
static uint64_t find_guards(const struct span **out, uint64_t room)
{
    uint64_t count = 0;
    for (const struct region *rg = heap->regions; rg != NULL; rg = rg->next)
        for (uint32_t unit = rg->first; unit < rg->top;) {
            const struct span *sp = ph_span_containing(heap, ph_region_unit(rg, unit));
            ck_assert_ptr_nonnull(sp);
            if (entry_kind(sp->tag) == KIND_GUARD && count++ < room) out[count - 1] = sp;
            unit += (uint32_t)sp->units;
        }
    return count;
}

/* ---- where they are ---- */

START_TEST(guard_is_an_os_page_that_nobody_can_touch_between_pages_that_all_can)
{
    enum { BLOCKS = 16 * MB / SMALL };
    static const struct span *guards[FENCED_MOST];
    char **blocks = take_all(BLOCKS, SMALL);
    const uint64_t count = find_guards(guards, FENCED_MOST);
    ck_assert_uint_gt(count, 0);
    ck_assert_uint_eq(count, heap->guard_count);
    for (uint64_t i = 0; i < count; i++) {
        ck_assert_uint_lt(ph_span_bytes(guards[i]), 2 * ph_os_page_bytes()); /* what is before its OS page is nobody's */
        ck_assert_uint_eq((uintptr_t)end_of(guards[i]) % ph_os_page_bytes(), 0);
        ck_assert(!is_open(end_of(guards[i]) - ph_os_page_bytes()) && !is_open(end_of(guards[i]) - 1));
    }
    for (int i = 0; i < BLOCKS; i++)
        ck_assert(is_open(blocks[i]) && is_open(blocks[i] + SMALL - 1));
    give_all(blocks, BLOCKS);
}
END_TEST

/* What runs on over the end of a block gets no further than that, as a rule. */
START_TEST(no_long_stretch_of_a_small_heap_is_without_one)
{
    enum { BLOCKS = 16 * MB / SMALL, PAGES_EACH = 128 };
    char **blocks = take_all(BLOCKS, SMALL);
    ck_assert_uint_ge(heap->guard_count, 16 * MB / (PAGES_EACH * ph_os_page_bytes()));
    give_all(blocks, BLOCKS);
}
END_TEST

/* Not in what is left over somewhere: there they would lie side by side. */
START_TEST(guard_stands_behind_a_span_also_where_memory_is_used_again)
{
    enum { BLOCKS = 32 * MB / SMALL, HOLE = 200 };
    static const struct span *guards[FENCED_MOST];
    uint64_t lonely = 0;
    char **blocks = take_all(BLOCKS, SMALL);
    for (int i = 0; i < BLOCKS; i++)
        if (i / HOLE % 2 == 0) give(blocks[i]);
    char **more = take_all(BLOCKS, SMALL);
    const uint64_t count = find_guards(guards, FENCED_MOST);
    for (uint64_t i = 0; i < count; i++)
        lonely += room_kind((char *)ph_span_start(guards[i]) - 1) != KIND_GUARD;
    ck_assert_uint_gt(count, 0);
    ck_assert_uint_ge(lonely, count - count / 8);
    give_all(more, BLOCKS);
    for (int i = 0; i < BLOCKS; i++)
        if (i / HOLE % 2 != 0) give(blocks[i]);
    free(blocks);
}
END_TEST

/* Whatever was written there before. */
START_TEST(guards_hold_no_memory)
{
    enum { BLOCKS = 8 * MB / SMALL };
    static const struct span *guards[FENCED_MOST];
    unsigned resident = 0, written = 0;
    give_all(take_all(BLOCKS, SMALL), BLOCKS);
    heap->guard_next = 1;
    char **blocks = take_all(BLOCKS, SMALL);
    const uint64_t count = find_guards(guards, FENCED_MOST);
    ck_assert_uint_gt(count, 0);
    for (uint64_t i = 0; i < count; i++) {
        unsigned char seen;
        ck_assert_int_eq(mincore((void *)(uintptr_t)(end_of(guards[i]) - ph_os_page_bytes()), 1, &seen), 0);
        resident += seen & 1;
        written += guards[i]->state == SPAN_DIRTY;
    }
    if (ph_os_page_bytes() == UNIT_BYTES) /* with larger ones there are a few in all, perhaps where nobody wrote */
        ck_assert_uint_gt(written, 0);
    ck_assert_uint_eq(resident, 0);
    give_all(blocks, BLOCKS);
}
END_TEST

START_TEST(runs_have_them_too)
{
    enum { BLOCKS = 8 * MB / WIDE };
    const uint64_t before = heap->guard_count;
    heap->guard_next = 1;
    char **blocks = take_all(BLOCKS, WIDE);
    ck_assert_uint_gt(heap->guard_count, before);
    give_all(blocks, BLOCKS);
}
END_TEST

static void nothing_is_due(unsigned mode)
{
    heap->hard = mode;
    ph_spanguard_begin(heap);
    CHILD_NEEDS(heap->guard_next == 0);
}

static void none_in_other_modes(void *unused)
{
    (void)unused;
    nothing_is_due(MODE_DEFAULT);
    nothing_is_due(MODE_TOLERANT);
}

static void none_without_checks(void *unused)
{
    char text[] = "PRIVHEAP_CHECKS=0", *environment[] = {text, NULL};
    (void)unused;
    ph_options_read(environment);
    nothing_is_due(MODE_SECURE);
}

START_TEST(other_heaps_and_other_modes_have_none)
{
    struct heap *other = room_heap(0);
    for (int i = 0; i < 8 * MB / SMALL; i++)
        ck_assert_ptr_nonnull(room_alloc(other, SMALL, true));
    ck_assert_uint_eq(other->guard_count, 0);
    ck_assert(ph_heap_destroy(other));
    room_lives(none_in_other_modes, NULL);
    room_lives(none_without_checks, NULL);
}
END_TEST

/* ---- in the books ---- */

static bool overlaps(const struct walk_entry *we, const struct span *guard)
{
    return we->what != WALK_REGION && we->at < end_of(guard) && we->at + we->bytes > (char *)ph_span_start(guard);
}

START_TEST(walk_shows_none_of_them_and_everything_else)
{
    enum { BLOCKS = SOME };
    static const struct span *guards[FENCED_MOST];
    struct walk_entry we = {.at = NULL};
    enum walk_result result;
    size_t sum = 0, busy = 0;
    char **blocks = take_all(BLOCKS, SMALL);
    for (int i = 0; i < BLOCKS; i += 2)
        give(blocks[i]);
    const uint64_t count = find_guards(guards, FENCED_MOST);
    ck_assert_uint_gt(count, 0);
    while ((result = ph_walk_next(heap, &we, ENTER_PATIENTLY)) == WALK_ENTRY) {
        for (uint64_t i = 0; i < count; i++)
            ck_assert(!overlaps(&we, guards[i]));
        busy += we.what == WALK_BUSY;
        for (size_t at = 0; (we.what == WALK_BUSY || we.what == WALK_FREE) && at < we.bytes; at += 1024)
            sum += ((volatile uint8_t *)we.at)[at];
    }
    ck_assert_int_eq(result, WALK_END);
    ck_assert_uint_ge(busy, BLOCKS / 2);
    ck_assert_uint_eq(room_sums(heap).live_blocks, busy);
    ck_assert_uint_ge(sum, 0);
    for (int i = 1; i < BLOCKS; i += 2)
        give(blocks[i]);
    free(blocks);
}
END_TEST

/* A walk that is not under HeapLock: what stood there has gone, and a guard has come. */
START_TEST(walk_goes_on_from_what_is_a_guard_by_now)
{
    const struct span *guard;
    char **blocks = take_all(SOME, SMALL);
    ck_assert_uint_gt(find_guards(&guard, 1), 0);
    struct walk_entry we = {.at = (char *)ph_span_start(guard) + 16, .what = WALK_FREE};
    ck_assert_int_eq(ph_walk_next(heap, &we, ENTER_PATIENTLY), WALK_ENTRY);
    ck_assert(we.at >= end_of(guard) || we.what == WALK_REGION);
    give_all(blocks, SOME);
}
END_TEST

START_TEST(guard_is_no_block)
{
    const struct span *guard;
    struct block_info bi;
    char **blocks = take_all(SOME, SMALL);
    ck_assert_uint_gt(find_guards(&guard, 1), 0);
    for (size_t at = 0; at < ph_os_page_bytes(); at += 1024)
        ck_assert_int_eq(ph_heap_look((char *)ph_span_start(guard) + at, &bi), BLOCK_BAD);
    give_all(blocks, SOME);
}
END_TEST

START_TEST(validate_counts_them)
{
    char **blocks = take_all(SOME, SMALL);
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    heap->guard_count ^= 1;
    ck_assert(!ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    heap->guard_count ^= 1;
    give_all(blocks, SOME);
}
END_TEST

/* ---- how many ---- */

START_TEST(large_heap_of_small_blocks_has_few)
{
    enum { MOST_OF_100_MB = 350 };
    char **blocks = take_all(IN_100_MB, SMALL);
    ck_assert_uint_gt(heap->guard_count, 0);
    ck_assert_uint_lt(heap->guard_count, MOST_OF_100_MB);
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    give_all(blocks, IN_100_MB);
}
END_TEST

/* A system call for each of them is no matter; two for each span that comes and goes would be. */
START_TEST(spans_that_come_and_go_make_no_new_ones)
{
    enum { ROUNDS = 20, BLOCKS = MB / WIDE };
    give_all(take_all(BLOCKS, WIDE), BLOCKS);
    const uint64_t before = heap->guard_count;
    for (int round = 0; round < ROUNDS; round++)
        give_all(take_all(BLOCKS, WIDE), BLOCKS);
    ck_assert_uint_le(heap->guard_count, before + BLOCKS / 2);
}
END_TEST

static struct span *take_span(uint32_t units)
{
    heap->guard_next = 0; /* one is due */
    ph_lock_take(&heap->span_lock);
    struct span *sp = ph_spanguard_take(heap, KIND_RUN, units, 1, (size_t)units << UNIT_BITS, false);
    ph_lock_give(&heap->span_lock);
    ck_assert_ptr_nonnull(sp);
    memset(ph_span_start(sp), 1, ph_span_bytes(sp));
    return sp;
}

static void give_span(struct span *sp)
{
    memset(ph_span_start(sp), 0, ph_span_bytes(sp));
    ph_map_clear_last(sp);
    ph_span_give(heap, sp);
}

/* A guard that goes makes one span of three, and what was freed is the second or the third of them. */
START_TEST(long_spans_that_guards_stood_between_go_back_whole)
{
    enum { PAIRS = 20, LONG = RUN_KEEP_UNITS * 3 };
    struct span *wide[PAIRS], *long_one[PAIRS];
    for (unsigned i = 0; i < PAIRS; i++) {
        wide[i] = take_span(4);
        long_one[i] = take_span(LONG);
    }
    struct span *const last = take_span(4);
    for (unsigned i = 0; i < PAIRS; i++)
        give_span(wide[i]);
    heap->long_credit = 0; /* nobody comes back for such */
    for (unsigned i = 0; i < PAIRS; i++) {
        const char *at = ph_span_start(long_one[i]);
        give_span(long_one[i]);
        const struct span *sp = ph_span_containing(heap, at);
        ck_assert_ptr_nonnull(sp);
        ck_assert_int_eq(entry_kind(sp->tag), KIND_FREE);
        if (i > 0) /* so little as the first may stay */
            ck_assert_int_eq(sp->state, SPAN_PURGED);
    }
    give_span(last);
}
END_TEST

START_TEST(heap_that_is_empty_again_lets_most_of_them_go)
{
    char **blocks = take_all(IN_100_MB, SMALL);
    const uint64_t most = heap->guard_count;
    give_all(blocks, IN_100_MB);
    if (ph_os_page_bytes() > UNIT_BYTES) return; /* so few that all may stay */
    ck_assert_uint_lt(heap->guard_count, most / 2);
    blocks = take_all(IN_100_MB, SMALL); /* and has them again when it has grown again */
    ck_assert_uint_gt(heap->guard_count, most / 2);
    give_all(blocks, IN_100_MB);
}
END_TEST

static void bounded_with_fences(void *unused)
{
    const uint64_t before = heap->guard_count;
    (void)unused;
    heap->large_count += FENCED_MOST; /* as if so many large blocks were live */
    heap->guard_next = 1;
    char **blocks = take_all(16 * MB / SMALL, SMALL);
    CHILD_NEEDS(blocks != NULL && heap->guard_count <= before);
    heap->large_count -= FENCED_MOST;
    heap->guard_count = FENCED_MOST;
    CHILD_NEEDS(!fence_has_room(heap));
}

START_TEST(they_count_with_the_fences_of_large_blocks) { room_lives(bounded_with_fences, NULL); }
END_TEST

/* ---- where memory ends ---- */

static size_t address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHILD_NEEDS(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Runs that fit between two guards only here and there: all of the space can be had for them. */
static void all_of_it_can_be_had(void *unused)
{
    enum { ROOM = 24 * MB, ASKED = 60000, LEAST = ROOM / 4 * 3 / ASKED };
    struct rlimit limit;
    (void)unused;
    CHILD_NEEDS(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = address_space() + ROOM;
    CHILD_NEEDS(setrlimit(RLIMIT_AS, &limit) == 0);
    void *first = NULL, **last = &first;
    for (char *block; (block = take(SMALL)) != NULL; last = (void **)(void *)block)
        *last = block;
    *last = NULL;
    CHILD_NEEDS(heap->guard_count == 0);
    CHILD_NEEDS(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    for (void *next; first != NULL; first = next) {
        next = *(void **)first;
        CHILD_NEEDS(ph_heap_free(heap, first, ENTER_PATIENTLY) == BLOCK_OK);
    }
    unsigned count = 0;
    while (take(ASKED) != NULL)
        count++;
    CHILD_NEEDS(count >= LEAST);
    CHILD_NEEDS(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
}

START_TEST(memory_that_ends_takes_what_they_hold)
{
    if (room_is_under_valgrind() || room_is_thread_sanitized()) return; /* their own memory is part of the space */
    room_lives(all_of_it_can_be_had, NULL);
}
END_TEST

/* At the end of what was used of it, where no free span is on the other side. */
static void region_goes(void *unused)
{
    static char *blocks[2 * IN_100_MB * SMALL / WIDE];
    struct region *const last = heap->last_region;
    int count = 0;
    (void)unused;
    do {
        heap->guard_next = heap->last_region != last ? 1 : UINT64_MAX;
        CHILD_NEEDS(count < COUNT(blocks) && (blocks[count++] = take(WIDE)) != NULL);
    } while (heap->last_region == last || room_kind(ph_region_unit(heap->last_region, heap->last_region->top - 1)) != KIND_GUARD);
    const struct region *fresh = heap->last_region;
    for (int i = 0; i < count; i++)
        CHILD_NEEDS(ph_heap_free(heap, blocks[i], ENTER_PATIENTLY) == BLOCK_OK);
    CHILD_NEEDS(room_kind(ph_region_unit(fresh, fresh->top - 1)) == KIND_GUARD);
    (void)ph_heap_trim(heap);
    CHILD_NEEDS(heap->last_region != fresh);
    CHILD_NEEDS(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
}

START_TEST(region_in_which_nothing_else_is_left_goes_back) { room_lives(region_goes, NULL); }
END_TEST

static void child_goes_on(void *blocks)
{
    char **mine = blocks;
    for (int i = 0; i < 4 * MB / SMALL; i++)
        CHILD_NEEDS(ph_heap_free(heap, mine[i], ENTER_PATIENTLY) == BLOCK_OK);
    CHILD_NEEDS(take_all(16 * MB / SMALL, SMALL) != NULL);
    CHILD_NEEDS(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
}

START_TEST(child_of_fork_has_its_own)
{
    char **blocks = take_all(4 * MB / SMALL, SMALL);
    const uint64_t before = heap->guard_count;
    room_lives(child_goes_on, blocks);
    ck_assert_uint_eq(heap->guard_count, before);
    give_all(blocks, 4 * MB / SMALL);
}
END_TEST

int main(void)
{
    (void)setenv("PRIVHEAP_MODE", "secure", 1);
    Suite *suite = suite_create("spanguard");
    TCase *where = room_case(suite, "where they are", setup, teardown);
    tcase_add_test(where, guard_is_an_os_page_that_nobody_can_touch_between_pages_that_all_can);
    tcase_add_test(where, no_long_stretch_of_a_small_heap_is_without_one);
    tcase_add_test(where, guard_stands_behind_a_span_also_where_memory_is_used_again);
    tcase_add_test(where, guards_hold_no_memory);
    tcase_add_test(where, runs_have_them_too);
    tcase_add_test(where, other_heaps_and_other_modes_have_none);
    TCase *books = room_case(suite, "in the books", setup, teardown);
    tcase_add_test(books, walk_shows_none_of_them_and_everything_else);
    tcase_add_test(books, walk_goes_on_from_what_is_a_guard_by_now);
    tcase_add_test(books, guard_is_no_block);
    tcase_add_test(books, validate_counts_them);
    TCase *many = room_case(suite, "how many", setup, teardown);
    tcase_add_test(many, large_heap_of_small_blocks_has_few);
    tcase_add_test(many, spans_that_come_and_go_make_no_new_ones);
    tcase_add_test(many, long_spans_that_guards_stood_between_go_back_whole);
    tcase_add_test(many, heap_that_is_empty_again_lets_most_of_them_go);
    tcase_add_test(many, they_count_with_the_fences_of_large_blocks);
    TCase *end = room_case(suite, "where memory ends", setup, teardown);
    tcase_add_test(end, memory_that_ends_takes_what_they_hold);
    tcase_add_test(end, region_in_which_nothing_else_is_left_goes_back);
    tcase_add_test(end, child_of_fork_has_its_own);
    return room_run(suite);
}
