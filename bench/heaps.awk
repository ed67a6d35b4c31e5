# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# heaps.awk -- heaps.sh's result, from its table and its raw lines `allocator round pattern/size/threads value
# peak_kib`: ours as minimum and median of the rounds, the minimum of each peer, the target.
#
# Scale: measured / reference, as a geometric mean over the times of both peers that have reference figures;
# no single one decides.  One for one thread and one for two: what passes between processors costs differently
# from machine to machine.  jemalloc 5.3.0 of a distribution stands for 5.3.1.

FNR == NR {
    line[++lines] = $1; unit[$1] = $2; target[$1] = $3; moonshot[$1] = $4
    if ($5 != "-") reference["mimalloc3", $1] = $5
    if ($6 != "-") reference["jemalloc", $1] = $6
    scaled[$1] = $5 != "-" && ($2 == "ns" || $2 == "ms")
    $1 = $2 = $3 = $4 = $5 = $6 = ""
    sub(/^ +/, ""); title[line[lines]] = $0
    next
}

{
    value[$1, $3, ++count[$1, $3]] = $4
    if (!($3 in unit)) { line[++lines] = $3; target[$3] = moonshot[$3] = "-" } # a pattern newer than the table
    seen[$3] = 1
}

function sort_values(who, what, n,    i, j, kept) {
    for (i = 2; i <= n; i++) {
        kept = value[who, what, i]
        for (j = i - 1; j >= 1 && value[who, what, j] + 0 > kept + 0; j--)
            value[who, what, j + 1] = value[who, what, j]
        value[who, what, j + 1] = kept
    }
}

function summarise(    p, l, n, who, what) {
    for (p = 1; p <= peers; p++) for (l = 1; l <= lines; l++) {
        who = peer[p]; what = line[l]; n = count[who, what]
        if (!n) continue
        sort_values(who, what, n)
        min[who, what] = value[who, what, 1]
        median[who, what] = (value[who, what, int((n + 1) / 2)] + value[who, what, int(n / 2) + 1]) / 2
    }
}

function threads(what) { sub(/.*\//, "", what); return what }

function find_scale(kind,    p, l, who, what, sum, n, all, used, text) {
    for (p = 1; p <= peers; p++) {
        who = peer[p]; sum = n = 0
        for (l = 1; l <= lines; l++) {
            what = line[l]
            if (threads(what) != kind || !scaled[what] || !((who, what) in reference)) continue
            if (!(min[who, what] > 0)) continue
            sum += log(min[who, what] / reference[who, what]); n++
        }
        if (n) text = text sprintf(" %s %.2f", who, exp(sum / n))
        all += sum; used += n
    }
    scale[kind] = used ? exp(all / used) : 1
    if (!used) text = " none, so 1"
    printf "scale     %.3f for %d thread%s = geometric mean of here / reference over %d figures:%s\n",
        scale[kind], kind, (kind > 1 ? "s" : ""), used, text
}

# Three digits that mean something, whatever the size.
function figure(x) {
    if (x == "") return "-"
    return x >= 1000 ? sprintf("%.0f", x) : x >= 100 ? sprintf("%.1f", x) : x >= 10 ? sprintf("%.2f", x) : sprintf("%.3f", x)
}

function here(goal, what) { return goal == "-" ? "" : scaled[what] ? goal * scale[threads(what)] : goal + 0 }

# Locks by the median: with threads that wait for each other a low figure is luck.
function verdict(what,    ours) {
    ours = what ~ /^lock_/ ? median["privheap", what] : min["privheap", what]
    if (target[what] == "-" || ours == "") return ""
    if (ours + 0 > here(target[what], what)) return "MISS"
    return moonshot[what] != "-" && ours + 0 <= here(moonshot[what], what) ? "PASS, moonshot" : "PASS"
}

function row(what,    p) {
    printf "%-29s %-5s %9s %9s", what, unit[what], figure(min["privheap", what]), figure(median["privheap", what])
    for (p = 1; p <= peers; p++) if (peer[p] != "privheap") printf " %10s", figure(min[peer[p], what])
    printf " %8s %8s %8s  %-4s %s\n", target[what], figure(here(target[what], what)),
        figure(here(moonshot[what], what)), verdict(what), title[what] ? "# " title[what] : ""
}

END {
    peers = split(names, peer, /[ \n]+/)
    if (!peers || FNR == NR) { print "heaps: no figures"; exit 2 }
    summarise()
    find_scale(1)
    find_scale(2)
    printf "\n%-29s %-5s %9s %9s", "pattern/size/threads", "unit", "ours, min", "median"
    for (p = 1; p <= peers; p++) if (peer[p] != "privheap") printf " %10s", peer[p]
    printf " %8s %8s %8s\n", "target", "here", "moonshot"
    for (l = 1; l <= lines; l++) if (line[l] in seen) row(line[l])
    printf "\n%d rounds; minima, and the median of ours.  CPU time; with two threads, and for locks, by the wall,\n", rounds
    print "each thread kept on one processor.  Verdict: our minimum against the target here; of locks, the median."
    print "target: on the reference machine; here and moonshot: scaled to this one"
}
