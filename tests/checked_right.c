/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * checked_right.c -- for checked.c: programs that name more memory than they touch, and are correct. */
#include "checked_right.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <wchar.h>

enum { PAGE = 4096, MUCH = 100000 };

/* The compiler knows nothing of it any more. */
static void *hidden(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

/* A block without an end of text; of a page's bytes its end is a guard. */
static char *block_of(size_t bytes, char with)
{
    char *block = malloc(bytes);
    memset(block, with, bytes);
    return hidden(block);
}

/* ---- answers that are clear within the block --------------------------------------------------------- */

static void compared(void)
{
    char *one = block_of(24, 'a'), *other = block_of(PAGE, 'a');
    other[23] = 'b';
    need(memcmp(one, other, MUCH) < 0 && memcmp(other, one, MUCH) > 0 && bcmp(one, other, MUCH) != 0);
    need(strncmp(one, other, MUCH) < 0 && strcmp(one, other) < 0 && strcmp(other, one) > 0);
    other[10] = one[10] = '\0';
    need(strncmp(one, other, MUCH) == 0 && strcmp(one, other) == 0 && strncmp(one, other, SIZE_MAX) == 0);
}

static void found(void)
{
    char *block = block_of(PAGE, 'a');
    block[PAGE - 1] = '!';
    need(memchr(block, '!', MUCH) == block + PAGE - 1 && memchr(block, '!', SIZE_MAX) == block + PAGE - 1);
    need(strchr(block, '!') == block + PAGE - 1 && strstr(block, "a!") == block + PAGE - 2);
    block[PAGE - 1] = '\0';
    need(strnlen(block, MUCH) == PAGE - 1 && strnlen(block, SIZE_MAX) == PAGE - 1);
    need(strrchr(block, '!') == NULL && strchr(block, '!') == NULL && strstr(block, "!") == NULL);
    need(strstr("", block) == NULL && strcmp(strndup(block, MUCH), block) == 0 && strndup(block, SIZE_MAX) != NULL);
}

static void copied_to_the_end_of_text(void)
{
    static char to[MUCH];
    char *from = block_of(24, 'a'), *small = block_of(8, 'b');
    from[6] = '\0';
    strncpy(to, from, MUCH);
    need(strcmp(to, from) == 0 && strcmp(strncat(to, from, MUCH), "aaaaaaaaaaaa") == 0);
    volatile size_t any = SIZE_MAX; /* the compiler asks whether it was meant */
    need(strncat(to, from, any) == to);
    small[0] = '\0';
    need(strcmp(strncat(small, from, any), "aaaaaa") == 0);
}

static void wide_to_the_end(void)
{
    static wchar_t to[100];
    wchar_t *from = hidden(calloc(6, sizeof *from));
    wmemset(from, L'a', 5);
    need(wcslen(from) == 5 && wcsnlen(from, 100) == 5 && wcsncpy(to, from, 100) == to);
}

/* ---- nothing at all ------------------------------------------------------------------------------------- */

static void nothing(void)
{
    static char to[8];
    volatile size_t none = 0; /* the compiler asks whether it was meant */
    char *block = block_of(PAGE, 'a'), *volatile gone = block_of(24, 'b');
    free(gone);
    memcpy(block + PAGE, to, 0);
    memcpy(to, gone, 0);
    memset(gone, 1, none);
    memmove(gone - 1, block + PAGE, 0);
    need(memcmp(gone, block, 0) == 0 && strncmp(gone, block, 0) == 0 && memchr(gone, 'a', 0) == NULL && strnlen(gone, 0) == 0);
    strncpy(gone, to, 0);
    need(snprintf(gone, 0, "%d", 12345) == 5 && write(STDOUT_FILENO, gone, 0) == 0);
}

/* One byte is sent to find out whether there is memory. */
static void probed(void)
{
    int ends[2];
    char *volatile gone = block_of(PAGE, 'a');
    free(gone);
    need(pipe(ends) == 0 && write(ends[1], gone, 1) == -1 && errno == EFAULT);
}

/* A descriptor that is none: nothing is touched. */
static void refused(void)
{
    char *block = block_of(PAGE, 'a');
    need(write(-1, block, MUCH) == -1 && errno == EBADF && read(-1, block, MUCH) == -1 && errno == EBADF);
}

/* ---- less comes than is asked for ---------------------------------------------------------------------- */

static void read_less(void)
{
    char *block = block_of(PAGE, 'a');
    int ends[2];
    const int file = memfd_create("file", 0);
    need(pipe(ends) == 0 && write(ends[1], block, PAGE) == PAGE && write(file, block, PAGE) == PAGE);
    need(read(ends[0], block, MUCH) == PAGE);
    need(lseek(file, 0, SEEK_SET) == 0 && read(file, block, MUCH) == PAGE && read(file, block, MUCH) == 0);
    need(pread(file, block, MUCH, 0) == PAGE && pread(file, block, MUCH, 1000) == PAGE - 1000);
}

/* A pipe that gives one message at a time, and another one waits. */
static void read_message(void)
{
    char *block = block_of(PAGE, 'a');
    int ends[2];
    need(pipe2(ends, O_DIRECT) == 0);
    need(write(ends[1], block, PAGE) == PAGE && write(ends[1], block, PAGE) == PAGE);
    need(read(ends[0], block, MUCH) == PAGE && read(ends[0], block, MUCH) == PAGE);
}

static void received_less(void)
{
    char *block = block_of(PAGE, 'a');
    int ends[2];
    need(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
    for (unsigned i = 0; i < 4; i++) need(send(ends[0], block, PAGE, 0) == PAGE);
    need(recv(ends[1], block, MUCH, 0) == PAGE && recvfrom(ends[1], block, MUCH, 0, NULL, NULL) == PAGE);
    need(recv(ends[1], block, 10, MSG_TRUNC | MSG_PEEK) == PAGE);
    need(read(ends[1], block, MUCH) == PAGE);
    struct iovec both[2] = {{block, 1000}, {block + 1000, MUCH}};
    need(readv(ends[1], both, 2) == PAGE);
}

/* It says how much there was, not how much it put; of TCP it puts nothing. */
static void told_the_length(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof here;
    char *small = block_of(16, 'a'), *block = block_of(PAGE, 'a');
    const int listening = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listening, (struct sockaddr *)&here, sizeof here) != 0 || listen(listening, 1) != 0) return; /* no network here */
    need(getsockname(listening, (struct sockaddr *)&here, &bytes) == 0 && connect(out, (struct sockaddr *)&here, sizeof here) == 0);
    const int in = accept(listening, NULL, NULL);
    need(send(out, block, PAGE, 0) == PAGE && recv(in, small, PAGE, MSG_TRUNC | MSG_WAITALL) == PAGE);
}

