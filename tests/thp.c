/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * thp.c -- says which memory the system was asked to back with huge pages.
 *
 *   thp MB   takes so much in blocks of 1,000 bytes, frees every second thousand of them, and prints how many KB lie in
 *            mappings with that wish, with the contrary one, and how many single OS pages without stand between */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    enum { BLOCK = 1000, ROW = 1000 };
    const size_t count = argc == 2 ? (size_t)atol(argv[1]) * 1000 : 0;
    char **block = calloc(count + 1, sizeof *block), line[512];
    unsigned long kb = 0, huge = 0, none = 0, pins = 0;
    for (size_t i = 0; i < count; i++)
        if ((block[i] = malloc(BLOCK)) == NULL)
            return 2;
        else
            memset(block[i], 1, BLOCK);
    for (size_t i = 0; i < count; i++)
        if (i / ROW % 2 == 0)
            free(block[i]);
    (void)malloc_trim(0);
    FILE *maps = fopen("/proc/self/smaps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        (void)sscanf(line, "Size: %lu", &kb);
        if (strncmp(line, "VmFlags:", 8) != 0)
            continue;
        huge += strstr(line, " hg") != NULL ? kb : 0;
        none += strstr(line, " nh") != NULL ? kb : 0;
        pins += strstr(line, " nh") != NULL && strstr(line, " wr ") != NULL && kb <= 64;
    }
    if (maps != NULL)
        (void)fclose(maps);
    printf("huge %lu none %lu pins %lu\n", huge, none, pins);
    return 0;
}
