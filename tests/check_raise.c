/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_raise.c -- HEAP_GENERATE_EXCEPTIONS (W32 2.6): what the handler is told, that it may return, allocate, leave
 * by longjmp, and what happens without one.  That a C++ exception may leave it is in check_throw.cc. */
#include <setjmp.h>
#include <signal.h>

#include "check_heapapi.h"
#include "check_room.h"
#include "privheap.h"

#define TOO_BIG (SIZE_MAX / 2)

static HANDLE heap;

static struct {
    unsigned count;
    DWORD code;
    HANDLE heap;
    SIZE_T bytes;
    DWORD last_error;
} told;

static void note(DWORD code, HANDLE of, SIZE_T bytes)
{
    told.count++;
    told.code = code;
    told.heap = of;
    told.bytes = bytes;
    told.last_error = GetLastError();
    HeapFree(GetProcessHeap(), 0, HeapAlloc(GetProcessHeap(), 0, 100));
    SetLastError(5); /* the call's own comes back */
}

#define ck_assert_told(what, of, asked)           \
    do {                                          \
        ck_assert_uint_eq(told.count, 1);         \
        ck_assert_uint_eq(told.code, (what));     \
        ck_assert_ptr_eq(told.heap, (of));        \
        ck_assert_uint_eq(told.bytes, (asked));   \
        ck_assert_uint_eq(told.last_error, GetLastError()); \
        told.count = 0;                           \
    } while (0)

static void setup_handler(void)
{
    heap = HeapCreate(HEAP_GENERATE_EXCEPTIONS, 0, 0);
    ck_assert_ptr_nonnull(heap);
    memset(&told, 0, sizeof told);
    ck_assert(ph_set_exception_handler(note) == NULL);
}

