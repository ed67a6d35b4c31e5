/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * matrix.h -- every misuse with every size, way of allocating and place: what the files of the matrix share.
 *
 * A case is a row of bugs.h: kind the misuse, sizes, bys the distance in bytes, hows the way, whens the place.  What
 * is looked for in the stacks of a report are misuse_allocate, misuse_free and misuse_commit. */
#ifndef PH_TESTS_MATRIX_H
#define PH_TESTS_MATRIX_H

#include "../../bugs/bugs.h"

#ifdef __cplusplus
extern "C" {
#endif

struct way {
    const char *name; /* the last one has none */
    void *(*take)(size_t bytes);
    void (*give)(void *block);
    void (*give_wrongly)(void *block); /* what belongs to another way, or another heap; NULL: there is none */
};
extern const struct way matrix_ways[]; /* of one program */

void misuse_overflow(const struct bug *b);
void misuse_underflow(const struct bug *b);
void misuse_over_read(const struct bug *b);
void misuse_under_read(const struct bug *b);
void misuse_write_after_free(const struct bug *b);
void misuse_read_after_free(const struct bug *b);
void misuse_double_free(const struct bug *b);
void misuse_interior_free(const struct bug *b);
void misuse_free_of_stack(const struct bug *b);
void misuse_free_of_static(const struct bug *b);
void misuse_free_of_wild(const struct bug *b);
void misuse_usable_of_inside(const struct bug *b);
void misuse_usable_of_freed(const struct bug *b);
void misuse_wrong_give(const struct bug *b);
void misuse_uninitialised(const struct bug *b);
void misuse_leak(const struct bug *b);

#ifdef __cplusplus
}
#endif
#endif
