/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* compare_plot.c -- charts, by gnuplot: time and memory, bars with intervals.
 *
 * Owns:    the files FILE.dat and FILE.gp beside the picture.
 * Calls:   gnuplot, a program of its own.
 * Why:     the data and the script stay: who wants another chart changes the script. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "compare.h"

#define GNUPLOT "gnuplot"

enum { CHART_WIDTH = 1000, CHART_HEIGHT = 420 };

static const char *terminal_for(const char *file)
{
    const char *dot = strrchr(file, '.');
    if (dot != NULL && strcmp(dot, ".svg") == 0) return "svg enhanced background rgb 'white'";
    if (dot != NULL && strcmp(dot, ".png") == 0) return "png";
    return NULL;
}

const char *ph_plot_obstacle(const char *file)
{
    char path[LOCATE_PATH_BYTES];
    struct verdict v;
    if (terminal_for(file) == NULL) return "the file's name must end in .svg or .png";
    if (strpbrk(file, "'\n\\") != NULL) return "the file's name must have no quote, backslash or line end";
    if (ph_locate_program(GNUPLOT, path, &v)) return NULL;
    return "the charts are drawn by gnuplot, which is not found in PATH; install it (Debian's package: "
           "gnuplot-nox), or leave --plot out and use --json";
}

static FILE *beside(const char *file, const char *end)
{
    char path[LOCATE_PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s%s", file, end);
    FILE *out = fopen(path, "we");
    if (out == NULL)
        ph_complain(COMPARE, EXIT_OWN_ERROR, "--plot: cannot write to %s: %s", path, strerror(errno));
    return out;
}

/* Name, then median, low and high of wall, CPU, memory, faults. */
static void put_data(const struct comparison *c, FILE *out)
{
    fputs("# allocator, then median, low and high of wall time (ms), CPU time (ms), peak memory (MiB), page "
          "faults\n",
          out);
    for (unsigned i = 0; i < c->count; i++) {
        const struct allocator *a = &c->allocators[i];
        if (isnan(a->medians[METRIC_WALL].value)) continue;
        fprintf(out, "\"%s\"", a->name);
        for (int which = 0; which < METRIC_COUNT; which++) {
            double divisor = which == METRIC_RSS ? 1 << 20 : which == METRIC_FAULTS ? 1 : 1e-3;
            const struct interval *v = &a->medians[which];
            fprintf(out, " %.9g %.9g %.9g", v->value / divisor, v->low / divisor, v->high / divisor);
        }
        fputc('\n', out);
    }
}

/* In single quotes gnuplot takes two for one; text is not enhanced. */
static void put_quoted(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'') fputc('\'', out);
        if ((unsigned char)*text >= ' ') fputc(*text, out);
    }
    fputc('\'', out);
}

static void put_script(const struct comparison *c, FILE *out)
{
    const char *file = c->settings.plot;
    fprintf(out, "set terminal %s size %d,%d\nset output '%s'\n", terminal_for(file), CHART_WIDTH,
            CHART_HEIGHT, file);
    fprintf(out, "data = '%s.dat'\nset multiplot layout 1,2 title ", file);
    put_quoted(out, ph_compare_label(&c->settings));
    fputs(" noenhanced\n"
          "set style data histograms\n"
          "set style histogram errorbars gap 1 lw 1\n"
          "set style fill solid 0.8 noborder\n"
          "set boxwidth 0.9\n"
          "set bars 0.6\n"
          "set yrange [0:*]\n"
          "set grid ytics lc rgb '#dddddd'\n"
          "set border 3\n"
          "set xtics nomirror rotate by -30 noenhanced\n"
          "set ytics nomirror\n"
          "set key top left horizontal\n"
          "set ylabel 'ms'\n"
          "plot data using 2:3:4:xtic(1) title 'wall time' lc rgb '#4477aa', \\\n"
          "     data using 5:6:7 title 'CPU time' lc rgb '#ccbb44'\n"
          "set ylabel 'MiB'\n"
          "plot data using 8:9:10:xtic(1) title 'peak memory' lc rgb '#228833'\n"
          "unset multiplot\n",
          out);
}

static bool end_file(FILE *out, const char *file)
{
    bool is_whole = !ferror(out);
    if (fclose(out) == 0 && is_whole) return true;
    ph_complain(COMPARE, EXIT_OWN_ERROR, "--plot: cannot write beside %s: %s", file, strerror(errno));
    return false;
}

static bool gnuplot_run(const char *file)
{
    char script[LOCATE_PATH_BYTES + 8];
    int status = 0;
    snprintf(script, sizeof script, "%s.gp", file);
    pid_t child = fork();
    if (child == 0) {
        execlp(GNUPLOT, GNUPLOT, script, (char *)NULL);
        _exit(EXIT_NOT_FOUND);
    }
    if (child > 0 && waitpid(child, &status, 0) == child && status == 0) return true;
    ph_complain(COMPARE, EXIT_OWN_ERROR, "--plot: gnuplot could not draw %s; try: gnuplot %s", file, script);
    return false;
}

bool ph_compare_plot(const struct comparison *c)
{
    const char *file = c->settings.plot;
    FILE *data = beside(file, ".dat");
    if (data == NULL) return false;
    put_data(c, data);
    if (!end_file(data, file)) return false;
    FILE *script = beside(file, ".gp");
    if (script == NULL) return false;
    put_script(c, script);
    return end_file(script, file) && gnuplot_run(file);
}
