/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* malloc.c -- the C names of the malloc family, served by the process heap.
 *
 * Owns:    errno on failure; nothing else.
 * Calls:   hot.h for the usual case, heap.c and block.c for the rest, foreign.c for pointers that
 *          are not ours, fail.c where some calls are to fail, chaotic.c where option CHAOS is in force.
 * Always:  where a program can tell, glibc's manual holds: ENOMEM on every failure, errno
 *          untouched on success and by free, realloc(p, 0) frees, malloc(0) is a block.
 * Source:  malloc(3), posix_memalign(3), malloc_usable_size(3). */
#include "../lib/fail.h"
#include "../lib/late.h"
#include "../lib/pageheap.h"
#include "chaotic.h"
#include "foreign.h"
#include "take.h"

#include <errno.h>

static COLD void *no_memory(size_t bytes)
{
    if (ph_process_heap.stress != 0)
        ph_page_heap_failed(bytes);
    errno = ENOMEM;
    return NULL;
}

/* Some calls fail on purpose, or chaos is made, or blocks have slots of their own. */
static inline bool is_made_to(void) { return (ph_process_heap.fails | ph_process_heap.chaos | ph_process_heap.stress) != 0; }

/* That, or secure or tolerant mode. */
static inline bool is_unusual(void) { return ph_process_heap.hard != 0 || is_made_to(); }

/* Where exact sizes are kept, a block of nothing has one byte: no usable size of glibc's is 0. */
static size_t not_nothing(size_t bytes) { return bytes != 0 ? bytes : 1; }

static bool is_power_of_two(size_t x) { return x != 0 && (x & (x - 1)) == 0; }

/* ---- allocation --------------------------------------------------------------------------------- */

COLD static void *alloc_slow(const struct request *rq)
{
    struct heap *hp = ph_heap_process();
    void *block = hp != NULL ? ph_heap_alloc(hp, rq) : NULL;
    return block != NULL ? block : no_memory(rq->bytes);
}

/* Nobody asks later who gave a block, unless told to. */
static enum family kept_family(enum family family) { return ph_families != 0 ? family : FAMILY_ANY; }

static COLD void *chaotic_take(const struct request *rq)
{
    void *block = ph_chaotic_take(rq);
    return block != NULL ? block : no_memory(SIZE_MAX);
}

/* All come here in such a process. */
static COLD void *failing_take(const struct request *rq, enum fail_call call)
{
    struct request exact = *rq;
    if (ph_process_heap.fails != 0 && ph_fail_now(rq->bytes, call))
        return no_memory(SIZE_MAX);
    if (ph_process_heap.chaos != 0)
        return chaotic_take(rq);
    exact.bytes = ph_process_heap.stress != 0 ? rq->bytes : not_nothing(rq->bytes);
    exact.sized = true; /* a realloc to less never fails */
    void *block = alloc_slow(&exact);
    if (ph_fail_made != NULL && block != NULL)
        ph_fail_made(block);
    return block;
}

/* Reached by a jump, as its callers are. */
static COLD void *failing_malloc(size_t bytes, enum family family)
{
    const struct request rq = {.bytes = bytes, .family = kept_family(family), .caller = __builtin_return_address(0)};
    return failing_take(&rq, family > FAMILY_MALLOC ? FAIL_NEW : FAIL_MALLOC);
}

/* In secure and tolerant mode. */
static __attribute__((noinline)) void *hard_unusual(size_t bytes, enum family family, const void *caller)
{
    void *block = ph_hard_malloc(bytes, kept_family(family));
    if (likely(block != NULL))
        return block;
    return alloc_slow(&(struct request){.bytes = bytes, .family = kept_family(family), .caller = caller});
}

static inline void *hard_malloc(size_t bytes, enum family family, const void *caller)
{
    void *block = likely(ph_families == 0) ? late_take(bytes) : NULL;
    return likely(block != NULL) ? block : hard_unusual(bytes, family, caller);
}

/* Likewise. */
static __attribute__((noinline)) void *hard_take(size_t bytes, enum family family)
{
    if (unlikely(is_made_to()))
        return failing_malloc(bytes, family);
    return hard_malloc(not_nothing(bytes), family, __builtin_return_address(0));
}

