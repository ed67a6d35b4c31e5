#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# resident.sh -- what a long-running program has freed goes back to the system: see resident.c.
#
#   resident.sh        one size, some seconds
#   resident.sh long   larger heaps, more threads, and a soak of ten minutes (SOAK_SECONDS) that must not grow
#
# Over the base of the program and what is live there may be: after malloc_trim, and after 5 s of light work, a tenth
# of what is live; in a program that sleeps from the moment on, a tenth and 16 MB.  3 MB are for our own descriptors
# and for stacks, which take no part in it.

[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
failed=0

# resident THEN CASE THREADS MB MORE_KB: what is resident is within what is live, a tenth and so much.
resident() {
    said=$(LD_PRELOAD=$preload_object "$top_builddir/tests/resident" "$2" "$3" "$4" "$1") || { failed=1; return; }
    echo "$1 $2, $3 threads: $said"
    echo "$said" | awk -v more="$5" '{ exit !($2 - $4 - $6 <= $6 / 10 + more) }' || { echo "FAILED: too much"; failed=1; }
    # it was there before: else this shows nothing
    echo "$said" | awk -v mb="$4" '{ exit !($8 > mb * 900) }' || { echo "FAILED: the heap was never so large"; failed=1; }
}

own=3072
if [ "$1" = long ]; then
    for threads in 1 4; do
        for case in all phases; do
            resident trim $case $threads 800 $own
            resident light $case $threads 800 $own
        done
    done
    resident idle all 1 800 $((16384 + own))
    resident idle phases 1 800 $((16384 + own))
    said=$(LD_PRELOAD=$preload_object "$top_builddir/tests/resident" phases 1 200 "soak=${SOAK_SECONDS-600}") || failed=1
    echo "soak: $said"
    echo "$said" | awk '{ exit !($2 <= $4 * 1.05 + 4096) }' || { echo 'FAILED: it grows'; failed=1; }
else
    (resident light phases 2 200 $own; exit $failed) &
    light=$!
    resident trim phases 1 200 $own
    resident trim all 2 200 $own
    resident idle phases 1 300 $((16384 + own))
    resident idle all 1 200 $((16384 + own))
    wait $light || failed=1
fi
exit $failed
