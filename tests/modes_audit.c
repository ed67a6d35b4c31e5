/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * modes_audit.c -- an object for LD_AUDIT: the loader asks it about every object and every symbol, before the program
 * or its libraries have begun.  It allocates each time, from the libc of its own namespace. */
#include <link.h>
#include <stdlib.h>
#include <unistd.h>

#define HOOK __attribute__((visibility("default")))

static unsigned bound;
static void *kept[100];

static void allocate(void)
{
    free(kept[bound % 100]);
    kept[bound % 100] = malloc(bound * 31 % 5000);
    bound++;
}

HOOK unsigned la_version(unsigned version)
{
    allocate();
    return version < LAV_CURRENT ? version : LAV_CURRENT;
}

HOOK unsigned la_objopen(struct link_map *map, Lmid_t namespace, uintptr_t *cookie)
{
    (void)map;
    (void)namespace;
    (void)cookie;
    allocate();
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

HOOK uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to, unsigned *flags, const char *name)
{
    (void)index;
    (void)from;
    (void)to;
    (void)flags;
    (void)name;
    allocate();
    return symbol->st_value;
}

HOOK void la_preinit(uintptr_t *cookie)
{
    (void)cookie;
    if (bound < 5 && write(STDOUT_FILENO, "audit: nothing was bound\n", 25) < 0) _exit(94);
}
