/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * bugs.h -- the corpus of heap bugs and of correct programs: what its files share.
 *
 * A case is a row's function with one size, one count of bytes, one way and one moment out of the
 * row's lists: every combination is a case, and its name says them all (overflow-memcpy-100-by-8-free).
 * One process runs one case.  It knows nothing of the allocator that serves it, so that any can be
 * measured; a case that comes to its end leaves with 0, and with EXPLOITED where the allocator gave
 * memory out that it must not give. */
#ifndef PH_TESTS_BUGS_H
#define PH_TESTS_BUGS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { EXPLOITED = 3, BIG = 4 << 20 };

struct bug {
    size_t size, by;
    char how[24], when[16];
};

/* Lists are words between blanks; an empty one counts as a single nothing. */
struct row {
    const char *kind;
    void (*act)(const struct bug *b);
    const char *sizes, *bys, *hows, *whens;
};

/* The tables of one program; the last row has no kind. */
extern const struct row *const bug_tables[];

extern const struct row write_rows[], read_rows[], free_rows[], misc_rows[], new_rows[];
extern const struct row trick_rows[], where_rows[];
extern const struct row right_rows[], right_process_rows[], right_pages_rows[], right_new_rows[];
extern const struct row matrix_rows[];

extern char bug_big[BIG]; /* a source and sink that is no block */
extern volatile size_t bug_sink;

bool bug_is(const char *word, const char *other);
void *bug_hide(void *block);          /* the compiler knows nothing of it any more */
void *bug_block(size_t bytes);        /* malloc, filled by the book */
void bug_churn(size_t bytes);         /* some ordinary activity, around that size too */
void bug_on_thread(void (*act)(void *), void *argument);
void bug_need(bool condition);        /* what a correct program may rely on: else it fails */

#ifdef __cplusplus
}
#endif
#endif
