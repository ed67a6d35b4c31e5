#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# misuse.sh -- each program of misuse/ commits one sin; it must end by SIGABRT after exactly one
# report on standard error, of the kind given here: its first line, the callers, and where to read on.
# No block is guarded: what the engine itself sees.  Where the sin is seen at once (now), main is among them; where a thread ends (end), it is libc alone.  Exit status 3 of a program would say that one
# block was handed out twice.  preload_object=FILE tests another object than the one built here.

# The one place where the first lines are written down (extended regular expressions, the whole line).
hex='0x[0-9a-f]+'
who="(, heap $hex \\(process heap\\))?, thread [0-9]+"
block="block $hex of [0-9]+ bytes"
inside="$hex, [0-9]+ bytes into $block"
twice="privheap: PH101 freed twice: $block$who"
not_a_block="privheap: PH102 not a block: $hex$who"
past="privheap: PH101 freed twice: $hex$who: in memory that was freed before"
interior="privheap: PH103 not the start of a block: $inside$who(: that block is free)?"
misaligned="privheap: PH104 misaligned, not a block: $inside$who"
changed="privheap: PH106 changed after free: $block$who"
fresh="privheap: PH107 never given out, but written to: $block$who"
before="privheap: PH111 changed before its start: $block$who"
unguarded="$before|privheap: PH114 write after free: $hex, 8 bytes before $block$who"
stack="privheap: PH108 on the stack, not a block: $hex$who"
static="privheap: PH109 static, not a block: $hex$who"
pattern="privheap: PH120 a fill pattern, not a block: $hex$who"
unmapped="privheap: PH121 not even memory, not a block: $hex$who"
# The program has written to the block between the two times that it came from malloc.
met="$twice|$changed"
# A page that was given back as a whole has forgotten its blocks.
gone="$twice|$past"

sins="
double_free_small           twice
double_free_smallest        twice
double_free_between_others  twice
double_free_after_uses      twice
double_free_after_many      gone
double_free_aligned         met
double_free_by_realloc      twice
double_free_two_threads     twice
double_free_two_others      twice        end
double_free_thread_exit     twice        end
double_free_at_exit         twice
double_free_after_fork      twice
double_free_run             twice        now
double_free_large           twice        now
double_free_large_moved     twice        now
write_after_free            changed
write_fresh                 fresh
write_before_heap           unguarded
free_interior               interior     now
free_interior_of_free       interior     now
free_misaligned             misaligned   now
free_left_over              not_a_block  now
free_in_run                 interior     now
free_in_large               interior     now
free_never_given            not_a_block  now
free_on_stack               stack        now
free_static                 static       now
free_pattern                pattern      now
free_unmapped               unmapped     now
realloc_interior            interior     now
realloc_misaligned          misaligned   now
realloc_twice               twice        now
realloc_twice_after_many    twice        now
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
    (timeout 20 env PRIVHEAP_GUARD_RATE=0 LD_PRELOAD="$preload_object" "$work/$1" >"$work/out" 2>"$work/err"; exit $?) 2>/dev/null
    status=$?
}

# Whether a frame of the report lies in main of program $1.
names_main() {
    command -v addr2line >/dev/null || return 0
    sed -n "s/^    #[0-9]* $1+//p" "$work/err" | xargs addr2line -f -e "$work/$1" | grep -x main >/dev/null
}

expect_caught() { # PROGRAM LINE [now|end]
    run "$1"
    case $status in
    134) ;;
    3) fail "$1" 'one block was handed out twice'; return ;;
    *) fail "$1" "exit status $status instead of 134 (SIGABRT)$([ -s "$work/out" ] && cat "$work/out")"; return ;;
    esac
    head -n 1 "$work/err" | grep -qxE "$2" || { fail "$1" "another line than '$2'"; return; }
    number=$(sed -n '1s/^privheap: \(PH[0-9]*\) .*/\1/p' "$work/err")
    tail -n 1 "$work/err" | grep -qx "  $number is explained in privheap-diagnostics(7)" ||
        { fail "$1" 'the last line does not say where to read on'; return; }
    sed '1d;$d' "$work/err" | grep -vqxE "    #[0-9]+ [^ +]+\+$hex" && { fail "$1" 'a strange line'; return; }
    grep -q '^    #0 libprivheap' "$work/err" && { fail "$1" 'our own functions are in the backtrace'; return; }
    [ "$3" = end ] || grep -q "^    #[0-9]* $1+0x" "$work/err" || { fail "$1" 'the program is not in the backtrace'; return; }
    [ "$3" != now ] || names_main "$1" || fail "$1" 'main is not in the backtrace'
}

count=0
while read -r sin kind when; do
    [ -n "$sin" ] || continue
    count=$((count + 1))
    eval "line=\$$kind"
    expect_caught "$sin" "$line" "$when"
done <<END
$sins
END

# The same without a guard page before it.
export PRIVHEAP_GUARD_RATE=0
expect_caught write_before_heap "$before"
unset PRIVHEAP_GUARD_RATE

# Where free has come to its shortest way it still looks behind the block.
export PRIVHEAP_MODE=secure
expect_caught write_behind_after_many 'privheap: PH110 changed behind its end: .*' now
unset PRIVHEAP_MODE

run nothing
[ $status -eq 0 ] && [ ! -s "$work/err" ] || fail nothing "exit status $status for a program without sin"

for source in "$sources"/*.c; do
    sin=$(basename "$source" .c)
    [ "$sin" != write_behind_after_many ] || continue
    case $sin:$sins in nothing:* | *"
$sin "*) ;; *) fail "$sin" 'is not in the list of this script' ;; esac
done

echo "$count sins, $failed not as expected"
[ $failed -eq 0 ]
