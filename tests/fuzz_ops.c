/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fuzz_ops.c -- fuzz target: bytes become operations on eight heaps by four threads, one at a time.
 *
 * The threads are real and hand a baton to each other, so that a run follows from its bytes alone; each may end and be
 * replaced.  What every operation must do is known from the shadow (fuzz_shadow.h). */
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "fuzz.h"
#include "fuzz_shadow.h"

enum { THREADS = 4, LOCKS_MOST = 3 };
const uint64_t fuzz_life = 200000;

static struct source *so;
static struct thread_place {
    pthread_t thread;
    sem_t go;
    bool there, leave; /* it runs; it is to end */
} threads[THREADS];
static sem_t back; /* the baton comes back to the main thread */
static unsigned now; /* who has the baton */
static unsigned locked[PLACES]; /* how deep the one with the baton has locked it */

/* ---- arguments ---------------------------------------------------------------------------------- */

static struct block *some_slot(void)
{
    const unsigned low = source_byte(so);
    return &sh.slot[(low | source_byte(so) << 8) % SLOTS];
}

static size_t some_bytes(void)
{
    const unsigned kind = source_byte(so), more = source_byte(so);
    if (kind < 150) return more;
    if (kind < 215) return more * 8 + kind % 8;
    if (kind < 243) return more * 66;
    if (kind < 254) return more * 1030;
    return MEBI - 128 + more * 8191;
}

static unsigned some_place(void)
{
    const unsigned place = source_byte(so) % PLACES;
    return place == MALLOCED && !mallocs.real ? PROCESS : place;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

static void refused(unsigned place, size_t bytes, size_t align)
{
    if (!place_is_fixed(place)) wrong("%zu bytes are refused by heap %u: %u", bytes, place, GetLastError());
    if (sh.live[place] == 0 && bytes < 16 * KIBI && align == 16) wrong("%zu bytes are refused by heap %u, which is empty", bytes, place);
}

static void take(struct block *bl, unsigned place, size_t bytes, unsigned how)
{
    const bool zero = how & 1, aligned = (how & 30) == 2;
    const size_t align = aligned && bytes < MEBI ? (size_t)16 << (how >> 5) * 2 : 16;
    const DWORD flags = zero ? HEAP_ZERO_MEMORY : 0;
    void *at;
    if (place == MALLOCED)
        at = mallocs.take(bytes, zero ? 16 : align, zero);
    else if (align > 16)
        at = ph_heap_aligned_alloc(sh.heap[place], flags, align, bytes);
    else
        at = HeapAlloc(sh.heap[place], flags, bytes);
    if (at == NULL)
        refused(place, bytes, align);
    else
        shadow_new(bl, place, place == MALLOCED, at, bytes, place == MALLOCED && zero ? 16 : align, zero);
}

/* HeapFree takes malloc's blocks as well, and free those of HeapAlloc. */
static void give(struct block *bl, unsigned how)
{
    const bool by_malloc = mallocs.real && place_home(bl->place) == PROCESS && (bl->place == MALLOCED) != (how % 16 == 0);
    shadow_look(bl, bl->at, bl->bytes);
    if (by_malloc)
        mallocs.give(bl->at);
    else if (!HeapFree(sh.heap[bl->place], 0, bl->at))
        wrong("HeapFree of %p (heap %u) fails: %u", (void *)bl->at, bl->place, GetLastError());
    shadow_gone(bl);
}

static void check_grown(const unsigned char *at, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < from + 4096; i++)
        if (at[i] != 0) wrong("byte %zu of a block that grew from %zu to %zu is not zero", i, from, to);
}

static void resize(struct block *bl, size_t bytes, unsigned how)
{
    const bool in_place = how % 4 == 1, zero = how % 4 >= 2 && !bl->plain;
    const size_t old = bl->bytes;
    unsigned char *at;
    shadow_look(bl, bl->at, old);
    if (bl->plain && bytes == 0) bytes = 1; /* realloc(block, 0) is free */
    if (bl->plain)
        at = mallocs.resize(bl->at, bytes);
    else
        at = HeapReAlloc(sh.heap[bl->place], (in_place ? HEAP_REALLOC_IN_PLACE_ONLY : 0) | (zero ? HEAP_ZERO_MEMORY : 0), bl->at, bytes);
    if (at == NULL) {
        if ((bl->plain || !in_place || bytes <= old) && (bytes <= old || !place_is_fixed(bl->place)))
            wrong("a block of %zu bytes (heap %u) cannot have %zu", old, bl->place, bytes);
        shadow_look(bl, bl->at, old);
        return;
    }
    if (in_place && !bl->plain && at != bl->at) wrong("a block moved in place");
    shadow_look(bl, at, old > 2048 && bytes < old && bytes > 512 ? 512 : bytes);
    if (zero && bytes > old) check_grown(at, old, bytes);
    const unsigned place = bl->place;
    const bool plain = bl->plain;
    shadow_gone(bl);
    shadow_new(bl, place, plain, at, bytes, 16, false);
}

