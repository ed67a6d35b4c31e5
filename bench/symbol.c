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
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "symbol.h"
#include "text.h"

struct dwfl;
struct dwfl_module;
struct dwfl_line;
struct dwarf_files;
/* Source: elfutils, libdw.h: both are part of the library's ABI. */
struct dwarf_die {
    void *address, *unit, *abbreviation;
    long padding;
};
struct dwarf_attribute {
    unsigned code, form;
    void *value, *unit;
};
enum { TAG_INLINED = 0x1d, TAG_FUNCTION = 0x2e, AT_CALL_FILE = 0x58, AT_CALL_LINE = 0x59, AT_LINKAGE_NAME = 0x6e };
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
    /* for what was put into another function; addrdie NULL: one of them is not there */
    struct dwarf_die *(*addrdie)(struct dwfl_module *, uint64_t, uint64_t *);
    int (*getscopes)(struct dwarf_die *, uint64_t, struct dwarf_die **);
    int (*getscopes_die)(struct dwarf_die *, struct dwarf_die **);
    int (*tag)(struct dwarf_die *);
    const char *(*diename)(struct dwarf_die *);
    struct dwarf_attribute *(*attr_integrate)(struct dwarf_die *, unsigned, struct dwarf_attribute *);
    const char *(*formstring)(struct dwarf_attribute *);
    int (*formudata)(struct dwarf_attribute *, uint64_t *);
    int (*getsrcfiles)(struct dwarf_die *, struct dwarf_files **, size_t *);
    const char *(*filesrc)(struct dwarf_files *, size_t, uint64_t *, uint64_t *);
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
    bool has_scopes = FIND(getscopes, "dwarf_getscopes") && FIND(getscopes_die, "dwarf_getscopes_die") && FIND(tag, "dwarf_tag") &&
                      FIND(diename, "dwarf_diename") && FIND(attr_integrate, "dwarf_attr_integrate") && FIND(formstring, "dwarf_formstring") &&
                      FIND(formudata, "dwarf_formudata") && FIND(getsrcfiles, "dwarf_getsrcfiles") && FIND(filesrc, "dwarf_filesrc");
    if (has_scopes) (void)FIND(addrdie, "dwfl_module_addrdie");
    return is_good;
}

