#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# stress_matrix.sh -- option STRESS finds every misuse in every size, whichever function gave the block and wherever
# it happens (misuse/stress/): the kind, the distance in bytes, the end of the process, and the stacks that lead to
# misuse_commit or misuse_free, to misuse_allocate and, of a freed block, to misuse_free.
#
#   stress_matrix.sh [KIND]...   matrix_list=1 prints each case with its verdict

# misuse, STRESS, numbers of reports, the distance (by: the case's; half: of the size; -: not looked at), where it is
# from, the stacks that there must be (n: now, a: allocated, f: freed).
kinds='
overflow          on            110,112      by    behind  na
underflow         on            111,113      by    before  na
over-read         on            112          by    behind  na
tight-read        unaligned:1   112          by    behind  na
under-read        side:start    113          by    before  na
write-after-free  on            114          half  into    naf
late-write        on            106,114      -     -       af
read-after-free   on            114          half  into    naf
double-free       on            101          -     -       naf
interior-free     on            103,104      by    into    na
free-of-stack     on            108          -     -       n
free-of-static    on            109          -     -       n
free-of-wild      on            121          -     -       n
usable-of-inside  on            103,104      by    into    na
usable-of-freed   on            114          by    into    naf
wrong-heap        on            105          -     -       na
wrong-family      on            115          -     -       na
wrong-size        on            116          -     -       na
uninitialised     on            118          -     -       n
leak              leaks:1       117          -     -       a
'

folder=${top_builddir:-$PWD}/tests/misuse/stress
privheap=${privheap:-$PWD/privheap}
preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
for variable in $(env | sed -n 's/^\(PRIVHEAP_[^=]*\)=.*/\1/p'); do unset "$variable"; done

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0

# Run a program's cases, those with the same settings together: one line a case.
cases() { # PROGRAM [KIND]...
    local program=$1 settings wanted
    shift
    for settings in on unaligned:1 side:start leaks:1; do
        wanted=$(awk -v settings="$settings" -v only=" $* " '
            NF && $2 == settings && (only == "  " || index(only, " " $1 " ")) { print $1 }' <<<"$kinds")
        # shellcheck disable=SC2086 # a list of words
        [ -z "$wanted" ] || PRIVHEAP_STRESS=$settings "$folder/$program" --run "$preload_object" "$(nproc)" $wanted
    done
}

# In front of the cases: "F PLACE FUNCTION", for each place of the program that a report names.
with_functions() { # PROGRAM
    grep -o "#[0-9]* $1+0x[0-9a-f]*" "$work/ran" | sed "s/.* $1+//" | sort -u >"$work/places"
    xargs addr2line -f -e "$folder/$1" <"$work/places" | sed -n 'p;n' >"$work/names"
    paste -d' ' "$work/places" "$work/names" | sed "s/^/F $1+/"
    cat "$work/ran"
}

# case, misuse, verdict, how it ended, what it said; the verdict is "ok", or all that is wrong.
judge() {
    awk -F'\t' -v OFS='\t' -v kinds="$kinds" '
    BEGIN {
        rows = split(kinds, row, "\n")
        for (i = 1; i <= rows; i++)
            if (split(row[i], word, " ") == 6) {
                right[word[1]] = "," word[3] ","; distance[word[1]] = word[4]; from[word[1]] = word[5]; stacks[word[1]] = word[6]
            }
    }
    NF == 1 { split($0, word, " "); function_of[word[2]] = word[3]; next }
    function wrong(what) { verdict = verdict (verdict == "" ? "" : ", ") what }
    # Whether the frames of that part of the report are those of that function.
    function leads_to(part, name,    lines, i, place) {
        lines = split(part, line, "|")
        for (i = 1; i <= lines; i++)
            if (match(line[i], /#[0-9]+ /)) {
                place = substr(line[i], RSTART + RLENGTH)
                if (place in function_of && function_of[place] ~ name) return 1
            }
        return 0
    }
    function number_behind(name) { return match($1, name "[0-9]+") ? substr($1, RSTART + length(name), RLENGTH - length(name)) + 0 : 0 }
    function size_of_case(    parts, i, all) {
        all = $1; sub(/-by-[0-9]+/, "", all); sub(/-(here|thread|fork)$/, "", all); parts = split(all, word, "-")
        return word[parts] + 0
    }
    function check_distance(first,    want, at) {
        if (distance[$2] == "-") return
        want = distance[$2] == "half" ? int(size_of_case() / 2) : number_behind("-by-")
        at = want " bytes " (from[$2] == "behind" ? "behind the end of" : from[$2]) " block 0x"
        if (!index(first, ", " at)) wrong("not " at)
    }
    function thread_of(text) { return match(text, /thread [0-9]+/) ? substr(text, RSTART + 7, RLENGTH - 7) : 0 }
    function check_stacks(said,    a, f, now, allocated, freed) {
        a = index(said, "|  allocated by thread "); f = index(said, "|  freed by thread ")
        now = substr(said, 1, a ? a : f ? f : length(said))
        allocated = a ? substr(said, a + 1, (f ? f : length(said)) - a) : ""
        freed = f ? substr(said, f + 1) : ""
        if (index(stacks[$2], "n") && !leads_to(now, "^misuse_(commit|free)")) wrong("no stack")
        if (index(stacks[$2], "a") && !leads_to(allocated, "^misuse_allocate")) wrong("no stack of the allocation")
        if (index(stacks[$2], "f") && !leads_to(freed, "^misuse_free")) wrong("no stack of the free")
        if ($1 ~ /-thread$/ && index(stacks[$2], "n") && allocated != "" && thread_of(now) == thread_of(allocated))
            wrong("another thread allocated it")
    }
    {
        verdict = ""; first = $4; sub(/\|.*/, "", first)
        if (!match(first, /^privheap: PH[0-9]+ /)) wrong(first == "" ? "missed" : "another message")
        else {
            number = substr(first, RSTART + 12, RLENGTH - 13)
            if (!index(right[$2], "," number ",")) wrong("PH" number)
            else { check_distance(first); check_stacks($4) }
        }
        if ($3 != ($2 == "leak" ? "exit 0" : $1 ~ /-fork$/ ? "exit 134" : "signal 6")) wrong($3)
        print $1, $2, verdict == "" ? "ok" : verdict, $3, $4
    }'
}

# ---- a case of each misuse by the command ------------------------------------------------------

# Its exit code, and that it shows the number and the function.
by_command() { # PROGRAM CASE SETTINGS NUMBERS
    local option='' name='misuse_(commit|free)[^ ]* '
    case $3 in unaligned:1) option=--unaligned ;; side:start) option=--side=start ;; leaks:1) option=--leaks name='misuse_allocate[^ ]* ' ;; esac
    [ "${2%%-*}" != late ] || name='misuse_free[^ ]* '
    ldconfig -p 2>/dev/null | grep -q 'libdw\.so\.1' || name="$1\\+0x" # no names
    # shellcheck disable=SC2086 # no option, or one
    timeout 60 "$privheap" stress $option -- "$folder/$1" "$2" >"$work/$2.out" 2>&1
    local status=$?
    [ $status -eq 99 ] && grep -qE "^==[0-9]+== PH(${4//,/|}) " "$work/$2.out" && grep -qE "^    #[0-9]+ .*$name" "$work/$2.out" &&
        return
    echo "$2, by the command: exit code $status"
    sed 's/^/    /' "$work/$2.out"
}

