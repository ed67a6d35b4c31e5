/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* kept.c -- mappings of large blocks that were freed, kept for the next.
 *
 * Owns:    their list.
 * Calls:   os.c, options.
 * Locks:   `kept_lock` (LOCK cache) for the list; no system call while it is held.
 * Always:  none of them has an entry in the page map; no two of them touch each other.  Lengths are whole OS pages.
 * Why:     a touched mapping costs 0.3 us for each OS page to build anew, so some stay for half a second.  Blocks of
 *          5-25 MB at random found none that fitted in three of four cases: so one that is too long is cut, one that is
 *          too short is made longer by the system, and neighbours join. */
#include "internal.h"
#include "options.h"

#include "small.h"

enum {
    KEPT = 32,
    GONE_MOST = KEPT + 1,
    LIVE_PART = 16,             /* so much of what is live may always be kept, if that is more than this: */
    CREDIT_LIVE_PART = 1,       /* and while they are asked for, so much more (a third of it: a fifth slower, for a */
                                /* peak 4 % lower, in 20 blocks of 5-25 MB), if that is more than this: */
    CREDIT_BLOCK_PART = 4,      /* no block has more of both than this part */
    CUT_LEAST_BYTES = 64 << 10, /* what is left of a mapping is kept, or goes to the block as well */
    GROW_LEAST_BYTES = 256 << 10, /* a mapping is made longer if it has so much: that many OS pages cost more than the call */
};
#define KEPT_BYTES ((size_t)8 << 20)
#define CREDIT_BYTES ((size_t)112 << 20)

struct kept {
    char *base;
    size_t bytes;
    uint32_t freed_ms;
};
static struct kept kept[KEPT];
static unsigned kept_count;
static size_t kept_bytes;
static size_t credit; /* what the program shows that it comes back for: twice what it took, less what it gave since */
static size_t missed; /* bytes that were not kept and may be wanted: then they were missed */
static ph_lock kept_lock;

void ph_kept_fork_lock(void) { ph_lock_fork_take(&kept_lock); }
void ph_kept_fork_unlock(void) { ph_lock_fork_give(&kept_lock); }

/* Out of the list; the caller unmaps it when the lock is free.  Held: the lock. */
static struct kept kept_drop(unsigned i)
{
    const struct kept gone = kept[i];
    kept_bytes -= gone.bytes;
    __atomic_store_n(&kept_count, kept_count - 1, __ATOMIC_RELAXED);
    kept[i] = kept[kept_count];
    return gone;
}

/* Held: the lock; there is room. */
static void kept_add(struct kept one)
{
    kept[kept_count] = one;
    kept_bytes += one.bytes;
    __atomic_store_n(&kept_count, kept_count + 1, __ATOMIC_RELAXED);
}

static void unmap_all(const struct kept *gone, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ph_os_unmap(gone[i].base, gone[i].bytes);
}

/* With those on either side.  Held: the lock. */
static struct kept kept_join(struct kept one)
{
    for (unsigned i = kept_count; i-- > 0;) {
        if (kept[i].base + kept[i].bytes == one.base)
            one.base = kept[i].base;
        else if (kept[i].base != one.base + one.bytes)
            continue;
        one.bytes += kept_drop(i).bytes;
    }
    return one;
}

/* ---- taking ----------------------------------------------------------------------------------- */

/* The shortest that is long enough; else, where any place will do, the longest; KEPT: none.  Held: the lock. */
static unsigned kept_best(size_t bytes, size_t align)
{
    unsigned best = KEPT, longest = KEPT;
    for (unsigned i = 0; i < kept_count; i++) {
        if (kept[i].bytes >= bytes && ((uintptr_t)kept[i].base & (align - 1)) == 0 && (best == KEPT || kept[i].bytes < kept[best].bytes))
            best = i;
        if (longest == KEPT || kept[i].bytes > kept[longest].bytes)
            longest = i;
    }
    const bool grows = best == KEPT && longest != KEPT && align <= ph_os_page_bytes() && kept[longest].bytes >= GROW_LEAST_BYTES;
    return grows ? longest : best;
}

/* What is wanted of it; the rest stays.  Held: the lock. */
static struct kept kept_cut(unsigned i, size_t bytes)
{
    struct kept found = kept_drop(i);
    if (found.bytes <= bytes || found.bytes - bytes <= bytes / 8 || found.bytes - bytes < CUT_LEAST_BYTES)
        return found;
    kept_add((struct kept){found.base + bytes, found.bytes - bytes, found.freed_ms});
    found.bytes = bytes;
    return found;
}

/* Where it is, or elsewhere. */
static char *kept_stretch(const struct kept *one, size_t bytes)
{
    if (ph_os_remap(one->base, one->bytes, bytes))
        return one->base;
    char *target = ph_os_reserve(bytes, ph_os_page_bytes());
    if (target == NULL || ph_os_remap_to(one->base, one->bytes, target, bytes))
        return target;
    ph_os_unmap(target, bytes);
    return NULL;
}

/* Two mappings side by side are none that can be moved: they stay here. */
static char *kept_grow(const struct kept *one, size_t bytes, size_t *got_bytes)
{
    char *grown = kept_stretch(one, bytes);
    if (grown != NULL) {
        *got_bytes = bytes;
        return grown;
    }
    ph_lock_take(&kept_lock);
    const bool room = kept_count < KEPT;
    if (room)
        kept_add(kept_join(*one));
    ph_lock_give(&kept_lock);
    if (!room)
        ph_os_unmap(one->base, one->bytes);
    return NULL;
}

