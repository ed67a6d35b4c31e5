/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * write.c -- bugs that write where they must not: past a block's end, before its start, after its end of life. */
#include "bugs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

static char *letters(size_t count)
{
    memset(bug_big, 'B', count);
    bug_big[count] = '\0';
    return bug_big;
}

static void read_into(char *at, size_t bytes)
{
    const int zeros = open("/dev/zero", O_RDONLY);

    bug_sink = (size_t)read(zeros, at, bytes);
    close(zeros);
}

static void store(char *at, size_t bytes)
{
    for (volatile char *v = at; bytes-- > 0; v++) *v = 'B';
}

static void store_words(char *at, size_t bytes)
{
    for (volatile size_t *v = (volatile size_t *)(void *)at; bytes >= sizeof *v; v++, bytes -= sizeof *v)
        *v = 0x4242424242424242u;
}

static void concatenate(char *at, size_t bytes)
{
    memset(at, 'A', bytes / 2);
    at[bytes / 2] = '\0';
    strcat(at, letters(bytes - bytes / 2 - 1));
}

/* Write `bytes` from `at` on, the last one included, by the way that `how` names. */
static void put(const char *how, char *at, size_t bytes)
{
    if (bug_is(how, "store")) store(at, bytes);
    else if (bug_is(how, "words")) store_words(at, bytes);
    else if (bug_is(how, "memset")) memset(at, 0, bytes);
    else if (bug_is(how, "memcpy")) memcpy(at, letters(bytes), bytes);
    else if (bug_is(how, "memmove")) memmove(at, letters(bytes), bytes);
    else if (bug_is(how, "strcpy")) strcpy(at, letters(bytes - 1));
    else if (bug_is(how, "strncpy")) strncpy(at, "short", bytes);
    else if (bug_is(how, "strcat")) concatenate(at, bytes);
    else if (bug_is(how, "sprintf")) sprintf(at, "%s", letters(bytes - 1));
    else if (bug_is(how, "snprintf")) snprintf(at, bytes, "%s", letters(bytes));
    else if (bug_is(how, "wmemset")) wmemset((wchar_t *)(void *)at, L'B', bytes / sizeof(wchar_t));
    else if (bug_is(how, "read")) read_into(at, bytes);
    else abort();
}

/* ---- what the program does after it ---------------------------------------------------------- */

struct three {
    char *before, *block, *after;
};

static struct three neighbours(size_t size)
{
    struct three th;

    th.before = bug_block(size);
    th.block = bug_block(size);
    th.after = bug_block(size);
    return th;
}

static void free_it(void *block)
{
    free(block);
}

static void settle(const struct bug *b, struct three th)
{
    if (bug_is(b->when, "exit")) return;
    if (bug_is(b->when, "later")) bug_churn(b->size);
    if (bug_is(b->when, "grow")) {
        free(bug_hide(realloc(th.block, b->size * 2)));
        return;
    }
    if (bug_is(b->when, "around")) {
        free(th.before);
        free(th.after);
    }
    if (bug_is(b->when, "thread")) bug_on_thread(free_it, th.block);
    else free(th.block);
    if (bug_is(b->when, "all")) {
        free(th.after);
        free(th.before);
        bug_churn(b->size);
    }
}

/* ---- the bugs -------------------------------------------------------------------------------- */

/* A whole block filled and more than that; or, by single stores, only what is more. */
static void overflow(const struct bug *b)
{
    const struct three th = neighbours(b->size);

    if (bug_is(b->how, "store")) store(th.block + b->size, b->by);
    else put(b->how, th.block, b->size + b->by);
    settle(b, th);
}

/* A final NUL one byte too far. */
static void off_by_one(const struct bug *b)
{
    const struct three th = neighbours(b->size);

    if (bug_is(b->how, "index")) ((volatile char *)th.block)[b->size] = '\0';
    else put(b->how, th.block, b->size + 1);
    settle(b, th);
}

/* A block that is not next to what was written: an index gone wild by `by` bytes. */
static void far_store(const struct bug *b)
{
    const struct three th = neighbours(b->size);

    ((volatile char *)th.block)[b->size + b->by] = 'B';
    settle(b, th);
}

static void underflow(const struct bug *b)
{
    const struct three th = neighbours(b->size);

    put(b->how, th.block - b->by, bug_is(b->how, "store") ? b->by : b->by + 1);
    settle(b, th);
}

/* A count that wrapped: the block is small, what is written is not. */
static void wrapped_count(const struct bug *b)
{
    const unsigned count = (unsigned)(0x100000000u / 16 + b->size / 16);
    const struct three th = neighbours((size_t)(count * 16u));

    memset(th.block, 1, b->size + b->by);
    settle(b, th);
}

static void overflow_grown(const struct bug *b)
{
    struct three th = neighbours(b->size / 2);

    th.block = bug_hide(realloc(th.block, b->size));
    put(b->how, th.block, b->size + b->by);
    settle(b, th);
}

