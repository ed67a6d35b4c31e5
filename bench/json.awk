# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# json.awk -- bench.sh's results for programs; google-benchmark's field names where they fit.

function quoted(text) { gsub(/["\\]/, "\\\\&", text); return "\"" text "\"" }
function pair(key, text) { return quoted(key) ": " quoted(text) }

END {
    printf "{\n  %s,\n  \"context\": {%s, %s, \"text\": [",
        pair("schema", "privheap.bench/1"), pair("date", date), pair("base", base)
    while ((getline line < context) > 0) { printf "%s%s", comma, quoted(line); comma = ", " }
    print "]},\n  \"benchmarks\": ["
    for (i = 1; i <= rows; i++) for (j = 1; j <= allocators; j++) {
        at = row[i] SUBSEP allocator[j]
        for (k = 1; k <= runs[at]; k++)
            printf "%s    {%s, %s, %s, \"run_type\": \"iteration\", \"repetition_index\": %d, " \
                "\"cpu_time\": %s, \"time_unit\": \"ns\", \"peak_rss_kib\": %s, \"rest_kib\": %s}",
                first++ ? ",\n" : "", pair("name", row[i]), pair("allocator", allocator[j]), pair("kind", kind[row[i]]),
                k - 1, cpu[at, k], peak[at, k], rest[at, k] == "-" ? "null" : rest[at, k]
    }
    print "\n  ],\n  \"geometric_means\": ["
    first = 0
    for (j = 1; j <= allocators; j++)
        printf "%s    {\"allocator\": %s, \"cpu\": %.4f, \"peak_rss\": %.4f}", first++ ? ",\n" : "", quoted(allocator[j]),
            mean(1, allocator[j], "all"), mean(2, allocator[j], "all")
    print "\n  ]\n}"
}
