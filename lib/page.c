/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* page.c -- a page: equal-size blocks; which of them are free stands in its descriptor.
 *
 * Owns:    the page fields of struct span; the size bytes of sized pages.
 * Calls:   span.c and meta.c for memory, map.c.  Never: shard.c, local.c.
 * Locks:   held on entry: the class lock.  Takes: span, map, meta, in that order.
 * Always:  popcount(bits) == free_count <= carved <= capacity, and no bit at or beyond carved; a block of a
 *          sized page has a size code only while it is live.
 *          Checked by ph_page_is_valid.
 * Why:     bits out of line, so that a write after free never reaches our structures and a walk
 *          never follows memory that the program may have damaged. */
#include "hot.h"
#include "valid.h"

static unsigned page_class(const struct span *pg) { return kind_class(entry_kind(pg->tag)); }

static bool page_is_sized(const struct span *pg) { return kind_is_sized(entry_kind(pg->tag)); }

char *ph_page_block(const struct span *pg, unsigned index)
{
    char *end = (char *)ph_span_start(pg) + ph_span_bytes(pg);
    return end - (size_t)(pg->capacity - index) * ph_class_bytes[page_class(pg)];
}

/* ---- exact sizes ----------------------------------------------------------------------------- */
/* W32 2.5: to the byte.  Two bytes for each block, the last block's first: 0 while it is free, else
 * size_code: a multiple of 3, so that no flip of one bit makes another right one. */

uint16_t *ph_page_size_place(const struct span *pg, unsigned index)
{
    return ((struct size_cell *)ph_cell_at(pg->cell))->code + (pg->capacity - 1 - index);
}

void ph_page_set_wanted(struct span *pg, unsigned index, size_t wanted)
{
    __atomic_store_n(ph_page_size_place(pg, index), size_code(page_class(pg), wanted), __ATOMIC_RELAXED);
}

size_t ph_page_wanted(const struct span *pg, unsigned index)
{
    const unsigned code = __atomic_load_n(ph_page_size_place(pg, index), __ATOMIC_RELAXED);
    return code == 0 ? SIZE_MAX : size_of_code(page_class(pg), code);
}

static bool size_is_valid(const struct span *pg, unsigned index)
{
    const unsigned code = *ph_page_size_place(pg, index);
    return code % 3 == 0 && code / 3 <= ph_class_bytes[page_class(pg)] + 1u;
}

/* ---- making ----------------------------------------------------------------------------------- */

/* Memory that was used before: every block gets its key now, so that none leaves unchecked. */
static void page_key_all(struct span *pg)
{
    const unsigned bytes = ph_class_bytes[page_class(pg)];
    char *block = ph_page_block(pg, 0);
    for (unsigned i = 0; i < pg->capacity; i++, block += bytes) {
        *block_key(block) = block_page_key(block);
        pg->bits[i / 64] |= 1ULL << (i % 64);
    }
    page_carved_set(pg, pg->capacity);
    pg->free_count = pg->capacity;
}

static bool page_size_cell(struct span *pg)
{
    pg->cell = ph_pool_take(ph_pool_of(ph_size_cell_bytes(pg->capacity)));
    if (pg->cell == 0)
        return false;
    struct size_cell *cell = ph_cell_at(pg->cell);
    __builtin_memset(cell, 0, ph_size_cell_bytes(pg->capacity));
    cell->end = (char *)ph_span_start(pg) + ph_span_bytes(pg);
    cell->magic = ph_class_magic[page_class(pg)];
    cell->span = pg->self;
    return true;
}

/* A page of that kind (class, plain or sized) with no block taken; NULL: no memory. */
struct span *ph_page_new(struct heap *hp, unsigned kind, unsigned units)
{
    struct span *pg = ph_span_take(hp, KIND_RUN, units, 1); /* until its entries can say what it is */
    if (pg == NULL)
        return NULL;
    pg->tag = hp->tag | kind;
    pg->capacity = (unsigned)(ph_span_bytes(pg) / ph_class_bytes[kind_class(kind)]);
    CHECK_INTERNAL(pg->capacity <= PAGE_BLOCKS);
    pg->free_count = pg->carved = 0;
    pg->listed = pg->odd = 0;
    pg->sized = 0;
    pg->cell = 0;
    for (unsigned i = 0; i < PAGE_BLOCKS / 64; i++)
        pg->bits[i] = 0;
    if (kind_is_sized(kind)) {
        if (!page_size_cell(pg)) {
            ph_map_clear(pg);
            ph_span_give(hp, pg);
            return NULL;
        }
    } else if (pg->state == SPAN_DIRTY) {
        page_key_all(pg);
    }
    ph_map_fill(pg);
    return pg;
}

