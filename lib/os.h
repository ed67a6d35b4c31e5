/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* os.h -- what the operating system gives: memory, waiting, identity, a few bytes out.
 *
 * os.c is the only file that issues these system calls.  Every function is safe at any
 * moment of a process's life: none allocates, none takes a lock, none touches errno. */
#ifndef PH_OS_H
#define PH_OS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of an OS page (4096 on x86-64, 4, 16 or 64 KB on aarch64); asked once.  Every address and length that a
 * function below takes is a multiple of it, unless its comment says otherwise. */
size_t ph_os_page_bytes(void);

/* For tests: from now on an OS page has so many bytes, and whoever is given a part of one ends the process.
 * False, and nothing done: no power of two, or no multiple of the machine's own. */
bool ph_os_page_pretend(size_t bytes);

/* Reserve `bytes` of address space at a multiple of `align` (a power of two; at least an OS page is meant),
 * inaccessible until committed.  NULL when the system refuses.  Source: mmap(2). */
void *ph_os_reserve(size_t bytes, size_t align);

/* Like ph_os_reserve, readable and writable at once; touched memory only counts when used. */
void *ph_os_map(size_t bytes, size_t align);

/* Make part of a reservation readable and writable (and executable).  0, or an errno value. */
int ph_os_commit(void *at, size_t bytes, bool executable);

/* Make a range inaccessible; what is in it stays.  0, or an errno value. */
int ph_os_protect(void *at, size_t bytes);

/* Mark the pages of a committed range as inaccessible, their memory goes back; or take the marks away, and they are zero.
 * 0, or an errno value: EINVAL where the system knows no such marks.  Source: madvise(2), MADV_GUARD_INSTALL, since 6.13. */
int ph_os_guard(void *at, size_t bytes, bool install);

/* Like ph_os_reserve, but readable: reads give zeros until the part is committed. */
void *ph_os_reserve_readable(size_t bytes, size_t align);

/* Give the memory behind a range back; it reads as zeros afterwards.  0, or an errno value. */
int ph_os_purge(void *at, size_t bytes);

/* Return a range of addresses to the system; what it refuses to take loses its memory, and is offered again later:
 * ph_os_unmap_again, which says whether any was taken. */
void ph_os_unmap(void *at, size_t bytes);
bool ph_os_unmap_again(void);

/* Resize a mapping where it is.  false: impossible, and it stays as it was. */
bool ph_os_remap(void *at, size_t old_bytes, size_t new_bytes);

/* Move a mapping onto the reservation at `target`, of new_bytes.  false: it stays as it was. */
bool ph_os_remap_to(void *at, size_t old_bytes, void *target, size_t new_bytes);

/* Ask the system not to back a range with huge pages, or to do so; refusal is ignored. */
void ph_os_no_huge(void *at, size_t bytes);
void ph_os_huge(void *at, size_t bytes);

/* Like ph_os_reserve, with either advice, if ph_os_seed was called before: no system call but mremap and munmap, which
 * is what a program's filter lets pass that was installed meanwhile. */
void *ph_os_reserve_no_huge(size_t bytes, size_t align);
void *ph_os_reserve_huge(size_t bytes, size_t align);
/* One OS page becomes a mapping of its own without huge pages, zero: the system builds no huge page around it any more. */
bool ph_os_pin(void *page);
void ph_os_seed(bool huge); /* false: nobody will ask for huge pages */

enum { OS_HUGE_BYTES = 2 << 20 }; /* of x86-64, and of others with OS pages of 4 KB */

/* Make every other running thread of this process execute a full barrier.  false: refused. */
bool ph_os_membarrier(void);

/* Sleep while *word == seen, at most `nanoseconds` (0: no bound); wake up to `count` sleepers. */
void ph_os_wait(uint32_t *word, uint32_t seen, uint64_t nanoseconds);
void ph_os_wake(uint32_t *word, unsigned count);
void ph_os_sleep(uint64_t nanoseconds);
void ph_os_yield(void);

