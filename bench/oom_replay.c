/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom_replay.c -- one point again: the program as it is, but that one allocation fails.
 *
 * Owns:    nothing.  Calls: oom_start.c, oom_run.c.  Locks: none.
 * Always:  the same call fails as in the sweep, though other calls came or went before it: it is the n-th from its
 *          call stack, which is told by modules and places in them. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "oom.h"
#include "rules.h"

static void wait_for(struct oom *o)
{
    struct patience patience = { .child = 0 };
    struct sweep_point *point = &o->sweep->point[0];
    for (;;) {
        int status;
        pid_t id = waitpid(o->program_id, &status, 0);
        if (id == o->program_id) {
            kill(-id, SIGKILL);
            ph_child_end_all();
            point->ended = o->sweep->points != 0;
            point->status = o->program_status = status;
            return;
        }
        if (id < 0 && errno != EINTR) return;
        if (ph_child_interrupted) {
            o->is_interrupted = true;
            kill(o->program_id, SIGKILL);
        }
        if (o->sweep->points == 0) continue; /* what it does before is its own business */
        point->child = o->program_id;
        if (!ph_oom_is_patient(o, &patience, point)) point->hung = 1;
    }
}

bool ph_oom_replay(struct oom *o)
{
    const struct oom_settings *s = &o->settings;
    o->sweep = ph_oom_share(o, SWEEP_ONE, &o->shared);
    if (o->sweep == NULL) return false;
    o->sweep->stack = s->stack[0];
    o->sweep->ordinal = s->ordinal[0];
    o->sweep->stack2 = s->stack[1];
    o->sweep->ordinal2 = s->ordinal[1];
    o->program_id = ph_oom_start(o, o->shared, 0, s->keep == NULL);
    if (o->program_id < 0) return false;
    wait_for(o);
    ph_oom_ended(o, 0, 0, o->program_status);
    if (o->tails[0] != NULL && !s->is_quiet) fputs(o->tails[0], stderr);
    if (o->sweep->begun && o->sweep->points == 0 && !o->is_interrupted) {
        ph_complain(OOM, EXIT_OWN_ERROR, "the program made no such call: %s is another program's, or of a run that went another way",
                    s->replay);
        return false;
    }
    return true;
}

/* ---- in the debugger ------------------------------------------------------------ */

static void put_setting(char *to, size_t bytes, const char *name) { snprintf(to, bytes, "set environment %s %s", name, getenv(name)); }

int ph_oom_gdb(struct oom *o)
{
    static const char *const names[] = { "LD_PRELOAD", "PRIVHEAP_FAIL", "PRIVHEAP_GUARD_RATE", "PRIVHEAP_MODE" };
    enum { NAMES = sizeof names / sizeof names[0], WORDS = 2 * NAMES + 8 };
    static char settings[NAMES][2 * LOCATE_PATH_BYTES + 64];
    const struct oom_settings *s = &o->settings;
    struct verdict v = { .exit_code = 0 };
    char fail[64];
    int argc = 0, count = 0;
    while (s->argv[argc] != NULL) argc++;
    bool can = ph_locate_program(s->argv[0], o->program, &v) && ph_judge(o->program, &o->env, &v) && ph_locate_object(o->object, &v);
    if (!can) return ph_complain(OOM, v.exit_code, "%s", v.why);
    if (!s->no_rules) ph_rules_apply(OOM, o->program);
    if (s->stack[1] != 0) return ph_complain(OOM, EXIT_OWN_ERROR, "--gdb takes one failure, not two");
    char **words = calloc((size_t)argc + WORDS, sizeof *words);
    if (words == NULL) return ph_complain(OOM, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
    const char *before = getenv("LD_PRELOAD");
    char *kept = before != NULL ? strdup(before) : NULL;
    snprintf(fail, sizeof fail, "stack:%016llx.%u", (unsigned long long)s->stack[0], s->ordinal[0]);
    ph_oom_environment(o, fail, 0);
    words[count++] = strdup("gdb");
    words[count++] = strdup("-q");
    words[count++] = strdup("-iex");
    words[count++] = strdup("set startup-with-shell off");
    for (int i = 0; i < NAMES; i++) {
        put_setting(settings[i], sizeof settings[i], names[i]);
        words[count++] = strdup("-ex");
        words[count++] = settings[i];
        unsetenv(names[i]);
    }
    if (kept != NULL) setenv("LD_PRELOAD", kept, 1);
    words[count++] = strdup("--args");
    words[count++] = o->program;
    memcpy(words + count, s->argv + 1, (size_t)argc * sizeof *words);
    execvp("gdb", words);
    return ph_complain(OOM, EXIT_OWN_ERROR, "cannot start gdb: %s", strerror(errno));
}
