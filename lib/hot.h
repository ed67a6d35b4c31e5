/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* hot.h -- the few inline functions of the fast path, and nothing else.
 *
 * Why the stop is not a test of its own: whoever stops a heap makes check and tag fail the test
 * that is there anyway.  Why a stack is a pointer: see internal.h.  Why the frame address is what busy holds: it costs the same as 1. */
#ifndef PH_HOT_H
#define PH_HOT_H

#include "internal.h"

#if defined(__x86_64__)
enum { MAP_ADDRESS_BITS = 47 }; /* of user space, but for those who ask the system for more */
#else
enum { MAP_ADDRESS_BITS = 48 };
#endif
enum { MAP_LEAF_BITS = 30, MAP_ROOT_SLOTS = 1 << (MAP_ADDRESS_BITS - MAP_LEAF_BITS), MAP_LEAF_ENTRIES = 1 << (MAP_LEAF_BITS - UNIT_BITS) };

extern uint64_t *ph_map_root[MAP_ROOT_SLOTS];

/* What may be another's by then, and is read all the same: entry and key of a stack that is being emptied, before the
 * test fails that the stop made fail; the descriptor or the size code of a block that two threads free at once.
 * What comes of it is only compared, or looked at again under a lock, so it may be old or torn.  The thread sanitizer
 * must not see the load; for all others it is a plain one. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PH_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define PH_TSAN 1
#endif
#ifdef PH_TSAN
#define UNSEEN static __attribute__((noinline, unused, no_sanitize("thread")))
#define UNSEEN_SHARED __attribute__((no_sanitize("thread"))) /* the same, for one in the map */
#define STAY volatile /* the compiler must not move the load to the caller */
#else
#define UNSEEN static inline
#define UNSEEN_SHARED
#define STAY
#endif
UNSEEN uint64_t unseen_word(const uint64_t *at) { return *(const STAY uint64_t *)at; }
UNSEEN uint16_t unseen_code(const uint16_t *at) { return *(const STAY uint16_t *)at; }
UNSEEN void *unseen_pointer(void *const *at) { return *(void *const STAY *)at; }
/* The descriptor to look at: a copy in `room` where the sanitizer must not see how it came about. */
UNSEEN const struct span *unseen_span(const struct span *sp, struct span *room)
{
#ifdef PH_TSAN
    for (unsigned i = 0; i < sizeof *sp / sizeof(uint64_t); i++)
        ((volatile uint64_t *)room)[i] = ((const volatile uint64_t *)sp)[i];
    return room;
#else
    (void)room;
    return sp;
#endif
}

#define HASHKEY 0x9e378678dde6e5fdull /* handles are steps of 64 KB, often of 4 MB: either is spread evenly */
#define BLOCK_LIVE 1u /* what malloc writes over the key */

/* What stands at an address, 0 for nothing of ours.  The address itself is not touched. */
static inline uint64_t map_get(const void *at)
{
    const uintptr_t address = (uintptr_t)at;
    if (unlikely(address >> MAP_LEAF_BITS >= MAP_ROOT_SLOTS))
        return 0;
    const uint64_t *leaf = __atomic_load_n(&ph_map_root[address >> MAP_LEAF_BITS], __ATOMIC_RELAXED);
    if (unlikely(leaf == NULL))
        return 0;
    return __atomic_load_n(&leaf[(address >> UNIT_BITS) & (MAP_LEAF_ENTRIES - 1)],
                           __ATOMIC_RELAXED);
}

static inline unsigned entry_kind(uint64_t entry) { return entry & 0xff; }
/* Of a page's kind, plain or sized. */
static inline unsigned kind_class(unsigned kind) { return (kind - KIND_PLAIN) % CLASS_COUNT; }
static inline bool kind_is_sized(unsigned kind) { return kind >= KIND_SIZED; }

static inline unsigned entry_heap(uint64_t entry) { return entry >> 8 & 0xffff; }
/* Of a sized page. */
static inline struct size_cell *entry_cell(uint64_t entry)
{
    return (struct size_cell *)(void *)(ph_cell_chunk[entry >> 48] + (uint16_t)(entry >> 32));
}
static inline uint32_t entry_cell_number(uint64_t entry)
{
    return (uint32_t)(entry >> 48) << CELLS_LOG | (uint32_t)((uint16_t)(entry >> 32) >> CELL_BITS);
}
static inline uint64_t cell_entry(uint32_t cell)
{
    return (uint64_t)(cell >> CELLS_LOG) << 48 | (uint64_t)(cell & ((1u << CELLS_LOG) - 1)) << (CELL_BITS + 32);
}

