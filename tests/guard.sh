#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# guard.sh -- guarded blocks in programs under the preload object: each kind of access, on either side and after
# free, in each mode; handlers of the program, threads, fork, limits.  preload_object=FILE tests another object
# than the one built here.

program=$PWD/tests/guarded
preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
ulimit -c 0

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0 count=0

fail() { # ACTION WHAT
    echo "$1 ($environment): $2"
    sed 's/^/    /' "$work/err"
    failed=$((failed + 1))
}

# Run an action; its end in $status, what it wrote in $work/err.
run() { # ACTION
    count=$((count + 1))
    # In a shell of its own, whose remark about the signal goes nowhere.
    # shellcheck disable=SC2086 # several variables
    (timeout 20 env $environment LD_PRELOAD="$preload_object" "$program" "$1" >"$work/out" 2>"$work/err"; exit $?) 2>/dev/null
    status=$?
}

# It ends so, and the first line says so (an extended regular expression; empty: nothing was written).
expect() { # ACTION STATUS LINE
    run "$1"
    [ "$status" -eq "$2" ] || { fail "$1" "exit status $status, expected $2"; return; }
    if [ -z "$3" ]; then
        [ ! -s "$work/err" ] || fail "$1" 'something was written'
        return
    fi
    head -n 1 "$work/err" | grep -qE "^privheap: $3" || fail "$1" "the first line is not '$3'"
    [ "$(grep -c '^privheap: PH' "$work/err")" -eq 1 ] || fail "$1" 'not exactly one report'
}

# What all modes see, with the stack of the allocation; and that of the free, where there was one.
reports="
write_behind            PH112 write behind the end
read_behind             PH112 read behind the end
write_far_behind        PH112 write behind the end
write_before            PH113 write before the start
write_behind_wide       PH112 write behind the end
read_before_wide        PH113 read before the start
write_behind_aligned    PH112 write behind the end
write_behind_zeroed     PH112 write behind the end
read_freed              PH114 read after free
write_freed             PH114 write after free
write_moved             PH114 write after free
free_twice              PH101 freed twice
free_inside             PH103 not the start of a block
free_far_inside         PH103 not the start of a block
change_tail_and_free    PH110 changed behind its end
change_tail_and_resize  PH110 changed behind its end
change_tail_and_exit    PH110 changed behind its end
change_before_and_free  PH111 changed before its start
read_freed_in_thread    PH114 read after free
"
expect_reports() { # STATUS
    while read -r action line; do
        [ -n "$action" ] || continue
        case $environment/$action in
        PRIVHEAP_MODE=default/read_* | PRIVHEAP_GUARD_RATE=1/read_*) expect "$action" 0 "$line" ;; # told of, and answered
        *) expect "$action" "$1" "$line" ;;
        esac
        grep -q '^ *allocated by thread' "$work/err" || fail "$action" 'the stack of the allocation is missing'
        case $line in PH114* | PH101*) grep -q '^ *freed by thread' "$work/err" || fail "$action" 'the stack of the free is missing' ;; esac
    done <<END
$reports
END
}

for environment in PRIVHEAP_MODE=default PRIVHEAP_GUARD_RATE=1 PRIVHEAP_MODE=secure; do
    expect_reports 134
done
environment=PRIVHEAP_MODE=tolerant
expect_reports 0

for environment in PRIVHEAP_MODE=default PRIVHEAP_GUARD_RATE=1 PRIVHEAP_MODE=secure PRIVHEAP_MODE=tolerant; do
    for action in use_all_of_it take_many take_in_threads; do
        expect $action 0 ''
    done
    expect early_own 7 ''
    expect early_raise 3 ''
    expect late_own 7 ''
    expect wild 139 ''
    expect raised 139 ''
    expect ignored 0 ''
    [ $environment = PRIVHEAP_MODE=tolerant ] && continue
    expect write_freed_in_child 0 'PH114 write after free'
    expect default_and_back 134 'PH112 write behind the end'
    expect alternative_stack 134 'PH112 write behind the end'