/* Have a range read as zeros in the child of every fork, of the system call itself too.  false: refused.
 * Source: madvise(2), MADV_WIPEONFORK, since 4.14. */
bool ph_os_wipe_on_fork(void *at, size_t bytes);

/* Whether this thread runs on the stack that it gave for signal handlers.  Source: sigaltstack(2). */
bool ph_os_on_signal_stack(void);

/* Which signals are blocked in this thread, by the kernel's bits: signal 1 is bit 0.  The second blocks more,
 * and says what was before. */
void ph_os_signal_mask(uint64_t blocked);
uint64_t ph_os_signal_block(uint64_t more);

/* Send this thread a signal again, with the siginfo_t that it came with: it comes as soon as it is not blocked.
 * false: refused. */
bool ph_os_signal_again(int signal, const void *info);

/* Milliseconds of a clock that never goes back, coarse (a few ms); cheap. */
uint64_t ph_os_clock_ms(void); /* clock.c */
void ph_os_clock_begin(void);  /* find it; asks libc */
void ph_os_clock_ask(struct timespec *now); /* the same by a system call */

/* Nanoseconds that this thread, or the process, was on a processor; 0: refused.  A system call. */
uint64_t ph_os_cpu_ns(bool process);

/* 64 unpredictable bits, another word at each call. */
uint64_t ph_os_random(void);

/* Whether the eight bytes at an address, of one OS page, can be read. */
bool ph_os_is_readable(const void *at);

uint32_t ph_os_pid(void);
uint32_t ph_os_tid(void);

/* Ask libc and the kernel for what we must not ask for later, under locks or a program's filter. */
void ph_os_begin(void);

/* Where the program's own code begins to run. */
const void *ph_os_entry(void);
const void *ph_os_random_bytes(void); /* on the first thread's stack, near its end; NULL: not told */

/* The bound on this process's address space, or on its data if that is less; SIZE_MAX: none.  Source: prlimit(2). */
size_t ph_os_space_limit(void);

/* What the kernel keeps for a signal.  Source: rt_sigaction(2). */
struct ph_os_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
};

/* Have `handler` called for that signal, on the alternative stack if there is one; the action until now into *before.
 * false: refused. */
typedef void (*ph_os_handler)(int signal, siginfo_t *info, void *ucontext);
bool ph_os_action_catch(int signal, ph_os_handler handler, struct ph_os_action *before);
void ph_os_action_restore(int signal, const struct ph_os_action *action);

/* Whether the access that faulted wanted to write; false also where the machine does not tell. */
bool ph_os_fault_is_write(const void *ucontext);
/* What one of its general registers held; false: there are not so many. */
bool ph_os_fault_register(const void *ucontext, unsigned number, uintptr_t *value);

/* Write all of it, EINTR and short writes repeated; errors ignored. */
void ph_os_write(int fd, const void *bytes, size_t count);

/* Open for appending, create with mode 0644, close-on-exec.  The descriptor, or -1. */
int ph_os_open_append(const char *path);
void ph_os_close(int fd);

/* The file of this process's program, into `path`; false when the system does not say. */
bool ph_os_program(char *path, size_t bytes);

/* Seal a memory file against growing; what is none stays as it is. */
void ph_os_seal(int descriptor);

/* Another descriptor for the same file, 200 or higher, close-on-exec; or -1. */
int ph_os_dup(int fd);

/* Give a mapping a name that /proc/self/maps shows (NULL: none any more); at most 79 bytes, printable and
 * without any of []\$`.  Kernels that do not know how leave it without.  Source: PR_SET_VMA(2const), since 5.17. */
void ph_os_name(void *at, size_t bytes, const char *name);

/* End the process by SIGABRT, whatever handlers or masks say about it last. */
void ph_os_abort(void) __attribute__((noreturn));

/* End it by SIGSEGV with the default action, as if nobody had a handler. */
void ph_os_fault(void) __attribute__((noreturn));

#endif
