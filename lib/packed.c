/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* packed.c -- blocks of all sizes side by side, in granules of 16 bytes; neighbours join when free.
 *
 * Owns:    struct packed; what its shadow says.
 * Calls:   region.c to commit, meta.c and os.c for the shadow.  Never: span.c, heap.c.
 * Locks:   held on entry: the gate lock of the heap.  Takes: meta.
 * Always:  the parts of the memory below `top`, live and free, follow each other without a gap, and no
 *          free part ends at `top`.  Checked by ph_packed_is_valid.
 * Shadow:  a byte for each granule says where parts begin and end: see shadow.h.
 * Cards:   which cards (runs of granules) have free parts of a bin is a hint: a bit too many is
 *          cleared by the search that finds nothing there.
 * Why:     out of line, so that 253 KB fit into a heap of 256, no write past or after a block
 *          reaches it, and a heap of a few blocks costs a few hundred bytes. */
#include "shadow.h"
#include "valid.h"

#include "small.h"

enum {
    CARD_BITS = 8,             /* 4 KB: what a search reads at most is 256 bytes */
    SHADOW_CELL_BYTES = 4096,  /* larger ones have a mapping */
    TRIES = 8,
};

/* ---- bins and cards ------------------------------------------------------------------------------ */

static void card_set(struct packed *pk, unsigned bin, size_t at)
{
    const size_t card = at >> pk->card_bits;
    const size_t group = pk->grouped != NULL ? card / GROUPS : card;
    const uint64_t bit = 1ULL << (card % GROUPS);
    uint64_t *word = pk->grouped != NULL ? &pk->grouped[bin * GROUPS + group] : &pk->cards[bin];
    pk->card_sum ^= bit & ~*word;
    *word |= bit;
    pk->cards[bin] |= 1ULL << group;
    pk->bins |= 1u << bin;
}

static size_t byte_find(const uint8_t *bytes, size_t from, size_t to, uint8_t what)
{
    const uint64_t ones = 0x0101010101010101, all = ones * what;
    for (; to - from >= 8; from += 8) {
        uint64_t word;
        __builtin_memcpy(&word, bytes + from, 8);
        word ^= all;
        if ((word - ones) & ~word & ones << 7)
            break;
    }
    while (from < to && bytes[from] != what)
        from++;
    return from;
}

/* A free part of that bin and at least so many granules in one card; *any: there was one at all. */
static size_t card_search(const struct packed *pk, unsigned bin, size_t card, size_t need, unsigned *tries, bool *any)
{
    const size_t end = (card + 1) << pk->card_bits;
    const size_t to = end < pk->top ? end : pk->top;
    const uint8_t what = free_byte(bin);
    size_t at = card << pk->card_bits;
    for (*any = false; at < to && (at = byte_find(pk->shadow, at, to, what)) < to; at++) {
        *any = true;
        if (part_length(pk, at) >= need)
            return at;
        if (--*tries == 0)
            break;
    }
    return NOWHERE;
}

/* The same in one bin, lowest card first. */
static size_t bin_search(struct packed *pk, unsigned bin, size_t need, unsigned tries)
{
    for (uint64_t groups = pk->cards[bin]; groups != 0; groups &= groups - 1) {
        const unsigned group = (unsigned)__builtin_ctzll(groups);
        uint64_t *word = pk->grouped != NULL ? &pk->grouped[bin * GROUPS + group] : &pk->cards[bin];
        uint64_t cards = pk->grouped != NULL ? *word : 1ULL << group;
        for (; cards != 0; cards &= cards - 1) {
            const unsigned bit = (unsigned)__builtin_ctzll(cards);
            bool any;
            const size_t at = card_search(pk, bin, pk->grouped != NULL ? group * GROUPS + bit : bit, need, &tries, &any);
            if (at != NOWHERE)
                return at;
            if (tries == 0)
                return NOWHERE;
            if (!any) {
                *word &= ~(1ULL << bit);
                pk->card_sum ^= 1ULL << bit;
            }
        }
        if (*word == 0)
            pk->cards[bin] &= ~(1ULL << group);
    }
    if (pk->cards[bin] == 0)
        pk->bins &= ~(1u << bin);
    return NOWHERE;
}

static size_t free_search(struct packed *pk, size_t need)
{
    const unsigned bin = bin_of(need);
    size_t at = pk->bins >> bin & 1 ? bin_search(pk, bin, need, TRIES) : NOWHERE;
    for (uint32_t later = pk->bins & ~((2u << bin) - 1); later != 0 && at == NOWHERE; later &= later - 1)
        at = bin_search(pk, (unsigned)__builtin_ctz(later), need, UINT32_MAX);
    return at;
}

/* ---- parts --------------------------------------------------------------------------------------- */

