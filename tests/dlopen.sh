#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# dlopen.sh -- a program can open libprivheap.so late, with nearly all of the room for static TLS taken: 64
# bytes are enough.

library=$top_builddir/lib/.libs/libprivheap.so
[ -e "$library" ] || { echo 'there is no shared library in this build'; exit 77; }
[ -e "$preload_object" ] || { echo 'a sanitizer needs its runtime in every program'; exit 77; }
source=$top_srcdir/tests/dlopen.c
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
unit=16 room=64

$CC -fPIC -shared -DFILL=$unit "$source" -o "$work/0.so" &&
    $CC -std=gnu11 -Wall -Wextra -I"$top_srcdir/lib" "$source" -o "$work/dlopen" -pthread -ldl || exit 99
many=1
while [ $many -lt 1024 ]; do
    cp "$work/0.so" "$work/$many.so"
    many=$((many + 1))
done

most=$("$work/dlopen" "$work" $many) || exit 99
[ "$most" -lt $many ] || { echo "$many objects of $unit bytes fit: this loader has no such limit"; exit 77; }
[ "$most" -gt $((room / unit)) ] || { echo "only $most objects of $unit bytes fit"; exit 99; }
echo "$most objects of $unit bytes fit; the library after all but $room bytes of them:"
"$work/dlopen" "$work" $((most - room / unit)) "$library" || exit 1

# This script can fail: an object that wants more does not fit there.
$CC -fPIC -shared -DFILL=128 "$source" -o "$work/$((most - room / unit)).so" || exit 99
said=$("$work/dlopen" "$work" $((most - room / unit + 1))) || exit 99
[ "$said" -eq $((most - room / unit)) ] || { echo 'an object of 128 bytes fits too'; exit 1; }
