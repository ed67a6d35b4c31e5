/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* oomed.c -- for oom.sh: oomed CASE does a little work, with one fault on the path behind an allocation that fails.
 *
 * The line that ends in "PLANTED case" must stand in the report of the one finding; its class is what oom.sh expects.
 * Cases whose names begin with good_ have no fault, though allocations of theirs fail. */
#include <ctype.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *volatile word = "a word that is not too short";
static int (*library_work)(const char *);

/* ---- faults ------------------------------------------------------------------ */

static int malloc_unchecked(void)
{
    char *text = malloc(100);
    text[3] = 'x'; /* PLANTED malloc_unchecked */
    free(text);
    return 0;
}

static int calloc_unchecked(void)
{
    int *numbers = calloc(10, sizeof *numbers);
    numbers[9] = 1; /* PLANTED calloc_unchecked */
    free(numbers);
    return 0;
}

static int realloc_unchecked(void)
{
    char *text = malloc(10);
    if (text == NULL) return 2;
    text = realloc(text, 14);
    text[13] = 0; /* PLANTED realloc_unchecked */
    free(text);
    return 0;
}

static int strdup_unchecked(void)
{
    char *copy = strdup(word);
    copy[0] = (char)toupper(copy[0]); /* PLANTED strdup_unchecked */
    free(copy);
    return 0;
}

static int asprintf_unchecked(void)
{
    char *text = NULL;
    (void)!asprintf(&text, "%s, %d", word, 5);
    text[0] = 'x'; /* PLANTED asprintf_unchecked */
    free(text);
    return 0;
}

static int getline_unchecked(void)
{
    static char room[200];
    char *line = NULL;
    size_t bytes = 0;
    setvbuf(stdin, room, _IOFBF, sizeof room);
    (void)!getline(&line, &bytes, stdin);
    line[0] = 'x'; /* PLANTED getline_unchecked */
    free(line);
    return 0;
}

static int fopen_unchecked(void)
{
    static char room[200];
    FILE *file = fopen("/dev/null", "r");
    setvbuf(file, room, _IOFBF, sizeof room); /* PLANTED fopen_unchecked */
    fclose(file);
    return 0;
}

static int double_free(void)
{
    char *one = malloc(30), *two = NULL;
    if (one == NULL) return 2;
    two = malloc(40);
    if (two == NULL) free(one);
    free(two);
    free(one); /* PLANTED double_free */
    return 0;
}

static int write_after_failed_realloc(void)
{
    char *volatile text = malloc(300);
    if (text == NULL) return 2;
    memset(text, 'a', 300);
    char *more = realloc(text, 600);
    if (more == NULL) {
        free(text);
        memset(text, 'b', 300); /* PLANTED write_after_failed_realloc */
        return 2;
    }
    free(more);
    return 0;
}

static int read_after_failed_realloc(void)
{
    char *volatile text = malloc(300);
    if (text == NULL) return 2;
    memset(text, 'a', 300);
    char *more = realloc(text, 600);
    if (more == NULL) {
        free(text);
        return text[7] == 'a'; /* PLANTED read_after_failed_realloc */
    }
    free(more);
    return 0;
}

static int overflow(void)
{
    size_t bytes = 64;
    char *text = malloc(bytes);
    if (text == NULL) text = malloc(16);
    if (text == NULL) return 2;
    memset(text, 'a', bytes); /* PLANTED overflow */
    free(text);
    return 0;
}

/* Nobody frees it: what was written behind it is seen at the end of the process, or never. */
static int overflow_kept(void)
{
    static char *text;
    size_t bytes = 64;
    text = malloc(bytes);
    if (text == NULL) text = malloc(16);
    if (text == NULL) return 2;
    memset(text, 'a', bytes); /* PLANTED overflow_kept */
    return 0;
}

static int lost(void)
{
    char *volatile one = malloc(1000);
    if (one == NULL) return 2;
    char *two = malloc(50); /* PLANTED lost */
    if (two == NULL) {
        one = NULL;
        return 0;
    }
    free(two);
    free(one);
    return 0;
}

