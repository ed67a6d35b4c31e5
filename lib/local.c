/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* local.c -- one thread's stacks for one heap: refill, flush, attach, detach.
 *
 * Owns:    struct local, struct stack; the thread-local pointer ph_local.
 * Calls:   shard.c, gate.c (beside).  Never: heap.c.
 * Locks:   held on entry of the slow paths: none, but the local is busy.  Takes: class locks while
 *          busy; the gate lock only after busy was cleared.
 * Always:  the entries of a stack are blocks that no page calls free; each has its key in its
 *          second word.  ph_local_none has no room and no heap: every test of the fast path fails
 *          there; it serves threads that are new and threads on their way out.
 * Why:     locals are never unmapped and are handed from thread to thread, blocks and all, so a
 *          thread that comes and goes costs no mapping. */
#include "guard.h"
#include "stack.h"

#include <pthread.h>

#include "small.h"

uint64_t ph_secret;

uint64_t ph_no_block[2] __attribute__((aligned(16)));

/* A stack without room: malloc finds the block that is none, free finds no limit. */
#define NO_STACK {.top = &ph_stack_no_entry + 1}
#define NO_STACKS_8 NO_STACK, NO_STACK, NO_STACK, NO_STACK, NO_STACK, NO_STACK, NO_STACK, NO_STACK
#define NO_STACKS \
    {NO_STACKS_8, NO_STACKS_8, NO_STACKS_8, NO_STACKS_8, NO_STACKS_8, NO_STACKS_8, NO_STACKS_8, NO_STACKS_8}
struct local ph_local_none = {.tag = TAG_STOPPED, .stack = NO_STACKS};
__thread struct local *ph_local __attribute__((tls_model("initial-exec"))) = &ph_local_none;

/* A small process maps nothing for its stacks.  Common as ph_map_root is. */
char ph_first_local[LOCAL_WHOLE_BYTES] __attribute__((common, aligned(64)));
static bool first_taken; /* the gate lock of the process heap */
static pthread_key_t exit_key;
static bool exit_key_made;

/* ---- setting up ------------------------------------------------------------------------------- */

/* Deal out the slots; nothing is written there before a class is used. */
void ph_local_shape(struct local *lo, struct heap *hp, unsigned stride)
{
    unsigned wide = CLASS_COUNT * (SLOTS_FIRST + 1) * stride;
    lo->stride = stride;
    lo->slots_used = lo->cap_bytes = 0;
    lo->flushed = lo->deep = 0;
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        struct stack *st = &lo->stack[c];
        ph_stack_close(lo, st);
        st->cap_max = (uint16_t)stack_cap_most(c);
        st->wide = (uint16_t)(wide + stride);
        wide += (st->cap_max + 1u) * stride;
    }
    if (wide > DEEP_START * stride)
        ph_check_failed("wide <= DEEP_START", __FILE__, __LINE__);
    ph_runs_none(lo);
    __atomic_store_n(&lo->heap, hp, __ATOMIC_RELEASE);
    ph_gate_unbias(lo);
}

/* An entry that a thread left in mid-air: back to its page, if it is what it says. */
static void salvage_entry(struct local *lo, unsigned class, void **entry)
{
    if (lo->stride == 1)
        (void)ph_shard_salvage(lo->heap, KIND_PLAIN + class, *entry);
    else
        (void)ph_shard_salvage_sized(lo->heap, KIND_SIZED + class, (struct sized_entry *)(void *)entry);
}

/* In the child of a fork, or where an operation was left: its thread may have been in the middle of anything but a leaf lock, so
 * each entry must prove itself; what cannot is lost.  Held: the gate lock. */
static void local_salvage(struct local *lo)
{
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        struct stack *st = &lo->stack[c];
        void **bottom = stack_bottom(lo, st);
        if (stack_has_room(st) && st->top >= bottom && st->top <= bottom + stack_room(lo, st, c) * lo->stride)
            for (void **at = bottom; at < st->top; at += lo->stride)
                salvage_entry(lo, c, at);
        ph_stack_close(lo, st);
        if (lo->stride == 1)
            ph_shard_unfresh(lo->heap, KIND_PLAIN + c, st);
    }
    if (lo->late != NULL) /* the sweep finds them */
        lo->late->first = lo->late->count = 0, lo->late->bytes = 0;
    ph_runs_salvage(lo);
    lo->slots_used = lo->cap_bytes = lo->left = 0;
    lo->flushed = lo->deep = 0;
    if (lo->state == LOCAL_STRAY)
        lo->state = LOCAL_POOLED;
    lo->seal = local_seal(lo);
    if (lo->stride == 2)
        lo->heap->lost = FLAG_SET;
}

