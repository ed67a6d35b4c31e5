/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* stress_run.c -- one run of the program: what it is given, and what comes of it until it has died.
 *
 * Owns:    the memory that the program's processes write findings into, one for each run.
 * Calls:   child.c, locate.c, judge.c, rules; stress_finding.c for what is new.  Locks: none.
 * Always:  input, output, terminal and process group are the program's as they are ours; a signal that somebody sends
 *          us goes to the program, one of the terminal's it has already.
 * Why:     the memory has a name in /proc as long as we live, so that nothing is left behind, and processes that the
 *          program starts find it too. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "command.h"
#include "rules.h"
#include "stress_verb.h"

enum { POLL_NS = 200 * 1000 * 1000 };

/* ---- before ---------------------------------------------------------------- */

/* For a second run the input must be there again.  False after a complaint. */
static bool prepare_input(struct stress *st)
{
    st->input = -1;
    if (!st->settings.is_both || isatty(STDIN_FILENO)) return true;
    if (!ph_child_folder(STRESS, st->folder, sizeof st->folder)) {
        ph_complain(STRESS, EXIT_OWN_ERROR, "cannot make a folder for the input: %s", strerror(errno));
        return false;
    }
    bool good = ph_child_spool(STRESS, st->folder, &st->input);
    ph_child_empty(st->folder, true); /* what is open stays; whatever ends us leaves nothing behind */
    st->folder[0] = '\0';
    return good;
}

int ph_stress_prepare(struct stress *st)
{
    struct verdict v = { .exit_code = 0 };
    bool can = ph_locate_program(st->settings.argv[0], st->program, &v) && ph_judge(st->program, &st->env, &v) &&
               ph_locate_object(st->object, &v);
    if (!can) return ph_complain(STRESS, v.exit_code, "%s", v.why);
    if (!st->settings.no_rules) ph_rules_apply(STRESS, st->program);
    return prepare_input(st) ? 0 : EXIT_OWN_ERROR;
}

void ph_stress_clean(struct stress *st)
{
    if (st->folder[0] != '\0') ph_child_empty(st->folder, true);
    st->folder[0] = '\0';
}

/* ---- what the program is given ----------------------------------------------- */

void ph_stress_text(const struct stress_settings *s, const char *side, const char *findings, char *out, size_t bytes)
{
    int used = snprintf(out, bytes, "side:%s,seed:%llu", side, (unsigned long long)s->seed);
    for (unsigned i = 0; i < s->part_count; i++) {
        const char *value = *s->parts[i].value != '\0' ? s->parts[i].value : "1";
        used += snprintf(out + used, bytes - (size_t)used, ",%s:%s", s->parts[i].part, value);
    }
    if (findings != NULL) snprintf(out + used, bytes - (size_t)used, ",findings:%s", findings);
}

/* Beside the preload object stands one whose functions of libc say what they touch, to the byte. */
void ph_stress_environment(const struct stress *st, const char *side, const char *findings)
{
    static const char object[] = "libprivheap-preload.so", beside[] = "libprivheap-check.so";
    char text[STRESS_TEXT_BYTES], check[LOCATE_PATH_BYTES], both[2 * LOCATE_PATH_BYTES];
    size_t folder = strlen(st->object) - strlen(object);
    snprintf(check, sizeof check, "%.*s%s", (int)folder, st->object, beside);
    snprintf(both, sizeof both, "%s:%s", st->object, check);
    ph_child_preload(access(check, R_OK) == 0 ? both : st->object);
    ph_stress_text(&st->settings, side, findings, text, sizeof text);
    setenv("PRIVHEAP_STRESS", text, 1);
}

static bool share(struct stress_run *run)
{
    run->descriptor = memfd_create("privheap-stress", MFD_CLOEXEC);
    if (run->descriptor < 0 || ftruncate(run->descriptor, sizeof *run->shared) != 0) return false;
    void *at = mmap(NULL, sizeof *run->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, run->descriptor, 0);
    if (at == MAP_FAILED) return false;
    run->shared = at;
    run->shared->magic = FINDINGS_MAGIC;
    run->shared->version = FINDINGS_VERSION;
    return true;
}

