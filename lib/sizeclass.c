/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* sizeclass.c -- the size table and its look-ups.
 *
 * Owns:    constants only.
 * Always:  steps of 16 bytes to 256, then eight a doubling, so at most 12.5 % above the wish;
 *          every size is a multiple of 16.  Checked by tests/check_sizeclass.c.
 * Why:     tables, not shifts: one load that stays in cache beats the four instructions. */
#include "internal.h"

#include "small.h"

enum {
    LONG_UNITS = 8,    /* a class is busy when its pages are so long, */
    WASTE_BYTES = 640, /* and of smaller blocks there is less to waste than it costs to look */
};

const uint16_t ph_class_bytes[CLASS_COUNT] = {
    16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192,
    208, 224, 240, 256, 288, 320, 352, 384, 416, 448, 480, 512,
    576, 640, 704, 768, 832, 896, 960, 1024, 1152, 1280, 1408, 1536,
    1664, 1792, 1920, 2048, 2304, 2560, 2816, 3072, 3328, 3584, 3840, 4096,
    4608, 5120, 5632, 6144, 6656, 7168, 7680, 8192, 9216, 10240, 11264, 12288,
    13312, 14336, 15360, 16384,
};

#define CODE(bytes) (3 * ((bytes) + 1))
const uint16_t ph_class_code[CLASS_COUNT] = {
    CODE(16), CODE(32), CODE(48), CODE(64), CODE(80), CODE(96), CODE(112), CODE(128),
    CODE(144), CODE(160), CODE(176), CODE(192), CODE(208), CODE(224), CODE(240), CODE(256),
    CODE(288), CODE(320), CODE(352), CODE(384), CODE(416), CODE(448), CODE(480), CODE(512),
    CODE(576), CODE(640), CODE(704), CODE(768), CODE(832), CODE(896), CODE(960), CODE(1024),
    CODE(1152), CODE(1280), CODE(1408), CODE(1536), CODE(1664), CODE(1792), CODE(1920), CODE(2048),
    CODE(2304), CODE(2560), CODE(2816), CODE(3072), CODE(3328), CODE(3584), CODE(3840), CODE(4096),
    CODE(4608), CODE(5120), CODE(5632), CODE(6144), CODE(6656), CODE(7168), CODE(7680), CODE(8192),
    CODE(9216), CODE(10240), CODE(11264), CODE(12288), CODE(13312), CODE(14336), CODE(15360), CODE(16384),
};

/* For offset < 2^18: offset * magic < magic (in 64 bits) exactly when bytes divides offset. */
#define MAGIC(bytes) (UINT64_MAX / (bytes) + 1)
const uint64_t ph_class_magic[CLASS_COUNT] = {
    MAGIC(16), MAGIC(32), MAGIC(48), MAGIC(64),
    MAGIC(80), MAGIC(96), MAGIC(112), MAGIC(128),
    MAGIC(144), MAGIC(160), MAGIC(176), MAGIC(192),
    MAGIC(208), MAGIC(224), MAGIC(240), MAGIC(256),
    MAGIC(288), MAGIC(320), MAGIC(352), MAGIC(384),
    MAGIC(416), MAGIC(448), MAGIC(480), MAGIC(512),
    MAGIC(576), MAGIC(640), MAGIC(704), MAGIC(768),
    MAGIC(832), MAGIC(896), MAGIC(960), MAGIC(1024),
    MAGIC(1152), MAGIC(1280), MAGIC(1408), MAGIC(1536),
    MAGIC(1664), MAGIC(1792), MAGIC(1920), MAGIC(2048),
    MAGIC(2304), MAGIC(2560), MAGIC(2816), MAGIC(3072),
    MAGIC(3328), MAGIC(3584), MAGIC(3840), MAGIC(4096),
    MAGIC(4608), MAGIC(5120), MAGIC(5632), MAGIC(6144),
    MAGIC(6656), MAGIC(7168), MAGIC(7680), MAGIC(8192),
    MAGIC(9216), MAGIC(10240), MAGIC(11264), MAGIC(12288),
    MAGIC(13312), MAGIC(14336), MAGIC(15360), MAGIC(16384),
};

