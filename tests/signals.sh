#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# signals.sh -- signals, forks, threads and stacks that come at the worst moment, under the preload object.
# signals_object=FILE tests another object than the one built here; "none" tests the test.  signals_seconds: of each storm.

sources=${top_srcdir:-$(dirname "$0")/..}
build=${top_builddir:-$PWD}
object=${signals_object:-$build/preload/.libs/libprivheap-preload.so}
[ "$object" = none ] || [ -e "$object" ] || { echo 'there is no preload object in this build'; exit 77; }
[ "${build_flavour#*tsan}" = "$build_flavour" ] || { echo 'the thread sanitizer delays every signal itself'; exit 77; }

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
failed=0

for name in modes storm; do
    # shellcheck disable=SC2086 # CC may carry options
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wno-deprecated-declarations -fno-builtin -pthread -I"$sources/lib" \
        "$sources/tests/signals/$name.c" -o "$work/$name" -L"$build/lib/.libs" -lprivheap -Wl,-rpath,"$(realpath "$build/lib/.libs")" || exit 99
done

run() { # PROGRAM ARGUMENTS...
    local status
    LD_PRELOAD=${object#none} timeout 60 "$work/$1" "${@:2}" >"$work/out" 2>&1
    status=$?
    [ $status -eq 77 ] && cat "$work/out"
    [ $status -eq 0 ] || [ $status -eq 77 ] && return
    echo "$*: exit status $status"
    head -n 5 "$work/out"
    failed=$((failed + 1))
}

for mode in atfork raw-fork shared-memory destructors thousand exit quick-exit small-stacks coroutines cancellation first-cancellation read-back; do
    run modes $mode
done
# A block whose taker was cancelled before its tail stood there is no overflow.
PRIVHEAP_MODE=secure run modes cancellation
for storm in keep fork jump; do
    run storm $storm "${signals_seconds:-1.5}"
done
# Each block in a slot of its own: no thread has stacks, all take the same locks.
for mode in atfork raw-fork destructors small-stacks coroutines; do
    PRIVHEAP_STRESS=on run modes $mode
done
PRIVHEAP_STRESS=on run storm fork 0.5
# Many guarded blocks: a handler may not wait for the gate either.
PRIVHEAP_GUARD_RATE=3 run storm jump 0.5

echo "$failed not as expected"
[ $failed -eq 0 ]
