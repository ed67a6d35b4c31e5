/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* heap.c -- one heap: create, destroy, the registry, the choice of page / run / large.
 *
 * Owns:    struct heap but for the parts of other rooms; the table of heaps.
 * Calls:   local.c, gate.c, shard.c, large.c, span.c, region.c, options.  Never: block.c.
 * Locks:   LOCK registry around the table; everything below through gate_enter or gate_close.
 * Always:  a handle is the base of a heap's first region, whose entry in the page map carries the
 *          heap's number; so a handle is proved without touching it.
 * Why:     descriptors of heaps are never unmapped and keep their number: a stale handle finds a
 *          descriptor whose handle differs. */
#include "hot.h"
#include "options.h"

#include <sys/auxv.h>
#include <unistd.h>

#include "small.h"

enum { PROCESS_HEAP = 1, LARGE_ALIGN_BYTES = 4 << 20 }; /* more: rarely to be had in a region */

struct heap ph_process_heap __attribute__((common)); /* as ph_map_root is */

enum { FIRST_HEAPS = 16 };
static struct heap *first_table[FIRST_HEAPS];
static struct heap **heap_table = first_table; /* by number; NULL: never made.  A larger one replaces it */
static uint32_t heap_room = FIRST_HEAPS;
static ph_lock registry_lock;
static struct heap *free_heaps;
static uint32_t heaps_made; /* the highest number ever used */
static uint64_t births;
static uint32_t process_ready;

void ph_heap_registry_fork_lock(void) { ph_lock_fork_take(&registry_lock); }
void ph_heap_registry_fork_unlock(void) { ph_lock_fork_give(&registry_lock); }

/* ---- making ------------------------------------------------------------------------------------ */

/* The first region decides: a bounded heap is one region of its bound. */
static bool heap_reserve(struct heap *hp, size_t initial_bytes, size_t max_bytes)
{
    const size_t bytes = max_bytes ? max_bytes : initial_bytes;
    hp->bound_units = max_bytes ? (uint32_t)(max_bytes >> UNIT_BITS) : 0;
    ph_lock_take(&hp->span_lock);
    struct region *rg = ph_region_add(hp, bytes, bytes);
    if (rg != NULL)
        ph_span_file_used(hp, rg);
    if (rg != NULL) { /* W32 3.1: committed in the books; where the system refuses, later, as needed */
        const size_t units = initial_bytes >> UNIT_BITS;
        (void)ph_region_commit(rg, units < rg->units ? (uint32_t)units : rg->units, hp->flags & HEAPF_EXECUTE);
    }
    ph_lock_give(&hp->span_lock);
    if (rg == NULL)
        return false;
    hp->purge_ms = ph_os_clock_ms();
    __atomic_store_n(&hp->handle, rg->base, __ATOMIC_RELEASE);
    return true;
}

static void heap_number(struct heap *hp, uint32_t id, unsigned flags)
{
    hp->id = id;
    hp->tag = id << 8;
    hp->flags = flags;
    hp->compatibility = 0;
    hp->name[0] = '\0';
}

/* What the kernel was told to distrust ignores the environment. */
void ph_heap_begin(char *const *environment)
{
    static bool begun;
    if (environment == NULL)
        environment = environ;
    if (begun || environment == NULL)
        return;
    begun = true;
    if (getauxval(AT_SECURE) == 0)
        ph_options_read(environment);
}

/* The process heap, made by the first call of whichever function needs it. */
static COLD bool process_heap_make(void)
{
    ph_lock_take(&registry_lock);
    if (process_ready == 0) {
        ph_heap_begin(NULL);
        ph_secret = ph_os_random() | 1;
        heap_number(&ph_process_heap, PROCESS_HEAP, 0);
        const size_t most = ph_option(OPT_MAX_SIZE) & ~(size_t)(UNIT_BYTES - 1);
        const size_t initial = ph_round_up(ph_option(OPT_INITIAL_SIZE), HEAP_ALIGN);
        if (heap_reserve(&ph_process_heap, initial, most) && ph_local_thread_key()) {
            heap_table[PROCESS_HEAP] = &ph_process_heap;
            heaps_made = PROCESS_HEAP; /* nobody makes another before */
            __atomic_store_n(&process_ready, 1, __ATOMIC_RELEASE);
        }
    }
    ph_lock_give(&registry_lock);
    return process_ready != 0;
}

struct heap *ph_heap_process(void)
{
    if (likely(__atomic_load_n(&process_ready, __ATOMIC_ACQUIRE) != 0) || process_heap_make())
        return &ph_process_heap;
    return NULL;
}