done

environment=PRIVHEAP_MODE=secure
expect write_after_names 134 'PH112 write behind the end'
expect few_mappings 0 ''

# Guards between pages, in secure mode, where no guarded sample lies in the way either.  They lie at random places: a
# megabyte has none in one of 40 runs, so three may try.
stopped() { # ACTION LINE
    run "$1"
    [ "$status" -eq 134 ] && head -n 1 "$work/err" | grep -qE "^privheap: $2" && grep -q 'in a guard between pages' "$work/err"
}
expect_guard() { # ACTION LINE
    stopped "$@" || stopped "$@" || stopped "$@" || fail "$1" "three times, no guard between pages says '$2'"
}
for environment in PRIVHEAP_MODE=secure 'PRIVHEAP_MODE=secure PRIVHEAP_GUARD_RATE=0' 'PRIVHEAP_MODE=secure PRIVHEAP_OS_PAGE=16384'; do
    expect_guard overrun_row 'PH112 write behind the end: 0x[0-9a-f]*, [0-9]+ bytes behind the end of block 0x[0-9a-f]* of 1[0-9]+ bytes'
    expect_guard underrun_row 'PH113 write before the start: 0x[0-9a-f]*, [0-9]+ bytes before block 0x[0-9a-f]* of 1[0-9]+ bytes'
    expect_guard read_over_row 'PH112 read behind the end'
done
for environment in PRIVHEAP_MODE=default PRIVHEAP_MODE=secure PRIVHEAP_MODE=tolerant 'PRIVHEAP_MODE=secure PRIVHEAP_CHECKS=0'; do
    expect free_in_row 0 ''
    [ "$environment" = PRIVHEAP_MODE=secure ] || expect read_over_row 0 ''
    expect sandbox 0 ''
done

# Large blocks shrink, and are not bounded by the number of mappings; no report about what other threads are at.
for environment in PRIVHEAP_MODE=default PRIVHEAP_MODE=secure PRIVHEAP_MODE=tolerant; do
    for action in shrink_large take_many_large exit_amid_threads exit_amid_threads exit_amid_threads exit_in_child_of_threads; do
        expect $action 0 ''
    done
done

# Without checks, or with a rate of 0, there is none: the access is as it is without a guard.
for environment in PRIVHEAP_CHECKS=0 PRIVHEAP_GUARD_RATE=0 'PRIVHEAP_MODE=tolerant PRIVHEAP_CHECKS=off'; do
    expect read_behind 0 ''
done

for environment in PRIVHEAP_GUARD_RATE=1 'PRIVHEAP_GUARD_RATE=1 PRIVHEAP_MODE=secure' 'PRIVHEAP_GUARD_RATE=1 PRIVHEAP_MODE=tolerant'; do
    expect zero_again 0 ''
done

# A bound on address space is the program's: what runs without guards runs with them.
limited() { # KB, ACTION
    ulimit -v "$1"
    run "$2"
    exit "$status"
}
for environment in PRIVHEAP_GUARD_RATE=1 PRIVHEAP_MODE=secure; do
    (limited 300000 write_behind)
    [ $? -eq 134 ] || fail write_behind 'not seen within 300000 KB of address space'
    (limited 60000 read_behind)
    [ $? -eq 0 ] || fail read_behind 'guarded, though there are but 60000 KB of address space'
    [ $environment = PRIVHEAP_MODE=secure ] && continue # where its blocks lie is a matter of chance
    for space in 9000 9500 10000 11000 12000 13000 15000 20000 40000; do
        (environment="$environment PRIVHEAP_GUARD_RATE=0"; limited $space take_many) || continue # the same mode without guards
        (limited $space take_many) || fail take_many "exit status $? within $space KB of address space"
    done
done

echo "$count runs, $failed not as expected"
[ $failed -eq 0 ]