/* A local that nobody uses, with the blocks that an orphan has.  Held: the gate lock. */
struct local *ph_local_adopt(struct heap *hp, unsigned stride)
{
    for (struct local *lo = hp->locals; lo != NULL; lo = lo->next)
        if (lo->state != LOCAL_OWNED && lo->stride == stride) {
            if (local_is_torn(lo))
                local_salvage(lo);
            return lo;
        }
    return NULL;
}

/* Held: the gate lock. */
void ph_local_own(struct heap *hp, struct local *lo)
{
    __atomic_store_n(&lo->owner, ph_thread_self(), __ATOMIC_RELAXED);
    lo->busy = 0;
    __atomic_store_n(&lo->state, LOCAL_OWNED, __ATOMIC_RELEASE);
    lo->seal = local_seal(lo);
    (void)ph_gate_bias(lo);
    CHECK_INTERNAL(lo->heap == hp);
}

/* Held: the gate lock. */
void ph_local_add(struct heap *hp, struct local *lo)
{
    lo->next = hp->locals;
    lo->seal = local_seal(lo);
    __atomic_store_n(&hp->locals, lo, __ATOMIC_RELEASE);
    hp->local_count++;
    hp->locals_seal = locals_seal(hp);
}

static struct local *local_make(struct heap *hp)
{
    struct local *lo = first_taken ? ph_meta_take(LOCAL_WHOLE_BYTES) : (struct local *)ph_first_local;
    if (lo == NULL)
        return NULL;
    if (first_taken)
        ph_lock_watch_forks();
    first_taken = true;
    ph_local_shape(lo, hp, 1);
    ph_local_add(hp, lo);
    return lo;
}

static void detach_all(void)
{
    struct local *lo = ph_local;
    ph_local = &ph_local_none;
    (void)(lo != &ph_local_none && ph_local_detach(lo));
    ph_sized_detach_all();
}

static void thread_exits(void *mark)
{
    (void)mark;
    if (ph_signals & SIGNALS_CANCEL)
        ph_locks_held = 0; /* it was cancelled just before it took a lock */
    (void)ph_is_nested(); /* a handler that this thread left */
    ph_nested_abandon(ph_local, ph_thread);
    ph_signals |= SIGNALS_EXITING;
    detach_all();
}

/* From now on, or no longer: once threads are cancelled, this one is in the middle of nothing without a lock. */
void ph_local_without(bool wish)
{
    if (!wish) {
        ph_signals &= (uint8_t)~SIGNALS_CANCEL;
        return;
    }
    ph_async_ever = true;
    ph_signals |= SIGNALS_CANCEL;
    if (ph_must_do_without() && !ph_is_nested())
        detach_all();
}

void ph_local_thread_key(void)
{
    if (pthread_key_create(&exit_key, thread_exits) == 0)
        __atomic_store_n(&exit_key_made, true, __ATOMIC_RELEASE);
}

bool ph_local_may_attach(void)
{
    return __atomic_load_n(&exit_key_made, __ATOMIC_ACQUIRE) && ph_nest == 0 && !(ph_signals & SIGNALS_EXITING) && !ph_must_do_without();
}

/* Setting the key's value may allocate, so what the caller made stands first. */
bool ph_local_at_exit(void *mark)
{
    if (pthread_setspecific(exit_key, mark) == 0)
        return true;
    thread_exits(mark);
    return false;
}

/* Give this thread stacks of its own.  NULL when it is on its way out, or memory is. */
struct local *ph_local_attach(struct heap *hp)
{
    if (!ph_local_may_attach() || hp->packed_only || hp->hard != 0)
        return NULL;
    if (ph_local != &ph_local_none)
        return ph_local;
    ph_lock_take(&hp->gate.lock);
    struct local *lo = ph_local_adopt(hp, 1);
    if (lo == NULL)
        lo = local_make(hp);
    if (lo != NULL)
        ph_local_own(hp, lo);
    ph_lock_give(&hp->gate.lock);
    if (lo == NULL)
        return NULL;
    ph_local = lo;
    return ph_local_at_exit(lo) ? lo : NULL;
}