/* The only pointer is left in a frame far down, that is dead when the program ends. */
static int lose(volatile int depth)
{
    volatile char room[4000];
    room[depth] = 0;
    if (depth > 0) return lose(depth - 1) + room[depth];
    char *one = malloc(2000);
    if (one == NULL) return 0;
    char *two = malloc(50); /* PLANTED lost_deep */
    if (two == NULL) return 0;
    free(two);
    free(one);
    return 0;
}

static int lost_deep(void) { return lose(20); }

static int hang_asleep(void)
{
    char *text;
    while ((text = malloc(20)) == NULL) pause(); /* PLANTED hang_asleep */
    free(text);
    return 0;
}

static int hang_busy(void)
{
    char *text = malloc(20);
    volatile unsigned turns = 1;
    while (text == NULL) turns++; /* PLANTED hang_busy */
    free(text);
    return 0;
}

static int abort_with_message(void)
{
    char *text = malloc(20);
    if (text == NULL) {
        static const char said[] = "out of memory, giving up\n";
        (void)!write(STDERR_FILENO, said, sizeof said - 1);
        abort(); /* PLANTED abort_with_message */
    }
    free(text);
    return 0;
}

static int abort_silently(void)
{
    char *text = malloc(20);
    if (text == NULL) abort(); /* PLANTED abort_silently */
    free(text);
    return 0;
}

static int stack_overflow(volatile int depth)
{
    char room[4096];
    memset(room, depth, sizeof room);
    return depth == 1000000 ? 0 : stack_overflow(depth + 1) + room[17]; /* PLANTED stack_overflow */
}

static int stack(void)
{
    char *text = malloc(20);
    if (text == NULL) return stack_overflow(0);
    free(text);
    return 0;
}

/* Does what comes between fail too, it is still the first failure that it dies of. */
static int first_of_two(void)
{
    char *text = malloc(500);
    if (text == NULL) {
        free(malloc(50));
        text[0] = 'x'; /* PLANTED first_of_two */
    }
    free(text);
    return 0;
}

/* Each failure alone is survived: only the second one in a row is not. */
static int second(void)
{
    char *text = malloc(500);
    if (text == NULL) {
        text = malloc(50);
        text[0] = 'x'; /* PLANTED second */
    }
    free(text);
    return 0;
}

static void *work(void *argument)
{
    for (int i = 0; i < 20; i++) {
        char *text = malloc(77);
        if (text == NULL) continue;
        text[5] = 'x';
        free(text);
    }
    char *last = argument == NULL ? malloc(78) : malloc(79);
    if (last != NULL || argument != NULL) last = last != NULL ? last : malloc(1);
    last[0] = 'x'; /* PLANTED thread */
    free(last);
    return argument;
}

static int thread(void)
{
    pthread_t id[4];
    int count = 0;
    for (; count < 4; count++)
        if (pthread_create(&id[count], NULL, work, count == 2 ? NULL : &id[count]) != 0) break;
    for (int i = 0; i < count; i++) pthread_join(id[i], NULL);
    return count == 4 ? 0 : 2;
}

static int library(void)
{
    char *own = malloc(60);
    if (own == NULL) return 2;
    free(own);
    return library_work(word);
}

/* ---- none ---------------------------------------------------------------------- */

/* A list, of which nothing is freed when the program gives up: its end does that. */
static int good_list(void)
{
    struct node {
        struct node *next;
        char *name;
    } *first = NULL;
    for (int i = 0; i < 30; i++) {
        struct node *node = malloc(sizeof *node);
        if (node == NULL) exit(2);
        node->next = first;
        node->name = strdup(word);
        if (node->name == NULL) {
            free(node);
            exit(2);
        }
        first = node;
    }
    while (first != NULL) {
        struct node *next = first->next;
        free(first->name);
        free(first);
        first = next;
    }
    return 0;
}

static int good_stdio(void)
{
    char *line = NULL;
    size_t bytes = 0;
    FILE *file = fopen("/etc/passwd", "r");
    if (file == NULL) return 2;
    while (getline(&line, &bytes, file) > 0)
        if (puts(line) < 0) break;
    free(line);
    fclose(file);
    return ferror(stdout) ? 2 : 0;
}

