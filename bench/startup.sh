#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# startup.sh -- what it costs to be there: instructions of /bin/true, and the memory of an idle process.
#
# Instructions: callgrind's count of /bin/true, with the object less without.  Memory: of a process that has made
# one block and waits (bench_startup), its private resident memory added up from /proc/PID/smaps, and its
# address space against the same process without us.  Both are exact counts, not timings: one run is enough.
# `-c` fails when ours misses a target.
set -eu

usage() {
    cat <<'END'
usage: startup.sh [-c] [-a] [-d BUILD] [-p OBJECT]
  -c         exit 1 unless ours meets the targets
  -a         jemalloc, mimalloc and tcmalloc too, where installed
  -d BUILD   build folder, where bench/bench_startup is (here, else ./build)
  -p OBJECT  our preload object (BUILD/preload/.libs/libprivheap-preload.so)
END
}

die() { echo "startup.sh: $1" >&2; exit 2; }
. "$(dirname "$0")/peers.sh"

max_instructions=33000 max_private_kib=164 max_space_kib=65536

check=0 build='' object='' others=0
while getopts cad:p:h option; do
    case $option in
    c) check=1 ;;
    a) others=1 ;;
    d) build=$OPTARG ;;
    p) object=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done

if [ -z "$build" ]; then
    build=.
    [ -x bench/bench_startup ] || build=build
fi
idle=$build/bench/bench_startup
[ -x "$idle" ] || die "no bench/bench_startup under '$build': make it first, or say -d BUILD"
: "${object:=$build/preload/.libs/libprivheap-preload.so}"
[ -e "$object" ] || die "no preload object '$object' (say -p OBJECT)"
object=$(cd "$(dirname "$object")" && pwd)/$(basename "$object")
loads privheap "$object"

work=$(mktemp -d)
waiting=
cleanup() {
    [ -z "$waiting" ] || kill "$waiting" 2>/dev/null || :
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Instructions of /bin/true under OBJECT (empty: none); `-` without valgrind.
instructions() {
    command -v valgrind >/dev/null || { echo -; return; }
    LD_PRELOAD=$1 valgrind --tool=callgrind --callgrind-out-file=/dev/null /bin/true >/dev/null 2>"$work/callgrind" ||
        die "callgrind: $(tail -1 "$work/callgrind")"
    sed -n 's/^.*Collected : //p' "$work/callgrind"
}

# `private_kib space_kib` of the idle process under OBJECT.
idle_memory() {
    mkfifo "$work/ready"
    LD_PRELOAD=$1 "$idle" >"$work/ready" &
    waiting=$!
    read -r word <"$work/ready" || die "bench_startup fails under '$1'"
    rm "$work/ready"
    [ "$word" = ready ] || die "bench_startup says '$word'"
    awk '/^Private_(Clean|Dirty):/ { sum += $2 } END { printf "%d ", sum }' "/proc/$waiting/smaps"
    awk '/^VmSize:/ { print $2 }' "/proc/$waiting/status"
    kill "$waiting"
    wait "$waiting" 2>/dev/null || :
    waiting=
}

row() { printf '%-12s %14s %14s %14s %14s %14s\n' "$@"; }

measure() { # measure NAME OBJECT: a row; leaves more, private, space
    count=$(instructions "$2")
    idle_memory "$2" >"$work/idle"
    read -r private vsz <"$work/idle"
    if [ -z "$2" ]; then bare_count=$count bare_vsz=$vsz; fi
    more=-
    [ "$count" = - ] || more=$((count - bare_count))
    space=$((vsz - bare_vsz))
    row "$1" "$count" "$more" "$private" "$vsz" "$space"
}

row allocator instructions 'more than bare' 'private KiB' 'space KiB' 'more than bare'
measure glibc ''
if [ "$others" = 1 ]; then
    for peer in jemalloc:libjemalloc.so.2 mimalloc:libmimalloc.so.2 tcmalloc:libtcmalloc_minimal.so.4; do
        file=$(library "${peer#*:}")
        [ -z "$file" ] || measure "${peer%%:*}" "$file"
    done
fi
measure privheap "$object"
row target '' "$max_instructions" "$max_private_kib" '' "$max_space_kib"

missed=0
miss() { echo "missed    $1"; missed=1; }
if [ "$more" = - ]; then echo 'skipped   instructions: valgrind is not installed'
elif [ "$more" -gt "$max_instructions" ]; then miss "$more instructions more than bare, target $max_instructions"; fi
[ "$private" -le "$max_private_kib" ] || miss "$private KiB private, target $max_private_kib"
[ "$space" -le "$max_space_kib" ] || miss "$space KiB more address space, target $max_space_kib"
[ "$missed" = 1 ] || echo 'every target met'
[ "$check" = 0 ] || exit "$missed"
