#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# headers.sh -- the public headers compile cleanly in every language a user may write, alone and twice, have the
# layout and the values of the contract, and need nothing included before them.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
source=$top_srcdir/tests/headers_layout.c

complain() { echo "$*"; failed=1; }

warnings='-Wall -Wextra -Wshadow -Wundef -pedantic-errors -Werror'

# compiles WHAT COMPILER OPTIONS: objects are thrown away, what the compiler says is shown.
compiles() {
    what=$1
    shift
    "$@" $warnings -I"$top_srcdir/lib" -c -o "$work/object.o" || complain "$what"
}

compiles 'C99' $CC -std=c99 "$source"
compiles 'C99, -DNONAMELESSUNION' $CC -std=c99 -DNONAMELESSUNION "$source"
compiles 'C11' $CC -std=c11 "$source"
nm "$work/object.o" >"$work/names.c"
compiles 'C++17' $CXX -std=c++17 -x c++ "$source"
compiles 'C++11' $CXX -std=c++11 -x c++ "$source"
nm "$work/object.o" >"$work/names.cpp"
for names in names.c names.cpp; do
    for function in HeapCreate HeapDestroy HeapAlloc HeapReAlloc HeapFree HeapSize HeapLock HeapUnlock HeapValidate \
        HeapWalk HeapCompact HeapSummary HeapQueryInformation HeapSetInformation GetProcessHeap GetProcessHeaps \
        GetLastError SetLastError ph_version ph_heap_stats ph_heap_aligned_alloc ph_heap_set_name ph_heap_name \
        ph_debug_flags ph_heap_visit ph_set_exception_handler; do
        grep -q " U $function\$" "$work/$names" || complain "$function is not a C name in $names"
    done
done

# Each alone, as the first thing in a file, twice.
for header in heapapi.h windows.h privheap.h; do
    printf '#include <%s>\n#include <%s>\nextern int used;\nint used = 1;\n' $header $header >"$work/alone.c"
    compiles "$header alone, C" $CC -std=c99 "$work/alone.c"
    compiles "$header alone, C++" $CXX -std=c++17 -x c++ "$work/alone.c"
done

# privheap.h adds names of its own only to those of heapapi.h.
macros() { printf '#include <%s>\n' "$1" | $CC -std=c99 -I"$top_srcdir/lib" -E -dM - | cut -d' ' -f2 | sort; }
macros heapapi.h >"$work/win32.macros"
strays=$(macros privheap.h | comm -13 "$work/win32.macros" - | grep -v '^PRIVHEAP_')
[ -z "$strays" ] || complain "privheap.h defines $strays"

# This script can fail: a promise that does not hold is an error in both languages.
$CC -std=c99 -DBROKEN_PROMISE -I"$top_srcdir/lib" -c -o "$work/object.o" "$source" 2>/dev/null &&
    complain 'a broken promise compiles as C'
$CXX -std=c++17 -x c++ -DBROKEN_PROMISE -I"$top_srcdir/lib" -c -o "$work/object.o" "$source" 2>/dev/null &&
    complain 'a broken promise compiles as C++'

# The version's parts and its text are one.
expand() { printf '#include <privheap.h>\n%s\n' "$1" | $CC -I"$top_srcdir/lib" -E -P - | tail -1 | tr -d ' "'; }
text=$(expand PRIVHEAP_VERSION)
parts=$(expand PRIVHEAP_VERSION_MAJOR.PRIVHEAP_VERSION_MINOR.PRIVHEAP_VERSION_PATCH)
[ "$text" = "$parts" ] || complain "PRIVHEAP_VERSION is $text, its parts are $parts"
exit $failed