static __attribute__((noinline)) void *hard_calloc(size_t bytes, const void *caller)
{
    if (unlikely(is_made_to()))
        return failing_take(&(struct request){.bytes = bytes, .zero = true, .family = kept_family(FAMILY_MALLOC), .caller = caller},
                            FAIL_CALLOC);
    bytes = not_nothing(bytes);
    void *block = likely(ph_families == 0) ? late_take(bytes) : NULL;
    if (block == NULL && (block = ph_hard_malloc(bytes, kept_family(FAMILY_MALLOC))) == NULL)
        return alloc_slow(&(struct request){.bytes = bytes, .zero = true, .family = kept_family(FAMILY_MALLOC), .caller = caller});
    return ph_process_heap.hard == MODE_SECURE ? block : __builtin_memset(block, 0, bytes);
}

/* One in so many lies between guards.  The local is busy, before and after. */
COLD static void *take_guarded(struct local *lo, const struct request *rq)
{
    local_leave(lo);
    void *block = ph_heap_guarded(&ph_process_heap, rq);
    if (block == NULL)
        local_enter(lo);
    return block;
}

/* The stack is empty, the heap is stopped, this thread is new: in the order of how often. */
static void *refill(struct local *lo, unsigned class, const struct request *rq)
{
    void *block = ph_guard_due() ? take_guarded(lo, rq) : NULL;
    if (block == NULL)
        block = ph_local_take_slow(lo, class, NULL);
    if (unlikely(ph_later_count != 0) && !ph_is_nested())
        ph_heap_free_later();
    return likely(block != NULL) ? block : alloc_slow(rq);
}

/* Reached by a jump: what it returns to is the caller of malloc, or operator new. */
void *ph_malloc_refill(struct local *lo, unsigned class, size_t bytes, enum family family)
{
    if (unlikely(is_unusual())) {
        local_leave(lo);
        return hard_take(bytes, family);
    }
    const struct request rq = {.bytes = not_nothing(bytes), .family = kept_family(family), .caller = __builtin_return_address(0)};
    return refill(lo, class, &rq);
}

static __attribute__((noinline)) void *malloc_run(size_t bytes, enum family family)
{
    if (unlikely(is_unusual()))
        return hard_take(bytes, family);
    void *block = ph_guard_left > GUARD_LEFT_ZERO ? ph_runs_malloc(ph_local, bytes) : NULL;
    if (likely(block != NULL)) {
        ph_guard_count(1);
        return block;
    }
    return alloc_slow(&(struct request){.bytes = bytes, .family = kept_family(family), .caller = __builtin_return_address(0)});
}

/* Likewise.  Pages serve most of these too, by a table of their own that is no concern of the smaller ones. */
void *ph_malloc_bigger(size_t bytes, enum family family)
{
    if (unlikely(bytes > CLASS_BYTES))
        return malloc_run(bytes, family);
    struct local *lo = ph_local;
    const unsigned class = ph_class_medium[(bytes + 127) >> 7];
    void *block = local_take(lo, class);
    return likely(block != NULL) ? block : ph_malloc_refill(lo, class, bytes, family);
}

/* The same for zeroed ones, */
static __attribute__((noinline)) void *calloc_refill(struct local *lo, unsigned class, size_t bytes)
{
    void *block = NULL;
    bool fresh = false;
    if (unlikely(is_unusual())) {
        local_leave(lo);
        return hard_calloc(bytes, __builtin_return_address(0));
    }
    if (ph_guard_due())
        block = take_guarded(lo, &(struct request){.bytes = not_nothing(bytes), .caller = __builtin_return_address(0)});
    if (block != NULL)
        return block;
    if ((block = ph_local_take_slow(lo, class, &fresh)) == NULL)
        return alloc_slow(&(struct request){.bytes = not_nothing(bytes), .zero = true, .family = kept_family(FAMILY_MALLOC),
                                            .caller = __builtin_return_address(0)});
    return fresh ? block : __builtin_memset(block, 0, bytes);
}

static __attribute__((noinline)) void *calloc_bigger(size_t bytes)
{
    if (bytes <= CLASS_BYTES) {
        struct local *lo = ph_local;
        const unsigned class = ph_class_medium[(bytes + 127) >> 7];
        void *block = local_take(lo, class);
        return likely(block != NULL) ? __builtin_memset(block, 0, bytes) : calloc_refill(lo, class, bytes);
    }
    if (unlikely(is_unusual()))
        return hard_calloc(bytes, __builtin_return_address(0));
    return alloc_slow(&(struct request){.bytes = bytes, .zero = true, .family = kept_family(FAMILY_MALLOC),
                                        .caller = __builtin_return_address(0)});
}

