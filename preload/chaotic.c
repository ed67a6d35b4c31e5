/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaotic.c -- malloc and its relatives where option CHAOS is in force: other places, other contents, all of them
 * allowed.
 *
 * Owns:    spare blocks of each class, freed blocks that wait, the addresses of blocks of no bytes; the dice.
 * Calls:   chaos.c for what is wanted, alloc.c and block.c for memory.
 * Locks:   one flag around all of that, for which nobody waits long: a handler may have interrupted its holder, or fork
 *          or a jump left it behind.  Who does not get it is served plainly.
 * Always:  a process of one thread does the same for the same text of the option.  Without `fresh` and `freed` memory
 *          holds what was written there, nothing made up.
 * Why:     a layer above the engine, so that the engine stays what is tested elsewhere: every block is one of its own,
 *          and of exact size, so that malloc_usable_size tells nobody of room behind it. */
#include "chaotic.h"

#include "../lib/chaos.h"
#include "../lib/hot.h"

#include "../lib/small.h"

enum {
    SPARES = 8,
    WAITING = 256,
    WAITING_BYTES = 8 << 20, /* of all that wait, */
    WAITING_MOST = 256 << 10, /* and of one */
    FILL_MOST = 16 << 20,    /* what is larger may be meant to stay untouched memory */
    PAIR_MOST = 64 << 20,
    NOTHINGS = 1 << 16,      /* addresses of blocks of no bytes, 16 bytes apart */
    TRIES = 4,               /* at a block that is not aligned too well */
};

static uint32_t at_it;
static uint64_t dice;
static void *spare[CLASS_COUNT][SPARES];
static struct { void *block; size_t bytes; } waiting[WAITING];
static size_t waiting_bytes;
static char *nothing;         /* their range; NULL: none yet */
static uint32_t nothing_next;
static uint64_t nothing_live[NOTHINGS / 64];

/* ---- the flag, the dice ---------------------------------------------------------------------------- */

static bool enter(void)
{
    enum { PATIENCE = 200 };
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (__atomic_exchange_n(&at_it, 1, __ATOMIC_ACQUIRE) == 0)
            return true;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    return false;
}

static void leave(void) { __atomic_store_n(&at_it, 0, __ATOMIC_RELEASE); }

/* splitmix64 */
static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint32_t drawn(uint32_t below)
{
    if (dice == 0)
        dice = ph_chaos_in_force()->seed * 0x9e3779b97f4a7c15u + 1;
    dice += 0x9e3779b97f4a7c15u;
    return (uint32_t)((mixed(dice) >> 32) * below >> 32);
}

/* ---- contents ---------------------------------------------------------------------------------------- */

/* No byte of it is 0, and as an address it belongs to nobody: bit 62 is not as bit 63 is. */
static uint64_t pattern(uint32_t way)
{
    const uint64_t word = mixed(ph_chaos_in_force()->seed * 2 + (way == CHAOS_FREED));
    return (word & 0x3fffffffffffffffu) | (uint64_t)1 << 62 | (uint64_t)0x0101010101010101 << word % 6;
}

static void fill(void *block, size_t from, size_t to, uint64_t word)
{
    typedef uint64_t __attribute__((may_alias)) any_word;
    char *at = block;
    if (to > FILL_MOST)
        to = FILL_MOST;
    for (; from < to && from % 8 != 0; from++)
        at[from] = (char)(word >> from % 8 * 8);
    for (; from + 8 <= to; from += 8)
        *(any_word *)(void *)(at + from) = word;
    for (; from < to; from++)
        at[from] = (char)(word >> from % 8 * 8);
}

static void fill_fresh(void *block, size_t from)
{
    struct block_info bi;
    if (ph_heap_look(block, &bi) == BLOCK_OK)
        fill(block, from, bi.capacity, pattern(CHAOS_FRESH));
}

/* ---- blocks of no bytes ------------------------------------------------------------------------------ */

bool ph_chaotic_is_nothing(const void *block)
{
    return nothing != NULL && (uintptr_t)block - (uintptr_t)nothing < (uintptr_t)NOTHINGS * 16;
}

