/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* fail.c -- allocations that fail on purpose: which, as option FAIL says.
 *
 * Owns:    the parts in force, the count of calls they choose from.
 * Calls:   parts.c, site.c for call stacks, unwind.c, message.c, report.c for the line.
 * Locks:   none; the count is atomic.
 * Always:  the same calls fail for the same seed: a call counts as the n-th from its call stack, so that threads
 *          which overtake each other change nothing.
 * Why:     with nothing asked for nobody comes here.  Where failures are made no thread has stacks (heap.c makes no
 *          key for them), so that the one test of the fast path fails for each call, and the slow way asks us. */
#include "fail.h"

#include "internal.h"
#include "message.h"
#include "parts.h"
#include "report.h"
#include "site.h"
#include "text.h"

#include "small.h"

enum {
    LINES_MOST = 100, /* said of failed calls; programs that go on may make thousands */
    AGAIN_LOG = 4,
};

static struct fail_spec spec;
static uint64_t chosen, said;
bool (*ph_fail_sweep)(size_t bytes, enum fail_call call);
void (*ph_fail_made)(const void *block);

/* ---- text ------------------------------------------------------------------------------------- */

static const char *parse_hex(const char *text, uint64_t *out)
{
    const char *first = text;
    for (*out = 0;; text++) {
        const char c = *text;
        const unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
        if (digit == 16)
            return text == first || text - first > 16 ? NULL : text;
        *out = *out << 4 | digit;
    }
}

static const char *parse_stack(const char *text, struct fail_spec *out)
{
    text = parse_hex(text, &out->stack);
    return text != NULL && *text == '.' ? ph_part_number(text + 1, &out->ordinal) : NULL;
}

/* One part behind its word; what follows, or NULL. */
static const char *parse_value(enum fail_part part, const char *text, struct fail_spec *out)
{
    const char *one;
    switch (part) {
    case FAIL_NTH: return ph_part_number(text, &out->nth);
    case FAIL_AFTER: return ph_part_number(text, &out->after);
    case FAIL_RATE: return (one = text_after(text, "1/")) != NULL ? ph_part_number(one, &out->rate) : NULL;
    case FAIL_SEED: return ph_part_number(text, &out->seed);
    case FAIL_SIZE: return ph_part_range(text, &out->least, &out->most);
    case FAIL_MODULE: return ph_part_name(text, out->module, sizeof out->module);
    case FAIL_STACK: return parse_stack(text, out);
    case FAIL_SWEEP: return ph_part_number(text, &out->sweep);
    }
    return NULL;
}

static const char *parse_part(const char *text, struct fail_spec *out)
{
    static const char words[][8] = {"nth:", "after:", "rate:", "seed:", "size:", "module:", "stack:", "sweep:"};
    unsigned which;
    const char *value = ph_part_begin(text, words[0], sizeof words[0], sizeof words / sizeof *words, &out->parts, &which);
    return value != NULL ? parse_value((enum fail_part)(1u << which), value, out) : NULL;
}

static const char *wrong_whole(const struct fail_spec *sp)
{
    if ((sp->parts & FAIL_SEED) && !(sp->parts & FAIL_RATE))
        return "has a seed, but no rate";
    if (((sp->parts & FAIL_RATE) && sp->rate == 0) || ((sp->parts & FAIL_NTH) && sp->nth == 0))
        return "counts from 1";
    if (sp->most < sp->least)
        return "ends before it begins";
    return NULL;
}

const char *ph_fail_parse(const char *text, struct fail_spec *out)
{
    *out = (struct fail_spec){.parts = 0};
    for (;;) {
        text = parse_part(text, out);
        if (text == NULL || (*text != '\0' && *text != ','))
            return "is not what can fail";
        if (*text++ == '\0')
            return wrong_whole(out);
    }
}

bool ph_fail_begin(const char *text)
{
    return text != NULL && ph_fail_parse(text, &spec) == NULL;
}

const struct fail_spec *ph_fail_in_force(void) { return &spec; }

/* ---- operator new ------------------------------------------------------------------------------- */

/* By thread, roughly: who finds another's note has it fail once more than told, or once less. */
static struct {
    const void *thread;
    size_t bytes;
} again[1 << AGAIN_LOG];

