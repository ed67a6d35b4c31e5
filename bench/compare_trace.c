/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_trace.c -- runs a program under ptrace and looks at each of its processes as it ends: who served
 * it?
 *
 * Owns:    struct presence.
 * Calls:   compare_elf.c.  Locks: none.
 * Why:     what is mapped at the end is the truth: an object that the loader could not load, a static helper,
 * a program that resets its environment, all show there.  One run that is not measured is traced, in a
 *          process of its own: when that ends, the kernel lets go whatever still runs. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare.h"

enum { TRACE_WHAT = PTRACE_O_TRACEEXIT | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE };

static const char *name_in(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void keep_name(char name[COMPARE_NAME_BYTES], const char *path)
{
    if (name[0] == '\0') snprintf(name, COMPARE_NAME_BYTES, "%.31s", name_in(path));
}

/* Each process counts once: as its first thread ends. */
static bool is_process(pid_t id)
{
    char path[64], line[128];
    long group = id;
    snprintf(path, sizeof path, "/proc/%d/status", (int)id);
    FILE *status = fopen(path, "re");
    if (status == NULL) return false;
    while (fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "Tgid: %ld", &group) == 1) break;
    fclose(status);
    return group == id;
}

enum mapped { MAPPED_NOT, MAPPED, MAPPED_UNKNOWN };

/* Is the object mapped?  On the way, an allocator that nobody asked for is remembered. */
static enum mapped find_mapped(pid_t id, const char *object, struct presence *p)
{
    char path[64];
    char *line = NULL;
    size_t room = 0;
    enum mapped found = MAPPED_NOT;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)id);
    FILE *maps = fopen(path, "re");
    if (maps == NULL) return MAPPED_UNKNOWN; /* of a file that may be executed but not read */
    while (getline(&line, &room, maps) > 0) {
        const char *file = strchr(line, '/');
        line[strcspn(line, "\n")] = '\0';
        if (file == NULL) continue;
        if (object != NULL && strcmp(file, object) == 0)
            found = MAPPED;
        else if (ph_is_allocator_name(name_in(file)))
            keep_name(p->other, file);
    }
    free(line);
    fclose(maps);
    return found;
}

static void look_at(pid_t id, const char *object, struct presence *p)
{
    char link[64], program[LOCATE_PATH_BYTES];
    if (!is_process(id)) return;
    snprintf(link, sizeof link, "/proc/%d/exe", (int)id);
    ssize_t bytes = readlink(link, program, sizeof program - 1);
    if (bytes <= 0) return;
    program[bytes] = '\0';
    enum mapped mapped = find_mapped(id, object, p);
    if (mapped == MAPPED_UNKNOWN) return;
    p->processes++;
    if (mapped == MAPPED_NOT && object != NULL) {
        p->without++;
        keep_name(p->without_name, program);
    } else if (ph_object_kind(link) == OBJECT_ALLOCATOR) {
        p->own++;
        keep_name(p->own_name, program);
    }
}

/* Let a stopped thread go on: a signal is handed to it, a stop of its group is kept. */
static void go_on(pid_t id, int status)
{
    int event = status >> 16, signal = WSTOPSIG(status);
    bool is_group_stop = event == PTRACE_EVENT_STOP && signal != SIGTRAP;
    if (is_group_stop)
        ptrace(PTRACE_LISTEN, id, NULL, NULL);
    else
        ptrace(PTRACE_CONT, id, NULL, (void *)(intptr_t)(event == 0 ? signal : 0));
}

/* Until `first` ends. */
static int watch(pid_t first, const char *object, struct presence *p)
{
    for (;;) {
        int status;
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0 && errno == EINTR) continue;
        if (id < 0) return 125 << 8; /* as an exit code of 125 */
        if (WIFSTOPPED(status)) {
            if (status >> 16 == PTRACE_EVENT_EXIT) look_at(id, object, p);
            go_on(id, status);
        } else if (id == first)
            return status;
    }
}

void ph_trace(const char *object, void (*start)(void *), void *with, struct presence *presence, int *status)
{
    int gate[2];
    char byte = 0;
    if (pipe(gate) != 0) _exit(125);
    pid_t first = fork();
    if (first < 0) _exit(125);
    if (first == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(gate[1]);
        while (read(gate[0], &byte, 1) < 0 && errno == EINTR) continue;
        close(gate[0]);
        start(with);
    }
    close(gate[0]);
    presence->is_known = ptrace(PTRACE_SEIZE, first, NULL, (void *)(intptr_t)TRACE_WHAT) == 0;
    if (!presence->is_known) presence->error = errno;
    close(gate[1]);
    *status = watch(first, object, presence);
    _exit(0);
}
