/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* sweepcall.c -- system calls of a sweep, which nobody else in the preload object may need.
 *
 * Owns:    which file is the program's output, which its error; a stack for the last signal.
 * Calls:   the kernel, without libc: in a child that was made by clone libc's own notes are its parent's.
 * Locks:   none: a sweep is for one thread.
 * Why:     clone and not fork: handlers of the program's for fork must not run in the middle of a malloc, and nobody is
 *          to hear of the child.  Notes that libc keeps by thread number stay true, since the number that it
 *          remembers does. */
#include "sweepcall.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/guard.h"
#include "../lib/oscall.h"
#include "../lib/os.h"
#include "../lib/text.h"

#include "../lib/small.h"

enum { FILES_MOST = 256, FILE_MOST_BYTES = 64 << 20, COPY_BYTES = 4 << 20, KERNEL_SIGSET_BYTES = 8 };
enum { WAIT_SHARED = 0 }; /* linux/futex.h; the kernel's headers are not in every C library's path */

void *ph_sweep_map(int descriptor, size_t bytes)
{
    const long at = os_call(__NR_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
    return os_failed(at) ? NULL : (void *)at;
}

void *ph_sweep_map_file(const char *path, size_t bytes)
{
    const long file = os_call(__NR_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0, 0);
    if (os_failed(file))
        return NULL;
    const long end = os_call(__NR_lseek, file, 0, SEEK_END, 0, 0, 0);
    void *at = os_failed(end) || (size_t)end < bytes ? NULL : ph_sweep_map((int)file, bytes);
    ph_sweep_close((int)file);
    return at;
}

void ph_sweep_close(int descriptor) { (void)os_call(__NR_close, descriptor, 0, 0, 0, 0, 0); }

long ph_sweep_clone(int32_t *child)
{
    return os_call(__NR_clone, CLONE_PARENT | CLONE_PARENT_SETTID, 0, (long)child, 0, 0, 0);
}

void ph_sweep_wait(uint32_t *word, uint32_t seen)
{
    const struct timespec bound = {1, 0}; /* a bell that nobody rings any more */
    (void)os_call(__NR_futex, (long)word, WAIT_SHARED, seen, (long)&bound, 0, 0);
}

static int open_as(const char *path, long flags)
{
    return (int)os_call(__NR_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, 0600, 0, 0);
}

/* ---- its own --------------------------------------------------------------------------------- */

static void limit(int which, uint64_t most)
{
    uint64_t now[2] = {0, 0};
    if (os_failed(os_call(__NR_prlimit64, 0, which, 0, (long)now, 0, 0)) || now[0] <= most)
        return;
    now[0] = most;
    (void)os_call(__NR_prlimit64, 0, which, (long)now, 0, 0, 0);
}

static bool action_of(int signal, struct ph_os_action *out)
{
    return !os_failed(os_call(__NR_rt_sigaction, signal, 0, (long)out, KERNEL_SIGSET_BYTES, 0, 0));
}

enum { SIGNALS = 65 };
static struct ph_os_action before[SIGNALS];

/* Nobody of the program's has one: that of guardfault.c stands there for all. */
static bool is_default(int signal, const struct ph_os_action *now)
{
    uintptr_t seen = (uintptr_t)now->handler;
    (void)ph_guard_has_handler(signal, now->handler, &seen);
    return seen == (uintptr_t)SIG_DFL;
}

/* Where the default action would end it. */
static void catch_one(int signal, sweep_handler *handler)
{
    struct ph_os_action now;
    if (!action_of(signal, &now) || !is_default(signal, &now)) /* not ours: --pairs comes here twice */
        return;
    before[signal] = now;
    if (!ph_os_action_catch(signal, (ph_os_handler)(uintptr_t)handler, &now) || !action_of(signal, &now))
        return;
    now.flags |= SA_NODEFER;
    ph_os_action_restore(signal, &now);
}

void ph_sweep_uncatch(int signal)
{
    if (signal > 0 && signal < SIGNALS)
        ph_os_action_restore(signal, &before[signal]);
}

/* So that an overflow of the stack can be told of. */
static void own_signal_stack(void)
{
    static char room[16384] __attribute__((aligned(16)));
    stack_t now = {0}, mine = {.ss_sp = room, .ss_size = sizeof room};
    if (!os_failed(os_call(__NR_sigaltstack, 0, (long)&now, 0, 0, 0, 0)) && (now.ss_flags & SS_DISABLE))
        (void)os_call(__NR_sigaltstack, (long)&mine, 0, 0, 0, 0, 0);
}

void ph_sweep_own(sweep_handler *handler, int where)
{
    static const int ends[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    (void)os_call(__NR_setpgid, 0, 0, 0, 0, 0, 0);
    (void)os_call(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, FILE_MOST_BYTES);
    own_signal_stack();
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++)
        catch_one(ends[i], handler);
    catch_one(where, handler);
}

uint64_t ph_sweep_fault_address(const void *info) { return (uintptr_t)((const siginfo_t *)info)->si_addr; }

void ph_sweep_sleep(void)
{
    for (;;)
        ph_os_sleep(1000000000);
}

/* ---- a file system that it cannot change ---------------------------------------------------------- */

/* Source: landlock(7), since 5.13.  The kernel's headers may be older than the kernel. */
enum {
    LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, LANDLOCK_RESTRICT = 446,
    LANDLOCK_ASK_VERSION = 1, LANDLOCK_BENEATH = 1,
    WRITE_FILE = 1 << 1, REMOVE_OR_MAKE = 0x1ff << 4, TRUNCATE = 1 << 14, TRUNCATE_SINCE = 3,
};

static void allow(int rules, uint64_t access, const char *folder)
{
    struct { uint64_t access; int32_t folder; } __attribute__((packed)) rule = {access, open_as(folder, O_PATH)};
    if (rule.folder < 0)
        return;
    (void)os_call(LANDLOCK_ADD, rules, LANDLOCK_BENEATH, (long)&rule, 0, 0, 0);
    ph_sweep_close(rule.folder);
}

bool ph_sweep_confine(const char *folder)
{
    const long version = os_call(LANDLOCK_CREATE, 0, 0, LANDLOCK_ASK_VERSION, 0, 0, 0);
    uint64_t access = WRITE_FILE | REMOVE_OR_MAKE | (version >= TRUNCATE_SINCE ? TRUNCATE : 0);
    const long rules = os_failed(version) ? version : os_call(LANDLOCK_CREATE, (long)&access, sizeof access, 0, 0, 0, 0);
    if (os_failed(rules))
        return false;
    allow((int)rules, access, folder);
    allow((int)rules, access, "/dev");
    allow((int)rules, WRITE_FILE, "/proc");
    const bool done = !os_failed(os_call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)) &&
                      !os_failed(os_call(LANDLOCK_RESTRICT, rules, 0, 0, 0, 0, 0));
    ph_sweep_close((int)rules);
    return done;
}

