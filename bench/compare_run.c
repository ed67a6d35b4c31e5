/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_run.c -- one run of the program: time from exec to exit, what the kernel counted, what it wrote.
 *
 * Owns:    struct run's measured part; the signals of this process while runs go on.
 * Calls:   compare_trace.c.  Locks: none.
 * Why:     the child writes down its clock and its use just before exec, so that our fork is not measured.
 * Linux hands a process's peak on over exec: our child's is small, since only what we wrote to is copied and
 *          it calls nothing of libc but syscall(), whose pages would be mapped 64 KB around each; what it was
 * is kept (floor_bytes), to say so where a program would be smaller. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "compare.h"

enum {
    PIPE_BYTES = 1 << 20, /* the program seldom waits for us */
    READ_BYTES = 1 << 16,
    KERNEL_SIGSET_BYTES = 8,
    GRACE_MS = 2000, /* between an interruption and the end of patience */
};

/* What the child tells. */
struct told {
    struct timespec started;
    struct rusage before;
    int exec_error;
    int status; /* a traced run's */
    struct presence presence;
};

static struct told *told;
static int signals = -1;
static sigset_t waited, usual;

/* One of the program's output streams; fd -1: closed, or not ours. */
struct stream {
    int fd;
    uint64_t bytes;
    char *tail; /* NULL: not kept */
};

/* All that a run needs while it goes on. */
struct child {
    const struct request *request;
    pid_t id;
    struct stream out, error;
    struct timespec ended;
    struct rusage use;
    int status;
    bool is_timed_out, is_interrupted;
    double kill_at; /* seconds, by the clock; 0: never */
};

bool ph_runs_begin(void)
{
    static const int interruptions[] = { SIGINT, SIGTERM, SIGHUP };
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        continue; /* no pipe may be 0, 1 or 2 */
    if (fd >= 0) close(fd);
    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    for (size_t i = 0; i < sizeof interruptions / sizeof interruptions[0]; i++) {
        struct sigaction was;
        bool is_ignored = sigaction(interruptions[i], NULL, &was) == 0 && was.sa_handler == SIG_IGN;
        if (!is_ignored) sigaddset(&waited, interruptions[i]); /* ignored: nohup(1), a shell's background */
    }
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool can = told != MAP_FAILED && sigprocmask(SIG_BLOCK, &waited, &usual) == 0;
    if (can) signals = signalfd(-1, &waited, SFD_CLOEXEC | SFD_NONBLOCK);
    if (can && signals >= 0) return true;
    ph_complain(COMPARE, EXIT_OWN_ERROR, "cannot prepare to wait for programs: %s", strerror(errno));
    return false;
}

/* What came while they were blocked has been read already. */
void ph_runs_end(void)
{
    close(signals);
    sigprocmask(SIG_SETMASK, &usual, NULL);
}

static double seconds(struct timespec at) { return (double)at.tv_sec + (double)at.tv_nsec / 1e9; }

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return seconds(at);
}

/* ---- in the child ------------------------------------------------------ */

static void start_program(void *request)
{
    const struct request *q = request;
    syscall(SYS_getrusage, RUSAGE_SELF, &told->before);
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &told->started);
    syscall(SYS_execve, q->settings->program, q->settings->argv, q->allocator->environment);
    told->exec_error = errno;
    _exit(EXIT_NOT_FOUND);
}

static void become(const struct request *q, pid_t parent, const int *ends)
{
    bool can = true;
    syscall(SYS_setpgid, 0, 0);
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 3; i++)
        if (ends[i] >= 0) can = can && syscall(SYS_dup3, ends[i], i, 0) == i;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &usual, NULL, KERNEL_SIGSET_BYTES);
    if (!can || syscall(SYS_getppid) != parent) {
        told->exec_error = errno;
        _exit(EXIT_NOT_FOUND);
    }
    union {
        const struct request *in;
        void *out;
    } word = { .in = q };
    if (q->is_traced) ph_trace(q->allocator->object, start_program, word.out, &told->presence, &told->status);
    start_program(word.out);
}

/* ---- in the parent ----------------------------------------------------- */

/* A pipe whose end for us does not wait.  The other end, or -1. */
static int stream_open(struct stream *s)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES); /* as much as is allowed */
    s->fd = ends[0];
    return ends[1];
}

static void keep_tail(char *tail, const char *text, size_t bytes)
{
    size_t room = COMPARE_TAIL_BYTES - 1, had = strlen(tail);
    if (bytes > room) {
        text += bytes - room;
        bytes = room;
    }
    size_t kept = had + bytes > room ? room - bytes : had;
    memmove(tail, tail + had - kept, kept);
    memcpy(tail + kept, text, bytes);
    tail[kept + bytes] = '\0';
}

/* Take what is there. */
static void stream_drain(struct stream *s)
{
    static char text[READ_BYTES];
    while (s->fd >= 0) {
        ssize_t bytes = read(s->fd, text, sizeof text);
        if (bytes < 0 && errno == EINTR) continue;
        if (bytes < 0 && errno == EAGAIN) return;
        if (bytes <= 0) {
            close(s->fd);
            s->fd = -1;
            return;
        }
        s->bytes += (uint64_t)bytes;
        if (s->tail != NULL) keep_tail(s->tail, text, (size_t)bytes);
    }
}