/* Of all but a sized page. */
static inline unsigned entry_cells(uint64_t entry) { return entry >> 32 & 0x3ffffff; }

UNSEEN unsigned entry_span(uint64_t entry)
{
    const unsigned kind = entry_kind(entry);
    return kind_is_sized(kind) && kind < KIND_RUN ? entry_cell(entry)->span : entry_cells(entry);
}

/* Bytes from the address to the end of its page, a plain one.  Blocks stand against the end: then this is a
 * multiple of their size exactly where one starts, also where a few bytes are left over. */
static inline uint64_t entry_distance(uint64_t entry, const void *at)
{
    return (entry >> 58 << UNIT_BITS) - ((uintptr_t)at & (UNIT_BYTES - 1));
}

static inline uint64_t *block_key(void *block) { return (uint64_t *)block + 1; }
static inline uint64_t block_key_value(const void *block) { return ph_secret ^ (uintptr_t)block; }
/* While a block lies in its page, not in a stack: a stale entry of some stack never matches it. */
static inline uint64_t block_page_key(const void *block) { return ~block_key_value(block); }

/* Put a block with the key of a stack, or already that of a page, back into its plain page, which `entry` names; false
 * where it is no block's start, has another key, or is free already.  `magic`: of the page's class.  Held: the class lock. */
static inline bool page_give_keyed(struct span *pg, uint64_t entry, uint64_t magic, void *block)
{
    const unsigned __int128 product = (unsigned __int128)entry_distance(entry, block) * magic;
    const unsigned index = pg->capacity - (unsigned)(product >> 64); /* against the page's end */
    const uint64_t key = *block_key(block), page_key = block_page_key(block);
    if (unlikely((uint64_t)product >= magic || index >= pg->carved || (key != page_key && key != ~page_key)))
        return false;
    uint64_t *const word = &pg->bits[index / 64];
    const uint64_t bit = 1ULL << (index % 64);
    if (unlikely(*word & bit))
        return false;
    __atomic_store_n(word, *word | bit, __ATOMIC_RELAXED);
    if (key != page_key)
        *block_key(block) = page_key;
    pg->free_count++;
    return true;
}

static inline unsigned class_of(size_t bytes) /* to CLASS_BYTES */
{
    return bytes <= SMALL_BYTES ? ph_class_small[(bytes + 15) >> 4] : ph_class_medium[(bytes + 127) >> 7];
}

/* Whether a block of that class can stay where it is without wasting more than half of itself. */
static inline bool class_fits(unsigned class, size_t bytes)
{
    enum { HALF_IS_LITTLE = 32 };
    const size_t room = ph_class_bytes[class];
    return bytes <= room && (bytes > room / 2 || room <= HALF_IS_LITTLE);
}

