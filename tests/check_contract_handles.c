/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_handles.c -- values that name no heap (W32 2.2), each with each function: refused with the
 * right result and last error, not followed, and nothing of the live heaps is touched. */
#include "check_contract.h"

static HANDLE live; /* the heap that must not notice */
static unsigned char *block;
enum { BYTES = 200 };

/* ---- what is no handle ---- */

static HANDLE ended_heap(DWORD flags, SIZE_T maximum)
{
    HANDLE heap = HeapCreate(flags, 0, maximum);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
    return heap;
}

static HANDLE no_handle_null(void) { return NULL; }
static HANDLE no_handle_ended(void) { return ended_heap(0, 0); }
static HANDLE no_handle_ended_fixed(void) { return ended_heap(0, MB); }
static HANDLE no_handle_ended_unserialized(void) { return ended_heap(HEAP_NO_SERIALIZE, 0); }
static HANDLE no_handle_odd(void) { return (char *)live + 1; }
static HANDLE no_handle_granule(void) { return (char *)live + 16; }
static HANDLE no_handle_page(void) { return (char *)live + PAGE; }
static HANDLE no_handle_inside(void) { return (char *)live + 64 * KB; }
static HANDLE no_handle_before(void) { return (char *)live - 64 * KB; }
static HANDLE no_handle_block(void) { return block; }
static HANDLE no_handle_large_block(void) { return HeapAlloc(live, 0, 2 * MB); }
static HANDLE no_handle_one(void) { return (HANDLE)(uintptr_t)1; }
static HANDLE no_handle_first_64_kb(void) { return (HANDLE)(uintptr_t)0x10000; }
static HANDLE no_handle_garbage(void) { return (HANDLE)(uintptr_t)0xDEAD0000; }
static HANDLE no_handle_wild(void) { return (HANDLE)(uintptr_t)0x00007ABCDEF00000; }
static HANDLE no_handle_not_canonical(void) { return (HANDLE)(uintptr_t)0x8000000000000000; }
static HANDLE no_handle_not_canonical_2(void) { return (HANDLE)(uintptr_t)0x0000800000000000; }
static HANDLE no_handle_kernel(void) { return (HANDLE)(uintptr_t)0xFFFF800000000000; }
static HANDLE no_handle_minus_one(void) { return (HANDLE)(uintptr_t)-1; }
static HANDLE no_handle_last_64_kb(void) { return (HANDLE)(uintptr_t)0xFFFFFFFFFFFF0000; }
static HANDLE no_handle_literal(void) { return (HANDLE)(uintptr_t) "literal"; }

static HANDLE no_handle_static(void)
{
    static _Alignas(65536) char aligned[65536];
    memset(aligned, 0x41, sizeof aligned);
    return aligned;
}

static HANDLE no_handle_stack(void)
{
    static char *volatile kept;
    char here[64];
    memset(here, 0x41, sizeof here);
    kept = here;
    return kept;
}

static HANDLE no_handle_malloc(void)
{
    static void *taken;
    if (!taken) taken = malloc(100);
    return taken;
}

