/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* rulesfile.c -- reads a file of rules: what each of its lines says, or what was expected there.
 *
 * Owns:    struct rules_file, struct rules_line.
 * Calls:   settings.c for options and values.  Locks: none; ruleschange.c has the file's.
 * Always:  every line of the file is in `lines`, also one that says nothing to us, so that the
 *          file can be written back as it was.
 * Why:     a mistake costs its own line only; that of a section head costs the section, whose
 *          settings must not fall to the program above it. */
#include "rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

#define BLANKS " \t\r"
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* some editors put it at the top */

enum {
    RULES_BYTES_MAX = 1 << 20, /* of a file */
    SHOWN_BYTES = 64, /* of a wrong line, in a message */
};

/* ---- one line ---------------------------------------------------------- */

/* What broken() keeps, beyond its caller. */
static const char *said(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *said(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int bytes = vasprintf(&text, format, arguments);
    va_end(arguments);
    return bytes < 0 ? "memory is out" : text;
}

static void broken(struct rules_line *line, const char *why)
{
    line->kind = LINE_BROKEN;
    line->why = why;
}

/* Cut blanks at both ends of text[bytes]; the first byte that is none. */
static char *trimmed(char *text)
{
    text += strspn(text, BLANKS);
    size_t bytes = strlen(text);
    while (bytes > 0 && strchr(BLANKS, text[bytes - 1]) != NULL) bytes--;
    text[bytes] = '\0';
    return text;
}

static bool has_control(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        if ((byte < ' ' && byte != '\t' && byte != '\r') || byte == 0x7f) return true;
    }
    return false;
}

const char *ph_rules_bad_program(const char *program)
{
    size_t bytes = strlen(program);
    if (bytes == 0) return "expected a program's name, path or pattern, not nothing";
    if (bytes >= LOCATE_PATH_BYTES) return "expected a program's name, path or pattern, not one as long";
    if (has_control(program, bytes) || strpbrk(program, "\t\r") != NULL)
        return "expected a program without control characters";
    if (program[0] == ' ' || program[bytes - 1] == ' ')
        return "expected a program without spaces around it (? stands for any character)";
    bool is_rooted = program[0] == '/' || strchr("*?[", program[0]) != NULL;
    if (strchr(program, '/') != NULL && !is_rooted) return "expected a name, or a path that begins with /";
    return NULL;
}

const char *ph_rules_bad_value(const char *value)
{
    size_t bytes = strlen(value);
    if (has_control(value, bytes) || strchr(value, '\r') != NULL) return "has a control character";
    return bytes > 0 && strchr(BLANKS, value[bytes - 1]) != NULL ? "ends with a space" : NULL;
}

static void read_section(struct rules_line *line, char *text)
{
    size_t bytes = strlen(text);
    if (text[bytes - 1] != ']') {
        broken(line, said("expected [PROGRAM] and nothing behind it, found \"%.*s\"", SHOWN_BYTES, text));
        return;
    }
    text[bytes - 1] = '\0';
    text = trimmed(text + 1);
    const char *wrong = ph_rules_bad_program(text);
    if (wrong != NULL) {
        broken(line, said("%s, found \"[%.*s]\"", wrong, SHOWN_BYTES, text));
        return;
    }
    line->kind = LINE_SECTION;
    line->program = text;
}

bool ph_rules_unknown_option(const char *name, struct verdict *v)
{
    char known[SETTING_NAME_BYTES];
    enum option_id near = ph_option_nearest(name);
    if (near == OPT_COUNT)
        return ph_verdict(v, EXIT_USAGE, "'%.*s' is not an option; `privheap help run` lists them", SHOWN_BYTES, name);
    ph_setting_name(near, known);
    return ph_verdict(v, EXIT_USAGE, "'%.*s' is not an option; did you mean %s?", SHOWN_BYTES, name, known);
}

static void read_setting(struct rules_line *line, char *text)
{
    char *equals = strchr(text, '=');
    if (equals == NULL) {
        broken(line, said("expected [PROGRAM] or OPTION = VALUE, found \"%.*s\"", SHOWN_BYTES, text));
        return;
    }
    *equals = '\0';
    line->name = trimmed(text);
    line->value = trimmed(equals + 1);
    line->which = ph_setting_called(line->name);
    line->kind = LINE_SETTING;
    if (line->program == NULL) {
        broken(line, "expected [PROGRAM] before the first OPTION = VALUE");
        return;
    }
    struct verdict v;
    bool is_good = line->which == OPT_COUNT ? ph_rules_unknown_option(line->name, &v)
                                            : ph_setting_parse(line->which, line->value, "", EXIT_USAGE, &v);
    if (!is_good) broken(line, said("%s", v.why));
}

