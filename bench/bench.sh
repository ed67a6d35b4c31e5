#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# bench.sh -- our patterns and real programs under every allocator at hand: a table, JSON, charts.
#
# The allocators take turns row by row, so that a noisy minute hits them all alike; figures are CPU time and
# peak memory, medians of the rounds.  No round is begun that would not end in time; every row has one at least.
# Each allocator is asked first where its malloc is: one that loads and replaces nothing is refused.
set -eu

usage() {
    cat <<'END'
usage: bench.sh [-q] [-N] [-d BUILD] [-o FOLDER] [-r ROUNDS] [-b MS] [-l SECONDS] [-B BASE] [-x NAMES] [-w ROWS]
                [NAME=FILE...]
  -q          quick: short rows, smaller inputs, one round
  -N          only ours and those named: not glibc, none that is installed
  -d BUILD    build folder, where bench/bench_patterns is (here, else ./build)
  -o FOLDER   where table.md, results.json, raw.txt and the charts go (BUILD/bench/results)
  -r ROUNDS   rounds at most (5; quick: 1)
  -b MS       CPU time of a pattern (150; quick: 20)
  -l SECONDS  begin no round that would end later than that (780; quick: 100)
  -B BASE     what the ratios are to (mi3 if there is one by that name, else glibc)
  -x NAMES    leave these allocators out, "glibc scudo" say
  -w ROWS     these rows only, "random python3 contend/16" say
  NAME=FILE   another allocator, or another file for one of: jemalloc mimalloc tcmalloc tbbmalloc scudo privheap
The environment's PEERS adds to the NAME=FILE list.
END
}

die() { echo "bench.sh: $1" >&2; exit 2; }
here=$(dirname "$0")
. "$here/peers.sh"
. "$here/programs.sh"

quick=0 only=0 build='' folder='' rounds='' box='' limit='' base='' left_out='' rows=''
while getopts qNd:o:r:b:l:B:x:w:h option; do
    case $option in
    q) quick=1 ;;
    N) only=1 ;;
    d) build=$OPTARG ;;
    o) folder=$OPTARG ;;
    r) rounds=$OPTARG ;;
    b) box=$OPTARG ;;
    l) limit=$OPTARG ;;
    B) base=$OPTARG ;;
    x) left_out=$OPTARG ;;
    w) rows=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
number() { case $2 in '' | *[!0-9]* | 0*) die "$1: '$2' is not a number above 0" ;; esac; }
[ $quick = 0 ] || : "${rounds:=1}" "${box:=20}" "${limit:=100}"
: "${rounds:=5}" "${box:=150}" "${limit:=780}"
number -r "$rounds"
number -b "$box"
number -l "$limit"
scale=$((2 - quick))

if [ -z "$build" ]; then
    build=.
    [ -x bench/bench_patterns ] || build=build
fi
build=$(cd "$build" 2>/dev/null && pwd) || die 'no build folder: say -d BUILD'
patterns=$build/bench/bench_patterns run=$build/bench/bench_run
for program in "$patterns" "$run"; do
    [ -x "$program" ] || die "no $program: make bench-programs first, or say -d BUILD"
done
: "${folder:=$build/bench/results}"
mkdir -p "$folder"
work=$(mktemp -d)
cleanup() {
    # the server that is being measured hears no Ctrl-C
    [ ! -S "$work/redis.sock" ] || redis-cli -s "$work/redis.sock" shutdown nosave >/dev/null 2>&1 || :
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---- allocators: name:file, one word each ----
all=
have() { # NAME FILE
    case " $left_out " in *" $1 "*) return 0 ;; esac
    [ -e "${2:-/}" ] || die "$1: there is no '$2'"
    file=$2
    if [ -n "$file" ]; then
        file=$(realpath "$file")
        case $file in *[[:space:]:]*) die "$1: a name with ':' or blanks cannot be preloaded: '$file'" ;; esac
        loads "$1" "$file"
        in=$(LD_PRELOAD=$file "$patterns" where) || die "$1: a program fails under $file"
        [ "$(realpath "$in")" = "$file" ] || die "$1: malloc is not in $file but in $in"
    fi
    all="$all $1:$file"
}
given=" $* ${PEERS:-} "
given() { # NAME: its FILE, when given
    case $given in *" $1="*) rest=${given#*" $1="}; echo "${rest%% *}" ;; esac
}
known='jemalloc:libjemalloc.so.2 mimalloc:libmimalloc.so.2 tcmalloc:libtcmalloc_minimal.so.4
    tbbmalloc:libtbbmalloc_proxy.so.2 scudo:libclang_rt.scudo_standalone-'$(uname -m).so
libc=$("$patterns" where)
[ $only = 1 ] || have glibc ''
for peer in $known; do
    name=${peer%%:*}
    file=$(given "$name")
    if [ -z "$file" ] && [ $only = 0 ]; then
        file=$(library "${peer#*:}")
        [ -n "$file" ] || echo "not installed: $name" >&2
    fi
    [ -z "$file" ] || have "$name" "$file"