static void lines_shorter(void)
{
    char *block = block_of(16, 'a');
    static char text[] = "one\ntwo\n123456789012345";
    FILE *file = fmemopen(text, sizeof text - 1, "r");
    need(fgets(block, MUCH, file) == block && strcmp(block, "one\n") == 0);
    need(fread(block, 1, 4, file) == 4 && fgets(block, MUCH, file) == block && strlen(block) == 15);
    need(fread(block, 1, MUCH, file) == 0 && fgets(block, MUCH, file) == NULL);
    need(snprintf(block, MUCH, "%s", "123456789012345") == 15 && sprintf(block, "%d", 7) == 1);
}

/* ---- memory that lives for others ------------------------------------------------------------------------ */

/* Who has read what was written frees the block that it was written from, before the writer knows. */
enum { MESSAGES = 3000 };

static void *free_what_comes(void *ends)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        void *block;
        need(read(*(int *)ends, &block, sizeof block) == sizeof block);
        free(block);
    }
    return NULL;
}

static void freed_by_reader(void)
{
    int ends[2];
    pthread_t reader;
    need(pipe(ends) == 0 && pthread_create(&reader, NULL, free_what_comes, ends) == 0);
    for (unsigned i = 0; i < MESSAGES; i++) {
        void **block = hidden(malloc(sizeof *block));
        *block = block;
        need(write(ends[1], block, sizeof *block) == sizeof *block);
    }
    need(pthread_join(reader, NULL) == 0);
}

