#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# fault.sh -- system calls of the library, and of the preload object, fail one after another under threads, forks and
# heaps that check every block: FAULT_SECONDS (4) for each object, spread over all kinds of calls.  Then, that a lost
# block would have been found.  With an argument that goes to the program instead of the seconds.

program=$top_builddir/tests/fault failed=0
chosen=${1-${FAULT_SECONDS-4}}
export PRIVHEAP_PURGE_DELAY=2 # so that memory goes back, by calls that can fail

expect() { # STATUS OBJECT ARGUMENT: under OBJECT (empty: none)
    LD_PRELOAD=$2 "$program" "$3"
    status=$?
    if [ $status -eq 77 ]; then exit 77; fi
    [ $status -eq "$1" ] && return
    echo "fault $3 under '${2##*/}': exit status $status, expected $1"
    failed=1
}

expect 0 '' "$chosen"
expect 1 '' lose
if [ -e "$preload_object" ]; then
    expect 0 "$preload_object" "$chosen"
    expect 1 "$preload_object" lose
fi
exit $failed
