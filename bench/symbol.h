/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* symbol.h -- places in the code as names and lines, for the verbs that show stacks. */
#ifndef PH_SYMBOL_H
#define PH_SYMBOL_H

#include <stdint.h>
#include <stdio.h>

struct symbol_place {
    char module[64];   /* without folders; "" none */
    uint64_t offset;
    char function[256];
    char file[200];    /* its last parts; "" unknown */
    char path[1024];   /* all of it, as the compiler was told; cut if longer */
    unsigned line;
};

/* What stands at that offset of the file `path` (NULL or "": of no file): the function that was written there, and
 * those into which the compiler put it, up to `most`; how many, 1 at least. */
enum { SYMBOL_INLINED = 8 };
unsigned ph_symbol_places(const char *path, uint64_t offset, struct symbol_place *out, unsigned most);
void ph_symbol_place(const char *path, uint64_t offset, struct symbol_place *out); /* the first */
void ph_symbol_put(FILE *out, unsigned number, const struct symbol_place *at); /* as a line of a stack */
void ph_symbols_end(void);

#endif
