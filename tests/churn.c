/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* churn.c -- see churn.h.  All memory is static: the check runs inside HeapLock, in a program whose malloc
 * may be the heap that it walks. */
#include "churn.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum slot_state { SLOT_EMPTY, SLOT_LIVE, SLOT_TAKING, SLOT_RESIZING, SLOT_GIVING };

struct slot {
    _Atomic(int) state;
    _Atomic(void *) block; /* of a live slot; else the last one */
    _Atomic(size_t) bytes;
};

enum { MOST_ENTRIES = 1 << 17, TABLE = 1 << 18 };

static struct slot slots[CHURN_SLOTS];
static struct churn_calls calls;
static HANDLE heap;
static uint64_t seed;
static pthread_t threads[CHURN_THREADS];
static bool running; /* there are threads to end */
static atomic_bool going, ended;
static atomic_uint idle;
static atomic_ulong operations;

static PROCESS_HEAP_ENTRY entries[MOST_ENTRIES];
static unsigned order[MOST_ENTRIES]; /* blocks, busy and free, by address */
static unsigned entry_count, busy_count, order_count;
static void *baseline[MOST_ENTRIES]; /* busy before the churn began */
static unsigned baseline_count;
static unsigned table[TABLE]; /* busy entries by address: index + 1, 0 empty */
static bool claimed_entry[MOST_ENTRIES];
static char message[256];

/* ---- the threads ---- */

static uint64_t draw(uint64_t *random)
{
    uint64_t z = *random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    return z ^ (z >> 29);
}

/* Mostly small; now and then of a page, a run, or a mapping of its own. */
static size_t draw_bytes(uint64_t *random)
{
    uint64_t dice = draw(random) % 1000;
    if (dice < 900) return draw(random) % 1100;
    if (dice < 980) return draw(random) % 20000;
    if (dice < 998) return draw(random) % 300000;
    return (1u << 20) + draw(random) % (1u << 20);
}

static bool slot_claim(struct slot *slot, int from, int to)
{
    return atomic_compare_exchange_strong(&slot->state, &from, to);
}

static void slot_take(struct slot *slot, size_t bytes)
{
    void *block = calls.take(heap, bytes);
    if (block && bytes) *(volatile char *)block = 1;
    if (block) atomic_store(&slot->block, block);
    atomic_store(&slot->bytes, bytes);
    atomic_store(&slot->state, block ? SLOT_LIVE : SLOT_EMPTY);
}

static void slot_resize(struct slot *slot, size_t bytes)
{
    void *block = calls.resize(heap, atomic_load(&slot->block), bytes);
    if (block) {
        atomic_store(&slot->block, block);
        atomic_store(&slot->bytes, bytes);
    }
    atomic_store(&slot->state, SLOT_LIVE);
}

static void slot_give(struct slot *slot)
{
    calls.give(heap, atomic_load(&slot->block));
    atomic_store(&slot->state, SLOT_EMPTY);
}

static void churn_idle(void)
{
    atomic_fetch_add(&idle, 1);
    while (!atomic_load(&going) && !atomic_load(&ended))
        sched_yield();
    atomic_fetch_sub(&idle, 1);
}

static void churn_step(uint64_t *random)
{
    struct slot *slot = &slots[draw(random) % CHURN_SLOTS];
    size_t bytes = draw_bytes(random);
    if (slot_claim(slot, SLOT_EMPTY, SLOT_TAKING))
        slot_take(slot, bytes);
    else if (draw(random) % 4 == 0 && slot_claim(slot, SLOT_LIVE, SLOT_RESIZING))
        slot_resize(slot, bytes);
    else if (slot_claim(slot, SLOT_LIVE, SLOT_GIVING))
        slot_give(slot);
    atomic_fetch_add(&operations, 1);
}

static void *churn_run(void *arg)
{
    uint64_t random = seed + (uintptr_t)arg;
    while (!atomic_load(&ended)) {
        if (atomic_load(&going))
            churn_step(&random);
        else
            churn_idle();
    }
    return NULL;
}

