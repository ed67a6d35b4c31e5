#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# slowest.sh FILE.trs... -- the ten tests that took longest, as driver.sh measured them.

echo 'The ten slowest tests:'
awk '$1 == ":seconds:" { name = FILENAME; sub(/\.trs$/, "", name); printf "%8.1f s  %s\n", $2, name }' "$@" |
    sort -rn | head -n 10
