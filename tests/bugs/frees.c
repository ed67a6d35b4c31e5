/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * frees.c -- bugs in giving back: twice, or what is no block. */
#include "bugs.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern char **environ;

/* ---- twice ----------------------------------------------------------------------------------- */

static void free_it(void *block)
{
    free(block);
}

static void free_others(size_t size, unsigned count)
{
    void *other[64];

    for (unsigned i = 0; i < count; i++) other[i] = bug_block(size);
    for (unsigned i = 0; i < count; i++) free(other[i]);
}


/* The second free of a block that another owner has by now: his own free is then one too many.
 * Or he uses it, while a third is given it as well. */
static void free_reused(void *block, size_t size, bool taken)
{
    void *other = bug_block(size);

    free(block);
    if (taken) bug_sink = (size_t)bug_block(size);
    free(other);
}

static void *take(const char *how, size_t size)
{
    void *block = NULL;

    if (bug_is(how, "calloc")) return bug_hide(calloc(1, size));
    if (bug_is(how, "memalign")) return posix_memalign(&block, 64, size) == 0 ? bug_hide(block) : NULL;
    if (bug_is(how, "realloc")) return bug_hide(realloc(bug_block(size / 2 + 1), size));
    return bug_block(size);
}

static void free_twice(const struct bug *b)
{
    char *first = bug_block(b->size), *block = take(b->how, b->size), *last = bug_block(b->size);

    if (bug_is(b->how, "many-before")) free_others(b->size, 40);

    if (bug_is(b->how, "other-thread")) bug_on_thread(free_it, block);
    else free(block);
    if (bug_is(b->how, "one-between") || bug_is(b->how, "many-before")) free(first);
    else if (bug_is(b->how, "many-between")) free_others(b->size, 40);
    else if (bug_is(b->how, "written")) memset(block, 'w', b->size < 32 ? b->size : 32);
    else if (bug_is(b->how, "churn")) bug_churn(b->size);
    if (bug_is(b->how, "thread")) bug_on_thread(free_it, block);
    else if (bug_is(b->how, "reused")) free_reused(block, b->size, false);
    else if (bug_is(b->how, "taken")) free_reused(block, b->size, true);
    else free(block);
    if (bug_is(b->how, "three")) free(block);
    if (bug_is(b->when, "later")) bug_churn(b->size);
    if (bug_is(b->when, "next"))
        for (unsigned i = 0; i < 4; i++) bug_sink = (size_t)bug_block(b->size);
    free(last);
}

/* Two owners of one block: a struct copied by value, each copy cleaned up. */
static void free_copies(const struct bug *b)
{
    struct owner {
        char *name, *address;
    } one = {bug_block(b->size), bug_block(b->size)}, other = one;

    free(one.name);
    free(one.address);
    free(bug_hide(other.name));
    free(other.address);
}

/* realloc(p, 0) freed it; or realloc moved it, and the old address is freed. */
static void free_after_realloc(const struct bug *b)
{
    char *block = bug_block(b->size);
    char *now = bug_hide(realloc(block, bug_is(b->how, "to-nothing") ? 0 : b->size * 20));

    if (now == block) exit(EXIT_SUCCESS); /* it did not move: no bug */
    if (bug_is(b->how, "moved-later")) bug_churn(b->size);
    free(bug_hide(block));
    free(now);
}

/* ---- what is freed -------------------------------------------------------------------------- */

static char in_data[256] __attribute__((aligned(16))) = "data";
static char in_bss[4096] __attribute__((aligned(64)));
static __thread char in_tls[64] __attribute__((aligned(16)));

static char *map_pages(void)
{
    void *pages = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    bug_need(pages != MAP_FAILED);
    return pages;
}

static char *inside(const struct bug *b)
{
    char *block = bug_block(b->size);

    if (bug_is(b->how, "middle")) return block + b->size / 2 / 16 * 16;
    if (bug_is(b->how, "last")) return block + b->size - 1;
    if (bug_is(b->how, "end")) return block + b->size;
    if (bug_is(b->how, "before")) return block - 16;
    if (bug_is(b->how, "unit")) return (char *)(((uintptr_t)block + 4096) & ~(uintptr_t)4095);
    return block + b->by;
}

