/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* early.c -- the first and the last thing that happens in a preloaded process.
 *
 * Owns:    nothing.
 * Calls:   heap.c, guard.c, fork.c, follow.c, finding.c, sweep.c at the start; inspect.c, guard.c, finding.c, sweep.c,
 *          report.c, stats.c at the end.
 * Why:     linked with -z initfirst, the constructor runs before any other, so that our fork
 *          handlers are the first registered: prepare then runs last, and no handler of the
 *          program's allocates while our locks are held. */
#include "../lib/guard.h"
#include "../lib/message.h"
#include "../lib/options.h"
#include "../lib/privheap.h"
#include "../lib/report.h"
#include "../lib/stress.h"
#include "finding.h"
#include "lost.h"
#include "follow.h"
#include "sweep.h"

#include <unistd.h>

#include "../lib/small.h"

/* Without the compiler's start files, which would have the loader look for four names that we have no use for, three of them
 * in vain.  libc's pthread_atfork wants to know whose handlers those are: nobody's that is ever unloaded. */
extern void *const __dso_handle __attribute__((visibility("hidden")));
void *const __dso_handle = NULL;

static void say_active(void)
{
    struct message m;
    ph_message_begin(&m);
    ph_message_text(&m, "version " PRIVHEAP_VERSION " serves malloc of process ");
    ph_message_dec(&m, ph_os_pid());
    ph_message_text(&m, ", process heap ");
    ph_message_hex(&m, (uintptr_t)ph_process_heap.handle);
    ph_message_send(&m);
}

/* glibc hands the environment to constructors, and sets environ after ours; musl sets environ before, and hands nothing. */
static char **environment_now(char **given)
{
#ifdef __GLIBC__
    return given;
#else
    (void)given;
    return environ;
#endif
}

__attribute__((constructor)) static void begin(int argc, char **argv, char **environment)
{
    (void)argc;
    (void)argv;
    environment = environment_now(environment);
    ph_heap_begin(environment);
    if (ph_heap_process() != NULL)
        ph_guard_begin(&ph_process_heap);
    ph_fork_register();
    if (ph_process_heap.fails && (ph_fail_in_force()->parts & FAIL_SWEEP))
        ph_sweep_begin(ph_fail_in_force()->sweep, environment);
    if (ph_process_heap.stress)
        ph_finding_begin(ph_stress_findings());
    if (ph_option(OPT_NO_FOLLOW))
        ph_env_unfollow(environment, "libprivheap-preload.so");
    if (ph_option(OPT_NO_FOLLOW) && ph_process_heap.stress)
        ph_env_unfollow(environment, "libprivheap-check.so");
    if (ph_option(OPT_STATS))
        ph_message_keep_stderr();
    if (ph_option(OPT_VERBOSE))
        say_active();
}

/* A shell makes children by the thousand, each of which has all its blocks. */
enum { BRIEF_SLOTS = 1000 };

/* A block that was freed twice and never asked for again is met here at the latest. */
__attribute__((destructor)) static void end(void)
{
    ph_inspect_own();
    const bool looks = ph_option(OPT_CHECKS) && !ph_fork_is_brief();
    if (looks)
        ph_inspect(&ph_process_heap);
    if (looks || ph_process_heap.stress != 0)
        ph_guard_check_all(&ph_process_heap, ph_fork_is_brief() ? BRIEF_SLOTS : UINT64_MAX);
    if (ph_process_heap.fails)
        ph_sweep_end();
    if (ph_process_heap.stress && ph_stress_in_force()->leaks)
        ph_lost_report(REACH_HERE());
    if (ph_process_heap.stress)
        ph_finding_end();
    ph_report_totals();
    if (ph_option(OPT_STATS))
        ph_stats_print(&ph_process_heap);
}
