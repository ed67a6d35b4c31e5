/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* heap.c -- one heap: create, destroy, the registry.
 *
 * Owns:    struct heap but for the parts of other rooms; the table and the list of heaps.
 * Calls:   local.c, sized.c, gate.c, shard.c, packed.c, large.c, span.c, region.c, options.
 *          Never: alloc.c.
 * Locks:   LOCK registry around table and lists; everything below through gate_enter or gate_close.
 * Always:  a handle is the base of a heap's first region, whose owner in the page map is the heap's
 *          number; so a handle is proved without touching it.
 * Why:     descriptors of heaps are never unmapped and keep their number: a stale handle finds a
 *          descriptor whose handle differs.  A few dead heaps stay warm, first region and all: then a
 *          new one costs two locks and no system call. */
#include "hot.h"
#include "options.h"
#include "valid.h"

#include <sys/auxv.h>
#include <unistd.h>

#include "chaos.h"
#include "fail.h"
#include "stress.h"
#include "small.h"

enum {
    PROCESS_HEAP = 1,
    WARM_HEAPS = 32,       /* dead heaps that keep their first region, */
    WARM_TOP_UNITS = 256, WARM_MOST_UNITS = 2048, WARM_TRIES = 8, /* of which so much may be dirty */
};

struct heap ph_process_heap __attribute__((common)); /* as ph_map_root is */

enum { FIRST_HEAPS = 16 };
static struct heap *first_table[FIRST_HEAPS];
static struct heap **heap_table = first_table; /* by number; NULL: never made.  A larger one replaces it */
static uint32_t heap_room = FIRST_HEAPS;
static ph_lock registry_lock;
static struct heap *free_heaps, *warm_heaps;
static unsigned warm_count;
static struct heap *first_live, *last_live; /* oldest first: W32 3.11 */
static uint32_t heaps_made, process_ready; /* the highest number ever used; flag */

void ph_heap_registry_fork_lock(void) { ph_lock_fork_take(&registry_lock); }
void ph_heap_registry_fork_unlock(void) { ph_lock_fork_give(&registry_lock); }

/* ---- making ------------------------------------------------------------------------------------ */

/* The part of a region that is packed memory: all of it where nothing else may be. */
static bool region_pack(struct heap *hp, struct region *rg)
{
    const uint32_t first = PACKED_FIRST_UNITS;
    const uint32_t units = hp->packed_only || rg->units < first ? rg->units : first;
    if (!ph_packed_add(rg, units))
        return false;
    rg->first = units;
    if (rg->top < units)
        rg->top = units;
    rg->seal = region_seal(rg);
    return true;
}

/* Packed memory of these regions is dirty up to where it was used. */
static void regions_unpack(struct region *rg)
{
    enum { IN_UNIT = 1 << (UNIT_BITS - GRANULE_BITS) };
    for (; rg != NULL; rg = rg->next) {
        if (rg->packed == NULL)
            continue;
        const size_t high = ph_round_up(rg->packed->high, IN_UNIT) / IN_UNIT;
        if (rg->top <= rg->first)
            rg->top = high < rg->units ? (uint32_t)high : rg->units;
        ph_packed_drop(rg);
    }
}

static void regions_drop(struct heap *hp)
{
    regions_unpack(hp->regions);
    ph_region_drop_all(hp);
}

/* The first region decides: a bounded heap is one region of its bound. */
static bool heap_reserve(struct heap *hp, size_t initial_bytes, size_t max_bytes)
{
    const size_t bytes = max_bytes ? max_bytes : initial_bytes;
    const uint32_t initial = (uint32_t)((initial_bytes < bytes ? initial_bytes : bytes) >> UNIT_BITS);
    hp->bound_units = (uint32_t)(max_bytes >> UNIT_BITS);
    ph_lock_take(&hp->span_lock);
    struct region *rg = ph_region_add(hp, bytes, bytes);
    if (rg != NULL) /* W32 3.1: committed in the books; where the system refuses, later, as needed */
        (void)ph_region_commit(rg, initial, hp->flags & HEAPF_EXECUTE);
    bool done = rg != NULL;
    if (done && !(hp->flags & HEAPF_PAGED))
        done = region_pack(hp, rg);
    if (done && !hp->packed_only)
        ph_span_file_used(hp, rg);
    ph_lock_give(&hp->span_lock);
    if (!done && rg != NULL)
        regions_drop(hp);
    return done;
}

