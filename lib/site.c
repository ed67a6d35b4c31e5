/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* site.c -- where allocations are made: each call stack once, by a hash that is the same in every run.
 *
 * Owns:    the table of call stacks, made when the first is met; a cache of places in the code.
 * Calls:   unwind.c for modules, os.c for the table.
 * Locks:   none.  A cell is taken by its hash; an entry of the cache is two words of which one proves the other.
 * Always:  nothing here depends on an address: a module counts by its name, a place by where it is in there.
 * Why:     whoever fails "the second call from this stack" means the same call in the next run, where the first
 *          thousand calls of the process were one more or one less. */
#include "site.h"

#include <stddef.h>

#include "os.h"
#include "text.h"

#include "small.h"

enum { CACHE_LOG = 11 };

static struct {
    uint64_t proof; /* key ^ place */
    uint64_t key;
} places_met[1 << CACHE_LOG];
static struct site *sites; /* SITES cells; the first is nobody's */

static uint64_t mixed(uint64_t key, uint64_t more) { return ((key ^ key >> 29) + more) * 0x9e3779b97f4a7c15u; }

static uint64_t key_of(uintptr_t pc)
{
    struct module in;
    if (!ph_module_of(pc, &in))
        return 1; /* made at run time: no two runs agree on where */
    uint64_t key = 0x5157;
    for (const char *name = text_base_name(in.path); *name != '\0'; name++)
        key = mixed(key, (uint8_t)*name);
    return mixed(key, pc - in.bias);
}

uint64_t ph_site_key(uintptr_t pc)
{
    const unsigned index = (unsigned)(pc * 0x9e3779b97f4a7c15u >> (64 - CACHE_LOG));
    const uint64_t key = __atomic_load_n(&places_met[index].key, __ATOMIC_RELAXED);
    if ((__atomic_load_n(&places_met[index].proof, __ATOMIC_RELAXED) ^ key) == pc && key != 0)
        return key;
    const uint64_t found = key_of(pc);
    __atomic_store_n(&places_met[index].proof, found ^ pc, __ATOMIC_RELAXED);
    __atomic_store_n(&places_met[index].key, found, __ATOMIC_RELAXED);
    return found;
}

uint64_t ph_site_hash(const struct trace *trace)
{
    uint64_t hash = trace->depth;
    for (unsigned i = 0; i < trace->depth; i++)
        hash = mixed(hash, ph_site_key(trace->pc[i]));
    hash ^= hash >> 32;
    return hash != 0 ? hash : 1;
}

static struct site *table(void)
{
    struct site *now = __atomic_load_n(&sites, __ATOMIC_ACQUIRE);
    if (now != NULL)
        return now;
    const size_t page = ph_os_page_bytes(), bytes = (SITES * sizeof *now + page - 1) & ~(page - 1);
    struct site *made = ph_os_map(bytes, page);
    if (made == NULL || __atomic_compare_exchange_n(&sites, &now, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    ph_os_unmap(made, bytes); /* another thread was first */
    return now;
}

/* The stack's cell, its own or a new one; NULL: the table is full where it should be. */
static struct site *cell_of(struct site *all, uint64_t hash, const struct trace *trace)
{
    enum { TRIES = 64 };
    for (unsigned i = 0; i < TRIES; i++) {
        struct site *st = &all[((hash >> 16) + i) & (SITES - 1)];
        uint64_t seen = 0;
        if (st == all)
            continue;
        if (__atomic_compare_exchange_n(&st->hash, &seen, hash, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            st->depth = trace->depth;
            for (unsigned j = 0; j < trace->depth; j++)
                st->pc[j] = trace->pc[j];
            return st;
        }
        if (seen == hash)
            return st;
    }
    return NULL;
}

uint32_t ph_site_meet(const struct trace *trace, uint64_t hash, uint32_t *nth)
{
    struct site *all = table(), *st = all != NULL ? cell_of(all, hash, trace) : NULL;
    *nth = st != NULL ? __atomic_add_fetch(&st->count, 1, __ATOMIC_RELAXED) : 0;
    return st != NULL ? (uint32_t)(st - all) : SITE_NONE;
}

const struct site *ph_site_at(uint32_t number) { return &sites[number]; }

/* ---- modules ---------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *prefix) { return text_after(text, prefix) != NULL; }

static bool is_runtime(const char *name)
{
    return begins(name, "libc.so") || begins(name, "libc-") || begins(name, "libstdc++.") || begins(name, "libc++") ||
           begins(name, "ld-linux") || begins(name, "ld-musl");
}

/* "libfoo" and "libfoo.so" mean "libfoo.so.1" too; the program itself has no name there. */
static bool is_named(const char *name, const char *wanted)
{
    const char *rest = text_after(name, wanted);
    return rest != NULL && (*rest == '\0' || *rest == '.') && *wanted != '\0';
}

bool ph_site_is_of(const struct trace *trace, const char *module)
{
    char program[1024];
    for (unsigned i = 0; i < trace->depth; i++) {
        struct module in;
        if (!ph_module_of(trace->pc[i], &in))
            continue;
        const bool is_program = *in.path == '\0' && ph_os_program(program, sizeof program);
        const char *name = text_base_name(is_program ? program : in.path);
        if (is_named(name, module))
            return true;
        if (!is_runtime(name))
            return false;
    }
    return false;
}
