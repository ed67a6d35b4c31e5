/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * right.c -- correct uses of malloc that look like bugs, or that lean on what glibc promises: blocks. */
#include "bugs.h"

#include <errno.h>
#include <malloc.h>
#include <obstack.h>
#include <search.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

/* All that malloc_usable_size says may be written to, and is kept by realloc. */
static void usable_written(const struct bug *b)
{
    unsigned char *block = bug_hide(malloc(b->size));
    const size_t usable = malloc_usable_size(block);

    bug_need(usable >= b->size);
    memset(block, 0xee, usable);
    if (bug_is(b->how, "kept")) {
        block = bug_hide(realloc(block, usable * 2 + 1));
        for (size_t i = 0; i < b->size; i++) bug_need(block[i] == 0xee);
        memset(block, 0xdd, malloc_usable_size(block));
    } else if (bug_is(b->how, "same")) {
        bug_need(bug_hide(realloc(block, usable)) == block);
    }
    free(block);
}

static void usable_aligned(const struct bug *b)
{
    char *block = bug_hide(memalign(b->by, b->size));

    bug_need(block != NULL && (uintptr_t)block % b->by == 0);
    memset(block, 1, malloc_usable_size(block));
    free(block);
}

static void nothing_freed(const struct bug *b)
{
    void *block = bug_hide(malloc(0)), *other = bug_hide(malloc(0));

    (void)b;
    bug_need(block != NULL && other != NULL && block != other);
    free(block);
    free(other);
    free(NULL);
    free(bug_hide(calloc(0, 8)));
    free(bug_hide(calloc(8, 0)));
    free(bug_hide(realloc(NULL, 0)));
}

static void realloc_to_nothing(const struct bug *b)
{
    void *block = bug_block(b->size);

    bug_need(bug_hide(realloc(block, 0)) == NULL);
    block = bug_hide(realloc(NULL, b->size));
    memset(block, 2, b->size);
    free(block);
}

/* Grown and shrunk, every byte looked at. */
static void realloc_steps(const struct bug *b)
{
    size_t had = 1;
    unsigned char *block = memset(bug_hide(malloc(1)), 7, 1);

    for (size_t bytes = 1; bytes < b->size; bytes = bytes * 3 / 2 + 1) {
        block = bug_hide(realloc(block, bytes));
        bug_need(block[had - 1] == 7 && block[0] == 7);
        memset(block, 7, bytes);
        had = bytes;
    }
    for (; had > 1; had = had * 2 / 3) {
        block = bug_hide(realloc(block, had));
        bug_need(block[had - 1] == 7);
        block[had * 2 / 3 > 0 ? had * 2 / 3 - 1 : 0] = 7;
    }
    free(block);
}

/* realloc that fails leaves the block; an array that is too large is refused, errno says so. */
static void realloc_refused(const struct bug *b)
{
    char *block = bug_block(b->size);
    const size_t too_many = (size_t)bug_hide((void *)(SIZE_MAX / 2));

    bug_need(bug_hide(realloc(bug_hide(block), PTRDIFF_MAX)) == NULL && errno == ENOMEM);
    errno = 0;
    bug_need(bug_hide(reallocarray(bug_hide(block), too_many, 3)) == NULL && errno == ENOMEM);
    bug_need(bug_hide(calloc(too_many, 3)) == NULL);
    bug_need(block[b->size - 1] == 'a');
    free(block);
}

static void calloc_is_zero(const struct bug *b)
{
    for (unsigned round = 0; round < 20; round++) {
        unsigned char *block = bug_hide(calloc(b->size, 1));
        for (size_t i = 0; i < b->size; i++) bug_need(block[i] == 0);
        memset(block, 0xff, b->size);
        free(block);
    }
}

/* Pointers to a freed block are compared, printed and put into a table, never followed. */
static void dead_compared(const struct bug *b)
{
    void *block = bug_block(b->size), *next;
    const uintptr_t was = (uintptr_t)block;

    free(block);
    next = bug_block(b->size);
    if ((uintptr_t)next == was) bug_sink++;
    printf("%lx\n", (unsigned long)was);
    free(next);
}

/* A block freed, taken again by the same address, and written as its new owner likes. */
static void taken_again(const struct bug *b)
{
    for (unsigned round = 0; round < 200; round++) {
        size_t *block = bug_hide(malloc(b->size));
        memset(block, (int)round, b->size);
        free(block);
    }
}

/* The first words of a block hold what a free block's words may look like. */
static void odd_contents(const struct bug *b)
{
    void *block[16];

    for (unsigned i = 0; i < 16; i++) {
        block[i] = bug_hide(malloc(b->size));
        memset(block[i], bug_is(b->how, "zero") ? 0 : bug_is(b->how, "ones") ? 0xff : 0xdf, b->size);
        if (bug_is(b->how, "own") && b->size >= 16) ((void **)block[i])[1] = block[i];
    }
    for (unsigned i = 0; i < 16; i += 2) free(block[i]);
    for (unsigned i = 0; i < 16; i += 2) block[i] = bug_block(b->size);
    for (unsigned i = 0; i < 16; i++) free(block[i]);
}

