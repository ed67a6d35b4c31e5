#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# compare.sh -- the benches over every allocator at hand, side by side in one run.
#
# The allocators take turns round by round, so that a noisy minute hits them all.  Prints minimum and median of
# each, ours relative to each peer, and the target: what issue and reference machine name, scaled to this machine
# by the peers of this same run.  `-c` fails when ours misses a target or a peer it must beat.
set -eu

usage() {
    cat <<'END'
usage: compare.sh [-c] [-d BUILD] [-p OBJECT] [-r ROUNDS] [-b MS] [-o FILE] [-- BENCH OPTIONS]
  -c         exit 1 unless ours meets the targets (minimum of the rounds)
  -d BUILD   build folder, where bench/bench_one_size is (here, else ./build)
  -p OBJECT  our preload object (BUILD/preload/.libs/libprivheap-preload.so)
  -r ROUNDS  rounds (5)
  -b MS      milliseconds for one line of one bench (200)
  -o FILE    keep the raw lines: `allocator round pattern/size/threads ns_per_op peak_kib`
  BENCH OPTIONS go to every bench: -n (do not write into the blocks), -t THREADS, -s SEED
END
}

die() { echo "compare.sh: $1" >&2; exit 2; }

check=0 build='' object='' rounds=5 box=200 keep=''
while getopts cd:p:r:b:o:h option; do
    case $option in
    c) check=1 ;;
    d) build=$OPTARG ;;
    p) object=$OPTARG ;;
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
    [ -x bench/bench_one_size ] || build=build
fi
[ -x "$build/bench/bench_one_size" ] || die "no bench/bench_one_size under '$build': make it first, or say -d BUILD"
: "${object:=$build/preload/.libs/libprivheap-preload.so}"

raw=$(mktemp)
trap 'rm -f "$raw" "$raw.one"' EXIT
trap 'exit 130' INT TERM

peers="glibc:"
for peer in jemalloc:libjemalloc.so.2 mimalloc:libmimalloc.so.2 tcmalloc:libtcmalloc_minimal.so.4; do
    file=$(library "${peer#*:}")
    if [ -n "$file" ]; then peers="$peers ${peer%%:*}:$file"; else echo "not installed: ${peer%%:*}" >&2; fi
done
[ -e "$object" ] || die "no preload object '$object' (say -p OBJECT)"
object=$(cd "$(dirname "$object")" && pwd)/$(basename "$object")
all="$peers privheap:$object"

for one in $all; do
    [ -z "${one#*:}" ] || loads "${one%%:*}" "${one#*:}"
done

one_round() { # one_round ROUND ALLOCATOR:FILE BENCH OPTIONS
    round=$1 name=${2%%:*} file=${2#*:}
    shift 2
    for bench in one_size mixed; do
        LD_PRELOAD=$file "$build/bench/bench_$bench" -b "$box" "$@" >"$raw.one" || die "bench_$bench fails under $name"
        sed "s|^|$name $round |" "$raw.one" >>"$raw"
    done
}

round=1
while [ "$round" -le "$rounds" ]; do
    for one in $all; do one_round "$round" "$one" "$@"; done
    all="${all#* } ${all%% *}" # another one goes first next time
    round=$((round + 1))
done
[ -z "$keep" ] || cp "$raw" "$keep"

machine
for one in $peers; do
    [ -n "${one#*:}" ] && echo "peer      ${one%%:*} $(basename "$(readlink -f "${one#*:}")")"
done
echo "peer      glibc $(getconf GNU_LIBC_VERSION | sed 's/glibc //')"
awk -v check="$check" -v rounds="$rounds" -f "$here/compare.awk" "$raw"
