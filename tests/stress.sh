#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# stress.sh -- the stress with a shadow of every byte, over HeapAlloc on both kinds of heap and over malloc under
# the preload object.  Then, that it finds one damaged byte.  Then threads and private heaps that come and go, and walks
# of a heap whose blocks change hands.  STRESS_SECONDS for each (3), STRESS_SEED (1).

seconds=${STRESS_SECONDS-3} seed=${STRESS_SEED-1} failed=0

# expect STATUS OBJECT PROGRAM ARGUMENTS: run it under OBJECT (empty: none).
expect() {
    expected=$1 object=$2 program=$3
    shift 3
    LD_PRELOAD=$object "$top_builddir/tests/$program" "$@" -s "$seed"
    status=$?
    [ $status -eq "$expected" ] && return
    echo "$program $*: exit status $status, expected $expected"
    failed=1
}

expect 0 '' stress_heap process -t "$seconds"
expect 0 '' stress_heap private -t "$seconds"
expect 1 '' stress_heap process -t 1 -x
expect 1 '' stress_heap private -t 1 -x
"$top_builddir/tests/stress_private" "$seconds" "$seed" || failed=1
"$top_builddir/tests/stress_walk" "$seconds" "$seed" || failed=1
if [ -e "$preload_object" ]; then
    expect 0 "$preload_object" stress_malloc -t "$seconds"
    expect 1 "$preload_object" stress_malloc -t 1 -x
else
    echo 'there is no preload object in this build: malloc was not stressed'
fi
exit $failed
