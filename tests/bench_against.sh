#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# bench_against.sh -- our engine against that of the commit we are at: it is built, measured and judged.  For
# `make check-long`: it compiles the engine once more.

: "${top_srcdir:=$(cd "$(dirname "$0")/.." && pwd)}"
git -C "$top_srcdir" rev-parse --verify --quiet HEAD >/dev/null 2>&1 || { echo 'no git history here'; exit 77; }
[ -x bench/bench_ratio ] || { echo 'bench/bench_ratio is not built'; exit 1; }
out=$("$top_srcdir/bench/against.sh" -d "$PWD" -r 6 -b 10 -w 'tight16 random' HEAD 2>&1) || { echo "$out"; exit 1; }
for line in '^\| tight16/1 \| [0-9.]+ \| [0-9.]+ to [0-9.]+ \| [0-9.]+ \|' '^\| random/1 ' '^2 rows, 6 rounds: '; do
    echo "$out" | grep -qE "$line" || { echo "no line '$line' in:"; echo "$out"; exit 1; }
done
