#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the privheap authors
#
# fuzz_long.sh -- fuzz.sh with 100,000,000 operations; then, where clang has libFuzzer, FUZZ_SECONDS (300) of it for
# each target, from the corpus, with the address and undefined-behaviour sanitizers.  What it finds stays in
# the folder fuzz-found of the build.

here=$(cd "$(dirname "$0")" && pwd) lib=$(dirname "$0")/../lib failed=0
FUZZ_OPERATIONS=${FUZZ_OPERATIONS-100000000} sh "$here/fuzz.sh" || failed=1

command -v clang >/dev/null || { echo 'clang is not installed: no libFuzzer'; exit $failed; }
found=$top_builddir/fuzz-found
mkdir -p "$found/ops" "$found/options" || exit 99

fuzz() { # NAME SOURCE ...
    name=$1
    shift
    # shellcheck disable=SC2086
    clang -std=gnu11 -D_GNU_SOURCE -DPH_DEBUG=2 -DFUZZ_LIBFUZZER -g -O1 -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=all -ftls-model=initial-exec -fexceptions -I"$lib" "$lib"/*.c "$@" -o "$found/fuzz_$name" -pthread || {
        echo "$name: cannot be built with libFuzzer"
        return 0
    }
    "$found/fuzz_$name" -max_total_time="${FUZZ_SECONDS-300}" -max_len=3000 -close_fd_mask=2 \
        -artifact_prefix="$found/$name-" "$found/$name" "$here/corpus/$name" || failed=1
}

fuzz ops "$here"/fuzz_ops.c "$here"/fuzz_shadow.c "$here"/fuzz_mallocs.c "$here"/fuzz_replay.c
fuzz options "$here"/fuzz_options.c "$here"/fuzz_replay.c
exit $failed
