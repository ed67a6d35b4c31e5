#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# versions.sh -- the Win32 names of the preload object are non-default versions: a program or a library
# with a GetLastError of its own keeps it, and one linked to libprivheap.so meets the heap of malloc.

source=$top_srcdir/tests/preload_getlasterror.c
library=$top_builddir/lib/.libs
[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
status=0

expect() { # WHAT EXPECTED GOT
    [ "$2" = "$3" ] && return
    printf '%s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
    status=1
}

$CC -fPIC -shared -DOWN_LIBRARY "$source" -o "$work/libown.so" &&
    $CC -D_GNU_SOURCE -DOWN_PROGRAM "$source" -o "$work/own" -L"$work" -lown -Wl,-rpath,"$work" &&
    $CC -D_GNU_SOURCE -I"$top_srcdir/lib" "$source" -o "$work/linked" -L"$library" -lprivheap -Wl,-rpath,"$library" ||
    exit 99

own='from the program 4711, inside the library 4711
block at 32
dlsym finds HeapFree: no'
expect 'own names, plain' "$own" "$("$work/own")"
expect 'own names, preloaded' "$own" "$(LD_PRELOAD=$preload_object "$work/own")"

expect 'linked, plain' "GetLastError of $library/libprivheap.so.0
a block of malloc is in the process heap: no" "$("$work/linked")"
expect 'linked, preloaded' "GetLastError of $preload_object
a block of malloc is in the process heap: yes" "$(LD_PRELOAD=$preload_object "$work/linked")"

# An engine inside the program stays the program's own.
if [ -e "$library/libprivheap.a" ]; then
    $CC -D_GNU_SOURCE -I"$top_srcdir/lib" "$source" -o "$work/inside" "$library/libprivheap.a" -pthread || exit 99
    inside="GetLastError of $work/inside
a block of malloc is in the process heap: no"
    expect 'inside, plain' "$inside" "$("$work/inside")"
    expect 'inside, preloaded' "$inside" "$(LD_PRELOAD=$preload_object "$work/inside")"
fi
exit $status
