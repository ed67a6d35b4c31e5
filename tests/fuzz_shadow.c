/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fuzz_shadow.c -- see fuzz_shadow.h.  The process heap may hold blocks that are not ours (the C library's, when
 * malloc is the object's): there the figures are lower bounds, everywhere else they are exact. */
#include "fuzz_shadow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TABLE = 4096, WHOLE_BYTES = 2048, END_BYTES = 512 };

struct shadow sh;
static uint16_t table[TABLE]; /* live slots of one heap by address: index + 1 */
static bool seen[SLOTS];

void wrong(const char *format, ...)
{
    char line[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    dprintf(2, "fuzz: operation %llu: %s\n", (unsigned long long)sh.operations, line);
    abort();
}

static bool is_shared(unsigned home) { return home == PROCESS && mallocs.real; }

/* ---- contents ----------------------------------------------------------------------------------- */

static unsigned char seed_of(const struct block *bl) { return (unsigned char)(bl->bytes * 13 + (size_t)(bl - sh.slot) * 31 + 1); }

/* The pattern of bytes [i, i + 8) and where it goes on: all of a small block, both ends of a bigger one. */
static size_t next(size_t i, size_t bytes) { return bytes > WHOLE_BYTES && i + 8 == END_BYTES ? (bytes - END_BYTES) & ~(size_t)7 : i + 8; }
static uint64_t word_of(unsigned char seed, size_t i) { return (seed + i) * 0x0101010101010101u + 0x0706050403020100u; }

void shadow_fill(const struct block *bl)
{
    const unsigned char seed = seed_of(bl);
    for (size_t i = 0; i < bl->bytes; i = next(i, bl->bytes)) {
        const uint64_t word = word_of(seed, i);
        memcpy(bl->at + i, &word, bl->bytes - i < 8 ? bl->bytes - i : 8);
    }
}

/* The first `count` bytes of a block, which are at `now`. */
void shadow_look(const struct block *bl, const unsigned char *now, size_t count)
{
    const unsigned char seed = seed_of(bl);
    const size_t most = count < bl->bytes ? count : bl->bytes;
    for (size_t i = 0; i < most; i = next(i, bl->bytes)) {
        const uint64_t word = word_of(seed, i);
        if (memcmp(now + i, &word, most - i < 8 ? most - i : 8) != 0)
            wrong("block of %zu bytes at %p (heap %u): bytes from %zu are changed", bl->bytes, (const void *)now, bl->place, i);
    }
}

static void look_zero(const unsigned char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += bytes > 65536 && i > 8192 && i + 8192 < bytes ? 509 : 1)
        if (at[i] != 0) wrong("byte %zu of %zu at %p is not zero", i, bytes, (const void *)at);
}

/* Of a few blocks; that no two overlap is seen by each walk too. */
static void look_apart(const struct block *bl)
{
    const uintptr_t from = (uintptr_t)bl->at, to = from + (bl->bytes > 0 ? bl->bytes : 1);
    for (const struct block *other = sh.slot; other < sh.slot + SLOTS; other++)
        if (other != bl && other->at != NULL && (uintptr_t)other->at < to && from < (uintptr_t)other->at + other->bytes + (other->bytes == 0))
            wrong("blocks %p of %zu and %p of %zu bytes overlap", (void *)bl->at, bl->bytes, (void *)other->at, other->bytes);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

void shadow_new(struct block *bl, unsigned place, bool plain, unsigned char *at, size_t bytes, size_t align, bool zero)
{
    *bl = (struct block){.at = at, .bytes = bytes, .place = (unsigned char)place, .plain = plain};
    if (((uintptr_t)at & (align - 1)) != 0) wrong("%p is not aligned to %zu", (void *)at, align);
    if (zero) look_zero(at, bytes);
    if (sh.operations % 16 == 0) look_apart(bl);
    shadow_fill(bl);
    sh.live[place_home(place)]++;
    sh.live_bytes[place_home(place)] += bytes;
}

void shadow_gone(struct block *bl)
{
    sh.live[place_home(bl->place)]--;
    sh.live_bytes[place_home(bl->place)] -= bl->bytes;
    bl->was = bl->at;
    bl->was_place = bl->place;
    bl->at = NULL;
}

void shadow_drop_heap(unsigned place)
{
    for (struct block *bl = sh.slot; bl < sh.slot + SLOTS; bl++)
        if (bl->at != NULL && bl->place == place) {
            shadow_look(bl, bl->at, bl->bytes);
            shadow_gone(bl);
        }
}

void check_size(const struct block *bl)
{
    HANDLE heap = sh.heap[bl->place];
    if (bl->plain && mallocs.usable(bl->at) < bl->bytes) wrong("%zu of %zu bytes are usable", mallocs.usable(bl->at), bl->bytes);
    const SIZE_T bytes = HeapSize(heap, 0, bl->at);
    if (bl->plain ? bytes < bl->bytes || bytes == (SIZE_T)-1 : bytes != bl->bytes)
        wrong("HeapSize of %p (heap %u) is %zu, not %zu", (void *)bl->at, bl->place, bytes, bl->bytes);
    if (!HeapValidate(heap, 0, bl->at)) wrong("HeapValidate refuses %p of %zu bytes (heap %u)", (void *)bl->at, bl->bytes, bl->place);
}

/* ---- whole heaps -------------------------------------------------------------------------------- */

static unsigned table_start(const void *at) { return (unsigned)(((uintptr_t)at >> 4) * 0x9E3779B97F4A7C15u >> 40) % TABLE; }

static void table_make(unsigned home)
{
    memset(table, 0, sizeof table);
    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (sh.slot[i].at == NULL || place_home(sh.slot[i].place) != home) continue;
        unsigned t = table_start(sh.slot[i].at);
        while (table[t] != 0)
            t = (t + 1) % TABLE;
        table[t] = (uint16_t)(i + 1);
    }
}

/* A live block that the heap shows must be the one of a slot, and be shown once. */
static bool note(unsigned home, const void *at, size_t bytes, const char *who)
{
    for (unsigned t = table_start(at); table[t] != 0; t = (t + 1) % TABLE) {
        const struct block *bl = &sh.slot[table[t] - 1];
        if (bl->at != at) continue;
        if (seen[table[t] - 1]) wrong("%s shows %p twice", who, at);
        if (bl->plain ? bytes < bl->bytes : bytes != bl->bytes) wrong("%s shows %p with %zu bytes, not %zu", who, at, bytes, bl->bytes);
        return seen[table[t] - 1] = true;
    }
    if (!is_shared(home)) wrong("%s shows %p of %zu bytes, which is not live", who, at, bytes);
    return false;
}

struct tally {
    unsigned home, ours;
};

static void all_seen(const struct tally *ta, const char *who)
{
    if (ta->ours != sh.live[ta->home]) wrong("%s shows %u of %zu blocks of heap %u", who, ta->ours, sh.live[ta->home], ta->home);
}

void check_walk(unsigned place)
{
    struct tally ta = {place_home(place), 0};
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
    table_make(ta.home);
    if (!HeapLock(sh.heap[place])) wrong("HeapLock fails: %u", GetLastError());
    while (HeapWalk(sh.heap[place], &entry))
        if (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) ta.ours += note(ta.home, entry.lpData, entry.cbData, "HeapWalk");
    if (GetLastError() != ERROR_NO_MORE_ITEMS) wrong("HeapWalk ends with %u", GetLastError());
    if (!HeapUnlock(sh.heap[place])) wrong("HeapUnlock fails: %u", GetLastError());
    all_seen(&ta, "HeapWalk");
}

static BOOL visited(const struct ph_block *block, void *context)
{
    struct tally *ta = context;
    ta->ours += note(ta->home, block->address, block->bytes, "ph_heap_visit");
    return TRUE;
}

void check_visit(unsigned place)
{
    struct tally ta = {place_home(place), 0};
    table_make(ta.home);
    if (!ph_heap_visit(sh.heap[place], visited, &ta)) wrong("ph_heap_visit fails: %u", GetLastError());
    all_seen(&ta, "ph_heap_visit");
}

static bool agrees(unsigned home, size_t told, size_t known) { return is_shared(home) ? told >= known : told == known; }

void check_sums(unsigned place)
{
    const unsigned home = place_home(place);
    HEAP_SUMMARY sums = {.cb = sizeof sums};
    if (!HeapSummary(sh.heap[place], 0, &sums)) wrong("HeapSummary fails: %u", GetLastError());
    if (!agrees(home, sums.cbAllocated, sh.live_bytes[home]))
        wrong("HeapSummary of heap %u: %zu bytes, not %zu", place, sums.cbAllocated, sh.live_bytes[home]);
    if (sums.cbAllocated > sums.cbCommitted || sums.cbCommitted > sums.cbReserved || sums.cbReserved > sums.cbMaxReserve)
        wrong("HeapSummary: %zu, %zu, %zu, %zu", sums.cbAllocated, sums.cbCommitted, sums.cbReserved, sums.cbMaxReserve);
}

void check_stats(unsigned place)
{
    const unsigned home = place_home(place);
    struct ph_stats st = {.struct_bytes = sizeof st};
    if (!ph_heap_stats(sh.heap[place], &st)) wrong("ph_heap_stats fails: %u", GetLastError());
    if (!agrees(home, st.live_blocks, sh.live[home]) || !agrees(home, st.live_bytes, sh.live_bytes[home]))
        wrong("heap %u has %zu blocks of %zu bytes, not %zu of %zu", place, st.live_blocks, st.live_bytes, sh.live[home],
              sh.live_bytes[home]);
    if (st.dirty_bytes > st.committed_bytes || st.committed_bytes > st.reserved_bytes)
        wrong("heap %u: %zu dirty, %zu committed, %zu reserved", place, st.dirty_bytes, st.committed_bytes, st.reserved_bytes);
}

void check_whole(unsigned place)
{
    if (!HeapValidate(sh.heap[place], 0, NULL)) wrong("HeapValidate says that heap %u is damaged", place);
}