/* ---- signals ------------------------------------------------------------------ */

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH };

/* SIGCHLD must not be ignored, or there is nothing to wait for: *before is the program's. */
static void hold_signals(sigset_t *held, sigset_t *mask_before, struct sigaction *before)
{
    const struct sigaction usual = { .sa_handler = SIG_DFL };
    sigemptyset(held);
    sigaddset(held, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++) {
        struct sigaction now;
        if (sigaction(passed_on[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) sigaddset(held, passed_on[i]);
    }
    sigaction(SIGCHLD, &usual, before);
    sigprocmask(SIG_BLOCK, held, mask_before);
}

static bool ends_us(int signal) { return signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGTERM; }

/* ---- the run ------------------------------------------------------------------- */

static void become_program(struct stress *st, const struct stress_run *run, pid_t parent, int trouble)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)parent, run->descriptor);
    ph_child_input(st->input);
    ph_stress_environment(st, run->side, path);
    execv(st->program, st->settings.argv);
    int error = errno;
    (void)!write(trouble, &error, sizeof error);
    _exit(EXIT_CANNOT_EXECUTE);
}

/* 0, or the errno value with which it could not become the program. */
static int start(struct stress *st, const struct stress_run *run, const sigset_t *mask, const struct sigaction *child_action, pid_t *id)
{
    int trouble[2], error = 0;
    pid_t parent = getpid();
    if (pipe2(trouble, O_CLOEXEC) != 0) return errno;
    fflush(NULL);
    *id = fork();
    if (*id == 0) {
        sigaction(SIGCHLD, child_action, NULL);
        sigprocmask(SIG_SETMASK, mask, NULL);
        become_program(st, run, parent, trouble[1]);
    }
    if (*id < 0) error = errno;
    close(trouble[1]);
    if (*id > 0 && read(trouble[0], &error, sizeof error) == (ssize_t)sizeof error) waitpid(*id, NULL, 0);
    close(trouble[0]);
    return error;
}

static void wait_for(struct stress *st, struct stress_run *run, pid_t id, const sigset_t *held)
{
    const struct timespec poll = { .tv_nsec = POLL_NS };
    for (;;) {
        siginfo_t info;
        int signal = sigtimedwait(held, &info, &poll);
        pid_t ended = waitpid(id, &run->status, WNOHANG);
        if (ended == id || (ended < 0 && errno != EINTR)) return;
        ph_stress_collect(st, run);
        if (signal <= 0 || signal == SIGCHLD) continue;
        st->is_interrupted = st->is_interrupted || ends_us(signal);
        if (info.si_code <= 0) kill(id, signal); /* a process sent it; the terminal's go to all in the foreground */
    }
}

int ph_stress_run(struct stress *st, const char *side)
{
    struct stress_run *run = &st->runs[st->run_count];
    sigset_t held, mask_before;
    struct sigaction child_before;
    pid_t id = -1;
    *run = (struct stress_run){ .side = side, .descriptor = -1 };
    if (!share(run)) return ph_complain(STRESS, EXIT_OWN_ERROR, "cannot share memory with the program: %s", strerror(errno));
    st->run_count++;
    hold_signals(&held, &mask_before, &child_before);
    int error = start(st, run, &mask_before, &child_before, &id);
    if (error == 0) wait_for(st, run, id, &held);
    run->is_over = true;
    ph_stress_collect(st, run);
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
    if (error != 0)
        return ph_complain(STRESS, error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE, "cannot start %s: %s", st->program, strerror(error));
    if (run->shared->begun != 0) return 0;
    return ph_complain(STRESS, EXIT_OWN_ERROR, "%s ended before privheap was active in it", st->program);
}
