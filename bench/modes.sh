#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# modes.sh -- what the modes cost real programs: CPU time without us, without checks, and in each mode; or what
# `privheap stress` costs them.
#
# They take turns round by round, so that a noisy minute hits them all; printed is the least of each, and in brackets
# how much that is of default mode (of a run without us).  Programs that are not installed are left out.
set -eu

usage() {
    cat <<'END'
usage: modes.sh [-s] [-d BUILD] [-p OBJECT] [-r ROUNDS] [PROGRAM...]
  -s         not the modes: privheap stress, with --stacks=0 and as it is by default, of longer runs
  -d BUILD   build folder (here, else ./build)
  -p OBJECT  our preload object (BUILD/preload/.libs/libprivheap-preload.so)
  -r ROUNDS  rounds (7)
  PROGRAM    these only, of: python3 perl sqlite3 git gcc bash
END
}

die() { echo "modes.sh: $1" >&2; exit 2; }

build='' object='' rounds=7 names='without checks=0 default secure tolerant' base=default scale=1
while getopts sd:p:r:h option; do
    case $option in
    s) names='without stress,stacks=0 stress' base=without scale=4 ;;
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
command=$(realpath "$build")/privheap
[ $# -gt 0 ] || set -- python3 perl sqlite3 git gcc bash
folder=$(mktemp -d)
raw=$folder/raw
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

# Commits, 300 or 1,200, that change a third of 30 files.
input_git() {
    git init -q "$folder/repository"
    awk -v commits=$((300 * scale)) 'BEGIN {
        for (c = 1; c <= commits; c++) {
            printf "commit refs/heads/all\ncommitter A <a@example.org> %d +0000\ndata 8\ncommit %s\n", 1700000000 + c * 60, c % 10
            for (f = c % 3; f < 30; f += 3) {
                text = ""
                for (line = 0; line < 100; line++)
                    text = text sprintf("file %d line %d is %d\n", f, line, (line * f + (line % 50 == c % 50) * c) % 1009)
                printf "M 100644 inline folder%d/file%d\ndata %d\n%s\n", f % 5, f, length(text), text
            }
        }
    }' | git -C "$folder/repository" fast-import --quiet
}

# The program, by the command and its options behind it.
work() { # PROGRAM [COMMAND]...
    local program=$1
    shift
    case $program in
    python3) "$@" python3 -c 'print(len({str(i): [i] for i in range(400000)}))' ;;
    perl) "$@" perl -e 'my %h; for my $i (1 .. 400000) { push @{$h{$i % 5000}}, "v$i" if $i % 3 } print scalar keys %h' ;;
    sqlite3) "$@" sqlite3 :memory: "create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c
        where x < $((300000 * scale))) insert into t select x, hex(x * 7919 % 300007) from c; create index i on t(b); select count(*) from t;" ;;
    git) "$@" git -C "$folder/repository" --no-pager log -p --stat all ;;
    gcc) "$@" "${CC:-gcc}" -O1 -S -x c -o /dev/null "$source/tests/stress_shadow.c" -D_GNU_SOURCE -I"$source/lib" ;;
    bash) "$@" bash -c 'for i in {1..150}; do x=$(echo $i | tr 0-9 a-j); done' ;;
    *) die "there is no program '$program'" ;;
    esac
}

# One run; the shell in between has our object too.
measure() { # NAME PROGRAM
    local -a under=("LD_PRELOAD=$object")
    case $1 in
    without) work "$2" >/dev/null || die "$2 failed ($1)"; return ;;
    stress) work "$2" "$command" stress >/dev/null || die "$2 failed ($1)"; return ;;
    stress,*) work "$2" "$command" stress "--${1#*,}" >/dev/null || die "$2 failed ($1)"; return ;;
    checks=0) under+=(PRIVHEAP_CHECKS=0) ;;
    *) under+=("PRIVHEAP_MODE=$1") ;;
    esac
    (
        export "${under[@]}"
        work "$2" >/dev/null
    ) || die "$2 failed ($1)"
}

TIMEFORMAT='%3U %3S'
for program; do
    command -v "$program" >/dev/null || { echo "not installed: $program" >&2; continue; }
    [ "$program" != git ] || input_git
    for ((round = 0; round < rounds; round++)); do
        for name in $names; do
            echo "$program $name $({ time measure "$name" "$program" 2>&3; } 3>&2 2>&1)" >>"$raw"
        done
    done
done

awk -v names="$names" -v base="$base" '
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
                printf "%16s", sprintf("%.3f (%.2f)", least[order[p], name[i]], least[order[p], name[i]] / least[order[p], base])
            print ""
        }
    }' "$raw"
