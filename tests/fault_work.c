/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fault_work.c -- threads, forks and heaps that know what stands in each of their blocks, while system calls fail.
 *
 * A request may be refused while faults happen, never otherwise, and a heap of fixed size at any time.  After each
 * fault every heap must be valid.  When the faults have ended and all was freed, each heap must count what it
 * counted before, and must give again what it gave before. */
#include "fault.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privheap.h"

enum { THREADS = 3, SLOTS = 72, STEPS = 500, LIVES = 2, FIXED_BYTES = 2 << 20, FIXED_BLOCKS = 4096, MIB = 1 << 20 };
enum place { MALLOC, PROCESS, GROWABLE, FIXED, OWN, PLACES };

struct block {
    unsigned char *at; /* NULL: none */
    size_t bytes;
    enum place place;
};

struct worker {
    struct block slot[SLOTS];
    HANDLE own; /* a heap that comes and goes */
    unsigned random, seen, number;
};

static struct worker workers[THREADS];
static HANDLE heaps[PLACES]; /* but OWN's */
static struct fault_report *report;
static bool preloaded, faults_over = true;
static __thread struct worker *me;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    char line[300];
    va_list ap;
    va_start(ap, format);
    const int length = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    dprintf(2, "fault: %.*s\n", length, line);
    _exit(1);
}

static unsigned failed(void) { return __atomic_load_n(&report->failed, __ATOMIC_RELAXED); }

static unsigned draw(unsigned below)
{
    me->random = me->random * 1664525 + 1013904223;
    return (unsigned)((uint64_t)(me->random >> 4) * below >> 28);
}

/* ---- contents ----------------------------------------------------------------------------------- */

static unsigned char byte_of(size_t bytes, size_t i) { return (unsigned char)(bytes * 7 + i + 1); }
static size_t next(size_t i, size_t bytes) { return bytes > 2048 && i == 511 ? bytes - 512 : i + 1; }

static void fill(struct block *bl)
{
    for (size_t i = 0; i < bl->bytes; i = next(i, bl->bytes))
        bl->at[i] = byte_of(bl->bytes, i);
}

static void look(const struct block *bl, const unsigned char *now, size_t count)
{
    for (size_t i = 0; i < bl->bytes && i < count; i = next(i, bl->bytes))
        if (now[i] != byte_of(bl->bytes, i)) fail("byte %zu of %zu at %p is not what was written", i, bl->bytes, (const void *)now);
}

/* ---- the heaps' calls --------------------------------------------------------------------------- */

static HANDLE heap_of(enum place place) { return place == OWN ? me->own : heaps[place]; }
static bool is_malloc(enum place place) { return place == MALLOC && preloaded; }

static void *take(enum place place, size_t bytes, bool zero)
{
    if (is_malloc(place)) return zero ? calloc(1, bytes) : bytes % 5 == 0 ? memalign(64, bytes) : malloc(bytes);
    return HeapAlloc(heap_of(place), zero ? HEAP_ZERO_MEMORY : 0, bytes);
}

static void *resize(const struct block *bl, size_t bytes)
{
    return is_malloc(bl->place) ? realloc(bl->at, bytes) : HeapReAlloc(heap_of(bl->place), 0, bl->at, bytes);
}

static void give(struct block *bl)
{
    look(bl, bl->at, bl->bytes);
    if (is_malloc(bl->place))
        free(bl->at);
    else if (!HeapFree(heap_of(bl->place), 0, bl->at))
        fail("HeapFree refuses %zu bytes: %u", bl->bytes, GetLastError());
    bl->at = NULL;
}

/* Nobody may be refused without a reason. */
static void refused(enum place place, size_t bytes)
{
    __atomic_add_fetch(&report->refused, 1, __ATOMIC_RELAXED);
    if (place != FIXED && (faults_over || failed() == 0)) fail("%zu bytes are refused without a fault", bytes);
}