/* Held: the registry lock. */
static void heap_begin(struct heap *hp, unsigned flags, bool bounded)
{
    hp->tag = hp->id << 8;
    hp->flags = flags;
    hp->stress = ph_stress_is_on() && !bounded && !(flags & HEAPF_EXECUTE);
    hp->debug = (uint32_t)ph_option(OPT_DEBUG_FLAGS) | (ph_stress_is_on() && hp != &ph_process_heap ? DEBUG_TAIL | DEBUG_FREE : 0);
    hp->packed_only = hp->debug != 0 || (bounded && !(flags & HEAPF_PAGED));
    if (hp->debug != 0)
        hp->flags &= ~(unsigned)HEAPF_PAGED;
    hp->hard = hp == &ph_process_heap && hp->debug == 0 ? ph_mode : MODE_DEFAULT;
    ph_spanguard_begin(hp);
    hp->compatibility = 0;
    ph_bytes_zero(hp->name, sizeof hp->name);
    hp->name_seal = 0;
}

/* A descriptor that no heap had before. */
static void heap_first_seals(struct heap *hp)
{
    hp->locals_seal = locals_seal(hp);
    hp->regions_seal = regions_seal(hp);
}

/* It can be found from now on.  Held: the registry lock. */
static void heap_publish(struct heap *hp)
{
    hp->previous_live = last_live;
    hp->next_live = NULL;
    if (last_live != NULL)
        last_live->next_live = hp;
    else
        first_live = hp;
    last_live = hp;
    hp->seal = heap_seal(hp, hp->regions->base);
    __atomic_store_n(&hp->handle, hp->regions->base, __ATOMIC_RELEASE);
}

static void heap_unpublish(struct heap *hp)
{
    __atomic_store_n(&hp->handle, NULL, __ATOMIC_RELEASE);
    hp->previous_live->next_live = hp->next_live; /* the process heap stands before all others */
    if (hp->next_live != NULL)
        hp->next_live->previous_live = hp->previous_live;
    else
        last_live = hp->previous_live;
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
    ph_process_heap.fails = ph_option(OPT_FAIL) != 0 && ph_fail_begin(ph_option_path(OPT_FAIL));
    ph_process_heap.chaos = !ph_stress_begin(ph_option_path(OPT_STRESS)) && ph_option(OPT_CHAOS) != 0 && ph_option(OPT_MODE) == MODE_DEFAULT && ph_chaos_begin(ph_option_path(OPT_CHAOS));
    (void)ph_os_page_pretend(ph_option(OPT_OS_PAGE)); /* nothing was mapped before; 0 is no page */
}

/* Whatever libc is asked for may be somebody's hook, which allocates and comes here again: so it is asked once, and
 * while no lock is held.  Who comes meanwhile has no stacks yet. */
static void libc_ask(void)
{
    static uint32_t asked;
    if (__atomic_exchange_n(&asked, 1, __ATOMIC_RELAXED) != 0)
        return;
    ph_heap_begin(NULL);
    ph_os_begin();
    ph_os_clock_begin();
    if (!(ph_process_heap.fails | ph_process_heap.chaos)) /* else nobody has stacks */
        ph_local_thread_key();
}

