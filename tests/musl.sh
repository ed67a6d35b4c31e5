#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# musl.sh -- with musl for a C library: all of it compiles, and the stress runs linked to the library statically and
# dynamically, and over malloc under the preload object.

skip() { echo "skipped: $1"; exit 77; }
command -v musl-gcc >/dev/null || skip 'there is no musl-gcc'
[ ! -e "$top_srcdir/config.status" ] || skip 'the source folder is a build folder itself'

folder=musl.$$.tmp failed=0
mkdir "$folder" && cd "$folder" || exit 99
trap 'cd .. && rm -rf "$folder"' 0
complain() { echo "FAILED: $1"; failed=1; }

"$top_srcdir/configure" -q --enable-werror CC=musl-gcc CXX=false >out.txt 2>&1 && make -s all >>out.txt 2>&1 || {
    tail -n 30 out.txt
    exit 1
}

# link PROGRAM SOURCES AND FLAGS
link() {
    program=$1
    shift
    musl-gcc -std=gnu11 -D_GNU_SOURCE -O1 -pthread -I"$top_srcdir/lib" -I"$top_srcdir/tests" -o "$program" "$@"
}
heap="$top_srcdir/tests/stress_heap.c $top_srcdir/tests/stress_shadow.c"
plain="$top_srcdir/tests/stress_malloc.c $top_srcdir/tests/stress_shadow.c"
link static $heap -static lib/.libs/libprivheap.a || complain 'static linking'
link dynamic $heap lib/.libs/libprivheap.so "-Wl,-rpath,$PWD/lib/.libs" || complain 'dynamic linking'
link plain $plain || complain 'a plain program'
for kind in process private; do
    ./static $kind -t 1 -s 1 || complain "static, $kind"
    ./dynamic $kind -t 1 -s 1 || complain "dynamic, $kind"
done
PRIVHEAP_VERBOSE=1 LD_PRELOAD=$PWD/preload/.libs/libprivheap-preload.so ./plain -t 1 -s 1 2>said.txt || complain 'preloaded'
grep -q '^privheap' said.txt || complain 'the preload object did not become active'
exit $failed
