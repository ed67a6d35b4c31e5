/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* emergency.c -- blocks for a signal handler that interrupted us, and blocks that it gave back meanwhile.
 *
 * Owns:    a few hundred blocks of its own, and mappings; the list of blocks to be freed later.
 * Calls:   os.c.
 * Locks:   none, ever: whoever comes here may have interrupted the holder of any lock in this very thread.
 * Always:  a slot with a heap's number is a block of that heap, until the number is 0 again; such blocks have no entry
 *          in the page map and are in no walk.
 * Why:     a crash handler that allocates, or a handler that we know nothing of, must get an answer; it gets
 *          it from memory that no other room knows. */
#include "internal.h"

#include "small.h"

enum {
    SIZES = 3,
    MAPPED = 64,           /* blocks with a mapping of their own */
    LATER = 512,           /* blocks to be freed later; more are lost */
    ROOM_ALIGN = 64,       /* of its blocks; others have a mapping */
    COUNT_0 = 256, COUNT_1 = 64, COUNT_2 = 16,
    BYTES_0 = 128, BYTES_1 = 1024, BYTES_2 = 8192,
    SLOTS = COUNT_0 + COUNT_1 + COUNT_2 + MAPPED,
    ROOM_BYTES = COUNT_0 * BYTES_0 + COUNT_1 * BYTES_1 + COUNT_2 * BYTES_2,
};
static const struct {
    uint16_t count, bytes;
} sizes[SIZES] = {{COUNT_0, BYTES_0}, {COUNT_1, BYTES_1}, {COUNT_2, BYTES_2}};

struct slot {
    uint32_t heap; /* its number; 0: free; SLOT_TAKEN: not yet a block */
    uint32_t sized;
    size_t wanted;
    char *base;    /* of a mapping */
    size_t bytes;
};
enum { SLOT_TAKEN = UINT16_MAX };
static uint32_t live, mapped; /* blocks that were taken and not yet given; those with a mapping */

struct later {
    uint32_t heap;
    void *block;
};

extern char ph_emergency_room[ROOM_BYTES];
extern struct slot ph_emergency_slots[SLOTS];
extern struct later ph_later[LATER];
char ph_emergency_room[ROOM_BYTES] __attribute__((aligned(ROOM_ALIGN)));
struct slot ph_emergency_slots[SLOTS];
struct later ph_later[LATER];
uint32_t ph_later_count;

