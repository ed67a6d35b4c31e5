#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# install.sh -- `make install` under DESTDIR puts the right files there, programs in C and C++ find the
# library through pkg-config, the installed command finds its object, `make uninstall` leaves nothing.

[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
unset MAKEFLAGS MFLAGS MAKELEVEL TESTS
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
dest=$work/dest
status=0
fail() { echo "$*"; status=1; }

make -s install DESTDIR="$dest" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

file() { # NAME: its path under $dest
    found=$(find "$dest" -path "*/$1" ! -type d)
    [ -n "$found" ] || fail "not installed: $1"
    echo "$found"
}
command=$(file bin/privheap)
object=$(file privheap/libprivheap-preload.so)
pc=$(file pkgconfig/privheap.pc)
for name in lib/libprivheap.so.0 include/privheap/heapapi.h include/privheap/windows.h include/privheap/privheap.h; do
    find "$dest" -path "*/$name" ! -type d | grep -q . || fail "not installed: $name"
done
strays=$(find "$dest" -name 'internal.h' -o -name 'libcore*' -o -name 'hot.h')
[ -z "$strays" ] || fail "installed, but private: $strays"

# As a user of the library: shared and static, C and C++.
cat >"$work/use.c" <<'END'
#include <windows.h>
#include <privheap.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
    HANDLE heap = HeapCreate(0, 0, 0);
    char *text = (char *)HeapAlloc(heap, HEAP_ZERO_MEMORY, 100);
    int good = text && HeapSize(heap, 0, text) == 100 && !strcmp(ph_version(), PRIVHEAP_VERSION);
    puts(good && HeapFree(heap, 0, text) && HeapDestroy(heap) ? ph_version() : "failed");
    return 0;
}
END
cp "$work/use.c" "$work/use.cc"
: "${PKG_CONFIG:=pkg-config}"
PKG_CONFIG_PATH=$(dirname "$pc") PKG_CONFIG_SYSROOT_DIR=$dest
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
version=$($PKG_CONFIG --modversion privheap)
libdir=$dest$(PKG_CONFIG_SYSROOT_DIR= $PKG_CONFIG --variable=libdir privheap)
preload=$(PKG_CONFIG_SYSROOT_DIR= $PKG_CONFIG --variable=preload privheap)
[ "$dest$preload" = "$object" ] || fail "pkg-config says the object is $preload"

use() { # WHAT COMPILER-AND-ARGUMENTS
    what=$1
    shift
    "$@" -o "$work/use" || { fail "$what: does not build"; return; }
    said=$(LD_LIBRARY_PATH=$libdir "$work/use")
    [ "$said" = "$version" ] || fail "$what: '$said', not '$version'"
}
flags=$($PKG_CONFIG --cflags --libs privheap)
# shellcheck disable=SC2086
{
    use 'C, shared' $CC -std=c99 -Wall -Wextra -Werror -pedantic "$work/use.c" $flags
    use 'C, static' $CC "$work/use.c" -static $($PKG_CONFIG --cflags --libs --static privheap)
    if command -v "${CXX%% *}" >/dev/null; then
        use 'C++, shared' $CXX -std=c++11 -Wall -Wextra -Werror -pedantic "$work/use.cc" $flags
    fi
}

# Moved as a whole, the command still finds the object beside it, or where it was told to be.
said=$("$command" --version 2>&1) || fail "the installed command: $said"

make -s uninstall DESTDIR="$dest" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
left=$(find "$dest" ! -type d -o -path "$libdir/privheap" -o -path "*/include/privheap")
[ -z "$left" ] || fail "left by make uninstall:
$left"
exit $status
