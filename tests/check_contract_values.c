/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_values.c -- section 1 of the contract (types, numbers, layouts), the last error (2.1, 3.15),
 * and that no bit of a flags word makes a call fail (1.2). */
#include <stddef.h>

#include "check_contract.h"

/* ---- W32 1.1: types ---- */

START_TEST(types_have_the_sizes_of_the_windows_abi) /* W32 1.1, D1 */
{
    static const struct {
        const char *name;
        size_t bytes, expected;
    } rows[] = {
        { "DWORD", sizeof(DWORD), 4 },     { "ULONG", sizeof(ULONG), 4 },   { "WORD", sizeof(WORD), 2 },
        { "BYTE", sizeof(BYTE), 1 },       { "BOOL", sizeof(BOOL), 4 },     { "SIZE_T", sizeof(SIZE_T), 8 },
        { "PSIZE_T", sizeof(PSIZE_T), 8 }, { "HANDLE", sizeof(HANDLE), 8 }, { "PHANDLE", sizeof(PHANDLE), 8 },
        { "LPVOID", sizeof(LPVOID), 8 },   { "PVOID", sizeof(PVOID), 8 },   { "LPCVOID", sizeof(LPCVOID), 8 },
    };
    for (int i = 0; i < COUNT(rows); i++)
        ck_assert_msg(rows[i].bytes == rows[i].expected, "%s", rows[i].name);
    ck_assert((DWORD)-1 > 0 && (ULONG)-1 > 0 && (SIZE_T)-1 > 0 && (WORD)-1 > 0 && (BYTE)-1 > 0 &&
              (BOOL)-1 < 0);
    ck_assert(TRUE == 1 && FALSE == 0);
}
END_TEST

/* The declarations are those of the published header, to the letter. */
static HANDLE(WINAPI *const create)(DWORD, SIZE_T, SIZE_T) = HeapCreate;
static BOOL(WINAPI *const destroy)(HANDLE) = HeapDestroy;
static LPVOID(WINAPI *const alloc)(HANDLE, DWORD, SIZE_T) = HeapAlloc;
static LPVOID(WINAPI *const resize)(HANDLE, DWORD, LPVOID, SIZE_T) = HeapReAlloc;
static BOOL(WINAPI *const give)(HANDLE, DWORD, LPVOID) = HeapFree;
static SIZE_T(WINAPI *const size_of)(HANDLE, DWORD, LPCVOID) = HeapSize;
static BOOL(WINAPI *const validate)(HANDLE, DWORD, LPCVOID) = HeapValidate;
static BOOL(WINAPI *const lock)(HANDLE) = HeapLock;
static BOOL(WINAPI *const unlock)(HANDLE) = HeapUnlock;
static BOOL(WINAPI *const walk)(HANDLE, LPPROCESS_HEAP_ENTRY) = HeapWalk;
static HANDLE(WINAPI *const process_heap)(void) = GetProcessHeap;
static DWORD(WINAPI *const process_heaps)(DWORD, PHANDLE) = GetProcessHeaps;
static DWORD(WINAPI *const get_error)(void) = GetLastError;
static VOID(WINAPI *const set_error)(DWORD) = SetLastError;

START_TEST(functions_can_be_called_through_their_published_types)
{
    PROCESS_HEAP_ENTRY entry = { .lpData = NULL };
    HANDLE list[4], heap = create(0, 0, 0);
    void *block = resize(heap, 0, alloc(heap, 0, 5), 6);
    ck_assert_uint_eq(size_of(heap, 0, block), 6);
    ck_assert(validate(heap, 0, block) && lock(heap) && unlock(heap) && walk(heap, &entry));
    ck_assert(give(heap, 0, block) && process_heaps(4, list) >= 2 && list[0] == process_heap());
    ck_assert(destroy(heap));
    set_error(3);
    ck_assert_uint_eq(get_error(), 3);
}
END_TEST

/* ---- W32 1.2, 1.3: numbers ---- */

