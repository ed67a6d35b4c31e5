#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# bench.sh -- our patterns and real programs under every allocator at hand: a table, JSON, charts.
#
# The allocators take turns row by row, so that a noisy minute hits them all alike; figures are CPU time and
# peak memory, medians of the rounds.  Each allocator is asked first where its malloc is: one that loads and replaces
# nothing is refused.
#
# It ends in time on a busy machine too: no round is begun that would not, patterns get less CPU when the first round
# is late, and rows for which no time is left are named and not measured.
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
  -l SECONDS  be done by then, with fewer rounds, shorter patterns, and in the end without some rows (780; quick: 80)
  -B BASE     what the ratios are to (mi3 if there is one by that name, else glibc)
  -x NAMES    leave these allocators out, "glibc scudo" say
  -w ROWS     these rows only, "random python3 contend/16" say
  NAME=FILE   another allocator, or another file for one of: jemalloc mimalloc tcmalloc tbbmalloc scudo privheap
The environment's PEERS adds to the NAME=FILE list.
END
}

die() { echo "bench.sh: $1" >&2; exit 2; }
now() { date +%s; }
begin=$(now)
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
[ $quick = 0 ] || : "${rounds:=1}" "${box:=20}" "${limit:=80}"
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

# ---- rows: a real program after every third pattern, so that time that runs out leaves some of both ----
if [ -z "$rows" ]; then
    threads='1 2 4 8 16 32 64'
    [ $quick = 0 ] || threads='1 4 64'
    rows=$({ "$patterns" -l; for count in $threads; do echo "contend/$count"; done; } | awk -v programs="$PROGRAMS" '
        BEGIN { count = split(programs, program, " ") }
        $1 != "nothing" && $1 != "where" && $1 != "contend" { print $1; if (++n % 3 == 0 && done < count) print program[++done] }
        END { while (done < count) print program[++done] }')
fi
is_program() { case " $PROGRAMS " in *" $1 "*) true ;; *) false ;; esac; }
chosen= wanted=
for row in $rows; do
    if is_program "$row" && [ -z "$(program_command "$row")" ]; then echo "not installed: $row" >&2; continue; fi
    if is_program "$row"; then wanted="$wanted $row"; fi
    chosen="$chosen $row"
done
[ -n "$chosen" ] || die 'no rows are left'
program_inputs $wanted

