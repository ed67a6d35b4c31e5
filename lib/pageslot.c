/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* pageslot.c -- the page heap's address space: areas of slots, what is inaccessible in them, which slot comes next.
 *
 * Owns:    the areas; struct paged's number and next; the quarantine.
 * Calls:   os.c, map.c.
 * Locks:   held on entry: the process heap's span lock, where the header says so.  The fault handler reads without:
 *          addresses never change once there are areas.
 * Always:  an area is [guard] ([slot] [guard])...; every page of it is inaccessible but those that live blocks need,
 *          and those of private heaps' freed blocks.  Never given back.
 * Why:     with guards that are marks in page tables (madvise since Linux 6.13) a million blocks need one mapping for each
 *          area; with mprotect two for each block, of which a process may have 65,530 in all.  All areas have the same
 *          length, so that an address says by a shift whose it is. */
#include "pageheap.h"

/* Not small.h: a stressed program waits for this. */

enum {
    DOUBLINGS = 18,      /* slots of up to 2^18 OS pages */
    STEPS = 4,           /* lengths to a doubling, from 8 pages on; below each number of pages is one */
    FEW = 8,
    AREAS = FEW + (DOUBLINGS - 3) * STEPS,
    AREA_LOG_MOST = 36, AREA_LOG_USUAL = 28, AREA_LOG_LEAST = 20,
    BUDGETS = 4,         /* an area is as long as so many budgets: a block and its guard are two, and some wait */
    CHUNK_BYTES = 1 << 20,
    INDEX_BITS = 23,
    WIDE_FROM_PAGES = 16, GAP_MOST_PAGES = 4096,
    KEPT_LEAST_BYTES = 4 << 20, KEPT_MOST_BYTES = 64 << 20, /* of freed blocks that stay accessible */
    SPACE_PART = 16,     /* of a bound on the process's addresses */
    WAITING_PART = 4,    /* of an area may wait in quarantine: as much lies between its slots, the rest is for live blocks */
    MAPPINGS_LIVE = 20000, /* blocks that live at once where each takes two mappings */
};
static_assert((int)AREAS << INDEX_BITS < 1 << 30, "a slot's number has room for both");

static struct area {
    uint32_t pages;    /* OS pages of a slot, */
    uint32_t gap;      /* and of what is inaccessible behind it */
    uint32_t count;    /* slots that fit */
    uint32_t used;     /* that were taken at least once, */
    uint32_t ready;    /* and that may be taken: their entries in the page map can be written */
    uint64_t inverse;  /* 2^64 divided by the pages from one slot to the next, rounded up */
    struct { uint32_t first, last; } free, kept; /* numbers, linked by next, in the order in which they were freed */
    struct paged *slots;
} areas[AREAS];
static char *base;
static unsigned area_log, page_log; /* powers of two: bytes */
static bool is_tried, by_advice;
static uint32_t oldest, newest; /* in quarantine */
static size_t waiting_bytes, kept_bytes;
static uint64_t live;

static size_t paged_stride(const struct area *ar) { return ((size_t)ar->pages + ar->gap) * ph_os_page_bytes(); }
static char *area_base(size_t number) { return base + (number << area_log) + ph_os_page_bytes(); }
static size_t paged_area(uint32_t number) { return (number & ~PAGED_BIT) >> INDEX_BITS; }

/* ---- setting up --------------------------------------------------------------------------------- */

static uint32_t area_pages(unsigned number)
{
    if (number < FEW)
        return number + 1;
    const unsigned doubling = (number - FEW) / STEPS, step = (number - FEW) % STEPS + 1;
    return (FEW << doubling) + step * (FEW << doubling) / STEPS;
}

/* What runs over a large block may run far. */
static uint32_t area_gap(uint32_t pages)
{
    return pages < WIDE_FROM_PAGES ? 1 : pages < GAP_MOST_PAGES ? pages : GAP_MOST_PAGES;
}

