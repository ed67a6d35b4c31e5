#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# lost.sh -- with part leaks:1 of option STRESS a process tells at its end which blocks nobody points to any more, and
# nothing of those that something points to.

object=$PWD/preload/.libs/libprivheap-preload.so
program=$PWD/tests/lost
[ -e "$object" ] || { echo 'there is no preload object in this build'; exit 77; }
[ -r /proc/self/maps ] || { echo 'without /proc nobody knows what is mapped'; exit 77; }
failed=0

run() { # OPTIONS CASE
    said=$(LD_PRELOAD=$object PRIVHEAP_STRESS=$1 "$program" "$2" 2>&1 >/dev/null)
    status=$?
    [ "$status" = 7 ] || { echo "$2 with $1 ended with status $status: $said"; failed=1; }
    told=$(echo "$said" | grep -c 'PH117')
    first=$(echo "$said" | grep 'PH117 leaked')
}

is_lost() { # CASE TEXT: the report of one stack, with that amount
    run "leaks:1" "$1"
    case $first in
    *": $2") ;;
    *) echo "$1: '$2' is not told: $said"; failed=1 ;;
    esac
    [ "$(echo "$first" | grep -c .)" = 1 ] || { echo "$1: more than one report: $said"; failed=1; }
}

is_held() { # CASE
    run "leaks:1" "$1"
    [ "$told" = 0 ] || { echo "$1: something is told that is not lost: $said"; failed=1; }
}

is_lost lost '1 block, 1234 bytes'
case $said in *'allocated by thread'*'lost+0x'*) ;; *) echo "lost: no stack of the allocation: $said"; failed=1 ;; esac
is_lost three '3 blocks, 3702 bytes'
is_lost itself '1 block, 1234 bytes'
is_lost circle '1 block, 1234 bytes, and what it leads to: 1 block, 48 bytes'
is_lost chain '1 block, 1234 bytes, and what it leads to: 10 blocks, 480 bytes'
is_lost freed '1 block, 1234 bytes'
is_lost freed-small '1 block, 1234 bytes'
is_lost freed-large '1 block, 1234 bytes'
is_lost of-private-heap '1 block, 1234 bytes'
is_lost disguise '1 block, 1234 bytes' # the limit of all that look for addresses

for case in plain inside behind thread-local many mapped shared sealed in-large by-private-heap in-buffer at-exit \
    thread-stack thread-thread-local thread-register; do
    is_held $case
done

# Again and again, with slots and without: another moment each time.
for turn in 1 2 3 4 5; do
    for case in thread-moves thread-moves-large; do
        is_held $case
        run 'size:1000-2000,leaks:1' $case
        [ "$told" = 0 ] || { echo "$case, without a slot: $said"; failed=1; }
    done
done

# Blocks that the page heap does not serve are told of without a stack.
run 'size:1-100,leaks:1' lost
case $first in *': 1 block, 1234 bytes') ;; *) echo "without a slot: $said"; failed=1 ;; esac
run 'size:1-100,leaks:1' plain
[ "$told" = 0 ] || { echo "plain, without a slot: $said"; failed=1; }

# A block that was freed points to nothing, whatever stands in its page.
for case in freed-small freed-large; do
    run 'size:1000-2000,leaks:1' $case
    case $first in *': 1 block, 1234 bytes') ;; *) echo "$case, without a slot: $said"; failed=1 ;; esac
done
run 'size:1000-2000,leaks:1' large
case $first in
*': 1 block, 300000 bytes, and what it leads to: 1 block, 1234 bytes') ;;
*) echo "large, without a slot: $said"; failed=1 ;;
esac

# Where a private heap's blocks have no slots either, they hold what they point to.
run 'size:1000-2000,leaks:1' by-private-heap
[ "$told" = 0 ] || { echo "by-private-heap, without a slot: $said"; failed=1; }

# Nobody asked.
run 'on' lost
[ "$told" = 0 ] || { echo "told without leaks:1: $said"; failed=1; }
exit $failed