static unsigned again_index(const void *thread)
{
    return (unsigned)((uintptr_t)thread * 0x9e3779b97f4a7c15u >> (64 - AGAIN_LOG));
}

static void again_note(size_t bytes)
{
    const void *self = ph_thread_self();
    again[again_index(self)].bytes = bytes;
    again[again_index(self)].thread = self;
}

/* The next call of the thread, of as many bytes: rounded up to an alignment, maybe. */
static bool again_take(size_t bytes, enum fail_call call)
{
    enum { ALIGN_MOST = 4096 };
    const void *self = ph_thread_self();
    const unsigned i = again_index(self);
    if (again[i].thread != self)
        return false;
    again[i].thread = NULL;
    const bool same = bytes - again[i].bytes < ALIGN_MOST;
    if (same && call == FAIL_NEW)
        again_note(bytes);
    return same;
}

/* ---- which ------------------------------------------------------------------------------------ */

const char *ph_fail_word(enum fail_call call)
{
    static const char words[FAIL_CALLS][16] = {"malloc", "calloc", "realloc", "memalign", "operator new", "HeapAlloc", "HeapReAlloc"};
    return words[call];
}

static void say(size_t bytes, enum fail_call call, uint64_t count, const struct trace *trace, uint64_t hash, uint32_t nth)
{
    struct message m;
    if (__atomic_fetch_add(&said, 1, __ATOMIC_RELAXED) >= LINES_MOST)
        return;
    ph_message_begin(&m);
    ph_message_text(&m, ph_fail_word(call));
    ph_message_text(&m, " of ");
    ph_message_dec(&m, bytes);
    ph_message_text(&m, " bytes fails on purpose, call ");
    ph_message_dec(&m, count);
    ph_message_text(&m, ", stack:");
    ph_message_part(&m, "0000000000000000", (unsigned)__builtin_clzll(hash) / 4);
    ph_message_hex_plain(&m, hash);
    ph_message_text(&m, ".");
    ph_message_dec(&m, nth);
    for (unsigned i = 0; i < trace->depth; i++) {
        ph_message_text(&m, i == 0 ? ", at " : " < ");
        ph_report_place(&m, trace->pc[i]);
    }
    ph_message_send(&m);
}

static uint64_t drawn(uint64_t hash, uint32_t nth)
{
    uint64_t x = hash ^ spec.seed * 0xd1342543de82ef95u ^ (uint64_t)nth << 32;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    x = (x ^ x >> 29) * 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

static bool is_its_turn(uint64_t count, uint64_t hash, uint32_t nth)
{
    return (!(spec.parts & FAIL_NTH) || count == spec.nth) && (!(spec.parts & FAIL_AFTER) || count > spec.after) &&
           (!(spec.parts & FAIL_RATE) || drawn(hash, nth) % spec.rate == 0) &&
           (!(spec.parts & FAIL_STACK) || (hash == spec.stack && nth == spec.ordinal));
}

static bool is_chosen(size_t bytes, struct trace *trace)
{
    if ((spec.parts & FAIL_SIZE) && (bytes < spec.least || bytes > spec.most))
        return false;
    ph_trace_here(trace, NULL);
    return !(spec.parts & FAIL_MODULE) || ph_site_is_of(trace, spec.module);
}

bool ph_fail_now(size_t bytes, enum fail_call call)
{
    struct trace trace;
    uint32_t nth;
    if (unlikely(again_take(bytes, call)))
        return true;
    bool fails;
    if (spec.parts & FAIL_SWEEP) {
        fails = ph_fail_sweep != NULL && ph_fail_sweep(bytes, call);
    } else {
        if (!is_chosen(bytes, &trace))
            return false;
        const uint64_t hash = ph_site_hash(&trace), count = __atomic_add_fetch(&chosen, 1, __ATOMIC_RELAXED);
        (void)ph_site_meet(&trace, hash, &nth);
        fails = is_its_turn(count, hash, nth);
        if (fails)
            say(bytes, call, count, &trace, hash, nth);
    }
    if (fails && call == FAIL_NEW)
        again_note(bytes);
    return fails;
}