/* A page without live blocks goes back to its heap. */
void ph_page_drop(struct heap *hp, struct span *pg)
{
    CHECK_INTERNAL(pg->free_count == pg->carved);
    ph_map_clear(pg);
    if (pg->cell != 0)
        ph_pool_give(ph_pool_of(ph_size_cell_bytes(pg->capacity)), pg->cell);
    pg->cell = 0;
    ph_span_give(hp, pg);
}

/* ---- taking and giving ------------------------------------------------------------------------ */

/* Take up to `want` blocks that were used before, lowest address first; how many. */
unsigned ph_page_take(struct span *pg, void **out, unsigned want)
{
    const unsigned bytes = ph_class_bytes[page_class(pg)];
    char *first = ph_page_block(pg, 0);
    unsigned got = 0;
    for (unsigned word = 0; word < PAGE_BLOCKS / 64 && got < want; word++) {
        uint64_t bits = pg->bits[word];
        while (bits != 0 && got < want) {
            const unsigned index = word * 64 + (unsigned)__builtin_ctzll(bits);
            bits &= bits - 1;
            out[got++] = first + (size_t)index * bytes;
        }
        __atomic_store_n(&pg->bits[word], bits, __ATOMIC_RELAXED);
    }
    pg->free_count -= got;
    CHECK_INTERNAL(pg->free_count <= pg->carved);
    return got;
}

/* Purged memory reads as zero until somebody writes to it who must not.  An exchange, because a load
 * would map a page of zeros first, and the write after it fault again. */
static void page_check_zero(char *block, unsigned count, unsigned bytes)
{
    for (; count > 0; count--, block += bytes)
        if (__atomic_exchange_n(block_key(block), 0, __ATOMIC_RELAXED) != 0)
            ph_corrupt(DIAG_WRITE_AFTER_FREE, block, bytes);
}

/* As many of them as fill whole cache lines: the rest of the last one would be another thread's. */
static unsigned whole_lines(const char *first, unsigned count, unsigned bytes)
{
    enum { LINE_BYTES = 64, STEP = 16 }; /* sizes are multiples of 16: after at most so many blocks a line ends */
    unsigned less = 0;
    while (bytes < LINE_BYTES && less < LINE_BYTES / STEP && ((uintptr_t)first + (size_t)(count - less) * bytes) % LINE_BYTES != 0)
        less++;
    return less < LINE_BYTES / STEP && count > 2 * less ? count - less : count;
}

/* Take up to `want` blocks that nobody ever held, side by side from *first; how many. */
unsigned ph_page_carve(struct span *pg, unsigned want, char **first)
{
    const unsigned bytes = ph_class_bytes[page_class(pg)];
    const unsigned left = pg->capacity - pg->carved;
    *first = ph_page_block(pg, pg->carved);
    const unsigned got = whole_lines(*first, want < left ? want : left, bytes);
    if (pg->state == SPAN_PURGED && !page_is_sized(pg))
        page_check_zero(*first, got, bytes);
    if (page_is_sized(pg))
        __atomic_store_n(&pg->carved, (uint16_t)(pg->carved + got), __ATOMIC_RELAXED);
    else
        page_carved_set(pg, pg->carved + got);
    CHECK_INTERNAL(pg->carved <= pg->capacity);
    return got;
}

/* Which block starts there; PAGE_BLOCKS when none does. */
unsigned ph_page_index(const struct span *pg, const void *block)
{
    const uint64_t magic = ph_class_magic[page_class(pg)];
    const uint64_t offset = (uint64_t)((const char *)block - ph_page_block(pg, 0));
    const unsigned index = (unsigned)((unsigned __int128)offset * magic >> 64);
    return offset < ph_span_bytes(pg) && offset * magic < magic && index < pg->capacity ? index : PAGE_BLOCKS;
}

bool ph_page_is_free(const struct span *pg, unsigned index)
{
    return __atomic_load_n(&pg->bits[index / 64], __ATOMIC_RELAXED) >> (index % 64) & 1;
}

