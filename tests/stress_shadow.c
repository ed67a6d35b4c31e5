/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* stress_shadow.c -- see stress_shadow.h.
 *
 * A block's contents are a stream drawn from a seed of its own, which stands with its holder and not in the
 * block: whoever writes into it, the allocator or another holder, is found at the next look.  Threads live
 * for some thousand steps and are made anew; their blocks stay with the place they worked at, so each is soon
 * used by a thread that did not make it.  Blocks are also swapped through an exchange. */
#include "stress_shadow.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PLACES = 16, PLACE_BLOCKS = 400, EXCHANGE_BLOCKS = 64, LIFE_STEPS = 4000, MOST_LARGE = 6 };

struct shadow {           /* a block and what must stand in it */
    unsigned char *block; /* NULL: none */
    size_t bytes, align;
    uint64_t seed;
};

struct place { /* where one thread works */
    unsigned number;
    uint64_t random;
    unsigned long steps;
    struct shadow shadow[PLACE_BLOCKS];
};

static const struct stress_calls *calls;
static const char *test_name;
static uint64_t first_seed = 1;
static unsigned seconds = 3, thread_count = 4;
static bool damage;
static uint64_t deadline_ns;
static atomic_int large_blocks; /* bounds what all threads hold */
static struct place places[PLACES];
static struct {
    pthread_mutex_t lock;
    struct shadow shadow;
} exchange[EXCHANGE_BLOCKS];
static _Thread_local struct place *here;

