/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaos_narrow.c -- a seed that makes a difference: which way, blocks of which sizes, which module asks for them.
 *
 * Owns:    nothing.  Calls: chaos_run.c, chaos_compare.c.  Locks: none.
 * Always:  what is told was seen: each step keeps a part of which a run just differed, or keeps all.
 * Why:     one way alone is a cause; where none is, two together; sizes are halved class by class. */
#include <stdlib.h>
#include <string.h>

#include "chaos_verb.h"
#include "internal.h"

bool ph_chaos_differs(struct chaos *c, const struct chaos_spec *how, struct contrast *out, bool *differs)
{
    struct outcome oc;
    if (!ph_chaos_run(c, how, &oc)) return false;
    ph_chaos_contrast(&c->plain, &oc, out);
    *differs = out->what != SAME;
    ph_chaos_drop(&oc);
    return true;
}

/* Tried as `tried`; what differs becomes the finding.  Twice, if once may be chance. */
static bool keep_if(struct chaos *c, struct finding *fi, const struct chaos_spec *tried, unsigned times, bool *is_kept)
{
    struct contrast seen;
    *is_kept = true;
    for (unsigned i = 0; i < times && *is_kept; i++)
        if (!ph_chaos_differs(c, tried, &seen, is_kept)) return false;
    if (!*is_kept) return true;
    fi->how = *tried;
    fi->contrast = seen;
    return true;
}

/* ---- ways ------------------------------------------------------------------ */

/* Of two ways that differ: at the same place, or, since both give other addresses, because of those. */
static bool is_same_cause(const struct finding *fi, uint32_t way, const struct contrast *seen)
{
    if (seen->what == fi->contrast.what && seen->line == fi->contrast.line) return true;
    return fi->how.ways == CHAOS_ORDER && (way & (CHAOS_LATE | CHAOS_MOVE | CHAOS_ALIGN)) != 0;
}

static bool narrow_alone(struct chaos *c, struct finding *fi, uint32_t all, bool *is_found)
{
    struct chaos_spec tried = fi->how;
    struct contrast seen;
    bool differs;
    *is_found = false;
    for (uint32_t way = 1; way <= CHAOS_ALL; way *= 2) {
        if (!(all & way)) continue;
        tried.ways = way;
        if (!*is_found) {
            if (!keep_if(c, fi, &tried, 2, is_found)) return false;
            continue;
        }
        if (!ph_chaos_differs(c, &tried, &seen, &differs)) return false;
        if (differs && is_same_cause(fi, way, &seen)) fi->also |= way;
    }
    return true;
}

static bool narrow_pairs(struct chaos *c, struct finding *fi, uint32_t all, bool *is_found)
{
    struct chaos_spec tried = fi->how;
    for (uint32_t one = 1; one <= CHAOS_ALL; one *= 2)
        for (uint32_t two = one * 2; two <= CHAOS_ALL; two *= 2) {
            tried.ways = one | two;
            if ((all & tried.ways) != tried.ways || all == tried.ways) continue;
            if (!keep_if(c, fi, &tried, 2, is_found)) return false;
            if (*is_found) return true;
        }
    return true;
}

/* ---- sizes ------------------------------------------------------------------ */

enum { BIG_STEPS = 10, /* from 32 KB to 16 MB, doubled */ STEPS = CLASS_COUNT + BIG_STEPS + 1 };

/* The largest size of a step. */
static uint64_t step_most(unsigned step)
{
    if (step < CLASS_COUNT) return ph_class_bytes[step];
    return step < STEPS - 1 ? (uint64_t)CLASS_BYTES << (step - CLASS_COUNT + 1) : UINT64_MAX;
}

/* Of the finding's, sizes of these steps: does it come with them alone? */
static bool try_sizes(struct chaos *c, struct finding *fi, unsigned first, unsigned last, bool *is_kept)
{
    uint64_t least = first == 0 ? 0 : step_most(first - 1) + 1, most = step_most(last);
    struct chaos_spec tried = fi->how;
    if (least > tried.least) tried.least = least;
    if (most < tried.most) tried.most = most;
    *is_kept = tried.least == fi->how.least && tried.most == fi->how.most;
    if (*is_kept || tried.least > tried.most) return true;
    return keep_if(c, fi, &tried, 1, is_kept);
}

static bool narrow_sizes(struct chaos *c, struct finding *fi)
{
    unsigned first = 0, last = STEPS - 1;
    while (first < last) {
        unsigned middle = first + (last - first) / 2;
        bool is_kept;
        if (!try_sizes(c, fi, first, middle, &is_kept)) return false;
        if (is_kept) {
            last = middle;
            continue;
        }
        if (!try_sizes(c, fi, middle + 1, last, &is_kept)) return false;
        if (!is_kept) break; /* it takes blocks of both halves */
        first = middle + 1;
    }
    fi->has_sizes = fi->how.least != 0 || fi->how.most != UINT64_MAX;
    return true;
}

/* ---- the module ---------------------------------------------------------------- */

static bool try_module(struct chaos *c, struct finding *fi, const char *name, bool *is_kept)
{
    struct chaos_spec tried = fi->how;
    *is_kept = false;
    if (*name == '\0' || strlen(name) >= sizeof tried.module || strchr(name, ',') != NULL) return true;
    snprintf(tried.module, sizeof tried.module, "%s", name);
    tried.has_module = true;
    return keep_if(c, fi, &tried, 1, is_kept);
}

static bool is_loader(const char *name) { return strncmp(name, "ld-", 3) == 0 || strncmp(name, "linux-", 6) == 0; }

/* The program itself, then its libraries: who asks through libc or libstdc++ is whom they were asked by. */
static bool narrow_module(struct chaos *c, struct finding *fi)
{
    enum { NAMES_BYTES = 16384 };
    char *names = malloc(NAMES_BYTES), *real = realpath(c->program, NULL);
    const char *slash = real != NULL ? strrchr(real, '/') : NULL;
    bool is_kept = false, is_run = names != NULL && (slash == NULL || try_module(c, fi, slash + 1, &is_kept));
    if (is_run && !is_kept) {
        ph_chaos_modules(c, names, NAMES_BYTES);
        for (const char *name = names; is_run && !is_kept && *name != '\0'; name += strlen(name) + 1)
            if (!is_loader(name)) is_run = try_module(c, fi, name, &is_kept);
    }
    free(names);
    free(real);
    return is_run;
}

bool ph_chaos_narrow(struct chaos *c, const struct chaos_spec *how, struct finding *out)
{
    bool is_found = false;
    out->how = *how;
    c->doing = "which way";
    if ((how->ways & (how->ways - 1)) != 0) {
        if (!narrow_alone(c, out, how->ways, &is_found)) return false;
        if (!is_found && !narrow_pairs(c, out, how->ways, &is_found)) return false;
    }
    c->doing = "which sizes";
    if (!narrow_sizes(c, out)) return false;
    c->doing = "which module";
    return out->how.has_module || narrow_module(c, out);
}
