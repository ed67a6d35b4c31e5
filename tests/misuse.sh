#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# misuse.sh -- each program of misuse/ commits one sin; it must end by SIGABRT after exactly one
# line on standard error, of the kind given here.  Exit status 3 of a program would say that one
# block was handed out twice.  preload_object=FILE tests another object than the one built here.

# The one place where the lines are written down (extended regular expressions, the whole line).
hex='0x[0-9a-f]+'
twice="privheap: freed twice: block $hex of [0-9]+ bytes, thread [0-9]+"
not_a_block="privheap: not a block: $hex, thread [0-9]+"
changed="privheap: changed after free: block $hex of [0-9]+ bytes, thread [0-9]+"
# The program has written to the block between the two times that it came from malloc.
met="$twice|$changed"
# Memory given back as a whole has forgotten that it was a block: both lines are right.
gone="$twice|$not_a_block"

sins="
double_free_small           twice
double_free_smallest        twice
double_free_between_others  twice
double_free_after_uses      twice
double_free_after_many      gone
double_free_aligned         met
double_free_by_realloc      twice
double_free_two_threads     twice
double_free_two_others      twice
double_free_thread_exit     twice
double_free_at_exit         twice
double_free_after_fork      twice
double_free_run             gone
double_free_large           gone
write_after_free            changed
free_interior               not_a_block
free_misaligned             not_a_block
free_left_over              not_a_block
free_in_run                 not_a_block
free_in_large               not_a_block
free_never_given            not_a_block
free_on_stack               not_a_block
free_static                 not_a_block
realloc_interior            not_a_block
realloc_misaligned          not_a_block
"

sources=${top_srcdir:-$(dirname "$0")/..}/tests/misuse
preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
ulimit -c 0

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0

fail() { # PROGRAM WHAT
    echo "$1: $2"
    sed 's/^/    /' "$work/err"
    failed=$((failed + 1))
}

# Run program $1 under the object: its exit status in $status, what it wrote in $work/err.
run() {
    # shellcheck disable=SC2086 # CC may carry options
    ${CC:-cc} -std=gnu11 -O2 -g -D_GNU_SOURCE -Wall -Wextra -Werror -pthread -o "$work/$1" "$sources/$1.c" || exit 99
    # In a shell of its own, whose remark about the signal goes nowhere.
    (timeout 20 env LD_PRELOAD="$preload_object" "$work/$1" >"$work/out" 2>"$work/err"; exit $?) 2>/dev/null
    status=$?
}

expect_caught() { # PROGRAM LINE
    run "$1"
    case $status in
    134) ;;
    3) fail "$1" 'one block was handed out twice'; return ;;
    *) fail "$1" "exit status $status instead of 134 (SIGABRT)$([ -s "$work/out" ] && cat "$work/out")"; return ;;
    esac
    [ "$(wc -l <"$work/err")" -eq 1 ] || { fail "$1" 'not exactly one line'; return; }
    grep -qxE "$2" "$work/err" || fail "$1" "another line than '$2'"
}

count=0
while read -r sin kind; do
    [ -n "$sin" ] || continue
    count=$((count + 1))
    eval "line=\$$kind"
    expect_caught "$sin" "$line"
done <<END
$sins
END

run nothing
[ $status -eq 0 ] && [ ! -s "$work/err" ] || fail nothing "exit status $status for a program without sin"

for source in "$sources"/*.c; do
    sin=$(basename "$source" .c)
    case $sin:$sins in nothing:* | *"
$sin "*) ;; *) fail "$sin" 'is not in the list of this script' ;; esac
done

echo "$count sins, $failed not as expected"
[ $failed -eq 0 ]