static bool paged_reserve(unsigned log)
{
    base = ph_os_reserve((size_t)AREAS << log, (size_t)1 << 21);
    if (base == NULL)
        return false;
    ph_os_no_huge(base, (size_t)AREAS << log);
    area_log = log;
    page_log = (unsigned)__builtin_ctzl(ph_os_page_bytes());
    for (unsigned i = 0; i < AREAS; i++) {
        areas[i].pages = area_pages(i);
        areas[i].gap = area_gap(areas[i].pages);
        areas[i].inverse = UINT64_MAX / (areas[i].pages + areas[i].gap) + 1;
        const size_t fit = (((size_t)1 << log) - ph_os_page_bytes()) / paged_stride(&areas[i]);
        areas[i].count = (uint32_t)(fit < 1 << INDEX_BITS ? fit : (1 << INDEX_BITS) - 1);
    }
    return true;
}

/* Asked of an OS page that is made accessible and inaccessible again: the guard before the first slot. */
static bool advice_works(void)
{
    char *page = base;
    const size_t os_page = ph_os_page_bytes();
    if (ph_os_commit(page, os_page, false) == 0 && ph_os_guard(page, os_page, true) == 0)
        return true;
    (void)ph_os_protect(page, os_page);
    return false;
}

bool ph_paged_ready(void)
{
    if (is_tried)
        return base != NULL;
    is_tried = true;
    const size_t space = ph_os_space_limit();
    unsigned most = AREA_LOG_USUAL;
    while (most < AREA_LOG_MOST && (size_t)1 << most < ph_stress_in_force()->budget * BUDGETS)
        most++;
    for (unsigned log = most; log >= AREA_LOG_LEAST && base == NULL; log--)
        if (space == SIZE_MAX || (size_t)AREAS << log <= space / SPACE_PART)
            (void)paged_reserve(log);
    if (base != NULL)
        ph_page_heap_figures()->by_advice = by_advice = advice_works();
    return base != NULL;
}

/* So many more slots may be taken.  What is inaccessible in them is so by marks, or by the reservation itself. */
static bool area_extend(struct area *ar)
{
    const size_t number = (size_t)(ar - areas), os_page = ph_os_page_bytes();
    uint32_t more = (uint32_t)(CHUNK_BYTES / paged_stride(ar));
    more = more > 0 ? more : 1;
    more = ar->count - ar->ready < more ? ar->count - ar->ready : more;
    char *from = area_base(number) + ar->ready * paged_stride(ar);
    const size_t bytes = more * paged_stride(ar);
    if (ar->slots == NULL) {
        ar->slots = ph_os_map(ph_round_up(ar->count * sizeof *ar->slots, os_page), os_page);
        if (ar->slots != NULL)
            ph_os_no_huge(ar->slots, ph_round_up(ar->count * sizeof *ar->slots, os_page));
    }
    if (more == 0 || ar->slots == NULL || !ph_map_prepare(from, bytes))
        return false;
    if (by_advice && (ph_os_commit(from, bytes, false) != 0 || ph_os_guard(from, bytes, true) != 0))
        return false;
    __atomic_store_n(&ar->ready, ar->ready + more, __ATOMIC_RELEASE);
    return true;
}

/* ---- open and closed ------------------------------------------------------------------------------ */

bool ph_paged_open(char *from, size_t bytes)
{
    if (bytes == 0)
        return true;
    return by_advice ? ph_os_guard(from, bytes, false) == 0 : ph_os_commit(from, bytes, false) == 0;
}

void ph_paged_close(char *from, size_t bytes)
{
    if (bytes == 0 || (by_advice && ph_os_guard(from, bytes, true) == 0))
        return;
    (void)ph_os_protect(from, bytes);
    if (ph_os_purge(from, bytes) != 0 && ph_os_commit(from, bytes, false) == 0) {
        ph_bytes_zero(from, bytes);
        (void)ph_os_protect(from, bytes);
    }
}

/* ---- taking and giving ---------------------------------------------------------------------------- */

