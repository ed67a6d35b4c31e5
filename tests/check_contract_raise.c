/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_raise.c -- HEAP_GENERATE_EXCEPTIONS (W32 2.6, D8): what is raised by what, with a handler
 * that leaves, one that returns, and none. */
#include <setjmp.h>
#include <stdatomic.h>

#include "check_contract.h"

static HANDLE heap, other;
static unsigned char *block;

/* ---- a handler that remembers ---- */

static struct {
    int times;
    DWORD code, error;
    HANDLE heap;
    SIZE_T bytes;
    bool usable; /* the heap, also for another thread */
} raised;
static bool leaves;
static jmp_buf back;

static void *use_heap(void *nothing)
{
    void *one = HeapAlloc(heap, 0, 24);
    (void)nothing;
    return (void *)(uintptr_t)(one != NULL && HeapFree(heap, 0, one));
}

static bool full; /* the heap: to use it would raise again */

static void remember(DWORD code, HANDLE of, SIZE_T bytes)
{
    pthread_t thread;
    void *right = NULL;
    raised.times++;
    raised.code = code;
    raised.error = GetLastError();
    raised.heap = of;
    raised.bytes = bytes;
    if (!full && pthread_create(&thread, NULL, use_heap, NULL) == 0)
        pthread_join(thread, &right); /* no lock of the heap is held */
    raised.usable = !full && right != NULL && use_heap(NULL) != NULL;
    SetLastError(raised.error);
    if (leaves) longjmp(back, 1);
}

/* ---- what raises ---- */

enum { BYTES = 300 };
static DWORD with; /* flags of the call: the exceptions may come from the heap instead */

static void *too_much(void) { return HeapAlloc(heap, with, SIZE_MAX / 2); }
static void *overflowing(void) { return HeapAlloc(heap, with | HEAP_ZERO_MEMORY, SIZE_MAX); }
static void *resize_too_much(void) { return HeapReAlloc(heap, with, block, SIZE_MAX - 7); }
static void *resize_impossible_in_place(void)
{
    return HeapReAlloc(heap, with | HEAP_REALLOC_IN_PLACE_ONLY, block, SIZE_MAX / 4);
}
static void *resize_interior(void) { return HeapReAlloc(heap, with, block + 16, 77); }
static void *resize_others(void) { return HeapReAlloc(heap, with, other, 77); }

static const struct {
    void *(*act)(void);
    DWORD code;
    SIZE_T bytes;
    DWORD error;
} acts[] = {
    { too_much, STATUS_NO_MEMORY, SIZE_MAX / 2, ERROR_NOT_ENOUGH_MEMORY },
    { overflowing, STATUS_NO_MEMORY, SIZE_MAX, ERROR_NOT_ENOUGH_MEMORY },
    { resize_too_much, STATUS_NO_MEMORY, SIZE_MAX - 7, ERROR_NOT_ENOUGH_MEMORY },
    { resize_impossible_in_place, STATUS_NO_MEMORY, SIZE_MAX / 4, ERROR_NOT_ENOUGH_MEMORY },
    { resize_interior, STATUS_ACCESS_VIOLATION, 77, ERROR_INVALID_PARAMETER },
    { resize_others, STATUS_ACCESS_VIOLATION, 77, ERROR_INVALID_PARAMETER },
};
#define ACTS COUNT(acts)

/* How: the flag on the heap, on the call, on both; growable or fixed. */
enum { WAYS = 6 };

static void setup(int way)
{
    heap = HeapCreate(way % 3 != 1 ? HEAP_GENERATE_EXCEPTIONS : 0, 0, way / 3 ? MB : 0);
    with = way % 3 != 0 ? HEAP_GENERATE_EXCEPTIONS : 0;
    block = HeapAlloc(heap, 0, BYTES);
    ck_assert_ptr_nonnull(block);
    fill(block, 0x31, BYTES);
    other = HeapCreate(0, 0, 0);
    memset(&raised, 0, sizeof raised);
}