/* A free part; the last one becomes virgin again, unless a free one may stand before it. */
static void free_write(struct packed *pk, size_t at, size_t length, bool join)
{
    if (join && at + length == pk->top) {
        pk->top = at;
        return;
    }
    head_write(pk, at, length, free_byte(bin_of(length)));
    uint8_t *last = pk->shadow + at + length - 1;
    if (length > 1)
        *last = inner_byte(length <= SHORT_MOST ? length : LONG_MARK);
    if (length > SHORT_MOST)
        digits_write(last - DIGITS, length);
    card_set(pk, bin_of(length), at);
}

static size_t granules_of(size_t bytes) { return bytes == 0 ? 1 : (bytes - 1) / 16 + 1; }

static void live_write(struct packed *pk, size_t at, size_t length, size_t bytes)
{
    head_write(pk, at, length, live_byte((unsigned)(length * 16 - bytes)));
}

static size_t part_index(const struct region *rg, const void *address)
{
    return (size_t)((const char *)address - rg->base) >> GRANULE_BITS;
}

static char *part_address(const struct region *rg, size_t at) { return rg->base + (at << GRANULE_BITS); }

/* ---- making -------------------------------------------------------------------------------------- */

static void high_set(struct packed *pk, size_t high)
{
    pk->high = high;
    pk->high_not = ~high;
}

static bool shadow_map(struct packed *pk, size_t cards)
{
    const size_t groups = cards > GROUPS ? PACKED_BINS * GROUPS * sizeof(uint64_t) : 0;
    pk->mapped_bytes = ph_round_up(pk->granules + 64 + groups, ph_os_page_bytes());
    char *got = ph_os_map(pk->mapped_bytes, UNIT_BYTES);
    if (got == NULL)
        return false;
    pk->grouped = groups > 0 ? (uint64_t *)(void *)got : NULL;
    pk->shadow = (uint8_t *)got + groups;
    pk->shadowed = pk->granules;
    return true;
}

/* Have a shadow for `granules`: a larger cell takes over.  False: no memory. */
static bool shadow_reach(struct packed *pk, size_t granules)
{
    if (granules <= pk->shadowed)
        return true;
    size_t wish = pk->shadowed + pk->shadowed / 2;
    wish = wish < granules ? granules : wish < SHADOW_CELL_BYTES ? wish : SHADOW_CELL_BYTES;
    struct pool *po = ph_pool_of(wish);
    const size_t bytes = po != NULL ? (size_t)po->cells << CELL_BITS : 0;
    const uint32_t cell = po != NULL ? ph_pool_take(po) : 0;
    if (cell == 0)
        return false;
    uint8_t *now = ph_cell_at(cell);
    const size_t known = pk->shadow != NULL ? pk->top : 0;
    if (known > 0)
        ph_bytes_copy(now, pk->shadow, known);
    ph_bytes_zero(now + known, bytes - known);
    if (pk->cell != 0)
        ph_pool_give(ph_pool_of(pk->shadowed), pk->cell);
    pk->cell = cell;
    pk->shadow = now;
    pk->shadowed = bytes;
    pk->seal = packed_seal(pk);
    return true;
}

/* The first `units` of a region are packed memory from now on; dirty where the region is. */
bool ph_packed_add(struct region *rg, uint32_t units)
{
    const uint32_t cell = ph_pool_take(ph_pool_of(sizeof(struct packed)));
    if (cell == 0)
        return false;
    struct packed *pk = ph_cell_at(cell);
    *pk = (struct packed){.self = cell, .granules = (size_t)units << (UNIT_BITS - GRANULE_BITS), .top = CONTROL_GRANULES};
    high_set(pk, (size_t)rg->dirty << (UNIT_BITS - GRANULE_BITS));
    pk->card_bits = CARD_BITS;
    while ((pk->granules - 1) >> pk->card_bits >= GROUPS * GROUPS)
        pk->card_bits++;
    if (pk->granules > SHADOW_CELL_BYTES && !shadow_map(pk, ((pk->granules - 1) >> pk->card_bits) + 1)) {
        ph_pool_give(ph_pool_of(sizeof *pk), cell);
        return false;
    }
    pk->seal = packed_seal(pk);
    __atomic_store_n(&rg->packed, pk, __ATOMIC_RELAXED); /* the region may be in its heap's list already */
    return true;
}

void ph_packed_drop(struct region *rg)
{
    struct packed *pk = rg->packed;
    rg->packed = NULL;
    if (pk->mapped_bytes > 0)
        ph_os_unmap(pk->grouped != NULL ? (void *)pk->grouped : (void *)pk->shadow, pk->mapped_bytes);
    else if (pk->cell != 0)
        ph_pool_give(ph_pool_of(pk->shadowed), pk->cell);
    ph_pool_give(ph_pool_of(sizeof *pk), pk->self);
}

