/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* invariant.c -- how the process ends when a promise was broken: one line, then SIGABRT.
 *
 * Owns:    nothing.  Calls: message.c, os.c.  Locks: none; allocates nothing. */
#include "internal.h"
#include "message.h"

#include "small.h"

void ph_check_failed(const char *cond, const char *file, int line)
{
    struct message m;
    ph_message_begin(&m);
    ph_message_text(&m, "internal check failed: ");
    ph_message_text(&m, cond);
    ph_message_text(&m, ", ");
    ph_message_text(&m, file);
    ph_message_text(&m, ":");
    ph_message_dec(&m, (uint64_t)line);
    ph_message_send(&m);
    ph_lock_end();
    ph_os_abort();
}

void ph_corrupt(const char *kind, const void *block, size_t bytes)
{
    struct message m;
    ph_message_begin(&m);
    ph_message_text(&m, kind);
    ph_message_text(&m, bytes == SIZE_MAX ? ": " : ": block ");
    ph_message_hex(&m, (uintptr_t)block);
    if (bytes != SIZE_MAX) {
        ph_message_text(&m, " of ");
        ph_message_dec(&m, bytes);
        ph_message_text(&m, " bytes");
    }
    ph_message_text(&m, ", thread ");
    ph_message_dec(&m, ph_os_tid());
    ph_message_send(&m);
    ph_lock_end();
    ph_os_abort();
}
