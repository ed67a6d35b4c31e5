/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* dlopen.c -- dlopen and dlmopen without RTLD_DEEPBIND.
 *
 * Owns:    the addresses of the functions behind ours.
 * Why:     a plug-in opened with that flag binds to libc's own free and would be handed our blocks.
 *          A jump, not a call: the loader finds the caller, and by it the RUNPATH and the namespace, by the
 *          return address.  In another namespace the plug-in has another libc anyhow: there the flag stays. */
#include "../lib/internal.h"
#include "family.h"

#include <dlfcn.h>

#if defined(RTLD_DEEPBIND) && (defined(__x86_64__) || defined(__aarch64__))

static_assert(RTLD_DEEPBIND == 8 && LM_ID_BASE == 0, "the instructions below clear this bit, for that namespace");

typedef void next_function(void);
extern next_function *ph_next_dlopen, *ph_next_dlmopen;
next_function *ph_next_dlopen __attribute__((visibility("hidden"), used));
next_function *ph_next_dlmopen __attribute__((visibility("hidden"), used));
void ph_find_next_dlopen(void) __attribute__((visibility("hidden"), used));

/* Two threads that come first find the same. */
void ph_find_next_dlopen(void)
{
    __atomic_store_n(&ph_next_dlmopen, (next_function *)dlsym(RTLD_NEXT, "dlmopen"), __ATOMIC_RELAXED);
    __atomic_store_n(&ph_next_dlopen, (next_function *)dlsym(RTLD_NEXT, "dlopen"), __ATOMIC_RELAXED);
}

#if defined(__x86_64__)

/* `clear` may use the arguments' registers, and leaves them as the next function shall find them. */
#define JUMP_WITHOUT_FLAG(name, clear)                 \
    __asm__(".text\n"                                  \
            ".globl " #name "\n"                       \
            ".type " #name ", @function\n"             \
            #name ":\n"                                \
            "    .cfi_startproc\n"                     \
            "    movq ph_next_" #name "(%rip), %rax\n" \
            "    testq %rax, %rax\n"                   \
            "    jne 1f\n"                             \
            "    pushq %rdi\n"                         \
            "    .cfi_adjust_cfa_offset 8\n"           \
            "    pushq %rsi\n"                         \
            "    .cfi_adjust_cfa_offset 8\n"           \
            "    pushq %rdx\n"                         \
            "    .cfi_adjust_cfa_offset 8\n"           \
            "    call ph_find_next_dlopen\n"           \
            "    popq %rdx\n"                          \
            "    .cfi_adjust_cfa_offset -8\n"          \
            "    popq %rsi\n"                          \
            "    .cfi_adjust_cfa_offset -8\n"          \
            "    popq %rdi\n"                          \
            "    .cfi_adjust_cfa_offset -8\n"          \
            "    movq ph_next_" #name "(%rip), %rax\n" \
            "1:\n" clear                               \
            "2:  jmp *%rax\n"                          \
            "    .cfi_endproc\n"                       \
            ".size " #name ", . - " #name "\n")

JUMP_WITHOUT_FLAG(dlopen, "    andl $~8, %esi\n");
JUMP_WITHOUT_FLAG(dlmopen, "    testq %rdi, %rdi\n"
                           "    jne 2f\n"
                           "    andl $~8, %edx\n");

#else

#define JUMP_WITHOUT_FLAG(name, clear)                         \
    __asm__(".text\n"                                          \
            ".globl " #name "\n"                               \
            ".type " #name ", %function\n"                     \
            #name ":\n"                                        \
            "    .cfi_startproc\n"                             \
            "    hint #34\n"                                   \
            "    adrp x16, ph_next_" #name "\n"                \
            "    ldr x16, [x16, #:lo12:ph_next_" #name "]\n"   \
            "    cbnz x16, 1f\n"                               \
            "    stp x29, x30, [sp, #-48]!\n"                  \
            "    .cfi_def_cfa_offset 48\n"                     \
            "    .cfi_offset 29, -48\n"                        \
            "    .cfi_offset 30, -40\n"                        \
            "    stp x0, x1, [sp, #16]\n"                      \
            "    str x2, [sp, #32]\n"                          \
            "    bl ph_find_next_dlopen\n"                     \
            "    ldr x2, [sp, #32]\n"                          \
            "    ldp x0, x1, [sp, #16]\n"                      \
            "    ldp x29, x30, [sp], #48\n"                    \
            "    .cfi_restore 29\n"                            \
            "    .cfi_restore 30\n"                            \
            "    .cfi_def_cfa_offset 0\n"                      \
            "    adrp x16, ph_next_" #name "\n"                \
            "    ldr x16, [x16, #:lo12:ph_next_" #name "]\n"   \
            "1:\n" clear                                       \
            "2:  br x16\n"                                     \
            "    .cfi_endproc\n"                               \
            ".size " #name ", . - " #name "\n")

JUMP_WITHOUT_FLAG(dlopen, "    and w1, w1, #0xfffffff7\n");
JUMP_WITHOUT_FLAG(dlmopen, "    cbnz x0, 2f\n"
                           "    and w2, w2, #0xfffffff7\n");

#endif
#endif
