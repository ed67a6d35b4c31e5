/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* child.c -- what a program finds that a verb starts again and again.
 *
 * Owns:    the signals and the interval timer of this process.  Calls: nothing.  Locks: none.
 * Why:     standard input becomes a file if it is a pipe: a file has a place for each child, a pipe gives each byte once. */
#include "child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "locate.h"

/* ---- standard input ------------------------------------------------------ */

/* All of it; -1: refused. */
static int spooled(const char *folder)
{
    char path[LOCATE_PATH_BYTES], piece[65536];
    snprintf(path, sizeof path, "%s/input", folder);
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t got;
    if (file < 0) return -1;
    while ((got = read(STDIN_FILENO, piece, sizeof piece)) > 0)
        if (write(file, piece, (size_t)got) != got) break;
    (void)lseek(file, 0, SEEK_SET);
    return file;
}

static int opened_again(int descriptor)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    if (again >= 0) (void)lseek(again, lseek(descriptor, 0, SEEK_CUR), SEEK_SET);
    return again;
}

/* A pipe that says nothing for a while is somebody's who is there for other reasons. */
int ph_child_spool(const char *folder)
{
    enum { PATIENCE_MS = 300 };
    struct stat st;
    struct pollfd ready = { .fd = STDIN_FILENO, .events = POLLIN };
    if (fstat(STDIN_FILENO, &st) != 0) return -1;
    if (S_ISREG(st.st_mode)) return opened_again(STDIN_FILENO);
    if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)) return -1;
    return poll(&ready, 1, PATIENCE_MS) > 0 ? spooled(folder) : open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void ph_child_input(int input)
{
    if (input < 0) return;
    int again = opened_again(input);
    dup2(again >= 0 ? again : input, STDIN_FILENO);
    if (again > STDERR_FILENO) close(again);
}

/* ---- the preload object ---------------------------------------------------- */

static bool is_ours(const char *entry, size_t bytes)
{
    static const char name[] = "libprivheap-preload.so";
    return bytes >= sizeof name - 1 && memcmp(entry + bytes - (sizeof name - 1), name, sizeof name - 1) == 0;
}

void ph_child_preload(const char *object)
{
    const char *old = getenv("LD_PRELOAD");
    char list[2 * LOCATE_PATH_BYTES];
    int used = snprintf(list, sizeof list, "%s", object);
    while (old != NULL && *old != '\0') {
        size_t bytes = strcspn(old, ": ");
        if (bytes > 0 && !is_ours(old, bytes) && used + (int)bytes + 2 < (int)sizeof list)
            used += snprintf(list + used, sizeof list - (size_t)used, ":%.*s", (int)bytes, old);
        old += bytes + (old[bytes] != '\0');
    }
    setenv("LD_PRELOAD", list, 1);
}

/* ---- a folder ---------------------------------------------------------------- */

bool ph_child_folder(const char *verb, char *folder, size_t bytes)
{
    const char *base = getenv("TMPDIR");
    int used = snprintf(folder, bytes, "%s/privheap-%s-XXXXXX", base != NULL && *base == '/' ? base : "/tmp", verb);
    if (used < (int)bytes && mkdtemp(folder) != NULL) return true;
    folder[0] = '\0';
    return false;
}

void ph_child_empty(const char *path, bool whole)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char inner[LOCATE_PATH_BYTES];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        int bytes = snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (bytes < (int)sizeof inner && unlink(inner) != 0 && errno == EISDIR) ph_child_empty(inner, true);
    }
    if (folder != NULL) closedir(folder);
    if (whole) rmdir(path);
}

/* ---- the clock, and who interrupts ------------------------------------------------- */

enum { TICK_US = 50000 };

volatile sig_atomic_t ph_child_interrupted;

static void on_signal(int signal)
{
    if (signal != SIGALRM) ph_child_interrupted = signal;
}

/* Without SA_RESTART: a wait returns to look at the clock. */
bool ph_child_signals(void)
{
    static const int which[] = { SIGALRM, SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = on_signal };
    for (size_t i = 0; i < sizeof which / sizeof which[0]; i++) {
        struct sigaction was;
        bool is_ignored = sigaction(which[i], NULL, &was) == 0 && was.sa_handler == SIG_IGN && which[i] != SIGALRM;
        if (!is_ignored && sigaction(which[i], &action, NULL) != 0) return false;
    }
    struct itimerval tick = { .it_interval.tv_usec = TICK_US, .it_value.tv_usec = TICK_US };
    return setitimer(ITIMER_REAL, &tick, NULL) == 0;
}

double ph_child_now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* ---- words ---------------------------------------------------------------------------- */

void ph_child_word(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%";
    const char *quote = *word != '\0' && word[strspn(word, plain)] == '\0' ? "" : "'";
    fputs(quote, out);
    for (const char *at = word; *at != '\0'; at++) {
        if (*at == '\'')
            fputs("'\\''", out);
        else
            fputc((unsigned char)*at < ' ' ? '?' : *at, out);
    }
    fputs(quote, out);
}

void ph_child_words(FILE *out, char *const *argv)
{
    for (; *argv != NULL; argv++) {
        fputc(' ', out);
        ph_child_word(out, *argv);
    }
}
