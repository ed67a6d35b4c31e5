/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fuzz.h -- bytes become operations, from a file, from libFuzzer or from a random generator without end.
 *
 * Each target (fuzz_ops.c, fuzz_options.c) reads its bytes from a source and ends the process when something is
 * wrong.  fuzz_replay.c feeds it files or random bytes; built with clang -fsanitize=fuzzer it is a libFuzzer target. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source {
    const uint8_t *at, *end; /* bytes; NULL: random ones, of these: */
    uint64_t random;
    uint64_t left; /* operations that are still to be drawn from them */
};

/* The next byte; 0 behind the end. */
static inline unsigned source_byte(struct source *so)
{
    if (so->at != NULL) return so->at < so->end ? *so->at++ : 0;
    so->random ^= so->random << 13;
    so->random ^= so->random >> 7;
    so->random ^= so->random << 17;
    return (unsigned)(so->random >> 32 & 0xff);
}

/* Whether there is another operation to read. */
static inline bool source_more(struct source *so)
{
    return so->at != NULL ? so->at < so->end : so->left > 0 && so->left-- > 0;
}

/* One life of the target: everything made anew, used, ended.  The number of operations. */
uint64_t fuzz_run(struct source *so);
extern const uint64_t fuzz_life; /* operations of a life when they are random */

#endif