/* `room` is on the stack of whoever frees. */
static char *elsewhere(const char *how, char *room)
{
    if (bug_is(how, "stack")) return room;
    if (bug_is(how, "stack-odd")) return room + 8;
    if (bug_is(how, "data")) return in_data;
    if (bug_is(how, "bss")) return in_bss;
    if (bug_is(how, "tls")) return in_tls;
    if (bug_is(how, "literal")) return bug_hide((void *)(uintptr_t) "a text of the program");
    if (bug_is(how, "code")) return (char *)(uintptr_t)elsewhere;
    if (bug_is(how, "libc")) return (char *)(uintptr_t)qsort;
    if (bug_is(how, "mapped")) return map_pages();
    if (bug_is(how, "in-mapped")) return map_pages() + 4096 + 64;
    if (bug_is(how, "small")) return (char *)(uintptr_t)0x20;
    if (bug_is(how, "minus-one")) return (char *)UINTPTR_MAX;
    if (bug_is(how, "wild")) return (char *)(uintptr_t)0x123456789ab0;
    if (bug_is(how, "text-as-pointer")) return (char *)(uintptr_t)0x4847464544434241;
    if (bug_is(how, "high")) return (char *)(uintptr_t)0xffff800000001000;
    if (bug_is(how, "argument")) return environ[0];
    if (bug_is(how, "stream")) return (char *)stdout;
    abort();
}

/* Like what a header of a block looks like: its size, and the next block's. */
static char *forged(char *room)
{
    size_t *words = (size_t *)(void *)room;

    for (unsigned i = 0; i < 16; i++) words[i] = 0x51;
    return room + 16;
}

static void give(const char *when, void *block)
{
    if (bug_is(when, "realloc")) bug_sink = (size_t)bug_hide(realloc(block, 300));
    else if (bug_is(when, "to-nothing")) bug_sink = (size_t)bug_hide(realloc(block, 0));
    else free(block);
    if (bug_is(when, "later")) bug_churn(100);
}

static void free_inside(const struct bug *b)
{
    give(b->when, bug_hide(inside(b)));
}

static __attribute__((noinline)) void free_elsewhere(const struct bug *b)
{
    char room[256] __attribute__((aligned(16)));

    memset(room, 0, sizeof room);
    give(b->when, bug_hide(bug_is(b->how, "forged") ? forged(bug_hide(room)) : elsewhere(b->how, bug_hide(room))));
}

static void free_elsewhere_in_thread(void *argument)
{
    free_elsewhere(argument);
}

static void free_stack_of_thread(const struct bug *b)
{
    bug_on_thread(free_elsewhere_in_thread, (void *)(uintptr_t)b);
}

/* A block that the program itself lined up, freed by the lined-up address. */
static void free_lined_up(const struct bug *b)
{
    char *block = bug_block(b->size + 64);
    char *lined = (char *)(((uintptr_t)block + 64) & ~(uintptr_t)63);

    free(bug_hide(lined == block ? block + 64 : lined));
}

static void free_in_aligned(const struct bug *b)
{
    void *block = NULL;

    bug_need(posix_memalign(&block, 256, b->size) == 0);
    free((char *)bug_hide(block) + b->by);
}

/* What strtok, strsep and a parser's loop leave in the variable that is freed. */
static void free_advanced(const struct bug *b)
{
    char *text = bug_block(b->size);

    text[b->by] = ';';
    text[b->size - 1] = '\0';
    while (*text != ';') text++;
    free(bug_hide(text));
}

/* A block of a pool of the program's own. */
static void free_of_pool(const struct bug *b)
{
    char *pool = bug_block(64 * b->size);

    bug_sink = (size_t)pool;
    free(bug_hide(pool + 3 * b->size));
}

