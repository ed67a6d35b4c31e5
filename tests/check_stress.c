/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_stress.c -- the page heap: what option STRESS may say; where its blocks stand and what surrounds them; quarantine,
 * budget and time.  What an access does: bugs.sh and stress_matrix.sh. */
#include "check_room.h"
#include "pageheap.h"

static struct heap *heap;

/* Other settings than those of the start; no bound on time, but where a test asks for one. */
static void stress(const char *parts)
{
    char text[128];
    snprintf(text, sizeof text, "on,%s%sslowdown:0", parts, *parts != '\0' ? "," : "");
    ck_assert(ph_stress_begin(text));
}

static void setup(void)
{
    setenv("PRIVHEAP_STRESS", "on", 1);
    heap = ph_heap_process(); /* which reads the environment */
    ck_assert_ptr_nonnull(heap);
    heap->stress = 1; /* though another test was the first to ask for it */
    stress("");
}

static void teardown(void)
{
    stress("");
    ck_assert(ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
}

static char *take_aligned(size_t bytes, size_t align)
{
    char *block = ph_heap_alloc(heap, &(struct request){.bytes = bytes, .align = align, .sized = true});
    ck_assert_ptr_nonnull(block);
    return block;
}

static char *take(size_t bytes) { return take_aligned(bytes, 0); }
static void give(void *block) { ck_assert_int_eq(ph_heap_free(heap, block, ENTER_PATIENTLY), BLOCK_OK); }

static const struct paged *slot_of(const char *block)
{
    const struct paged *pd = ph_paged_of(block);
    ck_assert_msg(pd != NULL && pd->block == block, "a block without a slot");
    return pd;
}

static bool is_paged(const char *block)
{
    const struct paged *pd = ph_paged_of(block);
    return pd != NULL && pd->block == block;
}

static bool is_open(const char *at) { return ph_os_is_readable((const void *)((uintptr_t)at & ~(uintptr_t)7)); }
static bool is_valid(const char *block) { return ph_walk_validate(heap, block, ENTER_PATIENTLY); }

/* ---- what it may say ---- */

static const struct {
    const char *text;
    bool is_good;
} texts[] = {
    {"on", true}, {"side:end", true}, {"side:start", true}, {"side:random", true}, {"side:left", false},
    {"on,side:start", true}, {"side:start,on", false}, {"", false}, {"off", false}, {"onx", false}, {"on,", false},
    {"quarantine:64m", true}, {"quarantine:", false}, {"budget:0", true}, {"budget:2g,quarantine:1m", true},
    {"size:10-20", true}, {"size:20-10", false}, {"size:1k-64k", true}, {"rate:1/10", true}, {"rate:2/10", false},
    {"rate:1/0", false}, {"seed:7", true}, {"seed:x", false}, {"stacks:0", true}, {"stacks:16", true}, {"stacks:17", false},
    {"unaligned:1", true}, {"unaligned:2", false}, {"check:100", true}, {"slowdown:5", true}, {"leaks:1", true},
    {"continue:1", true}, {"module:libfoo.so", true}, {"heap:NAME", true}, {"seed:1,seed:2", false}, {"seed:1,,leaks:1", false},
};

START_TEST(text_is_what_the_manual_says_or_refused)
{
    struct stress_spec spec;
    const char *wrong = ph_stress_parse(texts[_i].text, &spec);
    ck_assert_msg((wrong == NULL) == texts[_i].is_good, "'%s': %s", texts[_i].text, wrong != NULL ? wrong : "taken");
}
END_TEST

START_TEST(parts_become_settings)
{
    struct stress_spec spec;
    ck_assert_ptr_null(ph_stress_parse("side:start,quarantine:1m,budget:3g,size:10-2k,rate:1/7,seed:9,stacks:3,check:5,module:a.so", &spec));
    ck_assert_uint_eq(spec.side, STRESS_START);
    ck_assert_uint_eq(spec.quarantine, 1 << 20);
    ck_assert_uint_eq(spec.budget, (uint64_t)3 << 30);
    ck_assert_uint_eq(spec.least, 10);
    ck_assert_uint_eq(spec.most, 2048);
    ck_assert_uint_eq(spec.rate, 7);
    ck_assert_uint_eq(spec.seed, 9);
    ck_assert_uint_eq(spec.stacks, 3);
    ck_assert_uint_eq(spec.check, 5);
    ck_assert(spec.has_module && !spec.has_heap && strcmp(spec.module, "a.so") == 0);
}
END_TEST

/* ---- where blocks stand ---- */

static const size_t sizes[] = {0, 1, 7, 16, 17, 100, 4080, 4095, 4096, 4097, 20000, 65536, 300000, 3000000};
static const size_t aligns[] = {0, 16, 32, 64, 1024, 4096, 65536, 1 << 20};

START_TEST(block_ends_at_its_guard_as_near_as_its_alignment_lets)
{
    const size_t bytes = sizes[_i / COUNT(aligns)], align = aligns[_i % COUNT(aligns)], most = align > 16 ? align : 16;
    char *block = take_aligned(bytes, align);
    const struct paged *pd = slot_of(block);
    ck_assert_uint_eq((uintptr_t)block % most, 0);
    ck_assert_uint_lt((size_t)(ph_paged_end(pd) - block) - bytes, most);
    ck_assert(!is_open(paged_open_end(pd)) && !is_open(paged_first_page(block) - 1));
    if (bytes > 0)
        memset(block, 'a', bytes);
    ck_assert(is_valid(block));
    give(block);
    ck_assert(!is_open(block) && (bytes == 0 || !is_open(block + bytes - 1)));
}
END_TEST

START_TEST(in_front_the_guard_is_right_before_it)
{
    stress("side:start");
    char *block = take(sizes[_i]);
    ck_assert_uint_eq((uintptr_t)block % ph_os_page_bytes(), 0);
    ck_assert(!is_open(block - 1));
    ck_assert(is_valid(block));
    give(block);
}
END_TEST

START_TEST(unaligned_it_ends_with_its_page)
{
    stress("unaligned:1");
    char *block = take(sizes[_i]);
    ck_assert_uint_eq((uintptr_t)(block + sizes[_i]) % ph_os_page_bytes(), 0);
    ck_assert(!is_open(block + sizes[_i]));
    give(block);
    char *aligned = take_aligned(37, 64); /* who asks for an alignment has it */
    ck_assert_uint_eq((uintptr_t)aligned % 64, 0);
    give(aligned);
}
END_TEST

START_TEST(byte_beside_it_that_changes_is_seen)
{
    static const int beside[] = {-200, -16, -1, 37, 38, 47};
    char *block = take(37), was = block[beside[_i]];
    ck_assert(is_valid(block));
    block[beside[_i]] ^= 1;
    ck_assert(!is_valid(block) && !ph_walk_validate(heap, NULL, ENTER_PATIENTLY));
    ck_assert_ptr_eq(ph_paged_broken(slot_of(block)), block + beside[_i]);
    block[beside[_i]] = was;
    ck_assert(is_valid(block));
    give(block);
}
END_TEST

START_TEST(fresh_memory_has_its_pattern_unless_zero_was_asked_for)
{
    uint32_t *block = (uint32_t *)(void *)take(4000);
    for (unsigned i = 0; i < 1000; i++)
        ck_assert_uint_eq(block[i], 0xbaadf00d);
    give(block);
    const uint64_t *zero = ph_heap_alloc(heap, &(struct request){.bytes = 4000, .zero = true, .sized = true});
    for (unsigned i = 0; i < 500; i++)
        ck_assert_uint_eq(zero[i], 0);
    give((void *)(uintptr_t)zero);
}
END_TEST

START_TEST(exact_size_is_known)
{
    struct block_info bi;
    char *block = take(sizes[_i]);
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
    ck_assert_uint_eq(bi.wanted, sizes[_i]);
    ck_assert_ptr_eq(bi.heap, heap);
    ck_assert_int_ne(ph_heap_look(block + 16, &bi), BLOCK_OK);
    give(block);
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_TWICE);
}
END_TEST