/* The process heap, made by the first call of whichever function needs it. */
static COLD bool process_heap_make(void)
{
    libc_ask();
    const uint64_t secret = ph_os_random() | 1;
    ph_lock_take(&registry_lock);
    if (process_ready == 0) {
        ph_secret = secret;
        ph_os_seed(ph_option(OPT_THP) != THP_NEVER);
        ph_process_heap.id = PROCESS_HEAP;
        heap_first_seals(&ph_process_heap);
        const size_t most = ph_option(OPT_MAX_SIZE) & ~(size_t)(UNIT_BYTES - 1);
        const size_t initial = ph_round_up(ph_option(OPT_INITIAL_SIZE), HEAP_ALIGN);
        heap_begin(&ph_process_heap, HEAPF_PAGED, most != 0);
        if (heap_reserve(&ph_process_heap, initial, most) && ph_shard_ready(&ph_process_heap)) {
            heap_table[PROCESS_HEAP] = &ph_process_heap;
            heaps_made = PROCESS_HEAP; /* nobody makes another before */
            heap_publish(&ph_process_heap);
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
    heap_first_seals(hp);
    __atomic_store_n(&heap_table[hp->id], hp, __ATOMIC_RELEASE);
    return hp;
}

/* A dead heap whose first region is just what is wanted.  Held: the registry lock. */
static struct heap *warm_take(unsigned flags, uint32_t units, bool bounded)
{
    struct heap **at = &warm_heaps;
    if (flags & (HEAPF_PAGED | HEAPF_EXECUTE))
        return NULL;
    for (unsigned tries = WARM_TRIES; *at != NULL && tries > 0; at = &(*at)->next_free, tries--) {
        struct heap *hp = *at;
        if (hp->regions->units != units || hp->packed_only != bounded)
            continue;
        *at = hp->next_free;
        __atomic_store_n(&warm_count, warm_count - 1, __ATOMIC_RELAXED);
        return hp;
    }
    return NULL;
}

static bool heap_ready(struct heap *hp, size_t initial_bytes, size_t max_bytes)
{
    if (hp->regions == NULL)
        return heap_reserve(hp, initial_bytes, max_bytes);
    struct region *rg = hp->regions;
    ph_lock_take(&hp->span_lock);
    (void)ph_region_commit(rg, (uint32_t)(initial_bytes >> UNIT_BITS) < rg->units ? (uint32_t)(initial_bytes >> UNIT_BITS) : rg->units,
                           false);
    if (!hp->packed_only && rg->top > rg->first)
        ph_span_file_used(hp, rg);
    ph_lock_give(&hp->span_lock);
    return true;
}

/* Warm heaps become cold: their regions go back.  Held: the registry lock. */
static void warm_trim(void)
{
    struct heap *hp = warm_heaps;
    warm_heaps = NULL;
    __atomic_store_n(&warm_count, 0, __ATOMIC_RELAXED);
    while (hp != NULL) {
        struct heap *next = hp->next_free;
        regions_drop(hp);
        hp->next_free = free_heaps;
        free_heaps = hp;
        hp = next;
    }
}

/* W32 3.1.  Sizes are rounded by us; max_bytes 0: unbounded.  NULL: no memory or too many heaps. */
struct heap *ph_heap_create(unsigned flags, size_t initial_bytes, size_t max_bytes)
{
    const size_t most = (size_t)HEAP_MOST_UNITS << UNIT_BITS;
    if (initial_bytes > most || max_bytes > most || ph_heap_process() == NULL)
        return NULL;
    initial_bytes = ph_round_up(initial_bytes, max_bytes ? UNIT_BYTES : HEAP_ALIGN);
    max_bytes = ph_round_up(max_bytes, UNIT_BYTES);
    const uint32_t units = (uint32_t)((max_bytes ? max_bytes : initial_bytes) >> UNIT_BITS);
    ph_lock_take(&registry_lock);
    struct heap *hp = warm_take(flags, units, max_bytes != 0);
    if (hp == NULL)
        hp = heap_descriptor();
    if (hp != NULL) {
        heap_begin(hp, flags, max_bytes != 0);
        bool ready = heap_ready(hp, initial_bytes, max_bytes);
        if (!ready) { /* address space that dead heaps hold may be what is missing */
            warm_trim();
            ph_region_trim();
            (void)ph_large_trim();
            ready = heap_ready(hp, initial_bytes, max_bytes);
        }
        if (ready) {
            heap_publish(hp);
        } else {
            hp->next_free = free_heaps;
            free_heaps = hp;
            hp = NULL;
        }
    }
    ph_lock_give(&registry_lock);
    return hp;
}

/* Whether a dead heap may keep its first region; then nothing else is left of it. */
static bool heap_cool(struct heap *hp)
{
    struct region *rg = hp->regions;
    const bool keep = !(hp->flags & (HEAPF_PAGED | HEAPF_EXECUTE)) && hp->debug == 0 &&
                      __atomic_load_n(&warm_count, __ATOMIC_RELAXED) < WARM_HEAPS && rg->units <= WARM_MOST_UNITS &&
                      (hp->packed_only ? rg->packed->high >> (UNIT_BITS - GRANULE_BITS) : rg->top) <= WARM_TOP_UNITS;
    if (!keep) {
        regions_drop(hp);
        return false;
    }
    if (rg->next != NULL) {
        regions_unpack(rg->next);
        ph_region_drop_rest(hp);
    }
    ph_packed_reset(rg);
    return true;
}

static void heap_end(struct heap *hp)
{
    ph_lock_take(&hp->gate.lock);
    if (hp->locals != NULL)
        ph_sized_forget(hp);
    ph_gate_reset(hp);
    ph_lock_give(&hp->gate.lock);
    ph_emergency_forget(hp->id);
    ph_large_forget(hp);
    ph_span_forget(hp);
    ph_shard_forget(hp);
    for (unsigned class = 0; class < CLASS_COUNT; class++)
        hp->uses[class] = 0;
}

/* W32 3.2.  Never the process heap.  False: somebody else ended it meanwhile. */
bool ph_heap_destroy(struct heap *hp)
{
    ph_lock_take(&registry_lock);
    const bool live = hp->handle != NULL;
    if (live)
        heap_unpublish(hp);
    ph_lock_give(&registry_lock);
    if (!live)
        return false;
    heap_end(hp);
    const bool warm = heap_cool(hp);
    ph_lock_take(&registry_lock);
    struct heap **list = warm ? &warm_heaps : &free_heaps;
    hp->next_free = *list;
    *list = hp;
    __atomic_store_n(&warm_count, warm_count + warm, __ATOMIC_RELAXED);
    ph_lock_give(&registry_lock);
    return true;
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
    if (handle == __atomic_load_n(&ph_process_heap.handle, __ATOMIC_ACQUIRE))
        return &ph_process_heap;
    struct heap *hp = ph_heap_at(ph_map_owner(handle));
    return hp != NULL && __atomic_load_n(&hp->handle, __ATOMIC_ACQUIRE) == handle ? hp : NULL;
}

/* The live heap in one of whose regions an address lies; NULL: none. */
struct heap *ph_heap_around(const void *address)
{
    const uint32_t id = ph_map_owner(address);
    struct heap *hp = id != 0 ? ph_heap_at(id) : &ph_process_heap;
    return hp != NULL && __atomic_load_n(&hp->handle, __ATOMIC_ACQUIRE) != NULL && ph_region_of(hp, address) != NULL ? hp : NULL;
}

/* W32 3.11: process heap first, then the oldest first. */
unsigned ph_heap_list(void **handles, unsigned room)
{
    unsigned count = 0;
    ph_lock_take(&registry_lock);
    for (struct heap *hp = first_live; hp != NULL; hp = hp->next_live, count++)
        if (count < room) handles[count] = hp->handle;
    ph_lock_give(&registry_lock);
    return count;
}

/* ---- growing, and giving back --------------------------------------------------------------- */

/* A new region where all memory is packed.  Held: the gate lock. */
struct region *ph_heap_grow_packed(struct heap *hp, size_t bytes)
{
    if (!hp->packed_only || hp->bound_units != 0)
        return NULL;
    const size_t least = ph_round_up(bytes + UNIT_BYTES, HEAP_ALIGN);
    const size_t wish = ph_round_up((size_t)hp->reserved_units << UNIT_BITS, HEAP_ALIGN);
    ph_lock_take(&hp->span_lock);
    struct region *rg = ph_region_add(hp, wish > least ? wish : least, least);
    if (rg != NULL && !region_pack(hp, rg))
        rg = NULL; /* an empty region: no harm */
    ph_lock_give(&hp->span_lock);
    return rg;
}

/* Stacks, kept pages, dirty spans of one heap; true: there were some.  Held: its gate lock, nobody inside. */
static bool trim_closed(struct heap *hp)
{
    ph_local_empty_all(hp);
    ph_shard_trim(hp);
    for (struct region *rg = hp->regions; rg != NULL; rg = rg->next) {
        if (rg->packed != NULL && (hp->debug & DEBUG_NO_JOIN))
            ph_packed_join(rg);
        if (rg->packed != NULL && hp->debug == 0)
            ph_packed_purge(rg);
    }
    const bool had = hp->dirty_units > 0;
    (void)ph_span_release(hp);
    ph_purge_all(hp);
    return had;
}

static bool trim_one(struct heap *hp)
{
    ph_gate_close(hp, ENTER_UNLOCKED);
    const bool had = trim_closed(hp);
    ph_gate_open(hp);
    return had;
}

/* What is kept for all heaps. */
static bool trim_kept(void)
{
    ph_lock_take(&registry_lock);
    warm_trim();
    ph_lock_give(&registry_lock);
    ph_region_trim();
    return ph_large_trim();
}

/* Everything that is not in use goes back: the heap's, and what is kept for all. */
bool ph_heap_trim(struct heap *hp)
{
    const bool had = trim_one(hp);
    return trim_kept() || had;
}

void ph_heap_trim_plainly(struct heap *hp)
{
    ph_gate_close_plainly(hp);
    (void)trim_closed(hp);
    ph_gate_open(hp);
    (void)trim_kept();
}

/* The registry's lock keeps each heap from being destroyed meanwhile.  W32 3.9: who has locked a heap
 * finds it as it was. */
void ph_heap_trim_all(void)
{
    ph_lock_take(&registry_lock);
    for (struct heap *hp = first_live; hp != NULL; hp = hp->next_live) {
        const void *owner = __atomic_load_n(&hp->gate.owner, __ATOMIC_RELAXED);
        if (owner == NULL || owner == ph_thread_self())
            (void)trim_one(hp);
    }
    warm_trim();
    ph_lock_give(&registry_lock);
    ph_region_trim();
    (void)ph_large_trim();
}
