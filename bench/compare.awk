# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# compare.awk -- compare.sh's table, from its raw lines `allocator round pattern/size/threads ns_per_op peak_kib`.
#
# Targets are ns per pair on the reference machine (2 virtual cores AMD Zen 5, Debian 12).  They are scaled by
# measured / reference of each peer and line that has a reference figure, as a geometric mean for the kind of
# bench.  The reference figures are those of mimalloc 2.4.1, jemalloc 5.3.1, tcmalloc_minimal 2.10 and glibc
# 2.36; a distribution's mimalloc is older, which is why no single peer decides the scale.

function reference(peer, line, ns) { known[peer, line] = ns }

BEGIN {
    reference("glibc", "one_size/16/1", 5.59);     reference("glibc", "one_size/1000/1", 5.50)
    reference("mimalloc", "one_size/16/1", 4.68);  reference("mimalloc", "one_size/1000/1", 6.42)
    reference("jemalloc", "one_size/16/1", 3.81);  reference("jemalloc", "one_size/1000/1", 4.61)
    reference("tcmalloc", "one_size/16/1", 4.29);  reference("tcmalloc", "one_size/1000/1", 2.79)
    reference("glibc", "mixed_lifo/8-1024/1", 29.96);    reference("glibc", "mixed_fifo/8-1024/1", 36.56)
    reference("mimalloc", "mixed_lifo/8-1024/1", 6.40);  reference("mimalloc", "mixed_fifo/8-1024/1", 6.77)
    reference("jemalloc", "mixed_lifo/8-1024/1", 16.10); reference("jemalloc", "mixed_fifo/8-1024/1", 15.24)
    reference("tcmalloc", "mixed_lifo/8-1024/1", 3.82);  reference("tcmalloc", "mixed_fifo/8-1024/1", 4.10)
    reference("glibc", "mixed_random/8-1024/1", 31.95);  reference("mimalloc", "mixed_random/8-1024/1", 6.33)
    reference("jemalloc", "mixed_random/8-1024/1", 12.76); reference("tcmalloc", "mixed_random/8-1024/1", 4.94)
    target["one_size"] = 4.0; target["mixed"] = 5.5
}

{
    if (!($1 in seen_peer)) { seen_peer[$1] = 1; peer[++peers] = $1 }
    if (!($3 in seen_line)) { seen_line[$3] = 1; line[++lines] = $3 }
    value[$1, $3, ++count[$1, $3]] = $4
    if ($5 > peak[$1, $3]) peak[$1, $3] = $5
}

function sort_values(who, what, n,    i, j, kept) {
    for (i = 2; i <= n; i++) {
        kept = value[who, what, i]
        for (j = i - 1; j >= 1 && value[who, what, j] + 0 > kept + 0; j--)
            value[who, what, j + 1] = value[who, what, j]
        value[who, what, j + 1] = kept
    }
}

function kind_of(what) { sub(/[_\/](lifo|fifo|random)?.*/, "", what); return what == "one" ? "one_size" : what }

function summarise(    p, l, n, who, what) {
    for (p = 1; p <= peers; p++) for (l = 1; l <= lines; l++) {
        who = peer[p]; what = line[l]; n = count[who, what]
        sort_values(who, what, n)
        min[who, what] = value[who, what, 1]
        median[who, what] = (value[who, what, int((n + 1) / 2)] + value[who, what, int(n / 2) + 1]) / 2
    }
}

# min[] against the reference: per peer for the reader, over all peers for the target.
function scale_kind(kind,    p, l, who, what, sum, n, all, used, text) {
    for (p = 1; p <= peers; p++) {
        who = peer[p]; sum = n = 0
        for (l = 1; l <= lines; l++) {
            what = line[l]
            if (kind_of(what) != kind || !((who, what) in known)) continue
            sum += log(min[who, what] / known[who, what]); n++
        }
        if (n) text = text sprintf(" %s %.2f", who, exp(sum / n))
        all += sum; used += n
    }
    if (!used) return 0
    scale[kind] = exp(all / used)
    printf "scale     %-8s %.3f = geometric mean of here / reference over %d figures:%s\n", kind, scale[kind], used, text
    return 1
}

function target_here(what) { return target[kind_of(what)] * scale[kind_of(what)] }

function table(title, form,    p, l) {
    printf "\n%-24s", title
    for (p = 1; p <= peers; p++) printf " %15s", peer[p]
    print form == "peak" ? "" : "          target"
    for (l = 1; l <= lines; l++) {
        printf "%-24s", line[l]
        for (p = 1; p <= peers; p++) {
            if (form == "peak") printf " %15d", peak[peer[p], line[l]]
            else printf " %7.2f/%7.2f", min[peer[p], line[l]], median[peer[p], line[l]]
        }
        if (form != "peak" && kind_of(line[l]) in scale) printf " %15.2f", target_here(line[l])
        print ""
    }
}

function ratios(    p, l) {
    printf "\n%-24s", "ours / peer, minima"
    for (p = 1; p <= peers; p++) if (peer[p] != "privheap") printf " %15s", peer[p]
    print "       of target"
    for (l = 1; l <= lines; l++) {
        printf "%-24s", line[l]
        for (p = 1; p <= peers; p++)
            if (peer[p] != "privheap") printf " %15.2f", min["privheap", line[l]] / min[peer[p], line[l]]
        if (kind_of(line[l]) in scale) printf " %15.2f", min["privheap", line[l]] / target_here(line[l])
        print ""
    }
}

function missed(text) { print "missed    " text; misses++ }

# The targets proper: 16 bytes for one size, every order for mixed, which must also beat jemalloc and mimalloc.
function judge(    l, what, kind, ours) {
    print ""
    for (l = 1; l <= lines; l++) {
        what = line[l]; kind = kind_of(what); ours = min["privheap", what]
        if (!(kind in scale) || what !~ /\/1$/) continue
        if ((kind == "mixed" || what ~ /\/16\//) && ours > target_here(what))
            missed(sprintf("%s: %.2f ns, target %.2f", what, ours, target_here(what)))
        if (kind != "mixed") continue
        if ("jemalloc" in seen_peer && ours >= min["jemalloc", what]) missed(what ": not ahead of jemalloc")
        if ("mimalloc" in seen_peer && ours >= min["mimalloc", what]) missed(what ": not ahead of mimalloc")
    }
    if (!misses) print "every target met"
}

END {
    if (!lines) { print "compare: no figures" ; exit 2 }
    summarise()
    scaled = scale_kind("one_size") + scale_kind("mixed")
    table("ns per pair, min/median", "ns")
    ratios()
    table("peak KiB", "peak")
    printf "\n%d rounds; CPU time; the minimum of a round is the best of its repetitions\n", rounds
    if (scaled) judge()
    exit check && misses ? 1 : 0
}