static void guards_by_protection(void *with)
{
    (void)with;
    ck_assert(room_refuses(SYS_madvise));
    setup();
    stress("side:start");
    for (int i = 1; i < COUNT(sizes); i++) {
        char *block = take(sizes[i]), *next = take(sizes[i]);
        ck_assert(!is_open(block - 1) && !is_open(paged_open_end(slot_of(block))) && !is_open(next - 1));
        memset(block, 'g', sizes[i]);
        give(block);
        ck_assert(!is_open(block) && is_open(next));
        give(next);
    }
    ck_assert(!ph_page_heap_figures()->by_advice);
}

START_TEST(without_the_advice_pages_are_protected) { room_lives(guards_by_protection, NULL); }
END_TEST

/* ---- which blocks ---- */

START_TEST(only_sizes_that_were_asked_for)
{
    static const struct { size_t bytes; bool is_in; } row[] = {{99, false}, {100, true}, {200, true}, {201, false}};
    stress("size:100-200");
    for (int i = 0; i < COUNT(row); i++) {
        char *block = take(row[i].bytes);
        ck_assert_int_eq(is_paged(block), row[i].is_in);
        give(block);
    }
}
END_TEST

static unsigned paged_of_1000(const char *parts)
{
    unsigned count = 0;
    stress(parts);
    for (unsigned i = 0; i < 1000; i++) {
        char *block = take(50);
        count += is_paged(block);
        give(block);
    }
    return count;
}

