/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * tables.c -- which cases the program that it is compiled for has: BUG_TABLES names the tables. */
#include "bugs.h"

const struct row *const bug_tables[] = {BUG_TABLES, NULL};
