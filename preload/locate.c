/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* locate.c -- finds the program that execvp would start, and our own preload object.
 *
 * Owns:    struct verdict's text.  Calls: libc.  Locks: none.
 * Why:     the program is found before it is started, because it is judged first; so the
 *          search is ours, by the rules of execvp(3). */
#include "locate.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "command.h"

/* PH_PKGLIBDIR, where `make install` puts the object, comes from the Makefile. */
#define OBJECT_NAME "libprivheap-preload.so"

bool ph_verdict(struct verdict *v, int exit_code, const char *format, ...)
{
    va_list arguments;
    v->exit_code = exit_code;
    va_start(arguments, format);
    vsnprintf(v->why, sizeof v->why, format, arguments);
    va_end(arguments);
    return false;
}

/* Join into path[LOCATE_PATH_BYTES]; false when it is too long. */
static bool join(char *path, const char *folder, size_t folder_bytes, const char *name)
{
    const char *slash = folder_bytes == 0 ? "" : "/";
    int bytes = snprintf(path, LOCATE_PATH_BYTES, "%.*s%s%s", (int)folder_bytes, folder, slash,
                         name);
    return bytes < LOCATE_PATH_BYTES;
}

/* ---- the program ------------------------------------------------------- */

static bool is_noexec(const char *path)
{
    struct statvfs system;
    return statvfs(path, &system) == 0 && (system.f_flag & ST_NOEXEC) != 0;
}

static bool cannot_find(const char *path, int error, struct verdict *v)
{
    struct stat link;
    if (error == ENOENT && lstat(path, &link) == 0)
        return ph_verdict(v, EXIT_NOT_FOUND, "%s is a symbolic link to a missing file", path);
    return ph_verdict(v, error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE,
                      "cannot start %s: %s", path, strerror(error));
}

/* May the file be executed, by what can be told without reading it? */
static bool is_executable(const char *path, struct verdict *v)
{
    struct stat file;
    if (stat(path, &file) != 0) return cannot_find(path, errno, v);
    if (S_ISDIR(file.st_mode))
        return ph_verdict(v, EXIT_CANNOT_EXECUTE, "%s is a directory", path);
    if (!S_ISREG(file.st_mode))
        return ph_verdict(v, EXIT_CANNOT_EXECUTE, "%s is not a regular file", path);
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0) return true;
    return ph_verdict(v, EXIT_CANNOT_EXECUTE,
                      is_noexec(path) ? "%s lies on a file system mounted noexec"
                                      : "%s is not executable for you; see chmod(1)",
                      path);
}

/* A name that is nowhere in PATH: what may have been meant? */
static bool not_in_path(const char *name, struct verdict *v)
{
    struct stat file;
    if (strchr(name, ' ') != NULL)
        return ph_verdict(v, EXIT_NOT_FOUND,
                          "'%s' is not found: write the program and its arguments as separate "
                          "words, without quotes",
                          name);
    if (strchr(name, '=') != NULL)
        return ph_verdict(v, EXIT_NOT_FOUND,
                          "'%s' is not found; variables stand in front: %s privheap run PROGRAM",
                          name, name);
    if (stat(name, &file) == 0 && S_ISREG(file.st_mode))
        return ph_verdict(v, EXIT_NOT_FOUND, "%s is not found in PATH; did you mean ./%s?", name,
                          name);
    return ph_verdict(v, EXIT_NOT_FOUND, "%s is not found in PATH", name);
}

/* Source: execvp(3): the first that can be executed; a file that cannot be is remembered.  Unlike
 * there, a folder that we may not search holds nothing, as for a shell. */
static bool search_path(const char *name, char *path, struct verdict *v)
{
    const char *list = getenv("PATH");
    if (list == NULL) list = "/bin:/usr/bin";
    bool is_refused = false;
    for (;;) {
        size_t bytes = strcspn(list, ":");
        struct stat file;
        struct verdict one;
        if (join(path, list, bytes, name) && stat(path, &file) == 0) {
            if (is_executable(path, &one)) return true;
            if (!is_refused) *v = one;
            is_refused = true;
        }
        if (list[bytes] == '\0') break;
        list += bytes + 1;
    }
    return is_refused ? false : not_in_path(name, v);
}

bool ph_locate_program(const char *name, char *path, struct verdict *v)
{
    if (*name == '\0') return ph_verdict(v, EXIT_NOT_FOUND, "the program's name is empty");
    if (strlen(name) >= LOCATE_PATH_BYTES)
        return ph_verdict(v, EXIT_CANNOT_EXECUTE, "the program's name is too long");
    if (strchr(name, '/') == NULL) return search_path(name, path, v);
    memcpy(path, name, strlen(name) + 1);
    return is_executable(path, v);
}

/* ---- the preload object ------------------------------------------------ */

static bool is_file(const char *path)
{
    struct stat file;
    return stat(path, &file) == 0 && S_ISREG(file.st_mode);
}

/* The folder this command lies in; false when /proc does not say. */
static bool own_folder(char *folder)
{
    ssize_t bytes = readlink("/proc/self/exe", folder, LOCATE_PATH_BYTES - 1);
    if (bytes <= 0) return false;
    folder[bytes] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash == NULL) return false;
    *slash = '\0';
    return true;
}

/* Debian's lib/x86_64-linux-gnu: any folder one level down. */
static bool below_lib(const char *folder, char *path)
{
    char pattern[LOCATE_PATH_BYTES];
    glob_t found;
    if (!join(pattern, folder, strlen(folder), "../lib/*/privheap/" OBJECT_NAME)) return false;
    if (glob(pattern, 0, NULL, &found) != 0) return false;
    bool fits = strlen(found.gl_pathv[0]) < LOCATE_PATH_BYTES;
    if (fits) memcpy(path, found.gl_pathv[0], strlen(found.gl_pathv[0]) + 1);
    globfree(&found);
    return fits;
}

static bool beside_command(const char *folder, char *path)
{
    static const char *const places[] = {
        "preload/.libs/" OBJECT_NAME, /* libtool's, when the command is in the build folder */
        "../preload/.libs/" OBJECT_NAME, /* when the command is in .libs too */
        "../lib/privheap/" OBJECT_NAME,
        "../lib64/privheap/" OBJECT_NAME,
        OBJECT_NAME,
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (join(path, folder, strlen(folder), places[i]) && is_file(path)) return true;
    return below_lib(folder, path);
}

bool ph_locate_object(char *path, struct verdict *v)
{
    char folder[LOCATE_PATH_BYTES], found[LOCATE_PATH_BYTES];
    bool is_found = own_folder(folder) && beside_command(folder, found);
    if (!is_found) is_found = is_file(strcpy(found, PH_PKGLIBDIR "/" OBJECT_NAME));
    if (!is_found)
        return ph_verdict(v, EXIT_OWN_ERROR,
                          "the preload object is missing: neither beside this command nor %s",
                          PH_PKGLIBDIR "/" OBJECT_NAME);
    if (realpath(found, path) == NULL)
        return ph_verdict(v, EXIT_OWN_ERROR, "cannot reach %s: %s", found, strerror(errno));
    if (strpbrk(path, " :") == NULL) return true;
    return ph_verdict(v, EXIT_OWN_ERROR,
                      "LD_PRELOAD cannot name %s: install privheap where the path has no space "
                      "and no colon",
                      path);
}
