/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* leak.c -- which blocks nobody points to any more, by the call stack that took them.
 *
 * Owns:    the table of where each block was taken; at the end, the list of live blocks.
 * Calls:   block.c to ask whether a block lives, os.c for memory, sweepcall.c to read what is mapped where.
 * Locks:   none of its own; one thread.
 * Always:  in doubt a block is no leak: whatever looks like a pointer into it counts as one, in the program's data, on
 *          the stack down to here, or in a block that is pointed to.
 * Why:     a program that ends after an error gives nothing back, and need not.  What it lost on the way is something
 *          else: nobody could give that back.  A note stays when its block is freed, and is asked about at the end. */
#include "leak.h"

#include <sys/mman.h>

#include "../lib/guard.h"
#include "sweepcall.h"

#include "../lib/small.h"

enum {
    NOTES_LOG = 19,
    NOTE_TRIES = 32,
    LIVE_MOST = 1 << 17,
    LEAKS_MOST = 256,
    BLOCK_MOST_BYTES = 4 << 20, /* of one block that are looked through */
    PAGE = 4096,
    PAGES_AT_ONCE = 1024,
};

struct note {
    const void *block;
    uint32_t site, unused;
};

struct live {
    uintptr_t at;
    size_t bytes;
    uint32_t site;
    uint32_t reached;
};

static struct note *notes;
static uint32_t *used, used_count; /* the notes that are in use, in the order of their first */
static struct live *live;
static uint32_t live_count, *pending, pending_count;
static struct leak leaks[LEAKS_MOST];

static void *memory(size_t bytes) { return ph_os_map(ph_round_up(bytes, ph_os_page_bytes()), ph_os_page_bytes()); }

void ph_leak_note(const void *block, uint32_t site)
{
    if (used == NULL && ((notes = memory(sizeof *notes << NOTES_LOG)) == NULL || (used = memory(sizeof *used << NOTES_LOG)) == NULL))
        return;
    const uint32_t first = (uint32_t)((uintptr_t)block * 0x9e3779b97f4a7c15u >> (64 - NOTES_LOG));
    for (uint32_t i = 0; i < NOTE_TRIES; i++) {
        struct note *no = &notes[(first + i) & ((1u << NOTES_LOG) - 1)];
        if (no->block != NULL && no->block != block)
            continue;
        if (no->block == NULL)
            used[used_count++] = (uint32_t)(no - notes);
        *no = (struct note){.block = block, .site = site};
        return;
    }
}

/* ---- what lives ------------------------------------------------------------------------------------ */

static void sift(uint32_t root, uint32_t count)
{
    for (uint32_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && live[child + 1].at > live[child].at)
            child++;
        if (live[root].at >= live[child].at)
            return;
        const struct live other = live[root];
        live[root] = live[child];
        live[child] = other;
    }
}

static void sort(void)
{
    for (uint32_t i = live_count / 2; i-- > 0;)
        sift(i, live_count);
    for (uint32_t last = live_count; last-- > 1;) {
        const struct live other = live[0];
        live[0] = live[last];
        live[last] = other;
        sift(0, last);
    }
}

static bool collect(void)
{
    struct block_info bi;
    if (used == NULL || (live = memory(LIVE_MOST * sizeof *live)) == NULL || (pending = memory(LIVE_MOST * sizeof *pending)) == NULL)
        return false;
    for (uint32_t i = 0; i < used_count; i++) {
        const struct note *no = &notes[used[i]];
        if (ph_heap_look(no->block, &bi) != BLOCK_OK || bi.heap != &ph_process_heap)
            continue;
        if (live_count == LIVE_MOST)
            return false;
        live[live_count++] = (struct live){(uintptr_t)no->block, bi.wanted, no->site, 0};
    }
    sort();
    return true;
}

/* ---- what is pointed to -------------------------------------------------------------------------------- */

