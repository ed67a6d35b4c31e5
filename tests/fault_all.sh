#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# fault_all.sh -- every system call of a run fails in turn, once and from then on: fault.sh with all numbers.  Then a
# share of them in secure and in tolerant mode, and with every debug check.

here=$(dirname "$0") failed=0
sh "$here/fault.sh" all || exit
for mode in PRIVHEAP_MODE=secure PRIVHEAP_MODE=tolerant PRIVHEAP_DEBUG_FLAGS=0xf0; do
    echo "== $mode"
    env "$mode" sh "$here/fault.sh" "${FAULT_SECONDS-60}" || failed=1
done
exit $failed
