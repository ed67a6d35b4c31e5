/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oom_start.c -- the program of a sweep: what it is given, and the files of its children.
 *
 * Owns:    the folder with everything that children write: NNN.err, NNN.out, NNN/ for short-lived files.
 * Calls:   child.c, locate.c, judge.c.  Locks: none.
 * Always:  the program is started by one exec with the preload object in front; what it starts itself is not
 *          preloaded, and so not swept.
 * Why:     addresses are not randomised, so that a run is like the one before it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "command.h"
#include "oom.h"
#include "rules.h"

static void name_of(const struct oom *o, unsigned slot, const char *behind, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s/%03u%s", o->folder, slot, behind);
}

/* ---- the folder ------------------------------------------------------------ */

static bool make_slot(struct oom *o, unsigned slot)
{
    char path[LOCATE_PATH_BYTES];
    name_of(o, slot, "", path, sizeof path);
    if (mkdir(path, 0700) != 0) return false;
    name_of(o, slot, ".out", path, sizeof path);
    int out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (out >= 0) close(out);
    name_of(o, slot, ".err", path, sizeof path);
    o->errors[slot] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return o->errors[slot] >= 0;
}

static bool make_folder(struct oom *o)
{
    if (!ph_child_folder(OOM, o->folder, sizeof o->folder)) return false;
    unsigned slots = o->settings.jobs * (o->settings.pairs ? 2 : 1);
    for (unsigned i = 0; i < slots; i++)
        if (!make_slot(o, i)) return false;
    return make_slot(o, OOM_OWN_SLOT);
}

/* What it started has its TMPDIR, and may be in a session of its own. */
void ph_oom_kill_left(const struct oom *o, unsigned slot, bool (*is_known)(const void *, pid_t))
{
    char word[LOCATE_PATH_BYTES] = "TMPDIR=";
    name_of(o, slot, "", word + strlen(word), sizeof word - strlen(word));
    ph_child_kill_left(word, is_known, o);
}

void ph_oom_clean(struct oom *o)
{
    if (o->folder[0] != '\0') ph_child_empty(o->folder, true);
    o->folder[0] = '\0';
}

/* ---- what a child wrote ------------------------------------------------------ */

char *ph_oom_tail(struct oom *o, unsigned slot)
{
    char path[LOCATE_PATH_BYTES];
    struct stat st;
    char *tail = NULL;
    name_of(o, slot, "", path, sizeof path);
    ph_child_empty(path, false);
    if (fstat(o->errors[slot], &st) != 0 || st.st_size == 0) return NULL;
    off_t from = st.st_size > OOM_TAIL_BYTES ? st.st_size - OOM_TAIL_BYTES : 0;
    tail = calloc(1, OOM_TAIL_BYTES + 1);
    if (tail != NULL && pread(o->errors[slot], tail, OOM_TAIL_BYTES, from) <= 0) {
        free(tail);
        tail = NULL;
    }
    if (o->settings.keep == NULL) (void)!ftruncate(o->errors[slot], 0);
    return tail;
}

static void keep_one(struct oom *o, unsigned slot, unsigned ordinal, const char *which)
{
    char from[LOCATE_PATH_BYTES], to[LOCATE_PATH_BYTES], piece[65536];
    name_of(o, slot, which, from, sizeof from);
    if (slot == OOM_OWN_SLOT)
        snprintf(to, sizeof to, "%s/program%s", o->settings.keep, which);
    else
        snprintf(to, sizeof to, "%s/%06u%s", o->settings.keep, ordinal, which);
    struct stat st;
    if (stat(from, &st) != 0 || st.st_size == 0) return;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t got;
    while (in >= 0 && out >= 0 && (got = read(in, piece, sizeof piece)) > 0)
        if (write(out, piece, (size_t)got) != got) break;
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    (void)!truncate(from, 0);
}

void ph_oom_keep_output(struct oom *o, unsigned slot, unsigned ordinal)
{
    if (o->settings.keep == NULL) return;
    keep_one(o, slot, ordinal, ".out");
    keep_one(o, slot, ordinal, ".err");
}

/* ---- starting ------------------------------------------------------------------ */

/* What env would start, since what env starts is not swept. */
bool ph_oom_arguments(struct oom *o)
{
    if (o->env.count == 0 || !o->env.is_plain) return true;
    char **argv = o->settings.argv;
    int argc = 0;
    while (argv[argc] != NULL) argc++;
    char **words = calloc((size_t)(o->env.count + argc + 1), sizeof *words);
    if (words == NULL) return false;
    memcpy(words, o->env.words, (size_t)o->env.count * sizeof *words);
    words[o->env.count] = strdup(o->program);
    memcpy(words + o->env.count + 1, argv + 1, (size_t)argc * sizeof *words);
    o->settings.argv = words;
    snprintf(o->program, sizeof o->program, "%s", o->env.program);
    return true;
}