/* The Win32 names have no default version. */
static void (*win32(const char *name))(void)
{
    void (*function)(void) = (void (*)(void))dlvsym(RTLD_DEFAULT, name, "PRIVHEAP_1.0");
    need(function != NULL);
    return function;
}

/* W32 2.8: freed memory of a heap with fills is filled, and can be read.  The engine puts the tail anew by memset where a
 * block becomes shorter. */
static void private_blocks(void)
{
    void *(*create)(uint32_t, size_t, size_t) = (void *(*)(uint32_t, size_t, size_t))win32("HeapCreate");
    void *(*take)(void *, uint32_t, size_t) = (void *(*)(void *, uint32_t, size_t))win32("HeapAlloc");
    void *(*resize)(void *, uint32_t, void *, size_t) = (void *(*)(void *, uint32_t, void *, size_t))win32("HeapReAlloc");
    int (*give)(void *, uint32_t, void *) = (int (*)(void *, uint32_t, void *))win32("HeapFree");
    enum { FILLS = 0x20 | 0x40, IN_PLACE = 0x10 };
    static char copy[40];
    void *heap = create(FILLS, 0, 0), *block = take(heap, 0, 40);
    memset(block, 'a', 40);
    need(resize(heap, IN_PLACE, block, 30) == block && resize(heap, IN_PLACE, block, 33) == block);
    memset(block, 'a', 33);
    need(give(heap, 0, block));
    memcpy(copy, block, 33);
    need(copy[0] == (char)0xee || copy[0] == (char)0xfe);
}

/* Resized where it stands, and by moves. */
static void resized(void)
{
    char *block = NULL;
    for (size_t bytes = 1; bytes < 3 * PAGE; bytes += 7) {
        block = hidden(realloc(block, bytes));
        memset(block, 'a', bytes);
        need(write(STDOUT_FILENO, block, bytes) == (ssize_t)bytes && strnlen(block, bytes) == bytes);
    }
    for (size_t bytes = 3 * PAGE; bytes > 10; bytes -= 9) {
        block = hidden(realloc(block, bytes));
        memset(block, 'a', bytes);
        need(memchr(block, 'b', bytes) == NULL);
    }
}

/* ---- before anything is ready ------------------------------------------------------------------------------ */

#if defined(__GLIBC__) && defined(__x86_64__)
/* The loader asks while it relocates the program: no constructor has run. */
static int early_answer(void) { return 1; }
static int early_refusal(void) { return 0; }

__attribute__((used)) static int (*early_chosen(void))(void)
{
    static char to[64], from[] = "some words";
    const void *middle = memchr(from, ' ', sizeof from);
    memset(to, 'b', sizeof to);
    memcpy(to, from, sizeof from);
    memmove(to + 5, to + 2, 6);
    memmove(to + 8, to + 9, 2);
    to[10] = '\0';
    const int good = memcmp(to, "some me or", 10) == 0 && middle == from + 4 && strlen(to) == 10 && strcmp(to, from) < 0 &&
                     strncmp(to, from, 5) == 0 && strchr(to, 'm') == to + 2 && strrchr(to, 'm') == to + 5 && strnlen(to, 3) == 3;
    return good ? early_answer : early_refusal;
}

static int early(void) __attribute__((ifunc("early_chosen")));

static void before_all(void)
{
    need(early() == 1);
}
#else
static void before_all(void) {}
#endif

const struct right rights[] = {
    {"compared", compared}, {"found", found}, {"copied to the end of text", copied_to_the_end_of_text},
    {"wide to the end", wide_to_the_end}, {"nothing", nothing}, {"probed", probed}, {"refused", refused},
    {"read less", read_less}, {"read message", read_message}, {"received less", received_less},
    {"told the length", told_the_length}, {"lines shorter", lines_shorter}, {"freed by reader", freed_by_reader},
    {"private blocks", private_blocks}, {"resized", resized},
    {"before all", before_all}, {NULL, NULL},
};