static void *aligned_unusual(const struct request *rq, enum family family)
{
    if (unlikely(is_made_to()))
        return failing_take(rq, family > FAMILY_MALLOC ? FAIL_NEW : FAIL_ALIGNED);
    return alloc_slow(rq);
}

/* and for aligned ones, which are for the program, whoever asks. */
static __attribute__((noinline)) void *aligned_refill(struct local *lo, unsigned class, size_t align, size_t bytes, enum family family)
{
    const struct request rq = {.bytes = not_nothing(bytes), .align = align, .family = kept_family(family),
                               .caller = __builtin_return_address(0)};
    if (class == CLASS_COUNT)
        return aligned_unusual(&rq, family);
    if (likely(!is_unusual()))
        return refill(lo, class, &rq);
    local_leave(lo);
    return aligned_unusual(&rq, family);
}

EXPORT void *malloc(size_t bytes) { return malloc_as(bytes, FAMILY_MALLOC); }

EXPORT void *calloc(size_t count, size_t each)
{
    size_t bytes;
    if (unlikely(__builtin_mul_overflow(count, each, &bytes)))
        return no_memory(SIZE_MAX);
    if (unlikely(bytes > SMALL_BYTES))
        return calloc_bigger(bytes);
    struct local *lo = ph_local;
    const unsigned class = ph_class_small[(bytes + 15) >> 4];
    void *block = local_take(lo, class);
    if (unlikely(block == NULL))
        return calloc_refill(lo, class, bytes);
    return __builtin_memset(block, 0, bytes);
}

static __attribute__((noinline)) void *aligned_bigger(size_t align, size_t bytes, enum family family)
{
    struct local *lo = ph_local;
    const unsigned class = ph_class_aligned(bytes, align);
    void *block = class < CLASS_COUNT ? local_take(lo, class) : NULL;
    return likely(block != NULL) ? block : aligned_refill(lo, class, align, bytes, family);
}

/* Whatever malloc's blocks are aligned to: unaligned:1. */
static COLD void *stressed_aligned(size_t align, size_t bytes, enum family family)
{
    return aligned_unusual(
        &(struct request){.bytes = bytes, .align = align, .family = kept_family(family), .caller = __builtin_return_address(0)}, family);
}

/* The class of the next multiple is a multiple itself, mostly: then it is what ph_class_aligned says. */
void *ph_malloc_aligned(size_t align, size_t bytes, enum family family)
{
    if (align <= 16)
        return unlikely(ph_process_heap.stress != 0) ? stressed_aligned(align, bytes, family) : malloc_as(bytes, family);
    const size_t multiple = ((bytes - 1) | (align - 1)) + 1; /* of nothing 0, too little */
    if (unlikely(multiple > SMALL_BYTES))
        return aligned_bigger(align, bytes, family);
    const unsigned class = ph_class_small[(multiple + 15) >> 4];
    if (unlikely((ph_class_bytes[class] & (align - 1)) != 0))
        return aligned_bigger(align, bytes, family);
    struct local *lo = ph_local;
    void *block = local_take(lo, class);
    return likely(block != NULL) ? block : aligned_refill(lo, class, align, bytes, family);
}

/* ---- giving back -------------------------------------------------------------------------------- */

COLD static void free_unusual(void *block)
{
    struct block_info bi;
    if (ph_process_heap.chaos != 0 && ph_chaotic_free(block))
        return;
    const enum block_verdict verdict = ph_heap_look(block, &bi);
    if (verdict == BLOCK_OK && bi.heap == &ph_process_heap) {
        if (ph_heap_free(bi.heap, block, ENTER_PATIENTLY) != BLOCK_OK)
            ph_incident(DIAG_DOUBLE_FREE, block, bi.wanted);
    } else {
        ph_foreign_pointer(block, verdict, &bi);
    }
}

/* In secure and tolerant mode. */
static __attribute__((noinline)) void free_hard_unusual(void *block, enum family family, size_t bytes)
{
    if (block == NULL || ((bytes == SIZE_MAX || ph_families == 0) && ph_hard_free(block, kept_family(family))))
        return;
    if (ph_heap_free_hard(&ph_process_heap, block, ENTER_PATIENTLY, family, bytes) != BLOCK_OK)
        free_unusual(block);
}