static const struct {
    const char *name;
    uint32_t value, expected;
} numbers[] = {
#define NUMBER(name, expected)                                                                               \
    {                                                                                                        \
#name, (uint32_t)(name), expected                                                                    \
    }
    NUMBER(HEAP_NO_SERIALIZE, 1),
    NUMBER(HEAP_GROWABLE, 2),
    NUMBER(HEAP_GENERATE_EXCEPTIONS, 4),
    NUMBER(HEAP_ZERO_MEMORY, 8),
    NUMBER(HEAP_REALLOC_IN_PLACE_ONLY, 0x10),
    NUMBER(HEAP_TAIL_CHECKING_ENABLED, 0x20),
    NUMBER(HEAP_FREE_CHECKING_ENABLED, 0x40),
    NUMBER(HEAP_DISABLE_COALESCE_ON_FREE, 0x80),
    NUMBER(HEAP_CREATE_SEGMENT_HEAP, 0x100),
    NUMBER(HEAP_CREATE_HARDENED, 0x200),
    NUMBER(HEAP_CREATE_ALIGN_16, 0x10000),
    NUMBER(HEAP_CREATE_ENABLE_TRACING, 0x20000),
    NUMBER(HEAP_CREATE_ENABLE_EXECUTE, 0x40000),
    NUMBER(HEAP_MAXIMUM_TAG, 0xFFF),
    NUMBER(HEAP_PSEUDO_TAG_FLAG, 0x8000),
    NUMBER(HEAP_TAG_SHIFT, 18),
    NUMBER(HEAP_CREATE_MARKER_FLAGS_INTERNAL, 0x80000000u), /* D2 */
    NUMBER(NO_ERROR, 0),
    NUMBER(ERROR_SUCCESS, 0),
    NUMBER(ERROR_INVALID_HANDLE, 6),
    NUMBER(ERROR_NOT_ENOUGH_MEMORY, 8),
    NUMBER(ERROR_OUTOFMEMORY, 14),
    NUMBER(ERROR_GEN_FAILURE, 31),
    NUMBER(ERROR_INVALID_PARAMETER, 87),
    NUMBER(ERROR_INSUFFICIENT_BUFFER, 122),
    NUMBER(ERROR_NOT_LOCKED, 158),
    NUMBER(ERROR_NO_MORE_ITEMS, 259),
    NUMBER(ERROR_NOT_OWNER, 288),
    NUMBER(ERROR_NOACCESS, 998),
    NUMBER(STATUS_ACCESS_VIOLATION, 0xC0000005u),
    NUMBER(STATUS_INVALID_PARAMETER, 0xC000000Du),
    NUMBER(STATUS_NO_MEMORY, 0xC0000017u),
    NUMBER(STATUS_HEAP_CORRUPTION, 0xC0000374u),
    NUMBER(PROCESS_HEAP_REGION, 1),
    NUMBER(PROCESS_HEAP_UNCOMMITTED_RANGE, 2),
    NUMBER(PROCESS_HEAP_ENTRY_BUSY, 4),
    NUMBER(PROCESS_HEAP_SEG_ALLOC, 8),
    NUMBER(PROCESS_HEAP_ENTRY_MOVEABLE, 0x10),
    NUMBER(PROCESS_HEAP_ENTRY_DDESHARE, 0x20),
    NUMBER(HeapCompatibilityInformation, 0),
    NUMBER(HeapEnableTerminationOnCorruption, 1),
    NUMBER(HeapOptimizeResources, 3),
    NUMBER(HEAP_OPTIMIZE_RESOURCES_CURRENT_VERSION, 1),
};

START_TEST(number_is_the_published_one) /* W32 1.2, W32 1.3, W32 1.4, W32 1.5 */
{
    ck_assert_msg(numbers[_i].value == numbers[_i].expected, "%s is %#x", numbers[_i].name,
                  numbers[_i].value);
}
END_TEST

/* ---- W32 1.4, 1.5: layouts ---- */

static const struct {
    const char *name;
    size_t offset, bytes, expected_offset, expected_bytes;
} fields[] = {
#define FIELD(type, field, offset, bytes)                                                                    \
    {                                                                                                        \
#type "." #field, offsetof(type, field), sizeof((type *)0)->field, offset, bytes                     \
    }
    FIELD(PROCESS_HEAP_ENTRY, lpData, 0, 8),
    FIELD(PROCESS_HEAP_ENTRY, cbData, 8, 4),
    FIELD(PROCESS_HEAP_ENTRY, cbOverhead, 12, 1),
    FIELD(PROCESS_HEAP_ENTRY, iRegionIndex, 13, 1),
    FIELD(PROCESS_HEAP_ENTRY, wFlags, 14, 2),
    FIELD(PROCESS_HEAP_ENTRY, Block.hMem, 16, 8),
    FIELD(PROCESS_HEAP_ENTRY, Block.dwReserved, 24, 12),
    FIELD(PROCESS_HEAP_ENTRY, Region.dwCommittedSize, 16, 4),
    FIELD(PROCESS_HEAP_ENTRY, Region.dwUnCommittedSize, 20, 4),
    FIELD(PROCESS_HEAP_ENTRY, Region.lpFirstBlock, 24, 8),
    FIELD(PROCESS_HEAP_ENTRY, Region.lpLastBlock, 32, 8),
    FIELD(HEAP_SUMMARY, cb, 0, 4),
    FIELD(HEAP_SUMMARY, cbAllocated, 8, 8),
    FIELD(HEAP_SUMMARY, cbCommitted, 16, 8),
    FIELD(HEAP_SUMMARY, cbReserved, 24, 8),
    FIELD(HEAP_SUMMARY, cbMaxReserve, 32, 8),
    FIELD(HEAP_OPTIMIZE_RESOURCES_INFORMATION, Version, 0, 4),
    FIELD(HEAP_OPTIMIZE_RESOURCES_INFORMATION, Flags, 4, 4),
};