static void *nothing_take_locked(void)
{
    if (nothing == NULL)
        nothing = ph_os_reserve((size_t)NOTHINGS * 16, ph_os_page_bytes());
    for (uint32_t i = 0; i < NOTHINGS && nothing != NULL; i++) {
        const uint32_t place = nothing_next++ % NOTHINGS;
        if (nothing_live[place / 64] >> place % 64 & 1)
            continue;
        nothing_live[place / 64] |= (uint64_t)1 << place % 64;
        return nothing + (size_t)place * 16;
    }
    return NULL;
}

static void *nothing_take(void)
{
    if (!enter())
        return NULL;
    void *block = nothing_take_locked();
    leave();
    return block;
}

static void nothing_give(void *block)
{
    const size_t offset = (size_t)((char *)block - nothing), place = offset / 16;
    const uint64_t bit = (uint64_t)1 << place % 64;
    const uint64_t before = __atomic_fetch_and(&nothing_live[place / 64], ~bit, __ATOMIC_RELAXED);
    if (offset % 16 != 0)
        ph_incident(DIAG_MISALIGNED_FREE, block, 0);
    else if (!(before & bit))
        ph_incident(DIAG_DOUBLE_FREE, block, 0);
}

/* ---- places ------------------------------------------------------------------------------------------ */

static void *plain(const struct request *rq)
{
    struct heap *hp = ph_heap_process();
    return hp != NULL ? ph_heap_alloc(hp, rq) : NULL;
}

static bool is_too_aligned(const void *block) { return ((uintptr_t)block & 31) == 0; }

/* Those that are aligned too well are kept for ever: the next one stands beside them. */
static void *of_class(unsigned class, uint32_t ways)
{
    const struct request rq = {.bytes = ph_class_bytes[class], .sized = true};
    void *block = plain(&rq);
    for (unsigned i = 0; i < TRIES && (ways & CHAOS_ALIGN) && ph_class_bytes[class] % 32 != 0 && is_too_aligned(block); i++)
        block = plain(&rq);
    return block;
}

/* Blocks of all small sizes exist before the program has any: which size lies lowest is drawn, too. */
static void spares_begin(uint32_t ways)
{
    uint8_t order[CLASS_COUNT];
    unsigned count = 0;
    static bool is_begun;
    if (is_begun)
        return;
    is_begun = true;
    for (; ph_class_bytes[count] <= SMALL_BYTES; count++)
        order[count] = (uint8_t)count;
    for (; count > 0; count--) {
        const unsigned pick = drawn(count), class = order[pick];
        order[pick] = order[count - 1];
        for (unsigned i = 0; i < SPARES; i++)
            spare[class][i] = of_class(class, ways);
    }
}

/* One of the spares, and another in its place. */
static void *of_spares(unsigned class, uint32_t ways)
{
    spares_begin(ways);
    for (unsigned i = 0; i < SPARES; i++)
        if (spare[class][i] == NULL)
            spare[class][i] = of_class(class, ways);
    void **place = &spare[class][drawn(SPARES)], *block = *place;
    *place = of_class(class, ways);
    return block;
}

/* Two steps of 16 to the next size whose blocks are not all aligned to 32, where there is one. */
static unsigned class_for(size_t bytes, uint32_t ways)
{
    unsigned class = class_of(bytes);
    if (ways & CHAOS_ALIGN)
        while (class < CLASS_COUNT && ph_class_bytes[class] % 32 == 0)
            class++;
    return class < CLASS_COUNT ? class : class_of(bytes);
}

/* Of a class's size now; NULL: to be had plainly. */
static void *placed_small(const struct request *rq, uint32_t ways)
{
    struct block_info bi;
    if (!enter())
        return NULL;
    const unsigned class = class_for(rq->bytes, ways);
    void *block = ways & CHAOS_ORDER ? of_spares(class, ways) : of_class(class, ways);
    leave();
    if (block == NULL || ph_heap_look(block, &bi) != BLOCK_OK)
        return block;
    const struct request exact = {.bytes = rq->bytes, .sized = true};
    (void)ph_heap_realloc(bi.heap, &bi, block, &exact, true);
    if (rq->zero)
        ph_bytes_zero(block, rq->bytes);
    return block;
}

/* The other of two is free memory, for the next one. */
static void *one_of_two(const struct request *rq)
{
    void *first = plain(rq), *second = first != NULL ? plain(rq) : NULL;
    bool takes_second = false;
    if (second == NULL)
        return first;
    if (enter()) {
        takes_second = drawn(2) != 0;
        leave();
    }
    (void)ph_heap_free(&ph_process_heap, takes_second ? first : second, ENTER_PATIENTLY);
    return takes_second ? second : first;
}

