#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# bugs.sh [MODE]... -- runs the corpus of heap bugs (bugs/) under the preload object in each mode and
# counts what was made of them; the least that each mode must reach stands below.  Also: no word
# about a correct program in any mode, and no trick that gets its way.  Mixed as the corpus is, other
# allocators catch about the same share of it as of other collections of bugs.
#
# Mode stress is option STRESS; both is it with what it missed run again, the guard in front, as
# `privheap stress --side=both` does.
#
#   named    ended (or, in tolerant mode, survived) with a report of the right kind; in default mode
#            also a read that was told of, and answered
#   other    with a report of a kind that is not wholly right
#   mute     ended by a signal, without a report
#   missed   came to its end, and nothing was said
#
# Also in stress: each bug of where.c is named.
#
# By hand: preload_object=FILE ("none": the C library's), bugs_list=1 prints each case with its verdict.

# kind, the numbers of reports that name it, those that at least say what happened on the way.
kinds='
overflow        110,112         106,107,111
underflow       111,113         106,107,110
use-after-free  106,114         101,102,107,110,120
over-read       112             114
under-read      113             114
double-free     101             102,106,114,121
used-double-free 101,106,114    102,121
bad-free        102,103,104,105,108,109,120,121     101
mismatch        115             116
wrong-size      116             115
no-memory       119             -
wild            118,120         102,121
trick           -               -
'
# The least: caught at all, caught by name; in tolerant mode: come to exit 0, those with the right word.
floors='
default  395 390
secure   450 425
tolerant 500 420
families 50 50
stress   518 518
both     522 522
'
tricks_told=68 # in mode stress, of 75

folder=${top_builddir:-$PWD}/tests/bugs
preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
[ "$preload_object" = none ] || [ -e "$preload_object" ] ||
    { echo 'there is no preload object in this build'; exit 77; }

# As `privheap stress` has it: libc's functions look at the bounds.
stress_objects=$preload_object
check_object=${preload_object%-preload.so}-check.so
[ ! -e "$check_object" ] || stress_objects=$check_object:$preload_object

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0
jobs=$(nproc)
has_all() { [ -x "$folder/bugs_new" ] && [ "$preload_object" != none ]; }

fail() { echo "FAILED: $*"; failed=$((failed + 1)); }

# Run the cases of the programs named: one line a case on standard output.
cases() { # MODE PROGRAM...
    local mode=$1 program objects=$preload_object
    shift
    case $mode in
    stress) local -x PRIVHEAP_STRESS=on objects=$stress_objects ;;
    stress-*) local -x PRIVHEAP_STRESS=${mode#stress-} objects=$stress_objects ;;
    *) local -x PRIVHEAP_MODE=$mode ;;
    esac
    for program; do
        [ -x "$folder/$program" ] || continue # no C++ compiler: see has_all
        PRIVHEAP_LOG='' "$folder/$program" --run "$objects" "$jobs" || return
    done
}

# A verdict for each line: its name, kind and how it ended, tab-separated.
judge() { # MODE
    awk -F'\t' -v OFS='\t' -v mode="$1" -v kinds="$kinds" '
    BEGIN {
        rows = split(kinds, row, "\n")
        for (i = 1; i <= rows; i++)
            if (split(row[i], word, " ") == 3) { right[word[1]] = "," word[2] ","; near[word[1]] = "," word[3] "," }
    }
    {
        ended = $3 == "exit 0"; number = ""; is_right = is_near = 0
        for (said = $4; match(said, /PH[0-9]+/); said = substr(said, RSTART + RLENGTH)) {
            number = substr(said, RSTART + 2, RLENGTH - 2)
            if (index(right[$2], "," number ",")) is_right = 1
            if (index(near[$2], "," number ",")) is_near = 1
        }
        reported = number != "" && (mode == "default" || (mode == "tolerant" ? ended : $3 == "signal 6"))
        if ($3 == "signal 14") verdict = "hang"
        else if (reported && is_right) verdict = "named"
        else if (reported) verdict = is_near ? "other" : "wrong"
        else if (ended) verdict = "missed"
        else verdict = "mute"
        print $1, $2, verdict, $3, $4
    }'
}

# Who reports a block says who allocated it, and who freed it if it is not live: in percent of those that must.
stacks() {
    awk -F'\t' '
    {
        first = $5; sub(/\|.*/, "", first)
        if ($3 == "missed" || first !~ /block 0x[0-9a-f]+ of [0-9]+ bytes/) next
        all++
        good += index($5, "|  allocated by thread ") && (first !~ /PH1(01|06|14) / || index($5, "|  freed by thread "))
    }
    END { print int(all ? 100 * good / all : 0) }'
}

