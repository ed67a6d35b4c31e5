/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * matrix.c -- the misuses, each with the way of allocating and at the place that the case names. */
#include "matrix.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* One case on its way: the block is taken by the thread of main, misused where the case says. */
struct scene {
    const struct bug *bug;
    const struct way *way;
    char *block;
    void (*commit)(struct scene *sc);
};

static const struct way *way_of(const char *name)
{
    for (const struct way *wa = matrix_ways; wa->name != NULL; wa++)
        if (bug_is(wa->name, name)) return wa;
    abort();
}

/* The three that reports are to show: no call in them is the last thing that they do. */

static __attribute__((noinline)) char *misuse_allocate(const struct way *way, size_t bytes)
{
    char *block = bug_hide(way->take(bytes));

    bug_need(block != NULL);
    return bug_hide(block);
}

static __attribute__((noinline)) void misuse_free(void (*give)(void *), void *block)
{
    give(bug_hide(block));
    bug_sink++;
}

static __attribute__((noinline)) void misuse_commit(struct scene *sc)
{
    sc->commit(sc);
    bug_sink++;
}

/* ---- places ---------------------------------------------------------------------------------- */

static void commit_it(void *argument)
{
    misuse_commit(argument);
}

/* The parent ends as its child did. */
static void commit_in_child(struct scene *sc)
{
    const pid_t child = fork();
    int status;

    bug_need(child >= 0);
    if (child == 0) {
        misuse_commit(sc);
        exit(EXIT_SUCCESS);
    }
    bug_need(waitpid(child, &status, 0) == child);
    exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static void commit_at(const char *place, struct scene *sc)
{
    if (bug_is(place, "thread")) bug_on_thread(commit_it, sc);
    else if (bug_is(place, "fork")) commit_in_child(sc);
    else misuse_commit(sc);
}

static void act(const struct bug *b, bool is_filled, void (*commit)(struct scene *))
{
    struct scene sc = {.bug = b, .way = way_of(b->how), .commit = commit};

    sc.block = misuse_allocate(sc.way, b->size);
    if (is_filled) memset(sc.block, 'm', b->size);
    commit_at(b->when, &sc);
}

/* ---- the misuses ------------------------------------------------------------------------------ */

static volatile char *at(const struct scene *sc, ptrdiff_t offset)
{
    return bug_hide(sc->block + offset);
}

static void give_back(struct scene *sc)
{
    misuse_free(sc->way->give, sc->block);
}

static void commit_overflow(struct scene *sc)
{
    *at(sc, (ptrdiff_t)(sc->bug->size + sc->bug->by)) = 'B';
    give_back(sc);
}

static void commit_underflow(struct scene *sc)
{
    *at(sc, -(ptrdiff_t)sc->bug->by) = 'B';
    give_back(sc);
}

static void commit_over_read(struct scene *sc)
{
    bug_sink += (size_t)*at(sc, (ptrdiff_t)(sc->bug->size + sc->bug->by));
    give_back(sc);
}

static void commit_under_read(struct scene *sc)
{
    bug_sink += (size_t)*at(sc, -(ptrdiff_t)sc->bug->by);
    give_back(sc);
}

static void commit_write_after_free(struct scene *sc)
{
    give_back(sc);
    *at(sc, (ptrdiff_t)sc->bug->size / 2) = 'B';
}

static void commit_read_after_free(struct scene *sc)
{
    give_back(sc);
    bug_sink += (size_t)*at(sc, (ptrdiff_t)sc->bug->size / 2);
}

static void commit_double_free(struct scene *sc)
{
    give_back(sc);
    give_back(sc);
}

static void commit_interior_free(struct scene *sc)
{
    misuse_free(sc->way->give, sc->block + sc->bug->by);
}

static void commit_free_of_stack(struct scene *sc)
{
    char room[64] __attribute__((aligned(16))) = "on the stack";

    misuse_free(sc->way->give, room);
}

static void commit_free_of_static(struct scene *sc)
{
    static char room[64] __attribute__((aligned(16))) = "static";

    misuse_free(sc->way->give, room);
}

static void commit_free_of_wild(struct scene *sc)
{
    misuse_free(sc->way->give, (void *)(uintptr_t)0x123456789ab0);
}

static void commit_usable_of_inside(struct scene *sc)
{
    bug_sink += malloc_usable_size(sc->block + sc->bug->by);
}

static void commit_usable_of_freed(struct scene *sc)
{
    give_back(sc);
    bug_sink += malloc_usable_size(bug_hide(sc->block));
}

static void commit_wrong_give(struct scene *sc)
{
    misuse_free(sc->way->give_wrongly, sc->block);
}

/* The last whole word is taken for a pointer and followed. */
static void commit_uninitialised(struct scene *sc)
{
    const volatile char *const *words = bug_hide(sc->block);

    bug_sink += (size_t)*words[sc->bug->size / sizeof *words - 1];
    give_back(sc);
}

static void commit_leak(struct scene *sc)
{
    sc->block = NULL;
}

/* What the frames below left on the stack is no pointer to the block any more. */
static __attribute__((noinline)) void forget_stack(void)
{
    char room[4096];

    memset(bug_hide(room), 0, sizeof room);
    bug_hide(room);
}

void misuse_overflow(const struct bug *b) { act(b, true, commit_overflow); }
void misuse_underflow(const struct bug *b) { act(b, true, commit_underflow); }
void misuse_over_read(const struct bug *b) { act(b, true, commit_over_read); }
void misuse_under_read(const struct bug *b) { act(b, true, commit_under_read); }
void misuse_write_after_free(const struct bug *b) { act(b, true, commit_write_after_free); }
void misuse_read_after_free(const struct bug *b) { act(b, true, commit_read_after_free); }
void misuse_double_free(const struct bug *b) { act(b, true, commit_double_free); }
void misuse_interior_free(const struct bug *b) { act(b, true, commit_interior_free); }
void misuse_free_of_stack(const struct bug *b) { act(b, true, commit_free_of_stack); }
void misuse_free_of_static(const struct bug *b) { act(b, true, commit_free_of_static); }
void misuse_free_of_wild(const struct bug *b) { act(b, true, commit_free_of_wild); }
void misuse_usable_of_inside(const struct bug *b) { act(b, true, commit_usable_of_inside); }
void misuse_usable_of_freed(const struct bug *b) { act(b, true, commit_usable_of_freed); }
void misuse_wrong_give(const struct bug *b) { act(b, true, commit_wrong_give); }
void misuse_uninitialised(const struct bug *b) { act(b, false, commit_uninitialised); }

void misuse_leak(const struct bug *b)
{
    act(b, true, commit_leak);
    forget_stack();
}
