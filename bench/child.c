/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* child.c -- what a program finds that a verb starts again and again.
 *
 * Owns:    the signals and the interval timer of this process.  Calls: nothing.  Locks: none.
 * Why:     standard input becomes a file if it is a pipe: a file has a place for each child, a pipe gives each byte once.
 *          A process that left its session is in no process group of ours, but has no parent but us once its own has
 *          ended: see prctl(2), PR_SET_CHILD_SUBREAPER. */
#include "child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "locate.h"

/* ---- standard input ------------------------------------------------------ */

enum { INPUT_MB = 64 };

/* What there is, waiting for it: 0 at the end, -1 when interrupted. */
static ssize_t take(char *to, size_t bytes)
{
    ssize_t got;
    do
        got = read(STDIN_FILENO, to, bytes);
    while (got < 0 && errno == EINTR && !ph_child_interrupted);
    return got < 0 && errno != EINTR ? 0 : got;
}

static bool spool(const char *verb, int file)
{
    char piece[65536];
    ssize_t got = 1;
    for (size_t left = (size_t)INPUT_MB << 20; left > 0; left -= (size_t)got) {
        got = take(piece, left < sizeof piece ? left : sizeof piece);
        if (got <= 0) break;
        if (write(file, piece, (size_t)got) != got)
            return ph_complain(verb, false, "cannot keep standard input, which is a pipe: %s", strerror(errno));
    }
    if (got > 0 && (got = take(piece, 1)) > 0)
        ph_complain(verb, 0, "standard input is a pipe: of what comes through it the program gets the first %d MB", INPUT_MB);
    (void)lseek(file, 0, SEEK_SET);
    return got >= 0;
}

/* All of it, or as much as may be. */
static bool spooled(const char *verb, const char *folder, int *file)
{
    char path[LOCATE_PATH_BYTES];
    snprintf(path, sizeof path, "%s/input", folder);
    *file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*file < 0) return ph_complain(verb, false, "cannot make %s: %s", path, strerror(errno));
    return spool(verb, *file);
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
static bool says_something(void)
{
    enum { PATIENCE_MS = 300 };
    struct pollfd ready = { .fd = STDIN_FILENO, .events = POLLIN };
    const double begun = ph_child_now();
    for (;;) {
        int left_ms = PATIENCE_MS - (int)((ph_child_now() - begun) * 1000);
        int found = poll(&ready, 1, left_ms > 0 ? left_ms : 0);
        if (found >= 0 || errno != EINTR || ph_child_interrupted) return found > 0;
    }
}

bool ph_child_spool(const char *verb, const char *folder, int *input)
{
    struct stat st;
    *input = -1;
    if (fstat(STDIN_FILENO, &st) != 0) return true;
    if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) {
        if (says_something()) return spooled(verb, folder, input);
        *input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    } else if (S_ISREG(st.st_mode)) {
        *input = opened_again(STDIN_FILENO);
    }
    return !ph_child_interrupted;
}

void ph_child_input(int input)
{
    if (input < 0) return;
    int again = opened_again(input);
    dup2(again >= 0 ? again : input, STDIN_FILENO);
    if (again > STDERR_FILENO) close(again);
}

/* ---- the preload object ---------------------------------------------------- */

static bool ends_with(const char *entry, size_t bytes, const char *name)
{
    size_t count = strlen(name);
    return bytes >= count && memcmp(entry + bytes - count, name, count) == 0;
}

static bool is_ours(const char *entry, size_t bytes)
{
    return ends_with(entry, bytes, "libprivheap-preload.so") || ends_with(entry, bytes, "libprivheap-check.so");
}

void ph_child_preload(const char *object)
{
    const char *old = getenv("LD_PRELOAD");
    char list[3 * LOCATE_PATH_BYTES];
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

/* ---- whose children there are ------------------------------------------------------ */

/* A shell that became us may have had some: they are none of ours. */
static pid_t before[64];
static unsigned before_count;

static FILE *children(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    return fopen(path, "re");
}

static void note_children(void)
{
    int id;
    FILE *all = children();
    while (all != NULL && before_count < sizeof before / sizeof before[0] && fscanf(all, "%d", &id) == 1) before[before_count++] = id;
    if (all != NULL) fclose(all);
}

/* ---- the clock, and who interrupts ------------------------------------------------- */

enum { TICK_US = 50000 };

volatile sig_atomic_t ph_child_interrupted;

static void on_signal(int signal)
{
    if (signal != SIGALRM && signal != SIGPIPE) ph_child_interrupted = signal;
}

/* What was ignored before stays so. */
static bool act(void (*handler)(int))
{
    static const int caught[] = { SIGALRM, SIGINT, SIGTERM, SIGHUP, SIGPIPE };
    const struct sigaction action = { .sa_handler = handler };
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        struct sigaction was;
        bool is_ignored = sigaction(caught[i], NULL, &was) == 0 && was.sa_handler == SIG_IGN && caught[i] != SIGALRM;
        if (!is_ignored && sigaction(caught[i], &action, NULL) != 0) return false;
    }
    return true;
}

/* Without SA_RESTART: a wait returns to look at the clock. */
bool ph_child_signals(void)
{
    struct itimerval tick = { .it_interval.tv_usec = TICK_US, .it_value.tv_usec = TICK_US };
    note_children();
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return act(on_signal) && setitimer(ITIMER_REAL, &tick, NULL) == 0;
}

/* A report may wait for its reader: no tick may interrupt that, and everybody else may. */
void ph_child_signals_end(void)
{
    const struct itimerval none = { .it_value.tv_usec = 0 };
    (void)setitimer(ITIMER_REAL, &none, NULL);
    (void)act(SIG_DFL);
}

double ph_child_now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* ---- what is left behind --------------------------------------------------------- */

void ph_child_bound(pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) _exit(EXIT_OWN_ERROR); /* it was faster */
}

static bool has_word(pid_t id, const char *word)
{
    char path[48], *entry = NULL;
    size_t room = 0;
    bool is_found = false;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)id);
    FILE *all = fopen(path, "re");
    if (all == NULL) return false;
    while (!is_found && getdelim(&entry, &room, '\0', all) > 0) is_found = strcmp(entry, word) == 0;
    free(entry);
    fclose(all);
    return is_found;
}

static bool is_of_before(pid_t id)
{
    for (unsigned i = 0; i < before_count; i++)
        if (before[i] == id) return true;
    return false;
}

/* How many were killed. */
static unsigned kill_children(const char *word, bool (*is_known)(const void *, pid_t), const void *argument)
{
    unsigned count = 0;
    int id;
    FILE *all = children();
    while (all != NULL && fscanf(all, "%d", &id) == 1) {
        if (is_of_before(id)) continue;
        if (word == NULL || (!is_known(argument, id) && has_word(id, word))) count += kill(id, SIGKILL) == 0;
    }
    if (all != NULL) fclose(all);
    return count;
}

void ph_child_kill_left(const char *word, bool (*is_known)(const void *, pid_t), const void *argument)
{
    (void)kill_children(word, is_known, argument);
}

/* Each that ends may leave us its own. */
void ph_child_end_all(void)
{
    while (kill_children(NULL, NULL, NULL) > 0)
        if (waitpid(-1, NULL, __WALL) < 0 && errno != EINTR) return;
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