/* fork() runs through much of libc, which the program's peak would begin with. */
static pid_t fork_lean(bool is_traced)
{
    return is_traced ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static bool child_start(struct child *c)
{
    const struct request *q = c->request;
    pid_t parent = getpid();
    int ends[3] = { open(q->settings->input == NULL ? "/dev/null" : q->settings->input, O_RDONLY | O_CLOEXEC),
                    -1, -1 };
    bool can = ends[0] >= 0;
    memset(told, 0, sizeof *told);
    if (!q->settings->shows_output) {
        ends[1] = stream_open(&c->out);
        ends[2] = stream_open(&c->error);
        can = can && ends[1] >= 0 && ends[2] >= 0;
    }
    c->id = can ? fork_lean(q->is_traced) : -1;
    if (c->id == 0) become(q, parent, ends);
    int error = errno;
    if (c->id > 0) setpgid(c->id, c->id);
    for (int i = 0; i < 3; i++)
        if (ends[i] >= 0) close(ends[i]);
    errno = error;
    return c->id > 0;
}

/* A signal came for us: hand it to the program; what does not end by it is killed. */
static void interrupt(struct child *c, int which)
{
    kill(-c->id, c->is_interrupted ? SIGKILL : which);
    c->is_interrupted = true;
    c->kill_at = now() + GRACE_MS / 1000.0;
}

static bool has_ended(struct child *c)
{
    struct signalfd_siginfo came;
    while (read(signals, &came, sizeof came) == (ssize_t)sizeof came)
        if (came.ssi_signo != SIGCHLD) interrupt(c, (int)came.ssi_signo);
    clock_gettime(CLOCK_MONOTONIC, &c->ended);
    return wait4(c->id, &c->status, WNOHANG, &c->use) == c->id;
}

static int patience_ms(const struct child *c)
{
    if (c->kill_at <= 0) return -1;
    double left = c->kill_at - now();
    return left <= 0 ? 0 : left > 1e6 ? 1000000000 : (int)(left * 1000) + 1;
}

static void child_wait(struct child *c)
{
    struct pollfd ready[3] = { { .fd = signals, .events = POLLIN } };
    while (!has_ended(c)) {
        ready[1] = (struct pollfd){ .fd = c->out.fd, .events = POLLIN };
        ready[2] = (struct pollfd){ .fd = c->error.fd, .events = POLLIN };
        poll(ready, 3, patience_ms(c));
        if (ready[1].revents != 0) stream_drain(&c->out);
        if (ready[2].revents != 0) stream_drain(&c->error);
        if (c->kill_at <= 0 || now() < c->kill_at) continue;
        c->is_timed_out = !c->is_interrupted;
        c->kill_at = now() + GRACE_MS / 1000.0;
        kill(-c->id, SIGKILL);
    }
    stream_drain(&c->out);
    stream_drain(&c->error);
    if (c->out.fd >= 0) close(c->out.fd);
    if (c->error.fd >= 0) close(c->error.fd);
}

static double cpu_of(const struct timeval *after, const struct timeval *before)
{
    double used = (double)(after->tv_sec - before->tv_sec) + (double)(after->tv_usec - before->tv_usec) / 1e6;
    return used > 0 ? used : 0;
}

static void run_fill(struct run *run, const struct child *c)
{
    const struct rusage *use = &c->use, *before = &told->before;
    run->user_s = cpu_of(&use->ru_utime, &before->ru_utime);
    run->system_s = cpu_of(&use->ru_stime, &before->ru_stime);
    run->value[METRIC_WALL] = seconds(c->ended) - seconds(told->started);
    run->value[METRIC_CPU] = run->user_s + run->system_s;
    run->value[METRIC_RSS] = (double)use->ru_maxrss * 1024;
    run->major_faults = (uint64_t)(use->ru_majflt - before->ru_majflt);
    run->value[METRIC_FAULTS] = (double)(use->ru_minflt - before->ru_minflt) + (double)run->major_faults;
    run->involuntary_switches = (uint64_t)use->ru_nivcsw;
    run->floor_bytes = (uint64_t)before->ru_maxrss * 1024;
    run->output_bytes = c->out.bytes;
    run->error_bytes = c->error.bytes;
    run->status = c->request->is_traced && c->status == 0 ? told->status : c->status;
    run->is_timed_out = c->is_timed_out;
}

static enum run_end could_not(struct run *run, int code, const struct settings *s, int error)
{
    run->status = ph_complain(COMPARE, code, "cannot start %s: %s", s->program, strerror(error));
    return RUN_FAILED;
}

enum run_end ph_run_once(const struct request *q, struct run *run)
{
    struct child c = { .request = q,
                       .out = { .fd = -1 },
                       .error = { .fd = -1, .tail = q->allocator->error_tail } };
    q->allocator->error_tail[0] = '\0';
    if (!child_start(&c)) return could_not(run, EXIT_OWN_ERROR, q->settings, errno);
    if (q->settings->timeout_s > 0) c.kill_at = now() + q->settings->timeout_s;
    child_wait(&c);
    if (c.is_interrupted) return RUN_INTERRUPTED;
    if (told->exec_error != 0)
        return could_not(run, told->exec_error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE, q->settings,
                         told->exec_error);
    run_fill(run, &c);
    if (q->is_traced) q->allocator->presence = told->presence;
    return RUN_ENDED;
}