static void *placed(const struct request *rq, uint32_t ways)
{
    void *block = NULL;
    if (rq->align <= 16 && rq->bytes <= CLASS_BYTES && (ways & (CHAOS_ORDER | CHAOS_ALIGN)))
        block = placed_small(rq, ways);
    else if (rq->bytes > CLASS_BYTES && rq->bytes <= PAIR_MOST && (ways & CHAOS_ORDER))
        block = one_of_two(rq);
    return block != NULL ? block : plain(rq);
}

void *ph_chaotic_take(const struct request *rq)
{
    const uint32_t ways = ph_chaos_ways(rq->bytes);
    struct request exact = *rq;
    void *block = rq->bytes == 0 && (ways & CHAOS_ZERO) ? nothing_take() : NULL;
    if (block != NULL)
        return block;
    if (exact.bytes == 0)
        exact.bytes = 1;
    exact.sized = true;
    block = placed(&exact, ways);
    if (block != NULL && (ways & CHAOS_FRESH))
        fill_fresh(block, rq->zero ? rq->bytes : 0);
    return block;
}

/* ---- giving back --------------------------------------------------------------------------------------- */

/* The block, or the one in whose place it waits now; NULL: no other goes. */
static void *exchanged(void *block, size_t bytes)
{
    if (bytes > WAITING_MOST || waiting_bytes + bytes > WAITING_BYTES)
        return block;
    const uint32_t place = drawn(WAITING);
    void *other = waiting[place].block;
    waiting_bytes += bytes - waiting[place].bytes;
    waiting[place].block = block;
    waiting[place].bytes = bytes;
    return other;
}

static bool is_waiting(const void *block)
{
    for (unsigned i = 0; i < WAITING; i++)
        if (waiting[i].block == block)
            return true;
    return false;
}

/* What is free at once; NULL: nothing. */
static void *put_off(void *block, const struct block_info *bi)
{
    if ((bi->kind != KIND_SIZED && bi->kind != KIND_RUN) || !enter())
        return block;
    const bool twice = is_waiting(block);
    void *other = twice ? NULL : exchanged(block, bi->capacity);
    leave();
    if (twice)
        ph_incident(DIAG_DOUBLE_FREE, block, bi->wanted);
    return other;
}

bool ph_chaotic_free(void *block)
{
    struct block_info bi;
    if (ph_chaotic_is_nothing(block)) {
        nothing_give(block);
        return true;
    }
    if (ph_heap_look(block, &bi) != BLOCK_OK || bi.heap != &ph_process_heap)
        return false;
    const uint32_t ways = ph_chaos_ways(bi.wanted);
    if (ways & CHAOS_FREED)
        fill(block, 0, bi.capacity, pattern(CHAOS_FREED));
    void *goes = ways & CHAOS_LATE ? put_off(block, &bi) : block;
    if (goes != NULL && ph_heap_free(&ph_process_heap, goes, ENTER_PATIENTLY) != BLOCK_OK)
        ph_incident(DIAG_DOUBLE_FREE, block, bi.wanted);
    return true;
}

/* ---- resizing ------------------------------------------------------------------------------------------ */

static void *resized(const struct block_info *bi, void *block, size_t bytes, uint32_t ways)
{
    const struct request rq = {.bytes = bytes, .sized = true};
    void *now = ph_heap_realloc(bi->heap, bi, block, &rq, false);
    if (now != NULL && (ways & CHAOS_FRESH))
        fill_fresh(now, bytes < bi->wanted ? bytes : bi->wanted);
    return now;
}

void *ph_chaotic_realloc(const struct block_info *bi, void *block, size_t bytes)
{
    const uint32_t ways = ph_chaos_ways(bytes);
    void *now = ways & CHAOS_MOVE ? ph_chaotic_take(&(struct request){.bytes = bytes}) : NULL;
    if (now == NULL)
        return resized(bi, block, bytes, ways);
    ph_bytes_copy(now, block, bi->wanted < bytes ? bi->wanted : bytes);
    (void)ph_chaotic_free(block);
    return now;
}