static void give_or_take(struct block *bl, unsigned how)
{
    const unsigned place = some_place();
    const size_t bytes = some_bytes();
    if (bl->at != NULL)
        give(bl, how);
    else
        take(bl, place, bytes, how);
}

/* Many of one size, as programs do: stacks run empty and full. */
static void burst(void)
{
    const unsigned first = (unsigned)(some_slot() - sh.slot), place = some_place(), count = source_byte(so) % 128;
    const size_t bytes = some_bytes() % (32 * KIBI);
    const bool taking = source_byte(so) % 2;
    for (unsigned i = 0; i < count; i++) {
        struct block *bl = &sh.slot[(first + i) % SLOTS];
        if (taking && bl->at == NULL)
            take(bl, place, bytes, 0);
        else if (!taking && bl->at != NULL)
            give(bl, i);
    }
}

/* ---- what must be refused ----------------------------------------------------------------------- */

static bool is_live(const void *at)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (sh.slot[i].at == at) return true;
    return false;
}

static void refuse(unsigned place, void *at, const char *what)
{
    HANDLE heap = sh.heap[place];
    SetLastError(1);
    if (HeapValidate(heap, 0, at)) wrong("HeapValidate takes %p, %s (heap %u)", at, what, place);
    if (GetLastError() != 1) wrong("HeapValidate sets the last error");
    if (HeapSize(heap, 0, at) != (SIZE_T)-1 || GetLastError() != ERROR_INVALID_PARAMETER) wrong("HeapSize takes %p, %s (heap %u)", at, what, place);
    if (HeapReAlloc(heap, 0, at, 10) != NULL) wrong("HeapReAlloc takes %p, %s (heap %u)", at, what, place);
    if (HeapFree(heap, 0, at)) wrong("HeapFree takes %p, %s (heap %u)", at, what, place);
    if (GetLastError() != ERROR_INVALID_PARAMETER) wrong("the last error is %u", GetLastError());
}

static void refuse_bad(struct block *bl, unsigned how)
{
    const unsigned other = some_place();
    if (bl->at == NULL) {
        if (bl->was != NULL && place_home(bl->was_place) != PROCESS && !is_live(bl->was)) refuse(bl->was_place, bl->was, "which was freed");
    } else if (how % 2 == 0 && bl->bytes > 1) {
        refuse(bl->place, bl->at + 1 + how * 16 % (bl->bytes - 1), "in the middle of a block");
    } else if (place_home(other) != place_home(bl->place)) {
        refuse(other, bl->at, "of another heap");
    }
}

/* ---- whole heaps -------------------------------------------------------------------------------- */

static void heap_make(unsigned place)
{
    static const struct {
        DWORD flags;
        SIZE_T initial, most;
    } as[PLACES] = {
        [GROWABLE] = {0, 0, 0},       [SECOND] = {0, 64 * KIBI, 0}, [FIXED] = {0, 0, MEBI},
        [SMALL] = {0, 0, 64 * KIBI},  [UNSERIALISED] = {HEAP_NO_SERIALIZE, 0, 0},
        [EXECUTABLE] = {HEAP_CREATE_ENABLE_EXECUTE, 0, 0},
    };
    sh.heap[place] = place_home(place) == PROCESS ? GetProcessHeap() : HeapCreate(as[place].flags, as[place].initial, as[place].most);
    if (sh.heap[place] == NULL) wrong("heap %u cannot be made: %u", place, GetLastError());
}

static void unlock_all(unsigned place)
{
    for (; locked[place] > 0; locked[place]--)
        if (!HeapUnlock(sh.heap[place])) wrong("HeapUnlock fails: %u", GetLastError());
}

static void heap_end(unsigned place)
{
    HANDLE gone = sh.heap[place];
    unlock_all(place);
    check_whole(place);
    check_sums(place);
    shadow_drop_heap(place);
    if (!HeapDestroy(gone)) wrong("HeapDestroy of heap %u fails: %u", place, GetLastError());
    if (HeapAlloc(gone, 0, 1) != NULL || HeapValidate(gone, 0, NULL)) wrong("a heap that has ended is used");
}

static void heap_renew(unsigned place)
{
    if (place_home(place) == PROCESS) return;
    heap_end(place);
    heap_make(place);
}

static void lock_or_unlock(unsigned place)
{
    const unsigned home = place_home(place);
    if (home == UNSERIALISED) return;
    if (locked[home] < LOCKS_MOST && source_byte(so) % 2) {
        if (!HeapLock(sh.heap[home])) wrong("HeapLock fails: %u", GetLastError());
        locked[home]++;
    } else if (locked[home] > 0) {
        if (!HeapUnlock(sh.heap[home])) wrong("HeapUnlock fails: %u", GetLastError());
        locked[home]--;
    } else if (HeapUnlock(sh.heap[home]) || GetLastError() != ERROR_NOT_OWNER) {
        wrong("HeapUnlock works without HeapLock");
    }
}

