#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# walk_preload.sh -- the heap behind a running program's malloc can be walked: every block that it holds once,
# none that it has freed.  Then, that walk_preload would have said so if it were otherwise.

[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
program=$top_builddir/tests/walk_preload
failed=0

# expect STATUS OBJECT ARGUMENT: run the program under OBJECT (empty: none).
expect() {
    LD_PRELOAD=$2 "$program" "$3"
    status=$?
    [ $status -eq "$1" ] && return
    echo "walk_preload $3 under '${2##*/}': exit status $status, expected $1"
    failed=1
}

expect 0 "$preload_object" 200
expect 1 "$preload_object" lost
expect 1 "$preload_object" stray
expect 3 '' 1
exit $failed