/* Frees all that it has, in a failed call, too; and grows. */
static int good_growth(void)
{
    char *text = NULL;
    for (size_t bytes = 10; bytes < 100000; bytes *= 2) {
        char *more = realloc(text, bytes);
        if (more == NULL) {
            free(text);
            return 2;
        }
        text = more;
        memset(text, 'x', bytes);
    }
    free(text);
    return 0;
}

/* Leaks in every run: so a failure is not the reason. */
static int good_leak_of_its_own(void)
{
    for (int i = 0; i < 5; i++) {
        char *volatile text = malloc(70);
        if (text == NULL) return 0;
        text = NULL;
    }
    return 0;
}

/* Writes a file that is there before, and one that is not, and removes both: none of it is a child's business. */
static int good_writer(void)
{
    const char *folder = getenv("OOMED_FOLDER");
    char name[500];
    static char room[BUFSIZ];
    char *text = malloc(90); /* the failure before: children open anew */
    snprintf(name, sizeof name, "%s/there", folder != NULL ? folder : "/nowhere");
    FILE *file = fopen(name, "a");
    if (file == NULL) return free(text), 2;
    setvbuf(file, room, _IOFBF, sizeof room);
    char *more = malloc(90); /* and while it is open */
    fputs(text == NULL || more == NULL ? "failed\n" : "good\n", file);
    fflush(file);
    snprintf(name, sizeof name, "%s/new", folder);
    FILE *new = fopen(name, "wx");
    if (new == NULL) return free(text), free(more), fclose(file), 2;
    fclose(new);
    free(text);
    free(more);
    fclose(file);
    return 0;
}

static int good_sleeper(void)
{
    char *text = malloc(70);
    usleep(300000);
    free(text);
    return text == NULL;
}

/* Until a signal ends it; says where it is. */
static int good_waiting(void)
{
    const char *folder = getenv("OOMED_FOLDER");
    char name[500];
    free(malloc(9));
    snprintf(name, sizeof name, "%s/waiting", folder != NULL ? folder : "/nowhere");
    int file = open(name, O_WRONLY | O_CREAT, 0600);
    if (file >= 0) close(file);
    for (;;) pause();
}

/* Leaves processes behind, in sessions of their own: without and with an exec. */
static int good_sessions(void)
{
    char *text = malloc(70);
    for (int i = 0; i < 2; i++) {
        pid_t id = fork();
        if (id > 0) waitpid(id, NULL, 0);
        if (id != 0) continue;
        if (fork() != 0) _exit(0);
        setsid();
        if (i == 0) execlp("sleep", "sleep", "60", (char *)NULL);
        sleep(60);
        _exit(0);
    }
    char *more = malloc(80);
    free(text);
    free(more);
    return 0;
}

/* What it allocates it does in a child. */
static int good_fork(void)
{
    free(malloc(50));
    pid_t id = fork();
    if (id == 0) {
        char *text = malloc(60);
        text[0] = 'x';
        _exit(0);
    }
    if (id > 0) waitpid(id, NULL, 0);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } cases[] = {
#define CASE(name) { #name, name }
        CASE(malloc_unchecked), CASE(calloc_unchecked), CASE(realloc_unchecked), CASE(strdup_unchecked), CASE(asprintf_unchecked),
        CASE(getline_unchecked), CASE(fopen_unchecked), CASE(double_free), CASE(write_after_failed_realloc), CASE(read_after_failed_realloc), CASE(overflow), CASE(overflow_kept),
        CASE(lost), CASE(lost_deep), CASE(hang_asleep), CASE(hang_busy), CASE(abort_with_message), CASE(abort_silently), CASE(second), CASE(first_of_two), CASE(thread),
        CASE(library), CASE(good_list), CASE(good_stdio), CASE(good_growth), CASE(good_leak_of_its_own), CASE(good_sleeper),
        CASE(good_writer), CASE(good_waiting), CASE(good_sessions), CASE(good_fork),
        { "stack_overflow", stack },
    };
    static char room[BUFSIZ];
    setvbuf(stdout, room, _IOFBF, sizeof room);
    library_work = (int (*)(const char *))dlsym(RTLD_DEFAULT, "oomed_library_work");
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(argv[1], cases[i].name) == 0) return cases[i].run();
    return 99;
}