void churn_go(void)
{
    atomic_store(&going, true);
}

void churn_wait(unsigned long count)
{
    unsigned long until = atomic_load(&operations) + count;
    while (atomic_load(&operations) < until)
        sched_yield();
}

void churn_halt(void)
{
    atomic_store(&going, false);
    while (atomic_load(&idle) < CHURN_THREADS)
        sched_yield();
}

void churn_end(void)
{
    if (!running) return;
    running = false;
    atomic_store(&ended, true);
    for (unsigned i = 0; i < CHURN_THREADS; i++)
        pthread_join(threads[i], NULL);
}

void churn_clear(void)
{
    for (unsigned i = 0; i < CHURN_SLOTS; i++)
        if (slot_claim(&slots[i], SLOT_LIVE, SLOT_GIVING)) slot_give(&slots[i]);
}

void *churn_some_block(void)
{
    for (unsigned i = 0; i < CHURN_SLOTS; i++)
        if (atomic_load(&slots[i].state) == SLOT_LIVE) return atomic_load(&slots[i].block);
    return NULL;
}

unsigned churn_busy_seen(void)
{
    return busy_count;
}

unsigned churn_others_seen(void)
{
    return entry_count - busy_count;
}

/* ---- the walk ---- */

__attribute__((format(printf, 1, 2))) static bool wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return false;
}

static unsigned *table_place(const void *block)
{
    size_t i = ((uintptr_t)block >> 4) * 0x9E3779B97F4A7C15u >> 40 & (TABLE - 1);
    while (table[i] && entries[table[i] - 1].lpData != block)
        i = (i + 1) & (TABLE - 1);
    return &table[i];
}

static bool is_busy(const PROCESS_HEAP_ENTRY *entry)
{
    return (entry->wFlags & PROCESS_HEAP_ENTRY_BUSY) != 0;
}

static bool note_busy(unsigned index)
{
    unsigned *place = table_place(entries[index].lpData);
    if (*place) return wrong("block %p is shown twice", entries[index].lpData);
    *place = index + 1;
    busy_count++;
    return true;
}

/* Every entry into entries[], busy ones into the table.  Held: HeapLock. */
static bool walk_collect(void)
{
    PROCESS_HEAP_ENTRY entry;
    memset(&entry, 0xCD, sizeof entry);
    memset(table, 0, sizeof table);
    entry.lpData = NULL;
    entry_count = busy_count = order_count = 0;
    SetLastError(0);
    while (HeapWalk(heap, &entry)) {
        if (entry_count == MOST_ENTRIES) return wrong("the walk does not end");
        entries[entry_count] = entry;
        claimed_entry[entry_count] = false;
        if (is_busy(&entry) || entry.wFlags == 0) order[order_count++] = entry_count;
        if (is_busy(&entry) && !note_busy(entry_count)) return false;
        entry_count++;
    }
    if (GetLastError() != ERROR_NO_MORE_ITEMS) return wrong("the walk ended with error %u", GetLastError());
    return true;
}

/* Shell sort: qsort may call malloc. */
static void order_sort(void)
{
    for (unsigned gap = order_count / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)
        for (unsigned i = gap; i < order_count; i++) {
            unsigned kept = order[i], j = i;
            for (; j >= gap && entries[order[j - gap]].lpData > entries[kept].lpData; j -= gap)
                order[j] = order[j - gap];
            order[j] = kept;
        }
}

static bool check_overlap(void)
{
    order_sort();
    for (unsigned i = 1; i < order_count; i++) {
        const PROCESS_HEAP_ENTRY *low = &entries[order[i - 1]], *high = &entries[order[i]];
        if ((char *)low->lpData + low->cbData > (char *)high->lpData || low->lpData == high->lpData)
            return wrong("%s %p of %u bytes and %s %p overlap", is_busy(low) ? "block" : "free", low->lpData,
                         low->cbData, is_busy(high) ? "block" : "free", high->lpData);
    }
    return true;
}