/* Every block is gone. */
void ph_packed_reset(struct region *rg)
{
    struct packed *pk = rg->packed;
    if (pk->shadow != NULL)
        ph_bytes_zero(pk->shadow, pk->top);
    pk->top = CONTROL_GRANULES;
    for (unsigned bin = 0; pk->bins != 0 && bin < PACKED_BINS; bin++) {
        pk->cards[bin] = 0;
        if (pk->grouped != NULL)
            ph_bytes_zero(pk->grouped + bin * GROUPS, GROUPS * sizeof(uint64_t));
    }
    pk->bins = 0;
    pk->card_sum = 0;
}

/* ---- taking -------------------------------------------------------------------------------------- */

/* Spans of the same region may grow meanwhile. */
static bool top_commit(struct heap *hp, struct region *rg, uint32_t units)
{
    if (units <= __atomic_load_n(&rg->committed, __ATOMIC_RELAXED))
        return true;
    ph_lock_take(&hp->span_lock);
    const bool done = ph_region_commit(rg, units, hp->flags & HEAPF_EXECUTE);
    ph_lock_give(&hp->span_lock);
    return done;
}

/* Memory beyond `top`, up to which the part is free then. */
static size_t top_search(struct heap *hp, struct region *rg, size_t need)
{
    struct packed *pk = rg->packed;
    if (need > pk->granules - pk->top)
        return NOWHERE;
    const size_t end = pk->top + need;
    const size_t units = (end + (1 << (UNIT_BITS - GRANULE_BITS)) - 1) >> (UNIT_BITS - GRANULE_BITS);
    if (!top_commit(hp, rg, (uint32_t)units) || !shadow_reach(pk, end))
        return NOWHERE;
    const size_t at = pk->top;
    pk->top = end;
    return at;
}

/* How far behind `at` a block of that alignment starts. */
static size_t granules_to_align(const struct region *rg, size_t at, size_t align)
{
    return align <= 16 ? 0 : (-(uintptr_t)part_address(rg, at) & (align - 1)) >> GRANULE_BITS;
}

/* A block of `bytes` at a multiple of `align`; *zero: all of it is.  NULL: no room. */
void *ph_packed_take(struct heap *hp, struct region *rg, size_t bytes, size_t align, bool *zero)
{
    struct packed *pk = rg->packed;
    const size_t need = granules_of(bytes);
    const size_t room = need + (align > 16 ? (align >> GRANULE_BITS) - 1 : 0);
    if (room > pk->granules)
        return NULL;
    size_t found = free_search(pk, room), length = 0;
    if (found != NOWHERE) {
        length = part_length(pk, found);
        part_clear(pk, found, length);
    } else if ((found = top_search(hp, rg, granules_to_align(rg, pk->top, align) + need)) != NOWHERE) {
        length = pk->top - found;
    } else if ((found = bin_search(pk, bin_of(room), room, UINT32_MAX)) != NOWHERE) {
        length = part_length(pk, found);
        part_clear(pk, found, length);
    } else {
        return NULL;
    }
    const size_t head = granules_to_align(rg, found, align);
    const size_t at = found + head;
    live_write(pk, at, need, bytes);
    if (length > head + need)
        free_write(pk, at + need, length - head - need, true);
    if (head > 0)
        free_write(pk, found, head, true);
    *zero = at >= pk->high;
    if (pk->high < at + need)
        high_set(pk, at + need);
    return part_address(rg, at);
}

/* ---- giving back, resizing ------------------------------------------------------------------------ */

/* Which live block starts there; NOWHERE when none does. */
static size_t live_at(const struct region *rg, const void *block)
{
    const struct packed *pk = rg->packed;
    const size_t at = part_index(rg, block);
    if (((uintptr_t)block & 15) != 0 || at < CONTROL_GRANULES || at >= pk->top || !is_live(pk->shadow[at]))
        return NOWHERE;
    return part_length(pk, at) > 0 ? at : NOWHERE;
}

/* A part that has no marks any more becomes free; `join`: with its neighbours. */
static void part_free(struct packed *pk, size_t at, size_t length, bool join)
{
    const size_t after = at + length;
    const size_t more = join && after < pk->top && is_free(pk->shadow[after]) ? part_length(pk, after) : 0;
    const size_t before = join && at > CONTROL_GRANULES ? free_before(pk, at) : NOWHERE;
    if (more > 0)
        part_clear(pk, after, more);
    length += more;
    if (before != NOWHERE) {
        part_clear(pk, before, at - before);
        length += at - before;
        at = before;
    }
    free_write(pk, at, length, join);
}

