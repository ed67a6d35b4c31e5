/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* chaos_run.c -- one run of the program: what it is given, what it writes, how it ends.
 *
 * Owns:    the folder with the output of the last run.
 * Calls:   child.c, locate.c, judge.c, chaos_compare.c for the output.  Locks: none.
 * Always:  runs differ in the digits of one variable and in nothing else: as many bytes of environment, no random
 *          addresses, no guards, the same input from its beginning.
 * Why:     one at a time, since a program may write files of which the next run makes use. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos_verb.h"
#include "child.h"
#include "command.h"
#include "rules.h"

enum { TEXT_BYTES = 256, FLOOD_BYTES = 256 << 20 };

void ph_chaos_progress(const struct chaos *c, bool is_last)
{
    static double shown;
    static bool is_there;
    if (c->settings.is_quiet || !isatty(STDERR_FILENO)) return;
    double now = ph_child_now();
    if (is_last && is_there) fputs("\r\033[K", stderr);
    if (is_last || now - shown < 0.1) return;
    shown = now;
    is_there = true;
    fprintf(stderr, "\r\033[Krun %u, %s, %u found, %.0f s", c->runs, c->doing, c->finding_count, now - c->begun);
    fflush(stderr);
}

/* ---- before ---------------------------------------------------------------- */

/* What is typed cannot be typed again. */
static bool take_input(struct chaos *c)
{
    if (!isatty(STDIN_FILENO)) return ph_child_spool(CHAOS, c->folder, &c->input);
    c->input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return true;
}

int ph_chaos_prepare(struct chaos *c)
{
    struct verdict v = { .exit_code = 0 };
    c->input = -1;
    bool can = ph_locate_program(c->settings.argv[0], c->program, &v) && ph_judge(c->program, &c->env, &v) &&
               ph_locate_object(c->object, &v);
    if (!can) return ph_complain(CHAOS, v.exit_code, "%s", v.why);
    if (!c->settings.no_rules) ph_rules_apply(CHAOS, c->program);
    if (!ph_child_folder(CHAOS, c->folder, sizeof c->folder))
        return ph_complain(CHAOS, EXIT_OWN_ERROR, "cannot make a folder for what runs write: %s", strerror(errno));
    c->told = c->settings.spec.has_module ? memfd_create("privheap-chaos", MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;
    if (take_input(c)) return 0;
    return ph_child_interrupted ? CHAOS_INTERRUPTED : EXIT_OWN_ERROR;
}

void ph_chaos_clean(struct chaos *c)
{
    if (c->folder[0] != '\0') ph_child_empty(c->folder, true);
    c->folder[0] = '\0';
}

/* ---- the option ------------------------------------------------------------ */

static void text_padded(const struct chaos_spec *how, int zeros, char *out, size_t bytes)
{
    const char *between = "";
    int used = snprintf(out, bytes, "seed:%0*llu,ways:", zeros, (unsigned long long)how->seed);
    if (how->ways == 0) used += snprintf(out + used, bytes - (size_t)used, "none");
    for (unsigned i = 0; i < CHAOS_WAYS; i++) {
        if (!(how->ways >> i & 1)) continue;
        used += snprintf(out + used, bytes - (size_t)used, "%s%s", between, ph_chaos_word(i));
        between = "+";
    }
    if (how->least != 0 || how->most != UINT64_MAX) {
        used += snprintf(out + used, bytes - (size_t)used, ",size:%llu-", (unsigned long long)how->least);
        if (how->most != UINT64_MAX) used += snprintf(out + used, bytes - (size_t)used, "%llu", (unsigned long long)how->most);
    }
    if (how->has_module) snprintf(out + used, bytes - (size_t)used, ",module:%s", how->module);
}

void ph_chaos_text(const struct chaos_spec *how, char *out, size_t bytes) { text_padded(how, 1, out, bytes); }

/* As long as any other: where the stack begins depends on it. */
static void export(const struct chaos *c, const struct chaos_spec *how)
{
    char text[TEXT_BYTES], told[24] = "";
    int high = fcntl(c->told, F_DUPFD, 500); /* -1 of -1 */
    if (high < 0) high = dup(c->told);
    if (high >= 0) snprintf(told, sizeof told, ",told:%d", high);
    ph_chaos_text(how, text, sizeof text);
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)how->seed);
    text_padded(how, (int)(TEXT_BYTES - 1 - strlen(text) - strlen(told)) + count, text, sizeof text);
    strcat(text, told);
    setenv("PRIVHEAP_CHAOS", text, 1);
}

/* ---- a run ------------------------------------------------------------------- */

static void file_of(const struct chaos *c, enum stream stream, char *path)
{
    snprintf(path, LOCATE_PATH_BYTES, "%s/%s", c->folder, stream == STREAM_OUT ? "out" : "error");
}

