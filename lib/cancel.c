/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* cancel.c -- a thread that may be cancelled at any moment is about to be.
 *
 * Owns:    nothing.
 * Calls:   gate.c, lock.c, os.c.  Beside fork.c.
 * Locks:   closes the gate of each heap, one after another.
 * Always:  from then on such threads are in no heap without its gate lock, and hold no lock while they can be cancelled.
 * Why:     glibc cancels by a signal whose handler nobody can stand before.  Programs that allow it at any moment are
 *          many (redis), those that ever do it few: so it costs nothing until somebody does. */
#include "hot.h"

#include "small.h"

enum { TRIES = 500, PAUSE_NS = 100 * 1000 };

/* Each thread's own variables lie at the same distance from its thread pointer. */
static const struct ph_own *own_of(const char *thread_pointer)
{
    return (const struct ph_own *)(const void *)(thread_pointer + ((const char *)&ph_own - (const char *)ph_thread_self()));
}

COLD void ph_cancel_begin(const void *thread_pointer)
{
    if (!ph_async_ever)
        return;
    if (!__atomic_exchange_n(&ph_cancels, true, __ATOMIC_SEQ_CST)) {
        for (uint32_t id = 1; ph_heap_at(id) != NULL; id++) {
            struct heap *hp = ph_heap_at(id);
            if (__atomic_load_n(&hp->locals, __ATOMIC_ACQUIRE) == NULL)
                continue;
            ph_gate_close(hp, ENTER_UNLOCKED);
            ph_gate_open(hp);
        }
        if (!ph_os_membarrier()) /* then it has been seen by now */
            ph_os_sleep(PAUSE_NS);
    }
    const struct ph_own *own = own_of(thread_pointer);
    if (thread_pointer == ph_thread_self() || !(__atomic_load_n(&own->signals, __ATOMIC_RELAXED) & SIGNALS_CANCEL))
        return;
    for (unsigned i = 0; i < TRIES && __atomic_load_n(&own->locks_held, __ATOMIC_ACQUIRE) != 0; i++)
        ph_os_sleep(PAUSE_NS);
}
