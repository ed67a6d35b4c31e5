/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* clock.c -- a coarse clock that is nobody's hook.
 *
 * Owns:    the address of the kernel's own function.
 * Calls:   that function; osproc.c where the kernel offers none.
 * Always:  errno is untouched; every function may be called from a signal handler.
 * Why:     we look at the clock while locks are held.  An object that stands between us and libc's clock_gettime (one
 *          that fakes the time, say) may allocate in it, and would wait for our lock for ever.
 * Source:  vdso(7); the ELF gABI, symbol table, and its DT_GNU_HASH. */
#include <elf.h>
#include <errno.h>
#include <sys/auxv.h>
#include <time.h>

#include "os.h"
#include "text.h"

#include "small.h"

/* By name, for preload/layout.ld. */
#if defined(__x86_64__)
static const char clock_name[] = "__vdso_clock_gettime";
#else
static const char clock_name[] = "__kernel_clock_gettime";
#endif

typedef int clock_function(clockid_t, struct timespec *);

static clock_function *kernel_clock; /* NULL: not looked for yet, or not there */

/* Tables of the kernel's object; NULL what it has not. */
struct tables {
    uintptr_t bias;
    const Elf64_Sym *symbols;
    const char *names;
    const uint32_t *hash;
};

static bool tables_find(const Elf64_Ehdr *object, struct tables *out)
{
    const Elf64_Phdr *part = (const void *)((const char *)object + object->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    bool loaded = false;
    for (unsigned i = 0; i < object->e_phnum; i++) {
        if (part[i].p_type == PT_LOAD && !loaded) {
            out->bias = (uintptr_t)object + part[i].p_offset - part[i].p_vaddr;
            loaded = true;
        } else if (part[i].p_type == PT_DYNAMIC) {
            dynamic = (const void *)((const char *)object + part[i].p_offset);
        }
    }
    for (; loaded && dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++) {
        const void *at = (const void *)(out->bias + dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_SYMTAB)
            out->symbols = at;
        else if (dynamic->d_tag == DT_STRTAB)
            out->names = at;
        else if (dynamic->d_tag == DT_GNU_HASH)
            out->hash = at;
    }
    return out->symbols != NULL && out->names != NULL && out->hash != NULL;
}

static uint32_t name_hash(const char *name)
{
    uint32_t hash = 5381;
    for (; *name != '\0'; name++) hash = hash * 33 + (unsigned char)*name;
    return hash;
}

/* Buckets say where the row of a hash begins; the lowest bit of its last hash is set. */
static clock_function *symbol_find(const struct tables *tb, const char *name)
{
    const uint32_t buckets = tb->hash[0], first = tb->hash[1], bloom = tb->hash[2], wanted = name_hash(name);
    const uint32_t *bucket = tb->hash + 4 + 2 * bloom;
    uint32_t i = buckets != 0 ? bucket[wanted % buckets] : 0;
    for (; i >= first && i != 0; i++) {
        const uint32_t seen = bucket[buckets + i - first];
        const char *rest = (seen ^ wanted) <= 1 ? text_after(tb->names + tb->symbols[i].st_name, name) : NULL;
        if (rest != NULL && *rest == '\0')
            return (clock_function *)(tb->bias + tb->symbols[i].st_value);
        if (seen & 1)
            break;
    }
    return NULL;
}

void ph_os_clock_begin(void)
{
    const int saved = errno; /* getauxval says so where there is none: in emulators, in some sandboxes */
    const Elf64_Ehdr *object = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
    struct tables tb = {0};
    errno = saved;
    if (object != NULL && tables_find(object, &tb))
        __atomic_store_n(&kernel_clock, symbol_find(&tb, clock_name), __ATOMIC_RELAXED);
}

uint64_t ph_os_clock_ms(void)
{
    struct timespec now = {0, 0};
    clock_function *kernel = __atomic_load_n(&kernel_clock, __ATOMIC_RELAXED);
    if (kernel == NULL || kernel(CLOCK_MONOTONIC_COARSE, &now) != 0)
        ph_os_clock_ask(&now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