static void teardown(void)
{
    ck_assert_uint_eq(HeapSize(heap, 0, block), BYTES); /* the block stays valid */
    ck_assert(is_filled(block, 0x31, 0, BYTES));
    ck_assert(HeapFree(heap, 0, block) && HeapValidate(heap, 0, NULL));
    ck_assert(HeapDestroy(heap) && HeapDestroy(other));
}

static void assert_raised(int act)
{
    ck_assert_int_eq(raised.times, 1);
    ck_assert_uint_eq(raised.code, acts[act].code);
    ck_assert_ptr_eq(raised.heap, heap);
    if (acts[act].code == STATUS_NO_MEMORY) ck_assert_uint_eq(raised.bytes, acts[act].bytes);
    ck_assert(raised.usable);
}

START_TEST(handler_may_leave_by_longjmp) /* W32 2.6, D8 */
{
    setup(_i / ACTS);
    ck_assert(ph_set_exception_handler(remember) == NULL);
    leaves = true;
    if (setjmp(back) == 0) {
        (void)acts[_i % ACTS].act();
        ck_abort_msg("nothing was raised");
    }
    assert_raised(_i % ACTS);
    ck_assert(ph_set_exception_handler(NULL) == remember);
    teardown();
}
END_TEST

START_TEST(handler_that_returns_makes_the_call_return_null) /* W32 2.6 */
{
    const int act = _i % ACTS;
    setup(_i / ACTS);
    ph_set_exception_handler(remember);
    leaves = false;
    ck_assert_ptr_null(ASK(acts[act].act()));
    ck_assert_uint_eq(GetLastError(), acts[act].error);
    assert_raised(act);
    ph_set_exception_handler(NULL);
    teardown();
}
END_TEST

static int act_of_child;
static void act_in_child(const void *nothing)
{
    (void)nothing;
    (void)acts[act_of_child].act();
}

START_TEST(without_a_handler_the_process_ends_with_one_line) /* W32 2.6 */
{
    act_of_child = _i % ACTS;
    setup(_i / ACTS);
    child_dies(act_in_child, NULL, acts[act_of_child].code == STATUS_NO_MEMORY ? SIGABRT : SIGSEGV);
    teardown();
}
END_TEST

START_TEST(success_raises_nothing)
{
    setup(_i);
    ph_set_exception_handler(remember);
    leaves = false;
    void *one = ASK(HeapAlloc(heap, with, 100));
    one = HeapReAlloc(heap, with, one, 1000);
    ck_assert_uint_eq(HeapSize(heap, with, one), 1000);
    ck_assert(HeapFree(heap, with, one) && HeapFree(heap, with, NULL));
    ck_assert_last(SENTINEL);
    ck_assert_int_eq(raised.times, 0);
    ph_set_exception_handler(NULL);
    teardown();
}
END_TEST

START_TEST(other_functions_never_raise) /* W32 2.6 */
{
    PROCESS_HEAP_ENTRY entry = { .lpData = &entry };
    setup(_i);
    ph_set_exception_handler(remember);
    leaves = false;
    const DWORD flags = HEAP_GENERATE_EXCEPTIONS;
    ck_assert(!HeapFree(heap, flags, block + 1) && !HeapFree(NULL, flags, block));
    ck_assert(HeapSize(heap, flags, block + 1) == (SIZE_T)-1 && HeapSize(NULL, flags, block) == (SIZE_T)-1);
    ck_assert(!HeapValidate(heap, flags, block + 1) && !HeapValidate(NULL, flags, NULL));
    ck_assert(!HeapLock(NULL) && !HeapUnlock(NULL) && !HeapUnlock(heap) && !HeapDestroy(NULL));
    ck_assert(!HeapWalk(heap, &entry) && !HeapWalk(heap, NULL) && !HeapWalk(NULL, &entry));
    ck_assert(!HeapCreate(flags, 2, 1) && !HeapCreate(flags, 0, SIZE_MAX) && !HeapCreate(flags, SIZE_MAX, 0));
    ck_assert_int_eq(raised.times, 0);
    ph_set_exception_handler(NULL);
    teardown();
}
END_TEST

