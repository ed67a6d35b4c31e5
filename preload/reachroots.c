/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* reachroots.c -- for reach.c: what is mapped where, and which words stand there.
 *
 * Owns:    a window through which all memory is read; memory that is ours and no root.
 * Calls:   the kernel; the page map, guard.h and pageheap.h to know our own tables.
 * Locks:   none: other threads go on, but for those that reachstop.c holds.
 * Always:  nothing is touched: the kernel copies, and says where nothing is to be read.  A page that nobody wrote to is not
 *          looked at: no memory is spent on reserves.
 * Why:     a mapping that was readable when we read of it may be gone, or have pages between that nobody may touch. */
#include "reachroots.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/uio.h>

#include "../lib/internal.h"
#include "../lib/oscall.h"
#include "../lib/pageheap.h"
#include "../lib/text.h"
#include "sweepcall.h"

#include "../lib/small.h"

enum { WINDOW_BYTES = 32768, OWN_MOST = 16, PAGES_AT_ONCE = 512 };

static uintptr_t window[WINDOW_BYTES / sizeof(uintptr_t)];
static bool is_refused; /* the kernel does not copy for us */
static struct {
    uintptr_t at;
    size_t bytes;
} own[OWN_MOST];
static unsigned own_count;
static size_t page_bytes; /* the hardware's */
static int pagemap;       /* negative: nobody tells which pages were written */
static uint32_t pid;

void *ph_roots_memory(size_t bytes)
{
    const size_t page = ph_os_page_bytes(), whole = (bytes + page - 1) & ~(page - 1);
    char *got = own_count < OWN_MOST ? ph_os_map(whole, page) : NULL;
    if (got != NULL) {
        own[own_count].at = (uintptr_t)got;
        own[own_count++].bytes = whole;
    }
    return got;
}

/* ---- reading --------------------------------------------------------------------------------------- */

static __attribute__((no_sanitize("address"))) size_t copy_plainly(uintptr_t from, size_t bytes)
{
    size_t done = 0;
    for (; done < bytes; done += sizeof(uintptr_t)) {
        if (((from + done) & 4095) < sizeof(uintptr_t) + (done == 0 ? 4096 : 0) && !ph_os_is_readable((const void *)(from + done)))
            break;
        window[done / sizeof(uintptr_t)] = *(const uintptr_t *)(from + done);
    }
    return done;
}

/* How many bytes from there on are in the window. */
static size_t copy(uintptr_t from, size_t bytes)
{
    const struct iovec to = {window, bytes}, of = {(void *)from, bytes};
    const long got = is_refused ? -ENOSYS : os_call(__NR_process_vm_readv, pid, (long)&to, 1, (long)&of, 1, 0);
    if (got == -ENOSYS || got == -EPERM) {
        is_refused = true;
        return copy_plainly(from, bytes);
    }
    return got > 0 ? (size_t)got : 0;
}

static void read_all(uintptr_t from, uintptr_t to)
{
    for (from = (from + 7) & ~(uintptr_t)7, to &= ~(uintptr_t)7; from < to;) {
        const size_t bytes = to - from < WINDOW_BYTES ? to - from : WINDOW_BYTES, got = copy(from, bytes);
        ph_reach_words(window, got / sizeof *window);
        from = got == bytes ? from + bytes : (from + got + page_bytes) & ~(uintptr_t)(page_bytes - 1);
    }
}

/* ---- what was written ------------------------------------------------------------------------------ */

enum need { NEED_WRITTEN, NEED_PRESENT };

static bool is_there(uint64_t entry, enum need need) /* Source: proc_pid_pagemap(5) */
{
    const bool has_memory = (entry >> 62 & 3) != 0, is_file = entry >> 61 & 1;
    return has_memory && (need == NEED_PRESENT || !is_file);
}

/* From and to are page starts; pages side by side are read together. */
static void read_pages(uintptr_t from, uintptr_t to, enum need need, bool (*is_wanted)(uintptr_t))
{
    static uint64_t entry[PAGES_AT_ONCE];
    while (from < to) {
        const size_t left = (to - from) / page_bytes, count = left < PAGES_AT_ONCE ? left : PAGES_AT_ONCE;
        const long bytes = (long)(count * sizeof *entry);
        const bool told = pagemap >= 0 && os_call(__NR_pread64, pagemap, (long)entry, bytes, (long)(from / page_bytes * sizeof *entry), 0, 0) == bytes;
        uintptr_t start = from;
        for (size_t i = 0; i < count; i++) {
            const uintptr_t page = from + i * page_bytes;
            if ((told && !is_there(entry[i], need)) || (is_wanted != NULL && !is_wanted(page))) {
                read_all(start, page);
                start = page + page_bytes;
            }
        }
        from += count * page_bytes;
        read_all(start, from);
    }
}

