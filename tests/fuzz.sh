#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# fuzz.sh -- the fuzz targets over their corpora, then over random bytes: FUZZ_OPERATIONS (300000), FUZZ_SEED (1).  The
# operations on the library's heaps, on the preload object's with malloc, and there in secure mode.

corpus=$(cd "$(dirname "$0")/corpus" && pwd) || exit 99
count=${FUZZ_OPERATIONS-300000} seed=${FUZZ_SEED-1} failed=0
export PRIVHEAP_PURGE_DELAY=3

replay() { # OBJECT PROGRAM CORPUS: under OBJECT (empty: none)
    echo "== $2 under '${1##*/}' ${PRIVHEAP_MODE-}"
    LD_PRELOAD=$1 "$top_builddir/tests/$2" -n "$count" -s "$seed" "$corpus/$3" || { echo "fails: status $?"; failed=1; }
}

replay '' fuzz_ops ops
replay '' fuzz_options options
if [ -e "$preload_object" ]; then
    replay "$preload_object" fuzz_ops ops
    export PRIVHEAP_MODE=secure
    count=$((count / 4))
    replay "$preload_object" fuzz_ops ops
fi
exit $failed
