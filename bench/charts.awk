# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# charts.awk -- bench.sh's charts, as one file for gnuplot that holds its own data: geometric means, and time by threads.

function begin_chart(file, title) {
    printf "set output '%s.svg'\nset title '%s'\n", file, title
}

function bars_begin(file, title) {
    begin_chart(file, title)
    print "set style data histogram\nset style fill solid 0.8 noborder\nunset logscale\nunset xlabel"
    print "set yrange [0:*]\nset ylabel 'relative to " base "'"
}

# Columns 2 to 5: CPU of patterns and of programs, memory likewise.
function means_data(    i, what) {
    print "$means << EOD"
    for (i = 1; i <= allocators; i++) {
        printf "%s", allocator[i]
        for (what = 1; what <= 2; what++)
            printf " %.4f %.4f", mean(what, allocator[i], "pattern"), mean(what, allocator[i], "program")
        print ""
    }
    print "EOD"
}

function means_chart(file, title, column) {
    bars_begin(file, title)
    printf "plot $means using %d:xtic(1) title 'patterns', '' using %d title 'real programs'\n", column, column + 1
}

# All of it in one, for README.
function figures_chart() {
    print "set terminal svg size 720,300 background rgb 'white'"
    bars_begin("figures", "CPU time and peak memory, geometric means")
    print "set xtics norotate\nset key outside bottom center horizontal"
    print "plot $means using 2:xtic(1) title 'CPU, patterns', '' using 3 title 'CPU, real programs', " \
        "'' using 4 title 'memory, patterns', '' using 5 title 'memory, real programs'"
}

function threads_of(r) { sub(/.*\//, "", r); return r + 0 }

function threads_chart(    i, j, line) {
    for (j = 1; j <= allocators; j++) {
        print "$threads_" j " << EOD"
        for (i = 1; i <= rows; i++)
            if (kind[row[i]] == "contention" && value(1, row[i], allocator[j]) > 0)
                printf "%d %.3f\n", threads_of(row[i]), value(1, row[i], allocator[j])
        print "EOD"
    }
    begin_chart("threads", "CPU time of one replaced block")
    print "set style data linespoints\nset logscale x 2\nset xlabel 'threads'"
    print "set ylabel 'ns'\nset yrange [*:*]\nset logscale y"
    for (j = 1; j <= allocators; j++)
        line = line (j > 1 ? ", " : "") "$threads_" j " using 1:2 linewidth " (allocator[j] == ours ? 3 : 1) \
            " title '" allocator[j] "'"
    print "plot " line
}

END {
    print "set terminal svg size 900,420\nset key outside\nset grid y\nset xtics rotate by -30"
    means_data()
    means_chart("cpu", "CPU time, geometric means", 2)
    means_chart("memory", "Peak resident memory, geometric means", 4)
    for (i = 1; i <= rows; i++) contended += kind[row[i]] == "contention"
    if (contended > 1) threads_chart()
    figures_chart()
}