/* The last that begins at or before an address; live_count: none. */
static uint32_t at_or_before(uintptr_t at)
{
    uint32_t low = 0, high = live_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (live[middle].at <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low != 0 ? low - 1 : live_count;
}

static void reach(uintptr_t word)
{
    if (word < live[0].at || word > live[live_count - 1].at + live[live_count - 1].bytes)
        return;
    const uint32_t i = at_or_before(word);
    if (i == live_count || live[i].reached || word - live[i].at > live[i].bytes)
        return;
    live[i].reached = 1;
    pending[pending_count++] = i;
}

static __attribute__((no_sanitize("address"))) void look_through(uintptr_t from, uintptr_t to)
{
    for (from = (from + 7) & ~(uintptr_t)7; from + 8 <= to; from += 8)
        reach(*(const uintptr_t *)from);
}

static void follow(void)
{
    while (pending_count > 0) {
        const struct live *li = &live[pending[--pending_count]];
        look_through(li->at, li->at + (li->bytes < BLOCK_MOST_BYTES ? li->bytes : BLOCK_MOST_BYTES));
    }
}

/* Ours: the heap's own memory, and records that name blocks. */
static bool is_ours(uintptr_t page)
{
    const void *at = (const void *)page;
    if (ph_heap_around(at) != NULL || map_get(at) != 0 || ph_slot_is_table(at) || page - (uintptr_t)notes < sizeof *notes << NOTES_LOG ||
        page - (uintptr_t)live < LIVE_MOST * sizeof *live)
        return true;
    for (unsigned i = 0; i < CELL_CHUNKS && ph_cell_chunk[i] != NULL; i++)
        if (page - ((uintptr_t)ph_cell_chunk[i] & ~(uintptr_t)(PAGE - 1)) <= CELL_CHUNK_BYTES)
            return true;
    return false;
}

static bool is_in_block(uintptr_t page)
{
    const uint32_t i = at_or_before(page);
    return i != live_count && page - live[i].at < live[i].bytes;
}

static void look_through_mapping(uintptr_t from, uintptr_t to)
{
    unsigned char present[PAGES_AT_ONCE];
    while (from < to) {
        const size_t pages = (to - from) / PAGE < PAGES_AT_ONCE ? (to - from) / PAGE : PAGES_AT_ONCE;
        if (!ph_sweep_present((const void *)from, pages * PAGE, present))
            return;
        for (size_t i = 0; i < pages; i++)
            if ((present[i] & 1) && !is_ours(from + i * PAGE) && !is_in_block(from + i * PAGE))
                look_through(from + i * PAGE, from + (i + 1) * PAGE);
        from += pages * PAGE;
    }
}

/* ---- what is mapped ---------------------------------------------------------------------------------------- */

static const char *hex(const char *text, uintptr_t *out)
{
    for (*out = 0;; text++) {
        const unsigned char c = (unsigned char)*text;
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return text;
        *out = *out << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
}

static bool contains(const char *line, const char *end, const char *word)
{
    for (; line < end; line++) {
        const char *at = line, *w = word;
        while (*w != '\0' && at < end && *at == *w)
            at++, w++;
        if (*w == '\0')
            return true;
    }
    return false;
}

/* A line of /proc/self/maps: what the program may write, and nobody shares.  `here`: the stack is dead below. */
static void look_at_line(const char *line, const char *end, uintptr_t here)
{
    static uintptr_t ours_end; /* what follows our data without a name is our own too */
    uintptr_t from, to;
    line = hex(line, &from);
    line = hex(line + 1, &to);
    if (line[1] != 'r' || line[2] != 'w' || line[4] != 'p')
        return;
    if (from == ours_end || contains(line, end, "libprivheap-preload")) {
        ours_end = to;
        return;
    }
    if (here >= from && here < to) {
        look_through(here, to);
        return;
    }
    look_through_mapping(from, to);
}

static bool look_at_maps(uintptr_t here)
{
    static char text[16384];
    size_t filled = 0;
    long got;
    const int maps = ph_sweep_open("/proc/self/maps");
    if (maps < 0)
        return false;
    while ((got = ph_sweep_read(maps, text + filled, sizeof text - filled)) > 0) {
        const char *line = text;
        filled += (size_t)got;
        for (const char *end = text; end < text + filled; end++)
            if (*end == '\n') {
                look_at_line(line, end, here);
                line = end + 1;
            }
        const size_t rest = (size_t)(text + filled - line);
        for (size_t i = 0; i < rest; i++) {
            __asm__ volatile("");
            text[i] = line[i];
        }
        filled = rest;
    }
    ph_sweep_close(maps);
    return got == 0;
}

/* ---- the sum ---------------------------------------------------------------------------------------------- */

static void add(uint32_t *count, const struct live *li)
{
    uint32_t i = 0;
    while (i < *count && leaks[i].site != li->site)
        i++;
    if (i == LEAKS_MOST)
        return;
    *count += i == *count;
    leaks[i].site = li->site;
    leaks[i].blocks++;
    leaks[i].bytes += li->bytes;
}

__attribute__((noinline)) const struct leak *ph_leaks(uint32_t *count)
{
    __builtin_unwind_init(); /* what registers hold is on the stack */
    *count = 0;
    if (!collect() || live_count == 0 || !look_at_maps((uintptr_t)__builtin_frame_address(0)))
        return NULL;
    follow();
    for (uint32_t i = 0; i < live_count; i++)
        if (!live[i].reached)
            add(count, &live[i]);
    return leaks;
}
