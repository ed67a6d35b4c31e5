/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* symbol.c -- places in the code as names and lines, by elfutils' libdw where that is installed.
 *
 * Owns:    the library's handle, and one session of it for each module.
 * Calls:   libdw, by names that are looked up here.  Locks: none.
 * Always:  without the library, or for a module without symbols, a place is its module and offset.
 * Why:     libdw brings six libraries more, which `privheap run` would load for nothing; and who builds needs neither
 *          it nor its headers.  Nothing is resolved in the program's own process: its heap is what is tested.
 * Source:  elfutils, libdwfl.h: the types are opaque, and Dwfl_Callbacks is part of the library's ABI since 0.122. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "symbol.h"
#include "text.h"

struct dwfl;
struct dwfl_module;
struct dwfl_line;
typedef int find_function(struct dwfl_module *, void **, const char *, uint64_t, char **, void **);
typedef int debuginfo_function(struct dwfl_module *, void **, const char *, uint64_t, const char *, const char *, uint32_t, char **);
typedef int section_function(struct dwfl_module *, void **, const char *, uint64_t, const char *, uint32_t, const void *, uint64_t *);

static const struct callbacks {
    find_function *find_elf;
    debuginfo_function *find_debuginfo;
    section_function *section_address;
    char **debuginfo_path;
} *callbacks;

static struct {
    void *handle;
    struct dwfl *(*begin)(const struct callbacks *);
    struct dwfl_module *(*report_offline)(struct dwfl *, const char *, const char *, int);
    int (*report_end)(struct dwfl *, int (*)(struct dwfl_module *, void *, const char *, uint64_t, void *), void *);
    void *(*getelf)(struct dwfl_module *, uint64_t *);
    const char *(*addrname)(struct dwfl_module *, uint64_t);
    struct dwfl_line *(*getsrc)(struct dwfl_module *, uint64_t);
    const char *(*lineinfo)(struct dwfl_line *, uint64_t *, int *, int *, uint64_t *, uint64_t *);
    void (*end)(struct dwfl *);
} dw;

enum { SESSIONS = 512 };
static struct session {
    char *path; /* NULL: from here on nothing */
    struct dwfl *dwfl;
    struct dwfl_module *module;
    uint64_t bias;
} sessions[SESSIONS];

/* ISO C knows no way from void * to a function; POSIX has this one. */
#define FIND(member, name) (*(void **)(void *)&dw.member = dlsym(dw.handle, name), dw.member != NULL)

static bool load(void)
{
    static bool is_tried, is_good;
    static struct callbacks filled;
    if (is_tried) return is_good;
    is_tried = true;
    dw.handle = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (dw.handle == NULL) return false;
    *(void **)(void *)&filled.find_debuginfo = dlsym(dw.handle, "dwfl_standard_find_debuginfo");
    *(void **)(void *)&filled.section_address = dlsym(dw.handle, "dwfl_offline_section_address");
    callbacks = &filled;
    is_good = filled.find_debuginfo != NULL && filled.section_address != NULL && FIND(begin, "dwfl_begin") &&
              FIND(report_offline, "dwfl_report_offline") && FIND(report_end, "dwfl_report_end") &&
              FIND(getelf, "dwfl_module_getelf") && FIND(addrname, "dwfl_module_addrname") &&
              FIND(getsrc, "dwfl_module_getsrc") && FIND(lineinfo, "dwfl_lineinfo") && FIND(end, "dwfl_end");
    return is_good;
}

/* NULL: there are too many. */
static struct session *session_of(const char *path)
{
    struct session *se = sessions;
    while (se < sessions + SESSIONS && se->path != NULL && strcmp(se->path, path) != 0) se++;
    if (se == sessions + SESSIONS || se->path != NULL) return se == sessions + SESSIONS ? NULL : se;
    se->path = strdup(path);
    if (!load() || path[0] != '/') return se;
    se->dwfl = dw.begin(callbacks);
    if (se->dwfl == NULL) return se;
    se->module = dw.report_offline(se->dwfl, path, path, -1);
    dw.report_end(se->dwfl, NULL, NULL);
    if (se->module != NULL && dw.getelf(se->module, &se->bias) == NULL) se->module = NULL;
    return se;
}

/* The last parts of a file's name: what is in front says where it was built. */
static void file_name(const char *path, char *out, size_t bytes)
{
    const char *from = path + strlen(path);
    for (int slashes = 0; from > path; from--)
        if (from[-1] == '/' && ++slashes == 2) break;
    snprintf(out, bytes, "%s", from);
}

void ph_symbol_place(const char *path, uint64_t offset, struct symbol_place *out)
{
    *out = (struct symbol_place){ .offset = offset };
    if (path == NULL || *path == '\0') return;
    snprintf(out->module, sizeof out->module, "%s", text_base_name(path));
    const struct session *se = session_of(path);
    if (se == NULL || se->module == NULL) return;
    const char *name = dw.addrname(se->module, out->offset + se->bias);
    if (name != NULL) snprintf(out->function, sizeof out->function, "%s", name);
    struct dwfl_line *line = dw.getsrc(se->module, out->offset + se->bias);
    int number_of_line = 0;
    const char *file = line != NULL ? dw.lineinfo(line, NULL, &number_of_line, NULL, NULL, NULL) : NULL;
    if (file == NULL) return;
    file_name(file, out->file, sizeof out->file);
    snprintf(out->path, sizeof out->path, "%s", file);
    out->line = (unsigned)number_of_line;
}

void ph_symbol_put(FILE *out, unsigned number, const struct symbol_place *at)
{
    bool is_named = at->function[0] != '\0' || at->file[0] != '\0';
    fprintf(out, "    #%u ", number);
    if (at->function[0] != '\0') fprintf(out, "%s ", at->function);
    if (at->file[0] != '\0') fprintf(out, "%s:%u ", at->file, at->line);
    fprintf(out, "%s%s%s0x%llx%s\n", is_named ? "(" : "", at->module, at->module[0] != '\0' ? "+" : "",
            (unsigned long long)at->offset, is_named ? ")" : "");
}

void ph_symbols_end(void)
{
    for (unsigned i = 0; i < SESSIONS && sessions[i].path != NULL; i++) {
        if (sessions[i].dwfl != NULL) dw.end(sessions[i].dwfl);
        free(sessions[i].path);
        sessions[i] = (struct session){ .path = NULL };
    }
}
