/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_verb.c -- the verb stress: a program with each block between guards; all of it in order.
 *
 * Owns:    struct stress.
 * Calls:   the other files of stress_verb.h, one after the other.  Locks: none.
 * Always:  with nothing found the command ends as the program did, by the same signal if it was one. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "child.h"
#include "command.h"
#include "stress_verb.h"
#include "verb_options.h"

/* ---- files for what is found ------------------------------------------------------- */

/* Before the program runs: the report goes there as it comes. */
static bool open_file(const char *file, FILE **out)
{
    if (file != NULL) *out = ph_verb_open(STRESS, file);
    return file == NULL || *out != NULL;
}

static bool open_files(struct stress *st)
{
    const struct stress_settings *s = &st->settings;
    bool is_open = open_file(s->log, &st->out) && open_file(s->json, &st->json) && open_file(s->sarif, &st->sarif);
    if (s->log == NULL) st->out = stderr;
    if (s->is_quiet) st->out = NULL;
    return is_open;
}

static bool close_file(const char *file, FILE *out) { return out == NULL || out == stderr || ph_verb_close(STRESS, file, out); }

static bool write_files(struct stress *st)
{
    const struct stress_settings *s = &st->settings;
    if (st->json != NULL) ph_stress_json(st, st->json);
    if (st->sarif != NULL) ph_stress_sarif(st, st->sarif);
    bool is_whole = close_file(s->json, st->json);
    is_whole = close_file(s->sarif, st->sarif) && is_whole;
    is_whole = close_file(s->log, st->out) && is_whole;
    return ph_output_end(STRESS) == 0 && is_whole;
}

/* ---- in order ------------------------------------------------------------------------ */

/* As the program did; its core file, if there was to be one, it has written itself. */
static int end_like(int status)
{
    const struct rlimit none = { 0, 0 };
    if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

static bool is_interrupted(const struct stress *st, const struct stress_run *run)
{
    int signal = WIFSIGNALED(run->status) ? WTERMSIG(run->status) : 0;
    return (st->is_interrupted && run->status != 0) || signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT || signal == SIGKILL;
}

static int runs(struct stress *st)
{
    double begun = ph_child_now();
    int code = ph_stress_run(st, st->settings.side);
    st->is_interrupted = code == 0 && is_interrupted(st, &st->runs[0]);
    if (code == 0 && st->settings.is_both && ph_stress_counted(st) == 0 && !st->is_interrupted) code = ph_stress_run(st, "start");
    st->took = ph_child_now() - begun;
    return code;
}

static int run_and_report(struct stress *st)
{
    if (!open_files(st)) return EXIT_OWN_ERROR;
    int code = runs(st);
    if (code != 0) return code;
    ph_stress_summary(st);
    bool is_whole = write_files(st);
    ph_symbols_end();
    if (!is_whole) return EXIT_OWN_ERROR;
    return ph_stress_counted(st) != 0 ? st->settings.exit_code : -1;
}

int ph_verb_stress(int argc, char **argv)
{
    static struct stress st; /* static: large */
    int code = ph_stress_options(&st.settings, argc, argv);
    if (code >= 0) return code;
    code = ph_stress_suppressions(&st);
    if (code == 0) code = ph_stress_prepare(&st);
    if (code == 0) code = st.settings.gdb ? ph_stress_gdb(&st) : run_and_report(&st);
    ph_stress_clean(&st);
    return code >= 0 ? code : end_like(st.runs[0].status);
}