static bool claim(uint32_t *heap)
{
    uint32_t none = 0;
    return __atomic_load_n(heap, __ATOMIC_RELAXED) == 0 &&
           __atomic_compare_exchange_n(heap, &none, SLOT_TAKEN, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

const char *ph_emergency_memory(size_t *bytes)
{
    *bytes = sizeof ph_emergency_room;
    return ph_emergency_room;
}

/* ---- blocks -------------------------------------------------------------------------------------- */

static void *slot_use(struct slot *sl, char *base, size_t bytes, uint32_t heap, const struct request *rq)
{
    sl->base = base;
    sl->bytes = bytes;
    sl->sized = rq->sized;
    sl->wanted = rq->sized ? rq->bytes : bytes;
    __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&sl->heap, heap, __ATOMIC_RELEASE);
    if (rq->zero)
        ph_bytes_zero(base, rq->bytes);
    return base;
}

static void *take_mapped(uint32_t heap, const struct request *rq)
{
    const size_t os_page = ph_os_page_bytes();
    if (rq->bytes > PTRDIFF_MAX - os_page)
        return NULL;
    const size_t bytes = ph_round_up(rq->bytes > 0 ? rq->bytes : 1, os_page);
    for (struct slot *sl = ph_emergency_slots + SLOTS - MAPPED; sl < ph_emergency_slots + SLOTS; sl++) {
        if (!claim(&sl->heap))
            continue;
        char *base = ph_os_map(bytes, rq->align > os_page ? rq->align : os_page);
        if (base != NULL) {
            __atomic_add_fetch(&mapped, 1, __ATOMIC_RELAXED);
            return slot_use(sl, base, bytes, heap, rq);
        }
        __atomic_store_n(&sl->heap, 0, __ATOMIC_RELEASE);
        break;
    }
    return NULL;
}

/* NULL: there is no more. */
void *ph_emergency_take(uint32_t heap, const struct request *rq)
{
    struct slot *sl = ph_emergency_slots;
    char *at = ph_emergency_room;
    for (unsigned i = 0; i < SIZES; i++) {
        if (rq->bytes <= sizes[i].bytes && rq->align <= ROOM_ALIGN)
            for (unsigned j = 0; j < sizes[i].count; j++)
                if (claim(&sl[j].heap))
                    return slot_use(&sl[j], at + (size_t)j * sizes[i].bytes, sizes[i].bytes, heap, rq);
        at += (size_t)sizes[i].count * sizes[i].bytes;
        sl += sizes[i].count;
    }
    return take_mapped(heap, rq);
}

static struct slot *slot_at(const void *block)
{
    size_t offset = (size_t)((uintptr_t)block - (uintptr_t)ph_emergency_room);
    struct slot *sl = ph_emergency_slots;
    for (unsigned i = 0; i < SIZES && offset < ROOM_BYTES; i++) {
        const size_t bytes = (size_t)sizes[i].count * sizes[i].bytes;
        if (offset < bytes)
            return sl + offset / sizes[i].bytes;
        offset -= bytes;
        sl += sizes[i].count;
    }
    if (__atomic_load_n(&mapped, __ATOMIC_RELAXED) > 0)
        for (sl = ph_emergency_slots + SLOTS - MAPPED; sl < ph_emergency_slots + SLOTS; sl++)
            if (sl->base == block)
                return sl;
    return NULL;
}

/* Whose block starts there; NULL: none. */
static struct slot *slot_of(const void *block)
{
    if (likely(__atomic_load_n(&live, __ATOMIC_RELAXED) == 0))
        return NULL;
    struct slot *sl = slot_at(block);
    const uint32_t heap = sl != NULL ? __atomic_load_n(&sl->heap, __ATOMIC_ACQUIRE) : 0;
    return heap != 0 && heap != SLOT_TAKEN && sl->base == block ? sl : NULL;
}

/* The number of the heap whose block that is; 0: none of these. */
uint32_t ph_emergency_look(const void *block, size_t *wanted, size_t *capacity, bool *sized)
{
    const struct slot *sl = slot_of(block);
    if (sl == NULL)
        return 0;
    *wanted = sl->wanted;
    *capacity = sl->bytes;
    *sized = sl->sized;
    return sl->heap;
}

/* False: somebody else gave it meanwhile. */
bool ph_emergency_give(const void *block)
{
    struct slot *sl = slot_of(block);
    if (sl == NULL)
        return false;
    uint32_t heap = sl->heap;
    if (heap == SLOT_TAKEN || heap == 0 ||
        !__atomic_compare_exchange_n(&sl->heap, &heap, SLOT_TAKEN, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    if (sl >= ph_emergency_slots + SLOTS - MAPPED) {
        ph_os_unmap(sl->base, sl->bytes);
        __atomic_sub_fetch(&mapped, 1, __ATOMIC_RELAXED);
    }
    sl->base = NULL;
    __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&sl->heap, 0, __ATOMIC_RELEASE);
    return true;
}

/* Whether it has room for so many; then that is what was wanted. */
bool ph_emergency_resize(const void *block, size_t bytes, bool sized)
{
    struct slot *sl = slot_of(block);
    if (sl == NULL || bytes > sl->bytes)
        return false;
    sl->sized = sized;
    sl->wanted = sized ? bytes : sl->bytes;
    return true;
}

/* The heap ends. */
void ph_emergency_forget(uint32_t heap)
{
    if (__atomic_load_n(&live, __ATOMIC_RELAXED) == 0)
        return;
    for (struct slot *sl = ph_emergency_slots; sl < ph_emergency_slots + SLOTS; sl++)
        if (__atomic_load_n(&sl->heap, __ATOMIC_RELAXED) == heap)
            (void)ph_emergency_give(sl->base);
}

/* ---- blocks that are freed later ------------------------------------------------------------------- */

void ph_later_add(uint32_t heap, void *block)
{
    for (struct later *la = ph_later; la < ph_later + LATER; la++)
        if (claim(&la->heap)) {
            la->block = block;
            __atomic_store_n(&la->heap, heap, __ATOMIC_RELEASE);
            __atomic_add_fetch(&ph_later_count, 1, __ATOMIC_RELEASE);
            return;
        }
}

/* The number of a heap and one of its blocks; 0: none is left. */
uint32_t ph_later_take(void **block)
{
    for (struct later *la = ph_later; la < ph_later + LATER; la++) {
        uint32_t heap = __atomic_load_n(&la->heap, __ATOMIC_RELAXED);
        if (heap == 0 || heap == SLOT_TAKEN ||
            !__atomic_compare_exchange_n(&la->heap, &heap, SLOT_TAKEN, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        *block = la->block;
        __atomic_sub_fetch(&ph_later_count, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&la->heap, 0, __ATOMIC_RELEASE);
        return heap;
    }
    return 0;
}
