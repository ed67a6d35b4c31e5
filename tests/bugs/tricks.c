/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * tricks.c -- what attackers make of heap bugs.  Each trick goes all its way with what the program
 * can do, and leaves with EXPLOITED where malloc gave it what it was after: memory that is not the
 * heap's, or that somebody has already.  Caught on the way, refused or in vain: all fine. */
#include "bugs.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MANY = 2000 };

static uintptr_t target[64] __attribute__((aligned(64))); /* what the attacker wants to be given */

static void won(bool condition)
{
    if (condition) _exit(EXPLOITED);
}

static bool within(const void *block, const void *area, size_t bytes)
{
    return (uintptr_t)block - (uintptr_t)area < bytes;
}

static int by_address(const void *left, const void *right)
{
    const uintptr_t one = *(const uintptr_t *)left, other = *(const uintptr_t *)right;

    return (one > other) - (one < other);
}

/* Take many: is one inside `area`, do two overlap, does one lie over a `held` block? */
static void look(size_t size, const void *area, size_t area_bytes, const void *held, size_t held_bytes)
{
    static uintptr_t block[MANY];
    const unsigned many = size > 4096 ? 64 : MANY;

    for (unsigned i = 0; i < many; i++) {
        block[i] = (uintptr_t)bug_hide(malloc(size));
        won(area != NULL && within((void *)block[i], area, area_bytes));
        won(held != NULL && (within((void *)block[i], held, held_bytes) || within(held, (void *)block[i], size)));
    }
    qsort(block, many, sizeof *block, by_address);
    for (unsigned i = 1; i < many; i++) won(block[i] - block[i - 1] < size);
    for (unsigned i = 0; i < many; i++) free((void *)block[i]);
}

/* ---- one block for two ------------------------------------------------------------------------ */

static void free_it(void *block)
{
    free(block);
}

static void twice(const struct bug *b)
{
    void *block = bug_block(b->size), *other = bug_block(b->size);

    free(block);
    if (bug_is(b->how, "between")) free(other);
    if (bug_is(b->how, "cleared")) memset(bug_hide(block), 0, b->size);
    if (bug_is(b->how, "thread")) bug_on_thread(free_it, bug_hide(block));
    else free(bug_hide(block));
    look(b->size, NULL, 0, NULL, 0);
}

/* A free too many while somebody else has the block: a third must not get it as well. */
static void twice_reused(const struct bug *b)
{
    void *block = bug_block(b->size), *victim;

    free(block);
    victim = bug_block(b->size);
    free(bug_hide(block));
    if (victim != block) look(b->size, NULL, 0, victim, b->size);
}

/* Many in use at once, every second one freed twice. */
static void twice_of_many(const struct bug *b)
{
    void *block[64];

    for (unsigned i = 0; i < 64; i++) block[i] = bug_block(b->size);
    for (unsigned i = 0; i < 64; i++) free(block[i]);
    for (unsigned i = 0; i < 64; i += 2) free(bug_hide(block[i]));
    look(b->size, NULL, 0, NULL, 0);
}

/* ---- memory that is not the heap's ------------------------------------------------------------ */

/* A header as glibc's in front, sizes as it likes them behind. */
static void *forge(uintptr_t *words, size_t size)
{
    for (unsigned i = 0; i < 64; i++) words[i] = (size + 16) | 1;
    return bug_hide(words + 2);
}

static void freed_fake(const struct bug *b)
{
    uintptr_t on_stack[64] __attribute__((aligned(64)));
    uintptr_t *mapped = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uintptr_t *area = bug_is(b->how, "stack") ? on_stack : bug_is(b->how, "static") ? target : mapped;

    free(forge(area, b->size));
    look(b->size, area, sizeof on_stack, NULL, 0);
}

static void freed_fake_in_block(const struct bug *b)
{
    uintptr_t *victim = bug_block(sizeof target);

    free(forge(victim, b->size));
    look(b->size, NULL, 0, victim, sizeof target);
}

