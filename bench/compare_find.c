/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_find.c -- which allocators are compared: ours, the C library's, and those found or named.
 *
 * Owns:    comparison.allocators' names, objects and environments.
 * Calls:   locate.c for our object, compare_elf.c.
 * Why:     a name is looked for where the loader would look, newest version first; a path is taken as is. */
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "compare.h"

#define OURS   "privheap"
#define SYSTEM "glibc"

extern char **environ;

static const struct known {
    const char *name, *pattern, *package; /* Debian's, NULL: none */
} known[] = {
    { "jemalloc", "libjemalloc.so*", "libjemalloc2" },
    { "mimalloc", "libmimalloc.so*", "libmimalloc2.0" },
    { "tcmalloc", "libtcmalloc.so*", "libgoogle-perftools4" },
    { "tcmalloc_minimal", "libtcmalloc_minimal.so*", "libtcmalloc-minimal4" },
    { "tbbmalloc", "libtbbmalloc_proxy.so*", "libtbbmalloc2" },
    { "scudo", "libclang_rt.scudo_standalone*.so", "libclang-rt-14-dev" },
    { "snmalloc", "libsnmallocshim.so*", NULL },
    { "rpmalloc", "librpmalloc*.so*", NULL },
    { "hardened_malloc", "libhardened_malloc.so*", NULL },
};

enum { KNOWN_COUNT = sizeof known / sizeof known[0] };

/* Those of the loader, and where clang keeps its runtime. */
static const char *const folders[] = {
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/local/lib/*-linux-gnu",
    "/usr/lib/*-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/opt/*/lib",
    "/usr/lib/llvm-*/lib/clang/*/lib/*",
    "/usr/lib*/clang/*/lib/*",
};

bool ph_is_allocator_name(const char *file)
{
    for (int i = 0; i < KNOWN_COUNT; i++)
        if (fnmatch(known[i].pattern, file, 0) == 0) return true;
    return false;
}

/* ---- on this machine --------------------------------------------------- */

