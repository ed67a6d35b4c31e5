/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* parts.h -- the values in texts such as "size:1k-64k,module:libfoo.so": what options FAIL, CHAOS and STRESS have in common. */
#ifndef PH_PARTS_H
#define PH_PARTS_H

#include <stddef.h>
#include <stdint.h>

/* What follows the name that `text` begins with, one of `count` that are `width` bytes apart, and its number in *which.  NULL: it is
 * none of them, or stood in the text before: *seen has a bit for each that did. */
const char *ph_part_begin(const char *text, const char *names, size_t width, unsigned count, unsigned *seen, unsigned *which);

/* Each gives what follows the value, or NULL where there is none. */
const char *ph_part_number(const char *text, uint64_t *out); /* with one of the suffixes k, m, g */
const char *ph_part_range(const char *text, uint64_t *least, uint64_t *most); /* "100", "100-4k", "1m-" */
const char *ph_part_name(const char *text, char *to, size_t bytes); /* up to a comma or the end */

#endif
