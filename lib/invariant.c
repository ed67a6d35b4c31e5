/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* invariant.c -- how the process ends when a promise was broken: a report, then SIGABRT.
 *
 * Owns:    nothing.  Calls: report.c, message.c, os.c.  Locks: none; allocates nothing. */
#include "internal.h"
#include "message.h"
#include "report.h"

#include "small.h"

void ph_check_failed(const char *cond, const char *file, int line)
{
    struct message m;
    ph_message_begin(&m);
    ph_message_text(&m, "PH190 internal check failed: ");
    ph_message_text(&m, cond);
    ph_message_text(&m, ", ");
    ph_message_text(&m, file);
    ph_message_text(&m, ":");
    ph_message_dec(&m, (uint64_t)line);
    ph_message_send(&m);
    ph_lock_end();
    ph_os_abort();
}

void ph_incident(enum diagnostic kind, const void *block, size_t bytes)
{
    ph_report(&(struct report){.kind = kind, .block = block, .bytes = bytes});
}

void ph_corrupt(enum diagnostic kind, const void *block, size_t bytes)
{
    ph_report_fatal(&(struct report){.kind = kind, .block = block, .bytes = bytes});
}