static int by_version(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* The newest file in one folder that can be preloaded, to be freed; NULL: none. */
static char *newest_in(const char *folder, size_t folder_bytes, const char *pattern)
{
    char whole[LOCATE_PATH_BYTES];
    char *found = NULL;
    glob_t files;
    snprintf(whole, sizeof whole, "%.*s/%s", (int)folder_bytes, folder, pattern);
    if (glob(whole, GLOB_NOSORT, NULL, &files) != 0) return NULL;
    qsort(files.gl_pathv, files.gl_pathc, sizeof *files.gl_pathv, by_version);
    for (size_t i = files.gl_pathc; i > 0 && found == NULL; i--)
        if (ph_object_kind(files.gl_pathv[i - 1]) == OBJECT_ALLOCATOR)
            found = realpath(files.gl_pathv[i - 1], NULL);
    globfree(&files);
    return found;
}

static char *find_known(const struct known *k)
{
    const char *list = getenv("LD_LIBRARY_PATH");
    while (list != NULL && *list != '\0') {
        size_t bytes = strcspn(list, ":");
        char *found = bytes > 0 ? newest_in(list, bytes, k->pattern) : NULL;
        if (found != NULL) return found;
        list += bytes + (list[bytes] == ':');
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char *found = newest_in(folders[i], strlen(folders[i]), k->pattern);
        if (found != NULL) return found;
    }
    return NULL;
}

/* ---- the list ---------------------------------------------------------- */

#define REFUSE(...) (ph_complain(COMPARE, EXIT_OWN_ERROR, __VA_ARGS__), false)

static struct allocator *called(struct comparison *c, const char *name)
{
    for (unsigned i = 0; i < c->count; i++)
        if (strcmp(c->allocators[i].name, name) == 0) return &c->allocators[i];
    return NULL;
}

static bool is_in(const struct word_list *list, const char *name)
{
    for (unsigned i = 0; i < list->count; i++)
        if (strcmp(list->words[i], name) == 0) return true;
    return false;
}

/* `object` is ours to keep; NULL is the C library. */
static bool add(struct comparison *c, const char *name, char *object)
{
    if (is_in(&c->settings.without, name)) return true;
    if (called(c, name) != NULL)
        return REFUSE("two allocators are called '%s'; give one another name: --with=NAME=%s", name,
                      object == NULL ? SYSTEM : object);
    if (c->count == COMPARE_ALLOCATORS) return REFUSE("too many allocators at '%s'", name);
    if (object != NULL && strpbrk(object, " :") != NULL)
        return REFUSE("%s: LD_PRELOAD cannot name %s: its path has a space or a colon", name, object);
    struct allocator *a = &c->allocators[c->count++];
    snprintf(a->name, sizeof a->name, "%s", name);
    a->object = object;
    return true;
}

static bool add_ours(struct comparison *c, const char *name)
{
    char path[LOCATE_PATH_BYTES];
    struct verdict v;
    if (is_in(&c->settings.without, name)) return true;
    if (ph_locate_object(path, &v)) return add(c, name, strdup(path));
    ph_complain(COMPARE, v.exit_code, "%s", v.why);
    return false;
}

static bool add_file(struct comparison *c, const char *name, const char *path)
{
    char *object = realpath(path, NULL);
    if (object == NULL) return REFUSE("--with: cannot read %s: %s", path, strerror(errno));
    switch (ph_object_kind(object)) {
    case OBJECT_ALLOCATOR:
        return add(c, name, object);
    case OBJECT_NO_MALLOC:
        return REFUSE("--with: %s defines no malloc: nothing to compare", path);
    case OBJECT_OTHER_MACHINE:
        return REFUSE("--with: %s is made for another machine", path);
    case OBJECT_NO_LIBRARY:
        return REFUSE("--with: %s is not a shared library", path);
    default:
        return REFUSE("--with: cannot read %s", path);
    }
}

static bool add_known(struct comparison *c, const char *name, const struct known *k)
{
    char *object = find_known(k);
    if (object != NULL) return add(c, name, object);
    if (k->package == NULL)
        return REFUSE("--with: %s is not found on this machine; say where: --with=%s=FILE.so", k->name,
                      k->name);
    return REFUSE("--with: %s is not found on this machine; install it (Debian's package: %s)", k->name,
                  k->package);
}

static bool add_all_found(struct comparison *c)
{
    for (int i = 0; i < KNOWN_COUNT; i++) {
        char *object = called(c, known[i].name) == NULL ? find_known(&known[i]) : NULL;
        if (object != NULL && !add(c, known[i].name, object)) return false;
    }
    return true;
}

/* ---- --with ------------------------------------------------------------ */

static bool unknown_name(const char *name)
{
    char names[512] = "";
    for (int i = 0; i < KNOWN_COUNT; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), ", %s", known[i].name);
    return REFUSE("--with: '%s' is none of " OURS ", " SYSTEM "%s; for any other: --with=NAME=FILE.so", name,
                  names);
}

/* NAME, or FILE; `name` is what to call it. */
static bool add_word(struct comparison *c, const char *name, const char *word)
{
    bool is_alias = strcmp(name, word) != 0;
    if (strchr(word, '/') != NULL || strstr(word, ".so") != NULL) return add_file(c, name, word);
    if (strcmp(word, OURS) == 0) return is_alias ? add_ours(c, name) : true;
    if (strcmp(word, SYSTEM) == 0) return is_alias ? add(c, name, NULL) : true;
    for (int i = 0; i < KNOWN_COUNT; i++)
        if (strcmp(known[i].name, word) == 0) return add_known(c, name, &known[i]);
    return unknown_name(word);
}

