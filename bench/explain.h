/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* explain.h -- what a diagnostic's number means: its words of lib/diagnostics.def, its section of
 * privheap-diagnostics(7). */
#ifndef PH_EXPLAIN_H
#define PH_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

struct explanation {
    unsigned number;
    const char *name;  /* "double-free" */
    const char *words; /* "freed twice" */
    const char *text;  /* the section, filled */
};

const struct explanation *ph_explanation(unsigned number); /* NULL: no such number */
const struct explanation *ph_explanation_called(const char *text); /* "PH101", "101", "double-free"; NULL */
const struct explanation *ph_explanations(size_t *count);

#endif
