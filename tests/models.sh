#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# models.sh -- the protocols in tests/models hold in every order of steps; and each is broken by leaving out a step
# that it needs, so that the models would have noticed.  Needs spin and a C compiler.

models=$(cd "$(dirname "$0")/models" && pwd) || exit 99
command -v spin >/dev/null || { echo 'spin is not installed'; exit 77; }
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' 0
cd "$folder" || exit 99
failed=0

# check MODEL WANTED [MACRO]: errors of a full search, none or some
check() {
    spin ${3:+-D$3} -a "$models/$1.pml" >spin.out 2>&1 && ${CC:-cc} -O2 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -DMEMLIM=3000 -o pan pan.c >cc.out 2>&1 || {
        cat spin.out cc.out
        echo "$1 ${3-}: cannot be built"
        failed=1
        return
    }
    ./pan -m2000000 >pan.out 2>&1
    found=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.out)
    states=$(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out)
    if grep -q 'max search depth too small\|reached -DMEMLIM\|out of memory' pan.out; then found="unfinished"; fi
    case $2:$found in
    none:0 | some:1) echo "$1${3:+ $3}: $(sed -n '/^pan:/{s/ (at.*//;p;q}' pan.out)${states:+ $states states}" ;;
    *) echo "$1${3:+ $3}: errors ${found:-?}, wanted $2"; tail -n 20 pan.out; failed=1 ;;
    esac
}

check gate none
check gate some NO_BARRIER      # no membarrier between the stop and the look at busy
check gate some NO_WAIT         # nobody waits until those inside are out
check gate some LOOK_FIRST      # the look at the bias comes before busy, and is not repeated
check gate some LEAVE_EARLY     # busy is cleared before the operation's end
check gate some WAIT_BUSY       # a thread waits for the gate lock while it is busy
check gate some BIAS_UNDER_LOCK # a local is biased again although the heap is locked
check gate some EXIT_EMPTIES    # a thread that ends empties its stacks under another's HeapLock

check fork none
check fork some NO_LEAF_LOCK    # prepare leaves the leaf locks to whoever has them
check fork some INTERRUPTED_TAKES_GATE # a fork in a handler waits for the gate, whose holder waits for it
check fork some KEEP_GATE       # the child leaves the gate to a thread that is gone
check fork some KEEP_HEAPLOCK   # and HeapLock

check handover none
check handover some NO_CLASS_LOCK   # refill and flush meet in a page
check handover some FORGET_STACKS   # a page goes while blocks of it lie in a stack
check handover some TRIM_WHILE_BUSY # a trim does not close the heap
exit $failed
