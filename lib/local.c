/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* local.c -- one thread's stacks for one heap: refill, flush, attach, detach.
 *
 * Owns:    struct local, struct stack; the thread-local pointer ph_local.
 * Calls:   shard.c, gate.c (beside).  Never: heap.c.
 * Locks:   held on entry of the slow paths: none, but the local is busy.  Takes: class locks while
 *          busy; the gate lock only after busy was cleared.
 * Always:  the entries of a stack are blocks that no page calls free; each has its key in its
 *          second word.  ph_local_none and ph_local_dying have no room and no heap: every test of
 *          the fast path fails there.
 * Why:     locals are never unmapped and are handed from thread to thread, blocks and all, so a
 *          thread that comes and goes costs no mapping. */
#include "hot.h"

#include <pthread.h>

enum { CAP_FIRST = 8, LOCAL_BYTES = 1 << 20 }; /* of blocks in all stacks of one local */

uint64_t ph_secret;

struct local ph_local_none = {.floor = UINT32_MAX, .tag = TAG_STOPPED};
struct local ph_local_dying = {.floor = UINT32_MAX, .tag = TAG_STOPPED};
__thread struct local *ph_local __attribute__((tls_model("initial-exec"))) = &ph_local_none;

static struct local first_local; /* a small process maps nothing for its stacks */
static bool first_taken;         /* the gate lock of the process heap */
static pthread_key_t exit_key;
static bool exit_key_made;

/* ---- setting up ------------------------------------------------------------------------------- */

static unsigned stack_cap_most(unsigned class)
{
    const unsigned fit = STACK_BYTES / ph_class_bytes[class];
    return fit > STACK_SLOTS ? STACK_SLOTS : fit < 2 ? 2 : fit;
}

static void local_shape(struct local *lo, struct heap *hp)
{
    void **slot = lo->slot;
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        struct stack *st = &lo->stack[c];
        st->slot = slot;
        st->cap_max = stack_cap_most(c);
        st->cap = st->cap_max < CAP_FIRST ? st->cap_max : CAP_FIRST;
        lo->cap_bytes += st->cap * ph_class_bytes[c];
        slot += st->cap_max;
    }
    CHECK_INTERNAL(slot <= lo->slot + LOCAL_SLOTS);
    lo->floor = UINT32_MAX;
    lo->tag = TAG_STOPPED;
    lo->heap = hp;
}

/* A local that nobody uses, an orphan's first.  Held: the gate lock. */
static struct local *local_adopt(struct heap *hp)
{
    for (struct local *lo = hp->locals; lo != NULL; lo = lo->next)
        if (lo->state != LOCAL_OWNED)
            return lo;
    struct local *lo = first_taken ? ph_meta_take(sizeof *lo) : &first_local;
    if (lo == NULL)
        return NULL;
    first_taken = true;
    local_shape(lo, hp);
    lo->next = hp->locals;
    hp->locals = lo;
    hp->local_count++;
    return lo;
}

static void thread_exits(void *local)
{
    ph_local = &ph_local_dying;
    ph_local_detach(local);
}

bool ph_local_thread_key(void)
{
    exit_key_made = pthread_key_create(&exit_key, thread_exits) == 0;
    return exit_key_made;
}

/* Give this thread stacks of its own.  NULL when it is on its way out, or memory is.  Setting the
 * key's value may allocate, so the local stands first. */
struct local *ph_local_attach(struct heap *hp)
{
    if (ph_local == &ph_local_dying || !exit_key_made)
        return NULL;
    if (ph_local != &ph_local_none)
        return ph_local;
    ph_lock_take(&hp->gate.lock);
    struct local *lo = local_adopt(hp);
    if (lo != NULL) {
        lo->owner = ph_thread_self();
        lo->state = LOCAL_OWNED;
        lo->busy = 0;
        (void)ph_gate_bias(lo);
    }
    ph_lock_give(&hp->gate.lock);
    if (lo == NULL)
        return NULL;
    ph_local = lo;
    if (pthread_setspecific(exit_key, lo) != 0) {
        ph_local = &ph_local_dying;
        ph_local_detach(lo);
        return NULL;
    }
    return lo;
}

/* ---- emptying --------------------------------------------------------------------------------- */

void ph_local_empty(struct local *lo)
{
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        struct stack *st = &lo->stack[c];
        if (st->count > 0)
            ph_shard_flush(lo->heap, KIND_PLAIN + c, st, st->count);
        ph_shard_unfresh(lo->heap, KIND_PLAIN + c, st);
        const uint32_t cap = st->cap_max < CAP_FIRST ? st->cap_max : CAP_FIRST;
        lo->cap_bytes -= (st->cap - cap) * ph_class_bytes[c];
        st->cap = cap;
    }
}

void ph_local_empty_all(struct heap *hp)
{
    if (hp->gate.emptied)
        return;
    for (struct local *lo = hp->locals; lo != NULL; lo = lo->next)
        ph_local_empty(lo);
    hp->gate.emptied = 1;
}

/* The thread goes: everything back to the pages.  While another thread holds HeapLock nothing may
 * change, so the local waits as an orphan for a walk or an heir. */
void ph_local_detach(struct local *lo)
{
    struct heap *hp = lo->heap;
    ph_lock_take(&hp->gate.lock);
    lo->floor = UINT32_MAX;
    lo->tag = TAG_STOPPED;
    if (hp->gate.owner != NULL && hp->gate.owner != ph_thread_self()) {
        lo->state = LOCAL_ORPHAN;
    } else {
        ph_local_empty(lo);
        lo->state = LOCAL_POOLED;
    }
    lo->owner = NULL;
    ph_lock_give(&hp->gate.lock);
}

