#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# heaps.sh -- the benches of private heaps, ours and the peers' side by side in one run.
#
# The allocators take turns round by round, so that a noisy minute hits them all.  A peer that is not at hand is
# left out; none is needed to build.  mimalloc 3 is in no distribution yet: MIMALLOC3=FILE in the environment
# names its shared library.  Whether a target is met is for information: the exit code does not say it.
set -eu

usage() {
    cat <<'END'
usage: [MIMALLOC3=FILE] heaps.sh [-d BUILD] [-r ROUNDS] [-b MS] [-o FILE] [PATTERN ...]
  -d BUILD   build folder, where bench/bench_heaps is (here, else ./build)
  -r ROUNDS  rounds (3)
  -b MS      milliseconds for one line of one bench (150)
  -o FILE    keep the raw lines: `allocator round pattern/size/threads value peak_kib`
  PATTERN    create, create_one, create_hundred, pair, batch, sixteen, shared, handover, fill, walk, visit,
             small_kib, many, lock; without any: all
END
}

# A line each: pattern/size/threads, unit, target and moonshot, what was measured of mimalloc 3.4.3 and of
# jemalloc 5.3.1 on the reference machine (2 virtual cores AMD Zen 5, Debian 12), what it is.  `-`: none.
# Targets in ns, and the ms beside such figures, belong to that machine: they are scaled to this one by the
# peers of the same run.
table() {
    cat <<'END'
create/0/1                     ns     500  150   687.91   44468.30  make and end a heap
create_one/64/1                ns    1500  400  2909.00   58470.57  the same with one block
create_hundred/8-1024/1        ns    5000 2500  6940.63  145038.51  the same with 100 blocks
pair/64/1                      ns     5.0  4.0     3.36       8.52  one pair after the other
batch/8-1024/1                 ns       -    -     7.36      20.92  1,000 blocks, last first
sixteen/64/1                   ns     9.0  7.0    15.51      12.34  16 heaps in turn
shared/8-1024/2                ns     8.5  6.0     8.50      47.88  2 threads in one heap
handover/64/2                  ns      20   15    20.57      43.39  one allocates, one frees
fill/64/1                      ns       -    -     3.65      36.29  a million blocks
destroy_full_ms/64/1           ms    0.09 0.03     0.09       5.83  end a heap that has them
visit/64/1                     ns     1.3  1.0     1.28          -  see them all, fast
walk/64/1                      ns       -    -        -          -  see them all, HeapWalk
small_kib/64/1                 KiB    6.0  4.7   178.20     112.18  a heap of 10 small blocks
many_create/16-2049/1          ns       -    -        -          -  one of 10,000, 20 blocks
many_kib/16-2049/1             KiB     28    -        -          -  its memory
many_mappings_count/16-2049/1  count  2.2    -        -          -  its mappings
many_pair/16-2049/8            ns       -    -        -          -  8 threads in 1,000 of them
many_more_kib/16-2049/8        KiB      -    -        -          -  more memory of one so used
many_kib/16-2049/8             KiB     28    -        -          -  memory of each of all
many_mappings_count/16-2049/8  count  2.2    -        -          -  mappings of each of all
many_drop/16-2049/1            ns       -    -        -          -  end one of them
lock_first/0/1                 ns       -    -        -          -  first HeapLock+Unlock
lock_median/0/1                ns       -    -        -          -  alone, median
lock_mean/0/1                  ns       -    -        -          -  alone, mean
lock_first/0/2                 ns       -    -        -          -  first, 1 thread hammering
lock_median/0/2                ns       -    -        -          -  median
lock_mean/0/2                  ns       -    -        -          -  mean
lock_recovery_ms/0/2           ms     100    -        -          -  until it is fast again
lock_first/0/9                 ns       -    -        -          -  first, 8 threads hammering
lock_median/0/9                ns       -    -        -          -  median
lock_mean/0/9                  ns       -    -        -          -  mean
lock_recovery_ms/0/9           ms     100    -        -          -  until they are fast again
END
}

die() { echo "heaps.sh: $1" >&2; exit 2; }

build='' rounds=3 box=150 keep=''
while getopts d:r:b:o:h option; do
    case $option in
    d) build=$OPTARG ;;
    r) rounds=$OPTARG ;;
    b) box=$OPTARG ;;
    o) keep=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))

here=$(dirname "$0")
. "$here/peers.sh"
if [ -z "$build" ]; then
    build=.
    [ -x bench/bench_heaps ] || build=build
fi
[ -x "$build/bench/bench_heaps" ] || die "no bench/bench_heaps under '$build': make bench-programs first, or say -d BUILD"

raw=$(mktemp)
trap 'rm -f "$raw" "$raw.table"' EXIT
trap 'exit 130' INT TERM
table >"$raw.table"
for pattern; do # a word of ours names its programs, or the pattern in front of the first `/`
    grep -q "^${pattern}[/_]" "$raw.table" || die "there is no pattern '$pattern'"
done

# name:program:file, ours without a file.
all=privheap:bench_heaps:
peer() { # peer NAME PROGRAM FILE
    if [ -e "$3" ]; then
        loads "$1" "$3"
        all="$all $1:$2:$3"
    else
        echo "not at hand: $1" >&2
    fi
}
peer mimalloc3 bench_heaps_mimalloc "${MIMALLOC3:-}"
peer mimalloc2 bench_heaps_mimalloc "$(library libmimalloc.so.2)"
peer jemalloc bench_heaps_jemalloc "$(library libjemalloc.so.2)"
names=$(for one in $all; do echo "${one%%:*}"; done)

# wanted PROGRAM PATTERN...: is it among the patterns, or are there none?
wanted() {
    program=$1
    [ $# -gt 1 ] || return 0
    shift
    for pattern; do [ "$pattern" != "$program" ] || return 0; done
    return 1
}

measure() { # measure NAME FILE PROGRAM ARGUMENTS
    name=$1 file=$2 program=$3
    shift 3
    LD_PRELOAD=$file "$build/bench/$program" "$@" >"$raw.one" || echo "heaps.sh: $program fails under $name" >&2
    sed "s|^|$name $round |" "$raw.one" >>"$raw"
    rm -f "$raw.one"
}

round=1
while [ "$round" -le "$rounds" ]; do
    for one in $all; do
        program=${one#*:}
        measure "${one%%:*}" "${program#*:}" "${program%%:*}" -b "$box" "$@"
    done
    for program in many lock; do
        if wanted "$program" "$@"; then measure privheap '' "bench_heap_$program"; fi
    done
    all="${all#* } ${all%% *}" # another one goes first next time
    round=$((round + 1))
done
[ -z "$keep" ] || cp "$raw" "$keep"

machine
for one in $all; do
    file=${one##*:}
    [ -z "$file" ] || echo "peer      ${one%%:*} $(basename "$(readlink -f "$file")")"
done
awk -v names="$names" -v rounds="$rounds" -f "$here/heaps.awk" "$raw.table" "$raw"
