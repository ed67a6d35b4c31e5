#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# malloc_modes.sh -- what programs can expect of malloc and of operator new holds in every mode: the suites
# malloc and new once more, in secure and in tolerant mode.

[ -e "$preload_object" ] || { echo 'there is no preload object in this build'; exit 77; }
[ -x tests/check_malloc ] || { echo 'the unit test library Check is missing'; exit 77; }
status=0
for environment in PRIVHEAP_MODE=secure PRIVHEAP_MODE=tolerant; do
    for suite in check_malloc check_new; do
        [ -x tests/$suite ] || continue
        env "$environment" tests/$suite >malloc_modes.out 2>&1
        suite_status=$?
        [ $suite_status -ne 77 ] || { cat malloc_modes.out; exit 77; }
        [ $suite_status -eq 0 ] || { echo "$environment tests/$suite: exit status $suite_status"; grep -v ':P:' malloc_modes.out; status=1; }
    done
done
rm -f malloc_modes.out
exit $status