static void realloc_freed(const struct bug *b)
{
    char *block = bug_block(b->size), *after = bug_block(b->size);

    free(block);
    if (bug_is(b->how, "later")) bug_churn(b->size);
    bug_sink = (size_t)bug_hide(realloc(bug_hide(block), bug_is(b->how, "smaller") ? b->size / 2 : b->size * 3));
    free(after);
}

/* A member that nobody set, in memory that somebody used before. */
static void free_unset(const struct bug *b)
{
    struct record {
        char *unused[2], *name;
    } *re = bug_block(b->size);
    size_t *words = (size_t *)(void *)re;

    for (unsigned i = 0; i < b->size / sizeof *words; i++) words[i] = 0x7a7a7a7a7a70 + (i << 4);
    free(re);
    re = bug_hide(malloc(b->size));
    if (bug_is(b->how, "free")) free(re->name);
    else bug_sink = (size_t)strlen(re->name);
}

/* The product overflows, calloc says no, and nobody looks. */
static void calloc_unchecked(const struct bug *b)
{
    char *block = bug_hide(calloc((size_t)-1 / 2, b->size));

    if (bug_is(b->how, "written")) memset(block, 1, b->by);
    else bug_sink = (size_t)((volatile char *)block)[b->by];
}

const struct row free_rows[] = {
    {"double-free", free_twice, "8 24 100 1000 4000 20000 200000 2000000", "", "directly", ""},
    {"double-free", free_twice, "24 1000", "", "one-between many-between many-before churn reused taken", ""},
    {"double-free", free_twice, "24 500 1000 8000", "", "thread other-thread", ""},
    {"used-double-free", free_twice, "24 500 1000 8000", "", "written", ""},
    {"double-free", free_twice, "24 5000", "", "three calloc memalign realloc", ""},
    {"double-free", free_twice, "100", "", "directly", "next later"},
    {"used-double-free", free_twice, "100", "", "written", "next later"},
    {"double-free", free_copies, "24 1000", "", "copies", ""},
    {"double-free", free_after_realloc, "24 1000 20000", "", "to-nothing moved moved-later", ""},
    {"double-free", realloc_freed, "24 1000 2000000", "", "larger smaller later", "realloc"},
    {"bad-free", free_inside, "100 1000 20000 2000000", "16", "inside", "free"},
    {"bad-free", free_inside, "100 1000", "8", "inside", "free"},
    {"bad-free", free_inside, "100 20000", "1", "inside", "free"},
    {"bad-free", free_inside, "100 20000 2000000", "", "middle end", "free"},
    {"bad-free", free_inside, "100", "", "before", "free"},
    {"bad-free", free_inside, "200000", "", "unit", "free realloc"},
    {"bad-free", free_inside, "24 20000", "16", "inside", "realloc"},
    {"bad-free", free_inside, "200", "16", "inside", "to-nothing later"},
    {"bad-free", free_elsewhere, "", "",
     "stack stack-odd data bss tls literal code libc mapped in-mapped argument stream forged", "free realloc"},
    {"bad-free", free_elsewhere, "", "", "small minus-one wild text-as-pointer high", "free realloc"},
    {"bad-free", free_elsewhere, "", "", "stack stack-odd data bss tls literal code mapped argument stream", "later"},
    {"bad-free", free_stack_of_thread, "", "", "stack forged", "thread"},
    {"bad-free", free_lined_up, "100 1000", "", "lined-up", ""},
    {"bad-free", free_in_aligned, "300 5000", "16 64", "in-aligned", ""},
    {"bad-free", free_advanced, "100 5000", "3 32", "advanced", ""},
    {"bad-free", free_of_pool, "64 1024", "", "of-pool", ""},
    {"bad-free", free_unset, "48 1000", "", "free", "unset"},
    {NULL, NULL, "", "", "", ""},
};

const struct row misc_rows[] = {
    {"no-memory", calloc_unchecked, "16", "0 100", "written read", ""},
    {"wild", free_unset, "48 1000", "", "read", "unset"},
    {NULL, NULL, "", "", "", ""},
};