static __attribute__((noinline)) void free_hard(void *block, enum family family, size_t bytes)
{
    if (unlikely(ph_families != 0 || !late_give(block)))
        free_hard_unusual(block, family, bytes);
}

void ph_free_slow(struct local *lo, void *block, enum family family, size_t bytes)
{
    if (unlikely(ph_process_heap.hard != 0)) {
        local_leave(lo);
        free_hard(block, family, bytes);
    } else if (unlikely(!ph_local_give_slow(lo, block)) && block != NULL) {
        free_unusual(block);
    }
}

EXPORT void free(void *block) { free_as(block, FAMILY_MALLOC, SIZE_MAX); }

/* A block of a page in secure and tolerant mode.  False: another way, or no memory; nothing was done. */
static bool hard_realloc(void **block, size_t bytes, const void *caller)
{
    size_t had;
    if (ph_hard_resize(*block, bytes, kept_family(FAMILY_MALLOC), &had))
        return true;
    void *now = had != SIZE_MAX ? hard_malloc(bytes, FAMILY_MALLOC, caller) : NULL;
    if (now == NULL)
        return false;
    ph_bytes_copy(now, *block, had < bytes ? had : bytes);
    free_hard(*block, FAMILY_MALLOC, SIZE_MAX);
    *block = now;
    return true;
}

/* Where memory is out a block that shrinks stays where it is: programs do not expect that it cannot. */
static COLD void *moved_refill(struct local *lo, void *block, size_t had, size_t bytes, const void *caller)
{
    const int before = errno;
    void *now = refill(lo, class_of(bytes), &(struct request){.bytes = bytes, .family = kept_family(FAMILY_MALLOC), .caller = caller});
    if (now != NULL || bytes > had)
        return now;
    errno = before;
    return block;
}

/* A plain block to another class. */
static __attribute__((noinline)) void *realloc_move(struct local *lo, void *block, unsigned class, size_t bytes)
{
    const size_t had = ph_class_bytes[class];
    void *now = local_take(lo, class_of(bytes));
    if (unlikely(now == NULL)) {
        now = moved_refill(lo, block, had, bytes, __builtin_return_address(0));
        if (now == NULL || now == block)
            return now;
    }
    __builtin_memcpy(now, block, had < bytes ? had : bytes);
    free_as(block, FAMILY_MALLOC, SIZE_MAX);
    return now;
}

/* Of a block that has no bytes and cannot be touched. */
static COLD void *nothing_realloc(void *block, size_t bytes)
{
    void *now = malloc(bytes);
    if (now != NULL)
        free(block);
    return now;
}

/* One to less never fails where memory is out: neither does it here. */
static COLD void *failing_realloc(void *block, size_t bytes)
{
    struct block_info bi;
    const enum block_verdict verdict = ph_heap_look(block, &bi);
    if (unlikely(verdict != BLOCK_OK || bi.heap != &ph_process_heap))
        return ph_foreign_realloc(block, bytes, verdict, &bi);
    if (ph_process_heap.fails != 0 && bytes > bi.wanted && ph_fail_now(bytes, FAIL_REALLOC))
        return no_memory(SIZE_MAX);
    const struct request rq = {.bytes = bytes, .sized = true, .family = kept_family(FAMILY_MALLOC)};
    void *now = ph_process_heap.chaos != 0 ? ph_chaotic_realloc(&bi, block, bytes) : ph_heap_realloc(bi.heap, &bi, block, &rq, false);
    if (ph_fail_made != NULL && now != NULL)
        ph_fail_made(now);
    return now != NULL ? now : no_memory(SIZE_MAX);
}

static __attribute__((noinline)) void *realloc_unusual(void *block, size_t bytes)
{
    struct block_info bi;
    if (block == NULL)
        return malloc(bytes);
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    if (is_made_to())
        return ph_chaotic_is_nothing(block) ? nothing_realloc(block, bytes) : failing_realloc(block, bytes);
    if (ph_process_heap.hard != 0 && ph_families == 0 && hard_realloc(&block, bytes, __builtin_return_address(0)))
        return block;
    const enum block_verdict verdict = ph_heap_look(block, &bi);
    if (unlikely(verdict != BLOCK_OK || bi.heap != &ph_process_heap))
        return ph_foreign_realloc(block, bytes, verdict, &bi);
    void *now = ph_heap_realloc(bi.heap, &bi, block, &(struct request){.bytes = bytes, .family = kept_family(FAMILY_MALLOC), .caller = __builtin_return_address(0)}, false);
    return now != NULL ? now : no_memory(SIZE_MAX);
}

