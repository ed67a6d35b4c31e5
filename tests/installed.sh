#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# installed.sh -- what stands under the prefix serves programs: `make installcheck`, which install.sh calls for a
# staged tree.  Programs in C and C++, shared and static, find the library by pkg-config alone; the sample
# of the specification is one of them.
#
# From make: DESTDIR bindir libdir includedir mandir (the last four without DESTDIR), and what every test gets.

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' 0
status=0
fail() { echo "$*"; status=1; }
: "${PKG_CONFIG:=pkg-config}"
unset CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH LIBRARY_PATH LD_PRELOAD
library=$DESTDIR$libdir/libprivheap.so
archive=$DESTDIR$libdir/libprivheap.a

# ---- what there is, and nothing else ----

for header in heapapi.h privheap.h windows.h; do
    [ -e "$DESTDIR$includedir/privheap/$header" ] || fail "not installed: $header"
done
for file in "$DESTDIR$includedir/privheap"/* "$DESTDIR$libdir"/libcore*; do
    case $file in
    */heapapi.h | */privheap.h | */windows.h | */'libcore*') ;;
    *) fail "installed, but private: $file" ;;
    esac
done

# A source that says <windows.h> must find ours by our flags only: other libraries have one too.
for header in heapapi.h privheap.h windows.h; do
    printf '#if __has_include(<%s>)\nfound\n#endif\n' $header >"$work/alone.c"
    $CC -E -P -I"$DESTDIR$includedir" "$work/alone.c" | grep -q found &&
        fail "<$header> is found without the flags of privheap.pc"
done

# Every function of the headers has its page; every link among the pages leads somewhere.
pages=$DESTDIR$mandir/man3
for function in $(sed -n 's/^[A-Za-z].*[ *]\(ph_[a-z_]*\|[A-Z][A-Za-z]*\)([^)]*);.*/\1/p' \
    "$DESTDIR$includedir"/privheap/*.h); do
    [ -e "$pages/$function.3" ] || fail "no page: $function(3)"
done
for page in "$pages"/*.3; do
    to=$(sed -n '1s/^\.so //p' "$page")
    [ -z "$to" ] || [ -e "$DESTDIR$mandir/$to" ] || fail "$page leads to $to, which is not there"
done

# ---- pkg-config ----

PKG_CONFIG_PATH=$DESTDIR$libdir/pkgconfig
export PKG_CONFIG_PATH
version=$($PKG_CONFIG --modversion privheap) || fail 'pkg-config does not find privheap'
preload=$DESTDIR$($PKG_CONFIG --variable=preload privheap)
if [ -e "$preload_object" ]; then
    [ -f "$preload" ] || fail "privheap.pc says the preload object is $preload"
    said=$(LD_PRELOAD=$preload PRIVHEAP_VERBOSE=1 /bin/true 2>&1)
    case $said in
    "privheap: version $version serves malloc"*) ;;
    *) fail "the preload object that privheap.pc names says: $said" ;;
    esac
    beside=${preload%/*}/libprivheap-check.so
    said=$(LD_PRELOAD=$preload:$beside PRIVHEAP_STRESS=on sh -c 'echo "$LD_PRELOAD"' 2>&1)
    [ -f "$beside" ] && [ "$said" = "$preload:$beside" ] || fail "with the object beside it: $said"
    # Also when the tree was moved as a whole, as a staged one is.
    said=$("$DESTDIR$bindir/privheap" --version 2>&1) || fail "the installed command: $said"
fi
PKG_CONFIG_SYSROOT_DIR=$DESTDIR
export PKG_CONFIG_SYSROOT_DIR
shared=$($PKG_CONFIG --cflags --libs privheap)
static=$($PKG_CONFIG --cflags --libs --static privheap)
cflags=$($PKG_CONFIG --cflags privheap)

# ---- the objects ----

sed -n 's/^\t\([A-Za-z_]*\);$/\1/p' "$top_srcdir/lib/privheap.map" | LC_ALL=C sort >"$work/map"
if [ -e "$library" ] && command -v nm >/dev/null && command -v readelf >/dev/null; then
    soname=$(LC_ALL=C readelf -dW "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
    [ "$soname" = libprivheap.so.0 ] || fail "the soname is $soname"
    [ -e "$DESTDIR$libdir/$soname" ] || fail "$soname is not installed"
    nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort >"$work/offered"
    diff -u "$work/map" "$work/offered" >"$work/diff" || { fail 'offered is not what privheap.map says:'; cat "$work/diff"; }
fi
if [ -e "$archive" ] && command -v nm >/dev/null; then
    # A static program meets our hidden names too: they keep to our prefix.
    strange=$(nm --defined-only "$archive" 2>/dev/null | awk '$2 ~ /^[A-Z]$/ && $3 !~ /^ph_/ { print $3 }' |
        LC_ALL=C sort -u | grep -vxFf "$work/map")
    [ -z "$strange" ] || fail "libprivheap.a has names without our prefix: $strange"
fi

# ---- programs ----

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
cp "$top_srcdir/tests/sample.c" "$work/sample.c"
cp "$work/sample.c" "$work/sample.cc"

# The sample prints a DWORD with %lu.
LD_LIBRARY_PATH=$DESTDIR$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
use() { # WHAT SUFFIX COMPILER-AND-ARGUMENTS FLAGS: "use" and "sample" with the flags behind the source
    what=$1 suffix=$2 compiler=$3 flags=$4
    # shellcheck disable=SC2086
    if $compiler -Wall -Wextra -pedantic -Werror -o "$work/use" "$work/use.$suffix" $flags; then
        said=$("$work/use")
        [ "$said" = "$version" ] || fail "$what: '$said', not '$version'"
    else
        fail "$what: does not build"
    fi
    # shellcheck disable=SC2086
    if $compiler -Wno-format -o "$work/sample" "$work/sample.$suffix" $flags; then
        sh "$top_srcdir/tests/sample.sh" "$work/sample" || fail "$what: the sample fails"
    else
        fail "$what: the sample does not build"
    fi
}
echo 'int main(void) { return 0; }' >"$work/nothing.c"
$CC -static -o "$work/nothing" "$work/nothing.c" 2>/dev/null && whole=yes || whole=no
for language in C C++; do
    case $language in
    C) suffix=c compiler="$CC -std=c99" ;;
    C++) suffix=cc compiler="$CXX -std=c++17" ;;
    esac
    command -v "${compiler%% *}" >/dev/null || continue
    [ ! -e "$library" ] || use "$language, shared" $suffix "$compiler" "$shared"
    [ -e "$archive" ] || continue
    use "$language, libprivheap.a" $suffix "$compiler" "$cflags $archive -pthread"
    [ $whole = no ] || use "$language, all static" $suffix "$compiler" "-static $static"
done
exit $status
