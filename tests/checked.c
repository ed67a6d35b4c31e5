/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * checked.c -- libprivheap-check.so: each function that it takes from libc is told of when it goes beyond a block,
 * by that function's name and to the byte, and never else.
 *
 *   checked          starts itself again with both objects, and runs each case in a process of its own
 *
 * A case is a call of checked.def with a place: within a block, up to its end, one unit beyond, from one before, after its
 * free.  Correct programs that look like bugs stand below. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

#include "checked_right.h"

#define REAL(result, name, parameters)
#define CHK(result, name, parameters) result name parameters;
#ifdef __GLIBC__
#include "../preload/checkreal.def"
int __sprintf_chk(char *to, int flag, size_t known, const char *format, ...);
int __snprintf_chk(char *to, size_t bytes, int flag, size_t known, const char *format, ...);
#endif

enum { BIG = 1 << 16, SAID_BYTES = 2000 };
enum { WRITES = 1, READS = 2, TEXT = 4, LATE = 8, APPENDS = 16 };

static char spare[2 * BIG], other[BIG];
static wchar_t wide_spare[BIG], wide_other[BIG];
static int zeros, nowhere;
static FILE *letters_file, *nowhere_file;

void need(bool condition)
{
    if (!condition) _exit(9);
}

/* ---- what the calls need ------------------------------------------------------------------------ */

static void fill(char *at, size_t bytes)
{
    for (volatile char *v = at; bytes > 0; bytes--) *v++ = 'a';
}

static void wide_fill(wchar_t *at, size_t count)
{
    for (volatile wchar_t *v = at; count > 0; count--) *v++ = L'a';
}

static char *alike(size_t bytes)
{
    fill(other, bytes);
    return other;
}

static char *letters(size_t count)
{
    fill(other, count);
    other[count] = '\0';
    return other;
}

static char *like_text(size_t bytes)
{
    return letters(bytes - 1);
}

static wchar_t *wide_letters(size_t count)
{
    wide_fill(wide_other, count);
    wide_other[count] = L'\0';
    return wide_other;
}

/* An empty text to which others are added. */
static char *ending(char *at)
{
    *(volatile char *)at = '\0';
    return at;
}

static wchar_t *wide_ending(char *at)
{
    *(volatile wchar_t *)(void *)at = L'\0';
    return (void *)at;
}

static int filled_file(void)
{
    const int fd = memfd_create("file", 0);
    need(ftruncate(fd, BIG) == 0);
    return fd;
}

static int a_socket(void)
{
    int ends[2];
    need(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
    return ends[0];
}

static int filled_socket(size_t bytes)
{
    int ends[2];
    need(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && send(ends[1], other, bytes, 0) == (ssize_t)bytes);
    return ends[0];
}

static const struct iovec *pieces(char *at, size_t bytes)
{
    static struct iovec both[2];
    both[0] = (struct iovec){spare, 10};
    both[1] = (struct iovec){at, bytes};
    return both;
}

__attribute__((format(printf, 3, 4))) static int by_list(char *to, size_t bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int result = bytes == SIZE_MAX ? vsprintf(to, format, arguments) : vsnprintf(to, bytes, format, arguments);
    va_end(arguments);
    return result;
}

#ifdef __GLIBC__
__attribute__((format(printf, 3, 4))) static int by_checked_list(char *to, size_t bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int result = bytes == SIZE_MAX ? __vsprintf_chk(to, 0, SIZE_MAX, format, arguments)
                                         : __vsnprintf_chk(to, bytes, 0, SIZE_MAX, format, arguments);
    va_end(arguments);
    return result;
}
#endif

static void open_files(void)
{
    const int file = filled_file();
    for (unsigned i = 0; i < BIG; i++) need(pwrite(file, "x", 1, i) == 1);
    zeros = open("/dev/zero", O_RDONLY);
    nowhere = open("/dev/null", O_WRONLY);
    letters_file = fdopen(file, "r");
    nowhere_file = fopen("/dev/null", "w");
    need(zeros >= 0 && nowhere >= 0 && letters_file != NULL && nowhere_file != NULL);
}

/* ---- the calls ------------------------------------------------------------------------------------- */

#pragma GCC diagnostic ignored "-Wcast-align"
#define ACT(name, function, kind, expression)                                              \
    static void do_##name(char *at, size_t bytes)                                          \
    {                                                                                      \
        (void)bytes;                                                                       \
        (void)!(expression, 1);                                                            \
    }
#define WIDE(name, function, kind, expression)                                             \
    static void do_##name(char *at, size_t bytes)                                          \
    {                                                                                      \
        const size_t count = bytes / sizeof(wchar_t);                                      \
        (void)count;                                                                       \
        (void)!(expression, 1);                                                            \
    }
#include "checked.def"
#undef ACT
#undef WIDE

struct act {
    const char *name, *function;
    void (*call)(char *at, size_t bytes);
    int kind;
    size_t unit;
};

static const struct act acts[] = {
#define ACT(name, function, kind, expression) {#name, function, do_##name, kind, 1},
#define WIDE(name, function, kind, expression) {#name, function, do_##name, kind, sizeof(wchar_t)},
#include "checked.def"
#undef ACT
#undef WIDE
};
enum { ACTS = sizeof acts / sizeof *acts };

enum place { WITHIN, UP_TO_END, BEYOND, BEFORE, FREED, PLACES };
static const char place_names[PLACES][16] = {"within", "up to the end", "beyond", "before", "after free"};

static void act_at(const struct act *a, size_t size, enum place place)
{
    char *block = malloc(size), *at = block;
    size_t bytes = size;
    fill(block, size);
    for (size_t i = 0; a->unit > 1 && i < size / a->unit; i++) ((volatile wchar_t *)(void *)block)[i] = L'a';
    if (place == WITHIN) at += a->unit, bytes -= 2 * a->unit;
    if ((a->kind & TEXT) && place <= UP_TO_END) memset(at + bytes - a->unit, 0, a->unit);
    if (place == BEYOND) bytes += a->unit;
    if (place == BEFORE) at -= a->unit;
    if (place == FREED) free(block);
    a->call(at, bytes);
    if (place != FREED) free(block);
}

/* ---- one case in a process of its own --------------------------------------------------------------- */

static char said[SAID_BYTES];

struct job {
    const struct act *act;
    size_t size;
    enum place place;
    void (*right)(void);
};

static _Noreturn void become(const struct job *jo, int errors)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    need(dup2(errors, STDERR_FILENO) >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0);
    rewind(letters_file); /* all children share where it stands */
    if (jo->right != NULL) jo->right();
    else act_at(jo->act, jo->size, jo->place);
    _exit(0);
}

