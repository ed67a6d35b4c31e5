/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* elf.c -- judges an ELF file: what it is, who loads it, with what privileges it would start.
 *
 * Owns:    nothing.  Calls: libc.  Locks: none.
 * Why:     the loader says nothing when it ignores LD_PRELOAD; people then measure or debug
 *          a heap that is not there. */
#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "command.h"
#include "judge.h"

#if defined __aarch64__
#define ELF_MACHINE EM_AARCH64
#define ELF_LOADER "ld-linux-aarch64.so.1"
#define ELF_LOADER_PATH "/lib/" ELF_LOADER
#else
#define ELF_MACHINE EM_X86_64
#define ELF_LOADER "ld-linux-x86-64.so.2"
#define ELF_LOADER_PATH "/lib64/" ELF_LOADER
#endif

enum { ELF_TAGS_MAX = 512 }; /* dynamic entries looked at */

static bool read_at(const struct candidate *c, uint64_t offset, void *to, size_t bytes)
{
    return pread(c->fd, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* ---- privileges -------------------------------------------------------- */

/* Would the kernel honour set-user-ID bits and capabilities of this file at all? */
static bool gains_privileges(const struct candidate *c)
{
    struct statvfs system;
    bool is_nosuid = fstatvfs(c->fd, &system) == 0 && (system.f_flag & ST_NOSUID) != 0;
    return !is_nosuid && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

/* Source: Linux, security/commoncap.c: AT_SECURE is set when the effective ids will differ
 * from the real ones, or when a file's capabilities raise those of a user other than root. */
static const char *secure_why(const struct candidate *c)
{
    struct stat file;
    if (fstat(c->fd, &file) != 0) return NULL;
    bool gains = gains_privileges(c);
    bool is_setuid = gains && (file.st_mode & S_ISUID) != 0;
    bool is_setgid = gains && (file.st_mode & S_ISGID) != 0 && (file.st_mode & S_IXGRP) != 0;
    if ((is_setuid ? file.st_uid : geteuid()) != getuid()) return "it is set-user-ID";
    if ((is_setgid ? file.st_gid : getegid()) != getgid()) return "it is set-group-ID";
    bool has_capabilities = gains && fgetxattr(c->fd, "security.capability", NULL, 0) > 0;
    return has_capabilities && getuid() != 0 ? "it has file capabilities" : NULL;
}

static bool judge_privileges(const struct candidate *c)
{
    const char *why = secure_why(c);
    if (why == NULL) return true;
    return REFUSE(c, EXIT_OWN_ERROR,
                  "cannot be preloaded: %s, so the loader ignores LD_PRELOAD (AT_SECURE)", why);
}

/* ---- ELF --------------------------------------------------------------- */

static bool damaged(const struct candidate *c)
{
    return REFUSE(c, EXIT_CANNOT_EXECUTE, "is a damaged ELF file%s", "");
}

static const char *machine_name(unsigned machine)
{
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = { { EM_386, "x86" },         { EM_X86_64, "x86-64" }, { EM_ARM, "ARM" },
                  { EM_AARCH64, "AArch64" }, { EM_RISCV, "RISC-V" },  { EM_PPC64, "PowerPC" },
                  { EM_S390, "S/390" },      { EM_MIPS, "MIPS" } };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].machine == machine) return names[i].name;
    return "another machine";
}

/* Is this file the loader itself, which takes a program as its argument? */
static bool is_loader(const struct candidate *c)
{
    struct stat file, loader;
    return fstat(c->fd, &file) == 0 && stat(ELF_LOADER_PATH, &loader) == 0
           && file.st_dev == loader.st_dev && file.st_ino == loader.st_ino;
}

static bool has_pie_flag(const struct candidate *c, const Elf64_Phdr *dynamic)
{
    for (uint64_t i = 0; i < dynamic->p_filesz / sizeof(Elf64_Dyn) && i < ELF_TAGS_MAX; i++) {
        Elf64_Dyn entry;
        if (!read_at(c, dynamic->p_offset + i * sizeof entry, &entry, sizeof entry)) return false;
        if (entry.d_tag == DT_NULL) return false;
        if (entry.d_tag == DT_FLAGS_1) return (entry.d_un.d_val & DF_1_PIE) != 0;
    }
    return false;
}

/* No loader is named: a static program, a shared library, or the loader itself. */
static bool judge_without_loader(const struct candidate *c, const Elf64_Ehdr *head,
                                 const Elf64_Phdr *dynamic)
{
    if (is_loader(c)) return true;
    bool is_library = head->e_type == ET_DYN && !(dynamic != NULL && has_pie_flag(c, dynamic));
    if (is_library)
        return REFUSE(c, EXIT_CANNOT_EXECUTE, "is a shared library, not a program%s", "");
    return REFUSE(c, EXIT_OWN_ERROR,
                  "cannot be preloaded: it is statically linked, no loader reads LD_PRELOAD%s", "");
}

static bool judge_loader(const struct candidate *c, const Elf64_Phdr *interp)
{
    char loader[512];
    bool fits = interp->p_filesz > 1 && interp->p_filesz <= sizeof loader;
    if (!fits || !read_at(c, interp->p_offset, loader, interp->p_filesz)) return damaged(c);
    if (loader[interp->p_filesz - 1] != '\0') return damaged(c);
    const char *slash = strrchr(loader, '/');
    if (strstr(loader, "ld-musl") != NULL)
        return REFUSE(c, EXIT_OWN_ERROR, "cannot be preloaded: it uses musl (%s), not glibc",
                      loader);
    if (strcmp(slash == NULL ? loader : slash + 1, ELF_LOADER) != 0)
        return REFUSE(c, EXIT_OWN_ERROR, "cannot be preloaded: its loader is %s, not glibc's %s",
                      loader, ELF_LOADER);
    if (access(loader, F_OK) != 0)
        return REFUSE(c, EXIT_CANNOT_EXECUTE, "cannot start: its loader %s is missing", loader);
    return true;
}

static bool judge_segments(const struct candidate *c, const Elf64_Ehdr *head)
{
    Elf64_Phdr part, dynamic;
    bool has_dynamic = false;
    for (unsigned i = 0; i < head->e_phnum; i++) {
        if (!read_at(c, head->e_phoff + i * sizeof part, &part, sizeof part)) return damaged(c);
        if (part.p_type == PT_INTERP) return judge_loader(c, &part) && judge_privileges(c);
        if (part.p_type != PT_DYNAMIC) continue;
        dynamic = part;
        has_dynamic = true;
    }
    return judge_without_loader(c, head, has_dynamic ? &dynamic : NULL);
}

bool ph_elf_can_preload(const struct candidate *c)
{
    Elf64_Ehdr head;
    unsigned char *ident = head.e_ident;
    if (!read_at(c, 0, ident, EI_NIDENT)) return damaged(c);
    if (ident[EI_CLASS] == ELFCLASS32)
        return REFUSE(c, EXIT_OWN_ERROR,
                      "cannot be preloaded: it is a 32-bit program, privheap is 64-bit%s", "");
    if (ident[EI_CLASS] != ELFCLASS64 || !read_at(c, 0, &head, sizeof head)) return damaged(c);
    bool is_ours = ident[EI_DATA] == ELFDATA2LSB && head.e_machine == ELF_MACHINE;
    if (!is_ours)
        return REFUSE(c, EXIT_OWN_ERROR, "cannot be preloaded: it is made for %s, not for %s",
                      ident[EI_DATA] == ELFDATA2LSB ? machine_name(head.e_machine)
                                                    : "a big-endian machine",
                      machine_name(ELF_MACHINE));
    if (head.e_type != ET_EXEC && head.e_type != ET_DYN)
        return REFUSE(c, EXIT_CANNOT_EXECUTE, "is not a program but %s",
                      head.e_type == ET_REL ? "an object file; link it first" : "a core file");
    if (head.e_phentsize != sizeof(Elf64_Phdr)) return damaged(c);
    return judge_segments(c, &head);
}