# ---- measure: raw lines `kind row allocator round cpu_ns peak_kib rest_kib` ----
raw=$folder/raw.txt
: >"$raw"
: >"$work/failed"
failed() { # ROW NAME: unless it was stopped because time was up
    if [ "$(left)" -le 0 ]; then late=1; return; fi
    echo "failed: $1 under $2" >&2
    echo "$2: $1" >>"$work/failed"
}
left() { echo $((limit - $(now) + begin)); }
measure_pattern() { # ROW NAME FILE ROUND
    option=
    case $1 in */*) option="-t ${1#*/}" ;; esac
    # shellcheck disable=SC2086
    if line=$(LD_PRELOAD=$3 timeout -k 5 $seconds "$patterns" -b "$box" $option "${1%%/*}" 2>"$work/errors"); then
        echo "$line" | awk -v name="$2" -v round="$4" -v contend="${1#contend/}" \
            '{ print contend ~ /^[0-9]/ ? "contention" : "pattern", $1, name, round, $2, $4, $5 }' >>"$work/row"
    else failed "$1" "$2"; fi
}
# The same output under each allocator, or it is no result.
measure_program() { # ROW NAME FILE ROUND
    if program_run "$1" "$(program_command "$1")" "$3"; then
        sum=$(cksum <"$work/output")
        [ -e "$work/sum.$1" ] || echo "$sum" >"$work/sum.$1"
        if [ "$sum" = "$(cat "$work/sum.$1")" ]; then
            read -r cpu peak _ <"$work/used"
            echo "program $1 $2 $4 $cpu $peak -" >>"$work/row"
            return
        fi
    fi
    failed "$1" "$2"
}
# A row counts when every allocator had its turn; false when there was no time for that.
measure_row() { # ROW ROUND
    : >"$work/row"
    late=0
    for one in $all; do
        seconds=$(left)
        [ "$seconds" -gt 0 ] || return 1
        [ "$seconds" -gt 10 ] || seconds=10
        [ "$seconds" -lt 120 ] || seconds=120
        if is_program "$1"; then measure_program "$1" "${one%%:*}" "${one#*:}" "$2"
        else measure_pattern "$1" "${one%%:*}" "${one#*:}" "$2"; fi
    done
    [ $late = 0 ] || return 1
    cat "$work/row" >>"$raw"
    all="${all#* } ${all%% *}" # another one goes first next time
    all=${all# }
}
# In the first round: patterns shorter by half whenever it would end late.  A program takes as long as three patterns.
weight() { if is_program "$1"; then echo 3; else echo 1; fi; }
whole=0 done=0 full=$box started=$(now)
for row in $chosen; do whole=$((whole + $(weight "$row"))); done
keep_pace() { # ROW
    done=$((done + $(weight "$1")))
    if [ $((($(now) - started) * whole)) -gt $(((limit - started + begin) * done)) ] && [ "$box" -gt 10 ]; then box=$((box / 2)); fi
}
round=0 last=0 missing= of=
load=$(cut -d' ' -f1 /proc/loadavg)
while [ $round -lt "$rounds" ] && [ "$last" -le "$(left)" ]; do
    round=$((round + 1)) from=$(now)
    for row in $chosen; do
        if measure_row "$row" $round; then [ $round -gt 1 ] || keep_pace "$row"
        elif [ $round = 1 ]; then missing="$missing $row"
        else of=', the last not whole'; fi
    done
    last=$(($(now) - from))
    [ ! -t 2 ] || echo "round $round: $last s" >&2
done
[ -s "$raw" ] || die 'nothing could be measured'

# ---- tell ----
# version FILE: of the package it came in, without what the distribution adds.
version() {
    package=$(dpkg-query -S "$1" 2>/dev/null | sed -n '1s/: .*//p')
    [ -z "$package" ] || dpkg-query -W -f '${Version}' "$package" 2>/dev/null | sed 's/^[0-9]*://; s/[-+].*/, /'
}
{
    machine
    echo "glibc     $(getconf GNU_LIBC_VERSION | sed 's/glibc //'), $libc"
    for one in $all; do [ -z "${one#*:}" ] || printf '%-9s %s\n' "${one%%:*}" "$(version "${one#*:}")${one#*:}"; done | sort
    load="load $load before and $(cut -d' ' -f1 /proc/loadavg) after"
    [ "$round" = "$rounds" ] || of=" of $rounds$of"
    echo "rounds    $round$of, $box ms of CPU a pattern, $load, $(($(now) - begin)) s"
    late='this machine was too slow for the time there was'
    [ "$box" = "$full" ] || echo "short     patterns had $box ms of CPU, not $full: $late"
    [ -z "$missing" ] || echo "missing  $missing: $late"
    sort "$work/failed" | uniq -c | sed 's/^ *\([0-9]*\) \(.*\)/failed    \2, \1 x/'
} >"$work/context"
date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
"$patterns" -l >"$work/list"
tell() {
    awk -v names="$names" -v base="$base" -v ours=privheap -v context="$work/context" -v date="$date" -v list="$work/list" \
        -v behind="$here/behind.txt" -f "$here/results.awk" -f "$here/$1" "$raw"
}
tell table.awk >"$folder/table.md"
tell json.awk >"$folder/results.json"
tell charts.awk >"$folder/charts.gp"
tell readme.awk >"$folder/readme.md"
if command -v gnuplot >/dev/null; then
    (cd "$folder" && gnuplot charts.gp) || die 'gnuplot failed'
else
    echo 'not installed: gnuplot, so no charts' >&2
fi
cat "$folder/table.md"
echo "written to $folder:" $(ls "$folder") >&2
