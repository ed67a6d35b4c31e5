/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stats.c -- figures of a heap as text for people.
 *
 * Owns:    nothing.  Calls: walk.c for exact sums, message.c.  Locks: none of its own. */
#include "internal.h"
#include "message.h"

#include "small.h"

static void line(const char *what, uint64_t value, const char *unit)
{
    struct message m;
    ph_message_begin(&m);
    ph_message_text(&m, "  ");
    ph_message_text(&m, what);
    ph_message_dec(&m, value);
    ph_message_text(&m, unit);
    ph_message_send(&m);
}

void ph_stats_print(struct heap *hp)
{
    struct heap_sums sums;
    struct message m;
    ph_walk_sums(hp, &sums);
    ph_message_begin(&m);
    ph_message_text(&m, "process heap ");
    ph_message_hex(&m, (uintptr_t)hp->handle);
    ph_message_text(&m, " of process ");
    ph_message_dec(&m, ph_os_pid());
    ph_message_send(&m);
    line("live blocks      ", sums.live_blocks, "");
    line("live memory      ", sums.live_bytes, " bytes");
    line("  in own mappings ", sums.large_bytes, " bytes");
    line("free, dirty      ", sums.dirty_bytes, " bytes");
    line("committed        ", sums.committed_bytes, " bytes");
    line("reserved         ", sums.reserved_bytes, " bytes");
    line("thread stacks    ", hp->local_count, "");
    line("stops            ", hp->gate.stops, "");
}