void ph_local_forget_others(struct heap *hp)
{
    for (struct local *lo = hp->locals; lo != NULL; lo = lo->next) {
        if (lo->state != LOCAL_OWNED || lo->owner == ph_thread_self())
            continue;
        lo->state = LOCAL_ORPHAN;
        lo->owner = NULL;
        lo->busy = 0;
        lo->floor = UINT32_MAX;
        lo->tag = TAG_STOPPED;
    }
}

/* ---- the slow halves of take and give ------------------------------------------------------- */

/* A stack that overflows or runs dry may hold more next time, while all together stay in bounds. */
static void stack_widen(struct local *lo, struct stack *st, unsigned class)
{
    const uint32_t more = st->cap < st->cap_max - st->cap ? st->cap : st->cap_max - st->cap;
    const uint32_t bytes = more * ph_class_bytes[class];
    if (lo->cap_bytes + bytes > LOCAL_BYTES)
        return;
    st->cap += more;
    lo->cap_bytes += bytes;
}

static void key_mismatch(const void *block, unsigned class)
{
    const uint64_t key = *block_key((void *)(uintptr_t)block);
    ph_corrupt(key == BLOCK_LIVE ? "freed twice" : "changed after free", block, ph_class_bytes[class]);
}

static void *stack_pop(struct stack *st, unsigned class)
{
    void *block = st->slot[st->count - 1];
    if (*block_key(block) != block_key_value(block))
        key_mismatch(block, class);
    *block_key(block) = BLOCK_LIVE;
    __atomic_store_n(&st->count, st->count - 1, __ATOMIC_RELAXED);
    return block;
}

static void *stack_pop_fresh(struct stack *st, unsigned class, bool *fresh)
{
    void *block = st->fresh;
    st->fresh += ph_class_bytes[class];
    st->fresh_count--;
    if (fresh != NULL)
        *fresh = true;
    return block;
}

/* Busy on entry and biased. */
static void *take_biased(struct local *lo, unsigned class, bool *fresh)
{
    struct stack *st = &lo->stack[class];
    void *block = NULL;
    if (st->count == 0 && st->fresh_count == 0) {
        (void)ph_shard_refill(lo->heap, KIND_PLAIN + class, st, st->cap / 2 + 1);
        stack_widen(lo, st, class);
    }
    if (st->count > 0)
        block = stack_pop(st, class);
    else if (st->fresh_count > 0)
        block = stack_pop_fresh(st, class, fresh);
    local_leave(lo);
    return block;
}

/* Under the gate lock, or in a thread that has no stacks. */
static void *take_without_stack(struct heap *hp, unsigned class, bool *fresh)
{
    bool is_fresh = false;
    void *block = NULL;
    struct pass ps = ph_gate_enter(hp, ENTER_PATIENTLY);
    if (ps.lo != NULL)
        return take_biased(ps.lo, class, fresh);
    block = ph_shard_take(hp, KIND_PLAIN + class, 0, &is_fresh);
    ph_gate_leave(hp, ps);
    if (fresh != NULL)
        *fresh = is_fresh;
    return block;
}

void *ph_local_take_slow(struct local *lo, unsigned class, bool *fresh)
{
    if (likely(lo->heap != NULL && __atomic_load_n(&lo->floor, __ATOMIC_RELAXED) == 0))
        return take_biased(lo, class, fresh);
    local_leave(lo);
    if (lo->heap != NULL)
        return take_without_stack(lo->heap, class, fresh);
    struct heap *hp = ph_heap_process();
    if (hp == NULL)
        return NULL;
    (void)ph_local_attach(hp);
    return take_without_stack(hp, class, fresh);
}

/* Busy on entry and biased: the entry is a plain page's of this heap. */
static bool give_biased(struct local *lo, void *block, uint64_t entry, unsigned class)
{
    struct stack *st = &lo->stack[class];
    const uint64_t magic = ph_class_magic[class];
    const bool starts = entry_offset(entry, block) * magic < magic;
    if (starts) {
        if (st->count >= st->cap)
            stack_widen(lo, st, class);
        if (st->count >= st->cap)
            ph_shard_flush(lo->heap, KIND_PLAIN + class, st, (st->cap + 1) / 2);
        *block_key(block) = block_key_value(block);
        st->slot[st->count] = block;
        __atomic_store_n(&st->count, st->count + 1, __ATOMIC_RELAXED);
    }
    local_leave(lo);
    return starts;
}

/* False: not a plain block of the process heap that this thread has stacks for; heap.c knows. */
bool ph_local_give_slow(struct local *lo, void *block, uint64_t entry)
{
    struct heap *hp = lo->heap;
    if (hp == NULL && entry != 0 && ph_local_attach(&ph_process_heap) != NULL) {
        local_leave(lo);
        return local_give(ph_local, block);
    }
    if (hp != NULL && __atomic_load_n(&lo->floor, __ATOMIC_RELAXED) == 0) {
        const uint32_t class = (uint32_t)entry - (hp->tag | KIND_PLAIN);
        if (class < CLASS_COUNT)
            return give_biased(lo, block, entry, class);
    }
    local_leave(lo);
    return false;
}
