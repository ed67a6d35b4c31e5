/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaos.c -- what a correct program does not depend on, done otherwise on purpose: what, as option CHAOS says.
 *
 * Owns:    the parts in force.
 * Calls:   parts.c, site.c and unwind.c for modules.  Locks: none.
 * Why:     with nothing asked for nobody comes here.  Where it is, no thread has stacks (heap.c makes no key for
 *          them), as for option FAIL, and the slow way goes to preload/chaotic.c. */
#include "chaos.h"

#include "os.h"
#include "parts.h"
#include "site.h"
#include "text.h"

#include "small.h"

static struct chaos_spec spec;

static const char words[CHAOS_WAYS][8] = {"fresh", "freed", "order", "late", "move", "zero", "align"};

const char *ph_chaos_word(unsigned number) { return words[number]; }

static const char *parse_way(const char *text, uint32_t *ways)
{
    const char *rest;
    for (unsigned i = 0; i < CHAOS_WAYS; i++)
        if ((rest = text_after(text, words[i])) != NULL) {
            *ways |= 1u << i;
            return rest;
        }
    return NULL;
}

/* "none", or words with + between. */
static const char *parse_ways(const char *text, uint32_t *ways)
{
    const char *rest = text_after(text, "none");
    if (rest != NULL)
        return rest;
    for (;;) {
        text = parse_way(text, ways);
        if (text == NULL || *text != '+')
            return text;
        text++;
    }
}

enum part { PART_SEED, PART_WAYS, PART_SIZE, PART_MODULE, PART_TOLD, PART_COUNT };

static const char *parse_value(enum part part, const char *text, struct chaos_spec *out)
{
    switch (part) {
    case PART_SEED: return ph_part_number(text, &out->seed);
    case PART_WAYS: out->ways = 0; return parse_ways(text, &out->ways);
    case PART_SIZE: return ph_part_range(text, &out->least, &out->most);
    case PART_MODULE: out->has_module = true; return ph_part_name(text, out->module, sizeof out->module);
    case PART_TOLD: return ph_part_number(text, &out->told);
    case PART_COUNT: break;
    }
    return NULL;
}

static const char *parse_part(const char *text, struct chaos_spec *out, unsigned *seen)
{
    static const char names[PART_COUNT][8] = {"seed:", "ways:", "size:", "module:", "told:"};
    unsigned which;
    const char *value = ph_part_begin(text, names[0], sizeof names[0], PART_COUNT, seen, &which);
    return value != NULL ? parse_value((enum part)which, value, out) : NULL;
}

const char *ph_chaos_parse(const char *text, struct chaos_spec *out)
{
    unsigned seen = 0;
    *out = (struct chaos_spec){.ways = CHAOS_ALL, .most = UINT64_MAX};
    for (;;) {
        text = parse_part(text, out, &seen);
        if (text == NULL || (*text != '\0' && *text != ','))
            return "is no chaos";
        if (*text++ == '\0')
            return out->least > out->most ? "ends before it begins" : NULL;
    }
}

bool ph_chaos_begin(const char *text) { return text != NULL && ph_chaos_parse(text, &spec) == NULL; }

const struct chaos_spec *ph_chaos_in_force(void) { return &spec; }

/* Once.  Descriptors that are no longer what they were cannot be sealed. */
static void tell(void)
{
    ph_os_seal((int)spec.told);
    spec.told = 0;
}

uint32_t ph_chaos_ways(size_t bytes)
{
    struct trace trace;
    const bool has_size = bytes >= spec.least && bytes <= spec.most;
    if (spec.ways == 0 || (!has_size && spec.told == 0))
        return 0;
    if (!spec.has_module)
        return spec.ways;
    ph_trace_here(&trace, NULL);
    if (!ph_site_is_of(&trace, spec.module))
        return 0;
    if (spec.told != 0)
        tell();
    return has_size ? spec.ways : 0;
}
