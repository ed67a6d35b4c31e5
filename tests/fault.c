/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fault.c -- every system call of the object fails in turn: the k-th of each kind and of all, once, and from then on.
 *
 * Each plan has a process of its own, which forks from one that has done nothing yet.  Arguments: [SECONDS], how
 * long at most (then k is spread over the calls there are); `all`, every k; `lose`, drop a block: this must fail;
 * `one CALL K once|ever`, for a look at one plan. */
#include "fault.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HANG_SECONDS = 60, MAPPINGS_MORE = 40, KILOBYTES_MORE = 80 << 10 };

static struct fault_report *report;
static unsigned usual_mappings, usual_kilobytes;
static unsigned runs, bad;
static const struct fault_plan none = {CALL_ANY, 0, false};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* In the child: 77 when it cannot be done here. */
static void run_here(const struct fault_plan *plan, bool lose)
{
    const char *why = NULL;
    alarm(HANG_SECONDS);
    fault_work(plan, report, plan->number + 1, lose, &why);
    if (why != NULL) dprintf(1, "%s\n", why);
    _exit(why != NULL ? 77 : 0);
}

/* The child's status: 0 all was well. */
static int run(const struct fault_plan *plan, bool lose)
{
    int status = 0;
    memset(report, 0, sizeof *report);
    const pid_t child = fork();
    if (child < 0) exit(99);
    if (child == 0) run_here(plan, lose);
    while (waitpid(child, &status, 0) != child)
        continue;
    runs++;
    return status;
}

static void complain(const struct fault_plan *plan, const char *what, int number)
{
    dprintf(2, "%s, number %u, %s: %s %d (%u failed, %u refused)\n", fault_call_names[plan->call], plan->number,
            plan->for_ever ? "and all later ones" : "once", what, number, report->failed, report->refused);
    bad++;
}

static void try_plan(const struct fault_plan *plan)
{
    const int status = run(plan, false);
    if (WIFSIGNALED(status))
        complain(plan, WTERMSIG(status) == SIGALRM ? "hangs; signal" : "dies by signal", WTERMSIG(status));
    else if (status != 0)
        complain(plan, "exit status", WEXITSTATUS(status));
    else if (report->mappings > usual_mappings + MAPPINGS_MORE)
        complain(plan, "mappings are left over:", (int)(report->mappings - usual_mappings));
    else if (report->kilobytes > usual_kilobytes + KILOBYTES_MORE)
        complain(plan, "KB of address space are left over:", (int)(report->kilobytes - usual_kilobytes));
}

static void try_call(enum fault_call call, unsigned most, bool all, double until)
{
    for (unsigned k = 1; k <= most && bad < 20; k += all ? 1 : 1 + k / 2) {
        for (unsigned ever = 0; ever < 2; ever++)
            try_plan(&(struct fault_plan){call, k, ever == 1});
        if (!all && seconds_now() > until) return;
    }
}

/* Without a fault: how many calls there are, and what is usual. */
static void survey(unsigned *count)
{
    for (unsigned i = 0; i < 4; i++) {
        const int status = run(&none, false);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) exit(77);
        if (status != 0) {
            complain(&none, "without a fault: status", status);
            exit(1);
        }
        for (unsigned call = 0; call < CALL_KINDS; call++)
            if (report->count[call] > count[call]) count[call] = report->count[call];
        if (report->mappings > usual_mappings) usual_mappings = report->mappings;
        if (report->kilobytes > usual_kilobytes) usual_kilobytes = report->kilobytes;
    }
}

static int one(char **argv)
{
    struct fault_plan plan = {CALL_ANY, (unsigned)atoi(argv[3]), strcmp(argv[4], "ever") == 0};
    for (unsigned call = 0; call < CALL_KINDS; call++)
        if (strcmp(argv[2], fault_call_names[call]) == 0) plan.call = call;
    unsigned count[CALL_KINDS] = {0};
    survey(count);
    try_plan(&plan);
    printf("%u mappings, %u KB; usual %u, %u\n", report->mappings, report->kilobytes, usual_mappings, usual_kilobytes);
    return bad > 0;
}

static void report_shared(void)
{
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED) exit(99);
}

int main(int argc, char **argv)
{
    unsigned count[CALL_KINDS] = {0};
    const bool all = argc > 1 && strcmp(argv[1], "all") == 0;
    const double seconds = argc > 1 && !all ? atof(argv[1]) : 5, begun = seconds_now();
    report_shared();
    if (argc > 4 && strcmp(argv[1], "one") == 0) return one(argv);
    if (argc > 1 && strcmp(argv[1], "lose") == 0) return run(&none, true) == 0 ? 0 : 1;
    survey(count);
    for (unsigned call = 0; call < CALL_KINDS; call++) {
        try_call(call, count[call], all, begun + seconds * (call + 1) / CALL_KINDS);
        if (all) printf("%s: %u runs, %u bad, %.0f s\n", fault_call_names[call], runs, bad, seconds_now() - begun);
        fflush(stdout);
    }
    for (unsigned call = 0; call < CALL_KINDS; call++)
        printf("%u of %s%s", count[call], fault_call_names[call], call + 1 < CALL_KINDS ? ", " : "\n");
    printf("%u runs, %u bad, %.1f s; usual: %u mappings, %u KB\n", runs, bad, seconds_now() - begun, usual_mappings, usual_kilobytes);
    return bad > 0;
}
