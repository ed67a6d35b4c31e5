/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* new.c -- C++'s operator new and delete, by their names in the ABI.
 *
 * Owns:    nothing.
 * Calls:   family.h; the C++ runtime only when memory is out.
 * Always:  a failure runs the runtime's own operator of the same name: it asks malloc once more,
 *          calls the new_handler and throws bad_alloc, each as that runtime does it.
 * Why:     a link to the runtime costs every program 1.6 million instructions at its start.
 * Source:  Itanium C++ ABI, mangled names; C++17 [new.delete]. */
#include "take.h"
#include "../lib/message.h"

#include <dlfcn.h>

static const char *const runtimes[] = {"libstdc++.so.6", "libc++abi.so.1", "libc++.so.1"};

static COLD void *next_operator(const char *name, const void *own)
{
    void *found = dlsym(RTLD_NEXT, name);
    for (unsigned i = 0; found == NULL && i < sizeof runtimes / sizeof *runtimes; i++) {
        void *runtime = dlopen(runtimes[i], RTLD_LAZY | RTLD_NOLOAD);
        if (runtime != NULL)
            found = dlsym(runtime, name);
    }
    return found != own ? found : NULL;
}

/* Nobody to throw for us: the program cannot go on with a reference to nothing. */
static COLD void end_without_runtime(size_t bytes)
{
    struct message m;
    ph_message_begin(&m);
    ph_message_text(&m, "operator new: no memory for ");
    ph_message_dec(&m, bytes);
    ph_message_text(&m, " bytes, and no C++ runtime to throw std::bad_alloc");
    ph_message_send(&m);
    ph_os_abort();
}

/* Rounded up to its alignment, SIZE_MAX would come out small in some runtimes. */
static size_t sane(size_t bytes) { return bytes < PTRDIFF_MAX ? bytes : PTRDIFF_MAX; }

static COLD void *new_failed(const char *name, const void *own, size_t bytes)
{
    void *(*next)(size_t) = (void *(*)(size_t))next_operator(name, own);
    if (next == NULL)
        end_without_runtime(bytes);
    return next(bytes);
}

static COLD void *new_failed_aligned(const char *name, const void *own, size_t bytes, size_t align)
{
    void *(*next)(size_t, size_t) = (void *(*)(size_t, size_t))next_operator(name, own);
    if (next == NULL)
        end_without_runtime(bytes);
    return next(sane(bytes), align);
}

static COLD void *nothrow_failed(const char *name, const void *own, size_t bytes, const void *tag)
{
    void *(*next)(size_t, const void *) = (void *(*)(size_t, const void *))next_operator(name, own);
    return next != NULL ? next(bytes, tag) : NULL;
}

static COLD void *nothrow_failed_aligned(const char *name, const void *own, size_t bytes, size_t align, const void *tag)
{
    void *(*next)(size_t, size_t, const void *) =
        (void *(*)(size_t, size_t, const void *))next_operator(name, own);
    return next != NULL ? next(sane(bytes), align, tag) : NULL;
}

/* ---- new: the four forms of `new` and of `new[]` ----------------------------------------------------- */

#define OPERATOR_NEW(family, name, name_nothrow, name_aligned, name_aligned_nothrow)                       \
    EXPORT void *name(size_t bytes);                                                               \
    EXPORT void *name(size_t bytes)                                                                \
    {                                                                                              \
        void *block = malloc_as(bytes, family);                                                             \
        return likely(block != NULL) ? block : new_failed(#name, (void *)name, bytes);             \
    }                                                                                              \
    EXPORT void *name_nothrow(size_t bytes, const void *tag);                                      \
    EXPORT void *name_nothrow(size_t bytes, const void *tag)                                       \
    {                                                                                              \
        void *block = malloc_as(bytes, family);                                                             \
        return likely(block != NULL) ? block                                                       \
                                     : nothrow_failed(#name_nothrow, (void *)name_nothrow, bytes, tag); \
    }                                                                                              \
    EXPORT void *name_aligned(size_t bytes, size_t align);                                         \
    EXPORT void *name_aligned(size_t bytes, size_t align)                                          \
    {                                                                                              \
        void *block = ph_malloc_aligned(align, bytes, family);                                             \
        return likely(block != NULL) ? block                                                       \
                                     : new_failed_aligned(#name_aligned, (void *)name_aligned, bytes, align); \
    }                                                                                              \
    EXPORT void *name_aligned_nothrow(size_t bytes, size_t align, const void *tag);                \
    EXPORT void *name_aligned_nothrow(size_t bytes, size_t align, const void *tag)                 \
    {                                                                                              \
        void *block = ph_malloc_aligned(align, bytes, family);                                             \
        return likely(block != NULL)                                                               \
                   ? block                                                                         \
                   : nothrow_failed_aligned(#name_aligned_nothrow, (void *)name_aligned_nothrow, bytes, align, tag); \
    }

OPERATOR_NEW(FAMILY_NEW, _Znwm, _ZnwmRKSt9nothrow_t, _ZnwmSt11align_val_t, _ZnwmSt11align_val_tRKSt9nothrow_t)
OPERATOR_NEW(FAMILY_ARRAY, _Znam, _ZnamRKSt9nothrow_t, _ZnamSt11align_val_t, _ZnamSt11align_val_tRKSt9nothrow_t)

/* ---- delete: the six forms of `delete` and of `delete[]` ---------------------------------------------- */

/* One body for each family, with and without a size; the other forms jump there. */
#define OPERATOR_DELETE(name, name_sized, family)                                                    \
    EXPORT void name(void *block);                                                                   \
    EXPORT void name(void *block) { free_as(block, family, SIZE_MAX); }                              \
    EXPORT void name_sized(void *block, size_t bytes);                                               \
    EXPORT void name_sized(void *block, size_t bytes) { free_as(block, family, bytes); }
#define OTHER_DELETE(name, parameters, call) \
    EXPORT void name parameters;             \
    EXPORT void name parameters { call; }

OPERATOR_DELETE(_ZdlPv, _ZdlPvm, FAMILY_NEW)
OPERATOR_DELETE(_ZdaPv, _ZdaPvm, FAMILY_ARRAY)
#define UNUSED __attribute__((unused))
OTHER_DELETE(_ZdlPvRKSt9nothrow_t, (void *block, const void *tag UNUSED), _ZdlPv(block))
OTHER_DELETE(_ZdaPvRKSt9nothrow_t, (void *block, const void *tag UNUSED), _ZdaPv(block))
OTHER_DELETE(_ZdlPvSt11align_val_t, (void *block, size_t align UNUSED), _ZdlPv(block))
OTHER_DELETE(_ZdaPvSt11align_val_t, (void *block, size_t align UNUSED), _ZdaPv(block))
OTHER_DELETE(_ZdlPvmSt11align_val_t, (void *block, size_t bytes, size_t align UNUSED), _ZdlPvm(block, bytes))
OTHER_DELETE(_ZdaPvmSt11align_val_t, (void *block, size_t bytes, size_t align UNUSED), _ZdaPvm(block, bytes))
OTHER_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t align UNUSED, const void *tag UNUSED), _ZdlPv(block))
OTHER_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t align UNUSED, const void *tag UNUSED), _ZdaPv(block))
