#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# aarch64.sh -- built by a cross compiler, the Check suites pass on an emulated 64-bit ARM, and malloc's do under the
# preload object.  Check for arm64 is found where Debian's check:arm64 puts it, or by AARCH64_PKG_CONFIG_LIBDIR.  With
# names of suites as arguments: only these.

skip() { echo "skipped: $1"; exit 77; }
host=aarch64-linux-gnu emulator=qemu-aarch64
pkg_config=${AARCH64_PKG_CONFIG_LIBDIR-/usr/lib/$host/pkgconfig}
command -v $host-gcc >/dev/null || skip "there is no $host-gcc"
command -v $emulator >/dev/null || skip "there is no $emulator"
PKG_CONFIG_LIBDIR=$pkg_config pkg-config --exists check 2>/dev/null || skip 'there is no Check for arm64 (check:arm64 and libsubunit-dev:arm64)'
[ ! -e "$top_srcdir/config.status" ] || skip 'the source folder is a build folder itself'

folder=aarch64.$$.tmp failed=0
mkdir "$folder" && cd "$folder" || exit 99
trap 'cd .. && rm -rf "$folder"' 0

# Debian's compiler for crossing has a C library of its own: the emulator is told where.
"$top_srcdir/configure" -q --enable-werror --host=$host CC=$host-gcc CXX=$host-g++ PKG_CONFIG_LIBDIR="$pkg_config" >out.txt 2>&1 &&
    make -s -j "$(nproc)" check-programs >>out.txt 2>&1 || {
    grep -v '^  [A-Z]* ' out.txt | tail -n 30
    exit 1
}
[ -e /lib/ld-linux-aarch64.so.1 ] || export QEMU_LD_PREFIX=/usr/$host

export top_builddir="$PWD" TEST_EMULATOR=$emulator CK_DEFAULT_TIMEOUT=600
export preload_object="$PWD/preload/.libs/libprivheap-preload.so" LD_LIBRARY_PATH="$PWD/lib/.libs"
for name in ${*:-$(cd "$top_srcdir/tests" && ls check_*.c)}; do
    suite=tests/${name%.c}
    [ -x "$suite" ] || continue # a part of another
    preload=
    [ "$suite" != tests/check_malloc ] || preload="-E LD_PRELOAD=$preload_object"
    $emulator $preload "$suite" >out.txt 2>&1 || {
        echo "FAILED: $suite"
        tail -n 20 out.txt
        failed=1
    }
done
exit $failed
