/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* place.c -- places in the code that mean the same in another process.
 *
 * Owns:    the name of the program's file.
 * Calls:   unwind.c, os.c.
 * Locks:   none: several processes write the table, each an entry that it has taken.
 * Always:  a path may be there twice, when two wrote it at once; never half.
 * Why:     names and lines are looked for in the command: nothing of the kind is done in the program. */
#include "place.h"

#include "../lib/internal.h"
#include "../lib/text.h"
#include "../lib/unwind.h"

#include "../lib/small.h"

static bool is_same(const char *one, const char *other)
{
    const char *rest = text_after(one, other);
    return rest != NULL && *rest == '\0';
}

uint32_t ph_place_module(struct place_module *table, const char *path)
{
    for (uint32_t i = 1; i < PLACE_MODULES; i++) {
        struct place_module *mo = &table[i];
        uint32_t state = 0;
        if (__atomic_compare_exchange_n(&mo->state, &state, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
            const size_t bytes = text_bytes(path);
            *text_copy(mo->path, path, bytes < PLACE_PATH_BYTES ? bytes : PLACE_PATH_BYTES - 1) = '\0';
            __atomic_store_n(&mo->state, 2, __ATOMIC_RELEASE);
            return i;
        }
        if (state == 2 && is_same(mo->path, path))
            return i;
    }
    return 0;
}

const char *ph_place_program(void)
{
    static char program[PLACE_PATH_BYTES];
    static bool is_known;
    if (!__atomic_load_n(&is_known, __ATOMIC_ACQUIRE) && ph_os_program(program, sizeof program))
        __atomic_store_n(&is_known, true, __ATOMIC_RELEASE);
    return is_known ? program : "";
}

uint64_t ph_place_of(struct place_module *table, uintptr_t pc)
{
    struct module in;
    if (!ph_module_of(pc, &in))
        return pc & PLACE_OFFSET_MASK;
    const uint64_t number = ph_place_module(table, *in.path != '\0' ? in.path : ph_place_program());
    return number << PLACE_OFFSET_BITS | ((pc - in.bias) & PLACE_OFFSET_MASK);
}
