#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# sample.sh -- the specification's sample compiles unchanged and succeeds at every step, alone and under the preload
# object.  sample.sh PROGRAM looks at a PROGRAM made from it elsewhere.

expected='Heap created successfully. Handle: ADDRESS
Memory allocated successfully: ADDRESS
Memory freed.
Heap destroyed successfully.'
failed=0

if [ $# -eq 0 ]; then
    library=$top_builddir/lib/.libs
    [ -e "$library/libprivheap.so" ] || { echo 'there is no shared library in this build'; exit 77; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # It prints a DWORD with %lu: a warning on a system whose long has 64 bits, and right nevertheless.  W32 D1
    $CC "$top_srcdir/tests/sample.c" -Wno-format -I"$top_srcdir/lib" -o "$work/sample" \
        -L"$library" -lprivheap -Wl,-rpath,"$library" || exit 1
    set -- "$work/sample"
fi

for object in '' "$preload_object"; do
    [ -z "$object" ] || [ -e "$object" ] || continue
    said=$(LD_PRELOAD=$object "$1" 2>&1) || { echo "exit status $?"; failed=1; }
    said=$(echo "$said" | sed 's/0x[0-9a-f]*$/ADDRESS/')
    [ "$said" = "$expected" ] && continue
    printf 'under "%s" it says:\n%s\n' "$object" "$said"
    failed=1
done
exit $failed