bool ph_packed_give(struct region *rg, void *block, bool join)
{
    struct packed *pk = rg->packed;
    const size_t at = live_at(rg, block);
    if (at == NOWHERE)
        return false;
    const size_t length = part_length(pk, at);
    part_clear(pk, at, length);
    part_free(pk, at, length, join);
    return true;
}

bool ph_packed_look(const struct region *rg, const void *block, size_t *wanted, size_t *capacity)
{
    const size_t at = live_at(rg, block);
    if (at == NOWHERE)
        return false;
    *capacity = part_length(rg->packed, at) << GRANULE_BITS;
    const size_t slack = rg->packed->shadow[at] >> 1 & 31;
    *wanted = *capacity - (slack <= *capacity ? slack : 0);
    return true;
}

/* W32 3.4: where it stands.  False: no room behind it, and nothing changed. */
bool ph_packed_resize(struct heap *hp, struct region *rg, void *block, size_t bytes, bool join)
{
    struct packed *pk = rg->packed;
    const size_t at = live_at(rg, block);
    const size_t need = granules_of(bytes);
    if (at == NOWHERE || need > pk->granules)
        return false;
    const size_t length = part_length(pk, at);
    const size_t after = at + length;
    size_t room = length;
    if (need > length && after == pk->top) {
        if (top_search(hp, rg, need - length) == NOWHERE)
            return false;
        room = need;
    } else if (need > length && is_free(pk->shadow[after])) {
        const size_t more = part_length(pk, after);
        if (more < need - length)
            return false;
        part_clear(pk, after, more);
        room += more;
    }
    if (need > room)
        return false;
    part_clear(pk, at, length);
    live_write(pk, at, need, bytes);
    if (room > need)
        part_free(pk, at + need, room - need, join);
    if (pk->high < at + need)
        high_set(pk, at + need);
    return true;
}

/* Whole OS pages of it; they read as zero again. */
static void part_purge(const struct region *rg, size_t from, size_t to)
{
    const size_t os_page = ph_os_page_bytes();
    const uintptr_t start = ph_round_up((uintptr_t)part_address(rg, from), os_page);
    const uintptr_t end = (uintptr_t)part_address(rg, to) & ~(os_page - 1);
    if (start < end)
        (void)ph_os_purge((void *)start, end - start);
}

/* W32 3.13, D25. */
void ph_packed_purge(struct region *rg)
{
    struct packed *pk = rg->packed;
    for (size_t at = CONTROL_GRANULES, length; at < pk->top && (length = part_length(pk, at)) > 0; at += length)
        if (is_free(pk->shadow[at]))
            part_purge(rg, at, at + length);
    const size_t committed = (size_t)rg->committed << (UNIT_BITS - GRANULE_BITS);
    const size_t reach = committed < pk->granules ? committed : pk->granules; /* spans begin there */
    const size_t high = ph_round_up(pk->high, 1 << (UNIT_BITS - GRANULE_BITS));
    part_purge(rg, pk->top, high < reach ? high : reach);
}

/* W32 3.8: neighbours that were freed without joining. */
void ph_packed_join(struct region *rg)
{
    struct packed *pk = rg->packed;
    for (size_t at = CONTROL_GRANULES, length; at < pk->top && (length = part_length(pk, at)) > 0; at += length) {
        if (!is_free(pk->shadow[at]))
            continue;
        part_clear(pk, at, length);
        while (at + length < pk->top && is_free(pk->shadow[at + length])) {
            const size_t more = part_length(pk, at + length);
            part_clear(pk, at + length, more);
            length += more;
        }
        free_write(pk, at, length, true);
    }
}

/* ---- reading ------------------------------------------------------------------------------------- */

size_t ph_packed_control_bytes(void) { return CONTROL_GRANULES << GRANULE_BITS; }

/* The part around an address below `top`, of whatever is there by now; false: none. */
bool ph_packed_part(const struct region *rg, const void *address, struct packed_part *out)
{
    const struct packed *pk = rg->packed;
    const size_t wish = part_index(rg, address), inside = wish < CONTROL_GRANULES ? CONTROL_GRANULES : wish;
    size_t at = inside;
    if (at >= pk->top)
        return false;
    while (at > CONTROL_GRANULES && !(pk->shadow[at] & START))
        at--;
    const size_t length = part_length(pk, at);
    if (length <= inside - at || !(pk->shadow[at] & START))
        return false;
    *out = (struct packed_part){.at = part_address(rg, at), .bytes = length << GRANULE_BITS, .live = is_live(pk->shadow[at])};
    const size_t slack = pk->shadow[at] >> 1 & 31;
    out->wanted = out->live && slack <= out->bytes ? out->bytes - slack : out->bytes;
    return true;
}