static size_t draw_bytes(void)
{
    const unsigned dice = draw(100);
    if (dice < 55) return 1 + draw(400);
    if (dice < 75) return 1 + draw(6000);
    if (dice < 92) return 1 + draw(90000);
    return MIB + draw(2 * MIB);
}

static void step_take(struct block *bl)
{
    const bool zero = draw(3) == 0;
    bl->place = draw(me->own != NULL ? PLACES : OWN);
    bl->bytes = draw_bytes();
    bl->at = take(bl->place, bl->bytes, zero);
    if (bl->at == NULL) {
        refused(bl->place, bl->bytes);
        return;
    }
    for (size_t i = 0; zero && i < bl->bytes; i = next(i, bl->bytes))
        if (bl->at[i] != 0) fail("byte %zu of %zu is not zero", i, bl->bytes);
    fill(bl);
}

static void step_resize(struct block *bl)
{
    const size_t bytes = draw_bytes();
    look(bl, bl->at, bl->bytes);
    unsigned char *now = resize(bl, bytes);
    if (now == NULL) {
        refused(bl->place, bytes);
        look(bl, bl->at, bl->bytes);
        return;
    }
    if (bytes < bl->bytes && bl->bytes > 2048) /* what is between the ends was not written */
        look(bl, now, bytes < 512 ? bytes : 512);
    else
        look(bl, now, bytes);
    bl->at = now;
    bl->bytes = bytes;
    fill(bl);
}

/* ---- whole heaps -------------------------------------------------------------------------------- */

static void validate_all(const char *when)
{
    for (enum place place = PROCESS; place < PLACES; place++)
        if (heap_of(place) != NULL && !HeapValidate(heap_of(place), 0, NULL)) fail("heap %d is damaged %s", (int)place, when);
}

static void own_end(void)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (me->slot[i].at != NULL && me->slot[i].place == OWN) {
            look(&me->slot[i], me->slot[i].at, me->slot[i].bytes);
            me->slot[i].at = NULL;
        }
    if (!HeapDestroy(me->own)) fail("HeapDestroy fails: %u", GetLastError());
    me->own = NULL;
}

static void own_step(void)
{
    if (me->own != NULL) {
        own_end();
        return;
    }
    me->own = HeapCreate(draw(4) == 0 ? HEAP_CREATE_ENABLE_EXECUTE : 0, draw(2) * MIB, 0);
    if (me->own == NULL)
        refused(OWN, 0);
    else
        ph_heap_set_name(me->own, "a heap of one thread");
}

static void heap_walk(HANDLE heap)
{
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    if (!HeapLock(heap)) fail("HeapLock fails");
    while (HeapWalk(heap, &entry))
        continue;
    if (GetLastError() != ERROR_NO_MORE_ITEMS) fail("HeapWalk ends with %u", GetLastError());
    if (!HeapUnlock(heap)) fail("HeapUnlock fails");
}

/* The child has this thread's blocks, and can allocate. */
static void step_fork(void)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        for (unsigned i = 0; i < SLOTS; i++)
            if (me->slot[i].at != NULL) give(&me->slot[i]);
        for (unsigned i = 0; i < SLOTS; i++)
            step_take(&me->slot[i]);
        validate_all("in the child of a fork");
        _exit(0);
    }
    if (child < 0) fail("fork fails");
    while (waitpid(child, &status, 0) != child)
        continue;
    if (status != 0) fail("the child of a fork ends with status %#x", (unsigned)status);
}

static void step_whole(void)
{
    const HEAP_OPTIMIZE_RESOURCES_INFORMATION all = {.Version = HEAP_OPTIMIZE_RESOURCES_CURRENT_VERSION};
    HANDLE heap = heaps[1 + draw(FIXED)];
    switch (draw(6)) {
    case 0: (void)HeapCompact(heap, 0); break;
    case 1:
        if (!HeapSetInformation(NULL, HeapOptimizeResources, (PVOID)(uintptr_t)&all, sizeof all)) fail("HeapOptimizeResources fails");
        break;
    case 2: heap_walk(heap); break;
    case 3: step_fork(); break;
    default: own_step(); break;
    }
}

