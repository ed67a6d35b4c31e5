/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* shadow.h -- what the shadow bytes of packed memory say; for packed.c alone.
 *
 * A byte for each granule, of even parity.  A part begins with a start byte: 0x80, and 0x40
 *          if it is live, then five bits: of a live part the bytes of its last granule that nobody
 *          asked for (0 to 16), of a free one its bin.  The next byte says how many granules, 2 to 62,
 *          or 63 and six bytes with six bits each.  A free part ends with the same backwards.  All
 *          other bytes are 0.  So whether a live block starts at an address is one look.
 */
#ifndef PH_SHADOW_H
#define PH_SHADOW_H

#include "hot.h"

enum {
    START = 0x80,
    LIVE = 0x40,
    CONTROL_GRANULES = 1, /* never given: the region's address is no block's */
    SHORT_MOST = 62,
    LONG_MARK = 63,
    DIGITS = 6,
    DIGIT_BITS = 6,
    HEAD_BYTES = 2 + DIGITS, /* of a long part */
};
#define NOWHERE SIZE_MAX

static inline uint8_t even(unsigned bits) { return (uint8_t)(bits | (unsigned)__builtin_parity(bits)); }
static inline uint8_t live_byte(unsigned slack) { return even(START | LIVE | slack << 1); }
static inline uint8_t free_byte(unsigned bin) { return even(START | bin << 1); }
static inline uint8_t inner_byte(size_t payload) { return even((unsigned)payload << 1); }

static inline bool is_live(uint8_t byte) { return (byte & (START | LIVE)) == (START | LIVE); }
static inline bool is_free(uint8_t byte) { return (byte & (START | LIVE)) == START; }

static inline void digits_write(uint8_t *at, size_t value)
{
    for (unsigned i = 0; i < DIGITS; i++, value >>= DIGIT_BITS)
        at[i] = inner_byte(value & ((1 << DIGIT_BITS) - 1));
}

static inline size_t digits_read(const uint8_t *at)
{
    size_t value = 0;
    for (unsigned i = DIGITS; i-- > 0;)
        value = value << DIGIT_BITS | (at[i] >> 1 & ((1 << DIGIT_BITS) - 1));
    return value;
}

/* Granules of the part that starts at `at`; 0 when that makes no sense. */
static inline size_t part_length(const struct packed *pk, size_t at)
{
    const uint8_t *head = pk->shadow + at;
    if (at + 1 >= pk->top || (head[1] & START))
        return 1;
    size_t length = head[1] >> 1;
    if (length == LONG_MARK)
        length = at + HEAD_BYTES <= pk->top ? digits_read(head + 2) : 0;
    return length >= 2 && length <= pk->top - at ? length : 0;
}

static inline void head_write(struct packed *pk, size_t at, size_t length, uint8_t start)
{
    uint8_t *head = pk->shadow + at;
    head[0] = start;
    if (length > 1)
        head[1] = inner_byte(length <= SHORT_MOST ? length : LONG_MARK);
    if (length > SHORT_MOST)
        digits_write(head + 2, length);
}

/* Bytes of marks at either end; those of a live part are at its start only. */
static inline size_t head_bytes(size_t length) { return length > SHORT_MOST ? HEAD_BYTES : length > 1 ? 2 : 1; }
static inline size_t tail_bytes(size_t length) { return length > SHORT_MOST ? HEAD_BYTES - 1 : length > 2 ? 1 : 0; }

static inline void part_clear(struct packed *pk, size_t at, size_t length)
{
    const size_t bytes = head_bytes(length);
    for (size_t i = 0; i < bytes; i++)
        pk->shadow[at + i] = pk->shadow[at + length - 1 - i] = 0;
}

/* The free part that ends before `at`; NOWHERE when what is there is live. */
static inline size_t free_before(const struct packed *pk, size_t at)
{
    const uint8_t *last = pk->shadow + at - 1;
    size_t length = *last & START ? 1 : *last >> 1;
    if (length == LONG_MARK)
        length = at >= HEAD_BYTES ? digits_read(last - DIGITS) : 0;
    if (length == 0 || length > at - CONTROL_GRANULES || !is_free(pk->shadow[at - length]))
        return NOWHERE;
    return length == 1 || part_length(pk, at - length) == length ? at - length : NOWHERE; /* at `at` there may be no mark */
}

#endif
