/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* privheap.c -- the privheap command: finds the verb, and helps who does not know it.
 *
 * Owns:    the verb table, made from verbs.def.
 * Calls:   the verbs, one file each; options.c for the nearest word.
 * Why:     a verb is one line in verbs.def and one file: nothing here changes. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "locate.h"
#include "options.h"

struct verb {
    const char *name;
    const char *caption;
    int (*run)(int argc, char **argv);
    void (*help)(FILE *out);
};

static const struct verb verbs[] = {
#define VERB(name, caption) { #name, caption, ph_verb_##name, ph_help_##name },
#include "verbs.def"
#undef VERB
};

enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

/* ---- shared by the verbs ----------------------------------------------- */

int ph_complain(const char *verb, int code, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f) *at = '?';
    fprintf(stderr, verb == NULL ? "privheap%s: %s\n" : "privheap %s: %s\n",
            verb == NULL ? "" : verb, text);
    return code;
}

static int output_error; /* why what was flushed could not be written */

/* What stdio could not write earlier it drops, and leaves the reason in errno, if nobody had another since. */
static bool is_of_write(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG || error == EIO || error == EPIPE || error == EBADF;
}

void ph_output_flush(void)
{
    int left = errno;
    if (fflush(stdout) != 0)
        left = errno;
    else if (!ferror(stdout) || !is_of_write(left))
        return;
    if (output_error == 0) output_error = left;
}

int ph_output_end(const char *verb)
{
    ph_output_flush();
    if (output_error == 0 && !ferror(stdout)) return 0;
    return ph_complain(verb, EXIT_OWN_ERROR, "cannot write to standard output%s%s", output_error != 0 ? ": " : "",
                       output_error != 0 ? strerror(output_error) : "");
}

/* Where standard output is closed, the next file that is opened would become it.  The program finds it closed, by exec. */
static void occupy_standard(void)
{
    for (int wanted = STDIN_FILENO; wanted <= STDERR_FILENO; wanted++)
        if (fcntl(wanted, F_GETFD) < 0) (void)open("/dev/null", (wanted == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
}

/* ---- finding the verb -------------------------------------------------- */

static const struct verb *verb_called(const char *name)
{
    for (int i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
    return NULL;
}

static const struct verb *verb_near(const char *name)
{
    const struct verb *near = NULL;
    unsigned least = WORD_FAR;
    for (int i = 0; i < VERB_COUNT; i++) {
        unsigned distance = ph_word_distance(name, verbs[i].name);
        if (distance >= least) continue;
        least = distance;
        near = &verbs[i];
    }
    return near;
}

static int unknown_verb(const char *name)
{
    const struct verb *near = verb_near(name);
    struct verdict verdict;
    char path[LOCATE_PATH_BYTES];
    if (near != NULL)
        return ph_complain(NULL, EXIT_USAGE, "'%s' is not a verb; did you mean '%s'?", name,
                           near->name);
    if (ph_locate_program(name, path, &verdict))
        return ph_complain(NULL, EXIT_USAGE,
                           "'%s' is not a verb; to run that program: privheap run %s", name, name);
    return ph_complain(NULL, EXIT_USAGE, "'%s' is not a verb; `privheap help` lists them", name);
}

/* A switch in front of the verb: most likely one that belongs behind `run`. */
static int unknown_switch(const char *text)
{
    char name[64];
    snprintf(name, sizeof name, "%s", text + strspn(text, "-"));
    name[strcspn(name, "=")] = '\0';
    if (text[1] == '-' && ph_option_nearest(name) != OPT_COUNT)
        return ph_complain(NULL, EXIT_USAGE,
                           "'%s' stands before the verb; write: privheap run %s PROGRAM", text,
                           text);
    return ph_complain(NULL, EXIT_USAGE, "'%s' is not an option; `privheap help` lists the verbs",
                       text);
}

/* ---- help -------------------------------------------------------------- */

static void usage_print(FILE *out)
{
    fputs("usage: privheap VERB [options] [arguments]\n"
          "       privheap help [VERB]\n"
          "       privheap --version\n",
          out);
}

static void verbs_print(FILE *out)
{
    fputs("\nThe Windows heap for Linux programs.\n\nVerbs:\n", out);
    for (int i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].caption);
    fprintf(out, "  %-10s %s\n", "help", "say more about a verb");
    fputs("\nExample: privheap run --stats ls\n", out);
}

static int print_help(void)
{
    usage_print(stdout);
    verbs_print(stdout);
    return ph_output_end(NULL);
}

static int print_verb_help(const struct verb *verb)
{
    verb->help(stdout);
    return ph_output_end(verb->name);
}

static int print_version(void)
{
    printf("privheap %s\nCopyright (c) 2026 the privheap authors; MIT License\n", PACKAGE_VERSION);
    return ph_output_end(NULL);
}

static int help_on(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "help") == 0) return print_help();
    if (argc > 2)
        return ph_complain(NULL, EXIT_USAGE, "help takes one verb; write: privheap help %s",
                           argv[1]);
    const struct verb *verb = verb_called(argv[1]);
    return verb == NULL ? unknown_verb(argv[1]) : print_verb_help(verb);
}

static bool is_any(const char *word, const char *one, const char *other)
{
    return strcmp(word, one) == 0 || strcmp(word, other) == 0;
}

int main(int argc, char **argv)
{
    occupy_standard();
    if (argc < 2) {
        usage_print(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (is_any(word, "--help", "-h")) return print_help();
    if (is_any(word, "--version", "-V")) return print_version();
    if (strcmp(word, "help") == 0) return help_on(argc - 1, argv + 1);
    if (word[0] == '-') return unknown_switch(word);
    const struct verb *verb = verb_called(word);
    if (verb == NULL) return unknown_verb(word);
    if (argc > 2 && is_any(argv[2], "--help", "-h")) return print_verb_help(verb);
    return verb->run(argc - 1, argv + 1);
}