int ph_oom_prepare(struct oom *o)
{
    struct verdict v = { .exit_code = 0 };
    o->input = -1;
    bool can = ph_locate_program(o->settings.argv[0], o->program, &v) && ph_judge(o->program, &o->env, &v) &&
               ph_locate_object(o->object, &v);
    if (!can) return ph_complain(OOM, v.exit_code, "%s", v.why);
    if (!o->settings.no_rules) ph_rules_apply(OOM, o->program);
    if (!ph_oom_arguments(o)) return ph_complain(OOM, EXIT_OWN_ERROR, "%s", strerror(ENOMEM));
    if (!make_folder(o))
        return ph_complain(OOM, EXIT_OWN_ERROR, "cannot make a folder for what children write: %s", strerror(errno));
    if (ph_child_spool(OOM, o->folder, &o->input)) return 0;
    return ph_child_interrupted ? OOM_INTERRUPTED : EXIT_OWN_ERROR;
}

struct sweep *ph_oom_share(const struct oom *o, enum sweep_mode mode, int *descriptor)
{
    const struct oom_settings *s = &o->settings;
    *descriptor = memfd_create("privheap-oom", MFD_CLOEXEC);
    struct sweep *sw = MAP_FAILED;
    if (*descriptor >= 0 && ftruncate(*descriptor, sizeof *sw) == 0)
        sw = mmap(NULL, sizeof *sw, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, *descriptor, 0);
    if (sw == MAP_FAILED) {
        ph_complain(OOM, EXIT_OWN_ERROR, "cannot share memory with the program: %s", strerror(errno));
        return NULL;
    }
    sw->magic = SWEEP_MAGIC;
    sw->version = SWEEP_VERSION;
    sw->mode = mode;
    sw->jobs = s->jobs;
    sw->first = s->first;
    sw->skip = s->skip;
    sw->also_after = s->also_after;
    sw->pairs = s->pairs;
    sw->leaks = !s->no_leaks && !s->also_after;
    sw->confined = !s->lets_write;
    sw->least = s->least;
    sw->most = s->most;
    sw->keeps_output = s->keep != NULL;
    snprintf(sw->module, sizeof sw->module, "%s", s->module != NULL ? s->module : "");
    snprintf(sw->folder, sizeof sw->folder, "%s", o->folder);
    return sw;
}

/* As many blocks as may be lie between guards, so that a read after free is found, and where. */
void ph_oom_environment(const struct oom *o, const char *fail, unsigned slot)
{
    char folder[LOCATE_PATH_BYTES];
    ph_child_preload(o->object);
    setenv("PRIVHEAP_FAIL", fail, 1);
    setenv("PRIVHEAP_GUARD_RATE", "1", 0);
    setenv("PRIVHEAP_MODE", "secure", 0);
    if (o->folder[0] == '\0') return;
    setenv("PRIVHEAP_NO_FOLLOW", "1", 1);
    name_of(o, slot, "", folder, sizeof folder);
    setenv("TMPDIR", folder, 1);
}

/* In the child: what the program is to find. */
static void become_program(const struct oom *o, int shared, unsigned slot, bool shows_output)
{
    char path[LOCATE_PATH_BYTES], fail[32];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    ph_child_input(o->input);
    name_of(o, slot, ".out", path, sizeof path);
    int out = shows_output ? -1 : open(o->settings.keep != NULL ? path : "/dev/null", O_WRONLY | O_APPEND);
    if (out >= 0) dup2(out, STDOUT_FILENO);
    if (out > STDERR_FILENO) close(out);
    name_of(o, slot, ".err", path, sizeof path);
    int error = open(path, O_WRONLY | O_APPEND);
    if (error >= 0) dup2(error, STDERR_FILENO);
    if (error > STDERR_FILENO) close(error);
    int high = fcntl(shared, F_DUPFD, 500);
    snprintf(fail, sizeof fail, "sweep:%d", high >= 0 ? high : dup(shared));
    ph_oom_environment(o, fail, slot);
    (void)personality(ADDR_NO_RANDOMIZE);
    execv(o->program, o->settings.argv);
    _exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

pid_t ph_oom_start(const struct oom *o, int shared, unsigned slot, bool shows_output)
{
    const pid_t own = getpid();
    fflush(NULL);
    pid_t id = fork();
    if (id == 0) {
        ph_child_bound(own);
        if (slot != OOM_OWN_SLOT) setpgid(0, 0);
        become_program(o, shared, slot, shows_output);
    }
    if (id < 0) ph_complain(OOM, EXIT_OWN_ERROR, "cannot start %s: %s", o->program, strerror(errno));
    return id;
}
