/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* ruleschange.c -- changes a file of rules: the lines that are asked for, and no others.
 *
 * Owns:    the file while it is changed.
 * Calls:   rulesfile.c.
 * Locks:   flock on the file's folder, from before the file is read until the process ends.  The
 *          file itself is replaced, which would leave a lock on the old one.  On a file system
 *          without such locks there is none.
 * Why:     a new file takes the old one's place by rename(2): who reads meanwhile, or loses power,
 *          has the one or the other.  Behind a symbolic link it is the file at its end that is replaced. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "rules.h"

/* ---- opening ----------------------------------------------------------- */

static bool cannot_write(const char *path, const char *wrong, struct verdict *v)
{
    return ph_verdict(v, EXIT_OWN_ERROR, "cannot write to %s: %s", path, wrong);
}

/* Make the folders above `path` that are missing. */
static bool make_folders(const char *path, mode_t mode)
{
    char folder[SETTING_VALUE_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, mode) != 0 && errno != EEXIST && access(folder, F_OK) != 0) return false;
        *slash = '/';
    }
    return true;
}

/* Put the file's own path in place of that of a symbolic link to it. */
static bool follow_link(struct rules_file *file, struct verdict *v)
{
    char real[LOCATE_PATH_BYTES];
    struct stat link;
    if (lstat(file->path, &link) != 0 || !S_ISLNK(link.st_mode)) return true;
    if (realpath(file->path, real) == NULL)
        return cannot_write(file->path, "it is a symbolic link to a missing file", v);
    snprintf(file->path, sizeof file->path, "%s", real);
    return true;
}

static bool lock_folder(const char *path)
{
    char folder[SETTING_VALUE_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    int fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR) continue;
    return true;
}

bool ph_rules_open(struct rules_file *file, enum rules_need need, struct verdict *v)
{
    /* Source: the XDG base directory specification, for a user's folders. */
    bool is_shared = strcmp(file->path, RULES_SYSTEM_FILE) == 0;
    if (need == RULES_NEW_USUAL && !make_folders(file->path, is_shared ? 0755 : 0700))
        return cannot_write(file->path, strerror(errno), v);
    if (!follow_link(file, v)) return false;
    if (!lock_folder(file->path) && need != RULES_OLD) return cannot_write(file->path, strerror(errno), v);
    ph_rules_read(file);
    return file->why[0] == '\0'
           || ph_verdict(v, EXIT_OWN_ERROR, "%s is left alone: it %s", file->path, file->why);
}

/* ---- changing ---------------------------------------------------------- */

static bool is_of(const struct rules_line *line, const char *program)
{
    return !line->is_gone && line->kind != LINE_REST && line->program != NULL && strcmp(line->program, program) == 0;
}

static bool is_called(const struct rules_line *line, const char *name)
{
    return line->name != NULL && ph_word_distance(line->name, name) == 0;
}

/* The last line of the program's that has the option, or of all of its lines when name is NULL;
 * file->count when there is none. */
static size_t last_line(const struct rules_file *file, const char *program, const char *name)
{
    for (size_t i = file->count; i > 0; i--)
        if (is_of(&file->lines[i - 1], program) && (name == NULL || is_called(&file->lines[i - 1], name)))
            return i - 1;
    return file->count;
}

static bool insert(struct rules_file *file, size_t before, struct rules_line line, char *text)
{
    line.text = text;
    line.bytes = text == NULL ? 0 : strlen(text);
    return text != NULL && ph_rules_insert(file, before, line);
}

/* name = value, as far from the margin as the line `above`. */
static char *setting_text(const struct rules_line *above, const char *name, const char *value)
{
    char *text = NULL;
    int indent = above->kind == LINE_SECTION ? 0 : (int)strspn(above->text, " \t");
    return asprintf(&text, "%.*s%s = %s", indent, above->text, name, value) < 0 ? NULL : text;
}

/* Begin a section at the end of the file. */
static bool append_section(struct rules_file *file, const char *program)
{
    static unsigned section = UINT_MAX;
    char *text = NULL;
    struct rules_line empty = { .kind = LINE_REST };
    struct rules_line head = { .kind = LINE_SECTION, .program = program, .section = section-- };
    bool is_apart = file->count == 0 || file->lines[file->count - 1].bytes == 0;
    if (!is_apart && !insert(file, file->count, empty, strdup(""))) return false;
    if (asprintf(&text, "[%s]", program) < 0) return false;
    return insert(file, file->count, head, text);
}

