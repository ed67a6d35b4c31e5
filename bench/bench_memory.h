/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* bench_memory.h -- what a bench of memory reads from /proc about its own process.
 *
 * With a buffer of its own and no stdio: reading must not change what is read. */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEMORY_TEXT_BYTES = 4096 };

/* What this process has now.  smaps_rollup counts pages; statm and VmRSS are off by what each processor has not
 * reported yet. */
static inline int memory_read(char text[MEMORY_TEXT_BYTES])
{
    int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t got = read(fd, text, MEMORY_TEXT_BYTES - 1);
    close(fd);
    text[got < 0 ? 0 : got] = '\0';
    return 0;
}

/* In KiB, of a line "\nName:"; -1: there is none. */
static inline long memory_line(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    return line ? strtol(line + strlen(name), NULL, 10) : -1;
}

static inline long memory_resident_kib(void)
{
    char text[MEMORY_TEXT_BYTES];
    return memory_read(text) == 0 ? memory_line(text, "\nRss:") : -1;
}

/* Lines of /proc/self/maps: what vm.max_map_count bounds. */
static inline long memory_mappings(void)
{
    static char text[65536];
    long lines = 0;
    ssize_t got;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    while ((got = read(fd, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < got; i++)
            lines += text[i] == '\n';
    close(fd);
    return lines;
}

/* Write the whole block: only memory that is used is resident. */
static inline void memory_write(void *block, size_t bytes)
{
    if (!block) {
        static const char said[] = "bench: no block\n";
        if (write(STDERR_FILENO, said, sizeof said - 1) < 0) _exit(3);
        _exit(2);
    }
    memset(block, 1, bytes);
    __asm__ volatile("" : : "r"(block) : "memory");
}

#endif