/* ---- files ------------------------------------------------------------------------------------- */

static struct identity {
    uint64_t device, node;
    bool known;
} output, error_output;

static bool look(int fd, struct stat *st) { return !os_failed(os_call(__NR_fstat, fd, (long)st, 0, 0, 0, 0)); }

static bool is_that(const struct stat *st, const struct identity *it)
{
    return it->known && st->st_dev == it->device && st->st_ino == it->node;
}

void ph_sweep_output_is(int out, int error)
{
    struct stat st;
    if (look(out, &st))
        output = (struct identity){st.st_dev, st.st_ino, S_ISREG(st.st_mode)};
    if (look(error, &st))
        error_output = (struct identity){st.st_dev, st.st_ino, S_ISREG(st.st_mode)};
}

/* `from` stands where `fd` stood, closed at exec if that was. */
static void put(int from, int fd)
{
    const long flags = os_call(__NR_fcntl, fd, F_GETFD, 0, 0, 0, 0);
    if (from < 0)
        return;
    (void)os_call(__NR_dup3, from, fd, flags > 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0, 0, 0, 0);
    ph_sweep_close(from);
}

static void path_of(int fd, char *path)
{
    static const char folder[] = "/proc/self/fd/";
    char *end = text_copy(path, folder, sizeof folder - 1), digits[4];
    unsigned count = 0;
    do
        digits[count++] = (char)('0' + fd % 10);
    while ((fd /= 10) != 0);
    while (count > 0)
        *end++ = digits[--count];
    *end = '\0';
}