static void overflow_aligned(const struct bug *b)
{
    struct three th = neighbours(b->size);
    void *block = NULL;

    bug_need(posix_memalign(&block, 64, b->size) == 0);
    free(th.block);
    th.block = bug_hide(block);
    put(b->how, th.block, b->size + b->by);
    settle(b, th);
}

/* by: 0 the start, else that offset; more than the block: its middle, or its last byte. */
static size_t offset_in(const struct bug *b)
{
    if (bug_is(b->when, "middle")) return b->size / 2;
    if (bug_is(b->when, "last")) return b->size - 1;
    return b->by;
}

static void use_again(size_t size)
{
    for (unsigned i = 0; i < 4; i++) bug_sink = (size_t)bug_block(size);
}

/* Where a write after free is looked for: at exit, when the block is wanted again, later. */
static void after_freed(const struct bug *b)
{
    if (bug_is(b->when, "exit")) return;
    if (bug_is(b->when, "next")) use_again(b->size);
    else bug_churn(b->size);
}

static void write_after_free(const struct bug *b)
{
    const struct three th = neighbours(b->size);
    const size_t offset = offset_in(b);

    free(th.block);
    put(b->how, th.block + offset, offset + 8 <= b->size ? 8 : b->size - offset);
    after_freed(b);
}

static void write_all_after_free(const struct bug *b)
{
    const struct three th = neighbours(b->size);

    free(th.block);
    put(b->how, th.block, b->size);
    after_freed(b);
}

static void write_soon(void *block)
{
    memset(block, 'T', 8);
}

static void write_in_thread(const struct bug *b)
{
    const struct three th = neighbours(b->size);

    if (bug_is(b->how, "freed")) {
        bug_on_thread(free_it, th.block);
        write_soon(th.block);
    } else {
        free(th.block);
        bug_on_thread(write_soon, th.block);
    }
    after_freed(b);
}

/* The old address, after realloc moved the block. */
static void write_stale(const struct bug *b)
{
    const struct three th = neighbours(b->size);
    char *now = bug_hide(realloc(th.block, b->size * 20));

    if (now == th.block) exit(EXIT_SUCCESS); /* it did not move: no bug */
    put(b->how, th.block + b->by, 8);
    after_freed(b);
    free(now);
}

/* Freed and given to somebody else, whose content the first owner changes: a bug between two live
 * users, which only an allocator that waits with reuse can see. */
static void write_reused(const struct bug *b)
{
    const struct three th = neighbours(b->size);
    char *other;

    free(th.block);
    other = bug_block(b->size);
    put(b->how, th.block + b->by, 8);
    after_freed(b);
    free(other);
}

const struct row write_rows[] = {
    {"overflow", overflow, "24 40 56 120 1016 5112 20472", "1", "store", "free"},
    {"overflow", overflow, "8 24 120 504 2040 4088 200000", "8", "store memcpy", "free"},
    {"overflow", overflow, "24 40 248 1016 5112", "16 24 64", "memcpy", "free"},
    {"overflow", overflow, "56 504", "16 40", "store", "free"},
    {"overflow", overflow, "120 2000000", "4096", "store memcpy", "free"},
    {"overflow", overflow, "24 120 4088", "8",
     "memset read sprintf strcat memmove snprintf strncpy strcpy wmemset", "free"},
    {"overflow", overflow, "24 1016", "16", "memcpy", "exit later around all thread"},
    {"overflow", overflow, "8 24", "200", "memcpy", "free"},
    {"overflow", overflow, "0", "8 32", "store", "free"},
    {"overflow", far_store, "100 20000", "32", "far", "free"},
    {"overflow", far_store, "24 2000000", "1000000 20000000", "far", "free"},
    {"overflow", off_by_one, "8 24 1016 20000", "", "strcpy index", "free"},
    {"overflow", wrapped_count, "48 160", "1000", "wrapped", "free"},
    {"overflow", overflow_grown, "248", "8", "memcpy store", "free"},
    {"overflow", overflow_aligned, "184 1016", "8", "memcpy store", "free"},
    {"underflow", underflow, "24 1000", "1 8", "store", "free"},
    {"underflow", underflow, "120 20000 2000000", "8 64", "memcpy", "free"},
    {"underflow", underflow, "100", "16", "store", "exit later around all"},
    {"use-after-free", write_after_free, "24 100 1000", "0 8 16", "store", "exit next"},
    {"use-after-free", write_after_free, "24 1000", "8", "memcpy", "exit next later"},
    {"use-after-free", write_after_free, "100 4000 20000 2000000", "", "store", "middle last"},
    {"use-after-free", write_after_free, "24", "0", "strcpy", "later"},
    {"use-after-free", write_all_after_free, "24 100 500 1000 5000 20000 200000", "", "memset", "next"},
    {"use-after-free", write_all_after_free, "24 1000 20000", "", "memcpy", "exit next"},
    {"use-after-free", write_all_after_free, "48 5000", "", "store", "exit next"},
    {"use-after-free", write_in_thread, "100", "", "written freed", "exit"},
    {"use-after-free", write_stale, "24 200000", "20", "store", "next"},
    {"use-after-free", write_reused, "24 1000", "40", "store", "next"},
    {NULL, NULL, "", "", "", ""},
};