static void teardown_handler(void)
{
    (void)ph_set_exception_handler(NULL);
    ck_assert_int_eq(HeapValidate(heap, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}

/* ---- the handler returns ---- */

START_TEST(set_handler_returns_the_one_before)
{
    ck_assert(ph_set_exception_handler(NULL) == note);
    ck_assert(ph_set_exception_handler(note) == NULL);
}
END_TEST

START_TEST(failing_alloc_raises_no_memory_for_the_heap_s_flag) /* D8 */
{
    ck_assert_ptr_null(ASK(HeapAlloc(heap, 0, TOO_BIG)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_told(STATUS_NO_MEMORY, heap, TOO_BIG);
}
END_TEST

START_TEST(failing_alloc_raises_no_memory_for_the_call_s_flag)
{
    HANDLE quiet = HeapCreate(0, 0, 0);
    ck_assert_ptr_null(ASK(HeapAlloc(quiet, 0, TOO_BIG)));
    ck_assert_uint_eq(told.count, 0);
    ck_assert_ptr_null(ASK(HeapAlloc(quiet, HEAP_GENERATE_EXCEPTIONS, TOO_BIG)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_told(STATUS_NO_MEMORY, quiet, TOO_BIG);
    ck_assert_int_eq(HeapDestroy(quiet), TRUE);
}
END_TEST

START_TEST(full_heap_and_too_big_a_block_raise) /* W32 4 */
{
    HANDLE fixed = HeapCreate(HEAP_GENERATE_EXCEPTIONS, 0, 2 << 20);
    ck_assert_ptr_null(HeapAlloc(fixed, 0, 1 << 20));
    ck_assert_told(STATUS_NO_MEMORY, fixed, 1 << 20);
    while (told.count == 0)
        (void)HeapAlloc(fixed, 0, 100000);
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_told(STATUS_NO_MEMORY, fixed, 100000);
    ck_assert_int_eq(HeapValidate(fixed, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(fixed), TRUE);
}
END_TEST

START_TEST(failing_realloc_raises_and_leaves_the_block) /* W32 3.4 */
{
    char *block = HeapAlloc(heap, HEAP_ZERO_MEMORY, 100);
    ck_assert_ptr_null(ASK(HeapReAlloc(heap, 0, block, TOO_BIG)));
    ck_assert_last(ERROR_NOT_ENOUGH_MEMORY);
    ck_assert_told(STATUS_NO_MEMORY, heap, TOO_BIG);
    ck_assert_ptr_null(HeapReAlloc(heap, HEAP_REALLOC_IN_PLACE_ONLY, block, 100000));
    ck_assert_told(STATUS_NO_MEMORY, heap, 100000);
    ck_assert_uint_eq(HeapSize(heap, 0, block), 100);
    ck_assert(block[0] == 0 && block[99] == 0);
}
END_TEST

START_TEST(bad_block_raises_access_violation)
{
    char *block = HeapAlloc(heap, 0, 100);
    HANDLE quiet = HeapCreate(0, 0, 0);
    ck_assert_ptr_null(ASK(HeapReAlloc(heap, 0, block + 16, 200)));
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_told(STATUS_ACCESS_VIOLATION, heap, 200);
    ck_assert_ptr_null(ASK(HeapReAlloc(quiet, HEAP_GENERATE_EXCEPTIONS, block, 300)));
    ck_assert_last(ERROR_INVALID_PARAMETER);
    ck_assert_told(STATUS_ACCESS_VIOLATION, quiet, 300);
    ck_assert_ptr_null(ASK(HeapReAlloc(quiet, 0, block, 300)));
    ck_assert_uint_eq(told.count, 0);
    ck_assert_int_eq(HeapDestroy(quiet), TRUE);
}
END_TEST

START_TEST(bad_handle_raises_access_violation_for_the_call_s_flag) /* W32 2.2 */
{
    HANDLE bad = HeapCreate(HEAP_GENERATE_EXCEPTIONS, 0, 0);
    ck_assert_int_eq(HeapDestroy(bad), TRUE);
    if (_i == 1) bad = NULL;
    char *block = HeapAlloc(heap, 0, 100);
    ck_assert_ptr_null(ASK(HeapAlloc(bad, 0, 10))); /* a heap that is gone has no flags */
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_uint_eq(told.count, 0);
    ck_assert_ptr_null(ASK(HeapAlloc(bad, HEAP_GENERATE_EXCEPTIONS, 10)));
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_told(STATUS_ACCESS_VIOLATION, bad, 10);
    ck_assert_ptr_null(ASK(HeapReAlloc(bad, HEAP_GENERATE_EXCEPTIONS, block, 20)));
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_told(STATUS_ACCESS_VIOLATION, bad, 20);
    ck_assert_ptr_null(ASK(ph_heap_aligned_alloc(bad, HEAP_GENERATE_EXCEPTIONS, 64, 30)));
    ck_assert_last(ERROR_INVALID_HANDLE);
    ck_assert_told(STATUS_ACCESS_VIOLATION, bad, 30);
}
END_TEST

START_TEST(what_is_no_allocation_never_raises)
{
    const DWORD raising = HEAP_GENERATE_EXCEPTIONS;
    HEAP_SUMMARY summary = {.cb = sizeof summary};
    PROCESS_HEAP_ENTRY entry = {.lpData = &entry};
    char *block = HeapAlloc(heap, 0, 100);
    ck_assert_ptr_null(ASK(HeapReAlloc(heap, raising, NULL, 10)));
    ck_assert_last(NO_ERROR);
    ck_assert(!HeapFree(heap, raising, block + 16) && HeapSize(heap, raising, &entry) == (SIZE_T)-1);
    ck_assert(!HeapFree(NULL, raising, block) && !HeapValidate(heap, raising, block + 16));
    ck_assert(!HeapWalk(heap, &entry) && !HeapLock(NULL) && !HeapUnlock(heap));
    ck_assert(HeapCompact(NULL, raising) == 0 && !HeapSummary(NULL, raising, &summary));
    ck_assert_ptr_null(HeapCreate(raising, 2, 1));
    ck_assert_ptr_null(HeapCreate(raising, TOO_BIG, 0));
    ck_assert_uint_eq(told.count, 0);
}
END_TEST

/* ---- the handler leaves ---- */

static jmp_buf way_out;
static void leave(DWORD code, HANDLE of, SIZE_T bytes)
{
    note(code, of, bytes);
    longjmp(way_out, 1);
}

/* More than one lock is worth: whatever the failing call still held would be waited for. */
START_TEST(longjmp_out_of_the_handler_leaves_the_heap_whole)
{
    HANDLE fixed = HeapCreate(_i == 0 ? 0 : HEAP_NO_SERIALIZE, 0, 1 << 20);
    volatile int jumps = 0;
    void *volatile block = HeapAlloc(fixed, 0, 5000);
    (void)ph_set_exception_handler(leave);
    while (jumps < 3)
        if (setjmp(way_out) != 0)
            jumps++;
        else if (jumps == 0)
            for (;;)
                (void)HeapAlloc(fixed, HEAP_GENERATE_EXCEPTIONS, 50000);
        else if (jumps == 1)
            (void)HeapReAlloc(fixed, HEAP_GENERATE_EXCEPTIONS, block, 800000);
        else
            (void)HeapReAlloc(fixed, HEAP_GENERATE_EXCEPTIONS, (char *)block + 16, 8);
    ck_assert_uint_eq(told.count, 3);
    ck_assert_uint_eq(told.code, STATUS_ACCESS_VIOLATION);
    ck_assert_uint_eq(HeapSize(fixed, 0, block), 5000);
    ck_assert(HeapValidate(fixed, 0, NULL) && HeapLock(fixed) && HeapUnlock(fixed));
    ck_assert_int_eq(HeapFree(fixed, 0, block), TRUE);
    ck_assert_ptr_nonnull(HeapAlloc(fixed, 0, 5000));
    ck_assert_int_eq(HeapDestroy(fixed), TRUE);
}
END_TEST

/* ---- nobody handles it ---- */

static void on_signal(int signal) { (void)signal, _exit(7); }

static void run_out(void *unused)
{
    (void)unused;
    (void)HeapAlloc(heap, 0, TOO_BIG);
}

static void use_no_heap(void *unused)
{
    (void)unused;
    (void)signal(SIGSEGV, on_signal); /* the default action all the same */
    (void)HeapAlloc(NULL, HEAP_GENERATE_EXCEPTIONS, 10);
}

static void use_no_block(void *unused)
{
    static char no_block[64];
    sigset_t all;
    (void)unused;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)HeapReAlloc(heap, 0, no_block, 10);
}

START_TEST(process_without_a_handler_ends_with_one_line)
{
    static const struct {
        void (*act)(void *);
        int signal;
        const char *text;
    } rows[] = {
        {run_out, SIGABRT, "privheap: STATUS_NO_MEMORY raised: heap 0x"},
        {use_no_heap, SIGSEGV, "privheap: STATUS_ACCESS_VIOLATION raised: 0x0 is no heap\n"},
        {use_no_block, SIGSEGV, "privheap: STATUS_ACCESS_VIOLATION raised: 0x"},
    };
    (void)ph_set_exception_handler(NULL);
    const struct child_end end = room_child(rows[_i].act, NULL);
    ck_assert_msg(WIFSIGNALED(end.status) && WTERMSIG(end.status) == rows[_i].signal, "status %#x: %s",
                  (unsigned)end.status, end.text);
    ck_assert_msg(strstr(end.text, rows[_i].text) == end.text, "%s", end.text);
    ck_assert_ptr_eq(strchr(end.text, '\n'), end.text + strlen(end.text) - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("raise");
    TCase *returns = room_case(suite, "returns", setup_handler, teardown_handler);
    tcase_add_test(returns, set_handler_returns_the_one_before);
    tcase_add_test(returns, failing_alloc_raises_no_memory_for_the_heap_s_flag);
    tcase_add_test(returns, failing_alloc_raises_no_memory_for_the_call_s_flag);
    tcase_add_test(returns, full_heap_and_too_big_a_block_raise);
    tcase_add_test(returns, failing_realloc_raises_and_leaves_the_block);
    tcase_add_test(returns, bad_block_raises_access_violation);
    tcase_add_loop_test(returns, bad_handle_raises_access_violation_for_the_call_s_flag, 0, 2);
    tcase_add_test(returns, what_is_no_allocation_never_raises);
    TCase *leaves = room_case(suite, "leaves", setup_handler, teardown_handler);
    tcase_add_loop_test(leaves, longjmp_out_of_the_handler_leaves_the_heap_whole, 0, 2);
    tcase_add_loop_test(leaves, process_without_a_handler_ends_with_one_line, 0, 3);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