/* ---- emptying --------------------------------------------------------------------------------- */

static void stack_empty(struct local *lo, struct stack *st, unsigned class)
{
    if (stack_count(lo, st) > 0) {
        if (lo->stride == 1)
            ph_shard_flush(lo->heap, KIND_PLAIN + class, st, stack_bottom(lo, st), stack_count(lo, st), FLUSH_TO_PAGES);
        else
            ph_shard_flush_sized(lo->heap, KIND_SIZED + class, st, stack_bottom(lo, st), stack_count(lo, st));
    }
    if (lo->stride == 1)
        ph_shard_unfresh(lo->heap, KIND_PLAIN + class, st);
    if (stack_has_room(st))
        st->limit = stack_bottom(lo, st) + stack_cap_first(class) * lo->stride;
}

void ph_local_empty(struct local *lo)
{
    if (local_is_torn(lo)) {
        local_salvage(lo);
        return;
    }
    if (lo->late != NULL)
        ph_late_empty(lo);
    for (unsigned c = 0; c < CLASS_COUNT; c++)
        stack_empty(lo, &lo->stack[c], c);
    ph_runs_empty(lo, 0);
    lo->cap_bytes = 0;
    lo->flushed = lo->deep = 0;
}

void ph_local_empty_all(struct heap *hp)
{
    if (hp->gate.emptied)
        return;
    for (struct local *lo = hp->locals; lo != NULL; lo = lo->next)
        ph_local_empty(lo);
    ph_shard_empty_depots(hp);
    if (hp->lost)
        ph_shard_sweep(hp);
    hp->lost = 0;
    hp->gate.emptied = FLAG_SET;
}

/* The thread goes: everything back to the pages.  While another thread holds HeapLock nothing may
 * change, so the local waits as an orphan for a walk or an heir. */
bool ph_local_detach(struct local *lo)
{
    struct heap *hp = __atomic_load_n(&lo->heap, __ATOMIC_ACQUIRE);
    if (hp == NULL)
        return false;
    ph_lock_take(&hp->gate.lock);
    const bool live = lo->heap == hp;
    if (live) {
        ph_gate_unbias(lo);
        if (hp->gate.owner != NULL && hp->gate.owner != ph_thread_self()) {
            lo->state = LOCAL_ORPHAN;
        } else {
            ph_local_empty(lo);
            lo->state = LOCAL_POOLED;
        }
        __atomic_store_n(&lo->owner, NULL, __ATOMIC_RELAXED);
        lo->seal = local_seal(lo);
    }
    ph_lock_give(&hp->gate.lock);
    return live;
}

void ph_local_forget_others(struct heap *hp)
{
    for (struct local *lo = hp->locals; lo != NULL; lo = lo->next) {
        if (lo->state != LOCAL_OWNED || lo->owner == ph_thread_self())
            continue;
        ph_runs_settle(lo);
        lo->state = LOCAL_STRAY;
        lo->owner = NULL;
        lo->busy = 0;
        lo->seal = local_seal(lo);
        ph_gate_unbias(lo);
    }
}

/* ---- the slow halves of take and give ------------------------------------------------------- */

static void *stack_pop(struct stack *st, unsigned class)
{
    CHECK_CALLER(stack_has_room(st));
    void *block = st->top[-1];
    const uint64_t key = *block_key(block);
    if (key != block_key_value(block))
        ph_corrupt(key == BLOCK_LIVE || key == block_page_key(block) ? DIAG_DOUBLE_FREE : DIAG_WRITE_AFTER_FREE, block,
                   ph_class_bytes[class]);
    *block_key(block) = BLOCK_LIVE;
    __atomic_store_n(&st->top, st->top - 1, __ATOMIC_RELAXED);
    return block;
}

/* The exchange writes before it reads, as it were: a load of its own would touch memory twice. */
static void *stack_pop_fresh(struct stack *st, unsigned class, bool *fresh)
{
    void *block = st->fresh;
    if (unlikely(__atomic_exchange_n(block_key(block), 0, __ATOMIC_RELAXED) != 0))
        ph_corrupt(DIAG_FRESH_WRITTEN, block, ph_class_bytes[class]);
    st->fresh_count--;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* a child of fork may find us between the two: a block less, none twice */
    st->fresh += ph_class_bytes[class];
    if (fresh != NULL)
        *fresh = true;
    return block;
}

