/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_gdb.c -- the program in the debugger, which stops where the finding ends it.
 *
 * Owns:    nothing.  Calls: locate.c, stress_run.c.  Locks: none.
 * Always:  the debugger itself is not stressed: the variables are set for the program only.
 * Why:     a fault at a guard is told by the program itself, which ends by SIGABRT then: that is where gdb stops. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "stress_verb.h"

enum { NAMES = 2, WORDS = 2 * NAMES + 10 };
static const char *const names[NAMES] = { "LD_PRELOAD", "PRIVHEAP_STRESS" };
static char settings[NAMES][3 * LOCATE_PATH_BYTES + STRESS_TEXT_BYTES];

/* What the program finds in its environment, as commands of gdb's; ours is as it was. */
static void take_settings(const struct stress *st)
{
    const char *before = getenv("LD_PRELOAD");
    char *kept = before != NULL ? strdup(before) : NULL;
    ph_stress_environment(st, st->settings.side, NULL);
    for (int i = 0; i < NAMES; i++) {
        snprintf(settings[i], sizeof settings[i], "set environment %s %s", names[i], getenv(names[i]));
        unsetenv(names[i]);
    }
    if (kept != NULL) setenv("LD_PRELOAD", kept, 1);
}

static unsigned put_command(char **words, unsigned count, const char *option, const char *command)
{
    words[count++] = strdup(option);
    words[count++] = strdup(command);
    return count;
}

int ph_stress_gdb(struct stress *st)
{
    char **argv = st->settings.argv;
    size_t argc = 0;
    unsigned count = 0;
    while (argv[argc] != NULL) argc++;
    char **words = calloc(argc + WORDS, sizeof *words);
    if (words == NULL) return ph_complain(STRESS, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
    take_settings(st);
    words[count++] = strdup("gdb");
    words[count++] = strdup("-q");
    count = put_command(words, count, "-iex", "set startup-with-shell off");
    for (int i = 0; i < NAMES; i++) count = put_command(words, count, "-ex", settings[i]);
    count = put_command(words, count, "-ex", "handle SIGSEGV nostop noprint pass");
    words[count++] = strdup("--args");
    words[count++] = st->program;
    memcpy(words + count, argv + 1, argc * sizeof *words);
    execvp("gdb", words);
    return ph_complain(STRESS, EXIT_OWN_ERROR, "cannot start gdb: %s", strerror(errno));
}
