/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fuzz_options.c -- fuzz target: bytes become values of options, names nearly right, and whole environments.
 *
 * What is wanted: a value that is taken lies in its row's bounds, one that is not leaves everything as it was and
 * says why; reading an environment never takes what parsing refuses; nothing is read beyond the text's end (each
 * text ends where memory ends). */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fuzz.h"
#include "message.h"
#include "options.h"

enum { TEXT_MOST = 1200, AREA = 8192, LINES = 12 };
const uint64_t fuzz_life = 4096;

static char *fence; /* nothing can be read from here on */
static int told = 2;

__attribute__((noreturn, format(printf, 1, 2))) static void wrong(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vdprintf(told, format, ap);
    va_end(ap);
    dprintf(told, "\n");
    abort();
}

/* Complaints of the options go nowhere; ours go where they went. */
static void set_up(void)
{
    if (fence != NULL) return;
    char *area = mmap(NULL, 2 * AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || mprotect(area + AREA, AREA, PROT_NONE) != 0) exit(99);
    fence = area + AREA;
#ifndef FUZZ_LIBFUZZER /* it says its own things there */
    told = dup(2);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (told < 0 || nowhere < 0 || dup2(nowhere, 2) < 0) exit(99);
#endif
}

static const char alphabet[] = "0123456789kmgtKMGTxX-+. ,_=onffrueyslidb%p/defautscrn";

/* Text that ends, with its NUL, at `end`. */
static char *draw_text(struct source *so, char *end)
{
    const unsigned kind = source_byte(so);
    const size_t length = kind < 250 ? kind % 28 : kind < 254 ? kind * 4 : TEXT_MOST;
    char *text = end - length - 1;
    for (size_t i = 0; i < length; i++) {
        const unsigned byte = source_byte(so);
        const char c = kind % 4 == 0 ? (char)byte : alphabet[byte % (sizeof alphabet - 1)];
        text[i] = c != '\0' ? c : 'a';
    }
    text[length] = '\0';
    return text;
}

static bool in_bounds(enum option_id which, uint64_t value)
{
    const struct option_row *row = &ph_option_rows[which];
    if (OPTION_IS_TEXT(row->type)) return value < OPTION_PATH_BYTES;
    const bool none = value == 0 && (row->value == 0 || row->type == OPTION_number);
    return none || (value >= row->min && value <= row->max);
}

static void try_parse(struct source *so)
{
    const enum option_id which = source_byte(so) % OPT_COUNT;
    const char *text = draw_text(so, fence), *why = NULL;
    uint64_t value = 0x5a5a5a5a5a5a5a5a;
    const bool taken = ph_option_parse(which, text, &value, &why);
    if (taken && !in_bounds(which, value)) wrong("%s=%s is %llu", ph_option_rows[which].name, text, (unsigned long long)value);
    if (!taken && (value != 0x5a5a5a5a5a5a5a5a || why == NULL || *why == '\0')) wrong("%s=%s is refused badly", ph_option_rows[which].name, text);
}

static void try_names(struct source *so)
{
    const char *text = draw_text(so, fence);
    const enum option_id near = ph_option_nearest(text);
    const unsigned self = ph_word_distance(text, text);
    if (near > OPT_COUNT) wrong("nearest to %s: %d", text, (int)near);
    if (self != 0 && self != WORD_FAR) wrong("%s is %u from itself", text, self);
    const enum option_id which = source_byte(so) % OPT_COUNT;
    if (ph_option_nearest(ph_option_rows[which].name) != which) wrong("%s is not nearest to itself", ph_option_rows[which].name);
}

/* PRIVHEAP_ and some row's name, perhaps a little wrong, and a value. */
static char *draw_line(struct source *so, char *end, enum option_id *which, const char **text)
{
    const unsigned slip = source_byte(so);
    *which = source_byte(so) % OPT_COUNT;
    char *value = draw_text(so, end);
    *text = value;
    const char *name = ph_option_rows[*which].name;
    const size_t length = strlen(name);
    char *line = value - length - 10;
    memcpy(line, "PRIVHEAP_", 9);
    memcpy(line + 9, name, length);
    line[9 + length] = '=';
    if (slip < 60) {
        line[slip % (10 + length)] = (char)(1 + source_byte(so) % 255);
        *which = OPT_COUNT;
    }
    return line;
}

/* As the environment says; but a log that it names is not made: it may be any file of the machine. */
static void read_without_files(char **lines)
{
    struct rlimit before, none;
    if (getrlimit(RLIMIT_NOFILE, &before) != 0) wrong("no limit is known");
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &none) != 0 || open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) wrong("files can be opened");
    ph_options_read(lines);
    if (setrlimit(RLIMIT_NOFILE, &before) != 0) wrong("no file can be opened any more");
}

static void try_environment(struct source *so)
{
    static char area[LINES][2 * TEXT_MOST];
    char *lines[LINES + 1];
    const unsigned count = source_byte(so) % LINES;
    enum option_id which = OPT_COUNT;
    const char *text = "", *why;
    for (unsigned i = 0; i < count; i++)
        lines[i] = draw_line(so, i == 0 ? fence : area[i] + sizeof area[i], &which, &text);
    lines[count] = NULL;
    read_without_files(lines);
    uint64_t value;
    if (count == 1 && which < OPT_COUNT && !OPTION_IS_TEXT(ph_option_rows[which].type) &&
        ph_option(which) != (ph_option_parse(which, text, &value, &why) ? value : ph_option_rows[which].value))
        wrong("%s: %llu is in force", lines[0], (unsigned long long)ph_option(which));
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        const struct option_row *row = &ph_option_rows[i];
        if (OPTION_IS_TEXT(row->type)) {
            const char *path = ph_option_path(i);
            if (path != NULL && strlen(path) >= OPTION_PATH_BYTES) wrong("a path of %zu bytes", strlen(path));
        } else if (!in_bounds(i, ph_option(i))) {
            wrong("%s is %llu", row->name, (unsigned long long)ph_option(i));
        }
    }
    ph_options_read((char *[]){NULL}); /* and without any, all is as it was */
    for (unsigned i = 0; i < OPT_COUNT; i++)
        if (ph_option(i) != ph_option_rows[i].value) wrong("%s keeps %llu", ph_option_rows[i].name, (unsigned long long)ph_option(i));
}

uint64_t fuzz_run(struct source *so)
{
    uint64_t operations = 0;
    set_up();
    for (; source_more(so); operations++) {
        const unsigned what = source_byte(so) % 8;
        if (what < 5)
            try_parse(so);
        else if (what < 6)
            try_names(so);
        else
            try_environment(so);
    }
    return operations;
}