/* What is written from now on goes to a copy, in memory. */
static int copy_of(const struct stat *st)
{
    static const char name[] = "privheap-oom";
    const int copy = (int)os_call(__NR_memfd_create, (long)name, 0, 0, 0, 0, 0);
    if (copy >= 0)
        (void)os_call(__NR_ftruncate, copy, st->st_size < COPY_BYTES ? st->st_size : 0, 0, 0, 0, 0);
    return copy;
}

static void fill(int copy, const char *path, const struct stat *st)
{
    const int from = st->st_size > 0 && st->st_size < COPY_BYTES ? open_as(path, O_RDONLY) : -1;
    if (from < 0)
        return;
    (void)os_call(__NR_sendfile, copy, from, 0, st->st_size, 0, 0);
    ph_sweep_close(from);
}

static void own_file(int fd, const struct stat *st, long flags)
{
    char path[32];
    const bool writes = (flags & O_ACCMODE) != O_RDONLY;
    const long place = os_call(__NR_lseek, fd, 0, SEEK_CUR, 0, 0, 0);
    path_of(fd, path);
    const int mine = writes ? copy_of(st) : open_as(path, O_RDONLY);
    if (mine < 0)
        return;
    if (writes)
        fill(mine, path, st);
    (void)os_call(__NR_lseek, mine, place, SEEK_SET, 0, 0, 0);
    put(mine, fd);
    if (flags & (O_APPEND | O_NONBLOCK))
        (void)os_call(__NR_fcntl, fd, F_SETFL, flags & (O_APPEND | O_NONBLOCK), 0, 0, 0);
}

static bool is_terminal(int fd)
{
    char settings[256];
    return !os_failed(os_call(__NR_ioctl, fd, TCGETS, (long)settings, 0, 0, 0));
}

/* Marked POLLNVAL where nothing is open, by one call; not if it fails, as it does where fewer descriptors are allowed. */
static void mark_closed(struct pollfd *all)
{
    for (int fd = 0; fd < FILES_MOST; fd++)
        all[fd] = (struct pollfd){.fd = fd};
    (void)os_call(__NR_ppoll, (long)all, FILES_MOST, (long)&(struct timespec){0}, 0, 0, 0);
}

void ph_sweep_files(const char *out, const char *error)
{
    struct pollfd all[FILES_MOST];
    mark_closed(all);
    for (int fd = 0; fd < FILES_MOST; fd++) {
        if (all[fd].revents & POLLNVAL)
            continue;
        const long flags = os_call(__NR_fcntl, fd, F_GETFL, 0, 0, 0, 0);
        struct stat st;
        if (os_failed(flags) || (flags & O_PATH) || !look(fd, &st))
            continue;
        if (is_that(&st, &output))
            put(open_as(out, O_WRONLY | O_APPEND), fd);
        else if (is_that(&st, &error_output))
            put(open_as(error, O_WRONLY | O_APPEND), fd);
        else if (S_ISREG(st.st_mode))
            own_file(fd, &st, flags);
        else if (fd == 0 && is_terminal(fd))
            put(open_as("/dev/null", O_RDONLY), fd); /* what is typed is the program's */
    }
}

bool ph_sweep_present(const void *at, size_t bytes, unsigned char *out)
{
    return !os_failed(os_call(__NR_mincore, (long)at, (long)bytes, (long)out, 0, 0, 0));
}

int ph_sweep_open(const char *path) { return open_as(path, O_RDONLY); }

long ph_sweep_read(int descriptor, char *to, size_t bytes)
{
    return os_call(__NR_read, descriptor, (long)to, (long)bytes, 0, 0, 0);
}
