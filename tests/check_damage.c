/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* HeapValidate finds damage: a flip of one bit anywhere in what describes a live heap, but for bytes that
 * nobody reads, which check_damage_collect.c lists with a reason each. */
#include "check_damage.h"

#include <pthread.h>
#include <sys/mman.h>

#include "options.h"
#include "privheap.h"

enum { HEAPS = 9, RANDOM_FLIPS = 10000, WALK_FLIPS = 2000, UNREAD_PERCENT = 2, SOAK_CALLS = 10000, FLIP_SECONDS = 20 };

static struct heap *heaps[HEAPS];
static void *known[HEAPS]; /* a live block of each */
static uint64_t seed;

static uint32_t any(uint32_t below) { return (uint32_t)((uint64_t)room_random(&seed) * below >> 31) % below; }

/* ---- heaps in every state ---- */

/* Blocks of all sizes below `most`; all but each third are freed again. */
static void fill(HANDLE heap, unsigned count, size_t most, bool sized)
{
    void **block = calloc(count, sizeof *block);
    ck_assert_ptr_nonnull(block);
    for (unsigned i = 0; i < count; i++)
        block[i] = sized ? HeapAlloc(heap, 0, any((uint32_t)most)) : room_alloc(ph_heap_of_handle(heap), any((uint32_t)most), false);
    for (unsigned i = 0; i < count; i++)
        if (i % 3 != 0) (void)HeapFree(heap, 0, block[i]);
    free(block);
}

static void *fill_in_thread(void *heap)
{
    fill(heap, 600, 900, true);
    return NULL;
}

/* Pages, runs that grew and shrank, large blocks, free spans, blocks in this thread's stacks. */
static HANDLE used_heap(DWORD flags)
{
    HANDLE heap = HeapCreate(flags, 0, 0);
    fill(heap, 200, 300, true);
    fill(heap, 2000, 1500, true);
    fill(heap, 150, 15000, true);
    fill(heap, 30, 200000, true);
    fill(heap, 6, 3 << 20, true);
    void *run = HeapAlloc(heap, 0, 100000);
    run = HeapReAlloc(heap, 0, run, 50000);
    ck_assert_ptr_nonnull(HeapReAlloc(heap, 0, run, 70000));
    return heap;
}

