/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom_symbol.c -- places in the code as names and lines, by elfutils' libdw where that is installed.
 *
 * Owns:    the library's handle, and one session of it for each module.
 * Calls:   libdw, and the C++ runtime for names, by names that are looked up here.  Locks: none.
 * Always:  without the library, or for a module without symbols, a place is its module and offset.
 * Why:     libdw brings six libraries more, which `privheap run` would load for nothing; and who builds needs neither
 *          it nor its headers.  Nothing is resolved in the program's own process: its heap is what is tested.
 * Source:  elfutils, libdwfl.h: the types are opaque, and Dwfl_Callbacks is part of the library's ABI since 0.122. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "oom.h"
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

static struct session {
    bool is_tried;
    struct dwfl *dwfl;
    struct dwfl_module *module;
    uint64_t bias;
} sessions[SWEEP_MODULES];

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

/* ---- C++ ---------------------------------------------------------------------- */

typedef char *demangle_function(const char *, char *, size_t *, int *);

/* As it was written; without the C++ runtime, or where it is no such name, as it stands in the file. */
static void put_name(const char *name, char *out, size_t bytes)
{
    static bool is_tried;
    static demangle_function *demangle;
    int status;
    if (!is_tried && strncmp(name, "_Z", 2) == 0) {
        void *handle = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
        is_tried = true;
        if (handle != NULL) *(void **)(void *)&demangle = dlsym(handle, "__cxa_demangle");
    }
    char *plain = demangle != NULL && strncmp(name, "_Z", 2) == 0 ? demangle(name, NULL, NULL, &status) : NULL;
    snprintf(out, bytes, "%s", plain != NULL ? plain : name);
    free(plain);
}

/* ---- modules -------------------------------------------------------------------- */

static struct session *session_of(const struct oom *o, unsigned number)
{
    struct session *se = &sessions[number];
    const char *path = o->sweep->modules[number].path;
    if (se->is_tried) return se;
    se->is_tried = true;
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

void ph_oom_place(const struct oom *o, uint64_t place, struct oom_place *out)
{
    unsigned number = (unsigned)(place >> SWEEP_OFFSET_BITS);
    *out = (struct oom_place){ .offset = place & (((uint64_t)1 << SWEEP_OFFSET_BITS) - 1) };
    if (number == 0 || number >= SWEEP_MODULES) return;
    snprintf(out->module, sizeof out->module, "%s", text_base_name(o->sweep->modules[number].path));
    const struct session *se = session_of(o, number);
    if (se->module == NULL) return;
    const char *name = dw.addrname(se->module, out->offset + se->bias);
    if (name != NULL) put_name(name, out->function, sizeof out->function);
    struct dwfl_line *line = dw.getsrc(se->module, out->offset + se->bias);
    int number_of_line = 0;
    const char *file = line != NULL ? dw.lineinfo(line, NULL, &number_of_line, NULL, NULL, NULL) : NULL;
    if (file == NULL) return;
    file_name(file, out->file, sizeof out->file);
    out->line = (unsigned)number_of_line;
}

void ph_oom_symbols_end(void)
{
    for (unsigned i = 0; i < SWEEP_MODULES; i++)
        if (sessions[i].dwfl != NULL) dw.end(sessions[i].dwfl);
}