START_TEST(field_lies_where_windows_has_it)
{
    ck_assert_msg(fields[_i].offset == fields[_i].expected_offset &&
                      fields[_i].bytes == fields[_i].expected_bytes,
                  "%s: %zu bytes at %zu", fields[_i].name, fields[_i].bytes, fields[_i].offset);
}
END_TEST

START_TEST(structures_and_their_names_are_the_published_ones)
{
    ck_assert_uint_eq(sizeof(PROCESS_HEAP_ENTRY), 40);
    ck_assert_uint_eq(sizeof(HEAP_SUMMARY), 40);
    ck_assert_uint_eq(sizeof(HEAP_OPTIMIZE_RESOURCES_INFORMATION), 8);
    PROCESS_HEAP_ENTRY entry = { .lpData = NULL };
    LPPROCESS_HEAP_ENTRY one = &entry;
    PPROCESS_HEAP_ENTRY two = &entry;
    ck_assert_ptr_eq(one, two);
    HEAP_SUMMARY summary = { .cb = sizeof summary };
    PHEAP_SUMMARY three = &summary;
    LPHEAP_SUMMARY four = &summary;
    ck_assert_ptr_eq(three, four);
    HEAP_OPTIMIZE_RESOURCES_INFORMATION optimize = { HEAP_OPTIMIZE_RESOURCES_CURRENT_VERSION, 0 };
    PHEAP_OPTIMIZE_RESOURCES_INFORMATION five = &optimize;
    ck_assert_uint_eq(five->Version, 1);
    HEAP_INFORMATION_CLASS class = HeapOptimizeResources;
    ck_assert_int_eq(class, 3);
}
END_TEST

/* ---- W32 1.2: a bit that means nothing changes nothing ---- */

START_TEST(no_bit_of_the_create_flags_makes_a_heap_fail)
{
    const DWORD bit = (DWORD)1 << _i;
    for (int fixed = 0; fixed < 2; fixed++) {
        HANDLE heap = ASK(HeapCreate(bit, 0, fixed ? 256 * KB : 0));
        ck_assert_ptr_nonnull(heap);
        ck_assert_last(SENTINEL);
        char *block = HeapAlloc(heap, 0, 100);
        ck_assert_ptr_nonnull(block);
        fill(block, 1, 100);
        ck_assert(block == NULL || is_filled(block, 1, 0, 100));
        /* as a creation flag ZERO_MEMORY has no effect, so nothing is promised; growth is decided by the
         * maximum */
        if (bit == HEAP_GROWABLE && fixed) ck_assert_ptr_null(HeapAlloc(heap, 0, 512 * KB));
        if (bit == HEAP_GROWABLE && !fixed) ck_assert_ptr_nonnull(HeapAlloc(heap, 0, 8 * MB));
        ck_assert_int_eq(HeapValidate(heap, 0, block), TRUE);
        ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
        ck_assert_int_eq(HeapDestroy(heap), TRUE);
    }
}
END_TEST

START_TEST(no_bit_of_the_call_flags_makes_a_call_fail)
{
    const DWORD bit = (DWORD)1 << _i;
    for (int fixed = 0; fixed < 2; fixed++) {
        HANDLE heap = HeapCreate(0, 0, fixed ? 256 * KB : 0);
        unsigned char *block = ASK(HeapAlloc(heap, bit, 100));
        ck_assert_ptr_nonnull(block);
        fill(block, 7, 100);
        block = HeapReAlloc(heap, bit, block, 90);
        ck_assert_ptr_nonnull(block);
        ck_assert(is_filled(block, 7, 0, 90));
        ck_assert_uint_eq(HeapSize(heap, bit, block), 90);
        ck_assert_int_eq(HeapValidate(heap, bit, block), TRUE);
        ck_assert_int_eq(HeapValidate(heap, bit, NULL), TRUE);
        ck_assert_int_eq(HeapFree(heap, bit, block), TRUE);
        ck_assert_last(SENTINEL);
        ck_assert_int_eq(HeapDestroy(heap), TRUE);
    }
}
END_TEST

