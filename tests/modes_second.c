/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * modes_second.c -- another object for LD_PRELOAD that has the malloc family: each block of whoever comes next in the
 * search, with a head of its own in front.  Whoever frees with another family than it allocated with is found out. */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOOK __attribute__((visibility("default")))

enum { HEAD = 32, EARLY_BYTES = 65536 };
static const uint64_t mark = 0x5ec0edb10c5ec0ed;

struct head {
    void *block;
    size_t bytes;
    uint64_t mark;
};

static void *(*next_malloc)(size_t);
static void (*next_free)(void *);
static unsigned calls;

/* dlsym may allocate before we know where. */
static char early[EARLY_BYTES] __attribute__((aligned(16)));
static size_t early_used;
static int finding;

static void *early_malloc(size_t bytes)
{
    void *block = early + early_used;
    early_used += (bytes + 15) & ~(size_t)15;
    return early_used <= sizeof early ? block : NULL;
}

static void find(void)
{
    if (next_free != NULL || finding) return;
    finding = 1;
    next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    next_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    finding = 0;
}

static struct head *head_of(void *block)
{
    struct head *head = (void *)((char *)block - sizeof *head);
    if (head->mark == mark) return head;
    if (write(STDOUT_FILENO, "second: a block of somebody else's\n", 35) < 0) _exit(95);
    _exit(96);
}

static void *take(size_t align, size_t bytes)
{
    find();
    align = align < 16 ? 16 : align;
    if (bytes > PTRDIFF_MAX - align - HEAD) {
        errno = ENOMEM;
        return NULL;
    }
    char *block = next_malloc == NULL ? early_malloc(bytes + align + HEAD) : next_malloc(bytes + align + HEAD);
    if (block == NULL) return NULL;
    char *at = (char *)(((uintptr_t)block + HEAD + align - 1) & ~(uintptr_t)(align - 1));
    struct head *head = (void *)(at - sizeof *head);
    *head = (struct head){ block, bytes, mark };
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    return at;
}

HOOK void *malloc(size_t bytes) { return take(16, bytes); }

HOOK void free(void *block)
{
    if (block == NULL) return;
    struct head *head = head_of(block);
    char *whole = head->block;
    head->mark = 0;
    if (whole < early || whole >= early + sizeof early) next_free(whole);
}

HOOK void *calloc(size_t count, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, each, &bytes)) return NULL;
    void *block = take(16, bytes);
    return block != NULL ? memset(block, 0, bytes) : NULL;
}

HOOK void *realloc(void *block, size_t bytes)
{
    if (block == NULL) return malloc(bytes);
    struct head *head = head_of(block);
    void *now = bytes != 0 ? malloc(bytes) : NULL;
    if (now != NULL) memcpy(now, block, head->bytes < bytes ? head->bytes : bytes);
    if (now != NULL || bytes == 0) free(block);
    return now;
}

HOOK void *memalign(size_t align, size_t bytes);
HOOK void *memalign(size_t align, size_t bytes) { return take(align, bytes); }
HOOK void *aligned_alloc(size_t align, size_t bytes) { return take(align, bytes); }
HOOK int posix_memalign(void **out, size_t align, size_t bytes) { return (*out = take(align, bytes)) != NULL ? 0 : ENOMEM; }
HOOK size_t malloc_usable_size(void *block);
HOOK size_t malloc_usable_size(void *block) { return block != NULL ? head_of(block)->bytes : 0; }

__attribute__((destructor)) static void go(void)
{
    const char *words = calls > 0 ? "second: served\n" : "second: saw no calls\n";
    if (write(STDOUT_FILENO, words, strlen(words)) < 0) _exit(97);
}
