#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# modes.sh -- what the modes cost real programs: CPU time without us, without checks, and in each mode.
#
# They take turns round by round, so that a noisy minute hits them all; printed is the least of each, and in brackets
# how much that is of default mode.  Programs that are not installed are left out.
set -eu

usage() {
    cat <<'END'
usage: modes.sh [-d BUILD] [-p OBJECT] [-r ROUNDS] [PROGRAM...]
  -d BUILD   build folder (here, else ./build)
  -p OBJECT  our preload object (BUILD/preload/.libs/libprivheap-preload.so)
  -r ROUNDS  rounds (7)
  PROGRAM    these only, of: python3 perl sqlite3 gcc bash
END
}

die() { echo "modes.sh: $1" >&2; exit 2; }

build='' object='' rounds=7
while getopts d:p:r:h option; do
    case $option in
    d) build=$OPTARG ;;
    p) object=$OPTARG ;;
    r) rounds=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))

source=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "$build" ]; then
    build=.
    [ -e preload/.libs ] || build=build
fi
: "${object:=$build/preload/.libs/libprivheap-preload.so}"
[ -e "$object" ] || die "no preload object '$object' (say -d BUILD or -p OBJECT)"
object=$(realpath "$object")
[ $# -gt 0 ] || set -- python3 perl sqlite3 gcc bash

work() {
    case $1 in
    python3) python3 -c 'print(len({str(i): [i] for i in range(400000)}))' ;;
    perl) perl -e 'my %h; for my $i (1 .. 400000) { push @{$h{$i % 5000}}, "v$i" if $i % 3 } print scalar keys %h' ;;
    sqlite3) sqlite3 :memory: 'create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c
        where x < 300000) insert into t select x, hex(x * 7919 % 300007) from c; create index i on t(b); select count(*) from t;' ;;
    gcc) "${CC:-gcc}" -O1 -S -x c -o /dev/null "$source/tests/stress_shadow.c" -D_GNU_SOURCE -I"$source/lib" ;;
    bash) bash -c 'for i in {1..150}; do x=$(echo $i | tr 0-9 a-j); done' ;;
    *) die "there is no program '$1'" ;;
    esac
}

names='without checks=0 default secure tolerant'
# One run; the shell in between has our object too.
measure() { # NAME PROGRAM
    local -a under=("LD_PRELOAD=$object")
    case $1 in
    without) under=() ;;
    checks=0) under+=(PRIVHEAP_CHECKS=0) ;;
    *) under+=("PRIVHEAP_MODE=$1") ;;
    esac
    (
        [ "$1" = without ] || export "${under[@]}"
        work "$2" >/dev/null
    ) || die "$2 failed ($1)"
}

raw=$(mktemp)
trap 'rm -f "$raw"' EXIT
trap 'exit 130' INT TERM
TIMEFORMAT='%3U %3S'
for program; do
    command -v "$program" >/dev/null || { echo "not installed: $program" >&2; continue; }
    for ((round = 0; round < rounds; round++)); do
        for name in $names; do
            echo "$program $name $({ time measure "$name" "$program" 2>&3; } 3>&2 2>&1)" >>"$raw"
        done
    done
done

awk -v names="$names" '
    { at = $1 SUBSEP $2; used = $3 + $4; if (!(at in least) || used < least[at]) least[at] = used }
    !($1 in seen) { seen[$1]; order[++programs] = $1 }
    END {
        count = split(names, name, " ")
        printf "%-10s", "CPU, s"
        for (i = 1; i <= count; i++) printf "%16s", name[i]
        print ""
        for (p = 1; p <= programs; p++) {
            printf "%-10s", order[p]
            for (i = 1; i <= count; i++)
                printf "%16s", sprintf("%.3f (%.2f)", least[order[p], name[i]], least[order[p], name[i]] / least[order[p], "default"])
            print ""
        }
    }' "$raw"