static struct area *area_for(size_t bytes)
{
    for (unsigned i = 0; i < AREAS; i++)
        if (bytes <= areas[i].pages * ph_os_page_bytes())
            return &areas[i];
    return NULL;
}

static struct paged *take_fresh(struct area *ar)
{
    if (ar->used == ar->ready && !area_extend(ar))
        return NULL;
    struct paged *pd = &ar->slots[ar->used];
    __atomic_store_n(&pd->number, PAGED_BIT | (uint32_t)(ar - areas) << INDEX_BITS | ar->used, __ATOMIC_RELEASE);
    __atomic_store_n(&ar->used, ar->used + 1, __ATOMIC_RELEASE);
    return pd;
}

static struct paged *take_free(struct area *ar)
{
    struct paged *pd = ph_paged_at(ar->free.first);
    ar->free.first = pd->next;
    return pd;
}

static struct paged *take_kept(struct area *ar)
{
    struct paged *pd = ph_paged_at(ar->kept.first);
    ar->kept.first = pd->next;
    kept_bytes -= paged_open_bytes(pd);
    return pd;
}

static bool is_kept_enough(const struct area *ar, size_t bytes) { return ar->kept.first != 0 && kept_bytes > bytes; }

struct paged *ph_paged_take(size_t bytes, enum paged_refusal *why)
{
    struct area *ar = area_for(bytes);
    *why = ar == NULL ? PAGED_LONG : !by_advice && live >= MAPPINGS_LIVE ? PAGED_MAPPINGS : PAGED_SPACE;
    if (ar == NULL || *why == PAGED_MAPPINGS)
        return NULL;
    struct paged *pd = is_kept_enough(ar, KEPT_LEAST_BYTES) ? take_kept(ar) : ar->free.first != 0 ? take_free(ar) : take_fresh(ar);
    if (pd == NULL && ar->kept.first != 0)
        pd = take_kept(ar);
    if (pd == NULL)
        return NULL;
    pd->state = SLOT_TAKEN;
    pd->next = 0;
    live++;
    return pd;
}

void ph_paged_free(struct paged *pd)
{
    struct area *ar = &areas[paged_area(pd->number)];
    pd->next = 0;
    if (ar->free.first != 0)
        ph_paged_at(ar->free.last)->next = pd->number;
    else
        ar->free.first = pd->number;
    ar->free.last = pd->number;
}

struct paged *ph_paged_keep(struct paged *pd)
{
    struct area *ar = &areas[paged_area(pd->number)];
    live--;
    pd->next = 0;
    if (ar->kept.first != 0)
        ph_paged_at(ar->kept.last)->next = pd->number;
    else
        ar->kept.first = pd->number;
    ar->kept.last = pd->number;
    kept_bytes += paged_open_bytes(pd);
    return is_kept_enough(ar, KEPT_MOST_BYTES) ? take_kept(ar) : NULL;
}

void ph_paged_untake(struct paged *pd)
{
    __atomic_store_n(&pd->state, SLOT_NEVER, __ATOMIC_RELEASE);
    live--;
    ph_paged_free(pd);
}

static size_t paged_bytes(const struct paged *pd) { return (size_t)(ph_paged_end(pd) - ph_paged_start(pd)); }

void ph_paged_quarantine(struct paged *pd)
{
    live--;
    pd->next = 0;
    if (oldest != 0)
        ph_paged_at(newest)->next = pd->number;
    else
        oldest = pd->number;
    newest = pd->number;
    waiting_bytes += paged_bytes(pd);
}

struct paged *ph_paged_ripe(size_t most_bytes)
{
    const size_t room = ((size_t)1 << area_log) / WAITING_PART;
    struct paged *pd = waiting_bytes > (most_bytes < room ? most_bytes : room) ? ph_paged_at(oldest) : NULL;
    if (pd == NULL)
        return NULL;
    oldest = pd->next;
    waiting_bytes -= paged_bytes(pd);
    return pd;
}

