/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* follow.c -- edits LD_PRELOAD for option NO_FOLLOW.
 *
 * Owns:    nothing; writes into the environment that the program was started with.
 * Calls:   nothing.  Locks: none; runs in a constructor, before the program's threads.
 * Why:     the strings are edited where they lie, as unsetenv does with the pointers: a copy
 *          would need memory, and setenv would need libc before it may be ready.  Entries are
 *          told by file name, because ld.so also takes $ORIGIN and $LIB in front of it. */
#include "follow.h"

#include "text.h"

#include "../lib/small.h"

static bool is_separator(char byte)
{
    return byte == ':' || byte == ' '; /* source: ld.so(8), LD_PRELOAD */
}

/* The last component of the name that ends before `end`. */
static const char *file_name(const char *name, const char *end)
{
    for (const char *at = end; at > name; at--)
        if (at[-1] == '/') return at;
    return name;
}

static bool is_own(const char *entry, const char *end, const char *own)
{
    const char *name = file_name(entry, end);
    const char *rest = *own == '\0' ? NULL : text_after(name, own);
    return rest == end;
}

static const char *entry_end(const char *entry)
{
    while (*entry != '\0' && !is_separator(*entry)) entry++;
    return entry;
}

/* Drop the entries called `own`; true when any other entry is left.  What is
 * freed behind the list becomes NULs, so that /proc/PID/environ shows no rest. */
static bool list_drop(char *list, const char *own)
{
    char *to = list;
    const char *from = list;
    while (*from != '\0') {
        const char *end = entry_end(from);
        bool keep = !is_own(from, end, own);
        if (keep && to > list) *to++ = ':';
        if (keep) to = text_copy(to, from, (size_t)(end - from));
        from = *end == '\0' ? end : end + 1;
    }
    bool is_left = to > list;
    for (; to < from; to++) {
        TEXT_PLAIN_LOOP;
        *to = '\0';
    }
    return is_left;
}

/* Keep the entry?  Edits it when it is LD_PRELOAD. */
static bool entry_keep(char *entry, const char *own)
{
    if (text_after(entry, "PRIVHEAP_NO_FOLLOW=") != NULL) return false;
    const char *list = text_after(entry, "LD_PRELOAD=");
    return list == NULL || list_drop(entry + (list - entry), own);
}

void ph_env_unfollow(char **environ, const char *own_name)
{
    const char *own = file_name(own_name, own_name + text_bytes(own_name));
    char **to = environ;
    for (char **from = environ; *from != NULL; from++) {
        TEXT_PLAIN_LOOP;
        if (entry_keep(*from, own)) *to++ = *from;
    }
    *to = NULL;
}
