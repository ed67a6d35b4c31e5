#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# reports.sh -- reports come out whole where it is hard: in signal handlers, on small stacks, from several threads at
# once, without standard error, with a handler of SIGABRT; and in tolerant mode the program goes on.

source=${top_srcdir:-$(dirname "$0")/..}/tests/reports.c
preload_object=${preload_object:-$PWD/preload/.libs/libprivheap-preload.so}
library=${top_builddir:-$PWD}/lib/.libs
[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
ulimit -c 0

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0
flags='-std=gnu11 -O2 -g -D_GNU_SOURCE -Wall -Wextra -Werror -pthread'

# shellcheck disable=SC2086
${CC:-cc} $flags -o "$work/reports" "$source" || exit 99
# shellcheck disable=SC2086
${CC:-cc} $flags -DWITH_HEAPS -I"${top_srcdir:-$(dirname "$0")/..}/lib" -o "$work/with_heaps" "$source" \
    -L"$library" -lprivheap -Wl,-rpath,"$library" || exit 99

complain() { # WHAT
    echo "$act: $1"
    sed 's/^/    /' "$work/err" "$work/log" 2>/dev/null
    failed=$((failed + 1))
}

# Run act $1 (of program $program) with settings $2...: its exit status in $status, its words in $work/out, err, log.
program=reports
run() {
    act=$1
    shift
    rm -f "$work/log"
    (timeout 20 env "$@" LD_PRELOAD="$preload_object" "$work/$program" "$act" >"$work/out" 2>"$work/err"; exit $?) 2>/dev/null
    status=$?
}

expect_status() { [ $status -eq "$1" ] || complain "exit status $status instead of $1"; }
expect_out() { [ "$(cat "$work/out")" = "$1" ] || complain "said '$(cat "$work/out")' instead of '$1'"; }

# COUNT reports in file $work/$2, each whole, all of kind $3; nothing else but lines like $4.
expect_reports() {
    count=$(awk -v kind="$3" -v other="${4:-^$}" '
        index($0, "privheap: " kind " ") == 1 && !inside && !/ times in all$/ { inside = 1; next }
        inside && /^    #[0-9]+ ([^ +]+\+)?0x[0-9a-f]+$/ { frames++; next }
        inside && /^  (ignored \(mode=tolerant\); )?PH[0-9]+ is explained in privheap-diagnostics\(7\)$/ && frames { inside = 0; frames = 0; whole++; next }
        !inside && $0 ~ other { next }
        { print "a strange line: " $0; exit }
        END { print whole + 0 }' "$work/$2")
    [ "$count" = "$1" ] || complain "$1 reports of $3 expected in the ${2}: $count"
}

# Whether a frame of the first report lies in that function.
expect_caller() {
    command -v addr2line >/dev/null || return
    sed -n "s/^    #[0-9]* $program+//p" "$work/err" | xargs addr2line -f -e "$work/$program" | grep -x "$1" >/dev/null ||
        complain "$1 is not in the backtrace"
}

run in_handler
expect_status 134
expect_reports 1 err PH109
expect_caller commit
expect_caller sin_in_handler
expect_caller in_handler

run on_small_signal_stack
expect_status 134
expect_reports 1 err PH109
expect_caller on_small_signal_stack

run handler_of_abort_allocates PRIVHEAP_GUARD_RATE=0
expect_status 134
expect_reports 1 err PH106 '^handler$'
grep -qx handler "$work/err" || complain 'the handler did not come to its end'

run handler_of_abort_jumps
expect_status 0
expect_out jumped
expect_reports 3 err PH109

# Whoever aborts ends the others, maybe in the middle of waiting: at least one, and no broken one.
run in_threads
expect_status 134
whole=$(grep -c 'is explained in' "$work/err")
[ "$whole" -ge 1 ] || complain 'no report'
expect_reports "$whole" err PH109

run in_threads PRIVHEAP_MODE=tolerant
expect_status 0
expect_out joined
expect_reports 1 err PH109 ' PH109 static, not a block at reports[+]0x[0-9a-f]+: 8 times in all$'

run without_stderr PRIVHEAP_LOG="$work/log"
expect_status 134
expect_reports 1 log PH109

run without_stderr
expect_status 134

run without_descriptors PRIVHEAP_LOG="$work/log"
expect_status 134
expect_reports 1 err PH109

run goes_on PRIVHEAP_MODE=tolerant
expect_status 0
expect_out 'kept static'
for kind in PH101 PH103; do
    [ "$(grep -c "^privheap: $kind .*thread [0-9]*$" "$work/err")" -eq 1 ] || complain "not one report of $kind"
done
[ "$(grep -c "^privheap: PH109 .*thread [0-9]*$" "$work/err")" -eq 2 ] || complain 'not two places of PH109'
grep -q '^privheap: PH109 static, not a block at reports+0x[0-9a-f]*: 7 times in all$' "$work/err" || complain 'no total'

for mode in default secure tolerant; do
    run busy PRIVHEAP_MODE=$mode
    expect_status $([ $mode = tolerant ] && echo 0 || echo 134)
    expect_reports 1 err PH109
    expect_caller busy
done

run overflow PRIVHEAP_MODE=secure PRIVHEAP_GUARD_RATE=0
expect_status 134
expect_reports 1 err PH110
expect_caller overflow

program=with_heaps
run another_heap
expect_status 134
expect_reports 1 err PH105
expect_caller another_heap

[ $failed -eq 0 ]