static void give_back(unsigned place)
{
    const HEAP_OPTIMIZE_RESOURCES_INFORMATION all = {.Version = HEAP_OPTIMIZE_RESOURCES_CURRENT_VERSION};
    if (source_byte(so) % 2)
        (void)HeapCompact(sh.heap[place], 0);
    else if (!HeapSetInformation(source_byte(so) % 2 ? sh.heap[place] : NULL, HeapOptimizeResources, (PVOID)(uintptr_t)&all, sizeof all))
        wrong("HeapOptimizeResources fails: %u", GetLastError());
}

/* ---- threads ------------------------------------------------------------------------------------ */

static void *thread_run(void *arg);

static void thread_make(unsigned i)
{
    if (pthread_create(&threads[i].thread, NULL, thread_run, &threads[i]) != 0) wrong("no thread");
    threads[i].there = true;
}

static void baton_wait(sem_t *at)
{
    while (sem_wait(at) != 0)
        continue;
}

/* The next one goes on; whoever had it waits. */
static void baton_pass(unsigned to)
{
    const unsigned from = now;
    if (to == from) return;
    for (unsigned place = 0; place < PLACES; place++)
        unlock_all(place);
    now = to;
    if (!threads[to].there) thread_make(to);
    sem_post(&threads[to].go);
    baton_wait(&threads[from].go);
}

/* A thread other than the one with the baton ends; another takes its place when it is needed. */
static void thread_end(unsigned i)
{
    if (i == now || !threads[i].there) return;
    unlock_all(PROCESS); /* the others stay locked: it leaves orphans there */
    threads[i].leave = true;
    sem_post(&threads[i].go);
    pthread_join(threads[i].thread, NULL);
    threads[i].leave = threads[i].there = false;
}

/* ---- one operation ------------------------------------------------------------------------------ */

static void rare(unsigned what)
{
    const unsigned place = some_place();
    switch (what % 10) {
    case 0: heap_renew(place); break;
    case 1: check_walk(place); break;
    case 2: check_visit(place); break;
    case 3: case 4: check_sums(place); break;
    case 5: check_stats(place); break;
    case 6: check_whole(place); break;
    case 7: give_back(place); break;
    case 8: thread_end(source_byte(so) % THREADS); break;
    default: (void)ph_heap_set_name(sh.heap[place], source_byte(so) % 2 ? "fuzzed" : NULL); break;
    }
}

static void operation(void)
{
    const unsigned what = source_byte(so), how = source_byte(so);
    sh.operations++;
    if (what < 170) {
        give_or_take(some_slot(), how);
    } else if (what < 210) {
        struct block *bl = some_slot();
        if (bl->at != NULL) resize(bl, some_bytes(), how);
    } else if (what < 236) {
        struct block *bl = some_slot();
        if (bl->at != NULL) check_size(bl);
    } else if (what < 246) {
        refuse_bad(some_slot(), how);
    } else if (what < 249) {
        lock_or_unlock(some_place());
    } else if (what < 251) {
        burst();
    } else if (what < 253) {
        if (so->at != NULL || how < 20) rare(how); /* they cost most: seldom where bytes are random */
    } else if (so->at != NULL || how < 60) {
        baton_pass(how % THREADS);
    }
}

static void *thread_run(void *arg)
{
    struct thread_place *me = arg;
    for (;;) {
        baton_wait(&me->go);
        if (me->leave) return NULL;
        while (&threads[now] == me && source_more(so))
            operation();
        if (me->leave) return NULL;
        for (unsigned place = 0; place < PLACES; place++)
            unlock_all(place);
        sem_post(&back);
    }
}

/* ---- one life ----------------------------------------------------------------------------------- */

static void life_begin(void)
{
    memset(&sh.slot, 0, sizeof sh.slot);
    sh.operations = 0;
    now = 0;
    sem_init(&back, 0, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        sem_init(&threads[i].go, 0, 0);
        threads[i].leave = threads[i].there = false;
    }
    for (unsigned place = 0; place < PLACES; place++)
        heap_make(place);
}

static void life_end(void)
{
    for (unsigned i = 0; i < THREADS; i++) {
        if (!threads[i].there) continue;
        threads[i].leave = true;
        sem_post(&threads[i].go);
        pthread_join(threads[i].thread, NULL);
    }
    for (unsigned place = 0; place < PLACES; place++)
        check_whole(place);
    for (unsigned i = 0; i < SLOTS; i++)
        if (sh.slot[i].at != NULL) give(&sh.slot[i], 1);
    for (unsigned place = 0; place < PLACES; place++) {
        check_stats(place);
        if (place_home(place) != PROCESS) heap_end(place);
    }
}

uint64_t fuzz_run(struct source *use)
{
    so = use;
    mallocs_find();
    life_begin();
    thread_make(0);
    sem_post(&threads[0].go);
    baton_wait(&back);
    life_end();
    return sh.operations;
}