/* A block of a heap that was made with the bits of the debug modes is like any other. */
START_TEST(debug_bits_of_create_are_masked_off) /* W32 2.8 */
{
    HANDLE heap = HeapCreate(HEAP_TAIL_CHECKING_ENABLED | HEAP_FREE_CHECKING_ENABLED |
                                 HEAP_DISABLE_COALESCE_ON_FREE | 0x70000000u,
                             0, 0);
    unsigned char *block = HeapAlloc(heap, HEAP_ZERO_MEMORY, 8000);
    DWORD words = 0;
    ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
    block = HeapAlloc(heap, 0, 8000);
    for (int i = 0; i < 8000; i += 4) {
        DWORD word;
        memcpy(&word, block + i, sizeof word);
        words += word == 0xBAADF00Du || word == 0xFEEEFEEEu;
    }
    ck_assert_uint_eq(words, 0);
    ck_assert_int_eq(HeapValidate(heap, 0, block), TRUE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

/* ---- W32 2.1, 3.15: the last error ---- */

START_TEST(last_error_is_stored_whole) /* W32 3.15 */
{
    const DWORD value = _i < 32 ? (DWORD)1 << _i : (DWORD)(_i - 33);
    errno = ERRNO_SENTINEL;
    SetLastError(value);
    ck_assert_uint_eq(GetLastError(), value);
    ck_assert_uint_eq(GetLastError(), value); /* reading does not clear it */
    ck_assert_int_eq(errno, ERRNO_SENTINEL);
    errno = ENOMEM;
    ck_assert_uint_eq(GetLastError(), value); /* W32 2.1: independent */
}
END_TEST

static void *error_in_new_thread(void *failing)
{
    const DWORD first = GetLastError();
    HeapSize(failing, 0, NULL);
    const DWORD then = GetLastError();
    SetLastError(0x12345678);
    return (void *)(uintptr_t)(first != 0 || then == 0 || GetLastError() != 0x12345678);
}

START_TEST(each_thread_has_a_last_error_that_starts_with_0) /* W32 2.1 */
{
    enum { THREADS = 20 };
    pthread_t thread[THREADS];
    SetLastError(SENTINEL);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, error_in_new_thread, GetProcessHeap()), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(thread[i], &wrong);
        ck_assert_ptr_null(wrong);
    }
    ck_assert_uint_eq(GetLastError(), SENTINEL);
}
END_TEST

static void child_starts_with_no_error(const void *heap)
{
    CHILD_NEEDS(GetLastError() == 42); /* a copy of the thread that forked */
    CHILD_NEEDS(HeapFree((HANDLE)(uintptr_t)heap, 0, (HANDLE)(uintptr_t)heap) == FALSE);
    CHILD_NEEDS(GetLastError() == ERROR_INVALID_PARAMETER);
}

START_TEST(last_error_of_a_child_is_its_own)
{
    SetLastError(42);
    child_lives(child_starts_with_no_error, GetProcessHeap());
    ck_assert_uint_eq(GetLastError(), 42);
}
END_TEST

START_TEST(version_of_library_and_header_agree) { ck_assert_str_eq(ph_version(), PRIVHEAP_VERSION); }
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract values");
    TCase *values = contract_case(suite, "types, numbers, layouts");
    tcase_add_test(values, types_have_the_sizes_of_the_windows_abi);
    tcase_add_test(values, functions_can_be_called_through_their_published_types);
    tcase_add_loop_test(values, number_is_the_published_one, 0, COUNT(numbers));
    tcase_add_loop_test(values, field_lies_where_windows_has_it, 0, COUNT(fields));
    tcase_add_test(values, structures_and_their_names_are_the_published_ones);
    tcase_add_test(values, version_of_library_and_header_agree);
    TCase *flags = contract_case(suite, "flags");
    tcase_add_loop_test(flags, no_bit_of_the_create_flags_makes_a_heap_fail, 0, 32);
    tcase_add_loop_test(flags, no_bit_of_the_call_flags_makes_a_call_fail, 0, 32);
    tcase_add_test(flags, debug_bits_of_create_are_masked_off);
    TCase *errors = contract_case(suite, "last error");
    tcase_add_loop_test(errors, last_error_is_stored_whole, 0, 36);
    tcase_add_test(errors, each_thread_has_a_last_error_that_starts_with_0);
    tcase_add_test(errors, last_error_of_a_child_is_its_own);
    return contract_run(suite);
}