/* Busy on entry and biased. */
static void *take_biased(struct local *lo, unsigned class, bool *fresh)
{
    struct stack *st = &lo->stack[class];
    void *block = NULL;
    if (unlikely(!stack_has_room(st)))
        ph_stack_open(lo, st, class);
    if (stack_count(lo, st) == 0 && st->fresh_count == 0) {
        ph_shard_refill(lo->heap, KIND_PLAIN + class, st, stack_cap(lo, st) / REFILL_PART + 1);
        if (++lo->refills % REFILLS_PER_CLOCK == 0)
            ph_local_expire(lo);
        if (stack_count(lo, st) > 0) { /* the class lives on what it frees, and wants more of it at hand */
            ph_guard_count(stack_count(lo, st)); /* never-used ones come here one by one */
            ph_stack_ran_dry(lo, st, class);
        }
    }
    if (stack_count(lo, st) > 0)
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
    if (hp->packed_only || hp->hard != 0) return NULL; /* alloc.c serves it */
    struct pass ps = ph_gate_enter(hp, ENTER_PATIENTLY);
    if (ps.lo != NULL && ps.lo->stride == 1)
        return take_biased(ps.lo, class, fresh);
    block = ph_shard_take(hp, KIND_PLAIN + class, 0, &is_fresh);
    ph_gate_leave(hp, ps);
    if (fresh != NULL)
        *fresh = is_fresh;
    return block;
}

void *ph_local_take_slow(struct local *lo, unsigned class, bool *fresh)
{
    if (unlikely(ph_locks_held != 0) && ph_is_nested())
        return NULL; /* still busy: so is the interrupted operation */
    if (unlikely(__atomic_load_n(&lo->watch, __ATOMIC_RELAXED) != 0))
        ph_settle_look(lo);
    if (likely(__atomic_load_n(&lo->biased, __ATOMIC_RELAXED)))
        return take_biased(lo, class, fresh);
    local_leave(lo);
    if (unlikely(ph_is_nested()))
        return NULL;
    if (lo->heap != NULL)
        return take_without_stack(lo->heap, class, fresh);
    struct heap *hp = ph_heap_process();
    if (hp == NULL)
        return NULL;
    (void)ph_local_attach(hp);
    return take_without_stack(hp, class, fresh);
}

/* Busy on entry and biased: the entry is a plain page's of this heap. */
static bool give_biased(struct local *lo, void *block, unsigned class)
{
    struct stack *st = &lo->stack[class];
    const uint64_t magic = ph_class_magic[class];
    if (unlikely(!stack_has_room(st)))
        ph_stack_open(lo, st, class);
    const bool drains = st->top >= st->limit && ph_settle_overflow(lo, st, class);
    /* now, because the flush may have given its page away: then it was freed twice */
    const uint64_t entry = map_get(block);
    const bool starts = (uint32_t)entry == (lo->heap->tag | KIND_PLAIN) + class &&
                        entry_distance(entry, block) * magic < magic;
    if (starts) {
        *block_key(block) = block_key_value(block);
        *st->top = block;
        __atomic_store_n(&st->top, st->top + 1, __ATOMIC_RELAXED);
    }
    local_leave(lo);
    if (unlikely(drains))
        ph_settle_watch(lo);
    return starts;
}

/* False: not a plain block of the process heap that this thread has stacks for; block.c knows. */
bool ph_local_give_slow(struct local *lo, void *block)
{
    const uint64_t entry = map_get(block);
    if (unlikely((ph_locks_held | ph_nest) != 0) && ph_is_nested())
        return false; /* still busy: so is the interrupted operation */
    if (lo->heap == NULL && entry != 0 && ph_local_attach(&ph_process_heap) != NULL) {
        local_leave(lo);
        return local_give(ph_local, block) || ph_local_give_slow(ph_local, block);
    }
    if (__atomic_load_n(&lo->biased, __ATOMIC_RELAXED)) {
        const uint32_t class = (uint32_t)entry - (lo->heap->tag | KIND_PLAIN);
        if (class < CLASS_COUNT)
            return give_biased(lo, block, class);
        if ((uint32_t)entry == (lo->heap->tag | KIND_RUN) && (ph_runs_free(lo, entry, block) || ph_span_give_run(lo->heap, block))) {
            local_leave(lo);
            return true;
        }
    }
    local_leave(lo);
    return false;
}