/* The class of n bytes: [(n + 15) / 16] to SMALL_BYTES, [(n + 127) / 128] to CLASS_BYTES. */
const uint8_t ph_class_small[SMALL_BYTES / 16 + 1] = {
    0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 16, 17, 17, 18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 23,
    23, 24, 24, 24, 24, 25, 25, 25, 25, 26, 26, 26, 26, 27, 27, 27,
    27, 28, 28, 28, 28, 29, 29, 29, 29, 30, 30, 30, 30, 31, 31, 31,
    31,
};

const uint8_t ph_class_medium[CLASS_BYTES / 128 + 1] = {
    0, 7, 15, 19, 23, 25, 27, 29, 31, 32, 33, 34, 35, 36, 37, 38,
    39, 40, 40, 41, 41, 42, 42, 43, 43, 44, 44, 45, 45, 46, 46, 47,
    47, 48, 48, 48, 48, 49, 49, 49, 49, 50, 50, 50, 50, 51, 51, 51,
    51, 52, 52, 52, 52, 53, 53, 53, 53, 54, 54, 54, 54, 55, 55, 55,
    55, 56, 56, 56, 56, 56, 56, 56, 56, 57, 57, 57, 57, 57, 57, 57,
    57, 58, 58, 58, 58, 58, 58, 58, 58, 59, 59, 59, 59, 59, 59, 59,
    59, 60, 60, 60, 60, 60, 60, 60, 60, 61, 61, 61, 61, 61, 61, 61,
    61, 62, 62, 62, 62, 62, 62, 62, 62, 63, 63, 63, 63, 63, 63, 63,
    63,
};

/* The first class whose blocks, side by side from an OS page, all stand at that alignment, a power of two: mostly that of
 * the next multiple. */
unsigned ph_class_aligned(size_t bytes, size_t align)
{
    if (bytes > CLASS_BYTES || align > UNIT_BYTES)
        return CLASS_COUNT;
    const size_t need = bytes > align ? ph_round_up(bytes, align) : align;
    unsigned c = need <= SMALL_BYTES ? ph_class_small[(need + 15) >> 4] : ph_class_medium[(need + 127) >> 7];
    while (c < CLASS_COUNT && (ph_class_bytes[c] & (align - 1)) != 0)
        c++;
    return c;
}

static unsigned left_over(unsigned units, unsigned bytes) { return units * UNIT_BYTES % bytes; }

/* A long page, or one at least half as long of which less is left over: 9 units hold 8 blocks of 4608 bytes exactly, of 16
 * a quarter of one is memory for nothing. */
static unsigned least_wasteful(unsigned units, unsigned bytes)
{
    unsigned best = units;
    for (unsigned i = units - 1; i > units / 2 && left_over(best, bytes) > 0; i--)
        if (left_over(i, bytes) * best < left_over(best, bytes) * i)
            best = i;
    return best;
}

/* Units for a page of that class: `wish`, or a few more until at most an eighth is left over, or else
 * a few less; and no more blocks than a descriptor has bits for. */
unsigned ph_class_page_units(unsigned class, unsigned wish)
{
    const unsigned bytes = ph_class_bytes[class];
    const unsigned most = (PAGE_BLOCKS * bytes + UNIT_BYTES - 1) / UNIT_BYTES;
    const unsigned least = (bytes + UNIT_BYTES - 1) / UNIT_BYTES;
    unsigned units = wish < most ? wish : most;
    if (units < least)
        units = least;
    while (units < PAGE_UNITS && left_over(units, bytes) > units * UNIT_BYTES / 8)
        units++;
    while (units > least && left_over(units, bytes) > units * UNIT_BYTES / 8)
        units--;
    return units >= LONG_UNITS && bytes >= WASTE_BYTES ? least_wasteful(units, bytes) : units;
}