/* ---- the threads -------------------------------------------------------------------------------- */

static void step(unsigned number)
{
    struct block *bl = &me->slot[draw(SLOTS)];
    const unsigned dice = draw(100);
    if (number % 16 == 15)
        step_whole();
    else if (bl->at == NULL)
        step_take(bl);
    else if (dice < 35)
        step_resize(bl);
    else
        give(bl);
    if (me->seen != failed() && me->seen < 40) { /* after every fault; after forty, there will be many more */
        me->seen = failed();
        validate_all("after a fault");
    }
}

static void *life(void *arg)
{
    me = arg;
    for (unsigned i = 0; i < STEPS; i++)
        step(i);
    if (me->own != NULL && me->number == 1) own_end();
    return NULL;
}

/* A thread that cannot be made, because it needs memory too, is done without. */
static void generation(void)
{
    pthread_t thread[THREADS];
    bool made[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        made[i] = pthread_create(&thread[i], NULL, life, &workers[i]) == 0;
        if (!made[i] && failed() == 0) fail("no thread");
    }
    for (unsigned i = 0; i < THREADS; i++) {
        if (made[i])
            pthread_join(thread[i], NULL);
        else
            (void)life(&workers[i]);
    }
}

/* ---- before and after --------------------------------------------------------------------------- */

static struct ph_stats figures(HANDLE heap)
{
    struct ph_stats st = {.struct_bytes = sizeof st};
    if (!ph_heap_stats(heap, &st)) fail("ph_heap_stats fails: %u", GetLastError());
    return st;
}

/* How many blocks a heap of fixed size has room for. */
static unsigned fixed_room(void)
{
    static void *block[FIXED_BLOCKS];
    unsigned count = 0;
    while (count < FIXED_BLOCKS && (block[count] = HeapAlloc(heaps[FIXED], 0, 1000)) != NULL)
        count++;
    for (unsigned i = 0; i < count; i++)
        if (!HeapFree(heaps[FIXED], 0, block[i])) fail("HeapFree fails in the heap of fixed size");
    void *whole = HeapAlloc(heaps[FIXED], 0, 800 * 1024);
    if (whole == NULL) fail("the heap of fixed size is in pieces");
    (void)HeapFree(heaps[FIXED], 0, whole);
    return count;
}

/* Blocks of every kind, all live at once. */
static void take_again(enum place place)
{
    struct block block[200];
    for (unsigned i = 0; i < 200; i++) {
        const size_t bytes = i % 20 == 0 ? MIB + i * 10000 : i % 7 == 0 ? i * 300 : 1 + i * 3;
        block[i] = (struct block){take(place, bytes, false), bytes, place};
        if (block[i].at == NULL) fail("%zu bytes cannot be had again from heap %d", bytes, (int)place);
        fill(&block[i]);
    }
    for (unsigned i = 0; i < 200; i++)
        give(&block[i]);
}

static void *warm_up(void *arg)
{
    me = arg;
    for (unsigned i = 0; i < 64; i++)
        free(malloc(i * 40));
    return NULL;
}

static void threads_warm(void)
{
    pthread_t thread[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, warm_up, &workers[i]) != 0) fail("no thread");
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