/* NULL: there are too many. */
static struct session *session_of(const char *path)
{
    struct session *se = sessions;
    while (se < sessions + SESSIONS && se->path != NULL && strcmp(se->path, path) != 0) se++;
    if (se == sessions + SESSIONS || se->path != NULL) return se == sessions + SESSIONS ? NULL : se;
    se->path = strdup(path);
    char file[PATH_MAX]; /* a plug-in that was opened as ./plugin.so, and the program is where we are */
    if (!load() || strchr(path, '/') == NULL || realpath(path, file) == NULL) return se;
    se->dwfl = dw.begin(callbacks);
    if (se->dwfl == NULL) return se;
    se->module = dw.report_offline(se->dwfl, file, file, -1);
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

static void put_file(const char *file, struct symbol_place *out)
{
    file_name(file, out->file, sizeof out->file);
    snprintf(out->path, sizeof out->path, "%s", file);
}

/* ---- names --------------------------------------------------------------------- */

typedef char *demangle_function(const char *, char *, size_t *, int *);

/* By the C++ library, if there is one; NULL: no name of C++. */
static char *demangled(const char *name)
{
    static bool is_tried;
    static demangle_function *demangle;
    int status = 0;
    if (strncmp(name, "_Z", 2) != 0) return NULL;
    if (!is_tried) {
        void *handle = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
        if (handle != NULL) *(void **)(void *)&demangle = dlsym(handle, "__cxa_demangle");
        is_tried = true;
    }
    return demangle != NULL ? demangle(name, NULL, NULL, &status) : NULL;
}

/* Without the version of a library's function. */
static void put_function(const char *name, struct symbol_place *out)
{
    char *plain = demangled(name);
    if (plain != NULL)
        snprintf(out->function, sizeof out->function, "%s", plain);
    else
        snprintf(out->function, sizeof out->function, "%.*s", (int)strcspn(name, "@"), name);
    if (plain != NULL && strlen(plain) >= sizeof out->function) strcpy(out->function + sizeof out->function - 4, "...");
    free(plain);
}

/* ---- what was put into another function ------------------------------------------ */

static const char *name_of(struct dwarf_die *die)
{
    struct dwarf_attribute at;
    const char *name = dw.attr_integrate(die, AT_LINKAGE_NAME, &at) != NULL ? dw.formstring(&at) : NULL;
    return name != NULL ? name : dw.diename(die);
}

static uint64_t number_of(struct dwarf_die *die, unsigned attribute)
{
    struct dwarf_attribute at;
    uint64_t value = 0;
    if (dw.attr_integrate(die, attribute, &at) == NULL || dw.formudata(&at, &value) != 0) return 0;
    return value;
}

/* The call that is not there any more, as the place in the function around it. */
static void put_call(struct dwarf_die *unit, struct dwarf_die *die, struct symbol_place *out)
{
    struct dwarf_files *files = NULL;
    size_t count = 0;
    uint64_t number = number_of(die, AT_CALL_FILE);
    out->line = (unsigned)number_of(die, AT_CALL_LINE);
    out->file[0] = out->path[0] = '\0';
    if (dw.getsrcfiles(unit, &files, &count) != 0 || number >= count) return;
    const char *file = dw.filesrc(files, number, NULL, NULL);
    if (file != NULL) put_file(file, out);
}

/* out[0] is the innermost place with the outermost name; how many there are when each has its own. */
static unsigned unfold(const struct session *se, struct symbol_place *out, unsigned most)
{
    uint64_t bias = 0;
    struct dwarf_die *scopes = NULL, *chain = NULL;
    struct dwarf_die *unit = dw.addrdie != NULL ? dw.addrdie(se->module, out->offset + se->bias, &bias) : NULL;
    int depth = 0;
    unsigned count = 1;
    if (unit != NULL && dw.getscopes(unit, out->offset + se->bias - bias, &scopes) > 0) depth = dw.getscopes_die(&scopes[0], &chain);
    for (int i = 0; i < depth && count < most && dw.tag(&chain[i]) != TAG_FUNCTION; i++) {
        if (dw.tag(&chain[i]) != TAG_INLINED) continue;
        const char *name = name_of(&chain[i]);
        out[count] = out[count - 1];
        if (name != NULL) put_function(name, &out[count - 1]);
        put_call(unit, &chain[i], &out[count++]);
    }
    free(scopes);
    free(chain);
    return count;
}

unsigned ph_symbol_places(const char *path, uint64_t offset, struct symbol_place *out, unsigned most)
{
    *out = (struct symbol_place){ .offset = offset };
    if (path == NULL || *path == '\0') return 1;
    snprintf(out->module, sizeof out->module, "%s", text_base_name(path));
    const struct session *se = session_of(path);
    if (se == NULL || se->module == NULL) return 1;
    const char *name = dw.addrname(se->module, out->offset + se->bias);
    if (name != NULL) put_function(name, out);
    struct dwfl_line *line = dw.getsrc(se->module, out->offset + se->bias);
    int number_of_line = 0;
    const char *file = line != NULL ? dw.lineinfo(line, NULL, &number_of_line, NULL, NULL, NULL) : NULL;
    if (file == NULL) return 1;
    put_file(file, out);
    out->line = (unsigned)number_of_line;
    return unfold(se, out, most);
}

void ph_symbol_place(const char *path, uint64_t offset, struct symbol_place *out)
{
    struct symbol_place all[SYMBOL_INLINED];
    ph_symbol_places(path, offset, all, SYMBOL_INLINED);
    *out = all[0];
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
