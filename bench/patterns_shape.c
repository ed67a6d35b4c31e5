/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* patterns_shape.c -- what a program looks like over time: mixed lifetimes, and phases of different sizes. */
#include "pattern.h"

/* -- Lifetimes: from one tick to 65,535, each power of two as likely; a wheel has a list of blocks for each
 * tick. */

enum { WHEEL_TICKS = 65536, LONGEST_LIFE_BITS = 16, STEP_TICKS = 1000, LARGEST_BITS = 11 };

struct wheel {
    void *due[WHEEL_TICKS]; /* the first word of a block is the next block of its list */
    unsigned now;
};

static void shape_wheel_start(struct worker *worker) { worker->own = pattern_pages(sizeof(struct wheel)); }

static void shape_free_due(struct wheel *wheel)
{
    void *block = wheel->due[wheel->now];
    wheel->due[wheel->now] = NULL;
    while (block) {
        void *next = *(void **)block;
        pattern_free(block);
        block = next;
    }
}

/* Small sizes are the usual ones: 16 << k bytes and up to twice that, k falling off. */
static size_t shape_bytes(uint64_t *random)
{
    unsigned bits = (unsigned)__builtin_ctzll(bench_random(random) | 1u << (LARGEST_BITS - 4));
    size_t base = (size_t)16 << bits;
    return pattern_between(random, base, 2 * base - 1);
}

static uint64_t shape_wheel(struct worker *worker)
{
    struct wheel *wheel = worker->own;
    for (unsigned i = 0; i < STEP_TICKS; i++) {
        wheel->now = (wheel->now + 1) % WHEEL_TICKS;
        shape_free_due(wheel);
        size_t life = (size_t)1 << pattern_between(&worker->random, 0, LONGEST_LIFE_BITS - 1);
        life = pattern_between(&worker->random, life, 2 * life - 1);
        void **block = pattern_block(shape_bytes(&worker->random));
        void **due = &wheel->due[(wheel->now + life) % WHEEL_TICKS];
        *block = *due;
        *due = block;
    }
    return STEP_TICKS;
}

static void shape_wheel_stop(struct worker *worker)
{
    struct wheel *wheel = worker->own;
    for (unsigned i = 0; i < WHEEL_TICKS; i++) {
        wheel->now = i;
        shape_free_due(wheel);
    }
}

/* -- Phases: 8 MB of one size, of which one block in eight stays until three more phases, of other sizes, are
 * over. Live are 11 MB at most: whatever the peak is above that is pages that one size left unusable for
 * another. */

enum { PHASE_BYTES = 8 << 20, PHASE_KEPT = 8, PHASES_BACK = 3, PHASE_SMALLEST = 24 };
static const unsigned phase_bytes[] = { 48, 640, 112, 4000, 256, PHASE_SMALLEST, 1500, 10000 };
enum { PHASE_SIZES = sizeof phase_bytes / sizeof *phase_bytes, PHASE_BLOCKS = PHASE_BYTES / PHASE_SMALLEST };

struct phases {
    void *block[PHASE_BLOCKS];
    void *kept[PHASES_BACK][PHASE_BLOCKS / PHASE_KEPT + 1];
    unsigned kept_count[PHASES_BACK], number;
};

static void shape_phases_start(struct worker *worker) { worker->own = pattern_pages(sizeof(struct phases)); }

static unsigned shape_forget(struct phases *phases, unsigned back)
{
    unsigned count = phases->kept_count[back];
    for (unsigned i = 0; i < count; i++) pattern_free(phases->kept[back][i]);
    phases->kept_count[back] = 0;
    return count;
}

/* Shuffle as we go: the next to be freed is any that is left. */
static uint64_t shape_phase(struct worker *worker)
{
    struct phases *phases = worker->own;
    unsigned back = phases->number % PHASES_BACK, bytes = phase_bytes[phases->number++ % PHASE_SIZES];
    unsigned count = PHASE_BYTES / bytes, stay = count / PHASE_KEPT;
    for (unsigned i = 0; i < count; i++) {
        phases->block[i] = pattern_block(bytes);
        pattern_touch(phases->block[i], 0, bytes);
    }
    for (unsigned left = count; left > stay; left--) {
        size_t at = pattern_between(&worker->random, 0, left - 1);
        pattern_free(phases->block[at]);
        phases->block[at] = phases->block[left - 1];
    }
    shape_forget(phases, back);
    memcpy(phases->kept[back], phases->block, stay * sizeof *phases->block);
    phases->kept_count[back] = stay;
    return count;
}

/* All sizes once: a part of them would be another bench. */
static uint64_t shape_round(struct worker *worker)
{
    uint64_t operations = 0;
    for (unsigned i = 0; i < PHASE_SIZES; i++) operations += shape_phase(worker);
    return operations;
}

static void shape_phases_stop(struct worker *worker)
{
    for (unsigned back = 0; back < PHASES_BACK; back++) shape_forget(worker->own, back);
}

const struct pattern patterns_shape[] = {
    { .name = "lifetimes",
      .start = shape_wheel_start,
      .step = shape_wheel,
      .stop = shape_wheel_stop,
      .operation = "pair of malloc and free, lives of 1 to 65,535 allocations, 16 to 4,095 bytes" },
    { .name = "phases",
      .warm = 1,
      .start = shape_phases_start,
      .step = shape_round,
      .stop = shape_phases_stop,
      .operation =
          "pair of malloc and free, phases of one size after another, one block in eight stays longer" },
    { .name = NULL },
};
