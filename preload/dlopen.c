/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* dlopen.c -- dlopen without RTLD_DEEPBIND.
 *
 * Owns:    the address of the dlopen behind ours.
 * Why:     a plug-in opened with that flag binds to libc's own free and would be handed our blocks.
 *          A jump, not a call: dlopen finds the caller's RUNPATH by its return address. */
#include "../lib/internal.h"
#include "family.h"

#include <dlfcn.h>

#if defined(__x86_64__) && defined(RTLD_DEEPBIND)

static_assert(RTLD_DEEPBIND == 8, "the instruction below clears this bit");

extern void *(*ph_next_dlopen)(const char *, int);
void *(*ph_next_dlopen)(const char *, int) __attribute__((visibility("hidden"), used));
void ph_find_dlopen(void) __attribute__((visibility("hidden"), used));

void ph_find_dlopen(void)
{
    if (ph_next_dlopen == NULL)
        ph_next_dlopen = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
}

__asm__(".text\n"
        ".globl dlopen\n"
        ".type dlopen, @function\n"
        "dlopen:\n"
        "    .cfi_startproc\n"
        "    movq ph_next_dlopen(%rip), %rax\n"
        "    testq %rax, %rax\n"
        "    jne 1f\n"
        "    pushq %rdi\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    pushq %rsi\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    subq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    call ph_find_dlopen\n"
        "    addq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    popq %rsi\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    popq %rdi\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    movq ph_next_dlopen(%rip), %rax\n"
        "1:  andl $~8, %esi\n"
        "    jmp *%rax\n"
        "    .cfi_endproc\n"
        ".size dlopen, . - dlopen\n");

#endif
