#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# thp.sh -- which memory may have huge pages under each value of the option thp.

[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
failed=0

# asks WHEN MB WHAT TEST: with what `thp` prints as $2 (huge), $4 (none) and $6 (pins) that holds.
asks() {
    said=$(PRIVHEAP_THP=$1 LD_PRELOAD=$preload_object "$top_builddir/tests/thp" "$2") || { echo "FAILED: thp $2 under $1"; failed=1; }
    echo "$1, $2 MB: $said"
    echo "$said" | awk "{ exit !($4) }" || { echo "FAILED: $3"; failed=1; }
}

PRIVHEAP_THP=always LD_PRELOAD=$preload_object "$top_builddir/tests/thp" 1 | grep -q 'huge [1-9]' ||
    { echo 'this system does not say which mappings may have huge pages'; exit 77; }
asks never 100 'no huge pages at all' '$2 == 0 && $4 > 100000'
asks always 1 'huge pages from the start' '$2 >= 4096'
asks always 100 'nothing without' '$2 > 100000 && $4 < 8192'
asks auto 8 'none while the heap is small' '$2 <= 64'
asks auto 100 'huge pages where it grew' '$2 > 32768 && $4 >= 16384'
asks auto 100 'none again where a part was given back' '$6 > 10'
exit $failed
