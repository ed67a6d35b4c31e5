# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# results.awk -- read bench.sh's raw lines `kind row allocator round cpu_ns peak_kib rest_kib`; medians, ratios, geometric
# means.  For table.awk, readme.awk, json.awk and charts.awk, which only print.

{
    if (!($2 in kind)) { kind[$2] = $1; row[++rows] = $2 }
    at = $2 SUBSEP $3
    runs[at]++
    cpu[at, runs[at]] = $5; peak[at, runs[at]] = $6; rest[at, runs[at]] = $7
}

function median(figure, at,    n, i, j, kept, sorted) {
    n = runs[at]
    for (i = 1; i <= n; i++) {
        kept = figure[at, i] + 0
        for (j = i - 1; j >= 1 && sorted[j] > kept; j--) sorted[j + 1] = sorted[j]
        sorted[j + 1] = kept
    }
    return n ? (sorted[int((n + 1) / 2)] + sorted[int(n / 2) + 1]) / 2 : 0
}

# What a row is of: 1 CPU, 2 peak, 3 rest.  Zero where there is none.
function value(what, r, name) {
    return what == 1 ? median(cpu, r SUBSEP name) : what == 2 ? median(peak, r SUBSEP name) : median(rest, r SUBSEP name)
}

# Idle is about memory alone: its time is one pair's.
function counts(what, r) { return !(what == 1 && r ~ /^idle\//) }

function ratio(what, r, name,    one, other) {
    one = value(what, r, name); other = value(what, r, base)
    return one > 0 && other > 0 && counts(what, r) ? one / other : 0
}

# Over the rows of a kind (or all) that both have.
function mean(what, name, of,    i, sum, n, q) {
    for (i = 1; i <= rows; i++)
        if ((of == "all" || kind[row[i]] == of) && (q = ratio(what, row[i], name)) > 0) { sum += log(q); n++ }
    return n ? exp(sum / n) : 0
}

# The least of all but ours; best_name is whose.
function best(what, r,    i, q, least) {
    least = 0; best_name = ""
    for (i = 1; i <= allocators; i++)
        if (allocator[i] != ours && counts(what, r) && (q = value(what, r, allocator[i])) > 0 && (!least || q < least)) {
            least = q; best_name = allocator[i]
        }
    return least
}

# Rows in which ours costs more than `bound` x the CPU of its best peer: why, as `behind` (a file) says.
function why(r,    name) { name = r; sub(/\/.*/, "", name); return r in reason ? reason[r] : name in reason ? reason[name] : "" }
function costs_more(r,    one, other) {
    one = value(1, r, ours); other = best(1, r)
    if (!(one > 0 && other > 0 && one > bound * other)) return ""
    return sprintf("%s: CPU %.2f x that of %s, the best peer%s", r, one / other, best_name, why(r) != "" ? ". " why(r) : "")
}

BEGIN {
    bound = 1.15
    while (behind != "" && (getline line < behind) > 0)
        if (line !~ /^#/ && (colon = index(line, ": "))) reason[substr(line, 1, colon - 1)] = substr(line, colon + 2)
}
BEGIN { allocators = split(names, allocator, " ") }
