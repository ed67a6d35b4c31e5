/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* depot.h -- what a class keeps though nobody uses it: what shard.c, depot.c and back.c say to each other. */
#ifndef PH_DEPOT_H
#define PH_DEPOT_H

#include "internal.h"

/* depot.c -- batches of free plain blocks between stacks and pages.  Held: the class lock */
uint32_t ph_depot_cap(unsigned kind);
uint32_t ph_depot_room(const struct shard_class *sc, uint32_t count); /* no lock needed */
uint32_t ph_depot_give(struct heap *hp, struct shard_class *sc, void *const *blocks, uint32_t count, uint32_t wish);
uint32_t ph_depot_take(struct shard_class *sc, void **out, uint32_t want);
bool ph_depot_drains(struct heap *hp, unsigned kind); /* much is freed, and nothing taken; no lock needed */
void ph_depot_missed(struct shard_class *sc, unsigned kind);
uint32_t ph_depot_excess(struct shard_class *sc);
void ph_depot_forget(struct shard_class *sc);
static inline void ph_idle(struct heap *hp)
{
    if (__atomic_load_n(&hp->shard->idle, __ATOMIC_RELAXED) == 0)
        __atomic_store_n(&hp->shard->idle, 1, __ATOMIC_RELAXED);
}

/* back.c -- wholly free pages that a class keeps.  Held: the class lock */
struct span *ph_back_take(struct shard_class *sc); /* NULL: none */
void ph_back_give(struct heap *hp, struct shard_class *sc, struct span *pg); /* it is in no list */
void ph_back_missed(struct shard_class *sc, unsigned units); /* a page so large has to be made */
void ph_back_drop(struct heap *hp, struct shard_class *sc, uint32_t units); /* until so many are left */
void ph_back_age(struct heap *hp, struct shard_class *sc); /* what nobody missed goes */
bool ph_back_has(const struct heap *hp, unsigned kind, const struct span *pg); /* NULL: are all of them as they should be */

#endif
