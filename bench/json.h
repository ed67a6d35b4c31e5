/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* json.h -- texts as JSON has them. */
#ifndef PH_JSON_H
#define PH_JSON_H

#include <stddef.h>
#include <stdio.h>

/* Valid whatever the bytes are: what is no printable ASCII is written as an escape, byte by byte. */
void ph_json_text(FILE *out, const char *text, size_t bytes);
void ph_json_pair(FILE *out, const char *key, const char *text); /* "key": "text"; NULL: null */

#endif
