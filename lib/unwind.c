/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* unwind.c -- who called: the return addresses of this thread's stack.
 *
 * Owns:    a cache of rules; for each thread, how far down its stack is known to be readable, and its number.
 * Calls:   cfi.c for the rule of a place, os.c.
 * Locks:   none.  An entry of the cache is two words of which one proves the other: whoever reads half of each of two
 *          finds none.
 * Always:  the stack is read only where it is known to be mapped: from the stack pointer up to the end of the
 *          thread's own stack, or where the system said so just now.
 * Why:     the unwinders of libc and of compilers allocate, lock, or fault on a damaged stack.  A module that is
 *          unloaded leaves its rules in the cache: the worst they do to a later one is a wrong backtrace. */
#include "internal.h"
#include "cfi.h"
#include "unwind.h"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <sys/auxv.h>
#include <ucontext.h>

enum {
    CACHE_LOG = 14,                 /* places of a compiler that is at work: 9,000 */
    STEPS_MOST = TRACE_DEPTH + 32,  /* frames of ours at the top included */
    OWN_MOST = 64 << 20,            /* bytes of a thread's own stack below its end: beyond, we ask for each page */
    EXTEND_MOST = 1 << 20,          /* bytes that one walk finds out for later ones */
    FRAME_MOST = 8 << 20,
    PROBE_BYTES = 4096,             /* no system has smaller OS pages */
};

struct frame {
    uintptr_t pc, sp, bp, bx;
    bool is_exact; /* pc is where it stopped, not where it goes on after a call */
};

struct walk {
    uintptr_t low, high; /* may be read */
    uintptr_t probed;    /* so may this page */
    uintptr_t shift;     /* to where it lies: in a copy of the stack, */
    bool is_copy;        /* beyond which nothing is known */
};

static __thread struct {
    uint32_t known; /* so many pages before the end of the thread's own stack can be read */
    uint32_t number;
} mine __attribute__((tls_model("initial-exec")));

/* ---- where the stack may be read ------------------------------------------------------------ */

static bool is_readable(struct walk *w, uintptr_t at)
{
    const uintptr_t page = at & ~(uintptr_t)(PROBE_BYTES - 1);
    if (page == w->probed && page != 0)
        return true;
    if (!ph_os_is_readable((const void *)page))
        return false;
    w->probed = page;
    return true;
}

/* Between a function's variables there is what a sanitizer calls nobody's. */
#define READS_STACK __attribute__((no_sanitize("address")))

static inline READS_STACK bool load(struct walk *w, uintptr_t at, uintptr_t *out)
{
    if (unlikely((at & 7) != 0 || ((at < w->low || at >= w->high) && (w->is_copy || !is_readable(w, at)))))
        return false;
    *out = *(const uintptr_t *)(at + w->shift);
    return true;
}

/* Above where the first thread's stack began the kernel has left words for the program, these among them. */
static uintptr_t first_end(void)
{
    static uintptr_t end;
    if (unlikely(end == 0))
        __atomic_store_n(&end, (uintptr_t)ph_os_random_bytes() & ~(uintptr_t)7, __ATOMIC_RELAXED);
    return __atomic_load_n(&end, __ATOMIC_RELAXED);
}

/* Where the own stack of this thread ends, when `sp` lies on it; else 0.  A thread that libc made has its control
 * block there. */
static uintptr_t own_end(uintptr_t sp)
{
    const uintptr_t first = first_end();
    if (first - sp < OWN_MOST)
        return first;
    const uintptr_t self = (uintptr_t)ph_thread_self();
    return self - sp < OWN_MOST ? self : 0;
}

/* The first thread's stack is whole above the stack pointer; of another thread's we ask once for each page. */
static void walk_at(struct walk *w, uintptr_t sp)
{
    const uintptr_t end = own_end(sp);
    w->low = w->high = 0;
    if (end == 0)
        return;
    if (end != (uintptr_t)ph_thread_self()) {
        w->low = sp;
        w->high = end;
        return;
    }
    uintptr_t low = (end & ~(uintptr_t)(PROBE_BYTES - 1)) - (uintptr_t)mine.known * PROBE_BYTES;
    if (low > sp && low - sp > EXTEND_MOST)
        return;
    for (; low > sp && ph_os_is_readable((const void *)(low - PROBE_BYTES)); mine.known++)
        low -= PROBE_BYTES;
    if (low <= sp) {
        w->low = sp;
        w->high = end;
    }
}

