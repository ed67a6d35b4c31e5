/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * check_malloc_names.c -- the further names of the family, looked up as a program finds them.
 *
 * A name that the system's malloc does not have is skipped on it, never on the object. */
#include "check_malloc.h"

#include "preloaded.h"

#include <dlfcn.h>

typedef void *alloc_fn(size_t);
typedef void *alloc2_fn(size_t, size_t);
typedef void *realloc_fn(void *, size_t);
typedef void free_fn(void *);
typedef void free_sized_fn(void *, size_t);
typedef void free_aligned_sized_fn(void *, size_t, size_t);

/* The object's own symbol; on "none" the system's or NULL. */
static void *named(const char *name)
{
    void *symbol = dlsym(RTLD_DEFAULT, name);

    if (!preloaded()) return symbol;
    if (symbol == NULL) ck_abort_msg("%s is missing", name);
    Dl_info of_symbol, of_malloc;
    must(dladdr(symbol, &of_symbol) != 0 && dladdr(dlsym(RTLD_DEFAULT, "malloc"), &of_malloc) != 0);
    if (of_symbol.dli_fbase != of_malloc.dli_fbase) ck_abort_msg("%s comes from %s", name, of_symbol.dli_fname);
    return symbol;
}

static const char *const family[] = {
    "malloc",          "free",          "calloc",             "realloc",       "reallocarray",  "memalign",
    "aligned_alloc",   "posix_memalign", "valloc",            "pvalloc",       "malloc_trim",   "malloc_usable_size",
    "mallopt",         "mallinfo",      "mallinfo2",          "malloc_stats",  "malloc_info",   "cfree",
    "free_sized",      "free_aligned_sized", "__libc_malloc", "__libc_free",   "__libc_calloc", "__libc_realloc",
    "__libc_memalign", "__libc_valloc", "__libc_pvalloc",
};

START_TEST(the_whole_family_comes_from_one_object)
{
    named(family[_i]);
}
END_TEST

START_TEST(cfree_frees)
{
    free_fn *release = named("cfree");

    if (release == NULL) return;
    errno = ERRNO_MARK;
    for (unsigned i = 0; i < size_kind_count; i++) release(malloc(size_kinds[i]));
    release(NULL);
    int after = errno;
    ck_assert_int_eq(after, ERRNO_MARK);
}
END_TEST

START_TEST(free_sized_frees_what_malloc_calloc_and_realloc_gave)
{
    free_sized_fn *release = named("free_sized");

    if (release == NULL) return;
    errno = ERRNO_MARK;
    for (unsigned i = 0; i < size_kind_count; i++) {
        release(malloc(size_kinds[i]), size_kinds[i]);
        release(calloc(1, size_kinds[i]), size_kinds[i]);
        release(realloc(malloc(10), size_kinds[i]), size_kinds[i]);
    }
    release(NULL, 0);
    release(malloc(hide(0)), 0);
    int after = errno;
    ck_assert_int_eq(after, ERRNO_MARK);
}
END_TEST

START_TEST(free_aligned_sized_frees_what_aligned_alloc_gave)
{
    free_aligned_sized_fn *release = named("free_aligned_sized");

    if (release == NULL) return;
    errno = ERRNO_MARK;
    for (size_t alignment = 8; alignment <= MIB; alignment *= 2)
        for (size_t bytes = 0; bytes < 200000; bytes = bytes * 5 + alignment)
            release(aligned_alloc(alignment, bytes), alignment, bytes);
    release(NULL, 64, 0);
    int after = errno;
    ck_assert_int_eq(after, ERRNO_MARK);
}
END_TEST

START_TEST(libc_names_mix_with_the_plain_ones)
{
    alloc_fn *libc_malloc = named("__libc_malloc");
    alloc2_fn *libc_calloc = named("__libc_calloc");
    realloc_fn *libc_realloc = named("__libc_realloc");
    free_fn *libc_free = named("__libc_free");

    for (unsigned i = 0; i < size_kind_count; i++) {
        size_t bytes = size_kinds[i];
        void *one = libc_malloc(bytes), *two = libc_calloc(bytes, 1), *three = malloc(bytes);
        must(one != NULL && two != NULL && three != NULL && is_zero(two, bytes));
        must(malloc_usable_size(one) >= bytes && is_aligned(one, 16));
        fill(one, bytes, 1);
        fill(three, bytes, 3);
        one = realloc(one, bytes + 1000);
        three = libc_realloc(three, bytes + 1000);
        must(one != NULL && is_filled(one, bytes, 1));
        must(three != NULL && is_filled(three, bytes, 3));
        free(one);
        free(two);
        libc_free(three);
    }
    errno = 0;
    ck_assert(refused(libc_malloc(TOO_BIG)));
}
END_TEST

START_TEST(libc_names_for_aligned_blocks_mix_with_free)
{
    alloc2_fn *libc_memalign = named("__libc_memalign");
    alloc_fn *libc_valloc = named("__libc_valloc"), *libc_pvalloc = named("__libc_pvalloc");
    size_t page = os_page_bytes();

    for (size_t alignment = 8; alignment <= 64 * KIB; alignment *= 2) {
        void *block = libc_memalign(alignment, 3000);
        must(block != NULL && is_aligned(block, alignment) && malloc_usable_size(block) >= 3000);
        free(block);
    }
    void *one = libc_valloc(100), *two = libc_pvalloc(100);
    ck_assert(one != NULL && is_aligned(one, page));
    ck_assert(two != NULL && is_aligned(two, page) && malloc_usable_size(two) >= page);
    free(one);
    free(two);
}
END_TEST

/* getline, strdup, asprintf and their like allocate inside libc: their blocks are ours as well. */
START_TEST(blocks_made_inside_libc_can_be_freed_and_measured)
{
    char *copy = strdup("a text"), *path = realpath("/proc/self/exe", NULL), *cwd = getcwd(NULL, 0);

    ck_assert(copy != NULL && path != NULL && cwd != NULL);
    ck_assert_uint_ge(malloc_usable_size(copy), 7);
    ck_assert_uint_ge(malloc_usable_size(path), strlen(path) + 1);
    copy = realloc(copy, 3000);
    ck_assert(copy != NULL && strcmp(copy, "a text") == 0);
    free(copy);
    free(path);
    free(cwd);
}
END_TEST

TCase *tcase_names(void)
{
    TCase *tc = tcase_create("names");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, the_whole_family_comes_from_one_object, 0, sizeof family / sizeof *family);
    tcase_add_test(tc, cfree_frees);
    tcase_add_test(tc, free_sized_frees_what_malloc_calloc_and_realloc_gave);
    tcase_add_test(tc, free_aligned_sized_frees_what_aligned_alloc_gave);
    tcase_add_test(tc, libc_names_mix_with_the_plain_ones);
    tcase_add_test(tc, libc_names_for_aligned_blocks_mix_with_free);
    tcase_add_test(tc, blocks_made_inside_libc_can_be_freed_and_measured);
    return tc;
}
