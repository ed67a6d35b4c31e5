# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# readme.awk -- what README tells of bench.sh's results: geometric means, patterns in ns, the rows in which we are behind.

# The allocators' versions, the machine and how often, from the context.
function read_context(    line, word) {
    while ((getline line < context) > 0) {
        split(line, word, /[ ,]+/)
        if (word[1] == "machine") { gsub(/^machine +|-[^ ]*$/, "", line); machine = line }
        else if (word[1] == "rounds") { sub(/^rounds +/, "", line); rounds = line }
        else if (word[1] ~ /^(short|missing|failed)$/) flaw[++flaws] = line
        else if (word[2] !~ /^\//) version[word[1]] = " " word[2]
    }
}

function head(first,    j, line, rule) {
    line = "| " first " |"; rule = "|---|"
    for (j = 1; j <= allocators; j++) {
        line = line " " allocator[j] version[allocator[j]] " |"
        rule = rule "---:|"
    }
    print line "\n" rule
}

# Of one kind of row: "25 patterns".
function count_of(of, what,    i, n) {
    for (i = 1; i <= rows; i++) n += kind[row[i]] == of && counts(what, row[i])
    return n + 0
}

function means_of(what, title, of,    j, line) {
    if (count_of(of, what) == 0) return
    line = "| " title " |"
    for (j = 1; j <= allocators; j++) line = line sprintf(" %.2f |", mean(what, allocator[j], of))
    print line
}

function nanoseconds(ns) {
    return ns <= 0 ? "-" : ns < 100 ? sprintf("%.1f", ns) : ns < 100000 ? sprintf("%.0f", ns) : sprintf("%.0f us", ns / 1000)
}

function operations(    line, name, text, i, j) {
    while ((getline line < list) > 0) {
        name = line; sub(/ .*/, "", name)
        sub(/^[^ ]+ +[0-9]+ +/, "", line); text[name] = line
    }
    head("ns of CPU for one")
    for (i = 1; i <= rows; i++) {
        name = row[i]; sub(/\/.*/, "", name)
        if (kind[row[i]] != "pattern" || !counts(1, row[i])) continue
        line = "| `" name "`: " text[name] " |"
        for (j = 1; j <= allocators; j++) line = line " " nanoseconds(value(1, row[i], allocator[j])) " |"
        print line
    }
}

END {
    read_context()
    print "On " machine ";"
    print "rounds: " rounds "."
    print "Medians of the rounds, in which the allocators take turns. The peers are the distribution's packages. Below 1.00 is"
    print "less than " base ".\n"
    for (i = 1; i <= flaws; i++) print "    " flaw[i] (i == flaws ? "\n" : "")
    head("geometric means")
    for (what = 1; what <= 2; what++) {
        title = what == 1 ? "CPU" : "peak memory"
        means_of(what, title ", " count_of("pattern", what) " patterns", "pattern")
        means_of(what, title ", " count_of("contention", what) " rows of contention, 1 to 64 threads", "contention")
        means_of(what, title ", " count_of("program", what) " real programs", "program")
    }
    print "\n![CPU time and peak memory of each allocator](bench/figures.svg)\n"
    operations()
    for (i = 1; i <= rows; i++) if ((line = costs_more(row[i])) != "") {
        if (!n++) print "\nWhere " ours " costs more than " bound " x its best peer:\n"
        print "* " line (why(row[i]) == "" ? ". No reason is known yet." : "")
    }
    if (!n) print "\nNo row costs " ours " more than " bound " x its best peer."
}
