#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# stress_tutorial.sh -- the three programs of the README's tutorial (misuse/tutorial/), found by the commands that
# stand there: the kind and the distance, the function and line of the bug, where the block came from and went; and
# what README shows is what these commands print.

privheap=${privheap:-$PWD/privheap}
preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
for variable in $(env | sed -n 's/^\(PRIVHEAP_[^=]*\)=.*/\1/p'); do unset "$variable"; done
sources=${top_srcdir:-$(dirname "$0")/..}/tests/misuse/tutorial
ulimit -c 0

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0

complain() {
    echo "$program: $1"
    sed 's/^/    /' "$work/err"
    failed=$((failed + 1))
}

# Compile program $1 and run it under stress with arguments $2...: its exit code is 99.
stress() { # SOURCE [ARGUMENT]...
    program=${1%.*}
    source=$sources/$1
    shift
    case $source in *.cc) set -- "${CXX:-c++}" "$@" ;; *) set -- "${CC:-cc}" "$@" ;; esac
    # shellcheck disable=SC2086 # a compiler may carry options
    $1 -g -o "$work/$program" "$source" -lm || exit 99
    shift
    (cd "$work" && timeout 20 "$privheap" stress -- "./$program" "$@" >out 2>err)
    status=$?
    [ $status -eq 99 ] || complain "exit code $status instead of 99"
    bug=$(grep -n 'the bug' "$source" | cut -d: -f1)
}

names=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p)
grep -q 'libdw\.so\.1' <<<"$names" || names=
expect() { grep -qE "$1" "$work/err" || complain "nothing like '$1'"; }

# In that part of the report: "FUNCTION FILE:LINE", or where names cannot be had, the program.
expect_frame() { # PART FUNCTION LINE
    local place=" $2 .*${source##*/}:$3 "
    [ -n "$names" ] || place="^    #[0-9]+ $program\\+0x"
    sed -n "/$1/,/ thread [0-9].* here:\$\|SUMMARY:/p" "$work/err" | grep -qE "$place" ||
        complain "$2, line $3 is not in the frames behind '$1'"
}

stress average.c 1 2 3 4
expect '^==[0-9]+== PH112 read behind the end: 0 bytes behind the end of block 0x[0-9a-f]+ of 32 bytes$'
expect_frame PH112 average "$bug"
expect_frame 'allocated by thread' parse "$(grep -n malloc "$source" | cut -d: -f1)"
expect 'privheap explain PH112$'

stress visitors.c
expect '^==[0-9]+== PH114 read after free: 24 bytes into block 0x[0-9a-f]+ of 32 bytes$'
expect_frame PH114 main "$bug"
expect_frame 'allocated by thread' arrive "$(grep -n malloc "$source" | cut -d: -f1)"
expect_frame 'freed by thread' leave "$(grep -n 'free(' "$source" | cut -d: -f1)"

if "${CXX:-c++}" --version >/dev/null 2>&1; then
    stress shapes.cc
    expect '^==[0-9]+== PH115 freed by the wrong function: block 0x[0-9a-f]+ of 96 bytes'
    expect_frame PH115 main "$bug"
    expect_frame 'allocated by thread' '[^ ]*regular.*' "$(grep -n 'new point' "$source" | cut -d: -f1)"
fi

# ---- README's own commands and what it shows of them --------------------------------------------------
[ -n "$names" ] || { echo 'libdw is not installed: what README shows is not compared'; [ $failed -eq 0 ]; exit; }
section='## Find the bug in a program that you cannot rebuild'
cp -r "$sources" "$work/tutorial"
chmod -R u+w "$work/tutorial"

# Without what each run has another of, and without libc's callers, of which each system has its own.
same_each_time() {
    sed -E '/libc\.so|#[0-9]+ _start /d; /^$/d; s/0x[0-9a-f]+/0x/g; s/\+0x\)/)/; s/^==[0-9]+==/====/
        s/thread [0-9]+/thread/; s,thread of /.*/,thread of ,; s/--seed=[0-9]+/--seed=/; s/[0-9]+ blocks? guarded; .*$/guarded/' "$1" |
        awk '/^====/ { text = "" } { text = text $0 "\n" } END { printf "%s", text }' # the program's own lines may be lost
}

shown=0
compare() { # COMMAND
    local status
    [ -n "$1" ] || return 0
    (
        cc() { ${CC:-cc} "$@"; }
        c++() { ${CXX:-c++} "$@"; }
        privheap() { timeout 20 "$privheap" "$@"; }
        cd "$work/tutorial" && eval "$1"
    ) >"$work/err" 2>&1
    status=$?
    program=$1
    case $1 in *'privheap stress'*) [ $status -eq 99 ] || complain "exit code $status instead of 99" ;; esac
    same_each_time "$work/wanted" >"$work/wanted.same"
    same_each_time "$work/err" >"$work/got.same"
    diff "$work/wanted.same" "$work/got.same" || complain 'README (<) shows something else'
    shown=$((shown + 1))
}

command=
while IFS= read -r line; do
    case $line in
    '$ '*) compare "$command"; command=${line#\$ }; : >"$work/wanted" ;;
    *) printf '%s\n' "$line" >>"$work/wanted" ;;
    esac
done < <(awk -v section="$section" '/^## / { inside = $0 == section } inside && /^    / { print substr($0, 5) }' "$sources/../../../README.md")
case $command in
*c++*) "${CXX:-c++}" --version >/dev/null 2>&1 && compare "$command" ;;
*) compare "$command" ;;
esac
[ $shown -ge 3 ] || { echo "README has only $shown of the tutorial's commands"; failed=1; }

[ $failed -eq 0 ]