static HANDLE used_by_threads(void)
{
    HANDLE heap = HeapCreate(0, 0, 0);
    pthread_t threads[3];
    for (int i = 0; i < COUNT(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, fill_in_thread, heap), 0);
    for (int i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    fill(heap, 300, 900, true);
    return heap;
}

static HANDLE debug_heap(void)
{
    char on[] = "PRIVHEAP_DEBUG_FLAGS=0x70", off[] = "PRIVHEAP_DEBUG_FLAGS=0";
    char *const checked[] = { on, NULL }, *const plain[] = { off, NULL };
    ph_options_read(checked);
    HANDLE heap = HeapCreate(0, 0, 0);
    ph_options_read(plain);
    fill(heap, 500, 1000, true);
    return heap;
}

static HANDLE filled(HANDLE heap, unsigned count, size_t most, bool sized)
{
    ck_assert_ptr_nonnull(heap);
    fill(heap, count, most, sized);
    return heap;
}

static void setup_heaps(void)
{
    static const ULONG low_fragmentation = 2;
    seed = 1;
    (void)ph_local_attach(ph_heap_process()); /* the stacks of plain blocks, as malloc has them */
    HANDLE all[HEAPS] = {
        filled(HeapCreate(0, 0, 0), 60, 200, true),
        used_heap(0),
        used_heap(HEAP_NO_SERIALIZE | HEAP_GENERATE_EXCEPTIONS),
        used_by_threads(),
        filled(HeapCreate(0, 0, 256 << 10), 400, 900, true),
        filled(HeapCreate(0, 0, 4 << 20), 3000, 1500, true),
        debug_heap(),
        filled(room_heap(0)->handle, 500, 3000, false),
        filled(GetProcessHeap(), 500, 3000, false),
    };
    for (int i = 0; i < HEAPS; i++) {
        heaps[i] = ph_heap_of_handle(all[i]);
        known[i] = HeapAlloc(all[i], 0, 100);
        ck_assert_ptr_nonnull(known[i]);
    }
    ck_assert(ph_heap_set_name(all[1], "damaged"));
    ck_assert(HeapSetInformation(all[3], HeapCompatibilityInformation, (PVOID)(uintptr_t)&low_fragmentation, sizeof low_fragmentation));
    ck_assert(HeapLock(all[3])); /* the rest is asked by the owner */
}

static void collect_all(void)
{
    stretch_count = 0;
    for (int i = 0; i < HEAPS; i++) {
        ck_assert(HeapValidate(heaps[i]->handle, 0, NULL)); /* stops it, so that nothing changes any more */
        damage_collect(heaps[i], known[i]);
    }
}

static void teardown_heaps(void)
{
    ck_assert(HeapUnlock(heaps[3]->handle));
    for (int i = 0; i < HEAPS; i++) {
        ck_assert(HeapValidate(heaps[i]->handle, 0, NULL));
        ck_assert(HeapFree(heaps[i]->handle, 0, known[i]));
        ck_assert(heaps[i] == &ph_process_heap || HeapDestroy(heaps[i]->handle));
    }
}

/* ---- flips ---- */

/* What a child is doing, for its parent to say when it did not come back. */
static struct progress {
    unsigned stretch;
    size_t byte;
    unsigned bit;
} *progress;

static void flip(unsigned stretch, size_t byte, unsigned bit, void (*look)(const struct stretch *st, size_t byte, unsigned bit))
{
    const struct stretch *st = &stretches[stretch];
    const uint8_t was = st->at[byte];
    if (st->why == why_lock) return; /* nobody may be asked: see there */
    alarm(FLIP_SECONDS);
    *progress = (struct progress){stretch, byte, bit};
    st->at[byte] = was ^ (uint8_t)(1u << bit);
    look(st, byte, bit);
    st->at[byte] = was;
}

static void must_be_found(const struct stretch *st, size_t byte, unsigned bit)
{
    if (!HeapValidate(st->handle, 0, NULL) || st->why != NULL) return;
    char text[200];
    const int bytes = snprintf(text, sizeof text, "not found: heap %u, %s, byte %zu, bit %u\n", st->heap->id, st->what, byte, bit);
    (void)!write(STDERR_FILENO, text, (size_t)bytes);
    _exit(1);
}

/* Answers may be wrong then; but there are some. */
static void must_come_back(const struct stretch *st, size_t byte, unsigned bit)
{
    PROCESS_HEAP_ENTRY entry = { .lpData = NULL };
    unsigned steps = 0;
    (void)byte, (void)bit;
    (void)HeapValidate(st->handle, 0, st->known);
    (void)HeapValidate(st->handle, 0, st->heap);
    while (steps++ < 20000 && HeapWalk(st->handle, &entry))
        ;
    CHILD_NEEDS(steps < 20000);
}

static size_t all_bytes(void)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < stretch_count; i++)
        bytes += stretches[i].bytes;
    return bytes;
}

static void flip_at_random(unsigned count, void (*look)(const struct stretch *st, size_t byte, unsigned bit))
{
    const size_t bytes = all_bytes();
    (void)signal(SIGALRM, SIG_DFL); /* Check's own handler would end us all */
    for (unsigned i = 0; i < count; i++) {
        size_t at = any((uint32_t)bytes);
        unsigned stretch = 0;
        for (; at >= stretches[stretch].bytes; stretch++)
            at -= stretches[stretch].bytes;
        flip(stretch, at, any(8), look);
        if (i % 16 == 0) CHILD_NEEDS(HeapValidate(stretches[stretch].handle, 0, NULL)); /* and it is as it was */
    }
}

static void flip_10000(void *unused)
{
    (void)unused;
    flip_at_random(RANDOM_FLIPS, must_be_found);
}

static void flip_and_walk(void *unused)
{
    (void)unused;
    flip_at_random(WALK_FLIPS, must_come_back);
}

/* Every bit of the structs: of what there is many of, a few. */
static void flip_fields(void *unused)
{
    enum { EACH = 5 };
    static unsigned seen[1 << 16]; /* by where the name stands */
    (void)unused;
    (void)signal(SIGALRM, SIG_DFL);
    for (unsigned i = 0; i < stretch_count; i++) {
        const struct stretch *st = &stretches[i];
        unsigned *of_this = &seen[(uintptr_t)st->what % COUNT(seen)];
        if ((*of_this)++ >= EACH || st->bytes > 600) continue;
        for (size_t byte = 0; byte < st->bytes; byte++)
            for (unsigned bit = 0; bit < 8; bit++)
                flip(i, byte, bit, must_be_found);
    }
}

