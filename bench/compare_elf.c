/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_elf.c -- can a file be preloaded as an allocator; has a program a malloc of its own?
 *
 * Owns:    nothing.  Calls: libc.  Locks: none.
 * Why:     the loader only prints a line when it cannot preload a file, and says nothing when the program's
 * own malloc comes first: the table would then show the C library under another name. */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compare.h"

/* A file in memory. */
struct view {
    const unsigned char *bytes;
    size_t size;
};

static bool view_open(const char *path, struct view *v)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    v->bytes = MAP_FAILED;
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size > 0) {
        v->size = (size_t)file.st_size;
        v->bytes = mmap(NULL, v->size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    close(fd);
    return v->bytes != MAP_FAILED;
}

static const void *view_at(const struct view *v, uint64_t offset, uint64_t size)
{
    return offset <= v->size && size <= v->size - offset ? v->bytes + offset : NULL;
}

/* Is the symbol malloc, defined here for others to use? */
static bool is_malloc(const Elf64_Sym *symbol, const char *names, uint64_t names_size)
{
    return symbol->st_shndx != SHN_UNDEF && symbol->st_name + sizeof "malloc" <= names_size &&
           memcmp(names + symbol->st_name, "malloc", sizeof "malloc") == 0;
}

static bool has_malloc(const struct view *v, const Elf64_Shdr *symbols, const Elf64_Shdr *strings)
{
    const Elf64_Sym *all = view_at(v, symbols->sh_offset, symbols->sh_size);
    const char *names = view_at(v, strings->sh_offset, strings->sh_size);
    if (all == NULL || names == NULL) return false;
    for (uint64_t i = 0; i < symbols->sh_size / sizeof *all; i++)
        if (is_malloc(&all[i], names, strings->sh_size)) return true;
    return false;
}

static bool exports_malloc(const struct view *v, const Elf64_Ehdr *head)
{
    const Elf64_Shdr *sections = view_at(v, head->e_shoff, (uint64_t)head->e_shnum * sizeof *sections);
    if (sections == NULL || head->e_shentsize != sizeof *sections) return false;
    for (unsigned i = 0; i < head->e_shnum; i++)
        if (sections[i].sh_type == SHT_DYNSYM && sections[i].sh_link < head->e_shnum &&
            has_malloc(v, &sections[i], &sections[sections[i].sh_link]))
            return true;
    return false;
}

/* The machine that this command is made for is the one it can start programs on. */
static unsigned own_machine(void)
{
    Elf64_Ehdr head = { .e_machine = EM_NONE };
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return EM_NONE;
    if (read(fd, &head, sizeof head) != (ssize_t)sizeof head) head.e_machine = EM_NONE;
    close(fd);
    return head.e_machine;
}

static enum object_kind kind_of(const struct view *v)
{
    const Elf64_Ehdr *head = view_at(v, 0, sizeof *head);
    if (head == NULL || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) return OBJECT_NO_LIBRARY;
    unsigned machine = own_machine();
    if (head->e_ident[EI_CLASS] != ELFCLASS64 || (machine != EM_NONE && head->e_machine != machine))
        return OBJECT_OTHER_MACHINE;
    if (head->e_type != ET_DYN && head->e_type != ET_EXEC) return OBJECT_NO_LIBRARY;
    return exports_malloc(v, head) ? OBJECT_ALLOCATOR : OBJECT_NO_MALLOC;
}

enum object_kind ph_object_kind(const char *path)
{
    struct view v;
    if (!view_open(path, &v)) return access(path, R_OK) == 0 ? OBJECT_NO_LIBRARY : OBJECT_UNREADABLE;
    enum object_kind kind = kind_of(&v);
    munmap((void *)(uintptr_t)v.bytes, v.size);
    return kind;
}