/* The stack pointer as it is: a frame address would make every malloc build a frame. */
static inline void local_enter(struct local *lo)
{
#if defined(__x86_64__)
    __asm__ volatile("mov %%rsp, %0" : "=m"(lo->busy) : : "memory");
#else
    __atomic_store_n(&lo->busy, (uintptr_t)__builtin_frame_address(0), __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* the kernel's membarrier does the rest */
#endif
}

static inline void local_leave(struct local *lo) { __atomic_store_n(&lo->busy, 0, __ATOMIC_RELEASE); }

/* Kept in a register of its own: register plus constant is what the processor matches. */
static inline struct stack *local_stack(struct local *lo, unsigned class)
{
    struct stack *st = &lo->stack[class];
    __asm__("" : "+r"(st));
    return st;
}

/* A block of that class; NULL, and still busy, when the test says that this is not the usual case:
 * ph_local_take_slow goes on from there. */
static inline void *local_take(struct local *lo, unsigned class)
{
    local_enter(lo);
    struct stack *st = local_stack(lo, class);
    void **top = __atomic_load_n(&st->top, __ATOMIC_RELAXED);
    void *block = unseen_pointer(top - 1);
    uint64_t *key = block_key(block);
    if (unlikely(unseen_word(key) != (__atomic_load_n(&lo->check, __ATOMIC_RELAXED) ^ (uintptr_t)block)))
        return NULL;
    *key = BLOCK_LIVE;
    __atomic_store_n(&st->top, top - 1, __ATOMIC_RELAXED);
    local_leave(lo);
    if (block == NULL)
        __builtin_unreachable();
    return block;
}

/* ---- exact sizes -------------------------------------------------------------------------------- */

/* An entry of a sized stack is two words: the block, and where the code of its size stands, which is
 * 0 while nobody holds the block.  So the block itself is not touched. */
struct sized_entry {
    void *block;
    uint16_t *place;
};

static inline uint16_t size_code(unsigned class, size_t wanted) { return (uint16_t)(ph_class_code[class] - 3 * wanted); }

static inline size_t size_of_code(unsigned class, unsigned code) { return ph_class_bytes[class] - (code / 3 - 1); }

static inline unsigned thread_slot(uintptr_t handle) { return (unsigned)(handle * HASHKEY >> (64 - THREAD_SLOTS_LOG)); }

/* This thread's local of the heap of that handle; NULL when it has none (yet). */
static inline struct local *sized_local(const void *handle)
{
    const struct thread *th = ph_thread;
    const size_t slot = thread_slot((uintptr_t)handle);
    if (unlikely(th->key[slot] != (uintptr_t)handle))
        return NULL;
    struct local *lo = th->found[slot];
    if (lo == NULL)
        __builtin_unreachable();
    return lo;
}

/* As local_take, for a block that remembers `wanted`. */
static inline void *sized_take(struct local *lo, unsigned class, size_t wanted)
{
    local_enter(lo);
    struct stack *st = local_stack(lo, class);
    struct sized_entry *top = (struct sized_entry *)(void *)__atomic_load_n(&st->top, __ATOMIC_RELAXED);
    uint16_t *place = unseen_pointer((void *const *)(void *)&top[-1].place);
    if (unlikely(unseen_code(place) != (uint16_t)__atomic_load_n(&lo->check, __ATOMIC_RELAXED)))
        return NULL;
    __atomic_store_n(place, size_code(class, wanted), __ATOMIC_RELAXED);
    void *block = top[-1].block;
    __atomic_store_n(&st->top, (void **)(void *)(top - 1), __ATOMIC_RELAXED);
    local_leave(lo);
    if (block == NULL)
        __builtin_unreachable();
    return block;
}

/* Where the code of a block's size stands, whose entry is a sized page's; NULL: no block starts there. */
UNSEEN uint16_t *sized_place(uint64_t entry, const void *block)
{
    struct size_cell *cell = entry_cell(entry);
    const unsigned __int128 product = (unsigned __int128)(size_t)(cell->end - (const char *)block) * cell->magic;
    if (unlikely((uint64_t)product >= cell->magic))
        return NULL;
    uint16_t *place = cell->code + (uint64_t)(product >> 64) - 1;
    if (place == NULL)
        __builtin_unreachable();
    return place;
}

/* As local_give, for a sized block; its place says whether it is live.  One test after the other, so
 * that few registers are in use at a time. */
static inline bool sized_give(struct local *lo, void *block)
{
    local_enter(lo);
    const uint64_t entry = map_get(block);
    const uint32_t class = (uint32_t)entry - __atomic_load_n(&lo->tag, __ATOMIC_RELAXED);
    if (unlikely(class >= CLASS_COUNT))
        return false;
    uint16_t *place = sized_place(entry, block);
    if (unlikely(place == NULL))
        return false;
    if (unlikely(__atomic_load_n(place, __ATOMIC_RELAXED) == 0))
        return false;
    struct stack *st = local_stack(lo, class);
    struct sized_entry *top = (struct sized_entry *)(void *)st->top;
    if (unlikely((void **)(void *)top >= st->limit))
        return false;
    __atomic_store_n(place, 0, __ATOMIC_RELAXED);
    *top = (struct sized_entry){block, place};
    __atomic_store_n(&st->top, (void **)(void *)(top + 1), __ATOMIC_RELAXED);
    local_leave(lo);
    return true;
}

/* Put a plain block of this heap back; false, and still busy, when it is not the usual case:
 * ph_local_give_slow goes on from there. */
static inline bool local_give(struct local *lo, void *block)
{
    local_enter(lo);
    const uint64_t entry = map_get(block);
    const uint32_t class = (uint32_t)entry - __atomic_load_n(&lo->tag, __ATOMIC_RELAXED);
    if (unlikely(class >= CLASS_COUNT))
        return false;
    struct stack *st = local_stack(lo, class);
    const uint64_t magic = ph_class_magic[class];
    void **top = st->top;
    if (unlikely(entry_distance(entry, block) * magic >= magic || top >= st->limit))
        return false;
    *block_key(block) = block_key_value(block);
    *top = block;
    __atomic_store_n(&st->top, top + 1, __ATOMIC_RELAXED);
    local_leave(lo);
    return true;
}

#endif