/* Readers without the lock may still use the old table, which stays.  Held: the registry lock. */
static bool table_widen(void)
{
    struct heap **table = ph_meta_take((size_t)heap_room * 4 * sizeof *table);
    if (table == NULL)
        return false;
    for (uint32_t i = 0; i < heap_room; i++)
        table[i] = heap_table[i];
    __atomic_store_n(&heap_table, table, __ATOMIC_RELEASE);
    __atomic_store_n(&heap_room, heap_room * 4, __ATOMIC_RELEASE);
    return true;
}

/* Held: the registry lock. */
static struct heap *heap_descriptor(void)
{
    struct heap *hp = free_heaps;
    if (hp != NULL) {
        free_heaps = hp->next_free;
        return hp;
    }
    if (heaps_made + 1 >= HEAP_COUNT || (heaps_made + 2 > heap_room && !table_widen()))
        return NULL;
    if ((hp = ph_meta_take(sizeof *hp)) == NULL)
        return NULL;
    hp->id = ++heaps_made;
    __atomic_store_n(&heap_table[hp->id], hp, __ATOMIC_RELEASE);
    return hp;
}

static void heap_retire(struct heap *hp)
{
    ph_lock_take(&registry_lock);
    hp->next_free = free_heaps;
    free_heaps = hp;
    ph_lock_give(&registry_lock);
}

/* W32 3.1.  Sizes are rounded by us; max_bytes 0: unbounded.  NULL: no memory or too many heaps. */
struct heap *ph_heap_create(unsigned flags, size_t initial_bytes, size_t max_bytes)
{
    const size_t most = (size_t)HEAP_MOST_UNITS << UNIT_BITS;
    if (initial_bytes > most || max_bytes > most || ph_heap_process() == NULL)
        return NULL;
    ph_lock_take(&registry_lock);
    struct heap *hp = heap_descriptor();
    ph_lock_give(&registry_lock);
    if (hp == NULL)
        return NULL;
    heap_number(hp, hp->id, flags);
    hp->born = __atomic_add_fetch(&births, 1, __ATOMIC_RELAXED);
    if (!heap_reserve(hp, ph_round_up(initial_bytes, HEAP_ALIGN), ph_round_up(max_bytes, UNIT_BYTES))) {
        heap_retire(hp);
        return NULL;
    }
    return hp;
}

/* W32 3.2.  Never the process heap. */
void ph_heap_destroy(struct heap *hp)
{
    ph_lock_take(&registry_lock);
    __atomic_store_n(&hp->handle, NULL, __ATOMIC_RELEASE);
    ph_lock_give(&registry_lock);
    ph_large_forget(hp);
    ph_span_forget(hp);
    ph_region_drop_all(hp);
    for (unsigned i = 0; i < 2 * CLASS_COUNT; i++)
        hp->shard[0].class[i] = (struct shard_class){0};
    hp->gate = (struct gate){0};
    heap_retire(hp);
}

/* ---- the registry ----------------------------------------------------------------------------- */

struct heap *ph_heap_at(uint32_t id)
{
    if (id >= __atomic_load_n(&heap_room, __ATOMIC_ACQUIRE))
        return NULL;
    return __atomic_load_n(__atomic_load_n(&heap_table, __ATOMIC_ACQUIRE) + id, __ATOMIC_ACQUIRE);
}

/* W32 2.2: without a lock, and without touching what the handle points to. */
struct heap *ph_heap_of_handle(const void *handle)
{
    if (handle == NULL || ((uintptr_t)handle & (HEAP_ALIGN - 1)) != 0)
        return NULL;
    struct heap *hp = ph_heap_at(entry_heap(map_get(handle)));
    return hp != NULL && __atomic_load_n(&hp->handle, __ATOMIC_ACQUIRE) == handle ? hp : NULL;
}


/* W32 3.11: process heap first, then the oldest first. */
unsigned ph_heap_list(struct heap **out, unsigned room)
{
    unsigned count = 0;
    ph_lock_take(&registry_lock);
    for (uint32_t id = 1; id <= heaps_made; id++) {
        struct heap *hp = ph_heap_at(id);
        if (hp == NULL || hp->handle == NULL)
            continue;
        unsigned at = count < room ? count : room;
        for (; at > 0 && out[at - 1]->born > hp->born; at--)
            if (at < room)
                out[at] = out[at - 1];
        if (at < room)
            out[at] = hp;
        count++;
    }
    ph_lock_give(&registry_lock);
    return count;
}

/* ---- allocation -------------------------------------------------------------------------------- */

static void *alloc_stacked(struct local *lo, unsigned class, bool *zero)
{
    void *block = local_take(lo, class);
    return block != NULL ? block : ph_local_take_slow(lo, class, zero);
}

