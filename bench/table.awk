# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# table.awk -- bench.sh's table: ratios to the base, geometric means, and the rows in which we are behind.

function cell(q) { return q > 0 ? sprintf(" %.2f |", q) : " - |" }

function head(first, last,    i, line) {
    line = "| " first " |"
    for (i = 1; i <= allocators; i++) line = line " " allocator[i] " |"
    print line (last != "" ? " " last " |" : "")
    line = "|---|"
    for (i = 1; i <= allocators; i++) line = line "---:|"
    print line (last != "" ? "---:|" : "")
}

function body(what, of,    i, j, line, unit) {
    for (i = 1; i <= rows; i++) {
        if (kind[row[i]] != of || !counts(what, row[i])) continue
        line = "| " row[i] " |"
        for (j = 1; j <= allocators; j++) line = line cell(ratio(what, row[i], allocator[j]))
        unit = value(what, row[i], base)
        if (what == 1 && of == "program") unit = sprintf("%.0f ms", unit / 1e6)
        else if (what == 1) unit = sprintf(unit < 10000 ? "%.2f ns" : "%.0f ns", unit)
        else unit = sprintf("%.0f KiB", unit)
        print line " " unit " |"
    }
}

function means(what, title,    i, k, line, q, some) {
    for (k = 1; k <= kinds; k++) {
        line = "| " title ", " label[k] " |"; some = 0
        for (i = 1; i <= allocators; i++) {
            q = mean(what, allocator[i], of_kind[k])
            some += q > 0
            line = line (q > 0 ? sprintf(" %.3f |", q) : " - |")
        }
        if (some) print line
    }
}

function part(what, title,    k) {
    print "\n## " title ", relative to " base "\n"
    head("row", base)
    for (k = 2; k <= kinds; k++) body(what, of_kind[k])
}

function tell_behind(    i, r, one, other, n, line) {
    print "\n## Where " ours " is behind\n"
    for (i = 1; i <= rows; i++) {
        r = row[i]
        if ((line = costs_more(r)) != "" && ++n) print "* " line
        one = value(2, r, ours); other = value(2, r, "glibc")
        if (one > 0 && other > 0 && one > other && ++n)
            printf "* %s: peak memory %.2f x that of glibc (%d KiB more)\n", r, one / other, one - other
    }
    if (!n) print "Nowhere: no row costs more CPU than " bound " x its best peer, or has a higher peak than glibc."
}

END {
    kinds = split("all pattern contention program", of_kind, " ")
    label[1] = "all rows"; label[2] = "patterns"; label[3] = "contention"; label[4] = "real programs"
    print "# Allocators compared\n\n```"
    while ((getline line < context) > 0) print line
    print "```\n\nMedians; below 1.00 is less than " base ".  Patterns are explained by `bench_patterns -l`; N in `pattern/N` is the threads.\n"
    head("geometric mean", "")
    means(1, "CPU")
    means(2, "peak memory")
    means(3, "memory left when all is freed")
    part(1, "CPU time")
    part(2, "Peak resident memory")
    tell_behind()
}
