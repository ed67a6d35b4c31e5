/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * ways.c -- the ways of C and Win32, and the rows of their misuses. */
#include "matrix.h"

#include <stdlib.h>
#include <string.h>

#include "../../../lib/heapapi.h"

static void *take_zeroed(size_t bytes)
{
    return calloc(1, bytes);
}

/* Twice as large as it was; what is new nobody wrote to. */
static void *take_grown(size_t bytes)
{
    char *block = bug_hide(malloc(bytes / 2 + 1));

    bug_need(block != NULL);
    memset(block, 'g', bytes / 2 + 1);
    return realloc(block, bytes);
}

static void *take_aligned(size_t bytes)
{
    return aligned_alloc(64, bytes);
}

static HANDLE private_heap(void)
{
    static HANDLE heap;

    if (heap == NULL) heap = HeapCreate(0, 0, 0);
    return heap;
}

static HANDLE other_heap(void)
{
    static HANDLE heap;

    if (heap == NULL) heap = HeapCreate(0, 0, 0);
    return heap;
}

static void *take_of_process(size_t bytes)
{
    return HeapAlloc(GetProcessHeap(), 0, bytes);
}

static void give_to_process(void *block)
{
    HeapFree(GetProcessHeap(), 0, block);
}

static void *take_of_private(size_t bytes)
{
    return HeapAlloc(private_heap(), 0, bytes);
}

static void give_to_private(void *block)
{
    HeapFree(private_heap(), 0, block);
}

static void give_to_other(void *block)
{
    HeapFree(other_heap(), 0, block);
}

const struct way matrix_ways[] = {
    {"malloc", malloc, free, give_to_other},
    {"calloc", take_zeroed, free, give_to_other},
    {"realloc", take_grown, free, give_to_other},
    {"aligned_alloc", take_aligned, free, give_to_other},
    {"HeapAlloc", take_of_process, give_to_process, give_to_other},
    {"private", take_of_private, give_to_private, give_to_other},
    {NULL, NULL, NULL, NULL},
};

#define SIZES "1 37 4096 300000"
#define SOME_SIZES "37 4096 300000"
#define C_WAYS "malloc calloc realloc aligned_alloc HeapAlloc"
#define WAYS C_WAYS " private"
#define PLACES "here thread fork"

/* A private heap's freed memory may be read, and has a pattern in its whole double words: that is its contract. */
const struct row matrix_rows[] = {
    {"overflow", misuse_overflow, SIZES, "0 100", WAYS, PLACES},
    {"underflow", misuse_underflow, SIZES, "1", WAYS, PLACES},
    {"over-read", misuse_over_read, SIZES, "100", WAYS, PLACES},
    {"tight-read", misuse_over_read, SIZES, "0", "malloc calloc realloc", PLACES},
    {"under-read", misuse_under_read, SIZES, "1", WAYS, PLACES},
    {"write-after-free", misuse_write_after_free, SIZES, "", C_WAYS, PLACES},
    {"late-write", misuse_write_after_free, SOME_SIZES, "", "private", PLACES},
    {"read-after-free", misuse_read_after_free, SIZES, "", C_WAYS, PLACES},
    {"double-free", misuse_double_free, SIZES, "", WAYS, PLACES},
    {"interior-free", misuse_interior_free, SOME_SIZES, "16 7", WAYS, PLACES},
    {"free-of-stack", misuse_free_of_stack, "37", "", "malloc HeapAlloc private", PLACES},
    {"free-of-static", misuse_free_of_static, "37", "", "malloc HeapAlloc private", PLACES},
    {"free-of-wild", misuse_free_of_wild, "37", "", "malloc HeapAlloc private", PLACES},
    {"usable-of-inside", misuse_usable_of_inside, SOME_SIZES, "16 7", C_WAYS, PLACES},
    {"usable-of-freed", misuse_usable_of_freed, SIZES, "0", C_WAYS, PLACES},
    {"wrong-heap", misuse_wrong_give, SIZES, "", WAYS, PLACES},
    {"uninitialised", misuse_uninitialised, SOME_SIZES, "", "malloc realloc aligned_alloc HeapAlloc private", PLACES},
    {"leak", misuse_leak, SIZES, "", WAYS, PLACES},
    {NULL, NULL, "", "", "", ""},
};
