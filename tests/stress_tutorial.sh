#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# stress_tutorial.sh -- the three programs of the README's tutorial (misuse/tutorial/), found by the commands that
# stand there: the kind and the distance, the function and line of the bug, where the block came from and went.

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

[ $failed -eq 0 ]