START_TEST(full_fixed_heap_raises_for_what_it_cannot_hold) /* W32 4.5 */
{
    heap = HeapCreate(HEAP_GENERATE_EXCEPTIONS, 0, 64 * KB << _i);
    memset(&raised, 0, sizeof raised);
    ph_set_exception_handler(remember);
    leaves = false;
    int count = 0;
    full = true;
    while (HeapAlloc(heap, 0, 1000) != NULL) ck_assert_int_lt(++count, 5000);
    ck_assert_int_eq(raised.times, 1);
    ck_assert(raised.code == STATUS_NO_MEMORY && raised.bytes == 1000 && raised.heap == heap);
    ck_assert_uint_eq(GetLastError(), ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_ptr_null(HeapAlloc(heap, 0, BLOCK_LIMIT));
    ck_assert(raised.times == 2 && raised.bytes == BLOCK_LIMIT);
    full = false;
    ph_set_exception_handler(NULL);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(bad_handle_on_a_raising_call_tells_the_handler_which) /* W32 2.2 */
{
    HANDLE ended = HeapCreate(0, 0, 0);
    HANDLE const bad[] = { NULL, ended, (HANDLE)(uintptr_t)-1, (HANDLE)(uintptr_t)0x8000000000000000 };
    setup(0);
    ck_assert_int_eq(HeapDestroy(ended), TRUE); /* last: a new heap may be at the same place */
    ph_set_exception_handler(remember);
    leaves = false;
    ck_assert_ptr_null(ASK(HeapAlloc(bad[_i], HEAP_GENERATE_EXCEPTIONS, 55)));
    ck_assert_uint_eq(GetLastError(), ERROR_INVALID_HANDLE);
    ck_assert(raised.times == 1 && raised.code == STATUS_ACCESS_VIOLATION && raised.heap == bad[_i]);
    ck_assert_ptr_null(ASK(HeapReAlloc(bad[_i], HEAP_GENERATE_EXCEPTIONS, block, 55)));
    ck_assert_uint_eq(GetLastError(), ERROR_INVALID_HANDLE);
    ck_assert(raised.times == 2 && raised.code == STATUS_ACCESS_VIOLATION && raised.heap == bad[_i]);
    ck_assert_ptr_null(HeapAlloc(bad[_i], 0, 55)); /* not without the flag */
    ck_assert_int_eq(raised.times, 2);
    ph_set_exception_handler(NULL);
    teardown();
}
END_TEST

START_TEST(handlers_are_replaced_and_told_who_was_before)
{
    ck_assert(ph_set_exception_handler(remember) == NULL);
    ck_assert(ph_set_exception_handler(remember) == remember);
    ck_assert(ph_set_exception_handler(NULL) == remember);
    ck_assert(ph_set_exception_handler(NULL) == NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract raise");
    TCase *raise_case = contract_case(suite, "raise");
    tcase_add_loop_test(raise_case, handler_may_leave_by_longjmp, 0, ACTS * WAYS);
    tcase_add_loop_test(raise_case, handler_that_returns_makes_the_call_return_null, 0, ACTS * WAYS);
    tcase_add_loop_test(raise_case, without_a_handler_the_process_ends_with_one_line, 0, ACTS * WAYS);
    tcase_add_loop_test(raise_case, success_raises_nothing, 0, WAYS);
    tcase_add_loop_test(raise_case, other_functions_never_raise, 0, WAYS);
    tcase_add_loop_test(raise_case, full_fixed_heap_raises_for_what_it_cannot_hold, 0, 3);
    tcase_add_loop_test(raise_case, bad_handle_on_a_raising_call_tells_the_handler_which, 0, 4);
    tcase_add_test(raise_case, handlers_are_replaced_and_told_who_was_before);
    return contract_run(suite);
}