/* Put a block back; false when it is free already. */
bool ph_page_give(struct span *pg, unsigned index)
{
    const uint64_t bit = 1ULL << (index % 64);
    if (index >= pg->carved || (pg->bits[index / 64] & bit))
        return false;
    __atomic_store_n(&pg->bits[index / 64], pg->bits[index / 64] | bit, __ATOMIC_RELAXED);
    pg->free_count++;
    if (page_is_sized(pg))
        __atomic_store_n(ph_page_size_place(pg, index), 0, __ATOMIC_RELAXED);
    return true;
}

/* Put plain blocks back for as long as they are this page's, were taken, and have the key of a stack, or already that
 * of a page; how many that were. */
unsigned ph_page_give_keyed(struct span *pg, void **blocks, unsigned count)
{
    const uint64_t magic = ph_class_magic[page_class(pg)];
    const char *start = ph_page_block(pg, 0);
    const size_t bytes = ph_span_bytes(pg);
    const unsigned carved = pg->carved;
    unsigned done = 0;
    for (; done < count; done++) {
        const uint64_t offset = (uint64_t)((const char *)blocks[done] - start);
        const unsigned index = (unsigned)((unsigned __int128)offset * magic >> 64);
        const uint64_t bit = 1ULL << (index % 64);
        if (offset >= bytes || index >= carved || (pg->bits[index / 64] & bit))
            break;
        const uint64_t key = *block_key(blocks[done]);
        if (unlikely(key != block_page_key(blocks[done]))) {
            if (key != block_key_value(blocks[done]))
                break;
            *block_key(blocks[done]) = block_page_key(blocks[done]);
        }
        __atomic_store_n(&pg->bits[index / 64], pg->bits[index / 64] | bit, __ATOMIC_RELAXED);
    }
    pg->free_count += done;
    CHECK_COSTLY(ph_page_is_valid(pg));
    return done;
}

/* ---- reading ---------------------------------------------------------------------------------- */

static bool size_cell_is_sound(const struct span *pg)
{
    if (ph_span_known(pg->cell) == NULL)
        return false;
    const struct size_cell *cell = ph_cell_at(pg->cell);
    return cell->span == pg->self && cell->end == (char *)ph_span_start(pg) + ph_span_bytes(pg) &&
           cell->magic == ph_class_magic[page_class(pg)];
}

bool ph_page_is_sound(const struct span *pg)
{
    if (entry_kind(pg->tag) - KIND_PLAIN >= 2 * CLASS_COUNT || pg->units - 1u >= PAGE_UNITS || pg->capacity > PAGE_BLOCKS ||
        pg->none != 0 || pg->nought != 0 || pg->fenced != 0 || pg->sized != 0 || (page_is_sized(pg) && pg->odd != 0))
        return false;
    const size_t left = ph_span_bytes(pg) - (size_t)pg->capacity * ph_class_bytes[page_class(pg)];
    return left < ph_class_bytes[page_class(pg)] && (page_is_sized(pg) ? size_cell_is_sound(pg) : pg->cell == 0);
}

static bool bits_are_valid(const struct span *pg)
{
    unsigned set = 0;
    for (unsigned word = 0; word < PAGE_BLOCKS / 64; word++)
        set += (unsigned)__builtin_popcountll(pg->bits[word]);
    if (set != pg->free_count || pg->free_count > pg->carved || pg->carved > pg->capacity)
        return false;
    for (unsigned i = pg->carved; i < PAGE_BLOCKS; i++)
        if (ph_page_is_free(pg, i))
            return false;
    return true;
}

/* A block without a size that is not free lies in some stack. */
bool ph_page_count(const struct span *pg, uint64_t *missing)
{
    if (!ph_page_is_sound(pg) || !bits_are_valid(pg))
        return false;
    if (!page_is_sized(pg))
        return pg->odd == ((unsigned)__builtin_parity(pg->carved) & 1);
    for (unsigned i = 0; i < pg->capacity; i++) {
        const bool is_free = i >= pg->carved || ph_page_is_free(pg, i);
        const bool is_live = *ph_page_size_place(pg, i) != 0;
        if ((is_free && is_live) || !size_is_valid(pg, i))
            return false;
        *missing += !is_free && !is_live;
    }
    return pg->sized == 0;
}

bool ph_page_is_valid(const struct span *pg)
{
    uint64_t missing = 0;
    return ph_page_count(pg, &missing);
}