/* The status; what it said is in `said`. */
static int run(const struct job *jo)
{
    const int errors = memfd_create("said", 0);
    int status = -1;
    const pid_t child = fork();
    if (child == 0) become(jo, errors);
    need(waitpid(child, &status, 0) == child);
    const ssize_t bytes = pread(errors, said, sizeof said - 1, 0);
    said[bytes > 0 ? bytes : 0] = '\0';
    close(errors);
    return status;
}

static bool says(const char *words)
{
    return strstr(said, words) != NULL;
}

/* The first line, and the first frame. */
static bool is_told(const struct act *a, enum place place)
{
    static const char first[] = "    #0 checked+";
    static const char kinds[PLACES][32] = {[BEYOND] = "behind the end", [BEFORE] = "before the start", [FREED] = "after free"};
    const bool is_read = (a->kind & (READS | TEXT)) != 0, is_late = place == FREED && (a->kind & LATE);
    char words[100];
    snprintf(words, sizeof words, " %s %s%s%s: 0x", is_read ? "read" : "write", kinds[place], is_late ? "" : ", by ",
             is_late ? "" : a->function);
    if (!says(words) && !(is_late && says(a->function) && says(kinds[place]))) return false;
    snprintf(words, sizeof words, "%zu bytes before block", a->unit);
    if (place == BEYOND && !says(", 0 bytes behind the end of block")) return false;
    if (place == BEFORE && !says(words)) return false;
    return is_late || strncmp(strchr(said, '\n') + 1, first, sizeof first - 1) == 0;
}

static unsigned wrong;

static void judge(const struct act *a, size_t size, enum place place)
{
    const int status = run(&(struct job){.act = a, .size = size, .place = place});
    const bool is_right = place <= UP_TO_END;
    if (is_right ? status == 0 && said[0] == '\0' : WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && is_told(a, place))
        return;
    wrong++;
    printf("%s, %s, block of %zu bytes: status %#x, said: %.500s\n", a->name, place_names[place], size, (unsigned)status, said);
}

/* ---- all of them -------------------------------------------------------------------------------------- */

static const char check_object[] = "libprivheap-check.so";

/* Both objects lie side by side. */
static void start_again(char **argv)
{
    const char *object = getenv("preload_object");
    char list[2 * PATH_MAX];
    if (object == NULL) object = "preload/.libs/libprivheap-preload.so";
    const char *slash = strrchr(object, '/');
    if (getenv("PRIVHEAP_STRESS") != NULL && strstr(getenv("LD_PRELOAD"), check_object) != NULL) return;
    snprintf(list, sizeof list, "%s:%.*s%s", object, slash != NULL ? (int)(slash + 1 - object) : 0, object, check_object);
    if (access(strchr(list, ':') + 1, R_OK) != 0) {
        printf("there is no %s\n", strchr(list, ':') + 1);
        exit(77);
    }
    setenv("LD_PRELOAD", list, 1);
    setenv("PRIVHEAP_STRESS", "on", 1);
    setenv("PRIVHEAP_LOG", "", 1);
    execv("/proc/self/exe", argv);
    exit(99);
}

int main(int count, char **argv)
{
    static const size_t sizes[] = {24, 1000, 4096};
    (void)count;
    start_again(argv);
    open_files();
    for (unsigned i = 0; i < ACTS; i++)
        for (unsigned s = 0; s < 3; s++)
            for (enum place place = WITHIN; place < PLACES; place++) {
                if ((s > 0 || (acts[i].kind & APPENDS)) && place > BEYOND) continue;
                if (sizes[s] == 4096 && place == BEYOND && (acts[i].kind & LATE)) continue; /* a guard is there */
                judge(&acts[i], sizes[s], place);
            }
    for (unsigned i = 0; rights[i].name != NULL; i++) {
        const int status = run(&(struct job){.right = rights[i].act});
        if (status == 0 && said[0] == '\0') continue;
        wrong++;
        printf("correct, but not left in peace: %s: status %#x, said: %.500s\n", rights[i].name, (unsigned)status, said);
    }
    printf("%u calls, %u wrong\n", (unsigned)ACTS, wrong);
    return wrong != 0;
}