static void into_file(const struct chaos *c, enum stream stream, int descriptor)
{
    char path[LOCATE_PATH_BYTES];
    file_of(c, stream, path);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    if (file >= 0) dup2(file, descriptor);
    if (file > STDERR_FILENO) close(file);
}

/* In the child. */
static void become_program(const struct chaos *c, const struct chaos_spec *how)
{
    const struct rlimit none = { 0, 0 };
    sigset_t empty;
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    setrlimit(RLIMIT_CORE, &none);
    ph_child_input(c->input);
    into_file(c, STREAM_OUT, STDOUT_FILENO);
    into_file(c, STREAM_ERROR, STDERR_FILENO);
    if (how != NULL) {
        ph_child_preload(c->object);
        export(c, how);
        setenv("PRIVHEAP_MODE", "default", 1);
        setenv("PRIVHEAP_GUARD_RATE", "0", 1);
        setenv("PRIVHEAP_CHECKS", "0", 1);
        setenv("PRIVHEAP_STATS", "0", 1);
    } else {
        setenv("LD_TRACE_LOADED_OBJECTS", "1", 1);
    }
    (void)personality(ADDR_NO_RANDOMIZE);
    execv(c->program, c->settings.argv);
    _exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

/* A run that prints and prints must not fill the disk. */
static bool is_flood(const struct chaos *c)
{
    char path[LOCATE_PATH_BYTES];
    struct stat st;
    uint64_t bytes = 0;
    for (int i = 0; i < STREAMS; i++) {
        file_of(c, (enum stream)i, path);
        if (stat(path, &st) == 0) bytes += (uint64_t)st.st_size;
    }
    return c->limit_s > 0 && bytes > FLOOD_BYTES + 4 * (c->plain.text[STREAM_OUT].bytes + c->plain.text[STREAM_ERROR].bytes);
}

/* Whatever it left behind goes with it. */
static void wait_for(struct chaos *c, pid_t id, struct outcome *out)
{
    const double begun = ph_child_now();
    while (waitpid(id, &out->status, 0) < 0 && errno == EINTR) {
        out->hung = out->hung || (c->limit_s > 0 && ph_child_now() - begun > c->limit_s) || is_flood(c);
        if (out->hung || ph_child_interrupted) kill(-id, SIGKILL);
        ph_chaos_progress(c, false);
    }
    kill(-id, SIGKILL);
    ph_child_end_all();
    out->took = ph_child_now() - begun;
}

bool ph_chaos_run(struct chaos *c, const struct chaos_spec *how, struct outcome *out)
{
    char path[LOCATE_PATH_BYTES];
    *out = (struct outcome){ .status = 0 };
    const pid_t own = getpid();
    fflush(NULL);
    pid_t id = fork();
    if (id == 0) {
        ph_child_bound(own);
        setpgid(0, 0);
        become_program(c, how);
    }
    if (id < 0) {
        ph_complain(CHAOS, EXIT_OWN_ERROR, "cannot start %s: %s", c->program, strerror(errno));
        return false;
    }
    setpgid(id, id);
    wait_for(c, id, out);
    c->runs++;
    c->is_interrupted = ph_child_interrupted != 0;
    if (c->is_interrupted) return false;
    for (int i = 0; i < STREAMS; i++) {
        file_of(c, (enum stream)i, path);
        if (ph_chaos_read(c, path, &out->text[i])) continue;
        ph_complain(CHAOS, EXIT_OWN_ERROR, "cannot read what %s wrote: %s", c->program, strerror(errno));
        ph_chaos_drop(out);
        return false;
    }
    return true;
}

/* ---- modules ------------------------------------------------------------------- */

/* What the loader says when it is asked to say, as ldd does: "	libfoo.so.1 => /usr/lib/libfoo.so.1 (0x...)". */
void ph_chaos_modules(struct chaos *c, char *names, size_t bytes)
{
    struct outcome told;
    char *end = names + bytes - 2, *line, *place = NULL;
    *names = '\0';
#if defined(__GLIBC__)
    if (ph_chaos_run(c, NULL, &told)) {
        for (line = strtok_r(told.text[STREAM_OUT].data, "\n", &place); line != NULL; line = strtok_r(NULL, "\n", &place)) {
            char *name = line + strspn(line, " \t");
            size_t count = strcspn(name, " ");
            if (strstr(name, " => ") == NULL || count == 0 || count > 63 || names + count + 1 > end) continue;
            memcpy(names, name, count);
            names[count] = '\0';
            names += count + 1;
        }
        ph_chaos_drop(&told);
    }
#else
    (void)c, (void)end, (void)line, (void)place, (void)told;
#endif
    *names = '\0';
}