/* Lines and bytes of /proc/self/maps, of which no stdio keeps a copy. */
static void note_mappings(void)
{
    static char text[1 << 20];
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    for (ssize_t got; fd >= 0 && length < sizeof text - 1 && (got = read(fd, text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)got;
    if (fd >= 0) close(fd);
    text[length] = '\0';
    for (char *at = text; *at != '\0'; at = strchr(at, '\n') + 1) {
        char *end;
        const unsigned long from = strtoul(at, &end, 16), to = strtoul(end + 1, NULL, 16);
        report->mappings++;
        report->kilobytes += (unsigned)((to - from) >> 10);
    }
}

static void give_all(void)
{
    for (unsigned t = 0; t < THREADS; t++) {
        me = &workers[t];
        if (me->own != NULL) own_end();
        for (unsigned i = 0; i < SLOTS; i++)
            if (me->slot[i].at != NULL) give(&me->slot[i]);
    }
}

static const char *module_of(const void *code)
{
    Dl_info info;
    return dladdr(code, &info) != 0 ? info.dli_fname : "";
}

static void set_up(struct fault_report *use, unsigned seed)
{
    report = use;
    (void)mallopt(M_ARENA_MAX, 1); /* glibc reserves 64 MB for each other one */
    preloaded = strcmp(module_of(dlsym(RTLD_DEFAULT, "malloc")), module_of((const void *)(uintptr_t)&HeapAlloc)) == 0;
    for (unsigned i = 0; i < THREADS; i++)
        workers[i] = (struct worker){.random = seed * 131 + i * 7919 + 1, .number = i};
    me = &workers[0];
    heaps[MALLOC] = heaps[PROCESS] = GetProcessHeap();
    heaps[GROWABLE] = HeapCreate(0, 0, 0);
    heaps[FIXED] = HeapCreate(0, 0, FIXED_BYTES);
    if (heaps[GROWABLE] == NULL || heaps[FIXED] == NULL) fail("HeapCreate fails");
    threads_warm();
    fault_ready();
}

static void compare(enum place place, const struct ph_stats *before)
{
    const struct ph_stats after = figures(heaps[place]);
    if (after.live_blocks != before->live_blocks || after.live_bytes != before->live_bytes || after.large_blocks != before->large_blocks)
        fail("heap %d: %zu blocks of %zu bytes (%zu large), before %zu of %zu (%zu)", (int)place, after.live_blocks, after.live_bytes,
             after.large_blocks, before->live_blocks, before->live_bytes, before->large_blocks);
    if (place == FIXED && after.reserved_bytes != before->reserved_bytes) fail("the heap of fixed size changed it");
}

static void tear_down(unsigned room)
{
    const HEAP_OPTIMIZE_RESOURCES_INFORMATION all = {.Version = HEAP_OPTIMIZE_RESOURCES_CURRENT_VERSION};
    for (enum place place = MALLOC; place < OWN; place++)
        if (place != FIXED) take_again(place);
    if (fixed_room() != room) fail("the heap of fixed size had room for %u blocks, now %u", room, fixed_room());
    validate_all("in the end");
    if (!HeapDestroy(heaps[GROWABLE]) || !HeapDestroy(heaps[FIXED])) fail("HeapDestroy fails in the end");
    (void)HeapSetInformation(NULL, HeapOptimizeResources, (PVOID)(uintptr_t)&all, sizeof all);
    if (figures(heaps[PROCESS]).dirty_bytes > 4 * MIB) fail("%zu free bytes are kept", figures(heaps[PROCESS]).dirty_bytes);
    note_mappings();
}

void fault_work(const struct fault_plan *plan, struct fault_report *use, unsigned seed, bool lose, const char **why)
{
    struct ph_stats before[PLACES];
    set_up(use, seed);
    const unsigned room = fixed_room();
    for (enum place place = PROCESS; place < OWN; place++)
        before[place] = figures(heaps[place]);
    *why = fault_catch((const void *)(uintptr_t)&HeapAlloc, use);
    if (*why != NULL) return;
    faults_over = false;
    fault_begin(plan);
    for (unsigned i = 0; i < LIVES; i++)
        generation();
    fault_end();
    faults_over = true;
    validate_all("when the faults have ended");
    for (unsigned i = 0; lose && i < SLOTS; i++) {
        if (workers[0].slot[i].at == NULL) continue;
        workers[0].slot[i].at = NULL;
        lose = false;
    }
    give_all();
    for (enum place place = PROCESS; place < OWN; place++)
        compare(place, &before[place]);
    tear_down(room);
}
