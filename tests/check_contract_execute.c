/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* check_contract_execute.c -- HEAP_CREATE_ENABLE_EXECUTE (W32 1.2, 3.1): with it every block can be executed,
 * also after a resize and in memory used again; without it none can. */
#include "check_contract.h"

#if defined __x86_64__
static const unsigned char code[] = { 0xB8, 42, 0, 0, 0, 0xC3 }; /* mov eax, 42; ret */
#elif defined __aarch64__
static const unsigned char code[] = { 0x40, 0x05, 0x80, 0x52, 0xC0, 0x03, 0x5F, 0xD6 }; /* mov w0, 42; ret */
#else
static const unsigned char code[] = { 0 };
#define NO_CODE
#endif

/* The answer of the code in the block. */
__attribute__((no_sanitize("undefined"))) static int run(unsigned char *block)
{
#ifdef NO_CODE
    (void)block;
    return 42;
#else
    int (*function)(void);
    memcpy(&function, &block, sizeof function);
    __builtin___clear_cache((char *)block, (char *)block + sizeof code);
    return function();
#endif
}

static const size_t places[] = { 16, 100, 1000, 5000, 16385, 100000, 600000, 2 << 20 };
#define PLACES COUNT(places)
static const SIZE_T maxima[] = { 0, 1 << 20, 4 << 20 };
#define MAXIMA COUNT(maxima)

START_TEST(code_in_a_block_of_an_executable_heap_runs) /* W32 3.1 */
{
    const SIZE_T maximum = maxima[_i / PLACES];
    const size_t bytes = places[_i % PLACES];
    if (maximum && bytes >= BLOCK_LIMIT) return;
    HANDLE heap = HeapCreate(HEAP_CREATE_ENABLE_EXECUTE, 0, maximum);
    for (int pass = 0; pass < 4; pass++) { /* also in memory that is used again */
        unsigned char *block = HeapAlloc(heap, pass % 2 ? HEAP_ZERO_MEMORY : 0, bytes);
        ck_assert_ptr_nonnull(block);
        ck_assert_str_eq(rights_of(block).may, "rwxp");
        ck_assert_str_eq(rights_of(block + bytes - 1).may, "rwxp");
        memcpy(block, code, sizeof code);
        ck_assert_int_eq(run(block), 42);
        ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
    }
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(code_runs_after_each_resize)
{
    HANDLE heap = HeapCreate(HEAP_CREATE_ENABLE_EXECUTE, 0, maxima[_i]);
    unsigned char *block = HeapAlloc(heap, 0, 16);
    memcpy(block, code, sizeof code);
    for (int i = 0; i < 2 * PLACES; i++) { /* up and down again */
        const size_t bytes = places[i < PLACES ? i : 2 * PLACES - 1 - i];
        if (maxima[_i] && bytes > maxima[_i] / 4) continue;
        block = HeapReAlloc(heap, 0, block, bytes);
        ck_assert_ptr_nonnull(block);
        if (!is_emulated()) ck_assert_str_eq(rights_of(block + bytes - 1).may, "rwxp");
        ck_assert_int_eq(run(block), 42);
    }
    ck_assert_int_eq(HeapFree(heap, 0, block), TRUE);
    ck_assert_int_eq(HeapDestroy(heap), TRUE);
}
END_TEST

START_TEST(block_of_an_ordinary_heap_cannot_be_executed)
{
    const SIZE_T maximum = maxima[_i / PLACES];
    const size_t bytes = places[_i % PLACES];
    if (maximum && bytes >= BLOCK_LIMIT) return;
    HANDLE executable = HeapCreate(HEAP_CREATE_ENABLE_EXECUTE, 0, maximum);
    unsigned char *there = HeapAlloc(executable, 0, bytes);
    ck_assert_ptr_nonnull(there);
    there[0] = 1;
    ck_assert_int_eq(HeapDestroy(executable), TRUE); /* its memory may be kept for the next heap */
    HANDLE heaps[] = { HeapCreate(0, 0, maximum), GetProcessHeap() };
    for (int i = 0; i < 2; i++) {
        /* the flag on a call means nothing */
        unsigned char *block = HeapAlloc(heaps[i], HEAP_CREATE_ENABLE_EXECUTE, bytes);
        ck_assert_ptr_nonnull(block);
        fill(block, 1, bytes);
        ck_assert_str_eq(rights_of(block).may, "rw-p");
        ck_assert_str_eq(rights_of(block + bytes - 1).may, "rw-p");
        block = HeapReAlloc(heaps[i], HEAP_CREATE_ENABLE_EXECUTE, block, bytes / 2);
        ck_assert_str_eq(rights_of(block).may, "rw-p");
        ck_assert_int_eq(HeapFree(heaps[i], 0, block), TRUE);
    }
    ck_assert_int_eq(HeapDestroy(heaps[0]), TRUE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract execute");
    TCase *execute = contract_case(suite, "execute");
    tcase_add_loop_test(execute, code_in_a_block_of_an_executable_heap_runs, 0, MAXIMA * PLACES);
    tcase_add_loop_test(execute, code_runs_after_each_resize, 0, MAXIMA);
    tcase_add_loop_test(execute, block_of_an_ordinary_heap_cannot_be_executed, 0, MAXIMA * PLACES);
    return contract_run(suite);
}
