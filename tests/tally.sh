#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# tally.sh FOLDER... -- "PASSED FAILED" over all tests that driver.sh ran in these build folders.

find "$@" -name '*.trs' -exec cat {} + |
    awk '$1 == ":passed:" { passed += $2 } $1 == ":failed:" { failed += $2 } END { print passed + 0, failed + 0 }'