/* In a child, which may end in any way: then its parent says where. */
static void in_child(void (*act)(void *))
{
    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(progress, MAP_FAILED);
    const struct child_end end = room_child(act, NULL);
    const struct stretch *st = &stretches[progress->stretch];
    ck_assert_msg(end.status == 0, "status %#x at heap %u, %s, byte %zu, bit %u: %s", (unsigned)end.status, st->heap->id, st->what,
                  progress->byte, progress->bit, end.text);
    munmap(progress, sizeof *progress);
}

START_TEST(random_flips_are_found)
{
    collect_all();
    in_child(flip_10000);
}
END_TEST

START_TEST(flips_of_every_bit_of_a_field_are_found)
{
    collect_all();
    in_child(flip_fields);
}
END_TEST

START_TEST(no_flip_ends_a_walk_or_keeps_it)
{
    for (int i = 0; i < HEAPS; i++) { /* empties the stacks, so that a flip is all that changes */
        PROCESS_HEAP_ENTRY entry = { .lpData = NULL };
        ck_assert(HeapWalk(heaps[i]->handle, &entry));
    }
    collect_all();
    in_child(flip_and_walk);
}
END_TEST

/* Those of one reason together, and of all. */
START_TEST(few_bytes_are_read_by_nobody)
{
    size_t unread = 0;
    collect_all();
    const size_t bytes = all_bytes();
    for (unsigned i = 0; i < stretch_count; i++) {
        size_t of_this = 0;
        bool is_first = true;
        for (unsigned j = 0; stretches[i].why != NULL && j < stretch_count; j++) {
            if (stretches[j].why != stretches[i].why) continue;
            is_first = is_first && j >= i;
            of_this += stretches[j].bytes;
        }
        if (of_this > 0 && is_first) printf("%7zu of %zu bytes: %s\n", of_this, bytes, stretches[i].why);
        unread += stretches[i].why != NULL ? stretches[i].bytes : 0;
    }
    printf("%7zu of %zu bytes in all are read by nobody\n", unread, bytes);
    ck_assert_uint_le(unread * 100, bytes * UNREAD_PERCENT);
}
END_TEST

/* ---- no false alarm ---- */

static HANDLE churned;
static int over;

static void *churn(void *number)
{
    enum { KEPT = 300 };
    void *kept[KEPT] = {0};
    uint64_t state = (uintptr_t)number;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        const unsigned i = room_random(&state) % KEPT, what = room_random(&state) % 1000;
        const SIZE_T bytes = what < 900 ? room_random(&state) % 1000 : what < 998 ? room_random(&state) % 60000 : 2 << 20;
        if (kept[i] != NULL && what % 4 == 0) {
            void *now = HeapReAlloc(churned, 0, kept[i], bytes);
            kept[i] = now != NULL ? now : kept[i];
        } else {
            if (kept[i] != NULL) (void)HeapFree(churned, 0, kept[i]);
            kept[i] = HeapAlloc(churned, 0, bytes);
        }
    }
    for (unsigned i = 0; i < KEPT; i++)
        (void)HeapFree(churned, 0, kept[i]);
    return NULL;
}

static const SIZE_T bounds[] = { 0, 2 << 20 };

START_TEST(heap_in_use_is_always_valid)
{
    const char *asked = getenv("VALIDATE_CALLS");
    const long calls = asked != NULL ? atol(asked) : SOAK_CALLS / (bounds[_i] != 0 ? 10 : 1);
    pthread_t threads[2];
    churned = HeapCreate(0, 0, bounds[_i]);
    void *mine = HeapAlloc(churned, 0, 77);
    over = 0;
    for (uintptr_t i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    long alarms = 0;
    for (long i = 0; i < calls; i++)
        alarms += !HeapValidate(churned, 0, i % 4 == 3 ? mine : NULL);
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(alarms, 0);
    ck_assert(HeapValidate(churned, 0, NULL));
    ck_assert(HeapDestroy(churned));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damage");
    TCase *flips = room_case(suite, "flips", setup_heaps, teardown_heaps);
    tcase_add_test(flips, random_flips_are_found);
    tcase_add_test(flips, flips_of_every_bit_of_a_field_are_found);
    tcase_add_test(flips, no_flip_ends_a_walk_or_keeps_it);
    tcase_add_test(flips, few_bytes_are_read_by_nobody);
    TCase *use = tcase_create("use");
    tcase_set_timeout(use, 3600);
    tcase_add_loop_test(use, heap_in_use_is_always_valid, 0, COUNT(bounds));
    suite_add_tcase(suite, use);
    return room_run(suite);
}
