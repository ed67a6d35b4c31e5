# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# scaling.awk -- scaling.sh's tables, a column for each allocator and a row for each number of threads, from bench.sh's
# raw lines `kind row allocator round cpu_ns peak_kib rest_kib`; and its chart, as a file for gnuplot.

function median(key,    i, j, n, t, v) {
    n = split(figures[key], v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return n == 0 ? -1 : n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

{
    split($2, part, "/")
    if (!($2 in known)) {
        known[$2]
        count[part[1]] = count[part[1]] " " part[2]
        if (!(part[1] in had)) { had[part[1]]; pattern[++patterns] = part[1] }
    }
    figures["ns", $2, $3] = figures["ns", $2, $3] " " $5
    figures["kib", $2, $3] = figures["kib", $2, $3] " " $6
}

function table(p, what, title,    i, j, n, c, value, line) {
    line = "| " p ": " title " |"
    for (j = 1; j <= allocators; j++) line = line " " allocator[j] " |"
    print "\n" line
    line = "|---:|"
    for (j = 1; j <= allocators; j++) line = line "---:|"
    print line
    n = split(count[p], c, " ")
    for (i = 1; i <= n; i++) {
        line = "| " c[i] " |"
        for (j = 1; j <= allocators; j++) {
            value = median(what SUBSEP p "/" c[i] SUBSEP allocator[j])
            line = line " " (value < 0 ? "-" : what == "ns" ? sprintf("%.1f", value) : sprintf("%.1f", value / 1024)) " |"
        }
        print line
    }
}

function chart(p, number,    i, j, n, c, value, line) {
    n = split(count[p], c, " ")
    for (j = 1; j <= allocators; j++) {
        print "$d" number "_" j " << EOD" >charts
        for (i = 1; i <= n; i++)
            if ((value = median("ns" SUBSEP p "/" c[i] SUBSEP allocator[j])) > 0) print c[i], value >charts
        print "EOD" >charts
        line = line (j > 1 ? ", " : "") "$d" number "_" j " using 1:2 linewidth " (allocator[j] == "privheap" ? 3 : 1) " title '" allocator[j] "'"
    }
    print "set title '" p "'\nplot " line >charts
}

END {
    allocators = split(names, allocator, " ")
    for (i = 1; i <= patterns; i++) table(pattern[i], "ns", "threads, ns of CPU for each operation")
    for (i = 1; i <= patterns; i++) table(pattern[i], "kib", "threads, peak MiB")
    print "set terminal svg size 900," 380 * patterns "\nset output 'scaling.svg'\nset multiplot layout " patterns ",1" >charts
    print "set key outside\nset grid y\nset style data linespoints\nset logscale x 2\nset logscale y\nset xlabel 'threads'\nset ylabel 'ns of CPU'" >charts
    for (i = 1; i <= patterns; i++) chart(pattern[i], i)
    print "unset multiplot" >charts
}
