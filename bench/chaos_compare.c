/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaos_compare.c -- whether two runs are alike: how they ended, what they wrote, less what is ignored.
 *
 * Owns:    the texts of an outcome.
 * Calls:   nothing.  Locks: none.
 * Why:     what is ignored is taken out line by line, as grep would see it; a NUL ends a line, too, so that output may
 *          be any bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "chaos_verb.h"

/* ---- what was written ------------------------------------------------------ */

/* Each match of `re` goes; at most as long then. */
static void cut(const regex_t *re, char *line)
{
    regmatch_t match;
    char *from = line, *to = line;
    int flags = 0;
    while (*from != '\0' && regexec(re, from, 1, &match, flags) == 0) {
        size_t before = (size_t)match.rm_so, count = (size_t)(match.rm_eo - match.rm_so);
        if (count == 0) before++; /* on, past what matches nothing */
        memmove(to, from, before);
        to += before;
        from += before + count;
        flags = REG_NOTBOL;
    }
    memmove(to, from, strlen(from) + 1);
}

static void cut_all(const struct chaos_settings *s, struct text *tx)
{
    char *to = tx->data, *end = tx->data + tx->bytes;
    for (char *line = tx->data, *next; line < end; line = next) {
        char *stop = line;
        while (stop < end && *stop != '\n' && *stop != '\0') stop++;
        const char ending = *stop; /* at the end there is a NUL of ours */
        next = stop + 1;
        *stop = '\0';
        for (unsigned i = 0; i < s->ignores; i++) cut(&s->ignore[i], line);
        size_t count = strlen(line);
        memmove(to, line, count);
        to += count;
        if (stop < end) *to++ = ending;
    }
    tx->bytes = (size_t)(to - tx->data);
    *to = '\0';
}

bool ph_chaos_read(const struct chaos *c, const char *file, struct text *out)
{
    struct stat st;
    FILE *in = fopen(file, "re");
    *out = (struct text){ .data = NULL };
    if (in == NULL) return false;
    if (fstat(fileno(in), &st) == 0) out->data = malloc((size_t)st.st_size + 1);
    if (out->data != NULL) out->bytes = fread(out->data, 1, (size_t)st.st_size, in);
    fclose(in);
    if (out->data == NULL) return false;
    out->data[out->bytes] = '\0';
    cut_all(&c->settings, out);
    return true;
}

void ph_chaos_drop(struct outcome *out)
{
    for (int i = 0; i < STREAMS; i++) {
        free(out->text[i].data);
        out->text[i] = (struct text){ .data = NULL };
    }
}

/* ---- the first difference ---------------------------------------------------- */

static void say_end(const struct outcome *oc, char *out)
{
    if (oc->hung)
        snprintf(out, CHAOS_LINE_BYTES, "hangs, %.1f s", oc->took);
    else if (WIFSIGNALED(oc->status))
        snprintf(out, CHAOS_LINE_BYTES, "signal %d, %s", WTERMSIG(oc->status), strsignal(WTERMSIG(oc->status)));
    else
        snprintf(out, CHAOS_LINE_BYTES, "exit code %d", WEXITSTATUS(oc->status));
}

static void say_line(const struct text *tx, size_t from, char *out)
{
    size_t used = 0;
    if (from >= tx->bytes) {
        snprintf(out, CHAOS_LINE_BYTES, "(no such line)");
        return;
    }
    for (; from < tx->bytes && tx->data[from] != '\n' && used + 1 < CHAOS_LINE_BYTES; from++) {
        const unsigned char byte = (unsigned char)tx->data[from];
        out[used++] = byte < ' ' || byte > '~' ? '?' : (char)byte;
    }
    out[used] = '\0';
}

static bool contrast_text(const struct text *plain, const struct text *other, struct contrast *out)
{
    size_t at = 0, begin = 0, least = plain->bytes < other->bytes ? plain->bytes : other->bytes;
    out->line = 1;
    for (; at < least && plain->data[at] == other->data[at]; at++) {
        if (plain->data[at] != '\n') continue;
        out->line++;
        begin = at + 1;
    }
    if (at == least && plain->bytes == other->bytes) return false;
    say_line(plain, begin, out->plain);
    say_line(other, begin, out->other);
    return true;
}

void ph_chaos_contrast(const struct outcome *plain, const struct outcome *other, struct contrast *out)
{
    *out = (struct contrast){ .what = SAME };
    if (plain->hung != other->hung || (!plain->hung && plain->status != other->status)) {
        out->what = DIFFERS_END;
        say_end(plain, out->plain);
        say_end(other, out->other);
    } else if (contrast_text(&plain->text[STREAM_OUT], &other->text[STREAM_OUT], out)) {
        out->what = DIFFERS_OUT;
    } else if (contrast_text(&plain->text[STREAM_ERROR], &other->text[STREAM_ERROR], out)) {
        out->what = DIFFERS_ERROR;
    }
}