/* Every word of a freed block says the target: is there a link in it that anybody follows? */
static void poisoned(const struct bug *b)
{
    uintptr_t *block[8];

    for (unsigned i = 0; i < 8; i++) block[i] = bug_block(b->size);
    for (unsigned i = 0; i < 8; i++) free(block[i]);
    for (unsigned i = 0; i < 8; i++)
        for (size_t word = 0; word < b->size / sizeof **block; word++) {
            const uintptr_t mask = bug_is(b->how, "masked") ? (uintptr_t)&block[i][word] >> 12 : 0;
            ((uintptr_t *)bug_hide(block[i]))[word] = (uintptr_t)target ^ mask;
            if (bug_is(b->how, "first")) break;
        }
    look(b->size, target, sizeof target, NULL, 0);
}

/* The words of one freed block copied into another: a key or a link that is right elsewhere. */
static void transplanted(const struct bug *b)
{
    void *one = bug_block(b->size), *other = bug_block(b->size), *held = bug_block(b->size);

    free(one);
    free(other);
    memcpy(bug_hide(other), bug_hide(one), b->size);
    look(b->size, NULL, 0, held, b->size);
}

/* ---- blocks over blocks ----------------------------------------------------------------------- */

/* The words around a block say that it is larger. */
static void grown_by_header(const struct bug *b)
{
    uintptr_t *block = bug_block(b->size), *victim = bug_block(b->size);

    block[-1] = (b->size * 4) | (bug_is(b->how, "mapped") ? 2 : 1);
    block[-2] = b->size * 2;
    free(bug_hide(block));
    look(b->size * 3, NULL, 0, victim, b->size);
}

/* One NUL behind a block: the next one's header, if there were one. */
static void one_nul(const struct bug *b)
{
    char *block[6];

    for (unsigned i = 0; i < 6; i++) block[i] = bug_block(b->size);
    block[1][b->size] = '\0';
    free(block[2]);
    free(block[0]);
    look(b->size * 2, NULL, 0, block[3], b->size);
    look(b->size, NULL, 0, block[1], b->size);
}

static void interior(const struct bug *b)
{
    char *victim = bug_block(b->size);

    free(bug_hide(victim + b->by));
    look(bug_is(b->how, "same") ? b->size : b->size - b->by, NULL, 0, victim, b->size);
}

/* Behind the last block of the heap: the size of what was never given out. */
static void top_size(const struct bug *b)
{
    uintptr_t *block = bug_block(b->size);
    char *far;

    block[malloc_usable_size(block) / sizeof *block] = UINTPTR_MAX;
    far = bug_hide(malloc((uintptr_t)target - (uintptr_t)block - 64));
    if (far != NULL) look(b->size, target, sizeof target, NULL, 0);
}

/* The old address after realloc moved the block, freed and used. */
static void realloc_twice(const struct bug *b)
{
    char *block = bug_block(b->size), *now = bug_hide(realloc(block, b->size * 30));

    if (now == block) return;
    now = bug_hide(realloc(bug_hide(block), b->size * 30));
    look(b->size, NULL, 0, now, b->size * 30);
}

const struct row trick_rows[] = {
    {"trick", twice, "24 100 1000 20000 2000000", "", "directly between cleared thread", ""},
    {"trick", twice_reused, "24 1000 20000", "", "reused", ""},
    {"trick", twice_of_many, "24 1000", "", "many", ""},
    {"trick", freed_fake, "48 200", "", "stack static mapped", ""},
    {"trick", freed_fake_in_block, "48 200", "", "in-block", ""},
    {"trick", poisoned, "24 100 1000 20000", "", "all first masked", ""},
    {"trick", transplanted, "24 1000 20000", "", "transplanted", ""},
    {"trick", grown_by_header, "24 1000 20000", "", "header mapped", ""},
    {"trick", one_nul, "24 248 1000 5112", "", "nul", ""},
    {"trick", interior, "256 5000 200000", "16 64", "same rest", ""},
    {"trick", top_size, "24 1000 20000", "", "top", ""},
    {"trick", realloc_twice, "100 5000", "", "realloc", ""},
    {NULL, NULL, "", "", "", ""},
};
