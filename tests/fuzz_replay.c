/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fuzz_replay.c -- feeds a fuzz target: FILE ... (or folders of them), or `-n OPERATIONS [-s SEED]` of random
 * bytes.  Says how many operations there were; the target ends the process when something is wrong. */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct source so = {.at = data, .end = data + bytes};
    if (bytes > 0) (void)fuzz_run(&so);
    return 0;
}

#ifndef FUZZ_LIBFUZZER
enum { FILE_MOST = 1 << 16 };
static unsigned files;

static uint64_t replay_file(const char *path)
{
    static uint8_t data[FILE_MOST];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t bytes = fd >= 0 ? read(fd, data, sizeof data) : -1;
    if (bytes < 0) {
        perror(path);
        exit(2);
    }
    close(fd);
    files++;
    struct source so = {.at = data, .end = data + bytes};
    fprintf(stderr, "%s\n", path); /* the last one named is the one that ends it */
    return bytes > 0 ? fuzz_run(&so) : 0;
}

static uint64_t replay(const char *path)
{
    DIR *folder = opendir(path);
    uint64_t operations = 0;
    if (folder == NULL) return replay_file(path);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inside[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        operations += replay_file(inside);
    }
    closedir(folder);
    return operations;
}

static uint64_t random_lives(uint64_t wanted, uint64_t seed)
{
    uint64_t operations = 0;
    for (uint64_t life = 0; operations < wanted; life++) {
        struct source so = {.random = (seed * 1000003 + life + 1) * 0x9E3779B97F4A7C15u | 1};
        so.left = wanted - operations < fuzz_life ? wanted - operations : fuzz_life;
        const uint64_t done = fuzz_run(&so);
        operations += done > 0 ? done : 1;
    }
    return operations;
}

int main(int argc, char **argv)
{
    uint64_t wanted = 0, seed = 1, operations = 0;
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (int option; (option = getopt(argc, argv, "n:s:")) != -1;) {
        if (option == '?') return 2;
        *(option == 'n' ? &wanted : &seed) = strtoull(optarg, NULL, 0);
    }
    for (int i = optind; i < argc; i++)
        operations += replay(argv[i]);
    if (wanted > 0) operations += random_lives(wanted, seed);
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%llu operations, %u files, seed %llu, %.1f s\n", (unsigned long long)operations, files, (unsigned long long)seed,
           (double)(now.tv_sec - begun.tv_sec) + (double)(now.tv_nsec - begun.tv_nsec) / 1e9);
    return operations > 0 ? 0 : 2;
}
#endif
