/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* fork.c -- what must hold across fork(): the child has one thread and every lock free.
 *
 * Owns:    nothing.
 * Calls:   the lock functions of every room, in the order of the map.
 * Locks:   prepare takes all but heaplock, in order; parent and child give them back.
 * Always:  blocks are either in a stack or in a page whenever the leaf locks are free, so the child
 *          finds no block in between; stacks of the other threads become orphans, blocks and all.
 * Why:     no stop and no barrier: fork never waits for HeapLock or for a busy thread. */
#include "hot.h"

#include <pthread.h>

#include "small.h"

static void fork_prepare(void)
{
    ph_heap_registry_lock();
    for (uint32_t id = 1; ph_heap_at(id) != NULL; id++) {
        struct heap *hp = ph_heap_at(id);
        hp->fork_held = hp->handle != NULL;
        if (hp->fork_held)
            ph_lock_take(&hp->gate.lock);
    }
    for (uint32_t id = 1; ph_heap_at(id) != NULL; id++) {
        struct heap *hp = ph_heap_at(id);
        if (!hp->fork_held)
            continue;
        if (hp->locals != NULL || (hp->flags & HEAPF_NO_SERIALIZE))
            ph_shard_lock_all(hp);
        ph_lock_take(&hp->span_lock);
    }
    ph_map_lock();
    ph_region_lock();
    ph_large_lock();
    ph_meta_lock();
}

static void fork_release(void)
{
    ph_meta_unlock();
    ph_large_unlock();
    ph_region_unlock();
    ph_map_unlock();
    for (uint32_t id = 1; ph_heap_at(id) != NULL; id++) {
        struct heap *hp = ph_heap_at(id);
        if (!hp->fork_held)
            continue;
        ph_lock_give(&hp->span_lock);
        if (hp->locals != NULL || (hp->flags & HEAPF_NO_SERIALIZE))
            ph_shard_unlock_all(hp);
        ph_lock_give(&hp->gate.lock);
    }
    ph_heap_registry_unlock();
}

/* The other threads are gone: what they had is up for adoption, what they locked is free. */
static void fork_child(void)
{
    for (uint32_t id = 1; ph_heap_at(id) != NULL; id++) {
        struct heap *hp = ph_heap_at(id);
        if (!hp->fork_held)
            continue;
        ph_gate_after_fork(hp);
        ph_local_forget_others(hp);
    }
    fork_release();
}

void ph_fork_register(void) { (void)pthread_atfork(fork_prepare, fork_release, fork_child); }