/* HeapValidate must say of every entry, and of every pointer a slot ever had, what the walk says. */
static bool check_validate(void)
{
    if (!HeapValidate(heap, 0, NULL)) return wrong("HeapValidate says the heap is damaged");
    for (unsigned i = 0; i < entry_count; i++) {
        const void *start = entries[i].lpData;
        BOOL expected = is_busy(&entries[i]);
        if (HeapValidate(heap, 0, start) != expected)
            return wrong("HeapValidate of %p (flags %u) is not %d", start, entries[i].wFlags, expected);
    }
    for (unsigned i = 0; i < CHURN_SLOTS; i++) {
        const void *block = atomic_load(&slots[i].block);
        if (block && HeapValidate(heap, 0, block) != (*table_place(block) != 0))
            return wrong("HeapValidate and the walk disagree about %p", block);
    }
    return true;
}

/* The entry of this block, which nobody else may claim; NULL and a message when there is none. */
static const PROCESS_HEAP_ENTRY *claim_entry(const void *block, const char *whose)
{
    unsigned place = *table_place(block);
    if (!place)
        wrong("%s block %p is not shown", whose, block);
    else if (claimed_entry[place - 1])
        wrong("block %p has two holders", block);
    if (!place || claimed_entry[place - 1]) return NULL;
    claimed_entry[place - 1] = true;
    return &entries[place - 1];
}

static bool check_live(struct slot *slot)
{
    const void *block = atomic_load(&slot->block);
    size_t bytes = atomic_load(&slot->bytes);
    const PROCESS_HEAP_ENTRY *entry = claim_entry(block, "live");
    if (entry && (calls.exact ? entry->cbData != bytes : entry->cbData < bytes))
        return wrong("block %p of %zu bytes is shown with %u", block, bytes, entry->cbData);
    return entry != NULL;
}

/* Each block in its one slot, and no busy entry beyond them but those of claimed slots. */
static bool check_holders(void)
{
    unsigned named = 0, least = 0, most = 0;
    for (unsigned i = 0; i < CHURN_SLOTS; i++) {
        int state = atomic_load(&slots[i].state);
        if (state == SLOT_LIVE) {
            if (!check_live(&slots[i])) return false;
            named++;
        } else if (state != SLOT_EMPTY) {
            least += state == SLOT_RESIZING;
            most += state == SLOT_RESIZING && !calls.exact ? 2 : 1; /* realloc may hold both for a moment */
        }
    }
    for (unsigned i = 0; i < baseline_count; i++, named++)
        if (!claim_entry(baseline[i], "older")) return false;
    if (busy_count < named + least || busy_count > named + most)
        return wrong("%u busy entries, but %u blocks and %u to %u under way", busy_count, named, least, most);
    return true;
}

const char *churn_check(void)
{
    if (!HeapLock(heap)) return "HeapLock failed";
    bool right = walk_collect() && check_holders() && check_overlap() && check_validate();
    if (!HeapUnlock(heap)) return "HeapUnlock failed";
    return right ? NULL : message;
}

bool churn_start(const struct churn_calls *use, HANDLE in, uint64_t first)
{
    churn_end(); /* of a test that failed half way */
    calls = *use;
    heap = in;
    seed = first;
    memset(slots, 0, sizeof slots);
    baseline_count = 0;
    atomic_store(&going, false);
    atomic_store(&ended, false);
    for (uintptr_t i = 0; i < CHURN_THREADS; i++)
        if (pthread_create(&threads[i], NULL, churn_run, (void *)(i * 1000003)) != 0) return false;
    running = true;
    churn_halt(); /* until all of them are there and idle: the C library has made what it makes for them */
    HeapLock(heap);
    bool collected = walk_collect();
    for (unsigned i = 0; i < entry_count; i++)
        if (is_busy(&entries[i])) baseline[baseline_count++] = entries[i].lpData;
    HeapUnlock(heap);
    return collected;
}