static void *alloc_page_block(struct heap *hp, const struct request *rq, unsigned class, bool *zero)
{
    if (!rq->sized && ph_local->heap == hp && rq->enter == ENTER_PATIENTLY)
        return alloc_stacked(ph_local, class, zero);
    const unsigned kind = (rq->sized ? KIND_SIZED : KIND_PLAIN) + class;
    struct pass ps = ph_gate_enter(hp, rq->enter);
    void *block = ph_shard_take(hp, kind, rq->bytes, zero);
    ph_gate_leave(hp, ps);
    return block;
}

static void *alloc_run(struct heap *hp, const struct request *rq, bool *zero)
{
    const size_t bytes = rq->bytes > 0 ? rq->bytes : 1;
    const size_t units = (bytes + UNIT_BYTES - 1) >> UNIT_BITS;
    const size_t align = rq->align > UNIT_BYTES ? rq->align >> UNIT_BITS : 1;
    if (units + align >= 1u << 24)
        return NULL;
    struct pass ps = ph_gate_enter(hp, rq->enter);
    struct span *sp = ph_span_take(hp, KIND_RUN, (uint32_t)units, (uint32_t)align);
    if (sp != NULL) {
        sp->wanted = rq->bytes;
        sp->sized = rq->sized;
        *zero = sp->state != SPAN_DIRTY;
    }
    ph_gate_leave(hp, ps);
    return sp != NULL ? ph_span_start(sp) : NULL;
}

static void *alloc_large(struct heap *hp, const struct request *rq, bool *zero)
{
    struct pass ps = ph_gate_enter(hp, rq->enter);
    struct span *sp = ph_large_take(hp, rq->bytes > 0 ? rq->bytes : 1, rq->align, zero);
    if (sp != NULL) {
        sp->wanted = rq->bytes;
        sp->sized = rq->sized;
    }
    ph_gate_leave(hp, ps);
    return sp != NULL ? ph_span_start(sp) : NULL;
}

/* By size and alignment; a large block that gets no mapping of its own becomes a run. */
static void *alloc_once(struct heap *hp, const struct request *rq, bool *zero)
{
    unsigned class = CLASS_COUNT;
    if (rq->bytes <= CLASS_BYTES)
        class = rq->align <= 16 ? class_of(rq->bytes) : ph_class_aligned(rq->bytes, rq->align);
    if (class < CLASS_COUNT)
        return alloc_page_block(hp, rq, class, zero);
    void *block = NULL;
    if ((rq->bytes >= LARGE_BYTES || rq->align > LARGE_ALIGN_BYTES) && hp->bound_units == 0)
        block = alloc_large(hp, rq, zero);
    return block != NULL ? block : alloc_run(hp, rq, zero);
}

/* Before any NULL: every stack emptied, every kept page and mapping given back, once more. */
static COLD void *alloc_last(struct heap *hp, const struct request *rq, bool *zero)
{
    struct request once = *rq;
    (void)ph_heap_trim(hp);
    return alloc_once(hp, &once, zero);
}

void *ph_heap_alloc(struct heap *hp, const struct request *rq)
{
    bool zero = false;
    if (rq->bytes > PTRDIFF_MAX)
        return NULL;
    void *block = alloc_once(hp, rq, &zero);
    if (unlikely(block == NULL && rq->enter != ENTER_NOT))
        block = alloc_last(hp, rq, &zero);
    if (block != NULL && rq->zero && !zero)
        ph_bytes_zero(block, rq->bytes);
    return block;
}

/* Everything that is not in use goes back: stacks, kept pages, dirty spans, kept mappings. */
bool ph_heap_trim(struct heap *hp)
{
    ph_gate_close(hp, ENTER_UNLOCKED);
    ph_local_empty_all(hp);
    ph_shard_trim(hp);
    const bool had = hp->dirty_units > 0;
    ph_purge_all(hp);
    ph_gate_open(hp);
    ph_region_trim();
    return ph_large_trim() || had;
}

/* The registry's lock keeps each heap from being destroyed meanwhile.  W32 3.9: who has locked a heap
 * finds it as it was. */
void ph_heap_trim_all(void)
{
    ph_lock_take(&registry_lock);
    for (uint32_t id = 1; id <= heaps_made; id++) {
        struct heap *hp = ph_heap_at(id);
        const void *owner = hp != NULL ? __atomic_load_n(&hp->gate.owner, __ATOMIC_RELAXED) : NULL;
        if (hp != NULL && hp->handle != NULL && (owner == NULL || owner == ph_thread_self()))
            (void)ph_heap_trim(hp);
    }
    ph_lock_give(&registry_lock);
}