EXPORT void *realloc(void *block, size_t bytes)
{
    struct local *lo = ph_local;
    const unsigned class = plain_class(lo, block);
    if (unlikely(class == CLASS_COUNT || bytes - 1 >= CLASS_BYTES))
        return realloc_unusual(block, bytes);
    return class_fits(class, bytes) ? block : realloc_move(lo, block, class, bytes);
}

EXPORT void *reallocarray(void *block, size_t count, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, each, &bytes))
        return no_memory(SIZE_MAX);
    return realloc(block, bytes);
}

EXPORT void cfree(void *block);
EXPORT void cfree(void *block) { free(block); }

EXPORT void free_sized(void *block, size_t bytes);
EXPORT void free_sized(void *block, size_t bytes) { free_as(block, FAMILY_MALLOC, bytes); }

EXPORT void free_aligned_sized(void *block, size_t align, size_t bytes);
EXPORT void free_aligned_sized(void *block, size_t align, size_t bytes)
{
    (void)align;
    free_as(block, FAMILY_MALLOC, bytes);
}

/* ---- alignment ---------------------------------------------------------------------------------- */

/* Source: glibc's memalign takes any alignment: the next power of two above it. */
EXPORT void *memalign(size_t align, size_t bytes)
{
    if (align > SIZE_MAX / 2 + 1) {
        errno = EINVAL;
        return NULL;
    }
    if (!is_power_of_two(align))
        align = align <= 1 ? 1 : (size_t)1 << (64 - __builtin_clzl(align - 1));
    return ph_malloc_aligned(align, bytes, FAMILY_MALLOC);
}

/* Source: glibc since 2.38; before, it was memalign. */
EXPORT void *aligned_alloc(size_t align, size_t bytes)
{
    if (is_power_of_two(align))
        return ph_malloc_aligned(align, bytes, FAMILY_MALLOC);
    errno = EINVAL;
    return NULL;
}

EXPORT int posix_memalign(void **out, size_t align, size_t bytes)
{
    if (!is_power_of_two(align) || align % sizeof(void *) != 0)
        return EINVAL;
    void *block = ph_malloc_aligned(align, bytes, FAMILY_MALLOC);
    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}

EXPORT void *valloc(size_t bytes) { return ph_malloc_aligned(ph_os_page_bytes(), bytes, FAMILY_MALLOC); }

EXPORT void *pvalloc(size_t bytes)
{
    const size_t os_page = ph_os_page_bytes();
    if (bytes > SIZE_MAX - os_page)
        return no_memory(SIZE_MAX);
    return ph_malloc_aligned(os_page, (bytes + os_page - 1) & ~(os_page - 1), FAMILY_MALLOC);
}

static __attribute__((noinline)) size_t usable_unusual(void *block)
{
    struct block_info bi;
    if (block == NULL || ph_chaotic_is_nothing(block))
        return 0;
    const enum block_verdict verdict = ph_heap_look(block, &bi);
    return likely(verdict == BLOCK_OK) ? bi.wanted : ph_foreign_usable(block, verdict, &bi);
}

EXPORT size_t malloc_usable_size(void *block)
{
    const unsigned class = plain_class(ph_local, block);
    return likely(class != CLASS_COUNT) ? ph_class_bytes[class] : usable_unusual(block);
}

/* ---- the names inside glibc ------------------------------------------------------------------------ */

ALIAS(malloc) void *__libc_malloc(size_t bytes);
ALIAS(calloc) void *__libc_calloc(size_t count, size_t each);
ALIAS(realloc) void *__libc_realloc(void *block, size_t bytes);
ALIAS(reallocarray) void *__libc_reallocarray(void *block, size_t count, size_t each);
ALIAS(free) void __libc_free(void *block);
ALIAS(cfree) void __libc_cfree(void *block);
ALIAS(memalign) void *__libc_memalign(size_t align, size_t bytes);
ALIAS(posix_memalign) int __posix_memalign(void **out, size_t align, size_t bytes);
ALIAS(valloc) void *__libc_valloc(size_t bytes);
ALIAS(pvalloc) void *__libc_pvalloc(size_t bytes);