bool ph_stack_has(const void *address)
{
    enum { STRINGS_MOST = 8 << 20, DEAD_MOST = 256 << 10, OTHER_MOST = 64 << 10 };
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0), at = (uintptr_t)address;
    const uintptr_t end = own_end(here);
    if (end == 0)
        return at - here < OTHER_MOST;
    if (end == (uintptr_t)ph_thread_self())
        return at - here < end - here;
    return at - (here - DEAD_MOST) < end - here + DEAD_MOST + STRINGS_MOST; /* with the arguments' text above */
}

/* ---- one frame ------------------------------------------------------------------------------ */

/* The pseudo frame of a signal: the machine's state stands on the stack. */
static bool frame_of_context(struct walk *w, struct frame *fr, const ucontext_t *uc)
{
#if defined(__x86_64__)
    const greg_t *registers = uc->uc_mcontext.gregs;
    const uintptr_t at = (uintptr_t)registers;
    const bool whole = load(w, at + REG_RIP * 8, &fr->pc) && load(w, at + REG_RSP * 8, &fr->sp) &&
                       load(w, at + REG_RBP * 8, &fr->bp) && load(w, at + REG_RBX * 8, &fr->bx);
#elif defined(__aarch64__)
    const uintptr_t at = (uintptr_t)&uc->uc_mcontext;
    const bool whole = load(w, (uintptr_t)&uc->uc_mcontext.pc, &fr->pc) &&
                       load(w, (uintptr_t)&uc->uc_mcontext.sp, &fr->sp) &&
                       load(w, (uintptr_t)&uc->uc_mcontext.regs[29], &fr->bp) && at != 0;
#else
    const bool whole = false;
    (void)uc;
#endif
    fr->is_exact = true;
    if (whole)
        walk_at(w, fr->sp);
    return whole;
}

/* A signal handler's caller: what was interrupted may have another stack. */
static bool is_after_signal(uintptr_t pc)
{
#if defined(__aarch64__)
    static const uint32_t return_from_signal[] = {0xd2801168, 0xd4000001}; /* mov x8, #139; svc #0 */
    struct walk code = {0};
    return is_readable(&code, pc) && __builtin_memcmp((const void *)pc, return_from_signal, sizeof return_from_signal) == 0;
#else
    (void)pc;
    return false;
#endif
}

/* By frame pointers: what a function without a rule most likely keeps. */
static bool step_by_pointer(struct walk *w, struct frame *fr)
{
    uintptr_t before, pc;
    if (fr->bp < fr->sp || fr->bp - fr->sp > FRAME_MOST || !load(w, fr->bp, &before) || !load(w, fr->bp + 8, &pc))
        return false;
#if defined(__aarch64__)
    pc &= ((uintptr_t)1 << 48) - 1; /* signed, maybe */
#endif
    struct walk code = {0};
    if (pc < PROBE_BYTES || !is_readable(&code, pc))
        return false;
    const bool is_switch = is_after_signal(fr->pc);
    *fr = (struct frame){.pc = pc, .sp = is_switch ? before : fr->bp + 16, .bp = before, .bx = fr->bx};
    if (is_switch)
        walk_at(w, before);
    return true;
}

#if defined(__x86_64__)
static bool step_by_rule(struct walk *w, struct frame *fr, struct cfi_rule rule)
{
    uintptr_t cfa = rule.base == CFI_SP ? fr->sp : rule.base == CFI_BX ? fr->bx : fr->bp;
    cfa += (uintptr_t)(intptr_t)rule.offset;
    if (rule.base == CFI_AT_BP && !load(w, cfa, &cfa))
        return false;
    if (cfa <= fr->sp || cfa - fr->sp > FRAME_MOST || !load(w, cfa - 8, &fr->pc))
        return false;
    if (rule.bp == CFI_SLOT_AT_BP ? !load(w, fr->bp, &fr->bp) : rule.bp != 0 && !load(w, cfa + (uintptr_t)(rule.bp * 8l), &fr->bp))
        return false;
    if (rule.bx != 0 && !load(w, cfa + (uintptr_t)(rule.bx * 8l), &fr->bx))
        return false;
    fr->sp = cfa;
    fr->is_exact = false;
    return true;
}

