/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_pointers.c -- pointers that are no live block of the heap (W32 2.7), each with HeapFree,
 * HeapReAlloc, HeapSize and HeapValidate, in each kind of heap, beside blocks of several sizes: refused with
 * the last error that the contract says, nothing read outside the heap, nothing changed. */
#include "check_contract.h"

static const size_t classes[] = { 0, 16, 40, 300, 1000, 5000, 20000, 100000, 600000, 3 << 20 };
#define CLASSES COUNT(classes)

static const struct kind *kind;
static size_t bytes;
static HANDLE heap, other;
static unsigned char *block, *kept, *others;

#define NEED(cond)                                                                                           \
    ck_assert_msg(cond, "%s, beside %zu bytes, pointer %d: %s", kind->name, bytes, which, #cond)
#define NEED_LAST(error)                                                                                     \
    ck_assert_msg(GetLastError() == (error) && errno == ERRNO_SENTINEL,                                      \
                  "%s, beside %zu bytes, pointer %d: last error %u, errno %d", kind->name, bytes, which,     \
                  GetLastError(), errno)

enum pointer {
    FREED,
    ODD,
    PLUS_8,
    PLUS_16,
    MIDDLE,
    LAST,
    MINUS_1,
    MINUS_8,
    OTHERS,
    OTHERS_MIDDLE,
    HANDLE_ITSELF,
    HANDLE_PLUS_16,
    HANDLE_PLUS_PAGE,
    OTHER_HANDLE,
    STACK,
    STATIC,
    LITERAL,
    CODE,
    FROM_MALLOC,
    NO_ACCESS,
    UNMAPPED,
    ENDED_HEAPS,
    ONE,
    WILD,
    NOT_CANONICAL,
    KERNEL,
    MINUS_ONE,
    MINUS_SIXTEEN,
    POINTERS
};

static void *outside_pointer(enum pointer which)
{
    static unsigned char on_no_heap[256];
    static unsigned char *volatile on_stack;
    static void *from_malloc;
    unsigned char here[256];
    memset(here, 0, sizeof here);
    on_stack = here;
    if (!from_malloc) from_malloc = malloc(1000);
    switch (which) {
    case STACK:
        return on_stack + 64;
    case STATIC:
        return on_no_heap + 64;
    case LITERAL:
        return (void *)(uintptr_t) "a literal";
    case CODE:
        return (void *)(uintptr_t)&outside_pointer;
    case FROM_MALLOC:
        return from_malloc;
    case ONE:
        return (void *)(uintptr_t)1;
    case WILD:
        return (void *)(uintptr_t)0x00007ABCDEF01230;
    case NOT_CANONICAL:
        return (void *)(uintptr_t)0x8000000000000000;
    case KERNEL:
        return (void *)(uintptr_t)0xFFFF800000000010;
    case MINUS_ONE:
        return (void *)(uintptr_t)-1;
    default:
        return (void *)(uintptr_t)-16;
    }
}

/* NULL where such a pointer does not exist for this size. */
static void *bad_pointer(enum pointer which)
{
    switch (which) {
    case FREED: {
        void *freed = HeapAlloc(heap, kind->call_flags, bytes);
        if (freed) ck_assert_int_eq(HeapFree(heap, kind->call_flags, freed), TRUE);
        return freed;
    }
    case ODD:
        return block + 1;
    case PLUS_8:
        return block + 8;
    case PLUS_16:
        return bytes > 16 ? block + 16 : NULL;
    case MIDDLE:
        return bytes > 32 ? block + bytes / 2 / 16 * 16 : NULL;
    case LAST:
        return bytes > 16 ? block + (bytes - 1) / 16 * 16 : NULL;
    case MINUS_1:
        return block - 1;
    case MINUS_8:
        return block - 8;
    case OTHERS:
        return others;
    case OTHERS_MIDDLE:
        return others + 16;
    case HANDLE_ITSELF:
        return block == heap || kept == heap ? NULL : heap; /* a test of its own sees that it is none */
    case HANDLE_PLUS_16: {
        unsigned char *at = (unsigned char *)heap + 16;
        return at == block || at == kept || kind->process ? NULL : at;
    }
    case HANDLE_PLUS_PAGE: {
        unsigned char *at = (unsigned char *)heap + PAGE;
        return at == block || at == kept || kind->process ? NULL : at;
    }
    case OTHER_HANDLE:
        return other;
    case NO_ACCESS: {
        void *at = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return at;
    }
    case UNMAPPED: {
        void *at = mmap(NULL, MB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(at, MB);
        return at;
    }
    case ENDED_HEAPS: {
        HANDLE ended = HeapCreate(0, 0, MB);
        void *at = HeapAlloc(ended, 0, 1000);
        ck_assert_int_eq(HeapDestroy(ended), TRUE);
        return at;
    }
    default:
        return outside_pointer(which);
    }
}

static void refuse(int which, DWORD more)
{
    void *bad = bad_pointer((enum pointer)which);
    const DWORD flags = kind->call_flags | more;
    if (!bad) return;
    NEED(ASK(HeapFree(heap, flags, bad)) == FALSE);
    NEED_LAST(ERROR_INVALID_PARAMETER);
    NEED(ASK(HeapSize(heap, flags, bad)) == (SIZE_T)-1);
    NEED_LAST(ERROR_INVALID_PARAMETER);
    NEED(ASK(HeapValidate(heap, flags, bad)) == FALSE);
    NEED_LAST(SENTINEL);
    for (int i = 0; i < 4 && !kind_raises(kind); i++) {
        static const size_t next[] = { 0, 8, 2000, SIZE_MAX };
        NEED(ASK(HeapReAlloc(heap, flags | (i % 2 ? HEAP_REALLOC_IN_PLACE_ONLY : HEAP_ZERO_MEMORY), bad,
                             next[i])) == NULL);
        NEED_LAST(ERROR_INVALID_PARAMETER);
    }
    NEED(HeapValidate(heap, 0, NULL) == TRUE && HeapValidate(other, 0, NULL) == TRUE);
    NEED(HeapSize(heap, 0, block) == bytes && HeapValidate(heap, 0, block) == TRUE);
    NEED(is_filled(block, 0x66, 0, bytes) && is_filled(kept, 0x67, 0, bytes) &&
         is_filled(others, 0x68, 0, 1000));
    if (which == NO_ACCESS) munmap(bad, PAGE);
}

START_TEST(pointer_that_is_no_live_block_is_refused) /* W32 2.7 */
{
    kind = &kinds[_i / CLASSES];
    bytes = classes[_i % CLASSES];
    heap = kind_open(kind);
    other = HeapCreate(0, 0, 0);
    if (kind_has_room(kind, bytes, 3)) {
        const int which = -1;
        block = HeapAlloc(heap, kind->call_flags, bytes);
        kept = HeapAlloc(heap, kind->call_flags, bytes);
        others = HeapAlloc(other, 0, 1000);
        NEED(block && kept && others);
        fill(block, 0x66, bytes);
        fill(kept, 0x67, bytes);
        fill(others, 0x68, 1000);
        for (int i = 0; i < POINTERS; i++) refuse(i, (_i + i) % 2 ? HEAP_NO_SERIALIZE : 0);
        NEED(HeapFree(heap, kind->call_flags, block) && HeapFree(heap, kind->call_flags, kept));
    }
    ck_assert_int_eq(HeapDestroy(other), TRUE);
    kind_close(kind, heap);
}
END_TEST

/* It is the region's entry in a walk, and HeapValidate of that is FALSE. */
START_TEST(handle_is_never_a_block) /* W32 3.7, W32 3.10 */
{
    enum { MOST = 300 };
    static unsigned char *one[MOST];
    const int which = HANDLE_ITSELF;
    kind = &kinds[_i / CLASSES];
    bytes = classes[_i % CLASSES];
    heap = kind_open(kind);
    int count = 0;
    while (count < MOST && (count == 0 || kind_has_room(kind, bytes, 2 * (size_t)count)) &&
           (size_t)count * bytes < 2 * MB && kind_has_room(kind, bytes, 1))
        NEED((one[count++] = HeapAlloc(heap, kind->call_flags, bytes)) != NULL);
    NEED(HeapValidate(heap, kind->call_flags, heap) == FALSE);
    NEED(HeapSize(heap, kind->call_flags, heap) == (SIZE_T)-1);
    for (int i = 0; i < count; i++) {
        NEED(one[i] != heap);
        NEED(HeapFree(heap, kind->call_flags, one[i]));
    }
    kind_close(kind, heap);
}
END_TEST

START_TEST(null_is_no_block_for_size_and_all_for_validate) /* W32 3.5, W32 3.6, W32 3.7 */
{
    kind = &kinds[_i];
    heap = kind_open(kind);
    ck_assert_uint_eq(ASK(HeapSize(heap, kind->call_flags, NULL)), (SIZE_T)-1);
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_int_eq(ASK(HeapFree(heap, kind->call_flags, NULL)), TRUE);
    ck_assert_last(SENTINEL);
    ck_assert_int_eq(ASK(HeapValidate(heap, kind->call_flags, NULL)), TRUE);
    ck_assert_last(SENTINEL);
    kind_close(kind, heap);
}
END_TEST

/* Anywhere in the heap's own range, committed or not: only the live blocks' starts are blocks. */
START_TEST(no_address_of_the_range_but_a_blocks_start_is_a_block)
{
    enum { BLOCKS = 60 };
    unsigned char *live[BLOCKS];
    uint64_t state = 9;
    kind = &kinds[_i];
    bytes = 0;
    const int which = -1;
    heap = kind_open(kind);
    for (int i = 0; i < BLOCKS; i++) {
        live[i] = HeapAlloc(heap, kind->call_flags, 16 * (size_t)(i % 40));
        NEED(live[i] != NULL);
    }
    const size_t range = kind->maximum ? kind->maximum : 4 * MB;
    for (int i = 0; i < 6000; i++) {
        const size_t offset = (((size_t)dice(&state) << 8) + i) % range;
        unsigned char *at = (unsigned char *)heap + (i % 8 ? offset & ~(size_t)15 : offset);
        if (i % 3 == 0) at = live[i % BLOCKS] + 16 * (int)(dice(&state) % 64) - 512;
        bool is_block = false;
        for (int j = 0; j < BLOCKS; j++) is_block |= at == live[j];
        if (kind->process && !is_block) continue; /* others' blocks are there too */
        NEED(HeapValidate(heap, kind->call_flags, at) == is_block);
        NEED((HeapSize(heap, kind->call_flags, at) == (SIZE_T)-1) == !is_block);
        if (!is_block) NEED(HeapFree(heap, kind->call_flags, at) == FALSE);
    }
    for (int i = 0; i < BLOCKS; i++) NEED(HeapFree(heap, kind->call_flags, live[i]) == TRUE);
    kind_close(kind, heap);
}
END_TEST

START_TEST(many_blocks_freed_twice_are_each_given_once)
{
    enum { BLOCKS = 400 };
    unsigned char *one[BLOCKS], *again[BLOCKS];
    kind = &kinds[_i / CLASSES];
    bytes = classes[_i % CLASSES];
    const int which = FREED;
    heap = kind_open(kind);
    int count = 0;
    for (; count < BLOCKS && kind_has_room(kind, bytes, 2 * (size_t)count + 2) &&
           (size_t)count * bytes < 4 * MB;
         count++)
        NEED((one[count] = HeapAlloc(heap, kind->call_flags, bytes)) != NULL);
    for (int i = 0; i < count; i++) NEED(HeapFree(heap, kind->call_flags, one[i]) == TRUE);
    for (int i = 0; i < count; i++) {
        NEED(ASK(HeapFree(heap, kind->call_flags, one[i])) == FALSE);
        NEED_LAST(ERROR_INVALID_PARAMETER);
    }
    for (int i = 0; i < count; i++) {
        NEED((again[i] = HeapAlloc(heap, kind->call_flags, bytes)) != NULL);
        for (int j = 0; j < i; j++)
            if (again[i] == again[j]) ck_abort_msg("%s: %zu bytes given twice", kind->name, bytes);
    }
    for (int i = 0; i < count; i++) NEED(HeapFree(heap, kind->call_flags, again[i]) == TRUE);
    kind_close(kind, heap);
}
END_TEST

static void *free_it(void *at) { return (void *)(uintptr_t)HeapFree(heap, 0, at); }

/* Freed here, freed again there: the second is refused whichever thread it is. */
START_TEST(second_free_by_another_thread_is_refused)
{
    bytes = classes[_i % CLASSES];
    heap = HeapCreate(0, 0, 0);
    for (int turn = 0; turn < 4; turn++) {
        void *at = HeapAlloc(heap, 0, bytes), *answer[2];
        pthread_t thread;
        for (int i = 0; i < 2; i++) {
            if ((i + turn) % 2) {
                pthread_create(&thread, NULL, free_it, at);
                pthread_join(thread, &answer[i]);
            } else {
                answer[i] = free_it(at);
            }
        }
        ck_assert_ptr_eq(answer[0], (void *)(uintptr_t)TRUE);
        ck_assert_ptr_eq(answer[1], (void *)(uintptr_t)FALSE);
    }
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

static void realloc_raising(const void *bad)
{
    (void)HeapReAlloc(heap, HEAP_GENERATE_EXCEPTIONS, (void *)(uintptr_t)bad, 10);
}

START_TEST(bad_pointer_with_exceptions_is_an_access_violation) /* W32 2.6 */
{
    kind = &kinds[0];
    bytes = 300;
    heap = kind_open(kind);
    other = HeapCreate(0, 0, 0);
    block = HeapAlloc(heap, 0, bytes);
    kept = HeapAlloc(heap, 0, bytes);
    others = HeapAlloc(other, 0, 1000);
    void *bad = bad_pointer((enum pointer)_i);
    if (bad) child_dies(realloc_raising, bad, SIGSEGV);
    ck_assert_int_eq(HeapDestroy(other), TRUE);
    kind_close(kind, heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract pointers");
    TCase *refused = contract_case(suite, "refused");
    tcase_add_loop_test(refused, pointer_that_is_no_live_block_is_refused, 0, KINDS * CLASSES);
    tcase_add_loop_test(refused, handle_is_never_a_block, 0, KINDS * CLASSES);
    tcase_add_loop_test(refused, null_is_no_block_for_size_and_all_for_validate, 0, KINDS);
    tcase_add_loop_test(refused, no_address_of_the_range_but_a_blocks_start_is_a_block, 0, KINDS);
    tcase_add_loop_test(refused, many_blocks_freed_twice_are_each_given_once, 0, KINDS * CLASSES);
    tcase_add_loop_test(refused, second_free_by_another_thread_is_refused, 0, CLASSES);
    TCase *raising = contract_case(suite, "raised");
    tcase_add_loop_test(raising, bad_pointer_with_exceptions_is_an_access_violation, 0, POINTERS);
    return contract_run(suite);
}