# Others for each misuse: so that all sizes, ways and places are met.
sample() { # PROGRAM
    local kind settings numbers rest count=0
    while read -r kind settings numbers rest; do
        "$folder/$1" --list | awk -F'\t' -v kind="$kind" '$2 == kind { print $1 }' >"$work/names"
        [ -s "$work/names" ] || continue
        count=$((count + 1))
        by_command "$1" "$(sed -n "$((count * 7 % $(wc -l <"$work/names") + 1))p" "$work/names")" "$settings" "$numbers"
    done <<<"$kinds"
}

: >"$work/judged"
: >"$work/wrong_by_command"
ulimit -c 0
for program in matrix matrix_new; do
    [ -x "$folder/$program" ] || continue # no C++ compiler
    cases "$program" "$@" >"$work/ran" || { echo 'the cases could not be run'; exit 99; }
    with_functions "$program" | judge >>"$work/judged"
    [ $# -gt 0 ] || sample "$program" >>"$work/wrong_by_command"
done
[ -z "$matrix_list" ] || cat "$work/judged"
awk -F'\t' '$3 != "ok" { print $1 ": " $3; if (!said[$2, $3]++) print "    " $4 ": " substr($5, 1, 1000) }' "$work/judged" |
    tee "$work/wrong" | head -n 100
awk -F'\t' '{ all[$2]++; ok[$2] += $3 == "ok" } END { for (kind in all) printf "%-18s%6d%6d\n", kind, all[kind], ok[kind] | "sort" }' "$work/judged"
echo "$(wc -l <"$work/judged") cases, $(grep -c '^[^ ]' "$work/wrong") not as expected"
cat "$work/wrong_by_command"
[ -s "$work/judged" ] && [ ! -s "$work/wrong" ] && [ ! -s "$work/wrong_by_command" ]
