/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom.c -- the verb oom: every allocation of a program fails once, each in a child; all of it in order.
 *
 * Owns:    struct oom.
 * Calls:   the other files of oom.h, one after the other.  Locks: none.
 * Why:     the sweep itself happens in the program (preload/sweep.c); here its children are waited for, and what
 *          became of them is told. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "command.h"
#include "oom.h"
#include "verb_options.h"

/* False after a complaint. */
static bool write_file(const struct oom *o, const char *file, void (*write)(const struct oom *, FILE *))
{
    FILE *out = file != NULL ? ph_verb_open(OOM, file) : NULL;
    if (out == NULL) return file == NULL;
    write(o, out);
    return ph_verb_close(OOM, file, out);
}

static int report(const struct oom *o)
{
    const struct oom_settings *s = &o->settings;
    if (!s->is_quiet && !ph_verb_is_output(s->json) && !ph_verb_is_output(s->junit)) ph_oom_report(o, stdout);
    bool is_whole = write_file(o, s->json, ph_oom_json);
    is_whole = write_file(o, s->junit, ph_oom_junit) && is_whole;
    ph_symbols_end();
    if (ph_output_end(OOM) != 0 || !is_whole) return EXIT_OWN_ERROR;
    if (o->is_interrupted) return OOM_INTERRUPTED;
    for (uint32_t i = 0; i < o->finding_count; i++)
        if (ph_oom_is_counted(o->findings[i].class)) return OOM_FOUND;
    return 0;
}

/* In one run, children and all. */
static bool sweep(struct oom *o)
{
    o->sweep = ph_oom_share(o, SWEEP_FORK, &o->shared);
    if (o->sweep == NULL) return false;
    o->program_id = ph_oom_start(o, o->shared, OOM_OWN_SLOT, false);
    if (o->program_id < 0) return false;
    ph_oom_run(o);
    return true;
}

/* The preload object never began, though the program could be started: 0, or an exit code. */
static int nothing_said(const struct oom *o)
{
    if (o->sweep->begun) return 0;
    if (o->is_interrupted) return OOM_INTERRUPTED;
    if (WIFEXITED(o->program_status) && WEXITSTATUS(o->program_status) >= EXIT_CANNOT_EXECUTE)
        return ph_complain(OOM, WEXITSTATUS(o->program_status), "cannot start %s", o->program);
    return ph_complain(OOM, EXIT_OWN_ERROR, "%s ended before privheap was active in it", o->program);
}

/* A name that is mistyped would find nothing, which looks well. */
static int no_such_module(const struct oom *o)
{
    const struct oom_settings *s = &o->settings;
    if (s->module == NULL || s->replay != NULL || o->sweep->module_met || o->is_interrupted) return 0;
    return ph_complain(OOM, EXIT_OWN_ERROR,
                       "no allocation came from %s: --module takes the file name of the program or of one of its libraries", s->module);
}

static int sweep_and_report(struct oom *o)
{
    o->begun = ph_child_now();
    bool is_done = o->settings.replay != NULL ? ph_oom_replay(o) : o->settings.rerun ? ph_oom_rerun(o) : sweep(o);
    ph_oom_progress(o, true);
    o->took = ph_child_now() - o->begun;
    if (!is_done) return EXIT_OWN_ERROR;
    int code = nothing_said(o);
    if (code != 0) return code;
    code = no_such_module(o);
    if (code != 0) return code;
    if (!ph_oom_sum(o)) return ph_complain(OOM, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
    ph_oom_clean(o); /* before somebody stops reading */
    ph_child_signals_end();
    return report(o);
}

int ph_verb_oom(int argc, char **argv)
{
    static struct oom o; /* static: large */
    int code = ph_oom_options(&o.settings, argc, argv);
    if (code >= 0) return code;
    if (o.settings.gdb) return ph_oom_gdb(&o);
    if (!ph_child_signals()) return ph_complain(OOM, EXIT_OWN_ERROR, "cannot wait for children: %s", strerror(errno));
    code = ph_oom_prepare(&o);
    if (code == 0) code = sweep_and_report(&o);
    ph_oom_clean(&o);
    return code;
}