/* A thread that is gone may have been about to change a list. */
void ph_paged_mend(void)
{
    for (unsigned i = 0; i < AREAS; i++)
        areas[i].free.first = areas[i].kept.first = 0;
    oldest = newest = 0;
    waiting_bytes = kept_bytes = 0;
}

/* ---- finding -------------------------------------------------------------------------------------- */

struct paged *ph_paged_at(uint32_t number)
{
    const size_t area = paged_area(number), index = number & ((1u << INDEX_BITS) - 1);
    if (base == NULL || !slot_is_paged(number) || area >= AREAS || index >= __atomic_load_n(&areas[area].used, __ATOMIC_ACQUIRE))
        return NULL;
    return &areas[area].slots[index];
}

/* Of so many bytes into an area; the guard before the first slot counts as that one's.  A division would be half of what
 * each call of a checked function takes; with fewer than 2^32 pages of either kind the product is exact. */
static inline size_t index_of(const struct area *ar, size_t inside)
{
    const size_t page = inside >> page_log;
    return page == 0 ? 0 : (size_t)((unsigned __int128)(page - 1) * ar->inverse >> 64);
}

static inline struct paged *paged_of(const void *address)
{
    const size_t offset = (size_t)((const char *)address - base), area = offset >> area_log;
    if (area >= AREAS || base == NULL)
        return NULL;
    const size_t index = index_of(&areas[area], offset & (((size_t)1 << area_log) - 1));
    return index < __atomic_load_n(&areas[area].used, __ATOMIC_ACQUIRE) ? &areas[area].slots[index] : NULL;
}

struct paged *ph_paged_of(const void *address) { return paged_of(address); }

/* Freed memory of a private heap can be read: W32 2.8.  (What is kept of the process heap's is no business of theirs.) */
size_t ph_page_heap_room(const char *at, bool is_write)
{
    const struct paged *pd = paged_of(at);
    if (pd == NULL)
        return SIZE_MAX;
    const unsigned state = __atomic_load_n(&pd->state, __ATOMIC_ACQUIRE);
    const size_t into = (size_t)(at - pd->block);
    if (likely(state == SLOT_LIVE))
        return into < pd->wanted ? pd->wanted - into : 0;
    return state < SLOT_LIVE || (pd->kept && !is_write && pd->heap != &ph_process_heap) ? SIZE_MAX : 0;
}

struct paged *ph_paged_below(const char *address)
{
    const size_t offset = (size_t)(address - base), area = offset >> area_log;
    if (base == NULL || area >= AREAS)
        return NULL;
    const size_t index = index_of(&areas[area], offset & (((size_t)1 << area_log) - 1));
    const size_t used = __atomic_load_n(&areas[area].used, __ATOMIC_ACQUIRE), below = index < used ? index : used;
    return below > 0 ? &areas[area].slots[below - 1] : NULL;
}

struct paged *ph_paged_previous(uint32_t number)
{
    size_t area = number != 0 ? paged_area(number) : AREAS - 1;
    size_t index = number != 0 ? number & ((1u << INDEX_BITS) - 1) : SIZE_MAX;
    while (base != NULL) {
        const size_t used = __atomic_load_n(&areas[area].used, __ATOMIC_ACQUIRE), below = index < used ? index : used;
        if (below > 0)
            return &areas[area].slots[below - 1];
        if (area-- == 0)
            break;
        index = SIZE_MAX;
    }
    return NULL;
}

char *ph_paged_start(const struct paged *pd)
{
    const size_t area = paged_area(pd->number), index = pd->number & ((1u << INDEX_BITS) - 1);
    return area_base(area) + index * paged_stride(&areas[area]);
}

char *ph_paged_end(const struct paged *pd)
{
    return ph_paged_start(pd) + areas[paged_area(pd->number)].pages * ph_os_page_bytes();
}

bool ph_paged_is_table(const void *address)
{
    for (unsigned i = 0; i < AREAS && base != NULL; i++)
        if (areas[i].slots != NULL && (size_t)((const char *)address - (const char *)areas[i].slots) < areas[i].count * sizeof *areas[i].slots)
            return true;
    return false;
}
