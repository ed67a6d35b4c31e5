/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * main.c -- lists the cases of a program's tables, runs one, or runs each in a process of its own.
 *
 *   bugs --list                 names and kinds
 *   bugs CASE                   that case, here
 *   bugs --run OBJECT [JOBS [KIND...]]
 *                               every case, or those of the kinds, OBJECT preloaded ("none": nothing); a line
 *                               for each: name, kind, `exit N` or `signal N`, the start of standard error
 *
 * The children's standard error is a file in memory, not a pipe: nobody has to read it while they run. */
#include "bugs.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAME_BYTES = 128, WORDS = 24, WORD_BYTES = 24, SAID_BYTES = 6000, CASE_SECONDS = 20 };

char bug_big[BIG];
volatile size_t bug_sink;

/* ---- what the cases use --------------------------------------------------------------------- */

bool bug_is(const char *word, const char *other)
{
    return strcmp(word, other) == 0;
}

void *bug_hide(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

void *bug_block(size_t bytes)
{
    void *block = bug_hide(malloc(bytes));

    bug_need(block != NULL);
    memset(block, 'a', bytes);
    return bug_hide(block);
}

void bug_churn(size_t bytes)
{
    enum { LIVE = 64, ROUNDS = 6 };
    static void *live[LIVE];

    for (unsigned round = 0; round < ROUNDS * LIVE; round++) {
        const size_t some = round % 3 == 0 ? 16 + round % 900 : bytes;

        free(live[round % LIVE]);
        live[round % LIVE] = bytes > 100000 && round % 8 != 0 ? bug_block(64) : bug_block(some);
    }
    for (unsigned i = 0; i < LIVE; i++) {
        free(live[i]);
        live[i] = NULL;
    }
}

struct errand {
    void (*act)(void *);
    void *argument;
};

static void *run_errand(void *argument)
{
    const struct errand *er = argument;

    er->act(er->argument);
    return NULL;
}

void bug_on_thread(void (*act)(void *), void *argument)
{
    struct errand er = {act, argument};
    pthread_t thread;

    bug_need(pthread_create(&thread, NULL, run_errand, &er) == 0);
    pthread_join(thread, NULL);
}

void bug_need(bool condition)
{
    static const char words[] = "a correct program was let down\n";

    if (condition) return;
    if (write(STDERR_FILENO, words, sizeof words - 1) > 0) _exit(9);
    _exit(10);
}

/* ---- the cases ------------------------------------------------------------------------------ */

struct words {
    char word[WORDS][WORD_BYTES];
    unsigned count;
};

static struct words split(const char *list)
{
    struct words ws = {.count = 0};
    size_t length;

    for (list += strspn(list, " "); *list != '\0'; list += length, list += strspn(list, " ")) {
        length = strcspn(list, " ");
        if (ws.count == WORDS || length >= WORD_BYTES) abort();
        memcpy(ws.word[ws.count], list, length);
        ws.word[ws.count++][length] = '\0';
    }
    if (ws.count == 0) ws.count = 1;
    return ws;
}

typedef void visit_fn(const struct row *row, const struct bug *b, const char *name, void *argument);

static void visit_one(const struct row *row, const char *size, const char *by, const char *how, const char *when,
                      visit_fn *visit, void *argument)
{
    struct bug b = {.size = strtoul(size, NULL, 10), .by = strtoul(by, NULL, 10)};
    char name[NAME_BYTES];

    snprintf(b.how, sizeof b.how, "%s", how);
    snprintf(b.when, sizeof b.when, "%.15s", when);
    snprintf(name, sizeof name, "%s%s%s%s%s%s%s%s%s", row->kind, *how ? "-" : "", how, *size ? "-" : "", size,
             *by ? "-by-" : "", by, *when ? "-" : "", when);
    visit(row, &b, name, argument);
}

static void visit_row(const struct row *row, visit_fn *visit, void *argument)
{
    const struct words sizes = split(row->sizes), bys = split(row->bys), hows = split(row->hows);
    const struct words whens = split(row->whens);

    for (unsigned h = 0; h < hows.count; h++)
        for (unsigned s = 0; s < sizes.count; s++)
            for (unsigned n = 0; n < bys.count; n++)
                for (unsigned w = 0; w < whens.count; w++)
                    visit_one(row, sizes.word[s], bys.word[n], hows.word[h], whens.word[w], visit, argument);
}

static void visit_all(visit_fn *visit, void *argument)
{
    for (unsigned t = 0; bug_tables[t] != NULL; t++)
        for (const struct row *row = bug_tables[t]; row->kind != NULL; row++) visit_row(row, visit, argument);
}

static void list(const struct row *row, const struct bug *b, const char *name, void *argument)
{
    (void)b, (void)argument;
    printf("%s\t%s\n", name, row->kind);
}

struct wanted {
    const char *name;
    const struct row *row;
    struct bug b;
};

static void find(const struct row *row, const struct bug *b, const char *name, void *argument)
{
    struct wanted *wa = argument;

    if (wa->row != NULL || strcmp(name, wa->name) != 0) return;
    wa->row = row;
    wa->b = *b;
}

/* A program that lived before: blocks of many sizes held and some given back. */
static void live_a_little(void)
{
    static void *kept[40];

    for (unsigned i = 0; i < 40; i++) kept[i] = bug_block(8 + i * i * 3);
    for (unsigned i = 0; i < 40; i += 3) free(kept[i]);
}

static int run_one(const char *name)
{
    struct wanted wa = {.name = name};

    visit_all(find, &wa);
    if (wa.row == NULL) {
        fprintf(stderr, "no such case: %s\n", name);
        return 2;
    }
    live_a_little();
    wa.row->act(&wa.b);
    return 0;
}

/* ---- all of them ---------------------------------------------------------------------------- */

struct job {
    const char *object;
    char *const *kinds; /* up to a NULL; none: all */
    unsigned jobs, mine, number;
    int said;
};

static bool is_wanted(const struct job *jo, const char *kind)
{
    for (char *const *wanted = jo->kinds; *wanted != NULL; wanted++)
        if (strcmp(*wanted, kind) == 0) return true;
    return *jo->kinds == NULL;
}

static _Noreturn void become(const struct job *jo, const char *name)
{
    static char self[] = "/proc/self/exe";
    char *const arguments[] = {self, bug_hide((void *)(uintptr_t)name), NULL};
    const struct rlimit none = {0, 0};
    FILE *out = freopen("/dev/null", "w", stdout);

    setrlimit(RLIMIT_CORE, &none);
    dup2(jo->said, STDERR_FILENO);
    if (strcmp(jo->object, "none") != 0) setenv("LD_PRELOAD", jo->object, 1);
    alarm(CASE_SECONDS);
    if (out != NULL) execv(self, arguments);
    _exit(99);
}

/* What a child said, in one line. */
static void print_said(int said)
{
    char text[SAID_BYTES];
    const ssize_t length = pread(said, text, sizeof text - 1, 0);

    for (ssize_t i = 0; i < length; i++)
        if (text[i] < ' ') text[i] = text[i] == '\n' ? '|' : ' ';
    printf("%.*s\n", length > 0 ? (int)length : 0, text);
}

static void run_child(const struct row *row, const struct bug *b, const char *name, void *argument)
{
    struct job *jo = argument;
    int status;
    pid_t child;

    (void)b;
    if (!is_wanted(jo, row->kind) || jo->number++ % jo->jobs != jo->mine) return;
    fflush(stdout);
    if (ftruncate(jo->said, 0) != 0 || lseek(jo->said, 0, SEEK_SET) != 0) exit(99);
    if ((child = fork()) == 0) become(jo, name);
    if (child < 0 || waitpid(child, &status, 0) != child) exit(99);
    printf("%s\t%s\t%s %d\t", name, row->kind, WIFSIGNALED(status) ? "signal" : "exit",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    print_said(jo->said);
}

static _Noreturn void run_mine(struct job jo)
{
    jo.said = memfd_create("said", MFD_CLOEXEC);
    if (jo.said < 0) exit(99);
    visit_all(run_child, &jo);
    exit(0);
}

static int run_all(const char *object, unsigned jobs, char *const *kinds)
{
    int result = 0;

    for (unsigned i = 0; i < jobs; i++)
        if (fork() == 0) run_mine((struct job){.object = object, .kinds = kinds, .jobs = jobs, .mine = i});
    for (int status; wait(&status) > 0;)
        if (status != 0) result = 99;
    return result;
}

int main(int count, char **word)
{
    if (count == 2 && strcmp(word[1], "--list") == 0) {
        visit_all(list, NULL);
        return 0;
    }
    if (count >= 3 && strcmp(word[1], "--run") == 0)
        return run_all(word[2], count > 3 ? (unsigned)atoi(word[3]) : 1, word + (count > 4 ? 4 : count));
    if (count == 2) return run_one(word[1]);
    fprintf(stderr, "usage: %s --list | CASE | --run OBJECT [JOBS [KIND...]]\n", word[0]);
    return 2;
}
