/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* place.h -- places in the code that mean the same in another process: the number of a module, in a table that is
 * shared with that process, and where in the module's file. */
#ifndef PH_PLACE_H
#define PH_PLACE_H

#include <stdint.h>

enum { PLACE_MODULES = 512, PLACE_PATH_BYTES = 512, PLACE_OFFSET_BITS = 48 };
#define PLACE_OFFSET_MASK (((uint64_t)1 << PLACE_OFFSET_BITS) - 1)

struct place_module {
    uint32_t state; /* 0 free, 1 being written, 2 known */
    char path[PLACE_PATH_BYTES];
};

/* The path's number in the table, which it is put into if need be; 0: no room.  Number 0 is nobody's. */
uint32_t ph_place_module(struct place_module *table, const char *path);

/* module << PLACE_OFFSET_BITS | offset; code of no module: 0, and its address. */
uint64_t ph_place_of(struct place_module *table, uintptr_t pc);

const char *ph_place_program(void); /* this process's file; "" unknown */

#endif