/* 64 KB aligned memory of ours, which may be touched or not. */
static HANDLE mapping(int rights)
{
    char *at = mmap(NULL, 128 * KB, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(at, MAP_FAILED);
    return (HANDLE)(((uintptr_t)at + 65535) & ~(uintptr_t)65535);
}

static HANDLE no_handle_foreign(void) { return mapping(PROT_READ | PROT_WRITE); }
static HANDLE no_handle_no_access(void) { return mapping(PROT_NONE); }

static HANDLE no_handle_copy(void) /* the first bytes of a heap, elsewhere */
{
    char *at = mapping(PROT_READ | PROT_WRITE);
    if (rights_of(live).may[0] == 'r') memcpy(at, live, 64);
    return at;
}

static HANDLE (*const no_handles[])(void) = {
    no_handle_null,
    no_handle_ended,
    no_handle_ended_fixed,
    no_handle_ended_unserialized,
    no_handle_odd,
    no_handle_granule,
    no_handle_page,
    no_handle_inside,
    no_handle_before,
    no_handle_block,
    no_handle_large_block,
    no_handle_one,
    no_handle_first_64_kb,
    no_handle_garbage,
    no_handle_wild,
    no_handle_not_canonical,
    no_handle_not_canonical_2,
    no_handle_kernel,
    no_handle_minus_one,
    no_handle_last_64_kb,
    no_handle_literal,
    no_handle_static,
    no_handle_stack,
    no_handle_malloc,
    no_handle_foreign,
    no_handle_no_access,
    no_handle_copy,
};
#define NO_HANDLES COUNT(no_handles)

/* ---- what is done with it ---- */

static PROCESS_HEAP_ENTRY entry;

static uintptr_t do_alloc(HANDLE h) { return (uintptr_t)HeapAlloc(h, 0, 10); }
static uintptr_t do_alloc_zero(HANDLE h)
{
    return (uintptr_t)HeapAlloc(h, HEAP_ZERO_MEMORY | HEAP_NO_SERIALIZE, 10);
}
static uintptr_t do_alloc_much(HANDLE h) { return (uintptr_t)HeapAlloc(h, 0, SIZE_MAX); }
static uintptr_t do_realloc(HANDLE h) { return (uintptr_t)HeapReAlloc(h, 0, block, 20); }
static uintptr_t do_realloc_in_place(HANDLE h)
{
    return (uintptr_t)HeapReAlloc(h, HEAP_REALLOC_IN_PLACE_ONLY, block, 5);
}
static uintptr_t do_free(HANDLE h) { return (uintptr_t)HeapFree(h, 0, block); }
static uintptr_t do_free_quick(HANDLE h) { return (uintptr_t)HeapFree(h, HEAP_NO_SERIALIZE, block); }
static uintptr_t do_free_null(HANDLE h) { return (uintptr_t)HeapFree(h, 0, NULL); }
static uintptr_t do_size(HANDLE h) { return (uintptr_t)HeapSize(h, 0, block); }
static uintptr_t do_size_null(HANDLE h) { return (uintptr_t)HeapSize(h, HEAP_NO_SERIALIZE, NULL); }
static uintptr_t do_validate(HANDLE h) { return (uintptr_t)HeapValidate(h, 0, block); }
static uintptr_t do_validate_heap(HANDLE h) { return (uintptr_t)HeapValidate(h, 0, NULL); }
static uintptr_t do_lock(HANDLE h) { return (uintptr_t)HeapLock(h); }
static uintptr_t do_unlock(HANDLE h) { return (uintptr_t)HeapUnlock(h); }
static uintptr_t do_destroy(HANDLE h) { return (uintptr_t)HeapDestroy(h); }
static uintptr_t do_walk_null(HANDLE h) { return (uintptr_t)HeapWalk(h, NULL); }

static uintptr_t do_walk(HANDLE h)
{
    memset(&entry, 0xCD, sizeof entry);
    entry.lpData = NULL;
    return (uintptr_t)HeapWalk(h, &entry);
}

static uintptr_t do_walk_on(HANDLE h)
{
    memset(&entry, 0, sizeof entry);
    ck_assert_int_eq(HeapWalk(live, &entry), TRUE);
    return (uintptr_t)HeapWalk(h, &entry);
}

static const struct {
    const char *name;
    uintptr_t (*call)(HANDLE);
    uintptr_t result;
    DWORD error;
} calls[] = {
    { "HeapAlloc", do_alloc, 0, ERROR_INVALID_HANDLE },
    { "HeapAlloc, zero", do_alloc_zero, 0, ERROR_INVALID_HANDLE },
    { "HeapAlloc, too much", do_alloc_much, 0, ERROR_INVALID_HANDLE },
    { "HeapReAlloc", do_realloc, 0, ERROR_INVALID_HANDLE },
    { "HeapReAlloc, in place", do_realloc_in_place, 0, ERROR_INVALID_HANDLE },
    { "HeapFree", do_free, FALSE, ERROR_INVALID_HANDLE },
    { "HeapFree, not serialized", do_free_quick, FALSE, ERROR_INVALID_HANDLE },
    { "HeapFree of NULL", do_free_null, TRUE, SENTINEL }, /* D20 */
    { "HeapSize", do_size, (uintptr_t)-1, ERROR_INVALID_HANDLE },
    { "HeapSize of NULL", do_size_null, (uintptr_t)-1, ERROR_INVALID_HANDLE },
    { "HeapValidate", do_validate, FALSE, SENTINEL }, /* D21 */
    { "HeapValidate of all", do_validate_heap, FALSE, SENTINEL },
    { "HeapLock", do_lock, FALSE, ERROR_INVALID_HANDLE },
    { "HeapUnlock", do_unlock, FALSE, ERROR_INVALID_HANDLE },
    { "HeapDestroy", do_destroy, FALSE, ERROR_INVALID_HANDLE }, /* D6 */
    { "HeapWalk", do_walk, FALSE, ERROR_INVALID_HANDLE },
    { "HeapWalk on", do_walk_on, FALSE, ERROR_INVALID_HANDLE },
    { "HeapWalk, no entry", do_walk_null, FALSE, 0 /* either is right */ },
};
#define CALLS COUNT(calls)

START_TEST(value_that_is_no_handle_is_refused) /* W32 2.2 */
{
    const int which = _i / CALLS, what = _i % CALLS;
    live = HeapCreate(0, 0, 0);
    block = HeapAlloc(live, 0, BYTES);
    fill(block, 0x66, BYTES);
    HANDLE bad = no_handles[which]();
    const DWORD heaps = GetProcessHeaps(0, NULL);
    SetLastError(SENTINEL);
    const uintptr_t setup = (uintptr_t)ASK(calls[what].call(bad));
    ck_assert_msg(setup == calls[what].result, "%s, value %d: result %#lx", calls[what].name, which,
                  (long)setup);
    if (calls[what].error)
        ck_assert_msg(GetLastError() == calls[what].error && errno == ERRNO_SENTINEL,
                      "%s, value %d: last error %u, errno %d", calls[what].name, which, GetLastError(),
                      errno);
    ck_assert_uint_eq(GetProcessHeaps(0, NULL), heaps);
    ck_assert_uint_eq(HeapSize(live, 0, block), BYTES);
    ck_assert(is_filled(block, 0x66, 0, BYTES));
    ck_assert_int_eq(HeapValidate(live, 0, NULL), TRUE);
    ck_assert_int_eq(HeapDestroy(live), TRUE);
}
END_TEST

/* ---- with exceptions: only on the call, as the handle names nothing ---- */

static void raise_by_alloc(const void *bad)
{
    (void)HeapAlloc((HANDLE)(uintptr_t)bad, HEAP_GENERATE_EXCEPTIONS, 10);
}

static void raise_by_realloc(const void *bad)
{
    (void)HeapReAlloc((HANDLE)(uintptr_t)bad, HEAP_GENERATE_EXCEPTIONS, block, 10);
}

START_TEST(bad_handle_with_exceptions_is_an_access_violation) /* W32 2.2, W32 2.6 */
{
    static void (*const acts[])(const void *) = { raise_by_alloc, raise_by_realloc };
    live = HeapCreate(0, 0, 0);
    block = HeapAlloc(live, 0, BYTES);
    child_dies(acts[_i % 2], no_handles[_i / 2](), SIGSEGV);
    ck_assert_int_eq(HeapDestroy(live), TRUE);
}
END_TEST

static void others_do_not_raise(const void *bad)
{
    HANDLE no = (HANDLE)(uintptr_t)bad;
    const DWORD flags = HEAP_GENERATE_EXCEPTIONS;
    CHILD_NEEDS(!HeapFree(no, flags, block) && HeapSize(no, flags, block) == (SIZE_T)-1 &&
                !HeapValidate(no, flags, block));
    CHILD_NEEDS(!HeapLock(no) && !HeapUnlock(no) && !HeapDestroy(no));
}

START_TEST(only_alloc_and_realloc_raise_for_a_bad_handle)
{
    live = HeapCreate(0, 0, 0);
    block = HeapAlloc(live, 0, BYTES);
    child_lives(others_do_not_raise, no_handles[_i]());
    ck_assert_int_eq(HeapDestroy(live), TRUE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract handles");
    TCase *each = contract_case(suite, "refused");
    tcase_add_loop_test(each, value_that_is_no_handle_is_refused, 0, NO_HANDLES * CALLS);
    TCase *raising = contract_case(suite, "raised");
    tcase_add_loop_test(raising, bad_handle_with_exceptions_is_an_access_violation, 0, 2 * NO_HANDLES);
    tcase_add_loop_test(raising, only_alloc_and_realloc_raise_for_a_bad_handle, 0, NO_HANDLES);
    return contract_run(suite);
}
