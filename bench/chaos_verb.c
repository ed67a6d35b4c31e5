/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaos_verb.c -- the verb chaos: a program's runs under several seeds must be alike; all of it in order.
 *
 * Owns:    struct chaos.
 * Calls:   the other files of chaos_verb.h, one after the other.  Locks: none.
 * Always:  a difference is told only if the same seed made one twice, and two plain runs were alike.
 * Why:     ways that made the same difference alone are left out from then on, so that what is found next has another
 *          cause. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "chaos_verb.h"
#include "child.h"
#include "command.h"
#include "verb_options.h"

enum { LIMIT_LEAST_S = 10, LIMIT_TIMES = 20 };

/* ---- plain runs -------------------------------------------------------------- */

static int not_alike(const struct contrast *co)
{
    static const char *const words[] = { "", "in how they end", "in standard output", "in standard error" };
    char line[40] = "";
    if (co->what != DIFFERS_END) snprintf(line, sizeof line, ", line %zu", co->line);
    return ph_complain(CHAOS, EXIT_OWN_ERROR,
                       "two plain runs differ %s%s: \"%s\" and \"%s\"; --ignore=REGEX leaves out what may differ", words[co->what],
                       line, co->plain, co->other);
}

/* Nothing is otherwise, but all else is as in the other runs.  0; 125 after a complaint; 130. */
static int plain_runs(struct chaos *c)
{
    const struct chaos_spec plainly = { .ways = 0, .most = UINT64_MAX };
    struct contrast co;
    bool differs = false;
    c->doing = "plain";
    c->limit_s = c->settings.timeout_s;
    if (!ph_chaos_run(c, &plainly, &c->plain)) return c->is_interrupted ? CHAOS_INTERRUPTED : EXIT_OWN_ERROR;
    if (c->plain.hung) return ph_complain(CHAOS, EXIT_OWN_ERROR, "the plain run did not end in %g s", c->limit_s);
    if (c->limit_s <= 0) c->limit_s = LIMIT_TIMES * c->plain.took > LIMIT_LEAST_S ? LIMIT_TIMES * c->plain.took : LIMIT_LEAST_S;
    if (!ph_chaos_differs(c, &plainly, &co, &differs)) return c->is_interrupted ? CHAOS_INTERRUPTED : EXIT_OWN_ERROR;
    return differs ? not_alike(&co) : 0;
}

/* ---- seeds ------------------------------------------------------------------------ */

/* Whether that seed makes a difference, and again. */
static bool is_steady(struct chaos *c, const struct chaos_spec *how, struct contrast *co, bool *is_found)
{
    c->doing = "all ways";
    *is_found = false;
    if (!ph_chaos_differs(c, how, co, is_found)) return false;
    if (!*is_found) return true;
    if (!ph_chaos_differs(c, how, co, is_found)) return false;
    if (!*is_found) c->unsteady++;
    return true;
}

/* Of two ways that do it only together one is enough to leave out. */
static uint32_t blamed(const struct finding *fi)
{
    return (fi->how.ways & -fi->how.ways) | fi->also;
}

static bool one_seed(struct chaos *c, struct chaos_spec *how)
{
    bool is_found = true;
    while (how->ways != 0) {
        struct finding *fi = &c->findings[c->finding_count];
        if (!is_steady(c, how, &fi->contrast, &is_found)) return false;
        if (!is_found) break;
        if (!ph_chaos_narrow(c, how, fi)) return false;
        c->finding_count++;
        how->ways &= ~blamed(fi);
    }
    return true;
}

static bool all_seeds(struct chaos *c)
{
    struct chaos_spec how = c->settings.spec;
    for (unsigned i = 0; i < c->settings.seeds && how.ways != 0; i++) {
        how.seed = c->settings.first_seed + i;
        if (!one_seed(c, &how)) return c->is_interrupted;
    }
    return true;
}

/* ---- the end ------------------------------------------------------------------------ */

static bool write_json(const struct chaos *c)
{
    const char *file = c->settings.json;
    FILE *out = file != NULL ? ph_verb_open(CHAOS, file) : NULL;
    if (out == NULL) return file == NULL;
    ph_chaos_json(c, out);
    return ph_verb_close(CHAOS, file, out);
}

static int report(const struct chaos *c)
{
    const struct chaos_settings *s = &c->settings;
    if (!s->is_quiet && !ph_verb_is_output(s->json)) ph_chaos_report(c, stdout);
    bool is_whole = write_json(c);
    if (ph_output_end(CHAOS) != 0 || !is_whole) return EXIT_OWN_ERROR;
    if (c->is_interrupted) return CHAOS_INTERRUPTED;
    return c->finding_count != 0 ? CHAOS_DIFFERS : 0;
}

/* A name that is mistyped would find nothing, which looks well. */
static int no_such_module(const struct chaos *c)
{
    const struct chaos_spec *spec = &c->settings.spec;
    if (c->told < 0 || c->is_interrupted || fcntl(c->told, F_GET_SEALS) != 0) return 0;
    return ph_complain(CHAOS, EXIT_OWN_ERROR,
                       "no block came from %s: --module takes the file name of the program or of one of its libraries", spec->module);
}

static int run_and_report(struct chaos *c)
{
    c->begun = ph_child_now();
    int code = plain_runs(c);
    bool is_done = code == 0 && all_seeds(c);
    ph_chaos_progress(c, true);
    c->took = ph_child_now() - c->begun;
    if (code != 0) return code;
    if (!is_done) return EXIT_OWN_ERROR;
    code = no_such_module(c);
    if (code != 0) return code;
    ph_chaos_clean(c); /* before somebody stops reading */
    ph_child_signals_end();
    return report(c);
}

int ph_verb_chaos(int argc, char **argv)
{
    static struct chaos c; /* static: large */
    int code = ph_chaos_options(&c.settings, argc, argv);
    if (code >= 0) return code;
    if (!ph_child_signals()) return ph_complain(CHAOS, EXIT_OWN_ERROR, "cannot wait for runs: %s", strerror(errno));
    code = ph_chaos_prepare(&c);
    if (code == 0) code = run_and_report(&c);
    ph_chaos_drop(&c.plain);
    ph_chaos_clean(&c);
    return code;
}
