/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* fault_inject.c -- see fault.h.  The filter lets every call pass that does not come from the object's code, and
 * traps those that do; the handler counts them and answers with an error or does them itself, from code of ours,
 * which the filter lets pass. */
#include "fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

const char *const fault_call_names[CALL_KINDS] = {
    "mmap", "munmap", "mremap", "mprotect", "madvise", "membarrier", "futex wait", "futex wake",
    "prctl", "getrandom", "nanosleep", "sched_yield", "any call",
};

/* What the kernel's own manual pages give as the likeliest reason. */
static const int call_errno[CALL_ANY] = {
    ENOMEM, ENOMEM, ENOMEM, ENOMEM, EAGAIN, EPERM, EINTR, EFAULT, EINVAL, EAGAIN, EINTR, ENOSYS,
};

static struct fault_report *report;
static struct fault_plan plan;
static bool on;

void fault_begin(const struct fault_plan *use)
{
    plan = *use;
    __atomic_store_n(&on, true, __ATOMIC_RELEASE);
}

static int (*set_handler)(int, const struct sigaction *, struct sigaction *) = sigaction;

/* Past the object's own sigaction: what it does around a handler are calls that the filter traps. */
void fault_ready(void)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *found = libc != NULL ? dlsym(libc, "sigaction") : NULL;
    if (found != NULL) *(void **)(void *)&set_handler = found;
}

void fault_end(void) { __atomic_store_n(&on, false, __ATOMIC_RELEASE); }

#if defined(__x86_64__)

static enum fault_call call_of(long nr, long second)
{
    switch (nr) {
    case SYS_mmap: return CALL_MMAP;
    case SYS_munmap: return CALL_MUNMAP;
    case SYS_mremap: return CALL_MREMAP;
    case SYS_mprotect: return CALL_MPROTECT;
    case SYS_madvise: return CALL_MADVISE;
    case SYS_membarrier: return CALL_MEMBARRIER;
    case SYS_futex: return (second & FUTEX_CMD_MASK) == FUTEX_WAIT ? CALL_WAIT : CALL_WAKE;
    case SYS_prctl: return CALL_PRCTL;
    case SYS_getrandom: return CALL_GETRANDOM;
    case SYS_nanosleep: return CALL_NANOSLEEP;
    case SYS_sched_yield: return CALL_YIELD;
    default: return CALL_ANY;
    }
}

static bool must_fail(enum fault_call call)
{
    if (!__atomic_load_n(&on, __ATOMIC_ACQUIRE) || call == CALL_ANY) return false;
    const unsigned of_kind = __atomic_add_fetch(&report->count[call], 1, __ATOMIC_RELAXED);
    const unsigned of_all = __atomic_add_fetch(&report->count[CALL_ANY], 1, __ATOMIC_RELAXED);
    const unsigned number = plan.call == CALL_ANY ? of_all : plan.call == call ? of_kind : 0;
    if (plan.number == 0 || number < plan.number || (number > plan.number && !plan.for_ever)) return false;
    __atomic_add_fetch(&report->failed, 1, __ATOMIC_RELAXED);
    return true;
}

static void trapped(int signal, siginfo_t *info, void *context)
{
    greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
    const int saved = errno;
    (void)signal;
    const enum fault_call call = call_of(info->si_syscall, reg[REG_RSI]);
    if (must_fail(call)) {
        reg[REG_RAX] = -call_errno[call];
    } else {
        const long result = syscall(info->si_syscall, reg[REG_RDI], reg[REG_RSI], reg[REG_RDX], reg[REG_R10],
                                    reg[REG_R8], reg[REG_R9]);
        reg[REG_RAX] = result == -1 ? -errno : result;
    }
    errno = saved;
}

struct code {
    uintptr_t inside, from, to;
};

static int code_find(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    struct code *co = arg;
    bool found = false;
    (void)bytes;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        const uintptr_t from = info->dlpi_addr + ph->p_vaddr;
        if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X) || co->inside - from >= ph->p_memsz) continue;
        co->from = from;
        co->to = from + ph->p_memsz;
        found = true;
    }
    return found;
}

/* Halves of the code's addresses: the filter compares 32 bits at a time. */
static bool filter_install(const struct code *co)
{
    const uint32_t high = (uint32_t)(co->from >> 32), from = (uint32_t)co->from, to = (uint32_t)co->to;
    const uint32_t ip = offsetof(struct seccomp_data, instruction_pointer);
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, from, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, to, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof steps / sizeof steps[0], steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

const char *fault_catch(const void *code, struct fault_report *use)
{
    struct code co = {(uintptr_t)code, 0, 0};
    struct sigaction action;
    report = use;
    if (!dl_iterate_phdr(code_find, &co)) return "the object's code was not found";
    if (co.from >> 32 != co.to >> 32) return "the object's code crosses 4 GB"; /* once in 10,000 starts */
    memset(&action, 0, sizeof action);
    action.sa_sigaction = trapped;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
    if (set_handler(SIGSYS, &action, NULL) != 0) return "there is no handler for SIGSYS";
    if (!filter_install(&co)) return "seccomp filters are not allowed here";
    return NULL;
}

#else

const char *fault_catch(const void *code, struct fault_report *use)
{
    (void)code;
    report = use;
    (void)plan;
    (void)call_errno;
    (void)set_handler;
    return "system calls are caught on x86-64 only";
}

#endif