union rule_word {
    uint64_t word;
    struct cfi_rule rule;
};
static struct cached {
    uint64_t proof; /* rule ^ place */
    uint64_t rule;
} cache[1 << CACHE_LOG];

/* A place has two homes: two that are in use by turns would throw each other out of one. */
static struct cached *home(uintptr_t place) { return &cache[place * 0x9e3779b97f4a7c15u >> (64 - CACHE_LOG)]; }
static struct cached *second_home(uintptr_t place) { return &cache[place * 0xbf58476d1ce4e5b9u >> (64 - CACHE_LOG)]; }

static inline bool is_cached(const struct cached *ca, uintptr_t place, union rule_word *out)
{
    out->word = __atomic_load_n(&ca->rule, __ATOMIC_RELAXED);
    return (__atomic_load_n(&ca->proof, __ATOMIC_RELAXED) ^ out->word) == place;
}

static void cache_set(struct cached *ca, uint64_t proof, uint64_t rule)
{
    __atomic_store_n(&ca->proof, proof, __ATOMIC_RELAXED);
    __atomic_store_n(&ca->rule, rule, __ATOMIC_RELAXED);
}

static __attribute__((noinline)) struct cfi_rule rule_missed(uintptr_t place)
{
    struct cached *first = home(place);
    union rule_word found;
    if (is_cached(second_home(place), place, &found))
        return found.rule;
    found.rule = ph_cfi_rule(place);
    if (found.rule.base == CFI_NONE)
        return found.rule;
    const uint64_t proof = __atomic_load_n(&first->proof, __ATOMIC_RELAXED), rule = __atomic_load_n(&first->rule, __ATOMIC_RELAXED);
    if (proof != rule)
        cache_set(second_home(proof ^ rule), proof, rule);
    cache_set(first, place ^ found.word, found.word);
    return found.rule;
}

static inline struct cfi_rule rule_of(uintptr_t place)
{
    union rule_word found;
    return likely(is_cached(home(place), place, &found)) ? found.rule : rule_missed(place);
}

/* A call through a wild pointer: nothing there, and what called stands on top of the stack. */
static bool step_wild(struct walk *w, struct frame *fr)
{
    struct walk code = {0};
    if (!fr->is_exact || is_readable(&code, fr->pc) || !load(w, fr->sp, &fr->pc))
        return false;
    fr->sp += 8;
    fr->is_exact = false;
    return true;
}

static bool step(struct walk *w, struct frame *fr)
{
    const struct cfi_rule rule = rule_of(fr->pc - !fr->is_exact);
    if (rule.base == CFI_NONE)
        return step_wild(w, fr) || step_by_pointer(w, fr);
    if (rule.base == CFI_SIGNAL)
        return !w->is_copy && frame_of_context(w, fr, (const ucontext_t *)fr->sp);
    return rule.base != CFI_END && step_by_rule(w, fr, rule);
}
#else
static bool step(struct walk *w, struct frame *fr) { return step_by_pointer(w, fr); }
#endif

/* ---- all of them ---------------------------------------------------------------------------- */

/* The address range of this object, when it is one of its own and not part of the program. */
static struct {
    uintptr_t start, bytes;
    bool known;
} own;