# The table of one mode, and in $work/sums: all, caught, named, came to the end.
table() { # MODE
    awk -F'\t' -v mode="$1" -v sums="$work/sums" '
    { all[$2]++; count[$2, $3]++; total[$3]++; ended += $4 == "exit 0" }
    END {
        format = "%-16s%6s%7s%7s%7s%7s%7s%7s\n"
        printf format, mode, "all", "named", "other", "wrong", "mute", "missed", "hang"
        for (kind in all) {
            sum += all[kind]
            printf format, kind, all[kind], count[kind, "named"] + 0, count[kind, "other"] + 0,
                count[kind, "wrong"] + 0, count[kind, "mute"] + 0,
                count[kind, "missed"] + 0, count[kind, "hang"] + 0 | "sort"
        }
        close("sort")
        printf format, "together", sum, total["named"] + 0, total["other"] + 0, total["wrong"] + 0, total["mute"] + 0,
            total["missed"] + 0, total["hang"] + 0
        if (mode == "tolerant") print ended " came to their end"
        caught = sum - total["missed"] - total["hang"] - (mode ~ /stress|both/ ? total["mute"] : 0)
        print sum, mode == "tolerant" ? ended : caught, total["named"] + 0, total["hang"] + 0 >sums
    }'
}

bugs_in() { # MODE
    cases "$1" bugs bugs_new >"$work/ran" || fail "$1: the cases could not be run"
    judge "$1" <"$work/ran" >"$work/judged"
    [ -z "$bugs_list" ] || sort "$work/judged"
    table "$1" <"$work/judged"
    compare "$1"
    [ "$1" != stress ] || both
}

# The cases of which the first run has no report, by the runs that follow it.
both() {
    local percent mode
    percent=$(stacks <"$work/judged")
    echo "stress: all stacks in $percent % of the reports about a block"
    [ "$percent" -ge 95 ] || fail "stress: all stacks in $percent % of the reports"
    mode=stress-side:start
    cases $mode bugs bugs_new >"$work/ran" || fail "$mode: the cases could not be run"
    judge $mode <"$work/ran" >"$work/again"
    awk -F'\t' -v OFS='\t' 'NR == FNR { again[$1] = $0; next }
        { print $3 == "missed" || $3 == "mute" ? again[$1] : $0 }' "$work/again" "$work/judged" >"$work/merged"
    mv "$work/merged" "$work/judged"
    [ -z "$bugs_list" ] || sort "$work/judged" | sed 's/^/both: /'
    table both <"$work/judged"
    compare both
}

# What stands in $work/sums with the least.
compare() { # MODE
    local all caught named hung least least_named
    read -r all caught named hung <"$work/sums"
    read -r least least_named <<<"$(awk -v mode="$1" '$1 == mode { print $2, $3 }' <<<"$floors")"
    has_all || return
    [ "$caught" -ge "$least" ] || fail "$1: $caught of $all, at least $least expected"
    [ "$named" -ge "$least_named" ] || fail "$1: $named by name, at least $least_named expected"
    [ "$hung" -eq 0 ] || fail "$1: $hung hung"
}

# With the option that compares the two functions of a block: a pair that does not belong together.
families_in_secure() {
    local -x PRIVHEAP_FAMILY_CHECKS=1
    cases secure bugs_new | grep -P '\t(mismatch|wrong-size)\t' >"$work/ran"
    judge secure <"$work/ran" >"$work/judged"
    [ -z "$bugs_list" ] || sort "$work/judged"
    table families <"$work/judged"
    compare families
    right_in secure
}

# Every correct program comes to its end, and nothing is said.
right_in() { # MODE
    cases "$1" right right_new >"$work/ran" || fail "$1: the correct programs could not be run"
    awk -F'\t' '$3 != "exit 0" || $4 != ""' "$work/ran" >"$work/wrong"
    echo "$1: $(wc -l <"$work/ran") correct programs, $(wc -l <"$work/wrong") not left in peace"
    [ ! -s "$work/wrong" ] || { cat "$work/wrong"; fail "$1: correct programs"; }
}

# Handlers, little stack, the end: each is told of, whatever the program makes of the signal.
where_in_stress() {
    cases stress where >"$work/ran" || fail 'stress: the cases of where could not be run'
    judge default <"$work/ran" | awk -F'\t' '$3 != "named"' >"$work/wrong"
    echo "stress: $(wc -l <"$work/ran") bugs where it is hard to tell of them, $(wc -l <"$work/wrong") not named"
    [ ! -s "$work/wrong" ] || { cat "$work/wrong"; fail 'stress: where it is hard to tell of them'; }
}

tricks_in() { # MODE
    cases "$1" tricks >"$work/ran" || fail "$1: the tricks could not be run"
    awk -F'\t' '$3 == "exit 3" || $3 == "signal 14" || $3 == "exit 9"' "$work/ran" >"$work/wrong"
    echo "$1: $(wc -l <"$work/ran") tricks, $(wc -l <"$work/wrong") not in vain"
    [ ! -s "$work/wrong" ] || { cat "$work/wrong"; fail "$1: tricks"; }
    [ "$1" = stress ] || return
    told=$(grep -c 'privheap: PH[0-9]' "$work/ran")
    echo "$1: $told tricks were told of"
    [ "$told" -ge "$tricks_told" ] || { fail "$1: $told tricks told of, $tricks_told expected"; grep -v PH "$work/ran"; }
}

[ $# -gt 0 ] || set -- default secure tolerant stress
for mode; do
    bugs_in "$mode"
    right_in "$mode"
    tricks_in "$mode"
    [ "$mode" != secure ] || ! has_all || families_in_secure
    [ "$mode" != stress ] || where_in_stress
done
[ $failed -eq 0 ]
