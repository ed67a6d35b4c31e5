/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_verb.c -- the verb stress: a program with each block between guards; all of it in order.
 *
 * Owns:    struct stress.
 * Calls:   the other files of stress_verb.h, one after the other.  Locks: none.
 * Always:  with nothing found the command ends as the program did, by the same signal if it was one. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "child.h"
#include "command.h"
#include "stress_verb.h"

/* ---- files for what is found ------------------------------------------------------- */

static bool is_output(const char *file) { return file != NULL && strcmp(file, "-") == 0; }

/* Before the program runs: a folder that is not there is told of at once.  0, or an exit code. */
static int open_file(const char *file, FILE **out)
{
    if (file == NULL) return 0;
    *out = is_output(file) ? stdout : fopen(file, "we");
    return *out != NULL ? 0 : ph_complain(STRESS, EXIT_OWN_ERROR, "cannot write to %s: %s", file, strerror(errno));
}

static int open_files(struct stress *st)
{
    const struct stress_settings *s = &st->settings;
    int code = open_file(s->log, &st->out);
    if (code == 0) code = open_file(s->json, &st->json);
    if (code == 0) code = open_file(s->sarif, &st->sarif);
    if (s->is_quiet)
        st->out = NULL;
    else if (s->log == NULL)
        st->out = stderr;
    return code;
}

/* 0, or an exit code. */
static int close_file(const char *file, FILE *out)
{
    if (out == NULL || out == stdout || out == stderr) return 0;
    bool is_whole = !ferror(out);
    if (fclose(out) != 0) is_whole = false;
    return is_whole ? 0 : ph_complain(STRESS, EXIT_OWN_ERROR, "cannot write to %s: %s", file, strerror(errno));
}

static int write_files(struct stress *st)
{
    const struct stress_settings *s = &st->settings;
    if (st->json != NULL) ph_stress_json(st, st->json);
    if (st->sarif != NULL) ph_stress_sarif(st, st->sarif);
    int code = close_file(s->json, st->json), other = close_file(s->sarif, st->sarif), third = close_file(s->log, st->out);
    if (code == 0) code = other != 0 ? other : third;
    return ph_output_end(STRESS) != 0 ? EXIT_OWN_ERROR : code;
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
    return st->is_interrupted || signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT || signal == SIGKILL;
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
    int code = open_files(st);
    if (code == 0) code = runs(st);
    if (code != 0) return code;
    ph_stress_summary(st);
    code = write_files(st);
    ph_symbols_end();
    if (code != 0) return code;
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
