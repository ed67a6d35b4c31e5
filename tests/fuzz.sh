#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# fuzz.sh -- the fuzz targets over their corpora, then over random bytes: FUZZ_OPERATIONS (300000), FUZZ_SEED (1).  The
# operations on the library's heaps, on the preload object's with malloc; a quarter as many there in secure mode, and
# on options at most 10,000,000.

corpus=$(cd "$(dirname "$0")/corpus" && pwd) || exit 99
count=${FUZZ_OPERATIONS-300000} seed=${FUZZ_SEED-1} failed=0
export PRIVHEAP_PURGE_DELAY=3

replay() { # OBJECT PROGRAM CORPUS [PART]: under OBJECT (empty: none), a part of the operations
    echo "== $2 under '${1##*/}' ${PRIVHEAP_MODE-}"
    LD_PRELOAD=$1 "$top_builddir/tests/$2" -n $((count / ${4-1})) -s "$seed" "$corpus/$3" || { echo "fails: status $?"; failed=1; }
}

replay '' fuzz_ops ops
replay '' fuzz_options options $((count / 10000001 + 1))
if [ -e "$preload_object" ]; then
    replay "$preload_object" fuzz_ops ops
    export PRIVHEAP_MODE=secure
    replay "$preload_object" fuzz_ops ops 4
fi
exit $failed