/* `line` has its text, and the program of the section so far. */
static void read_line(struct rules_line *line)
{
    char *text = strndup(line->text, line->bytes);
    line->kind = LINE_REST;
    line->which = OPT_COUNT;
    if (text == NULL) return;
    bool has_mark = line->number == 1 && strncmp(text, BYTE_ORDER_MARK, 3) == 0;
    text = trimmed(text + (has_mark ? 3 : 0));
    if (*text == '#' || *text == ';') return;
    if (has_control(line->text, line->bytes)) {
        broken(line, "expected text, found a control character");
        return;
    }
    if (*text == '[') {
        line->program = NULL;
        line->section++;
        read_section(line, text);
    } else if (*text != '\0') {
        read_setting(line, text);
    }
}

/* ---- the file ---------------------------------------------------------- */

bool ph_rules_insert(struct rules_file *file, size_t before, struct rules_line line)
{
    if (file->count == file->room) {
        size_t room = file->room == 0 ? 64 : 2 * file->room;
        struct rules_line *lines = reallocarray(file->lines, room, sizeof *lines);
        if (lines == NULL) return false;
        file->lines = lines;
        file->room = room;
    }
    struct rules_line *at = file->lines + before;
    memmove(at + 1, at, (file->count - before) * sizeof *at);
    *at = line;
    file->count++;
    return true;
}

/* What follows a broken section head belongs to no program, and one line about it is enough. */
static void read_lines(struct rules_file *file, const char *text, size_t bytes)
{
    const char *end = text + bytes, *program = NULL;
    unsigned number = 1, section = 0;
    for (; text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t line_bytes = (size_t)((newline == NULL ? end : newline) - text);
        struct rules_line line = { .number = number, .section = section, .program = program, .text = text,
                                   .bytes = line_bytes };
        read_line(&line);
        bool is_lost = line.kind == LINE_BROKEN && line.program == NULL && section > 0 && line.section == section;
        if (is_lost) line.why = NULL;
        program = line.program;
        section = line.section;
        if (!ph_rules_insert(file, file->count, line)) snprintf(file->why, sizeof file->why, "%s", strerror(ENOMEM));
        text += line_bytes + 1;
    }
}

/* Rules of somebody else would have us write where they say. */
static const char *untrusted(const struct stat *found)
{
    if (!S_ISREG(found->st_mode)) return "is not a regular file";
    if (found->st_uid != geteuid() && found->st_uid != 0) return "belongs to another user";
    if ((found->st_mode & S_IWOTH) != 0) return "may be written by everybody";
    return found->st_size > RULES_BYTES_MAX ? "is larger than 1 MB" : NULL;
}

static void read_open(struct rules_file *file, int fd)
{
    struct stat found;
    const char *wrong = fstat(fd, &found) == 0 ? untrusted(&found) : strerror(errno);
    if (wrong != NULL) {
        snprintf(file->why, sizeof file->why, "%s", wrong);
        return;
    }
    file->is_there = true;
    file->mode = found.st_mode & 07777;
    file->user = found.st_uid;
    file->group = found.st_gid;
    char *text = malloc((size_t)found.st_size + 1);
    ssize_t bytes = text == NULL ? -1 : pread(fd, text, (size_t)found.st_size, 0);
    if (bytes < 0) snprintf(file->why, sizeof file->why, "cannot be read: %s", strerror(errno));
    else read_lines(file, text, (size_t)bytes);
}

/* A folder that we may not search holds nothing, as for a shell. */
static bool is_absent(const char *path, int error)
{
    struct stat link;
    if (error == ENOENT || error == ENOTDIR) return true;
    return error == EACCES && lstat(path, &link) != 0 && errno == EACCES;
}

void ph_rules_read(struct rules_file *file)
{
    int fd = open(file->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int error = errno;
    if (fd >= 0) {
        read_open(file, fd);
        close(fd);
    } else if (!is_absent(file->path, error)) {
        snprintf(file->why, sizeof file->why, "cannot be read: %s", strerror(error));
    }
}