done
for word in $given; do
    case $word in
    ?*=?*) case "privheap $known" in *"${word%%=*}:"* | "${word%%=*} "*) ;; *) have "${word%%=*}" "${word#*=}" ;; esac ;;
    *) die "'$word' is not NAME=FILE" ;;
    esac
done
object=$(given privheap)
have privheap "${object:-$build/preload/.libs/libprivheap-preload.so}"
names=
for one in $all; do names="$names ${one%%:*}"; done
if [ -z "$base" ]; then case " $names " in *' mi3 '*) base=mi3 ;; *) base=glibc ;; esac; fi
case " $names " in *" $base "*) ;; *) die "the base '$base' is not among:$names" ;; esac

# ---- rows ----
if [ -z "$rows" ]; then
    rows=$("$patterns" -l | awk '$1 != "nothing" && $1 != "where" && $1 != "contend" { print $1 }')
    counts='1 2 4 8 16 32 64'
    [ $quick = 0 ] || counts='1 4 64'
    for count in $counts; do rows="$rows contend/$count"; done
    rows="$rows $PROGRAMS"
fi
is_program() { case " $PROGRAMS " in *" $1 "*) true ;; *) false ;; esac; }
chosen= wanted=
for row in $rows; do
    if is_program "$row" && [ -z "$(program_command "$row")" ]; then echo "not installed: $row" >&2; continue; fi
    if is_program "$row"; then wanted="$wanted $row"; fi
    chosen="$chosen $row"
done
[ -n "$chosen" ] || die 'no rows are left'
seconds=120
program_inputs $wanted

# ---- measure: raw lines `kind row allocator round cpu_ns peak_kib rest_kib` ----
raw=$folder/raw.txt
: >"$raw"
failed() { echo "failed: $1 under $2" >&2; }
measure_pattern() { # ROW NAME FILE ROUND
    option=
    case $1 in */*) option="-t ${1#*/}" ;; esac
    # shellcheck disable=SC2086
    if line=$(LD_PRELOAD=$3 timeout -k 5 $seconds "$patterns" -b "$box" $option "${1%%/*}" 2>"$work/errors"); then
        echo "$line" | awk -v name="$2" -v round="$4" -v contend="${1#contend/}" \
            '{ print contend ~ /^[0-9]/ ? "contention" : "pattern", $1, name, round, $2, $4, $5 }' >>"$raw"
    else failed "$1" "$2"; fi
}
# The same output under each allocator, or it is no result.
measure_program() { # ROW NAME FILE ROUND
    if program_run "$1" "$(program_command "$1")" "$3"; then
        sum=$(cksum <"$work/output")
        [ -e "$work/sum.$1" ] || echo "$sum" >"$work/sum.$1"
        if [ "$sum" = "$(cat "$work/sum.$1")" ]; then
            read -r cpu peak _ <"$work/used"
            echo "program $1 $2 $4 $cpu $peak -" >>"$raw"
            return
        fi
    fi
    failed "$1" "$2"
}
now() { date +%s; }
begin=$(now) round=0 last=0
load=$(cut -d' ' -f1 /proc/loadavg)
while [ $round -lt "$rounds" ] && [ $(($(now) - begin + last)) -le "$limit" ]; do
    round=$((round + 1)) from=$(now)
    for row in $chosen; do
        for one in $all; do
            if is_program "$row"; then measure_program "$row" "${one%%:*}" "${one#*:}" $round
            else measure_pattern "$row" "${one%%:*}" "${one#*:}" $round; fi
        done
        all="${all#* } ${all%% *}" # another one goes first next time
        all=${all# }
    done
    last=$(($(now) - from))
    [ ! -t 2 ] || echo "round $round: $last s" >&2
done
[ -s "$raw" ] || die 'nothing could be measured'

# ---- tell ----
{
    machine
    echo "glibc     $(getconf GNU_LIBC_VERSION | sed 's/glibc //'), $libc"
    for one in $all; do [ -z "${one#*:}" ] || printf '%-9s %s\n' "${one%%:*}" "${one#*:}"; done | sort
    load="load $load before and $(cut -d' ' -f1 /proc/loadavg) after"
    echo "rounds    $round, $box ms of CPU a pattern, $load, $(($(now) - begin)) s"
} >"$work/context"
date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
tell() {
    awk -v names="$names" -v base="$base" -v ours=privheap -v context="$work/context" -v date="$date" \
        -f "$here/results.awk" -f "$here/$1" "$raw"
}
tell table.awk >"$folder/table.md"
tell json.awk >"$folder/results.json"
tell charts.awk >"$folder/charts.gp"
if command -v gnuplot >/dev/null; then
    (cd "$folder" && gnuplot charts.gp) || die 'gnuplot failed'
else
    echo 'not installed: gnuplot, so no charts' >&2
fi
cat "$folder/table.md"
echo "written to $folder:" $(ls "$folder") >&2