START_TEST(rate_says_how_many)
{
    const unsigned count = paged_of_1000("rate:1/10,seed:5");
    ck_assert_msg(count > 50 && count < 150, "%u of 1000", count);
}
END_TEST

START_TEST(other_heaps_only)
{
    stress("heap:nobody");
    char *block = take(50);
    ck_assert(!is_paged(block));
    give(block);
    stress("heap:process");
    block = take(50);
    ck_assert(is_paged(block));
    give(block);
}
END_TEST

/* ---- whose an address is ---- */

/* Slots of each length. */
START_TEST(room_from_an_address_on_ends_with_its_block)
{
    enum { MANY = 40 };
    const size_t bytes = sizes[_i];
    char *block[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        block[i] = take(bytes);
        ck_assert_uint_eq(ph_page_heap_room(block[i], true), bytes);
        ck_assert_uint_eq(ph_page_heap_room(block[i] + bytes - 1, false), 1);
        ck_assert_uint_eq(ph_page_heap_room(block[i] + bytes, false), 0);
        ck_assert_uint_eq(ph_page_heap_room(ph_paged_end(slot_of(block[i])), false), 0);
    }
    for (unsigned i = 0; i < MANY; i++)
        ck_assert_uint_eq(ph_page_heap_room(block[i], false), bytes);
    for (unsigned i = 0; i < MANY; i++)
        give(block[i]);
    for (unsigned i = 0; i < MANY; i++)
        ck_assert_uint_eq(ph_page_heap_room(block[i], false), 0);
    ck_assert_uint_eq(ph_page_heap_room((const char *)&block, true), SIZE_MAX);
}
END_TEST

/* The engine may keep it accessible for a while, for its own reasons. */
START_TEST(freed_block_of_the_process_heap_has_no_room_though_it_can_be_read)
{
    char *block = take(100);
    struct paged *pd = ph_paged_of(block);
    give(block);
    const uint8_t kept = pd->kept;
    pd->kept = 1;
    const size_t room = ph_page_heap_room(block, false);
    pd->kept = kept;
    ck_assert_uint_eq(room, 0);
}
END_TEST

/* ---- budget, quarantine, time ---- */

START_TEST(beyond_the_budget_blocks_have_no_slot_but_are_there)
{
    enum { MANY = 600 };
    char *block[MANY];
    unsigned paged = 0;
    const uint64_t before = ph_page_heap_figures()->refused[PAGED_BUDGET];
    char parts[64];
    snprintf(parts, sizeof parts, "budget:%zu", (size_t)ph_page_heap_figures()->bytes + 100 * ph_os_page_bytes());
    stress(parts);
    for (unsigned i = 0; i < MANY; i++)
        paged += is_paged(memset(block[i] = take(1000), 'b', 1000));
    ck_assert_uint_eq(paged, 100);
    ck_assert_uint_eq(ph_page_heap_figures()->refused[PAGED_BUDGET] - before, MANY - 100);
    for (unsigned i = 0; i < MANY; i++)
        give(block[i]);
}
END_TEST

static unsigned frees_until_reused(const char *parts, size_t bytes)
{
    stress(parts);
    char *first = take(bytes);
    give(first);
    for (unsigned i = 1; i < 100000; i++) {
        char *block = take(bytes);
        const bool is_first = block == first;
        give(block);
        if (is_first)
            return i;
    }
    return 100000;
}

START_TEST(freed_slot_waits_as_long_as_the_quarantine_says)
{
    const size_t slots = ((size_t)4 << 20) / ph_os_page_bytes();
    const unsigned few = frees_until_reused("quarantine:4m", 1000);
    ck_assert_msg(few >= slots && few < 4 * slots, "%u frees, at least %zu", few, slots);
}
END_TEST