/* What the last owner left is copied from block to block: a key that was read is no damage. */
static void old_contents_copied(const struct bug *b)
{
    char *block, *copy;

    for (unsigned round = 0; round < 100; round++) {
        block = bug_hide(malloc(b->size));
        copy = bug_hide(malloc(b->size));
        memcpy(copy, block, b->size);
        free(block);
        free(copy);
    }
}

static void aligned_any(const struct bug *b)
{
    void *block = NULL;

    bug_need(posix_memalign(&block, b->by, b->size) == 0 && (uintptr_t)block % b->by == 0);
    memset(block, 3, b->size);
    block = bug_hide(realloc(block, b->size * 2));
    memset(block, 4, b->size * 2);
    free(block);
    block = bug_hide(aligned_alloc(b->by, (b->size + b->by - 1) / b->by * b->by));
    bug_need((uintptr_t)block % b->by == 0);
    free(block);
    free(bug_hide(valloc(b->size)));
    free(bug_hide(pvalloc(b->size)));
}

static void aligned_refused(const struct bug *b)
{
    void *block = &block;

    (void)b;
    bug_need(posix_memalign(&block, 3, 10) == EINVAL && posix_memalign(&block, 4, 10) == EINVAL && block == &block);
    bug_need(bug_hide(malloc(PTRDIFF_MAX)) == NULL && errno == ENOMEM);
}

/* What libc gives and the program frees. */
static void given_by_libc(const struct bug *b)
{
    char *line = NULL, *text = NULL;
    size_t room = 0;
    FILE *stream = tmpfile();

    bug_need(stream != NULL);
    for (size_t i = 0; i < b->size; i++) putc('x', stream);
    putc('\n', stream);
    rewind(stream);
    bug_need(getline(&line, &room, stream) == (ssize_t)b->size + 1 && room > b->size);
    memset(line, 'y', room);
    fclose(stream);
    line[b->size] = '\0';
    text = strdup(line);
    free(bug_hide(strndup(text, b->size / 2)));
    free(line);
    bug_need(asprintf(&line, "%s and %s", text, text) > 0);
    free(line);
    free(text);
    free(bug_hide(wcsdup(L"wide")));
}

static void stream_in_memory(const struct bug *b)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);

    for (size_t i = 0; i < b->size; i++) putc('m', stream);
    fclose(stream);
    bug_need(length == b->size && text[length] == '\0');
    free(text);
}

static void paths(const struct bug *b)
{
    char *path = realpath("/proc/self", NULL), *here = getcwd(NULL, 0);

    (void)b;
    free(path);
    free(here);
    here = bug_hide(malloc(4096));
    bug_need(getcwd(here, 4096) != NULL);
    free(here);
}

static void obstacks(const struct bug *b)
{
    struct obstack ob;
    char *first;

    obstack_init(&ob);
    first = obstack_alloc(&ob, b->size);
    memset(first, 1, b->size);
    for (unsigned i = 0; i < 50; i++) memset(obstack_alloc(&ob, b->size), 2, b->size);
    obstack_free(&ob, first);
    obstack_grow(&ob, "grown", 5);
    bug_sink = (size_t)obstack_finish(&ob);
    obstack_free(&ob, NULL);
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(left, right);
}

static void search_trees(const struct bug *b)
{
    void *root = NULL;
    char text[32];

    for (size_t i = 0; i < b->size; i++) {
        snprintf(text, sizeof text, "%zu", i * 7919 % b->size);
        bug_need(tsearch(strdup(text), &root, compare_texts) != NULL);
    }
    tdestroy(root, free);
}

static int compare_bytes(const void *left, const void *right)
{
    return *(const unsigned char *)left - *(const unsigned char *)right;
}

static void sorted(const struct bug *b)
{
    unsigned char *bytes = bug_block(b->size);

    for (size_t i = 0; i < b->size; i++) bytes[i] = (unsigned char)(i * 31);
    qsort(bytes, b->size, 1, compare_bytes);
    bug_need(bytes[0] <= bytes[b->size - 1]);
    free(bytes);
}

/* A block lined up by hand, freed by the pointer that malloc gave. */
static void lined_up_by_hand(const struct bug *b)
{
    char *block = bug_hide(malloc(b->size + b->by));
    char *lined = (char *)(((uintptr_t)block + b->by - 1) / b->by * b->by);

    memset(lined, 1, b->size);
    free(block);
}

/* The pointer that is kept points behind a header, as of a string library, or below the block. */
static void shifted(const struct bug *b)
{
    char *kept = (char *)bug_block(b->size + 16) + 16;

    memset(kept, 1, b->size);
    free(bug_hide(kept - 16));
}

