#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# os_pages.sh -- the engine on a machine with OS pages of 16 and of 64 KB: it acts so by option, and ends the process where
# anything but whole OS pages is asked of the system.  The suites where memory comes and goes, and malloc's; with the
# argument `all`, every suite, the stress and misuse.

suites='check_contract_create check_contract_fixed check_heap check_heapapi check_heapinfo check_large check_map check_meta
    check_native check_packed check_region check_shard check_span check_spanguard check_walk'
failed=0 run=0

report() { echo "FAILED with OS pages of $PRIVHEAP_OS_PAGE: $*"; failed=1; }

# A suite's last lines say what failed.
suite() {
    [ -x "$top_builddir/tests/$1" ] || return
    "$top_builddir/tests/$1" >"os_pages.$$.tmp" 2>&1 || { report "$1"; tail -n 20 "os_pages.$$.tmp"; }
    run=$((run + 1))
}

for PRIVHEAP_OS_PAGE in 16384 65536; do
    export PRIVHEAP_OS_PAGE
    if [ "$1" = all ]; then
        for file in "$top_srcdir"/tests/check_*.c; do
            name=${file##*/}
            case $name in check_options.c | check_message.c | check_ospage.c) continue ;; esac # what they pretend is their own
            suite "${name%.c}"
        done
        "$top_srcdir/tests/stress.sh" || report stress.sh
        [ ! -e "$preload_object" ] || "$top_srcdir/tests/misuse.sh" || report misuse.sh
    else
        for name in $suites; do suite "$name"; done
        [ ! -e "$preload_object" ] || for CK_RUN_CASE in aligned realloc; do
            export CK_RUN_CASE
            suite check_malloc
        done
        unset CK_RUN_CASE
        "$top_builddir/tests/stress_heap" process -t 1 -s 1 || report stress_heap process
        "$top_builddir/tests/stress_heap" private -t 1 -s 1 || report stress_heap private
    fi
done
rm -f "os_pages.$$.tmp"
[ $run -gt 0 ] || { echo 'the Check suites were not built'; exit 77; }
exit $failed
