#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# promises.sh -- every section of the Win32 contract has a test that carries its tag: `W32 2.3` for section 2.3,
# `W32 D5` for decision 5, `W32 2.1, D9` for both.  So does everything that the code tags.  Prints what has none.

top=${top_srcdir:-$(dirname "$0")/..}
failed=0
complain() { echo "$1"; echo "$2"; failed=1; }

# What privheap_contract(7) is about, as the code knows it.
sections='
1.1 types
1.2 flags
1.3 error numbers
1.4 entries of a walk
1.5 information classes
2.1 last error
2.2 handles
2.3 serialization
2.4 alignment
2.5 exact sizes
2.6 exceptions
2.7 bad block pointers
2.8 debug fills
2.9 errors of the system
3.1 HeapCreate
3.2 HeapDestroy
3.3 HeapAlloc
3.4 HeapReAlloc
3.5 HeapFree
3.6 HeapSize
3.7 HeapValidate
3.8 HeapCompact
3.9 HeapLock
3.10 HeapWalk
3.11 GetProcessHeap
3.12 HeapQueryInformation
3.13 HeapSetInformation
3.14 HeapSummary
3.15 GetLastError
4 fixed heaps
5 growable heaps
D1 %lu
D2 marker flag
D3 initial size 0
D4 rounding of the maximum
D5 initial above maximum
D6 HeapDestroy of NULL
D7 error of a failed HeapAlloc
D8 exceptions from create
D9 lock without a lock
D10 unlock by another
D11 lock and small blocks
D12 HeapCompact
D13 entry of a region
D14 short list of heaps
D15 no switch by itself
D16 low fragmentation twice
D17 low fragmentation fixed
D18 unknown class
D19 order of heaps
D20 HeapFree of NULL
D21 wild pointer
D22 HeapReAlloc of NULL
D23 contiguous
D24 4 GB in a walk
D25 pages given back'

# "W32 2.1, 4.3" -> 2.1 and 4, one a line; decisions also where they stand alone.
tags() {
    grep -rhoE --include='*.[ch]' --include='*.cc' --include='*.sh' --exclude=promises.sh \
        'W32 [0-9D][0-9.D, ]*|\<D[0-9]+\>' "$@" |
        grep -oE '\<(D[0-9]+|[0-9]+(\.[0-9]+)?)\>' | sed 's/^\([45]\)\..*/\1/' | sort -u
}

known=$(echo "$sections" | sed '/^$/d; s/ .*//')
tested=$(tags "$top/tests")
unknown=$( (echo "$tested"; tags "$top/lib" "$top/preload") | sort -u | grep -vxF "$known")
[ -z "$unknown" ] || complain 'Tags of sections that the contract does not have:' "$unknown"
untested=$(echo "$sections" | sed '/^$/d' | while read -r tag name; do
    echo "$tested" | grep -qxF "$tag" || echo "$tag $name"
done)
[ -z "$untested" ] || complain 'Sections of the contract that no test names:' "$untested"
exit $failed