/* Exactly to the last byte, and read there. */
static void to_the_end(const struct bug *b)
{
    char *block = bug_hide(malloc(b->size)), *other = bug_hide(malloc(b->size));

    memset(block, 'e', b->size);
    block[b->size - 1] = '\0';
    strcpy(other, block);
    bug_need(strlen(other) == b->size - 1);
    free(block);
    bug_need(other[b->size - 1] == '\0');
    free(other);
}

/* Blocks left to the end of the process, still in use by what runs there. */
static char *left;

static void look_at_left(void)
{
    bug_need(left[0] == 'a');
    free(left);
    free(bug_block(100));
}

static void freed_at_exit(const struct bug *b)
{
    left = bug_block(b->size);
    bug_need(atexit(look_at_left) == 0);
    if (bug_is(b->how, "called")) exit(EXIT_SUCCESS);
}

static void left_over(const struct bug *b)
{
    for (unsigned i = 0; i < 100; i++) bug_sink = (size_t)bug_block(b->size);
    if (bug_is(b->how, "quick")) quick_exit(0);
    if (bug_is(b->how, "at-once")) _exit(0);
}

static void many_sizes(const struct bug *b)
{
    static void *block[2000];

    for (unsigned i = 0; i < 2000; i++) block[i] = bug_block(i * b->by + 1);
    for (unsigned i = 0; i < 2000; i++) free(block[bug_is(b->how, "backwards") ? 1999 - i : i * 7 % 2000]);
}

static void figures(const struct bug *b)
{
    char *text = NULL;
    size_t length = 0;
    void *block = bug_block(b->size);
    FILE *stream = open_memstream(&text, &length);
    const struct mallinfo2 mi = mallinfo2();

    bug_need(mi.uordblks + mi.hblkhd > 0);
    bug_need(malloc_info(0, stream) == 0);
    fclose(stream);
    free(text);
    free(block);
    malloc_trim(0);
    mallopt(M_PERTURB, 0);
}

const struct row right_rows[] = {
    {"usable", usable_written, "0 1 8 24 25 100 1000 1025 4000 5000 20000 200000 2000000", "", "written kept", ""},
    {"usable", usable_written, "1 8 16 24 25 100 1000 1025 4000 5000 20000", "", "same", ""},
    {"usable", usable_aligned, "1 100 5000 200000", "16 64 256 4096 65536", "aligned", ""},
    {"nothing", nothing_freed, "", "", "", ""},
    {"realloc", realloc_to_nothing, "1 100 5000 200000 2000000", "", "to-nothing", ""},
    {"realloc", realloc_steps, "100 5000 300000 4000000", "", "steps", ""},
    {"realloc", realloc_refused, "24 5000 2000000", "", "refused", ""},
    {"calloc", calloc_is_zero, "1 8 16 24 48 100 1000 2048 5000 20000 200000 1048576 2000000", "", "zero", ""},
    {"dead", dead_compared, "1 8 24 100 1000 20000 200000 2000000", "", "compared", ""},
    {"again", taken_again, "0 1 8 16 24 48 100 1000 2048 5000 20000 200000 2000000", "", "taken", ""},
    {"contents", odd_contents, "8 16 24 100 1000 5000 20000 200000", "", "zero ones filled own", ""},
    {"contents", old_contents_copied, "1 8 16 24 48 100 1000 2048 5000 20000 200000 2000000", "", "copied", ""},
    {"aligned", aligned_any, "1 24 1000 20000", "8 16 32 64 128 512 4096 16384 2097152", "", ""},
    {"aligned", aligned_refused, "", "", "refused", ""},
    {"libc", given_by_libc, "10 119 120 121 1000 5000", "", "lines", ""},
    {"libc", stream_in_memory, "0 100 5000 200000", "", "stream", ""},
    {"libc", paths, "", "", "paths", ""},
    {"libc", obstacks, "24 1000 5000", "", "obstacks", ""},
    {"libc", search_trees, "10 1000", "", "trees", ""},
    {"libc", sorted, "100 1000 5000 200000", "", "sorted", ""},
    {"shifted", lined_up_by_hand, "100 5000 200000", "64 4096", "by-hand", ""},
    {"shifted", shifted, "8 24 100 1000 5000 20000 200000 2000000", "", "header", ""},
    {"end",
     to_the_end, "1 8 15 16 17 24 32 100 1000 1024 1025 4000 4096 16384 16385 20000"
     " 200000 1048576 2000000", "", "written", ""},
    {"exit", freed_at_exit, "24 5000 200000", "", "returned called", ""},
    {"exit", left_over, "24 5000 200000", "", "left quick at-once", ""},
    {"sizes", many_sizes, "", "1 13", "backwards mixed", ""},
    {"figures", figures, "100 200000", "", "asked", ""},
    {NULL, NULL, "", "", "", ""},
};
