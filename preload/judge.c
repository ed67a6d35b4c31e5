/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* judge.c -- can a program be preloaded?  A script is judged by its interpreter.
 *
 * Owns:    struct candidate, struct env_line.
 * Calls:   elf.c for ELF files, locate.c for the NAME of #!/usr/bin/env NAME.  Locks: none.
 * Why:     a wrong refusal is worse than a missed one: a file that cannot be read is
 *          believed, and so is what env starts with options of its own. */
#include "judge.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

enum { JUDGE_DEPTH_MAX = 5 }; /* interpreters of interpreters; source: Linux, fs/exec.c */

/* ---- scripts ----------------------------------------------------------- */

static bool judge_path(const char *path, const char *script, int depth, struct env_line *env,
                       struct verdict *v);

/* Take the words of env's own #! line into env->words.  Only -S splits; without it the rest of
 * the line is one word.  Source: env(1), "-S/--split-string usage in scripts". */
static void env_split(struct env_line *env, const char *rest)
{
    env->count = 0;
    env->is_plain = true;
    bool is_split = strncmp(rest, "-S", 2) == 0;
    snprintf(env->text, sizeof env->text, "%s", is_split ? rest + 2 : rest);
    if (!is_split) {
        env->words[env->count++] = env->text;
        return;
    }
    if (strpbrk(env->text, "\\'\"$#") != NULL) env->is_plain = false;
    char *place = NULL;
    for (char *word = strtok_r(env->text, " \t", &place); word != NULL && env->count < JUDGE_WORDS_MAX;
         word = strtok_r(NULL, " \t", &place))
        env->words[env->count++] = word;
}

/* #!/usr/bin/env NAME: NAME decides too.  With options or variables before it, what env
 * starts is not known here; env itself has been judged by then. */
static bool judge_env(const struct candidate *c, const char *rest)
{
    struct env_line *env = c->env;
    env_split(env, rest);
    if (env->count == 0 || env->words[0][0] == '-' || strchr(env->words[0], '=') != NULL)
        env->is_plain = false;
    if (!env->is_plain) {
        env->count = 1;
        return true;
    }
    if (strpbrk(env->words[0], " \t") != NULL)
        return REFUSE(c, EXIT_CANNOT_EXECUTE, "cannot start: its #! line needs env -S to pass '%s'",
                      env->words[0]);
    struct verdict found;
    if (!ph_locate_program(env->words[0], env->program, &found))
        return ph_verdict(c->v, EXIT_CANNOT_EXECUTE, "%s cannot start its interpreter: %s",
                          c->subject, found.why);
    struct env_line deeper = { .count = 0 };
    if (!judge_path(env->program, c->path, c->depth + 1, &deeper, c->v)) return false;
    if (deeper.count > 0) env->is_plain = false;
    return true;
}

static bool missing_interpreter(const struct candidate *c, const char *name)
{
    const char *hint = strchr(name, '\r') == NULL ? "" : " (its lines end in CR LF: see dos2unix)";
    return REFUSE(c, EXIT_CANNOT_EXECUTE, "cannot start: its interpreter %s is missing%s", name,
                  hint);
}

static bool is_env(const char *name)
{
    const char *slash = strrchr(name, '/');
    return strcmp(slash == NULL ? name : slash + 1, "env") == 0;
}

/* Cut spaces at both ends; the first byte that is none. */
static char *trimmed(char *text)
{
    text += strspn(text, " \t");
    size_t bytes = strlen(text);
    while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t')) bytes--;
    text[bytes] = '\0';
    return text;
}

/* Source: Linux, fs/binfmt_script.c: "#!", the interpreter, one argument. */
static bool judge_script(const struct candidate *c, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *name = trimmed(line + 2);
    char *rest = name + strcspn(name, " \t");
    if (*rest != '\0') *rest++ = '\0';
    if (*name == '\0')
        return REFUSE(c, EXIT_CANNOT_EXECUTE, "cannot start: its #! line names no interpreter%s",
                      "");
    if (access(name, F_OK) != 0) return missing_interpreter(c, name);
    struct env_line deeper = { .count = 0 };
    if (!judge_path(name, c->path, c->depth + 1, &deeper, c->v)) return false;
    if (is_env(name)) return judge_env(c, trimmed(rest));
    if (deeper.count > 0) {
        c->env->count = 1;
        c->env->is_plain = false;
    }
    return true;
}

/* ---- any file ---------------------------------------------------------- */

static bool judge_open(const struct candidate *c)
{
    char line[JUDGE_LINE_BYTES + 1];
    ssize_t bytes = pread(c->fd, line, JUDGE_LINE_BYTES, 0);
    line[bytes < 0 ? 0 : bytes] = '\0';
    if (bytes >= SELFMAG && memcmp(line, ELFMAG, SELFMAG) == 0) return ph_elf_can_preload(c);
    if (bytes >= 2 && line[0] == '#' && line[1] == '!') return judge_script(c, line);
    if (bytes == 0) return REFUSE(c, EXIT_CANNOT_EXECUTE, "is an empty file%s", "");
    return REFUSE(c, EXIT_CANNOT_EXECUTE,
                  "is neither an ELF program nor a script with #!; if it is a shell script: "
                  "privheap run sh %s",
                  c->path);
}

/* Judge `path`, which `script` (NULL at first) names as its interpreter. */
static bool judge_path(const char *path, const char *script, int depth, struct env_line *env,
                       struct verdict *v)
{
    struct candidate c = { .path = path, .depth = depth, .env = env, .v = v };
    if (script == NULL) snprintf(c.subject, sizeof c.subject, "%s", path);
    else snprintf(c.subject, sizeof c.subject, "%s: its interpreter %s", script, path);
    if (depth > JUDGE_DEPTH_MAX)
        return REFUSE(&c, EXIT_CANNOT_EXECUTE, "is one interpreter of an interpreter too many%s",
                      "");
    struct stat file;
    if (stat(path, &file) == 0 && !S_ISREG(file.st_mode))
        return REFUSE(&c, EXIT_CANNOT_EXECUTE, "is not a regular file%s", "");
    c.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (c.fd < 0) return true;
    bool can = judge_open(&c);
    close(c.fd);
    return can;
}

bool ph_judge(const char *path, struct env_line *env, struct verdict *v)
{
    env->count = 0;
    return judge_path(path, NULL, 0, env, v);
}
