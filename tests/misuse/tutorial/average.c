/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors
 * average.c -- prints the average of the numbers in its arguments; with a bug for the README's tutorial. */
#include <stdio.h>
#include <stdlib.h>

struct list {
    size_t count;
    double *number;
};

static struct list parse(int count, char **word)
{
    struct list li = {(size_t)count, malloc((size_t)count * sizeof(double))};

    if (li.number == NULL) exit(EXIT_FAILURE);
    for (int i = 0; i < count; i++) li.number[i] = strtod(word[i], NULL);
    return li;
}

static double average(const struct list *li)
{
    double sum = 0;

    for (size_t i = 0; i <= li->count; i++) sum += li->number[i]; /* the bug: one too many */
    return sum / (double)li->count;
}

int main(int count, char **word)
{
    struct list li = parse(count - 1, word + 1);

    printf("%g\n", average(&li));
    free(li.number);
    return 0;
}