bool ph_rules_set(struct rules_file *file, const char *program, enum option_id which, const char *value,
                  bool *is_new)
{
    char name[SETTING_NAME_BYTES];
    ph_setting_name(which, name);
    size_t at = last_line(file, program, name);
    bool is_there = at < file->count;
    if (is_there && file->lines[at].kind == LINE_SETTING && strcmp(file->lines[at].value, value) == 0) return true;
    *is_new = true;
    if (!is_there) at = last_line(file, program, NULL);
    if (at == file->count) {
        if (!append_section(file, program)) return false;
        at = file->count - 1;
    }
    const struct rules_line *above = &file->lines[at];
    struct rules_line line = { .kind = LINE_SETTING, .section = above->section, .program = program,
                               .name = strdup(name), .which = which, .value = strdup(value) };
    char *text = setting_text(above, name, value);
    if (line.name == NULL || line.value == NULL || !insert(file, at + 1, line, text)) return false;
    file->lines[at].is_gone = is_there;
    return true;
}

/* A section without lines but comments goes, its comments stay. */
static void drop_empty(struct rules_file *file, const char *program)
{
    for (size_t i = 0; i < file->count; i++) {
        struct rules_line *head = &file->lines[i];
        if (head->kind != LINE_SECTION || !is_of(head, program)) continue;
        bool is_empty = true;
        for (size_t j = i + 1; j < file->count && file->lines[j].section == head->section; j++)
            if (!file->lines[j].is_gone && file->lines[j].kind != LINE_REST) is_empty = false;
        if (is_empty) head->is_gone = true;
    }
}

unsigned ph_rules_unset(struct rules_file *file, const char *program, const char *name)
{
    unsigned count = 0;
    for (size_t i = 0; i < file->count; i++) {
        struct rules_line *line = &file->lines[i];
        if (!is_of(line, program) || (name != NULL && !is_called(line, name))) continue;
        line->is_gone = true;
        count++;
    }
    if (count > 0) drop_empty(file, program);
    return count;
}

/* ---- writing ----------------------------------------------------------- */

/* What is taken out leaves no two empty lines behind, nor one at either end. */
static void write_lines(FILE *out, const struct rules_file *file)
{
    unsigned empty = 0;
    bool is_gap = false, is_begun = false;
    for (size_t i = 0; i < file->count; i++) {
        const struct rules_line *line = &file->lines[i];
        is_gap |= line->is_gone;
        empty += line->bytes == 0;
        if (line->is_gone || line->bytes == 0) continue;
        if (is_gap && empty > 0) empty = is_begun;
        for (; empty > 0; empty--) putc('\n', out);
        fwrite(line->text, 1, line->bytes, out);
        putc('\n', out);
        is_begun = true;
        is_gap = false;
    }
    for (; !is_gap && empty > 0; empty--) putc('\n', out);
}

static mode_t usual_mode(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* Give the new file what the old one had.  Its group only where we may. */
static bool take_over(int fd, const struct rules_file *file)
{
    struct stat made;
    if (!file->is_there) return fchmod(fd, usual_mode()) == 0;
    if (fstat(fd, &made) != 0) return false;
    if (made.st_uid != file->user && fchown(fd, file->user, (gid_t)-1) != 0) return false;
    if (made.st_gid != file->group && fchown(fd, (uid_t)-1, file->group) != 0 && errno != EPERM) return false;
    return fchmod(fd, file->mode) == 0;
}

static bool write_new(int fd, const struct rules_file *file)
{
    FILE *out = fdopen(fd, "w");
    if (out == NULL) {
        close(fd);
        return false;
    }
    write_lines(out, file);
    bool is_good = fflush(out) == 0 && !ferror(out) && take_over(fd, file) && fsync(fd) == 0;
    int error = errno;
    if (fclose(out) == 0 && is_good) return true;
    if (!is_good) errno = error;
    return false;
}

bool ph_rules_save(const struct rules_file *file, struct verdict *v)
{
    char made[SETTING_VALUE_BYTES + 8];
    snprintf(made, sizeof made, "%s.XXXXXX", file->path);
    int fd = mkostemp(made, O_CLOEXEC);
    if (fd < 0) return cannot_write(file->path, strerror(errno), v);
    if (write_new(fd, file) && rename(made, file->path) == 0) return true;
    int error = errno;
    unlink(made);
    return cannot_write(file->path, strerror(error), v);
}
