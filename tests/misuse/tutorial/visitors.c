/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * visitors.c -- a list of visitors that leave again; with a bug for the README's tutorial. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct visitor {
    char name[24];
    struct visitor *next;
};

static struct visitor *arrive(struct visitor *first, const char *name)
{
    struct visitor *vi = malloc(sizeof *vi);

    if (vi == NULL) exit(EXIT_FAILURE);
    strncpy(vi->name, name, sizeof vi->name - 1);
    vi->name[sizeof vi->name - 1] = '\0';
    vi->next = first;
    return vi;
}

static void leave(struct visitor *vi)
{
    printf("good-bye %s\n", vi->name);
    free(vi);
}

int main(void)
{
    struct visitor *first = arrive(arrive(arrive(NULL, "Ada"), "Grace"), "Edsger");

    for (struct visitor *vi = first; vi != NULL; vi = vi->next) leave(vi); /* the bug: next is read too late */
    return 0;
}