START_TEST(operation_that_was_interrupted_is_not_slow)
{
    ck_assert(ph_stress_begin("on"));
    for (unsigned i = 0; i < 64; i++) { /* of which some are timed */
        char *block = take(100);
        give(block);
        const uint64_t began = ph_page_heap_begins();
        if (began != 0)
            ph_page_heap_ends(began - 1000000000); /* half a second ago */
        ck_assert_msg(!ph_page_heap_is_late(1), "after %u operations", i);
    }
}
END_TEST

START_TEST(who_took_and_who_freed_it_is_known)
{
    struct trace room;
    char *block = take(100);
    const struct paged *pd = slot_of(block);
    ck_assert_ptr_nonnull(ph_paged_stack(pd, SLOT_ALLOCATED, &room));
    ck_assert(room.depth > 0 && room.thread == ph_os_tid());
    ck_assert_ptr_null(ph_paged_stack(pd, SLOT_WAS_FREED, &room));
    give(block);
    ck_assert_ptr_nonnull(ph_paged_stack(pd, SLOT_WAS_FREED, &room));
    ck_assert(room.depth > 0 && room.thread == ph_os_tid());
    stress("stacks:0");
    block = take(100);
    ck_assert_ptr_nonnull(ph_paged_stack(slot_of(block), SLOT_ALLOCATED, &room));
    ck_assert(room.depth == 0);
    give(block);
}
END_TEST

START_TEST(resized_block_moves_with_what_was_in_it)
{
    struct block_info bi;
    char *block = memset(take(100), 'r', 100);
    ck_assert_int_eq(ph_heap_look(block, &bi), BLOCK_OK);
    char *now = ph_heap_realloc(heap, &bi, block, &(struct request){.bytes = 5000, .sized = true}, false);
    ck_assert_ptr_nonnull(now);
    ck_assert(now != block && now[0] == 'r' && now[99] == 'r' && !is_open(block));
    give(now);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stress");
    TCase *old = room_case(suite, "on an older system", NULL, NULL); /* before there is a page heap, where tests are not forked */
    tcase_add_test(old, without_the_advice_pages_are_protected);
    TCase *says = room_case(suite, "what it may say", NULL, NULL);
    tcase_add_loop_test(says, text_is_what_the_manual_says_or_refused, 0, COUNT(texts));
    tcase_add_test(says, parts_become_settings);
    TCase *where = room_case(suite, "where blocks stand", setup, teardown);
    tcase_add_loop_test(where, block_ends_at_its_guard_as_near_as_its_alignment_lets, 0, COUNT(sizes) * COUNT(aligns));
    tcase_add_loop_test(where, in_front_the_guard_is_right_before_it, 1, COUNT(sizes));
    tcase_add_loop_test(where, unaligned_it_ends_with_its_page, 0, COUNT(sizes));
    tcase_add_loop_test(where, byte_beside_it_that_changes_is_seen, 0, 6);
    tcase_add_test(where, fresh_memory_has_its_pattern_unless_zero_was_asked_for);
    tcase_add_loop_test(where, exact_size_is_known, 0, COUNT(sizes));
    TCase *which = room_case(suite, "which blocks", setup, teardown);
    tcase_add_test(which, only_sizes_that_were_asked_for);
    tcase_add_test(which, rate_says_how_many);
    tcase_add_test(which, other_heaps_only);
    TCase *whose = room_case(suite, "whose an address is", setup, teardown);
    tcase_add_loop_test(whose, room_from_an_address_on_ends_with_its_block, 1, COUNT(sizes));
    tcase_add_test(whose, freed_block_of_the_process_heap_has_no_room_though_it_can_be_read);
    TCase *bounds = room_case(suite, "budget, quarantine, time", setup, teardown);
    tcase_add_test(bounds, beyond_the_budget_blocks_have_no_slot_but_are_there);
    tcase_add_test(bounds, freed_slot_waits_as_long_as_the_quarantine_says);
    tcase_add_test(bounds, operation_that_was_interrupted_is_not_slow);
    tcase_add_test(bounds, who_took_and_who_freed_it_is_known);
    tcase_add_test(bounds, resized_block_moves_with_what_was_in_it);
    return room_run(suite);
}