void stress_fail(const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    flockfile(stderr); /* the first failure speaks alone */
    fprintf(stderr, "%s: %.*s (seed %llu, thread %d, step %lu)\n", test_name, used, text,
            (unsigned long long)first_seed, here ? (int)here->number : -1, here ? here->steps : 0);
    _exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t draw(uint64_t *random)
{
    uint64_t z = *random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* ---- contents ---- */

/* Word `i` of a block's stream. */
static uint64_t stream_word(uint64_t seed, size_t i)
{
    uint64_t z = (seed + i) * 0xBF58476D1CE4E5B9u;
    return z ^ (z >> 32);
}

static void stream_write(const struct shadow *shadow)
{
    size_t i = 0;
    for (; i + 8 <= shadow->bytes; i += 8) {
        uint64_t word = stream_word(shadow->seed, i);
        memcpy(shadow->block + i, &word, 8);
    }
    uint64_t last = stream_word(shadow->seed, i);
    memcpy(shadow->block + i, &last, shadow->bytes - i);
}

/* The first `bytes` must be the stream's. */
static void stream_verify(const struct shadow *shadow, size_t bytes, const char *when)
{
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = stream_word(shadow->seed, i);
        size_t part = bytes - i < 8 ? bytes - i : 8;
        if (memcmp(shadow->block + i, &word, part) == 0) continue;
        uint64_t found = 0;
        memcpy(&found, shadow->block + i, part);
        stress_fail("%s: block %p of %zu bytes, offset %zu: 0x%016llx, not 0x%016llx", when,
                    (void *)shadow->block, shadow->bytes, i, (unsigned long long)found,
                    (unsigned long long)word);
    }
}

static void verify_zero(const unsigned char *block, size_t from, size_t to, const char *when)
{
    for (size_t i = from; i < to; i++)
        if (block[i] != 0)
            stress_fail("%s: block %p, offset %zu is 0x%02x, not 0", when, (const void *)block, i, block[i]);
}

/* A new or resized block: is it what was asked for?  All of what is usable gets contents. */
static void shadow_fill(struct shadow *shadow, size_t asked)
{
    if ((uintptr_t)shadow->block % shadow->align != 0)
        stress_fail("block %p of %zu bytes is not aligned to %zu", (void *)shadow->block, asked,
                    shadow->align);
    size_t usable = calls->usable(shadow->block, asked);
    if (usable < asked) stress_fail("block %p of %zu bytes has %zu", (void *)shadow->block, asked, usable);
    shadow->bytes = usable;
    shadow->seed = draw(&here->random);
    stream_write(shadow);
}

/* ---- steps ---- */

enum { LARGE = 256 << 10 };

/* All sizes, the small ones far more often; now and then one at a power of two's edge. */
static size_t draw_bytes(void)
{
    uint64_t dice = draw(&here->random) % 1000;
    if (dice < 10) return ((size_t)1 << (draw(&here->random) % 18)) - 1 + draw(&here->random) % 3;
    if (dice < 800) return draw(&here->random) % 600;
    if (dice < 970) return draw(&here->random) % 9000;
    if (dice < 998 || atomic_load(&large_blocks) >= MOST_LARGE) return draw(&here->random) % 70000;
    return LARGE + draw(&here->random) % (2u << 20);
}

static void count_large(const struct shadow *shadow, int by)
{
    if (shadow->bytes >= LARGE) atomic_fetch_add(&large_blocks, by);
}

static void step_take(struct shadow *shadow)
{
    size_t bytes = draw_bytes();
    unsigned kind = (unsigned)(draw(&here->random) % 8);
    shadow->align = 16;
    if (kind == 0) {
        shadow->block = calls->take_zeroed(bytes);
        if (shadow->block) verify_zero(shadow->block, 0, bytes, "zeroed block");
    } else if (kind == 1 && calls->take_aligned) {
        shadow->align = (size_t)16 << (draw(&here->random) % 10);
        shadow->block = calls->take_aligned(shadow->align, bytes);
    } else {
        shadow->block = calls->take(bytes);
    }
    if (!shadow->block) stress_fail("no block of %zu bytes", bytes);
    shadow_fill(shadow, bytes);
    count_large(shadow, 1);
}

static void step_give(struct shadow *shadow)
{
    stream_verify(shadow, shadow->bytes, "before free");
    count_large(shadow, -1);
    calls->give(shadow->block, shadow->bytes, shadow->align);
    shadow->block = NULL;
}

static void step_resize(struct shadow *shadow)
{
    size_t old = shadow->bytes, bytes = draw_bytes();
    bool zeroed = false;
    if (bytes == 0) bytes = 1; /* realloc(block, 0) is free */
    stream_verify(shadow, old, "before realloc");
    count_large(shadow, -1);
    unsigned char *block =
        calls->resize(shadow->block, bytes, (unsigned)(draw(&here->random) >> 40), &zeroed);
    if (!block) stress_fail("block %p cannot have %zu bytes", (void *)shadow->block, bytes);
    shadow->block = block;
    stream_verify(shadow, old < bytes ? old : bytes, "after realloc");
    if (zeroed && bytes > old) verify_zero(block, old, bytes, "zeroed realloc");
    shadow->align = 16; /* it may have moved */
    shadow_fill(shadow, bytes);
    count_large(shadow, 1);
}

/* Swap with whoever left something at the exchange, perhaps nothing. */
static void step_exchange(struct shadow *shadow)
{
    unsigned i = (unsigned)(draw(&here->random) % EXCHANGE_BLOCKS);
    pthread_mutex_lock(&exchange[i].lock);
    struct shadow left = exchange[i].shadow;
    exchange[i].shadow = *shadow;
    pthread_mutex_unlock(&exchange[i].lock);
    *shadow = left;
    if (shadow->block) stream_verify(shadow, shadow->bytes, "after exchange");
}

static void step(void)
{
    struct shadow *shadow = &here->shadow[draw(&here->random) % PLACE_BLOCKS];
    unsigned dice = (unsigned)(draw(&here->random) % 16);
    here->steps++;
    if (!shadow->block)
        step_take(shadow);
    else if (dice < 3)
        step_resize(shadow);
    else if (dice < 6)
        step_exchange(shadow);
    else if (dice < 7)
        stream_verify(shadow, shadow->bytes, "in passing");
    else
        step_give(shadow);
}

/* Damage one block of this place: the test of the test. */
static void damage_one(void)
{
    for (unsigned i = 0; i < PLACE_BLOCKS; i++)
        if (here->shadow[i].block && here->shadow[i].bytes > 0) {
            here->shadow[i].block[here->shadow[i].bytes - 1] ^= 1;
            return;
        }
}

static void *life(void *arg)
{
    here = arg;
    for (unsigned i = 0; i < LIFE_STEPS && (i % 64 != 0 || now_ns() < deadline_ns); i++)
        step();
    if (damage && here->number == 0) damage_one();
    return NULL;
}

/* ---- the run ---- */

/* One generation of threads, one at each place: the next one goes on with the blocks that it leaves. */
static void generation(void)
{
    pthread_t threads[PLACES];
    for (unsigned i = 0; i < thread_count; i++)
        if (pthread_create(&threads[i], NULL, life, &places[i]) != 0) stress_fail("a thread cannot be made");
    for (unsigned i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
}

static void give_all(void)
{
    for (unsigned t = 0; t < thread_count; t++) {
        here = &places[t];
        for (unsigned i = 0; i < PLACE_BLOCKS; i++)
            if (here->shadow[i].block) step_give(&here->shadow[i]);
    }
    for (unsigned i = 0; i < EXCHANGE_BLOCKS; i++)
        if (exchange[i].shadow.block) step_give(&exchange[i].shadow);
}

static unsigned number(const char *text, unsigned most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text != '\0' && *end == '\0' && value <= most) return (unsigned)value;
    fprintf(stderr, "%s: '%s' is not a number up to %u\n", test_name, text, most);
    exit(2);
}

static void arguments(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "s:t:n:x")) != -1) {
        if (option == 's')
            first_seed = number(optarg, UINT32_MAX);
        else if (option == 't')
            seconds = number(optarg, 1000000);
        else if (option == 'n')
            thread_count = number(optarg, PLACES);
        else if (option == 'x')
            damage = true;
        else {
            fprintf(stderr, "usage: %s [-s SEED] [-t SECONDS] [-n THREADS] [-x]\n", test_name);
            exit(2);
        }
    }
    if (thread_count == 0) thread_count = 1;
}

int stress_shadow(int argc, char **argv, const char *name, const struct stress_calls *use)
{
    unsigned long steps = 0;
    unsigned generations = 0;
    calls = use;
    test_name = name;
    arguments(argc, argv);
    deadline_ns = now_ns() + seconds * (uint64_t)1000000000;
    for (unsigned i = 0; i < PLACES; i++) {
        places[i].number = i;
        places[i].random = first_seed * 0x10001 + i;
    }
    for (unsigned i = 0; i < EXCHANGE_BLOCKS; i++)
        pthread_mutex_init(&exchange[i].lock, NULL);
    do
        generation();
    while (generations++, now_ns() < deadline_ns);
    give_all();
    here = NULL;
    for (unsigned i = 0; i < PLACES; i++)
        steps += places[i].steps;
    printf("%s: %lu steps, %u threads in %u generations, seed %llu\n", name, steps, thread_count, generations,
           (unsigned long long)first_seed);
    return 0;
}
