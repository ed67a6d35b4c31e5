/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* emulated.h -- tests that run in an emulator of another processor: TEST_EMULATOR, which tests/aarch64.sh sets, is its
 * command. */
#ifndef EMULATED_H
#define EMULATED_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Its own memory counts as the program's; it knows of PROT_NONE and of rights to execute in its own way; it is slow. */
static inline bool is_emulated(void) { return getenv("TEST_EMULATOR") != NULL; }

/* What a program said that died by a signal, without the emulator's line about that. */
static inline void emulated_text_cut(char *text)
{
    char *own = is_emulated() ? strstr(text, "qemu: uncaught target signal") : NULL;
    if (own != NULL) *own = '\0';
}

/* This program once more, with up to one argument (NULL: none).  Returns only when that is impossible. */
static inline void emulated_start_again(const char *argument)
{
    char path[4096];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = '\0';
    if (is_emulated())
        (void)execlp(getenv("TEST_EMULATOR"), getenv("TEST_EMULATOR"), path, argument, (char *)NULL);
    else
        (void)execl(path, path, argument, (char *)NULL);
}

#endif