/* /x/libfoo.so.2 -> foo */
static void name_of_file(const char *path, char name[COMPARE_NAME_BYTES])
{
    const char *slash = strrchr(path, '/'), *from = slash == NULL ? path : slash + 1;
    if (strncmp(from, "lib", 3) == 0) from += 3;
    snprintf(name, COMPARE_NAME_BYTES, "%s", from);
    char *end = strstr(name, ".so");
    if (end != NULL && end != name) *end = '\0';
}

static bool take_with(struct comparison *c, const char *word)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
    char name[COMPARE_NAME_BYTES];
    size_t bytes = strcspn(word, "=/");
    if (word[bytes] != '=') {
        if (strcmp(word, "all") == 0) return add_all_found(c);
        name_of_file(word, name);
        return add_word(c, strchr(word, '/') == NULL && strstr(word, ".so") == NULL ? word : name, word);
    }
    if (bytes == 0 || bytes >= sizeof name || strspn(word, letters) < bytes)
        return REFUSE("--with: '%s' begins with no good name: up to 31 letters, digits and ._+-", word);
    snprintf(name, sizeof name, "%.*s", (int)bytes, word);
    return add_word(c, name, word + bytes + 1);
}

/* ---- what the program gets --------------------------------------------- */

/* environ with LD_PRELOAD, and with the --env of this allocator, which has `NAME:VARIABLE=VALUE`. */
static bool fill_environment(struct comparison *c, struct allocator *a)
{
    size_t count = 0, used = 0, name_bytes = strlen(a->name);
    const struct word_list *own = &c->settings.environment;
    while (environ[count] != NULL) count++;
    a->environment = calloc(count + own->count + 2, sizeof *a->environment);
    if (a->environment == NULL) return REFUSE("%s", strerror(ENOMEM));
    for (unsigned i = 0; i < own->count; i++)
        if (strncmp(own->words[i], a->name, name_bytes) == 0 && own->words[i][name_bytes] == ':')
            a->environment[used++] = strdup(own->words[i] + name_bytes + 1);
    size_t own_used = used;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strcspn(environ[i], "=") + 1;
        bool is_hidden = a->object != NULL && strncmp(environ[i], "LD_PRELOAD=", 11) == 0;
        for (size_t j = 0; j < own_used; j++) is_hidden |= strncmp(environ[i], a->environment[j], bytes) == 0;
        if (!is_hidden) a->environment[used++] = environ[i];
    }
    if (a->object == NULL) return true;
    const char *before = getenv("LD_PRELOAD");
    bool has_more = before != NULL && *before != '\0';
    return asprintf(&a->environment[used], "LD_PRELOAD=%s%s%s", a->object, has_more ? ":" : "",
                    has_more ? before : "") > 0;
}

static bool check_names(struct comparison *c)
{
    const struct word_list *own = &c->settings.environment;
    for (unsigned i = 0; i < own->count; i++) {
        char name[COMPARE_NAME_BYTES];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(own->words[i], ":"), own->words[i]);
        if (called(c, name) == NULL)
            return REFUSE("--env: '%s' names no allocator compared here: %s", name, own->words[i]);
    }
    for (c->base = 0; c->base < c->count; c->base++)
        if (strcmp(c->allocators[c->base].name, c->settings.base) == 0) return true;
    char names[1024] = "";
    for (unsigned i = 0; i < c->count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i > 0 ? ", " : "",
                 c->allocators[i].name);
    return REFUSE("--base: '%s' is not among those compared: %s", c->settings.base, names);
}

bool ph_find_allocators(struct comparison *c)
{
    const struct word_list *with = &c->settings.with;
    if (!add_ours(c, OURS) || !add(c, SYSTEM, NULL)) return false;
    if (with->count == 0 && !add_all_found(c)) return false;
    for (unsigned i = 0; i < with->count; i++)
        if (!take_with(c, with->words[i])) return false;
    if (!check_names(c)) return false;
    for (unsigned i = 0; i < c->count; i++)
        if (!fill_environment(c, &c->allocators[i])) return false;
    return true;
}
