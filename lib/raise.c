/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* raise.c -- exceptions of the Win32 functions, and the end of a process that wants none of its blocks damaged.
 *
 * Owns:    the handler of the process; whether corruption ends it.
 * Calls:   block.c to say what a bad pointer is, message.c, os.c.
 * Locks:   none, neither held on entry nor taken: the handler may leave by longjmp or a C++ throw.
 * Always:  allocates nothing; the process ends with one line on standard error. */
#include "api.h"
#include "message.h"
#include "report.h"
#include "stress.h"

#include "small.h"

static ph_exception_handler exception_handler;
static uint32_t terminates;

ph_exception_handler ph_set_exception_handler(ph_exception_handler handler)
{
    return __atomic_exchange_n(&exception_handler, handler, __ATOMIC_ACQ_REL);
}

static void say_address(struct message *m, const char *before, const void *address)
{
    ph_message_text(m, before);
    ph_message_hex(m, (uintptr_t)address);
}

/* W32 2.6: what an exception does that nobody handles. */
static COLD __attribute__((noreturn)) void raise_unhandled(DWORD code, HANDLE heap, const void *block, SIZE_T bytes)
{
    struct message m;
    ph_message_begin(&m);
    if (code == STATUS_NO_MEMORY) {
        say_address(&m, "STATUS_NO_MEMORY raised: heap ", heap);
        ph_message_text(&m, " has no room for ");
        ph_message_dec(&m, bytes);
        ph_message_text(&m, " bytes");
    } else if (block != NULL) {
        say_address(&m, "STATUS_ACCESS_VIOLATION raised: ", block);
        say_address(&m, " is no block of heap ", heap);
    } else {
        say_address(&m, "STATUS_ACCESS_VIOLATION raised: ", heap);
        ph_message_text(&m, " is no heap");
    }
    ph_message_send(&m);
    if (code == STATUS_NO_MEMORY)
        ph_os_abort();
    ph_os_fault();
}

void ph_api_raise(DWORD code, HANDLE heap, const void *block, SIZE_T bytes)
{
    const ph_exception_handler handler = __atomic_load_n(&exception_handler, __ATOMIC_ACQUIRE);
    if (handler == NULL)
        raise_unhandled(code, heap, block, bytes);
    handler(code, heap, bytes);
}

/* W32 3.13: process-wide, cannot be undone. */
void ph_api_terminate_from_now(void) { __atomic_store_n(&terminates, 1, __ATOMIC_RELAXED); }

/* W32 2.7: a clean refusal, or the end. */
void ph_api_bad_block(const char *function, const struct heap *hp, const void *block)
{
    if (likely(__atomic_load_n(&terminates, __ATOMIC_RELAXED) == 0 && !ph_stress_is_on()))
        return;
    struct block_info bi = {0};
    struct report rp = {.block = block};
    const enum block_verdict verdict = ph_heap_look(block, &bi);
    ph_heap_judge(&rp, verdict, &bi);
    if (verdict == BLOCK_OK && bi.heap == hp)
        rp.kind = DIAG_DOUBLE_FREE; /* given to someone else by now */
    rp.caller = function;
    ph_report(&rp);
}
