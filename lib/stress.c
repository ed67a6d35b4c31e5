/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress.c -- which blocks the page heap serves, and how: what option STRESS says.
 *
 * Owns:    the parts in force.
 * Calls:   parts.c.  Locks: none.
 * Why:     with nothing asked for nobody comes here.  Where it is, the process heap is hard as in secure mode: what
 *          the page heap cannot serve has exact sizes and tails all the same. */
#include "stress.h"

#include "options.h"
#include "parts.h"
#include "text.h"
#include "unwind.h"

#include "small.h"

enum { QUARANTINE_BYTES = 256 << 20 };
#define BUDGET_BYTES ((uint64_t)2 << 30)

static struct stress_spec spec;
static bool is_on;

enum part {
    PART_SIDE, PART_QUARANTINE, PART_BUDGET, PART_SIZE, PART_MODULE, PART_RATE, PART_SEED, PART_HEAP, PART_STACKS,
    PART_UNALIGNED, PART_CHECK, PART_SLOWDOWN, PART_LEAKS, PART_CONTINUE, PART_FINDINGS, PART_COUNT
};
static const char part_names[PART_COUNT][12] = {
    "side:", "quarantine:", "budget:", "size:", "module:", "rate:1/", "seed:", "heap:", "stacks:",
    "unaligned:", "check:", "slowdown:", "leaks:", "continue:", "findings:",
};

static const char *parse_side(const char *text, uint32_t *side)
{
    static const char words[][8] = {"end", "start", "random"};
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *rest = text_after(text, words[i]);
        if (rest != NULL) {
            *side = i;
            return rest;
        }
    }
    return NULL;
}

static const char *parse_flag(const char *text, bool *flag)
{
    if (*text != '0' && *text != '1')
        return NULL;
    *flag = *text == '1';
    return text + 1;
}

static const char *parse_depth(const char *text, uint32_t *depth)
{
    uint64_t value = 0;
    text = ph_part_number(text, &value);
    *depth = (uint32_t)value;
    return value <= TRACE_DEPTH ? text : NULL;
}

static const char *parse_rate(const char *text, uint64_t *rate)
{
    text = ph_part_number(text, rate);
    return *rate != 0 ? text : NULL;
}

static const char *parse_value(enum part part, const char *text, struct stress_spec *out)
{
    switch (part) {
    case PART_SIDE: return parse_side(text, &out->side);
    case PART_QUARANTINE: return ph_part_number(text, &out->quarantine);
    case PART_BUDGET: return ph_part_number(text, &out->budget);
    case PART_SIZE: return ph_part_range(text, &out->least, &out->most);
    case PART_MODULE: out->has_module = true; return ph_part_name(text, out->module, sizeof out->module);
    case PART_RATE: return parse_rate(text, &out->rate);
    case PART_SEED: return ph_part_number(text, &out->seed);
    case PART_HEAP: out->has_heap = true; return ph_part_name(text, out->heap, sizeof out->heap);
    case PART_STACKS: return parse_depth(text, &out->stacks);
    case PART_UNALIGNED: return parse_flag(text, &out->unaligned);
    case PART_CHECK: return ph_part_number(text, &out->check);
    case PART_SLOWDOWN: return ph_part_number(text, &out->slowdown);
    case PART_LEAKS: return parse_flag(text, &out->leaks);
    case PART_CONTINUE: return parse_flag(text, &out->goes_on);
    case PART_FINDINGS: return ph_part_name(text, out->findings, sizeof out->findings);
    case PART_COUNT: break;
    }
    return NULL;
}

static const char *parse_part(const char *text, struct stress_spec *out, unsigned *seen)
{
    unsigned which;
    const char *value = ph_part_begin(text, part_names[0], sizeof part_names[0], PART_COUNT, seen, &which);
    return value != NULL ? parse_value((enum part)which, value, out) : NULL;
}

const char *ph_stress_parse(const char *text, struct stress_spec *out)
{
    unsigned seen = 0;
    const char *rest = text_after(text, "on");
    *out = (struct stress_spec){
        .stacks = TRACE_DEPTH, .quarantine = QUARANTINE_BYTES, .budget = BUDGET_BYTES, .most = UINT64_MAX, .rate = 1, .slowdown = 3,
    };
    if (rest != NULL && *rest == '\0')
        return NULL;
    if (rest != NULL && *rest == ',')
        text = rest + 1;
    for (;;) {
        text = parse_part(text, out, &seen);
        if (text == NULL || (*text != '\0' && *text != ','))
            return "is no stress";
        if (*text++ == '\0')
            return out->least > out->most ? "ends before it begins" : NULL;
    }
}

bool ph_stress_begin(const char *text)
{
    is_on = text != NULL && ph_stress_parse(text, &spec) == NULL;
    if (is_on) {
        ph_mode = MODE_SECURE;
        ph_families = 1;
    }
    return is_on;
}

bool ph_stress_is_on(void) { return is_on; }
const struct stress_spec *ph_stress_in_force(void) { return &spec; }
const char *ph_stress_findings(void) { return is_on && spec.findings[0] != '\0' ? spec.findings : NULL; }

/* splitmix64 */
uint64_t ph_stress_chance(uint64_t ordinal)
{
    uint64_t x = spec.seed + (ordinal + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}
