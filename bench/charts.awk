# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# charts.awk -- bench.sh's charts, as one file for gnuplot that holds its own data: geometric means, and time by threads.

function begin_chart(file, title) {
    printf "set output '%s.svg'\nset title '%s'\n", file, title
}

function means_chart(file, title, what,    i) {
    print "$means_" file " << EOD"
    for (i = 1; i <= allocators; i++)
        printf "%s %.4f %.4f\n", allocator[i], mean(what, allocator[i], "pattern"), mean(what, allocator[i], "program")
    print "EOD"
    begin_chart(file, title)
    print "set style data histogram\nset style fill solid 0.8\nunset logscale\nunset xlabel"
    print "set yrange [0:*]\nset ylabel 'relative to " base "'"
    printf "plot $means_%s using 2:xtic(1) title 'patterns', '' using 3 title 'real programs'\n", file
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
    means_chart("cpu", "CPU time, geometric means", 1)
    means_chart("memory", "Peak resident memory, geometric means", 2)
    for (i = 1; i <= rows; i++) contended += kind[row[i]] == "contention"
    if (contended > 1) threads_chart()
}
