/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * read.c -- bugs that read where they must not.  What was read is used, and the program goes on. */
#include "bugs.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_out(const char *at, size_t bytes)
{
    const int nowhere = open("/dev/null", O_WRONLY);

    bug_sink = (size_t)write(nowhere, at, bytes);
    close(nowhere);
}

static void load(const char *at, size_t bytes)
{
    for (const volatile char *v = at; bytes-- > 0; v++) bug_sink += (size_t)*v;
}

/* A copy of a text that may have no end within the block. */
static void duplicate(const char *text)
{
    free(bug_hide(strdup(text)));
}

static void get(const char *how, const char *at, size_t bytes)
{
    if (bug_is(how, "load")) load(at, bytes);
    else if (bug_is(how, "memcpy")) memcpy(bug_big, at, bytes);
    else if (bug_is(how, "memcmp")) bug_sink = memcmp(at, memset(bug_big, at[0], bytes), bytes) == 0;
    else if (bug_is(how, "memchr")) bug_sink = memchr(at, 1, bytes) != NULL;
    else if (bug_is(how, "strlen")) bug_sink = strlen(at);
    else if (bug_is(how, "strcpy")) strncpy(bug_big, at, bytes);
    else if (bug_is(how, "print")) printf("%.*s\n", (int)bytes, at);
    else if (bug_is(how, "strdup")) duplicate(at);
    else if (bug_is(how, "write")) write_out(at, bytes);
    else abort();
}

static void over(const struct bug *b)
{
    char *block = bug_block(b->size), *after = bug_block(b->size);

    if (bug_is(b->how, "load")) load(block + b->size, b->by);
    else get(b->how, block, b->size + b->by);
    free(block);
    free(after);
}

static void under(const struct bug *b)
{
    char *before = bug_block(b->size), *block = bug_block(b->size);

    get(b->how, block - b->by, b->by);
    free(block);
    free(before);
}

/* ---- after free ------------------------------------------------------------------------------ */

struct thing {
    char text[16];
    const struct thing *friend;
    int (*function)(const char *);
    struct thing *next;
    int value;
};

static const struct thing no_friend = {.text = "nobody", .value = 7};
static struct thing last_thing = {.text = "last", .friend = &no_friend, .value = 9};

static int say(const char *text)
{
    return printf("%s\n", text);
}

static struct thing *new_thing(size_t bytes)
{
    struct thing *th = bug_block(bytes > sizeof *th ? bytes : sizeof *th);

    *th = (struct thing){.text = "somebody", .friend = &no_friend, .function = say, .next = &last_thing, .value = 5};
    return bug_hide(th);
}

/* Not by printf alone, which prints a null pointer's text as well. */
static void greet(const struct thing *th)
{
    bug_sink = (size_t)((const volatile struct thing *)th)->text[0];
    say(th->text);
}

static struct thing copy_of(const struct thing *th)
{
    struct thing copy;

    memcpy(&copy, th, sizeof copy);
    return copy;
}

static void use(const char *how, struct thing *th)
{
    if (bug_is(how, "value")) bug_sink = (size_t)((volatile struct thing *)th)->value;
    else if (bug_is(how, "print")) say(th->text);
    else if (bug_is(how, "pointer")) bug_sink = (size_t)((const volatile struct thing *)th->friend)->value;
    else if (bug_is(how, "function")) bug_sink = (size_t)th->function("called");
    else if (bug_is(how, "friend")) greet(th->friend);
    else if (bug_is(how, "list")) bug_sink = (size_t)th->next->friend->value;
    else if (bug_is(how, "taken")) greet(copy_of(th).friend);
    else if (bug_is(how, "copy")) memcpy(bug_big, th, sizeof *th);
    else if (bug_is(how, "compare")) bug_sink = strcmp(th->text, "somebody") == 0;
    else if (bug_is(how, "flag")) th->value++;
    else abort();
}

static void free_it(void *block)
{
    free(block);
}

static void read_after_free(const struct bug *b)
{
    struct thing *th = new_thing(b->size), *next = new_thing(b->size);

    if (bug_is(b->when, "thread")) bug_on_thread(free_it, th);
    else free(th);
    if (bug_is(b->when, "later")) bug_churn(b->size);
    if (bug_is(b->when, "other")) free(next);
    use(b->how, th);
    if (!bug_is(b->when, "other")) free(next);
}

/* The list whose loop frees the element that it reads the next one from. */
static void list_freed(const struct bug *b)
{
    struct node {
        struct node *next;
        char content[];
    } *first = NULL;

    for (unsigned i = 0; i < 10; i++) {
        struct node *no = bug_block(b->size);
        no->next = first;
        first = no;
    }
    for (struct node *no = first; no != NULL; no = ((struct node *)bug_hide(no))->next) free(no);
}

/* The old address, after realloc moved the block. */
static void read_stale(const struct bug *b)
{
    struct thing *th = new_thing(b->size);
    void *now = bug_hide(realloc(th, b->size * 20 + 1000));

    if (now == th) exit(EXIT_SUCCESS);
    use(b->how, th);
    free(now);
}

static void text_after_free(const struct bug *b)
{
    char *text = bug_block(b->size);

    text[b->size - 1] = '\0';
    free(text);
    get(b->how, text, b->size);
}

const struct row read_rows[] = {
    {"over-read", over, "24 1000 20000", "8", "memcpy", ""},
    {"over-read", over, "100", "1 16", "load", ""},
    {"over-read", over, "24 1000", "16", "memcmp memchr write print", ""},
    {"over-read", over, "0", "8", "load memcpy", ""},
    {"over-read", over, "24 1000", "", "strlen", ""},
    {"over-read", over, "200000 2000000", "64 300000", "memcpy load", ""},
    {"under-read", under, "24 1000", "8", "memcpy load", ""},
    {"under-read", under, "2000000", "8192", "memcpy load", ""},
    {"use-after-free", read_after_free, "48 200 1000 5000 20000", "", "pointer function friend list taken", "soon"},
    {"use-after-free", read_after_free, "48 1000 5000", "", "pointer function list taken", "thread"},
    {"use-after-free", read_after_free, "64 500 3000", "", "pointer list taken", "other"},
    {"use-after-free", read_after_free, "200", "", "pointer", "later"},
    {"use-after-free", read_after_free, "200", "", "value print compare copy flag", "soon"},
    {"use-after-free", read_after_free, "200000 2000000", "", "value copy print list", "soon"},
    {"use-after-free", list_freed, "24 1000", "", "loop", ""},
    {"use-after-free", read_stale, "48 1000 20000", "", "pointer function list taken", "stale"},
    {"use-after-free", text_after_free, "100 5000", "", "strlen strdup", "text"},
    {NULL, NULL, "", "", "", ""},
};