/* One that is as long, or an eighth longer; NULL when none is, or can be made so. */
char *ph_kept_take(size_t bytes, size_t align, size_t *got_bytes)
{
    struct kept found = {0};
    if (__atomic_load_n(&kept_count, __ATOMIC_RELAXED) == 0 && __atomic_load_n(&missed, __ATOMIC_RELAXED) == 0)
        return NULL;
    ph_lock_take(&kept_lock);
    const unsigned best = kept_best(bytes, align);
    if (best != KEPT)
        found = kept_cut(best, bytes);
    if (best != KEPT || missed >= bytes)
        credit += 2 * bytes;
    if (best == KEPT && missed >= bytes)
        __atomic_store_n(&missed, missed - bytes, __ATOMIC_RELAXED);
    ph_lock_give(&kept_lock);
    if (found.base != NULL && found.bytes < bytes)
        return kept_grow(&found, bytes, got_bytes);
    *got_bytes = found.base != NULL ? found.bytes : *got_bytes;
    return found.base;
}

/* A block that ends there grows by so many bytes: they are its from now on.  False: something else is there. */
bool ph_kept_behind(const char *end, size_t bytes)
{
    bool taken = false;
    if (__atomic_load_n(&kept_count, __ATOMIC_RELAXED) == 0)
        return false;
    ph_lock_take(&kept_lock);
    for (unsigned i = 0; i < kept_count && !taken; i++)
        if (kept[i].base == end && kept[i].bytes >= bytes) {
            const struct kept found = kept_drop(i);
            if (found.bytes > bytes)
                kept_add((struct kept){found.base + bytes, found.bytes - bytes, found.freed_ms});
            taken = true;
        }
    ph_lock_give(&kept_lock);
    return taken;
}

/* ---- giving ----------------------------------------------------------------------------------- */

/* Those whose time is up, into `gone`; how many.  Held: the lock. */
static unsigned kept_old(uint32_t now, struct kept *gone)
{
    const uint32_t delay = (uint32_t)ph_option(OPT_PURGE_DELAY);
    unsigned going = 0;
    for (unsigned i = kept_count; i-- > 0;)
        if (now - kept[i].freed_ms >= delay)
            gone[going++] = kept_drop(i);
    return going;
}

static unsigned kept_oldest(uint32_t now)
{
    unsigned oldest = 0;
    for (unsigned i = 1; i < kept_count; i++)
        if (now - kept[i].freed_ms > now - kept[oldest].freed_ms)
            oldest = i;
    return oldest;
}

/* Who gives and takes in turn may have much here; who gives all and goes to sleep leaves little.  Held: the lock. */
static size_t kept_most(size_t bytes, size_t live_bytes)
{
    const size_t always = live_bytes / LIVE_PART, more = live_bytes / CREDIT_LIVE_PART;
    const size_t most = more > CREDIT_BYTES ? more : CREDIT_BYTES;
    credit = credit > most ? most : credit;
    credit -= bytes < credit ? bytes : credit;
    if (ph_purge_sheds(&ph_process_heap)) /* small blocks go as well: it may sleep soon */
        return credit;
    return (always > KEPT_BYTES ? always : KEPT_BYTES) + credit;
}

/* So much of it as is too much, or all: to be unmapped.  Held: the lock. */
static struct kept kept_less(unsigned i, size_t bytes)
{
    bytes = ph_round_up(bytes, CUT_LEAST_BYTES);
    struct kept gone = kept_drop(i);
    if (gone.bytes < bytes + CUT_LEAST_BYTES)
        return gone;
    kept_add((struct kept){gone.base, gone.bytes - bytes, gone.freed_ms});
    return (struct kept){gone.base + gone.bytes - bytes, bytes, 0};
}

/* `live_bytes`: of the large blocks that its heap still has. */
void ph_kept_give(char *base, size_t bytes, size_t live_bytes)
{
    const uint32_t now = (uint32_t)ph_os_clock_ms();
    struct kept gone[GONE_MOST];
    ph_lock_take(&kept_lock);
    const size_t most = kept_most(bytes, live_bytes);
    unsigned going = kept_old(now, gone);
    const bool keep = ph_option(OPT_PURGE_DELAY) > 0 && ((bytes <= KEPT_BYTES && bytes <= most) || bytes <= most / CREDIT_BLOCK_PART);
    const size_t more = keep ? bytes : 0;
    while (kept_count > 0 && kept_bytes + more > most)
        gone[going++] = kept_less(kept_oldest(now), kept_bytes + more - most);
    if (keep) {
        const struct kept joined = kept_join((struct kept){base, bytes, now});
        if (kept_count == KEPT)
            gone[going++] = kept_drop(kept_oldest(now));
        kept_add(joined);
    } else {
        gone[going++] = (struct kept){base, bytes, now};
        __atomic_store_n(&missed, missed + bytes < CREDIT_BYTES ? missed + bytes : CREDIT_BYTES, __ATOMIC_RELAXED);
    }
    ph_lock_give(&kept_lock);
    unmap_all(gone, going);
}

/* Kept mappings leave by age also in a program that frees no large block any more. */
void ph_kept_expire(void)
{
    struct kept gone[KEPT];
    if (__atomic_load_n(&kept_count, __ATOMIC_RELAXED) == 0)
        return;
    ph_lock_take(&kept_lock);
    const unsigned going = kept_old((uint32_t)ph_os_clock_ms(), gone);
    ph_lock_give(&kept_lock);
    unmap_all(gone, going);
}

bool ph_kept_trim(void)
{
    struct kept gone[KEPT];
    unsigned going = 0;
    ph_lock_take(&kept_lock);
    while (kept_count > 0)
        gone[going++] = kept_drop(kept_count - 1);
    ph_lock_give(&kept_lock);
    unmap_all(gone, going);
    return going > 0;
}
