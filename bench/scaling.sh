#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# scaling.sh -- what one operation costs with 1 to 64 threads, under every allocator at hand; and how many cache lines
# hold blocks of two threads.
#
# bench.sh measures; this chooses its rows and tells them by threads.  Figures are CPU time of the whole process for
# each operation: where it stays the same, twice the processors do twice the work.  The lines are counted, not timed.
set -eu

usage() {
    cat <<'END'
usage: scaling.sh [-N] [-d BUILD] [-o FOLDER] [-r ROUNDS] [-b MS] [-l SECONDS] [-t COUNTS] [-p PATTERNS] [NAME=FILE...]
  -N           only ours and those named: not glibc, none that is installed
  -d BUILD     build folder, where bench/bench_patterns is (here, else ./build)
  -o FOLDER    where scaling.md, the chart and bench.sh's files go (BUILD/bench/scaling)
  -r ROUNDS    rounds at most (3)
  -b MS        CPU time of a row (150, and at least 5 a thread)
  -l SECONDS   begin no round that would end later than that (780)
  -t COUNTS    numbers of threads ("1 2 4 8 16 32 64")
  -p PATTERNS  of bench_patterns, any that can have that many ("contend server producers")
  NAME=FILE    another allocator, as bench.sh knows them
END
}

die() { echo "scaling.sh: $1" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
only='' build='' folder='' rounds=3 box=150 limit=780 counts='1 2 4 8 16 32 64' patterns='contend server producers'
while getopts Nd:o:r:b:l:t:p:h option; do
    case $option in
    N) only=-N ;;
    d) build=$OPTARG ;;
    o) folder=$OPTARG ;;
    r) rounds=$OPTARG ;;
    b) box=$OPTARG ;;
    l) limit=$OPTARG ;;
    t) counts=$OPTARG ;;
    p) patterns=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
if [ -z "$build" ]; then
    build=.
    [ -x bench/bench_patterns ] || build=build
fi
[ -x "$build/bench/bench_lines" ] || die "no bench/bench_lines under '$build': make bench-programs first, or say -d BUILD"
: "${folder:=$build/bench/scaling}"
mkdir -p "$folder"

# ---- rows: a pattern's own number of threads says what it needs ----
rows=
for pattern in $patterns; do
    for count in $counts; do
        case $count in '' | *[!0-9]* | 0*) die "'$count' is not a number above 0" ;; esac
        case $pattern in remote | producers) [ $((count % 2)) = 0 ] || continue ;; esac
        rows="$rows $pattern/$count"
    done
done
[ -n "$rows" ] || die 'no rows are left'
"$here/bench.sh" $only -d "$build" -o "$folder" -r "$rounds" -b "$box" -l "$limit" -w "$rows" -B privheap "$@" >"$folder/table.txt"

# ---- tell ----
names=$(awk '!seen[$3]++ { printf "%s ", $3 }' "$folder/raw.txt")
awk -v names="$names" -v charts="$folder/scaling.plot" -f "$here/scaling.awk" "$folder/raw.txt" >"$folder/scaling.md"
{
    echo
    echo '| cache lines that hold blocks of two threads | together | handed out |'
    echo '|---|---:|---:|'
    for name in $names; do
        file=$(awk -v name="$name" '$1 == name && $NF ~ /^\// { print $NF; exit }' "$folder/table.txt")
        lines=$(LD_PRELOAD=$file "$build/bench/bench_lines") || die "bench_lines fails under $name"
        echo "$lines" | awk -v name="$name" '{ share[NR] = sprintf("%.1f %%", 100 * $2 / $3) } END { printf "| %s | %s | %s |\n", name, share[1], share[2] }'
    done
} >>"$folder/scaling.md"
cat "$folder/scaling.md"
if command -v gnuplot >/dev/null; then
    (cd "$folder" && gnuplot scaling.plot) 2>"$folder/gnuplot.txt" || die "gnuplot fails: $folder/gnuplot.txt"
    echo
    echo "chart: $folder/scaling.svg"
fi