void ph_roots_read(uintptr_t from, uintptr_t to, bool is_large)
{
    const uintptr_t first = (from + page_bytes - 1) & ~(uintptr_t)(page_bytes - 1), last = to & ~(uintptr_t)(page_bytes - 1);
    if (!is_large) {
        read_all(from, to);
        return;
    }
    read_all(from, first);
    read_pages(first, last, NEED_PRESENT, NULL);
    read_all(last, to);
}

/* ---- what is mapped -------------------------------------------------------------------------------- */

static bool is_table(uintptr_t page)
{
    const void *at = (const void *)page;
    for (unsigned i = 0; i < own_count; i++)
        if (page - own[i].at < own[i].bytes)
            return true;
    for (unsigned i = 0; i < CELL_CHUNKS && ph_cell_chunk[i] != NULL; i++)
        if (page - ((uintptr_t)ph_cell_chunk[i] & ~(uintptr_t)(page_bytes - 1)) <= CELL_CHUNK_BYTES)
            return true;
    return ph_slot_is_table(at) || ph_paged_is_table(at);
}

/* A large block that another thread has taken just now is one: it comes beside the gate, and nobody listed it. */
static bool is_root(uintptr_t page)
{
    const unsigned kind = entry_kind(map_get((const void *)page));
    return (kind == KIND_NONE || kind == KIND_LARGE) && !ph_reach_knows(page, page + page_bytes) && !is_table(page);
}

static const char *hex(const char *text, uintptr_t *out)
{
    for (*out = 0;; text++) {
        const unsigned char c = (unsigned char)*text;
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return text;
        *out = *out << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
}

static bool has_word(const char *line, const char *word)
{
    while (*line != '\0' && text_after(line, word) == NULL)
        line++;
    return *line != '\0';
}

/* Shared memory that is no file: what a file holds is for others, and reading a device may do something. */
static bool is_memory(const char *line)
{
    return !has_word(line, "/") || has_word(line, "/memfd:") || has_word(line, "/SYSV") || has_word(line, " /dev/zero") ||
           has_word(line, " /dev/shm/");
}

extern char _end[] __attribute__((visibility("hidden"))); /* of this object's variables */

/* A line of /proc/self/maps.  `here`: the stack is dead below. */
static void look_at_line(const char *line, uintptr_t here)
{
    static uintptr_t ours_end; /* what follows our data without a name is our own too, */
    const uintptr_t own_end = ((uintptr_t)_end + page_bytes - 1) & ~(uintptr_t)(page_bytes - 1); /* as far as that */
    uintptr_t from, to;
    const char *rights = hex(hex(line, &from) + 1, &to) + 1;
    const bool is_shared = rights[3] == 's';
    if (rights[0] != 'r' || (is_shared && (rights[1] != 'w' || !is_memory(line))) || has_word(line, "[v"))
        return;
    if (has_word(line, "libprivheap-preload")) {
        ours_end = to;
        return;
    }
    if (from == ours_end && from < own_end) /* the system joins neighbours: a thread's variables may follow in the same line */
        from = to < own_end ? to : own_end;
    if (here >= from && here < to)
        read_all(here, to);
    else
        read_pages(from, to, is_shared ? NEED_PRESENT : NEED_WRITTEN, is_root);
}

static bool look_at_maps(uintptr_t here)
{
    static char text[16384];
    size_t filled = 0;
    long got;
    const int maps = ph_sweep_open("/proc/self/maps");
    if (maps < 0)
        return false;
    while ((got = ph_sweep_read(maps, text + filled, sizeof text - filled)) > 0) {
        char *line = text;
        filled += (size_t)got;
        for (char *end = text; end < text + filled; end++)
            if (*end == '\n') {
                *end = '\0';
                look_at_line(line, here);
                line = end + 1;
            }
        filled = (size_t)(text + filled - line);
        (void)text_copy(text, line, filled);
    }
    ph_sweep_close(maps);
    return got == 0;
}

bool ph_roots_look(uintptr_t here)
{
    size_t bytes;
    const char *emergency = ph_emergency_memory(&bytes);
    page_bytes = getauxval(AT_PAGESZ) != 0 ? getauxval(AT_PAGESZ) : 4096;
    pid = ph_os_pid();
    pagemap = ph_sweep_open("/proc/self/pagemap");
    const bool looked = look_at_maps(here);
    read_all((uintptr_t)emergency, (uintptr_t)emergency + bytes);
    return looked;
}