static COLD void own_find(void)
{
    struct cfi_module in;
    if (ph_cfi_module((uintptr_t)&ph_trace_here, &in) && in.map->l_name[0] != '\0') {
        own.start = in.start;
        __atomic_store_n(&own.bytes, in.end - in.start, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&own.known, true, __ATOMIC_RELEASE);
}

/* That of the object whose functions ask on behalf of the program: its frames are as ours. */
static struct {
    uintptr_t start, bytes;
} beside;

void ph_trace_beside(const void *code)
{
    struct cfi_module in;
    if (__atomic_load_n(&beside.bytes, __ATOMIC_ACQUIRE) == 0 && ph_cfi_module((uintptr_t)code, &in)) {
        __atomic_store_n(&beside.start, in.start, __ATOMIC_RELAXED);
        __atomic_store_n(&beside.bytes, in.end - in.start, __ATOMIC_RELEASE);
    }
}

static inline bool is_own(uintptr_t pc) { return pc - own.start < own.bytes || pc - beside.start < beside.bytes; }

bool ph_trace_is_own(uintptr_t pc)
{
    if (!__atomic_load_n(&own.known, __ATOMIC_ACQUIRE))
        own_find();
    return pc - own.start < own.bytes;
}

/* In this function itself: the rule for the very place where the registers were read holds. */
#if defined(__x86_64__)
#define FRAME_HERE(fr)                                                                              \
    __asm__ volatile("lea (%%rip), %%rax\n\tmov %%rax, %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2\n\tmov %%rbx, %3" \
                     : "=m"((fr).pc), "=m"((fr).sp), "=m"((fr).bp), "=m"((fr).bx) : : "rax")
#else
#define FRAME_HERE(fr)                                                                              \
    ((fr).bp = (fr).sp = (uintptr_t)__builtin_frame_address(0), (fr).pc = (uintptr_t)&ph_trace_here, (fr).bx = 0)
#endif

static uint32_t thread_number(void)
{
    if (unlikely(mine.number == 0))
        mine.number = ph_os_tid();
    return mine.number;
}

static inline void trace_walk(struct walk *w, struct frame *fr, struct trace *out, unsigned most)
{
    unsigned depth = 0;
    bool inside = true, more = true; /* still among our own frames at the top */
    for (unsigned steps = 0; more && steps < STEPS_MOST && depth < most; steps++) {
        const uintptr_t pc = fr->pc - !fr->is_exact;
        inside = inside && is_own(pc);
        if (!inside)
            out->pc[depth++] = pc;
        more = step(w, fr) && fr->pc != 0;
    }
    out->depth = (uint16_t)depth;
}

__attribute__((noinline)) void ph_trace_here(struct trace *out, const void *ucontext)
{
    struct frame fr = {.is_exact = true};
    struct walk w = {0};
    FRAME_HERE(fr);
    if (unlikely(!__atomic_load_n(&own.known, __ATOMIC_ACQUIRE)))
        own_find();
    walk_at(&w, fr.sp);
    out->depth = 0;
    if (ucontext == NULL || frame_of_context(&w, &fr, ucontext))
        trace_walk(&w, &fr, out, TRACE_DEPTH);
    out->thread = thread_number();
}

__attribute__((noinline)) void ph_trace_deep(struct trace *out, unsigned depth)
{
    struct frame fr = {.is_exact = true};
    struct walk w = {0};
    FRAME_HERE(fr);
    if (unlikely(!__atomic_load_n(&own.known, __ATOMIC_ACQUIRE)))
        own_find();
    walk_at(&w, fr.sp);
    trace_walk(&w, &fr, out, depth < TRACE_DEPTH ? depth : TRACE_DEPTH);
    out->thread = thread_number();
}

/* Of a stack whose end is unknown, what lies in the page of its top. */
READS_STACK __attribute__((noinline)) void ph_stack_copy(struct stack_copy *out)
{
    struct frame fr;
    struct walk w = {0};
    FRAME_HERE(fr);
    walk_at(&w, fr.sp);
    const uintptr_t end = w.high != 0 ? w.high : (fr.sp | (PROBE_BYTES - 1)) + 1;
    const size_t bytes = end - fr.sp < sizeof out->word ? (end - fr.sp) & ~(uintptr_t)7 : sizeof out->word;
    out->thread = thread_number();
    out->bytes = (uint32_t)bytes;
    out->pc = fr.pc;
    out->sp = fr.sp;
    out->bp = fr.bp;
    out->bx = fr.bx;
    for (size_t i = 0; i < bytes / sizeof *out->word; i++)
        out->word[i] = ((const uintptr_t *)fr.sp)[i];
}

void ph_trace_of(struct trace *out, const struct stack_copy *copy)
{
    struct frame fr = {.pc = copy->pc, .sp = copy->sp, .bp = copy->bp, .bx = copy->bx, .is_exact = true};
    struct walk w = {.low = copy->sp, .high = copy->sp + copy->bytes, .shift = (uintptr_t)copy->word - copy->sp, .is_copy = true};
    if (!__atomic_load_n(&own.known, __ATOMIC_ACQUIRE))
        own_find();
    trace_walk(&w, &fr, out, TRACE_DEPTH);
    out->thread = copy->thread;
}

void ph_trace_fork_child(void) { mine.number = 0; }

bool ph_module_of(uintptr_t address, struct module *out)
{
    struct cfi_module in;
    if (!ph_cfi_module(address, &in))
        return false;
    *out = (struct module){.path = in.map->l_name, .bias = in.map->l_addr};
    return true;
}
